use super::*;

fn user(id: &str) -> Value {
    json!({"clientUserId": id})
}

impl World {
    /// Sends an asynchronous call, lets it finish and returns its status report.
    async fn finished(&self, path: &str, body: Value) -> Value {
        let got = self.post(path, body);
        assert_eq!(got.status, 200, "{got:?}");
        self.breathe().await;
        self.get(&format!("status?eventId={}", got.json["eventId"].as_str().unwrap())).json
    }

    fn listed_users(&self, query: &str) -> Vec<(String, String)> {
        let got = self.get(&format!("users?{query}"));
        let users = got.json["users"].as_array().unwrap_or_else(|| panic!("{got:?}"));
        let text = |user: &Value, key: &str| user[key].as_str().unwrap().to_owned();
        users.iter().map(|user| (text(user, "clientUserId"), text(user, "status"))).collect()
    }

    fn invite_code(&self, id: &str) -> String {
        let users = self.location().users;
        users.into_iter().rfind(|user| user.client_user_id == id).unwrap().invite_code.unwrap()
    }
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(id, status)| ((*id).to_owned(), (*status).to_owned())).collect()
}

#[tokio::test]
async fn user_is_created_changed_and_retired() {
    let world = World::new();
    let body = json!({"users": [{"clientUserId": "anna", "email": "anna@example.org"}, user("ben")]});
    let report = world.finished("users/create", body).await;
    assert_eq!((&report["eventType"], &report["eventStatus"]), (&json!("CREATE"), &json!("COMPLETE")));
    assert_eq!((&report["numRequested"], &report["numCompleted"]), (&json!(2), &json!(2)));
    let anna = world.get("users?clientUserId=anna").json["users"][0].clone();
    assert_eq!(anna["email"], json!("anna@example.org"));
    assert_eq!((anna["inviteCode"].as_str().unwrap().len(), anna.get("idHash")), (32, None));
    let body = json!({"users": [{"clientUserId": "anna", "email": "a@example.org"}]});
    assert_eq!(world.finished("users/update", body).await["eventType"], json!("UPDATE"));
    assert_eq!(world.get("users?clientUserId=anna").json["users"][0]["email"], json!("a@example.org"));
    let report = world.finished("users/retire", json!({"users": [user("ben")]})).await;
    assert_eq!((&report["eventType"], &report["eventStatus"]), (&json!("RETIRE"), &json!("COMPLETE")));
    assert_eq!(world.listed_users(""), pairs(&[("anna", "Registered"), ("ben", "Retired")]));
    assert_eq!(world.listed_users("activeOnly=true"), pairs(&[("anna", "Registered")]));
    assert_eq!(world.listed_users("retiredOnly=true&activeOnly=false"), pairs(&[("ben", "Retired")]));
    assert_eq!(world.get("users?activeOnly=true&retiredOnly=true").error(), 9602);
}

#[tokio::test]
async fn what_is_wrong_with_a_list_of_users_is_told_at_once() {
    let world = World::new();
    world.apple.set_limits(Limits { max_users: 2, ..Limits::default() });
    let ill = |email: &str| json!({"users": [{"clientUserId": "a", "email": email}]});
    for (number, body) in [
        (9602, json!({"users": [{"clientUserId": "a", "name": "Anna"}]})),
        (9602, json!({"users": [{"email": "a@example.org"}]})),
        (9602, json!({"users": [{"clientUserId": "a", "email": null}]})),
        (9602, json!({"users": [user("")]})),
        (9720, json!({})),
        (9720, json!({"users": []})),
        (9714, json!({"users": [user("a"), user("b"), user("c")]})),
        (9715, json!({"users": [user("a"), {"clientUserId": "a", "email": "x"}]})),
        (9717, ill("a.example.org")),
        (9717, ill("a@localhost")),
        (9717, ill("a b@example.org")),
        (9717, ill("@example.org")),
    ] {
        let got = world.post("users/create", body.clone());
        assert_eq!((got.status, got.error()), (400, number), "{body}");
    }
    assert_eq!(world.post("users/create", ill("no")).json["errorInfo"], json!({"clientUserIds": ["a"]}));
    assert!(world.location().events.is_empty());
}

#[tokio::test]
async fn unknown_user_is_refused_now_or_fails_later() {
    let world = World::new();
    world.apple.add_user(&world.u_id, "anna").unwrap();
    let both = json!({"users": [user("anna"), user("nobody")]});
    for path in ["users/update", "users/retire"] {
        let got = world.post(path, both.clone());
        assert_eq!((got.status, got.error()), (400, 9609));
        assert_eq!(got.json["errorInfo"], json!({"clientUserIds": ["nobody"]}));
    }
    world.switch(json!({"unknown-user": "fails-later"}));
    let report = world.finished("users/retire", both).await;
    assert_eq!((&report["eventStatus"], &report["numCompleted"]), (&json!("FAILED"), &json!(1)));
    assert_eq!(report["failures"][0]["errorNumber"], json!(9609));
    assert_eq!(report["failures"][0]["errorInfo"], json!({"clientUserIds": ["nobody"]}));
    let body = json!({"assets": [{"adamId": BOOK}], "clientUserIds": ["anna"]});
    assert_eq!(world.finished("assets/associate", body).await["failures"][0]["errorNumber"], json!(9609));
    let report = world.finished("assets/revoke", json!({"clientUserIds": ["nobody"]})).await;
    assert_eq!(report["failures"][0]["errorInfo"], json!({"clientUserIds": ["nobody"]}));
}

#[tokio::test]
async fn user_who_exists_is_not_made_again() {
    let world = World::new();
    world.apple.add_user(&world.u_id, "anna").unwrap();
    let report = world.finished("users/create", json!({"users": [user("anna"), user("ben")]})).await;
    assert_eq!((&report["eventStatus"], &report["numCompleted"]), (&json!("FAILED"), &json!(1)));
    assert_eq!(report["failures"][0]["errorNumber"], json!(9716));
    assert_eq!(world.listed_users(""), pairs(&[("anna", "Registered"), ("ben", "Registered")]));
}

#[tokio::test]
async fn managed_account_is_linked_at_once_and_to_one_user() {
    let world = World::new();
    let with = |id: &str, account: &str| json!({"users": [{"clientUserId": id, "managedAppleId": account}]});
    assert_eq!(
        world.finished("users/create", with("anna", "anna@managed.example")).await["eventStatus"],
        json!("COMPLETE")
    );
    let anna = world.get("users?clientUserId=anna").json["users"][0].clone();
    assert_eq!((&anna["status"], anna["idHash"].as_str().unwrap().len()), (&json!("Associated"), 28));
    assert_eq!((anna.get("inviteCode"), anna.get("managedAppleId")), (None, None));
    for (path, body, number) in [
        ("users/create", with("ben", "Anna@managed.example"), 9641),
        ("users/create", with("ben", "ben@elsewhere.example"), 9635),
        ("users/update", with("anna", "other@managed.example"), 9635),
    ] {
        let report = world.finished(path, body).await;
        assert_eq!(report["failures"][0]["errorNumber"], json!(number), "{path}");
    }
    world.apple.set_managed_domain("elsewhere.example");
    world.apple.add_user(&world.u_id, "ben").unwrap();
    assert_eq!(
        world.finished("users/update", with("ben", "ben@elsewhere.example")).await["eventStatus"],
        json!("COMPLETE")
    );
    assert_eq!(world.listed_users(""), pairs(&[("anna", "Associated"), ("ben", "Associated")]));
}

#[tokio::test]
async fn invitation_is_accepted_once_and_not_with_an_account_in_use() {
    let world = World::new();
    world.apple.add_user(&world.u_id, "anna").unwrap();
    world.apple.add_user(&world.u_id, "ben").unwrap();
    let code = world.invite_code("anna");
    let accept = |code: &str, account: &str| world.apple.accept_invitation(&world.u_id, code, account);
    assert!(matches!(accept("nonsense", "a@home.example"), Err(AdminError::NoInvitation(_))));
    accept(&code, "a@home.example").unwrap();
    assert!(matches!(accept(&code, "b@home.example"), Err(AdminError::NoInvitation(_))));
    assert!(matches!(accept(&world.invite_code("ben"), "a@home.example"), Err(AdminError::Invalid(_))));
    assert_eq!(world.listed_users(""), pairs(&[("anna", "Associated"), ("ben", "Registered")]));
}

#[tokio::test]
async fn retired_user_comes_back_as_the_history_demands() {
    let world = World::new();
    world.apple.add_user(&world.u_id, "anna").unwrap();
    let create = || world.finished("users/create", json!({"users": [user("anna")]}));
    // Never associated: the old record lives again.
    world.apple.retire_user(&world.u_id, "anna").unwrap();
    create().await;
    assert_eq!(world.listed_users(""), pairs(&[("anna", "Registered")]));
    // Once associated: a new record.
    world.apple.accept_invitation(&world.u_id, &world.invite_code("anna"), "anna@home.example").unwrap();
    world.apple.retire_user(&world.u_id, "anna").unwrap();
    create().await;
    assert_eq!(world.listed_users(""), pairs(&[("anna", "Retired"), ("anna", "Registered")]));
    // The same person accepts: the old record is the active one again, and has what the new one had.
    let body = json!({"assets": [{"adamId": BOOK}], "clientUserIds": ["anna"]});
    world.finished("assets/associate", body).await;
    world.apple.accept_invitation(&world.u_id, &world.invite_code("anna"), "anna@home.example").unwrap();
    assert_eq!(world.listed_users("clientUserId=anna"), pairs(&[("anna", "Associated"), ("anna", "Retired")]));
    let held = world.get("assignments?includeUserState=true");
    assert_eq!(held.json["assignments"][0]["userStatus"], json!("Associated"));
    // Another person: the records stay apart.
    world.apple.retire_user(&world.u_id, "anna").unwrap();
    create().await;
    world.apple.accept_invitation(&world.u_id, &world.invite_code("anna"), "other@home.example").unwrap();
    assert_eq!(world.listed_users("activeOnly=true"), pairs(&[("anna", "Associated")]));
    assert_eq!(world.listed_users("").len(), 2);
    assert!(matches!(world.apple.retire_user(&world.u_id, "ben"), Err(AdminError::NoUser { .. })));
}

#[tokio::test]
async fn retiring_frees_apps_and_keeps_books() {
    let world = World::new();
    world.apple.add_user(&world.u_id, "anna").unwrap();
    let body = json!({"assets": [{"adamId": BOOK}, {"adamId": APP}], "clientUserIds": ["anna"]});
    world.finished("assets/associate", body).await;
    assert_eq!((world.assigned(APP), world.assigned(BOOK)), (1, 1));
    world.finished("users/retire", json!({"users": [user("anna")]})).await;
    assert_eq!((world.assigned(APP), world.assigned(BOOK)), (0, 1));
    let all = world.get("assignments?includeUserState=true");
    assert_eq!((all.json["size"].as_u64(), &all.json["assignments"][0]["userStatus"]), (Some(1), &json!("Retired")));
    assert_eq!(world.get("assignments?excludeInactiveUsers=true").json["size"], json!(0));
}

#[tokio::test]
async fn users_are_paged_and_since_a_version_only_changes_are_listed() {
    let world = World::new();
    for index in 0..5 {
        world.apple.add_user(&world.u_id, &format!("user{index}")).unwrap();
    }
    world.switch(json!({"page-size": 2}));
    let pages: Vec<Value> = (0..3).map(|index| world.get(&format!("users?pageIndex={index}")).json).collect();
    assert_eq!(pages.iter().map(|page| page["size"].as_u64().unwrap()).sum::<u64>(), 5);
    assert_eq!((pages[0]["nextPageIndex"].as_u64(), pages[2].get("nextPageIndex")), (Some(1), None));
    let version = pages[0]["versionId"].as_str().unwrap().to_owned();
    world.apple.retire_user(&world.u_id, "user3").unwrap();
    let since = world.listed_users(&format!("sinceVersionId={version}"));
    assert_eq!(since, pairs(&[("user3", "Retired")]));
    assert_eq!(world.get("users?sinceVersionId=nonsense").error(), 9721);
    assert_eq!(world.get("users?pageIndex=3").error(), 9650);
    world.switch(json!({"version-churn": "version"}));
    assert_ne!(world.get("users?pageIndex=1").json["versionId"], world.get("users?pageIndex=2").json["versionId"]);
}

#[test]
fn records_of_earlier_times_can_be_there() {
    let world = World::new();
    let add = |new| world.apple.add_user_record(&world.u_id, new);
    add(NewUser { status: Some(UserStatus::Deleted), ..NewUser::associated("anna", "a@home.example") }).unwrap();
    add(NewUser { status: Some(UserStatus::Retired), ..NewUser::registered("anna") }).unwrap();
    add(NewUser::associated("anna", "a@home.example")).unwrap();
    assert!(matches!(add(NewUser::registered("anna")), Err(AdminError::Invalid(_))));
    let odd = NewUser { status: Some(UserStatus::Associated), ..NewUser::registered("ben") };
    assert!(matches!(add(odd), Err(AdminError::Invalid(_))));
    assert_eq!(world.listed_users(""), pairs(&[("anna", "Deleted"), ("anna", "Associated")]));
}

#[tokio::test]
async fn faults_strike_the_calls_about_users_too() {
    let world = World::new();
    let endpoint = Some("users/create".to_owned());
    world.apple.add_fault(FaultRule { endpoint, fault: Fault::InternalError, often: Often::Next(1) }).unwrap();
    assert_eq!(world.get("users").status, 200);
    assert_eq!(world.post("users/create", json!({"users": [user("a")]})).error(), 9603);
}
