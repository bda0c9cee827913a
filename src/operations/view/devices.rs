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
