//! Apple being slow, failing, losing replies and failing halfway: nothing is lost and nothing is done twice.

use std::time::Duration;

use sandbox::apple::{Fault, FaultRule, Often, RetryAfter};
use vppd::operations::sync;
use vppd::operations::view::*;

use crate::support::*;

const READER: &str = "1600000011";

fn next(endpoint: &str, count: u32, fault: Fault) -> FaultRule {
    FaultRule { endpoint: Some(endpoint.into()), fault, often: Often::Next(count) }
}

async fn serve_four(app: &App) {
    app.add_token("Leeds", false).await.unwrap();
    app.enrol(devices(0, 4)).await;
    app.wait(minutes(2)).await;
    app.deploy(READER, "all-devices", PurposeView::Required).await;
}

#[test]
fn a_lost_reply_is_settled_by_a_listing_and_not_sent_twice() {
    story(|clock| async move {
        let app = App::start(clock, &[(READER, 4)]).await;
        app.sandbox.apple.add_fault(next("assets/associate", 1, Fault::ClosedAfterEffect)).unwrap();
        serve_four(&app).await;
        app.wait(minutes(30)).await;
        assert_eq!(app.stages(READER).await, counts([(Stage::Installed, 4)]));
        assert_eq!(app.sandbox.apple.counters().calls["assets/associate"], 1);
        app.assert_clean();
    });
}

#[test]
fn a_request_that_never_arrived_is_sent_again_after_ten_minutes_and_a_listing() {
    story(|clock| async move {
        let app = App::start(clock, &[(READER, 4)]).await;
        app.sandbox.apple.add_fault(next("assets/associate", 1, Fault::ClosedBeforeEffect)).unwrap();
        serve_four(&app).await;
        app.wait(minutes(9)).await;
        assert_eq!(app.holders(READER).len(), 0, "Apple might still be working on it");
        app.wait(minutes(20)).await;
        assert_eq!(app.stages(READER).await, counts([(Stage::Installed, 4)]));
        app.assert_clean();
    });
}

#[test]
fn failing_and_throttling_delay_and_lose_nothing() {
    story(|clock| async move {
        let app = App::start(clock, &[(READER, 4)]).await;
        for rule in [
            next("assets/associate", 2, Fault::Unavailable(RetryAfter::Seconds(90))),
            next("status", 2, Fault::InternalError),
            next("assignments", 1, Fault::TruncatedJson),
            next("assets", 1, Fault::BadGateway),
        ] {
            app.sandbox.apple.add_fault(rule).unwrap();
        }
        serve_four(&app).await;
        app.wait(minutes(60)).await;
        assert_eq!(app.stages(READER).await, counts([(Stage::Installed, 4)]));
        app.assert_clean();
    });
}

#[test]
fn a_licence_taken_outside_is_noticed_and_given_again() {
    story(|clock| async move {
        let app = App::start(clock, &[(READER, 4)]).await;
        serve_four(&app).await;
        app.wait(minutes(10)).await;
        let victim = app.holders(READER).into_iter().next().unwrap();
        app.sandbox.apple.unassign(&app.uid, &sandbox::apple::AssetName::standard(READER), &victim).unwrap();
        sync::request(&app.context, SyncRequest::default(), "test").await.unwrap();
        app.wait(minutes(10)).await;
        assert!(app.holders(READER).contains(&victim));
        app.assert_clean();
    });
}

#[test]
fn a_day_of_syncs_takes_few_calls() {
    story(|clock| async move {
        let app = App::start(clock, &[(READER, 4)]).await;
        serve_four(&app).await;
        app.wait(Duration::from_secs(24 * 3600)).await;
        let mut calls = app.sandbox.apple.counters().calls;
        // The stores, which tell what apps are called, are another service.
        calls.retain(|endpoint, _| !["artwork", "metadata/lookup", "public/lookup"].contains(&endpoint.as_str()));
        assert!(calls.values().sum::<u64>() <= 20, "{calls:?}");
        app.assert_clean();
    });
}
