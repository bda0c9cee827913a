//! What goes wrong with registered users: Apple refuses, forgets, fails or does not answer; the database is an older one.

use std::time::Duration;

use sandbox::apple::{Canned, Fault, FaultRule, Often};
use vppd::operations::alerts;

use super::*;

fn next(endpoint: &str, fault: Fault) -> FaultRule {
    FaultRule { endpoint: Some(endpoint.into()), fault, often: Often::Next(1) }
}

fn says(number: u64) -> Fault {
    let body = json!({"errorNumber": number, "errorMessage": "x"}).to_string();
    Fault::Canned(Canned { status: 400, content_type: "application/json".into(), headers: Vec::new(), body })
}

async fn open_alerts(app: &App) -> Vec<AlertView> {
    alerts::list(&app.context, false).await.unwrap()
}

/// A user who vanished at Apple without our doing is registered again, and the change made.
fn drift(refused: &'static str) {
    story(|clock| async move {
        let app = leeds(clock).await;
        switch(&app, json!({"unknown-user": refused}));
        let anna = add(&app, "anna@example.org").await;
        let ben = add(&app, "ben@example.org").await;
        app.wait(minutes(1)).await;
        app.sandbox.apple.retire_user(&app.uid, &anna.client_user_id).unwrap();
        edit(&app, "anna@example.org", "a.new@example.org").await;
        edit(&app, "ben@example.org", "b.new@example.org").await;
        app.wait(minutes(2)).await;
        for (user, email) in [(&anna, "a.new@example.org"), (&ben, "b.new@example.org")] {
            let records = at_apple(&app, &user.client_user_id);
            assert_eq!((records.len(), records[0].status), (1, UserStatus::Registered), "{email}");
            assert_eq!(records[0].email.as_deref(), Some(email));
            assert_eq!(state(&app, email).await, RegistrationState::Registered);
        }
        assert_eq!(calls(&app, "users/create"), 2);
        // Whoever is gone already is retired: nobody is registered for it.
        app.sandbox.apple.retire_user(&app.uid, &anna.client_user_id).unwrap();
        retire(&app, "a.new@example.org").await;
        retire(&app, "b.new@example.org").await;
        app.wait(minutes(2)).await;
        for user in [&anna, &ben] {
            assert_eq!(statuses(&app, &user.client_user_id), [UserStatus::Retired]);
            assert_eq!(state(&app, &user.client_user_id).await, RegistrationState::Retired);
        }
        assert_eq!(calls(&app, "users/create"), 2);
        assert_eq!(open_alerts(&app).await, []);
        app.assert_clean();
    });
}

#[test]
fn an_unknown_user_who_is_refused_at_once_is_registered_again() {
    drift("refused-now");
}

#[test]
fn an_unknown_user_who_fails_later_is_registered_again() {
    crate::error_numbers::task_failure(9609);
    drift("fails-later");
}

#[test]
fn a_refusal_that_names_nobody_is_found_by_sending_each_alone() {
    story(|clock| async move {
        let app = leeds(clock).await;
        let anna = add(&app, "anna@example.org").await;
        add(&app, "ben@example.org").await;
        app.wait(minutes(1)).await;
        app.sandbox.apple.retire_user(&app.uid, &anna.client_user_id).unwrap();
        app.sandbox.apple.add_fault(next("users/update", says(9609))).unwrap();
        edit(&app, "anna@example.org", "a.new@example.org").await;
        edit(&app, "ben@example.org", "b.new@example.org").await;
        app.wait(minutes(2)).await;
        assert_eq!(at_apple(&app, &anna.client_user_id)[0].email.as_deref(), Some("a.new@example.org"));
        // Both together, each alone.
        assert_eq!((calls(&app, "users/update"), calls(&app, "users/create")), (3, 2));
        app.assert_clean();
    });
}

#[test]
fn a_user_who_vanishes_is_registered_again_by_the_next_sync() {
    story(|clock| async move {
        let app = leeds(clock).await;
        let anna = add(&app, "anna@example.org").await;
        app.wait(minutes(1)).await;
        app.sandbox.apple.retire_user(&app.uid, &anna.client_user_id).unwrap();
        app.wait(minutes(13 * 60)).await;
        assert_eq!(statuses(&app, &anna.client_user_id), [UserStatus::Registered]);
        assert_eq!(state(&app, "anna@example.org").await, RegistrationState::Registered);
        app.assert_clean();
    });
}

#[test]
fn what_apple_refuses_for_one_is_told_and_the_others_go_through() {
    crate::error_numbers::task_failure(9635);
    story(|clock| async move {
        let app = leeds(clock).await;
        add(&app, "anna@example.org").await;
        // Refused at once, for all of them.
        add(&app, "bad@localhost").await;
        // Fails later, for itself.
        add_managed(&app, "cleo@example.org", "cleo@elsewhere.example").await;
        add(&app, "dan@example.org").await;
        app.wait(minutes(2)).await;
        for (email, expected) in [
            ("anna@example.org", RegistrationState::Registered),
            ("bad@localhost", RegistrationState::Refused),
            ("cleo@example.org", RegistrationState::Refused),
            ("dan@example.org", RegistrationState::Registered),
        ] {
            assert_eq!(state(&app, email).await, expected, "{email}");
        }
        let bad = place(&app, "bad@localhost").await;
        assert!(bad.problem.contains("(9717)") && bad.advice.contains("--email"), "{bad:?}");
        let cleo = place(&app, "cleo@example.org").await;
        assert!(cleo.problem.contains("(9635)") && cleo.advice.contains("--managed-apple-account"), "{cleo:?}");
        assert_eq!(open_alerts(&app).await.iter().filter(|alert| alert.kind == "user-refused").count(), 2);
        let sent = calls(&app, "users/create");
        app.wait(minutes(3 * 24 * 60)).await;
        assert_eq!(calls(&app, "users/create"), sent, "not repeated unchanged");
        edit(&app, "bad@localhost", "good@example.org").await;
        let none = UserEditRequest { managed_account: Some(String::new()), ..UserEditRequest::default() };
        users::edit(&app.context, "cleo@example.org".into(), none, "test").await.unwrap();
        app.wait(minutes(2)).await;
        for email in ["good@example.org", "cleo@example.org"] {
            assert_eq!(state(&app, email).await, RegistrationState::Registered, "{email}");
        }
        assert_eq!(open_alerts(&app).await, []);
        app.assert_clean();
    });
}

#[test]
fn an_account_that_another_mdm_has_linked_is_told_and_tried_again_when_it_is_free() {
    crate::error_numbers::task_failure(9641);
    crate::lessons::lesson(21);
    story(|clock| async move {
        let app = App::start(clock, &[(READER, 10)]).await;
        let theirs = NewUser::associated("theirs", "lena@managed.example");
        app.sandbox.apple.add_user_record(&app.uid, theirs).unwrap();
        app.add_token("Leeds", false).await.unwrap();
        add_managed(&app, "lena@example.org", "lena@managed.example").await;
        app.wait(minutes(1)).await;
        let lena = place(&app, "lena@example.org").await;
        assert!(lena.problem.contains("(9641)") && lena.advice.contains("foreign-users"), "{lena:?}");
        foreign::retire(&app.context, "Leeds".into(), ForeignRetireRequest { count: 1 }, "test").await.unwrap();
        app.wait(minutes(1)).await;
        add(&app, "lena@example.org").await;
        app.wait(minutes(1)).await;
        assert_eq!(state(&app, "lena@example.org").await, RegistrationState::Associated);
        app.assert_clean();
    });
}

#[test]
fn a_lower_limit_of_apple_is_kept_to() {
    story(|clock| async move {
        let app = leeds(clock).await;
        // The limits are believed for some minutes.
        app.sandbox.apple.patch_limits(json!({"maxUsers": 7}).as_object().unwrap().clone()).unwrap();
        for number in 0..20 {
            add(&app, &format!("person{number}@example.org")).await;
        }
        app.wait(minutes(3)).await;
        let all = users::list(&app.context).await.unwrap();
        assert!(all.iter().all(|user| user.registrations[0].state == RegistrationState::Registered));
        assert!(calls(&app, "users/create") <= 4, "once too many, then three");
        app.assert_clean();
    });
}

/// vppd ends between the intention and Apple's answer.
fn killed_between(fault: Fault, carried_out: bool) {
    story(|clock| async move {
        let mut app = leeds(clock).await;
        let ids =
            [add(&app, "anna@example.org").await, add(&app, "ben@example.org").await].map(|user| user.client_user_id);
        app.sandbox.apple.add_fault(next("users/create", fault)).unwrap();
        app.wait(Duration::from_secs(10)).await;
        assert_eq!(calls(&app, "users/create"), 1, "asked, and nobody answers");
        app.restart().await;
        app.wait(minutes(8)).await;
        let early = calls(&app, "users/create");
        assert_eq!(early, 1, "Apple may still be working on it");
        app.wait(minutes(20)).await;
        assert_eq!(calls(&app, "users/create"), if carried_out { 1 } else { 2 });
        for id in &ids {
            assert_eq!(statuses(&app, id), [UserStatus::Registered]);
            assert_eq!(state(&app, id).await, RegistrationState::Registered);
        }
        let errors = app.sandbox.apple.counters().errors;
        assert_eq!(errors.get(&9716), None, "nobody is registered twice");
        app.assert_clean();
    });
}

#[test]
fn killed_after_apple_had_heard_it_the_listing_tells() {
    killed_between(Fault::SilentAfterEffect, true);
}

#[test]
fn killed_before_apple_had_heard_it_the_request_is_made_again_after_a_while() {
    killed_between(Fault::SilentBeforeEffect, false);
}

#[test]
fn a_lost_answer_repeats_nothing_blindly() {
    story(|clock| async move {
        let app = leeds(clock).await;
        for (endpoint, fault) in [
            ("users/create", Fault::ClosedAfterEffect),
            ("users/update", Fault::TruncatedJson),
            ("users/retire", Fault::InternalError),
        ] {
            app.sandbox.apple.add_fault(next(endpoint, fault)).unwrap();
        }
        let id = add(&app, "anna@example.org").await.client_user_id;
        app.wait(minutes(5)).await;
        assert_eq!(state(&app, &id).await, RegistrationState::Registered);
        edit(&app, &id, "new@example.org").await;
        app.wait(minutes(5)).await;
        assert_eq!(place(&app, &id).await.apple_email, "new@example.org");
        retire(&app, &id).await;
        app.wait(minutes(5)).await;
        assert_eq!(state(&app, &id).await, RegistrationState::Retiring, "Apple may have heard it");
        app.wait(minutes(15)).await;
        assert_eq!(state(&app, &id).await, RegistrationState::Retired);
        let counts = ["users/create", "users/update", "users/retire"].map(|endpoint| calls(&app, endpoint));
        assert_eq!(counts, [1, 1, 2]);
        app.assert_clean();
    });
}

#[test]
fn an_event_that_apple_has_forgotten_is_settled_by_the_listing() {
    story(|clock| async move {
        let app = leeds(clock).await;
        switch(&app, json!({"event-ttl-seconds": 1}));
        add(&app, "anna@example.org").await;
        app.wait(minutes(5)).await;
        assert_eq!(state(&app, "anna@example.org").await, RegistrationState::Registered);
        assert_eq!(calls(&app, "users/create"), 1);
        app.assert_clean();
    });
}

#[test]
fn with_an_older_database_who_is_there_is_ours_and_who_is_gone_comes_back() {
    crate::lessons::lesson(18);
    story(|clock| async move {
        let mut app = leeds(clock).await;
        let anna = add(&app, "anna@example.org").await;
        app.wait(minutes(1)).await;
        pause::pause(&app.context, PauseRequest::default(), "test").await.unwrap();
        let ben = add(&app, "ben@example.org").await;
        let older = app.path("older.db");
        app.context.store.copy_to(&older).await.unwrap();
        pause::resume(&app.context, "test").await.unwrap();
        let cleo = add(&app, "cleo@example.org").await;
        retire(&app, "anna@example.org").await;
        app.wait(minutes(2)).await;
        assert_eq!(state(&app, "ben@example.org").await, RegistrationState::Registered);
        app.end().await;
        std::fs::rename(older, app.path("state/vppd.db")).unwrap();
        for beside in ["state/vppd.db-wal", "state/vppd.db-shm"] {
            let _ = std::fs::remove_file(app.path(beside));
        }
        app.begin().await;
        pause::resume(&app.context, "test").await.unwrap();
        // The database does not know that ben was registered, nor that anna was retired.
        edit(&app, "anna@example.org", "a.new@example.org").await;
        app.wait(minutes(3)).await;
        for (user, email) in [(&anna, "a.new@example.org"), (&ben, "ben@example.org")] {
            let records = at_apple(&app, &user.client_user_id);
            assert_eq!((records.len(), records[0].status), (1, UserStatus::Registered), "{email}");
            assert_eq!(records[0].email.as_deref(), Some(email));
            assert_eq!(state(&app, email).await, RegistrationState::Registered, "{email}");
        }
        // Whom it does not know at all is treated as another's.
        read_all(&app).await;
        let found = foreign::list(&app.context, "Leeds".into()).await.unwrap();
        assert_eq!(found.users.iter().map(|user| &user.client_user_id).collect::<Vec<_>>(), [&cleo.client_user_id]);
        assert_eq!(statuses(&app, &cleo.client_user_id), [UserStatus::Registered]);
        app.assert_clean();
    });
}

#[test]
fn a_version_that_apple_has_forgotten_leads_to_a_whole_listing() {
    story(|clock| async move {
        let app = leeds(clock).await;
        let id = add(&app, "anna@example.org").await.client_user_id;
        app.wait(minutes(1)).await;
        accept(&app, &id, "anna@home.example").await;
        let before = calls(&app, "users");
        app.sandbox.apple.add_fault(next("users", says(9721))).unwrap();
        app.wait(minutes(13 * 60)).await;
        assert_eq!(state(&app, &id).await, RegistrationState::Associated);
        assert!(calls(&app, "users") >= before + 2);
        app.assert_clean();
    });
}

#[test]
fn a_listing_that_never_holds_still_proves_nobody_gone() {
    story(|clock| async move {
        let app = leeds(clock).await;
        for number in 0..5 {
            app.sandbox.apple.add_user(&app.uid, &format!("theirs-{number}")).unwrap();
        }
        add(&app, "anna@example.org").await;
        app.wait(minutes(1)).await;
        switch(&app, json!({"page-size": 2, "version-churn": "version"}));
        read_all(&app).await;
        switch(&app, json!({"page-size": 500, "version-churn": "off"}));
        assert_eq!(foreign::list(&app.context, "Leeds".into()).await.unwrap().users.len(), 5);
        assert_eq!(state(&app, "anna@example.org").await, RegistrationState::Registered);
        assert_eq!(calls(&app, "users/create"), 1);
    });
}

#[test]
fn with_a_listing_that_lags_behind_everything_still_comes_right() {
    story(|clock| async move {
        let app = leeds(clock).await;
        switch(&app, json!({"lag-seconds": 90}));
        let id = add(&app, "anna@example.org").await.client_user_id;
        app.wait(minutes(1)).await;
        assert_eq!(state(&app, &id).await, RegistrationState::Registered);
        app.wait(minutes(5)).await;
        let shown = users::show(&app.context, id.clone(), true, "test").await.unwrap();
        assert!(shown.registrations[0].invitation.is_some(), "the list has caught up, and was read again");
        let reads = calls(&app, "users");
        app.wait(minutes(120)).await;
        assert_eq!(calls(&app, "users"), reads, "nothing is missing any more");
        edit(&app, &id, "new@example.org").await;
        read_all(&app).await;
        app.wait(minutes(60)).await;
        read_all(&app).await;
        assert_eq!(statuses(&app, &id), [UserStatus::Registered]);
        let anna = place(&app, &id).await;
        assert_eq!((anna.state, anna.apple_email.as_str()), (RegistrationState::Registered, "new@example.org"));
        assert!(calls(&app, "users/create") <= 2 && calls(&app, "users/update") <= 2);
    });
}

#[test]
fn a_user_who_is_registered_already_under_our_id_is_ours_and_no_error() {
    crate::error_numbers::task_failure(9716);
    story(|clock| async move {
        let app = leeds(clock).await;
        let york = app.sandbox.apple.add_location(NewLocation { name: "York".into(), ..NewLocation::default() });
        let content = app.sandbox.apple.add_token(&york, jiff::SignedDuration::from_hours(24 * 300)).unwrap();
        let request = TokenAddRequest { name: "York".into(), content, take_over: false };
        tokens::add(&app.context, request, "test").await.unwrap();
        let anna = add(&app, "anna@example.org").await;
        app.wait(minutes(2)).await;
        // An earlier vppd had registered her in York, and this one has not read York since.
        app.sandbox.apple.add_user(&york, &anna.client_user_id).unwrap();
        let request = UserAddRequest { location: "York".into(), ..wish("anna@example.org") };
        users::add(&app.context, request, "test").await.unwrap();
        app.wait(minutes(5)).await;
        let states: Vec<_> =
            show(&app, "anna@example.org").await.registrations.iter().map(|place| place.state).collect();
        assert_eq!(states, [RegistrationState::Registered; 2]);
        let records = app.sandbox.apple.location(&york).unwrap().users;
        assert_eq!(records.len(), 1);
        assert_eq!(records[0].email.as_deref(), Some("anna@example.org"), "her address is told once more");
        assert_eq!(open_alerts(&app).await, []);
    });
}
