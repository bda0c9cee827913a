//! When: pure rules for what happens by the clock. Whoever runs them brings the time.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::clock::after;
use crate::config::Sync;

/// When a location is to be synced next; `None` while it has never been synced. Each location has its own fixed place
/// within the span, so that a thousand appliances, and the locations of one, do not call Apple in the same second. A run
/// that was missed is made up once.
pub fn next_sync(last_synced: Option<Timestamp>, uid: &str, sync: &Sync) -> Option<Timestamp> {
    let last = last_synced?;
    Some(after(after(last, sync.interval), place_in(sync.spread, uid)))
}

/// Whether a sync that was asked for at `asked_at` is to be a full one: by hand always, by the clock when the last full one
/// is too long ago.
pub fn full_sync_due(
    last_full: Option<Timestamp>,
    last_synced: Option<Timestamp>,
    sync: &Sync,
    asked_at: Timestamp,
) -> bool {
    let (Some(last_full), Some(last_synced)) = (last_full, last_synced) else { return true };
    let by_the_clock = asked_at >= after(last_synced, sync.interval);
    !by_the_clock || asked_at >= after(last_full, sync.full_interval)
}

/// A fixed place within `span` for each name.
fn place_in(span: Duration, name: &str) -> Duration {
    // FNV-1a: any even spread will do, and it must be the same tomorrow.
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

/// How long finished commands, events and tasks are kept.
pub const KEPT: SignedDuration = SignedDuration::from_hours(24 * 30);

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hours: i64) -> Timestamp {
        Timestamp::from_second(hours * 3600).unwrap()
    }

    #[test]
    fn syncs_are_spread_and_each_location_keeps_its_place() {
        let sync = Sync::default();
        let next = |uid| next_sync(Some(at(0)), uid, &sync).unwrap();
        assert_eq!(next("7300112233445566"), next("7300112233445566"));
        assert_ne!(next("7300112233445566"), next("7300112233445567"));
        for uid in ["1", "2", "3", "7300112233445566"] {
            assert!(next(uid) >= at(12) && next(uid) <= after(at(12), sync.spread));
        }
        assert_eq!(next_sync(None, "1", &sync), None);
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
    fn by_hand_is_full_and_by_the_clock_once_a_week() {
        let sync = Sync::default();
        let full = |last_full, last, asked| full_sync_due(last_full, last, &sync, asked);
        assert!(full(None, None, at(0)), "the first");
        assert!(full(Some(at(0)), Some(at(0)), at(1)), "by hand");
        assert!(!full(Some(at(0)), Some(at(0)), at(13)), "by the clock");
        assert!(full(Some(at(0)), Some(at(156)), at(168)), "after a week");
    }
}
