//! An administrator says that what failed, or was declined, shall be tried again now: on one device, one app or all of them.
//! The device is pushed at once, whatever pause it was in.

use super::view::{RetryRequest, RetryView};
use super::{Kind, OperationError, Shared, catalogue, look, notify_after};
use crate::licensing::progress::Progress;
use crate::model::App;
use crate::store::devices::DeviceState;
use crate::store::{audit, device_notes, devices, pairs, persons, seats};

/// Tries again; what is as wanted, or under way, is left alone.
pub async fn retry(
    context: &Shared,
    name: String,
    request: RetryRequest,
    who: &str,
) -> Result<RetryView, OperationError> {
    let device = look::find_device(context, name).await?;
    if device.state != DeviceState::Enrolled {
        return Err(OperationError::new(
            Kind::Conflict,
            "not-enrolled",
            format!("device {} is not enrolled, so nothing can be sent to it", device.shown()),
            "Nothing was changed. To enrol it: vppd enrol profile",
        ));
    }
    let (now, who) = (context.clock.now(), who.to_owned());
    let (plan_now, wake_now) = (context.plan_now.clone(), context.wake_now.clone());
    context
        .store
        .write(move |w| -> Result<RetryView, OperationError> {
            let only = request.app.map(|app| catalogue::resolve(w, &app)).transpose()?;
            let person = device_notes::get(w, &device.serial)?.person;
            let user = person.map(|id| persons::by_id(w, id)).transpose()?.flatten();
            let catalogue = catalogue::Catalogue::of(w, only.as_deref())?;
            let mut apps = Vec::new();
            for mut pair in pairs::of_device(w, device.id)? {
                if only.as_ref().is_some_and(|only| *only != pair.adam_id) || !again(&mut pair) {
                    continue;
                }
                pairs::put(w, &pair, now)?;
                let name = catalogue.name(&pair.adam_id);
                apps.push(if name.is_empty() { pair.adam_id } else { name });
            }
            // Apple may have refused the person's licence.
            if let (Some(user), Some(adam_id)) = (&user, &only) {
                seats::forget(w, &user.client_user_id, adam_id)?;
            }
            devices::push_now(w, device.id)?;
            audit::write(w, now, &who, "tried again", device.shown())?;
            notify_after(w, &plan_now);
            notify_after(w, &wake_now);
            Ok(RetryView { serial: device.shown().to_owned(), apps })
        })
        .await
}

/// The pair as it is to be tried now; false when nothing of it has failed or waits.
fn again(pair: &mut pairs::Pair) -> bool {
    let refused = pair.progress.due.is_some() || pair.progress.tries > 0;
    let next = match pair.progress.app {
        App::Failed | App::Rejected | App::InstallRetry => App::InstallRetry,
        App::RemoveRetry => App::RemoveRetry,
        App::None if refused => App::None,
        _ => return false,
    };
    let status = std::mem::take(&mut pair.progress.status);
    pair.progress = Progress { app: next, status, ..Progress::default() };
    pair.terms_due = None;
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Cause, DeviceId};

    #[test]
    fn what_failed_is_tried_from_the_beginning_and_nothing_else_is_touched() {
        for (app, next) in [
            (App::Failed, Some(App::InstallRetry)),
            (App::Rejected, Some(App::InstallRetry)),
            (App::InstallRetry, Some(App::InstallRetry)),
            (App::RemoveRetry, Some(App::RemoveRetry)),
            (App::None, Some(App::None)),
            (App::InstallQueued, None),
            (App::Working, None),
            (App::Installed, None),
            (App::Removed, None),
        ] {
            let mut pair = pairs::Pair::new(DeviceId(1), "1");
            pair.progress = Progress { app, tries: 3, cause: Some(Cause::Stuck), ..Progress::default() };
            let before = pair.clone();
            assert_eq!(again(&mut pair).then_some(pair.progress.app), next, "{app:?}");
            match next {
                Some(_) => assert_eq!((pair.progress.tries, pair.progress.cause), (0, None)),
                None => assert_eq!(pair, before),
            }
        }
    }
}
