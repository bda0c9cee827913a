//! Housekeeping: what is kept in memory goes to disk once a minute, and what is long over is forgotten.

use std::time::Duration;

use super::{OperationError, Shared};
use crate::schedule::KEPT;
use crate::store::{commands, devices, events, tasks};

/// How often last-seen times go to disk.
const FLUSH: Duration = Duration::from_secs(60);
/// Flushes between two clean-ups.
const CLEAN_EVERY: u32 = 60;
/// Rows removed in one transaction.
const CHUNK: u32 = 1000;

/// Writes down when devices were last heard of.
pub async fn flush_seen(context: &Shared) -> Result<(), OperationError> {
    let seen = context.index.take_seen();
    if !seen.is_empty() {
        context.store.write_bulk(move |w| devices::seen(w, &seen)).await?;
    }
    Ok(())
}

/// Forgets commands, events and tasks that ended long ago.
pub async fn clean_up(context: &Shared) -> Result<(), OperationError> {
    let Ok(before) = context.clock.now().checked_sub(KEPT) else { return Ok(()) };
    context.store.write_bulk(move |w| events::forget_before(w, before)).await?;
    context.store.write_bulk(move |w| tasks::forget_before(w, before)).await?;
    while context.store.write_bulk(move |w| commands::forget_before(w, before, CHUNK)).await? {}
    Ok(())
}

/// Does both for ever.
pub async fn run(context: Shared) {
    let mut rounds = 0u32;
    loop {
        context.clock.sleep(FLUSH).await;
        rounds += 1;
        let mut done = flush_seen(&context).await;
        if rounds.is_multiple_of(CLEAN_EVERY) && done.is_ok() {
            done = clean_up(&context).await;
        }
        if let Err(error) = done {
            log::error!("housekeeping failed: {error}; it is tried again in a minute");
        }
    }
}
