//! Identifiers. Row numbers of the store get a type each, so that a device's cannot be passed for a location's.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! row_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub i64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

row_id!(
    /// A location (one content token manages one).
    LocationId
);
row_id!(
    /// A device that has enrolled at some time.
    DeviceId
);
row_id!(
    /// A deployment.
    DeploymentId
);
row_id!(
    /// A person.
    PersonId
);
row_id!(
    /// A group of devices or of people.
    GroupId
);

/// A serial number as Apple's licence service is given it: upper case, without spaces around it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SerialNumber(String);

impl SerialNumber {
    /// Reads what a device or a person gives; `None` unless it is 1 to 64 letters and digits.
    pub fn read(text: &str) -> Option<SerialNumber> {
        let text = text.trim();
        let fits = (1..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric());
        fits.then(|| SerialNumber(text.to_ascii_uppercase()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SerialNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Apple's `pricingParam`: `STDQ` or `PLUS`; kept as text because Apple may add more.
pub type Pricing = String;

/// `CommandUUID` of an MDM command.
pub type CommandUuid = String;

/// Our own id of a licence event (Apple's `eventId` comes later, or never).
pub type EventRef = String;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serial_numbers_are_trimmed_and_upper_case() {
        assert_eq!(SerialNumber::read(" qx7t2m9k1p \n").unwrap().as_str(), "QX7T2M9K1P");
        for bad in ["", "  ", "QX7 T2", "QX7;DROP", "é", &"A".repeat(65)] {
            assert_eq!(SerialNumber::read(bad), None, "{bad:?}");
        }
    }
}
