//! One task per location talks to Apple for it, one thing after another: claims it, syncs it, sends what was intended, looks
//! what became of it. So no two syncs of one location run at once, no request overtakes a listing, and locations never
//! wait for each other. What the replies tell of the location itself is kept by `standing`.

pub(super) mod standing;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::notifications::{self, channel};
use super::tokens::removal;
use super::{Context, OperationError, Shared, alerts, clock_watch, licences, reclaim, sync, users};
use crate::apple::wire::MdmInfo;
use crate::apple::{self, ContentToken};
use crate::clock::after;
use crate::model::LocationId;
use crate::schedule;
use crate::store::locations::{self, Location, TokenState};
use crate::store::{StoreError, events, tasks, user_events};
use standing::{ask, see_owner};

/// Longest pause before a failed sync is repeated, and between looks at a token that has expired.
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);

/// The pause between two reads because of notifications, which come in swarms.
const HINT_PAUSE: Duration = Duration::from_secs(5);

/// The tasks of all locations, as the rest sees them.
#[derive(Default)]
pub struct Workers {
    inner: Mutex<Inner>,
    /// A location was added.
    added: Notify,
}

#[derive(Default)]
struct Inner {
    nudges: HashMap<LocationId, Arc<Notify>>,
    waiting: HashSet<LocationId>,
    running: HashMap<i64, CancellationToken>,
}

impl Workers {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// There is something to do for this location.
    pub fn nudge(&self, location: LocationId) {
        let nudge = self.lock().nudges.get(&location).cloned();
        match nudge {
            Some(nudge) => nudge.notify_one(),
            None => self.added.notify_one(),
        }
    }

    /// A task begins; the token tells when it is called off.
    fn task_begins(&self, task: i64) -> CancellationToken {
        self.lock().running.entry(task).or_default().clone()
    }

    fn task_ends(&self, task: i64) {
        self.lock().running.remove(&task);
    }

    /// A task was called off: if it runs, it ends at once.
    pub fn cancelled(&self, task: i64) {
        if let Some(token) = self.lock().running.get(&task) {
            token.cancel();
        }
    }

    /// Somebody waits for licences of these locations, and of no others.
    pub fn set_waiting(&self, locations: HashSet<LocationId>) {
        let new: Vec<Arc<Notify>> = {
            let mut inner = self.lock();
            let new = locations.difference(&inner.waiting).filter_map(|id| inner.nudges.get(id).cloned()).collect();
            inner.waiting = locations;
            new
        };
        new.iter().for_each(|nudge| nudge.notify_one());
    }

    /// There may be something to do for every location.
    pub fn nudge_all(&self) {
        self.lock().nudges.values().for_each(|nudge| nudge.notify_one());
    }

    fn is_waiting(&self, location: LocationId) -> bool {
        self.lock().waiting.contains(&location)
    }

    /// Takes the place of a location's task; `None` when it runs already.
    fn begin(&self, location: LocationId) -> Option<Arc<Notify>> {
        let mut inner = self.lock();
        if inner.nudges.contains_key(&location) {
            return None;
        }
        let nudge = Arc::new(Notify::new());
        inner.nudges.insert(location, nudge.clone());
        Some(nudge)
    }
}

/// Runs a task for every location, those added later too. Ends only when dropped.
pub async fn run(context: Shared) {
    let mut tasks = tokio::task::JoinSet::new();
    loop {
        match context.store.read(locations::all).await {
            Ok(all) => {
                for location in all {
                    if let Some(nudge) = context.workers.begin(location.id) {
                        tasks.spawn(work(context.clone(), location.id, location.name, nudge));
                    }
                }
            }
            Err(error) => {
                log::error!("the locations cannot be read: {error}; tried again in a moment");
                context.clock.sleep(Duration::from_secs(5)).await;
                continue;
            }
        }
        context.workers.added.notified().await;
    }
}

/// What one round works with.
pub(super) struct Round {
    pub location: Location,
    pub token: apple::Location,
    /// When a reply last named us as the owner, by the steady clock.
    pub owned_at: Option<Timestamp>,
}

/// What a location's task remembers between its rounds, by the steady clock. Losing it costs a call or two.
#[derive(Default)]
struct Memory {
    /// When a reply last named us as the owner.
    owned_at: Option<Timestamp>,
    /// When the assets were last counted.
    counted_at: Option<Timestamp>,
    /// Syncs that failed in a row.
    failed_syncs: u32,
    /// No sync by the clock before that.
    sync_after: Option<Timestamp>,
    /// When something was last read because of a notification.
    followed_at: Option<Timestamp>,
}

async fn work(context: Shared, id: LocationId, name: String, nudge: Arc<Notify>) {
    let mut failures = 0u32;
    let mut memory = Memory::default();
    loop {
        let next = match one_round(&context, id, &mut memory).await {
            Ok(next) => {
                failures = 0;
                next
            }
            Err(error) => {
                failures += 1;
                memory.owned_at = None;
                let pause = Duration::from_secs(1 << failures.min(9));
                // Loudly once; then it is known.
                let level = if failures == 1 { log::Level::Error } else { log::Level::Warn };
                log::log!(level, vppd_location = name.as_str(); "{error} Next try in {pause:?}.");
                Some(after(context.clock.now(), pause))
            }
        };
        tokio::select! {
            () = nudge.notified() => {}
            () = sleep_until(&context, next) => {}
        }
    }
}

async fn sleep_until(context: &Context, at: Option<Timestamp>) {
    match at {
        Some(at) => context.clock.sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// Everything that is due for a location, once. Returns when to come back.
async fn one_round(context: &Shared, id: LocationId, memory: &mut Memory) -> Result<Option<Timestamp>, OperationError> {
    clock_watch::look(context).await?;
    let Some(location) = context.store.read(move |c| locations::by_id(c, id)).await? else { return Ok(None) };
    let token = bearer(context, &location)?;
    let mut round = Round { location, token, owned_at: memory.owned_at };
    if let Some(task) = removal::waiting(context, id).await? {
        let (cancelled, task_id) = (context.workers.task_begins(task.id), task.id);
        let next = tokio::select! {
            next = removal::run(context, &mut round, task) => next,
            () = cancelled.cancelled() => Ok(Some(context.clock.now())),
        };
        context.workers.task_ends(task_id);
        return next;
    }
    if round.location.expires_at <= context.clock.now() {
        expire(context, &round.location).await?;
        return fail_waiting_syncs(context, &round).await;
    }
    if round.location.full_sync_first {
        return read_anew(context, &mut round).await;
    }
    if round.location.claim_wanted && round.location.owner.is_none() {
        claim_if_free(context, &mut round).await?;
    }
    let mut another = false;
    if let Some(task) = context.store.read(move |c| tasks::next_for(c, id)).await? {
        let (cancelled, task_id) = (context.workers.task_begins(task.id), task.id);
        // Dropped half-way, a sync has changed nothing. One that fails again and again must not keep licences from being
        // followed.
        let synced = tokio::select! {
            done = sync::run_task(context, &mut round, task) => Some(done),
            () = cancelled.cancelled() => None,
        };
        context.workers.task_ends(task_id);
        match synced {
            Some(synced) => memory.note_sync(&round.location, synced, context.clock.steady()),
            // Whoever called it off does not want it made up at once.
            None => memory.sync_after = Some(after(context.clock.steady(), LONGEST_PAUSE)),
        }
        context.plan_now.notify_one();
        // After a restart there may be two: one that was interrupted, and one that waited behind it.
        another = context.store.read(move |c| tasks::next_for(c, id)).await?.is_some_and(|next| next.id != task_id);
    }
    reclaim::carry_on(context, &round).await?;
    let mut next = licences::settle_and_send(context, &mut round).await?;
    let reclaimed = reclaim::next(context, &round).await?;
    let people = users::requests::settle_and_send(context, &mut round).await?;
    let hinted = follow_hints(context, &mut round, memory).await?;
    let told = channel::keep(context, &mut round).await?;
    next = [next, reclaimed, people, hinted, told].into_iter().flatten().min();
    memory.owned_at = round.owned_at;
    let now = context.clock.now();
    let hold = memory.sync_after.map(|steady| context.clock.expected_at(steady));
    let due = scheduled_sync(context, &round.location, hold, now).await?;
    next = Some(next.map_or(due, |known| known.min(due)));
    if another {
        next = Some(now);
    }
    if context.workers.is_waiting(id) {
        let (steady, every) = (context.clock.steady(), context.config().sync.waiting_interval);
        let mut counted = *memory.counted_at.get_or_insert(steady);
        if after(counted, every) <= steady {
            sync::count_for_waiting(context, &mut round).await?;
            counted = steady;
            context.plan_now.notify_one();
        }
        memory.counted_at = Some(counted);
        let due = context.clock.expected_at(after(counted, every));
        next = Some(next.map_or(due, |known| known.min(due)));
    }
    Ok(next)
}

/// Reads what notifications have hinted at, but not again and again in a moment. Returns when to come back.
async fn follow_hints(
    context: &Shared,
    round: &mut Round,
    memory: &mut Memory,
) -> Result<Option<Timestamp>, OperationError> {
    let steady = context.clock.steady();
    if let Some(next) = memory.followed_at.map(|at| after(at, HINT_PAUSE)).filter(|next| *next > steady) {
        return Ok(Some(context.clock.expected_at(next)));
    }
    if notifications::follow(context, round).await? {
        memory.followed_at = Some(steady);
    }
    Ok(None)
}

/// After a restored backup: reads everything anew before anything is written to Apple. What was under way is settled, and
/// the next plan made, by what was read.
async fn read_anew(context: &Shared, round: &mut Round) -> Result<Option<Timestamp>, OperationError> {
    let (id, name, now) = (round.location.id, round.location.name.clone(), context.clock.now());
    let task = context.store.write(move |w| tasks::waiting(w, sync::KIND, id, &name, now)).await?;
    sync::run_task(context, round, task).await?;
    if round.location.full_sync_first {
        return Err(OperationError::new(
            super::Kind::Unavailable,
            "apple-unstable",
            format!("Apple's data of \"{}\" changed while it was read after the restored backup.", round.location.name),
            "It is read again.",
        ));
    }
    log::info!(vppd_location = round.location.name.as_str(); "location \"{}\" was read anew after the restored backup and is written to again", round.location.name);
    context.plan_now.notify_one();
    Ok(Some(now))
}

impl Memory {
    /// Notes how a sync went: after a failed one the next by the clock comes after one minute, two, four, at most an hour.
    fn note_sync(&mut self, location: &Location, synced: Result<(), OperationError>, now: Timestamp) {
        self.counted_at = Some(now);
        let Err(error) = synced else {
            (self.failed_syncs, self.sync_after) = (0, None);
            return;
        };
        let pause = Duration::from_secs(60 << self.failed_syncs.min(6)).min(LONGEST_PAUSE);
        self.failed_syncs = self.failed_syncs.saturating_add(1);
        self.sync_after = Some(after(now, pause));
        self.owned_at = None;
        log::warn!(vppd_location = location.name.as_str(); "{error} The sync is tried again in {pause:?}.");
    }
}

/// Puts a sync in line when it is due, at once for a location that was never synced; returns when to look again.
async fn scheduled_sync(
    context: &Shared,
    location: &Location,
    not_before: Option<Timestamp>,
    now: Timestamp,
) -> Result<Timestamp, OperationError> {
    let Location { last_synced, last_full_sync, uid, .. } = location;
    let due = schedule::next_sync(*last_synced, *last_full_sync, uid, &pace(context, location));
    let due = due.max(not_before).unwrap_or(now);
    if due > now {
        return Ok(due);
    }
    let (id, name) = (location.id, location.name.clone());
    context.store.write(move |w| tasks::waiting(w, sync::KIND, id, &name, now)).await?;
    Ok(now)
}

/// How often a location is synced.
pub(super) fn pace(context: &Context, location: &Location) -> schedule::Pace {
    schedule::Pace::of(&context.config().sync, location.pace.interval, location.pace.full_interval)
}

/// The location with its token, as the client takes it.
pub(super) fn bearer(context: &Context, location: &Location) -> Result<apple::Location, OperationError> {
    let token: ContentToken = context.content_token(location)?;
    Ok(apple::Location::new(location.uid.as_str(), Arc::new(token)))
}

/// How we name ourselves at Apple.
pub(super) fn mdm_info(context: &Context) -> MdmInfo {
    MdmInfo {
        id: context.mdm_id.clone(),
        name: context.config().apple.mdm_name.chars().filter(char::is_ascii).take(100).collect(),
        metadata: format!("vppd/{}", env!("CARGO_PKG_VERSION")),
    }
}

/// Claims the location if nobody holds it: the administrator wanted that, and a crash or an outage came between.
async fn claim_if_free(context: &Shared, round: &mut Round) -> Result<(), OperationError> {
    let reply = ask(context, round, context.apple.client_config(&round.token).await).await?;
    if reply.mdm_info.is_some() {
        return see_owner(context, round, reply.mdm_info.as_ref()).await;
    }
    let reply = context.apple.claim(&round.token, &mdm_info(context)).await;
    let reply = ask(context, round, reply).await?;
    see_owner(context, round, reply.mdm_info.as_ref()).await
}

async fn expire(context: &Shared, location: &Location) -> Result<(), OperationError> {
    if location.token_state != TokenState::Expired {
        let id = location.id;
        context.store.write(move |w| locations::set_token_state(w, id, TokenState::Expired)).await?;
        alerts::watch_expiry(context).await?;
        context.plan_now.notify_one();
    }
    Ok(())
}

async fn fail_waiting_syncs(context: &Shared, round: &Round) -> Result<Option<Timestamp>, OperationError> {
    let (id, now) = (round.location.id, context.clock.now());
    let error = OperationError::new(
        super::Kind::Unavailable,
        "token-expired",
        format!("the content token of \"{}\" has expired", round.location.name),
        format!("Download a new one in Apple's portal, then: vppd token renew \"{}\" FILE", round.location.name),
    );
    let error = serde_json::to_string(&error.view()).unwrap_or_default();
    context
        .store
        .write(move |w| -> Result<(), StoreError> {
            while let Some(task) = tasks::next_for(w, id)? {
                tasks::finish(w, task.id, now, Err(&error))?;
            }
            Ok(())
        })
        .await?;
    // A new token brings a nudge; this is for a clock that was wrong.
    Ok(Some(after(now, LONGEST_PAUSE)))
}

/// After a start: what was being sent when vppd ended may have reached Apple or not.
pub async fn after_restart(context: &Shared) -> Result<(), OperationError> {
    let first = context.config().apple.event_poll.first().copied().unwrap_or(Duration::from_secs(10));
    let look_at = after(context.clock.now(), first);
    let unsure = context
        .store
        .write(move |w| -> Result<usize, StoreError> {
            Ok(events::after_restart(w, look_at)? + user_events::after_restart(w, look_at)?)
        })
        .await?;
    if unsure > 0 {
        log::warn!(
            "{unsure} requests to Apple were under way when vppd ended; Apple's listing will tell which arrived"
        );
    }
    Ok(())
}
