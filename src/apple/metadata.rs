//! What Apple's stores say of apps and books, read from three kinds of answers into one plain [`AppInfo`]: the content
//! metadata lookup ([`lookup`]), the metadata service for organisations ([`catalog`]) and the public lookup ([`public`]).
//!
//! Pure. Everything is optional and may have several shapes: what cannot be read is left empty, never an error, because
//! nothing about a licence depends on it. Knows nothing of HTTP; the calls are made by `client::stores`.

pub mod catalog;
pub mod lookup;
pub mod public;

use std::collections::BTreeMap;

use serde_json::Value;

use crate::model::{AppInfo, ICON_SIDE};

/// Answers by adamId.
pub type Told = BTreeMap<String, AppInfo>;

/// Longer texts are cut: no name or address needs more.
const LONGEST: usize = 500;

/// A text without space around it; a number as its digits; else empty.
fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.trim().chars().take(LONGEST).collect(),
        Value::Number(number) => number.to_string(),
        _ => String::new(),
    }
}

/// The first of these members that holds a text.
fn first_text(entry: &Value, names: &[&str]) -> String {
    names.iter().map(|name| text(&entry[name])).find(|text| !text.is_empty()).unwrap_or_default()
}

/// A whole number, or its digits as a text.
fn number(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) => number.as_u64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

fn texts(value: &Value) -> Vec<String> {
    let all = value.as_array().map(Vec::as_slice).unwrap_or_default();
    all.iter().map(text).filter(|text| !text.is_empty()).collect()
}

/// The elements of a list; something that is no list counts as a list of one.
fn items(value: &Value) -> &[Value] {
    match value {
        Value::Array(items) => items,
        Value::Null => &[],
        one => std::slice::from_ref(one),
    }
}

/// Bundle ids without doubles and without what cannot be one.
fn bundle_ids(candidates: impl IntoIterator<Item = String>) -> Vec<String> {
    let fits = |id: &String| {
        (1..=255).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b))
    };
    let mut ids: Vec<String> = Vec::new();
    for id in candidates.into_iter().filter(fits) {
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    ids
}

/// A price as people read it; `Free` for nothing.
fn price(amount: &Value, formatted: &str, currency: &str) -> String {
    let amount = match amount {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    match amount {
        Some(amount) if amount <= 0.0 => "Free".to_owned(),
        _ if !formatted.is_empty() => formatted.to_owned(),
        Some(amount) => format!("{amount:.2} {currency}").trim_end().to_owned(),
        None => String::new(),
    }
}

/// Where the icon is: a template to be filled in, the best of ready sizes, or an address as it is.
fn icon(artwork: &Value) -> String {
    if let Some(url) = artwork.as_str() {
        return filled(url);
    }
    let width = |picture: &Value| number(&picture["width"]).unwrap_or(0);
    let side = u64::from(ICON_SIDE);
    let ready = items(artwork).iter().filter(|picture| picture["url"].is_string());
    // The smallest that is large enough, else the largest.
    let best = ready.min_by_key(|picture| match width(picture) {
        width if width >= side => (false, width),
        width => (true, u64::MAX - width),
    });
    best.and_then(|picture| picture["url"].as_str()).map(filled).unwrap_or_default()
}

fn filled(template: &str) -> String {
    let side = ICON_SIDE.to_string();
    let url = template.trim().replace("{w}", &side).replace("{h}", &side).replace("{c}", "bb").replace("{f}", "png");
    if url.len() <= 2 * LONGEST { url } else { String::new() }
}

/// A version as numbers, for comparing; `None` unless it is numbers with dots between them.
fn dotted(version: &str) -> Option<Vec<u64>> {
    let mut numbers: Vec<u64> = version.split('.').map(|part| part.parse().ok()).collect::<Option<_>>()?;
    while numbers.last() == Some(&0) {
        numbers.pop();
    }
    Some(numbers)
}

/// Of versions with their external ids the highest; one that cannot be compared only when there is no other.
fn newest(versions: impl IntoIterator<Item = (String, Option<u64>)>) -> (String, Option<u64>) {
    let named = versions.into_iter().filter(|(version, id)| !version.is_empty() || id.is_some());
    // Of equals the last one with an id counts: offers of one version differ in price only.
    named.max_by_key(|(version, id)| (dotted(version), id.is_some())).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_highest_version_is_found_by_number_and_not_by_letter() {
        let pick = |versions: &[(&str, u64)]| newest(versions.iter().map(|(v, id)| ((*v).to_owned(), Some(*id))));
        assert_eq!(pick(&[("4.9", 1), ("4.10", 2), ("4.2.1", 3)]), ("4.10".to_owned(), Some(2)));
        assert_eq!(pick(&[("beta", 1), ("0.9", 2)]), ("0.9".to_owned(), Some(2)));
        assert_eq!(pick(&[("2024 (a)", 7)]), ("2024 (a)".to_owned(), Some(7)));
        assert_eq!(pick(&[]), (String::new(), None));
        assert_eq!((dotted("1.0"), dotted("1..2"), dotted("")), (Some(vec![1]), None, None));
    }

    #[test]
    fn an_icon_is_found_in_every_shape_of_artwork() {
        let table = [
            (json!({"url": "https://a/{w}x{h}bb.{f}", "width": 1024}), "https://a/128x128bb.png"),
            (json!({"url": "https://a/{w}x{h}{c}.{f}"}), "https://a/128x128bb.png"),
            (
                json!([{"url": "https://a/60", "width": 60}, {"url": "https://a/512", "width": 512},
                    {"url": "https://a/150", "width": "150"}]),
                "https://a/150",
            ),
            (json!([{"url": "https://a/60", "width": 60}, {"url": "https://a/100", "width": 100}]), "https://a/100"),
            (json!([{"width": 60}, {"url": "https://a/x"}]), "https://a/x"),
            (json!("https://a/plain.png"), "https://a/plain.png"),
            (json!([]), ""),
            (json!(7), ""),
            (json!(null), ""),
            (json!({"url": "x".repeat(5000)}), ""),
        ];
        for (artwork, expected) in table {
            assert_eq!(icon(&artwork), expected, "{artwork}");
        }
    }

    #[test]
    fn a_price_is_free_or_has_its_currency() {
        let table = [
            (json!(0), "0,00 EUR", "EUR", "Free"),
            (json!("0.0"), "", "", "Free"),
            (json!(2.99), "2,99 €", "EUR", "2,99 €"),
            (json!(2.9), "", "EUR", "2.90 EUR"),
            (json!(null), "1,99 €", "", "1,99 €"),
            (json!([]), "", "EUR", ""),
        ];
        for (amount, formatted, currency, expected) in table {
            assert_eq!(price(&amount, formatted, currency), expected, "{amount}");
        }
    }
}
