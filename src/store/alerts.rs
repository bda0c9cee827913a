//! Alerts: what an administrator should know. Each occasion is told once, also across restarts: as long as one is open it is
//! not raised again.

use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::{StoreError, execute, maybe_time, micros, rows, time};
use crate::model::LocationId;

/// What is to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewAlert {
    /// For programs: `token-expiry`, `held-by-another`, …
    pub kind: &'static str,
    pub location: Option<LocationId>,
    /// What it is about, in words: the location's name.
    pub subject: String,
    /// The threshold, or who it was: as long as an alert of this kind is open for it, it is not raised again.
    pub occasion: String,
    /// Something stands still until a person acts.
    pub grave: bool,
    pub message: String,
    pub advice: String,
}

/// An alert as kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alert {
    pub id: i64,
    pub kind: String,
    pub subject: String,
    pub grave: bool,
    pub message: String,
    pub advice: String,
    pub raised_at: Timestamp,
    pub ended_at: Option<Timestamp>,
}

/// Raises an alert; false when it is open already.
pub fn raise(connection: &Connection, alert: &NewAlert, now: Timestamp) -> Result<bool, StoreError> {
    let raised = execute(
        connection,
        "INSERT INTO alert (kind, location_id, subject, occasion, grave, message, advice, raised_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT DO NOTHING",
        params![
            alert.kind,
            alert.location.map(|id| id.0),
            alert.subject,
            alert.occasion,
            alert.grave,
            alert.message,
            alert.advice,
            micros(now)
        ],
    )?;
    Ok(raised > 0)
}

/// Ends the open alerts of a kind for a location, except the one of `still`. Returns how many ended.
pub fn end(
    connection: &Connection,
    kind: &str,
    location: Option<LocationId>,
    still: Option<&str>,
    now: Timestamp,
) -> Result<usize, StoreError> {
    execute(
        connection,
        "UPDATE alert SET ended_at = ?4 WHERE ended_at IS NULL AND kind = ?1
             AND coalesce(location_id, 0) = coalesce(?2, 0) AND (?3 IS NULL OR occasion <> ?3)",
        params![kind, location.map(|id| id.0), still, micros(now)],
    )
}

/// Ends the open alert of a kind for this occasion.
pub fn end_one(
    connection: &Connection,
    kind: &str,
    location: LocationId,
    occasion: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    let sql = "UPDATE alert SET ended_at = ?4
               WHERE ended_at IS NULL AND kind = ?1 AND location_id = ?2 AND occasion = ?3";
    execute(connection, sql, params![kind, location.0, occasion, micros(now)])?;
    Ok(())
}

/// The open alerts, or the newest `limit` of all; newest first.
pub fn newest(connection: &Connection, ended_too: bool, limit: u32) -> Result<Vec<Alert>, StoreError> {
    let sql = "SELECT id, kind, subject, grave, message, advice, raised_at, ended_at FROM alert
               WHERE ?1 OR ended_at IS NULL ORDER BY id DESC LIMIT ?2";
    rows(connection, sql, params![ended_too, limit], |row| {
        Ok(Alert {
            id: row.get(0)?,
            kind: row.get(1)?,
            subject: row.get(2)?,
            grave: row.get(3)?,
            message: row.get(4)?,
            advice: row.get(5)?,
            raised_at: time(row.get(6)?)?,
            ended_at: maybe_time(row.get(7)?)?,
        })
    })
}

/// Forgets alerts that ended before `time`.
pub fn forget_before(connection: &Connection, time: Timestamp) -> Result<usize, StoreError> {
    execute(connection, "DELETE FROM alert WHERE ended_at < ?1", [micros(time)])
}

/// Ends the open alerts of a kind whose occasion is not among `still`.
pub fn keep_only(connection: &Connection, kind: &str, still: &[String], now: Timestamp) -> Result<usize, StoreError> {
    execute(
        connection,
        "UPDATE alert SET ended_at = ?3 WHERE ended_at IS NULL AND kind = ?1
             AND occasion NOT IN (SELECT value FROM json_each(?2))",
        params![kind, super::json_list(still), micros(now)],
    )
}
