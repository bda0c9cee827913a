use std::collections::VecDeque;

use bytes::Bytes;
use futures_util::future::BoxFuture;

use super::*;
use crate::device::ber;
use crate::device::certificate::{self, Facts, Issue, temporary};
use crate::device::cms::{self, Attribute, Digest, Signed, Signer, Style};
use crate::device::http::{Reply, Request, Session};
use crate::device::keys::Key;
use crate::device::options::{Behaviour, ContentType, Person};
use crate::device::testing::{FakeStore, ManualClock, dictionary, enrolment_profile, to_xml};

/// An MDM server in memory: a CA with SCEP, the check-in, and one queue of commands.
#[derive(Clone)]
struct FakeServer(Arc<ServerInside>);

struct ServerInside {
    key: Key,
    ca: Vec<u8>,
    state: Mutex<ServerState>,
}

#[derive(Default)]
struct ServerState {
    /// Commands to hand out; taken only when a result arrives, except after NotNow, which ends the cycle.
    queue: VecDeque<Dictionary>,
    received: Vec<Dictionary>,
    content_types: Vec<Option<String>>,
    certificates: Vec<Vec<u8>>,
    scep_requests: Vec<Vec<u8>>,
    /// Statuses for the next command requests instead of an answer, or [`NO_TROUBLE`].
    trouble: VecDeque<u16>,
    refuse_scep: bool,
}

impl FakeServer {
    fn new() -> FakeServer {
        let key = Key::generate().unwrap();
        let ca = temporary(&key, "CA", &[1], ManualClock::new().clock().now()).unwrap();
        FakeServer(Arc::new(ServerInside { key, ca, state: Mutex::default() }))
    }

    fn state(&self) -> MutexGuard<'_, ServerState> {
        self.0.state.lock().unwrap()
    }

    fn profile(&self) -> Vec<u8> {
        let fingerprint = Digest::Sha256.of(&self.0.ca);
        to_xml(&enrolment_profile("https://mdm.example/scep", Some(fingerprint), std::slice::from_ref(&self.0.ca)))
    }

    fn queue<const N: usize>(&self, kind: &str, keys: [(&str, Value); N]) {
        let mut command = dictionary(keys);
        command.insert("RequestType".to_owned(), kind.into());
        let mut state = self.state();
        let uuid = format!("c{}", state.queue.len() + state.received.len());
        state.queue.push_back(dictionary([("CommandUUID", uuid.into()), ("Command", command.into())]));
    }

    fn statuses(&self) -> Vec<String> {
        let status = |message: &Dictionary| Some(message.get("Status")?.as_string()?.to_owned());
        self.state().received.iter().filter_map(status).collect()
    }

    fn answer(&self, request: &Request) -> Reply {
        match request.url.split_once('?') {
            Some((_, query)) if query.starts_with("operation=GetCACaps&message=the%20CA") => {
                reply(200, "text/plain", b"POSTPKIOperation\nSHA-256\nAES\n".to_vec())
            }
            Some((_, query)) if query.starts_with("operation=GetCACert&message=the%20CA") => {
                reply(200, "application/x-x509-ca-cert", self.0.ca.clone())
            }
            Some((_, "operation=PKIOperation")) => self.scep(request),
            _ => self.mdm(request),
        }
    }

    fn scep(&self, request: &Request) -> Reply {
        assert_eq!(request.headers, [("content-type", "application/x-pki-message".to_owned())]);
        self.state().scep_requests.push(request.body.clone());
        let signed = Signed::read(&request.body).unwrap();
        let temporary = signed.certificates[0].clone();
        let signer = signed.signed_by(&temporary).unwrap();
        let scep_oid = |number: u8| vec![0x60, 0x86, 0x48, 1, 0x86, 0xf8, 0x45, 1, 9, number];
        let asked = |number| signer.attribute(&scep_oid(number)).unwrap().unwrap();
        assert_eq!(asked(2), ber::tlv(ber::PRINTABLE_STRING, b"19"));
        cms::open(signed.content.as_ref().unwrap(), &self.0.ca, &self.0.key).unwrap();
        let refused = self.state().refuse_scep;
        let text = |number, text: &str| (number, ber::tlv(ber::PRINTABLE_STRING, text.as_bytes()));
        let mut values = vec![text(2, "3"), (7, asked(7)), (6, asked(5)), (5, ber::tlv(ber::OCTET_STRING, &[1; 16]))];
        values.extend(if refused { vec![text(3, "2"), text(4, "2")] } else { vec![text(3, "0")] });
        let attributes = values.into_iter().map(|(number, value)| Attribute { kind: scep_oid(number), value });
        let content = if refused { Vec::new() } else { self.issue(&temporary) };
        let me = Signer { key: &self.0.key, certificate: &self.0.ca, chain: &[] };
        let now = ManualClock::new().clock().now();
        let style = Style { streamed: false, digest: Digest::Sha256 };
        let message = cms::sign(&me, &content, true, attributes.collect(), now, style).unwrap();
        reply(200, "application/x-pki-message", message)
    }

    fn issue(&self, temporary: &[u8]) -> Vec<u8> {
        let facts = Facts::of(temporary).unwrap();
        let number = self.state().scep_requests.len() as u8;
        let ca = Facts::of(&self.0.ca).unwrap();
        let issue = Issue { issuer: &ca.subject, subject: &facts.subject, public: &facts.public, serial: &[number, 7] };
        let leaf = certificate::issue(&issue, &self.0.key, ManualClock::new().clock().now()).unwrap();
        cms::seal(
            &cms::certificates_only(&[leaf]),
            temporary,
            &mut Chance::seeded(9),
            cms::ContentCipher::Aes128,
            false,
        )
        .unwrap()
    }

    fn mdm(&self, request: &Request) -> Reply {
        use base64::Engine;
        let header = |wanted: &str| request.headers.iter().find(|(name, _)| *name == wanted).map(|(_, v)| v.clone());
        let signature = header("mdm-signature").unwrap();
        let signature = base64::engine::general_purpose::STANDARD.decode(signature).unwrap();
        let signed = Signed::read(&signature).unwrap();
        assert_eq!(signed.content, None);
        signed.signers[0].verify(&request.body, &signed.certificates[0]).unwrap();
        let message = Value::from_reader(std::io::Cursor::new(&request.body)).unwrap().into_dictionary().unwrap();
        let status = message.get("Status").and_then(Value::as_string).map(str::to_owned);
        let mut state = self.state();
        state.received.push(message);
        state.certificates.push(signed.certificates[0].clone());
        state.content_types.push(header("content-type"));
        let Some(status) = status else { return reply(200, "text/plain", Vec::new()) };
        if let Some(trouble) = state.trouble.pop_front().filter(|status| *status != NO_TROUBLE) {
            return reply(trouble, "text/plain", b"trouble".to_vec());
        }
        let next = if status == "NotNow" { None } else { state.queue.pop_front() };
        reply(200, "application/xml", next.map(|command| to_xml(&command)).unwrap_or_default())
    }
}

fn reply(status: u16, content_type: &str, body: Vec<u8>) -> Reply {
    let status = StatusCode::from_u16(status).unwrap();
    Reply { status, content_type: Some(content_type.to_owned()), body: Bytes::from(body) }
}

impl Network for FakeServer {
    fn session(&self, anchors: &[Vec<u8>], _: Option<&Identity>) -> Result<Box<dyn Session>, SendError> {
        assert_eq!(anchors, std::slice::from_ref(&self.0.ca));
        Ok(Box::new(self.clone()))
    }
}

impl Session for FakeServer {
    fn send(&self, request: Request) -> BoxFuture<'_, Result<Reply, SendError>> {
        let reply = self.answer(&request);
        Box::pin(async move { Ok(reply) })
    }
}

struct Stage {
    clock: ManualClock,
    store: Arc<FakeStore>,
    server: FakeServer,
    inboxes: PushInboxes,
    device: Arc<Handset>,
}

/// This request is answered as usual.
const NO_TROUBLE: u16 = 0;
const SECOND: Duration = Duration::from_secs(1);

impl Stage {
    fn new(change: fn(&mut DeviceSpec)) -> Stage {
        let (clock, store, server) = (ManualClock::new(), Arc::new(FakeStore::default()), FakeServer::new());
        let inboxes = PushInboxes::default();
        let world = World {
            clock: clock.clock(),
            store: store.clone(),
            inboxes: inboxes.clone(),
            network: Arc::new(server.clone()),
            keys: Arc::new(KeyPool::generate(2, 2).unwrap()),
        };
        let mut spec = DeviceSpec::nth(1, 1);
        change(&mut spec);
        let device = Handset::new(spec, world, Chance::seeded(1));
        Stage { clock, store, server, inboxes, device }
    }

    async fn enrolled(change: fn(&mut Behaviour)) -> Stage {
        let mut stage = Stage::new(|_| ());
        let mut spec = stage.device.spec.clone();
        change(&mut spec.behaviour);
        stage.device = Handset::new(spec, stage.device.world.clone(), Chance::seeded(1));
        stage.device.enrol(&stage.server.profile()).await.unwrap();
        tokio::spawn(stage.device.clone().run());
        stage
    }

    fn push_with(&self, magic: &str) -> bool {
        let token = self.server.state().received.iter().find_map(|one| one.get("Token")?.as_data().map(<[u8]>::to_vec));
        self.inboxes.deliver(&token.unwrap(), Wake { push_magic: magic.to_owned() })
    }

    async fn push(&self) -> bool {
        let received = self.server.state().received.clone();
        let magic = received.iter().find_map(|one| one.get("PushMagic")?.as_string()).unwrap();
        let delivered = self.push_with(magic);
        self.clock.advance(Duration::ZERO).await;
        delivered
    }

    fn last(&self) -> Dictionary {
        self.server.state().received.last().unwrap().clone()
    }
}

#[tokio::test]
async fn a_device_enrols_with_a_certificate_of_the_server() {
    let stage = Stage::enrolled(|_| ()).await;
    let state = stage.server.state();
    let [authenticate, update] = state.received.as_slice() else { panic!("{:?}", state.received) };
    let text = |message: &Dictionary, key: &str| message.get(key).unwrap().as_string().unwrap().to_owned();
    assert_eq!(text(authenticate, "MessageType"), "Authenticate");
    assert_eq!(text(authenticate, "SerialNumber"), stage.device.spec().serial);
    assert_eq!(text(update, "MessageType"), "TokenUpdate");
    assert_eq!(update.get("Token").unwrap().as_data().unwrap().len(), 32);
    assert_eq!(state.content_types[0].as_deref(), Some("application/x-apple-aspen-mdm-checkin"));
    assert_eq!(Facts::of(&state.certificates[1]).unwrap().serial, [1, 7]);
    assert!(stage.device.view().enrolled);
}

#[tokio::test]
async fn a_lost_scep_reply_repeats_the_same_request_and_a_refusal_is_told() {
    let stage =
        Stage::enrolled(|behaviour| (behaviour.lose_scep_reply, behaviour.minimal_authenticate) = (true, true)).await;
    let requests = stage.server.state().scep_requests.clone();
    assert_eq!(requests.len(), 2);
    assert_eq!(requests[0], requests[1]);
    assert!(!stage.server.state().received[0].contains_key("SerialNumber"));

    let refused = Stage::new(|_| ());
    refused.server.state().refuse_scep = true;
    let error = refused.device.enrol(&refused.server.profile()).await.unwrap_err();
    let expected = crate::device::scep::FailInfo::BadRequest;
    assert!(matches!(error, EnrolError::Scep(ScepError::Refused(info)) if info == expected), "{error}");
    assert!(!refused.device.view().enrolled);
}

#[tokio::test]
async fn a_push_makes_the_device_work_off_the_queue() {
    let stage = Stage::enrolled(|_| ()).await;
    stage.store.grant(&stage.device.spec().serial, "1");
    stage
        .server
        .queue("DeviceInformation", [("Queries", vec!["SerialNumber", "IsSupervised", "Colour"].into_values())]);
    stage.server.queue("InstallApplication", [("iTunesStoreID", 1.into()), ("Options", licence())]);
    stage.server.queue("EraseDevice", []);
    stage.server.queue("RemoveApplication", [("Identifier", 1.into())]);
    assert!(stage.push().await);
    assert_eq!(stage.server.statuses(), ["Idle", "Acknowledged", "Acknowledged", "Error", "CommandFormatError"]);
    let received = stage.server.state().received.clone();
    let queries = received[3].get("QueryResponses").unwrap().as_dictionary().unwrap();
    assert_eq!(queries.len(), 2, "unknown queries are left out");
    assert_eq!(received[4].get("State").unwrap().as_string(), Some("Queued"));
    let error = received[5].get("ErrorChain").unwrap().as_array().unwrap()[0].as_dictionary().unwrap();
    assert_eq!(error.get("ErrorCode").unwrap().as_signed_integer(), Some(12021));
    let counters = stage.device.view().counters;
    assert_eq!((counters.refused, counters.cycles), (2, 1));

    for _ in 0..30 {
        stage.clock.advance(SECOND).await;
    }
    stage.server.queue("ManagedApplicationList", []);
    stage.server.queue("InstalledApplicationList", [("Items", vec!["Identifier", "DeviceBasedVPP"].into_values())]);
    stage.push().await;
    let received = stage.server.state().received.clone();
    let managed = received[received.len() - 2].get("ManagedApplicationList").unwrap().as_dictionary().unwrap();
    let app = managed.get("example.app1").unwrap().as_dictionary().unwrap();
    assert_eq!(app.get("Status").unwrap().as_string(), Some("Managed"));
    let installed = stage.last().get("InstalledApplicationList").unwrap().as_array().unwrap().clone();
    let expected = dictionary([("Identifier", "example.app1".into()), ("DeviceBasedVPP", true.into())]);
    assert_eq!(installed, [Value::from(expected)]);
}

fn licence() -> Value {
    dictionary([("PurchaseMethod", 1.into())]).into()
}

trait IntoValues {
    fn into_values(self) -> Value;
}

impl IntoValues for Vec<&str> {
    fn into_values(self) -> Value {
        Value::Array(self.into_iter().map(Value::from).collect())
    }
}

#[tokio::test]
async fn a_push_with_a_foreign_magic_is_ignored_and_counted() {
    let stage = Stage::enrolled(|_| ()).await;
    assert!(stage.push_with("somebody else's"));
    stage.clock.advance(SECOND).await;
    assert!(stage.server.statuses().is_empty());
    assert_eq!(stage.device.view().counters.wrong_magic, 1);
}

#[tokio::test]
async fn after_not_now_at_the_end_of_a_cycle_the_device_comes_back_by_itself() {
    let stage = Stage::enrolled(|behaviour| {
        (behaviour.not_now_on, behaviour.not_now_back) = (Some(1), Some(SECOND * 60));
    })
    .await;
    stage.server.queue("ProfileList", []);
    stage.server.queue("RemoveApplication", [("Identifier", "none".into())]);
    stage.push().await;
    assert_eq!(stage.server.statuses(), ["Idle", "Acknowledged", "NotNow"]);
    stage.clock.advance(SECOND * 59).await;
    assert_eq!(stage.server.statuses().len(), 3);
    stage.server.queue("RemoveApplication", [("Identifier", "none".into())]);
    stage.clock.advance(SECOND).await;
    assert_eq!(stage.server.statuses()[3..], ["Idle", "Error"]);
    stage.clock.advance(SECOND * 3600).await;
    assert_eq!(stage.server.statuses().len(), 5, "no further visit without a push");
    assert_eq!(stage.device.view().counters.not_now, 1);
}

#[tokio::test]
async fn a_result_is_sent_again_until_the_server_takes_it() {
    let stage = Stage::enrolled(|behaviour| behaviour.lose_reply_on = Some(1)).await;
    stage.server.queue("ProfileList", []);
    stage.push().await;
    stage.clock.advance(SECOND * 15).await;
    assert_eq!(stage.server.statuses(), ["Idle", "Acknowledged", "Acknowledged"]);
    let received = stage.server.state().received.clone();
    assert_eq!(received[3], received[4], "the very same result");

    stage.server.queue("ProfileList", []);
    stage.server.state().trouble = [503; 5].into();
    stage.push().await;
    stage.clock.advance(SECOND * 3600).await;
    assert_eq!(stage.server.statuses()[3..], ["Idle"; 5], "five attempts, then silence");
    stage.push().await;
    assert_eq!(stage.server.statuses()[8..], ["Idle", "Acknowledged"]);
}

#[tokio::test]
async fn an_unaccepted_result_is_the_first_thing_said_at_the_next_push() {
    let stage = Stage::enrolled(|_| ()).await;
    stage.server.queue("ProfileList", []);
    stage.server.state().trouble = [NO_TROUBLE, 503, 500, 503, 429, 503].into();
    stage.push().await;
    stage.clock.advance(SECOND * 3600).await;
    let attempts = ["Acknowledged"; 5];
    assert_eq!(stage.server.statuses()[0], "Idle");
    assert_eq!(stage.server.statuses()[1..], attempts);
    stage.push().await;
    assert_eq!(stage.server.statuses()[6..], ["Acknowledged"]);
}

#[tokio::test]
async fn a_401_removes_everything_managed() {
    let stage = Stage::enrolled(|_| ()).await;
    stage.server.state().trouble = [401].into();
    stage.push().await;
    let view = stage.device.view();
    assert_eq!((view.enrolled, view.counters.got_401), (false, 1));
    assert!(!stage.push().await, "the token is no longer valid");
}

#[tokio::test]
async fn a_result_that_met_a_401_is_not_owed_after_the_next_enrolment() {
    let stage = Stage::enrolled(|_| ()).await;
    stage.server.queue("ProfileList", []);
    stage.server.state().trouble = [NO_TROUBLE, 401].into();
    stage.push().await;
    assert_eq!(stage.device.view().json()["got_401"], 1);
    stage.server.state().received.clear();
    stage.device.enrol(&stage.server.profile()).await.unwrap();
    tokio::spawn(stage.device.clone().run());
    stage.push().await;
    assert_eq!(stage.server.statuses(), ["Idle"]);
}

#[tokio::test]
async fn an_owner_who_removes_the_profile_checks_out_once() {
    let stage = Stage::enrolled(|_| ()).await;
    stage.device.unenrol().await;
    assert_eq!(stage.last().get("MessageType").unwrap().as_string(), Some("CheckOut"));
    assert!(!stage.device.view().enrolled);
    assert!(!stage.push().await);
    stage.device.enrol(&stage.server.profile()).await.unwrap();
    assert!(stage.device.view().enrolled, "may enrol again");
}

#[tokio::test]
async fn a_device_that_stays_away_never_connects() {
    let stage = Stage::enrolled(|behaviour| behaviour.stay_away = true).await;
    stage.server.queue("ProfileList", []);
    assert!(stage.push().await);
    assert!(stage.server.statuses().is_empty());
}

#[tokio::test]
async fn odd_clients_are_odd_in_the_way_asked_for() {
    let stage = Stage::enrolled(|behaviour| {
        behaviour.binary_plist = true;
        behaviour.extra_keys = true;
        behaviour.echo_request_type = true;
        behaviour.content_type = ContentType::Missing;
        (behaviour.der, behaviour.sha256, behaviour.embed_chain) = (true, true, true);
    })
    .await;
    stage.server.queue("ProfileList", []);
    stage.push().await;
    assert_eq!(stage.last().get("RequestType").unwrap().as_string(), Some("ProfileList"));
    assert!(stage.last().contains_key("SandboxUnknownKey"));
    assert_eq!(stage.server.state().content_types.last().unwrap(), &None);
}

#[tokio::test]
async fn a_renewed_profile_changes_the_identity_and_nothing_else() {
    let stage = Stage::enrolled(|_| ()).await;
    let push_token = |message: &Dictionary| message.get("Token").and_then(Value::as_data).map(<[u8]>::to_vec);
    stage.server.queue("InstallProfile", [("Payload", Value::Data(stage.server.profile()))]);
    stage.push().await;
    let state = stage.server.state();
    let kinds: Vec<_> = state.received.iter().filter_map(|one| one.get("MessageType")?.as_string()).collect();
    assert_eq!(kinds, ["Authenticate", "TokenUpdate", "Authenticate", "TokenUpdate"]);
    assert_eq!(push_token(&state.received[1]), push_token(&state.received[4]));
    assert_eq!(state.received[5].get("Status").unwrap().as_string(), Some("Acknowledged"));
    assert_ne!(state.certificates[0], state.certificates[5]);
    assert_eq!(state.certificates[4], state.certificates[5], "acknowledged with the new identity");
}

#[tokio::test]
async fn a_command_without_the_right_for_it_is_an_error() {
    let stage = Stage::enrolled(|_| ()).await;
    stage.server.queue("Settings", [("Settings", Value::Array(Vec::new()))]);
    stage.push().await;
    let error = stage.last().get("ErrorChain").unwrap().as_array().unwrap()[0].as_dictionary().unwrap().clone();
    assert_eq!(error.get("ErrorCode").unwrap().as_signed_integer(), Some(12007), "4371 is without 2048");
}

#[tokio::test]
async fn a_fleet_enrols_all_its_devices_and_tells_of_each() {
    use crate::device::fleet::{Fleet, specs};
    let stage = Stage::new(|_| ());
    let fleet = Fleet::new(stage.device.world.clone(), 3);
    let told = Mutex::new(Vec::new());
    let progress = |progress: crate::device::fleet::Progress<'_>| {
        told.lock().unwrap().push((progress.done, progress.total, progress.error.is_none()));
    };
    let failures = fleet.enrol(&stage.server.profile(), specs(3, 3, |_, _| ()), 2, progress).await;
    assert!(failures.is_empty());
    assert_eq!(told.lock().unwrap()[..], [(1, 3, true), (2, 3, true), (3, 3, true)]);
    assert!(fleet.view().iter().all(|device| device.enrolled));
    let failures = fleet.enrol(&stage.server.profile(), specs(3, 1, |_, _| ()), 2, |_| ()).await;
    assert!(matches!(failures[0].1, EnrolError::Enrolled));
    assert_eq!(fleet.view().len(), 3);
    let tokens: std::collections::HashSet<_> = stage
        .server
        .state()
        .received
        .iter()
        .filter_map(|one| one.get("Token")?.as_data().map(<[u8]>::to_vec))
        .collect();
    assert_eq!(tokens.len(), 3);
}

#[tokio::test]
async fn an_unsupervised_owner_is_asked() {
    let mut stage = Stage::new(|spec| {
        (spec.supervised, spec.person) = (false, Person::Decline { after: SECOND });
    });
    stage.device.enrol(&stage.server.profile()).await.unwrap();
    tokio::spawn(stage.device.clone().run());
    stage.store = Arc::default();
    stage.server.queue("InstallApplication", [("iTunesStoreID", 1.into()), ("Options", licence())]);
    stage.push().await;
    assert_eq!(stage.last().get("State").unwrap().as_string(), Some("Prompting"));
    stage.clock.advance(SECOND).await;
    assert_eq!(stage.device.view().apps[0].state, Some(crate::device::apps::AppState::UserRejected));
}
