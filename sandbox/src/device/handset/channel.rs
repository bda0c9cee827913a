//! A device's messages: written, signed, sent, repeated; and the cycle of commands (Apple: Sending MDM Commands to a
//! Device).

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::{Method, StatusCode};
use plist::{Dictionary, Value};

use super::{AfterAnswer, CycleEnd, EnrolError, Enrolled, Handset, Message};
use crate::device::answer::{Answer, keys};
use crate::device::cms::{self, Digest, Signer, Style};
use crate::device::command::Received;
use crate::device::http::{Reply, Request, SendError, Session};
use crate::device::options::ContentType;

/// How often one message is sent before the device waits for the next push.
const ATTEMPTS: u32 = 5;
/// Before the second attempt; doubled before each further one.
const FIRST_RETRY: Duration = Duration::from_secs(15);
/// Answered at any time, even by a locked device (Apple: Handling NotNow Responses).
const NEVER_NOT_NOW: [&str; 3] = ["DeviceInformation", "ProfileList", "InstalledApplicationList"];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Channel {
    CheckIn,
    Commands,
}

impl Handset {
    /// Sends a check-in message once.
    pub(super) async fn check_in_message(
        &self,
        enrolled: &Enrolled,
        step: &'static str,
        mut message: Dictionary,
    ) -> Result<(), EnrolError> {
        message.insert("MessageType".to_owned(), step.into());
        message.insert("Topic".to_owned(), enrolled.mdm.topic.as_str().into());
        let failed = |source| EnrolError::Send { step, source };
        let session = self.session(enrolled).map_err(failed)?;
        let request = self.request(enrolled, Channel::CheckIn, message).ok_or(EnrolError::Message)?;
        let reply = session.send(request).await.map_err(failed)?;
        if reply.status == StatusCode::UNAUTHORIZED {
            self.lock().counters.got_401 += 1;
        }
        match reply.status.is_success() {
            true => Ok(()),
            false => Err(EnrolError::Refused { step, status: reply.status }),
        }
    }

    /// Asks by a check-in message; `None` when there is no reply, or the device is not enrolled any more.
    pub(super) async fn ask(&self, endpoint: &str, data: Option<Vec<u8>>) -> Option<Reply> {
        let enrolled = self.lock().enrolled.clone()?;
        let mut message = keys([("MessageType", "DeclarativeManagement".into()), ("Endpoint", endpoint.into())]);
        if let Some(data) = data {
            message.insert("Data".to_owned(), Value::Data(data));
        }
        let session = self.session(&enrolled).ok()?;
        let request = self.request(&enrolled, Channel::CheckIn, message)?;
        let reply = session.send(request).await.ok()?;
        if !self.lock().is_enrolled_as(&enrolled) || self.is_thrown_out(&reply) {
            return None;
        }
        Some(reply)
    }

    fn session(&self, enrolled: &Enrolled) -> Result<Box<dyn Session>, SendError> {
        self.world.network.session(&enrolled.profile.anchors, Some(&enrolled.identity))
    }

    /// A signed request with the device's identifier in it. `None` if it cannot be written or signed.
    fn request(&self, enrolled: &Enrolled, channel: Channel, mut message: Dictionary) -> Option<Request> {
        let behaviour = &self.spec.behaviour;
        message.insert("UDID".to_owned(), self.spec.udid.as_str().into());
        if behaviour.extra_keys {
            message.insert("SandboxUnknownKey".to_owned(), keys([("Number", 1.into())]).into());
        }
        let mut body = Vec::new();
        match behaviour.binary_plist {
            true => Value::Dictionary(message).to_writer_binary(&mut body).ok()?,
            false => Value::Dictionary(message).to_writer_xml(&mut body).ok()?,
        }
        let (url, kind) = match channel {
            Channel::CheckIn => (&enrolled.mdm.check_in_url, "application/x-apple-aspen-mdm-checkin"),
            Channel::Commands => (&enrolled.mdm.server_url, "application/x-apple-aspen-mdm"),
        };
        let mut headers = Vec::new();
        match (behaviour.content_type, channel) {
            (ContentType::Missing, _) => {}
            (ContentType::Documented, Channel::CheckIn) => headers.push(("content-type", kind.to_owned())),
            _ => headers.push(("content-type", format!("{kind}; charset=UTF-8"))),
        }
        if enrolled.mdm.sign_message {
            headers.push(("mdm-signature", self.signature(enrolled, &body)?));
        }
        Some(Request { method: Method::PUT, url: url.clone(), headers, body })
    }

    fn signature(&self, enrolled: &Enrolled, body: &[u8]) -> Option<String> {
        let behaviour = &self.spec.behaviour;
        let digest = if behaviour.sha256 { Digest::Sha256 } else { Digest::Sha1 };
        let chain = if behaviour.embed_chain { enrolled.profile.anchors.as_slice() } else { &[] };
        let identity = &enrolled.identity;
        let signer = Signer { key: &identity.key, certificate: &identity.certificate, chain };
        let style = Style { streamed: !behaviour.der, digest };
        let message = cms::sign(&signer, body, false, Vec::new(), self.world.clock.now(), style).ok()?;
        Some(STANDARD.encode(message))
    }

    /// One connection: tells the server that it is awake (or the result it still owes) and executes what it is given,
    /// until the server has nothing more or cannot be reached.
    pub(super) async fn connect(&self) -> CycleEnd {
        let idle = Message { keys: keys([("Status", "Idle".into())]), is_result: false };
        let mut message = self.lock().unsent.take().unwrap_or(idle);
        self.lock().counters.cycles += 1;
        let mut session = None;
        let mut end = CycleEnd::Sleep;
        loop {
            let Some(enrolled) = self.lock().enrolled.clone() else { return CycleEnd::Sleep };
            let Some(reply) = self.deliver(&enrolled, &message, &mut session).await else {
                let mut state = self.lock();
                // Thrown out means that there is nobody left to owe the result to.
                let owed = message.is_result && state.is_enrolled_as(&enrolled);
                state.unsent = owed.then_some(message);
                return CycleEnd::Sleep;
            };
            let after = self.lock().after_answer.take();
            match after {
                Some(AfterAnswer::Become(enrolled)) => {
                    self.lock().enrolled = Some(enrolled);
                    session = None;
                }
                Some(AfterAnswer::CheckIn(enrolled)) => {
                    let introduced = self.introduce(&enrolled, false).await;
                    self.lock().counters.failures += u64::from(introduced.is_err());
                }
                None => {}
            }
            if reply.body.is_empty() {
                return end;
            }
            let received = match Received::read(&reply.body) {
                Ok(received) => received,
                Err(problem) => {
                    self.count_refusal(&problem);
                    return CycleEnd::Sleep;
                }
            };
            let answer = self.answer(&received).await;
            end = match (answer.status, self.spec.behaviour.not_now_back) {
                ("NotNow", Some(delay)) => CycleEnd::ComeBack(delay),
                _ => CycleEnd::Sleep,
            };
            message = self.result(&received, answer);
            // After a renewal the device talks with its new identity.
            let now = self.lock().enrolled.as_ref().map(|now| now.identity.certificate.clone());
            session = session.filter(|_| now.as_ref() == Some(&enrolled.identity.certificate));
        }
    }

    async fn answer(&self, received: &Received) -> Answer {
        let not_now = {
            let mut state = self.lock();
            *state.counters.commands.entry(received.request_type.clone()).or_default() += 1;
            state.commands_received += 1;
            let due = self.spec.behaviour.not_now_on.is_some_and(|number| state.commands_received >= number);
            let not_now = due && !state.not_now_done && !NEVER_NOT_NOW.contains(&received.request_type.as_str());
            state.not_now_done |= not_now;
            state.counters.not_now += u64::from(not_now);
            not_now
        };
        if not_now { Answer::not_now() } else { self.execute(received).await }
    }

    fn result(&self, received: &Received, answer: Answer) -> Message {
        let mut keys = answer.keys;
        keys.insert("Status".to_owned(), answer.status.into());
        keys.insert("CommandUUID".to_owned(), received.uuid.as_str().into());
        if self.spec.behaviour.echo_request_type {
            keys.insert("RequestType".to_owned(), received.request_type.as_str().into());
        }
        Message { keys, is_result: true }
    }

    /// Sends until there is a 2xx, on a new connection after each failure. `None` when the attempts are used up or the
    /// device is no longer enrolled, or anew.
    async fn deliver(
        &self,
        enrolled: &Enrolled,
        message: &Message,
        session: &mut Option<Box<dyn Session>>,
    ) -> Option<Reply> {
        let mut delay = FIRST_RETRY;
        let mut lose = self.loses_reply(message);
        for attempt in 1..=ATTEMPTS {
            if !self.lock().is_enrolled_as(enrolled) {
                return None;
            }
            if session.is_none() {
                *session = self.session(enrolled).ok();
            }
            let request = self.request(enrolled, Channel::Commands, message.keys.clone())?;
            let reply = match session.as_ref() {
                Some(session) => session.send(request).await.ok(),
                None => None,
            };
            if !self.lock().is_enrolled_as(enrolled) {
                // The profile went meanwhile: whatever the reply says is about what was.
                return None;
            }
            match reply.filter(|_| !std::mem::take(&mut lose)) {
                Some(reply) if reply.status.is_success() => return Some(reply),
                Some(reply) if self.is_thrown_out(&reply) => return None,
                _ => self.lock().counters.failures += 1,
            }
            *session = None;
            if attempt < ATTEMPTS {
                self.world.clock.sleep(delay).await;
                delay *= 2;
            }
        }
        None
    }

    fn loses_reply(&self, message: &Message) -> bool {
        let mut state = self.lock();
        state.results_sent += u32::from(message.is_result);
        message.is_result && self.spec.behaviour.lose_reply_on == Some(state.results_sent)
    }

    /// 401, or the explicit 403, makes a device remove its profile.
    fn is_thrown_out(&self, reply: &Reply) -> bool {
        let unauthorised = reply.status == StatusCode::UNAUTHORIZED;
        let unrecognised = reply.status == StatusCode::FORBIDDEN
            && reply.body.windows(29).any(|window| window == b"com.apple.unrecognized.device");
        if unauthorised {
            self.lock().counters.got_401 += 1;
        }
        if unauthorised || unrecognised {
            self.remove_profile();
        }
        unauthorised || unrecognised
    }
}
