//! The body of a call, read strictly, and what is asked of every list in one.

use std::collections::HashSet;
use std::hash::Hash;

use serde::de::DeserializeOwned;

use super::endpoint::Call;
use super::errors::Refusal;

impl Call {
    /// The body as JSON of a known shape.
    pub(super) fn read<T: DeserializeOwned>(&self) -> Result<T, Refusal> {
        serde_json::from_slice(&self.body).map_err(|error| Refusal::unreadable(format!("{error}.")))
    }
}

pub(super) fn distinct<T: Eq + Hash>(list: &[T]) -> usize {
    list.iter().collect::<HashSet<_>>().len()
}

/// The entries that come more than once.
pub(super) fn repeated<T: Eq + Hash + Clone>(list: &[T]) -> Vec<T> {
    let mut seen = HashSet::new();
    let mut twice = HashSet::new();
    list.iter().filter(|entry| !seen.insert(*entry) && twice.insert(*entry)).cloned().collect()
}
