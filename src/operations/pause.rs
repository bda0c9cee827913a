//! Everything can be paused: then nothing new is asked of Apple, and no device is told to install or remove anything. What
//! Apple works on already is followed to its end, and devices may still enrol and report.

use super::view::{PauseRequest, PauseView};
use super::{OperationError, Shared, notify_after};
use crate::store::{StoreError, appliance, audit};

/// Commands that wait while everything is paused.
pub const HELD_BACK: [&str; 3] = ["InstallApplication", "RemoveApplication", "DeclarativeManagement"];

/// Pauses; pausing again changes the reason and keeps the time.
pub async fn pause(context: &Shared, request: PauseRequest, who: &str) -> Result<PauseView, OperationError> {
    let now = context.clock.now();
    let (who, reason) = (who.to_owned(), request.reason.chars().take(500).collect::<String>());
    let pause = context
        .store
        .write(move |w| -> Result<appliance::Pause, StoreError> {
            let since = appliance::load(w)?.paused.map_or(now, |pause| pause.since);
            let pause = appliance::Pause { since, by: who.clone(), reason };
            appliance::set_pause(w, Some(&pause))?;
            audit::write(w, now, &who, "paused", &pause.reason)?;
            Ok(pause)
        })
        .await?;
    log::info!("paused by {}: nothing new is asked of Apple or told to devices", pause.by);
    Ok(PauseView { since: pause.since, by: pause.by, reason: pause.reason })
}

/// Goes on.
pub async fn resume(context: &Shared, who: &str) -> Result<(), OperationError> {
    let (now, by) = (context.clock.now(), who.to_owned());
    let (plan_now, wake_now) = (context.plan_now.clone(), context.wake_now.clone());
    context
        .store
        .write(move |w| -> Result<(), StoreError> {
            appliance::set_pause(w, None)?;
            notify_after(w, &plan_now);
            notify_after(w, &wake_now);
            audit::write(w, now, &by, "resumed", "")
        })
        .await?;
    context.workers.nudge_all();
    log::info!("resumed by {who}");
    Ok(())
}
