//! What is read once for all pairs: locations, assets, groups, people, devices, deployments, decisions by hand.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::{Connection, params};

use super::{Behind, Counts};
use crate::clock::after;
use crate::licensing::{Asset, ByHand, Device, Holder, Location, Person, Rule, Snapshot, Standing, Whom};
use crate::model::{DeviceId, GroupId, GroupKind, LicenceKind, PersonId, Purpose, Target, UserStatus};
use crate::store::membership::Membership;
use crate::store::{StoreError, groups, locations as kept, maybe_time, row, rows, safety, time};

/// How long after its Authenticate a device may take to be enrolled.
const ENROLS_WITHIN: Duration = Duration::from_secs(3600);

pub(super) fn groups(connection: &Connection, behind: &mut Behind) -> Result<(), StoreError> {
    rows(connection, "SELECT id, name FROM member_group ORDER BY id", [], |row| {
        behind.group_of.insert(row.get(0)?, behind.groups.len() as u32);
        behind.groups.push(row.get(1)?);
        Ok(())
    })?;
    Ok(())
}

pub(super) fn locations(
    connection: &Connection,
    us: &str,
    behind: &mut Behind,
    snapshot: &mut Snapshot,
) -> Result<(), StoreError> {
    let all = kept::all(connection)?;
    let doubted = safety::doubted(connection)?;
    behind.locations = all.iter().map(|location| location.id).collect();
    behind.location_of = behind.locations.iter().map(|id| id.0).zip(0u32..).collect();
    let sql = "SELECT location_id, group_id FROM location_group";
    let groups = listed(connection, sql, [], &behind.group_of)?;
    snapshot.locations = all
        .iter()
        .map(|location| {
            let accepted = matches!(location.token_state, kept::TokenState::Valid | kept::TokenState::Unreachable);
            let ours = location.owner.as_ref().is_some_and(|owner| owner.id == us);
            let current = location.expires_at > snapshot.now && !location.full_sync_first && !location.leaving;
            let believed = !doubted.contains_key(&location.id);
            let groups = groups.get(&location.id.0).cloned().unwrap_or_default();
            Location { name: location.name.clone(), writable: accepted && ours && current && believed, groups }
        })
        .collect();
    Ok(())
}

/// Lists of numbers by their owners, sorted, of rows (owner, member).
fn listed(
    connection: &Connection,
    sql: &str,
    parameters: impl rusqlite::Params,
    number_of: &HashMap<i64, u32>,
) -> Result<HashMap<i64, Box<[u32]>>, StoreError> {
    let mut lists = HashMap::<i64, Vec<u32>>::new();
    rows(connection, sql, parameters, |row| {
        if let Some(&number) = number_of.get(&row.get(1)?) {
            lists.entry(row.get(0)?).or_default().push(number);
        }
        Ok(())
    })?;
    Ok(lists.into_iter().map(|(owner, list)| (owner, sorted(list))).collect())
}

fn sorted(mut list: Vec<u32>) -> Box<[u32]> {
    list.sort_unstable();
    list.dedup();
    list.into()
}

/// Assets of one app, or of all: location, adamId, pricingParam and so on, how many are owned, held and under way, and how
/// many are free.
const ASSETS: &str = "
    SELECT s.location_id, s.adam_id, s.pricing_param, s.device_assignable, s.revocable AND s.product_type <> 'Book',
        s.unlimited, s.product_type = 'Book', s.total_count, s.held, s.under_way,
        s.total_count - s.held - s.elsewhere_count - s.new - s.back
    FROM (
        SELECT s.*,
            (SELECT count(*) FROM assignment a WHERE a.location_id = s.location_id AND a.generation = l.generation
                AND a.adam_id = s.adam_id AND a.pricing_param = s.pricing_param) AS held,
            (SELECT count(*) FROM reservation r WHERE r.location_id = s.location_id AND r.adam_id = s.adam_id
                AND r.pricing_param = s.pricing_param) AS under_way,
            (SELECT count(*) FROM reservation r JOIN licence_event e ON e.id = r.event
                WHERE r.location_id = s.location_id AND r.adam_id = s.adam_id AND r.pricing_param = s.pricing_param
                    AND e.verb = 'associate' AND NOT EXISTS (
                        SELECT 1 FROM assignment a WHERE a.location_id = s.location_id AND a.generation = l.generation
                            AND a.adam_id = s.adam_id AND a.pricing_param = s.pricing_param
                            AND a.holder_kind = r.holder_kind AND a.holder = r.holder)) AS new,
            (SELECT count(*) FROM returning_licence r WHERE r.location_id = s.location_id AND r.adam_id = s.adam_id
                AND r.pricing_param = s.pricing_param) AS back
        FROM asset s JOIN location l ON l.id = s.location_id
        WHERE ?1 IS NULL OR s.adam_id = ?1) s
    ORDER BY s.adam_id, s.location_id, s.pricing_param";

pub(super) fn assets(
    connection: &Connection,
    behind: &mut Behind,
    snapshot: &mut Snapshot,
) -> Result<Vec<Counts>, StoreError> {
    let mut counts = Vec::new();
    rows(connection, ASSETS, params![None::<String>], |row| {
        let Some(&location) = behind.location_of.get(&row.get::<_, i64>(0)?) else { return Ok(()) };
        let product = behind.product(snapshot, &row.get::<_, String>(1)?);
        let pricing_param: String = row.get(2)?;
        snapshot.products[product as usize].book |= row.get::<_, bool>(6)?;
        let of_app = behind.asset_of.entry((location, product)).or_default();
        of_app.push((pricing_param.clone(), snapshot.assets.len() as u32));
        snapshot.assets.push(Asset {
            product,
            location,
            pricing_param,
            device_assignable: row.get(3)?,
            revocable: row.get(4)?,
            unlimited: row.get(5)?,
            free: free(row.get(10)?),
        });
        counts.push(Counts {
            owned: row.get::<_, i64>(7)?.max(0) as u64,
            held: row.get::<_, i64>(8)?.max(0) as u64,
            under_way: row.get::<_, i64>(9)?.max(0) as u64,
        });
        Ok(())
    })?;
    Ok(counts)
}

/// How many licences of an app's assets are free now: (asset, free).
pub(super) fn free_of(connection: &Connection, behind: &Behind, adam_id: &str) -> Result<Vec<(u32, u32)>, StoreError> {
    let found = rows(connection, ASSETS, [adam_id], |row| {
        let location = behind.location_of.get(&row.get::<_, i64>(0)?);
        let of_app = location.zip(behind.products.get(adam_id)).and_then(|(l, p)| behind.asset_of.get(&(*l, *p)));
        let pricing_param: String = row.get(2)?;
        let asset = of_app.and_then(|assets| assets.iter().find(|(known, _)| *known == pricing_param));
        Ok(asset.map(|(_, asset)| *asset).zip(Some(free(row.get(10)?))))
    })?;
    Ok(found.into_iter().flatten().collect())
}

fn free(count: i64) -> u32 {
    u32::try_from(count.max(0)).unwrap_or(u32::MAX)
}

pub(super) fn persons(
    connection: &Connection,
    grace: Duration,
    behind: &mut Behind,
    snapshot: &mut Snapshot,
) -> Result<(), StoreError> {
    let groups = listed(connection, "SELECT person_id, group_id FROM group_person", [], &behind.group_of)?;
    let mut registered = HashMap::<i64, Vec<u32>>::new();
    let sql = "SELECT location_id, status, person_id FROM user WHERE person_id IS NOT NULL AND wanted <> 'retired'";
    rows(connection, sql, [], |row| {
        if let Some(location) = registered_at(row, behind)? {
            registered.entry(row.get(2)?).or_default().push(location);
        }
        Ok(())
    })?;
    let sql = "SELECT id, client_user_id, created_at, gone_at, retired_at FROM person ORDER BY id";
    rows(connection, sql, [], |row| {
        let id: i64 = row.get(0)?;
        let client_user_id: String = row.get(1)?;
        let gone = maybe_time(row.get(3)?)?.map(|gone| after(gone, grace));
        let place = snapshot.persons.len() as u32;
        behind.person_of.insert(id, place);
        behind.user_of.insert(client_user_id.clone(), place);
        behind.persons.push(PersonId(id));
        snapshot.persons.push(Person {
            client_user_id,
            since: time(row.get(2)?)?,
            leaves_at: gone.into_iter().chain(maybe_time(row.get(4)?)?).min(),
            groups: groups.get(&id).cloned().unwrap_or_default(),
            registered: sorted(registered.remove(&id).unwrap_or_default()),
        });
        Ok(())
    })?;
    Ok(())
}

/// The location of a row (location, status), if the user is active there.
fn registered_at(row: &rusqlite::Row<'_>, behind: &Behind) -> Result<Option<u32>, StoreError> {
    let active = UserStatus::from(row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?).is_active();
    Ok(behind.location_of.get(&row.get(0)?).copied().filter(|_| active))
}

/// Where a person is registered now.
pub(super) fn registered(connection: &Connection, behind: &Behind, person: i64) -> Result<Box<[u32]>, StoreError> {
    let sql = "SELECT location_id, status FROM user WHERE person_id = ?1 AND wanted <> 'retired'";
    let found = rows(connection, sql, [person], |row| registered_at(row, behind))?;
    Ok(sorted(found.into_iter().flatten().collect()))
}

/// All devices, or one.
macro_rules! devices {
    ($where:literal) => {
        concat!(
            "SELECT d.id, d.serial, d.state, d.enrolled_at, d.authenticated_at, d.checked_out_at, d.last_seen,
                 d.product_name, d.os_version, CASE WHEN n.ownership <> 'kiosk' THEN n.person_id END, d.removed_at
             FROM device d LEFT JOIN device_note n ON n.serial = d.serial AND d.serial <> '' ",
            $where
        )
    };
}

pub(super) fn devices(connection: &Connection, behind: &mut Behind, snapshot: &mut Snapshot) -> Result<(), StoreError> {
    let groups = groups_of_devices(connection, behind, None)?;
    rows(connection, devices!("ORDER BY d.id"), [], |row| {
        let device = read_device(row, behind, &groups)?;
        add_device(behind, snapshot, Some(DeviceId(row.get(0)?)), device);
        Ok(())
    })?;
    // Licences of ours and decisions may speak of serial numbers that never enrolled, or whose device was deleted.
    let sql = "SELECT holder FROM own_licence WHERE holder_kind = 'serial'
        UNION SELECT holder FROM reservation WHERE holder_kind = 'serial'
        UNION SELECT holder FROM by_hand WHERE holder_kind = 'serial'";
    for serial in rows(connection, sql, [], |row| Ok(row.get::<_, String>(0)?))? {
        named(behind, snapshot, &serial);
    }
    Ok(())
}

/// Whether a licence of ours, or a request, speaks of a serial number.
pub(super) fn is_spoken_of(connection: &Connection, serial: &str) -> Result<bool, StoreError> {
    let sql = "SELECT 1 FROM own_licence WHERE holder = ?1 AND holder_kind = 'serial'
        UNION ALL SELECT 1 FROM reservation WHERE holder = ?1 AND holder_kind = 'serial'";
    Ok(row(connection, sql, [serial], |_| Ok(()))?.is_some())
}

/// A device as it is now, if it is still there.
pub(super) fn device(
    connection: &Connection,
    behind: &Behind,
    groups: &HashMap<i64, Box<[u32]>>,
    id: i64,
) -> Result<Option<Device>, StoreError> {
    row(connection, devices!("WHERE d.id = ?1"), [id], |row| read_device(row, behind, groups))
}

/// Which groups of devices each device is in: by list, and by rule. `only`: of these.
pub(super) fn groups_of_devices(
    connection: &Connection,
    behind: &Behind,
    only: Option<&BTreeSet<i64>>,
) -> Result<HashMap<i64, Box<[u32]>>, StoreError> {
    let mut listed = HashMap::new();
    match only {
        None => {
            let sql = "SELECT d.id, g.group_id FROM group_serial g JOIN device d ON d.serial = g.serial";
            listed = self::listed(connection, sql, [], &behind.group_of)?;
        }
        Some(devices) => {
            let sql =
                "SELECT d.id, g.group_id FROM device d JOIN group_serial g ON g.serial = d.serial WHERE d.id = ?1";
            for device in devices {
                listed.extend(self::listed(connection, sql, [*device], &behind.group_of)?);
            }
        }
    }
    let rules: Vec<GroupId> =
        groups::all(connection)?.iter().filter(|group| group.kind == GroupKind::Rule).map(|group| group.id).collect();
    if rules.is_empty() {
        return Ok(listed);
    }
    let membership = match only {
        None => Membership::load(connection)?,
        Some(devices) => Membership::load_for(connection, devices)?,
    };
    for device in &membership.devices {
        let met = rules.iter().filter(|group| membership.has(**group, device));
        let met: Vec<u32> = met.filter_map(|group| behind.group_of.get(&group.0)).copied().collect();
        if !met.is_empty() {
            let known = listed.remove(&device.id.0).unwrap_or_default();
            listed.insert(device.id.0, sorted(known.into_iter().chain(met).collect()));
        }
    }
    Ok(listed)
}

fn read_device(
    row: &rusqlite::Row<'_>,
    behind: &Behind,
    groups: &HashMap<i64, Box<[u32]>>,
) -> Result<Device, StoreError> {
    let (serial, state): (String, String) = (row.get(1)?, row.get(2)?);
    let authenticated_at = time(row.get(4)?)?;
    let person: Option<i64> = row.get(9)?;
    let removed_at = maybe_time(row.get(10)?)?;
    let (product_name, os_version): (String, String) = (row.get(7)?, row.get(8)?);
    Ok(Device {
        standing: match (state.as_str(), removed_at) {
            (_, Some(at)) => Standing::Left { at },
            ("enrolled", None) => Standing::Enrolled,
            ("enrolling", None) => Standing::Enrolling { until: after(authenticated_at, ENROLS_WITHIN) },
            _ => Standing::Left { at: maybe_time(row.get(5)?)?.unwrap_or(authenticated_at) },
        },
        enrolled_at: maybe_time(row.get(3)?)?.unwrap_or(authenticated_at),
        last_seen: maybe_time(row.get(6)?)?,
        takes_licences: takes_licences(&product_name, &os_version),
        person: person.and_then(|id| behind.person_of.get(&id).copied()),
        groups: groups.get(&row.get(0)?).cloned().unwrap_or_default(),
        serial,
    })
}

/// Whether the device's system knows licences by serial number (Apple: iOS 9, OS X 10.11); a device that has not told its
/// system is taken for a newer one.
fn takes_licences(product_name: &str, os_version: &str) -> bool {
    let mut numbers = os_version.split('.').map(|part| part.parse::<u32>().ok());
    let version = (numbers.next().flatten(), numbers.next().flatten().unwrap_or(0));
    let mac = ["Mac", "iMac", "VirtualMac"].iter().any(|word| product_name.starts_with(word));
    match version {
        (None, _) => true,
        (Some(major), minor) if mac => (major, minor) >= (10, 11),
        (Some(major), _) => major >= 9,
    }
}

fn add_device(behind: &mut Behind, snapshot: &mut Snapshot, id: Option<DeviceId>, device: Device) -> u32 {
    let place = behind.add_device(id, &device.serial);
    snapshot.devices.push(device);
    place
}

/// The number of a serial number, whether or not a device with it has enrolled.
fn named(behind: &mut Behind, snapshot: &mut Snapshot, serial: &str) -> u32 {
    match behind.serial_of.get(serial) {
        Some(&place) => place,
        None => add_device(behind, snapshot, None, a_name(serial)),
    }
}

/// A serial number of which nothing more is known.
pub(super) fn a_name(serial: &str) -> Device {
    Device {
        serial: serial.into(),
        standing: Standing::Named,
        enrolled_at: Timestamp::UNIX_EPOCH,
        last_seen: None,
        takes_licences: true,
        person: None,
        groups: Box::default(),
    }
}

pub(super) fn rules(connection: &Connection, behind: &mut Behind, snapshot: &mut Snapshot) -> Result<(), StoreError> {
    let sql = "SELECT deployment_id, group_id FROM deployment_excluded";
    let excluded = listed(connection, sql, [], &behind.group_of)?;
    let sql = "SELECT deployment_id, location_id FROM deployment_location";
    let locations = listed(connection, sql, [], &behind.location_of)?;
    let sql = "SELECT id, adam_id, target, purpose, licence, priority, quota, wave, licence_only, created_at
        FROM deployment ORDER BY id";
    rows(connection, sql, [], |row| {
        let (id, target): (i64, String) = (row.get(0)?, row.get(2)?);
        let damaged = |what: &str| StoreError::Damaged(format!("deployment {id}: {what}"));
        let whom = match target.parse::<Target>().map_err(|_| damaged("target"))? {
            Target::AllDevices => Whom::AllDevices,
            Target::Serial(serial) => Whom::Device(named(behind, snapshot, serial.as_str())),
            // Of a group or a person that is gone nobody is left.
            Target::Group(group) => match behind.group_of.get(&group.0) {
                Some(&group) => Whom::Group(group),
                None => return Ok(()),
            },
            Target::Person(person) => match behind.person_of.get(&person.0) {
                Some(&person) => Whom::Person(person),
                None => return Ok(()),
            },
        };
        let product = behind.product(snapshot, &row.get::<_, String>(1)?);
        let priority: i64 = row.get(5)?;
        snapshot.rules.push(Rule {
            id,
            product,
            whom,
            purpose: Purpose::from_word(&row.get::<_, String>(3)?).ok_or_else(|| damaged("purpose"))?,
            kind: LicenceKind::from_word(&row.get::<_, String>(4)?).ok_or_else(|| damaged("licence"))?,
            priority: priority.clamp(i32::MIN.into(), i32::MAX.into()) as i32,
            quota: row.get(6)?,
            wave: row.get(7)?,
            licence_only: row.get(8)?,
            excluded: excluded.get(&id).cloned().unwrap_or_default(),
            locations: locations.get(&id).cloned().unwrap_or_default(),
            created_at: time(row.get(9)?)?,
        });
        Ok(())
    })?;
    Ok(())
}

pub(super) fn by_hand(connection: &Connection, behind: &mut Behind, snapshot: &mut Snapshot) -> Result<(), StoreError> {
    let sql =
        "SELECT adam_id, holder_kind, holder, decision = 'assigned', location_id, install, decided_at FROM by_hand";
    rows(connection, sql, [], |row| {
        let (kind, name): (String, String) = (row.get(1)?, row.get(2)?);
        let places = if kind == "user" { &behind.user_of } else { &behind.serial_of };
        let Some(&place) = places.get(&name) else { return Ok(()) };
        let holder = if kind == "user" { Holder::Person(place) } else { Holder::Device(place) };
        let location: Option<i64> = row.get(4)?;
        let hand = ByHand {
            product: behind.product(snapshot, &row.get::<_, String>(0)?),
            holder,
            assigned: row.get(3)?,
            location: location.and_then(|id| behind.location_of.get(&id).copied()),
            install: row.get(5)?,
            decided_at: time(row.get(6)?)?,
        };
        snapshot.by_hand.push(hand);
        Ok(())
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn licences_by_serial_number_need_ios_9_or_macos_10_11() {
        let table = [
            ("iPad14,1", "17.2", true),
            ("iPad2,1", "8.4.1", false),
            ("iPad2,1", "9", true),
            ("MacBookPro18,3", "14.5", true),
            ("iMac12,1", "10.10.5", false),
            ("Mac14,2", "10.11", true),
            ("", "", true),
        ];
        for (product, version, expected) in table {
            assert_eq!(takes_licences(product, version), expected, "{product} {version}");
        }
    }
}
