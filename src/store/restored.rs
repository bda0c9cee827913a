//! A database that comes out of a backup: what was under way when it was made may have happened or not, and what Apple and
//! the devices have is no longer what it says.

use std::path::Path;

use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::{StoreError, check, execute, maybe_time, micros, open_read_only, row, schema, sealed, writer};
use crate::model::App;

/// Makes the database file at `path`, which nobody uses, ready to be put in place: checks it, brings it to this program's
/// schema, and marks what has to be found out anew.
pub fn prepare(path: &Path, now: Timestamp) -> Result<(), StoreError> {
    check::everything(path)?;
    let mut connection = writer::open(path)?;
    schema::migrate(path, &mut connection, now)?;
    let transaction = connection.transaction()?;
    mark(&transaction, now)?;
    transaction.commit()?;
    // One file, without a log beside it.
    connection.query_row("PRAGMA journal_mode = DELETE", [], |_| Ok(()))?;
    Ok(())
}

fn mark(connection: &Connection, now: Timestamp) -> Result<(), StoreError> {
    let at = micros(now);
    execute(connection, "UPDATE appliance SET restored_at = ?1, alive_at = ?1", [at])?;
    execute(connection, "UPDATE location SET full_sync_first = 1, assignments_version = NULL", [])?;
    // Apple may have been told of another secret since.
    execute(connection, "UPDATE notification_channel SET stale = 1, sealed_next = NULL, try_at = NULL", [])?;
    // Each may have been sent after the backup was made, and Apple may still be working on it: a listing tells.
    execute(
        connection,
        "UPDATE licence_event SET state = 'unknown', event_id = NULL, sent_at = ?1, next_look_at = ?1, looks = 0
         WHERE state <> 'settled'",
        [at],
    )?;
    execute(connection, "UPDATE users_read SET version = NULL", [])?;
    execute(
        connection,
        "UPDATE user_event SET state = 'unknown', event_id = NULL, sent_at = ?1, next_look_at = ?1, looks = 0
         WHERE state <> 'settled'",
        [at],
    )?;
    // The same with devices: none is told again to install or remove before its own list was read.
    let commands =
        "request_type IN ('InstallApplication', 'RemoveApplication') AND state IN ('queued', 'sent', 'not-now')";
    execute(connection, &format!("UPDATE command SET state = 'withdrawn', answered_at = ?1 WHERE {commands}"), [at])?;
    for (from, to) in [(App::InstallQueued, App::Working), (App::RemoveQueued, App::RemoveUnconfirmed)] {
        execute(
            connection,
            "UPDATE pair SET app = ?2, command = NULL, looks = 0, due = ?3 WHERE app = ?1",
            params![from.code(), to.code(), at],
        )?;
    }
    Ok(())
}

/// When a backup was put in place whose devices were not asked yet what they have.
pub fn since(connection: &Connection) -> Result<Option<Timestamp>, StoreError> {
    let at = row(connection, "SELECT restored_at FROM appliance", [], |row| Ok(row.get(0)?))?;
    maybe_time(at.flatten())
}

/// The devices are asked.
pub fn devices_asked(connection: &Connection) -> Result<(), StoreError> {
    execute(connection, "UPDATE appliance SET restored_at = NULL", [])?;
    Ok(())
}

/// Every secret in the database file at `path`, which nobody uses.
pub fn secrets(path: &Path) -> Result<Vec<sealed::Secret>, StoreError> {
    sealed::all(&open_read_only(path)?)
}
