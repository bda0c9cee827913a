//! When a channel is pushed, and when no more. Pure: a history and the present state give the time of the next push.
//!
//! At once when commands wait; then, as long as the device stays silent, after longer and longer waits; never to a token
//! that APNs has declared dead, until the device itself brings a new one or speaks.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::PushAnswer;
use crate::clock::after;

/// Pushes of one burst of commands become one.
const COALESCE: Duration = Duration::from_secs(5);
const FIRST_THROTTLE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 3600);
/// How long this channel waits when APNs refuses the certificate or the request: that needs a person anyway.
const HOLD: Duration = Duration::from_secs(3600);

/// What happened to the pushes of one channel. A new channel starts with [`PushHistory::new`] at its first TokenUpdate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushHistory {
    /// When the device last told its token.
    pub token_at: Timestamp,
    /// The last push that APNs answered for good, accepted or not.
    pub last_push: Option<Timestamp>,
    /// Accepted pushes since the device last spoke.
    pub unanswered: u32,
    /// 429s in a row.
    pub throttled: u32,
    /// No push before this, because of trouble with APNs.
    pub not_before: Option<Timestamp>,
    /// Since when the token wakes nobody. The device may still be enrolled.
    pub dead_since: Option<Timestamp>,
}

impl PushHistory {
    /// A channel which has just told its token.
    pub fn new(token_at: Timestamp) -> PushHistory {
        PushHistory { token_at, last_push: None, unanswered: 0, throttled: 0, not_before: None, dead_since: None }
    }

    /// The device told its token, the same or a new one.
    pub fn on_token_update(&mut self, now: Timestamp) {
        self.token_at = now;
        self.on_contact();
    }

    /// The device spoke, on whichever occasion: it lives.
    pub fn on_contact(&mut self) {
        self.unanswered = 0;
        self.dead_since = None;
    }

    /// APNs answered a push which was sent at `now`.
    pub fn on_answer(&mut self, answer: &PushAnswer, now: Timestamp) {
        match answer {
            PushAnswer::Accepted => {
                self.pushed(now);
                self.throttled = 0;
                self.not_before = None;
            }
            PushAnswer::TokenDead { since, .. } => {
                self.pushed(now);
                // Old news: the device has told its token since then.
                if since.is_none_or(|since| since >= self.token_at) {
                    self.dead_since = Some(since.unwrap_or(now));
                }
            }
            PushAnswer::TooManyRequests => {
                self.throttled = self.throttled.saturating_add(1);
                self.not_before = Some(after(now, throttle(self.throttled)));
            }
            PushAnswer::RetryLater { after: wait, .. } => self.not_before = Some(after(now, *wait)),
            PushAnswer::CertificateProblem { .. } | PushAnswer::OurBug { .. } => {
                self.not_before = Some(after(now, HOLD));
            }
        }
    }

    fn pushed(&mut self, now: Timestamp) {
        self.last_push = Some(now);
        self.unanswered = self.unanswered.saturating_add(1);
    }

    /// When the channel is to be pushed: a time that has passed means at once, None means not at all.
    ///
    /// `waiting_since` is when the oldest waiting command was queued, None when nothing waits. `intervals` are the waits
    /// after the first, second... push without contact; the last one repeats, and none at all means daily.
    pub fn next_due(&self, waiting_since: Option<Timestamp>, intervals: &[Duration]) -> Option<Timestamp> {
        let waiting_since = waiting_since?;
        if self.dead_since.is_some() {
            return None;
        }
        let due = match (self.last_push, self.unanswered) {
            (None, _) => waiting_since,
            (Some(last), 0) => waiting_since.max(after(last, COALESCE)),
            (Some(last), unanswered) => after(last, interval(intervals, unanswered)),
        };
        Some(self.not_before.map_or(due, |not_before| due.max(not_before)))
    }
}

/// Whether a device that has not come after so many pushes counts as silent: each wait has passed once.
pub fn is_silent(unanswered: u32, intervals: &[Duration]) -> bool {
    usize::try_from(unanswered).unwrap_or(usize::MAX) > intervals.len()
}

fn interval(intervals: &[Duration], unanswered: u32) -> Duration {
    let index = usize::try_from(unanswered.saturating_sub(1)).unwrap_or(usize::MAX);
    intervals.get(index).or(intervals.last()).copied().unwrap_or(DAY)
}

fn throttle(times: u32) -> Duration {
    let doublings = times.saturating_sub(1).min(16);
    FIRST_THROTTLE.saturating_mul(1 << doublings).min(DAY)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTES: [u64; 4] = [15, 60, 240, 1440];

    fn intervals() -> Vec<Duration> {
        MINUTES.iter().map(|minutes| Duration::from_secs(minutes * 60)).collect()
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_790_000_000 + second).unwrap()
    }

    fn seconds(due: Option<Timestamp>) -> Option<i64> {
        due.map(|due| due.as_second() - at(0).as_second())
    }

    #[test]
    fn without_commands_nobody_is_pushed() {
        assert_eq!(PushHistory::new(at(0)).next_due(None, &intervals()), None);
    }

    #[test]
    fn a_silent_device_is_pushed_at_once_then_after_longer_and_longer_waits() {
        let mut history = PushHistory::new(at(0));
        let mut waits = Vec::new();
        let mut now = history.next_due(Some(at(10)), &intervals()).unwrap();
        assert_eq!(now, at(10));
        for _ in 0..6 {
            history.on_answer(&PushAnswer::Accepted, now);
            let due = history.next_due(Some(at(10)), &intervals()).unwrap();
            waits.push((due.as_second() - now.as_second()) / 60);
            now = due;
        }
        assert_eq!(waits, [15, 60, 240, 1440, 1440, 1440]);
        assert_eq!(interval(&[], 3), DAY);
    }

    #[test]
    fn a_new_command_for_a_device_that_spoke_is_pushed_at_once_but_a_burst_only_once() {
        let mut history = PushHistory::new(at(0));
        history.on_answer(&PushAnswer::Accepted, at(100));
        history.on_contact();
        assert_eq!(seconds(history.next_due(Some(at(102)), &intervals())), Some(105));
        assert_eq!(seconds(history.next_due(Some(at(200)), &intervals())), Some(200));
    }

    #[test]
    fn a_dead_token_is_left_alone_until_the_device_speaks() {
        let mut history = PushHistory::new(at(50));
        let dead = |since| PushAnswer::TokenDead { reason: "APNs answered 410".into(), since };
        history.on_answer(&dead(Some(at(40))), at(100));
        assert_eq!(history.dead_since, None, "the device has told its token since then");
        history.on_answer(&dead(Some(at(60))), at(2000));
        assert_eq!(history.dead_since, Some(at(60)));
        assert_eq!(history.next_due(Some(at(70)), &intervals()), None);
        history.on_token_update(at(5000));
        assert_eq!(seconds(history.next_due(Some(at(70)), &intervals())), Some(2005));
        history.on_answer(&dead(None), at(6000));
        assert_eq!(history.dead_since, Some(at(6000)));
    }

    #[test]
    fn too_many_requests_double_the_wait_up_to_a_day() {
        let mut history = PushHistory::new(at(0));
        let mut waits = Vec::new();
        for _ in 0..3 {
            history.on_answer(&PushAnswer::TooManyRequests, at(0));
            waits.push(seconds(history.next_due(Some(at(0)), &intervals())).unwrap());
        }
        assert_eq!(waits, [60, 120, 240]);
        for _ in 0..1000 {
            history.on_answer(&PushAnswer::TooManyRequests, at(0));
        }
        assert_eq!(seconds(history.next_due(Some(at(0)), &intervals())), Some(86_400));
        history.on_answer(&PushAnswer::Accepted, at(90_000));
        assert_eq!((history.throttled, history.not_before), (0, None));
    }

    #[test]
    fn trouble_with_the_service_does_not_count_as_a_push() {
        let mut history = PushHistory::new(at(0));
        let trouble = PushAnswer::RetryLater { reason: "no route".into(), after: Duration::from_secs(60) };
        history.on_answer(&trouble, at(0));
        assert_eq!((history.unanswered, history.last_push), (0, None));
        assert_eq!(seconds(history.next_due(Some(at(0)), &intervals())), Some(60));
        history.on_answer(&PushAnswer::CertificateProblem { reason: "ended".into() }, at(60));
        assert_eq!(seconds(history.next_due(Some(at(0)), &intervals())), Some(3660));
    }

    proptest::proptest! {
        #[test]
        fn an_old_410_never_silences_a_channel(token in 0i64..10_000, since in 0i64..10_000) {
            let mut history = PushHistory::new(at(token));
            history.on_answer(&PushAnswer::TokenDead { reason: String::new(), since: Some(at(since)) }, at(20_000));
            proptest::prop_assert_eq!(history.next_due(Some(at(0)), &intervals()).is_some(), since < token);
        }
    }
}
