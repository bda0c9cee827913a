//! Against a push service in this process which demands a client certificate, as APNs does.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rcgen::{BasicConstraints, CertificateParams, DnType, DnValue, IsCa, Issuer, KeyPair};
use rustls::server::WebPkiClientVerifier;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio_rustls::TlsAcceptor;

use super::*;

const TOPIC: &str = "com.apple.mgmt.External.11112222-3333-4444-5555-666677778888";
const UID: [u64; 7] = [0, 9, 2342, 19200300, 100, 1, 1];

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    der: CertificateDer<'static>,
}

impl Authority {
    fn new(name: &str) -> Authority {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let der = params.self_signed(&key).unwrap().der().clone();
        Authority { issuer: Issuer::new(params, key), der }
    }

    fn roots(&self) -> Arc<RootCertStore> {
        let mut roots = RootCertStore::empty();
        roots.add(self.der.clone()).unwrap();
        Arc::new(roots)
    }

    fn server(&self) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        let der = params.signed_by(&key, &self.issuer).unwrap().der().clone();
        (der, PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap())
    }

    /// A push certificate and its key, in PEM.
    fn push_certificate(&self, uid: Option<&str>, last_year: i32) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.not_after = rcgen::date_time_ymd(last_year, 6, 1);
        if let Some(uid) = uid {
            let uid = DnValue::Utf8String(uid.to_owned());
            params.distinguished_name.push(DnType::CustomDnType(UID.to_vec()), uid);
        }
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }
}

/// Path, headers and body of a request.
type SeenRequest = (String, Vec<(String, String)>, String);

/// What the service saw, in order, and how often it was connected to.
#[derive(Default)]
struct Seen {
    requests: Mutex<Vec<SeenRequest>>,
    connections: AtomicUsize,
}

/// The first byte of the token tells the service what to answer.
fn scripted(path: &str) -> (u16, String) {
    let refusal = |reason: &str| format!("{{\"reason\":\"{reason}\"}}");
    match path.trim_start_matches("/3/device/").get(..2) {
        Some("00") => (200, String::new()),
        Some("01") => (410, "{\"reason\":\"Unregistered\",\"timestamp\":1790000000123}".into()),
        Some("02") => (429, refusal("TooManyRequests")),
        Some("03") => (503, refusal("ServiceUnavailable")),
        Some("04") => (403, refusal("BadCertificate")),
        Some("05") => (400, refusal("BadDeviceToken")),
        Some("06") => (400, refusal("PayloadEmpty")),
        Some("07") => (500, "x".repeat(100_000)),
        Some("08") => (418, "not json".into()),
        _ => (404, refusal("BadPath")),
    }
}

async fn serve(listener: TcpListener, acceptor: TlsAcceptor, seen: Arc<Seen>) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        let Ok(stream) = acceptor.accept(stream).await else { continue };
        seen.connections.fetch_add(1, Ordering::SeqCst);
        tokio::spawn(connection(stream, seen.clone()));
    }
}

async fn connection(stream: tokio_rustls::server::TlsStream<tokio::net::TcpStream>, seen: Arc<Seen>) {
    let dropped = Arc::new(Notify::new());
    let notify = dropped.clone();
    let service = service_fn(move |request: Request<Incoming>| {
        let (seen, notify) = (seen.clone(), notify.clone());
        async move {
            let path = request.uri().path().to_owned();
            let headers = request.headers().iter();
            let headers = headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect();
            let body = request.into_body().collect().await.unwrap().to_bytes();
            seen.requests.lock().unwrap().push((path.clone(), headers, String::from_utf8(body.to_vec()).unwrap()));
            if path.starts_with("/3/device/ff") {
                notify.notify_one();
                std::future::pending::<()>().await;
            }
            if path.starts_with("/3/device/fe") {
                std::future::pending::<()>().await;
            }
            let (status, text) = scripted(&path);
            let response = Response::builder().status(status);
            let response = if status == 503 { response.header("retry-after", "120") } else { response };
            Ok::<_, Infallible>(response.body(Full::new(Bytes::from(text))).unwrap())
        }
    });
    let http = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
    tokio::select! {
        _ = http.serve_connection(TokioIo::new(stream), service) => {}
        () = dropped.notified() => {}
    }
}

async fn service(authority: &Authority) -> (SocketAddr, Arc<Seen>) {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let verifier = WebPkiClientVerifier::builder(authority.roots()).build().unwrap();
    let (certificate, key) = authority.server();
    let mut tls = rustls::ServerConfig::builder()
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![certificate], key)
        .unwrap();
    tls.alpn_protocols = vec![b"h2".to_vec()];
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let seen = Arc::new(Seen::default());
    tokio::spawn(serve(listener, TlsAcceptor::from(Arc::new(tls)), seen.clone()));
    (address, seen)
}

fn client(address: SocketAddr, service: &Authority, issuer: &Authority, clock: Clock) -> PushClient {
    let (chain, key) = issuer.push_certificate(Some(TOPIC), 2090);
    let base = format!("https://{address}");
    PushClient::new(&base, chain.as_bytes(), key.as_bytes(), service.roots(), None, clock).unwrap()
}

fn expiration() -> Timestamp {
    Timestamp::from_second(1_799_990_000).unwrap()
}

async fn push(client: &PushClient, first_byte: u8) -> PushAnswer {
    client.push(&[first_byte, 0xab, 0x0c], "MAGIC", TOPIC, expiration()).await
}

fn start() -> Timestamp {
    "2026-11-02T06:00:00Z".parse().unwrap()
}

#[tokio::test]
async fn a_push_is_as_apple_describes_it_and_the_connection_is_kept() {
    let authority = Authority::new("Push service");
    let (address, seen) = service(&authority).await;
    let client = client(address, &authority, &authority, Clock::real());
    assert_eq!(client.topic(), TOPIC);
    for _ in 0..3 {
        assert_eq!(push(&client, 0).await, PushAnswer::Accepted);
    }
    assert_eq!(seen.connections.load(Ordering::SeqCst), 1);
    let (path, headers, body) = seen.requests.lock().unwrap()[0].clone();
    assert_eq!((path.as_str(), body.as_str()), ("/3/device/00ab0c", "{\"mdm\":\"MAGIC\"}"));
    for (name, value) in
        [("apns-push-type", "mdm"), ("apns-topic", TOPIC), ("apns-priority", "10"), ("apns-expiration", "1799990000")]
    {
        assert!(headers.contains(&(name.to_owned(), value.to_owned())), "{name} in {headers:?}");
    }
}

#[tokio::test]
async fn each_refusal_of_apns_becomes_its_answer() {
    let authority = Authority::new("Push service");
    let (address, _) = service(&authority).await;
    let client = client(address, &authority, &authority, Clock::real());
    let since = Timestamp::from_millisecond(1_790_000_000_123).unwrap();
    let unregistered = PushAnswer::TokenDead { reason: "APNs answered 410 Unregistered".into(), since: Some(since) };
    assert_eq!(push(&client, 1).await, unregistered);
    assert_eq!(push(&client, 2).await, PushAnswer::TooManyRequests);
    let unavailable = PushAnswer::RetryLater {
        reason: "APNs answered 503 ServiceUnavailable".into(),
        after: Duration::from_secs(120),
    };
    assert_eq!(push(&client, 3).await, unavailable);
    assert!(matches!(push(&client, 4).await, PushAnswer::CertificateProblem { .. }));
    assert!(matches!(push(&client, 5).await, PushAnswer::TokenDead { since: None, .. }));
    assert_eq!(push(&client, 6).await, PushAnswer::OurBug { reason: "APNs answered 400 PayloadEmpty".into() });
    assert!(matches!(push(&client, 7).await, PushAnswer::RetryLater { .. }), "an endless answer is cut");
    assert_eq!(push(&client, 8).await, PushAnswer::OurBug { reason: "APNs answered 418".into() });
    assert!(matches!(push(&client, 9).await, PushAnswer::OurBug { .. }));
}

#[tokio::test]
async fn a_lost_connection_is_retried_later_on_a_new_one() {
    let authority = Authority::new("Push service");
    let (address, seen) = service(&authority).await;
    let client = client(address, &authority, &authority, Clock::real());
    let answer = push(&client, 0xff).await;
    let PushAnswer::RetryLater { reason, .. } = answer else { panic!("{answer:?}") };
    assert!(!reason.contains("MAGIC") && !reason.contains("ffab0c"), "{reason}");
    assert_eq!(push(&client, 0).await, PushAnswer::Accepted);
    assert_eq!(seen.connections.load(Ordering::SeqCst), 2);
}

#[test]
fn a_service_that_never_answers_costs_half_a_minute_and_its_connection() {
    let answers = crate::clock::simulated(start(), |clock| async move {
        let authority = Authority::new("Push service");
        let (address, seen) = service(&authority).await;
        let client = client(address, &authority, &authority, clock.clone());
        // Time must run only for the push that nobody answers, however slow the machine is.
        let busy = clock.busy();
        let first = push(&client, 0).await;
        drop(busy);
        let stuck = push(&client, 0xfe).await;
        let _busy = clock.busy();
        let waited = clock.now().as_second() - start().as_second();
        (first, stuck, waited, push(&client, 0).await, seen.connections.load(Ordering::SeqCst))
    });
    let (first, stuck, waited, next, connections) = answers.unwrap();
    assert_eq!((first, next), (PushAnswer::Accepted, PushAnswer::Accepted));
    assert!(matches!(stuck, PushAnswer::RetryLater { .. }), "{stuck:?}");
    assert_eq!((waited, connections), (30, 2));
}

#[tokio::test]
async fn a_push_certificate_of_another_authority_is_a_certificate_problem() {
    let (authority, stranger) = (Authority::new("Push service"), Authority::new("Stranger"));
    let (address, _) = service(&authority).await;
    let client = client(address, &authority, &stranger, Clock::real());
    let answer = push(&client, 0).await;
    assert!(matches!(answer, PushAnswer::CertificateProblem { .. }), "{answer:?}");
}

#[tokio::test]
async fn an_expired_push_certificate_is_told_without_asking_apns() {
    let authority = Authority::new("Push service");
    let (chain, key) = authority.push_certificate(Some(TOPIC), 2020);
    let client = PushClient::new(PRODUCTION, chain.as_bytes(), key.as_bytes(), authority.roots(), None, Clock::real());
    let client = client.unwrap();
    assert_eq!(client.expires(), "2020-06-01T00:00:00Z".parse().unwrap());
    let expected =
        PushAnswer::CertificateProblem { reason: "the push certificate ended on 2020-06-01T00:00:00Z".into() };
    assert_eq!(push(&client, 0).await, expected);
}

#[tokio::test]
async fn a_service_that_nobody_vouches_for_or_that_is_away_is_tried_later() {
    let (authority, stranger) = (Authority::new("Push service"), Authority::new("Stranger"));
    let (address, seen) = service(&authority).await;
    let distrustful = client(address, &stranger, &authority, Clock::real());
    assert!(matches!(push(&distrustful, 0).await, PushAnswer::RetryLater { .. }));
    assert!(seen.requests.lock().unwrap().is_empty());
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let away = client(closed, &authority, &authority, Clock::real());
    assert!(matches!(push(&away, 0).await, PushAnswer::RetryLater { .. }));
}

#[test]
fn what_is_no_push_certificate_is_refused_with_the_reason() {
    let authority = Authority::new("Push service");
    let (chain, key) = authority.push_certificate(None, 2090);
    let (good, _) = authority.push_certificate(Some(TOPIC), 2090);
    let make = |base: &str, chain: &str, key: &str| {
        PushClient::new(base, chain.as_bytes(), key.as_bytes(), authority.roots(), None, Clock::real()).err().unwrap()
    };
    let no_topic = make(PRODUCTION, &chain, &key);
    assert!(matches!(no_topic, PushSetupError::Certificate(CertificateError::NoTopic)), "{no_topic:?}");
    assert!(matches!(make(PRODUCTION, &good, &key), PushSetupError::Tls(_)), "the key belongs to another certificate");
    assert!(matches!(make(PRODUCTION, "", &key), PushSetupError::Chain(_)));
    assert!(matches!(make(PRODUCTION, &good, "no key"), PushSetupError::Key));
    assert_eq!(topic_of_certificate(b"rubbish"), Err(CertificateError::NotACertificate));
    let (good, key) = authority.push_certificate(Some(TOPIC), 2090);
    for base in ["http://api.push.apple.com", "https://api.push.apple.com/3", "nonsense"] {
        assert!(matches!(make(base, &good, &key), PushSetupError::Address(_)), "{base}");
    }
}
