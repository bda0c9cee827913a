//! The device listener's certificate: the administrator's, or one signed by the appliance's own server authority.

use std::path::Path;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use secrecy::ExposeSecret;

use crate::clock::Clock;
use crate::config::Devices;
use crate::mdm::identity::authority::ServerAuthority;

/// The listener cannot have its certificate.
#[derive(Debug, thiserror::Error)]
#[error("the device listener's certificate: {0}")]
pub struct CertificateError(String);

/// A TLS configuration, with what devices must trust to accept it.
pub struct Served {
    pub config: ServerConfig,
    /// Certificates (DER) for the enrolment profile; empty when a public authority signed the certificate.
    pub anchors: Vec<Vec<u8>>,
}

/// Loads the certificate that the configuration names, or makes one.
pub fn load_or_make(devices: &Devices, own: &ServerAuthority, clock: &Clock) -> Result<Served, CertificateError> {
    let fail = |what: &str, error: &dyn std::fmt::Display| CertificateError(format!("{what}: {error}"));
    let (chain, key, anchors) = match (&devices.certificate, &devices.key) {
        (Some(certificate), Some(key)) => {
            let anchors = match &devices.ca {
                Some(path) => certificates(path)?.into_iter().map(|der| der.to_vec()).collect(),
                None => Vec::new(),
            };
            let bytes = std::fs::read(key).map_err(|error| fail(&key.display().to_string(), &error))?;
            let bytes = zeroize::Zeroizing::new(bytes);
            let key = PrivateKeyDer::from_pem_slice(&bytes)
                .map_err(|_| CertificateError(format!("{} holds no private key in PEM", key.display())))?;
            (certificates(certificate)?, key, anchors)
        }
        _ => {
            let made = own.issue_server(devices.host(), clock.now()).map_err(|error| fail("making one", &error))?;
            let chain = CertificateDer::pem_slice_iter(made.chain_pem.as_bytes()).collect::<Result<Vec<_>, _>>();
            let chain = chain.map_err(|error| fail("making one", &error))?;
            let key = PrivateKeyDer::from_pem_slice(made.key_pem.expose_secret().as_bytes())
                .map_err(|error| fail("making one", &error))?;
            (chain, key, vec![own.certificate_der().to_vec()])
        }
    };
    let mut config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| fail("certificate and key", &error))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Served { config, anchors })
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
