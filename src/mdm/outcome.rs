//! What a device's answer means: whether what was asked is done or under way, or for which [`Cause`] it is not, and the words
//! for a person.
//!
//! Apple promises neither codes nor domains for ever: a cause rests on a few numbers, everything else is called unknown and
//! shown as it came. Pure: it stores and sends nothing, counts no tries, and decides nothing about them.

mod words;

pub use self::words::{explain, raw};
use super::report::{AppStatus, ErrorLink, RejectionReason, Status};
use crate::model::Cause;

/// What was asked of the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    Install,
    Remove,
    /// Anything else.
    Inventory,
}

/// What the answer means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Done,
    /// The device works on it or will ask again: look at the list of managed apps later.
    Accepted,
    /// It is not done.
    Refused(Cause),
}

/// Judges the result of a command. `rejection` and `state` are those of an installation.
///
/// With `NotNow` and `Idle` there is nothing to judge: the command stays in the queue ([`Outcome::Accepted`]).
pub fn judge(
    asked: Asked,
    status: &Status,
    chain: &[ErrorLink],
    rejection: Option<&RejectionReason>,
    state: Option<&AppStatus>,
) -> Outcome {
    match (status, asked) {
        (Status::CommandFormatError, _) => Outcome::Refused(Cause::VppdFault),
        (Status::NotNow | Status::Idle, _) => Outcome::Accepted,
        // Accepted is not installed: a reply without state must be followed up too.
        (Status::Acknowledged, Asked::Install) => match state {
            Some(AppStatus::Managed) => Outcome::Done,
            Some(state) if !state.waits_for_person() => of_state(state).map_or(Outcome::Accepted, Outcome::Refused),
            _ => Outcome::Accepted,
        },
        (Status::Acknowledged, _) => Outcome::Done,
        (Status::Error | Status::Unknown(_), _) => {
            let rejection = rejection.filter(|_| asked == Asked::Install).and_then(of_rejection);
            // A refusal by the person may come with no more than a state.
            let state = state.filter(|state| !state.is_failure()).and_then(of_state);
            let told = rejection.into_iter().chain(chain.iter().filter_map(words::cause)).chain(state);
            Outcome::Refused(foremost(told))
        }
    }
}

/// Of several causes the first that says more than that something went wrong, else the first.
fn foremost(causes: impl Iterator<Item = Cause>) -> Cause {
    let causes: Vec<Cause> = causes.collect();
    let telling = causes.iter().find(|cause| !is_vague(**cause));
    telling.or(causes.first()).copied().unwrap_or(Cause::Unknown)
}

/// What an outer link says of many inner ones.
fn is_vague(cause: Cause) -> bool {
    matches!(cause, Cause::DeviceTrouble | Cause::NotInStore | Cause::ProfileRefused)
}

/// For what an app in this state waits, or why it is not there; `None` for states in which nothing is in the way.
pub fn of_state(status: &AppStatus) -> Option<Cause> {
    Some(match status {
        AppStatus::PromptingForLogin | AppStatus::PromptingForUpdateLogin => Cause::SignIn,
        AppStatus::UserRejected | AppStatus::UpdateRejected => Cause::Declined,
        AppStatus::ManagementRejected => Cause::TakeOverDeclined,
        AppStatus::ManagedButUninstalled => Cause::Deleted,
        AppStatus::UserInstalledApp => Cause::OwnCopy,
        AppStatus::NeedsRedemption => Cause::CodeWanted,
        AppStatus::Failed => Cause::Unknown,
        _ => return None,
    })
}

/// None where the reason says nothing and the chain must be read.
fn of_rejection(reason: &RejectionReason) -> Option<Cause> {
    use RejectionReason::*;
    Some(match reason {
        AppAlreadyInstalled | ManagementChangeNotSupported => Cause::OwnCopy,
        AppAlreadyQueued => Cause::InProgress,
        NotSupported => Cause::NotSupported,
        AppStoreDisabled => Cause::InstallingForbidden,
        NotAnApp => Cause::WrongKind,
        PurchaseMethodNotSupported | PurchaseMethodNotSupportedInMultiUser => Cause::VppdFault,
        PurchaseNotFound => Cause::LicenceNotSeen,
        CouldNotVerifyAppID => Cause::NotInStore,
        Other | Unlisted(_) => return None,
    })
}

#[cfg(test)]
mod tests;
