//! How the state of one app on one device moves when the device says something: a small machine, fed by command results
//! and by the device's list of managed apps (Apple: Managed Application List).
//!
//! Transient words (`UserRejected`, `Failed`) are said once by the device and then forgotten by it, so what they lead to
//! is kept here for good.

use std::time::Duration;

use jiff::Timestamp;

use crate::clock::after;
use crate::model::App;

/// Where an app stands on a device, with what is needed to go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    pub app: App,
    /// The device's last word, in Apple's spelling.
    pub status: String,
    /// Why the last try did not work, in words.
    pub reason: String,
    /// Installs (or removals) that failed in a row.
    pub tries: u32,
    /// Times the device was asked since the last command.
    pub looks: u32,
    /// When to try or to ask again.
    pub due: Option<Timestamp>,
}

impl Default for Progress {
    fn default() -> Progress {
        Progress { app: App::None, status: String::new(), reason: String::new(), tries: 0, looks: 0, due: None }
    }
}

/// What a device said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// The install command was accepted with this first word (may be empty).
    InstallAccepted(Word),
    /// The install command failed.
    InstallRefused { how: Refusal, reason: String },
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
    RemoveRefused { reason: String },
}

/// A state word of the device, sorted into what it means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// Apple's spelling.
    pub status: String,
    pub means: Meaning,
}

/// What a state word means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    Installed,
    Working,
    WaitsForPerson,
    /// The person declined.
    Declined,
    /// The person had installed it before, and it is not managed.
    Unmanaged,
    Failed,
    /// Managed, but deleted by the person.
    Uninstalled,
    Unknown,
}

/// Why an install failed, sorted into what can be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The device is at it already.
    InProgress,
    /// May work later.
    Retry,
    /// The person declined.
    Declined,
    /// Will not work on this device, or not as asked.
    Final,
}

/// How long to wait between looks and between tries.
#[derive(Debug, Clone)]
pub struct Patience {
    /// Pauses between questions to a device that works; the last one repeats.
    pub verify_after: Vec<Duration>,
    /// Pauses before another try; the last one repeats.
    pub retry_after: Vec<Duration>,
    /// Tries after which vppd gives up.
    pub max_attempts: u32,
}

impl Patience {
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
        Fact::InstallAccepted(word) | Fact::Listed(word) => told(before, word, now, patience),
        Fact::InstallRefused { how, reason } => {
            let next = Progress { reason: reason.clone(), looks: 0, ..before.clone() };
            match how {
                Refusal::InProgress => working(App::Working, next, now, patience),
                Refusal::Declined => Progress { app: App::Rejected, due: None, ..next },
                Refusal::Final => Progress { app: App::Failed, due: None, ..next },
                Refusal::Retry => try_again(next, now, patience),
            }
        }
        Fact::NotListed => not_listed(before, now, patience),
        Fact::NotTold { reason } => not_told(before, reason, now, patience),
        Fact::RemoveAccepted => working(App::RemoveUnconfirmed, Progress { looks: 0, ..before.clone() }, now, patience),
        Fact::NothingToRemove => removed(before),
        Fact::RemoveRefused { reason } => Progress {
            app: App::RemoveRetry,
            reason: reason.clone(),
            tries: before.tries + 1,
            due: Some(patience.next_try(before.tries, now)),
            ..before.clone()
        },
    }
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
            (_, _) if before.looks >= patience.verify_after.len() as u32 => Progress {
                app: App::RemoveRetry,
                reason: "the device still shows the app".into(),
                tries: before.tries + 1,
                due: Some(patience.next_try(before.tries, now)),
                ..next
            },
            (app, _) => working(app, next, now, patience),
        };
    }
    match word.means {
        Meaning::Installed => {
            Progress { app: App::Installed, reason: String::new(), tries: 0, looks: 0, due: None, ..next }
        }
        Meaning::Working | Meaning::Unknown => working(App::Working, next, now, patience),
        Meaning::WaitsForPerson => working(App::WaitingForPerson, next, now, patience),
        Meaning::Declined => {
            let reason = "the person with the device declined".into();
            Progress { app: App::Rejected, reason, due: None, ..next }
        }
        Meaning::Unmanaged => {
            let reason = "the person had installed the app before and keeps it unmanaged".into();
            Progress { app: App::Rejected, reason, due: None, ..next }
        }
        Meaning::Failed => {
            let reason = if next.reason.is_empty() { "the device says: Failed".into() } else { next.reason.clone() };
            try_again(Progress { reason, ..next }, now, patience)
        }
        Meaning::Uninstalled => {
            try_again(Progress { reason: "the app was deleted on the device".into(), ..next }, now, patience)
        }
    }
}

fn not_listed(before: &Progress, now: Timestamp, patience: &Patience) -> Progress {
    match before.app {
        App::RemoveUnconfirmed | App::RemoveRetry => removed(before),
        // A device that has just accepted may not show the app yet: a few looks are granted.
        App::Working | App::WaitingForPerson if before.looks < 3 => working(before.app, before.clone(), now, patience),
        App::Working | App::WaitingForPerson => {
            let reason = "the device accepted the install and then no longer showed the app".into();
            try_again(Progress { reason, ..before.clone() }, now, patience)
        }
        App::Installed => {
            try_again(Progress { reason: "the app was deleted on the device".into(), ..before.clone() }, now, patience)
        }
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
            try_again(Progress { reason: reason.into(), ..before.clone() }, now, patience)
        }
        App::Working | App::WaitingForPerson | App::RemoveUnconfirmed => {
            working(before.app, before.clone(), now, patience)
        }
        App::RemoveRetry => Progress { due: Some(patience.next_try(before.tries, now)), ..before.clone() },
        _ => before.clone(),
    }
}

fn working(app: App, before: Progress, now: Timestamp, patience: &Patience) -> Progress {
    Progress { app, due: Some(patience.next_look(before.looks, now)), looks: before.looks + 1, ..before }
}

fn removed(before: &Progress) -> Progress {
    Progress { app: App::Removed, reason: String::new(), tries: 0, looks: 0, due: None, ..before.clone() }
}

fn try_again(before: Progress, now: Timestamp, patience: &Patience) -> Progress {
    let tries = before.tries + 1;
    if tries >= patience.max_attempts {
        return Progress { app: App::Failed, tries, looks: 0, due: None, ..before };
    }
    let due = Some(patience.next_try(before.tries, now));
    Progress { app: App::InstallRetry, tries, looks: 0, due, ..before }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        Timestamp::from_second(1_000).unwrap()
    }

    fn patience() -> Patience {
        let seconds = |all: &[u64]| all.iter().map(|s| Duration::from_secs(*s)).collect();
        Patience { verify_after: seconds(&[15, 30, 60]), retry_after: seconds(&[60, 300]), max_attempts: 3 }
    }

    fn word(status: &str, means: Meaning) -> Word {
        Word { status: status.into(), means }
    }

    fn run(facts: &[Fact]) -> Progress {
        let start = Progress { app: App::InstallQueued, ..Progress::default() };
        facts.iter().fold(start, |progress, fact| advance(&progress, fact, now(), &patience()))
    }

    #[test]
    fn accepted_is_never_installed() {
        let end = run(&[Fact::InstallAccepted(word("Queued", Meaning::Working))]);
        assert_eq!((end.app, end.due), (App::Working, Some(after(now(), Duration::from_secs(15)))));
    }

    #[test]
    fn looks_grow_further_apart_and_the_list_decides() {
        let working = Fact::Listed(word("Installing", Meaning::Working));
        let accepted = Fact::InstallAccepted(word("Queued", Meaning::Working));
        let end = run(&[accepted, working.clone(), working.clone(), working]);
        assert_eq!((end.looks, end.due), (4, Some(after(now(), Duration::from_secs(60)))));
        let end = advance(&end, &Fact::Listed(word("Managed", Meaning::Installed)), now(), &patience());
        assert_eq!((end.app, end.due, end.looks), (App::Installed, None, 0));
    }

    #[test]
    fn a_list_decides_nothing_while_an_install_command_waits() {
        assert_eq!(run(&[Fact::Listed(word("Failed", Meaning::Failed))]).app, App::InstallQueued);
        // Called installed, the app could be removed and its licence given back before the command arrives.
        let managed = word("Managed", Meaning::Installed);
        assert_eq!(run(&[Fact::Listed(managed.clone())]).app, App::InstallQueued);
        assert_eq!(run(&[Fact::Listed(managed.clone()), Fact::InstallAccepted(managed)]).app, App::Installed);
    }

    #[test]
    fn a_declined_install_stays_declined_when_the_device_forgets_it() {
        let end = run(&[
            Fact::InstallAccepted(word("Prompting", Meaning::WaitsForPerson)),
            Fact::Listed(word("UserRejected", Meaning::Declined)),
            Fact::NotListed,
        ]);
        assert_eq!((end.app, end.due), (App::Rejected, None));
    }

    #[test]
    fn failures_are_retried_with_pauses_and_then_given_up() {
        let refused = |how| Fact::InstallRefused { how, reason: "licence not found".into() };
        let first = run(&[refused(Refusal::Retry)]);
        assert_eq!((first.app, first.tries), (App::InstallRetry, 1));
        assert_eq!(first.due, Some(after(now(), Duration::from_secs(60))));
        let last = run(&[refused(Refusal::Retry), refused(Refusal::Retry), refused(Refusal::Retry)]);
        assert_eq!((last.app, last.due, last.reason.as_str()), (App::Failed, None, "licence not found"));
        assert_eq!(run(&[refused(Refusal::Final)]).app, App::Failed);
        assert_eq!(run(&[refused(Refusal::InProgress)]).app, App::Working);
    }

    #[test]
    fn a_removal_is_confirmed_by_the_list_only() {
        let start = Progress { app: App::RemoveQueued, ..Progress::default() };
        let accepted = advance(&start, &Fact::RemoveAccepted, now(), &patience());
        assert_eq!(accepted.app, App::RemoveUnconfirmed);
        let still = advance(&accepted, &Fact::Listed(word("Managed", Meaning::Installed)), now(), &patience());
        assert_eq!(still.app, App::RemoveUnconfirmed);
        assert_eq!(advance(&still, &Fact::NotListed, now(), &patience()).app, App::Removed);
        assert_eq!(advance(&start, &Fact::NothingToRemove, now(), &patience()).app, App::Removed);
        assert_eq!(advance(&start, &Fact::NotListed, now(), &patience()).app, App::RemoveQueued);
    }

    #[test]
    fn a_device_that_tells_nothing_is_asked_less_and_less_and_not_for_ever() {
        let nothing = Fact::NotTold { reason: "no list".into() };
        let mut progress = run(&[Fact::InstallAccepted(word("Queued", Meaning::Working))]);
        for look in 0..3 {
            progress = advance(&progress, &nothing, now(), &patience());
            assert_eq!((progress.app, progress.looks), (App::Working, look + 2));
        }
        let end = advance(&progress, &nothing, now(), &patience());
        assert_eq!((end.app, end.reason.as_str()), (App::InstallRetry, "no list"));
        let removing = Progress { app: App::RemoveUnconfirmed, ..progress };
        let still = advance(&removing, &nothing, now(), &patience());
        assert_eq!((still.app, still.due), (App::RemoveUnconfirmed, Some(after(now(), Duration::from_secs(60)))));
    }

    #[test]
    fn an_app_that_never_shows_up_is_not_pending_for_ever() {
        let mut progress = run(&[Fact::InstallAccepted(word("Queued", Meaning::Working))]);
        for _ in 0..3 {
            progress = advance(&progress, &Fact::NotListed, now(), &patience());
        }
        assert_eq!(progress.app, App::InstallRetry);
    }
}
