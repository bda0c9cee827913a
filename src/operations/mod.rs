//! What vppd does, one file per verb. The control socket, the schedule and the device listener all call these; nobody
//! else writes to the store or calls Apple.
//!
//! Each outward act has the same four steps: load a snapshot in one read, call pure code, record the **intention** in one
//! write, act outside any transaction and record the result. A crash between any two of them is harmless.
//!
//! - inwards: [`tokens`], [`deployments`], [`enrol`], [`pause`], [`users`], [`by_hand`], [`device_removal`], [`retry`] are what a
//!   person asks for;
//!   [`checkin`] and [`report`] are what a device says, [`declarations`] what it is told to have and says of it; [`acme`] and
//!   [`enrol`] give it an identity, [`renewal`] a new one in time, [`identities`] shows them.
//! - [`push_certificate`] is asked for, brought and kept.
//! - who is who: [`directory`] follows a file with people, [`people`] shows them, [`sign_in`] knows them by their [`password`];
//!   [`groups`] of devices and people,
//!   [`device_notes`] on devices.
//! - as a file: [`declared`] writes groups, deployments and token settings down, and makes them so.
//! - onwards: [`reconcile`] plans and records; [`locations`] (with [`licences`], [`reclaim`], [`sync`] and [`users`]) talks to Apple, one task per
//!   location; [`wake`] pushes the devices.
//! - from outside: [`notifications`] of Apple's, which are hints of what to read.
//! - with care: [`safety`] holds a plan that would take back too much; [`shortage`] tells what runs out.
//! - for bad days: [`backup`] and [`restore`], [`master_key`], [`doctor`]; [`clock_watch`] for clocks that jump.
//! - beside: [`alerts`] tell an administrator what needs a person; [`housekeeping`] forgets what is over; [`inventory`] asks
//!   devices what they are and have, [`device_list`] finds them by it.
//! - for people to read: [`metadata`] asks Apple's stores what apps are called, [`catalogue`] finds them by it;
//!   [`subscriptions`] are read and shown.
//! - outwards: [`waste`] tells which licences nobody uses, [`differences`] explains what Apple, vppd and devices do not agree
//!   about; [`look`] makes the [`view`]s that the doors show, [`explain`] tells why a pair is decided as it is, [`why`] why an app
//!   is not on a device, with everything that happened.

pub mod acme;
pub mod alerts;
mod app_terms;
pub mod archive;
pub mod authorities;
pub mod backup;
pub mod by_hand;
pub mod catalogue;
pub mod checkin;
pub mod clock_watch;
pub mod declarations;
pub mod declared;
pub mod deployments;
mod device_index;
pub mod device_list;
pub mod device_notes;
pub mod device_removal;
pub mod differences;
pub mod directory;
pub mod doctor;
pub mod enrol;
mod error;
pub mod explain;
pub mod files;
pub mod groups;
pub mod housekeeping;
pub mod identities;
pub mod inventory;
pub mod keys;
pub mod licences;
pub mod locations;
pub mod look;
pub mod master_key;
pub mod metadata;
pub mod notifications;
pub mod password;
pub mod pause;
pub mod people;
pub mod push_certificate;
pub mod reclaim;
pub mod reconcile;
pub mod renewal;
pub mod report;
pub mod restore;
pub mod retry;
pub mod safety;
pub mod serials;
pub mod shortage;
pub mod sign_in;
pub mod subscriptions;
pub mod sync;
pub mod tasks;
pub mod tokens;
pub mod users;
pub mod view;
pub mod wake;
pub mod waste;
pub mod why;

use std::sync::Arc;

use arc_swap::{ArcSwap, ArcSwapOption};
use jiff::Timestamp;
use tokio::sync::Notify;

pub use device_index::DeviceIndex;
pub use error::{Kind, OperationError};

use crate::apple::{AppleClient, ContentToken};
use crate::clock::Clock;
use crate::config::Config;
use crate::entropy::Entropy;
use crate::licensing::progress::Patience;
use crate::mdm::push::PushClient;
use crate::model::LocationId;
use crate::secret::Sealer;
use crate::store::{Store, Write};
use keys::Keys;

/// Everything an operation needs. One per daemon, shared by all doors.
pub struct Context {
    /// Replaced when the settings are read anew; ask [`Context::config`].
    pub settings: ArcSwap<Config>,
    pub clock: Clock,
    pub entropy: Entropy,
    pub store: Store,
    pub sealer: Sealer,
    pub apple: AppleClient,
    /// Makes a connection to APNs for other settings or another certificate.
    pub make_push: push_certificate::PushMaker,
    /// Replaced with the settings; ask [`Context::push`].
    pub push_client: ArcSwapOption<PushClient>,
    pub keys: Keys,
    /// Our `mdmInfo.id` at Apple.
    pub mdm_id: String,
    pub index: DeviceIndex,
    pub started_at: Timestamp,
    /// Something changed: plan again.
    pub plan_now: Arc<Notify>,
    /// Commands wait: wake devices.
    pub wake_now: Arc<Notify>,
    /// There may be apps whose names are not known.
    pub metadata_now: Arc<Notify>,
    pub workers: Arc<locations::Workers>,
    pub directory: directory::Directory,
    pub clock_watch: clock_watch::ClockWatch,
}

/// The context as the doors share it.
pub type Shared = Arc<Context>;

impl Context {
    /// The settings that hold now. Whoever asks again later may get others.
    pub fn config(&self) -> Arc<Config> {
        self.settings.load_full()
    }

    /// The connection to APNs; `None` without a push certificate: then no device can enrol or be woken.
    pub fn push(&self) -> Option<Arc<PushClient>> {
        self.push_client.load_full()
    }

    /// How patient vppd is with devices, from the configuration.
    pub fn patience(&self) -> Patience {
        let config = self.config();
        Patience {
            verify_after: config.planner.verify_after.clone(),
            retry_after: config.planner.retry_after.clone(),
            max_attempts: config.planner.max_attempts,
            stuck_after: config.planner.stuck_after,
            person_after: config.planner.unanswered_after,
            // Half a minute: it is awake when it enrols, and answers in seconds.
            tells_within: config.planner.settle * 60,
        }
    }

    /// Takes other settings over: everything that waits looks again whether its time has come.
    pub fn reconfigure(&self, config: Config, push: Option<PushClient>, anchors: Vec<Vec<u8>>) {
        self.settings.store(Arc::new(config));
        self.push_client.store(push.map(Arc::new));
        self.keys.anchors.store(Arc::new(anchors));
        self.plan_now.notify_one();
        self.wake_now.notify_one();
        self.metadata_now.notify_one();
        self.directory.now.notify_one();
        self.workers.nudge_all();
    }

    /// The content token of a location, decrypted.
    pub(crate) fn content_token(
        &self,
        location: &crate::store::locations::Location,
    ) -> Result<ContentToken, OperationError> {
        let bytes = self.sealer.open(&sealed_place(&location.uid), &location.sealed_token)?;
        ContentToken::from_file(&bytes).map_err(|error| {
            OperationError::internal(format!("the stored content token of \"{}\" is damaged: {error}", location.name))
        })
    }

    /// Tells the worker of a location that there is something to do.
    pub fn nudge(&self, location: LocationId) {
        self.workers.nudge(location);
    }
}

/// Notifies once what is being saved is on disk, even if whoever asked for it has gone away meanwhile.
fn notify_after(write: &Write<'_>, notify: &Arc<Notify>) {
    let notify = notify.clone();
    write.after_commit(move || notify.notify_one());
}

/// The place that a sealed content token is bound to.
fn sealed_place(uid: &str) -> String {
    format!("content token of {uid}")
}
