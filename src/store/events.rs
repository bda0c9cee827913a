//! Licence events: what was asked of Apple, from the intention to the settled outcome, and the pairs that are reserved
//! meanwhile. A pair is in one event at most, so two opposite ones can never be under way.

mod settle;

use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::timeline::{self, LicenceWord};
use super::{
    StoreError, assignments, devices, execute, json_list, list, maybe_time, micros, pairs, row, rows, tasks, time,
};
use crate::licensing::Verb;
use crate::model::{DeviceId, EventRef, Holder, HolderKind, Holders, LocationId, Pricing};

pub use settle::{PairFailure, Settled, Settlement, settle};

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
    /// When Apple was first seen to have ended it, if it is not known for every pair how.
    pub final_at: Option<Timestamp>,
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

const COLUMNS: &str = "id, location_id, verb, state, adam_ids, pricing_params, pairs, event_id, intended_at, sent_at, next_look_at, looks, holder_kind, final_at";

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
        final_at: maybe_time(row.get(13)?)?,
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
            let word = if verb == Verb::Associate { LicenceWord::Asked } else { LicenceWord::AskedBack };
            timeline::licence(connection, location, (adam_id, &holder), word, "", now)?;
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

/// Apple has ended it, as was first seen at `final_at`, and of some pairs it is not known how.
pub fn ended(connection: &Connection, id: &str, final_at: Timestamp) -> Result<(), StoreError> {
    execute(connection, "UPDATE licence_event SET final_at = ?2 WHERE id = ?1", params![id, micros(final_at)])?;
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
