//! Whether the three who know something agree: the sandbox's Apple (who holds licences), vppd (what it believes), and the
//! devices (what is on them). Each difference is told in a sentence.

use std::collections::{BTreeMap, BTreeSet};

use crate::apple::Apple;
use crate::appliance::{Look, PairKey};
use crate::device::Fleet;
use crate::device::apps::AppState;

/// What Apple and the devices know, as they truly are.
#[derive(Debug, Clone, Default)]
pub struct Truth {
    /// Licences assigned to serial numbers, in any location.
    pub assigned: BTreeSet<PairKey>,
    /// Managed apps that are installed on enrolled devices.
    pub managed: BTreeSet<PairKey>,
}

impl Truth {
    /// Asks Apple and the devices.
    pub fn of(apple: &Apple, fleet: &Fleet) -> Truth {
        let locations = apple.state().locations;
        let assignments = locations.into_iter().flat_map(|location| location.assignments);
        let assigned = assignments.filter_map(|one| Some((one.serial_number?, one.adam_id))).collect();
        let mut managed = BTreeSet::new();
        for device in fleet.view().into_iter().filter(|device| device.enrolled) {
            for app in device.apps {
                if app.state == Some(AppState::Managed) && app.installed.is_some() {
                    managed.insert((device.serial.clone(), app.product.adam_id));
                }
            }
        }
        Truth { assigned, managed }
    }
}

/// How many pairs a sentence names before it only counts.
const NAMED: usize = 5;

/// Where the views differ; empty when they agree. `look` has to show all apps that have ever been deployed.
pub fn disagreements(truth: &Truth, look: &Look) -> Vec<String> {
    let mut found = Vec::new();
    let (assigned, installed) = (look.assigned(), look.installed());
    differ(&mut found, "Apple has assigned, but vppd does not say so", &truth.assigned, &assigned);
    differ(&mut found, "vppd says assigned, but Apple has not", &assigned, &truth.assigned);
    differ(&mut found, "managed on the device, but vppd does not say installed", &truth.managed, &installed);
    differ(&mut found, "vppd says installed, but the device does not have it", &installed, &truth.managed);
    differ(&mut found, "installed without a licence at Apple", &truth.managed, &truth.assigned);
    let mut held: BTreeMap<&str, u64> = BTreeMap::new();
    for (_, adam_id) in &truth.assigned {
        *held.entry(adam_id).or_default() += 1;
    }
    // One row for each location that has the app; what is wanted is the same in all of them.
    let mut counted: BTreeMap<&str, u64> = BTreeMap::new();
    for app in look.apps.iter().flat_map(|detail| &detail.apps) {
        *counted.entry(&app.adam_id).or_default() += app.assigned;
    }
    let mut told = BTreeSet::new();
    for app in look.apps.iter().flat_map(|detail| &detail.apps).filter(|app| told.insert(&app.adam_id)) {
        let held = held.get(app.adam_id.as_str()).copied().unwrap_or_default();
        let assigned = counted.get(app.adam_id.as_str()).copied().unwrap_or_default();
        if assigned != held {
            let adam_id = &app.adam_id;
            found.push(format!("app {adam_id}: vppd counts {assigned} licences as assigned, Apple {held}"));
        }
        if app.wanted.checked_sub(held) != Some(app.waiting) {
            let (adam_id, wanted, waiting) = (&app.adam_id, app.wanted, app.waiting);
            found.push(format!("app {adam_id}: {wanted} wanted, {held} assigned, but {waiting} wait for a licence"));
        }
    }
    found
}

fn differ(found: &mut Vec<String>, what: &str, these: &BTreeSet<PairKey>, those: &BTreeSet<PairKey>) {
    let only: Vec<String> = these.difference(those).map(|(serial, adam_id)| format!("{adam_id} on {serial}")).collect();
    if only.is_empty() {
        return;
    }
    let rest = only.len().saturating_sub(NAMED);
    let more = if rest > 0 { format!(" and {rest} more") } else { String::new() };
    found.push(format!("{what}: {}{more}", only.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ")));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::appliance::tests::{look, pair};
    use crate::appliance::{Licence, Stage};

    fn keys(serials: &[&str]) -> BTreeSet<PairKey> {
        serials.iter().map(|serial| ((*serial).to_owned(), "1".to_owned())).collect()
    }

    fn three() -> Look {
        look(vec![
            pair("A", "1", Stage::Installed, Licence::Assigned),
            pair("B", "1", Stage::Rejected, Licence::Assigned),
            pair("C", "1", Stage::WaitingForLicence, Licence::None),
        ])
    }

    #[test]
    fn views_that_say_the_same_agree() {
        let truth = Truth { assigned: keys(&["A", "B"]), managed: keys(&["A"]) };
        assert_eq!(disagreements(&truth, &three()), Vec::<String>::new());
    }

    #[test]
    fn a_licence_that_only_apple_knows_is_told_three_times() {
        let truth = Truth { assigned: keys(&["A", "B", "C"]), managed: keys(&["A"]) };
        let expected = [
            "Apple has assigned, but vppd does not say so: 1 on C",
            "app 1: vppd counts 2 licences as assigned, Apple 3",
            "app 1: 3 wanted, 3 assigned, but 1 wait for a licence",
        ];
        assert_eq!(disagreements(&truth, &three()), expected);
    }

    #[test]
    fn an_app_on_a_device_without_a_licence_is_told() {
        let truth = Truth { assigned: keys(&["A", "B"]), managed: keys(&["A", "C"]) };
        let expected = [
            "managed on the device, but vppd does not say installed: 1 on C",
            "installed without a licence at Apple: 1 on C",
        ];
        assert_eq!(disagreements(&truth, &three()), expected);
    }

    #[test]
    fn licences_of_several_locations_are_counted_together() {
        let mut look = three();
        let mut other = look.apps[0].apps[0].clone();
        other.assigned = 0;
        look.apps[0].apps.push(other);
        let truth = Truth { assigned: keys(&["A", "B"]), managed: keys(&["A"]) };
        assert_eq!(disagreements(&truth, &look), Vec::<String>::new());
    }

    #[test]
    fn many_differences_are_counted_and_some_are_named() {
        let these = keys(&["A", "B", "C", "D", "E", "F", "G"]);
        let mut found = Vec::new();
        differ(&mut found, "gone", &these, &BTreeSet::new());
        assert_eq!(found, ["gone: 1 on A, 1 on B, 1 on C, 1 on D, 1 on E and 2 more"]);
    }
}
