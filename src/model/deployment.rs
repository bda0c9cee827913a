//! A deployment's nouns: who is meant, and what for.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{GroupId, PersonId, SerialNumber};

/// What a deployment is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    /// Installed automatically.
    Required,
    /// May be asked for; what has been asked for stays.
    Available,
    /// Removed, and the licence given back.
    Uninstall,
}

impl Purpose {
    /// The word used in the store, in JSON and on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Purpose::Required => "required",
            Purpose::Available => "available",
            Purpose::Uninstall => "uninstall",
        }
    }

    /// The purpose for a word.
    pub fn from_word(word: &str) -> Option<Purpose> {
        [Purpose::Required, Purpose::Available, Purpose::Uninstall].into_iter().find(|p| p.word() == word)
    }
}

/// To what a licence is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LicenceKind {
    /// To the device's serial number: one licence a device, no Apple Account.
    #[default]
    Device,
    /// To the registered user of the device's person: one licence for all devices of the person.
    User,
    /// To the device where Apple allows it, else to its person.
    DeviceIfPossible,
}

impl LicenceKind {
    /// The word used in the store, in JSON and on the command line.
    pub fn word(self) -> &'static str {
        match self {
            LicenceKind::Device => "device",
            LicenceKind::User => "user",
            LicenceKind::DeviceIfPossible => "device-if-possible",
        }
    }

    /// The kind for a word.
    pub fn from_word(word: &str) -> Option<LicenceKind> {
        [LicenceKind::Device, LicenceKind::User, LicenceKind::DeviceIfPossible].into_iter().find(|k| k.word() == word)
    }
}

/// When the apps of a deployment are updated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UpdatePolicy {
    /// As the location or the appliance says.
    #[default]
    Inherit,
    Immediately,
    Scheduled,
    Never,
}

impl UpdatePolicy {
    /// The word used in the store, in JSON and on the command line.
    pub fn word(self) -> &'static str {
        match self {
            UpdatePolicy::Inherit => "inherit",
            UpdatePolicy::Immediately => "immediately",
            UpdatePolicy::Scheduled => "scheduled",
            UpdatePolicy::Never => "never",
        }
    }

    /// The policy for a word.
    pub fn from_word(word: &str) -> Option<UpdatePolicy> {
        [UpdatePolicy::Inherit, UpdatePolicy::Immediately, UpdatePolicy::Scheduled, UpdatePolicy::Never]
            .into_iter()
            .find(|p| p.word() == word)
    }
}

/// How an app comes to devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Delivery {
    /// By declaration where the device can, else by command; what a command has installed stays as it is.
    #[default]
    Auto,
    /// By command.
    Command,
    /// By declaration where the device can; what a command has installed is moved, without being installed again.
    Declarative,
}

impl Delivery {
    /// The word used in the store, in JSON and on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Delivery::Auto => "auto",
            Delivery::Command => "command",
            Delivery::Declarative => "declarative",
        }
    }

    /// The delivery for a word.
    pub fn from_word(word: &str) -> Option<Delivery> {
        [Delivery::Auto, Delivery::Command, Delivery::Declarative].into_iter().find(|d| d.word() == word)
    }
}

/// Who is meant by a deployment. The text is what the store keeps; people write a group's and a person's name instead of
/// the number.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Target {
    /// Every enrolled device.
    AllDevices,
    /// The device with this serial number, enrolled or not yet.
    Serial(SerialNumber),
    /// The devices of a group, or the devices of its people.
    Group(GroupId),
    /// The devices of a person.
    Person(PersonId),
}

/// A target that cannot be read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "\"{0}\" is no target: say \"all-devices\", \"serial:\" and the serial number, \"group:\" and the group's name, or \"person:\" and the e-mail address"
)]
pub struct TargetError(String);

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Target, TargetError> {
        let refuse = || TargetError(text.chars().take(80).collect());
        if text == "all-devices" {
            return Ok(Target::AllDevices);
        }
        match text.split_once(':').ok_or_else(refuse)? {
            ("serial", serial) => SerialNumber::read(serial).map(Target::Serial).ok_or_else(refuse),
            ("group", number) => number.parse().map(|id| Target::Group(GroupId(id))).map_err(|_| refuse()),
            ("person", number) => number.parse().map(|id| Target::Person(PersonId(id))).map_err(|_| refuse()),
            _ => Err(refuse()),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::AllDevices => f.write_str("all-devices"),
            Target::Serial(serial) => write!(f, "serial:{serial}"),
            Target::Group(id) => write!(f, "group:{id}"),
            Target::Person(id) => write!(f, "person:{id}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_reads_as_it_prints() {
        for text in ["all-devices", "serial:QX7T2M9K1P", "group:3", "person:14"] {
            assert_eq!(text.parse::<Target>().unwrap().to_string(), text);
        }
        for bad in ["", "all", "serial:", "serial:a b", "group:x"] {
            assert!(bad.parse::<Target>().is_err(), "{bad:?}");
        }
    }
}
