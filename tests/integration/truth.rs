//! The truth about every app: what `vppd why` tells, how an install ends that nobody answers, how often each cause is tried, what
//! devices ask their people, and the terms that apps come with.

use std::collections::BTreeSet;
use std::time::Duration;

use sandbox::device::Person;
use sandbox::device::apps::AppState;
use sandbox::device::options::Refused;
use serde_json::json;
use vppd::model::{LicenceKind, Ownership};
use vppd::operations::view::*;
use vppd::operations::{deployments, device_notes, retry, users, why};

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

fn refused(chain: &[(&str, i64)], reason: Option<&str>) -> Refused {
    let chain = chain.iter().map(|(domain, code)| ((*domain).to_owned(), *code)).collect();
    Refused { chain, reason: reason.map(str::to_owned) }
}

#[test]
fn each_cause_has_its_tries_and_a_refused_take_over_is_sent_without() {
    story(|clock| async move {
        let app = App::start(clock, &[(APP, 9)]).await;
        app.add_token("Leeds", false).await.unwrap();
        let mut specs = devices(0, 5);
        let unseen = refused(&[("MDMErrorDomain", 12010), ("MDMErrorDomain", 12064)], None);
        specs[0].behaviour.refuse_installs = vec![unseen.clone(), unseen.clone()];
        specs[1].behaviour.refuse_installs = vec![unseen; 9];
        specs[2].behaviour.refuse_installs = vec![refused(&[("FooDomain", 7)], Some("Other")); 9];
        specs[3].behaviour.refuse_installs = vec![refused(&[], Some("NotSupported"))];
        specs[4].behaviour.refuse_take_over = true;
        let serials: Vec<String> = specs.iter().map(|spec| spec.serial.clone()).collect();
        app.enrol(specs).await;
        app.deploy(APP, "all-devices", PurposeView::Required).await;
        app.wait(Duration::from_secs(26 * 3600)).await;
        let mut ends = Vec::new();
        for serial in &serials {
            let end = told(&app, serial).await;
            let asked = end.moments.iter().filter(|one| one.what == "InstallApplication is queued").count();
            ends.push((end.stage, end.cause, asked, end.device_says));
        }
        let end = |stage, cause: &str, tries, says: &str| (stage, cause.to_owned(), tries, says.to_owned());
        let unseen = "MDMErrorDomain 12010; MDMErrorDomain 12064";
        let expected = [
            end(Stage::Installed, "", 3, unseen),
            end(Stage::Failed, "licence-not-seen", 4, unseen),
            end(Stage::Failed, "unknown", 6, "FooDomain 7"),
            end(Stage::Failed, "not-supported", 1, ""),
            end(Stage::Installed, "", 2, "MCMDMErrorDomain 12008 “The MDM request is invalid”"),
        ];
        assert_eq!(ends, expected);
        app.assert_clean();
    });
}

#[test]
fn an_app_comes_with_its_configuration_and_gets_a_new_one_when_it_changes() {
    story(|clock| async move {
        let app = App::start(clock, &[(APP, 5)]).await;
        app.add_token("Leeds", false).await.unwrap();
        app.enrol(devices(1, 3)).await;
        let terms = |configuration: &str, attributes: &str| TermsRequest {
            configuration: Some(configuration.to_owned()),
            attributes: Some(attributes.to_owned()),
            ..TermsRequest::default()
        };
        let request = DeployRequest {
            terms: terms(r#"{"server": "one.example"}"#, r#"{"Removable": false}"#),
            ..DeployRequest::new(APP, "all-devices", PurposeView::Required)
        };
        let id = deployments::add(&app.context, request, "test").await.unwrap().deployment.id;
        let there = || -> Vec<(String, String)> {
            let told = |text: &Option<String>| text.clone().unwrap_or_default();
            let all = app.fleet.view().into_iter().flat_map(|device| device.apps);
            all.map(|app| (told(&app.configuration), told(&app.attributes))).collect()
        };
        let sent = async || {
            let serial = devices(1, 2)[0].serial.clone();
            told(&app, &serial).await.moments.iter().filter(|one| one.what.ends_with("is queued")).count()
        };
        app.wait(minutes(10)).await;
        let first = there();
        assert!(
            first.iter().all(|(list, marks)| list.contains("one.example") && marks.contains("Removable")),
            "{first:?}"
        );
        let edit = async |terms| {
            let request = DeployEditRequest { terms, ..DeployEditRequest::default() };
            deployments::edit(&app.context, id, request, "test").await.unwrap();
            app.wait(minutes(10)).await;
        };
        edit(terms(r#"{"server": "two.example"}"#, r#"{"Removable": false}"#)).await;
        assert!(there().iter().all(|(list, _)| list.contains("two.example")), "{:?}", there());
        assert_eq!((app.installed(APP).len(), sent().await), (2, 2));
        app.wait(Duration::from_secs(6 * 3600)).await;
        assert_eq!(sent().await, 2, "sent again although nothing has changed");
        edit(terms("", "")).await;
        assert_eq!(there(), vec![(String::new(), String::new()); 2]);
        assert_eq!(sent().await, 3);
        deployments::remove(&app.context, id, "test").await.unwrap();
        app.wait(minutes(30)).await;
        assert_eq!((app.installed(APP).len(), app.holders(APP).len()), (0, 0));
        app.assert_clean();
    });
}

/// Who owns the device, by whose licence the app comes, and whether the device is supervised: what was promised before, and
/// what the device then asked (`cargo nextest run prompts --no-capture`).
#[test]
fn devices_ask_what_the_preview_has_promised_of_their_prompts() {
    story(|clock| async move {
        let app = App::start(clock, &[(APP, 20)]).await;
        app.add_token("Leeds", false).await.unwrap();
        app.wait(minutes(1)).await;
        let mut specs = devices(0, 12);
        let cells: Vec<(Ownership, LicenceKind, bool)> =
            [Ownership::Organisation, Ownership::Personal, Ownership::Kiosk]
                .into_iter()
                .flat_map(|owner| [(owner, LicenceKind::Device), (owner, LicenceKind::User)])
                .flat_map(|(owner, licence)| [(owner, licence, true), (owner, licence, false)])
                .collect();
        for (spec, (.., supervised)) in specs.iter_mut().zip(&cells) {
            spec.supervised = *supervised;
        }
        let serials: Vec<String> = specs.iter().map(|spec| spec.serial.clone()).collect();
        for (number, (serial, (ownership, ..))) in serials.iter().zip(&cells).enumerate() {
            let email = format!("p{number}@example.org");
            let managed_account = Some(format!("p{number}@managed.example"));
            let request = UserAddRequest {
                location: "Leeds".into(),
                email: email.clone(),
                managed_account,
                ..Default::default()
            };
            users::add(&app.context, request, "test").await.unwrap();
            let note = DeviceEditRequest { person: Some(email), ownership: Some(*ownership), ..Default::default() };
            device_notes::edit(&app.context, serial.clone(), note, "test").await.unwrap();
        }
        app.enrol(specs).await;
        app.wait(minutes(5)).await;

        let mut promised = Vec::new();
        for (serial, (_, licence, _)) in serials.iter().zip(&cells) {
            let terms = TermsRequest { licence: Some(*licence), ..TermsRequest::default() };
            let target = format!("serial:{serial}");
            let request = DeployRequest { terms, ..DeployRequest::new(APP, &target, PurposeView::Required) };
            promised.push(match deployments::add(&app.context, request, "test").await {
                Ok(detail) => Ok(detail.preview.prompts[0].clone()),
                Err(error) => Err(error.code),
            });
        }
        app.wait(minutes(30)).await;
        println!("ownership | licence | supervised | promised | asked");
        let mut wrong = Vec::new();
        for (number, (serial, (ownership, licence, supervised))) in serials.iter().zip(&cells).enumerate() {
            let device = app.fleet.view().into_iter().find(|device| device.serial == *serial).unwrap();
            let asked = |state| device.prompts.iter().any(|(_, asked)| *asked == state);
            let asked = (asked(AppState::Prompting), asked(AppState::PromptingForLogin));
            let kiosk = *ownership == Ownership::Kiosk && *licence == LicenceKind::User;
            let (words, expected) = match &promised[number] {
                Ok(prompts) => (prompts.words.clone(), (prompts.install, prompts.account)),
                Err(code) => (format!("not offered ({code})"), (false, false)),
            };
            println!("{} | {} | {supervised} | {words} | {asked:?}", ownership.word(), licence.word());
            if asked != expected || kiosk != promised[number].is_err() {
                wrong.push(number);
            }
            app.sandbox.apple.sign_in(serial, &format!("p{number}@managed.example"));
        }
        assert_eq!(wrong, Vec::<usize>::new());
        assert!(promised.iter().flatten().any(|one| one.install && one.account));
        app.wait(minutes(30)).await;
        assert_eq!(app.installed(APP).len(), 10, "all but the two kiosks with a licence by user");
        app.assert_clean();
    });
}
