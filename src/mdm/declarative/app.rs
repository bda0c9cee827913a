//! Apple: Managed App, the configuration `com.apple.configuration.app.managed`: one app of the App Store that a device gets
//! by declaration, with a licence that is assigned already.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::System;

/// What a declaration says of one app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManagedApp {
    pub adam_id: String,
    pub install: Install,
    /// Whose licence it is.
    pub licence: Assignment,
    /// The App Store's number of the build that is wanted; never an older one than the device has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build: Option<u64>,
    /// Whether the device updates it by itself; `None`: as its App Store settings say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updates: Option<bool>,
    /// Apple's attributes of a managed app.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub attributes: Map<String, Value>,
    /// Counted on to make the device try again.
    #[serde(default)]
    pub attempt: u32,
}

/// What the device does with a declared app.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Install {
    /// Offers it.
    Optional,
    /// Installs it at once; its user cannot delete it.
    Required,
}

/// To whom the licence is assigned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Assignment {
    Device,
    User,
}

impl ManagedApp {
    /// The payload as a device with this system reads it.
    pub(super) fn payload(&self, system: &System) -> Value {
        let mut licence = json!({ "Assignment": self.licence });
        // iOS 17 knows the older name only.
        if system.platform == "iOS" && system.version.0 == 17 {
            licence["VPPType"] = json!(self.licence);
        }
        let mut payload = json!({
            "AppStoreID": self.adam_id,
            "InstallBehavior": { "Install": self.install, "License": licence },
        });
        let knows_versions = system.version.0 >= 26;
        match (self.build, self.updates) {
            (Some(build), _) if knows_versions => payload["InstallBehavior"]["Version"] = json!(build),
            (None, Some(yes)) if knows_versions => {
                let word = if yes { "AlwaysOn" } else { "AlwaysOff" };
                payload["UpdateBehavior"] = json!({ "AutomaticAppUpdates": word });
            }
            _ => {}
        }
        // A required app cannot be deleted anyway; Macs know no attributes.
        let attributes: Map<String, Value> = self
            .attributes
            .iter()
            .filter(|(key, _)| *key != "Removable")
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect();
        if system.platform != "macOS" && !attributes.is_empty() {
            payload["Attributes"] = Value::Object(attributes);
        }
        payload
    }
}
