//! Pairs packed into requests. One request to Apple assigns every asset it names to every device it names, so a set of
//! pairs has to be cut into full rectangles, within Apple's limits (`maxAssets`, `maxSerialNumbers`; Apple: Service Config).
//!
//! The fewest rectangles in general is a hard problem; two cuts are tried (devices that want the same assets, assets that
//! are wanted by the same devices) and the better one is taken. No pair is in two rectangles.

use std::collections::BTreeMap;

/// Apple's limits for one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    pub max_assets: usize,
    pub max_serial_numbers: usize,
}

/// Every asset here for every device here.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rectangle {
    /// Sorted.
    pub assets: Vec<u32>,
    /// Sorted.
    pub devices: Vec<u32>,
}

/// Cuts `pairs` (asset, device) into rectangles. Sorted, whatever the order of the pairs; duplicates count once.
pub fn rectangles(pairs: &[(u32, u32)], limits: Limits) -> Vec<Rectangle> {
    let by_device = grouped(pairs.iter().map(|&(asset, device)| (device, asset)));
    let by_asset = grouped(pairs.iter().copied());
    let one = by_device.into_iter().map(|(assets, devices)| Rectangle { assets, devices });
    let other = by_asset.into_iter().map(|(devices, assets)| Rectangle { assets, devices });
    let (one, other) = (cut(one, limits), cut(other, limits));
    let mut best = if other.len() < one.len() { other } else { one };
    best.sort();
    best
}

/// The fewest requests that this many different assets, devices and pairs could need at all: the bound to measure against.
pub fn fewest(pairs: usize, assets: usize, devices: usize, limits: Limits) -> usize {
    let per_request = limits.max_assets.min(assets).max(1) * limits.max_serial_numbers.min(devices).max(1);
    pairs.div_ceil(per_request)
}

/// Keys that have the same set of values, together: set of values -> keys.
fn grouped(links: impl Iterator<Item = (u32, u32)>) -> BTreeMap<Vec<u32>, Vec<u32>> {
    let mut values: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for (key, value) in links {
        values.entry(key).or_default().push(value);
    }
    let mut groups: BTreeMap<Vec<u32>, Vec<u32>> = BTreeMap::new();
    for (key, mut set) in values {
        set.sort_unstable();
        set.dedup();
        groups.entry(set).or_default().push(key);
    }
    groups
}

fn cut(whole: impl Iterator<Item = Rectangle>, limits: Limits) -> Vec<Rectangle> {
    let mut parts = Vec::new();
    for Rectangle { assets, devices } in whole {
        for assets in assets.chunks(limits.max_assets.max(1)) {
            for devices in devices.chunks(limits.max_serial_numbers.max(1)) {
                parts.push(Rectangle { assets: assets.to_vec(), devices: devices.to_vec() });
            }
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    const APPLE: Limits = Limits { max_assets: 25, max_serial_numbers: 1000 };

    #[test]
    fn two_apps_for_200_devices_and_one_for_150_of_them_take_two_requests() {
        let mut pairs: Vec<(u32, u32)> = (0..200).flat_map(|device| [(0, device), (1, device)]).collect();
        pairs.extend((0..150).map(|device| (2, device)));
        assert_eq!(rectangles(&pairs, APPLE).len(), 2);
    }

    #[test]
    fn many_assets_wanted_by_different_devices_are_cut_by_asset() {
        // Each device wants its own mix; only three assets exist, so three requests are enough.
        let pairs: Vec<(u32, u32)> =
            (0..64u32).flat_map(|d| (0..3u32).filter(move |a| d >> a & 1 == 1).map(move |a| (a, d))).collect();
        assert_eq!(rectangles(&pairs, APPLE).len(), 3);
    }

    #[test]
    fn limits_are_kept() {
        let pairs: Vec<(u32, u32)> = (0..30).flat_map(|a| (0..1001).map(move |d| (a, d))).collect();
        let parts = rectangles(&pairs, APPLE);
        assert_eq!(parts.len(), 4);
        assert!(parts.iter().all(|r| r.assets.len() <= 25 && r.devices.len() <= 1000));
        assert_eq!(fewest(pairs.len(), 30, 1001, APPLE), 2);
    }

    proptest! {
        #[test]
        fn every_pair_is_in_exactly_one_rectangle_and_no_other_pair_is(
            pairs in proptest::collection::vec((0..12u32, 0..40u32), 0..200),
            max_assets in 1..6usize,
            max_serial_numbers in 1..9usize,
        ) {
            let parts = rectangles(&pairs, Limits { max_assets, max_serial_numbers });
            let mut covered = BTreeSet::new();
            for part in &parts {
                prop_assert!(part.assets.len() <= max_assets && part.devices.len() <= max_serial_numbers);
                for &asset in &part.assets {
                    for &device in &part.devices {
                        prop_assert!(covered.insert((asset, device)), "twice");
                    }
                }
            }
            prop_assert_eq!(&covered, &pairs.iter().copied().collect::<BTreeSet<_>>());
            let mut reversed = pairs.clone();
            reversed.reverse();
            prop_assert_eq!(parts, rectangles(&reversed, Limits { max_assets, max_serial_numbers }));
        }
    }
}
