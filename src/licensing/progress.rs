//! How the state of one app on one device moves when the device says something: a small machine, fed by command results
//! and by the device's list of managed apps (Apple: Managed Application List).
//!
//! Transient words (`UserRejected`, `Failed`) are said once by the device and then forgotten by it, so what they lead to
//! is kept here for good.
//!
//! A device that answers comes to an end state ([`App::Installed`], [`App::Rejected`] or [`App::Failed`]) in bounded time: a
//! try may take [`Patience::stuck_after`], the person's answer [`Patience::person_after`], and each cause has a number of
//! tries. [`Patience::bound`] is the sum.

use std::time::Duration;

use jiff::Timestamp;

use crate::clock::after;
use crate::model::{App, Cause};

/// Where an app stands on a device, with what is needed to go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    pub app: App,
    /// The device's last word, in Apple's spelling.
    pub status: String,
    /// Why the last try did not work, or what it waits for.
    pub cause: Option<Cause>,
    /// The same in words, with what the device itself said.
    pub reason: String,
    /// Installs (or removals) that failed in a row.
    pub tries: u32,
    /// Times the device was asked since the last command.
    pub looks: u32,
    /// When to try or to ask again.
    pub due: Option<Timestamp>,
    /// When the device accepted the install that is under way.
    pub began: Option<Timestamp>,
    /// When it is over although the device goes on saying that it works, or asks.
    pub until: Option<Timestamp>,
}

impl Default for Progress {
    fn default() -> Progress {
        Progress {
            app: App::None,
            status: String::new(),
            cause: None,
            reason: String::new(),
            tries: 0,
            looks: 0,
            due: None,
            began: None,
            until: None,
        }
    }
}

/// What a device said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// The install command was accepted with this first word (may be empty).
    InstallAccepted(Word),
    /// The install command failed.
    InstallRefused { cause: Cause, reason: String },
    /// The install command was put off for longer than vppd waits, and taken back.
    PutOff,
    /// The list of managed apps shows the app so.
    Listed(Word),
    /// The list of managed apps does not show the app.
    NotListed,
    /// The device was asked for its list, and nothing of the app can be learnt from the answer.
    NotTold { reason: String },
    /// The remove command was accepted.
    RemoveAccepted,
    /// The device says that there is nothing of ours to remove.
    NothingToRemove,
    /// The remove command failed.
    RemoveRefused { cause: Cause, reason: String },
}

/// A state word of the device, sorted into what it means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// Apple's spelling.
    pub status: String,
    pub means: Meaning,
    /// What it waits for, or why it ended.
    pub cause: Option<Cause>,
}

/// What a state word means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    Installed,
    Working,
    WaitsForPerson,
    /// The person declined, or keeps an own copy unmanaged.
    Declined,
    Failed,
    /// Managed, but deleted by the person.
    Uninstalled,
    Unknown,
}

/// What is done about a refused install.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Course {
    /// The device is at it already.
    InProgress,
    /// May work later.
    Retry,
    /// The person declined.
    Declined,
    /// Will not work on this device, or not as asked.
    Final,
}

fn course(cause: Cause) -> Course {
    match cause {
        Cause::InProgress | Cause::NoUpdate => Course::InProgress,
        Cause::Declined | Cause::TakeOverDeclined => Course::Declined,
        Cause::OwnCopy
        | Cause::NotSupported
        | Cause::InstallingForbidden
        | Cause::SystemApp
        | Cause::WrongKind
        | Cause::NotForSale
        | Cause::NotPerPerson
        | Cause::RightMissing
        | Cause::EnrolmentDamaged
        | Cause::VppdFault => Course::Final,
        _ => Course::Retry,
    }
}

/// Tries for a licence that Apple's store does not see: the first, and three more.
const LICENCE_TRIES: u32 = 4;

/// How long to wait between looks and between tries.
#[derive(Debug, Clone)]
pub struct Patience {
    /// Pauses between questions to a device that works; the last one repeats.
    pub verify_after: Vec<Duration>,
    /// Pauses before another try; the last one repeats.
    pub retry_after: Vec<Duration>,
    /// Tries after which vppd gives up.
    pub max_attempts: u32,
    /// How long a device may work on one install.
    pub stuck_after: Duration,
    /// How long a device may ask its person, or put a command off.
    pub person_after: Duration,
    /// How long a new device may take to tell what it can, before its apps come by command.
    pub tells_within: Duration,
}

impl Patience {
    /// Within which time a device that answers comes to an end, counted from when it accepted the install.
    pub fn bound(&self) -> Duration {
        let pause = (0..self.max_attempts).map(|tries| pick(&self.retry_after, tries));
        let pauses = pause.fold(Duration::ZERO, Duration::saturating_add);
        let last_look = pick(&self.verify_after, u32::MAX);
        let one = self.stuck_after.saturating_add(self.person_after).saturating_add(last_look);
        one.saturating_mul(self.max_attempts).saturating_add(pauses)
    }

    /// Tries for this cause.
    fn tries(&self, cause: Option<Cause>) -> u32 {
        match cause {
            Some(Cause::LicenceNotSeen) => self.max_attempts.min(LICENCE_TRIES),
            _ => self.max_attempts,
        }
    }

    fn next_look(&self, looks: u32, now: Timestamp) -> Timestamp {
        after(now, pick(&self.verify_after, looks))
    }

    fn next_try(&self, tries: u32, now: Timestamp) -> Timestamp {
        after(now, pick(&self.retry_after, tries))
    }
}

fn pick(pauses: &[Duration], index: u32) -> Duration {
    pauses.get(index as usize).or(pauses.last()).copied().unwrap_or(Duration::from_secs(60))
}

/// The next state. `now` is when the device said it.
pub fn advance(before: &Progress, fact: &Fact, now: Timestamp, patience: &Patience) -> Progress {
    match fact {
        // An install command that has not been answered decides, not a list: it is still going to be sent.
        Fact::Listed(word) if before.app == App::InstallQueued => {
            Progress { status: word.status.clone(), ..before.clone() }
        }
        Fact::InstallAccepted(word) => {
            told(&Progress { began: Some(now), until: None, ..before.clone() }, word, now, patience)
        }
        Fact::Listed(word) => told(before, word, now, patience),
        Fact::InstallRefused { cause, reason } => {
            let next = Progress { cause: Some(*cause), reason: reason.clone(), looks: 0, ..before.clone() };
            match course(*cause) {
                Course::InProgress => {
                    let next = Progress { cause: None, began: Some(now), until: None, ..next };
                    working(App::Working, next, now, patience)
                }
                Course::Declined => ended(App::Rejected, next),
                Course::Final => ended(App::Failed, next),
                Course::Retry => try_again(next, now, patience),
            }
        }
        Fact::PutOff => ended(App::Failed, because(before, Cause::NoAnswer)),
        Fact::NotListed => not_listed(before, now, patience),
        Fact::NotTold { reason } => not_told(before, reason, now, patience),
        Fact::RemoveAccepted => working(App::RemoveUnconfirmed, Progress { looks: 0, ..before.clone() }, now, patience),
        Fact::NothingToRemove => removed(before),
        Fact::RemoveRefused { cause, reason } => {
            let next = Progress { cause: Some(*cause), reason: reason.clone(), ..before.clone() };
            remove_again(next, now, patience)
        }
    }
}

/// The same state with another cause, in vppd's own words.
fn because(before: &Progress, cause: Cause) -> Progress {
    Progress { cause: Some(cause), reason: cause.means().into(), ..before.clone() }
}

fn told(before: &Progress, word: &Word, now: Timestamp, patience: &Patience) -> Progress {
    let removing = matches!(before.app, App::RemoveQueued | App::RemoveUnconfirmed | App::RemoveRetry);
    let next = Progress { status: word.status.clone(), ..before.clone() };
    if removing {
        return match (before.app, word.means) {
            // The command has not been answered: nothing can be concluded yet.
            (App::RemoveQueued, _) => next,
            (_, Meaning::Uninstalled) => removed(&next),
            // Still there: asked again, and in the end removed again.
            (_, _) if before.looks >= patience.verify_after.len() as u32 => {
                let reason = "the device still shows the app".into();
                remove_again(Progress { cause: None, reason, ..next }, now, patience)
            }
            (app, _) => working(app, next, now, patience),
        };
    }
    match (word.means, word.cause) {
        (Meaning::Installed, _) => {
            ended(App::Installed, Progress { cause: None, reason: String::new(), tries: 0, ..next })
        }
        (Meaning::Working | Meaning::Unknown, _) => working(App::Working, next, now, patience),
        (Meaning::WaitsForPerson, cause) => {
            let reason = cause.map_or(String::new(), |cause| cause.means().into());
            working(App::WaitingForPerson, Progress { cause, reason, ..next }, now, patience)
        }
        (Meaning::Declined, cause) => ended(App::Rejected, because(&next, cause.unwrap_or(Cause::Declined))),
        // Why an install failed may have been told before, by the answer to the command.
        (Meaning::Failed, None | Some(Cause::Unknown)) if next.cause.is_some() => try_again(next, now, patience),
        (Meaning::Failed, cause) => {
            let reason = "the device says Failed, and not why".into();
            try_again(Progress { cause: Some(cause.unwrap_or(Cause::Unknown)), reason, ..next }, now, patience)
        }
        (Meaning::Uninstalled, _) => try_again(because(&next, Cause::Deleted), now, patience),
    }
}

fn not_listed(before: &Progress, now: Timestamp, patience: &Patience) -> Progress {
    match before.app {
        App::RemoveUnconfirmed | App::RemoveRetry => removed(before),
        // A device that has just accepted may not show the app yet: a few looks are granted.
        App::Working | App::WaitingForPerson if before.looks < 3 => working(before.app, before.clone(), now, patience),
        App::Working | App::WaitingForPerson => try_again(because(before, Cause::Vanished), now, patience),
        App::Installed => try_again(because(before, Cause::Deleted), now, patience),
        App::None
        | App::InstallQueued
        | App::Rejected
        | App::InstallRetry
        | App::Failed
        | App::RemoveQueued
        | App::Removed => before.clone(),
    }
}

/// Asked again after growing pauses; an install is in the end repeated, because its answer may tell more.
fn not_told(before: &Progress, reason: &str, now: Timestamp, patience: &Patience) -> Progress {
    match before.app {
        App::Working | App::WaitingForPerson if before.looks > patience.verify_after.len() as u32 => {
            try_again(Progress { cause: None, reason: reason.into(), ..before.clone() }, now, patience)
        }
        App::Working | App::WaitingForPerson | App::RemoveUnconfirmed => {
            working(before.app, before.clone(), now, patience)
        }
        App::RemoveRetry => Progress { due: Some(patience.next_try(before.tries, now)), ..before.clone() },
        _ => before.clone(),
    }
}

/// The device goes on, or asks; it is asked again later, unless its time is over.
fn working(app: App, before: Progress, now: Timestamp, patience: &Patience) -> Progress {
    let until = match (app, before.app, before.until) {
        (App::Working | App::WaitingForPerson, was, Some(until)) if was == app => Some(until),
        (App::Working, ..) => Some(after(now, patience.stuck_after)),
        (App::WaitingForPerson, ..) => Some(after(now, patience.person_after)),
        _ => None,
    };
    // A device that goes from one to the other and back does not win time for ever.
    let latest = before.began.map(|began| after(began, patience.person_after.saturating_add(patience.stuck_after)));
    let until = until.map(|until| latest.map_or(until, |latest| until.min(latest)));
    match (app, until) {
        (App::Working, Some(until)) if until <= now => return try_again(because(&before, Cause::Stuck), now, patience),
        (_, Some(until)) if until <= now => return ended(App::Rejected, because(&before, Cause::NobodyAnswered)),
        _ => {}
    }
    let look = patience.next_look(before.looks, now);
    let due = Some(until.map_or(look, |until| look.min(until)));
    let (cause, reason) = match app {
        // What was in the way before is over.
        App::Working if before.app == App::WaitingForPerson => (None, String::new()),
        _ => (before.cause, before.reason.clone()),
    };
    Progress { app, cause, reason, due, until, looks: before.looks + 1, ..before }
}

fn ended(app: App, before: Progress) -> Progress {
    Progress { app, looks: 0, due: None, began: None, until: None, ..before }
}

fn removed(before: &Progress) -> Progress {
    ended(App::Removed, Progress { cause: None, reason: String::new(), tries: 0, ..before.clone() })
}

fn try_again(before: Progress, now: Timestamp, patience: &Patience) -> Progress {
    let tries = before.tries + 1;
    if tries >= patience.tries(before.cause) {
        return ended(App::Failed, Progress { tries, ..before });
    }
    let due = Some(patience.next_try(before.tries, now));
    Progress { due, ..ended(App::InstallRetry, Progress { tries, ..before }) }
}

fn remove_again(before: Progress, now: Timestamp, patience: &Patience) -> Progress {
    let due = Some(patience.next_try(before.tries, now));
    Progress { app: App::RemoveRetry, tries: before.tries + 1, due, ..before }
}

#[cfg(test)]
mod tests;
