//! Registered users, as the doors show them and take them.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// `POST /v1/users`: registers a person under a location.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct UserAddRequest {
    /// The name of the location, or its uId.
    pub location: String,
    pub email: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// A Managed Apple Account: linked at once, without an invitation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub managed_account: Option<String>,
}

/// `POST /v1/users/{id, GUID or e-mail}`: what is absent stays.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct UserEditRequest {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Empty for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub managed_account: Option<String>,
}

/// `POST /v1/users/{id, GUID or e-mail}/retire`
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct UserRetireRequest {
    /// Under this location only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
}

/// `GET /v1/users/{id, GUID or e-mail}/retirement`: what retiring gives back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetirementView {
    pub email: String,
    pub name: String,
    pub places: Vec<RetirementPlaceView>,
}

/// What retiring gives back under one location.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetirementPlaceView {
    pub location: String,
    /// Licences that others can have then.
    pub comes_back: u64,
    /// Licences that never come back: books.
    pub stays: u64,
}

/// A person who is registered at Apple, or was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserView {
    pub id: i64,
    /// What Apple knows the person by, under every location.
    pub client_user_id: String,
    pub name: String,
    pub email: String,
    pub managed_account: Option<String>,
    pub created_at: Timestamp,
    pub created_by: String,
    pub registrations: Vec<RegistrationView>,
}

/// A person under one location.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegistrationView {
    pub location: String,
    pub state: RegistrationState,
    /// Apple's word; empty while Apple has no such user.
    pub status: String,
    /// The e-mail address as Apple lists it.
    pub apple_email: String,
    /// Of the Apple Account that the user is or was linked to; which account it is, Apple does not tell.
    pub id_hash: Option<String>,
    pub wanted_at: Timestamp,
    /// The times are those at which vppd saw it.
    pub registered_at: Option<Timestamp>,
    pub associated_at: Option<Timestamp>,
    pub retired_at: Option<Timestamp>,
    /// What Apple refused; empty when all is well.
    pub problem: String,
    pub advice: String,
    pub next_try_at: Option<Timestamp>,
    pub holds: Vec<HoldingView>,
    /// The link that joins the user with an Apple Account, where it was asked for. Whoever has it can use it, once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invitation: Option<String>,
}

/// Where a person stands under a location.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RegistrationState {
    /// Apple has not been told, or has not finished.
    New,
    /// Registered; nobody has accepted the invitation.
    Registered,
    /// Linked to an Apple Account.
    Associated,
    /// Apple has the user no longer, without our doing: registered again.
    Missing,
    /// Being retired.
    Retiring,
    Retired,
    /// Apple refuses what is wanted, and a person has to change something.
    Refused,
}

/// A licence that a user holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldingView {
    pub adam_id: String,
    pub pricing_param: String,
    /// Apple's word; empty when the location does not own it any more.
    pub product_type: String,
    /// Comes back when the user is retired.
    pub revocable: bool,
}

/// `GET /v1/tokens/{name or uId}/foreign-users`: active users that other MDMs have made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForeignUsersView {
    pub location: String,
    pub users: Vec<ForeignUserView>,
    /// Why they cannot be retired now; empty when they can.
    pub why_not: String,
}

/// A user that another MDM has made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForeignUserView {
    pub client_user_id: String,
    pub email: String,
    /// Apple's word.
    pub status: String,
    /// It is to be retired.
    pub retiring: bool,
    pub problem: String,
    /// Licences that come back when the user is retired.
    pub comes_back: u64,
    /// Licences that never come back: books.
    pub stays: u64,
}

/// `POST /v1/tokens/{name or uId}/foreign-users/retire`
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ForeignRetireRequest {
    /// How many users whoever asks has seen that are not being retired yet; another number refuses it.
    pub count: u64,
}
