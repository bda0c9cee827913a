//! At which points vppd is to be killed in one run, and which of them were reached. All from the seed.

use std::collections::{HashMap, VecDeque};
use std::ffi::OsString;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::chance::Chance;
use crate::supervisor::{KillPlan, Supervisor, When};

/// A point at which vppd is killed, counted from the start of vppd that comes before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Point {
    /// At its n-th request to the sandbox.
    Request { number: u64, when: When },
    /// At its n-th fault point, before or after a commit or a call.
    Fault { number: u64 },
}

/// How many points of each kind a run without kills passes.
#[derive(Debug, Clone, Copy)]
pub struct Totals {
    pub requests: u64,
    pub faults: u64,
}

/// `count` points spread over a run: one in each of as many equal parts.
pub fn schedule(chance: &mut Chance, count: u64, totals: Totals) -> Vec<Point> {
    const PARTS: u64 = 1_000;
    let mut points = Vec::new();
    let mut before = 0;
    for part in 0..count {
        let at = (part * PARTS + chance.below(PARTS)) / count.max(1);
        let share = |total: u64| (total * (at - before)).div_ceil(PARTS).max(1);
        points.push(match chance.below(4) {
            0 => Point::Request { number: share(totals.requests), when: When::Before },
            1 => Point::Request { number: share(totals.requests), when: When::After },
            _ => Point::Fault { number: share(totals.faults) },
        });
        before = at;
    }
    points
}

/// `count` points one after another, each so far from the one before that on average `mean` lie between, for a run of which
/// nobody knows how long it will be.
pub fn one_after_another(chance: &mut Chance, count: u64, mean: Totals) -> Vec<Point> {
    let far = |chance: &mut Chance, mean: u64| 1 + chance.below(2 * mean.max(1));
    let point = |_| match chance.below(4) {
        0 => Point::Request { number: far(chance, mean.requests), when: When::Before },
        1 => Point::Request { number: far(chance, mean.requests), when: When::After },
        _ => Point::Fault { number: far(chance, mean.faults) },
    };
    (0..count).map(point).collect()
}

/// A point that was reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// In words.
    pub what: String,
}

/// The points of a run that are still to come.
#[derive(Clone, Default)]
pub struct Armed(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    waiting: VecDeque<Point>,
    current: Option<Point>,
    hits: Vec<Hit>,
    /// What vppd said about the fault point at which it ended.
    said: Option<String>,
}

/// What makes vppd end at its n-th fault point, and what makes it tell them all.
const FAULT_AT: &str = "VPPD_FAULT_AT";
pub const FAULT_TRACE: &str = "VPPD_FAULT_TRACE";

impl Armed {
    /// These points, one after another.
    pub fn with(points: Vec<Point>) -> Armed {
        Armed(Arc::new(Mutex::new(State { waiting: points.into(), ..State::default() })))
    }

    /// Before each start of vppd: the point that was armed was reached, and the next one is.
    pub fn next(&self, supervisor: &Supervisor, env: &mut HashMap<OsString, OsString>) {
        let requests = supervisor.requests();
        let mut state = self.state();
        if let Some(point) = state.current.take() {
            let what = match point {
                Point::Request { when: When::Before, .. } => format!("killed before request {requests} had its effect"),
                Point::Request { when: When::After, .. } => format!("killed after request {requests}, answer lost"),
                Point::Fault { .. } => state.said.take().unwrap_or_default(),
            };
            state.hits.push(Hit { what });
        }
        state.current = state.waiting.pop_front();
        match state.current {
            Some(Point::Request { number, when }) => {
                supervisor.plan(KillPlan { kill_at_request: number, when, restart: true });
            }
            Some(Point::Fault { number }) => {
                env.insert(FAULT_AT.into(), number.to_string().into());
            }
            None => {}
        }
    }

    /// vppd has ended by itself after these last words: true when it was to end at a fault point and says so.
    pub fn explains(&self, words: &str) -> bool {
        let mut state = self.state();
        let Some(Point::Fault { number }) = state.current else { return false };
        let expected = format!("fault point {number}: ");
        state.said = words.lines().rev().find(|line| line.starts_with(&expected)).map(str::to_owned);
        state.said.is_some()
    }

    /// The points reached so far.
    pub fn hits(&self) -> Vec<Hit> {
        self.state().hits.clone()
    }

    /// How many points are still to come.
    pub fn left(&self) -> usize {
        let state = self.state();
        state.waiting.len() + usize::from(state.current.is_some())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_are_spread_over_the_whole_run_and_repeat_with_the_seed() {
        let totals = Totals { requests: 1000, faults: 1000 };
        let made = |seed| schedule(&mut Chance::seeded(seed), 5, totals);
        assert_eq!(made(1), made(1));
        assert_ne!(made(1), made(2));
        for seed in 0..50 {
            let numbers = made(seed).into_iter().map(|point| match point {
                Point::Request { number, .. } | Point::Fault { number } => number,
            });
            let sum: u64 = numbers.sum();
            assert!((800..=1005).contains(&sum), "{sum}");
        }
    }

    #[test]
    fn points_one_after_another_are_near_each_other_and_repeat_with_the_seed() {
        let mean = Totals { requests: 10, faults: 100 };
        let made = |seed| one_after_another(&mut Chance::seeded(seed), 200, mean);
        assert_eq!(made(1), made(1));
        assert_ne!(made(1), made(2));
        assert!(made(1).iter().all(|point| match point {
            Point::Request { number, .. } => (1..=20).contains(number),
            Point::Fault { number } => (1..=200).contains(number),
        }));
    }

    #[test]
    fn each_start_arms_the_next_point_and_counts_the_one_before() {
        let armed = Armed::with(vec![Point::Fault { number: 7 }, Point::Request { number: 3, when: When::After }]);
        let supervisor = Supervisor::default();
        let mut env = HashMap::new();
        armed.next(&supervisor, &mut env);
        assert_eq!(env.get(&OsString::from(FAULT_AT)), Some(&OsString::from("7")));
        assert!(!armed.explains("panicked") && armed.explains("fault point 7: after a commit\nbye"));
        let mut env = HashMap::new();
        armed.next(&supervisor, &mut env);
        assert!(env.is_empty() && supervisor.view().plan.is_some());
        assert_eq!(armed.left(), 1);
        assert_eq!(armed.hits(), [Hit { what: "fault point 7: after a commit".to_owned() }]);
    }
}
