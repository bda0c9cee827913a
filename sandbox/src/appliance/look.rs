//! One look at everything vppd says, and whether it has come to rest.

use std::collections::{BTreeMap, BTreeSet};

use super::{AppDetail, Cli, CliError, DeviceRow, Licence, PairRow, PlanRow, Silent, Stage};

/// Names a pair: serial number, adamId.
pub type PairKey = (String, String);

/// What vppd says at one moment.
#[derive(Debug, Clone)]
pub struct Look {
    pub apps: Vec<AppDetail>,
    pub devices: Vec<DeviceRow>,
    /// Requests and commands that vppd would send now.
    pub planned: usize,
}

impl Look {
    /// Asks for these apps, the devices and the plan.
    pub async fn take(cli: &Cli, adam_ids: &[String]) -> Result<Look, CliError> {
        let mut apps = Vec::with_capacity(adam_ids.len());
        for adam_id in adam_ids {
            apps.push(cli.app(adam_id).await?);
        }
        let plan: PlanRow = cli.ask(&["plan"]).await?;
        let devices = cli.ask(&["device", "list"]).await?;
        Ok(Look { apps, devices, planned: plan.licences.len() + plan.commands.len() })
    }

    /// All pairs of all apps.
    pub fn pairs(&self) -> impl Iterator<Item = &PairRow> {
        self.apps.iter().flat_map(|app| &app.pairs)
    }

    /// How many pairs are at each stage.
    pub fn stages(&self) -> BTreeMap<Stage, u64> {
        let mut stages = BTreeMap::new();
        for pair in self.pairs() {
            *stages.entry(pair.stage).or_default() += 1;
        }
        stages
    }

    /// Stage and licence of each pair; pairs that are over and done with are left out.
    pub fn verdicts(&self) -> BTreeMap<PairKey, (Stage, Licence)> {
        let over = |pair: &&PairRow| pair.stage == Stage::Removed && pair.licence == Licence::None;
        self.pairs()
            .filter(|pair| !over(pair))
            .map(|pair| ((pair.serial.clone(), pair.adam_id.clone()), (pair.stage, pair.licence)))
            .collect()
    }

    /// Pairs whose licence is assigned, as vppd says.
    pub fn assigned(&self) -> BTreeSet<PairKey> {
        self.keys(|pair| pair.licence == Licence::Assigned)
    }

    /// Pairs that are installed, as vppd says.
    pub fn installed(&self) -> BTreeSet<PairKey> {
        self.keys(|pair| pair.stage == Stage::Installed)
    }

    fn keys(&self, wanted: impl Fn(&PairRow) -> bool) -> BTreeSet<PairKey> {
        self.pairs().filter(|pair| wanted(pair)).map(|pair| (pair.serial.clone(), pair.adam_id.clone())).collect()
    }

    /// What still moves, in words; empty at rest.
    pub fn restless(&self, silent: &Silent) -> Vec<String> {
        let mut restless: Vec<String> = self
            .pairs()
            .filter(|pair| !is_resting(pair, silent))
            .map(|pair| format!("app {} on {} is {:?} ({})", pair.adam_id, pair.serial, pair.stage, pair.why))
            .collect();
        for device in &self.devices {
            if device.queue > 0 && device.state == "enrolled" && !silent.away.contains(&device.serial) {
                restless.push(format!("{} commands wait for {}", device.queue, device.serial));
            }
        }
        if self.planned > 0 {
            restless.push(format!("{} requests and commands are planned", self.planned));
        }
        restless
    }
}

fn is_resting(pair: &PairRow, silent: &Silent) -> bool {
    let licence_rests = matches!(pair.licence, Licence::None | Licence::Assigned);
    licence_rests
        && match pair.stage {
            Stage::Installed
            | Stage::LicenceHeld
            | Stage::WaitingForLicence
            | Stage::Rejected
            | Stage::Failed
            | Stage::Blocked
            | Stage::Removed => true,
            Stage::WaitingForPerson => silent.ignoring.contains(&pair.serial),
            Stage::InstallQueued | Stage::Removing => silent.away.contains(&pair.serial),
            Stage::LicenceRequested | Stage::Installing | Stage::LicenceReturning => false,
        }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::appliance::AppRow;

    pub(crate) fn pair(serial: &str, adam_id: &str, stage: Stage, licence: Licence) -> PairRow {
        PairRow { adam_id: adam_id.to_owned(), serial: serial.to_owned(), stage, why: "because".to_owned(), licence }
    }

    /// A look at one app with these pairs, counted as vppd counts them.
    pub(crate) fn look(pairs: Vec<PairRow>) -> Look {
        let count = |stage| pairs.iter().filter(|pair| pair.stage == stage).count() as u64;
        let app = AppRow {
            adam_id: pairs[0].adam_id.clone(),
            owned: 150,
            assigned: pairs.iter().filter(|pair| pair.licence == Licence::Assigned).count() as u64,
            wanted: pairs.len() as u64,
            installed: count(Stage::Installed),
            waiting: count(Stage::WaitingForLicence),
            failed: count(Stage::Failed),
        };
        Look { apps: vec![AppDetail { apps: vec![app], pairs }], devices: Vec::new(), planned: 0 }
    }

    #[test]
    fn a_queue_rests_only_for_a_device_that_stays_away() {
        let mut look = look(vec![pair("A", "1", Stage::InstallQueued, Licence::Assigned)]);
        let row = DeviceRow { serial: "A".into(), udid: String::new(), state: "enrolled".into(), queue: 1 };
        look.devices.push(row);
        assert_eq!(look.restless(&Silent::default()).len(), 2);
        let silent = Silent { away: ["A".to_owned()].into(), ..Silent::default() };
        assert!(look.restless(&silent).is_empty());
    }

    #[test]
    fn a_question_rests_only_with_an_owner_who_ignores_it() {
        let look = look(vec![pair("A", "1", Stage::WaitingForPerson, Licence::Assigned)]);
        assert_eq!(look.restless(&Silent::default()).len(), 1);
        let silent = Silent { ignoring: ["A".to_owned()].into(), ..Silent::default() };
        assert!(look.restless(&silent).is_empty());
    }

    #[test]
    fn a_licence_on_its_way_does_not_rest_and_what_is_over_has_no_verdict() {
        let look = look(vec![
            pair("A", "1", Stage::Installed, Licence::Returning),
            pair("B", "1", Stage::Removed, Licence::None),
        ]);
        assert_eq!(look.restless(&Silent::default()).len(), 1);
        let keys: Vec<_> = look.verdicts().into_keys().collect();
        assert_eq!(keys, [("A".to_owned(), "1".to_owned())]);
    }
}
