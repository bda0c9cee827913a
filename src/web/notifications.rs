//! The door to which Apple sends notifications (Apple: Subscribing to Notifications). The last part of the address is the key
//! of a location; the secret comes as a bearer token. Before both are right nothing of the body is read, and nobody learns
//! which of them was wrong.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tower_http::catch_panic::CatchPanicLayer;

use super::caller::Caller;
use super::dismissal;
use super::refusals::Refusals;
use super::request::{Room, in_time};
use crate::apple::notification::Notification;
use crate::operations::{Kind, Shared, notifications};

/// The greatest notification: a hundred elements have some 20 kB.
const LARGEST: usize = 256 * 1024;
/// Apple waits no longer than some seconds.
const LONGEST_CALL: Duration = Duration::from_secs(10);
/// Connections at once, and of one neighbour.
pub const CONNECTIONS: usize = 256;
/// A connection on which nothing is asked for so long is closed.
pub const IDLE: Duration = Duration::from_secs(60);

#[derive(Clone)]
struct Door {
    context: Shared,
    room: Room,
    refusals: Arc<Refusals>,
}

/// The routes of the door: one, whatever a proxy before it has made of the address.
pub fn router(context: Shared) -> Router {
    let limit = (context.clock.clone(), LONGEST_CALL);
    let door = Door { room: Room::default(), refusals: Arc::new(Refusals::new(context.clock.clone())), context };
    Router::new()
        .fallback(receive)
        .layer(CatchPanicLayer::new())
        .layer(axum::middleware::from_fn_with_state(limit, in_time))
        .with_state(door)
}

async fn receive(State(door): State<Door>, request: Request) -> Response {
    // Behind a proxy all come from one address: there nobody is kept waiting for what others did.
    let neighbour = request.extensions().get::<Caller>().map(|caller| caller.neighbour);
    let neighbour = neighbour.filter(|neighbour| !neighbour.is_loopback());
    if let Some(seconds) = neighbour.and_then(|neighbour| door.refusals.rest(&neighbour)) {
        return (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, seconds.to_string())]).into_response();
    }
    let (parts, body) = request.into_parts();
    let key = parts.uri.path().rsplit('/').next().unwrap_or_default();
    let secret = bearer(&parts.headers).filter(|_| parts.method == Method::POST).unwrap_or_default();
    let sender = match notifications::authenticate(&door.context, key, secret).await {
        Ok(Some(sender)) => sender,
        Ok(None) => {
            if let Some(neighbour) = neighbour {
                door.refusals.note(neighbour);
            }
            log::debug!("somebody came to the door for notifications without the right key and secret");
            return dismissal::stranger();
        }
        Err(error) => {
            log::error!("a notification cannot be taken: {error}");
            return StatusCode::SERVICE_UNAVAILABLE.into_response();
        }
    };
    let received = match door.room.read(body, LARGEST).await {
        Ok(received) => received,
        Err(error) => {
            log::warn!("a notification of Apple's is not taken: {error}");
            return error.status().into_response();
        }
    };
    let notification = match Notification::read(&received.bytes) {
        Ok(notification) => notification,
        Err(error) => {
            log::warn!("a notification of Apple's cannot be read: {error}");
            return StatusCode::BAD_REQUEST.into_response();
        }
    };
    match notifications::take(&door.context, sender, notification).await {
        Ok(()) => StatusCode::OK.into_response(),
        Err(error) if error.kind == Kind::Invalid => {
            log::warn!("{error}. {}", error.advice);
            StatusCode::BAD_REQUEST.into_response()
        }
        Err(error) => {
            log::error!("a notification cannot be taken: {error}");
            StatusCode::SERVICE_UNAVAILABLE.into_response()
        }
    }
}

/// The secret that a request brings.
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let value = headers.get(header::AUTHORIZATION)?.as_bytes();
    let (scheme, secret) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then_some(secret)
}
