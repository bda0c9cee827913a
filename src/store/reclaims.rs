//! Licences that a person told vppd to take back, whoever gave them, and that are not back yet. Each belongs to a task, which
//! ends with the last of them.

use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::assignments::Assignment;
use super::{StoreError, execute, maybe_time, micros, row, rows, tasks};
use crate::model::{Holder, LocationId};

/// Refusals in a row after which a licence is left where it is.
pub const MOST_TRIES: u32 = 5;

/// Notes a licence as to be taken back; false when it is noted already.
pub fn add(connection: &Connection, location: LocationId, licence: &Assignment, task: i64) -> Result<bool, StoreError> {
    let (kind, holder) = licence.holder.parts();
    let sql = "INSERT INTO reclaim (location_id, adam_id, pricing_param, holder_kind, holder, task_id)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING";
    Ok(execute(connection, sql, params![location.0, licence.adam_id, licence.pricing_param, kind, holder, task])? > 0)
}

/// Those of a location that may be asked back at `now`: held, in no request, and not refused too often or a moment ago.
pub fn due(connection: &Connection, location: LocationId, now: Timestamp) -> Result<Vec<Assignment>, StoreError> {
    let sql = "SELECT r.adam_id, r.pricing_param, r.holder_kind, r.holder FROM reclaim r
        WHERE r.location_id = ?1 AND r.tries < ?2 AND coalesce(r.due, 0) <= ?3
            AND NOT EXISTS (SELECT 1 FROM reservation v WHERE v.location_id = r.location_id AND v.adam_id = r.adam_id
                AND v.pricing_param = r.pricing_param AND v.holder = r.holder)";
    rows(connection, sql, params![location.0, MOST_TRIES, micros(now)], |row| {
        Ok(Assignment { adam_id: row.get(0)?, pricing_param: row.get(1)?, holder: Holder::read(row, 2, 3)? })
    })
}

/// When the next one of a location may be asked back that was refused a moment ago.
pub fn next_due(
    connection: &Connection,
    location: LocationId,
    now: Timestamp,
) -> Result<Option<Timestamp>, StoreError> {
    let sql = "SELECT min(due) FROM reclaim WHERE location_id = ?1 AND tries < ?2 AND due > ?3";
    let found = row(connection, sql, params![location.0, MOST_TRIES, micros(now)], |row| Ok(row.get(0)?))?;
    maybe_time(found.flatten())
}

/// Apple refused to take it back.
pub fn refused(
    connection: &Connection,
    location: LocationId,
    licence: &Assignment,
    reason: &str,
    due: impl Fn(u32) -> Timestamp,
) -> Result<(), StoreError> {
    let (kind, holder) = licence.holder.parts();
    let which = "location_id = ?1 AND adam_id = ?2 AND pricing_param = ?3 AND holder_kind = ?4 AND holder = ?5";
    let key = params![location.0, licence.adam_id, licence.pricing_param, kind, holder];
    let sql = format!("SELECT tries FROM reclaim WHERE {which}");
    let Some(tries) = row(connection, &sql, key, |row| Ok(row.get::<_, u32>(0)?))? else { return Ok(()) };
    execute(
        connection,
        &format!("UPDATE reclaim SET tries = ?6, due = ?7, reason = ?8 WHERE {which}"),
        params![
            location.0,
            licence.adam_id,
            licence.pricing_param,
            kind,
            holder,
            tries + 1,
            micros(due(tries)),
            reason
        ],
    )?;
    Ok(())
}

/// How far a task of a location is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    pub task: i64,
    /// Licences that are still to come back.
    pub open: u64,
    /// Licences that Apple does not take back.
    pub refused: u64,
    /// Of one of those.
    pub reason: String,
}

/// Forgets licences that nobody holds any more, and tells how far each task of the location is that has any licence left, or
/// had until now.
pub fn settle(connection: &Connection, location: LocationId) -> Result<Vec<Standing>, StoreError> {
    let sql = "SELECT DISTINCT task_id FROM reclaim WHERE location_id = ?1 ORDER BY 1";
    let all: Vec<i64> = rows(connection, sql, [location.0], |row| Ok(row.get(0)?))?;
    execute(
        connection,
        "DELETE FROM reclaim WHERE location_id = ?1 AND NOT EXISTS (
             SELECT 1 FROM assignment a JOIN location l ON l.id = a.location_id AND l.generation = a.generation
             WHERE a.location_id = reclaim.location_id AND a.adam_id = reclaim.adam_id
                 AND a.pricing_param = reclaim.pricing_param AND a.holder_kind = reclaim.holder_kind
                 AND a.holder = reclaim.holder)",
        [location.0],
    )?;
    let standing = |task: i64| {
        let sql = "SELECT coalesce(sum(tries < ?2), 0), coalesce(sum(tries >= ?2), 0), coalesce(max(reason), '')
            FROM reclaim WHERE task_id = ?1";
        let found = row(connection, sql, params![task, MOST_TRIES], |row| {
            let count = |place| -> Result<u64, StoreError> { Ok(row.get::<_, i64>(place)?.max(0) as u64) };
            Ok(Standing { task, open: count(0)?, refused: count(1)?, reason: row.get(2)? })
        })?;
        found.ok_or_else(|| StoreError::Damaged("a sum without a row".into()))
    };
    all.into_iter().map(standing).collect()
}

/// Lets the licences of a task be: it has ended, or was called off.
pub fn forget(connection: &Connection, task: i64) -> Result<(), StoreError> {
    execute(connection, "DELETE FROM reclaim WHERE task_id = ?1", [task])?;
    Ok(())
}

/// A running task that takes `total` licences of a location back.
pub fn begin(
    connection: &Connection,
    location: LocationId,
    total: u64,
    detail: &str,
    now: Timestamp,
) -> Result<i64, StoreError> {
    tasks::follow(connection, tasks::Request::Reclaim, location, "reclaim", total, detail, now)?;
    Ok(connection.last_insert_rowid())
}

/// Whether anything of a location is to be taken back.
pub fn any(connection: &Connection, location: LocationId) -> Result<bool, StoreError> {
    let sql = "SELECT EXISTS (SELECT 1 FROM reclaim WHERE location_id = ?1)";
    Ok(row(connection, sql, [location.0], |row| Ok(row.get(0)?))?.unwrap_or(false))
}

/// Whether a licence is to be taken back already.
pub fn is_noted(connection: &Connection, location: LocationId, licence: &Assignment) -> Result<bool, StoreError> {
    let (kind, holder) = licence.holder.parts();
    let sql =
        "SELECT 1 FROM reclaim WHERE location_id = ?1 AND adam_id = ?2 AND pricing_param = ?3 AND holder_kind = ?4
        AND holder = ?5";
    let key = params![location.0, licence.adam_id, licence.pricing_param, kind, holder];
    Ok(row(connection, sql, key, |_| Ok(()))?.is_some())
}
