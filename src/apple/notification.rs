//! What Apple sends of its own accord (Apple: Subscribing to Notifications): the envelope, and of the rest only what says
//! where to look. A notification is a hint: whatever it says is confirmed by a read.
//!
//! Knows nothing of how it came. Names of people are never read out of it.

use serde_json::{Map, Value};

/// The types that vppd asks Apple for.
pub const WANTED: [&str; 7] = [
    "ASSET_COUNT",
    "ASSET_MANAGEMENT",
    "USER_MANAGEMENT",
    "USER_ASSOCIATED",
    "UNLIMITED_ASSET",
    "SUBSCRIPTION_COUNT",
    "SUBSCRIPTION_MANAGEMENT",
];
/// Those that every Apple knows: the others are of 2026.
pub const BASIC: [&str; 4] = ["ASSET_COUNT", "ASSET_MANAGEMENT", "USER_MANAGEMENT", "USER_ASSOCIATED"];

/// Characters of an identifier or a type that are believed.
const LONGEST: usize = 200;

/// A notification as far as vppd reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    /// The same when it is delivered again.
    pub id: String,
    pub uid: String,
    /// Apple's word.
    pub kind: String,
    pub news: News,
}

/// Where to look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// Nothing happened: Apple tries whether it can reach us.
    Test,
    /// Licences were bought, returned or moved; of which product, if it says so.
    AssetCount { adam_id: Option<String> },
    /// Something about assets without limit, of which Apple does not say more.
    Assets,
    /// Part of an event is done, or failed.
    AssetManagement { event_id: Option<String> },
    /// Something about users.
    Users,
    /// Something about subscriptions.
    Subscriptions,
    /// A type that nobody has documented.
    Unknown,
}

/// Why it cannot be read. Says nothing of what it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotificationError {
    #[error("it is no JSON object")]
    NoObject,
    #[error("it has no usable {0}")]
    Without(&'static str),
}

impl Notification {
    /// Reads one; what is unknown is let pass.
    pub fn read(bytes: &[u8]) -> Result<Notification, NotificationError> {
        let envelope: Map<String, Value> = serde_json::from_slice(bytes).map_err(|_| NotificationError::NoObject)?;
        let needed = |name| text(envelope.get(name)).ok_or(NotificationError::Without(name));
        let (id, kind, uid) = (needed("notificationId")?, needed("notificationType")?, needed("uId")?);
        let about = envelope.get("notification").and_then(Value::as_object);
        let member = |name| text(about.and_then(|about| about.get(name)));
        let news = match kind.as_str() {
            "TEST_NOTIFICATION" => News::Test,
            "ASSET_COUNT" => News::AssetCount { adam_id: member("adamId") },
            "UNLIMITED_ASSET" => News::Assets,
            "ASSET_MANAGEMENT" => News::AssetManagement { event_id: member("eventId") },
            "USER_MANAGEMENT" | "USER_ASSOCIATED" => News::Users,
            "SUBSCRIPTION_COUNT" | "SUBSCRIPTION_MANAGEMENT" => News::Subscriptions,
            _ => News::Unknown,
        };
        Ok(Notification { id, uid, kind, news })
    }

    /// The event that it tells of.
    pub fn event_id(&self) -> Option<&str> {
        match &self.news {
            News::AssetManagement { event_id } => event_id.as_deref(),
            _ => None,
        }
    }
}

/// A text or a whole number, of a length that an identifier can have, without characters that nobody can see.
fn text(value: Option<&Value>) -> Option<String> {
    let text = match value? {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.as_u64()?.to_string(),
        _ => return None,
    };
    let sound = (1..=LONGEST).contains(&text.len()) && !text.chars().any(char::is_control);
    sound.then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(kind: &str, about: &str) -> Notification {
        let body = format!(
            r#"{{"notificationId":"n-1","notificationType":"{kind}","uId":73001,"notification":{about},"x":[]}}"#
        );
        Notification::read(body.as_bytes()).unwrap()
    }

    #[test]
    fn each_type_says_where_to_look() {
        let asset = Some("1600000011".to_owned());
        assert_eq!(read("TEST_NOTIFICATION", "{}").news, News::Test);
        for about in [r#"{"adamId":"1600000011","countDelta":-25}"#, r#"{"adamId":1600000011}"#] {
            assert_eq!(read("ASSET_COUNT", about).news, News::AssetCount { adam_id: asset.clone() });
        }
        let event = read("ASSET_MANAGEMENT", r#"{"type":"ASSOCIATE","eventId":"e-1","assignments":[{"odd":1}]}"#);
        assert_eq!(event.event_id(), Some("e-1"));
        assert_eq!(read("UNLIMITED_ASSET", "null").news, News::Assets);
        assert_eq!(read("USER_ASSOCIATED", r#"{"associatedUsers":[]}"#).news, News::Users);
        assert_eq!(read("SUBSCRIPTION_COUNT", r#"{"adamId":6400000901}"#).news, News::Subscriptions);
        assert_eq!(read("WEATHER_FORECAST", r#"{"outlook":"rain"}"#).news, News::Unknown);
        assert_eq!(read("ASSET_COUNT", "[]").news, News::AssetCount { adam_id: None });
    }

    #[test]
    fn what_is_no_notification_is_refused_without_quoting_it() {
        let error = |body: &str| Notification::read(body.as_bytes()).unwrap_err();
        for body in ["", "[]", "null", "\"Ms Osei\"", "{\"notificationId\":"] {
            assert_eq!(error(body), NotificationError::NoObject, "{body}");
        }
        assert_eq!(error("{}"), NotificationError::Without("notificationId"));
        assert_eq!(error(r#"{"notificationId":"a\u0000"}"#), NotificationError::Without("notificationId"));
        let long = format!(r#"{{"notificationId":"a","notificationType":"{}"}}"#, "x".repeat(201));
        assert_eq!(error(&long), NotificationError::Without("notificationType"));
        let without = r#"{"notificationId":"a","notificationType":"ASSET_COUNT","uId":null}"#;
        assert_eq!(error(without), NotificationError::Without("uId"));
    }
}
