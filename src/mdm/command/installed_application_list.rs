//! Apple: Installed Application List. Which apps are there, in which version.

use plist::Dictionary;
use serde::{Deserialize, Serialize};

use crate::mdm::wire::texts;

/// What is asked of each app; Macs take no notice and tell everything.
const ITEMS: [&str; 10] = [
    "Identifier",
    "Name",
    "Version",
    "ShortVersion",
    "BundleSize",
    "DynamicSize",
    "ExternalVersionIdentifier",
    "HasUpdateAvailable",
    "Installing",
    "DeviceBasedVPP",
];

/// Asks for installed apps. A Mac without either limit lists every bundle it finds, which takes minutes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstalledApplicationList {
    /// Bundle ids; empty means all.
    #[serde(default)]
    pub identifiers: Vec<String>,
    #[serde(default)]
    pub managed_apps_only: bool,
}

impl InstalledApplicationList {
    pub(super) fn write(&self, command: &mut Dictionary) {
        if !self.identifiers.is_empty() {
            command.insert("Identifiers".into(), texts(self.identifiers.iter().map(String::as_str)));
        }
        if self.managed_apps_only {
            command.insert("ManagedAppsOnly".into(), true.into());
        }
        command.insert("Items".into(), texts(ITEMS));
    }
}
