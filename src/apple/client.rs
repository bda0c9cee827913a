//! The client of Apple's Apps and Books service: one method per call, with budget, bounded retries and sorted errors.
//! Every reply's `mdmInfo` and `uId` reach the caller, who alone knows whose location it should be.
//!
//! A read is repeated when anything goes wrong on the way. A change is repeated only when Apple surely did not carry it
//! out; otherwise the caller gets [`AppleError::UnknownOutcome`] and must look before it sends again.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use hyper::header::HeaderValue;
use hyper::{Method, Uri};
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::Semaphore;

use super::budget::{Budget, Lane, PATIENCE};
use super::content_token::ContentToken;
use super::contract::Noticed;
use super::error::{Answer, AppleError, RetryCause, TokenProblemKind, classify};
use super::limits::{Endpoint, HARD_AGE, Limits, SOFT_AGE, ServiceConfig};
use super::room::Room;
use super::transport::{Failure, Incoming, JSON, Outgoing, Transport};
use super::wire::subscriptions::SubscriptionsPage;
use super::wire::{
    Asset, AssetRef, AssetsLists, Assignment, AssignmentsList, ClientConfig, ClientConfigRequest, Envelope,
    EventResponse, EventStatus, ManageAssetsRequest, ManageUsersRequest, MdmInfo, RevokeAssetsRequest,
    ServiceConfigReply, User, UserRequest, UsersList, parse_date,
};
use crate::clock::{Clock, after};
use crate::entropy::Entropy;
use crate::model::{Holders, UserVerb};
use crate::proxy::Proxy;

/// Apple's address.
pub const APPLE: &str = "https://vpp.itunes.apple.com/mdm/v2/";
/// How often a call is tried in all.
const TRIES: u32 = 6;
const SHORTEST_WAIT: Duration = Duration::from_millis(500);
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// Pages at hand in all listings together, beyond one for each.
const SPARE_PAGES: usize = 24;
/// How long a failed read of `service/config` is not repeated.
const CONFIG_HOLD_OFF: Duration = Duration::from_secs(60);

/// Time limits of one try.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// TCP and TLS together.
    pub connect: Duration,
    /// Everything, up to the last byte of the reply. Should be longer than `connect`.
    pub total: Duration,
}

impl Default for Timeouts {
    fn default() -> Timeouts {
        Timeouts { connect: Duration::from_secs(5), total: Duration::from_secs(30) }
    }
}

/// What an [`AppleClient`] is made of.
pub struct ClientOptions {
    /// [`APPLE`], or a stand-in: https, or http on a loopback address.
    pub base_url: String,
    pub roots: Arc<rustls::RootCertStore>,
    /// None: Apple is called directly.
    pub proxy: Option<Proxy>,
    pub clock: Clock,
    pub entropy: Entropy,
    pub user_agent: String,
    pub timeouts: Timeouts,
    /// Most requests a second for one location; Apple's own limit still holds.
    pub requests_per_second: u32,
}

/// Why a client cannot be made of its options.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    #[error(
        "Apple's address `{0}` cannot be used: it must be https, or http on a loopback address, with a host and \
         without user name or query"
    )]
    BaseUrl(String),
    #[error("the user agent `{0}` has characters that HTTP does not allow")]
    UserAgent(String),
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
}

/// A location as seen by the client: which budget its calls draw on, and the token they carry. Immutable; a new token
/// makes a new one.
#[derive(Debug, Clone)]
pub struct Location {
    key: Arc<str>,
    token: Arc<ContentToken>,
    lane: Lane,
}

impl Location {
    /// `key` is the `uId`, or the token's fingerprint while the `uId` is not known. Calls go in the bulk lane.
    pub fn new(key: impl Into<Arc<str>>, token: Arc<ContentToken>) -> Location {
        Location { key: key.into(), token, lane: Lane::Bulk }
    }

    /// The same location, for calls that someone waits for.
    pub fn urgent(&self) -> Location {
        Location { lane: Lane::Urgent, ..self.clone() }
    }

    pub fn token(&self) -> &ContentToken {
        &self.token
    }
}

/// A reply with what Apple adds to all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply<T> {
    pub body: T,
    /// None when Apple left it out.
    pub uid: Option<String>,
    /// Who manages the location by now. None: nobody.
    pub mdm_info: Option<MdmInfo>,
    /// None when Apple does not tell; the token's own date holds then.
    pub token_expires_at: Option<Timestamp>,
    /// Of a page of assignments, which are many: kept until they are stored.
    pub(super) room: Room,
}

/// Apple has accepted work and will do it later. Accepted is not done: ask for the event's status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventAccepted {
    pub event_id: String,
    pub mdm_info: Option<MdmInfo>,
    pub uid: Option<String>,
}

/// Where notifications go, and with which secret.
pub struct NotificationTarget<'a> {
    pub url: &'a str,
    pub secret: &'a SecretString,
}

/// One page of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    pub records: Vec<T>,
    /// None on the last page.
    pub next: Option<u32>,
    /// May change from page to page.
    pub total_pages: u32,
    /// Opaque and not ordered.
    pub version_id: String,
}

/// Which users a listing holds. Apple leaves open what both filters together mean, so that cannot be said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhichUsers {
    All,
    Active,
    Retired,
}

impl WhichUsers {
    fn parameter(self) -> Option<&'static str> {
        match self {
            WhichUsers::All => None,
            WhichUsers::Active => Some("activeOnly"),
            WhichUsers::Retired => Some("retiredOnly"),
        }
    }
}

/// What became of one call to see whether Apple can be reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    pub url: String,
    /// From the question to the last byte of the answer, a new connection included if there was none.
    pub took: Duration,
    /// `None`: Apple answered as it should, and over TLS its certificate is good.
    pub error: Option<AppleError>,
}

struct Call<'a> {
    endpoint: Endpoint,
    query: &'a [(&'a str, String)],
    /// JSON; a call with a body changes something.
    body: Option<Bytes>,
}

/// The client. One for the whole process, shared.
pub struct AppleClient {
    transport: Transport,
    base: Uri,
    clock: Clock,
    entropy: Entropy,
    requests_per_second: u32,
    budgets: Mutex<HashMap<Arc<str>, Arc<Budget>>>,
    config: tokio::sync::Mutex<KeptConfig>,
    config_is_stale: AtomicBool,
    calls: [AtomicU64; Endpoint::ALL.len()],
    spare_pages: Semaphore,
    noticed: Noticed,
    paces: stores::Paces,
}

#[derive(Default)]
struct KeptConfig {
    config: Arc<ServiceConfig>,
    fetched_at: Option<Timestamp>,
    failed_at: Option<Timestamp>,
}

impl AppleClient {
    pub fn new(options: ClientOptions) -> Result<AppleClient, SetupError> {
        let base = options.base_url.parse().ok().filter(usable).ok_or(SetupError::BaseUrl(options.base_url))?;
        let user_agent =
            HeaderValue::from_str(&options.user_agent).map_err(|_| SetupError::UserAgent(options.user_agent))?;
        let Timeouts { connect, total } = options.timeouts;
        Ok(AppleClient {
            transport: Transport::new(options.roots, options.proxy, options.clock.clone(), user_agent, connect, total)?,
            base,
            clock: options.clock,
            entropy: options.entropy,
            requests_per_second: options.requests_per_second,
            budgets: Mutex::default(),
            config: tokio::sync::Mutex::default(),
            config_is_stale: AtomicBool::new(false),
            calls: Default::default(),
            spare_pages: Semaphore::new(SPARE_PAGES),
            noticed: Noticed::default(),
            paces: stores::Paces::default(),
        })
    }

    /// Apple's limits and addresses: a copy of at most five minutes, the last good one of at most a day when Apple does
    /// not answer, else the built-in ones. Never fails (Apple: Service Configuration).
    pub async fn service_config(&self) -> Arc<ServiceConfig> {
        let mut kept = self.config.lock().await;
        let now = self.clock.steady();
        let younger = |time: Option<Timestamp>, age| time.is_some_and(|time| now < after(time, age));
        let fresh = younger(kept.fetched_at, SOFT_AGE) && !self.config_is_stale.load(Ordering::SeqCst);
        if !fresh && !younger(kept.failed_at, CONFIG_HOLD_OFF) {
            let call = Call { endpoint: Endpoint::ServiceConfig, query: &[], body: None };
            match self.once(None, &call, &kept.config, read_json::<ServiceConfigReply>).await {
                Ok(reply) => {
                    let config = Arc::new(ServiceConfig::read(&reply.body, &self.base));
                    *kept = KeptConfig { config, fetched_at: Some(self.clock.steady()), failed_at: None };
                    self.config_is_stale.store(false, Ordering::SeqCst);
                }
                Err(error) => {
                    log::warn!("Apple's limits cannot be read, the last known ones are used: {error}");
                    kept.failed_at = Some(self.clock.steady());
                }
            }
        }
        if kept.fetched_at.is_some() && !younger(kept.fetched_at, HARD_AGE) {
            kept.config = Arc::default();
        }
        kept.config.clone()
    }

    /// Name, country and owner of the location (Apple: Get Client Config). Also the check of a new token.
    pub async fn client_config(&self, location: &Location) -> Result<Reply<ClientConfig>, AppleError> {
        self.read(location, Endpoint::ClientConfig, &[], read_json).await
    }

    /// Writes our name on the location (Apple: Client Config). Whoever had it before is not asked: ask first.
    pub async fn claim(&self, location: &Location, mdm_info: &MdmInfo) -> Result<Reply<ClientConfig>, AppleError> {
        let request = ClientConfigRequest {
            mdm_info,
            notification_url: None,
            notification_auth_token: None,
            notification_types: None,
        };
        self.change(location, Endpoint::ClientConfig, &request).await
    }

    /// Writes our name on the location as [`AppleClient::claim`] does, and says where notifications of these types go; with
    /// no target, Apple keeps or forgets the one it has (Apple: Client Config). Apple tries the target before it answers.
    pub async fn subscribe(
        &self,
        location: &Location,
        mdm_info: &MdmInfo,
        target: Option<&NotificationTarget<'_>>,
        types: &[&str],
    ) -> Result<Reply<ClientConfig>, AppleError> {
        let request = ClientConfigRequest {
            mdm_info,
            notification_url: target.map(|target| target.url),
            notification_auth_token: target.map(|target| target.secret.expose_secret()),
            notification_types: Some(types),
        };
        self.change(location, Endpoint::ClientConfig, &request).await
    }

    /// A page of assets, from 0 (Apple: Get Assets). Unlimited assets are among them.
    pub async fn assets_page(&self, location: &Location, index: u32) -> Result<Reply<Page<Asset>>, AppleError> {
        let query = [("pageIndex", index.to_string())];
        self.read(location, Endpoint::Assets, &query, read_page::<Asset, AssetsLists>).await
    }

    /// A page of the assets of one product, in all its qualities (Apple: Get Assets with `adamId`).
    pub async fn assets_of_product(
        &self,
        location: &Location,
        adam_id: &str,
        index: u32,
    ) -> Result<Reply<Page<Asset>>, AppleError> {
        let query = [("pageIndex", index.to_string()), ("adamId", adam_id.to_owned())];
        self.read(location, Endpoint::Assets, &query, read_page::<Asset, AssetsLists>).await
    }

    /// A page of assignments, from 0 (Apple: Get Assignments). With `since`, a version of an earlier listing, only what
    /// has changed after it; removals do not show. [`AppleError::Resync`] when Apple does not know the version any more.
    pub async fn assignments_page(
        &self,
        location: &Location,
        index: u32,
        since: Option<&str>,
    ) -> Result<Reply<Page<Assignment>>, AppleError> {
        let mut query = vec![("pageIndex", index.to_string())];
        query.extend(since.map(|version| ("sinceVersionId", version.to_owned())));
        self.read(location, Endpoint::Assignments, &query, read_page::<Assignment, AssignmentsList>).await
    }

    /// Who holds one asset, in pages (Apple: Get Assignments with `adamId` and `pricingParam`). Its versions belong to this
    /// filter.
    pub async fn assignments_of_asset(
        &self,
        location: &Location,
        asset: &AssetRef,
        index: u32,
    ) -> Result<Reply<Page<Assignment>>, AppleError> {
        let query = [
            ("pageIndex", index.to_string()),
            ("adamId", asset.adam_id.0.clone()),
            ("pricingParam", asset.pricing_param.word().to_owned()),
        ];
        self.read(location, Endpoint::Assignments, &query, read_page::<Assignment, AssignmentsList>).await
    }

    /// Places for pages at hand beyond the one that each listing always has: whoever lists many locations at once does not
    /// hold all their pages at once.
    pub(super) fn budget_of(&self, location: &Location) -> Arc<Budget> {
        self.budget(location.key.clone())
    }

    pub(super) fn spare_pages(&self) -> &Semaphore {
        &self.spare_pages
    }

    /// A page of subscriptions (Apple: Managing Subscriptions): the first, or the one at a cursor.
    pub async fn subscriptions_page(
        &self,
        location: &Location,
        cursor: &str,
    ) -> Result<Reply<SubscriptionsPage>, AppleError> {
        let cursor = (!cursor.is_empty()).then(|| ("cursor", cursor.to_owned()));
        self.read(location, Endpoint::Subscriptions, cursor.as_slice(), read_json).await
    }

    /// Asks to give every asset to every holder (Apple: Associate Assets). The caller keeps to the limits.
    pub async fn associate(
        &self,
        location: &Location,
        assets: &[AssetRef],
        holders: &Holders,
    ) -> Result<EventAccepted, AppleError> {
        self.start(location, Endpoint::Associate, &ManageAssetsRequest::new(assets, holders)).await
    }

    /// Asks to take every asset from every holder (Apple: Disassociate Assets).
    pub async fn disassociate(
        &self,
        location: &Location,
        assets: &[AssetRef],
        holders: &Holders,
    ) -> Result<EventAccepted, AppleError> {
        self.start(location, Endpoint::Disassociate, &ManageAssetsRequest::new(assets, holders)).await
    }

    /// Asks to take back everything that can be taken back from these holders (Apple: Revoke Assets). Books stay.
    pub async fn revoke(
        &self,
        location: &Location,
        serials: &[String],
        users: &[String],
    ) -> Result<EventAccepted, AppleError> {
        self.start(location, Endpoint::Revoke, &RevokeAssetsRequest { serial_numbers: serials, client_user_ids: users })
            .await
    }

    /// A page of registered users, from 0 (Apple: Get Users). With `since`, as with [`AppleClient::assignments_page`]; a
    /// version belongs to one choice of `which`.
    pub async fn users_page(
        &self,
        location: &Location,
        index: u32,
        which: WhichUsers,
        since: Option<&str>,
    ) -> Result<Reply<Page<User>>, AppleError> {
        let mut query = vec![("pageIndex", index.to_string())];
        query.extend(which.parameter().map(|name| (name, "true".to_owned())));
        query.extend(since.map(|version| ("sinceVersionId", version.to_owned())));
        self.read(location, Endpoint::Users, &query, read_page::<User, UsersList>).await
    }

    /// Asks to register users, to change registered ones, or to retire them (Apple: Create Users, Update Users, Retire
    /// Users). The caller keeps to the limit and names nobody twice.
    pub async fn manage_users(
        &self,
        location: &Location,
        verb: UserVerb,
        users: &[UserRequest],
    ) -> Result<EventAccepted, AppleError> {
        let endpoint = match verb {
            UserVerb::Create => Endpoint::CreateUsers,
            UserVerb::Update => Endpoint::UpdateUsers,
            UserVerb::Retire => Endpoint::RetireUsers,
        };
        self.start(location, endpoint, &ManageUsersRequest { users }).await
    }

    /// How far an event is (Apple: Event Status). [`AppleError::Resync`] when Apple does not know the event any more.
    pub async fn status(&self, location: &Location, event_id: &str) -> Result<Reply<EventStatus>, AppleError> {
        self.read(location, Endpoint::Status, &[("eventId", event_id.to_owned())], read_json).await
    }

    /// Requests sent so far, by path, tries that failed included.
    pub fn calls(&self) -> BTreeMap<&'static str, u64> {
        let counts = Endpoint::ALL.iter().zip(&self.calls);
        counts.map(|(endpoint, count)| (endpoint.path(), count.load(Ordering::Relaxed))).collect()
    }

    /// Where replies differ from what Apple describes.
    pub fn noticed(&self) -> &Noticed {
        &self.noticed
    }

    /// Apple's limits as they hold now, and since when they are known; `None` while they are the built-in ones. Asks nobody.
    pub async fn known_limits(&self) -> (Limits, Option<Timestamp>) {
        let kept = self.config.lock().await;
        (kept.config.limits, kept.fetched_at.map(|steady| self.clock.expected_at(steady)))
    }

    /// Asks for the service's configuration once, whatever is known already, to see whether Apple can be reached.
    pub async fn probe(&self) -> Probe {
        let began = self.clock.steady();
        let call = Call { endpoint: Endpoint::ServiceConfig, query: &[], body: None };
        let config = self.config.lock().await.config.clone();
        let result = self.once(None, &call, &config, read_json::<ServiceConfigReply>).await;
        let took = Duration::try_from(self.clock.steady().duration_since(began)).unwrap_or_default();
        Probe { url: self.base.to_string(), took, error: result.err() }
    }

    /// A call that Apple accepts now and carries out later.
    async fn start(
        &self,
        location: &Location,
        endpoint: Endpoint,
        body: &impl Serialize,
    ) -> Result<EventAccepted, AppleError> {
        let reply: Reply<EventResponse> = self.change(location, endpoint, body).await?;
        Ok(EventAccepted { event_id: reply.body.event_id, mdm_info: reply.mdm_info, uid: reply.uid })
    }

    async fn read<T>(
        &self,
        location: &Location,
        endpoint: Endpoint,
        query: &[(&str, String)],
        read: fn(&Envelope, &[u8]) -> serde_json::Result<T>,
    ) -> Result<Reply<T>, AppleError> {
        self.persist(location, Call { endpoint, query, body: None }, read).await
    }

    async fn change<T: DeserializeOwned>(
        &self,
        location: &Location,
        endpoint: Endpoint,
        body: &impl Serialize,
    ) -> Result<Reply<T>, AppleError> {
        let body = serde_json::to_vec(body)
            .map_err(|error| AppleError::Malformed { why: format!("our request cannot be written: {error}") })?;
        let call = Call { endpoint, query: &[], body: Some(body.into()) };
        match self.persist(location, call, read_json).await {
            // How Apple tells that a token may look and not change anything is not documented. If the same token may look,
            // it is that.
            Err(AppleError::TokenProblem { kind: TokenProblemKind::Rejected, number })
                if self.client_config(location).await.is_ok() =>
            {
                Err(AppleError::Forbidden { number })
            }
            outcome => outcome,
        }
    }

    /// Tries a call until it is answered, refused, or tried often enough.
    async fn persist<T>(
        &self,
        location: &Location,
        call: Call<'_>,
        read: fn(&Envelope, &[u8]) -> serde_json::Result<T>,
    ) -> Result<Reply<T>, AppleError> {
        let mut attempt = 0;
        loop {
            attempt += 1;
            let config = self.service_config().await;
            let error = match self.once(Some(location), &call, &config, read).await {
                Ok(reply) => return Ok(reply),
                Err(error) => error,
            };
            if error.invalidates_service_config() {
                self.config_is_stale.store(true, Ordering::SeqCst);
            }
            let wait = match &error {
                // The location's budget pauses for as long as Apple asked.
                AppleError::RetryLater { after: Some(asked), .. } if *asked <= PATIENCE => Duration::ZERO,
                AppleError::RetryLater { after: Some(_), .. } => return Err(error),
                AppleError::RetryLater { why: RetryCause::Throttled, .. } => Duration::ZERO,
                AppleError::RetryLater { .. } | AppleError::Malformed { .. } => self.full_jitter(attempt),
                _ => return Err(error),
            };
            if attempt >= TRIES {
                return Err(error);
            }
            log::debug!("try {attempt} of {} failed: {error}", call.endpoint.path());
            self.clock.sleep(wait).await;
        }
    }

    /// Anything between half a second and a bound that grows fourfold with each try.
    fn full_jitter(&self, attempt: u32) -> Duration {
        let bound = Duration::from_secs(4u64.saturating_pow(attempt.saturating_sub(1))).min(LONGEST_WAIT);
        SHORTEST_WAIT + (bound - SHORTEST_WAIT).mul_f64(self.entropy.fraction())
    }

    async fn once<T>(
        &self,
        location: Option<&Location>,
        call: &Call<'_>,
        config: &ServiceConfig,
        read: fn(&Envelope, &[u8]) -> serde_json::Result<T>,
    ) -> Result<Reply<T>, AppleError> {
        let budget = self.budget(location.map_or_else(|| Arc::from(""), |location| location.key.clone()));
        let _place = match call.endpoint {
            Endpoint::Assets | Endpoint::Assignments | Endpoint::Users => budget.page_place().await,
            _ => None,
        };
        let lane = location.map_or(Lane::Urgent, |location| location.lane);
        let admitted = budget.admit(lane, config.limits.max_request_per_second).await;
        admitted.map_err(|paused| AppleError::RetryLater { after: Some(paused.left), why: RetryCause::Throttled })?;
        self.count(call.endpoint);
        let outgoing = Outgoing {
            method: if call.body.is_some() { Method::POST } else { Method::GET },
            url: self.url(call, config)?,
            token: location.map(|location| location.token.text()),
            cookie: None,
            body: call.body.clone(),
            accept: JSON,
        };
        let changes = call.body.is_some();
        let incoming = self.transport.exchange(outgoing).await.map_err(|failure| failed(failure, changes))?;
        let mut result = understand(&incoming, changes, read);
        if result.is_ok() {
            self.noticed.look(call.endpoint, &incoming.body, self.clock.now());
        }
        self.obey(&budget, &incoming, result.as_ref().err());
        if let (Endpoint::Assignments, Ok(reply)) = (call.endpoint, &mut result) {
            reply.room = incoming.room;
        }
        result
    }

    /// Lets the location's budget feel what Apple said.
    fn obey(&self, budget: &Budget, incoming: &Incoming, error: Option<&AppleError>) {
        match error {
            Some(_) if incoming.retry_after.is_some() => budget.pause(incoming.retry_after),
            Some(AppleError::RetryLater { why: RetryCause::Throttled, .. }) => budget.pause(None),
            Some(_) => {}
            None => budget.relax(),
        }
    }

    fn url(&self, call: &Call<'_>, config: &ServiceConfig) -> Result<Uri, AppleError> {
        let mut url = config.url(call.endpoint, &self.base);
        if !call.query.is_empty() {
            let pairs = form_urlencoded::Serializer::new(String::new()).extend_pairs(call.query).finish();
            url = format!("{url}?{pairs}");
        }
        url.parse().map_err(|_| AppleError::Malformed { why: "the address that Apple gave cannot be used".into() })
    }

    fn budget(&self, key: Arc<str>) -> Arc<Budget> {
        let mut budgets = self.budgets.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Arc::new(Budget::new(self.clock.clone(), self.entropy.clone(), self.requests_per_second));
        budgets.entry(key).or_insert_with(new).clone()
    }

    fn count(&self, endpoint: Endpoint) {
        let counts = Endpoint::ALL.iter().zip(&self.calls);
        counts.filter(|(other, _)| **other == endpoint).for_each(|(_, count)| {
            count.fetch_add(1, Ordering::Relaxed);
        });
    }
}

/// Looks for an error first, whatever the status, then for what was asked for.
fn understand<T>(
    incoming: &Incoming,
    changes: bool,
    read: fn(&Envelope, &[u8]) -> serde_json::Result<T>,
) -> Result<Reply<T>, AppleError> {
    let good = (200..300).contains(&incoming.status);
    let envelope: serde_json::Result<Envelope> = serde_json::from_slice(&incoming.body);
    let number = envelope.as_ref().ok().and_then(|envelope| envelope.error_number);
    if number.is_some() || !good {
        let info = envelope.ok().and_then(|envelope| envelope.error_info);
        let Incoming { status, retry_after, .. } = *incoming;
        return Err(classify(Answer { status, number, info, retry_after, changes }));
    }
    let both = envelope.and_then(|envelope| read(&envelope, &incoming.body).map(|body| (envelope, body)));
    let (envelope, body) = both.map_err(|error| match changes {
        true => AppleError::UnknownOutcome { why: RetryCause::Garbled },
        false => AppleError::Malformed { why: told(&error) },
    })?;
    let token_expires_at = envelope.token_expiration_date.as_deref().and_then(parse_date);
    Ok(Reply { body, uid: envelope.u_id, mdm_info: envelope.mdm_info, token_expires_at, room: Room::default() })
}

fn failed(failure: Failure, changes: bool) -> AppleError {
    match failure {
        Failure::NotSent(why) => AppleError::RetryLater { after: None, why },
        Failure::Lost(why) if changes => AppleError::UnknownOutcome { why },
        Failure::Lost(why) => AppleError::RetryLater { after: None, why },
        Failure::TooLarge if changes => AppleError::UnknownOutcome { why: RetryCause::Garbled },
        Failure::TooLarge => AppleError::Malformed { why: "it is larger than 32 MiB".into() },
    }
}

/// Where reading failed. Not the library's own words: they quote the body.
fn told(error: &serde_json::Error) -> String {
    let what = match error.classify() {
        serde_json::error::Category::Eof => "it is cut off",
        serde_json::error::Category::Data => "a member is missing or has an unknown form",
        _ => "it is not JSON",
    };
    format!("{what} (line {}, column {})", error.line(), error.column())
}

fn read_json<T: DeserializeOwned>(_: &Envelope, body: &[u8]) -> serde_json::Result<T> {
    serde_json::from_slice(body)
}

fn read_page<T, L: DeserializeOwned + Into<Vec<T>>>(envelope: &Envelope, body: &[u8]) -> serde_json::Result<Page<T>> {
    let version_id = envelope.version_id.clone().ok_or_else(|| serde::de::Error::missing_field("versionId"))?;
    let records = serde_json::from_slice::<L>(body)?.into();
    Ok(Page { records, next: envelope.next_page_index, total_pages: envelope.total_pages, version_id })
}

/// Https with a host; http only on a loopback address, where nobody can listen in.
fn usable(base: &Uri) -> bool {
    let Some(authority) = base.authority() else { return false };
    let host = authority.host().trim_matches(['[', ']']);
    let loopback = host == "localhost" || host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback());
    let scheme = match base.scheme_str() {
        Some("https") => true,
        Some("http") => loopback,
        _ => false,
    };
    scheme && base.query().is_none() && !host.is_empty() && !authority.as_str().contains('@')
}

pub mod stores;
#[cfg(test)]
mod tests;
