//! Everything that happened to a pair, in the order of time. Pure: rows of the store in, lines for people out.

use jiff::Timestamp;

use crate::model::App;
use crate::operations::view::{MomentKind, MomentView};
use crate::store::commands::{Command, CommandState};
use crate::store::timeline::{Change, LicenceMoment, LicenceWord};

/// The time line, the oldest first.
pub(super) fn moments(
    commands: &[Command],
    changes: &[Change],
    licences: &[LicenceMoment],
    pushes: &[(Timestamp, String)],
) -> Vec<MomentView> {
    let mut all: Vec<MomentView> = Vec::new();
    all.extend(licences.iter().map(of_licence));
    all.extend(commands.iter().flat_map(of_command));
    all.extend(pushes.iter().map(|(at, problem)| {
        let what = match problem.as_str() {
            "" => "the device was pushed".to_owned(),
            problem => format!("the device could not be pushed: {problem}"),
        };
        MomentView { at: *at, kind: MomentKind::Push, what }
    }));
    all.extend(changes.iter().filter_map(of_change));
    // What happened at the same time stays in the order of cause and effect: licence, command, push, state.
    all.sort_by_key(|moment| moment.at);
    all
}

fn of_licence(moment: &LicenceMoment) -> MomentView {
    let LicenceMoment { location, detail, .. } = moment;
    let by = |detail: &str| if detail.is_empty() { String::new() } else { format!(" (Apple's event {detail})") };
    let (kind, what) = match moment.what {
        LicenceWord::Asked => (MomentKind::Licence, format!("Apple is asked for a licence of {location}")),
        LicenceWord::Given => (MomentKind::Event, format!("Apple has given the licence of {location}{}", by(detail))),
        LicenceWord::Refused => (MomentKind::Event, format!("the licence of {location} did not come: {detail}")),
        LicenceWord::AskedBack => {
            (MomentKind::Licence, format!("Apple is asked to take the licence back to {location}"))
        }
        LicenceWord::Returned => (MomentKind::Event, format!("the licence is back in {location}{}", by(detail))),
        LicenceWord::Kept => (MomentKind::Event, format!("the licence did not go back to {location}: {detail}")),
    };
    MomentView { at: moment.at, kind, what }
}

fn of_command(command: &Command) -> Vec<MomentView> {
    let name = &command.request_type;
    let mut all =
        vec![MomentView { at: command.queued_at, kind: MomentKind::Command, what: format!("{name} is queued") }];
    let mut add = |at: Option<Timestamp>, kind, what: String| all.extend(at.map(|at| MomentView { at, kind, what }));
    add(command.sent_at, MomentKind::CheckIn, format!("the device came and took {name}"));
    let times = if command.put_offs > 1 { format!(", {} times until now", command.put_offs) } else { String::new() };
    add(command.put_off_at, MomentKind::Answer, format!("the device put {name} off (NotNow){times}"));
    let (kind, what) = match command.state {
        CommandState::Acknowledged => (MomentKind::Answer, format!("the device accepted {name}")),
        CommandState::Error => (MomentKind::Answer, format!("the device refused {name}: {}", command.error)),
        CommandState::FormatError => (MomentKind::Answer, format!("the device calls {name} malformed")),
        CommandState::Withdrawn if command.error.is_empty() => (MomentKind::Command, format!("{name} is taken back")),
        CommandState::Withdrawn => (MomentKind::Command, format!("{name} is taken back: {}", command.error)),
        CommandState::Queued | CommandState::Sent | CommandState::NotNow => return all,
    };
    add(command.answered_at, kind, what);
    all
}

/// `None` for states that a command of the same moment tells.
fn of_change(change: &Change) -> Option<MomentView> {
    let words = match change.app {
        App::None if change.reason.is_empty() => return None,
        App::None => "waits",
        App::InstallQueued | App::RemoveQueued => return None,
        App::Working => "the device works on it",
        App::WaitingForPerson => "the device asks its person",
        App::Installed => "installed",
        App::Rejected => "declined: not asked again by itself",
        App::InstallRetry => "did not work: it is tried again",
        App::Failed => "given up",
        App::RemoveUnconfirmed => "the removal is accepted, and not confirmed yet",
        App::RemoveRetry => "the removal did not work: it is tried again",
        App::Removed => "removed",
    };
    let status = if change.status.is_empty() { String::new() } else { format!(" ({})", change.status) };
    let reason = match (&change.cause, change.reason.as_str()) {
        (Some(cause), "") => format!(", {}", cause.word()),
        (Some(cause), reason) => format!(", {}: {reason}", cause.word()),
        (None, "") => String::new(),
        (None, reason) => format!(": {reason}"),
    };
    Some(MomentView { at: change.at, kind: MomentKind::State, what: format!("{words}{status}{reason}") })
}
