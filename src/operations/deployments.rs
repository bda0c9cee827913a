//! Deployments: adding and removing them. What follows from them is the planner's business.

use super::catalogue::{Catalogue, resolve};
use super::view::{DeployRequest, DeploymentView, PurposeView};
use super::{Kind, OperationError, Shared, notify_after, safety};
use crate::model::{DeploymentId, Purpose, Target};
use crate::store::{StoreError, assets, audit, deployments, devices};

/// Adds a deployment. The same again gives the one that is there.
pub async fn add(context: &Shared, request: DeployRequest, who: &str) -> Result<DeploymentView, OperationError> {
    let target: Target = request
        .to
        .parse()
        .map_err(|error: crate::model::TargetError| OperationError::invalid("target", error.to_string(), ""))?;
    let purpose = match request.purpose {
        PurposeView::Required => Purpose::Required,
        PurposeView::Available => Purpose::Available,
        PurposeView::Uninstall => Purpose::Uninstall,
    };
    let (now, who, plan_now) = (context.clock.now(), who.to_owned(), context.plan_now.clone());
    context
        .store
        .write(move |w| -> Result<DeploymentView, OperationError> {
            let adam_id = resolve(w, &request.adam_id)?;
            let catalogue = Catalogue::of(w, Some(&adam_id))?;
            if matches!(target, Target::AllDevices | Target::Serial(_)) && assets::is_book(w, &adam_id)? {
                return Err(book(&adam_id, &catalogue.name(&adam_id)));
            }
            let opposite = deployments::all(w)?
                .into_iter()
                .find(|known| known.adam_id == adam_id && known.target == target && known.purpose != purpose);
            if let Some(opposite) = opposite {
                return Err(OperationError::new(
                    Kind::Conflict,
                    "opposite-deployment",
                    format!(
                        "deployment {} says the opposite for the same target: {}",
                        opposite.id,
                        opposite.purpose.word()
                    ),
                    format!("Remove it first: vppd deploy remove {}", opposite.id),
                ));
            }
            let deployment = deployments::add(w, &adam_id, &target, purpose, now, &who)?;
            if purpose == Purpose::Uninstall {
                safety::knowingly(w, &adam_id, now, &who)?;
            }
            audit::write(w, now, &who, "deployment added", &format!("{} {} to {}", purpose.word(), adam_id, target))?;
            notify_after(w, &plan_now);
            Ok(view(&deployment, &catalogue, in_scope(w, &deployment.target)?))
        })
        .await
}

fn book(adam_id: &str, name: &str) -> OperationError {
    let name = if name.is_empty() { String::new() } else { format!(" (\"{name}\")") };
    OperationError::new(
        Kind::Conflict,
        "book",
        format!(
            "{adam_id}{name} is a book: Apple gives books to people only, never to devices, and a licence that was given \
             never comes back"
        ),
        "Nothing was changed. Deployments to devices are for apps.",
    )
}

/// Removes a deployment: devices that are in no other lose the app, and then its licence comes back.
pub async fn remove(context: &Shared, id: i64, who: &str) -> Result<DeploymentView, OperationError> {
    let (now, who, plan_now) = (context.clock.now(), who.to_owned(), context.plan_now.clone());
    context
        .store
        .write(move |w| -> Result<DeploymentView, OperationError> {
            let id = DeploymentId(id);
            let Some(deployment) = deployments::by_id(w, id)? else {
                return Err(OperationError::not_found(
                    format!("there is no deployment {id}"),
                    "`vppd deploy list` shows them all.",
                ));
            };
            deployments::remove(w, id)?;
            let subject = format!("{} {} to {}", deployment.purpose.word(), deployment.adam_id, deployment.target);
            audit::write(w, now, &who, "deployment removed", &subject)?;
            safety::knowingly(w, &deployment.adam_id, now, &who)?;
            notify_after(w, &plan_now);
            Ok(view(&deployment, &Catalogue::of(w, Some(&deployment.adam_id))?, in_scope(w, &deployment.target)?))
        })
        .await
}

/// All deployments, oldest first.
pub async fn list(context: &Shared) -> Result<Vec<DeploymentView>, OperationError> {
    context
        .store
        .read(|c| -> Result<Vec<DeploymentView>, OperationError> {
            let (all, catalogue) = (deployments::all(c)?, Catalogue::load(c)?);
            all.iter().map(|deployment| Ok(view(deployment, &catalogue, in_scope(c, &deployment.target)?))).collect()
        })
        .await
}

fn in_scope(connection: &rusqlite::Connection, target: &Target) -> Result<u64, StoreError> {
    devices::count_enrolled(
        connection,
        match target {
            Target::AllDevices => None,
            Target::Serial(serial) => Some(serial.as_str()),
            Target::Group(_) | Target::Person(_) => return Ok(0),
        },
    )
}

fn view(deployment: &deployments::Deployment, catalogue: &Catalogue, devices: u64) -> DeploymentView {
    DeploymentView {
        id: deployment.id.0,
        adam_id: deployment.adam_id.clone(),
        name: catalogue.name(&deployment.adam_id),
        to: deployment.target.to_string(),
        purpose: match deployment.purpose {
            Purpose::Required => PurposeView::Required,
            Purpose::Available => PurposeView::Available,
            Purpose::Uninstall => PurposeView::Uninstall,
        },
        created_at: deployment.created_at,
        created_by: deployment.created_by.clone(),
        devices,
    }
}
