//! Apple: Remove Application. Removes a managed app and its data; the licence stays assigned.

use plist::Dictionary;
use serde::{Deserialize, Serialize};

/// Removes one managed app. Macs need version 11 and an app that was installed as managed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoveApplication {
    /// Bundle id.
    pub identifier: String,
}

impl RemoveApplication {
    pub(super) fn write(&self, command: &mut Dictionary) {
        command.insert("Identifier".into(), self.identifier.as_str().into());
    }
}
