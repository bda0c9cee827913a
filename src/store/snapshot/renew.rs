//! Brings a plan that is kept up to date to the moment of a read transaction: what was marked as changed is read anew, and
//! nothing else.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::Connection;

use super::rows::{Apps, row_of, seats_of};
use super::{Behind, facts};
use crate::licensing::{Device, Holder, Planner};
use crate::model::DeviceId;
use crate::store::marks::{Changes, Mark};
use crate::store::{StoreError, assets, row};

/// Which apps' licences of a holder changed: Adam IDs.
type Licences = BTreeMap<String, BTreeSet<String>>;

/// What was marked, by what has to be read.
#[derive(Default)]
struct Marked {
    devices: BTreeSet<i64>,
    rows: BTreeSet<i64>,
    persons: BTreeSet<i64>,
    /// By clientUserId.
    seats: Licences,
    /// By serial number.
    licences: Licences,
    free: BTreeSet<String>,
    bundle_ids: BTreeSet<String>,
}

impl Marked {
    fn read(connection: &Connection, marks: BTreeSet<Mark>) -> Result<Marked, StoreError> {
        let mut marked = Marked::default();
        for mark in marks {
            match mark {
                Mark::Device(id) => drop(marked.devices.insert(id)),
                Mark::Note(serial) => {
                    let sql = "SELECT id FROM device WHERE serial = ?1 AND serial <> ''";
                    marked.devices.extend(row(connection, sql, [serial], |row| Ok(row.get::<_, i64>(0)?))?);
                }
                Mark::Row(id) => drop(marked.rows.insert(id)),
                Mark::Person(id) => drop(marked.persons.insert(id)),
                Mark::Refusals(user) => drop(marked.seats.entry(user).or_default()),
                Mark::Licence { user, holder, adam_id } => {
                    let licences = if user { &mut marked.seats } else { &mut marked.licences };
                    licences.entry(holder).or_default().insert(adam_id);
                }
                Mark::Free(adam_id) => drop(marked.free.insert(adam_id)),
                Mark::BundleId(adam_id) => drop(marked.bundle_ids.insert(adam_id)),
            }
        }
        Ok(marked)
    }
}

/// Reads what has changed. False: that cannot be told in parts, and everything has to be read ([`super::load`]).
pub fn renew(
    connection: &Connection,
    changes: Changes,
    planner: &mut Planner,
    behind: &mut Behind,
) -> Result<bool, StoreError> {
    if changes.everything {
        return Ok(false);
    }
    let marked = Marked::read(connection, changes.marks)?;
    for adam_id in &marked.free {
        for (asset, free) in facts::free_of(connection, behind, adam_id)? {
            if planner.snapshot().assets[asset as usize].free != free {
                planner.set_free(asset, free);
            }
        }
    }
    for adam_id in &marked.bundle_ids {
        if let Some(&product) = behind.products.get(adam_id) {
            planner.set_bundle_id(product, assets::bundle_id(connection, adam_id)?);
        }
    }
    Ok(persons(connection, &marked, planner, behind)? && devices(connection, marked, planner, behind)?)
}

fn persons(
    connection: &Connection,
    marked: &Marked,
    planner: &mut Planner,
    behind: &mut Behind,
) -> Result<bool, StoreError> {
    let mut places = BTreeMap::<u32, Apps>::new();
    for id in &marked.persons {
        let Some(&place) = behind.person_of.get(id) else { return Ok(false) };
        places.insert(place, Apps::none());
    }
    for (user, apps) in &marked.seats {
        // Users of others are nobody here.
        let Some(&place) = behind.user_of.get(user) else { continue };
        places.insert(place, Apps::These(apps.clone()));
    }
    for (place, apps) in places {
        let mut person = planner.snapshot().persons[place as usize].clone();
        person.registered = facts::registered(connection, behind, behind.persons[place as usize].0)?;
        let (seats, extras) = seats_of(connection, behind, planner, place, &apps)?;
        planner.set_person(place, person, seats);
        set_extras(planner, Holder::Person(place), &extras);
    }
    Ok(true)
}

fn devices(
    connection: &Connection,
    marked: Marked,
    planner: &mut Planner,
    behind: &mut Behind,
) -> Result<bool, StoreError> {
    let groups = facts::groups_of_devices(connection, behind, Some(&marked.devices))?;
    let mut places = BTreeMap::<u32, (Device, Apps)>::new();
    for id in marked.devices {
        let Some(device) = facts::device(connection, behind, &groups, id)? else { return Ok(false) };
        let (place, apps) = match (behind.device_of.get(&id), behind.serial_of.get(&device.serial)) {
            (Some(&place), named) => {
                let known = planner.snapshot().devices.get(place as usize).map(|known| &known.serial);
                // It has another serial number than before.
                if named.is_some_and(|named| *named != place) || known.is_some_and(|known| *known != device.serial) {
                    return Ok(false);
                }
                (place, Apps::none())
            }
            // What was only a name has enrolled.
            (None, Some(&place)) if behind.devices[place as usize].is_none() => {
                behind.devices[place as usize] = Some(DeviceId(id));
                behind.device_of.insert(id, place);
                (place, Apps::none())
            }
            (None, Some(_)) => return Ok(false),
            (None, None) => (behind.add_device(Some(DeviceId(id)), &device.serial), Apps::All),
        };
        places.insert(place, (device, apps));
    }
    let known = |planner: &Planner, place: u32| planner.snapshot().devices[place as usize].clone();
    for id in marked.rows {
        let Some(&place) = behind.device_of.get(&id) else { return Ok(false) };
        places.entry(place).or_insert_with(|| (known(planner, place), Apps::none()));
    }
    for (serial, apps) in marked.licences {
        let place = match behind.serial_of.get(&serial) {
            Some(&place) => place,
            None if !facts::is_spoken_of(connection, &serial)? => continue,
            None => {
                let place = behind.add_device(None, &serial);
                places.insert(place, (facts::a_name(&serial), Apps::All));
                continue;
            }
        };
        let (_, known) = places.entry(place).or_insert_with(|| (known(planner, place), Apps::none()));
        if let Apps::These(these) = known {
            these.extend(apps);
        }
    }
    // In their order: a new one comes behind the last.
    for (place, (device, apps)) in places {
        let serial = device.serial.clone();
        let (row, extras) = row_of(connection, behind, planner, place, &serial, &apps)?;
        planner.set_device(place, device, row);
        set_extras(planner, Holder::Device(place), &extras);
    }
    Ok(true)
}

fn set_extras(planner: &mut Planner, holder: Holder, extras: &[u32]) {
    let known = planner.snapshot().extras.iter().filter(|(_, known)| *known == holder).map(|(asset, _)| *asset);
    let mut extras = extras.to_vec();
    extras.sort_unstable();
    if !known.eq(extras.iter().copied()) {
        planner.set_extras(holder, &extras);
    }
}
