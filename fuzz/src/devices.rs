//! What devices send, and whoever else reaches the device listener.

use std::sync::OnceLock;

use secrecy::SecretString;
use vppd::mdm::checkin::Checkin;
use vppd::mdm::declarative::{Question, StatusReport, cause, reason_words};
use vppd::mdm::identity::acme::{attestation, jws};
use vppd::mdm::identity::authority::DeviceAuthority;
use vppd::mdm::identity::cms::{Accepted, SignedMessage};
use vppd::mdm::identity::scep::{CertificateRequest, decode_get_message, parse_request};
use vppd::mdm::identity::signature::{verify_detached, verify_message};
use vppd::mdm::outcome::explain;
use vppd::mdm::plist_guard;
use vppd::mdm::report::Report;

/// As much as the listener takes at the most, scaled down to what a fuzzer makes.
const LIMIT: usize = 256 * 1024;

/// A property list: the guard, and everything that is read from check-in messages and command reports.
pub fn mdm(bytes: &[u8]) {
    let guarded = plist_guard::read_dictionary(bytes, LIMIT);
    if let Ok(message) = Checkin::read(bytes, LIMIT) {
        assert!(guarded.is_ok(), "a check-in message got past the guard");
        if let Some(enrollment) = message.enrollment() {
            assert!(!enrollment.key().is_empty());
            let _ = enrollment.is_device_channel();
        }
    }
    if let Ok(report) = Report::read(bytes, LIMIT) {
        assert!(guarded.is_ok(), "a report got past the guard");
        let _ = report.install_result();
        let _ = report.managed_apps();
        let _ = report.installed_apps();
        let _ = report.device_facts();
        let _ = explain(&report.error_chain);
    }
}

/// The endpoint of a check-in message about declarations, and a status report.
pub fn declarations(bytes: &[u8]) {
    if let Some(Question::Declaration { identifier, .. }) = std::str::from_utf8(bytes).ok().and_then(Question::read) {
        assert!(!identifier.is_empty());
    }
    if let Ok(report) = StatusReport::read(bytes) {
        for app in report.declared.iter().flatten() {
            assert!(!app.identifier.is_empty());
            let _ = (cause(&app.reasons), reason_words(&app.reasons));
        }
    }
}

/// `Mdm-Signature`: a header and the body behind the first line feed; and the same bytes without base64.
pub fn signature(bytes: &[u8]) {
    let (header, body) = match bytes.iter().position(|byte| *byte == b'\n') {
        Some(end) => (&bytes[..end], &bytes[end + 1..]),
        None => (bytes, &bytes[..0]),
    };
    if let Ok(header) = std::str::from_utf8(header) {
        let _ = verify_message(header, body, 32 * 1024);
    }
    let _ = verify_detached(bytes, b"<plist/>", 32 * 1024);
}

/// A SCEP request, as posted and as the text of a GET.
pub fn scep(bytes: &[u8]) {
    let _ = parse_request(bytes, authority(), Accepted::Legacy);
    if let Ok(message) = SignedMessage::parse(bytes, LIMIT) {
        let _ = message.verify_attached();
    }
    if let Some(decoded) = std::str::from_utf8(bytes).ok().and_then(decode_get_message) {
        let _ = parse_request(&decoded, authority(), Accepted::Legacy);
    }
}

/// A certificate request, which comes encrypted inside a SCEP request.
pub fn csr(bytes: &[u8]) {
    if let Ok(request) = CertificateRequest::parse(bytes) {
        assert!(!request.spki_der.is_empty());
    }
}

/// ACME: a signed message, and the attestation that comes in one.
pub fn acme(bytes: &[u8]) {
    if let Ok(message) = jws::Message::read(bytes)
        && let Some(key) = &message.header.jwk
    {
        let _ = message.verify(key);
        assert_eq!(jws::Jwk::from_json(&key.json()).as_ref(), Some(key));
    }
    assert!(attestation::verify(bytes, "token", &[], jiff::Timestamp::UNIX_EPOCH).is_err(), "nobody is trusted");
    let _ = CertificateRequest::parse_of_hardware(bytes);
}

/// The authority that the seeds are encrypted to. Its key was made for this and protects nothing.
pub fn authority() -> &'static DeviceAuthority {
    static AUTHORITY: OnceLock<DeviceAuthority> = OnceLock::new();
    AUTHORITY.get_or_init(|| {
        let key = SecretString::from(include_str!("../authority-key.pem"));
        match DeviceAuthority::from_pem(include_str!("../authority.pem"), &key) {
            Ok(authority) => authority,
            Err(error) => panic!("fuzz/authority.pem: {error}"),
        }
    })
}
