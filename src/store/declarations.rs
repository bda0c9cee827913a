//! Declarations: what each device can do with them, and which apps it gets by them.

use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::{StoreError, execute, maybe_time, micros, row, rows, time};
use crate::model::DeviceId;

/// How a device stands to declarations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declaring {
    pub state: State,
    pub since: Timestamp,
    /// The system with which it was asked.
    pub os_version: String,
    /// JSON, made and read by operations; `None`: it has not told.
    pub capabilities: Option<String>,
    /// Of the declarations that it should have.
    pub token: String,
    /// Of those that it has fetched.
    pub fetched: String,
    /// When it was last told to fetch.
    pub called_at: Timestamp,
    /// When it last reported its status.
    pub told_at: Option<Timestamp>,
}

/// Whether a device speaks declarations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It was asked, and has not answered.
    Asked,
    On,
    /// It does not know them.
    Refused,
}

const STATES: [(State, &str); 3] = [(State::Asked, "asked"), (State::On, "on"), (State::Refused, "refused")];

impl State {
    /// The word the store and the doors use.
    pub fn word(self) -> &'static str {
        STATES.iter().find(|(state, _)| *state == self).map_or("asked", |(_, word)| word)
    }
}

/// How a device stands; `None`: it was never asked.
pub fn get(connection: &Connection, device: DeviceId) -> Result<Option<Declaring>, StoreError> {
    let sql = "SELECT state, since, os_version, capabilities, token, fetched, called_at, told_at FROM declaring_device
        WHERE device_id = ?1";
    row(connection, sql, [device.0], |row| {
        let word: String = row.get(0)?;
        let state = STATES.iter().find(|(_, known)| *known == word).map(|(state, _)| *state);
        Ok(Declaring {
            state: state.ok_or_else(|| StoreError::Damaged(format!("declarations state {word}")))?,
            since: time(row.get(1)?)?,
            os_version: row.get(2)?,
            capabilities: row.get(3)?,
            token: row.get(4)?,
            fetched: row.get(5)?,
            called_at: time(row.get(6)?)?,
            told_at: maybe_time(row.get(7)?)?,
        })
    })
}

/// Keeps how a device stands.
pub fn put(connection: &Connection, device: DeviceId, declaring: &Declaring) -> Result<(), StoreError> {
    execute(
        connection,
        "INSERT INTO declaring_device
             (device_id, state, since, os_version, capabilities, token, fetched, called_at, told_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
         ON CONFLICT DO UPDATE SET state = excluded.state, since = excluded.since, os_version = excluded.os_version,
             capabilities = excluded.capabilities, token = excluded.token, fetched = excluded.fetched,
             called_at = excluded.called_at, told_at = excluded.told_at",
        params![
            device.0,
            declaring.state.word(),
            micros(declaring.since),
            declaring.os_version,
            declaring.capabilities,
            declaring.token,
            declaring.fetched,
            micros(declaring.called_at),
            declaring.told_at.map(micros),
        ],
    )?;
    Ok(())
}

/// An enrolled device that was never asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotAsked {
    pub device: DeviceId,
    pub product_name: String,
    pub os_version: String,
    pub user_enrolment: bool,
}

macro_rules! not_asked {
    ($where:literal) => {
        concat!(
            "SELECT d.id, d.product_name, d.os_version, d.user_enrolment
             FROM device d LEFT JOIN declaring_device p ON p.device_id = d.id
             WHERE d.state = 'enrolled' AND d.os_version <> ''
                 AND (p.device_id IS NULL OR p.state = 'refused' AND p.os_version <> d.os_version) ",
            $where
        )
    };
}

fn read_not_asked(row: &rusqlite::Row<'_>) -> Result<NotAsked, StoreError> {
    Ok(NotAsked {
        device: DeviceId(row.get(0)?),
        product_name: row.get(1)?,
        os_version: row.get(2)?,
        user_enrolment: row.get(3)?,
    })
}

/// Enrolled devices that were never asked, or refused with another system than they have now.
pub fn not_asked(connection: &Connection) -> Result<Vec<NotAsked>, StoreError> {
    rows(connection, not_asked!("ORDER BY d.id"), [], read_not_asked)
}

/// The device, if it is one of these.
pub fn was_not_asked(connection: &Connection, device: DeviceId) -> Result<Option<NotAsked>, StoreError> {
    row(connection, not_asked!("AND d.id = ?1"), [device.0], read_not_asked)
}

/// When, after this moment, the first device was asked that has not told what it can.
pub fn first_untold(connection: &Connection, after: Timestamp) -> Result<Option<Timestamp>, StoreError> {
    let sql =
        "SELECT min(since) FROM declaring_device WHERE capabilities IS NULL AND state <> 'refused' AND since > ?1";
    row(connection, sql, [micros(after)], |row| maybe_time(row.get(0)?)).map(Option::flatten)
}

/// Devices that have not fetched what they should have, though they were told so before `called`.
pub fn out_of_step(connection: &Connection, called: Timestamp) -> Result<Vec<DeviceId>, StoreError> {
    let sql = "SELECT device_id FROM declaring_device WHERE state = 'on' AND token <> fetched AND called_at < ?1";
    rows(connection, sql, [micros(called)], |row| Ok(DeviceId(row.get(0)?)))
}

/// An app that a device gets by declaration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeclaredApp {
    pub device: DeviceId,
    pub adam_id: String,
    /// JSON, made and read by operations.
    pub terms: String,
    pub declared_at: Timestamp,
    /// It is declared no more, and the device has not confirmed that the app is gone.
    pub withdrawn_at: Option<Timestamp>,
}

const COLUMNS: &str = "device_id, adam_id, terms, declared_at, withdrawn_at";

fn read(row: &rusqlite::Row<'_>) -> Result<DeclaredApp, StoreError> {
    Ok(DeclaredApp {
        device: DeviceId(row.get(0)?),
        adam_id: row.get(1)?,
        terms: row.get(2)?,
        declared_at: time(row.get(3)?)?,
        withdrawn_at: maybe_time(row.get(4)?)?,
    })
}

/// Every app of every device.
pub fn all_apps(connection: &Connection) -> Result<Vec<DeclaredApp>, StoreError> {
    rows(connection, &format!("SELECT {COLUMNS} FROM declared_app"), [], read)
}

/// The apps of a device, withdrawn ones with them.
pub fn apps_of(connection: &Connection, device: DeviceId) -> Result<Vec<DeclaredApp>, StoreError> {
    rows(connection, &format!("SELECT {COLUMNS} FROM declared_app WHERE device_id = ?1"), [device.0], read)
}

/// One app of a device.
pub fn app(connection: &Connection, device: DeviceId, adam_id: &str) -> Result<Option<DeclaredApp>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM declared_app WHERE device_id = ?1 AND adam_id = ?2");
    row(connection, &sql, params![device.0, adam_id], read)
}

/// Keeps an app.
pub fn put_app(connection: &Connection, app: &DeclaredApp) -> Result<(), StoreError> {
    execute(
        connection,
        "INSERT INTO declared_app (device_id, adam_id, terms, declared_at, withdrawn_at) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT DO UPDATE SET terms = excluded.terms, declared_at = excluded.declared_at,
             withdrawn_at = excluded.withdrawn_at",
        params![app.device.0, app.adam_id, app.terms, micros(app.declared_at), app.withdrawn_at.map(micros)],
    )?;
    Ok(())
}

/// It is withdrawn, and its end is confirmed; or it was never fetched.
pub fn remove_app(connection: &Connection, device: DeviceId, adam_id: &str) -> Result<(), StoreError> {
    let sql = "DELETE FROM declared_app WHERE device_id = ?1 AND adam_id = ?2";
    execute(connection, sql, params![device.0, adam_id])?;
    Ok(())
}

/// The device starts afresh or has left: nothing is declared to it any more.
pub fn forget(connection: &Connection, device: DeviceId) -> Result<(), StoreError> {
    execute(connection, "DELETE FROM declared_app WHERE device_id = ?1", [device.0])?;
    execute(connection, "DELETE FROM declaring_device WHERE device_id = ?1", [device.0])?;
    Ok(())
}

/// How many enrolled devices have the app of a deployment's product by declaration.
pub fn count_of(connection: &Connection, adam_id: &str) -> Result<u64, StoreError> {
    let sql = "SELECT count(*) FROM declared_app WHERE adam_id = ?1 AND withdrawn_at IS NULL";
    Ok(row(connection, sql, [adam_id], |row| Ok(row.get::<_, i64>(0)?))?.unwrap_or(0).max(0).unsigned_abs())
}
