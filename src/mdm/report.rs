//! What a device says on the command channel: "I am awake", or the result of one command.
//!
//! [`Report`] is the envelope; the results of single commands are read from its body by the methods in `apps` and
//! `device`, asked for by whoever knows which command the report answers (the report itself does not say it).
//! What a failure means is for `outcome`, which command is next for `queue`.

mod apps;
mod device;

use plist::{Dictionary, Value};
use serde::{Deserialize, Serialize};

pub use self::apps::{AppStatus, InstallResult, InstalledApp, ManagedApp, RejectionReason};
pub use self::device::DeviceFacts;
use super::checkin::{Enrollment, MessageError};
use super::plist_guard;
use super::wire::{BadKey, apple_words, identifier, required_text, text};

/// Links of an error chain beyond this many are dropped.
const MAX_CHAIN: usize = 32;

apple_words! {
    /// Apple: key `Status` of a report.
    Status {
        /// Awake; begins a cycle.
        Idle,
        /// Done, or for installations only accepted.
        Acknowledged,
        /// Failed, see the error chain.
        Error,
        /// The command was wrong: our bug.
        CommandFormatError,
        /// Not in this moment; the server keeps the command.
        NotNow,
    } else Unknown
}

impl Status {
    /// Whether the command is over and leaves the queue.
    pub fn is_final(&self) -> bool {
        matches!(self, Status::Acknowledged | Status::Error | Status::CommandFormatError)
    }
}

/// One error of a chain; the outermost comes first. Apple: key `ErrorChain`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorLink {
    pub domain: String,
    pub code: i64,
    /// In the language of the device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub localized: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub us_english: Option<String>,
}

/// One request on the command channel. Debug does not show the body.
#[derive(Clone, PartialEq)]
pub struct Report {
    pub enrollment: Enrollment,
    pub status: Status,
    /// None with `Idle`. Opaque.
    pub command_uuid: Option<String>,
    pub error_chain: Vec<ErrorLink>,
    /// The whole message, for the readers of single results.
    pub body: Dictionary,
}

impl std::fmt::Debug for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Report")
            .field("enrollment", &self.enrollment)
            .field("status", &self.status)
            .field("command_uuid", &self.command_uuid)
            .field("error_chain", &self.error_chain)
            .finish_non_exhaustive()
    }
}

impl Report {
    /// Decodes a body of the command channel of at most `max_len` bytes.
    pub fn read(body: &[u8], max_len: usize) -> Result<Report, MessageError> {
        let body = plist_guard::read_dictionary(body, max_len)?;
        Ok(Report::decode(body)?)
    }

    fn decode(body: Dictionary) -> Result<Report, BadKey> {
        let enrollment = Enrollment::read(&body)?;
        let status = Status::from(required_text(&body, "Status")?);
        let command_uuid = match (&status, identifier(&body, "CommandUUID")?) {
            (Status::Idle, _) => None,
            (Status::Unknown(_), uuid) => uuid,
            (_, Some(uuid)) => Some(uuid),
            (_, None) => return Err(BadKey::Missing("CommandUUID")),
        };
        let error_chain = error_chain(&body);
        Ok(Report { enrollment, status, command_uuid, error_chain, body })
    }
}

/// A link without domain and code says nothing and is left out; a broken chain must not hide that a command failed.
fn error_chain(body: &Dictionary) -> Vec<ErrorLink> {
    let links = body.get("ErrorChain").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    links.iter().take(MAX_CHAIN).filter_map(Value::as_dictionary).filter_map(error_link).collect()
}

fn error_link(link: &Dictionary) -> Option<ErrorLink> {
    let domain = text(link, "ErrorDomain");
    let code = link.get("ErrorCode").and_then(Value::as_signed_integer);
    if domain.is_none() && code.is_none() {
        return None;
    }
    Some(ErrorLink {
        domain: domain.unwrap_or_default(),
        code: code.unwrap_or_default(),
        localized: text(link, "LocalizedDescription"),
        us_english: text(link, "USEnglishDescription"),
    })
}

#[cfg(test)]
mod tests;
