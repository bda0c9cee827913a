//! Licences by hand: somebody decides who shall hold an app, or shall not, whatever the deployments say. What is impossible is
//! told item by item, and the rest is decided: the plan carries it out, and a decision holds until it is released.
//!
//! What comes back from a device goes there first, so that the app is gone before its licence is: that is the plan's. What no
//! device of vppd's can be asked about is taken back at once ([`super::reclaim`]).
//!
//! - `judge`: what can be done, and why not (pure);
//! - `facts`: what is known of the named apps and holders;
//! - `held`: what was decided, and its release.

mod facts;
mod held;
mod judge;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use rusqlite::Connection;

use super::tokens::manage::find;
use super::view::{ByHandAppView, ByHandItem, ByHandItemView, ByHandOutcome, ByHandRequest, ByHandView, DecisionView};
use super::{Kind, OperationError, Shared, notify_after, reclaim, users};
use crate::model::{App as Progress, Holder, LocationId};
use crate::store::assignments::Assignment;
use crate::store::by_hand::{self, ByHand, Decision};
use crate::store::{StoreError, Write, audit, devices, pairs, seats};
use facts::{Apps, Named};
pub(super) use held::holder_words;
pub use held::{list, release};
use judge::{Assign, Impossible};

/// The most items of one request.
const MOST: usize = 100_000;

/// One item that can be done.
struct Doable {
    adam_id: String,
    named: Named,
    /// Licences that are taken, or come back.
    moves: u64,
    /// Where the person has to be registered first.
    register: Option<LocationId>,
    /// What is taken back at once.
    reclaim: Vec<(LocationId, Assignment)>,
}

/// Everything about a request, as it would be done now.
struct Considered {
    view: ByHandView,
    doable: Vec<Doable>,
}

/// Decides about each item that can be done, or only tells what would be.
pub async fn decide(context: &Shared, request: ByHandRequest, who: &str) -> Result<ByHandView, OperationError> {
    let location = match &request.token {
        Some(name) => Some(find(context, name).await?.id),
        None => None,
    };
    let items = items(&request)?;
    let (shared, now, decision) = (context.clone(), context.clock.now(), request.decision);
    let considered = context.store.read(move |c| consider(c, &shared, decision, &items, location, now)).await?;
    let Considered { mut view, doable } = considered;
    view.dry_run = request.dry_run;
    if request.dry_run {
        return Ok(view);
    }
    if let Some(expected) = request.expected.filter(|expected| *expected != view.possible) {
        return Err(OperationError::new(
            Kind::Conflict,
            "count-changed",
            format!("{} items can be done now, not {expected}", view.possible),
            "Nothing was changed. Look again, and say it again.",
        ));
    }
    let (by, install, shared) = (who.to_owned(), !request.licence_only, context.clone());
    view.tasks = context
        .store
        .write(move |w| -> Result<Vec<i64>, StoreError> {
            let kept = match decision {
                DecisionView::Assigned => Decision::Assigned,
                DecisionView::Revoked => Decision::Revoked,
            };
            for item in &doable {
                let decided = ByHand {
                    adam_id: item.adam_id.clone(),
                    holder: item.named.holder.clone(),
                    decision: kept,
                    location,
                    install,
                    decided_at: now,
                    decided_by: by.clone(),
                };
                by_hand::put(w, &decided)?;
                start_afresh(w, item, now)?;
                if let (Some(location), Some(person)) = (item.register, &item.named.person) {
                    users::register_under(w, person, location, now)?;
                    let workers = shared.workers.clone();
                    w.after_commit(move || workers.nudge(location));
                }
            }
            let mut back: BTreeMap<LocationId, Vec<Assignment>> = BTreeMap::new();
            for (location, licence) in doable.iter().flat_map(|item| &item.reclaim) {
                back.entry(*location).or_default().push(licence.clone());
            }
            let tasks = reclaim::begin(w, &shared, &back, now)?;
            tell(w, &doable, kept, &by, now)?;
            notify_after(w, &shared.plan_now);
            Ok(tasks)
        })
        .await?;
    Ok(view)
}

/// The items that are asked for, each once.
fn items(request: &ByHandRequest) -> Result<Vec<ByHandItem>, OperationError> {
    let many = request.apps.len().saturating_mul(request.holders.len()).saturating_add(request.items.len());
    if many == 0 || many > MOST {
        let message = match many {
            0 => "no app and holder is named".to_owned(),
            many => format!("{many} items are more than the {MOST} that can be decided at once"),
        };
        return Err(OperationError::invalid("items", message, "Nothing was changed."));
    }
    let crossed = request
        .apps
        .iter()
        .flat_map(|app| request.holders.iter().map(|holder| ByHandItem { app: app.clone(), holder: holder.clone() }));
    Ok(crossed.chain(request.items.iter().cloned()).collect())
}

fn consider(
    c: &Connection,
    context: &Shared,
    decision: DecisionView,
    items: &[ByHandItem],
    only: Option<LocationId>,
    now: Timestamp,
) -> Result<Considered, OperationError> {
    let mut apps = Apps::load(c, context, now)?;
    let mut holders: BTreeMap<&str, Result<Named, (&'static str, String)>> = BTreeMap::new();
    let (mut views, mut doable, mut seen) = (Vec::new(), Vec::new(), BTreeSet::new());
    let mut sums: BTreeMap<usize, ByHandAppView> = BTreeMap::new();
    let mut for_good = 0;
    for item in items {
        if !holders.contains_key(item.holder.as_str()) {
            holders.insert(&item.holder, facts::holder(c, &item.holder)?);
        }
        let named = &holders[item.holder.as_str()];
        let place = match apps.place(c, &item.app)? {
            Ok(place) => place,
            Err(why) => {
                views.push(hopeless(&item.app, &item.holder, Impossible { code: "unknown-app", why }));
                continue;
            }
        };
        let app = apps.get(place);
        let sum = sums.entry(place).or_insert_with(|| sum(app, only));
        let named = match named {
            Ok(named) => named,
            Err((code, why)) => {
                sum.items += 1;
                sum.impossible += 1;
                let why = Impossible { code, why: why.clone() };
                views.push(ByHandItemView { name: app.name.clone(), ..hopeless(&app.adam_id, &item.holder, why) });
                continue;
            }
        };
        if !seen.insert((app.adam_id.clone(), named.holder.clone())) {
            continue;
        }
        sum.items += 1;
        let held = facts::held(c, app, &named.holder)?;
        let judged = match decision {
            DecisionView::Assigned => {
                judge::assign(app, &named.subject, &held, only).map(|done| assigned(app, named, done))
            }
            DecisionView::Revoked => {
                judge::revoke(app, &named.subject, &held, only).map(|places| revoked(app, named, &places))
            }
        };
        let (outcome, location, why, done) = match judged {
            Ok(judged) => judged,
            Err(why) => {
                sum.impossible += 1;
                views.push(ByHandItemView { name: app.name.clone(), ..hopeless(&app.adam_id, &named.shown, why) });
                continue;
            }
        };
        let moves = done.moves;
        sum.licences += moves;
        for_good += if app.book { moves } else { 0 };
        views.push(ByHandItemView {
            adam_id: app.adam_id.clone(),
            name: app.name.clone(),
            holder: named.shown.clone(),
            outcome,
            location,
            code: String::new(),
            why,
        });
        doable.push(done);
    }
    for (place, sum) in &mut sums {
        sum.free_after = free(&apps.all()[*place], only);
    }
    let impossible = views.iter().filter(|item| item.outcome == ByHandOutcome::Impossible).count() as u64;
    let view = ByHandView {
        decision,
        dry_run: true,
        possible: doable.len() as u64,
        impossible,
        licences: sums.values().map(|sum| sum.licences).sum(),
        for_good,
        apps: sums.into_values().collect(),
        items: views,
        tasks: Vec::new(),
    };
    Ok(Considered { view, doable })
}

type Judged = (ByHandOutcome, Option<String>, String, Doable);

fn assigned(app: &judge::App, named: &Named, done: Assign) -> Judged {
    let doable = |moves, register| Doable {
        adam_id: app.adam_id.clone(),
        named: named.clone(),
        moves,
        register,
        reclaim: Vec::new(),
    };
    match done {
        Assign::Held { offer } => {
            let location = app.offers[offer].location_name.clone();
            (ByHandOutcome::Held, Some(location), "holds a licence already, which stays".into(), doable(0, None))
        }
        Assign::Take { offer, registers } => {
            let offer = &app.offers[offer];
            let why = match (registers, app.book) {
                (true, true) => "is registered there first; the book's licence never comes back",
                (true, false) => "is registered there first",
                (false, true) => "the book's licence never comes back",
                (false, false) => "gets a licence",
            };
            let register = registers.then_some(offer.location);
            (ByHandOutcome::Assigns, Some(offer.location_name.clone()), why.into(), doable(1, register))
        }
    }
}

fn revoked(app: &judge::App, named: &Named, places: &[usize]) -> Judged {
    let licence = |place: &usize| {
        let offer = &app.offers[*place];
        let assignment = Assignment {
            adam_id: app.adam_id.clone(),
            pricing_param: offer.pricing_param.clone(),
            holder: named.holder.clone(),
        };
        (offer.location, assignment)
    };
    let at_once = if named.has_device { Vec::new() } else { places.iter().map(licence).collect() };
    let done = Doable {
        adam_id: app.adam_id.clone(),
        named: named.clone(),
        moves: places.len() as u64,
        register: None,
        reclaim: at_once,
    };
    let Some(first) = places.first() else {
        let why = "holds no licence; gets none from deployments until this is released";
        return (ByHandOutcome::Noted, None, why.into(), done);
    };
    let location = Some(app.offers[*first].location_name.clone());
    let why = if named.has_device { "the app goes first, then the licence" } else { "the licence comes back" };
    (ByHandOutcome::TakesBack, location, why.into(), done)
}

/// The numbers of an app before anything was taken.
fn sum(app: &judge::App, only: Option<LocationId>) -> ByHandAppView {
    ByHandAppView {
        adam_id: app.adam_id.clone(),
        name: app.name.clone(),
        items: 0,
        licences: 0,
        impossible: 0,
        free: free(app, only),
        free_after: None,
    }
}

/// Free licences that can be used; `None` when there are as many as wanted.
fn free(app: &judge::App, only: Option<LocationId>) -> Option<u64> {
    let usable = |offer: &&judge::Offer| offer.why_not.is_empty() && only.is_none_or(|only| only == offer.location);
    app.offers.iter().filter(usable).try_fold(0, |sum, offer| (!offer.unlimited).then(|| sum + u64::from(offer.free)))
}

fn hopeless(adam_id: &str, holder: &str, why: Impossible) -> ByHandItemView {
    let short = |text: &str| text.chars().take(120).collect();
    ByHandItemView {
        adam_id: short(adam_id),
        name: String::new(),
        holder: short(holder),
        outcome: ByHandOutcome::Impossible,
        location: None,
        code: why.code.to_owned(),
        why: why.why,
    }
}

/// What failed or was declined before no longer counts: somebody has decided anew.
fn start_afresh(w: &Write<'_>, item: &Doable, now: Timestamp) -> Result<(), StoreError> {
    match &item.named.holder {
        Holder::User(user) => seats::forget(w, user, &item.adam_id),
        Holder::Serial(serial) => {
            let Some(device) = devices::id_by_serial(w, serial)? else { return Ok(()) };
            match pairs::get(w, device, &item.adam_id)? {
                Some(pair) if matches!(pair.progress.app, Progress::Rejected | Progress::Failed) => {
                    pairs::put(w, &pairs::Pair { progress: Default::default(), ..pair }, now)
                }
                _ => Ok(()),
            }
        }
    }
}

/// A line in the audit for each app.
fn tell(w: &Write<'_>, doable: &[Doable], decision: Decision, who: &str, now: Timestamp) -> Result<(), StoreError> {
    let mut by_app: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for item in doable {
        by_app.entry(&item.adam_id).or_default().push(&item.named.shown);
    }
    for (adam_id, holders) in by_app {
        let (what, to) = match decision {
            Decision::Assigned => ("assigned by hand", "to"),
            Decision::Revoked => ("revoked by hand", "from"),
        };
        audit::write(w, now, who, what, &format!("{adam_id} {to} {}", holders.join(", ")))?;
    }
    Ok(())
}
