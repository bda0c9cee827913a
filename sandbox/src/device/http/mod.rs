//! How a device reaches servers: one connection kept for as long as it has something to say, TLS that trusts the
//! certificates of its profile and nothing else, and a time limit on the clock that was given.
//!
//! [`Network`] is a trait so that tests can play the server without sockets. Knows nothing of MDM.

use std::collections::HashMap;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Method, StatusCode};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::rt::TokioExecutor;
use rustls::ClientConfig;
use rustls::client::Resumption;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, UnixTime};
use rustls::time_provider::TimeProvider;

use crate::clock::Clock;
use crate::device::keys::Key;

/// A request as a device makes it.
#[derive(Clone)]
pub struct Request {
    pub method: Method,
    pub url: String,
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
}

/// What came back.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: StatusCode,
    pub content_type: Option<String>,
    pub body: Bytes,
}

/// Why there is no reply.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SendError {
    #[error("{0} is not a URL that can be asked for")]
    Url(String),
    #[error("no connection or no answer from {host}: {reason}")]
    Failed { host: String, reason: String },
    #[error("{host} did not answer within {limit:?}")]
    Late { host: String, limit: Duration },
    #[error("the certificates of the profile cannot be used for TLS: {0}")]
    Tls(String),
}

/// The client certificate a device presents when a server asks for one.
#[derive(Clone)]
pub struct Identity {
    pub key: Arc<Key>,
    /// DER.
    pub certificate: Vec<u8>,
}

/// Makes connections.
pub trait Network: Send + Sync {
    /// Somebody to talk to servers for one device, trusting only `anchors` (DER).
    fn session(&self, anchors: &[Vec<u8>], identity: Option<&Identity>) -> Result<Box<dyn Session>, SendError>;
}

/// A device's connections; closed when dropped.
pub trait Session: Send + Sync {
    /// Sends and waits for the whole reply.
    fn send(&self, request: Request) -> BoxFuture<'_, Result<Reply, SendError>>;
}

/// No server has to send more than this to a device.
const REPLY_LIMIT: usize = 8 << 20;
const TIME_LIMIT: Duration = Duration::from_secs(60);

/// Real connections.
pub struct Internet {
    clock: Clock,
    hosts: Arc<HashMap<String, IpAddr>>,
    extra_anchors: Vec<Vec<u8>>,
    /// One TLS configuration for each set of anchors, as thousands of devices share theirs.
    shared: Mutex<HashMap<Vec<Vec<u8>>, ClientConfig>>,
}

impl Internet {
    /// `hosts` are names that are not asked of the DNS. `extra_anchors` (DER) are trusted by all devices beside their
    /// profile's.
    pub fn new(clock: Clock, hosts: HashMap<String, IpAddr>, extra_anchors: Vec<Vec<u8>>) -> Internet {
        Internet { clock, hosts: Arc::new(hosts), extra_anchors, shared: Mutex::default() }
    }

    fn config(&self, anchors: &[Vec<u8>]) -> Result<ClientConfig, SendError> {
        let all: Vec<Vec<u8>> = anchors.iter().chain(&self.extra_anchors).cloned().collect();
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(config) = shared.get(&all) {
            return Ok(config.clone());
        }
        let mut roots = rustls::RootCertStore::empty();
        for anchor in &all {
            roots.add(CertificateDer::from(anchor.clone())).map_err(|e| SendError::Tls(e.to_string()))?;
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_details(provider, Arc::new(TlsTime(self.clock.clone())))
            .with_safe_default_protocol_versions()
            .map_err(|e| SendError::Tls(e.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        shared.insert(all, config.clone());
        Ok(config)
    }
}

impl Network for Internet {
    fn session(&self, anchors: &[Vec<u8>], identity: Option<&Identity>) -> Result<Box<dyn Session>, SendError> {
        let mut config = self.config(anchors)?;
        if let Some(identity) = identity {
            config.client_auth_cert_resolver = Arc::new(Presented(identity.clone()));
            // A resumed session would carry the identity of whichever device made it.
            config.resumption = Resumption::disabled();
        }
        let resolver = Resolver { hosts: self.hosts.clone(), clock: self.clock.clone() };
        let mut tcp = HttpConnector::new_with_resolver(resolver);
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        let connector =
            HttpsConnectorBuilder::new().with_tls_config(config).https_or_http().enable_http1().wrap_connector(tcp);
        let client = Client::builder(TokioExecutor::new()).build(connector);
        Ok(Box::new(Connection { client, clock: self.clock.clone() }))
    }
}

/// Presents the device's identity to whoever asks, as devices do. The key is made ready only then.
struct Presented(Identity);

impl std::fmt::Debug for Presented {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Presented")
    }
}

impl rustls::client::ResolvesClientCert for Presented {
    fn resolve(&self, _: &[&[u8]], _: &[rustls::SignatureScheme]) -> Option<Arc<rustls::sign::CertifiedKey>> {
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.0.key.pkcs8()));
        let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&key).ok()?;
        let chain = vec![CertificateDer::from(self.0.certificate.clone())];
        Some(Arc::new(rustls::sign::CertifiedKey::new(chain, key)))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// Certificates are judged at the given clock's time.
struct TlsTime(Clock);

impl std::fmt::Debug for TlsTime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TlsTime")
    }
}

impl TimeProvider for TlsTime {
    fn current_time(&self) -> Option<UnixTime> {
        let seconds = u64::try_from(self.0.now().as_second()).ok()?;
        Some(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
    }
}

struct Connection {
    client: Client<HttpsConnector<HttpConnector<Resolver>>, Full<Bytes>>,
    clock: Clock,
}

impl Session for Connection {
    fn send(&self, request: Request) -> BoxFuture<'_, Result<Reply, SendError>> {
        Box::pin(async move {
            let host = host_of(&request.url);
            tokio::select! {
                biased;
                reply = self.exchange(request) => reply,
                () = self.clock.sleep(TIME_LIMIT) => Err(SendError::Late { host, limit: TIME_LIMIT }),
            }
        })
    }
}

impl Connection {
    async fn exchange(&self, request: Request) -> Result<Reply, SendError> {
        let host = host_of(&request.url);
        let failed = |reason: String| SendError::Failed { host: host.clone(), reason };
        let mut builder = hyper::Request::builder().method(request.method).uri(&request.url);
        for (name, value) in &request.headers {
            builder = builder.header(*name, value);
        }
        let outgoing = builder.body(Full::new(Bytes::from(request.body))).map_err(|_| SendError::Url(host.clone()))?;
        let reply = self.client.request(outgoing).await.map_err(|error| failed(chain(&error)))?;
        let content_type = reply.headers().get("content-type").and_then(|value| value.to_str().ok()).map(str::to_owned);
        let status = reply.status();
        let body = Limited::new(reply.into_body(), REPLY_LIMIT).collect().await;
        let body = body.map_err(|error| failed(chain(error.as_ref())))?.to_bytes();
        Ok(Reply { status, content_type, body })
    }
}

/// The host alone: paths and queries may carry secrets.
fn host_of(url: &str) -> String {
    let parsed = url.parse::<hyper::Uri>().ok();
    parsed.and_then(|uri| uri.authority().map(ToString::to_string)).unwrap_or_else(|| "an unreadable URL".to_owned())
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(next) = source {
        text = format!("{text}: {next}");
        source = next.source();
    }
    text
}

/// Names to addresses, without a thread where possible: simulated time does not wait for threads it is not told of.
#[derive(Clone)]
struct Resolver {
    hosts: Arc<HashMap<String, IpAddr>>,
    clock: Clock,
}

impl tower::Service<Name> for Resolver {
    type Response = std::vec::IntoIter<SocketAddr>;
    type Error = std::io::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let known = match name.as_str() {
            "localhost" => Some(IpAddr::from([127, 0, 0, 1])),
            other => self.hosts.get(other).copied(),
        };
        let clock = self.clock.clone();
        Box::pin(async move {
            if let Some(address) = known {
                return Ok(vec![SocketAddr::new(address, 0)].into_iter());
            }
            let _busy = clock.busy();
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            Ok(found.into_iter())
        })
    }
}

#[cfg(test)]
mod tests;
