//! Sets of pairs as they occur in schools and companies. Each is made of rectangles that do not overlap, so that their number
//! can be reached, and then shuffled. Shared by the measurement and by the test that holds the numbers of requests.

use std::collections::BTreeSet;

use sandbox::chance::Chance;

/// Pairs to be packed, and how few requests are known to be enough.
pub struct Shape {
    pub name: &'static str,
    /// (asset, device).
    pub pairs: Vec<(u32, u32)>,
    /// Requests that were planted: the fewest possible, or at most as many.
    pub planted: usize,
}

impl Shape {
    /// What is asked of whoever packs it.
    pub fn limit(&self) -> usize {
        (self.planted + 1).max(self.planted * 11 / 10)
    }
}

/// Apple's limits of one request, as published.
pub const MAX_ASSETS: usize = 25;
pub const MAX_SERIAL_NUMBERS: usize = 1000;

/// Pairs under construction.
#[derive(Default)]
struct Planting {
    pairs: BTreeSet<(u32, u32)>,
    requests: usize,
}

impl Planting {
    /// Every asset for every device.
    fn plant(&mut self, assets: &[u32], devices: &[u32]) {
        let before = self.pairs.len();
        self.pairs.extend(assets.iter().flat_map(|&asset| devices.iter().map(move |&device| (asset, device))));
        assert_eq!(self.pairs.len() - before, assets.len() * devices.len(), "planted rectangles do not overlap");
        self.requests += assets.len().div_ceil(MAX_ASSETS) * devices.len().div_ceil(MAX_SERIAL_NUMBERS);
    }

    fn is_free(&self, assets: &[u32], devices: &[u32]) -> bool {
        assets.iter().all(|&asset| devices.iter().all(|&device| !self.pairs.contains(&(asset, device))))
    }

    fn shape(self, name: &'static str, chance: &mut Chance) -> Shape {
        let mut pairs: Vec<(u32, u32)> = self.pairs.into_iter().collect();
        shuffle(&mut pairs, chance);
        Shape { name, pairs, planted: self.requests }
    }
}

fn shuffle<T>(items: &mut [T], chance: &mut Chance) {
    for last in (1..items.len()).rev() {
        items.swap(last, chance.below(last as u64 + 1) as usize);
    }
}

/// `count` different ones of `0..below`.
fn some(chance: &mut Chance, count: usize, below: u32) -> Vec<u32> {
    let mut chosen = BTreeSet::new();
    while chosen.len() < count {
        chosen.insert(chance.below(below.into()) as u32);
    }
    chosen.into_iter().collect()
}

/// All shapes of a seed.
pub fn shapes(seed: u64) -> Vec<Shape> {
    let chance = &mut Chance::seeded(seed);
    let mut all = Vec::new();

    let mut one_app = Planting::default();
    one_app.plant(&[0], &Vec::from_iter(0..5_000));
    all.push(one_app.shape("one app to 5,000 devices", chance));

    let mut class = Planting::default();
    class.plant(&Vec::from_iter(0..25), &Vec::from_iter(0..30));
    all.push(class.shape("25 apps to a class of 30", chance));

    all.push(groups(chance, 0).shape("40 overlapping groups", chance));

    let mut noisy = groups(chance, 0);
    let (assets, devices) = (some(chance, 100, 400), some(chance, 100, 2_000));
    for (asset, device) in assets.into_iter().zip(devices) {
        // Not one that the groups have already.
        let asset = if noisy.is_free(&[asset], &[device]) { asset } else { asset + 10_000 };
        noisy.plant(&[asset], &[device]);
    }
    all.push(noisy.shape("40 overlapping groups and 100 single pairs", chance));

    all.push(groups(chance, 25).shape("40 overlapping groups that share apps", chance));

    let (mut crossing, pool) = (groups(chance, 0), 10_000..10_010);
    for asset in pool {
        // Wanted by some of the groups, which have devices in common: one request for all who want it.
        let wishes = chance.below(6) + 2;
        let members = (0..wishes).flat_map(|_| some(chance, 100, 2_000));
        crossing.plant(&[asset], &Vec::from_iter(BTreeSet::from_iter(members)));
    }
    all.push(crossing.shape("40 overlapping groups with overlapping apps", chance));

    all.push(school_year(20, 3).shape("a new school year: 30 classes, 20 apps each and 3 for all", chance));
    all.push(school_year(24, 3).shape("a new school year: 30 classes, 24 apps each and 3 for all", chance));

    let mut single = Planting::default();
    for asset in 0..100 {
        let count = 1 + chance.below(8) as usize;
        single.plant(&[asset], &some(chance, count, 2_000));
    }
    for device in 2_000..2_060 {
        let count = 2 + chance.below(7) as usize;
        single.plant(&some(chance, count, 500), &[device]);
    }
    all.push(single.shape("100 apps here and there, 60 devices with a mix of their own", chance));
    all
}

/// Groups of 20 to 200 of 2,000 devices, each with 4 to 24 apps. Where two groups have devices in common their apps differ;
/// groups without a common device may want the same apps: `shared` of the apps are for everybody to choose from.
fn groups(chance: &mut Chance, shared: u32) -> Planting {
    let mut planting = Planting::default();
    let mut own = 100;
    while planting.requests < 40 {
        let (size, apps) = (20 + chance.below(181) as usize, 4 + chance.below(21) as usize);
        let devices = some(chance, size, 2_000);
        let mut assets: Vec<u32> = (own..own + apps as u32).collect();
        if shared > 0 {
            assets.truncate(apps / 2);
            for asset in some(chance, apps - apps / 2, 2 * shared) {
                if planting.is_free(&[asset], &devices) {
                    assets.push(asset);
                }
            }
        }
        own += apps as u32;
        planting.plant(&assets, &devices);
    }
    planting
}

/// Classes of 30 devices; each class gets a set of its own, and all get the common apps. A class's own and the common ones
/// in one request, where they fit.
fn school_year(own: u32, common: u32) -> Planting {
    let mut planting = Planting::default();
    let together = (own + common) as usize <= MAX_ASSETS;
    let commons = Vec::from_iter(0..common);
    for class in 0..30 {
        let mut assets = Vec::from_iter(common + class * own..common + (class + 1) * own);
        if together {
            assets.extend(&commons);
        }
        planting.plant(&assets, &Vec::from_iter(class * 30..(class + 1) * 30));
    }
    if !together {
        planting.plant(&commons, &Vec::from_iter(0..900));
    }
    planting
}
