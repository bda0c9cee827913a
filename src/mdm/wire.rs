//! Reading single keys of Apple's messages, words that Apple may add to, and writing a list as XML.
//!
//! The rule for reading: a key that a message cannot do without is an error when it is missing or of the wrong type,
//! and the error names it; every other key counts as absent when it is not what Apple describes.
//! Knows no message.

use plist::{Dictionary, Value};

/// A key without which the message cannot be understood. Names the key, never its content.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadKey {
    /// The key is not there.
    #[error("the required key {0} is missing")]
    Missing(&'static str),
    /// The key is there with another type, or empty, or absurdly long.
    #[error("the key {0} does not hold what Apple describes for it")]
    WrongType(&'static str),
}

/// Longest identifier that is believed: UDIDs, user ids, command ids and bundle ids are far shorter.
const MAX_IDENTIFIER: usize = 255;

/// A text; None when absent or of another type.
pub fn text(from: &Dictionary, key: &str) -> Option<String> {
    from.get(key).and_then(Value::as_string).map(str::to_owned)
}

/// A boolean; None when absent or of another type.
pub fn flag(from: &Dictionary, key: &str) -> Option<bool> {
    from.get(key).and_then(Value::as_boolean)
}

/// A real number, or an integer; None when absent or of another type.
pub fn real(from: &Dictionary, key: &str) -> Option<f64> {
    let value = from.get(key)?;
    value.as_real().or_else(|| value.as_signed_integer().map(|integer| integer as f64))
}

/// A number that some systems write as text.
pub fn number(from: &Dictionary, key: &str) -> Option<u64> {
    let value = from.get(key)?;
    value.as_unsigned_integer().or_else(|| value.as_string()?.parse().ok())
}

/// A text that must be there and not empty.
pub fn required_text(from: &Dictionary, key: &'static str) -> Result<String, BadKey> {
    let value = from.get(key).ok_or(BadKey::Missing(key))?;
    value.as_string().filter(|text| !text.is_empty()).map(str::to_owned).ok_or(BadKey::WrongType(key))
}

/// Bytes that must be there and not empty.
pub fn required_data(from: &Dictionary, key: &'static str) -> Result<Vec<u8>, BadKey> {
    let value = from.get(key).ok_or(BadKey::Missing(key))?;
    value.as_data().filter(|data| !data.is_empty()).map(<[u8]>::to_vec).ok_or(BadKey::WrongType(key))
}

/// An identifier that may be absent, but is never ignored when it is there and wrong: it says who speaks.
pub fn identifier(from: &Dictionary, key: &'static str) -> Result<Option<String>, BadKey> {
    let Some(value) = from.get(key) else { return Ok(None) };
    let text = value.as_string().ok_or(BadKey::WrongType(key))?;
    let sound = !text.is_empty() && text.len() <= MAX_IDENTIFIER && !text.chars().any(char::is_control);
    if sound { Ok(Some(text.to_owned())) } else { Err(BadKey::WrongType(key)) }
}

/// The list as an XML document, indented, with Apple's document type.
#[expect(clippy::expect_used, reason = "writing a tree from this program into memory cannot fail")]
pub fn xml(list: Dictionary) -> Vec<u8> {
    let mut bytes = Vec::new();
    Value::Dictionary(list).to_writer_xml(&mut bytes).expect("a tree of plain values can be written");
    bytes.push(b'\n');
    bytes
}

/// A dictionary in the order given.
pub fn dictionary<const N: usize>(entries: [(&str, Value); N]) -> Dictionary {
    entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

/// An array of texts.
pub fn texts<'a>(items: impl IntoIterator<Item = &'a str>) -> Value {
    Value::Array(items.into_iter().map(Value::from).collect())
}

/// An enum of Apple's words, with one more variant that keeps a word this program does not know.
macro_rules! apple_words {
    ($(#[$meta:meta])* $name:ident { $($(#[$word_meta:meta])* $word:ident),+ $(,)? } else $other:ident) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
        #[serde(from = "String", into = "String")]
        pub enum $name {
            $($(#[$word_meta])* $word,)+
            /// A word that Apple has added since; kept as it came.
            $other(String),
        }

        impl $name {
            /// Apple's own word.
            pub fn as_str(&self) -> &str {
                match self {
                    $($name::$word => stringify!($word),)+
                    $name::$other(word) => word,
                }
            }
        }

        impl From<String> for $name {
            fn from(word: String) -> $name {
                match word.as_str() {
                    $(stringify!($word) => $name::$word,)+
                    _ => $name::$other(word),
                }
            }
        }

        impl From<$name> for String {
            fn from(word: $name) -> String {
                word.as_str().to_owned()
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}
pub(crate) use apple_words;
