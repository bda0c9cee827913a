//! What syncs found changed at Apple without a request of ours: licences bought, refunded or moved, licences taken back by
//! other hands. Kept as long as finished tasks are.
//!
//! Only what was seen; what it means is said elsewhere.

use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::assignments::{Assignment, Holder};
use super::{StoreError, execute, micros, rows, time};
use crate::model::LocationId;

/// A location owns more or fewer licences of an asset than at the sync before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CountChange {
    pub location: LocationId,
    pub adam_id: String,
    pub pricing_param: String,
    pub delta: i64,
    pub seen_at: Timestamp,
}

/// A licence that other hands have taken back, as far as known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakenBack {
    pub location: LocationId,
    pub assignment: Assignment,
    pub seen_at: Timestamp,
}

/// A sync found the count of an asset changed.
pub fn count_changed(
    connection: &Connection,
    location: LocationId,
    asset: (&str, &str),
    delta: i64,
    now: Timestamp,
) -> Result<(), StoreError> {
    execute(
        connection,
        "INSERT INTO count_change (location_id, adam_id, pricing_param, delta, seen_at) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![location.0, asset.0, asset.1, delta, micros(now)],
    )?;
    Ok(())
}

/// A sync found these taken back.
pub fn taken_back(
    connection: &Connection,
    location: LocationId,
    taken: &[Assignment],
    now: Timestamp,
) -> Result<(), StoreError> {
    for assignment in taken {
        let (kind, holder) = assignment.holder.parts();
        execute(
            connection,
            "INSERT INTO taken_back (location_id, adam_id, pricing_param, holder_kind, holder, seen_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO UPDATE SET seen_at = excluded.seen_at",
            params![location.0, assignment.adam_id, assignment.pricing_param, kind, holder, micros(now)],
        )?;
    }
    Ok(())
}

/// All changes of counts that are kept, oldest first.
pub fn count_changes(connection: &Connection) -> Result<Vec<CountChange>, StoreError> {
    let sql = "SELECT location_id, adam_id, pricing_param, delta, seen_at FROM count_change ORDER BY id";
    rows(connection, sql, [], |row| {
        Ok(CountChange {
            location: LocationId(row.get(0)?),
            adam_id: row.get(1)?,
            pricing_param: row.get(2)?,
            delta: row.get(3)?,
            seen_at: time(row.get(4)?)?,
        })
    })
}

/// What was taken back and is not held again, nor about to be.
pub fn still_taken_back(connection: &Connection) -> Result<Vec<TakenBack>, StoreError> {
    let sql = "SELECT t.location_id, t.adam_id, t.pricing_param, t.holder_kind, t.holder, t.seen_at
        FROM taken_back t JOIN location l ON l.id = t.location_id
        WHERE NOT EXISTS (SELECT 1 FROM assignment a WHERE a.location_id = t.location_id
                AND a.generation = l.generation AND a.adam_id = t.adam_id AND a.pricing_param = t.pricing_param
                AND a.holder_kind = t.holder_kind AND a.holder = t.holder)
            AND NOT EXISTS (SELECT 1 FROM reservation r WHERE r.location_id = t.location_id
                AND r.adam_id = t.adam_id AND r.pricing_param = t.pricing_param AND r.holder = t.holder
                AND r.holder_kind = t.holder_kind)";
    rows(connection, sql, [], |row| {
        let holder = Holder::read(row, 3, 4)?;
        Ok(TakenBack {
            location: LocationId(row.get(0)?),
            assignment: Assignment { adam_id: row.get(1)?, pricing_param: row.get(2)?, holder },
            seen_at: time(row.get(5)?)?,
        })
    })
}

/// What another holder than the known devices holds.
pub struct Strange {
    pub location: LocationId,
    pub assignment: Assignment,
    /// The holder is a user whom vppd has registered.
    pub ours: bool,
}

/// What users hold and vppd has not given them, and serial numbers that never enrolled; and what somebody else gave a device
/// which holds the same app from vppd.
pub fn held_by_strangers(connection: &Connection) -> Result<Vec<Strange>, StoreError> {
    let sql = "SELECT a.location_id, a.adam_id, a.pricing_param, a.holder_kind, a.holder,
            a.holder_kind = 'user' AND EXISTS (SELECT 1 FROM user u WHERE u.location_id = a.location_id
                AND u.client_user_id = a.holder AND u.person_id IS NOT NULL)
        FROM assignment a JOIN location l ON l.id = a.location_id AND l.generation = a.generation
        WHERE a.holder_kind = 'user' AND NOT EXISTS (SELECT 1 FROM own_licence o WHERE o.location_id = a.location_id
                AND o.adam_id = a.adam_id AND o.pricing_param = a.pricing_param AND o.holder_kind = 'user'
                AND o.holder = a.holder)
            OR a.holder_kind = 'serial' AND (NOT EXISTS (SELECT 1 FROM device d
            WHERE d.serial = a.holder AND d.serial <> '')
            OR NOT EXISTS (SELECT 1 FROM own_licence o WHERE o.location_id = a.location_id AND o.adam_id = a.adam_id
                AND o.pricing_param = a.pricing_param AND o.holder_kind = 'serial' AND o.holder = a.holder)
            AND EXISTS (SELECT 1 FROM own_licence o JOIN location ol ON ol.id = o.location_id
                JOIN assignment b ON b.location_id = o.location_id AND b.generation = ol.generation
                    AND b.adam_id = o.adam_id AND b.pricing_param = o.pricing_param
                    AND b.holder_kind = 'serial' AND b.holder = o.holder
                WHERE o.holder_kind = 'serial' AND o.holder = a.holder AND o.adam_id = a.adam_id))";
    rows(connection, sql, [], |row| {
        let holder = Holder::read(row, 3, 4)?;
        let assignment = Assignment { adam_id: row.get(1)?, pricing_param: row.get(2)?, holder };
        Ok(Strange { location: LocationId(row.get(0)?), assignment, ours: row.get(5)? })
    })
}

/// Forgets what was seen before `time`.
pub fn forget_before(connection: &Connection, time: Timestamp) -> Result<(), StoreError> {
    execute(connection, "DELETE FROM count_change WHERE seen_at < ?1", [micros(time)])?;
    execute(connection, "DELETE FROM taken_back WHERE seen_at < ?1", [micros(time)])?;
    Ok(())
}
