//! The identities of devices, as an administrator sees them: which come to their end, and renewing or revoking one by hand.

use super::view::IdentityView;
use super::{Kind, OperationError, Shared, look, notify_after, renewal};
use crate::store::devices::DeviceState;
use crate::store::{StoreError, audit, commands, identities, pairs};

/// The identities of all enrolled devices, those that end first on top.
pub async fn list(context: &Shared) -> Result<Vec<IdentityView>, OperationError> {
    let now = context.clock.now();
    let all = context.store.read(|c| identities::in_use(c, None)).await?;
    Ok(all.into_iter().map(|it| renewal::view(it, now)).collect())
}

/// Asks a device to renew its identity now.
pub async fn renew(context: &Shared, name: String, who: &str) -> Result<IdentityView, OperationError> {
    let device = look::find_device(context, name).await?;
    let (now, id) = (context.clock.now(), device.id);
    let found = context.store.read(move |c| identities::in_use(c, Some(id))).await?.pop();
    let refused = |why: &str, advice: &str| {
        OperationError::new(Kind::Conflict, "not-renewable", format!("device {} {why}", device.shown()), advice)
    };
    let Some(it) = found else {
        return Err(refused("is not enrolled, so it has no identity to renew", "Enrol it: vppd enrol profile"));
    };
    if !renewal::can_renew(&it) {
        return Err(refused(
            "has an identity that vppd did not give it, or is a person's own: vppd cannot renew it",
            "Whoever issued the certificate renews it; or enrol the device again: vppd enrol profile",
        ));
    }
    if !it.asked {
        let (shared, wake_now, by, it) = (context.clone(), context.wake_now.clone(), who.to_owned(), it);
        context
            .store
            .write(move |w| -> Result<(), OperationError> {
                renewal::queue(&shared, w, &it, &by)?;
                audit::write(w, now, &by, "identity to be renewed", &it.udid)?;
                notify_after(w, &wake_now);
                Ok(())
            })
            .await?;
    }
    let found = context.store.read(move |c| identities::in_use(c, Some(id))).await?.pop();
    found.map(|it| renewal::view(it, now)).ok_or_else(|| refused("has just left", ""))
}

/// Revokes whatever identity a device has: it must enrol anew, and until then it is not managed.
pub async fn revoke(context: &Shared, name: String, who: &str) -> Result<IdentityView, OperationError> {
    let device = look::find_device(context, name).await?;
    let (now, id) = (context.clock.now(), device.id);
    let found = context.store.read(move |c| identities::in_use(c, Some(id))).await?.pop();
    let Some(it) = found.filter(|_| device.state == DeviceState::Enrolled) else {
        return Err(OperationError::new(
            Kind::Conflict,
            "not-enrolled",
            format!("device {} is not enrolled, so it has no identity that could be revoked", device.shown()),
            "Nothing was changed.",
        ));
    };
    let (index, plan_now, by) = (context.index.clone(), context.plan_now.clone(), who.to_owned());
    let shown = device.shown().to_owned();
    context
        .store
        .write(move |w| -> Result<(), StoreError> {
            let revoked = identities::revoke_all(w, id, now)?;
            identities::must_enrol_anew(w, id, now)?;
            commands::withdraw_all(w, id, now)?;
            pairs::forget_apps(w, id, now)?;
            audit::write(w, now, &by, "identity revoked", &shown)?;
            log::info!(
                vppd_device = device.udid.as_str(), vppd_serial = device.serial.as_str();
                "the identity of device {shown} was revoked: it must enrol anew"
            );
            w.after_commit(move || {
                index.remove(id);
                index.revoke(revoked);
            });
            notify_after(w, &plan_now);
            Ok(())
        })
        .await?;
    Ok(IdentityView { state: super::view::IdentityState::Revoked, ..renewal::view(it, now) })
}
