//! Licences that run out: told before, told when, and over when more come.

use sandbox::apple::AssetName;
use vppd::operations::view::*;
use vppd::operations::{alerts, shortage};

use crate::support::*;

const READER: &str = "1600000011";

async fn told(app: &App) -> Vec<String> {
    let all = alerts::list(&app.context, false).await.unwrap();
    all.into_iter().filter(|alert| alert.kind == shortage::SHORT).map(|alert| alert.message).collect()
}

#[test]
fn whoever_waits_is_told_of_and_the_alert_ends_when_licences_come() {
    story(|clock| async move {
        let app = App::start(clock, &[(READER, 3)]).await;
        app.add_token("Leeds", false).await.unwrap();
        app.enrol(devices(0, 5)).await;
        app.deploy(READER, "all-devices", PurposeView::Required).await;
        app.wait(minutes(15)).await;
        let messages = told(&app).await;
        assert_eq!(messages.len(), 1);
        assert!(messages[0].starts_with("2 wait for a licence of \"App 1600000011\" (1600000011)"), "{messages:?}");
        let row = shortage::report(&app.context).await.unwrap().remove(0);
        assert_eq!((row.bought, row.used, row.free, row.waiting, row.needed), (3, 3, 0, 2, 2));
        app.sandbox.apple.buy(&app.uid, &AssetName::standard(READER), 2).unwrap();
        app.wait(minutes(30)).await;
        assert!(told(&app).await.is_empty());
        let row = shortage::report(&app.context).await.unwrap().remove(0);
        assert_eq!((row.bought, row.used, row.waiting, row.needed), (5, 5, 0, 0));
        app.assert_clean();
    });
}

#[test]
fn what_grows_every_day_is_told_of_before_it_runs_out() {
    story(|clock| async move {
        let app = App::start(clock, &[(READER, 12)]).await;
        app.add_token("Leeds", false).await.unwrap();
        app.deploy(READER, "all-devices", PurposeView::Required).await;
        for day in 0..4 {
            app.enrol(devices(2 * day, 2 * day + 2)).await;
            app.wait(minutes(24 * 60)).await;
        }
        // Eight of twelve are used, two more every day: told once, two days before.
        let row = shortage::report(&app.context).await.unwrap().remove(0);
        assert_eq!((row.bought, row.used, row.free, row.needed), (12, 8, 4, 0));
        assert!((1.4..=2.1).contains(&row.per_day), "{row:?}");
        assert!(row.forecast.contains("used up on"), "{row:?}");
        let messages = told(&app).await;
        assert_eq!(messages.len(), 1);
        assert!(messages[0].contains("run out: ") && messages[0].contains("of 12 are free"), "{messages:?}");
        app.assert_clean();
    });
}
