//! Housekeeping: what is kept in memory goes to disk once a minute, what comes to its end is warned of, and
//! what is long over is forgotten; what has become unused is noted, and devices are asked what they are and have.

use std::time::Duration;

use super::{
    OperationError, Shared, alerts, authorities, clock_watch, directory, doctor, inventory, renewal, shortage, waste,
};
use crate::schedule::KEPT;
use crate::store::{
    self, acme, commands, devices, enrolments, events, history, metadata, notifications, tasks, timeline, times,
    user_events,
};

/// How often last-seen times go to disk.
const FLUSH: Duration = Duration::from_secs(60);
/// Flushes between two clean-ups.
const CLEAN_EVERY: u32 = 60;
/// Flushes between two looks at what comes to its end.
const WATCH_EVERY: u32 = 10;
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

/// Forgets commands, events, tasks, what syncs saw and alerts that ended long ago. Not while the clock may be wrong: it would forget too
/// much.
pub async fn clean_up(context: &Shared) -> Result<(), OperationError> {
    let Ok(before) = context.clock.now().checked_sub(KEPT) else { return Ok(()) };
    context.store.write_bulk(move |w| events::forget_before(w, before)).await?;
    context.store.write_bulk(move |w| user_events::forget_before(w, before)).await?;
    context.store.write_bulk(move |w| tasks::forget_before(w, before)).await?;
    context.store.write_bulk(move |w| history::forget_before(w, before)).await?;
    context.store.write_bulk(move |w| notifications::forget_before(w, before)).await?;
    context.store.write_bulk(move |w| metadata::forget_before(w, before)).await?;
    context.store.write_bulk(move |w| enrolments::forget_before(w, before)).await?;
    context.store.write_bulk(move |w| acme::forget_before(w, before)).await?;
    let Ok(a_year_ago) = context.clock.now().checked_sub(KEPT * 12) else { return Ok(()) };
    context.store.write_bulk(move |w| store::alerts::forget_before(w, a_year_ago)).await?;
    while context.store.write_bulk(move |w| commands::forget_before(w, before, CHUNK)).await? {}
    while context.store.write_bulk(move |w| timeline::forget_before(w, before, CHUNK)).await? {}
    Ok(())
}

/// Does all of it for ever, and once at the start.
pub async fn run(context: Shared) {
    let mut rounds = 0u32;
    loop {
        if let Err(error) = round(&context, rounds).await {
            log::error!("housekeeping failed: {error}; it is tried again in a minute");
        }
        rounds = rounds.wrapping_add(1);
        context.clock.sleep(FLUSH).await;
    }
}

async fn round(context: &Shared, number: u32) -> Result<(), OperationError> {
    clock_watch::look(context).await?;
    flush_seen(context).await?;
    doctor::apple::keep_drift(context).await?;
    if number.is_multiple_of(WATCH_EVERY) {
        alerts::watch_expiry(context).await?;
        alerts::watch_refusals(context).await?;
        shortage::watch(context).await?;
        directory::let_go(context).await?;
        inventory::ask(context).await?;
    }
    if number.is_multiple_of(CLEAN_EVERY) {
        let now = context.clock.now();
        context.store.write_bulk(move |w| times::alive(w, now)).await?;
        waste::look(context).await?;
        authorities::watch(context).await?;
        renewal::ask(context).await?;
        if context.clock_watch.is_settled(&context.clock) {
            clean_up(context).await?;
        }
    }
    Ok(())
}
