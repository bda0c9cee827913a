//! Apple: Install Profile. Here always the enrolment profile itself, in place of the one that the device has: the device gets
//! a new identity by it.

use plist::{Dictionary, Value};
use serde::{Deserialize, Serialize};

/// Puts a profile in the place of the one with the same identifier.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstallProfile {
    /// Which profile it is; what is kept of the command.
    pub reference: String,
    /// The profile as it goes to the device. Holds a one-time secret, so it is made when the command is handed out.
    #[serde(skip)]
    pub payload: Vec<u8>,
}

impl InstallProfile {
    pub(super) fn write(&self, command: &mut Dictionary) {
        command.insert("Payload".into(), Value::Data(self.payload.clone()));
    }
}
