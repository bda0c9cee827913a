//! The life of identities: what a renewal repeats, which one a device used before, which are due, which are revoked.

use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::{StoreError, execute, maybe_time, micros, row, rows, time};
use crate::model::DeviceId;

/// What a profile told a device to call, and what it allows: a renewed profile must say the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Calls {
    pub server_url: String,
    pub check_in_url: String,
    pub sign_message: bool,
    pub access_rights: u64,
}

/// Keeps what a profile says.
pub fn keep_calls(connection: &Connection, profile: i64, calls: &Calls) -> Result<(), StoreError> {
    execute(
        connection,
        "UPDATE enrolment_profile SET server_url = ?2, check_in_url = ?3, sign_message = ?4, access_rights = ?5
         WHERE id = ?1",
        params![profile, calls.server_url, calls.check_in_url, calls.sign_message, calls.access_rights as i64],
    )?;
    Ok(())
}

/// What the profile with this reference says; `None` for one of before this was kept.
pub fn calls(connection: &Connection, reference: &str) -> Result<Option<Calls>, StoreError> {
    let sql = "SELECT server_url, check_in_url, sign_message, access_rights FROM enrolment_profile
               WHERE reference = ?1 AND server_url IS NOT NULL";
    row(connection, sql, [reference], |row| {
        Ok(Calls {
            server_url: row.get(0)?,
            check_in_url: row.get(1)?,
            sign_message: row.get(2)?,
            access_rights: row.get::<_, i64>(3)?.max(0) as u64,
        })
    })
}

/// The device whose identity this profile renews.
pub fn renews(connection: &Connection, profile: i64) -> Result<Option<DeviceId>, StoreError> {
    let sql = "SELECT renews FROM enrolment_profile WHERE id = ?1";
    Ok(row(connection, sql, [profile], |row| Ok(row.get::<_, Option<i64>>(0)?))?.flatten().map(DeviceId))
}

/// The profile that renews this device becomes one that may be used once, by whoever knows this secret.
pub fn offer(
    connection: &Connection,
    reference: &str,
    challenge_hash: &[u8; 32],
    expires_at: Timestamp,
) -> Result<(), StoreError> {
    execute(
        connection,
        "UPDATE enrolment_profile SET challenge_hash = ?2, uses_left = 1, expires_at = ?3
         WHERE reference = ?1 AND renews IS NOT NULL",
        params![reference, challenge_hash, micros(expires_at)],
    )?;
    Ok(())
}

/// Notes that a device is asked to renew by this profile, which says what the profile of its present identity says.
pub fn begin_renewal(
    connection: &Connection,
    device: DeviceId,
    profile: i64,
    now: Timestamp,
) -> Result<(), StoreError> {
    execute(
        connection,
        "UPDATE enrolment_profile SET renews = ?2, (server_url, check_in_url, sign_message, access_rights) =
             (SELECT o.server_url, o.check_in_url, o.sign_message, o.access_rights FROM device d
              JOIN identity i ON i.fingerprint = d.fingerprint JOIN enrolment_profile o ON o.id = i.profile_id
              WHERE d.id = ?2)
         WHERE id = ?1",
        params![profile, device.0],
    )?;
    execute(connection, "UPDATE device SET renewal_at = ?2 WHERE id = ?1", params![device.0, micros(now)])?;
    Ok(())
}

/// How an identity came to its device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdentityKind {
    Scep,
    /// With a key that the device's hardware attests.
    Acme,
    /// The site's own authority gave it.
    Site,
}

const KINDS: [(IdentityKind, &str); 3] =
    [(IdentityKind::Scep, "scep"), (IdentityKind::Acme, "acme"), (IdentityKind::Site, "site")];

impl IdentityKind {
    /// The word the store and the doors use.
    pub fn word(self) -> &'static str {
        KINDS.iter().find(|(kind, _)| *kind == self).map_or("scep", |(_, word)| word)
    }
}

/// Notes how an identity came.
pub fn set_kind(connection: &Connection, fingerprint: &[u8; 32], kind: IdentityKind) -> Result<(), StoreError> {
    let sql = "UPDATE identity SET kind = ?2 WHERE fingerprint = ?1";
    execute(connection, sql, params![fingerprint, kind.word()])?;
    Ok(())
}

/// An enrolled device and the identity that it uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InUse {
    pub device: DeviceId,
    pub serial: String,
    pub udid: String,
    pub product_name: String,
    pub os_version: String,
    pub user_enrolment: bool,
    pub reference: String,
    pub kind: IdentityKind,
    pub issued_at: Timestamp,
    pub not_after: Timestamp,
    /// When the device was last asked to renew.
    pub renewal_at: Option<Timestamp>,
    /// The command that asks it waits.
    pub asked: bool,
}

/// The identities of all enrolled devices, or of one.
pub fn in_use(connection: &Connection, only: Option<DeviceId>) -> Result<Vec<InUse>, StoreError> {
    let sql = "SELECT d.id, d.serial, d.udid, d.product_name, d.os_version, d.user_enrolment, i.reference, i.kind,
                   i.issued_at, i.not_after, d.renewal_at,
                   EXISTS (SELECT 1 FROM command c INDEXED BY command_open WHERE c.device_id = d.id
                       AND c.request_type = 'InstallProfile' AND c.state IN ('queued', 'sent', 'not-now'))
               FROM device d JOIN identity i ON i.fingerprint = d.fingerprint
               WHERE d.state = 'enrolled' AND (?1 IS NULL OR d.id = ?1) ORDER BY i.not_after, d.id";
    rows(connection, sql, [only.map(|id| id.0)], |row| {
        let word: String = row.get(7)?;
        let kind = KINDS.iter().find(|(_, known)| *known == word).map(|(kind, _)| *kind);
        Ok(InUse {
            device: DeviceId(row.get(0)?),
            serial: row.get(1)?,
            udid: row.get(2)?,
            product_name: row.get(3)?,
            os_version: row.get(4)?,
            user_enrolment: row.get(5)?,
            reference: row.get(6)?,
            kind: kind.ok_or_else(|| StoreError::Damaged(format!("identity kind {word}")))?,
            issued_at: time(row.get(8)?)?,
            not_after: time(row.get(9)?)?,
            renewal_at: maybe_time(row.get(10)?)?,
            asked: row.get(11)?,
        })
    })
}

/// The device uses this identity from now on; until [`settle`] it may go back to the one before.
pub fn move_pin(connection: &Connection, device: DeviceId, fingerprint: &[u8; 32]) -> Result<(), StoreError> {
    execute(
        connection,
        "UPDATE device SET former_fingerprint = fingerprint, fingerprint = ?2 WHERE id = ?1 AND fingerprint <> ?2",
        params![device.0, fingerprint],
    )?;
    execute(connection, "UPDATE identity SET device_id = ?2 WHERE fingerprint = ?1", params![fingerprint, device.0])?;
    Ok(())
}

/// The renewal has come to a good end: the identity before it counts no more.
pub fn settle(connection: &Connection, device: DeviceId) -> Result<(), StoreError> {
    execute(connection, "UPDATE device SET former_fingerprint = NULL WHERE id = ?1", [device.0])?;
    Ok(())
}

/// The renewal has failed: the device uses the identity of before.
pub fn go_back(connection: &Connection, device: DeviceId) -> Result<(), StoreError> {
    execute(
        connection,
        "UPDATE device SET fingerprint = former_fingerprint, former_fingerprint = NULL
         WHERE id = ?1 AND former_fingerprint IS NOT NULL",
        [device.0],
    )?;
    Ok(())
}

/// Whether the device could not do what it was last asked to do in the way of a renewal.
pub fn last_renewal_failed(connection: &Connection, device: DeviceId) -> Result<bool, StoreError> {
    let sql = "SELECT state IN ('error', 'format-error') FROM command
               WHERE device_id = ?1 AND request_type = 'InstallProfile' AND answered_at IS NOT NULL ORDER BY id DESC LIMIT 1";
    Ok(row(connection, sql, [device.0], |row| Ok(row.get(0)?))?.unwrap_or(false))
}

/// Revokes everything that was issued to a device or may be issued to it by a renewal; what it was, for whoever keeps it in
/// memory.
pub fn revoke_all(connection: &Connection, device: DeviceId, now: Timestamp) -> Result<Vec<[u8; 32]>, StoreError> {
    execute(
        connection,
        "UPDATE identity SET revoked_at = ?2 WHERE revoked_at IS NULL AND
             (device_id = ?1 OR profile_id IN (SELECT id FROM enrolment_profile WHERE renews = ?1))",
        params![device.0, micros(now)],
    )?;
    execute(connection, "UPDATE enrolment_profile SET uses_left = 0 WHERE renews = ?1", [device.0])?;
    let sql = "SELECT fingerprint FROM identity WHERE revoked_at = ?2 AND
                   (device_id = ?1 OR profile_id IN (SELECT id FROM enrolment_profile WHERE renews = ?1))";
    rows(connection, sql, params![device.0, micros(now)], |row| Ok(row.get(0)?))
}

/// The revoked identities that have not ended of themselves.
pub fn revoked(connection: &Connection, now: Timestamp) -> Result<Vec<[u8; 32]>, StoreError> {
    let sql = "SELECT fingerprint FROM identity WHERE revoked_at IS NOT NULL AND not_after > ?1";
    rows(connection, sql, [micros(now)], |row| Ok(row.get(0)?))
}

/// The device has to enrol anew: it cannot be woken, and nothing waits for it.
pub fn must_enrol_anew(connection: &Connection, device: DeviceId, now: Timestamp) -> Result<(), StoreError> {
    execute(
        connection,
        "UPDATE device SET state = 'enrolling', authenticated_at = ?2, enrolled_at = NULL, push_token = NULL,
             push_magic = NULL, former_fingerprint = NULL WHERE id = ?1",
        params![device.0, micros(now)],
    )?;
    Ok(())
}
