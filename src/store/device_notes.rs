//! What administrators and the directory say of a device, by its serial number, enrolled or not yet.

use rusqlite::{Connection, params};

use super::{StoreError, execute, json_list, list, row, rows};
use crate::model::{Ownership, PersonId, Source};

/// A note as kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    pub serial: String,
    pub person: Option<PersonId>,
    /// Who said whose it is.
    pub person_source: Option<Source>,
    pub ownership: Ownership,
    /// Sorted, each once.
    pub tags: Vec<String>,
}

impl Note {
    /// Of a device of which nobody has said anything.
    pub fn empty(serial: &str) -> Note {
        Note {
            serial: serial.to_owned(),
            person: None,
            person_source: None,
            ownership: Ownership::Organisation,
            tags: Vec::new(),
        }
    }
}

const COLUMNS: &str = "serial, person_id, person_source, ownership, tags";

fn read(row: &rusqlite::Row<'_>) -> Result<Note, StoreError> {
    let (source, ownership): (Option<String>, String) = (row.get(2)?, row.get(3)?);
    Ok(Note {
        serial: row.get(0)?,
        person: row.get::<_, Option<i64>>(1)?.map(PersonId),
        person_source: source.as_deref().map(super::source).transpose()?,
        ownership: Ownership::from_word(&ownership)
            .ok_or_else(|| StoreError::Damaged(format!("ownership {ownership}")))?,
        tags: list(&row.get::<_, String>(4)?)?,
    })
}

/// All, by their serial numbers.
pub fn all(connection: &Connection) -> Result<Vec<Note>, StoreError> {
    rows(connection, &format!("SELECT {COLUMNS} FROM device_note ORDER BY serial"), [], read)
}

/// What is said of a device; an empty note when nothing is.
pub fn get(connection: &Connection, serial: &str) -> Result<Note, StoreError> {
    let found = row(connection, &format!("SELECT {COLUMNS} FROM device_note WHERE serial = ?1"), [serial], read)?;
    Ok(found.unwrap_or_else(|| Note::empty(serial)))
}

/// Keeps a note.
pub fn put(connection: &Connection, note: &Note) -> Result<(), StoreError> {
    execute(
        connection,
        "INSERT INTO device_note (serial, person_id, person_source, ownership, tags) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT DO UPDATE SET person_id = excluded.person_id, person_source = excluded.person_source,
             ownership = excluded.ownership, tags = excluded.tags",
        params![
            note.serial,
            note.person.map(|id| id.0),
            note.person_source.map(Source::word),
            note.ownership.word(),
            json_list(&note.tags)
        ],
    )?;
    Ok(())
}
