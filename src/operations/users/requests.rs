//! Requests to Apple about registered users, carried out by the location's task: what is needed is recorded, sent, followed to
//! its end, and settled for each user; what may or may not have arrived is settled by a listing.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::listing;
use super::needs::Needs;
use super::outcome::{self, Outcome};
use crate::apple::error::AppleError;
use crate::apple::wire::{ErrorInfo, EventStatus, UserRequest};
use crate::clock::after;
use crate::fault;
use crate::model::UserVerb;
use crate::operations::licences::{UNKNOWN_EVENT, UNSTABLE_WAITS, poll, still_ours};
use crate::operations::locations::Round;
use crate::operations::locations::standing::{ask, see_owner};
use crate::operations::tokens::removal::why_not_revoke;
use crate::operations::{OperationError, Shared, alerts, sync, tasks};
use crate::store::events::EventState;
use crate::store::user_events::{self, Change, UserEvent};
use crate::store::users::{self, User};
use crate::store::{StoreError, Write, appliance, assignments};

/// Before what was called off is looked at again.
const SOON: Duration = Duration::from_secs(5);

/// Looks at every request that is due, records what is needed, and sends it. Returns when to come back.
pub(in crate::operations) async fn settle_and_send(
    context: &Shared,
    round: &mut Round,
) -> Result<Option<Timestamp>, OperationError> {
    look_at_due(context, round).await?;
    let later = intend_needed(context, round).await?;
    let again = send_intended(context, round).await?;
    let unread = listing::catch_up_when_due(context, round).await?;
    let soon = after(context.clock.now(), SOON);
    let open = open_events(context, round).await?;
    let looks = open.iter().map(|event| event.next_look_at.unwrap_or(soon));
    Ok(looks.chain(later).chain(unread).chain(again.then_some(soon)).min())
}

async fn open_events(context: &Shared, round: &Round) -> Result<Vec<UserEvent>, OperationError> {
    let id = round.location.id;
    Ok(context.store.read(move |c| user_events::open(c, id)).await?)
}

async fn changes(context: &Shared, event: &UserEvent) -> Result<Vec<Change>, OperationError> {
    let id = event.id.clone();
    Ok(context.store.read(move |c| user_events::changes(c, &id)).await?)
}

async fn save(context: &Shared, event: UserEvent) -> Result<(), OperationError> {
    Ok(context.store.write(move |w| user_events::save(w, &event)).await?)
}

// What is needed.

/// Records what users need now. Returns when another one will need something.
async fn intend_needed(context: &Shared, round: &Round) -> Result<Option<Timestamp>, OperationError> {
    if round.location.leaving || why_not_revoke(context, &round.location).is_some() {
        return Ok(None);
    }
    let (id, now) = (round.location.id, context.clock.now());
    let (paused, wanted) = context
        .store
        .read(move |c| -> Result<_, StoreError> { Ok((appliance::load(c)?.paused.is_some(), users::wanted(c, id)?)) })
        .await?;
    if paused {
        return Ok(None);
    }
    let needs = Needs::of(wanted, now);
    let later = needs.later;
    match needs.due(context.config().planner.settle) {
        None => return Ok(later),
        Some(due) if due > now => return Ok(later.into_iter().chain([due]).min()),
        Some(_) => {}
    }
    let most = context.apple.service_config().await.limits.max_users as usize;
    let named = |(verb, changes)| (context.entropy.uuid().to_string(), verb, changes);
    let requests: Vec<(String, UserVerb, Vec<Change>)> = needs.requests(most).into_iter().map(named).collect();
    context
        .store
        .write(move |w| -> Result<(), StoreError> {
            for (number, (event, verb, changes)) in (0u64..).zip(&requests) {
                // In the order in which they are to go.
                let at = after(now, Duration::from_micros(number));
                user_events::intend(w, event, id, *verb, changes, at)?;
            }
            Ok(())
        })
        .await?;
    Ok(later)
}

// Sending.

/// True when something was called off that has to be looked at again.
async fn send_intended(context: &Shared, round: &mut Round) -> Result<bool, OperationError> {
    let mut again = false;
    for event in open_events(context, round).await? {
        if event.state != EventState::Intended {
            continue;
        }
        if !still_ours(context, round).await? {
            release(context, round, &event, "the location may not be written to now").await?;
            continue;
        }
        again |= send(context, round, event).await?;
    }
    Ok(again)
}

async fn send(context: &Shared, round: &mut Round, mut event: UserEvent) -> Result<bool, OperationError> {
    (event.state, event.sent_at) = (EventState::Sending, Some(context.clock.now()));
    let sending = event.clone();
    let changes = context
        .store
        .write(move |w| -> Result<Option<Vec<Change>>, StoreError> {
            if appliance::load(w)?.paused.is_some() {
                return Ok(None);
            }
            user_events::save(w, &sending)?;
            user_events::changes(w, &sending.id).map(Some)
        })
        .await?;
    let Some(changes) = changes else {
        release(context, round, &event, "everything is paused").await?;
        return Ok(false);
    };
    let request = |change: Change| UserRequest {
        client_user_id: change.client_user_id,
        email: change.details.email,
        managed_apple_id: change.details.account,
    };
    let requests: Vec<UserRequest> = changes.into_iter().map(request).collect();
    fault::point("before asking Apple about users");
    let reply = context.apple.manage_users(&round.token, event.verb, &requests).await;
    fault::point("after asking Apple about users");
    match reply {
        Ok(accepted) => {
            log::info!(
                vppd_location = round.location.name.as_str(), vppd_event = accepted.event_id.as_str();
                "asked Apple to {} {} users ({})", event.verb.word(), event.users, round.location.name
            );
            event.next_look_at = Some(after(context.clock.now(), poll(context, 0)));
            (event.state, event.event_id, event.looks) = (EventState::Accepted, Some(accepted.event_id), 0);
            save(context, event).await?;
            see_owner(context, round, accepted.mdm_info.as_ref()).await?;
            Ok(false)
        }
        Err(error) => not_accepted(context, round, event, error).await,
    }
}

async fn not_accepted(
    context: &Shared,
    round: &mut Round,
    mut event: UserEvent,
    error: AppleError,
) -> Result<bool, OperationError> {
    let name = round.location.name.clone();
    match &error {
        AppleError::UnknownOutcome { .. } => {
            event.next_look_at = Some(after(context.clock.now(), poll(context, 1)));
            event.state = EventState::Unknown;
            save(context, event).await?;
            log::warn!(vppd_location = name.as_str(); "location \"{name}\": {error}");
            Ok(false)
        }
        // Certainly not done: sent again in a later round, which comes after a pause.
        AppleError::RetryLater { .. } => {
            (event.state, event.sent_at) = (EventState::Intended, None);
            save(context, event).await?;
            ask(context, round, Err(error)).await
        }
        AppleError::TokenProblem { .. } | AppleError::Forbidden { .. } => {
            release(context, round, &event, "the content token cannot be used for it").await?;
            ask(context, round, Err(error)).await
        }
        // Our limits were out of date: planned anew.
        AppleError::Limit { .. } | AppleError::Resync { .. } => {
            release(context, round, &event, &error.to_string()).await?;
            Ok(true)
        }
        AppleError::Refused { .. }
        | AppleError::Business { .. }
        | AppleError::Malformed { .. }
        | AppleError::Unstable { .. } => {
            log::warn!(vppd_location = name.as_str(); "location \"{name}\": {error}");
            refused(context, round, &event, &error).await?;
            Ok(true)
        }
    }
}

/// Apple refused a request as a whole, perhaps for one user in it: that one is told apart, the others are sent again.
async fn refused(
    context: &Shared,
    round: &mut Round,
    event: &UserEvent,
    error: &AppleError,
) -> Result<(), OperationError> {
    let (number, info) = match error {
        AppleError::Business { number, info } => (Some(*number), info.as_ref()),
        other => (other.number(), None),
    };
    let members = changes(context, event).await?;
    let everybody = members.len() == 1 || !outcome::is_about_one(number);
    let blamed = |change: &Change| everybody || is_named(info, change);
    if members.iter().any(blamed) {
        let outcome = |change: &Change| match blamed(change) {
            true => outcome::of_failure(event.verb, number),
            false => Outcome::Released,
        };
        let outcomes = members.iter().map(|change| (change.client_user_id.clone(), outcome(change))).collect();
        return settle(context, round, event, outcomes).await;
    }
    // Apple does not say for whom.
    let outcomes = members.iter().map(|change| (change.client_user_id.clone(), Outcome::Apart)).collect();
    settle(context, round, event, outcomes).await
}

fn is_named(info: Option<&ErrorInfo>, change: &Change) -> bool {
    info.is_some_and(|info| info.client_user_ids.contains(&change.client_user_id))
}

// Following.

async fn look_at_due(context: &Shared, round: &mut Round) -> Result<(), OperationError> {
    let now = context.clock.now();
    let mut unsure = Vec::new();
    for mut event in open_events(context, round).await? {
        // Nothing is sent beside this: what became of it could not be saved.
        if event.state == EventState::Sending {
            (event.state, event.next_look_at) = (EventState::Unknown, Some(now));
            save(context, event.clone()).await?;
        }
        let due = event.next_look_at.is_some_and(|at| at <= now);
        match event.state {
            EventState::Accepted if due => look_at(context, round, event).await?,
            EventState::Unknown if due => unsure.push(event),
            _ => {}
        }
    }
    if unsure.is_empty() {
        return Ok(());
    }
    let stable = listing::whole(context, round).await?;
    for event in unsure {
        settle_unsure(context, round, event, stable).await?;
    }
    Ok(())
}

async fn look_at(context: &Shared, round: &mut Round, mut event: UserEvent) -> Result<(), OperationError> {
    let Some(event_id) = &event.event_id else { return Ok(()) };
    let reply = context.apple.status(&round.token, event_id).await;
    let now = context.clock.now();
    let sent = event.sent_at.unwrap_or(event.intended_at);
    let waited = after(sent, context.config().apple.unknown_outcome_wait) <= now;
    let useless = |error: &AppleError| {
        let of_no_use =
            matches!(error, AppleError::Refused { .. } | AppleError::Business { .. } | AppleError::Malformed { .. });
        let overdue = waited && matches!(error, AppleError::RetryLater { .. } | AppleError::Forbidden { .. });
        error.number() == Some(UNKNOWN_EVENT) || of_no_use || overdue
    };
    let reply = match reply {
        Err(error) if useless(&error) => return make_unsure(context, event).await,
        other => ask(context, round, other).await?,
    };
    see_owner(context, round, reply.mdm_info.as_ref()).await?;
    if reply.body.is_full_success() {
        return settle(context, round, &event, BTreeMap::new()).await;
    }
    if reply.body.is_final() {
        return settle_failed(context, round, &event, &reply.body).await;
    }
    if waited {
        return make_unsure(context, event).await;
    }
    event.looks += 1;
    event.next_look_at = Some(after(now, poll(context, event.looks)));
    save(context, event).await
}

/// From now on a listing has to tell.
async fn make_unsure(context: &Shared, mut event: UserEvent) -> Result<(), OperationError> {
    (event.state, event.event_id, event.next_look_at) = (EventState::Unknown, None, Some(context.clock.now()));
    save(context, event).await
}

/// The users of a request with what the store knows of them.
async fn members(context: &Shared, event: &UserEvent) -> Result<Vec<(Change, Option<User>)>, OperationError> {
    let event = event.clone();
    let read = context.store.read(move |c| -> Result<_, StoreError> {
        let known = |change: Change| Ok((users::get(c, event.location, &change.client_user_id)?, change));
        user_events::changes(c, &event.id)?
            .into_iter()
            .map(|change| known(change).map(|(user, change)| (change, user)))
            .collect()
    });
    Ok(read.await?)
}

/// A request that ended with failures. Whom Apple does not name is looked up in a fresh listing.
async fn settle_failed(
    context: &Shared,
    round: &mut Round,
    event: &UserEvent,
    status: &EventStatus,
) -> Result<(), OperationError> {
    let mut outcomes = BTreeMap::new();
    for change in changes(context, event).await? {
        if let Some(failure) = status.failures.iter().find(|failure| is_named(failure.info.as_ref(), &change)) {
            outcomes.insert(change.client_user_id, outcome::of_failure(event.verb, failure.number));
        }
    }
    let nameless = status.failures.iter().find(|f| f.info.as_ref().is_none_or(|info| info.client_user_ids.is_empty()));
    let missing = status.num_requested - status.num_completed;
    if nameless.is_some() || missing != i64::try_from(outcomes.len()).unwrap_or(i64::MAX) {
        listing::whole(context, round).await?;
        let number = nameless.and_then(|failure| failure.number);
        for (change, user) in members(context, event).await? {
            let done = user.is_none_or(|user| outcome::is_done(&user, event.verb, &change.details));
            if !done {
                outcomes.entry(change.client_user_id).or_insert_with(|| outcome::of_failure(event.verb, number));
            }
        }
    }
    settle(context, round, event, outcomes).await
}

/// A request that may or may not have reached Apple: settled at once when the listing shows all of it as done; else only
/// after the waiting time, because Apple may still be working on it.
async fn settle_unsure(
    context: &Shared,
    round: &mut Round,
    mut event: UserEvent,
    stable: bool,
) -> Result<(), OperationError> {
    let mut outcomes = BTreeMap::new();
    for (change, user) in members(context, &event).await? {
        if user.is_some_and(|user| !outcome::is_done(&user, event.verb, &change.details)) {
            outcomes.insert(change.client_user_id, Outcome::Released);
        }
    }
    let now = context.clock.now();
    let wait = context.config().apple.unknown_outcome_wait.saturating_mul(if stable { 1 } else { UNSTABLE_WAITS });
    if outcomes.is_empty() || after(event.sent_at.unwrap_or(event.intended_at), wait) <= now {
        return settle(context, round, &event, outcomes).await;
    }
    event.looks += 1;
    event.next_look_at = Some(after(now, poll(context, event.looks)));
    save(context, event).await
}

// Settling.

async fn release(context: &Shared, round: &mut Round, event: &UserEvent, why: &str) -> Result<(), OperationError> {
    let name = round.location.name.clone();
    log::warn!(vppd_location = name.as_str(); "a request about users of \"{name}\" is not sent: {why}");
    let members = changes(context, event).await?;
    let outcomes = members.into_iter().map(|change| (change.client_user_id, Outcome::Released)).collect();
    settle(context, round, event, outcomes).await
}

/// Ends a request. Users who are not among `outcomes` went through.
async fn settle(
    context: &Shared,
    round: &mut Round,
    event: &UserEvent,
    outcomes: BTreeMap<String, Outcome>,
) -> Result<(), OperationError> {
    let (ended, now, location) = (event.clone(), context.clock.now(), round.location.name.clone());
    let (freed, raised) = context
        .store
        .write(move |w| -> Result<_, StoreError> {
            let (mut done, mut freed, mut raised) = (0, false, Vec::new());
            for change in user_events::changes(w, &ended.id)? {
                let outcome = outcomes.get(&change.client_user_id).unwrap_or(&Outcome::Done);
                done += u64::from(matches!(outcome, Outcome::Done | Outcome::There));
                freed |= holds_after_retirement(w, &ended, &change, outcome)?;
                let Some(mut user) = users::get(w, ended.location, &change.client_user_id)? else { continue };
                outcome::note(&mut user, ended.verb, &change, outcome, ended.intended_at, now);
                users::keep_or_forget(w, &user)?;
                raised.extend(super::tell_trouble(w, &user, &location, now)?);
            }
            user_events::settle(w, &ended.id, done, now)?;
            let verb = match ended.verb {
                UserVerb::Create => "registered",
                UserVerb::Update => "changed",
                UserVerb::Retire => "retired",
            };
            let words = format!("{done} of {} users were {verb}", ended.users);
            let advice = "`vppd user list` tells where everybody stands, and what can be done.";
            tasks::request_ended(w, &ended.id, now, done, words, advice)?;
            Ok((freed, raised))
        })
        .await?;
    raised.iter().for_each(alerts::announce);
    if freed {
        // Their licences are free again; the listing says which.
        sync::full(context, round).await?;
    }
    // Who is registered now can hold licences.
    context.plan_now.notify_one();
    Ok(())
}

/// Whether a user who is retired now held licences as far as known.
fn holds_after_retirement(
    w: &Write<'_>,
    event: &UserEvent,
    change: &Change,
    outcome: &Outcome,
) -> Result<bool, StoreError> {
    let retired = event.verb == UserVerb::Retire && *outcome == Outcome::Done;
    Ok(retired && !assignments::of_user(w, event.location, &change.client_user_id)?.is_empty())
}
