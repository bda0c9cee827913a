//! Tasks: what takes longer than a request. Calling one off: what waits never begins; a sync that runs is dropped and
//! changes nothing, for it is applied as a whole or not at all; a removal stops where it is and the location stays; what
//! was to be taken back and is not asked back yet is let be.

use jiff::Timestamp;

use super::view::{ErrorView, TaskView};
use super::{Kind, OperationError, Shared, look, reclaim};
use crate::store::{StoreError, Write, audit, locations, reclaims, tasks};

/// The request that a task follows is settled: the task ends with what came out, and has failed when nothing did.
pub(super) fn request_ended(
    w: &Write<'_>,
    request: &str,
    now: Timestamp,
    done: u64,
    words: String,
    advice: &str,
) -> Result<(), StoreError> {
    if done > 0 {
        return tasks::request_ended(w, request, now, done, Ok(&words));
    }
    let error = ErrorView { code: "apple-did-not".into(), message: words, advice: advice.into() };
    let error = serde_json::to_string(&error).unwrap_or_default();
    tasks::request_ended(w, request, now, done, Err(&error))
}

/// Calls a task off.
pub async fn cancel(context: &Shared, id: i64, who: &str) -> Result<TaskView, OperationError> {
    let (now, who) = (context.clock.now(), who.to_owned());
    let task = context
        .store
        .write(move |w| -> Result<tasks::Task, OperationError> {
            let task = tasks::by_id(w, id)?.ok_or_else(|| look::no_such_task(id))?;
            if task.kind == reclaim::KIND {
                reclaims::forget(w, id)?;
            } else if task.follows && task.finished_at.is_none() {
                return Err(OperationError::new(
                    Kind::Conflict,
                    "task-follows",
                    format!("task {id} follows a request to Apple ({}), which cannot be called off", task.detail),
                    "It ends when Apple has finished. `vppd pause` keeps further requests from being made.",
                ));
            }
            if !tasks::cancel(w, id, now)? {
                return Err(OperationError::new(
                    Kind::Conflict,
                    "task-ended",
                    format!("task {id} ({} of {}) has ended already: {}", task.kind, task.subject, task.state),
                    "",
                ));
            }
            if let Some(location) = task.location {
                locations::set_leaving(w, location, false)?;
            }
            audit::write(w, now, &who, "task cancelled", &format!("{id} ({} of {})", task.kind, task.subject))?;
            let gone = || StoreError::Damaged("a task vanished while it was cancelled".into());
            Ok(tasks::by_id(w, id)?.ok_or_else(gone)?)
        })
        .await?;
    context.workers.cancelled(id);
    context.plan_now.notify_one();
    look::task_view(&task)
}
