//! A clock for tests that moves only when told to.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::oneshot;

use crate::clock::Clock;

#[derive(Clone)]
pub(crate) struct Stepped(Arc<Mutex<Inner>>);

struct Inner {
    now: Timestamp,
    sleepers: Vec<(Timestamp, oneshot::Sender<()>)>,
}

impl Stepped {
    pub(crate) fn at(time: &str) -> Stepped {
        Stepped(Arc::new(Mutex::new(Inner { now: time.parse().unwrap(), sleepers: Vec::new() })))
    }

    pub(crate) fn clock(&self) -> Clock {
        let (for_now, for_sleep) = (self.clone(), self.clone());
        Clock::given(
            move || for_now.0.lock().unwrap().now,
            move |duration| {
                let (wake, woken) = oneshot::channel();
                let mut inner = for_sleep.0.lock().unwrap();
                let until = inner.now + SignedDuration::try_from(duration).unwrap();
                inner.sleepers.push((until, wake));
                Box::pin(async move {
                    let _ = woken.await;
                })
            },
            || Box::new(()),
        )
    }

    /// Moves the time on, stopping at every sleeper on the way; other tasks run as far as they get.
    pub(crate) async fn advance(&self, by: Duration) {
        settle().await;
        let target = self.0.lock().unwrap().now + SignedDuration::try_from(by).unwrap();
        loop {
            {
                let mut inner = self.0.lock().unwrap();
                let next = inner.sleepers.iter().map(|(until, _)| *until).min().filter(|until| *until <= target);
                inner.now = next.unwrap_or(target);
                let now = inner.now;
                let (due, waiting) = std::mem::take(&mut inner.sleepers).into_iter().partition(|(at, _)| *at <= now);
                inner.sleepers = waiting;
                let due: Vec<_> = due;
                if due.is_empty() {
                    return;
                }
                for (_, wake) in due {
                    let _ = wake.send(());
                }
            }
            settle().await;
        }
    }
}

async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}
