//! Accepting connections, and letting go of them: who dawdles over a handshake or a request, or asks nothing for a while,
//! loses its place; and at the end each may finish what it is doing.
//!
//! TLS handshakes take turns: the costly part, between two messages of the client, runs in at most half of the threads, so
//! that a flood of new connections slows down new connections and nothing else. While it waits for the client a handshake
//! holds nothing but its place and its seat.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::Router;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

use super::caller::{Caller, Crowd, Neighbour};
use super::control;
use super::tls::TlsConfigs;
use crate::clock::Clock;
use crate::mdm::identity::signature::SignerCertificate;

/// How long a TLS handshake, or the headers of a first request, may take; and how long a connection that is told to end
/// may take to do so when nothing is under way.
const DAWDLE: Duration = Duration::from_secs(10);

/// A pause after accepting failed (no file handles left, say), so that it does not spin.
const BREATH: Duration = Duration::from_millis(100);

/// The headers of a request: a signature with a chain of certificates, or the odd client that sends a certificate request
/// in the request line, fit.
const LARGEST_HEADERS: usize = 64 * 1024;
const MOST_HEADERS: usize = 64;

/// What all listeners need.
#[derive(Clone)]
pub struct Limits {
    pub clock: Clock,
    /// Connections at once; more wait to be accepted.
    pub connections: usize,
    /// Connections of one neighbour at once; more are closed.
    pub connections_per_address: usize,
    /// A connection on which nothing is asked for so long, or up to twice as long, is closed.
    pub idle: Duration,
    /// Ends accepting; open connections finish their request.
    pub stop: CancellationToken,
}

/// Serves TLS connections until told to stop; returns once the last one is closed. The router finds the [`Caller`] as an
/// extension of each request.
pub async fn serve_tls(listener: TcpListener, tls: Arc<ArcSwap<TlsConfigs>>, router: Router, limits: Limits) {
    let (open, crowd) = (TaskTracker::new(), Crowd::new(limits.connections_per_address));
    let places = Arc::new(Semaphore::new(limits.connections));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let turns = Arc::new(Semaphore::new((threads / 2).max(1)));
    while let Some(((stream, address), place)) = accept(&limits, &places, || listener.accept()).await {
        let neighbour = Neighbour::from(address.ip());
        let Some(seat) = crowd.admit(neighbour) else { continue };
        // Small answers must leave at once.
        let _ = stream.set_nodelay(true);
        let (router, limits, tls, turns) = (router.clone(), limits.clone(), tls.clone(), turns.clone());
        open.spawn(async move {
            if let Ok(Some(stream)) = limits.clock.timeout(DAWDLE, handshake(stream, &tls, &turns)).await {
                let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
                let certificate = certificate.map(|der| Arc::new(SignerCertificate::new(der.to_vec())));
                let address = Some(address.ip().to_canonical());
                serve(stream, Caller { neighbour, address, certificate }, router, &limits).await;
            }
            drop((seat, place));
        });
    }
    drop(listener);
    open.close();
    open.wait().await;
}

/// Serves plain connections until told to stop, for a proxy on the same machine; else as [`serve_tls`].
pub async fn serve_plain(listener: TcpListener, router: Router, limits: Limits) {
    let open = TaskTracker::new();
    let places = Arc::new(Semaphore::new(limits.connections));
    while let Some(((stream, address), place)) = accept(&limits, &places, || listener.accept()).await {
        let _ = stream.set_nodelay(true);
        let (router, limits) = (router.clone(), limits.clone());
        open.spawn(async move {
            let caller = Caller { neighbour: address.ip().into(), address: Some(address.ip()), certificate: None };
            serve(stream, caller, router, &limits).await;
            drop(place);
        });
    }
    drop(listener);
    open.close();
    open.wait().await;
}

/// `None` when the client breaks off or its TLS is not accepted.
async fn handshake(stream: TcpStream, tls: &ArcSwap<TlsConfigs>, turns: &Semaphore) -> Option<TlsStream<TcpStream>> {
    let start = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), stream).await.ok()?;
    let config = tls.load().choose(start.client_hello().server_name());
    let rest = {
        let _turn = turns.acquire().await.ok()?;
        start.into_stream(config)
    };
    rest.await.ok()
}

/// Serves connections of the control socket; the router finds out who is at the other end by an extension
/// ([`control::Peer`]).
pub async fn serve_control(listener: UnixListener, router: Router, limits: Limits) {
    let open = TaskTracker::new();
    let places = Arc::new(Semaphore::new(limits.connections));
    while let Some(((stream, _), place)) = accept(&limits, &places, || listener.accept()).await {
        let (router, limits) = (router.clone(), limits.clone());
        open.spawn(async move {
            let peer = control::peer(&stream);
            if let Ok(Some(stream)) = limits.clock.timeout(DAWDLE, http(stream)).await {
                serve(stream, peer, router, &limits).await;
            }
            drop(place);
        });
    }
    drop(listener);
    open.close();
    open.wait().await;
}

/// The stream again, if it begins with a request of HTTP/1; anything else is told that it should.
async fn http(mut stream: UnixStream) -> Option<impl AsyncRead + AsyncWrite + Send + Unpin + 'static> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut start = Vec::new();
    while !start.contains(&b'\n') && start.len() < LARGEST_HEADERS && stream.read_buf(&mut start).await.ok()? > 0 {}
    let line = start.split(|byte| *byte == b'\n').next().unwrap_or_default().trim_ascii_end();
    if !line.ends_with(b" HTTP/1.1") && !line.ends_with(b" HTTP/1.0") {
        stream.write_all(control::NOT_HTTP.as_bytes()).await.ok()?;
        return None;
    }
    let (read, write) = stream.into_split();
    Some(tokio::io::join(std::io::Cursor::new(start).chain(read), write))
}

/// The next connection with its place; `None` when it is time to stop.
async fn accept<T, F>(
    limits: &Limits,
    places: &Arc<Semaphore>,
    next: impl Fn() -> F,
) -> Option<(T, OwnedSemaphorePermit)>
where
    F: Future<Output = std::io::Result<T>>,
{
    loop {
        let place = tokio::select! {
            () = limits.stop.cancelled() => return None,
            place = places.clone().acquire_owned() => place.ok()?,
        };
        let accepted = tokio::select! {
            () = limits.stop.cancelled() => return None,
            accepted = next() => accepted,
        };
        match accepted {
            Ok(accepted) => return Some((accepted, place)),
            Err(error) => {
                log::warn!("a connection cannot be accepted: {error}");
                limits.clock.sleep(BREATH).await;
            }
        }
    }
}

/// Serves one connection; each request finds `who` as an extension.
async fn serve<S, W>(stream: S, who: W, router: Router, limits: &Limits)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    W: Clone + Send + Sync + 'static,
{
    let builder = protocol();
    let activity = Arc::new(Activity::default());
    let service = hyper::service::service_fn(|request: Request<Incoming>| {
        let (router, under_way) = (router.clone(), activity.begin());
        let mut request = request.map(axum::body::Body::new);
        request.extensions_mut().insert(who.clone());
        async move {
            let Ok(response) = router.oneshot(request).await;
            drop(under_way);
            Ok::<_, Infallible>(response)
        }
    });
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let clock = &limits.clock;
    tokio::select! {
        // A peer that breaks off is its own business.
        _ = connection.as_mut() => return,
        () = limits.stop.cancelled() => {}
        () = activity.ceases(clock, limits.idle) => {}
    }
    connection.as_mut().graceful_shutdown();
    tokio::select! {
        _ = connection => {}
        () = activity.rests(clock, DAWDLE) => {}
    }
}

/// HTTP/1 and HTTP/2 within limits: a connection can neither send endless headers nor ask for much at the same time, nor
/// open requests and take them back for ever.
fn protocol() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    // No time for the headers alone: it would run while a connection rests. `Activity` closes who dawdles over them.
    builder.http1().header_read_timeout(None).max_buf_size(LARGEST_HEADERS).max_headers(MOST_HEADERS);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(16)
        .max_header_list_size(LARGEST_HEADERS as u32)
        .max_pending_accept_reset_streams(20)
        .max_local_error_reset_streams(100)
        .initial_stream_window_size(256 * 1024)
        .initial_connection_window_size(1024 * 1024)
        .max_send_buf_size(64 * 1024)
        .keep_alive_interval(Duration::from_secs(60));
    builder
}

/// Whether anything is asked for on a connection. Bytes alone do not count: whoever sends one now and then is idle.
#[derive(Default)]
struct Activity {
    begun: AtomicU64,
    under_way: AtomicUsize,
}

/// A request that is answered as long as this lives.
struct UnderWay(Arc<Activity>);

impl Activity {
    fn begin(self: &Arc<Activity>) -> UnderWay {
        self.begun.fetch_add(1, Ordering::Relaxed);
        self.under_way.fetch_add(1, Ordering::Relaxed);
        UnderWay(self.clone())
    }

    /// Waits until the connection deserves its place no longer: no first request came in a short time, or none for `idle`
    /// after others.
    async fn ceases(&self, clock: &Clock, idle: Duration) {
        clock.sleep(DAWDLE.min(idle)).await;
        if self.begun.load(Ordering::Relaxed) > 0 {
            self.rests(clock, idle).await;
        }
    }

    /// Waits until nothing has been asked for during a whole `span`.
    async fn rests(&self, clock: &Clock, span: Duration) {
        loop {
            let before = self.begun.load(Ordering::Relaxed);
            let busy = self.under_way.load(Ordering::Relaxed) > 0;
            clock.sleep(span).await;
            if !busy && self.begun.load(Ordering::Relaxed) == before {
                return;
            }
        }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}
