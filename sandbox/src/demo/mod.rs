//! The demo: a school with two hundred devices is brought up from nothing, beside the sandbox, with the real vppd; then
//! the three who know something are asked whether they agree.
//!
//! It does what an administrator does, with vppd's command line, and looks at the result from outside.

mod bound;
mod scene;
mod screen;
mod summary;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use clap::Args;
use jiff::Timestamp;
use tempfile::TempDir;

use self::bound::Sizes;
use self::scene::Scene;
use self::screen::Screen;
pub use self::summary::{AppSummary, Summary};
use crate::agreement::{Truth, disagreements};
use crate::appliance::{Appliance, Cli, Daemon, Look, Notices, Pace, TaskRow};
use crate::clock::Clock;
use crate::device::http::Internet;
use crate::device::keys::KeyPool;
use crate::device::{Fleet, World, make_keys};
use crate::{Sandbox, SandboxOptions, interrupted};

/// Shows vppd at work: one location, twelve assets, many devices.
#[derive(Debug, Clone, Args)]
pub struct DemoOptions {
    /// The vppd to show.
    #[arg(long, value_name = "PROGRAM")]
    pub vppd: PathBuf,
    /// How many devices there are.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..=20_000))]
    pub devices: u64,
    /// For ids, serial numbers and delays.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// End when all is done, also on a terminal.
    #[arg(long, env = "DEMO_EXIT", num_args = 0..=1, default_missing_value = "1", default_value = "",
          hide_default_value = true, hide_env_values = true)]
    pub exit: String,
    /// Write the summary as JSON to this file, too.
    #[arg(long, env = "DEMO_JSON", value_name = "FILE")]
    pub json: Option<PathBuf>,
}

/// How long vppd may take to get ready, to read its location, or to end.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long it may take from the first deployment to rest.
const ROLLOUT_PATIENCE: Duration = Duration::from_secs(180);
/// Between looks.
const LOOK: Duration = Duration::from_millis(400);
/// For how long nothing may change before it counts as rest.
const QUIET: Duration = Duration::from_secs(2);
/// Apple's stores, as the sandbox calls them.
const STORES: [&str; 4] = ["artwork", "metadata/lookup", "organisations", "public/lookup"];
/// Devices that enrol at the same time.
const CONCURRENCY: usize = 16;

/// Everything of one demo.
struct Demo {
    clock: Clock,
    sandbox: Sandbox,
    appliance: Appliance,
    cli: Cli,
    notices: Notices,
    scene: Scene,
    keys: Arc<KeyPool>,
    token_file: PathBuf,
    directory: PathBuf,
}

/// How long the parts took.
struct Times {
    /// From the start of vppd.
    until_rest: f64,
    enrolment: f64,
    rollout: f64,
}

/// Runs the demo; true when all was as it has to be. What went wrong has been printed.
pub async fn run(options: &DemoOptions, clock: &Clock) -> anyhow::Result<bool> {
    let mut screen = Screen::new();
    let folder = tempfile::Builder::new().prefix("vppd-demo-").tempdir().context("could not make a folder")?;
    let result = play(options, clock, &folder, &mut screen).await;
    screen.clear();
    if !matches!(result, Ok(true)) {
        println!("The files of this run stay in {}", folder.keep().display());
    }
    result
}

async fn play(options: &DemoOptions, clock: &Clock, folder: &TempDir, screen: &mut Screen) -> anyhow::Result<bool> {
    let demo = Demo::prepare(options, clock, folder, screen).await?;
    let mut vppd = demo.appliance.start(&demo.notices)?;
    let (summary, fleet) = tokio::select! {
        done = demo.roll_out(options, screen) => done?,
        ended = vppd.ended() => bail!("vppd has ended by itself ({}):\n{}", ended?, demo.appliance.last_words(20)),
        interrupt = interrupted() => {
            interrupt.context("could not wait for Ctrl-C")?;
            bail!("interrupted")
        }
    };
    screen.clear();
    println!("\n{}\n", summary.render(screen.paint()));
    if let Some(file) = &options.json {
        let json = serde_json::to_string_pretty(&summary).context("could not write the summary as JSON")?;
        std::fs::write(file, json + "\n").with_context(|| format!("could not write {}", file.display()))?;
    }
    let mut violations = summary.violations();
    violations.iter().for_each(|text| println!("{} {text}", screen.paint().bad("WRONG:")));
    if screen.is_terminal() && matches!(options.exit.as_str(), "" | "0") {
        demo.explain();
        tokio::select! {
            interrupt = interrupted() => interrupt.context("could not wait for Ctrl-C")?,
            ended = vppd.ended() => bail!("vppd has ended by itself ({}):\n{}", ended?, demo.appliance.last_words(20)),
        }
        println!();
    }
    if let Err(problem) = demo.stop(&mut vppd).await {
        let text = format!("{problem:#}");
        println!("{} {text}", screen.paint().bad("WRONG:"));
        violations.push(text);
    }
    drop(fleet);
    Ok(violations.is_empty())
}

impl Demo {
    async fn prepare(options: &DemoOptions, clock: &Clock, folder: &TempDir, screen: &Screen) -> anyhow::Result<Demo> {
        let directory = folder.path().to_owned();
        let mut sandbox_options = SandboxOptions::local(clock.clone(), &directory);
        sandbox_options.seed = options.seed;
        let sandbox = Sandbox::start(sandbox_options).await?;
        let scene = Scene::of(options.devices, options.seed);
        let made = scene.scenario.play(&sandbox.apple)?;
        let location = made.first().context("the scene has no location")?;
        let token_file = directory.join("northwind.vpptoken");
        std::fs::write(&token_file, &location.token).context("could not write the content token")?;
        let appliance = Appliance::prepare(&options.vppd, &directory, &sandbox, &Pace::DEMO).await?;
        let notices = Notices::listen(&directory.join("notify.sock")).context("could not listen for READY")?;
        screen.say(&format!("making {} keys for the devices", options.devices));
        let keys = Arc::new(make_keys(clock, scene.specs.len(), None).await?);
        let (cli, clock) = (appliance.cli(), clock.clone());
        Ok(Demo { clock, sandbox, appliance, cli, notices, scene, keys, token_file, directory })
    }

    /// From the start of vppd to rest.
    async fn roll_out(&self, options: &DemoOptions, screen: &mut Screen) -> anyhow::Result<(Summary, Fleet)> {
        screen.say(&format!("{} devices, twelve assets, three required apps, one of them scarce", options.devices));
        let start = self.clock.now();
        self.within(PATIENCE, "get ready (READY=1)", self.notices.said("READY=1")).await?;
        screen.say(&format!("vppd is ready after {:.1} s", self.since(start)));
        self.cli.add_token(&self.token_file, "northwind").await?;
        self.within(PATIENCE, "read its location", self.synced()).await??;
        screen.say("content token added, location read");

        let enrolment = self.clock.now();
        let network = Arc::new(Internet::new(self.clock.clone(), Default::default(), Vec::new()));
        let world = World {
            clock: self.clock.clone(),
            store: Arc::new(self.sandbox.apple.clone()),
            inboxes: self.sandbox.inboxes.clone(),
            network,
            keys: self.keys.clone(),
        };
        let fleet = Fleet::new(world, options.seed);
        self.enrol(&fleet, screen).await?;
        let enrolment_seconds = self.since(enrolment);
        screen.say(&format!("{} devices enrolled in {enrolment_seconds:.1} s", options.devices));

        let rollout = self.clock.now();
        for required in &self.scene.required {
            self.cli.require(&required.adam_id).await?;
            screen.say(&format!("{} ({}) is required on all devices", required.name, required.adam_id));
        }
        let look = self.rest(rollout, screen).await?;
        // The quiet time at the end is not vppd's.
        let until_rest = |start| (self.since(start) - QUIET.as_secs_f64()).max(0.0);
        let times = Times { until_rest: until_rest(start), enrolment: enrolment_seconds, rollout: until_rest(rollout) };
        Ok((self.summary(&look, &fleet, &times), fleet))
    }

    async fn synced(&self) -> anyhow::Result<()> {
        loop {
            let tasks: Vec<TaskRow> = self.cli.ask(&["task", "list"]).await?;
            if let Some(error) = tasks.iter().find_map(|task| task.error.as_ref()) {
                bail!("the first reading of the location failed: {}", error.message);
            }
            if !tasks.is_empty() && tasks.iter().all(|task| task.state == "done") {
                return Ok(());
            }
            self.clock.sleep(LOOK).await;
        }
    }

    async fn enrol(&self, fleet: &Fleet, screen: &Screen) -> anyhow::Result<()> {
        let file = self.directory.join("enrolment.mobileconfig");
        let count = self.scene.specs.len() as u64;
        self.cli.make_profile(&file, count).await?;
        let profile = std::fs::read(&file).with_context(|| format!("could not read {}", file.display()))?;
        let bar = screen.bar("enrolled", count);
        let shown = |progress: crate::device::Progress<'_>| bar.set_position(progress.done as u64);
        let failures = fleet.enrol(&profile, self.scene.specs.clone(), CONCURRENCY, shown).await;
        bar.finish_and_clear();
        if let Some((serial, error)) = failures.first() {
            bail!("{} devices could not enrol; the first, {serial}: {error}", failures.len());
        }
        Ok(())
    }

    /// Waits until nothing moves any more, and shows how it goes.
    async fn rest(&self, since: Timestamp, screen: &mut Screen) -> anyhow::Result<Look> {
        let adam_ids: Vec<String> = self.scene.required.iter().map(|required| required.adam_id.clone()).collect();
        let bars = screen.stage_bars((adam_ids.len() * self.scene.specs.len()) as u64);
        let mut quiet_since = None;
        let mut before = None;
        loop {
            let look = Look::take(&self.cli, &adam_ids).await?;
            screen.show(&bars, &look);
            let (restless, verdicts) = (look.restless(&self.scene.silent), look.verdicts());
            let rests = restless.is_empty() && !verdicts.is_empty() && before.as_ref() == Some(&verdicts);
            before = Some(verdicts);
            match (rests, quiet_since) {
                (false, _) => quiet_since = None,
                (true, None) => quiet_since = Some(self.clock.now()),
                (true, Some(quiet)) if self.since(quiet) >= QUIET.as_secs_f64() => return Ok(look),
                (true, Some(_)) => {}
            }
            if self.since(since) > ROLLOUT_PATIENCE.as_secs_f64() {
                let some = restless.iter().take(10).cloned().collect::<Vec<_>>().join("\n  ");
                let (seconds, count) = (ROLLOUT_PATIENCE.as_secs(), restless.len());
                bail!("vppd has not come to rest within {seconds} s; {count} things move, such as:\n  {some}");
            }
            self.clock.sleep(LOOK).await;
        }
    }

    fn summary(&self, look: &Look, fleet: &Fleet, times: &Times) -> Summary {
        let state = self.sandbox.apple.state();
        let truth = Truth::of(&self.sandbox.apple, fleet);
        let disagreements = disagreements(&truth, look);
        let sizes = Sizes {
            assets: state.locations.iter().map(|location| location.assets.len()).sum(),
            assignments: 0,
            page: state.switches.page_size,
            max_assets: state.limits.max_assets,
            max_serials: state.limits.max_serial_numbers,
        };
        let failed_tasks = |number: u16| -> u64 {
            let events = state.locations.iter().flat_map(|location| &location.events);
            events.filter_map(|event| event.failed.get(&number)).map(|count| *count as u64).sum()
        };
        let answers = |number| state.counters.errors.get(&number).copied().unwrap_or(0) + failed_tasks(number);
        let devices: Vec<_> = fleet.view().into_iter().map(|device| device.counters).collect();
        // What apps are called is asked of other services, for people and not for licences.
        let (to_stores, calls): (BTreeMap<_, _>, BTreeMap<_, _>) =
            state.counters.calls.clone().into_iter().partition(|(endpoint, _)| STORES.contains(&endpoint.as_str()));
        let refused_by_devices: u64 = devices.iter().map(|counters| counters.refused).sum();
        let mut summary = Summary {
            devices: self.scene.specs.len() as u64,
            apple_calls: calls.values().sum(),
            store_calls: to_stores.values().sum(),
            apple_calls_lower_bound: bound::fewest_calls(&truth.assigned, &sizes) as u64,
            apple_calls_by_endpoint: calls,
            seconds: times.until_rest,
            enrolment_seconds: times.enrolment,
            rollout_seconds: times.rollout,
            installs_before_licence: state.counters.installs_before_licence,
            answers_9709: answers(9709),
            answers_9646: answers(9646),
            refused_messages: state.counters.refused + self.sandbox.apns.counters().refused + refused_by_devices,
            answers_401: devices.iter().map(|counters| counters.got_401).sum(),
            views_agree: disagreements.is_empty(),
            disagreements,
            ..Summary::default()
        };
        let names: Vec<_> = self.scene.required.iter().map(|app| (app.adam_id.clone(), app.name.clone())).collect();
        summary.add_apps(look, &names, &self.scene.silent);
        summary
    }

    /// How to look around while everything stays up.
    fn explain(&self) {
        println!("Everything stays up. Look around, for example:\n");
        let scarce = self.scene.required.last().map(|app| app.adam_id.as_str()).unwrap_or_default();
        let serial = self.scene.specs.first().map(|spec| spec.serial.as_str()).unwrap_or_default();
        let (app, device) = (format!("app show {scarce}"), format!("device show {serial}"));
        for words in ["status", "token list", "app list", &app, "device list", &device, "deploy list", "plan"] {
            println!("  {}", self.cli.line(words));
        }
        println!("\nvppd's settings      {}", self.appliance.config().display());
        println!("vppd's log           {}", self.appliance.log().display());
        println!("what Apple knows     curl http://{}/state", self.sandbox.control_address());
        println!("\nCtrl-C ends it all.");
    }

    /// Stops vppd as a service manager does.
    async fn stop(&self, vppd: &mut Daemon) -> anyhow::Result<()> {
        let status: ExitStatus = self.within(PATIENCE, "end after SIGTERM", vppd.stop()).await??;
        ensure!(status.success(), "vppd ended with {status}:\n{}", self.appliance.last_words(20));
        let said = self.within(Duration::from_secs(1), "say STOPPING=1", self.notices.said("STOPPING=1"));
        said.await.context("vppd ended without a word to the service manager")
    }

    async fn within<T>(&self, limit: Duration, what: &str, work: impl Future<Output = T>) -> anyhow::Result<T> {
        tokio::select! {
            done = work => Ok(done),
            () = self.clock.sleep(limit) => {
                let words = self.appliance.last_words(20);
                bail!("vppd did not {what} within {} s:\n{words}", limit.as_secs())
            }
        }
    }

    fn since(&self, start: Timestamp) -> f64 {
        self.clock.now().duration_since(start).as_secs_f64()
    }
}
