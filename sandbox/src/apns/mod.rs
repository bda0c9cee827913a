//! Plays APNs for MDM pushes: HTTP/2 with a push certificate, one request per push.
//!
//! [`Apns::push`] is the service without sockets; [`server`] puts it behind TLS. It delivers into the inboxes of the
//! devices and knows nothing of Apps and Books. Stricter than Apple where that costs a client nothing: `apns-topic` and
//! `apns-push-type` have to be there, though Apple fills them in for a certificate with one topic.

mod checks;
pub mod server;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use crate::chance::Chance;
use crate::clock::Clock;
use crate::world::{PushInboxes, Wake};

use self::checks::Checked;
pub use self::checks::Push;

/// The simulated APNs. Cheap to clone; all clones are the same.
#[derive(Clone)]
pub struct Apns(Arc<Inner>);

struct Inner {
    state: Mutex<State>,
    inboxes: PushInboxes,
    clock: Clock,
}

struct State {
    chance: Chance,
    rules: Vec<AnswerRule>,
    counters: PushCounters,
}

/// An answer on demand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PushAnswer {
    /// 410 `Unregistered`.
    Unregistered,
    /// 429 `TooManyRequests`.
    TooManyRequests,
    /// 503 `ServiceUnavailable`.
    ServiceUnavailable,
    /// The connection is lost; the push was not taken.
    LostBeforeDelivery,
    /// The connection is lost; the push was delivered.
    LostAfterDelivery,
    /// This status with this body; the push was not taken.
    Canned { status: u16, body: String },
}

/// Which pushes get an answer on demand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct AnswerRule {
    pub answer: PushAnswer,
    /// Lower-case hex of the first bytes of the token; `None` is every token.
    #[serde(default)]
    pub token_prefix: Option<String>,
    /// For the next n pushes that match; `None` is until the rules are cleared.
    #[serde(default)]
    pub next: Option<u32>,
}

/// What was counted since the start.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct PushCounters {
    /// Requests received.
    pub pushes: u64,
    /// Pushes handed to a device.
    pub delivered: u64,
    /// Connections closed instead of an answer.
    pub lost: u64,
    /// Answers by status.
    pub statuses: BTreeMap<u16, u64>,
    /// Answers other than 200, by reason.
    pub reasons: BTreeMap<String, u64>,
    /// Requests that APNs does not document.
    pub refused: u64,
}

/// What becomes of a push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PushOutcome {
    Reply(PushReply),
    /// The connection is closed without a reply.
    Closed,
}

/// A reply to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushReply {
    pub status: u16,
    pub apns_id: String,
    /// Empty with 200.
    pub body: String,
}

/// Why a push is not taken. Apple: Handling notification responses from APNs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reason {
    pub status: u16,
    pub reason: &'static str,
    /// The client's mistake, counted as refused.
    pub refused: bool,
}

impl Apns {
    /// An APNs that delivers into `inboxes`. Ids come from `seed`.
    pub fn new(clock: Clock, seed: u64, inboxes: PushInboxes) -> Apns {
        let state = State { chance: Chance::seeded(seed), rules: Vec::new(), counters: PushCounters::default() };
        Apns(Arc::new(Inner { state: Mutex::new(state), inboxes, clock }))
    }

    /// Answers one push.
    pub fn push(&self, push: &Push) -> PushOutcome {
        let mut state = self.state();
        state.counters.pushes += 1;
        let checked = match checks::check(push) {
            Ok(checked) => checked,
            Err(reason) => return self.decline(&mut state, push, reason),
        };
        let answer = strike(&mut state.rules, &checked);
        match answer {
            Some(PushAnswer::Unregistered) => self.decline(&mut state, push, UNREGISTERED),
            Some(PushAnswer::TooManyRequests) => self.decline(&mut state, push, TOO_MANY_REQUESTS),
            Some(PushAnswer::ServiceUnavailable) => self.decline(&mut state, push, SERVICE_UNAVAILABLE),
            Some(PushAnswer::Canned { status, body }) => {
                *state.counters.statuses.entry(status).or_default() += 1;
                PushOutcome::Reply(PushReply { status, apns_id: state.apns_id(push), body })
            }
            Some(PushAnswer::LostBeforeDelivery) => {
                state.counters.lost += 1;
                PushOutcome::Closed
            }
            Some(PushAnswer::LostAfterDelivery) | None => {
                if !self.0.inboxes.deliver(&checked.token, Wake { push_magic: checked.push_magic }) {
                    return self.decline(&mut state, push, UNREGISTERED);
                }
                state.counters.delivered += 1;
                if answer.is_some() {
                    state.counters.lost += 1;
                    return PushOutcome::Closed;
                }
                let apns_id = state.apns_id(push);
                *state.counters.statuses.entry(200).or_default() += 1;
                PushOutcome::Reply(PushReply { status: 200, apns_id, body: String::new() })
            }
        }
    }

    /// Adds an answer on demand after those that are waiting.
    pub fn add_answer(&self, rule: AnswerRule) {
        self.state().rules.push(rule);
    }

    /// No more answers on demand.
    pub fn clear_answers(&self) {
        self.state().rules.clear();
    }

    /// What was counted since the start.
    pub fn counters(&self) -> PushCounters {
        self.state().counters.clone()
    }

    fn decline(&self, state: &mut State, push: &Push, reason: Reason) -> PushOutcome {
        *state.counters.statuses.entry(reason.status).or_default() += 1;
        *state.counters.reasons.entry(reason.reason.to_owned()).or_default() += 1;
        state.counters.refused += u64::from(reason.refused);
        let mut body = serde_json::json!({"reason": reason.reason});
        if reason.status == 410
            && let Some(members) = body.as_object_mut()
        {
            members.insert("timestamp".to_owned(), self.0.clock.now().as_millisecond().into());
        }
        PushOutcome::Reply(PushReply { status: reason.status, apns_id: state.apns_id(push), body: body.to_string() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn apns_id(&mut self, push: &Push) -> String {
        let own = self.chance.uuid().to_string();
        push.header("apns-id").map_or(own, str::to_owned)
    }
}

const UNREGISTERED: Reason = Reason { status: 410, reason: "Unregistered", refused: false };
const TOO_MANY_REQUESTS: Reason = Reason { status: 429, reason: "TooManyRequests", refused: false };
const SERVICE_UNAVAILABLE: Reason = Reason { status: 503, reason: "ServiceUnavailable", refused: false };

/// The answer of the first rule that matches. Rules that are used up go.
fn strike(rules: &mut Vec<AnswerRule>, push: &Checked) -> Option<PushAnswer> {
    let matching = |rule: &&mut AnswerRule| {
        rule.next != Some(0) && rule.token_prefix.as_deref().is_none_or(|prefix| push.token_hex.starts_with(prefix))
    };
    let answer = rules.iter_mut().find(matching).map(|rule| {
        rule.next = rule.next.map(|left| left.saturating_sub(1));
        rule.answer.clone()
    });
    rules.retain(|rule| rule.next != Some(0));
    answer
}
