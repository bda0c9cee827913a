//! Readers that lag behind writers: the switch `lag-seconds`. Only then is the past kept.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::location::Location;

/// Pictures of a location, one after each write.
#[derive(Clone)]
pub(super) struct Past {
    lag: SignedDuration,
    pictures: VecDeque<(Timestamp, Arc<Location>)>,
}

impl Location {
    /// From now on readers see what was `seconds` ago; with 0 what is.
    pub(super) fn lag(&mut self, seconds: u64) {
        let lag = SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX));
        match &mut self.past {
            _ if lag.is_zero() => self.past = None,
            Some(past) => past.lag = lag,
            None => {
                let pictures = VecDeque::from([(Timestamp::MIN, self.picture())]);
                self.past = Some(Past { lag, pictures });
            }
        }
    }

    /// Keeps how it is after a write.
    pub(super) fn remember(&mut self, now: Timestamp) {
        if self.past.is_none() {
            return;
        }
        let picture = self.picture();
        let Some(past) = &mut self.past else { return };
        past.pictures.push_back((now, picture));
        // Of those that everybody can see by now the newest is enough.
        while past.pictures.get(1).is_some_and(|(at, _)| now.duration_since(*at) >= past.lag) {
            past.pictures.pop_front();
        }
    }

    /// What a reader sees now, when that is not the location itself.
    pub(super) fn seen(&self, now: Timestamp) -> Option<Arc<Location>> {
        let past = self.past.as_ref()?;
        let visible = past.pictures.iter().rev().find(|(at, _)| now.duration_since(*at) >= past.lag);
        visible.or(past.pictures.front()).map(|(_, picture)| picture.clone())
    }

    fn picture(&self) -> Arc<Location> {
        Arc::new(Location { past: None, events: HashMap::new(), recent: VecDeque::new(), ..self.clone() })
    }
}
