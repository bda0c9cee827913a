//! The scene of a school: many devices, every app required on every device, and then changes without a pause: deployments
//! for all and for single devices come and go, devices leave and come back, so that what is given back crosses what is given.
//! Apple meanwhile fails single pairs, loses replies, answers that there are too many requests, and reads what it wrote late.
//!
//! One run with many kills instead of many runs, as bringing up so many devices takes minutes. What is right in the end follows
//! from what was wished last, so there is nothing to compare it to: every pair wished is held once and installed, no other.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::Context;
use clap::Args;

use super::points::Totals;
use super::run::{Outcome, Run};
use super::wishes::{Wishes, any};
use crate::agreement::{Truth, disagreements};
use crate::apple::{Apple, Fault, FaultRule, NewAsset, NewLocation, Often, RetryAfter, Switches};
use crate::appliance::{Deployment, DeviceRow, Look, PairKey, PlanRow};
use crate::chance::Chance;
use crate::device::{DeviceSpec, Fleet, Timing, fleet};
use crate::scenario::{Scenario, ScenarioLocation};

/// How large the school is.
#[derive(Debug, Clone, Copy, Args)]
pub struct Size {
    /// Devices of the scene `school`.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u64).range(20..=5_000))]
    pub devices: u64,
    /// Apps of the scene `school`, each for every device.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u64).range(10..=500))]
    pub apps: u64,
}

impl Size {
    /// How far apart so many kills are, that about half of them come before every device has its apps.
    pub fn apart(self, kills: u64) -> Totals {
        let pairs = self.devices * self.apps;
        Totals { requests: (pairs / 4 / kills.max(1)).max(4), faults: (pairs * 6 / kills.max(1)).max(20) }
    }
}

/// Devices enrol so many at a time.
const CONCURRENCY: usize = 8;
/// Devices live this much faster than the clock.
const HASTE: u32 = 5;
/// At least so many rounds of changes are played.
const ROUNDS: u64 = 3;
/// Of a hundred devices, at most so many are away at a time.
const AWAY_PERCENT: u64 = 4;
/// Longest pause between two rounds.
const PAUSE_MS: u64 = 3_000;
/// For how long nothing may change before it counts as rest, when everything is right; and when something is wrong.
const QUIET: Duration = Duration::from_secs(3);
const STUCK: Duration = Duration::from_secs(90);
/// How long vppd gets to note that devices have left, before they try again.
const LEAVING: Duration = Duration::from_secs(8);

/// Two locations, neither with enough licences for all.
pub fn scenario(size: Size) -> Scenario {
    let total = (size.devices * 7 / 10) as i64;
    let assets: Vec<NewAsset> = adam_ids(size).iter().map(|adam_id| NewAsset::app(adam_id, total)).collect();
    let location = |name: &str| ScenarioLocation {
        location: NewLocation { name: name.to_owned(), ..NewLocation::default() },
        token_valid_days: 365,
        assets: assets.clone(),
    };
    let mut scenario = Scenario { locations: vec![location("leeds"), location("york")], ..Scenario::default() };
    scenario.switches.chunk_delay_ms = [2, 20];
    scenario
}

fn adam_ids(size: Size) -> Vec<String> {
    (0..size.apps).map(|number| format!("18{number:08}")).collect()
}

/// What goes wrong at Apple from now on: a tenth of the replies is lost, a twentieth of the calls is turned away, of all pairs
/// in all other requests for licences a twentieth fails, and what was written is read a second late.
fn trouble(apple: &Apple) -> anyhow::Result<()> {
    apple.set_switches(Switches { lag_seconds: 1, ..apple.switches() })?;
    let some = |endpoint: Option<&str>, fault, rate| {
        apple.add_fault(FaultRule { endpoint: endpoint.map(str::to_owned), fault, often: Often::Rate(rate) })
    };
    some(None, Fault::ClosedAfterEffect, 0.10)?;
    some(None, Fault::TooManyRequests, 0.03)?;
    some(None, Fault::Unavailable(RetryAfter::Seconds(1)), 0.02)?;
    some(Some("assets/associate"), Fault::SomeTasksFail(5), 1.0)?;
    some(Some("assets/disassociate"), Fault::SomeTasksFail(5), 1.0)?;
    Ok(())
}

struct School<'a> {
    run: &'a Run<'a>,
    fleet: Fleet,
    specs: Vec<DeviceSpec>,
    adam_ids: Vec<String>,
}

/// Plays the scene.
pub async fn act(run: &Run<'_>) -> anyhow::Result<Outcome> {
    let size = run.setup.size;
    let specs = fleet::specs(run.setup.seed, size.devices, |_, spec| {
        let (queued, validating) = (Duration::from_secs(1), Duration::from_secs(1));
        spec.timing = Timing { queued, validating, installing: Duration::from_secs(2), bytes_per_second: 0 };
    });
    School { run, fleet: run.fleet(HASTE), specs, adam_ids: adam_ids(size) }.act().await
}

impl School<'_> {
    async fn act(&self) -> anyhow::Result<Outcome> {
        for location in &self.run.locations {
            self.run.add_token(location, self.adam_ids.len() as u64).await?;
        }
        trouble(&self.run.sandbox.apple)?;
        let mut wishes = Wishes { everywhere: self.adam_ids.iter().cloned().collect(), ..Wishes::default() };
        self.deploy(&wishes).await?;
        let file = self.run.directory.join("enrolment.mobileconfig");
        while self.run.cli.make_profile(&file, self.specs.len() as u64 * 20).await.is_err() {
            self.run.pause("make an enrolment profile").await?;
        }
        self.come(&self.specs).await?;
        wishes.here = self.specs.iter().map(|spec| spec.serial.clone()).collect();
        self.tell("all devices have enrolled", &wishes);
        let mut chance = Chance::seeded(self.run.setup.seed);
        let mut round = 0;
        while round < ROUNDS || self.run.armed.left() > 0 {
            round += 1;
            wishes.change(&mut chance, &self.adam_ids, &self.specs);
            self.deploy(&wishes).await?;
            self.go_and_come(&mut wishes, &mut chance).await?;
            self.tell(&format!("round {round}"), &wishes);
            self.run.setup.clock.sleep(Duration::from_millis(chance.below(PAUSE_MS))).await;
        }
        self.rest(&wishes).await?;
        self.judge(&wishes).await
    }

    fn tell(&self, what: &str, wishes: &Wishes) {
        let (kills, wished) = (self.run.armed.hits().len(), wishes.pairs(&self.adam_ids));
        let held = Truth::of(&self.run.sandbox.apple, &self.fleet).assigned;
        let (done, other) = (wished.intersection(&held).count(), held.difference(&wished).count());
        println!("{what}: {kills} kills, {done} of {} licences are there and {other} to be given back", wished.len());
    }

    /// Adds and removes deployments until they are as wished, however often vppd is killed meanwhile.
    async fn deploy(&self, wishes: &Wishes) -> anyhow::Result<()> {
        let mut missing = wishes.deployments();
        loop {
            let rows: Option<Vec<Deployment>> = self.run.ask(&["deploy", "list"]).await;
            if let Some(rows) = rows {
                missing = wishes.deployments();
                let mut changes = 0;
                for row in rows {
                    let required = row.purpose == "required";
                    if missing.remove(&(row.adam_id, row.to)) != Some(required) {
                        changes += 1;
                        self.ask(&["deploy", "remove", &row.id.to_string()]).await;
                    }
                }
                if missing.is_empty() && changes == 0 {
                    return Ok(());
                }
                for ((adam_id, to), required) in &missing {
                    let purpose = if *required { "required" } else { "uninstall" };
                    self.ask(&["deploy", "add", "--app", adam_id, "--to", to, "--purpose", purpose]).await;
                }
            }
            self.run.pause(&format!("add or remove deployments; {} are missing", missing.len())).await?;
        }
    }

    /// A change: refused or lost, the next look tells.
    async fn ask(&self, arguments: &[&str]) {
        drop(self.run.ask::<serde_json::Value>(arguments).await);
    }

    /// Some devices leave, and of those that are away about half come back.
    async fn go_and_come(&self, wishes: &mut Wishes, chance: &mut Chance) -> anyhow::Result<()> {
        let most = (self.specs.len() as u64 * AWAY_PERCENT / 100).max(1);
        let (here, away): (Vec<_>, Vec<_>) =
            self.specs.iter().cloned().partition(|spec| wishes.here.contains(&spec.serial));
        let back: Vec<DeviceSpec> = away.into_iter().filter(|_| chance.below(2) == 0).collect();
        let gone = (self.specs.len() - here.len() - back.len()) as u64;
        let mut leaving = BTreeMap::new();
        for _ in 0..chance.below(most.saturating_sub(gone) + 1) {
            let spec = any(chance, &here);
            leaving.insert(spec.serial.clone(), spec.clone());
        }
        self.leave(leaving.values().cloned().collect()).await?;
        self.come(&back).await?;
        wishes.here.retain(|serial| !leaving.contains_key(serial));
        wishes.here.extend(back.into_iter().map(|spec| spec.serial));
        Ok(())
    }

    async fn come(&self, specs: &[DeviceSpec]) -> anyhow::Result<()> {
        let file = self.run.directory.join("enrolment.mobileconfig");
        let profile = std::fs::read(&file).with_context(|| format!("could not read {}", file.display()))?;
        let mut left = specs.to_vec();
        loop {
            let failed = self.fleet.enrol(&profile, left.clone(), CONCURRENCY, |_| {}).await;
            let failed: BTreeSet<String> = failed.into_iter().map(|(serial, _)| serial).collect();
            left.retain(|spec| failed.contains(&spec.serial));
            if left.is_empty() {
                return Ok(());
            }
            self.run.pause(&format!("enrol {} devices", left.len())).await?;
        }
    }

    /// Devices say once that they leave; where that is lost they come back and leave again.
    async fn leave(&self, mut specs: Vec<DeviceSpec>) -> anyhow::Result<()> {
        while !specs.is_empty() {
            for spec in &specs {
                let device = self.fleet.device(&spec.serial).context("a device has never enrolled")?;
                device.unenrol().await;
            }
            let until = self.run.setup.clock.after(LEAVING);
            while !specs.is_empty() && self.run.setup.clock.now() < until {
                if let Some(rows) = self.run.ask::<Vec<DeviceRow>>(&["device", "list"]).await {
                    let left = |serial: &str| rows.iter().any(|row| row.serial == serial && row.state == "checked-out");
                    specs.retain(|spec| !left(&spec.serial));
                }
                self.run.pause("note that devices have left").await?;
            }
            self.come(&specs).await?;
        }
        Ok(())
    }

    /// Pairs that are not as wished: at Apple, and on the devices.
    fn wrong(&self, wishes: &Wishes) -> [usize; 4] {
        let (wished, truth) = (wishes.pairs(&self.adam_ids), Truth::of(&self.run.sandbox.apple, &self.fleet));
        let differing = |one: &BTreeSet<PairKey>, other: &BTreeSet<PairKey>| one.difference(other).count();
        [
            differing(&truth.assigned, &wished),
            differing(&wished, &truth.assigned),
            differing(&truth.managed, &wished),
            differing(&wished, &truth.managed),
        ]
    }

    /// Waits until vppd has nothing to do; longer when something is wrong.
    async fn rest(&self, wishes: &Wishes) -> anyhow::Result<()> {
        let clock = &self.run.setup.clock;
        let mut since = None;
        let mut told = clock.now();
        loop {
            let plan: Option<PlanRow> = self.run.ask(&["plan"]).await;
            let quiet =
                plan.is_some_and(|plan| plan.licences.is_empty() && plan.commands.is_empty() && plan.in_flight == 0);
            let wrong = self.wrong(wishes);
            let now = clock.now();
            let (before, begin) = since.filter(|_| quiet).unwrap_or((wrong, now));
            let begin = if before == wrong { begin } else { now };
            since = quiet.then_some((wrong, begin));
            let enough = if wrong.iter().sum::<usize>() == 0 { QUIET } else { STUCK };
            if quiet && now.duration_since(begin).as_secs_f64() >= enough.as_secs_f64() {
                return Ok(());
            }
            if now.duration_since(told).as_secs() >= 10 {
                self.tell("until it rests", wishes);
                told = now;
            }
            self.run.pause(&format!("come to rest; pairs too many and too few: {wrong:?}")).await?;
        }
    }

    async fn judge(&self, wishes: &Wishes) -> anyhow::Result<Outcome> {
        let look = loop {
            match Look::take(&self.run.cli, &self.adam_ids).await {
                Ok(look) => break look,
                Err(_) => self.run.pause("tell what it knows").await?,
            }
        };
        let truth = Truth::of(&self.run.sandbox.apple, &self.fleet);
        let mut problems = disagreements(&truth, &look);
        let devices: Vec<_> = self.fleet.view().into_iter().map(|device| device.counters).collect();
        let counters = self.run.sandbox.apple.counters();
        let [held, missing, installed, lacking] = self.wrong(wishes);
        let must_be_zero = [
            ("installs sent before COMPLETE", counters.installs_before_licence + counters.installs_before_complete),
            ("seats held without a reason", held as u64),
            ("pairs in two pending events", counters.pairs_in_two_events),
            ("pairs charged two licences", counters.second_licences),
            ("pairs without their licence", missing as u64),
            ("apps that nobody wishes", installed as u64),
            ("apps that are missing", lacking as u64),
            ("401 sent to a device", devices.iter().map(|counters| counters.got_401).sum()),
            ("messages refused by devices", devices.iter().map(|counters| counters.refused).sum()),
        ];
        let broken = must_be_zero.iter().filter(|(_, count)| *count > 0);
        problems.extend(broken.map(|(what, count)| format!("{what}: {count}")));
        let mut verdicts: BTreeMap<String, String> =
            must_be_zero.into_iter().map(|(what, count)| (what.to_owned(), count.to_string())).collect();
        verdicts.insert("pairs".to_owned(), wishes.pairs(&self.adam_ids).len().to_string());
        let changes = ["assets/associate", "assets/disassociate"].map(|call| counters.calls.get(call).copied());
        verdicts.insert(
            "requests to give, to take licences".to_owned(),
            changes.map(|calls| calls.unwrap_or(0).to_string()).join(", "),
        );
        Ok(self.run.outcome(verdicts, problems))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: Size = Size { devices: 20, apps: 10 };

    #[test]
    fn no_location_has_enough_for_all_but_both_together_have() {
        let scenario = scenario(SMALL);
        let totals: Vec<i64> = scenario.locations.iter().map(|location| location.assets[0].total).collect();
        assert!(totals.iter().all(|total| *total < SMALL.devices as i64));
        assert!(totals.iter().sum::<i64>() > SMALL.devices as i64);
    }
}
