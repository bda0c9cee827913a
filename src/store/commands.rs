//! Commands: each device's queue, and what became of its commands.

use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::{StoreError, execute, maybe_time, micros, row, rows, time};
use crate::model::{CommandUuid, DeviceId};

/// A command as kept. `body` is JSON, made and read by `mdm`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    pub id: i64,
    pub uuid: CommandUuid,
    pub device: DeviceId,
    pub request_type: String,
    /// The app it is about, if any.
    pub adam_id: Option<String>,
    pub body: String,
    /// Lower goes first.
    pub priority: i64,
    pub state: CommandState,
    pub queued_at: Timestamp,
    pub answered_at: Option<Timestamp>,
    /// What went wrong, in words.
    pub error: String,
    /// When the device came and took it, last.
    pub sent_at: Option<Timestamp>,
    /// The whole error chain of the answer: JSON, made and read by `mdm`.
    pub chain: String,
    /// When the device put it off last.
    pub put_off_at: Option<Timestamp>,
    /// How often the device put it off.
    pub put_offs: u32,
}

/// How far a command is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CommandState {
    Queued,
    /// Sent, not answered: sent again when the device comes back.
    Sent,
    /// The device could not do it at that moment.
    NotNow,
    Acknowledged,
    Error,
    FormatError,
    /// Taken back before it was sent.
    Withdrawn,
}

const STATES: [(CommandState, &str); 7] = [
    (CommandState::Queued, "queued"),
    (CommandState::Sent, "sent"),
    (CommandState::NotNow, "not-now"),
    (CommandState::Acknowledged, "acknowledged"),
    (CommandState::Error, "error"),
    (CommandState::FormatError, "format-error"),
    (CommandState::Withdrawn, "withdrawn"),
];

impl CommandState {
    /// The word the store and the doors use.
    pub fn word(self) -> &'static str {
        STATES.iter().find(|(state, _)| *state == self).map_or("withdrawn", |(_, word)| word)
    }

    /// Whether the command still waits for the device.
    pub fn is_open(self) -> bool {
        matches!(self, CommandState::Queued | CommandState::Sent | CommandState::NotNow)
    }
}

const COLUMNS: &str = "id, uuid, device_id, request_type, adam_id, body, priority, state, queued_at, answered_at, error, sent_at, \
     chain, put_off_at, put_offs";
const OPEN: &str = "state IN ('queued', 'sent', 'not-now')";
/// Named, because SQLite would as soon take the index over a device's whole history.
const BY_OPEN: &str = "command INDEXED BY command_open";

fn read(row: &rusqlite::Row<'_>) -> Result<Command, StoreError> {
    let word: String = row.get(7)?;
    let state = STATES.iter().find(|(_, known)| *known == word).map(|(state, _)| *state);
    Ok(Command {
        id: row.get(0)?,
        uuid: row.get(1)?,
        device: DeviceId(row.get(2)?),
        request_type: row.get(3)?,
        adam_id: row.get(4)?,
        body: row.get(5)?,
        priority: row.get(6)?,
        state: state.ok_or_else(|| StoreError::Damaged(format!("command state {word}")))?,
        queued_at: time(row.get(8)?)?,
        answered_at: maybe_time(row.get(9)?)?,
        error: row.get(10)?,
        sent_at: maybe_time(row.get(11)?)?,
        chain: row.get(12)?,
        put_off_at: maybe_time(row.get(13)?)?,
        put_offs: row.get(14)?,
    })
}

/// What waits for a device, in the order in which it is offered.
pub fn open(connection: &Connection, device: DeviceId) -> Result<Vec<Command>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM {BY_OPEN} WHERE device_id = ?1 AND {OPEN} ORDER BY priority, id");
    rows(connection, &sql, [device.0], read)
}

/// Whether anything waits for a device.
pub fn any_open(connection: &Connection, device: DeviceId) -> Result<bool, StoreError> {
    let sql = format!("SELECT EXISTS (SELECT 1 FROM {BY_OPEN} WHERE device_id = ?1 AND {OPEN})");
    Ok(row(connection, &sql, [device.0], |row| Ok(row.get(0)?))?.unwrap_or(false))
}

/// Whether a command of this type waits for a device.
pub fn waits(connection: &Connection, device: DeviceId, request_type: &str) -> Result<bool, StoreError> {
    let sql = format!("SELECT EXISTS (SELECT 1 FROM {BY_OPEN} WHERE device_id = ?1 AND request_type = ?2 AND {OPEN})");
    Ok(row(connection, &sql, params![device.0, request_type], |row| Ok(row.get(0)?))?.unwrap_or(false))
}

/// The newest `limit` commands of a device, newest first.
pub fn newest(connection: &Connection, device: DeviceId, limit: u32) -> Result<Vec<Command>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM command WHERE device_id = ?1 ORDER BY id DESC LIMIT ?2");
    rows(connection, &sql, params![device.0, limit], read)
}

/// The newest `limit` commands about a pair, the oldest first.
pub fn of_pair(
    connection: &Connection,
    device: DeviceId,
    adam_id: &str,
    limit: u32,
) -> Result<Vec<Command>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM command WHERE device_id = ?1 AND adam_id = ?2 ORDER BY id DESC LIMIT ?3");
    let mut found = rows(connection, &sql, params![device.0, adam_id, limit], read)?;
    found.reverse();
    Ok(found)
}

/// The command of this device with this uuid.
pub fn by_uuid(connection: &Connection, device: DeviceId, uuid: &str) -> Result<Option<Command>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM command WHERE uuid = ?1 AND device_id = ?2");
    row(connection, &sql, params![uuid, device.0], read)
}

/// A command to be queued.
#[derive(Debug, Clone)]
pub struct NewCommand {
    pub uuid: CommandUuid,
    pub request_type: String,
    pub adam_id: Option<String>,
    pub body: String,
    pub priority: i64,
}

/// Puts a command into a device's queue.
pub fn queue(
    connection: &Connection,
    device: DeviceId,
    command: &NewCommand,
    now: Timestamp,
) -> Result<(), StoreError> {
    execute(
        connection,
        "INSERT INTO command (uuid, device_id, request_type, adam_id, body, priority, state, queued_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'queued', ?7)",
        params![
            command.uuid,
            device.0,
            command.request_type,
            command.adam_id,
            command.body,
            command.priority,
            micros(now)
        ],
    )?;
    Ok(())
}

/// It goes to the device with the next answer.
pub fn sent(connection: &Connection, id: i64, now: Timestamp) -> Result<(), StoreError> {
    execute(connection, "UPDATE command SET state = 'sent', sent_at = ?2 WHERE id = ?1", params![id, micros(now)])?;
    Ok(())
}

/// The device answered, or the command was taken back.
pub fn finish(
    connection: &Connection,
    id: i64,
    state: CommandState,
    error: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    execute(
        connection,
        "UPDATE command SET state = ?2, error = ?3, answered_at = ?4 WHERE id = ?1",
        params![id, state.word(), error, micros(now)],
    )?;
    Ok(())
}

/// Keeps the whole error chain of an answer.
pub fn keep_chain(connection: &Connection, id: i64, chain: &str) -> Result<(), StoreError> {
    execute(connection, "UPDATE command SET chain = ?2 WHERE id = ?1", params![id, chain])?;
    Ok(())
}

/// Takes back a command that was not sent; false when it was, or is over.
pub fn withdraw(connection: &Connection, uuid: &str, now: Timestamp) -> Result<bool, StoreError> {
    let sql = "UPDATE command SET state = 'withdrawn', answered_at = ?2
               WHERE uuid = ?1 AND state IN ('queued', 'not-now')";
    Ok(execute(connection, sql, params![uuid, micros(now)])? > 0)
}

/// Takes back everything that waits for a device that starts afresh or has left.
pub fn withdraw_all(connection: &Connection, device: DeviceId, now: Timestamp) -> Result<(), StoreError> {
    let sql = format!("UPDATE {BY_OPEN} SET state = 'withdrawn', answered_at = ?2 WHERE device_id = ?1 AND {OPEN}");
    execute(connection, &sql, params![device.0, micros(now)])?;
    Ok(())
}

/// Forgets up to `limit` commands that were over before `time`; false when none are left.
pub fn forget_before(connection: &Connection, time: Timestamp, limit: u32) -> Result<bool, StoreError> {
    let sql = "DELETE FROM command WHERE id IN (SELECT id FROM command WHERE answered_at < ?1 LIMIT ?2)";
    Ok(execute(connection, sql, params![micros(time), limit])? > 0)
}

/// The device could not do it at that moment; it stays in the queue.
pub fn not_now(connection: &Connection, id: i64, now: Timestamp) -> Result<(), StoreError> {
    let sql = "UPDATE command SET state = 'not-now', put_off_at = ?2, put_offs = put_offs + 1 WHERE id = ?1";
    execute(connection, sql, params![id, micros(now)])?;
    Ok(())
}
