//! Errors as a person is told them: what happened, why, what vppd does now, what can be done. The doors add a status.

use super::view::ErrorView;
use crate::apple::{AppleError, ContentTokenError};
use crate::mdm::identity::authority::AuthorityError;
use crate::mdm::identity::cms::CmsError;
use crate::secret::SecretError;
use crate::store::StoreError;

/// What kind of failure it is: decides the HTTP status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// What was asked for cannot be.
    Invalid,
    NotFound,
    /// It stands against what is there.
    Conflict,
    /// Somebody else is in the way: Apple, a missing certificate.
    Unavailable,
    /// A fault of vppd or of its disk.
    Internal,
}

/// The code of errors with the master key or what it sealed.
pub(super) const SECRET: &str = "secret";

/// An operation that was refused or failed. Nothing of it was kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct OperationError {
    pub kind: Kind,
    /// For programs.
    pub code: &'static str,
    /// What happened to which thing, and why.
    pub message: String,
    /// What the person can do; may be empty.
    pub advice: String,
}

impl OperationError {
    /// An error of any kind.
    pub fn new(kind: Kind, code: &'static str, message: impl Into<String>, advice: impl Into<String>) -> Self {
        OperationError { kind, code, message: message.into(), advice: advice.into() }
    }

    /// What was asked for cannot be.
    pub fn invalid(code: &'static str, message: impl Into<String>, advice: impl Into<String>) -> Self {
        OperationError::new(Kind::Invalid, code, message, advice)
    }

    /// There is no such thing.
    pub fn not_found(message: impl Into<String>, advice: impl Into<String>) -> Self {
        OperationError::new(Kind::NotFound, "not-found", message, advice)
    }

    /// A fault of vppd or of its disk.
    pub fn internal(message: impl Into<String>) -> Self {
        OperationError::new(Kind::Internal, "internal", message, "Nothing was changed; the journal says more.")
    }

    /// As the doors show it.
    pub fn view(&self) -> ErrorView {
        ErrorView { code: self.code.into(), message: self.message.clone(), advice: self.advice.clone() }
    }
}

impl From<StoreError> for OperationError {
    fn from(error: StoreError) -> OperationError {
        let advice = match error {
            StoreError::Full | StoreError::Failing(_) => {
                "Make room on the file system of the state directory, or replace the disk; vppd goes on by itself."
            }
            StoreError::ReadOnly | StoreError::Denied => {
                "Mount the file system for writing, or give the files back (chown -R vppd: /var/lib/vppd); vppd goes on by itself."
            }
            _ => "Nothing was changed; the journal says more.",
        };
        OperationError::new(Kind::Internal, "store", error.to_string(), advice)
    }
}

impl From<SecretError> for OperationError {
    fn from(error: SecretError) -> OperationError {
        let advice =
            "Give vppd the master key again: the credential vppd.master-key, or master.key in the state directory.";
        OperationError::new(Kind::Internal, SECRET, error.to_string(), advice)
    }
}

impl From<CmsError> for OperationError {
    fn from(error: CmsError) -> OperationError {
        OperationError::internal(error.to_string())
    }
}

impl From<AuthorityError> for OperationError {
    fn from(error: AuthorityError) -> OperationError {
        OperationError::internal(error.to_string())
    }
}

impl From<ContentTokenError> for OperationError {
    fn from(error: ContentTokenError) -> OperationError {
        OperationError::invalid("content-token", error.to_string(), "Nothing was saved.")
    }
}

impl From<AppleError> for OperationError {
    fn from(error: AppleError) -> OperationError {
        let code = match error {
            AppleError::TokenProblem { .. } => "apple-token",
            AppleError::RetryLater { .. } | AppleError::UnknownOutcome { .. } => "apple-unavailable",
            _ => "apple",
        };
        OperationError::new(Kind::Unavailable, code, error.to_string(), "")
    }
}
