//! Routes about decisions by hand, licences that nobody uses, licences taken back from others, devices that are
//! gone, and what is to be tried again.

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path as Segment, Query, State};
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Extension, Router};

use super::{Named, Peer, body, reply};
use crate::operations::{Shared, by_hand, device_removal, reclaim, retry, waste};

/// A file with many lines is one request.
const LARGEST_DECISION: usize = 16 * 1024 * 1024;

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route(
            "/by-hand",
            get(|State(c): State<Shared>| async move { reply(by_hand::list(&c).await) })
                .post(decide)
                .layer(DefaultBodyLimit::max(LARGEST_DECISION)),
        )
        .route("/by-hand/release", post(release))
        .route("/reclaim", post(take_back))
        .route(
            "/waste",
            get(|State(c): State<Shared>, query: Query<Since>| async move { reply(waste::list(&c, query.0.days).await) }),
        )
        .route("/devices/{name}/retry", post(retry_device))
        .route(
            "/devices/{name}/removal",
            get(|State(c): State<Shared>, Segment(name): Named| async move {
                reply(device_removal::preview(&c, name).await)
            }),
        )
}

/// `?days=N`: unused for so long.
#[derive(serde::Deserialize)]
struct Since {
    days: Option<u32>,
}

async fn decide(State(context): State<Shared>, Extension(peer): Extension<Peer>, bytes: Bytes) -> Response {
    reply(match body(&bytes) {
        Ok(request) => by_hand::decide(&context, request, &peer.0).await,
        Err(error) => Err(error),
    })
}

async fn release(State(context): State<Shared>, Extension(peer): Extension<Peer>, bytes: Bytes) -> Response {
    reply(match body(&bytes) {
        Ok(request) => by_hand::release(&context, request, &peer.0).await,
        Err(error) => Err(error),
    })
}

async fn take_back(State(context): State<Shared>, Extension(peer): Extension<Peer>, bytes: Bytes) -> Response {
    reply(match body(&bytes) {
        Ok(request) => reclaim::foreign(&context, request, &peer.0).await,
        Err(error) => Err(error),
    })
}

async fn retry_device(
    State(context): State<Shared>,
    Extension(peer): Extension<Peer>,
    Segment(name): Named,
    bytes: Bytes,
) -> Response {
    reply(match body(&bytes) {
        Ok(request) => retry::retry(&context, name, request, &peer.0).await,
        Err(error) => Err(error),
    })
}

/// `DELETE /v1/devices/{name}`
pub(super) async fn remove_device(
    State(context): State<Shared>,
    Extension(peer): Extension<Peer>,
    Segment(name): Named,
) -> Response {
    reply(device_removal::remove(&context, name, &peer.0).await)
}
