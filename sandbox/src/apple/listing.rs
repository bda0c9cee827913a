//! The paged reads: assets and assignments, with their filters.

use jiff::Timestamp;

use super::admission::Session;
use super::endpoint::{Call, Reply};
use super::errors::{AppleError, Refusal};
use super::location::{Asset, AssetKey, Holder, Location};
use super::query::{Filter, Query};
use super::roster::{Roster, User};
use super::state::State;
use super::switches::{DeltaRemoved, EmptyPages, Profile2026, Switches, VersionChurn};
use super::wire::{
    AssetCounts, AssetRecord, AssetsPage, AssignmentRecord, AssignmentsPage, Paging, PricingParam, ProductType,
};

const ASSET_PARAMETERS: [&str; 11] = [
    "pageIndex",
    "adamId",
    "productType",
    "pricingParam",
    "deviceAssignable",
    "revocable",
    "minAssignedCount",
    "maxAssignedCount",
    "minAvailableCount",
    "maxAvailableCount",
    "unlimited",
];

const ASSIGNMENT_PARAMETERS: [&str; 8] = [
    "pageIndex",
    "adamId",
    "pricingParam",
    "clientUserId",
    "serialNumber",
    "excludeInactiveUsers",
    "includeUserState",
    "sinceVersionId",
];

/// The filters of `GET assets`. Apple: Get Assets.
struct AssetFilter {
    adam_id: Filter<String>,
    product_type: Filter<ProductType>,
    pricing_param: Filter<PricingParam>,
    device_assignable: Filter<bool>,
    revocable: Filter<bool>,
    least_assigned: Filter<i64>,
    most_assigned: Filter<i64>,
    least_available: Filter<i64>,
    most_available: Filter<i64>,
    unlimited: Filter<bool>,
}

impl AssetFilter {
    fn read(query: &Query, switches: &Switches) -> Result<AssetFilter, Refusal> {
        let bad = switches.filter_bad;
        Ok(AssetFilter {
            adam_id: query.digits("adamId", bad)?,
            product_type: query.word("productType", bad)?,
            pricing_param: query.word("pricingParam", bad)?,
            device_assignable: query.boolean("deviceAssignable", bad)?,
            revocable: query.boolean("revocable", bad)?,
            least_assigned: query.count("minAssignedCount", bad)?,
            most_assigned: query.count("maxAssignedCount", bad)?,
            least_available: query.count("minAvailableCount", bad)?,
            most_available: query.count("maxAvailableCount", bad)?,
            unlimited: query.boolean("unlimited", bad)?,
        })
    }

    fn admits(&self, key: &AssetKey, asset: &Asset) -> bool {
        self.adam_id.admits(|wanted| *wanted == key.adam_id)
            && self.product_type.admits(|wanted| *wanted == asset.product_type)
            && self.pricing_param.admits(|wanted| *wanted == key.pricing_param)
            && self.device_assignable.admits(|wanted| *wanted == asset.device_assignable)
            && self.revocable.admits(|wanted| *wanted == asset.revocable)
            && self.least_assigned.admits(|least| asset.assigned() >= *least)
            && self.most_assigned.admits(|most| asset.assigned() <= *most)
            && self.least_available.admits(|least| asset.available() >= *least)
            && self.most_available.admits(|most| asset.available() <= *most)
            && self.unlimited.admits(|wanted| *wanted == asset.unlimited)
    }
}

/// The filters of `GET assignments`. Apple: Get Assignments.
struct AssignmentFilter {
    adam_id: Filter<String>,
    pricing_param: Filter<PricingParam>,
    user: Filter<String>,
    serial: Filter<String>,
    /// Leaves out what retired users hold.
    active_only: bool,
    /// Only what changed after this change.
    since: Option<u64>,
}

impl AssignmentFilter {
    fn admits_asset(&self, key: &AssetKey) -> bool {
        self.adam_id.admits(|wanted| *wanted == key.adam_id)
            && self.pricing_param.admits(|wanted| *wanted == key.pricing_param)
    }

    fn admits(&self, holder: &Holder, change: u64, users: &Roster) -> bool {
        let inactive = |record: usize| users.get(record).is_none_or(|user| !user.status.is_active());
        self.since.is_none_or(|since| change > since)
            && !(self.active_only && matches!(holder, Holder::User { record, .. } if inactive(*record)))
            && self.user.admits(|wanted| matches!(holder, Holder::User { id, .. } if id == wanted))
            && self.serial.admits(|wanted| matches!(holder, Holder::Serial(serial) if serial == wanted))
    }
}

impl State {
    pub(super) fn assets(&mut self, call: &Call, session: &Session, now: Timestamp) -> Result<Reply, Refusal> {
        let known = match self.switches.profile_2026 {
            Profile2026::On => &ASSET_PARAMETERS[..],
            // The last of them, `unlimited`, is new.
            Profile2026::Off => &ASSET_PARAMETERS[..ASSET_PARAMETERS.len() - 1],
        };
        let query = Query::parse(&call.query, known)?;
        let filter = AssetFilter::read(&query, &self.switches)?;
        let index = query.page_index()?;
        let common = self.common(session, now);
        let switches = self.switches.clone();
        let location = self.location(session)?;
        if index > 0 && switches.version_churn != VersionChurn::Off {
            location.asset_versions.bump(now);
        }
        let seen = location.seen(now);
        let location = seen.as_deref().unwrap_or(location);
        let matching: Vec<_> = location.assets.iter().filter(|(key, asset)| filter.admits(key, asset)).collect();
        let paging = paging(matching.len(), index, &switches, location.asset_versions.id())?;
        let only_unlimited = filter.unlimited == Filter::Only(true);
        let records: Vec<AssetRecord> = matching
            .into_iter()
            .skip(index * switches.page_size)
            .take(paging.size)
            .map(|(key, asset)| asset_record(key, asset, only_unlimited))
            .collect();
        let (assets, unlimited_assets) = if only_unlimited { (Vec::new(), Some(records)) } else { (records, None) };
        Ok(Reply::json(200, &AssetsPage { assets, unlimited_assets, paging, common }))
    }

    pub(super) fn assignments(&mut self, call: &Call, session: &Session, now: Timestamp) -> Result<Reply, Refusal> {
        let query = Query::parse(&call.query, &ASSIGNMENT_PARAMETERS)?;
        let bad = self.switches.filter_bad;
        let with_state = query.boolean("includeUserState", bad)? == Filter::Only(true);
        let mut filter = AssignmentFilter {
            active_only: query.boolean("excludeInactiveUsers", bad)? == Filter::Only(true),
            adam_id: query.digits("adamId", bad)?,
            pricing_param: query.word("pricingParam", bad)?,
            user: query.text("clientUserId", bad)?,
            serial: query.text("serialNumber", bad)?,
            since: None,
        };
        let index = query.page_index()?;
        let common = self.common(session, now);
        let switches = self.switches.clone();
        let location = self.location(session)?;
        if index > 0 && switches.version_churn != VersionChurn::Off {
            location.assignment_versions.bump(now);
        }
        let seen = location.seen(now);
        let location = seen.as_deref().unwrap_or(location);
        if let Some(id) = query.get("sinceVersionId") {
            filter.since = Some(location.assignment_versions.change_of(id).ok_or(AppleError::BadVersion)?);
        }
        let total = matching_assignments(location, &filter, &switches).count();
        let paging = paging(total, index, &switches, location.assignment_versions.id())?;
        let assignments = matching_assignments(location, &filter, &switches)
            .skip(index * switches.page_size)
            .take(paging.size)
            .map(|(key, holder)| assignment_record(key, holder, with_state.then_some(&location.users)))
            .collect();
        Ok(Reply::json(200, &AssignmentsPage { assignments, paging, common }))
    }

    pub(super) fn location(&mut self, session: &Session) -> Result<&mut Location, Refusal> {
        self.locations.get_mut(&session.u_id).ok_or_else(|| AppleError::InvalidToken.into())
    }
}

fn matching_assignments<'a>(
    location: &'a Location,
    filter: &'a AssignmentFilter,
    switches: &Switches,
) -> impl Iterator<Item = (&'a AssetKey, &'a Holder)> {
    let present = location.assets.iter().filter(|(key, _)| filter.admits_asset(key)).flat_map(|(key, asset)| {
        let matching =
            asset.holders.iter().filter(|(holder, held)| filter.admits(holder, held.change, &location.users));
        matching.map(move |(holder, _)| (key, holder))
    });
    let listed = filter.since.is_some() && switches.delta_removed == DeltaRemoved::Listed;
    let gone = location.removed.iter().filter(move |((key, holder), change)| {
        listed && filter.admits_asset(key) && filter.admits(holder, **change, &location.users)
    });
    present.chain(gone.map(|((key, holder), _)| (key, holder)))
}

fn asset_record(key: &AssetKey, asset: &Asset, without_counts: bool) -> AssetRecord {
    AssetRecord {
        adam_id: key.adam_id.clone(),
        pricing_param: key.pricing_param,
        product_type: asset.product_type,
        device_assignable: asset.device_assignable,
        revocable: asset.revocable,
        assigned_count: asset.assigned(),
        counts: (!without_counts).then(|| AssetCounts {
            available_count: asset.available(),
            retired_count: asset.retired,
            total_count: asset.total_sent(),
        }),
        supported_platforms: asset.supported_platforms.clone(),
    }
}

fn assignment_record(key: &AssetKey, holder: &Holder, users: Option<&Roster>) -> AssignmentRecord {
    let user = match holder {
        Holder::User { record, .. } => users.and_then(|users| users.get(*record)),
        Holder::Serial(_) => None,
    };
    AssignmentRecord {
        user_status: user.map(|user| user.status),
        id_hash: user.and_then(User::id_hash),
        ..key.to(&holder.target())
    }
}

/// The members of page `index` of a list of `total` records.
pub(super) fn paging(total: usize, index: usize, switches: &Switches, version: &str) -> Result<Paging, Refusal> {
    let page_size = switches.page_size;
    let real_pages = total.div_ceil(page_size).max(1);
    // The list seems to have grown under the walker's hands: one more page, which turns out empty.
    let grown = index > 0 && switches.version_churn == VersionChurn::VersionAndPages;
    let pages = real_pages + usize::from(grown);
    if index >= pages {
        return Err(AppleError::PageOutOfRange.into());
    }
    let start = index * page_size;
    let empty_as_zero = total == 0 && switches.empty_pages == EmptyPages::Zero;
    Ok(Paging {
        current_page_index: index,
        next_page_index: (index + 1 < pages).then_some(index + 1),
        size: total.saturating_sub(start).min(page_size),
        total_pages: if empty_as_zero { 0 } else { pages },
        version_id: version.to_owned(),
    })
}
