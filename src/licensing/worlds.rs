//! Small worlds for the tests of the rules here.

use std::time::Duration;

use jiff::Timestamp;
use proptest::prelude::*;

use super::*;
use crate::model::{App, LicenceKind, Purpose};

pub fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

pub fn location(name: &str) -> Location {
    Location { name: name.into(), writable: true, groups: Box::default() }
}

pub fn product(adam_id: &str) -> Product {
    Product { adam_id: adam_id.into(), bundle_id: Some(format!("com.example.app{adam_id}")), book: false }
}

pub fn owned(product: u32, location: u32, free: u32) -> Asset {
    Asset {
        product,
        location,
        pricing_param: "STDQ".into(),
        device_assignable: true,
        revocable: true,
        unlimited: false,
        free,
    }
}

pub fn device(serial: &str, enrolled_at: i64) -> Device {
    Device {
        serial: serial.into(),
        standing: Standing::Enrolled,
        enrolled_at: at(enrolled_at),
        last_seen: None,
        takes_licences: true,
        person: None,
        groups: Box::default(),
    }
}

pub fn person(id: &str, registered: &[u32]) -> Person {
    Person {
        client_user_id: id.into(),
        since: at(0),
        leaves_at: None,
        groups: Box::default(),
        registered: registered.into(),
    }
}

pub fn rule(id: i64, product: u32, whom: Whom, purpose: Purpose) -> Rule {
    Rule {
        id,
        product,
        whom,
        purpose,
        kind: LicenceKind::Device,
        priority: 0,
        quota: None,
        wave: None,
        licence_only: false,
        excluded: Box::default(),
        locations: Box::default(),
        created_at: at(id),
    }
}

/// One location, one app, `licences` free of it, required everywhere; the time is 1000.
pub fn small(licences: u32, devices: Vec<Device>) -> Snapshot {
    Snapshot {
        now: at(1000),
        deadlines: Deadlines { offline: Duration::from_secs(500), silent: None, rejected: Duration::from_secs(300) },
        locations: vec![location("Leeds")],
        products: vec![product("361309726")],
        assets: vec![owned(0, 0, licences)],
        persons: Vec::new(),
        rows: vec![Box::default(); devices.len()],
        devices,
        rules: vec![rule(1, 0, Whom::AllDevices, Purpose::Required)],
        by_hand: Vec::new(),
        seats: Vec::new(),
        extras: Vec::new(),
    }
}

/// Adds a person who has these devices.
pub fn with_person(snapshot: &mut Snapshot, person: Person, devices: &[u32]) -> u32 {
    let place = snapshot.persons.len() as u32;
    snapshot.persons.push(person);
    snapshot.seats.push(Box::default());
    devices.iter().for_each(|&device| snapshot.devices[device as usize].person = Some(place));
    place
}

const PRODUCTS: u32 = 3;
const LOCATIONS: u32 = 2;
const GROUPS: u32 = 4;

fn members() -> impl Strategy<Value = Box<[u32]>> {
    proptest::collection::btree_set(0..GROUPS, 0..3).prop_map(|set| set.into_iter().collect())
}

fn some_locations() -> impl Strategy<Value = Box<[u32]>> {
    prop_oneof![3 => Just(Box::default()), 1 => (0..LOCATIONS).prop_map(|one| Box::from([one]))]
}

fn licences() -> impl Strategy<Value = Licence> {
    prop_oneof![
        2 => Just(Licence::None),
        1 => Just(Licence::Requested),
        3 => Just(Licence::Assigned),
        1 => Just(Licence::Returning)
    ]
}

prop_compose! {
    /// A device: 0 to 3 are persons, more is none.
    pub fn a_device(serial: String)(
        standing in prop_oneof![
            8 => Just(Standing::Enrolled),
            1 => Just(Standing::Named),
            1 => (990..1010i64).prop_map(|s| Standing::Enrolling { until: at(s) }),
            1 => (0..1000i64).prop_map(|s| Standing::Left { at: at(s) }),
        ],
        enrolled_at in 0..5i64,
        last_seen in proptest::option::of(0..1000i64),
        takes_licences in prop::bool::weighted(0.8),
        person in 0..6u32,
        groups in members(),
    ) -> Device {
        Device {
            serial: serial.clone(), standing, enrolled_at: at(enrolled_at), last_seen: last_seen.map(at), takes_licences,
            person: Some(person).filter(|&person| person < 4), groups,
        }
    }
}

prop_compose! {
    pub fn a_pair(product: u32, assets: Vec<u32>)(
        licence in licences(), app in 0..12u8, ours in any::<bool>(), sent in any::<bool>(),
        due in prop_oneof![Just(0u32), 990..1010u32], since in prop_oneof![Just(0u32), 400..1000u32],
        asset in any::<prop::sample::Index>(),
    ) -> Pair {
        let (licence, asset) = if assets.is_empty() { (Licence::None, 0) } else { (licence, assets[asset.index(assets.len())]) };
        Pair { product, asset, due, since, licence, app: App::from_code(app).unwrap(), ours, sent }
    }
}

prop_compose! {
    fn a_seat(product: u32, assets: Vec<u32>)(
        licence in licences(), ours in any::<bool>(), due in prop_oneof![Just(0u32), 990..1010u32],
        asset in any::<prop::sample::Index>(),
    ) -> Seat {
        let (licence, asset) = if assets.is_empty() { (Licence::None, 0) } else { (licence, assets[asset.index(assets.len())]) };
        Seat { product, asset, due, licence, ours }
    }
}

prop_compose! {
    fn a_rule(devices: u32)(
        product in 0..PRODUCTS,
        whom in prop_oneof![
            2 => Just(Whom::AllDevices),
            3 => (0..GROUPS).prop_map(Whom::Group),
            1 => (0..devices).prop_map(Whom::Device),
            1 => (0..4u32).prop_map(Whom::Person),
        ],
        purpose in prop_oneof![4 => Just(Purpose::Required), 1 => Just(Purpose::Available), 1 => Just(Purpose::Uninstall)],
        kind in prop_oneof![Just(LicenceKind::Device), Just(LicenceKind::User), Just(LicenceKind::DeviceIfPossible)],
        priority in 0..3i32,
        quota in proptest::option::weighted(0.3, 0..4u32),
        wave in proptest::option::weighted(0.3, 1..3u32),
        licence_only in prop::bool::weighted(0.2),
        excluded in prop_oneof![3 => Just(Box::default()), 1 => members()],
        locations in some_locations(),
        created_at in 1..900i64,
    ) -> Rule {
        Rule {
            id: 0, product, whom, purpose, kind, priority, quota, wave, licence_only, excluded, locations,
            created_at: at(created_at),
        }
    }
}

/// The apps of one device.
pub fn a_row(assets: Vec<Vec<u32>>) -> impl Strategy<Value = Row<Pair>> {
    let pairs: Vec<_> =
        (0..PRODUCTS).map(|product| proptest::option::of(a_pair(product, assets[product as usize].clone()))).collect();
    pairs.prop_map(|pairs| pairs.into_iter().flatten().collect())
}

fn seats(assets: Vec<Vec<u32>>) -> impl Strategy<Value = Row<Seat>> {
    let seats: Vec<_> = (0..PRODUCTS)
        .map(|product| proptest::option::weighted(0.4, a_seat(product, assets[product as usize].clone())))
        .collect();
    seats.prop_map(|seats| seats.into_iter().flatten().collect())
}

prop_compose! {
    pub fn a_person(id: String)(
        since in 0..5i64, leaves_at in proptest::option::weighted(0.2, 900..1100i64), groups in members(),
        registered in prop_oneof![1 => Just(vec![]), 1 => Just(vec![1u32]), 4 => Just(vec![0u32, 1])],
    ) -> Person {
        Person { client_user_id: id.clone(), since: at(since), leaves_at: leaves_at.map(at), groups, registered: registered.into() }
    }
}

/// Whether the holder has another licence of ours of the same app.
fn may_be_extra(world: &Snapshot, asset: u32, holder: Holder) -> bool {
    let Some(facts) = world.assets.get(asset as usize) else { return false };
    let held = match holder {
        Holder::Device(device) => world.pair(facts.product, device).map(|it| (it.licence, it.ours, it.asset)),
        Holder::Person(person) => world.seat(facts.product, person).map(|it| (it.licence, it.ours, it.asset)),
    };
    held.is_some_and(|(licence, ours, held)| licence == Licence::Assigned && ours && held != asset)
}

/// Which assets each app has.
pub fn assets_of(snapshot: &Snapshot) -> Vec<Vec<u32>> {
    let of = |product| (0u32..).zip(&snapshot.assets).filter(move |(_, a)| a.product == product).map(|(at, _)| at);
    (0..snapshot.products.len() as u32).map(|product| of(product).collect()).collect()
}

/// Two locations, three apps (one of them sometimes a book), four persons, some devices.
pub fn worlds() -> impl Strategy<Value = Snapshot> {
    let locations = proptest::collection::vec(
        (prop::bool::weighted(0.85), prop_oneof![4 => Just(Box::default()), 1 => members()]),
        2,
    );
    let products = proptest::collection::vec((prop::bool::weighted(0.8), prop::bool::weighted(0.1)), 3);
    let assets = proptest::collection::vec(
        proptest::option::weighted(
            0.8,
            (prop::bool::weighted(0.8), prop::bool::weighted(0.9), prop::bool::weighted(0.1), 0..6u32),
        ),
        (PRODUCTS * LOCATIONS) as usize,
    );
    let serials = proptest::collection::btree_set("[A-D]{3}", 1..10);
    let base = (locations, products, assets, serials, proptest::option::weighted(0.3, 200..900u64));
    base.prop_flat_map(|(locations, products, assets, serials, silent)| {
        let mut snapshot = small(0, Vec::new());
        snapshot.deadlines.silent = silent.map(Duration::from_secs);
        snapshot.locations =
            locations.into_iter().map(|(writable, groups)| Location { writable, groups, ..location("x") }).collect();
        snapshot.products = (0u32..)
            .zip(products)
            .map(|(n, (named, book))| {
                let app = product(&n.to_string());
                Product { bundle_id: app.bundle_id.clone().filter(|_| named), book: book && n == 2, ..app }
            })
            .collect();
        snapshot.assets = (0u32..)
            .zip(assets)
            .filter_map(|(n, asset)| {
                let (device_assignable, revocable, unlimited, free) = asset?;
                Some(Asset { device_assignable, revocable, unlimited, ..owned(n % PRODUCTS, n / PRODUCTS, free) })
            })
            .collect();
        let assets = assets_of(&snapshot);
        let count = serials.len();
        let devices: Vec<_> = serials.into_iter().map(a_device).collect();
        let persons: Vec<_> = (0..4).map(|n| a_person(format!("u{n}"))).collect();
        let hands = proptest::collection::btree_map(
            (0..PRODUCTS, prop_oneof![(0..count as u32).prop_map(Holder::Device), (0..4u32).prop_map(Holder::Person)]),
            (any::<bool>(), proptest::option::weighted(0.2, 0..LOCATIONS), any::<bool>(), 1..1000i64),
            0..3,
        );
        let extras = proptest::collection::btree_set(
            (
                prop_oneof![2 => (0..count as u32).prop_map(Holder::Device), 1 => (0..4u32).prop_map(Holder::Person)],
                0..6u32,
            ),
            0..12,
        );
        let rows = proptest::collection::vec(a_row(assets.clone()), count);
        let seats = proptest::collection::vec(seats(assets), 4);
        let rules = proptest::collection::vec(a_rule(count as u32), 0..8);
        (Just(snapshot), devices, persons, hands, rows, seats, rules, extras)
    })
    .prop_map(|(mut snapshot, devices, persons, hands, rows, seats, rules, extras)| {
        snapshot.rules = (1i64..).zip(rules).map(|(id, rule)| Rule { id, ..rule }).collect();
        snapshot.by_hand = hands
            .into_iter()
            .map(|((product, holder), (assigned, location, install, decided_at))| ByHand {
                product,
                holder,
                assigned,
                location,
                install,
                decided_at: at(decided_at),
            })
            .collect();
        let mut world = Snapshot { devices, persons, rows, seats, ..snapshot };
        let extras = extras.into_iter().map(|(holder, asset)| (asset, holder));
        world.extras = extras.filter(|&(asset, holder)| may_be_extra(&world, asset, holder)).collect();
        world
    })
}
