//! Routes about the push certificate.

use axum::body::Bytes;
use axum::extract::State;
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Extension, Router};

use super::{Peer, body, reply};
use crate::operations::view::PushInstallRequest;
use crate::operations::{Shared, push_certificate};

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route(
            "/push-certificate",
            get(|State(c): State<Shared>| async move { reply(push_certificate::show(&c).await) }).post(install),
        )
        .route("/push-certificate/request", post(request))
}

async fn request(State(context): State<Shared>, Extension(peer): Extension<Peer>, bytes: Bytes) -> Response {
    reply(match body(&bytes) {
        Ok(wanted) => push_certificate::request(&context, wanted, &peer.0).await,
        Err(error) => Err(error),
    })
}

async fn install(State(context): State<Shared>, Extension(peer): Extension<Peer>, bytes: Bytes) -> Response {
    reply(match body::<PushInstallRequest>(&bytes) {
        Ok(brought) => push_certificate::install(&context, brought.certificate, &peer.0).await,
        Err(error) => Err(error),
    })
}
