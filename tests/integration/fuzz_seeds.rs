//! The fuzzer's targets on their seeds, with every toolchain; and how the seeds were made: from what simulated devices, the
//! simulated Apple and the command line really send.

#[path = "../../fuzz/src/lib.rs"]
mod fuzz;

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::future::BoxFuture;
use plist::Value;
use sandbox::chance::Chance;
use sandbox::device::cms::{ContentCipher, Digest, Style};
use sandbox::device::http::{Identity, Internet, Network, Reply, Request, SendError, Session};
use sandbox::device::profile::Profile;
use sandbox::device::scep::{RequestStyle, certificate_request};
use sandbox::device::{ContentType, DeviceSpec, Fleet, Person, World, make_keys};
use vppd::mdm::identity::cms::Accepted;
use vppd::mdm::identity::scep::{CertificateRequest, parse_request};
use vppd::mdm::identity::signature::verify_message;
use vppd::operations::enrol;
use vppd::operations::view::*;

use crate::support::{App, minutes, shared, story};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz")
}

fn seeds(target: &str) -> Vec<Vec<u8>> {
    let files = std::fs::read_dir(folder().join("seeds").join(target)).unwrap();
    let seeds: Vec<_> = files.map(|file| std::fs::read(file.unwrap().path()).unwrap()).collect();
    assert!(!seeds.is_empty(), "{target} has no seeds");
    seeds
}

#[test]
fn every_target_takes_its_seeds_whole_cut_off_and_damaged() {
    for (name, target) in fuzz::TARGETS {
        let mut chance = Chance::seeded(1);
        for seed in seeds(name) {
            target(&seed);
            for _ in 0..8 {
                let place = chance.below(seed.len() as u64) as usize;
                target(&seed[..place]);
                let mut damaged = seed.clone();
                if let Some(byte) = damaged.get_mut(place) {
                    *byte ^= 1 << chance.below(8);
                }
                target(&damaged);
            }
        }
    }
}

#[test]
fn the_seeds_reach_what_lies_behind_the_proofs() {
    assert!(seeds("csr").iter().all(|seed| CertificateRequest::parse(seed).is_ok()));
    assert!(seeds("scep").iter().any(|seed| parse_request(seed, fuzz::devices::authority(), Accepted::Modern).is_ok()));
    let proved = |seed: &Vec<u8>| {
        let (header, body) = std::str::from_utf8(seed).unwrap().split_once('\n').unwrap();
        verify_message(header, body.as_bytes(), 32 * 1024).is_ok()
    };
    assert!(seeds("signature").iter().any(proved));
}

/// Makes all seeds anew: `cargo test --test integration make_the_seeds -- --ignored`
#[test]
#[ignore = "writes the seeds into fuzz/seeds"]
fn make_the_seeds() {
    story(async |clock| {
        let app = App::start(clock, &[("1600000011", 20), ("1600000022", 2)]).await;
        let sent = Sent::default();
        record_devices(&app, &sent).await;
        let (certificate, key) = app.context.keys.devices.to_pem();
        std::fs::write(folder().join("authority.pem"), certificate).unwrap();
        use secrecy::ExposeSecret;
        std::fs::write(folder().join("authority-key.pem"), key.expose_secret()).unwrap();
        let sent = sent.0.lock().unwrap().clone();
        write("mdm", kinds(&sent).into_values().map(|request| request.body.clone()).collect());
        write("signature", kinds(&sent).into_values().filter_map(signed).collect());
        let posted = sent.iter().filter(|request| request.url.contains("PKIOperation"));
        write("scep", posted.map(|request| request.body.clone()).collect());
        write("csr", requests(&app).await);
        let token = app.token.as_bytes();
        write("content-token", vec![token.to_vec(), [b"\xef\xbb\xbf\"", token, b"\"\r\n"].concat()]);
        write("apple", answers(&app).await);
        write("control", bodies());
        write("config", settings());
        let mut chance = Chance::seeded(9);
        write("planner", (0..24).map(|_| (0..40).flat_map(|_| chance.next().to_le_bytes()).collect()).collect());
    });
}

fn write(target: &str, seeds: Vec<Vec<u8>>) {
    let folder = folder().join("seeds").join(target);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    for (number, seed) in seeds.into_iter().enumerate() {
        std::fs::write(folder.join(format!("{number:02}")), seed).unwrap();
    }
}

/// What devices sent, in order.
#[derive(Clone, Default)]
struct Sent(Arc<Mutex<Vec<Request>>>);

/// Real connections that keep what goes out.
struct Recorder(Internet, Sent);

struct Recording(Box<dyn Session>, Sent);

impl Network for Recorder {
    fn session(&self, anchors: &[Vec<u8>], identity: Option<&Identity>) -> Result<Box<dyn Session>, SendError> {
        Ok(Box::new(Recording(self.0.session(anchors, identity)?, self.1.clone())))
    }
}

impl Session for Recording {
    fn send(&self, request: Request) -> BoxFuture<'_, Result<Reply, SendError>> {
        self.1.0.lock().unwrap().push(request.clone());
        self.0.send(request)
    }
}

/// Six devices that write in different ways live for an hour, get an app, lose it, and leave.
async fn record_devices(app: &App, sent: &Sent) {
    app.add_token("Leeds", false).await.unwrap();
    let clock = shared(&app.clock);
    let network = Recorder(Internet::new(clock.clone(), HashMap::new(), Vec::new()), sent.clone());
    let world = World {
        store: Arc::new(app.sandbox.apple.clone()),
        inboxes: app.sandbox.inboxes.clone(),
        network: Arc::new(network),
        keys: Arc::new(make_keys(&clock, 6, None).await.unwrap()),
        clock,
    };
    let fleet = Fleet::new(world, 5);
    let mut specs: Vec<DeviceSpec> = (1..=6).map(|number| DeviceSpec::nth(5, number)).collect();
    specs[1].behaviour.binary_plist = true;
    specs[1].behaviour.content_type = ContentType::Missing;
    (specs[2].behaviour.der, specs[2].behaviour.sha256) = (true, true);
    (specs[3].behaviour.extra_keys, specs[3].behaviour.echo_request_type) = (true, true);
    specs[3].behaviour.not_now_on = Some(1);
    specs[4].supervised = false;
    specs[4].person = Person::Decline { after: Duration::from_secs(5) };
    (specs[5].behaviour.embed_chain, specs[5].behaviour.minimal_authenticate) = (true, true);
    let request = EnrolRequest { count: Some(6), ..EnrolRequest::default() };
    let profile = enrol::make_profile(&app.context, request, "test").await.unwrap();
    let profile = STANDARD.decode(profile.profile).unwrap();
    let failures = fleet.enrol(&profile, specs, 1, |_| ()).await;
    assert!(failures.is_empty(), "{failures:?}");
    let kept = app.deploy("1600000011", "all-devices", PurposeView::Required).await;
    app.deploy("1600000022", "all-devices", PurposeView::Required).await;
    app.wait(minutes(60)).await;
    vppd::operations::deployments::remove(&app.context, kept.id, "test").await.unwrap();
    app.wait(minutes(60)).await;
    for device in fleet.devices() {
        device.unenrol().await;
    }
}

/// One signed message of each kind: by its encoding and its keys.
fn kinds(sent: &[Request]) -> BTreeMap<String, &Request> {
    let mut kinds = BTreeMap::new();
    for request in sent.iter().filter(|request| header(request).is_some()) {
        let Ok(Value::Dictionary(keys)) = Value::from_reader(std::io::Cursor::new(&request.body)) else { continue };
        let word = |key: &str| keys.get(key).and_then(Value::as_string).unwrap_or_default().to_owned();
        let names: Vec<&str> = keys.keys().map(String::as_str).collect();
        let encoding = &request.body[..6];
        kinds.entry(format!("{encoding:?}{}{}{names:?}", word("MessageType"), word("Status"))).or_insert(request);
    }
    kinds
}

fn header(request: &Request) -> Option<&str> {
    request.headers.iter().find(|(name, _)| *name == "mdm-signature").map(|(_, value)| value.as_str())
}

/// Header and body of a message whose body is text.
fn signed(request: &Request) -> Option<Vec<u8>> {
    let body = std::str::from_utf8(&request.body).ok()?;
    Some(format!("{}\n{body}", header(request)?).into_bytes())
}

/// Certificate requests in each way of writing them.
async fn requests(app: &App) -> Vec<Vec<u8>> {
    let made = enrol::make_profile(&app.context, EnrolRequest::default(), "test").await.unwrap();
    let profile = Profile::read(&STANDARD.decode(made.profile).unwrap()).unwrap();
    let scep = profile.enrolment.unwrap().scep;
    let key = make_keys(&shared(&app.clock), 1, None).await.unwrap().take().unwrap();
    let request = |streamed, challenge_as_utf8, sorted_attributes| {
        let (cms, cipher) = (Style { streamed, digest: Digest::Sha256 }, ContentCipher::Aes128);
        certificate_request(&scep, &key, RequestStyle { cms, cipher, challenge_as_utf8, sorted_attributes }).unwrap()
    };
    vec![request(true, false, false), request(false, true, true)]
}

/// What the simulated Apple answers, errors too.
async fn answers(app: &App) -> Vec<Vec<u8>> {
    use rustls::pki_types::{CertificateDer, pem::PemObject};
    let ca = CertificateDer::from_pem_file(app.sandbox.ca_path()).unwrap().to_vec();
    let session = Internet::new(shared(&app.clock), HashMap::new(), Vec::new()).session(&[ca], None).unwrap();
    let asset = r#"{"assets": [{"adamId": "1600000011", "pricingParam": "STDQ"}], "serialNumbers": ["DX1", "DX2"]}"#;
    let calls = [
        ("service/config", "", true),
        ("client/config", "", true),
        ("client/config", "", false),
        ("assets", "", true),
        ("assignments", "", true),
        ("assets/associate", asset, true),
        ("assets/associate", "{}", true),
    ];
    let mut answers = Vec::new();
    for (path, body, with_token) in calls {
        let token = if with_token { app.token.as_str() } else { "none" };
        answers.push(ask(app, session.as_ref(), path, body, token).await);
    }
    let event: serde_json::Value = serde_json::from_slice(&answers[5]).unwrap();
    let path = format!("status?eventId={}", event["eventId"].as_str().unwrap());
    answers.push(ask(app, session.as_ref(), &path, "", &app.token).await);
    app.wait(minutes(5)).await;
    answers.push(ask(app, session.as_ref(), &path, "", &app.token).await);
    answers
}

async fn ask(app: &App, session: &dyn Session, path: &str, body: &str, token: &str) -> Vec<u8> {
    let method = if body.is_empty() { hyper::Method::GET } else { hyper::Method::POST };
    let mut headers = vec![("authorization", format!("Bearer {token}"))];
    if !body.is_empty() {
        headers.push(("content-type", "application/json".to_owned()));
    }
    let url = format!("{}{path}", app.sandbox.apple_url());
    session.send(Request { method, url, headers, body: body.into() }).await.unwrap().body.to_vec()
}

/// Bodies as the command line sends them.
fn bodies() -> Vec<Vec<u8>> {
    let deploy = |to: &str, purpose| DeployRequest::new("1600000011", to, purpose);
    let enrol =
        EnrolRequest { serial: Some("DX1".into()), count: Some(1), expires_at: "2027-01-01T00:00:00Z".parse().ok() };
    let token = TokenAddRequest { name: "Leeds".into(), content: "eyJ0b2tlbiI6ICJ4In0=".into(), take_over: true };
    let json = |value: serde_json::Result<Vec<u8>>| value.unwrap();
    vec![
        json(serde_json::to_vec(&deploy("all-devices", PurposeView::Required))),
        json(serde_json::to_vec(&deploy("serial:DX1", PurposeView::Uninstall))),
        json(serde_json::to_vec(&enrol)),
        json(serde_json::to_vec(&token)),
        json(serde_json::to_vec(&SyncRequest { location: Some("Leeds".into()) })),
        json(serde_json::to_vec(&PauseRequest { reason: "exams".into() })),
    ]
}

/// The shipped settings as they are, with every key set, and with every line damaged in some way.
fn settings() -> Vec<Vec<u8>> {
    let shipped = include_str!("../../etc/vppd.toml");
    let is_key = |line: &&str| line.starts_with('#') && !line.starts_with("# ") && line.contains(" = ");
    let set: Vec<&str> = shipped.lines().map(|line| if is_key(&line) { &line[1..] } else { line }).collect();
    let set = set.join("\n");
    let odd = set.replace(" = \"", " = \"-").replace(" = [", " = [7, ").replace("url", "ulr");
    vec![shipped.into(), set.clone().into_bytes(), odd.into_bytes(), set.replace("\"\n", "\n").into_bytes()]
}
