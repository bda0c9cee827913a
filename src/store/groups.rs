//! Groups of devices and of people: their names, and who was put into them. Whom a rule means, [`super::membership`] tells.

use std::collections::BTreeSet;

use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::{StoreError, execute, micros, row, rows, time};
use crate::model::{DeploymentId, GroupId, GroupKind, LocationId, PersonId, SerialNumber, Source, Target};

/// A group as kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    pub id: GroupId,
    pub name: String,
    pub kind: GroupKind,
    /// Of kind `Rule`; empty otherwise.
    pub rule: String,
    pub source: Source,
    /// What the directory calls it.
    pub external_id: Option<String>,
    pub description: String,
    pub created_at: Timestamp,
    pub created_by: String,
}

const COLUMNS: &str = "id, name, kind, rule, source, external_id, description, created_at, created_by";

fn read(row: &rusqlite::Row<'_>) -> Result<Group, StoreError> {
    let (kind, source): (String, String) = (row.get(2)?, row.get(4)?);
    Ok(Group {
        id: GroupId(row.get(0)?),
        name: row.get(1)?,
        kind: GroupKind::from_word(&kind).ok_or_else(|| StoreError::Damaged(format!("kind of group {kind}")))?,
        rule: row.get(3)?,
        source: super::source(&source)?,
        external_id: row.get(5)?,
        description: row.get(6)?,
        created_at: time(row.get(7)?)?,
        created_by: row.get(8)?,
    })
}

/// All, by their names.
pub fn all(connection: &Connection) -> Result<Vec<Group>, StoreError> {
    rows(connection, &format!("SELECT {COLUMNS} FROM member_group ORDER BY name"), [], read)
}

/// The one with this number.
pub fn by_id(connection: &Connection, id: GroupId) -> Result<Option<Group>, StoreError> {
    row(connection, &format!("SELECT {COLUMNS} FROM member_group WHERE id = ?1"), [id.0], read)
}

/// The one with this name, whatever the case of its letters.
pub fn by_name(connection: &Connection, name: &str) -> Result<Option<Group>, StoreError> {
    row(connection, &format!("SELECT {COLUMNS} FROM member_group WHERE name = ?1"), [name], read)
}

/// Adds a group; `id` is not used.
pub fn add(connection: &Connection, group: &Group) -> Result<GroupId, StoreError> {
    execute(
        connection,
        "INSERT INTO member_group (name, kind, rule, source, external_id, description, created_at, created_by)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        params![
            group.name,
            group.kind.word(),
            group.rule,
            group.source.word(),
            group.external_id,
            group.description,
            micros(group.created_at),
            group.created_by
        ],
    )?;
    Ok(GroupId(connection.last_insert_rowid()))
}

/// Keeps another name, rule or description.
pub fn edit(connection: &Connection, group: &Group) -> Result<(), StoreError> {
    execute(
        connection,
        "UPDATE member_group SET name = ?2, rule = ?3, description = ?4 WHERE id = ?1",
        params![group.id.0, group.name, group.rule, group.description],
    )?;
    Ok(())
}

/// Removes a group with its members. Not while [`used_by`] tells of somebody.
pub fn remove(connection: &Connection, id: GroupId) -> Result<(), StoreError> {
    execute(connection, "DELETE FROM member_group WHERE id = ?1", [id.0])?;
    Ok(())
}

/// Who speaks of a group: deployments (as their target, or as excluded), and locations that it may draw licences from.
pub fn used_by(connection: &Connection, id: GroupId) -> Result<(Vec<DeploymentId>, Vec<String>), StoreError> {
    let sql = "SELECT id FROM deployment WHERE target = ?1
               UNION SELECT deployment_id FROM deployment_excluded WHERE group_id = ?2 ORDER BY 1";
    let deployments =
        rows(connection, sql, params![Target::Group(id).to_string(), id.0], |row| Ok(DeploymentId(row.get(0)?)))?;
    let sql = "SELECT l.name FROM location_group g JOIN location l ON l.id = g.location_id
               WHERE g.group_id = ?1 ORDER BY l.position";
    let locations = rows(connection, sql, [id.0], |row| Ok(row.get(0)?))?;
    Ok((deployments, locations))
}

/// The serial numbers that were put into a group.
pub fn serials(connection: &Connection, id: GroupId) -> Result<BTreeSet<String>, StoreError> {
    let sql = "SELECT serial FROM group_serial WHERE group_id = ?1";
    Ok(rows(connection, sql, [id.0], |row| Ok(row.get(0)?))?.into_iter().collect())
}

/// Puts a device into a group; false when it is there already.
pub fn add_serial(connection: &Connection, id: GroupId, serial: &SerialNumber) -> Result<bool, StoreError> {
    let sql = "INSERT INTO group_serial (group_id, serial) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
    Ok(execute(connection, sql, params![id.0, serial.as_str()])? > 0)
}

/// Takes a device out of a group; false when it is not there.
pub fn remove_serial(connection: &Connection, id: GroupId, serial: &str) -> Result<bool, StoreError> {
    let sql = "DELETE FROM group_serial WHERE group_id = ?1 AND serial = ?2";
    Ok(execute(connection, sql, params![id.0, serial])? > 0)
}

/// Who is in which people's group.
pub fn people(connection: &Connection) -> Result<BTreeSet<(PersonId, GroupId)>, StoreError> {
    let sql = "SELECT person_id, group_id FROM group_person";
    Ok(rows(connection, sql, [], |row| Ok((PersonId(row.get(0)?), GroupId(row.get(1)?))))?.into_iter().collect())
}

/// Puts a person into a group.
pub fn add_person(connection: &Connection, id: GroupId, person: PersonId) -> Result<(), StoreError> {
    let sql = "INSERT INTO group_person (group_id, person_id) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
    execute(connection, sql, [id.0, person.0])?;
    Ok(())
}

/// Takes a person out of a group.
pub fn remove_person(connection: &Connection, id: GroupId, person: PersonId) -> Result<(), StoreError> {
    execute(connection, "DELETE FROM group_person WHERE group_id = ?1 AND person_id = ?2", [id.0, person.0])?;
    Ok(())
}

/// The groups that may draw licences from a location; none: everybody may.
pub fn of_location(connection: &Connection, location: LocationId) -> Result<Vec<GroupId>, StoreError> {
    let sql = "SELECT group_id FROM location_group WHERE location_id = ?1 ORDER BY group_id";
    rows(connection, sql, [location.0], |row| Ok(GroupId(row.get(0)?)))
}

/// Says which groups may draw licences from a location.
pub fn set_of_location(connection: &Connection, location: LocationId, groups: &[GroupId]) -> Result<(), StoreError> {
    execute(connection, "DELETE FROM location_group WHERE location_id = ?1", [location.0])?;
    for group in groups {
        let sql = "INSERT INTO location_group (location_id, group_id) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
        execute(connection, sql, [location.0, group.0])?;
    }
    Ok(())
}
