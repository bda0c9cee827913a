//! What a device answers to commands, and which command it gets next (Apple: Sending MDM commands to a device).
//!
//! A result is on disk before the device is told so; a result that comes twice changes nothing the second time. A device
//! that only asks, with an empty queue, touches no disk.
//!
//! - `installs`: the answers to installs.

mod installs;

use jiff::Timestamp;

use super::checkin::{self, Answer};
use super::device_index::Pinned;
use super::pause::HELD_BACK;
use super::{OperationError, Shared, declarations, inventory, notify_after, renewal};
use crate::licensing::progress::{Fact, Meaning, Patience, Word, advance};
use crate::mdm::command::{Command, Priority};
use crate::mdm::identity::signature::SignerCertificate;
use crate::mdm::outcome::{self, Asked, Outcome};
use crate::mdm::queue::{self, Cycle, Queued, State};
use crate::mdm::report::{AppStatus, ErrorLink, Report, Status};
use crate::model::{Cause, CommandUuid, DeviceId};
use crate::store::commands::{self, CommandState};
use crate::store::{self, Write, appliance, assets, pairs};
use installs::{put_off, took_install};

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
    renewal::meet(context, udid, signer).await?;
    // The quick way: nothing to say, nothing to hear.
    if let Pinned::Yes { id, waits: false } = context.index.pinned(udid, &signer.fingerprint)
        && report.status == Status::Idle
        && renewal::ended(context, udid, signer).is_none()
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
    let (index, patience, shared) = (context.index.clone(), context.patience(), context.clone());
    let fresh = context.entropy.uuid().to_string();
    let (plan_now, wake_now) = (context.plan_now.clone(), context.wake_now.clone());
    let next = context
        .store
        .write(move |w| -> Result<_, OperationError> {
            if take_result(&shared, w, id, &report, fresh, &patience, now)? {
                notify_after(w, &plan_now);
            }
            let next = next_command(&shared, w, id, &mut cycle, now)?;
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

/// Chooses the next command and marks it as sent. An install that nothing wants any more is taken back instead.
fn next_command(
    context: &Shared,
    w: &Write<'_>,
    id: DeviceId,
    cycle: &mut Cycle,
    now: Timestamp,
) -> Result<Option<(String, Vec<u8>)>, OperationError> {
    let paused = appliance::load(w)?.paused.is_some();
    let mut open = commands::open(w, id)?;
    open.retain(|command| !(paused && HELD_BACK.contains(&command.request_type.as_str())));
    // An identity that has ended is good for getting another one.
    if renewal::must_come_first(w, id, now)? {
        open.retain(|command| command.request_type == renewal::COMMAND);
    }
    loop {
        let queued: Vec<Queued> = open.iter().map(queued).collect();
        let Some(at) = queue::next(&queued, cycle) else { return Ok(None) };
        let chosen = open.swap_remove(at);
        if superseded(w, &chosen)? {
            let why = "something newer is wanted of the app";
            commands::finish(w, chosen.id, CommandState::Withdrawn, why, now)?;
            continue;
        }
        let mut command: Command = serde_json::from_str(&chosen.body)
            .map_err(|error| OperationError::internal(format!("command {} cannot be read: {error}", chosen.uuid)))?;
        if let Command::InstallProfile(install) = &mut command {
            install.payload = renewal::offer(context, w, id, &install.reference, now)?;
        }
        commands::sent(w, chosen.id, now)?;
        return Ok(Some((chosen.uuid.clone(), command.encode(&chosen.uuid))));
    }
}

fn queued(command: &commands::Command) -> Queued {
    Queued {
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
    }
}

/// Whether the pair that an install is about waits for another command meanwhile.
fn superseded(w: &Write<'_>, command: &commands::Command) -> Result<bool, OperationError> {
    let install = command.request_type == "InstallApplication";
    let Some(adam_id) = command.adam_id.as_ref().filter(|_| install) else { return Ok(false) };
    let Some(pair) = pairs::get(w, command.device, adam_id)? else { return Ok(false) };
    Ok(![&pair.command, &pair.terms_command].into_iter().any(|waits| waits.as_deref() == Some(command.uuid.as_str())))
}

/// Takes the result of a command, which may lead to a question with the uuid `fresh`; true when a plan may look different now.
fn take_result(
    context: &Shared,
    w: &Write<'_>,
    id: DeviceId,
    report: &Report,
    fresh: CommandUuid,
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
        commands::not_now(w, command.id, now)?;
        return put_off(w, &command, patience, now);
    }
    let error = outcome::explain(&report.error_chain);
    if !report.error_chain.is_empty() {
        commands::keep_chain(w, command.id, &chain_json(&report.error_chain))?;
    }
    // Without an error there is nothing to explain.
    let told = if state == CommandState::Acknowledged && report.error_chain.is_empty() { "" } else { error.as_str() };
    commands::finish(w, command.id, state, told, now)?;
    if state == CommandState::FormatError {
        log::error!(
            vppd_device = udid, vppd_command = uuid.as_str();
            "device {udid} calls our {} malformed", command.request_type
        );
    }
    let patience = &declarations::patience_with(w, id, patience)?;
    match command.request_type.as_str() {
        "InstallApplication" => took_install(w, &command, report, &error, patience, &context.workers, now)?,
        "DeclarativeManagement" => declarations::answered(w, id, &report.status, patience, now)?,
        "RemoveApplication" => took_remove(w, &command, report, &error, patience, now)?,
        "ManagedApplicationList" => took_list(w, id, report, &error, patience, now)?,
        "DeviceInformation" => inventory::took_facts(w, id, report, fresh, now)?,
        "InstalledApplicationList" => inventory::took_apps(w, &command, report, now)?,
        renewal::COMMAND => renewal::answered(context, w, id, report, &error)?,
        _ => {}
    }
    Ok(true)
}

/// The longest text of one link that is kept.
const LONGEST_TEXT: usize = 500;

/// A chain as kept, each text cut at a bound.
fn chain_json(chain: &[ErrorLink]) -> String {
    let cut = |text: &Option<String>| text.as_ref().map(|text| text.chars().take(LONGEST_TEXT).collect::<String>());
    let bounded: Vec<ErrorLink> = chain
        .iter()
        .map(|link| ErrorLink {
            domain: link.domain.chars().take(LONGEST_TEXT).collect(),
            code: link.code,
            localized: cut(&link.localized),
            us_english: cut(&link.us_english),
        })
        .collect();
    serde_json::to_string(&bounded).unwrap_or_else(|_| "[]".into())
}

fn took_remove(
    w: &Write<'_>,
    command: &commands::Command,
    report: &Report,
    error: &str,
    patience: &Patience,
    now: Timestamp,
) -> Result<(), OperationError> {
    let fact = match outcome::judge(Asked::Remove, &report.status, &report.error_chain, None, None) {
        Outcome::Done | Outcome::Accepted => Fact::RemoveAccepted,
        Outcome::Refused(Cause::NotManaged) => Fact::NothingToRemove,
        Outcome::Refused(cause) => Fact::RemoveRefused { cause, reason: error.to_owned() },
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
    let mut names = assets::bundle_ids(w)?;
    // What is declared is not in this list.
    for declared in store::declarations::apps_of(w, id)? {
        names.retain(|(adam_id, _)| *adam_id != declared.adam_id);
    }
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
    let declared = store::declarations::apps_of(w, id)?;
    for mut pair in pairs::of_device(w, id)? {
        if declared.iter().any(|app| app.adam_id == pair.adam_id) {
            continue;
        }
        let named = names.iter().any(|(adam_id, _)| *adam_id == pair.adam_id);
        if !named && pair.progress.due.is_some_and(|due| due <= now) {
            pair.progress = advance(&pair.progress, &Fact::NotTold { reason: reason.into() }, now, patience);
            pairs::put(w, &pair, now)?;
        }
    }
    Ok(())
}

/// What a state word of Apple's means for a pair.
pub(super) fn word(status: &AppStatus) -> Word {
    let means = match status {
        // An update that waits, or was declined, leaves the app there and managed.
        AppStatus::PromptingForUpdate
        | AppStatus::PromptingForUpdateLogin
        | AppStatus::ValidatingUpdate
        | AppStatus::Updating
        | AppStatus::UpdateRejected => Meaning::Installed,
        AppStatus::UserInstalledApp => Meaning::Declined,
        // Sent with a licence, it is not asked for again by the next command.
        AppStatus::NeedsRedemption => Meaning::Failed,
        status if status.is_done() => Meaning::Installed,
        status if status.is_gone() => Meaning::Uninstalled,
        status if status.is_final_refusal() => Meaning::Declined,
        status if status.is_failure() => Meaning::Failed,
        status if status.waits_for_person() => Meaning::WaitsForPerson,
        status if status.is_working() => Meaning::Working,
        _ => Meaning::Unknown,
    };
    Word { status: status.to_string(), means, cause: outcome::of_state(status) }
}
