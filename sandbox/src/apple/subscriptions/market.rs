//! Subscriptions at Apple without this API: bought, given through groups, and how they are seen.

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::{Seat, SeatCounts, Subscription, SubscriptionStatus};
use crate::apple::Apple;
use crate::apple::admin::AdminError;
use crate::apple::location::Table;

/// A subscription to buy into a location.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct NewSubscription {
    pub adam_id: u64,
    /// The app it belongs to.
    #[serde(default)]
    pub parent_adam_id: Option<u64>,
    #[serde(default)]
    pub status: SubscriptionStatus,
    /// The period ends when this day begins, in UTC.
    pub period_end: Date,
    #[serde(default)]
    pub renewing: u32,
    #[serde(default)]
    pub expiring: u32,
}

/// Which seats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SeatKind {
    Renewing,
    Expiring,
}

/// One subscription, as the control side and tests see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct SubscriptionView {
    pub adam_id: u64,
    pub status: SubscriptionStatus,
    pub period_end: Date,
    pub assigned: SeatCounts,
    pub available: SeatCounts,
    pub total: SeatCounts,
    /// clientUserIds.
    pub holders: Vec<String>,
    pub admins: Vec<String>,
}

impl Subscription {
    pub(in crate::apple) fn view(&self, adam_id: u64) -> SubscriptionView {
        SubscriptionView {
            adam_id,
            status: self.status,
            period_end: self.period_end,
            assigned: self.assigned(),
            available: self.available(),
            total: self.owned,
            holders: self.seats.keys().cloned().collect(),
            admins: self.admins.iter().cloned().collect(),
        }
    }
}

impl Apple {
    /// Somebody declares, or takes it back, that the location handles subscriptions.
    pub fn declare_subscriptions(&self, u_id: &str, handled: bool) -> Result<(), AdminError> {
        self.lock().known_location(u_id)?.subscriptions_enabled = handled;
        Ok(())
    }

    /// A subscription is bought, or changed; seats that are held stay. The location has to have declared that it handles
    /// subscriptions.
    pub fn add_subscription(&self, u_id: &str, new: NewSubscription) -> Result<(), AdminError> {
        let now = self.0.clock.now();
        let mut state = self.lock();
        let location = state.known_location(u_id)?;
        if !location.subscriptions_enabled {
            let text = format!("location {u_id} has not enabled subscriptions, so none can be bought into it");
            return Err(AdminError::Invalid(text));
        }
        let earlier = location.subscriptions.remove(&new.adam_id);
        let (seats, admins): (BTreeMap<_, _>, BTreeSet<_>) =
            earlier.map(|one| (one.seats, one.admins)).unwrap_or_default();
        let owned = SeatCounts { renewing: new.renewing, expiring: new.expiring };
        let NewSubscription { parent_adam_id: parent, status, period_end, .. } = new;
        location.subscriptions.insert(new.adam_id, Subscription { parent, status, period_end, owned, seats, admins });
        location.wrote(&[Table::Subscriptions], now);
        state.notify_seats(u_id, new.adam_id, now);
        drop(state);
        self.flush();
        Ok(())
    }

    /// More seats are bought.
    pub fn buy_seats(&self, u_id: &str, adam_id: u64, kind: SeatKind, count: u32) -> Result<(), AdminError> {
        let now = self.0.clock.now();
        let mut state = self.lock();
        let location = state.known_location(u_id)?;
        let subscription = known(location.subscriptions.get_mut(&adam_id), u_id, adam_id)?;
        let owned = match kind {
            SeatKind::Renewing => &mut subscription.owned.renewing,
            SeatKind::Expiring => &mut subscription.owned.expiring,
        };
        *owned = owned.saturating_add(count);
        location.wrote(&[Table::Subscriptions], now);
        state.notify_seats(u_id, adam_id, now);
        drop(state);
        self.flush();
        Ok(())
    }

    /// A user gets a seat through a group in Apple's own portal.
    pub fn give_seat_by_group(&self, u_id: &str, adam_id: u64, client_user_id: &str) -> Result<(), AdminError> {
        let now = self.0.clock.now();
        let mut state = self.lock();
        let location = state.known_location(u_id)?;
        if location.users.active(client_user_id).is_none() {
            let (location, client_user_id) = (u_id.to_owned(), client_user_id.to_owned());
            return Err(AdminError::NoUser { location, client_user_id });
        }
        let subscription = known(location.subscriptions.get_mut(&adam_id), u_id, adam_id)?;
        let seat = Seat { renewing: true, by_group: true, leaving: None };
        subscription.seats.insert(client_user_id.to_owned(), seat);
        location.wrote(&[Table::Subscriptions], now);
        Ok(())
    }
}

fn known<'a>(
    found: Option<&'a mut Subscription>,
    u_id: &str,
    adam_id: u64,
) -> Result<&'a mut Subscription, AdminError> {
    found.ok_or_else(|| AdminError::NoAsset { location: u_id.to_owned(), adam_id: adam_id.to_string() })
}
