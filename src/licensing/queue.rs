//! Who gets a scarce licence: all who want one of the same app, in one line.
//!
//! - **The order**: priority (the higher first), then since when it is wanted, then the serial number or the person's id.
//!   Places count from 1 for each app. *Ten iPads want 8 licences: the two that enrolled last wait, at places 1 and 2.*
//! - **Whose licence**: locations in their order; the first that may serve this holder and has one free. It may serve when it
//!   can be written to, is among the deployment's locations (if it names any), is for the holder's groups (if it is for any
//!   alone), has the app for serial numbers (for devices), has the person as a user (for people). Whoever cannot use what is
//!   free does not keep it from those behind.
//! - **Quota**: a deployment never holds more licences than its quota; those beyond wait for the quota, whatever is free.
//!   *Quota 30 for "Year 7": the 31st device waits although 100 licences are free.*
//! - **Waves**: of a deployment with waves of N, at most N first installs are under way, in the same order; licences are
//!   given before, so that a wave never waits for Apple. A device that is away keeps its place in the wave.

use std::cmp::{Ordering, Reverse};
use std::collections::{HashMap, HashSet};

use jiff::Timestamp;

use super::desired::By;
use super::judge::{InWave, Judged};
use super::snapshot::{Asset, Holder, Snapshot, meet};
use super::step::{Blocked, Step};

/// One who needs a licence.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Claim {
    pub holder: Holder,
    pub by: By,
    pub priority: i32,
    pub since: Timestamp,
}

/// All who need, or count against, licences of one app.
#[derive(Debug, Clone, Default)]
pub(super) struct Queue {
    claims: Vec<Claim>,
    sorted: bool,
    /// Who is in `claims`, once changes are to come.
    members: HashSet<Holder>,
    /// Of deployments with a quota: who holds a licence through them.
    quotas: HashMap<u32, HashSet<Holder>>,
    waves: HashMap<u32, Wave>,
    /// (asset, holder): who gets a licence now.
    pub granted: Vec<(u32, Holder)>,
    /// Somebody waits for a licence.
    pub short: bool,
}

/// First installs of one deployment.
#[derive(Debug, Clone, Default)]
struct Wave {
    ready: Vec<(Timestamp, u32)>,
    under_way: HashSet<u32>,
}

/// Names are looked up only where the rest is equal.
fn order(snapshot: &Snapshot, one: &Claim, other: &Claim) -> Ordering {
    let first = |claim: &Claim| (Reverse(claim.priority), claim.since);
    let names = || snapshot.name_of(one.holder).cmp(snapshot.name_of(other.holder));
    first(one).cmp(&first(other)).then_with(names).then(one.holder.cmp(&other.holder))
}

impl Queue {
    /// Puts what was judged in the place of what is known of this holder. True when the queue has to be gone through again.
    /// `fresh`: nothing is known, and the queue was never gone through.
    pub fn note(&mut self, snapshot: &Snapshot, holder: Holder, judged: Option<&Judged>, fresh: bool) -> bool {
        let claim = judged.and_then(|judged| judged.claim);
        let mut changed = self.note_claim(snapshot, holder, claim, fresh);
        let through = judged.and_then(|judged| judged.holds).and_then(|by| match by {
            By::Rule(rule) => snapshot.rules[rule as usize].quota.map(|_| rule),
            By::Hand(_) => None,
        });
        for (rule, holders) in &mut self.quotas {
            changed |= through != Some(*rule) && holders.remove(&holder);
        }
        if let Some(rule) = through {
            changed |= self.quotas.entry(rule).or_default().insert(holder);
        }
        if let Holder::Device(device) = holder {
            self.note_wave(device, judged.and_then(|judged| judged.wave), fresh);
        }
        changed
    }

    fn note_claim(&mut self, snapshot: &Snapshot, holder: Holder, claim: Option<Claim>, fresh: bool) -> bool {
        if fresh {
            self.claims.extend(claim);
            return false;
        }
        let was = if claim.is_some() { !self.members.insert(holder) } else { self.members.remove(&holder) };
        let known = if was { self.claims.iter().position(|known| known.holder == holder) } else { None };
        // The same claim may have another outcome: whose licences the holder may use depends on more than the claim.
        if known.map(|at| self.claims[at]) == claim {
            return claim.is_some();
        }
        if let Some(at) = known {
            self.claims.remove(at);
        }
        match claim {
            Some(claim) if self.sorted => {
                let at = self.claims.partition_point(|other| order(snapshot, other, &claim).is_lt());
                self.claims.insert(at, claim);
            }
            Some(claim) => self.claims.push(claim),
            None => {}
        }
        true
    }

    fn note_wave(&mut self, device: u32, wave: Option<InWave>, fresh: bool) {
        if !fresh {
            for known in self.waves.values_mut() {
                known.ready.retain(|(_, other)| *other != device);
                known.under_way.remove(&device);
            }
        }
        match wave {
            Some(InWave::Ready { rule, since }) => {
                self.waves.entry(rule).or_default().ready.push((since, device));
            }
            Some(InWave::UnderWay { rule }) => {
                self.waves.entry(rule).or_default().under_way.insert(device);
            }
            None => {}
        }
    }

    /// Makes ready for changes: from now on nothing is fresh.
    pub fn index(&mut self) {
        self.members = self.claims.iter().map(|claim| claim.holder).collect();
    }

    /// Puts the line in order; later ones come to their places in it.
    pub fn sort(&mut self, snapshot: &Snapshot) {
        if !self.sorted {
            self.claims.sort_unstable_by(|one, other| order(snapshot, one, other));
            self.sorted = true;
        }
    }

    /// Gives out what is free. `assets`: of this app, in the order in which they are to be used.
    pub fn give(&mut self, snapshot: &Snapshot, assets: &[u32]) {
        self.sort(snapshot);
        let (mut granted, mut short) = (Vec::new(), false);
        self.walk(snapshot, assets, |claim, step, dry| {
            match step {
                Step::Associate { asset } => granted.push((asset, claim.holder)),
                Step::WaitForLicence { .. } => short = true,
                _ => {}
            }
            !(dry && short)
        });
        (self.granted, self.short) = (granted, short);
    }

    /// What everybody in the queue needs next.
    pub fn steps(&self, snapshot: &Snapshot, assets: &[u32], mut each: impl FnMut(Holder, Step)) {
        self.walk(snapshot, assets, |claim, step, _| {
            each(claim.holder, step);
            true
        });
    }

    /// Goes through the queue as long as `each` wants to go on; it is told whether nothing is free any more.
    fn walk(&self, snapshot: &Snapshot, assets: &[u32], mut each: impl FnMut(&Claim, Step, bool) -> bool) {
        let asset = |index: u32| &snapshot.assets[index as usize];
        let writable = |asset: &Asset| snapshot.locations[asset.location as usize].writable;
        let mut free: Vec<u32> = assets.iter().map(|&index| asset(index).free).collect();
        let mut left: u64 =
            assets.iter().filter(|&&index| writable(asset(index))).map(|&index| u64::from(asset(index).free)).sum();
        let endless = assets.iter().any(|&index| asset(index).unlimited && writable(asset(index)));
        let mut given: HashMap<u32, u32> = HashMap::new();
        let (mut waiting, mut waiting_for_quota) = (0, HashMap::<u32, u32>::new());
        for claim in &self.claims {
            let step = match self.choose(snapshot, claim, assets, &free) {
                Err(blocked) => Step::Blocked(blocked),
                Ok(chosen) => match (self.over_quota(snapshot, claim, &given), chosen) {
                    (Some(rule), _) => {
                        let position = waiting_for_quota.entry(rule).or_default();
                        *position += 1;
                        Step::WaitForQuota { position: *position }
                    }
                    (None, None) => {
                        waiting += 1;
                        Step::WaitForLicence { position: waiting }
                    }
                    (None, Some(at)) => {
                        if !asset(assets[at]).unlimited {
                            free[at] -= 1;
                            left -= 1;
                        }
                        if let By::Rule(rule) = claim.by
                            && snapshot.rules[rule as usize].quota.is_some()
                        {
                            *given.entry(rule).or_default() += 1;
                        }
                        Step::Associate { asset: assets[at] }
                    }
                },
            };
            if !each(claim, step, left == 0 && !endless) {
                return;
            }
        }
    }

    /// The deployment whose quota is used up for this claim.
    fn over_quota(&self, snapshot: &Snapshot, claim: &Claim, given: &HashMap<u32, u32>) -> Option<u32> {
        let By::Rule(rule) = claim.by else { return None };
        let quota = snapshot.rules[rule as usize].quota?;
        let held = self.quotas.get(&rule).map_or(0, HashSet::len) as u64;
        let used = held + u64::from(given.get(&rule).copied().unwrap_or(0));
        (used >= u64::from(quota)).then_some(rule)
    }

    /// Place in `assets` of the licence that serves this claim; `None` while none is free; why none ever will be.
    fn choose(
        &self,
        snapshot: &Snapshot,
        claim: &Claim,
        assets: &[u32],
        free: &[u32],
    ) -> Result<Option<usize>, Blocked> {
        let mut why = Blocked::NotOwned;
        let mut may_wait = false;
        if let Holder::Device(device) = claim.holder
            && snapshot.devices[device as usize].serial.is_empty()
        {
            return Err(Blocked::NoSerial);
        }
        for (at, &index) in assets.iter().enumerate() {
            let asset = &snapshot.assets[index as usize];
            match hindrance(snapshot, claim, asset) {
                Some(blocked) => why = further(why, blocked),
                None if asset.unlimited || free[at] > 0 => return Ok(Some(at)),
                None => may_wait = true,
            }
        }
        if may_wait { Ok(None) } else { Err(why) }
    }

    /// Devices to which the first install of a deployment with waves is sent now, or (`now` false) later.
    pub fn waves(&self, snapshot: &Snapshot, mut each: impl FnMut(u32, bool)) {
        for (&rule, wave) in &self.waves {
            let size = snapshot.rules[rule as usize].wave.map_or(usize::MAX, |size| size as usize);
            let room = size.saturating_sub(wave.under_way.len());
            let mut ready = wave.ready.clone();
            ready.sort_by_key(|&(since, device)| (since, &snapshot.devices[device as usize].serial, device));
            for (place, (_, device)) in ready.into_iter().enumerate() {
                each(device, place < room);
            }
        }
    }
}

/// Whether what decides lets its licences come from this location.
pub(super) fn allows(snapshot: &Snapshot, by: By, location: u32) -> bool {
    match by {
        By::Rule(rule) => {
            let named = &snapshot.rules[rule as usize].locations;
            named.is_empty() || named.binary_search(&location).is_ok()
        }
        By::Hand(hand) => snapshot.by_hand[hand as usize].location.is_none_or(|named| named == location),
    }
}

/// Why this asset cannot serve the claim, now or ever.
fn hindrance(snapshot: &Snapshot, claim: &Claim, asset: &Asset) -> Option<Blocked> {
    let location = &snapshot.locations[asset.location as usize];
    let person = |person: u32| &snapshot.persons[person as usize];
    let allowed = allows(snapshot, claim.by, asset.location);
    let (assignable, registered, member) = match claim.holder {
        Holder::Device(device) => {
            let device = &snapshot.devices[device as usize];
            let of_person = device.person.is_some_and(|it| meet(&location.groups, &person(it).groups));
            (asset.device_assignable, true, of_person || meet(&location.groups, &device.groups))
        }
        Holder::Person(it) => {
            let registered = person(it).registered.binary_search(&asset.location).is_ok();
            (true, registered, meet(&location.groups, &person(it).groups))
        }
    };
    match () {
        () if !assignable => Some(Blocked::NotDeviceAssignable),
        () if !allowed || !(location.groups.is_empty() || member) => Some(Blocked::NoAllowedLocation),
        () if !registered => Some(Blocked::NotRegistered),
        () if !location.writable => Some(Blocked::NoWritableLocation),
        () => None,
    }
}

/// Of two reasons the one that is nearer to a licence.
fn further(one: Blocked, other: Blocked) -> Blocked {
    let rank = |blocked: Blocked| match blocked {
        Blocked::NotOwned => 0,
        Blocked::NotDeviceAssignable => 1,
        Blocked::NoAllowedLocation => 2,
        Blocked::NotRegistered => 3,
        _ => 4,
    };
    if rank(other) > rank(one) { other } else { one }
}
