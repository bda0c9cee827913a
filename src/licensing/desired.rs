//! What is wanted of one device or person, when several deployments and decisions speak of the same app.
//!
//! The rules, in this order; the first that decides, decides:
//!
//! 0. **By hand.** A decision by hand beats every deployment until it is released; one for the device's serial number beats
//!    one for its person, and that one speaks of user licences only. *A licence given by hand to QX7T2M9K1P stays there
//!    although its group's deployment is gone.*
//! 1. **Excluded.** A deployment does not speak of a device that is in one of its excluded groups, or whose person is.
//!    *Pages for all devices, without the group "Loans": a loan device gets nothing.*
//! 2. **Priority.** The higher one counts. *Priority 10 for "Exams" beats priority 0 for all.*
//! 3. **Narrower.** One serial number or one person beats a group, a group beats all devices.
//! 4. **Purpose.** Uninstall beats required, required beats available: a removal was asked for on purpose.
//! 5. **Older.** The one that was made first.
//!
//! The winner is *the deciding deployment*: purpose, kind of licence, quota, wave, locations and "licence only" are its own,
//! and since when the device waits is the later of its making and the device's enrolment.
//!
//! **The kind of licence.** `device-if-possible` means the device's where some location has the app for serial numbers, and
//! the device has told its own and knows licences by serial number (iOS 9, macOS 10.11); else its person's. A device that
//! holds a licence by its serial number, or for which one is asked, keeps to it, whatever the kind: the device's licence is
//! preferred to the person's. *A class moves from device to user licences: nothing that is held changes hands.*
//!
//! **People who left** (retired, or gone from the directory and the grace over): no deployment reaches a device through
//! them, and what their user licences brought is unwanted.

use std::collections::HashMap;

use jiff::Timestamp;

use super::snapshot::{ByHand, Holder, Licence, Pair, Product, Rule, Snapshot, Whom, meet};
use crate::model::{LicenceKind, Purpose};

/// What decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum By {
    /// Place in `snapshot.rules`.
    Rule(u32),
    /// Place in `snapshot.by_hand`.
    Hand(u32),
}

/// What is wanted of one pair, or of one person's licence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    pub by: By,
    pub purpose: Purpose,
    pub kind: LicenceKind,
    /// Higher goes first.
    pub priority: i32,
    /// Install the app, too.
    pub install: bool,
    /// Since when the holder waits.
    pub since: Timestamp,
    /// When it was decided: what was declined before is asked once more.
    pub made_at: Timestamp,
}

/// What speaks of each app, ready to be asked.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    by_product: Vec<OfProduct>,
    active: Vec<u32>,
    for_people: Vec<u32>,
}

/// What speaks of one app. Ranks are places in `strongest`.
#[derive(Debug, Clone, Default)]
struct OfProduct {
    /// Places in `snapshot.rules`, the strongest first.
    strongest: Vec<u32>,
    /// Ranks of those to all devices or to a group.
    general: Vec<u32>,
    by_device: HashMap<u32, Vec<u32>>,
    by_person: HashMap<u32, Vec<u32>>,
    by_hand: HashMap<Holder, u32>,
    device_assignable: bool,
}

impl Rules {
    /// Puts what speaks of each app in order.
    pub fn new(snapshot: &Snapshot) -> Rules {
        let mut by_product: Vec<OfProduct> = vec![OfProduct::default(); snapshot.products.len()];
        for (place, rule) in (0u32..).zip(&snapshot.rules) {
            by_product[rule.product as usize].strongest.push(place);
        }
        for asset in &snapshot.assets {
            by_product[asset.product as usize].device_assignable |= asset.device_assignable;
        }
        for (place, hand) in (0u32..).zip(&snapshot.by_hand) {
            by_product[hand.product as usize].by_hand.insert(hand.holder, place);
        }
        let (mut active, mut for_people) = (Vec::new(), Vec::new());
        for (product, known) in (0u32..).zip(&mut by_product) {
            known.strongest.sort_by_key(|&place| strength(&snapshot.rules[place as usize]));
            for (rank, &place) in (0u32..).zip(&known.strongest) {
                match snapshot.rules[place as usize].whom {
                    Whom::AllDevices | Whom::Group(_) => known.general.push(rank),
                    Whom::Device(device) => known.by_device.entry(device).or_default().push(rank),
                    Whom::Person(person) => known.by_person.entry(person).or_default().push(rank),
                }
            }
            if !known.strongest.is_empty() || !known.by_hand.is_empty() {
                active.push(product);
            }
            let book = snapshot.products[product as usize].book;
            let without_device = |&place: &u32| is_without_device(&snapshot.rules[place as usize], book);
            if known.strongest.iter().any(without_device)
                || known.by_hand.keys().any(|holder| matches!(holder, Holder::Person(_)))
            {
                for_people.push(product);
            }
        }
        Rules { by_product, active, for_people }
    }

    /// Apps of which anything speaks, sorted.
    pub fn active(&self) -> &[u32] {
        &self.active
    }

    /// Apps whose user licences may be wanted whether or not the person has a device, sorted.
    pub fn for_people(&self) -> &[u32] {
        &self.for_people
    }

    /// One more app, of which nothing speaks yet.
    pub(super) fn add_product(&mut self) {
        self.by_product.push(OfProduct::default());
    }

    /// What decides for an app on a device; `None` when nothing speaks of it.
    pub fn for_device(&self, snapshot: &Snapshot, product: u32, device: u32, pair: Option<&Pair>) -> Option<Decision> {
        let known = self.by_product.get(product as usize)?;
        let person = snapshot.devices[device as usize].person;
        let person = person.filter(|&person| !snapshot.persons[person as usize].has_left(snapshot.now));
        let rule = self.deciding_rule(snapshot, product, device);
        let by_rule = rule.map(|place| of_rule(snapshot, place, Holder::Device(device)));
        let hand = |holder| known.by_hand.get(&holder).map(|&place| (place, &snapshot.by_hand[place as usize]));
        if let Some((place, hand)) = hand(Holder::Device(device)) {
            return Some(of_hand(place, hand, LicenceKind::Device));
        }
        let Some((place, hand)) = person.and_then(|person| hand(Holder::Person(person))) else { return by_rule };
        // A word about the person's licence is none about the device's own.
        let by_user = |kind| self.is_by_user(snapshot, product, device, kind, pair);
        let own = match by_rule {
            Some(rule) if rule.purpose != Purpose::Uninstall => !by_user(rule.kind),
            _ => !hand.assigned && !by_user(LicenceKind::User),
        };
        if own { by_rule } else { Some(of_hand(place, hand, LicenceKind::User)) }
    }

    /// The deployment that decides where no decision by hand does.
    pub fn deciding_rule(&self, snapshot: &Snapshot, product: u32, device: u32) -> Option<u32> {
        let facts = &snapshot.devices[device as usize];
        let person = facts.person.filter(|&person| !snapshot.persons[person as usize].has_left(snapshot.now));
        self.by_product.get(product as usize)?.deciding(snapshot, Some(device), facts.person, person)
    }

    /// Every deployment that means a device, the strongest first, and whether the device is excluded from it.
    pub fn meaning(&self, snapshot: &Snapshot, product: u32, device: u32) -> Vec<(u32, bool)> {
        let Some(known) = self.by_product.get(product as usize) else { return Vec::new() };
        let facts = &snapshot.devices[device as usize];
        let person = facts.person.filter(|&person| !snapshot.persons[person as usize].has_left(snapshot.now));
        let all = known.strongest.iter().copied();
        all.filter(|&place| is_meant(snapshot, place, Some(device), person))
            .map(|place| (place, is_excluded(snapshot, place, Some(device), facts.person)))
            .collect()
    }

    /// What decides for a person's licence whether or not the person has a device; `None` when nothing does.
    pub fn for_person(&self, snapshot: &Snapshot, product: u32, person: u32) -> Option<Decision> {
        let known = self.by_product.get(product as usize)?;
        if snapshot.persons[person as usize].has_left(snapshot.now) {
            return None;
        }
        if let Some(&place) = known.by_hand.get(&Holder::Person(person)) {
            return Some(of_hand(place, &snapshot.by_hand[place as usize], LicenceKind::User));
        }
        let place = known.deciding(snapshot, None, Some(person), Some(person))?;
        let rule = &snapshot.rules[place as usize];
        let without_device = is_without_device(rule, snapshot.products[product as usize].book);
        without_device.then(|| of_rule(snapshot, place, Holder::Person(person)))
    }

    /// Whether a licence of this kind is the person's and not the device's. `pair`: what is known of it.
    pub fn is_by_user(
        &self,
        snapshot: &Snapshot,
        product: u32,
        device: u32,
        kind: LicenceKind,
        pair: Option<&Pair>,
    ) -> bool {
        let facts = &snapshot.devices[device as usize];
        match kind {
            LicenceKind::Device => false,
            _ if pair.is_some_and(|pair| matches!(pair.licence, Licence::Assigned | Licence::Requested)) => false,
            LicenceKind::User => true,
            LicenceKind::DeviceIfPossible => {
                let possible = self.by_product[product as usize].device_assignable;
                !possible || facts.serial.is_empty() || !facts.takes_licences
            }
        }
    }
}

impl OfProduct {
    /// Place of the deployment that decides. `member`: whose groups exclude; `person`: whose groups include.
    fn deciding(
        &self,
        snapshot: &Snapshot,
        device: Option<u32>,
        member: Option<u32>,
        person: Option<u32>,
    ) -> Option<u32> {
        let speaks = |&&rank: &&u32| speaks(snapshot, self.strongest[rank as usize], device, member, person);
        let first = |ranks: &[u32]| ranks.iter().find(speaks).copied();
        let named = |ranks: Option<&Vec<u32>>| ranks.and_then(|ranks| first(ranks));
        let by_device = device.filter(|_| !self.by_device.is_empty()).and_then(|it| named(self.by_device.get(&it)));
        let by_person = person.filter(|_| !self.by_person.is_empty()).and_then(|it| named(self.by_person.get(&it)));
        let best = first(&self.general).into_iter().chain(by_device).chain(by_person).min()?;
        Some(self.strongest[best as usize])
    }
}

/// Whether a deployment speaks of this device, or of this person alone.
fn speaks(snapshot: &Snapshot, place: u32, device: Option<u32>, member: Option<u32>, person: Option<u32>) -> bool {
    is_meant(snapshot, place, device, person) && !is_excluded(snapshot, place, device, member)
}

fn is_meant(snapshot: &Snapshot, place: u32, device: Option<u32>, person: Option<u32>) -> bool {
    match snapshot.rules[place as usize].whom {
        Whom::AllDevices => device.is_some(),
        Whom::Group(group) => {
            let in_group = |groups: &[u32]| groups.binary_search(&group).is_ok();
            in_group(groups_of_device(snapshot, device)) || in_group(groups_of_person(snapshot, person))
        }
        Whom::Device(named) => device == Some(named),
        Whom::Person(named) => person == Some(named),
    }
}

fn is_excluded(snapshot: &Snapshot, place: u32, device: Option<u32>, person: Option<u32>) -> bool {
    let excluded = &snapshot.rules[place as usize].excluded;
    !excluded.is_empty()
        && (meet(excluded, groups_of_device(snapshot, device)) || meet(excluded, groups_of_person(snapshot, person)))
}

fn groups_of_device(snapshot: &Snapshot, device: Option<u32>) -> &[u32] {
    device.map_or(&[], |device| &snapshot.devices[device as usize].groups)
}

fn groups_of_person(snapshot: &Snapshot, person: Option<u32>) -> &[u32] {
    person.map_or(&[], |person| &snapshot.persons[person as usize].groups)
}

/// Whether it gives people a licence even when they have no device.
fn is_without_device(rule: &Rule, book: bool) -> bool {
    let to_people = matches!(rule.whom, Whom::Group(_) | Whom::Person(_));
    to_people && (book || rule.kind == LicenceKind::User && rule.licence_only)
}

/// What sorts the stronger deployment first.
fn strength(rule: &Rule) -> (i64, u8, u8, Timestamp, i64) {
    let width = match rule.whom {
        Whom::Device(_) | Whom::Person(_) => 0,
        Whom::Group(_) => 1,
        Whom::AllDevices => 2,
    };
    let purpose = match rule.purpose {
        Purpose::Uninstall => 0,
        Purpose::Required => 1,
        Purpose::Available => 2,
    };
    (-i64::from(rule.priority), width, purpose, rule.created_at, rule.id)
}

fn of_rule(snapshot: &Snapshot, place: u32, holder: Holder) -> Decision {
    let rule = &snapshot.rules[place as usize];
    let Product { book, .. } = &snapshot.products[rule.product as usize];
    Decision {
        by: By::Rule(place),
        purpose: rule.purpose,
        kind: if *book { LicenceKind::User } else { rule.kind },
        priority: rule.priority,
        install: !rule.licence_only,
        since: rule.created_at.max(snapshot.holder_since(holder)),
        made_at: rule.created_at,
    }
}

/// A decision by hand goes before every deployment, also in the queue.
fn of_hand(place: u32, hand: &ByHand, kind: LicenceKind) -> Decision {
    Decision {
        by: By::Hand(place),
        purpose: if hand.assigned { Purpose::Required } else { Purpose::Uninstall },
        kind,
        priority: i32::MAX,
        install: hand.install,
        since: hand.decided_at,
        made_at: hand.decided_at,
    }
}
