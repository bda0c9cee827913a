//! Enrolment profiles that were handed out, and the identities that were issued for them.

use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::{StoreError, execute, micros, row, time};
use crate::model::DeviceId;

/// A profile that was handed out. Of its challenge only the hash is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    pub id: i64,
    pub reference: String,
    /// Only the device with this serial number may use it.
    pub serial: Option<String>,
    pub uses: u32,
    pub uses_left: u32,
    pub expires_at: Timestamp,
}

/// A certificate that was issued to a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// SHA-256 of the certificate.
    pub fingerprint: [u8; 32],
    /// The subject's CN.
    pub reference: String,
    pub profile: i64,
    /// SHA-256 of the public key.
    pub key_hash: [u8; 32],
    pub certificate: Vec<u8>,
    pub issued_at: Timestamp,
    pub not_after: Timestamp,
    pub device: Option<DeviceId>,
}

/// Keeps a new profile; returns its row.
pub fn add_profile(
    connection: &Connection,
    profile: &Profile,
    challenge_hash: &[u8; 32],
    now: Timestamp,
    by: &str,
) -> Result<i64, StoreError> {
    execute(
        connection,
        "INSERT INTO enrolment_profile (reference, challenge_hash, serial, uses, uses_left, expires_at, created_at,
             created_by) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        params![
            profile.reference,
            challenge_hash,
            profile.serial,
            profile.uses,
            profile.uses_left,
            micros(profile.expires_at),
            micros(now),
            by
        ],
    )?;
    Ok(connection.last_insert_rowid())
}

fn read_profile(row: &rusqlite::Row<'_>) -> Result<Profile, StoreError> {
    Ok(Profile {
        id: row.get(0)?,
        reference: row.get(1)?,
        serial: row.get(2)?,
        uses: row.get(3)?,
        uses_left: row.get(4)?,
        expires_at: time(row.get(5)?)?,
    })
}

const PROFILE: &str = "SELECT id, reference, serial, uses, uses_left, expires_at FROM enrolment_profile";

/// The profile whose challenge has this hash.
pub fn profile_by_challenge(connection: &Connection, hash: &[u8; 32]) -> Result<Option<Profile>, StoreError> {
    row(connection, &format!("{PROFILE} WHERE challenge_hash = ?1"), [hash.as_slice()], read_profile)
}

/// The profile with this reference.
pub fn profile_by_reference(connection: &Connection, reference: &str) -> Result<Option<Profile>, StoreError> {
    row(connection, &format!("{PROFILE} WHERE reference = ?1"), [reference], read_profile)
}

/// The profile with this row.
pub fn profile(connection: &Connection, id: i64) -> Result<Option<Profile>, StoreError> {
    row(connection, &format!("{PROFILE} WHERE id = ?1"), [id], read_profile)
}

/// Takes one use of a profile; false when none is left.
pub fn take_use(connection: &Connection, profile: i64) -> Result<bool, StoreError> {
    let sql = "UPDATE enrolment_profile SET uses_left = uses_left - 1 WHERE id = ?1 AND uses_left > 0";
    Ok(execute(connection, sql, [profile])? > 0)
}

const IDENTITY: &str =
    "SELECT fingerprint, reference, profile_id, key_hash, certificate, issued_at, not_after, device_id FROM identity";

fn read_identity(row: &rusqlite::Row<'_>) -> Result<Identity, StoreError> {
    Ok(Identity {
        fingerprint: row.get(0)?,
        reference: row.get(1)?,
        profile: row.get(2)?,
        key_hash: row.get(3)?,
        certificate: row.get(4)?,
        issued_at: time(row.get(5)?)?,
        not_after: time(row.get(6)?)?,
        device: row.get::<_, Option<i64>>(7)?.map(DeviceId),
    })
}

/// The identity that was issued for this key under this profile: a repeated request gets it again.
pub fn identity_by_key(
    connection: &Connection,
    profile: i64,
    key_hash: &[u8; 32],
) -> Result<Option<Identity>, StoreError> {
    let sql = format!("{IDENTITY} WHERE profile_id = ?1 AND key_hash = ?2 ORDER BY issued_at DESC LIMIT 1");
    row(connection, &sql, params![profile, key_hash], read_identity)
}

/// The identity with this fingerprint.
pub fn identity(connection: &Connection, fingerprint: &[u8; 32]) -> Result<Option<Identity>, StoreError> {
    row(connection, &format!("{IDENTITY} WHERE fingerprint = ?1"), [fingerprint.as_slice()], read_identity)
}

/// Keeps an issued identity.
pub fn add_identity(connection: &Connection, identity: &Identity) -> Result<(), StoreError> {
    execute(
        connection,
        "INSERT INTO identity (fingerprint, reference, profile_id, key_hash, certificate, issued_at, not_after)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![
            identity.fingerprint,
            identity.reference,
            identity.profile,
            identity.key_hash,
            identity.certificate,
            micros(identity.issued_at),
            micros(identity.not_after)
        ],
    )?;
    Ok(())
}

/// The identity belongs to this device from now on.
pub fn bind(connection: &Connection, fingerprint: &[u8; 32], device: DeviceId) -> Result<(), StoreError> {
    let sql = "UPDATE identity SET device_id = ?2 WHERE fingerprint = ?1";
    execute(connection, sql, params![fingerprint, device.0])?;
    Ok(())
}
