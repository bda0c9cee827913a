use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use secrecy::ExposeSecret;

use super::*;
use crate::entropy::Entropy;
use crate::mdm::identity::certificate::{fingerprint, parse};
use crate::mdm::identity::testing::{AUTHORITY, now, openssl, signer, write};

const DAY: SignedDuration = SignedDuration::from_hours(24);
const NO_GRACE: Duration = Duration::ZERO;

fn later(days: i32) -> Timestamp {
    now().checked_add(DAY * days).unwrap()
}

fn subject() -> IdentitySubject {
    IdentitySubject { reference: "enrolment-7Q".to_owned(), organisation: "Müller & Söhne".to_owned() }
}

/// A device certificate for a year from `now`, over openssl's key.
fn issued(serial: [u8; 16]) -> (tempfile::TempDir, Vec<u8>) {
    let folder = signer("rsa:2048");
    let spki = openssl(folder.path(), "pkey -in key.pem -pubout -outform DER");
    let certificate = AUTHORITY.issue(&spki, &subject(), serial, later(-1), later(365)).unwrap();
    (folder, certificate)
}

#[test]
fn an_issued_identity_is_recognised_with_its_reference_and_serial() {
    for serial in [[0x7f; 16], [0xff; 16], [0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14]] {
        let (_folder, certificate) = issued(serial);
        let identity = AUTHORITY.verify_issued(&certificate, now(), NO_GRACE).unwrap();
        assert_eq!(identity.reference, "enrolment-7Q");
        assert_eq!(identity.serial, serial);
        assert_eq!(identity.fingerprint, fingerprint(&certificate));
        assert_eq!((identity.not_after, identity.expired), (later(365), false));
    }
}

#[test]
fn openssl_accepts_an_issued_identity_for_clients_only() {
    let (folder, certificate) = issued([9; 16]);
    write(folder.path(), "ca.pem", AUTHORITY.to_pem().0.as_bytes());
    write(folder.path(), "leaf.der", &certificate);
    openssl(folder.path(), "verify -no_check_time -x509_strict -purpose sslclient -CAfile ca.pem leaf.der");
    let text = String::from_utf8(openssl(folder.path(), "x509 -in leaf.der -noout -text")).unwrap();
    for part in [
        "Version: 3",
        "sha256WithRSAEncryption",
        "CN = enrolment-7Q",
        "Digital Signature, Key Encipherment",
        "TLS Web Client Authentication",
        "Subject Key Identifier",
        "Authority Key Identifier",
        "CA:FALSE",
    ] {
        assert!(text.contains(part), "{part} is missing in {text}");
    }
    assert!(!text.contains("TLS Web Server"));
}

#[test]
fn an_ended_identity_is_good_for_renewal_within_the_grace_only() {
    let (_folder, certificate) = issued([1; 16]);
    let grace = Duration::from_secs(30 * 86_400);
    assert!(AUTHORITY.verify_issued(&certificate, later(380), grace).unwrap().expired);
    let out_of_time = Err(AuthorityError::OutOfTime { not_after: later(365) });
    assert_eq!(AUTHORITY.verify_issued(&certificate, later(400), grace), out_of_time);
    assert_eq!(AUTHORITY.verify_issued(&certificate, later(366), NO_GRACE), out_of_time);
    assert_eq!(AUTHORITY.verify_issued(&certificate, later(-2), grace), out_of_time);
}

#[test]
fn certificates_of_others_are_refused() {
    let (_folder, certificate) = issued([1; 16]);
    let namesake = DeviceAuthority::generate("Example", now(), &Entropy::seeded(1)).unwrap();
    let foreign = |result: Result<IssuedIdentity, AuthorityError>| matches!(result, Err(AuthorityError::Foreign(_)));
    assert!(foreign(namesake.verify_issued(&certificate, now(), NO_GRACE)));
    assert!(foreign(AUTHORITY.verify_issued(AUTHORITY.certificate_der(), now(), NO_GRACE)));
    let self_signed = signer("rsa:2048");
    let self_signed = crate::mdm::identity::testing::certificate(self_signed.path());
    assert!(foreign(AUTHORITY.verify_issued(&self_signed, now(), NO_GRACE)));
    for position in 0..certificate.len() {
        let mut damaged = certificate.clone();
        damaged[position] ^= 4;
        assert!(AUTHORITY.verify_issued(&damaged, now(), NO_GRACE).is_err(), "byte {position} does not matter");
        assert!(AUTHORITY.verify_issued(&certificate[..position], now(), NO_GRACE).is_err());
    }
}

/// Bits that count for nothing at the end of the signature would give one certificate several fingerprints.
#[test]
fn a_signature_has_whole_bytes() {
    // Of sixteen signatures one ends in four zero bits.
    let (mut certificate, end) = loop {
        let (_folder, certificate) = issued([5; 16]);
        let end = certificate.len() - 1;
        if certificate[end].trailing_zeros() >= 4 {
            break (certificate, end);
        }
    };
    let signed =
        (0..end).rev().find(|at| certificate[*at..].starts_with(&[0x03, 0x82]) && certificate.get(at + 4) == Some(&0));
    certificate[signed.unwrap() + 4] = 4;
    assert!(AUTHORITY.verify_issued(&certificate, now(), NO_GRACE).is_err());
}

#[test]
fn the_device_authority_survives_a_restart() {
    let (certificate, key) = AUTHORITY.to_pem();
    let again = DeviceAuthority::from_pem(&certificate, &key).unwrap();
    assert_eq!(again.fingerprint(), AUTHORITY.fingerprint());
    let (_folder, issued) = issued([3; 16]);
    assert!(again.verify_issued(&issued, now(), NO_GRACE).is_ok());
    assert!(!format!("{key:?}").contains(&key.expose_secret()[40..80]));
}

#[test]
fn a_key_of_another_certificate_is_refused() {
    let (certificate, _) = AUTHORITY.to_pem();
    let server = ServerAuthority::generate("Example", now(), &Entropy::seeded(2)).unwrap();
    let (server_certificate, server_key) = server.to_pem();
    assert!(DeviceAuthority::from_pem(&certificate, &server_key).is_err());
    assert!(DeviceAuthority::from_pem(&server_certificate, &server_key).is_err(), "SCEP needs RSA");
    assert!(DeviceAuthority::from_pem("", &server_key).is_err());
    assert!(DeviceAuthority::from_pem(&certificate, &"nonsense".to_owned().into()).is_err());
}

#[test]
fn the_device_authority_may_sign_and_decrypt_for_fifteen_years() {
    let certificate = parse(AUTHORITY.certificate_der()).unwrap();
    let usage = certificate.key_usage().unwrap().unwrap().value;
    assert!(usage.key_cert_sign() && usage.crl_sign() && usage.digital_signature() && usage.key_encipherment());
    assert!(certificate.is_ca());
    assert!(certificate.validity().not_before.timestamp() < now().as_second());
    assert!(certificate.validity().not_after.timestamp() > later(15 * 365).as_second());
}

#[test]
fn openssl_accepts_a_server_certificate_for_its_name() {
    let server = ServerAuthority::generate("Example", now(), &Entropy::seeded(2)).unwrap();
    let (root, key) = server.to_pem();
    let server = ServerAuthority::from_pem(&root, &key).unwrap();
    for (name, check) in [("vpp.example.org", "-verify_hostname"), ("192.0.2.7", "-verify_ip")] {
        let issued = server.issue_server(&[name], now()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), "root.pem", root.as_bytes());
        write(folder.path(), "chain.pem", issued.chain_pem.as_bytes());
        openssl(
            folder.path(),
            &format!("verify -no_check_time -x509_strict -purpose sslserver -CAfile root.pem {check} {name} chain.pem"),
        );
        assert!(issued.not_after < later(397) && issued.not_after > later(390));
        assert_eq!(issued.chain_pem.matches("BEGIN").count(), 2);
        assert!(rcgen::KeyPair::from_pem(issued.key_pem.expose_secret()).is_ok());
    }
    assert!(server.issue_server(&["not a name ü"], now()).is_err());
}

#[test]
fn long_names_are_cut_but_a_reference_never() {
    let long = "Ämter ".repeat(40);
    let authority = ServerAuthority::generate(&long, now(), &Entropy::seeded(4)).unwrap();
    let certificate = parse(authority.certificate_der()).unwrap();
    for name in certificate.subject().iter_attributes() {
        assert_eq!(name.as_str().unwrap().chars().count(), 64);
    }
    let folder = signer("rsa:2048");
    let spki = openssl(folder.path(), "pkey -in key.pem -pubout -outform DER");
    for reference in [String::new(), "r".repeat(65)] {
        let subject = IdentitySubject { reference, organisation: long.clone() };
        assert!(matches!(AUTHORITY.issue(&spki, &subject, [1; 16], now(), later(1)), Err(AuthorityError::Issue(_))));
    }
}
