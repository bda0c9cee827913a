//! Assets: what each location owns, by Apple's last count.

use std::collections::{BTreeSet, HashMap};

use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::{StoreError, execute, history, json_list, list, micros, row, rows};
use crate::model::LocationId;

/// An asset as Apple counts it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asset {
    pub adam_id: String,
    pub pricing_param: String,
    pub product_type: String,
    pub device_assignable: bool,
    pub revocable: bool,
    pub unlimited: bool,
    pub platforms: Vec<String>,
    pub total: i64,
    pub assigned: i64,
    pub available: i64,
    pub retired: i64,
}

impl Asset {
    /// adamId and pricingParam.
    pub fn key(&self) -> (&str, &str) {
        (&self.adam_id, &self.pricing_param)
    }
}

/// Replaces what is known of a location's assets by what Apple listed. Tells how many are new, changed and gone, and notes
/// changed counts in the [`history`], except at the first listing. From a listing that is not `whole` nothing is concluded
/// to be gone.
pub fn replace(
    connection: &Connection,
    location: LocationId,
    assets: &[Asset],
    whole: bool,
    now: Timestamp,
) -> Result<Replaced, StoreError> {
    let sql = "SELECT last_full_sync IS NULL FROM location WHERE id = ?1";
    let first = row(connection, sql, [location.0], |row| Ok(row.get(0)?))?.unwrap_or(true);
    let known = of_location(connection, location)?;
    let mut known: HashMap<(&str, &str), &Asset> = known.iter().map(|asset| (asset.key(), asset)).collect();
    let mut replaced = Replaced::default();
    let note = |asset: &Asset, delta: i64| match first || delta == 0 {
        true => Ok(()),
        false => history::count_changed(connection, location, asset.key(), delta, now),
    };
    for asset in assets {
        let before = known.remove(&asset.key());
        match before {
            None => replaced.added += 1,
            Some(known) if known != asset => replaced.changed += 1,
            Some(_) => {}
        }
        if !asset.unlimited && !before.is_some_and(|before| before.unlimited) {
            note(asset, asset.total - before.map_or(0, |before| before.total))?;
        }
        put(connection, location, asset, now)?;
    }
    if whole {
        for asset in known.into_values().filter(|asset| !asset.unlimited) {
            note(asset, -asset.total)?;
        }
        let gone = "DELETE FROM asset WHERE location_id = ?1 AND read_at < ?2";
        replaced.gone = execute(connection, gone, params![location.0, micros(now)])? as u64;
    }
    Ok(replaced)
}

/// How a listing differs from what was known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Replaced {
    pub added: u64,
    pub changed: u64,
    pub gone: u64,
}

impl std::ops::AddAssign for Replaced {
    fn add_assign(&mut self, more: Replaced) {
        self.added += more.added;
        self.changed += more.changed;
        self.gone += more.gone;
    }
}

fn put(connection: &Connection, location: LocationId, asset: &Asset, now: Timestamp) -> Result<(), StoreError> {
    execute(
        connection,
        "INSERT INTO asset (location_id, adam_id, pricing_param, product_type, device_assignable, revocable, unlimited,
             platforms, total_count, assigned_count, available_count, retired_count, elsewhere_count, read_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, 0, ?13)
         ON CONFLICT DO UPDATE SET product_type = excluded.product_type,
             device_assignable = excluded.device_assignable, revocable = excluded.revocable,
             unlimited = excluded.unlimited, platforms = excluded.platforms, total_count = excluded.total_count,
             assigned_count = excluded.assigned_count, available_count = excluded.available_count,
             retired_count = excluded.retired_count, read_at = excluded.read_at",
        params![
            location.0,
            asset.adam_id,
            asset.pricing_param,
            asset.product_type,
            asset.device_assignable,
            asset.revocable,
            asset.unlimited,
            json_list(&asset.platforms),
            asset.total.max(0),
            asset.assigned.max(0),
            asset.available.max(0),
            asset.retired.max(0),
            micros(now),
        ],
    )?;
    Ok(())
}

/// The assets of a location, by adamId.
pub fn of_location(connection: &Connection, location: LocationId) -> Result<Vec<Asset>, StoreError> {
    rows(
        connection,
        "SELECT adam_id, pricing_param, product_type, device_assignable, revocable, unlimited, platforms, total_count,
             assigned_count, available_count, retired_count
         FROM asset WHERE location_id = ?1 ORDER BY adam_id, pricing_param",
        [location.0],
        |row| {
            Ok(Asset {
                adam_id: row.get(0)?,
                pricing_param: row.get(1)?,
                product_type: row.get(2)?,
                device_assignable: row.get(3)?,
                revocable: row.get(4)?,
                unlimited: row.get(5)?,
                platforms: list(&row.get::<_, String>(6)?)?,
                total: row.get(7)?,
                assigned: row.get(8)?,
                available: row.get(9)?,
                retired: row.get(10)?,
            })
        },
    )
}

/// Whether this is owned as a book.
pub fn is_book(connection: &Connection, adam_id: &str) -> Result<bool, StoreError> {
    let sql = "SELECT max(product_type = 'Book') FROM asset WHERE adam_id = ?1";
    Ok(row(connection, sql, [adam_id], |row| Ok(row.get::<_, Option<bool>>(0)?))?.flatten().unwrap_or(false))
}

/// The apps and books that no other location has.
pub fn only_under(connection: &Connection, location: LocationId) -> Result<BTreeSet<String>, StoreError> {
    let sql = "SELECT DISTINCT adam_id FROM asset a WHERE location_id = ?1
               AND NOT EXISTS (SELECT 1 FROM asset b WHERE b.adam_id = a.adam_id AND b.location_id <> ?1)";
    Ok(rows(connection, sql, [location.0], |row| Ok(row.get(0)?))?.into_iter().collect())
}

/// Compares Apple's counts, just read, with our rows: what we cannot explain is assigned elsewhere and not free. While
/// requests are under way the two cannot be compared exactly; then the larger figure stays.
pub fn recount_elsewhere(connection: &Connection, location: LocationId) -> Result<(), StoreError> {
    execute(
        connection,
        "UPDATE asset SET elsewhere_count = (
             SELECT CASE WHEN under_way = 0 THEN max(0, assigned_count - held)
                         ELSE max(elsewhere_count, assigned_count - held - under_way) END
             FROM (SELECT
                 (SELECT count(*) FROM assignment a JOIN location l ON l.id = a.location_id
                      AND l.generation = a.generation
                  WHERE a.location_id = asset.location_id AND a.adam_id = asset.adam_id
                      AND a.pricing_param = asset.pricing_param) AS held,
                 (SELECT count(*) FROM reservation r WHERE r.location_id = asset.location_id
                      AND r.adam_id = asset.adam_id AND r.pricing_param = asset.pricing_param) AS under_way))
         WHERE location_id = ?1",
        [location.0],
    )?;
    Ok(())
}

/// An asset with Apple's count of its assignments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted {
    pub adam_id: String,
    pub pricing_param: String,
    pub assigned: i64,
}

/// An asset of which Apple counts another number of assignments than is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Differing {
    pub asset: Counted,
    /// Known assignments.
    pub held: i64,
    /// A request about the asset is under way, which may be the reason.
    pub under_way: bool,
}

/// The assets of a location whose counts differ from what is known of their assignments. Only right after the counts were
/// read: requests of ours change what is known, not the counts.
pub fn differing(connection: &Connection, location: LocationId) -> Result<Vec<Differing>, StoreError> {
    let sql = "SELECT * FROM (
            SELECT s.adam_id, s.pricing_param, s.assigned_count AS assigned,
                (SELECT count(*) FROM assignment a WHERE a.location_id = l.id AND a.generation = l.generation
                    AND a.adam_id = s.adam_id AND a.pricing_param = s.pricing_param) AS held,
                EXISTS (SELECT 1 FROM reservation r WHERE r.location_id = s.location_id AND r.adam_id = s.adam_id
                    AND r.pricing_param = s.pricing_param)
            FROM asset s JOIN location l ON l.id = s.location_id WHERE s.location_id = ?1)
        WHERE assigned <> held";
    rows(connection, sql, [location.0], |row| {
        Ok(Differing {
            asset: Counted { adam_id: row.get(0)?, pricing_param: row.get(1)?, assigned: row.get(2)? },
            held: row.get(3)?,
            under_way: row.get(4)?,
        })
    })
}

/// These assets of a location by (adamId, pricingParam), those that it no longer owns too.
pub fn named(
    connection: &Connection,
    location: LocationId,
    wanted: BTreeSet<(String, String)>,
) -> Result<Vec<Counted>, StoreError> {
    let sql = "SELECT assigned_count FROM asset WHERE location_id = ?1 AND adam_id = ?2 AND pricing_param = ?3";
    let counted = wanted.into_iter().map(|(adam_id, pricing_param)| {
        let assigned = row(connection, sql, params![location.0, adam_id, pricing_param], |row| Ok(row.get(0)?))?;
        Ok(Counted { adam_id, pricing_param, assigned: assigned.unwrap_or(0) })
    });
    counted.collect()
}

/// Of which assets Apple counts more assignments than it has listed, as of the last read, and how many more.
pub fn held_elsewhere(connection: &Connection) -> Result<Vec<(LocationId, String, String, i64)>, StoreError> {
    let sql = "SELECT location_id, adam_id, pricing_param, elsewhere_count FROM asset WHERE elsewhere_count > 0";
    rows(connection, sql, [], |row| Ok((LocationId(row.get(0)?), row.get(1)?, row.get(2)?, row.get(3)?)))
}

/// How many assignments Apple counts in a location.
pub fn assigned(connection: &Connection, location: LocationId) -> Result<i64, StoreError> {
    let sql = "SELECT total(assigned_count) FROM asset WHERE location_id = ?1";
    Ok(row(connection, sql, [location.0], |row| Ok(row.get::<_, f64>(0)?))?.unwrap_or(0.0) as i64)
}

/// The bundle identifier of an app, if the store or a device has told it.
pub fn bundle_id(connection: &Connection, adam_id: &str) -> Result<Option<String>, StoreError> {
    row(connection, "SELECT bundle_id FROM product WHERE adam_id = ?1", [adam_id], |row| Ok(row.get(0)?))
}

/// The store told the bundle identifier of an app: what devices say of it does not count any more.
pub fn bundle_id_by_store(connection: &Connection, adam_id: &str, bundle_id: &str) -> Result<(), StoreError> {
    execute(
        connection,
        "INSERT INTO product (adam_id, bundle_id, by_store) VALUES (?1, ?2, 1)
         ON CONFLICT DO UPDATE SET bundle_id = excluded.bundle_id, by_store = 1
             WHERE bundle_id <> excluded.bundle_id OR by_store = 0",
        [adam_id, bundle_id],
    )?;
    Ok(())
}

/// A device told the bundle identifier of an app. The first word stays: a lying device cannot rename an app for others.
pub fn learn_bundle_id(connection: &Connection, adam_id: &str, bundle_id: &str) -> Result<(), StoreError> {
    execute(
        connection,
        "INSERT INTO product (adam_id, bundle_id) VALUES (?1, ?2) ON CONFLICT DO NOTHING",
        [adam_id, bundle_id],
    )?;
    Ok(())
}

/// Every known bundle identifier: (adamId, bundle id).
pub fn bundle_ids(connection: &Connection) -> Result<Vec<(String, String)>, StoreError> {
    rows(connection, "SELECT adam_id, bundle_id FROM product", [], |row| Ok((row.get(0)?, row.get(1)?)))
}
