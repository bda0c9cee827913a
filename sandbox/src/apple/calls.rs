//! From a call to its outcome: admission, the endpoint itself, the fault if one strikes, and the entry in the log.

use std::time::Duration;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::admission::{Admitted, Session};
use super::endpoint::{BASE_PATH, Call, Endpoint, Flow, Outcome, Reply};
use super::engine::Job;
use super::errors::{AppleError, Refusal};
use super::faults::{Fault, RetryAfter};
use super::query::Query;
use super::state::{CallRecord, State, apple_time};
use super::switches::{ExpDate, MdmInfoUnset, Token200};
use super::wire::{Common, ErrorBody, NotificationType};

/// A reply and the work that was accepted with it.
pub(super) type Performed = Result<(Reply, Option<Job>), Refusal>;

impl State {
    /// Answers one call completely. The job, if there is one, is to be started whatever becomes of the reply.
    pub(super) fn answer(&mut self, call: &Call, now: Timestamp) -> (Outcome, Option<Job>) {
        let mut u_id = None;
        let mut error = None;
        let (outcome, job) = match Endpoint::of(&call.path) {
            None => (Outcome::Reply(Reply::text(404, "There is nothing here.\n")), None),
            Some(endpoint) => match self.attempt(endpoint, call, now, &mut u_id) {
                Ok(done) => done,
                Err(refusal) => {
                    error = Some(refusal.error);
                    (Outcome::Reply(self.refuse(refusal, now)), None)
                }
            },
        };
        self.record(CallRecord {
            at: now,
            method: call.method.to_string(),
            endpoint: call.path.strip_prefix(BASE_PATH).unwrap_or(&call.path).to_owned(),
            query: call.query.clone(),
            u_id,
            status: match &outcome {
                Outcome::Reply(reply) => Some(reply.status),
                Outcome::Closed | Outcome::Reset => None,
            },
            error_number: error.map(AppleError::number),
        });
        (outcome, job)
    }

    fn attempt(
        &mut self,
        endpoint: Endpoint,
        call: &Call,
        now: Timestamp,
        u_id: &mut Option<String>,
    ) -> Result<(Outcome, Option<Job>), Refusal> {
        let Admitted { session, fault } = self.admit(endpoint, call, now, u_id)?;
        match fault.clone() {
            Some(Fault::InternalError) => return Err(AppleError::Internal.into()),
            Some(Fault::TooManyRequests) => return Err(AppleError::TooManyRequests.into()),
            Some(Fault::Unavailable(wait)) => {
                return Err(Refusal { retry_after: Some(wait), ..AppleError::Unavailable.into() });
            }
            Some(Fault::BadGateway) => {
                let page =
                    "<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>";
                return Ok((Outcome::Reply(Reply::html(502, page)), None));
            }
            Some(Fault::ClosedBeforeEffect) => return Ok((Outcome::Closed, None)),
            Some(Fault::Reset) => return Ok((Outcome::Reset, None)),
            Some(Fault::Canned(canned)) => return Ok((Outcome::Reply(canned.reply()), None)),
            Some(
                Fault::ClosedAfterEffect | Fault::TruncatedJson | Fault::Rewritten(_) | Fault::Endless | Fault::Drip(_),
            )
            | None => {}
        }
        let (reply, job) = match session {
            None => (self.service_config(call)?, None),
            Some(session) => self.perform(endpoint, call, &session, now)?,
        };
        let outcome = match fault {
            Some(Fault::ClosedAfterEffect) => Outcome::Closed,
            Some(Fault::TruncatedJson) => Outcome::Reply(truncated(reply)),
            Some(Fault::Rewritten(rewriting)) => Outcome::Reply(rewriting.apply(reply)),
            Some(Fault::Endless) => Outcome::Reply(Reply { flow: Flow::Endless, ..reply }),
            Some(Fault::Drip(seconds)) => {
                Outcome::Reply(Reply { flow: Flow::Drip(Duration::from_secs(seconds.into())), ..reply })
            }
            _ => Outcome::Reply(reply),
        };
        Ok((outcome, job))
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
            Endpoint::ClientConfig | Endpoint::ServiceConfig => Ok((self.client_config(call, session, now)?, None)),
        }
    }

    fn service_config(&self, call: &Call) -> Result<Reply, Refusal> {
        Query::parse(&call.query, &[])?;
        let urls: serde_json::Map<String, serde_json::Value> = Endpoint::all()
            .filter_map(|endpoint| Some((endpoint.url_key()?.to_owned(), endpoint)))
            .map(|(key, endpoint)| (key, format!("{}{}", self.base_url, endpoint.name()).into()))
            .collect();
        let errors: Vec<ErrorBody> = AppleError::ALL
            .into_iter()
            // 9622 is met in practice, but stands in no table of the second version.
            .filter(|error| *error != AppleError::InvalidToken)
            .map(ErrorBody::from)
            .collect();
        let types = [
            NotificationType::AssetManagement,
            NotificationType::UserManagement,
            NotificationType::UserAssociated,
            NotificationType::AssetCount,
        ];
        let body = json!({"errorCodes": errors, "limits": self.limits, "notificationTypes": types, "urls": urls});
        Ok(Reply::json(200, &body))
    }

    fn refuse(&mut self, refusal: Refusal, now: Timestamp) -> Reply {
        if refusal.strict {
            self.counters.refused += 1;
        }
        let hidden = self.switches.token_200 == Token200::OkWithBody && refusal.error.is_about_the_token();
        let status = if hidden { 200 } else { refusal.error.status() };
        let body = ErrorBody {
            error_number: refusal.error.number(),
            error_message: refusal.message(),
            error_info: refusal.info,
        };
        let retry_after = refusal.retry_after.map(|wait| match wait {
            RetryAfter::Seconds(seconds) => seconds.to_string(),
            RetryAfter::DateInSeconds(seconds) => {
                let at = now.checked_add(SignedDuration::from_secs(seconds.into())).unwrap_or(now);
                at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
            }
        });
        let headers = retry_after.map(|wait| ("retry-after".to_owned(), wait)).into_iter().collect();
        Reply { headers, ..Reply::json(status, &body) }
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

fn truncated(reply: Reply) -> Reply {
    let half = reply.body.len() / 2;
    Reply { body: Bytes::copy_from_slice(reply.body.get(..half).unwrap_or_default()), ..reply }
}
