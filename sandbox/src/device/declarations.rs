//! Declarations as a device reads them, strictly by Apple's schema (Apple: Declarative Management): the list, the envelope,
//! the kinds that this device knows; and its status report. Data only.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::apps::{App, AppState, Declaration};
use super::options::{Declares, DeviceSpec};

/// The kinds of a list, and how an endpoint names each.
const KINDS: [(&str, &str); 4] = [
    ("Activations", "activation"),
    ("Assets", "asset"),
    ("Configurations", "configuration"),
    ("Management", "management"),
];

/// Where a declaration is fetched: `configuration/IDENTIFIER`.
pub type Place = String;

/// The list of declarations: the token of all, and that of each.
pub fn items(body: &[u8]) -> Result<(String, BTreeMap<Place, String>), String> {
    let reply: Value = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    keys(&reply, "the list", &["Declarations", "DeclarationsToken"], &[])?;
    let mut found = BTreeMap::new();
    for (key, word) in KINDS {
        let list = reply["Declarations"][key].as_array().ok_or(format!("the list has no {key}"))?;
        for one in list {
            keys(one, key, &["Identifier", "ServerToken"], &[])?;
            let (identifier, token) = (text(one, "Identifier")?, text(one, "ServerToken")?);
            if identifier.len() > 64 || token.len() > 64 {
                return Err(format!("{identifier} or its token is too long"));
            }
            found.insert(format!("{word}/{identifier}"), token.to_owned());
        }
    }
    Ok((text(&reply, "DeclarationsToken")?.to_owned(), found))
}

/// The token of a tokens reply.
pub fn token(body: &[u8]) -> Result<String, String> {
    let reply: Value = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let tokens = &reply["SyncTokens"];
    keys(tokens, "SyncTokens", &["DeclarationsToken", "Timestamp"], &[])?;
    let (token, at) = (text(tokens, "DeclarationsToken")?, text(tokens, "Timestamp")?);
    if token.len() > 256 || at.len() != 20 || !at.ends_with('Z') {
        return Err("a token is too long, or a time has fractions or a zone".to_owned());
    }
    Ok(token.to_owned())
}

/// A declaration with the schema of its type checked.
pub fn declaration(body: &[u8], spec: &DeviceSpec) -> Result<Value, String> {
    let reply: Value = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    keys(&reply, "a declaration", &["Type", "Identifier", "ServerToken", "Payload"], &[])?;
    let payload = &reply["Payload"];
    match text(&reply, "Type")? {
        "com.apple.activation.simple" => keys(payload, "the activation", &["StandardConfigurations"], &["Predicate"])?,
        "com.apple.configuration.management.status-subscriptions" => {
            keys(payload, "the subscription", &["StatusItems"], &[])?;
            let names = payload["StatusItems"].as_array().ok_or("StatusItems is no list")?;
            let known = status_items(&spec.declares);
            for name in names {
                let name = text(name, "Name")?;
                if !known.contains(&name) {
                    return Err(format!("the status item {name} is unknown to this device"));
                }
            }
        }
        "com.apple.configuration.app.managed" => managed(payload, spec)?,
        other => return Err(format!("the type {other} is unknown to this device")),
    }
    Ok(reply)
}

fn managed(payload: &Value, spec: &DeviceSpec) -> Result<(), String> {
    if !spec.declares.apps {
        return Err("apps cannot be declared to this device".to_owned());
    }
    let mac = spec.product.contains("Mac");
    let version: u32 = spec.os_version.split('.').next().and_then(|part| part.parse().ok()).unwrap_or(0);
    let mut more = vec!["IncludeInBackup"];
    more.extend(if mac { vec!["iOSApp"] } else { vec!["Attributes"] });
    more.extend((version >= 26).then_some("UpdateBehavior"));
    keys(payload, "the app", &["AppStoreID", "InstallBehavior"], &more)?;
    text(payload, "AppStoreID")?;
    let behaviour = &payload["InstallBehavior"];
    let more: &[&str] = if version >= 26 { &["Version", "AllowDownloadsOverCellular"] } else { &[] };
    keys(behaviour, "InstallBehavior", &["Install", "License"], more)?;
    if !["Required", "Optional"].contains(&text(behaviour, "Install")?) {
        return Err("Install is neither Required nor Optional".to_owned());
    }
    // iOS 17 needs the older name beside the new one, which later systems do not know.
    let old: &[&str] = if version == 17 && !mac { &["VPPType"] } else { &[] };
    let licence = &behaviour["License"];
    keys(licence, "License", &[&["Assignment"], old].concat(), &[])?;
    if !["Device", "User"].contains(&text(licence, "Assignment")?) {
        return Err("Assignment is neither Device nor User".to_owned());
    }
    if behaviour.get("Version").is_some_and(|version| !version.is_u64()) {
        return Err("Version is no number".to_owned());
    }
    if payload["Attributes"].get("Removable").is_some() {
        return Err("Attributes has Removable".to_owned());
    }
    Ok(())
}

/// The app that a declaration is about; `None` for one of another type.
pub fn app(declaration: &Value) -> Option<Declaration> {
    let payload = &declaration["Payload"];
    Some(Declaration {
        adam_id: payload.get("AppStoreID")?.as_str()?.to_owned(),
        identifier: declaration["Identifier"].as_str()?.to_owned(),
        token: declaration["ServerToken"].as_str()?.to_owned(),
        required: payload["InstallBehavior"]["Install"] == "Required",
    })
}

fn keys(value: &Value, place: &str, needed: &[&str], more: &[&str]) -> Result<(), String> {
    let object = value.as_object().ok_or(format!("{place} is no object"))?;
    if let Some(missing) = needed.iter().find(|key| !object.contains_key(**key)) {
        return Err(format!("{place} has no {missing}"));
    }
    match object.keys().find(|key| !needed.contains(&key.as_str()) && !more.contains(&key.as_str())) {
        Some(unknown) => Err(format!("{place} has the unknown key {unknown}")),
        None => Ok(()),
    }
}

fn text<'v>(value: &'v Value, key: &str) -> Result<&'v str, String> {
    value[key].as_str().filter(|text| !text.is_empty()).ok_or(format!("{key} is no text"))
}

/// Status items that a device can tell.
fn status_items(declares: &Declares) -> Vec<&'static str> {
    let mut items = vec!["device.operating-system.version", "device.model.family", "management.declarations"];
    items.extend(declares.apps.then_some("app.managed.list"));
    items.extend(declares.tells.then_some("mdm.app"));
    items
}

/// What a device always tells in its first report.
pub fn first(spec: &DeviceSpec) -> Value {
    let mut configurations = vec!["com.apple.configuration.management.status-subscriptions"];
    configurations.extend(spec.declares.apps.then_some("com.apple.configuration.app.managed"));
    json!({
        "device": { "operating-system": { "version": spec.os_version } },
        "management": {
            "client-capabilities": {
                "supported-versions": ["1.0.0"],
                "supported-features": {},
                "supported-payloads": {
                    "declarations": {
                        "activations": ["com.apple.activation.simple"],
                        "assets": [],
                        "configurations": configurations,
                        "management": [],
                    },
                    "status-items": status_items(&spec.declares),
                },
            },
        },
    })
}

/// One app as its list shows it: of declared ones, or of those that commands have installed. `None`: it is in the other one.
pub fn app_item(app: &App, in_declared: bool, declares: &Declares) -> Option<Value> {
    let state = app.state.filter(|_| app.declared.is_some() == in_declared)?;
    let mut item = Map::new();
    item.insert("identifier".to_owned(), app.product.bundle_id.as_str().into());
    item.insert("name".to_owned(), app.product.name.as_str().into());
    if let Some(build) = app.installed {
        let as_text = in_declared == declares.builds_swapped;
        let build = if as_text { Value::from(build.to_string()) } else { Value::from(build) };
        item.insert("external-version-id".to_owned(), build);
    }
    if let Some((identifier, _)) = &app.declared {
        item.insert("declaration-identifier".to_owned(), identifier.as_str().into());
    }
    let word = if in_declared { declared_word(state) } else { kebab(state) };
    item.insert("state".to_owned(), word.into());
    if let Some(reason) = app.reason.filter(|_| in_declared) {
        let code = if declares.unknown_codes { "Error.MoonPhase" } else { reason };
        item.insert("reasons".to_owned(), json!([{ "code": code, "description": "the device's own words" }]));
    }
    Some(Value::Object(item))
}

fn declared_word(state: AppState) -> String {
    use AppState::*;
    match state {
        Prompting | PromptingForUpdate => "prompting-for-consent".to_owned(),
        ValidatingPurchase => "downloading".to_owned(),
        ValidatingUpdate | Updating | UpdateRejected => "managed".to_owned(),
        UserRejected | ManagementRejected | Failed => "failed".to_owned(),
        other => kebab(other),
    }
}

fn kebab(state: AppState) -> String {
    let mut word = String::new();
    for letter in format!("{state:?}").chars() {
        if letter.is_ascii_uppercase() && !word.is_empty() {
            word.push('-');
        }
        word.push(letter.to_ascii_lowercase());
    }
    word
}
