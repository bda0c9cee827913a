//! What is declared, compared with what is wanted, at each plan: devices that were never asked are, changed terms change
//! declarations, what nobody wants is withdrawn, and who has not fetched is called again.

use std::collections::HashMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::{Way, Wish, changed, declarations, managed_app, put, remove, system, terms_of, way};
use crate::clock::after;
use crate::entropy::Entropy;
use crate::licensing::desired::By;
use crate::licensing::membership::platform;
use crate::licensing::progress::Patience;
use crate::licensing::step::Blocked;
use crate::licensing::{Planner, Step};
use crate::mdm::command::{Command, DeclarativeManagement, ManagedApplicationList};
use crate::mdm::declarative::System;
use crate::model::{App, Delivery, DeploymentId, DeviceId};
use crate::operations::reconcile::Names;
use crate::operations::{OperationError, Shared, checkin};
use crate::store::declarations::{DeclaredApp, Declaring, State};
use crate::store::deployments::Deployment;
use crate::store::devices::{self, DeviceState};
use crate::store::{Write, commands, deployments, pairs};

/// Changes recorded in one transaction at most.
const CHUNK: usize = 200;

/// A device that was called and has not fetched is called again after this.
const CALL_AGAIN: Duration = Duration::from_secs(6 * 3600);

/// What is to be done about one device.
enum Change {
    /// Never asked, or with another system.
    Ask,
    /// Called, and not come.
    Call,
    /// The declaration is to say something else.
    Say { adam_id: String, wish: Wish },
    /// What a command has installed is to be declared from now on.
    Move { adam_id: String, wish: Wish },
    /// Nobody wants it, and it is not there: nothing is left to confirm.
    Drop { adam_id: String },
    /// Nobody wants it.
    Remove { adam_id: String },
}

/// What decides how a pair gets its app.
pub(in crate::operations) fn wish(planner: &Planner, product: u32, device: u32) -> Wish {
    let (snapshot, rules) = (planner.snapshot(), planner.rules());
    let pair = snapshot.pair(product, device);
    let Some(decision) = rules.for_device(snapshot, product, device, pair) else { return Wish::default() };
    let place = match decision.by {
        By::Rule(place) => Some(place),
        By::Hand(_) => rules.deciding_rule(snapshot, product, device),
    };
    Wish {
        deployment: place.map(|place| DeploymentId(snapshot.rules[place as usize].id)),
        by_user: rules.is_by_user(snapshot, product, device, decision.kind, pair),
    }
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::operations) struct Settled {
    /// A device is to be woken.
    pub wake: bool,
    /// When devices that were asked what they can have had their time: their apps come by command then.
    pub plan_again_at: Option<Timestamp>,
}

/// Makes what is declared agree with the plan: for all devices, or for those that were judged anew.
pub(in crate::operations) async fn settle(context: &Shared, names: Names<'_>) -> Result<Settled, OperationError> {
    let now = context.clock.now();
    let called = now - SignedDuration::try_from(CALL_AGAIN).unwrap_or_default();
    let judged = names.planner.judged().iter().filter_map(|&place| names.behind.devices[place as usize]);
    let only: Option<Vec<DeviceId>> = (!names.whole).then(|| judged.collect());
    let (not_asked, late, apps, deployments) = context
        .store
        .read(move |c| -> Result<_, OperationError> {
            let (mut not_asked, late, apps) = match only {
                None => {
                    (declarations::not_asked(c)?, declarations::out_of_step(c, called)?, declarations::all_apps(c)?)
                }
                Some(devices) => {
                    let (mut asked, mut apps) = (Vec::new(), Vec::new());
                    for id in devices {
                        asked.extend(declarations::was_not_asked(c, id)?);
                        apps.extend(declarations::apps_of(c, id)?);
                    }
                    (asked, Vec::new(), apps)
                }
            };
            not_asked.retain(|one| {
                let platform = platform(&one.product_name);
                System::new(platform, &one.os_version, one.user_enrolment).may_know_declarations()
            });
            Ok((not_asked, late, apps, deployments::all(c)?))
        })
        .await?;
    let mut changes: Vec<(DeviceId, Change)> = not_asked.into_iter().map(|one| (one.device, Change::Ask)).collect();
    changes.extend(late.into_iter().map(|id| (id, Change::Call)));
    let deployments: HashMap<i64, Deployment> = deployments.into_iter().map(|one| (one.id.0, one)).collect();
    let moves = deployments.values().any(|one| one.terms.delivery == Delivery::Declarative);
    if moves || !apps.is_empty() {
        changes.extend(differences(names, &apps, &deployments, moves)?);
    }
    let mut wake = false;
    let mut changes = changes.into_iter().peekable();
    while changes.peek().is_some() {
        let chunk: Vec<_> = changes.by_ref().take(CHUNK).collect();
        let (index, patience, entropy) = (context.index.clone(), context.patience(), context.entropy.clone());
        wake |= context
            .store
            .write_bulk(move |w| -> Result<bool, OperationError> {
                let mut wake = false;
                for (id, change) in &chunk {
                    let Some(device) = devices::by_id(w, *id)?.filter(|one| one.state == DeviceState::Enrolled) else {
                        continue;
                    };
                    wake |= make(w, &device, change, &entropy, &patience, now)?;
                    let (index, id, waits) = (index.clone(), *id, commands::any_open(w, *id)?);
                    w.after_commit(move || index.set_waits(id, waits));
                }
                Ok(wake)
            })
            .await?;
    }
    let tells_within = context.patience().tells_within;
    let asked = now - SignedDuration::try_from(tells_within).unwrap_or_default();
    let first = context.store.read(move |c| declarations::first_untold(c, asked)).await?;
    let plan_again_at = first.map(|since| after(since, tells_within));
    Ok(Settled { wake, plan_again_at })
}

/// Where what is declared is not what the plan wants.
fn differences(
    names: Names<'_>,
    apps: &[DeclaredApp],
    deployments: &HashMap<i64, Deployment>,
    moves: bool,
) -> Result<Vec<(DeviceId, Change)>, OperationError> {
    let Names { planner, snapshot, behind, whole } = names;
    let terms = |wish: &Wish| {
        let deployment = wish.deployment.and_then(|id| deployments.get(&id.0));
        deployment.map(|deployment| deployment.terms.clone()).unwrap_or_default()
    };
    let mut changes = Vec::new();
    let mut declared = HashMap::new();
    for app in apps {
        let (place, product) = (behind.place_of(app.device), behind.place_of_app(&app.adam_id));
        let (Some(place), Some(product)) = (place, product) else { continue };
        declared.insert((product, place), ());
        if app.withdrawn_at.is_some() {
            continue;
        }
        let adam_id = app.adam_id.clone();
        let there = snapshot.pair(product, place).map_or(App::None, |pair| pair.app);
        match (there, planner.step(product, place)) {
            (App::Working | App::WaitingForPerson | App::Installed, Step::Blocked(Blocked::NoBundleId)) => {
                changes.push((app.device, Change::Remove { adam_id }));
            }
            (App::None | App::Rejected | App::Failed | App::InstallRetry | App::Removed, step) if is_over(step) => {
                changes.push((app.device, Change::Drop { adam_id }));
            }
            // Other words would make the device ask its person, or fail, once more.
            (App::Rejected | App::Failed, _) => {}
            (_, step) if !is_over(step) => {
                let wish = wish(planner, product, place);
                let now = terms_of(app)?;
                if wish.deployment.is_some() && managed_app(&adam_id, &terms(&wish), wish.by_user, now.attempt) != now {
                    changes.push((app.device, Change::Say { adam_id, wish }));
                }
            }
            _ => {}
        }
    }
    if moves {
        let all = 0..snapshot.devices.len() as u32;
        let devices: Vec<u32> = if whole { all.collect() } else { planner.judged().iter().copied().collect() };
        let pairs = devices
            .into_iter()
            .flat_map(|device| snapshot.rows[device as usize].iter().map(move |pair| (pair.product, device)));
        for (product, device) in pairs.filter(|(product, device)| planner.step(*product, *device) == Step::Satisfied) {
            let wish = wish(planner, product, device);
            let to_move = terms(&wish).delivery == Delivery::Declarative && !declared.contains_key(&(product, device));
            if let Some(id) = behind.devices[device as usize].filter(|_| to_move) {
                let adam_id = snapshot.products[product as usize].adam_id.clone();
                changes.push((id, Change::Move { adam_id, wish }));
            }
        }
    }
    Ok(changes)
}

/// Whether nothing of the pair is wanted any more, or its licence goes or is gone.
fn is_over(step: Step) -> bool {
    matches!(
        step,
        Step::Nothing
            | Step::Removed
            | Step::LicenceHeld
            | Step::NeedsLicence
            | Step::WaitForLicence { .. }
            | Step::WaitForQuota { .. }
            | Step::AwaitSeat
            | Step::AwaitAssignment
            | Step::Disassociate { .. }
            | Step::DisassociateSecond { .. }
            | Step::AwaitReturn
    )
}

/// Makes one change. True when a command was queued.
fn make(
    w: &Write<'_>,
    device: &devices::Device,
    change: &Change,
    entropy: &Entropy,
    patience: &Patience,
    now: Timestamp,
) -> Result<bool, OperationError> {
    let (id, uuid) = (device.id, &entropy.uuid().to_string());
    match change {
        Change::Ask => {
            let call = Command::DeclarativeManagement(DeclarativeManagement {});
            checkin::queue(w, id, uuid, &call, None, now)?;
            let asked = Declaring {
                state: State::Asked,
                since: now,
                os_version: device.facts.os_version.clone(),
                capabilities: None,
                token: String::new(),
                fetched: String::new(),
                called_at: now,
                told_at: None,
            };
            declarations::put(w, id, &asked)?;
            // A device that was declared apps of which this database knows nothing (an older backup) drops them now.
            let installed = pairs::of_device(w, id)?.iter().any(|pair| pair.progress.app == App::Installed);
            if installed && !commands::waits(w, id, "ManagedApplicationList")? {
                let list = Command::ManagedApplicationList(ManagedApplicationList { identifiers: Vec::new() });
                checkin::queue(w, id, &entropy.uuid().to_string(), &list, None, now)?;
            }
            Ok(true)
        }
        Change::Call => super::call(w, id, uuid, now),
        Change::Say { adam_id, wish } | Change::Move { adam_id, wish } => {
            let Some(deployment) = wish.deployment.map(|id| deployments::by_id(w, id)).transpose()?.flatten() else {
                return Ok(false);
            };
            let known = declarations::app(w, id, adam_id)?;
            let attempt = known.as_ref().map(terms_of).transpose()?.map_or(0, |app| app.attempt);
            if matches!(change, Change::Move { .. }) {
                let declaring = declarations::get(w, id)?;
                let pair = pairs::get(w, id, adam_id)?.filter(|pair| pair.progress.app == App::Installed);
                let can = way(
                    &deployment.terms,
                    wish.by_user,
                    &system(device),
                    declaring.as_ref(),
                    patience.tells_within,
                    now,
                )? == Way::Declared;
                if known.is_some() || pair.is_none() || !can {
                    return Ok(false);
                }
            }
            put(w, id, &managed_app(adam_id, &deployment.terms, wish.by_user, attempt), now)?;
            changed(w, device, uuid, now)
        }
        Change::Drop { adam_id } => {
            declarations::remove_app(w, id, adam_id)?;
            changed(w, device, uuid, now)
        }
        Change::Remove { adam_id } => {
            let Some(mut pair) = pairs::get(w, id, adam_id)? else { return Ok(false) };
            remove(w, device, &mut pair, uuid, patience, now)
        }
    }
}
