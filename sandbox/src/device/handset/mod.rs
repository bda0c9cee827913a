//! One device of a fleet: an iPhone or iPad on the device channel, from enrolment to removal. Speaks only when pushed, or
//! after its own NotNow, as Apple describes it; strict about everything it receives.
//!
//! Knows the world only through its contracts ([`StoreFront`], [`PushInboxes`], [`Network`], [`Clock`]).

mod channel;
mod declaring;
mod execute;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper::StatusCode;
use jiff::Timestamp;
use plist::{Dictionary, Value};
use tokio::sync::mpsc::UnboundedReceiver;

use super::answer::keys;
use super::apps::{App, AppState, Apps};
use super::http::{Identity, Network, SendError};
use super::keys::KeyPool;
use super::options::DeviceSpec;
use super::profile::{Mdm, Profile, ProfileError};
use super::scep::{Client, ScepBehaviour, ScepError};
use crate::chance::Chance;
use crate::clock::Clock;
use crate::world::{PushInboxes, StoreFront, Wake};

/// What all devices share.
#[derive(Clone)]
pub struct World {
    pub clock: Clock,
    pub store: Arc<dyn StoreFront>,
    pub inboxes: PushInboxes,
    pub network: Arc<dyn Network>,
    pub keys: Arc<KeyPool>,
}

/// Why a device is not enrolled.
#[derive(Debug, thiserror::Error)]
pub enum EnrolError {
    #[error("the device refuses the profile: {0}")]
    Profile(#[from] ProfileError),
    #[error("the profile has no MDM payload")]
    NoMdm,
    #[error("the device is enrolled already")]
    Enrolled,
    #[error("no identity by SCEP: {0}")]
    Scep(#[from] ScepError),
    #[error("{step}: {source}")]
    Send { step: &'static str, source: SendError },
    #[error("the server refused {step} with status {status}")]
    Refused { step: &'static str, status: StatusCode },
    #[error("the pool of keys is empty")]
    NoKey,
    #[error("the device could not sign or write its message")]
    Message,
    #[error("the device put its old profile back")]
    PutBack,
}

/// What happened to a device, for comparison with what the server says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counters {
    /// Commands executed, refused or postponed, by RequestType.
    pub commands: BTreeMap<String, u64>,
    /// Malformed commands and replies, and unknown commands.
    pub refused: u64,
    /// What was wrong with the last one of them.
    pub last_refusal: Option<String>,
    pub got_401: u64,
    /// Pushes with another device's or an older magic.
    pub wrong_magic: u64,
    pub not_now: u64,
    /// Connections from Idle (or an unsent result) to the empty body or a failure.
    pub cycles: u64,
    /// Replies that were no 2xx, and requests without a reply.
    pub failures: u64,
    /// What it asked about declarations, by the first word of the endpoint.
    pub asked: BTreeMap<String, u64>,
    /// Declarations that the server did not have.
    pub not_found: u64,
}

/// A device as it truly is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceView {
    pub serial: String,
    pub udid: String,
    pub enrolled: bool,
    pub apps: Vec<App>,
    /// What its owner was asked: adamId, and the state of the app then.
    pub prompts: Vec<(String, AppState)>,
    pub counters: Counters,
}

impl DeviceView {
    /// The same as JSON, for the control side and for people.
    pub fn json(&self) -> serde_json::Value {
        let app = |app: &App| {
            serde_json::json!({
                "adam_id": app.product.adam_id,
                "bundle_id": app.product.bundle_id,
                "state": app.state.map(|state| format!("{state:?}")),
                "installed_version": app.installed,
            })
        };
        let counters = &self.counters;
        serde_json::json!({
            "serial": self.serial,
            "udid": self.udid,
            "enrolled": self.enrolled,
            "apps": self.apps.iter().map(app).collect::<Vec<_>>(),
            "commands": counters.commands,
            "refused": counters.refused,
            "last_refusal": counters.last_refusal,
            "got_401": counters.got_401,
            "wrong_magic": counters.wrong_magic,
            "not_now": counters.not_now,
            "cycles": counters.cycles,
            "failures": counters.failures,
        })
    }
}

/// One simulated device.
pub struct Handset {
    spec: DeviceSpec,
    world: World,
    apps: Arc<Apps>,
    state: Mutex<State>,
}

struct State {
    chance: Chance,
    enrolled: Option<Enrolled>,
    inbox: Option<UnboundedReceiver<Wake>>,
    /// A result the server has not accepted yet; sent before anything else.
    unsent: Option<Message>,
    counters: Counters,
    commands_received: u32,
    results_sent: u32,
    not_now_done: bool,
    installs_refused: usize,
    profiles: Vec<Profile>,
    declaring: declaring::Declaring,
    /// Switched off by its owner.
    is_off: bool,
    /// Renewals that it went through, well or not.
    identities: u32,
    after_answer: Option<AfterAnswer>,
}

/// What is left of a renewal once its answer has arrived.
enum AfterAnswer {
    Become(Enrolled),
    CheckIn(Enrolled),
}

impl State {
    /// Whether the device is still enrolled with the identity of then.
    fn is_enrolled_as(&self, then: &Enrolled) -> bool {
        let now = self.enrolled.as_ref();
        now.is_some_and(|now| now.identity.certificate == then.identity.certificate)
    }
}

/// The management of a device as its backup holds it.
pub struct Backup(Enrolled);

#[derive(Clone)]
struct Enrolled {
    profile: Arc<Profile>,
    mdm: Mdm,
    identity: Identity,
    token: Vec<u8>,
    magic: String,
}

/// A property list to send, and whether it is the result of a command.
#[derive(Clone)]
struct Message {
    keys: Dictionary,
    is_result: bool,
}

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CycleEnd {
    /// Only a push wakes the device again.
    Sleep,
    ComeBack(Duration),
}

impl Handset {
    /// A device fresh from the box. `chance` gives it its token and push magic.
    pub fn new(spec: DeviceSpec, world: World, chance: Chance) -> Arc<Handset> {
        let (clock, store) = (world.clock.clone(), world.store.clone());
        // Macs install without asking.
        let silent = spec.supervised || spec.product.starts_with("Mac");
        let apps = Apps::new(clock, store, spec.serial.clone(), silent, spec.person, spec.timing);
        let state = State {
            chance,
            enrolled: None,
            inbox: None,
            unsent: None,
            counters: Counters::default(),
            commands_received: 0,
            results_sent: 0,
            not_now_done: false,
            installs_refused: 0,
            profiles: Vec::new(),
            declaring: declaring::Declaring::default(),
            is_off: false,
            identities: 0,
            after_answer: None,
        };
        Arc::new(Handset { spec, world, apps, state: Mutex::new(state) })
    }

    /// What this device is.
    pub fn spec(&self) -> &DeviceSpec {
        &self.spec
    }

    /// Its apps; for what the owner does to them.
    pub fn apps(&self) -> &Arc<Apps> {
        &self.apps
    }

    /// The owner deletes an app. False if it is not on the device.
    pub fn person_deletes_app(&self, adam_id: &str) -> bool {
        self.apps.person_deletes(adam_id)
    }

    /// The device as it truly is.
    pub fn view(&self) -> DeviceView {
        let apps = self.apps.all();
        let state = self.lock();
        DeviceView {
            serial: self.spec.serial.clone(),
            udid: self.spec.udid.clone(),
            enrolled: state.enrolled.is_some(),
            apps,
            prompts: self.apps.prompts(),
            counters: state.counters.clone(),
        }
    }

    /// Installs an enrolment profile: identity, Authenticate, TokenUpdate. On an error the device is as before.
    pub async fn enrol(&self, profile: &[u8]) -> Result<(), EnrolError> {
        if self.lock().enrolled.is_some() {
            return Err(EnrolError::Enrolled);
        }
        let profile = Profile::read(profile)?;
        let (token, magic) = {
            let mut state = self.lock();
            let token: Vec<u8> = (0..4).flat_map(|_| state.chance.next().to_be_bytes()).collect();
            (token, state.chance.uuid().to_string().to_uppercase())
        };
        // Listens before the server knows the token: the first push may come with the reply.
        let inbox = self.world.inboxes.register(token.clone());
        let enrolled = match self.check_in(profile, token.clone(), magic, false, false).await {
            Ok(enrolled) => enrolled,
            Err(error) => {
                self.world.inboxes.forget(&token);
                return Err(error);
            }
        };
        let mut state = self.lock();
        state.profiles = vec![enrolled.profile.as_ref().clone()];
        state.enrolled = Some(enrolled);
        state.inbox = Some(inbox);
        Ok(())
    }

    /// Obtains an identity and introduces itself with it, unless that is for `later`. The same for enrolment and renewal,
    /// which may fail half way.
    async fn check_in(
        &self,
        profile: Profile,
        token: Vec<u8>,
        magic: String,
        fails: bool,
        later: bool,
    ) -> Result<Enrolled, EnrolError> {
        let enrolment = profile.enrolment.clone().ok_or(EnrolError::NoMdm)?;
        let key = self.world.keys.take().ok_or(EnrolError::NoKey)?;
        let open = |source| EnrolError::Send { step: "SCEP", source };
        let session = self.world.network.session(&profile.anchors, None).map_err(open)?;
        let mut chance = Chance::seeded(self.lock().chance.next());
        let client = Client { session: session.as_ref(), clock: &self.world.clock, behaviour: self.scep_behaviour() };
        let identity = client.obtain(&enrolment.scep, key, &mut chance).await?;
        let mdm = enrolment.mdm;
        let enrolled = Enrolled { profile: Arc::new(profile), mdm, identity, token, magic };
        if !later {
            self.introduce(&enrolled, fails).await?;
        }
        Ok(enrolled)
    }

    async fn introduce(&self, enrolled: &Enrolled, fails: bool) -> Result<(), EnrolError> {
        self.check_in_message(enrolled, "Authenticate", self.authenticate(&enrolled.mdm)).await?;
        if fails {
            return Err(EnrolError::PutBack);
        }
        let update = keys([
            ("Token", Value::Data(enrolled.token.clone())),
            ("PushMagic", enrolled.magic.as_str().into()),
            ("AwaitingConfiguration", false.into()),
        ]);
        self.check_in_message(enrolled, "TokenUpdate", update).await
    }

    /// The certificate (DER) that it uses now.
    pub fn identity(&self) -> Option<Vec<u8>> {
        self.lock().enrolled.as_ref().map(|enrolled| enrolled.identity.certificate.clone())
    }

    /// Connects once without having been pushed, as after its own NotNow.
    pub async fn wake_by_itself(&self) {
        self.connect().await;
    }

    /// Its owner switches it off, or on again. Off, it neither hears nor says anything.
    pub fn switch(&self, on: bool) {
        self.lock().is_off = !on;
    }

    fn scep_behaviour(&self) -> ScepBehaviour {
        let behaviour = &self.spec.behaviour;
        ScepBehaviour {
            der: behaviour.der,
            challenge_as_utf8: behaviour.challenge_as_utf8,
            sorted_attributes: behaviour.sorted_csr_attributes,
            lose_reply: behaviour.lose_scep_reply,
            old_client: behaviour.old_scep_client,
        }
    }

    fn authenticate(&self, mdm: &Mdm) -> Dictionary {
        let tells_itself = mdm.access_rights & super::answer::right::DEVICE_INFORMATION != 0;
        if self.spec.behaviour.minimal_authenticate || !tells_itself {
            return Dictionary::new();
        }
        keys([
            ("OSVersion", self.spec.os_version.as_str().into()),
            ("BuildVersion", self.spec.build_version.as_str().into()),
            ("ProductName", self.spec.product.as_str().into()),
            ("SerialNumber", self.spec.serial.as_str().into()),
        ])
    }

    /// Connects whenever it is pushed, until it is no longer enrolled.
    pub async fn run(self: Arc<Self>) {
        let Some(mut inbox) = self.lock().inbox.take() else { return };
        let mut back_at: Option<Timestamp> = None;
        loop {
            let wait = back_at.and_then(|at| Duration::try_from(at.duration_since(self.world.clock.now())).ok());
            let connect = tokio::select! {
                biased;
                () = self.apps.changed(), if self.tells() => {
                    // What changes at once is told at once.
                    self.world.clock.sleep(Duration::from_secs(1)).await;
                    self.report().await;
                    continue;
                }
                wake = inbox.recv() => match wake {
                    None => return,
                    Some(first) => {
                        let rest = std::iter::from_fn(|| inbox.try_recv().ok());
                        self.is_meant(std::iter::once(first).chain(rest))
                    }
                },
                () = self.world.clock.sleep(wait.unwrap_or_default()), if back_at.is_some() => true,
            };
            if !connect || self.spec.behaviour.stay_away || self.lock().is_off {
                continue;
            }
            back_at = match self.connect().await {
                CycleEnd::Sleep => None,
                CycleEnd::ComeBack(delay) => Some(self.world.clock.after(delay)),
            };
            self.sync().await;
        }
    }

    /// Whether one of these pushes carries this device's magic; others are ignored and counted.
    fn is_meant(&self, wakes: impl Iterator<Item = Wake>) -> bool {
        let mut state = self.lock();
        let magic = state.enrolled.as_ref().map(|enrolled| enrolled.magic.clone());
        let mut meant = false;
        for wake in wakes {
            if Some(wake.push_magic) == magic {
                meant = true;
            } else {
                state.counters.wrong_magic += 1;
            }
        }
        meant
    }

    /// The owner removes the profile: one CheckOut if the profile asks for it, then everything managed goes.
    pub async fn unenrol(&self) {
        let Some(enrolled) = self.lock().enrolled.clone() else { return };
        if enrolled.mdm.check_out_when_removed && !self.spec.behaviour.lose_check_out {
            // Best effort: whatever the answer is, the profile goes.
            let _ = self.check_in_message(&enrolled, "CheckOut", Dictionary::new()).await;
        }
        self.remove_profile();
    }

    /// What a backup of the device holds of its management.
    pub fn back_up(&self) -> Option<Backup> {
        self.lock().enrolled.clone().map(Backup)
    }

    /// The device is restored from its own backup: it has the profile and the identity of then, gets another token, and says
    /// so in a TokenUpdate, without Authenticate.
    pub async fn restore(&self, backup: Backup) -> Result<(), EnrolError> {
        if self.lock().enrolled.is_some() {
            return Err(EnrolError::Enrolled);
        }
        let token: Vec<u8> = (0..4).flat_map(|_| self.lock().chance.next().to_be_bytes()).collect();
        let inbox = self.world.inboxes.register(token.clone());
        let enrolled = Enrolled { token, ..backup.0 };
        let update = keys([
            ("Token", Value::Data(enrolled.token.clone())),
            ("PushMagic", enrolled.magic.as_str().into()),
            ("AwaitingConfiguration", false.into()),
        ]);
        self.check_in_message(&enrolled, "TokenUpdate", update).await?;
        let mut state = self.lock();
        state.profiles = vec![enrolled.profile.as_ref().clone()];
        (state.enrolled, state.inbox) = (Some(enrolled), Some(inbox));
        Ok(())
    }

    fn remove_profile(&self) {
        let mut state = self.lock();
        let Some(enrolled) = state.enrolled.take() else { return };
        (state.unsent, state.inbox) = (None, None);
        state.profiles.clear();
        state.declaring = declaring::Declaring::default();
        drop(state);
        self.world.inboxes.forget(&enrolled.token);
        self.apps.profile_removed();
    }

    fn count_refusal(&self, problem: &dyn std::fmt::Display) {
        let mut state = self.lock();
        state.counters.refused += 1;
        state.counters.last_refusal = Some(problem.to_string());
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
