//! The facts for a plan, read at one moment, with the rows behind the numbers.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::Connection;

use super::{StoreError, assets, by_hand, deployments, locations, rows, safety, time};
use crate::licensing::desired::BY_HAND;
use crate::licensing::{Asset, Device, Licence, Location, Pair, Product, Rule, Snapshot};
use crate::model::{App, DeviceId, Holder, LocationId, Purpose, SerialNumber, Target};

/// How long after its Authenticate a device may take to be enrolled.
const ENROLS_WITHIN: Duration = Duration::from_secs(3600);

/// A snapshot with the rows that its numbers stand for.
#[derive(Debug, Clone)]
pub struct Loaded {
    pub snapshot: Snapshot,
    /// Same order as `snapshot.locations`.
    pub locations: Vec<LocationId>,
    /// Same order as `snapshot.devices`.
    pub devices: Vec<DeviceId>,
    /// Same order as `snapshot.assets`: (owned, held, being assigned or taken back).
    pub counts: Vec<Counts>,
}

/// How many licences of an asset there are, and where they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    pub owned: u64,
    pub held: u64,
    pub under_way: u64,
}

/// Reads everything. `us` is our `mdmInfo.id`: a location is written to only while Apple names us as its owner and its
/// token is accepted, and not between a restored backup and the next full sync.
pub fn load(connection: &Connection, us: &str, now: Timestamp) -> Result<Loaded, StoreError> {
    let mut products = Products::default();
    let kept = locations::all(connection)?;
    let doubted = safety::doubted(connection)?;
    let location_ids: Vec<LocationId> = kept.iter().map(|l| l.id).collect();
    let locations: Vec<Location> = kept
        .iter()
        .map(|location| {
            let accepted =
                matches!(location.token_state, locations::TokenState::Valid | locations::TokenState::Unreachable);
            let ours = location.owner.as_ref().is_some_and(|owner| owner.id == us);
            let current = location.expires_at > now && !location.full_sync_first && !location.leaving;
            let believed = !doubted.contains_key(&location.id);
            Location { name: location.name.clone(), writable: accepted && ours && current && believed }
        })
        .collect();
    let place_of: HashMap<i64, u32> = (0u32..).zip(&location_ids).map(|(place, id)| (id.0, place)).collect();
    let (assets, counts) = load_assets(connection, &place_of, &mut products)?;
    let asset_of: HashMap<(u32, u32, &str), u32> = (0u32..)
        .zip(&assets)
        .map(|(place, asset)| ((asset.location, asset.product, asset.pricing_param.as_str()), place))
        .collect();
    let (device_ids, devices) = load_devices(connection)?;
    let device_of: HashMap<i64, u32> = (0u32..).zip(&device_ids).map(|(place, id)| (id.0, place)).collect();
    let serial_of: HashMap<&str, u32> = (0u32..)
        .zip(&devices)
        .filter(|(_, device)| !device.serial.is_empty())
        .map(|(place, device)| (device.serial.as_str(), place))
        .collect();
    let decided = by_hand::all(connection)?.into_iter().filter_map(|decided| {
        let Holder::Serial(serial) = &decided.holder else { return None };
        Some(Rule {
            id: BY_HAND,
            product: products.place(&decided.adam_id),
            target: Target::Serial(SerialNumber::read(serial)?),
            purpose: match decided.decision {
                by_hand::Decision::Assigned => Purpose::Required,
                by_hand::Decision::Revoked => Purpose::Uninstall,
            },
            created_at: decided.decided_at,
        })
    });
    let mut rules: Vec<Rule> = decided.collect();
    let deployed = deployments::all(connection)?.into_iter().map(|deployment| Rule {
        id: deployment.id.0,
        product: products.place(&deployment.adam_id),
        target: deployment.target,
        purpose: deployment.purpose,
        created_at: deployment.created_at,
    });
    rules.extend(deployed);
    let mut pairs = load_pairs(connection, &device_of, &mut products)?;
    let licences = load_licences(connection, &place_of, &serial_of, &asset_of, &products)?;
    merge(&mut pairs, licences);
    for (adam_id, bundle_id) in assets::bundle_ids(connection)? {
        if let Some(&place) = products.place_of.get(&adam_id) {
            products.all[place as usize].bundle_id = Some(bundle_id);
        }
    }
    let snapshot = Snapshot { now, locations, products: products.all, assets, devices, rules, pairs };
    Ok(Loaded { snapshot, locations: location_ids, devices: device_ids, counts })
}

/// Apps numbered as they are met.
#[derive(Default)]
struct Products {
    all: Vec<Product>,
    place_of: HashMap<String, u32>,
}

impl Products {
    fn place(&mut self, adam_id: &str) -> u32 {
        if let Some(&place) = self.place_of.get(adam_id) {
            return place;
        }
        let place = self.all.len() as u32;
        self.all.push(Product { adam_id: adam_id.into(), bundle_id: None });
        self.place_of.insert(adam_id.into(), place);
        place
    }
}

fn load_assets(
    connection: &Connection,
    place_of: &HashMap<i64, u32>,
    products: &mut Products,
) -> Result<(Vec<Asset>, Vec<Counts>), StoreError> {
    let sql = "WITH held AS (
            SELECT a.location_id, a.adam_id, a.pricing_param, count(*) AS n
            FROM assignment a JOIN location l ON l.id = a.location_id AND l.generation = a.generation
            GROUP BY 1, 2, 3),
        under_way AS (
            SELECT r.location_id, r.adam_id, r.pricing_param, count(*) AS n,
                sum(e.verb = 'associate' AND NOT EXISTS (
                    SELECT 1 FROM assignment a JOIN location l ON l.id = a.location_id
                        AND l.generation = a.generation
                    WHERE a.location_id = r.location_id AND a.adam_id = r.adam_id
                        AND a.pricing_param = r.pricing_param AND a.holder_kind = r.holder_kind AND a.holder = r.holder)) AS new
            FROM reservation r JOIN licence_event e ON e.id = r.event GROUP BY 1, 2, 3),
        returning_now AS (
            SELECT location_id, adam_id, pricing_param, count(*) AS n FROM returning_licence GROUP BY 1, 2, 3)
        SELECT s.location_id, s.adam_id, s.pricing_param, s.device_assignable, s.revocable, s.unlimited,
            s.total_count, coalesce(h.n, 0), coalesce(u.n, 0),
            s.total_count - coalesce(h.n, 0) - s.elsewhere_count - coalesce(u.new, 0) - coalesce(r.n, 0)
        FROM asset s
            LEFT JOIN held h USING (location_id, adam_id, pricing_param)
            LEFT JOIN under_way u USING (location_id, adam_id, pricing_param)
            LEFT JOIN returning_now r USING (location_id, adam_id, pricing_param)
        ORDER BY s.adam_id, s.location_id, s.pricing_param";
    let mut counts = Vec::new();
    let mut all = Vec::new();
    rows(connection, sql, [], |row| {
        let Some(&location) = place_of.get(&row.get::<_, i64>(0)?) else { return Ok(()) };
        let free: i64 = row.get(9)?;
        all.push(Asset {
            product: products.place(&row.get::<_, String>(1)?),
            location,
            pricing_param: row.get(2)?,
            device_assignable: row.get(3)?,
            revocable: row.get(4)?,
            unlimited: row.get(5)?,
            free: u32::try_from(free.max(0)).unwrap_or(u32::MAX),
        });
        counts.push(Counts {
            owned: row.get::<_, i64>(6)?.max(0) as u64,
            held: row.get::<_, i64>(7)?.max(0) as u64,
            under_way: row.get::<_, i64>(8)?.max(0) as u64,
        });
        Ok(())
    })?;
    Ok((all, counts))
}

fn load_devices(connection: &Connection) -> Result<(Vec<DeviceId>, Vec<Device>), StoreError> {
    let sql = "SELECT id, serial, state = 'enrolled', coalesce(enrolled_at, authenticated_at) FROM device ORDER BY id";
    let all = rows(connection, sql, [], |row| {
        let device = Device { serial: row.get(1)?, enrolled: row.get(2)?, enrolled_at: time(row.get(3)?)? };
        Ok((DeviceId(row.get(0)?), device))
    })?;
    Ok(all.into_iter().unzip())
}

fn load_pairs(
    connection: &Connection,
    device_of: &HashMap<i64, u32>,
    products: &mut Products,
) -> Result<Vec<Pair>, StoreError> {
    // A device that enrols again is about to come back: its licences are not taken meanwhile.
    let sql = "SELECT p.device_id, p.adam_id, p.app, p.ours,
                   CASE d.state WHEN 'enrolling' THEN d.authenticated_at + ?1 ELSE p.due END,
                   coalesce(c.state = 'sent', 0)
               FROM pair p JOIN device d ON d.id = p.device_id LEFT JOIN command c ON c.uuid = p.command";
    let mut pairs = Vec::new();
    rows(connection, sql, [ENROLS_WITHIN.as_micros() as i64], |row| {
        let Some(&device) = device_of.get(&row.get::<_, i64>(0)?) else { return Ok(()) };
        let code: u8 = row.get(2)?;
        // Rounded up: a pair is never due before its time.
        let due = row.get::<_, Option<i64>>(4)?.map_or(0, |due| due.div_euclid(1_000_000) + 1);
        pairs.push(Pair {
            app: App::from_code(code).ok_or_else(|| StoreError::Damaged(format!("app state {code}")))?,
            ours: row.get(3)?,
            due,
            sent: row.get(5)?,
            ..Pair::unknown(products.place(row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?), device)
        });
        Ok(())
    })?;
    pairs.sort_unstable_by_key(|pair| (pair.product, pair.device));
    Ok(pairs)
}

/// The licence of a known device.
struct Held {
    product: u32,
    device: u32,
    licence: Licence,
    asset: u32,
    /// vppd has asked for it, or adopted it.
    own: bool,
}

/// Licences of known devices, one for each pair, in the order of the pairs.
fn load_licences(
    connection: &Connection,
    place_of: &HashMap<i64, u32>,
    serial_of: &HashMap<&str, u32>,
    asset_of: &HashMap<(u32, u32, &str), u32>,
    products: &Products,
) -> Result<Vec<Held>, StoreError> {
    let sql = "SELECT r.location_id, r.adam_id, r.pricing_param, r.holder,
                   CASE e.verb WHEN 'associate' THEN 0 ELSE 1 END, 1
               FROM reservation r JOIN licence_event e ON e.id = r.event WHERE r.holder_kind = 'serial'
               UNION ALL
               SELECT a.location_id, a.adam_id, a.pricing_param, a.holder, 2, o.holder IS NOT NULL
               FROM assignment a JOIN location l ON l.id = a.location_id AND l.generation = a.generation
                   LEFT JOIN own_licence o ON o.location_id = a.location_id AND o.adam_id = a.adam_id
                       AND o.pricing_param = a.pricing_param AND o.holder_kind = a.holder_kind AND o.holder = a.holder
               WHERE a.holder_kind = 'serial'";
    let mut licences = Vec::new();
    rows(connection, sql, [], |row| {
        let text =
            |column| -> Result<&str, StoreError> { Ok(row.get_ref(column)?.as_str().map_err(rusqlite::Error::from)?) };
        let known = || {
            let location = *place_of.get(&row.get(0).ok()?)?;
            let product = *products.place_of.get(text(1).ok()?)?;
            let asset = *asset_of.get(&(location, product, text(2).ok()?))?;
            Some((product, *serial_of.get(text(3).ok()?)?, asset))
        };
        if let Some((product, device, asset)) = known() {
            let licence = match row.get::<_, i64>(4)? {
                0 => Licence::Requested,
                1 => Licence::Returning,
                _ => Licence::Assigned,
            };
            licences.push(Held { product, device, licence, asset, own: row.get(5)? });
        }
        Ok(())
    })?;
    // One licence counts per pair: what is under way, else our own, else the one of the first location.
    licences.sort_unstable_by_key(|held: &Held| {
        (held.product, held.device, held.licence == Licence::Assigned, !held.own, held.asset)
    });
    licences.dedup_by_key(|held| (held.product, held.device));
    Ok(licences)
}

/// Puts the licences into the pairs; both are sorted by (product, device).
fn merge(pairs: &mut Vec<Pair>, licences: Vec<Held>) {
    let mut merged = Vec::with_capacity(pairs.len() + licences.len());
    let mut known = std::mem::take(pairs).into_iter().peekable();
    for Held { product, device, licence, asset, own } in licences {
        while let Some(pair) = known.next_if(|pair| (pair.product, pair.device) < (product, device)) {
            merged.push(pair);
        }
        let pair = known.next_if(|pair| (pair.product, pair.device) == (product, device));
        merged.push(Pair { licence, asset, ours: own, ..pair.unwrap_or(Pair::unknown(product, device)) });
    }
    merged.extend(known);
    *pairs = merged;
}
