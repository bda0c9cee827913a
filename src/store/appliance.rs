//! The appliance itself: its id at Apple, its device URL, whether it is paused, and the keys it made.

use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::{StoreError, execute, maybe_time, micros, row, rows};

/// The one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appliance {
    /// Our `mdmInfo.id` at Apple; made once.
    pub mdm_id: String,
    /// The URL in every enrolment so far; it can never change.
    pub device_url: Option<String>,
    pub paused: Option<Pause>,
}

/// Nothing is sent to Apple or told to devices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pause {
    pub since: Timestamp,
    pub by: String,
    pub reason: String,
}

/// The appliance, made with `mdm_id` at the first start.
pub fn load_or_make(connection: &Connection, mdm_id: &str, now: Timestamp) -> Result<Appliance, StoreError> {
    execute(
        connection,
        "INSERT INTO appliance (id, mdm_id, created_at) VALUES (1, ?1, ?2) ON CONFLICT DO NOTHING",
        params![mdm_id, micros(now)],
    )?;
    load(connection)
}

/// The appliance.
pub fn load(connection: &Connection) -> Result<Appliance, StoreError> {
    let sql = "SELECT mdm_id, device_url, paused_at, paused_by, pause_reason FROM appliance";
    let found = row(connection, sql, [], |row| {
        let paused = match maybe_time(row.get(2)?)? {
            None => None,
            Some(since) => Some(Pause { since, by: row.get(3)?, reason: row.get(4)? }),
        };
        Ok(Appliance { mdm_id: row.get(0)?, device_url: row.get(1)?, paused })
    })?;
    found.ok_or_else(|| StoreError::Damaged("the appliance's own row is missing".into()))
}

/// Keeps the device URL once the first profile was made with it.
pub fn fix_device_url(connection: &Connection, url: &str) -> Result<(), StoreError> {
    execute(connection, "UPDATE appliance SET device_url = ?1 WHERE device_url IS NULL", [url])?;
    Ok(())
}

/// Pauses, or goes on with `None`.
pub fn set_pause(connection: &Connection, pause: Option<&Pause>) -> Result<(), StoreError> {
    execute(
        connection,
        "UPDATE appliance SET paused_at = ?1, paused_by = ?2, pause_reason = ?3",
        params![pause.map(|p| micros(p.since)), pause.map(|p| &p.by), pause.map(|p| &p.reason)],
    )?;
    Ok(())
}

/// A certificate and its sealed key.
#[derive(Clone)]
pub struct Kept {
    pub certificate_pem: String,
    pub sealed_key: Vec<u8>,
}

/// What is kept under `name`.
pub fn kept(connection: &Connection, name: &str) -> Result<Option<Kept>, StoreError> {
    row(connection, "SELECT certificate_pem, sealed_key FROM keeping WHERE name = ?1", [name], |row| {
        Ok(Kept { certificate_pem: row.get(0)?, sealed_key: row.get(1)? })
    })
}

/// What is kept under names that begin with `name` and a space.
pub fn kept_below(connection: &Connection, name: &str) -> Result<Vec<(String, Kept)>, StoreError> {
    let sql = "SELECT name, certificate_pem, sealed_key FROM keeping WHERE substr(name, 1, length(?1) + 1) = ?1 || ' '";
    rows(connection, sql, [name], |row| {
        Ok((row.get(0)?, Kept { certificate_pem: row.get(1)?, sealed_key: row.get(2)? }))
    })
}

/// Forgets what is kept under `name`.
pub fn forget(connection: &Connection, name: &str) -> Result<(), StoreError> {
    execute(connection, "DELETE FROM keeping WHERE name = ?1", [name])?;
    Ok(())
}

/// Keeps a certificate and its sealed key, replacing an older one.
pub fn keep(connection: &Connection, name: &str, kept: &Kept) -> Result<(), StoreError> {
    execute(
        connection,
        "INSERT INTO keeping (name, certificate_pem, sealed_key) VALUES (?1, ?2, ?3)
         ON CONFLICT (name) DO UPDATE SET certificate_pem = excluded.certificate_pem, sealed_key = excluded.sealed_key",
        params![name, kept.certificate_pem, kept.sealed_key],
    )?;
    Ok(())
}
