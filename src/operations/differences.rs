//! The report of what differs between Apple, vppd and the devices, as far as vppd knows: nobody is asked anew.

use std::collections::HashMap;
use std::time::Duration;

use super::locations::pace;
use super::view::{CauseView, DifferenceView};
use super::{OperationError, Shared, look, reconcile};
use crate::licensing::differences::{AssetOf, Beside, Cause, Difference, Holder, differences};
use crate::licensing::{Location, Snapshot};
use crate::model::LocationId;
use crate::store::assignments::{Assignment, Holder as Kept};
use crate::store::{StoreError, assets, history, locations, snapshot};

/// Every difference, or those of one location.
pub async fn report(context: &Shared, location: Option<String>) -> Result<Vec<DifferenceView>, OperationError> {
    let (settings, now, shared) = (reconcile::settings(context), context.clock.now(), context.clone());
    context
        .store
        .read(move |c| {
            let all = locations::all(c)?;
            let chosen = match &location {
                None => None,
                Some(name) => Some(locations::by_name_or_uid(c, name)?.ok_or_else(|| look::no_such_location(name))?.id),
            };
            let loaded = snapshot::load(c, &settings, now)?;
            let places: HashMap<LocationId, u32> = loaded.behind.locations.iter().copied().zip(0u32..).collect();
            let chosen = chosen.and_then(|id| places.get(&id).copied());
            // Two locations see the halves of a transfer at their own syncs.
            let paces = all.iter().map(|location| pace(&shared, location));
            let same_time = paces.map(|pace| pace.interval + pace.spread).max().unwrap_or_default();
            let beside = beside(c, &places, same_time)?;
            let rows = differences(&loaded.snapshot, &beside);
            let wanted = |row: &&Difference| chosen.is_none_or(|place| is_about(row, place, &loaded.snapshot));
            Ok(rows.iter().filter(wanted).map(|row| view(row, &loaded.snapshot.locations)).collect())
        })
        .await
}

fn beside(
    c: &rusqlite::Connection,
    places: &HashMap<LocationId, u32>,
    same_time: Duration,
) -> Result<Beside, StoreError> {
    let asset = |location: LocationId, adam_id: String, pricing_param: String| {
        Some(AssetOf { location: *places.get(&location)?, adam_id, pricing_param })
    };
    let held = |location, assignment: Assignment| {
        let holder = match assignment.holder {
            Kept::Serial(serial) => Holder::Serial(serial),
            Kept::User(user) => Holder::User(user),
        };
        Some((asset(location, assignment.adam_id, assignment.pricing_param)?, holder))
    };
    let counted = history::count_changes(c)?.into_iter().filter_map(|change| {
        Some((asset(change.location, change.adam_id, change.pricing_param)?, change.delta, change.seen_at))
    });
    let strangers = history::held_by_strangers(c)?.into_iter().filter_map(|strange| {
        let (asset, holder) = held(strange.location, strange.assignment)?;
        Some((asset, holder, strange.ours))
    });
    let taken_back = history::still_taken_back(c)?.into_iter().filter_map(|taken| {
        let (asset, holder) = held(taken.location, taken.assignment)?;
        Some((asset, holder, taken.seen_at))
    });
    let unlisted = assets::held_elsewhere(c)?
        .into_iter()
        .filter_map(|(location, adam_id, pricing_param, more)| Some((asset(location, adam_id, pricing_param)?, more)));
    Ok(Beside {
        counted: counted.collect(),
        strangers: strangers.collect(),
        taken_back: taken_back.collect(),
        unlisted: unlisted.collect(),
        same_time,
    })
}

/// Whether a row is about a location: its licence is, or the app is one that the location owns.
fn is_about(row: &Difference, place: u32, snapshot: &Snapshot) -> bool {
    match row.location {
        Some(location) => location == place || row.to == Some(place),
        None => snapshot
            .assets
            .iter()
            .any(|asset| asset.location == place && snapshot.products[asset.product as usize].adam_id == row.adam_id),
    }
}

fn view(row: &Difference, locations: &[Location]) -> DifferenceView {
    let name = |place: Option<u32>| place.and_then(|place| locations.get(place as usize)).map(|l| l.name.clone());
    let (serial, user) = match &row.holder {
        Some(Holder::Serial(serial)) => (Some(serial.clone()), None),
        Some(Holder::User(user)) => (None, Some(user.clone())),
        None => (None, None),
    };
    let to = name(row.to);
    DifferenceView {
        cause: cause(row.cause),
        location: name(row.location),
        adam_id: row.adam_id.clone(),
        pricing_param: Some(row.pricing_param.clone()).filter(|word| !word.is_empty()),
        serial,
        client_user_id: user,
        why: why(row, to.as_deref().unwrap_or_default()),
        to,
        licences: row.licences,
        seen_at: row.seen_at,
    }
}

fn cause(cause: Cause) -> CauseView {
    match cause {
        Cause::Bought => CauseView::Bought,
        Cause::Refunded => CauseView::Refunded,
        Cause::Transferred => CauseView::Transferred,
        Cause::AssignedOutside => CauseView::AssignedOutside,
        Cause::TakenBackOutside => CauseView::TakenBackOutside,
        Cause::ForeignUser => CauseView::ForeignUser,
        Cause::DeviceWithoutApp => CauseView::DeviceWithoutApp,
        Cause::AppWithoutLicence => CauseView::AppWithoutLicence,
        Cause::NotYetKnown => CauseView::NotYetKnown,
    }
}

fn why(row: &Difference, to: &str) -> String {
    let licences = match row.licences.abs() {
        1 => "1 licence".to_owned(),
        many => format!("{many} licences"),
    };
    match row.cause {
        Cause::Bought => format!("{licences} came to the location"),
        Cause::Refunded => format!("{licences} left the location"),
        Cause::Transferred => format!("{licences} moved to {to}"),
        Cause::AssignedOutside => "holds a licence that vppd has not assigned".into(),
        Cause::TakenBackOutside => "lost the licence without vppd having asked for it".into(),
        Cause::ForeignUser => "a user whom vppd does not know holds a licence".into(),
        Cause::DeviceWithoutApp => "has the licence and not the app".into(),
        Cause::AppWithoutLicence => "has the app and no licence".into(),
        Cause::NotYetKnown => format!("Apple counts {licences} more in use than its last listing has shown"),
    }
}
