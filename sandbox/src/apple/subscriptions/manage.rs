//! What changes subscriptions over the wire: the declaration, seats and admins.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{SeatTask, SubscriptionStatus};
use crate::apple::admission::Session;
use crate::apple::body::{distinct, repeated};
use crate::apple::calls::Performed;
use crate::apple::endpoint::{Call, Endpoint, Reply};
use crate::apple::engine::Task;
use crate::apple::errors::{AppleError, Refusal};
use crate::apple::location::{Location, Table};
use crate::apple::query::Query;
use crate::apple::roster::UserStatus;
use crate::apple::state::State;
use crate::apple::wire::{ErrorInfo, EventType};

/// Body of `subscriptions/associate`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Associate {
    #[serde(default)]
    adam_ids: Vec<u64>,
    #[serde(default)]
    client_user_ids: Vec<String>,
    renewing: bool,
}

/// Body of `subscriptions/disassociate`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Disassociate {
    #[serde(default)]
    adam_ids: Vec<u64>,
    #[serde(default)]
    client_user_ids: Vec<String>,
    #[serde(default)]
    deferred: bool,
}

/// Body of `subscriptions/admins/add` and `subscriptions/admins/remove`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Admins {
    #[serde(default)]
    adam_ids: Vec<u64>,
    #[serde(default)]
    client_user_ids: Vec<String>,
}

impl State {
    /// `subscriptions/enable` and `subscriptions/disable`.
    pub(in crate::apple) fn declare_subscriptions(
        &mut self,
        endpoint: Endpoint,
        call: &Call,
        session: &Session,
        now: Timestamp,
    ) -> Result<Reply, Refusal> {
        Query::parse(&call.query, &[])?;
        if !call.body.is_empty() && call.read::<Value>()? != json!({}) {
            return Err(Refusal::unreadable("This call has no body."));
        }
        let enable = endpoint == Endpoint::EnableSubscriptions;
        let common = self.common(session, now);
        let location = self.location(session)?;
        if !enable && !location.subscriptions.is_empty() {
            return Err(AppleError::SubscriptionsExist.into());
        }
        location.subscriptions_enabled = enable;
        let mut body = json!(common);
        if let Value::Object(members) = &mut body {
            members.insert("subscriptionManagement".to_owned(), json!(enable));
        }
        Ok(Reply::json(200, &body))
    }

    /// `subscriptions/associate` and `subscriptions/disassociate`.
    pub(in crate::apple) fn manage_seats(
        &mut self,
        endpoint: Endpoint,
        call: &Call,
        session: &Session,
        now: Timestamp,
    ) -> Performed {
        Query::parse(&call.query, &[])?;
        let (kind, adam_ids, users, task) = if endpoint == Endpoint::AssociateSubscriptions {
            let Associate { adam_ids, client_user_ids, renewing } = call.read()?;
            (EventType::Associate, adam_ids, client_user_ids, SeatTask::Give { renewing })
        } else {
            let Disassociate { adam_ids, client_user_ids, deferred } = call.read()?;
            (EventType::Disassociate, adam_ids, client_user_ids, SeatTask::Take { deferred })
        };
        self.check_seats(&adam_ids, &users)?;
        let location = self.location(session)?;
        check_known(location, &adam_ids, &users)?;
        check_held(location, &adam_ids, &users, kind)?;
        let seat = |adam_id: u64, id: &String| Task::Seat(adam_id, id.clone(), task.clone());
        let tasks = adam_ids.iter().flat_map(|adam_id| users.iter().map(|id| seat(*adam_id, id))).collect();
        Ok(self.accept(kind, tasks, session, now))
    }

    /// `subscriptions/admins/add` and `subscriptions/admins/remove`.
    pub(in crate::apple) fn manage_seat_admins(
        &mut self,
        endpoint: Endpoint,
        call: &Call,
        session: &Session,
        now: Timestamp,
    ) -> Result<Reply, Refusal> {
        Query::parse(&call.query, &[])?;
        let Admins { adam_ids, client_user_ids } = call.read()?;
        self.check_seats(&adam_ids, &client_user_ids)?;
        let common = self.common(session, now);
        let location = self.location(session)?;
        check_known(location, &adam_ids, &client_user_ids)?;
        for adam_id in &adam_ids {
            let Some(subscription) = location.subscriptions.get_mut(adam_id) else { continue };
            for id in &client_user_ids {
                if endpoint == Endpoint::AddSubscriptionAdmins {
                    subscription.admins.insert(id.clone());
                } else {
                    subscription.admins.remove(id);
                }
            }
        }
        location.wrote(&[Table::Subscriptions], now);
        let mut body = json!({"uId": common.u_id, "versionId": location.subscription_versions.id()});
        if let (Some(expires), Value::Object(members)) = (common.token_expiration_date, &mut body) {
            members.insert("tokenExpirationDate".to_owned(), json!(expires));
        }
        Ok(Reply::json(200, &body))
    }

    fn check_seats(&self, adam_ids: &[u64], users: &[String]) -> Result<(), Refusal> {
        if adam_ids.is_empty() {
            return Err(AppleError::BadAdamId.into());
        }
        if users.is_empty() {
            return Err(AppleError::TargetsMissing.into());
        }
        if distinct(adam_ids) > self.limits.max_subscriptions
            || distinct(users) > self.limits.max_subscription_client_user_ids
        {
            return Err(AppleError::TooManySubscriptions.into());
        }
        if !repeated(adam_ids).is_empty() {
            return Err(AppleError::DuplicateAssets.into());
        }
        let twice = repeated(users);
        if twice.is_empty() { Ok(()) } else { Err(about(AppleError::DuplicateUsers, twice)) }
    }
}

fn check_known(location: &Location, adam_ids: &[u64], users: &[String]) -> Result<(), Refusal> {
    if !location.subscriptions_enabled {
        let detail = "Subscriptions are not enabled.".to_owned();
        return Err(Refusal { detail: Some(detail), ..AppleError::BadSeat.into() });
    }
    if adam_ids.iter().any(|id| !location.subscriptions.contains_key(id)) {
        return Err(AppleError::BadAdamId.into());
    }
    let associated = |id: &&String| {
        let user = location.users.active(id).and_then(|record| location.users.get(record));
        user.is_some_and(|user| user.status == UserStatus::Associated)
    };
    let strangers: Vec<String> = users.iter().filter(|id| !associated(id)).cloned().collect();
    if strangers.is_empty() { Ok(()) } else { Err(about(AppleError::NoAssociatedUser, strangers)) }
}

/// Whether the seats can be given, or are there to be taken.
fn check_held(location: &Location, adam_ids: &[u64], users: &[String], kind: EventType) -> Result<(), Refusal> {
    for subscription in adam_ids.iter().filter_map(|id| location.subscriptions.get(id)) {
        if kind == EventType::Associate && subscription.status != SubscriptionStatus::Active {
            return Err(AppleError::BadSeat.into());
        }
        let wrong = |id: &&String| match subscription.seats.get(*id) {
            Some(seat) => kind == EventType::Associate && seat.by_group,
            None => kind == EventType::Disassociate,
        };
        let wrong: Vec<String> = users.iter().filter(wrong).cloned().collect();
        if !wrong.is_empty() {
            let error =
                if kind == EventType::Associate { AppleError::SeatThroughGroup } else { AppleError::SeatNotHeld };
            return Err(about(error, wrong));
        }
    }
    Ok(())
}

fn about(error: AppleError, client_user_ids: Vec<String>) -> Refusal {
    Refusal::about(error, ErrorInfo { client_user_ids, ..ErrorInfo::default() })
}
