//! ACME (RFC 8555) with the challenge `device-attest-01`, the server's half, as pure functions: [`jws`] proves who sent a
//! message, [`attestation`] what a device's hardware says of a key, [`ability`] which devices can have theirs attested.
//!
//! Knows neither orders nor addresses: those are for the operations and the door.

pub mod ability;
pub mod attestation;
pub mod jws;

/// The greatest message that is looked at, in bytes: an attestation has three certificates.
pub const MESSAGE_LIMIT: usize = 64 * 1024;

/// The only kind of identifier that an order may name: what the profile gave as `ClientIdentifier`.
pub const IDENTIFIER: &str = "permanent-identifier";

/// The only kind of challenge.
pub const CHALLENGE: &str = "device-attest-01";

/// Why a message or an attestation is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AcmeError {
    #[error("the message is not signed as ACME wants it: {0}")]
    Message(&'static str),
    #[error("the signature of the message is not that of its key")]
    Signature,
    #[error("the attestation cannot be read: {0}")]
    Malformed(&'static str),
    #[error("the attestation was not made by the authority that [identity.acme] attestation-root names: {0}")]
    Chain(&'static str),
    #[error("the attestation is of another time: it does not carry the token of this order")]
    Stale,
}
