//! Waking devices through Apple's push service (APNs): one HTTP/2 connection with a client certificate, one small
//! request for each push, and a plain answer for the caller.
//!
//! Knows neither queue nor store: when to push is decided by [`schedule`], by the caller's data. Device tokens and
//! push magics appear in no error and no log.

mod certificate;
pub mod request;
pub mod schedule;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::RETRY_AFTER;
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use jiff::Timestamp;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use serde::Deserialize;

pub use self::certificate::{CertificateError, expiry_of_certificate, topic_of_certificate};
use crate::clock::Clock;
use crate::proxy::{Proxy, WayOut};

/// Where production push certificates belong.
pub const PRODUCTION: &str = "https://api.push.apple.com";

/// APNs' answers are a line of JSON.
const MAX_ANSWER: usize = 4096;
const TIME_LIMIT: Duration = Duration::from_secs(30);
/// Apple asks for a ping after an idle hour, and not to open a connection for each push.
const PING_EVERY: Duration = Duration::from_secs(3600);
const RETRY_AFTER_TROUBLE: Duration = Duration::from_secs(60);
const LONGEST_RETRY: Duration = Duration::from_secs(3600);

/// Why no push client can be made of what was given.
#[derive(Debug, thiserror::Error)]
pub enum PushSetupError {
    /// The chain is not PEM, or empty.
    #[error("the push certificate cannot be read as PEM: {0}")]
    Chain(rustls::pki_types::pem::Error),
    /// The key is not PEM, or of an unknown kind.
    #[error("the key of the push certificate cannot be read as PEM")]
    Key,
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// The TLS library refuses certificate and key, as when they do not belong together.
    #[error("push certificate and key cannot be used together: {0}")]
    Tls(#[from] rustls::Error),
    /// Not an address of the form `https://host` or `https://host:port`.
    #[error("{0} is not an https address of a push service")]
    Address(String),
}

/// What became of one push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PushAnswer {
    /// APNs took it. That is not delivery.
    Accepted,
    /// This token wakes nobody any more; with `since`, only if no TokenUpdate is newer.
    TokenDead { reason: String, since: Option<Timestamp> },
    /// No push will work until the push certificate is put right.
    CertificateProblem { reason: String },
    /// Too many pushes to this same token.
    TooManyRequests,
    /// APNs or the way to it is in trouble; try again after the wait.
    RetryLater { reason: String, after: Duration },
    /// APNs found the request itself wrong.
    OurBug { reason: String },
}

type HttpClient = Client<HttpsConnector<WayOut<HttpConnector>>, Full<Bytes>>;

/// The connection to APNs. Cheap to share behind an `Arc`; pushes of many tasks go over one connection.
pub struct PushClient {
    base: String,
    tls: ClientConfig,
    proxy: Option<Proxy>,
    http: ArcSwap<HttpClient>,
    clock: Clock,
    topic: String,
    expires: Timestamp,
}

impl PushClient {
    /// `chain_pem` holds the push certificate first, then its issuers; `base_url` is [`PRODUCTION`] outside of tests.
    /// Connects with the first push only.
    pub fn new(
        base_url: &str,
        chain_pem: &[u8],
        key_pem: &[u8],
        roots: Arc<RootCertStore>,
        proxy: Option<Proxy>,
        clock: Clock,
    ) -> Result<PushClient, PushSetupError> {
        let chain: Vec<_> =
            CertificateDer::pem_slice_iter(chain_pem).collect::<Result<_, _>>().map_err(PushSetupError::Chain)?;
        let leaf = chain.first().ok_or(PushSetupError::Chain(rustls::pki_types::pem::Error::NoItemsFound))?;
        let (topic, expires) = (topic_of_certificate(leaf)?, expiry_of_certificate(leaf)?);
        let key = PrivateKeyDer::from_pem_slice(key_pem).map_err(|_| PushSetupError::Key)?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, key)?;
        let base = checked_base(base_url)?;
        let http = ArcSwap::from_pointee(http_client(&tls, proxy.clone()));
        Ok(PushClient { base, tls, proxy, http, clock, topic, expires })
    }

    /// The topic of the push certificate; enrolments with another topic cannot be woken with it.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// When the push certificate ends.
    pub fn expires(&self) -> Timestamp {
        self.expires
    }

    /// Wakes one channel. `topic` is that of the enrolment; APNs keeps the push for an absent device until `expiration`.
    pub async fn push(&self, token: &[u8], magic: &str, topic: &str, expiration: Timestamp) -> PushAnswer {
        if self.clock.now() >= self.expires {
            return PushAnswer::CertificateProblem {
                reason: format!("the push certificate ended on {}", self.expires),
            };
        }
        let Some(request) = self.request(token, magic, topic, expiration) else {
            return PushAnswer::OurBug { reason: "token or topic cannot be put into a request".into() };
        };
        match self.clock.timeout(TIME_LIMIT, self.exchange(request)).await {
            Ok(Ok((status, retry_after, body))) => answer(status, retry_after, &body),
            Ok(Err(error)) => lost(&*error),
            Err(elapsed) => {
                // A connection that swallows requests must not get the next one too.
                self.http.store(Arc::new(http_client(&self.tls, self.proxy.clone())));
                retry(format!("the push service did not answer: {elapsed}"))
            }
        }
    }

    fn request(&self, token: &[u8], magic: &str, topic: &str, expiration: Timestamp) -> Option<Request<Full<Bytes>>> {
        let token: String = token.iter().map(|byte| format!("{byte:02x}")).collect();
        let body = serde_json::json!({ "mdm": magic }).to_string();
        Request::builder()
            .method(Method::POST)
            .uri(format!("{}/3/device/{token}", self.base))
            .header("apns-push-type", "mdm")
            .header("apns-topic", topic)
            .header("apns-priority", "10")
            .header("apns-expiration", expiration.as_second().to_string())
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(body)))
            .ok()
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<Answer, BoxError> {
        let client = Arc::clone(&self.http.load());
        let response = client.request(request).await?;
        let (status, retry_after) = (response.status(), retry_after(&response));
        let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await?.to_bytes();
        Ok((status, retry_after, body))
    }
}

type Answer = (StatusCode, Option<Duration>, Bytes);
type BoxError = Box<dyn std::error::Error + Send + Sync>;

fn checked_base(base_url: &str) -> Result<String, PushSetupError> {
    let base = base_url.trim_end_matches('/');
    let uri: Option<Uri> = base.parse().ok();
    let sound = uri
        .is_some_and(|uri| uri.scheme_str() == Some("https") && uri.host().is_some() && matches!(uri.path(), "" | "/"));
    if sound { Ok(base.to_owned()) } else { Err(PushSetupError::Address(base_url.to_owned())) }
}

fn http_client(tls: &ClientConfig, proxy: Option<Proxy>) -> HttpClient {
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    // Small messages back and forth: without this each waits for the other side's delayed acknowledgement.
    tcp.set_nodelay(true);
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(tls.clone())
        .https_only()
        .enable_http2()
        .wrap_connector(WayOut::new(tcp, proxy));
    Client::builder(TokioExecutor::new())
        .http2_only(true)
        .timer(TokioTimer::new())
        .pool_idle_timeout(None)
        .http2_keep_alive_interval(PING_EVERY)
        .http2_keep_alive_while_idle(true)
        .build(connector)
}

fn retry_after<B>(response: &Response<B>) -> Option<Duration> {
    let seconds = response.headers().get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds).min(LONGEST_RETRY))
}

/// Apple: Handling notification responses from APNs.
#[derive(Default, Deserialize)]
struct Refusal {
    #[serde(default)]
    reason: String,
    /// Milliseconds; with 410.
    timestamp: Option<i64>,
}

fn answer(status: StatusCode, retry_after: Option<Duration>, body: &[u8]) -> PushAnswer {
    if status == StatusCode::OK {
        return PushAnswer::Accepted;
    }
    let refusal: Refusal = serde_json::from_slice(body).unwrap_or_default();
    let word: String = refusal.reason.chars().filter(char::is_ascii_alphanumeric).take(64).collect();
    let reason = format!("APNs answered {} {word}", status.as_u16()).trim_end().to_owned();
    match (status.as_u16(), word.as_str()) {
        (400, "BadDeviceToken" | "DeviceTokenNotForTopic") => PushAnswer::TokenDead { reason, since: None },
        (400, "BadTopic" | "TopicDisallowed") | (403, _) => PushAnswer::CertificateProblem { reason },
        (410, _) => {
            let since = refusal.timestamp.and_then(|milliseconds| Timestamp::from_millisecond(milliseconds).ok());
            PushAnswer::TokenDead { reason, since }
        }
        (429, _) => PushAnswer::TooManyRequests,
        (400, "IdleTimeout") | (500..=599, _) => {
            PushAnswer::RetryLater { reason, after: retry_after.unwrap_or(RETRY_AFTER_TROUBLE) }
        }
        _ => PushAnswer::OurBug { reason },
    }
}

fn retry(reason: String) -> PushAnswer {
    PushAnswer::RetryLater { reason, after: RETRY_AFTER_TROUBLE }
}

/// What the TLS alerts about our certificate are called by rustls.
const CERTIFICATE_ALERTS: [&str; 9] = [
    "BadCertificate",
    "UnsupportedCertificate",
    "CertificateRevoked",
    "CertificateExpired",
    "CertificateUnknown",
    "CertificateRequired",
    "UnknownCA",
    "AccessDenied",
    "DecryptError",
];

/// No answer: connection refused, lost, or TLS in trouble.
fn lost(error: &(dyn std::error::Error + 'static)) -> PushAnswer {
    let mut texts = Vec::new();
    let mut link = Some(error);
    while let Some(error) = link {
        texts.push(error.to_string());
        link = error.source();
    }
    let text = texts.join(": ");
    // With TLS 1.3 our certificate is refused only after the handshake, and HTTP/2 keeps of that error no more than
    // its text.
    let alert = text.split("received fatal alert: ").nth(1).unwrap_or_default();
    if CERTIFICATE_ALERTS.iter().any(|name| alert.starts_with(name)) {
        let name: String = alert.chars().take_while(char::is_ascii_alphanumeric).collect();
        return PushAnswer::CertificateProblem { reason: format!("APNs refused the push certificate: {name}") };
    }
    // rustls adds the address of a page of its manual.
    let text = text.split(": https://").next().unwrap_or_default();
    retry(format!("the push service could not be reached: {text}"))
}

#[cfg(test)]
mod tests;
