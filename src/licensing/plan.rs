//! All pairs and seats together: the difference between what is wanted and what is, and who gets the licences there are.
//!
//! Who gets a scarce licence is told in `queue`; what is wanted of one pair, in [`super::desired`]; what comes next for it, in
//! [`super::step`]. What another location already gave stays where it is; a licence that somebody else assigned and a
//! deployment now wants is adopted, not given again.

mod told;

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::desired::Rules;
use super::planner::State;
use super::snapshot::{Holder, Snapshot};
use super::step::{Step, Verb};

/// What to do now, and how everything stands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// What each pair needs next, sorted by (device, product); pairs that need nothing at all are left out.
    pub steps: Vec<PairStep>,
    /// What each user licence needs next, sorted by (person, product); the same are left out.
    pub seats: Vec<SeatStep>,
    pub actions: Actions,
}

/// What to do now.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Actions {
    /// Licences to give and take, by location, kind of holder and verb; for each location, what is taken comes first.
    pub licences: Vec<LicenceAction>,
    /// Commands to queue or to withdraw, sorted by (device, product).
    pub commands: Vec<CommandAction>,
    /// Licences (asset, holder) that somebody else assigned and that are now wanted: they become ours.
    pub adopt: Vec<(u32, Holder)>,
    /// Pairs (product, device) that are on their way out from now on, or (false) not any more: to be noted, because the
    /// offline limit counts from then.
    pub leaving: Vec<(u32, u32, bool)>,
    /// Apps for whose licences somebody waits, sorted.
    pub short: Vec<u32>,
    pub tally: Tally,
    /// When to plan again although nothing happened.
    pub next_due: Option<Timestamp>,
}

/// How many licences of ours there are, and how many of them are on their way out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    pub ours: u64,
    /// From the command to remove the app until Apple has the licence back, also while the device is asked, or Apple has
    /// refused it for now. Without those of devices that are not enrolled: they have decided for themselves; and without a
    /// second licence, which nobody misses.
    pub leaving: u64,
}

/// What one pair needs next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PairStep {
    pub product: u32,
    pub device: u32,
    pub step: Step,
}

/// What one person's licence of an app needs next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeatStep {
    pub product: u32,
    pub person: u32,
    pub step: Step,
}

/// To what kind of holder licences go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Holders {
    /// Serial numbers.
    Devices,
    /// Registered users.
    Persons,
}

/// Licences of one location that are to go one way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LicenceAction {
    pub location: u32,
    pub holders: Holders,
    pub verb: Verb,
    /// (asset, device or person), sorted.
    pub pairs: Vec<(u32, u32)>,
}

/// What is to happen in a device's queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommandAction {
    pub product: u32,
    pub device: u32,
    pub kind: CommandKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum CommandKind {
    Install,
    Remove,
    /// Ask the device for its list of managed apps (one question serves all apps of the device).
    Verify,
    /// Take the waiting, unsent command of this pair back.
    Withdraw,
}

/// Makes the whole plan, with what every pair and seat needs next.
pub fn plan(snapshot: &Snapshot) -> Plan {
    let rules = Rules::new(snapshot);
    let mut state = State::new(snapshot);
    let (mut steps, mut seats) = (Vec::new(), Vec::new());
    // By product, devices in their order: where the step stands of which the queue will tell more.
    let mut open: Vec<Vec<(u32, usize)>> = vec![Vec::new(); snapshot.products.len()];
    for device in 0..snapshot.devices.len() as u32 {
        state.consider_device(snapshot, &rules, device, true, |product, step| {
            if matches!(step, Step::NeedsLicence | Step::Install) {
                open[product as usize].push((device, steps.len()));
            }
            steps.push(PairStep { product, device, step });
        });
    }
    state.settle_persons(snapshot, &rules, true, |person, product, step| {
        seats.push(SeatStep { product, person, step });
    });
    let actions = state.actions(snapshot);
    state.outcomes(snapshot, |product, holder, step| match holder {
        Holder::Device(device) => {
            let open = &open[product as usize];
            if let Ok(found) = open.binary_search_by_key(&device, |(device, _)| *device) {
                steps[open[found].1].step = step;
            }
        }
        Holder::Person(person) => {
            if let Ok(at) = seats.binary_search_by_key(&(person, product), |step| (step.person, step.product)) {
                seats[at].step = step;
            }
        }
    });
    Plan { steps, seats, actions }
}

/// Licences to give and to take, put together by location, kind of holder and verb.
pub(super) fn licence_actions(
    snapshot: &Snapshot,
    moves: impl Iterator<Item = (Verb, u32, Holder)>,
) -> Vec<LicenceAction> {
    let mut actions = BTreeMap::<(u32, std::cmp::Reverse<Verb>, Holders), Vec<(u32, u32)>>::new();
    for (verb, asset, holder) in moves {
        let location = snapshot.assets[asset as usize].location;
        let (holders, place) = match holder {
            Holder::Device(device) => (Holders::Devices, device),
            Holder::Person(person) => (Holders::Persons, person),
        };
        // What is given back comes first: it may be what somebody waits for.
        actions.entry((location, std::cmp::Reverse(verb), holders)).or_default().push((asset, place));
    }
    let action = |((location, verb, holders), mut pairs): ((u32, std::cmp::Reverse<Verb>, Holders), Vec<_>)| {
        pairs.sort_unstable();
        LicenceAction { location, holders, verb: verb.0, pairs }
    };
    actions.into_iter().map(action).collect()
}

#[cfg(test)]
mod laws;
#[cfg(test)]
mod tests;
