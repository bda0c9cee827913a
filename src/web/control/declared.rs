//! Routes about groups, deployments and token settings as a file.

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::response::Response;
use axum::routing::get;
use axum::{Extension, Router};

use super::{Peer, body, reply};
use crate::operations::{Shared, declared};

/// Groups with 200,000 serial numbers.
const LARGEST_FILE: usize = 8 << 20;

pub(super) fn routes() -> Router<Shared> {
    let both = get(|State(c): State<Shared>| async move { reply(declared::export(&c).await) }).post(apply);
    Router::new().route("/declared", both.layer(DefaultBodyLimit::max(LARGEST_FILE)))
}

async fn apply(State(context): State<Shared>, Extension(peer): Extension<Peer>, bytes: Bytes) -> Response {
    reply(match body(&bytes) {
        Ok(request) => declared::apply(&context, request, &peer.0).await,
        Err(error) => Err(error),
    })
}
