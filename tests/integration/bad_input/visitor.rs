//! Somebody at the device listener who writes every message by hand: an enrolled device, or one who pretends.

use std::collections::HashMap;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::Method;
use plist::Value;
use sandbox::chance::Chance;
use sandbox::device::cms::{self, Digest, Signer, Style};
use sandbox::device::http::{Identity, Internet, Network, Reply, Request, Session};
use sandbox::device::keys::Key;
use sandbox::device::profile::{Enrolment, Profile};
use sandbox::device::scep::{Client, ScepBehaviour};
use vppd::operations::enrol;
use vppd::operations::view::EnrolRequest;

use super::table::{Table, fingerprint};
use crate::captured;
use crate::support::*;

pub const STYLE: Style = Style { streamed: false, digest: Digest::Sha256 };

/// What devices of these tests are woken with; no answer and no log may tell it.
pub const MAGIC: &str = "PLANTED-PUSH-MAGIC-5E1F";
pub const PUSH_TOKEN: [u8; 32] = *b"planted push token, 32 bytes....";
pub const UNLOCK_TOKEN: &[u8] = b"planted unlock token of the device";

pub struct Visitor {
    pub udid: String,
    pub serial: String,
    pub identity: Identity,
    pub enrolment: Enrolment,
    session: Box<dyn Session>,
    now: jiff::Timestamp,
}

/// A dictionary as XML.
pub fn list(keys: &str) -> Vec<u8> {
    format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?><plist version=\"1.0\"><dict>{keys}</dict></plist>").into_bytes()
}

pub fn text(key: &str, value: &str) -> String {
    format!("<key>{key}</key><string>{value}</string>")
}

/// A profile for one device, made now.
pub async fn profile(app: &App) -> Profile {
    let made = enrol::make_profile(&app.context, EnrolRequest::default(), "test").await.unwrap();
    Profile::read(&STANDARD.decode(made.profile).unwrap()).unwrap()
}

/// Connections that trust what a profile says.
pub fn session(app: &App, anchors: &[Vec<u8>]) -> Box<dyn Session> {
    Internet::new(shared(&app.clock), HashMap::new(), Vec::new()).session(anchors, None).unwrap()
}

impl Visitor {
    /// Has an identity from a profile of its own, and has said nothing yet.
    pub async fn with_identity(app: &App, number: u64, key: Arc<Key>) -> Visitor {
        let profile = profile(app).await;
        let session = session(app, &profile.anchors);
        let enrolment = profile.enrolment.unwrap();
        let clock = shared(&app.clock);
        let client = Client { session: session.as_ref(), clock: &clock, behaviour: ScepBehaviour::default() };
        let identity = client.obtain(&enrolment.scep, key, &mut Chance::seeded(number)).await.unwrap();
        Visitor {
            udid: format!("00008103-{number:016X}"),
            serial: format!("BAD{number:07}"),
            identity,
            enrolment,
            session,
            now: app.clock.now(),
        }
    }

    /// Enrolled, with its first commands waiting.
    pub async fn enrolled(app: &App, number: u64, key: Arc<Key>) -> Visitor {
        let visitor = Visitor::with_identity(app, number, key).await;
        assert_eq!(visitor.check_in(&visitor.authenticate()).await, 200);
        assert_eq!(visitor.check_in(&visitor.token_update()).await, 200);
        visitor
    }

    /// Enrolled, and nothing waits any more.
    pub async fn at_rest(app: &App, number: u64, key: Arc<Key>) -> Visitor {
        let visitor = Visitor::enrolled(app, number, key).await;
        while let Some(uuid) = visitor.next_command(&visitor.idle()).await {
            let done = [text("Status", "Acknowledged"), text("UDID", &visitor.udid), text("CommandUUID", &uuid)];
            assert_eq!(visitor.put("/mdm", list(&done.concat())).await.status.as_u16(), 200);
        }
        visitor
    }

    pub fn authenticate(&self) -> String {
        let topic = &self.enrolment.mdm.topic;
        [("MessageType", "Authenticate"), ("Topic", topic), ("UDID", &self.udid), ("SerialNumber", &self.serial)]
            .map(|(key, value)| text(key, value))
            .concat()
    }

    pub fn token_update(&self) -> String {
        let topic = &self.enrolment.mdm.topic;
        let texts = [("MessageType", "TokenUpdate"), ("Topic", topic), ("UDID", &self.udid), ("PushMagic", MAGIC)]
            .map(|(key, value)| text(key, value))
            .concat();
        let (token, unlock) = (STANDARD.encode(PUSH_TOKEN), STANDARD.encode(UNLOCK_TOKEN));
        format!("{texts}<key>Token</key><data>{token}</data><key>UnlockToken</key><data>{unlock}</data>")
    }

    pub fn idle(&self) -> String {
        text("Status", "Idle") + &text("UDID", &self.udid)
    }

    /// Sends keys to the check-in address; the status of the answer.
    pub async fn check_in(&self, keys: &str) -> u16 {
        self.put("/checkin", list(keys)).await.status.as_u16()
    }

    /// Sends keys to the command channel; the CommandUUID of what came back, if anything did.
    pub async fn next_command(&self, keys: &str) -> Option<String> {
        let reply = self.put("/mdm", list(keys)).await;
        assert_eq!(reply.status.as_u16(), 200);
        if reply.body.is_empty() {
            return None;
        }
        let command = Value::from_reader_xml(reply.body.as_ref()).unwrap();
        command.as_dictionary()?.get("CommandUUID")?.as_string().map(str::to_owned)
    }

    /// Sends a body signed with this visitor's identity.
    pub async fn put(&self, path: &str, body: Vec<u8>) -> Reply {
        let signature = self.signature(&self.identity, &body);
        self.put_signed(path, body, Some(signature)).await
    }

    pub fn signature(&self, identity: &Identity, body: &[u8]) -> String {
        let signer = Signer { key: &identity.key, certificate: &identity.certificate, chain: &[] };
        STANDARD.encode(cms::sign(&signer, body, false, Vec::new(), self.now, STYLE).unwrap())
    }

    pub async fn put_signed(&self, path: &str, body: Vec<u8>, signature: Option<String>) -> Reply {
        let headers = signature.map(|signature| ("mdm-signature", signature)).into_iter().collect();
        let url = self.url(path);
        self.session.send(Request { method: Method::PUT, url, headers, body }).await.unwrap()
    }

    pub fn url(&self, path: &str) -> String {
        self.enrolment.mdm.server_url.replace("/mdm", path)
    }
}

/// A table of messages to the device listener.
pub struct Doorstep<'a> {
    pub app: &'a App,
    pub table: Table,
    /// Who asks after each case whether the service goes on.
    pub witness: &'a Visitor,
}

impl Doorstep<'_> {
    pub fn new<'a>(app: &'a App, kind: &'static str, witness: &'a Visitor) -> Doorstep<'a> {
        let mut table = Table::new(kind);
        table.secret(MAGIC);
        table.secret(&STANDARD.encode(PUSH_TOKEN));
        table.secret(&STANDARD.encode(UNLOCK_TOKEN));
        table.secret("planted");
        Doorstep { app, table, witness }
    }

    /// A body that the witness has signed well, to either door, and its refusal.
    pub async fn refused(&mut self, name: &str, sent: &str, path: &str, body: Vec<u8>, says: &str) {
        let signature = Some(self.witness.signature(&self.witness.identity, &body));
        let mark = captured::mark();
        self.sent(name, sent, path, body, signature, 400, says).await;
        let sender = format!("from device {}", self.witness.udid);
        assert!(captured::complaints(mark, says).contains(&sender), "{name}: the journal does not tell who sent it");
    }

    /// Any message, the status of its answer, and what the journal says.
    #[expect(clippy::too_many_arguments, reason = "a row of the table")]
    pub async fn sent(
        &mut self,
        name: &str,
        sent: &str,
        path: &str,
        body: Vec<u8>,
        signature: Option<String>,
        status: u16,
        says: &str,
    ) {
        let before = fingerprint(self.app, &[]).await;
        let mark = captured::mark();
        let reply = self.witness.put_signed(path, body, signature).await;
        let answer = format!("{}; journal: {}", reply.status.as_u16(), captured::complaints(mark, says));
        assert_ne!(reply.status.as_u16(), 401, "{name}");
        assert_eq!(reply.status.as_u16(), status, "{name}: {answer}");
        self.table.row(name, sent, &answer, says);
        assert_eq!(fingerprint(self.app, &[]).await, before, "{name} changed something");
        assert_eq!(self.witness.put("/mdm", list(&self.witness.idle())).await.status.as_u16(), 200, "after {name}");
    }
}
