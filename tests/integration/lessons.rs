//! What projects that work with Apple's service fell over, as they told in public: each is a story here or elsewhere, and
//! none is missing. A story prints the lesson that it covers.

use std::path::Path;

use sandbox::apple::{AssetName, Fault, FaultRule, MdmInfo, NewLocation, Often, RetryAfter};
use serde_json::json;
use vppd::operations::tokens::{self, manage};
use vppd::operations::view::*;
use vppd::operations::{alerts, shortage, sync};

use crate::bad_input::visitor::Visitor;
use crate::support::*;

const LESSONS: [&str; 22] = [
    "a token that is not valid is answered with 200 and an error in the body",
    "the number for a token that is not valid (9622) is in no table of Apple's",
    "a token can be revoked long before its end",
    "changing the account's password kills the token",
    "a serial number of nobody is accepted and the event completes",
    "an install right after the assignment fails on the device now and then",
    "counting the free licences before assigning is a race",
    "two servers with one location spoil each other's licences",
    "a licence for the serial number of a device in User Enrollment is of no use",
    "apps that are sold in one country only stay nameless when another country's store is asked",
    "the metadata service forbids in bursts",
    "counts lag behind a purchase",
    "listings show a licence that was taken back a moment ago",
    "a request that was repeated had lost its body",
    "calls under way used a token that was swapped beneath them",
    "only the first page was read",
    "a token of another location was taken as a renewal",
    "users that the database knows are unknown to Apple",
    "a device that leaves keeps its licences",
    "once a token is forgotten nobody can take its licences back",
    "several users with one Apple Account break assigning",
    "the old end was shown after a renewal",
];

/// Prints which lesson a story covers.
pub fn lesson(number: usize) {
    println!("lesson {number}: {}", LESSONS[number - 1]);
}

const READER: &str = "1600000011";

fn switch(app: &App, patch: serde_json::Value) {
    app.sandbox.apple.patch_switches(patch.as_object().unwrap().clone()).unwrap();
}

async fn installed_on(app: &App, count: u64) {
    app.add_token("Leeds", false).await.unwrap();
    app.enrol(devices(0, count)).await;
    app.deploy(READER, "all-devices", PurposeView::Required).await;
    app.wait(minutes(20)).await;
    assert_eq!(app.stages(READER).await, counts([(Stage::Installed, count as usize)]));
}

fn calls(app: &App, endpoint: &str) -> u64 {
    app.sandbox.apple.counters().calls.get(endpoint).copied().unwrap_or(0)
}

#[test]
fn a_token_that_is_not_valid_is_known_by_its_number_and_tells_why() {
    lesson(1);
    lesson(2);
    lesson(3);
    lesson(4);
    for (way, number) in [("ok-with-body", "9622"), ("unauthorized-with-body", "9601")] {
        story(|clock| async move {
            let mut app = App::start(clock, &[(READER, 1)]).await;
            switch(&app, json!({"token-200": way, "bad-token-number": number}));
            let good = std::mem::replace(&mut app.token, nobodys_token());
            let refused = app.add_token("Leeds", false).await.unwrap_err();
            assert_eq!(refused.code, "token-rejected", "{way}");
            app.token = good;
            installed_on(&app, 1).await;
            app.sandbox.apple.revoke_token(&app.token).unwrap();
            sync::request(&app.context, SyncRequest::default(), "test").await.unwrap();
            app.wait(minutes(2)).await;
            let token = tokens::show(&app.context, "Leeds".into()).await.unwrap();
            assert_eq!(token.state, TokenState::Revoked, "its date is far away");
            let told = alerts::list(&app.context, false).await.unwrap();
            assert!(told.iter().any(|alert| alert.message.contains("password")), "{told:?}");
            assert_eq!(app.installed(READER).len(), 1, "what is installed stays");
        });
    }
}

/// The form is right, but Apple has never made it.
fn nobodys_token() -> String {
    use base64::Engine;
    let text = json!({"token": "bm9ib2R5", "expDate": "2027-06-30T09:15:00+0000", "orgName": "Nobody"}).to_string();
    base64::engine::general_purpose::STANDARD.encode(text)
}

#[test]
fn serial_numbers_that_nobody_has_enrolled_are_never_sent() {
    lesson(5);
    story(|clock| async move {
        let app = App::start(clock, &[(READER, 9)]).await;
        app.add_token("Leeds", false).await.unwrap();
        app.deploy(READER, "serial:QX7T2M9K1P", PurposeView::Required).await;
        app.wait(minutes(60)).await;
        assert_eq!(calls(&app, "assets/associate"), 0);
    });
}

#[test]
fn a_device_whose_store_sees_the_licence_late_gets_the_app_in_the_end() {
    lesson(6);
    story(|clock| async move {
        let app = App::start(clock, &[(READER, 4)]).await;
        switch(&app, json!({"device-lag-seconds": 300}));
        app.add_token("Leeds", false).await.unwrap();
        app.enrol(devices(0, 4)).await;
        app.deploy(READER, "all-devices", PurposeView::Required).await;
        app.wait(minutes(120)).await;
        assert_eq!(app.stages(READER).await, counts([(Stage::Installed, 4)]));
        assert_eq!(calls(&app, "assets/associate"), 1, "the licence was right all the time");
    });
}

#[test]
fn a_licence_that_another_takes_in_between_is_waited_for_and_not_asked_for_again_and_again() {
    lesson(7);
    crate::error_numbers::task_failure(9709);
    story(|clock| async move {
        let app = App::start(clock, &[(READER, 2)]).await;
        app.add_token("Leeds", false).await.unwrap();
        app.enrol(devices(0, 2)).await;
        app.wait(minutes(5)).await;
        // vppd has counted two and does not know that one is gone.
        app.sandbox.apple.assign(&app.uid, &AssetName::standard(READER), "SOMEBODYELSE").unwrap();
        app.deploy(READER, "all-devices", PurposeView::Required).await;
        app.wait(minutes(60)).await;
        let stages = app.stages(READER).await;
        assert_eq!(stages, counts([(Stage::Installed, 1), (Stage::WaitingForLicence, 1)]));
        assert!(calls(&app, "assets/associate") <= 2, "{}", calls(&app, "assets/associate"));
        app.sandbox.apple.buy(&app.uid, &AssetName::standard(READER), 1).unwrap();
        app.wait(minutes(30)).await;
        assert_eq!(app.stages(READER).await, counts([(Stage::Installed, 2)]));
    });
}

#[test]
fn a_second_server_on_the_location_is_named_and_nothing_more_is_written() {
    lesson(8);
    story(|clock| async move {
        let app = App::start(clock, &[(READER, 9)]).await;
        installed_on(&app, 2).await;
        let other = MdmInfo { id: "elsewhere".into(), name: "The test system".into(), metadata: String::new() };
        app.sandbox.apple.take_over(&app.uid, other).unwrap();
        let written = calls(&app, "assets/associate");
        app.enrol(devices(2, 4)).await;
        app.wait(minutes(60)).await;
        assert_eq!(calls(&app, "assets/associate"), written);
        let told = alerts::list(&app.context, false).await.unwrap();
        assert!(told.iter().any(|alert| alert.message.contains("The test system")), "{told:?}");
    });
}

#[test]
fn counts_and_listings_that_lag_behind_alarm_nobody_and_undo_nothing() {
    lesson(12);
    lesson(13);
    story(|clock| async move {
        let app = App::start(clock, &[(READER, 3)]).await;
        switch(&app, json!({"lag-seconds": 120}));
        app.add_token("Leeds", false).await.unwrap();
        app.enrol(devices(0, 4)).await;
        let deployment = app.deploy(READER, "all-devices", PurposeView::Required).await;
        app.wait(minutes(60)).await;
        let waiting = counts([(Stage::Installed, 3), (Stage::WaitingForLicence, 1)]);
        assert_eq!(app.stages(READER).await, waiting);
        app.sandbox.apple.buy(&app.uid, &AssetName::standard(READER), 1).unwrap();
        app.wait(minutes(30)).await;
        assert_eq!(app.stages(READER).await, counts([(Stage::Installed, 4)]));
        vppd::operations::deployments::remove(&app.context, deployment.id, "test").await.unwrap();
        app.wait(minutes(15)).await;
        sync::request(&app.context, SyncRequest::default(), "test").await.unwrap();
        app.wait(minutes(60)).await;
        assert_eq!((app.installed(READER).len(), app.holders(READER).len()), (0, 0));
        // That somebody waited for a licence is true, and over.
        let told = alerts::list(&app.context, true).await.unwrap();
        assert!(told.iter().all(|alert| alert.kind == shortage::SHORT && alert.ended_at.is_some()), "{told:?}");
        app.assert_clean();
    });
}

#[test]
fn a_request_that_is_repeated_carries_everything_again() {
    lesson(14);
    story(|clock| async move {
        let app = App::start(clock, &[(READER, 4)]).await;
        let fault = Fault::Unavailable(RetryAfter::Seconds(20));
        let rule = FaultRule { endpoint: Some("assets/associate".into()), fault, often: Often::Next(3) };
        app.sandbox.apple.add_fault(rule).unwrap();
        installed_on(&app, 4).await;
        assert_eq!(calls(&app, "assets/associate"), 4);
        app.assert_clean();
    });
}

#[test]
fn tokens_are_swapped_while_calls_are_under_way_and_no_call_fails() {
    lesson(15);
    lesson(22);
    story(|clock| async move {
        let app = App::start(clock, &[(READER, 30)]).await;
        switch(&app, json!({"page-size": 2}));
        installed_on(&app, 12).await;
        for round in 0..4 {
            sync::request(&app.context, SyncRequest::default(), "test").await.unwrap();
            app.wait(std::time::Duration::from_millis(150 * round)).await;
            let end = jiff::SignedDuration::from_hours(24 * (310 + round as i64));
            let content = app.sandbox.apple.add_token(&app.uid, end).unwrap();
            let renewed = manage::renew(&app.context, "Leeds".into(), TokenRenewRequest { content }, "test").await;
            let shown = renewed.unwrap().token.expires_at;
            let left = shown.duration_since(app.clock.now()).as_hours();
            assert!(left >= 24 * (309 + round as i64), "the new end is shown at once, {left} hours");
            app.wait(minutes(3)).await;
        }
        assert_eq!(alerts::list(&app.context, true).await.unwrap(), []);
        let failed = app.sandbox.apple.calls().into_iter().filter(|call| call.error_number.is_some()).count();
        assert_eq!(failed, 0);
        app.assert_clean();
    });
}

#[test]
fn all_pages_are_read() {
    lesson(16);
    story(|clock| async move {
        let assets: Vec<String> = (0..23).map(|number| format!("17{number:08}")).collect();
        let owned: Vec<(&str, i64)> = assets.iter().map(|adam_id| (adam_id.as_str(), 5)).collect();
        let app = App::start(clock, &owned).await;
        switch(&app, json!({"page-size": 5}));
        app.add_token("Leeds", false).await.unwrap();
        app.wait(minutes(2)).await;
        let token = tokens::show(&app.context, "Leeds".into()).await.unwrap();
        assert_eq!((token.assets, token.licences_owned), (23, 115));
    });
}

#[test]
fn a_token_of_another_location_is_no_renewal() {
    lesson(17);
    story(|clock| async move {
        let app = App::start(clock, &[(READER, 9)]).await;
        app.add_token("Leeds", false).await.unwrap();
        let york = app.sandbox.apple.add_location(NewLocation { name: "York".into(), ..NewLocation::default() });
        let content = app.sandbox.apple.add_token(&york, jiff::SignedDuration::from_hours(2400)).unwrap();
        let refused = manage::renew(&app.context, "Leeds".into(), TokenRenewRequest { content }, "test").await;
        assert_eq!(refused.unwrap_err().code, "wrong-location");
        assert_eq!(tokens::show(&app.context, "Leeds".into()).await.unwrap().uid, app.uid);
    });
}

#[test]
fn a_device_that_leaves_gives_its_licences_back() {
    lesson(19);
    story(|clock| async move {
        let app = App::start(clock, &[(READER, 2)]).await;
        installed_on(&app, 2).await;
        let leaving = app.holders(READER).into_iter().next().unwrap();
        app.fleet.device(&leaving).unwrap().unenrol().await;
        app.wait(minutes(20)).await;
        assert!(!app.holders(READER).contains(&leaving));
        app.assert_clean();
    });
}

#[test]
fn a_device_in_user_enrollment_is_given_no_licence_for_its_serial_number() {
    lesson(9);
    story(|clock| async move {
        let app = App::start(clock, &[(READER, 9)]).await;
        app.add_token("Leeds", false).await.unwrap();
        let keys = device_keys(&app.clock).await;
        let own = Visitor::with_identity(&app, 1, keys.take().unwrap()).await;
        // Apple's devices do not tell it; this one does.
        for message in [own.authenticate(), own.token_update()] {
            assert_eq!(own.check_in(&message.replace("<key>UDID</key>", "<key>EnrollmentID</key>")).await, 200);
        }
        app.deploy(READER, "all-devices", PurposeView::Required).await;
        app.wait(minutes(60)).await;
        let pair = app.pairs(READER).await.into_values().next().unwrap();
        assert_eq!(pair.stage, Stage::Blocked);
        assert!(pair.why.contains("User Enrollment"), "{}", pair.why);
        assert_eq!(calls(&app, "assets/associate"), 0);
    });
}

#[test]
fn no_lesson_is_missing() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/integration");
    let files = ["", "users"].into_iter().flat_map(|below| std::fs::read_dir(folder.join(below)).unwrap());
    let sources: String = files.filter_map(|file| std::fs::read_to_string(file.unwrap().path()).ok()).collect();
    let missing: Vec<usize> =
        (1..=LESSONS.len()).filter(|number| !sources.contains(&format!("lesson({number});"))).collect();
    assert!(missing.is_empty(), "no story for the lessons {missing:?}");
}
