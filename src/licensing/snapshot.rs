//! The facts a plan is made from, at one moment. Apps, devices, people, assets, groups and locations are numbered by their
//! place in the vectors here, so that a pair costs 20 bytes; pairs stand in a row for each device, and seats in a row for
//! each person, so that one device or person can be put in the place of its older self.
//!
//! Must not know where the facts come from, nor what follows from them.

use std::time::Duration;

use jiff::Timestamp;

use crate::clock::after;
use crate::model::{App, LicenceKind, Purpose};

/// Everything a plan is made from.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The time at which all this was true.
    pub now: Timestamp,
    pub deadlines: Deadlines,
    /// In the order in which their licences are to be used.
    pub locations: Vec<Location>,
    /// Every app that an asset, a rule, a decision, a pair or a seat names.
    pub products: Vec<Product>,
    pub assets: Vec<Asset>,
    pub persons: Vec<Person>,
    /// Every serial number that enrolled, or that a licence of ours, a rule or a decision names.
    pub devices: Vec<Device>,
    pub rules: Vec<Rule>,
    pub by_hand: Vec<ByHand>,
    /// What is known of the apps of each device, in the order of `devices`.
    pub rows: Vec<Row<Pair>>,
    /// The user licences of each person, in the order of `persons`.
    pub seats: Vec<Row<Seat>>,
    /// Licences of ours (asset, holder) of an app of which the holder's row has another one of ours: under another location,
    /// or with another pricing. Sorted by holder. One is enough, so there are hardly ever any.
    pub extras: Vec<(u32, Holder)>,
}

/// One per product, sorted by it; only those about which something is known.
pub type Row<T> = Box<[T]>;

/// After how long vppd stops to wait for a word that may never come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadlines {
    /// A removal that no device has confirmed is taken as done, and the licence goes back.
    pub offline: Duration,
    /// A device that was silent for so long is treated as gone; `None`: never.
    pub silent: Option<Duration>,
    /// An install that was declined, or failed for good, gives its licence back.
    pub rejected: Duration,
}

/// One location.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    pub name: String,
    /// Whether vppd may assign and take back licences here now: the token is accepted, and the location is ours.
    pub writable: bool,
    /// Groups that may draw licences from here, sorted; none: everybody may.
    pub groups: Box<[u32]>,
}

/// One app or book.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Product {
    pub adam_id: String,
    /// Known once a device or a store has told it; without it an app cannot be removed.
    pub bundle_id: Option<String>,
    /// For people only, and for good; no device is told anything of it.
    pub book: bool,
}

/// One asset of one location.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asset {
    /// Place in `products`.
    pub product: u32,
    /// Place in `locations`.
    pub location: u32,
    pub pricing_param: String,
    pub device_assignable: bool,
    pub revocable: bool,
    /// No shortage is possible.
    pub unlimited: bool,
    /// Licences that may still be given: Apple's count less what is held, reserved, or was returned too recently to be
    /// used again. Never negative.
    pub free: u32,
}

/// A person who may hold user licences.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    pub client_user_id: String,
    /// Since when vppd knows the person: first come, first served.
    pub since: Timestamp,
    /// From when on the person gets nothing any more: retired, or gone from the directory and the grace over.
    pub leaves_at: Option<Timestamp>,
    /// Groups of people, sorted.
    pub groups: Box<[u32]>,
    /// Locations in which Apple has the person as an active user, sorted.
    pub registered: Box<[u32]>,
}

impl Person {
    /// Whether the person gets nothing any more.
    pub fn has_left(&self, now: Timestamp) -> bool {
        self.leaves_at.is_some_and(|at| reached(at, now))
    }
}

/// One device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// Empty when the device has not told it: then it cannot hold a licence.
    pub serial: String,
    pub standing: Standing,
    /// When it enrolled: first come, first served.
    pub enrolled_at: Timestamp,
    /// When it was last heard of.
    pub last_seen: Option<Timestamp>,
    /// Its system knows licences by serial number (iOS 9, macOS 10.11).
    pub takes_licences: bool,
    /// Place in `persons`.
    pub person: Option<u32>,
    /// Groups of devices, sorted.
    pub groups: Box<[u32]>,
}

/// How a device stands to vppd.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// A serial number of which nothing more is known.
    Named,
    /// It enrols, or enrols again; until then its licences are not taken.
    Enrolling {
        until: Timestamp,
    },
    Enrolled,
    /// It checked out, or was deleted. It keeps its pairs until its licences are back.
    Left {
        at: Timestamp,
    },
}

impl Device {
    /// Enrolled now, heard of lately or not.
    pub fn enrolled(&self) -> bool {
        self.standing == Standing::Enrolled
    }

    /// When it is to be treated as gone because of its silence.
    pub fn silent_at(&self, deadlines: &Deadlines) -> Option<Timestamp> {
        let heard = self.last_seen.unwrap_or(self.enrolled_at).max(self.enrolled_at);
        deadlines.silent.filter(|_| self.enrolled()).map(|silent| after(heard, silent))
    }
}

/// A deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    pub id: i64,
    /// Place in `products`.
    pub product: u32,
    pub whom: Whom,
    pub purpose: Purpose,
    pub kind: LicenceKind,
    /// Higher goes first.
    pub priority: i32,
    /// Licences at most through this deployment.
    pub quota: Option<u32>,
    /// First installs under way at once at most.
    pub wave: Option<u32>,
    pub licence_only: bool,
    /// Groups of which it does not speak, sorted.
    pub excluded: Box<[u32]>,
    /// Locations whose licences it may use, sorted; none: all.
    pub locations: Box<[u32]>,
    pub created_at: Timestamp,
}

/// Of whom a deployment speaks, in numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Whom {
    AllDevices,
    /// A group of devices, or the devices of a group of people.
    Group(u32),
    Device(u32),
    Person(u32),
}

/// Whose licence it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Holder {
    /// A serial number: place in `devices`.
    Device(u32),
    /// A registered user: place in `persons`.
    Person(u32),
}

/// What was decided by hand for one holder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ByHand {
    /// Place in `products`.
    pub product: u32,
    pub holder: Holder,
    /// Assigned; else revoked.
    pub assigned: bool,
    /// Whose licence; `None`: as always.
    pub location: Option<u32>,
    /// Install the app, too.
    pub install: bool,
    pub decided_at: Timestamp,
}

/// What is known of one app on one device. Times are seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pair {
    /// Place in `products`.
    pub product: u32,
    /// Place in `assets` of the device's licence that is held, requested or returned; meaningless with [`Licence::None`].
    pub asset: u32,
    /// Nothing more is tried before; 0 for at once.
    pub due: u32,
    /// Since when it is declined or failed; in any other state, since when it is on its way out. 0: neither.
    pub since: u32,
    /// Of the device's own licence.
    pub licence: Licence,
    pub app: App,
    /// vppd assigned the licence, or adopted it; without a licence, vppd told the device to install the app.
    pub ours: bool,
    /// The command that waits has been sent to the device, so that it can no longer be withdrawn.
    pub sent: bool,
}

impl Pair {
    /// A pair of which nothing is known.
    pub fn unknown(product: u32) -> Pair {
        Pair { product, asset: 0, due: 0, since: 0, licence: Licence::None, app: App::None, ours: false, sent: false }
    }
}

/// The user licence of one app that a person has, or had, or asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seat {
    /// Place in `products`.
    pub product: u32,
    /// Place in `assets`; meaningless with [`Licence::None`].
    pub asset: u32,
    /// Nothing more is tried before; 0 for at once.
    pub due: u32,
    pub licence: Licence,
    /// vppd assigned it, or adopted it.
    pub ours: bool,
}

impl Seat {
    /// A seat of which nothing is known.
    pub fn unknown(product: u32) -> Seat {
        Seat { product, asset: 0, due: 0, licence: Licence::None, ours: false }
    }
}

/// A licence at Apple.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Licence {
    None,
    /// Asked for; Apple has not finished, or its answer was lost.
    Requested,
    Assigned,
    /// Being taken back; Apple has not finished, or its answer was lost.
    Returning,
}

impl Snapshot {
    /// What is known of an app on a device.
    pub fn pair(&self, product: u32, device: u32) -> Option<&Pair> {
        let row = self.rows.get(device as usize)?;
        row.binary_search_by_key(&product, |pair| pair.product).ok().map(|at| &row[at])
    }

    /// What is known of a person's user licence.
    pub fn seat(&self, product: u32, person: u32) -> Option<&Seat> {
        let row = self.seats.get(person as usize)?;
        row.binary_search_by_key(&product, |seat| seat.product).ok().map(|at| &row[at])
    }

    /// Assets of the licences of ours that a holder has of an app beside the one in its row.
    pub fn extras_of(&self, product: u32, holder: Holder) -> impl Iterator<Item = u32> {
        let first = self.extras.partition_point(|(_, known)| *known < holder);
        let of_holder = self.extras[first..].iter().take_while(move |(_, known)| *known == holder);
        of_holder.map(|(asset, _)| *asset).filter(move |&asset| self.assets[asset as usize].product == product)
    }

    /// The serial number, or the person's id at Apple.
    pub fn name_of(&self, holder: Holder) -> &str {
        match holder {
            Holder::Device(device) => &self.devices[device as usize].serial,
            Holder::Person(person) => &self.persons[person as usize].client_user_id,
        }
    }

    /// Since when the holder could have had anything.
    pub(super) fn holder_since(&self, holder: Holder) -> Timestamp {
        match holder {
            Holder::Device(device) => self.devices[device as usize].enrolled_at,
            Holder::Person(person) => self.persons[person as usize].since,
        }
    }
}

/// A time in whole seconds, never before it.
pub(super) fn seconds(at: Timestamp) -> u32 {
    let whole = at.as_second() + i64::from(at.subsec_nanosecond() > 0);
    u32::try_from(whole.max(0)).unwrap_or(u32::MAX)
}

/// A second as a time.
pub(super) fn time(second: u32) -> Timestamp {
    Timestamp::from_second(second.into()).unwrap_or(Timestamp::MAX)
}

/// Whether a time has come, in whole seconds, as everything here is compared.
pub(super) fn reached(at: Timestamp, now: Timestamp) -> bool {
    i64::from(seconds(at)) <= now.as_second()
}

/// Whether two sorted lists have a member in common.
pub(super) fn meet(some: &[u32], others: &[u32]) -> bool {
    some.iter().any(|one| others.binary_search(one).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_costs_24_bytes_at_the_most_with_its_share_of_a_row() {
        // A row's place and its block on the heap, shared by 50 pairs.
        let row = size_of::<Row<Pair>>() + 16;
        assert!(size_of::<Pair>() * 50 + row <= 24 * 50, "{}", size_of::<Pair>());
        assert!(size_of::<Seat>() <= 16);
    }
}
