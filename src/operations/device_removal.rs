//! An administrator says that a device is gone: from now on it is treated as one that has said good-bye. The licences that vppd
//! has given it go back by the plan; those of others stay. Whoever brings the device back enrols it anew.

use super::view::DeviceRemovalView;
use super::{Kind, OperationError, Shared, look, notify_after};
use crate::model::Holder;
use crate::store::devices::Device;
use crate::store::unused::{self, Whose};
use crate::store::{StoreError, assets, assignments, audit, by_hand, commands, devices, identities, locations, pairs};

/// What hangs on a device.
pub async fn preview(context: &Shared, name: String) -> Result<DeviceRemovalView, OperationError> {
    let device = look::find_device(context, name).await?;
    context
        .store
        .read(move |c| -> Result<DeviceRemovalView, OperationError> {
            let (mut comes_back, mut foreign) = (0, 0);
            let holder = Holder::Serial(device.serial.clone());
            for location in locations::all(c)?.iter().filter(|_| !device.serial.is_empty()) {
                for asset in assets::of_location(c, location.id)? {
                    if assignments::holds(c, location.id, &asset.adam_id, &asset.pricing_param, &holder)? {
                        match unused::whose(c, location.id, &asset.adam_id, &asset.pricing_param, &holder)? {
                            Whose::Foreign => foreign += 1,
                            Whose::Ours | Whose::Adopted => comes_back += 1,
                        }
                    }
                }
            }
            let by_hand = by_hand::all(c)?.iter().filter(|decided| decided.holder == holder).count() as u64;
            Ok(DeviceRemovalView { serial: device.serial, udid: device.udid, comes_back, foreign, by_hand })
        })
        .await
}

/// Removes the device.
pub async fn remove(context: &Shared, name: String, who: &str) -> Result<DeviceRemovalView, OperationError> {
    let view = preview(context, name.clone()).await?;
    let device = look::find_device(context, name).await?;
    if device.removed_at.is_some() {
        return Err(OperationError::new(
            Kind::Conflict,
            "removed",
            format!("device {} was removed already", device.shown()),
            "Nothing was changed. If it comes back, enrol it anew: vppd enrol profile",
        ));
    }
    let (now, by) = (context.clock.now(), who.to_owned());
    let (index, plan_now) = (context.index.clone(), context.plan_now.clone());
    context
        .store
        .write(move |w| -> Result<(), StoreError> {
            let Device { id, serial, .. } = &device;
            devices::remove(w, *id, now)?;
            commands::withdraw_all(w, *id, now)?;
            pairs::forget_apps(w, *id, now)?;
            if !serial.is_empty() {
                by_hand::release_all(w, &Holder::Serial(serial.clone()))?;
            }
            audit::write(w, now, &by, "device removed", device.shown())?;
            log::info!(
                vppd_device = device.udid.as_str(), vppd_serial = serial.as_str();
                "device {} was removed; licences that vppd assigned to it go back", device.shown()
            );
            let (id, revoked) = (*id, identities::revoke_all(w, *id, now)?);
            w.after_commit(move || {
                index.remove(id);
                index.revoke(revoked);
            });
            notify_after(w, &plan_now);
            Ok(())
        })
        .await?;
    Ok(view)
}
