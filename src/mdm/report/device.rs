//! The facts about a device which matter for licences, from Apple's Device Information.

use plist::Value;
use serde::{Deserialize, Serialize};

use super::Report;
use crate::mdm::wire::{BadKey, flag, real, text};

/// Apple: Device Information, key `QueryResponses`. A key that the device may not tell or does not know is None.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DeviceFacts {
    pub udid: Option<String>,
    pub serial_number: Option<String>,
    pub device_name: Option<String>,
    pub os_version: Option<String>,
    pub build_version: Option<String>,
    /// For example `iPad13,1`.
    pub product_name: Option<String>,
    pub model: Option<String>,
    pub model_name: Option<String>,
    pub is_supervised: Option<bool>,
    /// A Shared iPad.
    pub is_multi_user: Option<bool>,
    pub is_apple_silicon: Option<bool>,
    pub supports_ios_app_installs: Option<bool>,
    /// Units of 1024^3 bytes.
    pub device_capacity: Option<f64>,
    /// Units of 1024^3 bytes.
    pub available_device_capacity: Option<f64>,
    pub awaiting_configuration: Option<bool>,
    /// Somebody is signed in to the App Store.
    pub store_account_is_active: Option<bool>,
    /// Tells whether that account is the one of a licence user.
    pub store_account_hash: Option<String>,
    pub time_zone: Option<String>,
}

impl Report {
    /// The reply to DeviceInformation.
    pub fn device_facts(&self) -> Result<DeviceFacts, BadKey> {
        const KEY: &str = "QueryResponses";
        let answers = self.body.get(KEY).ok_or(BadKey::Missing(KEY))?;
        let answers = Value::as_dictionary(answers).ok_or(BadKey::WrongType(KEY))?;
        Ok(DeviceFacts {
            udid: text(answers, "UDID"),
            serial_number: text(answers, "SerialNumber").filter(|serial| !serial.is_empty()),
            device_name: text(answers, "DeviceName"),
            os_version: text(answers, "OSVersion"),
            build_version: text(answers, "BuildVersion"),
            product_name: text(answers, "ProductName"),
            model: text(answers, "Model"),
            model_name: text(answers, "ModelName"),
            is_supervised: flag(answers, "IsSupervised"),
            is_multi_user: flag(answers, "IsMultiUser"),
            is_apple_silicon: flag(answers, "IsAppleSilicon"),
            supports_ios_app_installs: flag(answers, "SupportsiOSAppInstalls"),
            device_capacity: real(answers, "DeviceCapacity"),
            available_device_capacity: real(answers, "AvailableDeviceCapacity"),
            awaiting_configuration: flag(answers, "AwaitingConfiguration"),
            store_account_is_active: flag(answers, "iTunesStoreAccountIsActive"),
            store_account_hash: text(answers, "iTunesStoreAccountHash").filter(|hash| !hash.is_empty()),
            time_zone: text(answers, "TimeZone"),
        })
    }
}
