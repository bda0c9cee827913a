//! Letting go of a content token: says first what hangs on it; gives the licences back before if that is wanted, because
//! without the token nobody can any more. Done by the location's own task, so that nothing else happens to it meanwhile.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::manage::find;
use crate::clock::after;
use crate::operations::locations::Round;
use crate::operations::locations::standing::{ask, see_owner};
use crate::operations::notifications::channel;
use crate::operations::view::{TaskView, TokenRemovalView, TokenRemoveRequest};
use crate::operations::{Kind, OperationError, Shared, licences, look, sync};
use crate::store::assignments::{self, Holder};
use crate::store::locations::{self, Location, TokenState};
use crate::store::tasks::{self, Task};
use crate::store::{StoreError, assets, audit, deployments};

/// The kind of these tasks.
pub const KIND: &str = "remove-token";

/// What hangs on a content token.
pub async fn preview(context: &Shared, name: String) -> Result<TokenRemovalView, OperationError> {
    let location = find(context, &name).await?;
    let why_not = why_not_revoke(context, &location).unwrap_or_default();
    let (id, name) = (location.id, location.name);
    context
        .store
        .read(move |c| -> Result<TokenRemovalView, OperationError> {
            let held = assignments::of_location(c, id)?;
            let serials = held.iter().filter(|held| matches!(held.holder, Holder::Serial(_)));
            let devices: BTreeSet<&Holder> = serials.map(|held| &held.holder).collect();
            let only_here = assets::only_under(c, id)?;
            let deployments = deployments::all(c)?.iter().filter(|d| only_here.contains(&d.adam_id)).count();
            Ok(TokenRemovalView {
                name,
                assets: assets::of_location(c, id)?.len() as u64,
                licences_assigned: held.len() as u64,
                devices: devices.len() as u64,
                deployments: deployments as u64,
                can_revoke: why_not.is_empty(),
                why_not,
            })
        })
        .await
}

/// Why nothing can be changed at Apple now: no licence taken back, no user retired.
pub(in crate::operations) fn why_not_revoke(context: &Shared, location: &Location) -> Option<String> {
    let ours = location.owner.as_ref().is_some_and(|owner| owner.id == context.mdm_id);
    let expired = location.expires_at <= context.clock.now();
    match location.token_state {
        _ if expired => Some("the content token has expired".into()),
        TokenState::Valid | TokenState::Unreachable if ours => None,
        TokenState::Valid | TokenState::Unreachable => Some("this vppd does not hold the location".into()),
        TokenState::ReadOnly => Some("the content token may only read".into()),
        _ => Some("Apple does not accept the content token".into()),
    }
}

/// Puts the removal in line. With `revoke_first` nothing is assigned under the location from now on.
pub async fn request(
    context: &Shared,
    name: String,
    request: TokenRemoveRequest,
    who: &str,
) -> Result<TaskView, OperationError> {
    let location = find(context, &name).await?;
    if let Some(why) = why_not_revoke(context, &location).filter(|_| request.revoke_first) {
        return Err(OperationError::new(
            Kind::Conflict,
            "cannot-revoke",
            format!("the licences of \"{}\" cannot be taken back: {why}", location.name),
            "Nothing was changed. Mend that first, or remove the token without taking licences back.",
        ));
    }
    let (now, who, id) = (context.clock.now(), who.to_owned(), location.id);
    let task = context
        .store
        .write(move |w| -> Result<Task, StoreError> {
            if request.revoke_first {
                locations::set_leaving(w, id, true)?;
            }
            let what =
                if request.revoke_first { "licences and content token removed" } else { "content token removed" };
            audit::write(w, now, &who, what, &location.name)?;
            tasks::waiting(w, KIND, id, &location.name, now)
        })
        .await?;
    context.nudge(id);
    context.plan_now.notify_one();
    look::task_view(&task)
}

/// The removal that is in line for a location.
pub(in crate::operations) async fn waiting(
    context: &Shared,
    location: crate::model::LocationId,
) -> Result<Option<Task>, OperationError> {
    let open = context.store.read(move |c| tasks::open_for(c, location)).await?;
    Ok(open.into_iter().find(|task| task.kind == KIND))
}

/// Goes on with the removal. Returns when to come back; `None` once the location is gone, or stays after all.
pub(in crate::operations) async fn run(
    context: &Shared,
    round: &mut Round,
    task: Task,
) -> Result<Option<Timestamp>, OperationError> {
    let (id, now) = (task.id, context.clock.now());
    if task.state == "waiting" {
        context.store.write(move |w| tasks::start(w, id, now)).await?;
    }
    if !round.location.leaving {
        return forget(context, round, &task, "its licences stay as they are at Apple".into()).await;
    }
    match revoke_some(context, round, &task).await {
        Ok(Progress::Next(at)) => Ok(Some(at)),
        Ok(Progress::Done { irrevocable }) => {
            let words = match irrevocable {
                0 => "all its licences were taken back".to_owned(),
                kept => format!("its licences were taken back, except {kept} that can never be"),
            };
            forget(context, round, &task, words).await
        }
        // Apple is away for a moment: the task goes on by itself.
        Err(error) if error.code == "apple-unavailable" || error.code == "store" => Err(error),
        Err(error) => stay(context, round, &task, error).await,
    }
}

enum Progress {
    Next(Timestamp),
    Done { irrevocable: usize },
}

/// Takes back the licences of some holders, after a fresh listing of who holds any.
async fn revoke_some(context: &Shared, round: &mut Round, task: &Task) -> Result<Progress, OperationError> {
    if let Some(at) = licences::wind_up(context, round).await? {
        return Ok(Progress::Next(at));
    }
    sync::full(context, round).await?;
    if round.owned_at.is_none() {
        return Err(OperationError::new(
            Kind::Conflict,
            "not-ours",
            format!("this vppd does not hold \"{}\" any more: no licence is taken back", round.location.name),
            format!("Take it over first: vppd token take-over \"{}\"", round.location.name),
        ));
    }
    let id = round.location.id;
    let (held, revocable) = context
        .store
        .read(move |c| -> Result<_, StoreError> {
            let revocable: BTreeSet<(String, String)> = assets::of_location(c, id)?
                .into_iter()
                .filter(|asset| asset.revocable)
                .map(|asset| (asset.adam_id, asset.pricing_param))
                .collect();
            Ok((assignments::of_location(c, id)?, revocable))
        })
        .await?;
    let all = held.len();
    let open = held.into_iter().filter(|held| revocable.contains(&(held.adam_id.clone(), held.pricing_param.clone())));
    let holders: BTreeSet<Holder> = open.map(|held| held.holder).collect();
    if holders.is_empty() {
        return Ok(Progress::Done { irrevocable: all });
    }
    tell(context, task.id, all).await?;
    let limits = context.apple.service_config().await.limits;
    let (mut serials, mut users) = (Vec::new(), Vec::new());
    for holder in holders {
        match holder {
            Holder::Serial(serial) => serials.push(serial),
            Holder::User(user) => users.push(user),
        }
    }
    // One kind of holder at a time: that both are taken in one request is not documented.
    let (serials, users) = match serials.is_empty() {
        false => (serials.into_iter().take(limits.max_revoke_serial_numbers as usize).collect(), Vec::new()),
        true => (Vec::new(), users.into_iter().take(limits.max_revoke_client_user_ids as usize).collect::<Vec<_>>()),
    };
    let reply = context.apple.revoke(&round.token, &serials, &users).await;
    let accepted = ask(context, round, reply).await?;
    see_owner(context, round, accepted.mdm_info.as_ref()).await?;
    follow(context, round, &accepted.event_id).await?;
    Ok(Progress::Next(context.clock.now()))
}

/// Waits for the end of a revocation, whichever: the next listing tells what it did.
async fn follow(context: &Shared, round: &mut Round, event_id: &str) -> Result<(), OperationError> {
    let until = after(context.clock.now(), context.config().apple.unknown_outcome_wait);
    for looks in 0.. {
        context.clock.sleep(licences::poll(context, looks)).await;
        let reply = context.apple.status(&round.token, event_id).await;
        let reply = ask(context, round, reply).await?;
        if reply.body.is_final() || context.clock.now() >= until {
            break;
        }
    }
    Ok(())
}

/// How many licences are still to go; the first number told is the whole.
async fn tell(context: &Shared, id: i64, left: usize) -> Result<(), OperationError> {
    let left = left as u64;
    let told = context.store.write(move |w| -> Result<(), StoreError> {
        let total = tasks::by_id(w, id)?.map_or(left, |task| task.total.max(left));
        tasks::progress(w, id, total - left, total, &format!("taking licences back: {left} left"))
    });
    Ok(told.await?)
}

async fn forget(
    context: &Shared,
    round: &Round,
    task: &Task,
    words: String,
) -> Result<Option<Timestamp>, OperationError> {
    channel::farewell(context, round).await?;
    let (id, task, now) = (round.location.id, task.id, context.clock.now());
    log::info!(vppd_location = round.location.name.as_str(); "the content token of \"{}\" was removed: {words}", round.location.name);
    context
        .store
        .write(move |w| -> Result<(), StoreError> {
            let total = tasks::by_id(w, task)?.map_or(0, |task| task.total);
            tasks::progress(w, task, total, total, &words)?;
            tasks::finish(w, task, now, Ok(&words))?;
            locations::remove(w, id)
        })
        .await?;
    context.plan_now.notify_one();
    Ok(None)
}

/// It cannot be carried out: the location stays and works on.
async fn stay(
    context: &Shared,
    round: &Round,
    task: &Task,
    error: OperationError,
) -> Result<Option<Timestamp>, OperationError> {
    let (id, task, now) = (round.location.id, task.id, context.clock.now());
    log::error!(vppd_location = round.location.name.as_str(); "the content token of \"{}\" is not removed: {error}", round.location.name);
    let json = serde_json::to_string(&error.view()).unwrap_or_default();
    context
        .store
        .write(move |w| -> Result<(), StoreError> {
            locations::set_leaving(w, id, false)?;
            tasks::finish(w, task, now, Err(&json))
        })
        .await?;
    context.plan_now.notify_one();
    Ok(Some(now))
}
