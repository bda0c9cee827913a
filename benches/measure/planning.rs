//! Plans for fleets of several sizes: their time, the memory of a pair, and what one changed device costs where the plan is
//! kept up to date. Each in a process of its own, so that the kernel's highest mark of memory is the plan's.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use vppd::licensing::{
    Asset, Deadlines, Device, Licence, Location, Pair, Planner, Product, Row, Rule, Snapshot, Standing, Whom, plan,
};
use vppd::model::{App, LicenceKind, Purpose};

use crate::figures::{Figure, Limit, Report};
use crate::process;

/// Makes this program measure the plan; the next word says of how many devices and apps, and whether pairs are known.
pub const ARGUMENT: &str = "plan";

const ROUNDS: usize = 3;

/// Changed devices, one after the other.
const CHANGES: u32 = 50;

/// A fleet.
#[derive(Debug, Clone, Copy)]
struct Size {
    devices: u32,
    apps: u32,
    known: bool,
}

impl Size {
    fn pairs(self) -> f64 {
        f64::from(self.devices) * f64::from(self.apps)
    }

    fn word(self) -> String {
        format!("{}x{}{}", self.devices, self.apps, if self.known { "" } else { "-unknown" })
    }

    fn read(word: &str) -> Option<Size> {
        let (word, known) = word.strip_suffix("-unknown").map_or((word, true), |word| (word, false));
        let (devices, apps) = word.split_once('x')?;
        Some(Size { devices: devices.parse().ok()?, apps: apps.parse().ok()?, known })
    }
}

/// What the child found.
#[derive(Serialize, Deserialize)]
struct Found {
    seconds: Vec<f64>,
    /// Of the rows of pairs, with their share of the heap.
    snapshot_bytes: f64,
    plan_bytes: f64,
    highest_bytes: f64,
    /// One device changed: until the actions are known.
    changed: Vec<f64>,
    /// One new device, to which every app is new.
    new: Vec<f64>,
}

/// Measures plans in children and adds what they found.
pub fn measure_in_a_child(report: &mut Report) -> anyhow::Result<()> {
    let size = |devices, apps| Size { devices, apps, known: true };
    let (small, middle, large) = (size(1_000, 100), size(10_000, 100), size(100_000, 50));
    let (few, many, most) = (child(small)?, child(middle)?, child(large)?);
    let unknown = child(Size { known: false, ..middle })?;
    let limit = Limit::Below(0.5);
    report.add(Figure::new("plan of 1,000 x 100 pairs", "s").values(few.seconds.clone()));
    report.add(Figure::new("plan of 10,000 x 100 pairs", "s").limit(limit).values(many.seconds.clone()));
    report.add(Figure::new("plan of 10,000 x 100 pairs, none known", "s").limit(limit).values(unknown.seconds));
    report.add(Figure::new("plan of 100,000 x 50 pairs", "s").values(most.seconds.clone()));
    let best = |found: &Found, size: Size| found.seconds.iter().copied().fold(f64::MAX, f64::min) / size.pairs();
    let growth = Figure::new("time for a pair of 100,000 x 50, beside one of 10,000 x 100", "times");
    report.add(growth.limit(Limit::Below(2.0)).values([best(&most, large) / best(&many, middle)]));
    let each = many.seconds.iter().map(|s| s * 1e9 / middle.pairs());
    report.add(Figure::new("plan, a known pair", "ns").values(each.collect::<Vec<_>>()));
    let memory = Figure::new("memory of a pair in the snapshot", "bytes");
    report.add(memory.limit(Limit::AtMost(24.0)).values([most.snapshot_bytes / large.pairs()]));
    let changed = Figure::new("one changed device, 100,000 x 50 pairs", "ms").limit(Limit::Below(10.0));
    report.add(changed.values(most.changed.iter().map(|s| s * 1e3).collect::<Vec<_>>()));
    let new = Figure::new("one new device, 100,000 x 50 pairs", "ms").limit(Limit::Below(10.0));
    report.add(new.values(most.new.iter().map(|s| s * 1e3).collect::<Vec<_>>()));
    report.add(Figure::new("memory of a plan beside its snapshot", "MB").values([many.plan_bytes / 1e6]));
    report.add(Figure::new("memory of the planning process at its highest", "MB").values([most.highest_bytes / 1e6]));
    Ok(())
}

fn child(size: Size) -> anyhow::Result<Found> {
    let output = Command::new(std::env::current_exe()?).args([ARGUMENT, &size.word()]).output()?;
    ensure!(output.status.success(), "measuring the plan failed: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).context("what was measured of the plan cannot be read")
}

/// The child: measures and prints what it found.
pub fn measure(word: &str) -> anyhow::Result<()> {
    let size = Size::read(word).context("no size of a fleet")?;
    let pid = std::process::id();
    let mut snapshot = snapshot(size)?;
    let bare = process::memory(pid, "VmRSS")?;
    if size.known {
        snapshot.rows = (0..size.devices).map(|device| row(device, size.apps)).collect();
    }
    let loaded = process::memory(pid, "VmRSS")?;
    let mut seconds = Vec::new();
    let mut highest = loaded;
    for _ in 0..ROUNDS {
        let begin = Instant::now();
        let made = plan(&snapshot);
        seconds.push(begin.elapsed().as_secs_f64());
        highest = process::memory(pid, "VmHWM")?;
        ensure!(made.steps.len() as f64 == size.pairs(), "the plan has {} steps", made.steps.len());
    }
    let (changed, new) = if size.known { kept(snapshot, size)? } else { (Vec::new(), Vec::new()) };
    let found = Found {
        seconds,
        snapshot_bytes: loaded - bare,
        plan_bytes: highest - loaded,
        highest_bytes: highest,
        changed,
        new,
    };
    println!("{}", serde_json::to_string(&found)?);
    Ok(())
}

/// How long it takes, in a plan that is kept up to date, until it is known what a changed device and a new one need.
fn kept(snapshot: Snapshot, size: Size) -> anyhow::Result<(Vec<f64>, Vec<f64>)> {
    let now = snapshot.now;
    let mut snapshot = snapshot;
    // Everything that could be done was: what is left waits for Apple, for a device, or for a licence.
    for row in &mut snapshot.rows {
        for pair in row.iter_mut() {
            pair.due = if pair.app == App::Working { u32::MAX } else { 0 };
            if (pair.licence, pair.app) == (Licence::Assigned, App::None) {
                pair.app = App::InstallQueued;
            }
        }
    }
    let mut planner = Planner::new(snapshot);
    planner.actions(now);
    let (mut changed, mut new) = (Vec::new(), Vec::new());
    for round in 0..CHANGES {
        // An install was confirmed, another licence was lost.
        let place = round * 1_979 % size.devices;
        let mut row = planner.snapshot().rows[place as usize].clone();
        let device = planner.snapshot().devices[place as usize].clone();
        (row[1].licence, row[1].app) = (Licence::Assigned, App::Installed);
        (row[2].licence, row[2].app) = (Licence::None, App::None);
        (row[3].licence, row[3].app) = (Licence::Assigned, App::None);
        let begin = Instant::now();
        planner.set_device(place, device, row);
        let actions = planner.actions(now);
        changed.push(begin.elapsed().as_secs_f64());
        ensure!(!actions.commands.is_empty(), "nothing is to be done");
        let place = planner.snapshot().devices.len() as u32;
        let begin = Instant::now();
        planner.set_device(place, self::device(place)?, Row::default());
        planner.actions(now);
        new.push(begin.elapsed().as_secs_f64());
    }
    Ok((changed, new))
}

fn at(seconds: u32) -> Result<Timestamp, jiff::Error> {
    Timestamp::from_second(1_700_000_000 + i64::from(seconds))
}

/// Serial numbers in no order, as devices come.
fn device(device: u32) -> Result<Device, jiff::Error> {
    let mixed = u64::from(device) * 7_919 % 1_000_003;
    Ok(Device {
        serial: format!("DM{mixed:07}{:03}", device % 1_000),
        standing: Standing::Enrolled,
        enrolled_at: at(device * 977 % 86_400)?,
        last_seen: None,
        takes_licences: true,
        person: None,
        groups: Box::from([device % 40]),
    })
}

/// A location with licences for nine tenths of the devices, every app required everywhere.
fn snapshot(size: Size) -> anyhow::Result<Snapshot> {
    let day = Duration::from_secs(86_400);
    let product = |app: u32| Product {
        adam_id: format!("16000{app:05}"),
        bundle_id: Some(format!("com.example.app{app}")),
        book: false,
    };
    let asset = |product: u32| Asset {
        product,
        location: 0,
        pricing_param: "STDQ".into(),
        device_assignable: true,
        revocable: true,
        unlimited: false,
        free: if size.known { 0 } else { size.devices * 9 / 10 },
    };
    let rule = |product: u32| {
        Ok(Rule {
            id: i64::from(product),
            product,
            whom: Whom::AllDevices,
            purpose: Purpose::Required,
            kind: LicenceKind::Device,
            priority: 0,
            quota: None,
            wave: None,
            licence_only: false,
            excluded: Box::default(),
            locations: Box::default(),
            created_at: at(product)?,
        })
    };
    Ok(Snapshot {
        now: Timestamp::from_second(1_800_000_000)?,
        deadlines: Deadlines { offline: 30 * day, silent: None, rejected: 7 * day },
        locations: vec![Location { name: "Leeds".into(), writable: true, groups: Box::default() }],
        products: (0..size.apps).map(product).collect(),
        assets: (0..size.apps).map(asset).collect(),
        persons: Vec::new(),
        devices: (0..size.devices).map(device).collect::<Result<_, jiff::Error>>()?,
        rules: (0..size.apps).map(rule).collect::<Result<_, jiff::Error>>()?,
        by_hand: Vec::new(),
        rows: vec![Row::default(); size.devices as usize],
        seats: Vec::new(),
        extras: Vec::new(),
    })
}

/// The apps of a device: most are installed, some are in each state on the way there, some lack a licence.
fn row(device: u32, apps: u32) -> Row<Pair> {
    let pair = |product: u32| {
        let (licence, app) = match (product * 31 + device * 17) % 20 {
            0 | 1 => (Licence::None, App::None),
            2 => (Licence::Requested, App::None),
            3 => (Licence::Assigned, App::None),
            4 => (Licence::Assigned, App::InstallQueued),
            5 => (Licence::Assigned, App::Working),
            _ => (Licence::Assigned, App::Installed),
        };
        Pair { licence, app, asset: product, ours: true, ..Pair::unknown(product) }
    };
    (0..apps).map(pair).collect()
}
