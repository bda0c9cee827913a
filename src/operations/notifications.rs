//! Notifications of Apple's: who brings the right secret is believed to be Apple, and what it says is a hint. A hint is
//! kept in the transaction that remembers the notification, and followed by the location's own task with a read; so a
//! notification that is lost, doubled or forged can cost time or a call, and nothing else. [`channel`] tells Apple where
//! to send them.

pub mod channel;

use std::collections::BTreeSet;
use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;

use super::locations::Round;
use super::users::listing;
use super::{Kind, OperationError, Shared, sync};
use crate::apple::notification::{News, Notification};
use crate::model::LocationId;
use crate::store::channels::{self, Channel};
use crate::store::notifications::{self, Hint};
use crate::store::{StoreError, events, locations};

/// Apple is asked about one event no more often than this, however many notifications tell of it.
const LOOK_GAP: Duration = Duration::from_secs(5);
/// More products than this are read by one listing of all.
const FEW: usize = 5;

/// Who proved to be Apple, for which location.
pub struct Sender {
    location: LocationId,
    uid: String,
    name: String,
}

/// The sender of a request that names this key and brings this secret; `None` when either is wrong.
pub async fn authenticate(context: &Shared, key: &str, secret: &[u8]) -> Result<Option<Sender>, OperationError> {
    let key = key.to_owned();
    let known = context
        .store
        .read(move |c| -> Result<Option<(Channel, locations::Location)>, StoreError> {
            let Some(channel) = channels::by_key(c, &key)? else { return Ok(None) };
            let location = locations::by_id(c, channel.location)?;
            Ok(location.map(|location| (channel, location)))
        })
        .await?;
    let Some((channel, location)) = known else { return Ok(None) };
    let mut right = false;
    for sealed in [&channel.sealed_secret, &channel.sealed_next].into_iter().flatten() {
        let kept = context.sealer.open(&channel::sealed_place(&location.uid), sealed)?;
        right |= verify_slices_are_equal(&kept, secret).is_ok();
    }
    Ok(right.then_some(Sender { location: location.id, uid: location.uid, name: location.name }))
}

/// Takes a notification: once, with what it leads to.
pub async fn take(context: &Shared, sender: Sender, notification: Notification) -> Result<(), OperationError> {
    let Sender { location, uid, name } = sender;
    if notification.uid != uid {
        return Err(OperationError::new(
            Kind::Invalid,
            "wrong-location",
            format!("a notification that came for location \"{name}\" is about another location"),
            "It was not taken.",
        ));
    }
    let (now, workers, kind) = (context.clock.now(), context.workers.clone(), notification.kind.clone());
    let unknown = notification.news == News::Unknown;
    let new = context
        .store
        .write(move |w| -> Result<bool, StoreError> {
            let event = notification.event_id();
            if !notifications::remember(w, location, &notification.id, &notification.kind, event, now)? {
                return Ok(false);
            }
            channels::heard(w, location, now)?;
            let hint = match notification.news {
                News::Test | News::Subscriptions | News::Unknown => None,
                News::AssetCount { adam_id: Some(adam_id) } => Some(Hint::Asset(adam_id)),
                News::AssetCount { adam_id: None } | News::Assets => Some(Hint::Assets),
                News::Users => Some(Hint::Users),
                News::AssetManagement { event_id } => {
                    let known = match &event_id {
                        Some(event) => events::notified(w, location, event, now, LOOK_GAP)?,
                        None => false,
                    };
                    // While a request is on its way, its event has no name here yet; the reply will tell.
                    (!known && !events::any_sending(w, location)?).then_some(Hint::Changes)
                }
            };
            if let Some(hint) = hint {
                notifications::leave(w, location, &hint)?;
            }
            w.after_commit(move || workers.nudge(location));
            Ok(true)
        })
        .await?;
    match (new, unknown) {
        (false, _) => log::debug!(vppd_location = name.as_str(); "a notification for \"{name}\" came again"),
        (true, true) => log::warn!(
            vppd_location = name.as_str();
            "Apple sent a notification of an unknown type, {kind}, for location \"{name}\"; it is kept and leads to nothing"
        ),
        (true, false) => log::debug!(vppd_location = name.as_str(); "a notification for \"{name}\" came: {kind}"),
    }
    Ok(())
}

/// Reads what the hints for a location say is worth reading. False when there was none.
pub(super) async fn follow(context: &Shared, round: &mut Round) -> Result<bool, OperationError> {
    let id = round.location.id;
    let hints = context.store.read(move |c| notifications::hints(c, id)).await?;
    if hints.is_empty() {
        return Ok(false);
    }
    let products: BTreeSet<&str> = hints.iter().filter_map(|(_, hint)| product(hint)).collect();
    let has = |wanted: Hint| hints.iter().any(|(_, hint)| *hint == wanted);
    if has(Hint::Changes) {
        sync::catch_up(context, round).await?;
    } else if has(Hint::Assets) || products.len() > FEW {
        sync::count_for_waiting(context, round).await?;
    } else {
        for adam_id in products {
            match sync::count_product(context, round, adam_id).await {
                // An Apple that does not take the question must not stop us from asking for everything.
                Err(error) if error.code != "apple-unavailable" => sync::count_for_waiting(context, round).await?,
                counted => counted?,
            }
        }
    }
    if has(Hint::Users) && !has(Hint::Changes) {
        listing::catch_up(context, round).await?;
    }
    let numbers: Vec<i64> = hints.iter().map(|(number, _)| *number).collect();
    let done = move |w: &crate::store::Write<'_>| numbers.iter().try_for_each(|n| notifications::followed(w, *n));
    context.store.write(done).await?;
    context.plan_now.notify_one();
    Ok(true)
}

fn product(hint: &Hint) -> Option<&str> {
    match hint {
        Hint::Asset(adam_id) => Some(adam_id),
        _ => None,
    }
}
