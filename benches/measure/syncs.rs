//! Syncs with a sandbox that takes a tenth of a second for each answer: how close the clock comes to what Apple's limits allow,
//! and what a sync costs vppd. The sandbox runs in this process and vppd in its own, so that time and memory are vppd's.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use futures_util::StreamExt;
use jiff::Timestamp;
use sandbox::apple::{AssetName, NewAsset, NewLocation};
use sandbox::appliance::{Appliance, Daemon};
use sandbox::{Sandbox, SandboxOptions};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::json;
use vppd::clock::Clock;

use crate::figures::{Figure, Limit, Report};
use crate::process;
use crate::rounds::{PACE, start};

const LATENCY: Duration = Duration::from_millis(100);
/// Apple's published limit, and one that binds nothing.
const LIMITS: [(u32, &str); 2] = [(15, "15 requests a second"), (1000, "no limit of requests")];
/// Pages that Apple allows at a time.
const AT_A_TIME: f64 = 5.0;
const ROUNDS: usize = 3;

/// One location.
#[derive(Clone, Copy)]
struct Size {
    assets: usize,
    holders: usize,
}

const LARGE: Size = Size { assets: 500, holders: 200 };
const SMALL: Size = Size { assets: 10, holders: 200 };
const MANY: usize = 256;
/// Tokens that are added at a time.
const ADDED_AT_A_TIME: usize = 8;

/// Everything about syncs.
pub async fn measure(report: &mut Report) -> anyhow::Result<()> {
    for (limit, name) in LIMITS {
        eprintln!("syncs of a large location, {name}");
        large(report, limit).await?;
    }
    eprintln!("syncs of {MANY} locations");
    many(report).await
}

/// A task, as far as it is looked at.
#[derive(Deserialize)]
struct Task {
    state: String,
    started_at: Option<Timestamp>,
    finished_at: Option<Timestamp>,
    sync: Option<Outcome>,
}

#[derive(Deserialize)]
struct Outcome {
    full: bool,
}

async fn large(report: &mut Report, limit: u32) -> anyhow::Result<()> {
    let ground = Ground::prepare(&[LARGE], limit).await?;
    let (mut daemon, _) = start(&ground.appliance, ground.folder.path()).await?;
    let pid = daemon.id().context("vppd has ended")?;
    ground.add_tokens().await?;
    let (mut wall, mut floor, mut cpu) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let (calls, used) = (ground.calls(), process::cpu_time(pid)?);
        let took = ground.sync().await?;
        let (requests, pages) = (ground.calls() - calls, (LARGE.assets * LARGE.holders) as f64 / 500.0);
        let by_latency = LATENCY.as_secs_f64() * (1.0 + (pages - 1.0) / AT_A_TIME);
        let least = by_latency.max(requests / f64::from(limit));
        wall.push(took);
        floor.push(took / least);
        cpu.push((process::cpu_time(pid)? - used).as_secs_f64());
    }
    let names = match limit {
        15 => ["full sync of 100,000 assignments", "the same, against what Apple allows", "the same, CPU time of vppd"],
        _ => [
            "full sync without a limit of requests",
            "the same, against the latency alone",
            "the same, its CPU time of vppd",
        ],
    };
    report.add(Figure::new(names[0], "s").values(wall));
    report.add(Figure::new(names[1], "times").limit(Limit::AtMost(1.2)).values(floor));
    report.add(Figure::new(names[2], "s").limit(Limit::Below(3.0)).values(cpu));
    let memory = process::memory(pid, "VmHWM")? / 1e6;
    report.add(
        Figure::new("memory at its highest in these syncs (RSS)", "MB").limit(Limit::Below(100.0)).values([memory]),
    );
    if limit == 15 {
        let calls = ground.calls_without_news().await?;
        report.add(
            Figure::new("calls of a sync when nothing has changed", "calls").limit(Limit::AtMost(6.0)).values([calls]),
        );
    }
    stop(&mut daemon).await
}

async fn many(report: &mut Report) -> anyhow::Result<()> {
    let ground = Ground::prepare(&[SMALL; MANY], 15).await?;
    let (mut daemon, _) = start(&ground.appliance, ground.folder.path()).await?;
    ground.add_tokens().await?;
    stop(&mut daemon).await?;
    // Memory at its highest is that of the process: one that only syncs.
    let (mut daemon, _) = start(&ground.appliance, ground.folder.path()).await?;
    let pid = daemon.id().context("vppd has ended")?;
    let (mut wall, mut cpu) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let used = process::cpu_time(pid)?;
        wall.push(ground.sync().await?);
        cpu.push((process::cpu_time(pid)? - used).as_secs_f64());
    }
    let memory = process::memory(pid, "VmHWM")? / 1e6;
    report.add(Figure::new("full sync of 256 tokens with 2,000 assignments each", "s").values(wall));
    report.add(Figure::new("their CPU time of vppd", "s").values(cpu));
    report.add(Figure::new("their memory at its highest (RSS)", "MB").limit(Limit::Below(100.0)).values([memory]));
    stop(&mut daemon).await
}

async fn stop(daemon: &mut Daemon) -> anyhow::Result<()> {
    let ended = daemon.stop().await?;
    anyhow::ensure!(ended.success(), "vppd ended with {ended}");
    Ok(())
}

/// A sandbox with locations, and a vppd that does not run yet.
struct Ground {
    folder: tempfile::TempDir,
    sandbox: Sandbox,
    appliance: Appliance,
    tokens: Vec<PathBuf>,
}

impl Ground {
    async fn prepare(sizes: &[Size], limit: u32) -> anyhow::Result<Ground> {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
        let sandbox = Sandbox::start(SandboxOptions::local(sandbox::clock::Clock::real(), folder.path())).await?;
        let limits = json!({"maxRequestPerSecond": limit});
        sandbox.apple.patch_limits(limits.as_object().cloned().unwrap_or_default())?;
        let mut tokens = Vec::new();
        for (number, size) in sizes.iter().enumerate() {
            let name = format!("Location {number:03}");
            let uid = sandbox.apple.add_location(NewLocation { name: name.clone(), ..NewLocation::default() });
            fill(&sandbox, &uid, *size)?;
            let token = sandbox.apple.add_token(&uid, jiff::SignedDuration::from_hours(24 * 300))?;
            let file = folder.path().join(format!("{number:03}.vpptoken"));
            std::fs::write(&file, token)?;
            tokens.push(file);
        }
        let latency = json!({"latency-ms": LATENCY.as_millis() as u64});
        sandbox.apple.patch_switches(latency.as_object().cloned().unwrap_or_default())?;
        let program = Path::new(env!("CARGO_BIN_EXE_vppd"));
        let appliance = Appliance::prepare(program, folder.path(), &sandbox, &PACE).await?;
        let settings = std::fs::read_to_string(appliance.config())?;
        let own_limit = format!("[apple]\nrequests-per-second = {limit}\n");
        // What apps are called is asked of another service, at another pace.
        let settings = settings.replacen("[apple]\n", &own_limit, 1) + "\n[metadata]\nsources = \"none\"\n";
        std::fs::write(appliance.config(), settings)?;
        Ok(Ground { folder, sandbox, appliance, tokens })
    }

    /// Adds all tokens and waits until each location has been read.
    async fn add_tokens(&self) -> anyhow::Result<()> {
        let cli = self.appliance.cli();
        let add = |(number, file): (usize, &PathBuf)| {
            let (cli, file) = (cli.clone(), file.clone());
            async move { cli.add_token(&file, &format!("Location {number:03}")).await }
        };
        let mut added =
            futures_util::stream::iter(self.tokens.iter().enumerate().map(add)).buffer_unordered(ADDED_AT_A_TIME);
        while let Some(one) = added.next().await {
            one?;
        }
        Ok(())
    }

    /// A full sync of every location: from the first start to the last end, in seconds.
    async fn sync(&self) -> anyhow::Result<f64> {
        let tasks: Vec<Task> = self.appliance.cli().ask(&["sync"]).await?;
        let first = tasks.iter().filter_map(|task| task.started_at).min().context("no sync has begun")?;
        let last = tasks.iter().filter_map(|task| task.finished_at).max().context("no sync has ended")?;
        anyhow::ensure!(tasks.iter().all(|task| task.state == "done"), "a sync has failed");
        Ok(last.duration_since(first).as_secs_f64())
    }

    /// Calls of a sync by the clock when nothing has changed.
    async fn calls_without_news(&self) -> anyhow::Result<f64> {
        let (cli, clock) = (self.appliance.cli(), Clock::real());
        let before = self.calls();
        let IgnoredAny = cli.ask(&["token", "edit", "Location 000", "--sync-interval", "1m"]).await?;
        for _ in 0..120 {
            clock.sleep(Duration::from_secs(1)).await;
            let tasks: Vec<Task> = cli.ask(&["task", "list"]).await?;
            if tasks.iter().any(|task| task.sync.as_ref().is_some_and(|sync| !sync.full)) {
                return Ok(self.calls() - before);
            }
        }
        anyhow::bail!("no sync came by the clock")
    }

    /// Calls that Apple has had so far.
    fn calls(&self) -> f64 {
        self.sandbox.apple.counters().calls.values().map(|count| *count as f64).sum()
    }
}

fn fill(sandbox: &Sandbox, uid: &str, size: Size) -> anyhow::Result<()> {
    for number in 0..size.assets {
        let adam_id = format!("16000{number:05}");
        sandbox.apple.add_asset(uid, NewAsset::app(&adam_id, size.holders as i64 + 10))?;
        for holder in 0..size.holders {
            let serial = format!("C02{:09}", number * size.holders + holder);
            sandbox.apple.assign(uid, &AssetName::standard(&adam_id), &serial)?;
        }
    }
    Ok(())
}
