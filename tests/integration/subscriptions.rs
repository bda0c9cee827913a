//! Subscriptions are read with each sync and shown; where there are none, nothing is different.

use sandbox::apple::{Fault, FaultRule, NewSubscription, Often, SubscriptionStatus};
use serde_json::json;
use vppd::operations::view::*;
use vppd::operations::{subscriptions, sync, tokens};

use crate::support::*;

const READER: &str = "1600000011";

fn seats(renewing: u64, expiring: u64) -> SeatsView {
    SeatsView { renewing, expiring }
}

fn bought(adam_id: u64, parent: Option<u64>) -> NewSubscription {
    NewSubscription {
        adam_id,
        parent_adam_id: parent,
        status: SubscriptionStatus::Active,
        period_end: "2027-02-01".parse().unwrap(),
        renewing: 40,
        expiring: 5,
    }
}

async fn synced(app: &App) -> Vec<TaskState> {
    let made = sync::request(&app.context, SyncRequest::default(), "test").await.unwrap();
    app.wait(minutes(3)).await;
    let mut states = Vec::new();
    for task in made {
        states.push(vppd::operations::look::task(&app.context, task.id).await.unwrap().state);
    }
    states
}

#[test]
fn subscriptions_are_listed_page_by_page_with_the_names_of_their_apps() {
    for last in ["absent", "empty-page"] {
        story(|clock| async move {
            let app = App::start(clock, &[(READER, 1)]).await;
            app.sandbox.apple.declare_subscriptions(&app.uid, true).unwrap();
            for number in 0..5 {
                app.sandbox
                    .apple
                    .add_subscription(&app.uid, bought(6_400_000_900 + number, Some(1_600_000_011)))
                    .unwrap();
            }
            app.sandbox.apple.add_subscription(&app.uid, bought(7, None)).unwrap();
            let patch = json!({"last-cursor": last, "page-size": 2});
            app.sandbox.apple.patch_switches(patch.as_object().unwrap().clone()).unwrap();
            app.add_token("Leeds", false).await.unwrap();
            app.wait(minutes(5)).await;
            let listed = subscriptions::list(&app.context, Some("leeds".into())).await.unwrap();
            assert_eq!(listed.len(), 6);
            let expected = SubscriptionView {
                location: "Leeds".into(),
                adam_id: "6400000900".into(),
                name: String::new(),
                parent_adam_id: Some(READER.into()),
                parent_name: "App 1600000011".into(),
                status: "ACTIVE".into(),
                period_end: "2027-02-01".into(),
                assigned: seats(0, 0),
                available: seats(40, 5),
                total: seats(40, 5),
            };
            assert!(listed.contains(&expected), "{listed:?}");
            let calls = app.sandbox.apple.counters().calls;
            assert_eq!(
                calls.keys().filter(|path| path.starts_with("subscriptions")).collect::<Vec<_>>(),
                ["subscriptions"]
            );
            let pages = if last == "absent" { 3 } else { 4 };
            assert_eq!(calls["subscriptions"], pages);
            let table = cli(&app, &["subscription", "list"]).await;
            let table = String::from_utf8_lossy(&table.stdout).into_owned();
            assert!(
                table.contains("App 1600000011") && table.contains("40+5") && table.contains("2027-02-01"),
                "{table}"
            );
            app.assert_clean();
        });
    }
}

#[test]
fn a_service_without_subscriptions_is_synced_as_ever() {
    story(|clock| async move {
        let app = App::start(clock, &[(READER, 1)]).await;
        app.sandbox.apple.patch_switches(json!({"profile-2026": "off"}).as_object().unwrap().clone()).unwrap();
        app.add_token("Leeds", false).await.unwrap();
        app.wait(minutes(5)).await;
        assert_eq!(synced(&app).await, [TaskState::Done]);
        assert!(subscriptions::list(&app.context, None).await.unwrap().is_empty());
        assert_eq!(tokens::show(&app.context, "Leeds".into()).await.unwrap().state, TokenState::Valid);
        assert_eq!(subscriptions::list(&app.context, Some("York".into())).await.unwrap_err().code, "not-found");
        app.assert_clean();
    });
}

#[test]
fn subscriptions_that_cannot_be_read_stay_as_they_were_and_spoil_no_sync() {
    story(|clock| async move {
        let app = App::start(clock, &[(READER, 1)]).await;
        app.sandbox.apple.declare_subscriptions(&app.uid, true).unwrap();
        app.sandbox.apple.add_subscription(&app.uid, bought(7, None)).unwrap();
        app.add_token("Leeds", false).await.unwrap();
        app.wait(minutes(5)).await;
        for fault in [Fault::InternalError, Fault::SilentBeforeEffect, Fault::TruncatedJson, Fault::BadGateway] {
            let rule = FaultRule { endpoint: Some("subscriptions".into()), fault, often: Often::Rate(1.0) };
            app.sandbox.apple.add_fault(rule).unwrap();
            assert_eq!(synced(&app).await, [TaskState::Done]);
            assert_eq!(subscriptions::list(&app.context, None).await.unwrap().len(), 1);
            app.sandbox.apple.clear_faults();
        }
        assert_eq!(synced(&app).await, [TaskState::Done]);
        app.assert_clean();
    });
}
