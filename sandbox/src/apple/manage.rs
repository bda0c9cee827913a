//! `assets/associate`, `assets/disassociate` and `assets/revoke`: what is checked before an event is accepted.

use jiff::Timestamp;

use super::admission::Session;
use super::body::{distinct, repeated};
use super::calls::Performed;
use super::endpoint::{Call, Endpoint};
use super::engine::Task;
use super::errors::{AppleError, Refusal};
use super::location::{AssetKey, Location, Target};
use super::query::Query;
use super::state::State;
use super::switches::{BothTargets, UnknownAsset, UnknownUser};
use super::wire::{ErrorInfo, EventType, ManageAssets, RevokeAssets};

/// A request that has been read: every asset for every target. Revoke names no assets.
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
        let most = [self.limits.max_client_user_ids, self.limits.max_serial_numbers];
        self.check_limits(&wanted, most)?;
        check_duplicates(&wanted)?;
        self.check_flags(&wanted, session)?;
        let targets = wanted.targets();
        let tasks = wanted
            .assets
            .iter()
            .flat_map(|key| targets.iter().map(|target| Task::Licence(key.clone(), target.clone())));
        Ok(self.accept(kind, tasks.collect(), session, now))
    }

    /// Checks 7 to 12 of revoke. What is taken back is settled here: what the targets hold now and can be taken back.
    pub(super) fn revoke(&mut self, call: &Call, session: &Session, now: Timestamp) -> Performed {
        Query::parse(&call.query, &[])?;
        let body: RevokeAssets = call.read()?;
        let (users, serials) = self.read_targets(body.client_user_ids, body.serial_numbers)?;
        let wanted = Wanted { kind: EventType::Revoke, assets: Vec::new(), users, serials };
        let most = [self.limits.max_revoke_client_user_ids, self.limits.max_revoke_serial_numbers];
        self.check_limits(&wanted, most)?;
        check_duplicates(&wanted)?;
        self.check_flags(&wanted, session)?;
        let location = self.location(session)?;
        let tasks = wanted.targets().into_iter().flat_map(|target| everything_of(location, &target)).collect();
        Ok(self.accept(EventType::Revoke, tasks, session, now))
    }

    fn read_wanted(&self, kind: EventType, call: &Call) -> Result<Wanted, Refusal> {
        let body: ManageAssets = call.read()?;
        let requested = body.assets.unwrap_or_default();
        if requested.is_empty() {
            return Err(AppleError::AssetsMissing.into());
        }
        let (users, serials) = self.read_targets(body.client_user_ids, body.serial_numbers)?;
        let mut assets = Vec::with_capacity(requested.len());
        for asset in requested {
            if asset.adam_id.is_empty() || !asset.adam_id.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err(Refusal::unreadable(format!("\"{}\" is no adamId.", asset.adam_id)));
            }
            assets.push(AssetKey { adam_id: asset.adam_id, pricing_param: asset.pricing_param });
        }
        Ok(Wanted { kind, assets, users, serials })
    }

    fn read_targets(
        &self,
        users: Option<Vec<String>>,
        serials: Option<Vec<String>>,
    ) -> Result<(Vec<String>, Vec<String>), Refusal> {
        let (users, serials) = (users.unwrap_or_default(), serials.unwrap_or_default());
        if users.is_empty() && serials.is_empty() {
            return Err(AppleError::TargetsMissing.into());
        }
        if self.switches.both_targets == BothTargets::Refuse && !users.is_empty() && !serials.is_empty() {
            let detail = "Users and serial numbers do not go together.".to_owned();
            return Err(Refusal { detail: Some(detail), ..AppleError::InvalidArgument.into() });
        }
        if users.iter().chain(&serials).any(String::is_empty) {
            return Err(Refusal::unreadable("A target is empty."));
        }
        Ok((users, serials))
    }

    fn check_limits(&self, wanted: &Wanted, [users, serials]: [usize; 2]) -> Result<(), Refusal> {
        let counts = [
            (distinct(&wanted.assets), self.limits.max_assets, AppleError::TooManyAssets),
            (distinct(&wanted.users), users, AppleError::TooManyUsers),
            (distinct(&wanted.serials), serials, AppleError::TooManySerials),
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
        self.check_users(&wanted.users, location)
    }

    /// With the switch `unknown-user` at `refused-now`: all of them have to be active.
    pub(super) fn check_users(&self, users: &[String], location: &Location) -> Result<(), Refusal> {
        if self.switches.unknown_user == UnknownUser::FailsLater {
            return Ok(());
        }
        let client_user_ids: Vec<String> =
            users.iter().filter(|id| location.users.active(id).is_none()).cloned().collect();
        if client_user_ids.is_empty() {
            return Ok(());
        }
        Err(Refusal::about(AppleError::NoSuchUser, ErrorInfo { client_user_ids, ..ErrorInfo::default() }))
    }
}

impl Wanted {
    fn targets(&self) -> Vec<Target> {
        let serials = self.serials.iter().cloned().map(Target::Serial);
        self.users.iter().cloned().map(Target::User).chain(serials).collect()
    }
}

fn everything_of(location: &Location, target: &Target) -> Vec<Task> {
    match (location.holder(target), target) {
        (Some(holder), _) => {
            let held = location.revocable_of(&holder).into_iter();
            held.map(|key| Task::Licence(key, target.clone())).collect()
        }
        (None, Target::User(id)) => vec![Task::Nobody(id.clone())],
        (None, Target::Serial(_)) => Vec::new(),
    }
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
