//! The planner, over small worlds made from the bytes: whatever the world, the laws of a plan hold, and a plan that is kept
//! up to date is the one that is made anew.

mod world;

use std::collections::{BTreeMap, BTreeSet};

use vppd::licensing::plan::{Actions, CommandKind, Holders};
use vppd::licensing::{
    Holder, Licence, Limits, Pair, Plan, Planner, Row, Seat, Snapshot, Verb, Whom, plan, rectangles,
};
use vppd::model::App;

use world::{Bytes, NOW, at, device, row, world};

/// Plans the world that these bytes describe, and checks the laws.
pub fn planner(bytes: &[u8]) {
    let mut bytes = Bytes(bytes);
    let world = world(&mut bytes);
    let made = plan(&world);
    never_above_the_count(&world, &made.actions);
    every_pair_is_in_one_request(&made.actions);
    order_does_not_matter(&world, &made);
    nothing_is_asked_twice(&world, &made);
    kept_up_to_date_is_made_anew(world, &mut bytes);
}

fn never_above_the_count(world: &Snapshot, actions: &Actions) {
    let mut given = BTreeMap::<u32, u32>::new();
    for action in actions.licences.iter().filter(|action| action.verb == Verb::Associate) {
        for (asset, _) in &action.pairs {
            *given.entry(*asset).or_default() += 1;
            let asset = &world.assets[*asset as usize];
            assert!(action.holders == Holders::Persons || asset.device_assignable);
        }
    }
    for (asset, given) in given {
        let asset = &world.assets[asset as usize];
        assert!(asset.unlimited || given <= asset.free, "{given} licences given of {}", asset.free);
        assert!(world.locations[asset.location as usize].writable);
    }
}

fn every_pair_is_in_one_request(actions: &Actions) {
    let limits = Limits { max_assets: 2, max_serial_numbers: 3 };
    for action in &actions.licences {
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
    other.rows.reverse();
    other.rules.reverse();
    let last = (other.devices.len() as u32).saturating_sub(1);
    for rule in &mut other.rules {
        if let Whom::Device(device) = &mut rule.whom {
            *device = last - *device;
        }
    }
    for hand in &mut other.by_hand {
        if let Holder::Device(device) = &mut hand.holder {
            *device = last - *device;
        }
    }
    for (_, holder) in &mut other.extras {
        if let Holder::Device(device) = holder {
            *device = last - *device;
        }
    }
    other.extras.sort_unstable_by_key(|&(asset, holder)| (holder, asset));
    let mut turned = plan(&other);
    turned.steps.iter_mut().for_each(|step| step.device = last - step.device);
    turned.steps.sort_unstable_by_key(|step| (step.device, step.product));
    assert_eq!(turned.steps, made.steps);
    assert_eq!(turned.seats, made.seats);
}

/// Once the plan's intentions are noted, the next plan asks for none of them again.
fn nothing_is_asked_twice(world: &Snapshot, made: &Plan) {
    assert_eq!(&plan(world), made, "the same world has two plans");
    let mut noted = world.clone();
    for action in &made.actions.licences {
        for &(asset, place) in &action.pairs {
            let product = world.assets[asset as usize].product;
            let licence = match action.verb {
                Verb::Associate => Licence::Requested,
                Verb::Disassociate => Licence::Returning,
            };
            let ours = action.verb == Verb::Associate;
            match action.holders {
                Holders::Devices => {
                    let known = world.pair(product, place).copied().unwrap_or(Pair::unknown(product));
                    let pair = Pair { licence, asset, ours: ours || known.ours, ..known };
                    replace(&mut noted.rows[place as usize], pair, |pair| pair.product);
                }
                Holders::Persons => {
                    let known = world.seat(product, place).copied().unwrap_or(Seat::unknown(product));
                    let seat = Seat { licence, asset, ours: ours || known.ours, ..known };
                    replace(&mut noted.seats[place as usize], seat, |seat| seat.product);
                }
            }
            if ours {
                let asset = &mut noted.assets[asset as usize];
                asset.free = asset.free.saturating_sub(1);
            }
        }
    }
    for action in &made.actions.commands {
        let known = noted.pair(action.product, action.device).copied();
        let mut pair = known.unwrap_or(Pair::unknown(action.product));
        match action.kind {
            CommandKind::Install => pair.app = App::InstallQueued,
            CommandKind::Remove => pair.app = App::RemoveQueued,
            CommandKind::Verify => pair.due = NOW + 15,
            CommandKind::Withdraw if pair.app == App::InstallQueued => pair.app = App::None,
            CommandKind::Withdraw => pair.app = App::Installed,
        }
        pair.sent &= action.kind == CommandKind::Verify;
        replace(&mut noted.rows[action.device as usize], pair, |pair| pair.product);
    }
    let again = plan(&noted).actions;
    let moves = |actions: &Actions| -> BTreeSet<(Holders, u32, u32)> {
        let each =
            actions.licences.iter().flat_map(|a| a.pairs.iter().map(|(asset, place)| (a.holders, *asset, *place)));
        each.collect()
    };
    let doubled: Vec<_> = moves(&again).intersection(&moves(&made.actions)).copied().collect();
    assert!(doubled.is_empty(), "asked of Apple twice: {doubled:?}");
    for action in &again.commands {
        assert!(!made.actions.commands.contains(action), "told a device twice: {action:?}");
    }
    never_above_the_count(&noted, &again);
}

fn replace<T: Copy>(row: &mut Row<T>, new: T, product: impl Fn(&T) -> u32) {
    let mut all: BTreeMap<u32, T> = row.iter().map(|one| (product(one), *one)).collect();
    all.insert(product(&new), new);
    *row = all.into_values().collect();
}

/// Some devices, people and counts change, and time goes on: what is kept up to date is what would be made anew.
fn kept_up_to_date_is_made_anew(world: Snapshot, bytes: &mut Bytes<'_>) {
    let mut planner = Planner::new(world);
    let mut now = NOW;
    for _ in 0..1 + bytes.below(4) {
        let world = planner.snapshot().clone();
        match bytes.below(4) {
            0 => {
                let place = bytes.below(world.devices.len() as u32);
                let serial = world.devices[place as usize].serial.clone();
                let changed = device(bytes, serial, world.persons.len() as u32);
                let row = row(bytes, &world.products, &world.assets);
                planner.set_device(place, changed, row);
            }
            1 if !world.persons.is_empty() => {
                let place = bytes.below(world.persons.len() as u32);
                let person = world::person(bytes, place, world.locations.len() as u32);
                planner.set_person(place, person, world.seats[place as usize].clone());
            }
            2 if !world.assets.is_empty() => {
                planner.set_free(bytes.below(world.assets.len() as u32), bytes.below(8));
            }
            _ => now += bytes.below(200),
        }
        let actions = planner.actions(at(now.into()));
        assert_eq!(actions, plan(planner.snapshot()).actions);
    }
}
