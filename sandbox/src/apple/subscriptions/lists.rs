//! What can be listed about subscriptions, a page at a time by cursor.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;

use super::{SeatCounts, SeatRecord, Subscription, SubscriptionStatus};
use crate::apple::admission::Session;
use crate::apple::endpoint::{Call, Reply};
use crate::apple::errors::{AppleError, Refusal};
use crate::apple::query::{Filter, Query};
use crate::apple::roster::User;
use crate::apple::state::State;
use crate::apple::switches::LastCursor;
use crate::apple::wire::{Common, UserStatus};

/// Apple: ResponseSubscription.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SubscriptionRecord {
    parent_adam_id: Option<u64>,
    adam_id: u64,
    status: SubscriptionStatus,
    period_end_date: Date,
    counts: Counts,
}

#[derive(Serialize)]
struct Counts {
    assigned: SeatCounts,
    available: SeatCounts,
    total: SeatCounts,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AdminRecord {
    adam_id: u64,
    client_user_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    id_hash: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_status: Option<UserStatus>,
}

/// One page; the list itself has a name of its own in each reply.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Page<T> {
    #[serde(skip_serializing_if = "Option::is_none")]
    subscriptions: Option<Vec<T>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    assignments: Option<Vec<T>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    admins: Option<Vec<T>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
    version_id: String,
    #[serde(flatten)]
    common: Common,
}

impl<T> Page<T> {
    fn empty(version_id: &str, next_cursor: Option<String>, common: Common) -> Page<T> {
        let version_id = version_id.to_owned();
        Page { subscriptions: None, assignments: None, admins: None, next_cursor, version_id, common }
    }
}

impl State {
    pub(in crate::apple) fn subscriptions(
        &mut self,
        call: &Call,
        session: &Session,
        now: Timestamp,
    ) -> Result<Reply, Refusal> {
        let query = Query::parse(&call.query, &["parentAdamId", "adamId", "cursor"])?;
        let (parent, adam_id) = (self.number(&query, "parentAdamId")?, self.number(&query, "adamId")?);
        let common = self.common(session, now);
        let location = self.location(session)?;
        let record = |(adam_id, one): (&u64, &Subscription)| SubscriptionRecord {
            parent_adam_id: one.parent,
            adam_id: *adam_id,
            status: one.status,
            period_end_date: one.period_end,
            counts: Counts { assigned: one.assigned(), available: one.available(), total: one.owned },
        };
        let matching = location.subscriptions.iter().filter(|(id, one)| {
            adam_id.admits(|wanted| wanted == *id) && parent.admits(|wanted| Some(*wanted) == one.parent)
        });
        let all: Vec<_> = matching.map(record).collect();
        let version = location.subscription_versions.id().to_owned();
        let (page, next) = self.turn(all, "subscriptions", &query)?;
        Ok(Reply::json(200, &Page { subscriptions: Some(page), ..Page::empty(&version, next, common) }))
    }

    pub(in crate::apple) fn seat_assignments(
        &mut self,
        call: &Call,
        session: &Session,
        now: Timestamp,
    ) -> Result<Reply, Refusal> {
        let query = Query::parse(&call.query, &["parentAdamId", "adamId", "clientUserId", "cursor"])?;
        let (parent, adam_id) = (self.number(&query, "parentAdamId")?, self.number(&query, "adamId")?);
        let user = query.text("clientUserId", self.switches.filter_bad)?;
        let common = self.common(session, now);
        let location = self.location(session)?;
        let mut all = Vec::new();
        for (id, one) in &location.subscriptions {
            if adam_id.admits(|wanted| wanted == id) && parent.admits(|wanted| Some(*wanted) == one.parent) {
                let seats = one.seats.iter().filter(|(holder, _)| user.admits(|wanted| wanted == *holder));
                all.extend(seats.map(|(holder, seat)| SeatRecord {
                    adam_id: *id,
                    client_user_id: holder.clone(),
                    renewing: seat.renewing,
                }));
            }
        }
        let version = location.subscription_versions.id().to_owned();
        let (page, next) = self.turn(all, "assignments", &query)?;
        Ok(Reply::json(200, &Page { assignments: Some(page), ..Page::empty(&version, next, common) }))
    }

    pub(in crate::apple) fn seat_admins(
        &mut self,
        call: &Call,
        session: &Session,
        now: Timestamp,
    ) -> Result<Reply, Refusal> {
        let query = Query::parse_repeating(&call.query, &["adamId", "includeUserState", "cursor"], &["adamId"])?;
        let wanted: Vec<u64> = query
            .all("adamId")
            .map(|text| text.parse().map_err(|_| AppleError::BadAdamId.into()))
            .collect::<Result<_, Refusal>>()?;
        let with_state = query.boolean("includeUserState", self.switches.filter_bad)? == Filter::Only(true);
        let common = self.common(session, now);
        let location = self.location(session)?;
        let mut all = Vec::new();
        for (id, one) in location.subscriptions.iter().filter(|(id, _)| wanted.is_empty() || wanted.contains(id)) {
            all.extend(one.admins.iter().map(|admin| {
                let user = location.users.active(admin).and_then(|record| location.users.get(record));
                AdminRecord {
                    adam_id: *id,
                    client_user_id: admin.clone(),
                    id_hash: user.and_then(User::id_hash),
                    user_status: user.filter(|_| with_state).map(|user| user.status),
                }
            }));
        }
        let version = location.subscription_versions.id().to_owned();
        let (page, next) = self.turn(all, "admins", &query)?;
        Ok(Reply::json(200, &Page { admins: Some(page), ..Page::empty(&version, next, common) }))
    }

    fn number(&self, query: &Query, name: &str) -> Result<Filter<u64>, Refusal> {
        query.filter(name, self.switches.filter_bad, |text| text.parse().ok())
    }

    /// The page at the cursor, and the cursor of the next one.
    fn turn<T>(&self, all: Vec<T>, list: &str, query: &Query) -> Result<(Vec<T>, Option<String>), Refusal> {
        let write = |start: usize| BASE64_STANDARD.encode(format!("{list}:{start}"));
        let start = match query.get("cursor") {
            None => 0,
            Some(text) => read_cursor(text, list).filter(|start| *start <= all.len()).ok_or(AppleError::BadCursor)?,
        };
        let total = all.len();
        let page: Vec<T> = all.into_iter().skip(start).take(self.switches.page_size).collect();
        let end = start + page.len();
        let more = end < total || (self.switches.last_cursor == LastCursor::EmptyPage && !page.is_empty());
        Ok((page, more.then(|| write(end))))
    }
}

fn read_cursor(text: &str, list: &str) -> Option<usize> {
    let text = String::from_utf8(BASE64_STANDARD.decode(text).ok()?).ok()?;
    let (of, start) = text.split_once(':')?;
    if of == list { start.parse().ok() } else { None }
}
