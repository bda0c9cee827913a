//! The safety net around the plan: what would take back too much at once is held until a person confirms it, and nothing is
//! changed at a location of which Apple's listing has suddenly shrunk. What is given goes on meanwhile.

use super::view::{ConfirmedView, HeldView};
use super::{OperationError, Shared, alerts, notify_after};
use crate::licensing::plan::{Actions, CommandKind, Holders, LicenceAction, Tally};
use crate::licensing::safety::Net;
use crate::licensing::{Device, Snapshot, Verb};
use crate::model::LocationId;
use crate::store::alerts::NewAlert;
use crate::store::safety::{self, Doubted, Held};
use crate::store::{self, StoreError, Write, assignments, audit, locations};

/// The plan would take back too much.
pub const HELD: &str = "plan-held";
/// Apple's listing of a location has suddenly shrunk.
pub const DOUBTED: &str = "listing-doubted";

/// What the net knew when a plan was made; read with its snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Before {
    pub confirmed: u64,
    pub held: Option<Held>,
}

impl Before {
    /// Reads it.
    pub fn load(connection: &rusqlite::Connection) -> Result<Before, StoreError> {
        Ok(Before { confirmed: safety::confirmed(connection)?, held: safety::held(connection)? })
    }
}

fn net(context: &Shared) -> Net {
    let licences = &context.config().licences;
    Net { share: licences.hold_above, least: u64::from(licences.hold_at_least) }
}

/// Takes out of the plan what it may not do unasked, and keeps, tells or takes back that it is held.
pub(super) async fn screen(
    context: &Shared,
    actions: &mut Actions,
    snapshot: &Snapshot,
    known: &mut Before,
) -> Result<(), OperationError> {
    let Tally { ours, leaving } = actions.tally;
    let before = *known;
    if leaving == 0 && before.confirmed > 0 {
        // Only what was seen: somebody may confirm more at this moment.
        context.store.write_bulk(move |w| safety::used_up(w, before.confirmed)).await?;
    }
    let now = context.clock.now();
    let held = net(context).holds(leaving, ours, before.confirmed).then(|| Held {
        since: before.held.map_or(now, |held| held.since),
        leaving,
        ours,
    });
    if held.is_some() {
        keep_back(actions, snapshot);
    }
    if held != before.held {
        let alert = held.map(|held| held_alert(&held));
        let raised = context
            .store
            .write(move |w| -> Result<bool, StoreError> {
                safety::hold(w, held.as_ref())?;
                match &alert {
                    Some(alert) => store::alerts::raise(w, alert, now),
                    None => store::alerts::end(w, HELD, None, None, now).map(|_| false),
                }
            })
            .await?;
        if let Some(held) = held.filter(|_| raised) {
            alerts::announce(&held_alert(&held));
        }
    }
    known.held = held;
    Ok(())
}

fn keep_back(actions: &mut Actions, snapshot: &Snapshot) {
    let enrolled = |device: u32| snapshot.devices.get(device as usize).is_some_and(Device::enrolled);
    actions.commands.retain(|action| action.kind != CommandKind::Remove);
    for LicenceAction { verb, holders, pairs, .. } in &mut actions.licences {
        let (verb, holders) = (*verb, *holders);
        pairs.retain(|(_, holder)| verb == Verb::Associate || (holders == Holders::Devices && !enrolled(*holder)));
    }
    actions.licences.retain(|action| !action.pairs.is_empty());
}

fn held_alert(held: &Held) -> NewAlert {
    NewAlert {
        kind: HELD,
        location: None,
        subject: "plan".into(),
        occasion: "plan".into(),
        grave: true,
        message: format!("{} Nothing is taken back; what is given goes on", held_words(held)),
        advice: "See what would go: vppd plan. If it is right: vppd plan confirm. If not, put back what was changed"
            .into(),
    }
}

fn held_words(held: &Held) -> String {
    let Held { leaving, ours, .. } = held;
    format!("{leaving} of the {ours} licences that vppd has given would be taken back at once, and nobody said so.")
}

/// Looks at a listing that is about to count: whether it can be believed after what was known before. Returns what to tell.
pub(super) fn weigh(
    w: &Write<'_>,
    net: Net,
    location: &locations::Location,
    listed: Listed,
    now: jiff::Timestamp,
) -> Result<Option<NewAlert>, StoreError> {
    let known = safety::doubted(w)?.remove(&location.id);
    let before = known.map_or(listed.before, |known| known.before.max(listed.before));
    if !net.doubts(before, listed.after) {
        end_doubt(w, location.id, now)?;
        return Ok(None);
    }
    let doubted = Doubted { since: known.map_or(now, |known| known.since), before, after: listed.after };
    safety::doubt(w, location.id, &doubted)?;
    let name = &location.name;
    let alert = NewAlert {
        kind: DOUBTED,
        location: Some(location.id),
        subject: name.clone(),
        occasion: doubted.since.to_string(),
        grave: true,
        message: format!(
            "Apple listed {before} assignments of location \"{name}\" and now lists {}: vppd changes nothing there",
            doubted.after
        ),
        advice: "If somebody has taken them back or moved them: vppd plan confirm. If not, look at the location in \
                 Apple's portal; vppd goes on by itself when Apple lists them again"
            .into(),
    };
    Ok(store::alerts::raise(w, &alert, now)?.then_some(alert))
}

/// How many assignments were known of a location, and how many Apple lists now.
#[derive(Debug, Clone, Copy)]
pub(super) struct Listed {
    pub before: u64,
    pub after: u64,
}

/// The net as it is set now.
pub(super) fn set_net(context: &Shared) -> Net {
    net(context)
}

fn end_doubt(w: &Write<'_>, location: LocationId, now: jiff::Timestamp) -> Result<(), StoreError> {
    if safety::believe(w, location)? {
        store::alerts::end(w, DOUBTED, Some(location), None, now)?;
    }
    Ok(())
}

/// A person takes an app away knowingly: what vppd has given of it may go.
pub(super) fn knowingly(w: &Write<'_>, adam_id: &str, now: jiff::Timestamp, who: &str) -> Result<(), StoreError> {
    match assignments::count_own(w, adam_id)? {
        0 => Ok(()),
        licences => safety::confirm(w, licences, now, who),
    }
}

/// A person has seen what would go, and lets it go.
pub async fn confirm(context: &Shared, who: &str) -> Result<ConfirmedView, OperationError> {
    let (now, who, plan_now) = (context.clock.now(), who.to_owned(), context.plan_now.clone());
    context
        .store
        .write(move |w| -> Result<ConfirmedView, OperationError> {
            let held = safety::held(w)?;
            let doubted = safety::doubted(w)?;
            if held.is_none() && doubted.is_empty() {
                return Err(OperationError::new(
                    super::Kind::Conflict,
                    "nothing-held",
                    "nothing is held: there is nothing to confirm",
                    "`vppd plan` shows what is done now.",
                ));
            }
            let licences = held.map_or(0, |held| held.leaving);
            if held.is_some() {
                let confirmed = safety::confirmed(w)?;
                safety::confirm(w, licences.saturating_sub(confirmed), now, &who)?;
            }
            let mut names = Vec::new();
            for location in locations::all(w)?.into_iter().filter(|location| doubted.contains_key(&location.id)) {
                end_doubt(w, location.id, now)?;
                names.push(location.name);
            }
            let subject = match names.is_empty() {
                true => format!("{licences} licences"),
                false => format!("{licences} licences; listings of {}", names.join(", ")),
            };
            audit::write(w, now, &who, "plan confirmed", &subject)?;
            notify_after(w, &plan_now);
            Ok(ConfirmedView { licences, locations: names })
        })
        .await
}

/// What is held, as shown.
pub(super) fn view(connection: &rusqlite::Connection, held: Option<&Held>) -> Result<Vec<HeldView>, StoreError> {
    let mut views: Vec<HeldView> =
        held.map(|held| HeldView { since: held.since, why: held_words(held) }).into_iter().collect();
    let doubted = safety::doubted(connection)?;
    for location in locations::all(connection)? {
        let Some(Doubted { since, before, after }) = doubted.get(&location.id) else { continue };
        let why = format!(
            "Apple listed {before} assignments of location \"{}\" and now lists {after}: nothing is changed there.",
            location.name
        );
        views.push(HeldView { since: *since, why });
    }
    Ok(views)
}
