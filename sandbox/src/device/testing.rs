//! Stand-ins for tests of the devices: a clock moved by hand, a store, a profile.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use jiff::Timestamp;
use plist::{Dictionary, Value};

use crate::clock::Clock;
use crate::world::{Product, StoreFront};

/// A clock that stands still until a test moves it.
#[derive(Clone)]
pub struct ManualClock(Arc<Mutex<ManualState>>);

struct ManualState {
    now: Timestamp,
    timers: BTreeMap<(Timestamp, u64), Waker>,
    next: u64,
}

struct ManualSleep {
    clock: ManualClock,
    until: Timestamp,
}

impl Future for ManualSleep {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut state = self.clock.0.lock().unwrap();
        if state.now >= self.until {
            return Poll::Ready(());
        }
        state.next += 1;
        let key = (self.until, state.next);
        state.timers.insert(key, context.waker().clone());
        Poll::Pending
    }
}

impl ManualClock {
    pub fn new() -> ManualClock {
        let now = "2026-11-02T06:00:00Z".parse().unwrap();
        ManualClock(Arc::new(Mutex::new(ManualState { now, timers: BTreeMap::new(), next: 0 })))
    }

    pub fn clock(&self) -> Clock {
        let (now, sleep) = (self.clone(), self.clone());
        Clock::given(
            move || now.0.lock().unwrap().now,
            move |duration| {
                let until = sleep.0.lock().unwrap().now + duration;
                Box::pin(ManualSleep { clock: sleep.clone(), until })
            },
            || Box::new(()),
        )
    }

    /// Lets every task run as far as it can, at the time before, at each timer on the way, and at the time after.
    pub async fn advance(&self, duration: Duration) {
        settle().await;
        let end = self.0.lock().unwrap().now + duration;
        loop {
            let due = {
                let mut state = self.0.lock().unwrap();
                match state.timers.pop_first() {
                    Some(((at, _), waker)) if at <= end => {
                        state.now = state.now.max(at);
                        waker
                    }
                    Some((later, waker)) => {
                        state.timers.insert(later, waker);
                        state.now = end;
                        break;
                    }
                    None => {
                        state.now = end;
                        break;
                    }
                }
            };
            due.wake();
            settle().await;
        }
        settle().await;
    }
}

async fn settle() {
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
}

/// A store with two apps (1 and 2) and a book (3).
pub struct FakeStore {
    products: Mutex<HashMap<String, Product>>,
    licences: Mutex<HashSet<(String, String)>>,
    reports: Mutex<Vec<(String, String)>>,
}

impl Default for FakeStore {
    fn default() -> FakeStore {
        let product = |adam: &str, kind: &str| Product {
            adam_id: adam.to_owned(),
            bundle_id: format!("example.app{adam}"),
            name: format!("App {adam}"),
            product_type: kind.to_owned(),
            external_version_id: 10,
            size_bytes: 2_000,
        };
        let all = [product("1", "App"), product("2", "App"), product("3", "Book")];
        let products = all.into_iter().map(|product| (product.adam_id.clone(), product)).collect();
        FakeStore { products: Mutex::new(products), licences: Mutex::default(), reports: Mutex::default() }
    }
}

impl FakeStore {
    pub fn grant(&self, serial: &str, adam: &str) {
        self.licences.lock().unwrap().insert((serial.to_owned(), adam.to_owned()));
    }

    pub fn release(&self, adam: &str, version: u64) {
        self.products.lock().unwrap().get_mut(adam).unwrap().external_version_id = version;
    }

    pub fn reports(&self) -> Vec<(String, String)> {
        self.reports.lock().unwrap().clone()
    }
}

impl StoreFront for FakeStore {
    fn product(&self, adam_id: &str) -> Option<Product> {
        self.products.lock().unwrap().get(adam_id).cloned()
    }

    fn product_by_bundle(&self, bundle_id: &str) -> Option<Product> {
        self.products.lock().unwrap().values().find(|product| product.bundle_id == bundle_id).cloned()
    }

    fn holds_licence(&self, serial: &str, adam_id: &str) -> bool {
        self.licences.lock().unwrap().contains(&(serial.to_owned(), adam_id.to_owned()))
    }

    fn report_install_without_licence(&self, serial: &str, adam_id: &str) {
        self.reports.lock().unwrap().push((serial.to_owned(), adam_id.to_owned()));
    }
}

/// A dictionary of these pairs.
pub fn dictionary<const N: usize>(pairs: [(&str, Value); N]) -> Dictionary {
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

/// XML of a dictionary.
pub fn to_xml(dictionary: &Dictionary) -> Vec<u8> {
    let mut out = Vec::new();
    Value::Dictionary(dictionary.clone()).to_writer_xml(&mut out).unwrap();
    out
}

fn payload(kind: &str, uuid: &str, mut rest: Dictionary) -> Dictionary {
    rest.insert("PayloadType".to_owned(), kind.into());
    rest.insert("PayloadVersion".to_owned(), 1.into());
    rest.insert("PayloadIdentifier".to_owned(), format!("example.enrolment.{uuid}").into());
    rest.insert("PayloadUUID".to_owned(), uuid.into());
    rest
}

/// An enrolment profile: the anchors, the SCEP payload, the MDM payload.
pub fn enrolment_profile(scep_url: &str, fingerprint: Option<Vec<u8>>, anchors: &[Vec<u8>]) -> Dictionary {
    let pair = |kind: &str, text: &str| Value::Array(vec![Value::Array(vec![kind.into(), text.into()])]);
    let mut scep = dictionary([
        ("URL", scep_url.into()),
        ("Name", "the CA".into()),
        ("Subject", Value::Array(vec![pair("O", "Northwind"), pair("2.5.4.3", "e-7f3a9c")])),
        ("Challenge", "kq3nX8vT1cZ5mB7yL0rW2sD4fG6hJ9pA".into()),
        ("Keysize", 2048.into()),
        ("Key Type", "RSA".into()),
        ("Key Usage", 5.into()),
    ]);
    if let Some(fingerprint) = fingerprint {
        scep.insert("CAFingerprint".to_owned(), Value::Data(fingerprint));
    }
    let mdm = dictionary([
        ("IdentityCertificateUUID", "scep".into()),
        ("Topic", "com.apple.mgmt.External.6f1d2c3b".into()),
        ("ServerURL", "https://mdm.example/mdm".into()),
        ("CheckInURL", "https://mdm.example/checkin".into()),
        ("AccessRights", 4371.into()),
        ("SignMessage", true.into()),
        ("CheckOutWhenRemoved", true.into()),
    ]);
    let anchor = |(number, der): (usize, &Vec<u8>)| {
        let content = dictionary([("PayloadContent", Value::Data(der.clone()))]);
        payload("com.apple.security.root", &format!("root{number}"), content)
    };
    let mut payloads: Vec<Value> = anchors.iter().enumerate().map(|one| anchor(one).into()).collect();
    payloads.push(payload("com.apple.security.scep", "scep", dictionary([("PayloadContent", scep.into())])).into());
    payloads.push(payload("com.apple.mdm", "mdm", mdm).into());
    payload("Configuration", "top", dictionary([("PayloadContent", Value::Array(payloads))]))
}
