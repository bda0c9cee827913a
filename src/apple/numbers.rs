//! Apple's error numbers: what each means and what is to be done about it, in one table (Apple: Handling Error Responses,
//! Service Configuration). [`super::error`] sorts answers by it, people read its words, and `docs/apple.md` shows it.

use super::error::TokenProblemKind;
use crate::model::Cause;

/// What is to be done when Apple gives a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Course {
    /// A person has to bring another content token.
    NewToken(TokenProblemKind),
    /// A person has to decide or to change something; the same request is not repeated before.
    AskPerson,
    /// Tried again by itself: the organisation has asked too fast.
    Slower,
    /// Tried again by itself, after minutes.
    Maintenance,
    /// Tried again by itself, when Apple says.
    Later,
    /// A read is tried again. A change may have been carried out: a listing tells, then it is tried again.
    LookFirst,
    /// Tried again by itself, after what we know was read anew.
    ReadAnew,
    /// Tried again by itself in smaller parts, after the limits were read anew.
    Smaller,
    /// Nobody but us can mend it: the request should never have been made.
    OurBug,
}

/// Every number that Apple has documented, and 9622, which it has not but sends; in order.
pub const NUMBERS: [(i64, Course, &str); 54] = [
    (9601, Course::NewToken(TokenProblemKind::Rejected), "the content token is not accepted"),
    (9602, Course::OurBug, "an argument is not valid"),
    (9603, Course::LookFirst, "Apple's service failed internally"),
    (9609, Course::AskPerson, "there is no such registered user"),
    (9621, Course::NewToken(TokenProblemKind::Expired), "the content token has expired"),
    (9622, Course::NewToken(TokenProblemKind::Rejected), "the content token is not valid"),
    (9623, Course::OurBug, "a push token is not valid"),
    (9625, Course::NewToken(TokenProblemKind::Revoked), "the content token has been revoked"),
    (9634, Course::OurBug, "the service has been withdrawn"),
    (9635, Course::AskPerson, "the Apple Account cannot be linked to this user"),
    (9637, Course::NewToken(TokenProblemKind::WrongKind), "the token was made by a facilitator account"),
    (9641, Course::AskPerson, "the Apple Account is already linked to another user"),
    (9644, Course::Maintenance, "Apple's service is being maintained"),
    (9646, Course::Slower, "there were too many requests"),
    (9647, Course::NewToken(TokenProblemKind::WrongKind), "the token is of the older kind that is bound to a person"),
    (9650, Course::ReadAnew, "the listing has become shorter"),
    (9700, Course::Smaller, "too many apps or books"),
    (9701, Course::Smaller, "too many users"),
    (9702, Course::Smaller, "too many serial numbers"),
    (9703, Course::OurBug, "an app or book was named twice"),
    (9704, Course::OurBug, "a user was named twice"),
    (9705, Course::OurBug, "a serial number was named twice"),
    (9706, Course::AskPerson, "the licence cannot be taken back"),
    (9707, Course::AskPerson, "the licence cannot be given to a device"),
    (9708, Course::ReadAnew, "Apple does not know this event any more"),
    (9709, Course::AskPerson, "there are not enough licences"),
    (9710, Course::OurBug, "a notification address and its secret must come together"),
    (9711, Course::OurBug, "the notification address or its secret is too long"),
    (9712, Course::AskPerson, "the notification address is not valid, or not https"),
    (9713, Course::OurBug, "what describes this MDM server is too long"),
    (9714, Course::Smaller, "too many users"),
    (9715, Course::OurBug, "a user was named twice"),
    (9716, Course::AskPerson, "the user is registered already"),
    (9717, Course::AskPerson, "an e-mail address is not valid"),
    (9718, Course::OurBug, "no app or book was named"),
    (9719, Course::OurBug, "neither users nor serial numbers were named"),
    (9720, Course::OurBug, "no user was named"),
    (9721, Course::ReadAnew, "the version of the listing is too old"),
    (9722, Course::NewToken(TokenProblemKind::Rejected), "the content token could not be read"),
    (9723, Course::OurBug, "what describes this MDM server is incomplete"),
    (9724, Course::OurBug, "the id of this MDM server is too long"),
    (9725, Course::OurBug, "the name of this MDM server is too long"),
    (9726, Course::OurBug, "the method of the request is wrong"),
    (9727, Course::OurBug, "the content type of the request is wrong"),
    (9728, Course::AskPerson, "Apple could not reach our notification address"),
    (9729, Course::Later, "Apple's service is unavailable for a while"),
    (9811, Course::OurBug, "the assignment of a subscription is not valid"),
    (9812, Course::ReadAnew, "the place in the listing is not known any more"),
    (9813, Course::OurBug, "the Adam ID of a subscription is not valid"),
    (9814, Course::AskPerson, "no Apple Account is linked to this user"),
    (9815, Course::AskPerson, "the user does not hold this subscription"),
    (9816, Course::Smaller, "too many subscriptions, or too many users"),
    (9817, Course::AskPerson, "the subscription was given through a group already"),
    (9818, Course::AskPerson, "there are subscriptions, so their management stays on"),
];

/// The course and the meaning of a number, if anybody has explained it.
pub fn known(number: i64) -> Option<(Course, &'static str)> {
    let at = NUMBERS.binary_search_by_key(&number, |(number, _, _)| *number).ok()?;
    Some((NUMBERS[at].1, NUMBERS[at].2))
}

/// The cause that a number means for whoever waits for a licence.
pub fn cause(number: i64) -> Cause {
    match (number, known(number).map(|(course, _)| course)) {
        (9609, _) => Cause::NoSuchUser,
        (9635 | 9641 | 9814, _) => Cause::AccountTrouble,
        (9706, _) => Cause::Irrevocable,
        (9707, _) => Cause::NotForDevices,
        (9709, _) => Cause::NoLicenceFree,
        (9712 | 9728, _) => Cause::NotReached,
        (9716 | 9815 | 9817 | 9818, _) => Cause::AlreadySo,
        (9717, _) => Cause::BadAddress,
        (_, Some(Course::NewToken(_))) => Cause::TokenTrouble,
        (_, Some(Course::Slower | Course::Maintenance | Course::Later | Course::LookFirst)) => Cause::AppleBusy,
        (_, Some(Course::ReadAnew)) => Cause::OutOfDate,
        (_, Some(Course::Smaller)) => Cause::TooLarge,
        (_, Some(Course::OurBug)) => Cause::VppdFault,
        (_, Some(Course::AskPerson) | None) => Cause::Unknown,
    }
}

impl Course {
    /// Who can help, in the words of `docs/apple.md`.
    pub fn words(self) -> &'static str {
        match self {
            Course::NewToken(_) => "ask a person: a new content token is needed",
            Course::AskPerson => "ask a person: shown, and not repeated unchanged",
            Course::Slower => "retry: the pause grows",
            Course::Maintenance => "retry: after minutes",
            Course::Later => "retry: when Apple says",
            Course::LookFirst => "retry: a change only after a listing",
            Course::ReadAnew => "retry: after reading anew",
            Course::Smaller => "retry: in smaller parts",
            Course::OurBug => "our bug: logged, not repeated",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_in_order_each_once() {
        assert!(NUMBERS.windows(2).all(|pair| pair[0].0 < pair[1].0));
        assert!(NUMBERS.iter().all(|(number, _, words)| known(*number).is_some() && !words.ends_with('.')));
        assert_eq!(known(9600), None);
    }
}
