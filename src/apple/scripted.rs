//! A stand-in for Apple for the tests of this folder: a server on a loopback address that answers as a closure says.
//!
//! Knows no rules of Apple's: the tests write each reply out.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use jiff::Timestamp;

use super::client::{AppleClient, ClientOptions, Location, Timeouts};
use super::content_token::ContentToken;
use crate::clock::{Clock, simulated};
use crate::entropy::Entropy;

/// A request as it arrived.
#[derive(Debug, Clone)]
pub struct Received {
    pub at: Timestamp,
    pub method: String,
    pub path: String,
    pub query: String,
    pub authorization: String,
    pub cookie: String,
    pub content_type: String,
    pub body: String,
}

impl Received {
    /// A query parameter as a number; 0 when absent.
    pub fn number(&self, key: &str) -> u32 {
        let mut pairs = form_urlencoded::parse(self.query.as_bytes());
        pairs.find(|(name, _)| name == key).and_then(|(_, value)| value.parse().ok()).unwrap_or(0)
    }
}

/// What the server does with a request.
pub enum Step {
    Reply {
        status: u16,
        headers: Vec<(&'static str, String)>,
        body: String,
        after: Duration,
    },
    /// Closes the connection without a word, as if the work had been done and the answer lost.
    Drop,
}

pub fn reply(status: u16, body: impl Into<String>) -> Step {
    Step::Reply { status, headers: vec![], body: body.into(), after: Duration::ZERO }
}

pub fn retry_after(status: u16, value: &str) -> Step {
    let headers = vec![("retry-after", value.to_owned())];
    Step::Reply { status, headers, body: String::new(), after: Duration::ZERO }
}

pub struct Server {
    pub base_url: String,
    received: Arc<Mutex<Vec<Received>>>,
    most_at_once: Arc<AtomicUsize>,
}

impl Server {
    /// Requests so far, those for `service/config` left out.
    pub fn received(&self) -> Vec<Received> {
        let all = self.received.lock().unwrap().clone();
        all.into_iter().filter(|request| request.path != "/mdm/v2/service/config").collect()
    }

    pub fn most_at_once(&self) -> usize {
        self.most_at_once.load(Ordering::SeqCst)
    }

    /// `answer` is asked first; what it leaves gets `{}` for `service/config` and 404 else.
    pub async fn start(clock: Clock, answer: impl Fn(&Received) -> Option<Step> + Send + Sync + 'static) -> Server {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base_url = format!("http://{}/mdm/v2/", listener.local_addr().unwrap());
        let received: Arc<Mutex<Vec<Received>>> = Arc::default();
        let most_at_once: Arc<AtomicUsize> = Arc::default();
        let (answer, now_at_once) = (Arc::new(answer), Arc::new(AtomicUsize::new(0)));
        let server = Server { base_url, received: received.clone(), most_at_once: most_at_once.clone() };
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (clock, answer, received) = (clock.clone(), answer.clone(), received.clone());
                let (at_once, most) = (now_at_once.clone(), most_at_once.clone());
                let service = service_fn(move |request| {
                    let (clock, answer, received) = (clock.clone(), answer.clone(), received.clone());
                    let (at_once, most) = (at_once.clone(), most.clone());
                    async move {
                        most.fetch_max(at_once.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        let request = read(request, clock.now()).await;
                        let step = answer(&request).unwrap_or_else(|| default(&request.path));
                        received.lock().unwrap().push(request);
                        let response = respond(step, &clock).await;
                        at_once.fetch_sub(1, Ordering::SeqCst);
                        response
                    }
                });
                let connection =
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                tokio::spawn(connection);
            }
        });
        server
    }
}

fn default(path: &str) -> Step {
    if path == "/mdm/v2/service/config" { reply(200, "{}") } else { reply(404, "") }
}

async fn read(request: Request<Incoming>, at: Timestamp) -> Received {
    let (head, body) = request.into_parts();
    let header = |name| head.headers.get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default();
    Received {
        at,
        method: head.method.to_string(),
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        authorization: header("authorization"),
        cookie: header("cookie"),
        content_type: header("content-type"),
        body: String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap(),
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the connection is dropped on purpose")]
struct Dropped;

async fn respond(step: Step, clock: &Clock) -> Result<Response<Full<Bytes>>, Dropped> {
    let Step::Reply { status, headers, body, after } = step else { return Err(Dropped) };
    clock.sleep(after).await;
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(name, value);
    }
    Ok(response.body(Full::new(body.into())).unwrap())
}

/// Answers in order; requests for `service/config` take none.
pub fn in_order(steps: Vec<Step>) -> impl Fn(&Received) -> Option<Step> + Send + Sync + 'static {
    let steps = Mutex::new(VecDeque::from(steps));
    move |request| match request.path.as_str() {
        "/mdm/v2/service/config" => None,
        _ => steps.lock().unwrap().pop_front(),
    }
}

pub fn start() -> Timestamp {
    "2026-11-02T06:00:00Z".parse().unwrap()
}

pub const TOKEN_JSON: &str = r#"{"token":"c2FtcGxl","expDate":"2027-06-30T09:15:00+0000","orgName":"Northwind"}"#;

pub fn client(clock: &Clock, base_url: &str) -> Result<AppleClient, super::client::SetupError> {
    AppleClient::new(ClientOptions {
        base_url: base_url.to_owned(),
        roots: Arc::new(rustls::RootCertStore::empty()),
        proxy: None,
        clock: clock.clone(),
        entropy: Entropy::seeded(7),
        user_agent: "vppd/test".into(),
        timeouts: Timeouts::default(),
        requests_per_second: 10,
    })
}

/// Runs `test` with a client and a location against a server that answers as `answer` says, in simulated time.
pub fn against<T>(
    answer: impl Fn(&Received) -> Option<Step> + Send + Sync + 'static,
    test: impl AsyncFnOnce(AppleClient, Location, Server, Clock) -> T,
) -> T {
    let run = async |clock: Clock| {
        let server = Server::start(clock.clone(), answer).await;
        let client = client(&clock, &server.base_url).unwrap();
        let file = base64::engine::general_purpose::STANDARD.encode(TOKEN_JSON);
        let location = Location::new("73001", Arc::new(ContentToken::from_file(file.as_bytes()).unwrap()));
        test(client, location, server, clock).await
    };
    simulated(start(), run).unwrap()
}
