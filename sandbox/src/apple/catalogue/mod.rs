//! What the stores tell about products: the content metadata lookup of the volume store, the metadata service for
//! organisations, the public lookup, and icons.
//!
//! None of it is needed to assign a licence. Names, countries and custom apps decide what is told to whom; a token, sent as
//! a cookie, only shows what its location owns. Answers that are not there are empty, not errors.

mod icon;
mod lookup;
mod organisations;
mod public;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::json;

pub(super) use self::organisations::Developer;
use super::Apple;
use super::admin::AdminError;
use super::calls::{Answered, instead};
use super::endpoint::{Call, Reply};
use super::errors::Refusal;
use super::faults::{Fault, strike};
use super::state::State;
use super::wire::ProductType;
use crate::world::Product;

/// Path of the content metadata lookup, which service/config names.
pub(super) const LOOKUP_PATH: &str = "/WebObjects/MZStorePlatform.woa/wa/lookup";
const PUBLIC_PATH: &str = "/lookup";
const ARTWORK_PATH: &str = "/artwork/";

/// How the stores present a product.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Listing {
    /// A custom app: told to its owners only.
    pub custom: bool,
    /// No longer sold: told to its owners only.
    pub withdrawn: bool,
    /// Countries in which it is sold (two upper-case letters); `None` is all.
    pub storefronts: Option<Vec<String>>,
    pub version: String,
    pub device_families: Vec<String>,
    pub minimum_os_version: String,
    pub seller: String,
    pub genre: String,
}

impl Default for Listing {
    fn default() -> Listing {
        Listing {
            custom: false,
            withdrawn: false,
            storefronts: None,
            version: "1.0".to_owned(),
            device_families: vec!["iphone".to_owned(), "ipad".to_owned()],
            minimum_os_version: "17.0".to_owned(),
            seller: "Example Publisher".to_owned(),
            genre: "Business".to_owned(),
        }
    }
}

/// A new version of a product.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct NewVersion {
    pub version: String,
    pub external_version_id: u64,
}

/// Where a product is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Counter {
    Lookup,
    Organisations,
    Public,
    Artwork,
}

impl Counter {
    pub(super) fn of(path: &str) -> Option<Counter> {
        match path {
            LOOKUP_PATH => Some(Counter::Lookup),
            PUBLIC_PATH => Some(Counter::Public),
            _ if path.starts_with(organisations::PATH) => Some(Counter::Organisations),
            _ => path.starts_with(ARTWORK_PATH).then_some(Counter::Artwork),
        }
    }

    /// For faults and for the log.
    pub(super) fn name(self) -> &'static str {
        match self {
            Counter::Lookup => "metadata/lookup",
            Counter::Organisations => "organisations",
            Counter::Public => "public/lookup",
            Counter::Artwork => "artwork",
        }
    }
}

impl Apple {
    /// From now on the stores present a product like this.
    pub fn set_listing(&self, adam_id: &str, listing: Listing) -> Result<(), AdminError> {
        let mut state = self.lock();
        state.known_product(adam_id)?;
        state.listings.insert(adam_id.to_owned(), listing);
        Ok(())
    }

    /// A new version of a product comes out.
    pub fn publish_version(&self, adam_id: &str, new: NewVersion) -> Result<(), AdminError> {
        let mut state = self.lock();
        state.known_product(adam_id)?.external_version_id = new.external_version_id;
        state.listings.entry(adam_id.to_owned()).or_default().version = new.version;
        Ok(())
    }
}

impl State {
    /// Answers a call about products.
    pub(super) fn answer_counter(&mut self, counter: Counter, call: &Call, now: Timestamp) -> Answered {
        let fault = strike(&mut self.faults, counter.name(), &mut self.chance);
        let reply = match (&fault, instead(fault.as_ref())) {
            (Some(Fault::MetadataForbidden), _) => failure(403, "The request is not allowed now."),
            (_, Ok(Some(outcome))) => return Answered::with(outcome),
            (_, Err(refusal)) => failure(refusal.error.status(), refusal.error.message())
                .retry_after(refusal.retry_after.map(|wait| wait.text(now))),
            (_, Ok(None)) if call.method != hyper::Method::GET => failure(405, "Only GET is allowed here."),
            (_, Ok(None)) => self.serve(counter, call, now).unwrap_or_else(|refusal| {
                self.counters.refused += u64::from(refusal.strict);
                failure(400, &refusal.message())
            }),
        };
        Answered::after(fault, reply, None)
    }

    fn serve(&self, counter: Counter, call: &Call, now: Timestamp) -> Result<Reply, Refusal> {
        match counter {
            Counter::Lookup => self.lookup(call, now),
            Counter::Organisations => self.organisations(call, now),
            Counter::Public => self.public_lookup(call),
            Counter::Artwork => Ok(icon::serve(call.path.trim_start_matches(ARTWORK_PATH))),
        }
    }

    fn known_product(&mut self, adam_id: &str) -> Result<&mut Product, AdminError> {
        self.products.get_mut(adam_id).ok_or_else(|| AdminError::NoProduct(adam_id.to_owned()))
    }

    /// A product with its listing, if it is told in this country to this location.
    fn presented(&self, adam_id: &str, country: &str, u_id: Option<&str>) -> Option<(&Product, Listing)> {
        let product = self.products.get(adam_id)?;
        let listing = self.listings.get(adam_id).cloned().unwrap_or_default();
        let here = |storefronts: &Vec<String>| storefronts.iter().any(|one| one.eq_ignore_ascii_case(country));
        let owned = u_id
            .and_then(|u_id| self.locations.get(u_id))
            .is_some_and(|location| location.assets_of(adam_id).next().is_some());
        let told = listing.storefronts.as_ref().is_none_or(here) && (owned || !(listing.custom || listing.withdrawn));
        told.then_some((product, listing))
    }

    fn artwork(&self, adam_id: &str, size: &str) -> String {
        format!("{}{ARTWORK_PATH}{adam_id}/{size}", self.origin())
    }
}

fn is_book(product: &Product) -> bool {
    product.product_type == json!(ProductType::Book)
}

/// The ids of a query: digits, with commas between.
fn ids(text: &str) -> Result<Vec<&str>, Refusal> {
    let ids: Vec<&str> = text.split(',').collect();
    match ids.iter().find(|id| id.is_empty() || !id.bytes().all(|byte| byte.is_ascii_digit())) {
        Some(id) => Err(Refusal::unreadable(format!("\"{id}\" is no id."))),
        None => Ok(ids),
    }
}

/// How the metadata services tell of errors: the code is the status and two more digits.
fn failure(status: u16, detail: &str) -> Reply {
    let error = json!({"id": "SANDBOX", "title": "Error", "detail": detail, "status": status.to_string(),
                       "code": format!("{status}00")});
    Reply::json(status, &json!({"errors": [error]}))
}
