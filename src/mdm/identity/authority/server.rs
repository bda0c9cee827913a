//! The authority of the device listener's TLS certificate, when the administrator brings none. The profile anchors the
//! root, so the server certificate can be short and renewed at will.

use jiff::{SignedDuration, Timestamp};
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose};
use secrecy::SecretString;

use super::AuthorityError;
use super::root::{BACKDATED, Root, after, certificate_pem, issue, params, serial_of_key};
use crate::entropy::Entropy;
use crate::mdm::identity::certificate;

/// Apple refuses server certificates of more than 825 days; public ones have at most 398.
const DAYS: i64 = 397;

/// A P-256 root for TLS servers.
pub struct ServerAuthority(Root);

/// A server certificate with its key.
pub struct ServerCertificate {
    /// The server's certificate, then the root's.
    pub chain_pem: String,
    /// PKCS#8.
    pub key_pem: SecretString,
    /// End of validity: renew well before.
    pub not_after: Timestamp,
}

impl ServerAuthority {
    /// Makes a new root: P-256, 15 years, backdated by a day.
    pub fn generate(organisation: &str, now: Timestamp, entropy: &Entropy) -> Result<ServerAuthority, AuthorityError> {
        let key = new_key("server authority")?;
        let usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let name = format!("{organisation} server authority");
        Root::generate(name.trim(), organisation, usages, entropy.bytes(), key, now).map(ServerAuthority)
    }

    /// From what [`ServerAuthority::to_pem`] gave.
    pub fn from_pem(certificate: &str, key: &SecretString) -> Result<ServerAuthority, AuthorityError> {
        Root::from_pem(certificate, key).map(ServerAuthority)
    }

    /// Certificate, and private key (PKCS#8).
    pub fn to_pem(&self) -> (String, SecretString) {
        self.0.to_pem()
    }

    /// For the root payload of the enrolment profile.
    pub fn certificate_der(&self) -> &[u8] {
        &self.0.certificate
    }

    /// SHA-256 over the certificate.
    pub fn fingerprint(&self) -> [u8; 32] {
        certificate::fingerprint(&self.0.certificate)
    }

    /// Issues a certificate with a new P-256 key for host names (or IP addresses), good for 397 days.
    pub fn issue_server(&self, names: &[&str], now: Timestamp) -> Result<ServerCertificate, AuthorityError> {
        let key = new_key("device listener")?;
        let (not_before, not_after) = (after(now, -BACKDATED), after(now, SignedDuration::from_hours(24 * DAYS - 24)));
        let mut params = params("", names.first().copied().unwrap_or_default(), not_before, not_after);
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        params.subject_alt_names = CertificateParams::new(names).map_err(issue)?.subject_alt_names;
        params.serial_number = Some(serial_of_key(&key).to_vec().into());
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let certificate = params.signed_by(&key, &self.0.issuer).map_err(issue)?;
        Ok(ServerCertificate {
            chain_pem: certificate_pem(certificate.der()) + &certificate_pem(&self.0.certificate),
            key_pem: SecretString::from(key.serialize_pem()),
            not_after,
        })
    }
}

fn new_key(owner: &'static str) -> Result<KeyPair, AuthorityError> {
    KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).map_err(|_| AuthorityError::Key(owner))
}
