//! What Apple tells of its own accord: which notifications there are, and what the switch `notif-fault` does to them.
//!
//! Here they are only written and queued; `sender` delivers them.

use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

use super::errors::AppleError;
use super::state::State;
use super::switches::NotifFault;
use super::wire::{Element, ErrorBody, EventType, NotificationType};

/// Elements of one notification at most. Apple: Subscribing to notifications.
const MOST_ELEMENTS: usize = 100;
/// Elements of one notification with the switch `notif-fault` at `split`.
const FEW_ELEMENTS: usize = 10;
/// How late a notification can be with the switch `notif-fault` at `reorder`.
const LATEST_MS: u64 = 90_000;
/// How many deliveries the log keeps.
const LOG_LENGTH: usize = 100_000;

/// Where a location's notifications go.
#[derive(Debug, Clone)]
pub(super) struct NotificationTarget {
    pub url: String,
    pub secret: String,
}

/// A notification to deliver.
#[derive(Debug, Clone)]
pub(super) struct Outgoing {
    pub u_id: String,
    pub id: String,
    pub kind: String,
    pub body: Bytes,
    /// Held back for so long.
    pub wait: Duration,
    pub wrong_secret: bool,
}

/// One attempt to deliver a notification.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct NotificationRecord {
    pub at: Timestamp,
    pub u_id: String,
    pub notification_id: String,
    pub notification_type: String,
    /// From 1.
    pub attempt: usize,
    pub result: Delivery,
}

/// What became of an attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Delivery {
    /// With this 2xx status.
    Accepted(u16),
    /// With another status.
    Refused(u16),
    /// There was no answer.
    Failed(String),
    /// The switch `notif-fault` said so.
    Dropped,
}

/// The envelope of every notification. Apple: Subscribing to notifications.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Envelope<'a> {
    notification_id: &'a str,
    notification_type: &'a str,
    u_id: &'a str,
    notification: Value,
}

/// What an event has come to, for some of its elements.
pub(super) struct Finished<'a> {
    pub u_id: &'a str,
    pub event_id: &'a str,
    pub kind: EventType,
    pub error: Option<AppleError>,
    pub elements: Vec<Element>,
}

impl State {
    /// Queues a notification, if the location has subscribed to its type.
    pub(super) fn notify(&mut self, u_id: &str, kind: NotificationType, content: Value, now: Timestamp) {
        let Some(location) = self.locations.get(u_id) else { return };
        if location.notification_target.is_none() || !location.notification_types.contains(&kind) {
            return;
        }
        let fault = self.notification_fault();
        if fault == NotifFault::UnknownType {
            let strange = self.letter(u_id, "WEATHER_FORECAST", json!({"outlook": "rain"}));
            self.outbox.push(strange);
        }
        let mut letter = self.letter(u_id, &kind.to_string(), content);
        match fault {
            NotifFault::Drop => return self.note_delivery(&letter, 1, Delivery::Dropped, now),
            NotifFault::Reorder => letter.wait = Duration::from_millis(self.chance.below(LATEST_MS)),
            NotifFault::Duplicate => self.outbox.push(letter.clone()),
            NotifFault::WrongSecret => letter.wrong_secret = true,
            NotifFault::Off | NotifFault::Split | NotifFault::UnknownType => {}
        }
        self.outbox.push(letter);
    }

    /// Tells what has come of tasks: one notification for each result, and more if there are too many elements.
    pub(super) fn notify_finished(&mut self, finished: Finished, now: Timestamp) {
        let Finished { u_id, event_id, kind, error, elements } = finished;
        let most = if self.switches.notif_fault == NotifFault::Split { FEW_ELEMENTS } else { MOST_ELEMENTS };
        let (notification_type, list) = match kind {
            _ if matches!(elements.first(), Some(Element::Seat(_))) => {
                (NotificationType::SubscriptionManagement, "assignments")
            }
            EventType::Create | EventType::Update | EventType::Retire => (NotificationType::UserManagement, "users"),
            _ => (NotificationType::AssetManagement, "assignments"),
        };
        // Tasks without an element of their own still have a result.
        let none: [&[Element]; 1] = [&[]];
        let parts: Vec<&[Element]> = if elements.is_empty() { none.to_vec() } else { elements.chunks(most).collect() };
        for part in parts {
            let result = if error.is_none() { "SUCCESS" } else { "FAILURE" };
            let mut content = json!({"type": kind, "result": result, "eventId": event_id, list: part});
            if let (Some(error), Value::Object(members)) = (error, &mut content) {
                members.insert("error".to_owned(), json!(ErrorBody::from(error)));
            }
            self.notify(u_id, notification_type, content, now);
        }
    }

    /// A notification in its envelope.
    pub(super) fn letter(&mut self, u_id: &str, kind: &str, notification: Value) -> Outgoing {
        let id = self.chance.uuid().to_string();
        let envelope = Envelope { notification_id: &id, notification_type: kind, u_id, notification };
        let body = json!(envelope).to_string().into();
        let (u_id, kind) = (u_id.to_owned(), kind.to_owned());
        Outgoing { u_id, id, kind, body, wait: Duration::ZERO, wrong_secret: false }
    }

    pub(super) fn note_delivery(&mut self, letter: &Outgoing, attempt: usize, result: Delivery, now: Timestamp) {
        if self.deliveries.len() >= LOG_LENGTH {
            self.deliveries.pop_front();
        }
        self.deliveries.push_back(NotificationRecord {
            at: now,
            u_id: letter.u_id.clone(),
            notification_id: letter.id.clone(),
            notification_type: letter.kind.clone(),
            attempt,
            result,
        });
    }

    fn notification_fault(&mut self) -> NotifFault {
        let struck = self.chance.below(100) < u64::from(self.switches.notif_fault_percent);
        if struck { self.switches.notif_fault } else { NotifFault::Off }
    }
}
