//! Licence events with Apple: what was intended is sent, what was accepted is followed to its end, and what may or may not
//! have arrived is settled by a listing.
//!
//! - `listings`: what Apple's lists of licences tell of it, which may be older than what was done.
//! - `people`: what is different when the holders are registered users.

mod listings;
mod people;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use super::locations::Round;
use super::locations::standing::{ask, see_owner};
use super::notifications::channel;
use super::{OperationError, Shared, tasks};
use crate::apple::error::AppleError;
use crate::apple::numbers;
use crate::apple::walk;
use crate::apple::wire::AssetRef;
use crate::clock::after;
use crate::fault;
use crate::licensing::Verb;
use crate::model::{HolderKind, Holders};
use crate::store::events::{self, Event, EventState, PairFailure, Reserved, Settled, Settlement};
use crate::store::{self, StoreError, Write, appliance, locations, notifications};
pub(super) use listings::UNSTABLE_WAITS;
use listings::{settle_by_changes, settle_by_listing, settle_unsure};

/// How long a reply that names us as the owner is believed before a batch of changes.
const OWNERSHIP_HOLDS: Duration = Duration::from_secs(60);

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
            let number = error.number().unwrap_or(0);
            let failure = PairFailure::refused(number, numbers::cause(number), error.to_string());
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
    settle_but(context, event, failed, None).await
}

/// Pairs of an event that Apple has ended of which it is not known how.
struct Open {
    pairs: BTreeSet<Reserved>,
    /// When it was first seen to have ended.
    final_at: Timestamp,
    look_at: Timestamp,
}

/// Settles an event, but for the open pairs, which stay reserved.
async fn settle_but(
    context: &Shared,
    event: &Event,
    failed: BTreeMap<Reserved, PairFailure>,
    open: Option<Open>,
) -> Result<(), OperationError> {
    let apple = &context.config().apple;
    let settlement = Settlement {
        failed,
        open: open.as_ref().map(|open| open.pairs.clone()).unwrap_or_default(),
        now: context.clock.now(),
        reuse_delay: apple.licence_reuse_delay,
        listing_lag: apple.listing_lag,
        cool_down: apple.refused_licence_wait,
    };
    let event = event.clone();
    context
        .store
        .write(move |w| -> Result<(), StoreError> {
            let Settled { done, reason } = events::settle(w, &event, &settlement)?;
            if let Some(Open { final_at, look_at, .. }) = open {
                store::tasks::request_progress(w, &event.id, done)?;
                events::ended(w, &event.id, final_at)?;
                return events::look_again(w, &event.id, look_at, settlement.now);
            }
            let verb = if event.verb == Verb::Associate { "assigned" } else { "taken back" };
            let why = reason.map(|reason| format!("; the others: {reason}"));
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
