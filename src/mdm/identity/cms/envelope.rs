//! EnvelopedData: [`seal`] encrypts to an RSA certificate (AES-128-CBC, PKCS#1 v1.5, as SCEP clients understand),
//! [`open`] decrypts AES-CBC of any key length.
//!
//! CBC and PKCS#1 v1.5 both leak to whoever learns *how* decryption failed. So a wrong key is replaced by a random one
//! and decryption goes on, and every failure is the same [`CmsError::Decrypt`]. Callers must not tell a sender more
//! either, before what came out is proved to be the sender's.

use aws_lc_rs::cipher::{
    AES_128, AES_192, AES_256, Algorithm, DecryptionContext, PaddedBlockDecryptingKey, PaddedBlockEncryptingKey,
    UnboundCipherKey,
};
use aws_lc_rs::rand;
use aws_lc_rs::rsa::{Pkcs1PrivateDecryptingKey, Pkcs1PublicEncryptingKey, PublicEncryptingKey};
use rasn::prelude::*;
use zeroize::Zeroizing;

use super::CmsError;
use super::algorithm::{RSA_ENCRYPTION, refused};
use super::build::with_null;
use super::wire::{self, AlgorithmIdentifier, EncryptedContent, EnvelopedData, KeyTransport};
use crate::mdm::identity::certificate;

const AES_128_CBC: &Oid = Oid::const_new(&[2, 16, 840, 1, 101, 3, 4, 1, 2]);
const AES_256_CBC: &Oid = Oid::const_new(&[2, 16, 840, 1, 101, 3, 4, 1, 42]);

/// Who can open: an RSA key and its certificate.
pub struct Recipient<'a> {
    /// DER.
    pub certificate: &'a [u8],
    /// The key of that certificate.
    pub key: &'a Pkcs1PrivateDecryptingKey,
}

/// Encrypts `plain` to the RSA key of `certificate` (DER), naming it by issuer and serial.
pub fn seal(certificate: &[u8], plain: &[u8]) -> Result<Vec<u8>, CmsError> {
    seal_with(&AES_128, AES_128_CBC, certificate, plain.to_vec())
}

/// As [`seal`], with AES-256: for what is to be kept for years.
pub fn seal_to_keep(certificate: &[u8], plain: Vec<u8>) -> Result<Vec<u8>, CmsError> {
    seal_with(&AES_256, AES_256_CBC, certificate, plain)
}

fn seal_with(
    algorithm: &'static Algorithm,
    identifier: &Oid,
    certificate: &[u8],
    plain: Vec<u8>,
) -> Result<Vec<u8>, CmsError> {
    let mut content_key = Zeroizing::new(vec![0u8; key_length(algorithm)]);
    rand::fill(content_key.as_mut()).map_err(|_| CmsError::Build("content key"))?;
    let (encrypted, iv) =
        encrypt(algorithm, content_key.as_ref(), plain).ok_or(CmsError::Build("encrypted content"))?;
    let transport = KeyTransport {
        version: Integer::ZERO,
        recipient: certificate::identifier(certificate).ok_or(CmsError::Build("recipient"))?,
        algorithm: with_null(RSA_ENCRYPTION),
        encrypted_key: OctetString::from(
            transport_key(certificate, content_key.as_ref()).ok_or(CmsError::Build("encrypted key"))?,
        ),
    };
    let iv = wire::encode(&OctetString::from_slice(&iv), "initial vector")?;
    let enveloped = EnvelopedData {
        version: Integer::ZERO,
        originator: None,
        recipients: SetOf::from_vec(vec![Any::new(wire::encode(&transport, "recipient")?)]),
        encrypted: EncryptedContent {
            content_type: wire::DATA.into(),
            algorithm: AlgorithmIdentifier { algorithm: identifier.into(), parameters: Some(Any::new(iv)) },
            content: Some(OctetString::from(encrypted)),
        },
        unprotected_attributes: None,
    };
    wire::content_info(wire::ENVELOPED_DATA, wire::encode(&enveloped, "enveloped data")?)
}

/// Decrypts what was encrypted to a single recipient, whose `key` this is; for backups, where nobody watches how it fails.
pub fn open_kept(key: &Pkcs1PrivateDecryptingKey, bytes: &[u8]) -> Result<Zeroizing<Vec<u8>>, CmsError> {
    let enveloped: EnvelopedData = wire::read_content(bytes, usize::MAX, wire::ENVELOPED_DATA, "enveloped data")?;
    let recipient = enveloped.recipients.iter().next().ok_or(CmsError::Malformed("recipient"))?;
    let transport: KeyTransport = wire::decode(recipient.as_bytes(), "recipient")?;
    open_with(key, &transport, enveloped)
}

/// Decrypts what was encrypted to `recipient`. `limit` is the greatest number of bytes to look at.
///
/// [`CmsError::Algorithm`] says that the sender used DES, 3DES or another algorithm that is not accepted; that much is
/// in the clear anyway.
pub fn open(recipient: &Recipient<'_>, bytes: &[u8], limit: usize) -> Result<Zeroizing<Vec<u8>>, CmsError> {
    let enveloped: EnvelopedData = wire::read_content(bytes, limit, wire::ENVELOPED_DATA, "enveloped data")?;
    content_algorithm(&enveloped.encrypted.algorithm)?;
    let transport = own_transport(recipient, &enveloped)?;
    open_with(recipient.key, &transport, enveloped)
}

fn open_with(
    key: &Pkcs1PrivateDecryptingKey,
    transport: &KeyTransport,
    enveloped: EnvelopedData,
) -> Result<Zeroizing<Vec<u8>>, CmsError> {
    let algorithm = content_algorithm(&enveloped.encrypted.algorithm)?;
    if transport.algorithm.algorithm != RSA_ENCRYPTION {
        return Err(refused(&transport.algorithm));
    }
    let iv = enveloped.encrypted.algorithm.parameters.as_ref().ok_or(CmsError::Decrypt)?;
    let iv: OctetString = wire::decode(iv.as_bytes(), "initial vector").map_err(|_| CmsError::Decrypt)?;
    let iv: [u8; 16] = iv.as_ref().try_into().map_err(|_| CmsError::Decrypt)?;
    let content = enveloped.encrypted.content.ok_or(CmsError::Decrypt)?;
    let key = content_key(key, &transport.encrypted_key, key_length(algorithm))?;
    decrypt(algorithm, &key, iv, &content).ok_or(CmsError::Decrypt)
}

fn content_algorithm(algorithm: &AlgorithmIdentifier) -> Result<&'static Algorithm, CmsError> {
    match algorithm.algorithm.as_ref() {
        [2, 16, 840, 1, 101, 3, 4, 1, 2] => Ok(&AES_128),
        [2, 16, 840, 1, 101, 3, 4, 1, 22] => Ok(&AES_192),
        [2, 16, 840, 1, 101, 3, 4, 1, 42] => Ok(&AES_256),
        _ => Err(refused(algorithm)),
    }
}

fn key_length(algorithm: &'static Algorithm) -> usize {
    if *algorithm == AES_128 {
        16
    } else if *algorithm == AES_192 {
        24
    } else {
        32
    }
}

fn own_transport(recipient: &Recipient<'_>, enveloped: &EnvelopedData) -> Result<KeyTransport, CmsError> {
    let own = certificate::parse(recipient.certificate).ok_or(CmsError::Decrypt)?;
    enveloped
        .recipients
        .iter()
        .filter_map(|info| wire::decode::<KeyTransport>(info.as_bytes(), "recipient").ok())
        .find(|transport| certificate::is_identified_by(&own, &transport.recipient))
        .ok_or(CmsError::Decrypt)
}

/// The content key, or a random one of the right length when the sender's cannot be had.
fn content_key(
    key: &Pkcs1PrivateDecryptingKey,
    encrypted: &[u8],
    length: usize,
) -> Result<Zeroizing<Vec<u8>>, CmsError> {
    let mut chosen = Zeroizing::new(vec![0; length]);
    rand::fill(&mut chosen).map_err(|_| CmsError::Decrypt)?;
    let mut plain = Zeroizing::new(vec![0; key.min_output_size()]);
    if let Ok(found) = key.decrypt(encrypted, &mut plain)
        && found.len() == length
    {
        chosen.copy_from_slice(found);
    }
    Ok(chosen)
}

fn encrypt(algorithm: &'static Algorithm, key: &[u8], mut bytes: Vec<u8>) -> Option<(Vec<u8>, [u8; 16])> {
    let key = PaddedBlockEncryptingKey::cbc_pkcs7(UnboundCipherKey::new(algorithm, key).ok()?).ok()?;
    let DecryptionContext::Iv128(iv) = key.encrypt(&mut bytes).ok()? else { return None };
    Some((bytes, *iv.as_ref()))
}

fn decrypt(algorithm: &'static Algorithm, key: &[u8], iv: [u8; 16], content: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let key = PaddedBlockDecryptingKey::cbc_pkcs7(UnboundCipherKey::new(algorithm, key).ok()?).ok()?;
    let mut bytes = Zeroizing::new(content.to_vec());
    let length = key.decrypt(&mut bytes, DecryptionContext::Iv128(iv.into())).ok()?.len();
    bytes.truncate(length);
    Some(bytes)
}

fn transport_key(certificate: &[u8], content_key: &[u8]) -> Option<Vec<u8>> {
    let certificate = certificate::parse(certificate)?;
    let key = PublicEncryptingKey::from_der(certificate.public_key().raw).ok()?;
    let key = Pkcs1PublicEncryptingKey::new(key).ok()?;
    let mut encrypted = vec![0; key.ciphertext_size()];
    let length = key.encrypt(content_key, &mut encrypted).ok()?.len();
    encrypted.truncate(length);
    Some(encrypted)
}
