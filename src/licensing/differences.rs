//! What differs between Apple, vppd and the devices, each difference with a cause from a closed list.
//!
//! Pure: the snapshot that a plan is made from and what syncs have seen go in, rows come out, in the same order whatever
//! the order of the facts.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::{Licence, Snapshot, Standing};
use crate::model::App;

/// Why something differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// A sync found more licences of an asset, and no other location fewer.
    Bought,
    /// A sync found fewer, and no other location more.
    Refunded,
    /// One location had fewer and another as many more around the same time.
    Transferred,
    /// A device, known or not, or a user of ours holds a licence that vppd has not assigned.
    AssignedOutside,
    /// A licence that vppd knew of is gone from Apple without vppd having asked.
    TakenBackOutside,
    /// A user that is not ours holds a licence.
    ForeignUser,
    /// A device has its licence from vppd and not the app.
    DeviceWithoutApp,
    /// A device has the app and no licence.
    AppWithoutLicence,
    /// Apple counts more assignments than its last listing has shown.
    NotYetKnown,
}

/// Who holds a licence, or should.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Holder {
    Serial(String),
    User(String),
}

/// An asset of a location; the location is a place in the snapshot's.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct AssetOf {
    pub location: u32,
    pub adam_id: String,
    pub pricing_param: String,
}

/// What is known beside the snapshot.
#[derive(Debug, Clone, Default)]
pub struct Beside {
    /// By how many licences syncs have seen an asset change, and when.
    pub counted: Vec<(AssetOf, i64, Timestamp)>,
    /// What those hold whom the snapshot does not know, other serial numbers and users, and whether it is a user of ours.
    pub strangers: Vec<(AssetOf, Holder, bool)>,
    /// What was taken back without vppd having asked, and when that was seen.
    pub taken_back: Vec<(AssetOf, Holder, Timestamp)>,
    /// By how many assignments Apple's count of an asset is more than what it has listed.
    pub unlisted: Vec<(AssetOf, i64)>,
    /// How far apart two syncs may see the two halves of a transfer.
    pub same_time: Duration,
}

/// One row.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Difference {
    /// Of the licence; `None` where there is none.
    pub location: Option<u32>,
    pub adam_id: String,
    /// Empty where it is about the app and not about an asset.
    pub pricing_param: String,
    pub cause: Cause,
    pub holder: Option<Holder>,
    /// Where transferred licences went.
    pub to: Option<u32>,
    /// How many licences it is about.
    pub licences: i64,
    /// When a sync saw it; `None` for what is so now.
    pub seen_at: Option<Timestamp>,
}

/// All differences, by location, app and cause.
pub fn differences(snapshot: &Snapshot, beside: &Beside) -> Vec<Difference> {
    let mut rows = counts(&beside.counted, beside.same_time);
    let row = |asset: &AssetOf, cause, holder: &Holder| Difference {
        location: Some(asset.location),
        adam_id: asset.adam_id.clone(),
        pricing_param: asset.pricing_param.clone(),
        cause,
        holder: Some(holder.clone()),
        to: None,
        licences: 1,
        seen_at: None,
    };
    rows.extend(beside.strangers.iter().map(|(asset, holder, ours)| match holder {
        Holder::User(_) if !ours => row(asset, Cause::ForeignUser, holder),
        _ => row(asset, Cause::AssignedOutside, holder),
    }));
    rows.extend(beside.taken_back.iter().map(|(asset, holder, seen_at)| Difference {
        seen_at: Some(*seen_at),
        ..row(asset, Cause::TakenBackOutside, holder)
    }));
    rows.extend(beside.unlisted.iter().map(|(asset, more)| Difference {
        location: Some(asset.location),
        adam_id: asset.adam_id.clone(),
        pricing_param: asset.pricing_param.clone(),
        cause: Cause::NotYetKnown,
        holder: None,
        to: None,
        licences: *more,
        seen_at: None,
    }));
    rows.extend(pairs(snapshot, &beside.taken_back));
    rows.sort_unstable();
    rows
}

/// What differs between devices and their licences.
fn pairs(snapshot: &Snapshot, taken_back: &[(AssetOf, Holder, Timestamp)]) -> Vec<Difference> {
    // That an app has lost its licence is told by the row that says who took it.
    let told: BTreeSet<(&str, &str)> = taken_back
        .iter()
        .filter_map(|(asset, holder, _)| match holder {
            Holder::Serial(serial) => Some((asset.adam_id.as_str(), serial.as_str())),
            Holder::User(_) => None,
        })
        .collect();
    let mut rows = Vec::new();
    let all = snapshot.devices.iter().zip(&snapshot.rows);
    for (device, pair) in all.flat_map(|(device, row)| row.iter().map(move |pair| (device, pair))) {
        let product = &snapshot.products[pair.product as usize];
        // What serial numbers hold that have never enrolled is told of strangers.
        if device.standing == Standing::Named {
            continue;
        }
        let seat = device.person.and_then(|person| snapshot.seat(pair.product, person));
        let by_person = seat.is_some_and(|seat| seat.licence != Licence::None);
        let lacks_the_app = matches!(pair.app, App::None | App::Rejected | App::Failed | App::Removed);
        let cause = match pair.licence {
            Licence::Assigned if !pair.ours => Cause::AssignedOutside,
            Licence::Assigned if device.enrolled() && lacks_the_app => Cause::DeviceWithoutApp,
            Licence::None
                if device.enrolled()
                    && pair.app == App::Installed
                    && !by_person
                    && !told.contains(&(product.adam_id.as_str(), device.serial.as_str())) =>
            {
                Cause::AppWithoutLicence
            }
            _ => continue,
        };
        let asset = (pair.licence != Licence::None).then(|| &snapshot.assets[pair.asset as usize]);
        rows.push(Difference {
            location: asset.map(|asset| asset.location),
            adam_id: product.adam_id.clone(),
            pricing_param: asset.map_or(String::new(), |asset| asset.pricing_param.clone()),
            cause,
            holder: Some(Holder::Serial(device.serial.clone())),
            to: None,
            licences: 1,
            seen_at: None,
        });
    }
    rows
}

/// A change of a count, as far as it is not explained yet.
struct Change {
    location: u32,
    left: i64,
    at: Timestamp,
}

/// Explains changed counts: what left one location while as much came to another was transferred, those of the same number
/// first, then the closest in time; the rest was bought or refunded.
fn counts(counted: &[(AssetOf, i64, Timestamp)], same_time: Duration) -> Vec<Difference> {
    let mut by_asset: BTreeMap<(&str, &str), Vec<Change>> = BTreeMap::new();
    for (asset, delta, at) in counted {
        let changes = by_asset.entry((&asset.adam_id, &asset.pricing_param)).or_default();
        changes.push(Change { location: asset.location, left: *delta, at: *at });
    }
    let mut rows = Vec::new();
    for ((adam_id, pricing_param), mut changes) in by_asset {
        changes.sort_unstable_by_key(|change| (change.at, change.location, change.left));
        let row = |location, cause, to, licences, at| Difference {
            location: Some(location),
            adam_id: adam_id.to_owned(),
            pricing_param: pricing_param.to_owned(),
            cause,
            holder: None,
            to,
            licences,
            seen_at: Some(at),
        };
        while let Some((from, to)) = a_transfer(&changes, same_time) {
            let moved = changes[to].left.min(-changes[from].left);
            changes[from].left += moved;
            changes[to].left -= moved;
            let at = changes[from].at.max(changes[to].at);
            rows.push(row(changes[from].location, Cause::Transferred, Some(changes[to].location), moved, at));
        }
        for change in changes {
            match change.left {
                0 => {}
                more if more > 0 => rows.push(row(change.location, Cause::Bought, None, more, change.at)),
                fewer => rows.push(row(change.location, Cause::Refunded, None, -fewer, change.at)),
            }
        }
    }
    rows
}

/// The likeliest transfer among these changes of one asset: places of what went and of what came.
fn a_transfer(changes: &[Change], same_time: Duration) -> Option<(usize, usize)> {
    let mut best: Option<((bool, SignedDuration), (usize, usize))> = None;
    for (from, went) in changes.iter().enumerate().filter(|(_, change)| change.left < 0) {
        for (to, came) in changes.iter().enumerate().filter(|(_, change)| change.left > 0) {
            let apart = went.at.duration_since(came.at).abs();
            if went.location == came.location || apart.unsigned_abs() > same_time {
                continue;
            }
            let rank = (went.left + came.left != 0, apart);
            if best.as_ref().is_none_or(|(known, _)| rank < *known) {
                best = Some((rank, (from, to)));
            }
        }
    }
    best.map(|(_, pair)| pair)
}

#[cfg(test)]
mod tests;
