//! Syncs: what Apple says of a location, its assets, its assignments and its users, applied as a whole or not at all.
//!
//! A full sync lists everything. Between full ones the assets are read, and of the assignments those that were added;
//! removals do not show there, but in the counts: where Apple's count of an asset and ours differ, that asset is listed.

mod listing;
mod outcome;
mod progress;

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::licences::{must_read_all, version_of};
use super::locations::standing::{ask, see_owner, set_token_state};
use super::locations::{Round, pace};
use super::users::listing as people;
use super::view::{SyncRequest, TaskView};
use super::{OperationError, Shared, alerts, look, safety, subscriptions};
use crate::apple::walk::{self, Seen};
use crate::apple::wire::{self, ClientConfig};
use crate::apple::{self, AppleError, Reply};
use crate::model::LocationId;
use crate::schedule;
use crate::store::assets::Differing;
use crate::store::assignments::{Assignment, Holder};
use crate::store::locations::TokenState;
use crate::store::{StoreError, Write, assets, assignments, history, locations, recent, tasks};
use listing::{Listing, compared, forget_others, list_singly, shown_until, singly, stage_all};
use outcome::Outcome;
use progress::Progress;

/// The kind of these tasks.
pub const KIND: &str = "sync";

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
            let task = |location: &locations::Location| by_hand(w, location.id, &location.name, now);
            let made = chosen.iter().map(task).collect::<Result<_, _>>()?;
            w.after_commit(move || chosen.iter().for_each(|location| workers.nudge(location.id)));
            Ok(made)
        })
        .await?;
    made.iter().map(look::task_view).collect()
}

/// Puts a sync in line that a person asks for: a full one, though one by the clock may wait already.
pub(super) fn by_hand(
    w: &Write<'_>,
    location: LocationId,
    name: &str,
    now: Timestamp,
) -> Result<tasks::Task, StoreError> {
    let task = tasks::waiting(w, KIND, location, name, now)?;
    tasks::make_whole(w, task.id)?;
    Ok(task)
}

/// Runs a task: all of it, or none, with what came out or why not.
pub(super) async fn run_task(context: &Shared, round: &mut Round, task: tasks::Task) -> Result<(), OperationError> {
    let (id, now) = (task.id, context.clock.now());
    context.store.write(move |w| tasks::start(w, id, now)).await?;
    let full = task.whole || round.location.full_sync_first || {
        schedule::full_sync_due(round.location.last_full_sync, &pace(context, &round.location), now)
    };
    let progress = Progress::of(context, Some(id));
    let outcome = match full {
        true => whole(context, round, &progress).await,
        false => changes(context, round, &progress).await,
    };
    if outcome.is_ok() && round.location.token_state == TokenState::ReadOnly {
        // The account may have got the right meanwhile: the next change tells.
        set_token_state(context, round, TokenState::Valid, None).await?;
    }
    if outcome.is_ok() {
        subscriptions::read(context, round).await;
        context.metadata_now.notify_one();
    }
    let now = context.clock.now();
    let (ended, result) = match outcome {
        Ok(outcome) => {
            let words = outcome.words();
            let name = round.location.name.as_str();
            log::info!(vppd_location = name, vppd_task = id; "location \"{name}\" is synced: {words}");
            (Ok((words, serde_json::to_string(&outcome.view()).unwrap_or_default())), Ok(()))
        }
        Err(error) => (Err(serde_json::to_string(&error.view()).unwrap_or_default()), Err(error)),
    };
    context
        .store
        .write(move |w| match &ended {
            Ok((words, outcome)) => {
                tasks::set_outcome(w, id, outcome)?;
                tasks::finish(w, id, now, Ok(words))
            }
            Err(error) => tasks::finish(w, id, now, Err(error)),
        })
        .await?;
    result
}

/// Reads what has changed, whatever it is, and whoever asked.
pub(super) async fn catch_up(context: &Shared, round: &mut Round) -> Result<(), OperationError> {
    changes(context, round, &Progress::of(context, None)).await.map(|_| ())
}

/// Reads the assets and what was added; lists the assets whose counts show that there is more to know.
async fn changes(context: &Shared, round: &mut Round, progress: &Progress) -> Result<Outcome, OperationError> {
    let mut outcome = Outcome::default();
    read_location(context, round, &mut outcome).await?;
    count_assets(context, round, progress, &mut outcome).await?;
    let Some(added) = read_changes(context, round).await? else {
        return full_applied(context, round, progress, outcome).await;
    };
    outcome.added = added;
    let id = round.location.id;
    let (differing, assigned) = context
        .store
        .read(move |c| -> Result<_, StoreError> { Ok((assets::differing(c, id)?, assets::assigned(c, id)?)) })
        .await?;
    let differing: Vec<_> = differing.into_iter().map(|differing| differing.asset).collect();
    if !differing.is_empty() {
        if !singly(&differing, assigned) {
            return full_applied(context, round, progress, outcome).await;
        }
        list_singly(context, round, differing, progress, &mut outcome).await?;
    }
    outcome.users = people::catch_up(context, round).await?;
    let now = context.clock.now();
    context
        .store
        .write(move |w| -> Result<(), StoreError> {
            assets::recount_elsewhere(w, id)?;
            locations::synced(w, id, false, now)
        })
        .await?;
    round.location.last_synced = Some(now);
    Ok(outcome)
}

/// Lists everything and applies it. True when the listing was stable, so that what it does not show is gone.
pub(super) async fn full(context: &Shared, round: &mut Round) -> Result<bool, OperationError> {
    Ok(!full_applied(context, round, &Progress::of(context, None), Outcome::default()).await?.unstable)
}

async fn whole(context: &Shared, round: &mut Round, progress: &Progress) -> Result<Outcome, OperationError> {
    let (mut outcome, token, id) = (Outcome::default(), round.token.clone(), round.location.id);
    let asked = context.apple.client_config(&token);
    let (config, listing) = futures_util::future::join(asked, list_all(context, id, &token, progress)).await;
    take_location(context, round, config, &mut outcome).await?;
    apply(context, round, listing, outcome).await
}

/// Goes on with what a sync has found so far.
async fn full_applied(
    context: &Shared,
    round: &mut Round,
    progress: &Progress,
    outcome: Outcome,
) -> Result<Outcome, OperationError> {
    let listing = list_all(context, round.location.id, &round.token.clone(), progress).await;
    apply(context, round, listing, outcome).await
}

/// What Apple lists of a location: its assets, its users, and, staged already, who holds what.
struct Everything {
    assets: Result<walk::Assets, AppleError>,
    users: Result<walk::Users, AppleError>,
    rows: Result<Listing, OperationError>,
}

/// Reads everything side by side: together the listings keep to the pages that a location may have under way.
async fn list_all(context: &Shared, id: LocationId, token: &apple::Location, progress: &Progress) -> Everything {
    let (of_assets, of_users) = (progress.part("assets"), progress.part("users"));
    let (assets, users, rows) = futures_util::future::join3(
        walk::assets(&context.apple, token, &of_assets),
        walk::users(&context.apple, token, &of_users),
        stage_all(context, id, token, progress),
    )
    .await;
    Everything { assets, users, rows }
}

/// Puts what was listed in place of what was known: all of it or nothing.
async fn apply(
    context: &Shared,
    round: &mut Round,
    listing: Everything,
    mut outcome: Outcome,
) -> Result<Outcome, OperationError> {
    let listed = ask(context, round, listing.assets).await?;
    see(context, round, &listed.seen).await?;
    let listed_people = ask(context, round, listing.users).await?;
    see(context, round, &listed_people.seen).await?;
    let staged = compared(context, round, listing.rows?).await?;
    let (id, now) = (round.location.id, context.clock.now());
    let (net, location) = (safety::set_net(context), round.location.clone());
    let (whole, stable) = (listed.stable, listed.stable && staged.stable && listed_people.stable);
    let kept: Vec<assets::Asset> = listed.assets.values().map(asset).collect();
    outcome.full = true;
    outcome.listed_assets = kept.len() as u64;
    outcome.added += staged.changed.added;
    outcome.removed += staged.changed.removed;
    outcome.unstable = !stable;
    let (replaced, changed, doubts) = context
        .store
        .write(move |w| -> Result<_, StoreError> {
            let before = assignments::count_all(w, id)?;
            assignments::show(w, id, staged.generation)?;
            let after = assignments::count_all(w, id)?;
            let doubts = match stable {
                // What is gone is told by a stable listing only; what vppd itself takes back is no surprise.
                true => {
                    let gone = staged.changed.taken_back.len() as u64;
                    let listed = safety::Listed { before: before.min(after + gone), after };
                    safety::weigh(w, net, &location, listed, now)?
                }
                false => None,
            };
            history::taken_back(w, id, &staged.changed.taken_back, now)?;
            let replaced = assets::replace(w, id, &kept, whole, now)?;
            assets::recount_elsewhere(w, id)?;
            let changed = people::apply(w, id, &listed_people, now)?;
            match staged.outdated {
                true => locations::forget_version(w, id)?,
                false => locations::set_version(w, id, &staged.version)?,
            }
            locations::synced(w, id, true, now)?;
            if stable {
                locations::read_anew(w, id)?;
            }
            Ok((replaced, changed, doubts))
        })
        .await?;
    doubts.iter().for_each(alerts::announce);
    (round.location.last_synced, round.location.last_full_sync) = (Some(now), Some(now));
    outcome.assets += replaced;
    outcome.users = changed;
    round.location.full_sync_first &= !stable;
    forget_others(context, id).await?;
    Ok(outcome)
}

/// What Apple says of the location itself: its name, its country.
async fn read_location(context: &Shared, round: &mut Round, outcome: &mut Outcome) -> Result<(), OperationError> {
    let reply = context.apple.client_config(&round.token).await;
    take_location(context, round, reply, outcome).await
}

async fn take_location(
    context: &Shared,
    round: &mut Round,
    reply: Result<Reply<ClientConfig>, AppleError>,
    outcome: &mut Outcome,
) -> Result<(), OperationError> {
    let reply = ask(context, round, reply).await?;
    see_owner(context, round, reply.mdm_info.as_ref()).await?;
    let config = reply.body;
    let known = &mut round.location;
    let mut changed = false;
    let mut take = |place: &mut String, told: Option<String>, words: Option<&str>| {
        let Some(told) = told.filter(|told| told != place) else { return };
        outcome.location.extend(words.map(|words| format!("{words} \"{told}\" now")));
        *place = told;
        changed = true;
    };
    take(&mut known.location_name, config.location_name, Some("Apple calls the location"));
    take(&mut known.country, config.country, Some("the location's country is"));
    take(&mut known.platform, config.default_platform, None);
    take(&mut known.website, config.website_url, None);
    if changed {
        let new = known.clone();
        context
            .store
            .write(move |w| {
                locations::describe(w, new.id, &new.location_name, &new.country, &new.platform, &new.website)
            })
            .await?;
    }
    Ok(())
}

/// Reads the assets alone: the counts.
async fn count_assets(
    context: &Shared,
    round: &mut Round,
    progress: &Progress,
    outcome: &mut Outcome,
) -> Result<(), OperationError> {
    let token = round.token.clone();
    let listed = walk::assets(&context.apple, &token, &progress.part("assets")).await;
    let listed = ask(context, round, listed).await?;
    see(context, round, &listed.seen).await?;
    let kept: Vec<assets::Asset> = listed.assets.values().map(asset).collect();
    let (id, now, whole) = (round.location.id, context.clock.now(), listed.stable);
    outcome.listed_assets = kept.len() as u64;
    outcome.unstable |= !whole;
    outcome.assets = context
        .store
        .write(move |w| -> Result<assets::Replaced, StoreError> {
            let replaced = assets::replace(w, id, &kept, whole, now)?;
            assets::recount_elsewhere(w, id)?;
            Ok(replaced)
        })
        .await?;
    Ok(())
}

/// Reads the counts for somebody who waits. Where Apple counts fewer assignments than are known, other hands have freed some,
/// and a listing tells which.
pub(super) async fn count_for_waiting(context: &Shared, round: &mut Round) -> Result<(), OperationError> {
    let (id, progress, mut outcome) = (round.location.id, Progress::of(context, None), Outcome::default());
    count_assets(context, round, &progress, &mut outcome).await?;
    // Only after a change: Apple's counts may lag behind, and a listing is long.
    if outcome.assets.changed == 0 {
        return Ok(());
    }
    let differing = context.store.read(move |c| assets::differing(c, id)).await?;
    list_freed(context, round, differing, &progress, outcome).await
}

/// Reads the counts of one product, as [`count_for_waiting`] reads all.
pub(super) async fn count_product(context: &Shared, round: &mut Round, adam_id: &str) -> Result<(), OperationError> {
    let (mut kept, mut next) = (Vec::new(), Some(0));
    while let Some(index) = next {
        let reply = context.apple.assets_of_product(&round.token, adam_id, index).await;
        let reply = ask(context, round, reply).await?;
        see_owner(context, round, reply.mdm_info.as_ref()).await?;
        // An Apple that knows no such filter lists everything.
        kept.extend(reply.body.records.iter().filter(|record| record.adam_id.0 == adam_id).map(asset));
        next = reply.body.next.filter(|next| *next > index);
    }
    if kept.is_empty() {
        // Gone, or hidden: only a listing of all can tell.
        return count_for_waiting(context, round).await;
    }
    let (id, now) = (round.location.id, context.clock.now());
    let differing = context
        .store
        .write(move |w| -> Result<_, StoreError> {
            assets::replace(w, id, &kept, false, now)?;
            assets::recount_elsewhere(w, id)?;
            assets::differing(w, id)
        })
        .await?;
    list_freed(context, round, differing, &Progress::of(context, None), Outcome::default()).await
}

/// Lists the assets of which Apple counts fewer assignments than are known.
async fn list_freed(
    context: &Shared,
    round: &mut Round,
    differing: Vec<Differing>,
    progress: &Progress,
    mut outcome: Outcome,
) -> Result<(), OperationError> {
    let freed = |differing: &Differing| differing.asset.assigned < differing.held && !differing.under_way;
    let freed: Vec<_> = differing.into_iter().filter(freed).map(|differing| differing.asset).collect();
    if freed.is_empty() {
        return Ok(());
    }
    let id = round.location.id;
    let assigned = context.store.read(move |c| assets::assigned(c, id)).await?;
    if !singly(&freed, assigned) {
        full_applied(context, round, progress, outcome).await?;
        return Ok(());
    }
    list_singly(context, round, freed, progress, &mut outcome).await?;
    Ok(context.store.write(move |w| assets::recount_elsewhere(w, id)).await?)
}

/// Reads who holds what of these assets, (adamId, pricingParam): each alone where that costs less than everything. True when
/// all held still, so that what is not shown is gone.
pub(super) async fn assets_alone(
    context: &Shared,
    round: &mut Round,
    wanted: BTreeSet<(String, String)>,
) -> Result<bool, OperationError> {
    let (id, progress, mut outcome) = (round.location.id, Progress::of(context, None), Outcome::default());
    count_assets(context, round, &progress, &mut outcome).await?;
    let (wanted, assigned) = context
        .store
        .read(move |c| -> Result<_, StoreError> { Ok((assets::named(c, id, wanted)?, assets::assigned(c, id)?)) })
        .await?;
    if !singly(&wanted, assigned) {
        return Ok(!full_applied(context, round, &progress, outcome).await?.unstable);
    }
    list_singly(context, round, wanted, &progress, &mut outcome).await?;
    context.store.write(move |w| assets::recount_elsewhere(w, id)).await?;
    Ok(!outcome.unstable)
}

/// Reads the assignments that changed since the last read and adds them; tells how many were new. `None` when everything has
/// to be listed instead.
pub(super) async fn read_changes(context: &Shared, round: &mut Round) -> Result<Option<u64>, OperationError> {
    let Some(version) = version_of(context, round).await? else { return Ok(None) };
    let (token, shown_until) = (round.token.clone(), shown_until(context));
    let delta = match walk::assignments_since(&context.apple, &token, &version).await {
        Err(error) if must_read_all(&error) => return Ok(None),
        other => ask(context, round, other).await?,
    };
    see(context, round, &delta.seen).await?;
    let mut rows: Vec<Assignment> = delta.changed.values().filter_map(assignment).collect();
    let (id, version) = (round.location.id, delta.version_id);
    let added = context
        .store
        .write(move |w| -> Result<u64, StoreError> {
            locations::set_version(w, id, &version)?;
            let returned = recent::returned(w, id, shown_until)?;
            rows.retain(|row| !returned.contains(row));
            assignments::add(w, id, &rows)
        })
        .await?;
    Ok(Some(added))
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
        Holder::Serial(serial) => Holder::Serial(serial.trim().to_ascii_uppercase()),
        user => user,
    };
    let asset = assignment.asset();
    Some(Assignment { adam_id: asset.adam_id.0, pricing_param: asset.pricing_param.word().to_owned(), holder })
}
