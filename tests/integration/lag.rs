//! Lists of Apple's that are older than what was done: no licence is given twice because of them, none forgotten, and none
//! believed to be there that is back.

use std::time::Duration;

use sandbox::apple::{AssetName, Fault, FaultRule, NewAsset, NewLocation, Often, Rewriting, TaskError};
use serde_json::json;
use vppd::operations::view::*;
use vppd::operations::{deployments, look, sync, tokens};
use vppd::store::{assignments, locations};

use crate::support::*;

const READER: &str = "1600000011";

/// What Apple lists is 45 seconds old from now on.
fn lag(app: &App, more: serde_json::Value) {
    let mut patch = json!({"lag-seconds": 45}).as_object().unwrap().clone();
    patch.extend(more.as_object().unwrap().clone());
    app.sandbox.apple.patch_switches(patch).unwrap();
}

fn next(app: &App, endpoint: &str, count: u32, fault: Fault) {
    let rule = FaultRule { endpoint: Some(endpoint.into()), fault, often: Often::Next(count) };
    app.sandbox.apple.add_fault(rule).unwrap();
}

/// Apple says that requests have failed, and not for whom.
fn failed_without_names() -> Fault {
    let members =
        json!({"eventStatus": "FAILED", "failures": [{"errorNumber": 9603, "errorMessage": "Internal error"}]});
    Fault::Rewritten(Rewriting::Members(members.as_object().unwrap().clone()))
}

/// A location with licences of an app, and devices that have enrolled.
async fn begin(clock: vppd::clock::Clock, licences: i64) -> App {
    let app = App::start(clock, &[(READER, licences)]).await;
    app.add_token("Leeds", false).await.unwrap();
    app.enrol(devices(0, 4)).await;
    app.wait(minutes(2)).await;
    app
}

/// A second location, whose licences are used after those of the first.
async fn add_york(app: &App, licences: i64) -> String {
    let york = app.sandbox.apple.add_location(NewLocation { name: "York".into(), ..NewLocation::default() });
    app.sandbox.apple.add_asset(&york, NewAsset::app(READER, licences)).unwrap();
    let content = app.sandbox.apple.add_token(&york, jiff::SignedDuration::from_hours(7200)).unwrap();
    let request = TokenAddRequest { name: "York".into(), content, take_over: false };
    tokens::add(&app.context, request, "test").await.unwrap();
    app.wait(minutes(2)).await;
    york
}

fn calls(app: &App, endpoint: &str) -> u64 {
    app.sandbox.apple.counters().calls.get(endpoint).copied().unwrap_or(0)
}

async fn licences(app: &App, state: LicenceState) -> usize {
    app.pairs(READER).await.values().filter(|pair| pair.licence == state).count()
}

/// How many licences are held in all locations, as vppd knows.
async fn held(app: &App) -> u64 {
    look::app(&app.context, READER.into()).await.unwrap().apps.iter().map(|app| app.assigned).sum()
}

/// Waits until so many licences are held, as vppd knows.
async fn until_held(app: &App, count: u64) {
    for _ in 0..1200 {
        if held(app).await == count {
            return;
        }
        app.wait(Duration::from_secs(1)).await;
    }
    panic!("{:?}", app.pairs(READER).await);
}

async fn requests(app: &App) -> Vec<TaskView> {
    look::tasks(&app.context).await.unwrap().into_iter().filter(|task| task.kind == "licences").collect()
}

#[test]
fn what_apple_calls_failed_without_saying_for_whom_is_looked_for_until_a_list_cannot_be_too_old() {
    story(|clock| async move {
        let app = begin(clock, 4).await;
        lag(&app, json!({}));
        next(&app, "status", 100, failed_without_names());
        let deployment = app.deploy(READER, "all-devices", PurposeView::Required).await;
        app.wait(minutes(5)).await;
        assert_eq!(app.stages(READER).await, counts([(Stage::Installed, 4)]), "it had gone through");
        deployments::remove(&app.context, deployment.id, "test").await.unwrap();
        app.wait(minutes(40)).await;
        assert_eq!((app.holders(READER).len(), held(&app).await), (0, 0));
        assert_eq!((calls(&app, "assets/associate"), calls(&app, "assets/disassociate")), (1, 1));
        app.assert_clean();
    });
}

#[test]
fn what_failed_without_being_named_stays_reserved_until_a_list_cannot_be_too_old() {
    story(|clock| async move {
        let app = begin(clock, 4).await;
        next(&app, "assets/associate", 1, Fault::TasksFail(TaskError::Internal));
        next(&app, "status", 10, failed_without_names());
        app.deploy(READER, "all-devices", PurposeView::Required).await;
        app.wait(minutes(1)).await;
        assert_eq!(licences(&app, LicenceState::Requested).await, 4, "Apple's list may be too old");
        assert_eq!(requests(&app).await[0].state, TaskState::Running);
        app.wait(minutes(3)).await;
        assert_eq!(requests(&app).await[0].state, TaskState::Failed);
        app.wait(minutes(30)).await;
        assert_eq!(app.stages(READER).await, counts([(Stage::Installed, 4)]), "asked for again");
        assert_eq!(calls(&app, "assets/associate"), 2);
        app.assert_clean();
    });
}

#[test]
fn whom_apple_names_has_failed_at_once_and_whom_a_list_shows_has_not() {
    story(|clock| async move {
        let app = begin(clock, 4).await;
        // One is gone, and vppd has counted it: Apple names whom it leaves out.
        app.sandbox.apple.assign(&app.uid, &AssetName::standard(READER), "SOMEBODYELSE").unwrap();
        app.deploy(READER, "all-devices", PurposeView::Required).await;
        app.wait(minutes(1)).await;
        let ended = requests(&app).await.remove(0);
        assert_eq!((ended.state, ended.done), (TaskState::Done, 3), "{ended:?}");
        assert_eq!((licences(&app, LicenceState::Assigned).await, licences(&app, LicenceState::None).await), (3, 1));
    });
}

#[test]
fn a_part_that_the_list_shows_goes_on_while_the_rest_is_looked_for() {
    story(|clock| async move {
        let app = begin(clock, 4).await;
        app.sandbox.apple.assign(&app.uid, &AssetName::standard(READER), "SOMEBODYELSE").unwrap();
        next(&app, "status", 100, failed_without_names());
        app.deploy(READER, "all-devices", PurposeView::Required).await;
        app.wait(minutes(1)).await;
        let running = requests(&app).await.remove(0);
        assert_eq!((running.state, running.done, running.total), (TaskState::Running, 3, 4));
        let now = (licences(&app, LicenceState::Assigned).await, licences(&app, LicenceState::Requested).await);
        assert_eq!(now, (3, 1), "the fourth is not called failed before its time");
        app.wait(minutes(4)).await;
        let ended = requests(&app).await.remove(0);
        assert_eq!((ended.state, ended.done), (TaskState::Done, 3));
        assert!(ended.detail.starts_with("3 of 4 licences were assigned; the others: Apple:"), "{}", ended.detail);
        assert_eq!(licences(&app, LicenceState::None).await, 1);
    });
}

#[test]
fn a_lost_request_on_which_apple_works_long_is_not_sent_again_because_a_list_is_old() {
    story(|clock| async move {
        let app = begin(clock, 4).await;
        lag(&app, json!({"chunk-delay-ms": [585_000, 585_000]}));
        next(&app, "assets/associate", 1, Fault::ClosedAfterEffect);
        app.deploy(READER, "all-devices", PurposeView::Required).await;
        app.wait(minutes(40)).await;
        assert_eq!(app.stages(READER).await, counts([(Stage::Installed, 4)]));
        assert_eq!(calls(&app, "assets/associate"), 1);
        app.assert_clean();
    });
}

#[test]
fn a_full_sync_right_after_licences_were_given_drops_none_and_after_their_return_brings_none_back() {
    story(|clock| async move {
        let app = begin(clock, 8).await;
        lag(&app, json!({"delta-removed": "listed"}));
        let deployment = app.deploy(READER, "all-devices", PurposeView::Required).await;
        until_held(&app, 4).await;
        sync::request(&app.context, SyncRequest::default(), "test").await.unwrap();
        app.wait(minutes(10)).await;
        assert_eq!((calls(&app, "assets/associate"), app.holders(READER).len()), (1, 4));
        assert_eq!(app.stages(READER).await, counts([(Stage::Installed, 4)]));
        deployments::remove(&app.context, deployment.id, "test").await.unwrap();
        until_held(&app, 0).await;
        sync::request(&app.context, SyncRequest::default(), "test").await.unwrap();
        app.wait(Duration::from_secs(20)).await;
        assert_eq!(held(&app).await, 0, "they are back");
        let leeds = app.context.store.read(|c| locations::by_name_or_uid(c, "Leeds")).await.unwrap().unwrap();
        assert_eq!(leeds.assignments_version, None, "what has changed since that list includes what came back");
        app.wait(minutes(13 * 60)).await;
        assert_eq!(held(&app).await, 0);
        assert_eq!(calls(&app, "assets/disassociate"), 1);
        app.assert_clean();
    });
}

#[test]
fn the_list_that_settles_a_lost_request_drops_nothing_that_was_given_a_moment_before() {
    story(|clock| async move {
        let app = begin(clock, 8).await;
        lag(&app, json!({"lag-seconds": 90}));
        app.deploy(READER, "all-devices", PurposeView::Required).await;
        until_held(&app, 4).await;
        next(&app, "assets/associate", 1, Fault::ClosedAfterEffect);
        app.enrol(devices(4, 5)).await;
        app.wait(minutes(1)).await;
        assert_eq!(held(&app).await, 4);
        app.wait(minutes(20)).await;
        assert_eq!(app.stages(READER).await, counts([(Stage::Installed, 5)]));
        assert_eq!(calls(&app, "assets/associate"), 2);
        app.assert_clean();
    });
}

#[test]
fn of_two_licences_of_ours_for_one_device_one_goes_back() {
    story(|clock| async move {
        let app = begin(clock, 4).await;
        let york = add_york(&app, 2).await;
        app.deploy(READER, "all-devices", PurposeView::Required).await;
        app.wait(minutes(10)).await;
        let device = devices(0, 1).remove(0).serial;
        app.sandbox.apple.assign(&york, &AssetName::standard(READER), &device).unwrap();
        let holder = vppd::model::Holder::Serial(device.clone());
        let own = move |w: &vppd::store::Write<'_>| -> Result<(), vppd::store::StoreError> {
            let york = locations::by_name_or_uid(w, "York")?.unwrap();
            assignments::own(w, york.id, READER, "STDQ", &holder)
        };
        app.context.store.write(own).await.unwrap();
        sync::request(&app.context, SyncRequest::default(), "test").await.unwrap();
        app.wait(Duration::from_secs(5)).await;
        let why = app.pairs(READER).await[&device].why.clone();
        app.wait(minutes(10)).await;
        assert!(why.contains("York"), "{why}");
        assert!(app.sandbox.apple.location(&york).unwrap().assignments.is_empty());
        assert_eq!((app.holders(READER).len(), calls(&app, "assets/disassociate")), (4, 1));
        assert_eq!(app.stages(READER).await, counts([(Stage::Installed, 4)]));
        app.assert_clean();
    });
}

#[test]
fn a_licence_that_an_old_list_does_not_show_is_not_given_again_by_another_location() {
    story(|clock| async move {
        let app = begin(clock, 2).await;
        add_york(&app, 2).await;
        lag(&app, json!({}));
        app.deploy(READER, "all-devices", PurposeView::Required).await;
        until_held(&app, 4).await;
        app.sandbox.apple.buy(&app.uid, &AssetName::standard(READER), 4).unwrap();
        app.wait(Duration::from_secs(46)).await;
        // Leeds has more by now, and York's list is older than York's licences.
        lag(&app, json!({"lag-seconds": 90}));
        sync::request(&app.context, SyncRequest::default(), "test").await.unwrap();
        app.wait(minutes(20)).await;
        assert_eq!(app.sandbox.apple.counters().second_licences, 0);
        assert_eq!(calls(&app, "assets/associate"), 2);
        assert_eq!(app.stages(READER).await, counts([(Stage::Installed, 4)]));
        app.assert_clean();
    });
}
