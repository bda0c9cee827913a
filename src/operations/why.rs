//! Why is this app not on that device? One time line of everything that is known of the pair: its licence, its commands, the
//! pushes, what the device said, and the states that followed; with the plain cause and the next step.

mod moments;

use jiff::Timestamp;

use super::explain::explain;
use super::view::{ExplainedView, Stage, WhyView};
use super::{OperationError, Shared};
use crate::mdm::outcome::raw;
use crate::mdm::report::ErrorLink;
use crate::model::{Cause, Holder};
use crate::store::commands::{self, Command, CommandState};
use crate::store::devices::Device;
use crate::store::pairs::Pair;
use crate::store::timeline::{self, Change, LicenceMoment};
use crate::store::{appliance, device_notes, devices, pairs, persons};

/// How many rows of each kind are told, the newest.
const ROWS: u32 = 60;

/// What the store knows of a pair.
struct Known {
    device: Option<Device>,
    pair: Option<Pair>,
    commands: Vec<Command>,
    changes: Vec<Change>,
    licences: Vec<LicenceMoment>,
    pushes: Vec<(Timestamp, String)>,
    paused: bool,
}

/// Tells it for the device with this serial number and the app with this Adam ID, name or bundle id.
pub async fn why(context: &Shared, serial: String, app: String) -> Result<WhyView, OperationError> {
    let told = explain(context, serial, Some(app)).await?;
    let Some(explained) = told.pairs.into_iter().next() else {
        return Err(OperationError::internal("a pair was lost while it was explained"));
    };
    let (serial, adam_id) = (told.serial.clone(), explained.pair.adam_id.clone());
    let known = context.store.read(move |c| load(c, &serial, &adam_id)).await?;
    let seen = known.device.as_ref().and_then(|device| context.index.last_seen(device.id).max(device.last_seen));
    let cause = cause_of(&explained, &known);
    Ok(WhyView {
        serial: told.serial,
        device: told.device,
        adam_id: explained.pair.adam_id.clone(),
        name: explained.pair.name.clone(),
        stage: explained.pair.stage,
        why: explained.pair.why.clone(),
        cause: cause.map_or(String::new(), |cause| cause.word().into()),
        means: cause.map_or(String::new(), |cause| cause.means().into()),
        next: next_step(&explained, &known, cause, seen),
        decides: explained.decides.clone(),
        licence_of: explained.licence_of.clone(),
        next_at: explained.pair.next_at,
        goes_back_at: explained.goes_back_at,
        last_seen: seen,
        device_says: known.commands.iter().rev().find_map(chain_of).unwrap_or_default(),
        moments: moments::moments(&known.commands, &known.changes, &known.licences, &known.pushes),
    })
}

fn load(c: &rusqlite::Connection, serial: &str, adam_id: &str) -> Result<Known, OperationError> {
    let device = devices::by_serial(c, serial)?;
    let mut licences = timeline::licences(c, adam_id, &Holder::Serial(serial.to_owned()), ROWS)?;
    if let Some(person) = device_notes::get(c, serial)?.person
        && let Some(person) = persons::by_id(c, person)?
    {
        licences.extend(timeline::licences(c, adam_id, &Holder::User(person.client_user_id), ROWS)?);
    }
    let (mut pair, mut of_pair, mut changes, mut pushes) = (None, Vec::new(), Vec::new(), Vec::new());
    if let Some(device) = &device {
        pair = pairs::get(c, device.id, adam_id)?;
        of_pair = commands::of_pair(c, device.id, adam_id, ROWS)?;
        changes = timeline::changes(c, device.id, adam_id, ROWS)?;
        if let Some(first) = of_pair.first() {
            pushes = timeline::pushes(c, device.id, first.queued_at, ROWS)?;
        }
    }
    let paused = appliance::load(c)?.paused.is_some();
    Ok(Known { device, pair, commands: of_pair, changes, licences, pushes, paused })
}

/// The last failure's chain as it came.
fn chain_of(command: &Command) -> Option<String> {
    let chain: Vec<ErrorLink> = serde_json::from_str(&command.chain).ok()?;
    (!chain.is_empty()).then(|| raw(&chain))
}

/// What is in the way; `None` when nothing is, or when the stage says it all.
fn cause_of(explained: &ExplainedView, known: &Known) -> Option<Cause> {
    let open = known.commands.last().filter(|command| command.state == CommandState::NotNow);
    match explained.pair.stage {
        Stage::InstallQueued if open.is_some_and(|command| command.put_offs > 1) => Some(Cause::NoAnswer),
        Stage::Blocked
        | Stage::LicenceRequested
        | Stage::InstallQueued
        | Stage::Installed
        | Stage::LicenceHeld
        | Stage::Removed => None,
        _ => known.pair.as_ref()?.progress.cause,
    }
}

/// What happens next by itself, and what a person can do.
fn next_step(explained: &ExplainedView, known: &Known, cause: Option<Cause>, seen: Option<Timestamp>) -> String {
    if known.paused {
        return "vppd is paused, so nothing is asked for or sent: vppd resume".into();
    }
    if let Some(cause) = cause {
        return cause.advice().into();
    }
    match explained.pair.stage {
        Stage::Blocked => "What is in the way is told above; nothing is sent until it is gone.".into(),
        Stage::WaitingForLicence => {
            "Buy licences, or free some (vppd app waste, vppd report licences). It is served by itself.".into()
        }
        Stage::LicenceRequested => "Nothing: Apple is working on it, and the install follows.".into(),
        Stage::InstallQueued | Stage::Removing => silence(known, seen),
        Stage::Installing => "Nothing: the device is asked again how far it is.".into(),
        Stage::WaitingForPerson => "The person with the device answers there.".into(),
        Stage::Rejected | Stage::Failed => "When the reason is gone: vppd device retry".into(),
        Stage::LicenceReturning => "Nothing: Apple is taking the licence back.".into(),
        Stage::Installed | Stage::LicenceHeld | Stage::Removed => "Nothing: it is as wanted.".into(),
    }
}

/// What can be done about a command that waits for its device.
fn silence(known: &Known, seen: Option<Timestamp>) -> String {
    let Some(device) = &known.device else { return "The device has to enrol first: vppd enrol profile".into() };
    if !device.push.problem.is_empty() {
        return format!("The device cannot be woken: {}.", device.push.problem);
    }
    let open = known.commands.last().filter(|command| command.state.is_open());
    match (open.map(|command| command.state), device.push.pushes) {
        (Some(CommandState::NotNow), _) => {
            "The device has put the command off, as locked ones do; it comes back by itself once it can.".into()
        }
        (Some(CommandState::Sent), _) => "The device has taken the command and not answered yet.".into(),
        (_, 0) => "Nothing: the device is woken by a push, or comes by itself.".into(),
        (_, pushes) => {
            let since = seen.map_or("it enrolled".to_owned(), |at| at.strftime("%Y-%m-%d %H:%M UTC").to_string());
            format!(
                "The device has not been heard of since {since}, after {pushes} pushes. See that it is switched on and \
                 reaches Apple's push service (port 5223 or 443) and this appliance. It is pushed again by itself."
            )
        }
    }
}

#[cfg(test)]
mod tests;
