//! Small questions to one X.509 certificate: how CMS names it, whether a name means it, its fingerprint.
//!
//! Trusts nothing: chains and validity are for [`super::authority`].

use aws_lc_rs::digest::{SHA256, digest};
use rasn::types::Any;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::ParsedExtension;
use x509_parser::oid_registry::OID_X509_EXT_SUBJECT_KEY_IDENTIFIER;
use x509_parser::prelude::FromDer;

use super::cms::wire::{self, CertificateIdentifier, IssuerAndSerial};

/// The tag of an ASN.1 INTEGER.
const INTEGER: u8 = 0x02;

/// SHA-256 over the DER certificate, the form in which certificates are pinned and profiles name the authority.
pub fn fingerprint(der: &[u8]) -> [u8; 32] {
    let mut fingerprint = [0; 32];
    fingerprint.copy_from_slice(digest(&SHA256, der).as_ref());
    fingerprint
}

/// When a DER certificate ends.
pub fn not_after(der: &[u8]) -> Option<jiff::Timestamp> {
    jiff::Timestamp::from_second(parse(der)?.validity().not_after.timestamp()).ok()
}

/// The public key (DER SubjectPublicKeyInfo) of a DER certificate.
pub fn public_key(der: &[u8]) -> Option<Vec<u8>> {
    Some(parse(der)?.public_key().raw.to_vec())
}

/// Reads one DER certificate; `None` when it is none or bytes follow.
pub(super) fn parse(der: &[u8]) -> Option<X509Certificate<'_>> {
    X509Certificate::from_der(der).ok().filter(|(rest, _)| rest.is_empty()).map(|(_, certificate)| certificate)
}

/// How CMS names this certificate: issuer and serial number.
pub(super) fn identifier(der: &[u8]) -> Option<CertificateIdentifier> {
    let certificate = parse(der)?;
    let serial = certificate.raw_serial();
    let header = [INTEGER, u8::try_from(serial.len()).ok().filter(|length| *length < 0x80)?];
    Some(CertificateIdentifier::IssuerAndSerial(IssuerAndSerial {
        issuer: Any::new(certificate.issuer().as_raw().to_vec()),
        serial: Any::new([&header, serial].concat()),
    }))
}

/// Whether CMS means this certificate, by issuer and serial number or by subject key identifier.
pub(super) fn is_identified_by(certificate: &X509Certificate<'_>, identifier: &CertificateIdentifier) -> bool {
    match identifier {
        CertificateIdentifier::IssuerAndSerial(wanted) => {
            matches!(wanted.serial.as_bytes(), [INTEGER, _, serial @ ..] if serial == certificate.raw_serial())
                && same_name(certificate.issuer().as_raw(), wanted.issuer.as_bytes())
        }
        CertificateIdentifier::SubjectKeyIdentifier(wanted) => {
            subject_key_identifier(certificate) == Some(wanted.as_ref())
        }
    }
}

/// Equal bytes, or equal after decoding: a streaming sender may have written the name with other lengths.
fn same_name(a: &[u8], b: &[u8]) -> bool {
    a == b
        || matches!(
            (wire::decode::<rasn_pkix::Name>(a, "name"), wire::decode::<rasn_pkix::Name>(b, "name")),
            (Ok(a), Ok(b)) if a == b
        )
}

fn subject_key_identifier<'a>(certificate: &'a X509Certificate<'_>) -> Option<&'a [u8]> {
    let extension = certificate.get_extension_unique(&OID_X509_EXT_SUBJECT_KEY_IDENTIFIER).ok()??;
    match extension.parsed_extension() {
        ParsedExtension::SubjectKeyIdentifier(identifier) => Some(identifier.0),
        _ => None,
    }
}
