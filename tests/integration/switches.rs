//! Where it is not known how Apple behaves, the sandbox has a switch, and vppd must do its job in every position.

use sandbox::apple::{AssetName, TokenKind};
use serde_json::json;
use vppd::operations::tokens::{self, manage};
use vppd::operations::view::*;
use vppd::operations::{alerts, deployments, sync};

use crate::support::*;

const READER: &str = "1600000011";
const FORMS: &str = "1600000022";

/// The main job and back again, with the switches of `patch`.
fn whole_way(patch: serde_json::Value) {
    story(|clock| async move {
        let app = App::start(clock, &[(READER, 10), (FORMS, 3), ("1600000033", 1), ("1600000044", 1)]).await;
        app.sandbox.apple.patch_switches(patch.as_object().unwrap().clone()).unwrap();
        app.add_token("Leeds", false).await.unwrap();
        app.enrol(devices(0, 4)).await;
        let reader = app.deploy(READER, "all-devices", PurposeView::Required).await;
        app.deploy(FORMS, "all-devices", PurposeView::Required).await;
        app.wait(minutes(60)).await;
        assert_eq!(app.stages(READER).await, counts([(Stage::Installed, 4)]), "{patch}");
        assert_eq!(app.stages(FORMS).await, counts([(Stage::Installed, 3), (Stage::WaitingForLicence, 1)]), "{patch}");
        deployments::remove(&app.context, reader.id, "test").await.unwrap();
        app.sandbox.apple.buy(&app.uid, &AssetName::standard(FORMS), 1).unwrap();
        app.wait(minutes(30)).await;
        sync::request(&app.context, SyncRequest::default(), "test").await.unwrap();
        app.wait(minutes(30)).await;
        assert_eq!((app.installed(READER).len(), app.holders(READER).len()), (0, 0), "{patch}");
        assert_eq!((app.installed(FORMS).len(), app.holders(FORMS).len()), (4, 4), "{patch}");
        let errors = app.sandbox.apple.counters().errors;
        assert!(!errors.contains_key(&9709) && !errors.contains_key(&9646), "{patch}: {errors:?}");
        if patch.get("device-lag-seconds").is_none() {
            app.assert_clean();
        }
    });
}

macro_rules! switches {
    ($($name:ident: $patch:tt,)+) => {$(
        #[test]
        fn $name() {
            whole_way(json!($patch));
        }
    )+};
}

switches! {
    token_errors_with_401: {"token-200": "unauthorized-with-body", "bad-token-number": "9601"},
    expiry_told_late_and_mdm_info_null: {"exp-date": "last-fifteen-days", "mdm-info": "null"},
    client_config_clears_what_is_left_out: {"cfg-merge": "clear"},
    repeated_tasks_fail: {"reassoc": "failure", "redisassoc": "failure"},
    a_shortage_fails_all: {"shortage": "fail-all"},
    unknown_assets_are_refused_at_once: {"unknown-asset": "invalid-now"},
    removed_assignments_are_listed_as_changed: {"delta-removed": "listed"},
    empty_lists_have_no_pages: {"empty-pages": "zero"},
    pages_of_two: {"page-size": 2},
    versions_change_in_mid_walk: {"page-size": 2, "version-churn": "version"},
    page_counts_change_in_mid_walk: {"page-size": 2, "version-churn": "version-and-pages"},
    events_are_forgotten_at_once: {"event-ttl-seconds": 1},
    devices_see_licences_late: {"device-lag-seconds": 45},
    apple_is_slow: {"chunk-delay-ms": [60000, 90000]},
    answers_take_their_time: {"latency-ms": 900},
    listings_lag_behind: {"lag-seconds": 45},
    users_and_serials_never_go_together: {"both-targets": "refuse"},
    filters_that_mean_nothing_are_ignored: {"filter-bad": "ignore"},
    filters_that_mean_nothing_find_nothing: {"filter-bad": "empty"},
    what_was_satisfied_before_is_not_told: {"satisfied": "omitted"},
    apple_as_it_was_before_june_2026: {"profile-2026": "off"},
    artwork_comes_in_ready_sizes: {"lookup-shape": "sizes"},
    the_last_page_of_subscriptions_is_an_empty_one: {"last-cursor": "empty-page"},
}

/// The same with both ways in which Apple may tell of a bad token.
#[test]
fn a_revoked_token_is_told_as_such_in_both_ways() {
    for way in ["ok-with-body", "unauthorized-with-body"] {
        story(|clock| async move {
            let app = App::start(clock, &[(READER, 1)]).await;
            let patch = json!({"token-200": way});
            app.sandbox.apple.patch_switches(patch.as_object().unwrap().clone()).unwrap();
            app.sandbox.apple.revoke_token(&app.token).unwrap();
            assert_eq!(app.add_token("Leeds", false).await.unwrap_err().code, "token-revoked", "{way}");
        });
    }
}

/// A token that may look, with both ways in which Apple may refuse a change.
#[test]
fn a_token_that_may_only_look_is_told_as_such_in_both_ways() {
    for way in ["forbidden", "unauthorized"] {
        story(|clock| async move {
            let mut app = App::start(clock, &[(READER, 2)]).await;
            let patch = json!({"read-only-token": way});
            app.sandbox.apple.patch_switches(patch.as_object().unwrap().clone()).unwrap();
            // Claimed with a good one, which is renewed with one of an account that has lost the right.
            app.add_token("Leeds", false).await.unwrap();
            app.enrol(devices(0, 2)).await;
            let end = jiff::SignedDuration::from_hours(7200);
            app.token = app.sandbox.apple.add_token_of(&app.uid, end, TokenKind::ReadOnly).unwrap();
            let request = TokenRenewRequest { content: app.token.clone() };
            manage::renew(&app.context, "Leeds".into(), request, "test").await.unwrap();
            app.deploy(READER, "all-devices", PurposeView::Required).await;
            app.wait(minutes(30)).await;
            let state = tokens::show(&app.context, "Leeds".into()).await.unwrap().state;
            assert_eq!((state, app.holders(READER).len()), (TokenState::ReadOnly, 0), "{way}");
            let told = alerts::list(&app.context, false).await.unwrap();
            assert_eq!(told.len(), 1, "{way}: {told:?}");
            let request = TokenRenewRequest { content: app.sandbox.apple.add_token(&app.uid, end).unwrap() };
            manage::renew(&app.context, "Leeds".into(), request, "test").await.unwrap();
            app.wait(minutes(30)).await;
            assert_eq!(app.stages(READER).await, counts([(Stage::Installed, 2)]), "{way}");
        });
    }
}

/// A token of the older kind, to which Apple may refuse what the first version of the service did not have.
#[test]
fn a_token_of_the_older_kind_does_the_main_job_in_both_ways() {
    for way in ["allowed", "refused"] {
        story(|clock| async move {
            let mut app = App::start(clock, &[(READER, 2)]).await;
            let patch = json!({"legacy-calls": way});
            app.sandbox.apple.patch_switches(patch.as_object().unwrap().clone()).unwrap();
            let end = jiff::SignedDuration::from_hours(7200);
            app.token = app.sandbox.apple.add_token_of(&app.uid, end, TokenKind::Legacy).unwrap();
            app.add_token("Leeds", false).await.unwrap();
            app.enrol(devices(0, 2)).await;
            app.deploy(READER, "all-devices", PurposeView::Required).await;
            app.wait(minutes(30)).await;
            assert_eq!(app.stages(READER).await, counts([(Stage::Installed, 2)]), "{way}");
            // That subscriptions are not for it says nothing of the token.
            assert_eq!(tokens::show(&app.context, "Leeds".into()).await.unwrap().state, TokenState::Valid, "{way}");
            assert_eq!(alerts::list(&app.context, true).await.unwrap(), [], "{way}");
            app.assert_clean();
        });
    }
}

/// Another client that acts by itself all day: nothing is written to what is not ours, and it is told.
#[test]
fn another_client_that_acts_by_itself_is_told_and_not_fought() {
    story(|clock| async move {
        let app = App::start(clock, &[(READER, 10)]).await;
        app.add_token("Leeds", false).await.unwrap();
        app.enrol(devices(0, 4)).await;
        app.deploy(READER, "all-devices", PurposeView::Required).await;
        app.wait(minutes(30)).await;
        let patch = json!({"other-mdm": "on", "other-mdm-seconds": [600, 1800]});
        app.sandbox.apple.patch_switches(patch.as_object().unwrap().clone()).unwrap();
        app.wait(minutes(24 * 60)).await;
        let off = json!({"other-mdm": "off"});
        app.sandbox.apple.patch_switches(off.as_object().unwrap().clone()).unwrap();
        sync::request(&app.context, SyncRequest::default(), "test").await.unwrap();
        app.wait(minutes(10)).await;
        assert_eq!(tokens::show(&app.context, "Leeds".into()).await.unwrap().state, TokenState::Contested);
        let told = alerts::list(&app.context, true).await.unwrap();
        assert_eq!(told.iter().filter(|alert| alert.kind == "not-ours").count(), 1, "{told:?}");
        let written = app.sandbox.apple.counters().calls["assets/associate"];
        app.enrol(devices(4, 6)).await;
        app.wait(minutes(60)).await;
        assert_eq!(app.sandbox.apple.counters().calls["assets/associate"], written);
    });
}

/// How much and how often, for a switch that has its own stories.
const AMOUNTS: [&str; 2] = ["notif-fault-percent", "notif-retry-seconds"];

/// Every switch has been thrown in some story; in all others it stands as it is by default.
#[test]
fn no_switch_is_left_out() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/integration");
    let files = ["", "users"].into_iter().flat_map(|below| std::fs::read_dir(folder.join(below)).unwrap());
    let sources: String = files.filter_map(|file| std::fs::read_to_string(file.unwrap().path()).ok()).collect();
    let switches = serde_json::to_value(sandbox::apple::Switches::default()).unwrap();
    for (name, position) in switches.as_object().unwrap().iter().filter(|(name, _)| !AMOUNTS.contains(&name.as_str())) {
        let position = position.to_string();
        let thrown: std::collections::BTreeSet<&str> = sources
            .split(&format!("\"{name}\": "))
            .skip(1)
            .filter_map(|rest| rest.split(['}', '\n']).next()?.split(", \"").next())
            .filter(|value| *value != position)
            .collect();
        println!("{name}: {position} by default; thrown to {thrown:?}");
        assert!(!thrown.is_empty(), "no story throws the switch {name}");
    }
}
