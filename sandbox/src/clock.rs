//! Time, given. The sandbox has no clock of its own: a program passes the machine's clock ([`Clock::real`]) or two
//! functions of a simulated one ([`Clock::given`]), and everything here asks that.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

type Sleep = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The clock. Cheap to clone.
#[derive(Clone)]
pub struct Clock {
    now: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    sleep: Arc<dyn Fn(Duration) -> Sleep + Send + Sync>,
    busy: Arc<dyn Fn() -> Box<dyn Send> + Send + Sync>,
}

impl Clock {
    /// The machine's clock and tokio's timers.
    #[expect(clippy::disallowed_methods, reason = "the one place that asks the machine")]
    pub fn real() -> Clock {
        Clock::given(Timestamp::now, |duration| Box::pin(tokio::time::sleep(duration)), || Box::new(()))
    }

    /// Somebody else's clock: the time now, a sleep, and a guard that is held while work goes on on another thread.
    pub fn given(
        now: impl Fn() -> Timestamp + Send + Sync + 'static,
        sleep: impl Fn(Duration) -> Sleep + Send + Sync + 'static,
        busy: impl Fn() -> Box<dyn Send> + Send + Sync + 'static,
    ) -> Clock {
        Clock { now: Arc::new(now), sleep: Arc::new(sleep), busy: Arc::new(busy) }
    }

    /// The time, in UTC.
    pub fn now(&self) -> Timestamp {
        (self.now)()
    }

    /// Waits for `duration`.
    pub async fn sleep(&self, duration: Duration) {
        (self.sleep)(duration).await;
    }

    /// Held while work goes on on another thread (`spawn_blocking`), so that simulated time waits for it.
    pub fn busy(&self) -> Box<dyn Send> {
        (self.busy)()
    }

    /// Now plus `duration`.
    pub fn after(&self, duration: Duration) -> Timestamp {
        SignedDuration::try_from(duration).ok().and_then(|d| self.now().checked_add(d).ok()).unwrap_or(Timestamp::MAX)
    }
}
