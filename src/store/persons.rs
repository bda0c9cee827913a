//! Persons: who may be registered at Apple, once for every location, and of whom directories tell. Each has a GUID of ours,
//! because an e-mail address may change hands.

use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::{StoreError, execute, maybe_time, micros, row, rows, time};
use crate::model::{PersonId, Source};

/// A person as kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    pub id: PersonId,
    /// What Apple knows the person by, under every location.
    pub client_user_id: String,
    /// May be empty.
    pub name: String,
    pub email: String,
    /// A Managed Apple Account, to be linked without an invitation.
    pub managed_account: Option<String>,
    pub created_at: Timestamp,
    pub created_by: String,
    /// Who says that the person is there.
    pub source: Source,
    /// What the directory calls the person.
    pub external_id: Option<String>,
    /// Since when the directory does not know the person.
    pub gone_at: Option<Timestamp>,
    /// Since when the person gets nothing any more.
    pub retired_at: Option<Timestamp>,
}

const COLUMNS: &str = "id, client_user_id, name, email, managed_account, created_at, created_by, source, external_id, \
                       gone_at, retired_at";

fn read(row: &rusqlite::Row<'_>) -> Result<Person, StoreError> {
    Ok(Person {
        id: PersonId(row.get(0)?),
        client_user_id: row.get(1)?,
        name: row.get(2)?,
        email: row.get(3)?,
        managed_account: row.get(4)?,
        created_at: time(row.get(5)?)?,
        created_by: row.get(6)?,
        source: super::source(&row.get::<_, String>(7)?)?,
        external_id: row.get(8)?,
        gone_at: maybe_time(row.get(9)?)?,
        retired_at: maybe_time(row.get(10)?)?,
    })
}

/// All, by their addresses.
pub fn all(connection: &Connection) -> Result<Vec<Person>, StoreError> {
    rows(connection, &format!("SELECT {COLUMNS} FROM person ORDER BY email"), [], read)
}

/// The one with this number.
pub fn by_id(connection: &Connection, id: PersonId) -> Result<Option<Person>, StoreError> {
    row(connection, &format!("SELECT {COLUMNS} FROM person WHERE id = ?1"), [id.0], read)
}

/// The one with this number, GUID or e-mail address (any case).
pub fn by_name(connection: &Connection, text: &str) -> Result<Option<Person>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM person WHERE email = ?1 OR client_user_id = ?1 OR id = ?2");
    row(connection, &sql, params![text, text.parse::<i64>().unwrap_or(-1)], read)
}

/// The one with this Managed Apple Account (any case).
pub fn by_account(connection: &Connection, account: &str) -> Result<Option<Person>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM person WHERE managed_account = ?1 COLLATE NOCASE");
    row(connection, &sql, [account], read)
}

/// The one that Apple knows by this id.
pub fn by_client_user_id(connection: &Connection, id: &str) -> Result<Option<Person>, StoreError> {
    row(connection, &format!("SELECT {COLUMNS} FROM person WHERE client_user_id = ?1"), [id], read)
}

/// Whether a device of the person is enrolled.
pub fn has_enrolled_device(connection: &Connection, id: PersonId) -> Result<bool, StoreError> {
    let sql = "SELECT EXISTS (SELECT 1 FROM device_note n JOIN device d ON d.serial = n.serial
        WHERE n.person_id = ?1 AND d.state = 'enrolled')";
    Ok(row(connection, sql, [id.0], |row| Ok(row.get(0)?))?.unwrap_or(false))
}

/// Adds a person; `id` is not used.
pub fn add(connection: &Connection, person: &Person) -> Result<PersonId, StoreError> {
    execute(
        connection,
        "INSERT INTO person (client_user_id, name, email, managed_account, created_at, created_by, source, external_id)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        params![
            person.client_user_id,
            person.name,
            person.email,
            person.managed_account,
            micros(person.created_at),
            person.created_by,
            person.source.word(),
            person.external_id
        ],
    )?;
    Ok(PersonId(connection.last_insert_rowid()))
}

/// Keeps another name, address or account.
pub fn edit(connection: &Connection, person: &Person) -> Result<(), StoreError> {
    execute(
        connection,
        "UPDATE person SET name = ?2, email = ?3, managed_account = ?4 WHERE id = ?1",
        params![person.id.0, person.name, person.email, person.managed_account],
    )?;
    Ok(())
}

/// Keeps what a directory says of a person beside name, address and account: who it is there, and since when it is gone.
pub fn follow(connection: &Connection, person: &Person) -> Result<(), StoreError> {
    let sql = "UPDATE person SET source = ?2, external_id = ?3, gone_at = ?4 WHERE id = ?1";
    let gone = person.gone_at.map(micros);
    execute(connection, sql, params![person.id.0, person.source.word(), person.external_id, gone])?;
    Ok(())
}

/// Keeps since when a person is retired; `None`: is not.
pub fn retire(connection: &Connection, id: PersonId, at: Option<Timestamp>) -> Result<(), StoreError> {
    execute(connection, "UPDATE person SET retired_at = ?2 WHERE id = ?1", params![id.0, at.map(micros)])?;
    Ok(())
}

/// Frees the address of a person who gets another one in the same transaction, so that two can change theirs over.
pub fn vacate(connection: &Connection, id: PersonId) -> Result<(), StoreError> {
    execute(connection, "UPDATE person SET email = 'vacated ' || id WHERE id = ?1", [id.0])?;
    Ok(())
}
