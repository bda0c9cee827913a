//! What a device writes and reads of X.509: names, the temporary certificate of a SCEP request, and the few fields of
//! other certificates that messages refer to.

use jiff::{Timestamp, ToSpan, tz::TimeZone};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::ber;
use super::cms::{Digest, oid};
use super::keys::{Key, KeyError};

/// The fields of a certificate that messages refer to, as they stand in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Name, DER.
    pub issuer: Vec<u8>,
    /// Name, DER.
    pub subject: Vec<u8>,
    /// Content of the INTEGER.
    pub serial: Vec<u8>,
    /// SubjectPublicKeyInfo, DER.
    pub public: Vec<u8>,
}

impl Facts {
    /// Reads DER; `None` if it is not one certificate.
    pub fn of(der: &[u8]) -> Option<Facts> {
        let (rest, certificate) = X509Certificate::from_der(der).ok()?;
        rest.is_empty().then(|| Facts {
            issuer: certificate.issuer().as_raw().to_vec(),
            subject: certificate.subject().as_raw().to_vec(),
            serial: certificate.raw_serial().to_vec(),
            public: certificate.public_key().raw.to_vec(),
        })
    }

    /// IssuerAndSerialNumber.
    pub fn issuer_and_serial(&self) -> Vec<u8> {
        ber::sequence(&[&self.issuer, &ber::tlv(ber::INTEGER, &self.serial)])
    }
}

/// A Name from pairs of (OID content, text), one per relative name.
pub fn name(pairs: &[(Vec<u8>, String)]) -> Vec<u8> {
    let relative = |(kind, value): &(Vec<u8>, String)| {
        ber::tlv(ber::SET, &ber::sequence(&[&ber::tlv(ber::OID, kind), &ber::text(value)]))
    };
    ber::tlv(ber::SEQUENCE, &pairs.iter().flat_map(relative).collect::<Vec<u8>>())
}

/// UTCTime, which certificates and messages use until the year 2049.
pub fn utc_time(at: Timestamp) -> Vec<u8> {
    let text = at.to_zoned(TimeZone::UTC).strftime("%y%m%d%H%M%SZ").to_string();
    ber::tlv(ber::UTC_TIME, text.as_bytes())
}

/// The key usages digitalSignature and keyEncipherment as asked for by a profile's `Key Usage` (1 sign, 4 encrypt), as an
/// Extension; `None` for 0.
pub fn key_usage(bits: u8) -> Option<Vec<u8>> {
    let value = (if bits & 1 != 0 { 0x80 } else { 0 }) | (if bits & 4 != 0 { 0x20 } else { 0u8 });
    let unused = if value & 0x20 != 0 { 5 } else { 7 };
    let extension = ber::sequence(&[
        &ber::tlv(ber::OID, oid::KEY_USAGE),
        &ber::tlv(ber::BOOLEAN, &[0xff]),
        &ber::tlv(ber::OCTET_STRING, &ber::tlv(ber::BIT_STRING, &[unused, value])),
    ]);
    (value != 0).then_some(extension)
}

/// What goes into a certificate, besides the usages digitalSignature and keyEncipherment and a day of validity.
pub struct Issue<'a> {
    /// Name, DER.
    pub issuer: &'a [u8],
    /// Name, DER.
    pub subject: &'a [u8],
    /// SubjectPublicKeyInfo, DER.
    pub public: &'a [u8],
    pub serial: &'a [u8],
}

/// A certificate, DER, signed with the issuer's key.
pub fn issue(issue: &Issue<'_>, issuer_key: &Key, now: Timestamp) -> Result<Vec<u8>, KeyError> {
    let algorithm = ber::algorithm(oid::SHA256_WITH_RSA);
    let edge = |span: jiff::Span| utc_time(now.checked_add(span).unwrap_or(now));
    let validity = ber::sequence(&[&edge((-1).hour()), &edge(24.hours())]);
    let extensions = ber::sequence(&[&key_usage(5).unwrap_or_default()]);
    let body = ber::sequence(&[
        &ber::tlv(ber::context(0), &ber::unsigned(&[2])),
        &ber::unsigned(issue.serial),
        &algorithm,
        issue.issuer,
        &validity,
        issue.subject,
        issue.public,
        &ber::tlv(ber::context(3), &extensions),
    ]);
    let signature = ber::bit_string(&issuer_key.sign(Digest::Sha256, &body)?);
    Ok(ber::sequence(&[&body, &algorithm, &signature]))
}

/// The certificate that a SCEP client signs its own request with: over its new key, by its new key.
pub fn temporary(key: &Key, common_name: &str, serial: &[u8], now: Timestamp) -> Result<Vec<u8>, KeyError> {
    let name = name(&[(oid::COMMON_NAME.to_vec(), common_name.to_owned())]);
    issue(&Issue { issuer: &name, subject: &name, public: key.public(), serial }, key, now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_temporary_certificate_is_read_and_verified_by_others() {
        let key = Key::generate().unwrap();
        let der = temporary(&key, "4F2C", &[0xff, 1], "2026-11-02T06:00:00Z".parse().unwrap()).unwrap();
        let (_, certificate) = X509Certificate::from_der(&der).unwrap();
        certificate.verify_signature(None).unwrap();
        let usage = certificate.key_usage().unwrap().unwrap().value;
        assert!(usage.digital_signature() && usage.key_encipherment() && !usage.key_cert_sign());
        assert_eq!(certificate.subject().to_string(), "CN=4F2C");
        assert_eq!(certificate.validity().not_before.to_datetime().to_string(), "2026-11-02 5:00:00.0 +00:00:00");
        assert_eq!(Facts::of(&der).unwrap().serial, [0, 0xff, 1]);
        assert_eq!(Facts::of(&[&der[..], &[0]].concat()), None);
    }
}
