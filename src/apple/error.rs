//! Apple's refusals and failures, sorted by what the caller may do about them. The number decides, never Apple's
//! message; the HTTP status decides only where there is no number.
//!
//! Errors carry no bodies, tokens or addresses.

use std::time::Duration;

use super::numbers::{Course, known};
use super::wire::ErrorInfo;

/// How Apple turned a content token down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenProblemKind {
    Expired,
    /// Taken back in the portal, or dead since its maker's password changed.
    Revoked,
    /// Not accepted, for a reason Apple does not tell.
    Rejected,
    /// Made by a facilitator's account, or of the older kind that is bound to a person.
    WrongKind,
}

/// Why trying again later makes sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RetryCause {
    #[error("it has had too many requests for this location")]
    Throttled,
    #[error("it is down for maintenance")]
    Maintenance,
    #[error("it is temporarily unavailable")]
    Unavailable,
    #[error("it failed internally")]
    Internal,
    #[error("it cannot be reached ({0})")]
    CannotConnect(String),
    #[error("the connection broke before its answer was complete")]
    ConnectionLost,
    #[error("its answer was cut off or cannot be understood")]
    Garbled,
    #[error(
        "it sent us on to another address, where the content token must not go; a proxy or a sign-in page of the network \
         may be in the way"
    )]
    Redirected,
    #[error("it did not answer within {0:?}")]
    TimedOut(Duration),
}

/// Why a call to Apple did not give what was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppleError {
    #[error("{}", token_problem(*kind, *number))]
    TokenProblem { kind: TokenProblemKind, number: Option<i64> },
    #[error(
        "Apple does not allow this with the location's content token{}. Nothing was changed. Use a token made by an \
         account with the right to manage licences.", told(*number)
    )]
    Forbidden { number: Option<i64> },
    /// Definitely not done, and the same request would be refused again.
    #[error(
        "Apple refused the request with HTTP {status}{}. Nothing was changed and it is not repeated. If this goes on, \
         the appliance may need an update.", told(*number)
    )]
    Refused { status: u16, number: Option<i64> },
    #[error(
        "Apple refused the request as too large{}. Nothing was changed; Apple's limits are read again and the work is \
         sent in smaller parts.", told(Some(*number))
    )]
    Limit { number: i64 },
    #[error("What we know of the location is out of date{}. Nothing was changed; it is read again in full.", told(Some(*number)))]
    Resync { number: i64 },
    /// A rule of the business, not of the wire: report it, do not repeat it unchanged.
    #[error("Apple did not do it{}. It is not repeated until something changes.", told(Some(*number)))]
    Business { number: i64, info: Option<ErrorInfo> },
    /// Not done. `after` is the least wait that Apple asked for; None leaves it to the caller.
    #[error("Apple's service did not take the request: {why}. Nothing was changed; it is tried again{}.", wait(*after))]
    RetryLater { after: Option<Duration>, why: RetryCause },
    /// The request may or may not have been carried out: look at what Apple holds before sending it again.
    #[error(
        "It is not known whether Apple carried out the request: {why}. The location's licences are read before it is repeated."
    )]
    UnknownOutcome { why: RetryCause },
    /// An answer to a read that cannot be understood.
    #[error(
        "Apple's answer cannot be understood: {why}. Nothing was changed. A proxy between here and Apple may be in the way."
    )]
    Malformed { why: String },
    /// A listing changed under every one of the bounded attempts to read it.
    #[error("The location's listing kept changing while it was read ({attempts} attempts). It is read again later.")]
    Unstable { attempts: u32 },
}

impl AppleError {
    /// Whether Apple certainly did not carry out the request, so that sending it again cannot do it twice.
    pub fn was_surely_not_done(&self) -> bool {
        !matches!(self, AppleError::UnknownOutcome { .. })
    }

    /// Apple's number, when it gave one that decided.
    pub fn number(&self) -> Option<i64> {
        match self {
            AppleError::TokenProblem { number, .. }
            | AppleError::Forbidden { number }
            | AppleError::Refused { number, .. } => *number,
            AppleError::Limit { number } | AppleError::Resync { number } | AppleError::Business { number, .. } => {
                Some(*number)
            }
            _ => None,
        }
    }

    /// Whether limits and addresses should be read anew before the next call.
    pub(super) fn invalidates_service_config(&self) -> bool {
        match self {
            AppleError::Limit { .. } => true,
            AppleError::Refused { status, number } => matches!(status, 404 | 410) || *number == Some(9634),
            _ => false,
        }
    }
}

/// The outcome of a call that was answered, as an error.
#[derive(Debug)]
pub(super) struct Answer {
    pub status: u16,
    pub number: Option<i64>,
    pub info: Option<ErrorInfo>,
    pub retry_after: Option<Duration>,
    /// Whether the call may have changed something at Apple's.
    pub changes: bool,
}

/// Sorts an answer that is not the wanted one.
pub(super) fn classify(answer: Answer) -> AppleError {
    let known = answer.number.and_then(|number| Some((number, known(number)?.0)));
    let Some((number, course)) = known else { return by_status(&answer) };
    let later = |why| AppleError::RetryLater { after: answer.retry_after, why };
    match course {
        // The token was accepted, or Apple would not speak of rights.
        Course::NewToken(TokenProblemKind::Rejected) if answer.status == 403 => {
            AppleError::Forbidden { number: Some(number) }
        }
        Course::NewToken(kind) => AppleError::TokenProblem { kind, number: Some(number) },
        Course::AskPerson => AppleError::Business { number, info: answer.info },
        Course::Slower => later(RetryCause::Throttled),
        Course::Maintenance => later(RetryCause::Maintenance),
        Course::Later => later(RetryCause::Unavailable),
        Course::LookFirst => failed_inside(&answer),
        Course::ReadAnew => AppleError::Resync { number },
        Course::Smaller => AppleError::Limit { number },
        Course::OurBug => AppleError::Refused { status: answer.status, number: Some(number) },
    }
}

fn by_status(answer: &Answer) -> AppleError {
    let number = answer.number;
    let later = |why| AppleError::RetryLater { after: answer.retry_after, why };
    match answer.status {
        401 => AppleError::TokenProblem { kind: TokenProblemKind::Rejected, number },
        403 => AppleError::Forbidden { number },
        429 => later(RetryCause::Throttled),
        300..=399 => later(RetryCause::Redirected),
        503 => later(RetryCause::Unavailable),
        500.. => failed_inside(answer),
        status => AppleError::Refused { status, number },
    }
}

/// An internal failure, or a gateway's: a read is tried again, a change may have happened.
fn failed_inside(answer: &Answer) -> AppleError {
    match answer.changes {
        true => AppleError::UnknownOutcome { why: RetryCause::Internal },
        false => AppleError::RetryLater { after: answer.retry_after, why: RetryCause::Internal },
    }
}

/// What a number means, in words for people. Numbers that nobody has explained have none.
pub fn meaning(number: i64) -> Option<&'static str> {
    known(number).map(|(_, words)| words)
}

fn told(number: Option<i64>) -> String {
    match number.and_then(meaning) {
        Some(meaning) => format!(": {meaning} (Apple's error {})", number.unwrap_or_default()),
        None => number.map(|number| format!(" (Apple's error {number})")).unwrap_or_default(),
    }
}

fn wait(after: Option<Duration>) -> String {
    match after {
        Some(after) => format!(" after {} s, as Apple asks", after.as_secs()),
        None => " later".to_owned(),
    }
}

fn token_problem(kind: TokenProblemKind, number: Option<i64>) -> String {
    let (what, why) = match kind {
        TokenProblemKind::Expired => ("has expired", "They last one year."),
        TokenProblemKind::Revoked => {
            ("has been revoked", "This also happens when the password of the account that made it changes.")
        }
        TokenProblemKind::Rejected => ("is not accepted by Apple", "It may have been replaced or withdrawn."),
        TokenProblemKind::WrongKind => (
            "is of a kind that Apple refuses",
            "It was made by a facilitator's account, or is of the older kind that is bound to a person.",
        ),
    };
    let number = number.map(|number| format!(" (Apple's error {number})")).unwrap_or_default();
    format!(
        "The location's content token {what}{number}. {why} Nothing was changed, and nothing is sent for this location \
         until a new content token is downloaded from Apple's portal and uploaded here."
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, number: Option<i64>, changes: bool) -> AppleError {
        classify(Answer { status, number, info: None, retry_after: None, changes })
    }

    #[test]
    fn the_number_decides_whatever_the_status() {
        use TokenProblemKind::*;
        let token = |kind, number| AppleError::TokenProblem { kind, number: Some(number) };
        for status in [200, 400, 401] {
            assert_eq!(answer(status, Some(9621), true), token(Expired, 9621));
            assert_eq!(answer(status, Some(9625), true), token(Revoked, 9625));
            assert_eq!(answer(status, Some(9622), false), token(Rejected, 9622));
            assert_eq!(answer(status, Some(9601), false), token(Rejected, 9601));
            assert_eq!(answer(status, Some(9702), true), AppleError::Limit { number: 9702 });
            assert_eq!(answer(status, Some(9721), false), AppleError::Resync { number: 9721 });
            assert_eq!(answer(status, Some(9707), true), AppleError::Business { number: 9707, info: None });
            let throttled = AppleError::RetryLater { after: None, why: RetryCause::Throttled };
            assert_eq!(answer(status, Some(9646), true), throttled);
        }
        assert_eq!(answer(400, Some(9602), true), AppleError::Refused { status: 400, number: Some(9602) });
        assert_eq!(answer(200, Some(12345), true), AppleError::Refused { status: 200, number: Some(12345) });
    }

    #[test]
    fn without_a_number_the_status_decides() {
        let later = |why| AppleError::RetryLater { after: None, why };
        assert!(matches!(answer(401, None, false), AppleError::TokenProblem { .. }));
        assert_eq!(answer(403, Some(7), true), AppleError::Forbidden { number: Some(7) });
        assert_eq!(answer(429, None, true), later(RetryCause::Throttled));
        assert_eq!(answer(503, None, true), later(RetryCause::Unavailable));
        assert!(answer(410, None, true).invalidates_service_config());
        assert_eq!(answer(302, None, true), later(RetryCause::Redirected));
    }

    #[test]
    fn a_change_that_met_a_failing_server_may_have_happened() {
        for (status, number) in [(500, Some(9603)), (500, None), (502, None), (504, None)] {
            assert_eq!(answer(status, number, true), AppleError::UnknownOutcome { why: RetryCause::Internal });
            assert!(!answer(status, number, true).was_surely_not_done());
            assert!(matches!(answer(status, number, false), AppleError::RetryLater { .. }));
        }
    }

    #[test]
    fn errors_tell_what_happened_and_what_can_be_done() {
        let revoked = answer(200, Some(9625), false).to_string();
        assert!(revoked.contains("revoked") && revoked.contains("password") && revoked.contains("uploaded"));
        let shortage = answer(400, Some(9709), true).to_string();
        assert!(shortage.contains("not enough licences (Apple's error 9709)"), "{shortage}");
        let wait = AppleError::RetryLater { after: Some(Duration::from_secs(90)), why: RetryCause::Unavailable };
        assert!(wait.to_string().contains("after 90 s"));
    }
}
