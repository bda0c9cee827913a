//! From a call to its outcome: admission, the endpoint itself, the fault if one strikes, and the entry in the log.

use std::time::Duration;

use bytes::Bytes;
use hyper::Method;
use jiff::{SignedDuration, Timestamp};

use super::admission::{Admitted, Session};
use super::catalogue::Counter;
use super::claim::NewConfig;
use super::endpoint::{BASE_PATH, Call, Endpoint, Flow, Outcome, Reply};
use super::engine::Job;
use super::errors::{AppleError, Refusal};
use super::faults::Fault;
use super::notices::{NotificationTarget, Outgoing};
use super::state::{CallRecord, State, apple_time};
use super::switches::{ExpDate, MdmInfoUnset, Profile2026, Token200};
use super::wire::{Common, ErrorBody};

/// A reply and the work that was accepted with it.
pub(super) type Performed = Result<(Reply, Option<Job>), Refusal>;

/// What is to be done about a call.
pub(super) enum Step {
    Done(Box<Answered>),
    /// A notification has to be delivered first; then [`State::answer_tested`] goes on.
    Test(Box<Tested>),
}

/// A call that is answered. The job, if there is one, is to be started whatever becomes of the reply.
pub(super) struct Answered {
    pub outcome: Outcome,
    pub job: Option<Job>,
    /// How long the reply is held back.
    pub delay: Duration,
}

/// A `POST client/config` that waits for its test.
pub(super) struct Tested {
    pub letter: Outgoing,
    pub target: NotificationTarget,
    config: NewConfig,
    session: Session,
    fault: Option<Fault>,
}

impl State {
    /// Answers one call, completely or up to the test notification.
    pub(super) fn answer(&mut self, call: &Call, now: Timestamp) -> Step {
        self.pass_time(now);
        let mut u_id = None;
        let there = |endpoint: &Endpoint| self.switches.profile_2026 == Profile2026::On || !endpoint.is_of_2026();
        let attempted = match (Endpoint::of(&call.path).filter(there), Counter::of(&call.path)) {
            (Some(endpoint), _) => self.attempt(endpoint, call, now, &mut u_id),
            (None, Some(counter)) => Ok(Step::done(self.answer_counter(counter, call, now))),
            (None, None) => {
                Ok(Step::done(Answered::with(Outcome::Reply(Reply::text(404, "There is nothing here.\n")))))
            }
        };
        match attempted {
            Ok(Step::Test(tested)) => Step::Test(tested),
            Ok(Step::Done(answered)) => Step::done(self.close(call, u_id, Ok(*answered), now)),
            Err(refusal) => Step::done(self.close(call, u_id, Err(refusal), now)),
        }
    }

    /// Answers the call whose test notification was or was not accepted.
    pub(super) fn answer_tested(&mut self, call: &Call, tested: Tested, accepted: bool, now: Timestamp) -> Answered {
        let Tested { config, session, fault, .. } = tested;
        let reply = if accepted {
            self.store_client_config(config, &session).and_then(|()| self.client_config(call, &session, now))
        } else {
            Err(AppleError::UrlUnreachable.into())
        };
        self.close(call, Some(session.u_id), reply.map(|reply| Answered::after(fault, reply, None)), now)
    }

    fn close(
        &mut self,
        call: &Call,
        u_id: Option<String>,
        result: Result<Answered, Refusal>,
        now: Timestamp,
    ) -> Answered {
        let error = result.as_ref().err().map(|refusal| refusal.error.number());
        let answered = match result {
            Ok(answered) => answered,
            Err(refusal) => Answered::with(Outcome::Reply(self.refuse(refusal, now))),
        };
        self.record(CallRecord {
            at: now,
            method: call.method.to_string(),
            endpoint: match Counter::of(&call.path) {
                Some(counter) => counter.name().to_owned(),
                None => call.path.strip_prefix(BASE_PATH).unwrap_or(&call.path).to_owned(),
            },
            query: call.query.clone(),
            u_id,
            status: match &answered.outcome {
                Outcome::Reply(reply) => Some(reply.status),
                Outcome::Closed | Outcome::Silent | Outcome::Reset => None,
            },
            error_number: error,
        });
        answered
    }

    fn attempt(
        &mut self,
        endpoint: Endpoint,
        call: &Call,
        now: Timestamp,
        u_id: &mut Option<String>,
    ) -> Result<Step, Refusal> {
        let Admitted { session, fault } = self.admit(endpoint, call, now, u_id)?;
        if let Some(outcome) = instead(fault.as_ref())? {
            return Ok(Step::done(Answered::with(outcome)));
        }
        let (reply, mut job) = match session {
            None => (self.service_config(call)?, None),
            Some(session) if endpoint == Endpoint::ClientConfig && call.method == Method::POST => {
                let config = self.read_client_config(call)?;
                if let Some(target) = config.target.clone() {
                    let letter = self.test_letter(&session);
                    return Ok(Step::Test(Box::new(Tested { letter, target, config, session, fault })));
                }
                self.store_client_config(config, &session)?;
                (self.client_config(call, &session, now)?, None)
            }
            Some(session) => self.perform(endpoint, call, &session, now)?,
        };
        match (&mut job, &fault) {
            (Some(job), Some(Fault::TasksFail(error))) => job.doom(error.number(), 100),
            (Some(job), Some(Fault::SomeTasksFail(percent))) => job.doom(AppleError::Internal, *percent),
            _ => {}
        }
        Ok(Step::done(Answered::after(fault, reply, job)))
    }

    fn perform(&mut self, endpoint: Endpoint, call: &Call, session: &Session, now: Timestamp) -> Performed {
        match endpoint {
            Endpoint::Assets => Ok((self.assets(call, session, now)?, None)),
            Endpoint::Assignments => Ok((self.assignments(call, session, now)?, None)),
            Endpoint::Associate | Endpoint::Disassociate => self.manage(endpoint, call, session, now),
            Endpoint::Revoke => self.revoke(call, session, now),
            Endpoint::Users => Ok((self.users(call, session, now)?, None)),
            Endpoint::CreateUsers | Endpoint::UpdateUsers | Endpoint::RetireUsers => {
                self.manage_users(endpoint, call, session, now)
            }
            Endpoint::Status => Ok((self.status(call, session, now)?, None)),
            Endpoint::Subscriptions => Ok((self.subscriptions(call, session, now)?, None)),
            Endpoint::SubscriptionAssignments => Ok((self.seat_assignments(call, session, now)?, None)),
            Endpoint::SubscriptionAdmins => Ok((self.seat_admins(call, session, now)?, None)),
            Endpoint::EnableSubscriptions | Endpoint::DisableSubscriptions => {
                Ok((self.declare_subscriptions(endpoint, call, session, now)?, None))
            }
            Endpoint::AssociateSubscriptions | Endpoint::DisassociateSubscriptions => {
                self.manage_seats(endpoint, call, session, now)
            }
            Endpoint::AddSubscriptionAdmins | Endpoint::RemoveSubscriptionAdmins => {
                Ok((self.manage_seat_admins(endpoint, call, session, now)?, None))
            }
            Endpoint::ClientConfig | Endpoint::ServiceConfig => Ok((self.client_config(call, session, now)?, None)),
        }
    }

    fn refuse(&mut self, refusal: Refusal, now: Timestamp) -> Reply {
        if refusal.strict {
            self.counters.refused += 1;
        }
        let hidden = self.switches.token_200 == Token200::OkWithBody && refusal.error.is_about_the_token();
        let usual = if hidden { 200 } else { refusal.error.status() };
        let body = ErrorBody {
            error_number: refusal.error.number(),
            error_message: refusal.message(),
            error_info: refusal.info,
        };
        let wait = refusal.retry_after.map(|wait| wait.text(now));
        Reply::json(refusal.status.unwrap_or(usual), &body).retry_after(wait)
    }

    /// The members every authenticated reply carries.
    pub(super) fn common(&self, session: &Session, now: Timestamp) -> Common {
        let mdm_info = self.locations.get(&session.u_id).and_then(|location| location.mdm_info.clone());
        let close = session.expires.duration_since(now) < SignedDuration::from_hours(15 * 24);
        Common {
            u_id: session.u_id.clone(),
            mdm_info: match (mdm_info, self.switches.mdm_info) {
                (Some(info), _) => Some(Some(info)),
                (None, MdmInfoUnset::Null) => Some(None),
                (None, MdmInfoUnset::Absent) => None,
            },
            token_expiration_date: (close || self.switches.exp_date == ExpDate::Always)
                .then(|| apple_time(session.expires)),
        }
    }
}

impl Step {
    fn done(answered: Answered) -> Step {
        Step::Done(Box::new(answered))
    }
}

impl Answered {
    pub(super) fn with(outcome: Outcome) -> Answered {
        Answered { outcome, job: None, delay: Duration::ZERO }
    }

    /// What a fault leaves of a reply to a call that was carried out.
    pub(super) fn after(fault: Option<Fault>, reply: Reply, job: Option<Job>) -> Answered {
        let delay = match fault {
            Some(Fault::SlowReply(seconds)) => Duration::from_secs(seconds.into()),
            _ => Duration::ZERO,
        };
        let outcome = match fault {
            Some(Fault::ClosedAfterEffect) => Outcome::Closed,
            Some(Fault::SilentAfterEffect) => Outcome::Silent,
            Some(Fault::TruncatedJson) => Outcome::Reply(truncated(reply)),
            Some(Fault::Rewritten(rewriting)) => Outcome::Reply(rewriting.apply(reply)),
            Some(Fault::Endless) => Outcome::Reply(Reply { flow: Flow::Endless, ..reply }),
            Some(Fault::Drip(seconds)) => {
                Outcome::Reply(Reply { flow: Flow::Drip(Duration::from_secs(seconds.into())), ..reply })
            }
            _ => Outcome::Reply(reply),
        };
        Answered { outcome, job, delay }
    }
}

/// What a fault does instead of the call; nothing when the call is carried out.
pub(super) fn instead(fault: Option<&Fault>) -> Result<Option<Outcome>, Refusal> {
    match fault {
        Some(Fault::InternalError) => Err(AppleError::Internal.into()),
        Some(Fault::TooManyRequests) => Err(AppleError::TooManyRequests.into()),
        Some(Fault::Withdrawn) => Err(AppleError::Withdrawn.into()),
        Some(Fault::Unavailable(wait)) => {
            Err(Refusal { retry_after: Some(wait.clone()), ..AppleError::Unavailable.into() })
        }
        Some(Fault::BadGateway) => {
            let page = "<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>";
            Ok(Some(Outcome::Reply(Reply::html(502, page))))
        }
        Some(Fault::ClosedBeforeEffect) => Ok(Some(Outcome::Closed)),
        Some(Fault::SilentBeforeEffect) => Ok(Some(Outcome::Silent)),
        Some(Fault::Reset) => Ok(Some(Outcome::Reset)),
        Some(Fault::Canned(canned)) => Ok(Some(Outcome::Reply(canned.clone().reply()))),
        Some(
            Fault::ClosedAfterEffect
            | Fault::SilentAfterEffect
            | Fault::TruncatedJson
            | Fault::Rewritten(_)
            | Fault::Endless
            | Fault::Drip(_)
            | Fault::SlowReply(_)
            | Fault::MetadataForbidden
            | Fault::TasksFail(_)
            | Fault::SomeTasksFail(_),
        )
        | None => Ok(None),
    }
}

fn truncated(reply: Reply) -> Reply {
    let half = reply.body.len() / 2;
    Reply { body: Bytes::copy_from_slice(reply.body.get(..half).unwrap_or_default()), ..reply }
}
