//! Groups, people and what is said of devices, as the doors show them and take them.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::model::{GroupKind, Ownership, Source};

/// `POST /v1/groups`: a list of devices, or a rule.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct GroupAddRequest {
    pub name: String,
    /// Which devices are in it; absent: those that are put into it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    #[serde(default)]
    pub description: String,
    /// Serial numbers to begin with.
    #[serde(default)]
    pub devices: Vec<String>,
}

/// `POST /v1/groups/{name}`: what is absent stays.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct GroupEditRequest {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// `POST /v1/groups/{name}/devices`: puts devices into a group and takes others out.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct GroupDevicesRequest {
    #[serde(default)]
    pub add: Vec<String>,
    #[serde(default)]
    pub remove: Vec<String>,
}

/// `POST /v1/groups/{name}/import`: the text of a CSV file with serial numbers.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct GroupImportRequest {
    pub content: String,
    /// Devices that the file does not have leave the group.
    #[serde(default)]
    pub replace: bool,
}

/// Answer to what changes the devices of a group.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GroupDevicesView {
    pub group: GroupView,
    pub added: u64,
    pub removed: u64,
    /// Asked for, and so already.
    pub unchanged: u64,
}

/// `GET /v1/groups`, answer to `POST /v1/groups` and `DELETE /v1/groups/{name}`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GroupView {
    pub id: i64,
    pub name: String,
    pub kind: GroupKind,
    pub source: Source,
    /// Empty unless the group has one.
    pub rule: String,
    pub description: String,
    pub created_at: Timestamp,
    pub created_by: String,
    /// Enrolled devices that are in it now, by themselves or by their person.
    pub devices: u64,
    /// Serial numbers that were put into it, enrolled or not.
    pub listed: u64,
    /// People in it.
    pub people: u64,
    /// Deployments that speak of it.
    pub deployments: Vec<i64>,
    /// Locations of whose licences it may draw.
    pub locations: Vec<String>,
    /// What may surprise: groups that its rule asks for and that nobody knows.
    pub notes: Vec<String>,
}

/// `GET /v1/groups/{name}`: who is in it now.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GroupDetailView {
    pub group: GroupView,
    pub devices: Vec<GroupMemberView>,
    pub people: Vec<PersonBriefView>,
}

/// A device in a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupMemberView {
    /// Empty while the device has not told it.
    pub serial: String,
    /// Empty for one that has never enrolled.
    pub udid: String,
    pub enrolled: bool,
    pub model: String,
    pub os_version: String,
    /// The e-mail address of its person; empty without one.
    pub person: String,
}

/// A person in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersonBriefView {
    pub id: i64,
    pub name: String,
    pub email: String,
}

/// `POST /v1/device-notes/{serial}`: what is absent stays.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct DeviceEditRequest {
    /// Number, e-mail address or GUID; empty for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub person: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ownership: Option<Ownership>,
    /// In place of those that are there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<String>>,
}

/// What is said of a device, enrolled or not yet. `GET /v1/device-notes/{serial}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceNoteView {
    pub serial: String,
    pub enrolled: bool,
    /// The e-mail address of its person; empty without one.
    pub person: String,
    /// Who said so; `None` without a person.
    pub person_source: Option<Source>,
    pub ownership: Ownership,
    pub tags: Vec<String>,
    /// The groups that it is in now; of a device that has not enrolled those by its serial number and person only.
    pub groups: Vec<String>,
}

/// A person, whether registered at Apple or not. `GET /v1/people`, `GET /v1/people/{id, e-mail or GUID}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersonView {
    pub id: i64,
    pub name: String,
    pub email: String,
    pub managed_account: Option<String>,
    pub client_user_id: String,
    pub source: Source,
    /// What the directory calls the person.
    pub external_id: Option<String>,
    pub state: PersonState,
    /// Since when the directory does not know the person.
    pub gone_at: Option<Timestamp>,
    /// When the person is taken out of all groups unless the directory knows it again.
    pub leaves_at: Option<Timestamp>,
    pub groups: Vec<String>,
    /// Serial numbers of the person's devices, enrolled or not.
    pub devices: Vec<String>,
    /// Locations under which the person is registered at Apple, or is to be.
    pub registered: Vec<String>,
    pub created_at: Timestamp,
    pub created_by: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PersonState {
    Present,
    /// The directory does not know the person any more; nothing has changed yet.
    Leaving,
    /// And the time for coming back is over.
    Gone,
    /// Gets nothing any more: an administrator said so.
    Retired,
}

/// `POST /v1/directory/sync`
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct DirectorySyncRequest {
    /// Take it over though many people are missing in it.
    #[serde(default)]
    pub confirm: bool,
}

/// `GET /v1/directory`, and the answer to a sync.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirectoryView {
    pub source: Source,
    /// Where it is; empty when the settings name none any more.
    pub place: String,
    pub state: DirectoryState,
    pub looked_at: Option<Timestamp>,
    /// When it was taken over last.
    pub taken_at: Option<Timestamp>,
    /// In it then.
    pub people: u64,
    /// People whom it knows no more, and who leave when their time is over.
    pub leaving: u64,
    /// What is wrong or was left out, in words.
    pub problems: Vec<String>,
    /// What the last look changed; `None` unless it was asked for just now.
    pub changes: Option<DirectoryChangesView>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DirectoryState {
    /// Not looked at yet.
    New,
    TakenOver,
    /// It could not be read, or contradicts itself: nothing was changed.
    Refused,
    /// Too many people are missing in it: nothing is changed until a person confirms it.
    Held,
}

/// What taking a listing over has changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirectoryChangesView {
    pub added: u64,
    /// Name, address or account.
    pub changed: u64,
    pub gone: u64,
    pub back: u64,
    /// People put into groups or taken out of them.
    pub memberships: u64,
    /// Devices that got another person, or none.
    pub devices: u64,
}
