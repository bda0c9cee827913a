//! With what people of a directory that is a file sign in: hashes only, which nothing but signing in reads.

use rusqlite::{Connection, params};

use super::{StoreError, execute, row};
use crate::model::PersonId;

/// The hash of a person's password.
pub fn get(connection: &Connection, person: PersonId) -> Result<Option<String>, StoreError> {
    row(connection, "SELECT hash FROM person_password WHERE person_id = ?1", [person.0], |row| Ok(row.get(0)?))
}

/// Whether anybody has one who is still there.
pub fn any(connection: &Connection) -> Result<bool, StoreError> {
    let sql = "SELECT 1 FROM person_password JOIN person ON person.id = person_id
               WHERE gone_at IS NULL AND retired_at IS NULL LIMIT 1";
    Ok(row(connection, sql, [], |_| Ok(()))?.is_some())
}

/// Keeps a person's, or forgets it; true when that changed something.
pub fn put(connection: &Connection, person: PersonId, hash: Option<&str>) -> Result<bool, StoreError> {
    if get(connection, person)?.as_deref() == hash {
        return Ok(false);
    }
    let Some(hash) = hash else {
        return Ok(execute(connection, "DELETE FROM person_password WHERE person_id = ?1", [person.0])? > 0);
    };
    let sql =
        "INSERT INTO person_password (person_id, hash) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET hash = excluded.hash";
    execute(connection, sql, params![person.0, hash])?;
    Ok(true)
}
