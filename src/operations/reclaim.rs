//! Taking licences back because a person says so, whoever has given them: those that nobody asked vppd about (`vppd reclaim
//! --foreign`), and those decided by hand that no device of vppd's can be asked about. Each is noted with a task and asked back
//! by the location's own task; a refusal rests and is repeated a few times. The task ends with the last licence.
//!
//! Books and whatever else Apple never takes back are left alone.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::Connection;

use super::catalogue::{Catalogue, resolve};
use super::locations::Round;
use super::tokens::manage::find;
use super::tokens::removal::why_not_revoke;
use super::view::{ErrorView, ReclaimAppView, ReclaimRequest, ReclaimView};
use super::{Kind, OperationError, Shared};
use crate::clock::after;
use crate::licensing::{Limits, Rectangle, Verb, rectangles};
use crate::model::{Holder, HolderKind, Holders, LocationId};
use crate::store::assignments::{self, Assignment};
use crate::store::{StoreError, Write, appliance, assets, audit, events, locations, reclaims, tasks};

/// Before what was called off is asked for again.
const SOON: Duration = Duration::from_secs(5);

/// What these tasks are called.
pub const KIND: &str = "reclaim";

/// Notes licences as to be taken back, with a task for each location. Called in the transaction of the decision.
pub(super) fn begin(
    w: &Write<'_>,
    context: &Shared,
    licences: &BTreeMap<LocationId, Vec<Assignment>>,
    now: Timestamp,
) -> Result<Vec<i64>, StoreError> {
    let mut begun = Vec::new();
    for (&location, all) in licences {
        let detail = format!("taking {} licences back", all.len());
        let task = reclaims::begin(w, location, all.len() as u64, &detail, now)?;
        for licence in all {
            reclaims::add(w, location, licence, task)?;
        }
        begun.push(task);
        let workers = context.workers.clone();
        w.after_commit(move || workers.nudge(location));
    }
    Ok(begun)
}

// Carrying it out, in the location's own task.

/// Records requests for what is due.
pub(super) async fn carry_on(context: &Shared, round: &Round) -> Result<(), OperationError> {
    settle(context, round).await?;
    let due = due(context, round).await?;
    if due.is_empty() {
        return Ok(());
    }
    let limits = context.apple.service_config().await.limits;
    for (kind, most) in
        [(HolderKind::Serial, limits.max_serial_numbers), (HolderKind::User, limits.max_client_user_ids)]
    {
        let limits = Limits { max_assets: limits.max_assets as usize, max_serial_numbers: most as usize };
        for (assets, holders) in requests(&due, kind, limits) {
            intend(context, round.location.id, assets, holders).await?;
        }
    }
    Ok(())
}

/// What may be asked back now: nothing while the location may not be written to.
async fn due(context: &Shared, round: &Round) -> Result<Vec<Assignment>, OperationError> {
    let (id, now) = (round.location.id, context.clock.now());
    if round.location.leaving || why_not_revoke(context, &round.location).is_some() {
        return Ok(Vec::new());
    }
    let read = context.store.read(move |c| -> Result<Vec<Assignment>, StoreError> {
        if appliance::load(c)?.paused.is_some() { Ok(Vec::new()) } else { reclaims::due(c, id, now) }
    });
    Ok(read.await?)
}

/// After requests were settled: ends the tasks of which no licence is left. Returns when to come back for the others.
pub(super) async fn next(context: &Shared, round: &Round) -> Result<Option<Timestamp>, OperationError> {
    settle(context, round).await?;
    let (id, now) = (round.location.id, context.clock.now());
    if !due(context, round).await?.is_empty() {
        return Ok(Some(after(now, SOON)));
    }
    Ok(context.store.read(move |c| reclaims::next_due(c, id, now)).await?)
}

/// The licences of one kind of holder, as requests within Apple's limits.
fn requests(due: &[Assignment], kind: HolderKind, limits: Limits) -> Vec<(Vec<(String, String)>, Holders)> {
    let due: Vec<&Assignment> = due.iter().filter(|licence| licence.holder.kind() == kind).collect();
    let asset = |licence: &Assignment| (licence.adam_id.clone(), licence.pricing_param.clone());
    let assets: Vec<(String, String)> =
        due.iter().map(|licence| asset(licence)).collect::<BTreeSet<_>>().into_iter().collect();
    let holders: Vec<&Holder> =
        due.iter().map(|licence| &licence.holder).collect::<BTreeSet<_>>().into_iter().collect();
    let place_of: BTreeMap<&Holder, u32> = holders.iter().copied().zip(0u32..).collect();
    let asset_of: BTreeMap<&(String, String), u32> = assets.iter().zip(0u32..).collect();
    let pairs: Vec<(u32, u32)> =
        due.iter().map(|licence| (asset_of[&asset(licence)], place_of[&licence.holder])).collect();
    let named = |Rectangle { assets: wanted, devices }: Rectangle| {
        let ids = devices.iter().map(|&place| holders[place as usize].id().to_owned()).collect();
        (wanted.iter().map(|&place| assets[place as usize].clone()).collect(), Holders::of(kind, ids))
    };
    rectangles(&pairs, limits).into_iter().map(named).collect()
}

/// Records the intention, if nobody else has asked about any of the licences meanwhile.
async fn intend(
    context: &Shared,
    location: LocationId,
    assets: Vec<(String, String)>,
    holders: Holders,
) -> Result<(), OperationError> {
    let (event, now) = (context.entropy.uuid().to_string(), context.clock.now());
    let recorded = context.store.write(move |w| -> Result<(), StoreError> {
        for (adam_id, pricing_param) in &assets {
            for holder in holders.each() {
                if events::is_reserved(w, location, adam_id, pricing_param, &holder)? {
                    return Ok(());
                }
            }
        }
        events::intend(w, &event, location, Verb::Disassociate, &assets, &holders, now)
    });
    Ok(recorded.await?)
}

/// Tells how far the location's tasks are, and ends those of which no licence is left.
async fn settle(context: &Shared, round: &Round) -> Result<(), OperationError> {
    let (id, now) = (round.location.id, context.clock.now());
    if !context.store.read(move |c| reclaims::any(c, id)).await? {
        return Ok(());
    }
    let ended = context.store.write(move |w| -> Result<(), StoreError> {
        for standing in reclaims::settle(w, id)? {
            let Some(task) = tasks::by_id(w, standing.task)? else { continue };
            let done = task.total.saturating_sub(standing.open + standing.refused);
            let words = format!("{done} of {} licences were taken back", task.total);
            if standing.open > 0 {
                tasks::progress(
                    w,
                    task.id,
                    done,
                    task.total,
                    &format!("taking licences back: {} left", standing.open),
                )?;
                continue;
            }
            tasks::progress(w, task.id, done, task.total, &words)?;
            reclaims::forget(w, task.id)?;
            if standing.refused == 0 {
                tasks::finish(w, task.id, now, Ok(&words))?;
                continue;
            }
            let error = ErrorView {
                code: "apple-did-not".into(),
                message: format!("{words}; the others: {}", standing.reason),
                advice: "They stay where they are. `vppd reclaim` asks for them again.".into(),
            };
            let error = serde_json::to_string(&error).unwrap_or_default();
            tasks::finish(w, task.id, now, Err(&error))?;
        }
        Ok(())
    });
    Ok(ended.await?)
}

// Those of others.

/// Takes back what vppd has neither given nor adopted, or only tells what that is.
pub async fn foreign(context: &Shared, request: ReclaimRequest, who: &str) -> Result<ReclaimView, OperationError> {
    let only = match &request.token {
        Some(name) => Some(find(context, name).await?.id),
        None => None,
    };
    let (shared, app) = (context.clone(), request.app.clone());
    let found = context.store.read(move |c| strangers(c, &shared, app.as_deref(), only)).await?;
    let (mut view, licences) = found;
    view.dry_run = request.dry_run;
    if request.dry_run || view.licences == 0 {
        return Ok(view);
    }
    if let Some(expected) = request.expected.filter(|expected| *expected != view.licences) {
        return Err(OperationError::new(
            Kind::Conflict,
            "count-changed",
            format!("there are {} such licences now, not {expected}", view.licences),
            "Nothing was changed. Look again, and say it again.",
        ));
    }
    let (now, by, shared) = (context.clock.now(), who.to_owned(), context.clone());
    let lines: Vec<String> = view
        .apps
        .iter()
        .filter(|app| app.why_not.is_empty())
        .map(|app| format!("{} of {}: {} devices, {} users", app.adam_id, app.location, app.devices, app.users))
        .collect();
    view.tasks = context
        .store
        .write(move |w| -> Result<Vec<i64>, StoreError> {
            for line in &lines {
                audit::write(w, now, &by, "licences of others taken back", line)?;
            }
            begin(w, &shared, &licences, now)
        })
        .await?;
    Ok(view)
}

type ByLocation = BTreeMap<LocationId, Vec<Assignment>>;

fn strangers(
    c: &Connection,
    context: &Shared,
    app: Option<&str>,
    only: Option<LocationId>,
) -> Result<(ReclaimView, ByLocation), OperationError> {
    let app = app.map(|app| resolve(c, app)).transpose()?;
    let catalogue = Catalogue::load(c)?;
    let (mut rows, mut back) = (Vec::new(), ByLocation::new());
    for location in locations::all(c)?.into_iter().filter(|location| only.is_none_or(|only| only == location.id)) {
        let closed = why_not_revoke(context, &location);
        let closed = closed.or(location.leaving.then(|| "the location is being removed".to_owned()));
        let owned: BTreeMap<(String, String), assets::Asset> = assets::of_location(c, location.id)?
            .into_iter()
            .map(|asset| ((asset.adam_id.clone(), asset.pricing_param.clone()), asset))
            .collect();
        let mut by_asset: BTreeMap<(String, String), Vec<Assignment>> = BTreeMap::new();
        for licence in assignments::foreign(c, location.id)? {
            if app.as_ref().is_none_or(|app| *app == licence.adam_id) && !reclaims::is_noted(c, location.id, &licence)?
            {
                by_asset.entry((licence.adam_id.clone(), licence.pricing_param.clone())).or_default().push(licence);
            }
        }
        for (key, licences) in by_asset {
            let why_not = match owned.get(&key) {
                None => Some("the location does not own it any more".to_owned()),
                Some(asset) if asset.product_type == "Book" => Some("books never come back".to_owned()),
                Some(asset) if !asset.revocable => Some("Apple does not take such a licence back".to_owned()),
                Some(_) => closed.clone(),
            };
            let users = licences.iter().filter(|licence| licence.holder.kind() == HolderKind::User).count() as u64;
            rows.push(ReclaimAppView {
                name: catalogue.name(&key.0),
                adam_id: key.0,
                location: location.name.clone(),
                devices: licences.len() as u64 - users,
                users,
                why_not: why_not.clone().unwrap_or_default(),
            });
            if why_not.is_none() {
                back.entry(location.id).or_default().extend(licences);
            }
        }
    }
    let licences = back.values().map(|licences| licences.len() as u64).sum();
    Ok((ReclaimView { dry_run: true, licences, apps: rows, tasks: Vec::new() }, back))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn licences_are_asked_back_in_few_requests_of_one_kind_of_holder_each() {
        let licence = |adam_id: &str, holder: Holder| Assignment {
            adam_id: adam_id.into(),
            pricing_param: "STDQ".into(),
            holder,
        };
        let (a, b, anna) = (Holder::Serial("A".into()), Holder::Serial("B".into()), Holder::User("A".into()));
        let due =
            [licence("1", a.clone()), licence("2", a), licence("1", b.clone()), licence("2", b), licence("1", anna)];
        let limits = Limits { max_assets: 25, max_serial_numbers: 1000 };
        let both = vec![("1".to_owned(), "STDQ".to_owned()), ("2".to_owned(), "STDQ".to_owned())];
        let serials = Holders::Serials(vec!["A".into(), "B".into()]);
        assert_eq!(requests(&due, HolderKind::Serial, limits), [(both.clone(), serials)]);
        assert_eq!(requests(&due, HolderKind::User, limits), [(both[..1].to_vec(), Holders::Users(vec!["A".into()]))]);
        let one_by_one = Limits { max_assets: 1, max_serial_numbers: 1 };
        assert_eq!(requests(&due, HolderKind::Serial, one_by_one).len(), 4);
        assert_eq!(requests(&[], HolderKind::Serial, limits), []);
    }
}
