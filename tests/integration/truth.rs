//! The truth about every app: what `vppd why` tells, how an install ends that nobody answers, and trying again.

use std::collections::BTreeSet;
use std::time::Duration;

use sandbox::device::Person;
use serde_json::json;
use vppd::operations::view::*;
use vppd::operations::{retry, why};

use crate::support::*;

const APP: &str = "1600000011";

async fn told(app: &App, serial: &str) -> WhyView {
    why::why(&app.context, serial.into(), APP.into()).await.unwrap()
}

#[test]
fn one_time_line_tells_licence_event_command_push_visit_answer_and_state() {
    story(|clock| async move {
        let app = App::start(clock, &[(APP, 5)]).await;
        app.add_token("Leeds", false).await.unwrap();
        app.enrol(devices(1, 2)).await;
        app.deploy(APP, "all-devices", PurposeView::Required).await;
        app.wait(minutes(10)).await;
        let serial = devices(1, 2)[0].serial.clone();
        let told = told(&app, &serial).await;
        assert_eq!(
            (told.stage, told.cause.as_str(), told.next.as_str()),
            (Stage::Installed, "", "Nothing: it is as wanted.")
        );
        let kinds: Vec<MomentKind> = told.moments.iter().map(|moment| moment.kind).collect();
        let expected = [
            MomentKind::Licence,
            MomentKind::Event,
            MomentKind::Command,
            MomentKind::Push,
            MomentKind::CheckIn,
            MomentKind::Answer,
            MomentKind::State,
        ];
        assert!(expected.iter().all(|kind| kinds.contains(kind)), "{:#?}", told.moments);
        assert!(told.moments.is_sorted_by_key(|moment| moment.at));
        let first = |kind| kinds.iter().position(|known| *known == kind).unwrap();
        assert!(first(MomentKind::Event) < first(MomentKind::Command), "the licence came after the command");
        assert!(told.moments.last().unwrap().what.starts_with("installed (Managed)"), "{:#?}", told.moments);
        assert!(told.decides.starts_with("deployment 1"), "{}", told.decides);

        let output = cli(&app, &["why", &serial, APP]).await;
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && text.contains("InstallApplication is queued"), "{text}");
        let unknown = why::why(&app.context, "C02NOBODY".into(), APP.into()).await.unwrap_err();
        assert!(unknown.message.contains("C02NOBODY"), "{}", unknown.message);
        app.assert_clean();
    });
}

#[test]
fn a_licence_that_the_store_does_not_see_yet_is_tried_again_until_it_does() {
    story(|clock| async move {
        let app = App::start(clock, &[(APP, 5)]).await;
        app.add_token("Leeds", false).await.unwrap();
        app.enrol(devices(1, 2)).await;
        let lag = json!({"device-lag-seconds": 600}).as_object().unwrap().clone();
        app.sandbox.apple.patch_switches(lag).unwrap();
        app.deploy(APP, "all-devices", PurposeView::Required).await;
        app.wait(minutes(6)).await;
        let serial = devices(1, 2)[0].serial.clone();
        let early = told(&app, &serial).await;
        assert_eq!((early.stage, early.cause.as_str()), (Stage::Installing, "unknown"), "{early:#?}");
        app.wait(minutes(90)).await;
        assert_eq!(app.installed(APP), BTreeSet::from([serial.clone()]));
        let tries = told(&app, &serial).await.moments;
        let failed = tries.iter().filter(|moment| moment.what.starts_with("did not work: it is tried again"));
        assert!((1..4).contains(&failed.count()), "{tries:#?}");
    });
}

#[test]
fn an_install_that_nobody_answers_ends_and_is_tried_again_when_somebody_says_so() {
    story(|clock| async move {
        let edit = |text: String| format!("{text}[planner]\nunanswered-after = \"2d\"\n");
        let app = App::start_with(clock, &[(APP, 5)], edit).await;
        app.add_token("Leeds", false).await.unwrap();
        let mut specs = devices(1, 2);
        specs[0].supervised = false;
        specs[0].person = Person::Ignore;
        let serial = specs[0].serial.clone();
        app.enrol(specs).await;
        app.deploy(APP, "all-devices", PurposeView::Required).await;
        app.wait(minutes(60)).await;
        let asks = told(&app, &serial).await;
        assert_eq!(asks.stage, Stage::WaitingForPerson, "{asks:#?}");
        app.wait(Duration::from_secs(49 * 3600)).await;
        let ended = told(&app, &serial).await;
        assert_eq!((ended.stage, ended.cause.as_str()), (Stage::Rejected, "nobody-answered"), "{ended:#?}");
        app.wait(Duration::from_secs(12 * 3600)).await;
        assert_eq!(told(&app, &serial).await.stage, Stage::Rejected, "asked again by itself");

        let output = cli(&app, &["device", "retry", &serial, APP]).await;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success() && text.starts_with(&format!("Tried again on {serial}: ")), "{text}");
        app.wait(minutes(10)).await;
        let again = told(&app, &serial).await;
        assert!(matches!(again.stage, Stage::WaitingForPerson | Stage::Installing), "{again:#?}");
        let nothing = retry::retry(&app.context, serial, RetryRequest::default(), "test").await.unwrap();
        assert_eq!(nothing.apps, Vec::<String>::new(), "what is under way is left alone");
        app.assert_clean();
    });
}
