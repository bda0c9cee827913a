//! What happens at Apple without this API: locations and tokens are made, licences bought and refunded, tokens die, another
//! server takes over. And the settings of the simulation.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::faults::{FaultRule, Often};
use super::state::{Asset, AssetKey, Held, Holder, Location, State, Token, UNLIMITED, apple_time};
use super::switches::Switches;
use super::versions::Versions;
use super::wire::{MdmInfo, Platform, PricingParam, ProductType};
use super::{Apple, CallRecord, Counters, Limits};
use crate::world::Product;

/// Why a wish about the simulated Apple cannot be fulfilled. Nothing was changed.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum AdminError {
    #[error("there is no location {0}; GET /state lists them")]
    NoLocation(String),
    #[error("location {location} has no asset {adam_id}; add it first")]
    NoAsset { location: String, adam_id: String },
    #[error("no location has this token")]
    NoToken,
    #[error("{0}")]
    Invalid(String),
}

/// A location to make.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct NewLocation {
    pub name: String,
    /// Two upper-case letters.
    pub country: String,
    pub platform: Platform,
}

impl Default for NewLocation {
    fn default() -> NewLocation {
        NewLocation { name: "Headquarters".to_owned(), country: "NL".to_owned(), platform: Platform::default() }
    }
}

/// An asset to add to a location, and its product if the store does not have it yet.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct NewAsset {
    pub adam_id: String,
    #[serde(default)]
    pub pricing_param: PricingParam,
    #[serde(default)]
    pub product_type: ProductType,
    /// Licences owned. Ignored when unlimited.
    #[serde(default)]
    pub total: i64,
    #[serde(default)]
    pub unlimited: bool,
    /// `None`: as usual for the product type (apps yes, books no).
    #[serde(default)]
    pub device_assignable: Option<bool>,
    /// `None`: as usual for the product type (apps yes, books no).
    #[serde(default)]
    pub revocable: Option<bool>,
    /// `None`: iOS.
    #[serde(default)]
    pub supported_platforms: Option<Vec<String>>,
    /// `None`: made from the adamId.
    #[serde(default)]
    pub name: Option<String>,
    /// `None`: made from the adamId.
    #[serde(default)]
    pub bundle_id: Option<String>,
    #[serde(default)]
    pub store: StoreNumbers,
}

/// Numbers of a product that devices need.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct StoreNumbers {
    pub external_version_id: u64,
    pub size_bytes: u64,
}

impl Default for StoreNumbers {
    fn default() -> StoreNumbers {
        StoreNumbers { external_version_id: 800_000_001, size_bytes: 50_000_000 }
    }
}

impl NewAsset {
    /// An app with `total` licences.
    pub fn app(adam_id: &str, total: i64) -> NewAsset {
        NewAsset {
            adam_id: adam_id.to_owned(),
            pricing_param: PricingParam::Standard,
            product_type: ProductType::App,
            total,
            unlimited: false,
            device_assignable: None,
            revocable: None,
            supported_platforms: None,
            name: None,
            bundle_id: None,
            store: StoreNumbers::default(),
        }
    }

    /// A book with `total` licences.
    pub fn book(adam_id: &str, total: i64) -> NewAsset {
        NewAsset { product_type: ProductType::Book, ..NewAsset::app(adam_id, total) }
    }

    fn product(&self) -> Product {
        let product_type = match self.product_type {
            ProductType::App => "App",
            ProductType::Book => "Book",
        };
        Product {
            adam_id: self.adam_id.clone(),
            bundle_id: self.bundle_id.clone().unwrap_or_else(|| format!("com.example.app{}", self.adam_id)),
            name: self.name.clone().unwrap_or_else(|| format!("{product_type} {}", self.adam_id)),
            product_type: product_type.to_owned(),
            external_version_id: self.store.external_version_id,
            size_bytes: self.store.size_bytes,
        }
    }
}

/// Names an asset of a location.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct AssetName {
    pub adam_id: String,
    #[serde(default)]
    pub pricing_param: PricingParam,
}

impl AssetName {
    /// The usual quality.
    pub fn standard(adam_id: &str) -> AssetName {
        AssetName { adam_id: adam_id.to_owned(), pricing_param: PricingParam::Standard }
    }

    fn key(&self) -> AssetKey {
        AssetKey { adam_id: self.adam_id.clone(), pricing_param: self.pricing_param }
    }
}

impl Apple {
    /// The name that new tokens carry as `orgName`.
    pub fn set_organisation(&self, name: &str) {
        self.lock().organisation = name.to_owned();
    }

    /// Where this service is reached (for the addresses in service/config), ending in `/mdm/v2/`.
    pub fn set_base_url(&self, url: &str) {
        self.lock().base_url = url.to_owned();
    }

    /// Makes a location and returns its `uId`.
    pub fn add_location(&self, new: NewLocation) -> String {
        let now = self.0.clock.now();
        let mut state = self.lock();
        let u_id = (7_300_000_000_000_000 + state.chance.below(99_999_999_999_999)).to_string();
        let website = match new.platform {
            Platform::EnterpriseStore => "https://business.apple.com",
            Platform::VolumeStore => "https://school.apple.com",
        };
        let location = Location {
            name: new.name,
            country: new.country,
            platform: new.platform,
            website: website.to_owned(),
            mdm_info: None,
            notification_types: Vec::new(),
            assets: BTreeMap::new(),
            users: BTreeSet::new(),
            events: HashMap::new(),
            asset_versions: Versions::new(&mut state.chance, now),
            assignment_versions: Versions::new(&mut state.chance, now),
            removed: BTreeMap::new(),
            recent: VecDeque::new(),
        };
        state.locations.insert(u_id.clone(), location);
        u_id
    }

    /// Makes a token for a location, valid for `valid` from now (Apple: a year). Returns the text of the `.vpptoken` file.
    pub fn add_token(&self, u_id: &str, valid: SignedDuration) -> Result<String, AdminError> {
        let now = self.0.clock.now();
        let mut state = self.lock();
        state.known_location(u_id)?;
        // Whole seconds, as in the text of the token.
        let expires = now.checked_add(valid).unwrap_or(Timestamp::MAX).as_second();
        let expires = Timestamp::from_second(expires).unwrap_or(Timestamp::MAX);
        let secret = BASE64_STANDARD.encode(format!("sandbox-token-{}", state.chance.uuid()));
        let content = json!({"token": secret, "expDate": apple_time(expires), "orgName": state.organisation});
        let text = BASE64_STANDARD.encode(content.to_string());
        state.tokens.insert(text.clone(), Token { u_id: u_id.to_owned(), expires, revoked: false });
        Ok(text)
    }

    /// The token is past its time from now on, whatever its text says.
    pub fn expire_token(&self, token: &str) -> Result<(), AdminError> {
        let now = self.0.clock.now();
        self.lock().tokens.get_mut(token).ok_or(AdminError::NoToken)?.expires = now;
        Ok(())
    }

    /// The token is revoked from now on.
    pub fn revoke_token(&self, token: &str) -> Result<(), AdminError> {
        self.lock().tokens.get_mut(token).ok_or(AdminError::NoToken)?.revoked = true;
        Ok(())
    }

    /// Another server claims the location.
    pub fn take_over(&self, u_id: &str, by: MdmInfo) -> Result<(), AdminError> {
        self.lock().known_location(u_id)?.mdm_info = Some(by);
        Ok(())
    }

    /// Nobody claims the location any more.
    pub fn release(&self, u_id: &str) -> Result<(), AdminError> {
        self.lock().known_location(u_id)?.mdm_info = None;
        Ok(())
    }

    /// Registers a user, so that licences can be assigned to the clientUserId.
    pub fn add_user(&self, u_id: &str, client_user_id: &str) -> Result<(), AdminError> {
        self.lock().known_location(u_id)?.users.insert(client_user_id.to_owned());
        Ok(())
    }

    /// Puts a product into the store, or replaces it (a new version).
    pub fn set_product(&self, product: Product) {
        self.lock().products.insert(product.adam_id.clone(), product);
    }

    /// Adds an asset to a location; an asset that is there already is replaced, its assignments stay.
    pub fn add_asset(&self, u_id: &str, new: NewAsset) -> Result<(), AdminError> {
        if new.adam_id.is_empty() || !new.adam_id.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(AdminError::Invalid(format!("\"{}\" is no adam-id: it has to be digits", new.adam_id)));
        }
        check_total(new.total)?;
        let now = self.0.clock.now();
        let mut state = self.lock();
        let product = new.product();
        let location = state.known_location(u_id)?;
        let key = AssetKey { adam_id: new.adam_id, pricing_param: new.pricing_param };
        let is_app = new.product_type == ProductType::App;
        let earlier = location.assets.remove(&key);
        let asset = Asset {
            product_type: new.product_type,
            device_assignable: new.device_assignable.unwrap_or(is_app),
            revocable: new.revocable.unwrap_or(is_app),
            supported_platforms: new.supported_platforms.unwrap_or_else(|| vec!["iOS".to_owned()]),
            total: new.total,
            retired: 0,
            unlimited: new.unlimited,
            holders: earlier.map(|asset| asset.holders).unwrap_or_default(),
        };
        location.assets.insert(key, asset);
        location.asset_versions.bump(now);
        state.products.entry(product.adam_id.clone()).or_insert(product);
        Ok(())
    }

    /// Licences are bought.
    pub fn buy(&self, u_id: &str, asset: &AssetName, count: u32) -> Result<(), AdminError> {
        self.change_total(u_id, asset, i64::from(count))
    }

    /// Licences that nobody holds are refunded: they leave the total.
    pub fn refund(&self, u_id: &str, asset: &AssetName, count: u32) -> Result<(), AdminError> {
        self.change_total(u_id, asset, -i64::from(count))
    }

    /// A licence is assigned by other hands, at once. True when it is new.
    pub fn assign(&self, u_id: &str, asset: &AssetName, serial: &str) -> Result<bool, AdminError> {
        let now = self.0.clock.now();
        let mut state = self.lock();
        let location = state.known_location(u_id)?;
        known_asset(location, u_id, asset)?;
        let held = Held { change: location.assignment_versions.upcoming(), settled: Some(now) };
        let new = location.give(&asset.key(), &Holder::Serial(serial.to_owned()), held);
        location.note_change(new, now);
        Ok(new)
    }

    /// A licence is taken back by other hands, at once. True when there was one.
    pub fn unassign(&self, u_id: &str, asset: &AssetName, serial: &str) -> Result<bool, AdminError> {
        let now = self.0.clock.now();
        let mut state = self.lock();
        let location = state.known_location(u_id)?;
        known_asset(location, u_id, asset)?;
        let change = location.assignment_versions.upcoming();
        let taken = location.take(&asset.key(), &Holder::Serial(serial.to_owned()), change);
        location.note_change(taken, now);
        Ok(taken)
    }

    /// The switches now.
    pub fn switches(&self) -> Switches {
        self.lock().switches.clone()
    }

    /// Sets all switches.
    pub fn set_switches(&self, switches: Switches) -> Result<(), AdminError> {
        if !(1..=1000).contains(&switches.page_size) {
            return Err(AdminError::Invalid(format!("page-size {} is not 1 to 1000", switches.page_size)));
        }
        let [from, to] = switches.chunk_delay_ms;
        if from > to {
            return Err(AdminError::Invalid(format!("chunk-delay-ms {from} to {to} goes backwards")));
        }
        self.lock().switches = switches;
        Ok(())
    }

    /// Sets the switches that are named, as JSON with kebab-case keys; the others stay.
    pub fn patch_switches(&self, patch: Map<String, Value>) -> Result<(), AdminError> {
        self.set_switches(patched(&self.switches(), patch)?)
    }

    /// The limits now.
    pub fn limits(&self) -> Limits {
        self.lock().limits.clone()
    }

    /// Sets all limits.
    pub fn set_limits(&self, limits: Limits) {
        self.lock().limits = limits;
    }

    /// Sets the limits that are named, as JSON with Apple's keys; the others stay.
    pub fn patch_limits(&self, patch: Map<String, Value>) -> Result<(), AdminError> {
        self.set_limits(patched(&self.limits(), patch)?);
        Ok(())
    }

    /// Adds a fault after those that are waiting.
    pub fn add_fault(&self, rule: FaultRule) -> Result<(), AdminError> {
        if let Often::Rate(rate) = rule.often
            && !(0.0..=1.0).contains(&rate)
        {
            return Err(AdminError::Invalid(format!("a rate of {rate} is not between 0 and 1")));
        }
        self.lock().faults.push(rule);
        Ok(())
    }

    /// No more faults.
    pub fn clear_faults(&self) {
        self.lock().faults.clear();
    }

    /// What was counted since the start.
    pub fn counters(&self) -> Counters {
        self.lock().counters.clone()
    }

    /// The calls received, oldest first; the last 100,000 are kept.
    pub fn calls(&self) -> Vec<CallRecord> {
        self.lock().log.iter().cloned().collect()
    }

    fn change_total(&self, u_id: &str, asset: &AssetName, by: i64) -> Result<(), AdminError> {
        let now = self.0.clock.now();
        let mut state = self.lock();
        let location = state.known_location(u_id)?;
        let owned = known_asset(location, u_id, asset)?;
        let (assigned, total) = (owned.assigned(), owned.total + by);
        check_total(total)?;
        if !owned.unlimited && total < assigned {
            let text = format!("{assigned} licences are assigned, so the total cannot go down to {total}");
            return Err(AdminError::Invalid(text));
        }
        owned.total = total;
        location.asset_versions.bump(now);
        Ok(())
    }
}

impl State {
    fn known_location(&mut self, u_id: &str) -> Result<&mut Location, AdminError> {
        self.locations.get_mut(u_id).ok_or_else(|| AdminError::NoLocation(u_id.to_owned()))
    }
}

impl Location {
    fn note_change(&mut self, changed: bool, now: Timestamp) {
        if changed {
            self.asset_versions.bump(now);
            self.assignment_versions.bump(now);
        }
    }
}

fn known_asset<'a>(location: &'a mut Location, u_id: &str, asset: &AssetName) -> Result<&'a mut Asset, AdminError> {
    let missing = || AdminError::NoAsset { location: u_id.to_owned(), adam_id: asset.adam_id.clone() };
    location.assets.get_mut(&asset.key()).ok_or_else(missing)
}

fn check_total(total: i64) -> Result<(), AdminError> {
    if (0..UNLIMITED).contains(&total) {
        return Ok(());
    }
    Err(AdminError::Invalid(format!("a total of {total} licences is not between 0 and {}", UNLIMITED - 1)))
}

/// `current` with the members of `patch` put over it, read strictly.
fn patched<T: Serialize + serde::de::DeserializeOwned>(
    current: &T,
    patch: Map<String, Value>,
) -> Result<T, AdminError> {
    let invalid = |error: serde_json::Error| AdminError::Invalid(error.to_string());
    let mut value = serde_json::to_value(current).map_err(invalid)?;
    if let Value::Object(members) = &mut value {
        members.extend(patch);
    }
    serde_json::from_value(value).map_err(invalid)
}
