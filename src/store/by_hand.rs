//! Decisions by hand: who shall hold an app, or shall not, whatever the deployments say, until the decision is released.

use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::{StoreError, execute, micros, row, rows, time};
use crate::model::{Holder, LocationId};

/// What was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    Assigned,
    Revoked,
}

impl Decision {
    /// The word for the disk.
    pub fn word(self) -> &'static str {
        match self {
            Decision::Assigned => "assigned",
            Decision::Revoked => "revoked",
        }
    }

    /// The decision for a word.
    pub fn from_word(word: &str) -> Option<Decision> {
        [Decision::Assigned, Decision::Revoked].into_iter().find(|decision| decision.word() == word)
    }
}

/// A decision as kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ByHand {
    pub adam_id: String,
    pub holder: Holder,
    pub decision: Decision,
    /// Whose licence is meant; `None`: whichever comes first.
    pub location: Option<LocationId>,
    /// With an assigned licence: whether the app is installed, too.
    pub install: bool,
    pub decided_at: Timestamp,
    pub decided_by: String,
}

const COLUMNS: &str = "adam_id, holder_kind, holder, decision, location_id, install, decided_at, decided_by";

fn read(row: &rusqlite::Row<'_>) -> Result<ByHand, StoreError> {
    let word: String = row.get(3)?;
    Ok(ByHand {
        adam_id: row.get(0)?,
        holder: Holder::read(row, 1, 2)?,
        decision: Decision::from_word(&word).ok_or_else(|| StoreError::Damaged(format!("decision {word}")))?,
        location: row.get::<_, Option<i64>>(4)?.map(LocationId),
        install: row.get(5)?,
        decided_at: time(row.get(6)?)?,
        decided_by: row.get(7)?,
    })
}

/// All, by app and holder.
pub fn all(connection: &Connection) -> Result<Vec<ByHand>, StoreError> {
    rows(connection, &format!("SELECT {COLUMNS} FROM by_hand ORDER BY adam_id, holder_kind, holder"), [], read)
}

/// What was decided about an app and a holder.
pub fn get(connection: &Connection, adam_id: &str, holder: &Holder) -> Result<Option<ByHand>, StoreError> {
    let (kind, id) = holder.parts();
    let sql = format!("SELECT {COLUMNS} FROM by_hand WHERE adam_id = ?1 AND holder_kind = ?2 AND holder = ?3");
    row(connection, &sql, params![adam_id, kind, id], read)
}

/// Keeps a decision in place of an earlier one about the same app and holder.
pub fn put(connection: &Connection, decided: &ByHand) -> Result<(), StoreError> {
    let (kind, id) = decided.holder.parts();
    execute(
        connection,
        &format!(
            "INSERT INTO by_hand ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
             ON CONFLICT DO UPDATE SET decision = ?4, location_id = ?5, install = ?6, decided_at = ?7, decided_by = ?8"
        ),
        params![
            decided.adam_id,
            kind,
            id,
            decided.decision.word(),
            decided.location.map(|location| location.0),
            decided.install,
            micros(decided.decided_at),
            decided.decided_by
        ],
    )?;
    Ok(())
}

/// From now on the deployments decide again; false when nothing was decided by hand.
pub fn release(connection: &Connection, adam_id: &str, holder: &Holder) -> Result<bool, StoreError> {
    let (kind, id) = holder.parts();
    let sql = "DELETE FROM by_hand WHERE adam_id = ?1 AND holder_kind = ?2 AND holder = ?3";
    Ok(execute(connection, sql, params![adam_id, kind, id])? > 0)
}

/// Releases everything that was decided about a holder; tells how many decisions that were.
pub fn release_all(connection: &Connection, holder: &Holder) -> Result<usize, StoreError> {
    let (kind, id) = holder.parts();
    execute(connection, "DELETE FROM by_hand WHERE holder_kind = ?1 AND holder = ?2", [kind, id])
}
