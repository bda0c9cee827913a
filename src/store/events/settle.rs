//! How an event ends: what it leaves behind for each of its pairs.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::{Event, Reserved, device_of, reserved};
use crate::clock::after;
use crate::licensing::Verb;
use crate::model::{App, Cause, Holder};
use crate::store::timeline::{self, LicenceWord};
use crate::store::{StoreError, assignments, execute, locations, micros, pairs, reclaims, row, seats};

/// How an event ended for a pair that did not go through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PairFailure {
    /// Apple's number, if Apple refused the pair; then there is a pause before the next try.
    pub number: Option<i64>,
    /// What the number means.
    pub cause: Option<Cause>,
    pub reason: String,
    /// Apple will not do it later either.
    pub certain: bool,
}

impl PairFailure {
    /// Certainly not done, through no fault of the pair: it may be tried again at once.
    pub fn released(reason: &str) -> PairFailure {
        PairFailure { number: None, cause: None, reason: reason.into(), certain: true }
    }

    /// Not done as far as can be seen: tried again at once, and if Apple does it after all, it was for us.
    pub fn lost(reason: &str) -> PairFailure {
        PairFailure { certain: false, ..PairFailure::released(reason) }
    }

    /// Refused by Apple: tried again after a pause.
    pub fn refused(number: i64, cause: Cause, reason: String) -> PairFailure {
        PairFailure { number: Some(number), cause: Some(cause), reason, certain: true }
    }
}

/// What a settled event leaves behind.
#[derive(Debug, Clone)]
pub struct Settlement {
    /// Pairs that did not go through.
    pub failed: BTreeMap<Reserved, PairFailure>,
    /// Pairs of which it is not known yet: they stay reserved. All others went through.
    pub open: BTreeSet<Reserved>,
    pub now: Timestamp,
    /// How long Apple needs until a returned licence can be used again.
    pub reuse_delay: Duration,
    /// How old a listing of Apple's may be: so long a returned licence is not used again either.
    pub listing_lag: Duration,
    /// The first pause before a failed pair is tried again; doubled with each failure.
    pub cool_down: Duration,
}

/// How far an event is settled, all looks at it together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// Pairs that went through.
    pub done: u64,
    /// Why others did not, if any did not.
    pub reason: Option<String>,
}

/// Settles pairs of an event: those that went through become assignments (or stop being ones), the failed ones are tried
/// again later. With the last one the event has ended.
pub fn settle(connection: &Connection, event: &Event, settlement: &Settlement) -> Result<Settled, StoreError> {
    let mut done = 0;
    let reserved = reserved(connection, &event.id)?;
    for pair in reserved.iter().filter(|pair| !settlement.open.contains(pair)) {
        match settlement.failed.get(pair) {
            None => {
                done += 1;
                went_through(connection, event, pair, settlement)?;
            }
            Some(failure) => did_not(connection, event, pair, failure, settlement)?,
        }
        let (kind, holder) = pair.holder.parts();
        execute(
            connection,
            "DELETE FROM reservation WHERE event = ?1 AND adam_id = ?2 AND pricing_param = ?3 AND holder_kind = ?4
                 AND holder = ?5",
            params![event.id, pair.adam_id, pair.pricing_param, kind, holder],
        )?;
    }
    let number = settlement.failed.values().find_map(|failure| failure.number);
    let reason = settlement.failed.values().next().map(|failure| failure.reason.as_str());
    execute(
        connection,
        "UPDATE licence_event SET done = coalesce(done, 0) + ?2, error_number = coalesce(?3, error_number),
             outcome = coalesce(?4, outcome) WHERE id = ?1",
        params![event.id, done, number, reason],
    )?;
    let settled = row(connection, "SELECT done, outcome FROM licence_event WHERE id = ?1", [&event.id], |row| {
        Ok(Settled { done: row.get::<_, i64>(0)?.max(0) as u64, reason: row.get(1)? })
    })?;
    let settled = settled.ok_or_else(|| StoreError::Damaged(format!("no event {}", event.id)))?;
    if !reserved.iter().any(|pair| settlement.open.contains(pair)) {
        execute(
            connection,
            "UPDATE licence_event SET state = 'settled', settled_at = ?2, outcome = coalesce(outcome, 'complete'),
                 next_look_at = NULL WHERE id = ?1",
            params![event.id, micros(settlement.now)],
        )?;
    }
    Ok(settled)
}

fn went_through(
    connection: &Connection,
    event: &Event,
    pair: &Reserved,
    settlement: &Settlement,
) -> Result<(), StoreError> {
    let location = event.location;
    let Reserved { adam_id, pricing_param, holder } = pair;
    let assignment = assignments::Assignment {
        adam_id: adam_id.clone(),
        pricing_param: pricing_param.clone(),
        holder: holder.clone(),
    };
    if let Holder::User(user) = holder {
        seats::forget(connection, user, adam_id)?;
    }
    let word = if event.verb == Verb::Associate { LicenceWord::Given } else { LicenceWord::Returned };
    let named = event.event_id.as_deref().unwrap_or_default();
    timeline::licence(connection, location, (adam_id, holder), word, named, settlement.now)?;
    match event.verb {
        Verb::Associate => {
            assignments::given(connection, location, &assignment, settlement.now)?;
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
            assignments::remove(connection, location, &assignment)?;
            assignments::disown(connection, location, adam_id, pricing_param, holder)?;
            let (kind, named) = holder.parts();
            execute(
                connection,
                "INSERT INTO returning_licence (location_id, adam_id, pricing_param, holder_kind, holder, usable_at,
                     returned_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
                 ON CONFLICT DO UPDATE SET usable_at = excluded.usable_at, returned_at = excluded.returned_at",
                params![
                    location.0,
                    adam_id,
                    pricing_param,
                    kind,
                    named,
                    micros(after(settlement.now, settlement.reuse_delay.max(settlement.listing_lag))),
                    micros(settlement.now)
                ],
            )?;
            if let Some(device) = device_of(connection, holder)?
                && let Some(mut known) = pairs::get(connection, device, adam_id)?
                && !assignments::owns(connection, adam_id, holder)?
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
    let word = if event.verb == Verb::Associate { LicenceWord::Refused } else { LicenceWord::Kept };
    timeline::licence(connection, event.location, (adam_id, holder), word, &failure.reason, settlement.now)?;
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
    known.progress.cause = failure.cause;
    known.progress.reason = failure.reason.clone();
    pairs::put(connection, &known, settlement.now)
}
