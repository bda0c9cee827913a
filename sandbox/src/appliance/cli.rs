//! vppd's command line with `--json`, and what of its answers is looked at. Own types: vppd's JSON is read here as anybody
//! else would read it, from its description.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use tokio::process::Command;

/// The command line of one vppd.
#[derive(Debug, Clone)]
pub struct Cli {
    program: PathBuf,
    socket: PathBuf,
}

/// Why a command did not give an answer.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    #[error("`{command}` could not be started: {source}")]
    Start { command: String, source: std::io::Error },
    #[error("`{command}` failed: {message}")]
    Failed { command: String, message: String },
    #[error("the answer of `{command}` is not as described: {reason}")]
    Answer { command: String, reason: String },
}

impl Cli {
    pub(super) fn new(program: PathBuf, socket: PathBuf) -> Cli {
        Cli { program, socket }
    }

    /// What a person would type for this command.
    pub fn line(&self, arguments: &str) -> String {
        format!("{} --socket {} {arguments}", self.program.display(), self.socket.display())
    }

    /// Runs a command and reads its JSON.
    pub async fn ask<T: DeserializeOwned>(&self, arguments: &[&str]) -> Result<T, CliError> {
        let arguments: Vec<OsString> = arguments.iter().map(Into::into).collect();
        self.ask_os(&arguments).await
    }

    async fn ask_os<T: DeserializeOwned>(&self, arguments: &[OsString]) -> Result<T, CliError> {
        let words: Vec<_> = arguments.iter().map(|word| word.to_string_lossy()).collect();
        let command = format!("vppd {}", words.join(" "));
        let mut process = Command::new(&self.program);
        process.arg("--socket").arg(&self.socket).arg("--json").args(arguments).stdin(Stdio::null());
        // In its own group: Ctrl-C is for whoever waits for the answer.
        process.process_group(0).kill_on_drop(true);
        let output = process.output().await;
        let output = output.map_err(|source| CliError::Start { command: command.clone(), source })?;
        if !output.status.success() {
            let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Err(CliError::Failed { command, message });
        }
        serde_json::from_slice(&output.stdout).map_err(|error| CliError::Answer { command, reason: error.to_string() })
    }

    /// `token add`: the file is one that the sandbox wrote.
    pub async fn add_token(&self, file: &Path, name: &str) -> Result<(), CliError> {
        let arguments = [OsStr::new("token"), "add".as_ref(), file.as_ref(), "--name".as_ref(), name.as_ref()];
        let IgnoredAny = self.ask_os(&arguments.map(OsStr::to_owned)).await?;
        Ok(())
    }

    /// `enrol profile`: writes the profile to `file`.
    pub async fn make_profile(&self, file: &Path, count: u64) -> Result<(), CliError> {
        let count = count.to_string();
        let words = ["enrol", "profile", "--force", "--count", &count, "--output"];
        let arguments: Vec<OsString> = words.into_iter().map(Into::into).chain([file.into()]).collect();
        let IgnoredAny = self.ask_os(&arguments).await?;
        Ok(())
    }

    /// `deploy add`: required, for all devices.
    pub async fn require(&self, adam_id: &str) -> Result<Deployment, CliError> {
        self.ask(&["deploy", "add", "--app", adam_id, "--to", "all-devices", "--purpose", "required"]).await
    }

    /// `app show`.
    pub async fn app(&self, adam_id: &str) -> Result<AppDetail, CliError> {
        self.ask(&["app", "show", adam_id]).await
    }
}

/// `token list`.
#[derive(Debug, Clone, Deserialize)]
pub struct TokenRow {
    pub name: String,
    pub state: String,
    pub assets: u64,
    pub licences_owned: u64,
    pub licences_assigned: u64,
}

/// `task list`.
#[derive(Debug, Clone, Deserialize)]
pub struct TaskRow {
    pub id: i64,
    pub subject: String,
    pub state: String,
    pub done: u64,
    pub total: u64,
    pub detail: String,
    pub error: Option<TaskError>,
}

/// Why a task failed.
#[derive(Debug, Clone, Deserialize)]
pub struct TaskError {
    pub message: String,
}

/// `app list`.
#[derive(Debug, Clone, Deserialize)]
pub struct AppRow {
    pub adam_id: String,
    pub owned: u64,
    pub assigned: u64,
    pub wanted: u64,
    pub installed: u64,
    pub waiting: u64,
    pub failed: u64,
}

/// `app show`.
#[derive(Debug, Clone, Deserialize)]
pub struct AppDetail {
    pub apps: Vec<AppRow>,
    pub pairs: Vec<PairRow>,
}

/// One app on one device.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct PairRow {
    pub adam_id: String,
    pub serial: String,
    pub stage: Stage,
    pub why: String,
    pub licence: Licence,
}

/// `device list`.
#[derive(Debug, Clone, Deserialize)]
pub struct DeviceRow {
    pub serial: String,
    pub udid: String,
    pub state: String,
    pub queue: u64,
}

/// `deploy list`.
#[derive(Debug, Clone, Deserialize)]
pub struct Deployment {
    pub id: i64,
    pub adam_id: String,
    pub to: String,
    pub purpose: String,
}

/// `plan`: what would be done now.
#[derive(Debug, Clone, Deserialize)]
pub struct PlanRow {
    pub licences: Vec<IgnoredAny>,
    pub commands: Vec<IgnoredAny>,
    /// Pairs for which something is under way.
    pub in_flight: u64,
}

/// Where the licence of a pair stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Licence {
    None,
    Requested,
    Assigned,
    Returning,
}

/// Where a pair stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    Blocked,
    WaitingForLicence,
    LicenceRequested,
    InstallQueued,
    Installing,
    WaitingForPerson,
    Installed,
    LicenceHeld,
    Rejected,
    Failed,
    Removing,
    LicenceReturning,
    Removed,
}
