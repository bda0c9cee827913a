//! The checks every call goes through before it is read: method, content type, token, rate, injected fault, in that order.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hyper::Method;
use jiff::{SignedDuration, Timestamp};

use super::endpoint::{Call, Endpoint};
use super::errors::{AppleError, Refusal};
use super::faults::{Fault, strike};
use super::state::{State, TokenKind};
use super::switches::{BadTokenNumber, LegacyCalls, ReadOnlyToken};

/// On whose behalf a call is made.
#[derive(Debug, Clone)]
pub(super) struct Session {
    pub u_id: String,
    pub expires: Timestamp,
    pub kind: TokenKind,
}

/// A call that may be read.
pub(super) struct Admitted {
    /// `None` for service/config, which needs no token.
    pub session: Option<Session>,
    pub fault: Option<Fault>,
}

impl State {
    /// Checks 1 to 6. On the way `u_id` learns the location, for the log.
    pub(super) fn admit(
        &mut self,
        endpoint: Endpoint,
        call: &Call,
        now: Timestamp,
        u_id: &mut Option<String>,
    ) -> Result<Admitted, Refusal> {
        if !endpoint.allows(&call.method) {
            return Err(AppleError::WrongMethod.into());
        }
        if call.method == Method::POST && !is_json(call.content_type.as_deref()) {
            return Err(AppleError::WrongContentType.into());
        }
        let session = match endpoint {
            Endpoint::ServiceConfig => None,
            _ => {
                let session = self.session(call.authorization.as_deref(), now)?;
                *u_id = Some(session.u_id.clone());
                self.check_rights(session.kind, endpoint, &call.method)?;
                self.keep_the_rate(&session.u_id, now)?;
                Some(session)
            }
        };
        let fault = strike(&mut self.faults, endpoint.name(), &mut self.chance);
        Ok(Admitted { session, fault })
    }

    fn session(&self, authorization: Option<&str>, now: Timestamp) -> Result<Session, Refusal> {
        let text = authorization
            .and_then(|header| header.strip_prefix("Bearer "))
            .filter(|text| !text.is_empty() && BASE64_STANDARD.decode(text).is_ok())
            .ok_or(AppleError::MalformedAuthorization)?;
        let token = self.tokens.get(text).ok_or(match self.switches.bad_token_number {
            BadTokenNumber::InvalidToken => AppleError::InvalidToken,
            BadTokenNumber::LoginRequired => AppleError::LoginRequired,
        })?;
        if token.expires <= now {
            return Err(AppleError::TokenExpired.into());
        }
        if token.revoked {
            return Err(AppleError::TokenRevoked.into());
        }
        Ok(Session { u_id: token.u_id.clone(), expires: token.expires, kind: token.kind })
    }

    fn check_rights(&self, kind: TokenKind, endpoint: Endpoint, method: &Method) -> Result<(), Refusal> {
        match kind {
            TokenKind::ReadOnly if *method != Method::GET => {
                let status = match self.switches.read_only_token {
                    ReadOnlyToken::Forbidden => 403,
                    ReadOnlyToken::Unauthorized => 401,
                };
                Err(Refusal { status: Some(status), ..AppleError::LoginRequired.into() })
            }
            TokenKind::Legacy if self.switches.legacy_calls == LegacyCalls::Refused && endpoint.is_newer() => {
                Err(AppleError::LegacyToken.into())
            }
            TokenKind::Facilitator => Err(AppleError::Facilitator.into()),
            TokenKind::Full | TokenKind::ReadOnly | TokenKind::Legacy => Ok(()),
        }
    }

    /// At most `maxRequestPerSecond` calls in any second. Refused calls do not count, or a client that keeps trying
    /// would never get through.
    fn keep_the_rate(&mut self, u_id: &str, now: Timestamp) -> Result<(), Refusal> {
        let limit = self.limits.max_request_per_second;
        let Some(location) = self.locations.get_mut(u_id) else { return Err(AppleError::InvalidToken.into()) };
        let second = SignedDuration::from_secs(1);
        while location.recent.front().is_some_and(|at| now.duration_since(*at) >= second) {
            location.recent.pop_front();
        }
        if location.recent.len() >= limit {
            return Err(AppleError::TooManyRequests.into());
        }
        location.recent.push_back(now);
        Ok(())
    }
}

fn is_json(content_type: Option<&str>) -> bool {
    let essence = content_type.and_then(|value| value.split(';').next()).map(str::trim);
    essence.is_some_and(|essence| essence.eq_ignore_ascii_case("application/json"))
}
