//! Locations: what one content token manages at Apple, and the token itself (sealed).

use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::{StoreError, execute, json_list, list, maybe_time, micros, row, rows, time};
use crate::model::LocationId;

/// A location as kept.
#[derive(Clone)]
pub struct Location {
    pub id: LocationId,
    /// Apple's id.
    pub uid: String,
    /// The administrator's name for it.
    pub name: String,
    pub location_name: String,
    pub organisation: String,
    pub country: String,
    pub platform: String,
    pub website: String,
    pub sealed_token: Vec<u8>,
    pub token_fingerprint: String,
    pub expires_at: Timestamp,
    pub token_state: TokenState,
    /// The administrator wants this location to be ours: claimed again if a crash or an outage came between.
    pub claim_wanted: bool,
    /// `mdmInfo` as last seen.
    pub owner: Option<Owner>,
    pub added_at: Timestamp,
    pub generation: i64,
    pub assignments_version: Option<String>,
    pub last_synced: Option<Timestamp>,
    pub last_full_sync: Option<Timestamp>,
    pub pace: Pace,
    pub notes: Notes,
    /// It is to go, its licences first: nothing is assigned any more.
    pub leaving: bool,
    /// It comes out of a backup: nothing is written to Apple for it before everything was read anew.
    pub full_sync_first: bool,
}

/// How often a location is synced; `None`: as the settings say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pace {
    pub interval: Option<Duration>,
    pub full_interval: Option<Duration>,
}

/// What the administrator noted of a location.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Notes {
    pub description: String,
    /// Of the account that made the token.
    pub account_email: String,
    /// Free words to search and filter by.
    pub categories: Vec<String>,
    /// Who knows the account.
    pub contacts: Vec<String>,
}

/// What Apple last said of the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenState {
    Valid,
    Expired,
    Revoked,
    Rejected,
    /// Apple lets it read but not change anything.
    ReadOnly,
    /// Made by a facilitator, or of the older kind that is bound to a person.
    WrongKind,
    /// Apple could not be asked lately. The token may be fine.
    Unreachable,
}

const TOKEN_STATES: [(TokenState, &str); 7] = [
    (TokenState::Valid, "valid"),
    (TokenState::Expired, "expired"),
    (TokenState::Revoked, "revoked"),
    (TokenState::Rejected, "rejected"),
    (TokenState::ReadOnly, "read-only"),
    (TokenState::WrongKind, "wrong-kind"),
    (TokenState::Unreachable, "unreachable"),
];

impl TokenState {
    fn word(self) -> &'static str {
        TOKEN_STATES.iter().find(|(state, _)| *state == self).map_or("rejected", |(_, word)| word)
    }

    fn from_word(word: &str) -> Result<TokenState, StoreError> {
        let found = TOKEN_STATES.iter().find(|(_, known)| *known == word);
        found.map(|(state, _)| *state).ok_or_else(|| StoreError::Damaged(format!("token state {word}")))
    }
}

/// Who claims a location.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    pub id: String,
    pub name: String,
}

const COLUMNS: &str = "id, uid, name, location_name, organisation, country, platform, website, sealed_token, \
                       token_fingerprint, expires_at, token_state, claim_wanted, owner_id, owner_name, added_at, \
                       generation, assignments_version, last_synced, last_full_sync, description, account_email, \
                       categories, contacts, leaving, full_sync_first, sync_interval, full_sync_interval";

fn read(row: &rusqlite::Row<'_>) -> Result<Location, StoreError> {
    let owner: Option<String> = row.get(13)?;
    Ok(Location {
        id: LocationId(row.get(0)?),
        uid: row.get(1)?,
        name: row.get(2)?,
        location_name: row.get(3)?,
        organisation: row.get(4)?,
        country: row.get(5)?,
        platform: row.get(6)?,
        website: row.get(7)?,
        sealed_token: row.get(8)?,
        token_fingerprint: row.get(9)?,
        expires_at: time(row.get(10)?)?,
        token_state: TokenState::from_word(&row.get::<_, String>(11)?)?,
        claim_wanted: row.get(12)?,
        owner: match owner {
            None => None,
            Some(id) => Some(Owner { id, name: row.get::<_, Option<String>>(14)?.unwrap_or_default() }),
        },
        added_at: time(row.get(15)?)?,
        generation: row.get(16)?,
        assignments_version: row.get(17)?,
        last_synced: maybe_time(row.get(18)?)?,
        last_full_sync: maybe_time(row.get(19)?)?,
        notes: Notes {
            description: row.get(20)?,
            account_email: row.get(21)?,
            categories: list(&row.get::<_, String>(22)?)?,
            contacts: list(&row.get::<_, String>(23)?)?,
        },
        leaving: row.get(24)?,
        full_sync_first: row.get(25)?,
        pace: Pace { interval: seconds(row.get(26)?), full_interval: seconds(row.get(27)?) },
    })
}

fn seconds(kept: Option<i64>) -> Option<Duration> {
    kept.map(|seconds| Duration::from_secs(seconds.unsigned_abs()))
}

/// All, in the order in which their licences are used.
pub fn all(connection: &Connection) -> Result<Vec<Location>, StoreError> {
    rows(connection, &format!("SELECT {COLUMNS} FROM location ORDER BY position, id"), [], read)
}

/// The one with this id.
pub fn by_id(connection: &Connection, id: LocationId) -> Result<Option<Location>, StoreError> {
    row(connection, &format!("SELECT {COLUMNS} FROM location WHERE id = ?1"), [id.0], read)
}

/// The one with this name (any case) or Apple's id.
pub fn by_name_or_uid(connection: &Connection, text: &str) -> Result<Option<Location>, StoreError> {
    row(connection, &format!("SELECT {COLUMNS} FROM location WHERE name = ?1 OR uid = ?1"), [text], read)
}

/// The one that keeps a token with this fingerprint.
pub fn by_token(connection: &Connection, fingerprint: &str) -> Result<Option<Location>, StoreError> {
    row(connection, &format!("SELECT {COLUMNS} FROM location WHERE token_fingerprint = ?1"), [fingerprint], read)
}

/// Adds a location behind the others; `id`, `generation` and sync times of `location` are not used.
pub fn add(connection: &Connection, location: &Location) -> Result<LocationId, StoreError> {
    execute(
        connection,
        "INSERT INTO location (uid, name, position, location_name, organisation, country, platform, website,
             sealed_token, token_fingerprint, expires_at, token_state, claim_wanted, owner_id, owner_name, added_at,
             generation)
         VALUES (?1, ?2, (SELECT coalesce(max(position), 0) + 1 FROM location), ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11,
             ?12, ?13, ?14, ?15, 0)",
        params![
            location.uid,
            location.name,
            location.location_name,
            location.organisation,
            location.country,
            location.platform,
            location.website,
            location.sealed_token,
            location.token_fingerprint,
            micros(location.expires_at),
            location.token_state.word(),
            location.claim_wanted,
            location.owner.as_ref().map(|o| &o.id),
            location.owner.as_ref().map(|o| &o.name),
            micros(location.added_at),
        ],
    )?;
    Ok(LocationId(connection.last_insert_rowid()))
}

/// Puts another token of the same location in place; everything else stays.
pub fn replace_token(
    connection: &Connection,
    id: LocationId,
    sealed: &[u8],
    fingerprint: &str,
    expires_at: Timestamp,
) -> Result<(), StoreError> {
    execute(
        connection,
        "UPDATE location SET sealed_token = ?2, token_fingerprint = ?3, expires_at = ?4, token_state = 'valid'
             WHERE id = ?1",
        params![id.0, sealed, fingerprint, micros(expires_at)],
    )?;
    Ok(())
}

/// What Apple's client configuration says now.
pub fn describe(
    connection: &Connection,
    id: LocationId,
    location_name: &str,
    country: &str,
    platform: &str,
    website: &str,
) -> Result<(), StoreError> {
    execute(
        connection,
        "UPDATE location SET location_name = ?2, country = ?3, platform = ?4, website = ?5 WHERE id = ?1",
        params![id.0, location_name, country, platform, website],
    )?;
    Ok(())
}

/// What Apple last said of the token.
pub fn set_token_state(connection: &Connection, id: LocationId, state: TokenState) -> Result<(), StoreError> {
    execute(connection, "UPDATE location SET token_state = ?2 WHERE id = ?1", params![id.0, state.word()])?;
    Ok(())
}

/// The administrator's name for it, and notes.
pub fn annotate(connection: &Connection, id: LocationId, name: &str, notes: &Notes) -> Result<(), StoreError> {
    execute(
        connection,
        "UPDATE location SET name = ?2, description = ?3, account_email = ?4, categories = ?5, contacts = ?6
             WHERE id = ?1",
        params![
            id.0,
            name,
            notes.description,
            notes.account_email,
            json_list(&notes.categories),
            json_list(&notes.contacts)
        ],
    )?;
    Ok(())
}

/// How often it is synced.
pub fn set_pace(connection: &Connection, id: LocationId, pace: Pace) -> Result<(), StoreError> {
    let seconds =
        |every: Option<Duration>| every.map(|every| i64::try_from(every.as_secs().max(1)).unwrap_or(i64::MAX));
    execute(
        connection,
        "UPDATE location SET sync_interval = ?2, full_sync_interval = ?3 WHERE id = ?1",
        params![id.0, seconds(pace.interval), seconds(pace.full_interval)],
    )?;
    Ok(())
}

/// Sets the order in which the locations' licences are used.
pub fn set_order(connection: &Connection, order: &[LocationId]) -> Result<(), StoreError> {
    for (position, id) in (1i64..).zip(order) {
        execute(connection, "UPDATE location SET position = ?2 WHERE id = ?1", params![id.0, position])?;
    }
    Ok(())
}

/// Whether it is to go: then nothing is assigned under it, and its licences are given back.
pub fn set_leaving(connection: &Connection, id: LocationId, leaving: bool) -> Result<(), StoreError> {
    execute(connection, "UPDATE location SET leaving = ?2 WHERE id = ?1", params![id.0, leaving])?;
    Ok(())
}

/// Forgets the location with all that hangs on it.
pub fn remove(connection: &Connection, id: LocationId) -> Result<(), StoreError> {
    execute(connection, "DELETE FROM location WHERE id = ?1", [id.0])?;
    Ok(())
}

/// Who claims the location, as last seen at Apple.
pub fn set_owner(connection: &Connection, id: LocationId, owner: Option<&Owner>) -> Result<(), StoreError> {
    execute(
        connection,
        "UPDATE location SET owner_id = ?2, owner_name = ?3 WHERE id = ?1",
        params![id.0, owner.map(|o| &o.id), owner.map(|o| &o.name)],
    )?;
    Ok(())
}

/// Whether the administrator wants the location to be ours.
pub fn set_claim_wanted(connection: &Connection, id: LocationId, wanted: bool) -> Result<(), StoreError> {
    execute(connection, "UPDATE location SET claim_wanted = ?2 WHERE id = ?1", params![id.0, wanted])?;
    Ok(())
}

/// A sync was applied.
pub fn synced(connection: &Connection, id: LocationId, full: bool, now: Timestamp) -> Result<(), StoreError> {
    execute(
        connection,
        "UPDATE location SET last_synced = ?2, last_full_sync = CASE WHEN ?3 THEN ?2 ELSE last_full_sync END
             WHERE id = ?1",
        params![id.0, micros(now), full],
    )?;
    Ok(())
}

/// Where the next read of changes starts.
pub fn set_version(connection: &Connection, id: LocationId, version: &str) -> Result<(), StoreError> {
    execute(connection, "UPDATE location SET assignments_version = ?2 WHERE id = ?1", params![id.0, version])?;
    Ok(())
}

/// Everything was read anew after a backup was restored: the location may be written to.
pub fn read_anew(connection: &Connection, id: LocationId) -> Result<(), StoreError> {
    execute(connection, "UPDATE location SET full_sync_first = 0 WHERE id = ?1", [id.0])?;
    Ok(())
}

/// The next read of changes has to list everything.
pub fn forget_version(connection: &Connection, id: LocationId) -> Result<(), StoreError> {
    execute(connection, "UPDATE location SET assignments_version = NULL WHERE id = ?1", [id.0])?;
    Ok(())
}

/// Makes a staged generation the one that counts.
pub fn show_generation(connection: &Connection, id: LocationId, generation: i64) -> Result<(), StoreError> {
    execute(connection, "UPDATE location SET generation = ?2 WHERE id = ?1", params![id.0, generation])?;
    Ok(())
}
