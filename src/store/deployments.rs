//! Deployments: who gets what, and on which terms.

use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::{StoreError, execute, micros, row, rows, time};
use crate::model::{Delivery, DeploymentId, GroupId, LicenceKind, LocationId, Purpose, Target, UpdatePolicy};

/// A deployment as kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deployment {
    pub id: DeploymentId,
    pub adam_id: String,
    pub target: Target,
    pub purpose: Purpose,
    pub terms: Terms,
    pub created_at: Timestamp,
    pub created_by: String,
}

/// What a deployment says beside who gets what.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Terms {
    pub licence: LicenceKind,
    pub updates: UpdatePolicy,
    /// Higher goes first.
    pub priority: i64,
    /// Licences at most.
    pub quota: Option<u32>,
    /// First installs under way at once at most; never 0.
    pub wave: Option<u32>,
    /// Nothing is installed.
    pub licence_only: bool,
    /// Managed app configuration: a property list (XML), whose top is a dictionary.
    pub configuration: Option<String>,
    /// Attributes of the managed app: a JSON object.
    pub attributes: serde_json::Map<String, serde_json::Value>,
    pub delivery: Delivery,
    /// A device to which the app is declared offers it, instead of installing it.
    pub offered: bool,
    /// The App Store's number of the build that is wanted; it can only be declared.
    pub build: Option<u64>,
    /// Groups of which it does not speak; sorted.
    pub excluded: Vec<GroupId>,
    /// Locations whose licences it may use; none: all. Sorted.
    pub locations: Vec<LocationId>,
}

const COLUMNS: &str = "id, adam_id, target, purpose, licence, updates, priority, quota, wave, licence_only, \
                       configuration, attributes, created_at, created_by, delivery, offered, build";

fn read(row: &rusqlite::Row<'_>) -> Result<Deployment, StoreError> {
    let damaged = |what: &str, word: &str| StoreError::Damaged(format!("{what} {word}"));
    let word = |column: usize| -> Result<String, StoreError> { Ok(row.get(column)?) };
    let (target, purpose, licence, updates, attributes) = (word(2)?, word(3)?, word(4)?, word(5)?, word(11)?);
    let (delivery, build) = (word(14)?, row.get::<_, Option<i64>>(16)?);
    Ok(Deployment {
        id: DeploymentId(row.get(0)?),
        adam_id: row.get(1)?,
        target: target.parse().map_err(|_| damaged("target", &target))?,
        purpose: Purpose::from_word(&purpose).ok_or_else(|| damaged("purpose", &purpose))?,
        terms: Terms {
            licence: LicenceKind::from_word(&licence).ok_or_else(|| damaged("kind of licence", &licence))?,
            updates: UpdatePolicy::from_word(&updates).ok_or_else(|| damaged("update policy", &updates))?,
            priority: row.get(6)?,
            quota: row.get(7)?,
            wave: row.get(8)?,
            licence_only: row.get(9)?,
            configuration: row.get(10)?,
            attributes: serde_json::from_str(&attributes).map_err(|_| damaged("attributes", "that are no JSON"))?,
            delivery: Delivery::from_word(&delivery).ok_or_else(|| damaged("delivery", &delivery))?,
            offered: row.get(15)?,
            build: build.and_then(|build| build.try_into().ok()),
            excluded: Vec::new(),
            locations: Vec::new(),
        },
        created_at: time(row.get(12)?)?,
        created_by: row.get(13)?,
    })
}

/// With the groups and locations that it names.
fn whole(connection: &Connection, mut deployment: Deployment) -> Result<Deployment, StoreError> {
    let id = deployment.id.0;
    let sql = "SELECT group_id FROM deployment_excluded WHERE deployment_id = ?1 ORDER BY 1";
    deployment.terms.excluded = rows(connection, sql, [id], |row| Ok(GroupId(row.get(0)?)))?;
    let sql = "SELECT location_id FROM deployment_location WHERE deployment_id = ?1 ORDER BY 1";
    deployment.terms.locations = rows(connection, sql, [id], |row| Ok(LocationId(row.get(0)?)))?;
    Ok(deployment)
}

/// All, oldest first.
pub fn all(connection: &Connection) -> Result<Vec<Deployment>, StoreError> {
    let found = rows(connection, &format!("SELECT {COLUMNS} FROM deployment ORDER BY id"), [], read)?;
    found.into_iter().map(|deployment| whole(connection, deployment)).collect()
}

/// The one with this id.
pub fn by_id(connection: &Connection, id: DeploymentId) -> Result<Option<Deployment>, StoreError> {
    let found = row(connection, &format!("SELECT {COLUMNS} FROM deployment WHERE id = ?1"), [id.0], read)?;
    found.map(|deployment| whole(connection, deployment)).transpose()
}

/// Those of an app or book for a target: at most one for each purpose.
pub fn about(connection: &Connection, adam_id: &str, target: &Target) -> Result<Vec<Deployment>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM deployment WHERE adam_id = ?1 AND target = ?2 ORDER BY id");
    let found = rows(connection, &sql, params![adam_id, target.to_string()], read)?;
    found.into_iter().map(|deployment| whole(connection, deployment)).collect()
}

/// Adds one; `id` is not used. There must be none of the same app, target and purpose.
pub fn add(connection: &Connection, deployment: &Deployment) -> Result<DeploymentId, StoreError> {
    execute(
        connection,
        "INSERT INTO deployment (adam_id, target, purpose, created_at, created_by) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![
            deployment.adam_id,
            deployment.target.to_string(),
            deployment.purpose.word(),
            micros(deployment.created_at),
            deployment.created_by
        ],
    )?;
    let id = DeploymentId(connection.last_insert_rowid());
    edit(connection, &Deployment { id, ..deployment.clone() })?;
    Ok(id)
}

/// Keeps another purpose and other terms; app and target stay.
pub fn edit(connection: &Connection, deployment: &Deployment) -> Result<(), StoreError> {
    let (id, terms) = (deployment.id.0, &deployment.terms);
    execute(
        connection,
        "UPDATE deployment SET purpose = ?2, licence = ?3, updates = ?4, priority = ?5, quota = ?6, wave = ?7,
             licence_only = ?8, configuration = ?9, attributes = ?10, delivery = ?11, offered = ?12, build = ?13
         WHERE id = ?1",
        params![
            id,
            deployment.purpose.word(),
            terms.licence.word(),
            terms.updates.word(),
            terms.priority,
            terms.quota,
            terms.wave,
            terms.licence_only,
            terms.configuration,
            serde_json::Value::Object(terms.attributes.clone()).to_string(),
            terms.delivery.word(),
            terms.offered,
            terms.build.map(|build| i64::try_from(build).unwrap_or(i64::MAX))
        ],
    )?;
    execute(connection, "DELETE FROM deployment_excluded WHERE deployment_id = ?1", [id])?;
    for group in &terms.excluded {
        let sql = "INSERT INTO deployment_excluded (deployment_id, group_id) VALUES (?1, ?2)";
        execute(connection, sql, [id, group.0])?;
    }
    execute(connection, "DELETE FROM deployment_location WHERE deployment_id = ?1", [id])?;
    for location in &terms.locations {
        let sql = "INSERT INTO deployment_location (deployment_id, location_id) VALUES (?1, ?2)";
        execute(connection, sql, [id, location.0])?;
    }
    Ok(())
}

/// Removes one; false when there is none.
pub fn remove(connection: &Connection, id: DeploymentId) -> Result<bool, StoreError> {
    Ok(execute(connection, "DELETE FROM deployment WHERE id = ?1", [id.0])? > 0)
}
