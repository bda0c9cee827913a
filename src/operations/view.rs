//! What the doors show: the JSON of the control socket and of `--json`, as types. The CLI reads the same types, so that
//! the two cannot drift apart. Times are RFC 3339 in UTC; identifiers of Apple keep Apple's spelling.

mod apps;
mod declared;
mod deployments;
mod devices;
mod groups;
mod hands;
mod health;
mod identities;
mod plan;
mod push;
mod tasks;
mod tokens;
mod users;
mod why;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use apps::*;
pub use declared::*;
pub use deployments::*;
pub use devices::*;
pub use groups::*;
pub use hands::*;
pub use health::*;
pub use identities::*;
pub use plan::*;
pub use push::*;
pub use tasks::*;
pub use tokens::*;
pub use users::*;
pub use why::*;

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
    /// Of these, silent or missing ones.
    #[serde(default)]
    pub silent: usize,
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

/// `GET /v1/plan`: what would be done now, and why, without doing it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct PlanView {
    pub paused: bool,
    /// What is not done until a person confirms it, and why.
    #[serde(default)]
    pub held: Vec<HeldView>,
    /// Requests to Apple, one per rectangle.
    pub licences: Vec<LicenceActionView>,
    /// Commands to devices.
    pub commands: Vec<CommandActionView>,
    /// Who waits for a licence, in the order in which they will be served.
    pub waiting: Vec<PairView>,
    /// The same, of people with no device that waits for it.
    #[serde(default)]
    pub waiting_people: Vec<WaitingPersonView>,
    /// What cannot be done, and why.
    pub blocked: Vec<PairView>,
    /// Pairs where all is as wanted.
    pub satisfied: u64,
    /// Pairs on which Apple or a device is working.
    pub in_flight: u64,
}

/// Something that is not done until a person confirms it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldView {
    pub since: Timestamp,
    pub why: String,
}

/// Answer to `POST /v1/plan/confirm`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ConfirmedView {
    /// Licences that may go now.
    pub licences: u64,
    /// Locations of which the listing is believed now.
    pub locations: Vec<String>,
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
    /// Whose licences it is about: serial numbers,
    pub serials: Vec<String>,
    /// or e-mail addresses of people.
    #[serde(default)]
    pub people: Vec<String>,
    pub why: String,
}

/// A person who waits for a licence.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct WaitingPersonView {
    pub adam_id: String,
    /// The app's; empty when it is not known.
    pub name: String,
    pub email: String,
    /// The person's name; may be empty.
    pub person: String,
    /// Place in the waiting list of the app.
    pub position: u32,
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
