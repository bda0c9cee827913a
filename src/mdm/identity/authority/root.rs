//! What both authorities are: a self-signed root certificate with its key, in memory and as PEM.

use aws_lc_rs::digest;
use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PublicKeyData,
};
use secrecy::{ExposeSecret, SecretString};
use x509_parser::pem::Pem;

use super::AuthorityError;
use crate::mdm::identity::certificate;

/// How long a root lives: longer than the longest absence of a device.
const YEARS: i64 = 15;
/// Clocks of devices are slow, and "not yet valid" is refused by them.
pub const BACKDATED: SignedDuration = SignedDuration::from_hours(24);

pub struct Root {
    pub issuer: Issuer<'static, KeyPair>,
    pub certificate: Vec<u8>,
}

impl Root {
    pub fn generate(
        name: &str,
        organisation: &str,
        usages: Vec<KeyUsagePurpose>,
        serial: [u8; 16],
        key: KeyPair,
        now: Timestamp,
    ) -> Result<Root, AuthorityError> {
        let until = after(now, SignedDuration::from_hours(24 * 365 * YEARS + 24 * (YEARS / 4)));
        let mut params = params(organisation, name, after(now, -BACKDATED), until);
        params.serial_number = Some(serial.to_vec().into());
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = usages;
        let certificate = params.self_signed(&key).map_err(issue)?.der().to_vec();
        Root::new(certificate, key)
    }

    pub fn from_pem(certificate: &str, key: &SecretString) -> Result<Root, AuthorityError> {
        const CERTIFICATE: AuthorityError = AuthorityError::Unusable("certificate of the authority");
        const KEY: AuthorityError = AuthorityError::Unusable("key of the authority");
        let certificate = Pem::iter_from_buffer(certificate.as_bytes()).next();
        let certificate = certificate.and_then(Result::ok).ok_or(CERTIFICATE)?.contents;
        let key = KeyPair::from_pem(key.expose_secret()).map_err(|_| KEY)?;
        let parsed = certificate::parse(&certificate).ok_or(CERTIFICATE)?;
        if !parsed.is_ca() {
            return Err(CERTIFICATE);
        }
        if parsed.public_key().raw != key.subject_public_key_info() {
            return Err(AuthorityError::Mismatch);
        }
        Root::new(certificate, key)
    }

    fn new(certificate: Vec<u8>, key: KeyPair) -> Result<Root, AuthorityError> {
        let issuer = Issuer::from_ca_cert_der(&certificate.as_slice().into(), key).map_err(issue)?;
        Ok(Root { issuer, certificate })
    }

    /// Certificate and private key (PKCS#8).
    pub fn to_pem(&self) -> (String, SecretString) {
        (certificate_pem(&self.certificate), SecretString::from(self.issuer.key().serialize_pem()))
    }
}

/// A certificate as PEM text.
pub fn certificate_pem(der: &[u8]) -> String {
    use base64::Engine;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let mut pem = String::from("-----BEGIN CERTIFICATE-----\n");
    for start in (0..text.len()).step_by(64) {
        pem.push_str(text.get(start..text.len().min(start + 64)).unwrap_or_default());
        pem.push('\n');
    }
    pem.push_str("-----END CERTIFICATE-----\n");
    pem
}

/// The longest name that X.509 allows.
pub const LONGEST_NAME: usize = 64;

/// Parameters with the subject and validity set; everything else off. Names are cut to what X.509 allows.
pub fn params(organisation: &str, common_name: &str, not_before: Timestamp, not_after: Timestamp) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    if !organisation.is_empty() {
        params.distinguished_name.push(DnType::OrganizationName, cut(organisation));
    }
    params.distinguished_name.push(DnType::CommonName, cut(common_name));
    // rcgen's time type, without depending on its crate.
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let since = |time: Timestamp| std::time::Duration::from_secs(u64::try_from(time.as_second()).unwrap_or(0));
    params.not_before = epoch + since(not_before);
    params.not_after = epoch + since(not_after);
    params.use_authority_key_identifier_extension = true;
    params
}

fn cut(name: &str) -> String {
    name.chars().take(LONGEST_NAME).collect()
}

/// `time` plus `duration`, stopping at the last second that X.509 can say.
pub fn after(time: Timestamp, duration: SignedDuration) -> Timestamp {
    time.checked_add(duration).unwrap_or(Timestamp::MAX)
}

pub fn issue(error: rcgen::Error) -> AuthorityError {
    AuthorityError::Issue(error.to_string())
}

/// A positive serial number that nobody can guess and that is its own for each key.
pub fn serial_of_key(key: &KeyPair) -> [u8; 16] {
    let mut serial = [0; 16];
    let hash = digest::digest(&digest::SHA256, &key.subject_public_key_info());
    serial.iter_mut().zip(hash.as_ref()).for_each(|(to, from)| *to = *from);
    serial
}
