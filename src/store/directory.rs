//! How the last look at each directory went, and taking people out of their groups once they are gone for good.

use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::{StoreError, execute, json_list, list, maybe_time, micros, row, rows, time};
use crate::model::{PersonId, Source};

/// What became of the last look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    TakenOver,
    /// It could not be read, or contradicts itself: nothing was changed.
    Refused,
    /// So many people are missing that a person has to confirm it: nothing was changed.
    Held,
}

const STATES: [(State, &str); 3] =
    [(State::TakenOver, "taken-over"), (State::Refused, "refused"), (State::Held, "held")];

/// The last look at a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    pub source: Source,
    pub looked_at: Timestamp,
    /// When a listing was taken over last.
    pub taken_at: Option<Timestamp>,
    /// In that listing.
    pub people: u64,
    pub state: State,
    pub problems: Vec<String>,
}

/// All, by their sources.
pub fn all(connection: &Connection) -> Result<Vec<Look>, StoreError> {
    let sql = "SELECT source, looked_at, taken_at, people, state, problems FROM directory ORDER BY source";
    rows(connection, sql, [], |row| {
        let word: String = row.get(4)?;
        let state = STATES.iter().find(|(_, known)| *known == word).map(|(state, _)| *state);
        Ok(Look {
            source: super::source(&row.get::<_, String>(0)?)?,
            looked_at: time(row.get(1)?)?,
            taken_at: maybe_time(row.get(2)?)?,
            people: row.get::<_, i64>(3)?.max(0) as u64,
            state: state.ok_or_else(|| StoreError::Damaged(format!("state of a directory {word}")))?,
            problems: list(&row.get::<_, String>(5)?)?,
        })
    })
}

/// Keeps a look. Unless a listing was taken over (`people`), what is known of the last one stays.
pub fn looked(
    connection: &Connection,
    source: Source,
    state: State,
    people: Option<u64>,
    problems: &[String],
    now: Timestamp,
) -> Result<(), StoreError> {
    let word = STATES.iter().find(|(known, _)| *known == state).map(|(_, word)| *word).unwrap_or_default();
    let people = people.map(|people| i64::try_from(people).unwrap_or(i64::MAX));
    execute(
        connection,
        "INSERT INTO directory (source, looked_at, taken_at, people, state, problems)
         VALUES (?1, ?2, CASE WHEN ?3 IS NULL THEN NULL ELSE ?2 END, coalesce(?3, 0), ?4, ?5)
         ON CONFLICT DO UPDATE SET looked_at = ?2, state = ?4, problems = ?5, people = coalesce(?3, people),
             taken_at = CASE WHEN ?3 IS NULL THEN taken_at ELSE ?2 END",
        params![source.word(), micros(now), people, word, json_list(problems)],
    )?;
    Ok(())
}

/// People who are gone since before `time` and still in a group or with a device that the directory gave them.
pub fn gone_since_before(connection: &Connection, time: Timestamp) -> Result<Vec<(PersonId, String)>, StoreError> {
    let sql = "SELECT id, email FROM person p WHERE gone_at <= ?1 AND (
                   EXISTS (SELECT 1 FROM group_person g WHERE g.person_id = p.id)
                   OR EXISTS (SELECT 1 FROM device_note n WHERE n.person_id = p.id AND n.person_source <> 'hand'))
               ORDER BY id";
    rows(connection, sql, [micros(time)], |row| Ok((PersonId(row.get(0)?), row.get(1)?)))
}

/// Takes a person out of all groups, and away from the devices that a directory gave it.
pub fn let_go(connection: &Connection, person: PersonId) -> Result<(), StoreError> {
    execute(connection, "DELETE FROM group_person WHERE person_id = ?1", [person.0])?;
    let sql = "UPDATE device_note SET person_id = NULL, person_source = NULL
               WHERE person_id = ?1 AND person_source <> 'hand'";
    execute(connection, sql, [person.0])?;
    Ok(())
}

/// Whether anybody is known from a source.
pub fn knows_anybody(connection: &Connection, source: Source) -> Result<bool, StoreError> {
    Ok(row(connection, "SELECT 1 FROM person WHERE source = ?1", [source.word()], |_| Ok(()))?.is_some())
}
