//! The commands a device knows, read strictly by Apple's schema (device-management, commands): an unknown or ill-typed key
//! is a format error, an unknown command an unknown command. Executes nothing.

use std::io::Cursor;

use plist::{Dictionary, Value};

use super::apps::{AppName, Install};
use super::strict::{self, Kind, Mismatch, Rule, optional, required};

/// What a server sent in reply to a status.
#[derive(Debug, Clone, PartialEq)]
pub struct Received {
    pub uuid: String,
    pub request_type: String,
    pub command: Result<Command, Refusal>,
}

/// A command with its keys.
#[derive(Debug, Clone, PartialEq)]
pub enum Command {
    InstallApplication(Install),
    RemoveApplication { identifier: String },
    InstalledApplicationList { identifiers: Option<Vec<String>>, managed_only: bool, items: Option<Vec<String>> },
    ManagedApplicationList { identifiers: Option<Vec<String>> },
    DeviceInformation { queries: Vec<String> },
    DeclarativeManagement,
    InstallProfile { payload: Vec<u8> },
    ProfileList,
    Settings { items: Vec<String> },
}

/// Why a device does not execute a command.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("the command {0} is unknown")]
    UnknownType(String),
    #[error("in {place}: {problem}")]
    Schema { place: &'static str, problem: Mismatch },
    #[error("{0}")]
    Value(&'static str),
}

/// A reply so broken that there is not even a CommandUUID to answer to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the reply is not a property list with a CommandUUID")]
pub struct Unreadable;

const ENVELOPE: &[Rule] = &[
    required("CommandUUID", Kind::String),
    required("Command", Kind::Dictionary),
    optional("RequestRequiresNetworkTether", Kind::Boolean),
];
const COMMAND: &[Rule] = &[required("RequestType", Kind::String)];
const INSTALL_APPLICATION: &[Rule] = &[
    optional("iTunesStoreID", Kind::Integer),
    optional("Identifier", Kind::String),
    optional("ManifestURL", Kind::String),
    optional("Options", Kind::Dictionary),
    optional("ManagementFlags", Kind::Integer),
    optional("Configuration", Kind::Dictionary),
    optional("Attributes", Kind::Dictionary),
    optional("ChangeManagementState", Kind::String),
    optional("InstallAsManaged", Kind::Boolean),
    optional("iOSApp", Kind::Boolean),
];
const INSTALL_OPTIONS: &[Rule] = &[optional("PurchaseMethod", Kind::Integer), optional("NotManaged", Kind::Boolean)];
const INSTALL_ATTRIBUTES: &[Rule] = &[
    optional("VPNUUID", Kind::String),
    optional("ContentFilterUUID", Kind::String),
    optional("DNSProxyUUID", Kind::String),
    optional("RelayUUID", Kind::String),
    optional("AssociatedDomains", Kind::StringArray),
    optional("AssociatedDomainsEnableDirectDownloads", Kind::Boolean),
    optional("Removable", Kind::Boolean),
    optional("TapToPayScreenLock", Kind::Boolean),
    optional("CellularSliceUUID", Kind::String),
    optional("Hideable", Kind::Boolean),
    optional("Lockable", Kind::Boolean),
];
const REMOVE_APPLICATION: &[Rule] = &[required("Identifier", Kind::String)];
const INSTALLED_LIST: &[Rule] = &[
    optional("Identifiers", Kind::StringArray),
    optional("ManagedAppsOnly", Kind::Boolean),
    optional("Items", Kind::StringArray),
];
const MANAGED_LIST: &[Rule] = &[optional("Identifiers", Kind::StringArray)];
const DEVICE_INFORMATION: &[Rule] =
    &[required("Queries", Kind::StringArray), optional("DeviceAttestationNonce", Kind::Data)];
const DECLARATIVE_MANAGEMENT: &[Rule] = &[optional("Data", Kind::Data)];
const INSTALL_PROFILE: &[Rule] = &[required("Payload", Kind::Data)];
const PROFILE_LIST: &[Rule] = &[optional("ManagedOnly", Kind::Boolean)];
const SETTINGS: &[Rule] = &[required("Settings", Kind::Array)];

impl Received {
    /// Reads the body of a reply.
    pub fn read(body: &[u8]) -> Result<Received, Unreadable> {
        let value = Value::from_reader(Cursor::new(body)).map_err(|_| Unreadable)?;
        let envelope = value.into_dictionary().ok_or(Unreadable)?;
        let uuid = envelope.get("CommandUUID").and_then(Value::as_string).ok_or(Unreadable)?.to_owned();
        let command = envelope.get("Command").and_then(Value::as_dictionary);
        let request_type = command.and_then(|command| command.get("RequestType")).and_then(Value::as_string);
        let request_type = request_type.unwrap_or_default().to_owned();
        let command = check("the reply", &envelope, &[ENVELOPE])
            .and_then(|()| read_command(&request_type, command.unwrap_or(&Dictionary::new())));
        Ok(Received { uuid, request_type, command })
    }
}

fn check(place: &'static str, dictionary: &Dictionary, schemas: &[&[Rule]]) -> Result<(), Refusal> {
    strict::check(dictionary, schemas).map_err(|problem| Refusal::Schema { place, problem })
}

fn read_command(request_type: &str, command: &Dictionary) -> Result<Command, Refusal> {
    let check = |place, schema| check(place, command, &[COMMAND, schema]);
    let text = |key: &str| command.get(key).and_then(Value::as_string).unwrap_or_default().to_owned();
    let flag = |key: &str| command.get(key).and_then(Value::as_boolean).unwrap_or(false);
    match request_type {
        "InstallApplication" => {
            check("InstallApplication", INSTALL_APPLICATION)?;
            Ok(Command::InstallApplication(install(command)?))
        }
        "RemoveApplication" => {
            check("RemoveApplication", REMOVE_APPLICATION)?;
            Ok(Command::RemoveApplication { identifier: text("Identifier") })
        }
        "InstalledApplicationList" => {
            check("InstalledApplicationList", INSTALLED_LIST)?;
            let (identifiers, items) = (texts(command, "Identifiers"), texts(command, "Items"));
            Ok(Command::InstalledApplicationList { identifiers, managed_only: flag("ManagedAppsOnly"), items })
        }
        "ManagedApplicationList" => {
            check("ManagedApplicationList", MANAGED_LIST)?;
            Ok(Command::ManagedApplicationList { identifiers: texts(command, "Identifiers") })
        }
        "DeviceInformation" => {
            check("DeviceInformation", DEVICE_INFORMATION)?;
            Ok(Command::DeviceInformation { queries: texts(command, "Queries").unwrap_or_default() })
        }
        "DeclarativeManagement" => {
            check("DeclarativeManagement", DECLARATIVE_MANAGEMENT)?;
            Ok(Command::DeclarativeManagement)
        }
        "InstallProfile" => {
            check("InstallProfile", INSTALL_PROFILE)?;
            let payload = command.get("Payload").and_then(Value::as_data).unwrap_or_default().to_vec();
            Ok(Command::InstallProfile { payload })
        }
        "ProfileList" => {
            check("ProfileList", PROFILE_LIST)?;
            Ok(Command::ProfileList)
        }
        "Settings" => {
            check("Settings", SETTINGS)?;
            Ok(Command::Settings { items: settings(command)? })
        }
        "" => Err(Refusal::Value("the command has no RequestType")),
        other => Err(Refusal::UnknownType(other.to_owned())),
    }
}

fn install(command: &Dictionary) -> Result<Install, Refusal> {
    let empty = Dictionary::new();
    let inner = |key: &str| command.get(key).and_then(Value::as_dictionary).unwrap_or(&empty);
    let integer = |dictionary: &Dictionary, key: &str| dictionary.get(key).and_then(Value::as_signed_integer);
    check("Options", inner("Options"), &[INSTALL_OPTIONS])?;
    check("Attributes", inner("Attributes"), &[INSTALL_ATTRIBUTES])?;
    let bundle = command.get("Identifier").and_then(Value::as_string);
    let app = match (command.get("iTunesStoreID"), bundle, command.contains_key("ManifestURL")) {
        (Some(adam), None, false) => AppName::Adam(adam.as_signed_integer().unwrap_or(-1)),
        (None, Some(bundle), false) => AppName::Bundle(bundle.to_owned()),
        (None, None, true) => {
            return Err(Refusal::Value("ManifestURL is for in-house apps, which this device has not"));
        }
        _ => return Err(Refusal::Value("not exactly one of iTunesStoreID, Identifier and ManifestURL")),
    };
    let by_licence = match integer(inner("Options"), "PurchaseMethod") {
        Some(1) => true,
        None | Some(0) => false,
        Some(_) => return Err(Refusal::Value("PurchaseMethod is neither 0 nor 1")),
    };
    let flags = integer(command, "ManagementFlags").unwrap_or(0);
    if ![0, 1, 4, 5].contains(&flags) {
        return Err(Refusal::Value("ManagementFlags is not 0, 1, 4 or 5"));
    }
    let take_over = match command.get("ChangeManagementState").and_then(Value::as_string) {
        None => false,
        Some("Managed") => true,
        Some(_) => return Err(Refusal::Value("ChangeManagementState is not Managed")),
    };
    let as_xml = |key: &str| command.get(key).map(xml);
    let (configuration, attributes) = (as_xml("Configuration"), as_xml("Attributes"));
    Ok(Install { app, by_licence, take_over, flags, configuration, attributes })
}

/// A value as a text that can be compared.
fn xml(value: &Value) -> String {
    let mut text = Vec::new();
    match value.to_writer_xml(&mut text) {
        Ok(()) => String::from_utf8_lossy(&text).into_owned(),
        Err(error) => error.to_string(),
    }
}

/// The names of the settings' items.
fn settings(command: &Dictionary) -> Result<Vec<String>, Refusal> {
    let all = command.get("Settings").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let item = |one: &Value| one.as_dictionary()?.get("Item")?.as_string().map(str::to_owned);
    all.iter().map(|one| item(one).ok_or(Refusal::Value("an element of Settings has no Item"))).collect()
}

fn texts(command: &Dictionary, key: &str) -> Option<Vec<String>> {
    let all = command.get(key)?.as_array()?;
    Some(all.iter().filter_map(|one| one.as_string().map(str::to_owned)).collect())
}

#[cfg(test)]
mod tests;
