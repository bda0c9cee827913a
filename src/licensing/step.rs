//! What one pair (one app on one device), or one seat (one person's licence of an app), needs next. The whole rule is
//! [`next_step`] and [`next_for_seat`]: tables without I/O.
//!
//! The order that must never be broken: the licence first, and confirmed by Apple; only then the install. On the way out
//! the app first, and its absence confirmed by the device; only then the licence goes back.
//!
//! Every way out has a deadline, so that no licence waits for a word that never comes:
//!
//! - **A removal that nobody confirms** is taken as done after `[licences] offline-limit`, and the licence goes back. *A lost
//!   iPad is taken out of its group on 1 May: on 31 May its licence is free again.*
//! - **An install that was declined, or failed for good,** keeps its licence for `[licences] rejected-after`, then gives it
//!   back. It does not ask again by itself; a deployment or a decision that is newer than the refusal asks once more.
//! - **A device that left** (checked out, deleted, or silent for `[licences] silent-after`) gives its licences back at once:
//!   nothing that it does with the app is ours to ask. What is given by hand after it left stays.
//! - **A second licence** of the same app (under two locations, or with two pricings) goes back at once, one at a time.
//! - **A user licence** goes back when no device of the person wants or has the app.
//!
//! Licences that vppd has neither assigned nor adopted are taken only where an uninstall tells it to; those that Apple calls
//! irrevocable (books) never.

use super::snapshot::{Licence, Pair, Seat};
use crate::model::App;

/// Which way a licence goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Verb {
    /// Given to a device.
    Associate,
    /// Taken back.
    Disassociate,
}

impl Verb {
    /// The word Apple's paths and our store use.
    pub fn word(self) -> &'static str {
        match self {
            Verb::Associate => "associate",
            Verb::Disassociate => "disassociate",
        }
    }

    /// The verb for a word.
    pub fn from_word(word: &str) -> Option<Verb> {
        [Verb::Associate, Verb::Disassociate].into_iter().find(|v| v.word() == word)
    }
}

/// What a pair or a seat needs next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// Nothing is wanted and nothing is there.
    Nothing,
    /// All is as wanted: installed, licence held.
    Satisfied,
    /// The licence is held, and no install is wanted.
    LicenceHeld,
    /// Cannot go on as things are.
    Blocked(Blocked),

    /// Needs a licence; the plan decides whether there is one.
    NeedsLicence,
    /// Gets a licence of this asset now.
    Associate { asset: u32 },
    /// No licence is free; `position` counts from 1.
    WaitForLicence { position: u32 },
    /// The deployment has used its quota up; `position` counts from 1 among those who wait for it.
    WaitForQuota { position: u32 },
    /// Apple is assigning.
    AwaitAssignment,
    /// The licence of the device's person is on its way: see the seat.
    AwaitSeat,

    /// Send the install command.
    Install,
    /// As many installs of the deployment are under way as its waves allow.
    AwaitWave,
    /// The install command waits for the device.
    AwaitInstallAnswer,
    /// Ask the device how far it is.
    Verify,
    /// The device works; it is asked again later.
    AwaitInstall,
    /// The device's user is being asked.
    AwaitPerson,
    /// The person said no.
    Rejected,
    /// Failed; tried again later.
    AwaitRetry,
    /// Failed for good.
    GaveUp,

    /// Take the install command, which was not sent yet, back out of the queue.
    WithdrawInstall,
    /// Take the remove command, which was not sent yet, back out of the queue.
    WithdrawRemove,
    /// Send the remove command.
    Remove,
    /// The remove command, or its confirmation, is awaited.
    AwaitRemoval,

    /// Take the licence back.
    Disassociate { asset: u32 },
    /// Two licences of ours are held, where one is enough: take this one back.
    DisassociateSecond { asset: u32 },
    /// Apple is taking the licence back.
    AwaitReturn,
    /// Removed, and the licence is back (or was never ours to take).
    Removed,
}

/// Why a pair or a seat cannot go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Blocked {
    /// No location owns the app.
    NotOwned,
    /// Apple does not allow this app for serial numbers.
    NotDeviceAssignable,
    /// The device has not told its serial number.
    NoSerial,
    /// A user licence is wanted, and the device has no person.
    NoPerson,
    /// Apple does not have the person as a user in any location that could give the licence.
    NotRegistered,
    /// The locations that own the app are not for this deployment, or not for this holder.
    NoAllowedLocation,
    /// The only locations that own the app may not be written to.
    NoWritableLocation,
    /// The bundle identifier is not known, so the app cannot be named to the device.
    NoBundleId,
    /// The location that holds the licence may not be written to.
    LocationNotWritable,
    /// Apple does not allow this licence to be taken back.
    Irrevocable,
}

/// What is wanted of a pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// The licence shall be held; `install`: and the app be there.
    Required { install: bool },
    /// What is there stays, and what is under way comes to its end; nothing new is begun.
    Available,
    /// A deployment or a decision says that the app shall go.
    Uninstall,
    /// Nothing speaks of it (any more).
    Nothing,
}

/// The device, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    Here,
    /// It enrols again in a moment: its licences are not taken meanwhile.
    Coming,
    /// Not enrolled, or silent for too long; `kept`: the licence was given by hand after it left.
    Gone {
        kept: bool,
    },
}

/// Whose licence serves the pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cover {
    /// The device's own.
    Device,
    /// That of its person, as it stands.
    Person(Licence),
    /// That of its person, but it has none.
    Nobody,
}

/// What the table needs to know besides the pair itself.
#[derive(Debug, Clone, Copy)]
pub struct Around {
    pub wanted: Wanted,
    pub cover: Cover,
    pub presence: Presence,
    /// The time for which the pair waits has come.
    pub due: bool,
    /// It has been on its way out for longer than vppd waits.
    pub overdue: bool,
    /// It was declined, or failed, so long ago that its licence goes back.
    pub refused_long_ago: bool,
    /// What wants it is newer than that.
    pub asked_anew: bool,
    /// The app can be named to the device.
    pub bundle_id_known: bool,
    /// The location that holds the device's licence may be written to.
    pub licence_writable: bool,
    /// The device's licence may be taken back.
    pub licence_revocable: bool,
    /// Of several licences of ours that the device holds of the app, the one that goes back.
    pub second: Option<u32>,
}

/// What this pair needs next.
pub fn next_step(pair: &Pair, around: &Around) -> Step {
    if let Some(asset) = around.second {
        return Step::DisassociateSecond { asset };
    }
    match (around.presence, around.wanted) {
        // Management ended: what the device does with the app is no longer ours to ask.
        (Presence::Gone { kept: true }, Wanted::Required { .. }) => towards_held(pair, around),
        (Presence::Gone { .. }, _) => give_back(pair, around),
        (Presence::Coming, _) if pair.licence == Licence::Assigned && pair.ours => Step::AwaitRetry,
        (Presence::Coming, _) => give_back(pair, around),
        // Neither assigned nor adopted by vppd: somebody else's licence, somebody else's app.
        (_, Wanted::Nothing) if !pair.ours => Step::Nothing,
        (_, Wanted::Nothing | Wanted::Uninstall) => towards_removed(pair, around),
        (_, Wanted::Available) => as_it_is(pair, around),
        (_, Wanted::Required { install: true }) => towards_installed(pair, around),
        (_, Wanted::Required { install: false }) => towards_held(pair, around),
    }
}

/// The licence that serves the pair, or what is to be done for it.
fn licence(pair: &Pair, around: &Around) -> Result<(), Step> {
    let served = match around.cover {
        Cover::Device => pair.licence,
        Cover::Person(licence) => licence,
        Cover::Nobody => Licence::None,
    };
    match served {
        Licence::Assigned => Ok(()),
        // The licence went away while the command waited: it must not reach the device.
        _ if pair.app == App::InstallQueued && !pair.sent => Err(Step::WithdrawInstall),
        _ if around.cover == Cover::Nobody => Err(Step::Blocked(Blocked::NoPerson)),
        _ if matches!(around.cover, Cover::Person(_)) => Err(Step::AwaitSeat),
        Licence::None if around.due => Err(Step::NeedsLicence),
        Licence::None => Err(Step::AwaitRetry),
        Licence::Requested => Err(Step::AwaitAssignment),
        Licence::Returning => Err(Step::AwaitReturn),
    }
}

fn towards_installed(pair: &Pair, around: &Around) -> Step {
    let refused = matches!(pair.app, App::Rejected | App::Failed) && !around.asked_anew;
    let stays_refused = if pair.app == App::Rejected { Step::Rejected } else { Step::GaveUp };
    if refused && around.refused_long_ago && pair.licence == Licence::Assigned && pair.ours {
        return give_back(pair, around);
    }
    match licence(pair, around) {
        // It does not ask for a licence again by itself.
        Err(Step::NeedsLicence | Step::AwaitSeat | Step::Blocked(Blocked::NoPerson)) if refused => {
            return stays_refused;
        }
        Err(step) => return step,
        Ok(()) => {}
    }
    match pair.app {
        App::None | App::Removed => Step::Install,
        App::Rejected | App::Failed if refused => stays_refused,
        App::Rejected | App::Failed => Step::Install,
        App::InstallRetry if around.due => Step::Install,
        App::InstallRetry => Step::AwaitRetry,
        _ => under_way(pair, around),
    }
}

/// The licence is wanted, and no install.
fn towards_held(pair: &Pair, around: &Around) -> Step {
    match (licence(pair, around), pair.app) {
        (Err(step), _) => step,
        (Ok(()), App::InstallQueued) if !pair.sent => Step::WithdrawInstall,
        (Ok(()), App::None | App::Removed | App::Rejected | App::Failed | App::InstallRetry) => Step::LicenceHeld,
        (Ok(()), _) if !matches!(around.presence, Presence::Here) => Step::LicenceHeld,
        (Ok(()), _) => under_way(pair, around),
    }
}

/// Nothing is begun, what is under way comes to its end, and what ended without the app gives its licence back.
fn as_it_is(pair: &Pair, around: &Around) -> Step {
    match (licence(pair, around), pair.app) {
        (Err(step @ (Step::WithdrawInstall | Step::AwaitAssignment | Step::AwaitReturn)), _) => step,
        (_, App::Rejected | App::Failed | App::InstallRetry | App::Removed) => give_back(pair, around),
        (Err(_), _) => Step::Nothing,
        (Ok(()), App::None) => Step::LicenceHeld,
        (Ok(()), _) => under_way(pair, around),
    }
}

/// The licence is there, and the device is at it.
fn under_way(pair: &Pair, around: &Around) -> Step {
    match pair.app {
        App::Working | App::WaitingForPerson if around.due => Step::Verify,
        App::Working => Step::AwaitInstall,
        App::WaitingForPerson => Step::AwaitPerson,
        App::RemoveQueued if pair.sent => Step::AwaitRemoval,
        App::RemoveQueued => Step::WithdrawRemove,
        App::RemoveUnconfirmed | App::RemoveRetry if around.due => Step::Verify,
        App::RemoveUnconfirmed | App::RemoveRetry => Step::AwaitRemoval,
        App::InstallQueued => Step::AwaitInstallAnswer,
        App::None | App::Removed | App::Rejected | App::Failed | App::InstallRetry | App::Installed => Step::Satisfied,
    }
}

fn towards_removed(pair: &Pair, around: &Around) -> Step {
    match pair.app {
        App::InstallQueued if !pair.sent => Step::WithdrawInstall,
        // Nobody confirms it: the licence does not wait any longer. The command still reaches the device when it comes.
        _ if around.overdue && pair.licence == Licence::Assigned => give_back(pair, around),
        App::InstallQueued => Step::AwaitInstallAnswer,
        App::Working | App::WaitingForPerson | App::Installed if !around.bundle_id_known => {
            Step::Blocked(Blocked::NoBundleId)
        }
        App::Working | App::WaitingForPerson | App::Installed => Step::Remove,
        App::RemoveRetry if around.due => Step::Remove,
        App::RemoveUnconfirmed if around.due => Step::Verify,
        App::RemoveQueued | App::RemoveUnconfirmed | App::RemoveRetry => Step::AwaitRemoval,
        App::None | App::Rejected | App::InstallRetry | App::Failed | App::Removed => give_back(pair, around),
    }
}

fn give_back(pair: &Pair, around: &Around) -> Step {
    let told_to = pair.ours || (around.presence == Presence::Here && around.wanted == Wanted::Uninstall);
    match pair.licence {
        Licence::None if pair.app == App::Removed => Step::Removed,
        Licence::None => Step::Nothing,
        Licence::Requested => Step::AwaitAssignment,
        Licence::Returning => Step::AwaitReturn,
        Licence::Assigned if !told_to => Step::Nothing,
        Licence::Assigned if !around.licence_revocable => Step::Blocked(Blocked::Irrevocable),
        Licence::Assigned if !around.licence_writable => Step::Blocked(Blocked::LocationNotWritable),
        Licence::Assigned if !around.due => Step::AwaitRetry,
        Licence::Assigned => Step::Disassociate { asset: pair.asset },
    }
}

/// Whether a pair that is not wanted waits for its device: the licence goes back after the offline limit at the latest.
pub fn waits_for_the_device(pair: &Pair) -> bool {
    matches!(
        pair.app,
        App::InstallQueued
            | App::Working
            | App::WaitingForPerson
            | App::Installed
            | App::RemoveQueued
            | App::RemoveUnconfirmed
            | App::RemoveRetry
    )
}

/// What is wanted of a person's licence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeatWanted {
    /// A device of the person wants the app, or the person shall have the licence anyway.
    Wanted,
    /// A device may still have the app.
    InUse,
    /// Nobody needs it.
    Nothing,
    /// A decision by hand says that it shall go back, whoever gave it.
    TakenBack,
}

/// What the table of seats needs to know besides the seat itself.
#[derive(Debug, Clone, Copy)]
pub struct AroundSeat {
    pub wanted: SeatWanted,
    pub due: bool,
    pub writable: bool,
    pub revocable: bool,
    /// Of several licences of ours that the person holds of the app, the one that goes back.
    pub second: Option<u32>,
}

/// What this seat needs next.
pub fn next_for_seat(seat: &Seat, around: &AroundSeat) -> Step {
    if let Some(asset) = around.second {
        return Step::DisassociateSecond { asset };
    }
    match (seat.licence, around.wanted) {
        (Licence::Requested, _) => Step::AwaitAssignment,
        (Licence::Returning, _) => Step::AwaitReturn,
        (Licence::None, SeatWanted::Wanted) if around.due => Step::NeedsLicence,
        (Licence::None, SeatWanted::Wanted) => Step::AwaitRetry,
        (Licence::None, _) => Step::Nothing,
        (Licence::Assigned, SeatWanted::Wanted | SeatWanted::InUse) => Step::LicenceHeld,
        (Licence::Assigned, SeatWanted::Nothing) if !seat.ours => Step::Nothing,
        (Licence::Assigned, _) if !around.revocable => Step::Blocked(Blocked::Irrevocable),
        (Licence::Assigned, _) if !around.writable => Step::Blocked(Blocked::LocationNotWritable),
        (Licence::Assigned, _) if !around.due => Step::AwaitRetry,
        (Licence::Assigned, _) => Step::Disassociate { asset: seat.asset },
    }
}

#[cfg(test)]
mod tests;
