//! What a device's answer means for vppd, and the words for a person.
//!
//! Apple promises neither codes nor domains for ever: decisions rest on a few numbers, everything else is tried again a
//! few times and then shown. Pure: it neither stores nor sends anything, and counts no tries itself.

mod words;

use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use self::words::explain;
use super::report::{AppStatus, ErrorLink, RejectionReason, Status};

/// How often an installation is repeated when Apple's store does not see the licence.
pub const LICENCE_RETRIES: u32 = 3;
/// How often within a day anything else is repeated.
pub const OTHER_RETRIES: u32 = 5;

const MINUTE: u64 = 60;
/// Waits before the first, second and third repetition for a licence.
const LICENCE_WAITS: [u64; 3] = [MINUTE, 5 * MINUTE, 30 * MINUTE];
/// Waits before other repetitions; five of them stay within a day.
const OTHER_WAITS: [u64; 5] = [5 * MINUTE, 15 * MINUTE, 60 * MINUTE, 4 * 60 * MINUTE, 12 * 60 * MINUTE];

/// What was asked of the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    Install,
    Remove,
    Inventory,
}

/// What was tried before, for the same thing on the same device.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Before {
    /// Repetitions because of a missing licence.
    pub licence_retries: u32,
    /// Other repetitions in the last 24 hours.
    pub other_retries: u32,
    /// Whether the enrolment allows to take over a person's own copy (not in User Enrolment), and it was not tried yet.
    pub may_take_over: bool,
}

/// What to do now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing: it is as wanted.
    Done,
    /// The device works on it or will ask again: look at the list of managed apps later.
    InProgress,
    /// Verify the assignment at Apple, then send again after the wait.
    RetryLicence { after: Duration },
    /// Send once more, as a take-over of the person's own copy.
    RetryOnceWithTakeOver,
    /// Send again after the wait.
    RetryLater { after: Duration },
    /// Nothing happens until somebody acts.
    NeedsPerson(Need),
    /// Somebody declined or deleted the app. Do not send again by machine; offer self-service.
    Stopped(Stop),
    /// The removal found nothing to remove: count it as done.
    AlreadyGone,
    /// This device will never take the app as things are.
    FinalForDevice(Final),
    /// The command was wrong or a right is missing: raise an alarm, do not repeat.
    OurBug,
}

/// Who must do what. Display says it to a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Need {
    /// The person at the device agrees to the installation, or to the update.
    Accept,
    /// The person signs in to the App Store.
    SignIn,
    /// The person allows that the organisation takes over their copy.
    AllowTakeOver,
    /// The person deletes their own copy.
    DeleteOwnCopy,
    /// The administrator: after all repetitions Apple's store still does not see the licence.
    LicenceNotSeen,
    /// The administrator: it kept failing; the error chain is all there is.
    Unexplained,
}

/// What the person said. Display says it to an administrator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stop {
    InstallDeclined,
    UpdateDeclined,
    TakeOverDeclined,
    Deleted,
}

/// Why the device is out of question for this app. Display says it to an administrator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Final {
    /// Not for this model or system version.
    NotSupported,
    /// The App Store or installing is switched off by a restriction.
    InstallingDisabled,
    /// Part of the system.
    SystemApp,
    /// The number belongs to a book or a song.
    NotAnApp,
}

impl Before {
    fn licence(&self) -> Verdict {
        match wait(&LICENCE_WAITS, self.licence_retries) {
            Some(after) if self.licence_retries < LICENCE_RETRIES => Verdict::RetryLicence { after },
            _ => Verdict::NeedsPerson(Need::LicenceNotSeen),
        }
    }

    fn later(&self) -> Verdict {
        match wait(&OTHER_WAITS, self.other_retries) {
            Some(after) if self.other_retries < OTHER_RETRIES => Verdict::RetryLater { after },
            _ => Verdict::NeedsPerson(Need::Unexplained),
        }
    }

    fn take_over(&self) -> Verdict {
        if self.may_take_over { Verdict::RetryOnceWithTakeOver } else { Verdict::NeedsPerson(Need::DeleteOwnCopy) }
    }
}

fn wait(waits: &[u64], retries: u32) -> Option<Duration> {
    waits.get(usize::try_from(retries).ok()?).copied().map(Duration::from_secs)
}

/// Judges the result of a command. `rejection` and `state` are those of an installation.
///
/// With `NotNow` and `Idle` there is nothing to judge: the command stays in the queue ([`Verdict::InProgress`]).
pub fn judge(
    asked: Asked,
    status: &Status,
    chain: &[ErrorLink],
    rejection: Option<&RejectionReason>,
    state: Option<&AppStatus>,
    before: Before,
) -> Verdict {
    match (status, asked) {
        (Status::CommandFormatError, _) => Verdict::OurBug,
        (Status::NotNow | Status::Idle, _) => Verdict::InProgress,
        // Accepted is not installed: a reply without state must be followed up too.
        (Status::Acknowledged, Asked::Install) => {
            state.map_or(Verdict::InProgress, |state| judge_app_status(state, before))
        }
        (Status::Acknowledged, _) => Verdict::Done,
        (Status::Error | Status::Unknown(_), _) => {
            let reason = rejection.filter(|_| asked == Asked::Install);
            let verdict = reason.and_then(|reason| of_rejection(reason, before));
            verdict.or_else(|| of_chain(asked, chain, before)).unwrap_or_else(|| {
                // A refusal by the person may come with no more than a state.
                let state = state.filter(|state| state.is_final_refusal() || state.waits_for_person());
                state.map_or_else(|| before.later(), |state| judge_app_status(state, before))
            })
        }
    }
}

/// Judges the state of a wanted app, as told by the list of managed apps or by the reply to an installation.
pub fn judge_app_status(status: &AppStatus, before: Before) -> Verdict {
    match status {
        AppStatus::Managed => Verdict::Done,
        AppStatus::Queued
        | AppStatus::Redeeming
        | AppStatus::ValidatingPurchase
        | AppStatus::Installing
        | AppStatus::ValidatingUpdate
        | AppStatus::Updating
        | AppStatus::Unknown
        | AppStatus::Other(_) => Verdict::InProgress,
        AppStatus::Prompting | AppStatus::PromptingForUpdate => Verdict::NeedsPerson(Need::Accept),
        AppStatus::PromptingForLogin | AppStatus::PromptingForUpdateLogin => Verdict::NeedsPerson(Need::SignIn),
        AppStatus::PromptingForManagement => Verdict::NeedsPerson(Need::AllowTakeOver),
        AppStatus::UserRejected => Verdict::Stopped(Stop::InstallDeclined),
        AppStatus::UpdateRejected => Verdict::Stopped(Stop::UpdateDeclined),
        AppStatus::ManagementRejected => Verdict::Stopped(Stop::TakeOverDeclined),
        AppStatus::ManagedButUninstalled => Verdict::Stopped(Stop::Deleted),
        AppStatus::UserInstalledApp => before.take_over(),
        AppStatus::NeedsRedemption => Verdict::OurBug,
        AppStatus::Failed => before.later(),
    }
}

/// None where the reason says nothing and the chain must be read.
fn of_rejection(reason: &RejectionReason, before: Before) -> Option<Verdict> {
    use RejectionReason::*;
    Some(match reason {
        AppAlreadyInstalled => before.take_over(),
        AppAlreadyQueued => Verdict::InProgress,
        NotSupported => Verdict::FinalForDevice(Final::NotSupported),
        AppStoreDisabled => Verdict::FinalForDevice(Final::InstallingDisabled),
        NotAnApp => Verdict::FinalForDevice(Final::NotAnApp),
        PurchaseMethodNotSupported | PurchaseMethodNotSupportedInMultiUser => Verdict::OurBug,
        PurchaseNotFound => before.licence(),
        ManagementChangeNotSupported => Verdict::NeedsPerson(Need::DeleteOwnCopy),
        CouldNotVerifyAppID => before.later(),
        Other | Unlisted(_) => return None,
    })
}

/// The first link that decides, from the outermost on.
fn of_chain(asked: Asked, chain: &[ErrorLink], before: Before) -> Option<Verdict> {
    chain.iter().find_map(|link| of_link(asked, link, before))
}

fn of_link(asked: Asked, link: &ErrorLink, before: Before) -> Option<Verdict> {
    match (words::family(&link.domain), link.code) {
        (words::Family::Mdm, code) => of_mdm_code(asked, code, before),
        (words::Family::StoreServer, 9610) => Some(before.licence()),
        (words::Family::Store, 506) => Some(Verdict::InProgress),
        _ => None,
    }
}

fn of_mdm_code(asked: Asked, code: i64, before: Before) -> Option<Verdict> {
    Some(match code {
        12026 | 12047 | 12064 => before.licence(),
        12025 if asked == Asked::Install => before.take_over(),
        12027 => Verdict::FinalForDevice(Final::NotAnApp),
        12029 | 12038 if asked == Asked::Remove => Verdict::AlreadyGone,
        12031 => Verdict::FinalForDevice(Final::InstallingDisabled),
        12065 => Verdict::FinalForDevice(Final::SystemApp),
        12040 => Verdict::NeedsPerson(Need::SignIn),
        12063 => Verdict::Stopped(Stop::InstallDeclined),
        12007 | 12008 | 12021 => Verdict::OurBug,
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
