//! Apps that come by declaration (Apple: Declarative Management): declared when their licence is there, told of by the
//! device itself, withdrawn before the licence goes back. The names tell the section of the protocol that they cover.

use std::time::Duration;

use sandbox::device::{Declares, DeviceSpec, Person};
use vppd::model::Delivery;
use vppd::operations::view::*;
use vppd::operations::{deployments, look};
use vppd::store::{self, StoreError};

use crate::support::*;

const PAGES: &str = "361309726";
const NUMBERS: &str = "361304891";

const HOUR: Duration = Duration::from_secs(3600);

async fn begin(clock: vppd::clock::Clock) -> App {
    let app = App::start(clock, &[(PAGES, 20), (NUMBERS, 20)]).await;
    app.add_token("Leeds", false).await.unwrap();
    app.wait(minutes(2)).await;
    app
}

type Change = fn(&mut DeviceSpec);

/// Devices that know declarations, changed as said.
fn declaring(from: u64, to: u64, change: impl Fn(&mut DeviceSpec)) -> Vec<DeviceSpec> {
    let mut specs = devices(from, to);
    for spec in &mut specs {
        spec.declares = Declares::all();
        change(spec);
    }
    specs
}

async fn deploy(app: &App, adam_id: &str, terms: TermsRequest) -> i64 {
    let request = DeployRequest { terms, ..DeployRequest::new(adam_id, "all-devices", PurposeView::Required) };
    deployments::add(&app.context, request, "test").await.unwrap().deployment.id
}

async fn edit(app: &App, id: i64, terms: TermsRequest) -> DeploymentDetailView {
    deployments::edit(&app.context, id, DeployEditRequest { terms, ..DeployEditRequest::default() }, "test")
        .await
        .unwrap()
}

fn by(delivery: Delivery) -> TermsRequest {
    TermsRequest { delivery: Some(delivery), ..TermsRequest::default() }
}

/// How often the devices were told something, all together.
fn told(app: &App, request_type: &str) -> u64 {
    app.fleet.view().iter().filter_map(|device| device.counters.commands.get(request_type)).sum()
}

fn asked(app: &App, endpoint: &str) -> u64 {
    app.fleet.view().iter().filter_map(|device| device.counters.asked.get(endpoint)).sum()
}

#[test]
fn section_7_7_a_required_app_is_declared_after_its_licence_and_nobody_asks_for_lists() {
    story(|clock| async move {
        let app = begin(clock).await;
        app.enrol(declaring(1, 4, |_| ())).await;
        deploy(&app, PAGES, TermsRequest::default()).await;
        deploy(&app, NUMBERS, TermsRequest::default()).await;
        app.wait(minutes(10)).await;
        for adam_id in [PAGES, NUMBERS] {
            assert_eq!(app.stages(adam_id).await, counts([(Stage::Installed, 3)]), "{:?}", app.pairs(adam_id).await);
            assert_eq!((app.installed(adam_id).len(), app.holders(adam_id).len()), (3, 3));
        }
        assert!(app.pairs(PAGES).await.values().all(|pair| pair.declared && pair.app_status == "managed"));
        app.wait(48 * HOUR).await;
        assert_eq!(told(&app, "InstallApplication"), 0);
        assert_eq!(
            told(&app, "ManagedApplicationList"),
            9,
            "one each when they enrolled, and one a day for the inventory"
        );
        let device = look::device(&app.context, app.fleet.devices()[0].spec().serial.clone()).await.unwrap();
        let declarations = device.declarations.unwrap();
        assert_eq!(declarations.state, "on");
        assert!(declarations.apps && declarations.tells_of_apps && declarations.in_step);
        app.assert_clean();
    });
}

#[test]
fn section_7_6_whatever_way_a_device_reports_it_is_understood() {
    story(|clock| async move {
        let app = begin(clock).await;
        let ways: [(&str, Change); 5] = [
            ("iOS 17", |spec| spec.os_version = "17.4".into()),
            ("iOS 26", |spec| spec.os_version = "26.1".into()),
            ("builds as text", |spec| spec.declares.builds_swapped = true),
            ("always everything", |spec| spec.declares.always_full = true),
            ("reports of more than 100 kB", |spec| spec.declares.ballast = 1_500),
        ];
        for (number, (_, change)) in (1u64..).zip(&ways) {
            app.enrol(declaring(number, number + 1, change)).await;
        }
        deploy(
            &app,
            PAGES,
            TermsRequest { updates: Some(vppd::model::UpdatePolicy::Never), ..TermsRequest::default() },
        )
        .await;
        app.wait(minutes(15)).await;
        for (device, (way, _)) in app.fleet.devices().iter().zip(&ways) {
            let pair = app.pairs(PAGES).await.remove(&device.spec().serial).unwrap();
            assert_eq!(pair.stage, Stage::Installed, "{way}: {}", pair.why);
            device.report_fully().await;
        }
        app.wait(48 * HOUR).await;
        assert_eq!(app.stages(PAGES).await, counts([(Stage::Installed, 5)]));
        app.assert_clean();
    });
}

#[test]
fn section_8_6_a_declaration_is_withdrawn_and_the_licence_goes_back_when_the_device_has_confirmed_it() {
    story(|clock| async move {
        let app = begin(clock).await;
        app.enrol(declaring(1, 3, |_| ())).await;
        let id = deploy(&app, PAGES, TermsRequest::default()).await;
        app.wait(minutes(10)).await;
        assert_eq!(app.installed(PAGES).len(), 2);
        deployments::remove(&app.context, id, "test").await.unwrap();
        app.wait(Duration::from_secs(1)).await;
        assert_eq!(app.holders(PAGES).len(), 2, "not before the app is gone");
        app.wait(minutes(15)).await;
        assert_eq!((app.installed(PAGES).len(), app.holders(PAGES).len()), (0, 0), "{:?}", app.pairs(PAGES).await);
        assert_eq!(told(&app, "RemoveApplication"), 0);
        deploy(&app, PAGES, TermsRequest::default()).await;
        app.wait(minutes(30)).await;
        assert_eq!((app.installed(PAGES).len(), app.holders(PAGES).len()), (2, 2), "wanted again");
        app.assert_clean();
    });
}

#[test]
fn section_7_7_a_licence_that_the_store_does_not_see_yet_is_tried_again_with_another_token() {
    story(|clock| async move {
        let app = begin(clock).await;
        app.enrol(declaring(1, 2, |_| ())).await;
        app.fleet.devices()[0].apps().licence_comes_late(2);
        deploy(&app, PAGES, TermsRequest::default()).await;
        app.wait(minutes(4)).await;
        let pair = app.pairs(PAGES).await.into_values().next().unwrap();
        assert!(pair.why.contains("does not see the licence"), "{}", pair.why);
        app.wait(3 * HOUR).await;
        assert_eq!(app.stages(PAGES).await, counts([(Stage::Installed, 1)]), "{:?}", app.pairs(PAGES).await);
        app.assert_clean();
    });
}

#[test]
fn a_code_that_nobody_knows_is_shown_raw_and_the_tries_come_to_an_end() {
    story(|clock| async move {
        let app = begin(clock).await;
        app.enrol(declaring(1, 2, |spec| spec.declares.unknown_codes = true)).await;
        app.fleet.devices()[0].apps().licence_comes_late(100);
        deploy(&app, PAGES, TermsRequest::default()).await;
        app.wait(5 * 24 * HOUR).await;
        let pair = app.pairs(PAGES).await.into_values().next().unwrap();
        assert_eq!(pair.stage, Stage::Failed, "{}", pair.why);
        assert!(pair.why.contains("Error.MoonPhase") && pair.why.contains("own words"), "{}", pair.why);
        let before = asked(&app, "declaration");
        app.wait(24 * HOUR).await;
        assert_eq!(asked(&app, "declaration"), before, "it rests");
        app.wait(3 * 24 * HOUR).await;
        assert!(app.holders(PAGES).is_empty(), "the licence of a failed install goes back");
        app.assert_clean();
    });
}

#[test]
fn section_7_7_what_a_person_declines_or_deletes_is_seen_without_asking() {
    story(|clock| async move {
        let app = begin(clock).await;
        let declines = |spec: &mut DeviceSpec| {
            spec.supervised = false;
            spec.person = Person::Decline { after: Duration::from_secs(30) };
        };
        app.enrol(declaring(1, 2, declines)).await;
        app.enrol(declaring(2, 3, |_| ())).await;
        deploy(&app, PAGES, TermsRequest::default()).await;
        app.wait(minutes(10)).await;
        assert_eq!(app.stages(PAGES).await, counts([(Stage::Installed, 1), (Stage::Rejected, 1)]));
        let fetched = asked(&app, "declaration");
        app.wait(24 * HOUR).await;
        assert_eq!(asked(&app, "declaration"), fetched, "nobody is asked twice by a machine");
        assert!(app.fleet.devices()[1].person_deletes_app(PAGES));
        app.wait(minutes(15)).await;
        assert_eq!(app.stages(PAGES).await, counts([(Stage::Installed, 1), (Stage::Rejected, 1)]), "it is back");
        assert_eq!(app.installed(PAGES).len(), 1);
        app.assert_clean();
    });
}

#[test]
fn section_7_7_an_app_moves_from_command_to_declaration_without_being_installed_again_and_not_back() {
    story(|clock| async move {
        let app = begin(clock).await;
        app.enrol(declaring(1, 3, |_| ())).await;
        let id = deploy(&app, PAGES, by(Delivery::Command)).await;
        app.wait(minutes(10)).await;
        assert_eq!((app.installed(PAGES).len(), told(&app, "InstallApplication")), (2, 2));
        edit(&app, id, by(Delivery::Auto)).await;
        app.wait(minutes(10)).await;
        assert!(app.pairs(PAGES).await.values().all(|pair| !pair.declared), "auto leaves it as it is");
        edit(&app, id, by(Delivery::Declarative)).await;
        app.wait(minutes(10)).await;
        let pairs = app.pairs(PAGES).await;
        assert!(pairs.values().all(|pair| pair.declared && pair.stage == Stage::Installed), "{pairs:?}");
        assert!(app.fleet.view().iter().all(|device| device.apps[0].declared.is_some()));
        let back = edit(&app, id, by(Delivery::Command)).await;
        assert!(back.preview.notes.iter().any(|note| note.contains("stay so")), "{:?}", back.preview.notes);
        app.wait(48 * HOUR).await;
        assert!(app.fleet.view().iter().all(|device| device.apps[0].declared.is_some()));
        assert_eq!((app.installed(PAGES).len(), told(&app, "InstallApplication")), (2, 2), "never installed again");
        deployments::remove(&app.context, id, "test").await.unwrap();
        app.wait(minutes(15)).await;
        assert_eq!((app.installed(PAGES).len(), app.holders(PAGES).len()), (0, 0));
        app.assert_clean();
    });
}

#[test]
fn section_8_7_devices_that_tell_of_commanded_apps_are_not_asked() {
    story(|clock| async move {
        let app = begin(clock).await;
        app.enrol(declaring(1, 4, |spec| spec.declares.apps = false)).await;
        deploy(&app, PAGES, TermsRequest::default()).await;
        app.wait(minutes(10)).await;
        assert_eq!(app.stages(PAGES).await, counts([(Stage::Installed, 3)]), "{:?}", app.pairs(PAGES).await);
        assert_eq!((told(&app, "InstallApplication"), told(&app, "ManagedApplicationList")), (3, 3));
        assert!(app.fleet.devices()[0].person_deletes_app(PAGES));
        app.wait(minutes(15)).await;
        assert_eq!(app.installed(PAGES).len(), 3, "it told so, and was told to install it again");
        assert_eq!(told(&app, "ManagedApplicationList"), 3);
        app.assert_clean();
    });
}

#[test]
fn changed_terms_change_the_declaration_and_the_device_fetches_it() {
    story(|clock| async move {
        let app = begin(clock).await;
        app.enrol(declaring(1, 2, |_| ())).await;
        let id = deploy(&app, PAGES, TermsRequest::default()).await;
        app.wait(minutes(10)).await;
        let token = |app: &App| app.fleet.view()[0].apps[0].declared.clone().unwrap();
        let before = token(&app);
        app.wait(HOUR).await;
        assert_eq!(token(&app), before);
        let attributes = Some(r#"{"VPNUUID": "of the school", "Removable": false}"#.to_owned());
        edit(&app, id, TermsRequest { attributes, ..TermsRequest::default() }).await;
        app.wait(minutes(5)).await;
        assert_ne!(token(&app), before);
        assert_eq!(app.stages(PAGES).await, counts([(Stage::Installed, 1)]));
        app.assert_clean();
    });
}

#[test]
fn section_1_7_only_what_is_truly_not_wanted_is_answered_404() {
    story(|clock| async move {
        let app = begin(clock).await;
        app.enrol(declaring(1, 2, |_| ())).await;
        deploy(&app, PAGES, TermsRequest::default()).await;
        app.wait(minutes(10)).await;
        let device = app.fleet.devices()[0].clone();
        let pages = format!("declaration/configuration/vppd.app.{PAGES}");
        for (endpoint, status) in [
            (pages.as_str(), 200),
            ("declaration/activation/vppd.activation", 200),
            ("declaration/configuration/vppd.app.1", 404),
            ("declaration/asset/vppd.app.1", 404),
            ("declaration/moon/vppd.app.1", 400),
            ("tokens", 200),
        ] {
            assert_eq!(device.asks(endpoint).await, Some(status), "{endpoint}");
        }
        // As after an older backup: nothing is known of its declarations.
        let udid = device.spec().udid.clone();
        app.context
            .store
            .write(move |w| -> Result<(), StoreError> {
                let known = store::devices::by_udid(w, &udid)?.unwrap();
                store::declarations::forget(w, known.id)
            })
            .await
            .unwrap();
        for endpoint in ["tokens", "declaration-items", &pages, "declaration/configuration/vppd.app.1"] {
            assert_eq!(device.asks(endpoint).await, Some(503), "{endpoint}");
        }
        app.wait(48 * HOUR).await;
        assert_eq!((app.installed(PAGES).len(), app.holders(PAGES).len()), (1, 1), "{:?}", app.pairs(PAGES).await);
        app.assert_clean();
    });
}

#[test]
fn section_7_5_an_offered_app_waits_for_its_person() {
    story(|clock| async move {
        let app = begin(clock).await;
        app.enrol(declaring(1, 2, |_| ())).await;
        deploy(&app, PAGES, TermsRequest { offered: Some(true), ..TermsRequest::default() }).await;
        app.wait(4 * 24 * HOUR).await;
        let pair = app.pairs(PAGES).await.into_values().next().unwrap();
        assert_eq!((pair.stage, pair.app_status.as_str()), (Stage::WaitingForPerson, "optional"), "{}", pair.why);
        assert!(app.fleet.devices()[0].apps().person_asks(PAGES));
        app.wait(minutes(5)).await;
        assert_eq!(app.stages(PAGES).await, counts([(Stage::Installed, 1)]));
        app.assert_clean();
    });
}

#[test]
fn a_declaration_that_no_device_has_fetched_is_taken_back_with_its_licence() {
    story(|clock| async move {
        let app = begin(clock).await;
        app.enrol(declaring(1, 2, |_| ())).await;
        app.wait(minutes(5)).await;
        // It is known what it can; now it is off.
        let device = app.fleet.devices()[0].clone();
        device.switch(false);
        let id = deploy(&app, PAGES, TermsRequest::default()).await;
        app.wait(minutes(5)).await;
        assert_eq!(app.stages(PAGES).await, counts([(Stage::InstallQueued, 1)]), "{:?}", app.pairs(PAGES).await);
        deployments::remove(&app.context, id, "test").await.unwrap();
        app.wait(minutes(10)).await;
        assert!(app.holders(PAGES).is_empty(), "at once, and not after days: {:?}", app.pairs(PAGES).await);
    });
}

#[test]
fn section_7_2_declarations_end_with_the_enrolment_and_begin_with_the_next() {
    story(|clock| async move {
        let app = begin(clock).await;
        let specs = declaring(1, 2, |_| ());
        app.enrol(specs.clone()).await;
        deploy(&app, PAGES, TermsRequest::default()).await;
        app.wait(minutes(10)).await;
        assert_eq!(app.installed(PAGES).len(), 1);
        app.fleet.devices()[0].unenrol().await;
        app.wait(minutes(10)).await;
        assert_eq!((app.installed(PAGES).len(), app.holders(PAGES).len()), (0, 0));
        app.enrol(specs).await;
        app.wait(minutes(30)).await;
        assert_eq!((app.installed(PAGES).len(), app.holders(PAGES).len()), (1, 1), "{:?}", app.pairs(PAGES).await);
        assert!(app.pairs(PAGES).await.values().all(|pair| pair.declared));
        app.assert_clean();
    });
}

#[test]
fn a_restart_in_the_middle_loses_no_declaration_and_a_device_that_knows_none_is_asked_once() {
    story(|clock| async move {
        let mut app = begin(clock).await;
        app.enrol(declaring(1, 6, |_| ())).await;
        app.enrol(devices(6, 7)).await;
        deploy(&app, PAGES, TermsRequest::default()).await;
        for seconds in [3, 5, 7, 11, 20] {
            app.wait(Duration::from_secs(seconds)).await;
            app.restart().await;
        }
        app.wait(minutes(30)).await;
        assert_eq!(app.stages(PAGES).await, counts([(Stage::Installed, 6)]), "{:?}", app.pairs(PAGES).await);
        app.wait(48 * HOUR).await;
        let plain = app.fleet.view().pop().unwrap();
        assert_eq!(plain.counters.commands["DeclarativeManagement"], 1);
        assert_eq!(plain.counters.commands["InstallApplication"], 1);
        assert_eq!(app.installed(PAGES).len(), 6);
        app.assert_clean();
    });
}
