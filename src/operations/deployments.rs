//! Deployments: adding, changing and removing them, and what they come to. What follows from them is the planner's business.
//!
//! - `terms`: the terms as a person says them, read and checked;
//! - `preview`: whether it can be, who would get it, and how many licences that takes.

mod preview;
pub(super) mod terms;

use jiff::Timestamp;
use rusqlite::Connection;

use super::catalogue::{Catalogue, resolve};
use super::view::{DeployEditRequest, DeployRequest, DeploymentDetailView, DeploymentView, PurposeView};
use super::{Kind, OperationError, Shared, groups, notify_after, people, safety};
use crate::model::{DeploymentId, Purpose, Target};
use crate::store::deployments::{self, Deployment, Terms};
use crate::store::membership::Membership;
use crate::store::{StoreError, Write, audit, locations, persons};
use preview::Preview;
pub(in crate::operations) use preview::needs;
pub use terms::configuration;

/// Adds a deployment. The same again gives the one that is there. Nothing is kept of one that is only tried.
pub async fn add(context: &Shared, request: DeployRequest, who: &str) -> Result<DeploymentDetailView, OperationError> {
    let purpose = purpose(request.purpose);
    let (now, who, plan_now) = (context.clock.now(), who.to_owned(), context.plan_now.clone());
    let us = context.mdm_id.clone();
    context
        .store
        .write(move |w| -> Result<DeploymentDetailView, OperationError> {
            let adam_id = resolve(w, &request.adam_id)?;
            let target = target(w, &request.to)?;
            let terms = terms::read(w, request.terms, Terms::default())?;
            let mut deployment = Deployment {
                id: DeploymentId(0),
                adam_id,
                target,
                purpose,
                terms,
                created_at: now,
                created_by: who.clone(),
            };
            let known = deployments::about(w, &deployment.adam_id, &deployment.target)?;
            check_nothing_else(&known, &deployment)?;
            let preview = Preview::of(w, &deployment, &us)?;
            preview.check(&deployment, request.confirm_irrevocable || request.dry_run)?;
            if let Some(same) = known.into_iter().find(|known| known.purpose == purpose) {
                return detail(w, same, preview);
            }
            if !request.dry_run {
                keep_new(w, &mut deployment, now, &who)?;
                if purpose == Purpose::Uninstall {
                    safety::knowingly(w, &deployment.adam_id, now, &who)?;
                }
                notify_after(w, &plan_now);
            }
            detail(w, deployment, preview)
        })
        .await
}

/// Refuses a deployment that cannot be. `confirmed`: licences that never come back are wanted nevertheless.
pub(super) fn check(w: &Write<'_>, deployment: &Deployment, us: &str, confirmed: bool) -> Result<(), OperationError> {
    Preview::of(w, deployment, us)?.check(deployment, confirmed)
}

/// Keeps a checked deployment that is not there yet.
pub(super) fn keep_new(w: &Write<'_>, new: &mut Deployment, now: Timestamp, who: &str) -> Result<(), StoreError> {
    new.id = deployments::add(w, new)?;
    audit::write(w, now, who, "deployment added", &subject(new))
}

/// Keeps another purpose and other terms of a deployment, checked.
pub(super) fn keep_changed(w: &Write<'_>, new: &Deployment, now: Timestamp, who: &str) -> Result<(), StoreError> {
    deployments::edit(w, new)?;
    audit::write(w, now, who, "deployment edited", &subject(new))
}

/// Removes a deployment.
pub(super) fn take_out(w: &Write<'_>, old: &Deployment, now: Timestamp, who: &str) -> Result<(), StoreError> {
    deployments::remove(w, old.id)?;
    audit::write(w, now, who, "deployment removed", &subject(old))
}

fn check_nothing_else(known: &[Deployment], new: &Deployment) -> Result<(), OperationError> {
    if let Some(opposite) = known.iter().find(|known| known.purpose != new.purpose) {
        return Err(OperationError::new(
            Kind::Conflict,
            "opposite-deployment",
            format!("deployment {} says the opposite for the same target: {}", opposite.id, opposite.purpose.word()),
            format!(
                "Nothing was changed. Change it: vppd deploy edit {} --purpose {}, or remove it first: vppd deploy remove {}",
                opposite.id,
                new.purpose.word(),
                opposite.id
            ),
        ));
    }
    match known.iter().find(|known| known.terms != new.terms) {
        None => Ok(()),
        Some(other) => Err(OperationError::new(
            Kind::Conflict,
            "deployment-known",
            format!("deployment {} is there already for the same target, on other terms", other.id),
            format!("Nothing was changed. To change its terms: vppd deploy edit {}", other.id),
        )),
    }
}

/// Changes the purpose and the terms of a deployment; what the request leaves out stays.
pub async fn edit(
    context: &Shared,
    id: i64,
    request: DeployEditRequest,
    who: &str,
) -> Result<DeploymentDetailView, OperationError> {
    let (now, who, plan_now) = (context.clock.now(), who.to_owned(), context.plan_now.clone());
    let us = context.mdm_id.clone();
    context
        .store
        .write(move |w| -> Result<DeploymentDetailView, OperationError> {
            let old = find(w, id)?;
            let mut new = old.clone();
            new.purpose = request.purpose.map_or(old.purpose, purpose);
            new.terms = terms::read(w, request.terms, new.terms)?;
            let preview = Preview::of(w, &new, &us)?;
            preview.check(&new, request.confirm_irrevocable || request.dry_run)?;
            if new != old && !request.dry_run {
                keep_changed(w, &new, now, &who)?;
                safety::knowingly(w, &new.adam_id, now, &who)?;
                notify_after(w, &plan_now);
            }
            detail(w, new, preview)
        })
        .await
}

/// Removes a deployment: devices that are in no other lose the app, and then its licence comes back.
pub async fn remove(context: &Shared, id: i64, who: &str) -> Result<DeploymentView, OperationError> {
    let (now, who, plan_now) = (context.clock.now(), who.to_owned(), context.plan_now.clone());
    context
        .store
        .write(move |w| -> Result<DeploymentView, OperationError> {
            let deployment = find(w, id)?;
            take_out(w, &deployment, now, &who)?;
            safety::knowingly(w, &deployment.adam_id, now, &who)?;
            notify_after(w, &plan_now);
            let catalogue = Catalogue::of(w, Some(&deployment.adam_id))?;
            Ok(view(w, deployment, &catalogue, &Membership::load(w)?)?)
        })
        .await
}

/// All deployments, oldest first.
pub async fn list(context: &Shared) -> Result<Vec<DeploymentView>, OperationError> {
    let read = context.store.read(|c| -> Result<Vec<DeploymentView>, OperationError> {
        let (all, catalogue, members) = (deployments::all(c)?, Catalogue::load(c)?, Membership::load(c)?);
        all.into_iter().map(|deployment| Ok(view(c, deployment, &catalogue, &members)?)).collect()
    });
    read.await
}

/// One deployment, and what it comes to now.
pub async fn show(context: &Shared, id: i64) -> Result<DeploymentDetailView, OperationError> {
    let us = context.mdm_id.clone();
    let read = context.store.read(move |c| -> Result<DeploymentDetailView, OperationError> {
        let deployment = find(c, id)?;
        let preview = Preview::of(c, &deployment, &us)?;
        detail(c, deployment, preview)
    });
    read.await
}

fn find(connection: &Connection, id: i64) -> Result<Deployment, OperationError> {
    deployments::by_id(connection, DeploymentId(id))?.ok_or_else(|| {
        OperationError::not_found(format!("there is no deployment {id}"), "`vppd deploy list` shows them all.")
    })
}

pub(super) fn purpose(purpose: PurposeView) -> Purpose {
    match purpose {
        PurposeView::Required => Purpose::Required,
        PurposeView::Available => Purpose::Available,
        PurposeView::Uninstall => Purpose::Uninstall,
    }
}

fn subject(deployment: &Deployment) -> String {
    format!("{} {} to {}", deployment.purpose.word(), deployment.adam_id, deployment.target)
}

/// A target as a person writes it: groups by their names, people by number, address or GUID.
pub(super) fn target(connection: &Connection, text: &str) -> Result<Target, OperationError> {
    match text.split_once(':') {
        Some(("group", name)) => Ok(Target::Group(groups::find(connection, name)?.id)),
        Some(("person", name)) => Ok(Target::Person(people::find(connection, name)?.id)),
        _ => text.parse().map_err(|error: crate::model::TargetError| {
            OperationError::invalid("target", error.to_string(), "Nothing was changed.")
        }),
    }
}

/// The same, as it is shown.
pub(super) fn shown_target(connection: &Connection, target: &Target) -> Result<String, StoreError> {
    let name = match target {
        Target::Group(id) => crate::store::groups::by_id(connection, *id)?.map(|group| format!("group:{}", group.name)),
        Target::Person(id) => persons::by_id(connection, *id)?.map(|person| format!("person:{}", person.email)),
        Target::AllDevices | Target::Serial(_) => None,
    };
    Ok(name.unwrap_or_else(|| target.to_string()))
}

fn detail(
    connection: &Connection,
    deployment: Deployment,
    preview: Preview,
) -> Result<DeploymentDetailView, OperationError> {
    let catalogue = Catalogue::of(connection, Some(&deployment.adam_id))?;
    let members = Membership::load(connection)?;
    Ok(DeploymentDetailView { deployment: view(connection, deployment, &catalogue, &members)?, preview: preview.view })
}

fn view(
    connection: &Connection,
    deployment: Deployment,
    catalogue: &Catalogue,
    members: &Membership,
) -> Result<DeploymentView, StoreError> {
    let scope = preview::scope(members, &deployment);
    let terms = deployment.terms;
    let groups = crate::store::groups::all(connection)?;
    let locations = locations::all(connection)?;
    Ok(DeploymentView {
        id: deployment.id.0,
        name: catalogue.name(&deployment.adam_id),
        adam_id: deployment.adam_id,
        to: shown_target(connection, &deployment.target)?,
        purpose: match deployment.purpose {
            Purpose::Required => PurposeView::Required,
            Purpose::Available => PurposeView::Available,
            Purpose::Uninstall => PurposeView::Uninstall,
        },
        licence: terms.licence,
        updates: terms.updates,
        delivery: terms.delivery,
        offered: terms.offered,
        build: terms.build,
        priority: terms.priority,
        quota: terms.quota,
        wave: terms.wave,
        licence_only: terms.licence_only,
        excluded: groups
            .into_iter()
            .filter(|group| terms.excluded.contains(&group.id))
            .map(|group| group.name)
            .collect(),
        locations: locations
            .into_iter()
            .filter(|known| terms.locations.contains(&known.id))
            .map(|known| known.name)
            .collect(),
        configuration: terms.configuration,
        attributes: terms.attributes,
        created_at: deployment.created_at,
        created_by: deployment.created_by,
        devices: scope.devices.len() as u64,
        people: scope.people.len() as u64,
    })
}
