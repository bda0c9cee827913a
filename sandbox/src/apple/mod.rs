//! Plays Apple's Apps and Books service (the Apps and Books half of the volume licence API, version 2).
//!
//! [`Apple`] is the whole service without sockets: [`Apple::call`] answers one call, [`server`] puts it behind HTTPS. The
//! rest of its methods is what happens at Apple's side without an API: buying, expiry of tokens, people who accept
//! invitations, another server that takes over, faults. It knows nothing of vppd and of APNs, and of devices it only borrows
//! their HTTP client, to send notifications.
//!
//! A call passes `admission` and `calls` to its endpoint: `discovery`, `claim`, `listing`, `users`, `manage`, `events`,
//! `subscriptions`; calls about products go to `catalogue`. What was accepted is worked off by `engine`, told of in `notices`
//! and delivered by `sender`. `location` and `roster` hold the rules of the data, `admin`, `purchases` and `people` what
//! happens without an API, and `meddler` what another client does. Where Apple's behaviour is unknown or contradictory,
//! there is a switch ([`Switches`]).

mod admin;
mod admission;
mod body;
mod calls;
mod catalogue;
mod claim;
mod discovery;
mod endpoint;
mod engine;
mod errors;
mod events;
mod faults;
mod limits;
mod listing;
mod location;
mod manage;
mod meddler;
mod notices;
mod past;
mod people;
mod purchases;
mod query;
mod roster;
mod sender;
pub mod server;
mod state;
mod store_front;
mod subscriptions;
mod switches;
#[cfg(test)]
mod tests;
mod users;
mod versions;
mod view;
mod wire;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

pub use self::admin::{AdminError, NewLocation};
pub use self::catalogue::{Listing, NewVersion};
pub use self::endpoint::{BASE_PATH, Call, Flow, Outcome, Reply};
pub use self::errors::AppleError;
pub use self::faults::{Canned, Fault, FaultRule, Often, RetryAfter, Rewriting, TaskError};
pub use self::limits::Limits;
pub use self::meddler::OtherAct;
pub use self::notices::{Delivery, NotificationRecord};
pub use self::people::NewUser;
pub use self::purchases::{AssetName, NewAsset, StoreNumbers};
pub use self::sender::NotificationRoute;
pub use self::state::{CallRecord, Counters, TokenKind, UNLIMITED};
pub use self::subscriptions::{NewSubscription, SeatCounts, SeatKind, SubscriptionStatus, SubscriptionView};
pub use self::switches::*;
pub use self::view::{AssetView, AssignmentView, EventView, LocationView, StateView, TokenView, UserView};
pub use self::wire::{
    EventStatus, EventType, MdmInfo, NotificationType, Platform, PricingParam, ProductType, UserStatus,
};

use self::calls::{Answered, Step};
use self::engine::Job;
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
            listings: BTreeMap::new(),
            developers: BTreeMap::new(),
            signed_in: HashMap::new(),
            switches: Switches::default(),
            limits: Limits::default(),
            faults: Vec::new(),
            counters: Counters::default(),
            pending: HashMap::new(),
            log: VecDeque::new(),
            network: None,
            outbox: Vec::new(),
            deliveries: VecDeque::new(),
            next_meddling: None,
        };
        Apple(Arc::new(Inner { state: Mutex::new(state), clock }))
    }

    /// Answers one call. Work that it starts goes on in tasks of the current tokio runtime. Ready at once, except for
    /// replies that are held back and for calls that send a notification first.
    pub async fn call(&self, call: &Call) -> Outcome {
        let step = self.lock().answer(call, self.0.clock.now());
        let Answered { outcome, job, delay } = match step {
            Step::Done(answered) => *answered,
            Step::Test(tested) => {
                let accepted = sender::test(&self.0, &tested.letter, &tested.target).await;
                self.lock().answer_tested(call, *tested, accepted, self.0.clock.now())
            }
        };
        self.flush();
        if let Some(job) = job {
            self.start(job).await;
        }
        let delay = delay + Duration::from_millis(self.lock().switches.latency_ms);
        if !delay.is_zero() {
            self.0.clock.sleep(delay).await;
        }
        outcome
    }

    fn clock(&self) -> Clock {
        self.0.clock.clone()
    }

    async fn start(&self, job: Job) {
        let (apple, clock) = (Arc::downgrade(&self.0), self.0.clock.clone());
        if self.lock().switches.notif_early == NotifEarly::Off {
            tokio::spawn(engine::run(apple, clock, job));
            return;
        }
        let (tell, told) = oneshot::channel();
        tokio::spawn(engine::run_early(apple, clock, job, tell));
        // An error says that the sandbox ends.
        let _ = told.await;
    }

    /// Sends the notifications that a change at Apple's side has caused.
    fn flush(&self) {
        sender::flush(&self.0);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock()
    }
}
