//! Durations as people write them: `90s`, `15m`, `12h`, `7d`. A day is 24 hours.

use std::time::Duration;

use jiff::{Span, SpanRelativeTo};

/// Ten years; anything longer is a slip of the hand.
const LONGEST: Duration = Duration::from_secs(3650 * 86_400);

const DAY: u64 = 86_400;

/// Reads a duration. `None` when it is none, is negative, or is longer than ten years.
pub fn parse(text: &str) -> Option<Duration> {
    let span: Span = text.trim().parse().ok()?;
    let duration = span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()?;
    Duration::try_from(duration).ok().filter(|duration| *duration <= LONGEST)
}

/// Writes a duration in the largest unit that leaves no rest, so that [`parse`] reads it back.
pub fn show(duration: Duration) -> String {
    let (seconds, millis) = (duration.as_secs(), duration.subsec_millis());
    match seconds {
        _ if millis > 0 => format!("{}ms", duration.as_millis()),
        0 => "0s".to_owned(),
        _ if seconds % DAY == 0 => format!("{}d", seconds / DAY),
        _ if seconds % 3600 == 0 => format!("{}h", seconds / 3600),
        _ if seconds % 60 == 0 => format!("{}m", seconds / 60),
        _ => format!("{seconds}s"),
    }
}

/// Writes a list as TOML does.
pub(super) fn show_list(durations: &[Duration]) -> String {
    let texts: Vec<String> = durations.iter().map(|duration| format!("\"{}\"", show(*duration))).collect();
    format!("[{}]", texts.join(", "))
}

pub(super) const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(super) const fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(minutes * 60)
}

pub(super) const fn hours(hours: u64) -> Duration {
    Duration::from_secs(hours * 3600)
}

pub(super) const fn days(days: u64) -> Duration {
    Duration::from_secs(days * DAY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_people_write_them() {
        for (text, seconds) in
            [("90s", 90), ("15m", 900), ("12h", 43_200), ("7d", 604_800), ("1h 30m", 5400), ("0s", 0)]
        {
            assert_eq!(parse(text), Some(Duration::from_secs(seconds)), "{text}");
        }
        assert_eq!(parse("500ms"), Some(Duration::from_millis(500)));
        for text in ["", "20", "soon", "-5s", "1 month", "4000d", "20s20"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_shown_duration_reads_back() {
        for text in ["500ms", "20s", "15m", "12h", "730d", "0s", "61s"] {
            assert_eq!(parse(text).map(show).as_deref(), Some(text));
        }
    }
}
