//! Apple: Managed Application List. The truth about what is managed, and in which state.

use plist::Dictionary;
use serde::{Deserialize, Serialize};

use crate::mdm::wire::texts;

/// Asks for the state of managed apps.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManagedApplicationList {
    /// Bundle ids; empty means all.
    #[serde(default)]
    pub identifiers: Vec<String>,
}

impl ManagedApplicationList {
    pub(super) fn write(&self, command: &mut Dictionary) {
        if !self.identifiers.is_empty() {
            command.insert("Identifiers".into(), texts(self.identifiers.iter().map(String::as_str)));
        }
    }
}
