//! 500 devices want an app of which there are 300 licences under three locations; then 150 are bought, a token is revoked, and
//! devices leave. The plan alone, carried out at once: the order is kept exactly, no install is sent before its licence,
//! nothing is given twice, and every move has its words.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use vppd::licensing::desired::Rules;
use vppd::licensing::explain::{Names, explain};
use vppd::licensing::plan::CommandKind;
use vppd::licensing::reasons::{Verdict, reasons};
use vppd::licensing::step::Blocked;
use vppd::licensing::{
    Asset, Deadlines, Device, Licence, Location, Pair, Plan, Planner, Product, Row, Rule, Snapshot, Standing, Step,
    Verb, Whom, plan,
};
use vppd::model::{App, LicenceKind, Purpose};

const DEVICES: u32 = 500;
const NAMES: [&str; 3] = ["Leeds", "York", "Hull"];
/// Free at first under each location.
const BOUGHT: [u32; 3] = [150, 100, 50];
const TEACHERS: u32 = 1;
const LEAVERS: u32 = 2;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn rule(id: i64, whom: Whom, priority: i32, excluded: &[u32]) -> Rule {
    Rule {
        id,
        product: 0,
        whom,
        purpose: Purpose::Required,
        kind: LicenceKind::Device,
        priority,
        quota: None,
        wave: None,
        licence_only: false,
        excluded: excluded.into(),
        locations: Box::default(),
        created_at: at(100),
    }
}

/// Devices enrol in tens at the same time, and their serial numbers run against their places; every twelfth is a teacher's.
fn device(place: u32) -> Device {
    Device {
        serial: format!("DEV{:03}", 999 - place),
        standing: Standing::Enrolled,
        enrolled_at: at(1000 + i64::from((place * 7 % DEVICES) / 10)),
        last_seen: None,
        takes_licences: true,
        person: None,
        groups: if place.is_multiple_of(12) { Box::from([TEACHERS]) } else { Box::default() },
    }
}

struct Story {
    snapshot: Snapshot,
    /// Who got a licence, in the order in which the plans gave them: each plan's are a set.
    given: Vec<BTreeSet<u32>>,
    moves: usize,
}

impl Story {
    fn new() -> Story {
        let locations = NAMES.map(|name| Location { name: name.into(), writable: true, groups: Box::default() });
        let asset = |(location, free): (u32, u32)| Asset {
            product: 0,
            location,
            pricing_param: "STDQ".into(),
            device_assignable: true,
            revocable: true,
            unlimited: false,
            free,
        };
        let snapshot = Snapshot {
            extras: Vec::new(),
            now: at(10_000),
            deadlines: Deadlines { offline: Duration::from_secs(1 << 20), silent: None, rejected: Duration::ZERO },
            locations: locations.into(),
            products: vec![Product { adam_id: "1".into(), bundle_id: Some("com.example".into()), book: false }],
            assets: (0..).zip(BOUGHT).map(asset).collect(),
            persons: Vec::new(),
            devices: (0..DEVICES).map(device).collect(),
            rules: vec![rule(1, Whom::AllDevices, 0, &[LEAVERS]), rule(2, Whom::Group(TEACHERS), 5, &[LEAVERS])],
            by_hand: Vec::new(),
            rows: (0..DEVICES).map(|_| Row::default()).collect(),
            seats: Vec::new(),
        };
        Story { snapshot, given: Vec::new(), moves: 0 }
    }

    /// The line as the page about licences states it, of those who hold nothing and are to have it.
    fn line(&self) -> Vec<u32> {
        let mut line: Vec<u32> = (0..DEVICES).filter(|place| !self.holds(*place) && !self.has_left(*place)).collect();
        line.sort_by_key(|&place| {
            let device = &self.snapshot.devices[place as usize];
            let teacher = device.groups.contains(&TEACHERS);
            (!teacher, device.enrolled_at, device.serial.clone())
        });
        line
    }

    fn pair(&self, place: u32) -> Pair {
        self.snapshot.pair(0, place).copied().unwrap_or(Pair::unknown(0))
    }

    fn holds(&self, place: u32) -> bool {
        self.pair(place).licence == Licence::Assigned
    }

    fn has_left(&self, place: u32) -> bool {
        self.snapshot.devices[place as usize].groups.contains(&LEAVERS)
    }

    fn change(&mut self, place: u32, change: impl FnOnce(&mut Pair)) {
        let mut pair = self.pair(place);
        change(&mut pair);
        self.snapshot.rows[place as usize] = Box::from([pair]);
    }

    /// Makes a plan, checks it, and does what it says at once: Apple first, then the devices.
    fn once(&mut self) -> Plan {
        let made = plan(&self.snapshot);
        self.check(&made);
        for action in &made.actions.licences {
            for &(asset, place) in &action.pairs {
                self.moves += 1;
                match action.verb {
                    Verb::Associate => {
                        let free = &mut self.snapshot.assets[asset as usize].free;
                        *free = free.checked_sub(1).unwrap_or_else(|| panic!("given above the count"));
                        assert!(self.snapshot.locations[asset as usize].writable, "given from a revoked token");
                        assert!(!self.holds(place), "given twice");
                        self.change(place, |pair| {
                            (pair.asset, pair.licence, pair.ours) = (asset, Licence::Assigned, true);
                        });
                    }
                    Verb::Disassociate => {
                        assert_eq!(self.pair(place).app, App::Removed, "taken while the app is there");
                        self.snapshot.assets[asset as usize].free += 1;
                        self.change(place, |pair| pair.licence = Licence::None);
                    }
                }
            }
        }
        for command in &made.actions.commands {
            self.moves += 1;
            match command.kind {
                CommandKind::Install => {
                    assert!(self.holds(command.device), "an install without a licence fails");
                    self.change(command.device, |pair| pair.app = App::Installed);
                }
                CommandKind::Remove => self.change(command.device, |pair| pair.app = App::Removed),
                other => panic!("nobody asked for {other:?}"),
            }
        }
        let given = made.actions.licences.iter().filter(|action| action.verb == Verb::Associate);
        self.given.push(given.flat_map(|action| &action.pairs).map(|(_, place)| *place).collect());
        made
    }

    /// Order, places and words of a plan.
    fn check(&self, made: &Plan) {
        let line = self.line();
        let mut waiting = line.iter();
        let gives = |place: u32| {
            let giving = made.actions.licences.iter().filter(|action| action.verb == Verb::Associate);
            giving.flat_map(|action| &action.pairs).any(|(_, taker)| *taker == place)
        };
        let served = line.iter().take_while(|place| gives(**place)).count();
        assert!(line[served..].iter().all(|place| !gives(*place)), "somebody was passed over");
        waiting.by_ref().take(served).for_each(drop);
        for (position, place) in (1..).zip(waiting) {
            let step = made.steps.iter().find(|step| step.device == *place).unwrap().step;
            assert_eq!(step, Step::WaitForLicence { position }, "{place}");
        }
        let rules = Rules::new(&self.snapshot);
        for one in &made.steps {
            let (location, moves) = match one.step {
                Step::Associate { asset } | Step::Disassociate { asset } => (NAMES[asset as usize], true),
                _ => ("", false),
            };
            let told = explain(one.step, &Names { location, ..Names::default() });
            assert!(!told.is_empty() && (!moves || told.contains(location)), "{told}");
            let reasons = reasons(&self.snapshot, &rules, 0, one.device);
            let deciding = reasons.deployments.iter().filter(|(_, verdict)| *verdict == Verdict::Decides).count();
            assert_eq!(deciding, usize::from(!self.has_left(one.device)), "{:?}", reasons.deployments);
        }
    }

    /// Plans until nothing moves.
    fn settle(&mut self) -> Plan {
        for _ in 0..5 {
            let moves = self.moves;
            let made = self.once();
            if self.moves == moves {
                return made;
            }
        }
        panic!("it never comes to rest");
    }

    fn holders(&self) -> usize {
        (0..DEVICES).filter(|place| self.holds(*place)).count()
    }
}

#[test]
fn the_order_is_kept_when_licences_run_out_come_and_go() {
    let mut story = Story::new();
    let line = story.line();
    let taken = |story: &Story, front: &[u32]| front.iter().all(|place| story.holds(*place));

    story.settle();
    assert_eq!(story.holders(), 300);
    assert!(taken(&story, &line[..300]), "the first 300 of the line");
    assert_eq!(story.given[0], line[..300].iter().copied().collect());
    assert!(
        story.snapshot.devices.iter().zip(0..).all(|(device, place)| device.groups.is_empty() || story.holds(place))
    );

    // 100 are bought for Leeds and 50 for York, whose token is revoked in the same moment: those 50 are of no use yet.
    story.snapshot.assets[0].free += 100;
    story.snapshot.assets[1].free += 50;
    story.snapshot.locations[1].writable = false;
    story.settle();
    assert_eq!(story.holders(), 400);
    assert!(taken(&story, &line[..400]), "the next 100 of the line; who holds one of York's keeps it");
    assert_eq!(story.snapshot.assets[1].free, 50);

    // Thirty devices leave, some with licences of York: those cannot come back yet, the others go to the front of the line.
    let leavers: Vec<u32> = line[..400].iter().copied().filter(|place| place % 13 == 5).take(30).collect();
    for place in &leavers {
        story.snapshot.devices[*place as usize].groups = Box::from([LEAVERS]);
    }
    let of_york = leavers.iter().filter(|place| story.pair(**place).asset == 1).count();
    assert!(of_york > 0 && of_york < leavers.len());
    let made = story.settle();
    let stuck = Step::Blocked(Blocked::LocationNotWritable);
    assert_eq!(made.steps.iter().filter(|one| one.step == stuck).count(), of_york);
    let back = leavers.len() - of_york;
    assert!(taken(&story, &line[400..400 + back]) && !story.holds(line[400 + back]));

    // The new token of York: its fifty, and what was stuck there, serve the next ones.
    story.snapshot.locations[1].writable = true;
    let made = story.settle();
    assert!(taken(&story, &line[400..450 + leavers.len()]));
    let waiting = made.steps.iter().filter(|one| matches!(one.step, Step::WaitForLicence { .. })).count();
    assert_eq!((story.holders(), waiting), (450, DEVICES as usize - leavers.len() - 450));
    let installed = (0..DEVICES).filter(|place| story.pair(*place).app == App::Installed).count();
    assert_eq!((installed, story.snapshot.assets.iter().map(|asset| asset.free).sum::<u32>()), (450, 0));

    // Kept up to date by what changed, or made anew: the same.
    let whole = plan(&story.snapshot);
    assert_eq!(Planner::new(story.snapshot.clone()).actions(story.snapshot.now), whole.actions);
    assert!(leavers.iter().all(|place| {
        whole.steps.iter().all(|one| one.device != *place || matches!(one.step, Step::Removed | Step::Nothing))
    }));
}
