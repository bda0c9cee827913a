//! Corners in which a licence or an app could stay where it is for ever, or be asked for over and over: people who turn
//! away, failures at the wrong moment, devices that leave things out.

use std::time::Duration;

use futures_util::FutureExt;
use sandbox::apns::{AnswerRule, PushAnswer};
use sandbox::apple::{AssetName, Fault, FaultRule, MdmInfo, NewAsset, NewLocation, Often, RetryAfter};
use sandbox::device::Person;
use serde_json::json;
use vppd::mdm::checkin::Checkin;
use vppd::mdm::identity::signature::SignerCertificate;
use vppd::operations::view::*;
use vppd::operations::{checkin, deployments, differences, look, pause, sync, tokens};
use vppd::store::StoreError;

use crate::support::*;

const READER: &str = "1600000011";
const FORMS: &str = "1600000022";

fn hours(count: u64) -> Duration {
    Duration::from_secs(3600 * count)
}

fn fault(endpoint: &str, fault: Fault, often: Often) -> FaultRule {
    FaultRule { endpoint: Some(endpoint.into()), fault, often }
}

fn calls(app: &App, endpoint: &str) -> u64 {
    app.sandbox.apple.counters().calls.get(endpoint).copied().unwrap_or(0)
}

async fn sql(app: &App, statement: &'static str) {
    let done = app.context.store.write(move |w| -> Result<(), StoreError> { Ok(w.execute_batch(statement)?) });
    done.await.unwrap();
}

async fn ready(app: &App, count: u64) {
    app.add_token("Leeds", false).await.unwrap();
    app.wait(minutes(1)).await;
    app.enrol(devices(0, count)).await;
    app.wait(minutes(1)).await;
}

#[test]
fn a_sync_that_fails_is_repeated_after_longer_and_longer_pauses() {
    story(|clock| async move {
        let app = App::start(clock, &[(READER, 4)]).await;
        ready(&app, 1).await;
        app.sandbox.apple.revoke_token(&app.token).unwrap();
        let before: u64 = app.sandbox.apple.counters().calls.values().sum();
        app.wait(hours(14)).await;
        let during = app.sandbox.apple.counters().calls.values().sum::<u64>() - before;
        assert!((1..=30).contains(&during), "{during} calls with a token that Apple has revoked");
    });
}

#[test]
fn a_first_sync_that_failed_is_made_up() {
    story(|clock| async move {
        let app = App::start(clock, &[(READER, 4)]).await;
        app.sandbox.apple.add_fault(fault("assets", Fault::InternalError, Often::Next(6))).unwrap();
        ready(&app, 1).await;
        app.deploy(READER, "all-devices", PurposeView::Required).await;
        app.wait(hours(1)).await;
        assert_eq!(app.stages(READER).await, counts([(Stage::Installed, 1)]));
        app.assert_clean();
    });
}

#[test]
fn what_was_saved_is_planned_even_if_nobody_waits_for_the_answer() {
    story(|clock| async move {
        let app = App::start(clock, &[(READER, 4)]).await;
        ready(&app, 1).await;
        let to = "all-devices";
        let request = DeployRequest::new(READER, to, PurposeView::Required);
        // The connection breaks while the database works.
        assert!(deployments::add(&app.context, request, "test").now_or_never().is_none());
        app.wait(minutes(5)).await;
        assert_eq!(app.stages(READER).await, counts([(Stage::Installed, 1)]));
        app.assert_clean();
    });
}

#[test]
fn an_app_whose_name_the_device_never_tells_is_not_asked_for_without_end() {
    story(|clock| async move {
        let app = App::start(clock, &[(READER, 4)]).await;
        ready(&app, 1).await;
        sql(&app, "CREATE TRIGGER mute BEFORE INSERT ON product BEGIN SELECT RAISE(IGNORE); END").await;
        app.deploy(READER, "all-devices", PurposeView::Required).await;
        app.wait(hours(12)).await;
        // In the end the install is repeated, and its answer tells that the app is there.
        assert_eq!(app.stages(READER).await, counts([(Stage::Installed, 1)]));
        let commands = app.fleet.view()[0].counters.commands.clone();
        assert!(commands["ManagedApplicationList"] <= 15, "{commands:?}");
    });
}

#[test]
fn an_answer_of_apple_that_could_not_be_saved_is_found_again() {
    story(|clock| async move {
        let app = App::start(clock, &[(READER, 4)]).await;
        ready(&app, 2).await;
        let broken = "CREATE TRIGGER broken BEFORE UPDATE ON licence_event WHEN NEW.state = 'accepted'
                      BEGIN SELECT RAISE(ABORT, 'the disk'); END";
        sql(&app, broken).await;
        app.deploy(READER, "all-devices", PurposeView::Required).await;
        app.wait(minutes(1)).await;
        sql(&app, "DROP TRIGGER broken").await;
        app.wait(minutes(30)).await;
        assert_eq!(app.stages(READER).await, counts([(Stage::Installed, 2)]));
        assert_eq!(calls(&app, "assets/associate"), 1);
        app.assert_clean();
    });
}

#[test]
fn an_event_whose_status_apple_cannot_tell_is_settled_by_a_listing() {
    story(|clock| async move {
        let app = App::start(clock, &[(READER, 4)]).await;
        ready(&app, 2).await;
        app.sandbox.apple.add_fault(fault("status", Fault::InternalError, Often::Rate(1.0))).unwrap();
        app.deploy(READER, "all-devices", PurposeView::Required).await;
        app.wait(hours(1)).await;
        assert_eq!(app.stages(READER).await, counts([(Stage::Installed, 2)]));
        assert_eq!(calls(&app, "assets/associate"), 1);
        app.assert_clean();
    });
}

#[test]
fn a_listing_that_never_holds_still_settles_a_lost_request_in_the_end() {
    story(|clock| async move {
        let app = App::start(clock, &[(READER, 4), (FORMS, 4), ("1600000033", 1)]).await;
        ready(&app, 4).await;
        app.deploy(READER, "all-devices", PurposeView::Required).await;
        app.wait(minutes(5)).await;
        let churn = json!({"page-size": 2, "version-churn": "version"});
        app.sandbox.apple.patch_switches(churn.as_object().unwrap().clone()).unwrap();
        let lost = fault("assets/associate", Fault::ClosedBeforeEffect, Often::Next(1));
        app.sandbox.apple.add_fault(lost).unwrap();
        app.deploy(FORMS, "all-devices", PurposeView::Required).await;
        app.wait(hours(2)).await;
        assert_eq!(app.stages(FORMS).await, counts([(Stage::Installed, 4)]));
        app.assert_clean();
    });
}

#[test]
fn a_new_deployment_asks_a_person_again_who_declined_an_older_one() {
    story(|clock| async move {
        let app = App::start(clock, &[(READER, 4)]).await;
        app.add_token("Leeds", false).await.unwrap();
        let mut specs = devices(0, 1);
        specs[0].supervised = false;
        specs[0].person = Person::Decline { after: Duration::from_secs(30) };
        app.enrol(specs).await;
        let first = app.deploy(READER, "all-devices", PurposeView::Required).await;
        app.wait(hours(2)).await;
        assert_eq!(app.stages(READER).await, counts([(Stage::Rejected, 1)]));
        deployments::remove(&app.context, first.id, "test").await.unwrap();
        app.wait(minutes(10)).await;
        assert_eq!(app.holders(READER).len(), 0);
        app.deploy(READER, "all-devices", PurposeView::Required).await;
        app.wait(hours(2)).await;
        assert_eq!(app.fleet.view()[0].counters.commands["InstallApplication"], 2);
        app.assert_clean();
    });
}

#[test]
fn a_device_that_enrols_again_keeps_its_licence_meanwhile_but_not_for_ever() {
    story(|clock| async move {
        let app = App::start(clock, &[(READER, 4)]).await;
        ready(&app, 1).await;
        app.deploy(READER, "all-devices", PurposeView::Required).await;
        app.wait(minutes(10)).await;
        assert_eq!(app.holders(READER).len(), 1);
        let spec = app.fleet.devices()[0].spec().clone();
        let message = format!(
            "<plist version=\"1.0\"><dict><key>MessageType</key><string>Authenticate</string><key>UDID</key>\
             <string>{}</string><key>SerialNumber</key><string>{}</string><key>Topic</key>\
             <string>com.apple.mgmt.x</string></dict></plist>",
            spec.udid, spec.serial
        );
        let signer = app.context.store.read(|c| -> Result<SignerCertificate, StoreError> {
            Ok(c.query_row("SELECT certificate, fingerprint FROM identity", [], |row| {
                Ok(SignerCertificate { der: row.get(0)?, fingerprint: row.get(1)? })
            })?)
        });
        let message = Checkin::read(message.as_bytes(), 10_000).unwrap();
        let answer = checkin::handle(&app.context, message, &signer.await.unwrap(), None).await.unwrap();
        assert_eq!(answer, checkin::Answer::Done);
        app.wait(minutes(5)).await;
        assert_eq!(calls(&app, "assets/disassociate"), 0, "it is about to come back");
        app.wait(hours(3)).await;
        assert_eq!(app.holders(READER).len(), 0, "it never came back");
    });
}

#[test]
fn what_was_intended_before_a_pause_is_not_sent_during_it() {
    story(|clock| async move {
        let app = App::start(clock, &[(READER, 4)]).await;
        ready(&app, 2).await;
        let away = fault("client/config", Fault::Unavailable(RetryAfter::Seconds(90)), Often::Rate(1.0));
        app.sandbox.apple.add_fault(away).unwrap();
        app.deploy(READER, "all-devices", PurposeView::Required).await;
        app.wait(minutes(1)).await;
        pause::pause(&app.context, PauseRequest { reason: "exam week".into() }, "test").await.unwrap();
        app.sandbox.apple.clear_faults();
        app.wait(hours(1)).await;
        assert_eq!(app.holders(READER).len(), 0);
        pause::resume(&app.context, "test").await.unwrap();
        app.wait(minutes(10)).await;
        assert_eq!(app.stages(READER).await, counts([(Stage::Installed, 2)]));
        app.assert_clean();
    });
}

#[test]
fn a_licence_that_was_freed_by_other_hands_goes_to_who_waits_for_it() {
    story(|clock| async move {
        let app = App::start(clock, &[(READER, 2)]).await;
        for serial in ["F000000001", "F000000002"] {
            app.sandbox.apple.assign(&app.uid, &AssetName::standard(READER), serial).unwrap();
        }
        ready(&app, 1).await;
        app.deploy(READER, "all-devices", PurposeView::Required).await;
        app.wait(minutes(10)).await;
        assert_eq!(app.stages(READER).await, counts([(Stage::WaitingForLicence, 1)]));
        app.sandbox.apple.unassign(&app.uid, &AssetName::standard(READER), "F000000001").unwrap();
        app.wait(minutes(20)).await;
        assert_eq!(app.stages(READER).await, counts([(Stage::Installed, 1)]));
        app.assert_clean();
    });
}

#[test]
fn an_app_that_was_still_loading_is_not_called_installed_when_its_removal_is_taken_back() {
    story(|clock| async move {
        let app = App::start(clock, &[(READER, 4)]).await;
        app.add_token("Leeds", false).await.unwrap();
        let mut specs = devices(0, 1);
        specs[0].timing.installing = hours(10);
        app.enrol(specs).await;
        let first = app.deploy(READER, "all-devices", PurposeView::Required).await;
        app.wait(minutes(30)).await;
        assert_eq!(app.stages(READER).await, counts([(Stage::Installing, 1)]));
        let silence = AnswerRule { answer: PushAnswer::ServiceUnavailable, token_prefix: None, next: None };
        app.sandbox.apns.add_answer(silence);
        deployments::remove(&app.context, first.id, "test").await.unwrap();
        app.wait(Duration::from_secs(5)).await;
        app.deploy(READER, "all-devices", PurposeView::Required).await;
        app.wait(Duration::from_secs(5)).await;
        assert_eq!(app.stages(READER).await, counts([(Stage::Installing, 1)]));
        app.sandbox.apns.clear_answers();
        app.wait(hours(12)).await;
        assert_eq!(app.stages(READER).await, counts([(Stage::Installed, 1)]));
        app.assert_clean();
    });
}

#[test]
fn a_licence_that_others_gave_is_left_alone_though_vppd_once_failed_to_give_it() {
    story(|clock| async move {
        let app = App::start(clock, &[(READER, 4)]).await;
        ready(&app, 1).await;
        let other = MdmInfo { id: "another".into(), name: "Old MDM".into(), metadata: "x".into() };
        app.sandbox.apple.take_over(&app.uid, other).unwrap();
        let deployment = app.deploy(READER, "all-devices", PurposeView::Required).await;
        app.wait(minutes(10)).await;
        deployments::remove(&app.context, deployment.id, "test").await.unwrap();
        let serial = app.fleet.devices()[0].spec().serial.clone();
        app.sandbox.apple.assign(&app.uid, &AssetName::standard(READER), &serial).unwrap();
        tokens::manage::take_over(&app.context, "Leeds".into(), "test").await.unwrap();
        app.wait(minutes(10)).await;
        sync::request(&app.context, SyncRequest::default(), "test").await.unwrap();
        app.wait(minutes(10)).await;
        assert_eq!(app.holders(READER).len(), 1, "not ours to take");
        app.assert_clean();
    });
}

#[test]
fn of_two_licences_of_a_device_only_our_own_goes_back() {
    story(|clock| async move {
        let app = App::start(clock, &[(READER, 4)]).await;
        ready(&app, 1).await;
        // Another location, whose licences are used first.
        let york = NewLocation { name: "York".into(), ..NewLocation::default() };
        let york = app.sandbox.apple.add_location(york);
        app.sandbox.apple.add_asset(&york, NewAsset::app(READER, 4)).unwrap();
        let content = app.sandbox.apple.add_token(&york, jiff::SignedDuration::from_hours(7200)).unwrap();
        let request = TokenAddRequest { name: "York".into(), content, take_over: false };
        tokens::add(&app.context, request, "test").await.unwrap();
        let order = TokenOrderRequest { order: vec!["York".into(), "Leeds".into()] };
        tokens::manage::order(&app.context, order, "test").await.unwrap();
        let deployment = app.deploy(READER, "all-devices", PurposeView::Required).await;
        app.wait(minutes(10)).await;
        assert_eq!(app.stages(READER).await, counts([(Stage::Installed, 1)]));
        // Somebody gives the same device a licence of the other location.
        let serial = app.installed(READER).into_iter().next().unwrap();
        app.sandbox.apple.assign(&app.uid, &AssetName::standard(READER), &serial).unwrap();
        sync::request(&app.context, SyncRequest::default(), "test").await.unwrap();
        app.wait(minutes(10)).await;
        let rows = differences::report(&app.context, None).await.unwrap();
        let rows: Vec<_> = rows.iter().map(|row| (row.cause, row.location.as_deref().unwrap_or_default())).collect();
        assert_eq!(rows, [(CauseView::AssignedOutside, "Leeds")]);
        deployments::remove(&app.context, deployment.id, "test").await.unwrap();
        app.wait(hours(1)).await;
        assert_eq!(app.sandbox.apple.location(&york).unwrap().assignments, [], "ours went back");
        assert_eq!(app.holders(READER), std::collections::BTreeSet::from([serial]), "theirs stays");
        app.assert_clean();
    });
}

#[test]
fn a_sync_that_waited_behind_an_interrupted_one_is_done_after_a_restart() {
    story(|clock| async move {
        let mut app = App::start(clock, &[(READER, 4)]).await;
        ready(&app, 1).await;
        app.end().await;
        let store = rusqlite::Connection::open(app.path("state").join("vppd.db")).unwrap();
        let task =
            "INSERT INTO task (kind, location_id, subject, state, created_at) VALUES ('sync', 1, 'Leeds', ?1, 0)";
        for state in ["running", "waiting"] {
            store.execute(task, [state]).unwrap();
        }
        drop(store);
        app.begin().await;
        app.wait(minutes(5)).await;
        let tasks = look::tasks(&app.context).await.unwrap();
        assert!(tasks.iter().all(|task| task.state == TaskState::Done), "{tasks:?}");
    });
}
