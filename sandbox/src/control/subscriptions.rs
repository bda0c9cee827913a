//! Routes about subscriptions.

use axum::Router;
use axum::extract::{Path, State};
use axum::routing::post;
use serde::Deserialize;

use super::{Body, Done, Handles, done};
use crate::apple::{NewSubscription, SeatKind};

pub(super) fn routes() -> Router<Handles> {
    Router::new()
        .route("/locations/{uid}/subscriptions", post(add))
        .route("/locations/{uid}/subscriptions/declare", post(declare))
        .route("/locations/{uid}/subscriptions/buy", post(buy))
        .route("/locations/{uid}/subscriptions/group-seats", post(give_by_group))
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Declaration {
    handled: bool,
}

async fn declare(State(handles): State<Handles>, Path(uid): Path<String>, Body(wish): Body<Declaration>) -> Done {
    handles.apple.declare_subscriptions(&uid, wish.handled)?;
    done()
}

async fn add(State(handles): State<Handles>, Path(uid): Path<String>, Body(new): Body<NewSubscription>) -> Done {
    handles.apple.add_subscription(&uid, new)?;
    done()
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Seats {
    adam_id: u64,
    kind: SeatKind,
    count: u32,
}

async fn buy(State(handles): State<Handles>, Path(uid): Path<String>, Body(wish): Body<Seats>) -> Done {
    handles.apple.buy_seats(&uid, wish.adam_id, wish.kind, wish.count)?;
    done()
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct GroupSeat {
    adam_id: u64,
    client_user_id: String,
}

async fn give_by_group(State(handles): State<Handles>, Path(uid): Path<String>, Body(wish): Body<GroupSeat>) -> Done {
    handles.apple.give_seat_by_group(&uid, wish.adam_id, &wish.client_user_id)?;
    done()
}
