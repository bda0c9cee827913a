//! Where it is not known how Apple behaves, the sandbox has a switch, and vppd must do its job in every position.

use sandbox::apple::AssetName;
use serde_json::json;
use vppd::operations::view::*;
use vppd::operations::{deployments, sync};

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
