//! Who holds what, listed and kept: all of a location, staged page by page and shown as a whole, or one asset alone.
//!
//! What Apple lists may be older than what it has done (`[apple] listing-lag`). What vppd has given so lately is kept although
//! a listing does not show it, and what came back so lately does not come with a listing that still shows it.

use jiff::Timestamp;

use super::outcome::Outcome;
use super::progress::Progress;
use super::{assignment, see};
use crate::apple::walk::{self, Sink, Stopped};
use crate::apple::wire::{self, AssetRef};
use crate::apple::{self, AppleError};
use crate::model::LocationId;
use crate::operations::locations::Round;
use crate::operations::locations::standing::ask;
use crate::operations::{OperationError, Shared};
use crate::store::assets::Counted;
use crate::store::assignments::{Assignment, Changed};
use crate::store::{StoreError, Write, assignments, history, recent};

/// Rows written in one transaction, so that devices are not kept waiting.
const CHUNK: u32 = 2_000;

/// Pages go into a generation that nobody sees yet, so that only those at hand are in memory.
struct Staging<'a> {
    context: &'a Shared,
    location: LocationId,
    generation: i64,
}

impl Sink<wire::Assignment> for Staging<'_> {
    type Error = OperationError;

    async fn begin(&self) -> Result<(), OperationError> {
        forget_others(self.context, self.location).await
    }

    async fn take(&self, records: Vec<wire::Assignment>) -> Result<(), OperationError> {
        let (location, generation) = (self.location, self.generation);
        let rows: Vec<Assignment> = records.iter().filter_map(assignment).collect();
        // Before the page waits for its turn to be stored.
        drop(records);
        let stage = move |w: &Write<'_>| assignments::stage(w, location, generation, &rows);
        self.context.store.write_bulk(stage).await?;
        Ok(())
    }
}

/// What was done until this time is sure to be in a listing that begins now.
pub(super) fn shown_until(context: &Shared) -> Timestamp {
    let lag = context.config().apple.listing_lag;
    context.clock.now().checked_sub(lag).unwrap_or(Timestamp::MIN)
}

/// A generation that is staged in full, and how it differs from the one that counts.
pub(super) struct Staged {
    pub generation: i64,
    /// From the listing's first page.
    pub version: String,
    pub stable: bool,
    pub changed: Changed,
    /// Licences came back so lately that what Apple lists as changed from this version on may include them.
    pub outdated: bool,
}

/// A generation, and what Apple said while it was listed.
pub(super) struct Listing {
    generation: i64,
    /// See [`shown_until`].
    shown_until: Timestamp,
    listed: Result<walk::Listed, AppleError>,
}

/// Lists all assignments and stages them.
pub(super) async fn stage_all(
    context: &Shared,
    id: LocationId,
    token: &apple::Location,
    progress: &Progress,
) -> Result<Listing, OperationError> {
    let generation = context.store.read(move |c| assignments::next_generation(c, id)).await?;
    let shown_until = shown_until(context);
    let staging = Staging { context, location: id, generation };
    let listed = match walk::assignments(&context.apple, token, &progress.part("assignments"), &staging).await {
        Err(Stopped::Sink(error)) => return Err(error),
        Err(Stopped::Apple(error)) => Err(error),
        Ok(listed) => Ok(listed),
    };
    Ok(Listing { generation, shown_until, listed })
}

/// How what was staged differs from what counts. Of a location that did not hold still all that was known stays.
pub(super) async fn compared(context: &Shared, round: &mut Round, listing: Listing) -> Result<Staged, OperationError> {
    let (id, generation, shown_until) = (round.location.id, listing.generation, listing.shown_until);
    let listed = ask(context, round, listing.listed).await?;
    see(context, round, &listed.seen).await?;
    if !listed.stable {
        while context.store.write_bulk(move |w| assignments::keep_known(w, id, generation, CHUNK)).await? {}
    }
    let outdated = mend(context, id, generation, shown_until).await?;
    let changed = context.store.read(move |c| assignments::compare(c, id, generation)).await?;
    Ok(Staged { generation, version: listed.version_id, stable: listed.stable, changed, outdated })
}

/// Adds to a staged generation what was given too lately to be sure to be listed, and takes out what came back so lately.
/// True when anything came back.
async fn mend(
    context: &Shared,
    id: LocationId,
    generation: i64,
    shown_until: Timestamp,
) -> Result<bool, OperationError> {
    let (given, returned) = context
        .store
        .read(move |c| -> Result<_, StoreError> {
            Ok((recent::given(c, id, None, shown_until)?, recent::returned(c, id, shown_until)?))
        })
        .await?;
    for chunk in given.chunks(CHUNK as usize) {
        let rows = chunk.to_vec();
        context.store.write_bulk(move |w| assignments::stage(w, id, generation, &rows)).await?;
    }
    let returned: Vec<Assignment> = returned.into_iter().collect();
    for chunk in returned.chunks(CHUNK as usize) {
        let rows = chunk.to_vec();
        let unstage = move |w: &Write<'_>| rows.iter().try_for_each(|row| assignments::unstage(w, id, generation, row));
        context.store.write_bulk(unstage).await?;
    }
    Ok(!returned.is_empty())
}

/// Forgets what no longer counts, or never did.
pub(super) async fn forget_others(context: &Shared, id: LocationId) -> Result<(), OperationError> {
    while context.store.write_bulk(move |w| assignments::forget_others(w, id, CHUNK)).await? {}
    Ok(())
}

/// Assets that are listed one by one at most. Where more differ, something large has happened.
const HANDFUL: usize = 8;

/// Records on a page of Apple's, as far as known.
const PAGE: i64 = 500;

/// Whether listing these assets one by one costs no more calls than listing a whole location with so many assignments.
pub(super) fn singly(wanted: &[Counted], assigned_in_all: i64) -> bool {
    let pages = |assigned: i64| assigned.max(1).saturating_add(PAGE - 1) / PAGE;
    let calls: i64 = wanted.iter().map(|asset| pages(asset.assigned)).sum();
    // A whole listing reads the assets again, too.
    wanted.len() <= HANDFUL && calls <= pages(assigned_in_all) + 1
}

/// Lists the assignments of these assets and puts what Apple says in place of what was known, each as a whole. Of one that
/// did not hold still only additions are believed.
pub(super) async fn list_singly(
    context: &Shared,
    round: &mut Round,
    wanted: Vec<Counted>,
    progress: &Progress,
    outcome: &mut Outcome,
) -> Result<(), OperationError> {
    let (id, token) = (round.location.id, round.token.clone());
    for asset in wanted {
        let of =
            AssetRef { adam_id: asset.adam_id.as_str().into(), pricing_param: asset.pricing_param.as_str().into() };
        let tell = progress.part(format!("assignments of {}", asset.adam_id));
        let shown_until = shown_until(context);
        let listed = walk::assignments_of(&context.apple, &token, &of, &tell).await;
        let listed = ask(context, round, listed).await?;
        see(context, round, &listed.seen).await?;
        let mut rows: Vec<Assignment> = listed.assignments.values().filter_map(assignment).collect();
        let (stable, now) = (listed.stable, context.clock.now());
        let changed = context
            .store
            .write_bulk(move |w| -> Result<Changed, StoreError> {
                let returned = recent::returned(w, id, shown_until)?;
                rows.retain(|row| !returned.contains(row));
                if !stable {
                    return Ok(Changed { added: assignments::add(w, id, &rows)?, ..Changed::default() });
                }
                let asset = (asset.adam_id.as_str(), asset.pricing_param.as_str());
                rows.extend(recent::given(w, id, Some(asset), shown_until)?);
                let changed = assignments::replace_of_asset(w, id, asset, &rows)?;
                history::taken_back(w, id, &changed.taken_back, now)?;
                Ok(changed)
            })
            .await?;
        outcome.added += changed.added;
        outcome.removed += changed.removed;
        outcome.listed_singly += 1;
        outcome.unstable |= !stable;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_assets_are_listed_one_by_one_and_many_with_the_whole_location() {
        let wanted = |assigned: &[i64]| -> Vec<Counted> {
            let asset =
                |assigned: &i64| Counted { adam_id: "1".into(), pricing_param: "STDQ".into(), assigned: *assigned };
            assigned.iter().map(asset).collect()
        };
        for (assigned, in_all, expected) in [
            (&[3][..], 3, true),
            (&[3, 0], 3, true),
            (&[3, 0, 1], 4, false),
            (&[400, 900], 100_000, true),
            (&[90_000, 10_000], 100_000, true),
            (&[60_000, 60_000], 100_000, false),
            (&[1; 8], 100_000, true),
            (&[1; 9], 100_000, false),
            (&[i64::MAX], 5, false),
        ] {
            assert_eq!(singly(&wanted(assigned), in_all), expected, "{assigned:?} of {in_all}");
        }
    }
}
