use jiff::SignedDuration;
use rasn::types::{OctetString, Oid, PrintableString};
use rcgen::{KeyPair, PublicKeyData, RsaKeySize, SigningKey};
use secrecy::ExposeSecret;

use super::*;
use crate::entropy::Entropy;
use crate::mdm::identity::authority::IdentitySubject;
use crate::mdm::identity::cms::wire::{self, encode};
use crate::mdm::identity::cms::{self, Cipher, Signatory, SignedMessage};
use crate::mdm::identity::testing::{AUTHORITY, damaged, now, openssl, write};

const CHALLENGE: &str = "sixteen-chars-16";

/// A device in the middle of SCEP, which makes its messages as Apple's client does.
struct Device {
    key: KeyPair,
    certificate: Vec<u8>,
}

impl Device {
    fn new() -> Device {
        let key = KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
        let certificate = rcgen::CertificateParams::default().self_signed(&key).unwrap().der().to_vec();
        Device { key, certificate }
    }

    fn request(&self, message_type: &str, inner: &[u8]) -> Vec<u8> {
        let envelope = cms::seal(AUTHORITY.certificate_der(), inner, Cipher::Aes128).unwrap();
        self.message(message_type, &envelope)
    }

    fn message(&self, message_type: &str, content: &[u8]) -> Vec<u8> {
        let printable = |text: &str| encode(&PrintableString::try_from(text).unwrap(), "test").unwrap();
        let attributes: [(&Oid, Vec<u8>); 3] = [
            (MESSAGE_TYPE_ATTRIBUTE, printable(message_type)),
            (TRANSACTION, printable("Base64+/=")),
            (SENDER_NONCE, encode(&OctetString::from_slice(&[7; 16]), "test").unwrap()),
        ];
        let signatory = Signatory { certificate: &self.certificate, key: &self.key };
        cms::sign(&signatory, Some(content), &attributes, &[]).unwrap()
    }
}

fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let mut bytes = vec![tag];
    match length {
        0..0x80 => bytes.push(length as u8),
        _ => bytes.extend([0x82, (length >> 8) as u8, length as u8]),
    }
    bytes.extend_from_slice(content);
    bytes
}

/// A request by hand: extensionRequest before challengePassword, whatever DER's order would be.
fn csr(key: &KeyPair, challenge: Option<&str>) -> Vec<u8> {
    let key_usage = tlv(0x30, &[&tlv(6, &[0x55, 0x1d, 0x0f])[..], &tlv(4, &[3, 2, 5, 0xa0])].concat());
    let extension_request = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x0e];
    let challenge_password = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x07];
    let attribute = |oid: &[u8], value: &[u8]| tlv(0x30, &[tlv(6, oid), tlv(0x31, value)].concat());
    let mut attributes = attribute(&extension_request, &tlv(0x30, &key_usage));
    if let Some(challenge) = challenge {
        attributes.extend(attribute(&challenge_password, &tlv(0x13, challenge.as_bytes())));
    }
    let name = tlv(0x30, &[]);
    let info = [&[2, 1, 0][..], &name, &key.subject_public_key_info(), &tlv(0xa0, &attributes)].concat();
    let info = tlv(0x30, &info);
    let sha256_rsa = [0x30, 0x0d, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 0x0b, 5, 0];
    let signature = tlv(3, &[&[0][..], &key.sign(&info).unwrap()].concat());
    tlv(0x30, &[&info[..], &sha256_rsa, &signature].concat())
}

fn issue(spki: &[u8]) -> Vec<u8> {
    let subject = IdentitySubject { reference: "r".to_owned(), organisation: String::new() };
    let until = now().checked_add(SignedDuration::from_hours(24)).unwrap();
    AUTHORITY.issue(spki, &subject, [5; 16], now(), until).unwrap()
}

#[test]
fn a_device_gets_its_certificate_although_its_attributes_are_not_sorted() {
    let device = Device::new();
    let request =
        parse_request(&device.request("19", &csr(&device.key, Some(CHALLENGE))), &AUTHORITY, Accepted::Modern).unwrap();
    assert_eq!(request.message_type, MessageType::PkcsReq);
    assert_eq!(request.transaction, Transaction { id: "Base64+/=".to_owned(), sender_nonce: vec![7; 16] });
    assert_eq!(request.challenge.as_ref().unwrap().expose_secret(), CHALLENGE);
    assert_eq!(request.spki_der, device.key.subject_public_key_info());
    assert_eq!(request.signer_certificate, device.certificate);

    let certificate = issue(&request.spki_der);
    let reply = success(&request, &AUTHORITY, &certificate, &Entropy::seeded(3)).unwrap();
    let reply = SignedMessage::parse(&reply, REQUEST_LIMIT).unwrap();
    let signer = reply.verify_attached().unwrap();
    assert_eq!(signer.certificate, AUTHORITY.certificate_der());
    let text = |kind| signer.attribute(kind).and_then(wire::text);
    assert_eq!(text(MESSAGE_TYPE_ATTRIBUTE).as_deref(), Some("3"));
    assert_eq!(text(STATUS).as_deref(), Some("0"));
    assert_eq!(text(TRANSACTION).as_deref(), Some("Base64+/="));
    assert_eq!(signer.attribute(RECIPIENT_NONCE), Some(&tlv(4, &[7; 16])[..]));
    assert!(signer.attribute(SENDER_NONCE).is_some() && signer.attribute(FAIL_INFO).is_none());

    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "envelope", reply.content().unwrap());
    write(folder.path(), "key.pem", device.key.serialize_pem().as_bytes());
    let opened = openssl(folder.path(), "cms -decrypt -binary -inform DER -in envelope -inkey key.pem");
    let certificates = SignedMessage::parse(&opened, REQUEST_LIMIT).unwrap();
    assert_eq!(certificates.certificates().collect::<Vec<_>>(), [&certificate[..]]);
}

#[test]
fn the_same_request_twice_gives_the_same_key_and_challenge() {
    let device = Device::new();
    let message = device.request("19", &csr(&device.key, Some(CHALLENGE)));
    let (first, second) = (
        parse_request(&message, &AUTHORITY, Accepted::Modern).unwrap(),
        parse_request(&message, &AUTHORITY, Accepted::Modern).unwrap(),
    );
    assert_eq!(first.spki_der, second.spki_der);
    assert_eq!(first.challenge.unwrap().expose_secret(), second.challenge.unwrap().expose_secret());
    let again = device.request("19", &csr(&device.key, Some(CHALLENGE)));
    assert_ne!(message, again, "a retry is encrypted anew");
    assert_eq!(parse_request(&again, &AUTHORITY, Accepted::Modern).unwrap().spki_der, first.spki_der);
}

#[test]
fn a_renewal_may_be_for_a_new_key_but_a_first_request_may_not() {
    let (mut device, new) = (Device::new(), Device::new());
    let inner = csr(&new.key, None);
    let stranger = parse_request(&device.request("17", &inner), &AUTHORITY, Accepted::Modern).err().unwrap();
    assert_eq!(stranger.fail_info, FailInfo::BadCertId);
    device.certificate = issue(&device.key.subject_public_key_info());
    let renewal = parse_request(&device.request("17", &inner), &AUTHORITY, Accepted::Modern).unwrap();
    assert_eq!(renewal.message_type, MessageType::RenewalReq);
    assert_eq!(renewal.spki_der, new.key.subject_public_key_info());
    assert!(renewal.challenge.is_none());
    let refusal = parse_request(&device.request("19", &inner), &AUTHORITY, Accepted::Modern).err().unwrap();
    assert_eq!(refusal.fail_info, FailInfo::BadMessageCheck);
}

#[test]
fn polls_and_unknown_messages_are_bad_requests() {
    let device = Device::new();
    for message_type in ["20", "21", "3", ""] {
        let refusal = parse_request(&device.request(message_type, b""), &AUTHORITY, Accepted::Modern).err().unwrap();
        assert_eq!(refusal.fail_info, FailInfo::BadRequest, "{message_type}");
        assert_eq!(refusal.transaction.unwrap().id, "Base64+/=");
    }
}

#[test]
fn whatever_fails_behind_the_encryption_looks_the_same() {
    let device = Device::new();
    let genuine = csr(&device.key, Some(CHALLENGE));
    let mut changed = genuine.clone();
    *changed.last_mut().unwrap() ^= 1;
    let foreign = csr(&Device::new().key, Some(CHALLENGE));
    let envelope = cms::seal(AUTHORITY.certificate_der(), &genuine, Cipher::Aes128).unwrap();
    let mut broken: wire::EnvelopedData =
        wire::read_content(&envelope, REQUEST_LIMIT, wire::ENVELOPED_DATA, "test").unwrap();
    broken.encrypted.content = Some(vec![0x5a; 64].into());
    let broken = wire::content_info(wire::ENVELOPED_DATA, encode(&broken, "test").unwrap()).unwrap();
    for message in [
        device.request("19", b""),
        device.request("19", &genuine[..genuine.len() - 1]),
        device.request("19", &changed),
        device.request("19", &foreign),
        device.message("19", &broken),
        device.message("19", &envelope[..200]),
        device.message("19", &cms::seal(&device.certificate, &genuine, Cipher::Aes128).unwrap()),
    ] {
        let refusal = parse_request(&message, &AUTHORITY, Accepted::Modern).err().unwrap();
        assert_eq!(refusal.fail_info, FailInfo::BadMessageCheck, "{refusal}");
    }
}

#[test]
fn old_ciphers_are_refused_unless_they_are_allowed_and_are_answered_in_kind() {
    let device = Device::new();
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "ca.pem", AUTHORITY.to_pem().0.as_bytes());
    write(folder.path(), "key.pem", device.key.serialize_pem().as_bytes());
    write(folder.path(), "csr", &csr(&device.key, Some(CHALLENGE)));
    let providers = "-provider legacy -provider default";
    for (option, cipher) in [("-des3", Cipher::TripleDes), ("-des-cbc", Cipher::Des)] {
        let command = format!("cms -encrypt {option} -binary -in csr -outform DER {providers} ca.pem");
        let message = device.message("19", &openssl(folder.path(), &command));
        let refusal = parse_request(&message, &AUTHORITY, Accepted::Modern).err().unwrap();
        assert_eq!(refusal.fail_info, FailInfo::BadAlg);
        let request = parse_request(&message, &AUTHORITY, Accepted::Legacy).unwrap();
        assert_eq!((request.cipher, request.challenge.as_ref().unwrap().expose_secret()), (cipher, CHALLENGE));
        let certificate = issue(&request.spki_der);
        let reply = success(&request, &AUTHORITY, &certificate, &Entropy::seeded(3)).unwrap();
        let reply = SignedMessage::parse(&reply, REQUEST_LIMIT).unwrap();
        write(folder.path(), "envelope", reply.content().unwrap());
        let command = format!("cms -decrypt -binary -inform DER -in envelope -inkey key.pem {providers}");
        let opened = SignedMessage::parse(&openssl(folder.path(), &command), REQUEST_LIMIT).unwrap();
        assert_eq!(opened.certificates().collect::<Vec<_>>(), [&certificate[..]]);
    }
}

#[test]
fn a_failure_carries_its_reason_and_no_content() {
    let transaction = Transaction { id: "A1_&ü".to_owned(), sender_nonce: vec![1, 2] };
    let reply = failure(&transaction, FailInfo::BadRequest, &AUTHORITY, &Entropy::seeded(3)).unwrap();
    let reply = SignedMessage::parse(&reply, REQUEST_LIMIT).unwrap();
    let signer = reply.verify_detached(b"").unwrap();
    let text = |kind| signer.attribute(kind).and_then(wire::text);
    assert_eq!(text(STATUS).as_deref(), Some("2"));
    assert_eq!(text(FAIL_INFO).as_deref(), Some("2"));
    assert_eq!(text(TRANSACTION).as_deref(), Some("A1_&ü"));
    assert_eq!(reply.content(), None);
}

#[test]
fn damaged_requests_never_panic_and_never_get_another_key_certified() {
    let device = Device::new();
    let message = device.request("19", &csr(&device.key, Some(CHALLENGE)));
    for damaged in damaged(&message) {
        if let Ok(request) = parse_request(&damaged, &AUTHORITY, Accepted::Modern) {
            assert_eq!(damaged.len(), message.len(), "a truncated request was accepted");
            assert_eq!(request.spki_der, device.key.subject_public_key_info());
        }
    }
    let inner = csr(&device.key, Some(CHALLENGE));
    for damaged in damaged(&inner) {
        // Only the parameters of the signature's algorithm are unprotected, and they say nothing.
        if let Ok(request) = CertificateRequest::parse(&damaged) {
            assert_eq!(request.spki_der, device.key.subject_public_key_info());
            assert_eq!(request.challenge.unwrap().expose_secret(), CHALLENGE);
        }
    }
}

#[test]
fn a_get_message_is_read_in_every_alphabet() {
    let bytes = [0xfb, 0xff, 0xfe, 0x3e];
    for text in ["+//+Pg==", "-__-Pg==", "-__-Pg", " //+Pg", " //+Pg==\n", "+//+\r\nPg=="] {
        assert_eq!(decode_get_message(text).as_deref(), Some(&bytes[..]), "{text}");
    }
    assert_eq!(decode_get_message("%2B"), None);
    assert_eq!(decode_get_message(&"A".repeat(REQUEST_LIMIT * 2)), None);
}

#[test]
fn capabilities_are_lines_without_carriage_returns_and_weak_ones_only_if_allowed() {
    let lines: Vec<_> = capabilities(Accepted::Modern).lines().collect();
    assert_eq!(lines, ["POSTPKIOperation", "SHA-256", "SHA-512", "AES", "SCEPStandard", "Renewal"]);
    let legacy: Vec<_> = capabilities(Accepted::Legacy).lines().collect();
    assert_eq!(legacy, [&lines[..], &["DES3", "SHA-1"]].concat());
    assert!(!capabilities(Accepted::Legacy).contains('\r'));
}
