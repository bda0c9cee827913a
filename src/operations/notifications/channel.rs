//! Telling Apple where to send notifications, and with which secret. The secret is on disk before Apple hears of it, because
//! Apple tries it before it answers; the one before it counts until Apple has taken the new one. Whoever has a content
//! token of the location can read the secret at Apple's: it is replaced with each token and each take-over.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};

use crate::apple::error::AppleError;
use crate::apple::notification::{BASIC, WANTED};
use crate::apple::wire::ClientConfig;
use crate::apple::{NotificationTarget, Reply};
use crate::clock::after;
use crate::fault;
use crate::operations::locations::standing::{ask, see_owner};
use crate::operations::locations::{Round, mdm_info};
use crate::operations::view::{NotificationState, NotificationsView};
use crate::operations::{OperationError, Shared, licences};
use crate::store::channels::{self, Channel};
use crate::store::{StoreError, appliance};

/// Apple's number for a request that it does not understand.
const NOT_UNDERSTOOD: i64 = 9602;
/// The first pause after Apple was not told; doubled with each failure.
const FIRST_PAUSE: Duration = Duration::from_secs(60);
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);
/// For so long after Apple has taken an address, its silence about it is not taken for a loss.
const BELIEVED: Duration = Duration::from_secs(600);

/// What the secrets of a location are bound to.
pub fn sealed_place(uid: &str) -> String {
    format!("notification secret of {uid}")
}

/// Makes Apple's idea of where to send notifications the one that the settings ask for. Returns when to come back. Whatever
/// goes wrong, nothing waits for it.
pub(in crate::operations) async fn keep(
    context: &Shared,
    round: &mut Round,
) -> Result<Option<Timestamp>, OperationError> {
    let id = round.location.id;
    let (channel, paused) = context
        .store
        .read(move |c| -> Result<_, StoreError> { Ok((channels::of(c, id)?, appliance::load(c)?.paused.is_some())) })
        .await?;
    let (config, now) = (context.config(), context.clock.now());
    let done = match (&config.notifications.url, &channel) {
        (None, None) => true,
        (None, Some(_)) => false,
        (Some(_), None) => false,
        (Some(url), Some(channel)) => is_settled(channel, url),
    };
    if done || paused || round.location.leaving {
        return Ok(None);
    }
    if let Some(at) = channel.as_ref().and_then(|channel| channel.try_at).filter(|at| *at > now) {
        return Ok(Some(at));
    }
    // Also looks who holds the location by now: telling Apple writes our name on it.
    if round.location.owner.as_ref().is_none_or(|owner| owner.id != context.mdm_id)
        || !licences::still_ours(context, round).await?
    {
        return Ok(None);
    }
    match &config.notifications.url {
        None => unsubscribe(context, round).await,
        Some(url) => subscribe(context, round, url, channel).await,
    }
}

fn is_settled(channel: &Channel, url: &str) -> bool {
    let told = channel.told_url.as_deref() == Some(address(url, &channel.path_key).as_str());
    told && !channel.stale && channel.sealed_next.is_none()
}

fn address(url: &str, key: &str) -> String {
    format!("{url}/{key}")
}

async fn subscribe(
    context: &Shared,
    round: &mut Round,
    url: &str,
    channel: Option<Channel>,
) -> Result<Option<Timestamp>, OperationError> {
    let (id, place) = (round.location.id, sealed_place(&round.location.uid));
    let key = match &channel {
        Some(channel) => channel.path_key.clone(),
        None => URL_SAFE_NO_PAD.encode(context.entropy.bytes::<16>()),
    };
    // One that Apple was told of before, perhaps, is told again; so a lost answer costs nothing.
    let secret = match channel.and_then(|channel| channel.sealed_next) {
        Some(sealed) => {
            let kept = context.sealer.open(&place, &sealed)?;
            let text = String::from_utf8(kept.to_vec());
            SecretString::from(text.map_err(|_| OperationError::internal("a notification secret is damaged"))?)
        }
        None => {
            let secret = SecretString::from(URL_SAFE_NO_PAD.encode(context.entropy.bytes::<32>()));
            let sealed = context.sealer.seal(&place, secret.expose_secret().as_bytes());
            let key = key.clone();
            context.store.write(move |w| channels::prepare(w, id, &key, &sealed)).await?;
            secret
        }
    };
    let address = address(url, &key);
    fault::point("before telling Apple where to send notifications");
    let target = NotificationTarget { url: &address, secret: &secret };
    let mut reply = context.apple.subscribe(&round.token, &mdm_info(context), Some(&target), &WANTED).await;
    if reply.as_ref().is_err_and(|error| error.number() == Some(NOT_UNDERSTOOD)) {
        reply = context.apple.subscribe(&round.token, &mdm_info(context), Some(&target), &BASIC).await;
    }
    fault::point("after telling Apple where to send notifications");
    match reply {
        Ok(reply) => {
            let now = context.clock.now();
            context.store.write(move |w| channels::confirmed(w, id, &address, now)).await?;
            log::info!(vppd_location = round.location.name.as_str(); "Apple notifies us of location \"{}\"", round.location.name);
            see_owner(context, round, reply.mdm_info.as_ref()).await?;
            Ok(None)
        }
        Err(error) => not_told(context, round, error).await,
    }
}

async fn unsubscribe(context: &Shared, round: &mut Round) -> Result<Option<Timestamp>, OperationError> {
    match stop(context, round).await {
        Ok(reply) => {
            let id = round.location.id;
            context.store.write(move |w| channels::remove(w, id)).await?;
            log::info!(vppd_location = round.location.name.as_str(); "Apple does not notify us of location \"{}\" any more", round.location.name);
            see_owner(context, round, reply.mdm_info.as_ref()).await?;
            Ok(None)
        }
        Err(error) => not_told(context, round, error).await,
    }
}

/// Our name goes along: an Apple that takes what is left out for cleared would take us off the location.
async fn stop(context: &Shared, round: &Round) -> Result<Reply<ClientConfig>, AppleError> {
    context.apple.subscribe(&round.token, &mdm_info(context), None, &[]).await
}

async fn not_told(context: &Shared, round: &mut Round, error: AppleError) -> Result<Option<Timestamp>, OperationError> {
    let (id, why, now) = (round.location.id, error.to_string(), context.clock.now());
    let name = round.location.name.clone();
    let (try_at, failures) = context
        .store
        .write(move |w| -> Result<(Timestamp, u32), StoreError> {
            let failures = channels::of(w, id)?.map_or(0, |channel| channel.failures);
            let pause = FIRST_PAUSE.saturating_mul(1 << failures.min(6)).min(LONGEST_PAUSE);
            let try_at = after(now, pause);
            channels::failed(w, id, &why, try_at)?;
            Ok((try_at, failures))
        })
        .await?;
    let level = if failures == 0 { log::Level::Warn } else { log::Level::Debug };
    log::log!(
        level, vppd_location = name.as_str();
        "Apple could not be told where to send notifications of location \"{name}\": {error} vppd asks Apple by the clock as \
         before, and tries again"
    );
    if matches!(error, AppleError::TokenProblem { .. } | AppleError::Forbidden { .. }) {
        ask::<()>(context, round, Err(error)).await?;
    }
    Ok(Some(try_at))
}

/// Looks whether Apple still has the address that it once took.
pub(in crate::operations) async fn compare(
    context: &Shared,
    round: &Round,
    config: &ClientConfig,
) -> Result<(), OperationError> {
    if context.config().notifications.url.is_none() {
        return Ok(());
    }
    let (id, now) = (round.location.id, context.clock.now());
    let Some(channel) = context.store.read(move |c| channels::of(c, id)).await? else { return Ok(()) };
    let young = channel.confirmed_at.is_none_or(|at| after(at, BELIEVED) > now);
    let same = config.notification_url == channel.told_url && !config.subscribed_notification_types.is_empty();
    if young || same || channel.stale {
        return Ok(());
    }
    log::warn!(vppd_location = round.location.name.as_str(); "Apple has lost where to send notifications of location \"{}\"; it is told again", round.location.name);
    Ok(context.store.write(move |w| channels::make_stale(w, id)).await?)
}

/// The location is given up: Apple is asked to stop, once. If that fails, its notifications find no door.
pub(in crate::operations) async fn farewell(context: &Shared, round: &Round) -> Result<(), OperationError> {
    let id = round.location.id;
    let told = context.store.read(move |c| channels::of(c, id)).await?.is_some();
    let ours = round.location.owner.as_ref().is_some_and(|owner| owner.id == context.mdm_id);
    if told
        && ours
        && let Err(error) = stop(context, round).await
    {
        log::warn!(vppd_location = round.location.name.as_str(); "Apple could not be asked to stop notifications of location \"{}\": {error}", round.location.name);
    }
    Ok(())
}

/// What is shown of a location's notifications.
pub(in crate::operations) fn view(channel: Option<&Channel>) -> NotificationsView {
    let Some(channel) = channel else {
        return NotificationsView { state: NotificationState::Off, failure: String::new(), last_heard: None };
    };
    let on = channel.told_url.is_some() && !channel.stale && channel.sealed_next.is_none();
    let state = match channel.failures {
        0 if on => NotificationState::On,
        0 => NotificationState::Asking,
        _ => NotificationState::Failing,
    };
    NotificationsView { state, failure: channel.failure.clone(), last_heard: channel.heard_at }
}
