//! Reading and proving a PKIOperation request.
//!
//! What the device may learn of a failure is in [`FailInfo`]; everything between opening the envelope and proving its
//! content is one and the same answer, so that nobody can use this server to decrypt.

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use rasn::prelude::OctetString;
use secrecy::SecretString;

use super::csr::CertificateRequest;
use super::{MESSAGE_TYPE_ATTRIBUTE, REQUEST_LIMIT, SENDER_NONCE, TRANSACTION};
use crate::mdm::identity::authority::DeviceAuthority;
use crate::mdm::identity::certificate;
use crate::mdm::identity::cms::{self, Accepted, Cipher, CmsError, Digest, SignedMessage, Signer, wire};

/// What SCEP can tell a client about a failure (RFC 8894, 3.2.1.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailInfo {
    /// An algorithm is not accepted.
    BadAlg,
    /// Signature or encryption did not hold.
    BadMessageCheck,
    /// The request is not permitted: wrong challenge, poll, unknown message.
    BadRequest,
    /// The signing time is too far off. Never sent: clocks of devices are wrong.
    BadTime,
    /// No certificate fits.
    BadCertId,
}

impl FailInfo {
    pub(super) fn code(self) -> &'static str {
        match self {
            FailInfo::BadAlg => "0",
            FailInfo::BadMessageCheck => "1",
            FailInfo::BadRequest => "2",
            FailInfo::BadTime => "3",
            FailInfo::BadCertId => "4",
        }
    }
}

/// What an answer must repeat from its request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction {
    /// As sent, at most 256 characters. Apple: hex of a digest of the key; others: base64.
    pub id: String,
    /// As sent, at most 64 bytes; empty when absent.
    pub sender_nonce: Vec<u8>,
}

/// What the device asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageType {
    /// 19: a first certificate, by challenge.
    PkcsReq,
    /// 17: a new certificate, signed with the present one.
    RenewalReq,
}

/// A request whose signatures hold.
pub struct ScepRequest {
    /// For the answer.
    pub transaction: Transaction,
    /// First certificate or renewal.
    pub message_type: MessageType,
    /// The key to certify: DER SubjectPublicKeyInfo, RSA of at least 2048 bits. The device has proved to hold it.
    pub spki_der: Vec<u8>,
    /// `None` when the request has none: refuse a [`MessageType::PkcsReq`] then.
    pub challenge: Option<SecretString>,
    /// DER. The device's temporary self-signed certificate, to which the answer is encrypted. For a
    /// [`MessageType::RenewalReq`] an identity which this authority issued, perhaps long ago: ask
    /// [`DeviceAuthority::verify_issued`] whose it is and whether it still counts.
    pub signer_certificate: Vec<u8>,
    /// How the request was encrypted: the answer is encrypted in the same way, so that the device can read it.
    pub cipher: Cipher,
}

/// A request that is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the SCEP request was refused, no certificate was issued: {reason}")]
pub struct ScepRefusal {
    /// For the device.
    pub fail_info: FailInfo,
    /// For the answer. `None` when the message does not even say that: answer HTTP 400 then.
    pub transaction: Option<Transaction>,
    /// For the administrator, never for the device: it tells more than `fail_info`.
    pub reason: String,
}

/// Opens and proves a request as received (BER or DER, at most [`REQUEST_LIMIT`] bytes).
///
/// What is not `accepted` is refused with [`FailInfo::BadAlg`] before anything is decrypted.
pub fn parse_request(
    bytes: &[u8],
    authority: &DeviceAuthority,
    accepted: Accepted,
) -> Result<ScepRequest, ScepRefusal> {
    let message = SignedMessage::parse(bytes, REQUEST_LIMIT)
        .map_err(|error| refusal(None, FailInfo::BadMessageCheck, error.to_string()))?;
    let transaction = transaction(&message)
        .ok_or_else(|| refusal(None, FailInfo::BadRequest, "it names no transaction".to_owned()))?;
    prove(&message, authority, accepted, transaction.clone())
        .map_err(|(fail_info, reason)| refusal(Some(transaction), fail_info, reason))
}

fn refusal(transaction: Option<Transaction>, fail_info: FailInfo, reason: String) -> ScepRefusal {
    ScepRefusal { fail_info, transaction, reason }
}

fn prove(
    message: &SignedMessage,
    authority: &DeviceAuthority,
    accepted: Accepted,
    transaction: Transaction,
) -> Result<ScepRequest, (FailInfo, String)> {
    let signer = message.verify_attached().map_err(outer)?;
    if accepted == Accepted::Modern && signer.digest() == Ok(Digest::Sha1) {
        return Err((FailInfo::BadAlg, "it is signed with SHA-1, which is not accepted".to_owned()));
    }
    let message_type = message_type(&signer)?;
    if message_type == MessageType::RenewalReq {
        authority.own(signer.certificate).map_err(|error| (FailInfo::BadCertId, error.to_string()))?;
    }
    let content = message.content().unwrap_or_default();
    let opened = cms::open(&authority.recipient(), content, REQUEST_LIMIT, accepted).map_err(outer)?;
    let request = CertificateRequest::parse(&opened.plain).map_err(inner)?;
    let key = certificate::parse(signer.certificate).map(|certificate| certificate.public_key().raw.to_vec());
    if message_type == MessageType::PkcsReq && key.as_ref() != Some(&request.spki_der) {
        return Err((FailInfo::BadMessageCheck, "the inner request is for another key than the signer's".to_owned()));
    }
    Ok(ScepRequest {
        transaction,
        message_type,
        spki_der: request.spki_der,
        challenge: request.challenge,
        signer_certificate: signer.certificate.to_vec(),
        cipher: opened.cipher,
    })
}

/// Algorithms stand in the clear, so they may be named.
fn outer(error: CmsError) -> (FailInfo, String) {
    let fail_info = match error {
        CmsError::Algorithm(_) | CmsError::WeakKey => FailInfo::BadAlg,
        _ => FailInfo::BadMessageCheck,
    };
    (fail_info, error.to_string())
}

/// Behind the encryption nothing may be told apart.
fn inner(error: CmsError) -> (FailInfo, String) {
    (FailInfo::BadMessageCheck, format!("the encrypted certificate request: {error}"))
}

fn message_type(signer: &Signer<'_>) -> Result<MessageType, (FailInfo, String)> {
    match signer.attribute(MESSAGE_TYPE_ATTRIBUTE).and_then(wire::text).as_deref() {
        Some("19") => Ok(MessageType::PkcsReq),
        Some("17") => Ok(MessageType::RenewalReq),
        Some("20") => Err((FailInfo::BadRequest, "it polls, but nothing is ever pending here".to_owned())),
        _ => Err((FailInfo::BadRequest, "it is neither a first request nor a renewal".to_owned())),
    }
}

fn transaction(message: &SignedMessage) -> Option<Transaction> {
    let id = wire::text(message.unverified_attribute(TRANSACTION)?)?;
    if id.is_empty() || id.len() > 256 || !id.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ') {
        return None;
    }
    let nonce = message.unverified_attribute(SENDER_NONCE);
    let nonce = nonce.and_then(|value| wire::decode::<OctetString>(value, "nonce").ok());
    let sender_nonce = nonce.map(|nonce| nonce.to_vec()).filter(|nonce| nonce.len() <= 64).unwrap_or_default();
    Some(Transaction { id, sender_nonce })
}

const TOLERANT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// The message of a GET (`message=`, after percent-decoding): standard or URL-safe base64, padded or not, with `+` that
/// became a space. `None` when it is no base64 or longer than a request may be.
pub fn decode_get_message(message: &str) -> Option<Vec<u8>> {
    if message.len() > REQUEST_LIMIT / 3 * 4 + 4 {
        return None;
    }
    let standard = message.trim_end_matches(['\r', '\n']).bytes().filter(|byte| !matches!(byte, b'\r' | b'\n'));
    let standard = standard.map(|byte| match byte {
        b'-' | b' ' => b'+',
        b'_' => b'/',
        other => other,
    });
    TOLERANT.decode(standard.collect::<Vec<u8>>()).ok()
}
