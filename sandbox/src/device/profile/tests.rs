use plist::{Dictionary, Value};

use super::*;
use crate::device::testing::{enrolment_profile, to_xml};

type Change = fn(&mut Dictionary);

/// The profile with its n-th payload changed.
fn with(payload: usize, change: Change) -> Result<Profile, ProfileError> {
    let mut profile = enrolment_profile("https://mdm.example/scep", None, &[]);
    let payloads = profile.get_mut("PayloadContent").unwrap().as_array_mut().unwrap();
    change(payloads[payload].as_dictionary_mut().unwrap());
    Profile::read(&to_xml(&profile))
}

fn inner(payload: &mut Dictionary) -> &mut Dictionary {
    payload.get_mut("PayloadContent").unwrap().as_dictionary_mut().unwrap()
}

#[test]
fn a_good_profile_is_read_with_everything_a_device_needs() {
    let profile = with(0, |_| ()).unwrap();
    let Enrolment { mdm, scep } = profile.enrolment.unwrap();
    assert_eq!(mdm.access_rights, 4371);
    assert!(mdm.sign_message && mdm.check_out_when_removed);
    assert_eq!(scep.subject.len(), 2);
    assert_eq!(scep.subject[1], (vec![0x55, 4, 3], "e-7f3a9c".to_owned()));
    assert_eq!(scep.key_usage, 5);
    assert!(!format!("{scep:?}").contains("kq3n"), "the challenge is a secret");
}

#[test]
fn a_check_in_url_that_is_missing_is_the_server_url() {
    let profile = with(1, |mdm| drop(mdm.remove("CheckInURL"))).unwrap();
    assert_eq!(profile.enrolment.unwrap().mdm.check_in_url, "https://mdm.example/mdm");
}

#[test]
fn every_mistake_in_a_payload_is_refused() {
    let cases: [(&str, usize, Change); 20] = [
        ("unknown SCEP key", 0, |p| drop(inner(p).insert("KeySize".into(), 2048.into()))),
        ("unknown outer SCEP key", 0, |p| drop(p.insert("URL".into(), "x".into()))),
        ("Keysize as text", 0, |p| drop(inner(p).insert("Keysize".into(), "2048".into()))),
        ("Keysize too small", 0, |p| drop(inner(p).insert("Keysize".into(), 1024.into()))),
        ("no Keysize", 0, |p| drop(inner(p).remove("Keysize"))),
        ("key type EC", 0, |p| drop(inner(p).insert("Key Type".into(), "EC".into()))),
        ("odd key usage", 0, |p| drop(inner(p).insert("Key Usage".into(), 2.into()))),
        ("no URL", 0, |p| drop(inner(p).remove("URL"))),
        ("ftp URL", 0, |p| drop(inner(p).insert("URL".into(), "ftp://x/".into()))),
        ("flat subject", 0, |p| drop(inner(p).insert("Subject".into(), vec![Value::from("CN")].into()))),
        ("short fingerprint", 0, |p| drop(inner(p).insert("CAFingerprint".into(), Value::Data(vec![1; 5])))),
        ("unknown MDM key", 1, |p| drop(p.insert("CheckInUrl".into(), "https://x/".into()))),
        ("http server", 1, |p| drop(p.insert("ServerURL".into(), "http://mdm.example/".into()))),
        ("no topic", 1, |p| drop(p.remove("Topic"))),
        ("foreign topic", 1, |p| drop(p.insert("Topic".into(), "com.example".into()))),
        ("no rights", 1, |p| drop(p.insert("AccessRights".into(), 0.into()))),
        ("too many rights", 1, |p| drop(p.insert("AccessRights".into(), 8192.into()))),
        ("change without inspection", 1, |p| drop(p.insert("AccessRights".into(), 2.into()))),
        ("SignMessage as integer", 1, |p| drop(p.insert("SignMessage".into(), 1.into()))),
        ("other identity", 1, |p| drop(p.insert("IdentityCertificateUUID".into(), "other".into()))),
    ];
    for (name, payload, change) in cases {
        assert!(with(payload, change).is_err(), "{name}");
    }
    assert!(matches!(Profile::read(b"hello"), Err(ProfileError::Unreadable(_))));
    assert!(matches!(Profile::read(&[0x30, 0x80]), Err(ProfileError::Signature(_))));
}

#[test]
fn a_signed_profile_is_unwrapped() {
    use crate::device::cms::{Digest, Signer, Style, sign};
    let key = crate::device::keys::Key::generate().unwrap();
    let now = "2026-11-02T06:00:00Z".parse().unwrap();
    let certificate = crate::device::certificate::temporary(&key, "signer", &[1], now).unwrap();
    let signer = Signer { key: &key, certificate: &certificate, chain: &[] };
    let plain = to_xml(&enrolment_profile("https://mdm.example/scep", None, std::slice::from_ref(&certificate)));
    let style = Style { streamed: false, digest: Digest::Sha256 };
    let profile = Profile::read(&sign(&signer, &plain, true, Vec::new(), now, style).unwrap()).unwrap();
    assert!(profile.signer.is_some());
    assert_eq!(profile.anchors, std::slice::from_ref(&certificate));
    assert_eq!(profile.payload_types.first().unwrap(), "com.apple.security.root");
    let detached = sign(&signer, &plain, false, Vec::new(), now, style).unwrap();
    assert!(matches!(Profile::read(&detached), Err(ProfileError::Detached)));
}
