//! Asks devices that were not heard of for a while what they have: so silence means that a device is away and not that nobody
//! asked, and an app that its person deleted does not hold its licence for ever.

use std::time::Duration;

use jiff::Timestamp;

use super::{OperationError, Shared, checkin};
use crate::clock::after;
use crate::mdm::command::{Command, ManagedApplicationList};
use crate::model::DeviceId;
use crate::store::devices::DeviceState;
use crate::store::{appliance, commands, devices};

/// Devices asked in one transaction at most.
const CHUNK: usize = 200;

/// Whoever was heard of within this time is not asked.
const QUIET: Duration = Duration::from_secs(7 * 24 * 3600);

/// Asks every enrolled device that was silent for a week, or for half of the time after which it is treated as gone.
pub async fn ask(context: &Shared) -> Result<(), OperationError> {
    let pause = context.config().licences.silent_after.map_or(QUIET, |silent| QUIET.min(silent / 2));
    let (now, index) = (context.clock.now(), context.index.clone());
    let quiet = context
        .store
        .read(move |c| -> Result<Vec<DeviceId>, OperationError> {
            if appliance::load(c)?.paused.is_some() {
                return Ok(Vec::new());
            }
            let enrolled = devices::all(c)?.into_iter().filter(|device| device.state == DeviceState::Enrolled);
            let heard = |device: &devices::Device| index.last_seen(device.id).max(device.last_seen);
            let is_quiet = |at: Option<Timestamp>| at.is_some_and(|at| after(at, pause) <= now);
            Ok(enrolled.filter(|device| is_quiet(heard(device))).map(|device| device.id).collect())
        })
        .await?;
    for chunk in quiet.chunks(CHUNK) {
        let asked: Vec<_> = chunk.iter().map(|id| (*id, context.entropy.uuid().to_string())).collect();
        let (index, wake_now) = (context.index.clone(), context.wake_now.clone());
        context
            .store
            .write_bulk(move |w| -> Result<(), OperationError> {
                let list = Command::ManagedApplicationList(ManagedApplicationList { identifiers: Vec::new() });
                for (id, uuid) in asked {
                    if commands::waits(w, id, "ManagedApplicationList")? {
                        continue;
                    }
                    checkin::queue(w, id, &uuid, &list, None, now)?;
                    let index = index.clone();
                    w.after_commit(move || index.set_waits(id, true));
                }
                w.after_commit(move || wake_now.notify_one());
                Ok(())
            })
            .await?;
    }
    Ok(())
}
