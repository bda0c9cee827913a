//! One run of the crash test: deployments first, then the devices, strictly one after another; then an app is taken away
//! and a device leaves; and rest. Whatever an administrator or a device asks of vppd meanwhile is asked again until it is
//! done, as they would do.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use jiff::Timestamp;

use super::points::{Armed, FAULT_TRACE, Totals};
use crate::agreement::{Truth, disagreements};
use crate::appliance::{AppRow, Appliance, Cli, Deployment, DeviceRow, Look, Pace, Silent, TokenRow};
use crate::clock::Clock;
use crate::device::http::Internet;
use crate::device::keys::KeyPool;
use crate::device::{DeviceSpec, Fleet, Person, Timing, World, fleet};
use crate::scenario::Scenario;
use crate::supervisor::Program;
use crate::{Sandbox, SandboxOptions};

/// How many devices there are.
const DEVICES: u64 = 12;
/// Required apps of the built-in scenario; of the last one there are licences for two thirds of the devices.
const KEPT: [&str; 3] = ["1600000011", "1600000088", "1600000066"];
const SCARCE: i64 = 8;
/// Required at first, taken away later.
const TAKEN_AWAY: &str = "1600000044";
/// How long a run may take.
const PATIENCE: Duration = Duration::from_secs(600);
/// Between looks and between tries.
const LOOK: Duration = Duration::from_millis(150);
/// For how long nothing may change before it counts as rest.
const QUIET: Duration = Duration::from_millis(1500);
/// How long vppd gets to note that a device has left, before the device tries again.
const LEAVING: Duration = Duration::from_secs(3);
/// Devices live this much faster than the clock: they wait a quarter of a minute before they try again.
const HASTE: u32 = 25;

/// What is the same in all runs.
pub struct Setup {
    pub vppd: PathBuf,
    pub seed: u64,
    pub clock: Clock,
    pub keys: Arc<KeyPool>,
}

/// What came of a run.
pub struct Outcome {
    /// What vppd says in the end.
    pub look: Look,
    /// What is wrong without comparing it to another run.
    pub problems: Vec<String>,
    /// Points passed; `faults` only in a run that traces them.
    pub totals: Totals,
    /// Answers 9646 and tasks failed with 9709, for information.
    pub too_many_requests: u64,
    pub not_enough_licences: u64,
}

struct Trial<'a> {
    setup: &'a Setup,
    sandbox: Sandbox,
    appliance: Appliance,
    cli: Cli,
    fleet: Fleet,
    specs: Vec<DeviceSpec>,
    silent: Silent,
    directory: PathBuf,
    started: Timestamp,
}

/// Plays one run in this folder, with these points armed. `trace`: vppd tells its fault points, so that they are counted.
pub async fn play(setup: &Setup, directory: &Path, armed: &Armed, trace: bool) -> anyhow::Result<Outcome> {
    let mut options = SandboxOptions::local(setup.clock.clone(), directory);
    options.seed = setup.seed;
    let sandbox = Sandbox::start(options).await?;
    let scenario = scenario();
    let made = scenario.play(&sandbox.apple)?;
    let location = made.first().context("the scene has no location")?;
    std::fs::write(directory.join(TOKEN_FILE), &location.token).context("could not write the content token")?;
    let appliance = Appliance::prepare(&setup.vppd, directory, &sandbox, &Pace::TORTURE).await?;
    let world = World {
        clock: hasty(&setup.clock),
        store: Arc::new(sandbox.apple.clone()),
        inboxes: sandbox.inboxes.clone(),
        network: Arc::new(Internet::new(hasty(&setup.clock), Default::default(), Vec::new())),
        keys: setup.keys.clone(),
    };
    let (specs, silent) = cast(setup.seed);
    let trial = Trial {
        setup,
        cli: appliance.cli(),
        fleet: Fleet::new(world, setup.seed),
        sandbox,
        appliance,
        specs,
        silent,
        directory: directory.to_owned(),
        started: setup.clock.now(),
    };
    let supervisor = trial.sandbox.supervisor.clone();
    supervisor.before_start({
        let (armed, supervisor) = (armed.clone(), supervisor.clone());
        move |_, env| armed.next(&supervisor, env)
    });
    trial.start(trace).await?;
    let result = tokio::select! {
        result = trial.act() => result,
        died = trial.keep_alive(armed) => died,
    };
    // The hook holds the supervisor, and the supervisor the hook.
    supervisor.before_start(|_, _| {});
    supervisor.kill().await?;
    result
}

const TOKEN_FILE: &str = "northwind.vpptoken";

impl Trial<'_> {
    async fn start(&self, trace: bool) -> anyhow::Result<()> {
        let env = if trace { [(FAULT_TRACE.into(), "1".into())].into() } else { Default::default() };
        let (program, args) = (self.appliance.program().into(), self.appliance.arguments().into());
        let program = Program { program, args, env, log: Some(self.appliance.log()) };
        Ok(self.sandbox.supervisor.start(program).await?)
    }

    async fn act(&self) -> anyhow::Result<Outcome> {
        self.add_token().await?;
        for adam_id in KEPT.into_iter().chain([TAKEN_AWAY]) {
            self.deploy(adam_id).await?;
        }
        self.enrol_all().await?;
        self.rest().await?;
        self.take_away().await?;
        self.leave().await?;
        let look = self.rest().await?;
        Ok(self.outcome(look))
    }

    /// Starts vppd again whenever it has ended at a fault point. Returns only when it has ended otherwise.
    async fn keep_alive(&self, armed: &Armed) -> anyhow::Result<Outcome> {
        let supervisor = &self.sandbox.supervisor;
        loop {
            self.setup.clock.sleep(Duration::from_millis(20)).await;
            if supervisor.is_running().await {
                continue;
            }
            // Another thread may have said something after the fault point.
            if !armed.explains(&self.appliance.last_words(10)) {
                bail!("vppd has ended by itself:\n{}", self.appliance.last_words(20));
            }
            supervisor.restart().await?;
        }
    }

    async fn add_token(&self) -> anyhow::Result<()> {
        let file = self.directory.join(TOKEN_FILE);
        loop {
            let tokens: Option<Vec<TokenRow>> = self.ask(&["token", "list"]).await;
            match tokens {
                Some(tokens) if !tokens.is_empty() => break,
                // Refused or lost: the next look tells.
                Some(_) => drop(self.cli.add_token(&file, "northwind").await),
                None => {}
            }
            self.pause("add a content token").await?;
        }
        loop {
            let apps: Option<Vec<AppRow>> = self.ask(&["app", "list"]).await;
            if apps.is_some_and(|apps| apps.len() == 12) {
                return Ok(());
            }
            self.pause("read the location").await?;
        }
    }

    async fn deploy(&self, adam_id: &str) -> anyhow::Result<()> {
        loop {
            match self.deployment(adam_id).await {
                Some(Some(_)) => return Ok(()),
                Some(None) => drop(self.cli.require(adam_id).await),
                None => {}
            }
            self.pause("add a deployment").await?;
        }
    }

    /// The deployment of this app, if vppd answers, and if there is one.
    async fn deployment(&self, adam_id: &str) -> Option<Option<i64>> {
        let all: Vec<Deployment> = self.ask(&["deploy", "list"]).await?;
        Some(all.into_iter().find(|one| one.adam_id == adam_id).map(|one| one.id))
    }

    async fn enrol_all(&self) -> anyhow::Result<()> {
        let file = self.directory.join("enrolment.mobileconfig");
        while self.cli.make_profile(&file, DEVICES * 50).await.is_err() {
            self.pause("make an enrolment profile").await?;
        }
        for spec in &self.specs {
            self.enrol(spec).await?;
        }
        Ok(())
    }

    async fn enrol(&self, spec: &DeviceSpec) -> anyhow::Result<()> {
        let file = self.directory.join("enrolment.mobileconfig");
        let profile = std::fs::read(&file).with_context(|| format!("could not read {}", file.display()))?;
        while !self.fleet.enrol(&profile, vec![spec.clone()], 1, |_| {}).await.is_empty() {
            self.pause("enrol a device").await?;
        }
        Ok(())
    }

    async fn take_away(&self) -> anyhow::Result<()> {
        loop {
            match self.deployment(TAKEN_AWAY).await {
                Some(None) => return Ok(()),
                Some(Some(id)) => {
                    let removed: Result<Deployment, _> = self.cli.ask(&["deploy", "remove", &id.to_string()]).await;
                    // Refused or lost: the next look tells.
                    drop(removed);
                }
                None => {}
            }
            self.pause("remove a deployment").await?;
        }
    }

    /// The device that came first leaves. It says so once; if that is lost it comes back and leaves again.
    async fn leave(&self) -> anyhow::Result<()> {
        let Some(spec) = self.specs.first() else { return Ok(()) };
        loop {
            let Some(device) = self.fleet.device(&spec.serial) else { bail!("{} has never enrolled", spec.serial) };
            device.unenrol().await;
            let left = self.setup.clock.after(LEAVING);
            while self.setup.clock.now() < left {
                let rows: Option<Vec<DeviceRow>> = self.ask(&["device", "list"]).await;
                let is_here = |row: &DeviceRow| row.serial == spec.serial && row.state != "checked-out";
                if rows.is_some_and(|rows| !rows.iter().any(is_here)) {
                    return Ok(());
                }
                self.pause("note that a device has left").await?;
            }
            self.enrol(spec).await?;
        }
    }

    async fn rest(&self) -> anyhow::Result<Look> {
        let adam_ids: Vec<String> = KEPT.into_iter().chain([TAKEN_AWAY]).map(str::to_owned).collect();
        let mut before = None;
        let mut quiet_until = None;
        loop {
            let look = Look::take(&self.cli, &adam_ids).await.ok();
            let rests = look.as_ref().is_some_and(|look| {
                look.restless(&self.silent).is_empty() && before.as_ref() == Some(&look.verdicts())
            });
            before = look.as_ref().map(Look::verdicts);
            quiet_until = quiet_until.filter(|_| rests);
            match (look, quiet_until) {
                (Some(look), Some(until)) if self.setup.clock.now() >= until => return Ok(look),
                (Some(_), None) if rests => quiet_until = Some(self.setup.clock.after(QUIET)),
                (Some(look), _) => {
                    let some = look.restless(&self.silent);
                    let some = some.iter().take(10).cloned().collect::<Vec<_>>().join("\n  ");
                    self.pause(&format!("come to rest; what moves:\n  {some}\n")).await?;
                }
                (None, _) => self.pause("come to rest: it does not answer").await?,
            }
        }
    }

    fn outcome(&self, look: Look) -> Outcome {
        let state = self.sandbox.apple.state();
        let truth = Truth::of(&self.sandbox.apple, &self.fleet);
        let devices: Vec<_> = self.fleet.view().into_iter().map(|device| device.counters).collect();
        let mut problems = disagreements(&truth, &look);
        let must_be_zero = [
            ("installs before the licence", state.counters.installs_before_licence),
            ("401 sent to a device", devices.iter().map(|counters| counters.got_401).sum()),
            ("messages refused by Apple", state.counters.refused),
            ("pushes refused by APNs", self.sandbox.apns.counters().refused),
            ("messages refused by devices", devices.iter().map(|counters| counters.refused).sum()),
        ];
        let broken = must_be_zero.into_iter().filter(|(_, count)| *count > 0);
        problems.extend(broken.map(|(what, count)| format!("{what}: {count}")));
        let log = std::fs::read(self.appliance.log()).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let faults = log.lines().filter(|line| line.starts_with("fault point ")).count() as u64;
        let events = state.locations.iter().flat_map(|location| &location.events);
        let short = events.filter_map(|event| event.failed.get(&9709)).map(|count| *count as u64).sum();
        Outcome {
            look,
            problems,
            totals: Totals { requests: self.sandbox.supervisor.requests(), faults },
            too_many_requests: state.counters.errors.get(&9646).copied().unwrap_or(0),
            not_enough_licences: short,
        }
    }

    /// An answer of vppd; `None` when it is not there, or has broken off.
    async fn ask<T: serde::de::DeserializeOwned>(&self, arguments: &[&str]) -> Option<T> {
        self.cli.ask(arguments).await.ok()
    }

    /// Waits a moment before the next try, unless the run has taken too long.
    async fn pause(&self, what: &str) -> anyhow::Result<()> {
        self.setup.clock.sleep(LOOK).await;
        let taken = self.setup.clock.now().duration_since(self.started).as_secs_f64();
        if taken > PATIENCE.as_secs_f64() {
            let words = self.appliance.last_words(15);
            bail!("after {} s vppd did not {what}; its last words:\n{words}", PATIENCE.as_secs());
        }
        Ok(())
    }
}

/// The built-in location with short waits, and one required app of which there are too few.
fn scenario() -> Scenario {
    let mut scenario = Scenario { organisation: "Northwind School".to_owned(), ..Scenario::default() };
    scenario.switches.chunk_delay_ms = [20, 150];
    for asset in scenario.locations.iter_mut().flat_map(|location| &mut location.assets) {
        if KEPT.last() == Some(&asset.adam_id.as_str()) {
            asset.total = SCARCE;
        }
    }
    scenario
}

/// A dozen devices in an order from the seed: most install, one owner declines, one device stays away.
fn cast(seed: u64) -> (Vec<DeviceSpec>, Silent) {
    let specs = fleet::specs(seed, DEVICES, |number, spec| {
        spec.supervised = number != 3;
        spec.person = Person::Decline { after: Duration::from_secs(20) };
        spec.behaviour.stay_away = number == 9;
        spec.timing = Timing { bytes_per_second: 0, ..Timing::default() };
    });
    let away = specs.iter().filter(|spec| spec.behaviour.stay_away).map(|spec| spec.serial.clone()).collect();
    (specs, Silent { away, ..Silent::default() })
}

/// A clock on which all waits are shorter.
fn hasty(clock: &Clock) -> Clock {
    let (now, sleep) = (clock.clone(), clock.clone());
    Clock::given(
        move || now.now(),
        move |duration| {
            let clock = sleep.clone();
            Box::pin(async move { clock.sleep(duration / HASTE).await })
        },
        || Box::new(()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cast_is_the_same_for_the_same_seed_and_one_device_stays_away() {
        let ((specs, silent), (again, _)) = (cast(4), cast(4));
        assert_eq!(specs, again);
        assert_eq!((specs.len(), silent.away.len()), (12, 1));
        assert!(!silent.away.contains(&specs[0].serial), "the device that leaves has to be awake");
    }

    #[test]
    fn there_are_too_few_licences_of_one_required_app_only() {
        let scenario = scenario();
        let assets = scenario.locations[0].assets.iter();
        let required = assets.filter(|asset| KEPT.contains(&asset.adam_id.as_str()) || asset.adam_id == TAKEN_AWAY);
        let short = required.filter(|asset| asset.total < DEVICES as i64).count();
        assert_eq!(short, 1);
    }
}
