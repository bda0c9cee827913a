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
    /// DER SubjectPublicKeyInfo, RSA of at least 2048 bits.
    pub spki_der: Vec<u8>,
    /// The challengePassword, if there is one.
    pub challenge: Option<SecretString>,
}

impl CertificateRequest {
    /// Reads a request and verifies that the key in it signed it.
    pub fn parse(bytes: &[u8]) -> Result<CertificateRequest, CmsError> {
        let request: Signed = wire::decode(bytes, "certificate request")?;
        let info: RequestInfo = wire::decode(request.to_be_signed.as_bytes(), "certificate request")?;
        let spki_der = info.public_key.as_bytes().to_vec();
        let (_, key) =
            SubjectPublicKeyInfo::from_der(&spki_der).map_err(|_| CmsError::Malformed("certificate request"))?;
        if !matches!(key.parsed(), Ok(PublicKey::RSA(rsa)) if (2048..=8192).contains(&rsa.key_size())) {
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
