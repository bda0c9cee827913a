//! The plan kept up to date: what changed for one device or person is judged anew, and nothing else.
//!
//! The law: whatever was changed in whatever order, the actions are those that [`super::plan::plan`] makes from the same
//! snapshot. So the planner keeps only what follows from pairs where something is to be done or awaited; of the others it
//! knows no more than the snapshot.
//!
//! Facts that speak of everything (deployments, groups, locations, decisions by hand) change seldom: then a new planner is
//! made.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::Timestamp;

use super::desired::Rules;
use super::judge::{Act, Judged, Use, judge, judge_seat, wake_of_device};
use super::plan::{Actions, CommandAction, CommandKind, Tally, licence_actions};
use super::queue::Queue;
use super::snapshot::{Device, Holder, Licence, Pair, Person, Product, Row, Seat, Snapshot, reached, seconds, time};
use super::step::{Step, Verb};

/// A snapshot with what follows from it.
#[derive(Debug, Clone)]
pub struct Planner {
    snapshot: Snapshot,
    rules: Rules,
    state: State,
    /// Devices and people that are to be judged anew.
    changed: BTreeSet<Holder>,
    /// Devices that were judged anew the last time.
    judged: BTreeSet<u32>,
}

impl Planner {
    /// Everything is judged.
    pub fn new(snapshot: Snapshot) -> Planner {
        let rules = Rules::new(&snapshot);
        let mut state = State::new(&snapshot);
        for device in 0..snapshot.devices.len() as u32 {
            state.consider_device(&snapshot, &rules, device, true, |_, _| {});
        }
        state.settle_persons(&snapshot, &rules, true, |_, _, _| {});
        state.queues.iter_mut().for_each(Queue::index);
        Planner { snapshot, rules, state, changed: BTreeSet::new(), judged: BTreeSet::new() }
    }

    /// The facts as they are now.
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// What is wanted of whom.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Devices that were judged anew for the last actions.
    pub fn judged(&self) -> &BTreeSet<u32> {
        &self.judged
    }

    /// What a pair needs next; without its place in the line if it waits for a licence.
    pub fn step(&self, product: u32, device: u32) -> Step {
        let pair = self.snapshot.pair(product, device);
        match judge(&self.snapshot, &self.rules, product, device, pair).step {
            Step::NeedsLicence => {
                let granted = &self.state.queues[product as usize].granted;
                let given = granted.iter().find(|(_, holder)| *holder == Holder::Device(device));
                given.map_or(Step::NeedsLicence, |&(asset, _)| Step::Associate { asset })
            }
            step => step,
        }
    }

    /// Puts a device and its row in the place of its older self, or behind the last.
    pub fn set_device(&mut self, place: u32, device: Device, row: Row<Pair>) {
        let at = place as usize;
        if at == self.snapshot.devices.len() {
            self.snapshot.devices.push(device);
            self.snapshot.rows.push(row);
            self.state.person_of.push(None);
            self.state.tallies.devices.push(Share::default());
        } else {
            if self.snapshot.devices[at].serial != device.serial {
                self.forget_name(Holder::Device(place));
            }
            // What is gone from the row is forgotten now: later nobody knows of it.
            for pair in &self.snapshot.rows[at] {
                if row.binary_search_by_key(&pair.product, |new| new.product).is_err() {
                    self.state.forget(&self.snapshot, Holder::Device(place), pair.product);
                }
            }
            self.snapshot.devices[at] = device;
            self.snapshot.rows[at] = row;
        }
        self.changed.insert(Holder::Device(place));
    }

    /// Puts a person and the user licences in the place of the older ones, or behind the last.
    pub fn set_person(&mut self, place: u32, person: Person, row: Row<Seat>) {
        let at = place as usize;
        if at == self.snapshot.persons.len() {
            self.snapshot.persons.push(person);
            self.snapshot.seats.push(row);
            self.state.tallies.persons.push(Share::default());
        } else {
            if self.snapshot.persons[at].client_user_id != person.client_user_id {
                self.forget_name(Holder::Person(place));
            }
            self.snapshot.persons[at] = person;
            self.snapshot.seats[at] = row;
        }
        self.changed.insert(Holder::Person(place));
    }

    /// A device was heard of. One that was silent for too long is here again; of the others only the time is kept, so that
    /// [`Actions::next_due`] may come before anything is due.
    pub fn heard(&mut self, place: u32, at: Timestamp) {
        let (device, deadlines) = (&mut self.snapshot.devices[place as usize], &self.snapshot.deadlines);
        if device.last_seen >= Some(at) {
            return;
        }
        let judged_at = self.snapshot.now.max(at);
        let silent = device.silent_at(deadlines).is_some_and(|silent| reached(silent, judged_at));
        device.last_seen = Some(at);
        if silent {
            self.changed.insert(Holder::Device(place));
        }
    }

    /// A holder has licences of ours of these assets beside those in its row.
    pub fn set_extras(&mut self, holder: Holder, assets: &[u32]) {
        let extras = &mut self.snapshot.extras;
        extras.retain(|(_, known)| *known != holder);
        extras.extend(assets.iter().map(|&asset| (asset, holder)));
        extras.sort_unstable_by_key(|&(asset, holder)| (holder, asset));
        self.changed.insert(holder);
    }

    /// Takes a holder out of every queue whose order its name was part of.
    fn forget_name(&mut self, holder: Holder) {
        for product in 0..self.snapshot.products.len() as u32 {
            self.state.forget(&self.snapshot, holder, product);
        }
    }

    /// So many licences of an asset are free.
    pub fn set_free(&mut self, asset: u32, free: u32) {
        let known = &mut self.snapshot.assets[asset as usize];
        known.free = free;
        self.state.restless.insert(known.product);
    }

    /// An app that nothing has named before.
    pub fn add_product(&mut self, product: Product) {
        self.snapshot.products.push(product);
        self.rules.add_product();
        self.state.queues.push(Queue::default());
        self.state.assets_of.push(Vec::new());
    }

    /// An app can be named to devices: whoever waits for that goes on.
    pub fn set_bundle_id(&mut self, product: u32, bundle_id: Option<String>) {
        self.snapshot.products[product as usize].bundle_id = bundle_id;
        let places = 0..self.snapshot.devices.len() as u32;
        let known = places.filter(|&device| self.snapshot.pair(product, device).is_some());
        self.changed.extend(known.map(Holder::Device));
    }

    /// What is to be done at this time.
    pub fn actions(&mut self, now: Timestamp) -> Actions {
        self.snapshot.now = now;
        let woken = self.state.woken(now);
        self.changed.extend(woken);
        let mut devices = BTreeSet::new();
        for holder in std::mem::take(&mut self.changed) {
            match holder {
                Holder::Device(device) => {
                    devices.insert(device);
                }
                Holder::Person(person) => {
                    devices.extend(self.state.devices_of.get(&person).into_iter().flatten());
                    self.state.unsettled.insert(person);
                }
            }
        }
        for &device in &devices {
            self.state.consider_device(&self.snapshot, &self.rules, device, false, |_, _| {});
        }
        self.judged = devices;
        self.state.settle_persons(&self.snapshot, &self.rules, false, |_, _, _| {});
        self.state.actions(&self.snapshot)
    }
}

/// What follows from a snapshot, as far as something is to be done or awaited.
#[derive(Debug, Clone, Default)]
pub(super) struct State {
    /// By product.
    queues: Vec<Queue>,
    /// By product: its assets in the order in which they are to be used.
    assets_of: Vec<Vec<u32>>,
    acts: BTreeMap<(Holder, u32), Act>,
    /// (person, product, device).
    uses: BTreeMap<(u32, u32, u32), Use>,
    /// As it was when the device was judged.
    person_of: Vec<Option<u32>>,
    devices_of: HashMap<u32, BTreeSet<u32>>,
    /// Apps that were judged for a person.
    judged_for: HashMap<u32, Vec<u32>>,
    wakes: BTreeSet<(u32, Holder)>,
    wake_of: HashMap<Holder, u32>,
    /// People whose seats are to be judged.
    unsettled: BTreeSet<u32>,
    /// Apps whose queue is to be gone through.
    restless: BTreeSet<u32>,
    tallies: Tallies,
}

/// What each device and each person adds to the tally.
#[derive(Debug, Clone, Default)]
struct Tallies {
    devices: Vec<Share>,
    persons: Vec<Share>,
    sum: Tally,
}

#[derive(Debug, Clone, Copy, Default)]
struct Share {
    ours: u32,
    leaving: u32,
}

impl Tallies {
    fn note(&mut self, holder: Holder, share: Share) {
        let place = match holder {
            Holder::Device(place) => &mut self.devices[place as usize],
            Holder::Person(place) => &mut self.persons[place as usize],
        };
        let before = std::mem::replace(place, share);
        self.sum.ours = self.sum.ours - u64::from(before.ours) + u64::from(share.ours);
        self.sum.leaving = self.sum.leaving - u64::from(before.leaving) + u64::from(share.leaving);
    }
}

impl State {
    pub fn new(snapshot: &Snapshot) -> State {
        let mut assets_of: Vec<Vec<u32>> = vec![Vec::new(); snapshot.products.len()];
        for (index, asset) in (0u32..).zip(&snapshot.assets) {
            assets_of[asset.product as usize].push(index);
        }
        for assets in &mut assets_of {
            assets.sort_by_key(|&asset| (snapshot.assets[asset as usize].location, asset));
        }
        State {
            queues: vec![Queue::default(); snapshot.products.len()],
            assets_of,
            person_of: vec![None; snapshot.devices.len()],
            tallies: Tallies {
                devices: vec![Share::default(); snapshot.devices.len()],
                persons: vec![Share::default(); snapshot.persons.len()],
                sum: Tally::default(),
            },
            unsettled: (0..snapshot.persons.len() as u32).collect(),
            restless: (0..snapshot.products.len() as u32).collect(),
            ..State::default()
        }
    }

    /// Judges every app of a device; `fresh`: it never was.
    pub fn consider_device(
        &mut self,
        snapshot: &Snapshot,
        rules: &Rules,
        device: u32,
        fresh: bool,
        mut each: impl FnMut(u32, Step),
    ) {
        let (holder, facts) = (Holder::Device(device), &snapshot.devices[device as usize]);
        self.belongs_to(device, facts.person);
        let mut wake = wake_of_device(snapshot, facts);
        if let Some(at) = facts.person.and_then(|person| leaves(snapshot, person)) {
            wake = Some(wake.map_or(at, |wake| wake.min(at)));
        }
        let mut share = Share::default();
        let mut row = snapshot.rows[device as usize].iter().peekable();
        let mut active = rules.active().iter().copied().peekable();
        loop {
            let (product, pair) = match (row.peek().map(|pair| pair.product), active.peek().copied()) {
                (None, None) => break,
                (Some(known), Some(spoken)) if known > spoken => (spoken, None),
                (None, Some(spoken)) => (spoken, None),
                (Some(known), _) => (known, row.next()),
            };
            active.next_if_eq(&product);
            let judged = judge(snapshot, rules, product, device, pair);
            share.ours += u32::from(pair.is_some_and(|pair| pair.ours && pair.licence != Licence::None));
            share.leaving += u32::from(judged.leaves);
            if let Some(at) = judged.wake {
                wake = Some(wake.map_or(at, |wake| wake.min(at)));
            }
            self.note(snapshot, holder, product, Some(&judged), fresh);
            self.note_use(device, facts.person, product, judged.usage, fresh);
            if judged.step != Step::Nothing {
                each(product, judged.step);
            }
        }
        self.tallies.note(holder, share);
        self.sleep(holder, wake, fresh);
    }

    /// Judges the seats of everybody for whom something may have changed.
    pub fn settle_persons(
        &mut self,
        snapshot: &Snapshot,
        rules: &Rules,
        fresh: bool,
        mut each: impl FnMut(u32, u32, Step),
    ) {
        for person in std::mem::take(&mut self.unsettled) {
            let holder = Holder::Person(person);
            let mut products: BTreeSet<u32> = rules.for_people().iter().copied().collect();
            products.extend(snapshot.seats[person as usize].iter().map(|seat| seat.product));
            products.extend(self.uses.range((person, 0, 0)..=(person, u32::MAX, u32::MAX)).map(|(key, _)| key.1));
            for product in self.judged_for.remove(&person).into_iter().flatten() {
                if !products.contains(&product) {
                    self.forget(snapshot, holder, product);
                }
            }
            let seats = &snapshot.seats[person as usize];
            let ours = seats.iter().filter(|seat| seat.ours && seat.licence != Licence::None).count() as u32;
            let mut share = Share { ours, leaving: 0 };
            let mut wake = leaves(snapshot, person);
            for &product in &products {
                let uses = self.uses.range((person, product, 0)..=(person, product, u32::MAX)).map(|(_, used)| *used);
                let judged = judge_seat(snapshot, rules, product, person, uses);
                share.leaving += u32::from(judged.leaves);
                if let Some(at) = judged.wake {
                    wake = Some(wake.map_or(at, |wake| wake.min(at)));
                }
                self.note(snapshot, holder, product, Some(&judged), fresh);
                if judged.step != Step::Nothing {
                    each(person, product, judged.step);
                }
            }
            if !products.is_empty() {
                self.judged_for.insert(person, products.into_iter().collect());
            }
            self.tallies.note(holder, share);
            self.sleep(holder, wake, fresh);
        }
    }

    fn note(&mut self, snapshot: &Snapshot, holder: Holder, product: u32, judged: Option<&Judged>, fresh: bool) {
        if self.queues[product as usize].note(snapshot, holder, judged, fresh) && !fresh {
            self.restless.insert(product);
        }
        match judged.map(|judged| judged.act).filter(|act| *act != Act::default()) {
            Some(act) => {
                self.acts.insert((holder, product), act);
            }
            None if fresh => {}
            None => {
                self.acts.remove(&(holder, product));
            }
        }
    }

    /// Forgets what followed from a pair or a seat that is not there any more.
    fn forget(&mut self, snapshot: &Snapshot, holder: Holder, product: u32) {
        self.note(snapshot, holder, product, None, false);
        if let Holder::Device(device) = holder {
            self.note_use(device, self.person_of[device as usize], product, None, false);
        }
    }

    fn note_use(&mut self, device: u32, person: Option<u32>, product: u32, used: Option<Use>, fresh: bool) {
        let Some(person) = person else { return };
        let key = (person, product, device);
        let changed = match used {
            Some(used) => self.uses.insert(key, used) != Some(used),
            None => !fresh && self.uses.remove(&key).is_some(),
        };
        if changed {
            self.unsettled.insert(person);
        }
    }

    /// The device belongs to this person from now on.
    fn belongs_to(&mut self, device: u32, person: Option<u32>) {
        let before = std::mem::replace(&mut self.person_of[device as usize], person);
        if before == person {
            return;
        }
        if let Some(before) = before {
            if let Some(devices) = self.devices_of.get_mut(&before) {
                devices.remove(&device);
            }
            let of_person = self.uses.range((before, 0, 0)..=(before, u32::MAX, u32::MAX));
            let gone: Vec<_> = of_person.map(|(key, _)| *key).filter(|key| key.2 == device).collect();
            for key in gone {
                self.uses.remove(&key);
            }
            self.unsettled.insert(before);
        }
        if let Some(person) = person {
            self.devices_of.entry(person).or_default().insert(device);
        }
    }

    fn sleep(&mut self, holder: Holder, until: Option<u32>, fresh: bool) {
        if !fresh && let Some(known) = self.wake_of.remove(&holder) {
            self.wakes.remove(&(known, holder));
        }
        if let Some(until) = until {
            self.wakes.insert((until, holder));
            self.wake_of.insert(holder, until);
        }
    }

    /// Whose time has come.
    fn woken(&self, now: Timestamp) -> Vec<Holder> {
        let come = |(at, _): &&(u32, Holder)| i64::from(*at) <= now.as_second();
        self.wakes.iter().take_while(come).map(|(_, holder)| *holder).collect()
    }

    /// What is to be done now.
    pub fn actions(&mut self, snapshot: &Snapshot) -> Actions {
        for product in std::mem::take(&mut self.restless) {
            self.queues[product as usize].give(snapshot, &self.assets_of[product as usize]);
        }
        let given = self.queues.iter().flat_map(|queue| &queue.granted);
        let given = given.map(|&(asset, holder)| (Verb::Associate, asset, holder));
        let taken = self
            .acts
            .iter()
            .filter_map(|(&(holder, _), act)| act.take_back.map(|asset| (Verb::Disassociate, asset, holder)));
        let mut actions = Actions { licences: licence_actions(snapshot, given.chain(taken)), ..Actions::default() };
        for (&(holder, product), act) in &self.acts {
            actions.adopt.extend(act.adopt.map(|asset| (asset, holder)));
            let Holder::Device(device) = holder else { continue };
            actions.commands.extend(act.command.map(|kind| CommandAction { product, device, kind }));
            actions.leaving.extend(act.leaving.map(|leaving| (product, device, leaving)));
        }
        for (product, queue) in (0u32..).zip(&self.queues) {
            if queue.short {
                actions.short.push(product);
            }
            queue.waves(snapshot, |device, now| {
                if now {
                    actions.commands.push(CommandAction { product, device, kind: CommandKind::Install });
                }
            });
        }
        actions.commands.sort_unstable_by_key(|action| (action.device, action.product));
        actions.next_due = self.wakes.first().map(|&(at, _)| time(at));
        actions.tally = self.tallies.sum;
        actions
    }

    /// What everybody in a queue needs next; [`State::actions`] comes first.
    pub fn outcomes(&self, snapshot: &Snapshot, mut each: impl FnMut(u32, Holder, Step)) {
        for ((product, queue), assets) in (0u32..).zip(&self.queues).zip(&self.assets_of) {
            queue.steps(snapshot, assets, |holder, step| each(product, holder, step));
            queue.waves(snapshot, |device, now| {
                if !now {
                    each(product, Holder::Device(device), Step::AwaitWave);
                }
            });
        }
    }
}

/// When a person who is here now gets nothing any more.
fn leaves(snapshot: &Snapshot, person: u32) -> Option<u32> {
    let at = snapshot.persons[person as usize].leaves_at?;
    (!reached(at, snapshot.now)).then(|| seconds(at))
}
