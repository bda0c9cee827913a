//! Licence events with Apple: what was intended is sent, what was accepted is followed to its end, and what may or may not
//! have arrived is settled by a listing.
//!
//! - `people`: what is different when the holders are registered users.

mod people;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use super::locations::Round;
use super::locations::standing::{ask, see_owner};
use super::notifications::channel;
use super::{OperationError, Shared, sync, tasks};
use crate::apple::error::{AppleError, meaning};
use crate::apple::walk;
use crate::apple::wire::{AssetRef, ErrorInfo, EventStatus};
use crate::clock::after;
use crate::fault;
use crate::licensing::Verb;
use crate::model::{Holder, HolderKind, Holders};
use crate::store::events::{self, Event, EventState, PairFailure, Reserved, Settlement};
use crate::store::{self, StoreError, Write, appliance, assignments, locations, notifications};

/// How long a reply that names us as the owner is believed before a batch of changes.
const OWNERSHIP_HOLDS: Duration = Duration::from_secs(60);

/// So many waiting times an unknown outcome is left open while no listing is stable.
pub(super) const UNSTABLE_WAITS: u32 = 3;

/// Apple's number for an event it does not know (any more).
pub(super) const UNKNOWN_EVENT: i64 = 9708;

/// Looks at every event that is due, then sends what is intended. Returns when to come back.
pub(super) async fn settle_and_send(context: &Shared, round: &mut Round) -> Result<Option<Timestamp>, OperationError> {
    look_at_due(context, round).await?;
    send_intended(context, round).await?;
    let id = round.location.id;
    let open = context.store.read(move |c| events::open(c, id)).await?;
    let soon = |event: &Event| match event.state {
        EventState::Intended => Some(after(context.clock.now(), Duration::from_secs(5))),
        _ => event.next_look_at,
    };
    Ok(open.iter().filter_map(soon).min())
}

/// Lets the requests of a location that is to go come to their end: what was not sent yet never is. Returns when to look
/// again; `None` once none is open.
pub(super) async fn wind_up(context: &Shared, round: &mut Round) -> Result<Option<Timestamp>, OperationError> {
    for event in open_events(context, round).await? {
        if event.state == EventState::Intended {
            settle_released(context, round, &event, "the location is being removed").await?;
        }
    }
    look_at_due(context, round).await?;
    let open = open_events(context, round).await?;
    Ok(open.iter().map(|event| event.next_look_at.unwrap_or(context.clock.now())).min())
}

async fn open_events(context: &Shared, round: &Round) -> Result<Vec<Event>, OperationError> {
    let id = round.location.id;
    Ok(context.store.read(move |c| events::open(c, id)).await?)
}

// Sending.

async fn send_intended(context: &Shared, round: &mut Round) -> Result<(), OperationError> {
    for event in open_events(context, round).await? {
        if event.state != EventState::Intended {
            continue;
        }
        if !still_ours(context, round).await? {
            let why = "the location may not be written to now";
            settle_released(context, round, &event, why).await?;
            continue;
        }
        send(context, round, &event).await?;
    }
    Ok(())
}

/// Whether Apple names us as the owner: asked before a batch of changes.
pub(super) async fn still_ours(context: &Shared, round: &mut Round) -> Result<bool, OperationError> {
    let now = context.clock.steady();
    if round.owned_at.is_some_and(|at| after(at, OWNERSHIP_HOLDS) > now) {
        return Ok(true);
    }
    let reply = context.apple.client_config(&round.token).await;
    let reply = ask(context, round, reply).await?;
    see_owner(context, round, reply.mdm_info.as_ref()).await?;
    channel::compare(context, round, &reply.body).await?;
    Ok(round.owned_at.is_some())
}

async fn send(context: &Shared, round: &mut Round, event: &Event) -> Result<(), OperationError> {
    let (sent, now) = (event.clone(), context.clock.now());
    let reserved = context
        .store
        .write(move |w| -> Result<Result<Vec<Reserved>, &str>, StoreError> {
            if appliance::load(w)?.paused.is_some() {
                return Ok(Err("everything is paused"));
            }
            let reserved = events::reserved(w, &sent.id)?;
            if sent.verb == Verb::Associate && !people::all_registered(w, &sent, &reserved)? {
                return Ok(Err("a person in it is not registered there any more"));
            }
            events::sending(w, &sent.id, now)?;
            Ok(Ok(reserved))
        })
        .await?;
    let reserved = match reserved {
        Ok(reserved) => reserved,
        Err(why) => return settle_released(context, round, event, why).await,
    };
    let ids: BTreeSet<&str> = reserved.iter().map(|pair| pair.holder.id()).collect();
    let holders = Holders::of(event.holders, ids.into_iter().map(str::to_owned).collect());
    let assets: Vec<AssetRef> = event
        .assets
        .iter()
        .map(|(adam_id, pricing)| AssetRef { adam_id: adam_id.as_str().into(), pricing_param: pricing.as_str().into() })
        .collect();
    fault::point("before asking Apple");
    let reply = match event.verb {
        Verb::Associate => context.apple.associate(&round.token, &assets, &holders).await,
        Verb::Disassociate => context.apple.disassociate(&round.token, &assets, &holders).await,
    };
    fault::point("after asking Apple");
    match reply {
        Ok(accepted) => {
            let look_at = after(context.clock.now(), poll(context, 0));
            let (id, event_id, location, now) =
                (event.id.clone(), accepted.event_id.clone(), event.location, context.clock.now());
            context
                .store
                .write(move |w| -> Result<(), StoreError> {
                    // A notification may have been faster than the reply.
                    let told = notifications::told_of(w, location, &event_id)?;
                    events::accepted(w, &id, &event_id, if told { now } else { look_at })
                })
                .await?;
            log::info!(
                vppd_location = round.location.name.as_str(), vppd_event = accepted.event_id.as_str();
                "asked Apple to {} {} licences of {} assets ({})",
                event.verb.word(), event.pairs, assets.len(), round.location.name
            );
            see_owner(context, round, accepted.mdm_info.as_ref()).await
        }
        Err(error) => not_accepted(context, round, event, error).await,
    }
}

async fn not_accepted(
    context: &Shared,
    round: &mut Round,
    event: &Event,
    error: AppleError,
) -> Result<(), OperationError> {
    let id = event.id.clone();
    match &error {
        AppleError::Business { number: people::NO_SUCH_USER, info } if event.holders == HolderKind::User => {
            log::warn!(vppd_location = round.location.name.as_str(); "location \"{}\": {error}", round.location.name);
            people::settle_without_lost(context, round, event, info.as_ref(), &error).await
        }
        AppleError::UnknownOutcome { .. } => {
            let look_at = after(context.clock.now(), poll(context, 1));
            context.store.write(move |w| events::unknown(w, &id, look_at)).await?;
            log::warn!(vppd_location = round.location.name.as_str(); "location \"{}\": {error}", round.location.name);
            Ok(())
        }
        // Certainly not done: sent again in a later round, which comes after a pause.
        AppleError::RetryLater { .. } | AppleError::TokenProblem { .. } | AppleError::Forbidden { .. } => {
            let keep = matches!(error, AppleError::RetryLater { .. });
            if keep {
                context.store.write(move |w| events::not_sent(w, &id)).await?;
            } else {
                settle_released(context, round, event, "the content token cannot be used for it").await?;
            }
            ask::<()>(context, round, Err(error)).await
        }
        // Our limits or our listing were out of date: the pairs are planned anew.
        AppleError::Limit { .. } | AppleError::Resync { .. } => {
            settle_released(context, round, event, &error.to_string()).await
        }
        AppleError::Refused { .. }
        | AppleError::Business { .. }
        | AppleError::Malformed { .. }
        | AppleError::Unstable { .. } => {
            log::error!(vppd_location = round.location.name.as_str(); "location \"{}\": {error}", round.location.name);
            let failure = PairFailure::refused(error.number().unwrap_or(0), error.to_string());
            let reserved = reserved(context, event).await?;
            settle(context, event, reserved.into_iter().map(|pair| (pair, failure.clone())).collect()).await
        }
    }
}

/// The pause before the next question about an event.
pub(super) fn poll(context: &Shared, looks: u32) -> Duration {
    let pauses = &context.config().apple.event_poll;
    pauses.get(looks as usize).or(pauses.last()).copied().unwrap_or(Duration::from_secs(10))
}

// Following.

async fn look_at_due(context: &Shared, round: &mut Round) -> Result<(), OperationError> {
    let now = context.clock.now();
    let due = |event: &Event| event.next_look_at.is_some_and(|at| at <= now);
    let mut accepted: Vec<Event> = open_events(context, round).await?;
    // Nothing is sent beside this: what became of it could not be saved.
    for event in accepted.iter_mut().filter(|event| event.state == EventState::Sending) {
        let id = event.id.clone();
        context.store.write(move |w| events::unknown(w, &id, now)).await?;
        (event.state, event.next_look_at) = (EventState::Unknown, Some(now));
    }
    let unsure: Vec<Event> =
        accepted.iter().filter(|event| event.state == EventState::Unknown && due(event)).cloned().collect();
    accepted.retain(|event| event.state == EventState::Accepted && due(event));
    // One read of what changed settles several events; each remaining one is asked for by itself.
    if accepted.iter().filter(|event| event.verb == Verb::Associate).count() > 1 {
        accepted = settle_by_changes(context, round, accepted).await?;
    }
    for event in accepted {
        look_at(context, round, &event).await?;
    }
    if !unsure.is_empty() {
        settle_unsure(context, round, &unsure).await?;
    }
    Ok(())
}

/// Settles the events of which every pair is among what changed; returns the others.
async fn settle_by_changes(
    context: &Shared,
    round: &mut Round,
    events: Vec<Event>,
) -> Result<Vec<Event>, OperationError> {
    if sync::read_changes(context, round).await?.is_none() {
        return Ok(events);
    }
    let mut left = Vec::new();
    for event in events {
        let missing = if event.verb == Verb::Associate { missing(context, &event).await? } else { 1 };
        if missing == 0 {
            settle(context, &event, BTreeMap::new()).await?;
        } else {
            left.push(event);
        }
    }
    Ok(left)
}

/// How many pairs of an associate event are not among the known assignments.
async fn missing(context: &Shared, event: &Event) -> Result<usize, OperationError> {
    let event = event.clone();
    let count = context.store.read(move |c| -> Result<usize, StoreError> { Ok(undone(c, &event)?.len()) }).await?;
    Ok(count)
}

/// The pairs of an event that the known assignments do not show as done.
fn undone(c: &rusqlite::Connection, event: &Event) -> Result<Vec<Reserved>, StoreError> {
    let mut undone = Vec::new();
    for pair in events::reserved(c, &event.id)? {
        let held = assignments::holds(c, event.location, &pair.adam_id, &pair.pricing_param, &pair.holder)?;
        if held != (event.verb == Verb::Associate) {
            undone.push(pair);
        }
    }
    Ok(undone)
}

async fn look_at(context: &Shared, round: &mut Round, event: &Event) -> Result<(), OperationError> {
    let Some(event_id) = &event.event_id else { return Ok(()) };
    let reply = context.apple.status(&round.token, event_id).await;
    let now = context.clock.now();
    let pending_since = event.sent_at.unwrap_or(event.intended_at);
    let waited = after(pending_since, context.config().apple.unknown_outcome_wait) <= now;
    let reply = match reply {
        // Apple does not know the event, or its answer is of no use: a listing tells.
        Err(error) if error.number() == Some(UNKNOWN_EVENT) => return make_unsure(context, event).await,
        Err(error @ (AppleError::Refused { .. } | AppleError::Business { .. } | AppleError::Malformed { .. })) => {
            log::warn!(
                vppd_location = round.location.name.as_str(), vppd_event = event_id.as_str();
                "location \"{}\": what became of a request is read from the licences instead: {error}", round.location.name
            );
            return make_unsure(context, event).await;
        }
        Err(AppleError::RetryLater { .. } | AppleError::Forbidden { .. }) if waited => {
            return make_unsure(context, event).await;
        }
        other => ask(context, round, other).await?,
    };
    see_owner(context, round, reply.mdm_info.as_ref()).await?;
    if reply.body.is_full_success() {
        return settle(context, event, BTreeMap::new()).await;
    }
    if reply.body.is_final() {
        return settle_by_listing(context, round, event, &reply.body).await;
    }
    if waited {
        // Apple: still pending after ten minutes, so the listing decides and the rest is sent again.
        return make_unsure(context, event).await;
    }
    let (id, look_at) = (event.id.clone(), after(now, poll(context, event.looks + 1)));
    let done = u64::try_from(reply.body.num_completed).unwrap_or(0);
    let look_again = move |w: &Write<'_>| -> Result<(), StoreError> {
        store::tasks::request_progress(w, &id, done)?;
        events::look_again(w, &id, look_at, now)
    };
    Ok(context.store.write(look_again).await?)
}

async fn make_unsure(context: &Shared, event: &Event) -> Result<(), OperationError> {
    let (id, now) = (event.id.clone(), context.clock.now());
    context.nudge(event.location);
    Ok(context.store.write(move |w| events::unknown(w, &id, now)).await?)
}

/// An event that ended with failures: Apple names ids, not pairs, so a fresh listing tells which pairs went through.
async fn settle_by_listing(
    context: &Shared,
    round: &mut Round,
    event: &Event,
    status: &EventStatus,
) -> Result<(), OperationError> {
    list_for(context, round, std::slice::from_ref(event)).await?;
    let unknown_user = status.failures.iter().any(|failure| failure.number == Some(people::NO_SUCH_USER));
    let lost = match unknown_user && event.holders == HolderKind::User {
        true => people::lost_users(context, round, event).await?,
        false => BTreeSet::new(),
    };
    let event_read = event.clone();
    let undone = context.store.read(move |c| undone(c, &event_read)).await?;
    let failed = undone.into_iter().map(|pair| {
        let failure = match lost.contains(pair.holder.id()) {
            true => PairFailure::released(people::LOST),
            false => failure_of(status, &pair),
        };
        (pair, failure)
    });
    let failed: BTreeMap<_, _> = failed.collect();
    log::warn!(
        vppd_location = round.location.name.as_str(), vppd_event = event.event_id.as_deref().unwrap_or_default();
        "Apple did not {} {} of {} licences ({}): {}", event.verb.word(), failed.len(), event.pairs, round.location.name,
        failed.values().next().map_or("the listing shows them as done", |failure| failure.reason.as_str())
    );
    settle(context, event, failed).await
}

/// Reads who holds what of the assets that these events are about. True when the listing held still.
async fn list_for(context: &Shared, round: &mut Round, events: &[Event]) -> Result<bool, OperationError> {
    let mut assets = BTreeSet::new();
    for event in events {
        let pairs = reserved(context, event).await?.into_iter();
        assets.extend(pairs.map(|pair| (pair.adam_id, pair.pricing_param)));
    }
    sync::assets_alone(context, round, assets).await
}

/// Whether an error may be about this holder: its list of them names it, or is empty.
fn names(info: &ErrorInfo, holder: &Holder) -> bool {
    let named = match holder {
        Holder::Serial(_) => &info.serial_numbers,
        Holder::User(_) => &info.client_user_ids,
    };
    named.is_empty() || named.iter().any(|id| id == holder.id())
}

/// Apple's reason for a pair; the most fitting one of those it gave.
fn failure_of(status: &EventStatus, pair: &Reserved) -> PairFailure {
    let fits = |failure: &&crate::apple::wire::Failure| {
        failure.info.as_ref().is_none_or(|info| {
            let asset = info.assets.is_empty() || info.assets.iter().any(|asset| asset.adam_id.0 == pair.adam_id);
            asset && names(info, &pair.holder)
        })
    };
    let number = status.failures.iter().find(fits).or(status.failures.first()).and_then(|failure| failure.number);
    let reason = match number {
        Some(number) => match meaning(number) {
            Some(words) => format!("Apple: {words} ({number})"),
            None => format!("Apple gives the number {number}"),
        },
        None => "Apple gives no reason".into(),
    };
    PairFailure::refused(number.unwrap_or(0), reason)
}

/// Events that may or may not have reached Apple. A listing that shows every pair as done settles one at once; otherwise
/// Apple may still be working on it, so only after the waiting time does a listing without a pair mean that it is not done.
/// If the location never holds still for a listing, several such times have to do: sending twice harms nothing.
async fn settle_unsure(context: &Shared, round: &mut Round, unsure: &[Event]) -> Result<(), OperationError> {
    let stable = list_for(context, round, unsure).await?;
    let now = context.clock.now();
    for event in unsure {
        let read = event.clone();
        let undone = context.store.read(move |c| undone(c, &read)).await?;
        let wait = context.config().apple.unknown_outcome_wait.saturating_mul(if stable { 1 } else { UNSTABLE_WAITS });
        let waited = after(event.sent_at.unwrap_or(event.intended_at), wait) <= now;
        if undone.is_empty() || waited {
            let lost = PairFailure::lost("the request did not reach Apple; it is sent again");
            settle(context, event, undone.into_iter().map(|pair| (pair, lost.clone())).collect()).await?;
        } else {
            let (id, look_at) = (event.id.clone(), after(now, poll(context, event.looks + 1)));
            context.store.write(move |w| events::look_again(w, &id, look_at, now)).await?;
        }
    }
    Ok(())
}

// Settling.

async fn reserved(context: &Shared, event: &Event) -> Result<Vec<Reserved>, OperationError> {
    let id = event.id.clone();
    Ok(context.store.read(move |c| events::reserved(c, &id)).await?)
}

async fn settle_released(context: &Shared, round: &Round, event: &Event, why: &str) -> Result<(), OperationError> {
    let name = round.location.name.as_str();
    log::warn!(vppd_location = name; "a request for \"{name}\" is not sent: {why}");
    release(context, event, why).await
}

async fn release(context: &Shared, event: &Event, why: &str) -> Result<(), OperationError> {
    let released = PairFailure::released(why);
    let reserved = reserved(context, event).await?;
    settle(context, event, reserved.into_iter().map(|pair| (pair, released.clone())).collect()).await
}

async fn settle(
    context: &Shared,
    event: &Event,
    failed: BTreeMap<Reserved, PairFailure>,
) -> Result<(), OperationError> {
    let settlement = Settlement {
        failed,
        now: context.clock.now(),
        reuse_delay: context.config().apple.licence_reuse_delay,
        cool_down: context.config().apple.refused_licence_wait,
    };
    let event = event.clone();
    context
        .store
        .write(move |w| -> Result<(), StoreError> {
            let done = events::settle(w, &event, &settlement)?;
            let verb = if event.verb == Verb::Associate { "assigned" } else { "taken back" };
            let why = settlement.failed.values().next().map(|failure| format!("; the others: {}", failure.reason));
            let words = format!("{done} of {} licences were {verb}{}", event.pairs, why.unwrap_or_default());
            let advice = "`vppd plan` tells what is tried next, and when.";
            tasks::request_ended(w, &event.id, settlement.now, done, words, advice)
        })
        .await?;
    context.plan_now.notify_one();
    Ok(())
}

/// Whether a delta read failed so that everything has to be read.
pub(super) fn must_read_all(error: &AppleError) -> bool {
    walk::needs_full_walk(error)
}

/// A location's version for reading changes, as stored now.
pub(super) async fn version_of(context: &Shared, round: &Round) -> Result<Option<String>, OperationError> {
    let id = round.location.id;
    let location = context.store.read(move |c| locations::by_id(c, id)).await?;
    Ok(location.and_then(|location| location.assignments_version))
}
