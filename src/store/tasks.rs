//! Tasks: what takes longer than a request, with its progress and how it ended.

use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::{StoreError, execute, maybe_time, micros, row, rows, time};
use crate::model::LocationId;

/// A task as kept. `error` is JSON, made and read by whoever shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    pub id: i64,
    pub kind: String,
    pub location: Option<LocationId>,
    pub subject: String,
    /// `waiting`, `running`, `done`, `failed` or `cancelled`.
    pub state: String,
    pub done: u64,
    pub total: u64,
    pub detail: String,
    pub error: Option<String>,
    /// A person asked: everything is read.
    pub whole: bool,
    /// It follows a request to Apple.
    pub follows: bool,
    /// JSON, made and read by whoever shows it.
    pub outcome: Option<String>,
    pub created_at: Timestamp,
    pub started_at: Option<Timestamp>,
    pub finished_at: Option<Timestamp>,
}

/// What a task is called that follows a request to Apple.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    Licences,
    Users,
    /// Many requests: licences that a person told vppd to take back.
    Reclaim,
}

impl Request {
    fn word(self) -> &'static str {
        match self {
            Request::Licences => "licences",
            Request::Users => "users",
            Request::Reclaim => "reclaim",
        }
    }
}

const COLUMNS: &str = "id, kind, location_id, subject, state, done, total, detail, error, created_at, started_at, finished_at, whole, \
     outcome, request IS NOT NULL";

fn read(row: &rusqlite::Row<'_>) -> Result<Task, StoreError> {
    Ok(Task {
        id: row.get(0)?,
        kind: row.get(1)?,
        location: row.get::<_, Option<i64>>(2)?.map(LocationId),
        subject: row.get(3)?,
        state: row.get(4)?,
        done: row.get::<_, i64>(5)?.max(0) as u64,
        total: row.get::<_, i64>(6)?.max(0) as u64,
        detail: row.get(7)?,
        error: row.get(8)?,
        created_at: time(row.get(9)?)?,
        started_at: maybe_time(row.get(10)?)?,
        finished_at: maybe_time(row.get(11)?)?,
        whole: row.get(12)?,
        outcome: row.get(13)?,
        follows: row.get(14)?,
    })
}

/// The newest `limit` tasks, newest first.
pub fn newest(connection: &Connection, limit: u32) -> Result<Vec<Task>, StoreError> {
    rows(connection, &format!("SELECT {COLUMNS} FROM task ORDER BY id DESC LIMIT ?1"), [limit], read)
}

/// The one with this id.
pub fn by_id(connection: &Connection, id: i64) -> Result<Option<Task>, StoreError> {
    row(connection, &format!("SELECT {COLUMNS} FROM task WHERE id = ?1"), [id], read)
}

/// The task of this kind that waits for this location, or a new one: asking twice waits once.
pub fn waiting(
    connection: &Connection,
    kind: &str,
    location: LocationId,
    subject: &str,
    now: Timestamp,
) -> Result<Task, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM task WHERE kind = ?1 AND location_id = ?2 AND state = 'waiting'");
    if let Some(task) = row(connection, &sql, params![kind, location.0], read)? {
        return Ok(task);
    }
    execute(
        connection,
        "INSERT INTO task (kind, location_id, subject, state, created_at) VALUES (?1, ?2, ?3, 'waiting', ?4)",
        params![kind, location.0, subject, micros(now)],
    )?;
    by_id(connection, connection.last_insert_rowid())?
        .ok_or_else(|| StoreError::Damaged("a task vanished while it was added".into()))
}

/// A task of this kind that follows a request to Apple, which has just been intended: it runs until the request is settled.
pub fn follow(
    connection: &Connection,
    kind: Request,
    location: LocationId,
    request: &str,
    total: u64,
    detail: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    let sql = "INSERT INTO task (kind, location_id, subject, state, total, detail, created_at, started_at, request)
        SELECT ?1, id, name, 'running', ?3, ?4, ?5, ?5, ?6 FROM location WHERE id = ?2";
    execute(connection, sql, params![kind.word(), location.0, total as i64, detail, micros(now), request])?;
    Ok(())
}

/// How much of a request Apple has done.
pub fn request_progress(connection: &Connection, request: &str, done: u64) -> Result<(), StoreError> {
    let sql = "UPDATE task SET done = min(?2, total) WHERE request = ?1 AND state = 'running'";
    execute(connection, sql, params![request, done as i64])?;
    Ok(())
}

/// A request is settled, for `done` of what it was about, and so its task ends: with what came out, or with an error (JSON).
pub fn request_ended(
    connection: &Connection,
    request: &str,
    now: Timestamp,
    done: u64,
    outcome: Result<&str, &str>,
) -> Result<(), StoreError> {
    request_progress(connection, request, done)?;
    let sql = "SELECT id FROM task WHERE request = ?1";
    match row(connection, sql, [request], |row| Ok(row.get(0)?))? {
        Some(id) => finish(connection, id, now, outcome),
        None => Ok(()),
    }
}

/// A person asked for it: everything is to be read.
pub fn make_whole(connection: &Connection, id: i64) -> Result<(), StoreError> {
    execute(connection, "UPDATE task SET whole = 1 WHERE id = ?1", [id])?;
    Ok(())
}

/// What came out, in JSON.
pub fn set_outcome(connection: &Connection, id: i64, outcome: &str) -> Result<(), StoreError> {
    execute(connection, "UPDATE task SET outcome = ?2 WHERE id = ?1", params![id, outcome])?;
    Ok(())
}

/// The tasks that wait, or were running when vppd stopped, for this location; oldest first. Not those that follow requests.
pub fn open_for(connection: &Connection, location: LocationId) -> Result<Vec<Task>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM task WHERE location_id = ?1 AND state IN ('waiting', 'running')
             AND request IS NULL ORDER BY id"
    );
    rows(connection, &sql, [location.0], read)
}

/// The oldest of them.
pub fn next_for(connection: &Connection, location: LocationId) -> Result<Option<Task>, StoreError> {
    Ok(open_for(connection, location)?.into_iter().next())
}

/// The newest task for this location that failed, if none of its kind has ended well since.
pub fn last_failed(connection: &Connection, location: LocationId) -> Result<Option<Task>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM task t WHERE location_id = ?1 AND state = 'failed' AND NOT EXISTS (SELECT 1 FROM task later
             WHERE later.location_id = ?1 AND later.kind = t.kind AND later.id > t.id AND later.state = 'done')
         ORDER BY id DESC LIMIT 1"
    );
    row(connection, &sql, [location.0], read)
}

/// A task that waits or runs is called off; false when it has ended already.
pub fn cancel(connection: &Connection, id: i64, now: Timestamp) -> Result<bool, StoreError> {
    let sql = "UPDATE task SET state = 'cancelled', finished_at = ?2 WHERE id = ?1 AND state IN ('waiting', 'running')";
    Ok(execute(connection, sql, params![id, micros(now)])? > 0)
}

/// The task runs.
pub fn start(connection: &Connection, id: i64, now: Timestamp) -> Result<(), StoreError> {
    let sql = "UPDATE task SET state = 'running', started_at = ?2, done = 0, total = 0, detail = '' WHERE id = ?1";
    execute(connection, sql, params![id, micros(now)])?;
    Ok(())
}

/// How far it is.
pub fn progress(connection: &Connection, id: i64, done: u64, total: u64, detail: &str) -> Result<(), StoreError> {
    let sql = "UPDATE task SET done = ?2, total = ?3, detail = ?4 WHERE id = ?1 AND state = 'running'";
    execute(connection, sql, params![id, done as i64, total as i64, detail])?;
    Ok(())
}

/// It ended: with what came out, or with an error (JSON).
pub fn finish(connection: &Connection, id: i64, now: Timestamp, outcome: Result<&str, &str>) -> Result<(), StoreError> {
    let (state, detail, error) = match outcome {
        Ok(detail) => ("done", Some(detail), None),
        Err(error) => ("failed", None, Some(error)),
    };
    execute(
        connection,
        "UPDATE task SET state = ?2, detail = coalesce(?3, detail), error = ?4, finished_at = ?5
             WHERE id = ?1 AND state IN ('waiting', 'running')",
        params![id, state, detail, error, micros(now)],
    )?;
    Ok(())
}

/// Forgets tasks that ended before `time`.
pub fn forget_before(connection: &Connection, time: Timestamp) -> Result<usize, StoreError> {
    execute(connection, "DELETE FROM task WHERE finished_at < ?1", [micros(time)])
}
