//! Waking devices: whoever has commands waiting gets a push, with growing pauses while it stays silent, and at most so many
//! pushes a second, because devices that wake together come back together.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use jiff::Timestamp;

use super::pause::HELD_BACK;
use super::{OperationError, Shared};
use crate::clock::after;
use crate::mdm::push::schedule::PushHistory;
use crate::mdm::push::{PushAnswer, PushClient};
use crate::store::devices::{self, Device, Sleeper};
use crate::store::{StoreError, appliance, timeline};

/// How long APNs keeps a push for a device that is away: one that comes home after the weekend is woken at once.
const KEEP: Duration = Duration::from_secs(7 * 24 * 3600);

/// Pushes that are under way at once; all share one connection.
const AT_ONCE: usize = 32;

/// Pushes every device that is due. Returns when the next one will be.
pub async fn wake_due(context: &Shared) -> Result<Option<Timestamp>, OperationError> {
    let Some(push) = context.push() else { return Ok(None) };
    let waiting = context
        .store
        .read(|c| -> Result<_, OperationError> {
            let held_back: &[&str] = if appliance::load(c)?.paused.is_some() { &HELD_BACK } else { &[] };
            Ok(devices::to_wake(c, held_back)?)
        })
        .await?;
    let now = context.clock.now();
    let mut next: Option<Timestamp> = None;
    let mut due = Vec::new();
    for sleeper in waiting {
        let Some(history) = history(context, &sleeper) else { continue };
        match history.next_due(Some(sleeper.since), &context.config().apns.repeat_after) {
            Some(at) if at <= now => due.push((sleeper.device, history)),
            Some(at) => next = Some(next.map_or(at, |known| known.min(at))),
            None => {}
        }
    }
    let again = push_all(context, &push, due).await;
    Ok(next.into_iter().chain(again).min())
}

/// Pushes these devices, spread over time. Returns the earliest time at which one of them is to be pushed again.
async fn push_all(context: &Shared, push: &PushClient, due: Vec<(Device, PushHistory)>) -> Option<Timestamp> {
    let pause = Duration::from_secs(1) / context.config().apns.pushes_per_second.max(1);
    let start = context.clock.now();
    let pushed = stream::iter((0u32..).zip(due))
        .map(|(place, (device, mut history))| {
            let context = Arc::clone(context);
            async move {
                context.clock.sleep_until(after(start, pause.saturating_mul(place))).await;
                let problem = push_one(&context, push, &device, &mut history).await;
                let next = history.next_due(Some(start), &context.config().apns.repeat_after);
                keep(&context, &device, &history, problem).await;
                next
            }
        })
        .buffer_unordered(AT_ONCE)
        .collect::<Vec<_>>()
        .await;
    pushed.into_iter().flatten().min()
}

async fn push_one(context: &Shared, push: &PushClient, device: &Device, history: &mut PushHistory) -> String {
    let (Some(token), Some(magic)) = (&device.push.token, &device.push.magic) else { return String::new() };
    let expiration = after(context.clock.now(), KEEP);
    let answer = push.push(token, magic, &device.topic, expiration).await;
    history.on_answer(&answer, context.clock.now());
    let (udid, serial, shown) = (device.udid.as_str(), device.serial.as_str(), device.shown());
    match &answer {
        PushAnswer::Accepted => String::new(),
        PushAnswer::TokenDead { reason, .. } => {
            log::warn!(
                vppd_device = udid, vppd_serial = serial;
                "device {shown} cannot be woken any more: APNs says {reason}; its next contact revives it"
            );
            format!("APNs says {reason}: the device cannot be woken until it comes by itself")
        }
        PushAnswer::CertificateProblem { reason } => {
            log::error!("no device can be woken: APNs refuses the push certificate ({reason})");
            format!("APNs refuses the push certificate ({reason})")
        }
        PushAnswer::TooManyRequests => "APNs asks for fewer pushes to this device".into(),
        PushAnswer::RetryLater { reason, .. } => {
            log::warn!(
                vppd_device = udid, vppd_serial = serial;
                "APNs cannot be used now for device {shown} ({reason}); the push is repeated"
            );
            format!("APNs cannot be used now ({reason}); the push is repeated")
        }
        PushAnswer::OurBug { reason } => {
            log::error!(vppd_device = udid, vppd_serial = serial; "APNs refuses our request for device {shown} ({reason})");
            format!("APNs refuses our request ({reason})")
        }
    }
}

async fn keep(context: &Shared, device: &Device, history: &PushHistory, problem: String) {
    let (id, mut push) = (device.id, device.push.clone());
    push.dead_since = history.dead_since;
    push.pushed_at = history.last_push;
    push.pushes = history.unanswered;
    push.throttled = history.throttled;
    push.after = history.not_before;
    push.problem = problem;
    let now = context.clock.now();
    let kept = context.store.write_bulk(move |w| -> Result<(), StoreError> {
        timeline::pushed(w, id, &push.problem, now)?;
        devices::pushed(w, id, &push)
    });
    if let Err(error) = kept.await {
        log::error!(
            vppd_device = device.udid.as_str(), vppd_serial = device.serial.as_str();
            "how a push to device {} went cannot be kept: {error}", device.shown()
        );
    }
}

/// What happened to the pushes of a device so far, contact since then included. `None` when it cannot be woken at all.
fn history(context: &Shared, sleeper: &Sleeper) -> Option<PushHistory> {
    let device = &sleeper.device;
    let push = &device.push;
    let mut history = PushHistory {
        token_at: push.token_updated_at?,
        last_push: push.pushed_at,
        unanswered: push.pushes,
        throttled: push.throttled,
        not_before: push.after,
        dead_since: push.dead_since,
    };
    let seen = context.index.last_seen(device.id).max(device.last_seen);
    // Equal counts as contact: at worst one push more, where less would leave the device asleep.
    if seen >= history.last_push {
        history.on_contact();
    }
    // The device knows what waits: pushing at once would only make it say NotNow again.
    if !sleeper.has_news && history.last_push.is_some() {
        history.unanswered = history.unanswered.max(1);
    }
    Some(history)
}

/// Wakes devices whenever commands wait and whenever a push is due.
pub async fn run(context: Shared) {
    loop {
        let next = match wake_due(&context).await {
            Ok(next) => next,
            Err(error) => {
                log::error!("devices cannot be woken: {error}; tried again in a moment");
                Some(after(context.clock.now(), Duration::from_secs(10)))
            }
        };
        let sleep = async {
            match next {
                Some(at) => context.clock.sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = context.wake_now.notified() => context.clock.sleep(COLLECT).await,
            () = sleep => {}
        }
    }
}

/// How long calls for a push are collected before the next round.
const COLLECT: Duration = Duration::from_millis(100);
