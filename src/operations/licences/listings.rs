//! What Apple's lists of licences tell of requests. They may be older than what was done (`[apple] listing-lag`): that a list
//! shows a licence is believed at once; that it does not, only when the list cannot be too old.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{Open, people, poll, reserved, settle, settle_but};
use crate::apple::error::meaning;
use crate::apple::numbers;
use crate::apple::wire::{AssetRef, ErrorInfo, EventStatus, Failure};
use crate::clock::after;
use crate::licensing::Verb;
use crate::model::{Holder, HolderKind};
use crate::operations::locations::Round;
use crate::operations::{OperationError, Shared, sync};
use crate::store::events::{self, Event, PairFailure, Reserved};
use crate::store::{StoreError, assignments};

/// So many waiting times an unknown outcome is left open while no listing is stable.
pub(in crate::operations) const UNSTABLE_WAITS: u32 = 3;

/// Settles the events of which every pair is among what changed; returns the others.
pub(super) async fn settle_by_changes(
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

/// An event that ended with failures: Apple names ids, not pairs, and maybe none, so a listing tells which pairs went
/// through. What it does not show has failed if Apple names that very pair, or if it began long enough after Apple had ended
/// the event; until then it stays reserved, and is looked for again.
pub(super) async fn settle_by_listing(
    context: &Shared,
    round: &mut Round,
    event: &Event,
    status: &EventStatus,
) -> Result<(), OperationError> {
    let began = context.clock.now();
    let stable = list_for(context, round, std::slice::from_ref(event)).await?;
    let final_at = event.final_at.unwrap_or(began);
    let lag = context.config().apple.listing_lag;
    let shows_all = after(final_at, waits(lag, stable)) <= began;
    let unknown_user = status.failures.iter().any(|failure| failure.number == Some(people::NO_SUCH_USER));
    let lost = match unknown_user && event.holders == HolderKind::User {
        true => people::lost_users(context, round, event).await?,
        false => BTreeSet::new(),
    };
    let event_read = event.clone();
    let undone = context.store.read(move |c| undone(c, &event_read)).await?;
    let (failed, open): (BTreeSet<_>, BTreeSet<_>) =
        undone.into_iter().partition(|pair| shows_all || is_named(status, pair));
    let failed = failed.into_iter().map(|pair| {
        let failure = match lost.contains(pair.holder.id()) {
            true => PairFailure::released(people::LOST),
            false => failure_of(status, &pair),
        };
        (pair, failure)
    });
    let failed: BTreeMap<_, _> = failed.collect();
    let (location, event_id) = (round.location.name.as_str(), event.event_id.as_deref().unwrap_or_default());
    if open.is_empty() || !failed.is_empty() {
        log::warn!(
            vppd_location = location, vppd_event = event_id;
            "Apple did not {} {} of {} licences ({location}): {}", event.verb.word(), failed.len(), event.pairs,
            failed.values().next().map_or("the listing shows them as done", |failure| failure.reason.as_str())
        );
    }
    if open.is_empty() {
        return settle(context, event, failed).await;
    }
    if event.final_at.is_none() {
        log::warn!(
            vppd_location = location, vppd_event = event_id;
            "Apple has failed to {} some of {} licences ({location}) and does not say which: {} of them are looked for until \
             its list of licences cannot be too old any more", event.verb.word(), event.pairs, open.len()
        );
    }
    let now = context.clock.now();
    let (soon, enough) = (after(now, poll(context, event.looks + 1)), after(final_at, lag));
    let look_at = if enough > now { soon.min(enough) } else { soon };
    settle_but(context, event, failed, Some(Open { pairs: open, final_at, look_at })).await
}

/// A waiting time; several of them while the location does not hold still for a listing: doing it twice harms nothing.
fn waits(once: Duration, stable: bool) -> Duration {
    once.saturating_mul(if stable { 1 } else { UNSTABLE_WAITS })
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

/// Holders of this kind that an error names.
fn holders<'a>(info: &'a ErrorInfo, holder: &Holder) -> &'a [String] {
    match holder {
        Holder::Serial(_) => &info.serial_numbers,
        Holder::User(_) => &info.client_user_ids,
    }
}

/// Whether an error may be about this holder: its list of them names it, or is empty.
pub(super) fn names(info: &ErrorInfo, holder: &Holder) -> bool {
    let named = holders(info, holder);
    named.is_empty() || named.iter().any(|id| id == holder.id())
}

/// Whether Apple names this very pair as failed. Where it names several assets and several holders, it may mean others.
fn is_named(status: &EventStatus, pair: &Reserved) -> bool {
    status.failures.iter().any(|failure| {
        let Some(info) = &failure.info else { return false };
        let holders = holders(info, &pair.holder);
        let is_pair = |asset: &AssetRef| {
            asset.adam_id.0 == pair.adam_id && asset.pricing_param.word() == pair.pricing_param.as_str()
        };
        // Whom Apple does not have can hold nothing.
        let any_asset = failure.number == Some(people::NO_SUCH_USER) && info.assets.is_empty();
        let asset = any_asset || info.assets.iter().any(is_pair) && (info.assets.len() == 1 || holders.len() == 1);
        asset && holders.iter().any(|id| id == pair.holder.id())
    })
}

/// Apple's reason for a pair; the most fitting one of those it gave.
fn failure_of(status: &EventStatus, pair: &Reserved) -> PairFailure {
    let fits = |failure: &&Failure| {
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
    let number = number.unwrap_or(0);
    PairFailure::refused(number, numbers::cause(number), reason)
}

/// Events that may or may not have reached Apple. A listing that shows every pair as done settles one at once; otherwise
/// Apple may still be working on it, and what it does last may not be listed yet, so only after both waiting times does a
/// listing without a pair mean that it is not done.
pub(super) async fn settle_unsure(context: &Shared, round: &mut Round, unsure: &[Event]) -> Result<(), OperationError> {
    let began = context.clock.now();
    let stable = list_for(context, round, unsure).await?;
    let now = context.clock.now();
    for event in unsure {
        let read = event.clone();
        let undone = context.store.read(move |c| undone(c, &read)).await?;
        let wait = {
            let apple = &context.config().apple;
            waits(apple.unknown_outcome_wait.saturating_add(apple.listing_lag), stable)
        };
        let waited = after(event.sent_at.unwrap_or(event.intended_at), wait) <= began;
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
