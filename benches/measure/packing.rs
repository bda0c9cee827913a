//! How few requests assign what is wanted: for shapes as they occur, what the packing needs, beside what was planted, what
//! can be proved to be needed, and what a request for each device or for each app would come to. And how long a million pairs
//! take to pack.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use sandbox::chance::Chance;
use vppd::licensing::{Limits, rectangles};

use crate::figures::{Figure, Limit, Report};
use crate::shapes::{self, Shape};

const APPLE: Limits = Limits { max_assets: shapes::MAX_ASSETS, max_serial_numbers: shapes::MAX_SERIAL_NUMBERS };
const ROUNDS: usize = 3;
const SEED: u64 = 1;

/// Measures all shapes.
pub fn measure(report: &mut Report) {
    println!("requests to Apple   here  planted  proved  by device  by app    pairs  shape");
    for shape in shapes::shapes(SEED) {
        let Shape { pairs, planted, name } = &shape;
        let (requests, seconds) = packed(pairs);
        let by_device = pairs.iter().map(|&(_, device)| device).collect::<BTreeSet<_>>().len();
        let by_app = pairs.iter().map(|&(asset, _)| asset).collect::<BTreeSet<_>>().len();
        let (proved, count) = (proved(pairs), pairs.len());
        println!("{:24}{planted:9}{proved:8}{by_device:11}{by_app:8}{count:9}  {name}", requests as u64);
        let limit = Limit::AtMost(shape.limit() as f64);
        report.add(Figure::new(name, "requests").limit(limit).values([requests]));
        report.add(Figure::new("  time to pack them", "ms").values(seconds.map(|s| s * 1e3)));
    }
    let chance = &mut Chance::seeded(SEED);
    for (name, assets, devices) in [
        ("1,000,000 pairs by chance, 100 apps on 20,000 devices", 100, 20_000),
        ("1,000,000 pairs by chance, 500 apps on 100,000 devices", 500, 100_000),
    ] {
        let pair = |_| (chance.below(assets) as u32, chance.below(devices) as u32);
        let pairs: Vec<_> = (0..1_000_000).map(pair).collect();
        report.add(Figure::new(name, "s").limit(Limit::Below(1.0)).values(packed(&pairs).1));
    }
}

/// How many requests, and how long it took, round by round.
fn packed(pairs: &[(u32, u32)]) -> (f64, [f64; ROUNDS]) {
    let mut requests = 0;
    let seconds = [(); ROUNDS].map(|()| {
        let begin = Instant::now();
        requests = rectangles(pairs, APPLE).len();
        begin.elapsed().as_secs_f64()
    });
    (requests as f64, seconds)
}

/// A number of requests without which it cannot be done: of the pairs in a fooling set no two can be in one request, as that
/// would assign a pair that nobody wants. Found greedily, devices with the fewest apps first. Apple's limits give two more.
fn proved(pairs: &[(u32, u32)]) -> usize {
    let mut assets_of: BTreeMap<u32, BTreeSet<u32>> = BTreeMap::new();
    let mut devices_of: BTreeMap<u32, usize> = BTreeMap::new();
    for &(asset, device) in pairs {
        assets_of.entry(device).or_default().insert(asset);
        *devices_of.entry(asset).or_default() += 1;
    }
    let by_devices = devices_of.values().map(|devices| devices.div_ceil(shapes::MAX_SERIAL_NUMBERS)).max();
    let by_assets = assets_of.values().map(|assets| assets.len().div_ceil(shapes::MAX_ASSETS)).max();
    let kinds: BTreeSet<&BTreeSet<u32>> = assets_of.values().collect();
    let mut kinds: Vec<&BTreeSet<u32>> = kinds.into_iter().collect();
    kinds.sort_by_key(|kind| kind.len());
    let mut fooling: Vec<(u32, &BTreeSet<u32>)> = Vec::new();
    for kind in kinds {
        // The rarest of its apps that is together with none before.
        let apart = |asset: &&u32| fooling.iter().all(|(other, of)| !(kind.contains(other) && of.contains(asset)));
        let rarest = kind.iter().filter(apart).min_by_key(|asset| devices_of.get(asset));
        fooling.extend(rarest.map(|&asset| (asset, kind)));
    }
    [by_devices.unwrap_or(0), by_assets.unwrap_or(0), fooling.len()].into_iter().max().unwrap_or(0)
}
