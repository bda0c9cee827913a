//! The request budget of a location: never more requests in any second than Apple allows, urgent ones first, and
//! silence after Apple has asked for it. [`Bucket`] is the arithmetic, with the time given; [`Budget`] lets tasks wait.
//!
//! Knows nothing of HTTP. One budget belongs to one location, however many tokens it has.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{Notify, Semaphore};

use crate::clock::{Clock, after};
use crate::entropy::Entropy;

/// Longest pause that a call waits out. A call during a longer one returns at once.
pub const PATIENCE: Duration = Duration::from_secs(120);
/// Requests that a quiet time saves up.
const BURST: f64 = 1.0;
/// Pages that may be read at the same time (Apple: Using Paginated Endpoints).
pub const PAGES_IN_FLIGHT: usize = 5;

/// Order of service. Urgent is for what a person or a device waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    Urgent,
    Bulk,
}

/// Apple asks for silence for so long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Paused {
    pub left: Duration,
}

/// A token bucket, a queue with two lanes and a pause. Time never runs backwards for it.
#[derive(Debug)]
pub struct Bucket {
    tokens: f64,
    filled_at: Timestamp,
    per_second: f64,
    paused_until: Timestamp,
    throttled: u32,
    next_ticket: u64,
    urgent: VecDeque<u64>,
    bulk: VecDeque<u64>,
}

/// What a ticket may do now.
#[derive(Debug, PartialEq, Eq)]
pub enum Turn {
    Go,
    /// Nobody is ahead; ask again then.
    Wait(Timestamp),
    /// Someone is ahead; ask again when the queue moves.
    Behind,
}

impl Bucket {
    pub fn new(now: Timestamp) -> Bucket {
        Bucket {
            tokens: BURST,
            filled_at: now,
            per_second: 1.0,
            paused_until: now,
            throttled: 0,
            next_ticket: 0,
            urgent: VecDeque::new(),
            bulk: VecDeque::new(),
        }
    }

    /// At most `configured` a second, and so far below `apples` limit that one request plus a second's supply, the most
    /// that can go out in one second, leaves room for one that the network holds up until the next.
    pub fn set_rate(&mut self, configured: u32, apples: u32, now: Timestamp) {
        self.fill(now);
        let (configured, ceiling) = (f64::from(configured.max(1)), 0.95 * f64::from(apples.max(1)));
        let supply = if ceiling >= 4.0 { ceiling - BURST } else { 0.7 * ceiling };
        self.per_second = supply.min(configured);
    }

    /// Joins the queue.
    pub fn join(&mut self, lane: Lane) -> u64 {
        self.next_ticket += 1;
        match lane {
            Lane::Urgent => self.urgent.push_back(self.next_ticket),
            Lane::Bulk => self.bulk.push_back(self.next_ticket),
        }
        self.next_ticket
    }

    /// Leaves the queue; nothing happens to a ticket that has gone already.
    pub fn leave(&mut self, ticket: u64) {
        self.urgent.retain(|other| *other != ticket);
        self.bulk.retain(|other| *other != ticket);
    }

    /// Asks for a ticket's turn. With `Go` the ticket is used up and the request must count as sent.
    pub fn ask(&mut self, ticket: u64, now: Timestamp) -> Turn {
        self.fill(now);
        if self.urgent.front().or(self.bulk.front()) != Some(&ticket) {
            return Turn::Behind;
        }
        if self.paused_until > now {
            return Turn::Wait(self.paused_until);
        }
        if self.tokens < 1.0 {
            let missing = Duration::from_secs_f64((1.0 - self.tokens) / self.per_second);
            // A microsecond more, so that rounding cannot ask twice for the same moment.
            return Turn::Wait(after(now, missing + Duration::from_micros(1)));
        }
        self.tokens -= 1.0;
        self.leave(ticket);
        Turn::Go
    }

    /// Apple asked for fewer requests: pauses for `asked`, or for a growing time of which `jitter` (0 to 1) decides
    /// the upper half. A pause never ends before one that is running.
    pub fn pause(&mut self, asked: Option<Duration>, jitter: f64, now: Timestamp) {
        let doubled = 2f64.powi(self.throttled.min(8) as i32).min(120.0);
        self.throttled = self.throttled.saturating_add(1);
        let own = Duration::from_secs_f64(doubled * (0.5 + jitter.clamp(0.0, 1.0) / 2.0));
        self.paused_until = self.paused_until.max(after(now, asked.unwrap_or(own)));
        self.tokens = self.tokens.min(0.0);
    }

    /// Apple answered without complaint: the next pause starts small again.
    pub fn relax(&mut self) {
        self.throttled = 0;
    }

    pub fn paused_until(&self) -> Timestamp {
        self.paused_until
    }

    fn fill(&mut self, now: Timestamp) {
        if let Ok(passed) = Duration::try_from(now.duration_since(self.filled_at)) {
            self.tokens = (self.tokens + passed.as_secs_f64() * self.per_second).min(BURST);
            self.filled_at = now;
        }
    }
}

/// The budget of one location, shared by all who call for it.
pub struct Budget {
    bucket: Mutex<Bucket>,
    moved: Notify,
    pages: Semaphore,
    own: Semaphore,
    clock: Clock,
    entropy: Entropy,
    configured: u32,
}

impl Budget {
    /// `configured` is in requests a second.
    pub fn new(clock: Clock, entropy: Entropy, configured: u32) -> Budget {
        let bucket = Mutex::new(Bucket::new(clock.steady()));
        let (pages, own) = (Semaphore::new(PAGES_IN_FLIGHT), Semaphore::new(1));
        Budget { bucket, moved: Notify::new(), pages, own, clock, entropy, configured }
    }

    /// The page that the location may always have at hand, whatever others do.
    pub fn own_page(&self) -> &Semaphore {
        &self.own
    }

    /// Waits for the right to send one request. Dropping the future gives the place up.
    pub async fn admit(&self, lane: Lane, apples_limit: u32) -> Result<(), Paused> {
        let place = {
            let mut bucket = self.lock();
            bucket.set_rate(self.configured, apples_limit, self.clock.steady());
            Place { budget: self, ticket: bucket.join(lane) }
        };
        loop {
            let moved = self.moved.notified();
            let now = self.clock.steady();
            let (turn, until) = {
                let mut bucket = self.lock();
                (bucket.ask(place.ticket, now), bucket.paused_until())
            };
            if until > after(now, PATIENCE) {
                return Err(Paused { left: left(until, now) });
            }
            match turn {
                Turn::Go => return Ok(()),
                Turn::Behind => moved.await,
                Turn::Wait(until) => tokio::select! {
                    () = moved => {}
                    () = self.clock.sleep(left(until, now)) => {}
                },
            }
        }
    }

    /// One of the places for reading a page.
    pub async fn page_place(&self) -> Option<tokio::sync::SemaphorePermit<'_>> {
        self.pages.acquire().await.ok()
    }

    /// See [`Bucket::pause`].
    pub fn pause(&self, asked: Option<Duration>) {
        self.lock().pause(asked, self.entropy.fraction(), self.clock.steady());
        self.moved.notify_waiters();
    }

    /// See [`Bucket::relax`].
    pub fn relax(&self) {
        self.lock().relax();
    }

    fn lock(&self) -> MutexGuard<'_, Bucket> {
        self.bucket.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long it is until then.
fn left(until: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(until.duration_since(now)).unwrap_or_default()
}

/// A place in the queue; the queue moves when it is dropped.
struct Place<'a> {
    budget: &'a Budget,
    ticket: u64,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.budget.lock().leave(self.ticket);
        self.budget.moved.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::simulated;
    use std::sync::Arc;

    fn start() -> Timestamp {
        "2026-11-02T06:00:00Z".parse().unwrap()
    }

    /// When requests go out that all want to go at once.
    fn departures(configured: u32, apples: u32, count: usize) -> Vec<Timestamp> {
        let mut now = start();
        let mut bucket = Bucket::new(now);
        bucket.set_rate(configured, apples, now);
        // The bucket is full after a quiet minute.
        now = after(now, Duration::from_secs(60));
        let mut departures = Vec::new();
        while departures.len() < count {
            let ticket = bucket.join(Lane::Bulk);
            loop {
                match bucket.ask(ticket, now) {
                    Turn::Go => break departures.push(now),
                    Turn::Wait(until) => now = until,
                    Turn::Behind => panic!("nobody is ahead"),
                }
            }
        }
        departures
    }

    #[test]
    fn no_second_ever_holds_more_requests_than_apple_allows() {
        for apples in [1, 2, 3, 4, 5, 7, 10, 15, 40] {
            for configured in [1, 10, 1000] {
                let sent = departures(configured, apples, 200);
                for (index, first) in sent.iter().enumerate() {
                    let end = after(*first, Duration::from_secs(1));
                    let within = sent[index..].iter().take_while(|time| **time <= end).count();
                    assert!(within <= apples as usize, "{within} of {apples} with {configured} configured");
                }
            }
        }
        let sent = departures(10, 15, 101);
        let span = sent[100].duration_since(sent[0]).as_secs_f64();
        assert!((9.5..=10.5).contains(&span), "ten a second take {span} s for a hundred");
    }

    #[test]
    fn urgent_requests_overtake_bulk_ones_that_wait() {
        let mut bucket = Bucket::new(start());
        let first = bucket.join(Lane::Bulk);
        assert_eq!(bucket.ask(first, start()), Turn::Go);
        let bulk = bucket.join(Lane::Bulk);
        assert!(matches!(bucket.ask(bulk, start()), Turn::Wait(_)));
        let urgent = bucket.join(Lane::Urgent);
        let later = after(start(), Duration::from_secs(5));
        assert_eq!(bucket.ask(bulk, later), Turn::Behind);
        assert_eq!(bucket.ask(urgent, later), Turn::Go);
    }

    #[test]
    fn pauses_grow_until_apple_is_content_and_obey_what_apple_asks() {
        let mut bucket = Bucket::new(start());
        let seconds = |bucket: &Bucket| bucket.paused_until().duration_since(start()).as_secs_f64();
        bucket.pause(None, 1.0, start());
        assert_eq!(seconds(&bucket), 1.0);
        bucket.pause(None, 1.0, start());
        bucket.pause(None, 0.0, start());
        assert_eq!(seconds(&bucket), 2.0);
        bucket.pause(Some(Duration::from_secs(90)), 0.5, start());
        assert_eq!(seconds(&bucket), 90.0);
        bucket.relax();
        let ticket = bucket.join(Lane::Urgent);
        assert_eq!(bucket.ask(ticket, start()), Turn::Wait(after(start(), Duration::from_secs(90))));
    }

    #[test]
    fn waiting_tasks_all_get_their_turn_and_a_dropped_one_blocks_nobody() {
        let spent = simulated(start(), |clock| async move {
            let budget = Arc::new(Budget::new(clock.clone(), Entropy::seeded(1), 10));
            let given_up = clock.timeout(Duration::ZERO, async {
                for _ in 0..50 {
                    budget.admit(Lane::Bulk, 15).await.unwrap();
                }
            });
            assert!(given_up.await.is_err());
            let tasks: Vec<_> = (0..30)
                .map(|_| {
                    let budget = budget.clone();
                    tokio::spawn(async move { budget.admit(Lane::Bulk, 15).await })
                })
                .collect();
            for task in tasks {
                task.await.unwrap().unwrap();
            }
            clock.now().duration_since(start()).as_secs_f64()
        });
        assert!((2.0..4.0).contains(&spent.unwrap()));
    }

    #[test]
    fn a_long_pause_is_told_instead_of_waited_out() {
        let told = simulated(start(), |clock| async move {
            let budget = Budget::new(clock.clone(), Entropy::seeded(1), 10);
            budget.pause(Some(Duration::from_secs(3600)));
            (budget.admit(Lane::Urgent, 15).await, clock.now())
        });
        assert_eq!(told.unwrap(), (Err(Paused { left: Duration::from_secs(3600) }), start()));
    }
}
