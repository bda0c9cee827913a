//! The query of a call, read strictly: every parameter has to be known and may come once.

use std::collections::HashSet;

use hyper::Uri;

use super::errors::{AppleError, Refusal};
use super::switches::FilterBad;

pub(super) struct Query(Vec<(String, String)>);

/// A filter as it is to be applied.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Filter<T> {
    /// Not given, or given badly and to be ignored.
    Any,
    Only(T),
    /// Given badly: nothing matches.
    Nothing,
}

impl<T> Filter<T> {
    pub(super) fn admits(&self, matches: impl FnOnce(&T) -> bool) -> bool {
        match self {
            Filter::Any => true,
            Filter::Only(wanted) => matches(wanted),
            Filter::Nothing => false,
        }
    }
}

impl Query {
    /// Reads a query that may have the parameters `known` and no other.
    pub(super) fn parse(text: &str, known: &[&str]) -> Result<Query, Refusal> {
        Query::parse_repeating(text, known, &[])
    }

    /// The same, but the parameters `repeatable` may come more than once.
    pub(super) fn parse_repeating(text: &str, known: &[&str], repeatable: &[&str]) -> Result<Query, Refusal> {
        let pairs: Vec<(String, String)> = Uri::try_from(format!("/?{text}"))
            .ok()
            .and_then(|uri| axum::extract::Query::try_from_uri(&uri).ok())
            .map(|axum::extract::Query(pairs)| pairs)
            .ok_or_else(|| Refusal::unreadable("The query cannot be read."))?;
        let mut seen = HashSet::new();
        for (name, _) in &pairs {
            if !known.contains(&name.as_str()) {
                return Err(Refusal::unreadable(format!("The parameter \"{name}\" is not documented for this call.")));
            }
            if !seen.insert(name) && !repeatable.contains(&name.as_str()) {
                return Err(Refusal::unreadable(format!("The parameter \"{name}\" is given twice.")));
            }
        }
        Ok(Query(pairs))
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// All values of a repeatable parameter.
    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The page asked for, 0 when none is named.
    pub(super) fn page_index(&self) -> Result<usize, Refusal> {
        match self.get("pageIndex") {
            None => Ok(0),
            Some(text) => text.parse().map_err(|_| AppleError::PageOutOfRange.into()),
        }
    }

    /// A filter whose value `read` understands or not.
    pub(super) fn filter<T>(
        &self,
        name: &str,
        bad: FilterBad,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Filter<T>, Refusal> {
        let Some(text) = self.get(name) else { return Ok(Filter::Any) };
        match (read(text), bad) {
            (Some(value), _) => Ok(Filter::Only(value)),
            (None, FilterBad::Refuse) => Err(Refusal::unreadable(format!("\"{text}\" is no value for \"{name}\"."))),
            (None, FilterBad::Ignore) => Ok(Filter::Any),
            (None, FilterBad::Empty) => Ok(Filter::Nothing),
        }
    }

    pub(super) fn boolean(&self, name: &str, bad: FilterBad) -> Result<Filter<bool>, Refusal> {
        self.filter(name, bad, |text| match text {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        })
    }

    pub(super) fn count(&self, name: &str, bad: FilterBad) -> Result<Filter<i64>, Refusal> {
        self.filter(name, bad, |text| text.parse::<i32>().ok().map(i64::from))
    }

    pub(super) fn digits(&self, name: &str, bad: FilterBad) -> Result<Filter<String>, Refusal> {
        self.filter(name, bad, |text| {
            (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.to_owned())
        })
    }

    pub(super) fn text(&self, name: &str, bad: FilterBad) -> Result<Filter<String>, Refusal> {
        self.filter(name, bad, |text| (!text.is_empty()).then(|| text.to_owned()))
    }

    /// One of Apple's words, which serde knows.
    pub(super) fn word<T: serde::de::DeserializeOwned>(
        &self,
        name: &str,
        bad: FilterBad,
    ) -> Result<Filter<T>, Refusal> {
        self.filter(name, bad, |text| serde_json::from_value(text.into()).ok())
    }
}
