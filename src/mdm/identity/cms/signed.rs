//! Reading SignedData and verifying its one signature, detached or attached.
//!
//! Says who signed and what; whether that certificate is worth anything is for the caller. The signing time is not
//! looked at: clocks of devices are wrong.

use rasn::prelude::*;
use x509_parser::x509::SubjectPublicKeyInfo;

use super::CmsError;
use super::algorithm::{Digest, verify_raw};
use super::wire::{self, Attribute, SignedData, SignerInfo};
use crate::mdm::identity::certificate;

/// A SignedData whose signature has not been looked at yet.
pub struct SignedMessage(SignedData);

/// The proven signer of a message.
pub struct Signer<'a> {
    /// The signer's certificate, DER as it was embedded. Not checked against any authority.
    pub certificate: &'a [u8],
    info: &'a SignerInfo,
}

impl SignedMessage {
    /// Reads BER or DER. `limit` is the greatest number of bytes to look at.
    pub fn parse(bytes: &[u8], limit: usize) -> Result<SignedMessage, CmsError> {
        wire::read_content(bytes, limit, wire::SIGNED_DATA, "signed data").map(SignedMessage)
    }

    /// The embedded content, `None` when the signature is detached. **Not verified.**
    pub fn content(&self) -> Option<&[u8]> {
        self.0.encapsulated.content.as_ref().map(AsRef::as_ref)
    }

    /// The embedded certificates, DER as received, in no order. **Not verified.**
    pub fn certificates(&self) -> impl Iterator<Item = &[u8]> {
        self.0.certificates.iter().flat_map(|set| set.iter()).map(Any::as_bytes)
    }

    /// Verifies the signature over `body`, whatever content is embedded.
    pub fn verify_detached(&self, body: &[u8]) -> Result<Signer<'_>, CmsError> {
        let info = self.signer_info()?;
        let (certificate, parsed) = self
            .certificates()
            .filter_map(|der| Some((der, certificate::parse(der)?)))
            .find(|(_, parsed)| certificate::is_identified_by(parsed, &info.identifier))
            .ok_or(CmsError::NoSignerCertificate)?;
        self.verify_by(info, parsed.public_key(), body)?;
        Ok(Signer { certificate, info })
    }

    /// Verifies the signature over the embedded content; [`SignedMessage::content`] is then proved.
    pub fn verify_attached(&self) -> Result<Signer<'_>, CmsError> {
        self.verify_detached(self.content().ok_or(CmsError::Malformed("embedded content"))?)
    }

    /// A signed attribute's value without looking at the signature: only for naming a message that is being refused.
    pub fn unverified_attribute(&self, kind: &Oid) -> Option<&[u8]> {
        attribute(self.signer_info().ok()?, kind).ok()?
    }

    fn signer_info(&self) -> Result<&SignerInfo, CmsError> {
        let mut signers = self.0.signers.iter();
        match (signers.next(), signers.next()) {
            (Some(info), None) => Ok(info),
            _ => Err(CmsError::Signers(self.0.signers.len())),
        }
    }

    fn verify_by(&self, info: &SignerInfo, key: &SubjectPublicKeyInfo<'_>, body: &[u8]) -> Result<(), CmsError> {
        let digest = Digest::of(&info.digest_algorithm)?;
        let verify =
            |message: &[u8]| verify_raw(key, Some(digest), &info.signature_algorithm, message, &info.signature);
        let Some(attributes) = &info.signed_attributes else {
            // Signed attributes start like this. Were such a body taken, a signature over attributes could be passed
            // off as one over a body.
            return if body.first() == Some(&0x31) { Err(CmsError::SignatureMismatch) } else { verify(body) };
        };
        self.check_attributes(info, digest, body)?;
        // Signed is the DER encoding with the tag of a SET, whatever was sent.
        verify(&wire::encode(attributes, "signed attributes")?)
    }

    fn check_attributes(&self, info: &SignerInfo, digest: Digest, body: &[u8]) -> Result<(), CmsError> {
        if let Some(kind) = attribute(info, wire::CONTENT_TYPE)? {
            let kind: ObjectIdentifier = wire::decode(kind, "content type attribute")?;
            if kind != self.0.encapsulated.content_type {
                return Err(CmsError::Malformed("content type attribute"));
            }
        }
        let expected = attribute(info, wire::MESSAGE_DIGEST)?.ok_or(CmsError::Malformed("digest attribute"))?;
        let expected: OctetString = wire::decode(expected, "digest attribute")?;
        if digest.compute(body).as_ref() == expected.as_ref() { Ok(()) } else { Err(CmsError::DigestMismatch) }
    }
}

impl Signer<'_> {
    /// The digest that was signed.
    pub fn digest(&self) -> Result<Digest, CmsError> {
        Digest::of(&self.info.digest_algorithm)
    }

    /// The single value of a signed attribute, encoded; `None` when it is absent or not single.
    pub fn attribute(&self, kind: &Oid) -> Option<&[u8]> {
        attribute(self.info, kind).ok()?
    }
}

/// The single value of an attribute. Refuses an attribute that is there twice or has not one value.
fn attribute<'a>(info: &'a SignerInfo, kind: &Oid) -> Result<Option<&'a [u8]>, CmsError> {
    let all = info.signed_attributes.iter().flat_map(|set| set.iter());
    let mut found = all.filter(|attribute: &&Attribute| attribute.kind == *kind);
    let Some(attribute) = found.next() else { return Ok(None) };
    let mut values = attribute.values.iter();
    match (values.next(), values.next(), found.next()) {
        (Some(value), None, None) => Ok(Some(value.as_bytes())),
        _ => Err(CmsError::Malformed("signed attributes")),
    }
}
