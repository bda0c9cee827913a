//! What is known of each app on each device, and of each person's licences.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Connection, params};

use super::Behind;
use crate::licensing::{Holder, Licence, Pair, Planner, Row, Seat, Snapshot};
use crate::model::App;
use crate::store::{StoreError, row, rows};

/// Rounded up: nothing is due before its time.
fn seconds(micros: Option<i64>) -> u32 {
    micros.map_or(0, |micros| u32::try_from(micros.div_euclid(1_000_000) + 1).unwrap_or(u32::MAX))
}

/// The pairs of all devices, or of one: device, app, and what is known.
macro_rules! pairs_of {
    ($where:literal) => {
        concat!(
            "SELECT p.device_id, p.adam_id, p.app, p.ours, p.due, p.since, coalesce(c.state = 'sent', 0)
             FROM pair p LEFT JOIN command c ON c.uuid = p.command ",
            $where
        )
    };
}

/// A pair as kept, of an app that is still to be numbered.
fn read_pair(row: &rusqlite::Row<'_>) -> Result<Pair, StoreError> {
    let code: u8 = row.get(2)?;
    Ok(Pair {
        app: App::from_code(code).ok_or_else(|| StoreError::Damaged(format!("app state {code}")))?,
        ours: row.get(3)?,
        due: seconds(row.get(4)?),
        since: seconds(row.get(5)?),
        sent: row.get(6)?,
        ..Pair::unknown(0)
    })
}

pub(super) fn pairs(connection: &Connection, behind: &mut Behind, snapshot: &mut Snapshot) -> Result<(), StoreError> {
    let mut all: Vec<Vec<Pair>> = vec![Vec::new(); snapshot.devices.len()];
    rows(connection, pairs_of!("ORDER BY p.device_id"), [], |row| {
        let Some(&device) = behind.device_of.get(&row.get::<_, i64>(0)?) else { return Ok(()) };
        let product = behind.product(snapshot, row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?);
        all[device as usize].push(Pair { product, ..read_pair(row)? });
        Ok(())
    })?;
    all.iter_mut().for_each(|row| row.sort_unstable_by_key(|pair| pair.product));
    let (held, extras) = licences(connection, Whose::All { user: false }, behind)?;
    snapshot.extras.extend(extras.into_iter().map(|(asset, device)| (asset, Holder::Device(device))));
    held.into_iter().for_each(|held| held.put_on(&mut all[held.holder as usize]));
    snapshot.rows = all.into_iter().map(Vec::into_boxed_slice).collect();
    Ok(())
}

pub(super) fn seats(connection: &Connection, behind: &mut Behind, snapshot: &mut Snapshot) -> Result<(), StoreError> {
    let mut all: Vec<Vec<Seat>> = vec![Vec::new(); snapshot.persons.len()];
    let (held, extras) = licences(connection, Whose::All { user: true }, behind)?;
    snapshot.extras.extend(extras.into_iter().map(|(asset, person)| (asset, Holder::Person(person))));
    for held in held {
        all[held.holder as usize].push(held.seat());
    }
    rows(connection, "SELECT client_user_id, adam_id, due FROM seat_refusal", [], |row| {
        let Some(&person) = behind.user_of.get(&row.get::<_, String>(0)?) else { return Ok(()) };
        let product = behind.product(snapshot, &row.get::<_, String>(1)?);
        refused(&mut all[person as usize], product, seconds(row.get(2)?));
        Ok(())
    })?;
    snapshot.seats = all.into_iter().map(Vec::into_boxed_slice).collect();
    Ok(())
}

/// A seat was refused, and is asked for again when this time has come.
fn refused(row: &mut Vec<Seat>, product: u32, due: u32) {
    match row.binary_search_by_key(&product, |seat| seat.product) {
        Ok(at) => row[at].due = due,
        Err(at) => row.insert(at, Seat { due, ..Seat::unknown(product) }),
    }
}

/// Whose licences of which apps are to be read anew.
pub(super) enum Apps {
    All,
    /// Adam IDs.
    These(BTreeSet<String>),
}

impl Apps {
    /// What is known of licences still holds.
    pub fn none() -> Apps {
        Apps::These(BTreeSet::new())
    }

    /// Adam IDs of those about which the plan knows, by their numbers.
    fn known(&self, behind: &Behind) -> Option<BTreeMap<u32, String>> {
        match self {
            Apps::All => None,
            Apps::These(ids) => {
                Some(ids.iter().filter_map(|id| Some((*behind.products.get(id)?, id.clone()))).collect())
            }
        }
    }
}

/// The row of a device and what it holds beside, as they are now.
pub(super) fn row_of(
    connection: &Connection,
    behind: &mut Behind,
    planner: &mut Planner,
    place: u32,
    serial: &str,
    apps: &Apps,
) -> Result<(Row<Pair>, Vec<u32>), StoreError> {
    let mut row = Vec::new();
    if let Some(id) = behind.devices[place as usize] {
        let kept = rows(connection, pairs_of!("WHERE p.device_id = ?1"), [id.0], |row| {
            Ok((row.get::<_, String>(1)?, read_pair(row)?))
        })?;
        row = kept.into_iter().map(|(id, pair)| Pair { product: behind.new_product(planner, &id), ..pair }).collect();
        row.sort_unstable_by_key(|pair| pair.product);
    }
    let anew = apps.known(behind);
    let stays = |product: u32| anew.as_ref().is_some_and(|anew| !anew.contains_key(&product));
    let snapshot = planner.snapshot();
    let old = snapshot.rows.get(place as usize).map(|row| &**row).unwrap_or_default();
    for pair in old.iter().filter(|pair| pair.licence != Licence::None && stays(pair.product)) {
        let Pair { product, licence, asset, ours, .. } = *pair;
        Held { product, holder: place, licence, asset, own: ours }.put_on(&mut row);
    }
    let mut extras = others(snapshot, Holder::Device(place), stays);
    for whose in Whose::of(false, serial, &anew) {
        let (held, more) = licences(connection, whose, behind)?;
        held.into_iter().for_each(|held| held.put_on(&mut row));
        extras.extend(more.into_iter().map(|(asset, _)| asset));
    }
    Ok((row.into(), extras))
}

/// The seats of a person and what the person holds beside, as they are now.
pub(super) fn seats_of(
    connection: &Connection,
    behind: &mut Behind,
    planner: &mut Planner,
    place: u32,
    apps: &Apps,
) -> Result<(Row<Seat>, Vec<u32>), StoreError> {
    let anew = apps.known(behind);
    let stays = |product: u32| anew.as_ref().is_some_and(|anew| !anew.contains_key(&product));
    let snapshot = planner.snapshot();
    let old = snapshot.seats[place as usize].iter();
    let kept = old.filter(|seat| seat.licence != Licence::None && stays(seat.product));
    let mut row: Vec<Seat> = kept.map(|seat| Seat { due: 0, ..*seat }).collect();
    let name = snapshot.persons[place as usize].client_user_id.clone();
    let mut extras = others(snapshot, Holder::Person(place), stays);
    for whose in Whose::of(true, &name, &anew) {
        let (held, more) = licences(connection, whose, behind)?;
        row.extend(held.iter().map(Held::seat));
        extras.extend(more.into_iter().map(|(asset, _)| asset));
    }
    row.sort_unstable_by_key(|seat| seat.product);
    let sql = "SELECT adam_id, due FROM seat_refusal WHERE client_user_id = ?1";
    for (id, due) in rows(connection, sql, [&name], |row| Ok((row.get::<_, String>(0)?, seconds(row.get(1)?))))? {
        refused(&mut row, behind.new_product(planner, &id), due);
    }
    Ok((row.into(), extras))
}

/// Assets of the licences that a holder has beside its row, of apps that are not read anew.
fn others(snapshot: &Snapshot, holder: Holder, stays: impl Fn(u32) -> bool) -> Vec<u32> {
    let of_holder = snapshot.extras.iter().filter(|(_, known)| *known == holder).map(|(asset, _)| *asset);
    of_holder.filter(|&asset| stays(snapshot.assets[asset as usize].product)).collect()
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

impl Held {
    /// Into the row of its device.
    fn put_on(&self, row: &mut Vec<Pair>) {
        let at = match row.binary_search_by_key(&self.product, |pair| pair.product) {
            Ok(at) => at,
            Err(at) => {
                row.insert(at, Pair::unknown(self.product));
                at
            }
        };
        row[at] = Pair { licence: self.licence, asset: self.asset, ours: self.own, ..row[at] };
    }

    fn seat(&self) -> Seat {
        Seat { licence: self.licence, asset: self.asset, ours: self.own, ..Seat::unknown(self.product) }
    }
}

/// Whose licences are to be read.
enum Whose<'a> {
    All {
        user: bool,
    },
    /// Of one holder, by name; of one app, or of all.
    One {
        user: bool,
        holder: &'a str,
        adam_id: Option<&'a str>,
    },
}

impl<'a> Whose<'a> {
    /// Of one holder: of these apps, or of all.
    fn of(user: bool, holder: &'a str, apps: &'a Option<BTreeMap<u32, String>>) -> Vec<Whose<'a>> {
        match apps {
            None => vec![Whose::One { user, holder, adam_id: None }],
            Some(apps) => apps.values().map(|id| Whose::One { user, holder, adam_id: Some(id) }).collect(),
        }
    }
}

/// Requests under way, and what is assigned: location, app, pricing, holder, 0, 1 or 2 for what is asked for, taken back or
/// there, and whether it is ours. Of all holders of a kind; or of one, found by asking for each asset.
macro_rules! licences_of {
    ($reservations:literal, $assignments:literal) => {
        concat!(
            "SELECT r.location_id, r.adam_id, r.pricing_param, r.holder, CASE e.verb WHEN 'associate' THEN 0 ELSE 1 END, 1
             FROM ", $reservations, " JOIN licence_event e ON e.id = r.event WHERE r.holder_kind = ?1
             UNION ALL
             SELECT a.location_id, a.adam_id, a.pricing_param, a.holder, 2, o.holder IS NOT NULL
             FROM ", $assignments, " LEFT JOIN own_licence o ON o.location_id = a.location_id AND o.adam_id = a.adam_id
                     AND o.pricing_param = a.pricing_param AND o.holder = a.holder AND o.holder_kind = a.holder_kind
             WHERE a.holder_kind = ?1"
        )
    };
}

const OF_ALL: &str = licences_of!(
    "reservation r",
    "assignment a JOIN location l ON l.id = a.location_id AND l.generation = a.generation"
);

const OF_ONE: &str = licences_of!(
    "asset s CROSS JOIN reservation r ON r.location_id = s.location_id AND r.adam_id = s.adam_id
         AND r.pricing_param = s.pricing_param AND r.holder = ?2 AND (?3 IS NULL OR s.adam_id = ?3)",
    "asset s CROSS JOIN location l ON l.id = s.location_id AND (?3 IS NULL OR s.adam_id = ?3)
         CROSS JOIN assignment a ON a.location_id = l.id AND a.generation = l.generation AND a.adam_id = s.adam_id
             AND a.pricing_param = s.pricing_param AND a.holder_kind = ?1 AND a.holder = ?2"
);

/// (asset, holder), by their places.
type Extra = (u32, u32);

/// Licences of known holders of a kind, one for each app and holder, sorted by both; and what of ours they hold beside it.
fn licences(connection: &Connection, whose: Whose<'_>, behind: &Behind) -> Result<(Vec<Held>, Vec<Extra>), StoreError> {
    let (Whose::All { user } | Whose::One { user, .. }) = whose;
    let (kind, places) = if user { ("user", &behind.user_of) } else { ("serial", &behind.serial_of) };
    let mut licences = Vec::new();
    let mut read = |row: &rusqlite::Row<'_>| -> Result<(), StoreError> {
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
    };
    match whose {
        Whose::All { .. } => rows(connection, OF_ALL, [kind], &mut read)?,
        Whose::One { holder, adam_id, .. } => rows(connection, OF_ONE, params![kind, holder, adam_id], &mut read)?,
    };
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
