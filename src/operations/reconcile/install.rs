//! The install for a device: what it says, and whether it makes sense there.

use std::collections::{BTreeSet, HashMap};

use crate::licensing::Snapshot;
use crate::licensing::fit::{Needs, cannot_run};
use crate::licensing::membership::platform;
use crate::licensing::plan::{CommandAction, CommandKind};
use crate::mdm::command::InstallApplication;
use crate::model;
use crate::operations::app_terms::Terms;
use crate::operations::catalogue::Catalogue;
use crate::operations::{OperationError, Shared, deployments};
use crate::store::{self, StoreError, Write, assignments, devices, supply};

/// What the apps that are to be installed need.
pub(super) async fn needs_of(
    context: &Shared,
    snapshot: &Snapshot,
    actions: &[CommandAction],
) -> Result<HashMap<String, Needs>, OperationError> {
    let products = &snapshot.products;
    let installs = actions.iter().filter(|action| action.kind == CommandKind::Install);
    let apps: BTreeSet<String> = installs.map(|action| products[action.product as usize].adam_id.clone()).collect();
    context
        .store
        .read(move |c| {
            let needs = |adam_id: String| -> Result<(String, Needs), OperationError> {
                let (supply, catalogue) = (supply::of(c, &adam_id)?, Catalogue::of(c, Some(&adam_id))?);
                Ok((adam_id.clone(), deployments::needs(&supply, &catalogue, &adam_id)))
            };
            apps.into_iter().map(needs).collect()
        })
        .await
}

/// Why the app does not run on the device, as far as is known.
pub(super) fn why_not(needs: &Needs, device: &devices::Device) -> Option<String> {
    let system = [&device.facts.product_name, &device.facts.model].map(|model| platform(model));
    let system = system.into_iter().find(|platform| !platform.is_empty()).unwrap_or_default();
    cannot_run(needs, system, &device.facts.os_version)
}

/// The install for a device, on these terms.
pub(in crate::operations) fn install_command(
    device: &devices::Device,
    adam_id: &str,
    terms: Terms,
) -> Option<InstallApplication> {
    let mac = is_mac(device);
    Some(InstallApplication {
        take_over: !device.user_enrolment && !device.refuses_take_over,
        install_as_managed: mac && !device.user_enrolment,
        without_flags: mac && device.user_enrolment,
        configuration: terms.configuration,
        attributes: if mac { serde_json::Map::new() } else { terms.attributes },
        ..InstallApplication::of(adam_id.parse().ok()?)
    })
}

/// Whether a licence for the app on the device is held, by it or its person, and nothing about it is under way.
pub(in crate::operations) fn licensed(
    w: &Write<'_>,
    adam_id: &str,
    device: &devices::Device,
) -> Result<bool, StoreError> {
    let serial = model::Holder::Serial(device.serial.clone());
    Ok(assignments::is_settled(w, adam_id, &serial)? || store::snapshot::person_holds(w, adam_id, &device.serial)?)
}

fn is_mac(device: &devices::Device) -> bool {
    let product = &device.facts.product_name;
    product.starts_with("Mac") || product.starts_with("iMac") || product.starts_with("VirtualMac")
}
