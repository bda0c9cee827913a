//! What Apple's service answers, and the file that Apple's portal gives.

use serde::de::DeserializeOwned;
use serde_json::{Value, from_slice};
use vppd::apple::ContentToken;
use vppd::apple::metadata::{catalog, lookup, public};
use vppd::apple::notification::{News, Notification};
use vppd::apple::wire::subscriptions::SubscriptionsPage;
use vppd::apple::wire::{Asset, Assignment, ClientConfig, Envelope, EventResponse, EventStatus, User, parse_date};

/// The file of a content token.
pub fn content_token(bytes: &[u8]) {
    if let Ok(token) = ContentToken::from_file(bytes) {
        use secrecy::ExposeSecret;
        let text = token.text().expose_secret();
        assert!(!text.contains(char::is_whitespace));
        assert!(!format!("{token:?}").contains(text), "a content token shows itself");
        // What is stored has to be read again as the same token.
        match ContentToken::from_file(text.as_bytes()) {
            Ok(again) => assert_eq!(again.fingerprint(), token.fingerprint()),
            Err(error) => panic!("a stored content token cannot be read again: {error}"),
        }
    }
}

/// What Apple sends of its own accord.
pub fn notification(bytes: &[u8]) {
    match Notification::read(bytes) {
        Ok(read) => {
            for text in [&read.id, &read.uid, &read.kind] {
                assert!((1..=200).contains(&text.len()) && !text.contains(char::is_control), "{text:?}");
            }
            assert!(read.event_id().is_none() || matches!(read.news, News::AssetManagement { .. }));
        }
        // An error says nothing of what it was.
        Err(error) => assert!(error.to_string().len() < 60),
    }
}

/// Every kind of answer: the bytes are read as each of them.
pub fn wire(bytes: &[u8]) {
    let _ = from_slice::<Envelope>(bytes);
    let _ = from_slice::<ClientConfig>(bytes);
    let _ = from_slice::<EventResponse>(bytes);
    let _ = from_slice::<SubscriptionsPage>(bytes);
    if let Ok(status) = from_slice::<EventStatus>(bytes) {
        assert!(!status.is_full_success() || status.is_final());
    }
    if let Ok(mut reply) = from_slice::<Value>(bytes) {
        for read in [lookup::read, catalog::read, public::read] {
            for info in read(&reply).into_iter().flat_map(|told| told.into_values()) {
                assert!(info.name.len() <= 2000 && info.icon_url.len() <= 1000, "a store makes long texts");
            }
        }
        for asset in listed::<Asset>(&mut reply, "assets") {
            let _ = (asset.key(), asset.is_unlimited());
        }
        for assignment in listed::<Assignment>(&mut reply, "assignments") {
            let _ = (assignment.asset(), assignment.holder());
        }
        for user in listed::<User>(&mut reply, "users") {
            let _ = (user.status.is_active(), user.status.word());
        }
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = parse_date(text);
    }
}

/// A list in a reply; empty when it is not there or cannot be read.
fn listed<T: DeserializeOwned>(reply: &mut Value, key: &str) -> Vec<T> {
    reply.get_mut(key).and_then(|list| serde_json::from_value(list.take()).ok()).unwrap_or_default()
}
