//! Licences that are held while the app is not there, and since when vppd has seen that. Who holds what is listed anew again and
//! again without times, so the time is kept here: a look now and then adds what has become unused and forgets what is used.
//!
//! Books and assets of which there are as many as wanted are left out: there is nothing to save.

use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::{StoreError, execute, micros, row, rows, time};
use crate::model::{App, DeviceId, Holder, LocationId};

/// The assets of a location that can be wasted.
pub fn assets(connection: &Connection, location: LocationId) -> Result<Vec<(String, String)>, StoreError> {
    let sql = "SELECT adam_id, pricing_param FROM asset
        WHERE location_id = ?1 AND NOT unlimited AND product_type <> 'Book'";
    rows(connection, sql, [location.0], |row| Ok((row.get(0)?, row.get(1)?)))
}

/// What has changed about one asset since the last look.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Who holds it unused now.
    pub begun: Vec<Holder>,
    /// Who uses it now, or holds it no longer.
    pub ended: Vec<Holder>,
}

/// Compares who holds one asset unused with what is kept.
pub fn changes(connection: &Connection, location: LocationId, asset: (&str, &str)) -> Result<Changes, StoreError> {
    let there =
        [App::Installed, App::RemoveQueued, App::RemoveUnconfirmed, App::RemoveRetry].map(|app| app.code().to_string());
    let unused = format!(
        "SELECT a.location_id, a.adam_id, a.pricing_param, a.holder_kind, a.holder
         FROM assignment a JOIN location l ON l.id = a.location_id AND l.generation = a.generation
         WHERE a.location_id = ?1 AND a.adam_id = ?2 AND a.pricing_param = ?3
             AND CASE a.holder_kind
                 WHEN 'serial' THEN NOT EXISTS (SELECT 1 FROM device d JOIN pair p ON p.device_id = d.id
                     WHERE d.serial = a.holder AND d.state = 'enrolled' AND p.adam_id = a.adam_id AND p.app IN ({0}))
                 ELSE NOT EXISTS (SELECT 1 FROM person n JOIN device_note t ON t.person_id = n.id
                     JOIN device d ON d.serial = t.serial JOIN pair p ON p.device_id = d.id
                     WHERE n.client_user_id = a.holder AND d.state = 'enrolled' AND p.adam_id = a.adam_id
                         AND p.app IN ({0})) END",
        there.join(", ")
    );
    let kept = "SELECT location_id, adam_id, pricing_param, holder_kind, holder FROM unused_licence
        WHERE location_id = ?1 AND adam_id = ?2 AND pricing_param = ?3";
    let differ = |these: &str, those: &str| {
        let sql = format!("SELECT holder_kind, holder FROM ({these} EXCEPT {those})");
        rows(connection, &sql, params![location.0, asset.0, asset.1], |row| Holder::read(row, 0, 1))
    };
    Ok(Changes { begun: differ(&unused, kept)?, ended: differ(kept, &unused)? })
}

/// Keeps that these hold an asset unused from `now` on.
pub fn begun(
    connection: &Connection,
    location: LocationId,
    asset: (&str, &str),
    holders: &[Holder],
    now: Timestamp,
) -> Result<(), StoreError> {
    let sql = "INSERT INTO unused_licence (location_id, adam_id, pricing_param, holder_kind, holder, since)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING";
    for holder in holders {
        let (kind, id) = holder.parts();
        execute(connection, sql, params![location.0, asset.0, asset.1, kind, id, micros(now)])?;
    }
    Ok(())
}

/// Forgets these.
pub fn ended(
    connection: &Connection,
    location: LocationId,
    asset: (&str, &str),
    holders: &[Holder],
) -> Result<(), StoreError> {
    let sql = "DELETE FROM unused_licence WHERE location_id = ?1 AND adam_id = ?2 AND pricing_param = ?3
        AND holder_kind = ?4 AND holder = ?5";
    for holder in holders {
        let (kind, id) = holder.parts();
        execute(connection, sql, params![location.0, asset.0, asset.1, kind, id])?;
    }
    Ok(())
}

/// Who gave a licence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// vppd.
    Ours,
    /// Somebody else, and vppd has taken it over.
    Adopted,
    /// Somebody else.
    Foreign,
}

/// Who gave a licence that is held.
pub fn whose(
    connection: &Connection,
    location: LocationId,
    adam_id: &str,
    pricing_param: &str,
    holder: &Holder,
) -> Result<Whose, StoreError> {
    let (kind, id) = holder.parts();
    let sql = "SELECT adopted FROM own_licence WHERE location_id = ?1 AND adam_id = ?2 AND pricing_param = ?3
        AND holder_kind = ?4 AND holder = ?5";
    let adopted = row(connection, sql, params![location.0, adam_id, pricing_param, kind, id], |row| Ok(row.get(0)?))?;
    Ok(match adopted {
        None => Whose::Foreign,
        Some(true) => Whose::Adopted,
        Some(false) => Whose::Ours,
    })
}

/// An unused licence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unused {
    pub location: LocationId,
    pub adam_id: String,
    pub pricing_param: String,
    pub holder: Holder,
    pub since: Timestamp,
    pub whose: Whose,
    /// The device with the holder's serial number.
    pub device: Option<DeviceId>,
}

/// Those that have been unused since `before` or longer, by app, the longest first.
pub fn since_before(connection: &Connection, before: Timestamp) -> Result<Vec<Unused>, StoreError> {
    let sql = "SELECT u.location_id, u.adam_id, u.pricing_param, u.holder_kind, u.holder, u.since, o.adopted, d.id
        FROM unused_licence u JOIN asset s USING (location_id, adam_id, pricing_param)
            LEFT JOIN own_licence o ON o.location_id = u.location_id AND o.adam_id = u.adam_id
                AND o.pricing_param = u.pricing_param AND o.holder_kind = u.holder_kind AND o.holder = u.holder
            LEFT JOIN device d ON u.holder_kind = 'serial' AND d.serial = u.holder AND d.serial <> ''
        WHERE u.since <= ?1 AND NOT s.unlimited AND s.product_type <> 'Book'
        ORDER BY u.adam_id, u.since, u.holder_kind, u.holder";
    rows(connection, sql, [micros(before)], |row| {
        Ok(Unused {
            location: LocationId(row.get(0)?),
            adam_id: row.get(1)?,
            pricing_param: row.get(2)?,
            holder: Holder::read(row, 3, 4)?,
            since: time(row.get(5)?)?,
            whose: match row.get::<_, Option<bool>>(6)? {
                None => Whose::Foreign,
                Some(true) => Whose::Adopted,
                Some(false) => Whose::Ours,
            },
            device: row.get::<_, Option<i64>>(7)?.map(DeviceId),
        })
    })
}
