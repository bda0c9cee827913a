//! The terms on which an app is on a device: the managed app configuration and the attributes that the deciding deployment says.
//! They go with the install, and again, to a device that has the app, when they have changed: what an install leaves out is
//! lost on the device (Apple: Install Application).

use std::collections::{HashMap, HashSet};

use aws_lc_rs::digest::{SHA256, digest};
use jiff::Timestamp;

use super::reconcile::{Names, install_command, licensed};
use super::{OperationError, Shared, checkin};
use crate::licensing::{Planner, Step};
use crate::mdm::command::{Command, InstallApplication};
use crate::model::{App, DeviceId};
use crate::store::{StoreError, Write, appliance, commands, deployments, devices, pairs};

/// Pairs that are recorded in one transaction.
const CHUNK: usize = 200;

/// What a deployment says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Terms {
    pub configuration: Option<String>,
    pub attributes: serde_json::Map<String, serde_json::Value>,
}

/// The terms of all deployments that say any, at one moment.
pub(super) struct AppTerms {
    by_deployment: HashMap<i64, Terms>,
}

impl AppTerms {
    /// Reads them.
    pub(super) async fn load(context: &Shared) -> Result<AppTerms, OperationError> {
        let all = context.store.read(deployments::all).await?;
        let by_deployment: HashMap<i64, Terms> = all
            .into_iter()
            .map(|one| (one.id.0, Terms { configuration: one.terms.configuration, attributes: one.terms.attributes }))
            .filter(|(_, terms)| *terms != Terms::default())
            .collect();
        Ok(AppTerms { by_deployment })
    }

    /// Those for an app on a device.
    pub(super) fn of(&self, planner: &Planner, product: u32, device: u32) -> Terms {
        if self.by_deployment.is_empty() {
            return Terms::default();
        }
        let snapshot = planner.snapshot();
        let rule = planner.rules().deciding_rule(snapshot, product, device);
        let deployment = rule.map(|place| snapshot.rules[place as usize].id);
        deployment.and_then(|id| self.by_deployment.get(&id)).cloned().unwrap_or_default()
    }
}

/// A short name for the terms that an install brings; empty for ordinary ones.
pub(super) fn fingerprint(install: &InstallApplication) -> String {
    if install.configuration.is_none() && install.attributes.is_empty() {
        return String::new();
    }
    let attributes = serde_json::Value::Object(install.attributes.clone());
    let said = format!("{}\0{attributes}", install.configuration.as_deref().unwrap_or_default());
    digest(&SHA256, said.as_bytes()).as_ref().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// An app that is there, as the deployment wants it, on other terms than it was brought with.
struct Changed {
    device: DeviceId,
    adam_id: String,
    terms: Terms,
    uuid: String,
}

/// Queues installs for apps that are there on other terms than are said now, on all devices or on those that were judged anew.
/// True when any was queued.
pub(super) async fn bring(context: &Shared, names: Names<'_>, terms: &AppTerms) -> Result<bool, OperationError> {
    let brought = context.store.read(pairs::on_terms).await?;
    if brought.is_empty() && terms.by_deployment.is_empty() {
        return Ok(false);
    }
    let mut changed = changed(context, names, terms, &brought);
    let mut queued = false;
    while !changed.is_empty() {
        let chunk: Vec<Changed> = changed.drain(..changed.len().min(CHUNK)).collect();
        let (now, index) = (context.clock.now(), context.index.clone());
        queued |= context
            .store
            .write(move |w| -> Result<bool, OperationError> {
                if appliance::load(w)?.paused.is_some() {
                    return Ok(false);
                }
                let mut queued = false;
                for one in &chunk {
                    queued |= bring_one(w, one, now)?;
                    let (index, id, waits) = (index.clone(), one.device, commands::any_open(w, one.device)?);
                    w.after_commit(move || index.set_waits(id, waits));
                }
                Ok(queued)
            })
            .await?;
    }
    Ok(queued)
}

/// Pairs whose terms may have changed. `brought`: what was brought on other than ordinary terms.
fn changed(
    context: &Shared,
    Names { planner, snapshot, behind, whole }: Names<'_>,
    terms: &AppTerms,
    brought: &HashMap<(DeviceId, String), String>,
) -> Vec<Changed> {
    let said: HashSet<u32> = snapshot
        .rules
        .iter()
        .filter(|rule| terms.by_deployment.contains_key(&rule.id))
        .map(|rule| rule.product)
        .collect();
    let had: HashSet<&str> = brought.keys().map(|(_, adam_id)| adam_id.as_str()).collect();
    let concerns =
        |product: u32| said.contains(&product) || had.contains(snapshot.products[product as usize].adam_id.as_str());
    let all = 0..snapshot.devices.len() as u32;
    let places: Vec<u32> = if whole { all.collect() } else { planner.judged().iter().copied().collect() };
    let pairs = places
        .into_iter()
        .flat_map(|place| snapshot.rows[place as usize].iter().map(move |pair| (pair.product, place)));
    let there = pairs.filter(|&(product, place)| concerns(product) && planner.step(product, place) == Step::Satisfied);
    there
        .filter_map(|(product, place)| {
            let device = behind.devices[place as usize]?;
            let adam_id = snapshot.products[product as usize].adam_id.clone();
            let wanted = terms.of(planner, product, place);
            let had = brought.get(&(device, adam_id.clone())).map_or("", String::as_str);
            let (configuration, attributes) = (wanted.configuration.clone(), wanted.attributes.clone());
            let install = InstallApplication { configuration, attributes, ..InstallApplication::of(0) };
            (fingerprint(&install) != had).then(|| Changed {
                device,
                adam_id,
                terms: wanted,
                uuid: context.entropy.uuid().to_string(),
            })
        })
        .collect()
}

/// Queues the install, if the pair is still as the plan saw it.
fn bring_one(w: &Write<'_>, changed: &Changed, now: Timestamp) -> Result<bool, OperationError> {
    let Changed { device, adam_id, terms, uuid } = changed;
    let Some(device) = devices::by_id(w, *device)?.filter(|d| d.state == devices::DeviceState::Enrolled) else {
        return Ok(false);
    };
    let Some(mut pair) = pairs::get(w, device.id, adam_id)? else { return Ok(false) };
    let Some(install) = install_command(&device, adam_id, terms.clone()) else { return Ok(false) };
    let wanted = fingerprint(&install);
    if pair.progress.app != App::Installed || pair.terms_due.is_some_and(|due| due > now) {
        return Ok(false);
    }
    if let Some(open) = &pair.terms_command
        && let Some(open) = commands::by_uuid(w, device.id, open)?.filter(|command| command.state.is_open())
    {
        // What was sent is answered first.
        if brings(&open.body) == Some(wanted.clone()) || !commands::withdraw(w, &open.uuid, now)? {
            return Ok(false);
        }
    }
    let queues = pair.terms != wanted && licensed(w, adam_id, &device)?;
    if queues {
        checkin::queue(w, device.id, uuid, &Command::InstallApplication(install), Some(adam_id), now)?;
    }
    let command = queues.then(|| uuid.clone());
    if pair.terms_command != command {
        pair.terms_command = command;
        pairs::put(w, &pair, now)?;
    }
    Ok(queues)
}

/// The terms that a kept install brings.
pub(super) fn brings(body: &str) -> Option<String> {
    match serde_json::from_str(body) {
        Ok(Command::InstallApplication(install)) => Some(fingerprint(&install)),
        _ => None,
    }
}

/// The app goes: it is not brought other terms any more.
pub(super) fn drop_open(w: &Write<'_>, pair: &mut pairs::Pair, now: Timestamp) -> Result<(), StoreError> {
    if let Some(uuid) = pair.terms_command.take() {
        commands::withdraw(w, &uuid, now)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terms_have_a_name_of_their_own_and_ordinary_ones_none() {
        let ordinary = InstallApplication::of(1);
        let configured = InstallApplication { configuration: Some("<plist/>".into()), ..ordinary.clone() };
        let mut marked = ordinary.clone();
        marked.attributes.insert("Removable".into(), false.into());
        assert_eq!(fingerprint(&ordinary), "");
        let (one, other) = (fingerprint(&configured), fingerprint(&marked));
        assert!(one.len() == 32 && one != other, "{one} {other}");
        let body = serde_json::to_string(&Command::InstallApplication(configured)).unwrap();
        assert_eq!(brings(&body), Some(one));
        assert_eq!(brings("{}"), None);
    }
}
