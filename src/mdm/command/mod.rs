//! The commands which vppd sends to devices, one file each.
//!
//! A command is made by whoever wants something of a device, stored as JSON in the queue, and encoded as a property
//! list at the moment it is handed out. Knows nothing of queue, devices and licences.

mod declarative_management;
mod device_information;
mod install_application;
mod install_profile;
mod installed_application_list;
mod managed_application_list;
mod remove_application;

use plist::Value;
use serde::{Deserialize, Serialize};

pub use self::declarative_management::DeclarativeManagement;
pub use self::device_information::DeviceInformation;
pub use self::install_application::InstallApplication;
pub use self::install_profile::InstallProfile;
pub use self::installed_application_list::InstalledApplicationList;
pub use self::managed_application_list::ManagedApplicationList;
pub use self::remove_application::RemoveApplication;
use super::wire::{dictionary, xml};

/// One command. Its JSON is an object whose `RequestType` is Apple's name of the command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "RequestType")]
pub enum Command {
    InstallApplication(InstallApplication),
    RemoveApplication(RemoveApplication),
    ManagedApplicationList(ManagedApplicationList),
    InstalledApplicationList(InstalledApplicationList),
    DeviceInformation(DeviceInformation),
    DeclarativeManagement(DeclarativeManagement),
    InstallProfile(InstallProfile),
}

/// Which commands go first. The order of the variants is the order of sending.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Priority {
    /// Questions: their answers may make other commands needless.
    Inventory,
    /// Removals make room.
    Removal,
    Install,
}

impl Command {
    /// Apple's name of the command.
    pub fn request_type(&self) -> &'static str {
        match self {
            Command::InstallApplication(_) => "InstallApplication",
            Command::RemoveApplication(_) => "RemoveApplication",
            Command::ManagedApplicationList(_) => "ManagedApplicationList",
            Command::InstalledApplicationList(_) => "InstalledApplicationList",
            Command::DeviceInformation(_) => "DeviceInformation",
            Command::DeclarativeManagement(_) => "DeclarativeManagement",
            Command::InstallProfile(_) => "InstallProfile",
        }
    }

    /// When it goes, compared with others for the same device.
    pub fn priority(&self) -> Priority {
        match self {
            Command::InstallApplication(_) => Priority::Install,
            Command::RemoveApplication(_) => Priority::Removal,
            Command::ManagedApplicationList(_)
            | Command::InstalledApplicationList(_)
            | Command::DeviceInformation(_)
            | Command::DeclarativeManagement(_)
            | Command::InstallProfile(_) => Priority::Inventory,
        }
    }

    /// The body of the reply to a device: an XML property list with `CommandUUID` and `Command`.
    pub fn encode(&self, uuid: &str) -> Vec<u8> {
        let mut command = dictionary([("RequestType", self.request_type().into())]);
        match self {
            Command::InstallApplication(install) => install.write(&mut command),
            Command::RemoveApplication(remove) => remove.write(&mut command),
            Command::ManagedApplicationList(list) => list.write(&mut command),
            Command::InstalledApplicationList(list) => list.write(&mut command),
            Command::DeviceInformation(query) => query.write(&mut command),
            Command::DeclarativeManagement(_) => {}
            Command::InstallProfile(install) => install.write(&mut command),
        }
        xml(dictionary([("CommandUUID", uuid.into()), ("Command", Value::Dictionary(command))]))
    }
}

#[cfg(test)]
mod tests;
