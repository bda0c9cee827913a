//! Somebody sets the machine's clock, forward or back: nothing is lost, nothing is forgotten, nothing waits for years.

use jiff::SignedDuration;
use vppd::operations::view::*;
use vppd::operations::{look, tokens};

use crate::support::*;

const DAY: SignedDuration = SignedDuration::from_hours(24);
const YEARS: SignedDuration = SignedDuration::from_hours(24 * 365 * 10);
const APP: &str = "1600000011";

#[test]
fn a_clock_that_is_put_back_a_day_holds_nothing_up() {
    story(|clock| async move {
        let app = App::start(clock.clone(), &[(APP, 9)]).await;
        app.add_token("Leeds", false).await.unwrap();
        app.enrol(devices(0, 4)).await;
        app.deploy(APP, "all-devices", PurposeView::Required).await;
        // In the middle of it: licences are asked for, commands wait, looks are due in seconds.
        app.wait(std::time::Duration::from_secs(20)).await;
        clock.change(-DAY);
        app.wait(minutes(15)).await;
        assert_eq!(app.installed(APP).len(), 4);
        assert_eq!(app.stages(APP).await, counts([(Stage::Installed, 4)]));
        let pushes = app.sandbox.apns.counters().pushes;
        app.wait(minutes(60)).await;
        let later = app.sandbox.apns.counters().pushes;
        assert_eq!(pushes, later, "nobody is pushed again and again");
        let synced = tokens::show(&app.context, "Leeds".into()).await.unwrap().last_synced.unwrap();
        app.wait(minutes(13 * 60)).await;
        let next = tokens::show(&app.context, "Leeds".into()).await.unwrap().last_synced.unwrap();
        assert!(synced < next, "the next sync comes after half a day, not after a day and a half: {synced} {next}");
        app.assert_clean();
    });
}

#[test]
fn a_clock_that_runs_ten_years_ahead_for_an_hour_expires_nothing_for_good() {
    story(|clock| async move {
        let app = App::start(clock.clone(), &[(APP, 9)]).await;
        app.add_token("Leeds", false).await.unwrap();
        app.enrol(devices(0, 2)).await;
        app.deploy(APP, "all-devices", PurposeView::Required).await;
        app.wait(minutes(20)).await;
        assert_eq!(app.installed(APP).len(), 2);
        let tasks = look::tasks(&app.context).await.unwrap().len();
        clock.change(YEARS);
        app.wait(minutes(60)).await;
        assert_eq!(tokens::show(&app.context, "Leeds".into()).await.unwrap().state, TokenState::Expired);
        clock.change(-YEARS);
        app.wait(minutes(2)).await;
        assert!(look::tasks(&app.context).await.unwrap().len() >= tasks, "no history is forgotten");
        app.enrol(devices(2, 4)).await;
        app.wait(minutes(30)).await;
        assert_eq!(app.installed(APP).len(), 4, "{:?}", app.stages(APP).await);
        assert_eq!(tokens::show(&app.context, "Leeds".into()).await.unwrap().state, TokenState::Valid);
        app.assert_clean();
    });
}

#[test]
fn a_clock_that_was_wrong_before_a_restart_is_noticed_after_it() {
    story(|clock| async move {
        let mut app = App::start(clock.clone(), &[(APP, 9)]).await;
        clock.change(YEARS / 20);
        app.restart().await;
        app.add_token("Leeds", false).await.unwrap();
        app.wait(minutes(90)).await;
        app.end().await;
        clock.change(-YEARS / 20);
        app.begin().await;
        app.enrol(devices(0, 2)).await;
        app.deploy(APP, "all-devices", PurposeView::Required).await;
        app.wait(minutes(15)).await;
        assert_eq!(app.installed(APP).len(), 2, "{:?}", app.stages(APP).await);
        let before = tokens::show(&app.context, "Leeds".into()).await.unwrap().last_synced.unwrap();
        assert!(before <= clock.now(), "{before}");
        app.wait(minutes(13 * 60)).await;
        assert!(tokens::show(&app.context, "Leeds".into()).await.unwrap().last_synced.unwrap() > before);
    });
}
