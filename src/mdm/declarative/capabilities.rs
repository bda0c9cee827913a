//! Which systems know declarations at all, and what one device says that it can: no version tells for sure.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub(super) const MANAGED_APP: &str = "com.apple.configuration.app.managed";
pub(super) const SUBSCRIPTIONS: &str = "com.apple.configuration.management.status-subscriptions";
const DECLARED_APPS: &str = "app.managed.list";
const COMMANDED_APPS: &str = "mdm.app";

/// Status items that vppd wants to be told of.
const WANTED: [&str; 3] = [DECLARED_APPS, COMMANDED_APPS, "device.operating-system.version"];

/// The system of a device, as far as it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct System {
    /// `iOS`, `macOS`, `tvOS`, `visionOS`, `watchOS`; empty when not known.
    pub platform: &'static str,
    /// Major and minor; zeros when not known.
    pub version: (u32, u32),
    /// Data-separated: enrolled by a person on their own device.
    pub user_enrolment: bool,
}

impl System {
    /// Of a version as the device tells it.
    pub fn new(platform: &'static str, version: &str, user_enrolment: bool) -> System {
        let mut numbers = version.split('.').map(|part| part.parse().ok());
        let version = (numbers.next().flatten().unwrap_or(0), numbers.next().flatten().unwrap_or(0));
        System { platform, version, user_enrolment }
    }

    /// Whether it is worth asking.
    pub fn may_know_declarations(&self) -> bool {
        let least = match self.platform {
            "iOS" if self.user_enrolment => (15, 0),
            "iOS" | "tvOS" => (16, 0),
            "macOS" => (13, 0),
            "visionOS" => (1, 1),
            "watchOS" => (10, 0),
            _ => return false,
        };
        self.version >= least
    }
}

/// What a device can, as far as it matters here. Apple: status item `management.client-capabilities`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capabilities {
    pub configurations: BTreeSet<String>,
    pub status_items: BTreeSet<String>,
}

impl Capabilities {
    /// Reads the status item; whatever is not as Apple describes it counts as not there.
    pub(super) fn read(item: &Value) -> Capabilities {
        let payloads = &item["supported-payloads"];
        let known = |list: &Value, known: &[&str]| -> BTreeSet<String> {
            let words = list.as_array().map(Vec::as_slice).unwrap_or_default().iter().filter_map(Value::as_str);
            words.filter(|word| known.contains(word)).map(str::to_owned).collect()
        };
        Capabilities {
            configurations: known(&payloads["declarations"]["configurations"], &[MANAGED_APP, SUBSCRIPTIONS]),
            status_items: known(&payloads["status-items"], &WANTED),
        }
    }

    /// Whether apps can be declared to it, and it tells what becomes of them.
    pub fn manages_apps(&self) -> bool {
        self.configurations.contains(MANAGED_APP)
            && self.configurations.contains(SUBSCRIPTIONS)
            && self.status_items.contains(DECLARED_APPS)
    }

    /// Whether it tells by itself about apps that commands have installed.
    pub fn tells_of_apps(&self) -> bool {
        self.configurations.contains(SUBSCRIPTIONS) && self.status_items.contains(COMMANDED_APPS)
    }

    /// What it is asked to tell.
    pub(super) fn subscriptions(&self) -> Vec<&str> {
        if !self.configurations.contains(SUBSCRIPTIONS) {
            return Vec::new();
        }
        WANTED.into_iter().filter(|name| self.status_items.contains(*name)).collect()
    }
}
