//! Apple: Declarative Management. Which declarations a device gets, and how it asks for them.
//!
//! [`Declarations`] is made anew from what is wanted whenever the device asks: tokens are hashes over the content, so the
//! same wishes give the same tokens, and whatever changes changes them. What devices say back is read in `status`. Pure;
//! knows nothing of queue, devices and licences.

mod app;
mod capabilities;
mod status;

use aws_lc_rs::digest::{SHA256, digest};
use jiff::Timestamp;
use serde_json::{Value, json};

pub use self::app::{Assignment, Install, ManagedApp};
pub use self::capabilities::{Capabilities, System};
pub use self::status::{AppItem, AppState, StatusReport, Unreadable, cause, reason_words};

/// What the identifiers of app declarations begin with; the adamId follows.
const APP: &str = "vppd.app.";
const STATUS: &str = "vppd.status";
const ACTIVATION: &str = "vppd.activation";

/// Characters of a token: half a SHA-256 tells any two declarations apart.
const TOKEN: usize = 32;

/// Apple's kinds of declarations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Activation,
    Asset,
    Configuration,
    Management,
}

const KINDS: [(Kind, &str, &str); 4] = [
    (Kind::Activation, "activation", "Activations"),
    (Kind::Asset, "asset", "Assets"),
    (Kind::Configuration, "configuration", "Configurations"),
    (Kind::Management, "management", "Management"),
];

/// What a device asks. Apple: key `Endpoint`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    Tokens,
    Items,
    Declaration { kind: Kind, identifier: String },
    Status,
}

impl Question {
    /// Reads an endpoint; `None` for one that Apple does not describe.
    pub fn read(endpoint: &str) -> Option<Question> {
        match endpoint {
            "tokens" => Some(Question::Tokens),
            "declaration-items" => Some(Question::Items),
            "status" => Some(Question::Status),
            _ => {
                let (word, identifier) = endpoint.strip_prefix("declaration/")?.split_once('/')?;
                let (kind, ..) = KINDS.into_iter().find(|(_, known, _)| *known == word)?;
                // Percent signs need no decoding: our identifiers have letters, digits, `.` and `-` only.
                let sound = !identifier.is_empty() && identifier.len() <= 255;
                sound.then(|| Question::Declaration { kind, identifier: identifier.to_owned() })
            }
        }
    }
}

/// The app that a declaration is about.
pub fn app_of(identifier: &str) -> Option<&str> {
    identifier.strip_prefix(APP)
}

/// One declaration.
#[derive(Debug, Clone, PartialEq)]
struct Declaration {
    kind: Kind,
    identifier: String,
    token: String,
    name: &'static str,
    payload: Value,
}

/// All declarations of one device.
#[derive(Debug, Clone, PartialEq)]
pub struct Declarations {
    all: Vec<Declaration>,
    token: String,
}

impl Declarations {
    /// Those of a device with this system, for these apps, in any order. As long as the device has not told what it can,
    /// there are none.
    pub fn new(system: &System, capabilities: Option<&Capabilities>, apps: &[ManagedApp]) -> Declarations {
        let mut all = Vec::new();
        let told = capabilities.map(Capabilities::subscriptions).unwrap_or_default();
        if !told.is_empty() {
            let items: Vec<Value> = told.iter().map(|name| json!({ "Name": name })).collect();
            let payload = json!({ "StatusItems": items });
            all.push(configuration(STATUS.to_owned(), capabilities::SUBSCRIPTIONS, payload, 0));
        }
        if capabilities.is_some_and(Capabilities::manages_apps) {
            all.extend(apps.iter().map(|app| {
                let identifier = format!("{APP}{}", app.adam_id);
                configuration(identifier, capabilities::MANAGED_APP, app.payload(system), app.attempt)
            }));
        }
        all.sort_by(|one, other| one.identifier.cmp(&other.identifier));
        if !all.is_empty() {
            let names: Vec<&str> = all.iter().map(|declaration| declaration.identifier.as_str()).collect();
            let payload = json!({ "StandardConfigurations": names });
            let name = "com.apple.activation.simple";
            all.push(declaration(Kind::Activation, ACTIVATION.to_owned(), name, payload, 0));
        }
        let tokens: String = all.iter().map(|one| format!("{} {}\n", one.identifier, one.token)).collect();
        Declarations { all, token: hash(&tokens) }
    }

    /// Changes whenever one of them does.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// The answer to [`Question::Tokens`].
    pub fn tokens(&self, now: Timestamp) -> Value {
        let timestamp = now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        json!({ "SyncTokens": { "DeclarationsToken": self.token, "Timestamp": timestamp } })
    }

    /// The answer to [`Question::Items`].
    pub fn items(&self) -> Value {
        let of = |kind: Kind| {
            let all = self.all.iter().filter(|declaration| declaration.kind == kind);
            all.map(|one| json!({ "Identifier": one.identifier, "ServerToken": one.token })).collect::<Vec<Value>>()
        };
        let lists = KINDS.into_iter().map(|(kind, _, key)| (key.to_owned(), Value::Array(of(kind)))).collect();
        json!({ "Declarations": Value::Object(lists), "DeclarationsToken": self.token })
    }

    /// The answer to [`Question::Declaration`]; `None` when there is none: then the device drops what it has of it.
    pub fn get(&self, kind: Kind, identifier: &str) -> Option<Value> {
        let found = self.all.iter().find(|one| one.kind == kind && one.identifier == identifier)?;
        Some(json!({
            "Type": found.name,
            "Identifier": found.identifier,
            "ServerToken": found.token,
            "Payload": found.payload,
        }))
    }
}

fn configuration(identifier: String, name: &'static str, payload: Value, attempt: u32) -> Declaration {
    declaration(Kind::Configuration, identifier, name, payload, attempt)
}

/// `attempt` is part of the token only: with another number the device looks at the same declaration again.
fn declaration(kind: Kind, identifier: String, name: &'static str, payload: Value, attempt: u32) -> Declaration {
    let token = hash(&format!("{name} {identifier} {attempt} {payload}"));
    Declaration { kind, identifier, token, name, payload }
}

fn hash(text: &str) -> String {
    let hash = digest(&SHA256, text.as_bytes());
    let hex: String = hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    hex.chars().take(TOKEN).collect()
}

#[cfg(test)]
mod tests;
