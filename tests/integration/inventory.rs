//! What vppd knows of devices: asked again and again, shown, found by filters, and silent ones told apart.

use vppd::model::Ownership;
use vppd::operations::view::*;
use vppd::operations::{device_list, device_notes, look, pause};

use crate::support::*;

const READER: &str = "1600000011";
const FORMS: &str = "1600000022";
const DAY: u64 = 24 * 60;

async fn listed(app: &App, query: DeviceQuery) -> Vec<String> {
    let found = device_list::list(&app.context, query).await.unwrap();
    found.into_iter().map(|device| device.serial).collect()
}

fn times(app: &App, serial: &str, request_type: &str) -> u64 {
    let device = app.fleet.device(serial).unwrap().view();
    device.counters.commands.get(request_type).copied().unwrap_or(0)
}

#[test]
fn a_device_is_asked_every_day_and_what_it_tells_is_shown() {
    story(|clock| async move {
        let app = App::start(clock, &[(READER, 5), (FORMS, 5)]).await;
        app.add_token("Leeds", false).await.unwrap();
        let mut specs = devices(0, 2);
        specs[0].store_account = Some("hash-of-somebody".into());
        let serial = specs[0].serial.clone();
        app.enrol(specs).await;
        app.deploy(READER, "all-devices", PurposeView::Required).await;
        app.fleet.device(&serial).unwrap().apps().person_installs(FORMS);
        app.wait(minutes(5)).await;
        let about = look::device(&app.context, serial.clone()).await.unwrap().device.about;
        assert!(about.model_name.starts_with("iP") && about.platform == "iOS", "{about:?}");
        assert_eq!((about.store_account, about.contact), (Some(true), ContactView::Ok));
        assert_eq!(about.available.map(|bytes| bytes / 1_000_000_000), Some(44), "41.7 units of 1024^3 bytes");

        let before = times(&app, &serial, "DeviceInformation");
        app.wait(minutes(DAY + 60)).await;
        assert_eq!(times(&app, &serial, "DeviceInformation"), before + 1, "once a day");
        let detail = look::device(&app.context, serial.clone()).await.unwrap();
        let apps: Vec<_> = detail.installed.iter().map(|app| (app.managed, app.adam_id.as_str())).collect();
        assert_eq!(apps.len(), 2, "{apps:?}");
        assert!(apps.contains(&(true, READER)) && apps.contains(&(false, "")), "its person's own app is told apart");
        app.assert_clean();
    });
}

#[test]
fn of_a_personal_device_nothing_but_managed_apps_is_known() {
    story(|clock| async move {
        let app = App::start(clock, &[(READER, 5), (FORMS, 5)]).await;
        app.add_token("Leeds", false).await.unwrap();
        app.enrol(devices(0, 1)).await;
        let serial = app.fleet.view()[0].serial.clone();
        app.deploy(READER, "all-devices", PurposeView::Required).await;
        app.fleet.device(&serial).unwrap().apps().person_installs(FORMS);
        app.wait(minutes(DAY + 60)).await;
        let known = async || look::device(&app.context, serial.clone()).await.unwrap().installed;
        assert_eq!(known().await.len(), 2);
        let personal = DeviceEditRequest { ownership: Some(Ownership::Personal), ..DeviceEditRequest::default() };
        device_notes::edit(&app.context, serial.clone(), personal, "test").await.unwrap();
        assert_eq!(known().await.len(), 0, "forgotten at once");
        app.wait(minutes(30)).await;
        let apps = known().await;
        assert_eq!(apps.iter().map(|app| app.adam_id.as_str()).collect::<Vec<_>>(), [READER], "and asked anew");
        app.assert_clean();
    });
}

#[test]
fn devices_are_found_by_what_they_are_and_by_where_an_app_stands() {
    story(|clock| async move {
        let app = App::start(clock, &[(READER, 1)]).await;
        app.add_token("Leeds", false).await.unwrap();
        let mut specs = devices(0, 3);
        for (spec, product) in specs.iter_mut().zip(["iPad13,18", "iPad13,1", "iPhone15,2"]) {
            spec.product = product.into();
        }
        specs[2].os_version = "17.6".into();
        let serials: Vec<String> = specs.iter().map(|spec| spec.serial.clone()).collect();
        app.enrol(specs).await;
        let tagged = DeviceEditRequest { tags: Some(vec!["lab".into()]), ..DeviceEditRequest::default() };
        device_notes::edit(&app.context, serials[1].clone(), tagged, "test").await.unwrap();
        app.deploy(READER, "all-devices", PurposeView::Required).await;
        app.wait(minutes(10)).await;

        let rule = |rule: &str| DeviceQuery { rule: Some(rule.into()), ..DeviceQuery::default() };
        assert_eq!(listed(&app, DeviceQuery::default()).await, serials);
        assert_eq!(listed(&app, rule("model = \"iPad (10th*\"")).await, serials[..1], "by the name people know");
        assert_eq!(listed(&app, rule("model = \"iPad*\" and os >= 18 and tag = lab")).await, serials[1..2]);
        assert_eq!(listed(&app, rule("os < 18")).await, serials[2..]);
        let stage =
            |stage: &str| DeviceQuery { app: Some(READER.into()), stage: Some(stage.into()), ..DeviceQuery::default() };
        let installed = listed(&app, stage("installed")).await;
        assert_eq!(installed.len(), 1);
        assert_eq!(app.installed(READER).into_iter().collect::<Vec<_>>(), installed);
        assert_eq!(listed(&app, stage("waiting-for-licence")).await.len(), 2);
        let wrong = device_list::list(&app.context, stage("lost")).await.unwrap_err();
        assert!(wrong.to_string().contains("no such state"), "{wrong}");
        assert!(device_list::list(&app.context, rule("model ~ x")).await.is_err());
        let group = DeviceQuery { group: Some("Nobody".into()), ..DeviceQuery::default() };
        assert!(device_list::list(&app.context, group).await.is_err());

        let csv = cli(&app, &["device", "list", "--os", "18", "--model", "iPad*", "--csv"]).await;
        assert!(csv.status.success(), "{}", String::from_utf8_lossy(&csv.stderr));
        let csv = String::from_utf8(csv.stdout).unwrap();
        assert_eq!(csv.lines().count(), 3, "{csv}");
        assert!(csv.contains("iPad (10th generation)"), "{csv}");
        let apps = cli(&app, &["device", "apps", &installed[0]]).await;
        assert!(apps.status.success(), "{}", String::from_utf8_lossy(&apps.stderr));
    });
}

/// Section 5.4 and 5.5: pushed after 15 min, 1 h, 4 h and then daily, shown as silent, and in the end as missing.
#[test]
fn a_silent_device_is_pushed_after_growing_pauses_and_then_shown_as_silent() {
    story(|clock| async move {
        let sooner = |text| in_devices(text, "missing-after = \"6d\"");
        let app = App::start_with(clock, &[(READER, 5)], sooner).await;
        let mut specs = devices(0, 2);
        specs[0].behaviour.stay_away = true;
        let serial = specs[0].serial.clone();
        app.enrol(specs).await;
        app.wait(minutes(60)).await;
        let contact = async || look::device(&app.context, serial.clone()).await.unwrap().device.about.contact;
        assert_eq!(contact().await, ContactView::Ok, "an hour is no silence");
        assert_eq!(look::status(&app.context).await.unwrap().silent, 0);
        app.wait(minutes(2 * DAY)).await;
        assert_eq!(contact().await, ContactView::Silent);
        assert_eq!(look::status(&app.context).await.unwrap().silent, 1);
        let silent = DeviceQuery { silent: Some("1d".into()), ..DeviceQuery::default() };
        assert_eq!(listed(&app, silent).await, std::slice::from_ref(&serial));
        assert_eq!(times(&app, &serial, "DeviceInformation"), 0);
        let pushes = app.sandbox.apns.counters().pushes;
        app.wait(minutes(2 * DAY)).await;
        let more = app.sandbox.apns.counters().pushes - pushes;
        assert!((3..=5).contains(&more), "one a day for each: {more}");
        app.wait(minutes(3 * DAY)).await;
        assert_eq!(contact().await, ContactView::Missing);
        assert_eq!(look::status(&app.context).await.unwrap().silent, 1, "the other one answers every day");
    });
}

#[test]
fn nobody_is_asked_during_a_pause() {
    story(|clock| async move {
        let app = App::start(clock, &[]).await;
        app.enrol(devices(0, 1)).await;
        app.wait(minutes(5)).await;
        let serial = app.fleet.view()[0].serial.clone();
        let before = times(&app, &serial, "DeviceInformation");
        pause::pause(&app.context, PauseRequest::default(), "test").await.unwrap();
        app.wait(minutes(3 * DAY)).await;
        assert_eq!(times(&app, &serial, "DeviceInformation"), before);
        pause::resume(&app.context, "test").await.unwrap();
        app.wait(minutes(30)).await;
        assert_eq!(times(&app, &serial, "DeviceInformation"), before + 1);
    });
}
