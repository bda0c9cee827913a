//! Apple being slow, failing, losing replies and failing halfway: nothing is lost and nothing is done twice.

use std::time::Duration;

use sandbox::apple::{AssetName, Fault, FaultRule, Often, RetryAfter};
use vppd::operations::view::*;
use vppd::operations::{deployments, look, sync, tasks};

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
fn a_request_that_never_arrived_is_sent_again_after_its_time_and_a_listing() {
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

#[test]
fn each_request_to_apple_is_a_task_that_ends_with_what_came_out() {
    story(|clock| async move {
        let app = App::start(clock, &[(READER, 2)]).await;
        app.add_token("Leeds", false).await.unwrap();
        app.enrol(devices(0, 2)).await;
        app.wait(minutes(5)).await;
        // vppd has counted two and does not know that one is gone.
        app.sandbox.apple.assign(&app.uid, &AssetName::standard(READER), "SOMEBODYELSE").unwrap();
        let deployment = app.deploy(READER, "all-devices", PurposeView::Required).await;
        app.wait(Duration::from_secs(3)).await;
        let of_licences = async || {
            let tasks = look::tasks(&app.context).await.unwrap();
            tasks.into_iter().filter(|task| task.kind == "licences").collect::<Vec<_>>()
        };
        let running = of_licences().await.remove(0);
        assert_eq!((running.state, running.total, running.subject.as_str()), (TaskState::Running, 2, "Leeds"));
        assert_eq!(tasks::cancel(&app.context, running.id, "test").await.unwrap_err().code, "task-follows");
        app.wait(minutes(30)).await;
        let ended = of_licences().await.pop().unwrap();
        assert_eq!((ended.state, ended.done), (TaskState::Done, 1));
        assert!(ended.detail.starts_with("1 of 2 licences were assigned; the others: Apple:"), "{}", ended.detail);
        app.sandbox.apple.add_fault(next("assets/disassociate", 1, Fault::Withdrawn)).unwrap();
        deployments::remove(&app.context, deployment.id, "test").await.unwrap();
        app.wait(minutes(10)).await;
        let failed = of_licences().await.into_iter().find(|task| task.state == TaskState::Failed).unwrap();
        let error = failed.error.unwrap();
        assert!(error.message.starts_with("0 of 1 licences were taken back"), "{error:?}");
        assert!(error.message.contains("9634") && error.advice.contains("vppd plan"), "{error:?}");
    });
}
