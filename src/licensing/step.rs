//! What one pair (one app on one device) needs next. The whole rule is [`next_step`]: a table without I/O.
//!
//! The order that must never be broken: the licence first, and confirmed by Apple; only then the install. On the way out
//! the app first, and its absence confirmed by the device; only then the licence goes back.

use super::desired::Wanted;
use super::snapshot::{Licence, Pair};
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

/// What a pair needs next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// Nothing is wanted and nothing is there.
    Nothing,
    /// All is as wanted: installed, licence held.
    Satisfied,
    /// Cannot go on as things are.
    Blocked(Blocked),

    /// Needs a licence; the plan decides whether there is one.
    NeedsLicence,
    /// Gets a licence of this asset now.
    Associate { asset: u32 },
    /// No licence is free; `position` counts from 1.
    WaitForLicence { position: u32 },
    /// Apple is assigning.
    AwaitAssignment,

    /// Send the install command.
    Install,
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
    /// Apple is taking the licence back.
    AwaitReturn,
    /// Removed, and the licence is back (or was never ours to take).
    Removed,
}

/// Why a pair cannot go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Blocked {
    /// No location owns the app.
    NotOwned,
    /// Apple does not allow this app for serial numbers.
    NotDeviceAssignable,
    /// The device has not told its serial number.
    NoSerial,
    /// The only locations that own the app may not be written to.
    NoWritableLocation,
    /// The bundle identifier is not known, so the app cannot be named to the device.
    NoBundleId,
    /// The location that holds the licence may not be written to.
    LocationNotWritable,
    /// Apple does not allow this licence to be taken back.
    Irrevocable,
}

/// What the table needs to know besides the pair itself.
#[derive(Debug, Clone, Copy)]
pub struct Around {
    pub wanted: Wanted,
    /// The device is enrolled.
    pub enrolled: bool,
    /// The time for which the pair waits has come.
    pub due: bool,
    /// The app can be named to the device.
    pub bundle_id_known: bool,
    /// The location that holds the pair's licence may be written to.
    pub licence_writable: bool,
    /// The pair's licence may be taken back.
    pub licence_revocable: bool,
}

/// What this pair needs next.
pub fn next_step(pair: &Pair, around: &Around) -> Step {
    match around.wanted {
        // Management ended: what the device does with the app is no longer ours to ask.
        _ if !around.enrolled => give_back(pair, around),
        // Neither assigned nor adopted by vppd: somebody else's licence, somebody else's app.
        Wanted::Nothing if !pair.ours => Step::Nothing,
        Wanted::Nothing | Wanted::Uninstall => towards_removed(pair, around),
        Wanted::Required { .. } => towards_installed(pair, around),
    }
}

fn towards_installed(pair: &Pair, around: &Around) -> Step {
    match pair.licence {
        // The licence went away while the command waited: it must not reach the device.
        Licence::None | Licence::Requested | Licence::Returning if pair.app == App::InstallQueued && !pair.sent => {
            Step::WithdrawInstall
        }
        Licence::None if around.due => Step::NeedsLicence,
        Licence::None => Step::AwaitRetry,
        Licence::Requested => Step::AwaitAssignment,
        Licence::Returning => Step::AwaitReturn,
        Licence::Assigned => match pair.app {
            App::None | App::Removed => Step::Install,
            App::InstallQueued => Step::AwaitInstallAnswer,
            App::Working if around.due => Step::Verify,
            App::Working => Step::AwaitInstall,
            App::WaitingForPerson if around.due => Step::Verify,
            App::WaitingForPerson => Step::AwaitPerson,
            App::Installed => Step::Satisfied,
            App::Rejected => Step::Rejected,
            App::InstallRetry if around.due => Step::Install,
            App::InstallRetry => Step::AwaitRetry,
            App::Failed => Step::GaveUp,
            App::RemoveQueued if pair.sent => Step::AwaitRemoval,
            App::RemoveQueued => Step::WithdrawRemove,
            App::RemoveUnconfirmed | App::RemoveRetry if around.due => Step::Verify,
            App::RemoveUnconfirmed | App::RemoveRetry => Step::AwaitRemoval,
        },
    }
}

fn towards_removed(pair: &Pair, around: &Around) -> Step {
    match pair.app {
        App::InstallQueued if !pair.sent => Step::WithdrawInstall,
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
    let told_to = pair.ours || (around.enrolled && around.wanted == Wanted::Uninstall);
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

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;

    fn around(wanted: Wanted) -> Around {
        Around {
            wanted,
            enrolled: true,
            due: true,
            bundle_id_known: true,
            licence_writable: true,
            licence_revocable: true,
        }
    }

    fn required() -> Around {
        around(Wanted::Required { since: Timestamp::UNIX_EPOCH })
    }

    fn pair(licence: Licence, app: App) -> Pair {
        Pair { licence, app, ours: licence != Licence::None, ..Pair::unknown(0, 0) }
    }

    #[test]
    fn an_install_is_sent_only_with_an_assigned_licence() {
        for licence in [Licence::None, Licence::Requested, Licence::Returning] {
            for code in 0..=11 {
                let app = App::from_code(code).unwrap();
                assert_ne!(next_step(&pair(licence, app), &required()), Step::Install, "{licence:?} {app:?}");
            }
        }
        assert_eq!(next_step(&pair(Licence::Assigned, App::None), &required()), Step::Install);
    }

    #[test]
    fn an_install_that_was_not_sent_is_withdrawn_when_its_licence_goes_away() {
        let queued = pair(Licence::None, App::InstallQueued);
        assert_eq!(next_step(&queued, &required()), Step::WithdrawInstall);
        assert_eq!(next_step(&Pair { sent: true, ..queued }, &required()), Step::NeedsLicence);
    }

    #[test]
    fn a_licence_that_apple_refused_is_not_asked_for_again_before_its_time() {
        let early = Around { due: false, ..required() };
        for code in 0..=11 {
            let app = App::from_code(code).unwrap();
            let refused = Pair { sent: true, ..pair(Licence::None, app) };
            assert_eq!(next_step(&refused, &early), Step::AwaitRetry, "{app:?}");
            assert_eq!(next_step(&refused, &required()), Step::NeedsLicence, "{app:?}");
        }
    }

    #[test]
    fn a_licence_goes_back_only_when_the_device_cannot_have_the_app() {
        for wanted in [Wanted::Uninstall, Wanted::Nothing] {
            for code in 0..=11 {
                let app = App::from_code(code).unwrap();
                let step = next_step(&pair(Licence::Assigned, app), &around(wanted));
                let gives_back = matches!(step, Step::Disassociate { .. });
                let absent = matches!(app, App::None | App::Rejected | App::InstallRetry | App::Failed | App::Removed);
                assert_eq!(gives_back, absent, "{wanted:?} {app:?} gives {step:?}");
            }
        }
    }

    #[test]
    fn what_vppd_did_not_assign_is_left_alone_unless_told() {
        let foreign = Pair { ours: false, ..pair(Licence::Assigned, App::Installed) };
        assert_eq!(next_step(&foreign, &around(Wanted::Nothing)), Step::Nothing);
        assert_eq!(next_step(&foreign, &around(Wanted::Uninstall)), Step::Remove);
        let gone = Around { enrolled: false, ..around(Wanted::Uninstall) };
        assert_eq!(next_step(&foreign, &gone), Step::Nothing);
    }

    #[test]
    fn a_device_that_left_gives_its_licence_back_without_being_asked() {
        let gone = Around { enrolled: false, ..required() };
        let step = next_step(&pair(Licence::Assigned, App::Installed), &gone);
        assert_eq!(step, Step::Disassociate { asset: 0 });
    }

    #[test]
    fn a_person_who_declined_is_not_asked_again() {
        assert_eq!(next_step(&pair(Licence::Assigned, App::Rejected), &required()), Step::Rejected);
    }

    #[test]
    fn an_app_without_known_bundle_id_is_not_removed_blindly() {
        let nameless = Around { bundle_id_known: false, ..around(Wanted::Uninstall) };
        let step = next_step(&pair(Licence::Assigned, App::Installed), &nameless);
        assert_eq!(step, Step::Blocked(Blocked::NoBundleId));
    }

    #[test]
    fn time_moves_waiting_on() {
        let early = Around { due: false, ..required() };
        let cases = [
            (App::Working, Step::AwaitInstall, Step::Verify),
            (App::WaitingForPerson, Step::AwaitPerson, Step::Verify),
            (App::InstallRetry, Step::AwaitRetry, Step::Install),
            (App::RemoveUnconfirmed, Step::AwaitRemoval, Step::Verify),
        ];
        for (app, before, after) in cases {
            assert_eq!(next_step(&pair(Licence::Assigned, app), &early), before);
            assert_eq!(next_step(&pair(Licence::Assigned, app), &required()), after);
        }
    }
}
