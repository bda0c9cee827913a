//! What a device answers to an install: accepted, put off for too long, or refused for a cause, and what follows at once.

use std::sync::Arc;

use jiff::Timestamp;

use super::{answered, word};
use crate::clock::after;
use crate::licensing::progress::{Fact, Patience, Progress};
use crate::mdm::command::Command;
use crate::mdm::outcome::{self, Asked, Outcome};
use crate::mdm::report::{AppStatus, ErrorLink, Report, Status};
use crate::model::{App, Cause};
use crate::operations::alerts::COMMAND_REFUSED;
use crate::operations::locations::Workers;
use crate::operations::{OperationError, app_terms, checkin};
use crate::store::alerts::NewAlert;
use crate::store::commands::{self, CommandState};
use crate::store::notifications::Hint;
use crate::store::{Write, alerts, assets, devices, locations, notifications, pairs};

/// An install that is put off again and again is given up in the end. True when it was.
pub(super) fn put_off(
    w: &Write<'_>,
    command: &commands::Command,
    patience: &Patience,
    now: Timestamp,
) -> Result<bool, OperationError> {
    let waits_for = now.duration_since(command.queued_at);
    let too_long = waits_for.unsigned_abs() >= patience.person_after && waits_for.is_positive();
    if command.request_type != "InstallApplication" || !too_long {
        return Ok(false);
    }
    commands::finish(w, command.id, CommandState::Withdrawn, Cause::NoAnswer.means(), now)?;
    answered(w, command, &Fact::PutOff, patience, now)?;
    Ok(true)
}

pub(super) fn took_install(
    w: &Write<'_>,
    command: &commands::Command,
    report: &Report,
    error: &str,
    patience: &Patience,
    workers: &Arc<Workers>,
    now: Timestamp,
) -> Result<(), OperationError> {
    let Some(adam_id) = &command.adam_id else { return Ok(()) };
    let result = report.install_result();
    if let Some(bundle_id) = result.identifier.as_deref().filter(|id| !id.is_empty() && id.len() <= 255) {
        assets::learn_bundle_id(w, adam_id, bundle_id)?;
    }
    if took_terms(w, command, report, error, patience, now)? {
        return Ok(());
    }
    if report.status == Status::Acknowledged {
        let first = word(result.state.as_ref().unwrap_or(&AppStatus::Queued));
        return answered(w, command, &Fact::InstallAccepted(first), patience, now);
    }
    let (chain, rejection) = (&report.error_chain, result.rejection.as_ref());
    let cause = match outcome::judge(Asked::Install, &report.status, chain, rejection, result.state.as_ref()) {
        Outcome::Refused(cause) => cause,
        Outcome::Done | Outcome::Accepted => Cause::InProgress,
    };
    let reason = match (cause, rejection) {
        (Cause::Unknown, Some(rejection)) => format!("{error} (reason: {})", checkin::shown(&rejection.to_string())),
        (_, Some(rejection)) if chain.is_empty() => format!("{} ({rejection})", cause.means()),
        (_, None) if chain.is_empty() && cause != Cause::Unknown => cause.means().to_owned(),
        _ => error.to_owned(),
    };
    if cause == Cause::VppdFault && takes_over(command) && names(chain, INVALID_REQUEST) {
        devices::note_refuses_take_over(w, command.device)?;
        return refused_take_over(w, command, now);
    }
    match cause {
        Cause::LicenceNotSeen => look_for_licence(w, adam_id, workers)?,
        Cause::VppdFault | Cause::RightMissing => alarm(w, command, cause, &reason, now)?,
        _ => {}
    }
    answered(w, command, &Fact::InstallRefused { cause, reason }, patience, now)
}

/// The answer to an install that brings an app, which is there, other terms; false when it is none.
fn took_terms(
    w: &Write<'_>,
    command: &commands::Command,
    report: &Report,
    error: &str,
    patience: &Patience,
    now: Timestamp,
) -> Result<bool, OperationError> {
    let Some(adam_id) = &command.adam_id else { return Ok(false) };
    let pair = pairs::get(w, command.device, adam_id)?;
    let Some(mut pair) = pair.filter(|pair| pair.terms_command.as_deref() == Some(&command.uuid)) else {
        return Ok(false);
    };
    pair.terms_command = None;
    if report.status == Status::Acknowledged {
        pair.terms = app_terms::brings(&command.body).unwrap_or_default();
        pair.terms_due = None;
    } else {
        pair.terms_due = Some(after(now, patience.retry_after.last().copied().unwrap_or_default()));
        pair.progress.reason = format!("it is there, but the device does not take its new terms: {error}");
    }
    pairs::put(w, &pair, now)?;
    Ok(true)
}

/// With this number account-driven enrolments refuse every install that would take a person's own copy over.
const INVALID_REQUEST: i64 = 12008;

fn names(chain: &[ErrorLink], code: i64) -> bool {
    chain.iter().any(|link| link.code == code)
}

fn takes_over(command: &commands::Command) -> bool {
    matches!(serde_json::from_str(&command.body), Ok(Command::InstallApplication(install)) if install.take_over)
}

/// The same install is sent again without the take-over.
fn refused_take_over(w: &Write<'_>, command: &commands::Command, now: Timestamp) -> Result<(), OperationError> {
    let Some(adam_id) = &command.adam_id else { return Ok(()) };
    let Some(mut pair) = pairs::get(w, command.device, adam_id)? else { return Ok(()) };
    if pair.command.as_deref() == Some(&command.uuid) {
        let reason = "this enrolment does not let vppd take a person's own copy over; sent again without".into();
        let tries = pair.progress.tries;
        pair.command = None;
        pair.progress = Progress { app: App::InstallRetry, reason, tries, ..Progress::default() };
        pairs::put(w, &pair, now)?;
    }
    Ok(())
}

/// Apple's count and list of the app are read again: the licence may be gone.
fn look_for_licence(w: &Write<'_>, adam_id: &str, workers: &Arc<Workers>) -> Result<(), OperationError> {
    for location in locations::all(w)? {
        if assets::of_location(w, location.id)?.iter().any(|asset| asset.adam_id == adam_id) {
            notifications::leave(w, location.id, &Hint::Asset(adam_id.to_owned()))?;
            let (workers, id) = (workers.clone(), location.id);
            w.after_commit(move || workers.nudge(id));
        }
    }
    Ok(())
}

/// Nobody but an administrator, or us, can mend it.
fn alarm(
    w: &Write<'_>,
    command: &commands::Command,
    cause: Cause,
    reason: &str,
    now: Timestamp,
) -> Result<(), OperationError> {
    let device = devices::by_id(w, command.device)?;
    let subject = device.as_ref().map_or("a device", devices::Device::shown).to_owned();
    let alert = NewAlert {
        kind: COMMAND_REFUSED,
        location: None,
        occasion: format!("{} {}", command.request_type, cause.word()),
        grave: true,
        message: format!("device {subject} refuses our {}: {reason}", command.request_type),
        advice: cause.advice().to_owned(),
        subject,
    };
    if alerts::raise(w, &alert, now)? {
        log::error!("{} {}", alert.message, alert.advice);
    }
    Ok(())
}
