use super::*;

const SEATS: u64 = 6_400_000_901;

impl World {
    /// Two associated users, and a subscription of three renewing seats and one expiring.
    fn with_subscription() -> World {
        let world = World::new();
        for id in ["anna", "ben", "carl"] {
            let user = NewUser::associated(id, &format!("{id}@home.example"));
            world.apple.add_user_record(&world.u_id, user).unwrap();
        }
        assert_eq!(world.post("subscriptions/enable", json!({})).json["subscriptionManagement"], json!(true));
        world.apple.add_subscription(&world.u_id, seats(2, 1)).unwrap();
        world
    }

    async fn seat_event(&self, path: &str, body: Value) -> Value {
        let got = self.post(path, body);
        assert_eq!(got.status, 200, "{got:?}");
        self.breathe().await;
        self.get(&format!("status?eventId={}", got.json["eventId"].as_str().unwrap())).json
    }

    fn counts(&self) -> Value {
        self.get("subscriptions").json["subscriptions"][0]["counts"].clone()
    }
}

fn seats(renewing: u32, expiring: u32) -> NewSubscription {
    NewSubscription {
        adam_id: SEATS,
        parent_adam_id: Some(1_600_000_011),
        status: SubscriptionStatus::Active,
        period_end: "2027-04-01".parse().unwrap(),
        renewing,
        expiring,
    }
}

fn give(users: &[&str], renewing: bool) -> Value {
    json!({"adamIds": [SEATS], "clientUserIds": users, "renewing": renewing})
}

#[test]
fn subscriptions_are_declared_before_they_are_bought_and_not_taken_back_after() {
    let world = World::new();
    assert!(matches!(world.apple.add_subscription(&world.u_id, seats(1, 0)), Err(AdminError::Invalid(_))));
    assert_eq!(world.post("subscriptions/associate", give(&["anna"], true)).error(), 9811);
    let empty = Call { body: Bytes::new(), ..world.post_call("subscriptions/enable", &json!({})) };
    assert_eq!(world.outcome(&empty).json["subscriptionManagement"], json!(true));
    assert_eq!(world.post("subscriptions/disable", json!({})).json["subscriptionManagement"], json!(false));
    assert_eq!(world.post("subscriptions/enable", json!({"x": 1})).error(), 9602);
    let world = World::with_subscription();
    assert_eq!(world.post("subscriptions/disable", json!({})).error(), 9818);
    world.switch(json!({"profile-2026": "off"}));
    assert_eq!(world.get("subscriptions").status, 404);
}

#[tokio::test]
async fn seats_are_given_and_taken_and_the_counts_agree() {
    let world = World::with_subscription();
    let report = world.seat_event("subscriptions/associate", give(&["anna"], true)).await;
    assert_eq!((&report["eventType"], &report["eventStatus"]), (&json!("ASSOCIATE"), &json!("COMPLETE")));
    world.seat_event("subscriptions/associate", give(&["ben"], false)).await;
    assert_eq!(
        world.counts(),
        json!({"assigned": {"renewing": 1, "expiring": 1}, "available": {"renewing": 1, "expiring": 0},
               "total": {"renewing": 2, "expiring": 1}})
    );
    let listed = world.get("subscriptions/assignments?clientUserId=anna").json["assignments"].clone();
    assert_eq!(listed, json!([{"adamId": SEATS, "clientUserId": "anna", "renewing": true}]));
    world.seat_event("subscriptions/associate", give(&["carl"], true)).await;
    let dora = NewUser::associated("dora", "dora@home.example");
    world.apple.add_user_record(&world.u_id, dora).unwrap();
    let report = world.seat_event("subscriptions/associate", give(&["dora"], true)).await;
    assert_eq!(report["failures"][0]["errorNumber"], json!(9709));
    world.apple.buy_seats(&world.u_id, SEATS, SeatKind::Renewing, 1).unwrap();
    world.seat_event("subscriptions/associate", give(&["dora"], true)).await;
    let take = json!({"adamIds": [SEATS], "clientUserIds": ["anna"]});
    let report = world.seat_event("subscriptions/disassociate", take.clone()).await;
    assert_eq!((&report["eventType"], &report["eventStatus"]), (&json!("DISASSOCIATE"), &json!("COMPLETE")));
    assert_eq!(world.post("subscriptions/disassociate", take).error(), 9815);
    world.apple.retire_user(&world.u_id, "dora").unwrap();
    assert_eq!(world.location().subscriptions[0].holders, ["ben", "carl"]);
}

#[tokio::test]
async fn what_is_put_off_happens_at_the_end_of_the_period() {
    let world = World::with_subscription();
    world.seat_event("subscriptions/associate", give(&["anna", "ben"], true)).await;
    let later = json!({"adamIds": [SEATS], "clientUserIds": ["anna"], "deferred": true});
    world.seat_event("subscriptions/disassociate", later).await;
    assert_eq!(world.counts()["assigned"], json!({"renewing": 1, "expiring": 1}));
    world.time.advance(Duration::from_secs(31 * 24 * 3600)).await;
    let view = world.location().subscriptions.remove(0);
    assert_eq!((view.holders, view.period_end), (vec!["ben".to_owned()], "2027-05-01".parse().unwrap()));
    assert_eq!(view.total, SeatCounts { renewing: 2, expiring: 0 });
}

#[test]
fn what_is_wrong_with_a_request_about_seats_is_told_at_once() {
    let world = World::with_subscription();
    world.apple.add_user(&world.u_id, "eva").unwrap();
    world.apple.give_seat_by_group(&world.u_id, SEATS, "carl").unwrap();
    world.apple.patch_limits(json!({"maxSubscriptionClientUserIds": 3}).as_object().unwrap().clone()).unwrap();
    for (number, body) in [
        (9602, json!({"adamIds": ["6400000901"], "clientUserIds": ["anna"], "renewing": true})),
        (9602, json!({"adamIds": [SEATS], "clientUserIds": ["anna"]})),
        (9813, json!({"adamIds": [], "clientUserIds": ["anna"], "renewing": true})),
        (9813, json!({"adamIds": [1], "clientUserIds": ["anna"], "renewing": true})),
        (9719, give(&[], true)),
        (9704, give(&["anna", "anna"], true)),
        (9816, give(&["a", "b", "c", "d"], true)),
        (9814, give(&["eva"], true)),
        (9814, give(&["nobody"], true)),
        (9817, give(&["carl"], true)),
    ] {
        assert_eq!(world.post("subscriptions/associate", body.clone()).error(), number, "{body}");
    }
    let paused = NewSubscription { status: SubscriptionStatus::Paused, ..seats(2, 1) };
    world.apple.add_subscription(&world.u_id, paused).unwrap();
    assert_eq!(world.post("subscriptions/associate", give(&["anna"], true)).error(), 9811);
}

#[test]
fn lists_go_by_cursor() {
    let world = World::with_subscription();
    world
        .apple
        .add_subscription(&world.u_id, NewSubscription { adam_id: 1, parent_adam_id: None, ..seats(1, 0) })
        .unwrap();
    world.switch(json!({"page-size": 1}));
    let first = world.get("subscriptions").json;
    assert_eq!(first.get("errorNumber"), None, "{first}");
    assert_eq!(
        (&first["subscriptions"][0]["adamId"], &first["subscriptions"][0]["parentAdamId"]),
        (&json!(1), &Value::Null)
    );
    let cursor = |page: &Value| page["nextCursor"].as_str().unwrap().replace('=', "%3D");
    let second = world.get(&format!("subscriptions?cursor={}", cursor(&first))).json;
    assert_eq!((&second["subscriptions"][0]["adamId"], second.get("nextCursor")), (&json!(SEATS), None));
    world.switch(json!({"last-cursor": "empty-page"}));
    let second = world.get(&format!("subscriptions?cursor={}", cursor(&first))).json;
    let third = world.get(&format!("subscriptions?cursor={}", cursor(&second))).json;
    assert_eq!((&third["subscriptions"], third.get("nextCursor")), (&json!([]), None));
    assert_eq!(world.get(&format!("subscriptions/assignments?cursor={}", cursor(&first))).error(), 9812);
    assert_eq!(world.get("subscriptions?cursor=nonsense").error(), 9812);
    assert_eq!(world.get("subscriptions?parentAdamId=1600000011").json["subscriptions"][0]["adamId"], json!(SEATS));
}

#[test]
fn admins_are_added_listed_and_removed() {
    let world = World::with_subscription();
    let body = json!({"adamIds": [SEATS], "clientUserIds": ["anna", "ben"]});
    let got = world.post("subscriptions/admins/add", body).json;
    assert_eq!((got["versionId"].is_string(), got.get("eventId")), (true, None));
    let listed = world.get(&format!("subscriptions/admins?adamId={SEATS}&adamId=1&includeUserState=true")).json;
    assert_eq!(listed["admins"].as_array().unwrap().len(), 2);
    assert_eq!(
        (&listed["admins"][0]["clientUserId"], &listed["admins"][0]["userStatus"]),
        (&json!("anna"), &json!("Associated"))
    );
    world.post("subscriptions/admins/remove", json!({"adamIds": [SEATS], "clientUserIds": ["anna"]}));
    let listed = world.get("subscriptions/admins").json;
    assert_eq!((listed["admins"].as_array().unwrap().len(), listed["admins"][0].get("userStatus")), (1, None));
    assert_eq!(
        world.post("subscriptions/admins/add", json!({"adamIds": [SEATS], "clientUserIds": ["nobody"]})).error(),
        9814
    );
}
