//! What the simulated Apple knows: locations, tokens, the store, and what was asked of it.
//!
//! Plain data and small rules about it. It knows nothing of HTTP and sends nothing.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::catalogue::{Developer, Listing};
use super::faults::FaultRule;
use super::limits::Limits;
use super::location::{Location, Target};
use super::notices::{NotificationRecord, Outgoing};
use super::switches::Switches;
use crate::chance::Chance;
use crate::device::http::Network;
use crate::world::Product;

/// `totalCount` of an unlimited asset. Apple: Managing assets.
pub const UNLIMITED: i64 = 2_147_483_647;

/// How many calls the log keeps.
const LOG_LENGTH: usize = 100_000;

pub(super) struct State {
    pub chance: Chance,
    /// Where this service is reached, ending in `/mdm/v2/`.
    pub base_url: String,
    pub organisation: String,
    /// Apple Accounts of this domain are managed by the organisation.
    pub managed_domain: String,
    pub locations: BTreeMap<String, Location>,
    /// By the text of the token, which is what clients send.
    pub tokens: HashMap<String, Token>,
    pub products: BTreeMap<String, Product>,
    /// How the stores present products; one that is not here is presented as usual.
    pub listings: BTreeMap<String, Listing>,
    /// Who may ask the metadata service for organisations, by the id of the key.
    pub developers: BTreeMap<String, Developer>,
    /// The Apple Account with which the owner of a device is signed in, by serial number.
    pub signed_in: HashMap<String, String>,
    pub switches: Switches,
    pub limits: Limits,
    pub faults: Vec<FaultRule>,
    pub counters: Counters,
    /// In how many pending events each pair (adamId and target) is.
    pub pending: HashMap<(String, Target), u32>,
    pub log: VecDeque<CallRecord>,
    /// How notifications reach their receivers; `None` while nobody has said.
    pub network: Option<Arc<dyn Network>>,
    /// Notifications that nobody delivers yet.
    pub outbox: Vec<Outgoing>,
    pub deliveries: VecDeque<NotificationRecord>,
    /// When another client acts next.
    pub next_meddling: Option<Timestamp>,
}

/// A content token of a location.
#[derive(Debug, Clone)]
pub(super) struct Token {
    pub u_id: String,
    pub expires: Timestamp,
    pub revoked: bool,
    pub kind: TokenKind,
}

/// Whose rights a token carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TokenKind {
    /// A content manager who may do everything.
    #[default]
    Full,
    /// One who may look but not change.
    ReadOnly,
    /// A user-based token of earlier times.
    Legacy,
    /// A facilitator, who has no business here.
    Facilitator,
}

/// What was counted since the start.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Counters {
    /// Calls by endpoint, refused ones included.
    pub calls: BTreeMap<String, u64>,
    /// Errors sent, by errorNumber.
    pub errors: BTreeMap<u16, u64>,
    /// Messages with an unknown or ill-typed key or parameter.
    pub refused: u64,
    /// Devices that were told to install before the licence was theirs.
    pub installs_before_licence: u64,
    /// Devices that were told to install when the licence was theirs, but its event had not ended.
    pub installs_before_complete: u64,
    /// Pairs that an event named while another one that named them was still pending.
    pub pairs_in_two_events: u64,
    /// Licences given to somebody who had one of the same product already, from whichever location.
    pub second_licences: u64,
}

/// One call that was received.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct CallRecord {
    pub at: Timestamp,
    pub method: String,
    /// The path after `/mdm/v2/`; for calls about products a name (`metadata/lookup`, `organisations`,
    /// `public/lookup`, `artwork`).
    pub endpoint: String,
    pub query: String,
    /// The location, once the token was accepted.
    pub u_id: Option<String>,
    /// The status sent; `None` when the connection was closed instead.
    pub status: Option<u16>,
    pub error_number: Option<u16>,
}

impl State {
    pub(super) fn record(&mut self, record: CallRecord) {
        *self.counters.calls.entry(record.endpoint.clone()).or_default() += 1;
        if let Some(number) = record.error_number {
            *self.counters.errors.entry(number).or_default() += 1;
        }
        if self.log.len() >= LOG_LENGTH {
            self.log.pop_front();
        }
        self.log.push_back(record);
    }
}

/// Apple's way to write a time.
pub(super) fn apple_time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%S+0000").to_string()
}
