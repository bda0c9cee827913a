//! What a device reports of its apps (Apple: Status Report), taken into what is known of them.
//!
//! A report tells what is, again and again: what was known already changes nothing, and a failure counts once for each try.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use jiff::Timestamp;

use super::{changed, declarations, patient, written};
use crate::clock::after;
use crate::licensing::progress::{Fact, Meaning, Patience, Word, advance};
use crate::mdm::declarative::{AppItem, AppState, StatusReport, app_of, cause, reason_words};
use crate::mdm::report::AppStatus;
use crate::model::{App, Cause, DeviceId};
use crate::operations::{OperationError, report};
use crate::store::declarations::{DeclaredApp, State};
use crate::store::devices::{self, Device};
use crate::store::{Write, assets, pairs};

/// How long a device may take to mention an app that it has and that was declared to it only now.
const MENTIONS_WITHIN: Duration = Duration::from_secs(3600);

/// What a report led to.
pub(super) struct Taken {
    /// The device was called to fetch anew.
    pub called: bool,
    /// Something is not as it was known.
    pub news: bool,
}

/// Takes a report; `None` when the device was never asked to speak declarations.
pub(super) fn take(
    w: &Write<'_>,
    device: &Device,
    report: &StatusReport,
    patience: &Patience,
    uuid: &str,
    now: Timestamp,
) -> Result<Option<Taken>, OperationError> {
    let Some(mut declaring) = declarations::get(w, device.id)? else { return Ok(None) };
    declaring.state = State::On;
    declaring.told_at = Some(now);
    let mut news = false;
    if let Some(capabilities) = &report.capabilities {
        let told = Some(written(capabilities)?);
        news |= told != declaring.capabilities;
        declaring.capabilities = told;
    }
    declarations::put(w, device.id, &declaring)?;
    if let Some(os_version) = &report.os_version {
        devices::learn(w, device.id, &devices::Facts { os_version: os_version.clone(), ..devices::Facts::default() })?;
    }
    for (item, reasons) in &report.errors {
        let udid = device.udid.as_str();
        log::info!(vppd_device = udid; "device {} cannot tell {item}: {}", device.shown(), reason_words(reasons));
    }
    let patience = patient(patience);
    let apps = declarations::apps_of(w, device.id)?;
    if let Some(items) = &report.declared {
        let in_step = declaring.fetched == declaring.token;
        news |= took_declared(w, device.id, &apps, items, report.full && in_step, &patience, now)?;
    }
    if let Some(items) = &report.commanded {
        news |= took_commanded(w, device.id, &apps, items, report.full, &patience, now)?;
    }
    for (identifier, reasons) in &report.invalid {
        let reason = format!("the device calls the declaration invalid: {}", reason_words(reasons));
        match app_of(identifier).and_then(|adam_id| apps.iter().find(|app| app.adam_id == adam_id)) {
            Some(app) => {
                let refused = Fact::InstallRefused { cause: Cause::VppdFault, reason };
                news |= tell(w, app, &refused, &patience, now)?;
            }
            None => {
                log::warn!(vppd_device = device.udid.as_str(); "{identifier} on device {}: {reason}", device.shown())
            }
        }
    }
    let Some(device) = devices::by_id(w, device.id)? else { return Ok(None) };
    Ok(Some(Taken { called: changed(w, &device, uuid, now)?, news }))
}

fn took_declared(
    w: &Write<'_>,
    id: DeviceId,
    apps: &[DeclaredApp],
    items: &[AppItem<AppState>],
    all: bool,
    patience: &Patience,
    now: Timestamp,
) -> Result<bool, OperationError> {
    let mut news = false;
    if apps.is_empty() {
        return Ok(news);
    }
    let names = assets::bundle_ids(w)?;
    let adam_ids: HashMap<&str, &str> =
        names.iter().map(|(adam_id, bundle_id)| (bundle_id.as_str(), adam_id.as_str())).collect();
    let mut told = HashSet::new();
    for item in items {
        let by_declaration = item.declaration.as_deref().and_then(app_of);
        let Some(adam_id) = by_declaration.or_else(|| adam_ids.get(item.identifier.as_str()).copied()) else {
            continue;
        };
        let Some(app) = apps.iter().find(|app| app.adam_id == adam_id) else { continue };
        told.insert(adam_id);
        if by_declaration.is_some() {
            assets::learn_bundle_id(w, adam_id, &item.identifier)?;
        }
        match fact(item) {
            Some(fact) => news |= tell(w, app, &fact, patience, now)?,
            None => log::info!("device {id} tells an unknown state of {}; it counts for nothing", item.identifier),
        }
    }
    for app in apps.iter().filter(|app| all && !told.contains(app.adam_id.as_str())) {
        if after(app.declared_at, MENTIONS_WITHIN) <= now || app.withdrawn_at.is_some() {
            news |= tell(w, app, &Fact::NotListed, patience, now)?;
        }
    }
    Ok(news)
}

/// What a device says of a declared app; `None` for a word that nobody knows.
fn fact(item: &AppItem<AppState>) -> Option<Fact> {
    if item.removed {
        return Some(Fact::NotListed);
    }
    let state = item.state?;
    let means = match state {
        AppState::Failed => {
            return Some(Fact::InstallRefused { cause: cause(&item.reasons), reason: reason_words(&item.reasons) });
        }
        AppState::Managed => Meaning::Installed,
        AppState::Uninstalled => Meaning::Uninstalled,
        AppState::Working(_) => Meaning::Working,
        AppState::Optional | AppState::Prompting(_) => Meaning::WaitsForPerson,
    };
    Some(Fact::Listed(Word { status: state.word().into(), means, cause: None }))
}

/// Moves the state of a declared app. True when it has moved.
fn tell(
    w: &Write<'_>,
    app: &DeclaredApp,
    fact: &Fact,
    patience: &Patience,
    now: Timestamp,
) -> Result<bool, OperationError> {
    let Some(mut pair) = pairs::get(w, app.device, &app.adam_id)? else { return Ok(false) };
    let failure = match fact {
        Fact::InstallRefused { .. } => true,
        Fact::Listed(word) => word.means == Meaning::Uninstalled,
        _ => false,
    };
    let removing = matches!(pair.progress.app, App::RemoveUnconfirmed | App::RemoveRetry);
    // Counted already: the device repeats it until it tries again.
    let counted = matches!(
        pair.progress.app,
        App::InstallQueued | App::InstallRetry | App::Failed | App::Rejected | App::Removed
    );
    if failure && (counted || removing && matches!(fact, Fact::InstallRefused { .. })) {
        return Ok(false);
    }
    let before = pair.progress.clone();
    if !removing && matches!(fact, Fact::Listed(_)) {
        pair.progress.looks = 0;
    }
    pair.progress = advance(&pair.progress, fact, now, patience);
    let news = pair.progress != before;
    if news {
        pairs::put(w, &pair, now)?;
    }
    if app.withdrawn_at.is_some() && pair.progress.app == App::Removed {
        declarations::remove_app(w, app.device, &app.adam_id)?;
    }
    Ok(news)
}

/// Apps that commands have installed, which the device tells by itself. Those that are declared leave this list.
fn took_commanded(
    w: &Write<'_>,
    id: DeviceId,
    declared: &[DeclaredApp],
    items: &[AppItem<AppStatus>],
    all: bool,
    patience: &Patience,
    now: Timestamp,
) -> Result<bool, OperationError> {
    let mut news = false;
    let told: HashMap<&str, &AppItem<AppStatus>> = items.iter().map(|item| (item.identifier.as_str(), item)).collect();
    for (adam_id, bundle_id) in assets::bundle_ids(w)? {
        let item = told.get(bundle_id.as_str());
        if item.is_none() && !all || declared.iter().any(|app| app.adam_id == adam_id) {
            continue;
        }
        let known = pairs::get(w, id, &adam_id)?;
        let fact = match item.map(|item| (item.removed, &item.state)) {
            Some((false, Some(status))) => Fact::Listed(report::word(status)),
            Some((false, None)) => continue,
            Some((true, _)) | None if known.is_some() => Fact::NotListed,
            Some((true, _)) | None => continue,
        };
        let mut pair = known.unwrap_or_else(|| pairs::Pair::new(id, &adam_id));
        let progress = advance(&pair.progress, &fact, now, patience);
        if progress != pair.progress {
            pair.progress = progress;
            pairs::put(w, &pair, now)?;
            news = true;
        }
    }
    Ok(news)
}
