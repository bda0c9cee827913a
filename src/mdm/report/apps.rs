//! Results about apps: what became of an installation, which apps are managed, which are installed.

use std::collections::BTreeMap;

use plist::{Dictionary, Value};

use super::Report;
use crate::mdm::wire::{BadKey, apple_words, flag, number, text};

apple_words! {
    /// State of a managed app. Apple: Managed Application List, key `Status`; Install Application, key `State`.
    AppStatus {
        Queued,
        /// Wants a redemption code: the command was sent with the wrong purchase method.
        NeedsRedemption,
        Redeeming,
        Prompting,
        PromptingForLogin,
        ValidatingPurchase,
        Installing,
        Managed,
        /// The person deleted the app; installing it again makes it managed again.
        ManagedButUninstalled,
        PromptingForManagement,
        PromptingForUpdate,
        PromptingForUpdateLogin,
        ValidatingUpdate,
        Updating,
        /// The person had installed the app before; it is not managed.
        UserInstalledApp,
        UserRejected,
        UpdateRejected,
        ManagementRejected,
        Failed,
        /// Apple's own word for "cannot tell": ask again.
        Unknown,
    } else Other
}

impl AppStatus {
    /// There and managed: nothing is left to do.
    pub fn is_done(&self) -> bool {
        matches!(self, AppStatus::Managed)
    }

    /// Some copy of the app is on the device and can be used: managed, an older version, or the person's own.
    pub fn is_installed(&self) -> bool {
        use AppStatus::*;
        matches!(
            self,
            Managed
                | PromptingForManagement
                | PromptingForUpdate
                | PromptingForUpdateLogin
                | ValidatingUpdate
                | Updating
                | UserInstalledApp
                | UpdateRejected
                | ManagementRejected
        )
    }

    /// The device goes on by itself.
    pub fn is_working(&self) -> bool {
        use AppStatus::*;
        matches!(self, Queued | Redeeming | ValidatingPurchase | Installing | ValidatingUpdate | Updating)
    }

    /// Nothing happens until somebody answers on the device; this can last for days.
    pub fn waits_for_person(&self) -> bool {
        use AppStatus::*;
        matches!(
            self,
            Prompting | PromptingForLogin | PromptingForManagement | PromptingForUpdate | PromptingForUpdateLogin
        )
    }

    /// The person declined. Do not ask again by machine.
    pub fn is_final_refusal(&self) -> bool {
        matches!(self, AppStatus::UserRejected | AppStatus::UpdateRejected | AppStatus::ManagementRejected)
    }

    /// The device gave up, for a reason it does not tell here.
    pub fn is_failure(&self) -> bool {
        matches!(self, AppStatus::Failed)
    }

    /// The app was there and the person deleted it.
    pub fn is_gone(&self) -> bool {
        matches!(self, AppStatus::ManagedButUninstalled)
    }
}

apple_words! {
    /// Why an installation was refused. Apple: Install Application, key `RejectionReason`.
    RejectionReason {
        AppAlreadyInstalled,
        AppAlreadyQueued,
        NotSupported,
        CouldNotVerifyAppID,
        AppStoreDisabled,
        NotAnApp,
        PurchaseMethodNotSupported,
        PurchaseMethodNotSupportedInMultiUser,
        PurchaseNotFound,
        ManagementChangeNotSupported,
        /// Everything else, and the only value from a Mac: read the error chain.
        Other,
    } else Unlisted
}

/// Apple: Install Application, the reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstallResult {
    /// Bundle id; may be missing on a Mac.
    pub identifier: Option<String>,
    pub state: Option<AppStatus>,
    pub rejection: Option<RejectionReason>,
}

/// One entry of Apple's Managed Application List.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ManagedApp {
    pub status: AppStatus,
    /// The App Store's number for this build.
    pub external_version_identifier: Option<u64>,
    pub management_flags: Option<u64>,
    /// Whether the server has set a configuration.
    pub has_configuration: Option<bool>,
}

/// One entry of Apple's Installed Application List. Every key may be missing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InstalledApp {
    /// Bundle id.
    pub identifier: Option<String>,
    pub name: Option<String>,
    /// Build version. Meaningless while `installing`.
    pub version: Option<String>,
    /// The version as people know it.
    pub short_version: Option<String>,
    pub external_version_identifier: Option<u64>,
    /// Refreshed by the device about once a day.
    pub has_update_available: Option<bool>,
    /// Installed with a device licence. Not from Macs.
    pub device_based_vpp: Option<bool>,
    /// A placeholder: the download runs.
    pub installing: bool,
    /// The download failed, was paused or was cancelled.
    pub download_stuck: bool,
    /// Bytes.
    pub bundle_size: Option<u64>,
    /// Bytes of the app's data.
    pub dynamic_size: Option<u64>,
}

impl Report {
    /// The reply to InstallApplication. Every key may be missing.
    pub fn install_result(&self) -> InstallResult {
        InstallResult {
            identifier: text(&self.body, "Identifier").filter(|id| !id.is_empty()),
            state: text(&self.body, "State").map(AppStatus::from),
            rejection: text(&self.body, "RejectionReason").map(RejectionReason::from),
        }
    }

    /// The reply to ManagedApplicationList, by bundle id. An entry without status counts as `Unknown`.
    pub fn managed_apps(&self) -> Result<BTreeMap<String, ManagedApp>, BadKey> {
        const KEY: &str = "ManagedApplicationList";
        let list = self.body.get(KEY).ok_or(BadKey::Missing(KEY))?;
        let list = list.as_dictionary().ok_or(BadKey::WrongType(KEY))?;
        Ok(list.iter().filter_map(|(id, entry)| Some((id.clone(), managed_app(entry.as_dictionary()?)))).collect())
    }

    /// The reply to InstalledApplicationList.
    pub fn installed_apps(&self) -> Result<Vec<InstalledApp>, BadKey> {
        const KEY: &str = "InstalledApplicationList";
        let list = self.body.get(KEY).ok_or(BadKey::Missing(KEY))?;
        let list = list.as_array().ok_or(BadKey::WrongType(KEY))?;
        Ok(list.iter().filter_map(Value::as_dictionary).map(installed_app).collect())
    }
}

fn managed_app(entry: &Dictionary) -> ManagedApp {
    ManagedApp {
        status: text(entry, "Status").map_or(AppStatus::Unknown, AppStatus::from),
        external_version_identifier: number(entry, "ExternalVersionIdentifier"),
        management_flags: number(entry, "ManagementFlags"),
        has_configuration: flag(entry, "HasConfiguration"),
    }
}

fn installed_app(entry: &Dictionary) -> InstalledApp {
    let stuck = ["DownloadFailed", "DownloadPaused", "DownloadCancelled"];
    InstalledApp {
        identifier: text(entry, "Identifier"),
        name: text(entry, "Name"),
        version: text(entry, "Version"),
        short_version: text(entry, "ShortVersion"),
        external_version_identifier: number(entry, "ExternalVersionIdentifier"),
        has_update_available: flag(entry, "HasUpdateAvailable"),
        device_based_vpp: flag(entry, "DeviceBasedVPP"),
        installing: flag(entry, "Installing").unwrap_or(false),
        download_stuck: stuck.iter().any(|key| flag(entry, key).unwrap_or(false)),
        bundle_size: number(entry, "BundleSize"),
        dynamic_size: number(entry, "DynamicSize"),
    }
}
