//! One pair, or one seat, judged by itself: what is wanted, what comes next, and what that means for all others who want a
//! licence of the same app. Everything that needs only the facts of one device or person is here; who gets a scarce licence
//! is decided in [`super::queue`].

use jiff::Timestamp;

use super::desired::{By, Decision, Rules};
use super::plan::CommandKind;
use super::queue::{Claim, allows};
use super::snapshot::{Asset, Device, Holder, Licence, Pair, Seat, Snapshot, Standing, reached, seconds};
use super::step::{
    Around, AroundSeat, Cover, Presence, SeatWanted, Step, Wanted, next_for_seat, next_step, waits_for_the_device,
};
use crate::clock::after;
use crate::model::{App, Purpose};

/// What came out for one pair or one seat.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Judged {
    pub step: Step,
    /// What decides, if anything speaks of it.
    pub decision: Option<Decision>,
    /// The licence in question is the person's.
    pub by_user: bool,
    pub act: Act,
    /// Its place in the queue for licences, if it needs one.
    pub claim: Option<Claim>,
    /// It holds a licence, or one is asked for, through this.
    pub holds: Option<By>,
    pub wave: Option<InWave>,
    /// What it means for the seat of the device's person.
    pub usage: Option<Use>,
    /// A licence of ours is on its way out, and nobody but us has decided so.
    pub leaves: bool,
    /// When to look again although nothing happened.
    pub wake: Option<u32>,
}

/// What is to be done for one pair or one seat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Act {
    pub command: Option<CommandKind>,
    /// The asset whose licence goes back.
    pub take_back: Option<u32>,
    /// The asset whose licence becomes ours.
    pub adopt: Option<u32>,
    /// Whether it is to be noted that the pair is on its way out, or that it is not any more.
    pub leaving: Option<bool>,
}

/// How a pair stands in the waves of its deployment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum InWave {
    /// Its first install may be sent when there is room.
    Ready {
        rule: u32,
        since: Timestamp,
    },
    UnderWay {
        rule: u32,
    },
}

/// What a device makes of the seat of its person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// The app is wanted there through the seat.
    Wanted { by: By, priority: i32, since: Timestamp },
    /// The app may be there.
    Present,
}

fn earliest(some: Option<u32>, other: Option<u32>) -> Option<u32> {
    some.into_iter().chain(other).min()
}

/// How the device stands now.
pub(super) fn presence(snapshot: &Snapshot, device: &Device, decision: Option<&Decision>) -> Presence {
    let kept = |left: Timestamp| {
        let newer = |decision: &Decision| matches!(decision.by, By::Hand(_)) && decision.made_at > left;
        Presence::Gone { kept: decision.is_some_and(newer) }
    };
    match device.standing {
        Standing::Enrolled => match device.silent_at(&snapshot.deadlines) {
            Some(at) if reached(at, snapshot.now) => kept(at),
            _ => Presence::Here,
        },
        Standing::Enrolling { until } if !reached(until, snapshot.now) => Presence::Coming,
        Standing::Enrolling { until } => kept(until),
        Standing::Left { at } => kept(at),
        Standing::Named => kept(Timestamp::MIN),
    }
}

/// When the device itself is to be looked at again: it will be silent for too long, or is not enrolled in time.
pub(super) fn wake_of_device(snapshot: &Snapshot, device: &Device) -> Option<u32> {
    let at = match device.standing {
        Standing::Enrolling { until } => Some(until),
        _ => device.silent_at(&snapshot.deadlines),
    };
    at.filter(|&at| !reached(at, snapshot.now)).map(seconds)
}

/// Of the licences of ours that a holder has of one app, the one to give back; `asset`: the one in its row. The one that stays
/// is under a location that what decides may use, then under the first location. While one is asked for or taken back, its
/// end is awaited.
fn surplus(
    snapshot: &Snapshot,
    product: u32,
    holder: Holder,
    (licence, ours, asset): (Licence, bool, u32),
    by: Option<By>,
) -> Option<u32> {
    if licence != Licence::Assigned || !ours {
        return None;
    }
    let facts = |asset: u32| &snapshot.assets[asset as usize];
    let mut held: Vec<u32> = snapshot.extras_of(product, holder).filter(|&extra| extra != asset).collect();
    if held.is_empty() {
        return None;
    }
    held.push(asset);
    held.sort_unstable_by_key(|&asset| {
        let location = facts(asset).location;
        (by.is_some_and(|by| !allows(snapshot, by, location)), location, asset)
    });
    let can_go = |&asset: &u32| {
        let asset = facts(asset);
        asset.revocable && snapshot.locations[asset.location as usize].writable
    };
    held.into_iter().skip(1).rfind(can_go)
}

/// Judges one pair; `known`: what is known of it.
pub(super) fn judge(snapshot: &Snapshot, rules: &Rules, product: u32, device: u32, known: Option<&Pair>) -> Judged {
    let facts = &snapshot.devices[device as usize];
    let app = &snapshot.products[product as usize];
    let unknown = Pair::unknown(product);
    let pair = known.unwrap_or(&unknown);
    // Books are for people: no device is told of one.
    let decision = if app.book { None } else { rules.for_device(snapshot, product, device, known) };
    let by_user = decision.is_some_and(|it| rules.is_by_user(snapshot, product, device, it.kind, known));
    let presence = presence(snapshot, facts, decision.as_ref());
    let person_left = facts.person.is_some_and(|person| snapshot.persons[person as usize].has_left(snapshot.now));
    let wanted = match decision {
        None => Wanted::Nothing,
        Some(_) if by_user && person_left => Wanted::Nothing,
        Some(it) => match it.purpose {
            Purpose::Required => Wanted::Required { install: it.install },
            Purpose::Available => Wanted::Available,
            Purpose::Uninstall => Wanted::Uninstall,
        },
    };
    let seat = facts.person.and_then(|person| snapshot.seat(product, person));
    let seat_licence = seat.map_or(Licence::None, |seat| seat.licence);
    let cover = match (by_user, facts.person) {
        (false, _) => Cover::Device,
        (true, Some(_)) => Cover::Person(seat_licence),
        (true, None) => Cover::Nobody,
    };
    let now = snapshot.now;
    let second = now.as_second();
    let refused = matches!(pair.app, App::Rejected | App::Failed);
    let since = super::snapshot::time(pair.since);
    let refused_until = seconds(after(since, snapshot.deadlines.rejected));
    let leaving_until = seconds(after(since, snapshot.deadlines.offline));
    let held = snapshot.assets.get(pair.asset as usize).filter(|_| pair.licence != Licence::None);
    let writable = |asset: &Asset| snapshot.locations.get(asset.location as usize).is_some_and(|l| l.writable);
    let around = Around {
        wanted,
        cover,
        presence,
        due: i64::from(pair.due) <= second,
        overdue: !refused && pair.since > 0 && i64::from(leaving_until) <= second,
        refused_long_ago: refused && i64::from(refused_until) <= second,
        asked_anew: refused && decision.is_some_and(|it| it.made_at > since),
        bundle_id_known: app.bundle_id.is_some(),
        licence_writable: held.is_none_or(writable),
        licence_revocable: held.is_none_or(|asset| asset.revocable),
        second: surplus(
            snapshot,
            product,
            Holder::Device(device),
            (pair.licence, pair.ours, pair.asset),
            decision.map(|it| it.by),
        ),
    };
    let step = next_step(pair, &around);
    let required = matches!(wanted, Wanted::Required { .. });
    let here = presence == Presence::Here;
    let on_its_way_out = here && step != Step::Nothing && !required && wanted != Wanted::Available;
    let leaving = on_its_way_out && waits_for_the_device(pair);
    let by = decision.filter(|_| required).map(|it| it.by);
    let rule = match by {
        Some(By::Rule(rule)) => Some(rule),
        _ => None,
    };
    let waves = rule.filter(|&rule| snapshot.rules[rule as usize].wave.is_some() && here);
    let wave = match (waves, step, pair.app) {
        (Some(_), Step::Install, App::InstallRetry) => None,
        (Some(rule), Step::Install, _) => {
            Some(InWave::Ready { rule, since: decision.map_or(now, |decision| decision.since) })
        }
        (Some(rule), Step::AwaitInstallAnswer | Step::AwaitInstall, _) | (Some(rule), Step::Verify, App::Working) => {
            Some(InWave::UnderWay { rule })
        }
        _ => None,
    };
    let command = match step {
        Step::Install if wave.is_none() => Some(CommandKind::Install),
        Step::Remove => Some(CommandKind::Remove),
        Step::Verify => Some(CommandKind::Verify),
        Step::WithdrawInstall | Step::WithdrawRemove => Some(CommandKind::Withdraw),
        _ => None,
    };
    let adopted = required && here && pair.licence == Licence::Assigned && !pair.ours;
    let mark = match (leaving, pair.since > 0) {
        (true, false) => Some(true),
        (false, true) if !refused => Some(false),
        _ => None,
    };
    let act = Act {
        command,
        take_back: match step {
            Step::Disassociate { asset } | Step::DisassociateSecond { asset } => Some(asset),
            _ => None,
        },
        adopt: adopted.then_some(pair.asset),
        leaving: mark,
    };
    let claim = decision.filter(|_| step == Step::NeedsLicence).map(|it| Claim {
        holder: Holder::Device(device),
        by: it.by,
        priority: it.priority,
        since: it.since,
    });
    let holds = by.filter(|_| matches!(pair.licence, Licence::Assigned | Licence::Requested));
    let still_refused = refused && !around.asked_anew;
    let usage = usage(pair, &around, decision.as_ref().filter(|_| by_user), still_refused, leaving)
        .filter(|_| facts.person.is_some());
    let waits = !matches!(step, Step::Nothing | Step::Removed | Step::Satisfied | Step::LicenceHeld);
    let future = |at: u32| Some(at).filter(|&at| i64::from(at) > second);
    let mut wake = future(pair.due).filter(|_| waits);
    if required && here && still_refused && (pair.licence == Licence::Assigned || seat_licence == Licence::Assigned) {
        wake = earliest(wake, future(refused_until));
    }
    if leaving && pair.since > 0 {
        wake = earliest(wake, future(leaving_until));
    }
    let leaves = facts.enrolled() && pair_leaves(pair, step);
    Judged { step, decision, by_user, act, claim, holds, wave, usage, leaves, wake }
}

fn leaves(step: Step) -> bool {
    matches!(step, Step::Remove | Step::AwaitRemoval | Step::Disassociate { .. } | Step::AwaitReturn)
}

/// Whether a licence of ours is on its way out, as [`super::plan::Tally`] counts.
fn pair_leaves(pair: &Pair, step: Step) -> bool {
    if !pair.ours || pair.licence == Licence::None {
        return leaves(step);
    }
    match step {
        Step::Verify => {
            matches!(pair.app, App::RemoveQueued | App::RemoveUnconfirmed | App::RemoveRetry | App::Removed)
        }
        Step::AwaitRetry => {
            let still_there =
                matches!(pair.app, App::Working | App::WaitingForPerson | App::Installed | App::InstallQueued);
            pair.licence == Licence::Assigned && !still_there && pair.app != App::InstallRetry
        }
        step => leaves(step),
    }
}

/// What the pair makes of the seat of the device's person. `by_user`: what decides, if the licence is the person's.
fn usage(pair: &Pair, around: &Around, by_user: Option<&Decision>, still_refused: bool, leaving: bool) -> Option<Use> {
    let own = pair.licence == Licence::Assigned;
    let may_be_there = waits_for_the_device(pair) && !own && !(leaving && around.overdue);
    match (around.presence, around.wanted, by_user) {
        (Presence::Gone { .. }, _, _) => None,
        (Presence::Here, Wanted::Required { .. }, Some(_)) if still_refused => {
            (!around.refused_long_ago).then_some(Use::Present)
        }
        (Presence::Here, Wanted::Required { .. }, Some(it)) => {
            Some(Use::Wanted { by: it.by, priority: it.priority, since: it.since })
        }
        (Presence::Coming, Wanted::Required { .. }, Some(_)) => Some(Use::Present),
        (_, Wanted::Available, Some(_)) if pair.app == App::None => Some(Use::Present),
        _ => may_be_there.then_some(Use::Present),
    }
}

/// Judges one seat. `uses`: what the person's devices make of it.
pub(super) fn judge_seat(
    snapshot: &Snapshot,
    rules: &Rules,
    product: u32,
    person: u32,
    uses: impl Iterator<Item = Use>,
) -> Judged {
    let unknown = Seat::unknown(product);
    let seat = snapshot.seat(product, person).unwrap_or(&unknown);
    let own = rules.for_person(snapshot, product, person);
    let mut present = false;
    // Of several that want it: the one before the others in the line, then the older deployment.
    let older = |by: By| match by {
        By::Rule(rule) => snapshot.rules[rule as usize].id,
        By::Hand(_) => i64::MIN,
    };
    let wish = |priority: i32, since: Timestamp, by: By| (-i64::from(priority), since, older(by), by);
    let mut best = own.filter(|it| it.purpose == Purpose::Required).map(|it| wish(it.priority, it.since, it.by));
    for one in uses {
        match one {
            Use::Present => present = true,
            Use::Wanted { by, priority, since } => {
                let wanted = wish(priority, since, by);
                best = Some(best.map_or(wanted, |known| known.min(wanted)));
            }
        }
    }
    let taken_back = own.is_some_and(|it| it.purpose == Purpose::Uninstall && matches!(it.by, By::Hand(_)));
    let wanted = match (best, present) {
        (Some(_), _) => SeatWanted::Wanted,
        (None, true) => SeatWanted::InUse,
        (None, false) if taken_back => SeatWanted::TakenBack,
        (None, false) => SeatWanted::Nothing,
    };
    let held = snapshot.assets.get(seat.asset as usize).filter(|_| seat.licence != Licence::None);
    let writable = |asset: &Asset| snapshot.locations.get(asset.location as usize).is_some_and(|l| l.writable);
    let due = i64::from(seat.due) <= snapshot.now.as_second();
    let around = AroundSeat {
        wanted,
        due,
        writable: held.is_none_or(writable),
        revocable: held.is_none_or(|asset| asset.revocable),
        second: surplus(
            snapshot,
            product,
            Holder::Person(person),
            (seat.licence, seat.ours, seat.asset),
            best.map(|(.., by)| by),
        ),
    };
    let step = next_for_seat(seat, &around);
    let claim = best.filter(|_| step == Step::NeedsLicence).map(|(priority, since, _, by)| Claim {
        holder: Holder::Person(person),
        by,
        priority: -priority as i32,
        since,
    });
    let holds = best.filter(|_| matches!(seat.licence, Licence::Assigned | Licence::Requested)).map(|(.., by)| by);
    let adopted = wanted == SeatWanted::Wanted && seat.licence == Licence::Assigned && !seat.ours;
    let act = Act {
        take_back: match step {
            Step::Disassociate { asset } | Step::DisassociateSecond { asset } => Some(asset),
            _ => None,
        },
        adopt: adopted.then_some(seat.asset),
        ..Act::default()
    };
    let wake = Some(seat.due).filter(|_| step == Step::AwaitRetry && !due);
    let leaves = leaves(step);
    Judged { step, decision: own, by_user: true, act, claim, holds, wave: None, usage: None, leaves, wake }
}
