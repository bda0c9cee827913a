//! Cryptographic messages (RFC 5652) as Apple's devices write them: BER of indefinite length with the content in
//! segments, or DER; SHA-1 or SHA-256; RSA. And the reading of what servers answer.
//!
//! Own code on purpose: see [`super::ber`]. Knows nothing of SCEP, profiles or MDM.

mod enveloped;
mod signed;

pub use enveloped::{ContentCipher, open, seal};
pub use signed::{Attribute, Signed, Signer, SignerInfo, certificates_only, sign};

use super::ber::BerError;
use super::keys::KeyError;

/// Contents of the OBJECT IDENTIFIERs that messages and certificates use.
pub mod oid {
    pub const DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 1];
    pub const SIGNED_DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 2];
    pub const ENVELOPED_DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 3];
    pub const CONTENT_TYPE: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 3];
    pub const MESSAGE_DIGEST: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 4];
    pub const SIGNING_TIME: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 5];
    pub const CHALLENGE_PASSWORD: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 7];
    pub const EXTENSION_REQUEST: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 14];
    pub const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1];
    pub const SHA256_WITH_RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 11];
    pub const SHA1: &[u8] = &[0x2b, 0x0e, 3, 2, 0x1a];
    pub const SHA256: &[u8] = &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1];
    pub const SHA384: &[u8] = &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 2];
    pub const SHA512: &[u8] = &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 3];
    pub const AES_128_CBC: &[u8] = &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 1, 2];
    pub const DES_CBC: &[u8] = &[0x2b, 0x0e, 3, 2, 7];
    pub const KEY_USAGE: &[u8] = &[0x55, 0x1d, 15];
    pub const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 17];
    pub const COMMON_NAME: &[u8] = &[0x55, 4, 3];
}

/// What a device signs with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Digest {
    Sha1,
    Sha256,
    Sha512,
}

impl Digest {
    /// Content of its OBJECT IDENTIFIER.
    pub fn oid(self) -> &'static [u8] {
        match self {
            Digest::Sha1 => oid::SHA1,
            Digest::Sha256 => oid::SHA256,
            Digest::Sha512 => oid::SHA512,
        }
    }

    /// The digest of `bytes`.
    pub fn of(self, bytes: &[u8]) -> Vec<u8> {
        let algorithm = match self {
            Digest::Sha1 => &aws_lc_rs::digest::SHA1_FOR_LEGACY_USE_ONLY,
            Digest::Sha256 => &aws_lc_rs::digest::SHA256,
            Digest::Sha512 => &aws_lc_rs::digest::SHA512,
        };
        aws_lc_rs::digest::digest(algorithm, bytes).as_ref().to_vec()
    }
}

/// How messages are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    /// True as Apple's encoder: indefinite lengths and segments. False: DER.
    pub streamed: bool,
    pub digest: Digest,
}

/// Why a message cannot be made or read.
#[derive(Debug, thiserror::Error)]
pub enum CmsError {
    #[error("is not a well-formed message: {0}")]
    Ber(#[from] BerError),
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error("lacks {0}")]
    Missing(&'static str),
    #[error("uses {0}, which a device does not support")]
    Unsupported(&'static str),
    #[error("the certificate to sign with or to encrypt to cannot be read")]
    Certificate,
    #[error("is addressed to another certificate")]
    OtherRecipient,
    #[error("the digest in the message is not the digest of its content")]
    DigestMismatch,
    #[error("the signature does not verify with the expected certificate")]
    BadSignature,
    #[error("cannot be decrypted")]
    Decrypt,
}

#[cfg(test)]
mod tests;
