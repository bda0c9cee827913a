//! The asynchronous half of the service: an accepted event is worked off in chunks, each after a while.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Weak;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::oneshot;

use super::errors::AppleError;
use super::location::{AssetKey, Held, Holder, Location, Table, Target};
use super::notices::Finished;
use super::roster::Wish;
use super::state::State;
use super::subscriptions::{SeatRecord, SeatTask};
use super::switches::{Repeated, Satisfied, Shortage, Switches};
use super::wire::{Element, EventStatus, EventType, UserRecord};
use super::{Inner, sender};
use crate::chance::Chance;
use crate::clock::Clock;

/// Tasks done at a time. Apple: Subscribing to notifications (elements of one notification).
const CHUNK: usize = 100;

/// One piece of an event.
#[derive(Debug, Clone)]
pub(super) enum Task {
    /// A licence for a target.
    Licence(AssetKey, Target),
    /// Everything that is to be taken back from a user nobody knows.
    Nobody(String),
    /// A user to create, update or retire.
    User(Wish),
    /// A seat of a subscription for a user.
    Seat(u64, String, SeatTask),
}

/// The tasks of one event, in order.
pub(super) struct Job {
    pub u_id: String,
    pub event_id: String,
    pub kind: EventType,
    tasks: Vec<Task>,
    /// Index of the next task.
    next: usize,
    /// Assets of which there are not enough for all, when that fails all their tasks. Known from the first chunk on.
    short: Option<BTreeSet<AssetKey>>,
    /// What this event has assigned.
    given: Vec<(AssetKey, Holder)>,
    /// With what tasks fail, whatever they are, and how many of a hundred.
    doom: Option<(AppleError, u8)>,
}

impl Job {
    pub(super) fn new(u_id: String, event_id: String, kind: EventType, tasks: Vec<Task>) -> Job {
        Job { u_id, event_id, kind, tasks, next: 0, short: None, given: Vec::new(), doom: None }
    }

    pub(super) fn len(&self) -> usize {
        self.tasks.len()
    }

    /// So many of a hundred tasks will fail.
    pub(super) fn doom(&mut self, error: AppleError, percent: u8) {
        self.doom = Some((error, percent));
    }

    /// Licences that are to be given or taken, as far as they are known: adamId and target.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (String, Target)> {
        self.tasks.iter().filter_map(|task| match task {
            Task::Licence(key, target) => Some((key.adam_id.clone(), target.clone())),
            Task::Nobody(_) | Task::User(_) | Task::Seat(..) => None,
        })
    }

    pub(super) fn is_done(&self) -> bool {
        self.next >= self.tasks.len()
    }
}

/// What came of a chunk.
#[derive(Default)]
struct Report {
    changed: BTreeSet<Table>,
    done: Vec<Element>,
    failed: BTreeMap<AppleError, Vec<Element>>,
}

/// A task that worked.
struct Done {
    changed: Vec<Table>,
    /// `None` when it is announced later.
    element: Option<Element>,
}

/// What tasks need beside their location.
struct Surroundings<'a> {
    chance: &'a mut Chance,
    switches: &'a Switches,
    managed_domain: &'a str,
}

/// Works a job off. Ends early when the sandbox's Apple is gone.
pub(super) async fn run(apple: Weak<Inner>, clock: Clock, mut job: Job) {
    while !job.is_done() {
        let Some(delay) = apple.upgrade().map(|apple| apple.lock().chunk_delay()) else { return };
        clock.sleep(delay).await;
        let Some(apple) = apple.upgrade() else { return };
        apple.lock().advance(&mut job, clock.now());
        sender::flush(&apple);
    }
}

/// Does the first chunk of a job at once, and waits until its notifications have been sent; then the rest as usual.
pub(super) async fn run_early(apple: Weak<Inner>, clock: Clock, mut job: Job, told: oneshot::Sender<()>) {
    let Some(inner) = apple.upgrade() else { return };
    inner.lock().advance(&mut job, clock.now());
    for sent in sender::flush(&inner) {
        // An error says that the notification could not be sent at all.
        let _ = sent.await;
    }
    drop(inner);
    let _ = told.send(());
    run(apple, clock, job).await;
}

impl State {
    fn chunk_delay(&mut self) -> Duration {
        let [from, to] = self.switches.chunk_delay_ms;
        Duration::from_millis(from + self.chance.below(to.saturating_sub(from) + 1))
    }

    /// Does the next chunk of a job.
    pub(super) fn advance(&mut self, job: &mut Job, now: Timestamp) {
        self.pass_time(now);
        if job.short.is_none() {
            job.short = Some(self.short_assets(job));
        }
        let end = (job.next + CHUNK).min(job.len());
        let given = job.given.len();
        let chunk = job.tasks.get(job.next..end).unwrap_or_default().to_vec();
        job.next = end;
        let State { locations, chance, switches, managed_domain, .. } = self;
        let Some(location) = locations.get_mut(&job.u_id) else { return };
        let mut surroundings = Surroundings { chance, switches, managed_domain };
        let mut report = Report::default();
        for task in &chunk {
            let result = match job.doom {
                Some((error, percent)) if surroundings.chance.below(100) < percent.into() => Err(error),
                _ => location.perform(job, task, &mut surroundings),
            };
            let Some(event) = location.events.get_mut(&job.event_id) else { return };
            match result {
                Ok(done) => {
                    event.completed += 1;
                    if !done.changed.is_empty() || surroundings.switches.satisfied == Satisfied::Listed {
                        report.done.extend(done.element);
                    }
                    report.changed.extend(done.changed);
                }
                Err(error) => {
                    let (asset, target) = blamed(task);
                    event.failures.entry((error, asset)).or_default().push(target);
                    report.failed.entry(error).or_default().extend(named(task));
                }
            }
        }
        location.wrote(&Vec::from_iter(report.changed), now);
        if job.is_done() {
            location.settle(job, now);
            self.forget_pending(job);
        }
        self.count_second_licences(job, given);
        let (u_id, event_id, kind) = (&job.u_id, &job.event_id, job.kind);
        if !report.done.is_empty() {
            let elements = report.done;
            self.notify_finished(Finished { u_id, event_id, kind, error: None, elements }, now);
        }
        for (error, elements) in report.failed {
            self.notify_finished(Finished { u_id, event_id, kind, error: Some(error), elements }, now);
        }
    }

    /// An event was accepted: counts the pairs that another pending event names, too.
    pub(super) fn note_pending(&mut self, job: &Job) {
        for pair in job.pairs() {
            let events = self.pending.entry(pair).or_default();
            *events += 1;
            self.counters.pairs_in_two_events += u64::from(*events > 1);
        }
    }

    fn forget_pending(&mut self, job: &Job) {
        for pair in job.pairs() {
            if let Some(events) = self.pending.get_mut(&pair) {
                *events -= 1;
                if *events == 0 {
                    self.pending.remove(&pair);
                }
            }
        }
    }

    /// Counts those of what was given from the `from`th on, who hold another licence of the same product.
    fn count_second_licences(&mut self, job: &Job, from: usize) {
        for (key, holder) in job.given.get(from..).unwrap_or_default() {
            let target = holder.target();
            let held = self.locations.values().flat_map(|location| {
                let holder = location.holder(&target);
                location
                    .assets_of(&key.adam_id)
                    .filter(move |asset| holder.as_ref().is_some_and(|holder| asset.holders.contains_key(holder)))
            });
            self.counters.second_licences += u64::from(held.count() > 1);
        }
    }

    /// With the switch `shortage` at `fail-all`: the assets that cannot serve all targets who lack them.
    fn short_assets(&self, job: &Job) -> BTreeSet<AssetKey> {
        if job.kind != EventType::Associate || self.switches.shortage != Shortage::FailAll {
            return BTreeSet::new();
        }
        let Some(location) = self.locations.get(&job.u_id) else { return BTreeSet::new() };
        let mut lacking: BTreeMap<&AssetKey, i64> = BTreeMap::new();
        for task in &job.tasks {
            let Task::Licence(key, target) = task else { continue };
            let holder = location.holder(target);
            let held = |holder| location.assets.get(key).is_some_and(|asset| asset.holders.contains_key(&holder));
            *lacking.entry(key).or_default() += i64::from(!holder.is_some_and(held));
        }
        let is_short =
            |key: &AssetKey, lacking: i64| location.assets.get(key).is_some_and(|asset| lacking > asset.available());
        lacking.into_iter().filter(|(key, lacking)| is_short(key, *lacking)).map(|(key, _)| key.clone()).collect()
    }
}

/// Whom a failure is put down to.
fn blamed(task: &Task) -> (Option<AssetKey>, Target) {
    match task {
        Task::Licence(key, target) => (Some(key.clone()), target.clone()),
        Task::Nobody(id) => (None, Target::User(id.clone())),
        Task::User(wish) => (None, Target::User(wish.client_user_id.clone())),
        Task::Seat(_, id, _) => (None, Target::User(id.clone())),
    }
}

/// A failed task, as notifications name it.
fn named(task: &Task) -> Option<Element> {
    match task {
        Task::Licence(key, target) => Some(Element::Assignment(key.to(target))),
        Task::Nobody(_) => None,
        Task::User(wish) => Some(Element::User(UserRecord::only(&wish.client_user_id))),
        Task::Seat(adam_id, id, task) => Some(Element::Seat(SeatRecord {
            adam_id: *adam_id,
            client_user_id: id.clone(),
            renewing: matches!(task, SeatTask::Give { renewing: true }),
        })),
    }
}

impl Location {
    fn perform(&mut self, job: &mut Job, task: &Task, around: &mut Surroundings) -> Result<Done, AppleError> {
        match task {
            Task::Licence(key, target) => {
                let holder = self.holder(target).ok_or(AppleError::NoSuchUser)?;
                let changed = match job.kind {
                    EventType::Associate => self.associate(job, key, &holder, around.switches)?,
                    _ => self.disassociate(key, &holder, around.switches)?,
                };
                let changed = if changed { vec![Table::Assets, Table::Assignments] } else { Vec::new() };
                Ok(Done { changed, element: Some(Element::Assignment(key.to(target))) })
            }
            Task::Nobody(_) => Err(AppleError::NoSuchUser),
            Task::User(wish) => self.manage_user(job.kind, wish, around),
            Task::Seat(adam_id, id, task) => {
                let (changed, element) = self.manage_seat(*adam_id, id, task, &job.event_id)?;
                Ok(Done { changed: if changed { vec![Table::Subscriptions] } else { Vec::new() }, element })
            }
        }
    }

    fn associate(
        &mut self,
        job: &mut Job,
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
        job.given.push((key.clone(), holder.clone()));
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

    fn manage_user(&mut self, kind: EventType, wish: &Wish, around: &mut Surroundings) -> Result<Done, AppleError> {
        let change = self.user_versions.upcoming();
        let managed = |account: &str| is_managed(account, around.managed_domain);
        let mut changed = vec![Table::Users];
        let record = match kind {
            EventType::Create => {
                let code = around.chance.uuid().simple().to_string();
                self.users.create(wish, code, managed, change)?
            }
            EventType::Update => self.users.update(wish, managed, change)?,
            _ => {
                let record = self.users.active(&wish.client_user_id).ok_or(AppleError::NoSuchUser)?;
                changed = self.retire(&wish.client_user_id).ok_or(AppleError::NoSuchUser)?;
                record
            }
        };
        let user = self.users.get(record).ok_or(AppleError::NoSuchUser)?;
        Ok(Done { changed, element: Some(Element::User(user.to_record())) })
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

/// Whether an Apple Account belongs to the organisation.
fn is_managed(account: &str, domain: &str) -> bool {
    account.rsplit_once('@').is_some_and(|(name, of)| !name.is_empty() && of.eq_ignore_ascii_case(domain))
}

/// A task that was satisfied before.
fn repeated(switch: Repeated) -> Result<bool, AppleError> {
    match switch {
        Repeated::Success => Ok(false),
        Repeated::Failure => Err(AppleError::InvalidArgument),
    }
}
