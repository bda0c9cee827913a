//! `[licences]`: after how long licences go back though nobody has said that they may, what is held, what is warned of.

use std::time::Duration;

use super::duration::days;
use super::reader::Section;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Licences {
    /// A removal that no device has confirmed for so long is taken as done.
    pub offline_limit: Duration,
    /// A device that was silent for so long is treated as gone; `None`: never.
    pub silent_after: Option<Duration>,
    /// An install that was declined or has failed for good keeps its licence for so long.
    pub rejected_after: Duration,
    /// How long a licence is held without the app being there before `vppd app waste` tells it.
    pub wasted_after: Duration,
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
        Licences {
            offline_limit: days(30),
            silent_after: None,
            rejected_after: days(7),
            wasted_after: days(30),
            hold_above: 25,
            hold_at_least: 20,
            warn_waiting: 1,
            warn_used_up: days(14),
        }
    }
}

impl Licences {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Licences {
        let default = Licences::default();
        let silent_after = section.interval("silent-after", days(180));
        Licences {
            offline_limit: section.interval("offline-limit", default.offline_limit),
            silent_after: section.has("silent-after").then_some(silent_after),
            rejected_after: section.interval("rejected-after", default.rejected_after),
            wasted_after: section.duration("wasted-after", default.wasted_after),
            hold_above: section.number("hold-above", default.hold_above, 0..=100),
            hold_at_least: section.number("hold-at-least", default.hold_at_least, 0..=1_000_000),
            warn_waiting: section.number("warn-waiting", default.warn_waiting, 1..=1_000_000),
            warn_used_up: section.duration("warn-used-up", default.warn_used_up),
        }
    }
}
