//! The messages of SCEP: the certificate request in its envelope in its signature, and the reply.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;

use super::{Authority, FailInfo, ScepError};
use crate::chance::Chance;
use crate::device::ber::{self, Reader};
use crate::device::certificate::{self, Facts};
use crate::device::cms::{self, Attribute, CmsError, ContentCipher, Digest, Signed, Signer, SignerInfo, Style, oid};
use crate::device::keys::{Key, KeyError};
use crate::device::profile::Scep;

/// SCEP's own attributes, 2.16.840.1.113733.1.9.N.
const fn attribute_oid(number: u8) -> [u8; 10] {
    [0x60, 0x86, 0x48, 1, 0x86, 0xf8, 0x45, 1, 9, number]
}
const MESSAGE_TYPE: [u8; 10] = attribute_oid(2);
const PKI_STATUS: [u8; 10] = attribute_oid(3);
const FAIL_INFO: [u8; 10] = attribute_oid(4);
const SENDER_NONCE: [u8; 10] = attribute_oid(5);
const RECIPIENT_NONCE: [u8; 10] = attribute_oid(6);
const TRANSACTION: [u8; 10] = attribute_oid(7);

/// How a request is written.
#[derive(Debug, Clone, Copy)]
pub struct RequestStyle {
    pub cms: Style,
    pub cipher: ContentCipher,
    pub challenge_as_utf8: bool,
    pub sorted_attributes: bool,
}

/// A PKCSReq, ready to send, and what its reply is checked against.
pub struct PkiRequest {
    /// ContentInfo.
    pub message: Vec<u8>,
    pub transaction: String,
    pub nonce: Vec<u8>,
    /// The temporary certificate the request is signed with, DER: the reply is encrypted to it.
    pub temporary: Vec<u8>,
}

impl PkiRequest {
    /// Makes the request of messageType 19.
    pub fn new(
        scep: &Scep,
        key: &Key,
        authority: &Authority,
        chance: &mut Chance,
        now: Timestamp,
        style: RequestStyle,
    ) -> Result<PkiRequest, ScepError> {
        let request = certificate_request(scep, key, style)?;
        let sealed = cms::seal(&request, &authority.recipient, chance, style.cipher, style.cms.streamed)?;
        let common_name = chance.uuid().to_string().to_uppercase();
        let temporary = certificate::temporary(key, &common_name, &chance.next().to_be_bytes(), now)?;
        let transaction = match style.cipher {
            ContentCipher::Aes128 => transaction_of(key)?,
            // As such clients name it.
            ContentCipher::Des => STANDARD.encode(Digest::Sha1.of(key.public())),
        };
        let nonce = chance.uuid().as_bytes().to_vec();
        let attribute = |kind: [u8; 10], value| Attribute { kind: kind.to_vec(), value };
        let attributes = vec![
            attribute(MESSAGE_TYPE, ber::tlv(ber::PRINTABLE_STRING, b"19")),
            attribute(TRANSACTION, ber::tlv(ber::PRINTABLE_STRING, transaction.as_bytes())),
            attribute(SENDER_NONCE, ber::tlv(ber::OCTET_STRING, &nonce)),
        ];
        let signer = Signer { key, certificate: &temporary, chain: &[] };
        let message = cms::sign(&signer, &sealed, true, attributes, now, style.cms)?;
        Ok(PkiRequest { message, transaction, nonce, temporary })
    }
}

/// Apple: upper-case hexadecimal SHA-1 of the public key (the BIT STRING's octets).
fn transaction_of(key: &Key) -> Result<String, ScepError> {
    let mut info = Reader::only(key.public(), ber::SEQUENCE).map_err(CmsError::from)?.inside();
    info.expect(ber::SEQUENCE).map_err(CmsError::from)?;
    let bits = info.expect(ber::BIT_STRING).map_err(CmsError::from)?.content;
    let digest = Digest::Sha1.of(bits.get(1..).unwrap_or_default());
    Ok(digest.iter().map(|byte| format!("{byte:02X}")).collect())
}

/// PKCS#10 as Apple's code writes it: extensionRequest before challengePassword, sorted or not.
pub fn certificate_request(scep: &Scep, key: &Key, style: RequestStyle) -> Result<Vec<u8>, KeyError> {
    let attribute =
        |kind: &[u8], value: Vec<u8>| ber::sequence(&[&ber::tlv(ber::OID, kind), &ber::tlv(ber::SET, &value)]);
    let mut attributes = Vec::new();
    let extensions = extensions(scep);
    if !extensions.is_empty() {
        attributes.push(attribute(oid::EXTENSION_REQUEST, ber::tlv(ber::SEQUENCE, &extensions)));
    }
    if let Some(challenge) = &scep.challenge {
        let value = match style.challenge_as_utf8 {
            true => ber::tlv(ber::UTF8_STRING, challenge.as_bytes()),
            false => ber::text(challenge),
        };
        attributes.push(attribute(oid::CHALLENGE_PASSWORD, value));
    }
    if style.sorted_attributes {
        attributes.sort();
    }
    let body = ber::sequence(&[
        &ber::unsigned(&[0]),
        &certificate::name(&scep.subject),
        key.public(),
        &ber::tlv(ber::context(0), &attributes.concat()),
    ]);
    let signature = ber::bit_string(&key.sign(Digest::Sha256, &body)?);
    Ok(ber::sequence(&[&body, &ber::algorithm(oid::SHA256_WITH_RSA), &signature]))
}

fn extensions(scep: &Scep) -> Vec<u8> {
    let mut out = certificate::key_usage(scep.key_usage).unwrap_or_default();
    if let Some(name) = &scep.dns_name {
        let names = ber::sequence(&[&ber::tlv(0x82, name.as_bytes())]);
        out.extend(ber::sequence(&[&ber::tlv(ber::OID, oid::SUBJECT_ALT_NAME), &ber::tlv(ber::OCTET_STRING, &names)]));
    }
    out
}

/// Checks a CertRep against its request and takes the certificate (DER) for `key` out of it.
pub fn read_certificate_reply(
    reply: &[u8],
    request: &PkiRequest,
    authority: &Authority,
    key: &Key,
) -> Result<Vec<u8>, ScepError> {
    let signed = Signed::read(reply)?;
    let signer = signed.signed_by(&authority.signer)?;
    let wrong = |name| Err(ScepError::Attribute(name));
    if text(signer, MESSAGE_TYPE)?.as_deref() != Some("3") {
        return wrong("messageType");
    }
    if text(signer, TRANSACTION)?.as_ref() != Some(&request.transaction) {
        return wrong("transId");
    }
    // Apple's client does not look at this one, but RFC 8894 wants it copied.
    if octets(signer, RECIPIENT_NONCE)?.as_ref() != Some(&request.nonce) {
        return wrong("recipientNonce");
    }
    if octets(signer, SENDER_NONCE)?.is_none() {
        return wrong("senderNonce");
    }
    match text(signer, PKI_STATUS)?.as_deref() {
        Some("0") => {}
        Some("2") => return Err(ScepError::Refused(fail_info(text(signer, FAIL_INFO)?.as_deref()))),
        Some("3") => return Err(ScepError::Pending),
        _ => return wrong("pkiStatus"),
    }
    let sealed = signed.content.as_deref().ok_or(CmsError::Missing("its content"))?;
    let opened = cms::open(sealed, &request.temporary, key)?;
    let certificates = Signed::read(&opened)?.certificates;
    let mine = |der: &&Vec<u8>| Facts::of(der).is_some_and(|facts| facts.public == key.public());
    certificates.iter().find(mine).cloned().ok_or(ScepError::OtherKey)
}

fn fail_info(number: Option<&str>) -> FailInfo {
    match number {
        Some("0") => FailInfo::BadAlg,
        Some("1") => FailInfo::BadMessageCheck,
        Some("2") => FailInfo::BadRequest,
        Some("3") => FailInfo::BadTime,
        Some("4") => FailInfo::BadCertId,
        _ => FailInfo::Other,
    }
}

fn text(signer: &SignerInfo, kind: [u8; 10]) -> Result<Option<String>, CmsError> {
    let Some(value) = signer.attribute(&kind)? else { return Ok(None) };
    let content = Reader::only(&value, ber::PRINTABLE_STRING)?.content.to_vec();
    Ok(String::from_utf8(content).ok())
}

fn octets(signer: &SignerInfo, kind: [u8; 10]) -> Result<Option<Vec<u8>>, CmsError> {
    let Some(value) = signer.attribute(&kind)? else { return Ok(None) };
    Ok(Some(Reader::only(&value, ber::OCTET_STRING)?.content.to_vec()))
}
