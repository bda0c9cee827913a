//! Accepting connections: at most so many at once, none that dawdles over its handshake or headers, and at the end each may
//! finish what it is doing.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use axum::Router;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::clock::Clock;

/// How long a TLS handshake, or the headers of a request, may take.
const DAWDLE: Duration = Duration::from_secs(10);

/// A pause after accepting failed (no file handles left, say), so that it does not spin.
const BREATH: Duration = Duration::from_millis(100);

/// What all listeners need.
#[derive(Clone)]
pub struct Limits {
    pub clock: Clock,
    /// Connections at once; more wait to be accepted.
    pub connections: usize,
    /// Ends accepting; open connections finish their request.
    pub stop: CancellationToken,
}

/// Serves TLS connections until told to stop; returns once the last one is closed.
pub async fn serve_tls(listener: TcpListener, tls: Arc<ArcSwap<ServerConfig>>, router: Router, limits: Limits) {
    let graceful = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(limits.connections));
    loop {
        let Some((stream, place)) = accept(&limits, &places, || listener.accept()).await else { break };
        let (stream, _) = stream;
        // Small answers must leave at once.
        let _ = stream.set_nodelay(true);
        let acceptor = TlsAcceptor::from(tls.load_full());
        let (router, watcher, clock) = (router.clone(), graceful.watcher(), limits.clock.clone());
        tokio::spawn(async move {
            if let Ok(Ok(stream)) = clock.timeout(DAWDLE, acceptor.accept(stream)).await {
                serve(stream, router, watcher).await;
            }
            drop(place);
        });
    }
    drop(listener);
    graceful.shutdown().await;
}

/// Serves connections of a Unix socket; `name` tells who is at the other end, and the router finds that as an extension.
pub async fn serve_unix<P>(listener: UnixListener, router: Router, limits: Limits, name: impl Fn(&UnixStream) -> P)
where
    P: Clone + Send + Sync + 'static,
{
    let graceful = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(limits.connections));
    loop {
        let Some((stream, place)) = accept(&limits, &places, || listener.accept()).await else { break };
        let (stream, _) = stream;
        let router = router.clone().layer(axum::Extension(name(&stream)));
        let watcher = graceful.watcher();
        tokio::spawn(async move {
            serve(stream, router, watcher).await;
            drop(place);
        });
    }
    drop(listener);
    graceful.shutdown().await;
}

/// The next connection with its place; `None` when it is time to stop.
async fn accept<T, F>(
    limits: &Limits,
    places: &Arc<Semaphore>,
    next: impl Fn() -> F,
) -> Option<(T, tokio::sync::OwnedSemaphorePermit)>
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

async fn serve<S>(stream: S, router: Router, watcher: Watcher)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(DAWDLE).max_buf_size(64 * 1024);
    builder.http2().timer(TokioTimer::new()).max_concurrent_streams(32).keep_alive_interval(Duration::from_secs(60));
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        let router = router.clone();
        async move {
            let Ok(response) = router.oneshot(request.map(axum::body::Body::new)).await;
            Ok::<_, Infallible>(response)
        }
    });
    let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
    // A peer that breaks off is its own business.
    let _ = watcher.watch(connection).await;
}
