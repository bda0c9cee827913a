//! The file, taken apart: every key has its place, so that whatever is wrong with it can be told with line and column. Knows
//! nothing of the database.

use crate::config::{Fault, Places, Reader, Section, read_document};
use crate::model::{Delivery, LicenceKind, UpdatePolicy};
use crate::operations::deployments::terms::HIGHEST;
use crate::operations::view::{GroupAddRequest, PurposeView, TermsRequest, TokenEditRequest};

/// The largest quota and wave.
const MOST: u32 = 1_000_000;

/// What a file says; `None` for a kind of which it says nothing.
pub(super) struct Declared {
    pub tokens: Option<Vec<Token>>,
    pub groups: Option<Vec<Group>>,
    pub deployments: Option<Vec<Deployment>>,
}

pub(super) struct Token {
    /// A name or Apple's id.
    pub location: String,
    pub request: TokenEditRequest,
    pub places: Places,
}

pub(super) struct Group {
    pub request: GroupAddRequest,
    pub places: Places,
}

pub(super) struct Deployment {
    pub app: String,
    pub to: String,
    pub purpose: PurposeView,
    /// All of them: what the file leaves out is ordinary.
    pub terms: TermsRequest,
    pub places: Places,
}

/// What a text says, and what is wrong with it.
pub(super) fn read(text: &str) -> (Declared, Vec<Fault>) {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    read_document(text, |reader: &mut Reader<'_>| Declared {
        tokens: reader.tables("token", token),
        groups: reader.tables("group", group),
        deployments: reader.tables("deployment", deployment),
    })
}

/// Text that has to be there.
fn needed(section: &mut Section<'_, '_>, key: &'static str, example: &str) -> String {
    let text = section.text(key, "", example);
    if !section.has(key) {
        let message = format!("a {} needs `{key}`", section.name);
        section.fault(key, message, format!("for example: {key} = \"{example}\""));
    }
    text
}

fn token(section: &mut Section<'_, '_>) -> Token {
    let location = needed(section, "location", "Leeds");
    let name = section.text("name", "", "Leeds");
    let list = "write a list, for example: [\"one\", \"another\"]";
    let request = TokenEditRequest {
        name: section.has("name").then_some(name),
        description: Some(section.text("description", "", "All schools in Leeds")),
        account_email: Some(section.text("account-email", "", "vpp@example.org")),
        categories: Some(section.texts("categories", list)),
        contacts: Some(section.texts("contacts", list)),
        groups: Some(section.texts("groups", list)),
        sync_interval: Some(section.text("sync-interval", "default", "6h")),
        full_sync_interval: Some(section.text("full-sync-interval", "default", "3d")),
    };
    Token { location, request, places: section.places() }
}

fn group(section: &mut Section<'_, '_>) -> Group {
    let name = needed(section, "name", "Room 12");
    let rule = section.text("rule", "", "model = 'iPad*' and supervised");
    let request = GroupAddRequest {
        name,
        rule: section.has("rule").then_some(rule),
        description: section.text("description", "", "The trolley in room 12"),
        devices: section.texts("devices", "write a list of serial numbers, for example: [\"DMPX0001\", \"DMPX0002\"]"),
    };
    Group { request, places: section.places() }
}

fn deployment(section: &mut Section<'_, '_>) -> Deployment {
    let app = needed(section, "app", "361309726");
    let to = needed(section, "to", "group:Teachers");
    let purposes = [
        ("required", PurposeView::Required),
        ("available", PurposeView::Available),
        ("uninstall", PurposeView::Uninstall),
    ];
    let purpose = section.choice("purpose", PurposeView::Required, &purposes);
    if !section.has("purpose") {
        section.fault("purpose", "a deployment needs `purpose`", "for example: purpose = \"required\"");
    }
    let kinds = [LicenceKind::Device, LicenceKind::User, LicenceKind::DeviceIfPossible].map(|kind| (kind.word(), kind));
    let policies = [UpdatePolicy::Inherit, UpdatePolicy::Immediately, UpdatePolicy::Scheduled, UpdatePolicy::Never];
    let ways = [Delivery::Auto, Delivery::Command, Delivery::Declarative].map(|way| (way.word(), way));
    let list = "write a list of names, for example: [\"Guests\"]";
    let terms = TermsRequest {
        licence: Some(section.choice("licence", LicenceKind::default(), &kinds)),
        updates: Some(section.choice("updates", UpdatePolicy::default(), &policies.map(|one| (one.word(), one)))),
        priority: Some(section.integer("priority", 0, -HIGHEST..=HIGHEST)),
        quota: Some(limit(section, "quota", 0)),
        wave: Some(limit(section, "wave", 1)),
        licence_only: Some(section.flag("licence-only", false)),
        delivery: Some(section.choice("delivery", Delivery::default(), &ways)),
        offered: Some(section.flag("offered", false)),
        build: Some(build(section)),
        excluded: Some(section.texts("exclude", list)),
        locations: Some(section.texts("locations", list)),
        configuration: Some(section.text("configuration", "", "{}")),
        attributes: Some(section.text("attributes", "", "{}")),
    };
    Deployment { app, to, purpose, terms, places: section.places() }
}

/// The App Store's number of a build, as the request says it.
fn build(section: &mut Section<'_, '_>) -> String {
    let number = section.integer("build", 870_000_123, 1..=i64::MAX);
    if section.has("build") { number.to_string() } else { "none".to_owned() }
}

/// A number as the request says it.
fn limit(section: &mut Section<'_, '_>, key: &'static str, least: u32) -> String {
    let number = section.number(key, least, least..=MOST);
    if section.has(key) { number.to_string() } else { "none".to_owned() }
}
