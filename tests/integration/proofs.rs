//! How a device proves who it is beside its signature: by TLS client certificate, and with an identity of the site's own.

use std::path::Path;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use plist::Value;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tower::ServiceExt;
use vppd::clock::Clock;
use vppd::mdm::identity::signature::SignerCertificate;
use vppd::operations::view::*;
use vppd::operations::{enrol, look};
use vppd::web::caller::Caller;
use vppd::web::devices::router;

use crate::foreign_tools::{done, find};
use crate::support::*;

fn with_second_name(text: String) -> String {
    in_devices(text, &format!("client-certificate-name = \"{SECOND_NAME}\""))
        .replace("[enrolment]\n", "[enrolment]\nproof = \"client-certificate\"\nsign-profiles = false\n")
}

async fn profile(app: &App, request: EnrolRequest) -> (String, Value) {
    let made = enrol::make_profile(&app.context, request, "test").await.unwrap();
    (made.reference, Value::from_reader_xml(&*STANDARD.decode(made.profile).unwrap()).unwrap())
}

fn text<'a>(profile: &'a Value, key: &str) -> &'a str {
    find(profile, key).and_then(Value::as_string).unwrap()
}

#[test]
fn devices_prove_themselves_by_client_certificate_where_they_are_asked() {
    story(|clock| async move {
        let app = App::start_with(clock, &[("1600000011", 5)], with_second_name).await;
        app.add_token("Leeds", false).await.unwrap();
        let (_, profile) = profile(&app, EnrolRequest::default()).await;
        let port = app.address.port();
        assert_eq!(text(&profile, "ServerURL"), format!("https://{SECOND_NAME}:{port}/mdm"));
        assert_eq!(text(&profile, "CheckInURL"), format!("https://{SECOND_NAME}:{port}/checkin"));
        assert_eq!(text(&profile, "URL"), format!("https://localhost:{port}/scep"));
        assert_eq!(find(&profile, "SignMessage").and_then(Value::as_boolean), Some(false));
        app.enrol(devices(1, 4)).await;
        app.deploy("1600000011", "all-devices", PurposeView::Required).await;
        app.wait(minutes(30)).await;
        assert_eq!(app.installed("1600000011").len(), 3);
        app.assert_clean();
    });
}

/// Makes with openssl an authority and, under it, a certificate for a client for each name.
async fn site(folder: &Path, names: &[&str]) {
    let run = async |command: String| {
        let command = command.replace("DIR", &folder.display().to_string());
        done("openssl", command, Vec::new()).await;
    };
    run("req -x509 -newkey rsa:2048 -nodes -keyout DIR/ca.key -out DIR/ca.pem -days 30 -subj /CN=site".into()).await;
    for name in names {
        let usage = "-addext extendedKeyUsage=clientAuth";
        run(format!("req -newkey rsa:2048 -nodes -keyout DIR/{name}.key -out DIR/{name}.csr -subj /CN={name} {usage}"))
            .await;
        let request = format!("x509 -req -in DIR/{name}.csr -copy_extensions copy");
        run(format!("{request} -CA DIR/ca.pem -CAkey DIR/ca.key -days 20 -out DIR/{name}.pem")).await;
    }
}

/// How a test client proves itself.
#[derive(Default)]
struct Proof<'a> {
    signed_by: Option<&'a str>,
    connected_as: Option<&'a str>,
}

fn signed(name: &str) -> Proof<'_> {
    Proof { signed_by: Some(name), ..Proof::default() }
}

/// The status that a message gets.
async fn put(app: &App, folder: &Path, path: &str, proof: Proof<'_>, message: &str) -> u16 {
    let message = format!("<?xml version=\"1.0\"?><plist version=\"1.0\"><dict>{message}</dict></plist>");
    let mut request = Request::put(path);
    if let Some(name) = proof.signed_by {
        let folder = folder.display();
        let command = format!("cms -sign -binary -outform DER -signer {folder}/{name}.pem -inkey {folder}/{name}.key");
        request =
            request.header("mdm-signature", STANDARD.encode(done("openssl", command, message.clone().into()).await));
    }
    if let Some(name) = proof.connected_as {
        let der = CertificateDer::from_pem_file(folder.join(format!("{name}.pem"))).unwrap();
        let certificate = Some(Arc::new(SignerCertificate::new(der.to_vec())));
        request = request.extension(Caller { neighbour: [192, 0, 2, 1].into(), address: None, certificate });
    }
    let request = request.body(Body::from(message)).unwrap();
    router(app.context.clone()).oneshot(request).await.unwrap().status().as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_identity_of_the_site_enrols_only_with_the_reference_of_an_open_enrolment() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    site(path, &["one", "two", "three"]).await;
    let ca = path.join("ca.pem");
    let edit = |text: String| {
        let identity = format!("[identity]\nextra-ca = {:?}\n", ca.display().to_string());
        text.replace("[enrolment]\n", "[enrolment]\nsign-profiles = false\n") + &identity
    };
    let app = App::start_with(Clock::real(), &[], edit).await;
    let request = EnrolRequest { serial: Some("QX7T2M9K2P".into()), ..EnrolRequest::default() };
    let (reference, profile) = profile(&app, request).await;
    let check_in = text(&profile, "CheckInURL").split_once("/checkin").unwrap().1;
    assert_eq!(check_in, format!("?enrolment={reference}"));
    assert!(text(&profile, "ServerURL").ends_with(&format!("/mdm?enrolment={reference}")));

    let authenticate = |udid: &str, serial: &str| {
        format!(
            "<key>MessageType</key><string>Authenticate</string><key>Topic</key><string>topic</string>\
             <key>UDID</key><string>{udid}</string><key>SerialNumber</key><string>{serial}</string>"
        )
    };
    let one = authenticate("UDID-1", "QX7T2M9K2P");
    let right = format!("/checkin?enrolment={reference}");
    let idle = "<key>Status</key><string>Idle</string><key>UDID</key><string>UDID-1</string>";
    assert_eq!(put(&app, path, "/mdm", signed("one"), idle).await, 400, "the certificate alone says nothing");
    assert_eq!(put(&app, path, "/checkin", signed("one"), &one).await, 400, "without a reference");
    assert_eq!(put(&app, path, "/checkin?enrolment=p-0", signed("one"), &one).await, 400, "an unknown reference");
    let stranger = authenticate("UDID-9", "C00000000000");
    assert_eq!(put(&app, path, &right, signed("two"), &stranger).await, 400, "another serial number");
    let foreign =
        format!("req -x509 -newkey rsa:2048 -nodes -keyout {0}/me.key -out {0}/me.pem -subj /CN=me", path.display());
    done("openssl", foreign, Vec::new()).await;
    assert_eq!(put(&app, path, &right, signed("me"), &one).await, 400, "another authority");
    assert!(look::devices(&app.context).await.unwrap().is_empty());

    assert_eq!(put(&app, path, &right, signed("one"), &one).await, 200);
    assert_eq!(put(&app, path, &right, signed("one"), &one).await, 200, "again, after a lost answer");
    assert_eq!(put(&app, path, &right, signed("two"), &one).await, 400, "the profile has been used");
    assert_eq!(put(&app, path, "/mdm", signed("one"), idle).await, 200);
    assert_eq!(put(&app, path, "/mdm", signed("two"), idle).await, 400, "pinned");

    let connected = |name| Proof { connected_as: Some(name), ..Proof::default() };
    assert_eq!(put(&app, path, "/mdm", connected("one"), idle).await, 200, "the connection's certificate is proof");
    assert_eq!(put(&app, path, "/mdm", connected("two"), idle).await, 400);
    let both = |signed, connected| Proof { signed_by: Some(signed), connected_as: Some(connected) };
    assert_eq!(put(&app, path, "/mdm", both("one", "one"), idle).await, 200);
    assert_eq!(put(&app, path, "/mdm", both("one", "two"), idle).await, 400, "two proofs that differ");
    assert_eq!(put(&app, path, "/mdm", Proof::default(), idle).await, 400);
}

#[test]
fn section_3_2_a_trusted_proxys_word_counts_and_nobody_elses() {
    story(|clock| async move {
        let edit = |text| in_devices(text, "trusted-proxies = [\"192.0.2.10\"]");
        let app = App::start_with(clock, &[], edit).await;
        app.enrol(devices(1, 3)).await;
        let of = |number| {
            let spec = sandbox::device::DeviceSpec::nth(3, number);
            let identity = app.fleet.device(&spec.serial).unwrap().identity().unwrap();
            (spec.udid, format!(":{}:", STANDARD.encode(identity)))
        };
        let idle = async |from: [u8; 4], udid: &str, header: &str| {
            let message = format!(
                "<?xml version=\"1.0\"?><plist version=\"1.0\"><dict><key>Status</key><string>Idle</string><key>UDID</key>\
                 <string>{udid}</string></dict></plist>"
            );
            let caller = Caller { neighbour: from.into(), address: Some(from.into()), certificate: None };
            let request =
                Request::put("/mdm").header("client-cert", header).extension(caller).body(Body::from(message));
            router(app.context.clone()).oneshot(request.unwrap()).await.unwrap().status().as_u16()
        };
        let ((one, its), (_, others)) = (of(1), of(2));
        assert_eq!(idle([192, 0, 2, 10], &one, &its).await, 200);
        assert_eq!(idle([192, 0, 2, 11], &one, &its).await, 400, "not a proxy of ours");
        assert_eq!(idle([192, 0, 2, 10], &one, &others).await, 400, "another device's");
        assert_eq!(idle([192, 0, 2, 10], &one, "nonsense").await, 400);
    });
}
