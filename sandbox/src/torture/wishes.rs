//! What is wished of vppd in the scene of a school, and how that changes from round to round. Plain data: what deployments
//! and pairs it comes to.

use std::collections::{BTreeMap, BTreeSet};

use crate::appliance::PairKey;
use crate::chance::Chance;
use crate::device::DeviceSpec;

/// Of one round: apps for single devices.
const SINGLE: u64 = 6;

/// What is wished: which apps on which devices.
#[derive(Debug, Clone, Default)]
pub struct Wishes {
    /// Required on all devices.
    pub everywhere: BTreeSet<String>,
    /// For one device, which outranks that: required, or else to be uninstalled.
    pub single: BTreeMap<PairKey, bool>,
    /// Enrolled devices.
    pub here: BTreeSet<String>,
}

impl Wishes {
    /// Every pair that is to be there, and no other.
    pub fn pairs(&self, adam_ids: &[String]) -> BTreeSet<PairKey> {
        let all = self.here.iter().flat_map(|serial| adam_ids.iter().map(|adam_id| (serial.clone(), adam_id.clone())));
        all.filter(|pair| self.single.get(pair).copied().unwrap_or_else(|| self.everywhere.contains(&pair.1))).collect()
    }

    /// The deployments for it: (app, target) and whether it is required.
    pub fn deployments(&self) -> BTreeMap<(String, String), bool> {
        let all = self.everywhere.iter().map(|adam_id| ((adam_id.clone(), "all-devices".to_owned()), true));
        let single = self
            .single
            .iter()
            .map(|((serial, adam_id), required)| ((adam_id.clone(), format!("serial:{serial}")), *required));
        all.chain(single).collect()
    }

    /// Other wishes: an app comes or goes for all (never more than a fifth is gone), others for single devices.
    pub fn change(&mut self, chance: &mut Chance, adam_ids: &[String], specs: &[DeviceSpec]) {
        let missing: Vec<&String> = adam_ids.iter().filter(|adam_id| !self.everywhere.contains(*adam_id)).collect();
        let adam_id = if missing.len() >= adam_ids.len() / 5 { any(chance, &missing) } else { any(chance, adam_ids) };
        if !self.everywhere.remove(adam_id) {
            self.everywhere.insert(adam_id.clone());
        }
        for _ in 0..SINGLE {
            let pair = (any(chance, specs).serial.clone(), any(chance, adam_ids).clone());
            if self.single.remove(&pair).is_none() {
                let required = self.everywhere.contains(&pair.1) == (chance.below(4) == 0);
                self.single.insert(pair, required);
            }
        }
        // Not more and more of them: some are forgotten again.
        while self.single.len() > 4 * SINGLE as usize {
            let pairs: Vec<PairKey> = self.single.keys().cloned().collect();
            self.single.remove(any(chance, &pairs));
        }
    }
}

/// One of them, by chance.
pub fn any<'a, T>(chance: &mut Chance, of: &'a [T]) -> &'a T {
    &of[chance.below(of.len() as u64) as usize]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::fleet;

    fn adam_ids() -> Vec<String> {
        (0..10).map(|number| format!("18{number:08}")).collect()
    }

    #[test]
    fn a_wish_for_one_device_outranks_the_one_for_all() {
        let adam_ids = adam_ids();
        let [first, second] = [&adam_ids[0], &adam_ids[1]];
        let wishes = Wishes {
            everywhere: [first.clone()].into(),
            single: [(("A".to_owned(), first.clone()), false), (("B".to_owned(), second.clone()), true)].into(),
            here: ["A".to_owned(), "B".to_owned()].into(),
        };
        let b = |adam_id: &String| ("B".to_owned(), adam_id.clone());
        assert_eq!(wishes.pairs(&adam_ids), [b(first), b(second)].into());
        assert_eq!(wishes.deployments().len(), 3);
    }

    #[test]
    fn wishes_change_by_the_seed_and_do_not_pile_up() {
        let (adam_ids, specs) = (adam_ids(), fleet::specs(1, 20, |_, _| {}));
        let changed = |seed| {
            let mut chance = Chance::seeded(seed);
            let mut wishes = Wishes::default();
            (0..50).for_each(|_| wishes.change(&mut chance, &adam_ids, &specs));
            wishes.deployments()
        };
        assert_eq!(changed(1), changed(1));
        assert_ne!(changed(1), changed(2));
        assert!(changed(1).len() <= adam_ids.len() + 4 * SINGLE as usize);
    }
}
