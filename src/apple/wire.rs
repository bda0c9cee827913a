//! The JSON of Apple's Apps and Books service, version 2. Tolerant on the way in: unknown members are ignored, null
//! means absent, unknown words end in `Other`, and an Adam ID may come as a string or as a number.
//!
//! Knows nothing of HTTP and decides nothing.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde::de::{self, Deserializer, Visitor};
use serde::{Deserialize, Serialize};

use crate::model::{InviteCode, UserStatus};

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
    pub adam_id: AdamId,
    #[serde(default, deserialize_with = "null_is_default")]
    pub pricing_param: PricingParam,
}

/// Licences of one product at one location (Apple: ResponseAsset, UnlimitedResponseAsset).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Asset {
    pub adam_id: AdamId,
    #[serde(default, deserialize_with = "null_is_default")]
    pub pricing_param: PricingParam,
    #[serde(default, deserialize_with = "null_is_default")]
    pub product_type: ProductType,
    /// May be given to serial numbers. False when Apple does not say.
    #[serde(default, deserialize_with = "null_is_default")]
    pub device_assignable: bool,
    /// May be taken back. False when Apple does not say.
    #[serde(default, deserialize_with = "null_is_default")]
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
    #[serde(default, deserialize_with = "null_is_default")]
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

/// Who holds a licence. Part of the key of an assignment.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Holder {
    Serial(String),
    User(String),
}

/// One licence held by one device or user (Apple: Assignment).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Assignment {
    pub adam_id: AdamId,
    #[serde(default, deserialize_with = "null_is_default")]
    pub pricing_param: PricingParam,
    #[serde(default)]
    pub serial_number: Option<String>,
    #[serde(default)]
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
    #[serde(default, deserialize_with = "null_is_default")]
    pub id: String,
    #[serde(default, deserialize_with = "null_is_default")]
    pub name: String,
    #[serde(default, deserialize_with = "null_is_default")]
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
    #[serde(default)]
    pub location_name: Option<String>,
    /// Two letters, upper case.
    #[serde(default, rename = "countryISO2ACode")]
    pub country: Option<String>,
    #[serde(default)]
    pub default_platform: Option<String>,
    #[serde(default)]
    pub notification_url: Option<String>,
    #[serde(default, rename = "websiteURL")]
    pub website_url: Option<String>,
}

/// Body of POST `client/config` that claims a location and leaves notifications alone.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ClientConfigRequest<'a> {
    pub mdm_info: &'a MdmInfo,
}

/// Body of POST `assets/associate` and `assets/disassociate`: every asset times every serial number.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ManageAssetsRequest<'a> {
    pub assets: &'a [AssetRef],
    pub serial_numbers: &'a [String],
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

/// Reply to `status` (Apple: StatusResponse).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EventStatus {
    pub event_status: EventState,
    /// `ASSOCIATE`, `DISASSOCIATE`, ... or newer words.
    #[serde(default)]
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
    #[serde(rename = "errorInfo", default)]
    pub info: Option<ErrorInfo>,
}

/// The things an error is about (Apple: ResponseErrorInfo).
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ErrorInfo {
    #[serde(default, deserialize_with = "null_is_default")]
    pub assets: Vec<AssetRef>,
    #[serde(default, deserialize_with = "null_is_default")]
    pub client_user_ids: Vec<String>,
    #[serde(default, deserialize_with = "null_is_default")]
    pub serial_numbers: Vec<String>,
}

/// What any reply may carry beside its own members, an error included: a 200 can carry one.
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
    #[serde(default)]
    pub token_expiration_date: Option<String>,
}

/// Members of every page.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Paging {
    #[serde(default, deserialize_with = "null_is_default")]
    pub current_page_index: u32,
    /// Absent on the last page.
    #[serde(default)]
    pub next_page_index: Option<u32>,
    /// May change between pages; 0 or 1 for an empty listing.
    #[serde(default, deserialize_with = "null_is_default")]
    pub total_pages: u32,
    /// Opaque and not ordered.
    #[serde(deserialize_with = "text_or_number")]
    pub version_id: String,
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
        lists.assets.into_iter().chain(unlimited).collect()
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
        list.assignments
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

/// A count, as a number or as text; null is zero.
fn count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    let Some(text) = optional_text_or_number(deserializer)? else { return Ok(0) };
    text.trim().parse().map_err(|_| de::Error::custom("a count is no whole number"))
}

/// Zero counts as none: it would be an odd way to say that all is well, but it is not an error of the list.
fn number_or_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    let text = optional_text_or_number(deserializer)?;
    Ok(text.and_then(|text| text.trim().parse().ok()).filter(|number| *number != 0))
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adam_id_is_read_from_a_string_and_from_a_number() {
        let asset = |json| serde_json::from_str::<AssetRef>(json).unwrap();
        assert_eq!(asset(r#"{"adamId":"1600000011","pricingParam":"STDQ"}"#), asset(r#"{"adamId":1600000011}"#));
        let key = AssetRef { adam_id: "7".into(), pricing_param: PricingParam::Plus };
        assert_eq!(serde_json::to_string(&key).unwrap(), r#"{"adamId":"7","pricingParam":"PLUS"}"#);
    }

    #[test]
    fn unknown_words_and_members_do_not_spoil_a_reply() {
        let asset: Asset = serde_json::from_str(
            r#"{"adamId":"1","pricingParam":"GOLD","productType":"Film","revocable":null,"totalCount":9,"new":[{}]}"#,
        )
        .unwrap();
        assert_eq!(asset.pricing_param, PricingParam::Other("GOLD".into()));
        assert_eq!(asset.product_type, ProductType::Other("Film".into()));
        assert_eq!((asset.total_count, asset.revocable), (9, false));
        let status: EventStatus = serde_json::from_str(r#"{"eventStatus":"RESTING"}"#).unwrap();
        assert_eq!(status.event_status, EventState::Other("RESTING".into()));
        assert!(!status.is_final());
    }

    #[test]
    fn users_are_read_whatever_is_missing_and_written_without_what_is_not_said() {
        let list: Vec<User> = serde_json::from_str::<UsersList>(
            r#"{"users":[{"clientUserId":"a","email":"a@x.example","inviteCode":"c0de","status":"Registered","new":[1]},
                {"clientUserId":7,"email":null,"idHash":null,"inviteCode":null,"status":null},
                {"clientUserId":"c","idHash":"h=","status":"Resting"}]}"#,
        )
        .unwrap()
        .into();
        assert_eq!(
            (&list[0].status, list[0].invite_code.as_ref().unwrap().reveal()),
            (&UserStatus::Registered, "c0de")
        );
        assert_eq!((list[1].client_user_id.as_str(), &list[1].status), ("7", &UserStatus::Other(String::new())));
        assert_eq!(list[2].status, UserStatus::Other("Resting".into()));
        assert!(!format!("{list:?}").contains("c0de"), "an invitation is not printed");
        let request = UserRequest { client_user_id: "a".into(), email: None, managed_apple_id: None };
        let body = serde_json::to_string(&ManageUsersRequest { users: &[request] }).unwrap();
        assert_eq!(body, r#"{"users":[{"clientUserId":"a"}]}"#);
    }

    #[test]
    fn mdm_info_null_is_the_same_as_absent() {
        let read = |json| serde_json::from_str::<Envelope>(json).unwrap();
        assert_eq!(read(r#"{"mdmInfo":null,"uId":"7"}"#), read(r#"{"uId":7}"#));
        assert_eq!(read(r#"{"mdmInfo":{"id":"a"}}"#).mdm_info.unwrap().name, "");
    }

    #[test]
    fn an_error_number_is_found_whatever_its_details_look_like() {
        let read = |json| serde_json::from_str::<Envelope>(json).unwrap().error_number;
        assert_eq!(read(r#"{"errorNumber":9622,"errorInfo":"odd"}"#), Some(9622));
        assert_eq!(read(r#"{"errorNumber":"9625","errorInfo":null}"#), Some(9625));
        assert_eq!(read(r#"{"errorNumber":null}"#), None);
        assert_eq!(read(r#"{"errorNumber":0}"#), None);
    }

    #[test]
    fn unlimited_assets_of_either_listing_are_the_same() {
        let read = |json| -> Vec<Asset> { serde_json::from_str::<AssetsLists>(json).unwrap().into() };
        let apart = read(r#"{"assets":[],"unlimitedAssets":[{"adamId":"2","assignedCount":12}]}"#);
        let among = read(r#"{"assets":[{"adamId":"2","assignedCount":12,"totalCount":2147483647}]}"#);
        assert_eq!(apart, among);
        assert!(apart[0].is_unlimited());
    }

    #[test]
    fn complete_is_success_only_when_every_task_is_done_and_nothing_failed() {
        let read = |json| serde_json::from_str::<EventStatus>(json).unwrap();
        assert!(read(r#"{"eventStatus":"COMPLETE","numCompleted":2,"numRequested":2}"#).is_full_success());
        assert!(!read(r#"{"eventStatus":"COMPLETE","numCompleted":1,"numRequested":2}"#).is_full_success());
        let failed = read(
            r#"{"eventStatus":"FAILED","numCompleted":1,"numRequested":2,"failures":[{"errorNumber":9709,
                "errorInfo":{"assets":[{"adamId":1}],"serialNumbers":["QX7T2M9K2P"],"clientUserIds":null}}]}"#,
        );
        assert!(failed.is_final() && !failed.is_full_success());
        assert_eq!(failed.failures[0].info.as_ref().unwrap().serial_numbers, ["QX7T2M9K2P"]);
    }

    #[test]
    fn dates_are_read_with_and_without_a_colon_and_with_z() {
        let expected: Timestamp = "2027-06-30T09:15:00Z".parse().unwrap();
        for text in [
            "2027-06-30T09:15:00+0000",
            "2027-06-30T09:15:00+00:00",
            "2027-06-30T09:15:00Z",
            "2027-06-30T02:15:00-0700",
            " 2027-06-30T09:15:00+0000\n",
        ] {
            assert_eq!(parse_date(text), Some(expected), "{text}");
        }
        for text in ["", "2027-06-30", "tomorrow", "2027-13-30T09:15:00Z"] {
            assert_eq!(parse_date(text), None, "{text}");
        }
    }
}
