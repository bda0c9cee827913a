//! The secrets in the database, all of them, for giving them another master key.

use rusqlite::{Connection, params};

use super::{StoreError, execute, rows};

/// A sealed secret and where it stands.
#[derive(Clone)]
pub struct Secret {
    pub row: Row,
    pub sealed: Vec<u8>,
}

/// A row that holds a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Row {
    /// A key that the appliance made, by its name.
    Key(String),
    /// The content token of the location with this uId.
    ContentToken(String),
}

/// Every secret there is.
pub fn all(connection: &Connection) -> Result<Vec<Secret>, StoreError> {
    let mut all = rows(connection, "SELECT name, sealed_key FROM keeping", [], |row| {
        Ok(Secret { row: Row::Key(row.get(0)?), sealed: row.get(1)? })
    })?;
    all.extend(rows(connection, "SELECT uid, sealed_token FROM location", [], |row| {
        Ok(Secret { row: Row::ContentToken(row.get(0)?), sealed: row.get(1)? })
    })?);
    Ok(all)
}

/// Puts a newly sealed secret in the place of the old one.
pub fn replace(connection: &Connection, secret: &Secret) -> Result<(), StoreError> {
    let (sql, name) = match &secret.row {
        Row::Key(name) => ("UPDATE keeping SET sealed_key = ?2 WHERE name = ?1", name),
        Row::ContentToken(uid) => ("UPDATE location SET sealed_token = ?2 WHERE uid = ?1", uid),
    };
    execute(connection, sql, params![name, secret.sealed])?;
    Ok(())
}
