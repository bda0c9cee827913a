//! When: pure rules for what happens by the clock. Whoever runs them brings the time.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::clock::after;
use crate::config::Sync;

/// How often one location is synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    pub interval: Duration,
    pub full_interval: Duration,
    /// Each run is put off by a time up to this.
    pub spread: Duration,
}

impl Pace {
    /// The settings, with what was said of the location itself in their place.
    pub fn of(settings: &Sync, interval: Option<Duration>, full_interval: Option<Duration>) -> Pace {
        let interval = interval.unwrap_or(settings.interval);
        let full_interval = full_interval.unwrap_or(settings.full_interval).max(interval);
        Pace { interval, full_interval, spread: settings.spread }
    }
}

/// When a location is to be synced next; `None` while it has never been synced. Each run has a place of its own within the
/// span, the same after a restart, so that a thousand appliances, and the locations of one, do not call Apple in the same
/// second. A run that was missed is made up once: the next one counts from it.
pub fn next_sync(
    last_synced: Option<Timestamp>,
    last_full: Option<Timestamp>,
    uid: &str,
    pace: &Pace,
) -> Option<Timestamp> {
    let last = last_synced?;
    let due = after(last, pace.interval).min(after(last_full.unwrap_or(last), pace.full_interval));
    Some(after(due, place_in(pace.spread, &format!("{uid} {}", last.as_microsecond()))))
}

/// Whether a sync by the clock is to be a full one. One that a person asks for always is.
pub fn full_sync_due(last_full: Option<Timestamp>, pace: &Pace, now: Timestamp) -> bool {
    last_full.is_none_or(|last_full| now >= after(last_full, pace.full_interval))
}

/// A fixed place within `span` for each name.
fn place_in(span: Duration, name: &str) -> Duration {
    // FNV-1a: any even spread will do, and it must be the same after a restart.
    let hash = name
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    span.mul_f64((hash >> 11) as f64 / (1u64 << 53) as f64)
}

/// Days before its end at which a content token or a certificate is warned of.
const WARN_DAYS: [i64; 6] = [1, 3, 7, 14, 30, 60];

/// The closest of the warning thresholds that has been reached, in days; 0 once it has ended, `None` while it is far off.
pub fn expiry_threshold(ends: Timestamp, now: Timestamp) -> Option<i64> {
    let left = ends.duration_since(now);
    if left <= SignedDuration::ZERO {
        return Some(0);
    }
    WARN_DAYS.into_iter().find(|days| left <= SignedDuration::from_hours(24 * days))
}

/// Whether an identity is to be renewed: two thirds of its life are over.
pub fn renewal_due(issued_at: Timestamp, not_after: Timestamp, now: Timestamp) -> bool {
    now.duration_since(issued_at) >= not_after.duration_since(issued_at) / 3 * 2
}

/// How long finished commands, events and tasks are kept.
pub const KEPT: SignedDuration = SignedDuration::from_hours(24 * 30);

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hours: i64) -> Timestamp {
        Timestamp::from_second(hours * 3600).unwrap()
    }

    #[test]
    fn syncs_are_spread_over_the_whole_span_and_each_run_keeps_its_place() {
        let pace = Pace::of(&Sync::default(), None, None);
        let next = |uid: &str, last| next_sync(Some(at(last)), Some(at(0)), uid, &pace).unwrap();
        assert_eq!(next("7300112233445566", 0), next("7300112233445566", 0));
        assert_eq!(next_sync(None, None, "1", &pace), None);
        let minutes_late: Vec<i64> = (0..1000)
            .map(|location| {
                next(&(7_300_112_233_445_566u64 + location).to_string(), 0).duration_since(at(12)).as_mins()
            })
            .collect();
        for tenth in 0..10 {
            let there = minutes_late.iter().filter(|minute| (tenth * 3..tenth * 3 + 3).contains(*minute)).count();
            assert!((50..=150).contains(&there), "{there} of 1000 in the {tenth}th tenth of the span");
        }
        let places: std::collections::BTreeSet<i64> =
            (0..100).map(|run| next("1", run).duration_since(at(run + 12)).as_secs()).collect();
        assert!(places.len() > 50, "another place for each run");
    }

    #[test]
    fn a_location_may_have_a_pace_of_its_own() {
        let hours = |count: u64| Duration::from_secs(count * 3600);
        let pace = |interval, full| Pace { spread: Duration::ZERO, ..Pace::of(&Sync::default(), interval, full) };
        let next = |pace: &Pace, last, last_full| next_sync(Some(at(last)), Some(at(last_full)), "1", pace).unwrap();
        assert_eq!(next(&pace(None, None), 100, 90), at(112));
        assert_eq!(next(&pace(Some(hours(6)), None), 100, 90), at(106));
        assert_eq!(next(&pace(Some(hours(6)), Some(hours(12))), 100, 90), at(102), "the full one comes in between");
        assert_eq!(pace(Some(hours(2400)), None).full_interval, hours(2400), "never shorter than the other");
    }

    #[test]
    fn the_closest_threshold_counts() {
        let threshold = |hours_left: i64| expiry_threshold(at(10_000 + hours_left), at(10_000));
        assert_eq!(threshold(61 * 24), None);
        assert_eq!(threshold(60 * 24), Some(60));
        assert_eq!(threshold(30 * 24 + 1), Some(60));
        assert_eq!(threshold(10 * 24), Some(14));
        assert_eq!(threshold(5), Some(1));
        assert_eq!(threshold(0), Some(0));
        assert_eq!(threshold(-900), Some(0));
    }

    #[test]
    fn section_3_5_an_identity_is_renewed_at_two_thirds_of_its_life() {
        assert!(!renewal_due(at(0), at(300), at(199)));
        assert!(renewal_due(at(0), at(300), at(200)) && renewal_due(at(0), at(300), at(400)));
    }

    #[test]
    fn one_a_week_is_a_full_one() {
        let pace = Pace::of(&Sync::default(), None, None);
        assert!(full_sync_due(None, &pace, at(0)), "the first");
        assert!(!full_sync_due(Some(at(0)), &pace, at(13)));
        assert!(full_sync_due(Some(at(0)), &pace, at(168)), "after a week");
    }
}
