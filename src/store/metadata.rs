//! What Apple's stores tell of apps and books, and their icons: a cache that is asked for again by its age, and from which
//! nothing goes because a store is silent.
//!
//! Icons are kept here, not as files: they are small, vanish with what they belong to, and need no second place to be kept
//! in step.

use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::{StoreError, assets, execute, list, micros, row, rows};
use crate::model::{AppInfo, LocationId};

/// Where something was told: the country's store (two letters, lower case), and the location's `defaultPlatform`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Shelf {
    pub storefront: String,
    pub platform: String,
}

/// An app or book that is to be asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    pub adam_id: String,
    /// Apple's word; empty for an app that is only named by a subscription.
    pub product_type: String,
    pub platforms: Vec<String>,
    /// Something is known of it already.
    pub known: bool,
}

/// Between which times an answer counts as fresh: asked later than `after`, and not in the future of a clock that was
/// put back.
#[derive(Debug, Clone, Copy)]
pub struct Fresh {
    pub after: Timestamp,
    pub now: Timestamp,
}

/// What a location owns, or its subscriptions belong to, and was not asked about lately.
pub fn wanted(
    connection: &Connection,
    location: LocationId,
    shelf: &Shelf,
    fresh: Fresh,
) -> Result<Vec<Wanted>, StoreError> {
    rows(
        connection,
        "WITH named AS (
             SELECT adam_id, product_type, platforms FROM asset WHERE location_id = ?1
             UNION ALL
             SELECT parent_adam_id, '', '[]' FROM subscription s WHERE location_id = ?1 AND parent_adam_id IS NOT NULL
                 AND NOT EXISTS (SELECT 1 FROM asset a WHERE a.location_id = ?1 AND a.adam_id = s.parent_adam_id))
         SELECT n.adam_id, max(n.product_type), max(n.platforms), max(i.info IS NOT NULL)
         FROM named n LEFT JOIN app_info i ON i.adam_id = n.adam_id AND i.storefront = ?2 AND i.platform = ?3
         WHERE i.adam_id IS NULL OR i.asked_at <= ?4 OR i.asked_at > ?5
         GROUP BY n.adam_id ORDER BY n.adam_id",
        params![location.0, shelf.storefront, shelf.platform, micros(fresh.after), micros(fresh.now)],
        |row| {
            Ok(Wanted {
                adam_id: row.get(0)?,
                product_type: row.get(1)?,
                platforms: list(&row.get::<_, String>(2)?)?,
                known: row.get(3)?,
            })
        },
    )
}

/// What became of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// As before, or the first words.
    Usual,
    /// It was missing in this store, and is there now.
    Back,
    /// It is missing in this store, which is to be told once.
    FirstMiss,
    /// It is still missing.
    Missing,
}

/// Keeps what a store told of an app; `None` when it told nothing, and then the old words stay. The bundle id of the store
/// outranks what devices say.
pub fn keep(
    connection: &Connection,
    adam_id: &str,
    shelf: &Shelf,
    info: Option<&AppInfo>,
    now: Timestamp,
) -> Result<Kept, StoreError> {
    let sql = "SELECT misses FROM app_info WHERE adam_id = ?1 AND storefront = ?2 AND platform = ?3";
    let key = params![adam_id, shelf.storefront, shelf.platform];
    let misses: Option<i64> = row(connection, sql, key, |row| Ok(row.get(0)?))?;
    let json = info
        .map(serde_json::to_string)
        .transpose()
        .map_err(|error| StoreError::Damaged(format!("words of a store that cannot be kept: {error}")))?;
    execute(
        connection,
        "INSERT INTO app_info (adam_id, storefront, platform, info, asked_at, misses)
         VALUES (?1, ?2, ?3, ?4, ?5, ?4 IS NULL)
         ON CONFLICT DO UPDATE SET info = coalesce(excluded.info, info), asked_at = excluded.asked_at,
             misses = CASE WHEN excluded.info IS NULL THEN misses + 1 ELSE 0 END",
        params![adam_id, shelf.storefront, shelf.platform, json, micros(now)],
    )?;
    if let Some(bundle_id) = info.and_then(|info| info.bundle_ids.first()) {
        assets::bundle_id_by_store(connection, adam_id, bundle_id)?;
    }
    Ok(match (info.is_some(), misses.unwrap_or(0)) {
        (true, 0) => Kept::Usual,
        (true, _) => Kept::Back,
        (false, 0) => Kept::FirstMiss,
        (false, _) => Kept::Missing,
    })
}

/// Everything that is known, of one app or book or of all, by adamId.
pub fn known(connection: &Connection, only: Option<&str>) -> Result<Vec<(String, Shelf, AppInfo)>, StoreError> {
    let sql = match only {
        Some(_) => "SELECT adam_id, storefront, platform, info FROM app_info WHERE adam_id = ?1 AND info IS NOT NULL",
        None => {
            "SELECT adam_id, storefront, platform, info FROM app_info WHERE ?1 IS NULL AND info IS NOT NULL ORDER BY adam_id"
        }
    };
    rows(connection, sql, [only], |row| {
        let info = serde_json::from_str(&row.get::<_, String>(3)?);
        let info = info.map_err(|_| StoreError::Damaged("words of a store that are not JSON".into()))?;
        Ok((row.get(0)?, Shelf { storefront: row.get(1)?, platform: row.get(2)? }, info))
    })
}

/// Apps whose icon is to be fetched, with its address: there is none yet, or it lies elsewhere now, and it was not tried
/// lately. When stores differ, one of their icons stays the one.
pub fn icons_wanted(connection: &Connection, fresh: Fresh) -> Result<Vec<(String, String)>, StoreError> {
    rows(
        connection,
        "SELECT i.adam_id, i.url FROM (
             SELECT adam_id, min(json_extract(info, '$.icon_url')) AS url FROM app_info
             WHERE json_extract(info, '$.icon_url') <> '' GROUP BY adam_id) i
         LEFT JOIN app_icon k USING (adam_id)
         WHERE k.adam_id IS NULL
             OR ((k.picture IS NULL OR k.url <> i.url) AND (k.asked_at <= ?1 OR k.asked_at > ?2))
         ORDER BY i.adam_id",
        params![micros(fresh.after), micros(fresh.now)],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )
}

/// A picture, with its media type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Icon {
    pub media_type: String,
    pub picture: Vec<u8>,
}

/// Keeps what came of asking for an icon; without a picture the old one stays.
pub fn keep_icon(
    connection: &Connection,
    adam_id: &str,
    url: &str,
    icon: Option<&Icon>,
    now: Timestamp,
) -> Result<(), StoreError> {
    execute(
        connection,
        "INSERT INTO app_icon (adam_id, url, asked_at, media_type, picture) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT DO UPDATE SET url = CASE WHEN excluded.picture IS NULL THEN url ELSE excluded.url END,
             asked_at = excluded.asked_at,
             media_type = coalesce(excluded.media_type, media_type), picture = coalesce(excluded.picture, picture)",
        params![adam_id, url, micros(now), icon.map(|icon| &icon.media_type), icon.map(|icon| &icon.picture)],
    )?;
    Ok(())
}

/// The icon of an app.
pub fn icon(connection: &Connection, adam_id: &str) -> Result<Option<Icon>, StoreError> {
    let sql = "SELECT media_type, picture FROM app_icon WHERE adam_id = ?1 AND picture IS NOT NULL";
    row(connection, sql, [adam_id], |row| Ok(Icon { media_type: row.get(0)?, picture: row.get(1)? }))
}

/// Forgets what nobody owns or deploys any more and was not asked about since `before`.
pub fn forget_before(connection: &Connection, before: Timestamp) -> Result<(), StoreError> {
    let orphan = "AND NOT EXISTS (SELECT 1 FROM asset a WHERE a.adam_id = k.adam_id)
                  AND NOT EXISTS (SELECT 1 FROM subscription s WHERE s.parent_adam_id = k.adam_id)
                  AND NOT EXISTS (SELECT 1 FROM deployment d WHERE d.adam_id = k.adam_id)";
    for table in ["app_info", "app_icon"] {
        let sql = format!("DELETE FROM {table} AS k WHERE k.asked_at < ?1 {orphan}");
        execute(connection, &sql, [micros(before)])?;
    }
    Ok(())
}
