//! Routes about the identities of devices.

use axum::extract::{Path as Segment, State};
use axum::response::Response;
use axum::routing::{delete, get, post};
use axum::{Extension, Router};

use super::{Named, Peer, reply};
use crate::operations::{Shared, authorities, identities};

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/identities", get(|State(c): State<Shared>| async move { reply(identities::list(&c).await) }))
        .route(
            "/authorities",
            get(|State(c): State<Shared>| async move { reply(Ok(authorities::list(&c))) }).post(renew_authority),
        )
        .route("/devices/{name}/identity", delete(revoke))
        .route("/devices/{name}/identity/renewal", post(renew))
}

async fn renew_authority(State(context): State<Shared>, Extension(peer): Extension<Peer>) -> Response {
    reply(authorities::renew(&context, &peer.0).await)
}

async fn renew(State(context): State<Shared>, Extension(peer): Extension<Peer>, Segment(name): Named) -> Response {
    reply(identities::renew(&context, name, &peer.0).await)
}

async fn revoke(State(context): State<Shared>, Extension(peer): Extension<Peer>, Segment(name): Named) -> Response {
    reply(identities::revoke(&context, name, &peer.0).await)
}
