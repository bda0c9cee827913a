//! Deployments: who gets what.

use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::{StoreError, execute, micros, row, rows, time};
use crate::model::{DeploymentId, Purpose, Target};

/// A deployment as kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deployment {
    pub id: DeploymentId,
    pub adam_id: String,
    pub target: Target,
    pub purpose: Purpose,
    pub created_at: Timestamp,
    pub created_by: String,
}

const COLUMNS: &str = "id, adam_id, target, purpose, created_at, created_by";

fn read(row: &rusqlite::Row<'_>) -> Result<Deployment, StoreError> {
    let (target, purpose): (String, String) = (row.get(2)?, row.get(3)?);
    Ok(Deployment {
        id: DeploymentId(row.get(0)?),
        adam_id: row.get(1)?,
        target: target.parse().map_err(|_| StoreError::Damaged(format!("target {target}")))?,
        purpose: Purpose::from_word(&purpose).ok_or_else(|| StoreError::Damaged(format!("purpose {purpose}")))?,
        created_at: time(row.get(4)?)?,
        created_by: row.get(5)?,
    })
}

/// All, oldest first.
pub fn all(connection: &Connection) -> Result<Vec<Deployment>, StoreError> {
    rows(connection, &format!("SELECT {COLUMNS} FROM deployment ORDER BY id"), [], read)
}

/// The one with this id.
pub fn by_id(connection: &Connection, id: DeploymentId) -> Result<Option<Deployment>, StoreError> {
    row(connection, &format!("SELECT {COLUMNS} FROM deployment WHERE id = ?1"), [id.0], read)
}

/// Adds one; the same again gives the one that is there.
pub fn add(
    connection: &Connection,
    adam_id: &str,
    target: &Target,
    purpose: Purpose,
    now: Timestamp,
    by: &str,
) -> Result<Deployment, StoreError> {
    execute(
        connection,
        "INSERT INTO deployment (adam_id, target, purpose, created_at, created_by) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT DO NOTHING",
        params![adam_id, target.to_string(), purpose.word(), micros(now), by],
    )?;
    let sql = format!("SELECT {COLUMNS} FROM deployment WHERE adam_id = ?1 AND target = ?2 AND purpose = ?3");
    row(connection, &sql, params![adam_id, target.to_string(), purpose.word()], read)?
        .ok_or_else(|| StoreError::Damaged("a deployment vanished while it was added".into()))
}

/// Removes one; false when there is none.
pub fn remove(connection: &Connection, id: DeploymentId) -> Result<bool, StoreError> {
    Ok(execute(connection, "DELETE FROM deployment WHERE id = ?1", [id.0])? > 0)
}
