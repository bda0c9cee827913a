//! Subscriptions: read with each sync, and shown. vppd assigns none yet, and never declares to Apple that it handles them:
//! that declaration cannot be taken back once some are bought.

use std::time::Duration;

use super::catalogue::Catalogue;
use super::locations::Round;
use super::view::{SeatsView, SubscriptionView};
use super::{OperationError, Shared, look};
use crate::apple::AppleError;
use crate::apple::walk;
use crate::apple::wire::subscriptions as wire;
use crate::store::locations;
use crate::store::subscriptions::{self, Seats, Subscription};

/// A sync waits no longer than this for them.
const PATIENCE: Duration = Duration::from_secs(60);

/// Reads a location's subscriptions. Never fails: a service that has none, as before June 2026, or gives no answer leaves
/// what is known as it is.
pub(super) async fn read(context: &Shared, round: &Round) {
    let (id, name) = (round.location.id, round.location.name.as_str());
    let walk = walk::subscriptions::subscriptions(&context.apple, &round.token);
    let listed = match context.clock.timeout(PATIENCE, walk).await {
        Ok(Ok(listed)) => listed,
        Ok(Err(AppleError::Refused { status: 404 | 405 | 410, .. })) => {
            log::debug!(vppd_location = name; "Apple's service has no subscriptions");
            return;
        }
        Ok(Err(error)) => {
            log::debug!(vppd_location = name; "the subscriptions of \"{name}\" cannot be read; the rest of the sync goes on: {error}");
            return;
        }
        Err(_) => {
            log::debug!(vppd_location = name; "the subscriptions of \"{name}\" were not read within {PATIENCE:?}; the rest of the sync goes on");
            return;
        }
    };
    let (rows, whole) = (listed.subscriptions.into_iter().map(row).collect::<Vec<_>>(), listed.stable);
    if let Err(error) = context.store.write(move |w| subscriptions::replace(w, id, &rows, whole)).await {
        log::warn!(vppd_location = name; "the subscriptions of \"{name}\" cannot be kept: {error}");
    }
}

fn row(one: wire::Subscription) -> Subscription {
    let seats = |seats: wire::Seats| Seats { renewing: seats.renewing.max(0), expiring: seats.expiring.max(0) };
    Subscription {
        adam_id: one.adam_id.0,
        parent_adam_id: one.parent_adam_id.map(|id| id.0),
        status: one.status,
        period_end: one.period_end_date,
        assigned: seats(one.counts.assigned),
        available: seats(one.counts.available),
        total: seats(one.counts.total),
    }
}

/// All subscriptions, of one location or of all.
pub async fn list(context: &Shared, location: Option<String>) -> Result<Vec<SubscriptionView>, OperationError> {
    context
        .store
        .read(move |c| {
            let chosen = match &location {
                Some(name) => Some(locations::by_name_or_uid(c, name)?.ok_or_else(|| look::no_such_location(name))?.id),
                None => None,
            };
            let (catalogue, all) = (Catalogue::load(c)?, locations::all(c)?);
            let views = subscriptions::all(c)?.into_iter().filter(|(id, _)| chosen.is_none_or(|chosen| chosen == *id));
            Ok(views
                .map(|(id, one)| SubscriptionView {
                    location: all
                        .iter()
                        .find(|known| known.id == id)
                        .map(|known| known.name.clone())
                        .unwrap_or_default(),
                    name: catalogue.name(&one.adam_id),
                    parent_name: one.parent_adam_id.as_ref().map(|id| catalogue.name(id)).unwrap_or_default(),
                    adam_id: one.adam_id,
                    parent_adam_id: one.parent_adam_id,
                    status: one.status,
                    period_end: one.period_end,
                    assigned: seats(one.assigned),
                    available: seats(one.available),
                    total: seats(one.total),
                })
                .collect())
        })
        .await
}

fn seats(seats: Seats) -> SeatsView {
    SeatsView { renewing: seats.renewing.max(0) as u64, expiring: seats.expiring.max(0) as u64 }
}
