//! Identities come to an end, and devices must not be lost by it: renewal through the channel, in every order in which a device
//! may answer, too late, after a restored backup; revocation; and another authority that takes over.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sandbox::device::{DeviceSpec, Renewal};
use vppd::operations::view::*;
use vppd::operations::{alerts, authorities, enrol, identities};

use crate::support::*;

const APP: &str = "1600000011";

fn days(count: u64) -> Duration {
    minutes(count * 24 * 60)
}

/// Identities of six days.
fn short(text: String) -> String {
    text.replace("[enrolment]\n", "[enrolment]\nidentity-lifetime = \"6d\"\n")
}

fn with(number: u64, renewal: Renewal) -> DeviceSpec {
    let mut spec = DeviceSpec::nth(3, number);
    spec.behaviour.renewal = renewal;
    spec
}

async fn states(app: &App) -> Vec<IdentityState> {
    identities::list(&app.context).await.unwrap().into_iter().map(|it| it.state).collect()
}

fn identity(app: &App, serial: &str) -> Vec<u8> {
    app.fleet.device(serial).unwrap().identity().unwrap()
}

#[test]
fn section_4_9_identities_are_renewed_in_whatever_order_a_device_answers() {
    story(|clock| async move {
        let app = App::start_with(clock, &[(APP, 9), ("1600000012", 9)], short).await;
        app.add_token("Leeds", false).await.unwrap();
        let styles = [Renewal::Smooth, Renewal::AnswersFirst, Renewal::AnswersAsBefore, Renewal::FailsHalfWay];
        let specs: Vec<DeviceSpec> = (1u64..).zip(styles).map(|(number, style)| with(number, style)).collect();
        let serials: Vec<String> = specs.iter().map(|spec| spec.serial.clone()).collect();
        app.enrol(specs).await;
        app.deploy(APP, "all-devices", PurposeView::Required).await;
        app.wait(minutes(90 * 60)).await;
        assert_eq!(app.installed(APP).len(), 4);
        let before: Vec<Vec<u8>> = serials.iter().map(|serial| identity(&app, serial)).collect();
        assert_eq!(states(&app).await, [IdentityState::Good; 4], "not before two thirds of six days");
        app.wait(days(2)).await;
        assert_eq!(states(&app).await, [IdentityState::Good; 4]);
        for (serial, before) in serials.iter().zip(&before) {
            assert_ne!(identity(&app, serial), *before, "{serial} has the old one");
        }
        // Nothing else has changed: what was installed stays so, and what is new arrives.
        let listed = identities::list(&app.context).await.unwrap();
        assert!(
            listed.iter().all(|it| it.expires_at.duration_since(app.clock.now()).as_hours() > 4 * 24),
            "{listed:?}"
        );
        assert_eq!(app.stages(APP).await, counts([(Stage::Installed, 4)]));
        app.deploy("1600000012", "all-devices", PurposeView::Required).await;
        app.wait(minutes(30)).await;
        assert_eq!(app.installed("1600000012").len(), 4);
        for device in app.fleet.view() {
            let installs = device.counters.commands["InstallApplication"];
            assert_eq!(installs, 2, "{}: a renewal installs nothing anew", device.serial);
        }
        app.assert_clean();
    });
}

#[test]
fn section_1_3_a_renewal_does_not_clear_the_queue() {
    story(|clock| async move {
        let app = App::start_with(clock, &[(APP, 1)], short).await;
        app.add_token("Leeds", false).await.unwrap();
        app.enrol(devices(1, 2)).await;
        app.wait(minutes(5)).await;
        let serial = DeviceSpec::nth(3, 1).serial;
        let device = app.fleet.device(&serial).unwrap();
        device.switch(false);
        app.deploy(APP, "all-devices", PurposeView::Required).await;
        let asked = identities::renew(&app.context, serial.clone(), "test").await.unwrap();
        assert_eq!(asked.state, IdentityState::Renewing);
        let again = identities::renew(&app.context, serial.clone(), "test").await.unwrap();
        assert_eq!(again.asked_at, asked.asked_at, "asked once");
        app.wait(minutes(10)).await;
        let before = device.identity();
        device.switch(true);
        app.wait(minutes(120)).await;
        assert_ne!(device.identity(), before);
        assert_eq!(app.installed(APP).len(), 1, "the install that waited was not lost");
        assert_eq!(device.view().counters.commands["InstallProfile"], 1);
        app.assert_clean();
    });
}

/// A device that was off while its identity came to its end, back after `days` of which it was off; whether it is managed
/// again, and how often it was refused.
async fn back_after(app: &App, away: u64) -> (bool, u64) {
    app.add_token("Leeds", false).await.unwrap();
    app.enrol(devices(1, 2)).await;
    app.wait(minutes(5)).await;
    let device = app.fleet.device(&DeviceSpec::nth(3, 1).serial).unwrap();
    device.switch(false);
    app.wait(days(away)).await;
    app.deploy(APP, "all-devices", PurposeView::Required).await;
    let told = alerts::list(&app.context, false).await.unwrap();
    assert!(told.iter().any(|alert| alert.kind == "identity-expiry"), "{told:?}");
    device.switch(true);
    app.wait(days(3)).await;
    let view = device.view();
    assert!(view.enrolled && view.counters.got_401 == 0, "never thrown out");
    (app.installed(APP).len() == 1, view.counters.failures)
}

#[test]
fn an_identity_that_has_ended_is_renewed_before_anything_else() {
    story(|clock| async move {
        let app = App::start_with(clock, &[(APP, 1)], short).await;
        assert_eq!(back_after(&app, 8).await, (true, 0));
        let told = alerts::list(&app.context, false).await.unwrap();
        assert!(!told.iter().any(|alert| alert.kind == "identity-expiry"), "{told:?}");
        app.assert_clean();
    });
}

#[test]
fn an_identity_that_ended_too_long_ago_is_refused_and_the_device_enrols_anew() {
    story(|clock| async move {
        let within = |text| short(text) + "[identity]\nrenew-expired-within = \"1d\"\n";
        let app = App::start_with(clock, &[(APP, 1)], within).await;
        let (managed, refused) = back_after(&app, 8).await;
        assert!(!managed && refused > 0);
        assert_eq!(states(&app).await, [IdentityState::Ended]);
        let spec = DeviceSpec::nth(3, 1);
        app.fleet.device(&spec.serial).unwrap().unenrol().await;
        app.enrol(vec![spec]).await;
        app.wait(minutes(30)).await;
        assert_eq!(app.installed(APP).len(), 1);
        assert_eq!(states(&app).await, [IdentityState::Good]);
    });
}

#[test]
fn a_renewal_survives_the_restore_of_an_older_database() {
    story(|clock| async move {
        let mut app = App::start_with(clock, &[(APP, 1)], short).await;
        app.add_token("Leeds", false).await.unwrap();
        app.enrol(devices(1, 2)).await;
        app.wait(minutes(5)).await;
        app.end().await;
        let (database, kept) = (app.path("state").join("vppd.db"), app.path("kept.db"));
        std::fs::copy(&database, &kept).unwrap();
        app.begin().await;
        let serial = DeviceSpec::nth(3, 1).serial;
        identities::renew(&app.context, serial.clone(), "test").await.unwrap();
        app.wait(minutes(5)).await;
        let renewed = identity(&app, &serial);
        app.end().await;
        std::fs::copy(&kept, &database).unwrap();
        app.begin().await;
        app.deploy(APP, "all-devices", PurposeView::Required).await;
        app.wait(minutes(30)).await;
        assert_eq!(identity(&app, &serial), renewed);
        assert_eq!(app.installed(APP).len(), 1, "its later certificate is of the same enrolment");
        app.assert_clean();
    });
}

#[test]
fn a_revoked_identity_is_good_for_nothing_and_throws_nobody_out() {
    story(|clock| async move {
        let mut app = App::start_with(clock, &[(APP, 2)], short).await;
        app.add_token("Leeds", false).await.unwrap();
        app.enrol(devices(1, 3)).await;
        app.deploy(APP, "all-devices", PurposeView::Required).await;
        app.wait(minutes(30)).await;
        let spec = DeviceSpec::nth(3, 1);
        let device = app.fleet.device(&spec.serial).unwrap();
        let revoked = identities::revoke(&app.context, spec.serial.clone(), "test").await.unwrap();
        assert_eq!(revoked.state, IdentityState::Revoked);
        assert_eq!(
            identities::revoke(&app.context, spec.serial.clone(), "test").await.unwrap_err().code,
            "not-enrolled"
        );
        assert_eq!(states(&app).await, [IdentityState::Good], "the other one");
        app.restart().await;
        let failures = device.view().counters.failures;
        device.wake_by_itself().await;
        assert!(device.view().counters.failures > failures, "refused, after a restart too");
        assert!(device.view().enrolled);
        assert_eq!(app.holders(APP).len(), 2);
        app.wait(minutes(90)).await;
        assert_eq!(app.holders(APP).len(), 1, "its licence went back after an hour");
        device.unenrol().await;
        app.enrol(vec![spec]).await;
        app.wait(minutes(30)).await;
        assert_eq!(app.installed(APP).len(), 2);
        assert_eq!(states(&app).await, [IdentityState::Good; 2]);
    });
}

#[test]
fn section_3_5_another_device_authority_takes_over_and_no_device_is_lost() {
    story(|clock| async move {
        let by_tls = |text: String| {
            let name = format!("client-certificate-name = \"{SECOND_NAME}\"");
            short(in_devices(text, &name)).replace("[enrolment]\n", "[enrolment]\nproof = \"client-certificate\"\n")
        };
        let mut app = App::start_with(clock, &[(APP, 9)], by_tls).await;
        app.add_token("Leeds", false).await.unwrap();
        app.enrol(devices(1, 3)).await;
        let waiting = enrol::make_profile(&app.context, EnrolRequest::default(), "test").await.unwrap();
        let listed = authorities::renew(&app.context, "test").await.unwrap();
        assert_eq!(
            listed.iter().map(|it| (it.present, it.signs_profiles)).collect::<Vec<_>>(),
            [(true, false), (false, true)]
        );
        // A profile that was handed out before names the former one.
        let profile = STANDARD.decode(waiting.profile).unwrap();
        let failures = app.fleet.enrol(&profile, devices(3, 4), 1, |_| ()).await;
        assert!(failures.is_empty(), "{failures:?}");
        app.enrol(devices(4, 5)).await;
        let serials: Vec<String> = (1..5).map(|number| DeviceSpec::nth(3, number).serial).collect();
        let by_the_new = |app: &App| {
            let present = app.context.keys.devices.present();
            let now = app.clock.now();
            let is_its = |serial: &String| present.verify_issued(&identity(app, serial), now, Duration::ZERO).is_ok();
            serials.iter().map(is_its).collect::<Vec<_>>()
        };
        assert_eq!(by_the_new(&app), [false, false, false, true]);
        app.restart().await;
        assert_eq!(authorities::list(&app.context), listed, "both are kept");
        app.deploy(APP, "all-devices", PurposeView::Required).await;
        app.wait(minutes(30)).await;
        assert_eq!(app.installed(APP).len(), 4);
        app.wait(days(5)).await;
        assert_eq!(by_the_new(&app), [true; 4], "each in its time");
        assert_eq!(states(&app).await, [IdentityState::Good; 4]);
        app.assert_clean();
    });
}
