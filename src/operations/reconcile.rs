//! The reconciler: makes the plan from what is, and records what is to be done: requests to Apple as intentions, commands in
//! the devices' queues. Others then act on what was recorded.
//!
//! Level-triggered: a plan is made from what is, never from what was last done. What changed between the snapshot and the
//! record is looked at again in the recording transaction.
//!
//! The plan is kept in memory and brought up to date: only devices and people about whom something was written since are read
//! and judged anew; everything is, at the start, when something that speaks of many has changed, and every hour. Debug builds
//! make the whole plan beside it each time, and stop when the two differ (`law`).
//!
//! - `install`: what an install says, and whether it makes sense on the device.

mod install;

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::Connection;

use super::app_terms::{self, AppTerms, Terms};
use super::declarations::{self, Way, Wish};
use super::{DeviceIndex, OperationError, Shared, checkin, notify_after, safety};
use crate::apple::Limits as AppleLimits;
use crate::clock::after;
use crate::licensing::fit::Needs;
use crate::licensing::plan::{Actions, CommandAction, CommandKind, Holders, LicenceAction};
use crate::licensing::progress::{Patience, Progress};
use crate::licensing::{
    Deadlines, Holder, Limits, Plan, Planner, Rectangle, Snapshot, Verb, plan, rectangles, way_out,
};
use crate::mdm::command::{Command, ManagedApplicationList, RemoveApplication};
use crate::model::{self, App, Cause, DeviceId};
use crate::store;
use crate::store::snapshot::{self, Behind, Loaded};
use crate::store::{Marks, StoreError, Write, appliance, assignments, audit, commands, devices, events, pairs};
pub(super) use install::{install_command, licensed};
use install::{needs_of, why_not};

#[cfg(debug_assertions)]
mod law;

/// Commands recorded in one transaction at most, so that devices are not kept waiting.
const CHUNK: usize = 200;

/// A plan with what it was made from.
pub struct Planned {
    pub loaded: Loaded,
    pub plan: Plan,
    pub paused: bool,
    /// What the safety net knew.
    pub net: safety::Before,
}

/// What the settings say to the facts of a plan.
pub(in crate::operations) fn settings(context: &Shared) -> snapshot::Settings {
    let licences = &context.config().licences;
    let deadlines =
        Deadlines { offline: licences.offline_limit, silent: licences.silent_after, rejected: licences.rejected_after };
    snapshot::Settings { us: context.mdm_id.clone(), deadlines, grace: context.config().directory.grace }
}

/// Makes the plan without doing anything.
pub async fn make_plan(context: &Shared) -> Result<Planned, OperationError> {
    let (settings, now, index) = (settings(context), context.clock.now(), context.index.clone());
    context
        .store
        .read(move |c| {
            let (loaded, plan) = plan_of(c, &settings, now, &index)?;
            let paused = appliance::load(c)?.paused.is_some();
            Ok(Planned { loaded, plan, paused, net: safety::Before::load(c)? })
        })
        .await
}

/// The plan of what a connection sees.
pub(super) fn plan_of(
    connection: &Connection,
    settings: &snapshot::Settings,
    now: Timestamp,
    index: &DeviceIndex,
) -> Result<(Loaded, Plan), StoreError> {
    let mut loaded = snapshot::load(connection, settings, now)?;
    // What devices have said since it was last written down counts, too.
    for (device, id) in loaded.snapshot.devices.iter_mut().zip(&loaded.behind.devices) {
        device.last_seen = device.last_seen.max(id.and_then(|id| index.last_seen(id)));
    }
    let plan = plan(&loaded.snapshot);
    Ok((loaded, plan))
}

/// The plan that is kept up to date from one reconciliation to the next.
#[derive(Default)]
pub struct Reconciler(Option<Current>);

/// What has to be done now, and what it follows from.
struct Due {
    current: Current,
    actions: Actions,
    paused: bool,
    net: safety::Before,
}

/// A plan that is kept up to date.
struct Current {
    planner: Planner,
    behind: Behind,
    settings: snapshot::Settings,
    /// When everything was read.
    read_at: Timestamp,
    /// It was now.
    whole: bool,
}

/// How long what is known is brought up to date in parts, before everything is read anew. Times that only a snapshot as a
/// whole knows of (a token that expires) and mistakes last no longer than that.
const WHOLE_EVERY: Duration = Duration::from_secs(3600);

impl Current {
    /// Reads everything, or what has changed since.
    fn read(
        connection: &Connection,
        known: Option<Current>,
        marks: &Marks,
        settings: snapshot::Settings,
        now: Timestamp,
        index: &DeviceIndex,
    ) -> Result<Current, StoreError> {
        let changes = marks.take();
        let mut current = None;
        if let Some(mut known) = known {
            let fresh = known.read_at <= now && now < after(known.read_at, WHOLE_EVERY) && known.settings == settings;
            if fresh && snapshot::renew(connection, changes, &mut known.planner, &mut known.behind)? {
                current = Some(Current { whole: false, ..known });
            }
        }
        let mut current = match current {
            Some(current) => current,
            None => {
                let Loaded { snapshot, behind, .. } = snapshot::load(connection, &settings, now)?;
                let planner = Planner::new(snapshot);
                Current { planner, behind, settings, read_at: now, whole: true }
            }
        };
        // What devices have said since it was last written down counts, too.
        for (id, at) in index.heard() {
            if let Some(place) = current.behind.place_of(id) {
                current.planner.heard(place, at);
            }
        }
        Ok(current)
    }

    fn names(&self) -> Names<'_> {
        Names { planner: &self.planner, snapshot: self.planner.snapshot(), behind: &self.behind, whole: self.whole }
    }
}

/// The snapshot that actions are about, and the rows behind its numbers.
#[derive(Clone, Copy)]
pub(super) struct Names<'a> {
    pub planner: &'a Planner,
    pub snapshot: &'a Snapshot,
    pub behind: &'a Behind,
    /// Everything was read anew, not only what has changed.
    pub whole: bool,
}

async fn due(context: &Shared, known: Option<Current>) -> Result<Due, OperationError> {
    let (settings, now, index) = (settings(context), context.clock.now(), context.index.clone());
    let marks = context.store.marks();
    context
        .store
        .read(move |c| -> Result<Due, StoreError> {
            // First a read, which decides what this transaction sees; then the marks of all that it sees.
            let paused = appliance::load(c)?.paused.is_some();
            let mut current = Current::read(c, known, &marks, settings.clone(), now, &index)?;
            let actions = current.planner.actions(now);
            #[cfg(debug_assertions)]
            law::check(c, &settings, now, &index, &current, &actions)?;
            Ok(Due { current, actions, paused, net: safety::Before::load(c)? })
        })
        .await
        .map_err(OperationError::from)
}

/// Plans and records what is to be done. Returns when to plan again although nothing happened.
pub async fn reconcile(context: &Shared, reconciler: &mut Reconciler) -> Result<Option<Timestamp>, OperationError> {
    let now = context.clock.now();
    let released = context.store.write_bulk(move |w| events::release_returned(w, now)).await?;
    let Due { current, mut actions, paused, mut net } = due(context, reconciler.0.take()).await?;
    let names = current.names();
    safety::screen(context, &mut actions, names.snapshot, &mut net).await?;
    mark_waiting(context, names, &actions);
    let mut again_at = None;
    if !paused {
        record_adoptions(context, names, &actions).await?;
        record_leaving(context, names, &actions).await?;
        for action in &actions.licences {
            record_licences(context, names, action).await?;
        }
        let settled = declarations::settle::settle(context, names).await?;
        let mut queued = settled.wake;
        again_at = settled.plan_again_at;
        let terms = AppTerms::load(context).await?;
        for chunk in actions.commands.chunks(CHUNK) {
            queued |= record_commands(context, names, &terms, chunk).await?;
        }
        queued |= app_terms::bring(context, names, &terms).await?;
        if queued {
            context.wake_now.notify_one();
        }
    }
    reconciler.0 = Some(current);
    Ok(actions.next_due.filter(|_| !paused).into_iter().chain(released).chain(again_at).min())
}

/// Tells the workers of locations that own what somebody waits for: they look at Apple's counts more often.
fn mark_waiting(context: &Shared, Names { snapshot, behind, .. }: Names<'_>, actions: &Actions) {
    let mut waiting = vec![false; snapshot.products.len()];
    for &product in &actions.short {
        waiting[product as usize] = true;
    }
    let wanted = snapshot.assets.iter().filter(|asset| waiting[asset.product as usize]).map(|asset| asset.location);
    let locations = wanted.filter_map(|place| behind.locations.get(place as usize)).copied().collect();
    context.workers.set_waiting(locations);
}

async fn record_adoptions(context: &Shared, names: Names<'_>, actions: &Actions) -> Result<(), OperationError> {
    let now = context.clock.now();
    for chunk in actions.adopt.chunks(CHUNK) {
        let Names { snapshot, behind, .. } = names;
        let adopted: Vec<_> = chunk
            .iter()
            .map(|&(asset, holder)| {
                let asset = &snapshot.assets[asset as usize];
                let adam_id = snapshot.products[asset.product as usize].adam_id.clone();
                let name = snapshot.name_of(holder).to_owned();
                let (device, holder) = match holder {
                    Holder::Device(place) => (behind.devices[place as usize], model::Holder::Serial(name)),
                    Holder::Person(_) => (None, model::Holder::User(name)),
                };
                let location = behind.locations[asset.location as usize];
                (device, location, adam_id, asset.pricing_param.clone(), holder)
            })
            .collect();
        context
            .store
            .write_bulk(move |w| -> Result<(), OperationError> {
                for (device, location, adam_id, pricing_param, holder) in &adopted {
                    assignments::adopt(w, *location, adam_id, pricing_param, holder)?;
                    if let Some(device) = device {
                        let pair = pairs::get_or_new(w, *device, adam_id)?;
                        pairs::put(w, &pairs::Pair { ours: true, ..pair }, now)?;
                    }
                }
                Ok(())
            })
            .await?;
    }
    Ok(())
}

/// Notes since when pairs are on their way out: the offline limit counts from then.
async fn record_leaving(context: &Shared, names: Names<'_>, actions: &Actions) -> Result<(), OperationError> {
    let now = context.clock.now();
    for chunk in actions.leaving.chunks(CHUNK) {
        let Names { snapshot, behind, .. } = names;
        let noted: Vec<_> = chunk
            .iter()
            .filter_map(|&(product, device, leaving)| {
                let adam_id = snapshot.products[product as usize].adam_id.clone();
                Some((behind.devices[device as usize]?, adam_id, leaving.then_some(now)))
            })
            .collect();
        context
            .store
            .write_bulk(move |w| -> Result<(), OperationError> {
                for (device, adam_id, since) in &noted {
                    pairs::note_leaving(w, *device, adam_id, *since)?;
                }
                Ok(())
            })
            .await?;
    }
    Ok(())
}

async fn record_licences(context: &Shared, names: Names<'_>, action: &LicenceAction) -> Result<(), OperationError> {
    let location = names.behind.locations[action.location as usize];
    let limits = limits(action.holders, &context.apple.service_config().await.limits);
    for rectangle in rectangles(&action.pairs, limits) {
        let (id, verb, now) = (context.entropy.uuid().to_string(), action.verb, context.clock.now());
        let (assets, holders) = named(names.snapshot, action.holders, &rectangle);
        let ways_out =
            if verb == Verb::Disassociate { ways_out(names.snapshot, action.holders, &rectangle) } else { Vec::new() };
        context
            .store
            .write(move |w| -> Result<(), StoreError> {
                events::intend(w, &id, location, verb, &assets, &holders, now)?;
                ways_out.iter().try_for_each(|line| audit::write(w, now, "vppd", "licences taken back", line))
            })
            .await?;
    }
    context.nudge(location);
    Ok(())
}

/// Holders that an audit line names at most.
const NAMED: usize = 20;

/// The lines of the audit for what a request takes back: which apps from whom, by each way out.
fn ways_out(snapshot: &Snapshot, holders: Holders, rectangle: &Rectangle) -> Vec<String> {
    let holder = match holders {
        Holders::Devices => Holder::Device,
        Holders::Persons => Holder::Person,
    };
    let mut lines = BTreeMap::<(u32, &str), Vec<&str>>::new();
    for &asset in &rectangle.assets {
        let product = snapshot.assets[asset as usize].product;
        for holder in rectangle.devices.iter().map(|&place| holder(place)) {
            lines.entry((product, way_out(snapshot, product, holder))).or_default().push(snapshot.name_of(holder));
        }
    }
    let line = |((product, way), names): ((u32, &str), Vec<&str>)| {
        let more = match names.len().saturating_sub(NAMED) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let named = names[..names.len().min(NAMED)].join(", ");
        format!("{} from {named}{more}: {way}", snapshot.products[product as usize].adam_id)
    };
    lines.into_iter().map(line).collect()
}

/// How large a request for this kind of holders may be.
pub(super) fn limits(holders: Holders, apple: &AppleLimits) -> Limits {
    let most = match holders {
        Holders::Devices => apple.max_serial_numbers,
        Holders::Persons => apple.max_client_user_ids,
    };
    Limits { max_assets: apple.max_assets as usize, max_serial_numbers: most as usize }
}

/// A rectangle's assets (adamId, pricingParam) and who is to have them, or to lose them.
pub(super) fn named(
    snapshot: &Snapshot,
    holders: Holders,
    rectangle: &Rectangle,
) -> (Vec<(String, String)>, model::Holders) {
    let assets = rectangle.assets.iter().map(|&asset| {
        let asset = &snapshot.assets[asset as usize];
        (snapshot.products[asset.product as usize].adam_id.clone(), asset.pricing_param.clone())
    });
    let names = |holder: fn(u32) -> Holder| {
        rectangle.devices.iter().map(|&place| snapshot.name_of(holder(place)).to_owned()).collect()
    };
    let holders = match holders {
        Holders::Devices => model::Holders::Serials(names(Holder::Device)),
        Holders::Persons => model::Holders::Users(names(Holder::Person)),
    };
    (assets.collect(), holders)
}

/// One thing to do in a device's queue, by name.
struct Task {
    device: DeviceId,
    adam_id: String,
    bundle_id: Option<String>,
    kind: CommandKind,
    uuid: String,
    wish: Wish,
    terms: Terms,
    needs: Needs,
}

async fn record_commands(
    context: &Shared,
    names: Names<'_>,
    terms: &AppTerms,
    actions: &[CommandAction],
) -> Result<bool, OperationError> {
    let needs = needs_of(context, names.snapshot, actions).await?;
    let tasks: Vec<Task> = actions
        .iter()
        .filter_map(|action| {
            let product = &names.snapshot.products[action.product as usize];
            Some(Task {
                device: names.behind.devices[action.device as usize]?,
                adam_id: product.adam_id.clone(),
                bundle_id: product.bundle_id.clone(),
                kind: action.kind,
                uuid: context.entropy.uuid().to_string(),
                wish: declarations::settle::wish(names.planner, action.product, action.device),
                terms: match action.kind {
                    CommandKind::Install => terms.of(names.planner, action.product, action.device),
                    _ => Terms::default(),
                },
                needs: needs.get(&product.adam_id).cloned().unwrap_or_default(),
            })
        })
        .collect();
    let (now, index, patience) = (context.clock.now(), context.index.clone(), context.patience());
    let plan_now = context.plan_now.clone();
    let queued = context
        .store
        .write(move |w| -> Result<bool, OperationError> {
            if appliance::load(w)?.paused.is_some() {
                return Ok(false);
            }
            let mut queued = false;
            for task in &tasks {
                queued |= record_one(w, task, &patience, now)?;
                let (index, id, waits) = (index.clone(), task.device, commands::any_open(w, task.device)?);
                w.after_commit(move || index.set_waits(id, waits));
            }
            // What was taken back never reached its device: its licence need not wait.
            if tasks.iter().any(|task| task.kind == CommandKind::Withdraw) {
                notify_after(w, &plan_now);
            }
            Ok(queued)
        })
        .await?;
    Ok(queued)
}

/// Records one thing, if the pair is still as the plan saw it. True when a command was queued.
fn record_one(w: &Write<'_>, task: &Task, patience: &Patience, now: Timestamp) -> Result<bool, OperationError> {
    let Some(device) = devices::by_id(w, task.device)?.filter(|d| d.state == devices::DeviceState::Enrolled) else {
        return Ok(false);
    };
    let mut pair = pairs::get_or_new(w, task.device, &task.adam_id)?;
    let command = match task.kind {
        CommandKind::Verify => {
            if store::declarations::app(w, task.device, &task.adam_id)?.is_some() {
                return declarations::call(w, task.device, &task.uuid, now);
            }
            if commands::waits(w, task.device, "ManagedApplicationList")? {
                return Ok(false);
            }
            let list = Command::ManagedApplicationList(ManagedApplicationList { identifiers: Vec::new() });
            checkin::queue(w, task.device, &task.uuid, &list, None, now)?;
            return Ok(true);
        }
        CommandKind::Withdraw => {
            if declarations::take_back(w, &device, &mut pair, &task.uuid, now)? {
                return Ok(true);
            }
            withdraw(w, pair, now)?;
            return Ok(false);
        }
        CommandKind::Install => {
            let refused = matches!(pair.progress.app, App::Rejected | App::Failed);
            let fits = refused || matches!(pair.progress.app, App::None | App::Removed | App::InstallRetry);
            if !fits || !licensed(w, &task.adam_id, &device)? {
                return Ok(false);
            }
            if let Some(why) = why_not(&task.needs, &device) {
                // It would be refused. The licence goes back as for any install that failed for good.
                let (cause, reason) = (Some(Cause::NotSupported), format!("the app does not run on it: {why}"));
                pair.progress = Progress { app: App::Failed, cause, reason, ..Progress::default() };
                pairs::put(w, &pair, now)?;
                pairs::note_refused(w, task.device, &task.adam_id, now)?;
                return Ok(false);
            }
            // Asked anew: what failed before does not count.
            if refused {
                pair.progress.tries = 0;
            }
            let Some(install) = install_command(&device, &task.adam_id, task.terms.clone()) else { return Ok(false) };
            match declarations::install(w, &device, &mut pair, &task.wish, &task.uuid, patience, now)? {
                Way::Declared => return Ok(true),
                Way::Wait => return Ok(false),
                Way::Command => {}
            }
            pair.progress.app = App::InstallQueued;
            pair.terms = app_terms::fingerprint(&install);
            Command::InstallApplication(install)
        }
        CommandKind::Remove => {
            if pair.progress.app.may_be_on_the_device()
                && declarations::remove(w, &device, &mut pair, &task.uuid, patience, now)?
            {
                return Ok(true);
            }
            let Some(identifier) = task.bundle_id.clone() else { return Ok(false) };
            if !pair.progress.app.may_be_on_the_device() {
                return Ok(false);
            }
            app_terms::drop_open(w, &mut pair, now)?;
            pair.progress.app = App::RemoveQueued;
            Command::RemoveApplication(RemoveApplication { identifier })
        }
    };
    checkin::queue(w, task.device, &task.uuid, &command, Some(&task.adam_id), now)?;
    pair.command = Some(task.uuid.clone());
    pair.progress.due = None;
    pair.progress.looks = 0;
    pair.ours = true;
    pairs::put(w, &pair, now)?;
    Ok(true)
}

fn withdraw(w: &Write<'_>, mut pair: pairs::Pair, now: Timestamp) -> Result<(), OperationError> {
    let Some(uuid) = &pair.command else { return Ok(()) };
    if commands::withdraw(w, uuid, now)? {
        pair.progress.app = match pair.progress.app {
            // It may have been installed, or on its way: the device is asked.
            App::RemoveQueued => App::Working,
            _ => App::None,
        };
        pair.command = None;
        pairs::put(w, &pair, now)?;
    }
    Ok(())
}

/// Plans whenever something changed (changes are collected for a moment) and whenever something is due.
pub async fn run(context: Shared) {
    let mut failures = 0u32;
    let mut reconciler = Reconciler::default();
    loop {
        let next = match reconcile(&context, &mut reconciler).await {
            Ok(next) => {
                failures = 0;
                next
            }
            Err(error) => {
                failures += 1;
                log::error!("planning failed: {error}; it is tried again");
                Some(after(context.clock.now(), Duration::from_secs(1 << failures.min(6))))
            }
        };
        let due = async {
            match next {
                Some(at) => context.clock.sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = context.plan_now.notified() => {}
            () = due => {}
            () = context.clock.sleep(Duration::from_secs(3600)) => {}
        }
        context.clock.sleep(context.config().planner.settle).await;
    }
}

/// The verb of an action in a sentence.
pub(super) fn verb_words(verb: Verb) -> &'static str {
    match verb {
        Verb::Associate => "wanted by a deployment, and a licence is free",
        Verb::Disassociate => {
            "not on the device any more, and not wanted by any deployment; or its deadline has passed; or its holder has \
             another of the same app"
        }
    }
}
