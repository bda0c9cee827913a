//! Whole listings, read page by page while the location goes on changing. What a listing proves depends on whether it
//! changed while it was read: nobody may conclude a removal from an unstable one.
//!
//! Knows the client and nothing of what becomes of the records.

pub mod subscriptions;
mod users;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::future::Future;
use std::sync::{Mutex, PoisonError};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use jiff::Timestamp;

use super::budget::PAGES_IN_FLIGHT;
use super::client::{AppleClient, Location, Page, Reply};
use super::error::AppleError;
use super::room::Room;
use super::wire::{Asset, AssetRef, Assignment, MdmInfo};
use crate::model::Holder;
pub use users::{Users, users, users_since};

/// A listing is begun this often: once, and three times again.
const ATTEMPTS: u32 = 4;
/// Pages at hand at once: those under way to here, and a few that are being stored meanwhile.
const AT_HAND: usize = PAGES_IN_FLIGHT + 3;
/// Apple's number for a page that is not there any more.
const NO_SUCH_PAGE: i64 = 9650;
/// Apple's number for a version that it does not know any more.
const NO_SUCH_VERSION: i64 = 9721;
/// More pages than any location has.
const MAX_PAGES: u32 = 100_000;

/// Told after each page: pages read, pages in all as far as known.
pub type Progress<'a> = &'a (dyn Fn(u32, u32) + Send + Sync);

/// Where the records of a walk go, page by page and in any order, so that nobody holds all of them at once.
pub trait Sink<T>: Sync {
    type Error: Send;

    /// A walk begins, or begins again: what came before does not count.
    fn begin(&self) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// The records of one page.
    fn take(&self, records: Vec<T>) -> impl Future<Output = Result<(), Self::Error>> + Send;
}

/// Why a walk ended early.
#[derive(Debug)]
pub enum Stopped<E> {
    Apple(AppleError),
    /// The sink did not take a page.
    Sink(E),
}

/// A listing that went to its sink.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Where [`assignments_since`] goes on from.
    pub version_id: String,
    /// False when something changed during every attempt. Then all additions have been given, but neither is an absent
    /// record proven gone, nor a present one proven to be still there: conclude removals from a later, stable listing.
    pub stable: bool,
    pub pages: u32,
    pub seen: Seen,
}

/// What the replies of a walk said about the location.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Seen {
    pub uid: Option<String>,
    /// Every different owner that the replies named, in order; None among them where a reply named nobody.
    pub owners: Vec<Option<MdmInfo>>,
    pub token_expires_at: Option<Timestamp>,
}

/// All assets of a location, as they were at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assets {
    pub assets: BTreeMap<AssetRef, Asset>,
    pub version_id: String,
    /// False when something changed during every attempt. Then an absent asset is not proven gone, and counts may be of
    /// different moments.
    pub stable: bool,
    pub seen: Seen,
}

/// Key of an assignment.
pub type AssignmentKey = (AssetRef, Holder);

/// The assignments of one asset, few enough to be held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfAsset {
    pub assignments: BTreeMap<AssignmentKey, Assignment>,
    /// See [`Listed::stable`].
    pub stable: bool,
    pub seen: Seen,
}

/// Assignments that changed since a version: a hint at additions. Removals do not show, or look like additions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delta {
    pub changed: BTreeMap<AssignmentKey, Assignment>,
    /// Where the next delta goes on from.
    pub version_id: String,
    pub seen: Seen,
}

/// Reads all assets. Begins again when anything changes meanwhile; when that happens every time, the last attempt is given
/// as it is (see [`Assets::stable`]), so that a location in constant change is not starved of its first listing.
pub async fn assets(client: &AppleClient, location: &Location, progress: Progress<'_>) -> Result<Assets, AppleError> {
    let kept = Kept::default();
    let listed = held_still(client, location, |index| client.assets_page(location, index), progress, &kept).await?;
    let assets = kept.records().into_iter().map(|asset| (asset.key(), asset)).collect();
    Ok(Assets { assets, version_id: listed.version_id, stable: listed.stable, seen: listed.seen })
}

/// Reads all assignments into `sink`, five pages at a time. Begins again when anything changes meanwhile; when that happens
/// every time, what was added during the last attempt is read afterwards and given too (see [`Listed::stable`]).
pub async fn assignments<S: Sink<Assignment>>(
    client: &AppleClient,
    location: &Location,
    progress: Progress<'_>,
    sink: &S,
) -> Result<Listed, Stopped<S::Error>> {
    let fetch = |index| client.assignments_page(location, index, None);
    let mut listed = held_still(client, location, fetch, progress, sink).await?;
    if listed.stable {
        return Ok(listed);
    }
    match assignments_since(client, location, &listed.version_id).await {
        Ok(delta) => {
            sink.take(delta.changed.into_values().collect()).await.map_err(Stopped::Sink)?;
            listed.version_id = delta.version_id;
            listed.seen.merge(delta.seen);
        }
        // The next read of changes starts from the first page's version.
        Err(AppleError::Resync { .. } | AppleError::Unstable { .. }) => {}
        Err(error) => return Err(Stopped::Apple(error)),
    }
    Ok(listed)
}

/// Reads the assignments of one asset alone, as [`assignments`] reads all.
pub async fn assignments_of(
    client: &AppleClient,
    location: &Location,
    asset: &AssetRef,
    progress: Progress<'_>,
) -> Result<OfAsset, AppleError> {
    let kept = Kept::default();
    let fetch = |index| client.assignments_of_asset(location, asset, index);
    let listed = held_still(client, location, fetch, progress, &kept).await?;
    // An older Apple leaves one of the filters aside.
    let of_asset = kept.records().into_iter().filter(|assignment| assignment.asset() == *asset);
    Ok(OfAsset { assignments: of_asset.filter_map(keyed).collect(), stable: listed.stable, seen: listed.seen })
}

/// Reads what changed since `version_id`, which must come from an unfiltered listing of the same location.
/// [`AppleError::Resync`] when Apple does not know the version any more: read everything with [`assignments`].
pub async fn assignments_since(
    client: &AppleClient,
    location: &Location,
    version_id: &str,
) -> Result<Delta, AppleError> {
    let fetch = |index| client.assignments_page(location, index, Some(version_id));
    let (records, pass) = changed_since(client, location, fetch).await?;
    // The first page's version: what changes while the later ones are read is then read again.
    Ok(Delta { changed: records.into_iter().filter_map(keyed).collect(), version_id: pass.version_id, seen: pass.seen })
}

/// The records of a listing since a version: one pass that goes to the end whatever changes.
async fn changed_since<T: Send, F: Future<Output = Result<Reply<Page<T>>, AppleError>>>(
    client: &AppleClient,
    location: &Location,
    fetch: impl Fn(u32) -> F,
) -> Result<(Vec<T>, Pass), AppleError> {
    for attempt in 0..ATTEMPTS {
        let kept = Kept::default();
        let manner = Manner { careful: attempt > 0, to_the_end: true };
        match pass(client, location, &fetch, manner, &|_, _| (), &kept).await.map_err(AppleError::from) {
            Ok(pass) => return Ok((kept.records(), pass)),
            Err(error) if error.number() == Some(NO_SUCH_PAGE) => {}
            Err(error) => return Err(error),
        }
    }
    Err(AppleError::Unstable { attempts: ATTEMPTS })
}

/// Whether a delta failed because Apple has forgotten the version, so that everything must be read.
pub fn needs_full_walk(error: &AppleError) -> bool {
    error.number() == Some(NO_SUCH_VERSION) || matches!(error, AppleError::Unstable { .. })
}

/// Records without a holder say nothing and are left out.
fn keyed(assignment: Assignment) -> Option<(AssignmentKey, Assignment)> {
    let key = (assignment.asset(), assignment.holder()?);
    Some((key, assignment))
}

/// Passes through a listing until one of them has held still; the last one goes to the end whatever changes.
async fn held_still<T, S: Sink<T>, F: Future<Output = Result<Reply<Page<T>>, AppleError>>>(
    client: &AppleClient,
    location: &Location,
    fetch: impl Fn(u32) -> F,
    progress: Progress<'_>,
    sink: &S,
) -> Result<Listed, Stopped<S::Error>> {
    let mut careful = false;
    for attempt in 1..=ATTEMPTS {
        let to_the_end = attempt == ATTEMPTS;
        match pass(client, location, &fetch, Manner { careful, to_the_end }, progress, sink).await {
            // The number of pages was wrong: from now on it is not relied on.
            Err(Stopped::Apple(error)) if error.number() == Some(NO_SUCH_PAGE) => careful = true,
            Err(stopped) => return Err(stopped),
            Ok(pass) if pass.changed && !to_the_end => {}
            Ok(Pass { version_id, changed, read, seen, .. }) => {
                return Ok(Listed { version_id, stable: !changed, pages: read, seen });
            }
        }
    }
    Err(Stopped::Apple(AppleError::Unstable { attempts: ATTEMPTS }))
}

/// How to go through a listing.
#[derive(Clone, Copy)]
struct Manner {
    /// Pages are read one by one, led by `nextPageIndex` alone.
    careful: bool,
    /// Else the pass stops at the first sign of a change.
    to_the_end: bool,
}

/// What one pass through a listing has shown.
struct Pass {
    /// Of the first page.
    version_id: String,
    changed: bool,
    last: u32,
    read: u32,
    careful: bool,
    seen: Seen,
}

/// Reads the pages of a listing once. Each goes to the sink as it arrives; the others are on their way meanwhile.
async fn pass<T, S: Sink<T>, F: Future<Output = Result<Reply<Page<T>>, AppleError>>>(
    client: &AppleClient,
    location: &Location,
    fetch: impl Fn(u32) -> F,
    manner: Manner,
    progress: Progress<'_>,
    sink: &S,
) -> Result<Pass, Stopped<S::Error>> {
    sink.begin().await.map_err(Stopped::Sink)?;
    let budget = client.budget_of(location);
    let page = |index| {
        let (reply, own) = (fetch(index), budget.own_page());
        async move {
            // Until its records are stored.
            let _place = tokio::select! {
                biased;
                place = own.acquire() => place,
                place = client.spare_pages().acquire() => place,
            };
            let mut reply = reply.await.map_err(Stopped::Apple)?;
            let records = std::mem::take(&mut reply.body.records);
            sink.take(records).await.map_err(Stopped::Sink)?;
            reply.room = Room::default();
            Ok(reply)
        }
    };
    let mut pass = Pass::begin(page(0).await?, manner.careful).map_err(Stopped::Apple)?;
    progress(1, pass.last + 1);
    let at_hand = if manner.careful { 1 } else { AT_HAND };
    let mut under_way = FuturesUnordered::new();
    let mut next = 1;
    while manner.to_the_end || !pass.changed {
        while under_way.len() < at_hand && next <= pass.last {
            let (index, reply) = (next, page(next));
            under_way.push(async move { (index, reply.await) });
            next += 1;
        }
        match under_way.next().await {
            None => break,
            Some((index, Ok(reply))) => {
                pass.add(index, reply).map_err(Stopped::Apple)?;
                progress(pass.read, pass.last + 1);
            }
            // The listing has become shorter, and another page has said so already.
            Some((index, Err(Stopped::Apple(error)))) if error.number() == Some(NO_SUCH_PAGE) && index > pass.last => {
                pass.changed = true;
            }
            Some((_, Err(stopped))) => return Err(stopped),
        }
    }
    Ok(pass)
}

impl Pass {
    fn begin<T>(first: Reply<Page<T>>, careful: bool) -> Result<Pass, AppleError> {
        let version_id = first.body.version_id.clone();
        let mut pass = Pass { version_id, changed: false, last: 0, read: 0, careful, seen: Seen::default() };
        pass.add(0, first)?;
        Ok(pass)
    }

    fn add<T>(&mut self, index: u32, reply: Reply<Page<T>>) -> Result<(), AppleError> {
        let Reply { body: page, uid, mdm_info, token_expires_at, .. } = reply;
        self.changed |= page.version_id != self.version_id;
        match page.next {
            None => self.last = if self.read == 0 { 0 } else { self.last.min(index) },
            Some(next) if next != index + 1 || next >= MAX_PAGES => {
                return Err(AppleError::Malformed { why: format!("page {index} of a listing is followed by {next}") });
            }
            Some(next) => {
                let told = if self.careful { 0 } else { page.total_pages.min(MAX_PAGES).saturating_sub(1) };
                self.last = self.last.max(next).max(told);
            }
        }
        self.read += 1;
        self.seen.merge(Seen { uid, owners: vec![mdm_info], token_expires_at });
        Ok(())
    }
}

/// A sink for listings that are few enough to be held.
struct Kept<T>(Mutex<Vec<T>>);

impl<T> Default for Kept<T> {
    fn default() -> Kept<T> {
        Kept(Mutex::default())
    }
}

impl<T> Kept<T> {
    fn records(self) -> Vec<T> {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Send> Sink<T> for Kept<T> {
    type Error = Infallible;

    async fn begin(&self) -> Result<(), Infallible> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
        Ok(())
    }

    async fn take(&self, records: Vec<T>) -> Result<(), Infallible> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend(records);
        Ok(())
    }
}

impl From<Stopped<Infallible>> for AppleError {
    fn from(stopped: Stopped<Infallible>) -> AppleError {
        match stopped {
            Stopped::Apple(error) => error,
            Stopped::Sink(never) => match never {},
        }
    }
}

impl Seen {
    fn merge(&mut self, other: Seen) {
        self.uid = other.uid.or(self.uid.take());
        self.token_expires_at = other.token_expires_at.or(self.token_expires_at);
        for owner in other.owners {
            if !self.owners.contains(&owner) {
                self.owners.push(owner);
            }
        }
    }
}

#[cfg(test)]
mod tests;
