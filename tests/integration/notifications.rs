//! Notifications of Apple's save time and change nothing else: lost, doubled, late, early, forged or unknown, what comes
//! out is what comes out without them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use hyper::Method;
use jiff::SignedDuration;
use sandbox::apple::{AssetName, Fault, FaultRule, MdmInfo, NotificationRoute, Often};
use sandbox::device::http::{Internet, Network, Request};
use serde_json::{Value, json};
use vppd::clock::Clock;
use vppd::operations::notifications::channel::sealed_place;
use vppd::operations::tokens::{self, manage};
use vppd::operations::view::*;
use vppd::operations::{doctor, look};
use vppd::store::channels::{self, Channel};
use vppd::store::notifications::Hint;
use vppd::store::{StoreError, locations, notifications};

use crate::captured;
use crate::support::*;

const READER: &str = "1600000011";
const NAME: &str = "notify.localhost";

/// An appliance with a door for notifications, to which Apple knows the way.
struct Notified {
    app: App,
    route: NotificationRoute,
    port: u16,
}

impl Notified {
    async fn start(clock: Clock, assets: &[(&str, i64)], more: &str) -> Notified {
        let made = rcgen::generate_simple_self_signed([NAME.to_owned()]).unwrap();
        let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        let port = free_port();
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        std::fs::write(path("certificate.pem"), &certificate).unwrap();
        std::fs::write(path("key.pem"), key).unwrap();
        let section = format!(
            "[notifications]\nurl = \"https://{NAME}:{port}/apple\"\nlisten = \"127.0.0.1:{port}\"\ncertificate = {:?}\n\
             key = {:?}\n{more}",
            path("certificate.pem"),
            path("key.pem"),
        );
        let slow = |text: String| text.replace("[apple]\n", "[apple]\nevent-poll = [\"5m\"]\n") + &section;
        let app = App::start_with(clock, assets, slow).await;
        let hosts = HashMap::from([(NAME.to_owned(), IpAddr::from(Ipv4Addr::LOCALHOST))]);
        let route = NotificationRoute { anchors: certificate, hosts };
        app.sandbox.apple.route_notifications(&route).unwrap();
        // The daemon reads the certificate at each start and reload.
        std::mem::forget(folder);
        Notified { app, route, port }
    }

    fn switch(&self, patch: Value) {
        self.app.sandbox.apple.patch_switches(patch.as_object().unwrap().clone()).unwrap();
    }

    async fn channel(&self) -> Option<Channel> {
        let uid = self.app.uid.clone();
        let read = self.app.context.store.read(move |c| -> Result<Option<Channel>, StoreError> {
            let location = locations::by_name_or_uid(c, &uid)?.unwrap();
            channels::of(c, location.id)
        });
        read.await.unwrap()
    }

    /// The address that Apple was told, and the secret.
    async fn told(&self) -> (String, String) {
        let channel = self.channel().await.unwrap();
        let secret = self.app.context.sealer.open(&sealed_place(&self.app.uid), &channel.sealed_secret.unwrap());
        (channel.told_url.unwrap(), String::from_utf8(secret.unwrap().to_vec()).unwrap())
    }

    async fn shown(&self) -> NotificationsView {
        tokens::show(&self.app.context, "Leeds".into()).await.unwrap().notifications
    }

    /// Somebody sends something; the status and the body of the answer.
    async fn send(&self, method: Method, url: &str, secret: Option<&str>, body: Vec<u8>) -> (u16, Vec<u8>) {
        let anchor = rustls::pki_types::CertificateDer::from(pem(&self.route.anchors));
        let internet = Internet::new(shared(&self.app.clock), self.route.hosts.clone(), vec![anchor.to_vec()]);
        let headers = secret.map(|secret| ("authorization", format!("Bearer {secret}"))).into_iter().collect();
        let request = Request { method, url: url.to_owned(), headers, body };
        let reply = internet.session(&[], None).unwrap().send(request).await.unwrap();
        (reply.status.as_u16(), reply.body.to_vec())
    }

    async fn post(&self, id: &str, kind: &str, about: Value) -> u16 {
        let (url, secret) = self.told().await;
        let body = json!({"notificationId": id, "notificationType": kind, "uId": self.app.uid, "notification": about});
        self.send(Method::POST, &url, Some(&secret), body.to_string().into_bytes()).await.0
    }

    async fn hints(&self) -> Vec<Hint> {
        let uid = self.app.uid.clone();
        let read = self.app.context.store.read(move |c| -> Result<Vec<Hint>, StoreError> {
            let location = locations::by_name_or_uid(c, &uid)?.unwrap();
            Ok(notifications::hints(c, location.id)?.into_iter().map(|(_, hint)| hint).collect())
        });
        read.await.unwrap()
    }

    /// How long it takes until `enough` devices have the app.
    async fn seconds_until(&self, enough: usize) -> i64 {
        let began = self.app.clock.now();
        for _ in 0..600 {
            if self.app.installed(READER).len() >= enough {
                break;
            }
            self.app.wait(Duration::from_secs(5)).await;
        }
        self.app.clock.now().duration_since(began).as_secs()
    }

    /// The calls of an endpoint whose query holds this, since the start.
    fn calls(&self, endpoint: &str, query: &str) -> usize {
        let calls = self.app.sandbox.apple.calls();
        calls.iter().filter(|call| call.endpoint == endpoint && call.query.contains(query)).count()
    }
}

fn pem(text: &str) -> Vec<u8> {
    use rustls::pki_types::pem::PemObject;
    rustls::pki_types::CertificateDer::from_pem_slice(text.as_bytes()).unwrap().to_vec()
}

/// What there is in the end, and how many seconds it took.
type Outcome = (BTreeMap<Stage, usize>, BTreeSet<String>, i64);

/// Thirteen devices get an app, and then one more for which a licence is bought first.
fn journey(patch: Value) -> Outcome {
    let mut outcome = Outcome::default();
    story(|clock| async {
        let it = Notified::start(clock, &[(READER, 13)], "[sync]\nwaiting-interval = \"20m\"\n").await;
        it.switch(patch.clone());
        it.app.add_token("Leeds", false).await.unwrap();
        it.app.enrol(devices(0, 14)).await;
        it.app.wait(minutes(5)).await;
        it.app.deploy(READER, "all-devices", PurposeView::Required).await;
        let mut seconds = it.seconds_until(13).await;
        it.app.sandbox.apple.buy(&it.app.uid, &AssetName::standard(READER), 1).unwrap();
        seconds += it.seconds_until(14).await;
        it.app.wait(minutes(30)).await;
        // An Apple of before 2026 refuses the newer types once; then it is asked for the older ones.
        if patch.get("profile-2026").is_none() {
            it.app.assert_clean();
        }
        outcome = (it.app.stages(READER).await, it.app.holders(READER), seconds);
    });
    outcome
}

#[test]
fn whatever_becomes_of_notifications_the_end_is_the_same_and_with_them_it_comes_sooner() {
    let without = journey(json!({"notif-fault": "drop"}));
    assert_eq!(without.0, counts([(Stage::Installed, 14)]));
    assert!(without.2 > 600, "{without:?}");
    let mut sooner = Vec::new();
    for (patch, quick) in [
        (json!({}), true),
        (json!({"notif-fault": "duplicate"}), true),
        (json!({"notif-fault": "split"}), true),
        (json!({"notif-fault": "unknown-type"}), true),
        (json!({"notif-early": "on"}), true),
        (json!({"notif-fault": "reorder"}), true),
        (json!({"notif-fault": "wrong-secret"}), false),
        (json!({"profile-2026": "off"}), true),
        (json!({"cfg-merge": "clear"}), true),
    ] {
        let with = journey(patch.clone());
        assert_eq!((&with.0, &with.1), (&without.0, &without.1), "{patch}");
        assert_eq!(with.2 < without.2 / 2, quick, "{patch}: {} s, {} s without", with.2, without.2);
        sooner.push(format!("{patch}: {} s", with.2));
    }
    println!("without: {} s; {}", without.2, sooner.join("; "));
}

#[test]
fn each_notification_leads_to_the_read_that_it_hints_at_and_a_repeated_one_to_none() {
    story(|clock| async move {
        let it = Notified::start(clock, &[(READER, 5), ("1600000022", 5)], "").await;
        it.app.add_token("Leeds", false).await.unwrap();
        it.app.wait(minutes(5)).await;
        assert_eq!(it.shown().await.state, NotificationState::On);
        it.app.sandbox.apple.buy(&it.app.uid, &AssetName::standard(READER), 7).unwrap();
        it.app.wait(Duration::from_secs(2)).await;
        let total = |token: &TokenView| token.licences_owned;
        assert_eq!(total(&tokens::show(&it.app.context, "Leeds".into()).await.unwrap()), 17);
        assert_eq!(it.calls("assets", &format!("adamId={READER}")), 1, "only what was bought is read");
        assert!(it.shown().await.last_heard.is_some());

        let about = json!({"adamId": READER, "pricingParam": "STDQ", "countDelta": 1});
        for _ in 0..3 {
            assert_eq!(it.post("same", "ASSET_COUNT", about.clone()).await, 200);
            it.app.wait(minutes(1)).await;
        }
        assert_eq!(it.calls("assets", &format!("adamId={READER}")), 2);

        let changes = it.calls("assignments", "sinceVersionId");
        let about = json!({"type": "ASSOCIATE", "result": "SUCCESS", "eventId": "of-somebody-else", "assignments": []});
        assert_eq!(it.post("foreign", "ASSET_MANAGEMENT", about).await, 200);
        it.app.wait(minutes(1)).await;
        assert_eq!(it.calls("assignments", "sinceVersionId"), changes + 1);

        let listed = it.calls("assets", "");
        assert_eq!(it.post("free", "UNLIMITED_ASSET", json!({})).await, 200);
        it.app.wait(minutes(1)).await;
        assert!(it.calls("assets", "") > listed);

        let calls = it.app.sandbox.apple.calls().len();
        for (id, kind) in [
            ("seats", "SUBSCRIPTION_COUNT"),
            ("more seats", "SUBSCRIPTION_MANAGEMENT"),
            ("strange", "WEATHER_FORECAST"),
            ("try", "TEST_NOTIFICATION"),
            ("user", "USER_MANAGEMENT"),
            ("other user", "USER_ASSOCIATED"),
        ] {
            assert_eq!(it.post(id, kind, json!({"odd": [null]})).await, 200, "{kind}");
        }
        it.app.wait(minutes(1)).await;
        let asked = it.app.sandbox.apple.calls().split_off(calls);
        assert!(asked.iter().all(|call| ["service/config", "users"].contains(&call.endpoint.as_str())), "{asked:?}");
        assert!((1..=2).contains(&asked.iter().filter(|call| call.endpoint == "users").count()), "{asked:?}");
        assert_eq!(it.hints().await, [], "all were followed");
    });
}

#[test]
fn strangers_learn_nothing_and_the_journal_tells_no_secret() {
    let mark = captured::listen();
    story(|clock| async move {
        let it = Notified::start(clock, &[(READER, 5)], "").await;
        it.app.add_token("Leeds", false).await.unwrap();
        it.app.wait(minutes(5)).await;
        let (url, secret) = it.told().await;
        let door = format!("https://{NAME}:{}/apple", it.port);
        let heard = it.shown().await.last_heard;
        let body = json!({"notificationId": "n", "notificationType": "ASSET_COUNT", "uId": it.app.uid}).to_string();
        let post = |url: String, secret: Option<String>| {
            let body = body.clone().into_bytes();
            let it = &it;
            async move { it.send(Method::POST, &url, secret.as_deref(), body).await }
        };
        let nothing = (403, Vec::new());
        for secret in [None, Some(String::new()), Some("not-the-secret".into()), Some(format!("{secret}x"))] {
            assert_eq!(post(url.clone(), secret).await, nothing);
        }
        for elsewhere in [door.clone(), format!("{door}/"), format!("{door}/{}", "A".repeat(22)), format!("{url}/")] {
            assert_eq!(post(elsewhere, Some(secret.clone())).await, nothing);
        }
        assert_eq!(it.send(Method::GET, &url, Some(&secret), vec![]).await, nothing);
        let send = async |body: Vec<u8>| it.send(Method::POST, &url, Some(&secret), body).await.0;
        assert_eq!(send(b"not JSON".to_vec()).await, 400);
        assert_eq!(send(b"[]".to_vec()).await, 400);
        assert_eq!(send(vec![b' '; 300 * 1024]).await, 413);
        assert_eq!(send(body.replace(&it.app.uid, "another").into_bytes()).await, 400);
        assert_eq!(it.shown().await.last_heard, heard);
        assert_eq!(it.hints().await, []);
        assert_eq!(send(body.clone().into_bytes()).await, 200);
        let said = captured::everything(mark);
        assert!(said.iter().any(|line| line.contains("Leeds")), "nothing was captured");
        assert_eq!(said.iter().find(|line| line.contains(&secret)), None);
    });
}

#[test]
fn the_secret_changes_with_each_token_and_each_take_over_and_the_old_one_ends() {
    story(|clock| async move {
        let it = Notified::start(clock, &[(READER, 5)], "").await;
        it.app.add_token("Leeds", false).await.unwrap();
        it.app.wait(minutes(5)).await;
        let (url, first) = it.told().await;
        let newer = it.app.sandbox.apple.add_token(&it.app.uid, SignedDuration::from_hours(24 * 350)).unwrap();
        manage::renew(&it.app.context, "Leeds".into(), TokenRenewRequest { content: newer }, "test").await.unwrap();
        it.app.wait(minutes(5)).await;
        let (same, second) = it.told().await;
        assert_eq!((&same, first == second), (&url, false));
        let body = |id: &str| {
            json!({"notificationId": id, "notificationType": "ASSET_COUNT", "uId": it.app.uid}).to_string().into_bytes()
        };
        assert_eq!(it.send(Method::POST, &url, Some(&first), body("a")).await.0, 403);
        assert_eq!(it.send(Method::POST, &url, Some(&second), body("a")).await.0, 200);

        let other = MdmInfo { id: "other".into(), name: "Other MDM".into(), metadata: String::new() };
        it.app.sandbox.apple.take_over(&it.app.uid, other).unwrap();
        it.app.wait(minutes(24 * 60)).await;
        manage::take_over(&it.app.context, "Leeds".into(), "test").await.unwrap();
        it.app.wait(minutes(5)).await;
        let (_, third) = it.told().await;
        assert!(third != second && third != first);
        assert_eq!(it.shown().await.state, NotificationState::On);
    });
}

#[test]
fn turned_off_apple_is_told_to_send_nothing_and_the_location_stays_ours() {
    for merge in ["keep", "clear"] {
        story(|clock| async move {
            let mut it = Notified::start(clock, &[(READER, 5)], "").await;
            it.switch(json!({"cfg-merge": merge}));
            it.app.add_token("Leeds", false).await.unwrap();
            it.app.wait(minutes(5)).await;
            assert_eq!(it.shown().await.state, NotificationState::On);
            let (text, _) = std::fs::read_to_string(&it.app.settings)
                .unwrap()
                .split_once("[notifications]")
                .map(|(before, after)| (before.to_owned(), after.to_owned()))
                .unwrap();
            it.app.end().await;
            std::fs::write(&it.app.settings, text).unwrap();
            it.app.begin().await;
            it.app.wait(minutes(5)).await;
            assert_eq!(it.shown().await.state, NotificationState::Off, "{merge}");
            assert!(it.channel().await.is_none());
            let sent = it.app.sandbox.apple.notifications().len();
            it.app.sandbox.apple.buy(&it.app.uid, &AssetName::standard(READER), 1).unwrap();
            it.app.wait(minutes(5)).await;
            assert_eq!(it.app.sandbox.apple.notifications().len(), sent, "{merge}");
            let token = tokens::show(&it.app.context, "Leeds".into()).await.unwrap();
            assert!(matches!(token.owner, OwnerView::Us), "{merge}: {:?}", token.owner);
        });
    }
}

#[test]
fn an_apple_that_cannot_reach_us_is_asked_again_and_nothing_waits_for_it() {
    story(|clock| async move {
        let it = Notified::start(clock, &[(READER, 5)], "").await;
        // Nobody there knows our certificate.
        it.app.sandbox.apple.route_notifications(&NotificationRoute::default()).unwrap();
        it.app.add_token("Leeds", false).await.unwrap();
        it.app.enrol(devices(0, 3)).await;
        it.app.deploy(READER, "all-devices", PurposeView::Required).await;
        it.app.wait(minutes(40)).await;
        assert_eq!(it.app.stages(READER).await, counts([(Stage::Installed, 3)]));
        let shown = it.shown().await;
        assert_eq!(shown.state, NotificationState::Failing);
        assert!(shown.failure.contains("could not reach our notification address"), "{}", shown.failure);
        let problems = look::status(&it.app.context).await.unwrap().problems;
        assert!(problems.iter().any(|problem| problem.contains("has no notifications")), "{problems:?}");
        assert!(it.calls("client/config", "") < 20, "with growing pauses");
        it.app.sandbox.apple.route_notifications(&it.route).unwrap();
        it.app.wait(minutes(61)).await;
        assert_eq!(it.shown().await.state, NotificationState::On);
        let health = doctor::apple::health(&it.app.context).await.unwrap();
        assert_eq!(health.locations[0].token.notifications.state, NotificationState::On);
        assert_eq!(look::status(&it.app.context).await.unwrap().notified, 1);
    });
}

#[test]
fn a_lost_answer_leaves_a_secret_that_works() {
    for restart in [false, true] {
        story(|clock| async move {
            let mut it = Notified::start(clock, &[(READER, 5)], "").await;
            let lost = FaultRule {
                endpoint: Some("client/config".into()),
                fault: Fault::ClosedAfterEffect,
                often: Often::Rate(1.0),
            };
            it.app.add_token("Leeds", false).await.unwrap();
            it.app.sandbox.apple.add_fault(lost).unwrap();
            it.app.wait(Duration::from_secs(50)).await;
            if restart {
                it.app.restart().await;
            }
            it.app.sandbox.apple.clear_faults();
            it.app.wait(minutes(10)).await;
            assert_eq!(it.shown().await.state, NotificationState::On, "{restart}");
            it.app.sandbox.apple.buy(&it.app.uid, &AssetName::standard(READER), 1).unwrap();
            it.app.wait(Duration::from_secs(3)).await;
            assert!(it.calls("assets", "adamId=") > 0, "{restart}");
        });
    }
}
