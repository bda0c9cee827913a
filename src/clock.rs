//! Time, given to everything. [`Clock::real`] is the machine's clock; [`simulated`] runs a whole program (vppd and the
//! sandbox in one process, talking over real sockets) on a clock that jumps to the next timer as soon as nobody has
//! anything left to do, so that a simulated day takes seconds.
//!
//! How the simulated clock knows that nobody has anything left to do: the program runs on one thread, whose runtime
//! tells when it goes to sleep. Loopback sockets deliver while the sender runs, so a runtime that stays asleep has no
//! message under way. Work on other threads (the store's writer, say) holds [`Clock::busy`] for as long as it runs.
//!
//! Knows nothing of the rest of vppd. Nobody else may call `Timestamp::now` or `tokio::time::sleep`.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::Notify;

/// The clock. Cheap to clone; every clone tells the same time.
#[derive(Clone)]
pub struct Clock(Kind);

#[derive(Clone)]
enum Kind {
    Real(Start),
    Simulated(Arc<Simulated>),
}

/// When a real clock was made, on the machine's two clocks.
#[derive(Clone, Copy)]
struct Start {
    wall: Timestamp,
    steady: Instant,
}

struct Simulated {
    state: Mutex<State>,
    busy: AtomicUsize,
    /// The time of day was changed.
    changed: Notify,
}

struct State {
    /// The steady time.
    now: Timestamp,
    /// How far the time of day is from it.
    ahead: SignedDuration,
    next_timer: u64,
    timers: BTreeMap<(Timestamp, u64), Waker>,
}

/// A time limit passed before the work was done.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("took longer than {0:?}")]
pub struct Elapsed(pub Duration);

/// For how long a wait for a time of day sleeps before it looks whether the clock was changed.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// While this lives, the simulated clock stands still. The real clock takes no notice.
pub struct Busy(Option<Arc<Simulated>>);

impl Drop for Busy {
    fn drop(&mut self) {
        if let Some(simulated) = &self.0 {
            simulated.busy.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

impl Clock {
    /// The machine's clock and tokio's timers.
    #[expect(clippy::disallowed_methods, reason = "the one place that asks the machine")]
    pub fn real() -> Clock {
        Clock(Kind::Real(Start { wall: Timestamp::now(), steady: Instant::now() }))
    }

    /// The time of day, in UTC. It jumps when somebody sets the machine's clock.
    #[expect(clippy::disallowed_methods, reason = "the one place that asks the machine")]
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Kind::Real(_) => Timestamp::now(),
            Kind::Simulated(simulated) => {
                let state = simulated.lock();
                state.now.checked_add(state.ahead).unwrap_or(state.now)
            }
        }
    }

    /// A time that never jumps, for measuring how much has passed in this process. It is no time of day.
    pub fn steady(&self) -> Timestamp {
        match &self.0 {
            Kind::Real(start) => after(start.wall, start.steady.elapsed()),
            Kind::Simulated(simulated) => simulated.lock().now,
        }
    }

    /// The time of day that it will be at a steady time, if nobody sets the clock.
    pub fn expected_at(&self, steady: Timestamp) -> Timestamp {
        let left = steady.duration_since(self.steady());
        self.now().checked_add(left).unwrap_or(Timestamp::MAX)
    }

    /// Changes the simulated time of day, as somebody who sets the machine's clock. The real clock takes no notice.
    pub fn change(&self, by: SignedDuration) {
        if let Kind::Simulated(simulated) = &self.0 {
            let mut state = simulated.lock();
            state.ahead = state.ahead.saturating_add(by);
            drop(state);
            simulated.changed.notify_waiters();
        }
    }

    /// Waits for `duration`. Dropping the future forgets the timer.
    #[expect(clippy::disallowed_methods, reason = "the one place that sleeps")]
    pub async fn sleep(&self, duration: Duration) {
        match &self.0 {
            Kind::Real(_) => tokio::time::sleep(duration).await,
            Kind::Simulated(simulated) => {
                let deadline = after(simulated.lock().now, duration);
                Timer { simulated: simulated.clone(), deadline, key: None }.await;
            }
        }
    }

    /// Waits until it is `deadline` by the time of day, also when that is changed meanwhile; returns at once if it has
    /// passed.
    pub async fn sleep_until(&self, deadline: Timestamp) {
        loop {
            let changed = match &self.0 {
                Kind::Real(_) => None,
                Kind::Simulated(simulated) => Some(simulated.changed.notified()),
            };
            let wait = deadline.duration_since(self.now());
            let Some(wait) = Duration::try_from(wait).ok().filter(|wait| !wait.is_zero()) else { return };
            match changed {
                None => self.sleep(wait.min(LOOK_AGAIN)).await,
                Some(changed) => tokio::select! {
                    () = self.sleep(wait) => {}
                    () = changed => {}
                },
            }
        }
    }

    /// Runs `work` for at most `limit`, then drops it.
    pub async fn timeout<F: Future>(&self, limit: Duration, work: F) -> Result<F::Output, Elapsed> {
        tokio::select! {
            biased;
            output = work => Ok(output),
            () = self.sleep(limit) => Err(Elapsed(limit)),
        }
    }

    /// Says that work goes on outside the runtime's thread, so that simulated time waits for it.
    pub fn busy(&self) -> Busy {
        Busy(match &self.0 {
            Kind::Real(_) => None,
            Kind::Simulated(simulated) => {
                simulated.busy.fetch_add(1, Ordering::SeqCst);
                Some(simulated.clone())
            }
        })
    }
}

/// `time` plus `duration`, stopping at the end of the calendar instead of overflowing.
pub fn after(time: Timestamp, duration: Duration) -> Timestamp {
    SignedDuration::try_from(duration).ok().and_then(|d| time.checked_add(d).ok()).unwrap_or(Timestamp::MAX)
}

impl Simulated {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves the time to the next timer and wakes everyone who waits for it. False when nobody waits.
    fn jump(&self) -> bool {
        let mut due = Vec::new();
        {
            let mut state = self.lock();
            let Some((&(next, _), _)) = state.timers.first_key_value() else { return false };
            state.now = state.now.max(next);
            while let Some(entry) = state.timers.first_entry() {
                if entry.key().0 > next {
                    break;
                }
                due.push(entry.remove());
            }
        }
        due.into_iter().for_each(Waker::wake);
        true
    }
}

struct Timer {
    simulated: Arc<Simulated>,
    deadline: Timestamp,
    key: Option<(Timestamp, u64)>,
}

impl Future for Timer {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let simulated = self.simulated.clone();
        let mut state = simulated.lock();
        if state.now >= self.deadline {
            return Poll::Ready(());
        }
        let key = match self.key {
            Some(key) => key,
            None => {
                state.next_timer += 1;
                (self.deadline, state.next_timer)
            }
        };
        self.key = Some(key);
        state.timers.insert(key, context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Timer {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.simulated.lock().timers.remove(&key);
        }
    }
}

/// Runs `program` on a runtime of one thread with a simulated clock that starts at `start`.
///
/// Errors only when the runtime cannot be made.
pub fn simulated<P, F>(start: Timestamp, program: P) -> std::io::Result<F::Output>
where
    P: FnOnce(Clock) -> F,
    F: Future,
{
    let state = State { now: start, ahead: SignedDuration::ZERO, next_timer: 0, timers: BTreeMap::new() };
    let simulated = Arc::new(Simulated { state: Mutex::new(state), busy: AtomicUsize::new(0), changed: Notify::new() });
    let asleep = Arc::new(Asleep::of_this_thread()?);
    let (parked, woken) = (asleep.clone(), asleep.clone());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .on_thread_park(move || parked.set(true))
        .on_thread_unpark(move || woken.set(false))
        .build()?;
    let stop = Arc::new(AtomicBool::new(false));
    let watcher = {
        let (simulated, asleep, stop) = (simulated.clone(), asleep.clone(), stop.clone());
        std::thread::spawn(move || watch(&simulated, &asleep, &stop))
    };
    let output = runtime.block_on(program(Clock(Kind::Simulated(simulated))));
    stop.store(true, Ordering::SeqCst);
    let _ = watcher.join();
    Ok(output)
}

/// Whether the runtime sleeps, and how often that has changed.
struct Asleep {
    asleep: AtomicBool,
    changes: AtomicU64,
    /// Where the kernel tells what the runtime's thread does.
    stat: PathBuf,
}

impl Asleep {
    fn of_this_thread() -> std::io::Result<Asleep> {
        let stat = Path::new("/proc").join(std::fs::read_link("/proc/thread-self")?).join("stat");
        Ok(Asleep { asleep: AtomicBool::new(false), changes: AtomicU64::new(0), stat })
    }

    /// Whether the thread sleeps in the kernel: one that was woken and waits for a processor does not.
    fn in_kernel(&self) -> bool {
        let stat = std::fs::read_to_string(&self.stat).unwrap_or_default();
        stat.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with('S'))
    }

    fn set(&self, asleep: bool) {
        self.changes.fetch_add(1, Ordering::SeqCst);
        self.asleep.store(asleep, Ordering::SeqCst);
    }
}

/// How long the runtime must have slept, in real time, before simulated time jumps.
const SETTLED: Duration = Duration::from_micros(150);

#[expect(clippy::disallowed_methods, reason = "watches the runtime in real time")]
fn watch(simulated: &Simulated, asleep: &Asleep, stop: &AtomicBool) {
    while !stop.load(Ordering::SeqCst) {
        let changes = asleep.changes.load(Ordering::SeqCst);
        std::thread::sleep(SETTLED);
        // In this order: whoever ends its work wakes the runtime first.
        let quiet = simulated.busy.load(Ordering::SeqCst) == 0
            && asleep.asleep.load(Ordering::SeqCst)
            && asleep.in_kernel()
            && asleep.changes.load(Ordering::SeqCst) == changes;
        if quiet && simulated.jump() {
            // Give the runtime the time to notice before looking again.
            while asleep.changes.load(Ordering::SeqCst) == changes && !stop.load(Ordering::SeqCst) {
                std::thread::yield_now();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    const START: &str = "2026-11-02T06:00:00Z";

    #[test]
    fn a_simulated_day_takes_no_real_time() {
        let start: Timestamp = START.parse().unwrap();
        let began = Instant::now();
        let end = simulated(start, |clock| async move {
            clock.sleep(Duration::from_secs(86_400)).await;
            clock.now()
        });
        assert_eq!(end.unwrap(), after(start, Duration::from_secs(86_400)));
        assert!(began.elapsed() < Duration::from_secs(5));
    }

    #[test]
    fn a_changed_time_of_day_moves_what_waits_for_it_and_nothing_else() {
        let start: Timestamp = START.parse().unwrap();
        let hour = Duration::from_secs(3600);
        simulated(start, |clock| async move {
            let (early, late, same) = (clock.clone(), clock.clone(), clock.clone());
            let noon = after(start, 6 * hour);
            let waits = tokio::spawn(async move { (early.sleep_until(noon).await, early.steady()).1 });
            let measures = tokio::spawn(async move { (same.sleep(2 * hour).await, same.steady()).1 });
            clock.sleep(hour).await;
            clock.change(SignedDuration::from_hours(24 * 365));
            assert_eq!(waits.await.unwrap(), after(start, hour), "its time has come");
            clock.change(SignedDuration::from_hours(-24 * 366));
            assert_eq!(measures.await.unwrap(), after(start, 2 * hour), "it only measures");
            let waits = tokio::spawn(async move { (late.sleep_until(noon).await, late.steady()).1 });
            clock.sleep(hour).await;
            assert!(clock.now() < start && !waits.is_finished());
            clock.change(SignedDuration::from_hours(24));
            assert_eq!(waits.await.unwrap(), noon, "the clock is right again");
        })
        .unwrap();
    }

    #[test]
    fn timers_fire_in_order_and_a_message_under_way_is_not_overtaken() {
        let start: Timestamp = START.parse().unwrap();
        let order = simulated(start, |clock| async move {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let server = tokio::spawn(async move {
                let (mut stream, _) = listener.accept().await.unwrap();
                for _ in 0..200 {
                    let byte = stream.read_u8().await.unwrap();
                    stream.write_u8(byte).await.unwrap();
                }
            });
            let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
            let exchange = async {
                for byte in 0..200u8 {
                    stream.write_u8(byte).await.unwrap();
                    assert_eq!(stream.read_u8().await.unwrap(), byte);
                }
            };
            let late = clock.timeout(Duration::from_secs(3600), exchange).await;
            server.await.unwrap();
            (late, clock.now())
        });
        assert_eq!(order.unwrap(), (Ok(()), start));
    }

    #[test]
    fn simulated_time_waits_for_work_on_another_thread() {
        let start: Timestamp = START.parse().unwrap();
        let end = simulated(start, |clock| async move {
            let (send, receive) = tokio::sync::oneshot::channel();
            let busy = clock.busy();
            std::thread::spawn(move || {
                let until = Instant::now() + Duration::from_millis(20);
                while Instant::now() < until {
                    std::hint::spin_loop();
                }
                let _ = send.send(());
                drop(busy);
            });
            clock.timeout(Duration::from_secs(1), receive).await.unwrap().unwrap();
            clock.now()
        });
        assert_eq!(end.unwrap(), start);
    }
}
