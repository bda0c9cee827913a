//! Requests to Apple about registered users, from the intention to the settled outcome, and who is in them. A user is in
//! one at most, so two opposite ones can never be under way.

use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::events::EventState;
use super::{StoreError, execute, maybe_time, micros, row, rows, tasks, time};
use crate::licensing::registration::Details;
use crate::model::{LocationId, UserVerb};

/// A request about users.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserEvent {
    pub id: String,
    pub location: LocationId,
    pub verb: UserVerb,
    pub state: EventState,
    /// How many users are in it.
    pub users: u64,
    /// Apple's id of it.
    pub event_id: Option<String>,
    pub intended_at: Timestamp,
    pub sent_at: Option<Timestamp>,
    pub next_look_at: Option<Timestamp>,
    /// How often Apple was asked how far it is.
    pub looks: u32,
}

/// A user in a request, and what Apple is told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub client_user_id: String,
    pub details: Details,
}

const STATES: [(EventState, &str); 4] = [
    (EventState::Intended, "intended"),
    (EventState::Sending, "sending"),
    (EventState::Unknown, "unknown"),
    (EventState::Accepted, "accepted"),
];

fn word(state: EventState) -> &'static str {
    STATES.iter().find(|(known, _)| *known == state).map_or("unknown", |(_, word)| word)
}

fn read(row: &rusqlite::Row<'_>) -> Result<UserEvent, StoreError> {
    let (verb, state): (String, String) = (row.get(2)?, row.get(3)?);
    let found = STATES.iter().find(|(_, word)| *word == state);
    Ok(UserEvent {
        id: row.get(0)?,
        location: LocationId(row.get(1)?),
        verb: UserVerb::from_word(&verb).ok_or_else(|| StoreError::Damaged(format!("verb {verb}")))?,
        state: found.ok_or_else(|| StoreError::Damaged(format!("event state {state}")))?.0,
        users: row.get::<_, i64>(4)?.max(0) as u64,
        event_id: row.get(5)?,
        intended_at: time(row.get(6)?)?,
        sent_at: maybe_time(row.get(7)?)?,
        next_look_at: maybe_time(row.get(8)?)?,
        looks: row.get(9)?,
    })
}

/// The requests of a location that are not settled, oldest first.
pub fn open(connection: &Connection, location: LocationId) -> Result<Vec<UserEvent>, StoreError> {
    let sql = "SELECT id, location_id, verb, state, users, event_id, intended_at, sent_at, next_look_at, looks
               FROM user_event WHERE location_id = ?1 AND state <> 'settled' ORDER BY intended_at, id";
    rows(connection, sql, [location.0], read)
}

/// Records the intention to ask for these changes.
pub fn intend(
    connection: &Connection,
    id: &str,
    location: LocationId,
    verb: UserVerb,
    changes: &[Change],
    now: Timestamp,
) -> Result<(), StoreError> {
    execute(
        connection,
        "INSERT INTO user_event (id, location_id, verb, state, users, intended_at) VALUES (?1, ?2, ?3, 'intended', ?4, ?5)",
        params![id, location.0, verb.word(), changes.len() as i64, micros(now)],
    )?;
    let what = match verb {
        UserVerb::Create => "registering",
        UserVerb::Update => "changing",
        UserVerb::Retire => "retiring",
    };
    let detail = format!("{what} {} users", changes.len());
    tasks::follow(connection, tasks::Request::Users, location, id, changes.len() as u64, &detail, now)?;
    for Change { client_user_id, details } in changes {
        execute(
            connection,
            "INSERT INTO user_change (location_id, client_user_id, event, email, managed_account) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![location.0, client_user_id, id, details.email, details.account],
        )?;
    }
    Ok(())
}

/// Who is in a request.
pub fn changes(connection: &Connection, id: &str) -> Result<Vec<Change>, StoreError> {
    let sql = "SELECT client_user_id, email, managed_account FROM user_change WHERE event = ?1 ORDER BY client_user_id";
    rows(connection, sql, [id], |row| {
        let details = Details { email: row.get(1)?, account: row.get(2)? };
        Ok(Change { client_user_id: row.get(0)?, details })
    })
}

/// Whether a request about this user is under way.
pub fn is_under_way(connection: &Connection, location: LocationId, client_user_id: &str) -> Result<bool, StoreError> {
    let sql = "SELECT 1 FROM user_change WHERE location_id = ?1 AND client_user_id = ?2";
    Ok(row(connection, sql, params![location.0, client_user_id], |_| Ok(()))?.is_some())
}

/// Keeps how far a request is.
pub fn save(connection: &Connection, event: &UserEvent) -> Result<(), StoreError> {
    execute(
        connection,
        "UPDATE user_event SET state = ?2, event_id = ?3, sent_at = ?4, next_look_at = ?5, looks = ?6 WHERE id = ?1",
        params![
            event.id,
            word(event.state),
            event.event_id,
            event.sent_at.map(micros),
            event.next_look_at.map(micros),
            event.looks
        ],
    )?;
    Ok(())
}

/// Ends a request: its users may be in another one. `done`: for how many it went through.
pub fn settle(connection: &Connection, id: &str, done: u64, now: Timestamp) -> Result<(), StoreError> {
    execute(connection, "DELETE FROM user_change WHERE event = ?1", [id])?;
    execute(
        connection,
        "UPDATE user_event SET state = 'settled', settled_at = ?2, done = ?3, next_look_at = NULL WHERE id = ?1",
        params![id, micros(now), done as i64],
    )?;
    Ok(())
}

/// After a start: what was being sent may have arrived or not. Looked at from `look_at` on.
pub fn after_restart(connection: &Connection, look_at: Timestamp) -> Result<usize, StoreError> {
    let sql = "UPDATE user_event SET state = 'unknown', next_look_at = ?1 WHERE state = 'sending'";
    execute(connection, sql, [micros(look_at)])
}

/// Forgets requests that were settled before `time`.
pub fn forget_before(connection: &Connection, time: Timestamp) -> Result<usize, StoreError> {
    execute(connection, "DELETE FROM user_event WHERE state = 'settled' AND settled_at < ?1", [micros(time)])
}
