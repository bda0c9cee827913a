//! EnvelopedData: AES-128-CBC with a key transported by RSA PKCS#1 v1.5; for old clients single DES.

use aws_lc_rs::cipher::{
    AES_128, DecryptionContext, EncryptionContext, PaddedBlockDecryptingKey, PaddedBlockEncryptingKey, UnboundCipherKey,
};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::rsa::{Pkcs1PublicEncryptingKey, PublicEncryptingKey};

use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockModeDecrypt, BlockModeEncrypt, KeyIvInit};
use des::Des;

use super::signed::{content_info, segments};
use super::{CmsError, oid};
use crate::chance::Chance;
use crate::device::ber::{self, Reader};
use crate::device::certificate::Facts;
use crate::device::keys::Key;

/// How content is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContentCipher {
    Aes128,
    Des,
}

impl ContentCipher {
    fn oid(self) -> &'static [u8] {
        match self {
            ContentCipher::Aes128 => oid::AES_128_CBC,
            ContentCipher::Des => oid::DES_CBC,
        }
    }

    /// Of the key and of the initial vector, in bytes.
    fn length(self) -> usize {
        match self {
            ContentCipher::Aes128 => 16,
            ContentCipher::Des => 8,
        }
    }
}

/// `content` encrypted to the key of `certificate`.
pub fn seal(
    content: &[u8],
    certificate: &[u8],
    chance: &mut Chance,
    cipher: ContentCipher,
    streamed: bool,
) -> Result<Vec<u8>, CmsError> {
    let recipient = Facts::of(certificate).ok_or(CmsError::Certificate)?;
    let mut bytes = || -> Vec<u8> { sixteen(chance).into_iter().take(cipher.length()).collect() };
    let (key, iv) = (bytes(), bytes());
    let encrypted =
        encrypt(cipher, content, &key, &iv).ok_or(CmsError::Unsupported("content that cannot be encrypted"))?;
    let transported = transport(&key, &recipient.public).ok_or(CmsError::Certificate)?;
    let info = ber::sequence(&[
        &ber::unsigned(&[0]),
        &recipient.issuer_and_serial(),
        &ber::algorithm(oid::RSA),
        &ber::tlv(ber::OCTET_STRING, &transported),
    ]);
    let algorithm = ber::sequence(&[&ber::tlv(ber::OID, cipher.oid()), &ber::tlv(ber::OCTET_STRING, &iv)]);
    let wrap = if streamed { ber::indefinite } else { ber::constructed };
    let content = if streamed { wrap(ber::context(0), &[&segments(&encrypted)]) } else { ber::tlv(0x80, &encrypted) };
    let body = wrap(
        ber::SEQUENCE,
        &[
            &ber::unsigned(&[0]),
            &ber::tlv(ber::SET, &info),
            &wrap(ber::SEQUENCE, &[&ber::tlv(ber::OID, oid::DATA), &algorithm, &content]),
        ],
    );
    Ok(wrap(ber::SEQUENCE, &[&ber::tlv(ber::OID, oid::ENVELOPED_DATA), &wrap(ber::context(0), &[&body])]))
}

/// Opens what was encrypted to `certificate`, whose private key is `key`.
pub fn open(bytes: &[u8], certificate: &[u8], key: &Key) -> Result<Vec<u8>, CmsError> {
    let mine = Facts::of(certificate).ok_or(CmsError::Certificate)?;
    let mut fields = content_info(bytes, oid::ENVELOPED_DATA)?;
    fields.expect(ber::INTEGER)?;
    fields.take(ber::context(0))?;
    let mut recipients = fields.expect(ber::SET)?.inside();
    let mut transported = None;
    while let Some(recipient) = recipients.next()? {
        let mut parts = recipient.inside();
        parts.expect(ber::INTEGER)?;
        let mut name = parts.expect(ber::SEQUENCE)?.inside();
        if name.expect(ber::SEQUENCE)?.raw == mine.issuer && name.expect(ber::INTEGER)?.content == mine.serial {
            if parts.expect(ber::SEQUENCE)?.inside().expect(ber::OID)?.content != oid::RSA {
                return Err(CmsError::Unsupported("a key transport other than RSA PKCS#1 v1.5"));
            }
            transported = Some(parts.expect(ber::OCTET_STRING)?.octets()?);
        }
    }
    let content_key = key.decrypt(&transported.ok_or(CmsError::OtherRecipient)?)?;
    decrypt(fields.expect(ber::SEQUENCE)?.inside(), &content_key)
}

fn decrypt(mut content: Reader<'_>, key: &[u8]) -> Result<Vec<u8>, CmsError> {
    content.expect(ber::OID)?;
    let mut algorithm = content.expect(ber::SEQUENCE)?.inside();
    let named = algorithm.expect(ber::OID)?.content;
    let cipher = [ContentCipher::Aes128, ContentCipher::Des].into_iter().find(|cipher| cipher.oid() == named);
    let cipher = cipher.ok_or(CmsError::Unsupported("a content encryption other than AES-128-CBC and DES-CBC"))?;
    let iv = algorithm.expect(ber::OCTET_STRING)?.content;
    let mut bytes = content.next()?.ok_or(CmsError::Missing("the encrypted content"))?.octets()?;
    if cipher == ContentCipher::Des {
        let des = cbc::Decryptor::<Des>::new_from_slices(key, iv).map_err(|_| CmsError::Decrypt)?;
        return des.decrypt_padded_vec::<Pkcs7>(&bytes).map_err(|_| CmsError::Decrypt);
    }
    let iv = FixedLength::<16>::try_from(iv).map_err(|_| CmsError::Decrypt)?;
    let key = UnboundCipherKey::new(&AES_128, key).map_err(|_| CmsError::Decrypt)?;
    let key = PaddedBlockDecryptingKey::cbc_pkcs7(key).map_err(|_| CmsError::Decrypt)?;
    let plain = key.decrypt(&mut bytes, DecryptionContext::Iv128(iv)).map_err(|_| CmsError::Decrypt)?;
    Ok(plain.to_vec())
}

fn encrypt(cipher: ContentCipher, content: &[u8], key: &[u8], iv: &[u8]) -> Option<Vec<u8>> {
    if cipher == ContentCipher::Des {
        return Some(cbc::Encryptor::<Des>::new_from_slices(key, iv).ok()?.encrypt_padded_vec::<Pkcs7>(content));
    }
    let key = PaddedBlockEncryptingKey::cbc_pkcs7(UnboundCipherKey::new(&AES_128, key).ok()?).ok()?;
    let mut bytes = content.to_vec();
    key.less_safe_encrypt(&mut bytes, EncryptionContext::Iv128(FixedLength::<16>::try_from(iv).ok()?)).ok()?;
    Some(bytes)
}

fn transport(key: &[u8], public: &[u8]) -> Option<Vec<u8>> {
    let public = Pkcs1PublicEncryptingKey::new(PublicEncryptingKey::from_der(public).ok()?).ok()?;
    let mut out = vec![0; public.ciphertext_size()];
    Some(public.encrypt(key, &mut out).ok()?.to_vec())
}

fn sixteen(chance: &mut Chance) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&chance.next().to_be_bytes());
    bytes[8..].copy_from_slice(&chance.next().to_be_bytes());
    bytes
}
