use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::table::{Block, Table};
use super::{Limits, Rectangle, absorb, rectangles, stars};

const APPLE: Limits = Limits { max_assets: 25, max_serial_numbers: 1000 };

type Pairs = Vec<(u32, u32)>;

/// Every asset for every device.
fn full(assets: impl IntoIterator<Item = u32>, devices: std::ops::Range<u32>) -> Pairs {
    assets.into_iter().flat_map(|asset| devices.clone().map(move |device| (asset, device))).collect()
}

/// What is paid for cutting by identical devices, and by identical assets, without looking further.
fn plain_cuts(pairs: &[(u32, u32)], limits: Limits) -> [usize; 2] {
    let grouped = |links: &mut dyn Iterator<Item = (u32, u32)>| {
        let mut values: BTreeMap<u32, BTreeSet<u32>> = BTreeMap::new();
        links.for_each(|(key, value)| values.entry(key).or_default().extend([value]));
        let mut alike: BTreeMap<BTreeSet<u32>, usize> = BTreeMap::new();
        values.into_values().for_each(|set| *alike.entry(set).or_default() += 1);
        alike.into_iter().map(|(set, keys)| (keys, set.len())).collect::<Vec<_>>()
    };
    let by_device = grouped(&mut pairs.iter().map(|&(asset, device)| (device, asset)));
    let by_asset = grouped(&mut pairs.iter().copied());
    let parts = |devices: usize, assets: usize| {
        devices.div_ceil(limits.max_serial_numbers) * assets.div_ceil(limits.max_assets)
    };
    [
        by_device.into_iter().map(|(devices, assets)| parts(devices, assets)).sum(),
        by_asset.into_iter().map(|(assets, devices)| parts(devices, assets)).sum(),
    ]
}

/// The pairs of rectangles; none may be in two, and all limits are kept.
fn covered(parts: &[Rectangle], limits: Limits) -> BTreeSet<(u32, u32)> {
    let mut covered = BTreeSet::new();
    for part in parts {
        assert!(part.assets.len() <= limits.max_assets && part.devices.len() <= limits.max_serial_numbers);
        assert!(part.assets.is_sorted() && part.devices.is_sorted());
        for &asset in &part.assets {
            for &device in &part.devices {
                assert!(covered.insert((asset, device)), "{asset} for {device} is in two rectangles");
            }
        }
    }
    covered
}

#[test]
fn nothing_takes_no_request_and_one_pair_takes_one() {
    assert!(rectangles(&[], APPLE).is_empty());
    assert_eq!(rectangles(&[(7, 9), (7, 9)], APPLE), [Rectangle { assets: vec![7], devices: vec![9] }]);
}

#[test]
fn two_apps_for_200_devices_and_one_for_150_of_them_take_two_requests() {
    let pairs = [full(0..2, 0..200), full(2..3, 0..150)].concat();
    assert_eq!(rectangles(&pairs, APPLE).len(), 2);
}

#[test]
fn many_assets_wanted_by_different_devices_are_cut_by_asset() {
    // Each device wants its own mix; only three assets exist, so three requests are enough.
    let pairs: Pairs =
        (0..64u32).flat_map(|d| (0..3u32).filter(move |a| d >> a & 1 == 1).map(move |a| (a, d))).collect();
    assert_eq!(rectangles(&pairs, APPLE).len(), 3);
}

#[test]
fn limits_are_kept() {
    let parts = rectangles(&full(0..30, 0..1001), APPLE);
    assert_eq!(parts.len(), 4);
    assert!(parts.iter().all(|r| r.assets.len() <= 25 && r.devices.len() <= 1000));
}

#[test]
fn a_common_app_goes_with_the_sets_of_the_classes_where_there_is_room_for_it() {
    let classes = |own: u32| {
        let sets = (0..6).flat_map(|class| full(10 + class * own..10 + (class + 1) * own, class * 30..class * 30 + 30));
        sets.chain(full(0..3, 0..180)).collect::<Pairs>()
    };
    assert_eq!(rectangles(&classes(22), APPLE).len(), 6);
    assert_eq!(rectangles(&classes(23), APPLE).len(), 7);
}

#[test]
fn rows_and_columns_are_chosen_by_what_they_cost_in_requests() {
    // Two devices with mixes of their own, one asset for many: no side alone would do.
    let pairs = [full(0..1, 0..50), full(1..9, 50..51), full(5..14, 51..52), full(20..21, 40..60)].concat();
    let table = Table::of(&pairs, APPLE);
    let cells: Vec<Vec<u32>> = table.sides[0].iter().map(|line| line.cells.clone()).collect();
    assert_eq!(table.requests(&stars::stars(&table, &cells)), 4);
    assert_eq!(rectangles(&pairs, APPLE).len(), 4);
}

#[test]
fn what_two_groups_have_in_common_is_divided_among_them() {
    // Groups without a common device, half of whose apps are the same.
    let pairs = [full(0..10, 0..100), full(5..15, 100..200)].concat();
    let table = Table::of(&pairs, APPLE);
    // Columns: 0 to 4 and 10 to 14 are one line each, and 5 to 9.
    let mut three = table.columns();
    assert_eq!(three.len(), 3);
    three.sort_by_key(|Block([rows, _])| rows.len());
    assert_eq!(table.requests(&absorb::absorbed(&table, three)), 2);
}

/// Pairs with nothing in common, or rectangles that overlap as they like.
fn some_pairs() -> impl Strategy<Value = Pairs> {
    let single = proptest::collection::vec((0..12u32, 0..40u32), 0..200);
    let assets = proptest::collection::btree_set(0..30u32, 1..8);
    let devices = proptest::collection::btree_set(0..60u32, 1..20);
    let groups = proptest::collection::vec((assets, devices), 1..12);
    let of_groups = groups.prop_map(|groups| {
        let pairs = groups.iter().flat_map(|(assets, devices)| {
            assets.iter().flat_map(|&asset| devices.iter().map(move |&device| (asset, device)))
        });
        pairs.collect::<Pairs>()
    });
    prop_oneof![single, of_groups]
}

proptest! {
    #[test]
    fn every_pair_is_in_exactly_one_rectangle_and_no_other_pair_is(
        (pairs, shuffled) in some_pairs().prop_flat_map(|pairs| (Just(pairs.clone()), Just(pairs).prop_shuffle())),
        max_assets in 1..9usize,
        max_serial_numbers in 1..25usize,
    ) {
        let limits = Limits { max_assets, max_serial_numbers };
        let parts = rectangles(&pairs, limits);
        prop_assert_eq!(covered(&parts, limits), pairs.iter().copied().collect::<BTreeSet<_>>());
        prop_assert_eq!(&parts, &rectangles(&shuffled, limits));
        for plain in plain_cuts(&pairs, limits) {
            prop_assert!(parts.len() <= plain, "{} requests, where a plain cut takes {}", parts.len(), plain);
        }
    }

    #[test]
    fn rectangles_are_as_few_as_were_planted_when_nothing_overlaps(
        sizes in proptest::collection::vec((1..26u32, 1..40u32), 1..10),
    ) {
        let (mut pairs, mut asset, mut device) = (Pairs::new(), 0, 0);
        for &(assets, devices) in &sizes {
            pairs.extend(full(asset..asset + assets, device..device + devices));
            (asset, device) = (asset + assets, device + devices);
        }
        prop_assert_eq!(rectangles(&pairs, APPLE).len(), sizes.len());
    }
}
