//! What APNs checks of a push before it looks for the device: method, path, headers, body. Strictly.

use bytes::Bytes;
use hyper::Method;
use serde::Deserialize;
use uuid::Uuid;

use super::Reason;

/// The largest body.
const BODY_LIMIT: usize = 4096;

/// A push as it arrived.
#[derive(Debug, Clone)]
pub struct Push {
    pub method: Method,
    pub path: String,
    /// Names in lower case, in the order they came.
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
    /// UID of the client certificate; `None` when it has none.
    pub certificate_topic: Option<String>,
}

impl Push {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// A push that may be delivered.
pub(super) struct Checked {
    pub token: Vec<u8>,
    pub token_hex: String,
    pub push_magic: String,
}

/// The body: this one key and no other.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Payload {
    mdm: String,
}

pub(super) fn check(push: &Push) -> Result<Checked, Reason> {
    if push.method != Method::POST {
        return Err(refused(405, "MethodNotAllowed"));
    }
    let token_hex = push.path.strip_prefix("/3/device/").ok_or(refused(404, "BadPath"))?;
    if token_hex.is_empty() {
        return Err(refused(400, "MissingDeviceToken"));
    }
    let token = unhex(token_hex).ok_or(refused(400, "BadDeviceToken"))?;
    check_headers(push)?;
    if push.body.is_empty() {
        return Err(refused(400, "PayloadEmpty"));
    }
    if push.body.len() > BODY_LIMIT {
        return Err(refused(413, "PayloadTooLarge"));
    }
    // APNs has no reason of its own for a payload that says nothing to MDM.
    let payload: Payload = serde_json::from_slice(&push.body).map_err(|_| refused(400, "PayloadEmpty"))?;
    Ok(Checked { token, token_hex: token_hex.to_owned(), push_magic: payload.mdm })
}

fn check_headers(push: &Push) -> Result<(), Reason> {
    let ours = |name: &str| name.starts_with("apns-");
    let repeated = |name: &str| push.headers.iter().filter(|(other, _)| other == name).count() > 1;
    if push.headers.iter().any(|(name, _)| ours(name) && repeated(name)) {
        return Err(refused(400, "DuplicateHeaders"));
    }
    let certificate = push.certificate_topic.as_deref().ok_or(refused(403, "BadCertificate"))?;
    if push.header("apns-topic").ok_or(refused(400, "MissingTopic"))? != certificate {
        return Err(refused(400, "TopicDisallowed"));
    }
    if push.header("apns-push-type") != Some("mdm") {
        return Err(refused(400, "InvalidPushType"));
    }
    let wrong = |name: &str, right: &dyn Fn(&str) -> bool| push.header(name).is_some_and(|value| !right(value));
    if wrong("apns-priority", &|value| matches!(value, "5" | "10")) {
        return Err(refused(400, "BadPriority"));
    }
    if wrong("apns-expiration", &|value| value.parse::<u64>().is_ok()) {
        return Err(refused(400, "BadExpirationDate"));
    }
    if wrong("apns-id", &|value| Uuid::try_parse(value).is_ok_and(|id| id.hyphenated().to_string() == value)) {
        return Err(refused(400, "BadMessageId"));
    }
    if wrong("apns-collapse-id", &|value| value.len() <= 64) {
        return Err(refused(400, "BadCollapseId"));
    }
    Ok(())
}

fn refused(status: u16, reason: &'static str) -> Reason {
    Reason { status, reason, refused: true }
}

/// The bytes of lower-case hex.
fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|pair| Some(digit(*pair.first()?)? << 4 | digit(*pair.get(1)?)?)).collect()
}
