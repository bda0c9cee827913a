//! Licences for registered users: Apple gives them to those it has, and refuses a request with anybody else in it. Whom Apple
//! has lost is registered again by itself; the licence is asked for after that.

use std::collections::BTreeSet;

use rusqlite::Connection;

use super::listings::names;
use super::{reserved, settle};
use crate::apple::error::AppleError;
use crate::apple::wire::ErrorInfo;
use crate::licensing::registration::Wanted;
use crate::model::{Cause, HolderKind};
use crate::operations::locations::Round;
use crate::operations::users::listing;
use crate::operations::{OperationError, Shared};
use crate::store::events::{self, Event, PairFailure, Reserved};
use crate::store::{StoreError, users};

/// Apple's number for a user whom it does not have.
pub(super) const NO_SUCH_USER: i64 = 9609;

/// Whether Apple has every user of a request, as far as known: to others it gives no licence, and refuses the whole request.
pub(super) fn all_registered(c: &Connection, event: &Event, pairs: &[Reserved]) -> Result<bool, StoreError> {
    let users: BTreeSet<&str> =
        pairs.iter().filter(|pair| pair.holder.kind() == HolderKind::User).map(|pair| pair.holder.id()).collect();
    for user in users {
        if !users::get(c, event.location, user)?.is_some_and(|user| user.is_active() && user.wanted != Wanted::Retired)
        {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Apple has not all users of a request, and so has done nothing. Its list of users tells whom it has lost: they are registered
/// again by themselves, and the others go into another request at once.
pub(super) async fn settle_without_lost(
    context: &Shared,
    round: &mut Round,
    event: &Event,
    info: Option<&ErrorInfo>,
    error: &AppleError,
) -> Result<(), OperationError> {
    let lost = lost_users(context, round, event).await?;
    let refused = PairFailure::refused(NO_SUCH_USER, Cause::NoSuchUser, error.to_string());
    let released = PairFailure::released("the request was refused for somebody else in it; it is sent again without");
    let failure = |pair: &Reserved| match pair.holder.id() {
        id if lost.contains(id) => PairFailure::released(LOST),
        _ if !lost.is_empty() => released.clone(),
        // The list says otherwise than Apple's answer: it may lag behind.
        _ if info.is_none_or(|info| names(info, &pair.holder)) => refused.clone(),
        _ => released.clone(),
    };
    let reserved = reserved(context, event).await?.into_iter();
    let failed = reserved.map(|pair| {
        let failure = failure(&pair);
        (pair, failure)
    });
    let failed = failed.collect();
    settle(context, event, failed).await
}

/// Why a licence is not asked for now.
pub(super) const LOST: &str = "Apple does not have the user any more: the person is registered again first";

/// The users of a request that a fresh list of Apple's does not have.
pub(super) async fn lost_users(
    context: &Shared,
    round: &mut Round,
    event: &Event,
) -> Result<BTreeSet<String>, OperationError> {
    listing::whole(context, round).await?;
    let event = event.clone();
    let lost = context.store.read(move |c| -> Result<BTreeSet<String>, StoreError> {
        let mut lost = BTreeSet::new();
        for pair in events::reserved(c, &event.id)? {
            let id = pair.holder.id();
            if !users::get(c, event.location, id)?.is_some_and(|user| user.is_active()) {
                lost.insert(id.to_owned());
            }
        }
        Ok(lost)
    });
    Ok(lost.await?)
}
