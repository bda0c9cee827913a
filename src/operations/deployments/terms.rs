//! The terms of a deployment as a person says them.

use rusqlite::Connection;
use serde_json::{Map, Value};

use crate::mdm::plist_guard;
use crate::mdm::plist_json::from_json;
use crate::model::Delivery;
use crate::operations::view::TermsRequest;
use crate::operations::{OperationError, groups, look};
use crate::store::deployments::Terms;
use crate::store::locations;

/// The largest managed app configuration and attributes, in bytes.
const LARGEST_CONFIGURATION: usize = 128 << 10;
const LARGEST_ATTRIBUTES: usize = 16 << 10;
/// Priorities lie between this and its opposite.
pub(in crate::operations) const HIGHEST: i64 = 1000;

/// The terms, changed as the request says.
pub(in crate::operations) fn read(
    connection: &Connection,
    request: TermsRequest,
    old: Terms,
) -> Result<Terms, OperationError> {
    let mut terms = old;
    terms.licence = request.licence.unwrap_or(terms.licence);
    terms.updates = request.updates.unwrap_or(terms.updates);
    terms.licence_only = request.licence_only.unwrap_or(terms.licence_only);
    terms.delivery = request.delivery.unwrap_or(terms.delivery);
    terms.offered = request.offered.unwrap_or(terms.offered);
    if let Some(text) = request.build {
        terms.build = build(&text)?;
    }
    if let Some(priority) = request.priority {
        if !(-HIGHEST..=HIGHEST).contains(&priority) {
            return Err(invalid("priority", format!("a priority lies between -{HIGHEST} and {HIGHEST}")));
        }
        terms.priority = priority;
    }
    if let Some(quota) = request.quota {
        terms.quota = limit("quota", &quota, 0)?;
    }
    if let Some(wave) = request.wave {
        terms.wave = limit("wave", &wave, 1)?;
    }
    if let Some(names) = request.excluded {
        terms.excluded = Vec::new();
        for name in names {
            terms.excluded.push(groups::find(connection, &name)?.id);
        }
        terms.excluded.sort_unstable();
        terms.excluded.dedup();
    }
    if let Some(names) = request.locations {
        terms.locations = Vec::new();
        for name in names {
            let found = locations::by_name_or_uid(connection, &name)?;
            terms.locations.push(found.ok_or_else(|| look::no_such_location(&name))?.id);
        }
        terms.locations.sort_unstable();
        terms.locations.dedup();
    }
    if let Some(text) = request.configuration {
        terms.configuration = configuration(&text)?;
    }
    if let Some(text) = request.attributes {
        terms.attributes = attributes(&text)?;
    }
    declarable(&terms)?;
    Ok(terms)
}

/// What only a declaration can say needs one.
fn declarable(terms: &Terms) -> Result<(), OperationError> {
    let needs = match (terms.offered, terms.build) {
        (true, _) => "to be offered",
        (false, Some(_)) => "to be kept at one build",
        (false, None) if terms.delivery == Delivery::Declarative => "to be delivered so",
        (false, None) => return Ok(()),
    };
    if terms.delivery == Delivery::Command {
        return Err(invalid(
            "delivery",
            format!("an app has to be declared {needs}, and this one is to come by command"),
        ));
    }
    if terms.configuration.is_some() {
        return Err(invalid(
            "delivery",
            format!(
                "an app has to be declared {needs}, and vppd gives no configuration to declared apps: leave out one of both"
            ),
        ));
    }
    Ok(())
}

fn invalid(code: &'static str, message: String) -> OperationError {
    OperationError::invalid(code, message, "Nothing was changed.")
}

/// A number of licences or devices; `none` for no limit.
fn limit(what: &'static str, text: &str, least: u32) -> Result<Option<u32>, OperationError> {
    let text = text.trim();
    if text == "none" {
        return Ok(None);
    }
    let number = text.parse().ok().filter(|number| (least..=1_000_000).contains(number));
    number.map(Some).ok_or_else(|| {
        let shown: String = text.chars().take(40).collect();
        invalid(what, format!("\"{shown}\" is no {what}: say a number from {least} to 1000000, or none"))
    })
}

/// The App Store's number of a build; `none` for the newest.
fn build(text: &str) -> Result<Option<u64>, OperationError> {
    let text = text.trim();
    if text == "none" {
        return Ok(None);
    }
    let number = text.parse::<i64>().ok().filter(|number| *number > 0);
    number.map(|number| Some(number.unsigned_abs())).ok_or_else(|| {
        let shown: String = text.chars().take(40).collect();
        invalid("build", format!("\"{shown}\" is no build: say the App Store's number of one, or none"))
    })
}

/// Managed app configuration: a property list or JSON, kept as a property list in XML. Empty for none.
pub fn configuration(text: &str) -> Result<Option<String>, OperationError> {
    let text = text.trim_start_matches('\u{feff}').trim();
    let wrong = |why: String| invalid("configuration", format!("the managed app configuration cannot be used: {why}"));
    if text.is_empty() {
        return Ok(None);
    }
    if text.len() > LARGEST_CONFIGURATION {
        return Err(wrong(format!("it has {} bytes, and at most {LARGEST_CONFIGURATION} are taken", text.len())));
    }
    let dictionary = if text.starts_with('<') {
        plist_guard::read_dictionary(text.as_bytes(), LARGEST_CONFIGURATION)
            .map_err(|error| wrong(error.to_string()))?
    } else {
        let value: Value = serde_json::from_str(text).map_err(|error| {
            wrong(format!("it is neither a property list nor JSON (line {}, column {})", error.line(), error.column()))
        })?;
        let list = from_json(&value, "it").map_err(wrong)?;
        list.into_dictionary().ok_or_else(|| wrong("its top is not an object".to_owned()))?
    };
    let mut xml = Vec::new();
    plist::Value::Dictionary(dictionary).to_writer_xml(&mut xml).map_err(|error| wrong(error.to_string()))?;
    String::from_utf8(xml).map(Some).map_err(|error| wrong(error.to_string()))
}

/// Attributes of the managed app: a JSON object, which becomes part of a property list.
fn attributes(text: &str) -> Result<Map<String, Value>, OperationError> {
    let text = text.trim_start_matches('\u{feff}').trim();
    let wrong = |why: String| invalid("attributes", format!("the attributes cannot be used: {why}"));
    if text.is_empty() {
        return Ok(Map::new());
    }
    if text.len() > LARGEST_ATTRIBUTES {
        return Err(wrong(format!("they have {} bytes, and at most {LARGEST_ATTRIBUTES} are taken", text.len())));
    }
    let value: Value = serde_json::from_str(text)
        .map_err(|error| wrong(format!("they are no JSON (line {}, column {})", error.line(), error.column())))?;
    from_json(&value, "it").map_err(wrong)?;
    match value {
        Value::Object(object) => Ok(object),
        _ => Err(wrong("the top is not an object".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_may_be_json_or_a_property_list() {
        let json = r#"{"server": "https://a.example", "tries": 3, "list": [true, 1.5, {"a": "b"}]}"#;
        let list = configuration(json).unwrap().unwrap();
        assert!(list.contains("<key>server</key>") && list.contains("<integer>3</integer>"), "{list}");
        assert_eq!(configuration(&list).unwrap().unwrap(), list, "what it becomes is the same again");
        assert_eq!(configuration(" \n").unwrap(), None);
        assert_eq!(attributes(r#"{"Removable": false}"#).unwrap()["Removable"], false);
    }

    #[test]
    fn what_is_no_configuration_is_told() {
        for (text, words) in [
            ("{", "(line 1, column 1)"),
            ("[1]", "its top is not an object"),
            (r#"{"a": {"b": [1, null]}}"#, "item 2 of \"b\" is null"),
            ("<plist><array/></plist>", "not a dictionary"),
            ("<html>", "property list"),
            (&format!("{{\"a\": \"{}\"}}", "x".repeat(LARGEST_CONFIGURATION)), "at most"),
            (&"[".repeat(5000), "column"),
        ] {
            let error = configuration(text).unwrap_err().message;
            assert!(error.contains(words), "{error}");
        }
        assert!(attributes("[]").unwrap_err().message.contains("not an object"));
    }

    #[test]
    fn what_only_a_declaration_can_say_needs_one() {
        let terms = |delivery, offered, build| Terms { delivery, offered, build, ..Terms::default() };
        let with_configuration =
            Terms { configuration: Some("<plist/>".to_owned()), ..terms(Delivery::Auto, true, None) };
        for (terms, fits) in [
            (terms(Delivery::Auto, true, Some(7)), true),
            (terms(Delivery::Command, false, None), true),
            (terms(Delivery::Command, true, None), false),
            (terms(Delivery::Command, false, Some(7)), false),
            (Terms { offered: false, ..with_configuration.clone() }, true),
            (Terms { delivery: Delivery::Declarative, offered: false, ..with_configuration.clone() }, false),
            (with_configuration, false),
        ] {
            assert_eq!(declarable(&terms).is_ok(), fits, "{terms:?}");
        }
        assert_eq!((build("870000123").unwrap(), build(" none ").unwrap()), (Some(870_000_123), None));
        assert!(build("0").is_err() && build("4.2").is_err());
    }

    #[test]
    fn limits_are_numbers_or_none() {
        assert_eq!((limit("quota", "0", 0).unwrap(), limit("wave", " none ", 1).unwrap()), (Some(0), None));
        for wrong in ["", "-1", "many", "1000001"] {
            assert!(limit("quota", wrong, 0).is_err(), "{wrong}");
        }
        assert!(limit("wave", "0", 1).is_err());
    }
}
