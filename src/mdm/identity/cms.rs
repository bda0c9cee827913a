//! Cryptographic Message Syntax (RFC 5652) as far as devices, SCEP and signed profiles need it: [`SignedMessage`] reads
//! and verifies, [`sign`] and [`certificates_only`] write, [`seal`] and [`open`] are EnvelopedData.
//!
//! Reads BER (Apple's encoder streams with indefinite lengths), writes DER. Structure by rasn, whose decoder bounds
//! nesting; cryptography by aws-lc-rs. Does not judge whether a certificate is trusted, and looks at no clock.

mod algorithm;
mod build;
mod cipher;
mod envelope;
mod signed;
pub(in crate::mdm::identity) mod wire;

pub use algorithm::{Digest, verify_raw};
pub use build::{Signatory, certificates_only, sign};
pub use cipher::{Accepted, Cipher};
pub use envelope::{Opened, Recipient, open, open_kept, seal};
pub use signed::{SignedMessage, Signer};

/// Why a CMS message was refused or could not be made. None carries a byte of the message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CmsError {
    /// More bytes than the caller allows.
    #[error("the message has {size} bytes, more than the {limit} allowed here; it was not read")]
    TooLarge { size: usize, limit: usize },
    /// Not the expected structure; the word says which part.
    #[error("the {0} of the message cannot be read; the sender must send it again")]
    Malformed(&'static str),
    /// A message needs exactly one signer here.
    #[error("the message has {0} signers where exactly one is expected")]
    Signers(usize),
    /// No embedded certificate is the one the signer names.
    #[error("the message does not contain the certificate of its signer")]
    NoSignerCertificate,
    /// An algorithm that is not accepted, by its object identifier.
    #[error(
        "the message uses the algorithm {0}, which is not accepted; the sender must use AES, SHA-2 and RSA or ECDSA"
    )]
    Algorithm(String),
    /// RSA below 2048 bits or above 8192.
    #[error("the signer's RSA key is not between 2048 and 8192 bits long; the sender must make a new key")]
    WeakKey,
    /// The body is not the one that was signed.
    #[error("the body is not the one that was signed; it was changed on the way or signed by mistake")]
    DigestMismatch,
    /// The signature was not made by the certificate's key.
    #[error("the signature was not made with the key of the embedded certificate")]
    SignatureMismatch,
    /// Every failure of decryption, on purpose without a difference.
    #[error("the message cannot be decrypted with this key; the sender must encrypt to the current certificate")]
    Decrypt,
    /// This side could not make a message: a key or certificate of its own does not fit.
    #[error("the {0} could not be made; the key or certificate used for it does not fit")]
    Build(&'static str),
}

#[cfg(test)]
mod tests;
