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
    /// The secret with which Apple notifies us of the location with this uId.
    NotificationSecret(String),
    /// The one that Apple is told of.
    NextNotificationSecret(String),
}

/// Every secret there is.
pub fn all(connection: &Connection) -> Result<Vec<Secret>, StoreError> {
    let mut all = rows(connection, "SELECT name, sealed_key FROM keeping", [], |row| {
        Ok(Secret { row: Row::Key(row.get(0)?), sealed: row.get(1)? })
    })?;
    all.extend(rows(connection, "SELECT uid, sealed_token FROM location", [], |row| {
        Ok(Secret { row: Row::ContentToken(row.get(0)?), sealed: row.get(1)? })
    })?);
    let secrets = "SELECT l.uid, c.sealed_secret, c.sealed_next FROM notification_channel c
                   JOIN location l ON l.id = c.location_id";
    let channels = rows(connection, secrets, [], |row| {
        let uid: String = row.get(0)?;
        let secret = |row, sealed: Option<Vec<u8>>| sealed.map(|sealed| Secret { row, sealed });
        Ok([
            secret(Row::NotificationSecret(uid.clone()), row.get(1)?),
            secret(Row::NextNotificationSecret(uid), row.get(2)?),
        ])
    })?;
    all.extend(channels.into_iter().flatten().flatten());
    Ok(all)
}

/// Puts a newly sealed secret in the place of the old one.
pub fn replace(connection: &Connection, secret: &Secret) -> Result<(), StoreError> {
    let (sql, name) = match &secret.row {
        Row::Key(name) => ("UPDATE keeping SET sealed_key = ?2 WHERE name = ?1", name),
        Row::ContentToken(uid) => ("UPDATE location SET sealed_token = ?2 WHERE uid = ?1", uid),
        Row::NotificationSecret(uid) => (
            "UPDATE notification_channel SET sealed_secret = ?2
                 WHERE location_id = (SELECT id FROM location WHERE uid = ?1)",
            uid,
        ),
        Row::NextNotificationSecret(uid) => (
            "UPDATE notification_channel SET sealed_next = ?2
                 WHERE location_id = (SELECT id FROM location WHERE uid = ?1)",
            uid,
        ),
    };
    execute(connection, sql, params![name, secret.sealed])?;
    Ok(())
}
