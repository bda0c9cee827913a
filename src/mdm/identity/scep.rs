//! SCEP (RFC 8894), the server's half, as pure functions: [`parse_request`] opens and proves what a device sent,
//! [`success`] and [`failure`] make the answer (CertRep).
//!
//! Knows nothing of enrolments: the caller checks the challenge, decides about a repeated request (same challenge, same
//! key: same certificate), and issues with [`super::authority::DeviceAuthority::issue`]. No polling: an answer is always
//! success or failure.

mod csr;
mod reply;
mod request;

pub use csr::CertificateRequest;
pub use reply::{failure, success};
pub use request::{FailInfo, MessageType, ScepRefusal, ScepRequest, Transaction, decode_get_message, parse_request};

pub use super::cms::Accepted;

use rasn::types::Oid;

/// Content type of GetCACaps, exactly.
pub const CAPABILITIES_TYPE: &str = "text/plain";
/// Content type of GetCACert with one certificate, exactly: clients compare the whole string.
pub const CERTIFICATE_TYPE: &str = "application/x-x509-ca-cert";
/// Content type of PKIOperation's answer, exactly.
pub const MESSAGE_TYPE: &str = "application/x-pki-message";
/// The greatest request that is looked at, in bytes. Usual ones have 2 to 6 kB.
pub const REQUEST_LIMIT: usize = 64 * 1024;

/// The answer to GetCACaps. Apple's client splits at line feeds and would keep carriage returns.
pub const fn capabilities(accepted: Accepted) -> &'static str {
    match accepted {
        Accepted::Modern => "POSTPKIOperation\nSHA-256\nSHA-512\nAES\nSCEPStandard\nRenewal\n",
        Accepted::Legacy => "POSTPKIOperation\nSHA-256\nSHA-512\nAES\nSCEPStandard\nRenewal\nDES3\nSHA-1\n",
    }
}

const MESSAGE_TYPE_ATTRIBUTE: &Oid = Oid::const_new(&[2, 16, 840, 1, 113_733, 1, 9, 2]);
const STATUS: &Oid = Oid::const_new(&[2, 16, 840, 1, 113_733, 1, 9, 3]);
const FAIL_INFO: &Oid = Oid::const_new(&[2, 16, 840, 1, 113_733, 1, 9, 4]);
const SENDER_NONCE: &Oid = Oid::const_new(&[2, 16, 840, 1, 113_733, 1, 9, 5]);
const RECIPIENT_NONCE: &Oid = Oid::const_new(&[2, 16, 840, 1, 113_733, 1, 9, 6]);
const TRANSACTION: &Oid = Oid::const_new(&[2, 16, 840, 1, 113_733, 1, 9, 7]);

#[cfg(test)]
mod tests;
