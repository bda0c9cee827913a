//! Subscriptions, which came in June 2026: seats that users hold for a period. Apple: Managing subscriptions.
//!
//! Seats are owned as renewing or expiring, and so are they assigned. An expiring assignment takes an expiring seat if there
//! is one, else a renewing one, which is free again at the end of the period; an expiring seat is gone by then.

mod lists;
mod manage;
mod market;

use std::collections::{BTreeMap, BTreeSet};

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use serde::{Deserialize, Serialize};
use serde_json::json;

pub use self::market::{NewSubscription, SeatKind, SubscriptionView};
use super::errors::AppleError;
use super::location::{Location, Table};
use super::notices::Finished;
use super::state::State;
use super::wire::{Element, EventType, NotificationType};

/// Whether a subscription is to be had. Apple: ResponseSubscription, status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum SubscriptionStatus {
    #[default]
    Active,
    Inactive,
    Paused,
}

/// One subscription of a location.
#[derive(Debug, Clone)]
pub(super) struct Subscription {
    pub parent: Option<u64>,
    pub status: SubscriptionStatus,
    /// The period ends when this day begins, in UTC.
    pub period_end: Date,
    /// Seats owned.
    pub owned: SeatCounts,
    /// By clientUserId.
    pub seats: BTreeMap<String, Seat>,
    pub admins: BTreeSet<String>,
}

/// A seat that a user holds.
#[derive(Debug, Clone)]
pub(super) struct Seat {
    pub renewing: bool,
    /// Came with a group, not with a request.
    pub by_group: bool,
    /// The event that takes it back at the end of the period.
    pub leaving: Option<String>,
}

/// Seats by kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct SeatCounts {
    pub renewing: u32,
    pub expiring: u32,
}

/// A seat, as listings and notifications name it. Here an adamId is a number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SeatRecord {
    pub adam_id: u64,
    pub client_user_id: String,
    pub renewing: bool,
}

/// What is to be done about a seat.
#[derive(Debug, Clone)]
pub(super) enum SeatTask {
    Give { renewing: bool },
    Take { deferred: bool },
}

impl Subscription {
    pub(super) fn assigned(&self) -> SeatCounts {
        let renewing = self.seats.values().filter(|seat| seat.renewing).count();
        let expiring = self.seats.len() - renewing;
        let count = |seats: usize| u32::try_from(seats).unwrap_or(u32::MAX);
        SeatCounts { renewing: count(renewing), expiring: count(expiring) }
    }

    pub(super) fn available(&self) -> SeatCounts {
        let assigned = self.assigned();
        let on_expiring = assigned.expiring.min(self.owned.expiring);
        let on_renewing = assigned.renewing + assigned.expiring - on_expiring;
        SeatCounts {
            renewing: self.owned.renewing.saturating_sub(on_renewing),
            expiring: self.owned.expiring - on_expiring,
        }
    }

    fn give(&mut self, id: &str, renewing: bool) -> Result<bool, AppleError> {
        let free = self.available();
        match self.seats.get_mut(id) {
            Some(seat) if seat.renewing == renewing && seat.leaving.is_none() => Ok(false),
            Some(seat) => {
                (seat.renewing, seat.leaving) = (renewing, None);
                Ok(true)
            }
            None if free.renewing > 0 || (!renewing && free.expiring > 0) => {
                self.seats.insert(id.to_owned(), Seat { renewing, by_group: false, leaving: None });
                Ok(true)
            }
            None => Err(AppleError::NotEnoughLicences),
        }
    }
}

impl Location {
    /// Does one task about a seat. What is put off until the end of the period is announced only then.
    pub(super) fn manage_seat(
        &mut self,
        adam_id: u64,
        id: &str,
        task: &SeatTask,
        event_id: &str,
    ) -> Result<(bool, Option<Element>), AppleError> {
        let subscription = self.subscriptions.get_mut(&adam_id).ok_or(AppleError::BadAdamId)?;
        let record = |renewing| Element::Seat(SeatRecord { adam_id, client_user_id: id.to_owned(), renewing });
        match task {
            SeatTask::Give { renewing } => Ok((subscription.give(id, *renewing)?, Some(record(*renewing)))),
            SeatTask::Take { deferred: false } => {
                let seat = subscription.seats.remove(id);
                Ok((seat.is_some(), Some(record(seat.is_some_and(|seat| seat.renewing)))))
            }
            SeatTask::Take { deferred: true } => {
                let seat = subscription.seats.get_mut(id).ok_or(AppleError::SeatNotHeld)?;
                (seat.renewing, seat.leaving) = (false, Some(event_id.to_owned()));
                Ok((true, None))
            }
        }
    }

    /// A user is gone, and with the user all seats. True when there were any.
    pub(super) fn free_seats(&mut self, id: &str) -> bool {
        let mut freed = false;
        for subscription in self.subscriptions.values_mut() {
            freed |= subscription.seats.remove(id).is_some() | subscription.admins.remove(id);
        }
        freed
    }
}

impl State {
    /// Periods that are over: expiring seats and assignments go, and the next period begins.
    pub(super) fn end_periods(&mut self, now: Timestamp) {
        let today = now.to_zoned(TimeZone::UTC).date();
        let due = |(u_id, location): (&String, &Location)| {
            let over = location.subscriptions.iter().filter(|(_, one)| one.period_end <= today);
            over.map(|(adam_id, _)| (u_id.clone(), *adam_id)).collect::<Vec<_>>()
        };
        let due: Vec<(String, u64)> = self.locations.iter().flat_map(due).collect();
        for (u_id, adam_id) in due {
            self.end_period(&u_id, adam_id, today, now);
        }
    }

    fn end_period(&mut self, u_id: &str, adam_id: u64, today: Date, now: Timestamp) {
        let Some(location) = self.locations.get_mut(u_id) else { return };
        let Some(subscription) = location.subscriptions.get_mut(&adam_id) else { return };
        while subscription.period_end <= today {
            let Ok(next) = subscription.period_end.checked_add(1.month()) else { return };
            subscription.period_end = next;
        }
        subscription.owned.expiring = 0;
        let mut gone: BTreeMap<String, Vec<Element>> = BTreeMap::new();
        subscription.seats.retain(|id, seat| {
            if !seat.renewing {
                let record = SeatRecord { adam_id, client_user_id: id.clone(), renewing: false };
                gone.entry(seat.leaving.clone().unwrap_or_default()).or_default().push(Element::Seat(record));
            }
            seat.renewing
        });
        location.wrote(&[Table::Subscriptions], now);
        for (event_id, elements) in gone {
            let event_id = if event_id.is_empty() { self.chance.uuid().to_string() } else { event_id };
            let kind = EventType::Disassociate;
            self.notify_finished(Finished { u_id, event_id: &event_id, kind, error: None, elements }, now);
        }
        self.notify_seats(u_id, adam_id, now);
    }

    /// Seats were bought, expired or renewed: `SUBSCRIPTION_COUNT`.
    fn notify_seats(&mut self, u_id: &str, adam_id: u64, now: Timestamp) {
        let one = self.locations.get(u_id).and_then(|location| location.subscriptions.get(&adam_id));
        let Some(one) = one else { return };
        let content = json!({"parentAdamId": one.parent, "adamId": adam_id,
                             "counts": {"available": one.available(), "total": one.owned}});
        self.notify(u_id, NotificationType::SubscriptionCount, content, now);
    }
}
