//! Apple: Device Information. What the device is, and who is signed in.

use plist::Dictionary;
use serde::{Deserialize, Serialize};

use crate::mdm::wire::texts;

/// What matters for licences: identity, platform, prompts, space, store account.
const LICENSING: [&str; 18] = [
    "UDID",
    "SerialNumber",
    "DeviceName",
    "OSVersion",
    "BuildVersion",
    "ProductName",
    "Model",
    "ModelName",
    "IsSupervised",
    "IsMultiUser",
    "IsAppleSilicon",
    "SupportsiOSAppInstalls",
    "DeviceCapacity",
    "AvailableDeviceCapacity",
    "AwaitingConfiguration",
    "iTunesStoreAccountIsActive",
    "iTunesStoreAccountHash",
    "TimeZone",
];

/// Asks for facts about the device. What it may not tell is simply missing in the answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceInformation {
    /// Apple's names of the queries.
    pub queries: Vec<String>,
}

impl DeviceInformation {
    /// Everything that licensing needs. Good on every channel and platform.
    pub fn for_licensing() -> DeviceInformation {
        DeviceInformation { queries: LICENSING.map(str::to_owned).to_vec() }
    }

    pub(super) fn write(&self, command: &mut Dictionary) {
        command.insert("Queries".into(), texts(self.queries.iter().map(String::as_str)));
    }
}
