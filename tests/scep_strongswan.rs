//! A real SCEP client, strongSwan's `pki --scep`, enrols with the functions of `vppd::mdm::identity` behind a small
//! HTTP endpoint. What is checked is the wire: another implementation makes the request and reads the answer.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of a test fail by panicking")]

use std::collections::HashMap;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use jiff::{SignedDuration, Timestamp};
use secrecy::ExposeSecret;
use vppd::clock::Clock;
use vppd::entropy::Entropy;
use vppd::mdm::identity::authority::{DeviceAuthority, IdentitySubject};
use vppd::mdm::identity::scep::{self, FailInfo, MessageType};

/// strongSwan 5.9.8 reads GetCACaps wrongly unless every name is there; vppd's own list is shorter.
const EVERY_CAPABILITY: &str = "AES\nDES3\nSHA-1\nSHA-224\nSHA-256\nSHA-384\nSHA-512\nPOSTPKIOperation\nSCEPStandard\n\
                                GetNextCACert\nRenewal\n";
const CHALLENGE: &str = "tE9-only-for-this-test_0123456789";

struct Endpoint {
    authority: DeviceAuthority,
    now: Timestamp,
    entropy: Entropy,
    /// What was asked for, in order.
    seen: Mutex<Vec<(MessageType, String)>>,
}

impl Endpoint {
    fn answer(&self, message: &[u8]) -> Vec<u8> {
        let request = match scep::parse_request(message, &self.authority) {
            Ok(request) => request,
            Err(refusal) => {
                let transaction = refusal.transaction.as_ref().expect("the client names its transaction");
                return scep::failure(transaction, refusal.fail_info, &self.authority, &self.entropy).unwrap();
            }
        };
        let challenge = request.challenge.as_ref().map(|secret| secret.expose_secret().to_owned()).unwrap_or_default();
        self.seen.lock().unwrap().push((request.message_type, challenge.clone()));
        if challenge != CHALLENGE {
            return scep::failure(&request.transaction, FailInfo::BadRequest, &self.authority, &self.entropy).unwrap();
        }
        let subject =
            IdentitySubject { reference: "enrolment-reference".to_owned(), organisation: "Example".to_owned() };
        let (from, until) = (self.now - SignedDuration::from_hours(1), self.now + SignedDuration::from_hours(24 * 365));
        let certificate = self.authority.issue(&request.spki_der, &subject, self.entropy.bytes(), from, until).unwrap();
        scep::success(&request, &self.authority, &certificate, &self.entropy).unwrap()
    }
}

async fn get_operation(
    State(endpoint): State<Arc<Endpoint>>,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    match query.get("operation").map(String::as_str) {
        Some("GetCACaps") => ([(CONTENT_TYPE, scep::CAPABILITIES_TYPE)], EVERY_CAPABILITY).into_response(),
        Some("GetCACert") => {
            ([(CONTENT_TYPE, scep::CERTIFICATE_TYPE)], endpoint.authority.certificate_der().to_vec()).into_response()
        }
        _ => {
            let message = scep::decode_get_message(&query["message"]).expect("base64");
            ([(CONTENT_TYPE, scep::MESSAGE_TYPE)], endpoint.answer(&message)).into_response()
        }
    }
}

async fn post_operation(State(endpoint): State<Arc<Endpoint>>, body: Bytes) -> Response {
    ([(CONTENT_TYPE, scep::MESSAGE_TYPE)], endpoint.answer(&body)).into_response()
}

/// Serves on a free port of the loopback for as long as the runtime lives.
async fn serve() -> (Arc<Endpoint>, String) {
    let (now, entropy) = (Clock::real().now(), Entropy::system());
    let authority = DeviceAuthority::generate("Example", now, &entropy).unwrap();
    let endpoint = Arc::new(Endpoint { authority, now, entropy, seen: Mutex::new(Vec::new()) });
    let router = Router::new().route("/scep", get(get_operation).post(post_operation)).with_state(endpoint.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/scep", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    (endpoint, url)
}

/// Runs a program off the runtime's threads, its standard output into `into`.
async fn run(program: &'static str, arguments: Vec<String>) -> Output {
    tokio::task::spawn_blocking(move || {
        Command::new(program).args(&arguments).output().unwrap_or_else(|error| {
            panic!(
                "`{program}` cannot be run ({error}); this test needs strongSwan's pki and openssl: \
                 run `make test`, which installs them (packages strongswan-pki, libstrongswan-extra-plugins, openssl)"
            )
        })
    })
    .await
    .unwrap()
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

fn succeeded(output: Output, what: &str) -> Vec<u8> {
    assert!(output.status.success(), "{what} failed: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// Makes a key of the client and the authority's certificate as files, in a new folder.
async fn prepare(endpoint: &Endpoint) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let key = succeeded(run("pki", words("--gen --type rsa --size 2048 --outform pem")).await, "pki --gen");
    std::fs::write(folder.path().join("key.pem"), key).unwrap();
    std::fs::write(folder.path().join("ca.pem"), endpoint.authority.to_pem().0).unwrap();
    folder
}

async fn enrol(url: &str, folder: &Path, challenge: &str) -> Output {
    let folder = folder.display();
    let mut arguments = words(&format!(
        "--scep --url {url} --in {folder}/key.pem --cacert-enc {folder}/ca.pem --cacert-sig {folder}/ca.pem \
         --cipher aes --digest sha256 --password {challenge} --outform pem"
    ));
    arguments.extend(["--dn".to_owned(), "C=DE, O=Whatever, CN=the device's own idea".to_owned()]);
    run("pki", arguments).await
}

#[tokio::test(flavor = "multi_thread")]
async fn strongswan_gets_a_certificate_that_openssl_accepts() {
    let (endpoint, url) = serve().await;
    let folder = prepare(&endpoint).await;
    let certificate = succeeded(enrol(&url, folder.path(), CHALLENGE).await, "pki --scep");
    std::fs::write(folder.path().join("cert.pem"), &certificate).unwrap();
    let folder = folder.path().display();
    succeeded(
        run(
            "openssl",
            words(&format!("verify -x509_strict -purpose sslclient -CAfile {folder}/ca.pem {folder}/cert.pem")),
        )
        .await,
        "openssl verify",
    );
    let subject = run("openssl", words(&format!("x509 -in {folder}/cert.pem -noout -subject"))).await;
    let subject = String::from_utf8(succeeded(subject, "openssl x509")).unwrap();
    assert_eq!(subject.trim(), "subject=O = Example, CN = enrolment-reference", "the device does not name itself");
    let of_certificate = run("openssl", words(&format!("x509 -in {folder}/cert.pem -noout -pubkey"))).await;
    let of_key = run("openssl", words(&format!("pkey -in {folder}/key.pem -pubout"))).await;
    assert_eq!(succeeded(of_certificate, "openssl x509"), succeeded(of_key, "openssl pkey"));
    assert_eq!(*endpoint.seen.lock().unwrap(), [(MessageType::PkcsReq, CHALLENGE.to_owned())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn strongswan_understands_a_refused_challenge() {
    let (endpoint, url) = serve().await;
    let folder = prepare(&endpoint).await;
    let output = enrol(&url, folder.path(), "wrong").await;
    assert!(!output.status.success());
    assert!(output.stdout.is_empty(), "no certificate");
    let said = String::from_utf8_lossy(&output.stderr).to_lowercase();
    assert!(said.contains("badrequest") || said.contains("not permitted"), "{said}");
    assert_eq!(*endpoint.seen.lock().unwrap(), [(MessageType::PkcsReq, "wrong".to_owned())]);
}
