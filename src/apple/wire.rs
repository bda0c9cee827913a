//! The JSON of Apple's Apps and Books service, version 2. Tolerant on the way in: unknown members are ignored, null
//! means absent, unknown words end in `Other`, numbers may come as text and ids as numbers. Only what vppd cannot do
//! without must be there. ([`super::contract`] notices what differs from Apple's pages.)
//!
//! Knows nothing of HTTP and decides nothing.

pub mod subscriptions;

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde::de::{self, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};

use crate::model::{Holder, Holders, InviteCode, UserStatus};

/// `totalCount` from which an asset counts as unlimited (Apple: Managing Assets). Never add to it.
pub const UNLIMITED: i64 = 2_147_483_647;

/// The store's number of an app or book, kept as text. A string in most of Apple's objects, a number in some.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Default)]
#[serde(transparent)]
pub struct AdamId(pub String);

impl fmt::Display for AdamId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl From<&str> for AdamId {
    fn from(text: &str) -> AdamId {
        AdamId(text.to_owned())
    }
}

impl<'de> Deserialize<'de> for AdamId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<AdamId, D::Error> {
        text_or_number(deserializer).map(AdamId)
    }
}

/// Quality of a licence. Apple leaves it out where it means `STDQ`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default)]
pub enum PricingParam {
    #[default]
    #[serde(rename = "STDQ")]
    Stdq,
    #[serde(rename = "PLUS")]
    Plus,
    #[serde(untagged)]
    Other(String),
}

impl PricingParam {
    /// Apple's word.
    pub fn word(&self) -> &str {
        match self {
            PricingParam::Stdq => "STDQ",
            PricingParam::Plus => "PLUS",
            PricingParam::Other(word) => word,
        }
    }
}

impl From<&str> for PricingParam {
    fn from(word: &str) -> PricingParam {
        match word {
            "STDQ" => PricingParam::Stdq,
            "PLUS" => PricingParam::Plus,
            other => PricingParam::Other(other.to_owned()),
        }
    }
}

/// What an asset is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProductType {
    App,
    Book,
    #[serde(untagged)]
    Other(String),
}

impl ProductType {
    /// Apple's word.
    pub fn word(&self) -> &str {
        match self {
            ProductType::App => "App",
            ProductType::Book => "Book",
            ProductType::Other(word) => word,
        }
    }
}

impl Default for ProductType {
    fn default() -> ProductType {
        ProductType::Other(String::new())
    }
}

/// Key of an asset: a product in one quality.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AssetRef {
    #[serde(default, deserialize_with = "null_is_default")]
    pub adam_id: AdamId,
    #[serde(default, deserialize_with = "null_is_default")]
    pub pricing_param: PricingParam,
}

/// Licences of one product at one location (Apple: ResponseAsset, UnlimitedResponseAsset).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Asset {
    /// Empty when Apple does not say: such a record says nothing, and is left out of listings.
    #[serde(default, deserialize_with = "null_is_default")]
    pub adam_id: AdamId,
    #[serde(default, deserialize_with = "null_is_default")]
    pub pricing_param: PricingParam,
    #[serde(default, deserialize_with = "null_is_default")]
    pub product_type: ProductType,
    /// May be given to serial numbers. False when Apple does not say.
    #[serde(default, deserialize_with = "flag")]
    pub device_assignable: bool,
    /// May be taken back. False when Apple does not say.
    #[serde(default, deserialize_with = "flag")]
    pub revocable: bool,
    #[serde(default, deserialize_with = "count")]
    pub assigned_count: i64,
    /// Says nothing when [`Asset::is_unlimited`].
    #[serde(default, deserialize_with = "count")]
    pub available_count: i64,
    #[serde(default, deserialize_with = "count")]
    pub retired_count: i64,
    #[serde(default, deserialize_with = "count")]
    pub total_count: i64,
    /// Apple's words: `iOS` (which includes iPadOS), `macOS`, `tvOS`, `watchOS`, `visionOS`, or newer ones.
    #[serde(default, deserialize_with = "texts")]
    pub supported_platforms: Vec<String>,
}

impl Asset {
    pub fn key(&self) -> AssetRef {
        AssetRef { adam_id: self.adam_id.clone(), pricing_param: self.pricing_param.clone() }
    }

    /// Whether the licences never run out, so that the counts need no checking.
    pub fn is_unlimited(&self) -> bool {
        self.total_count >= UNLIMITED
    }
}

/// One licence held by one device or user (Apple: Assignment).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Assignment {
    /// Empty when Apple does not say: such a record says nothing, and is left out of listings.
    #[serde(default, deserialize_with = "null_is_default")]
    pub adam_id: AdamId,
    #[serde(default, deserialize_with = "null_is_default")]
    pub pricing_param: PricingParam,
    #[serde(default, deserialize_with = "optional_text_or_number")]
    pub serial_number: Option<String>,
    #[serde(default, deserialize_with = "optional_text_or_number")]
    pub client_user_id: Option<String>,
}

impl Assignment {
    pub fn asset(&self) -> AssetRef {
        AssetRef { adam_id: self.adam_id.clone(), pricing_param: self.pricing_param.clone() }
    }

    /// The device or user that holds it. None when Apple names neither: such a record says nothing.
    pub fn holder(&self) -> Option<Holder> {
        let serial = self.serial_number.clone().map(Holder::Serial);
        serial.or_else(|| self.client_user_id.clone().map(Holder::User))
    }
}

/// One record of a registered user (Apple: ResponseUser). Of one `clientUserId` there may be several, of which at most one
/// is active. A Managed Apple Account is never told back.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct User {
    #[serde(deserialize_with = "text_or_number")]
    pub client_user_id: String,
    #[serde(default)]
    pub email: Option<String>,
    /// Of the Apple Account that the user is or was linked to.
    #[serde(default)]
    pub id_hash: Option<String>,
    /// While nobody has accepted.
    #[serde(default, deserialize_with = "invite_code")]
    pub invite_code: Option<InviteCode>,
    #[serde(default = "no_status", deserialize_with = "user_status")]
    pub status: UserStatus,
}

/// A user as create, update and retire take it (Apple: RequestUser).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UserRequest {
    pub client_user_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Links the user at once, without an invitation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub managed_apple_id: Option<String>,
}

/// Body of POST `users/create`, `users/update` and `users/retire`.
#[derive(Debug, Serialize)]
pub(super) struct ManageUsersRequest<'a> {
    pub users: &'a [UserRequest],
}

/// Which service manages a location (Apple: MdmInfo). Judge by the id, never by the name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MdmInfo {
    /// Empty when someone has set the object without an id: not ours, whoever that is.
    #[serde(default, deserialize_with = "text")]
    pub id: String,
    #[serde(default, deserialize_with = "text")]
    pub name: String,
    #[serde(default, deserialize_with = "text")]
    pub metadata: String,
}

/// Reply to GET and POST `client/config`. The notification secret that Apple sends along is not read.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClientConfig {
    /// Names the library; tokens with the same one manage the same licences.
    #[serde(deserialize_with = "text_or_number")]
    pub u_id: String,
    /// Current label; can be renamed in Apple's portal, so never a key.
    #[serde(default, deserialize_with = "optional_text_or_number")]
    pub location_name: Option<String>,
    /// Two letters, upper case.
    #[serde(default, rename = "countryISO2ACode", deserialize_with = "optional_text_or_number")]
    pub country: Option<String>,
    #[serde(default, deserialize_with = "optional_text_or_number")]
    pub default_platform: Option<String>,
    #[serde(default, deserialize_with = "optional_text_or_number")]
    pub notification_url: Option<String>,
    /// Empty when nothing is subscribed to.
    #[serde(default, deserialize_with = "texts")]
    pub subscribed_notification_types: Vec<String>,
    #[serde(default, rename = "websiteURL", deserialize_with = "optional_text_or_number")]
    pub website_url: Option<String>,
}

/// Body of POST `client/config`: claims a location. What is left out leaves notifications alone.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ClientConfigRequest<'a> {
    pub mdm_info: &'a MdmInfo,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notification_url: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notification_auth_token: Option<&'a str>,
    /// All that are wanted from now on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notification_types: Option<&'a [&'a str]>,
}

/// Body of POST `assets/associate` and `assets/disassociate`: every asset times every holder, of one kind.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ManageAssetsRequest<'a> {
    assets: &'a [AssetRef],
    #[serde(skip_serializing_if = "Option::is_none")]
    serial_numbers: Option<&'a [String]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_user_ids: Option<&'a [String]>,
}

impl<'a> ManageAssetsRequest<'a> {
    pub fn new(assets: &'a [AssetRef], holders: &'a Holders) -> ManageAssetsRequest<'a> {
        let (serial_numbers, client_user_ids) = match holders {
            Holders::Serials(serials) => (Some(serials.as_slice()), None),
            Holders::Users(users) => (None, Some(users.as_slice())),
        };
        ManageAssetsRequest { assets, serial_numbers, client_user_ids }
    }
}

/// Body of POST `assets/revoke`: everything that can be taken back from these holders. An empty list is left out.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RevokeAssetsRequest<'a> {
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    pub serial_numbers: &'a [String],
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    pub client_user_ids: &'a [String],
}

/// Reply to every asynchronous call.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EventResponse {
    #[serde(deserialize_with = "text_or_number")]
    pub event_id: String,
}

/// State of an event. `Complete` alone is not success: see [`EventStatus::is_full_success`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum EventState {
    Pending,
    Complete,
    Failed,
    #[serde(untagged)]
    Other(String),
}

impl Default for EventState {
    fn default() -> EventState {
        EventState::Other(String::new())
    }
}

/// Reply to `status` (Apple: StatusResponse).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EventStatus {
    #[serde(deserialize_with = "null_is_default")]
    pub event_status: EventState,
    /// `ASSOCIATE`, `DISASSOCIATE`, ... or newer words.
    #[serde(default, deserialize_with = "optional_text_or_number")]
    pub event_type: Option<String>,
    #[serde(default, deserialize_with = "count")]
    pub num_requested: i64,
    #[serde(default, deserialize_with = "count")]
    pub num_completed: i64,
    #[serde(default, deserialize_with = "null_is_default")]
    pub failures: Vec<Failure>,
}

impl EventStatus {
    /// Complete, nothing failed and every task done. Anything else that is final needs a fresh read of assignments.
    pub fn is_full_success(&self) -> bool {
        self.event_status == EventState::Complete
            && self.failures.is_empty()
            && self.num_completed == self.num_requested
    }

    /// Whether Apple has finished with the event.
    pub fn is_final(&self) -> bool {
        matches!(self.event_status, EventState::Complete | EventState::Failed)
    }
}

/// Why some tasks of an event failed. `info` names ids, not pairs, and may be missing.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Failure {
    #[serde(rename = "errorNumber", default, deserialize_with = "number_or_text")]
    pub number: Option<i64>,
    #[serde(rename = "errorInfo", default, deserialize_with = "none_if_odd")]
    pub info: Option<ErrorInfo>,
}

/// The things an error is about (Apple: ResponseErrorInfo).
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ErrorInfo {
    #[serde(default, deserialize_with = "null_is_default")]
    pub assets: Vec<AssetRef>,
    #[serde(default, deserialize_with = "texts")]
    pub client_user_ids: Vec<String>,
    #[serde(default, deserialize_with = "texts")]
    pub serial_numbers: Vec<String>,
}

/// What any reply may carry beside its own members, an error included (a 200 can carry one), and what every page carries:
/// a long page is gone through no more often than necessary.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Envelope {
    #[serde(default, deserialize_with = "number_or_text")]
    pub error_number: Option<i64>,
    #[serde(default, deserialize_with = "none_if_odd")]
    pub error_info: Option<ErrorInfo>,
    #[serde(default, deserialize_with = "optional_text_or_number")]
    pub u_id: Option<String>,
    #[serde(default)]
    pub mdm_info: Option<MdmInfo>,
    #[serde(default, deserialize_with = "optional_text_or_number")]
    pub token_expiration_date: Option<String>,
    /// Of a page; absent on the last one.
    #[serde(default, deserialize_with = "optional_count")]
    pub next_page_index: Option<u32>,
    /// Of a page. May change between pages; 0 or 1 for an empty listing.
    #[serde(default, deserialize_with = "count")]
    pub total_pages: u32,
    /// Of a page. Opaque and not ordered.
    #[serde(default, deserialize_with = "optional_text_or_number")]
    pub version_id: Option<String>,
}

/// Lists of GET `assets`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AssetsLists {
    #[serde(default, deserialize_with = "null_is_default")]
    assets: Vec<Asset>,
    #[serde(default, deserialize_with = "null_is_default")]
    unlimited_assets: Vec<Asset>,
}

impl From<AssetsLists> for Vec<Asset> {
    fn from(lists: AssetsLists) -> Vec<Asset> {
        let unlimited = lists.unlimited_assets.into_iter().map(|asset| Asset { total_count: UNLIMITED, ..asset });
        lists.assets.into_iter().chain(unlimited).filter(|asset| !asset.adam_id.0.is_empty()).collect()
    }
}

/// List of GET `assignments`.
#[derive(Debug, Deserialize)]
pub(super) struct AssignmentsList {
    #[serde(default, deserialize_with = "null_is_default")]
    assignments: Vec<Assignment>,
}

impl From<AssignmentsList> for Vec<Assignment> {
    fn from(list: AssignmentsList) -> Vec<Assignment> {
        list.assignments.into_iter().filter(|assignment| !assignment.adam_id.0.is_empty()).collect()
    }
}

/// List of GET `users`.
#[derive(Debug, Deserialize)]
pub(super) struct UsersList {
    #[serde(default, deserialize_with = "null_is_default")]
    users: Vec<User>,
}

impl From<UsersList> for Vec<User> {
    fn from(list: UsersList) -> Vec<User> {
        list.users
    }
}

/// Reply to `service/config`; every member is optional in Apple's schema.
#[derive(Debug, Default, Deserialize)]
pub(super) struct ServiceConfigReply {
    #[serde(default, deserialize_with = "null_is_default")]
    pub limits: BTreeMap<String, serde_json::Value>,
    #[serde(default, deserialize_with = "null_is_default")]
    pub urls: BTreeMap<String, serde_json::Value>,
}

/// Apple's dates: `2027-06-30T09:15:00+0000`, and RFC 3339 with `Z` or a colon. None when unreadable.
pub fn parse_date(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    Timestamp::strptime("%Y-%m-%dT%H:%M:%S%z", text).ok().or_else(|| text.parse().ok())
}

fn null_is_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(deserializer: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

fn invite_code<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<InviteCode>, D::Error> {
    Ok(optional_text_or_number(deserializer)?.as_deref().and_then(InviteCode::read))
}

fn no_status() -> UserStatus {
    UserStatus::Other(String::new())
}

fn user_status<'de, D: Deserializer<'de>>(deserializer: D) -> Result<UserStatus, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.map_or_else(no_status, |word| UserStatus::from(word.as_str())))
}

/// An error's details in an unknown shape must not hide the error's number.
fn none_if_odd<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<ErrorInfo>, D::Error> {
    let value = serde_json::Value::deserialize(deserializer)?;
    Ok(serde_json::from_value(value).unwrap_or_default())
}

fn text_or_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    deserializer.deserialize_any(TextOrNumber)
}

fn optional_text_or_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(Option::<AdamId>::deserialize(deserializer)?.map(|id| id.0))
}

/// Text, or a number as text; null is empty.
fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(optional_text_or_number(deserializer)?.unwrap_or_default())
}

/// A list of texts; null is empty, and so are nulls in it.
fn texts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let all = Option::<Vec<Option<AdamId>>>::deserialize(deserializer)?.unwrap_or_default();
    Ok(all.into_iter().flatten().map(|text| text.0).collect())
}

/// A count, as a number or as text; null is zero.
fn count<'de, D: Deserializer<'de>, T: TryFrom<i64> + Default>(deserializer: D) -> Result<T, D::Error> {
    Ok(optional_count(deserializer)?.unwrap_or_default())
}

fn optional_count<'de, D: Deserializer<'de>, T: TryFrom<i64>>(deserializer: D) -> Result<Option<T>, D::Error> {
    let told = deserializer.deserialize_any(Whole)?;
    told.map(|number| T::try_from(number).map_err(|_| de::Error::custom("a count is out of range"))).transpose()
}

/// Yes or no, as such, as text or as 1 or 0; anything else is no: nothing is done that Apple did not clearly allow.
fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    deserializer.deserialize_any(Flag)
}

/// Zero counts as none: it would be an odd way to say that all is well, but it is not an error of the list.
fn number_or_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    let text = optional_text_or_number(deserializer)?;
    Ok(text.and_then(|text| text.trim().parse().ok()).filter(|number| *number != 0))
}

/// A whole number, as such or as text.
struct Whole;

impl Visitor<'_> for Whole {
    type Value = Option<i64>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a whole number")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Option<i64>, E> {
        Ok(None)
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Option<i64>, E> {
        Ok(Some(number))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Option<i64>, E> {
        i64::try_from(number).map(Some).map_err(|_| E::custom("a count is out of range"))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Option<i64>, E> {
        self.visit_str(&TextOrNumber.visit_f64::<E>(number)?)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Option<i64>, E> {
        text.trim().parse().map(Some).map_err(|_| E::custom("a count is no whole number"))
    }
}

struct Flag;

impl<'de> Visitor<'de> for Flag {
    type Value = bool;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("true or false")
    }

    fn visit_bool<E: de::Error>(self, flag: bool) -> Result<bool, E> {
        Ok(flag)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<bool, E> {
        Ok(text.eq_ignore_ascii_case("true"))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<bool, E> {
        Ok(number == 1)
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_unit<E: de::Error>(self) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<bool, A::Error> {
        IgnoredAny.visit_seq(items).map(|_| false)
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<bool, A::Error> {
        IgnoredAny.visit_map(members).map(|_| false)
    }
}

struct TextOrNumber;

impl Visitor<'_> for TextOrNumber {
    type Value = String;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a string or a whole number")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<String, E> {
        Ok(text.to_owned())
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<String, E> {
        Ok(number.to_string())
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<String, E> {
        Ok(number.to_string())
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<String, E> {
        if number.fract() == 0.0 { Ok(format!("{number:.0}")) } else { Err(E::custom("a number has a fraction")) }
    }
}

#[cfg(test)]
mod tests;
