//! Why an app is not on a device, and what happened until now, as shown; and trying again.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Stage;

/// `GET /v1/why?serial=..&app=..`: everything that is known of one app on one device.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct WhyView {
    pub serial: String,
    /// In words: whether the device is enrolled, and who its person is.
    pub device: String,
    pub adam_id: String,
    /// The app's; empty when it is not known.
    pub name: String,
    pub stage: Stage,
    /// One sentence: why it is so.
    pub why: String,
    /// The cause in a word that stays the same; empty when nothing is in the way.
    pub cause: String,
    /// What that word means.
    pub means: String,
    /// What happens next by itself, and what a person can do.
    pub next: String,
    /// What decides, and what follows from it, in words.
    pub decides: String,
    /// Whose licence it is, and why; empty while none is wanted.
    pub licence_of: String,
    /// When vppd will try or look again.
    pub next_at: Option<Timestamp>,
    /// When the licence goes back whatever the device says.
    pub goes_back_at: Option<Timestamp>,
    /// When the device was last heard of.
    pub last_seen: Option<Timestamp>,
    /// The error chain of the last failure as the device told it; empty when none did.
    pub device_says: String,
    /// What happened, the oldest first; of the last thirty days.
    pub moments: Vec<MomentView>,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MomentView {
    pub at: Timestamp,
    pub kind: MomentKind,
    /// In words.
    pub what: String,
}

/// Where something happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MomentKind {
    /// vppd asked Apple for a licence, or asked it to take one back.
    Licence,
    /// What Apple made of that.
    Event,
    /// A command was queued, or taken back.
    Command,
    Push,
    /// The device came.
    CheckIn,
    /// The device answered a command.
    Answer,
    /// What vppd concluded.
    State,
}

/// `POST /v1/devices/{serial or UDID}/retry`
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct RetryRequest {
    /// This app alone: its Adam ID, name or bundle id.
    #[serde(default)]
    pub app: Option<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RetryView {
    pub serial: String,
    /// What is tried again: names, or Adam IDs where no name is known.
    pub apps: Vec<String>,
}
