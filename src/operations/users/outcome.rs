//! What became of a request for one user, and what that means for the user: Apple's numbers, the pauses, the words.

use std::time::Duration;

use jiff::Timestamp;

use crate::apple::error::meaning;
use crate::clock::after;
use crate::licensing::registration::Details;
use crate::model::{UserStatus, UserVerb};
use crate::store::persons::Person;
use crate::store::user_events::Change;
use crate::store::users::{Record, Trouble, User};

/// The first pause before Apple is asked again for a user; doubled with each try.
const COOL_DOWN: Duration = Duration::from_secs(15 * 60);
/// No such registered user.
const NO_SUCH_USER: i64 = 9609;
const ACCOUNT_UNUSABLE: i64 = 9635;
const ACCOUNT_TAKEN: i64 = 9641;
/// The `clientUserId` is registered already.
const REGISTERED_ALREADY: i64 = 9716;
const BAD_EMAIL: i64 = 9717;

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    Done,
    /// Apple has had the user before: what it was told then is not known.
    There,
    /// Apple has no such user, though we thought so: it is registered again.
    Gone,
    /// Not asked again until something else is wanted.
    Refused(i64),
    /// Tried again after a pause.
    Later(Option<i64>),
    /// Certainly not done, through no fault of the user.
    Released,
    /// The same, and the user may spoil the request for others: sent alone from now on.
    Apart,
}

/// What Apple's number means for a user. The `clientUserId`s are ours alone, so a user who is there already is ours; and one
/// who is not there is retired.
pub(super) fn of_failure(verb: UserVerb, number: Option<i64>) -> Outcome {
    match (verb, number) {
        (UserVerb::Create, Some(REGISTERED_ALREADY)) => Outcome::There,
        (UserVerb::Retire, Some(NO_SUCH_USER)) => Outcome::Done,
        (_, Some(NO_SUCH_USER)) => Outcome::Gone,
        (_, Some(number @ (ACCOUNT_UNUSABLE | ACCOUNT_TAKEN | BAD_EMAIL))) => Outcome::Refused(number),
        (_, number) => Outcome::Later(number),
    }
}

/// Whether a number speaks of one user, not of the request as such.
pub(super) fn is_about_one(number: Option<i64>) -> bool {
    matches!(number, Some(NO_SUCH_USER | ACCOUNT_UNUSABLE | ACCOUNT_TAKEN | REGISTERED_ALREADY | BAD_EMAIL))
}

/// Whether the user, as listed, has what was asked for.
pub(super) fn is_done(user: &User, verb: UserVerb, asked: &Details) -> bool {
    let email = || asked.email.as_ref().is_none_or(|email| email.eq_ignore_ascii_case(&user.record.email));
    let account = || asked.account.is_none() || user.record.status == UserStatus::Associated;
    match verb {
        UserVerb::Create => user.is_active(),
        UserVerb::Update => user.is_active() && email() && account(),
        UserVerb::Retire => !user.is_active(),
    }
}

/// Writes down what became of a change that was intended at `intended_at`.
pub(super) fn note(
    user: &mut User,
    verb: UserVerb,
    change: &Change,
    outcome: &Outcome,
    intended_at: Timestamp,
    now: Timestamp,
) {
    match outcome {
        Outcome::Done => done(user, verb, &change.details, now),
        Outcome::There => {
            let status = if user.is_active() { user.record.status.clone() } else { UserStatus::Registered };
            user.see(Record { status, ..user.record.clone() }, now);
            user.told = Details::default();
            try_again(&mut user.trouble, now);
        }
        Outcome::Gone => {
            user.see(Record::none(), now);
            try_again(&mut user.trouble, now);
        }
        // Whoever has changed the wish since wants it tried.
        Outcome::Refused(_) | Outcome::Later(_) if user.wanted_at > intended_at => {}
        Outcome::Refused(number) => {
            user.trouble =
                Trouble { number: Some(*number), words: words(Some(*number)), refused: true, ..Trouble::default() };
        }
        Outcome::Later(number) => {
            let trouble = &mut user.trouble;
            trouble.not_before = Some(pause(trouble.tries, now));
            (trouble.tries, trouble.number, trouble.words) = (trouble.tries + 1, *number, words(*number));
        }
        Outcome::Released => {}
        Outcome::Apart => user.trouble.apart = true,
    }
}

fn done(user: &mut User, verb: UserVerb, asked: &Details, now: Timestamp) {
    let told = |new: &Option<String>, old: &mut Option<String>| {
        if new.is_some() {
            old.clone_from(new);
        }
    };
    let mut record = user.record.clone();
    match verb {
        UserVerb::Create => {
            user.told = asked.clone();
            record.email = asked.email.clone().unwrap_or_default();
            if !user.is_active() {
                record.status = match asked.account {
                    Some(_) => UserStatus::Associated,
                    None => UserStatus::Registered,
                };
            }
        }
        UserVerb::Update => {
            told(&asked.email, &mut user.told.email);
            told(&asked.account, &mut user.told.account);
            record.email = asked.email.clone().unwrap_or(record.email);
        }
        UserVerb::Retire if user.is_active() => {
            (record.status, record.invite_code) = (UserStatus::Retired, None);
        }
        UserVerb::Retire => {}
    }
    user.see(record, now);
    user.trouble = Trouble::default();
}

/// The first time at once, from then on after growing pauses: Apple contradicts itself, or somebody works against us.
fn try_again(trouble: &mut Trouble, now: Timestamp) {
    trouble.not_before = trouble.tries.checked_sub(1).map(|tries| pause(tries, now));
    trouble.tries += 1;
}

/// A quarter of an hour, doubled with each try up to a day.
fn pause(tries: u32, now: Timestamp) -> Timestamp {
    after(now, COOL_DOWN.saturating_mul(1 << tries.min(6)))
}

fn words(number: Option<i64>) -> String {
    match number {
        Some(number) => match meaning(number) {
            Some(words) => format!("Apple: {words} ({number})"),
            None => format!("Apple gives the number {number}"),
        },
        None => "Apple gives no reason".into(),
    }
}

/// What a person can do about a number.
pub(super) fn advice(number: Option<i64>, person: &Person, location: &str) -> String {
    let id = person.id;
    match number {
        Some(ACCOUNT_UNUSABLE) => format!(
            "The account must be a Managed Apple Account of the organisation that the content token belongs to, and the user \
             must not be linked to another one. Name another account, or an empty one so that the person is invited: \
             vppd user edit {id} --managed-apple-account ACCOUNT"
        ),
        Some(ACCOUNT_TAKEN) => format!(
            "One account goes with one user of a location. Retire the other user (perhaps one that another MDM made: \
             vppd token foreign-users \"{location}\"), then say the account again; or name another one: \
             vppd user edit {id} --managed-apple-account ACCOUNT"
        ),
        Some(BAD_EMAIL) => format!("Give a valid address: vppd user edit {id} --email ADDRESS"),
        Some(_) | None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::licensing::registration::Wanted;
    use crate::model::LocationId;

    fn now() -> Timestamp {
        "2026-11-02T06:00:00Z".parse().unwrap()
    }

    fn user() -> User {
        User::new(LocationId(1), "guid", None, Wanted::Registered, now())
    }

    fn change(email: &str) -> Change {
        let details = Details { email: Some(email.into()), account: None };
        Change { client_user_id: "guid".into(), details }
    }

    #[test]
    fn numbers_mean_something_else_for_each_verb() {
        use UserVerb::*;
        for (verb, number, expected) in [
            (Create, Some(9716), Outcome::There),
            (Update, Some(9716), Outcome::Later(Some(9716))),
            (Create, Some(9641), Outcome::Refused(9641)),
            (Update, Some(9635), Outcome::Refused(9635)),
            (Update, Some(9609), Outcome::Gone),
            (Retire, Some(9609), Outcome::Done),
            (Create, Some(9717), Outcome::Refused(9717)),
            (Retire, Some(9603), Outcome::Later(Some(9603))),
            (Create, None, Outcome::Later(None)),
        ] {
            assert_eq!(of_failure(verb, number), expected, "{verb:?} {number:?}");
        }
    }

    #[test]
    fn a_user_who_vanishes_again_and_again_is_registered_after_growing_pauses() {
        let mut user = user();
        let mut pauses = Vec::new();
        for _ in 0..4 {
            note(&mut user, UserVerb::Update, &change("a@x.example"), &Outcome::Gone, now(), now());
            pauses.push(user.trouble.not_before.map_or(0, |at| at.duration_since(now()).as_mins()));
        }
        assert_eq!(pauses, [0, 15, 30, 60]);
        note(&mut user, UserVerb::Create, &change("a@x.example"), &Outcome::Done, now(), now());
        assert_eq!(user.trouble, Trouble::default());
    }

    #[test]
    fn a_refusal_of_an_older_wish_is_forgotten() {
        let mut user = user();
        user.want(Wanted::Retired, after(now(), std::time::Duration::from_secs(5)));
        note(&mut user, UserVerb::Update, &change("a@x.example"), &Outcome::Refused(9635), now(), now());
        assert_eq!(user.trouble, Trouble::default());
    }

    #[test]
    fn what_a_user_who_was_there_had_been_told_is_told_again() {
        let mut user = user();
        note(&mut user, UserVerb::Create, &change("a@x.example"), &Outcome::There, now(), now());
        assert!(user.is_active());
        assert_eq!(user.told, Details::default());
    }
}
