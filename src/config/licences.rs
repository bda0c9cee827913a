//! `[licences]`: what may be taken back unasked, and what is warned of.

use std::time::Duration;

use super::duration::days;
use super::reader::Section;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Licences {
    /// A plan that takes back more than this share of the licences vppd has given, in percent, is held.
    pub hold_above: u32,
    /// So many may always go.
    pub hold_at_least: u32,
    /// From so many that wait for a licence of an app an alert is raised.
    pub warn_waiting: u32,
    /// An alert is raised when the licences of an app will be used up within this time.
    pub warn_used_up: Duration,
}

impl Default for Licences {
    fn default() -> Licences {
        Licences { hold_above: 25, hold_at_least: 20, warn_waiting: 1, warn_used_up: days(14) }
    }
}

impl Licences {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Licences {
        let default = Licences::default();
        Licences {
            hold_above: section.number("hold-above", default.hold_above, 0..=100),
            hold_at_least: section.number("hold-at-least", default.hold_at_least, 0..=1_000_000),
            warn_waiting: section.number("warn-waiting", default.warn_waiting, 1..=1_000_000),
            warn_used_up: section.duration("warn-used-up", default.warn_used_up),
        }
    }
}
