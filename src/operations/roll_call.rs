//! Asks devices that were not heard of for a while what they have, so that silence means that a device is away and not that
//! nobody asked. Only where silence has a meaning: with `[licences] silent-after`.

use jiff::Timestamp;

use super::{OperationError, Shared, checkin};
use crate::clock::after;
use crate::mdm::command::{Command, ManagedApplicationList};
use crate::model::DeviceId;
use crate::store::devices::DeviceState;
use crate::store::{appliance, commands, devices};

/// Devices asked in one transaction at most.
const CHUNK: usize = 200;

/// Asks every enrolled device that was silent for half of the time after which it is treated as gone, once.
pub async fn ask(context: &Shared) -> Result<(), OperationError> {
    let Some(silent) = context.config().licences.silent_after else { return Ok(()) };
    let (now, index) = (context.clock.now(), context.index.clone());
    let quiet = context
        .store
        .read(move |c| -> Result<Vec<DeviceId>, OperationError> {
            if appliance::load(c)?.paused.is_some() {
                return Ok(Vec::new());
            }
            let enrolled = devices::all(c)?.into_iter().filter(|device| device.state == DeviceState::Enrolled);
            let heard = |device: &devices::Device| index.last_seen(device.id).max(device.last_seen);
            let is_quiet = |at: Option<Timestamp>| at.is_some_and(|at| after(at, silent / 2) <= now);
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
