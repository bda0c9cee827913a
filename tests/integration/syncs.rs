//! Syncs: when they come, what they read, and what they leave alone; Apple changing under the paging; a kill in the middle.

use jiff::Timestamp;
use sandbox::apple::{AssetName, CallRecord, Canned, Fault, FaultRule, NewAsset, NewLocation, Often};
use serde_json::json;
use std::time::Duration;
use vppd::operations::tokens::{self, manage};
use vppd::operations::view::*;
use vppd::operations::{differences, look, sync};

use crate::support::*;

const READER: &str = "1600000011";
const FORMS: &str = "1600000022";
const HALF_A_DAY: u64 = 12 * 60;

fn switch(app: &App, patch: serde_json::Value) {
    app.sandbox.apple.patch_switches(patch.as_object().unwrap().clone()).unwrap();
}

fn no_spread(text: String) -> String {
    text + "[sync]\nspread = \"0s\"\n"
}

/// Waits until a task has ended.
async fn ended(app: &App, id: i64) -> TaskView {
    loop {
        let task = look::task(&app.context, id).await.unwrap();
        if !matches!(task.state, TaskState::Waiting | TaskState::Running) {
            return task;
        }
        app.wait(Duration::from_millis(100)).await;
    }
}

/// A sync by hand, to its end.
async fn sync_now(app: &App) -> SyncOutcomeView {
    let request = SyncRequest { location: Some("Leeds".into()) };
    let task = sync::request(&app.context, request, "test").await.unwrap().remove(0);
    let task = ended(app, task.id).await;
    task.sync.unwrap_or_else(|| panic!("{:?}", task.error))
}

/// The last sync of a location by the clock.
async fn last_sync(app: &App) -> TaskView {
    let tasks = look::tasks(&app.context).await.unwrap();
    tasks.into_iter().find(|task| task.kind == "sync").unwrap()
}

fn calls_since(app: &App, from: Timestamp) -> Vec<CallRecord> {
    app.sandbox.apple.calls().into_iter().filter(|call| call.at >= from).collect()
}

async fn differ(app: &App) -> Vec<(CauseView, String, i64)> {
    let rows = differences::report(&app.context, None).await.unwrap();
    let holder = |row: &DifferenceView| row.serial.clone().or(row.client_user_id.clone()).unwrap_or_default();
    rows.iter().map(|row| (row.cause, holder(row), row.licences)).collect()
}

async fn assigned(app: &App) -> u64 {
    look::apps(&app.context).await.unwrap().iter().map(|app| app.assigned).sum()
}

fn assign(app: &App, adam_id: &str, serials: std::ops::Range<u32>) {
    for number in serials {
        app.sandbox.apple.assign(&app.uid, &AssetName::standard(adam_id), &format!("C02X{number:06}")).unwrap();
    }
}

async fn edit(app: &App, interval: Option<&str>, full: Option<&str>) -> Result<TokenView, String> {
    let text = |text: Option<&str>| text.map(str::to_owned);
    let request = TokenEditRequest {
        sync_interval: text(interval),
        full_sync_interval: text(full),
        ..TokenEditRequest::default()
    };
    manage::edit(&app.context, "Leeds".into(), request, "test").await.map_err(|error| error.to_string())
}

#[test]
fn changes_are_read_twice_a_day_and_everything_once_a_week() {
    story(|clock| async move {
        let app = App::start_with(clock, &[(READER, 9)], no_spread).await;
        app.add_token("Leeds", false).await.unwrap();
        app.wait(minutes(8 * 24 * 60 + 30)).await;
        let tasks = look::tasks(&app.context).await.unwrap();
        let full: Vec<bool> = tasks.iter().rev().map(|task| task.sync.as_ref().unwrap().full).collect();
        let expected: Vec<bool> = (0..=16).map(|run| run == 0 || run == 14).collect();
        assert_eq!(full, expected);
        app.assert_clean();
    });
}

#[test]
fn a_sync_by_hand_is_full_even_when_one_by_the_clock_is_overdue() {
    story(|clock| async move {
        let mut app = App::start_with(clock, &[(READER, 9)], no_spread).await;
        app.add_token("Leeds", false).await.unwrap();
        app.wait(minutes(5)).await;
        app.end().await;
        app.wait(minutes(HALF_A_DAY + 60)).await;
        app.begin().await;
        assert!(sync_now(&app).await.full);
    });
}

#[test]
fn runs_missed_while_vppd_was_off_are_made_up_once() {
    story(|clock| async move {
        let mut app = App::start(clock, &[(READER, 9)]).await;
        app.add_token("Leeds", false).await.unwrap();
        app.wait(minutes(5)).await;
        app.end().await;
        app.wait(minutes(5 * 24 * 60)).await;
        let before = app.clock.now();
        app.begin().await;
        app.wait(minutes(HALF_A_DAY - 10)).await;
        let made_up = look::tasks(&app.context).await.unwrap().into_iter().filter(|task| task.created_at >= before);
        assert_eq!(made_up.count(), 1);
        app.wait(minutes(60)).await;
        let next = last_sync(&app).await.created_at.duration_since(before).as_mins();
        assert!((HALF_A_DAY as i64..=HALF_A_DAY as i64 + 31).contains(&next), "{next} minutes after it came the next");
    });
}

#[test]
fn a_location_may_be_synced_more_often_than_the_others() {
    story(|clock| async move {
        let app = App::start_with(clock, &[(READER, 9)], no_spread).await;
        app.add_token("Leeds", false).await.unwrap();
        app.wait(minutes(1)).await;
        let refused = edit(&app, None, Some("6h")).await.unwrap_err();
        assert!(refused.contains("more often than changes, every 12h"), "{refused}");
        for wrong in ["soon", "0s", "-1h", ""] {
            assert!(edit(&app, Some(wrong), None).await.unwrap_err().contains("is no time"), "{wrong}");
        }
        let own = |every: &str| IntervalView { every: every.to_owned(), own: true };
        let edited = edit(&app, Some("6h"), Some("12h")).await.unwrap();
        assert_eq!((edited.sync_interval, edited.full_sync_interval), (own("6h"), own("12h")));
        let next = edited.next_sync.unwrap().duration_since(edited.last_synced.unwrap());
        assert_eq!(next.as_hours(), 6);
        app.wait(minutes(6 * 60)).await;
        assert!(!last_sync(&app).await.sync.unwrap().full, "changes after six hours");
        app.wait(minutes(6 * 60)).await;
        assert!(last_sync(&app).await.sync.unwrap().full, "everything after twelve");
        let shown = cli(&app, &["token", "show", "Leeds"]).await;
        let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
        assert!(shown.contains("synced every:    6h, set for this location"), "{shown}");
        let unset =
            cli(&app, &["token", "edit", "Leeds", "--sync-interval", "default", "--full-sync-interval", "default"]);
        let shown = String::from_utf8_lossy(&unset.await.stdout).into_owned();
        assert!(shown.contains("synced every:    12h\n") && shown.contains("in full every:   7d\n"), "{shown}");
    });
}

#[test]
fn when_nothing_has_changed_a_sync_is_a_handful_of_calls() {
    story(|clock| async move {
        let app = App::start_with(clock, &[(READER, 90), (FORMS, 90)], no_spread).await;
        switch(&app, json!({"page-size": 10}));
        assign(&app, READER, 0..80);
        app.add_token("Leeds", false).await.unwrap();
        app.wait(minutes(5)).await;
        let from = app.clock.now();
        app.wait(minutes(HALF_A_DAY)).await;
        let calls = calls_since(&app, from);
        assert!(calls.len() <= 6, "{calls:#?}");
        let task = last_sync(&app).await;
        assert_eq!(task.detail, "what has changed was read; nothing has changed");
        app.assert_clean();
    });
}

#[test]
fn an_asset_whose_count_differs_is_listed_alone() {
    story(|clock| async move {
        let app = App::start_with(clock, &[(READER, 90), (FORMS, 90)], no_spread).await;
        switch(&app, json!({"page-size": 10}));
        assign(&app, READER, 0..80);
        assign(&app, FORMS, 0..15);
        app.add_token("Leeds", false).await.unwrap();
        app.wait(minutes(5)).await;
        let from = app.clock.now();
        let forms = AssetName::standard(FORMS);
        app.sandbox.apple.unassign(&app.uid, &forms, "C02X000003").unwrap();
        app.sandbox.apple.unassign(&app.uid, &forms, "C02X000004").unwrap();
        app.sandbox.apple.assign(&app.uid, &forms, "C02NEW00001").unwrap();
        app.wait(minutes(HALF_A_DAY)).await;
        let calls = calls_since(&app, from);
        let listings: Vec<&str> =
            calls.iter().filter(|call| call.endpoint == "assignments").map(|call| call.query.as_str()).collect();
        let [changes, first, second] = listings[..] else { panic!("{listings:?}") };
        assert!(changes.contains("sinceVersionId"), "{changes}");
        for (page, query) in [first, second].into_iter().enumerate() {
            assert_eq!(query, format!("pageIndex={page}&adamId={FORMS}&pricingParam=STDQ"));
        }
        let outcome = last_sync(&app).await.sync.unwrap();
        assert_eq!((outcome.full, outcome.assignments_new, outcome.assignments_gone), (false, 1, 2));
        assert_eq!(assigned(&app).await, 80 + 14);
        let taken: Vec<_> =
            differ(&app).await.into_iter().filter(|(cause, ..)| *cause == CauseView::TakenBackOutside).collect();
        let expected = |serial: &str| (CauseView::TakenBackOutside, serial.to_owned(), 1);
        assert_eq!(taken, [expected("C02X000003"), expected("C02X000004")]);
        // Many assets at once are not worth a listing each.
        let from = app.clock.now();
        for number in 0..12 {
            let adam_id = format!("17000000{number:02}");
            app.sandbox.apple.add_asset(&app.uid, NewAsset::app(&adam_id, 5)).unwrap();
            assign(&app, &adam_id, 0..2);
        }
        app.wait(minutes(HALF_A_DAY)).await;
        for number in 0..12 {
            let asset = AssetName::standard(&format!("17000000{number:02}"));
            app.sandbox.apple.unassign(&app.uid, &asset, "C02X000001").unwrap();
        }
        app.wait(minutes(HALF_A_DAY)).await;
        assert!(!calls_since(&app, from).iter().any(|call| call.query.contains("adamId")));
        assert!(last_sync(&app).await.sync.unwrap().full);
        assert_eq!(assigned(&app).await, 80 + 14 + 12);
        app.assert_clean();
    });
}

#[test]
fn a_forgotten_version_leads_to_a_full_listing() {
    story(|clock| async move {
        let app = App::start_with(clock, &[(READER, 9)], no_spread).await;
        app.add_token("Leeds", false).await.unwrap();
        app.wait(minutes(5)).await;
        let body = r#"{"errorNumber":9721,"errorMessage":"The version ID is invalid."}"#.to_owned();
        let canned = Canned { status: 400, content_type: "application/json".into(), headers: vec![], body };
        let fault =
            FaultRule { endpoint: Some("assignments".into()), fault: Fault::Canned(canned), often: Often::Next(1) };
        app.sandbox.apple.add_fault(fault).unwrap();
        app.wait(minutes(HALF_A_DAY)).await;
        assert!(last_sync(&app).await.sync.unwrap().full);
    });
}

#[test]
fn from_a_location_that_never_holds_still_nothing_is_concluded_to_be_gone() {
    for churn in ["version", "version-and-pages"] {
        story(|clock| async move {
            let app = App::start(clock, &[(READER, 50), (FORMS, 50)]).await;
            switch(&app, json!({"page-size": 5}));
            assign(&app, READER, 0..20);
            app.add_token("Leeds", false).await.unwrap();
            app.wait(minutes(5)).await;
            switch(&app, json!({"version-churn": churn}));
            app.sandbox.apple.unassign(&app.uid, &AssetName::standard(READER), "C02X000003").unwrap();
            assign(&app, FORMS, 0..2);
            let from = app.clock.now();
            let outcome = sync_now(&app).await;
            assert!(outcome.unstable && outcome.full, "{churn}: {outcome:?}");
            assert_eq!((outcome.assignments_new, outcome.assignments_gone), (2, 0), "{churn}");
            assert_eq!(assigned(&app).await, 22, "{churn}: what may be gone stays");
            let first_pages = |endpoint: &str| {
                let first = |call: &&CallRecord| call.endpoint == endpoint && call.query == "pageIndex=0";
                calls_since(&app, from).iter().filter(first).count()
            };
            assert_eq!(first_pages("assignments"), 4, "{churn}: begun again three times at most");
            switch(&app, json!({"version-churn": "off"}));
            let outcome = sync_now(&app).await;
            assert_eq!((outcome.unstable, outcome.assignments_gone), (false, 1), "{churn}");
            assert_eq!(assigned(&app).await, 21, "{churn}");
            app.assert_clean();
        });
    }
}

#[test]
fn nobody_ever_sees_half_a_sync() {
    story(|clock| async move {
        let app = App::start(clock, &[(READER, 200)]).await;
        assign(&app, READER, 0..60);
        app.add_token("Leeds", false).await.unwrap();
        app.wait(minutes(5)).await;
        switch(&app, json!({"page-size": 2, "latency-ms": 800}));
        for number in 0..30 {
            app.sandbox.apple.unassign(&app.uid, &AssetName::standard(READER), &format!("C02X{number:06}")).unwrap();
        }
        assign(&app, READER, 100..140);
        let request = SyncRequest { location: Some("Leeds".into()) };
        let task = sync::request(&app.context, request, "test").await.unwrap().remove(0);
        let (mut seen, mut told) = (Vec::new(), Vec::new());
        loop {
            let now = look::task(&app.context, task.id).await.unwrap();
            seen.push(assigned(&app).await);
            told.push((now.done, now.total));
            if now.state == TaskState::Done {
                break;
            }
            app.wait(Duration::from_millis(300)).await;
        }
        seen.dedup();
        assert_eq!(seen, [60, 70]);
        assert!(told.iter().filter(|(done, total)| *total == 35 && done < total).count() > 5, "{told:?}");
        assert!(told.is_sorted_by_key(|(_, total)| *total), "{told:?}");
    });
}

#[test]
fn an_end_in_the_middle_of_a_sync_leaves_the_old_state_whole() {
    story(|clock| async move {
        let mut app = App::start(clock, &[(READER, 200)]).await;
        assign(&app, READER, 0..60);
        app.add_token("Leeds", false).await.unwrap();
        app.wait(minutes(5)).await;
        switch(&app, json!({"page-size": 2, "latency-ms": 800}));
        for number in 0..30 {
            app.sandbox.apple.unassign(&app.uid, &AssetName::standard(READER), &format!("C02X{number:06}")).unwrap();
        }
        let request = SyncRequest { location: Some("Leeds".into()) };
        let task = sync::request(&app.context, request, "test").await.unwrap().remove(0);
        loop {
            app.wait(Duration::from_millis(100)).await;
            let half = look::task(&app.context, task.id).await.unwrap();
            assert!(matches!(half.state, TaskState::Waiting | TaskState::Running), "{half:?}");
            if half.done > 5 {
                break;
            }
        }
        app.end().await;
        app.begin().await;
        assert_eq!(assigned(&app).await, 60);
        // What was staged before the end and has gone since must not come back.
        for number in 30..36 {
            app.sandbox.apple.unassign(&app.uid, &AssetName::standard(READER), &format!("C02X{number:06}")).unwrap();
        }
        assert_eq!(ended(&app, task.id).await.state, TaskState::Done, "it is taken up again");
        assert_eq!(assigned(&app).await, 24);
    });
}

#[test]
fn a_location_has_one_sync_at_a_time() {
    story(|clock| async move {
        let app = App::start(clock, &[(READER, 200)]).await;
        assign(&app, READER, 0..20);
        app.add_token("Leeds", false).await.unwrap();
        app.wait(minutes(5)).await;
        switch(&app, json!({"page-size": 2, "latency-ms": 800}));
        let request = async || {
            let request = SyncRequest { location: Some("Leeds".into()) };
            sync::request(&app.context, request, "test").await.unwrap().remove(0).id
        };
        let first = request().await;
        app.wait(Duration::from_secs(3)).await;
        let (second, third) = (request().await, request().await);
        assert!(first < second && second == third, "asking twice waits once");
        assert_eq!(look::task(&app.context, second).await.unwrap().state, TaskState::Waiting);
        let (first, second) = (ended(&app, first).await, ended(&app, second).await);
        assert!(first.finished_at.unwrap() <= second.started_at.unwrap());
    });
}

#[test]
fn locations_never_wait_for_each_other() {
    story(|clock| async move {
        let app = App::start(clock, &[(READER, 900)]).await;
        assign(&app, READER, 0..600);
        switch(&app, json!({"page-size": 2, "latency-ms": 1000}));
        app.add_token("Leeds", false).await.unwrap();
        let mut small = Vec::new();
        for name in ["York", "Hull"] {
            let other = app.sandbox.apple.add_location(NewLocation { name: name.into(), ..NewLocation::default() });
            app.sandbox.apple.add_asset(&other, NewAsset::app(FORMS, 5)).unwrap();
            let content = app.sandbox.apple.add_token(&other, jiff::SignedDuration::from_hours(24 * 300)).unwrap();
            let request = TokenAddRequest { name: name.into(), content, take_over: false };
            small.push(tokens::add(&app.context, request, "test").await.unwrap().task.id);
        }
        let from = app.clock.now();
        for task in small {
            assert_eq!(ended(&app, task).await.state, TaskState::Done);
        }
        let took = app.clock.now().duration_since(from);
        assert!(took < jiff::SignedDuration::from_secs(15), "{took:?}");
        let running =
            look::tasks(&app.context).await.unwrap().into_iter().find(|task| task.subject == "Leeds").unwrap();
        assert_eq!(running.state, TaskState::Running, "Leeds has 300 pages");
        assert_eq!(ended(&app, running.id).await.state, TaskState::Done);
        app.assert_clean();
    });
}

#[test]
fn a_changed_country_and_a_new_name_are_followed() {
    story(|clock| async move {
        let app = App::start_with(clock, &[(READER, 9)], no_spread).await;
        app.add_token("Leeds", false).await.unwrap();
        app.wait(minutes(5)).await;
        app.sandbox.apple.change_country(&app.uid, "SE").unwrap();
        app.sandbox.apple.rename_location(&app.uid, "Leeds North").unwrap();
        app.wait(minutes(HALF_A_DAY)).await;
        let token = tokens::show(&app.context, "Leeds".into()).await.unwrap();
        assert_eq!((token.country.as_str(), token.location_name.as_str()), ("SE", "Leeds North"));
        let task = last_sync(&app).await;
        let both = "Apple calls the location \"Leeds North\" now; the location's country is \"SE\" now; ";
        assert!(task.detail.starts_with(both), "{}", task.detail);
        assert_eq!(task.sync.unwrap().location.len(), 2);
    });
}

#[test]
fn what_differs_is_told_with_its_cause() {
    story(|clock| async move {
        let app = App::start_with(clock, &[(READER, 30), (FORMS, 9)], no_spread).await;
        let york = app.sandbox.apple.add_location(NewLocation { name: "York".into(), ..NewLocation::default() });
        let content = app.sandbox.apple.add_token(&york, jiff::SignedDuration::from_hours(24 * 300)).unwrap();
        app.add_token("Leeds", false).await.unwrap();
        let request = TokenAddRequest { name: "York".into(), content, take_over: false };
        tokens::add(&app.context, request, "test").await.unwrap();
        app.enrol(devices(0, 2)).await;
        app.deploy(READER, "all-devices", PurposeView::Required).await;
        app.wait(minutes(30)).await;
        assert_eq!(differ(&app).await, [], "the first listing is no difference");
        let (reader, forms) = (AssetName::standard(READER), AssetName::standard(FORMS));
        app.sandbox.apple.transfer(&app.uid, &york, &reader, 7).unwrap();
        app.sandbox.apple.buy(&app.uid, &forms, 4).unwrap();
        app.sandbox.apple.assign(&app.uid, &forms, "C02STRANGER1").unwrap();
        app.wait(minutes(HALF_A_DAY)).await;
        app.sandbox.apple.refund(&york, &reader, 2).unwrap();
        app.wait(minutes(2 * HALF_A_DAY)).await;
        let rows = differ(&app).await;
        let row = |cause, holder: &str, licences| (cause, holder.to_owned(), licences);
        let expected = [
            row(CauseView::Transferred, "", 7),
            row(CauseView::Bought, "", 4),
            row(CauseView::AssignedOutside, "C02STRANGER1", 1),
            row(CauseView::Refunded, "", 2),
        ];
        assert_eq!(rows, expected);
        let shown = cli(&app, &["report", "differences", "--location", "York", "--json"]).await;
        let shown: Vec<DifferenceView> = serde_json::from_slice(&shown.stdout).unwrap();
        let causes: Vec<_> = shown.iter().map(|row| (row.cause, row.to.as_deref())).collect();
        assert_eq!(causes, [(CauseView::Transferred, Some("York")), (CauseView::Refunded, None)]);
        let unknown = cli(&app, &["report", "differences", "--location", "Nowhere"]).await;
        assert!(String::from_utf8_lossy(&unknown.stderr).contains("no location \"Nowhere\""));
        app.assert_clean();
    });
}

#[test]
fn unlimited_assets_have_no_shortage_and_no_overflow() {
    story(|clock| async move {
        let app = App::start_with(clock, &[], no_spread).await;
        let free = NewAsset { unlimited: true, ..NewAsset::app(READER, 0) };
        app.sandbox.apple.add_asset(&app.uid, free).unwrap();
        app.add_token("Leeds", false).await.unwrap();
        app.enrol(devices(0, 3)).await;
        app.deploy(READER, "all-devices", PurposeView::Required).await;
        app.wait(minutes(2 * HALF_A_DAY)).await;
        assert_eq!(app.stages(READER).await, counts([(Stage::Installed, 3)]));
        let token = tokens::show(&app.context, "Leeds".into()).await.unwrap();
        assert_eq!((token.licences_owned, token.licences_assigned), (0, 0), "they are not counted");
        assert_eq!(differ(&app).await, []);
        // It becomes one that is bought by number, and back.
        app.sandbox.apple.add_asset(&app.uid, NewAsset::app(READER, 5)).unwrap();
        app.wait(minutes(HALF_A_DAY)).await;
        assert_eq!(tokens::show(&app.context, "Leeds".into()).await.unwrap().licences_owned, 5);
        assert_eq!(differ(&app).await, [], "not bought");
        app.assert_clean();
    });
}
