//! What a device's secure hardware says of a key: a CBOR object in the shape of WebAuthn with the format `apple`, which holds a
//! chain of certificates. The first one is over the key and names the device and the token that it was asked with.

use aws_lc_rs::digest::{SHA256, digest};
use ciborium::Value;
use jiff::Timestamp;
use x509_parser::certificate::X509Certificate;

use super::AcmeError;
use crate::mdm::identity::certificate;
use crate::mdm::identity::cms::wire::{self, Signed};
use crate::mdm::identity::cms::{Digest, verify_raw};

const SERIAL_NUMBER: &str = "1.2.840.113635.100.8.9.1";
const UDID: &str = "1.2.840.113635.100.8.9.2";
const FRESHNESS: &str = "1.2.840.113635.100.8.11.1";

/// More certificates than this are no chain of Apple's.
const LONGEST_CHAIN: usize = 5;

/// How deep CBOR may nest.
const DEEPEST: usize = 16;

/// What an attestation proves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attested {
    /// DER SubjectPublicKeyInfo.
    pub spki_der: Vec<u8>,
    /// Not told in User Enrolment.
    pub serial: Option<String>,
    /// Not told in User Enrolment.
    pub udid: Option<String>,
}

/// Verifies an attestation object: its chain ends at one of `roots` (DER) and is valid at `now`, and it was made for `token`.
pub fn verify(object: &[u8], token: &str, roots: &[Vec<u8>], now: Timestamp) -> Result<Attested, AcmeError> {
    let chain = chain(object)?;
    let leaf = check_chain(&chain, roots, now)?;
    let fresh = digest(&SHA256, token.as_bytes());
    let told = extension(&leaf, FRESHNESS).ok_or(AcmeError::Malformed("it carries no token"))?;
    // As it is, or as an OCTET STRING.
    if told != fresh.as_ref() && told != [&[4, 32][..], fresh.as_ref()].concat() {
        return Err(AcmeError::Stale);
    }
    Ok(Attested {
        spki_der: leaf.public_key().raw.to_vec(),
        serial: text(&leaf, SERIAL_NUMBER),
        udid: text(&leaf, UDID),
    })
}

/// The certificates (DER) of the object.
fn chain(object: &[u8]) -> Result<Vec<Vec<u8>>, AcmeError> {
    let value: Value = ciborium::de::from_reader_with_recursion_limit(object, DEEPEST)
        .map_err(|_| AcmeError::Malformed("it is no CBOR"))?;
    if entry(&value, "fmt").and_then(Value::as_text) != Some("apple") {
        return Err(AcmeError::Malformed("its format is not \"apple\""));
    }
    let listed = entry(&value, "attStmt").and_then(|statement| entry(statement, "x5c")).and_then(Value::as_array);
    let listed = listed.ok_or(AcmeError::Malformed("it has no certificates"))?;
    if !(1..=LONGEST_CHAIN).contains(&listed.len()) {
        return Err(AcmeError::Malformed("it has too many certificates, or none"));
    }
    let chain: Option<Vec<Vec<u8>>> = listed.iter().map(|one| one.as_bytes().cloned()).collect();
    chain.ok_or(AcmeError::Malformed("a certificate is not in bytes"))
}

fn entry<'v>(value: &'v Value, key: &str) -> Option<&'v Value> {
    value.as_map()?.iter().find(|(name, _)| name.as_text() == Some(key)).map(|(_, value)| value)
}

/// The first certificate of a chain in which each is signed by the next, and the last by a root.
fn check_chain<'c>(chain: &'c [Vec<u8>], roots: &[Vec<u8>], now: Timestamp) -> Result<X509Certificate<'c>, AcmeError> {
    let parse = |der: &'c Vec<u8>| certificate::parse(der).ok_or(AcmeError::Malformed("a certificate cannot be read"));
    for (place, der) in chain.iter().enumerate() {
        let parsed = parse(der)?;
        let validity = parsed.validity();
        if !(validity.not_before.timestamp()..=validity.not_after.timestamp()).contains(&now.as_second()) {
            return Err(AcmeError::Chain("a certificate of it is not valid at this time"));
        }
        if place > 0 && !parsed.is_ca() {
            return Err(AcmeError::Chain("a certificate in the middle is no authority's"));
        }
        // The root itself may be there, too.
        if place > 0 && roots.contains(der) {
            break;
        }
        match chain.get(place + 1) {
            Some(next) if is_signed_by(der, &parsed, next) => {}
            Some(_) => return Err(AcmeError::Chain("its certificates do not follow each other")),
            None if roots.iter().any(|root| is_signed_by(der, &parsed, root)) => {}
            None => return Err(AcmeError::Chain("its last certificate is signed by somebody else")),
        }
    }
    chain.first().ok_or(AcmeError::Malformed("it has no certificates")).and_then(parse)
}

fn is_signed_by(der: &[u8], parsed: &X509Certificate<'_>, issuer: &[u8]) -> bool {
    let Some(issuer) = certificate::parse(issuer) else { return false };
    let Ok(parts) = wire::decode::<Signed>(der, "certificate") else { return false };
    let Some(signature) = parts.signature() else { return false };
    let verifies = |digest| {
        let (key, message) = (issuer.public_key(), parts.to_be_signed.as_bytes());
        verify_raw(key, Some(digest), &parts.algorithm, message, signature).is_ok()
    };
    // What one parser reads must be what the other verifies; SHA-1 is not among the digests.
    parsed.issuer().as_raw() == issuer.subject().as_raw()
        && parsed.signature_algorithm == parsed.tbs_certificate.signature
        && parsed.tbs_certificate.as_ref() == parts.to_be_signed.as_bytes()
        && [Digest::Sha256, Digest::Sha384, Digest::Sha512].into_iter().any(verifies)
}

fn extension<'a>(certificate: &X509Certificate<'a>, oid: &str) -> Option<&'a [u8]> {
    let mut all = certificate.extensions().iter();
    all.find(|extension| extension.oid.to_id_string() == oid).map(|extension| extension.value)
}

/// The text of an extension, as it is or as an ASN.1 string.
fn text(certificate: &X509Certificate<'_>, oid: &str) -> Option<String> {
    let value = extension(certificate, oid)?;
    let text = wire::text(value).or_else(|| String::from_utf8(value.to_vec()).ok())?;
    (!text.is_empty() && text.len() <= 64 && text.chars().all(|c| c.is_ascii_graphic())).then_some(text)
}
