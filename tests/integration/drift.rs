//! Apple's replies change in ways that nobody has described: everything goes on, and each change is told once.

use sandbox::apple::{Fault, FaultRule, Often, Rewriting};
use serde_json::json;
use vppd::operations::doctor::apple;
use vppd::operations::view::*;

use crate::captured;
use crate::support::*;

const READER: &str = "1600000011";

/// The main job while every reply is written in this way; what `vppd doctor apple` lists then.
async fn drifted(app: &App, rewriting: Rewriting) -> Vec<String> {
    let rule = FaultRule { endpoint: None, fault: Fault::Rewritten(rewriting), often: Often::Rate(1.0) };
    app.sandbox.apple.add_fault(rule).unwrap();
    app.add_token("Leeds", false).await.unwrap();
    app.enrol(devices(0, 3)).await;
    app.deploy(READER, "all-devices", PurposeView::Required).await;
    app.wait(minutes(40)).await;
    assert_eq!(app.stages(READER).await, counts([(Stage::Installed, 3)]));
    listed(app).await
}

async fn listed(app: &App) -> Vec<String> {
    let health = apple::health(&app.context).await.unwrap();
    health.drift.into_iter().map(|drift| format!("{} {}: {}", drift.endpoint, drift.place, drift.kind)).collect()
}

#[test]
fn an_apple_that_behaves_as_described_shows_no_drift() {
    story(|clock| async move {
        let app = App::start(clock, &[(READER, 5)]).await;
        let drifted = drifted(&app, Rewriting::Members(json!({}).as_object().unwrap().clone())).await;
        assert_eq!(drifted, [""; 0]);
    });
}

#[test]
fn numbers_as_text_and_digits_as_numbers_stop_nothing() {
    for rewriting in [Rewriting::NumbersAsText, Rewriting::DigitsAsNumbers] {
        story(|clock| async move {
            let app = App::start(clock, &[(READER, 5)]).await;
            let drifted = drifted(&app, rewriting.clone()).await;
            assert!(!drifted.is_empty(), "{rewriting:?}");
            app.assert_clean();
        });
    }
}

#[test]
fn unknown_members_are_told_once_by_their_place_and_remembered() {
    let mark = captured::listen();
    story(|clock| async move {
        let mut app = App::start(clock, &[(READER, 5)]).await;
        let drifted = drifted(&app, Rewriting::UnknownMembers).await;
        let expected = "assets assets[].sandboxUnknown: unknown member".to_owned();
        assert!(drifted.contains(&expected), "{drifted:?}");
        let before = apple::health(&app.context).await.unwrap().drift;
        app.restart().await;
        app.wait(minutes(24 * 60)).await;
        let after = apple::health(&app.context).await.unwrap().drift;
        let asset = |all: &[ContractDriftView]| all.iter().find(|drift| drift.place.starts_with("assets[]")).cloned();
        let (before, after) = (asset(&before).unwrap(), asset(&after).unwrap());
        assert_eq!(after.first_seen, before.first_seen);
        assert!(after.last_seen > before.last_seen && after.replies > before.replies);
        let output = cli(&app, &["doctor", "apple"]).await;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        for part in ["certificate:", "good", "assets[].sandboxUnknown", "unknown member", "Leeds", "limits read:"] {
            assert!(text.contains(part), "{part} is not in:\n{text}");
        }
    });
    let told = captured::complaints(mark, "");
    assert_eq!(told.matches("drift, assets: assets[].sandboxUnknown: unknown member").count(), 1, "{told}");
}
