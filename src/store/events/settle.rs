//! How an event ends: what it leaves behind for each of its pairs.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::{Event, Reserved, device_of, reserved};
use crate::clock::after;
use crate::licensing::Verb;
use crate::model::{App, Holder};
use crate::store::{StoreError, assignments, execute, locations, micros, pairs, reclaims, seats};

/// How an event ended for a pair that did not go through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PairFailure {
    /// Apple's number, if Apple refused the pair; then there is a pause before the next try.
    pub number: Option<i64>,
    pub reason: String,
    /// Apple will not do it later either.
    pub certain: bool,
}

impl PairFailure {
    /// Certainly not done, through no fault of the pair: it may be tried again at once.
    pub fn released(reason: &str) -> PairFailure {
        PairFailure { number: None, reason: reason.into(), certain: true }
    }

    /// Not done as far as can be seen: tried again at once, and if Apple does it after all, it was for us.
    pub fn lost(reason: &str) -> PairFailure {
        PairFailure { certain: false, ..PairFailure::released(reason) }
    }

    /// Refused by Apple: tried again after a pause.
    pub fn refused(number: i64, reason: String) -> PairFailure {
        PairFailure { number: Some(number), reason, certain: true }
    }
}

/// What a settled event leaves behind.
#[derive(Debug, Clone)]
pub struct Settlement {
    /// Pairs that did not go through; all others did.
    pub failed: BTreeMap<Reserved, PairFailure>,
    pub now: Timestamp,
    /// How long Apple needs until a returned licence can be used again.
    pub reuse_delay: Duration,
    /// The first pause before a failed pair is tried again; doubled with each failure.
    pub cool_down: Duration,
}

/// Ends an event: pairs that went through become assignments (or stop being ones), the others are tried again later.
/// Returns how many went through.
pub fn settle(connection: &Connection, event: &Event, settlement: &Settlement) -> Result<u64, StoreError> {
    let mut done = 0;
    for pair in reserved(connection, &event.id)? {
        match settlement.failed.get(&pair) {
            None => {
                done += 1;
                went_through(connection, event, &pair, settlement)?;
            }
            Some(failure) => did_not(connection, event, &pair, failure, settlement)?,
        }
    }
    execute(connection, "DELETE FROM reservation WHERE event = ?1", [&event.id])?;
    let number = settlement.failed.values().find_map(|failure| failure.number);
    let reason = settlement.failed.values().next().map(|failure| failure.reason.as_str()).unwrap_or("complete");
    execute(
        connection,
        "UPDATE licence_event SET state = 'settled', settled_at = ?2, done = ?3, error_number = ?4, outcome = ?5,
             next_look_at = NULL WHERE id = ?1",
        params![event.id, micros(settlement.now), done as i64, number, reason],
    )?;
    Ok(done)
}

fn went_through(
    connection: &Connection,
    event: &Event,
    pair: &Reserved,
    settlement: &Settlement,
) -> Result<(), StoreError> {
    let location = event.location;
    let Reserved { adam_id, pricing_param, holder } = pair;
    if let Holder::User(user) = holder {
        seats::forget(connection, user, adam_id)?;
    }
    match event.verb {
        Verb::Associate => {
            let assignment = assignments::Assignment {
                adam_id: adam_id.clone(),
                pricing_param: pricing_param.clone(),
                holder: holder.clone(),
            };
            assignments::add(connection, location, &[assignment])?;
            // What failed before no longer counts: the install starts with a clean slate.
            if let Some(device) = device_of(connection, holder)?
                && let Some(mut known) = pairs::get(connection, device, adam_id)?
                && known.progress.app == App::None
            {
                known.progress = Default::default();
                pairs::put(connection, &known, settlement.now)?;
            }
        }
        Verb::Disassociate => {
            // What Apple lists as changed may from now on include what was taken back: only a full listing can be trusted.
            locations::forget_version(connection, location)?;
            assignments::remove(connection, location, adam_id, pricing_param, holder)?;
            assignments::disown(connection, location, adam_id, pricing_param, holder)?;
            let (kind, named) = holder.parts();
            execute(
                connection,
                "INSERT INTO returning_licence (location_id, adam_id, pricing_param, holder_kind, holder, usable_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO UPDATE SET usable_at = excluded.usable_at",
                params![
                    location.0,
                    adam_id,
                    pricing_param,
                    kind,
                    named,
                    micros(after(settlement.now, settlement.reuse_delay))
                ],
            )?;
            if let Some(device) = device_of(connection, holder)?
                && let Some(mut known) = pairs::get(connection, device, adam_id)?
            {
                known.ours = false;
                // With the licence goes what failed or was declined: a later deployment starts with a clean slate. An app that
                // is there is still there.
                if matches!(known.progress.app, App::None | App::InstallRetry) {
                    known.progress = Default::default();
                }
                pairs::put(connection, &known, settlement.now)?;
            }
        }
    }
    Ok(())
}

fn did_not(
    connection: &Connection,
    event: &Event,
    pair: &Reserved,
    failure: &PairFailure,
    settlement: &Settlement,
) -> Result<(), StoreError> {
    let Reserved { adam_id, pricing_param, holder } = pair;
    // It became ours with the intention: if others give this licence later, it is theirs.
    let never_came = event.verb == Verb::Associate && failure.certain;
    if never_came && !assignments::holds(connection, event.location, adam_id, pricing_param, holder)? {
        assignments::disown(connection, event.location, adam_id, pricing_param, holder)?;
    }
    let pause = |tries: u32| after(settlement.now, settlement.cool_down.saturating_mul(1 << tries.min(6)));
    if let (Verb::Disassociate, Some(_)) = (event.verb, failure.number) {
        let licence = assignments::Assignment {
            adam_id: adam_id.clone(),
            pricing_param: pricing_param.clone(),
            holder: holder.clone(),
        };
        reclaims::refused(connection, event.location, &licence, &failure.reason, pause)?;
    }
    if let Holder::User(user) = holder {
        if failure.number.is_none() {
            return Ok(());
        }
        let tries = seats::get(connection, user, adam_id)?.map_or(0, |known| known.tries);
        let refusal = seats::Refusal { tries: tries + 1, due: pause(tries), reason: failure.reason.clone() };
        return seats::refused(connection, user, adam_id, &refusal);
    }
    let Some(device) = device_of(connection, holder)? else { return Ok(()) };
    let mut known = pairs::get_or_new(connection, device, adam_id)?;
    if never_came && matches!(known.progress.app, App::None | App::Removed) {
        known.ours = false;
    }
    if failure.number.is_none() {
        return pairs::put(connection, &known, settlement.now);
    }
    known.progress.due = Some(pause(known.progress.tries));
    known.progress.tries += 1;
    known.progress.reason = failure.reason.clone();
    pairs::put(connection, &known, settlement.now)
}
