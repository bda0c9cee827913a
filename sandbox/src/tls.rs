//! The sandbox's own public key infrastructure: a root for its servers and a root for push certificates.
//!
//! Server certificates are valid from 2020 to 2049, so that it does not matter which clock a verifier looks at. A push
//! certificate is valid for a year from the given clock's day, as Apple's are.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, SanType, date_time_ymd,
};
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::{ServerConfig, WebPkiClientVerifier};
use rustls::time_provider::TimeProvider;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::clock::Clock;

/// UID of a subject, which holds the topic of a push certificate.
const USER_ID: [u64; 7] = [0, 9, 2342, 19200300, 100, 1, 1];

/// Why the infrastructure could not be made.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("could not make a certificate: {0}")]
    Certificate(#[from] rcgen::Error),
    #[error("could not read back a certificate just made: {0}")]
    Pem(#[from] rustls::pki_types::pem::Error),
    #[error("could not set up TLS: {0}")]
    Tls(#[from] rustls::Error),
    #[error("could not set up the check of client certificates: {0}")]
    Verifier(#[from] rustls::server::VerifierBuilderError),
}

/// A certificate and its key, both PEM.
#[derive(Clone)]
pub struct Identity {
    pub certificate: String,
    pub key: String,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("certificate", &self.certificate).finish_non_exhaustive()
    }
}

/// A root that issues certificates.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    /// A new root with this common name.
    pub fn new(common_name: &str) -> Result<Authority, TlsError> {
        let mut params = long_lived(common_name)?;
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        Ok(Authority(CertifiedIssuer::self_signed(params, KeyPair::generate()?)?))
    }

    /// The root certificate.
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for a server on this machine: localhost, 127.0.0.1 and ::1.
    pub fn server(&self) -> Result<Identity, TlsError> {
        let mut params = long_lived("localhost")?;
        params.subject_alt_names = vec![
            SanType::DnsName("localhost".try_into()?),
            SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            SanType::IpAddress(IpAddr::V6(Ipv6Addr::LOCALHOST)),
        ];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.issue(params)
    }

    /// An MDM push certificate for `topic` (`com.apple.mgmt.External.` and a UUID), valid for a year.
    pub fn push(&self, topic: &str, now: Timestamp) -> Result<Identity, TlsError> {
        let mut params = named(&format!("APSP:{}", topic.rsplit('.').next().unwrap_or(topic)))?;
        params.distinguished_name.push(DnType::CustomDnType(USER_ID.to_vec()), topic);
        let (from, to) = (day(now, -1), day(now, 365));
        params.not_before = date_time_ymd(from.0, from.1, from.2);
        params.not_after = date_time_ymd(to.0, to.1, to.2);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.issue(params)
    }

    fn issue(&self, mut params: CertificateParams) -> Result<Identity, TlsError> {
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.0)?;
        Ok(Identity { certificate: certificate.pem(), key: key.serialize_pem() })
    }
}

/// TLS for a server that knows its clients by other means.
pub fn server_config(identity: &Identity, protocols: &[&str]) -> Result<Arc<ServerConfig>, TlsError> {
    let (certificate, key) = parsed(identity)?;
    let mut config = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate], key)?;
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    Ok(Arc::new(config))
}

/// TLS for a server that demands a client certificate from `clients`, valid on the given clock.
pub fn server_config_for_clients_of(
    clients: &Authority,
    identity: &Identity,
    clock: Clock,
    protocols: &[&str],
) -> Result<Arc<ServerConfig>, TlsError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(clients.0.der().clone())?;
    let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider.clone()).build()?;
    let (certificate, key) = parsed(identity)?;
    let mut config = ServerConfig::builder_with_details(provider, Arc::new(GivenTime(clock)))
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![certificate], key)?;
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    Ok(Arc::new(config))
}

/// The UID in the subject of a certificate: the topic of a push certificate. `None` when there is none.
pub fn topic_of(certificate: &CertificateDer<'_>) -> Option<String> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let mut attributes = certificate.subject().iter_attributes();
    let user_id = USER_ID.map(|part| part.to_string()).join(".");
    let topic = attributes.find(|attribute| attribute.attr_type().to_id_string() == user_id)?;
    topic.as_str().ok().map(str::to_owned)
}

/// rustls's view of the given clock.
struct GivenTime(Clock);

impl fmt::Debug for GivenTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GivenTime")
    }
}

impl TimeProvider for GivenTime {
    fn current_time(&self) -> Option<UnixTime> {
        let seconds = u64::try_from(self.0.now().as_second()).ok()?;
        Some(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
    }
}

fn parsed(identity: &Identity) -> Result<(CertificateDer<'static>, PrivateKeyDer<'static>), TlsError> {
    let certificate = CertificateDer::from_pem_slice(identity.certificate.as_bytes())?;
    Ok((certificate, PrivateKeyDer::from_pem_slice(identity.key.as_bytes())?))
}

fn named(common_name: &str) -> Result<CertificateParams, TlsError> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.distinguished_name.push(DnType::OrganizationName, "vppd sandbox");
    Ok(params)
}

fn long_lived(common_name: &str) -> Result<CertificateParams, TlsError> {
    let mut params = named(common_name)?;
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2049, 12, 31);
    Ok(params)
}

/// The day `days` after `now`, in UTC.
fn day(now: Timestamp, days: i64) -> (i32, u8, u8) {
    let at = now.checked_add(SignedDuration::from_hours(24 * days)).unwrap_or(now);
    let date = at.to_zoned(TimeZone::UTC).date();
    (date.year().into(), date.month().unsigned_abs(), date.day().unsigned_abs())
}
