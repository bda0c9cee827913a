//! `[planner]`: the pace of decisions.

use std::time::Duration;

use super::duration::{days, hours, minutes, seconds};
use super::reader::Section;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planner {
    /// How long changes are collected before the next plan is made.
    pub settle: Duration,
    /// Waits before a failed step is tried again; the last is repeated. Never empty, ascending.
    pub retry_after: Vec<Duration>,
    /// Waits before a device is asked whether an app has arrived; the last is repeated. Never empty, ascending.
    pub verify_after: Vec<Duration>,
    /// After this many failures in a row a step is given up until something changes.
    pub max_attempts: u32,
    /// How long a device may work on one install before that counts as a failure.
    pub stuck_after: Duration,
    /// How long a device may ask its person, or put an install off.
    pub unanswered_after: Duration,
}

impl Default for Planner {
    fn default() -> Planner {
        let verify_after = vec![seconds(15), seconds(30), minutes(1), minutes(2), minutes(5), minutes(15), hours(1)];
        Planner {
            settle: Duration::from_millis(500),
            retry_after: vec![minutes(1), minutes(5), minutes(30), hours(4), hours(12)],
            verify_after,
            max_attempts: 6,
            stuck_after: days(1),
            unanswered_after: days(14),
        }
    }
}

impl Planner {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Planner {
        let default = Planner::default();
        Planner {
            settle: section.duration("settle", default.settle),
            retry_after: section.intervals("retry-after", &default.retry_after),
            verify_after: section.intervals("verify-after", &default.verify_after),
            max_attempts: section.number("max-attempts", default.max_attempts, 1..=100),
            stuck_after: section.duration("stuck-after", default.stuck_after),
            unanswered_after: section.duration("unanswered-after", default.unanswered_after),
        }
    }
}
