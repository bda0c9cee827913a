use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Method, Request};
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};

use super::*;
use crate::stepped::Stepped;
use crate::tls::Identity;
use crate::{Sandbox, SandboxOptions};

const TOPIC: &str = "com.apple.mgmt.External.6f1d2c3b";

fn world() -> (Apns, tokio::sync::mpsc::UnboundedReceiver<Wake>) {
    let inboxes = PushInboxes::default();
    let inbox = inboxes.register(vec![0x0a, 0x1b]);
    (Apns::new(Stepped::at("2027-03-01T08:00:00Z").clock(), 1, inboxes), inbox)
}

fn good() -> Push {
    let headers = [
        ("apns-topic", TOPIC),
        ("apns-push-type", "mdm"),
        ("apns-priority", "10"),
        ("apns-expiration", "1799990000"),
        ("apns-id", "123e4567-e89b-12d3-a456-42665544000a"),
    ];
    Push {
        method: Method::POST,
        path: "/3/device/0a1b".to_owned(),
        headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        body: Bytes::from_static(b"{\"mdm\":\"magic\"}"),
        certificate_topic: Some(TOPIC.to_owned()),
    }
}

/// The good push with one header changed, or removed when the value is empty.
fn with(name: &str, value: &str) -> Push {
    let mut push = good();
    push.headers.retain(|(known, _)| known != name);
    if !value.is_empty() {
        push.headers.push((name.to_owned(), value.to_owned()));
    }
    push
}

fn answer(apns: &Apns, push: &Push) -> (u16, Value) {
    match apns.push(push) {
        PushOutcome::Reply(reply) => (reply.status, serde_json::from_str(&reply.body).unwrap_or(Value::Null)),
        PushOutcome::Closed => (0, Value::Null),
    }
}

#[test]
fn push_reaches_the_device_and_its_id_comes_back() {
    let (apns, mut inbox) = world();
    let PushOutcome::Reply(reply) = apns.push(&good()) else { panic!("closed") };
    assert_eq!((reply.status, reply.body.as_str()), (200, ""));
    assert_eq!(reply.apns_id, "123e4567-e89b-12d3-a456-42665544000a");
    assert_eq!(inbox.try_recv().unwrap(), Wake { push_magic: "magic".to_owned() });
    assert_eq!((apns.counters().pushes, apns.counters().delivered), (1, 1));
}

#[test]
fn token_nobody_listens_to_is_unregistered_since_now() {
    let (apns, _inbox) = world();
    let (status, body) = answer(&apns, &Push { path: "/3/device/ffff".to_owned(), ..good() });
    assert_eq!((status, body), (410, json!({"reason": "Unregistered", "timestamp": 1_803_888_000_000_i64})));
    assert_eq!(apns.counters().refused, 0);
}

#[test]
fn every_mistake_has_its_reason() {
    let (apns, mut inbox) = world();
    let path = |path: &str| Push { path: path.to_owned(), ..good() };
    let body = |body: &str| Push { body: Bytes::copy_from_slice(body.as_bytes()), ..good() };
    let mut twice = good();
    twice.headers.push(("apns-topic".to_owned(), TOPIC.to_owned()));
    let cases = [
        (405, "MethodNotAllowed", Push { method: Method::GET, ..good() }),
        (404, "BadPath", path("/3/devices/0a1b")),
        (400, "MissingDeviceToken", path("/3/device/")),
        (400, "BadDeviceToken", path("/3/device/0A1B")),
        (400, "BadDeviceToken", path("/3/device/0a1")),
        (400, "DuplicateHeaders", twice),
        (403, "BadCertificate", Push { certificate_topic: None, ..good() }),
        (400, "MissingTopic", with("apns-topic", "")),
        (400, "TopicDisallowed", with("apns-topic", "com.apple.mgmt.External.other")),
        (400, "InvalidPushType", with("apns-push-type", "alert")),
        (400, "InvalidPushType", with("apns-push-type", "")),
        (400, "BadPriority", with("apns-priority", "7")),
        (400, "BadExpirationDate", with("apns-expiration", "tomorrow")),
        (400, "BadMessageId", with("apns-id", "123E4567-E89B-12D3-A456-42665544000A")),
        (400, "BadCollapseId", with("apns-collapse-id", &"x".repeat(65))),
        (400, "PayloadEmpty", body("")),
        (400, "PayloadEmpty", body("{\"mdm\":\"magic\",\"aps\":{}}")),
        (413, "PayloadTooLarge", body(&format!("{{\"mdm\":\"{}\"}}", "x".repeat(4096)))),
    ];
    let count = cases.len();
    for (status, reason, push) in cases {
        assert_eq!(answer(&apns, &push), (status, json!({"reason": reason})), "{push:?}");
    }
    assert_eq!(apns.counters().refused, count as u64);
    assert!(inbox.try_recv().is_err());
}

#[test]
fn answers_on_demand_go_by_prefix_and_number() {
    let (apns, mut inbox) = world();
    let rule = |answer, token_prefix: Option<&str>, next| AnswerRule {
        answer,
        token_prefix: token_prefix.map(str::to_owned),
        next,
    };
    apns.add_answer(rule(PushAnswer::Unregistered, Some("ff"), None));
    apns.add_answer(rule(PushAnswer::TooManyRequests, Some("0a"), Some(1)));
    apns.add_answer(rule(PushAnswer::ServiceUnavailable, None, Some(2)));
    apns.add_answer(rule(PushAnswer::LostBeforeDelivery, None, Some(1)));
    let statuses: Vec<u16> = (0..4).map(|_| answer(&apns, &good()).0).collect();
    assert_eq!(statuses, [429, 503, 503, 0]);
    assert!(inbox.try_recv().is_err());
    apns.add_answer(rule(PushAnswer::LostAfterDelivery, None, Some(1)));
    assert_eq!(answer(&apns, &good()).0, 0);
    assert!(inbox.try_recv().is_ok());
    assert_eq!(answer(&apns, &good()).0, 200);
    let counters = apns.counters();
    assert_eq!((counters.pushes, counters.delivered, counters.lost), (6, 2, 2));
    assert_eq!(counters.statuses, BTreeMap::from([(200, 1), (429, 1), (503, 2)]));
}

/// A client with this certificate, or with none.
fn client(
    sandbox: &Sandbox,
    identity: Option<&Identity>,
) -> Client<hyper_rustls::HttpsConnector<hyper_util::client::legacy::connect::HttpConnector>, Full<Bytes>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(sandbox.ca_path()).unwrap()).unwrap();
    let tls = ClientConfig::builder().with_root_certificates(roots);
    let tls = match identity {
        Some(identity) => {
            let certificate = CertificateDer::from_pem_slice(identity.certificate.as_bytes()).unwrap();
            let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).unwrap();
            tls.with_client_auth_cert(vec![certificate], key).unwrap()
        }
        None => tls.with_no_client_auth(),
    };
    let connector = HttpsConnectorBuilder::new().with_tls_config(tls).https_only().enable_http2().build();
    Client::builder(TokioExecutor::new()).http2_only(true).build(connector)
}

fn request(sandbox: &Sandbox) -> Request<Full<Bytes>> {
    Request::post(format!("{}3/device/0a1b", sandbox.apns_url()))
        .header("apns-topic", sandbox.topic())
        .header("apns-push-type", "mdm")
        .body(Full::from("{\"mdm\":\"magic\"}"))
        .unwrap()
}

#[tokio::test]
async fn certificate_decides_who_may_push() {
    let directory = tempfile::tempdir().unwrap();
    let time = Stepped::at("2027-03-01T08:00:00Z");
    let sandbox = Sandbox::start(SandboxOptions::local(time.clock(), directory.path())).await.unwrap();
    let mut inbox = sandbox.inboxes.register(vec![0x0a, 0x1b]);
    let read = |path| std::fs::read_to_string(path).unwrap();
    let own = Identity { certificate: read(sandbox.push_certificate_path()), key: read(sandbox.push_key_path()) };

    let reply = client(&sandbox, Some(&own)).request(request(&sandbox)).await.unwrap();
    assert_eq!(reply.status(), 200);
    assert_eq!(inbox.try_recv().unwrap().push_magic, "magic");

    let other = sandbox.push_certificate("com.apple.mgmt.External.other").unwrap();
    let reply = client(&sandbox, Some(&other)).request(request(&sandbox)).await.unwrap();
    assert_eq!(reply.status(), 400);
    let body = reply.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, "{\"reason\":\"TopicDisallowed\"}");

    assert!(client(&sandbox, None).request(request(&sandbox)).await.is_err());
    time.advance(std::time::Duration::from_secs(366 * 24 * 3600)).await;
    assert!(client(&sandbox, Some(&own)).request(request(&sandbox)).await.is_err(), "expired a day ago");
    assert!(inbox.try_recv().is_err());
}
