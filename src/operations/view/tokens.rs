//! Content tokens and their locations, as the doors show them.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::TaskView;

/// `POST /v1/tokens`: the text of a `.vpptoken` file.
#[derive(Serialize, Deserialize)]
pub struct TokenAddRequest {
    /// What the administrator calls this location.
    pub name: String,
    /// The file's content as it is; never shown again.
    pub content: String,
    /// Take the location over from another MDM on purpose.
    #[serde(default)]
    pub take_over: bool,
}

/// `POST /v1/tokens/{name or uId}/renew`: the text of a newer `.vpptoken` file of the same location.
#[derive(Serialize, Deserialize)]
pub struct TokenRenewRequest {
    pub content: String,
}

/// `POST /v1/tokens/{name or uId}`: what is absent stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenEditRequest {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Of the account that made the token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account_email: Option<String>,
    /// Free words to search and filter by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub categories: Option<Vec<String>>,
    /// Who knows the account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contacts: Option<Vec<String>>,
    /// Names of the groups that may draw licences from the location; none: everybody may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub groups: Option<Vec<String>>,
    /// How often changes are read, such as `6h`; `default`: as the settings say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sync_interval: Option<String>,
    /// How often everything is read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub full_sync_interval: Option<String>,
}

/// `POST /v1/token-order`: these come first, in this order; the others keep theirs behind them.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct TokenOrderRequest {
    pub order: Vec<String>,
}

/// `GET /v1/tokens/{name or uId}/removal`: what hangs on a content token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenRemovalView {
    pub name: String,
    pub assets: u64,
    /// Licences that devices and people hold under it, as far as known.
    pub licences_assigned: u64,
    pub devices: u64,
    /// Deployments of apps that no other location has.
    pub deployments: u64,
    /// Whether Apple would still take licences back with this token.
    pub can_revoke: bool,
    /// Why not; empty when it can.
    pub why_not: String,
}

/// `DELETE /v1/tokens/{name or uId}`
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct TokenRemoveRequest {
    /// Take all licences back at Apple first: without the token nobody can any more.
    #[serde(default)]
    pub revoke_first: bool,
}

/// Answer to `POST /v1/tokens`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TokenAddedView {
    pub token: TokenView,
    /// The first full sync.
    pub task: TaskView,
}

/// One content token and its location. `GET /v1/tokens`, `GET /v1/tokens/{name or uId}`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TokenView {
    pub name: String,
    /// Apple's id of the location.
    pub uid: String,
    /// Apple's name of the location.
    pub location_name: String,
    pub organisation: String,
    /// Two letters.
    pub country: String,
    /// `volumestore` (education) or `enterprisestore` (business).
    pub platform: String,
    pub website: String,
    /// What the administrator noted.
    pub description: String,
    pub account_email: String,
    pub categories: Vec<String>,
    pub contacts: Vec<String>,
    /// Groups that may draw its licences; none: everybody may.
    #[serde(default)]
    pub groups: Vec<String>,
    pub expires_at: Timestamp,
    pub state: TokenState,
    /// What the state means and what to do; empty when all is well.
    pub advice: String,
    pub owner: OwnerView,
    pub assets: u64,
    /// Without the assets of which there are as many as wanted.
    pub licences_owned: u64,
    /// Of those.
    pub licences_assigned: u64,
    pub added_at: Timestamp,
    pub last_synced: Option<Timestamp>,
    pub last_full_sync: Option<Timestamp>,
    /// When the next one by the clock begins.
    pub next_sync: Option<Timestamp>,
    /// How often changes are read, and everything; as the settings say unless said of this location.
    pub sync_interval: IntervalView,
    pub full_sync_interval: IntervalView,
    pub notifications: NotificationsView,
}

/// A time between two syncs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IntervalView {
    /// Such as `12h`.
    pub every: String,
    /// Said of this location; else it is what the settings say.
    pub own: bool,
}

/// Whether Apple notifies vppd of a location. Nothing depends on it but time.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NotificationsView {
    pub state: NotificationState,
    /// Why Apple could not be told where to send them; empty when all is well.
    pub failure: String,
    pub last_heard: Option<Timestamp>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NotificationState {
    /// Apple is not asked to.
    Off,
    /// Apple is being told where to send them, or that none are wanted any more.
    Asking,
    On,
    /// Apple could not be told; tried again by itself.
    Failing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TokenState {
    Valid,
    /// Fewer than 60 days left.
    Expiring,
    Expired,
    /// Apple says that the token was revoked (9625).
    Revoked,
    /// Apple does not accept the token for another reason.
    Rejected,
    /// Apple lets it read, but not change anything.
    ReadOnly,
    /// Made by a facilitator, or of the older kind that is bound to a person.
    WrongKind,
    /// It is being removed, its licences first.
    Leaving,
    /// Another MDM holds the location: nothing is written.
    Contested,
    /// Apple could not be asked.
    Unreachable,
}

/// Who claims the location at Apple (`mdmInfo`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "holder", rename_all = "kebab-case")]
pub enum OwnerView {
    Us,
    Nobody,
    Other { id: String, name: String },
}
