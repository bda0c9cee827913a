//! Deployments, as the doors show them and take them.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::model::{Delivery, LicenceKind, Ownership, UpdatePolicy};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PurposeView {
    Required,
    Available,
    Uninstall,
}

/// `POST /v1/deployments`
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DeployRequest {
    /// The app's number, bundle id or name.
    pub adam_id: String,
    /// `all-devices`, `serial:C02...`, `group:NAME`, or `person:` with a number or e-mail address.
    pub to: String,
    pub purpose: PurposeView,
    #[serde(flatten)]
    pub terms: TermsRequest,
    /// A licence that never comes back (of a book) is wanted nevertheless.
    #[serde(default)]
    pub confirm_irrevocable: bool,
    /// Check and tell only; nothing is kept.
    #[serde(default)]
    pub dry_run: bool,
}

impl DeployRequest {
    /// With ordinary terms.
    pub fn new(app: &str, to: &str, purpose: PurposeView) -> DeployRequest {
        DeployRequest {
            adam_id: app.to_owned(),
            to: to.to_owned(),
            purpose,
            terms: TermsRequest::default(),
            confirm_irrevocable: false,
            dry_run: false,
        }
    }
}

/// `POST /v1/deployments/{id}`: what is absent stays.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct DeployEditRequest {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purpose: Option<PurposeView>,
    #[serde(flatten)]
    pub terms: TermsRequest,
    #[serde(default)]
    pub confirm_irrevocable: bool,
    #[serde(default)]
    pub dry_run: bool,
}

/// On which terms; what is absent is ordinary, or stays.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TermsRequest {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub licence: Option<LicenceKind>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updates: Option<UpdatePolicy>,
    /// Higher goes first; 0 is ordinary.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<i64>,
    /// A number, or `none`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota: Option<String>,
    /// A number, or `none`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wave: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub licence_only: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery: Option<Delivery>,
    /// Devices to which the app is declared offer it, instead of installing it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offered: Option<bool>,
    /// The App Store's number of the build that is wanted, or `none`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build: Option<String>,
    /// Names of groups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub excluded: Option<Vec<String>>,
    /// Names of locations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locations: Option<Vec<String>>,
    /// The text of a property list (XML) or of a JSON object; empty for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub configuration: Option<String>,
    /// The text of a JSON object; empty for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attributes: Option<String>,
}

/// `GET /v1/deployments`, answer to `DELETE /v1/deployments/{id}`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DeploymentView {
    /// 0 when it was only tried.
    pub id: i64,
    pub adam_id: String,
    /// The app's; empty when it is not known.
    #[serde(default)]
    pub name: String,
    /// With the names of groups and the addresses of people.
    pub to: String,
    pub purpose: PurposeView,
    #[serde(default)]
    pub licence: LicenceKind,
    #[serde(default)]
    pub updates: UpdatePolicy,
    #[serde(default)]
    pub priority: i64,
    #[serde(default)]
    pub quota: Option<u32>,
    #[serde(default)]
    pub wave: Option<u32>,
    #[serde(default)]
    pub licence_only: bool,
    #[serde(default)]
    pub delivery: Delivery,
    #[serde(default)]
    pub offered: bool,
    #[serde(default)]
    pub build: Option<u64>,
    #[serde(default)]
    pub excluded: Vec<String>,
    /// None: all.
    #[serde(default)]
    pub locations: Vec<String>,
    /// A property list.
    #[serde(default)]
    pub configuration: Option<String>,
    #[serde(default)]
    pub attributes: Map<String, Value>,
    pub created_at: Timestamp,
    pub created_by: String,
    /// Enrolled devices in its scope now.
    pub devices: u64,
    /// People in its scope now.
    #[serde(default)]
    pub people: u64,
}

/// `GET /v1/deployments/{id}`, answer to adding, editing and trying one.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DeploymentDetailView {
    #[serde(flatten)]
    pub deployment: DeploymentView,
    pub preview: PreviewView,
}

/// What a deployment comes to as things are now, by itself: other deployments are not looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreviewView {
    /// Devices and people who would get a licence.
    pub wanted: u64,
    /// Of those, who hold one already.
    pub held: u64,
    /// Licences that it takes.
    pub takes: u64,
    /// Licences that are free where it may look; `None`: as many as wanted.
    pub free: Option<u64>,
    /// Missing.
    pub short: u64,
    /// The first who would get it: serial numbers and e-mail addresses.
    pub first: Vec<String>,
    /// What the devices will ask their people, by kind of device.
    #[serde(default)]
    pub prompts: Vec<PromptView>,
    /// What may surprise, in words.
    pub notes: Vec<String>,
}

/// What devices of one kind will ask when the app comes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PromptView {
    pub devices: u64,
    pub ownership: Ownership,
    /// Empty when the model is not known.
    pub platform: String,
    pub supervised: bool,
    /// The licence is that of the device's person.
    pub by_user: bool,
    /// The person accepts an invitation first.
    pub invitation: bool,
    /// The person agrees to the install.
    pub install: bool,
    /// The person signs in to the App Store, unless the right account is signed in.
    pub account: bool,
    pub words: String,
}
