//! What Apple lists of registered users, taken over: all of them, or what changed since the last read.

use jiff::Timestamp;

use crate::apple::{walk, wire};
use crate::model::LocationId;
use crate::operations::licences::must_read_all;
use crate::operations::locations::Round;
use crate::operations::locations::standing::ask;
use crate::operations::{OperationError, Shared, sync};
use crate::store::users::{self, Changed, Record};
use crate::store::{StoreError, Write};

/// Lists all users. True when the listing was stable, so that whom it does not show is gone.
pub(in crate::operations) async fn whole(context: &Shared, round: &mut Round) -> Result<bool, OperationError> {
    Ok(all(context, round).await?.1)
}

/// What changed, and whether the listing was stable.
async fn all(context: &Shared, round: &mut Round) -> Result<(Changed, bool), OperationError> {
    let listed = walk::users(&context.apple, &round.token.clone(), &|_, _| ()).await;
    let listed = ask(context, round, listed).await?;
    sync::see(context, round, &listed.seen).await?;
    let (id, now, stable) = (round.location.id, context.clock.now(), listed.stable);
    Ok((context.store.write(move |w| apply(w, id, &listed, now)).await?, stable))
}

/// Reads what changed; all of them, where that cannot be trusted.
pub(in crate::operations) async fn catch_up(context: &Shared, round: &mut Round) -> Result<Changed, OperationError> {
    match changes(context, round).await? {
        Some(changed) if changed.doubtful == 0 => Ok(changed),
        _ => Ok(all(context, round).await?.0),
    }
}

/// Reads what Apple knows of our users that we do not. Returns when to look again.
pub(super) async fn catch_up_when_due(
    context: &Shared,
    round: &mut Round,
) -> Result<Option<Timestamp>, OperationError> {
    let (id, now) = (round.location.id, context.clock.now());
    let next = async || context.store.read(move |c| users::next_read(c, id, now)).await;
    if next().await?.is_some_and(|at| at <= now) {
        catch_up(context, round).await?;
        context.plan_now.notify_one();
    }
    Ok(next().await?)
}

/// `None` when everything has to be listed instead.
async fn changes(context: &Shared, round: &mut Round) -> Result<Option<Changed>, OperationError> {
    let id = round.location.id;
    let Some(version) = context.store.read(move |c| users::version(c, id)).await? else { return Ok(None) };
    let changed = match walk::users_since(&context.apple, &round.token.clone(), &version).await {
        Err(error) if must_read_all(&error) => return Ok(None),
        other => ask(context, round, other).await?,
    };
    sync::see(context, round, &changed.seen).await?;
    let now = context.clock.now();
    Ok(Some(context.store.write(move |w| apply(w, id, &changed, now)).await?))
}

/// Keeps what was listed, in the transaction of the caller.
pub(in crate::operations) fn apply(
    w: &Write<'_>,
    location: LocationId,
    listed: &walk::Users,
    now: Timestamp,
) -> Result<Changed, StoreError> {
    let records: Vec<(String, Record)> = listed.users.iter().map(|(id, user)| (id.clone(), record(user))).collect();
    users::apply(w, location, &records, listed.stable, &listed.version_id, now)
}

fn record(user: &wire::User) -> Record {
    Record {
        status: user.status.clone(),
        email: user.email.clone().unwrap_or_default(),
        id_hash: user.id_hash.clone(),
        invite_code: user.invite_code.clone(),
    }
}
