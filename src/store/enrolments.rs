//! Enrolment profiles that were handed out, and the identities that were issued for them.

use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::{StoreError, execute, maybe_time, micros, row, rows, time};
use crate::model::{DeviceId, PersonId};

/// How a device comes to a profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ProfileKind {
    /// A file that an administrator hands on.
    #[default]
    File,
    /// A code on a sheet of paper, for one device.
    Code,
    /// An address that gives it to whoever knows it.
    Link,
    /// Somebody has signed in.
    Person,
}

const KINDS: [(ProfileKind, &str); 4] = [
    (ProfileKind::File, "profile"),
    (ProfileKind::Code, "code"),
    (ProfileKind::Link, "link"),
    (ProfileKind::Person, "person"),
];

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
    pub kind: ProfileKind,
    /// Of codes that were made together; empty for everything else.
    pub batch: String,
    /// What an administrator calls it; may be empty.
    pub label: String,
    /// Who signed in for it.
    pub person: Option<PersonId>,
    pub revoked_at: Option<Timestamp>,
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
    let kind = KINDS.iter().find(|(kind, _)| *kind == profile.kind).map_or("profile", |(_, word)| word);
    execute(
        connection,
        "INSERT INTO enrolment_profile (reference, challenge_hash, serial, uses, uses_left, expires_at, created_at,
             created_by, kind, batch, label, person_id) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
        params![
            profile.reference,
            challenge_hash,
            profile.serial,
            profile.uses,
            profile.uses_left,
            micros(profile.expires_at),
            micros(now),
            by,
            kind,
            profile.batch,
            profile.label,
            profile.person.map(|id| id.0),
        ],
    )?;
    Ok(connection.last_insert_rowid())
}

fn read_profile(row: &rusqlite::Row<'_>) -> Result<Profile, StoreError> {
    let word: String = row.get(6)?;
    let kind = KINDS.iter().find(|(_, known)| *known == word).map(|(kind, _)| *kind);
    Ok(Profile {
        id: row.get(0)?,
        reference: row.get(1)?,
        serial: row.get(2)?,
        uses: row.get(3)?,
        uses_left: row.get(4)?,
        expires_at: time(row.get(5)?)?,
        kind: kind.ok_or_else(|| StoreError::Damaged(format!("kind of profile {word}")))?,
        batch: row.get(7)?,
        label: row.get(8)?,
        person: row.get::<_, Option<i64>>(9)?.map(PersonId),
        revoked_at: maybe_time(row.get(10)?)?,
    })
}

const PROFILE: &str = "SELECT id, reference, serial, uses, uses_left, expires_at, kind, batch, label, person_id, \
                       revoked_at FROM enrolment_profile";

/// A profile with when and by whom it was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Made {
    pub profile: Profile,
    pub created_at: Timestamp,
    pub created_by: String,
}

/// All profiles that are kept, without those of renewals, the newest first; codes in their order.
pub fn all(connection: &Connection) -> Result<Vec<Made>, StoreError> {
    let columns = PROFILE.replace(" FROM", ", created_at, created_by FROM");
    let sql = format!("{columns} WHERE renews IS NULL ORDER BY created_at DESC, batch, id");
    rows(connection, &sql, [], |row| {
        Ok(Made { profile: read_profile(row)?, created_at: time(row.get(11)?)?, created_by: row.get(12)? })
    })
}

/// Withdraws the profile with this reference, or the codes of this batch, as far as they could still be used; tells how
/// many there are by this name, and how many of them were withdrawn now.
pub fn revoke(connection: &Connection, name: &str, now: Timestamp) -> Result<(u64, u64), StoreError> {
    let sql = "SELECT count(*) FROM enrolment_profile WHERE reference = ?1 OR (batch = ?1 AND batch <> '')";
    let known = row(connection, sql, [name], |row| Ok(row.get::<_, i64>(0)?))?.unwrap_or(0);
    let sql = "UPDATE enrolment_profile SET revoked_at = ?2 WHERE (reference = ?1 OR (batch = ?1 AND batch <> ''))
                   AND revoked_at IS NULL AND uses_left > 0 AND expires_at > ?2";
    let revoked = execute(connection, sql, params![name, micros(now)])?;
    Ok((known.max(0) as u64, revoked as u64))
}

/// Forgets profiles that ended before this moment and gave no device its identity.
pub fn forget_before(connection: &Connection, before: Timestamp) -> Result<(), StoreError> {
    // Those of renewals are handed out, and end, anew each time.
    let sql = "DELETE FROM enrolment_profile WHERE expires_at < ?1 AND renews IS NULL
                   AND NOT EXISTS (SELECT 1 FROM identity WHERE profile_id = enrolment_profile.id)";
    execute(connection, sql, [micros(before)])?;
    Ok(())
}

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
