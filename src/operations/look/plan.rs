//! The plan as shown: requests to Apple, commands to devices, who waits, and what cannot be done.

use std::collections::HashMap;

use super::{Seen, see};
use crate::licensing::explain::{Names, explain};
use crate::licensing::plan::{CommandKind, Holders};
use crate::licensing::{Step, rectangles};
use crate::operations::reconcile::{limits, named, verb_words};
use crate::operations::view::{CommandActionView, LicenceActionView, PlanView, WaitingPersonView};
use crate::operations::{OperationError, Shared, safety};
use crate::store::persons::{self, Person};

/// What would be done now, and why, without doing it.
pub async fn plan(context: &Shared) -> Result<PlanView, OperationError> {
    let seen = see(context).await?;
    let apple = context.apple.service_config().await.limits;
    let (planned, snapshot) = (&seen.planned, &seen.planned.loaded.snapshot);
    let people: HashMap<String, Person> = {
        let all = context.store.read(persons::all).await?;
        all.into_iter().map(|person| (person.client_user_id.clone(), person)).collect()
    };
    let mut licences = Vec::new();
    for action in &planned.plan.actions.licences {
        let limits = limits(action.holders, &apple);
        for rectangle in rectangles(&action.pairs, limits) {
            let (assets, holders) = named(&planned.loaded.snapshot, action.holders, &rectangle);
            let names = assets.iter().map(|(adam_id, _)| seen.catalogue.name(adam_id)).collect();
            licences.push(LicenceActionView {
                location: snapshot.locations[action.location as usize].name.clone(),
                verb: action.verb.word().into(),
                adam_ids: assets.into_iter().map(|(adam_id, _)| adam_id).collect(),
                names,
                serials: if action.holders == Holders::Devices { holders.ids().to_vec() } else { Vec::new() },
                people: match action.holders {
                    Holders::Devices => Vec::new(),
                    Holders::Persons => holders.ids().iter().map(|id| email(&people, id)).collect(),
                },
                why: verb_words(action.verb).into(),
            });
        }
    }
    let step_of: HashMap<(u32, u32), Step> =
        planned.plan.steps.iter().map(|step| ((step.product, step.device), step.step)).collect();
    let commands = planned.plan.actions.commands.iter().map(|action| {
        let step = step_of.get(&(action.product, action.device)).copied().unwrap_or(Step::Nothing);
        CommandActionView {
            serial: snapshot.devices[action.device as usize].serial.clone(),
            request_type: match action.kind {
                CommandKind::Install => "InstallApplication",
                CommandKind::Remove => "RemoveApplication",
                CommandKind::Verify => "ManagedApplicationList",
                CommandKind::Withdraw => "withdraw",
            }
            .into(),
            adam_id: snapshot.products[action.product as usize].adam_id.clone(),
            name: seen.catalogue.name(&snapshot.products[action.product as usize].adam_id),
            why: explain(step, &Names::default()),
        }
    });
    let waits = |step: Step| matches!(step, Step::WaitForLicence { .. } | Step::WaitForQuota { .. });
    let mut waiting = seen.pairs_of(|step| waits(seen.shown(step)));
    waiting.sort_by(|a, b| (&a.adam_id, a.position).cmp(&(&b.adam_id, b.position)));
    let waiting_people = waiting_people(&seen, &people);
    let count = |wanted: fn(&Step) -> bool| planned.plan.steps.iter().filter(|s| wanted(&s.step)).count() as u64;
    let net = planned.net.held;
    let held = context.store.read(move |c| safety::view(c, net.as_ref())).await?;
    Ok(PlanView {
        paused: planned.paused,
        held,
        licences,
        commands: commands.collect(),
        waiting,
        waiting_people,
        blocked: seen.pairs_of(|step| matches!(seen.shown(step), Step::Blocked(_))),
        satisfied: count(|step| matches!(step, Step::Satisfied | Step::LicenceHeld | Step::Removed)),
        in_flight: count(|step| {
            matches!(
                step,
                Step::AwaitAssignment
                    | Step::AwaitReturn
                    | Step::AwaitInstallAnswer
                    | Step::AwaitInstall
                    | Step::AwaitPerson
                    | Step::AwaitRemoval
            )
        }),
    })
}

/// The address of a user of ours; Apple's id of a user whose person is gone.
fn email(people: &HashMap<String, Person>, client_user_id: &str) -> String {
    people.get(client_user_id).map_or_else(|| client_user_id.to_owned(), |person| person.email.clone())
}

/// People who wait for a licence, and no device of theirs is shown as waiting for it.
fn waiting_people(seen: &Seen, people: &HashMap<String, Person>) -> Vec<WaitingPersonView> {
    let snapshot = &seen.planned.loaded.snapshot;
    let through_devices: std::collections::HashSet<(u32, u32)> = (seen.planned.plan.steps.iter())
        .filter(|step| step.step == Step::AwaitSeat)
        .filter_map(|step| Some((snapshot.devices[step.device as usize].person?, step.product)))
        .collect();
    let waits = |step| match step {
        Step::WaitForLicence { position } | Step::WaitForQuota { position } => Some(position),
        _ => None,
    };
    let mut waiting: Vec<WaitingPersonView> = (seen.planned.plan.seats.iter())
        .filter(|seat| !through_devices.contains(&(seat.person, seat.product)))
        .filter_map(|seat| {
            let product = &snapshot.products[seat.product as usize];
            let id = &snapshot.persons[seat.person as usize].client_user_id;
            Some(WaitingPersonView {
                adam_id: product.adam_id.clone(),
                name: seen.catalogue.name(&product.adam_id),
                email: email(people, id),
                person: people.get(id).map(|person| person.name.clone()).unwrap_or_default(),
                position: waits(seat.step)?,
                why: explain(seat.step, &Names::default()),
            })
        })
        .collect();
    waiting.sort_by(|a, b| (&a.adam_id, a.position).cmp(&(&b.adam_id, b.position)));
    waiting
}
