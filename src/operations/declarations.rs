//! Declarations to devices (Apple: Declarative Management): which apps a device gets by them, and what it answers.
//!
//! A declared app takes the place of the commands for the same pair: it is declared where an install would be queued,
//! withdrawn where a removal would be, and its state moves by the same rules. The device is called by a command to fetch
//! what has changed; it fetches by check-in messages (`answer`) and reports by itself what becomes of it (`status`). What is
//! declared is compared with what is wanted at each plan (`settle`).
//!
//! Taking a declaration back removes the app from the device: an app that was declared stays so until it is to go.

pub(super) mod answer;
pub(super) mod settle;
mod status;

use std::time::Duration;

use jiff::Timestamp;
use rusqlite::Connection;

use super::view::DeclaringView;
use super::{OperationError, checkin};
use crate::clock::after;
use crate::licensing::membership::platform;
use crate::licensing::progress::{Fact, Meaning, Patience, Word, advance};
use crate::mdm::command::{Command, DeclarativeManagement};
use crate::mdm::declarative::{Assignment, Capabilities, Declarations, Install, ManagedApp, System};
use crate::mdm::report::Status;
use crate::model::{App, Delivery, DeploymentId, DeviceId, UpdatePolicy};
use crate::store::declarations::{self, DeclaredApp, Declaring, State};
use crate::store::deployments::Terms;
use crate::store::devices::Device;
use crate::store::{Write, commands, deployments, pairs};

/// Pauses between looks at an app of which the device tells by itself.
const LOOKS: [Duration; 3] = [Duration::from_secs(3600), Duration::from_secs(6 * 3600), Duration::from_secs(24 * 3600)];

const CALL: &str = "DeclarativeManagement";

/// What decides how a pair gets its app.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Wish {
    /// The deciding deployment; `None`: a decision by hand without one.
    pub deployment: Option<DeploymentId>,
    /// The licence is the person's.
    pub by_user: bool,
}

/// How an app comes to a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Declared,
    Command,
    /// The device has just been asked what it can.
    Wait,
}

/// The system of a device.
fn system(device: &Device) -> System {
    let facts = &device.facts;
    System::new(platform(&facts.product_name), &facts.os_version, device.user_enrolment)
}

fn capabilities(declaring: &Declaring) -> Result<Option<Capabilities>, OperationError> {
    let read = |text: &String| serde_json::from_str(text);
    declaring.capabilities.as_ref().map(read).transpose().map_err(unreadable)
}

fn terms_of(app: &DeclaredApp) -> Result<ManagedApp, OperationError> {
    serde_json::from_str(&app.terms).map_err(unreadable)
}

fn written<T: serde::Serialize>(value: &T) -> Result<String, OperationError> {
    serde_json::to_string(value)
        .map_err(|error| OperationError::internal(format!("what is declared cannot be written: {error}")))
}

fn unreadable(error: serde_json::Error) -> OperationError {
    OperationError::internal(format!("what the database says of declarations cannot be read: {error}"))
}

/// What a device should have, and how it stands; `None` when it was never asked to speak declarations.
fn load(connection: &Connection, device: &Device) -> Result<Option<(Declaring, Declarations)>, OperationError> {
    let Some(declaring) = declarations::get(connection, device.id)? else { return Ok(None) };
    let apps = declarations::apps_of(connection, device.id)?;
    let apps: Vec<ManagedApp> =
        apps.iter().filter(|app| app.withdrawn_at.is_none()).map(terms_of).collect::<Result<_, _>>()?;
    let declared = Declarations::new(&system(device), capabilities(&declaring)?.as_ref(), &apps);
    Ok(Some((declaring, declared)))
}

/// Calls the device to fetch what has changed, if anything has. True when a command was queued.
fn changed(w: &Write<'_>, device: &Device, uuid: &str, now: Timestamp) -> Result<bool, OperationError> {
    let Some((declaring, declared)) = load(w, device)? else { return Ok(false) };
    if declared.token() == declaring.token {
        return Ok(false);
    }
    declarations::put(w, device.id, &Declaring { token: declared.token().to_owned(), ..declaring })?;
    call(w, device.id, uuid, now)
}

/// Queues the command that has a device fetch its declarations, unless one waits. True when it was queued.
pub(super) fn call(w: &Write<'_>, device: DeviceId, uuid: &str, now: Timestamp) -> Result<bool, OperationError> {
    let Some(declaring) = declarations::get(w, device)? else { return Ok(false) };
    if declaring.state == State::Refused || commands::waits(w, device, CALL)? {
        return Ok(false);
    }
    checkin::queue(w, device, uuid, &Command::DeclarativeManagement(DeclarativeManagement {}), None, now)?;
    declarations::put(w, device, &Declaring { called_at: now, ..declaring })?;
    Ok(true)
}

/// The patience with a device that tells of its apps by itself.
pub(super) fn patient(patience: &Patience) -> Patience {
    Patience { verify_after: LOOKS.to_vec(), ..patience.clone() }
}

/// The patience with a device whose apps were installed by command: no questions where it tells of them by itself.
pub(super) fn patience_with(
    connection: &Connection,
    device: DeviceId,
    patience: &Patience,
) -> Result<Patience, OperationError> {
    let tells = match declarations::get(connection, device)? {
        Some(declaring) if declaring.state == State::On && declaring.fetched == declaring.token => {
            capabilities(&declaring)?.is_some_and(|known| known.tells_of_apps())
        }
        _ => false,
    };
    Ok(if tells { patient(patience) } else { patience.clone() })
}

/// By which way an app that is not there comes to a device.
fn way(
    terms: &Terms,
    by_user: bool,
    system: &System,
    declaring: Option<&Declaring>,
    tells_within: Duration,
    now: Timestamp,
) -> Result<Way, OperationError> {
    let Some(declaring) = declaring.filter(|_| terms.delivery != Delivery::Command) else { return Ok(Way::Command) };
    // vppd gives declared apps no configuration, and a person's licence serves on a Mac in the person's own session only.
    if terms.configuration.is_some() || by_user && system.platform == "macOS" {
        return Ok(Way::Command);
    }
    Ok(match (declaring.state, capabilities(declaring)?) {
        (State::Refused, _) => Way::Command,
        (_, Some(known)) if known.manages_apps() => Way::Declared,
        (_, Some(_)) => Way::Command,
        (_, None) if after(declaring.since, tells_within) > now => Way::Wait,
        (_, None) => Way::Command,
    })
}

/// What a declaration is to say.
fn managed_app(adam_id: &str, terms: &Terms, by_user: bool, attempt: u32) -> ManagedApp {
    ManagedApp {
        adam_id: adam_id.to_owned(),
        install: if terms.offered { Install::Optional } else { Install::Required },
        licence: if by_user { Assignment::User } else { Assignment::Device },
        build: terms.build,
        updates: match terms.updates {
            UpdatePolicy::Immediately => Some(true),
            UpdatePolicy::Never => Some(false),
            UpdatePolicy::Inherit | UpdatePolicy::Scheduled => None,
        },
        attributes: terms.attributes.clone(),
        attempt,
    }
}

/// Declares an app whose licence is there and that is to be installed now, if it is to come by declaration; a further try
/// is another attempt.
pub(super) fn install(
    w: &Write<'_>,
    device: &Device,
    pair: &mut pairs::Pair,
    wish: &Wish,
    uuid: &str,
    patience: &Patience,
    now: Timestamp,
) -> Result<Way, OperationError> {
    let terms = wish.deployment.map(|id| deployments::by_id(w, id)).transpose()?.flatten();
    let terms = terms.map(|deployment| deployment.terms).unwrap_or_default();
    let known = declarations::app(w, device.id, &pair.adam_id)?;
    let declaring = declarations::get(w, device.id)?;
    let way = match &known {
        // Whatever the deployment says now: what was declared once stays so.
        Some(app) if app.withdrawn_at.is_none() => Way::Declared,
        _ => way(&terms, wish.by_user, &system(device), declaring.as_ref(), patience.tells_within, now)?,
    };
    match way {
        Way::Wait => {}
        Way::Command => declarations::remove_app(w, device.id, &pair.adam_id)?,
        Way::Declared => {
            let attempt = known.as_ref().map(terms_of).transpose()?.map_or(0, |before| before.attempt + 1);
            let app = managed_app(&pair.adam_id, &terms, wish.by_user, attempt);
            put(w, device.id, &app, now)?;
            pair.progress.app = App::InstallQueued;
            pair.progress.due = None;
            pair.progress.looks = 0;
            pair.command = None;
            pair.ours = true;
            pairs::put(w, pair, now)?;
            changed(w, device, uuid, now)?;
        }
    }
    Ok(way)
}

fn put(w: &Write<'_>, device: DeviceId, app: &ManagedApp, now: Timestamp) -> Result<(), OperationError> {
    let adam_id = app.adam_id.clone();
    let declared = DeclaredApp { device, adam_id, terms: written(app)?, declared_at: now, withdrawn_at: None };
    Ok(declarations::put_app(w, &declared)?)
}

/// Withdraws a declared app that is to go: the device removes it, and says so. False when it was not declared.
pub(super) fn remove(
    w: &Write<'_>,
    device: &Device,
    pair: &mut pairs::Pair,
    uuid: &str,
    patience: &Patience,
    now: Timestamp,
) -> Result<bool, OperationError> {
    let Some(app) = declarations::app(w, device.id, &pair.adam_id)? else { return Ok(false) };
    let withdrawn_at = app.withdrawn_at.or(Some(now));
    declarations::put_app(w, &DeclaredApp { withdrawn_at, ..app })?;
    pair.progress = advance(&pair.progress, &Fact::RemoveAccepted, now, &patient(patience));
    pair.command = None;
    pairs::put(w, pair, now)?;
    changed(w, device, uuid, now)?;
    call(w, device.id, uuid, now)?;
    Ok(true)
}

/// Takes a declaration back that the device has not fetched. False when there is none.
pub(super) fn take_back(
    w: &Write<'_>,
    device: &Device,
    pair: &mut pairs::Pair,
    uuid: &str,
    now: Timestamp,
) -> Result<bool, OperationError> {
    if pair.progress.app != App::InstallQueued || declarations::app(w, device.id, &pair.adam_id)?.is_none() {
        return Ok(false);
    }
    declarations::remove_app(w, device.id, &pair.adam_id)?;
    pair.progress.app = App::None;
    pairs::put(w, pair, now)?;
    changed(w, device, uuid, now)?;
    Ok(true)
}

/// The device answered the call. It fetches what has changed after that; apps of which it has told nothing for too long are
/// another try.
pub(super) fn answered(
    w: &Write<'_>,
    id: DeviceId,
    status: &Status,
    patience: &Patience,
    now: Timestamp,
) -> Result<(), OperationError> {
    let Some(declaring) = declarations::get(w, id)? else { return Ok(()) };
    let state = match (declaring.state, status) {
        (_, Status::Acknowledged) => State::On,
        (State::Asked, _) => State::Refused,
        (state, _) => state,
    };
    declarations::put(w, id, &Declaring { state, ..declaring })?;
    for app in declarations::apps_of(w, id)? {
        let Some(mut pair) = pairs::get(w, id, &app.adam_id)? else { continue };
        if pair.progress.due.is_none_or(|due| due > now) {
            continue;
        }
        // Somebody is asked, and the device would tell an answer: its silence is none.
        let fact = if pair.progress.app == App::WaitingForPerson {
            Fact::Listed(Word {
                status: pair.progress.status.clone(),
                means: Meaning::WaitsForPerson,
                cause: pair.progress.cause,
            })
        } else {
            Fact::NotTold { reason: "the device has not told what became of the declared app".into() }
        };
        pair.progress = advance(&pair.progress, &fact, now, &patient(patience));
        pairs::put(w, &pair, now)?;
    }
    Ok(())
}

/// How a device stands to declarations, for people; `None`: it was never asked.
pub(super) fn view(connection: &Connection, device: DeviceId) -> Result<Option<DeclaringView>, OperationError> {
    let Some(declaring) = declarations::get(connection, device)? else { return Ok(None) };
    let known = capabilities(&declaring)?.unwrap_or_default();
    Ok(Some(DeclaringView {
        state: declaring.state.word().to_owned(),
        apps: known.manages_apps(),
        tells_of_apps: known.tells_of_apps(),
        in_step: declaring.token == declaring.fetched,
        told_at: declaring.told_at,
    }))
}

#[cfg(test)]
mod tests;
