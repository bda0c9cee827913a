//! Apple: Install Application. The same command installs, updates and takes over.

use plist::{Dictionary, Value};
use serde::{Deserialize, Serialize};

use crate::mdm::wire::dictionary;

/// Licence assignment, the only way to pay that vppd knows. Apple's default 0 would ask for redemption codes.
const PURCHASE_METHOD_LICENCE: u64 = 1;
/// The app goes when the management profile goes.
const REMOVE_WITH_PROFILE: u64 = 1;

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
}

impl InstallApplication {
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
    }
}
