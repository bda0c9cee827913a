//! Syncs: what Apple says of a location's assets, assignments and users, applied as a whole or not at all. A full sync lists
//! everything; reading changes shows only additions, and is used between full ones.

use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;

use super::licences::{must_read_all, version_of};
use super::locations::Round;
use super::locations::standing::{ask, see_owner, set_token_state};
use super::users::listing;
use super::view::{SyncRequest, TaskView};
use super::{OperationError, Shared, look};
use crate::apple::walk::{self, Seen};
use crate::apple::wire;
use crate::schedule;
use crate::store::assignments::{Assignment, Changed, Holder};
use crate::store::locations::TokenState;
use crate::store::{StoreError, assets, assignments, locations, tasks, users};

/// The kind of these tasks.
pub const KIND: &str = "sync";

/// Rows written in one transaction, so that devices are not kept waiting.
const CHUNK: usize = 2_000;

/// Puts a full sync in line for one location or all, and returns the tasks.
pub async fn request(context: &Shared, request: SyncRequest, _who: &str) -> Result<Vec<TaskView>, OperationError> {
    let (now, workers) = (context.clock.now(), context.workers.clone());
    let made = context
        .store
        .write(move |w| -> Result<Vec<tasks::Task>, OperationError> {
            let chosen = match &request.location {
                None => locations::all(w)?,
                Some(name) => match locations::by_name_or_uid(w, name)? {
                    Some(location) => vec![location],
                    None => return Err(look::no_such_location(name)),
                },
            };
            if chosen.is_empty() {
                return Err(OperationError::not_found(
                    "there is no location to sync",
                    "Add a content token first: vppd token add FILE --name NAME",
                ));
            }
            let task = |location: &locations::Location| tasks::waiting(w, KIND, location.id, &location.name, now);
            let made = chosen.iter().map(task).collect::<Result<_, _>>()?;
            w.after_commit(move || chosen.iter().for_each(|location| workers.nudge(location.id)));
            Ok(made)
        })
        .await?;
    made.iter().map(look::task_view).collect()
}

/// Runs a task: all of it, or none, with what came out or why not.
pub(super) async fn run_task(context: &Shared, round: &mut Round, task: tasks::Task) -> Result<(), OperationError> {
    let (id, now) = (task.id, context.clock.now());
    context.store.write(move |w| tasks::start(w, id, now)).await?;
    let full_due = schedule::full_sync_due(
        round.location.last_full_sync,
        round.location.last_synced,
        &context.config().sync,
        task.created_at,
    );
    let outcome = match full_due || round.location.full_sync_first {
        true => full_with_words(context, round, id).await,
        false => changes_with_words(context, round).await,
    };
    if outcome.is_ok() && round.location.token_state == TokenState::ReadOnly {
        // The account may have got the right meanwhile: the next change tells.
        set_token_state(context, round, TokenState::Valid, None).await?;
    }
    let now = context.clock.now();
    let (words, result) = match outcome {
        Ok(words) => (Ok(words), Ok(())),
        Err(error) => (Err(serde_json::to_string(&error.view()).unwrap_or_default()), Err(error)),
    };
    context.store.write(move |w| tasks::finish(w, id, now, words.as_deref().map_err(|error| error.as_str()))).await?;
    result
}

async fn full_with_words(context: &Shared, round: &mut Round, task: i64) -> Result<String, OperationError> {
    let progress = Progress::new(context, task);
    Ok(full_applied(context, round, Some(&progress)).await?.words())
}

async fn changes_with_words(context: &Shared, round: &mut Round) -> Result<String, OperationError> {
    let replaced = count_assets(context, round).await?;
    if !read_changes(context, round).await? || differs(context, round).await? {
        return full_applied(context, round, None).await.map(|applied| applied.words());
    }
    listing::catch_up(context, round).await?;
    Ok(format!(
        "assets: {} new, {} changed, {} gone; assignments: additions read",
        replaced.added, replaced.changed, replaced.gone
    ))
}

async fn differs(context: &Shared, round: &Round) -> Result<bool, OperationError> {
    let id = round.location.id;
    Ok(context.store.read(move |c| assets::differs(c, id)).await?)
}

/// What a full sync changed.
struct Applied {
    assets: assets::Replaced,
    listed: usize,
    assignments: Changed,
    users: users::Changed,
    stable: bool,
}

impl Applied {
    fn words(&self) -> String {
        let Applied { assets, listed, assignments, users, stable } = self;
        let unsure =
            if *stable { "" } else { "; Apple's data changed meanwhile, so removals wait for the next listing" };
        format!(
            "{listed} assets ({} new, {} changed, {} gone); assignments: {} new, {} gone; users: {} new, {} gone{unsure}",
            assets.added, assets.changed, assets.gone, assignments.added, assignments.removed, users.added, users.gone
        )
    }
}

/// Lists everything and applies it. True when the listing was stable, so that what it does not show is gone.
pub(super) async fn full(context: &Shared, round: &mut Round) -> Result<bool, OperationError> {
    Ok(full_applied(context, round, None).await?.stable)
}

async fn full_applied(
    context: &Shared,
    round: &mut Round,
    progress: Option<&Progress>,
) -> Result<Applied, OperationError> {
    let token = round.token.clone();
    let tell = |part: &'static str| {
        move |done: u32, total: u32| {
            if let Some(progress) = progress {
                progress.tell(part, done, total);
            }
        }
    };
    let listed = walk::assets(&context.apple, &token, &tell("assets")).await;
    let listed = ask(context, round, listed).await?;
    see(context, round, &listed.seen).await?;
    let held = walk::assignments(&context.apple, &token, &tell("assignments")).await;
    let held = ask(context, round, held).await?;
    see(context, round, &held.seen).await?;
    let people = walk::users(&context.apple, &token, &tell("users")).await;
    let people = ask(context, round, people).await?;
    see(context, round, &people.seen).await?;
    let rows: Vec<Assignment> = held.assignments.values().filter_map(assignment).collect();
    let generation = stage(context, round, rows, held.stable).await?;
    let (id, now, version) = (round.location.id, context.clock.now(), held.version_id);
    let (whole, stable) = (listed.stable, held.stable && people.stable);
    let kept: Vec<assets::Asset> = listed.assets.values().map(asset).collect();
    let count = kept.len();
    let (assets, assignments, users) = context
        .store
        .write(move |w| -> Result<_, StoreError> {
            let assignments = match generation {
                Staged::Whole(generation) => assignments::show(w, id, generation)?,
                Staged::Additions(added) => Changed { added, removed: 0 },
            };
            let replaced = assets::replace(w, id, &kept, whole, now)?;
            assets::recount_elsewhere(w, id)?;
            let users = listing::apply(w, id, &people, now)?;
            locations::synced(w, id, Some(&version), true, now)?;
            if whole && stable {
                locations::read_anew(w, id)?;
            }
            Ok((replaced, assignments, users))
        })
        .await?;
    while context.store.write_bulk(move |w| assignments::forget_old(w, id, CHUNK as u32)).await? {}
    (round.location.last_synced, round.location.last_full_sync) = (Some(now), Some(now));
    round.location.full_sync_first &= !(whole && stable);
    log::info!(vppd_location = round.location.name.as_str(); "location \"{}\" is synced", round.location.name);
    Ok(Applied { assets, listed: count, assignments, users, stable })
}

enum Staged {
    /// A new generation, to be shown as a whole.
    Whole(i64),
    /// So many rows were added to what is known: removals cannot be told from an unstable listing.
    Additions(u64),
}

async fn stage(context: &Shared, round: &Round, rows: Vec<Assignment>, stable: bool) -> Result<Staged, OperationError> {
    let id = round.location.id;
    let generation = match stable {
        true => Some(context.store.write(move |w| assignments::begin_generation(w, id)).await?),
        false => None,
    };
    let mut added = 0;
    for chunk in rows.chunks(CHUNK) {
        let chunk = chunk.to_vec();
        added += context
            .store
            .write_bulk(move |w| match generation {
                Some(generation) => assignments::stage(w, id, generation, &chunk),
                None => assignments::add(w, id, &chunk),
            })
            .await?;
    }
    Ok(generation.map_or(Staged::Additions(added), Staged::Whole))
}

/// Reads the assets alone: the counts.
pub(super) async fn count_assets(context: &Shared, round: &mut Round) -> Result<assets::Replaced, OperationError> {
    let token = round.token.clone();
    let listed = walk::assets(&context.apple, &token, &|_, _| ()).await;
    let listed = ask(context, round, listed).await?;
    see(context, round, &listed.seen).await?;
    let kept: Vec<assets::Asset> = listed.assets.values().map(asset).collect();
    let (id, now, whole) = (round.location.id, context.clock.now(), listed.stable);
    let replaced = context
        .store
        .write(move |w| -> Result<assets::Replaced, StoreError> {
            let replaced = assets::replace(w, id, &kept, whole, now)?;
            assets::recount_elsewhere(w, id)?;
            Ok(replaced)
        })
        .await?;
    Ok(replaced)
}

/// Reads the counts for somebody who waits. When Apple counts fewer assignments than are known, other hands have freed some,
/// and only a whole listing tells which.
pub(super) async fn count_for_waiting(context: &Shared, round: &mut Round) -> Result<(), OperationError> {
    let id = round.location.id;
    // Only after a change: Apple's counts may lag behind, and a listing is long.
    if count_assets(context, round).await?.changed > 0
        && context.store.read(move |c| assets::freed_elsewhere(c, id)).await?
    {
        full(context, round).await?;
    }
    Ok(())
}

/// Reads the assignments that changed since the last read and adds them. False when everything has to be listed instead.
pub(super) async fn read_changes(context: &Shared, round: &mut Round) -> Result<bool, OperationError> {
    let Some(version) = version_of(context, round).await? else { return Ok(false) };
    let token = round.token.clone();
    let delta = match walk::assignments_since(&context.apple, &token, &version).await {
        Err(error) if must_read_all(&error) => return Ok(false),
        other => ask(context, round, other).await?,
    };
    see(context, round, &delta.seen).await?;
    let rows: Vec<Assignment> = delta.changed.values().filter_map(assignment).collect();
    let (id, now, version) = (round.location.id, context.clock.now(), delta.version_id);
    context
        .store
        .write(move |w| -> Result<(), StoreError> {
            assignments::add(w, id, &rows)?;
            locations::synced(w, id, Some(&version), false, now)
        })
        .await?;
    round.location.last_synced = Some(now);
    Ok(true)
}

pub(super) async fn see(context: &Shared, round: &mut Round, seen: &Seen) -> Result<(), OperationError> {
    // The last word counts: if somebody took over while the listing ran, it is the later name.
    if let Some(owner) = seen.owners.last() {
        see_owner(context, round, owner.as_ref()).await?;
    }
    Ok(())
}

fn asset(asset: &wire::Asset) -> assets::Asset {
    assets::Asset {
        adam_id: asset.adam_id.0.clone(),
        pricing_param: asset.pricing_param.word().to_owned(),
        product_type: asset.product_type.word().to_owned(),
        device_assignable: asset.device_assignable,
        revocable: asset.revocable,
        unlimited: asset.is_unlimited(),
        platforms: asset.supported_platforms.clone(),
        total: asset.total_count.max(0),
        assigned: asset.assigned_count.max(0),
        available: asset.available_count.max(0),
        retired: asset.retired_count.max(0),
    }
}

fn assignment(assignment: &wire::Assignment) -> Option<Assignment> {
    let holder = match assignment.holder()? {
        wire::Holder::Serial(serial) => Holder::Serial(serial.trim().to_ascii_uppercase()),
        wire::Holder::User(user) => Holder::User(user),
    };
    let asset = assignment.asset();
    Some(Assignment { adam_id: asset.adam_id.0, pricing_param: asset.pricing_param.word().to_owned(), holder })
}

/// Tells the store how far a sync is, without making it wait.
struct Progress {
    context: Shared,
    task: i64,
    last: Arc<Mutex<Option<Timestamp>>>,
}

impl Progress {
    fn new(context: &Shared, task: i64) -> Progress {
        Progress { context: context.clone(), task, last: Arc::default() }
    }

    fn tell(&self, part: &'static str, done: u32, total: u32) {
        let now = self.context.clock.steady();
        {
            // Not for each of hundreds of pages: a person sees five changes a second at most.
            let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
            let soon = last.is_some_and(|last| now.duration_since(last) < jiff::SignedDuration::from_millis(200));
            if soon && done < total {
                return;
            }
            *last = Some(now);
        }
        let (context, task) = (self.context.clone(), self.task);
        tokio::spawn(async move {
            let detail = format!("{part}: page {done} of {total}");
            let kept = context.store.write_bulk(move |w| tasks::progress(w, task, done.into(), total.into(), &detail));
            if let Err(error) = kept.await {
                log::warn!(vppd_task = task; "the progress of task {task} cannot be kept: {error}");
            }
        });
    }
}
