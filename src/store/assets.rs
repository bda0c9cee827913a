//! Assets: what each location owns, by Apple's last count.

use std::collections::{BTreeSet, HashMap};

use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::{StoreError, execute, json_list, list, micros, row, rows};
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

/// Replaces what is known of a location's assets by what Apple listed. Tells how many are new, changed and gone. From a
/// listing that is not `whole` nothing is concluded to be gone.
pub fn replace(
    connection: &Connection,
    location: LocationId,
    assets: &[Asset],
    whole: bool,
    now: Timestamp,
) -> Result<Replaced, StoreError> {
    let known = of_location(connection, location)?;
    let known: HashMap<(&str, &str), &Asset> =
        known.iter().map(|asset| ((asset.adam_id.as_str(), asset.pricing_param.as_str()), asset)).collect();
    let mut replaced = Replaced::default();
    for asset in assets {
        match known.get(&(asset.adam_id.as_str(), asset.pricing_param.as_str())) {
            None => replaced.added += 1,
            Some(known) if *known != asset => replaced.changed += 1,
            Some(_) => {}
        }
        put(connection, location, asset, now)?;
    }
    if whole {
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

/// Whether any asset's count differs from our rows of it: then its assignments have to be listed again.
pub fn differs(connection: &Connection, location: LocationId) -> Result<bool, StoreError> {
    let found = row(
        connection,
        "SELECT EXISTS (SELECT 1 FROM asset WHERE location_id = ?1 AND assigned_count <>
             (SELECT count(*) FROM assignment a JOIN location l ON l.id = a.location_id AND l.generation = a.generation
              WHERE a.location_id = asset.location_id AND a.adam_id = asset.adam_id
                  AND a.pricing_param = asset.pricing_param))",
        [location.0],
        |row| Ok(row.get(0)?),
    )?;
    Ok(found.unwrap_or(false))
}

/// Whether Apple counts fewer assignments of an asset than are known, though no request about it is under way.
pub fn freed_elsewhere(connection: &Connection, location: LocationId) -> Result<bool, StoreError> {
    let found = row(
        connection,
        "SELECT EXISTS (SELECT 1 FROM asset WHERE location_id = ?1 AND assigned_count <
             (SELECT count(*) FROM assignment a JOIN location l ON l.id = a.location_id AND l.generation = a.generation
              WHERE a.location_id = asset.location_id AND a.adam_id = asset.adam_id
                  AND a.pricing_param = asset.pricing_param)
             AND NOT EXISTS (SELECT 1 FROM reservation r WHERE r.location_id = asset.location_id
                 AND r.adam_id = asset.adam_id AND r.pricing_param = asset.pricing_param))",
        [location.0],
        |row| Ok(row.get(0)?),
    )?;
    Ok(found.unwrap_or(false))
}

/// The bundle identifier of an app, if a device has told it.
pub fn bundle_id(connection: &Connection, adam_id: &str) -> Result<Option<String>, StoreError> {
    row(connection, "SELECT bundle_id FROM product WHERE adam_id = ?1", [adam_id], |row| Ok(row.get(0)?))
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
