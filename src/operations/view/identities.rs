//! Identities of devices, as the doors show them.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// `GET /v1/identities`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdentityView {
    /// Empty while the device has not told it.
    pub serial: String,
    pub udid: String,
    /// `scep`, `acme` (the device's hardware attests the key), or `site` (your own authority gave it).
    pub kind: String,
    pub state: IdentityState,
    pub issued_at: Timestamp,
    pub expires_at: Timestamp,
    /// When the device was last asked to renew it.
    pub asked_at: Option<Timestamp>,
}

/// `GET /v1/authorities`: what gives identities, and gave them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthorityView {
    /// The beginning of its fingerprint.
    pub name: String,
    /// It gives identities today.
    pub present: bool,
    pub signs_profiles: bool,
    pub expires_at: Timestamp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IdentityState {
    Good,
    /// Two thirds of its life are over: the device is asked to renew it.
    Due,
    /// The device was asked and has not answered.
    Renewing,
    /// It is over, and good for nothing but being renewed.
    Ended,
    Revoked,
}
