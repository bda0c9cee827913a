use super::*;
use crate::licensing::snapshot::{Device, Location, Product, Rule};
use crate::model::{App, Purpose, SerialNumber, Target};
use proptest::prelude::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn device(serial: &str, enrolled_at: i64) -> Device {
    Device { serial: serial.into(), enrolled: true, enrolled_at: at(enrolled_at) }
}

fn asset(product: u32, location: u32, free: u32) -> Asset {
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

fn rule(id: i64, product: u32, target: Target, purpose: Purpose) -> Rule {
    Rule { id, product, target, purpose, created_at: at(id) }
}

/// One location, one app, `licences` free of it, required everywhere.
fn small(licences: u32, devices: Vec<Device>) -> Snapshot {
    Snapshot {
        now: at(1000),
        locations: vec![Location { name: "Leeds".into(), writable: true }],
        products: vec![Product { adam_id: "361309726".into(), bundle_id: Some("com.apple.Pages".into()) }],
        assets: vec![asset(0, 0, licences)],
        devices,
        rules: vec![rule(1, 0, Target::AllDevices, Purpose::Required)],
        pairs: Vec::new(),
    }
}

fn step_of(plan: &Plan, product: u32, device: u32) -> Step {
    plan.steps.iter().find(|s| (s.product, s.device) == (product, device)).map_or(Step::Nothing, |s| s.step)
}

#[test]
fn short_of_licences_first_come_is_first_served_and_the_rest_wait_in_line() {
    let snapshot = small(2, vec![device("C", 30), device("A", 20), device("B", 20), device("D", 10)]);
    let plan = plan(&snapshot);
    assert_eq!(step_of(&plan, 0, 3), Step::Associate { asset: 0 });
    assert_eq!(step_of(&plan, 0, 1), Step::Associate { asset: 0 });
    assert_eq!(step_of(&plan, 0, 2), Step::WaitForLicence { position: 1 });
    assert_eq!(step_of(&plan, 0, 0), Step::WaitForLicence { position: 2 });
    assert_eq!(plan.licences, [LicenceAction { location: 0, verb: Verb::Associate, pairs: vec![(0, 1), (0, 3)] }]);
    assert_eq!(plan.commands, []);
}

#[test]
fn the_next_location_serves_when_the_first_has_run_out() {
    let mut snapshot = small(1, vec![device("A", 1), device("B", 2)]);
    snapshot.locations.push(Location { name: "York".into(), writable: true });
    snapshot.assets.push(asset(0, 1, 5));
    let plan = plan(&snapshot);
    assert_eq!(step_of(&plan, 0, 0), Step::Associate { asset: 0 });
    assert_eq!(step_of(&plan, 0, 1), Step::Associate { asset: 1 });
}

#[test]
fn what_cannot_be_done_says_why() {
    let mut snapshot = small(5, vec![device("A", 1), device("", 2)]);
    assert_eq!(step_of(&plan(&snapshot), 0, 1), Step::Blocked(Blocked::NoSerial));
    snapshot.locations[0].writable = false;
    assert_eq!(step_of(&plan(&snapshot), 0, 0), Step::Blocked(Blocked::NoWritableLocation));
    snapshot.assets[0].device_assignable = false;
    assert_eq!(step_of(&plan(&snapshot), 0, 0), Step::Blocked(Blocked::NotDeviceAssignable));
    snapshot.assets.clear();
    assert_eq!(step_of(&plan(&snapshot), 0, 0), Step::Blocked(Blocked::NotOwned));
}

#[test]
fn the_exception_for_one_device_beats_the_rule_for_all() {
    let mut snapshot = small(5, vec![device("A", 1), device("B", 2)]);
    let serial = SerialNumber::read("B").unwrap();
    snapshot.rules.push(rule(2, 0, Target::Serial(serial), Purpose::Uninstall));
    snapshot.pairs = vec![Pair { licence: Licence::Assigned, app: App::Installed, ours: true, ..Pair::unknown(0, 1) }];
    let plan = plan(&snapshot);
    assert_eq!(step_of(&plan, 0, 0), Step::Associate { asset: 0 });
    assert_eq!(step_of(&plan, 0, 1), Step::Remove);
    assert_eq!(plan.commands, [CommandAction { product: 0, device: 1, kind: CommandKind::Remove }]);
}

#[test]
fn an_assignment_made_elsewhere_is_adopted_and_not_given_again() {
    let mut snapshot = small(0, vec![device("A", 1)]);
    snapshot.pairs = vec![Pair { licence: Licence::Assigned, ..Pair::unknown(0, 0) }];
    let plan = plan(&snapshot);
    assert_eq!(plan.adopt, [(0, 0)]);
    assert_eq!(plan.licences, []);
    assert_eq!(step_of(&plan, 0, 0), Step::Install);
}

#[test]
fn a_pair_that_waits_for_a_time_names_it() {
    let mut snapshot = small(0, vec![device("A", 1)]);
    let waiting = Pair { licence: Licence::Assigned, app: App::Working, ours: true, due: 1030, ..Pair::unknown(0, 0) };
    snapshot.pairs = vec![waiting];
    assert_eq!(plan(&snapshot).next_due, Some(at(1030)));
    snapshot.now = at(1030);
    let later = plan(&snapshot);
    assert_eq!(later.next_due, None);
    assert_eq!(later.commands, [CommandAction { product: 0, device: 0, kind: CommandKind::Verify }]);
}

#[test]
fn a_device_without_deployment_that_left_gives_back_only_what_was_ours() {
    let mut snapshot = small(0, vec![device("A", 1), device("B", 1)]);
    snapshot.rules.clear();
    snapshot.devices.iter_mut().for_each(|d| d.enrolled = false);
    let held = Pair { licence: Licence::Assigned, app: App::Installed, ..Pair::unknown(0, 0) };
    snapshot.pairs = vec![Pair { ours: true, ..held }, Pair { device: 1, ..held }];
    let plan = plan(&snapshot);
    assert_eq!(plan.licences, [LicenceAction { location: 0, verb: Verb::Disassociate, pairs: vec![(0, 0)] }]);
}

prop_compose! {
    fn snapshots()(
        free in proptest::collection::vec(0..6u32, 1..6),
        serials in proptest::collection::btree_set("[A-D]{3}", 1..12),
        enrolled in proptest::collection::vec((any::<bool>(), 0..5i64), 12),
        rules in proptest::collection::vec((0..3u32, 0..14usize, any::<bool>(), 1..9i64), 0..6),
        pairs in proptest::collection::btree_map((0..3u32, 0..12u32), (0..4usize, 0..12u8, any::<bool>(), 990..1010i64), 0..20),
    ) -> Snapshot {
        let serials: Vec<String> = serials.into_iter().collect();
        let devices: Vec<Device> = serials.iter().zip(&enrolled)
            .map(|(serial, &(enrolled, when))| Device { enrolled, ..device(serial, when) }).collect();
        let licences = [Licence::None, Licence::Requested, Licence::Assigned, Licence::Returning];
        let assets: Vec<Asset> = (0u32..).zip(&free).map(|(i, &free)| asset(i % 3, i / 3, free)).collect();
        Snapshot {
            now: at(1000),
            locations: vec![Location { name: "a".into(), writable: true }, Location { name: "b".into(), writable: true }],
            products: (0..3).map(|i| Product { adam_id: i.to_string(), bundle_id: Some(i.to_string()) }).collect(),
            rules: (1i64..).zip(rules).map(|(id, (product, who, required, when))| Rule {
                created_at: at(when),
                ..rule(id, product,
                    serials.get(who).map_or(Target::AllDevices, |s| Target::Serial(SerialNumber::read(s).unwrap())),
                    if required { Purpose::Required } else { Purpose::Uninstall })
            }).collect(),
            pairs: pairs.into_iter()
                .filter(|((_, d), _)| (*d as usize) < devices.len())
                .map(|((product, device), (licence, app, ours, due))| Pair {
                    product, device, due, asset: product % free.len() as u32, licence: licences[licence],
                    app: App::from_code(app).unwrap(), ours, sent: due % 2 == 0,
                }).collect(),
            assets, devices,
        }
    }
}

/// The snapshot after Apple and the devices did everything the plan asked for.
fn apply(snapshot: &Snapshot, plan: &Plan) -> Snapshot {
    let mut next = snapshot.clone();
    let mut pairs: std::collections::BTreeMap<(u32, u32), Pair> =
        next.pairs.iter().map(|p| ((p.product, p.device), *p)).collect();
    for PairStep { product, device, step } in &plan.steps {
        let pair = pairs.entry((*product, *device)).or_insert(Pair::unknown(*product, *device));
        match *step {
            Step::Associate { asset } => {
                (pair.licence, pair.asset, pair.ours) = (Licence::Assigned, asset, true);
                next.assets[asset as usize].free -= 1;
            }
            Step::Disassociate { asset } => {
                pair.licence = Licence::None;
                next.assets[asset as usize].free += 1;
            }
            Step::AwaitAssignment => pair.licence = Licence::Assigned,
            Step::AwaitReturn => pair.licence = Licence::None,
            Step::Install => pair.app = App::InstallQueued,
            Step::AwaitInstallAnswer => pair.app = App::Working,
            Step::Verify if pair.app == App::RemoveUnconfirmed || pair.app == App::RemoveRetry => {
                pair.app = App::Removed;
            }
            Step::Verify | Step::AwaitInstall | Step::AwaitPerson => pair.app = App::Installed,
            Step::WithdrawInstall => pair.app = App::None,
            Step::WithdrawRemove => pair.app = App::Installed,
            Step::Remove => pair.app = App::RemoveQueued,
            Step::AwaitRemoval => pair.app = App::Removed,
            Step::AwaitRetry => pair.due = 0,
            _ => {}
        }
    }
    next.pairs = pairs.into_values().collect();
    next
}

proptest! {
    #[test]
    fn no_asset_goes_over_its_count(snapshot in snapshots()) {
        let plan = plan(&snapshot);
        for (index, asset) in (0u32..).zip(&snapshot.assets) {
            let given = plan.steps.iter().filter(|s| s.step == Step::Associate { asset: index }).count();
            prop_assert!(given <= asset.free as usize);
        }
    }

    #[test]
    fn nobody_waits_while_a_licence_is_free(snapshot in snapshots()) {
        let plan = plan(&snapshot);
        for step in &plan.steps {
            if matches!(step.step, Step::WaitForLicence { .. }) {
                for (index, asset) in (0u32..).zip(&snapshot.assets) {
                    if asset.product == step.product {
                        let given = plan.steps.iter().filter(|s| s.step == Step::Associate { asset: index }).count();
                        prop_assert_eq!(given, asset.free as usize);
                    }
                }
            }
        }
    }

    #[test]
    fn the_order_of_devices_and_rules_does_not_matter(snapshot in snapshots()) {
        let named = |snapshot: &Snapshot| {
            let mut steps: Vec<(u32, String, Step)> = plan(snapshot).steps.iter()
                .map(|s| (s.product, snapshot.devices[s.device as usize].serial.clone(), s.step)).collect();
            steps.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
            steps
        };
        let mut other = snapshot.clone();
        other.devices.reverse();
        other.rules.reverse();
        let last = other.devices.len() as u32 - 1;
        other.pairs.iter_mut().for_each(|p| p.device = last - p.device);
        other.pairs.sort_by_key(|p| (p.product, p.device));
        prop_assert_eq!(named(&snapshot), named(&other));
    }

    #[test]
    fn following_plans_comes_to_rest_as_wanted_or_short(snapshot in snapshots()) {
        let mut now = snapshot;
        for _ in 0..20 {
            let next = apply(&now, &plan(&now));
            if next.pairs == now.pairs { break; }
            now = next;
        }
        let end = plan(&now);
        prop_assert_eq!(&end.licences, &[]);
        prop_assert_eq!(&end.commands, &[]);
        for step in &end.steps {
            prop_assert!(matches!(step.step, Step::Satisfied | Step::Rejected | Step::GaveUp | Step::Removed
                | Step::WaitForLicence { .. } | Step::Blocked(_)), "{:?}", step);
        }
    }
}
