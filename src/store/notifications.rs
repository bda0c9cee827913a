//! Notifications that came, so that one that comes again changes nothing, and the hints that they left: what is worth
//! reading.

use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::{StoreError, execute, micros, row, rows};
use crate::model::LocationId;

/// What is worth reading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hint {
    /// The counts of this product.
    Asset(String),
    /// All counts.
    Assets,
    /// What has changed, whatever it is.
    Changes,
    /// The location's users.
    Users,
}

impl Hint {
    fn columns(&self) -> (&'static str, &str) {
        match self {
            Hint::Asset(adam_id) => ("asset", adam_id),
            Hint::Assets => ("assets", ""),
            Hint::Changes => ("changes", ""),
            Hint::Users => ("users", ""),
        }
    }
}

/// Remembers a notification. False when it has come before.
pub fn remember(
    connection: &Connection,
    location: LocationId,
    id: &str,
    kind: &str,
    event_id: Option<&str>,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let new = execute(
        connection,
        "INSERT INTO notification (location_id, notification_id, notification_type, event_id, received_at)
         VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING",
        params![location.0, id, kind, event_id, micros(now)],
    )?;
    Ok(new > 0)
}

/// Whether a notification has told of this event.
pub fn told_of(connection: &Connection, location: LocationId, event_id: &str) -> Result<bool, StoreError> {
    let sql = "SELECT EXISTS (SELECT 1 FROM notification WHERE location_id = ?1 AND event_id = ?2)";
    Ok(row(connection, sql, params![location.0, event_id], |row| Ok(row.get(0)?))?.unwrap_or(false))
}

/// Leaves a hint; one that is there already counts as left now.
pub fn leave(connection: &Connection, location: LocationId, hint: &Hint) -> Result<(), StoreError> {
    let (kind, adam_id) = hint.columns();
    let sql = "INSERT INTO hint (location_id, kind, adam_id) VALUES (?1, ?2, ?3)";
    execute(connection, sql, params![location.0, kind, adam_id])?;
    Ok(())
}

/// The hints for a location, oldest first, each with the number by which it is forgotten.
pub fn hints(connection: &Connection, location: LocationId) -> Result<Vec<(i64, Hint)>, StoreError> {
    let sql = "SELECT id, kind, adam_id FROM hint WHERE location_id = ?1 ORDER BY id";
    rows(connection, sql, [location.0], |row| {
        let hint = match row.get::<_, String>(1)?.as_str() {
            "asset" => Hint::Asset(row.get(2)?),
            "assets" => Hint::Assets,
            "changes" => Hint::Changes,
            "users" => Hint::Users,
            other => return Err(StoreError::Damaged(format!("hint {other}"))),
        };
        Ok((row.get(0)?, hint))
    })
}

/// A hint was followed. One of the same kind that was left meanwhile has another number, and stays.
pub fn followed(connection: &Connection, number: i64) -> Result<(), StoreError> {
    execute(connection, "DELETE FROM hint WHERE id = ?1", [number])?;
    Ok(())
}

/// Forgets notifications that came before `time`.
pub fn forget_before(connection: &Connection, time: Timestamp) -> Result<usize, StoreError> {
    execute(connection, "DELETE FROM notification WHERE received_at < ?1", [micros(time)])
}
