//! The worked examples of the page about licences: each is made into facts, planned, and compared with what the page says.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::civil::Date;
use jiff::{Timestamp, ToSpan};
use serde::Deserialize;
use vppd::config::Config;
use vppd::licensing::forecast::{self, forecast};
use vppd::licensing::safety::Net;
use vppd::licensing::{
    Asset, ByHand, Deadlines, Device, Holder, Licence, Location, Pair, Person, Product, Row, Rule, Seat, Snapshot,
    Standing, Step, Whom, plan,
};
use vppd::model::{App, LicenceKind, Purpose};

const PAGE: &str = include_str!("../../docs/licences.md");

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Example {
    today: i64,
    #[serde(default)]
    location: Vec<Place>,
    #[serde(default)]
    licences: Vec<Owned>,
    #[serde(default)]
    person: Vec<Somebody>,
    #[serde(default)]
    device: Vec<Handheld>,
    #[serde(default)]
    deployment: Vec<Deployment>,
    #[serde(default)]
    by_hand: Vec<Decision>,
    #[serde(default)]
    holds: Vec<Held>,
    forecast: Option<Ahead>,
    net: Option<NetOf>,
    expect: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Place {
    name: String,
    #[serde(default)]
    groups: Vec<String>,
    #[serde(default)]
    revoked: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Owned {
    app: String,
    location: String,
    free: u32,
    #[serde(default)]
    book: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Somebody {
    name: String,
    #[serde(default)]
    registered: Vec<String>,
    leaves: Option<i64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Handheld {
    serial: String,
    #[serde(default)]
    groups: Vec<String>,
    person: Option<String>,
    #[serde(default)]
    enrolled: i64,
    left: Option<i64>,
    #[serde(default)]
    old: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Deployment {
    app: String,
    to: String,
    #[serde(default = "required")]
    purpose: String,
    #[serde(default = "of_device")]
    licence: String,
    #[serde(default)]
    priority: i32,
    quota: Option<u32>,
    wave: Option<u32>,
    #[serde(default)]
    excluded: Vec<String>,
    #[serde(default)]
    made: i64,
}

fn required() -> String {
    "required".into()
}

fn of_device() -> String {
    "device".into()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Decision {
    app: String,
    holder: String,
    decision: String,
    day: i64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Held {
    app: String,
    holder: String,
    location: String,
    #[serde(default)]
    state: String,
    #[serde(default)]
    since: i64,
    #[serde(default)]
    foreign: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Ahead {
    free: u64,
    waiting: u64,
    used: Vec<(i64, u64)>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NetOf {
    share: u32,
    least: u64,
    given: u64,
    leaving: u64,
}

fn day(number: i64) -> Timestamp {
    Timestamp::from_second(number * 24 * 3600).unwrap()
}

fn date(number: i64) -> Date {
    jiff::civil::date(2026, 1, 1) + number.days()
}

/// Names, numbered as they come.
fn place(names: &mut Vec<String>, name: &str) -> u32 {
    let known = names.iter().position(|known| known == name);
    known.unwrap_or_else(|| {
        names.push(name.to_owned());
        names.len() - 1
    }) as u32
}

fn places(names: &mut Vec<String>, wanted: &[String]) -> Box<[u32]> {
    let mut places: Vec<u32> = wanted.iter().map(|name| place(names, name)).collect();
    places.sort_unstable();
    places.into()
}

fn at<T>(all: &[T], name: &str, of: impl Fn(&T) -> &str) -> u32 {
    all.iter().position(|one| of(one) == name).unwrap_or_else(|| panic!("{name} is nowhere in the example")) as u32
}

fn snapshot(example: &Example) -> (Snapshot, Vec<String>) {
    let (mut apps, mut groups) = (Vec::new(), Vec::new());
    let mut locations = Vec::new();
    for one in &example.location {
        let groups = places(&mut groups, &one.groups);
        locations.push(Location { name: one.name.clone(), writable: !one.revoked, groups });
    }
    for one in &example.licences {
        if !locations.iter().any(|known| known.name == one.location) {
            locations.push(Location { name: one.location.clone(), writable: true, groups: Box::default() });
        }
    }
    let location_of = |name: &str| at(&locations, name, |one| &one.name);
    let assets: Vec<Asset> = example
        .licences
        .iter()
        .map(|one| Asset {
            product: place(&mut apps, &one.app),
            location: location_of(&one.location),
            pricing_param: "STDQ".into(),
            device_assignable: !one.book,
            revocable: !one.book,
            unlimited: false,
            free: one.free,
        })
        .collect();
    let products: Vec<Product> = apps
        .iter()
        .map(|app| Product {
            adam_id: app.clone(),
            bundle_id: Some(format!("com.example.{app}")),
            book: example.licences.iter().any(|one| one.app == *app && one.book),
        })
        .collect();
    let product_of = |name: &str| at(&products, name, |one| &one.adam_id);
    let persons: Vec<Person> = example
        .person
        .iter()
        .map(|one| Person {
            client_user_id: one.name.clone(),
            since: day(0),
            leaves_at: one.leaves.map(day),
            groups: Box::default(),
            registered: one.registered.iter().map(|name| location_of(name)).collect(),
        })
        .collect();
    let person_of = |name: &str| at(&persons, name, |one| &one.client_user_id);
    let devices: Vec<Device> = example
        .device
        .iter()
        .map(|one| Device {
            serial: one.serial.clone(),
            standing: one.left.map_or(Standing::Enrolled, |left| Standing::Left { at: day(left) }),
            enrolled_at: day(one.enrolled),
            last_seen: None,
            takes_licences: !one.old,
            person: one.person.as_deref().map(person_of),
            groups: places(&mut groups, &one.groups),
        })
        .collect();
    let device_of = |name: &str| at(&devices, name, |one| &one.serial);
    let holder_of = |text: &str| match text.split_once(':') {
        Some(("serial", name)) => Holder::Device(device_of(name)),
        Some(("person", name)) => Holder::Person(person_of(name)),
        _ => panic!("nobody is called {text}"),
    };
    let mut rules = Vec::new();
    for (id, one) in (1..).zip(&example.deployment) {
        rules.push(Rule {
            id,
            product: product_of(&one.app),
            whom: match one.to.strip_prefix("group:") {
                Some(name) => Whom::Group(place(&mut groups, name)),
                None if one.to == "all-devices" => Whom::AllDevices,
                None => match holder_of(&one.to) {
                    Holder::Device(device) => Whom::Device(device),
                    Holder::Person(person) => Whom::Person(person),
                },
            },
            purpose: Purpose::from_word(&one.purpose).unwrap(),
            kind: LicenceKind::from_word(&one.licence).unwrap(),
            priority: one.priority,
            quota: one.quota,
            wave: one.wave,
            licence_only: false,
            excluded: places(&mut groups, &one.excluded),
            locations: Box::default(),
            created_at: day(one.made),
        });
    }
    let by_hand = example.by_hand.iter().map(|one| ByHand {
        product: product_of(&one.app),
        holder: holder_of(&one.holder),
        assigned: match one.decision.as_str() {
            "assigned" => true,
            "revoked" => false,
            other => panic!("nobody decides {other}"),
        },
        location: None,
        install: true,
        decided_at: day(one.day),
    });
    let by_hand = by_hand.collect();
    let mut rows: Vec<Vec<Pair>> = vec![Vec::new(); devices.len()];
    let mut seats: Vec<Vec<Seat>> = vec![Vec::new(); persons.len()];
    for held in &example.holds {
        let (product, location) = (product_of(&held.app), location_of(&held.location));
        let asset = assets.iter().position(|one| (one.product, one.location) == (product, location)).unwrap() as u32;
        let (licence, ours) = (Licence::Assigned, !held.foreign);
        match holder_of(&held.holder) {
            Holder::Person(person) => {
                seats[person as usize].push(Seat { asset, licence, ours, ..Seat::unknown(product) });
            }
            Holder::Device(device) => rows[device as usize].push(Pair {
                asset,
                licence,
                ours,
                since: (held.since * 24 * 3600) as u32,
                app: match held.state.as_str() {
                    "" => App::None,
                    "installed" => App::Installed,
                    "working" => App::Working,
                    "removing" => App::RemoveUnconfirmed,
                    "removed" => App::Removed,
                    "rejected" => App::Rejected,
                    other => panic!("no app is {other}"),
                },
                due: if held.state == "working" { u32::MAX } else { 0 },
                ..Pair::unknown(product)
            }),
        }
    }
    rows.iter_mut().for_each(|row| row.sort_by_key(|pair| pair.product));
    seats.iter_mut().for_each(|row| row.sort_by_key(|seat| seat.product));
    let days = |count: u64| Duration::from_secs(count * 24 * 3600);
    let snapshot = Snapshot {
        extras: Vec::new(),
        now: day(example.today),
        deadlines: Deadlines { offline: days(30), silent: None, rejected: days(7) },
        locations,
        products,
        assets,
        persons,
        devices,
        rules,
        by_hand,
        rows: rows.into_iter().map(Row::from).collect(),
        seats: seats.into_iter().map(Row::from).collect(),
    };
    (snapshot, apps)
}

/// A step as the page says it; `None`: nothing is wanted and nothing is there.
fn words(snapshot: &Snapshot, step: Step) -> Option<String> {
    let location = |asset: u32| {
        let asset = &snapshot.assets[asset as usize];
        snapshot.locations[asset.location as usize].name.as_str()
    };
    Some(match step {
        Step::Nothing => return None,
        Step::Associate { asset } => format!("gets one of {}", location(asset)),
        Step::Disassociate { asset } => format!("gives it back to {}", location(asset)),
        Step::WaitForLicence { position } => format!("waits at place {position}"),
        Step::WaitForQuota { position } => format!("waits for the quota at place {position}"),
        Step::AwaitWave => "waits for its wave".into(),
        Step::AwaitSeat => "waits for its person's licence".into(),
        Step::Blocked(why) => format!("cannot: {why:?}"),
        Step::Satisfied => "has it".into(),
        Step::AwaitInstall => "works on it".into(),
        Step::Install => "installs".into(),
        Step::Verify => "is asked".into(),
        Step::Rejected => "was declined".into(),
        other => format!("{other:?}"),
    })
}

fn outcome(example: &Example) -> BTreeMap<String, String> {
    let mut told = BTreeMap::new();
    if let Some(net) = &example.net {
        let held = Net { share: net.share, least: net.least }.holds(net.leaving, net.given, 0);
        told.insert("held".to_owned(), held.to_string());
    }
    if let Some(ahead) = &example.forecast {
        let used: Vec<_> = ahead.used.iter().map(|&(at, used)| forecast::Used { day: date(at), used }).collect();
        let standing = forecast::Standing { free: ahead.free, waiting: ahead.waiting, unlimited: false };
        let found = forecast(standing, &used, date(example.today));
        told.insert("needed".to_owned(), found.needed.to_string());
        if let Some(end) = found.used_up {
            told.insert("used up on day".to_owned(), (end - date(0)).get_days().to_string());
        }
    }
    let (snapshot, apps) = snapshot(example);
    let made = plan(&snapshot);
    let pairs = made.steps.iter().map(|one| (one.product, Holder::Device(one.device), one.step));
    let seats = made.seats.iter().map(|one| (one.product, Holder::Person(one.person), one.step));
    for (product, holder, step) in pairs.chain(seats) {
        if let Some(words) = words(&snapshot, step) {
            told.insert(format!("{} for {}", apps[product as usize], snapshot.name_of(holder)), words);
        }
    }
    for &(asset, holder) in &made.actions.adopt {
        let product = snapshot.assets[asset as usize].product as usize;
        told.insert(format!("{} of {}", apps[product], snapshot.name_of(holder)), "is adopted".into());
    }
    told
}

/// The examples of the page, each with the heading over it.
fn examples() -> Vec<(&'static str, Example)> {
    let (mut section, mut found) = ("", Vec::new());
    let mut lines = PAGE.lines();
    while let Some(line) = lines.next() {
        section = if line.starts_with("##") { line } else { section };
        if line == "```licence-toml" {
            let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            let example = toml::from_str(&block.join("\n")).unwrap_or_else(|error| panic!("{section}: {error}"));
            found.push((section, example));
        }
    }
    found
}

#[test]
fn every_example_of_the_page_is_as_it_says() {
    let examples = examples();
    assert_eq!(examples.len(), 11);
    let wrong: Vec<String> = examples
        .iter()
        .map(|(section, example)| (section, example, outcome(example)))
        .filter(|(_, example, told)| *told != example.expect)
        .map(|(section, example, told)| format!("{section}\n  the page: {:#?}\n  the plan: {told:#?}", example.expect))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn an_example_in_which_something_else_is_so_does_not_fit() {
    let queue = "## Who waits";
    let mut example = examples().into_iter().find(|(section, _)| *section == queue).unwrap().1;
    example.licences[0].free = 3;
    assert_eq!(outcome(&example)["Pages for A1"], "gets one of Leeds");
    assert_ne!(outcome(&example), example.expect);
}

#[test]
fn the_numbers_of_the_page_are_the_defaults() {
    let config = Config::from_text("vppd.toml", "[devices]\nurl = \"https://mdm.example.org\"\n").unwrap();
    let (licences, days) = (&config.licences, |count: u64| Duration::from_secs(count * 24 * 3600));
    assert_eq!((licences.offline_limit, licences.rejected_after, licences.silent_after), (days(30), days(7), None));
    assert_eq!((licences.hold_above, licences.hold_at_least), (25, 20));
    assert_eq!((config.directory.grace, config.apple.licence_reuse_delay), (days(7), Duration::from_secs(120)));
}
