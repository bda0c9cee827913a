//! The recovery certificate, to which backups are encrypted, and its key, which lies elsewhere until a bad day. Stock
//! `openssl cms -decrypt` opens what is encrypted here.

use aws_lc_rs::rsa::{Pkcs1PrivateDecryptingKey, PrivateDecryptingKey};
use x509_parser::pem::Pem;
use x509_parser::public_key::PublicKey;
use zeroize::Zeroizing;

use super::certificate;
use super::cms::{self, Cipher, CmsError};

/// Why a recovery certificate or key cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecoveryError {
    #[error("it holds no certificate in PEM")]
    NoCertificate,
    #[error("its certificate has no RSA key of 2048 to 8192 bits")]
    NotRsa,
    #[error("it holds no private RSA key in PEM (PKCS#8, without a passphrase)")]
    NoKey,
}

/// The certificate.
pub struct RecoveryCertificate(Vec<u8>);

impl RecoveryCertificate {
    /// The first certificate of a PEM file.
    pub fn from_pem(pem: &[u8]) -> Result<RecoveryCertificate, RecoveryError> {
        let found = Pem::iter_from_buffer(pem).filter_map(Result::ok).find(|block| block.label == "CERTIFICATE");
        let der = found.ok_or(RecoveryError::NoCertificate)?.contents;
        let parsed = certificate::parse(&der).ok_or(RecoveryError::NoCertificate)?;
        match parsed.public_key().parsed() {
            Ok(PublicKey::RSA(key)) if (2048..=8192).contains(&key.key_size()) => Ok(RecoveryCertificate(der)),
            _ => Err(RecoveryError::NotRsa),
        }
    }

    /// Encrypts so that only the recovery key opens it: CMS EnvelopedData (DER) with AES-256.
    pub fn seal(&self, plain: Vec<u8>) -> Result<Vec<u8>, CmsError> {
        cms::seal(&self.0, &plain, Cipher::Aes256)
    }
}

/// The key.
pub struct RecoveryKey(Pkcs1PrivateDecryptingKey);

impl RecoveryKey {
    /// The first private key of a PEM file.
    pub fn from_pem(pem: &[u8]) -> Result<RecoveryKey, RecoveryError> {
        let found = Pem::iter_from_buffer(pem).filter_map(Result::ok).find(|block| block.label == "PRIVATE KEY");
        let der = Zeroizing::new(found.ok_or(RecoveryError::NoKey)?.contents);
        let key = PrivateDecryptingKey::from_pkcs8(&der).map_err(|_| RecoveryError::NoKey)?;
        Pkcs1PrivateDecryptingKey::new(key).map(RecoveryKey).map_err(|_| RecoveryError::NoKey)
    }

    /// Decrypts what [`RecoveryCertificate::seal`] gave.
    pub fn open(&self, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, CmsError> {
        cms::open_kept(&self.0, sealed)
    }
}
