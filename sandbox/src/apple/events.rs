//! Events: how one is accepted, and what `GET status` tells of it.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::admission::Session;
use super::endpoint::{Call, Reply};
use super::engine::{Job, Task};
use super::errors::{AppleError, Refusal};
use super::location::{AssetKey, Event, Target};
use super::query::Query;
use super::state::State;
use super::wire::{ErrorBody, ErrorInfo, EventAccepted, EventReport, EventStatus, EventType};

impl State {
    /// Check 12: from now on there is an event for these tasks.
    pub(super) fn accept(
        &mut self,
        kind: EventType,
        tasks: Vec<Task>,
        session: &Session,
        now: Timestamp,
    ) -> (Reply, Option<Job>) {
        let event_id = self.chance.uuid().to_string();
        let job = Job::new(session.u_id.clone(), event_id.clone(), kind, tasks);
        if !job.is_done() {
            self.note_pending(&job);
        }
        // Nothing to do is done at once.
        let status = if job.is_done() { EventStatus::Complete } else { EventStatus::Pending };
        let event =
            Event { kind, accepted: now, status, requested: job.len(), completed: 0, failures: BTreeMap::new() };
        let life = self.event_life();
        if let Some(location) = self.locations.get_mut(&session.u_id) {
            // What nobody can ask for any more; a pending event is still needed by its worker.
            location
                .events
                .retain(|_, event| event.status == EventStatus::Pending || now.duration_since(event.accepted) < life);
            location.events.insert(event_id.clone(), event);
        }
        let reply = Reply::json(200, &EventAccepted { event_id, common: self.common(session, now) });
        (reply, Some(job))
    }

    /// `GET status`.
    pub(super) fn status(&mut self, call: &Call, session: &Session, now: Timestamp) -> Result<Reply, Refusal> {
        let query = Query::parse(&call.query, &["eventId"])?;
        let id = query.get("eventId").ok_or_else(|| Refusal::unreadable("eventId is missing."))?;
        let life = self.event_life();
        let common = self.common(session, now);
        let location = self.location(session)?;
        let event = location.events.get(id).filter(|event| now.duration_since(event.accepted) < life);
        let event = event.ok_or(AppleError::UnknownEvent)?;
        let failures = event.failures.iter();
        let report = EventReport {
            event_status: event.status,
            event_type: event.kind,
            failures: failures.map(|((error, key), targets)| failure(*error, key.as_ref(), targets)).collect(),
            num_completed: event.completed,
            num_requested: event.requested,
            common,
        };
        Ok(Reply::json(200, &report))
    }

    /// How long an event can be asked for.
    fn event_life(&self) -> SignedDuration {
        SignedDuration::from_secs(i64::try_from(self.switches.event_ttl_seconds).unwrap_or(i64::MAX))
    }
}

fn failure(error: AppleError, key: Option<&AssetKey>, targets: &[Target]) -> ErrorBody {
    let mut info = ErrorInfo { assets: key.map(AssetKey::to_ref).into_iter().collect(), ..ErrorInfo::default() };
    for target in targets {
        match target {
            Target::Serial(serial) => info.serial_numbers.push(serial.clone()),
            Target::User(id) => info.client_user_ids.push(id.clone()),
        }
    }
    ErrorBody { error_info: Some(info), ..ErrorBody::from(error) }
}
