//! The push certificate from its request to its renewal, with openssl's and the portal's parts played here: what does not fit is
//! refused before it does harm.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{CertificateParams, CertificateSigningRequestParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair};
use vppd::operations::view::*;
use vppd::operations::{enrol, push_certificate};

use crate::support::*;

const TOPIC: &str = "com.apple.mgmt.External.11112222-3333-4444-5555-666677778888";
const UID: &[u64] = &[0, 9, 2342, 19_200_300, 100, 1, 1];

/// What Apple's portal makes of a request.
fn portal(csr_pem: &str, topic: &str, year: i32) -> String {
    let key = KeyPair::generate().unwrap();
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let issuer = Issuer::new(authority, key);
    let mut request = CertificateSigningRequestParams::from_pem(csr_pem).unwrap();
    request.params.distinguished_name = DistinguishedName::new();
    request.params.distinguished_name.push(DnType::CustomDnType(UID.to_vec()), topic);
    request.params.not_after = rcgen::date_time_ymd(year, 11, 1);
    request.signed_by(&issuer).unwrap().pem()
}

fn without_certificate(text: String) -> String {
    let of_settings = |line: &&str| !line.starts_with("certificate = ") && !line.starts_with("key = ");
    text.lines().filter(of_settings).map(|line| format!("{line}\n")).collect()
}

async fn request(app: &App, anew: bool) -> PushRequestView {
    push_certificate::request(&app.context, PushCertificateRequest { anew }, "test").await.unwrap()
}

async fn install(app: &App, pem: String) -> Result<PushCertificateView, &'static str> {
    push_certificate::install(&app.context, pem, "test").await.map_err(|error| error.code)
}

#[test]
fn section_5_6_a_push_certificate_is_requested_installed_and_renewed_with_the_same_topic() {
    story(|clock| async move {
        let mut app = App::start_with(clock, &[], without_certificate).await;
        let none = enrol::make_profile(&app.context, EnrolRequest::default(), "test").await.err().unwrap();
        assert_eq!(none.code, "no-push-certificate");
        let first = request(&app, false).await;
        let again = request(&app, false).await;
        assert!(first.made_now && !again.made_now && first.csr_pem == again.csr_pem);

        let foreign = CertificateParams::default().serialize_request(&KeyPair::generate().unwrap()).unwrap();
        assert_eq!(install(&app, portal(&foreign.pem().unwrap(), TOPIC, 2027)).await, Err("another-key"));
        assert_eq!(install(&app, portal(&first.csr_pem, TOPIC, 2025)).await, Err("expired"));
        assert_eq!(install(&app, first.csr_pem.clone()).await, Err("push-certificate"));
        let installed = install(&app, portal(&first.csr_pem, TOPIC, 2027)).await.unwrap();
        assert_eq!((installed.topic.as_str(), installed.request_waits, installed.in_settings), (TOPIC, false, false));
        app.restart().await;
        assert_eq!(push_certificate::show(&app.context).await.unwrap(), installed, "kept");
        app.enrol(devices(1, 2)).await;

        // A year later: the portal's Create instead of Renew would lose every device.
        let next = request(&app, true).await;
        assert_ne!(next.csr_pem, first.csr_pem);
        let other = portal(&next.csr_pem, "com.apple.mgmt.External.another", 2028);
        assert_eq!(install(&app, other).await, Err("another-topic"));
        let renewed = install(&app, portal(&next.csr_pem, TOPIC, 2028)).await.unwrap();
        assert!(renewed.expires_at > installed.expires_at);
        let shown = cli(&app, &["apns", "show"]).await;
        let shown = String::from_utf8(shown.stdout).unwrap();
        assert!(shown.contains(TOPIC) && shown.contains("by vppd"), "{shown}");
        let file = app.path("request.pem");
        let wrote = cli(&app, &["apns", "csr", "--output", &file.display().to_string()]).await;
        assert!(wrote.status.success() && std::fs::read_to_string(file).unwrap().contains("CERTIFICATE REQUEST"));
    });
}

#[test]
fn a_certificate_in_the_settings_goes_first() {
    story(|clock| async move {
        let app = App::start(clock, &[]).await;
        let made = request(&app, false).await;
        assert_eq!(install(&app, portal(&made.csr_pem, TOPIC, 2027)).await, Err("in-settings"));
        assert!(push_certificate::show(&app.context).await.unwrap().in_settings);
        let profile = enrol::make_profile(&app.context, EnrolRequest::default(), "test").await.unwrap();
        assert!(STANDARD.decode(profile.profile).is_ok_and(|bytes| !bytes.is_empty()));
    });
}
