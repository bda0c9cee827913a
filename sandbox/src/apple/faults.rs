//! Faults on demand: what goes wrong, at which calls, how often.

use serde::{Deserialize, Serialize};

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
}

/// How the wait is written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum RetryAfter {
    Seconds(u32),
    /// An HTTP date this many seconds from now.
    DateInSeconds(u32),
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
    /// The path after `/mdm/v2/`; `None` is every endpoint.
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
