//! Licences by hand, licences of others, licences that nobody uses, and devices that are gone.

use std::collections::BTreeSet;
use std::time::Duration;

use sandbox::apple::{AssetName, Fault, FaultRule, NewAsset, NewUser, Often};
use serde_json::Value;
use vppd::operations::view::*;
use vppd::operations::{OperationError, by_hand, device_removal, look, reclaim, sync, users, waste};

use crate::support::*;

const READER: &str = "1600000011";
const MAPS: &str = "1600000022";
const BOOK: &str = "1700000033";

fn serial(number: u64) -> String {
    devices(number, number + 1).remove(0).serial
}

fn set<const N: usize>(serials: [u64; N]) -> BTreeSet<String> {
    serials.into_iter().map(serial).collect()
}

/// Leeds with two apps and a book, and so many devices.
async fn leeds(clock: vppd::clock::Clock, many: u64) -> App {
    let app = App::start(clock, &[(READER, 3), (MAPS, 20)]).await;
    app.sandbox.apple.add_asset(&app.uid, NewAsset::book(BOOK, 5)).unwrap();
    app.add_token("Leeds", false).await.unwrap();
    app.enrol(devices(0, many)).await;
    app.wait(minutes(2)).await;
    app
}

fn request(decision: DecisionView, apps: &[&str], holders: &[String]) -> ByHandRequest {
    ByHandRequest {
        decision,
        apps: apps.iter().map(|app| (*app).to_owned()).collect(),
        holders: holders.to_vec(),
        items: Vec::new(),
        token: None,
        licence_only: false,
        dry_run: false,
        expected: None,
    }
}

async fn decide(app: &App, request: ByHandRequest) -> ByHandView {
    by_hand::decide(&app.context, request, "anna").await.unwrap()
}

fn to(numbers: std::ops::Range<u64>) -> Vec<String> {
    numbers.map(|number| format!("serial:{}", serial(number))).collect()
}

fn outcomes(view: &ByHandView) -> Vec<(&str, ByHandOutcome)> {
    view.items.iter().map(|item| (item.code.as_str(), item.outcome)).collect()
}

/// The lines of the audit with this verb: who, and about what.
async fn audit(app: &App, what: &'static str) -> Vec<(String, String)> {
    let read = app.context.store.read(move |c| -> Result<Vec<(String, String)>, vppd::store::StoreError> {
        let mut statement = c.prepare("SELECT who, subject FROM audit WHERE what = ?1 ORDER BY id")?;
        let lines = statement.query_map([what], |row| Ok((row.get(0)?, row.get(1)?)))?;
        Ok(lines.collect::<Result<_, _>>()?)
    });
    read.await.unwrap()
}

async fn ended(app: &App, id: i64) -> (TaskState, String) {
    let task = look::task(&app.context, id).await.unwrap();
    (task.state, task.error.map_or(task.detail, |error| error.message))
}

#[test]
fn what_can_be_assigned_is_and_the_rest_is_told_item_by_item() {
    story(|clock| async move {
        let app = leeds(clock, 5).await;
        let mut holders = to(0..5);
        holders.extend(["serial:NOSUCH1".to_owned(), "serial:a b".to_owned(), "printer:7".to_owned()]);
        let asked = request(DecisionView::Assigned, &[READER, BOOK, "Nonesuch"], &holders);
        let would = decide(&app, ByHandRequest { dry_run: true, ..asked.clone() }).await;
        assert_eq!((would.possible, would.impossible, would.licences, would.dry_run), (3, 21, 3, true));
        let codes = |app: &str| -> Vec<String> {
            would.items.iter().filter(|item| item.adam_id == app).map(|item| item.code.clone()).collect()
        };
        let of_reader = ["", "", "", "no-free-licence", "no-free-licence", "unknown-serial", "holder", "holder"];
        assert_eq!(codes(READER), of_reader);
        assert_eq!(codes(BOOK)[..6], ["book", "book", "book", "book", "book", "unknown-serial"]);
        assert!(codes("Nonesuch").iter().all(|code| code == "unknown-app"));
        let sums: Vec<_> = would.apps.iter().map(|app| (app.items, app.licences, app.free, app.free_after)).collect();
        assert_eq!(sums, [(8, 3, Some(3), Some(0)), (8, 0, Some(5), Some(5))]);
        app.wait(minutes(5)).await;
        assert_eq!(app.holders(READER), BTreeSet::new(), "only told");
        let stale = ByHandRequest { expected: Some(4), ..asked.clone() };
        assert_eq!(by_hand::decide(&app.context, stale, "anna").await.unwrap_err().code, "count-changed");
        let done = decide(&app, ByHandRequest { expected: Some(3), ..asked }).await;
        assert_eq!((done.possible, done.dry_run), (3, false));
        app.wait(minutes(10)).await;
        assert_eq!((app.holders(READER), app.installed(READER)), (set([0, 1, 2]), set([0, 1, 2])));
        let told = audit(&app, "assigned by hand").await;
        let expected = format!("{READER} to {}", to(0..3).join(", "));
        assert_eq!(told, [("anna".to_owned(), expected)]);
        let held = by_hand::list(&app.context).await.unwrap();
        let holders: BTreeSet<String> = held.into_iter().map(|held| held.holder).collect();
        assert_eq!(holders, to(0..3).into_iter().collect());
        // Once more: they hold it already, and nothing moves.
        let again = decide(&app, request(DecisionView::Assigned, &[READER], &to(0..3))).await;
        assert_eq!((again.possible, again.licences), (3, 0));
        assert!(again.items.iter().all(|item| item.outcome == ByHandOutcome::Held));
        app.assert_clean();
    });
}

#[test]
fn a_decision_beats_every_deployment_until_it_is_released() {
    story(|clock| async move {
        let app = leeds(clock, 3).await;
        app.deploy(MAPS, "all-devices", PurposeView::Required).await;
        app.deploy(READER, &to(0..1)[0], PurposeView::Uninstall).await;
        app.wait(minutes(10)).await;
        assert_eq!(app.installed(MAPS), set([0, 1, 2]));
        let back = decide(&app, request(DecisionView::Revoked, &[MAPS], &to(0..2))).await;
        assert_eq!((back.possible, back.licences, back.tasks.len()), (2, 2, 0), "the app goes first");
        decide(&app, request(DecisionView::Assigned, &[READER], &to(0..1))).await;
        app.wait(minutes(30)).await;
        assert_eq!((app.holders(MAPS), app.installed(MAPS)), (set([2]), set([2])));
        assert_eq!(app.installed(READER), set([0]));
        let release = ReleaseRequest { apps: vec![MAPS.into(), READER.into()], holders: to(0..1) };
        assert_eq!(by_hand::release(&app.context, release.clone(), "ben").await.unwrap().len(), 2);
        app.wait(minutes(30)).await;
        assert_eq!((app.holders(MAPS), app.holders(READER)), (set([0, 2]), BTreeSet::new()));
        let nothing: OperationError = by_hand::release(&app.context, release, "ben").await.unwrap_err();
        assert_eq!(nothing.code, "not-found");
        assert_eq!(audit(&app, "decision by hand released").await.len(), 2);
        assert_eq!(by_hand::list(&app.context).await.unwrap().len(), 1);
        app.assert_clean();
    });
}

#[test]
fn what_was_declined_or_had_failed_is_tried_again_when_somebody_decides() {
    story(|clock| async move {
        let app = leeds(clock, 1).await;
        let device = to(0..1);
        assert_eq!(
            outcomes(&decide(&app, request(DecisionView::Revoked, &[READER], &device)).await),
            [("", ByHandOutcome::Noted)]
        );
        app.deploy(READER, "all-devices", PurposeView::Required).await;
        app.wait(minutes(10)).await;
        assert_eq!(app.holders(READER), BTreeSet::new(), "kept from the deployment");
        let assigned =
            ByHandRequest { token: Some("Leeds".into()), ..request(DecisionView::Assigned, &[READER], &device) };
        assert_eq!(outcomes(&decide(&app, assigned).await), [("", ByHandOutcome::Assigns)]);
        app.wait(minutes(10)).await;
        assert_eq!(app.installed(READER), set([0]));
        let elsewhere =
            ByHandRequest { token: Some("York".into()), ..request(DecisionView::Assigned, &[READER], &device) };
        assert_eq!(by_hand::decide(&app.context, elsewhere, "anna").await.unwrap_err().code, "not-found");
        let empty = request(DecisionView::Assigned, &[READER], &[]);
        assert_eq!(by_hand::decide(&app.context, empty, "anna").await.unwrap_err().code, "items");
        app.assert_clean();
    });
}

#[test]
fn people_are_registered_first_and_books_are_theirs_for_good() {
    story(|clock| async move {
        let app = leeds(clock, 0).await;
        let york =
            app.sandbox.apple.add_location(sandbox::apple::NewLocation { name: "York".into(), ..Default::default() });
        let content = app.sandbox.apple.add_token(&york, jiff::SignedDuration::from_hours(24 * 300)).unwrap();
        let token = TokenAddRequest { name: "York".into(), content, take_over: false };
        vppd::operations::tokens::add(&app.context, token, "test").await.unwrap();
        let person =
            UserAddRequest { location: "York".into(), email: "p.osei@example.org".into(), ..Default::default() };
        users::add(&app.context, person, "test").await.unwrap();
        app.wait(minutes(2)).await;
        let holders = ["person:P.Osei@example.org".to_owned(), "person:nobody@example.org".to_owned()];
        let done = decide(&app, request(DecisionView::Assigned, &[BOOK], &holders)).await;
        assert_eq!(outcomes(&done), [("", ByHandOutcome::Assigns), ("unknown-person", ByHandOutcome::Impossible)]);
        assert_eq!((done.licences, done.for_good, done.items[0].location.as_deref()), (1, 1, Some("Leeds")));
        assert!(done.items[0].why.contains("registered there first"), "{:?}", done.items[0]);
        app.wait(minutes(2)).await;
        let shown = users::show(&app.context, "p.osei@example.org".into(), false, "test").await.unwrap();
        let states: Vec<_> = shown.registrations.iter().map(|place| (place.location.as_str(), place.state)).collect();
        assert_eq!(states, [("Leeds", RegistrationState::Registered), ("York", RegistrationState::Registered)]);
        let held = by_hand::list(&app.context).await.unwrap();
        assert_eq!((held.len(), held[0].holder.as_str()), (1, "person:p.osei@example.org"));
        // Retired there: not given anything until registered again.
        let only = UserRetireRequest { location: Some("Leeds".into()) };
        users::retire(&app.context, "p.osei@example.org".into(), only, "test").await.unwrap();
        let again = decide(&app, request(DecisionView::Assigned, &[MAPS], &holders[..1])).await;
        assert_eq!(outcomes(&again), [("registration-refused", ByHandOutcome::Impossible)]);
    });
}

/// Gives licences behind vppd's back: to a device that vppd knows, to one that it does not, and to another MDM's user.
async fn others(app: &App) {
    let apple = &app.sandbox.apple;
    for (adam_id, serial) in [(READER, serial(0)), (READER, "OTHER1".into()), (MAPS, "OTHER1".into())] {
        apple.assign(&app.uid, &AssetName::standard(adam_id), &serial).unwrap();
    }
    apple.add_user_record(&app.uid, NewUser::associated("old-1", "old@home.example")).unwrap();
    for adam_id in [MAPS, BOOK] {
        crate::users::assign(app, adam_id, "old-1").await;
    }
    sync::request(&app.context, SyncRequest::default(), "test").await.unwrap();
    app.wait(minutes(3)).await;
}

fn users_of(app: &App, adam_id: &str) -> BTreeSet<String> {
    let location = app.sandbox.apple.location(&app.uid).unwrap();
    let of_app = location.assignments.into_iter().filter(|assignment| assignment.adam_id == adam_id);
    of_app.filter_map(|assignment| assignment.client_user_id).collect()
}

#[test]
fn licences_of_others_come_back_when_somebody_says_so_and_books_stay() {
    story(|clock| async move {
        let app = leeds(clock, 2).await;
        decide(&app, request(DecisionView::Assigned, &[MAPS], &to(1..2))).await;
        app.wait(minutes(5)).await;
        others(&app).await;
        let would = reclaim::foreign(&app.context, ReclaimRequest { dry_run: true, ..Default::default() }, "anna")
            .await
            .unwrap();
        let rows: Vec<_> = would
            .apps
            .iter()
            .map(|row| (row.adam_id.as_str(), row.devices, row.users, row.why_not.is_empty()))
            .collect();
        assert_eq!(rows, [(READER, 2, 0, true), (MAPS, 1, 1, true), (BOOK, 0, 1, false)]);
        assert_eq!((would.licences, would.tasks.len()), (4, 0));
        let stale = ReclaimRequest { expected: Some(3), ..Default::default() };
        assert_eq!(reclaim::foreign(&app.context, stale, "anna").await.unwrap_err().code, "count-changed");
        let only = ReclaimRequest { app: Some(READER.into()), token: Some("Leeds".into()), ..Default::default() };
        let begun = reclaim::foreign(&app.context, only, "anna").await.unwrap();
        let [task] = begun.tasks[..] else { panic!("{begun:?}") };
        app.wait(minutes(2)).await;
        assert_eq!(ended(&app, task).await, (TaskState::Done, "2 of 2 licences were taken back".to_owned()));
        assert_eq!(app.holders(READER), BTreeSet::new());
        assert_eq!(app.holders(MAPS), [serial(1), "OTHER1".to_owned()].into());
        let begun =
            reclaim::foreign(&app.context, ReclaimRequest { expected: Some(2), ..Default::default() }, "anna").await;
        let task = begun.unwrap().tasks[0];
        app.wait(minutes(2)).await;
        assert_eq!(ended(&app, task).await.0, TaskState::Done);
        assert_eq!((app.holders(MAPS), users_of(&app, MAPS)), (set([1]), BTreeSet::new()), "ours stays");
        assert_eq!(users_of(&app, BOOK), BTreeSet::from(["old-1".to_owned()]));
        assert_eq!(audit(&app, "licences of others taken back").await.len(), 2);
        let left = reclaim::foreign(&app.context, ReclaimRequest::default(), "anna").await.unwrap();
        assert_eq!((left.licences, left.tasks.len(), left.apps.len()), (0, 0, 1));
        app.assert_clean();
    });
}

#[test]
fn taking_back_survives_a_lost_reply_a_refusal_and_a_restart() {
    story(|clock| async move {
        let mut app = leeds(clock, 1).await;
        others(&app).await;
        let next = |fault| FaultRule { endpoint: Some("assets/disassociate".into()), fault, often: Often::Next(1) };
        app.sandbox.apple.add_fault(next(Fault::ClosedBeforeEffect)).unwrap();
        let task = reclaim::foreign(&app.context, ReclaimRequest::default(), "anna").await.unwrap().tasks[0];
        app.wait(Duration::from_secs(20)).await;
        app.restart().await;
        assert_eq!(ended(&app, task).await.0, TaskState::Running);
        let wanted = app.holders(MAPS).len() + app.holders(READER).len() + users_of(&app, MAPS).len();
        assert!(wanted > 0);
        app.wait(minutes(60)).await;
        assert_eq!(ended(&app, task).await.0, TaskState::Done);
        assert_eq!((app.holders(MAPS), app.holders(READER), users_of(&app, MAPS)), Default::default());
    });
}

#[test]
fn taking_back_can_be_called_off_and_gives_up_what_apple_refuses_for_ever() {
    story(|clock| async move {
        let app = leeds(clock, 1).await;
        others(&app).await;
        let always = FaultRule {
            endpoint: Some("assets/disassociate".into()),
            fault: Fault::TasksFail(sandbox::apple::TaskError::Internal),
            often: Often::Next(1000),
        };
        app.sandbox.apple.add_fault(always).unwrap();
        let only = |app: &str| ReclaimRequest { app: Some(app.into()), ..Default::default() };
        let task = reclaim::foreign(&app.context, only(READER), "anna").await.unwrap().tasks[0];
        app.wait(minutes(5)).await;
        assert_eq!(ended(&app, task).await.0, TaskState::Running);
        vppd::operations::tasks::cancel(&app.context, task, "anna").await.unwrap();
        let calls = || app.sandbox.apple.counters().calls.get("assets/disassociate").copied().unwrap_or(0);
        let before = calls();
        app.wait(minutes(24 * 60)).await;
        assert_eq!((calls(), ended(&app, task).await.0), (before, TaskState::Cancelled));
        let task = reclaim::foreign(&app.context, only(MAPS), "anna").await.unwrap().tasks[0];
        app.wait(minutes(24 * 60)).await;
        let (state, words) = ended(&app, task).await;
        assert!(
            state == TaskState::Failed && words.starts_with("0 of 2 licences were taken back; the others: Apple:"),
            "{words}"
        );
        assert!(calls() - before <= 10, "{} requests", calls() - before);
    });
}

#[test]
fn what_no_device_can_be_asked_about_comes_back_at_once() {
    story(|clock| async move {
        let app = leeds(clock, 1).await;
        others(&app).await;
        let back =
            decide(&app, request(DecisionView::Revoked, &[READER], &["serial:other1".into(), "serial:OTHER2".into()]))
                .await;
        assert_eq!(outcomes(&back), [("", ByHandOutcome::TakesBack), ("unknown-serial", ByHandOutcome::Impossible)]);
        app.wait(minutes(2)).await;
        assert_eq!(ended(&app, back.tasks[0]).await.0, TaskState::Done);
        assert_eq!(app.holders(READER), set([0]));
        app.assert_clean();
    });
}

#[test]
fn a_removed_device_gives_its_licences_back_and_may_enrol_anew() {
    story(|clock| async move {
        let app = leeds(clock, 2).await;
        app.deploy(MAPS, "all-devices", PurposeView::Required).await;
        decide(&app, request(DecisionView::Assigned, &[READER], &to(0..1))).await;
        app.wait(minutes(10)).await;
        app.sandbox.apple.assign(&app.uid, &AssetName::standard(READER), "OTHER1").unwrap();
        let told = device_removal::preview(&app.context, serial(0).to_lowercase()).await.unwrap();
        assert_eq!((told.comes_back, told.foreign, told.by_hand), (2, 0, 1));
        device_removal::remove(&app.context, serial(0), "anna").await.unwrap();
        app.wait(minutes(30)).await;
        assert_eq!((app.holders(MAPS), app.holders(READER)), (set([1]), BTreeSet::from(["OTHER1".to_owned()])));
        let shown = look::device(&app.context, serial(0)).await.unwrap();
        assert_eq!(shown.device.state, DeviceState::Removed);
        assert_eq!(audit(&app, "device removed").await, [("anna".to_owned(), serial(0))]);
        assert_eq!(by_hand::list(&app.context).await.unwrap(), []);
        let twice = device_removal::remove(&app.context, serial(0), "anna").await.unwrap_err();
        assert_eq!(twice.code, "removed");
        let unknown = device_removal::preview(&app.context, "NOSUCH".into()).await.unwrap_err();
        assert_eq!(unknown.code, "not-found");
        let to_removed = decide(&app, request(DecisionView::Assigned, &[READER], &to(0..1))).await;
        assert_eq!(outcomes(&to_removed), [("not-enrolled", ByHandOutcome::Impossible)]);
        // It turns up again, and somebody gives it another profile.
        app.fleet.device(&serial(0)).unwrap().unenrol().await;
        app.enrol(devices(0, 1)).await;
        app.wait(minutes(10)).await;
        let shown = look::device(&app.context, serial(0)).await.unwrap();
        assert_eq!(shown.device.state, DeviceState::Enrolled);
        assert_eq!(app.holders(MAPS), set([0, 1]));
    });
}

#[test]
fn licences_that_nobody_uses_are_told_with_since_when_and_whose() {
    story(|clock| async move {
        let app = leeds(clock, 2).await;
        app.deploy(MAPS, "all-devices", PurposeView::Required).await;
        app.wait(minutes(10)).await;
        others(&app).await;
        let days = |count: u64| minutes(count * 24 * 60);
        assert_eq!(waste::list(&app.context, None).await.unwrap(), []);
        app.wait(days(10)).await;
        let told = waste::list(&app.context, Some(9)).await.unwrap();
        let sums: Vec<_> = told.iter().map(|app| (app.adam_id.as_str(), app.licences, app.ours, app.foreign)).collect();
        assert_eq!(sums, [(READER, 2, 0, 2), (MAPS, 2, 0, 2)], "no book, and nothing that is installed");
        let holders: BTreeSet<&str> =
            told.iter().flat_map(|app| &app.holders).map(|held| held.holder.as_str()).collect();
        assert_eq!(holders, [to(0..1)[0].as_str(), "serial:OTHER1", "user:old-1"].into());
        assert!(told[0].holders.iter().all(|held| held.advice.starts_with("vppd reclaim --foreign")));
        assert!(told[0].since < app.clock.now() - days(9));
        assert_eq!(waste::list(&app.context, Some(11)).await.unwrap(), []);
        // The person takes one of ours away: from then on.
        app.wait(days(1)).await;
        assert_eq!(waste::list(&app.context, Some(10)).await.unwrap().len(), 2);
        reclaim::foreign(&app.context, ReclaimRequest::default(), "anna").await.unwrap();
        app.wait(minutes(5)).await;
        assert_eq!(waste::list(&app.context, Some(0)).await.unwrap(), [], "what came back is no waste");
    });
}

#[test]
fn the_command_line_assigns_revokes_reclaims_and_removes() {
    story(|clock| async move {
        let app = leeds(clock, 3).await;
        let ok = |output: std::process::Output| {
            assert!(output.status.success(), "{output:?}");
            String::from_utf8(output.stdout).unwrap()
        };
        let failed = |output: std::process::Output| {
            assert!(!output.status.success(), "{output:?}");
            String::from_utf8(output.stderr).unwrap()
        };
        let [one, two, three] = [0, 1, 2].map(|number| to(number..number + 1).remove(0));
        let asked = failed(cli(&app, &["assign", READER, MAPS, "--to", &one, &two, "serial:NOSUCH"]).await);
        for told in ["assigns 4 items by hand and takes 4 licences", "2 cannot be done", "unknown-serial", "--yes"] {
            assert!(asked.contains(told) || told == "unknown-serial", "{told}: {asked}");
        }
        let would = ok(cli(&app, &["assign", READER, "--to", &one, "--dry-run"]).await);
        assert!(would.contains("assigns") && would.ends_with("Nothing was changed.\n"), "{would}");
        let file = app.path("list.csv");
        std::fs::write(&file, format!("app,holder\n{READER},{one}\n{MAPS},{two}\n{MAPS},serial:NOSUCH\n")).unwrap();
        let path = file.to_str().unwrap();
        let done = ok(cli(&app, &["assign", "--file", path, "--yes", "--json"]).await);
        let done: Value = serde_json::from_str(&done).unwrap();
        assert_eq!((done["possible"].as_u64(), done["impossible"].as_u64()), (Some(2), Some(1)));
        assert_eq!(done["items"][2]["code"], "unknown-serial");
        let held = ok(cli(&app, &["assign", "--list"]).await);
        assert!(held.contains(&one) && held.contains("assigned") && held.lines().count() == 3, "{held}");
        app.wait(minutes(5)).await;
        assert_eq!(app.installed(READER), set([0]));
        let back = ok(cli(&app, &["revoke", READER, "--from", &one, "--yes"]).await);
        assert!(back.contains("takes-back"), "{back}");
        let released = ok(cli(&app, &["release", READER, MAPS, "--for", &one, &two]).await);
        assert!(released.contains("The deployments decide again"), "{released}");
        app.wait(minutes(10)).await;
        assert_eq!((app.holders(READER), app.holders(MAPS)), (BTreeSet::new(), BTreeSet::new()));
        // Nothing that can be done, and what is written wrongly.
        let hopeless = cli(&app, &["assign", READER, "--to", "serial:NOSUCH"]).await;
        assert!(String::from_utf8(hopeless.stdout.clone()).unwrap().contains("no device with this serial number"));
        assert!(failed(hopeless).contains("nothing of it can be done"));
        std::fs::write(&file, format!("{READER},{one}\n{READER}\n")).unwrap();
        assert!(failed(cli(&app, &["assign", "--file", path]).await).contains("line 2 has not two columns"));
        for wrong in [
            &["assign"][..],
            &["assign", READER],
            &["assign", READER, "--to", "anna"],
            &["revoke", READER],
            &["reclaim"],
            &["release", READER],
        ] {
            assert_eq!(cli(&app, wrong).await.status.code(), Some(2), "{wrong:?}");
        }
        // Licences of others.
        others(&app).await;
        let would = ok(cli(&app, &["reclaim", "--foreign", "--dry-run"]).await);
        assert!(would.contains("books never come back") && would.contains("4 licences can be taken back"), "{would}");
        assert!(failed(cli(&app, &["reclaim", "--foreign", MAPS]).await).contains("takes back 2 licences"));
        assert!(ok(cli(&app, &["reclaim", "--foreign", MAPS, "--yes"]).await).contains("vppd task watch"));
        let csv = ok(cli(&app, &["app", "waste", "--days", "0", "--csv"]).await);
        assert!(csv.starts_with("adamId,name,holder,whose,") && csv.contains(",serial:OTHER1,foreign,Leeds,"), "{csv}");
        assert!(ok(cli(&app, &["app", "waste"]).await).starts_with("No licence"));
        // A device that is gone.
        let name = three.strip_prefix("serial:").unwrap();
        assert!(failed(cli(&app, &["device", "remove", name]).await).contains(&format!("removes device {name}")));
        assert!(
            ok(cli(&app, &["device", "remove", name, "--yes"]).await).starts_with(&format!("Removed device {name}"))
        );
        assert!(ok(cli(&app, &["device", "list"]).await).contains("removed"));
    });
}
