//! Who did what. Never holds secrets: only names and numbers.

use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::{StoreError, execute, micros};

/// Writes a line: `who` did `what` to `subject`. In the transaction of the thing itself.
pub fn write(connection: &Connection, at: Timestamp, who: &str, what: &str, subject: &str) -> Result<(), StoreError> {
    execute(
        connection,
        "INSERT INTO audit (at, who, what, subject) VALUES (?1, ?2, ?3, ?4)",
        params![micros(at), who, what, subject],
    )?;
    Ok(())
}
