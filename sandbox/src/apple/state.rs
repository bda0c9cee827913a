//! What the simulated Apple knows: locations with their tokens, assets, assignments and events, and what was asked of it.
//!
//! Plain data and small rules about it. It knows nothing of HTTP and sends nothing.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use jiff::Timestamp;
use serde::Serialize;

use super::faults::FaultRule;
use super::limits::Limits;
use super::switches::Switches;
use super::versions::Versions;
use super::wire::{AssetRef, EventStatus, EventType, MdmInfo, NotificationType, Platform, PricingParam, ProductType};
use crate::chance::Chance;
use crate::world::Product;

/// `totalCount` of an unlimited asset. Apple: Managing assets.
pub const UNLIMITED: i64 = 2_147_483_647;

/// How many calls the log keeps.
const LOG_LENGTH: usize = 100_000;

pub(super) struct State {
    pub chance: Chance,
    /// Where this service is reached, ending in `/mdm/v2/`.
    pub base_url: String,
    pub organisation: String,
    pub locations: BTreeMap<String, Location>,
    /// By the text of the token, which is what clients send.
    pub tokens: HashMap<String, Token>,
    pub products: BTreeMap<String, Product>,
    pub switches: Switches,
    pub limits: Limits,
    pub faults: Vec<FaultRule>,
    pub counters: Counters,
    pub log: VecDeque<CallRecord>,
}

/// A content token of a location.
#[derive(Debug, Clone)]
pub(super) struct Token {
    pub u_id: String,
    pub expires: Timestamp,
    pub revoked: bool,
}

pub(super) struct Location {
    pub name: String,
    pub country: String,
    pub platform: Platform,
    pub website: String,
    pub mdm_info: Option<MdmInfo>,
    pub notification_types: Vec<NotificationType>,
    pub assets: BTreeMap<AssetKey, Asset>,
    /// Registered users, by clientUserId.
    pub users: BTreeSet<String>,
    pub events: HashMap<String, Event>,
    pub asset_versions: Versions,
    pub assignment_versions: Versions,
    /// Assignments taken away, with the change that did it.
    pub removed: BTreeMap<(AssetKey, Holder), u64>,
    /// When the calls of the last second were admitted.
    pub recent: VecDeque<Timestamp>,
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
}

/// Who holds a licence.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Holder {
    Serial(String),
    User(String),
}

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

pub(super) struct Event {
    pub kind: EventType,
    pub accepted: Timestamp,
    pub status: EventStatus,
    pub requested: usize,
    pub completed: usize,
    /// Holders whose task failed, by error number and asset.
    pub failures: BTreeMap<(super::errors::AppleError, AssetKey), Vec<Holder>>,
}

impl Event {
    /// How many tasks failed, by errorNumber.
    pub(super) fn failed(&self) -> BTreeMap<u16, usize> {
        let mut failed = BTreeMap::new();
        for ((error, _), holders) in &self.failures {
            *failed.entry(error.number()).or_default() += holders.len();
        }
        failed
    }
}

/// What was counted since the start.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Counters {
    /// Calls by endpoint, refused ones included.
    pub calls: BTreeMap<String, u64>,
    /// Errors sent, by errorNumber.
    pub errors: BTreeMap<u16, u64>,
    /// Messages with an unknown or ill-typed key or parameter.
    pub refused: u64,
    /// Devices that were told to install before the licence was theirs.
    pub installs_before_licence: u64,
}

/// One call that was received.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct CallRecord {
    pub at: Timestamp,
    pub method: String,
    /// The path after `/mdm/v2/`.
    pub endpoint: String,
    pub query: String,
    /// The location, once the token was accepted.
    pub u_id: Option<String>,
    /// The status sent; `None` when the connection was closed instead.
    pub status: Option<u16>,
    pub error_number: Option<u16>,
}

impl State {
    pub(super) fn record(&mut self, record: CallRecord) {
        *self.counters.calls.entry(record.endpoint.clone()).or_default() += 1;
        if let Some(number) = record.error_number {
            *self.counters.errors.entry(number).or_default() += 1;
        }
        if self.log.len() >= LOG_LENGTH {
            self.log.pop_front();
        }
        self.log.push_back(record);
    }
}

impl Location {
    /// The quality of `adam_id` in this location, either or both.
    pub(super) fn assets_of(&self, adam_id: &str) -> impl Iterator<Item = &Asset> {
        [PricingParam::Standard, PricingParam::Plus]
            .into_iter()
            .filter_map(move |pricing_param| self.assets.get(&AssetKey { adam_id: adam_id.to_owned(), pricing_param }))
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
}

/// Apple's way to write a time.
pub(super) fn apple_time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S+0000").to_string()
}
