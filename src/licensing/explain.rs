//! A step in words: why it is so, and what happens next. One sentence for a person, without names that only we use.

use super::step::{Blocked, Step};

/// What the sentence may name.
#[derive(Debug, Clone, Copy, Default)]
pub struct Names<'a> {
    /// The location whose licence is meant; empty when none is.
    pub location: &'a str,
    /// What is known of the last failure, in words; may be empty.
    pub reason: &'a str,
    /// When the next try comes, in words; may be empty.
    pub next: &'a str,
    /// When the licence goes back whatever the device says, in words; may be empty.
    pub deadline: &'a str,
    /// The app comes to the device by declaration.
    pub declared: bool,
}

/// The sentence for a step.
pub fn explain(step: Step, names: &Names<'_>) -> String {
    let Names { location, reason, next, deadline, declared } = *names;
    let until = if deadline.is_empty() {
        String::new()
    } else {
        format!("; the licence goes back on {deadline} at the latest")
    };
    let later = if next.is_empty() { String::new() } else { format!("; next look at {next}") };
    let because = if reason.is_empty() { String::new() } else { format!(": {reason}") };
    match step {
        Step::Nothing => "no deployment speaks of this app for this device".into(),
        Step::Satisfied => format!("installed and managed, licence held{because}"),
        Step::LicenceHeld => "the licence is held, and no install is wanted".into(),
        Step::Blocked(blocked) => explain_blocked(blocked, location),
        Step::NeedsLicence => "a licence is needed first".into(),
        Step::Associate { .. } => format!("wanted, and a licence of {location} is free: Apple is asked to assign it"),
        Step::WaitForLicence { position } => {
            format!("no licence is free; place {position} in the waiting list, served by itself when one comes")
        }
        Step::WaitForQuota { position } => {
            format!("the deployment has used its quota up; place {position} among those who wait for it")
        }
        Step::AwaitSeat => "waits for the licence of the device's person".into(),
        Step::AwaitAssignment => format!("Apple is assigning the licence of {location}; the install follows"),
        Step::Install => "the licence is confirmed by Apple: the device is told to install".into(),
        Step::AwaitWave => "its wave is full: it is installed when an install of the same deployment has ended".into(),
        Step::AwaitInstallAnswer if declared => {
            format!("the app is declared; the device fetches it when it comes{because}")
        }
        Step::AwaitInstall if declared => {
            format!("the device has fetched the declaration and works on it{because}{later}")
        }
        Step::AwaitPerson if declared => {
            format!("the device offers the app, or asks its user, and tells what comes of it{because}{later}")
        }
        Step::AwaitInstallAnswer => format!("the install command waits for the device to come{because}"),
        Step::Verify => "the device is asked how far it is".into(),
        Step::AwaitInstall => format!("the device has accepted the install and works on it{because}{later}"),
        Step::AwaitPerson => format!("the device asks its user{because}{later}"),
        Step::Rejected => format!("not installed, and not asked again by itself{because}{until}"),
        Step::AwaitRetry => {
            let when = if next.is_empty() { String::new() } else { format!("; next try at {next}") };
            let what = if reason.is_empty() { "waits" } else { "did not work" };
            format!("{what}{because}{when}")
        }
        Step::GaveUp => format!("given up{because}{until}"),
        Step::WithdrawInstall => "no longer wanted: the install command is taken back before it is sent".into(),
        Step::WithdrawRemove => "wanted again: the remove command is taken back before it is sent".into(),
        Step::Remove => "no longer wanted: the device is told to remove the app".into(),
        Step::AwaitRemoval => {
            format!("being removed; the licence goes back once the device confirms it{because}{later}{until}")
        }
        Step::Disassociate { .. } => format!("not on the device any more: the licence goes back to {location}"),
        Step::DisassociateSecond { .. } => {
            format!("two licences of this app are held, and one is enough: the one of {location} goes back")
        }
        Step::AwaitReturn => format!("Apple is taking the licence back to {location}"),
        Step::Removed => "removed, and the licence is back".into(),
    }
}

fn explain_blocked(blocked: Blocked, location: &str) -> String {
    match blocked {
        Blocked::NotOwned => "no location owns this app: buy licences at Apple, or check the Adam ID".into(),
        Blocked::NotDeviceAssignable => "Apple does not allow this app to be licensed by serial number".into(),
        Blocked::NoSerial => {
            "the device has not told its serial number, without which it cannot hold a licence (in User Enrollment no \
             device does)"
                .into()
        }
        Blocked::NoPerson => {
            "a user licence is wanted, and nobody is noted as the person of this device".into()
        }
        Blocked::NotRegistered => "Apple does not have the person as a user of a location that owns this app yet".into(),
        Blocked::NoAllowedLocation => {
            "the locations that own this app are not for this deployment, or not for the groups of this device or person"
                .into()
        }
        Blocked::NoWritableLocation => {
            "no location that owns this app can be used now (see `vppd token list`): nothing is assigned".into()
        }
        Blocked::NoBundleId => "the app's bundle identifier is not known yet, so the device cannot be told to remove \
                                it; it becomes known when a device reports the app"
            .into(),
        Blocked::LocationNotWritable => {
            format!("{location} cannot be used now (see `vppd token list`): the licence stays where it is")
        }
        Blocked::Irrevocable => "Apple does not allow this licence to be taken back".into(),
    }
}
