//! Subscriptions of each location, by Apple's last count. Nothing is decided by them yet.

use rusqlite::{Connection, params};

use super::{StoreError, execute, rows};
use crate::model::LocationId;

/// Seats by what happens to them at the end of the period.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Seats {
    pub renewing: i64,
    pub expiring: i64,
}

/// A subscription as Apple counts it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    pub adam_id: String,
    /// The app it belongs to.
    pub parent_adam_id: Option<String>,
    /// Apple's word: `ACTIVE`, `INACTIVE`, `PAUSED`, or a newer one.
    pub status: String,
    /// Apple's day: `2027-02-01`; empty when it does not tell.
    pub period_end: String,
    pub assigned: Seats,
    pub available: Seats,
    pub total: Seats,
}

/// Replaces what is known of a location's subscriptions by what Apple listed. From a listing that is not `whole` nothing is
/// concluded to be gone.
pub fn replace(
    connection: &Connection,
    location: LocationId,
    all: &[Subscription],
    whole: bool,
) -> Result<(), StoreError> {
    if whole {
        execute(connection, "DELETE FROM subscription WHERE location_id = ?1", [location.0])?;
    }
    for one in all {
        execute(
            connection,
            "INSERT OR REPLACE INTO subscription (location_id, adam_id, parent_adam_id, status, period_end,
                 assigned_renewing, assigned_expiring, available_renewing, available_expiring, total_renewing,
                 total_expiring)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
            params![
                location.0,
                one.adam_id,
                one.parent_adam_id,
                one.status,
                one.period_end,
                one.assigned.renewing,
                one.assigned.expiring,
                one.available.renewing,
                one.available.expiring,
                one.total.renewing,
                one.total.expiring,
            ],
        )?;
    }
    Ok(())
}

/// All, by location in the order of the locations.
pub fn all(connection: &Connection) -> Result<Vec<(LocationId, Subscription)>, StoreError> {
    let sql =
        "SELECT s.location_id, s.adam_id, parent_adam_id, status, period_end, assigned_renewing, assigned_expiring,
                   available_renewing, available_expiring, total_renewing, total_expiring
               FROM subscription s JOIN location l ON l.id = s.location_id
               ORDER BY l.position, l.id, parent_adam_id, s.adam_id";
    rows(connection, sql, [], |row| {
        let seats =
            |at: usize| -> rusqlite::Result<Seats> { Ok(Seats { renewing: row.get(at)?, expiring: row.get(at + 1)? }) };
        let subscription = Subscription {
            adam_id: row.get(1)?,
            parent_adam_id: row.get(2)?,
            status: row.get(3)?,
            period_end: row.get(4)?,
            assigned: seats(5)?,
            available: seats(7)?,
            total: seats(9)?,
        };
        Ok((LocationId(row.get(0)?), subscription))
    })
}
