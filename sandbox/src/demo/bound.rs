//! The fewest calls to Apple with which a newly installed server can have brought these licences to these devices.
//!
//! It counts: service/config, client/config and the claim (one call each); the pages of the first full reading of assets and
//! assignments; the fewest `assets/associate` requests that can name all assigned pairs and no other; and one
//! look at the outcome of each. The number of requests is a lower bound in the strict sense: no server can do with fewer,
//! and it is not said that one can do with so few.

use std::collections::{BTreeMap, BTreeSet};

use crate::appliance::PairKey;

/// What decides how few calls are enough.
#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    /// Assets and assignments there were at the first reading.
    pub assets: usize,
    pub assignments: usize,
    /// Records on a page.
    pub page: usize,
    /// Assets and serial numbers in one request.
    pub max_assets: usize,
    pub max_serials: usize,
}

/// service/config, client/config and the claim.
const DISCOVERY: usize = 3;

/// The bound in words, for the foot of a table.
pub const FORMULA: &str = "3 calls of discovery and claim + pages of the first reading + 2 for each of the fewest \
                           requests that can assign these pairs (the request and one look at its outcome)";

/// The fewest calls that could have led to these assignments.
pub fn fewest_calls(assigned: &BTreeSet<PairKey>, sizes: &Sizes) -> usize {
    let pages = |records: usize| records.div_ceil(sizes.page.max(1)).max(1);
    DISCOVERY + pages(sizes.assets) + pages(sizes.assignments) + 2 * fewest_requests(assigned, sizes)
}

/// A number of requests without which these pairs cannot be assigned. A request names assets and serial numbers and
/// assigns each of these to each of those. Two pairs cannot be in one request if that would assign a pair that is not
/// wanted; so a set of pairs of which no two can be together (a fooling set) needs as many requests. Apple's limits of one
/// request give two more bounds.
fn fewest_requests(assigned: &BTreeSet<PairKey>, sizes: &Sizes) -> usize {
    let mut devices: BTreeMap<&str, usize> = BTreeMap::new();
    let mut apps_of: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (serial, adam_id) in assigned {
        *devices.entry(adam_id).or_default() += 1;
        apps_of.entry(serial).or_default().insert(adam_id);
    }
    let by_devices = devices.values().map(|count| count.div_ceil(sizes.max_serials.max(1))).max();
    let by_apps = apps_of.values().map(|apps| apps.len().div_ceil(sizes.max_assets.max(1))).max();
    // Devices with the same apps are one for this purpose.
    let groups: BTreeSet<&BTreeSet<&str>> = apps_of.values().collect();
    [by_devices.unwrap_or(0), by_apps.unwrap_or(0), fooling_set(&groups)].into_iter().max().unwrap_or(0)
}

/// The size of a fooling set, found greedily: rare pairs first.
fn fooling_set(groups: &BTreeSet<&BTreeSet<&str>>) -> usize {
    let mut pairs: Vec<(&str, &BTreeSet<&str>)> =
        groups.iter().flat_map(|group| group.iter().map(|app| (*app, *group))).collect();
    let spread = |app: &str| groups.iter().filter(|group| group.contains(app)).count();
    pairs.sort_by_key(|(app, group)| (spread(app) + group.len(), *app));
    let mut chosen: Vec<(&str, &BTreeSet<&str>)> = Vec::new();
    for (app, group) in pairs {
        if chosen.iter().all(|(other, others)| !others.contains(app) || !group.contains(other)) {
            chosen.push((app, group));
        }
    }
    chosen.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    const APPLE: Sizes = Sizes { assets: 12, assignments: 0, page: 500, max_assets: 25, max_serials: 1000 };

    fn pairs(apps: &[(&str, usize)]) -> BTreeSet<PairKey> {
        apps.iter()
            .flat_map(|&(app, count)| (0..count).map(move |device| (format!("D{device}"), app.to_owned())))
            .collect()
    }

    #[test]
    fn two_apps_for_all_and_one_for_some_take_two_requests() {
        let assigned = pairs(&[("1", 200), ("2", 200), ("3", 150)]);
        assert_eq!(fewest_requests(&assigned, &APPLE), 2);
        assert_eq!(fewest_calls(&assigned, &APPLE), 3 + 1 + 1 + 2 * 2);
    }

    #[test]
    fn the_same_apps_for_all_take_one_request_up_to_apples_limits() {
        assert_eq!(fewest_requests(&pairs(&[("1", 1000), ("2", 1000)]), &APPLE), 1);
        assert_eq!(fewest_requests(&pairs(&[("1", 1001), ("2", 1001)]), &APPLE), 2);
        let names: Vec<String> = (0..26).map(|app| app.to_string()).collect();
        let many: Vec<(&str, usize)> = names.iter().map(|name| (name.as_str(), 1)).collect();
        assert_eq!(fewest_requests(&pairs(&many), &APPLE), 2);
    }

    #[test]
    fn every_device_with_an_app_of_its_own_takes_a_request_each() {
        let assigned = (0..7).map(|one| (format!("D{one}"), one.to_string())).collect();
        assert_eq!(fewest_requests(&assigned, &APPLE), 7);
    }

    #[test]
    fn nothing_assigned_takes_discovery_and_one_reading() {
        assert_eq!(fewest_calls(&BTreeSet::new(), &APPLE), 5);
        assert_eq!(fewest_calls(&BTreeSet::new(), &Sizes { assets: 501, ..APPLE }), 6);
    }
}
