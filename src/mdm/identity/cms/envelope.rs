//! EnvelopedData: [`seal`] encrypts to an RSA certificate (PKCS#1 v1.5, as SCEP clients understand), [`open`] decrypts.
//!
//! CBC and PKCS#1 v1.5 both leak to whoever learns *how* decryption failed. So a wrong key is replaced by a random one
//! and decryption goes on, and every failure is the same [`CmsError::Decrypt`]. Callers must not tell a sender more
//! either, before what came out is proved to be the sender's.

use aws_lc_rs::rand;
use aws_lc_rs::rsa::{Pkcs1PrivateDecryptingKey, Pkcs1PublicEncryptingKey, PublicEncryptingKey};
use rasn::prelude::*;
use zeroize::Zeroizing;

use super::CmsError;
use super::algorithm::{RSA_ENCRYPTION, refused};
use super::build::with_null;
use super::cipher::{Accepted, Cipher};
use super::wire::{self, AlgorithmIdentifier, EncryptedContent, EnvelopedData, KeyTransport};
use crate::mdm::identity::certificate;

/// Who can open: an RSA key and its certificate.
pub struct Recipient<'a> {
    /// DER.
    pub certificate: &'a [u8],
    /// The key of that certificate.
    pub key: &'a Pkcs1PrivateDecryptingKey,
}

/// What was in an envelope.
pub struct Opened {
    pub plain: Zeroizing<Vec<u8>>,
    /// The sender understands it.
    pub cipher: Cipher,
}

/// Encrypts `plain` to the RSA key of `certificate` (DER), naming it by issuer and serial.
pub fn seal(certificate: &[u8], plain: &[u8], cipher: Cipher) -> Result<Vec<u8>, CmsError> {
    let mut content_key = Zeroizing::new(vec![0; cipher.key_length()]);
    rand::fill(&mut content_key).map_err(|_| CmsError::Build("content key"))?;
    let mut iv = vec![0; cipher.block_length()];
    rand::fill(&mut iv).map_err(|_| CmsError::Build("initial vector"))?;
    let encrypted = cipher.encrypt(&content_key, &iv, plain).ok_or(CmsError::Build("encrypted content"))?;
    let transport = KeyTransport {
        version: Integer::ZERO,
        recipient: certificate::identifier(certificate).ok_or(CmsError::Build("recipient"))?,
        algorithm: with_null(RSA_ENCRYPTION),
        encrypted_key: OctetString::from(
            transport_key(certificate, &content_key).ok_or(CmsError::Build("encrypted key"))?,
        ),
    };
    let iv = wire::encode(&OctetString::from_slice(&iv), "initial vector")?;
    let enveloped = EnvelopedData {
        version: Integer::ZERO,
        originator: None,
        recipients: SetOf::from_vec(vec![Any::new(wire::encode(&transport, "recipient")?)]),
        encrypted: EncryptedContent {
            content_type: wire::DATA.into(),
            algorithm: AlgorithmIdentifier { algorithm: cipher.identifier().into(), parameters: Some(Any::new(iv)) },
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
    let cipher = Cipher::of(&enveloped.encrypted.algorithm, Accepted::Modern)?;
    Ok(open_with(key, &transport, enveloped, cipher)?.plain)
}

/// Decrypts what was encrypted to `recipient`. `limit` is the greatest number of bytes to look at.
///
/// [`CmsError::Algorithm`] says that the sender used an algorithm that is not accepted; that much is in the clear anyway.
pub fn open(recipient: &Recipient<'_>, bytes: &[u8], limit: usize, accepted: Accepted) -> Result<Opened, CmsError> {
    let enveloped: EnvelopedData = wire::read_content(bytes, limit, wire::ENVELOPED_DATA, "enveloped data")?;
    let cipher = Cipher::of(&enveloped.encrypted.algorithm, accepted)?;
    let transport = own_transport(recipient, &enveloped)?;
    open_with(recipient.key, &transport, enveloped, cipher)
}

fn open_with(
    key: &Pkcs1PrivateDecryptingKey,
    transport: &KeyTransport,
    enveloped: EnvelopedData,
    cipher: Cipher,
) -> Result<Opened, CmsError> {
    if transport.algorithm.algorithm != RSA_ENCRYPTION {
        return Err(refused(&transport.algorithm));
    }
    let iv = enveloped.encrypted.algorithm.parameters.as_ref().ok_or(CmsError::Decrypt)?;
    let iv: OctetString = wire::decode(iv.as_bytes(), "initial vector").map_err(|_| CmsError::Decrypt)?;
    let content = enveloped.encrypted.content.ok_or(CmsError::Decrypt)?;
    let key = content_key(key, &transport.encrypted_key, cipher.key_length())?;
    let plain = cipher.decrypt(&key, &iv, &content).ok_or(CmsError::Decrypt)?;
    Ok(Opened { plain, cipher })
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

fn transport_key(certificate: &[u8], content_key: &[u8]) -> Option<Vec<u8>> {
    let certificate = certificate::parse(certificate)?;
    let key = PublicEncryptingKey::from_der(certificate.public_key().raw).ok()?;
    let key = Pkcs1PublicEncryptingKey::new(key).ok()?;
    let mut encrypted = vec![0; key.ciphertext_size()];
    let length = key.encrypt(content_key, &mut encrypted).ok()?.len();
    encrypted.truncate(length);
    Some(encrypted)
}
