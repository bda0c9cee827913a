//! `assets/associate`, `assets/disassociate` and `status`: what is checked before an event is accepted, and how it stands.

use std::collections::{BTreeMap, HashSet};
use std::hash::Hash;

use jiff::{SignedDuration, Timestamp};

use super::admission::Session;
use super::calls::Performed;
use super::endpoint::{Call, Endpoint, Reply};
use super::engine::Job;
use super::errors::{AppleError, Refusal};
use super::query::Query;
use super::state::{AssetKey, Event, Holder, State};
use super::switches::{BothTargets, UnknownAsset};
use super::wire::{ErrorBody, ErrorInfo, EventAccepted, EventReport, EventStatus, EventType, ManageAssets};

/// A request that has been read: every asset for every target.
struct Wanted {
    kind: EventType,
    assets: Vec<AssetKey>,
    users: Vec<String>,
    serials: Vec<String>,
}

impl State {
    /// Checks 7 to 12 of associate and disassociate.
    pub(super) fn manage(&mut self, endpoint: Endpoint, call: &Call, session: &Session, now: Timestamp) -> Performed {
        Query::parse(&call.query, &[])?;
        let kind = if endpoint == Endpoint::Associate { EventType::Associate } else { EventType::Disassociate };
        let wanted = self.read_wanted(kind, call)?;
        self.check_limits(&wanted)?;
        check_duplicates(&wanted)?;
        self.check_flags(&wanted, session)?;
        Ok(self.accept(wanted, session, now))
    }

    fn read_wanted(&self, kind: EventType, call: &Call) -> Result<Wanted, Refusal> {
        let body: ManageAssets =
            serde_json::from_slice(&call.body).map_err(|error| Refusal::unreadable(format!("{error}.")))?;
        let requested = body.assets.unwrap_or_default();
        if requested.is_empty() {
            return Err(AppleError::AssetsMissing.into());
        }
        let (users, serials) = (body.client_user_ids.unwrap_or_default(), body.serial_numbers.unwrap_or_default());
        if users.is_empty() && serials.is_empty() {
            return Err(AppleError::TargetsMissing.into());
        }
        if self.switches.both_targets == BothTargets::Refuse && !users.is_empty() && !serials.is_empty() {
            let detail = "Users and serial numbers do not go together.".to_owned();
            return Err(Refusal { detail: Some(detail), ..AppleError::InvalidArgument.into() });
        }
        let mut assets = Vec::with_capacity(requested.len());
        for asset in requested {
            if asset.adam_id.is_empty() || !asset.adam_id.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err(Refusal::unreadable(format!("\"{}\" is no adamId.", asset.adam_id)));
            }
            assets.push(AssetKey { adam_id: asset.adam_id, pricing_param: asset.pricing_param });
        }
        if users.iter().chain(&serials).any(String::is_empty) {
            return Err(Refusal::unreadable("A target is empty."));
        }
        Ok(Wanted { kind, assets, users, serials })
    }

    fn check_limits(&self, wanted: &Wanted) -> Result<(), Refusal> {
        let counts = [
            (distinct(&wanted.assets), self.limits.max_assets, AppleError::TooManyAssets),
            (distinct(&wanted.users), self.limits.max_client_user_ids, AppleError::TooManyUsers),
            (distinct(&wanted.serials), self.limits.max_serial_numbers, AppleError::TooManySerials),
        ];
        match counts.into_iter().find(|(count, limit, _)| count > limit) {
            Some((_, _, error)) => Err(error.into()),
            None => Ok(()),
        }
    }

    fn check_flags(&self, wanted: &Wanted, session: &Session) -> Result<(), Refusal> {
        let Some(location) = self.locations.get(&session.u_id) else { return Err(AppleError::InvalidToken.into()) };
        let those = |error, forbidden: &dyn Fn(&AssetKey) -> bool| {
            let keys = wanted.assets.iter().filter(|key| forbidden(key));
            let info = ErrorInfo { assets: keys.map(AssetKey::to_ref).collect(), ..ErrorInfo::default() };
            if info.assets.is_empty() { Ok(()) } else { Err(Refusal::about(error, info)) }
        };
        let asset = |key: &AssetKey| location.assets.get(key);
        if wanted.kind == EventType::Disassociate {
            those(AppleError::NotRevocable, &|key| asset(key).is_some_and(|asset| !asset.revocable))?;
        }
        if wanted.kind == EventType::Associate && !wanted.serials.is_empty() {
            those(AppleError::NotDeviceAssignable, &|key| asset(key).is_some_and(|asset| !asset.device_assignable))?;
        }
        if self.switches.unknown_asset == UnknownAsset::InvalidNow {
            those(AppleError::InvalidArgument, &|key| asset(key).is_none())?;
        }
        let strangers: Vec<String> = wanted.users.iter().filter(|id| !location.users.contains(*id)).cloned().collect();
        if strangers.is_empty() {
            return Ok(());
        }
        let info = ErrorInfo { client_user_ids: strangers, ..ErrorInfo::default() };
        Err(Refusal::about(AppleError::NoSuchUser, info))
    }

    fn accept(&mut self, wanted: Wanted, session: &Session, now: Timestamp) -> (Reply, Option<Job>) {
        let event_id = self.chance.uuid().to_string();
        let serials = wanted.serials.into_iter().map(Holder::Serial);
        let holders: Vec<Holder> = wanted.users.into_iter().map(Holder::User).chain(serials).collect();
        let job = Job::new(session.u_id.clone(), event_id.clone(), wanted.kind, wanted.assets, holders);
        let event = Event {
            kind: wanted.kind,
            accepted: now,
            status: EventStatus::Pending,
            requested: job.tasks(),
            completed: 0,
            failures: BTreeMap::new(),
        };
        let life = self.event_life();
        if let Some(location) = self.locations.get_mut(&session.u_id) {
            // What nobody can ask for any more; a pending event is still needed by its worker.
            location
                .events
                .retain(|_, event| event.status == EventStatus::Pending || now.duration_since(event.accepted) < life);
            location.events.insert(event_id.clone(), event);
        }
        let reply = Reply::json(200, &EventAccepted { event_id, common: self.common(session, now) });
        (reply, Some(job))
    }

    /// `GET status`.
    pub(super) fn status(&mut self, call: &Call, session: &Session, now: Timestamp) -> Result<Reply, Refusal> {
        let query = Query::parse(&call.query, &["eventId"])?;
        let id = query.get("eventId").ok_or_else(|| Refusal::unreadable("eventId is missing."))?;
        let life = self.event_life();
        let common = self.common(session, now);
        let location = self.location(session)?;
        let event = location.events.get(id).filter(|event| now.duration_since(event.accepted) < life);
        let event = event.ok_or(AppleError::UnknownEvent)?;
        let report = EventReport {
            event_status: event.status,
            event_type: event.kind,
            failures: event.failures.iter().map(|((error, key), holders)| failure(*error, key, holders)).collect(),
            num_completed: event.completed,
            num_requested: event.requested,
            common,
        };
        Ok(Reply::json(200, &report))
    }

    /// How long an event can be asked for.
    fn event_life(&self) -> SignedDuration {
        SignedDuration::from_secs(i64::try_from(self.switches.event_ttl_seconds).unwrap_or(i64::MAX))
    }
}

fn failure(error: AppleError, key: &AssetKey, holders: &[Holder]) -> ErrorBody {
    let mut info = ErrorInfo { assets: vec![key.to_ref()], ..ErrorInfo::default() };
    for holder in holders {
        match holder {
            Holder::Serial(serial) => info.serial_numbers.push(serial.clone()),
            Holder::User(id) => info.client_user_ids.push(id.clone()),
        }
    }
    ErrorBody { error_number: error.number(), error_message: error.message().to_owned(), error_info: Some(info) }
}

fn check_duplicates(wanted: &Wanted) -> Result<(), Refusal> {
    let assets: Vec<_> = repeated(&wanted.assets).into_iter().map(|key| key.to_ref()).collect();
    if !assets.is_empty() {
        return Err(Refusal::about(AppleError::DuplicateAssets, ErrorInfo { assets, ..ErrorInfo::default() }));
    }
    let client_user_ids = repeated(&wanted.users);
    if !client_user_ids.is_empty() {
        let info = ErrorInfo { client_user_ids, ..ErrorInfo::default() };
        return Err(Refusal::about(AppleError::DuplicateUsers, info));
    }
    let serial_numbers = repeated(&wanted.serials);
    if !serial_numbers.is_empty() {
        let info = ErrorInfo { serial_numbers, ..ErrorInfo::default() };
        return Err(Refusal::about(AppleError::DuplicateSerials, info));
    }
    Ok(())
}

fn distinct<T: Eq + Hash>(list: &[T]) -> usize {
    list.iter().collect::<HashSet<_>>().len()
}

/// The entries that come more than once.
fn repeated<T: Eq + Hash + Clone>(list: &[T]) -> Vec<T> {
    let mut seen = HashSet::new();
    let mut twice = HashSet::new();
    list.iter().filter(|entry| !seen.insert(*entry) && twice.insert(*entry)).cloned().collect()
}
