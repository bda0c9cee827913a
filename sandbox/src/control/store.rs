//! Routes about products in the stores.

use axum::Router;
use axum::extract::{Path, State};
use axum::routing::post;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;

use super::{Body, Done, Handles, done};
use crate::apple::{AdminError, Listing, NewVersion};

pub(super) fn routes() -> Router<Handles> {
    Router::new()
        .route("/store/{adam_id}/listing", post(set_listing))
        .route("/store/{adam_id}/version", post(publish_version))
        .route("/developers", post(allow_developer))
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Developer {
    key_id: String,
    team_id: String,
    /// The point on P-256, uncompressed, in base64.
    public_key: String,
}

async fn allow_developer(State(handles): State<Handles>, Body(new): Body<Developer>) -> Done {
    let wrong = |_| AdminError::Invalid("the public key is not in base64".to_owned());
    let key = BASE64_STANDARD.decode(&new.public_key).map_err(wrong)?;
    handles.apple.allow_developer(&new.key_id, &new.team_id, key);
    done()
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
