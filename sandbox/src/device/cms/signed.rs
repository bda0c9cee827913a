//! SignedData: made with signed attributes, attached or detached; read and verified.

use aws_lc_rs::signature::{
    RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384,
    RSA_PKCS1_2048_8192_SHA512, RsaParameters, UnparsedPublicKey,
};
use jiff::Timestamp;

use super::{CmsError, Style, oid};
use crate::device::ber::{self, Node, Reader};
use crate::device::certificate::{Facts, utc_time};
use crate::device::keys::Key;

/// Apple's encoder flushes its content in pieces; the size is this sandbox's choice.
const SEGMENT: usize = 1024;

/// A signed attribute with one value.
#[derive(Debug, Clone)]
pub struct Attribute {
    /// Content of the OBJECT IDENTIFIER.
    pub kind: Vec<u8>,
    /// The value, as a whole DER value.
    pub value: Vec<u8>,
}

impl Attribute {
    fn encode(&self) -> Vec<u8> {
        ber::sequence(&[&ber::tlv(ber::OID, &self.kind), &ber::tlv(ber::SET, &self.value)])
    }
}

/// Who signs: the key, its certificate, and further certificates to embed.
pub struct Signer<'a> {
    pub key: &'a Key,
    pub certificate: &'a [u8],
    pub chain: &'a [Vec<u8>],
}

/// A SignedData over `content` in a ContentInfo. The attributes contentType, signingTime and messageDigest are added to
/// `extra`. Without `attached` the content stays outside (`Mdm-Signature`).
pub fn sign(
    signer: &Signer<'_>,
    content: &[u8],
    attached: bool,
    extra: Vec<Attribute>,
    at: Timestamp,
    style: Style,
) -> Result<Vec<u8>, CmsError> {
    let facts = Facts::of(signer.certificate).ok_or(CmsError::Certificate)?;
    let digest = ber::algorithm(style.digest.oid());
    let attributes = attributes(content, extra, at, style);
    let signature = signer.key.sign(style.digest, &ber::tlv(ber::SET, &attributes))?;
    let info = ber::sequence(&[
        &ber::unsigned(&[1]),
        &facts.issuer_and_serial(),
        &digest,
        &ber::tlv(ber::context(0), &attributes),
        &ber::algorithm(oid::RSA),
        &ber::tlv(ber::OCTET_STRING, &signature),
    ]);
    let mut certificates = signer.certificate.to_vec();
    certificates.extend(signer.chain.iter().flatten());
    let wrap = if style.streamed { ber::indefinite } else { ber::constructed };
    let inner = if attached { wrap(ber::context(0), &[&octets(content, style.streamed)]) } else { Vec::new() };
    let body = wrap(
        ber::SEQUENCE,
        &[
            &ber::unsigned(&[1]),
            &ber::tlv(ber::SET, &digest),
            &wrap(ber::SEQUENCE, &[&ber::tlv(ber::OID, oid::DATA), &inner]),
            &ber::tlv(ber::context(0), &certificates),
            &ber::tlv(ber::SET, &info),
        ],
    );
    Ok(wrap(ber::SEQUENCE, &[&ber::tlv(ber::OID, oid::SIGNED_DATA), &wrap(ber::context(0), &[&body])]))
}

/// A SignedData that carries only certificates.
pub fn certificates_only(certificates: &[Vec<u8>]) -> Vec<u8> {
    let body = ber::sequence(&[
        &ber::unsigned(&[1]),
        &ber::tlv(ber::SET, &[]),
        &ber::sequence(&[&ber::tlv(ber::OID, oid::DATA)]),
        &ber::tlv(ber::context(0), &certificates.concat()),
        &ber::tlv(ber::SET, &[]),
    ]);
    ber::sequence(&[&ber::tlv(ber::OID, oid::SIGNED_DATA), &ber::tlv(ber::context(0), &body)])
}

/// An OCTET STRING, whole or as a chain of segments.
fn octets(content: &[u8], streamed: bool) -> Vec<u8> {
    if !streamed {
        return ber::tlv(ber::OCTET_STRING, content);
    }
    ber::indefinite(0x24, &[&segments(content)])
}

pub(super) fn segments(content: &[u8]) -> Vec<u8> {
    content.chunks(SEGMENT).flat_map(|segment| ber::tlv(ber::OCTET_STRING, segment)).collect()
}

/// The content of the SET OF attributes in DER: sorted by their encoding.
fn attributes(content: &[u8], extra: Vec<Attribute>, at: Timestamp, style: Style) -> Vec<u8> {
    let attribute = |kind: &[u8], value| Attribute { kind: kind.to_vec(), value };
    let mut all = vec![
        attribute(oid::CONTENT_TYPE, ber::tlv(ber::OID, oid::DATA)),
        attribute(oid::SIGNING_TIME, utc_time(at)),
        attribute(oid::MESSAGE_DIGEST, ber::tlv(ber::OCTET_STRING, &style.digest.of(content))),
    ];
    all.extend(extra);
    let mut encoded: Vec<Vec<u8>> = all.iter().map(Attribute::encode).collect();
    encoded.sort();
    encoded.concat()
}

/// A SignedData as received.
#[derive(Debug, Clone)]
pub struct Signed {
    /// `None` if the content is elsewhere (detached) or there is none.
    pub content: Option<Vec<u8>>,
    /// DER, in the order of the message.
    pub certificates: Vec<Vec<u8>>,
    pub signers: Vec<SignerInfo>,
}

/// One signature of a [`Signed`].
#[derive(Debug, Clone)]
pub struct SignerInfo {
    /// Issuer (DER) and serial number (content), when the signer is named in this way.
    issuer_and_serial: Option<(Vec<u8>, Vec<u8>)>,
    digest: Vec<u8>,
    /// Content of the SET OF signed attributes, as received.
    attributes: Option<Vec<u8>>,
    signature: Vec<u8>,
}

impl Signed {
    /// Reads a ContentInfo with SignedData, BER or DER. Verifies nothing.
    pub fn read(bytes: &[u8]) -> Result<Signed, CmsError> {
        let mut fields = content_info(bytes, oid::SIGNED_DATA)?;
        fields.expect(ber::INTEGER)?;
        fields.expect(ber::SET)?;
        let mut encapsulated = fields.expect(ber::SEQUENCE)?.inside();
        encapsulated.expect(ber::OID)?;
        let content = match encapsulated.take(ber::context(0))? {
            Some(explicit) => explicit.inside().next()?.map(|octets| octets.octets()).transpose()?,
            None => None,
        };
        let mut certificates = Vec::new();
        if let Some(set) = fields.take(ber::context(0))? {
            let mut set = set.inside();
            while let Some(certificate) = set.next()? {
                certificates.push(certificate.raw.to_vec());
            }
        }
        fields.take(ber::context(1))?;
        let mut infos = fields.expect(ber::SET)?.inside();
        let mut signers = Vec::new();
        while let Some(info) = infos.next()? {
            signers.push(SignerInfo::read(&info)?);
        }
        Ok(Signed { content, certificates, signers })
    }

    /// The only signer, verified with `certificate` over the attached content.
    pub fn signed_by(&self, certificate: &[u8]) -> Result<&SignerInfo, CmsError> {
        let [signer] = self.signers.as_slice() else { return Err(CmsError::Missing("exactly one signature")) };
        signer.verify(self.content.as_deref().unwrap_or_default(), certificate)?;
        Ok(signer)
    }
}

/// The fields of what a ContentInfo of this kind holds.
pub(super) fn content_info<'a>(bytes: &'a [u8], kind: &[u8]) -> Result<Reader<'a>, CmsError> {
    let mut outer = Reader::only(bytes, ber::SEQUENCE)?.inside();
    if outer.expect(ber::OID)?.content != kind {
        return Err(CmsError::Unsupported("another content type"));
    }
    Ok(outer.expect(ber::context(0))?.inside().expect(ber::SEQUENCE)?.inside())
}

impl SignerInfo {
    fn read(info: &Node<'_>) -> Result<SignerInfo, CmsError> {
        let mut fields = info.inside();
        fields.expect(ber::INTEGER)?;
        let name = fields.next()?.ok_or(CmsError::Missing("the signer's name"))?;
        let issuer_and_serial = if name.tag == ber::SEQUENCE {
            let mut parts = name.inside();
            Some((parts.expect(ber::SEQUENCE)?.raw.to_vec(), parts.expect(ber::INTEGER)?.content.to_vec()))
        } else {
            None
        };
        let digest = fields.expect(ber::SEQUENCE)?.inside().expect(ber::OID)?.content.to_vec();
        let attributes = fields.take(ber::context(0))?.map(|set| set.content.to_vec());
        fields.expect(ber::SEQUENCE)?;
        let signature = fields.expect(ber::OCTET_STRING)?.content.to_vec();
        Ok(SignerInfo { issuer_and_serial, digest, attributes, signature })
    }

    /// The single value (as a whole DER value) of the signed attribute with this OID content.
    pub fn attribute(&self, kind: &[u8]) -> Result<Option<Vec<u8>>, CmsError> {
        let mut all = Reader::new(self.attributes.as_deref().unwrap_or_default());
        while let Some(attribute) = all.next()? {
            let mut parts = attribute.inside();
            if parts.expect(ber::OID)?.content == kind {
                return Ok(parts.expect(ber::SET)?.inside().next()?.map(|value| value.raw.to_vec()));
            }
        }
        Ok(None)
    }

    /// Checks the name of the signer, the digest of `content`, and the signature.
    pub fn verify(&self, content: &[u8], certificate: &[u8]) -> Result<(), CmsError> {
        let facts = Facts::of(certificate).ok_or(CmsError::Certificate)?;
        if self
            .issuer_and_serial
            .as_ref()
            .is_some_and(|(issuer, serial)| issuer != &facts.issuer || serial != &facts.serial)
        {
            return Err(CmsError::BadSignature);
        }
        let (parameters, digest) = self.algorithm()?;
        let signed = match &self.attributes {
            None => content.to_vec(),
            Some(attributes) => {
                let told = self.attribute(oid::MESSAGE_DIGEST)?.ok_or(CmsError::Missing("messageDigest"))?;
                let actual = aws_lc_rs::digest::digest(digest, content);
                if Reader::only(&told, ber::OCTET_STRING)?.content != actual.as_ref() {
                    return Err(CmsError::DigestMismatch);
                }
                ber::tlv(ber::SET, attributes)
            }
        };
        let public = UnparsedPublicKey::new(parameters, &facts.public);
        public.verify(&signed, &self.signature).map_err(|_| CmsError::BadSignature)
    }

    fn algorithm(&self) -> Result<(&'static RsaParameters, &'static aws_lc_rs::digest::Algorithm), CmsError> {
        use aws_lc_rs::digest;
        match self.digest.as_slice() {
            oid::SHA1 => Ok((&RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY, &digest::SHA1_FOR_LEGACY_USE_ONLY)),
            oid::SHA256 => Ok((&RSA_PKCS1_2048_8192_SHA256, &digest::SHA256)),
            oid::SHA384 => Ok((&RSA_PKCS1_2048_8192_SHA384, &digest::SHA384)),
            oid::SHA512 => Ok((&RSA_PKCS1_2048_8192_SHA512, &digest::SHA512)),
            _ => Err(CmsError::Unsupported("an unknown digest")),
        }
    }
}
