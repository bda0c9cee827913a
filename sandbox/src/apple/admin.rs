//! What happens to locations and tokens at Apple without this API: they are made, tokens die, another server takes over.
//! And the settings of the simulation.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::faults::{FaultRule, Often};
use super::location::Location;
use super::state::{State, Token, TokenKind, apple_time};
use super::switches::Switches;
use super::wire::{MdmInfo, Platform};
use super::{Apple, CallRecord, Counters, Limits};

/// Why a wish about the simulated Apple cannot be fulfilled. Nothing was changed.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum AdminError {
    #[error("there is no location {0}; GET /state lists them")]
    NoLocation(String),
    #[error("location {location} has no asset {adam_id}; add it first")]
    NoAsset { location: String, adam_id: String },
    #[error("the store has no product {0}; add it as an asset first")]
    NoProduct(String),
    #[error("no location has this token")]
    NoToken,
    #[error("location {location} has no active user {client_user_id}")]
    NoUser { location: String, client_user_id: String },
    #[error("location {0} has no open invitation with this code; GET /state lists them")]
    NoInvitation(String),
    #[error("{0}")]
    Invalid(String),
}

/// A location to make.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct NewLocation {
    pub name: String,
    /// Two upper-case letters.
    pub country: String,
    pub platform: Platform,
}

impl Default for NewLocation {
    fn default() -> NewLocation {
        NewLocation { name: "Headquarters".to_owned(), country: "NL".to_owned(), platform: Platform::default() }
    }
}

impl Apple {
    /// The name that new tokens carry as `orgName`.
    pub fn set_organisation(&self, name: &str) {
        self.lock().organisation = name.to_owned();
    }

    /// Where this service is reached (for the addresses in service/config), ending in `/mdm/v2/`.
    pub fn set_base_url(&self, url: &str) {
        self.lock().base_url = url.to_owned();
    }

    /// Makes a location and returns its `uId`.
    pub fn add_location(&self, new: NewLocation) -> String {
        let now = self.0.clock.now();
        let mut state = self.lock();
        let u_id = (7_300_000_000_000_000 + state.chance.below(99_999_999_999_999)).to_string();
        let mut location = Location::new(new.name, new.country, new.platform, &mut state.chance, now);
        location.lag(state.switches.lag_seconds);
        state.locations.insert(u_id.clone(), location);
        u_id
    }

    /// Makes a token for a location, valid for `valid` from now (Apple: a year). Returns the text of the `.vpptoken` file.
    pub fn add_token(&self, u_id: &str, valid: SignedDuration) -> Result<String, AdminError> {
        self.add_token_of(u_id, valid, TokenKind::Full)
    }

    /// The same with other rights.
    pub fn add_token_of(&self, u_id: &str, valid: SignedDuration, kind: TokenKind) -> Result<String, AdminError> {
        let now = self.0.clock.now();
        let mut state = self.lock();
        state.known_location(u_id)?;
        // Whole seconds, as in the text of the token.
        let expires = now.checked_add(valid).unwrap_or(Timestamp::MAX).as_second();
        let expires = Timestamp::from_second(expires).unwrap_or(Timestamp::MAX);
        let secret = BASE64_STANDARD.encode(format!("sandbox-token-{}", state.chance.uuid()));
        let content = json!({"token": secret, "expDate": apple_time(expires), "orgName": state.organisation});
        let text = BASE64_STANDARD.encode(content.to_string());
        state.tokens.insert(text.clone(), Token { u_id: u_id.to_owned(), expires, revoked: false, kind });
        Ok(text)
    }

    /// The token is past its time from now on, whatever its text says.
    pub fn expire_token(&self, token: &str) -> Result<(), AdminError> {
        let now = self.0.clock.now();
        self.lock().tokens.get_mut(token).ok_or(AdminError::NoToken)?.expires = now;
        Ok(())
    }

    /// The token is revoked from now on.
    pub fn revoke_token(&self, token: &str) -> Result<(), AdminError> {
        self.lock().tokens.get_mut(token).ok_or(AdminError::NoToken)?.revoked = true;
        Ok(())
    }

    /// The country of a location changes, and with it the storefront. Two upper-case letters.
    pub fn change_country(&self, u_id: &str, country: &str) -> Result<(), AdminError> {
        if country.len() != 2 || !country.bytes().all(|byte| byte.is_ascii_uppercase()) {
            return Err(AdminError::Invalid(format!(
                "\"{country}\" is no country: it has to be two upper-case letters"
            )));
        }
        self.lock().known_location(u_id)?.country = country.to_owned();
        Ok(())
    }

    /// A location gets another name.
    pub fn rename_location(&self, u_id: &str, name: &str) -> Result<(), AdminError> {
        self.lock().known_location(u_id)?.name = name.to_owned();
        Ok(())
    }

    /// Another server claims the location.
    pub fn take_over(&self, u_id: &str, by: MdmInfo) -> Result<(), AdminError> {
        self.lock().known_location(u_id)?.mdm_info = Some(by);
        Ok(())
    }

    /// Nobody claims the location any more.
    pub fn release(&self, u_id: &str) -> Result<(), AdminError> {
        self.lock().known_location(u_id)?.mdm_info = None;
        Ok(())
    }

    /// The switches now.
    pub fn switches(&self) -> Switches {
        self.lock().switches.clone()
    }

    /// Sets all switches.
    pub fn set_switches(&self, switches: Switches) -> Result<(), AdminError> {
        if !(1..=1000).contains(&switches.page_size) {
            return Err(AdminError::Invalid(format!("page-size {} is not 1 to 1000", switches.page_size)));
        }
        let [from, to] = switches.chunk_delay_ms;
        if from > to {
            return Err(AdminError::Invalid(format!("chunk-delay-ms {from} to {to} goes backwards")));
        }
        let [from, to] = switches.other_mdm_seconds;
        if from == 0 || from > to {
            return Err(AdminError::Invalid(format!("other-mdm-seconds {from} to {to} is no range from 1 on")));
        }
        let now = self.0.clock.now();
        let mut state = self.lock();
        for location in state.locations.values_mut() {
            location.lag(switches.lag_seconds);
        }
        state.switches = switches;
        // Whoever meddles starts to wait now.
        state.pass_time(now);
        Ok(())
    }

    /// Sets the switches that are named, as JSON with kebab-case keys; the others stay.
    pub fn patch_switches(&self, patch: Map<String, Value>) -> Result<(), AdminError> {
        self.set_switches(patched(&self.switches(), patch)?)
    }

    /// The limits now.
    pub fn limits(&self) -> Limits {
        self.lock().limits.clone()
    }

    /// Sets all limits.
    pub fn set_limits(&self, limits: Limits) {
        self.lock().limits = limits;
    }

    /// Sets the limits that are named, as JSON with Apple's keys; the others stay.
    pub fn patch_limits(&self, patch: Map<String, Value>) -> Result<(), AdminError> {
        self.set_limits(patched(&self.limits(), patch)?);
        Ok(())
    }

    /// Adds a fault after those that are waiting.
    pub fn add_fault(&self, rule: FaultRule) -> Result<(), AdminError> {
        if let Often::Rate(rate) = rule.often
            && !(0.0..=1.0).contains(&rate)
        {
            return Err(AdminError::Invalid(format!("a rate of {rate} is not between 0 and 1")));
        }
        self.lock().faults.push(rule);
        Ok(())
    }

    /// No more faults.
    pub fn clear_faults(&self) {
        self.lock().faults.clear();
    }

    /// What was counted since the start.
    pub fn counters(&self) -> Counters {
        self.lock().counters.clone()
    }

    /// The calls received, oldest first; the last 100,000 are kept.
    pub fn calls(&self) -> Vec<CallRecord> {
        self.lock().log.iter().cloned().collect()
    }
}

impl State {
    pub(super) fn known_location(&mut self, u_id: &str) -> Result<&mut Location, AdminError> {
        self.locations.get_mut(u_id).ok_or_else(|| AdminError::NoLocation(u_id.to_owned()))
    }
}

/// `current` with the members of `patch` put over it, read strictly.
fn patched<T: Serialize + serde::de::DeserializeOwned>(
    current: &T,
    patch: Map<String, Value>,
) -> Result<T, AdminError> {
    let invalid = |error: serde_json::Error| AdminError::Invalid(error.to_string());
    let mut value = serde_json::to_value(current).map_err(invalid)?;
    if let Value::Object(members) = &mut value {
        members.extend(patch);
    }
    serde_json::from_value(value).map_err(invalid)
}
