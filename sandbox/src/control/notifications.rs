//! Routes about Apple's notifications.

use axum::extract::State;
use axum::routing::{get, post};
use axum::{Json, Router};

use super::{Body, Done, Handles, done};
use crate::apple::{NotificationRecord, NotificationRoute};

pub(super) fn routes() -> Router<Handles> {
    Router::new().route("/notifications", get(notifications)).route("/notifications/route", post(set_route))
}

async fn notifications(State(handles): State<Handles>) -> Json<Vec<NotificationRecord>> {
    Json(handles.apple.notifications())
}

async fn set_route(State(handles): State<Handles>, Body(route): Body<NotificationRoute>) -> Done {
    handles.apple.route_notifications(&route)?;
    done()
}
