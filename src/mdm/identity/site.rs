//! A site's own authority, whose certificates devices may have as their identities. Unlike a certificate of the
//! appliance's authority, such a one does not say that its holder may enrol: the site gives certificates to printers and
//! people too. Whoever calls demands an enrolment reference beside it.

use std::sync::Arc;

use jiff::Timestamp;
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;

use super::authority::AuthorityError;
use super::certificate;

/// The site's authority.
pub struct SiteAuthority {
    certificates: Vec<CertificateDer<'static>>,
    verifier: Arc<dyn ClientCertVerifier>,
}

/// A certificate that the site gave to a client, and what is kept of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SiteIdentity {
    pub der: Vec<u8>,
    /// SHA-256 over `der`.
    pub fingerprint: [u8; 32],
    /// DER SubjectPublicKeyInfo.
    pub spki_der: Vec<u8>,
    pub not_after: Timestamp,
}

impl SiteAuthority {
    /// From the PEM certificates of whoever signs the identities: a root, or the issuing authority below it.
    pub fn from_pem(pem: &[u8]) -> Result<SiteAuthority, AuthorityError> {
        const UNUSABLE: AuthorityError = AuthorityError::Unusable("certificate of the site's own authority");
        let certificates: Vec<_> =
            CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().map_err(|_| UNUSABLE)?;
        let verifier = verifier(certificates.iter().cloned()).ok_or(UNUSABLE)?;
        Ok(SiteAuthority { certificates, verifier })
    }

    /// DER.
    pub fn certificates(&self) -> &[CertificateDer<'static>] {
        &self.certificates
    }

    /// Verifies that the authority gave this certificate to a client, and that it is valid at `now`.
    pub fn verify(&self, der: &[u8], now: Timestamp) -> Result<SiteIdentity, AuthorityError> {
        const FOREIGN: AuthorityError = AuthorityError::Foreign("nor did the site's own authority issue it");
        let time = u64::try_from(now.as_second()).map_err(|_| FOREIGN)?;
        let time = UnixTime::since_unix_epoch(std::time::Duration::from_secs(time));
        self.verifier.verify_client_cert(&CertificateDer::from(der), &[], time).map_err(|_| FOREIGN)?;
        let parsed = certificate::parse(der).ok_or(FOREIGN)?;
        Ok(SiteIdentity {
            fingerprint: certificate::fingerprint(der),
            spki_der: parsed.public_key().raw.to_vec(),
            not_after: certificate::not_after(der).ok_or(FOREIGN)?,
            der: der.to_vec(),
        })
    }
}

/// Verifies client certificates under these authorities and lets clients without one in; `None` when one is no authority.
pub fn verifier(authorities: impl Iterator<Item = CertificateDer<'static>>) -> Option<Arc<dyn ClientCertVerifier>> {
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        roots.add(authority).ok()?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    WebPkiClientVerifier::builder_with_provider(roots.into(), provider).allow_unauthenticated().build().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mdm::identity::testing::{AUTHORITY, now, openssl, read};

    /// A certificate for a client, under an authority of openssl's making; the folder has `ca.pem`.
    fn issued() -> (tempfile::TempDir, Vec<u8>) {
        let folder = tempfile::tempdir().unwrap();
        for command in [
            "req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 3000 -subj /CN=site",
            "req -newkey rsa:2048 -nodes -keyout key.pem -out csr -subj /CN=anything -addext extendedKeyUsage=clientAuth",
            "x509 -req -in csr -CA ca.pem -CAkey ca.key -days 900 -copy_extensions copy -outform DER -out leaf.der",
        ] {
            openssl(folder.path(), command);
        }
        let leaf = read(folder.path(), "leaf.der");
        (folder, leaf)
    }

    #[test]
    fn only_certificates_of_the_site_that_are_valid_now_are_its_identities() {
        let (folder, leaf) = issued();
        let site = SiteAuthority::from_pem(&read(folder.path(), "ca.pem")).unwrap();
        let until = certificate::not_after(&leaf).unwrap();
        let valid = until.checked_sub(jiff::SignedDuration::from_hours(24)).unwrap();
        let identity = site.verify(&leaf, valid).unwrap();
        assert_eq!((identity.fingerprint, identity.not_after), (certificate::fingerprint(&leaf), until));
        assert!(site.verify(&leaf, until.checked_add(jiff::SignedDuration::from_secs(1)).unwrap()).is_err());
        assert!(site.verify(AUTHORITY.certificate_der(), now()).is_err());
        assert!(site.verify(&leaf[..leaf.len() - 1], valid).is_err());
        let (_other, stranger) = issued();
        assert!(site.verify(&stranger, valid).is_err());
        assert!(SiteAuthority::from_pem(b"no certificate").is_err());
    }
}
