//! Looking: what the doors show, made from one snapshot and its plan, so that numbers and reasons always agree with what
//! vppd would do next.

mod plan;

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use jiff::Timestamp;

use super::catalogue::Catalogue;
use super::notifications::channel;
use super::reconcile::{Planned, make_plan};
use super::view::*;
use super::{OperationError, Shared, declarations, device_list, device_notes, groups};
use crate::clock::after;
use crate::config::{Sync, show_duration};
use crate::licensing::explain::{Names, explain};
use crate::licensing::plan::PairStep;
use crate::licensing::{Licence, Pair, Step};
use crate::model::{App, DeviceId};
use crate::schedule::{Pace, next_sync};
use crate::store::locations::{Location, TokenState as Kept};
use crate::store::{
    self, StoreError, appliance, assets, assignments, channels, commands, devices, enrolments, inventory, locations,
    pairs, tasks,
};

pub use self::plan::plan;

/// Days before its end from which a token is shown as expiring.
const EXPIRING: jiff::SignedDuration = jiff::SignedDuration::from_hours(60 * 24);

/// How many commands a device's page shows.
const COMMANDS: u32 = 30;

/// The daemon at a glance.
pub async fn status(context: &Shared) -> Result<StatusView, OperationError> {
    let (us, settings, now) = (context.mdm_id.clone(), context.config().sync.clone(), context.clock.now());
    let config = context.config();
    let (pauses, missing_before) =
        (config.apns.repeat_after.len(), now.checked_sub(config.devices.missing_after).unwrap_or(Timestamp::MIN));
    let (paused, tokens, (devices, silent), deployments) = context
        .store
        .read(move |c| -> Result<_, OperationError> {
            let tokens: Vec<TokenView> =
                locations::all(c)?.iter().map(|l| token_view(c, l, &us, &settings, now)).collect::<Result<_, _>>()?;
            let paused = appliance::load(c)?.paused;
            let devices = (devices::count_enrolled(c, None)?, devices::count_silent(c, pauses, missing_before)?);
            Ok((paused, tokens, devices, crate::store::deployments::all(c)?.len()))
        })
        .await?;
    let mut problems = Vec::new();
    match context.push() {
        None => problems.push(
            "there is no push certificate: no device can enrol or be woken; set [apns] certificate and key".to_owned(),
        ),
        Some(push) if push.expires() <= now => {
            problems.push(format!("the push certificate expired on {}: no device can be woken", push.expires()));
        }
        Some(_) => {}
    }
    let troubled = tokens.iter().filter(|token| token.state != TokenState::Valid);
    problems.extend(troubled.map(|token| format!("location \"{}\": {}", token.name, token.advice)));
    let failing = tokens.iter().filter(|token| token.notifications.state == NotificationState::Failing);
    problems.extend(failing.map(|token| {
        format!(
            "location \"{}\" has no notifications: {} vppd asks Apple by the clock",
            token.name, token.notifications.failure
        )
    }));
    Ok(StatusView {
        version: env!("CARGO_PKG_VERSION").into(),
        started_at: context.started_at,
        now,
        paused: paused.map(|pause| PauseView { since: pause.since, by: pause.by, reason: pause.reason }),
        locations: tokens.len(),
        devices: devices as usize,
        silent: silent as usize,
        deployments,
        notified: tokens.iter().filter(|token| token.notifications.state == NotificationState::On).count(),
        problems,
    })
}

/// The error for a location that is not here.
pub(super) fn no_such_location(name: &str) -> OperationError {
    let shown: String = name.chars().take(80).collect();
    OperationError::not_found(format!("there is no location \"{shown}\""), "`vppd token list` shows them all.")
}

/// A location and its token, as shown.
pub(super) fn token_view(
    connection: &rusqlite::Connection,
    location: &Location,
    us: &str,
    settings: &Sync,
    now: Timestamp,
) -> Result<TokenView, OperationError> {
    let pace = Pace::of(settings, location.pace.interval, location.pace.full_interval);
    let interval = |every, own: Option<Duration>| IntervalView { every: show_duration(every), own: own.is_some() };
    let owned = assets::of_location(connection, location.id)?;
    let owner = match &location.owner {
        None => OwnerView::Nobody,
        Some(owner) if owner.id == us => OwnerView::Us,
        Some(owner) => OwnerView::Other { id: owner.id.clone(), name: owner.name.clone() },
    };
    let (state, advice) = token_state(location, &owner, now);
    Ok(TokenView {
        name: location.name.clone(),
        uid: location.uid.clone(),
        location_name: location.location_name.clone(),
        organisation: location.organisation.clone(),
        country: location.country.clone(),
        platform: location.platform.clone(),
        website: location.website.clone(),
        description: location.notes.description.clone(),
        account_email: location.notes.account_email.clone(),
        categories: location.notes.categories.clone(),
        contacts: location.notes.contacts.clone(),
        groups: groups::names_of_location(connection, location.id)?,
        expires_at: location.expires_at,
        state,
        advice,
        owner,
        assets: owned.len() as u64,
        licences_owned: owned.iter().filter(|asset| !asset.unlimited).map(|asset| asset.total.max(0) as u64).sum(),
        licences_assigned: assignments::count(connection, location.id)?,
        added_at: location.added_at,
        last_synced: location.last_synced,
        last_full_sync: location.last_full_sync,
        next_sync: next_sync(location.last_synced, location.last_full_sync, &location.uid, &pace),
        sync_interval: interval(pace.interval, location.pace.interval),
        full_sync_interval: interval(pace.full_interval, location.pace.full_interval),
        notifications: channel::view(channels::of(connection, location.id)?.as_ref()),
    })
}

fn token_state(location: &Location, owner: &OwnerView, now: Timestamp) -> (TokenState, String) {
    let renew =
        format!("download a new content token in Apple's portal, then: vppd token renew \"{}\" FILE", location.name);
    let take_over = format!("take it over on purpose with: vppd token take-over \"{}\"", location.name);
    if location.leaving {
        return (TokenState::Leaving, "its licences are given back, then it is removed".into());
    }
    if location.expires_at <= now || location.token_state == Kept::Expired {
        return (TokenState::Expired, format!("expired on {}: {renew}", location.expires_at));
    }
    match (location.token_state, owner) {
        (Kept::Revoked, _) => (
            TokenState::Revoked,
            format!("Apple says that the token was revoked (it dies when its maker's password changes): {renew}"),
        ),
        (Kept::Rejected, _) => (TokenState::Rejected, format!("Apple does not accept the token: {renew}")),
        (Kept::WrongKind, _) => (
            TokenState::WrongKind,
            "made by a facilitator's account, or of the older kind that is bound to a person: Apple refuses it for what \
             vppd does. Make a token with an account of the organisation"
                .to_owned(),
        ),
        (_, OwnerView::Other { name, .. }) => (
            TokenState::Contested,
            format!("held by another MDM (\"{name}\"): nothing is written; {take_over}"),
        ),
        (_, OwnerView::Nobody) if !location.claim_wanted => (
            TokenState::Contested,
            format!("held by nobody: somebody released it at Apple. Nothing is written; {take_over}"),
        ),
        (Kept::ReadOnly, _) => (
            TokenState::ReadOnly,
            format!(
                "Apple lets it read, but not change anything: the account that made it may not manage licences. Give it \
                 that right and sync, or {renew}"
            ),
        ),
        (Kept::Unreachable, _) => {
            (TokenState::Unreachable, "Apple could not be asked lately; tried again by itself".to_owned())
        }
        (_, _) if location.expires_at < now.saturating_add(EXPIRING).unwrap_or(Timestamp::MAX) => {
            (TokenState::Expiring, format!("expires on {}: {renew}", location.expires_at))
        }
        (_, _) => (TokenState::Valid, String::new()),
    }
}

/// The newest tasks, newest first.
pub async fn tasks(context: &Shared) -> Result<Vec<TaskView>, OperationError> {
    context.store.read(|c| tasks::newest(c, 100)?.iter().map(task_view).collect()).await
}

/// One task.
pub async fn task(context: &Shared, id: i64) -> Result<TaskView, OperationError> {
    let found = context.store.read(move |c| tasks::by_id(c, id)).await?;
    task_view(&found.ok_or_else(|| no_such_task(id))?)
}

/// The error for a task that is not here.
pub(super) fn no_such_task(id: i64) -> OperationError {
    OperationError::not_found(format!("there is no task {id}"), "`vppd task list` shows them.")
}

/// A task, as shown.
pub(super) fn task_view(task: &tasks::Task) -> Result<TaskView, OperationError> {
    let error = task.error.as_ref().map(|json| {
        serde_json::from_str(json).unwrap_or_else(|_| ErrorView {
            code: "internal".into(),
            message: "the task failed; the journal says more".into(),
            advice: String::new(),
        })
    });
    Ok(TaskView {
        id: task.id,
        kind: task.kind.clone(),
        subject: task.subject.clone(),
        state: match task.state.as_str() {
            "waiting" => TaskState::Waiting,
            "running" => TaskState::Running,
            "done" => TaskState::Done,
            "failed" => TaskState::Failed,
            "cancelled" => TaskState::Cancelled,
            other => return Err(StoreError::Damaged(format!("task state {other}")).into()),
        },
        done: task.done,
        total: task.total,
        detail: task.detail.clone(),
        error,
        sync: task.outcome.as_ref().and_then(|json| serde_json::from_str(json).ok()),
        created_at: task.created_at,
        started_at: task.started_at,
        finished_at: task.finished_at,
    })
}

/// A plan with what the views need beside it.
pub(super) struct Seen {
    pub(super) planned: Planned,
    /// What is known of each pair, by (product, device).
    known: HashMap<(u32, u32), pairs::Pair>,
    /// Pairs whose app is declared, by (device, adamId).
    declared: HashSet<(DeviceId, String)>,
    catalogue: Catalogue,
}

pub(super) async fn see(context: &Shared) -> Result<Seen, OperationError> {
    let planned = make_plan(context).await?;
    let kept = context.store.read(pairs::all).await?;
    let catalogue = context.store.read(Catalogue::load).await?;
    let declared = context.store.read(store::declarations::all_apps).await?;
    let declared = declared.into_iter().map(|app| (app.device, app.adam_id)).collect();
    let snapshot = &planned.loaded.snapshot;
    let product_of: HashMap<&str, u32> =
        (0u32..).zip(&snapshot.products).map(|(place, product)| (product.adam_id.as_str(), place)).collect();
    let device_of: HashMap<DeviceId, u32> =
        (0u32..).zip(&planned.loaded.behind.devices).filter_map(|(place, id)| Some(((*id)?, place))).collect();
    let known = kept
        .into_iter()
        .filter_map(|pair| {
            let key = (*product_of.get(pair.adam_id.as_str())?, *device_of.get(&pair.device)?);
            Some((key, pair))
        })
        .collect();
    Ok(Seen { planned, known, declared, catalogue })
}

impl Seen {
    fn pair(&self, product: u32, device: u32) -> Option<&Pair> {
        self.planned.loaded.snapshot.pair(product, device)
    }

    /// What the pair needs next; where it waits for its person's licence, what that needs.
    fn shown(&self, step: &PairStep) -> Step {
        if step.step != Step::AwaitSeat {
            return step.step;
        }
        let Some(person) = self.planned.loaded.snapshot.devices[step.device as usize].person else { return step.step };
        let seats = &self.planned.plan.seats;
        let found = seats.binary_search_by_key(&(person, step.product), |seat| (seat.person, seat.product));
        found.map_or(step.step, |at| seats[at].step)
    }

    /// The licence that serves the pair, its device's or its person's, and its asset.
    fn licence(&self, step: &PairStep) -> (Licence, Option<u32>) {
        let snapshot = &self.planned.loaded.snapshot;
        if let Some(pair) = self.pair(step.product, step.device).filter(|pair| pair.licence != Licence::None) {
            return (pair.licence, Some(pair.asset));
        }
        let person = snapshot.devices[step.device as usize].person;
        let seat = person.and_then(|person| snapshot.seat(step.product, person));
        match seat.filter(|seat| seat.licence != Licence::None) {
            Some(seat) => (seat.licence, Some(seat.asset)),
            None => (Licence::None, None),
        }
    }

    /// When the licence of a pair goes back whatever the device says.
    pub(super) fn deadline(&self, step: &PairStep) -> Option<Timestamp> {
        let (snapshot, pair) = (&self.planned.loaded.snapshot, self.pair(step.product, step.device)?);
        let since = Timestamp::from_second(pair.since.into()).ok().filter(|_| pair.since > 0)?;
        let held = self.licence(step).0 == Licence::Assigned;
        match step.step {
            Step::Rejected | Step::GaveUp if held => Some(after(since, snapshot.deadlines.rejected)),
            Step::Rejected | Step::GaveUp | Step::Satisfied | Step::LicenceHeld => None,
            _ => held.then(|| after(since, snapshot.deadlines.offline)),
        }
    }

    pub(super) fn view(&self, step: &PairStep) -> PairView {
        let snapshot = &self.planned.loaded.snapshot;
        let pair = self.pair(step.product, step.device);
        let known = self.known.get(&(step.product, step.device));
        let (licence, held) = self.licence(step);
        let shown = self.shown(step);
        let asset = match shown {
            Step::Associate { asset } | Step::Disassociate { asset } | Step::DisassociateSecond { asset } => {
                Some(asset)
            }
            _ => held,
        };
        let location = asset
            .map_or("", |asset| snapshot.locations[snapshot.assets[asset as usize].location as usize].name.as_str());
        let next_at = known.and_then(|pair| pair.progress.due).filter(|due| *due > snapshot.now);
        let next = next_at.map_or(String::new(), |at| at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string());
        let deadline = self.deadline(step).map_or(String::new(), |at| at.strftime("%Y-%m-%d %H:%M UTC").to_string());
        let reason = known.map_or("", |pair| pair.progress.reason.as_str());
        let device = self.planned.loaded.behind.devices[step.device as usize];
        let adam_id = &snapshot.products[step.product as usize].adam_id;
        let declared = device.is_some_and(|device| self.declared.contains(&(device, adam_id.clone())));
        let names = Names { location, reason, next: &next, deadline: &deadline, declared };
        PairView {
            adam_id: snapshot.products[step.product as usize].adam_id.clone(),
            name: self.catalogue.name(&snapshot.products[step.product as usize].adam_id),
            serial: snapshot.devices[step.device as usize].serial.clone(),
            stage: stage(shown, pair),
            why: explain(shown, &names),
            licence: match licence {
                Licence::None => LicenceState::None,
                Licence::Requested => LicenceState::Requested,
                Licence::Assigned => LicenceState::Assigned,
                Licence::Returning => LicenceState::Returning,
            },
            app_status: known.map_or(String::new(), |pair| pair.progress.status.clone()),
            declared,
            position: match shown {
                Step::WaitForLicence { position } | Step::WaitForQuota { position } => Some(position),
                _ => None,
            },
            next_at,
        }
    }

    /// The devices on which an app stands at a stage; any app, or any stage, where none is named.
    pub(super) fn with_app(&self, adam_id: Option<&str>, stage: Option<Stage>) -> HashSet<DeviceId> {
        let loaded = &self.planned.loaded;
        let fits = |step: &&PairStep| {
            adam_id.is_none_or(|id| loaded.snapshot.products[step.product as usize].adam_id == id)
                && stage.is_none_or(|it| self::stage(step.step, self.pair(step.product, step.device)) == it)
        };
        let steps = self.planned.plan.steps.iter().filter(fits);
        steps.filter_map(|step| loaded.behind.devices[step.device as usize]).collect()
    }

    fn pairs_of(&self, wanted: impl Fn(&PairStep) -> bool) -> Vec<PairView> {
        self.planned.plan.steps.iter().filter(|step| wanted(step)).map(|step| self.view(step)).collect()
    }
}

/// The stage a person sees for a step.
fn stage(step: Step, pair: Option<&Pair>) -> Stage {
    let app = pair.map_or(App::None, |pair| pair.app);
    match step {
        Step::Nothing | Step::Removed => Stage::Removed,
        Step::Satisfied => Stage::Installed,
        Step::LicenceHeld => Stage::LicenceHeld,
        Step::Blocked(_) => Stage::Blocked,
        Step::NeedsLicence | Step::WaitForLicence { .. } | Step::WaitForQuota { .. } | Step::AwaitSeat => {
            Stage::WaitingForLicence
        }
        Step::Associate { .. } | Step::AwaitAssignment => Stage::LicenceRequested,
        Step::Install | Step::AwaitWave | Step::AwaitInstallAnswer | Step::WithdrawInstall => Stage::InstallQueued,
        Step::Verify if matches!(app, App::RemoveUnconfirmed | App::RemoveRetry) => Stage::Removing,
        Step::Verify if app == App::WaitingForPerson => Stage::WaitingForPerson,
        Step::Verify | Step::AwaitInstall => Stage::Installing,
        Step::AwaitPerson => Stage::WaitingForPerson,
        Step::Rejected => Stage::Rejected,
        Step::AwaitRetry if pair.is_none_or(|pair| pair.licence == Licence::None) => Stage::WaitingForLicence,
        Step::AwaitRetry => Stage::Installing,
        Step::GaveUp => Stage::Failed,
        Step::WithdrawRemove | Step::Remove | Step::AwaitRemoval => Stage::Removing,
        Step::Disassociate { .. } | Step::DisassociateSecond { .. } | Step::AwaitReturn => Stage::LicenceReturning,
    }
}

/// Every asset of every location, each by itself.
pub async fn apps(context: &Shared) -> Result<Vec<AppView>, OperationError> {
    let kinds = kinds(context).await?;
    Ok(app_views(&see(context).await?, &kinds, None))
}

/// One app: under each location, and where each pair stands.
pub async fn app(context: &Shared, adam_id: String) -> Result<AppDetailView, OperationError> {
    let kinds = kinds(context).await?;
    let seen = see(context).await?;
    let products = &seen.planned.loaded.snapshot.products;
    let Some(product) = (0u32..).zip(products).find(|(_, p)| p.adam_id == adam_id).map(|(place, _)| place) else {
        let shown: String = adam_id.chars().take(40).collect();
        return Err(OperationError::not_found(
            format!("no location owns an app with the Adam ID {shown}, and no deployment names it"),
            "`vppd app list` shows what is owned; `vppd sync` reads it again from Apple.",
        ));
    };
    Ok(AppDetailView {
        apps: app_views(&seen, &kinds, Some(product)),
        pairs: seen.pairs_of(|step| step.product == product),
    })
}

/// Kind and platforms of each asset: (location, adamId, pricingParam).
type Kinds = HashMap<(i64, String, String), (String, Vec<String>)>;

async fn kinds(context: &Shared) -> Result<Kinds, OperationError> {
    let kinds = context
        .store
        .read(|c| -> Result<Kinds, StoreError> {
            let mut kinds = Kinds::new();
            for location in locations::all(c)? {
                for asset in assets::of_location(c, location.id)? {
                    let key = (location.id.0, asset.adam_id, asset.pricing_param);
                    kinds.insert(key, (asset.product_type, asset.platforms));
                }
            }
            Ok(kinds)
        })
        .await?;
    Ok(kinds)
}

/// How many pairs of a product stand where.
#[derive(Default, Clone, Copy)]
struct Tally {
    wanted: u64,
    installed: u64,
    waiting: u64,
    failed: u64,
}

fn app_views(seen: &Seen, kinds: &Kinds, only: Option<u32>) -> Vec<AppView> {
    let loaded = &seen.planned.loaded;
    let snapshot = &loaded.snapshot;
    let mut tallies = vec![Tally::default(); snapshot.products.len()];
    for step in &seen.planned.plan.steps {
        let tally = &mut tallies[step.product as usize];
        match stage(step.step, seen.pair(step.product, step.device)) {
            Stage::Removing | Stage::LicenceReturning | Stage::Removed => continue,
            Stage::Installed => tally.installed += 1,
            Stage::WaitingForLicence => tally.waiting += 1,
            Stage::Rejected | Stage::Failed | Stage::Blocked => tally.failed += 1,
            _ => {}
        }
        tally.wanted += 1;
    }
    let shown = snapshot.assets.iter().zip(&loaded.counts).filter(|(asset, _)| only.is_none_or(|p| asset.product == p));
    shown
        .map(|(asset, counts)| {
            let product = &snapshot.products[asset.product as usize];
            let key = (
                loaded.behind.locations[asset.location as usize].0,
                product.adam_id.clone(),
                asset.pricing_param.clone(),
            );
            let (product_type, platforms) = kinds.get(&key).cloned().unwrap_or_default();
            let tally = tallies[asset.product as usize];
            AppView {
                adam_id: product.adam_id.clone(),
                pricing_param: asset.pricing_param.clone(),
                location: snapshot.locations[asset.location as usize].name.clone(),
                locations: vec![snapshot.locations[asset.location as usize].name.clone()],
                product_type,
                bundle_id: product.bundle_id.clone(),
                platforms,
                device_assignable: asset.device_assignable,
                revocable: asset.revocable,
                unlimited: asset.unlimited,
                owned: counts.owned,
                assigned: counts.held,
                reserved: counts.under_way,
                free: asset.free.into(),
                wanted: tally.wanted,
                installed: tally.installed,
                waiting: tally.waiting,
                failed: tally.failed,
                info: seen.catalogue.under(loaded.behind.locations[asset.location as usize], &product.adam_id).cloned(),
            }
        })
        .collect()
}

/// Every device that has ever enrolled.
pub async fn devices(context: &Shared) -> Result<Vec<DeviceView>, OperationError> {
    let seen = see(context).await?;
    device_views(context, &seen, None).await
}

/// The device with this serial number or UDID.
pub(super) async fn find_device(context: &Shared, name: String) -> Result<devices::Device, OperationError> {
    let looked_for = name.clone();
    let found = context
        .store
        .read(move |c| -> Result<_, StoreError> {
            let upper = looked_for.trim().to_ascii_uppercase();
            Ok(match devices::by_serial(c, &upper)? {
                Some(device) => Some(device),
                None => devices::by_udid(c, looked_for.trim())?,
            })
        })
        .await?;
    found.ok_or_else(|| {
        let shown: String = name.chars().take(80).collect();
        OperationError::not_found(
            format!("no device with the serial number or UDID {shown} has enrolled"),
            "`vppd device list` shows them all.",
        )
    })
}

/// One device, by serial number or UDID.
pub async fn device(context: &Shared, name: String) -> Result<DeviceDetailView, OperationError> {
    let found = find_device(context, name).await?;
    let seen = see(context).await?;
    let places = (0u32..).zip(&seen.planned.loaded.behind.devices);
    let place = places.filter(|(_, id)| **id == Some(found.id)).map(|(place, _)| place).next();
    let device = device_views(context, &seen, Some(found.id)).await?.pop();
    let device = device.ok_or_else(|| OperationError::not_found("the device vanished while it was looked at", ""))?;
    let commands = context.store.read(move |c| commands::newest(c, found.id, COMMANDS)).await?;
    let id = found.id;
    let groups = context.store.read(move |c| device_notes::groups_of(c, id)).await?;
    let declarations = context.store.read(move |c| declarations::view(c, id)).await?;
    let told = context.store.read(move |c| -> Result<_, StoreError> {
        Ok((device_list::installed(c, &found)?, inventory::get(c, id)?.apps_at))
    });
    let (installed, installed_at) = told.await?;
    Ok(DeviceDetailView {
        device,
        groups,
        installed,
        installed_at,
        pairs: seen.pairs_of(|step| Some(step.device) == place),
        declarations,
        commands: commands.into_iter().map(command_view).collect(),
    })
}

pub(super) async fn device_views(
    context: &Shared,
    seen: &Seen,
    only: Option<DeviceId>,
) -> Result<Vec<DeviceView>, OperationError> {
    let mut tallies: HashMap<DeviceId, (u64, u64)> = HashMap::new();
    for step in &seen.planned.plan.steps {
        let stage = stage(step.step, seen.pair(step.product, step.device));
        if !matches!(stage, Stage::Removing | Stage::LicenceReturning | Stage::Removed) {
            let Some(id) = seen.planned.loaded.behind.devices[step.device as usize] else { continue };
            let tally = tallies.entry(id).or_default();
            tally.0 += 1;
            tally.1 += u64::from(stage == Stage::Installed);
        }
    }
    let (index, config, now) = (context.index.clone(), context.config(), context.clock.now());
    context
        .store
        .read(move |c| -> Result<Vec<DeviceView>, OperationError> {
            let all = match only {
                Some(id) => devices::by_id(c, id)?.into_iter().collect(),
                None => devices::all(c)?,
            };
            let said = device_notes::Said::load(c)?;
            let about = device_list::About::load(c, &config, now)?;
            all.into_iter()
                .map(|device| {
                    let identity = enrolments::identity(c, &device.fingerprint)?;
                    let (apps_wanted, apps_installed) = tallies.get(&device.id).copied().unwrap_or_default();
                    let (person, note) = said.of(&device.serial);
                    let last_seen = index.last_seen(device.id).max(device.last_seen);
                    Ok(DeviceView {
                        about: about.of(&device, last_seen),
                        person,
                        ownership: note.map(|note| note.ownership),
                        tags: note.map(|note| note.tags.clone()).unwrap_or_default(),
                        state: match device.state {
                            devices::DeviceState::CheckedOut if device.removed_at.is_some() => DeviceState::Removed,
                            devices::DeviceState::Enrolling => DeviceState::Enrolling,
                            devices::DeviceState::Enrolled => DeviceState::Enrolled,
                            devices::DeviceState::CheckedOut => DeviceState::CheckedOut,
                        },
                        model: [&device.facts.product_name, &device.facts.model]
                            .into_iter()
                            .find(|text| !text.is_empty())
                            .cloned()
                            .unwrap_or_default(),
                        os_version: device.facts.os_version,
                        supervised: device.facts.supervised,
                        enrolled_at: device.enrolled_at,
                        last_seen,
                        push_problem: device.push.problem,
                        identity_expires_at: identity.map(|identity| identity.not_after),
                        queue: commands::open(c, device.id)?.len() as u64,
                        apps_wanted,
                        apps_installed,
                        serial: device.serial,
                        udid: device.udid,
                    })
                })
                .collect()
        })
        .await
}

fn command_view(command: commands::Command) -> CommandView {
    CommandView {
        uuid: command.uuid,
        request_type: command.request_type,
        subject: command.adam_id.unwrap_or_default(),
        state: command.state.word().into(),
        queued_at: command.queued_at,
        answered_at: command.answered_at,
        error: command.error,
    }
}
