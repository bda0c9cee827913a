//! How often somebody may be refused: a neighbour a certificate or a notification, an account a sign-in. Neither challenge nor
//! secret can be guessed, but looking at a request costs something (an RSA decryption), and passwords can be guessed; so
//! whoever brings one wrong request after the other rests for a while.
//!
//! Only refused requests count: a school behind one address may enrol as fast as it can.

use std::collections::HashMap;
use std::fmt::Display;
use std::hash::Hash;
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use governor::clock::Clock as _;
use governor::middleware::NoOpMiddleware;
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};

use super::caller::Neighbour;
use crate::clock::Clock;

/// So many at once: a class with outdated profiles.
const BURST: NonZeroU32 = NonZeroU32::new(100).unwrap();

/// And then so many a minute.
const EACH_MINUTE: NonZeroU32 = NonZeroU32::new(30).unwrap();

/// More neighbours than this are looked through for those that can be forgotten.
const CROWDED: usize = 10_000;

/// Time since 1970 by vppd's clock.
struct Since1970(Clock);

impl governor::clock::Clock for Since1970 {
    type Instant = Duration;

    fn now(&self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.now().as_microsecond()).unwrap_or(0))
    }
}

/// Who was refused how often.
pub struct Refusals<K: Clone + Eq + Hash = Neighbour> {
    clock: Since1970,
    limiter: RateLimiter<K, HashMapStateStore<K>, Since1970, NoOpMiddleware<Duration>>,
    /// Who rests, and until when.
    resting: Mutex<HashMap<K, Duration>>,
}

impl Refusals {
    /// For requests that no person makes.
    pub fn new(clock: Clock) -> Refusals {
        Refusals::limited(clock, BURST, EACH_MINUTE)
    }
}

impl<K: Clone + Eq + Hash + Display> Refusals<K> {
    /// So many refusals at once are borne, and then so many a minute.
    pub fn limited(clock: Clock, burst: NonZeroU32, each_minute: NonZeroU32) -> Refusals<K> {
        let quota = Quota::per_minute(each_minute).allow_burst(burst);
        let limiter = RateLimiter::hashmap_with_clock(quota, Since1970(clock.clone()));
        Refusals { clock: Since1970(clock), limiter, resting: Mutex::default() }
    }

    /// A request of this one was refused.
    pub fn note(&self, who: K) {
        if self.limiter.len() > CROWDED {
            self.limiter.retain_recent();
        }
        let Err(not_until) = self.limiter.check_key(&who) else { return };
        let (now, mut resting) = (self.clock.now(), self.resting.lock().unwrap_or_else(PoisonError::into_inner));
        resting.retain(|_, until| *until > now);
        log::warn!("{who} sends one wrong request after the other and has to rest");
        resting.insert(who, not_until.earliest_possible());
    }

    /// How long this one still has to rest, in whole seconds; `None` when it may ask.
    pub fn rest(&self, who: &K) -> Option<u64> {
        let resting = self.resting.lock().unwrap_or_else(PoisonError::into_inner);
        let left = resting.get(who)?.checked_sub(self.clock.now())?;
        (!left.is_zero()).then_some(left.as_secs() + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::simulated;

    #[test]
    fn who_is_refused_too_often_rests_for_a_moment_and_others_do_not() {
        let start = "2026-06-01T08:00:00Z".parse().unwrap();
        simulated(start, |clock| async move {
            let refusals = Refusals::new(clock.clone());
            let (one, other) = (Neighbour::from([192, 0, 2, 1]), Neighbour::from([192, 0, 2, 2]));
            for _ in 0..BURST.get() {
                refusals.note(one);
                assert_eq!(refusals.rest(&one), None);
            }
            refusals.note(one);
            assert!(refusals.rest(&one).is_some_and(|seconds| seconds <= 3));
            assert_eq!(refusals.rest(&other), None);
            clock.sleep(Duration::from_secs(3)).await;
            assert_eq!(refusals.rest(&one), None);
            refusals.note(one);
            assert_eq!(refusals.rest(&one), None, "thirty a minute are borne");
            refusals.note(one);
            assert!(refusals.rest(&one).is_some());
        })
        .unwrap();
    }
}
