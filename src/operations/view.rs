//! What the doors show: the JSON of the control socket and of `--json`, as types. The CLI reads the same types, so that
//! the two cannot drift apart. Times are RFC 3339 in UTC; identifiers of Apple keep Apple's spelling.

mod users;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::model::AppInfo;
pub use users::*;

/// An error as every door answers it: `{"error": {...}}` with a fitting HTTP status.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub struct ErrorBody {
    pub error: ErrorView,
}

/// What went wrong, for programs (`code`), for people (`message`), and what they can do (`advice`, may be empty).
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub struct ErrorView {
    pub code: String,
    pub message: String,
    #[serde(default)]
    pub advice: String,
}

/// `GET /v1/status`
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StatusView {
    pub version: String,
    pub started_at: Timestamp,
    pub now: Timestamp,
    /// Since when, and by whom, nothing is sent to Apple or to devices.
    pub paused: Option<PauseView>,
    pub locations: usize,
    pub devices: usize,
    pub deployments: usize,
    /// Locations of which Apple notifies vppd.
    pub notified: usize,
    /// Things an administrator should know before anything else, in words.
    pub problems: Vec<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PauseView {
    pub since: Timestamp,
    pub by: String,
    pub reason: String,
}

/// `POST /v1/pause`
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct PauseRequest {
    #[serde(default)]
    pub reason: String,
}

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

/// `GET /v1/alerts`: what an administrator should know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertView {
    pub id: i64,
    pub kind: String,
    /// The location's name, or what else it is about.
    pub subject: String,
    /// Something stands still until a person acts.
    pub grave: bool,
    pub message: String,
    pub advice: String,
    pub raised_at: Timestamp,
    /// When it had passed.
    pub ended_at: Option<Timestamp>,
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

/// How things stand with Apple. `GET /v1/doctor/apple`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AppleHealthView {
    pub now: Timestamp,
    pub service: AppleServiceView,
    pub limits: AppleLimitsView,
    pub locations: Vec<AppleLocationView>,
    /// Where Apple's replies differ from what Apple describes.
    pub drift: Vec<ContractDriftView>,
}

/// What became of a question to Apple's service.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AppleServiceView {
    pub url: String,
    pub proxy: Option<String>,
    pub reached: bool,
    pub milliseconds: u64,
    /// Of the service, in words: `good` when it is trusted.
    pub certificate: String,
    pub error: Option<String>,
}

/// What Apple takes in one request, of the limits that vppd uses.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AppleLimitsView {
    /// None: never since the start; the published limits hold.
    pub read_at: Option<Timestamp>,
    pub requests_per_second: u32,
    pub assets: u32,
    pub serial_numbers: u32,
    pub client_user_ids: u32,
    pub users: u32,
    pub revoke_serial_numbers: u32,
    pub revoke_client_user_ids: u32,
}

/// A location, and what went wrong last.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AppleLocationView {
    pub token: TokenView,
    /// Of the newest task that failed, while none of its kind has ended well since.
    pub last_error: Option<String>,
    pub failed_at: Option<Timestamp>,
}

/// One difference between Apple's replies and Apple's description: a place and a kind, never a value.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ContractDriftView {
    /// The path of the call.
    pub endpoint: String,
    pub place: String,
    pub kind: String,
    pub first_seen: Timestamp,
    pub last_seen: Timestamp,
    pub replies: u64,
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

/// `POST /v1/sync`: one location by name or uId, or all.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct SyncRequest {
    #[serde(default)]
    pub location: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TaskState {
    Waiting,
    Running,
    Done,
    Failed,
    /// Called off before it was done.
    Cancelled,
}

/// `GET /v1/tasks` (newest first), `GET /v1/tasks/{id}`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TaskView {
    pub id: i64,
    /// `sync`, `remove-token`; `licences` and `users` follow a request to Apple to its end.
    pub kind: String,
    /// The location's name.
    pub subject: String,
    pub state: TaskState,
    /// How many of `total` pages are done; `total` is 0 until known.
    pub done: u64,
    pub total: u64,
    /// What is being done now, or what came out in the end.
    pub detail: String,
    pub error: Option<ErrorView>,
    /// What a sync changed, once it is done.
    #[serde(default)]
    pub sync: Option<SyncOutcomeView>,
    pub created_at: Timestamp,
    pub started_at: Option<Timestamp>,
    pub finished_at: Option<Timestamp>,
}

/// What a sync changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncOutcomeView {
    /// Everything was read; else what has changed.
    pub full: bool,
    pub assets_new: u64,
    pub assets_changed: u64,
    pub assets_gone: u64,
    pub assignments_new: u64,
    pub assignments_gone: u64,
    pub users_new: u64,
    pub users_gone: u64,
    /// Assets whose assignments were listed by themselves, because Apple's count was another than ours.
    pub assets_listed_singly: u64,
    /// Apple's data kept changing while it was read: what is gone is told by the next sync.
    pub unstable: bool,
    /// What Apple says of the location itself and did not say before, in words.
    pub location: Vec<String>,
}

/// Why Apple, vppd and a device do not agree. No other causes are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CauseView {
    Bought,
    Refunded,
    Transferred,
    AssignedOutside,
    TakenBackOutside,
    ForeignUser,
    DeviceWithoutApp,
    AppWithoutLicence,
    NotYetKnown,
}

/// One difference. `GET /v1/report/differences`, `?location={name or uId}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DifferenceView {
    pub cause: CauseView,
    /// The name of the location whose licence it is about.
    pub location: Option<String>,
    /// Where transferred licences went.
    pub to: Option<String>,
    pub adam_id: String,
    pub pricing_param: Option<String>,
    /// Of the device that it is about.
    pub serial: Option<String>,
    /// Of the user that it is about.
    pub client_user_id: Option<String>,
    /// How many licences it is about.
    pub licences: i64,
    /// When a sync saw it; null for what is so now.
    pub seen_at: Option<Timestamp>,
    /// In words.
    pub why: String,
}

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
            Stage::Rejected => "rejected",
            Stage::Failed => "failed",
            Stage::Removing => "removing",
            Stage::LicenceReturning => "licence-returning",
            Stage::Removed => "removed",
        }
    }
}

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
}

/// `GET /v1/devices/{serial or UDID}`
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DeviceDetailView {
    pub device: DeviceView,
    pub pairs: Vec<PairView>,
    /// The queue and the latest answers, newest first.
    pub commands: Vec<CommandView>,
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

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PurposeView {
    Required,
    Uninstall,
}

/// `POST /v1/deployments`
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DeployRequest {
    /// The app's number, bundle id or name.
    pub adam_id: String,
    /// `all-devices` or `serial:C02...`.
    pub to: String,
    pub purpose: PurposeView,
}

/// `GET /v1/deployments`, answer to `POST` and `DELETE /v1/deployments/{id}`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DeploymentView {
    pub id: i64,
    pub adam_id: String,
    /// The app's; empty when it is not known.
    #[serde(default)]
    pub name: String,
    pub to: String,
    pub purpose: PurposeView,
    pub created_at: Timestamp,
    pub created_by: String,
    /// Devices in its scope now.
    pub devices: u64,
}

/// `GET /v1/plan`: what would be done now, and why, without doing it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct PlanView {
    pub paused: bool,
    /// Requests to Apple, one per rectangle.
    pub licences: Vec<LicenceActionView>,
    /// Commands to devices.
    pub commands: Vec<CommandActionView>,
    /// Who waits for a licence, in the order in which they will be served.
    pub waiting: Vec<PairView>,
    /// What cannot be done, and why.
    pub blocked: Vec<PairView>,
    /// Pairs where all is as wanted.
    pub satisfied: u64,
    /// Pairs on which Apple or a device is working.
    pub in_flight: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LicenceActionView {
    pub location: String,
    /// `associate` or `disassociate`.
    pub verb: String,
    pub adam_ids: Vec<String>,
    /// In the same order; empty where it is not known.
    #[serde(default)]
    pub names: Vec<String>,
    pub serials: Vec<String>,
    pub why: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CommandActionView {
    pub serial: String,
    pub request_type: String,
    pub adam_id: String,
    /// The app's; empty when it is not known.
    #[serde(default)]
    pub name: String,
    pub why: String,
}
