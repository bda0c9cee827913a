//! Pairs: one app on one device, as far as something was done or told.

use std::collections::HashMap;

use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::{StoreError, declarations, execute, maybe_time, micros, row, rows};
use crate::licensing::progress::Progress;
use crate::model::{App, Cause, CommandUuid, DeviceId};

/// A pair as kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    pub device: DeviceId,
    pub adam_id: String,
    pub progress: Progress,
    /// vppd assigned the licence, adopted it, or installed the app.
    pub ours: bool,
    /// The command that waits for an answer.
    pub command: Option<CommandUuid>,
    /// The terms with which the device was last told to install the app; empty: ordinary ones.
    pub terms: String,
    /// The command that brings the app, which is there, other terms.
    pub terms_command: Option<CommandUuid>,
    /// Not before that, because the device did not take them.
    pub terms_due: Option<Timestamp>,
}

impl Pair {
    /// A pair of which nothing is known yet.
    pub fn new(device: DeviceId, adam_id: &str) -> Pair {
        Pair {
            device,
            adam_id: adam_id.into(),
            progress: Progress::default(),
            ours: false,
            command: None,
            terms: String::new(),
            terms_command: None,
            terms_due: None,
        }
    }
}

const COLUMNS: &str = "device_id, adam_id, app, app_status, reason, ours, command, tries, looks, due, cause, began, until, \
                       terms, terms_command, terms_due";

fn read(row: &rusqlite::Row<'_>) -> Result<Pair, StoreError> {
    let code: u8 = row.get(2)?;
    Ok(Pair {
        device: DeviceId(row.get(0)?),
        adam_id: row.get(1)?,
        progress: Progress {
            app: App::from_code(code).ok_or_else(|| StoreError::Damaged(format!("app state {code}")))?,
            status: row.get(3)?,
            reason: row.get(4)?,
            tries: row.get(7)?,
            looks: row.get(8)?,
            due: maybe_time(row.get(9)?)?,
            cause: Cause::from_word(&row.get::<_, String>(10)?),
            began: maybe_time(row.get(11)?)?,
            until: maybe_time(row.get(12)?)?,
        },
        ours: row.get(5)?,
        command: row.get(6)?,
        terms: row.get(13)?,
        terms_command: row.get(14)?,
        terms_due: maybe_time(row.get(15)?)?,
    })
}

/// The pair, if something is known of it.
pub fn get(connection: &Connection, device: DeviceId, adam_id: &str) -> Result<Option<Pair>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM pair WHERE device_id = ?1 AND adam_id = ?2");
    row(connection, &sql, params![device.0, adam_id], read)
}

/// The pair, or a new one.
pub fn get_or_new(connection: &Connection, device: DeviceId, adam_id: &str) -> Result<Pair, StoreError> {
    Ok(get(connection, device, adam_id)?.unwrap_or_else(|| Pair::new(device, adam_id)))
}

/// All pairs of a device.
pub fn of_device(connection: &Connection, device: DeviceId) -> Result<Vec<Pair>, StoreError> {
    rows(connection, &format!("SELECT {COLUMNS} FROM pair WHERE device_id = ?1"), [device.0], read)
}

/// Pairs that were brought on other than ordinary terms, with their name.
pub fn on_terms(connection: &Connection) -> Result<HashMap<(DeviceId, String), String>, StoreError> {
    let sql = "SELECT device_id, adam_id, terms FROM pair WHERE terms <> ''";
    let found = rows(connection, sql, [], |row| Ok(((DeviceId(row.get(0)?), row.get(1)?), row.get(2)?)))?;
    Ok(found.into_iter().collect())
}

/// Whether any app is given up (7) on a device for one of these causes.
pub fn any_given_up(connection: &Connection, causes: &[Cause]) -> Result<bool, StoreError> {
    let sql = "SELECT 1 FROM pair WHERE app = 7 AND cause = ?1 LIMIT 1";
    for cause in causes {
        if row(connection, sql, [cause.word()], |_| Ok(()))?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Every pair.
pub fn all(connection: &Connection) -> Result<Vec<Pair>, StoreError> {
    rows(connection, &format!("SELECT {COLUMNS} FROM pair"), [], read)
}

/// Keeps a pair, and in its history what is new. Since when an app is declined or failed for good (5 and 7) is noted with it.
pub fn put(connection: &Connection, pair: &Pair, now: Timestamp) -> Result<(), StoreError> {
    let progress = &pair.progress;
    let cause = progress.cause.map_or("", Cause::word);
    execute(
        connection,
        "INSERT INTO pair_history (device_id, adam_id, app, app_status, reason, cause, at)
         SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7 WHERE NOT EXISTS (SELECT 1 FROM pair WHERE device_id = ?1 AND adam_id = ?2
                 AND app = ?3 AND app_status = ?4 AND reason = ?5)
             AND (?3 <> 0 OR EXISTS (SELECT 1 FROM pair WHERE device_id = ?1 AND adam_id = ?2))",
        params![pair.device.0, pair.adam_id, progress.app.code(), progress.status, progress.reason, cause, micros(now)],
    )?;
    execute(
        connection,
        "INSERT INTO pair (device_id, adam_id, app, app_status, reason, ours, command, tries, looks, due, changed_at, since,
             cause, began, until, terms, terms_command, terms_due)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, CASE WHEN ?3 IN (5, 7) THEN ?11 END, ?12, ?13, ?14, ?15, ?16,
             ?17)
         ON CONFLICT DO UPDATE SET since = CASE
                 WHEN pair.app = excluded.app THEN pair.since
                 WHEN excluded.app IN (5, 7) THEN excluded.changed_at
                 WHEN pair.app IN (5, 7) THEN NULL
                 ELSE pair.since END,
             app = excluded.app, app_status = excluded.app_status, reason = excluded.reason,
             ours = excluded.ours, command = excluded.command, tries = excluded.tries, looks = excluded.looks,
             due = excluded.due, changed_at = excluded.changed_at, cause = excluded.cause, began = excluded.began,
             until = excluded.until, terms = excluded.terms, terms_command = excluded.terms_command,
             terms_due = excluded.terms_due",
        params![
            pair.device.0,
            pair.adam_id,
            progress.app.code(),
            progress.status,
            progress.reason,
            pair.ours,
            pair.command,
            progress.tries,
            progress.looks,
            progress.due.map(micros),
            micros(now),
            cause,
            progress.began.map(micros),
            progress.until.map(micros),
            pair.terms,
            pair.terms_command,
            pair.terms_due.map(micros),
        ],
    )?;
    Ok(())
}

/// The device starts afresh or has left: whatever was known of its apps, and declared to it, no longer holds. Whose licence it is stays known.
pub fn forget_apps(connection: &Connection, device: DeviceId, now: Timestamp) -> Result<(), StoreError> {
    for pair in of_device(connection, device)? {
        let fresh = Pair::new(device, &pair.adam_id);
        put(connection, &Pair { ours: pair.ours, ..fresh }, now)?;
    }
    declarations::forget(connection, device)
}

/// What was refused, or given up, before was refused again just now.
pub fn note_refused(
    connection: &Connection,
    device: DeviceId,
    adam_id: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    let sql = "UPDATE pair SET since = ?3 WHERE device_id = ?1 AND adam_id = ?2 AND app IN (5, 7)";
    execute(connection, sql, params![device.0, adam_id, micros(now)])?;
    Ok(())
}

/// Notes since when a pair is on its way out; `None`: it is not any more. Since when an app is declined or failed stays.
pub fn note_leaving(
    connection: &Connection,
    device: DeviceId,
    adam_id: &str,
    since: Option<Timestamp>,
) -> Result<(), StoreError> {
    let sql = "UPDATE pair SET since = ?3 WHERE device_id = ?1 AND adam_id = ?2 AND app NOT IN (5, 7)
        AND (since IS NULL) <> (?3 IS NULL)";
    execute(connection, sql, params![device.0, adam_id, since.map(micros)])?;
    Ok(())
}
