//! How long the licences of an app will last, from how many were used on each day.
//!
//! Example: two weeks ago 40 of 100 were used, today 75. That is 2.5 a day, so the 25 that are left last for ten days.
//! Whoever waits already comes first: with 12 devices waiting and nothing free, 12 more are needed, today.

use jiff::ToSpan;
use jiff::civil::{Date, Weekday};

/// The days that are looked back on, at most: longer ago is another time of the school year.
pub const WINDOW: i32 = 14;

/// A rate is told from so many days on.
const LEAST: i32 = 3;

/// What is further away than this is not told: nobody acts on it.
const FURTHEST: f64 = 366.0;

/// How many licences were used at the end of a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Used {
    pub day: Date,
    pub used: u64,
}

/// How the licences of an app stand now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Standing {
    pub free: u64,
    /// Devices and people that wait for one.
    pub waiting: u64,
    pub unlimited: bool,
}

/// What is to come.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Forecast {
    /// Licences that would have to be bought so that nobody waits.
    pub needed: u64,
    /// More licences used a day, of late; 0 when it does not grow or is not known.
    pub per_day: f64,
    /// The day on which the last one is used, at this rate.
    pub used_up: Option<Date>,
}

/// Looks ahead. `history` may be in any order and hold any days.
pub fn forecast(standing: Standing, history: &[Used], today: Date) -> Forecast {
    if standing.unlimited {
        return Forecast::default();
    }
    let needed = standing.waiting.saturating_sub(standing.free);
    let per_day = growth(history, today);
    let days = standing.free as f64 / per_day;
    let ahead = (per_day > 0.0 && needed == 0 && days <= FURTHEST).then(|| (days.ceil() as i64).days());
    Forecast { needed, per_day, used_up: ahead.and_then(|ahead| today.checked_add(ahead).ok()) }
}

/// The growth a day between the first and the last day of the window.
fn growth(history: &[Used], today: Date) -> f64 {
    let ago = |used: &Used| (today - used.day).get_days();
    let recent = || history.iter().filter(|used| (0..=WINDOW).contains(&ago(used)));
    let (Some(first), Some(last)) = (recent().max_by_key(|used| ago(used)), recent().min_by_key(|used| ago(used)))
    else {
        return 0.0;
    };
    let days = ago(first) - ago(last);
    if days < LEAST {
        return 0.0;
    }
    last.used.saturating_sub(first.used) as f64 / f64::from(days)
}

impl Forecast {
    /// In words; empty when there is nothing to tell.
    pub fn words(&self) -> String {
        let needed = (self.needed > 0).then(|| format!("{} more needed now", self.needed));
        let used_up = self.used_up.map(|day| {
            format!("at this rate ({:.1} a day) used up on {}, {day}", self.per_day, weekday(day.weekday()))
        });
        needed.into_iter().chain(used_up).collect::<Vec<_>>().join("; ")
    }
}

fn weekday(day: Weekday) -> &'static str {
    match day {
        Weekday::Monday => "Monday",
        Weekday::Tuesday => "Tuesday",
        Weekday::Wednesday => "Wednesday",
        Weekday::Thursday => "Thursday",
        Weekday::Friday => "Friday",
        Weekday::Saturday => "Saturday",
        Weekday::Sunday => "Sunday",
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::date;
    use proptest::prelude::*;

    use super::*;

    const TODAY: Date = date(2026, 11, 27);

    fn used(days_ago: i64, used: u64) -> Used {
        Used { day: TODAY - days_ago.days(), used }
    }

    fn free(free: u64) -> Standing {
        Standing { free, ..Standing::default() }
    }

    #[test]
    fn the_worked_example() {
        let found = forecast(free(25), &[used(14, 40), used(7, 60), used(0, 75)], TODAY);
        assert_eq!(found, Forecast { needed: 0, per_day: 2.5, used_up: Some(date(2026, 12, 7)) });
        assert_eq!(found.words(), "at this rate (2.5 a day) used up on Monday, 2026-12-07");
    }

    #[test]
    fn whoever_waits_comes_first() {
        let standing = Standing { waiting: 12, ..free(0) };
        let found = forecast(standing, &[used(14, 40), used(0, 75)], TODAY);
        assert_eq!((found.needed, found.used_up), (12, None));
        assert_eq!(found.words(), "12 more needed now");
        assert_eq!(forecast(Standing { unlimited: true, ..standing }, &[], TODAY), Forecast::default());
    }

    #[test]
    fn nothing_is_told_of_what_does_not_grow_or_is_not_known_for_long() {
        for history in [vec![], vec![used(0, 9)], vec![used(2, 1), used(0, 9)], vec![used(9, 9), used(0, 4)]] {
            assert_eq!(forecast(free(5), &history, TODAY), Forecast::default(), "{history:?}");
        }
        // A year is too far, and what is older than the window does not count.
        assert_eq!(forecast(free(9_000), &[used(10, 1), used(0, 2)], TODAY).used_up, None);
        assert_eq!(forecast(free(5), &[used(15, 1), used(0, 20)], TODAY), Forecast::default());
    }

    proptest! {
        #[test]
        fn at_the_rate_told_the_free_ones_last_until_that_day_and_not_a_day_longer(
            left in 0..2_000u64, days in 3..=14i64, before in 0..500u64, more in 1..500u64,
        ) {
            let found = forecast(free(left), &[used(days, before), used(0, before + more)], TODAY);
            prop_assert!((found.per_day - more as f64 / days as f64).abs() < 1e-9);
            if let Some(day) = found.used_up {
                let ahead = f64::from((day - TODAY).get_days());
                prop_assert!(found.per_day * ahead >= left as f64 - 1e-6);
                prop_assert!(found.per_day * (ahead - 1.0) < left as f64);
            }
        }
    }
}
