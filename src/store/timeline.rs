//! What happened to a pair, its licence and its device, for people to read: nothing is decided by it.

use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::{StoreError, execute, micros, rows, time};
use crate::model::{App, Cause, DeviceId, Holder, LocationId};

/// A pair came into another state, or the device had another word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub at: Timestamp,
    pub app: App,
    pub status: String,
    pub cause: Option<Cause>,
    pub reason: String,
}

/// What became of a licence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LicenceMoment {
    pub at: Timestamp,
    pub location: String,
    pub what: LicenceWord,
    /// Apple's name of the request, or why it was refused.
    pub detail: String,
}

/// What became of a licence, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LicenceWord {
    Asked,
    Given,
    /// Apple did not give it.
    Refused,
    AskedBack,
    Returned,
    /// Apple did not take it back.
    Kept,
}

const WORDS: [(LicenceWord, &str); 6] = [
    (LicenceWord::Asked, "asked"),
    (LicenceWord::Given, "given"),
    (LicenceWord::Refused, "refused"),
    (LicenceWord::AskedBack, "asked-back"),
    (LicenceWord::Returned, "returned"),
    (LicenceWord::Kept, "kept"),
];

impl LicenceWord {
    fn word(self) -> &'static str {
        WORDS.iter().find(|(known, _)| *known == self).map_or("", |(_, word)| word)
    }
}

/// Notes what became of a licence.
pub fn licence(
    connection: &Connection,
    location: LocationId,
    (adam_id, holder): (&str, &Holder),
    what: LicenceWord,
    detail: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    let (kind, named) = holder.parts();
    execute(
        connection,
        "INSERT INTO licence_history (adam_id, holder_kind, holder, at, location, what, detail)
         SELECT ?2, ?3, ?4, ?5, name, ?6, ?7 FROM location WHERE id = ?1",
        params![location.0, adam_id, kind, named, micros(now), what.word(), detail],
    )?;
    Ok(())
}

/// Notes how a push went; `problem` is empty when APNs took it.
pub fn pushed(connection: &Connection, device: DeviceId, problem: &str, now: Timestamp) -> Result<(), StoreError> {
    let sql = "INSERT INTO push_history (device_id, at, problem) VALUES (?1, ?2, ?3)";
    execute(connection, sql, params![device.0, micros(now), problem])?;
    Ok(())
}

/// The newest `limit` changes of a pair, the oldest first.
pub fn changes(
    connection: &Connection,
    device: DeviceId,
    adam_id: &str,
    limit: u32,
) -> Result<Vec<Change>, StoreError> {
    let sql = "SELECT at, app, app_status, cause, reason FROM pair_history WHERE device_id = ?1 AND adam_id = ?2
        ORDER BY id DESC LIMIT ?3";
    let mut found = rows(connection, sql, params![device.0, adam_id, limit], |row| {
        let code: u8 = row.get(1)?;
        Ok(Change {
            at: time(row.get(0)?)?,
            app: App::from_code(code).ok_or_else(|| StoreError::Damaged(format!("app state {code}")))?,
            status: row.get(2)?,
            cause: Cause::from_word(&row.get::<_, String>(3)?),
            reason: row.get(4)?,
        })
    })?;
    found.reverse();
    Ok(found)
}

/// The newest `limit` moments of a licence, the oldest first.
pub fn licences(
    connection: &Connection,
    adam_id: &str,
    holder: &Holder,
    limit: u32,
) -> Result<Vec<LicenceMoment>, StoreError> {
    let (kind, named) = holder.parts();
    let sql = "SELECT at, location, what, detail FROM licence_history
        WHERE adam_id = ?1 AND holder_kind = ?2 AND holder = ?3 ORDER BY id DESC LIMIT ?4";
    let mut found = rows(connection, sql, params![adam_id, kind, named, limit], |row| {
        let word: String = row.get(2)?;
        let what = WORDS.iter().find(|(_, known)| *known == word).map(|(what, _)| *what);
        Ok(LicenceMoment {
            at: time(row.get(0)?)?,
            location: row.get(1)?,
            what: what.ok_or_else(|| StoreError::Damaged(format!("moment of a licence {word}")))?,
            detail: row.get(3)?,
        })
    })?;
    found.reverse();
    Ok(found)
}

/// The newest `limit` pushes to a device since `since`, the oldest first: when, and what was in the way.
pub fn pushes(
    connection: &Connection,
    device: DeviceId,
    since: Timestamp,
    limit: u32,
) -> Result<Vec<(Timestamp, String)>, StoreError> {
    let sql =
        "SELECT at, problem FROM push_history WHERE device_id = ?1 AND at >= ?2 ORDER BY at DESC, id DESC LIMIT ?3";
    let mut found = rows(connection, sql, params![device.0, micros(since), limit], |row| {
        Ok((time(row.get(0)?)?, row.get::<_, String>(1)?))
    })?;
    found.reverse();
    Ok(found)
}

/// Forgets up to `limit` rows of each kind from before `time`; false when none are left.
pub fn forget_before(connection: &Connection, time: Timestamp, limit: u32) -> Result<bool, StoreError> {
    let mut any = false;
    for table in ["pair_history", "licence_history", "push_history"] {
        let sql = format!("DELETE FROM {table} WHERE id IN (SELECT id FROM {table} WHERE at < ?1 LIMIT ?2)");
        any |= execute(connection, &sql, params![micros(time), limit])? > 0;
    }
    Ok(any)
}
