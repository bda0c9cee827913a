//! One location: its assets and who holds them, its users and events, and who manages it.

use std::collections::{BTreeMap, HashMap, VecDeque};

use jiff::Timestamp;

use super::errors::AppleError;
use super::notices::NotificationTarget;
use super::past::Past;
use super::roster::Roster;
use super::state::UNLIMITED;
use super::subscriptions::Subscription;
use super::versions::Versions;
use super::wire::{
    AssetRef, AssignmentRecord, EventStatus, EventType, MdmInfo, NotificationType, Platform, PricingParam, ProductType,
};
use crate::chance::Chance;

#[derive(Clone)]
pub(super) struct Location {
    pub name: String,
    pub country: String,
    pub platform: Platform,
    pub website: String,
    pub mdm_info: Option<MdmInfo>,
    pub notification_target: Option<NotificationTarget>,
    pub notification_types: Vec<NotificationType>,
    pub assets: BTreeMap<AssetKey, Asset>,
    pub users: Roster,
    /// Whether the location has declared that it handles subscriptions.
    pub subscriptions_enabled: bool,
    /// By adamId, which is a number here.
    pub subscriptions: BTreeMap<u64, Subscription>,
    pub events: HashMap<String, Event>,
    pub asset_versions: Versions,
    pub assignment_versions: Versions,
    pub user_versions: Versions,
    pub subscription_versions: Versions,
    /// Assignments taken away, with the change that did it.
    pub removed: BTreeMap<(AssetKey, Holder), u64>,
    /// When the calls of the last second were admitted.
    pub recent: VecDeque<Timestamp>,
    /// For readers that lag.
    pub past: Option<Past>,
}

/// Identity of an asset within a location.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct AssetKey {
    pub adam_id: String,
    pub pricing_param: PricingParam,
}

impl AssetKey {
    pub(super) fn to_ref(&self) -> AssetRef {
        AssetRef { adam_id: self.adam_id.clone(), pricing_param: self.pricing_param }
    }

    /// The assignment of this asset to a target, as notifications name it.
    pub(super) fn to(&self, target: &Target) -> AssignmentRecord {
        let (serial_number, client_user_id) = match target {
            Target::Serial(serial) => (Some(serial.clone()), None),
            Target::User(id) => (None, Some(id.clone())),
        };
        AssignmentRecord {
            adam_id: self.adam_id.clone(),
            pricing_param: self.pricing_param,
            serial_number,
            client_user_id,
            user_status: None,
            id_hash: None,
        }
    }
}

/// Whom a request names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Target {
    Serial(String),
    User(String),
}

/// Who holds a licence. Of several records with one clientUserId it is one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Holder {
    Serial(String),
    User { id: String, record: usize },
}

impl Holder {
    pub(super) fn target(&self) -> Target {
        match self {
            Holder::Serial(serial) => Target::Serial(serial.clone()),
            Holder::User { id, .. } => Target::User(id.clone()),
        }
    }
}

#[derive(Clone)]
pub(super) struct Asset {
    pub product_type: ProductType,
    pub device_assignable: bool,
    pub revocable: bool,
    pub supported_platforms: Vec<String>,
    pub total: i64,
    pub retired: i64,
    pub unlimited: bool,
    pub holders: BTreeMap<Holder, Held>,
}

/// A licence that somebody holds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Held {
    /// The change that gave it.
    pub change: u64,
    /// When the event that gave it ended; `None` while it goes on.
    pub settled: Option<Timestamp>,
}

impl Asset {
    pub(super) fn assigned(&self) -> i64 {
        i64::try_from(self.holders.len()).unwrap_or(UNLIMITED)
    }

    pub(super) fn total_sent(&self) -> i64 {
        if self.unlimited { UNLIMITED } else { self.total }
    }

    pub(super) fn available(&self) -> i64 {
        self.total_sent() - self.assigned()
    }
}

#[derive(Clone)]
pub(super) struct Event {
    pub kind: EventType,
    pub accepted: Timestamp,
    pub status: EventStatus,
    pub requested: usize,
    pub completed: usize,
    /// Targets whose task failed, by error number and, where there is one, asset.
    pub failures: BTreeMap<(AppleError, Option<AssetKey>), Vec<Target>>,
}

impl Event {
    /// How many tasks failed, by errorNumber.
    pub(super) fn failed(&self) -> BTreeMap<u16, usize> {
        let mut failed = BTreeMap::new();
        for ((error, _), targets) in &self.failures {
            *failed.entry(error.number()).or_default() += targets.len();
        }
        failed
    }
}

/// What a write has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Table {
    Assets,
    Assignments,
    Users,
    Subscriptions,
}

impl Location {
    /// An empty one that nobody manages.
    pub(super) fn new(name: String, country: String, platform: Platform, chance: &mut Chance, now: Timestamp) -> Self {
        let website = match platform {
            Platform::EnterpriseStore => "https://business.apple.com",
            Platform::VolumeStore => "https://school.apple.com",
        };
        Location {
            name,
            country,
            platform,
            website: website.to_owned(),
            mdm_info: None,
            notification_target: None,
            notification_types: Vec::new(),
            assets: BTreeMap::new(),
            users: Roster::default(),
            subscriptions_enabled: false,
            subscriptions: BTreeMap::new(),
            events: HashMap::new(),
            asset_versions: Versions::new(chance, now),
            assignment_versions: Versions::new(chance, now),
            user_versions: Versions::new(chance, now),
            subscription_versions: Versions::new(chance, now),
            removed: BTreeMap::new(),
            recent: VecDeque::new(),
            past: None,
        }
    }

    /// Something was written: new version ids for what it was, if it was anything.
    pub(super) fn wrote(&mut self, tables: &[Table], now: Timestamp) {
        if tables.is_empty() {
            return;
        }
        for table in tables {
            match table {
                Table::Assets => self.asset_versions.bump(now),
                Table::Assignments => self.assignment_versions.bump(now),
                Table::Users => self.user_versions.bump(now),
                Table::Subscriptions => self.subscription_versions.bump(now),
            }
        }
        self.remember(now);
    }

    /// Who would hold a licence given to a target now; `None` when there is no such user.
    pub(super) fn holder(&self, target: &Target) -> Option<Holder> {
        match target {
            Target::Serial(serial) => Some(Holder::Serial(serial.clone())),
            Target::User(id) => Some(Holder::User { id: id.clone(), record: self.users.active(id)? }),
        }
    }

    /// The qualities of `adam_id` in this location, either or both.
    pub(super) fn assets_of(&self, adam_id: &str) -> impl Iterator<Item = &Asset> {
        [PricingParam::Standard, PricingParam::Plus]
            .into_iter()
            .filter_map(move |pricing_param| self.assets.get(&AssetKey { adam_id: adam_id.to_owned(), pricing_param }))
    }

    /// The assets of which a holder has a licence that can be taken back.
    pub(super) fn revocable_of(&self, holder: &Holder) -> Vec<AssetKey> {
        let held = self.assets.iter().filter(|(_, asset)| asset.revocable && asset.holders.contains_key(holder));
        held.map(|(key, _)| key.clone()).collect()
    }

    /// Gives a licence. True when the assignment is new.
    pub(super) fn give(&mut self, key: &AssetKey, holder: &Holder, held: Held) -> bool {
        let Some(asset) = self.assets.get_mut(key) else { return false };
        if asset.holders.contains_key(holder) {
            return false;
        }
        asset.holders.insert(holder.clone(), held);
        self.removed.remove(&(key.clone(), holder.clone()));
        true
    }

    /// Takes a licence back. True when there was one.
    pub(super) fn take(&mut self, key: &AssetKey, holder: &Holder, change: u64) -> bool {
        let Some(asset) = self.assets.get_mut(key) else { return false };
        let taken = asset.holders.remove(holder).is_some();
        if taken {
            self.removed.insert((key.clone(), holder.clone()), change);
        }
        taken
    }

    /// Retires a user: licences that can be taken back and seats are free again, other licences stay with the record. What
    /// that changed; `None` when there is no such active user.
    pub(super) fn retire(&mut self, id: &str) -> Option<Vec<Table>> {
        let record = self.users.retire(id, self.user_versions.upcoming())?;
        let holder = Holder::User { id: id.to_owned(), record };
        let held = self.revocable_of(&holder);
        let change = self.assignment_versions.upcoming();
        for key in &held {
            self.take(key, &holder, change);
        }
        let mut changed = vec![Table::Users];
        if !held.is_empty() {
            changed.extend([Table::Assets, Table::Assignments]);
        }
        if self.free_seats(id) {
            changed.push(Table::Subscriptions);
        }
        Some(changed)
    }
}
