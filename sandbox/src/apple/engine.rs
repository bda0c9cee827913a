//! The asynchronous half of associate and disassociate: an accepted event is worked off in chunks, each after a while.

use std::collections::BTreeSet;
use std::sync::Weak;
use std::time::Duration;

use jiff::Timestamp;

use super::Inner;
use super::errors::AppleError;
use super::state::{AssetKey, Held, Holder, State};
use super::switches::{Repeated, Shortage, Switches};
use super::wire::{EventStatus, EventType};
use crate::clock::Clock;

/// Tasks done at a time. Apple: Subscribing to notifications (elements of one notification).
const CHUNK: usize = 100;

/// The tasks of one event: every asset for every holder, asset by asset.
pub(super) struct Job {
    u_id: String,
    event_id: String,
    kind: EventType,
    assets: Vec<AssetKey>,
    holders: Vec<Holder>,
    /// Index of the next task.
    next: usize,
    /// Assets of which there are not enough for all, when that fails all their tasks. Known from the first chunk on.
    short: Option<BTreeSet<AssetKey>>,
    /// What this event has assigned.
    given: Vec<(AssetKey, Holder)>,
}

impl Job {
    pub(super) fn new(
        u_id: String,
        event_id: String,
        kind: EventType,
        assets: Vec<AssetKey>,
        holders: Vec<Holder>,
    ) -> Job {
        Job { u_id, event_id, kind, assets, holders, next: 0, short: None, given: Vec::new() }
    }

    pub(super) fn tasks(&self) -> usize {
        self.assets.len() * self.holders.len()
    }

    fn task(&self, index: usize) -> Option<(AssetKey, Holder)> {
        let asset = self.assets.get(index.checked_div(self.holders.len())?)?;
        let holder = self.holders.get(index % self.holders.len())?;
        Some((asset.clone(), holder.clone()))
    }
}

/// Works a job off. Ends early when the sandbox's Apple is gone.
pub(super) async fn run(apple: Weak<Inner>, clock: Clock, mut job: Job) {
    loop {
        let Some(delay) = apple.upgrade().map(|apple| apple.lock().chunk_delay()) else { return };
        clock.sleep(delay).await;
        let Some(apple) = apple.upgrade() else { return };
        if apple.lock().advance(&mut job, clock.now()) {
            return;
        }
    }
}

impl State {
    fn chunk_delay(&mut self) -> Duration {
        let [from, to] = self.switches.chunk_delay_ms;
        Duration::from_millis(from + self.chance.below(to.saturating_sub(from) + 1))
    }

    /// Does the next chunk of a job. True when it was the last one.
    fn advance(&mut self, job: &mut Job, now: Timestamp) -> bool {
        if job.short.is_none() {
            job.short = Some(self.short_assets(job));
        }
        let end = (job.next + CHUNK).min(job.tasks());
        let switches = self.switches.clone();
        let Some(location) = self.locations.get_mut(&job.u_id) else { return true };
        let mut changed = false;
        for index in job.next..end {
            let Some((key, holder)) = job.task(index) else { break };
            let result = match job.kind {
                EventType::Associate => location.associate(job, &key, &holder, &switches),
                EventType::Disassociate => location.disassociate(&key, &holder, &switches),
            };
            let Some(event) = location.events.get_mut(&job.event_id) else { return true };
            match result {
                Ok(new) => {
                    event.completed += 1;
                    changed |= new;
                    if new && job.kind == EventType::Associate {
                        job.given.push((key, holder));
                    }
                }
                Err(error) => event.failures.entry((error, key)).or_default().push(holder),
            }
        }
        job.next = end;
        if changed {
            location.asset_versions.bump(now);
            location.assignment_versions.bump(now);
        }
        let finished = end == job.tasks();
        if finished {
            location.settle(job, now);
        }
        finished
    }

    /// With the switch `shortage` at `fail-all`: the assets that cannot serve all holders who lack them.
    fn short_assets(&self, job: &Job) -> BTreeSet<AssetKey> {
        if job.kind != EventType::Associate || self.switches.shortage != Shortage::FailAll {
            return BTreeSet::new();
        }
        let Some(location) = self.locations.get(&job.u_id) else { return BTreeSet::new() };
        let is_short = |key: &&AssetKey| {
            location.assets.get(key).is_some_and(|asset| {
                let lacking = job.holders.iter().filter(|holder| !asset.holders.contains_key(holder)).count();
                i64::try_from(lacking).is_ok_and(|lacking| lacking > asset.available())
            })
        };
        job.assets.iter().filter(is_short).cloned().collect()
    }
}

impl super::state::Location {
    /// One task. True when something changed.
    fn associate(
        &mut self,
        job: &Job,
        key: &AssetKey,
        holder: &Holder,
        switches: &Switches,
    ) -> Result<bool, AppleError> {
        let Some(asset) = self.assets.get(key) else { return Err(AppleError::NotEnoughLicences) };
        if job.short.as_ref().is_some_and(|short| short.contains(key)) {
            return Err(AppleError::NotEnoughLicences);
        }
        if asset.holders.contains_key(holder) {
            return repeated(switches.reassoc);
        }
        if asset.available() <= 0 {
            return Err(AppleError::NotEnoughLicences);
        }
        let held = Held { change: self.assignment_versions.upcoming(), settled: None };
        Ok(self.give(key, holder, held))
    }

    fn disassociate(&mut self, key: &AssetKey, holder: &Holder, switches: &Switches) -> Result<bool, AppleError> {
        if !self.assets.contains_key(key) {
            return Err(AppleError::NotEnoughLicences);
        }
        let change = self.assignment_versions.upcoming();
        if self.take(key, holder, change) { Ok(true) } else { repeated(switches.redisassoc) }
    }

    fn settle(&mut self, job: &Job, now: Timestamp) {
        for (key, holder) in &job.given {
            let held = self.assets.get_mut(key).and_then(|asset| asset.holders.get_mut(holder));
            if let Some(held) = held
                && held.settled.is_none()
            {
                held.settled = Some(now);
            }
        }
        if let Some(event) = self.events.get_mut(&job.event_id) {
            event.status = if event.failures.is_empty() { EventStatus::Complete } else { EventStatus::Failed };
        }
    }
}

/// A task that was satisfied before.
fn repeated(switch: Repeated) -> Result<bool, AppleError> {
    match switch {
        Repeated::Success => Ok(false),
        Repeated::Failure => Err(AppleError::InvalidArgument),
    }
}
