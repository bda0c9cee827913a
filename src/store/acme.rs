//! ACME: the accounts that asked for certificates, and their orders.

use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::{StoreError, execute, micros, row};

/// What somebody asked for, and how far it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    pub id: String,
    pub account: String,
    pub profile: i64,
    /// SHA-256 of what the profile gave as its identifier.
    pub identifier: [u8; 32],
    /// What the device must have attested.
    pub token: String,
    pub state: OrderState,
    /// SHA-256 of the public key that was attested.
    pub attested_key: Option<[u8; 32]>,
    /// DER.
    pub certificate: Option<Vec<u8>>,
    /// Why it is invalid.
    pub problem: String,
    pub made_at: Timestamp,
}

/// How far an order is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderState {
    /// The attestation is awaited.
    Pending,
    /// The certificate request is awaited.
    Ready,
    Valid,
    Invalid,
}

const STATES: [(OrderState, &str); 4] = [
    (OrderState::Pending, "pending"),
    (OrderState::Ready, "ready"),
    (OrderState::Valid, "valid"),
    (OrderState::Invalid, "invalid"),
];

impl OrderState {
    /// The word of ACME.
    pub fn word(self) -> &'static str {
        STATES.iter().find(|(state, _)| *state == self).map_or("invalid", |(_, word)| word)
    }
}

/// Keeps the key of an account; again is no harm.
pub fn add_account(connection: &Connection, id: &str, jwk: &str, now: Timestamp) -> Result<bool, StoreError> {
    let sql = "INSERT INTO acme_account (id, jwk, made_at) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
    Ok(execute(connection, sql, params![id, jwk, micros(now)])? > 0)
}

/// The key (JSON) of an account.
pub fn account(connection: &Connection, id: &str) -> Result<Option<String>, StoreError> {
    row(connection, "SELECT jwk FROM acme_account WHERE id = ?1", [id], |row| Ok(row.get(0)?))
}

/// Keeps a new order.
pub fn add_order(connection: &Connection, order: &Order) -> Result<(), StoreError> {
    let identifier: String = order.identifier.iter().map(|byte| format!("{byte:02x}")).collect();
    execute(
        connection,
        "INSERT INTO acme_order (id, account_id, profile_id, identifier, token, state, made_at)
         VALUES (?1, ?2, ?3, ?4, ?5, 'pending', ?6)",
        params![order.id, order.account, order.profile, identifier, order.token, micros(order.made_at)],
    )?;
    Ok(())
}

/// The order of this account with this id.
pub fn order(connection: &Connection, account: &str, id: &str) -> Result<Option<Order>, StoreError> {
    let sql = "SELECT id, account_id, profile_id, identifier, token, state, attested_key, certificate, problem, made_at
               FROM acme_order WHERE id = ?1 AND account_id = ?2";
    row(connection, sql, [id, account], |row| {
        let (hex, word): (String, String) = (row.get(3)?, row.get(5)?);
        let state = STATES.iter().find(|(_, known)| *known == word).map(|(state, _)| *state);
        let damaged = || StoreError::Damaged("an order of ACME".into());
        let mut identifier = [0; 32];
        for (place, byte) in identifier.iter_mut().enumerate() {
            let digits = hex.get(2 * place..2 * place + 2).ok_or_else(damaged)?;
            *byte = u8::from_str_radix(digits, 16).map_err(|_| damaged())?;
        }
        Ok(Order {
            id: row.get(0)?,
            account: row.get(1)?,
            profile: row.get(2)?,
            identifier,
            token: row.get(4)?,
            state: state.ok_or_else(damaged)?,
            attested_key: row.get(6)?,
            certificate: row.get(7)?,
            problem: row.get(8)?,
            made_at: super::time(row.get(9)?)?,
        })
    })
}

/// How many orders there are for a profile.
pub fn count(connection: &Connection, profile: i64) -> Result<u32, StoreError> {
    let sql = "SELECT count(*) FROM acme_order WHERE profile_id = ?1";
    Ok(row(connection, sql, [profile], |row| Ok(row.get(0)?))?.unwrap_or(0))
}

/// The device's hardware has attested this key.
pub fn attested(connection: &Connection, id: &str, key_hash: &[u8; 32]) -> Result<(), StoreError> {
    let sql = "UPDATE acme_order SET state = 'ready', attested_key = ?2 WHERE id = ?1 AND state = 'pending'";
    execute(connection, sql, params![id, key_hash])?;
    Ok(())
}

/// Nothing comes of it.
pub fn fail(connection: &Connection, id: &str, problem: &str) -> Result<(), StoreError> {
    let sql = "UPDATE acme_order SET state = 'invalid', problem = ?2 WHERE id = ?1 AND state <> 'valid'";
    execute(connection, sql, params![id, problem])?;
    Ok(())
}

/// The certificate (DER) was issued.
pub fn issued(connection: &Connection, id: &str, certificate: &[u8]) -> Result<(), StoreError> {
    let sql = "UPDATE acme_order SET state = 'valid', certificate = ?2 WHERE id = ?1";
    execute(connection, sql, params![id, certificate])?;
    Ok(())
}

/// A profile for one device belongs to the one whose hardware has spoken.
pub fn bind(connection: &Connection, profile: i64, serial: &str) -> Result<(), StoreError> {
    let sql = "UPDATE enrolment_profile SET serial = ?2 WHERE id = ?1 AND serial IS NULL AND uses = 1";
    execute(connection, sql, params![profile, serial])?;
    Ok(())
}

/// Forgets orders, and accounts without one, that were made before `time`.
pub fn forget_before(connection: &Connection, time: Timestamp) -> Result<(), StoreError> {
    execute(connection, "DELETE FROM acme_order WHERE made_at < ?1", [micros(time)])?;
    execute(
        connection,
        "DELETE FROM acme_account WHERE made_at < ?1
             AND NOT EXISTS (SELECT 1 FROM acme_order WHERE account_id = acme_account.id)",
        [micros(time)],
    )?;
    Ok(())
}
