//! Room for replies: how many are in memory at the same time, from the first byte of the body until what was read is stored.
//! The others stay with the kernel, and there with Apple. Hundreds of locations that answer at once cost no more than a few.

use std::fmt;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Replies in memory. One location that is slow must not hold up the others.
const REPLIES: usize = 32;

/// The places there are.
pub(super) struct Rooms(Arc<Semaphore>);

/// A place; given back when it is dropped. A reply without one counts nowhere.
#[derive(Clone, Default)]
pub struct Room(#[expect(dead_code, reason = "held, never looked at")] Option<Arc<OwnedSemaphorePermit>>);

impl Rooms {
    pub fn new() -> Rooms {
        Rooms(Arc::new(Semaphore::new(REPLIES)))
    }

    /// Waits for a place.
    pub async fn take(&self) -> Room {
        Room(self.0.clone().acquire_owned().await.ok().map(Arc::new))
    }
}

/// Two replies are the same wherever they are.
impl PartialEq for Room {
    fn eq(&self, _: &Room) -> bool {
        true
    }
}

impl Eq for Room {}

impl fmt::Debug for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Room")
    }
}
