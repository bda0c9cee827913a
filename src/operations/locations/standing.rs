//! How we stand with a location: who holds it, and what Apple makes of its content token. Each reply of Apple's tells; what
//! changes is kept, and raised as an alert where a person has to act.

use super::Round;
use crate::apple::error::{AppleError, TokenProblemKind};
use crate::apple::wire::MdmInfo;
use crate::operations::{Kind, OperationError, Shared, alerts};
use crate::store::alerts::NewAlert;
use crate::store::locations::{self, Location, Owner, TokenState};
use crate::store::{self, StoreError};

/// Keeps who holds the location as a reply named it; loudly, when it is not us any more.
pub(in crate::operations) async fn see_owner(
    context: &Shared,
    round: &mut Round,
    owner: Option<&MdmInfo>,
) -> Result<(), OperationError> {
    let seen = owner.map(|info| Owner { id: info.id.clone(), name: info.name.clone() });
    let ours = seen.as_ref().is_some_and(|owner| owner.id == context.mdm_id);
    round.owned_at = ours.then(|| context.clock.steady());
    if seen == round.location.owner {
        return Ok(());
    }
    let alert = (!ours).then(|| lost(&round.location, seen.as_ref()));
    let (id, kept, raise, now) = (round.location.id, seen.clone(), alert.clone(), context.clock.now());
    let raised = context
        .store
        .write(move |w| -> Result<bool, StoreError> {
            locations::set_owner(w, id, kept.as_ref())?;
            // Once ours, the claim is done: if it is lost later, only the administrator takes the location again.
            if ours {
                locations::set_claim_wanted(w, id, false)?;
            }
            let occasion = raise.as_ref().map(|alert| alert.occasion.as_str());
            store::alerts::end(w, alerts::NOT_OURS, Some(id), occasion, now)?;
            raise.map_or(Ok(false), |alert| store::alerts::raise(w, &alert, now))
        })
        .await?;
    match alert.filter(|_| raised) {
        Some(alert) => alerts::announce(&alert),
        None => {
            log::info!(vppd_location = round.location.name.as_str(); "location \"{}\" is ours", round.location.name)
        }
    }
    round.location.owner = seen;
    context.plan_now.notify_one();
    Ok(())
}

/// The alert for a location that somebody else holds, or nobody.
fn lost(location: &Location, owner: Option<&Owner>) -> NewAlert {
    let name = &location.name;
    let (occasion, message) = match owner {
        Some(owner) => {
            let holder = if owner.name.is_empty() { &owner.id } else { &owner.name };
            (owner.id.clone(), format!("Location \"{name}\" is held by another MDM now: \"{holder}\""))
        }
        None => {
            (String::new(), format!("Location \"{name}\" is held by nobody any more: somebody released it at Apple"))
        }
    };
    NewAlert {
        kind: alerts::NOT_OURS,
        location: Some(location.id),
        subject: name.clone(),
        occasion,
        grave: true,
        message: format!("{message}. Nothing is written to it any more"),
        advice: format!(
            "A content token belongs in one MDM only. To take it back on purpose: vppd token take-over \"{name}\""
        ),
    }
}

/// The alert for a token that Apple turns down; `None` for a state that passes by itself or that the calendar tells of.
fn turned_down(location: &Location, state: TokenState, why: &AppleError) -> Option<NewAlert> {
    if matches!(state, TokenState::Valid | TokenState::Unreachable | TokenState::Expired) {
        return None;
    }
    let name = &location.name;
    Some(NewAlert {
        kind: alerts::TOKEN_REFUSED,
        location: Some(location.id),
        subject: name.clone(),
        occasion: format!("{state:?}"),
        grave: true,
        message: format!("Location \"{name}\": {}", why.to_string().trim_end_matches('.')),
        advice: format!("To put a new token in place: vppd token renew \"{name}\" FILE"),
    })
}

/// Passes a reply on; what an error says of the token is kept and told first. A token that was renewed meanwhile is not
/// blamed: the call is made again with the new one.
pub(in crate::operations) async fn ask<T>(
    context: &Shared,
    round: &mut Round,
    reply: Result<T, AppleError>,
) -> Result<T, OperationError> {
    let known = round.location.token_state;
    let state = match &reply {
        // Reading says nothing of the right to change anything.
        Ok(_) if known == TokenState::ReadOnly => known,
        Ok(_) => TokenState::Valid,
        Err(AppleError::TokenProblem { kind, .. }) => match kind {
            TokenProblemKind::Expired => TokenState::Expired,
            TokenProblemKind::Revoked => TokenState::Revoked,
            TokenProblemKind::Rejected => TokenState::Rejected,
            TokenProblemKind::WrongKind => TokenState::WrongKind,
        },
        // Without a number of Apple's it is something in between that forbids.
        Err(AppleError::Forbidden { number: Some(_) }) => TokenState::ReadOnly,
        Err(AppleError::RetryLater { .. } | AppleError::UnknownOutcome { .. }) if known == TokenState::Valid => {
            TokenState::Unreachable
        }
        Err(_) => known,
    };
    if let Err(error) = &reply
        && state != known
    {
        token_state_changed(context, round, state, error).await?;
    } else if state != known {
        set_token_state(context, round, state, None).await?;
    }
    reply.map_err(|error| {
        let error = OperationError::from(error);
        OperationError { message: format!("Location \"{}\": {error}", round.location.name), ..error }
    })
}

async fn token_state_changed(
    context: &Shared,
    round: &mut Round,
    state: TokenState,
    why: &AppleError,
) -> Result<(), OperationError> {
    let id = round.location.id;
    let now_kept = context.store.read(move |c| locations::by_id(c, id)).await?;
    if now_kept.is_none_or(|kept| kept.token_fingerprint != round.location.token_fingerprint) {
        context.nudge(id);
        return Err(OperationError::new(
            Kind::Unavailable,
            "token-renewed",
            format!(
                "the content token of \"{}\" was renewed while it was in use; the new one is used.",
                round.location.name
            ),
            "",
        ));
    }
    let alert = turned_down(&round.location, state, why);
    set_token_state(context, round, state, alert).await
}

/// Keeps what Apple says of the token, and raises or ends the alert about it.
pub(in crate::operations) async fn set_token_state(
    context: &Shared,
    round: &mut Round,
    state: TokenState,
    alert: Option<NewAlert>,
) -> Result<(), OperationError> {
    let (id, now, raise) = (round.location.id, context.clock.now(), alert.clone());
    let raised = context
        .store
        .write(move |w| -> Result<bool, StoreError> {
            locations::set_token_state(w, id, state)?;
            let occasion = raise.as_ref().map(|alert| alert.occasion.as_str());
            store::alerts::end(w, alerts::TOKEN_REFUSED, Some(id), occasion, now)?;
            raise.map_or(Ok(false), |alert| store::alerts::raise(w, &alert, now))
        })
        .await?;
    if let Some(alert) = alert.filter(|_| raised) {
        alerts::announce(&alert);
    }
    round.location.token_state = state;
    context.plan_now.notify_one();
    Ok(())
}
