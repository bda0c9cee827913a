//! The client certificate of a device whose TLS ends at a proxy, as the proxy passes it on: RFC 9440 (`:base64:`), plain base64 as
//! HAProxy can write it, or PEM with its characters escaped as nginx does. Whether the proxy may be believed is decided by
//! its address, before anything here is asked.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::mdm::identity::signature::SignerCertificate;

/// The greatest header that is looked at.
const LARGEST: usize = 16 * 1024;

/// The certificate in the header; `None` when it is none.
pub fn certificate(header: &str) -> Option<SignerCertificate> {
    let text = header.trim();
    if text.is_empty() || text.len() > LARGEST {
        return None;
    }
    let der = match text.strip_prefix(':').and_then(|rest| rest.strip_suffix(':')) {
        Some(bytes) => STANDARD.decode(bytes).ok()?,
        None if text.starts_with("-----BEGIN") => {
            let pem = unescape(text)?;
            CertificateDer::from_pem_slice(&pem).ok()?.to_vec()
        }
        None => STANDARD.decode(text).ok()?,
    };
    crate::mdm::identity::certificate::public_key(&der)?;
    Some(SignerCertificate::new(der))
}

/// `%0A` becomes a line feed. A `+` stays: it belongs to base64.
fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut parts = text.split('%');
    let mut out = parts.next()?.as_bytes().to_vec();
    for part in parts {
        out.push(u8::from_str_radix(part.get(..2)?, 16).ok()?);
        out.extend_from_slice(part.get(2..)?.as_bytes());
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, KeyPair};

    #[test]
    fn section_3_2_a_certificate_is_read_in_every_form_that_proxies_write() {
        let made = CertificateParams::default().self_signed(&KeyPair::generate().unwrap()).unwrap();
        let der = made.der().to_vec();
        let escaped: String = made
            .pem()
            .chars()
            .map(|c| match c {
                '\n' => "%0A".to_owned(),
                ' ' => "%20".to_owned(),
                '+' => "%2B".to_owned(),
                '/' => "%2F".to_owned(),
                '=' => "%3D".to_owned(),
                c => c.to_string(),
            })
            .collect();
        let base64 = STANDARD.encode(&der);
        for header in [format!(":{base64}:"), base64.clone(), escaped] {
            assert_eq!(certificate(&header).unwrap().der, der, "{header}");
        }
        for header in ["", "::", "no certificate", "-----BEGIN%", "-----BEGIN CERTIFICATE-----%0Aé", &base64[..40]] {
            assert_eq!(certificate(header), None, "{header}");
        }
    }
}
