//! Faults on demand: what goes wrong, at which calls, how often.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::endpoint::{Flow, Reply};
use super::errors::AppleError;
use crate::chance::Chance;

/// Something that goes wrong with a call which passed the checks before it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Fault {
    /// 500 with 9603.
    InternalError,
    /// 503 with 9729 and a `Retry-After`.
    Unavailable(RetryAfter),
    /// 429 with 9646.
    TooManyRequests,
    /// 502 with an HTML page.
    BadGateway,
    /// The connection is closed and nothing was done.
    ClosedBeforeEffect,
    /// Everything was done, but the reply is lost.
    ClosedAfterEffect,
    /// Everything was done, but the JSON of the reply ends in the middle.
    TruncatedJson,
    /// Nothing was done, and the connection is reset.
    Reset,
    /// Nothing was done, and the reply is this one.
    Canned(Canned),
    /// Everything was done, but the reply is written in another way.
    Rewritten(Rewriting),
    /// Everything was done, but the body of the reply never ends.
    Endless,
    /// Everything was done, but the body comes byte by byte, so many seconds apart.
    Drip(u32),
    /// 410 with 9634: there is no such service any more.
    Withdrawn,
    /// Nothing was done and nobody ever answers.
    SilentBeforeEffect,
    /// Everything was done, but nobody ever answers.
    SilentAfterEffect,
    /// Everything was done, but the reply comes after so many seconds.
    SlowReply(u32),
    /// 403 with the code 40300, at calls about products; others are not struck.
    MetadataForbidden,
    /// The event is accepted, and all its tasks fail with this.
    TasksFail(TaskError),
    /// The event is accepted, and so many of a hundred of its tasks fail with 9603, by chance.
    SomeTasksFail(u8),
}

/// A reply written out: of something between here and Apple, or of an Apple beside itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Canned {
    pub status: u16,
    pub content_type: String,
    #[serde(default)]
    pub headers: Vec<(String, String)>,
    pub body: String,
}

/// Other ways to write the JSON of a reply.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Rewriting {
    /// Every number as a string.
    NumbersAsText,
    /// Every string of up to 18 digits as a number.
    DigitsAsNumbers,
    /// A member that nobody has documented, in every object.
    UnknownMembers,
    /// The same body under this content type.
    ContentType(String),
    /// These members at the top instead of what would stand there; others stay.
    Members(Map<String, Value>),
}

impl Rewriting {
    pub(super) fn apply(&self, reply: Reply) -> Reply {
        if let Rewriting::ContentType(kind) = self {
            return Reply { content_type: kind.clone().into(), ..reply };
        }
        let Ok(mut body) = serde_json::from_slice::<Value>(&reply.body) else { return reply };
        match (self, body.as_object_mut()) {
            (Rewriting::Members(members), Some(top)) => top.extend(members.clone()),
            _ => self.rewrite(&mut body),
        }
        Reply { body: body.to_string().into(), ..reply }
    }

    fn rewrite(&self, value: &mut Value) {
        match (self, &mut *value) {
            (Rewriting::NumbersAsText, Value::Number(number)) => *value = number.to_string().into(),
            (Rewriting::DigitsAsNumbers, Value::String(text)) => {
                let digits =
                    text.len() <= 18 && !text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit());
                if let (true, Ok(number)) = (digits, text.parse::<u64>()) {
                    *value = number.into();
                }
            }
            (_, Value::Array(items)) => items.iter_mut().for_each(|item| self.rewrite(item)),
            (_, Value::Object(members)) => {
                members.values_mut().for_each(|member| self.rewrite(member));
                if *self == Rewriting::UnknownMembers {
                    members.insert("sandboxUnknown".to_owned(), json!({"deeper": [1, null, "text"]}));
                }
            }
            _ => {}
        }
    }
}

impl Canned {
    pub(super) fn reply(self) -> Reply {
        let Canned { status, content_type, headers, body } = self;
        Reply { status, content_type: content_type.into(), headers, body: body.into(), flow: Flow::AtOnce }
    }
}

/// What can befall a task at Apple's side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TaskError {
    /// 9603.
    Internal,
    /// 9644.
    Maintenance,
}

impl TaskError {
    pub(super) fn number(self) -> AppleError {
        match self {
            TaskError::Internal => AppleError::Internal,
            TaskError::Maintenance => AppleError::Maintenance,
        }
    }
}

/// How the wait is written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum RetryAfter {
    Seconds(u32),
    /// An HTTP date this many seconds from now.
    DateInSeconds(u32),
}

impl RetryAfter {
    /// The value of the header.
    pub(super) fn text(&self, now: Timestamp) -> String {
        match self {
            RetryAfter::Seconds(seconds) => seconds.to_string(),
            RetryAfter::DateInSeconds(seconds) => {
                let at = now.checked_add(SignedDuration::from_secs((*seconds).into())).unwrap_or(now);
                at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
            }
        }
    }
}

/// How often a fault happens.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Often {
    /// At the next n calls that match.
    Next(u32),
    /// At this share of the calls that match, 0 to 1.
    Rate(f64),
}

/// A fault and the calls it happens to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct FaultRule {
    /// The path after `/mdm/v2/`, or `metadata/lookup`, `organisations`, `public/lookup` or `artwork`; `None` is every
    /// endpoint.
    #[serde(default)]
    pub endpoint: Option<String>,
    pub fault: Fault,
    pub often: Often,
}

/// The fault for a call to `endpoint`, from the first rule that strikes. Rules that are used up go.
pub(super) fn strike(rules: &mut Vec<FaultRule>, endpoint: &str, chance: &mut Chance) -> Option<Fault> {
    let matching = |rule: &FaultRule| rule.endpoint.as_deref().is_none_or(|wanted| wanted == endpoint);
    let mut struck = None;
    for rule in rules.iter_mut().filter(|rule| matching(rule)) {
        let strikes = match &mut rule.often {
            Often::Next(left) => {
                let strikes = *left > 0;
                *left = left.saturating_sub(1);
                strikes
            }
            Often::Rate(rate) => (chance.below(1_000_000) as f64) < *rate * 1e6,
        };
        if strikes {
            struck = Some(rule.fault.clone());
            break;
        }
    }
    rules.retain(|rule| rule.often != Often::Next(0));
    struck
}
