//! What was decided by hand and holds, and how the deployments get to decide again.

use rusqlite::Connection;

use super::facts;
use crate::model::Holder;
use crate::operations::catalogue::{Catalogue, resolve};
use crate::operations::view::{DecisionView, HeldByHandView, ReleaseRequest};
use crate::operations::{OperationError, Shared, notify_after};
use crate::store::by_hand::{self, ByHand, Decision};
use crate::store::{StoreError, audit, locations, persons};

/// What was decided by hand, by app.
pub async fn list(context: &Shared) -> Result<Vec<HeldByHandView>, OperationError> {
    context
        .store
        .read(|c| -> Result<Vec<HeldByHandView>, OperationError> {
            let catalogue = Catalogue::load(c)?;
            by_hand::all(c)?.into_iter().map(|decided| Ok(shown(c, &catalogue, decided)?)).collect()
        })
        .await
}

fn shown(c: &Connection, catalogue: &Catalogue, decided: ByHand) -> Result<HeldByHandView, StoreError> {
    let location = match decided.location {
        Some(id) => locations::by_id(c, id)?.map(|location| location.name),
        None => None,
    };
    Ok(HeldByHandView {
        name: catalogue.name(&decided.adam_id),
        adam_id: decided.adam_id,
        holder: holder_words(c, &decided.holder)?,
        decision: match decided.decision {
            Decision::Assigned => DecisionView::Assigned,
            Decision::Revoked => DecisionView::Revoked,
        },
        location,
        licence_only: !decided.install,
        decided_at: decided.decided_at,
        decided_by: decided.decided_by,
    })
}

/// A holder as people name it.
pub(in crate::operations) fn holder_words(c: &Connection, holder: &Holder) -> Result<String, StoreError> {
    Ok(match holder {
        Holder::Serial(serial) => format!("serial:{serial}"),
        Holder::User(id) => match persons::by_client_user_id(c, id)? {
            Some(person) => format!("person:{}", person.email),
            None => format!("user:{id}"),
        },
    })
}

/// Gives decisions back to the deployments.
pub async fn release(
    context: &Shared,
    request: ReleaseRequest,
    who: &str,
) -> Result<Vec<HeldByHandView>, OperationError> {
    let (now, by, plan_now) = (context.clock.now(), who.to_owned(), context.plan_now.clone());
    context
        .store
        .write(move |w| -> Result<Vec<HeldByHandView>, OperationError> {
            let catalogue = Catalogue::load(w)?;
            let mut released = Vec::new();
            for app in &request.apps {
                let adam_id = resolve(w, app)?;
                for text in &request.holders {
                    let named = facts::holder(w, text)?
                        .map_err(|(code, why)| OperationError::invalid(code, why, "Nothing was changed."))?;
                    if let Some(decided) = by_hand::get(w, &adam_id, &named.holder)? {
                        by_hand::release(w, &adam_id, &named.holder)?;
                        audit::write(
                            w,
                            now,
                            &by,
                            "decision by hand released",
                            &format!("{adam_id} for {}", named.shown),
                        )?;
                        released.push(shown(w, &catalogue, decided)?);
                    }
                }
            }
            if released.is_empty() {
                return Err(OperationError::not_found(
                    "nothing was decided by hand about these apps and holders",
                    "`vppd assign --list` shows what was.",
                ));
            }
            notify_after(w, &plan_now);
            Ok(released)
        })
        .await
}
