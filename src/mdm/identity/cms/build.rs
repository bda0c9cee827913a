//! Making SignedData in DER: attached, with any signed attributes, SHA-256; and certificates without a signer.

use aws_lc_rs::digest;
use rasn::prelude::*;
use rcgen::SigningKey;

use super::CmsError;
use super::algorithm::{ECDSA_SHA256, RSA_ENCRYPTION, SHA256};
use super::wire::{self, AlgorithmIdentifier, Attribute, Encapsulated, SignedData, SignerInfo};
use crate::mdm::identity::certificate;

/// Who signs: an RSA (SHA-256) or P-256 key and its certificate.
pub struct Signatory<'a> {
    /// DER.
    pub certificate: &'a [u8],
    /// The key of that certificate.
    pub key: &'a rcgen::KeyPair,
}

/// Signs `content` as type `data` with contentType, messageDigest and `attributes` (identifier, encoded value).
///
/// The signer's certificate and `chain` are embedded. Without content the message has none, and the digest is that of
/// nothing (SCEP's failures).
pub fn sign(
    signatory: &Signatory<'_>,
    content: Option<&[u8]>,
    attributes: &[(&Oid, Vec<u8>)],
    chain: &[&[u8]],
) -> Result<Vec<u8>, CmsError> {
    let digest = digest::digest(&digest::SHA256, content.unwrap_or_default());
    let mut signed = vec![
        one_value(wire::CONTENT_TYPE, wire::encode(&ObjectIdentifier::from(wire::DATA), "content type")?),
        one_value(wire::MESSAGE_DIGEST, wire::encode(&OctetString::from_slice(digest.as_ref()), "digest")?),
    ];
    signed.extend(attributes.iter().map(|(kind, value)| one_value(kind, value.clone())));
    let signed = SetOf::from_vec(signed);
    let message = wire::encode(&signed, "signed attributes")?;
    let signature = signatory.key.sign(&message).map_err(|_| CmsError::Build("signature"))?;
    let signer = SignerInfo {
        version: Integer::ONE,
        identifier: certificate::identifier(signatory.certificate).ok_or(CmsError::Build("signer"))?,
        digest_algorithm: plain(SHA256),
        signed_attributes: Some(signed),
        signature_algorithm: signature_algorithm(signatory.key)?,
        signature: OctetString::from(signature),
        unsigned_attributes: None,
    };
    let certificates = std::iter::once(signatory.certificate).chain(chain.iter().copied());
    signed_data(content, vec![plain(SHA256)], certificates, vec![signer])
}

/// A SignedData that only carries certificates ("degenerate").
pub fn certificates_only(certificates: &[&[u8]]) -> Result<Vec<u8>, CmsError> {
    signed_data(None, Vec::new(), certificates.iter().copied(), Vec::new())
}

fn signed_data<'a>(
    content: Option<&[u8]>,
    digests: Vec<AlgorithmIdentifier>,
    certificates: impl Iterator<Item = &'a [u8]>,
    signers: Vec<SignerInfo>,
) -> Result<Vec<u8>, CmsError> {
    let signed = SignedData {
        version: Integer::ONE,
        digest_algorithms: SetOf::from_vec(digests),
        encapsulated: Encapsulated { content_type: wire::DATA.into(), content: content.map(OctetString::from_slice) },
        certificates: Some(SetOf::from_vec(certificates.map(|der| Any::new(der.to_vec())).collect())),
        revocations: None,
        signers: SetOf::from_vec(signers),
    };
    wire::content_info(wire::SIGNED_DATA, wire::encode(&signed, "signed data")?)
}

fn one_value(kind: &Oid, value: Vec<u8>) -> Attribute {
    Attribute { kind: kind.into(), values: SetOf::from_vec(vec![Any::new(value)]) }
}

fn signature_algorithm(key: &rcgen::KeyPair) -> Result<AlgorithmIdentifier, CmsError> {
    if key.algorithm() == &rcgen::PKCS_RSA_SHA256 {
        Ok(with_null(RSA_ENCRYPTION))
    } else if key.algorithm() == &rcgen::PKCS_ECDSA_P256_SHA256 {
        Ok(plain(ECDSA_SHA256))
    } else {
        Err(CmsError::Build("signature"))
    }
}

/// Without parameters, as RFC 5754 has digests and ECDSA.
fn plain(algorithm: &Oid) -> AlgorithmIdentifier {
    AlgorithmIdentifier { algorithm: algorithm.into(), parameters: None }
}

/// With NULL, as PKCS#1 has its algorithms.
pub(super) fn with_null(algorithm: &Oid) -> AlgorithmIdentifier {
    AlgorithmIdentifier { algorithm: algorithm.into(), parameters: Some(Any::new(vec![0x05, 0x00])) }
}
