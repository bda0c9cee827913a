//! The service over real TLS, with HTTP/1.1 and HTTP/2, and with the supervisor's kills.

use std::sync::{Arc, Mutex};

use http_body_util::{BodyExt, Full};
use hyper::{Request, Version};
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use super::*;
use crate::supervisor::{Kill, KillPlan, When};
use crate::{Sandbox, SandboxOptions};

type HttpClient = Client<hyper_rustls::HttpsConnector<HttpConnector>, Full<Bytes>>;

struct Running {
    sandbox: Sandbox,
    client: HttpClient,
    u_id: String,
    token: String,
    _directory: tempfile::TempDir,
}

async fn running(http2: bool) -> Running {
    let directory = tempfile::tempdir().unwrap();
    let time = Stepped::at("2027-03-01T08:00:00Z");
    let sandbox = Sandbox::start(SandboxOptions::local(time.clock(), directory.path())).await.unwrap();
    let u_id = sandbox.apple.add_location(NewLocation::default());
    let token = sandbox.apple.add_token(&u_id, SignedDuration::from_hours(24)).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(sandbox.ca_path()).unwrap()).unwrap();
    let tls = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let connector = HttpsConnectorBuilder::new().with_tls_config(tls).https_only();
    let connector = if http2 { connector.enable_http2().build() } else { connector.enable_http1().build() };
    let client =
        Client::builder(TokioExecutor::new()).http2_only(http2).retry_canceled_requests(false).build(connector);
    Running { sandbox, client, u_id, token, _directory: directory }
}

impl Running {
    /// Claims the location; `None` when the connection was lost.
    async fn claim(&self, id: &str) -> Option<(Version, Value)> {
        let body = json!({"mdmInfo": {"id": id, "name": "n", "metadata": "m"}}).to_string();
        let request = Request::post(format!("{}client/config", self.sandbox.apple_url()))
            .header("authorization", format!("Bearer {}", self.token))
            .header("content-type", "application/json")
            .body(Full::new(body.into()))
            .unwrap();
        let reply = self.client.request(request).await.ok()?;
        let version = reply.version();
        let body = reply.into_body().collect().await.ok()?.to_bytes();
        Some((version, serde_json::from_slice(&body).unwrap()))
    }

    fn claimed_by(&self) -> Option<String> {
        self.sandbox.apple.location(&self.u_id).unwrap().mdm_info.map(|info| info.id)
    }
}

#[tokio::test]
async fn both_versions_of_http_are_served() {
    for (http2, version) in [(false, Version::HTTP_11), (true, Version::HTTP_2)] {
        let running = running(http2).await;
        for _ in 0..2 {
            let (spoken, reply) = running.claim("a").await.unwrap();
            assert_eq!((spoken, &reply["uId"]), (version, &json!(running.u_id)));
        }
    }
}

#[tokio::test]
async fn kill_before_a_request_leaves_no_effect_and_kill_after_loses_the_reply() {
    for (when, expected) in [(When::Before, "first"), (When::After, "second")] {
        let running = running(false).await;
        let kills: Arc<Mutex<Vec<Kill>>> = Arc::default();
        let seen = kills.clone();
        running.sandbox.supervisor.on_kill(move |kill| {
            seen.lock().unwrap().push(kill);
            async {}
        });
        running.sandbox.supervisor.plan(KillPlan { kill_at_request: 2, when, restart: true });
        assert!(running.claim("first").await.is_some());
        assert!(running.claim("second").await.is_none());
        assert_eq!(running.claimed_by().as_deref(), Some(expected));
        assert!(running.claim("third").await.is_some());
        assert_eq!(*kills.lock().unwrap(), [Kill { request: 2, when, restart: true }]);
        assert_eq!((running.sandbox.supervisor.restarts(), running.sandbox.supervisor.requests()), (1, 3));
    }
}

#[tokio::test]
async fn closed_connection_is_an_error_for_the_client_only() {
    for http2 in [false, true] {
        let running = running(http2).await;
        let fault = FaultRule { endpoint: None, fault: Fault::ClosedAfterEffect, often: Often::Next(1) };
        running.sandbox.apple.add_fault(fault).unwrap();
        assert!(running.claim("first").await.is_none());
        assert_eq!(running.claimed_by().as_deref(), Some("first"));
        assert!(running.claim("second").await.is_some());
    }
}

#[tokio::test]
async fn notifications_arrive_over_tls_by_the_route_they_were_given() {
    use http_body_util::BodyExt;
    use tokio_util::sync::CancellationToken;

    let running = running(false).await;
    let authority = crate::tls::Authority::new("receiver root").unwrap();
    let tls = crate::tls::server_config(&authority.server().unwrap(), &["http/1.1"]).unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let received: Arc<Mutex<Vec<(String, Value)>>> = Arc::default();
    let kept = received.clone();
    let handler = move |request: Request<hyper::body::Incoming>, _| {
        let kept = kept.clone();
        async move {
            let secret = request.headers()["authorization"].to_str().unwrap().to_owned();
            let body = request.into_body().collect().await.unwrap().to_bytes();
            kept.lock().unwrap().push((secret, serde_json::from_slice(&body).unwrap()));
            crate::listener::Answer::Reply(hyper::Response::new(Full::default().boxed_unsync()))
        }
    };
    let stop = CancellationToken::new();
    let clock = Stepped::at("2027-03-01T08:00:00Z").clock();
    tokio::spawn(crate::listener::serve(listener, tls, handler, clock, stop.clone()));

    let body = json!({"notificationUrl": format!("https://localhost:{port}/n"), "notificationAuthToken": "s1",
                      "notificationTypes": ["ASSET_COUNT"]});
    let call = Call {
        method: Method::POST,
        path: format!("{BASE_PATH}client/config"),
        query: String::new(),
        authorization: Some(format!("Bearer {}", running.token)),
        cookie: None,
        content_type: Some("application/json".to_owned()),
        body: body.to_string().into(),
    };
    let status = || async {
        match running.sandbox.apple.call(&call).await {
            Outcome::Reply(reply) => reply.status,
            other => panic!("no reply: {other:?}"),
        }
    };
    assert_eq!(status().await, 400);
    let route = NotificationRoute { anchors: authority.pem(), hosts: HashMap::new() };
    running.sandbox.apple.route_notifications(&route).unwrap();
    assert_eq!(status().await, 200);
    let (secret, told) = received.lock().unwrap().remove(0);
    assert_eq!((secret.as_str(), &told["notificationType"]), ("Bearer s1", &json!("TEST_NOTIFICATION")));
    assert_eq!((&told["uId"], received.lock().unwrap().len()), (&json!(running.u_id), 0));
    stop.cancel();
}
