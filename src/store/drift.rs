//! Contract drift: where Apple's replies were seen to differ from what Apple describes.

use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::{StoreError, execute, micros, row, rows, time};

/// A difference, and when it was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drift {
    pub endpoint: String,
    pub place: String,
    pub kind: String,
    pub first_seen: Timestamp,
    pub last_seen: Timestamp,
    /// In how many replies.
    pub replies: u64,
}

/// Differences that are kept; a service that invents new ones for ever must not fill the disk.
const MOST: i64 = 500;

/// Adds sightings to what is known. True when the difference is new; false also when there is no room for another.
pub fn seen(connection: &Connection, drift: &Drift) -> Result<bool, StoreError> {
    let known = execute(
        connection,
        "UPDATE contract_drift SET last_seen = max(last_seen, ?4), replies = replies + ?5
             WHERE endpoint = ?1 AND place = ?2 AND kind = ?3",
        params![drift.endpoint, drift.place, drift.kind, micros(drift.last_seen), drift.replies as i64],
    )?;
    if known > 0 {
        return Ok(false);
    }
    let count: Option<i64> = row(connection, "SELECT count(*) FROM contract_drift", [], |row| Ok(row.get(0)?))?;
    if count.is_some_and(|count| count >= MOST) {
        return Ok(false);
    }
    execute(
        connection,
        "INSERT INTO contract_drift (endpoint, place, kind, first_seen, last_seen, replies)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![
            drift.endpoint,
            drift.place,
            drift.kind,
            micros(drift.first_seen),
            micros(drift.last_seen),
            drift.replies as i64
        ],
    )?;
    Ok(true)
}

/// All of them, by endpoint and place.
pub fn all(connection: &Connection) -> Result<Vec<Drift>, StoreError> {
    let sql = "SELECT endpoint, place, kind, first_seen, last_seen, replies FROM contract_drift
               ORDER BY endpoint, place, kind";
    rows(connection, sql, [], |row| {
        Ok(Drift {
            endpoint: row.get(0)?,
            place: row.get(1)?,
            kind: row.get(2)?,
            first_seen: time(row.get(3)?)?,
            last_seen: time(row.get(4)?)?,
            replies: row.get::<_, i64>(5)?.max(0) as u64,
        })
    })
}
