//! HTTPS: an accept loop with one task per connection, which hands requests to a handler. Used for Apple and for APNs.

use std::convert::Infallible;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use rustix::net::sockopt::set_socket_linger;
use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;

/// The other end of a connection.
#[derive(Clone)]
pub(crate) struct Peer {
    /// The certificate it showed.
    pub certificate: Option<CertificateDer<'static>>,
}

/// The body of a reply.
pub(crate) type Body = UnsyncBoxBody<Bytes, Infallible>;

/// What a handler wants done.
pub(crate) enum Answer {
    Reply(Response<Body>),
    /// The whole connection is closed, without a reply.
    HangUp,
    /// The same without a farewell: the client sees a reset.
    Reset,
}

/// Serves until `stop`. Connections that are open then are closed.
pub(crate) async fn serve<H, F>(
    listener: TcpListener,
    tls: Arc<ServerConfig>,
    handler: H,
    clock: Clock,
    stop: CancellationToken,
) where
    H: Fn(Request<Incoming>, Peer) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Answer> + Send + 'static,
{
    let acceptor = TlsAcceptor::from(tls);
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, _)) = accepted else {
            // The client is gone again, or no descriptor is left: then trying on at once would only heat the machine.
            clock.sleep(Duration::from_millis(100)).await;
            continue;
        };
        let (acceptor, handler, stop) = (acceptor.clone(), handler.clone(), stop.clone());
        tokio::spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = connection(stream, acceptor, handler) => {}
            }
        });
    }
}

async fn connection<H, F>(stream: TcpStream, acceptor: TlsAcceptor, handler: H)
where
    H: Fn(Request<Incoming>, Peer) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Answer> + Send + 'static,
{
    // Small replies: do not wait for more to send.
    let _ = stream.set_nodelay(true);
    // A second handle: the last one decides how the connection ends.
    let Ok(handle) = stream.as_fd().try_clone_to_owned().map(Arc::new) else { return };
    let Ok(stream) = acceptor.accept(stream).await else { return };
    let certificate = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first()).cloned();
    let peer = Peer { certificate: certificate.map(CertificateDer::into_owned) };
    let hang_up = CancellationToken::new();
    let service = service_fn(|request: Request<Incoming>| {
        let answer = handler(request, peer.clone());
        let (hang_up, handle) = (hang_up.clone(), handle.clone());
        async move {
            match answer.await {
                Answer::Reply(response) => return Ok::<_, Infallible>(response),
                Answer::HangUp => {}
                // No farewell is sent when closing takes no time.
                Answer::Reset => drop(set_socket_linger(&*handle, Some(Duration::ZERO))),
            }
            hang_up.cancel();
            std::future::pending().await
        }
    });
    let builder = auto::Builder::new(TokioExecutor::new());
    tokio::select! {
        // The client sees for itself how its connection ended.
        _ = builder.serve_connection(TokioIo::new(stream), service) => {}
        () = hang_up.cancelled() => {}
    }
}
