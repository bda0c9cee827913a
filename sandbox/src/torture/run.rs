//! One run of the crash test: a sandbox, a vppd that is killed at the armed points and started again, and a scene that is
//! played with them. Whatever the scene asks of vppd it asks again until it is done, as a person would.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::ValueEnum;
use jiff::Timestamp;

use super::points::{Armed, FAULT_TRACE, Totals};
use super::school::{self, Size};
use super::{licences, syncs};
use crate::appliance::{Appliance, Cli, Pace};
use crate::clock::Clock;
use crate::device::http::Internet;
use crate::device::keys::KeyPool;
use crate::device::{Fleet, World};
use crate::scenario::MadeLocation;
use crate::supervisor::Program;
use crate::{Sandbox, SandboxOptions};

/// Between looks and between tries.
const LOOK: Duration = Duration::from_millis(150);

/// What is played.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Scene {
    /// Apps are required on devices, licences are given and taken.
    Licences,
    /// Two locations change at Apple, are read again and again, and their tokens are renewed.
    Syncs,
    /// Many devices and many apps, while Apple fails, forgets and dawdles: deployments and devices come and go. One long run.
    School,
}

impl Scene {
    /// How long a run may take.
    fn patience(self) -> Duration {
        Duration::from_secs(if self == Scene::School { 2 * 3600 } else { 600 })
    }

    fn pace(self) -> Pace {
        if self == Scene::School { Pace::SCHOOL } else { Pace::TORTURE }
    }
}

/// What is the same in all runs.
pub struct Setup {
    pub vppd: PathBuf,
    pub scene: Scene,
    /// Of the scene of a school.
    pub size: Size,
    pub seed: u64,
    pub clock: Clock,
    pub keys: Arc<KeyPool>,
}

/// Where each thing stands in the end, by its name. The same in every run of a seed, whatever was killed.
pub type Verdicts = BTreeMap<String, String>;

/// What came of a run.
pub struct Outcome {
    pub verdicts: Verdicts,
    /// What is wrong without comparing it to another run.
    pub problems: Vec<String>,
    /// Points passed; `faults` only in a run that traces them.
    pub totals: Totals,
    /// Answers 9646 and tasks failed with 9709, for information.
    pub too_many_requests: u64,
    pub not_enough_licences: u64,
}

/// A run under way.
pub struct Run<'a> {
    pub setup: &'a Setup,
    pub sandbox: Sandbox,
    pub cli: Cli,
    pub directory: PathBuf,
    /// As the scenario made them.
    pub locations: Vec<MadeLocation>,
    /// The points at which vppd is killed.
    pub armed: Armed,
    appliance: Appliance,
    started: Timestamp,
}

/// Plays one run in this folder, with these points armed. `trace`: vppd tells its fault points, so that they are counted.
pub async fn play(setup: &Setup, directory: &Path, armed: &Armed, trace: bool) -> anyhow::Result<Outcome> {
    let mut options = SandboxOptions::local(setup.clock.clone(), directory);
    options.seed = setup.seed;
    let sandbox = Sandbox::start(options).await?;
    let scenario = match setup.scene {
        Scene::Licences => licences::scenario(),
        Scene::Syncs => syncs::scenario(),
        Scene::School => school::scenario(setup.size),
    };
    let locations = scenario.play(&sandbox.apple)?;
    let appliance = Appliance::prepare(&setup.vppd, directory, &sandbox, &setup.scene.pace()).await?;
    let (cli, started) = (appliance.cli(), setup.clock.now());
    let (directory, armed) = (directory.to_owned(), armed.clone());
    let run = Run { setup, sandbox, cli, directory, locations, armed, appliance, started };
    let supervisor = run.sandbox.supervisor.clone();
    supervisor.before_start({
        let (armed, supervisor) = (run.armed.clone(), supervisor.clone());
        move |_, env| armed.next(&supervisor, env)
    });
    run.start(trace).await?;
    let result = tokio::select! {
        result = run.act() => result,
        died = run.keep_alive() => died,
    };
    // The hook holds the supervisor, and the supervisor the hook.
    supervisor.before_start(|_, _| {});
    supervisor.kill().await?;
    result
}

impl Run<'_> {
    async fn start(&self, trace: bool) -> anyhow::Result<()> {
        let env = if trace { [(FAULT_TRACE.into(), "1".into())].into() } else { Default::default() };
        let (program, args) = (self.appliance.program().into(), self.appliance.arguments().into());
        let program = Program { program, args, env, log: Some(self.appliance.log()) };
        Ok(self.sandbox.supervisor.start(program).await?)
    }

    async fn act(&self) -> anyhow::Result<Outcome> {
        match self.setup.scene {
            Scene::Licences => licences::act(self).await,
            Scene::Syncs => syncs::act(self).await,
            Scene::School => school::act(self).await,
        }
    }

    /// Starts vppd again whenever it has ended at a fault point. Returns only when it has ended otherwise.
    async fn keep_alive(&self) -> anyhow::Result<Outcome> {
        let supervisor = &self.sandbox.supervisor;
        loop {
            self.setup.clock.sleep(Duration::from_millis(20)).await;
            if supervisor.is_running().await {
                continue;
            }
            // Another thread may have said something after the fault point.
            if !self.armed.explains(&self.appliance.last_words(10)) {
                bail!("vppd has ended by itself:\n{}", self.appliance.last_words(20));
            }
            supervisor.restart().await?;
        }
    }

    /// No devices yet, in a world in which they wait so many times shorter.
    pub fn fleet(&self, haste: u32) -> Fleet {
        let clock = hasty(&self.setup.clock, haste);
        let world = World {
            clock: clock.clone(),
            store: Arc::new(self.sandbox.apple.clone()),
            inboxes: self.sandbox.inboxes.clone(),
            network: Arc::new(Internet::new(clock, Default::default(), Vec::new())),
            keys: self.setup.keys.clone(),
        };
        Fleet::new(world, self.setup.seed)
    }

    /// Adds the content token of a location, however often vppd is killed meanwhile, and waits until `assets` of it are known.
    pub async fn add_token(&self, location: &MadeLocation, assets: u64) -> anyhow::Result<()> {
        let file = self.keep_token(&location.name, &location.token)?;
        loop {
            match self.token(&location.name).await {
                Some(Some(row)) if row.assets == assets => return Ok(()),
                // Refused or lost: the next look tells.
                Some(None) => drop(self.cli.add_token(&file, &location.name).await),
                _ => {}
            }
            self.pause("add a content token and read its location").await?;
        }
    }

    /// The row of a token, if vppd answers, and if there is one.
    pub async fn token(&self, name: &str) -> Option<Option<crate::appliance::TokenRow>> {
        let rows: Vec<crate::appliance::TokenRow> = self.ask(&["token", "list"]).await?;
        Some(rows.into_iter().find(|row| row.name == name))
    }

    /// Writes a content token to a file, as it would come from Apple's portal.
    pub fn keep_token(&self, name: &str, token: &str) -> anyhow::Result<PathBuf> {
        let file = self.directory.join(format!("{name}.vpptoken"));
        std::fs::write(&file, token).context("could not write the content token")?;
        Ok(file)
    }

    /// What came of the run, as far as it is the same for all scenes.
    pub fn outcome(&self, verdicts: Verdicts, mut problems: Vec<String>) -> Outcome {
        let state = self.sandbox.apple.state();
        if state.counters.refused > 0 {
            problems.push(format!("messages refused by Apple: {}", state.counters.refused));
        }
        let log = std::fs::read(self.appliance.log()).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let faults = log.lines().filter(|line| line.starts_with("fault point ")).count() as u64;
        let events = state.locations.iter().flat_map(|location| &location.events);
        let short = events.filter_map(|event| event.failed.get(&9709)).map(|count| *count as u64).sum();
        Outcome {
            verdicts,
            problems,
            totals: Totals { requests: self.sandbox.supervisor.requests(), faults },
            too_many_requests: state.counters.errors.get(&9646).copied().unwrap_or(0),
            not_enough_licences: short,
        }
    }

    /// An answer of vppd; `None` when it is not there, or has broken off.
    pub async fn ask<T: serde::de::DeserializeOwned>(&self, arguments: &[&str]) -> Option<T> {
        self.cli.ask(arguments).await.ok()
    }

    /// Waits a moment before the next try, unless the run has taken too long.
    pub async fn pause(&self, what: &str) -> anyhow::Result<()> {
        self.setup.clock.sleep(LOOK).await;
        let taken = self.setup.clock.now().duration_since(self.started).as_secs_f64();
        let patience = self.setup.scene.patience();
        if taken > patience.as_secs_f64() {
            let words = self.appliance.last_words(15);
            bail!("after {} s vppd did not {what}; its last words:\n{words}", patience.as_secs());
        }
        Ok(())
    }
}

/// A clock on which all waits are so many times shorter.
fn hasty(clock: &Clock, haste: u32) -> Clock {
    let (now, sleep) = (clock.clone(), clock.clone());
    Clock::given(
        move || now.now(),
        move |duration| {
            let clock = sleep.clone();
            Box::pin(async move { clock.sleep(duration / haste).await })
        },
        || Box::new(()),
    )
}
