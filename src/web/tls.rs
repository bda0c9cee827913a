//! The device listener's TLS: the certificate is the administrator's, or one signed by the appliance's own server authority;
//! under a second name clients are asked for theirs. And that of the door for notifications, which is the administrator's.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use rustls::client::verify_server_name;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::server::danger::ClientCertVerifier;
use rustls::time_provider::TimeProvider;
use secrecy::ExposeSecret;

use super::client_certificates;
use crate::clock::Clock;
use crate::config::{Devices, Notifications};
use crate::operations::keys::Keys;

/// A listener cannot have its certificate, or an outgoing connection its roots.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct CertificateError(String);

impl CertificateError {
    /// The error with the thing that it is about.
    fn of(self, what: &str) -> CertificateError {
        CertificateError(format!("{what}: {}", self.0))
    }
}

/// The listener's TLS: one configuration for each name.
#[derive(Debug)]
pub struct TlsConfigs {
    ordinary: Arc<ServerConfig>,
    /// The name at which client certificates are asked for.
    with_client_certificates: Option<(String, Arc<ServerConfig>)>,
}

impl TlsConfigs {
    /// For a client that wants to talk to this name.
    pub fn choose(&self, name: Option<&str>) -> Arc<ServerConfig> {
        match &self.with_client_certificates {
            Some((second, config)) if name.is_some_and(|name| name.eq_ignore_ascii_case(second)) => config.clone(),
            _ => self.ordinary.clone(),
        }
    }
}

/// TLS configurations, with what devices must trust to accept them.
pub struct Served {
    pub configs: TlsConfigs,
    /// Certificates (DER) for the enrolment profile; empty when a public authority signed the certificate.
    pub anchors: Vec<Vec<u8>>,
}

/// Loads the certificate that the settings name, or makes one.
pub fn load_or_make(devices: &Devices, keys: &Keys, clock: &Clock) -> Result<Served, CertificateError> {
    served(devices, keys, clock).map_err(|error| error.of("the device listener's certificate"))
}

fn served(devices: &Devices, keys: &Keys, clock: &Clock) -> Result<Served, CertificateError> {
    let fail = |what: &str, error: &dyn std::fmt::Display| CertificateError(format!("{what}: {error}"));
    let second = devices.client_certificate_name.as_deref();
    let (chain, key, anchors) = match (&devices.certificate, &devices.key) {
        (Some(certificate), Some(key)) => {
            let anchors = match &devices.ca {
                Some(path) => certificates(path)?.into_iter().map(|der| der.to_vec()).collect(),
                None => Vec::new(),
            };
            let key = private_key(key)?;
            let chain = certificates(certificate)?;
            if let Some(name) = second.filter(|name| !holds_for(&chain, name)) {
                return Err(CertificateError(format!(
                    "{} does not hold for {name}, which is [devices] client-certificate-name: get one with both names",
                    certificate.display()
                )));
            }
            (chain, key, anchors)
        }
        _ => {
            let names: Vec<&str> = std::iter::once(devices.host()).chain(second).collect();
            let made = keys.server.issue_server(&names, clock.now()).map_err(|error| fail("making one", &error))?;
            let chain = CertificateDer::pem_slice_iter(made.chain_pem.as_bytes()).collect::<Result<Vec<_>, _>>();
            let chain = chain.map_err(|error| fail("making one", &error))?;
            let key = PrivateKeyDer::from_pem_slice(made.key_pem.expose_secret().as_bytes())
                .map_err(|error| fail("making one", &error))?;
            (chain, key, vec![keys.server.certificate_der().to_vec()])
        }
    };
    let config = |verifier| server_config(chain.clone(), key.clone_key(), verifier, clock);
    let with_client_certificates = match second {
        None => None,
        Some(name) => {
            let verifier = client_certificates::verifier(keys)
                .ok_or_else(|| CertificateError("the authorities of client certificates cannot be used".into()))?;
            Some((name.to_owned(), config(Some(verifier))?))
        }
    };
    let configs = TlsConfigs { ordinary: config(None)?, with_client_certificates };
    Ok(Served { configs, anchors })
}

/// The certificate of the door for notifications; `None` when it speaks plain HTTP.
pub fn notifications(settings: &Notifications, clock: &Clock) -> Result<Option<TlsConfigs>, CertificateError> {
    let (Some(certificate), Some(key)) = (&settings.certificate, &settings.key) else { return Ok(None) };
    let config = certificates(certificate)
        .and_then(|chain| server_config(chain, private_key(key)?, None, clock))
        .map_err(|error| error.of("the certificate for notifications"))?;
    Ok(Some(TlsConfigs { ordinary: config, with_client_certificates: None }))
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, CertificateError> {
    let bytes = std::fs::read(path).map_err(|error| CertificateError(format!("{}: {error}", path.display())))?;
    let bytes = zeroize::Zeroizing::new(bytes);
    PrivateKeyDer::from_pem_slice(&bytes)
        .map_err(|_| CertificateError(format!("{} holds no private key in PEM", path.display())))
}

fn server_config(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    verifier: Option<Arc<dyn ClientCertVerifier>>,
    clock: &Clock,
) -> Result<Arc<ServerConfig>, CertificateError> {
    let fail = |what: &str, error: rustls::Error| CertificateError(format!("{what}: {error}"));
    let builder = ServerConfig::builder_with_details(
        Arc::new(rustls::crypto::aws_lc_rs::default_provider()),
        Arc::new(TlsTime(clock.clone())),
    );
    // TLS 1.2, of which rustls knows ECDHE with an AEAD only, and 1.3.
    let builder = builder.with_safe_default_protocol_versions().map_err(|error| fail("TLS", error))?;
    let builder = match verifier {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_single_cert(chain, key).map_err(|error| fail("certificate and key", error))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn holds_for(chain: &[CertificateDer<'_>], name: &str) -> bool {
    let certificate = chain.first().and_then(|certificate| ParsedCertificate::try_from(certificate).ok());
    match (certificate, ServerName::try_from(name)) {
        (Some(certificate), Ok(name)) => verify_server_name(&certificate, &name).is_ok(),
        _ => false,
    }
}

/// Certificates are judged at the time that vppd is given.
struct TlsTime(Clock);

impl std::fmt::Debug for TlsTime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TlsTime")
    }
}

impl TimeProvider for TlsTime {
    fn current_time(&self) -> Option<UnixTime> {
        let seconds = u64::try_from(self.0.now().as_second()).ok()?;
        Some(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let bytes = std::fs::read(path).map_err(|error| CertificateError(format!("{}: {error}", path.display())))?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        _ => Err(CertificateError(format!("{} holds no certificate in PEM", path.display()))),
    }
}

/// The roots that outgoing connections trust: the machine's, and those of `extra`.
pub fn trusted_roots(extra: Option<&Path>) -> Result<Arc<rustls::RootCertStore>, CertificateError> {
    let mut roots = rustls::RootCertStore::empty();
    let native = rustls_native_certs::load_native_certs();
    for error in &native.errors {
        log::warn!("a certificate of this machine's trust store cannot be read: {error}");
    }
    roots.add_parsable_certificates(native.certs);
    if let Some(path) = extra {
        for certificate in certificates(path)? {
            roots
                .add(certificate)
                .map_err(|error| CertificateError(format!("{} cannot be trusted: {error}", path.display())))?;
        }
    }
    Ok(Arc::new(roots))
}
