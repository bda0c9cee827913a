//! Routes about groups, people, the directory and notes on devices.

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path as Segment, State};
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Extension, Router};

use super::{Named, Peer, body, reply};
use crate::operations::{Shared, device_notes, directory, groups, people};

/// A list of 200,000 serial numbers.
const LARGEST_IMPORT: usize = 8 << 20;

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/groups", get(|State(c): State<Shared>| async move { reply(groups::list(&c).await) }).post(add))
        .route("/groups/{name}", get(show).post(edit).delete(remove))
        .route("/groups/{name}/devices", post(change_devices))
        .route("/groups/{name}/import", post(import).layer(DefaultBodyLimit::max(LARGEST_IMPORT)))
        .route("/device-notes/{serial}", get(show_note).post(edit_note))
        .route("/people", get(|State(c): State<Shared>| async move { reply(people::list(&c).await) }))
        .route("/people/{name}", get(show_person))
        .route("/directory", get(|State(c): State<Shared>| async move { reply(directory::show(&c).await) }))
        .route("/directory/sync", post(sync))
}

async fn add(State(context): State<Shared>, Extension(peer): Extension<Peer>, bytes: Bytes) -> Response {
    reply(match body(&bytes) {
        Ok(request) => groups::add(&context, request, &peer.0).await,
        Err(error) => Err(error),
    })
}

async fn show(State(context): State<Shared>, Segment(name): Named) -> Response {
    reply(groups::show(&context, name).await)
}

async fn edit(
    State(context): State<Shared>,
    Extension(peer): Extension<Peer>,
    Segment(name): Named,
    bytes: Bytes,
) -> Response {
    reply(match body(&bytes) {
        Ok(request) => groups::edit(&context, name, request, &peer.0).await,
        Err(error) => Err(error),
    })
}

async fn remove(State(context): State<Shared>, Extension(peer): Extension<Peer>, Segment(name): Named) -> Response {
    reply(groups::remove(&context, name, &peer.0).await)
}

async fn change_devices(
    State(context): State<Shared>,
    Extension(peer): Extension<Peer>,
    Segment(name): Named,
    bytes: Bytes,
) -> Response {
    reply(match body(&bytes) {
        Ok(request) => groups::change_devices(&context, name, request, &peer.0).await,
        Err(error) => Err(error),
    })
}

async fn import(
    State(context): State<Shared>,
    Extension(peer): Extension<Peer>,
    Segment(name): Named,
    bytes: Bytes,
) -> Response {
    reply(match body(&bytes) {
        Ok(request) => groups::import(&context, name, request, &peer.0).await,
        Err(error) => Err(error),
    })
}

async fn show_note(State(context): State<Shared>, Segment(serial): Named) -> Response {
    reply(device_notes::show(&context, serial).await)
}

async fn edit_note(
    State(context): State<Shared>,
    Extension(peer): Extension<Peer>,
    Segment(serial): Named,
    bytes: Bytes,
) -> Response {
    reply(match body(&bytes) {
        Ok(request) => device_notes::edit(&context, serial, request, &peer.0).await,
        Err(error) => Err(error),
    })
}

async fn show_person(State(context): State<Shared>, Segment(name): Named) -> Response {
    reply(people::show(&context, name).await)
}

async fn sync(State(context): State<Shared>, Extension(peer): Extension<Peer>, bytes: Bytes) -> Response {
    reply(match body(&bytes) {
        Ok(request) => directory::sync(&context, request, &peer.0).await,
        Err(error) => Err(error),
    })
}
