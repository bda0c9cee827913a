//! Licences for users: asked for, followed, settled and taken back as those of devices are, whatever happens to the replies.
//! What is wanted is decided by hand.

use std::collections::BTreeSet;
use std::time::Duration;

use sandbox::apple::{AssetName, Canned, Fault, FaultRule, NewAsset, Often};
use serde_json::json;
use vppd::licensing::Verb;
use vppd::model::{Holder, HolderKind, LocationId};
use vppd::operations::users;
use vppd::operations::view::*;
use vppd::operations::{differences, look, pause, sync};
use vppd::store::by_hand::{self, ByHand, Decision};
use vppd::store::events::{self, Event};
use vppd::store::{StoreError, Write, assignments, seats};

use crate::support::*;

const READER: &str = "1600000011";
const MAPS: &str = "1600000022";
const BOOK: &str = "1700000033";

/// Leeds with two apps and a book, and so many people, registered.
async fn leeds(clock: vppd::clock::Clock, people: usize) -> (App, Vec<String>) {
    let app = App::start(clock, &[(READER, 5), (MAPS, 20)]).await;
    app.sandbox.apple.add_asset(&app.uid, NewAsset::book(BOOK, 5)).unwrap();
    app.add_token("Leeds", false).await.unwrap();
    app.wait(minutes(1)).await;
    let mut ids = Vec::new();
    for number in 0..people {
        let email = format!("person{number}@example.org");
        let request = UserAddRequest { location: "Leeds".into(), email, ..UserAddRequest::default() };
        ids.push(users::add(&app.context, request, "test").await.unwrap().client_user_id);
    }
    app.wait(minutes(2)).await;
    (app, ids)
}

const LEEDS: LocationId = LocationId(1);

/// Decides by hand that people shall hold apps, or shall not; the planner does the rest.
async fn intend(app: &App, verb: Verb, adam_ids: &[&str], people: &[String]) {
    let decision = if verb == Verb::Associate { Decision::Assigned } else { Decision::Revoked };
    let now = app.clock.now();
    let decided = adam_ids.iter().flat_map(|adam_id| {
        people.iter().map(move |person| ByHand {
            adam_id: adam_id.to_string(),
            holder: Holder::User(person.clone()),
            decision,
            location: None,
            install: false,
            decided_at: now,
            decided_by: "test".into(),
        })
    });
    let decided: Vec<ByHand> = decided.collect();
    let put = move |w: &Write<'_>| decided.iter().try_for_each(|one| by_hand::put(w, one));
    app.context.store.write(put).await.unwrap();
    app.context.plan_now.notify_one();
    app.wait(Duration::from_secs(2)).await;
}

async fn open(app: &App) -> Vec<Event> {
    app.context.store.read(|c| events::open(c, LEEDS)).await.unwrap()
}

/// Which users hold an app at the sandbox's Apple.
fn at_apple(app: &App, adam_id: &str) -> BTreeSet<String> {
    let location = app.sandbox.apple.location(&app.uid).unwrap();
    let of_app = location.assignments.into_iter().filter(|assignment| assignment.adam_id == adam_id);
    of_app.filter_map(|assignment| assignment.client_user_id).collect()
}

/// Which users hold an app as far as vppd knows, with whether the licence is ours.
async fn known(app: &App, adam_id: &'static str) -> BTreeSet<String> {
    let read = app.context.store.read(move |c| -> Result<BTreeSet<String>, StoreError> {
        let all = assignments::of_location(c, LEEDS)?.into_iter().filter(|held| held.adam_id == adam_id);
        let users = all.filter(|held| held.holder.kind() == HolderKind::User);
        Ok(users.map(|held| held.holder.id().to_owned()).collect())
    });
    read.await.unwrap()
}

fn set(ids: &[String]) -> BTreeSet<String> {
    ids.iter().cloned().collect()
}

fn calls(app: &App, endpoint: &str) -> u64 {
    app.sandbox.apple.counters().calls.get(endpoint).copied().unwrap_or(0)
}

async fn free(app: &App, adam_id: &str) -> u64 {
    look::apps(&app.context).await.unwrap().into_iter().find(|asset| asset.adam_id == adam_id).unwrap().free
}

fn next(app: &App, endpoint: &str, fault: Fault) {
    let rule = FaultRule { endpoint: Some(endpoint.into()), fault, often: Often::Next(1) };
    app.sandbox.apple.add_fault(rule).unwrap();
}

#[test]
fn licences_go_to_people_who_have_not_accepted_yet_and_come_back() {
    story(|clock| async move {
        let (app, people) = leeds(clock, 3).await;
        intend(&app, Verb::Associate, &[READER, MAPS], &people).await;
        assert_eq!(free(&app, READER).await, 2, "reserved at once");
        app.wait(minutes(1)).await;
        assert_eq!((at_apple(&app, READER), at_apple(&app, MAPS)), (set(&people), set(&people)));
        assert_eq!(known(&app, READER).await, set(&people));
        assert_eq!((calls(&app, "assets/associate"), free(&app, READER).await), (1, 2));
        let task = look::tasks(&app.context).await.unwrap().into_iter().find(|task| task.kind == "licences").unwrap();
        assert_eq!((task.state, task.done, task.total), (TaskState::Done, 6, 6));
        let holder = Holder::User(people[0].clone());
        assert!(app.context.store.read(move |c| assignments::is_settled(c, READER, &holder)).await.unwrap());
        // Given by vppd: nothing to wonder about, also after everything was read anew.
        sync::request(&app.context, SyncRequest::default(), "test").await.unwrap();
        app.wait(minutes(2)).await;
        assert_eq!(differences::report(&app.context, None).await.unwrap(), []);
        intend(&app, Verb::Disassociate, &[READER], &people[..2]).await;
        app.wait(minutes(1)).await;
        assert_eq!((at_apple(&app, READER), known(&app, READER).await), (set(&people[2..]), set(&people[2..])));
        assert_eq!(free(&app, READER).await, 2, "they rest a moment");
        app.wait(minutes(5)).await;
        assert_eq!(free(&app, READER).await, 4);
        app.assert_clean();
    });
}

#[test]
fn a_lost_reply_is_settled_by_the_listing_and_nothing_is_asked_twice() {
    story(|clock| async move {
        let (app, people) = leeds(clock, 3).await;
        next(&app, "assets/associate", Fault::ClosedAfterEffect);
        intend(&app, Verb::Associate, &[READER], &people).await;
        app.wait(minutes(3)).await;
        assert_eq!((at_apple(&app, READER), known(&app, READER).await), (set(&people), set(&people)));
        assert_eq!((calls(&app, "assets/associate"), open(&app).await), (1, vec![]));
        next(&app, "assets/disassociate", Fault::ClosedBeforeEffect);
        intend(&app, Verb::Disassociate, &[READER], &people).await;
        app.wait(minutes(3)).await;
        assert_eq!(open(&app).await.len(), 1, "whether it arrived is not known yet");
        assert_eq!(calls(&app, "assets/disassociate"), 1);
        app.wait(minutes(20)).await;
        assert_eq!((known(&app, READER).await, open(&app).await), (BTreeSet::new(), vec![]));
        assert_eq!(calls(&app, "assets/disassociate"), 2, "it did not, so it was asked once more");
        app.assert_clean();
    });
}

#[test]
fn a_restart_in_the_middle_loses_and_doubles_nothing() {
    story(|clock| async move {
        let (mut app, people) = leeds(clock, 4).await;
        let slow = json!({"chunk-delay-ms": [60000, 60000]}).as_object().unwrap().clone();
        app.sandbox.apple.patch_switches(slow).unwrap();
        intend(&app, Verb::Associate, &[READER], &people).await;
        app.wait(Duration::from_secs(5)).await;
        assert!(open(&app).await[0].event_id.is_some(), "Apple works on it");
        app.restart().await;
        app.wait(minutes(20)).await;
        assert_eq!((at_apple(&app, READER), known(&app, READER).await), (set(&people), set(&people)));
        assert_eq!((calls(&app, "assets/associate"), open(&app).await), (1, vec![]));
        app.assert_clean();
    });
}

#[test]
fn what_apple_refuses_of_a_request_rests_and_the_others_go_through() {
    story(|clock| async move {
        let (app, people) = leeds(clock, 3).await;
        let mut theirs = NewAsset::app("1600000099", 3);
        theirs.device_assignable = Some(false);
        app.sandbox.apple.add_asset(&app.uid, theirs).unwrap();
        sync::request(&app.context, SyncRequest::default(), "test").await.unwrap();
        app.wait(minutes(2)).await;
        // One is given back to Apple, which vppd does not know yet: for one person none is left.
        app.sandbox.apple.refund(&app.uid, &AssetName::standard("1600000099"), 1).unwrap();
        intend(&app, Verb::Associate, &["1600000099"], &people).await;
        app.wait(minutes(2)).await;
        let held = at_apple(&app, "1600000099");
        assert_eq!((held.len(), known(&app, "1600000099").await), (2, held.clone()));
        let refused = app.context.store.read(seats::all).await.unwrap();
        let [(who, adam_id, refusal)] = &refused[..] else { panic!("{refused:?}") };
        assert!(!held.contains(who) && adam_id == "1600000099" && refusal.reason.contains("9709"), "{refusal:?}");
        assert!(refusal.due > app.clock.now() && refusal.tries == 1);
        // The next one that goes through forgets it.
        app.sandbox.apple.buy(&app.uid, &AssetName::standard("1600000099"), 1).unwrap();
        app.wait(minutes(40)).await;
        assert_eq!(
            (at_apple(&app, "1600000099"), app.context.store.read(seats::all).await.unwrap()),
            (set(&people), vec![])
        );
    });
}

/// Apple has lost a user without our doing.
fn lost_user(answer: &'static str) {
    story(|clock| async move {
        let (app, people) = leeds(clock, 3).await;
        app.sandbox.apple.patch_switches(json!({"unknown-user": answer}).as_object().unwrap().clone()).unwrap();
        app.sandbox.apple.retire_user(&app.uid, &people[0]).unwrap();
        intend(&app, Verb::Associate, &[READER], &people).await;
        app.wait(minutes(5)).await;
        assert_eq!(open(&app).await, []);
        // The person is there again, nothing rests, and all were asked for who lacked it.
        let lost = users::show(&app.context, people[0].clone(), false, "test").await.unwrap();
        assert_eq!(lost.registrations[0].state, RegistrationState::Registered);
        assert_eq!(app.context.store.read(seats::all).await.unwrap(), []);
        assert_eq!((at_apple(&app, READER), known(&app, READER).await), (set(&people), set(&people)));
    });
}

#[test]
fn a_lost_user_who_is_refused_at_once_is_registered_again_first() {
    lost_user("refused-now");
}

#[test]
fn a_lost_user_who_fails_later_is_registered_again_first() {
    lost_user("fails-later");
}

#[test]
fn an_unknown_user_whom_apple_lists_rests_and_is_not_asked_for_again_at_once() {
    story(|clock| async move {
        let (app, people) = leeds(clock, 2).await;
        let body = json!({"errorNumber": 9609, "errorMessage": "x"}).to_string();
        let canned = Canned { status: 400, content_type: "application/json".into(), headers: Vec::new(), body };
        next(&app, "assets/associate", Fault::Canned(canned));
        intend(&app, Verb::Associate, &[READER], &people).await;
        app.wait(minutes(2)).await;
        let refused = app.context.store.read(seats::all).await.unwrap();
        assert_eq!(refused.len(), 2, "{refused:?}");
        assert!(refused.iter().all(|(_, _, refusal)| refusal.due > app.clock.now()));
        assert_eq!(open(&app).await, []);
    });
}

#[test]
fn nobody_who_is_not_registered_there_is_sent_to_apple() {
    story(|clock| async move {
        let (app, people) = leeds(clock, 2).await;
        pause::pause(&app.context, PauseRequest::default(), "test").await.unwrap();
        intend(&app, Verb::Associate, &[READER], &people).await;
        app.wait(minutes(1)).await;
        assert_eq!((open(&app).await, calls(&app, "assets/associate")), (vec![], 0), "released");
        pause::resume(&app.context, "test").await.unwrap();
        users::retire(&app.context, people[0].clone(), UserRetireRequest::default(), "test").await.unwrap();
        intend(&app, Verb::Associate, &[READER], &people).await;
        app.wait(minutes(2)).await;
        assert_eq!((open(&app).await, calls(&app, "assets/associate")), (vec![], 1));
        assert_eq!(known(&app, READER).await, set(&people[1..]), "the one who is registered still");
        app.assert_clean();
    });
}

#[test]
fn books_go_to_people_and_stay() {
    story(|clock| async move {
        let (app, people) = leeds(clock, 2).await;
        intend(&app, Verb::Associate, &[BOOK], &people).await;
        app.wait(minutes(1)).await;
        assert_eq!((at_apple(&app, BOOK), known(&app, BOOK).await), (set(&people), set(&people)));
        intend(&app, Verb::Disassociate, &[BOOK], &people).await;
        app.wait(minutes(2)).await;
        assert_eq!(
            (at_apple(&app, BOOK), known(&app, BOOK).await, open(&app).await),
            (set(&people), set(&people), vec![])
        );
    });
}
