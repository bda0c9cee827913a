//! What can go wrong with the database, in words: what happened, and what vppd and a person do about it.

use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;

/// The database could not do what was asked; nothing of it was kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    #[error("the database {0} cannot be opened: {1}")]
    Open(PathBuf, String),
    #[error(
        "the database {0} is of a newer vppd (schema {1}, this program knows {2}): install that version, or restore a backup made by this one"
    )]
    Newer(PathBuf, i64, i64),
    #[error(
        "the database cannot be brought to this version's schema: {0}. Nothing was changed; the older version of vppd still works with it"
    )]
    Migration(String),
    #[error("the disk is full: nothing was saved; make room on the file system of the state directory")]
    Full,
    #[error(
        "the database may not be written: nothing was saved. Its file system is mounted read-only, or its files belong to another user"
    )]
    ReadOnly,
    #[error(
        "the files of the database may not be used: nothing was saved. They must belong to the user that vppd runs as"
    )]
    Denied,
    #[error("the disk of the database fails or is full ({0}): nothing was saved")]
    Failing(String),
    #[error(
        "the database is damaged ({0}): vppd does not work with it, so that nothing wrong is told to Apple or to devices. Look at it with: vppd doctor store; then restore the last backup with: vppd restore FILE --force"
    )]
    Corrupt(String),
    #[error("the database: {0}")]
    Sqlite(String),
    #[error("the database rolled back everything that was being saved together: {0}")]
    RolledBack(String),
    #[error("the database holds a value that vppd never writes there: {0}")]
    Damaged(String),
    #[error("the database is closed: vppd is stopping")]
    Closed,
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> StoreError {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => StoreError::Full,
            Some(ErrorCode::ReadOnly) => StoreError::ReadOnly,
            Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied) => StoreError::Denied,
            Some(ErrorCode::SystemIoFailure) => StoreError::Failing(error.to_string()),
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => StoreError::Corrupt(error.to_string()),
            _ => StoreError::Sqlite(error.to_string()),
        }
    }
}

impl StoreError {
    /// The error of opening `path`, with the cause that the file system gives.
    pub(super) fn opening(path: &Path, error: rusqlite::Error) -> StoreError {
        let found = std::fs::OpenOptions::new().write(true).create(true).truncate(false).open(path);
        match (StoreError::from(error), found) {
            (corrupt @ StoreError::Corrupt(_), _) => corrupt,
            (StoreError::Denied | StoreError::ReadOnly, Err(cause)) => StoreError::Open(path.into(), cause.to_string()),
            (other, _) => StoreError::Open(path.into(), other.to_string()),
        }
    }

    /// Starting again does not help: a person has to act first.
    pub fn needs_a_person(&self) -> bool {
        matches!(self, StoreError::Newer(..) | StoreError::Corrupt(_) | StoreError::Damaged(_))
    }
}
