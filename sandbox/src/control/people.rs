//! Routes about registered users.

use axum::Router;
use axum::extract::{Path, State};
use axum::routing::post;
use serde::Deserialize;

use super::{Body, Done, Handles, done};
use crate::apple::NewUser;

pub(super) fn routes() -> Router<Handles> {
    Router::new()
        .route("/locations/{uid}/users", post(add_user))
        .route("/locations/{uid}/users/accept", post(accept_invitation))
        .route("/locations/{uid}/users/retire", post(retire_user))
        .route("/managed-domain", post(set_managed_domain))
}

async fn add_user(State(handles): State<Handles>, Path(uid): Path<String>, Body(new): Body<NewUser>) -> Done {
    handles.apple.add_user_record(&uid, new)?;
    done()
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Acceptance {
    invite_code: String,
    account: String,
}

async fn accept_invitation(
    State(handles): State<Handles>,
    Path(uid): Path<String>,
    Body(wish): Body<Acceptance>,
) -> Done {
    handles.apple.accept_invitation(&uid, &wish.invite_code, &wish.account)?;
    done()
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct NamedUser {
    client_user_id: String,
}

async fn retire_user(State(handles): State<Handles>, Path(uid): Path<String>, Body(named): Body<NamedUser>) -> Done {
    handles.apple.retire_user(&uid, &named.client_user_id)?;
    done()
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Domain {
    domain: String,
}

async fn set_managed_domain(State(handles): State<Handles>, Body(wish): Body<Domain>) -> Done {
    handles.apple.set_managed_domain(&wish.domain);
    done()
}
