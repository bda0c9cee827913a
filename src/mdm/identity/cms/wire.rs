//! The ASN.1 of RFC 5652 and RFC 2986 with everything that is signed kept as raw bytes: certificates, names and
//! requests are never decoded and encoded again, and a certificate costs a copy instead of a tree.
//!
//! Only structure; knows no algorithm and verifies nothing.

use rasn::prelude::*;
pub use rasn_pkix::AlgorithmIdentifier;

use super::CmsError;

const fn arcs(arcs: &'static [u32]) -> &'static Oid {
    Oid::const_new(arcs)
}

pub const DATA: &Oid = arcs(&[1, 2, 840, 113_549, 1, 7, 1]);
pub const SIGNED_DATA: &Oid = arcs(&[1, 2, 840, 113_549, 1, 7, 2]);
pub const ENVELOPED_DATA: &Oid = arcs(&[1, 2, 840, 113_549, 1, 7, 3]);
pub const CONTENT_TYPE: &Oid = arcs(&[1, 2, 840, 113_549, 1, 9, 3]);
pub const MESSAGE_DIGEST: &Oid = arcs(&[1, 2, 840, 113_549, 1, 9, 4]);

#[derive(AsnType, Clone, Debug, Decode, Encode, PartialEq, Eq)]
pub struct ContentInfo {
    pub content_type: ObjectIdentifier,
    #[rasn(tag(explicit(0)))]
    pub content: Any,
}

#[derive(AsnType, Clone, Debug, Decode, Encode, PartialEq, Eq)]
pub struct SignedData {
    pub version: Integer,
    pub digest_algorithms: SetOf<AlgorithmIdentifier>,
    pub encapsulated: Encapsulated,
    #[rasn(tag(0))]
    pub certificates: Option<SetOf<Any>>,
    #[rasn(tag(1))]
    pub revocations: Option<SetOf<Any>>,
    pub signers: SetOf<SignerInfo>,
}

#[derive(AsnType, Clone, Debug, Decode, Encode, PartialEq, Eq)]
pub struct Encapsulated {
    pub content_type: ObjectIdentifier,
    #[rasn(tag(explicit(0)))]
    pub content: Option<OctetString>,
}

#[derive(AsnType, Clone, Debug, Decode, Encode, PartialEq, Eq, Hash)]
pub struct SignerInfo {
    pub version: Integer,
    pub identifier: CertificateIdentifier,
    pub digest_algorithm: AlgorithmIdentifier,
    #[rasn(tag(0))]
    pub signed_attributes: Option<SetOf<Attribute>>,
    pub signature_algorithm: AlgorithmIdentifier,
    pub signature: OctetString,
    #[rasn(tag(1))]
    pub unsigned_attributes: Option<SetOf<Attribute>>,
}

#[derive(AsnType, Clone, Debug, Decode, Encode, PartialEq, Eq, Hash)]
#[rasn(choice)]
pub enum CertificateIdentifier {
    IssuerAndSerial(IssuerAndSerial),
    #[rasn(tag(0))]
    SubjectKeyIdentifier(OctetString),
}

#[derive(AsnType, Clone, Debug, Decode, Encode, PartialEq, Eq, Hash)]
pub struct IssuerAndSerial {
    pub issuer: Any,
    pub serial: Any,
}

#[derive(AsnType, Clone, Debug, Decode, Encode, PartialEq, Eq, Hash)]
pub struct Attribute {
    pub kind: ObjectIdentifier,
    pub values: SetOf<Any>,
}

#[derive(AsnType, Clone, Debug, Decode, Encode, PartialEq, Eq)]
pub struct EnvelopedData {
    pub version: Integer,
    #[rasn(tag(0))]
    pub originator: Option<Originator>,
    pub recipients: SetOf<Any>,
    pub encrypted: EncryptedContent,
    #[rasn(tag(1))]
    pub unprotected_attributes: Option<SetOf<Attribute>>,
}

#[derive(AsnType, Clone, Debug, Decode, Encode, PartialEq, Eq)]
pub struct Originator {
    #[rasn(tag(0))]
    pub certificates: Option<SetOf<Any>>,
    #[rasn(tag(1))]
    pub revocations: Option<SetOf<Any>>,
}

#[derive(AsnType, Clone, Debug, Decode, Encode, PartialEq, Eq)]
pub struct KeyTransport {
    pub version: Integer,
    pub recipient: CertificateIdentifier,
    pub algorithm: AlgorithmIdentifier,
    pub encrypted_key: OctetString,
}

#[derive(AsnType, Clone, Debug, Decode, Encode, PartialEq, Eq)]
pub struct EncryptedContent {
    pub content_type: ObjectIdentifier,
    pub algorithm: AlgorithmIdentifier,
    #[rasn(tag(0))]
    pub content: Option<OctetString>,
}

/// What X.509 certificates and PKCS#10 requests are: something signed, kept as received.
#[derive(AsnType, Clone, Debug, Decode, PartialEq, Eq)]
pub struct Signed {
    pub to_be_signed: Any,
    pub algorithm: AlgorithmIdentifier,
    pub signature: BitString,
}

impl Signed {
    /// The signature. One that is not made of whole bytes is none: the same bytes said in two ways would be two certificates.
    pub fn signature(&self) -> Option<&[u8]> {
        self.signature.len().is_multiple_of(8).then(|| self.signature.as_raw_slice())
    }
}

/// The signed part of PKCS#10. Attributes in any order: Apple's encoder does not sort them.
#[derive(AsnType, Clone, Debug, Decode, PartialEq, Eq)]
pub struct RequestInfo {
    pub version: Integer,
    pub subject: Any,
    pub public_key: Any,
    #[rasn(tag(0))]
    pub attributes: Option<SetOf<Attribute>>,
}

/// Decodes BER or DER and refuses bytes behind the value.
pub fn decode<T: Decode>(bytes: &[u8], part: &'static str) -> Result<T, CmsError> {
    let (value, rest) = rasn::ber::decode_with_remainder::<T>(bytes).map_err(|_| CmsError::Malformed(part))?;
    if rest.is_empty() { Ok(value) } else { Err(CmsError::Malformed(part)) }
}

/// Encodes DER.
pub fn encode<T: Encode>(value: &T, part: &'static str) -> Result<Vec<u8>, CmsError> {
    rasn::der::encode(value).map_err(|_| CmsError::Build(part))
}

/// Wraps an encoded value into a ContentInfo.
pub fn content_info(kind: &Oid, content: Vec<u8>) -> Result<Vec<u8>, CmsError> {
    encode(&ContentInfo { content_type: kind.into(), content: Any::new(content) }, "content info")
}

/// Reads a ContentInfo of the given kind, and its content.
pub fn read_content<T: Decode>(bytes: &[u8], limit: usize, kind: &Oid, part: &'static str) -> Result<T, CmsError> {
    if bytes.len() > limit {
        return Err(CmsError::TooLarge { size: bytes.len(), limit });
    }
    let info: ContentInfo = decode(bytes, "content info")?;
    if info.content_type != kind {
        return Err(CmsError::Malformed("content type"));
    }
    decode(info.content.as_bytes(), part)
}

/// The characters of any ASN.1 string type over ASCII or UTF-8, `None` for anything else.
///
/// Devices choose PrintableString or UTF8String as they like, and not always rightly.
pub fn text(value: &[u8]) -> Option<String> {
    const STRING_TAGS: [u8; 5] = [0x04, 0x0c, 0x13, 0x14, 0x16];
    if !STRING_TAGS.contains(value.first()?) {
        return None;
    }
    let mut octets = value.to_vec();
    *octets.first_mut()? = 0x04;
    let octets: OctetString = decode(&octets, "string").ok()?;
    String::from_utf8(octets.to_vec()).ok()
}
