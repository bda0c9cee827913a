//! Worlds from bytes.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use vppd::licensing::{
    Asset, ByHand, Deadlines, Device, Holder, Licence, Location, Pair, Person, Product, Row, Rule, Seat, Snapshot,
    Standing, Whom,
};
use vppd::model::{App, LicenceKind, Purpose};

pub const NOW: u32 = 1_800_000_000;

const GROUPS: u32 = 4;

/// Bytes that are eaten one by one; zeros behind the end.
pub struct Bytes<'a>(pub &'a [u8]);

impl Bytes<'_> {
    pub fn next(&mut self) -> u8 {
        let (first, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        *first
    }

    pub fn below(&mut self, limit: u32) -> u32 {
        u32::from(self.next()) % limit
    }

    fn flag(&mut self) -> bool {
        self.next() % 2 == 1
    }

    /// Seldom true.
    fn rarely(&mut self) -> bool {
        self.next() % 8 == 1
    }

    /// A sorted list of numbers below `limit`; mostly empty.
    fn some(&mut self, limit: u32) -> Box<[u32]> {
        let bits = self.next();
        if bits >= 64 { Box::default() } else { (0..limit).filter(|bit| bits >> bit & 1 == 1).collect() }
    }
}

pub fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap_or(Timestamp::UNIX_EPOCH)
}

fn ago(seconds: u32) -> Timestamp {
    at(i64::from(NOW) - i64::from(seconds))
}

pub fn world(bytes: &mut Bytes<'_>) -> Snapshot {
    let count = |bytes: &mut Bytes<'_>, most: u32| 1 + bytes.below(most);
    let (locations, products, devices, persons) = (count(bytes, 3), count(bytes, 4), count(bytes, 12), bytes.below(5));
    let place = |bytes: &mut Bytes<'_>, n: u32| Location {
        name: n.to_string(),
        writable: !bytes.rarely(),
        groups: bytes.some(GROUPS),
    };
    let locations: Vec<Location> = (0..locations).map(|n| place(bytes, n)).collect();
    let app = |bytes: &mut Bytes<'_>, n: u32| Product {
        adam_id: n.to_string(),
        bundle_id: (!bytes.rarely()).then(|| format!("com.example.app{n}")),
        book: bytes.rarely(),
    };
    let products: Vec<Product> = (0..products).map(|n| app(bytes, n)).collect();
    // One asset at the most for each app in each location, as at Apple.
    let mut assets = Vec::new();
    for location in 0..locations.len() as u32 {
        for product in 0..products.len() as u32 {
            let kind = bytes.next();
            if !kind.is_multiple_of(4) {
                assets.push(Asset {
                    product,
                    location,
                    pricing_param: "STDQ".into(),
                    device_assignable: kind % 16 != 1,
                    revocable: kind % 16 != 2,
                    unlimited: kind % 16 == 3,
                    free: bytes.below(8),
                });
            }
        }
    }
    let people = locations.len() as u32;
    let persons: Vec<Person> = (0..persons).map(|n| person(bytes, n, people)).collect();
    let all: Vec<Device> = (0..devices)
        .map(|n| {
            let kind = bytes.next();
            // Serial numbers are not in the order of the devices; one device may not tell its own.
            let serial = if kind % 32 == 1 && n == 0 { String::new() } else { format!("{:02}{n:02}", kind / 32) };
            device(bytes, serial, persons.len() as u32)
        })
        .collect();
    let rules = (0..i64::from(bytes.below(8)))
        .map(|id| rule(bytes, id, products.len() as u32, devices, persons.len() as u32, people))
        .collect();
    let by_hand = by_hand(bytes, products.len() as u32, devices, persons.len() as u32);
    let rows: Vec<Row<Pair>> = all.iter().map(|_| row(bytes, &products, &assets)).collect();
    let seats: Vec<Row<Seat>> = persons.iter().map(|_| seats(bytes, &products, &assets)).collect();
    let deadlines = Deadlines {
        offline: Duration::from_secs(100),
        silent: bytes.rarely().then_some(Duration::from_secs(150)),
        rejected: Duration::from_secs(50),
    };
    let extras = extras(bytes, &assets, &rows, &seats);
    Snapshot {
        now: at(NOW.into()),
        deadlines,
        locations,
        products,
        assets,
        persons,
        devices: all,
        rules,
        by_hand,
        rows,
        seats,
        extras,
    }
}

/// Some who hold a licence of ours hold others, too, of other assets of the app.
fn extras(bytes: &mut Bytes<'_>, assets: &[Asset], rows: &[Row<Pair>], seats: &[Row<Seat>]) -> Vec<(u32, Holder)> {
    let pairs = (0u32..)
        .zip(rows)
        .flat_map(|(at, row)| row.iter().map(move |it| (Holder::Device(at), it.asset, it.licence, it.ours)));
    let seats = (0u32..)
        .zip(seats)
        .flat_map(|(at, row)| row.iter().map(move |it| (Holder::Person(at), it.asset, it.licence, it.ours)));
    let mut extras = Vec::new();
    for (holder, held, licence, ours) in pairs.chain(seats) {
        if licence != Licence::Assigned || !ours || !bytes.rarely() {
            continue;
        }
        let product = assets[held as usize].product;
        let others = (0u32..).zip(assets).filter(|(asset, it)| it.product == product && *asset != held);
        extras.extend(others.map(|(asset, _)| (asset, holder)));
    }
    extras.sort_unstable_by_key(|&(asset, holder)| (holder, asset));
    extras
}

pub fn person(bytes: &mut Bytes<'_>, n: u32, locations: u32) -> Person {
    let kind = bytes.next();
    Person {
        client_user_id: format!("user {n}"),
        since: ago(u32::from(kind % 8)),
        leaves_at: (kind % 16 == 3).then(|| at(i64::from(NOW) - 50 + i64::from(bytes.next()))),
        groups: bytes.some(GROUPS),
        registered: if kind % 4 == 2 { bytes.some(locations) } else { (0..locations).collect() },
    }
}

pub fn device(bytes: &mut Bytes<'_>, serial: String, persons: u32) -> Device {
    let kind = bytes.next();
    Device {
        serial,
        standing: match kind % 16 {
            1 => Standing::Named,
            2 => Standing::Enrolling { until: at(i64::from(NOW) - 20 + i64::from(bytes.next())) },
            3 => Standing::Left { at: ago(5) },
            _ => Standing::Enrolled,
        },
        enrolled_at: ago(u32::from(kind % 8)),
        last_seen: None,
        takes_licences: kind % 32 != 5,
        person: Some(bytes.below(8)).filter(|&person| person < persons),
        groups: bytes.some(GROUPS),
    }
}

fn rule(bytes: &mut Bytes<'_>, id: i64, products: u32, devices: u32, persons: u32, locations: u32) -> Rule {
    let whom = match bytes.below(6) {
        0 => Whom::Device(bytes.below(devices)),
        1 if persons > 0 => Whom::Person(bytes.below(persons)),
        2 | 3 => Whom::Group(bytes.below(GROUPS)),
        _ => Whom::AllDevices,
    };
    Rule {
        id,
        product: bytes.below(products),
        whom,
        purpose: [Purpose::Required, Purpose::Required, Purpose::Available, Purpose::Uninstall]
            [bytes.below(4) as usize],
        kind: [LicenceKind::Device, LicenceKind::User, LicenceKind::DeviceIfPossible][bytes.below(3) as usize],
        priority: bytes.below(3) as i32,
        quota: bytes.rarely().then(|| bytes.below(4)),
        wave: bytes.rarely().then(|| 1 + bytes.below(2)),
        licence_only: bytes.rarely(),
        excluded: bytes.some(GROUPS),
        locations: bytes.some(locations),
        created_at: ago(bytes.below(120)),
    }
}

fn by_hand(bytes: &mut Bytes<'_>, products: u32, devices: u32, persons: u32) -> Vec<ByHand> {
    let mut decided = BTreeMap::new();
    for _ in 0..bytes.below(4) {
        let product = bytes.below(products);
        let holder = if persons > 0 && bytes.flag() {
            Holder::Person(bytes.below(persons))
        } else {
            Holder::Device(bytes.below(devices))
        };
        let hand = ByHand {
            product,
            holder,
            assigned: bytes.flag(),
            location: bytes.rarely().then_some(0),
            install: bytes.flag(),
            decided_at: ago(bytes.below(120)),
        };
        decided.insert((product, holder), hand);
    }
    decided.into_values().collect()
}

/// A licence, of the first asset of the app.
fn licence(bytes: &mut Bytes<'_>, product: u32, assets: &[Asset]) -> (Licence, u32) {
    let of_product = (0u32..).zip(assets).find(|(_, asset)| asset.product == product);
    let licence = match (bytes.below(4), of_product) {
        (1, Some(_)) => Licence::Requested,
        (2, Some(_)) => Licence::Assigned,
        (3, Some(_)) => Licence::Returning,
        _ => Licence::None,
    };
    (licence, of_product.map_or(0, |(index, _)| index))
}

pub fn row(bytes: &mut Bytes<'_>, products: &[Product], assets: &[Asset]) -> Row<Pair> {
    let mut row = Vec::new();
    for product in 0..products.len() as u32 {
        if bytes.flag() {
            let (licence, asset) = licence(bytes, product, assets);
            row.push(Pair {
                product,
                licence,
                asset,
                app: App::from_code(bytes.below(12) as u8).unwrap_or(App::None),
                ours: bytes.flag(),
                sent: bytes.flag(),
                due: if bytes.flag() { NOW + 10 } else { 0 },
                since: if bytes.flag() { NOW - 120 + bytes.below(120) } else { 0 },
            });
        }
    }
    row.into()
}

fn seats(bytes: &mut Bytes<'_>, products: &[Product], assets: &[Asset]) -> Row<Seat> {
    let mut row = Vec::new();
    for product in 0..products.len() as u32 {
        if bytes.flag() {
            let (licence, asset) = licence(bytes, product, assets);
            row.push(Seat { product, asset, due: 0, licence, ours: bytes.flag() });
        }
    }
    row.into()
}
