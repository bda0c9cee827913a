use std::path::Path;
use std::process::Command;

use super::*;
use crate::chance::Chance;
use crate::device::certificate::temporary;
use crate::device::keys::Key;

const STYLES: [Style; 4] = [
    Style { streamed: true, digest: Digest::Sha1 },
    Style { streamed: true, digest: Digest::Sha256 },
    Style { streamed: false, digest: Digest::Sha1 },
    Style { streamed: false, digest: Digest::Sha256 },
];

fn now() -> jiff::Timestamp {
    "2026-11-02T06:00:00Z".parse().unwrap()
}

fn identity() -> (Key, Vec<u8>) {
    let key = Key::generate().unwrap();
    let certificate = temporary(&key, "device", &[7], now()).unwrap();
    (key, certificate)
}

fn openssl(folder: &Path, arguments: &str) -> Vec<u8> {
    let output = Command::new("openssl").current_dir(folder).args(arguments.split(' ')).output().unwrap();
    assert!(output.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

#[test]
fn openssl_verifies_detached_signatures_of_every_style() {
    let (key, certificate) = identity();
    let signer = Signer { key: &key, certificate: &certificate, chain: &[] };
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("body"), b"the body of a message").unwrap();
    for style in STYLES {
        let message = sign(&signer, b"the body of a message", false, Vec::new(), now(), style).unwrap();
        assert_eq!(message[1] == 0x80, style.streamed);
        std::fs::write(folder.path().join("message"), message).unwrap();
        let verified = openssl(folder.path(), "cms -verify -binary -noverify -inform DER -in message -content body");
        assert_eq!(verified, b"the body of a message", "{style:?}");
    }
}

#[test]
fn openssl_verifies_attached_content_in_segments() {
    let (key, certificate) = identity();
    let signer = Signer { key: &key, certificate: &certificate, chain: &[] };
    let folder = tempfile::tempdir().unwrap();
    let content: Vec<u8> = (0..5_000u32).map(|n| n as u8).collect();
    for style in STYLES {
        let message = sign(&signer, &content, true, Vec::new(), now(), style).unwrap();
        std::fs::write(folder.path().join("message"), &message).unwrap();
        assert_eq!(openssl(folder.path(), "cms -verify -binary -noverify -inform DER -in message"), content);
        let read = Signed::read(&message).unwrap();
        assert_eq!(read.content.as_ref(), Some(&content));
        read.signed_by(&certificate).unwrap();
    }
}

#[test]
fn openssl_opens_what_is_sealed_and_its_envelopes_are_opened() {
    let (key, certificate) = identity();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("key"), key.pkcs8()).unwrap();
    std::fs::write(folder.path().join("certificate"), &certificate).unwrap();
    openssl(folder.path(), "x509 -inform DER -in certificate -out certificate.pem");
    let mut chance = Chance::seeded(1);
    for streamed in [true, false] {
        for cipher in [ContentCipher::Aes128, ContentCipher::Des] {
            let sealed = seal(&[5; 3_000], &certificate, &mut chance, cipher, streamed).unwrap();
            assert_eq!(open(&sealed, &certificate, &key).unwrap(), [5; 3_000]);
            std::fs::write(folder.path().join("sealed"), sealed).unwrap();
            let providers = "-provider legacy -provider default";
            let command = format!("cms -decrypt -inform DER -in sealed -inkey key -keyform DER {providers}");
            assert_eq!(openssl(folder.path(), &command), [5; 3_000]);
        }
    }
    std::fs::write(folder.path().join("plain"), b"reply").unwrap();
    for stream in ["", " -stream"] {
        let arguments =
            format!("cms -encrypt -binary -aes-128-cbc -outform DER{stream} -in plain -out theirs certificate.pem");
        openssl(folder.path(), &arguments);
        let theirs = std::fs::read(folder.path().join("theirs")).unwrap();
        assert_eq!(open(&theirs, &certificate, &key).unwrap(), b"reply");
    }
}

#[test]
fn a_changed_message_or_another_signer_is_noticed() {
    let (key, certificate) = identity();
    let (_, other) = identity();
    let signer = Signer { key: &key, certificate: &certificate, chain: &[] };
    let message = sign(&signer, b"content", true, Vec::new(), now(), STYLES[1]).unwrap();
    let signed = Signed::read(&message).unwrap();
    assert!(matches!(signed.signed_by(&other), Err(CmsError::BadSignature)));
    assert!(matches!(signed.signers[0].verify(b"Content", &certificate), Err(CmsError::DigestMismatch)));
    for end in 0..message.len() {
        assert!(Signed::read(&message[..end]).is_err());
    }
}
