//! Devices: their enrolment, their pinned identity, how to wake them, and what they are.

use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::{StoreError, execute, maybe_time, micros, row, rows, time};
use crate::model::DeviceId;

/// A device as kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    pub id: DeviceId,
    /// UDID, or EnrollmentID in User Enrollment.
    pub udid: String,
    pub user_enrolment: bool,
    /// Empty when not told.
    pub serial: String,
    pub state: DeviceState,
    /// SHA-256 of the certificate that the device must use.
    pub fingerprint: [u8; 32],
    pub topic: String,
    pub facts: Facts,
    pub push: Push,
    pub authenticated_at: Timestamp,
    pub enrolled_at: Option<Timestamp>,
    pub checked_out_at: Option<Timestamp>,
    /// When an administrator said that it is gone.
    pub removed_at: Option<Timestamp>,
    pub last_seen: Option<Timestamp>,
    /// It refuses any install that would take a person's own copy over.
    pub refuses_take_over: bool,
}

impl Device {
    /// What a person knows it by: its serial number, else its UDID.
    pub fn shown(&self) -> &str {
        if self.serial.is_empty() { &self.udid } else { &self.serial }
    }
}

/// How far a device's enrolment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceState {
    /// Authenticate was accepted, the first TokenUpdate has not come.
    Enrolling,
    Enrolled,
    CheckedOut,
}

const STATES: [(DeviceState, &str); 3] = [
    (DeviceState::Enrolling, "enrolling"),
    (DeviceState::Enrolled, "enrolled"),
    (DeviceState::CheckedOut, "checked-out"),
];

/// What a device told about itself; empty or `None` where it has not.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Facts {
    pub name: String,
    pub model: String,
    pub product_name: String,
    pub os_version: String,
    pub build_version: String,
    pub supervised: Option<bool>,
}

/// How to wake a device, and how that went.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Push {
    pub token: Option<Vec<u8>>,
    pub magic: Option<String>,
    pub token_updated_at: Option<Timestamp>,
    /// APNs said that the token is no longer valid.
    pub dead_since: Option<Timestamp>,
    /// In words.
    pub problem: String,
    pub pushed_at: Option<Timestamp>,
    /// Pushes since the device was last seen.
    pub pushes: u32,
    /// 429s in a row.
    pub throttled: u32,
    /// No push before that.
    pub after: Option<Timestamp>,
}

const COLUMNS: &str = "id, udid, user_enrolment, serial, state, fingerprint, topic, name, model, product_name, \
                       os_version, build_version, supervised, push_token, push_magic, token_updated_at, \
                       push_dead_since, push_problem, pushed_at, pushes, push_throttled, push_after, authenticated_at, enrolled_at, \
                       checked_out_at, last_seen, removed_at, refuses_take_over";

fn read(row: &rusqlite::Row<'_>) -> Result<Device, StoreError> {
    let word: String = row.get(4)?;
    let state = STATES.iter().find(|(_, known)| *known == word).map(|(state, _)| *state);
    Ok(Device {
        id: DeviceId(row.get(0)?),
        udid: row.get(1)?,
        user_enrolment: row.get(2)?,
        serial: row.get(3)?,
        state: state.ok_or_else(|| StoreError::Damaged(format!("device state {word}")))?,
        fingerprint: row.get(5)?,
        topic: row.get(6)?,
        facts: Facts {
            name: row.get(7)?,
            model: row.get(8)?,
            product_name: row.get(9)?,
            os_version: row.get(10)?,
            build_version: row.get(11)?,
            supervised: row.get(12)?,
        },
        push: Push {
            token: row.get(13)?,
            magic: row.get(14)?,
            token_updated_at: maybe_time(row.get(15)?)?,
            dead_since: maybe_time(row.get(16)?)?,
            problem: row.get(17)?,
            pushed_at: maybe_time(row.get(18)?)?,
            pushes: row.get(19)?,
            throttled: row.get(20)?,
            after: maybe_time(row.get(21)?)?,
        },
        authenticated_at: time(row.get(22)?)?,
        enrolled_at: maybe_time(row.get(23)?)?,
        checked_out_at: maybe_time(row.get(24)?)?,
        last_seen: maybe_time(row.get(25)?)?,
        removed_at: maybe_time(row.get(26)?)?,
        refuses_take_over: row.get(27)?,
    })
}

/// All, in the order of their first enrolment.
pub fn all(connection: &Connection) -> Result<Vec<Device>, StoreError> {
    rows(connection, &format!("SELECT {COLUMNS} FROM device ORDER BY id"), [], read)
}

/// The one with this row.
pub fn by_id(connection: &Connection, id: DeviceId) -> Result<Option<Device>, StoreError> {
    row(connection, &format!("SELECT {COLUMNS} FROM device WHERE id = ?1"), [id.0], read)
}

/// The one with this UDID or EnrollmentID.
pub fn by_udid(connection: &Connection, udid: &str) -> Result<Option<Device>, StoreError> {
    row(connection, &format!("SELECT {COLUMNS} FROM device WHERE udid = ?1"), [udid], read)
}

/// The device whose identity has this fingerprint, or had it before a renewal that has not come to its end.
pub fn by_fingerprint(connection: &Connection, fingerprint: &[u8; 32]) -> Result<Option<Device>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM device WHERE fingerprint = ?1 OR former_fingerprint = ?1 LIMIT 1");
    row(connection, &sql, [fingerprint], read)
}

/// The one with this serial number.
pub fn by_serial(connection: &Connection, serial: &str) -> Result<Option<Device>, StoreError> {
    row(connection, &format!("SELECT {COLUMNS} FROM device WHERE serial = ?1 AND serial <> ''"), [serial], read)
}

/// The row of the device with this serial number.
pub fn id_by_serial(connection: &Connection, serial: &str) -> Result<Option<DeviceId>, StoreError> {
    let sql = "SELECT id FROM device WHERE serial = ?1 AND serial <> ''";
    row(connection, sql, [serial], |row| Ok(DeviceId(row.get(0)?)))
}

/// What an Authenticate message says.
#[derive(Debug, Clone)]
pub struct Authenticated {
    pub udid: String,
    pub user_enrolment: bool,
    /// Empty when not told.
    pub serial: String,
    pub fingerprint: [u8; 32],
    pub topic: String,
    pub facts: Facts,
}

/// A device enrols, for the first time or again: `known` is its row, if it has one. Until its TokenUpdate it cannot be
/// woken and has no queue.
pub fn authenticate(
    connection: &Connection,
    known: Option<DeviceId>,
    device: &Authenticated,
    now: Timestamp,
) -> Result<DeviceId, StoreError> {
    let facts = &device.facts;
    let values = params![
        device.udid,
        device.user_enrolment,
        device.serial,
        device.fingerprint,
        device.topic,
        facts.name,
        facts.model,
        facts.product_name,
        facts.os_version,
        facts.build_version,
        facts.supervised,
        micros(now),
        known.map(|id| id.0),
    ];
    if let Some(known) = known {
        execute(
            connection,
            "UPDATE device SET udid = ?1, user_enrolment = ?2, serial = CASE ?3 WHEN '' THEN serial ELSE ?3 END,
                 state = 'enrolling', fingerprint = ?4, topic = ?5, name = ?6, model = ?7, product_name = ?8, os_version = ?9, build_version = ?10,
                 supervised = ?11, authenticated_at = ?12, last_seen = ?12, push_token = NULL, push_magic = NULL,
                 token_updated_at = NULL, push_dead_since = NULL, push_problem = '', pushed_at = NULL, pushes = 0,
                 push_throttled = 0, push_after = NULL, enrolled_at = NULL, checked_out_at = NULL, removed_at = NULL,
                 refuses_take_over = 0, former_fingerprint = NULL, renewal_at = NULL WHERE id = ?13",
            values,
        )?;
        return Ok(known);
    }
    execute(
        connection,
        "INSERT INTO device (udid, user_enrolment, serial, state, fingerprint, topic, name, model, product_name,
             os_version, build_version, supervised, authenticated_at, last_seen, id)
         VALUES (?1, ?2, ?3, 'enrolling', ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?12, ?13)",
        values,
    )?;
    Ok(DeviceId(connection.last_insert_rowid()))
}

/// A TokenUpdate: the device can be woken, and is enrolled from the first one on. True for that first one.
pub fn token_update(
    connection: &Connection,
    id: DeviceId,
    token: &[u8],
    magic: &str,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let first = row(
        connection,
        "SELECT enrolled_at IS NULL OR state <> 'enrolled' FROM device WHERE id = ?1",
        [id.0],
        |row| Ok(row.get(0)?),
    )?;
    execute(
        connection,
        "UPDATE device SET push_token = ?2, push_magic = ?3, token_updated_at = ?4, push_dead_since = NULL,
             push_problem = '', pushes = 0, push_throttled = 0, push_after = NULL, pushed_at = NULL, state = 'enrolled', last_seen = ?4,
             enrolled_at = CASE WHEN state = 'enrolled' THEN coalesce(enrolled_at, ?4) ELSE ?4 END,
             checked_out_at = NULL, removed_at = NULL WHERE id = ?1",
        params![id.0, token, magic, micros(now)],
    )?;
    Ok(first.unwrap_or(false))
}

/// The device says good-bye.
pub fn check_out(connection: &Connection, id: DeviceId, now: Timestamp) -> Result<(), StoreError> {
    execute(
        connection,
        "UPDATE device SET state = 'checked-out', checked_out_at = ?2, last_seen = ?2, push_token = NULL,
             push_magic = NULL WHERE id = ?1",
        params![id.0, micros(now)],
    )?;
    Ok(())
}

/// An administrator says that the device is gone: it is treated as one that has said good-bye.
pub fn remove(connection: &Connection, id: DeviceId, now: Timestamp) -> Result<(), StoreError> {
    execute(
        connection,
        "UPDATE device SET state = 'checked-out', checked_out_at = coalesce(checked_out_at, ?2), removed_at = ?2,
             push_token = NULL, push_magic = NULL WHERE id = ?1",
        params![id.0, micros(now)],
    )?;
    Ok(())
}

/// What a device told about itself; what it left out stays.
pub fn learn(connection: &Connection, id: DeviceId, facts: &Facts) -> Result<(), StoreError> {
    let keep = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    execute(
        connection,
        "UPDATE device SET name = coalesce(?2, name), model = coalesce(?3, model),
             product_name = coalesce(?4, product_name), os_version = coalesce(?5, os_version),
             build_version = coalesce(?6, build_version), supervised = coalesce(?7, supervised) WHERE id = ?1",
        params![
            id.0,
            keep(&facts.name),
            keep(&facts.model),
            keep(&facts.product_name),
            keep(&facts.os_version),
            keep(&facts.build_version),
            facts.supervised
        ],
    )?;
    Ok(())
}

/// A device that had not told its serial number does so now, unless another one has it; true when that is news.
pub fn learn_serial(connection: &Connection, id: DeviceId, serial: &str) -> Result<bool, StoreError> {
    if id_by_serial(connection, serial)?.is_some() {
        return Ok(false);
    }
    let sql = "UPDATE device SET serial = ?2 WHERE id = ?1 AND serial = '' AND user_enrolment = 0";
    Ok(execute(connection, sql, params![id.0, serial])? > 0)
}

/// The device has refused an install only because it would have taken a person's own copy over.
pub fn note_refuses_take_over(connection: &Connection, id: DeviceId) -> Result<(), StoreError> {
    execute(connection, "UPDATE device SET refuses_take_over = 1 WHERE id = ?1", [id.0])?;
    Ok(())
}

/// The device is to be pushed anew at once, whatever pause it was in, unless its token is dead.
pub fn push_now(connection: &Connection, id: DeviceId) -> Result<(), StoreError> {
    let sql = "UPDATE device SET pushed_at = NULL, pushes = 0 WHERE id = ?1 AND push_dead_since IS NULL";
    execute(connection, sql, [id.0])?;
    Ok(())
}

/// Devices that were heard of: they need no more pushes for now.
pub fn seen(connection: &Connection, devices: &[(DeviceId, Timestamp)]) -> Result<(), StoreError> {
    for (id, at) in devices {
        execute(
            connection,
            "UPDATE device SET last_seen = max(coalesce(last_seen, 0), ?2),
                 pushes = CASE WHEN pushed_at > ?2 THEN pushes ELSE 0 END,
                 push_problem = CASE WHEN pushed_at > ?2 THEN push_problem ELSE '' END,
                 push_dead_since = CASE WHEN push_dead_since > ?2 THEN push_dead_since END WHERE id = ?1",
            params![id.0, micros(*at)],
        )?;
    }
    Ok(())
}

/// Keeps how the pushes to a device went.
pub fn pushed(connection: &Connection, id: DeviceId, push: &Push) -> Result<(), StoreError> {
    execute(
        connection,
        "UPDATE device SET push_dead_since = ?2, push_problem = ?3, pushed_at = ?4, pushes = ?5, push_throttled = ?6,
             push_after = ?7 WHERE id = ?1 AND push_token IS ?8",
        params![
            id.0,
            push.dead_since.map(micros),
            push.problem,
            push.pushed_at.map(micros),
            push.pushes,
            push.throttled,
            push.after.map(micros),
            push.token
        ],
    )?;
    Ok(())
}

/// A device for which commands wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sleeper {
    pub device: Device,
    /// Since when the oldest command waits.
    pub since: Timestamp,
    /// A command waits that the device has never been offered. Without one, the device knows: it put the commands off, or
    /// broke off in their midst, and comes back by itself or with a later push.
    pub has_news: bool,
}

/// Enrolled devices for which commands wait and that can be woken. With `held_back` the commands of these types do not
/// count.
pub fn to_wake(connection: &Connection, held_back: &[&str]) -> Result<Vec<Sleeper>, StoreError> {
    let held = held_back.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(", ");
    let sql = format!(
        "WITH waiting AS (SELECT device_id, min(queued_at) AS since, max(state = 'queued') AS news FROM command
             WHERE state IN ('queued', 'sent', 'not-now') AND request_type NOT IN ({held}) GROUP BY device_id)
         SELECT {COLUMNS}, since, news FROM device JOIN waiting ON waiting.device_id = device.id
         WHERE state = 'enrolled' AND push_token IS NOT NULL ORDER BY id"
    );
    rows(connection, &sql, [], |row| {
        Ok(Sleeper { device: read(row)?, since: time(row.get(28)?)?, has_news: row.get(29)? })
    })
}

/// What the device listener keeps in memory of a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    pub id: DeviceId,
    pub udid: String,
    pub fingerprint: [u8; 32],
    /// The one before a renewal that has not come to its end: good, too.
    pub former: Option<[u8; 32]>,
    /// When the identity ends, if it is known.
    pub not_after: Option<Timestamp>,
    /// Commands wait.
    pub waits: bool,
}

/// The pins of all devices that have not checked out.
pub fn pins(connection: &Connection) -> Result<Vec<Pin>, StoreError> {
    rows(connection, &format!("{PIN} WHERE d.state <> 'checked-out' AND i.revoked_at IS NULL"), [], read_pin)
}

/// The pin of one device.
pub fn pin(connection: &Connection, id: DeviceId) -> Result<Option<Pin>, StoreError> {
    row(connection, &format!("{PIN} WHERE d.id = ?1"), [id.0], read_pin)
}

const PIN: &str = "SELECT d.id, d.udid, d.fingerprint, d.former_fingerprint, i.not_after,
                       EXISTS (SELECT 1 FROM command c INDEXED BY command_open
                           WHERE c.device_id = d.id AND c.state IN ('queued', 'sent', 'not-now'))
                   FROM device d LEFT JOIN identity i ON i.fingerprint = d.fingerprint";

fn read_pin(row: &rusqlite::Row<'_>) -> Result<Pin, StoreError> {
    Ok(Pin {
        id: DeviceId(row.get(0)?),
        udid: row.get(1)?,
        fingerprint: row.get(2)?,
        former: row.get(3)?,
        not_after: maybe_time(row.get(4)?)?,
        waits: row.get(5)?,
    })
}

/// How many devices, enrolled or about to be, have another push topic than this.
pub fn with_other_topic(connection: &Connection, topic: &str) -> Result<u64, StoreError> {
    let sql = "SELECT count(*) FROM device WHERE state <> 'checked-out' AND topic <> ?1";
    Ok(row(connection, sql, [topic], |row| Ok(row.get::<_, i64>(0)?))?.unwrap_or(0).max(0) as u64)
}

/// How many enrolled devices there are, all or with this serial number.
pub fn count_enrolled(connection: &Connection, serial: Option<&str>) -> Result<u64, StoreError> {
    let sql = "SELECT count(*) FROM device WHERE state = 'enrolled' AND (?1 IS NULL OR serial = ?1)";
    Ok(row(connection, sql, [serial], |row| Ok(row.get::<_, i64>(0)?))?.unwrap_or(0).max(0) as u64)
}

/// How many enrolled devices do not answer: pushed more often than there are pauses between pushes, known no more to APNs, or
/// not heard of since `missing_before`.
pub fn count_silent(connection: &Connection, pauses: usize, missing_before: Timestamp) -> Result<u64, StoreError> {
    let sql = "SELECT count(*) FROM device WHERE state = 'enrolled' AND (coalesce(last_seen, 0) <= ?2
        OR push_dead_since > last_seen OR (pushes > ?1 AND pushed_at > last_seen))";
    let pauses = i64::try_from(pauses).unwrap_or(i64::MAX);
    let count = row(connection, sql, params![pauses, micros(missing_before)], |row| Ok(row.get::<_, i64>(0)?))?;
    Ok(count.unwrap_or(0).max(0) as u64)
}
