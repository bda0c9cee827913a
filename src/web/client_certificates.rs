//! The TLS client certificates of devices: identities of the device authority or of the site's own.
//!
//! A handshake proves that the device holds the key; whose certificate it is, the operations decide by its pin, as for a
//! signature. So an identity that has ended since still gets through: shut out here, the device could never come back,
//! while its signature would still be taken at the other name.

use std::sync::Arc;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};

use crate::mdm::identity::{certificate, site};
use crate::operations::keys::Keys;

/// Asks clients for a certificate of these authorities, and lets them in without one too: SCEP comes before the identity.
pub fn verifier(keys: &Keys) -> Option<Arc<dyn ClientCertVerifier>> {
    let all = keys.devices.all();
    let own = all.iter().map(|authority| CertificateDer::from(authority.certificate_der().to_vec()));
    let site = keys.site.iter().flat_map(|site| site.certificates().iter().cloned());
    Some(Arc::new(Identities(site::verifier(own.chain(site))?)))
}

#[derive(Debug)]
struct Identities(Arc<dyn ClientCertVerifier>);

impl ClientCertVerifier for Identities {
    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let expired = match self.0.verify_client_cert(end_entity, intermediates, now) {
            Err(
                error @ Error::InvalidCertificate(CertificateError::Expired | CertificateError::ExpiredContext { .. }),
            ) => error,
            verdict => return verdict,
        };
        let seconds = certificate::not_after(end_entity).and_then(|end| u64::try_from(end.as_second()).ok());
        let Some(seconds) = seconds else { return Err(expired) };
        let end = UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds));
        self.0.verify_client_cert(end_entity, intermediates, end)
    }

    fn client_auth_mandatory(&self) -> bool {
        self.0.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.0.root_hint_subjects()
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}
