//! Apps, books and subscriptions, and where each app stands on each device, as the doors show them.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::model::AppInfo;

/// `GET /v1/apps?search=…`: which apps and books are listed. What is absent narrows nothing.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct AppQuery {
    /// Part of the name, the developer, the bundle id or the number.
    pub search: Option<String>,
    /// Name or uId.
    pub location: Option<String>,
    /// `app` or `book`.
    pub kind: Option<String>,
    /// `iOS`, `macOS`, `tvOS`, `watchOS` or `visionOS`.
    pub platform: Option<String>,
    /// One entry under each location instead of one in all.
    pub by_token: bool,
}

/// One asset, under one location or summed over several. `GET /v1/apps`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AppView {
    pub adam_id: String,
    pub pricing_param: String,
    /// The location's name; of several, all names with commas between.
    pub location: String,
    pub locations: Vec<String>,
    /// `App` or `Book`.
    pub product_type: String,
    /// Known once the store or a device has told it.
    pub bundle_id: Option<String>,
    pub platforms: Vec<String>,
    pub device_assignable: bool,
    pub revocable: bool,
    /// As many licences as wanted: `owned` is Apple's greatest number (2147483647) then, and `free` counts down from it;
    /// neither means anything.
    pub unlimited: bool,
    pub owned: u64,
    /// Assigned at Apple, as far as known.
    pub assigned: u64,
    /// Being assigned or taken back right now.
    pub reserved: u64,
    /// What a decision may still use: never more than Apple has.
    pub free: u64,
    /// Devices that shall have the app.
    pub wanted: u64,
    pub installed: u64,
    pub waiting: u64,
    pub failed: u64,
    /// What Apple's store tells of it; absent until it has.
    pub info: Option<AppInfo>,
}

/// `GET /v1/report/licences`: an app's licences under all locations together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LicenceReportView {
    pub adam_id: String,
    /// Empty when it is not known.
    pub name: String,
    /// As many as wanted: `bought` and `free` mean nothing then.
    pub unlimited: bool,
    pub bought: u64,
    /// Assigned at Apple, as far as known.
    pub used: u64,
    /// Being assigned or taken back right now.
    pub reserved: u64,
    pub free: u64,
    /// Devices that wait for one.
    pub waiting: u64,
    /// To be bought so that nobody waits.
    pub needed: u64,
    /// More used a day, over the last two weeks.
    pub per_day: f64,
    /// The day on which none is left, at this rate: `2026-11-27`.
    pub used_up_on: Option<String>,
    /// The same in words; empty when there is nothing to tell.
    pub forecast: String,
}

/// `GET /v1/subscriptions`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubscriptionView {
    pub location: String,
    pub adam_id: String,
    /// Empty when it is not known.
    pub name: String,
    /// The app it belongs to.
    pub parent_adam_id: Option<String>,
    pub parent_name: String,
    /// Apple's word: `ACTIVE`, `INACTIVE`, `PAUSED`.
    pub status: String,
    /// The day on which seats renew or expire.
    pub period_end: String,
    /// By the state of the assignment.
    pub assigned: SeatsView,
    pub available: SeatsView,
    /// Owned in all.
    pub total: SeatsView,
}

/// Seats by what happens to them at the end of the period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeatsView {
    pub renewing: u64,
    pub expiring: u64,
}

/// `GET /v1/apps/{adamId}`: the asset under each location, and where each pair stands.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AppDetailView {
    pub apps: Vec<AppView>,
    pub pairs: Vec<PairView>,
}

/// Where one app stands on one device, and why.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PairView {
    pub adam_id: String,
    /// The app's; empty when it is not known.
    #[serde(default)]
    pub name: String,
    pub serial: String,
    pub stage: Stage,
    /// One sentence for a person: why it is so and what happens next.
    pub why: String,
    pub licence: LicenceState,
    /// The device's last word about the app, in Apple's spelling (`Managed`, `Prompting`, ...); empty when it has said nothing.
    pub app_status: String,
    /// The app comes to the device by declaration.
    #[serde(default)]
    pub declared: bool,
    /// Place in the waiting list for a licence, from 1.
    pub position: Option<u32>,
    /// When vppd will try or look again.
    pub next_at: Option<Timestamp>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LicenceState {
    None,
    /// Asked for; Apple has not finished.
    Requested,
    Assigned,
    /// Being taken back; Apple has not finished.
    Returning,
}

/// The stages of a pair, in the order in which it goes through them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Cannot be done as things are (not device-assignable, no such asset, no valid token, ...).
    Blocked,
    WaitingForLicence,
    LicenceRequested,
    /// The install command waits for the device to come.
    InstallQueued,
    /// The device has accepted the command and works.
    Installing,
    /// The device asks its user.
    WaitingForPerson,
    Installed,
    /// The licence is held, and no install is wanted.
    LicenceHeld,
    /// The person declined.
    Rejected,
    /// Given up after retries; the reason says which.
    Failed,
    /// The remove command waits for the device, or its confirmation is awaited.
    Removing,
    LicenceReturning,
    /// Removed and the licence given back.
    Removed,
}

impl Stage {
    /// The word that JSON and tables use.
    pub fn word(self) -> &'static str {
        match self {
            Stage::Blocked => "blocked",
            Stage::WaitingForLicence => "waiting-for-licence",
            Stage::LicenceRequested => "licence-requested",
            Stage::InstallQueued => "install-queued",
            Stage::Installing => "installing",
            Stage::WaitingForPerson => "waiting-for-person",
            Stage::Installed => "installed",
            Stage::LicenceHeld => "licence-held",
            Stage::Rejected => "rejected",
            Stage::Failed => "failed",
            Stage::Removing => "removing",
            Stage::LicenceReturning => "licence-returning",
            Stage::Removed => "removed",
        }
    }
}
