//! Apple: Install Application. The same command installs, updates, takes over, and brings other terms.

use plist::{Dictionary, Value};
use serde::{Deserialize, Serialize};

use crate::mdm::plist_guard;
use crate::mdm::plist_json::from_json;
use crate::mdm::wire::dictionary;

/// Licence assignment, the only way to pay that vppd knows. Apple's default 0 would ask for redemption codes.
const PURCHASE_METHOD_LICENCE: u64 = 1;
/// The app goes when the management profile goes.
const REMOVE_WITH_PROFILE: u64 = 1;
/// No managed app configuration is larger.
const LARGEST_CONFIGURATION: usize = 1 << 20;

/// Installs one app of the App Store with a licence that is assigned already, to the device or to its person: the device asks
/// the App Store for either, so the command is the same. An update must repeat every field of the
/// installation: what is left out is lost on the device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstallApplication {
    /// The App Store's number of the app.
    pub adam_id: u64,
    /// Take over a copy which the person installed. Forbidden in User Enrolment: the device refuses the whole command.
    #[serde(default)]
    pub take_over: bool,
    /// For Macs outside User Enrolment, in every installation: without it the app becomes unmanaged.
    #[serde(default)]
    pub install_as_managed: bool,
    /// For Macs in User Enrolment, which refuse flags: the app goes with the profile all the same.
    #[serde(default)]
    pub without_flags: bool,
    /// Managed app configuration: a property list (XML), whose top is a dictionary.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub configuration: Option<String>,
    /// Attributes of the managed app, of which Macs know none.
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    pub attributes: serde_json::Map<String, serde_json::Value>,
}

impl InstallApplication {
    /// The app, on ordinary terms.
    pub fn of(adam_id: u64) -> InstallApplication {
        InstallApplication {
            adam_id,
            take_over: false,
            install_as_managed: false,
            without_flags: false,
            configuration: None,
            attributes: serde_json::Map::new(),
        }
    }

    pub(super) fn write(&self, command: &mut Dictionary) {
        let options = dictionary([("PurchaseMethod", PURCHASE_METHOD_LICENCE.into())]);
        command.insert("iTunesStoreID".into(), self.adam_id.into());
        command.insert("Options".into(), Value::Dictionary(options));
        if !self.without_flags {
            command.insert("ManagementFlags".into(), REMOVE_WITH_PROFILE.into());
        }
        if self.take_over {
            command.insert("ChangeManagementState".into(), "Managed".into());
        }
        if self.install_as_managed {
            command.insert("InstallAsManaged".into(), true.into());
        }
        // It was read when the deployment was made.
        let configuration = self.configuration.as_ref().map(|text| text.as_bytes());
        if let Some(Ok(list)) = configuration.map(|text| plist_guard::read_dictionary(text, LARGEST_CONFIGURATION)) {
            command.insert("Configuration".into(), Value::Dictionary(list));
        }
        let attributes = serde_json::Value::Object(self.attributes.clone());
        if let (false, Ok(list)) = (self.attributes.is_empty(), from_json(&attributes, "it")) {
            command.insert("Attributes".into(), list);
        }
    }
}
