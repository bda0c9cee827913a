//! Plays Apple's Apps and Books service (the Apps and Books half of the volume licence API, version 2).
//!
//! [`Apple`] is the whole service without sockets: [`Apple::call`] answers one call, [`server`] puts it behind HTTPS. The
//! rest of its methods is what happens at Apple's side without an API: buying, expiry of tokens, another server that takes
//! over, faults. It knows nothing of vppd, of devices and of APNs.

mod admin;
mod admission;
mod body;
mod calls;
mod claim;
mod endpoint;
mod engine;
mod errors;
mod events;
mod faults;
mod limits;
mod listing;
mod location;
mod manage;
mod people;
mod purchases;
mod query;
mod roster;
pub mod server;
mod state;
mod store_front;
mod switches;
#[cfg(test)]
mod tests;
mod users;
mod versions;
mod view;
mod wire;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use self::admin::{AdminError, NewLocation};
pub use self::endpoint::{BASE_PATH, Call, Flow, Outcome, Reply};
pub use self::errors::AppleError;
pub use self::faults::{Canned, Fault, FaultRule, Often, RetryAfter, Rewriting};
pub use self::limits::Limits;
pub use self::people::NewUser;
pub use self::purchases::{AssetName, NewAsset, StoreNumbers};
pub use self::state::{CallRecord, Counters, UNLIMITED};
pub use self::switches::*;
pub use self::view::{AssetView, AssignmentView, EventView, LocationView, StateView, TokenView, UserView};
pub use self::wire::{
    EventStatus, EventType, MdmInfo, NotificationType, Platform, PricingParam, ProductType, UserStatus,
};

use self::state::State;
use crate::chance::Chance;
use crate::clock::Clock;

/// The simulated Apple. Cheap to clone; all clones are the same Apple.
#[derive(Clone)]
pub struct Apple(Arc<Inner>);

pub(crate) struct Inner {
    state: Mutex<State>,
    clock: Clock,
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Apple {
    /// An Apple without locations. Ids, delays and faults by rate come from `seed`.
    pub fn new(clock: Clock, seed: u64) -> Apple {
        let state = State {
            chance: Chance::seeded(seed),
            base_url: format!("https://localhost{BASE_PATH}"),
            organisation: "Sandbox Organisation".to_owned(),
            managed_domain: "managed.example".to_owned(),
            locations: BTreeMap::new(),
            tokens: HashMap::new(),
            products: BTreeMap::new(),
            switches: Switches::default(),
            limits: Limits::default(),
            faults: Vec::new(),
            counters: Counters::default(),
            log: VecDeque::new(),
        };
        Apple(Arc::new(Inner { state: Mutex::new(state), clock }))
    }

    /// Answers one call. Work that it starts goes on in a task of the current tokio runtime.
    pub fn call(&self, call: &Call) -> Outcome {
        let now = self.0.clock.now();
        let (outcome, job) = self.lock().answer(call, now);
        if let Some(job) = job {
            tokio::spawn(engine::run(Arc::downgrade(&self.0), self.0.clock.clone(), job));
        }
        outcome
    }

    fn clock(&self) -> Clock {
        self.0.clock.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock()
    }
}
