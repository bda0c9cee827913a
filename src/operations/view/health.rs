//! How things stand with Apple's service, as the doors show it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::TokenView;

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
