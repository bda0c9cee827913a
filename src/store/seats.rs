//! Seats: an app's licence for a user, which serves every device of the person. Who holds which is among the assignments;
//! here is what Apple refused, so that it is asked again after a pause and not at once.

use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::{StoreError, execute, micros, row, rows, time};

/// What Apple refused for a user and an app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Refusals in a row.
    pub tries: u32,
    /// Not asked again before.
    pub due: Timestamp,
    /// In words.
    pub reason: String,
}

fn read(row: &rusqlite::Row<'_>) -> Result<Refusal, StoreError> {
    Ok(Refusal { tries: row.get(0)?, due: time(row.get(1)?)?, reason: row.get(2)? })
}

/// What was refused last, unless it was granted since.
pub fn get(connection: &Connection, client_user_id: &str, adam_id: &str) -> Result<Option<Refusal>, StoreError> {
    let sql = "SELECT tries, due, reason FROM seat_refusal WHERE client_user_id = ?1 AND adam_id = ?2";
    row(connection, sql, [client_user_id, adam_id], read)
}

/// All refusals, with the user and the app.
pub fn all(connection: &Connection) -> Result<Vec<(String, String, Refusal)>, StoreError> {
    let sql = "SELECT tries, due, reason, client_user_id, adam_id FROM seat_refusal";
    rows(connection, sql, [], |row| Ok((row.get(3)?, row.get(4)?, read(row)?)))
}

/// Apple refused the licence.
pub fn refused(
    connection: &Connection,
    client_user_id: &str,
    adam_id: &str,
    refusal: &Refusal,
) -> Result<(), StoreError> {
    execute(
        connection,
        "INSERT INTO seat_refusal (client_user_id, adam_id, tries, due, reason) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT DO UPDATE SET tries = ?3, due = ?4, reason = ?5",
        params![client_user_id, adam_id, refusal.tries, micros(refusal.due), refusal.reason],
    )?;
    Ok(())
}

/// It was granted, or something else is wanted now.
pub fn forget(connection: &Connection, client_user_id: &str, adam_id: &str) -> Result<(), StoreError> {
    let sql = "DELETE FROM seat_refusal WHERE client_user_id = ?1 AND adam_id = ?2";
    execute(connection, sql, [client_user_id, adam_id])?;
    Ok(())
}
