//! Another client that believes the location is its own: the switch `other-mdm`.
//!
//! It acts at seeded times. There is no task for it: whoever looks at this Apple first lets the time pass up to now, and
//! what the other client has done meanwhile is done then.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::Apple;
use super::admin::AdminError;
use super::location::{AssetKey, Held, Holder, Location, Table};
use super::state::State;
use super::switches::OtherMdm;
use super::wire::MdmInfo;
use crate::chance::Chance;

/// What another client can do to a location.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OtherAct {
    /// It writes its own `mdmInfo`.
    Claim,
    /// It assigns a free licence to a device of its own.
    Assign,
    /// It takes a licence back from whoever holds it.
    Revoke,
    /// It retires a user.
    Retire,
}

const ACTS: [OtherAct; 4] = [OtherAct::Claim, OtherAct::Assign, OtherAct::Revoke, OtherAct::Retire];

impl Apple {
    /// The other client does something now. True when there was something to do it to.
    pub fn other_mdm_acts(&self, u_id: &str, act: OtherAct) -> Result<bool, AdminError> {
        let now = self.0.clock.now();
        let mut state = self.lock();
        state.known_location(u_id)?;
        Ok(state.meddle(u_id, act, now))
    }
}

impl State {
    /// Does what happened by itself since somebody looked last.
    pub(super) fn pass_time(&mut self, now: Timestamp) {
        self.end_periods(now);
        if self.switches.other_mdm == OtherMdm::Off {
            self.next_meddling = None;
            return;
        }
        let mut at = match self.next_meddling {
            Some(at) => at,
            None => self.meddles_after(now),
        };
        while at <= now {
            let u_ids: Vec<String> = self.locations.keys().cloned().collect();
            for u_id in u_ids {
                let act = usize::try_from(self.chance.below(ACTS.len() as u64)).unwrap_or_default();
                if let Some(act) = ACTS.get(act) {
                    self.meddle(&u_id, *act, at);
                }
            }
            at = self.meddles_after(at);
        }
        self.next_meddling = Some(at);
    }

    fn meddles_after(&mut self, at: Timestamp) -> Timestamp {
        let [from, to] = self.switches.other_mdm_seconds;
        let seconds = from.max(1) + self.chance.below(to.saturating_sub(from) + 1);
        let wait = SignedDuration::from_secs(i64::try_from(seconds).unwrap_or(i64::MAX));
        at.checked_add(wait).unwrap_or(Timestamp::MAX)
    }

    fn meddle(&mut self, u_id: &str, act: OtherAct, at: Timestamp) -> bool {
        let State { locations, chance, .. } = self;
        let Some(location) = locations.get_mut(u_id) else { return false };
        let tables = location.suffer(act, chance, at);
        location.wrote(&tables, at);
        act == OtherAct::Claim || !tables.is_empty()
    }
}

impl Location {
    fn suffer(&mut self, act: OtherAct, chance: &mut Chance, at: Timestamp) -> Vec<Table> {
        let licences = vec![Table::Assets, Table::Assignments];
        match act {
            OtherAct::Claim => {
                let metadata = "another server".to_owned();
                self.mdm_info = Some(MdmInfo { id: "other-mdm".to_owned(), name: "Other MDM".to_owned(), metadata });
                Vec::new()
            }
            OtherAct::Assign => {
                let free = self.assets.iter().filter(|(_, asset)| asset.device_assignable && asset.available() > 0);
                let free: Vec<AssetKey> = free.map(|(key, _)| key.clone()).collect();
                let Some(key) = pick(free, chance) else { return Vec::new() };
                let serial = format!("OTHER{:05}", chance.below(100_000));
                let held = Held { change: self.assignment_versions.upcoming(), settled: Some(at) };
                if self.give(&key, &Holder::Serial(serial), held) { licences } else { Vec::new() }
            }
            OtherAct::Revoke => {
                let revocable = self.assets.iter().filter(|(_, asset)| asset.revocable);
                let held =
                    revocable.flat_map(|(key, asset)| asset.holders.keys().map(|who| (key.clone(), who.clone())));
                let Some((key, holder)) = pick(held.collect(), chance) else { return Vec::new() };
                let change = self.assignment_versions.upcoming();
                if self.take(&key, &holder, change) { licences } else { Vec::new() }
            }
            OtherAct::Retire => {
                let ids = self.users.all_active().map(|user| user.client_user_id.clone()).collect();
                pick(ids, chance).and_then(|id: String| self.retire(&id)).unwrap_or_default()
            }
        }
    }
}

fn pick<T>(mut from: Vec<T>, chance: &mut Chance) -> Option<T> {
    let index = usize::try_from(chance.below(from.len() as u64)).ok()?;
    (index < from.len()).then(|| from.swap_remove(index))
}
