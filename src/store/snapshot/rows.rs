//! What is known of each app on each device, and of each person's licences.

use rusqlite::Connection;

use super::Behind;
use crate::licensing::{Holder, Licence, Pair, Seat, Snapshot};
use crate::model::App;
use crate::store::{StoreError, row, rows};

/// Rounded up: nothing is due before its time.
fn seconds(micros: Option<i64>) -> u32 {
    micros.map_or(0, |micros| u32::try_from(micros.div_euclid(1_000_000) + 1).unwrap_or(u32::MAX))
}

pub(super) fn pairs(connection: &Connection, behind: &mut Behind, snapshot: &mut Snapshot) -> Result<(), StoreError> {
    let mut all: Vec<Vec<Pair>> = vec![Vec::new(); snapshot.devices.len()];
    let sql = "SELECT p.device_id, p.adam_id, p.app, p.ours, p.due, p.since, coalesce(c.state = 'sent', 0)
        FROM pair p LEFT JOIN command c ON c.uuid = p.command ORDER BY p.device_id";
    rows(connection, sql, [], |row| {
        let Some(&device) = behind.device_of.get(&row.get::<_, i64>(0)?) else { return Ok(()) };
        let code: u8 = row.get(2)?;
        let product = behind.product(snapshot, row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?);
        all[device as usize].push(Pair {
            app: App::from_code(code).ok_or_else(|| StoreError::Damaged(format!("app state {code}")))?,
            ours: row.get(3)?,
            due: seconds(row.get(4)?),
            since: seconds(row.get(5)?),
            sent: row.get(6)?,
            ..Pair::unknown(product)
        });
        Ok(())
    })?;
    all.iter_mut().for_each(|row| row.sort_unstable_by_key(|pair| pair.product));
    let (held, extras) = licences(connection, "serial", behind)?;
    snapshot.extras.extend(extras.into_iter().map(|(asset, device)| (asset, Holder::Device(device))));
    for Held { product, holder, licence, asset, own } in held {
        let row = &mut all[holder as usize];
        let at = match row.binary_search_by_key(&product, |pair| pair.product) {
            Ok(at) => at,
            Err(at) => {
                row.insert(at, Pair::unknown(product));
                at
            }
        };
        row[at] = Pair { licence, asset, ours: own, ..row[at] };
    }
    snapshot.rows = all.into_iter().map(Vec::into_boxed_slice).collect();
    Ok(())
}

pub(super) fn seats(connection: &Connection, behind: &mut Behind, snapshot: &mut Snapshot) -> Result<(), StoreError> {
    let mut all: Vec<Vec<Seat>> = vec![Vec::new(); snapshot.persons.len()];
    let (held, extras) = licences(connection, "user", behind)?;
    snapshot.extras.extend(extras.into_iter().map(|(asset, person)| (asset, Holder::Person(person))));
    for Held { product, holder, licence, asset, own } in held {
        all[holder as usize].push(Seat { licence, asset, ours: own, ..Seat::unknown(product) });
    }
    rows(connection, "SELECT client_user_id, adam_id, due FROM seat_refusal", [], |row| {
        let Some(&person) = behind.user_of.get(&row.get::<_, String>(0)?) else { return Ok(()) };
        let product = behind.product(snapshot, &row.get::<_, String>(1)?);
        let row_of = &mut all[person as usize];
        let due = seconds(row.get(2)?);
        match row_of.binary_search_by_key(&product, |seat| seat.product) {
            Ok(at) => row_of[at].due = due,
            Err(at) => row_of.insert(at, Seat { due, ..Seat::unknown(product) }),
        }
        Ok(())
    })?;
    snapshot.seats = all.into_iter().map(Vec::into_boxed_slice).collect();
    Ok(())
}

/// Whether the person of the device with this serial number holds the app in any location, and no request about it is under
/// way there.
pub(super) fn person_holds(connection: &Connection, adam_id: &str, serial: &str) -> Result<bool, StoreError> {
    let sql = "SELECT 1 FROM device_note n JOIN person p ON p.id = n.person_id
            JOIN location l JOIN asset s ON s.location_id = l.id AND s.adam_id = ?1
            JOIN assignment a ON a.location_id = l.id AND a.generation = l.generation AND a.adam_id = s.adam_id
                AND a.pricing_param = s.pricing_param AND a.holder_kind = 'user' AND a.holder = p.client_user_id
        WHERE n.serial = ?2 AND NOT EXISTS (SELECT 1 FROM reservation r WHERE r.location_id = l.id
            AND r.adam_id = s.adam_id AND r.pricing_param = s.pricing_param AND r.holder = a.holder)";
    Ok(row(connection, sql, [adam_id, serial], |_| Ok(()))?.is_some())
}

/// The licence of a known device or person.
struct Held {
    product: u32,
    holder: u32,
    licence: Licence,
    asset: u32,
    /// vppd has asked for it, or adopted it.
    own: bool,
}

/// (asset, holder), by their places.
type Extra = (u32, u32);

/// Licences of known holders of a kind, one for each app and holder, sorted by both; and what of ours they hold beside it.
fn licences(connection: &Connection, kind: &str, behind: &Behind) -> Result<(Vec<Held>, Vec<Extra>), StoreError> {
    let places = if kind == "user" { &behind.user_of } else { &behind.serial_of };
    let sql = "SELECT r.location_id, r.adam_id, r.pricing_param, r.holder,
                   CASE e.verb WHEN 'associate' THEN 0 ELSE 1 END, 1
               FROM reservation r JOIN licence_event e ON e.id = r.event WHERE r.holder_kind = ?1
               UNION ALL
               SELECT a.location_id, a.adam_id, a.pricing_param, a.holder, 2, o.holder IS NOT NULL
               FROM assignment a JOIN location l ON l.id = a.location_id AND l.generation = a.generation
                   LEFT JOIN own_licence o ON o.location_id = a.location_id AND o.adam_id = a.adam_id
                       AND o.pricing_param = a.pricing_param AND o.holder = a.holder AND o.holder_kind = a.holder_kind
               WHERE a.holder_kind = ?1";
    let mut licences = Vec::new();
    rows(connection, sql, [kind], |row| {
        let text =
            |column| -> Result<&str, StoreError> { Ok(row.get_ref(column)?.as_str().map_err(rusqlite::Error::from)?) };
        let known = || {
            let location = *behind.location_of.get(&row.get(0).ok()?)?;
            let product = *behind.products.get(text(1).ok()?)?;
            let pricing_param = text(2).ok()?;
            let (_, asset) = behind.asset_of.get(&(location, product))?.iter().find(|it| it.0 == pricing_param)?;
            Some((product, *places.get(text(3).ok()?)?, *asset))
        };
        if let Some((product, holder, asset)) = known() {
            let licence = match row.get::<_, i64>(4)? {
                0 => Licence::Requested,
                1 => Licence::Returning,
                _ => Licence::Assigned,
            };
            licences.push(Held { product, holder, licence, asset, own: row.get(5)? });
        }
        Ok(())
    })?;
    // One licence counts per holder and app: what is under way, else our own, else the one of the first location.
    licences.sort_unstable_by_key(|held: &Held| {
        (held.holder, held.product, held.licence == Licence::Assigned, !held.own, held.asset)
    });
    let mut extras = Vec::new();
    licences.dedup_by(|held, counts| {
        let beside = (held.holder, held.product) == (counts.holder, counts.product);
        if beside && held.own && held.licence == Licence::Assigned && held.asset != counts.asset {
            extras.push((held.asset, held.holder));
        }
        beside
    });
    Ok((licences, extras))
}
