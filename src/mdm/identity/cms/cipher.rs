//! How the content of an EnvelopedData is encrypted: AES by aws-lc-rs, and for old clients DES and Triple DES, which that
//! library rightly lacks. Whoever opens a message says whether it accepts the old ones.

use aws_lc_rs::cipher::{
    AES_128, AES_192, AES_256, Algorithm, DecryptionContext, EncryptionContext, PaddedBlockDecryptingKey,
    PaddedBlockEncryptingKey, UnboundCipherKey,
};
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit};
use des::{Des, TdesEde3};
use rasn::prelude::*;
use zeroize::Zeroizing;

use super::CmsError;
use super::algorithm::refused;
use super::wire::AlgorithmIdentifier;

/// Which algorithms a message may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accepted {
    /// What is held to be safe today.
    Modern,
    /// DES, Triple DES and SHA-1 too.
    Legacy,
}

/// A cipher in CBC mode with PKCS#7 padding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cipher {
    Aes128,
    Aes192,
    Aes256,
    TripleDes,
    Des,
}

impl Cipher {
    /// The cipher of a message, if it is accepted.
    pub(super) fn of(algorithm: &AlgorithmIdentifier, accepted: Accepted) -> Result<Cipher, CmsError> {
        let all = [Cipher::Aes128, Cipher::Aes192, Cipher::Aes256, Cipher::TripleDes, Cipher::Des];
        let named = all.into_iter().find(|cipher| algorithm.algorithm == cipher.identifier());
        named.filter(|cipher| accepted == Accepted::Legacy || !cipher.is_legacy()).ok_or_else(|| refused(algorithm))
    }

    /// Broken (DES) or on its way out (Triple DES).
    pub fn is_legacy(self) -> bool {
        matches!(self, Cipher::Des | Cipher::TripleDes)
    }

    pub(super) fn identifier(self) -> &'static Oid {
        Oid::const_new(match self {
            Cipher::Aes128 => &[2, 16, 840, 1, 101, 3, 4, 1, 2],
            Cipher::Aes192 => &[2, 16, 840, 1, 101, 3, 4, 1, 22],
            Cipher::Aes256 => &[2, 16, 840, 1, 101, 3, 4, 1, 42],
            Cipher::TripleDes => &[1, 2, 840, 113_549, 3, 7],
            Cipher::Des => &[1, 3, 14, 3, 2, 7],
        })
    }

    /// In bytes.
    pub(super) fn key_length(self) -> usize {
        match self {
            Cipher::Aes128 => 16,
            Cipher::Aes192 | Cipher::TripleDes => 24,
            Cipher::Aes256 => 32,
            Cipher::Des => 8,
        }
    }

    /// The length of the initial vector, in bytes.
    pub(super) fn block_length(self) -> usize {
        if self.is_legacy() { 8 } else { 16 }
    }

    /// `None` when key or vector have the wrong length.
    pub(super) fn encrypt(self, key: &[u8], iv: &[u8], plain: &[u8]) -> Option<Vec<u8>> {
        let Some(algorithm) = self.aes() else {
            return Some(match self {
                Cipher::Des => cbc::Encryptor::<Des>::new_from_slices(key, iv).ok()?.encrypt_padded_vec::<Pkcs7>(plain),
                _ => cbc::Encryptor::<TdesEde3>::new_from_slices(key, iv).ok()?.encrypt_padded_vec::<Pkcs7>(plain),
            });
        };
        let key = PaddedBlockEncryptingKey::cbc_pkcs7(UnboundCipherKey::new(algorithm, key).ok()?).ok()?;
        let mut bytes = plain.to_vec();
        let iv: [u8; 16] = iv.try_into().ok()?;
        key.less_safe_encrypt(&mut bytes, EncryptionContext::Iv128(iv.into())).ok()?;
        Some(bytes)
    }

    /// `None` whatever is wrong.
    pub(super) fn decrypt(self, key: &[u8], iv: &[u8], content: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let Some(algorithm) = self.aes() else {
            let plain = match self {
                Cipher::Des => {
                    cbc::Decryptor::<Des>::new_from_slices(key, iv).ok()?.decrypt_padded_vec::<Pkcs7>(content)
                }
                _ => cbc::Decryptor::<TdesEde3>::new_from_slices(key, iv).ok()?.decrypt_padded_vec::<Pkcs7>(content),
            };
            return plain.ok().map(Zeroizing::new);
        };
        let key = PaddedBlockDecryptingKey::cbc_pkcs7(UnboundCipherKey::new(algorithm, key).ok()?).ok()?;
        let mut bytes = Zeroizing::new(content.to_vec());
        let iv: [u8; 16] = iv.try_into().ok()?;
        let length = key.decrypt(&mut bytes, DecryptionContext::Iv128(iv.into())).ok()?.len();
        bytes.truncate(length);
        Some(bytes)
    }

    fn aes(self) -> Option<&'static Algorithm> {
        match self {
            Cipher::Aes128 => Some(&AES_128),
            Cipher::Aes192 => Some(&AES_192),
            Cipher::Aes256 => Some(&AES_256),
            Cipher::TripleDes | Cipher::Des => None,
        }
    }
}
