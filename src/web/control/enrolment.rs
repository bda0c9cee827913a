//! Routes about enrolment: codes, links, what was given out, and the certificates to trust.

use axum::body::Bytes;
use axum::extract::{Path as Segment, State};
use axum::response::Response;
use axum::routing::{delete, get, post};
use axum::{Extension, Router};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::{Named, Peer, body, reply};
use crate::operations::enrol::{codes, tickets};
use crate::operations::view::EnrolTrustView;
use crate::operations::{OperationError, Shared};

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/enrolments", get(|State(c): State<Shared>| async move { reply(codes::list(&c).await) }))
        .route("/enrolments/{name}", delete(revoke))
        .route("/enrolment-codes", post(make_codes))
        .route("/enrolment-links", post(make_link))
        .route("/enrolment-trust", get(|State(c): State<Shared>| async move { reply(trust(&c)) }))
}

async fn make_codes(State(context): State<Shared>, Extension(peer): Extension<Peer>, bytes: Bytes) -> Response {
    reply(match body(&bytes) {
        Ok(request) => codes::make(&context, request, &peer.0).await,
        Err(error) => Err(error),
    })
}

async fn make_link(State(context): State<Shared>, Extension(peer): Extension<Peer>, bytes: Bytes) -> Response {
    reply(match body(&bytes) {
        Ok(request) => codes::link(&context, request, &peer.0).await,
        Err(error) => Err(error),
    })
}

async fn revoke(State(context): State<Shared>, Extension(peer): Extension<Peer>, Segment(name): Named) -> Response {
    reply(codes::revoke(&context, name, &peer.0).await)
}

fn trust(context: &Shared) -> Result<EnrolTrustView, OperationError> {
    let profile = tickets::trust(context)?.map(|profile| STANDARD.encode(profile));
    Ok(EnrolTrustView { profile, fingerprints: tickets::trust_fingerprints(context) })
}
