//! What the safety net keeps: what was confirmed, what is held, and which listings are not believed.

use std::collections::HashMap;

use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::{StoreError, execute, micros, row, rows, time};
use crate::model::LocationId;

/// Why nothing is taken back now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    pub since: Timestamp,
    /// Licences that would leave.
    pub leaving: u64,
    /// Licences that vppd has given, in all.
    pub ours: u64,
}

/// A listing of Apple's that had suddenly shrunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Doubted {
    pub since: Timestamp,
    /// Assignments known before.
    pub before: u64,
    /// Assignments listed then.
    pub after: u64,
}

/// How many licences a person has taken away knowingly of late.
pub fn confirmed(connection: &Connection) -> Result<u64, StoreError> {
    let found = row(connection, "SELECT licences FROM confirmed", [], |row| Ok(row.get::<_, i64>(0)?))?;
    Ok(found.unwrap_or(0).max(0) as u64)
}

/// A person takes away so many licences more, knowingly.
pub fn confirm(connection: &Connection, licences: u64, now: Timestamp, by: &str) -> Result<(), StoreError> {
    let licences = i64::try_from(licences).unwrap_or(i64::MAX / 2).min(i64::MAX / 2);
    execute(
        connection,
        "INSERT INTO confirmed (id, licences, at, by) VALUES (1, ?1, ?2, ?3)
         ON CONFLICT DO UPDATE SET licences = min(licences + excluded.licences, ?4), at = excluded.at, by = excluded.by",
        params![licences, micros(now), by, i64::MAX / 2],
    )?;
    Ok(())
}

/// Everything that was to leave has left: what was confirmed is used up, unless more was confirmed meanwhile.
pub fn used_up(connection: &Connection, confirmed: u64) -> Result<(), StoreError> {
    execute(connection, "DELETE FROM confirmed WHERE licences = ?1", [confirmed as i64])?;
    Ok(())
}

/// Whether the plan is held.
pub fn held(connection: &Connection) -> Result<Option<Held>, StoreError> {
    row(connection, "SELECT since, leaving, ours FROM held_plan", [], |row| {
        let count = |at| -> Result<u64, StoreError> { Ok(row.get::<_, i64>(at)?.max(0) as u64) };
        Ok(Held { since: time(row.get(0)?)?, leaving: count(1)?, ours: count(2)? })
    })
}

/// The plan is held, or goes on with `None`. The time of the first hold stays.
pub fn hold(connection: &Connection, held: Option<&Held>) -> Result<(), StoreError> {
    let Some(Held { since, leaving, ours }) = held else {
        execute(connection, "DELETE FROM held_plan", [])?;
        return Ok(());
    };
    execute(
        connection,
        "INSERT INTO held_plan (id, since, leaving, ours) VALUES (1, ?1, ?2, ?3)
         ON CONFLICT DO UPDATE SET leaving = excluded.leaving, ours = excluded.ours",
        params![micros(*since), *leaving as i64, *ours as i64],
    )?;
    Ok(())
}

/// The locations of which the listing is not believed.
pub fn doubted(connection: &Connection) -> Result<HashMap<LocationId, Doubted>, StoreError> {
    let all = rows(connection, "SELECT location_id, since, before, after FROM doubted_listing", [], |row| {
        let count = |at| -> Result<u64, StoreError> { Ok(row.get::<_, i64>(at)?.max(0) as u64) };
        Ok((LocationId(row.get(0)?), Doubted { since: time(row.get(1)?)?, before: count(2)?, after: count(3)? }))
    })?;
    Ok(all.into_iter().collect())
}

/// The listing of a location is not believed. What was known before the first such listing stays the measure.
pub fn doubt(connection: &Connection, location: LocationId, doubted: &Doubted) -> Result<(), StoreError> {
    execute(
        connection,
        "INSERT INTO doubted_listing (location_id, since, before, after) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT DO UPDATE SET after = excluded.after",
        params![location.0, micros(doubted.since), doubted.before as i64, doubted.after as i64],
    )?;
    Ok(())
}

/// The listing of a location is believed.
pub fn believe(connection: &Connection, location: LocationId) -> Result<bool, StoreError> {
    Ok(execute(connection, "DELETE FROM doubted_listing WHERE location_id = ?1", [location.0])? > 0)
}
