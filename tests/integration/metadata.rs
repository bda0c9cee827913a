//! What apps are called: asked in the background, kept through everything, and of no consequence for licences.

use std::collections::BTreeMap;
use std::time::Duration;

use sandbox::apple::{AssetName, Canned, Fault, FaultRule, Listing, NewAsset, NewVersion, Often, RetryAfter};
use serde_json::json;
use vppd::model::AppInfo;
use vppd::operations::view::*;
use vppd::operations::{catalogue, deployments, look, sync};
use vppd::store::{assets, metadata};

use crate::captured;
use crate::support::*;

const READER: &str = "1600000011";
const FORMS: &str = "1600000022";
const ATLAS: &str = "1700000011";

fn hours(count: u64) -> Duration {
    Duration::from_secs(3600 * count)
}

fn fault(endpoint: &str, fault: Fault, often: Often) -> FaultRule {
    FaultRule { endpoint: Some(endpoint.into()), fault, often }
}

fn in_metadata(lines: &'static str) -> impl FnOnce(String) -> String {
    move |text| format!("{text}[metadata]\n{lines}\n")
}

async fn infos(app: &App) -> BTreeMap<String, AppInfo> {
    let apps = look::apps(&app.context).await.unwrap();
    apps.into_iter().filter_map(|one| Some((one.adam_id, one.info?))).collect()
}

fn calls(app: &App, endpoint: &str) -> u64 {
    app.sandbox.apple.counters().calls.get(endpoint).copied().unwrap_or(0)
}

/// The location's country changes at Apple, and a sync follows.
async fn country(app: &App, country: &str) {
    app.sandbox.apple.change_country(&app.uid, country).unwrap();
    sync::request(&app.context, SyncRequest::default(), "test").await.unwrap();
    app.wait(minutes(10)).await;
}

#[test]
fn apps_have_names_and_icons_soon_after_the_first_sync_in_both_shapes_of_the_lookup() {
    for shape in ["template", "sizes"] {
        story(|clock| async move {
            let app = App::start(clock, &[(READER, 10), (FORMS, 5)]).await;
            app.sandbox.apple.patch_switches(json!({"lookup-shape": shape}).as_object().unwrap().clone()).unwrap();
            let new = NewVersion { version: " 4.2.1".into(), external_version_id: 871_234_567 };
            app.sandbox.apple.publish_version(READER, new).unwrap();
            app.add_token("Leeds", false).await.unwrap();
            app.wait(minutes(2)).await;
            let info = infos(&app).await.remove(READER).unwrap();
            assert_eq!((info.name.as_str(), info.version.as_str()), ("App 1600000011", "4.2.1"));
            assert_eq!((info.external_version_id, info.price.as_str()), (Some(871_234_567), "Free"));
            let icon = catalogue::icon(&app.context, READER.into()).await.unwrap();
            assert_eq!(icon.media_type, "image/png");
            let side = if shape == "template" { 128 } else { 512 };
            let size = imagesize::blob_size(&icon.picture).unwrap();
            assert_eq!((size.width, size.height), (side, side));
            assert_eq!(
                (calls(&app, "metadata/lookup"), calls(&app, "public/lookup"), calls(&app, "artwork")),
                (1, 0, 2)
            );
            app.wait(hours(23)).await;
            assert_eq!(calls(&app, "metadata/lookup"), 1, "kept for a day");
            app.wait(hours(4)).await;
            assert_eq!((calls(&app, "metadata/lookup"), calls(&app, "artwork")), (2, 2));
            app.assert_clean();
        });
    }
}

#[test]
fn stores_that_are_down_for_a_day_change_nothing_else() {
    story(|clock| async move {
        let app = App::start(clock, &[(READER, 10)]).await;
        for endpoint in ["metadata/lookup", "public/lookup", "artwork"] {
            app.sandbox.apple.add_fault(fault(endpoint, Fault::MetadataForbidden, Often::Rate(1.0))).unwrap();
        }
        app.add_token("Leeds", false).await.unwrap();
        app.enrol(devices(0, 3)).await;
        app.deploy(READER, "all-devices", PurposeView::Required).await;
        app.wait(minutes(10)).await;
        assert_eq!(app.stages(READER).await, counts([(Stage::Installed, 3)]));
        app.wait(hours(24)).await;
        assert!(infos(&app).await.is_empty());
        let asked = calls(&app, "metadata/lookup");
        assert!((5..=14).contains(&asked), "{asked} calls in a day of refusals");
        let token = vppd::operations::tokens::show(&app.context, "Leeds".into()).await.unwrap();
        assert_eq!((token.state, token.advice.as_str()), (TokenState::Valid, ""));
        assert!(vppd::operations::alerts::list(&app.context, true).await.unwrap().is_empty());
        app.sandbox.apple.clear_faults();
        app.wait(hours(7)).await;
        assert_eq!(infos(&app).await[READER].name, "App 1600000011");
        app.assert_clean();
    });
}

#[test]
fn an_app_that_is_missing_in_the_new_country_keeps_its_name_and_is_told_of_once() {
    crate::lessons::lesson(10);
    let mark = captured::listen();
    story(|clock| async move {
        let app = App::start(clock, &[(READER, 10), (FORMS, 5)]).await;
        let here = Listing { storefronts: Some(vec!["GB".into()]), seller: "Northwind".into(), ..Listing::default() };
        app.sandbox.apple.set_listing(READER, here.clone()).unwrap();
        app.add_token("Utrecht", false).await.unwrap();
        country(&app, "GB").await;
        assert_eq!(infos(&app).await[READER].developer, "Northwind");
        country(&app, "NL").await;
        app.wait(hours(60)).await;
        let known = infos(&app).await;
        assert_eq!((known[READER].name.as_str(), known[FORMS].name.as_str()), ("App 1600000011", "App 1600000022"));
        let told = captured::everything(mark);
        let missed = |line: &&String| {
            // Other tests log at the same time; no other has a location of this name.
            let words = [READER, "\"Utrecht\"", "not to be found in the store of NL"];
            words.iter().all(|word| line.contains(word))
        };
        assert_eq!(told.iter().filter(missed).count(), 1);
        let both = Listing { storefronts: None, seller: "Southwind".into(), ..here };
        app.sandbox.apple.set_listing(READER, both).unwrap();
        app.wait(hours(26)).await;
        assert_eq!(infos(&app).await[READER].developer, "Southwind", "of the location's own country");
        app.assert_clean();
    });
}

#[test]
fn a_custom_app_is_known_by_the_token_and_by_nobody_else() {
    for (sources, known) in [("all", true), ("location", true), ("public", false), ("none", false)] {
        story(|clock| async move {
            let line = format!("[metadata]\nsources = \"{sources}\"\n");
            let app = App::start_with(clock, &[(READER, 10), (FORMS, 1)], |text| text + &line).await;
            app.sandbox.apple.set_listing(READER, Listing { custom: true, ..Listing::default() }).unwrap();
            app.add_token("Leeds", false).await.unwrap();
            app.wait(minutes(5)).await;
            let infos = infos(&app).await;
            assert_eq!(infos.get(READER).is_some_and(|info| info.custom), known, "{sources}");
            assert_eq!(infos.contains_key(FORMS), sources != "none", "{sources}");
            assert_eq!(calls(&app, "metadata/lookup") > 0, known, "{sources}");
            app.assert_clean();
        });
    }
}

#[test]
fn what_the_lookup_leaves_out_is_asked_alone_and_then_of_the_public_one() {
    story(|clock| async move {
        let app = App::start(clock, &[(READER, 10), (FORMS, 5)]).await;
        // A lookup that knows nothing: the public one does.
        let empty = Canned {
            status: 200,
            content_type: "application/json".into(),
            headers: vec![],
            body: r#"{"results":{},"isAuthenticated":false,"version":2}"#.into(),
        };
        app.sandbox.apple.add_fault(fault("metadata/lookup", Fault::Canned(empty), Often::Rate(1.0))).unwrap();
        app.add_token("Leeds", false).await.unwrap();
        app.wait(minutes(5)).await;
        assert_eq!(infos(&app).await.len(), 2);
        assert_eq!((calls(&app, "metadata/lookup"), calls(&app, "public/lookup")), (3, 1));
        app.assert_clean();
    });
}

#[test]
fn while_the_lookup_is_in_trouble_the_public_one_gives_names_and_nothing_is_called_missing() {
    crate::lessons::lesson(11);
    story(|clock| async move {
        let app = App::start(clock, &[(READER, 10), (FORMS, 5)]).await;
        app.sandbox.apple.set_listing(READER, Listing { custom: true, ..Listing::default() }).unwrap();
        let wait = Fault::Unavailable(RetryAfter::Seconds(7200));
        app.sandbox.apple.add_fault(fault("metadata/lookup", wait, Often::Next(1))).unwrap();
        app.add_token("Leeds", false).await.unwrap();
        app.wait(minutes(30)).await;
        assert_eq!(infos(&app).await.keys().collect::<Vec<_>>(), [FORMS]);
        assert_eq!(calls(&app, "metadata/lookup"), 1, "as long as Apple asked for");
        app.wait(hours(3)).await;
        assert!(infos(&app).await[READER].custom);
        app.assert_clean();
    });
}

#[test]
fn apps_are_found_by_name_and_books_go_to_no_device() {
    story(|clock| async move {
        let app = App::start(clock, &[(READER, 10), (FORMS, 5)]).await;
        app.sandbox.apple.add_asset(&app.uid, NewAsset::book(ATLAS, 3)).unwrap();
        app.add_token("Leeds", false).await.unwrap();
        app.wait(minutes(5)).await;
        app.enrol(devices(0, 2)).await;
        for name in ["app 1600000011", "com.example.app1600000011", "id1600000011", READER] {
            let made = app.deploy(name, "all-devices", PurposeView::Required).await;
            assert_eq!((made.adam_id.as_str(), made.name.as_str()), (READER, "App 1600000011"), "{name}");
        }
        let refused = async |name: &str| {
            let request = DeployRequest::new(name, "all-devices", PurposeView::Required);
            deployments::add(&app.context, request, "test").await.unwrap_err()
        };
        let book = refused(ATLAS).await;
        assert!(book.code == "book" && book.message.contains("to people only"), "{book:?}");
        let unknown = refused("App 16000000").await;
        assert!(unknown.code == "not-found" && unknown.advice.contains("1600000011 (App 1600000011)"), "{unknown:?}");
        let new = |name: &str| AppInfo { name: name.into(), ..AppInfo::default() };
        let shelf = metadata::Shelf { storefront: "zz".into(), platform: "enterprisestore".into() };
        let (info, now) = (new("App 1600000011"), app.clock.now());
        app.context.store.write(move |w| metadata::keep(w, FORMS, &shelf, Some(&info), now)).await.unwrap();
        assert_eq!(refused("App 1600000011").await.code, "ambiguous-app");

        let list = async |query: AppQuery| {
            let apps = catalogue::list(&app.context, query).await.unwrap();
            apps.into_iter().map(|one| one.adam_id).collect::<Vec<_>>()
        };
        assert_eq!(list(AppQuery { search: Some("app 16".into()), ..AppQuery::default() }).await, [READER, FORMS]);
        assert_eq!(list(AppQuery { kind: Some("book".into()), ..AppQuery::default() }).await, [ATLAS]);
        assert_eq!(list(AppQuery { location: Some("leeds".into()), ..AppQuery::default() }).await.len(), 3);
        let nowhere = AppQuery { location: Some("York".into()), ..AppQuery::default() };
        assert_eq!(catalogue::list(&app.context, nowhere).await.unwrap_err().code, "not-found");

        let shown = cli(&app, &["app", "show", "App 1600000022"]).await;
        assert!(String::from_utf8_lossy(&shown.stdout).contains("bundle id:   com.example.app1600000022"), "{shown:?}");
        let file = app.path("icon.png").display().to_string();
        let written = cli(&app, &["app", "icon", READER, "--output", &file]).await;
        assert!(written.status.success(), "{written:?}");
        assert_eq!(imagesize::size(&file).unwrap().width, 128);
        assert!(!cli(&app, &["app", "icon", READER, "--output", &file]).await.status.success(), "nothing is replaced");
        let found = cli(&app, &["app", "list", "--search", "1600000022", "--json"]).await;
        let found: serde_json::Value = serde_json::from_slice(&found.stdout).unwrap();
        assert_eq!((&found[0]["info"]["name"], &found[1]), (&json!("App 1600000022"), &json!(null)));
        app.assert_clean();
    });
}

#[test]
fn the_stores_bundle_id_outranks_a_devices_word_and_lets_a_removal_go_on() {
    story(|clock| async move {
        let app = App::start(clock, &[(READER, 10)]).await;
        let learned = |w: &vppd::store::Write<'_>| assets::learn_bundle_id(w, READER, "com.liar.app");
        app.context.store.write(learned).await.unwrap();
        app.add_token("Leeds", false).await.unwrap();
        app.enrol(devices(0, 1)).await;
        let deployment = app.deploy(READER, "all-devices", PurposeView::Required).await;
        app.wait(minutes(20)).await;
        let apps = look::apps(&app.context).await.unwrap();
        assert_eq!(apps[0].bundle_id.as_deref(), Some("com.example.app1600000011"));
        app.context.store.write(learned).await.unwrap();
        deployments::remove(&app.context, deployment.id, "test").await.unwrap();
        app.wait(minutes(10)).await;
        assert!(app.installed(READER).is_empty());
        app.assert_clean();
    });
}

#[test]
fn with_a_developer_key_the_service_for_organisations_is_asked_first() {
    story(|clock| async move {
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("AuthKey.p8");
        std::fs::write(&file, key.serialize_pem()).unwrap();
        let lines = format!(
            "[metadata]\ndeveloper-key = {:?}\nkey-id = \"2X9R4HXF34\"\nteam-id = \"57246542CJ\"\n",
            file.display().to_string()
        );
        let app = App::start_with(clock, &[(READER, 10), (FORMS, 5)], |text| text + &lines).await;
        app.sandbox.apple.add_asset(&app.uid, NewAsset::book(ATLAS, 3)).unwrap();
        app.sandbox.apple.allow_developer("2X9R4HXF34", "57246542CJ", key.public_key_raw().to_vec());
        app.sandbox.apple.set_listing(READER, Listing { custom: true, ..Listing::default() }).unwrap();
        app.add_token("Leeds", false).await.unwrap();
        app.wait(minutes(5)).await;
        let known = infos(&app).await;
        assert!(known[READER].custom && known.len() == 3, "{known:?}");
        assert_eq!(
            (known[READER].bundle_ids.as_slice(), known[FORMS].version.as_str()),
            (&["com.example.app1600000011".to_owned()][..], "1.0")
        );
        assert_eq!((calls(&app, "organisations"), calls(&app, "metadata/lookup")), (2, 0));

        // Turned down, the lookup takes over, and licences notice nothing.
        app.sandbox.apple.add_fault(fault("organisations", Fault::MetadataForbidden, Often::Rate(1.0))).unwrap();
        app.sandbox.apple.buy(&app.uid, &AssetName::standard(READER), 1).unwrap();
        app.wait(hours(25)).await;
        assert!(calls(&app, "metadata/lookup") >= 1);
        app.sandbox.apple.clear_faults();
        app.sandbox.apple.allow_developer("2X9R4HXF34", "another-team", Vec::new());
        let asked = calls(&app, "metadata/lookup");
        app.wait(hours(48)).await;
        assert!(calls(&app, "metadata/lookup") > asked);
        sync::request(&app.context, SyncRequest::default(), "test").await.unwrap();
        app.wait(minutes(5)).await;
        app.assert_clean();
    });
}

#[test]
fn the_settings_turn_icons_off() {
    story(|clock| async move {
        let app = App::start_with(clock, &[(READER, 1)], in_metadata("icons = false\nrefresh = \"2h\"")).await;
        app.add_token("Leeds", false).await.unwrap();
        app.wait(hours(7)).await;
        let asked = calls(&app, "metadata/lookup");
        assert!((3..=5).contains(&asked), "{asked}");
        assert_eq!(calls(&app, "artwork"), 0);
        assert_eq!(catalogue::icon(&app.context, READER.into()).await.unwrap_err().code, "not-found");
    });
}
