//! Getting an MDM push certificate: the request for it, the form in which an MDM vendor signs the request for Apple's portal,
//! and whether what came back fits.
//!
//! Pure: no file, no store. Keys go in and out as PEM.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, PublicKeyData, RsaKeySize, SigningKey};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateSigningRequestDer};
use secrecy::{ExposeSecret, SecretString};
use x509_parser::prelude::{FromDer, X509Certificate, X509CertificationRequest};

use super::certificate::{CertificateError, expiry_of_certificate, topic_of_certificate};
use crate::mdm::wire::{dictionary, xml};

/// Why there is no request, no signed one, or no certificate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    #[error("a new key could not be made; nothing was changed, try again")]
    Key,
    #[error("the request could not be written: {0}")]
    Write(String),
    #[error("this is no certificate request (PKCS#10) in PEM, or it was changed after it was signed")]
    NotARequest,
    #[error("the {0} holds no certificate in PEM")]
    NoCertificate(&'static str),
    #[error("the vendor's key cannot be read: it must be an RSA key in PEM without a passphrase")]
    VendorKey,
    #[error("the vendor's key does not belong to the first certificate of the chain")]
    VendorMismatch,
    #[error(
        "the chain has one certificate only: Apple wants the vendor's, then Apple's intermediate (WWDR), then Apple's root"
    )]
    ShortChain,
    #[error(transparent)]
    Certificate(#[from] CertificateError),
}

/// A key with the request for its certificate.
pub struct Request {
    /// PKCS#10, PEM.
    pub csr_pem: String,
    /// PKCS#8, PEM.
    pub key_pem: SecretString,
}

/// Makes a key (RSA of 2048 bits) and a request for it. The names in it are for people; Apple chooses its own.
pub fn make(organisation: &str, host: &str) -> Result<Request, RequestError> {
    let key = KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_2048).map_err(|_| RequestError::Key)?;
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, cut(organisation));
    params.distinguished_name.push(DnType::CommonName, cut(&format!("vppd push certificate for {host}")));
    let csr = params.serialize_request(&key).map_err(|error| RequestError::Write(error.to_string()))?;
    let csr_pem = csr.pem().map_err(|error| RequestError::Write(error.to_string()))?;
    Ok(Request { csr_pem, key_pem: SecretString::from(key.serialize_pem()) })
}

fn cut(name: &str) -> String {
    name.chars().take(64).collect()
}

/// What is uploaded at Apple's portal: the request with the signature of an MDM vendor (Apple: Setting up push notifications for
/// your MDM customers). `chain_pem`: the vendor's certificate and those above it.
pub fn sign(csr_pem: &str, chain_pem: &str, vendor_key_pem: &SecretString) -> Result<String, RequestError> {
    let csr =
        CertificateSigningRequestDer::from_pem_slice(csr_pem.as_bytes()).map_err(|_| RequestError::NotARequest)?;
    match X509CertificationRequest::from_der(&csr) {
        Ok(([], request)) if request.verify_signature().is_ok() => {}
        _ => return Err(RequestError::NotARequest),
    }
    let chain = certificates(chain_pem, "vendor's chain")?;
    let vendor = chain.first().and_then(|der| X509Certificate::from_der(der).ok());
    let (_, vendor) = vendor.ok_or(RequestError::NoCertificate("vendor's chain"))?;
    let key = KeyPair::from_pem_and_sign_algo(vendor_key_pem.expose_secret(), &rcgen::PKCS_RSA_SHA256)
        .map_err(|_| RequestError::VendorKey)?;
    if key.subject_public_key_info() != vendor.public_key().raw {
        return Err(RequestError::VendorMismatch);
    }
    if chain.len() < 2 {
        return Err(RequestError::ShortChain);
    }
    let signature = key.sign(&csr).map_err(|_| RequestError::VendorKey)?;
    let list = xml(dictionary([
        ("PushCertRequestCSR", STANDARD.encode(&csr).into()),
        ("PushCertCertificateChain", chain_pem.into()),
        ("PushCertSignature", STANDARD.encode(signature).into()),
    ]));
    Ok(STANDARD.encode(list))
}

/// What a push certificate (PEM) says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushFacts {
    pub topic: String,
    pub expires: Timestamp,
    /// DER SubjectPublicKeyInfo.
    pub spki_der: Vec<u8>,
}

/// Reads what Apple's portal gave.
pub fn read(certificate_pem: &str) -> Result<PushFacts, RequestError> {
    let chain = certificates(certificate_pem, "file")?;
    let leaf = chain.first().ok_or(RequestError::NoCertificate("file"))?;
    let (_, parsed) = X509Certificate::from_der(leaf).map_err(|_| CertificateError::NotACertificate)?;
    Ok(PushFacts {
        topic: topic_of_certificate(leaf)?,
        expires: expiry_of_certificate(leaf)?,
        spki_der: parsed.public_key().raw.to_vec(),
    })
}

/// Whether a certificate is over this key (PKCS#8, PEM).
pub fn is_over(facts: &PushFacts, key_pem: &SecretString) -> bool {
    KeyPair::from_pem(key_pem.expose_secret()).is_ok_and(|key| key.subject_public_key_info() == facts.spki_der)
}

fn certificates(pem: &str, what: &'static str) -> Result<Vec<CertificateDer<'static>>, RequestError> {
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    all.ok().filter(|all| !all.is_empty()).ok_or(RequestError::NoCertificate(what))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mdm::identity::testing::{openssl, read as file};
    use crate::mdm::plist_guard;

    #[test]
    fn section_5_6_a_request_signed_by_a_vendor_is_what_apples_portal_wants() {
        let request = make("Fjord & Sons", "mdm.fjord.example").unwrap();
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path();
        std::fs::write(place.join("csr.pem"), &request.csr_pem).unwrap();
        openssl(place, "req -in csr.pem -verify -noout");
        for command in [
            "req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 30 -subj /CN=root",
            "req -newkey rsa:2048 -nodes -keyout vendor.key -out vendor.csr -subj /CN=vendor",
            "x509 -req -in vendor.csr -CA ca.pem -CAkey ca.key -days 20 -out vendor.pem",
            "x509 -in vendor.pem -pubkey -noout -out vendor.pub",
        ] {
            openssl(place, command);
        }
        let text = |name: &str| String::from_utf8(file(place, name)).unwrap();
        let chain = text("vendor.pem") + &text("ca.pem");
        let (key, foreign) = (SecretString::from(text("vendor.key")), SecretString::from(text("ca.key")));
        assert_eq!(sign(&request.csr_pem, &chain, &foreign), Err(RequestError::VendorMismatch));
        assert_eq!(sign(&request.csr_pem, &text("vendor.pem"), &key), Err(RequestError::ShortChain));
        assert_eq!(sign(&chain, &chain, &key), Err(RequestError::NotARequest));
        let upload = STANDARD.decode(sign(&request.csr_pem, &chain, &key).unwrap()).unwrap();
        let list = plist_guard::read_dictionary(&upload, 1 << 20).unwrap();
        let part = |key: &str| list.get(key).and_then(plist::Value::as_string).unwrap().to_owned();
        assert_eq!(part("PushCertCertificateChain"), chain);
        std::fs::write(place.join("csr.der"), STANDARD.decode(part("PushCertRequestCSR")).unwrap()).unwrap();
        std::fs::write(place.join("signature"), STANDARD.decode(part("PushCertSignature")).unwrap()).unwrap();
        openssl(place, "dgst -sha256 -verify vendor.pub -signature signature csr.der");
    }

    #[test]
    fn section_5_6_a_certificate_must_be_over_the_key_of_the_request_and_name_a_topic() {
        let request = make("Fjord", "mdm.fjord.example").unwrap();
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path();
        std::fs::write(place.join("key.pem"), request.key_pem.expose_secret()).unwrap();
        let topic = "com.apple.mgmt.External.1111";
        openssl(place, &format!("req -x509 -key key.pem -out push.pem -days 30 -subj /UID={topic}/CN=push"));
        openssl(place, "req -x509 -key key.pem -out none.pem -days 30 -subj /CN=push");
        let text = |name: &str| String::from_utf8(file(place, name)).unwrap();
        let facts = read(&text("push.pem")).unwrap();
        assert_eq!(facts.topic, topic);
        assert!(is_over(&facts, &request.key_pem));
        assert!(!is_over(&facts, &make("Fjord", "mdm.fjord.example").unwrap().key_pem));
        assert_eq!(read(&text("none.pem")), Err(RequestError::Certificate(CertificateError::NoTopic)));
        assert_eq!(read(&text("key.pem")), Err(RequestError::NoCertificate("file")));
    }
}
