//! Licences at Apple without this API: bought, refunded, moved between locations, and given or taken by other hands.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Apple;
use super::admin::AdminError;
use super::location::{Asset, AssetKey, Held, Holder, Location, Table};
use super::state::{State, UNLIMITED};
use super::wire::{NotificationType, PricingParam, ProductType};
use crate::world::Product;

/// Apple moves no more licences at a time.
const MOST_TRANSFERRED: u32 = 24_999;

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

    pub(super) fn key(&self) -> AssetKey {
        AssetKey { adam_id: self.adam_id.clone(), pricing_param: self.pricing_param }
    }
}

impl Apple {
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
        let (unlimited, delta) = (new.unlimited, new.total - earlier.as_ref().map_or(0, |asset| asset.total));
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
        location.assets.insert(key.clone(), asset);
        location.wrote(&[Table::Assets], now);
        state.products.entry(product.adam_id.clone()).or_insert(product);
        match (unlimited, delta) {
            (true, _) => state.notify(u_id, NotificationType::UnlimitedAsset, json!(key.to_ref()), now),
            (false, 0) => {}
            (false, delta) => state.notify_count(u_id, &key, delta, now),
        }
        drop(state);
        self.flush();
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

    /// Licences that nobody holds move to another location: `ASSET_COUNT` on both sides.
    pub fn transfer(&self, from: &str, to: &str, asset: &AssetName, count: u32) -> Result<(), AdminError> {
        if count > MOST_TRANSFERRED {
            let text = format!("{count} licences are too many for one transfer; it can be {MOST_TRANSFERRED}");
            return Err(AdminError::Invalid(text));
        }
        let now = self.0.clock.now();
        let mut state = self.lock();
        let count = i64::from(count);
        let key = asset.key();
        let kind = known_asset(state.known_location(from)?, from, asset)?.clone();
        let target = state.known_location(to)?;
        let owned_there = target.assets.get(&key).map_or(0, |asset| asset.total);
        check_total(owned_there + count)?;
        state.change_total(from, asset, -count, now)?;
        let there = Asset { total: 0, retired: 0, holders: BTreeMap::new(), ..kind };
        state.known_location(to)?.assets.entry(key).or_insert(there);
        state.change_total(to, asset, count, now)?;
        drop(state);
        self.flush();
        Ok(())
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

    fn change_total(&self, u_id: &str, asset: &AssetName, by: i64) -> Result<(), AdminError> {
        let now = self.0.clock.now();
        self.lock().change_total(u_id, asset, by, now)?;
        self.flush();
        Ok(())
    }
}

impl State {
    /// Licences come or go: `ASSET_COUNT`.
    fn change_total(&mut self, u_id: &str, asset: &AssetName, by: i64, now: Timestamp) -> Result<(), AdminError> {
        let location = self.known_location(u_id)?;
        let owned = known_asset(location, u_id, asset)?;
        let (assigned, total) = (owned.assigned(), owned.total + by);
        check_total(total)?;
        if !owned.unlimited && total < assigned {
            let text = format!("{assigned} licences are assigned, so the total cannot go down to {total}");
            return Err(AdminError::Invalid(text));
        }
        owned.total = total;
        location.wrote(&[Table::Assets], now);
        self.notify_count(u_id, &asset.key(), by, now);
        Ok(())
    }

    fn notify_count(&mut self, u_id: &str, key: &AssetKey, delta: i64, now: Timestamp) {
        let content = json!({"adamId": key.adam_id, "pricingParam": key.pricing_param, "countDelta": delta});
        self.notify(u_id, NotificationType::AssetCount, content, now);
    }
}

impl Location {
    fn note_change(&mut self, changed: bool, now: Timestamp) {
        if changed {
            self.wrote(&[Table::Assets, Table::Assignments], now);
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
