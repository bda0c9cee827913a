//! Which algorithms are accepted, and verifying one raw signature with them.
//!
//! SHA-1 is accepted for messages of devices only because Apple's CMS code signs with it by default; certificates are
//! never made with it here.

use aws_lc_rs::digest;
use aws_lc_rs::signature::{self, UnparsedPublicKey, VerificationAlgorithm};
use rasn::prelude::*;
use x509_parser::oid_registry as registry;
use x509_parser::public_key::PublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;

use super::CmsError;
use super::wire::AlgorithmIdentifier;

pub const RSA_ENCRYPTION: &Oid = Oid::const_new(&[1, 2, 840, 113_549, 1, 1, 1]);
const EC_PUBLIC_KEY: &Oid = Oid::const_new(&[1, 2, 840, 10_045, 2, 1]);
pub const SHA256: &Oid = Oid::const_new(&[2, 16, 840, 1, 101, 3, 4, 2, 1]);
pub const ECDSA_SHA256: &Oid = Oid::const_new(&[1, 2, 840, 10_045, 4, 3, 2]);

/// A digest that is accepted in messages of devices.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Digest {
    Sha1,
    Sha256,
    Sha384,
    Sha512,
}

impl Digest {
    /// By the identifier of the digest itself.
    pub(super) fn of(algorithm: &AlgorithmIdentifier) -> Result<Digest, CmsError> {
        match algorithm.algorithm.as_ref() {
            [1, 3, 14, 3, 2, 26] => Ok(Digest::Sha1),
            [2, 16, 840, 1, 101, 3, 4, 2, 1] => Ok(Digest::Sha256),
            [2, 16, 840, 1, 101, 3, 4, 2, 2] => Ok(Digest::Sha384),
            [2, 16, 840, 1, 101, 3, 4, 2, 3] => Ok(Digest::Sha512),
            _ => Err(refused(algorithm)),
        }
    }

    /// By the identifier of a signature; `None` when that one leaves the digest open, as `rsaEncryption` does.
    fn of_signature(algorithm: &AlgorithmIdentifier) -> Result<Option<Digest>, CmsError> {
        match algorithm.algorithm.as_ref() {
            oid if *RSA_ENCRYPTION == *oid || *EC_PUBLIC_KEY == *oid => Ok(None),
            [1, 2, 840, 113_549, 1, 1, 5] | [1, 2, 840, 10_045, 4, 1] => Ok(Some(Digest::Sha1)),
            [1, 2, 840, 113_549, 1, 1, 11] | [1, 2, 840, 10_045, 4, 3, 2] => Ok(Some(Digest::Sha256)),
            [1, 2, 840, 113_549, 1, 1, 12] | [1, 2, 840, 10_045, 4, 3, 3] => Ok(Some(Digest::Sha384)),
            [1, 2, 840, 113_549, 1, 1, 13] | [1, 2, 840, 10_045, 4, 3, 4] => Ok(Some(Digest::Sha512)),
            _ => Err(refused(algorithm)),
        }
    }

    pub(super) fn compute(self, bytes: &[u8]) -> digest::Digest {
        let algorithm = match self {
            Digest::Sha1 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
            Digest::Sha256 => &digest::SHA256,
            Digest::Sha384 => &digest::SHA384,
            Digest::Sha512 => &digest::SHA512,
        };
        digest::digest(algorithm, bytes)
    }
}

/// An algorithm that is not accepted, as an error.
pub fn refused(algorithm: &AlgorithmIdentifier) -> CmsError {
    CmsError::Algorithm(algorithm.algorithm.to_string())
}

/// Verifies `signature` over `message` by `key`.
///
/// `digest` is what the message says elsewhere (CMS names it apart from the signature); `None` takes it from the
/// signature algorithm alone (PKCS#10). RSA must have 2048 to 8192 bits; EC must be P-256 or P-384.
pub fn verify_raw(
    key: &SubjectPublicKeyInfo<'_>,
    digest: Option<Digest>,
    algorithm: &AlgorithmIdentifier,
    message: &[u8],
    signature: &[u8],
) -> Result<(), CmsError> {
    let digest = match (digest, Digest::of_signature(algorithm)?) {
        (Some(a), Some(b)) if a != b => return Err(refused(algorithm)),
        (Some(digest), _) | (None, Some(digest)) => digest,
        (None, None) => return Err(refused(algorithm)),
    };
    let verification = verification(key, digest).ok_or_else(|| refused(algorithm))?;
    UnparsedPublicKey::new(verification, &key.subject_public_key.data)
        .verify(message, signature)
        .map_err(|_| if rsa_length_refused(key) { CmsError::WeakKey } else { CmsError::SignatureMismatch })
}

fn verification(key: &SubjectPublicKeyInfo<'_>, digest: Digest) -> Option<&'static dyn VerificationAlgorithm> {
    let kind = &key.algorithm.algorithm;
    if *kind == registry::OID_PKCS1_RSAENCRYPTION {
        return Some(match digest {
            Digest::Sha1 => &signature::RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY,
            Digest::Sha256 => &signature::RSA_PKCS1_2048_8192_SHA256,
            Digest::Sha384 => &signature::RSA_PKCS1_2048_8192_SHA384,
            Digest::Sha512 => &signature::RSA_PKCS1_2048_8192_SHA512,
        });
    }
    if *kind != registry::OID_KEY_TYPE_EC_PUBLIC_KEY {
        return None;
    }
    let curve = key.algorithm.parameters.as_ref()?.as_oid().ok()?;
    if curve == registry::OID_EC_P256 {
        return Some(match digest {
            Digest::Sha1 => &signature::ECDSA_P256_SHA1_ASN1,
            Digest::Sha256 => &signature::ECDSA_P256_SHA256_ASN1,
            Digest::Sha384 => &signature::ECDSA_P256_SHA384_ASN1,
            Digest::Sha512 => &signature::ECDSA_P256_SHA512_ASN1,
        });
    }
    (curve == registry::OID_NIST_EC_P384).then_some(match digest {
        Digest::Sha1 => return None,
        Digest::Sha256 => &signature::ECDSA_P384_SHA256_ASN1,
        Digest::Sha384 => &signature::ECDSA_P384_SHA384_ASN1,
        Digest::Sha512 => &signature::ECDSA_P384_SHA512_ASN1,
    })
}

fn rsa_length_refused(key: &SubjectPublicKeyInfo<'_>) -> bool {
    matches!(key.parsed(), Ok(PublicKey::RSA(rsa)) if !(2048..=8192).contains(&rsa.key_size()))
}
