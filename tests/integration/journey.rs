//! The whole way: from a content token to an app on a device, and back.

use std::time::Duration;

use sandbox::apple::AssetName;
use sandbox::device::Person;
use vppd::operations::view::*;
use vppd::operations::{deployments, look, pause, tokens};

use crate::support::*;

const READER: &str = "1600000011";

#[test]
fn an_app_reaches_every_device_and_its_licence_comes_first() {
    story(|clock| async move {
        let app = App::start(clock, &[(READER, 10)]).await;
        let added = app.add_token("Leeds", false).await.unwrap();
        assert_eq!((added.token.state, added.token.owner), (TokenState::Valid, OwnerView::Us));
        app.wait(minutes(1)).await;
        app.enrol(devices(0, 6)).await;
        app.deploy(READER, "all-devices", PurposeView::Required).await;
        app.wait(minutes(10)).await;
        assert_eq!(app.stages(READER).await, counts([(Stage::Installed, 6)]));
        assert_eq!(app.holders(READER).len(), 6);
        assert_eq!(app.installed(READER), app.holders(READER));
        let token = tokens::show(&app.context, "Leeds".into()).await.unwrap();
        assert_eq!((token.licences_assigned, token.licences_owned), (6, 10), "not as of the last sync, but now");
        let serial = app.holders(READER).into_iter().next().unwrap();
        let mut commands = look::device(&app.context, serial).await.unwrap().commands;
        // These devices do not know declarations.
        commands.retain(|command| command.request_type != "DeclarativeManagement");
        assert!(!commands.is_empty() && commands.iter().all(|command| command.error.is_empty()), "nothing went wrong");
        app.assert_clean();
    });
}

#[test]
fn short_of_licences_the_first_devices_are_served_and_the_rest_when_more_are_bought() {
    story(|clock| async move {
        let app = App::start(clock, &[(READER, 3)]).await;
        app.add_token("Leeds", false).await.unwrap();
        app.enrol(devices(0, 5)).await;
        app.deploy(READER, "all-devices", PurposeView::Required).await;
        app.wait(minutes(10)).await;
        assert_eq!(app.stages(READER).await, counts([(Stage::Installed, 3), (Stage::WaitingForLicence, 2)]));
        let places: Vec<_> = app.pairs(READER).await.into_values().filter_map(|pair| pair.position).collect();
        assert_eq!(places.len(), 2);
        app.sandbox.apple.buy(&app.uid, &AssetName::standard(READER), 5).unwrap();
        // Nobody asks for it: while somebody waits, the counts are read every few minutes.
        app.wait(minutes(15)).await;
        assert_eq!(app.stages(READER).await, counts([(Stage::Installed, 5)]));
        app.assert_clean();
    });
}

#[test]
fn what_is_no_longer_deployed_is_removed_and_only_then_its_licence_comes_back() {
    story(|clock| async move {
        let app = App::start(clock, &[(READER, 10)]).await;
        app.add_token("Leeds", false).await.unwrap();
        app.enrol(devices(0, 3)).await;
        let deployment = app.deploy(READER, "all-devices", PurposeView::Required).await;
        app.wait(minutes(10)).await;
        assert_eq!(app.installed(READER).len(), 3);
        deployments::remove(&app.context, deployment.id, "test").await.unwrap();
        app.wait(minutes(10)).await;
        assert_eq!(app.installed(READER).len(), 0);
        assert_eq!(app.holders(READER).len(), 0);
        let apps = look::apps(&app.context).await.unwrap();
        assert_eq!((apps[0].free, apps[0].assigned, apps[0].reserved), (10, 0, 0));
        app.assert_clean();
    });
}

#[test]
fn a_device_that_leaves_gives_its_licence_to_the_one_that_waits() {
    story(|clock| async move {
        let app = App::start(clock, &[(READER, 2)]).await;
        app.add_token("Leeds", false).await.unwrap();
        app.enrol(devices(0, 3)).await;
        app.deploy(READER, "all-devices", PurposeView::Required).await;
        app.wait(minutes(10)).await;
        let leaving = app.holders(READER).into_iter().next().unwrap();
        app.fleet.device(&leaving).unwrap().unenrol().await;
        app.wait(minutes(20)).await;
        let holders = app.holders(READER);
        assert!(!holders.contains(&leaving));
        assert_eq!(holders.len(), 2);
        assert_eq!(app.installed(READER), holders);
        app.assert_clean();
    });
}

#[test]
fn a_person_who_declines_is_not_asked_again_and_one_who_ignores_stays_open() {
    story(|clock| async move {
        let app = App::start(clock, &[(READER, 10)]).await;
        app.add_token("Leeds", false).await.unwrap();
        let mut specs = devices(0, 3);
        for spec in &mut specs {
            spec.supervised = false;
        }
        specs[1].person = Person::Decline { after: Duration::from_secs(30) };
        specs[2].person = Person::Ignore;
        let serials: Vec<String> = specs.iter().map(|spec| spec.serial.clone()).collect();
        app.enrol(specs).await;
        app.deploy(READER, "all-devices", PurposeView::Required).await;
        app.wait(Duration::from_secs(24 * 3600)).await;
        let pairs = app.pairs(READER).await;
        assert_eq!(pairs[&serials[0]].stage, Stage::Installed);
        assert_eq!(
            (pairs[&serials[1]].stage, pairs[&serials[1]].app_status.as_str()),
            (Stage::Rejected, "UserRejected")
        );
        assert_eq!(
            (pairs[&serials[2]].stage, pairs[&serials[2]].app_status.as_str()),
            (Stage::WaitingForPerson, "Prompting")
        );
        let installs = app.fleet.device(&serials[1]).unwrap().view().counters.commands["InstallApplication"];
        assert_eq!(installs, 1, "asked again after a refusal");
        app.assert_clean();
    });
}

#[test]
fn a_device_that_stays_away_is_pushed_with_growing_pauses_and_served_when_it_comes() {
    story(|clock| async move {
        let app = App::start(clock, &[(READER, 10)]).await;
        app.add_token("Leeds", false).await.unwrap();
        let mut specs = devices(0, 1);
        specs[0].behaviour.stay_away = true;
        app.enrol(specs).await;
        app.deploy(READER, "all-devices", PurposeView::Required).await;
        app.wait(Duration::from_secs(48 * 3600)).await;
        assert_eq!(app.stages(READER).await, counts([(Stage::InstallQueued, 1)]));
        // At once, after 15 minutes, 1 hour, 4 hours, then daily.
        let pushes = app.sandbox.apns.counters().pushes;
        assert!((5..=8).contains(&pushes), "{pushes} pushes in two days");
        app.assert_clean();
    });
}

#[test]
fn not_now_and_lost_replies_lose_and_double_nothing() {
    story(|clock| async move {
        let app = App::start(clock, &[(READER, 10)]).await;
        app.add_token("Leeds", false).await.unwrap();
        let mut specs = devices(0, 4);
        specs[0].behaviour.not_now_on = Some(1);
        specs[0].behaviour.not_now_back = Some(Duration::from_secs(120));
        specs[1].behaviour.not_now_on = Some(2);
        specs[2].behaviour.lose_reply_on = Some(1);
        specs[3].behaviour.lose_reply_on = Some(3);
        app.enrol(specs).await;
        app.deploy(READER, "all-devices", PurposeView::Required).await;
        app.wait(Duration::from_secs(6 * 3600)).await;
        assert_eq!(app.stages(READER).await, counts([(Stage::Installed, 4)]));
        for device in app.fleet.view() {
            // A command that was put off comes again; a result that was repeated does not bring its command again.
            let installs = device.counters.commands["InstallApplication"];
            assert!(installs == 1 || (installs == 2 && device.counters.not_now > 0), "{}: {installs}", device.serial);
        }
        app.assert_clean();
    });
}

#[test]
fn a_device_that_put_everything_off_is_not_pushed_all_night() {
    story(|clock| async move {
        let app = App::start(clock, &[(READER, 10)]).await;
        app.add_token("Leeds", false).await.unwrap();
        let mut specs = devices(0, 1);
        // The first command that it puts off is the install; the device then never comes back by itself.
        specs[0].behaviour.not_now_on = Some(5);
        app.enrol(specs).await;
        app.wait(minutes(5)).await;
        let before = app.sandbox.apns.counters().pushes;
        app.deploy(READER, "all-devices", PurposeView::Required).await;
        app.wait(minutes(10)).await;
        assert_eq!(app.stages(READER).await, counts([(Stage::InstallQueued, 1)]));
        let pushes = app.sandbox.apns.counters().pushes - before;
        assert!(pushes <= 2, "{pushes} pushes to a device that said NotNow");
        app.wait(minutes(30)).await;
        assert_eq!(app.stages(READER).await, counts([(Stage::Installed, 1)]), "the later push brings it");
        app.assert_clean();
    });
}

#[test]
fn a_pause_stops_installs_and_a_resume_lets_them_go_on() {
    story(|clock| async move {
        let app = App::start(clock, &[(READER, 10)]).await;
        app.add_token("Leeds", false).await.unwrap();
        app.enrol(devices(0, 2)).await;
        pause::pause(&app.context, PauseRequest { reason: "exam week".into() }, "test").await.unwrap();
        app.deploy(READER, "all-devices", PurposeView::Required).await;
        app.wait(Duration::from_secs(3600)).await;
        assert_eq!((app.holders(READER).len(), app.installed(READER).len()), (0, 0));
        let plan = look::plan(&app.context).await.unwrap();
        assert_eq!((plan.paused, plan.licences.len()), (true, 1), "the plan still shows what would be done");
        pause::resume(&app.context, "test").await.unwrap();
        app.wait(minutes(10)).await;
        assert_eq!(app.installed(READER).len(), 2);
        app.assert_clean();
    });
}

#[test]
fn the_exception_for_one_device_removes_the_app_there_only() {
    story(|clock| async move {
        let app = App::start(clock, &[(READER, 10)]).await;
        app.add_token("Leeds", false).await.unwrap();
        app.enrol(devices(0, 3)).await;
        app.deploy(READER, "all-devices", PurposeView::Required).await;
        app.wait(minutes(10)).await;
        let serial = app.fleet.devices()[1].spec().serial.clone();
        app.deploy(READER, &format!("serial:{serial}"), PurposeView::Uninstall).await;
        app.wait(minutes(10)).await;
        assert_eq!(app.installed(READER).len(), 2);
        assert!(!app.holders(READER).contains(&serial));
        app.assert_clean();
    });
}

#[test]
fn everything_is_still_known_after_a_restart() {
    story(|clock| async move {
        let mut app = App::start(clock, &[(READER, 10)]).await;
        app.add_token("Leeds", false).await.unwrap();
        app.enrol(devices(0, 2)).await;
        app.deploy(READER, "all-devices", PurposeView::Required).await;
        app.wait(Duration::from_secs(3)).await;
        app.restart().await;
        app.wait(minutes(30)).await;
        assert_eq!(app.stages(READER).await, counts([(Stage::Installed, 2)]));
        let calls = app.sandbox.apple.counters().calls;
        assert_eq!(calls.get("assets/associate"), Some(&1), "{calls:?}");
        app.assert_clean();
    });
}
