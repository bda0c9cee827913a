//! The limits of one request: how long it may take, how large its body may be, and how much memory all large bodies together
//! may hold.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http_body_util::BodyExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::clock::Clock;

/// Bytes of a body that are not counted: nearly all messages of devices are smaller.
const SMALL: usize = 16 * 1024;

/// What all counted bodies together may hold, in bytes. Without this bound a few hundred connections could fill the
/// memory before a single signature was looked at.
const ROOM: usize = 128 * 1024 * 1024;

/// A middleware: a request that takes longer than this, with its whole body, is given up and answered 503.
pub async fn in_time(State((clock, limit)): State<(Clock, Duration)>, request: Request, next: Next) -> Response {
    match clock.timeout(limit, next.run(request)).await {
        Ok(response) => response,
        Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

/// Room for large bodies.
#[derive(Clone)]
pub struct Room(Arc<Semaphore>);

/// A body as received. The room that it takes is free again when this is dropped.
#[derive(Debug)]
pub struct Received {
    pub bytes: Bytes,
    _place: Option<OwnedSemaphorePermit>,
}

/// Why there is no body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    #[error("its body is larger than the {0} bytes that are taken here")]
    TooLarge(usize),
    #[error("too many large messages are coming in at the same time")]
    NoRoom,
    #[error("its body broke off")]
    BrokenOff,
}

impl BodyError {
    /// What the sender is told.
    pub fn status(self) -> StatusCode {
        match self {
            BodyError::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            BodyError::NoRoom => StatusCode::SERVICE_UNAVAILABLE,
            BodyError::BrokenOff => StatusCode::BAD_REQUEST,
        }
    }
}

impl Default for Room {
    fn default() -> Room {
        Room(Arc::new(Semaphore::new(ROOM)))
    }
}

impl Room {
    /// Reads a body of at most `limit` bytes. Counts what arrives, not what is announced, and never waits for room: two
    /// that wait for each other would hold theirs for nothing.
    pub async fn read(&self, body: Body, limit: usize) -> Result<Received, BodyError> {
        let mut body = body;
        let announced = hyper::body::Body::size_hint(&body).lower();
        if announced > limit as u64 {
            return Err(BodyError::TooLarge(limit));
        }
        let (mut bytes, mut place) = (Vec::new(), None::<OwnedSemaphorePermit>);
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(|_| BodyError::BrokenOff)?.into_data() else { continue };
            if bytes.len() + data.len() > limit {
                return Err(BodyError::TooLarge(limit));
            }
            bytes.extend_from_slice(&data);
            let (due, held) =
                (bytes.len().saturating_sub(SMALL), place.as_ref().map_or(0, |place| place.num_permits()));
            if due > held {
                let more = u32::try_from(due - held).map_err(|_| BodyError::TooLarge(limit))?;
                let more = self.0.clone().try_acquire_many_owned(more).map_err(|_| BodyError::NoRoom)?;
                match &mut place {
                    Some(place) => place.merge(more),
                    None => place = Some(more),
                }
            }
        }
        Ok(Received { bytes: bytes.into(), _place: place })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_body_is_bounded_and_large_ones_share_the_room() {
        let room = Room(Arc::new(Semaphore::new(50_000)));
        let read = |length: usize, limit| room.read(Body::from(vec![7; length]), limit);
        assert_eq!(read(100, 100).await.unwrap().bytes.len(), 100);
        assert_eq!(read(101, 100).await.unwrap_err(), BodyError::TooLarge(100));
        let stream = |chunks: usize| {
            let chunk = || Ok::<_, std::io::Error>(Bytes::from(vec![7; 1000]));
            Body::from_stream(futures_util::stream::iter((0..chunks).map(move |_| chunk())))
        };
        assert_eq!(room.read(stream(3), 2500).await.unwrap_err(), BodyError::TooLarge(2500), "unannounced");
        let held = room.read(stream(60), 100_000).await.unwrap();
        assert_eq!(room.0.available_permits(), 50_000 - (60_000 - SMALL));
        assert_eq!(read(60_000, 100_000).await.unwrap_err(), BodyError::NoRoom);
        assert_eq!(read(SMALL, 100_000).await.unwrap().bytes.len(), SMALL, "small ones always pass");
        drop(held);
        assert_eq!(room.0.available_permits(), 50_000);
    }
}
