//! Registered users of the locations: what is wanted of them, and how Apple has them as far as read or done by us.
//!
//! Apple may list several records of one user; here is the one that counts. Users of other MDMs are kept while they are
//! active, so that they can be shown, and belong to no person.

use std::collections::HashSet;
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::{StoreError, execute, maybe_time, micros, persons, row, rows, time};
use crate::clock::after;
use crate::licensing::registration::{Details, Wanted};
use crate::model::{InviteCode, LocationId, PersonId, UserStatus};

/// A user as Apple lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// An empty word: Apple has no such user.
    pub status: UserStatus,
    pub email: String,
    /// Of the Apple Account it is or was linked to.
    pub id_hash: Option<String>,
    pub invite_code: Option<InviteCode>,
}

impl Record {
    /// Apple has no such user.
    pub fn none() -> Record {
        Record { status: UserStatus::Other(String::new()), email: String::new(), id_hash: None, invite_code: None }
    }
}

/// A user of a location.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    pub location: LocationId,
    pub client_user_id: String,
    /// `None`: another MDM's.
    pub person: Option<PersonId>,
    pub wanted: Wanted,
    pub wanted_at: Timestamp,
    pub record: Record,
    /// What Apple was told last.
    pub told: Details,
    /// As far as we saw it: Apple tells no times.
    pub registered_at: Option<Timestamp>,
    pub associated_at: Option<Timestamp>,
    pub retired_at: Option<Timestamp>,
    pub trouble: Trouble,
}

/// What stands between what is wanted and what Apple has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trouble {
    /// Apple's number, if it gave one.
    pub number: Option<i64>,
    /// In words; empty when all is well.
    pub words: String,
    /// Not asked again until something else is wanted.
    pub refused: bool,
    /// It is sent alone: it may spoil a request for all others in it.
    pub apart: bool,
    /// Tries that failed in a row.
    pub tries: u32,
    pub not_before: Option<Timestamp>,
}

impl User {
    /// A user of whom nothing is known but what is wanted.
    pub fn new(
        location: LocationId,
        client_user_id: &str,
        person: Option<PersonId>,
        wanted: Wanted,
        now: Timestamp,
    ) -> User {
        User {
            location,
            client_user_id: client_user_id.to_owned(),
            person,
            wanted,
            wanted_at: now,
            record: Record::none(),
            told: Details::default(),
            registered_at: None,
            associated_at: None,
            retired_at: None,
            trouble: Trouble::default(),
        }
    }

    /// Whether Apple has it, not retired.
    pub fn is_active(&self) -> bool {
        self.record.status.is_active()
    }

    /// Something else is wanted: what was refused before may go now.
    pub fn want(&mut self, wanted: Wanted, now: Timestamp) {
        (self.wanted, self.wanted_at, self.trouble) = (wanted, now, Trouble::default());
    }

    /// Takes over how Apple has it, and notes when that became so.
    pub fn see(&mut self, record: Record, now: Timestamp) {
        let (was, is) = (self.is_active(), record.status.is_active());
        if is && !was {
            (self.registered_at, self.associated_at, self.retired_at) = (Some(now), None, None);
        }
        if record.status == UserStatus::Associated && self.record.status != UserStatus::Associated {
            self.associated_at = Some(now);
        }
        if was && !is {
            self.retired_at = Some(now);
        }
        self.record = record;
    }
}

const COLUMNS: &str = "location_id, client_user_id, person_id, wanted, wanted_at, status, email, id_hash, invite_code, \
                       told_email, told_account, registered_at, associated_at, retired_at, problem_number, problem, \
                       refused, apart, tries, not_before";

fn read(row: &rusqlite::Row<'_>) -> Result<User, StoreError> {
    let wanted: String = row.get(3)?;
    Ok(User {
        location: LocationId(row.get(0)?),
        client_user_id: row.get(1)?,
        person: row.get::<_, Option<i64>>(2)?.map(PersonId),
        wanted: Wanted::from_word(&wanted).ok_or_else(|| StoreError::Damaged(format!("wanted {wanted}")))?,
        wanted_at: time(row.get(4)?)?,
        record: Record {
            status: UserStatus::from(row.get::<_, String>(5)?.as_str()),
            email: row.get(6)?,
            id_hash: row.get(7)?,
            invite_code: row.get::<_, Option<String>>(8)?.as_deref().and_then(InviteCode::read),
        },
        told: Details { email: row.get(9)?, account: row.get(10)? },
        registered_at: maybe_time(row.get(11)?)?,
        associated_at: maybe_time(row.get(12)?)?,
        retired_at: maybe_time(row.get(13)?)?,
        trouble: Trouble {
            number: row.get(14)?,
            words: row.get(15)?,
            refused: row.get(16)?,
            apart: row.get(17)?,
            tries: row.get(18)?,
            not_before: maybe_time(row.get(19)?)?,
        },
    })
}

/// All of a location.
pub fn of_location(connection: &Connection, location: LocationId) -> Result<Vec<User>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM user WHERE location_id = ?1 ORDER BY client_user_id");
    rows(connection, &sql, [location.0], read)
}

/// Those of a location that others have made.
pub fn foreign(connection: &Connection, location: LocationId) -> Result<Vec<User>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM user WHERE location_id = ?1 AND person_id IS NULL ORDER BY email, client_user_id"
    );
    rows(connection, &sql, [location.0], read)
}

/// Those of a location of whom something is wanted and who are in no request, oldest wish first, with what the person is
/// called now.
pub fn wanted(connection: &Connection, location: LocationId) -> Result<Vec<(User, Details)>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS}, (SELECT p.email FROM person p WHERE p.id = u.person_id),
             (SELECT p.managed_account FROM person p WHERE p.id = u.person_id) FROM user u WHERE location_id = ?1 AND wanted <> 'as-is' AND NOT refused
             AND NOT EXISTS (SELECT 1 FROM user_change c
                 WHERE c.location_id = u.location_id AND c.client_user_id = u.client_user_id)
         ORDER BY wanted_at, client_user_id"
    );
    rows(connection, &sql, [location.0], |row| Ok((read(row)?, Details { email: row.get(20)?, account: row.get(21)? })))
}

/// A person's registrations, in the order of the locations.
pub fn of_person(connection: &Connection, person: PersonId) -> Result<Vec<User>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM user WHERE person_id = ?1
         ORDER BY (SELECT position FROM location l WHERE l.id = user.location_id), location_id"
    );
    rows(connection, &sql, [person.0], read)
}

/// The one of a location with this id.
pub fn get(connection: &Connection, location: LocationId, id: &str) -> Result<Option<User>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM user WHERE location_id = ?1 AND client_user_id = ?2");
    row(connection, &sql, params![location.0, id], read)
}

/// Keeps a user.
pub fn put(connection: &Connection, user: &User) -> Result<(), StoreError> {
    let User { record, told, trouble, .. } = user;
    execute(
        connection,
        &format!(
            "INSERT INTO user ({COLUMNS})
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20)
             ON CONFLICT DO UPDATE SET person_id = ?3, wanted = ?4, wanted_at = ?5, status = ?6, email = ?7,
                 id_hash = ?8, invite_code = ?9, told_email = ?10, told_account = ?11, registered_at = ?12,
                 associated_at = ?13, retired_at = ?14, problem_number = ?15, problem = ?16, refused = ?17,
                 apart = ?18, tries = ?19, not_before = ?20"
        ),
        params![
            user.location.0,
            user.client_user_id,
            user.person.map(|id| id.0),
            user.wanted.word(),
            micros(user.wanted_at),
            record.status.word(),
            record.email,
            record.id_hash,
            record.invite_code.as_ref().map(InviteCode::reveal),
            told.email,
            told.account,
            user.registered_at.map(micros),
            user.associated_at.map(micros),
            user.retired_at.map(micros),
            trouble.number,
            trouble.words,
            trouble.refused,
            trouble.apart,
            trouble.tries,
            trouble.not_before.map(micros)
        ],
    )?;
    Ok(())
}

fn forget(connection: &Connection, user: &User) -> Result<(), StoreError> {
    let sql = "DELETE FROM user WHERE location_id = ?1 AND client_user_id = ?2";
    execute(connection, sql, params![user.location.0, user.client_user_id])?;
    Ok(())
}

/// How a listing differs from what was known, in active users.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Changed {
    pub added: u64,
    pub gone: u64,
    /// Users of whom only an older record was listed: what counts is not known.
    pub doubtful: u64,
}

/// Takes over what Apple listed. From a listing that is not `whole` nobody is concluded to be gone.
pub fn apply(
    connection: &Connection,
    location: LocationId,
    listed: &[(String, Record)],
    whole: bool,
    version: &str,
    now: Timestamp,
) -> Result<Changed, StoreError> {
    let mut changed = Changed::default();
    for (id, record) in listed {
        match get(connection, location, id)? {
            Some(user) if user.record == *record => {}
            // The record that was linked to another account may be one of earlier times.
            Some(user)
                if !whole && user.is_active() && !record.status.is_active() && other_account(&user.record, record) =>
            {
                changed.doubtful += 1;
            }
            known => {
                let mut user = match known {
                    Some(user) => user,
                    None => discovered(connection, location, id, record, now)?,
                };
                changed.count(user.is_active(), record.status.is_active());
                user.see(record.clone(), now);
                keep_or_forget(connection, &user)?;
            }
        }
    }
    if whole {
        let listed: HashSet<&str> = listed.iter().map(|(id, _)| id.as_str()).collect();
        for mut user in of_location(connection, location)? {
            if user.record != Record::none() && !listed.contains(user.client_user_id.as_str()) {
                changed.count(user.is_active(), false);
                user.see(Record::none(), now);
                keep_or_forget(connection, &user)?;
            }
        }
    }
    execute(
        connection,
        "INSERT INTO users_read (location_id, version, read_at) VALUES (?1, ?2, ?3)
         ON CONFLICT DO UPDATE SET version = ?2, read_at = ?3",
        params![location.0, version, micros(now)],
    )?;
    Ok(changed)
}

impl Changed {
    fn count(&mut self, was: bool, is: bool) {
        self.added += u64::from(is && !was);
        self.gone += u64::from(was && !is);
    }
}

fn other_account(known: &Record, listed: &Record) -> bool {
    matches!((&known.id_hash, &listed.id_hash), (Some(known), Some(listed)) if known != listed)
}

/// A user who was not known under this location: a person's whom we know by the GUID, or another MDM's.
fn discovered(
    connection: &Connection,
    location: LocationId,
    id: &str,
    record: &Record,
    now: Timestamp,
) -> Result<User, StoreError> {
    let person = persons::by_client_user_id(connection, id)?;
    let wanted = match (&person, record.status.is_active()) {
        (None, _) => Wanted::AsIs,
        (Some(_), true) => Wanted::Registered,
        (Some(_), false) => Wanted::Retired,
    };
    let mut user = User::new(location, id, person.as_ref().map(|person| person.id), wanted, now);
    let linked = record.status == UserStatus::Associated;
    user.told = Details {
        email: Some(record.email.clone()).filter(|email| !email.is_empty()),
        account: person.and_then(|person| person.managed_account).filter(|_| linked),
    };
    Ok(user)
}

/// Another MDM's user who is not active any more is of no interest.
pub fn keep_or_forget(connection: &Connection, user: &User) -> Result<(), StoreError> {
    if user.person.is_none() && !user.is_active() { forget(connection, user) } else { put(connection, user) }
}

/// Where the next read of changes starts; `None` when everything has to be listed.
pub fn version(connection: &Connection, location: LocationId) -> Result<Option<String>, StoreError> {
    let found =
        row(connection, "SELECT version FROM users_read WHERE location_id = ?1", [location.0], |row| Ok(row.get(0)?));
    Ok(found?.flatten())
}

/// When Apple should be asked what it knows of our users that we do not: at once when a request ended after they were read
/// last; soon when one of them, registered lately, was listed without what a registered user has, because lists may lag.
pub fn next_read(
    connection: &Connection,
    location: LocationId,
    now: Timestamp,
) -> Result<Option<Timestamp>, StoreError> {
    let sql = "SELECT coalesce((SELECT read_at FROM users_read WHERE location_id = ?1), 0),
                   EXISTS (SELECT 1 FROM user_event e WHERE e.location_id = ?1 AND e.state = 'settled' AND e.done > 0
                       AND e.settled_at > coalesce((SELECT read_at FROM users_read r WHERE r.location_id = ?1), 0)),
                   EXISTS (SELECT 1 FROM user WHERE location_id = ?1 AND person_id IS NOT NULL AND registered_at > ?2
                       AND ((status = 'Registered' AND invite_code IS NULL) OR (status = 'Associated' AND id_hash IS NULL)))";
    let lately = micros(now).saturating_sub(LATELY.as_micros() as i64);
    let found =
        row(connection, sql, params![location.0, lately], |row| Ok((time(row.get(0)?)?, row.get(1)?, row.get(2)?)))?;
    Ok(match found {
        Some((_, true, _)) => Some(now),
        Some((read_at, false, true)) => Some(after(read_at, LAG)),
        _ => None,
    })
}

/// How long Apple's list is asked for what belongs to a new user.
const LATELY: Duration = Duration::from_secs(3600);
/// How long Apple's list may lag behind.
const LAG: Duration = Duration::from_secs(120);
