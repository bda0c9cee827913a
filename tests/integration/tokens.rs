//! Content tokens: what is accepted, what is refused, and who holds a location.

use sandbox::apple::{Fault, FaultRule, MdmInfo, Often, RetryAfter};
use vppd::operations::tokens::{self, manage, removal};
use vppd::operations::view::*;
use vppd::operations::{alerts, look, tasks};

use crate::support::*;

fn other_mdm() -> MdmInfo {
    MdmInfo { id: "another".into(), name: "Old MDM".into(), metadata: "x".into() }
}

async fn open_alerts(app: &App) -> Vec<AlertView> {
    alerts::list(&app.context, false).await.unwrap()
}

fn kinds(alerts: &[AlertView]) -> Vec<&str> {
    alerts.iter().map(|alert| alert.kind.as_str()).collect()
}

fn days(count: i64) -> jiff::SignedDuration {
    jiff::SignedDuration::from_hours(24 * count)
}

#[test]
fn a_location_of_another_mdm_is_taken_over_only_on_purpose() {
    story(|clock| async move {
        let app = App::start(clock, &[("1600000011", 3)]).await;
        app.sandbox.apple.take_over(&app.uid, other_mdm()).unwrap();
        let refused = app.add_token("Leeds", false).await.unwrap_err();
        assert_eq!(refused.code, "held-by-another");
        assert!(refused.message.contains("Old MDM"), "{}", refused.message);
        assert_eq!(tokens::list(&app.context).await.unwrap().len(), 0, "nothing is saved");
        let added = app.add_token("Leeds", true).await.unwrap();
        assert_eq!(added.token.owner, OwnerView::Us);
        app.assert_clean();
    });
}

#[test]
fn bad_tokens_are_refused_with_their_cause_and_nothing_is_saved() {
    story(|clock| async move {
        let app = App::start(clock, &[("1600000011", 3)]).await;
        let add = |content: String| {
            let request = TokenAddRequest { name: "Leeds".into(), content, take_over: false };
            let context = app.context.clone();
            async move { tokens::add(&context, request, "test").await.map(|_| ()).unwrap_err() }
        };
        assert_eq!(add("hello".into()).await.code, "content-token");
        assert_eq!(add(app.token[..app.token.len() / 2].to_owned()).await.code, "content-token");
        app.sandbox.apple.revoke_token(&app.token).unwrap();
        let revoked = add(app.token.clone()).await;
        assert_eq!(revoked.code, "token-revoked", "{}", revoked.message);
        assert!(!revoked.message.contains(&app.token) && !revoked.advice.contains(&app.token));
        assert_eq!(tokens::list(&app.context).await.unwrap().len(), 0);
    });
}

#[test]
fn the_same_token_twice_is_refused_and_a_new_one_of_the_location_renews_it() {
    story(|clock| async move {
        let mut app = App::start(clock, &[("1600000011", 3)]).await;
        app.add_token("Leeds", false).await.unwrap();
        app.wait(minutes(1)).await;
        assert_eq!(app.add_token("York", false).await.unwrap_err().code, "token-known");
        app.token = app.sandbox.apple.add_token(&app.uid, jiff::SignedDuration::from_hours(24 * 365)).unwrap();
        let renewed = app.add_token("Leeds", false).await.unwrap();
        assert_eq!(renewed.token.name, "Leeds");
        assert_eq!(tokens::list(&app.context).await.unwrap().len(), 1);
        app.assert_clean();
    });
}

#[test]
fn when_another_mdm_takes_over_nothing_more_is_written_until_told() {
    story(|clock| async move {
        let app = App::start(clock, &[("1600000011", 9)]).await;
        app.add_token("Leeds", false).await.unwrap();
        app.enrol(devices(0, 2)).await;
        app.wait(minutes(5)).await;
        app.sandbox.apple.take_over(&app.uid, other_mdm()).unwrap();
        app.deploy("1600000011", "all-devices", PurposeView::Required).await;
        app.wait(minutes(60)).await;
        assert_eq!(app.holders("1600000011").len(), 0);
        let token = tokens::show(&app.context, "Leeds".into()).await.unwrap();
        assert_eq!(token.state, TokenState::Contested);
        assert_eq!(app.stages("1600000011").await, counts([(Stage::Blocked, 2)]));
        let alert = open_alerts(&app).await;
        assert_eq!(kinds(&alert), ["not-ours"]);
        assert!(alert[0].message.contains("Old MDM") && alert[0].advice.contains("take-over"), "{alert:?}");
        manage::take_over(&app.context, "Leeds".into(), "test").await.unwrap();
        assert_eq!(kinds(&open_alerts(&app).await), [""; 0]);
        app.wait(minutes(10)).await;
        assert_eq!(app.installed("1600000011").len(), 2);
        app.assert_clean();
    });
}

#[test]
fn a_location_that_was_released_at_apple_is_not_taken_again_by_itself() {
    story(|clock| async move {
        let app = App::start(clock, &[("1600000011", 9)]).await;
        app.add_token("Leeds", false).await.unwrap();
        app.wait(minutes(5)).await;
        app.sandbox.apple.release(&app.uid).unwrap();
        app.wait(minutes(24 * 60)).await;
        let token = tokens::show(&app.context, "Leeds".into()).await.unwrap();
        assert_eq!((token.state, token.owner), (TokenState::Contested, OwnerView::Nobody));
        let taken = manage::take_over(&app.context, "Leeds".into(), "test").await.unwrap();
        assert_eq!(taken.owner, OwnerView::Us);
    });
}

#[test]
fn an_expired_token_stops_everything_and_says_so() {
    story(|clock| async move {
        let app = App::start(clock, &[("1600000011", 9)]).await;
        app.add_token("Leeds", false).await.unwrap();
        app.enrol(devices(0, 1)).await;
        app.wait(minutes(5)).await;
        app.sandbox.apple.expire_token(&app.token).unwrap();
        app.deploy("1600000011", "all-devices", PurposeView::Required).await;
        app.wait(minutes(60)).await;
        let token = tokens::show(&app.context, "Leeds".into()).await.unwrap();
        assert_eq!(token.state, TokenState::Expired);
        assert!(token.advice.contains("new content token"), "{}", token.advice);
        assert_eq!(app.holders("1600000011").len(), 0);
    });
}

#[test]
fn a_token_that_comes_to_its_end_is_warned_of_once_at_each_threshold_also_across_restarts() {
    story(|clock| async move {
        let mut app = App::start(clock, &[("1600000011", 9)]).await;
        app.token = app.sandbox.apple.add_token(&app.uid, days(62)).unwrap();
        app.add_token("Leeds", false).await.unwrap();
        let mut told = Vec::new();
        for day in 0..64 {
            app.wait(minutes(24 * 60)).await;
            if day % 9 == 0 {
                app.restart().await;
                app.wait(minutes(1)).await;
            }
            let all = alerts::list(&app.context, true).await.unwrap();
            assert!(open_alerts(&app).await.len() <= 1, "an alert that is outdated has passed");
            told = all.into_iter().filter(|alert| alert.kind == "token-expiry").collect();
        }
        let told: Vec<&str> =
            told.iter().rev().map(|alert| alert.message.split(" within ").nth(1).unwrap_or("ended")).collect();
        let told: Vec<&str> = told.iter().map(|text| text.split(", on").next().unwrap()).collect();
        assert_eq!(told, ["60 days", "30 days", "14 days", "7 days", "3 days", "a day", "ended"]);
        let renewed = app.sandbox.apple.add_token(&app.uid, days(365)).unwrap();
        let request = TokenRenewRequest { content: renewed };
        let added = manage::renew(&app.context, "leeds".into(), request, "test").await.unwrap();
        assert_eq!(added.token.state, TokenState::Valid);
        assert_eq!(kinds(&open_alerts(&app).await), [""; 0], "a renewed token is no reason to worry");
    });
}

#[test]
fn a_renewal_changes_nothing_but_the_token_and_only_for_the_same_location() {
    story(|clock| async move {
        let app = App::start(clock, &[("1600000011", 9)]).await;
        app.add_token("Leeds", false).await.unwrap();
        app.enrol(devices(0, 2)).await;
        app.deploy("1600000011", "all-devices", PurposeView::Required).await;
        app.wait(minutes(10)).await;
        let york = sandbox::apple::NewLocation { name: "York".into(), ..sandbox::apple::NewLocation::default() };
        let york = app.sandbox.apple.add_location(york);
        let of_york = app.sandbox.apple.add_token(&york, days(300)).unwrap();
        let renew =
            |content: String| manage::renew(&app.context, "Leeds".into(), TokenRenewRequest { content }, "test");
        let wrong = renew(of_york).await.unwrap_err();
        assert_eq!(wrong.code, "wrong-location");
        assert!(wrong.message.contains("York"), "{}", wrong.message);
        assert_eq!(renew(app.token.clone()).await.unwrap_err().code, "token-known");
        app.sandbox.apple.revoke_token(&app.token).unwrap();
        app.wait(minutes(13 * 60)).await;
        assert_eq!(kinds(&open_alerts(&app).await), ["token-refused"]);
        let new = app.sandbox.apple.add_token(&app.uid, days(365)).unwrap();
        renew(new).await.unwrap();
        app.wait(minutes(10)).await;
        assert_eq!(kinds(&open_alerts(&app).await), [""; 0]);
        let token = tokens::show(&app.context, "Leeds".into()).await.unwrap();
        assert_eq!((token.state, token.assets, token.licences_assigned), (TokenState::Valid, 1, 2));
        assert_eq!(app.installed("1600000011").len(), 2);
    });
}

#[test]
fn notes_are_kept_and_the_order_decides_whose_licence_is_used_first() {
    story(|clock| async move {
        let app = App::start(clock, &[("1600000011", 9)]).await;
        app.add_token("Leeds", false).await.unwrap();
        let york = sandbox::apple::NewLocation { name: "York".into(), ..sandbox::apple::NewLocation::default() };
        let york = app.sandbox.apple.add_location(york);
        app.sandbox.apple.add_asset(&york, sandbox::apple::NewAsset::app("1600000011", 9)).unwrap();
        let content = app.sandbox.apple.add_token(&york, days(300)).unwrap();
        let request = TokenAddRequest { name: "York".into(), content, take_over: false };
        tokens::add(&app.context, request, "test").await.unwrap();
        let order = |names: &[&str]| TokenOrderRequest { order: names.iter().map(|name| (*name).into()).collect() };
        let listed = manage::order(&app.context, order(&["york"]), "test").await.unwrap();
        assert_eq!(listed.iter().map(|token| token.name.as_str()).collect::<Vec<_>>(), ["York", "Leeds"]);
        assert_eq!(
            manage::order(&app.context, order(&["York", "York"]), "test").await.unwrap_err().code,
            "named-twice"
        );
        app.enrol(devices(0, 2)).await;
        app.deploy("1600000011", "all-devices", PurposeView::Required).await;
        app.wait(minutes(10)).await;
        assert_eq!(app.holders("1600000011").len(), 0, "York comes first");
        assert_eq!(app.installed("1600000011").len(), 2);
        let edit = TokenEditRequest {
            name: Some("Leeds Campus".into()),
            categories: Some(vec!["north".into()]),
            ..TokenEditRequest::default()
        };
        let edited = manage::edit(&app.context, "Leeds".into(), edit, "test").await.unwrap();
        assert_eq!((edited.name.as_str(), edited.categories), ("Leeds Campus", vec!["north".to_owned()]));
        let taken = TokenEditRequest { name: Some("york".into()), ..TokenEditRequest::default() };
        let taken = manage::edit(&app.context, "Leeds Campus".into(), taken, "test").await.unwrap_err();
        assert_eq!(taken.code, "name-taken");
    });
}

#[test]
fn removing_a_token_says_what_hangs_on_it_and_forgets_it() {
    story(|clock| async move {
        let app = App::start(clock, &[("1600000011", 9)]).await;
        app.add_token("Leeds", false).await.unwrap();
        app.enrol(devices(0, 2)).await;
        app.deploy("1600000011", "all-devices", PurposeView::Required).await;
        app.wait(minutes(10)).await;
        let hangs = removal::preview(&app.context, "Leeds".into()).await.unwrap();
        assert_eq!((hangs.assets, hangs.licences_assigned, hangs.devices, hangs.deployments), (1, 2, 2, 1));
        assert!(hangs.can_revoke);
        let request = TokenRemoveRequest { revoke_first: false };
        let task = removal::request(&app.context, "Leeds".into(), request, "test").await.unwrap();
        app.wait(minutes(1)).await;
        assert_eq!(look::task(&app.context, task.id).await.unwrap().state, TaskState::Done);
        assert_eq!(tokens::list(&app.context).await.unwrap().len(), 0);
        assert_eq!(app.holders("1600000011").len(), 2, "licences stay unless they are taken back first");
        app.add_token("Leeds again", false).await.unwrap();
        app.wait(minutes(10)).await;
        assert_eq!(app.stages("1600000011").await, counts([(Stage::Installed, 2)]));
        app.assert_clean();
    });
}

#[test]
fn a_task_that_waits_or_runs_can_be_called_off() {
    story(|clock| async move {
        let app = App::start(clock, &[("1600000011", 9)]).await;
        let fault = Fault::Unavailable(RetryAfter::Seconds(60));
        let slow = FaultRule { endpoint: Some("assets".into()), fault, often: Often::Next(2) };
        app.sandbox.apple.add_fault(slow).unwrap();
        let added = app.add_token("Leeds", false).await.unwrap();
        app.wait(std::time::Duration::from_secs(30)).await;
        assert_eq!(look::task(&app.context, added.task.id).await.unwrap().state, TaskState::Running);
        let cancelled = tasks::cancel(&app.context, added.task.id, "test").await.unwrap();
        assert_eq!(cancelled.state, TaskState::Cancelled);
        assert_eq!(tasks::cancel(&app.context, added.task.id, "test").await.unwrap_err().code, "task-ended");
        app.wait(minutes(5)).await;
        assert_eq!(look::task(&app.context, added.task.id).await.unwrap().state, TaskState::Cancelled);
        assert_eq!(look::apps(&app.context).await.unwrap().len(), 0, "nothing was read");
    });
}

#[test]
fn removing_a_token_can_take_its_licences_back_first() {
    crate::lessons::lesson(20);
    story(|clock| async move {
        let app = App::start(clock, &[("1600000011", 300), ("1600000022", 300)]).await;
        app.add_token("Leeds", false).await.unwrap();
        app.enrol(devices(0, 2)).await;
        app.deploy("1600000011", "all-devices", PurposeView::Required).await;
        // More holders than Apple takes in one request.
        for number in 0..150 {
            let asset = sandbox::apple::AssetName::standard("1600000022");
            app.sandbox.apple.assign(&app.uid, &asset, &format!("C02ELSEWHERE{number:03}")).unwrap();
        }
        app.wait(minutes(10)).await;
        let request = TokenRemoveRequest { revoke_first: true };
        let task = removal::request(&app.context, "Leeds".into(), request, "test").await.unwrap();
        app.wait(minutes(10)).await;
        let task = look::task(&app.context, task.id).await.unwrap();
        assert_eq!((task.state, task.done), (TaskState::Done, task.total), "{task:?}");
        assert_eq!((app.holders("1600000011").len(), app.holders("1600000022").len()), (0, 0));
        assert_eq!(tokens::list(&app.context).await.unwrap().len(), 0);
        app.assert_clean();
    });
}

#[test]
fn a_token_that_may_not_revoke_says_so_before_anything_is_changed() {
    story(|clock| async move {
        let app = App::start(clock, &[("1600000011", 3)]).await;
        app.add_token("Leeds", false).await.unwrap();
        app.wait(minutes(5)).await;
        app.sandbox.apple.take_over(&app.uid, other_mdm()).unwrap();
        app.wait(minutes(13 * 60)).await;
        let request = TokenRemoveRequest { revoke_first: true };
        let refused = removal::request(&app.context, "Leeds".into(), request, "test").await.unwrap_err();
        assert_eq!(refused.code, "cannot-revoke");
        let token = tokens::show(&app.context, "Leeds".into()).await.unwrap();
        assert_eq!(token.state, TokenState::Contested);
    });
}
