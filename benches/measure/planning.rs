//! The plan for 10,000 devices and 100 apps: its time, and the memory of a pair. In a process of its own, so that the
//! kernel's highest mark of memory is the plan's.

use std::process::Command;
use std::time::Instant;

use anyhow::{Context, ensure};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use vppd::licensing::{Asset, Device, Licence, Location, Pair, Product, Rule, Snapshot, plan};
use vppd::model::{App, Purpose, Target};

use crate::figures::{Figure, Limit, Report};
use crate::process;

/// Makes this program measure the plan; the next word says whether pairs are `known` or `unknown`.
pub const ARGUMENT: &str = "plan";

const DEVICES: u32 = 10_000;
const APPS: u32 = 100;
const PAIRS: f64 = DEVICES as f64 * APPS as f64;
const ROUNDS: usize = 3;

/// What the child found.
#[derive(Serialize, Deserialize)]
struct Found {
    seconds: Vec<f64>,
    /// Of the pairs alone.
    snapshot_bytes: f64,
    plan_bytes: f64,
    highest_bytes: f64,
}

/// Measures both plans in children and adds what they found.
pub fn measure_in_a_child(report: &mut Report) -> anyhow::Result<()> {
    let (known, unknown) = (child("known")?, child("unknown")?);
    let limit = Limit::Below(0.5);
    let each = |found: &Found| found.seconds.iter().map(|s| s * 1e9 / PAIRS).collect::<Vec<_>>();
    report.add(Figure::new("plan of 1,000,000 pairs, all known", "s").limit(limit).values(known.seconds.clone()));
    report.add(Figure::new("plan of 1,000,000 pairs, none known", "s").limit(limit).values(unknown.seconds.clone()));
    report.add(Figure::new("plan, a known pair", "ns").values(each(&known)));
    let memory = Figure::new("memory of a pair in the snapshot", "bytes");
    report.add(memory.limit(Limit::AtMost(24.0)).values([known.snapshot_bytes / PAIRS]));
    report.add(Figure::new("memory of a plan beside its snapshot", "MB").values([known.plan_bytes / 1e6]));
    report.add(Figure::new("memory of the planning process at its highest", "MB").values([known.highest_bytes / 1e6]));
    Ok(())
}

fn child(word: &str) -> anyhow::Result<Found> {
    let output = Command::new(std::env::current_exe()?).args([ARGUMENT, word]).output()?;
    ensure!(output.status.success(), "measuring the plan failed: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).context("what was measured of the plan cannot be read")
}

/// The child: measures and prints what it found.
pub fn measure(known: bool) -> anyhow::Result<()> {
    let pid = std::process::id();
    let empty = snapshot(Vec::new())?;
    let snapshot = Snapshot { pairs: if known { pairs() } else { Vec::new() }, ..empty };
    let loaded = process::memory(pid, "VmRSS")?;
    let mut seconds = Vec::new();
    let mut highest = loaded;
    for _ in 0..ROUNDS {
        let begin = Instant::now();
        let made = plan(&snapshot);
        seconds.push(begin.elapsed().as_secs_f64());
        highest = process::memory(pid, "VmHWM")?;
        ensure!(made.steps.len() as f64 == PAIRS, "the plan has {} steps", made.steps.len());
    }
    let snapshot_bytes = (snapshot.pairs.capacity() * size_of::<Pair>()) as f64;
    let found = Found { seconds, snapshot_bytes, plan_bytes: highest - loaded, highest_bytes: highest };
    println!("{}", serde_json::to_string(&found)?);
    Ok(())
}

/// A location with licences for nine tenths of the devices, every app required everywhere.
fn snapshot(pairs: Vec<Pair>) -> anyhow::Result<Snapshot> {
    let now = Timestamp::from_second(1_800_000_000)?;
    let at = |seconds: u32| Timestamp::from_second(1_700_000_000 + i64::from(seconds));
    let products = (0..APPS)
        .map(|app| Product { adam_id: format!("16000{app:05}"), bundle_id: Some(format!("com.example.app{app}")) });
    let assets = (0..APPS).map(|product| Asset {
        product,
        location: 0,
        pricing_param: "STDQ".into(),
        device_assignable: true,
        revocable: true,
        unlimited: false,
        free: DEVICES * 9 / 10,
    });
    let rules = (0..APPS).map(|product| {
        let created_at = at(product)?;
        let target = Target::AllDevices;
        Ok(Rule { id: i64::from(product), product, target, purpose: Purpose::Required, created_at })
    });
    // Serial numbers in no order, as devices come.
    let devices = (0..DEVICES).map(|device| {
        let serial = format!("DM{:010}", u64::from(device) * 7_919 % 10_007 * 1_000 + u64::from(device) % 1_000);
        Ok(Device { serial, enrolled: true, enrolled_at: at(device * 977 % 86_400)? })
    });
    Ok(Snapshot {
        now,
        locations: vec![Location { name: "Leeds".into(), writable: true }],
        products: products.collect(),
        assets: assets.collect(),
        devices: devices.collect::<Result<_, jiff::Error>>()?,
        rules: rules.collect::<Result<_, jiff::Error>>()?,
        pairs,
    })
}

/// Every pair: most are installed, some are in each state on the way there, some lack a licence.
fn pairs() -> Vec<Pair> {
    let mut pairs = Vec::with_capacity(PAIRS as usize);
    for product in 0..APPS {
        for device in 0..DEVICES {
            let (licence, app) = match (product * 31 + device * 17) % 20 {
                0 => (Licence::None, App::None),
                1 => (Licence::Requested, App::None),
                2 => (Licence::Assigned, App::None),
                3 => (Licence::Assigned, App::InstallQueued),
                4 => (Licence::Assigned, App::Working),
                _ => (Licence::Assigned, App::Installed),
            };
            pairs.push(Pair { licence, app, asset: product, ours: true, ..Pair::unknown(product, device) });
        }
    }
    pairs
}
