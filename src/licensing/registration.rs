//! Which request a registered user needs next. Level-triggered like a plan: from what is wanted and what Apple has.

use jiff::Timestamp;

use crate::model::UserVerb;

/// What is wanted of a user under a location.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// It is another MDM's: left alone.
    AsIs,
    Registered,
    Retired,
}

impl Wanted {
    /// The word for the disk.
    pub fn word(self) -> &'static str {
        match self {
            Wanted::AsIs => "as-is",
            Wanted::Registered => "registered",
            Wanted::Retired => "retired",
        }
    }

    /// What a word means.
    pub fn from_word(word: &str) -> Option<Wanted> {
        [Wanted::AsIs, Wanted::Registered, Wanted::Retired].into_iter().find(|wanted| wanted.word() == word)
    }
}

/// What Apple is told of a user, beside the id.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Details {
    pub email: Option<String>,
    /// A Managed Apple Account.
    pub account: Option<String>,
}

/// How a user stands under a location.
#[derive(Debug, Clone)]
pub struct Registration<'a> {
    pub wanted: Wanted,
    /// Apple has it, not retired.
    pub active: bool,
    /// What the person is called now.
    pub details: &'a Details,
    /// What Apple was told last.
    pub told: &'a Details,
    /// Apple has refused it for good: only something else that is wanted changes that.
    pub refused: bool,
    pub not_before: Option<Timestamp>,
}

/// What to do about a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Need {
    Nothing,
    /// Later.
    After(Timestamp),
    /// Now, telling Apple these details.
    Now(UserVerb, Details),
}

/// What a user needs. A user who is wanted and whom Apple does not have, or has no longer, is registered (again) with
/// everything that is known; of one whom Apple has, only what Apple was not told yet is told.
pub fn need(registration: &Registration<'_>, now: Timestamp) -> Need {
    let Registration { wanted, active, details, told, refused, not_before } = registration;
    let (verb, details) = match (wanted, active) {
        (Wanted::Registered, false) => (UserVerb::Create, (*details).clone()),
        (Wanted::Registered, true) => (UserVerb::Update, untold(details, told)),
        (Wanted::Retired, true) => (UserVerb::Retire, Details::default()),
        (Wanted::Retired, false) | (Wanted::AsIs, _) => return Need::Nothing,
    };
    if *refused || (verb == UserVerb::Update && details == Details::default()) {
        return Need::Nothing;
    }
    match not_before {
        Some(at) if *at > now => Need::After(*at),
        _ => Need::Now(verb, details),
    }
}

/// What of the details Apple was not told. The case of an address or account says nothing.
fn untold(details: &Details, told: &Details) -> Details {
    let new = |wanted: &Option<String>, told: &Option<String>| {
        let same = |wanted: &String| told.as_ref().is_some_and(|told| told.eq_ignore_ascii_case(wanted));
        wanted.clone().filter(|wanted| !same(wanted))
    };
    Details { email: new(&details.email, &told.email), account: new(&details.account, &told.account) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn details(email: &str, account: &str) -> Details {
        let text = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Details { email: text(email), account: text(account) }
    }

    fn needs(wanted: Wanted, active: bool, now: &Details, told: &Details) -> Need {
        let registration = Registration { wanted, active, details: now, told, refused: false, not_before: None };
        need(&registration, Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn what_is_wanted_and_what_is_there_decide() {
        let (anna, none) = (details("a@x.example", "a@m.example"), Details::default());
        for (wanted, active, told, expected) in [
            (Wanted::Registered, false, &none, Need::Now(UserVerb::Create, anna.clone())),
            // Gone without our doing: registered again with everything, though Apple was told before.
            (Wanted::Registered, false, &anna, Need::Now(UserVerb::Create, anna.clone())),
            (Wanted::Registered, true, &anna, Need::Nothing),
            (Wanted::Registered, true, &details("A@X.example", "a@M.example"), Need::Nothing),
            (
                Wanted::Registered,
                true,
                &details("old@x.example", "a@m.example"),
                Need::Now(UserVerb::Update, details("a@x.example", "")),
            ),
            (
                Wanted::Registered,
                true,
                &details("a@x.example", ""),
                Need::Now(UserVerb::Update, details("", "a@m.example")),
            ),
            (Wanted::Retired, true, &anna, Need::Now(UserVerb::Retire, none.clone())),
            (Wanted::Retired, false, &anna, Need::Nothing),
            (Wanted::AsIs, true, &none, Need::Nothing),
            (Wanted::AsIs, false, &none, Need::Nothing),
        ] {
            assert_eq!(needs(wanted, active, &anna, told), expected, "{wanted:?} {active} {told:?}");
        }
    }

    #[test]
    fn an_account_that_is_no_longer_named_is_not_taken_back() {
        assert_eq!(
            needs(Wanted::Registered, true, &details("a@x.example", ""), &details("a@x.example", "a@m.example")),
            Need::Nothing
        );
    }

    #[test]
    fn what_apple_refused_rests_and_what_failed_waits() {
        let (details, told) = (details("a@x.example", ""), Details::default());
        let now: Timestamp = "2026-11-02T06:00:00Z".parse().unwrap();
        let later = crate::clock::after(now, std::time::Duration::from_secs(60));
        let mut registration = Registration {
            wanted: Wanted::Registered,
            active: false,
            details: &details,
            told: &told,
            refused: false,
            not_before: Some(later),
        };
        assert_eq!(need(&registration, now), Need::After(later));
        assert!(matches!(need(&registration, later), Need::Now(..)));
        registration.refused = true;
        assert_eq!(need(&registration, later), Need::Nothing);
    }
}
