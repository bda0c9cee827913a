//! A day in which things happen at Apple that vppd has not done: licences are bought, refunded and moved, others assign and
//! take back, another MDM takes a location, a token ends, Apple is away or slows down. All from a seed. Now and then
//! everything is compared: what vppd knows with what Apple knows, and each row of the report of differences with what was done.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use sandbox::apple::{AdminError, AssetName, Fault, FaultRule, MdmInfo, NewAsset, NewLocation, Often, RetryAfter};
use sandbox::chance::Chance;
use sandbox::device::apps::AppState;
use serde_json::json;
use vppd::operations::tokens::{self, manage};
use vppd::operations::view::*;
use vppd::operations::{deployments, differences, look, sync};
use vppd::store::assignments::Holder;
use vppd::store::{StoreError, assignments, locations};

use crate::support::*;

const ASSETS: u64 = 12;
const LICENCES: i64 = 15;
const DEVICES: u64 = 6;
/// Required on all devices.
const REQUIRED: u64 = 3;
const HOURS: u64 = 24;
const NAMES: [&str; 3] = ["Leeds", "York", "Bath"];
/// Hours between two comparisons.
const BETWEEN: u64 = 6;

fn adam_id(number: u64) -> String {
    format!("17{number:08}")
}

/// A licence of a location, by whoever holds it.
type Held = (String, String, String);

struct Day {
    app: App,
    chance: Chance,
    u_ids: BTreeMap<&'static str, String>,
    tokens: BTreeMap<&'static str, String>,
    /// Licences at the start, by location and asset.
    owned_at_first: BTreeMap<(String, String), i64>,
    /// What others have ever assigned, and taken back.
    assigned: BTreeSet<Held>,
    taken: BTreeSet<Held>,
    /// When a location was another MDM's; the end is open while it still is.
    foreign: Vec<(&'static str, Timestamp, Option<Timestamp>)>,
    expired: BTreeSet<&'static str>,
    /// Deployments that come and go, by the number of the app.
    deployed: BTreeMap<u64, i64>,
    trouble_until: u64,
}

fn day(seed: u64) {
    story(|clock| async move {
        let mut day = Day::begin(clock, seed).await;
        for hour in 1..=HOURS {
            day.hour(hour).await;
            if hour % BETWEEN == 0 {
                day.compare(hour).await;
            }
        }
        day.end().await;
        println!("seed {seed}: calls to Apple in a day: {:?}", day.app.sandbox.apple.counters().calls);
    });
}

impl Day {
    async fn begin(clock: vppd::clock::Clock, seed: u64) -> Day {
        let assets: Vec<String> = (0..ASSETS).map(adam_id).collect();
        let owned: Vec<(&str, i64)> = assets.iter().map(|adam_id| (adam_id.as_str(), LICENCES)).collect();
        let app = App::start(clock, &owned).await;
        let switches = json!({"page-size": 10});
        app.sandbox.apple.patch_switches(switches.as_object().unwrap().clone()).unwrap();
        let mut u_ids = BTreeMap::from([(NAMES[0], app.uid.clone())]);
        let mut tokens = BTreeMap::from([(NAMES[0], app.token.clone())]);
        for name in &NAMES[1..] {
            let u_id = app.sandbox.apple.add_location(NewLocation { name: (*name).into(), ..NewLocation::default() });
            for (adam_id, licences) in &owned {
                app.sandbox.apple.add_asset(&u_id, NewAsset::app(adam_id, *licences)).unwrap();
            }
            tokens.insert(name, app.sandbox.apple.add_token(&u_id, jiff::SignedDuration::from_hours(7200)).unwrap());
            u_ids.insert(name, u_id);
        }
        for name in NAMES {
            let request = TokenAddRequest { name: name.into(), content: tokens[name].clone(), take_over: false };
            tokens::add(&app.context, request, "test").await.unwrap();
        }
        app.enrol(devices(0, DEVICES)).await;
        for number in 0..REQUIRED {
            app.deploy(&adam_id(number), "all-devices", PurposeView::Required).await;
        }
        app.wait(minutes(30)).await;
        let mut day = Day {
            app,
            chance: Chance::seeded(seed),
            u_ids,
            tokens,
            owned_at_first: BTreeMap::new(),
            assigned: BTreeSet::new(),
            taken: BTreeSet::new(),
            foreign: Vec::new(),
            expired: BTreeSet::new(),
            deployed: BTreeMap::new(),
            trouble_until: 0,
        };
        for name in NAMES {
            day.owned_at_first.extend(day.owned(name));
        }
        day
    }

    fn owned(&self, name: &str) -> Vec<((String, String), i64)> {
        let location = self.app.sandbox.apple.location(&self.u_ids[name]).unwrap();
        location.assets.into_iter().map(|asset| ((name.to_owned(), asset.adam_id), asset.total)).collect()
    }

    fn is_foreign(&self, name: &str) -> bool {
        self.foreign.iter().any(|(other, _, until)| *other == name && until.is_none())
    }

    fn pick(&mut self) -> &'static str {
        NAMES[self.chance.below(NAMES.len() as u64) as usize]
    }

    async fn hour(&mut self, hour: u64) {
        for _ in 0..self.chance.below(5) + 1 {
            let pause = self.chance.below(600);
            self.app.wait(Duration::from_secs(pause)).await;
            self.change();
        }
        self.decide().await;
        if self.trouble_until == hour {
            self.app.sandbox.apple.clear_faults();
        }
        match self.chance.below(8) {
            0 => self.trouble(hour),
            1 => self.another_mdm(),
            2 => self.expire(),
            3 => self.put_right().await,
            _ => {}
        }
        self.app.wait(minutes(20)).await;
    }

    /// Something is bought, refunded, moved, assigned or taken back.
    fn change(&mut self) {
        let (name, other) = (self.pick(), self.pick());
        let asset = adam_id(self.chance.below(ASSETS));
        let serial = match self.chance.below(3) {
            // Sometimes one of ours.
            0 => devices(0, DEVICES)[self.chance.below(DEVICES) as usize].serial.clone(),
            _ => format!("ELSEWHERE{:03}", self.chance.below(12)),
        };
        let count = 1 + self.chance.below(3) as u32;
        let (apple, u_id, named) = (&self.app.sandbox.apple, &self.u_ids[name], AssetName::standard(&asset));
        let held = (name.to_owned(), asset.clone(), serial.clone());
        let done = match self.chance.below(6) {
            0 => apple.buy(u_id, &named, count),
            1 => apple.refund(u_id, &named, count),
            2 if name != other => apple.transfer(u_id, &self.u_ids[other], &named, count),
            2 => Ok(()),
            3 => apple.unassign(u_id, &named, &serial).map(|taken| {
                if taken {
                    self.taken.insert(held);
                }
            }),
            _ => apple.assign(u_id, &named, &serial).map(|new| {
                if new {
                    self.assigned.insert(held);
                }
            }),
        };
        // What cannot be done just now is not done: refunding what is in use, for one.
        assert!(matches!(done, Ok(()) | Err(AdminError::Invalid(_))), "{done:?}");
    }

    /// The administrator wants an app everywhere, or nowhere any more; or another location's licences used first.
    async fn decide(&mut self) {
        let number = REQUIRED + self.chance.below(4);
        match self.deployed.remove(&number) {
            Some(id) => drop(deployments::remove(&self.app.context, id, "test").await.unwrap()),
            None => {
                let added = self.app.deploy(&adam_id(number), "all-devices", PurposeView::Required).await;
                self.deployed.insert(number, added.id);
            }
        }
        let mut order = NAMES.map(str::to_owned).to_vec();
        order.rotate_left(self.chance.below(3) as usize);
        manage::order(&self.app.context, TokenOrderRequest { order }, "test").await.unwrap();
    }

    fn trouble(&mut self, hour: u64) {
        let fault = match self.chance.below(3) {
            0 => FaultRule {
                endpoint: None,
                fault: Fault::Unavailable(RetryAfter::Seconds(90)),
                often: Often::Rate(1.0),
            },
            1 => FaultRule { endpoint: None, fault: Fault::TooManyRequests, often: Often::Rate(0.3) },
            _ => FaultRule { endpoint: None, fault: Fault::BadGateway, often: Often::Rate(0.5) },
        };
        self.app.sandbox.apple.add_fault(fault).unwrap();
        self.trouble_until = hour + 1;
    }

    fn another_mdm(&mut self) {
        let name = self.pick();
        if self.is_foreign(name) {
            return;
        }
        let other = MdmInfo { id: "another".into(), name: "Another MDM".into(), metadata: String::new() };
        self.app.sandbox.apple.take_over(&self.u_ids[name], other).unwrap();
        self.foreign.push((name, self.app.clock.now(), None));
    }

    fn expire(&mut self) {
        let name = self.pick();
        self.app.sandbox.apple.expire_token(&self.tokens[name]).unwrap();
        self.expired.insert(name);
    }

    /// The administrator sees to one location.
    async fn put_right(&mut self) {
        let name = self.pick();
        self.renew(name).await;
        self.take_back(name).await;
    }

    async fn renew(&mut self, name: &'static str) {
        if !self.expired.contains(name) {
            return;
        }
        let content =
            self.app.sandbox.apple.add_token(&self.u_ids[name], jiff::SignedDuration::from_hours(7200)).unwrap();
        let request = TokenRenewRequest { content: content.clone() };
        // In an outage it cannot be done; then the administrator tries again later.
        if manage::renew(&self.app.context, name.into(), request, "test").await.is_ok() {
            self.expired.remove(name);
            self.tokens.insert(name, content);
        }
    }

    async fn take_back(&mut self, name: &'static str) {
        if !self.is_foreign(name) || self.expired.contains(name) {
            return;
        }
        let before = self.app.clock.now();
        if manage::take_over(&self.app.context, name.into(), "test").await.is_ok() {
            let still = self.foreign.iter_mut().find(|(other, _, until)| *other == name && until.is_none());
            still.unwrap().2 = Some(before);
        }
    }

    /// Everything that can be read is read, and held against what is so.
    async fn compare(&mut self, hour: u64) {
        self.app.sandbox.apple.clear_faults();
        self.app.wait(minutes(30)).await;
        for name in NAMES.into_iter().filter(|name| !self.expired.contains(name)) {
            let request = SyncRequest { location: Some(name.into()) };
            let task = sync::request(&self.app.context, request, "test").await.unwrap().remove(0);
            let task = loop {
                let task = look::task(&self.app.context, task.id).await.unwrap();
                if !matches!(task.state, TaskState::Waiting | TaskState::Running) {
                    break task;
                }
                self.app.wait(Duration::from_millis(200)).await;
            };
            assert_eq!(task.state, TaskState::Done, "{name} in hour {hour}: {task:?}");
            assert_eq!(self.known_assets(name).await, self.owned(name), "counts of {name} in hour {hour}");
            assert_eq!(self.known_rows(name).await, self.rows(name), "licences of {name} in hour {hour}");
        }
        self.explain(hour).await;
    }

    async fn known_assets(&self, name: &str) -> Vec<((String, String), i64)> {
        let apps = look::apps(&self.app.context).await.unwrap();
        let here = apps.into_iter().filter(|app| app.location == name);
        let mut known: Vec<_> = here.map(|app| ((name.to_owned(), app.adam_id), app.owned as i64)).collect();
        known.sort();
        known
    }

    /// (adamId, serial number), as vppd knows them.
    async fn known_rows(&self, name: &'static str) -> BTreeSet<(String, String)> {
        let read = move |c: &rusqlite::Connection| -> Result<_, StoreError> {
            let location = locations::by_name_or_uid(c, name)?.unwrap();
            assignments::of_location(c, location.id)
        };
        let rows = self.app.context.store.read(read).await.unwrap();
        let serial = |holder| match holder {
            Holder::Serial(serial) => serial,
            Holder::User(user) => panic!("nobody has assigned anything to {user}"),
        };
        rows.into_iter().map(|row| (row.adam_id, serial(row.holder))).collect()
    }

    /// The same as Apple knows them.
    fn rows(&self, name: &str) -> BTreeSet<(String, String)> {
        let location = self.app.sandbox.apple.location(&self.u_ids[name]).unwrap();
        location.assignments.into_iter().map(|row| (row.adam_id, row.serial_number.unwrap())).collect()
    }

    /// Each row of the report is held against what was done.
    async fn explain(&self, hour: u64) {
        let mut changed: BTreeMap<(String, String), i64> = BTreeMap::new();
        let has_app: BTreeSet<(String, String)> = self
            .app
            .fleet
            .view()
            .into_iter()
            .flat_map(|device| {
                let apps = device.apps.into_iter().filter(|app| app.state == Some(AppState::Managed));
                apps.map(|app| (app.product.adam_id, device.serial.clone())).collect::<Vec<_>>()
            })
            .collect();
        for row in differences::report(&self.app.context, None).await.unwrap() {
            let location = row.location.clone().unwrap_or_default();
            if self.expired.contains(location.as_str()) {
                continue;
            }
            let serial = row.serial.clone().unwrap_or_default();
            let held = (location.clone(), row.adam_id.clone(), serial.clone());
            let (here, there) = ((location.clone(), row.adam_id.clone()), row.to.clone());
            let pair = (row.adam_id.clone(), serial);
            let holds = |name: &str| self.rows(name).contains(&pair);
            let right = match row.cause {
                CauseView::Bought => {
                    *changed.entry(here).or_default() += row.licences;
                    row.licences > 0
                }
                CauseView::Refunded => {
                    *changed.entry(here).or_default() -= row.licences;
                    row.licences > 0
                }
                CauseView::Transferred => {
                    let there = (there.unwrap(), row.adam_id.clone());
                    *changed.entry(here).or_default() -= row.licences;
                    *changed.entry(there).or_default() += row.licences;
                    row.licences > 0
                }
                CauseView::AssignedOutside => self.assigned.contains(&held) && holds(&location),
                CauseView::TakenBackOutside => self.taken.contains(&held),
                CauseView::DeviceWithoutApp => holds(&location) && !has_app.contains(&pair),
                CauseView::AppWithoutLicence => has_app.contains(&pair) && !NAMES.iter().any(|name| holds(name)),
                CauseView::ForeignUser | CauseView::NotYetKnown => false,
            };
            assert!(right, "hour {hour}: nothing explains {row:?}; {}", self.history_of(&pair));
        }
        for ((name, adam_id), first) in &self.owned_at_first {
            // The halves of a transfer are seen when each location can be read.
            if self.expired.is_empty() {
                let now = self.owned(name).into_iter().find(|((_, other), _)| other == adam_id).unwrap().1;
                let told = changed.get(&(name.clone(), adam_id.clone())).copied().unwrap_or(0);
                assert_eq!(told, now - first, "hour {hour}: {adam_id} in {name}");
            }
        }
    }

    /// What is known of one app on one device, for a message.
    fn history_of(&self, (adam_id, serial): &(String, String)) -> String {
        let of = |held: &&Held| held.1 == *adam_id && held.2 == *serial;
        let holding: Vec<&str> =
            NAMES.into_iter().filter(|name| self.rows(name).contains(&(adam_id.clone(), serial.clone()))).collect();
        let assigned: Vec<&Held> = self.assigned.iter().filter(of).collect();
        let taken: Vec<&Held> = self.taken.iter().filter(of).collect();
        format!("held now in {holding:?}, assigned by others {assigned:?}, taken back by others {taken:?}")
    }

    async fn end(&mut self) {
        self.app.sandbox.apple.clear_faults();
        self.app.wait(minutes(30)).await;
        for name in NAMES {
            self.renew(name).await;
            self.take_back(name).await;
        }
        self.app.wait(minutes(60)).await;
        self.compare(HOURS + 2).await;
        assert!(self.expired.is_empty());
        for call in self.app.sandbox.apple.calls() {
            let writes = call.method == "POST" && call.endpoint != "client/config";
            let whose = self.u_ids.iter().find(|(_, u_id)| Some(*u_id) == call.u_id.as_ref()).map(|(name, _)| *name);
            let foreign = self.foreign.iter().any(|(name, from, until)| {
                Some(*name) == whose && call.at >= *from && until.is_none_or(|until| call.at < until)
            });
            assert!(!(writes && foreign), "a write to a location that was not ours: {call:?}");
        }
    }
}

macro_rules! days {
    ($($name:ident: $seed:expr,)+) => {$(
        #[test]
        fn $name() {
            day($seed);
        }
    )+};
}

days! {
    of_the_first_seed: 1,
    of_the_second_seed: 2,
    of_the_third_seed: 3,
    of_the_fourth_seed: 4,
    of_the_fifth_seed: 5,
}
