//! `[sync]`: when Apple's records are read.

use std::time::Duration;

use super::duration::{days, hours, minutes};
use super::reader::Section;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sync {
    /// Between reads of what has changed.
    pub interval: Duration,
    /// Between full reads; never shorter than `interval`.
    pub full_interval: Duration,
    /// Between looks at the assets for which somebody waits.
    pub waiting_interval: Duration,
    /// Each read is put off by a random time up to this, so that many servers do not call at once.
    pub spread: Duration,
}

impl Default for Sync {
    fn default() -> Sync {
        Sync { interval: hours(12), full_interval: days(7), waiting_interval: minutes(5), spread: minutes(30) }
    }
}

impl Sync {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Sync {
        let default = Sync::default();
        let sync = Sync {
            interval: section.interval("interval", default.interval),
            full_interval: section.interval("full-interval", default.full_interval),
            waiting_interval: section.interval("waiting-interval", default.waiting_interval),
            spread: section.duration("spread", default.spread),
        };
        if sync.full_interval < sync.interval {
            let key = if section.has("full-interval") { "full-interval" } else { "interval" };
            let advice = "a full read is the rarer one: make `full-interval` at least as long as `interval`";
            section.fault(key, "`full-interval` is shorter than `interval`", advice);
        }
        sync
    }
}
