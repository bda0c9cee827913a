//! The state, as the control side and tests see it.

use std::collections::BTreeMap;

use serde::Serialize;

use jiff::Timestamp;

use super::location::Holder;
use super::state::{State, TokenKind};
use super::subscriptions::SubscriptionView;
use super::wire::{EventStatus, EventType, MdmInfo, NotificationType, Platform, PricingParam, ProductType, UserStatus};
use super::{Apple, Counters, Limits, Switches};

/// Everything that the simulated Apple holds. Token texts are shown: they open nothing but this sandbox.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct StateView {
    pub organisation: String,
    /// By `uId`.
    pub locations: Vec<LocationView>,
    pub switches: Switches,
    pub limits: Limits,
    pub counters: Counters,
}

/// One location.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct LocationView {
    pub u_id: String,
    pub name: String,
    pub country: String,
    pub platform: Platform,
    pub mdm_info: Option<MdmInfo>,
    pub notification_url: Option<String>,
    pub notification_types: Vec<NotificationType>,
    pub tokens: Vec<TokenView>,
    /// In the order they were made, retired ones included.
    pub users: Vec<UserView>,
    pub assets: Vec<AssetView>,
    /// By asset, serials before users.
    pub assignments: Vec<AssignmentView>,
    pub subscriptions: Vec<SubscriptionView>,
    /// By the time they were accepted.
    pub events: Vec<EventView>,
}

/// One token.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct TokenView {
    pub text: String,
    pub expires: Timestamp,
    pub revoked: bool,
    pub kind: TokenKind,
}

/// One asset with its counts. `total` of an unlimited one is 2147483647.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct AssetView {
    pub adam_id: String,
    pub pricing_param: PricingParam,
    pub product_type: ProductType,
    pub name: Option<String>,
    pub bundle_id: Option<String>,
    pub unlimited: bool,
    pub assigned: i64,
    pub available: i64,
    pub retired: i64,
    pub total: i64,
}

/// One assignment: either a serial number or a user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct AssignmentView {
    pub adam_id: String,
    pub pricing_param: PricingParam,
    pub serial_number: Option<String>,
    pub client_user_id: Option<String>,
}

/// One record of a user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct UserView {
    pub client_user_id: String,
    pub status: UserStatus,
    pub email: Option<String>,
    pub account: Option<String>,
    pub id_hash: Option<String>,
    pub invite_code: Option<String>,
}

/// One event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct EventView {
    pub event_id: String,
    pub event_type: EventType,
    pub status: EventStatus,
    pub accepted: Timestamp,
    pub requested: usize,
    pub completed: usize,
    /// Tasks that failed, by errorNumber.
    pub failed: BTreeMap<u16, usize>,
}

impl Apple {
    /// The whole state, for people and tests.
    pub fn state(&self) -> StateView {
        let now = self.0.clock.now();
        let mut state = self.lock();
        state.pass_time(now);
        StateView {
            organisation: state.organisation.clone(),
            locations: state.locations.keys().filter_map(|u_id| state.location_view(u_id)).collect(),
            switches: state.switches.clone(),
            limits: state.limits.clone(),
            counters: state.counters.clone(),
        }
    }

    /// One location; `None` when there is none with this `uId`.
    pub fn location(&self, u_id: &str) -> Option<LocationView> {
        let now = self.0.clock.now();
        let mut state = self.lock();
        state.pass_time(now);
        state.location_view(u_id)
    }
}

impl State {
    fn location_view(&self, u_id: &str) -> Option<LocationView> {
        let location = self.locations.get(u_id)?;
        let mut tokens: Vec<TokenView> = self
            .tokens
            .iter()
            .filter(|(_, token)| token.u_id == u_id)
            .map(|(text, token)| TokenView {
                text: text.clone(),
                expires: token.expires,
                revoked: token.revoked,
                kind: token.kind,
            })
            .collect();
        tokens.sort_by(|a, b| (a.expires, &a.text).cmp(&(b.expires, &b.text)));
        let mut events: Vec<EventView> = location
            .events
            .iter()
            .map(|(event_id, event)| EventView {
                event_id: event_id.clone(),
                event_type: event.kind,
                status: event.status,
                accepted: event.accepted,
                requested: event.requested,
                completed: event.completed,
                failed: event.failed(),
            })
            .collect();
        events.sort_by(|a, b| (a.accepted, &a.event_id).cmp(&(b.accepted, &b.event_id)));
        let assets = location.assets.iter().map(|(key, asset)| {
            let product = self.products.get(&key.adam_id);
            AssetView {
                adam_id: key.adam_id.clone(),
                pricing_param: key.pricing_param,
                product_type: asset.product_type,
                name: product.map(|product| product.name.clone()),
                bundle_id: product.map(|product| product.bundle_id.clone()),
                unlimited: asset.unlimited,
                assigned: asset.assigned(),
                available: asset.available(),
                retired: asset.retired,
                total: asset.total_sent(),
            }
        });
        let assignments = location.assets.iter().flat_map(|(key, asset)| {
            asset.holders.keys().map(|holder| {
                let (serial_number, client_user_id) = match holder {
                    Holder::Serial(serial) => (Some(serial.clone()), None),
                    Holder::User { id, .. } => (None, Some(id.clone())),
                };
                let (adam_id, pricing_param) = (key.adam_id.clone(), key.pricing_param);
                AssignmentView { adam_id, pricing_param, serial_number, client_user_id }
            })
        });
        let users = location.users.records().iter().map(|user| UserView {
            client_user_id: user.client_user_id.clone(),
            status: user.status,
            email: user.email.clone(),
            account: user.account.clone(),
            id_hash: user.id_hash(),
            invite_code: user.invite_code.clone(),
        });
        Some(LocationView {
            u_id: u_id.to_owned(),
            name: location.name.clone(),
            country: location.country.clone(),
            platform: location.platform,
            mdm_info: location.mdm_info.clone(),
            notification_url: location.notification_target.as_ref().map(|target| target.url.clone()),
            notification_types: location.notification_types.clone(),
            tokens,
            users: users.collect(),
            assets: assets.collect(),
            assignments: assignments.collect(),
            subscriptions: location.subscriptions.iter().map(|(adam_id, one)| one.view(*adam_id)).collect(),
            events,
        })
    }
}
