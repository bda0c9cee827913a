//! Notices when somebody sets the machine's clock (or a virtual machine was asleep), and moves the times that vppd waits
//! for: nothing is lost, nothing is done too early, and no wait becomes years.

use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};

use super::{OperationError, Shared};
use crate::clock::Clock;
use crate::store::times;

/// Less than this is a clock being corrected, or a busy machine.
const JUMP: SignedDuration = SignedDuration::from_mins(1);

/// How long after a start or a jump the clock is not trusted with forgetting old things.
const SETTLES: SignedDuration = SignedDuration::from_hours(6);

/// What is remembered of the clock.
pub struct ClockWatch(Mutex<Seen>);

#[derive(Clone, Copy)]
struct Seen {
    now: Timestamp,
    steady: Timestamp,
    /// When the time of day last jumped, by the steady clock; at first the start.
    jumped: Timestamp,
}

impl ClockWatch {
    /// Watches from now on.
    pub fn new(clock: &Clock) -> ClockWatch {
        let (now, steady) = (clock.now(), clock.steady());
        ClockWatch(Mutex::new(Seen { now, steady, jumped: steady }))
    }

    /// Whether the clock has run evenly for a good while.
    pub fn is_settled(&self, clock: &Clock) -> bool {
        let seen = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        clock.steady().duration_since(seen.jumped) >= SETTLES
    }

    /// How far the time of day has jumped since the last call, if it has.
    fn jump(&self, clock: &Clock) -> Option<SignedDuration> {
        let (now, steady) = (clock.now(), clock.steady());
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let jump = now.duration_since(seen.now) - steady.duration_since(seen.steady);
        let jumped = jump.abs() >= JUMP;
        *seen = Seen { now, steady, jumped: if jumped { steady } else { seen.jumped } };
        jumped.then_some(jump)
    }
}

/// Looks whether the clock was changed, and sets right what that would upset.
pub async fn look(context: &Shared) -> Result<(), OperationError> {
    let Some(jump) = context.clock_watch.jump(&context.clock) else { return Ok(()) };
    let now = context.clock.now();
    if jump.is_positive() {
        log::warn!(
            "the clock jumped {jump:#} forward, to {now}; nothing old is forgotten until it has run evenly for a while"
        );
        context.store.write(move |w| times::put_forward(w, jump, now)).await?;
    } else {
        put_back(context, jump.abs(), now).await?;
    }
    context.workers.nudge_all();
    context.plan_now.notify_one();
    context.wake_now.notify_one();
    Ok(())
}

/// After a start: the clock may have been put back while vppd did not run.
pub async fn after_start(context: &Shared) -> Result<(), OperationError> {
    let now = context.clock.now();
    if let Some(last) = context.store.read(times::last_alive).await?
        && last.duration_since(now) >= JUMP
    {
        put_back(context, last.duration_since(now), now).await?;
    }
    Ok(context.store.write(move |w| times::alive(w, now)).await?)
}

async fn put_back(context: &Shared, by: SignedDuration, now: Timestamp) -> Result<(), OperationError> {
    log::warn!("the clock was put back by {by:#}, to {now}; what vppd waits for moves with it");
    context.index.put_back(now);
    let moved = context.store.write(move |w| times::put_back(w, by, now).and_then(|()| times::alive(w, now)));
    Ok(moved.await?)
}
