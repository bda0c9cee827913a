use super::*;
use crate::mdm::identity::profile_signature::sign_profile;
use crate::mdm::identity::signature::{SignerCertificate, verify_detached, verify_message};
use crate::mdm::identity::testing::{AUTHORITY, certificate, damaged, openssl, read, signer, write};

const BODY: &[u8] = b"<?xml version=\"1.0\"?>\r\n<plist><dict/></plist>\n";
const LIMIT: usize = 32 * 1024;

/// openssl's signature over `BODY` by the key in `folder`.
fn signed(folder: &std::path::Path, options: &str) -> Vec<u8> {
    write(folder, "body", BODY);
    let options = if options.is_empty() { String::new() } else { format!(" {options}") };
    openssl(
        folder,
        &format!("cms -sign -binary -in body -signer cert.pem -inkey key.pem -outform DER -out out.der{options}"),
    );
    read(folder, "out.der")
}

#[test]
fn detached_signatures_of_openssl_verify_in_der_and_in_streamed_ber() {
    let folder = signer("rsa:2048");
    for options in
        ["", "-stream", "-md sha1", "-md sha384 -stream", "-md sha512", "-noattr", "-keyid", "-keyid -stream"]
    {
        let signature = signed(folder.path(), options);
        let signer = verify_detached(&signature, BODY, LIMIT).unwrap_or_else(|error| panic!("{options}: {error}"));
        assert_eq!(signer.der, certificate(folder.path()), "{options}");
        assert!(verify_detached(&signature, b"<plist/>", LIMIT).is_err(), "{options}");
    }
    assert!(signed(folder.path(), "-stream").starts_with(&[0x30, 0x80]), "the streamed form is indefinite");
}

/// The same value with indefinite lengths down to `depth` wrappers.
fn indefinite(der: &[u8], depth: usize) -> Vec<u8> {
    let (header, length) = match der[1] {
        0x82 => (4, usize::from(u16::from_be_bytes([der[2], der[3]]))),
        0x81 => (3, usize::from(der[2])),
        short => (2, usize::from(short)),
    };
    let value = &der[..header + length];
    let mut written = Vec::new();
    if depth == 0 || der[0] & 0x20 == 0 {
        written.extend_from_slice(value);
    } else {
        written.extend([der[0], 0x80]);
        if length > 0 {
            written.extend(indefinite(&value[header..], depth - 1));
        }
        written.extend([0, 0]);
    }
    if der.len() > value.len() {
        written.extend(indefinite(&der[value.len()..], depth));
    }
    written
}

#[test]
fn every_wrapper_around_what_is_signed_may_have_an_indefinite_length() {
    let folder = signer("rsa:2048");
    for options in ["", "-nodetach", "-noattr"] {
        let signature = signed(folder.path(), options);
        // Content info, its content, signed data, and then the sets of digests, certificates and signers.
        let streamed = indefinite(&signature, 4);
        assert!(streamed.len() > signature.len());
        assert_eq!(verify_detached(&streamed, BODY, LIMIT).unwrap().der, certificate(folder.path()), "{options}");
    }
}

#[test]
fn elliptic_curve_signatures_verify() {
    for (key, options) in [
        ("ec -pkeyopt ec_paramgen_curve:P-256", ""),
        ("ec -pkeyopt ec_paramgen_curve:P-256", "-md sha1 -stream"),
        ("ec -pkeyopt ec_paramgen_curve:P-384", "-md sha384"),
    ] {
        let folder = signer(key);
        let signature = signed(folder.path(), options);
        assert_eq!(verify_detached(&signature, BODY, LIMIT).unwrap().der, certificate(folder.path()));
    }
}

#[test]
fn a_short_rsa_key_is_refused_and_named() {
    let folder = signer("rsa:1024");
    assert_eq!(verify_detached(&signed(folder.path(), ""), BODY, LIMIT), Err(CmsError::WeakKey));
}

#[test]
fn algorithms_outside_the_list_are_refused() {
    let folder = signer("rsa:2048");
    let md5 = verify_detached(&signed(folder.path(), "-md md5"), BODY, LIMIT);
    assert_eq!(md5, Err(CmsError::Algorithm("1.2.840.113549.2.5".to_owned())));
    let pss = verify_detached(&signed(folder.path(), "-keyopt rsa_padding_mode:pss"), BODY, LIMIT);
    assert_eq!(pss, Err(CmsError::Algorithm("1.2.840.113549.1.1.10".to_owned())));
}

#[test]
fn the_signer_is_found_among_other_certificates() {
    let (folder, other) = (signer("rsa:2048"), signer("rsa:2048"));
    write(folder.path(), "other.pem", &read(other.path(), "cert.pem"));
    for options in ["-certfile other.pem", "-certfile other.pem -keyid -stream"] {
        let signer = verify_detached(&signed(folder.path(), options), BODY, LIMIT).unwrap();
        assert_eq!(signer.der, certificate(folder.path()));
    }
    let alone = signed(folder.path(), "-nocerts");
    assert_eq!(verify_detached(&alone, BODY, LIMIT), Err(CmsError::NoSignerCertificate));
}

#[test]
fn two_signers_are_refused() {
    let (folder, other) = (signer("rsa:2048"), signer("rsa:2048"));
    write(folder.path(), "c2.pem", &read(other.path(), "cert.pem"));
    write(folder.path(), "k2.pem", &read(other.path(), "key.pem"));
    let signature = signed(folder.path(), "-signer c2.pem -inkey k2.pem");
    assert_eq!(verify_detached(&signature, BODY, LIMIT), Err(CmsError::Signers(2)));
}

#[test]
fn attributes_cannot_be_passed_off_as_a_body() {
    let folder = signer("rsa:2048");
    let signature = signed(folder.path(), "");
    let mut data: wire::SignedData = wire::read_content(&signature, LIMIT, wire::SIGNED_DATA, "signed data").unwrap();
    let mut signer = data.signers.into_vec().remove(0);
    let attributes = signer.signed_attributes.take().unwrap();
    data.signers = vec![signer].into();
    let bare = wire::content_info(wire::SIGNED_DATA, wire::encode(&data, "test").unwrap()).unwrap();
    let body = wire::encode(&attributes, "test").unwrap();
    assert_eq!(verify_detached(&bare, &body, LIMIT), Err(CmsError::SignatureMismatch));
}

#[test]
fn attached_content_comes_back_proved() {
    let folder = signer("rsa:2048");
    for options in ["-nodetach", "-nodetach -stream", "-nodetach -noattr"] {
        let message = SignedMessage::parse(&signed(folder.path(), options), LIMIT).unwrap();
        assert_eq!(message.verify_attached().unwrap().certificate, certificate(folder.path()));
        assert_eq!(message.content(), Some(BODY));
    }
    let detached = SignedMessage::parse(&signed(folder.path(), ""), LIMIT).unwrap();
    assert!(detached.verify_attached().is_err());
}

#[test]
fn the_header_is_base64_with_or_without_padding() {
    use base64::Engine;
    use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
    let folder = signer("rsa:2048");
    let signature = signed(folder.path(), "-stream");
    let expected = verify_detached(&signature, BODY, LIMIT).unwrap();
    for header in
        [STANDARD.encode(&signature), STANDARD_NO_PAD.encode(&signature), format!(" {} ", STANDARD.encode(&signature))]
    {
        assert_eq!(verify_message(&header, BODY, LIMIT).as_ref(), Ok(&expected));
    }
    assert_eq!(verify_message("?", BODY, LIMIT), Err(CmsError::Malformed("base64 text")));
    let long = "A".repeat(LIMIT * 2);
    assert!(matches!(verify_message(&long, BODY, LIMIT), Err(CmsError::TooLarge { .. })));
}

#[test]
fn damaged_signatures_never_panic_and_never_prove_anything_else() {
    let folder = signer("rsa:2048");
    let genuine = public_key(&certificate(folder.path()));
    for options in ["", "-stream", "-nodetach -stream"] {
        let signature = signed(folder.path(), options);
        for damaged in damaged(&signature) {
            // What is not signed may change, even the rest of a certificate (its own signature, not CMS, protects it);
            // whose key signed may not.
            if let Ok(SignerCertificate { der, .. }) = verify_detached(&damaged, BODY, LIMIT) {
                assert_eq!(public_key(&der), genuine, "{options}");
                assert_eq!(damaged.len(), signature.len(), "a truncated message was accepted: {options}");
            }
        }
    }
}

fn public_key(certificate: &[u8]) -> Vec<u8> {
    crate::mdm::identity::certificate::parse(certificate).unwrap().public_key().subject_public_key.data.to_vec()
}

#[test]
fn deep_nesting_is_refused_without_running_out_of_stack() {
    for pattern in [&[0x30, 0x80][..], &[0x24, 0x80], &[0xa0, 0x80], &[0x31, 0x80]] {
        let bomb = pattern.repeat(500_000);
        assert!(verify_detached(&bomb, BODY, bomb.len()).is_err());
        assert!(seal(&bomb, BODY, Cipher::Aes128).is_err());
        assert!(open(&AUTHORITY.recipient(), &bomb, bomb.len(), Accepted::Legacy).is_err());
    }
    let mut content = vec![0x30, 0x80, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02, 0xa0, 0x80];
    content.extend([0x24, 0x80].repeat(500_000));
    assert!(verify_detached(&content, BODY, content.len()).is_err());
}

#[test]
fn openssl_verifies_our_profiles() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "ca.pem", AUTHORITY.to_pem().0.as_bytes());
    write(folder.path(), "profile", &sign_profile(BODY, &AUTHORITY).unwrap());
    let verified = openssl(
        folder.path(),
        "cms -verify -binary -inform DER -in profile -CAfile ca.pem -purpose any -no_check_time",
    );
    assert_eq!(verified, BODY);
}

#[test]
fn openssl_opens_what_we_seal_and_we_open_what_it_seals() {
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = AUTHORITY.to_pem();
    write(folder.path(), "cert.pem", certificate.as_bytes());
    write(folder.path(), "key.pem", secrecy::ExposeSecret::expose_secret(&key).as_bytes());
    write(folder.path(), "ours", &seal(AUTHORITY.certificate_der(), BODY, Cipher::Aes128).unwrap());
    let opened = openssl(folder.path(), "cms -decrypt -binary -inform DER -in ours -recip cert.pem -inkey key.pem");
    assert_eq!(opened, BODY);
    write(folder.path(), "body", BODY);
    for options in ["-aes128", "-aes192", "-aes256", "-aes128 -stream", "-aes256 -keyid -stream"] {
        let sealed = sealed_by_openssl(folder.path(), options);
        assert_eq!(
            open(&AUTHORITY.recipient(), &sealed, LIMIT, Accepted::Modern).unwrap().plain.as_slice(),
            BODY,
            "{options}"
        );
    }
    for options in ["-des3", "-des3 -stream"] {
        let error =
            open(&AUTHORITY.recipient(), &sealed_by_openssl(folder.path(), options), LIMIT, Accepted::Modern).err();
        assert_eq!(error, Some(CmsError::Algorithm("1.2.840.113549.3.7".to_owned())));
    }
}

fn sealed_by_openssl(folder: &std::path::Path, options: &str) -> Vec<u8> {
    openssl(folder, &format!("cms -encrypt -binary -in body -outform DER -out theirs {options} cert.pem"));
    read(folder, "theirs")
}

#[test]
fn every_failure_to_decrypt_is_the_same() {
    let sealed = seal(AUTHORITY.certificate_der(), BODY, Cipher::Aes128).unwrap();
    let mut data: wire::EnvelopedData =
        wire::read_content(&sealed, LIMIT, wire::ENVELOPED_DATA, "enveloped data").unwrap();
    let again = |data: &wire::EnvelopedData| {
        let bytes = wire::content_info(wire::ENVELOPED_DATA, wire::encode(data, "test").unwrap()).unwrap();
        open(&AUTHORITY.recipient(), &bytes, LIMIT, Accepted::Modern).map(|opened| opened.plain.to_vec())
    };
    assert_eq!(again(&data).as_deref(), Ok(BODY));

    let genuine = data.recipients.iter().next().unwrap().as_bytes().to_vec();
    let mut wrong_key: wire::KeyTransport = wire::decode(&genuine, "test").unwrap();
    let mut key = wrong_key.encrypted_key.to_vec();
    key[20] ^= 1;
    wrong_key.encrypted_key = key.into();
    data.recipients = vec![rasn::types::Any::new(wire::encode(&wrong_key, "test").unwrap())].into();
    // One time in 256 the random key happens to give good padding, and rubbish.
    assert_ne!(again(&data).as_deref(), Ok(BODY));
    assert!(matches!(again(&data), Err(CmsError::Decrypt) | Ok(_)));

    data.recipients = vec![rasn::types::Any::new(genuine)].into();
    let content = data.encrypted.content.take().unwrap().to_vec();
    data.encrypted.content = Some(content[..content.len() - 5].to_vec().into());
    assert_eq!(again(&data), Err(CmsError::Decrypt));
    data.encrypted.content = None;
    assert_eq!(again(&data), Err(CmsError::Decrypt));
    let other = signer("rsa:2048");
    let foreign = seal(&certificate(other.path()), BODY, Cipher::Aes128).unwrap();
    assert_eq!(open(&AUTHORITY.recipient(), &foreign, LIMIT, Accepted::Modern).err(), Some(CmsError::Decrypt));
}

#[test]
fn damaged_envelopes_never_panic() {
    let sealed = seal(AUTHORITY.certificate_der(), BODY, Cipher::Aes128).unwrap();
    for damaged in damaged(&sealed).step_by(7) {
        let _ = open(&AUTHORITY.recipient(), &damaged, LIMIT, Accepted::Legacy);
    }
}
