//! What a push certificate says about itself.

use jiff::Timestamp;
use x509_parser::prelude::{FromDer, X509Certificate};

/// The attribute `userId` of the subject, in which Apple writes the topic.
const UID: &str = "0.9.2342.19200300.100.1.1";

/// Why a certificate is no push certificate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    #[error("the push certificate is not an X.509 certificate in DER form")]
    NotACertificate,
    #[error("the certificate names no push topic: its subject has no UID, so it was not issued for device management")]
    NoTopic,
    #[error("the end of the push certificate's validity is not a date")]
    BadDate,
}

/// The topic of a push certificate: the UID of its subject.
pub fn topic_of_certificate(der: &[u8]) -> Result<String, CertificateError> {
    let certificate = parse(der)?;
    let mut attributes = certificate.subject().iter_attributes();
    let uid = attributes.find(|attribute| attribute.attr_type().to_id_string() == UID);
    let topic = uid.and_then(|attribute| attribute.as_str().ok()).filter(|topic| !topic.is_empty());
    topic.map(str::to_owned).ok_or(CertificateError::NoTopic)
}

/// When the certificate ends.
pub fn expiry_of_certificate(der: &[u8]) -> Result<Timestamp, CertificateError> {
    let seconds = parse(der)?.validity().not_after.timestamp();
    Timestamp::from_second(seconds).map_err(|_| CertificateError::BadDate)
}

fn parse(der: &[u8]) -> Result<X509Certificate<'_>, CertificateError> {
    X509Certificate::from_der(der).map(|(_, certificate)| certificate).map_err(|_| CertificateError::NotACertificate)
}
