//! The planner, over small worlds made from the bytes: whatever the world, the laws of a plan hold.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use vppd::licensing::plan::{CommandKind, PairStep};
use vppd::licensing::{
    Asset, Device, Licence, Limits, Location, Pair, Plan, Product, Rule, Snapshot, Step, Verb, plan, rectangles,
};
use vppd::model::{App, Purpose, SerialNumber, Target};

const NOW: i64 = 1_800_000_000;

/// Plans the world that these bytes describe, and checks the laws.
pub fn planner(bytes: &[u8]) {
    let world = world(&mut Bytes(bytes));
    let made = plan(&world);
    never_above_the_count(&world, &made);
    nobody_waits_beside_a_free_licence(&world, &made);
    every_pair_is_in_one_request(&made);
    order_does_not_matter(&world, &made);
    nothing_is_asked_twice(&world, &made);
}

fn never_above_the_count(world: &Snapshot, made: &Plan) {
    for (asset, given) in given(made) {
        let asset = &world.assets[asset as usize];
        assert!(asset.unlimited || given <= asset.free, "{given} licences given of {}", asset.free);
        assert!(asset.device_assignable && world.locations[asset.location as usize].writable);
    }
}

fn nobody_waits_beside_a_free_licence(world: &Snapshot, made: &Plan) {
    let given = given(made);
    let waits = |step: &&PairStep| matches!(step.step, Step::WaitForLicence { .. });
    for step in made.steps.iter().filter(waits) {
        for (index, asset) in (0u32..).zip(&world.assets).filter(|(_, asset)| asset.product == step.product) {
            let usable = asset.device_assignable && world.locations[asset.location as usize].writable;
            let left = asset.free - given.get(&index).copied().unwrap_or(0);
            assert!(!usable || (left == 0 && !asset.unlimited), "somebody waits while {left} licences are free");
        }
    }
}

fn every_pair_is_in_one_request(made: &Plan) {
    let limits = Limits { max_assets: 2, max_serial_numbers: 3 };
    for action in &made.licences {
        let mut packed: Vec<(u32, u32)> = Vec::new();
        for request in rectangles(&action.pairs, limits) {
            assert!((1..=limits.max_assets).contains(&request.assets.len()));
            assert!((1..=limits.max_serial_numbers).contains(&request.devices.len()));
            packed.extend(request.assets.iter().flat_map(|asset| request.devices.iter().map(|d| (*asset, *d))));
        }
        packed.sort_unstable();
        assert_eq!(packed, action.pairs);
    }
}

/// Devices and rules the other way round: each device gets the same.
fn order_does_not_matter(world: &Snapshot, made: &Plan) {
    let mut other = world.clone();
    other.devices.reverse();
    other.rules.reverse();
    let last = (other.devices.len() as u32).saturating_sub(1);
    other.pairs.iter_mut().for_each(|pair| pair.device = last - pair.device);
    other.pairs.sort_unstable_by_key(|pair| (pair.product, pair.device));
    let mut turned = plan(&other).steps;
    turned.iter_mut().for_each(|step| step.device = last - step.device);
    turned.sort_unstable_by_key(|step| (step.product, step.device));
    assert_eq!(turned, made.steps);
}

/// Once the plan's intentions are noted, the next plan asks for none of them again.
fn nothing_is_asked_twice(world: &Snapshot, made: &Plan) {
    assert_eq!(&plan(world), made, "the same world has two plans");
    let mut noted = world.clone();
    let mut pairs: BTreeMap<(u32, u32), Pair> = noted.pairs.iter().map(|p| ((p.product, p.device), *p)).collect();
    for PairStep { product, device, step } in &made.steps {
        let pair = pairs.entry((*product, *device)).or_insert(Pair::unknown(*product, *device));
        match *step {
            Step::Associate { asset } => {
                (pair.licence, pair.asset, pair.ours) = (Licence::Requested, asset, true);
                let asset = &mut noted.assets[asset as usize];
                asset.free = asset.free.saturating_sub(1);
            }
            Step::Disassociate { .. } => pair.licence = Licence::Returning,
            _ => {}
        }
    }
    for action in &made.commands {
        let pair = pairs.entry((action.product, action.device)).or_insert(Pair::unknown(action.product, action.device));
        match action.kind {
            CommandKind::Install => pair.app = App::InstallQueued,
            CommandKind::Remove => pair.app = App::RemoveQueued,
            CommandKind::Verify => pair.due = NOW + 15,
            CommandKind::Withdraw if pair.app == App::InstallQueued => pair.app = App::None,
            CommandKind::Withdraw => pair.app = App::Installed,
        }
        pair.sent &= action.kind == CommandKind::Verify;
    }
    noted.pairs = pairs.into_values().collect();
    let again = plan(&noted);
    let licences = |made: &Plan| -> BTreeSet<(Verb, u32, u32)> {
        made.licences.iter().flat_map(|a| a.pairs.iter().map(|(asset, device)| (a.verb, *asset, *device))).collect()
    };
    let doubled: Vec<_> = licences(&again).intersection(&licences(made)).copied().collect();
    assert!(doubled.is_empty(), "asked of Apple twice: {doubled:?}");
    for action in &again.commands {
        assert!(!made.commands.contains(action), "told a device twice: {action:?}");
    }
    never_above_the_count(&noted, &again);
}

/// Licences that the plan gives, by asset.
fn given(made: &Plan) -> BTreeMap<u32, u32> {
    let mut given = BTreeMap::new();
    for step in &made.steps {
        if let Step::Associate { asset } = step.step {
            *given.entry(asset).or_default() += 1;
        }
    }
    given
}

/// Bytes that are eaten one by one; zeros behind the end.
struct Bytes<'a>(&'a [u8]);

impl Bytes<'_> {
    fn next(&mut self) -> u8 {
        let (first, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        *first
    }

    fn below(&mut self, limit: u32) -> u32 {
        u32::from(self.next()) % limit
    }

    fn flag(&mut self) -> bool {
        self.next() % 2 == 1
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap_or(Timestamp::UNIX_EPOCH)
}

fn world(bytes: &mut Bytes<'_>) -> Snapshot {
    let count = |bytes: &mut Bytes<'_>, most: u32| 1 + bytes.below(most);
    let locations = count(bytes, 3);
    let products = count(bytes, 4);
    let devices = count(bytes, 12);
    let locations = (0..locations).map(|n| Location { name: n.to_string(), writable: bytes.next() % 8 != 1 }).collect();
    let known = |bytes: &mut Bytes<'_>| bytes.next() % 8 != 1;
    let products: Vec<Product> = (0..products)
        .map(|n| Product { adam_id: n.to_string(), bundle_id: known(bytes).then(|| format!("com.example.app{n}")) })
        .collect();
    // One asset at the most for each app in each location, as at Apple.
    let mut assets = Vec::new();
    let locations: Vec<Location> = locations;
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
    let devices: Vec<Device> = (0..devices)
        .map(|n| {
            let kind = bytes.next();
            // Serial numbers are not in the order of the devices; one device may not tell its own.
            let serial = if kind % 32 == 1 && n == 0 { String::new() } else { format!("{:02}{n:02}", kind / 32) };
            Device { serial, enrolled: kind % 8 != 2, enrolled_at: at(NOW - i64::from(kind % 8)) }
        })
        .collect();
    let rules = rules(bytes, products.len() as u32, &devices);
    let pairs = pairs(bytes, products.len() as u32, devices.len() as u32, &assets);
    Snapshot { now: at(NOW), locations, products, assets, devices, rules, pairs }
}

fn rules(bytes: &mut Bytes<'_>, products: u32, devices: &[Device]) -> Vec<Rule> {
    (0..i64::from(bytes.below(8)))
        .map(|id| {
            let product = bytes.below(products);
            let serial = devices.get(usize::from(bytes.next())).and_then(|device| SerialNumber::read(&device.serial));
            let purpose = if bytes.next() % 4 == 3 { Purpose::Uninstall } else { Purpose::Required };
            let target = serial.map_or(Target::AllDevices, Target::Serial);
            Rule { id, product, target, purpose, created_at: at(NOW - i64::from(bytes.next() % 8)) }
        })
        .collect()
}

fn pairs(bytes: &mut Bytes<'_>, products: u32, devices: u32, assets: &[Asset]) -> Vec<Pair> {
    let mut pairs = BTreeMap::new();
    for _ in 0..bytes.below(48) {
        let (product, device) = (bytes.below(products), bytes.below(devices));
        let of_product = (0u32..).zip(assets).find(|(_, asset)| asset.product == product);
        let licence = match (bytes.below(4), of_product) {
            (1, Some(_)) => Licence::Requested,
            (2, Some(_)) => Licence::Assigned,
            (3, Some(_)) => Licence::Returning,
            _ => Licence::None,
        };
        let pair = Pair {
            licence,
            asset: of_product.map_or(0, |(index, _)| index),
            app: App::from_code(bytes.below(12) as u8).unwrap_or(App::None),
            ours: bytes.flag(),
            sent: bytes.flag(),
            due: if bytes.flag() { NOW + 10 } else { 0 },
            ..Pair::unknown(product, device)
        };
        pairs.insert((product, device), pair);
    }
    pairs.into_values().collect()
}
