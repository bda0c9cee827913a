//! PKCS#10, tolerantly: attributes in any order, the signature over the bytes as received. Only the public key and the
//! challenge are taken; what a device would like to be called is not our business.

use secrecy::SecretString;
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;

use crate::mdm::identity::cms::wire::{self, RequestInfo, Signed};
use crate::mdm::identity::cms::{CmsError, verify_raw};

const CHALLENGE_PASSWORD: [u32; 7] = [1, 2, 840, 113_549, 1, 9, 7];

/// A certificate request that its own key has signed.
pub struct CertificateRequest {
    /// DER SubjectPublicKeyInfo: RSA of at least 2048 bits, or as [`CertificateRequest::parse_of_hardware`] says.
    pub spki_der: Vec<u8>,
    /// The challengePassword, if there is one.
    pub challenge: Option<SecretString>,
}

impl CertificateRequest {
    /// Reads a request and verifies that the key in it signed it.
    pub fn parse(bytes: &[u8]) -> Result<CertificateRequest, CmsError> {
        let is_good =
            |key: &PublicKey<'_>| matches!(key, PublicKey::RSA(rsa) if (2048..=8192).contains(&rsa.key_size()));
        CertificateRequest::parse_with(bytes, is_good)
    }

    /// The same for a key that secure hardware made: EC, P-256 or P-384.
    pub fn parse_of_hardware(bytes: &[u8]) -> Result<CertificateRequest, CmsError> {
        CertificateRequest::parse_with(
            bytes,
            |key| matches!(key, PublicKey::EC(point) if [256, 384].contains(&point.key_size())),
        )
    }

    fn parse_with(bytes: &[u8], is_good: impl FnOnce(&PublicKey<'_>) -> bool) -> Result<CertificateRequest, CmsError> {
        let request: Signed = wire::decode(bytes, "certificate request")?;
        let info: RequestInfo = wire::decode(request.to_be_signed.as_bytes(), "certificate request")?;
        let spki_der = info.public_key.as_bytes().to_vec();
        let (_, key) =
            SubjectPublicKeyInfo::from_der(&spki_der).map_err(|_| CmsError::Malformed("certificate request"))?;
        if !key.parsed().is_ok_and(|key| is_good(&key)) {
            return Err(CmsError::WeakKey);
        }
        let signature = request.signature().ok_or(CmsError::Malformed("signature of the certificate request"))?;
        verify_raw(&key, None, &request.algorithm, request.to_be_signed.as_bytes(), signature)?;
        let challenge = info
            .attributes
            .iter()
            .flat_map(|attributes| attributes.iter())
            .find(|attribute| attribute.kind == CHALLENGE_PASSWORD[..])
            .and_then(|attribute| wire::text(attribute.values.iter().next()?.as_bytes()))
            .map(SecretString::from);
        Ok(CertificateRequest { spki_der, challenge })
    }
}
