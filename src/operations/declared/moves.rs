//! What a change does to licences: the plan before it and the plan after it, compared.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use rusqlite::Connection;

use crate::licensing::plan::Holders;
use crate::licensing::{Holder, Licence, Step, Verb};
use crate::model::LocationId;
use crate::operations::catalogue::Catalogue;
use crate::operations::view::MoveView;
use crate::operations::{DeviceIndex, OperationError, reconcile};
use crate::store::snapshot::Settings;
use crate::store::{StoreError, locations};

/// An app, where, and who.
type Move = (String, Option<LocationId>, String);

/// What the plan does as things are.
pub(super) struct Standing {
    gives: BTreeSet<Move>,
    takes: BTreeSet<Move>,
    waits: BTreeSet<Move>,
}

impl Standing {
    /// Plans with what the connection sees, its own changes among it.
    pub fn of(
        connection: &Connection,
        settings: &Settings,
        now: Timestamp,
        index: &DeviceIndex,
    ) -> Result<Standing, StoreError> {
        let (loaded, plan) = reconcile::plan_of(connection, settings, now, index)?;
        let (snapshot, behind) = (&loaded.snapshot, &loaded.behind);
        let about = |asset: u32, holder: Holder| {
            let asset = &snapshot.assets[asset as usize];
            let adam_id = snapshot.products[asset.product as usize].adam_id.clone();
            (adam_id, Some(behind.locations[asset.location as usize]), snapshot.name_of(holder).to_owned())
        };
        let mut standing = Standing { gives: BTreeSet::new(), takes: BTreeSet::new(), waits: BTreeSet::new() };
        for action in plan.actions.licences.iter().filter(|action| action.verb == Verb::Associate) {
            for &(asset, holder) in &action.pairs {
                let holder = match action.holders {
                    Holders::Devices => Holder::Device(holder),
                    Holders::Persons => Holder::Person(holder),
                };
                standing.gives.insert(about(asset, holder));
            }
        }
        let devices = plan.steps.iter().map(|one| {
            let pair = snapshot.pair(one.product, one.device);
            let held = pair.filter(|pair| pair.licence != Licence::None).map(|pair| pair.asset);
            (one.product, Holder::Device(one.device), one.step, held)
        });
        let people = plan.seats.iter().map(|one| {
            let seat = snapshot.seat(one.product, one.person);
            let held = seat.filter(|seat| seat.licence != Licence::None).map(|seat| seat.asset);
            (one.product, Holder::Person(one.person), one.step, held)
        });
        for (product, holder, step, held) in devices.chain(people) {
            match step {
                Step::Remove | Step::AwaitRemoval | Step::Disassociate { .. } | Step::AwaitReturn => {
                    standing.takes.extend(held.map(|asset| about(asset, holder)));
                }
                Step::WaitForLicence { .. } | Step::WaitForQuota { .. } => {
                    let adam_id = snapshot.products[product as usize].adam_id.clone();
                    standing.waits.insert((adam_id, None, snapshot.name_of(holder).to_owned()));
                }
                _ => {}
            }
        }
        Ok(standing)
    }
}

/// What is done after and was not done before.
pub(super) fn between(
    connection: &Connection,
    before: &Standing,
    after: &Standing,
) -> Result<Vec<MoveView>, OperationError> {
    let mut counts: BTreeMap<(&str, Option<LocationId>), [u64; 3]> = BTreeMap::new();
    let both = [(&before.gives, &after.gives), (&before.takes, &after.takes), (&before.waits, &after.waits)];
    for (place, (before, after)) in both.into_iter().enumerate() {
        for (adam_id, location, _) in after.difference(before) {
            counts.entry((adam_id, *location)).or_default()[place] += 1;
        }
    }
    let catalogue = Catalogue::load(connection)?;
    let known = locations::all(connection)?;
    let name = |id: Option<LocationId>| known.iter().find(|one| Some(one.id) == id).map(|one| one.name.clone());
    let view = |((adam_id, location), [gives, takes, waits]): ((&str, Option<LocationId>), [u64; 3])| MoveView {
        adam_id: adam_id.to_owned(),
        name: catalogue.name(adam_id),
        location: name(location).unwrap_or_default(),
        gives,
        takes,
        waits,
    };
    Ok(counts.into_iter().map(view).collect())
}
