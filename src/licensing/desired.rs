//! What the deployments want of one device, when several of them speak of the same app.
//!
//! The rules, in this order:
//! 1. A deployment to one serial number beats one to all devices: the exception beats the rule.
//!    A decision by hand beats every deployment.
//! 2. Among equals, `uninstall` beats `required`: a removal was asked for on purpose, and what it frees can be given again.
//! 3. Among equals, the older deployment is the one that counts (it decides since when the device waits).

use std::collections::HashMap;

use jiff::Timestamp;

use super::snapshot::{Rule, Snapshot};
use crate::model::{Purpose, Target};

/// Number of a rule that is no deployment but a decision by hand about one serial number.
pub const BY_HAND: i64 = 0;

/// What is wanted of one pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// The app shall be there; wanted since this time.
    Required { since: Timestamp },
    /// A deployment says that the app shall go.
    Uninstall,
    /// No deployment speaks of it (any more).
    Nothing,
}

/// The deployments of one app, ready to be asked per device.
pub struct Rules<'a> {
    all_devices: Option<&'a Rule>,
    by_serial: HashMap<&'a str, &'a Rule>,
}

impl<'a> Rules<'a> {
    /// The rules of each product, in the order of `snapshot.products`.
    pub fn by_product(snapshot: &'a Snapshot) -> Vec<Rules<'a>> {
        let mut all: Vec<Rules<'a>> =
            snapshot.products.iter().map(|_| Rules { all_devices: None, by_serial: HashMap::new() }).collect();
        for rule in &snapshot.rules {
            let Some(rules) = all.get_mut(rule.product as usize) else { continue };
            match &rule.target {
                Target::AllDevices => rules.all_devices = Some(stronger(rules.all_devices, rule)),
                Target::Serial(serial) => {
                    let known = rules.by_serial.get(serial.as_str()).copied();
                    rules.by_serial.insert(serial.as_str(), stronger(known, rule));
                }
                Target::Group(_) | Target::Person(_) => {}
            }
        }
        all
    }

    /// True when no deployment speaks of this app.
    pub fn is_empty(&self) -> bool {
        self.all_devices.is_none() && self.by_serial.is_empty()
    }

    /// The deployment that decides for the device with this serial number.
    pub fn deciding(&self, serial: &str) -> Option<&'a Rule> {
        if self.by_serial.is_empty() {
            return self.all_devices;
        }
        self.by_serial.get(serial).copied().or(self.all_devices)
    }

    /// What is wanted of a device that enrolled at `enrolled_at`.
    pub fn wanted(&self, serial: &str, enrolled_at: Timestamp) -> Wanted {
        match self.deciding(serial) {
            None => Wanted::Nothing,
            Some(rule) => match rule.purpose {
                Purpose::Uninstall => Wanted::Uninstall,
                Purpose::Available => Wanted::Nothing,
                Purpose::Required => Wanted::Required { since: rule.created_at.max(enrolled_at) },
            },
        }
    }
}

fn stronger<'a>(known: Option<&'a Rule>, new: &'a Rule) -> &'a Rule {
    let rank = |rule: &Rule| (rule.id != BY_HAND, rule.purpose != Purpose::Uninstall, rule.created_at, rule.id);
    match known {
        Some(known) if rank(known) <= rank(new) => known,
        _ => new,
    }
}
