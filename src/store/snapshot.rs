//! The facts for a plan, read at one moment, with the rows behind the numbers; and read anew for one device or person.

mod facts;
mod renew;
mod rows;

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::Connection;

use super::{StoreError, assets};
use crate::licensing::{Deadlines, Planner, Product, Snapshot};
use crate::model::{DeviceId, LocationId, PersonId};

pub use renew::renew;

/// What the settings say to the facts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Our `mdmInfo.id`: a location is written to only while Apple names us as its owner and its token is accepted, and not
    /// between a restored backup and the next full sync.
    pub us: String,
    pub deadlines: Deadlines,
    /// How long a person whom the directory does not know any more keeps everything.
    pub grace: Duration,
}

/// A snapshot with the rows that its numbers stand for.
#[derive(Debug, Clone)]
pub struct Loaded {
    pub snapshot: Snapshot,
    pub behind: Behind,
    /// Same order as `snapshot.assets`: (owned, held, being assigned or taken back).
    pub counts: Vec<Counts>,
}

/// The rows that the numbers of a snapshot stand for.
#[derive(Debug, Clone, Default)]
pub struct Behind {
    /// Same order as `snapshot.locations`.
    pub locations: Vec<LocationId>,
    /// Same order as `snapshot.devices`; `None`: only the serial number is known.
    pub devices: Vec<Option<DeviceId>>,
    /// Same order as `snapshot.persons`.
    pub persons: Vec<PersonId>,
    /// Names of groups by their numbers.
    pub groups: Vec<String>,
    products: HashMap<String, u32>,
    location_of: HashMap<i64, u32>,
    /// (location, product): pricingParam and number.
    asset_of: HashMap<(u32, u32), Vec<(String, u32)>>,
    device_of: HashMap<i64, u32>,
    serial_of: HashMap<String, u32>,
    person_of: HashMap<i64, u32>,
    user_of: HashMap<String, u32>,
    group_of: HashMap<i64, u32>,
}

/// How many licences of an asset there are, and where they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    pub owned: u64,
    pub held: u64,
    pub under_way: u64,
}

/// Reads everything.
pub fn load(connection: &Connection, settings: &Settings, now: Timestamp) -> Result<Loaded, StoreError> {
    let mut behind = Behind::default();
    let mut snapshot = Snapshot {
        now,
        deadlines: settings.deadlines,
        locations: Vec::new(),
        products: Vec::new(),
        assets: Vec::new(),
        persons: Vec::new(),
        devices: Vec::new(),
        rules: Vec::new(),
        by_hand: Vec::new(),
        rows: Vec::new(),
        seats: Vec::new(),
        extras: Vec::new(),
    };
    facts::groups(connection, &mut behind)?;
    facts::locations(connection, &settings.us, &mut behind, &mut snapshot)?;
    let counts = facts::assets(connection, &mut behind, &mut snapshot)?;
    facts::persons(connection, settings.grace, &mut behind, &mut snapshot)?;
    facts::devices(connection, &mut behind, &mut snapshot)?;
    facts::rules(connection, &mut behind, &mut snapshot)?;
    facts::by_hand(connection, &mut behind, &mut snapshot)?;
    rows::pairs(connection, &mut behind, &mut snapshot)?;
    rows::seats(connection, &mut behind, &mut snapshot)?;
    snapshot.extras.sort_unstable_by_key(|&(asset, holder)| (holder, asset));
    for (adam_id, bundle_id) in assets::bundle_ids(connection)? {
        if let Some(&place) = behind.products.get(&adam_id) {
            snapshot.products[place as usize].bundle_id = Some(bundle_id);
        }
    }
    Ok(Loaded { snapshot, behind, counts })
}

/// Whether the person of the device with this serial number holds the app, and no request about it is under way.
pub fn person_holds(connection: &Connection, adam_id: &str, serial: &str) -> Result<bool, StoreError> {
    rows::person_holds(connection, adam_id, serial)
}

impl Behind {
    /// The number of an app, known or new.
    fn product(&mut self, snapshot: &mut Snapshot, adam_id: &str) -> u32 {
        if let Some(&place) = self.products.get(adam_id) {
            return place;
        }
        let place = snapshot.products.len() as u32;
        snapshot.products.push(new_product(adam_id));
        self.products.insert(adam_id.into(), place);
        place
    }

    /// The same, in a plan that is kept up to date.
    fn new_product(&mut self, planner: &mut Planner, adam_id: &str) -> u32 {
        if let Some(&place) = self.products.get(adam_id) {
            return place;
        }
        let place = planner.snapshot().products.len() as u32;
        planner.add_product(new_product(adam_id));
        self.products.insert(adam_id.into(), place);
        place
    }

    /// The number of a new device; of one that is not enrolled there is only the serial number.
    fn add_device(&mut self, id: Option<DeviceId>, serial: &str) -> u32 {
        let place = self.devices.len() as u32;
        if let Some(id) = id {
            self.device_of.insert(id.0, place);
        }
        if !serial.is_empty() {
            self.serial_of.insert(serial.to_owned(), place);
        }
        self.devices.push(id);
        place
    }

    /// The number of an app.
    pub fn place_of_app(&self, adam_id: &str) -> Option<u32> {
        self.products.get(adam_id).copied()
    }

    /// The number of a device.
    pub fn place_of(&self, device: DeviceId) -> Option<u32> {
        self.device_of.get(&device.0).copied()
    }
}

fn new_product(adam_id: &str) -> Product {
    Product { adam_id: adam_id.into(), bundle_id: None, book: false }
}
