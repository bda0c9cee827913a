//! The result of a command: status, the command's own keys, the error chain. And how the apps of a device look in the
//! replies of the two lists.

use plist::{Dictionary, Value};

use super::apps::{App, AppState, Apps, Rejection};
use super::options::Refused;

/// What a device answers to a command.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    pub status: &'static str,
    pub keys: Dictionary,
}

/// Right bits of the MDM payload that commands need.
pub mod right {
    pub const INSPECT_PROFILES: u16 = 1;
    pub const CHANGE_PROFILES: u16 = 2;
    pub const DEVICE_INFORMATION: u16 = 16;
    pub const INSPECT_APPS: u16 = 256;
    pub const SETTINGS: u16 = 2048;
    pub const MANAGE_APPS: u16 = 4096;
}

/// Shorthand for the pairs of a dictionary.
pub fn keys<const N: usize>(pairs: [(&str, Value); N]) -> Dictionary {
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

impl Answer {
    /// Done, with these keys.
    pub fn acknowledged(keys: Dictionary) -> Answer {
        Answer { status: "Acknowledged", keys }
    }

    /// Not in this moment.
    pub fn not_now() -> Answer {
        Answer { status: "NotNow", keys: Dictionary::new() }
    }

    /// The command is malformed.
    pub fn format_error() -> Answer {
        Answer { status: "CommandFormatError", keys: Dictionary::new() }
    }

    /// Failed, with one error in the chain.
    pub fn error(domain: &str, code: i64, description: &str) -> Answer {
        let error = keys([
            ("ErrorCode", code.into()),
            ("ErrorDomain", domain.into()),
            ("LocalizedDescription", description.into()),
            ("USEnglishDescription", description.into()),
        ]);
        Answer { status: "Error", keys: keys([("ErrorChain", Value::Array(vec![error.into()]))]) }
    }

    /// A refused InstallApplication, as a device is told to refuse it.
    pub fn refused(refused: &Refused) -> Answer {
        let link = |(domain, code): &(String, i64)| {
            keys([("ErrorCode", (*code).into()), ("ErrorDomain", domain.as_str().into())]).into()
        };
        let chain = refused.chain.iter().map(link).collect();
        let mut keys = keys([("ErrorChain", Value::Array(chain))]);
        if let Some(reason) = &refused.reason {
            keys.insert("RejectionReason".to_owned(), reason.as_str().into());
        }
        Answer { status: "Error", keys }
    }

    /// An error of the MDM client itself.
    pub fn mdm_error(code: i64, description: &str) -> Answer {
        Answer::error("MCMDMErrorDomain", code, description)
    }

    /// A rejected InstallApplication.
    pub fn rejected(rejection: Rejection) -> Answer {
        let (mut answer, reason) = match rejection {
            Rejection::CouldNotVerifyAppId => {
                (Answer::mdm_error(12023, "The store id could not be validated"), "CouldNotVerifyAppID")
            }
            Rejection::NotAnApp => (Answer::mdm_error(12027, "The product is not an app"), "NotAnApp"),
            Rejection::AppAlreadyQueued => {
                (Answer::error("ASDErrorDomain", 506, "The same request is running"), "AppAlreadyQueued")
            }
            Rejection::Declared => (Answer::mdm_error(12010, "The app is managed by a declaration"), "Other"),
            Rejection::AppAlreadyInstalled => {
                (Answer::mdm_error(12025, "The app is installed already"), "AppAlreadyInstalled")
            }
        };
        answer.keys.insert("RejectionReason".to_owned(), reason.into());
        answer
    }
}

/// The reply's `ManagedApplicationList`.
pub fn managed_list(apps: &[App]) -> Dictionary {
    let entry = |app: &App| {
        let mut entry = keys([
            ("Status", format!("{:?}", app.state.unwrap_or(AppState::Managed)).into()),
            ("ManagementFlags", app.flags.into()),
            ("HasConfiguration", app.configuration.is_some().into()),
            ("HasFeedback", false.into()),
            ("IsValidated", true.into()),
        ]);
        if let Some(version) = app.installed {
            entry.insert("ExternalVersionIdentifier".to_owned(), version.into());
        }
        (app.product.bundle_id.clone(), Value::from(entry))
    };
    apps.iter().map(entry).collect()
}

/// The reply's `InstalledApplicationList`: what is on the device or being loaded.
pub fn installed_list(
    apps: &Apps,
    identifiers: Option<&[String]>,
    managed_only: bool,
    items: Option<&[String]>,
) -> Value {
    let there = |app: &App| app.installed.is_some() || app.state == Some(AppState::Installing);
    let wanted = |app: &App| {
        (!managed_only || app.state.is_some()) && identifiers.is_none_or(|some| some.contains(&app.product.bundle_id))
    };
    let asked = |key: &str| items.is_none_or(|items| items.iter().any(|item| item == key));
    let entries = apps.all().into_iter().filter(|app| there(app) && wanted(app)).map(|app| {
        let mut entry = installed_entry(apps, &app);
        entry.retain(|key, _| asked(key));
        Value::from(entry)
    });
    Value::Array(entries.collect())
}

fn installed_entry(apps: &Apps, app: &App) -> Dictionary {
    let by_licence = app.state.is_some();
    let version = app.installed.unwrap_or(0);
    let mut entry = keys([
        ("Identifier", app.product.bundle_id.as_str().into()),
        ("Name", app.product.name.as_str().into()),
        ("Version", version.to_string().into()),
        ("ShortVersion", version.to_string().into()),
        ("BundleSize", app.product.size_bytes.into()),
        ("DynamicSize", 0.into()),
        ("Installing", app.installed.is_none().into()),
        ("HasUpdateAvailable", apps.has_update(app).into()),
        ("DeviceBasedVPP", by_licence.into()),
        ("AppStoreVendable", (!by_licence).into()),
        ("BetaApp", false.into()),
        ("AdHocCodeSigned", false.into()),
        ("IsValidated", true.into()),
        ("IsAppClip", false.into()),
    ]);
    if let Some(version) = app.installed {
        entry.insert("ExternalVersionIdentifier".to_owned(), version.into());
    }
    entry
}
