//! The safety net: nothing goes in masses that nobody wanted gone, and what a person wants gone goes.

use sandbox::apple::AssetName;
use vppd::model::DeploymentId;
use vppd::operations::view::*;
use vppd::operations::{OperationError, alerts, deployments, look, safety, sync};
use vppd::store;

use crate::support::*;

const READER: &str = "1600000011";
const FORMS: &str = "1600000022";

fn from_three(text: String) -> String {
    format!("{text}[licences]\nhold-at-least = 3\n")
}

/// Six devices with an app, and the deployment that brought it.
async fn six(clock: vppd::clock::Clock) -> (App, DeploymentView) {
    let app = App::start_with(clock, &[(READER, 10), (FORMS, 10)], from_three).await;
    app.add_token("Leeds", false).await.unwrap();
    app.enrol(devices(0, 6)).await;
    let made = app.deploy(READER, "all-devices", PurposeView::Required).await;
    app.wait(minutes(20)).await;
    assert_eq!(app.stages(READER).await, counts([(Stage::Installed, 6)]));
    (app, made)
}

/// A deployment goes without anybody having said so, as when what it rests on is lost.
async fn lose(app: &App, deployment: &DeploymentView) {
    let id = DeploymentId(deployment.id);
    app.context.store.write(move |w| store::deployments::remove(w, id)).await.unwrap();
    app.context.plan_now.notify_one();
}

async fn open_alerts(app: &App, kind: &str) -> Vec<String> {
    let all = alerts::list(&app.context, false).await.unwrap();
    all.into_iter().filter(|alert| alert.kind == kind).map(|alert| alert.message).collect()
}

#[test]
fn a_plan_that_takes_back_too_much_is_held_until_it_is_confirmed() {
    story(|clock| async move {
        let (mut app, made) = six(clock).await;
        lose(&app, &made).await;
        app.wait(minutes(60)).await;
        assert_eq!((app.holders(READER).len(), app.installed(READER).len()), (6, 6));
        let plan = look::plan(&app.context).await.unwrap();
        assert!(plan.held[0].why.contains("6 of the 6 licences"), "{:?}", plan.held);
        assert_eq!(open_alerts(&app, safety::HELD).await.len(), 1);
        // What is given goes on, also after a restart.
        app.restart().await;
        app.deploy(FORMS, "all-devices", PurposeView::Required).await;
        app.wait(minutes(20)).await;
        assert_eq!((app.installed(FORMS).len(), app.installed(READER).len()), (6, 6));
        assert_eq!(
            alerts::list(&app.context, true).await.unwrap().iter().filter(|a| a.kind == safety::HELD).count(),
            1
        );
        let confirmed = safety::confirm(&app.context, "test").await.unwrap();
        assert_eq!(confirmed.licences, 6);
        app.wait(minutes(30)).await;
        assert_eq!((app.holders(READER).len(), app.installed(READER).len()), (0, 0));
        assert!(look::plan(&app.context).await.unwrap().held.is_empty());
        assert!(open_alerts(&app, safety::HELD).await.is_empty());
        // What was confirmed counted for this once.
        let forms = deployments::list(&app.context).await.unwrap().remove(0);
        lose(&app, &forms).await;
        app.wait(minutes(30)).await;
        assert_eq!(app.installed(FORMS).len(), 6);
        app.assert_clean();
    });
}

#[test]
fn what_comes_back_by_itself_needs_no_confirmation() {
    story(|clock| async move {
        let (app, made) = six(clock).await;
        lose(&app, &made).await;
        app.wait(minutes(20)).await;
        app.deploy(READER, "all-devices", PurposeView::Required).await;
        app.wait(minutes(20)).await;
        assert!(look::plan(&app.context).await.unwrap().held.is_empty());
        assert!(open_alerts(&app, safety::HELD).await.is_empty());
        assert_eq!(app.stages(READER).await, counts([(Stage::Installed, 6)]));
        let nothing: Result<ConfirmedView, OperationError> = safety::confirm(&app.context, "test").await;
        assert_eq!(nothing.unwrap_err().code, "nothing-held");
        app.assert_clean();
    });
}

#[test]
fn what_a_person_removes_knowingly_goes_at_once() {
    story(|clock| async move {
        let (app, made) = six(clock).await;
        deployments::remove(&app.context, made.id, "test").await.unwrap();
        app.wait(minutes(30)).await;
        assert_eq!((app.holders(READER).len(), app.installed(READER).len()), (0, 0));
        assert!(alerts::list(&app.context, true).await.unwrap().iter().all(|alert| alert.kind != safety::HELD));
        app.assert_clean();
    });
}

#[test]
fn a_few_may_always_go() {
    story(|clock| async move {
        let app = App::start_with(clock, &[(READER, 10)], from_three).await;
        app.add_token("Leeds", false).await.unwrap();
        app.enrol(devices(0, 3)).await;
        let made = app.deploy(READER, "all-devices", PurposeView::Required).await;
        app.wait(minutes(20)).await;
        lose(&app, &made).await;
        app.wait(minutes(30)).await;
        assert_eq!((app.holders(READER).len(), app.installed(READER).len()), (0, 0));
        app.assert_clean();
    });
}

#[test]
fn a_listing_that_has_suddenly_shrunk_is_not_believed_until_somebody_does() {
    for back in [false, true] {
        story(|clock| async move {
            let (app, _) = six(clock).await;
            let asset = AssetName::standard(READER);
            let holders = app.holders(READER);
            for serial in holders.iter().take(5) {
                app.sandbox.apple.unassign(&app.uid, &asset, serial).unwrap();
            }
            let writes = || app.sandbox.apple.counters().calls.get("assets/associate").copied().unwrap_or(0);
            let before = writes();
            sync::request(&app.context, SyncRequest::default(), "test").await.unwrap();
            app.wait(minutes(30)).await;
            assert_eq!(writes(), before, "nothing is changed there");
            let held = look::plan(&app.context).await.unwrap().held;
            assert!(held[0].why.contains("listed 6 assignments") && held[0].why.contains("lists 1"), "{held:?}");
            assert_eq!(open_alerts(&app, safety::DOUBTED).await.len(), 1);
            if back {
                for serial in holders.iter().take(5) {
                    app.sandbox.apple.assign(&app.uid, &asset, serial).unwrap();
                }
                sync::request(&app.context, SyncRequest::default(), "test").await.unwrap();
                app.wait(minutes(30)).await;
                assert_eq!(writes(), before, "they are there again");
            } else {
                assert_eq!(safety::confirm(&app.context, "test").await.unwrap().locations, ["Leeds"]);
                app.wait(minutes(30)).await;
                assert_eq!(app.holders(READER), holders, "given again");
            }
            assert!(open_alerts(&app, safety::DOUBTED).await.is_empty());
            assert!(look::plan(&app.context).await.unwrap().held.is_empty());
            app.assert_clean();
        });
    }
}
