//! Decisions by hand, licences that nobody uses, and licences taken back from others, as the doors show them and take them.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What is decided by hand about an app and a holder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DecisionView {
    Assigned,
    Revoked,
}

/// `POST /v1/by-hand`: each of `apps` for each of `holders`, and each of `items`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ByHandRequest {
    pub decision: DecisionView,
    /// Numbers, bundle ids or names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub apps: Vec<String>,
    /// `serial:C02...` or `person:` with an e-mail address, a number or a GUID.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub holders: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub items: Vec<ByHandItem>,
    /// The name or uId of the location whose licences are meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// Assign the licence and do not install the app.
    #[serde(default)]
    pub licence_only: bool,
    /// Tell what would be done, and do nothing.
    #[serde(default)]
    pub dry_run: bool,
    /// How many items whoever asks has seen that can be done; another number refuses all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<u64>,
}

/// One app for one holder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ByHandItem {
    pub app: String,
    pub holder: String,
}

/// What is done, or would be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ByHandView {
    pub decision: DecisionView,
    /// Nothing was done.
    pub dry_run: bool,
    /// Items that can be done.
    pub possible: u64,
    pub impossible: u64,
    /// Licences that are taken, or come back.
    pub licences: u64,
    /// Those of them that never come back: books.
    pub for_good: u64,
    pub apps: Vec<ByHandAppView>,
    pub items: Vec<ByHandItemView>,
    /// The tasks that follow what comes back without a device's doing.
    pub tasks: Vec<i64>,
}

/// The numbers of one app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ByHandAppView {
    pub adam_id: String,
    pub name: String,
    pub items: u64,
    /// Licences that are taken, or come back.
    pub licences: u64,
    pub impossible: u64,
    /// Free ones before; null when there are as many as wanted.
    pub free: Option<u64>,
    /// Free ones after.
    pub free_after: Option<u64>,
}

/// What becomes of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ByHandOutcome {
    /// A licence is taken.
    Assigns,
    /// A licence is held already, and stays.
    Held,
    /// What is held comes back.
    TakesBack,
    /// Nothing is held, and no deployment will change that.
    Noted,
    Impossible,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ByHandItemView {
    /// As it was asked for, where no such app is known.
    pub adam_id: String,
    pub name: String,
    /// `serial:C02...` or `person:EMAIL`.
    pub holder: String,
    pub outcome: ByHandOutcome,
    /// Whose licence it is; null when none moves.
    pub location: Option<String>,
    /// Why it is impossible, for programs; empty otherwise.
    pub code: String,
    /// In words.
    pub why: String,
}

/// `GET /v1/by-hand`: what holds until it is released.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldByHandView {
    pub adam_id: String,
    pub name: String,
    pub holder: String,
    pub decision: DecisionView,
    pub location: Option<String>,
    pub licence_only: bool,
    pub decided_at: Timestamp,
    pub decided_by: String,
}

/// `POST /v1/by-hand/release`
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ReleaseRequest {
    pub apps: Vec<String>,
    pub holders: Vec<String>,
}

/// Who gave a licence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WhoseView {
    Ours,
    /// Somebody else; vppd has taken it over.
    Adopted,
    Foreign,
}

/// `GET /v1/waste?days=N`: an app with licences that are held while it is not installed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WasteView {
    pub adam_id: String,
    pub name: String,
    pub licences: u64,
    pub ours: u64,
    pub adopted: u64,
    pub foreign: u64,
    /// Since when the first of them is unused, as far as vppd has seen it.
    pub since: Timestamp,
    pub holders: Vec<WasteHolderView>,
}

/// A licence that nobody uses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WasteHolderView {
    /// `serial:C02...`, `person:EMAIL`, or `user:` and the id of a user whom vppd has not registered.
    pub holder: String,
    pub location: String,
    pub whose: WhoseView,
    /// As far as vppd has seen it.
    pub since: Timestamp,
    /// Why the app is not there.
    pub why: String,
    /// What can be done.
    pub advice: String,
}

/// `POST /v1/reclaim`
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ReclaimRequest {
    /// This app only: number, bundle id or name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<String>,
    /// Under this location only: name or uId.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    #[serde(default)]
    pub dry_run: bool,
    /// How many licences whoever asks has seen; another number refuses all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<u64>,
}

/// Licences that vppd has neither given nor adopted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReclaimView {
    pub dry_run: bool,
    /// Licences that come back.
    pub licences: u64,
    pub apps: Vec<ReclaimAppView>,
    /// The tasks that follow them.
    pub tasks: Vec<i64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReclaimAppView {
    pub adam_id: String,
    pub name: String,
    pub location: String,
    pub devices: u64,
    pub users: u64,
    /// Why they stay; empty when they come back.
    pub why_not: String,
}

/// `GET /v1/devices/{serial or UDID}/removal`: what hangs on a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceRemovalView {
    pub serial: String,
    pub udid: String,
    /// Licences that come back: vppd has given or adopted them.
    pub comes_back: u64,
    /// Licences that somebody else has given.
    pub foreign: u64,
    /// Decisions by hand that are released.
    pub by_hand: u64,
}
