//! A deployment's nouns: who is meant, and what for.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::SerialNumber;

/// What a deployment is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Purpose {
    /// Installed automatically.
    Required,
    /// Removed, and the licence given back.
    Uninstall,
}

impl Purpose {
    /// The word used in the store, in JSON and on the command line.
    pub fn word(self) -> &'static str {
        match self {
            Purpose::Required => "required",
            Purpose::Uninstall => "uninstall",
        }
    }

    /// The purpose for a word.
    pub fn from_word(word: &str) -> Option<Purpose> {
        [Purpose::Required, Purpose::Uninstall].into_iter().find(|p| p.word() == word)
    }
}

/// Who is meant by a deployment.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Target {
    /// Every enrolled device.
    AllDevices,
    /// The device with this serial number, enrolled or not yet.
    Serial(SerialNumber),
}

/// A target that cannot be read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("\"{0}\" is no target: say \"all-devices\", or \"serial:\" and the serial number (letters and digits)")]
pub struct TargetError(String);

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Target, TargetError> {
        let refuse = || TargetError(text.chars().take(80).collect());
        if text == "all-devices" {
            return Ok(Target::AllDevices);
        }
        let serial = text.strip_prefix("serial:").ok_or_else(refuse)?;
        SerialNumber::read(serial).map(Target::Serial).ok_or_else(refuse)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::AllDevices => f.write_str("all-devices"),
            Target::Serial(serial) => write!(f, "serial:{serial}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_reads_as_it_prints() {
        for text in ["all-devices", "serial:QX7T2M9K1P"] {
            assert_eq!(text.parse::<Target>().unwrap().to_string(), text);
        }
        for bad in ["", "all", "serial:", "serial:a b", "group:x"] {
            assert!(bad.parse::<Target>().is_err(), "{bad:?}");
        }
    }
}
