//! Actions by name, so that those of two snapshots can be compared whose numbers differ.

use std::collections::BTreeSet;

use super::{Actions, Holders};
use crate::licensing::{Holder, Snapshot};

impl Actions {
    /// Everything that is to be done, a line each.
    pub fn told(&self, snapshot: &Snapshot) -> BTreeSet<String> {
        let app = |product: u32| snapshot.products[product as usize].adam_id.as_str();
        let device = |place: u32| snapshot.name_of(Holder::Device(place));
        let asset = |asset: u32| {
            let asset = &snapshot.assets[asset as usize];
            let location = &snapshot.locations[asset.location as usize].name;
            format!("{} {} of {location}", app(asset.product), asset.pricing_param)
        };
        let mut told = BTreeSet::from([format!("{:?}", self.tally)]);
        for action in &self.licences {
            let name = |place| match action.holders {
                Holders::Devices => device(place),
                Holders::Persons => snapshot.name_of(Holder::Person(place)),
            };
            let line = |&(of, holder): &(u32, u32)| format!("{:?} {} for {}", action.verb, asset(of), name(holder));
            told.extend(action.pairs.iter().map(line));
        }
        let commands = self.commands.iter();
        told.extend(commands.map(|it| format!("{:?} {} on {}", it.kind, app(it.product), device(it.device))));
        let adopt = self.adopt.iter();
        told.extend(adopt.map(|&(of, holder)| format!("adopt {} for {}", asset(of), snapshot.name_of(holder))));
        let leaving = self.leaving.iter();
        told.extend(leaving.map(|&(of, on, leaves)| format!("leaving {leaves}: {} on {}", app(of), device(on))));
        told.extend(self.short.iter().map(|&of| format!("short of {}", app(of))));
        told
    }
}
