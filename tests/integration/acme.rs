//! ACME with attested keys: the crate instant-acme is the client, a root of the sandbox's plays the hardware, and openssl signs
//! the messages of the device that comes of it.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use instant_acme::{
    Account, ChallengeType, DeviceAttestation, Identifier, NewAccount, NewOrder, OrderStatus, RetryPolicy,
};
use plist::Value;
use rcgen::{CertificateParams, KeyPair, PublicKeyData};
use sandbox::device::DeviceSpec;
use sandbox::device::attestation::{Hardware, Said};
use vppd::clock::Clock;
use vppd::operations::view::*;
use vppd::operations::{enrol, identities};

use crate::foreign_tools::{find, plain_door, put};
use crate::support::*;

const SERIAL: &str = "QX7T2M9K2P";
const UDID: &str = "00008103-000A1B2C3D4E5F60";

/// Settings that want attested keys, with the sandbox's root in `folder`.
fn settings<'a>(hardware: &Hardware, folder: &'a Path, usage: &'a str) -> impl FnOnce(String) -> String + use<'a> {
    let pem = vppd::mdm::identity::authority::certificate_pem(hardware.root());
    std::fs::write(folder.join("root.pem"), pem).unwrap();
    move |text| {
        let root = folder.join("root.pem");
        text + &format!("[identity.acme]\nuse = \"{usage}\"\nattestation-root = {:?}\n", root.display().to_string())
    }
}

async fn profile(app: &App, serial: Option<&str>) -> Value {
    let request = EnrolRequest { serial: serial.map(str::to_owned), ..EnrolRequest::default() };
    let made = enrol::make_profile(&app.context, request, "test").await.unwrap();
    let signed = STANDARD.decode(made.profile).unwrap();
    let start = signed.windows(5).position(|window| window == b"<?xml").unwrap();
    let end = signed.windows(8).position(|window| window == b"</plist>").unwrap();
    Value::from_reader_xml(&signed[start..end + 8]).unwrap()
}

async fn account(app: &App, folder: &Path, directory: &str) -> Account {
    let root = folder.join("server.pem");
    std::fs::write(&root, app.context.keys.server.to_pem().0).unwrap();
    let contact = NewAccount { contact: &[], terms_of_service_agreed: true, only_return_existing: false };
    let builder = Account::builder_with_root(&root).unwrap();
    builder.create(&contact, directory.to_owned(), None).await.unwrap().0
}

/// How a device, or somebody who plays one, brings its attestation.
struct Try<'a> {
    hardware: &'a Hardware,
    serial: Option<&'a str>,
    udid: Option<&'a str>,
    token: Option<&'a str>,
    wrapped: bool,
    /// The key of the request, when it is not the attested one.
    other_key: Option<&'a KeyPair>,
}

/// The certificate (PEM) for `key`, or what went wrong in words.
async fn fetch(account: &Account, identifier: &str, key: &KeyPair, how: &Try<'_>) -> Result<String, String> {
    let words = |error: instant_acme::Error| format!("{error}");
    let identifiers = [Identifier::PermanentIdentifier(identifier.to_owned())];
    let mut order = account.new_order(&NewOrder::new(&identifiers)).await.map_err(words)?;
    let mut authorisations = order.authorizations();
    while let Some(authorisation) = authorisations.next().await {
        let mut authorisation = authorisation.map_err(words)?;
        let mut challenge = authorisation.challenge(ChallengeType::DeviceAttest01).ok_or("no challenge")?;
        let token = how.token.unwrap_or(&challenge.token).to_owned();
        let said = Said { serial: how.serial, udid: how.udid, token: &token, wrapped: how.wrapped };
        let object = how.hardware.attest(&key.subject_public_key_info(), &said).unwrap();
        challenge.send_device_attestation(&DeviceAttestation { att_obj: object.into() }).await.map_err(words)?;
    }
    let status = order.poll_ready(&RetryPolicy::default()).await.map_err(words)?;
    if status != OrderStatus::Ready {
        return Err(format!("{status:?}"));
    }
    let csr = CertificateParams::default().serialize_request(how.other_key.unwrap_or(key)).unwrap();
    order.finalize_csr(csr.der()).await.map_err(words)?;
    order.poll_certificate(&RetryPolicy::default()).await.map_err(words)
}

#[tokio::test(flavor = "multi_thread")]
async fn section_4_5_instant_acme_fetches_an_identity_with_an_attested_key() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let clock = Clock::real();
    let hardware = Hardware::new(clock.now()).unwrap();
    let stranger = Hardware::new(clock.now()).unwrap();
    let app = App::start_with(clock, &[], settings(&hardware, path, "always")).await;
    let profile = profile(&app, Some(SERIAL)).await;
    let text = |key: &str| find(&profile, key).and_then(Value::as_string).unwrap().to_owned();
    let (identifier, topic) = (text("ClientIdentifier"), text("Topic"));
    let account = account(&app, path, &text("DirectoryURL")).await;
    let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
    let other = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
    let good = || Try {
        hardware: &hardware,
        serial: Some(SERIAL),
        udid: Some(UDID),
        token: None,
        wrapped: false,
        other_key: None,
    };
    for (how, why) in [
        (Try { hardware: &stranger, ..good() }, "attestation-root"),
        (Try { serial: Some("C00000000000"), ..good() }, "serial number"),
        (Try { serial: None, ..good() }, "serial number"),
        (Try { token: Some("yesterday's"), ..good() }, "another time"),
        (Try { other_key: Some(&other), ..good() }, "another key"),
    ] {
        let said = fetch(&account, &identifier, &key, &how).await.unwrap_err();
        assert!(said.contains(why), "{why}: {said}");
    }
    assert!(fetch(&account, "never given out", &key, &good()).await.unwrap_err().contains("rejectedIdentifier"));
    let pem = fetch(&account, &identifier, &key, &Try { wrapped: true, ..good() }).await.unwrap();
    assert!(fetch(&account, &identifier, &other, &good()).await.is_err(), "the identifier serves one key only");

    std::fs::write(path.join("cert.pem"), &pem).unwrap();
    std::fs::write(path.join("key.pem"), key.serialize_pem()).unwrap();
    let door = plain_door(&app).await;
    let authenticate = |serial: &str| {
        format!(
            "<key>MessageType</key><string>Authenticate</string><key>Topic</key><string>{topic}</string>\
             <key>UDID</key><string>{UDID}</string><key>SerialNumber</key><string>{serial}</string>"
        )
    };
    let update = format!(
        "<key>MessageType</key><string>TokenUpdate</string><key>Topic</key><string>{topic}</string><key>UDID</key>\
         <string>{UDID}</string><key>PushMagic</key><string>magic</string><key>Token</key><data>AAEC</data>"
    );
    assert_eq!(put(&door, "/checkin", path, "-md sha384", &authenticate("C00000000000")).await.0, 400);
    assert_eq!(put(&door, "/checkin", path, "-md sha384", &authenticate(SERIAL)).await.0, 200);
    assert_eq!(put(&door, "/checkin", path, "-md sha256 -stream", &update).await.0, 200);
    let listed = identities::list(&app.context).await.unwrap();
    assert_eq!((listed[0].serial.as_str(), listed[0].kind.as_str()), (SERIAL, "acme"));
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_settings_want_no_acme_there_is_none_and_scep_goes_on() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let app = App::start(Clock::real(), &[]).await;
    let profile = profile(&app, None).await;
    assert!(find(&profile, "DirectoryURL").is_none() && find(&profile, "CAFingerprint").is_some());
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("server.pem");
    std::fs::write(&root, app.context.keys.server.to_pem().0).unwrap();
    let contact = NewAccount { contact: &[], terms_of_service_agreed: true, only_return_existing: false };
    let url = format!("https://localhost:{}/acme/directory", app.address.port());
    assert!(Account::builder_with_root(&root).unwrap().create(&contact, url, None).await.is_err());
}

#[test]
fn a_device_that_cannot_change_over_to_acme_keeps_scep_and_is_renewed_in_time() {
    story(|clock| async move {
        let folder = tempfile::tempdir().unwrap();
        let hardware = Hardware::new(clock.now()).unwrap();
        let acme = settings(&hardware, folder.path(), "able");
        let short = |text: String| text.replace("[enrolment]\n", "[enrolment]\nidentity-lifetime = \"6d\"\n");
        let app = App::start_with(clock, &[], |text| acme(short(text))).await;
        // By its model and system it could, but this one's reader of profiles knows no ACME.
        app.enrol(devices(1, 2)).await;
        let device = app.fleet.device(&DeviceSpec::nth(3, 1).serial).unwrap();
        let asked = || device.view().counters.commands.get("InstallProfile").copied().unwrap_or(0);
        let before = device.identity();
        app.wait(minutes(3 * 24 * 60)).await;
        assert_eq!((asked(), device.identity()), (1, before.clone()), "asked once to change over");
        app.wait(minutes(36 * 60)).await;
        assert_eq!(asked(), 2, "and then in time, by SCEP");
        assert_ne!(device.identity(), before);
        assert_eq!(identities::list(&app.context).await.unwrap()[0].kind, "scep");
        assert_eq!(device.view().counters.got_401, 0);
    });
}
