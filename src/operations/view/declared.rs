//! What a file may say of groups, deployments and tokens, as the doors show it and take it.

use serde::{Deserialize, Serialize};

/// `GET /v1/declared`
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ExportView {
    /// TOML.
    pub content: String,
}

/// `POST /v1/declared`: makes it so.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ApplyRequest {
    /// What the file is called, for what is told of it.
    pub file: String,
    pub content: String,
    /// Tell only; nothing is kept.
    #[serde(default)]
    pub dry_run: bool,
    /// Licences that never come back (of books) are wanted nevertheless.
    #[serde(default)]
    pub confirm_irrevocable: bool,
    /// The changes that a person has seen; if they are others by now, nothing is changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<Vec<ChangeView>>,
}

/// Answer to `POST /v1/declared`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppliedView {
    pub dry_run: bool,
    /// None: all is so already.
    pub changes: Vec<ChangeView>,
    /// Licences that the changes move, by app and location.
    pub moves: Vec<MoveView>,
}

/// A group, a deployment or a location that is added, changed or removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeView {
    pub how: ChangeKind,
    /// `group`, `deployment` or `token`.
    pub what: String,
    /// Its name, or of a deployment the app and whom it is for.
    pub name: String,
    /// What becomes of what, in words.
    pub details: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChangeKind {
    Added,
    Changed,
    Removed,
}

/// What the plan does otherwise for one app in one location.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MoveView {
    pub adam_id: String,
    /// Empty when it is not known.
    pub name: String,
    /// Empty for who waits.
    pub location: String,
    /// Licences that are given, and would not be without the changes.
    pub gives: u64,
    /// Licences that are taken back, and would not be without the changes.
    pub takes: u64,
    /// Devices and people who wait for a licence, and would not without the changes.
    pub waits: u64,
}
