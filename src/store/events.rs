//! Licence events: what was asked of Apple, from the intention to the settled outcome, and the pairs that are reserved
//! meanwhile. A pair is in one event at most, so two opposite ones can never be under way.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::{
    StoreError, assignments, devices, execute, json_list, list, locations, maybe_time, micros, pairs, reclaims, row,
    rows, seats, tasks, time,
};
use crate::clock::after;
use crate::licensing::Verb;
use crate::model::{App, DeviceId, EventRef, Holder, HolderKind, Holders, LocationId, Pricing};

/// A request to Apple.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub id: EventRef,
    pub location: LocationId,
    pub verb: Verb,
    /// The kind of all its holders.
    pub holders: HolderKind,
    pub state: EventState,
    /// The assets of the rectangle: (adamId, pricingParam).
    pub assets: Vec<(String, Pricing)>,
    /// How many pairs it has.
    pub pairs: u64,
    /// Apple's id of it.
    pub event_id: Option<String>,
    pub intended_at: Timestamp,
    pub sent_at: Option<Timestamp>,
    pub next_look_at: Option<Timestamp>,
    /// How often Apple was asked how far it is.
    pub looks: u32,
}

/// How far an event is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventState {
    /// Recorded, and certainly not sent.
    Intended,
    /// Being sent by this process; after a restart it becomes [`EventState::Unknown`].
    Sending,
    /// It may have reached Apple: only a listing can tell.
    Unknown,
    /// Apple works on it.
    Accepted,
}

/// A reserved pair of an event.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reserved {
    pub adam_id: String,
    pub pricing_param: Pricing,
    pub holder: Holder,
}

const COLUMNS: &str = "id, location_id, verb, state, adam_ids, pricing_params, pairs, event_id, intended_at, sent_at, next_look_at, looks, holder_kind";

fn read(row: &rusqlite::Row<'_>) -> Result<Event, StoreError> {
    let (verb, state): (String, String) = (row.get(2)?, row.get(3)?);
    let (adam_ids, pricings): (String, String) = (row.get(4)?, row.get(5)?);
    let kind: String = row.get(12)?;
    Ok(Event {
        id: row.get(0)?,
        location: LocationId(row.get(1)?),
        verb: Verb::from_word(&verb).ok_or_else(|| StoreError::Damaged(format!("verb {verb}")))?,
        holders: HolderKind::from_word(&kind).ok_or_else(|| StoreError::Damaged(format!("holder kind {kind}")))?,
        state: match state.as_str() {
            "intended" => EventState::Intended,
            "sending" => EventState::Sending,
            "unknown" => EventState::Unknown,
            "accepted" => EventState::Accepted,
            other => return Err(StoreError::Damaged(format!("event state {other}"))),
        },
        assets: list(&adam_ids)?.into_iter().zip(list(&pricings)?).collect(),
        pairs: row.get::<_, i64>(6)?.max(0) as u64,
        event_id: row.get(7)?,
        intended_at: time(row.get(8)?)?,
        sent_at: maybe_time(row.get(9)?)?,
        next_look_at: maybe_time(row.get(10)?)?,
        looks: row.get(11)?,
    })
}

/// The events of a location that are not settled, oldest first; what gives licences back comes first among equals.
pub fn open(connection: &Connection, location: LocationId) -> Result<Vec<Event>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM licence_event WHERE location_id = ?1 AND state <> 'settled'
         ORDER BY intended_at, verb DESC, id"
    );
    rows(connection, &sql, [location.0], read)
}

/// Whether any event of any location is not settled.
pub fn any_open(connection: &Connection) -> Result<bool, StoreError> {
    let sql = "SELECT EXISTS (SELECT 1 FROM licence_event WHERE state <> 'settled')";
    Ok(row(connection, sql, [], |row| Ok(row.get(0)?))?.unwrap_or(false))
}

/// Records the intention to send a rectangle and reserves its pairs. Pairs become ours with it. Users must be registered at
/// the location before licences are assigned to them.
pub fn intend(
    connection: &Connection,
    id: &str,
    location: LocationId,
    verb: Verb,
    assets: &[(String, Pricing)],
    holders: &Holders,
    now: Timestamp,
) -> Result<(), StoreError> {
    let (adam_ids, pricings): (Vec<_>, Vec<_>) = assets.iter().cloned().unzip();
    let (pairs, products, many) = (assets.len() * holders.ids().len(), assets.len(), holders.ids().len());
    execute(
        connection,
        "INSERT INTO licence_event (id, location_id, verb, state, adam_ids, pricing_params, pairs, intended_at, holder_kind)
         VALUES (?1, ?2, ?3, 'intended', ?4, ?5, ?6, ?7, ?8)",
        params![
            id,
            location.0,
            verb.word(),
            json_list(&adam_ids),
            json_list(&pricings),
            pairs as i64,
            micros(now),
            holders.kind().word()
        ],
    )?;
    let who = match holders.kind() {
        HolderKind::Serial => "devices",
        HolderKind::User => "people",
    };
    let detail = match verb {
        Verb::Associate => format!("assigning {pairs} licences ({products} products, {many} {who})"),
        Verb::Disassociate => format!("taking {pairs} licences back ({products} products, {many} {who})"),
    };
    tasks::follow(connection, tasks::Request::Licences, location, id, pairs as u64, &detail, now)?;
    for (adam_id, pricing_param) in assets {
        for holder in holders.each() {
            let (kind, named) = holder.parts();
            execute(
                connection,
                "INSERT INTO reservation (location_id, adam_id, pricing_param, holder_kind, holder, event)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                params![location.0, adam_id, pricing_param, kind, named, id],
            )?;
            if verb == Verb::Associate {
                assignments::own(connection, location, adam_id, pricing_param, &holder)?;
                if let Some(device) = device_of(connection, &holder)? {
                    let pair = pairs::get_or_new(connection, device, adam_id)?;
                    pairs::put(connection, &pairs::Pair { ours: true, ..pair }, now)?;
                }
            }
        }
    }
    Ok(())
}

/// The device that holds the licence itself.
fn device_of(connection: &Connection, holder: &Holder) -> Result<Option<DeviceId>, StoreError> {
    match holder {
        Holder::Serial(serial) => devices::id_by_serial(connection, serial),
        Holder::User(_) => Ok(None),
    }
}

/// Whether a request about this licence is under way, whoever is meant by the holder's id.
pub fn is_reserved(
    connection: &Connection,
    location: LocationId,
    adam_id: &str,
    pricing_param: &str,
    holder: &Holder,
) -> Result<bool, StoreError> {
    let sql =
        "SELECT 1 FROM reservation WHERE location_id = ?1 AND adam_id = ?2 AND pricing_param = ?3 AND holder = ?4";
    Ok(row(connection, sql, params![location.0, adam_id, pricing_param, holder.id()], |_| Ok(()))?.is_some())
}

/// The pairs of an event.
pub fn reserved(connection: &Connection, id: &str) -> Result<Vec<Reserved>, StoreError> {
    let sql = "SELECT adam_id, pricing_param, holder_kind, holder FROM reservation WHERE event = ?1
        ORDER BY adam_id, holder";
    rows(connection, sql, [id], |row| {
        Ok(Reserved { adam_id: row.get(0)?, pricing_param: row.get(1)?, holder: Holder::read(row, 2, 3)? })
    })
}

/// It is about to be sent.
pub fn sending(connection: &Connection, id: &str, now: Timestamp) -> Result<(), StoreError> {
    execute(
        connection,
        "UPDATE licence_event SET state = 'sending', sent_at = ?2 WHERE id = ?1",
        params![id, micros(now)],
    )?;
    Ok(())
}

/// Apple surely did not take it: it can be sent again.
pub fn not_sent(connection: &Connection, id: &str) -> Result<(), StoreError> {
    execute(connection, "UPDATE licence_event SET state = 'intended', sent_at = NULL WHERE id = ?1", [id])?;
    Ok(())
}

/// After a start: what was being sent may have arrived or not. Looked at from `look_at` on.
pub fn after_restart(connection: &Connection, look_at: Timestamp) -> Result<usize, StoreError> {
    execute(
        connection,
        "UPDATE licence_event SET state = 'unknown', next_look_at = ?1 WHERE state = 'sending'",
        [micros(look_at)],
    )
}

/// Apple accepted it and works on it.
pub fn accepted(connection: &Connection, id: &str, event_id: &str, look_at: Timestamp) -> Result<(), StoreError> {
    execute(
        connection,
        "UPDATE licence_event SET state = 'accepted', event_id = ?2, next_look_at = ?3, looks = 0 WHERE id = ?1",
        params![id, event_id, micros(look_at)],
    )?;
    Ok(())
}

/// It may have reached Apple or not: a listing at `look_at` will tell.
pub fn unknown(connection: &Connection, id: &str, look_at: Timestamp) -> Result<(), StoreError> {
    execute(
        connection,
        "UPDATE licence_event SET state = 'unknown', event_id = NULL, next_look_at = ?2 WHERE id = ?1",
        params![id, micros(look_at)],
    )?;
    Ok(())
}

/// Apple still works on it now: look again later.
pub fn look_again(connection: &Connection, id: &str, look_at: Timestamp, now: Timestamp) -> Result<(), StoreError> {
    execute(
        connection,
        "UPDATE licence_event SET next_look_at = ?2, looked_at = ?3, looks = looks + 1 WHERE id = ?1",
        params![id, micros(look_at), micros(now)],
    )?;
    Ok(())
}

/// Apple has news of the event: it is looked at now, or `gap` after the last look. False when it is none of ours.
pub fn notified(
    connection: &Connection,
    location: LocationId,
    event_id: &str,
    now: Timestamp,
    gap: Duration,
) -> Result<bool, StoreError> {
    execute(
        connection,
        "UPDATE licence_event SET next_look_at = min(coalesce(next_look_at, ?3), max(?3, coalesce(looked_at, 0) + ?4))
             WHERE location_id = ?1 AND event_id = ?2 AND state = 'accepted'",
        params![location.0, event_id, micros(now), gap.as_micros() as i64],
    )?;
    let sql = "SELECT EXISTS (SELECT 1 FROM licence_event WHERE location_id = ?1 AND event_id = ?2)";
    Ok(row(connection, sql, params![location.0, event_id], |row| Ok(row.get(0)?))?.unwrap_or(false))
}

/// Whether a request of a location is being sent.
pub fn any_sending(connection: &Connection, location: LocationId) -> Result<bool, StoreError> {
    let sql = "SELECT EXISTS (SELECT 1 FROM licence_event WHERE location_id = ?1 AND state = 'sending')";
    Ok(row(connection, sql, [location.0], |row| Ok(row.get(0)?))?.unwrap_or(false))
}

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
                // With the licence goes what failed or was declined: a later deployment starts with a clean slate.
                if known.progress.app != App::Removed {
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

/// Licences whose delay is over are forgotten: from now on they count as free. Returns when the next one is.
pub fn release_returned(connection: &Connection, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
    execute(connection, "DELETE FROM returning_licence WHERE usable_at <= ?1", [micros(now)])?;
    let next = row(connection, "SELECT min(usable_at) FROM returning_licence", [], |row| Ok(row.get(0)?))?;
    maybe_time(next.flatten())
}

/// Forgets events that were settled before `time`.
pub fn forget_before(connection: &Connection, time: Timestamp) -> Result<usize, StoreError> {
    execute(connection, "DELETE FROM licence_event WHERE state = 'settled' AND settled_at < ?1", [micros(time)])
}
