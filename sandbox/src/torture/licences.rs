//! The scene of licences: people and deployments first, then the devices, strictly one after another; then an app is taken away and a
//! device leaves; and rest.

use std::time::Duration;

use anyhow::{Context, bail};

use super::people;
use super::run::{Outcome, Run};
use crate::agreement::{Truth, disagreements};
use crate::appliance::{Deployment, DeviceRow, Look, Silent};
use crate::device::{DeviceSpec, Fleet, Person, Timing, fleet};
use crate::scenario::Scenario;

/// How many devices there are.
const DEVICES: u64 = 12;
/// Required apps of the built-in scenario; of the last one there are licences for two thirds of the devices.
const KEPT: [&str; 3] = ["1600000011", "1600000088", "1600000066"];
const SCARCE: i64 = 8;
/// Required at first, taken away later.
const TAKEN_AWAY: &str = "1600000044";
/// For how long nothing may change before it counts as rest.
const QUIET: Duration = Duration::from_millis(1500);
/// How long vppd gets to note that a device has left, before the device tries again.
const LEAVING: Duration = Duration::from_secs(3);
/// Devices live this much faster than the clock: they wait a quarter of a minute before they try again.
const HASTE: u32 = 25;

struct Trial<'a> {
    run: &'a Run<'a>,
    fleet: Fleet,
    specs: Vec<DeviceSpec>,
    silent: Silent,
}

/// Plays the scene.
pub async fn act(run: &Run<'_>) -> anyhow::Result<Outcome> {
    let (specs, silent) = cast(run.setup.seed);
    Trial { run, fleet: run.fleet(HASTE), specs, silent }.act().await
}

impl Trial<'_> {
    async fn act(&self) -> anyhow::Result<Outcome> {
        let location = self.run.locations.first().context("the scene has no location")?;
        self.run.add_token(location, 12).await?;
        people::register(self.run, &location.name).await?;
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

    async fn deploy(&self, adam_id: &str) -> anyhow::Result<()> {
        loop {
            match self.deployment(adam_id).await {
                Some(Some(_)) => return Ok(()),
                Some(None) => drop(self.run.cli.require(adam_id).await),
                None => {}
            }
            self.run.pause("add a deployment").await?;
        }
    }

    /// The deployment of this app, if vppd answers, and if there is one.
    async fn deployment(&self, adam_id: &str) -> Option<Option<i64>> {
        let all: Vec<Deployment> = self.run.ask(&["deploy", "list"]).await?;
        Some(all.into_iter().find(|one| one.adam_id == adam_id).map(|one| one.id))
    }

    async fn enrol_all(&self) -> anyhow::Result<()> {
        let file = self.run.directory.join("enrolment.mobileconfig");
        while self.run.cli.make_profile(&file, DEVICES * 50).await.is_err() {
            self.run.pause("make an enrolment profile").await?;
        }
        for spec in &self.specs {
            self.enrol(spec).await?;
        }
        Ok(())
    }

    async fn enrol(&self, spec: &DeviceSpec) -> anyhow::Result<()> {
        let file = self.run.directory.join("enrolment.mobileconfig");
        let profile = std::fs::read(&file).with_context(|| format!("could not read {}", file.display()))?;
        while !self.fleet.enrol(&profile, vec![spec.clone()], 1, |_| {}).await.is_empty() {
            self.run.pause("enrol a device").await?;
        }
        Ok(())
    }

    async fn take_away(&self) -> anyhow::Result<()> {
        loop {
            match self.deployment(TAKEN_AWAY).await {
                Some(None) => return Ok(()),
                Some(Some(id)) => {
                    let removed: Result<Deployment, _> = self.run.cli.ask(&["deploy", "remove", &id.to_string()]).await;
                    // Refused or lost: the next look tells.
                    drop(removed);
                }
                None => {}
            }
            self.run.pause("remove a deployment").await?;
        }
    }

    /// The device that came first leaves. It says so once; if that is lost it comes back and leaves again.
    async fn leave(&self) -> anyhow::Result<()> {
        let Some(spec) = self.specs.first() else { return Ok(()) };
        loop {
            let Some(device) = self.fleet.device(&spec.serial) else { bail!("{} has never enrolled", spec.serial) };
            device.unenrol().await;
            let left = self.run.setup.clock.after(LEAVING);
            while self.run.setup.clock.now() < left {
                let rows: Option<Vec<DeviceRow>> = self.run.ask(&["device", "list"]).await;
                let is_here = |row: &DeviceRow| row.serial == spec.serial && row.state != "checked-out";
                if rows.is_some_and(|rows| !rows.iter().any(is_here)) {
                    return Ok(());
                }
                self.run.pause("note that a device has left").await?;
            }
            self.enrol(spec).await?;
        }
    }

    async fn rest(&self) -> anyhow::Result<Look> {
        let adam_ids: Vec<String> = KEPT.into_iter().chain([TAKEN_AWAY]).map(str::to_owned).collect();
        let mut before = None;
        let mut quiet_until = None;
        loop {
            let look = Look::take(&self.run.cli, &adam_ids).await.ok();
            let rests = look.as_ref().is_some_and(|look| {
                look.restless(&self.silent).is_empty() && before.as_ref() == Some(&look.verdicts())
            });
            before = look.as_ref().map(Look::verdicts);
            quiet_until = quiet_until.filter(|_| rests);
            match (look, quiet_until) {
                (Some(look), Some(until)) if self.run.setup.clock.now() >= until => return Ok(look),
                (Some(_), None) if rests => quiet_until = Some(self.run.setup.clock.after(QUIET)),
                (Some(look), _) => {
                    let some = look.restless(&self.silent);
                    let some = some.iter().take(10).cloned().collect::<Vec<_>>().join("\n  ");
                    self.run.pause(&format!("come to rest; what moves:\n  {some}\n")).await?;
                }
                (None, _) => self.run.pause("come to rest: it does not answer").await?,
            }
        }
    }

    fn outcome(&self, look: Look) -> Outcome {
        let state = self.run.sandbox.apple.state();
        let truth = Truth::of(&self.run.sandbox.apple, &self.fleet);
        let devices: Vec<_> = self.fleet.view().into_iter().map(|device| device.counters).collect();
        let mut problems = disagreements(&truth, &look);
        let must_be_zero = [
            ("installs before the licence", state.counters.installs_before_licence),
            ("401 sent to a device", devices.iter().map(|counters| counters.got_401).sum()),
            ("pushes refused by APNs", self.run.sandbox.apns.counters().refused),
            ("messages refused by devices", devices.iter().map(|counters| counters.refused).sum()),
        ];
        let broken = must_be_zero.into_iter().filter(|(_, count)| *count > 0);
        problems.extend(broken.map(|(what, count)| format!("{what}: {count}")));
        problems.extend(state.locations.iter().flat_map(people::problems));
        let verdicts = look.verdicts().into_iter().map(|((serial, adam_id), (stage, licence))| {
            (format!("{adam_id} on {serial}"), format!("{stage:?} with licence {licence:?}"))
        });
        self.run.outcome(verdicts.collect(), problems)
    }
}

/// The built-in location with short waits, and one required app of which there are too few.
pub fn scenario() -> Scenario {
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
