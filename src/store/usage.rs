//! How many licences of each app were in use at the end of each day.

use jiff::civil::Date;
use rusqlite::{Connection, params};

use super::{StoreError, execute, rows};
use crate::licensing::forecast::Used;

/// Notes how many are in use today; the last word of a day stays.
pub fn note(connection: &Connection, adam_id: &str, used: Used) -> Result<(), StoreError> {
    execute(
        connection,
        "INSERT INTO licence_usage (adam_id, day, used) VALUES (?1, ?2, ?3)
         ON CONFLICT DO UPDATE SET used = excluded.used WHERE used <> excluded.used",
        params![adam_id, used.day.to_string(), used.used as i64],
    )?;
    Ok(())
}

/// What was noted since a day, by app.
pub fn since(connection: &Connection, day: Date) -> Result<Vec<(String, Used)>, StoreError> {
    let sql = "SELECT adam_id, day, used FROM licence_usage WHERE day >= ?1 ORDER BY adam_id, day";
    rows(connection, sql, [day.to_string()], |row| {
        let day: String = row.get(1)?;
        let day = day.parse().map_err(|_| StoreError::Damaged(format!("day {day}")))?;
        Ok((row.get(0)?, Used { day, used: row.get::<_, i64>(2)?.max(0) as u64 }))
    })
}

/// Forgets what was noted before a day.
pub fn forget_before(connection: &Connection, day: Date) -> Result<usize, StoreError> {
    execute(connection, "DELETE FROM licence_usage WHERE day < ?1", [day.to_string()])
}
