//! Routes about products in the stores.

use axum::Router;
use axum::extract::{Path, State};
use axum::routing::post;

use super::{Body, Done, Handles, done};
use crate::apple::{Listing, NewVersion};

pub(super) fn routes() -> Router<Handles> {
    Router::new()
        .route("/store/{adam_id}/listing", post(set_listing))
        .route("/store/{adam_id}/version", post(publish_version))
}

async fn set_listing(State(handles): State<Handles>, Path(adam_id): Path<String>, Body(new): Body<Listing>) -> Done {
    handles.apple.set_listing(&adam_id, new)?;
    done()
}

async fn publish_version(
    State(handles): State<Handles>,
    Path(adam_id): Path<String>,
    Body(new): Body<NewVersion>,
) -> Done {
    handles.apple.publish_version(&adam_id, new)?;
    done()
}
