//! Routes about registered users.

use axum::body::Bytes;
use axum::extract::{Path as Segment, Query, State};
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Extension, Router};

use super::{Named, Peer, body, failed, reply};
use crate::operations::users::{self, foreign};
use crate::operations::{OperationError, Shared};

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/users", get(|State(c): State<Shared>| async move { reply(users::list(&c).await) }).post(add))
        .route("/users/{name}", get(show).post(edit))
        .route("/users/{name}/retire", post(retire))
        .route("/users/{name}/retirement", get(retirement))
        .route(
            "/tokens/{name}/foreign-users",
            get(|State(c): State<Shared>, Segment(name): Named| async move { reply(foreign::list(&c, name).await) }),
        )
        .route("/tokens/{name}/foreign-users/retire", post(retire_foreign))
}

async fn add(State(context): State<Shared>, Extension(peer): Extension<Peer>, bytes: Bytes) -> Response {
    reply(match body(&bytes) {
        Ok(request) => users::add(&context, request, &peer.0).await,
        Err(error) => Err(error),
    })
}

/// `?invitation=true`: with the links of open invitations.
#[derive(serde::Deserialize)]
struct Shown {
    #[serde(default)]
    invitation: bool,
}

async fn show(
    State(context): State<Shared>,
    Extension(peer): Extension<Peer>,
    Segment(name): Named,
    query: Query<Shown>,
) -> Response {
    reply(users::show(&context, name, query.invitation, &peer.0).await)
}

async fn edit(
    State(context): State<Shared>,
    Extension(peer): Extension<Peer>,
    Segment(name): Named,
    bytes: Bytes,
) -> Response {
    reply(match body(&bytes) {
        Ok(request) => users::edit(&context, name, request, &peer.0).await,
        Err(error) => Err(error),
    })
}

async fn retire(
    State(context): State<Shared>,
    Extension(peer): Extension<Peer>,
    Segment(name): Named,
    bytes: Bytes,
) -> Response {
    reply(match body(&bytes) {
        Ok(request) => users::retire(&context, name, request, &peer.0).await,
        Err(error) => Err(error),
    })
}

/// `?location=NAME`: under that one only.
#[derive(serde::Deserialize)]
struct Under {
    location: Option<String>,
}

async fn retirement(State(context): State<Shared>, Segment(name): Named, query: Query<Under>) -> Response {
    reply(users::retirement(&context, name, query.0.location).await)
}

async fn retire_foreign(
    State(context): State<Shared>,
    Extension(peer): Extension<Peer>,
    Segment(name): Named,
    bytes: Bytes,
) -> Response {
    let request: Result<_, OperationError> = body(&bytes);
    match request {
        Ok(request) => reply(foreign::retire(&context, name, request, &peer.0).await),
        Err(error) => failed(&error),
    }
}
