//! Asks devices, again and again, what they are and have: so an administrator sees it, silence means that a device is away and
//! not that nobody asked, and an app that its person deleted does not hold its licence for ever.
//!
//! The first question is for the device; its answer tells which question about apps it may be asked in the same contact.
//! Of a personal device only managed apps are known: which others are on it is nobody's business.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{OperationError, Shared, checkin, enrol};
use crate::licensing::membership::platform;
use crate::licensing::progress::Progress;
use crate::mdm::command::{Command, DeviceInformation, InstalledApplicationList, ManagedApplicationList};
use crate::mdm::report::{DeviceFacts, InstalledApp, Report, Status};
use crate::model::{App, Cause, DeviceId, Ownership, SerialNumber};
use crate::store::inventory::{self, Facts};
use crate::store::{Write, appliance, commands, device_notes, devices, enrolments, pairs};

/// Devices asked in one transaction at most.
const CHUNK: usize = 200;

/// Apps of one device that are kept.
const MOST_APPS: usize = 2000;

/// The longest name or version that is kept, in characters.
const LONGEST: usize = 200;

/// Asks every enrolled device that was not asked for as long as the settings say, or for half of the time after which a
/// silent one is treated as gone.
pub async fn ask(context: &Shared) -> Result<(), OperationError> {
    let config = context.config();
    let every = config.devices.inventory_interval;
    let every = config.licences.silent_after.map_or(every, |silent| every.min(silent / 2));
    let now = context.clock.now();
    let due = context
        .store
        .read(move |c| -> Result<Vec<DeviceId>, OperationError> {
            if appliance::load(c)?.paused.is_some() {
                return Ok(Vec::new());
            }
            Ok(inventory::due(c, now, every)?)
        })
        .await?;
    for chunk in due.chunks(CHUNK) {
        let asked: Vec<_> = chunk.iter().map(|id| (*id, [uuid(context), uuid(context)])).collect();
        let (index, wake_now) = (context.index.clone(), context.wake_now.clone());
        context
            .store
            .write_bulk(move |w| -> Result<(), OperationError> {
                for (id, uuids) in asked {
                    queue(w, id, &uuids, now)?;
                    let index = index.clone();
                    w.after_commit(move || index.set_waits(id, true));
                }
                w.after_commit(move || wake_now.notify_one());
                Ok(())
            })
            .await?;
    }
    Ok(())
}

fn uuid(context: &Shared) -> String {
    context.entropy.uuid().to_string()
}

/// Puts the questions into a device's queue.
pub(super) fn queue(w: &Write<'_>, id: DeviceId, uuids: &[String; 2], now: Timestamp) -> Result<(), OperationError> {
    let questions = [
        Command::DeviceInformation(DeviceInformation::for_licensing()),
        Command::ManagedApplicationList(ManagedApplicationList { identifiers: Vec::new() }),
    ];
    for (uuid, command) in uuids.iter().zip(&questions) {
        if !commands::waits(w, id, command.request_type())? {
            checkin::queue(w, id, uuid, command, None, now)?;
        }
    }
    Ok(inventory::asked(w, id, now)?)
}

/// Keeps what a device tells of itself, and asks it for its apps with `uuid`.
pub(super) fn took_facts(
    w: &Write<'_>,
    id: DeviceId,
    report: &Report,
    uuid: String,
    now: Timestamp,
) -> Result<(), OperationError> {
    let Ok(told) = report.device_facts() else { return Ok(()) };
    inventory::told(w, id, &beside(&told), now)?;
    let facts = devices::Facts {
        name: told.device_name.unwrap_or_default(),
        model: told.model_name.or(told.model).unwrap_or_default(),
        product_name: told.product_name.unwrap_or_default(),
        os_version: told.os_version.unwrap_or_default(),
        build_version: told.build_version.unwrap_or_default(),
        supervised: told.is_supervised,
    };
    let before = devices::by_id(w, id)?.map(|device| device.facts.os_version).unwrap_or_default();
    let other_system = !facts.os_version.is_empty() && facts.os_version != before;
    devices::learn(w, id, &facts)?;
    if other_system {
        // What did not run on the old system is tried on the new one.
        for mut pair in pairs::of_device(w, id)? {
            if pair.progress.app == App::Failed && pair.progress.cause == Some(Cause::NotSupported) {
                pair.progress = Progress { app: App::InstallRetry, ..Progress::default() };
                pairs::put(w, &pair, now)?;
            }
        }
    }
    if let Some(serial) = told.serial_number.as_deref().and_then(SerialNumber::read) {
        let learnt = devices::learn_serial(w, id, serial.as_str())?;
        if let Some(device) = devices::by_id(w, id)?.filter(|_| learnt)
            && let Some(identity) = enrolments::identity(w, &device.fingerprint)?
        {
            enrol::holder::hand_over(w, serial.as_str(), &identity, None, now)?;
        }
    }
    ask_for_apps(w, id, uuid, now)
}

fn beside(told: &DeviceFacts) -> Facts {
    // Apple: units of 1024^3 bytes.
    let bytes = |units: Option<f64>| units.filter(|units| (0.0..1e7).contains(units)).map(|units| (units * GIB) as u64);
    let short = |text: &Option<String>| text.as_deref().map(shortened);
    Facts {
        capacity: bytes(told.device_capacity),
        available: bytes(told.available_device_capacity),
        store_account: told.store_account_is_active,
        store_account_hash: short(&told.store_account_hash),
        multi_user: told.is_multi_user,
        apple_silicon: told.is_apple_silicon,
        awaiting_configuration: told.awaiting_configuration,
        time_zone: short(&told.time_zone),
    }
}

const GIB: f64 = (1u64 << 30) as f64;

fn shortened(text: &str) -> String {
    text.chars().take(LONGEST).collect()
}

fn ask_for_apps(w: &Write<'_>, id: DeviceId, uuid: String, now: Timestamp) -> Result<(), OperationError> {
    let Some(device) = devices::by_id(w, id)? else { return Ok(()) };
    let is_mac = is_mac(&device);
    // Macs in User Enrolment do not know the command; other Macs would list every bundle that they find.
    if is_mac && device.user_enrolment || commands::waits(w, id, "InstalledApplicationList")? {
        return Ok(());
    }
    let managed_apps_only = is_mac || is_personal(w, &device)?;
    let list = InstalledApplicationList { identifiers: Vec::new(), managed_apps_only };
    checkin::queue(w, id, &uuid, &Command::InstalledApplicationList(list), None, now)
}

fn is_mac(device: &devices::Device) -> bool {
    [&device.facts.product_name, &device.facts.model].into_iter().any(|model| platform(model) == "macOS")
}

fn is_personal(w: &Write<'_>, device: &devices::Device) -> Result<bool, OperationError> {
    Ok(device.user_enrolment || device_notes::get(w, &device.serial)?.ownership == Ownership::Personal)
}

/// Keeps the list of apps of a device.
pub(super) fn took_apps(
    w: &Write<'_>,
    command: &commands::Command,
    report: &Report,
    now: Timestamp,
) -> Result<(), OperationError> {
    let (Status::Acknowledged, Ok(listed)) = (&report.status, report.installed_apps()) else { return Ok(()) };
    let Ok(Command::InstalledApplicationList(asked)) = serde_json::from_str(&command.body) else { return Ok(()) };
    let Some(device) = devices::by_id(w, command.device)? else { return Ok(()) };
    if is_personal(w, &device)? && !asked.managed_apps_only {
        // It has become a personal one since it was asked.
        return Ok(inventory::ask_anew(w, device.id)?);
    }
    let apps: BTreeMap<_, _> = listed.into_iter().filter_map(kept).take(MOST_APPS).collect();
    Ok(inventory::put_apps(w, device.id, &apps, asked.managed_apps_only, now)?)
}

/// What is kept of an app, by its bundle id. One without, as Macs list them, or one that is still being loaded is left out.
fn kept(app: InstalledApp) -> Option<(String, inventory::InstalledApp)> {
    let bundle_id = app.identifier.filter(|id| !id.is_empty() && id.len() <= 255)?;
    if app.installing {
        return None;
    }
    let size = app.bundle_size.map(|size| size.saturating_add(app.dynamic_size.unwrap_or(0)));
    let kept = inventory::InstalledApp {
        bundle_id: bundle_id.clone(),
        name: shortened(&app.name.unwrap_or_default()),
        version: shortened(&app.short_version.or(app.version).unwrap_or_default()),
        external_version: app.external_version_identifier,
        size,
        update_available: app.has_update_available,
    };
    Some((bundle_id, kept))
}
