//! The laws of a plan, over worlds made by chance.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::licensing::worlds::{a_device, a_person, a_row, assets_of, at, worlds};
use crate::licensing::{Device, Licence, Pair, Person, Planner, Row, Seat, Whom};
use crate::model::App;

/// Licences given by asset.
fn given(actions: &Actions) -> BTreeMap<u32, u32> {
    let mut given = BTreeMap::new();
    for action in actions.licences.iter().filter(|action| action.verb == Verb::Associate) {
        action.pairs.iter().for_each(|(asset, _)| *given.entry(*asset).or_default() += 1);
    }
    given
}

fn with_pair(row: &Row<Pair>, pair: Pair) -> Row<Pair> {
    let mut pairs: BTreeMap<u32, Pair> = row.iter().map(|pair| (pair.product, *pair)).collect();
    pairs.insert(pair.product, pair);
    pairs.into_values().collect()
}

fn with_seat(row: &Row<Seat>, seat: Seat) -> Row<Seat> {
    let mut seats: BTreeMap<u32, Seat> = row.iter().map(|seat| (seat.product, *seat)).collect();
    seats.insert(seat.product, seat);
    seats.into_values().collect()
}

/// The world after Apple and the devices did everything that was asked and awaited.
fn apply(world: &Snapshot, plan: &Plan) -> Snapshot {
    let mut next = world.clone();
    next.now = crate::clock::after(world.now, std::time::Duration::from_secs(100));
    let move_licence = |next: &mut Snapshot, licence: &mut Licence, asset: &mut u32, ours: &mut bool, step: Step| {
        let count = |next: &mut Snapshot, asset: u32, more: i64| {
            let asset = &mut next.assets[asset as usize];
            if !asset.unlimited {
                asset.free = (i64::from(asset.free) + more) as u32;
            }
        };
        match step {
            Step::Associate { asset: from } => {
                count(next, from, -1);
                (*licence, *asset, *ours) = (Licence::Assigned, from, true);
            }
            Step::Disassociate { asset: to } => {
                count(next, to, 1);
                (*licence, *ours) = (Licence::None, false);
            }
            Step::AwaitAssignment => *licence = Licence::Assigned,
            Step::AwaitReturn => (*licence, *ours) = (Licence::None, false),
            _ => {}
        }
    };
    // Of several licences of ours one goes; another takes the place of the one that counted.
    let next_one = |next: &mut Snapshot, product: u32, holder: Holder, licence: Licence, asset: u32, step: Step| {
        let gone = match step {
            Step::DisassociateSecond { asset } => Some(asset),
            _ if licence == Licence::None => None,
            _ => return None,
        };
        if let Some(gone) = gone {
            let free = &mut next.assets[gone as usize];
            free.free += u32::from(!free.unlimited);
            next.extras.retain(|&(extra, known)| (extra, known) != (gone, holder));
            if gone != asset {
                return None;
            }
        }
        let first = next.extras_of(product, holder).next();
        next.extras.retain(|&(extra, known)| (Some(extra), known) != (first, holder));
        first
    };
    for &PairStep { product, device, step } in &plan.steps {
        let mut pair = world.pair(product, device).copied().unwrap_or(Pair::unknown(product));
        move_licence(&mut next, &mut pair.licence, &mut pair.asset, &mut pair.ours, step);
        if let Some(asset) = next_one(&mut next, product, Holder::Device(device), pair.licence, pair.asset, step) {
            (pair.licence, pair.asset, pair.ours) = (Licence::Assigned, asset, true);
        }
        let before = pair.app;
        pair.app = match step {
            Step::AwaitInstallAnswer => App::Working,
            Step::Verify if matches!(pair.app, App::RemoveUnconfirmed | App::RemoveRetry) => App::Removed,
            Step::Verify | Step::AwaitInstall | Step::AwaitPerson => App::Installed,
            Step::AwaitRemoval => App::Removed,
            Step::AwaitWave | Step::AwaitSeat => pair.app,
            _ => pair.app,
        };
        if before != pair.app {
            pair.due = 0;
        }
        next.rows[device as usize] = with_pair(&next.rows[device as usize], pair);
    }
    for &SeatStep { product, person, step } in &plan.seats {
        let mut seat = world.seat(product, person).copied().unwrap_or(Seat::unknown(product));
        move_licence(&mut next, &mut seat.licence, &mut seat.asset, &mut seat.ours, step);
        if let Some(asset) = next_one(&mut next, product, Holder::Person(person), seat.licence, seat.asset, step) {
            (seat.licence, seat.asset, seat.ours) = (Licence::Assigned, asset, true);
        }
        next.seats[person as usize] = with_seat(&next.seats[person as usize], seat);
    }
    for action in &plan.actions.commands {
        let known = next.pair(action.product, action.device).copied();
        let mut pair = known.unwrap_or(Pair::unknown(action.product));
        pair.app = match action.kind {
            CommandKind::Install => App::InstallQueued,
            CommandKind::Remove => App::RemoveQueued,
            CommandKind::Withdraw if pair.app == App::InstallQueued => App::None,
            CommandKind::Withdraw => App::Working,
            CommandKind::Verify => pair.app,
        };
        (pair.sent, pair.ours) = (true, pair.ours || matches!(action.kind, CommandKind::Install | CommandKind::Remove));
        next.rows[action.device as usize] = with_pair(&next.rows[action.device as usize], pair);
    }
    for &(asset, holder) in &plan.actions.adopt {
        let product = world.assets[asset as usize].product;
        match holder {
            Holder::Device(device) => {
                let pair = Pair { ours: true, ..*next.pair(product, device).unwrap() };
                next.rows[device as usize] = with_pair(&next.rows[device as usize], pair);
            }
            Holder::Person(person) => {
                let seat = Seat { ours: true, ..*next.seat(product, person).unwrap() };
                next.seats[person as usize] = with_seat(&next.seats[person as usize], seat);
            }
        }
    }
    for &(product, device, leaving) in &plan.actions.leaving {
        let since = if leaving { world.now.as_second() as u32 } else { 0 };
        let pair = Pair { since, ..*next.pair(product, device).unwrap() };
        next.rows[device as usize] = with_pair(&next.rows[device as usize], pair);
    }
    next
}

/// One change of a world.
#[derive(Debug, Clone)]
enum Change {
    Device(usize, Device, Row<Pair>),
    Person(usize, Person),
    Seats(usize, usize),
    Extras(usize, Vec<u32>),
    Free(usize, u32),
    Name(usize),
    Heard(usize, i64),
    Later(i64),
}

fn changes() -> impl Strategy<Value = (Snapshot, Vec<Change>)> {
    worlds().prop_flat_map(|world| {
        let assets = assets_of(&world);
        let device = "[A-D]{3}".prop_flat_map(a_device);
        let change = prop_oneof![
            4 => (0..10usize, device, a_row(assets)).prop_map(|(at, device, row)| Change::Device(at, device, row)),
            2 => (0..4usize, a_person("u".into())).prop_map(|(at, person)| Change::Person(at, person)),
            2 => (0..4usize, 0..4usize).prop_map(|(to, from)| Change::Seats(to, from)),
            2 => (0..10usize, proptest::collection::vec(0..6u32, 0..3)).prop_map(|(at, assets)| Change::Extras(at, assets)),
            2 => (0..6usize, 0..6u32).prop_map(|(asset, free)| Change::Free(asset, free)),
            1 => (0..3usize).prop_map(Change::Name),
            2 => (0..10usize, 0..1500i64).prop_map(|(at, time)| Change::Heard(at, time)),
            2 => (1..400i64).prop_map(Change::Later),
        ];
        (Just(world), proptest::collection::vec(change, 1..8))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn no_asset_goes_over_its_count_and_no_deployment_over_its_quota(world in worlds()) {
        let plan = plan(&world);
        for (asset, given) in given(&plan.actions) {
            let asset = &world.assets[asset as usize];
            prop_assert!(asset.unlimited || given <= asset.free);
            prop_assert!(world.locations[asset.location as usize].writable);
        }
        for action in &plan.actions.licences {
            for (asset, _) in &action.pairs {
                prop_assert_eq!(world.assets[*asset as usize].location, action.location);
                prop_assert!(action.verb == Verb::Disassociate || action.holders == Holders::Persons
                    || world.assets[*asset as usize].device_assignable);
            }
        }
    }

    #[test]
    fn nobody_waits_beside_a_free_licence_that_is_for_everybody(mut world in worlds()) {
        world.locations.iter_mut().for_each(|location| location.groups = Box::default());
        world.rules.iter_mut().for_each(|rule| rule.locations = Box::default());
        world.by_hand.iter_mut().for_each(|hand| hand.location = None);
        world.persons.iter_mut().for_each(|person| person.registered = [0, 1].into());
        let plan = plan(&world);
        let given = given(&plan.actions);
        let waits = |step: &Step| matches!(step, Step::WaitForLicence { .. });
        let pairs = plan.steps.iter().filter(|it| waits(&it.step)).map(|it| (it.product, true));
        let seats = plan.seats.iter().filter(|it| waits(&it.step)).map(|it| (it.product, false));
        for (product, by_device) in pairs.chain(seats) {
            for (index, asset) in (0u32..).zip(&world.assets).filter(|(_, asset)| asset.product == product) {
                if world.locations[asset.location as usize].writable && (asset.device_assignable || !by_device) {
                    prop_assert!(!asset.unlimited);
                    prop_assert_eq!(asset.free, given.get(&index).copied().unwrap_or(0));
                }
            }
            prop_assert!(plan.actions.short.contains(&product));
        }
    }

    #[test]
    fn the_order_of_devices_people_and_rules_does_not_matter(world in worlds()) {
        let named = |world: &Snapshot| {
            let plan = plan(world);
            let mut steps: Vec<(u32, String, Step)> = plan.steps.iter()
                .map(|s| (s.product, world.devices[s.device as usize].serial.clone(), s.step))
                .chain(plan.seats.iter().map(|s| (s.product, world.persons[s.person as usize].client_user_id.clone(), s.step)))
                .collect();
            steps.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
            (steps, plan.actions.commands.len(), plan.actions.next_due, plan.actions.short)
        };
        let mut other = world.clone();
        other.devices.reverse();
        other.rows.reverse();
        other.persons.reverse();
        other.seats.reverse();
        other.rules.reverse();
        other.by_hand.reverse();
        let (devices, persons) = (world.devices.len() as u32 - 1, world.persons.len() as u32 - 1);
        other.devices.iter_mut().for_each(|device| device.person = device.person.map(|person| persons - person));
        for rule in &mut other.rules {
            rule.whom = match rule.whom {
                Whom::Device(device) => Whom::Device(devices - device),
                Whom::Person(person) => Whom::Person(persons - person),
                whom => whom,
            };
        }
        for hand in &mut other.by_hand {
            hand.holder = match hand.holder {
                Holder::Device(device) => Holder::Device(devices - device),
                Holder::Person(person) => Holder::Person(persons - person),
            };
        }
        for (_, holder) in &mut other.extras {
            *holder = match *holder {
                Holder::Device(device) => Holder::Device(devices - device),
                Holder::Person(person) => Holder::Person(persons - person),
            };
        }
        other.extras.sort_unstable_by_key(|&(asset, holder)| (holder, asset));
        prop_assert_eq!(named(&world), named(&other));
    }

    #[test]
    fn following_plans_comes_to_rest_as_wanted_or_short(world in worlds()) {
        let mut now = world;
        for _ in 0..30 {
            now = apply(&now, &plan(&now));
        }
        let end = plan(&now);
        prop_assert_eq!(&end.actions.licences, &[]);
        prop_assert_eq!(&end.actions.commands, &[]);
        prop_assert_eq!(&end.actions.adopt, &[]);
        prop_assert_eq!(&end.actions.leaving, &[]);
        for step in &end.steps {
            prop_assert!(matches!(step.step, Step::Satisfied | Step::LicenceHeld | Step::Rejected | Step::GaveUp
                | Step::Removed | Step::WaitForLicence { .. } | Step::WaitForQuota { .. } | Step::Blocked(_)
                | Step::AwaitSeat), "{:?}", step);
        }
        prop_assert_eq!(plan(&now), end, "the same world has one plan");
    }

    #[test]
    fn following_plans_leaves_no_second_licence_that_can_go(world in worlds()) {
        let begun = world.extras.len();
        let mut now = world;
        for _ in 0..30 {
            now = apply(&now, &plan(&now));
        }
        prop_assert!(now.extras.len() <= begun);
        for &(asset, holder) in &now.extras {
            let product = now.assets[asset as usize].product;
            let counts = match holder {
                Holder::Device(device) => now.pair(product, device).map(|pair| pair.asset),
                Holder::Person(person) => now.seat(product, person).map(|seat| seat.asset),
            };
            let can_go = |&asset: &u32| {
                let asset = &now.assets[asset as usize];
                asset.revocable && now.locations[asset.location as usize].writable
            };
            prop_assert!(now.extras_of(product, holder).chain(counts).filter(can_go).count() <= 1);
        }
    }

    #[test]
    fn nothing_is_asked_twice_nor_two_opposite_things_at_once(world in worlds()) {
        let plan = plan(&world);
        let mut seen = BTreeSet::new();
        for action in &plan.actions.licences {
            for (asset, place) in &action.pairs {
                let product = world.assets[*asset as usize].product;
                prop_assert!(seen.insert((action.holders, product, *place)), "{:?}", action);
            }
        }
        let commands: BTreeSet<(u32, u32)> = plan.actions.commands.iter().map(|c| (c.product, c.device)).collect();
        prop_assert_eq!(commands.len(), plan.actions.commands.len());
        for (holders, product, place) in seen {
            let withdraws = |c: &CommandAction| (c.product, c.device, c.kind) == (product, place, CommandKind::Withdraw);
            let only_withdrawn = plan.actions.commands.iter().any(withdraws);
            prop_assert!(holders == Holders::Persons || !commands.contains(&(product, place)) || only_withdrawn,
                "a licence and an app move at once");
        }
    }

    #[test]
    fn incremental_equals_full((world, changes) in changes()) {
        let mut planner = Planner::new(world);
        let mut now = planner.snapshot().now;
        prop_assert_eq!(&planner.actions(now), &plan(planner.snapshot()).actions);
        let heard = changes.iter().any(|change| matches!(change, Change::Heard(..)));
        for change in changes {
            let world = planner.snapshot().clone();
            match change {
                Change::Device(place, device, row) => {
                    let place = place.min(world.devices.len());
                    // No two devices have one serial number.
                    let taken = world.devices.iter().enumerate()
                        .any(|(other, known)| other != place && known.serial == device.serial);
                    if !taken {
                        planner.set_device(place as u32, device, row);
                    }
                }
                Change::Person(place, person) => {
                    let person = Person { client_user_id: world.persons[place].client_user_id.clone(), ..person };
                    planner.set_person(place as u32, person, world.seats[place].clone());
                }
                Change::Seats(to, from) => {
                    planner.set_person(to as u32, world.persons[to].clone(), world.seats[from].clone());
                }
                Change::Extras(device, mut assets) => {
                    assets.retain(|&asset| (asset as usize) < world.assets.len());
                    planner.set_extras(Holder::Device(device.min(world.devices.len() - 1) as u32), &assets);
                }
                Change::Free(asset, free) if asset < world.assets.len() => planner.set_free(asset as u32, free),
                Change::Free(..) => {}
                Change::Name(product) => planner.set_bundle_id(product as u32, Some("com.example.named".into())),
                Change::Heard(device, time) => planner.heard(device.min(world.devices.len() - 1) as u32, at(time.min(now.as_second()))),
                Change::Later(seconds) => now = at(now.as_second() + seconds),
            }
            let actions = planner.actions(now);
            let full = plan(planner.snapshot()).actions;
            prop_assert!(actions.next_due == full.next_due || (heard && actions.next_due <= full.next_due));
            prop_assert_eq!(&Actions { next_due: full.next_due, ..actions }, &full);
        }
    }
}
