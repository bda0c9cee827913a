//! All pairs together: the difference between what is wanted and what is, and who gets the licences there are.
//!
//! A licence goes to whoever has wanted it longest; among equals to the lower serial number. Locations are used in their
//! order. What another location already gave stays where it is.

use jiff::Timestamp;

use super::desired::{Rules, Wanted};
use super::snapshot::{Asset, Licence, Pair, Snapshot};
use super::step::{Around, Blocked, Step, Verb, next_step};

/// What to do now, and how everything stands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// What each pair needs next, sorted by (product, device); pairs that need nothing at all are left out.
    pub steps: Vec<PairStep>,
    /// Licences to give and take, by location and verb.
    pub licences: Vec<LicenceAction>,
    /// Commands to queue or to withdraw.
    pub commands: Vec<CommandAction>,
    /// Licences (asset, device) that somebody else assigned and a deployment now wants: they become ours.
    pub adopt: Vec<(u32, u32)>,
    /// When to plan again although nothing happened.
    pub next_due: Option<Timestamp>,
}

/// What one pair needs next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PairStep {
    pub product: u32,
    pub device: u32,
    pub step: Step,
}

/// Licences of one location that are to go one way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LicenceAction {
    pub location: u32,
    pub verb: Verb,
    /// (asset, device), sorted.
    pub pairs: Vec<(u32, u32)>,
}

/// What is to happen in a device's queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommandAction {
    pub product: u32,
    pub device: u32,
    pub kind: CommandKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CommandKind {
    Install,
    Remove,
    /// Ask the device for its list of managed apps (one question serves all apps of the device).
    Verify,
    /// Take the waiting, unsent command of this pair back.
    Withdraw,
}

/// Makes the plan.
pub fn plan(snapshot: &Snapshot) -> Plan {
    let mut plan = Plan::default();
    let mut free: Vec<u32> = snapshot.assets.iter().map(|asset| asset.free).collect();
    let rules = Rules::by_product(snapshot);
    let mut assets_of: Vec<Vec<u32>> = vec![Vec::new(); snapshot.products.len()];
    for (index, asset) in (0u32..).zip(&snapshot.assets) {
        if let Some(assets) = assets_of.get_mut(asset.product as usize) {
            assets.push(index);
        }
    }
    let mut pairs = snapshot.pairs.as_slice();
    for (product, rules) in (0u32..).zip(&rules) {
        let end = pairs.partition_point(|pair| pair.product <= product);
        let (known, rest) = pairs.split_at(end);
        pairs = rest;
        let assets = &mut assets_of[product as usize];
        assets.sort_by_key(|&asset| (snapshot.assets[asset as usize].location, asset));
        let mut one = OneProduct { snapshot, product, assets, plan: &mut plan, waiting: Vec::new() };
        one.walk(rules, known);
        one.give_licences(&mut free);
    }
    plan.licences = licence_actions(snapshot, &plan.steps);
    plan
}

/// The work on one product: first each pair by itself, then all that need a licence together.
struct OneProduct<'a> {
    snapshot: &'a Snapshot,
    product: u32,
    /// Its assets in the order in which they are to be used.
    assets: &'a [u32],
    plan: &'a mut Plan,
    /// Who needs a licence: since when, which device, place in `plan.steps`.
    waiting: Vec<(Timestamp, u32, usize)>,
}

impl OneProduct<'_> {
    fn walk(&mut self, rules: &Rules<'_>, known: &[Pair]) {
        if rules.is_empty() {
            for pair in known {
                self.consider(rules, pair);
            }
            return;
        }
        let mut known = known.iter().peekable();
        for device in 0..self.snapshot.devices.len() as u32 {
            let pair = match known.peek() {
                Some(pair) if pair.device == device => {
                    let pair = **pair;
                    known.next();
                    pair
                }
                _ => Pair::unknown(self.product, device),
            };
            self.consider(rules, &pair);
        }
    }

    fn consider(&mut self, rules: &Rules<'_>, pair: &Pair) {
        let Some(device) = self.snapshot.devices.get(pair.device as usize) else { return };
        let wanted = rules.wanted(&device.serial, device.enrolled_at);
        let held = self.snapshot.assets.get(pair.asset as usize).filter(|_| pair.licence != Licence::None);
        let writable = |asset: &Asset| self.snapshot.locations.get(asset.location as usize).is_some_and(|l| l.writable);
        let around = Around {
            wanted,
            enrolled: device.enrolled,
            due: pair.due <= self.snapshot.now.as_second(),
            bundle_id_known: self.snapshot.products[self.product as usize].bundle_id.is_some(),
            licence_writable: held.is_none_or(writable),
            licence_revocable: held.is_none_or(|asset| asset.revocable),
        };
        let step = next_step(pair, &around);
        if step == Step::Nothing {
            return;
        }
        if pair.due > self.snapshot.now.as_second() {
            let due = Timestamp::from_second(pair.due).unwrap_or(Timestamp::MAX);
            self.plan.next_due = Some(self.plan.next_due.map_or(due, |known| known.min(due)));
        }
        if let Wanted::Required { since } = wanted {
            if step == Step::NeedsLicence {
                self.waiting.push((since, pair.device, self.plan.steps.len()));
            }
            if device.enrolled && pair.licence == Licence::Assigned && !pair.ours {
                self.plan.adopt.push((pair.asset, pair.device));
            }
        }
        let kind = match step {
            Step::Install => Some(CommandKind::Install),
            Step::Remove => Some(CommandKind::Remove),
            Step::Verify => Some(CommandKind::Verify),
            Step::WithdrawInstall | Step::WithdrawRemove => Some(CommandKind::Withdraw),
            _ => None,
        };
        if let Some(kind) = kind {
            self.plan.commands.push(CommandAction { product: self.product, device: pair.device, kind });
        }
        self.plan.steps.push(PairStep { product: self.product, device: pair.device, step });
    }

    fn give_licences(&mut self, free: &mut [u32]) {
        let devices = &self.snapshot.devices;
        let mut waiting = std::mem::take(&mut self.waiting);
        waiting.sort_by(|a, b| {
            let serial = |device: u32| devices[device as usize].serial.as_str();
            (a.0, serial(a.1), a.1).cmp(&(b.0, serial(b.1), b.1))
        });
        let usable = self.usable_assets();
        let mut position = 0;
        for (_, device, place) in waiting {
            let step = if devices[device as usize].serial.is_empty() {
                Step::Blocked(Blocked::NoSerial)
            } else {
                match &usable {
                    Err(blocked) => Step::Blocked(*blocked),
                    Ok(assets) => match assets.iter().find(|&&asset| self.take(asset, free)) {
                        Some(&asset) => Step::Associate { asset },
                        None => {
                            position += 1;
                            Step::WaitForLicence { position }
                        }
                    },
                }
            };
            self.plan.steps[place].step = step;
        }
    }

    fn take(&self, asset: u32, free: &mut [u32]) -> bool {
        if self.snapshot.assets[asset as usize].unlimited {
            return true;
        }
        let left = &mut free[asset as usize];
        let any = *left > 0;
        *left = left.saturating_sub(1);
        any
    }

    fn usable_assets(&self) -> Result<Vec<u32>, Blocked> {
        let asset = |&index: &u32| &self.snapshot.assets[index as usize];
        let writable = |index: &u32| self.snapshot.locations[asset(index).location as usize].writable;
        if self.assets.is_empty() {
            return Err(Blocked::NotOwned);
        }
        let mut usable: Vec<u32> = self.assets.to_vec();
        usable.retain(|index| asset(index).device_assignable);
        if usable.is_empty() {
            return Err(Blocked::NotDeviceAssignable);
        }
        usable.retain(writable);
        if usable.is_empty() { Err(Blocked::NoWritableLocation) } else { Ok(usable) }
    }
}

fn licence_actions(snapshot: &Snapshot, steps: &[PairStep]) -> Vec<LicenceAction> {
    let mut actions = std::collections::BTreeMap::<(u32, Verb), Vec<(u32, u32)>>::new();
    for step in steps {
        let (asset, verb) = match step.step {
            Step::Associate { asset } => (asset, Verb::Associate),
            Step::Disassociate { asset } => (asset, Verb::Disassociate),
            _ => continue,
        };
        let location = snapshot.assets[asset as usize].location;
        actions.entry((location, verb)).or_default().push((asset, step.device));
    }
    let mut actions: Vec<LicenceAction> = actions
        .into_iter()
        .map(|((location, verb), mut pairs)| {
            pairs.sort_unstable();
            LicenceAction { location, verb, pairs }
        })
        .collect();
    // What is given back comes first: it may be what somebody waits for.
    actions.sort_by_key(|action| (action.location, std::cmp::Reverse(action.verb)));
    actions
}

#[cfg(test)]
mod tests;
