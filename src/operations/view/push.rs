//! The push certificate, as the doors show it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// `POST /v1/push-certificate/request`
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct PushCertificateRequest {
    /// With another key, although a request waits for its answer.
    #[serde(default)]
    pub anew: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PushRequestView {
    /// PKCS#10, PEM.
    pub csr_pem: String,
    pub made_now: bool,
}

/// `POST /v1/push-certificate`
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PushInstallRequest {
    /// What Apple's portal gave (PEM).
    pub certificate: String,
}

/// `GET /v1/push-certificate`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushCertificateView {
    /// Empty without a certificate.
    pub topic: String,
    pub expires_at: Option<Timestamp>,
    /// The settings name it, and vppd keeps none of its own or does not use it.
    pub in_settings: bool,
    /// A request was made, and its certificate has not been brought.
    pub request_waits: bool,
    /// Enrolled devices with another topic, which cannot be woken.
    pub devices_out_of_reach: u64,
}
