//! What a device answers to commands, and which command it gets next (Apple: Sending MDM commands to a device).
//!
//! A result is on disk before the device is told so; a result that comes twice changes nothing the second time. A device
//! that only asks, with an empty queue, touches no disk.

use jiff::Timestamp;

use super::checkin::{self, Answer};
use super::device_index::Pinned;
use super::pause::HELD_BACK;
use super::{OperationError, Shared, notify_after};
use crate::licensing::progress::{Fact, Meaning, Patience, Refusal, Word, advance};
use crate::mdm::command::{Command, Priority};
use crate::mdm::identity::signature::SignerCertificate;
use crate::mdm::outcome::{self, Asked, Before, Need, Verdict};
use crate::mdm::queue::{self, Cycle, Queued, State};
use crate::mdm::report::{AppStatus, Report, Status};
use crate::model::{DeviceId, SerialNumber};
use crate::store::commands::{self, CommandState};
use crate::store::{Write, appliance, assets, devices, pairs};

/// What the door answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// 200 with the next command (a property list).
    Command(Vec<u8>),
    /// 200 with zero bytes: nothing more.
    Nothing,
    /// As for a check-in message.
    Other(Answer),
}

/// Handles a message of the command channel, whose signature was verified.
pub async fn handle(context: &Shared, report: Report, signer: &SignerCertificate) -> Result<Next, OperationError> {
    let udid = report.enrollment.device.as_str();
    // The quick way: nothing to say, nothing to hear.
    if let Pinned::Yes { id, waits: false } = context.index.pinned(udid, &signer.fingerprint)
        && report.status == Status::Idle
    {
        context.index.saw(id, context.clock.now());
        return Ok(Next::Nothing);
    }
    let id = match checkin::known(context, &report.enrollment, signer) {
        Ok(id) => id,
        Err(answer) => return Ok(Next::Other(answer)),
    };
    if !report.enrollment.is_device_channel() {
        return Ok(Next::Nothing);
    }
    let now = context.clock.now();
    let mut cycle = context.index.with_cycle(id, |cycle| {
        cycle.on_report(&report.status, report.command_uuid.as_deref());
        cycle.clone()
    });
    let (index, patience) = (context.index.clone(), context.patience());
    let (plan_now, wake_now) = (context.plan_now.clone(), context.wake_now.clone());
    let next = context
        .store
        .write(move |w| -> Result<_, OperationError> {
            if take_result(w, id, &report, &patience, now)? {
                notify_after(w, &plan_now);
            }
            let next = next_command(w, id, &mut cycle, now)?;
            let waits = commands::any_open(w, id)?;
            w.after_commit(move || index.set_waits(id, waits));
            // The device goes and leaves something behind: when it is to be woken again has changed.
            if next.is_none() && waits {
                notify_after(w, &wake_now);
            }
            Ok(next)
        })
        .await?;
    match next {
        None => Ok(Next::Nothing),
        Some((uuid, bytes)) => {
            context.index.with_cycle(id, |cycle| cycle.on_offer(&uuid));
            Ok(Next::Command(bytes))
        }
    }
}

/// Chooses the next command and marks it as sent.
fn next_command(
    w: &Write<'_>,
    id: DeviceId,
    cycle: &mut Cycle,
    now: Timestamp,
) -> Result<Option<(String, Vec<u8>)>, OperationError> {
    let paused = appliance::load(w)?.paused.is_some();
    let mut open = commands::open(w, id)?;
    open.retain(|command| !(paused && HELD_BACK.contains(&command.request_type.as_str())));
    let queued: Vec<Queued> = open
        .iter()
        .map(|command| Queued {
            uuid: command.uuid.clone(),
            priority: match command.priority {
                0 => Priority::Inventory,
                1 => Priority::Removal,
                _ => Priority::Install,
            },
            queued_at: command.queued_at,
            state: match command.state {
                CommandState::Sent => State::Sent,
                CommandState::NotNow => State::NotNow,
                _ => State::Queued,
            },
        })
        .collect();
    let Some(chosen) = queue::next(&queued, cycle).and_then(|index| open.get(index)) else { return Ok(None) };
    let command: Command = serde_json::from_str(&chosen.body)
        .map_err(|error| OperationError::internal(format!("command {} cannot be read: {error}", chosen.uuid)))?;
    commands::sent(w, chosen.id, now)?;
    Ok(Some((chosen.uuid.clone(), command.encode(&chosen.uuid))))
}

/// Takes the result of a command; true when a plan may look different now.
fn take_result(
    w: &Write<'_>,
    id: DeviceId,
    report: &Report,
    patience: &Patience,
    now: Timestamp,
) -> Result<bool, OperationError> {
    let udid = report.enrollment.device.as_str();
    let Some(uuid) = &report.command_uuid else { return Ok(false) };
    let Some(command) = commands::by_uuid(w, id, uuid)? else {
        log::warn!(vppd_device = udid; "device {udid} answers a command that it was not given: {uuid}; nothing was changed");
        return Ok(false);
    };
    // Over already: a repeated result gets the next command and changes nothing.
    if !command.state.is_open() {
        log::debug!(vppd_device = udid, vppd_command = uuid.as_str(); "device {udid} repeats an answer; nothing was changed");
        return Ok(false);
    }
    let state = match report.status {
        Status::Acknowledged => CommandState::Acknowledged,
        Status::Error => CommandState::Error,
        Status::CommandFormatError => CommandState::FormatError,
        Status::NotNow => CommandState::NotNow,
        Status::Idle => return Ok(false),
        Status::Unknown(ref word) => {
            log::warn!(
                vppd_device = udid, vppd_command = uuid.as_str();
                "device {udid} answers our {} with the unknown status \"{}\"; the command waits on",
                command.request_type, checkin::shown(word)
            );
            return Ok(false);
        }
    };
    if state == CommandState::NotNow {
        commands::not_now(w, command.id)?;
        return Ok(false);
    }
    let error = outcome::explain(&report.error_chain);
    // Without an error there is nothing to explain.
    let told = if state == CommandState::Acknowledged && report.error_chain.is_empty() { "" } else { error.as_str() };
    commands::finish(w, command.id, state, told, now)?;
    if state == CommandState::FormatError {
        log::error!(
            vppd_device = udid, vppd_command = uuid.as_str();
            "device {udid} calls our {} malformed", command.request_type
        );
    }
    match command.request_type.as_str() {
        "InstallApplication" => took_install(w, &command, report, &error, patience, now)?,
        "RemoveApplication" => took_remove(w, &command, report, &error, patience, now)?,
        "ManagedApplicationList" => took_list(w, id, report, &error, patience, now)?,
        "DeviceInformation" => took_facts(w, id, report)?,
        _ => {}
    }
    Ok(true)
}

fn took_install(
    w: &Write<'_>,
    command: &commands::Command,
    report: &Report,
    error: &str,
    patience: &Patience,
    now: Timestamp,
) -> Result<(), OperationError> {
    let Some(adam_id) = &command.adam_id else { return Ok(()) };
    let result = report.install_result();
    if let Some(bundle_id) = result.identifier.as_deref().filter(|id| !id.is_empty() && id.len() <= 255) {
        assets::learn_bundle_id(w, adam_id, bundle_id)?;
    }
    let fact = match report.status {
        Status::Acknowledged => Fact::InstallAccepted(word(result.state.as_ref().unwrap_or(&AppStatus::Queued))),
        _ => {
            let before = Before { may_take_over: false, ..Before::default() };
            let verdict = outcome::judge(
                Asked::Install,
                &report.status,
                &report.error_chain,
                result.rejection.as_ref(),
                result.state.as_ref(),
                before,
            );
            let reason = match (error, &result.rejection) {
                ("", Some(rejection)) => rejection.to_string(),
                ("", None) => "the device refused the install without a reason".into(),
                (words, _) => words.to_owned(),
            };
            Fact::InstallRefused { how: refusal(&verdict), reason }
        }
    };
    answered(w, command, &fact, patience, now)
}

fn took_remove(
    w: &Write<'_>,
    command: &commands::Command,
    report: &Report,
    error: &str,
    patience: &Patience,
    now: Timestamp,
) -> Result<(), OperationError> {
    let verdict = outcome::judge(Asked::Remove, &report.status, &report.error_chain, None, None, Before::default());
    let fact = match verdict {
        Verdict::Done => Fact::RemoveAccepted,
        Verdict::AlreadyGone => Fact::NothingToRemove,
        _ => Fact::RemoveRefused { reason: error.to_owned() },
    };
    answered(w, command, &fact, patience, now)
}

/// The waiting command of a pair was answered.
fn answered(
    w: &Write<'_>,
    command: &commands::Command,
    fact: &Fact,
    patience: &Patience,
    now: Timestamp,
) -> Result<(), OperationError> {
    let Some(adam_id) = &command.adam_id else { return Ok(()) };
    let Some(mut pair) = pairs::get(w, command.device, adam_id)? else { return Ok(()) };
    // An answer to an older command of this pair decides nothing any more.
    if pair.command.as_deref() == Some(&command.uuid) {
        pair.command = None;
        pair.progress = advance(&pair.progress, fact, now, patience);
        pairs::put(w, &pair, now)?;
    }
    Ok(())
}

fn took_list(
    w: &Write<'_>,
    id: DeviceId,
    report: &Report,
    error: &str,
    patience: &Patience,
    now: Timestamp,
) -> Result<(), OperationError> {
    let listed = match (&report.status, report.managed_apps()) {
        (Status::Acknowledged, Ok(listed)) => listed,
        (Status::Acknowledged, Err(error)) => {
            let udid = report.enrollment.device.as_str();
            log::warn!(vppd_device = udid; "the list of managed apps of device {udid} cannot be read: {error}");
            return nothing_learnt(w, id, &[], "the device's list of apps cannot be read", patience, now);
        }
        _ => return nothing_learnt(w, id, &[], error, patience, now),
    };
    let names = assets::bundle_ids(w)?;
    for (adam_id, bundle_id) in &names {
        let known = pairs::get(w, id, adam_id)?;
        let fact = match listed.get(bundle_id) {
            Some(app) => Fact::Listed(word(&app.status)),
            None if known.is_some() => Fact::NotListed,
            None => continue,
        };
        let mut pair = known.unwrap_or_else(|| pairs::Pair::new(id, adam_id));
        let progress = advance(&pair.progress, &fact, now, patience);
        if progress != pair.progress {
            pair.progress = progress;
            pairs::put(w, &pair, now)?;
        }
    }
    let reason = "the device has not told the app's bundle identifier, so its list of apps says nothing of it";
    nothing_learnt(w, id, &names, reason, patience, now)
}

/// The pairs that waited for this list, but for those of `names`, learnt nothing from it: they are looked at later.
fn nothing_learnt(
    w: &Write<'_>,
    id: DeviceId,
    names: &[(String, String)],
    reason: &str,
    patience: &Patience,
    now: Timestamp,
) -> Result<(), OperationError> {
    for mut pair in pairs::of_device(w, id)? {
        let named = names.iter().any(|(adam_id, _)| *adam_id == pair.adam_id);
        if !named && pair.progress.due.is_some_and(|due| due <= now) {
            pair.progress = advance(&pair.progress, &Fact::NotTold { reason: reason.into() }, now, patience);
            pairs::put(w, &pair, now)?;
        }
    }
    Ok(())
}

fn took_facts(w: &Write<'_>, id: DeviceId, report: &Report) -> Result<(), OperationError> {
    let Ok(told) = report.device_facts() else { return Ok(()) };
    let facts = devices::Facts {
        name: told.device_name.unwrap_or_default(),
        model: told.model_name.or(told.model).unwrap_or_default(),
        product_name: told.product_name.unwrap_or_default(),
        os_version: told.os_version.unwrap_or_default(),
        build_version: told.build_version.unwrap_or_default(),
        supervised: told.is_supervised,
    };
    devices::learn(w, id, &facts)?;
    if let Some(serial) = told.serial_number.as_deref().and_then(SerialNumber::read) {
        devices::learn_serial(w, id, serial.as_str())?;
    }
    Ok(())
}

/// What a state word of Apple's means for a pair.
fn word(status: &AppStatus) -> Word {
    let means = match status {
        AppStatus::UserInstalledApp => Meaning::Unmanaged,
        // An update that waits, or was declined, leaves the app there and managed.
        AppStatus::PromptingForUpdate
        | AppStatus::PromptingForUpdateLogin
        | AppStatus::ValidatingUpdate
        | AppStatus::Updating
        | AppStatus::UpdateRejected => Meaning::Installed,
        status if status.is_done() => Meaning::Installed,
        status if status.is_gone() => Meaning::Uninstalled,
        status if status.is_final_refusal() => Meaning::Declined,
        status if status.is_failure() => Meaning::Failed,
        status if status.waits_for_person() => Meaning::WaitsForPerson,
        status if status.is_working() => Meaning::Working,
        _ => Meaning::Unknown,
    };
    Word { status: status.to_string(), means }
}

/// A verdict on a refused install, sorted into what can be done. How often is not judged here but by the pair's progress.
fn refusal(verdict: &Verdict) -> Refusal {
    match verdict {
        Verdict::InProgress | Verdict::Done | Verdict::AlreadyGone => Refusal::InProgress,
        Verdict::RetryLicence { .. } | Verdict::RetryLater { .. } | Verdict::RetryOnceWithTakeOver => Refusal::Retry,
        // Signing in or agreeing is up to the person; the device then goes on by itself, or the next try succeeds.
        Verdict::NeedsPerson(Need::SignIn | Need::Accept | Need::AllowTakeOver) => Refusal::Retry,
        Verdict::NeedsPerson(_) => Refusal::Final,
        Verdict::Stopped(_) => Refusal::Declined,
        Verdict::FinalForDevice(_) | Verdict::OurBug => Refusal::Final,
    }
}
