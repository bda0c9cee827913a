//! What devices tell of themselves when they are asked from time to time: space, store account, installed apps; and when
//! they were asked and have answered.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::{StoreError, execute, maybe_time, micros, row, rows};
use crate::model::{App, DeviceId};

/// What is known of one device; `None` where it has not told, or may not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inventory {
    pub told_at: Option<Timestamp>,
    pub apps_at: Option<Timestamp>,
    /// The last list of apps had managed ones only.
    pub managed_only: bool,
    pub facts: Facts,
}

/// What a device tells of itself beside [`super::devices::Facts`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// Bytes.
    pub capacity: Option<u64>,
    /// Bytes.
    pub available: Option<u64>,
    /// Somebody is signed in to the App Store.
    pub store_account: Option<bool>,
    /// Which account that is, as Apple's list of users has it.
    pub store_account_hash: Option<String>,
    pub multi_user: Option<bool>,
    pub apple_silicon: Option<bool>,
    pub awaiting_configuration: Option<bool>,
    pub time_zone: Option<String>,
}

/// An app on a device, managed or not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstalledApp {
    pub bundle_id: String,
    pub name: String,
    /// As people know it.
    pub version: String,
    pub external_version: Option<u64>,
    /// Bytes, with its data.
    pub size: Option<u64>,
    pub update_available: Option<bool>,
}

const COLUMNS: &str = "device_id, told_at, apps_at, managed_only, capacity, available, store_account, store_account_hash, \
                       multi_user, apple_silicon, awaiting_configuration, time_zone";

fn read(row: &rusqlite::Row<'_>) -> Result<(DeviceId, Inventory), StoreError> {
    let bytes = |value: Option<i64>| value.and_then(|value| u64::try_from(value).ok());
    let inventory = Inventory {
        told_at: maybe_time(row.get(1)?)?,
        apps_at: maybe_time(row.get(2)?)?,
        managed_only: row.get(3)?,
        facts: Facts {
            capacity: bytes(row.get(4)?),
            available: bytes(row.get(5)?),
            store_account: row.get(6)?,
            store_account_hash: row.get(7)?,
            multi_user: row.get(8)?,
            apple_silicon: row.get(9)?,
            awaiting_configuration: row.get(10)?,
            time_zone: row.get(11)?,
        },
    };
    Ok((DeviceId(row.get(0)?), inventory))
}

/// Of one device; empty while it has told nothing.
pub fn get(connection: &Connection, device: DeviceId) -> Result<Inventory, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM inventory WHERE device_id = ?1");
    Ok(row(connection, &sql, [device.0], read)?.map(|(_, inventory)| inventory).unwrap_or_default())
}

/// Of every device that was ever asked.
pub fn all(connection: &Connection) -> Result<HashMap<DeviceId, Inventory>, StoreError> {
    Ok(rows(connection, &format!("SELECT {COLUMNS} FROM inventory"), [], read)?.into_iter().collect())
}

/// Enrolled devices that were not asked for `every`, up to an eighth less, each at its own place so that they do not come
/// all together; none that has not answered yet.
pub fn due(connection: &Connection, now: Timestamp, every: Duration) -> Result<Vec<DeviceId>, StoreError> {
    let every = i64::try_from(every.as_micros()).unwrap_or(i64::MAX);
    let sql = "SELECT d.id FROM device d LEFT JOIN inventory i ON i.device_id = d.id
        WHERE d.state = 'enrolled' AND coalesce(i.asked_at, 0) <= ?1 + (d.id * 7919 % 1000) * ?2
          AND NOT EXISTS (SELECT 1 FROM command INDEXED BY command_open WHERE device_id = d.id
              AND state IN ('queued', 'sent', 'not-now') AND request_type = 'DeviceInformation')
        ORDER BY d.id";
    let parameters = params![micros(now).saturating_sub(every), every / 8000];
    rows(connection, sql, parameters, |row| Ok(DeviceId(row.get(0)?)))
}

/// The device is asked now.
pub fn asked(connection: &Connection, device: DeviceId, now: Timestamp) -> Result<(), StoreError> {
    let sql = "INSERT INTO inventory (device_id, asked_at) VALUES (?1, ?2)
        ON CONFLICT DO UPDATE SET asked_at = excluded.asked_at";
    execute(connection, sql, params![device.0, micros(now)])?;
    Ok(())
}

/// The device is to be asked as soon as possible.
pub fn ask_anew(connection: &Connection, device: DeviceId) -> Result<(), StoreError> {
    execute(connection, "UPDATE inventory SET asked_at = 0 WHERE device_id = ?1", [device.0])?;
    Ok(())
}

/// The device has answered.
pub fn told(connection: &Connection, device: DeviceId, facts: &Facts, now: Timestamp) -> Result<(), StoreError> {
    let bytes = |value: Option<u64>| value.and_then(|value| i64::try_from(value).ok());
    execute(
        connection,
        "INSERT INTO inventory (device_id, asked_at, told_at, capacity, available, store_account, store_account_hash,
             multi_user, apple_silicon, awaiting_configuration, time_zone)
         VALUES (?1, ?2, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)
         ON CONFLICT DO UPDATE SET told_at = excluded.told_at, capacity = excluded.capacity,
             available = excluded.available, store_account = excluded.store_account,
             store_account_hash = excluded.store_account_hash, multi_user = excluded.multi_user,
             apple_silicon = excluded.apple_silicon, awaiting_configuration = excluded.awaiting_configuration,
             time_zone = excluded.time_zone",
        params![
            device.0,
            micros(now),
            bytes(facts.capacity),
            bytes(facts.available),
            facts.store_account,
            facts.store_account_hash,
            facts.multi_user,
            facts.apple_silicon,
            facts.awaiting_configuration,
            facts.time_zone
        ],
    )?;
    Ok(())
}

/// The apps on a device, by their bundle ids.
pub fn apps(connection: &Connection, device: DeviceId) -> Result<Vec<InstalledApp>, StoreError> {
    let sql = "SELECT bundle_id, name, version, external_version, size, update_available FROM installed_app
        WHERE device_id = ?1 ORDER BY bundle_id";
    rows(connection, sql, [device.0], |row| {
        let number = |value: Option<i64>| value.and_then(|value| u64::try_from(value).ok());
        Ok(InstalledApp {
            bundle_id: row.get(0)?,
            name: row.get(1)?,
            version: row.get(2)?,
            external_version: number(row.get(3)?),
            size: number(row.get(4)?),
            update_available: row.get(5)?,
        })
    })
}

/// What vppd has put on a device and the device manages: adamId by bundle id.
pub fn managed(connection: &Connection, device: DeviceId) -> Result<BTreeMap<String, String>, StoreError> {
    let sql = "SELECT product.bundle_id, pair.adam_id FROM pair JOIN product USING (adam_id)
        WHERE pair.device_id = ?1 AND pair.app = ?2";
    let managed =
        rows(connection, sql, params![device.0, App::Installed.code()], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(managed.into_iter().collect())
}

/// The device has listed its apps, each bundle id once. Only what changed is written.
pub fn put_apps(
    connection: &Connection,
    device: DeviceId,
    listed: &BTreeMap<String, InstalledApp>,
    managed_only: bool,
    now: Timestamp,
) -> Result<(), StoreError> {
    let known: BTreeMap<String, InstalledApp> =
        apps(connection, device)?.into_iter().map(|app| (app.bundle_id.clone(), app)).collect();
    for bundle_id in known.keys().filter(|id| !listed.contains_key(*id)) {
        let sql = "DELETE FROM installed_app WHERE device_id = ?1 AND bundle_id = ?2";
        execute(connection, sql, params![device.0, bundle_id])?;
    }
    let number = |value: Option<u64>| value.and_then(|value| i64::try_from(value).ok());
    for (bundle_id, app) in listed.iter().filter(|(id, app)| known.get(*id) != Some(*app)) {
        execute(
            connection,
            "INSERT OR REPLACE INTO installed_app (device_id, bundle_id, name, version, external_version, size,
                 update_available) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            params![
                device.0,
                bundle_id,
                app.name,
                app.version,
                number(app.external_version),
                number(app.size),
                app.update_available
            ],
        )?;
    }
    let sql = "UPDATE inventory SET apps_at = ?2, managed_only = ?3 WHERE device_id = ?1";
    execute(connection, sql, params![device.0, micros(now), managed_only])?;
    Ok(())
}

/// Forgets the apps of a device that starts afresh, has left, or whose apps are nobody's business any more.
pub fn forget_apps(connection: &Connection, device: DeviceId) -> Result<(), StoreError> {
    execute(connection, "DELETE FROM installed_app WHERE device_id = ?1", [device.0])?;
    execute(connection, "UPDATE inventory SET apps_at = NULL WHERE device_id = ?1", [device.0])?;
    Ok(())
}
