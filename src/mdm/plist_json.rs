//! JSON as a property list. Knows no message.

use plist::Value;
use serde_json::Value as Json;

/// JSON as a property list, which has no null. `place`: what a person calls the value.
pub fn from_json(value: &Json, place: &str) -> Result<Value, String> {
    Ok(match value {
        Json::Null => return Err(format!("{place} is null, which a property list does not have")),
        Json::Bool(yes) => Value::Boolean(*yes),
        Json::String(text) => Value::String(text.clone()),
        Json::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(number), _, _) => Value::Integer(number.into()),
            (_, Some(number), _) => Value::Integer(number.into()),
            (_, _, Some(number)) => Value::Real(number),
            _ => return Err(format!("{place} is no number that a property list can hold")),
        },
        Json::Array(values) => {
            let item = |(number, value): (usize, &Json)| from_json(value, &format!("item {} of {place}", number + 1));
            Value::Array(values.iter().enumerate().map(item).collect::<Result<_, _>>()?)
        }
        Json::Object(object) => {
            let entry = |(key, value): (&String, &Json)| {
                let shown: String = key.chars().take(40).collect();
                Ok::<_, String>((key.clone(), from_json(value, &format!("\"{shown}\""))?))
            };
            Value::Dictionary(object.iter().map(entry).collect::<Result<_, _>>()?)
        }
    })
}
