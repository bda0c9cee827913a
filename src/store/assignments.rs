//! Assignments: who holds what at Apple, as far as read or done by us.
//!
//! A full sync stages its rows under a new generation in batches, so that it never holds the writer for long, and then
//! makes that generation the one that counts by changing one row. A reader never sees half.

use rusqlite::{Connection, params};

use super::{StoreError, execute, locations, row, rows};
use crate::model::LocationId;

/// Who holds a licence.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Holder {
    Serial(String),
    /// `clientUserId` of a registered user.
    User(String),
}

impl Holder {
    fn parts(&self) -> (&'static str, &str) {
        match self {
            Holder::Serial(serial) => ("serial", serial),
            Holder::User(user) => ("user", user),
        }
    }
}

/// One assignment.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Assignment {
    pub adam_id: String,
    pub pricing_param: String,
    pub holder: Holder,
}

/// Begins a new generation: what an interrupted sync left under that number is removed.
pub fn begin_generation(connection: &Connection, location: LocationId) -> Result<i64, StoreError> {
    let sql = "SELECT generation FROM location WHERE id = ?1";
    let now: Option<i64> = row(connection, sql, [location.0], |row| Ok(row.get(0)?))?;
    let next = now.ok_or_else(|| StoreError::Damaged(format!("no location {location}")))? + 1;
    execute(
        connection,
        "DELETE FROM assignment WHERE location_id = ?1 AND generation >= ?2",
        params![location.0, next],
    )?;
    Ok(next)
}

/// Adds rows to a generation. Rows that are there already stay.
pub fn stage(
    connection: &Connection,
    location: LocationId,
    generation: i64,
    assignments: &[Assignment],
) -> Result<u64, StoreError> {
    let mut added = 0;
    for assignment in assignments {
        let (kind, holder) = assignment.holder.parts();
        added += execute(
            connection,
            "INSERT INTO assignment (location_id, generation, adam_id, pricing_param, holder_kind, holder)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING",
            params![location.0, generation, assignment.adam_id, assignment.pricing_param, kind, holder],
        )? as u64;
    }
    Ok(added)
}

/// What a full listing changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Changed {
    pub added: u64,
    pub removed: u64,
}

/// Makes a staged generation the one that counts, and says how it differs. The rows of the old one are left for
/// [`forget_old`].
pub fn show(connection: &Connection, location: LocationId, generation: i64) -> Result<Changed, StoreError> {
    let differ = |mine: &str, theirs: &str| -> Result<u64, StoreError> {
        let sql = format!(
            "SELECT count(*) FROM (
                 SELECT adam_id, pricing_param, holder_kind, holder FROM assignment
                     WHERE location_id = ?1 AND generation = {mine}
                 EXCEPT SELECT adam_id, pricing_param, holder_kind, holder FROM assignment
                     WHERE location_id = ?1 AND generation = {theirs})"
        );
        let count = row(connection, &sql, params![location.0, generation], |row| Ok(row.get::<_, i64>(0)?))?;
        Ok(count.unwrap_or(0).max(0) as u64)
    };
    let old = "(SELECT generation FROM location WHERE id = ?1)";
    let changed = Changed { added: differ("?2", old)?, removed: differ(old, "?2")? };
    locations::show_generation(connection, location, generation)?;
    Ok(changed)
}

/// Adds rows to the generation that counts.
pub fn add(connection: &Connection, location: LocationId, rows: &[Assignment]) -> Result<u64, StoreError> {
    let generation = current(connection, location)?;
    stage(connection, location, generation, rows)
}

/// Removes a serial number's row from the generation that counts.
pub fn remove_serial(
    connection: &Connection,
    location: LocationId,
    adam_id: &str,
    pricing_param: &str,
    serial: &str,
) -> Result<(), StoreError> {
    execute(
        connection,
        "DELETE FROM assignment WHERE location_id = ?1 AND generation = ?2 AND adam_id = ?3 AND pricing_param = ?4
             AND holder_kind = 'serial' AND holder = ?5",
        params![location.0, current(connection, location)?, adam_id, pricing_param, serial],
    )?;
    Ok(())
}

/// Whether the serial number holds the asset, as far as known.
pub fn holds(
    connection: &Connection,
    location: LocationId,
    adam_id: &str,
    pricing_param: &str,
    serial: &str,
) -> Result<bool, StoreError> {
    let found = row(
        connection,
        "SELECT 1 FROM assignment WHERE location_id = ?1 AND generation = ?2 AND adam_id = ?3 AND pricing_param = ?4
             AND holder_kind = 'serial' AND holder = ?5",
        params![location.0, current(connection, location)?, adam_id, pricing_param, serial],
        |_| Ok(()),
    )?;
    Ok(found.is_some())
}

/// What a registered user holds under a location: the assets.
pub fn of_user(
    connection: &Connection,
    location: LocationId,
    client_user_id: &str,
) -> Result<Vec<(String, String)>, StoreError> {
    let sql = "SELECT adam_id, pricing_param FROM assignment WHERE location_id = ?1 AND generation = ?2
                   AND holder_kind = 'user' AND holder = ?3";
    let parameters = params![location.0, current(connection, location)?, client_user_id];
    rows(connection, sql, parameters, |row| Ok((row.get(0)?, row.get(1)?)))
}

/// How many licences of a location are assigned, without those of assets of which there are as many as wanted.
pub fn count(connection: &Connection, location: LocationId) -> Result<u64, StoreError> {
    let found = row(
        connection,
        "SELECT count(*) FROM assignment a JOIN asset s USING (location_id, adam_id, pricing_param)
         WHERE a.location_id = ?1 AND a.generation = ?2 AND NOT s.unlimited",
        params![location.0, current(connection, location)?],
        |row| Ok(row.get::<_, i64>(0)?),
    )?;
    Ok(found.unwrap_or(0).max(0) as u64)
}

/// Whether the serial number holds the app in any location, and no request about it is under way there.
pub fn is_settled(connection: &Connection, adam_id: &str, serial: &str) -> Result<bool, StoreError> {
    let found = row(
        connection,
        "SELECT 1 FROM location l
             JOIN asset s ON s.location_id = l.id AND s.adam_id = ?1
             JOIN assignment a ON a.location_id = l.id AND a.generation = l.generation AND a.adam_id = s.adam_id
                 AND a.pricing_param = s.pricing_param AND a.holder_kind = 'serial' AND a.holder = ?2
             WHERE NOT EXISTS (SELECT 1 FROM reservation r WHERE r.location_id = l.id AND r.adam_id = s.adam_id
                 AND r.pricing_param = s.pricing_param AND r.serial = ?2)",
        [adam_id, serial],
        |_| Ok(()),
    )?;
    Ok(found.is_some())
}

/// All of a location.
pub fn of_location(connection: &Connection, location: LocationId) -> Result<Vec<Assignment>, StoreError> {
    let sql = "SELECT a.adam_id, a.pricing_param, a.holder_kind, a.holder FROM assignment a
               JOIN location l ON l.id = a.location_id AND l.generation = a.generation WHERE l.id = ?1";
    rows(connection, sql, [location.0], |row| {
        let holder = row.get(3)?;
        let holder = if row.get::<_, String>(2)? == "serial" { Holder::Serial(holder) } else { Holder::User(holder) };
        Ok(Assignment { adam_id: row.get(0)?, pricing_param: row.get(1)?, holder })
    })
}

/// Forgets up to `limit` rows of generations that no longer count; false when none are left.
pub fn forget_old(connection: &Connection, location: LocationId, limit: u32) -> Result<bool, StoreError> {
    let removed = execute(
        connection,
        "DELETE FROM assignment WHERE (location_id, generation, adam_id, pricing_param, holder_kind, holder) IN (
             SELECT location_id, generation, adam_id, pricing_param, holder_kind, holder FROM assignment
             WHERE location_id = ?1 AND generation < ?2 LIMIT ?3)",
        params![location.0, current(connection, location)?, limit],
    )?;
    Ok(removed > 0)
}

fn current(connection: &Connection, location: LocationId) -> Result<i64, StoreError> {
    let sql = "SELECT generation FROM location WHERE id = ?1";
    let found = row(connection, sql, [location.0], |row| Ok(row.get(0)?))?;
    found.ok_or_else(|| StoreError::Damaged(format!("no location {location}")))
}
