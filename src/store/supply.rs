//! What there is of one app or book: its licences at each location, and who holds one. For looking at one thing before it is
//! decided; plans count everything at once in [`super::snapshot`].

use std::collections::HashSet;

use rusqlite::Connection;

use super::{StoreError, list, rows};
use crate::model::LocationId;

/// Licences of one kind at one location.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Supply {
    pub location: LocationId,
    pub product_type: String,
    pub device_assignable: bool,
    pub revocable: bool,
    /// As many as wanted: `free` means nothing.
    pub unlimited: bool,
    pub platforms: Vec<String>,
    /// Neither assigned, nor asked for, nor coming back.
    pub free: u64,
}

/// The licences of an app or book, in the order of the locations.
pub fn of(connection: &Connection, adam_id: &str) -> Result<Vec<Supply>, StoreError> {
    let sql = "SELECT s.location_id, s.product_type, s.device_assignable, s.revocable, s.unlimited, s.platforms,
            s.total_count - s.elsewhere_count
            - (SELECT count(*) FROM assignment a WHERE a.location_id = l.id AND a.generation = l.generation
                AND a.adam_id = s.adam_id AND a.pricing_param = s.pricing_param)
            - (SELECT count(*) FROM reservation r JOIN licence_event e ON e.id = r.event
                WHERE r.location_id = l.id AND r.adam_id = s.adam_id AND r.pricing_param = s.pricing_param
                AND e.verb = 'associate' AND NOT EXISTS (SELECT 1 FROM assignment a WHERE a.location_id = l.id
                    AND a.generation = l.generation AND a.adam_id = s.adam_id AND a.pricing_param = s.pricing_param
                    AND a.holder_kind = r.holder_kind AND a.holder = r.holder))
            - (SELECT count(*) FROM returning_licence t WHERE t.location_id = l.id AND t.adam_id = s.adam_id
                AND t.pricing_param = s.pricing_param)
        FROM asset s JOIN location l ON l.id = s.location_id
        WHERE s.adam_id = ?1 ORDER BY l.position, s.pricing_param";
    rows(connection, sql, [adam_id], |row| {
        Ok(Supply {
            location: LocationId(row.get(0)?),
            product_type: row.get(1)?,
            device_assignable: row.get(2)?,
            revocable: row.get(3)?,
            unlimited: row.get(4)?,
            platforms: list(&row.get::<_, String>(5)?)?,
            free: row.get::<_, i64>(6)?.max(0) as u64,
        })
    })
}

/// Who holds a licence of it, or is about to: serial numbers, and clientUserIds.
pub fn holders(connection: &Connection, adam_id: &str) -> Result<(HashSet<String>, HashSet<String>), StoreError> {
    let sql = "SELECT a.holder_kind, a.holder FROM assignment a JOIN location l ON l.id = a.location_id
                   AND l.generation = a.generation WHERE a.adam_id = ?1
               UNION SELECT r.holder_kind, r.holder FROM reservation r JOIN licence_event e ON e.id = r.event
                   WHERE r.adam_id = ?1 AND e.verb = 'associate'";
    let all: Vec<(String, String)> = rows(connection, sql, [adam_id], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let (users, serials): (Vec<_>, Vec<_>) = all.into_iter().partition(|(kind, _)| kind == "user");
    let holder = |(_, holder)| holder;
    Ok((serials.into_iter().map(holder).collect(), users.into_iter().map(holder).collect()))
}
