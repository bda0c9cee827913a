//! Syncs, tasks, and the report of differences, as the doors show them.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::ErrorView;

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
    /// `sync`, `remove-token`, `reclaim`; `licences` and `users` follow a request to Apple to its end.
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
