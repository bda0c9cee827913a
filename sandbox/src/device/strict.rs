//! Dictionaries read by a schema: every key known and of its type, or refused. Knows no particular schema.

use plist::{Dictionary, Value};

/// The type a key must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    String,
    Integer,
    Boolean,
    Data,
    Date,
    Dictionary,
    Array,
    StringArray,
}

impl Kind {
    fn fits(self, value: &Value) -> bool {
        match self {
            Kind::String => value.as_string().is_some(),
            Kind::Integer => matches!(value, Value::Integer(_)),
            Kind::Boolean => value.as_boolean().is_some(),
            Kind::Data => value.as_data().is_some(),
            Kind::Date => value.as_date().is_some(),
            Kind::Dictionary => value.as_dictionary().is_some(),
            Kind::Array => value.as_array().is_some(),
            Kind::StringArray => value.as_array().is_some_and(|all| all.iter().all(|one| one.as_string().is_some())),
        }
    }
}

/// One key of a schema.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    pub key: &'static str,
    pub kind: Kind,
    pub required: bool,
}

/// A key that must be there.
pub const fn required(key: &'static str, kind: Kind) -> Rule {
    Rule { key, kind, required: true }
}

/// A key that may be missing.
pub const fn optional(key: &'static str, kind: Kind) -> Rule {
    Rule { key, kind, required: false }
}

/// How a dictionary breaks its schema. Names keys, never values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    #[error("the key {0} is unknown")]
    Unknown(String),
    #[error("the required key {0} is missing")]
    Missing(&'static str),
    #[error("the key {0} is not of type {1:?}")]
    Type(&'static str, Kind),
}

/// Checks `dictionary` against the rules of all `schemas` together.
pub fn check(dictionary: &Dictionary, schemas: &[&[Rule]]) -> Result<(), Mismatch> {
    let rules = || schemas.iter().flat_map(|schema| schema.iter());
    for (key, value) in dictionary {
        let rule = rules().find(|rule| rule.key == key).ok_or_else(|| Mismatch::Unknown(key.clone()))?;
        if !rule.kind.fits(value) {
            return Err(Mismatch::Type(rule.key, rule.kind));
        }
    }
    match rules().find(|rule| rule.required && !dictionary.contains_key(rule.key)) {
        Some(rule) => Err(Mismatch::Missing(rule.key)),
        None => Ok(()),
    }
}
