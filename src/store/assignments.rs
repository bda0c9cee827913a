//! Assignments: who holds what at Apple, as far as read or done by us.
//!
//! A full sync stages its rows under a new generation in batches, so that it never holds the writer for long, and then
//! makes that generation the one that counts by changing one row. A reader never sees half.

use std::cmp::Ordering;
use std::collections::HashSet;

use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::{StoreError, execute, locations, micros, row, rows};
use crate::model::{HolderKind, LocationId};

pub use crate::model::Holder;

impl Holder {
    /// As the database keeps it: the kind and the id.
    pub(super) fn parts(&self) -> (&'static str, &str) {
        (self.kind().word(), self.id())
    }

    /// From the two columns in which the database keeps it.
    pub(super) fn read(row: &rusqlite::Row<'_>, kind: usize, id: usize) -> Result<Holder, StoreError> {
        let word: String = row.get(kind)?;
        let kind = HolderKind::from_word(&word).ok_or_else(|| StoreError::Damaged(format!("holder kind {word}")))?;
        Ok(Holder::of(kind, row.get(id)?))
    }
}

/// One assignment.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Assignment {
    pub adam_id: String,
    pub pricing_param: String,
    pub holder: Holder,
}

/// Which generation comes after the one that counts. What an interrupted sync left under that number has to go before it is
/// staged: [`forget_others`].
pub fn next_generation(connection: &Connection, location: LocationId) -> Result<i64, StoreError> {
    Ok(current(connection, location)? + 1)
}

/// Adds rows to a generation and tells how many were not there yet.
pub fn stage(
    connection: &Connection,
    location: LocationId,
    generation: i64,
    assignments: &[Assignment],
) -> Result<u64, StoreError> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO assignment (location_id, generation, adam_id, pricing_param, holder_kind, holder)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING",
    )?;
    let mut added = 0;
    for assignment in assignments {
        let (kind, holder) = assignment.holder.parts();
        let Assignment { adam_id, pricing_param, .. } = assignment;
        added += statement.execute(params![location.0, generation, adam_id, pricing_param, kind, holder])? as u64;
    }
    Ok(added)
}

/// Takes a row out of a generation.
pub fn unstage(
    connection: &Connection,
    location: LocationId,
    generation: i64,
    assignment: &Assignment,
) -> Result<(), StoreError> {
    let Assignment { adam_id, pricing_param, holder } = assignment;
    let (kind, holder) = holder.parts();
    let sql =
        "DELETE FROM assignment WHERE location_id = ?1 AND generation = ?2 AND adam_id = ?3 AND pricing_param = ?4
        AND holder_kind = ?5 AND holder = ?6";
    execute(connection, sql, params![location.0, generation, adam_id, pricing_param, kind, holder])?;
    Ok(())
}

/// Adds up to `limit` rows of the generation that counts to a staged one that lacks them; false when none are left.
pub fn keep_known(
    connection: &Connection,
    location: LocationId,
    generation: i64,
    limit: u32,
) -> Result<bool, StoreError> {
    let kept = execute(
        connection,
        "INSERT INTO assignment (location_id, generation, adam_id, pricing_param, holder_kind, holder)
         SELECT location_id, ?2, adam_id, pricing_param, holder_kind, holder FROM assignment known
         WHERE location_id = ?1 AND generation = ?3 AND NOT EXISTS (
             SELECT 1 FROM assignment staged WHERE staged.location_id = ?1 AND staged.generation = ?2
                 AND staged.adam_id = known.adam_id AND staged.pricing_param = known.pricing_param
                 AND staged.holder_kind = known.holder_kind AND staged.holder = known.holder)
         LIMIT ?4",
        params![location.0, generation, current(connection, location)?, limit],
    )?;
    Ok(kept > 0)
}

/// How a listing differs from what was known.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Changed {
    pub added: u64,
    pub removed: u64,
    /// Those of the removed that vppd had not asked to take back.
    pub taken_back: Vec<Assignment>,
}

/// How a staged generation differs from the one that counts: both are gone through once, side by side.
pub fn compare(connection: &Connection, location: LocationId, generation: i64) -> Result<Changed, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM assignment a WHERE a.location_id = ?1 AND a.generation = ?2
         ORDER BY a.adam_id, a.pricing_param, a.holder_kind, a.holder"
    );
    let (mut before, mut after) = (connection.prepare_cached(&sql)?, connection.prepare_cached(&sql)?);
    let (mut before, mut after) = (
        before.query(params![location.0, current(connection, location)?])?,
        after.query(params![location.0, generation])?,
    );
    let next = |rows: &mut rusqlite::Rows<'_>| rows.next()?.map(read).transpose();
    let (mut known, mut listed) = (next(&mut before)?, next(&mut after)?);
    let (mut added, mut removed) = (0, Vec::new());
    loop {
        let order = match (&known, &listed) {
            (None, None) => break,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(known), Some(listed)) => known.cmp(listed),
        };
        added += u64::from(order.is_gt());
        if order.is_le() {
            let passed = std::mem::replace(&mut known, next(&mut before)?);
            removed.extend(passed.filter(|_| order.is_lt()));
        }
        if order.is_ge() {
            listed = next(&mut after)?;
        }
    }
    changed(connection, location, added, removed)
}

fn changed(
    connection: &Connection,
    location: LocationId,
    added: u64,
    removed: Vec<Assignment>,
) -> Result<Changed, StoreError> {
    let mut changed = Changed { added, removed: removed.len() as u64, taken_back: Vec::new() };
    for assignment in removed {
        if !is_under_way(connection, location, &assignment)? {
            changed.taken_back.push(assignment);
        }
    }
    Ok(changed)
}

/// Whether a request of ours about this assignment is under way.
fn is_under_way(connection: &Connection, location: LocationId, assignment: &Assignment) -> Result<bool, StoreError> {
    let Assignment { adam_id, pricing_param, holder } = assignment;
    let (kind, holder) = holder.parts();
    let sql = "SELECT 1 FROM reservation WHERE location_id = ?1 AND adam_id = ?2 AND pricing_param = ?3
        AND holder_kind = ?4 AND holder = ?5";
    let found = row(connection, sql, params![location.0, adam_id, pricing_param, kind, holder], |_| Ok(()))?;
    Ok(found.is_some())
}

/// Makes a staged generation the one that counts. The rows of the old one are left for [`forget_others`].
pub fn show(connection: &Connection, location: LocationId, generation: i64) -> Result<(), StoreError> {
    locations::show_generation(connection, location, generation)
}

/// Replaces what is known of one asset's assignments by what Apple listed, all of it.
pub fn replace_of_asset(
    connection: &Connection,
    location: LocationId,
    asset: (&str, &str),
    listed: &[Assignment],
) -> Result<Changed, StoreError> {
    let generation = current(connection, location)?;
    let sql = format!(
        "SELECT {COLUMNS} FROM assignment a
         WHERE a.location_id = ?1 AND a.generation = ?2 AND a.adam_id = ?3 AND a.pricing_param = ?4"
    );
    let mut gone = rows(connection, &sql, params![location.0, generation, asset.0, asset.1], read)?;
    let still: HashSet<&Holder> = listed.iter().map(|assignment| &assignment.holder).collect();
    gone.retain(|assignment| !still.contains(&assignment.holder));
    for assignment in &gone {
        unstage(connection, location, generation, assignment)?;
    }
    let added = stage(connection, location, generation, listed)?;
    changed(connection, location, added, gone)
}

/// Adds rows to the generation that counts.
pub fn add(connection: &Connection, location: LocationId, rows: &[Assignment]) -> Result<u64, StoreError> {
    let generation = current(connection, location)?;
    stage(connection, location, generation, rows)
}

/// Removes a row from the generation that counts.
pub fn remove(connection: &Connection, location: LocationId, assignment: &Assignment) -> Result<(), StoreError> {
    unstage(connection, location, current(connection, location)?, assignment)
}

/// Whether somebody holds the asset, as far as known.
pub fn holds(
    connection: &Connection,
    location: LocationId,
    adam_id: &str,
    pricing_param: &str,
    holder: &Holder,
) -> Result<bool, StoreError> {
    let (kind, holder) = holder.parts();
    let found = row(
        connection,
        "SELECT 1 FROM assignment WHERE location_id = ?1 AND generation = ?2 AND adam_id = ?3 AND pricing_param = ?4
             AND holder_kind = ?5 AND holder = ?6",
        params![location.0, current(connection, location)?, adam_id, pricing_param, kind, holder],
        |_| Ok(()),
    )?;
    Ok(found.is_some())
}

/// What a registered user holds under a location: the assets.
pub fn of_user(
    connection: &Connection,
    location: LocationId,
    client_user_id: &str,
) -> Result<Vec<(String, String)>, StoreError> {
    let sql = "SELECT adam_id, pricing_param FROM assignment WHERE location_id = ?1 AND generation = ?2
                   AND holder_kind = 'user' AND holder = ?3";
    let parameters = params![location.0, current(connection, location)?, client_user_id];
    rows(connection, sql, parameters, |row| Ok((row.get(0)?, row.get(1)?)))
}

/// The licence is vppd's: asked for.
pub fn own(
    connection: &Connection,
    location: LocationId,
    adam_id: &str,
    pricing_param: &str,
    holder: &Holder,
) -> Result<(), StoreError> {
    keep_own(connection, location, adam_id, pricing_param, holder, false)
}

/// The licence, which is vppd's, was given: Apple says so at this time.
pub fn given(
    connection: &Connection,
    location: LocationId,
    assignment: &Assignment,
    now: Timestamp,
) -> Result<(), StoreError> {
    let Assignment { adam_id, pricing_param, holder } = assignment;
    add(connection, location, std::slice::from_ref(assignment))?;
    own(connection, location, adam_id, pricing_param, holder)?;
    let (kind, holder) = holder.parts();
    let sql = "UPDATE own_licence SET given_at = ?6 WHERE location_id = ?1 AND adam_id = ?2 AND pricing_param = ?3
        AND holder_kind = ?4 AND holder = ?5";
    execute(connection, sql, params![location.0, adam_id, pricing_param, kind, holder, micros(now)])?;
    Ok(())
}

/// The licence is vppd's from now on, though somebody else gave it.
pub fn adopt(
    connection: &Connection,
    location: LocationId,
    adam_id: &str,
    pricing_param: &str,
    holder: &Holder,
) -> Result<(), StoreError> {
    keep_own(connection, location, adam_id, pricing_param, holder, true)
}

fn keep_own(
    connection: &Connection,
    location: LocationId,
    adam_id: &str,
    pricing_param: &str,
    holder: &Holder,
    adopted: bool,
) -> Result<(), StoreError> {
    let (kind, holder) = holder.parts();
    let sql = "INSERT INTO own_licence (location_id, adam_id, pricing_param, holder_kind, holder, adopted)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING";
    execute(connection, sql, params![location.0, adam_id, pricing_param, kind, holder, adopted])?;
    Ok(())
}

/// The licence is not vppd's any more: it went back, or never came.
pub fn disown(
    connection: &Connection,
    location: LocationId,
    adam_id: &str,
    pricing_param: &str,
    holder: &Holder,
) -> Result<(), StoreError> {
    let (kind, holder) = holder.parts();
    let sql = "DELETE FROM own_licence WHERE location_id = ?1 AND adam_id = ?2 AND pricing_param = ?3
        AND holder_kind = ?4 AND holder = ?5";
    execute(connection, sql, params![location.0, adam_id, pricing_param, kind, holder])?;
    Ok(())
}

/// Whether vppd has given or adopted a licence of an app for this holder, under any location, which is held as far as known.
pub fn owns(connection: &Connection, adam_id: &str, holder: &Holder) -> Result<bool, StoreError> {
    let (kind, holder) = holder.parts();
    let sql = "SELECT 1 FROM own_licence o JOIN location l ON l.id = o.location_id
            JOIN assignment a ON a.location_id = l.id AND a.generation = l.generation AND a.adam_id = o.adam_id
                AND a.pricing_param = o.pricing_param AND a.holder_kind = o.holder_kind AND a.holder = o.holder
        WHERE o.holder = ?2 AND o.adam_id = ?1 AND o.holder_kind = ?3";
    Ok(row(connection, sql, [adam_id, holder, kind], |_| Ok(()))?.is_some())
}

/// How many licences of an app, under all locations, are vppd's.
pub fn count_own(connection: &Connection, adam_id: &str) -> Result<u64, StoreError> {
    let sql = "SELECT count(*) FROM own_licence WHERE adam_id = ?1";
    Ok(row(connection, sql, [adam_id], |row| Ok(row.get::<_, i64>(0)?))?.unwrap_or(0).max(0) as u64)
}

/// How many assignments of a location are known, whoever holds them.
pub fn count_all(connection: &Connection, location: LocationId) -> Result<u64, StoreError> {
    let sql = "SELECT count(*) FROM assignment WHERE location_id = ?1 AND generation = ?2";
    let parameters = params![location.0, current(connection, location)?];
    Ok(row(connection, sql, parameters, |row| Ok(row.get::<_, i64>(0)?))?.unwrap_or(0).max(0) as u64)
}

/// How many licences of a location are assigned, without those of assets of which there are as many as wanted.
pub fn count(connection: &Connection, location: LocationId) -> Result<u64, StoreError> {
    let found = row(
        connection,
        "SELECT count(*) FROM assignment a JOIN asset s USING (location_id, adam_id, pricing_param)
         WHERE a.location_id = ?1 AND a.generation = ?2 AND NOT s.unlimited",
        params![location.0, current(connection, location)?],
        |row| Ok(row.get::<_, i64>(0)?),
    )?;
    Ok(found.unwrap_or(0).max(0) as u64)
}

/// Whether somebody holds the app in any location, and no request about it is under way there.
pub fn is_settled(connection: &Connection, adam_id: &str, holder: &Holder) -> Result<bool, StoreError> {
    let (kind, holder) = holder.parts();
    let found = row(
        connection,
        "SELECT 1 FROM location l
             JOIN asset s ON s.location_id = l.id AND s.adam_id = ?1
             JOIN assignment a ON a.location_id = l.id AND a.generation = l.generation AND a.adam_id = s.adam_id
                 AND a.pricing_param = s.pricing_param AND a.holder_kind = ?3 AND a.holder = ?2
             WHERE NOT EXISTS (SELECT 1 FROM reservation r WHERE r.location_id = l.id AND r.adam_id = s.adam_id
                 AND r.pricing_param = s.pricing_param AND r.holder_kind = ?3 AND r.holder = ?2)",
        [adam_id, holder, kind],
        |_| Ok(()),
    )?;
    Ok(found.is_some())
}

const COLUMNS: &str = "a.adam_id, a.pricing_param, a.holder_kind, a.holder";

pub(super) fn read(row: &rusqlite::Row<'_>) -> Result<Assignment, StoreError> {
    Ok(Assignment { adam_id: row.get(0)?, pricing_param: row.get(1)?, holder: Holder::read(row, 2, 3)? })
}

/// All of a location.
pub fn of_location(connection: &Connection, location: LocationId) -> Result<Vec<Assignment>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM assignment a
         JOIN location l ON l.id = a.location_id AND l.generation = a.generation WHERE l.id = ?1"
    );
    rows(connection, &sql, [location.0], read)
}

/// Licences of a location that vppd neither gave nor adopted, and about which no request is under way.
pub fn foreign(connection: &Connection, location: LocationId) -> Result<Vec<Assignment>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM assignment a
         JOIN location l ON l.id = a.location_id AND l.generation = a.generation
         WHERE l.id = ?1
             AND NOT EXISTS (SELECT 1 FROM own_licence o WHERE o.location_id = a.location_id AND o.adam_id = a.adam_id
                 AND o.pricing_param = a.pricing_param AND o.holder_kind = a.holder_kind AND o.holder = a.holder)
             AND NOT EXISTS (SELECT 1 FROM reservation r WHERE r.location_id = a.location_id AND r.adam_id = a.adam_id
                 AND r.pricing_param = a.pricing_param AND r.holder = a.holder)
         ORDER BY a.adam_id, a.pricing_param, a.holder_kind, a.holder"
    );
    rows(connection, &sql, [location.0], read)
}

/// Forgets up to `limit` rows of generations that do not count; false when none are left.
pub fn forget_others(connection: &Connection, location: LocationId, limit: u32) -> Result<bool, StoreError> {
    let now = current(connection, location)?;
    let other = |sign| -> Result<Option<i64>, StoreError> {
        let sql = format!("SELECT generation FROM assignment WHERE location_id = ?1 AND generation {sign} ?2 LIMIT 1");
        row(connection, &sql, params![location.0, now], |row| Ok(row.get(0)?))
    };
    let older = other("<")?;
    let Some(generation) = (if older.is_some() { older } else { other(">")? }) else { return Ok(false) };
    let last = row(
        connection,
        "SELECT a.adam_id, a.pricing_param, a.holder_kind, a.holder FROM assignment a
             WHERE a.location_id = ?1 AND a.generation = ?2
             ORDER BY a.adam_id, a.pricing_param, a.holder_kind, a.holder LIMIT 1 OFFSET ?3",
        params![location.0, generation, limit],
        read,
    )?;
    match last {
        None => execute(
            connection,
            "DELETE FROM assignment WHERE location_id = ?1 AND generation = ?2",
            params![location.0, generation],
        )?,
        Some(Assignment { adam_id, pricing_param, holder }) => {
            let (kind, holder) = holder.parts();
            execute(
                connection,
                "DELETE FROM assignment WHERE location_id = ?1 AND generation = ?2
                     AND (adam_id, pricing_param, holder_kind, holder) < (?3, ?4, ?5, ?6)",
                params![location.0, generation, adam_id, pricing_param, kind, holder],
            )?
        }
    };
    Ok(true)
}

fn current(connection: &Connection, location: LocationId) -> Result<i64, StoreError> {
    let sql = "SELECT generation FROM location WHERE id = ?1";
    let found = row(connection, sql, [location.0], |row| Ok(row.get(0)?))?;
    found.ok_or_else(|| StoreError::Damaged(format!("no location {location}")))
}
