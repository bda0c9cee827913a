//! One HTTP exchange with Apple: limits of time and size, no redirects, and whether a failed request can have arrived.
//!
//! Knows nothing of Apple's JSON, and repeats nothing.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, COOKIE, HeaderMap, HeaderValue, RETRY_AFTER, USER_AGENT};
use hyper::{Method, Request, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::{GaiAddrs, GaiResolver, Name};
use hyper_util::client::legacy::{self, Client};
use hyper_util::rt::TokioExecutor;
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use tower::Service;

use super::error::RetryCause;
use super::room::{Room, Rooms};
use crate::clock::Clock;
use crate::proxy::{Proxy, WayOut, innermost};

/// Largest reply that is read. A page of a thousand records has about 100 kB.
const MAX_REPLY: usize = 32 * 1024 * 1024;
/// Connections that idle for longer are not used again: Apple may be about to close them.
const IDLE: Duration = Duration::from_secs(20);
/// Bytes that a connection reads at once: as many as TLS has in a record, so that hundreds of connections cost little.
const READ_AT_ONCE: usize = 16 * 1024;
/// No wait asked for by Apple is believed to be longer.
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 60 * 60);

type BoxError = Box<dyn std::error::Error + Send + Sync>;

type Connector = Timed<HttpsConnector<WayOut<HttpConnector<Resolver>>>>;

pub(super) struct Transport {
    client: Client<Connector, Full<Bytes>>,
    rooms: Rooms,
    clock: Clock,
    total: Duration,
    user_agent: HeaderValue,
}

pub(super) struct Outgoing<'a> {
    pub method: Method,
    pub url: Uri,
    pub token: Option<&'a SecretString>,
    /// Name and value.
    pub cookie: Option<(&'static str, &'a SecretString)>,
    /// JSON.
    pub body: Option<Bytes>,
    /// Which kinds of replies are wanted.
    pub accept: &'static str,
}

/// The usual [`Outgoing::accept`].
pub(super) const JSON: &str = "application/json";

pub(super) struct Incoming {
    pub status: u16,
    /// The wait that Apple asks for, counted from now.
    pub retry_after: Option<Duration>,
    pub body: Bytes,
    pub room: Room,
}

/// Why there is no whole reply.
#[derive(Debug)]
pub(super) enum Failure {
    /// The request certainly did not arrive.
    NotSent(RetryCause),
    /// It may have arrived.
    Lost(RetryCause),
    /// The reply is larger than anything Apple sends.
    TooLarge,
}

impl Transport {
    pub fn new(
        roots: Arc<rustls::RootCertStore>,
        proxy: Option<Proxy>,
        clock: Clock,
        user_agent: HeaderValue,
        connect: Duration,
        total: Duration,
    ) -> Result<Transport, rustls::Error> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut http = HttpConnector::new_with_resolver(Resolver { clock: clock.clone(), system: GaiResolver::new() });
        http.enforce_http(false);
        http.set_nodelay(true);
        // HTTP/1.1 only: a request that hangs on a dead connection then takes no other with it.
        let https = HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .wrap_connector(WayOut::new(http, proxy));
        let timed = Timed { inner: https, clock: clock.clone(), limit: connect };
        let client = Client::builder(TokioExecutor::new())
            .pool_idle_timeout(IDLE)
            .http1_read_buf_exact_size(READ_AT_ONCE)
            .build(timed);
        Ok(Transport { client, rooms: Rooms::new(), clock, total, user_agent })
    }

    pub async fn exchange(&self, outgoing: Outgoing<'_>) -> Result<Incoming, Failure> {
        let request = self.request(outgoing)?;
        let response =
            self.in_time(async { self.client.request(request).await.map_err(|error| failed(&error)) }).await?;
        let (head, body) = response.into_parts();
        // Others may take long over theirs: that is no fault of this exchange.
        let room = self.rooms.take().await;
        let body = self.in_time(async {
            Limited::new(body, MAX_REPLY).collect().await.map_err(|error| match error.is::<LengthLimitError>() {
                true => Failure::TooLarge,
                false => Failure::Lost(RetryCause::ConnectionLost),
            })
        });
        let body = body.await?.to_bytes();
        let retry_after = retry_after(&head.headers, self.clock.now());
        Ok(Incoming { status: head.status.as_u16(), retry_after, body, room })
    }

    async fn in_time<T>(&self, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        match self.clock.timeout(self.total, work).await {
            Ok(result) => result,
            Err(_) => Err(Failure::Lost(RetryCause::TimedOut(self.total))),
        }
    }

    fn request(&self, outgoing: Outgoing<'_>) -> Result<Request<Full<Bytes>>, Failure> {
        // Cannot fail with the values that get here; if it did, nothing was sent.
        let unusable = || Failure::NotSent(RetryCause::CannotConnect("the request cannot be put into HTTP".into()));
        let mut request = Request::new(Full::new(outgoing.body.clone().unwrap_or_default()));
        *request.method_mut() = outgoing.method;
        *request.uri_mut() = outgoing.url;
        let headers = request.headers_mut();
        headers.insert(ACCEPT, HeaderValue::from_static(outgoing.accept));
        headers.insert(USER_AGENT, self.user_agent.clone());
        if outgoing.body.is_some() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        if let Some(token) = outgoing.token {
            let bearer = format!("Bearer {}", token.expose_secret());
            let mut value = HeaderValue::from_str(&bearer).map_err(|_| unusable())?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        if let Some((name, secret)) = outgoing.cookie {
            let cookie = format!("{name}={}", secret.expose_secret());
            let mut value = HeaderValue::from_str(&cookie).map_err(|_| unusable())?;
            value.set_sensitive(true);
            headers.insert(COOKIE, value);
        }
        Ok(request)
    }
}

fn failed(error: &legacy::Error) -> Failure {
    match error.is_connect() {
        true => Failure::NotSent(RetryCause::CannotConnect(innermost(error))),
        false => Failure::Lost(RetryCause::ConnectionLost),
    }
}

/// `Retry-After` in either form: seconds, or an HTTP date. None when absent or unreadable.
fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let asked = match text.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let date = jiff::fmt::rfc2822::DateTimeParser::new().relaxed_weekday(true).parse_timestamp(text).ok()?;
            Duration::try_from(date.duration_since(now)).unwrap_or_default()
        }
    };
    Some(asked.min(LONGEST_WAIT))
}

/// Gives connecting, TLS included, its own time limit.
#[derive(Clone)]
struct Timed<C> {
    inner: C,
    clock: Clock,
    limit: Duration,
}

impl<C> Service<Uri> for Timed<C>
where
    C: Service<Uri> + Send,
    C::Future: Send + 'static,
    C::Response: 'static,
    C::Error: Into<BoxError>,
{
    type Response = C::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<C::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, target: Uri) -> Self::Future {
        let connecting = self.inner.call(target);
        let (clock, limit) = (self.clock.clone(), self.limit);
        Box::pin(async move { clock.timeout(limit, connecting).await?.map_err(Into::into) })
    }
}

/// The system's resolver, which works on another thread: simulated time must wait for it.
#[derive(Clone)]
struct Resolver {
    clock: Clock,
    system: GaiResolver,
}

impl Service<Name> for Resolver {
    type Response = GaiAddrs;
    type Error = std::io::Error;
    type Future = Pin<Box<dyn Future<Output = std::io::Result<GaiAddrs>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        self.system.poll_ready(context)
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let busy = self.clock.busy();
        let resolving = self.system.call(name);
        Box::pin(async move {
            let addresses = resolving.await;
            drop(busy);
            addresses
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_read_as_seconds_and_as_a_date() {
        let now: Timestamp = "2026-11-02T06:00:00Z".parse().unwrap();
        let read = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, HeaderValue::from_str(text).unwrap());
            retry_after(&headers, now)
        };
        assert_eq!(read("90"), Some(Duration::from_secs(90)));
        assert_eq!(read("Mon, 02 Nov 2026 06:01:30 GMT"), Some(Duration::from_secs(90)));
        assert_eq!(read("Mon, 02 Nov 2026 05:00:00 GMT"), Some(Duration::ZERO));
        assert_eq!(read("99999999999999"), Some(LONGEST_WAIT));
        assert_eq!(read("-5"), None);
        assert_eq!(read("soon"), None);
    }
}
