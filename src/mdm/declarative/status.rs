//! Apple: Status Report. What a device tells about its declarations and apps: all of it, or what has changed. Read as
//! tolerantly as can be: an item that is not as Apple describes it is left out, and the others count.

use serde_json::Value;

use super::Capabilities;
use crate::mdm::report::AppStatus;
use crate::model::Cause;

/// Items of one list that are looked at.
const MOST_ITEMS: usize = 10_000;
/// Longest text of a device that is kept.
const MOST_TEXT: usize = 300;

/// A report as far as it matters here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StatusReport {
    /// It replaces what was reported before; else it tells what has changed.
    pub full: bool,
    pub capabilities: Option<Capabilities>,
    pub os_version: Option<String>,
    /// Apps that were declared; `None`: not a word of them.
    pub declared: Option<Vec<AppItem<AppState>>>,
    /// Apps that commands have installed; `None`: not a word of them.
    pub commanded: Option<Vec<AppItem<AppStatus>>>,
    /// Configurations (identifiers) that the device calls invalid, with its reasons.
    pub invalid: Vec<(String, Vec<Reason>)>,
    /// Status items of which the device could not tell, with its reasons.
    pub errors: Vec<(String, Vec<Reason>)>,
}

/// One app of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppItem<S> {
    /// Bundle id.
    pub identifier: String,
    /// It is in the list no more.
    pub removed: bool,
    /// Identifier of the declaration that manages it.
    pub declaration: Option<String>,
    pub state: Option<S>,
    /// The App Store's number for this build: a number in one list, text in the other.
    pub build: Option<u64>,
    pub reasons: Vec<Reason>,
}

/// Why something is as it is, in Apple's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    pub code: String,
    pub description: String,
}

/// Where a declared app stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AppState {
    /// Offered, and not asked for.
    Optional,
    /// The device goes on by itself.
    Working(&'static str),
    /// Somebody is asked on the device.
    Prompting(&'static str),
    Managed,
    /// The person deleted it.
    Uninstalled,
    /// See the reasons.
    Failed,
}

impl AppState {
    const ALL: [(&'static str, AppState); 11] = [
        ("optional", AppState::Optional),
        ("not-present", AppState::Working("not-present")),
        ("queued", AppState::Working("queued")),
        ("downloading", AppState::Working("downloading")),
        ("installing", AppState::Working("installing")),
        ("prompting-for-consent", AppState::Prompting("prompting-for-consent")),
        ("prompting-for-login", AppState::Prompting("prompting-for-login")),
        ("prompting-for-management", AppState::Prompting("prompting-for-management")),
        ("managed", AppState::Managed),
        ("managed-but-uninstalled", AppState::Uninstalled),
        ("failed", AppState::Failed),
    ];

    /// Apple's own word.
    pub fn word(self) -> &'static str {
        Self::ALL.iter().find(|(_, state)| *state == self).map_or("failed", |(word, _)| word)
    }
}

/// Codes with what they mean, and what a person can do.
const CODES: [(&str, Cause, &str); 14] = [
    ("Error.LicenseNotFound", Cause::LicenceNotSeen, "Apple's store does not see the licence for this device yet"),
    ("Error.DownloadFailed", Cause::DownloadFailed, "the download failed"),
    ("Error.InstallFailed", Cause::DeviceTrouble, "the installation failed"),
    ("Error.UpdateFailed", Cause::DeviceTrouble, "the update failed"),
    ("Error.UserRejected", Cause::Declined, "the person with the device declined"),
    (
        "Error.UnmanagedAppAlreadyInstalled",
        Cause::OwnCopy,
        "the person has installed the app, and the device may not take it over: they have to delete it first",
    ),
    ("Error.DuplicateConfiguredApp", Cause::VppdFault, "another declaration on this device is about the same app"),
    ("Error.AppStoreDisabled", Cause::InstallingForbidden, "the App Store is disabled on this device"),
    ("Error.InvalidAppID", Cause::NotInStore, "the App Store of this device does not know the app"),
    ("Error.NotAnApp", Cause::WrongKind, "the number is not that of an app"),
    ("Error.NotSupported", Cause::NotSupported, "the app does not run on this device or its system"),
    ("Error.InvalidCodeSignature", Cause::DeviceTrouble, "the app is not signed as it should be"),
    ("Error.IsSystemApp", Cause::SystemApp, "the app is part of the system"),
    ("Info.UpdateAvailable", Cause::InProgress, "an update is there"),
];

/// The cause that reasons name: the first that is known.
pub fn cause(reasons: &[Reason]) -> Cause {
    let known = |reason: &Reason| CODES.iter().find(|(code, ..)| *code == reason.code).map(|(_, cause, _)| *cause);
    reasons.iter().find_map(known).unwrap_or(Cause::Unknown)
}

/// The reasons in words, the device's own ones with them.
pub fn reason_words(reasons: &[Reason]) -> String {
    let words = |reason: &Reason| {
        let Reason { code, description } = reason;
        match (CODES.iter().find(|(known, ..)| known == code), description.is_empty()) {
            (Some((_, _, words)), _) => format!("{words} ({code})"),
            (None, true) => format!("the device says {code}, which vppd does not know"),
            (None, false) => format!("the device says {code}, which vppd does not know: {description}"),
        }
    };
    let all: Vec<String> = reasons.iter().map(words).collect();
    if all.is_empty() { "the device says failed, without a reason".to_owned() } else { all.join("; ") }
}

/// A report that is no JSON object.
#[derive(Debug, thiserror::Error)]
#[error("its status report is no JSON object{0}")]
pub struct Unreadable(String);

impl StatusReport {
    /// Reads the bytes of a report.
    pub fn read(data: &[u8]) -> Result<StatusReport, Unreadable> {
        let report: Value = serde_json::from_slice(data)
            .map_err(|error| Unreadable(format!(" (line {}, column {})", error.line(), error.column())))?;
        if !report.is_object() {
            return Err(Unreadable(String::new()));
        }
        let items = &report["StatusItems"];
        let capabilities = items.pointer("/management/client-capabilities");
        Ok(StatusReport {
            full: report["FullReport"].as_bool().unwrap_or(false),
            capabilities: capabilities.filter(|item| item.is_object()).map(Capabilities::read),
            os_version: items.pointer("/device/operating-system/version").and_then(Value::as_str).map(kept),
            declared: apps(items.pointer("/app/managed/list"), |word| {
                AppState::ALL.iter().find(|(known, _)| *known == word).map(|(_, state)| *state)
            }),
            commanded: apps(items.pointer("/mdm/app"), |word| Some(AppStatus::from(joined(word)))),
            invalid: invalid(items.pointer("/management/declarations/configurations")),
            errors: list(Some(&report["Errors"]))
                .filter_map(|error| Some((kept(error["StatusItem"].as_str()?), reasons(&error["Reasons"], true))))
                .collect(),
        })
    }
}

fn list(value: Option<&Value>) -> impl Iterator<Item = &Value> {
    value.and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default().iter().take(MOST_ITEMS)
}

fn kept(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(MOST_TEXT).collect()
}

fn apps<S>(items: Option<&Value>, state: impl Fn(&str) -> Option<S>) -> Option<Vec<AppItem<S>>> {
    let items = items.filter(|items| items.is_array());
    items?;
    let read = |item: &Value| {
        let build = &item["external-version-id"];
        Some(AppItem {
            identifier: item["identifier"].as_str().filter(|id| !id.is_empty() && id.len() <= 255).map(kept)?,
            removed: item["_removed"].as_bool().unwrap_or(false),
            declaration: item["declaration-identifier"].as_str().map(kept),
            state: item["state"].as_str().and_then(&state),
            build: build.as_u64().or_else(|| build.as_str()?.parse().ok()),
            reasons: reasons(&item["reasons"], false),
        })
    };
    Some(list(items).filter_map(read).collect())
}

/// Reasons of a declaration and an app have small keys, those of an error capital ones.
fn reasons(value: &Value, capital: bool) -> Vec<Reason> {
    let (code, description) = if capital { ("Code", "Description") } else { ("code", "description") };
    list(Some(value))
        .take(20)
        .filter_map(|reason| {
            let description = reason[description].as_str().map(kept).unwrap_or_default();
            Some(Reason { code: kept(reason[code].as_str()?), description })
        })
        .collect()
}

fn invalid(configurations: Option<&Value>) -> Vec<(String, Vec<Reason>)> {
    list(configurations)
        .filter(|one| one["valid"] == "invalid")
        .filter_map(|one| Some((kept(one["identifier"].as_str()?), reasons(&one["reasons"], false))))
        .collect()
}

/// `managed-but-uninstalled` as the list of managed apps writes it: `ManagedButUninstalled`.
fn joined(word: &str) -> String {
    let part = |part: &str| {
        let mut letters = part.chars();
        letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect::<String>()
    };
    kept(word).split('-').map(part).collect()
}
