//! Whole listings, read page by page while the location goes on changing. What a listing proves depends on whether it
//! changed while it was read: nobody may conclude a removal from an unstable one.
//!
//! Knows the client and nothing of what becomes of the records.

mod users;

use std::collections::BTreeMap;
use std::future::Future;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use jiff::Timestamp;

use super::budget::PAGES_IN_FLIGHT;
use super::client::{AppleClient, Location, Page, Reply};
use super::error::AppleError;
use super::wire::{Asset, AssetRef, Assignment, Holder, MdmInfo};
pub use users::{Users, users, users_since};

/// A listing is begun this often before it is given up: once, and three times again.
const ATTEMPTS: u32 = 4;
/// From this attempt on pages are read one by one, led by `nextPageIndex` alone.
const CAREFUL_FROM: u32 = 2;
/// Apple's number for a page that is not there any more.
const NO_SUCH_PAGE: i64 = 9650;
/// Apple's number for a version that it does not know any more.
const NO_SUCH_VERSION: i64 = 9721;
/// More pages than any location has.
const MAX_PAGES: u32 = 100_000;

/// Told after each page: pages read, pages in all as far as known.
pub type Progress<'a> = &'a (dyn Fn(u32, u32) + Send + Sync);

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

/// All assignments of a location.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignments {
    pub assignments: BTreeMap<AssignmentKey, Assignment>,
    /// Where [`assignments_since`] goes on from.
    pub version_id: String,
    /// False when something changed meanwhile. Then all additions are here, but neither is an absent assignment proven
    /// gone, nor a present one proven to be still there: conclude removals from a later, stable listing.
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
    for attempt in 0..ATTEMPTS {
        let mut walk = match pages(|index| client.assets_page(location, index), attempt, true, progress).await {
            Err(error) if error.number() == Some(NO_SUCH_PAGE) => continue,
            other => other?,
        };
        if !walk.changed || attempt + 1 == ATTEMPTS {
            let assets = walk.records().map(|asset| (asset.key(), asset)).collect();
            return Ok(Assets { assets, version_id: walk.version_id, stable: !walk.changed, seen: walk.seen });
        }
    }
    Err(AppleError::Unstable { attempts: ATTEMPTS })
}

/// Reads all assignments, five pages at a time. What is added meanwhile is read afterwards and merged in; see
/// [`Assignments::stable`].
pub async fn assignments(
    client: &AppleClient,
    location: &Location,
    progress: Progress<'_>,
) -> Result<Assignments, AppleError> {
    for attempt in 0..ATTEMPTS {
        let fetch = |index| client.assignments_page(location, index, None);
        let mut walk = match pages(fetch, attempt, false, progress).await {
            Err(error) if error.number() == Some(NO_SUCH_PAGE) => continue,
            other => other?,
        };
        let mut whole = Assignments {
            stable: !walk.changed,
            assignments: walk.records().filter_map(keyed).collect(),
            version_id: walk.version_id,
            seen: walk.seen,
        };
        if whole.stable {
            return Ok(whole);
        }
        match assignments_since(client, location, &whole.version_id).await {
            Ok(delta) => {
                whole.assignments.extend(delta.changed);
                whole.version_id = delta.version_id;
                whole.seen.merge(delta.seen);
                return Ok(whole);
            }
            Err(AppleError::Resync { .. } | AppleError::Unstable { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Err(AppleError::Unstable { attempts: ATTEMPTS })
}

/// Reads what changed since `version_id`, which must come from an unfiltered listing of the same location.
/// [`AppleError::Resync`] when Apple does not know the version any more: read everything with [`assignments`].
pub async fn assignments_since(
    client: &AppleClient,
    location: &Location,
    version_id: &str,
) -> Result<Delta, AppleError> {
    for attempt in 0..ATTEMPTS {
        let fetch = |index| client.assignments_page(location, index, Some(version_id));
        match pages(fetch, attempt, false, &|_, _| ()).await {
            Ok(mut walk) => {
                let changed = walk.records().filter_map(keyed).collect();
                // The first page's version: what changes while the later ones are read is then read again.
                return Ok(Delta { changed, version_id: walk.version_id, seen: walk.seen });
            }
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

/// Pages of one pass through a listing.
struct Walk<T> {
    pages: BTreeMap<u32, Vec<T>>,
    /// Of the first page.
    version_id: String,
    changed: bool,
    last: u32,
    careful: bool,
    seen: Seen,
}

/// Reads the pages of a listing once. With `whole_or_nothing` it stops at the first sign of a change.
async fn pages<T, F: Future<Output = Result<Reply<Page<T>>, AppleError>>>(
    fetch: impl Fn(u32) -> F,
    attempt: u32,
    whole_or_nothing: bool,
    progress: Progress<'_>,
) -> Result<Walk<T>, AppleError> {
    let careful = attempt >= CAREFUL_FROM;
    let in_flight = if careful { 1 } else { PAGES_IN_FLIGHT };
    let mut walk = Walk::begin(fetch(0).await?, careful)?;
    progress(1, walk.last + 1);
    let mut under_way = FuturesUnordered::new();
    let mut next = 1;
    while !(walk.changed && whole_or_nothing) {
        while under_way.len() < in_flight && next <= walk.last {
            let (index, page) = (next, fetch(next));
            under_way.push(async move { (index, page.await) });
            next += 1;
        }
        match under_way.next().await {
            None => break,
            Some((index, Ok(reply))) => {
                walk.add(index, reply)?;
                progress(u32::try_from(walk.pages.len()).unwrap_or(u32::MAX), walk.last + 1);
            }
            // The listing has become shorter, and another page has said so already.
            Some((index, Err(error))) if error.number() == Some(NO_SUCH_PAGE) && index > walk.last => {
                walk.changed = true;
            }
            Some((_, Err(error))) => return Err(error),
        }
    }
    Ok(walk)
}

impl<T> Walk<T> {
    fn begin(first: Reply<Page<T>>, careful: bool) -> Result<Walk<T>, AppleError> {
        let version_id = first.body.version_id.clone();
        let (pages, seen) = (BTreeMap::new(), Seen::default());
        let mut walk = Walk { pages, version_id, changed: false, last: 0, careful, seen };
        walk.add(0, first)?;
        Ok(walk)
    }

    fn add(&mut self, index: u32, reply: Reply<Page<T>>) -> Result<(), AppleError> {
        let Reply { body: page, uid, mdm_info, token_expires_at } = reply;
        self.changed |= page.version_id != self.version_id;
        match page.next {
            None => self.last = if self.pages.is_empty() { 0 } else { self.last.min(index) },
            Some(next) if next != index + 1 || next >= MAX_PAGES => {
                return Err(AppleError::Malformed { why: format!("page {index} of a listing is followed by {next}") });
            }
            Some(next) => {
                let told = if self.careful { 0 } else { page.total_pages.min(MAX_PAGES).saturating_sub(1) };
                self.last = self.last.max(next).max(told);
            }
        }
        self.pages.insert(index, page.records);
        self.seen.merge(Seen { uid, owners: vec![mdm_info], token_expires_at });
        Ok(())
    }

    /// The records in the order of the pages; taken out, not copied.
    fn records(&mut self) -> impl Iterator<Item = T> + use<T> {
        std::mem::take(&mut self.pages).into_values().flatten()
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
