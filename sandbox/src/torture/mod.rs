//! The crash test: vppd is killed again and again, at requests and between commits, and in the end everything has to be as
//! in a run without kills: the same licence and the same app on every device, nothing lost, nothing twice.
//!
//! Runs are independent; each takes several kills one after another. The scene of a school is one long run with all the
//! kills. With the same seed the same points are tried, though not to the microsecond: the clock is the machine's.

mod licences;
mod people;
mod points;
mod run;
mod school;
mod syncs;
mod wishes;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use clap::Args;

use self::points::{Armed, Hit, Totals, one_after_another, schedule};
use self::run::{Outcome, Scene, Setup, Verdicts, play};
use self::school::Size;
use crate::chance::Chance;
use crate::clock::Clock;
use crate::device::make_keys;
use crate::interrupted;

/// Kills vppd again and again, and looks whether anything is lost.
#[derive(Debug, Clone, Args)]
pub struct TortureOptions {
    /// The vppd to kill, built with its fault points (cargo build --features fault-points).
    #[arg(long, value_name = "PROGRAM")]
    pub vppd: PathBuf,
    /// At how many points it is killed.
    #[arg(long, default_value_t = 50)]
    pub points: u64,
    /// What is played meanwhile.
    #[arg(long, value_enum, default_value_t = Scene::Licences)]
    pub scene: Scene,
    /// For the points, the serial numbers and the delays.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// At how many points it is killed in one run.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=100))]
    pub kills_per_run: u64,
    #[command(flatten)]
    pub size: Size,
}

/// Far more keys than one run needs, so that no two devices of a run have the same.
const KEYS: usize = 64;

/// What the runs have in common, and what they found.
struct Torture {
    setup: Setup,
    chance: Chance,
    kills_per_run: u64,
    reference: Verdicts,
    totals: Totals,
    hits: u64,
    violations: u64,
    too_many_requests: u64,
    not_enough_licences: u64,
}

/// Runs the crash test; true when nothing was violated. What was has been printed.
pub async fn run(options: &TortureOptions, clock: &Clock) -> anyhow::Result<bool> {
    tokio::select! {
        result = torture(options, clock) => result,
        ended = interrupted() => ended.context("could not wait for Ctrl-C").and_then(|()| bail!("interrupted")),
    }
}

async fn torture(options: &TortureOptions, clock: &Clock) -> anyhow::Result<bool> {
    if options.scene == Scene::School {
        return long_run(options, clock).await;
    }
    let start = clock.now();
    let mut torture = Torture::prepare(options, clock).await?;
    let mut run = 0;
    // Not every point is reached, as runs differ a little; but most are.
    while torture.hits < options.points && run < 10 + 2 * options.points {
        run += 1;
        torture.run(run, options.points).await?;
    }
    let Torture { hits, violations, too_many_requests, not_enough_licences, .. } = torture;
    let seconds = clock.now().duration_since(start).as_secs();
    println!("\n{hits} kills in {run} runs, {violations} violations, {seconds} s");
    println!(
        "answers 9646 (too many requests): {too_many_requests}, 9709 (not enough licences): {not_enough_licences}"
    );
    ensure!(hits >= options.points, "only {hits} of {} points were reached", options.points);
    Ok(violations == 0)
}

/// One run that goes on until vppd was killed as often as wished.
async fn long_run(options: &TortureOptions, clock: &Clock) -> anyhow::Result<bool> {
    let start = clock.now();
    let setup = Setup::new(options, clock).await?;
    let mut chance = Chance::seeded(options.seed);
    let armed = Armed::with(one_after_another(&mut chance, options.points, options.size.apart(options.points)));
    let folder = folder()?;
    let (verdicts, problems) = match play(&setup, folder.path(), &armed, false).await {
        Ok(outcome) => (outcome.verdicts, outcome.problems),
        Err(error) => (Verdicts::new(), vec![format!("{error:#}")]),
    };
    let hits = armed.hits();
    for (number, Hit { what }) in (1..).zip(&hits) {
        println!("point {number:4}  {what}");
    }
    println!();
    verdicts.iter().for_each(|(what, count)| println!("{what}: {count}"));
    problems.iter().for_each(|problem| println!("VIOLATED  {problem}"));
    let seconds = clock.now().duration_since(start).as_secs();
    println!("\n{} kills in one run, {} violations, {seconds} s", hits.len(), problems.len());
    if !problems.is_empty() {
        println!("the files of this run stay in {}", folder.keep().display());
    }
    ensure!(hits.len() as u64 >= options.points, "only {} of {} points were reached", hits.len(), options.points);
    Ok(problems.is_empty())
}

impl Torture {
    /// The run without kills, which is the measure for all others.
    async fn prepare(options: &TortureOptions, clock: &Clock) -> anyhow::Result<Torture> {
        let setup = Setup::new(options, clock).await?;
        let folder = folder()?;
        let result = play(&setup, folder.path(), &Armed::default(), true).await;
        let (outcome, problems) = match result {
            Ok(outcome) => {
                let problems = outcome.problems.clone();
                (Some(outcome), problems)
            }
            Err(error) => (None, vec![format!("{error:#}")]),
        };
        let Some(outcome) = outcome.filter(|_| problems.is_empty()) else {
            let (problems, folder) = (problems.join("\n  "), folder.keep());
            bail!("already without a kill something is wrong:\n  {problems}\n  its files stay in {}", folder.display());
        };
        let Totals { requests, faults } = outcome.totals;
        ensure!(faults > 0, "this vppd has no fault points: build it with --features fault-points");
        let reference = outcome.verdicts;
        println!("without kills: {requests} requests, {faults} fault points; {}", in_words(&reference));
        Ok(Torture {
            setup,
            chance: Chance::seeded(options.seed),
            kills_per_run: options.kills_per_run,
            reference,
            totals: outcome.totals,
            hits: 0,
            violations: 0,
            too_many_requests: 0,
            not_enough_licences: 0,
        })
    }

    /// One run with several kills.
    async fn run(&mut self, number: u64, wanted: u64) -> anyhow::Result<()> {
        let kills = self.kills_per_run.min(wanted - self.hits);
        let armed = Armed::with(schedule(&mut self.chance, kills, self.totals));
        let folder = folder()?;
        let problems = match play(&self.setup, folder.path(), &armed, false).await {
            Ok(outcome) => self.judge(outcome),
            Err(error) => vec![format!("{error:#}")],
        };
        let verdict = if problems.is_empty() { "ok" } else { "VIOLATED" };
        for Hit { what } in armed.hits() {
            self.hits += 1;
            println!("point {:4}  run {number:3}  {what:52}  {verdict}", self.hits);
        }
        self.violations += problems.len() as u64;
        for problem in &problems {
            println!("    {problem}");
        }
        if !problems.is_empty() {
            println!("    the files of this run stay in {}", folder.keep().display());
        }
        Ok(())
    }

    fn judge(&mut self, outcome: Outcome) -> Vec<String> {
        self.too_many_requests += outcome.too_many_requests;
        self.not_enough_licences += outcome.not_enough_licences;
        let mut problems = differences(&self.reference, &outcome.verdicts);
        problems.extend(outcome.problems);
        problems
    }
}

impl Setup {
    async fn new(options: &TortureOptions, clock: &Clock) -> anyhow::Result<Setup> {
        let TortureOptions { vppd, scene, size, seed, .. } = options.clone();
        // Every enrolment takes one, also one that a kill breaks off.
        let more = if scene == Scene::School { 2 * size.devices as usize } else { 0 };
        let keys = Arc::new(make_keys(clock, KEYS + more, None).await?);
        Ok(Setup { vppd, scene, size, seed, clock: clock.clone(), keys })
    }
}

fn folder() -> anyhow::Result<tempfile::TempDir> {
    tempfile::Builder::new().prefix("vppd-torture-").tempdir().context("could not make a folder")
}

/// What stands other than in the run without kills.
fn differences(reference: &Verdicts, found: &Verdicts) -> Vec<String> {
    let names: std::collections::BTreeSet<_> = reference.keys().chain(found.keys()).collect();
    let differing = names.into_iter().filter(|name| reference.get(*name) != found.get(*name));
    let words = |verdict: Option<&String>| verdict.map_or("nothing".to_owned(), String::clone);
    differing
        .map(|name| format!("{name}: {} instead of {}", words(found.get(name)), words(reference.get(name))))
        .collect()
}

fn in_words(verdicts: &Verdicts) -> String {
    let mut alike: BTreeMap<&str, u64> = BTreeMap::new();
    for verdict in verdicts.values() {
        *alike.entry(verdict).or_default() += 1;
    }
    let parts: Vec<String> = alike.iter().map(|(verdict, count)| format!("{count} {verdict}")).collect();
    format!("{} verdicts: {}", verdicts.len(), parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdicts(of: &[(&str, &str)]) -> Verdicts {
        of.iter().map(|(name, verdict)| ((*name).to_owned(), (*verdict).to_owned())).collect()
    }

    #[test]
    fn a_licence_that_went_to_another_device_is_two_differences() {
        let reference = verdicts(&[("1 on A", "installed"), ("1 on B", "waiting"), ("1 on C", "installed")]);
        let found = verdicts(&[("1 on A", "waiting"), ("1 on B", "installed"), ("1 on C", "installed")]);
        let expected = ["1 on A: waiting instead of installed", "1 on B: installed instead of waiting"];
        assert_eq!(differences(&reference, &found), expected);
        assert!(differences(&reference, &reference).is_empty());
    }

    #[test]
    fn what_vppd_has_forgotten_is_a_difference() {
        let reference = verdicts(&[("1 on A", "installed")]);
        assert_eq!(differences(&reference, &Verdicts::new()), ["1 on A: nothing instead of installed"]);
        assert_eq!(in_words(&reference), "1 verdicts: 1 installed");
    }
}
