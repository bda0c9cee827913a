//! Devices and their enrolment, as the doors show them.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::PairView;
use crate::model::Ownership;

/// `GET /v1/devices`
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DeviceView {
    /// Empty while the device has not told it.
    pub serial: String,
    pub udid: String,
    pub state: DeviceState,
    pub model: String,
    pub os_version: String,
    pub supervised: Option<bool>,
    pub enrolled_at: Option<Timestamp>,
    pub last_seen: Option<Timestamp>,
    /// Why the device cannot be woken; empty when it can.
    pub push_problem: String,
    pub identity_expires_at: Option<Timestamp>,
    /// The e-mail address of its person; empty without one.
    #[serde(default)]
    pub person: String,
    #[serde(default)]
    pub ownership: Option<Ownership>,
    #[serde(default)]
    pub tags: Vec<String>,
    /// Commands that wait.
    pub queue: u64,
    pub apps_wanted: u64,
    pub apps_installed: u64,
    #[serde(flatten, default)]
    pub about: AboutView,
}

/// What a device has told of itself, and how it answers; part of [`DeviceView`].
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct AboutView {
    /// What its person calls it.
    pub name: String,
    /// What people call the model; empty for one that is newer than vppd.
    pub model_name: String,
    /// `iOS`, `macOS`, ...; empty when the model is not known.
    pub platform: String,
    pub build_version: String,
    /// Enrolled by its person: it tells neither UDID nor serial number.
    pub user_enrolment: bool,
    pub contact: ContactView,
    /// Bytes; `None`, here and below: not told.
    pub capacity: Option<u64>,
    /// Bytes.
    pub available: Option<u64>,
    /// Somebody is signed in to the App Store.
    pub store_account: Option<bool>,
    /// A Shared iPad.
    pub multi_user: Option<bool>,
    /// It waits in its assistant to be set up.
    pub awaiting_configuration: Option<bool>,
    /// When it told this.
    pub inventory_at: Option<Timestamp>,
}

/// Whether an enrolled device answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ContactView {
    /// It is not enrolled.
    #[default]
    None,
    Ok,
    /// Every pause between pushes has passed, and it has not come; it is pushed on.
    Silent,
    /// Not heard of for `[devices] missing-after`, or APNs does not know its token any more.
    Missing,
}

/// `GET /v1/devices?...`: devices to which all of this applies.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct DeviceQuery {
    /// A rule, as groups have it.
    pub rule: Option<String>,
    /// The name of a group that they are in.
    pub group: Option<String>,
    /// Enrolled, and not heard of for so long: `7d`.
    pub silent: Option<String>,
    pub contact: Option<ContactView>,
    /// By number, bundle id or name: it is wanted there, or being taken away.
    pub app: Option<String>,
    /// Where that app stands, or any.
    pub stage: Option<String>,
}

/// An app on a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstalledAppView {
    pub bundle_id: String,
    /// What the device calls it.
    pub name: String,
    pub version: String,
    pub managed: bool,
    /// Empty for one that vppd has not put there.
    pub adam_id: String,
    /// Bytes, with its data.
    pub size: Option<u64>,
    pub update_available: Option<bool>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DeviceState {
    /// Authenticate was accepted; the first TokenUpdate has not come.
    Enrolling,
    Enrolled,
    CheckedOut,
    /// An administrator said that it is gone.
    Removed,
}

/// `GET /v1/devices/{serial or UDID}`
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DeviceDetailView {
    pub device: DeviceView,
    /// The groups that it is in now.
    #[serde(default)]
    pub groups: Vec<String>,
    pub pairs: Vec<PairView>,
    /// How it stands to declarations; absent when it was never asked.
    #[serde(default)]
    pub declarations: Option<DeclaringView>,
    /// All apps that the device has told of; of a personal one the managed ones.
    #[serde(default)]
    pub installed: Vec<InstalledAppView>,
    /// When it told them.
    #[serde(default)]
    pub installed_at: Option<Timestamp>,
    /// The queue and the latest answers, newest first.
    pub commands: Vec<CommandView>,
}

/// How a device stands to declarations (Apple: Declarative Management).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DeclaringView {
    /// `asked`, `on`, `refused`.
    pub state: String,
    /// Apps can be declared to it.
    pub apps: bool,
    /// It tells by itself of apps that commands have installed.
    pub tells_of_apps: bool,
    /// It has fetched all that is declared to it.
    pub in_step: bool,
    /// When it last reported its status.
    pub told_at: Option<Timestamp>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CommandView {
    pub uuid: String,
    pub request_type: String,
    /// adamId or bundle id it is about; empty otherwise.
    pub subject: String,
    /// `queued`, `sent`, `not-now`, `acknowledged`, `error`, `format-error`, `withdrawn`.
    pub state: String,
    pub queued_at: Timestamp,
    pub answered_at: Option<Timestamp>,
    /// The device's error chain in words.
    pub error: String,
}

/// `POST /v1/enrolment-profiles`
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct EnrolRequest {
    /// Only the device with this serial number may use the profile.
    #[serde(default)]
    pub serial: Option<String>,
    /// How many devices may use it; 1 if absent.
    #[serde(default)]
    pub count: Option<u32>,
    /// Until when; `[enrolment] profile-lifetime` if absent.
    #[serde(default)]
    pub expires_at: Option<Timestamp>,
}

#[derive(Serialize, Deserialize)]
pub struct EnrolView {
    /// Suggested file name.
    pub file_name: String,
    /// The profile (base64). Holds the SCEP challenge: whoever has it can enrol.
    pub profile: String,
    pub signed: bool,
    pub reference: String,
    pub serial: Option<String>,
    pub count: u32,
    pub expires_at: Timestamp,
}

/// `POST /v1/enrolment-codes` and `POST /v1/enrolment-links`
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct EnrolCodesRequest {
    /// How many codes, or how many devices may use the link; 1 if absent.
    #[serde(default)]
    pub count: Option<u32>,
    /// What to call them.
    #[serde(default)]
    pub label: Option<String>,
    /// Until when; thirty days if absent.
    #[serde(default)]
    pub expires_at: Option<Timestamp>,
}

/// Codes, the only time that they are told: whoever has one can enrol a device.
#[derive(Serialize, Deserialize)]
pub struct EnrolCodesView {
    /// All of them by one name.
    pub batch: String,
    pub label: String,
    pub organisation: String,
    /// Where a code can be typed.
    pub page: String,
    /// SHA-256 of what devices must trust to reach that page; empty when they trust it by themselves.
    pub fingerprints: Vec<String>,
    pub expires_at: Timestamp,
    pub codes: Vec<EnrolCodeView>,
}

#[derive(Serialize, Deserialize)]
pub struct EnrolCodeView {
    pub reference: String,
    pub code: String,
    /// The page with the code filled in.
    pub url: String,
}

/// A link, the only time that it is told.
#[derive(Serialize, Deserialize)]
pub struct EnrolLinkView {
    pub reference: String,
    pub label: String,
    pub url: String,
    pub count: u32,
    pub expires_at: Timestamp,
}

/// `GET /v1/enrolments`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnrolmentView {
    pub reference: String,
    /// `profile`, `code`, `link` or `person`.
    pub kind: String,
    /// Of codes that were made together; empty otherwise.
    pub batch: String,
    pub label: String,
    pub serial: Option<String>,
    pub state: EnrolmentState,
    /// Devices that may use it, and that have.
    pub uses: u32,
    pub used: u32,
    pub expires_at: Timestamp,
    pub created_at: Timestamp,
    pub created_by: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EnrolmentState {
    Open,
    Used,
    Expired,
    Revoked,
}

/// `DELETE /v1/enrolments/{reference or batch}`
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EnrolRevokedView {
    pub name: String,
    /// How many could still have been used.
    pub revoked: u64,
}

/// `GET /v1/enrolment-trust`
#[derive(Serialize, Deserialize)]
pub struct EnrolTrustView {
    /// The profile (base64); absent when devices trust the server by themselves.
    pub profile: Option<String>,
    /// SHA-256 of each certificate in it.
    pub fingerprints: Vec<String>,
}
