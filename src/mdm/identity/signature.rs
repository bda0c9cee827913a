//! `Mdm-Signature`: the header in which a device proves that it wrote the body (Apple: `SignMessage` of the MDM payload).
//!
//! Verified on every request of a device, so: no chain, no clock, no store. The caller compares the fingerprint with the
//! pinned one, and asks [`super::authority::DeviceAuthority::verify_issued`] only when it meets a new one.

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::certificate;
use super::cms::{CmsError, SignedMessage};

const TOLERANT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The certificate whose key signed a message. Nothing says yet that it is one of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignerCertificate {
    /// As it was embedded.
    pub der: Vec<u8>,
    /// SHA-256 of `der`.
    pub fingerprint: [u8; 32],
}

impl SignerCertificate {
    /// The certificate (DER) whose key was proved.
    pub fn new(der: Vec<u8>) -> SignerCertificate {
        SignerCertificate { fingerprint: certificate::fingerprint(&der), der }
    }
}

/// Verifies an `Mdm-Signature` header over the body as received.
///
/// `limit` bounds the decoded signature in bytes (a usual one has about 1500, with a chain 4000).
pub fn verify_message(header: &str, body: &[u8], limit: usize) -> Result<SignerCertificate, CmsError> {
    // Four characters carry three bytes.
    if header.len() / 4 > limit / 3 + 2 {
        return Err(CmsError::TooLarge { size: header.len() / 4 * 3, limit });
    }
    let signature = TOLERANT.decode(header.trim_ascii()).map_err(|_| CmsError::Malformed("base64 text"))?;
    verify_detached(&signature, body, limit)
}

/// The same for a signature that is not in base64.
pub fn verify_detached(signature: &[u8], body: &[u8], limit: usize) -> Result<SignerCertificate, CmsError> {
    let message = SignedMessage::parse(signature, limit)?;
    Ok(SignerCertificate::new(message.verify_detached(body)?.certificate.to_vec()))
}
