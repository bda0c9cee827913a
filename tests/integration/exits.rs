//! Licences come back though nobody says that they may: each way out has a deadline.

use std::time::Duration;

use sandbox::apns::{AnswerRule, PushAnswer};
use sandbox::device::Person;
use vppd::clock::Clock;
use vppd::operations::deployments;
use vppd::operations::view::*;
use vppd::store::StoreError;

use crate::support::*;

const READER: &str = "1600000011";

fn days(count: u64) -> Duration {
    Duration::from_secs(24 * 3600 * count)
}

/// An appliance with short deadlines.
async fn start(clock: Clock, licences: i64) -> App {
    let deadlines = "[licences]\noffline-limit = \"3d\"\nsilent-after = \"8d\"\nrejected-after = \"2d\"\n";
    App::start_with(clock, &[(READER, licences)], |text| format!("{text}{deadlines}")).await
}

async fn sql(app: &App, statement: &str) {
    let statement = statement.to_owned();
    let done = app.context.store.write(move |w| -> Result<(), StoreError> { Ok(w.execute_batch(&statement)?) });
    done.await.unwrap();
    app.context.plan_now.notify_one();
}

#[test]
fn a_declined_install_gives_its_licence_back_after_a_while_and_does_not_ask_again_by_itself() {
    story(|clock| async move {
        let app = start(clock, 4).await;
        app.add_token("Leeds", false).await.unwrap();
        let mut specs = devices(0, 1);
        let serial = specs[0].serial.clone();
        specs[0].supervised = false;
        specs[0].person = Person::Decline { after: Duration::from_secs(30) };
        app.enrol(specs).await;
        app.deploy(READER, "all-devices", PurposeView::Required).await;
        app.wait(days(1)).await;
        assert_eq!(app.stages(READER).await, counts([(Stage::Rejected, 1)]));
        assert_eq!(app.holders(READER).len(), 1);
        let told = cli(&app, &["plan", "--explain", &serial]).await;
        let text = String::from_utf8(told.stdout).unwrap();
        assert!(text.contains("Decided by: deployment 1: the app shall be there"), "{text}");
        assert!(text.contains("The licence goes back at the latest"), "{text}");
        assert!(text.contains("required for all devices, licence device: decides"), "{text}");
        app.wait(days(2)).await;
        assert_eq!(app.holders(READER).len(), 0);
        app.wait(days(2)).await;
        assert_eq!((app.stages(READER).await, app.holders(READER).len()), (counts([(Stage::Rejected, 1)]), 0));
        assert_eq!(app.fleet.view()[0].counters.commands["InstallApplication"], 1);
        // A newer deployment asks once more.
        app.deploy(READER, &format!("serial:{serial}"), PurposeView::Required).await;
        app.wait(Duration::from_secs(3600)).await;
        assert_eq!(app.fleet.view()[0].counters.commands["InstallApplication"], 2);
        app.assert_clean();
    });
}

#[test]
fn a_removal_that_no_device_confirms_gives_its_licence_back_after_the_offline_limit() {
    story(|clock| async move {
        let app = start(clock, 4).await;
        app.add_token("Leeds", false).await.unwrap();
        app.enrol(devices(0, 1)).await;
        let deployment = app.deploy(READER, "all-devices", PurposeView::Required).await;
        app.wait(minutes(30)).await;
        assert_eq!(app.stages(READER).await, counts([(Stage::Installed, 1)]));
        // From now on no push reaches the device.
        let answer = PushAnswer::Canned { status: 200, body: String::new() };
        app.sandbox.apns.add_answer(AnswerRule { answer, token_prefix: None, next: None });
        deployments::remove(&app.context, deployment.id, "test").await.unwrap();
        app.wait(days(2)).await;
        assert_eq!((app.stages(READER).await, app.holders(READER).len()), (counts([(Stage::Removing, 1)]), 1));
        app.wait(days(2)).await;
        assert_eq!(app.holders(READER).len(), 0);
        app.assert_clean();
    });
}

#[test]
fn a_device_that_is_silent_for_too_long_gives_its_licences_back_and_gets_them_again_when_it_comes() {
    story(|clock| async move {
        let app = start(clock, 4).await;
        app.add_token("Leeds", false).await.unwrap();
        app.enrol(devices(0, 1)).await;
        app.deploy(READER, "all-devices", PurposeView::Required).await;
        // A device that is there is asked in time, and is not silent however little there is to do.
        app.wait(days(9)).await;
        assert_eq!((app.stages(READER).await, app.holders(READER).len()), (counts([(Stage::Installed, 1)]), 1));
        let answer = PushAnswer::Canned { status: 200, body: String::new() };
        app.sandbox.apns.add_answer(AnswerRule { answer, token_prefix: None, next: None });
        app.wait(days(9)).await;
        assert_eq!(app.holders(READER).len(), 0);
        let device = app.context.store.read(vppd::store::devices::all).await.unwrap().remove(0);
        app.sandbox.apns.clear_answers();
        app.context.index.saw(device.id, app.clock.now());
        app.context.plan_now.notify_one();
        app.wait(minutes(30)).await;
        assert_eq!((app.stages(READER).await, app.holders(READER).len()), (counts([(Stage::Installed, 1)]), 1));
        app.assert_clean();
    });
}

#[test]
fn a_licence_of_ours_whose_device_is_not_here_any_more_goes_back() {
    story(|clock| async move {
        let app = App::start(clock, &[(READER, 4)]).await;
        app.add_token("Leeds", false).await.unwrap();
        app.enrol(devices(0, 2)).await;
        app.deploy(READER, "all-devices", PurposeView::Required).await;
        app.wait(minutes(30)).await;
        assert_eq!(app.holders(READER).len(), 2);
        sql(&app, "UPDATE identity SET device_id = NULL; DELETE FROM device WHERE id = 1").await;
        app.wait(minutes(30)).await;
        assert_eq!(app.holders(READER).len(), 1);
    });
}

#[test]
fn the_quota_of_a_deployment_is_kept_whatever_is_free() {
    story(|clock| async move {
        let app = App::start(clock, &[(READER, 3)]).await;
        app.add_token("Leeds", false).await.unwrap();
        app.enrol(devices(0, 4)).await;
        app.wait(minutes(5)).await;
        sql(
            &app,
            "INSERT INTO deployment (adam_id, target, purpose, priority, quota, created_at, created_by)
             VALUES ('1600000011', 'all-devices', 'required', 0, 2, 1, 'test')",
        )
        .await;
        app.wait(minutes(30)).await;
        assert_eq!(app.stages(READER).await, counts([(Stage::Installed, 2), (Stage::WaitingForLicence, 2)]));
        let all: Vec<String> = app.fleet.view().into_iter().map(|device| device.serial).collect();
        let waits = all.into_iter().find(|serial| !app.holders(READER).contains(serial)).unwrap();
        app.deploy(READER, &format!("serial:{waits}"), PurposeView::Required).await;
        app.wait(minutes(30)).await;
        assert!(app.holders(READER).contains(&waits), "its own deployment has no quota");
        assert_eq!(app.stages(READER).await, counts([(Stage::Installed, 3), (Stage::WaitingForLicence, 1)]));
        app.assert_clean();
    });
}
