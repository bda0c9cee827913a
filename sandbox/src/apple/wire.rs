//! Apple's JSON as the sandbox reads and writes it. What is read is read strictly; nothing here knows the state.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};

use super::errors::AppleError;
pub use super::roster::UserStatus;
use super::subscriptions::SeatRecord;

/// Who manages a location. Apple: MdmInfo.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MdmInfo {
    pub id: String,
    pub name: String,
    pub metadata: String,
}

/// An asset as requests and errors name it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AssetRef {
    pub adam_id: String,
    pub pricing_param: PricingParam,
}

/// The quality. A book bought in both is two assets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub enum PricingParam {
    #[default]
    #[serde(rename = "STDQ")]
    Standard,
    #[serde(rename = "PLUS")]
    Plus,
}

/// What kind of product.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum ProductType {
    #[default]
    App,
    Book,
}

/// Which ids an error is about. Apple: ResponseErrorInfo.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ErrorInfo {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub assets: Vec<AssetRef>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub client_user_ids: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub serial_numbers: Vec<String>,
}

/// Body of `POST assets/associate` and `POST assets/disassociate`. Apple: ManageAssetsRequest.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct ManageAssets {
    #[serde(deserialize_with = "present")]
    pub assets: Option<Vec<RequestedAsset>>,
    #[serde(deserialize_with = "present")]
    pub client_user_ids: Option<Vec<String>>,
    #[serde(deserialize_with = "present")]
    pub serial_numbers: Option<Vec<String>>,
}

/// Body of `POST assets/revoke`. Apple: RevokeAssetsRequest.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct RevokeAssets {
    #[serde(deserialize_with = "present")]
    pub client_user_ids: Option<Vec<String>>,
    #[serde(deserialize_with = "present")]
    pub serial_numbers: Option<Vec<String>>,
}

/// One asset of a request; the quality may be left out.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RequestedAsset {
    pub adam_id: String,
    #[serde(default)]
    pub pricing_param: PricingParam,
}

/// Body of `POST users/create`, `users/update` and `users/retire`. Apple: ManageUsersRequest.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct ManageUsers {
    #[serde(deserialize_with = "present")]
    pub users: Option<Vec<RequestUser>>,
}

/// Apple: RequestUser.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct RequestUser {
    pub client_user_id: String,
    #[serde(default, deserialize_with = "present")]
    pub email: Option<String>,
    #[serde(default, deserialize_with = "present")]
    pub managed_apple_id: Option<String>,
}

/// Body of `POST client/config`. Apple: ClientConfigRequest.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct ClientConfigRequest {
    #[serde(deserialize_with = "present")]
    pub mdm_info: Option<PartialMdmInfo>,
    #[serde(deserialize_with = "present")]
    pub notification_url: Option<String>,
    #[serde(deserialize_with = "present")]
    pub notification_auth_token: Option<String>,
    #[serde(deserialize_with = "present")]
    pub notification_types: Option<Vec<NotificationType>>,
}

/// `mdmInfo` of a request, of which members may be missing.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct PartialMdmInfo {
    #[serde(deserialize_with = "present")]
    pub id: Option<String>,
    #[serde(deserialize_with = "present")]
    pub name: Option<String>,
    #[serde(deserialize_with = "present")]
    pub metadata: Option<String>,
}

/// Apple: ServiceConfigResponse, notificationTypes; and the test, which a request may name too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum NotificationType {
    AssetCount,
    AssetManagement,
    UserManagement,
    UserAssociated,
    SubscriptionManagement,
    SubscriptionCount,
    UnlimitedAsset,
    TestNotification,
}

impl NotificationType {
    /// Whether it came with June 2026.
    pub(super) fn is_of_2026(self) -> bool {
        matches!(
            self,
            NotificationType::SubscriptionManagement
                | NotificationType::SubscriptionCount
                | NotificationType::UnlimitedAsset
        )
    }
}

impl fmt::Display for NotificationType {
    /// As on the wire.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// Members of every authenticated reply.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Common {
    pub u_id: String,
    /// Outer `None` leaves the key out, inner `None` is null.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mdm_info: Option<Option<MdmInfo>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_expiration_date: Option<String>,
}

/// Apple: ClientConfigResponse.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ClientConfig {
    #[serde(rename = "countryISO2ACode")]
    pub country: String,
    pub default_platform: Platform,
    pub location_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notification_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notification_auth_token: Option<String>,
    pub subscribed_notification_types: Vec<NotificationType>,
    #[serde(rename = "websiteURL")]
    pub website: String,
    #[serde(flatten)]
    pub common: Common,
}

/// The store a location buys in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Platform {
    #[default]
    EnterpriseStore,
    VolumeStore,
}

/// Apple: ResponseAsset, and UnlimitedResponseAsset, which has `assignedCount` alone.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AssetRecord {
    pub adam_id: String,
    pub pricing_param: PricingParam,
    pub product_type: ProductType,
    pub device_assignable: bool,
    pub revocable: bool,
    pub assigned_count: i64,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub counts: Option<AssetCounts>,
    pub supported_platforms: Vec<String>,
}

/// The counts that an unlimited asset does not have.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AssetCounts {
    pub available_count: i64,
    pub retired_count: i64,
    pub total_count: i64,
}

/// Apple: GetAssetsResponse.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AssetsPage {
    pub assets: Vec<AssetRecord>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unlimited_assets: Option<Vec<AssetRecord>>,
    #[serde(flatten)]
    pub paging: Paging,
    #[serde(flatten)]
    pub common: Common,
}

/// Apple: Assignment.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AssignmentRecord {
    pub adam_id: String,
    pub pricing_param: PricingParam,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serial_number: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_user_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_status: Option<UserStatus>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id_hash: Option<String>,
}

/// Apple: GetAssignmentsResponse.
#[derive(Debug, Serialize)]
pub(super) struct AssignmentsPage {
    pub assignments: Vec<AssignmentRecord>,
    #[serde(flatten)]
    pub paging: Paging,
    #[serde(flatten)]
    pub common: Common,
}

/// Apple: ResponseUser. Of a user that could not be managed there is the clientUserId alone.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct UserRecord {
    pub client_user_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id_hash: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub invite_code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<UserStatus>,
}

impl UserRecord {
    pub(super) fn only(client_user_id: &str) -> UserRecord {
        let client_user_id = client_user_id.to_owned();
        UserRecord { client_user_id, email: None, id_hash: None, invite_code: None, status: None }
    }
}

/// Apple: GetUsersResponse.
#[derive(Debug, Serialize)]
pub(super) struct UsersPage {
    pub users: Vec<UserRecord>,
    #[serde(flatten)]
    pub paging: Paging,
    #[serde(flatten)]
    pub common: Common,
}

/// What an event is made of, as notifications list it.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub(super) enum Element {
    Assignment(AssignmentRecord),
    User(UserRecord),
    Seat(SeatRecord),
}

/// Members of every paged reply.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Paging {
    pub current_page_index: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_page_index: Option<usize>,
    pub size: usize,
    pub total_pages: usize,
    pub version_id: String,
}

/// Apple: EventResponse.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct EventAccepted {
    pub event_id: String,
    #[serde(flatten)]
    pub common: Common,
}

/// Apple: StatusResponse.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct EventReport {
    pub event_status: EventStatus,
    pub event_type: EventType,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<ErrorBody>,
    pub num_completed: usize,
    pub num_requested: usize,
    #[serde(flatten)]
    pub common: Common,
}

/// Where an event stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum EventStatus {
    Pending,
    Complete,
    Failed,
}

/// What an event does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum EventType {
    Associate,
    Disassociate,
    Revoke,
    Create,
    Update,
    Retire,
}

/// Apple: ErrorResponse.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ErrorBody {
    pub error_number: u16,
    pub error_message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_info: Option<ErrorInfo>,
}

impl From<AppleError> for ErrorBody {
    fn from(error: AppleError) -> ErrorBody {
        ErrorBody { error_number: error.number(), error_message: error.message().to_owned(), error_info: None }
    }
}

/// A key that may be missing, but is not null.
fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}
