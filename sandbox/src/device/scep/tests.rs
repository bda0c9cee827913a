use std::process::Command;

use x509_parser::certification_request::X509CertificationRequest;

use super::*;
use crate::device::cms::{ContentCipher, oid};
use crate::device::{ber, certificate};

fn scep(challenge: &str) -> Scep {
    Scep {
        url: "https://mdm.example/scep".into(),
        name: None,
        subject: vec![(oid::COMMON_NAME.to_vec(), "e-7f3a9c".into())],
        challenge: Some(challenge.into()),
        key_usage: 5,
        ca_fingerprint: None,
        dns_name: None,
    }
}

const STYLE: RequestStyle = RequestStyle {
    cms: Style { streamed: true, digest: Digest::Sha256 },
    cipher: ContentCipher::Aes128,
    challenge_as_utf8: false,
    sorted_attributes: false,
};

fn offset(haystack: &[u8], needle: &[u8]) -> usize {
    haystack.windows(needle.len()).position(|window| window == needle).unwrap()
}

fn reply(content_type: &str, body: &[u8]) -> Reply {
    Reply { status: StatusCode::OK, content_type: Some(content_type.into()), body: body.to_vec().into() }
}

#[test]
fn capabilities_are_lines_that_end_with_a_line_feed() {
    let all = Capabilities::read(b"POSTPKIOperation\nSHA-256\nAES\nSCEPStandard\n");
    assert_eq!(all, Capabilities { post: true, digest: Digest::Sha256, aes: true });
    let windows = Capabilities::read(b"POSTPKIOperation\r\nSHA-512\r\nAES");
    assert_eq!(windows, Capabilities { post: false, digest: Digest::Sha1, aes: true });
}

#[test]
fn the_certificate_request_is_read_by_others_and_keeps_apples_order() {
    let key = Key::generate().unwrap();
    let der = certificate_request(&scep("short"), &key, STYLE).unwrap();
    let (rest, parsed) = X509CertificationRequest::from_der(&der).unwrap();
    assert!(rest.is_empty());
    parsed.verify_signature().unwrap();
    assert!(offset(&der, oid::EXTENSION_REQUEST) < offset(&der, oid::CHALLENGE_PASSWORD));
    assert_eq!(der[offset(&der, b"short") - 2], ber::PRINTABLE_STRING);
    let sorted = RequestStyle { sorted_attributes: true, challenge_as_utf8: true, ..STYLE };
    let der = certificate_request(&scep("short"), &key, sorted).unwrap();
    assert!(offset(&der, oid::EXTENSION_REQUEST) > offset(&der, oid::CHALLENGE_PASSWORD));
    assert_eq!(der[offset(&der, b"short") - 2], ber::UTF8_STRING);
}

#[test]
fn openssl_verifies_the_certificate_request() {
    let key = Key::generate().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("request");
    let request = certificate_request(&Scep { dns_name: Some("a.example".into()), ..scep("secret") }, &key, STYLE);
    std::fs::write(&path, request.unwrap()).unwrap();
    let arguments = ["req", "-inform", "DER", "-verify", "-noout", "-text", "-in"];
    let output = Command::new("openssl").args(arguments).arg(&path).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("verify OK"), "{text}");
    for part in ["CN = e-7f3a9c", "challengePassword", "Digital Signature, Key Encipherment", "DNS:a.example"] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

#[test]
fn the_certificate_of_the_authority_is_checked_by_type_and_fingerprint() {
    let key = Key::generate().unwrap();
    let ca = certificate::temporary(&key, "CA", &[1], "2026-11-02T06:00:00Z".parse().unwrap()).unwrap();
    let good = reply("application/x-x509-ca-cert", &ca);
    let sha256 = Digest::Sha256.of(&ca);
    let sha1 = Digest::Sha1.of(&ca);
    assert_eq!(Authority::read(&good, Some(&sha256)).unwrap().signer, ca);
    assert_eq!(Authority::read(&good, Some(&sha1)).unwrap().recipient, ca);
    assert!(matches!(Authority::read(&good, Some(&[1; 32])), Err(ScepError::Fingerprint)));
    let parameters = reply("application/x-x509-ca-cert; charset=utf-8", &ca);
    assert!(matches!(Authority::read(&parameters, None), Err(ScepError::ContentType { .. })));
    let garbage = reply("application/x-x509-ca-cert", b"no certificate");
    assert!(matches!(Authority::read(&garbage, None), Err(ScepError::Authority(_))));
    let bundle = crate::device::cms::certificates_only(&[ca.clone(), ca.clone()]);
    let bundle = Authority::read(&reply("application/x-x509-ca-ra-cert", &bundle), None).unwrap();
    assert_eq!(bundle.signer, ca);
}

#[test]
fn a_request_names_its_transaction_after_the_key() {
    let key = Key::generate().unwrap();
    let now = "2026-11-02T06:00:00Z".parse().unwrap();
    let ca = certificate::temporary(&key, "CA", &[1], now).unwrap();
    let authority = Authority { recipient: ca.clone(), signer: ca.clone() };
    let mut chance = Chance::seeded(1);
    let request = PkiRequest::new(&scep("secret"), &key, &authority, &mut chance, now, STYLE).unwrap();
    assert_eq!(request.transaction.len(), 40);
    assert!(request.transaction.chars().all(|c| c.is_ascii_hexdigit() && !c.is_ascii_lowercase()));
    let signed = Signed::read(&request.message).unwrap();
    signed.signed_by(&request.temporary).unwrap();
    let sealed = signed.content.unwrap();
    let opened = crate::device::cms::open(&sealed, &ca, &key).unwrap();
    assert!(X509CertificationRequest::from_der(&opened).is_ok());
}
