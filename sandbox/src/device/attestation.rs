//! Attestations as secure hardware makes them, under a root of this sandbox: a certificate over the device's key that names the
//! device and the token it was asked with (Apple: Managed Device Attestation), in CBOR.
//!
//! Shares nothing with those who verify it.

use aws_lc_rs::digest::{SHA256, digest};
use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DistinguishedName, DnType, IsCa, Issuer, KeyPair,
    SubjectPublicKeyInfo,
};

const SERIAL_NUMBER: &[u64] = &[1, 2, 840, 113_635, 100, 8, 9, 1];
const UDID: &[u64] = &[1, 2, 840, 113_635, 100, 8, 9, 2];
const FRESHNESS: &[u64] = &[1, 2, 840, 113_635, 100, 8, 11, 1];

/// The authority of this sandbox's secure hardware: a root and an issuer below it.
pub struct Hardware {
    root: Vec<u8>,
    issuer: Issuer<'static, KeyPair>,
    issuer_der: Vec<u8>,
    now: Timestamp,
}

/// What is said of a key.
pub struct Said<'a> {
    pub serial: Option<&'a str>,
    pub udid: Option<&'a str>,
    /// What the server asked with.
    pub token: &'a str,
    /// The freshness as an OCTET STRING within the extension.
    pub wrapped: bool,
}

impl Hardware {
    /// A root that begins a day before `now`.
    pub fn new(now: Timestamp) -> Result<Hardware, rcgen::Error> {
        let root_key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384)?;
        let mut root = params("Sandbox Attestation Root", now);
        root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let root_der = root.self_signed(&root_key)?.der().to_vec();
        let above = Issuer::from_ca_cert_der(&root_der.as_slice().into(), root_key)?;
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384)?;
        let mut below = params("Sandbox Attestation Issuer", now);
        below.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        let issuer_der = below.signed_by(&key, &above)?.der().to_vec();
        let issuer = Issuer::from_ca_cert_der(&issuer_der.as_slice().into(), key)?;
        Ok(Hardware { root: root_der, issuer, issuer_der, now })
    }

    /// The root's certificate (DER).
    pub fn root(&self) -> &[u8] {
        &self.root
    }

    /// The attestation object for a key (DER SubjectPublicKeyInfo).
    pub fn attest(&self, spki_der: &[u8], said: &Said<'_>) -> Result<Vec<u8>, rcgen::Error> {
        let fresh = digest(&SHA256, said.token.as_bytes()).as_ref().to_vec();
        let fresh = if said.wrapped { [&[4, 32][..], &fresh].concat() } else { fresh };
        let mut leaf = params("Sandbox Device", self.now);
        leaf.custom_extensions.push(CustomExtension::from_oid_content(FRESHNESS, fresh));
        for (oid, text) in [(SERIAL_NUMBER, said.serial), (UDID, said.udid)] {
            if let Some(text) = text {
                leaf.custom_extensions.push(CustomExtension::from_oid_content(oid, text.as_bytes().to_vec()));
            }
        }
        let leaf = leaf.signed_by(&SubjectPublicKeyInfo::from_der(spki_der)?, &self.issuer)?;
        Ok(object(&[leaf.der(), &self.issuer_der]))
    }
}

fn params(name: &str, now: Timestamp) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let at = |time: Timestamp| epoch + std::time::Duration::from_secs(u64::try_from(time.as_second()).unwrap_or(0));
    params.not_before = at(now.checked_sub(SignedDuration::from_hours(24)).unwrap_or(now));
    params.not_after = at(now.checked_add(SignedDuration::from_hours(24 * 3650)).unwrap_or(now));
    params.use_authority_key_identifier_extension = true;
    params
}

/// `{"fmt": "apple", "attStmt": {"x5c": [...]}}` in CBOR.
fn object(certificates: &[&[u8]]) -> Vec<u8> {
    let mut out = vec![0xa2];
    text(&mut out, "fmt");
    text(&mut out, "apple");
    text(&mut out, "attStmt");
    out.push(0xa1);
    text(&mut out, "x5c");
    head(&mut out, 0x80, certificates.len());
    for der in certificates {
        head(&mut out, 0x40, der.len());
        out.extend_from_slice(der);
    }
    out
}

fn text(out: &mut Vec<u8>, text: &str) {
    head(out, 0x60, text.len());
    out.extend_from_slice(text.as_bytes());
}

/// Major type and length; the lengths here are below 65536.
fn head(out: &mut Vec<u8>, kind: u8, length: usize) {
    match length {
        0..24 => out.push(kind | length as u8),
        24..256 => out.extend([kind | 24, length as u8]),
        _ => {
            out.push(kind | 25);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
    }
}
