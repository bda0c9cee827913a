//! The rounds: start the daemon, measure it at rest and under load, stop it; three times over, with the bare server between.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use sandbox::appliance::{Appliance, Daemon, Notices, Pace};
use sandbox::chance::Chance;
use sandbox::{Sandbox, SandboxOptions};
use vppd::clock::Clock;
use vppd::mdm::command::{Command, DeviceInformation};
use vppd::store::commands::{self, CommandState, NewCommand};
use vppd::store::{Store, StoreError, devices};

use crate::bare::BareServer;
use crate::figures::{Figure, Limit, Report};
use crate::fleet::{self, Device};
use crate::load::{self, Message, Target, Throughput};
use crate::process;

/// How many devices there are.
const DEVICES: usize = 500;
/// Commands that each of them answers in a round.
const COMMANDS: usize = 12;
/// Commands that were answered long ago: what is kept must not slow down what is new.
const HISTORY: usize = 100_000;
const ROUNDS: usize = 3;
/// From READY to rest.
const CALM: Duration = Duration::from_secs(3);

/// As shipped, except that nothing needs to be waited for.
pub const PACE: Pace = Pace {
    settle: "500ms",
    event_poll: &["10s", "20s", "30s"],
    unknown_outcome_wait: "10m",
    listing_lag: "2m",
    licence_reuse_delay: "2m",
    refused_licence_wait: "15m",
    verify_after: &["15s", "30s", "1m"],
    retry_after: &["1m", "5m", "30m"],
    push_repeat_after: &["15m", "1h"],
    log_level: "info",
};

/// Everything that is measured over the network, and of the process.
pub async fn measure(report: &mut Report) -> anyhow::Result<()> {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let bench = Bench::prepare(folder.path()).await?;
    let mut seen = Seen::default();
    for round in 1..=ROUNDS {
        eprintln!("round {round} of {ROUNDS}");
        bench.round(&mut seen).await?;
    }
    seen.tell(report);
    Ok(())
}

struct Bench {
    clock: Clock,
    folder: PathBuf,
    appliance: Appliance,
    bare: BareServer,
    target: Target,
    devices: Vec<Device>,
    polls: Arc<[Message]>,
    check_ins: Arc<[Message]>,
    _sandbox: Sandbox,
}

/// All that was seen, round after round.
#[derive(Default)]
struct Seen {
    start: Vec<f64>,
    start_cpu: Vec<f64>,
    resident: Vec<f64>,
    proportional: Vec<f64>,
    after_load: Vec<f64>,
    flush: Vec<f64>,
    bare: Vec<Rate>,
    polls: Vec<Rate>,
    check_ins: Vec<Rate>,
    answers: Vec<Rate>,
}

/// Requests against the clock, and against the server's CPU time.
struct Rate {
    done: Throughput,
    cpu: Duration,
}

impl Rate {
    fn per_second(&self) -> f64 {
        self.done.requests as f64 / self.done.took.as_secs_f64()
    }

    fn per_core_second(&self) -> f64 {
        self.done.requests as f64 / self.cpu.as_secs_f64()
    }

    fn cpu_micros(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.done.requests as f64
    }
}

impl Bench {
    async fn prepare(folder: &Path) -> anyhow::Result<Bench> {
        let clock = Clock::real();
        let sandbox = Sandbox::start(SandboxOptions::local(sandbox::clock::Clock::real(), folder)).await?;
        let appliance = Appliance::prepare(Path::new(env!("CARGO_BIN_EXE_vppd")), folder, &sandbox, &PACE).await?;
        let (mut daemon, _) = start(&appliance, folder).await?;
        eprintln!("enrolling {DEVICES} devices");
        let (target, devices) = fleet::enrol(&sandbox, &appliance, DEVICES).await?;
        daemon.stop().await?;
        let bench = Bench {
            clock,
            bare: BareServer::start(folder).await?,
            folder: folder.to_owned(),
            appliance,
            target,
            polls: fleet::messages(&devices, |device| &device.idle),
            check_ins: fleet::messages(&devices, |device| &device.token_update),
            devices,
            _sandbox: sandbox,
        };
        bench.write_history().await?;
        Ok(bench)
    }

    async fn round(&self, seen: &mut Seen) -> anyhow::Result<()> {
        seen.flush.push(flush_micros(&self.folder)?);
        let (mut daemon, took) = start(&self.appliance, &self.folder).await?;
        let pid = daemon.id().context("vppd has ended")?;
        seen.start.push(took.as_secs_f64() * 1e3);
        seen.start_cpu.push(process::cpu_time(pid)?.as_secs_f64() * 1e3);
        self.clock.sleep(CALM).await;
        seen.resident.push(process::memory(pid, "VmRSS")? / 1e6);
        seen.proportional.push(process::memory(pid, "Pss")? / 1e6);
        let bare = self.bare.id()?;
        seen.bare.push(timed(bare, load::repeat(&self.bare.target, &self.polls)).await?);
        seen.polls.push(timed(pid, load::repeat(&self.target, &self.polls)).await?);
        seen.check_ins.push(timed(pid, load::repeat(&self.target, &self.check_ins)).await?);
        daemon.stop().await?;

        let uuids = self.queue_commands(seen.start.len() as u64).await?;
        let talks = fleet::talks(&self.devices, &uuids)?;
        let (mut daemon, _) = start(&self.appliance, &self.folder).await?;
        let pid = daemon.id().context("vppd has ended")?;
        // All devices are pushed first.
        self.clock.sleep(CALM).await;
        seen.answers.push(timed(pid, load::answer_all(&self.target, talks)).await?);
        seen.after_load.push(process::memory(pid, "VmRSS")? / 1e6);
        daemon.stop().await?;
        Ok(())
    }

    fn store(&self) -> Result<Store, StoreError> {
        Store::open(&self.folder.join("state/vppd.db"), &self.clock)
    }

    /// Puts commands into every device's queue while the daemon is not there; their uuids, device by device.
    async fn queue_commands(&self, seed: u64) -> anyhow::Result<Vec<Vec<String>>> {
        let mut chance = Chance::seeded(seed);
        let (store, now, body) = (self.store()?, self.clock.now(), body()?);
        let mut all = Vec::new();
        for device in &self.devices {
            let uuids: Vec<String> = (0..COMMANDS).map(|_| chance.uuid().to_string()).collect();
            let (udid, body, queued) = (device.spec.udid.clone(), body.clone(), uuids.clone());
            let work = move |w: &vppd::store::Write<'_>| -> Result<(), StoreError> {
                let Some(device) = devices::by_udid(w, &udid)? else { return Err(StoreError::Damaged(udid)) };
                queued.into_iter().try_for_each(|uuid| commands::queue(w, device.id, &command(uuid, &body), now))
            };
            store.write_bulk(work).await?;
            all.push(uuids);
        }
        Ok(all)
    }

    async fn write_history(&self) -> anyhow::Result<()> {
        let mut chance = Chance::seeded(u64::MAX);
        let (store, now, body) = (self.store()?, self.clock.now(), body()?);
        for device in &self.devices {
            let uuids: Vec<String> = (0..HISTORY / DEVICES).map(|_| chance.uuid().to_string()).collect();
            let (udid, body) = (device.spec.udid.clone(), body.clone());
            let work = move |w: &vppd::store::Write<'_>| -> Result<(), StoreError> {
                let Some(device) = devices::by_udid(w, &udid)? else { return Err(StoreError::Damaged(udid)) };
                for uuid in uuids {
                    commands::queue(w, device.id, &command(uuid, &body), now)?;
                    commands::finish(w, w.last_insert_rowid(), CommandState::Acknowledged, "", now)?;
                }
                Ok(())
            };
            store.write_bulk(work).await?;
        }
        Ok(())
    }
}

fn body() -> anyhow::Result<String> {
    Ok(serde_json::to_string(&Command::DeviceInformation(DeviceInformation::for_licensing()))?)
}

fn command(uuid: String, body: &str) -> NewCommand {
    NewCommand { uuid, request_type: "DeviceInformation".into(), adam_id: None, body: body.into(), priority: 0 }
}

/// Starts the daemon and waits until it says that it is ready; how long that took.
pub async fn start(appliance: &Appliance, folder: &Path) -> anyhow::Result<(Daemon, Duration)> {
    let socket = tempfile::tempdir_in(folder)?;
    let notices = Notices::listen(&socket.path().join("notify.sock"))?;
    let begin = Instant::now();
    let mut daemon = appliance.start(&notices)?;
    tokio::select! {
        () = notices.said("READY=1") => Ok((daemon, begin.elapsed())),
        ended = daemon.ended() => anyhow::bail!("vppd ended ({}):\n{}", ended?, appliance.last_words(20)),
    }
}

/// Runs a load, and takes the CPU time that the server used for it.
async fn timed(pid: u32, load: impl Future<Output = anyhow::Result<Throughput>>) -> anyhow::Result<Rate> {
    let before = process::cpu_time(pid)?;
    let done = load.await?;
    Ok(Rate { done, cpu: process::cpu_time(pid)? - before })
}

/// How long this disk takes to make a page of a log durable.
fn flush_micros(folder: &Path) -> anyhow::Result<f64> {
    use std::io::Write;
    const TIMES: u32 = 200;
    let mut file = tempfile::tempfile_in(folder)?;
    let begin = Instant::now();
    for _ in 0..TIMES {
        file.write_all(&[7; 4096])?;
        file.sync_data()?;
    }
    Ok(begin.elapsed().as_secs_f64() * 1e6 / f64::from(TIMES))
}

impl Seen {
    fn tell(self, report: &mut Report) {
        let of = |rates: &[Rate], value: fn(&Rate) -> f64| rates.iter().map(value).collect::<Vec<_>>();
        let mut add = |figure: Figure, values: Vec<f64>| report.add(figure.values(values));
        let (clock, core) = ("per second by the clock", "per core and second");
        add(Figure::new("one disk flush (4 kB)", "µs"), self.flush);
        add(Figure::new("bare server: requests", clock), of(&self.bare, Rate::per_second));
        add(Figure::new("bare server: requests", core), of(&self.bare, Rate::per_core_second));
        add(Figure::new("bare server: CPU time of a request", "µs"), of(&self.bare, Rate::cpu_micros));
        add(Figure::new("empty signed polls", clock), of(&self.polls, Rate::per_second));
        let limit = Limit::AtLeast(13_000.0);
        add(Figure::new("empty signed polls", core).limit(limit), of(&self.polls, Rate::per_core_second));
        add(Figure::new("CPU time of an empty signed poll", "µs"), of(&self.polls, Rate::cpu_micros));
        add(Figure::new("durable check-ins (TokenUpdate)", clock), of(&self.check_ins, Rate::per_second));
        let limit = Limit::AtLeast(3_800.0);
        add(
            Figure::new("durable check-ins (TokenUpdate)", core).limit(limit),
            of(&self.check_ins, Rate::per_core_second),
        );
        add(Figure::new("durable command answers", clock), of(&self.answers, Rate::per_second));
        let limit = Limit::AtLeast(3_300.0);
        add(Figure::new("durable command answers", core).limit(limit), of(&self.answers, Rate::per_core_second));
        add(Figure::new("second start to READY", "ms").limit(Limit::Below(200.0)), self.start);
        add(Figure::new("CPU time until READY", "ms"), self.start_cpu);
        add(Figure::new("memory at rest (RSS)", "MB").limit(Limit::Below(25.0)), self.resident);
        add(Figure::new("memory at rest (PSS)", "MB"), self.proportional);
        add(Figure::new("memory after the load (RSS)", "MB"), self.after_load);
    }
}
