//! What the users of a location need now, packed into requests. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use crate::clock::after;
use crate::licensing::registration::{Details, Need, Registration, need};
use crate::model::UserVerb;
use crate::store::user_events::Change;
use crate::store::users::User;

/// What is needed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Needs {
    together: BTreeMap<UserVerb, Vec<Change>>,
    /// Each in a request of its own.
    alone: Vec<(UserVerb, Change)>,
    /// Of the wishes that are needed now.
    oldest: Option<Timestamp>,
    newest: Option<Timestamp>,
    /// When the next one is needed of those that have to wait.
    pub later: Option<Timestamp>,
}

impl Needs {
    /// Of users of whom something is wanted, with what the persons are called now.
    pub(super) fn of(wanted: Vec<(User, Details)>, now: Timestamp) -> Needs {
        let mut needs = Needs::default();
        for (user, details) in wanted {
            let registration = Registration {
                wanted: user.wanted,
                active: user.is_active(),
                details: &details,
                told: &user.told,
                refused: user.trouble.refused,
                not_before: user.trouble.not_before,
            };
            match need(&registration, now) {
                Need::Nothing => {}
                Need::After(at) => needs.later = needs.later.into_iter().chain([at]).min(),
                Need::Now(verb, details) => needs.add(verb, &user, details),
            }
        }
        needs
    }

    fn add(&mut self, verb: UserVerb, user: &User, details: Details) {
        self.oldest = self.oldest.into_iter().chain([user.wanted_at]).min();
        self.newest = self.newest.max(Some(user.wanted_at));
        let change = Change { client_user_id: user.client_user_id.clone(), details };
        match user.trouble.apart {
            true => self.alone.push((verb, change)),
            false => self.together.entry(verb).or_default().push(change),
        }
    }

    /// When to ask: wishes are collected for a moment, but not for ever. `None` when nothing is needed.
    pub(super) fn due(&self, settle: Duration) -> Option<Timestamp> {
        Some(after(self.newest?, settle).min(after(self.oldest?, settle.saturating_mul(10))))
    }

    /// Requests of at most so many users. Those who are to be retired come first: that may free an account for another user.
    pub(super) fn requests(self, most: usize) -> Vec<(UserVerb, Vec<Change>)> {
        let mut requests = Vec::new();
        for (verb, changes) in self.together.into_iter().rev() {
            requests.extend(changes.chunks(most.max(1)).map(|chunk| (verb, chunk.to_vec())));
        }
        requests.extend(self.alone.into_iter().map(|(verb, change)| (verb, vec![change])));
        requests
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::licensing::registration::Wanted;
    use crate::model::{LocationId, PersonId, UserStatus};
    use crate::store::users::Record;

    fn time(seconds: u64) -> Timestamp {
        after("2026-11-02T06:00:00Z".parse().unwrap(), Duration::from_secs(seconds))
    }

    fn user(number: u64, wanted: Wanted, active: bool) -> (User, Details) {
        let mut user = User::new(LocationId(1), &format!("{number:04}"), Some(PersonId(1)), wanted, time(number));
        if active {
            user.record = Record { status: UserStatus::Registered, ..Record::none() };
        }
        (user, Details { email: Some(format!("{number}@x.example")), account: None })
    }

    #[test]
    fn users_are_packed_into_requests_of_apples_size_and_retired_first() {
        let mut wanted: Vec<_> = (0..250).map(|number| user(number, Wanted::Registered, false)).collect();
        wanted.extend((250..253).map(|number| user(number, Wanted::Retired, true)));
        wanted[7].0.trouble.apart = true;
        let requests = Needs::of(wanted, time(300)).requests(100);
        let sizes: Vec<_> = requests.iter().map(|(verb, changes)| (*verb, changes.len())).collect();
        use UserVerb::{Create, Retire};
        assert_eq!(sizes, [(Retire, 3), (Create, 100), (Create, 100), (Create, 49), (Create, 1)]);
        assert_eq!(requests[4].1[0].client_user_id, "0007");
    }

    #[test]
    fn wishes_are_collected_for_a_moment_and_not_for_ever() {
        let settle = Duration::from_secs(2);
        let due = |wanted: Vec<_>| Needs::of(wanted, time(300)).due(settle);
        assert_eq!(due(Vec::new()), None);
        assert_eq!(due(vec![user(10, Wanted::Registered, false)]), Some(time(12)));
        assert_eq!(due((10..15).map(|number| user(number, Wanted::Registered, false)).collect()), Some(time(16)));
        assert_eq!(due((10..90).map(|number| user(number, Wanted::Registered, false)).collect()), Some(time(30)));
    }

    #[test]
    fn who_has_to_wait_says_until_when() {
        let (mut waits, details) = user(1, Wanted::Registered, false);
        waits.trouble.not_before = Some(time(900));
        let needs = Needs::of(vec![(waits, details), user(2, Wanted::Retired, false)], time(300));
        assert_eq!((needs.later, needs.due(Duration::ZERO)), (Some(time(900)), None));
    }
}
