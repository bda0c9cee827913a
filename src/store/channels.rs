//! How Apple is to notify us of a location: the address, and the secrets (sealed) that Apple may bring.

use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::{StoreError, execute, maybe_time, micros, row};
use crate::model::LocationId;

/// A channel as kept. A location without one is not notified of.
#[derive(Clone)]
pub struct Channel {
    pub location: LocationId,
    /// The part of the address that nobody can guess.
    pub path_key: String,
    /// That Apple has confirmed.
    pub sealed_secret: Option<Vec<u8>>,
    /// That Apple is told of, or may have been.
    pub sealed_next: Option<Vec<u8>>,
    /// Where Apple sends to, as far as it is known.
    pub told_url: Option<String>,
    /// The secret is to be replaced.
    pub stale: bool,
    pub confirmed_at: Option<Timestamp>,
    /// Attempts to tell Apple that failed in a row.
    pub failures: u32,
    pub failure: String,
    pub try_at: Option<Timestamp>,
    pub heard_at: Option<Timestamp>,
}

const COLUMNS: &str = "location_id, path_key, sealed_secret, sealed_next, told_url, stale, confirmed_at, failures, failure, \
                       try_at, heard_at";

fn read(row: &rusqlite::Row<'_>) -> Result<Channel, StoreError> {
    Ok(Channel {
        location: LocationId(row.get(0)?),
        path_key: row.get(1)?,
        sealed_secret: row.get(2)?,
        sealed_next: row.get(3)?,
        told_url: row.get(4)?,
        stale: row.get(5)?,
        confirmed_at: maybe_time(row.get(6)?)?,
        failures: row.get(7)?,
        failure: row.get(8)?,
        try_at: maybe_time(row.get(9)?)?,
        heard_at: maybe_time(row.get(10)?)?,
    })
}

/// The channel of a location.
pub fn of(connection: &Connection, location: LocationId) -> Result<Option<Channel>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM notification_channel WHERE location_id = ?1");
    row(connection, &sql, [location.0], read)
}

/// The one with this key in its address.
pub fn by_key(connection: &Connection, key: &str) -> Result<Option<Channel>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM notification_channel WHERE path_key = ?1");
    row(connection, &sql, [key], read)
}

/// Keeps a secret of which Apple is about to be told, under this key if the location has none yet. What Apple knows
/// already goes on to count.
pub fn prepare(connection: &Connection, location: LocationId, key: &str, next: &[u8]) -> Result<(), StoreError> {
    execute(
        connection,
        "INSERT INTO notification_channel (location_id, path_key, sealed_next) VALUES (?1, ?2, ?3)
         ON CONFLICT (location_id) DO UPDATE SET sealed_next = excluded.sealed_next, stale = 0",
        params![location.0, key, next],
    )?;
    Ok(())
}

/// Apple has taken the address and the secret that were prepared. One that has become stale meanwhile stays so.
pub fn confirmed(connection: &Connection, location: LocationId, url: &str, now: Timestamp) -> Result<(), StoreError> {
    execute(
        connection,
        "UPDATE notification_channel SET sealed_secret = coalesce(sealed_next, sealed_secret), sealed_next = NULL,
             told_url = ?2, confirmed_at = ?3, failures = 0, failure = '', try_at = NULL
         WHERE location_id = ?1",
        params![location.0, url, micros(now)],
    )?;
    Ok(())
}

/// Apple was not told, or may not have been.
pub fn failed(connection: &Connection, location: LocationId, why: &str, try_at: Timestamp) -> Result<(), StoreError> {
    execute(
        connection,
        "UPDATE notification_channel SET failures = failures + 1, failure = ?2, try_at = ?3 WHERE location_id = ?1",
        params![location.0, why, micros(try_at)],
    )?;
    Ok(())
}

/// The secret may be known to others, or Apple does not have it any more: it is to be replaced soon.
pub fn make_stale(connection: &Connection, location: LocationId) -> Result<(), StoreError> {
    let sql = "UPDATE notification_channel SET stale = 1, sealed_next = NULL, try_at = NULL WHERE location_id = ?1";
    execute(connection, sql, [location.0])?;
    Ok(())
}

/// A notification has come.
pub fn heard(connection: &Connection, location: LocationId, now: Timestamp) -> Result<(), StoreError> {
    let sql = "UPDATE notification_channel SET heard_at = ?2 WHERE location_id = ?1";
    execute(connection, sql, params![location.0, micros(now)])?;
    Ok(())
}

/// Nobody is to notify us of the location any more.
pub fn remove(connection: &Connection, location: LocationId) -> Result<(), StoreError> {
    execute(connection, "DELETE FROM notification_channel WHERE location_id = ?1", [location.0])?;
    Ok(())
}
