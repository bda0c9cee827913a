//! Why pairs are decided as they are, as shown.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::PairView;

/// `GET /v1/plan/explain?serial=..&app=..`: every pair of a device, or one, with what decides it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ExplanationView {
    pub serial: String,
    /// In words: whether the device is enrolled, and who its person is.
    pub device: String,
    pub pairs: Vec<ExplainedView>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ExplainedView {
    pub pair: PairView,
    /// What decides, and what follows from it, in words.
    pub decides: String,
    /// Whose licence it is, and why; empty while none is wanted.
    #[serde(default)]
    pub licence_of: String,
    /// Every deployment that means this device, the strongest first.
    pub deployments: Vec<ConsideredView>,
    /// When the licence goes back whatever the device says.
    #[serde(default)]
    pub goes_back_at: Option<Timestamp>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ConsideredView {
    pub id: i64,
    /// In words: what it wants, of whom.
    pub what: String,
    pub decides: bool,
    /// Why it decides, or why it does not.
    pub why: String,
}
