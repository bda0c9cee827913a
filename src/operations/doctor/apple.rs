//! How things stand with Apple: whether its service can be reached, which limits hold, how each location is, and where
//! Apple's replies differ from what Apple describes (contract drift), which is kept here.

use jiff::Timestamp;

use crate::apple::error::RetryCause;
use crate::apple::{AppleError, Limits, Probe};
use crate::operations::view::{
    AppleHealthView, AppleLimitsView, AppleLocationView, AppleServiceView, ContractDriftView, ErrorView,
};
use crate::operations::{OperationError, Shared, look};
use crate::store::{StoreError, drift, locations, tasks};

/// Puts what was noticed in Apple's replies on disk, and tells the journal of what is new.
pub async fn keep_drift(context: &Shared) -> Result<(), OperationError> {
    let noticed = context.apple.noticed().take();
    if noticed.is_empty() {
        return Ok(());
    }
    let noticed: Vec<drift::Drift> = noticed
        .into_iter()
        .map(|(found, seen)| drift::Drift {
            endpoint: found.endpoint,
            place: found.place,
            kind: found.kind,
            first_seen: seen.first,
            last_seen: seen.last,
            replies: seen.count,
        })
        .collect();
    let new = context
        .store
        .write_bulk(move |w| -> Result<Vec<drift::Drift>, StoreError> {
            let mut new = Vec::new();
            for drift in noticed {
                if drift::seen(w, &drift)? {
                    new.push(drift);
                }
            }
            Ok(new)
        })
        .await?;
    for drift::Drift { endpoint, place, kind, .. } in new {
        log::warn!(
            "contract drift, {endpoint}: {place}: {kind}. A reply of Apple's differs from what Apple describes; vppd goes on. \
             All differences: vppd doctor apple"
        );
    }
    Ok(())
}

/// Asks Apple for a sign of life, and puts together what is known.
pub async fn health(context: &Shared) -> Result<AppleHealthView, OperationError> {
    let probe = context.apple.probe().await;
    let (limits, read_at) = context.apple.known_limits().await;
    keep_drift(context).await?;
    let (us, now, settings) = (context.mdm_id.clone(), context.clock.now(), context.config().sync.clone());
    let (locations, drift) = context
        .store
        .read(move |c| -> Result<_, OperationError> {
            let health = |location: &locations::Location| -> Result<AppleLocationView, OperationError> {
                let failed = tasks::last_failed(c, location.id)?;
                let error = failed.as_ref().and_then(|task| task.error.as_deref());
                let error = error.and_then(|json| serde_json::from_str::<ErrorView>(json).ok());
                Ok(AppleLocationView {
                    token: look::token_view(c, location, &us, &settings, now)?,
                    last_error: error.map(|error| error.message),
                    failed_at: failed.and_then(|task| task.finished_at),
                })
            };
            Ok((locations::all(c)?.iter().map(health).collect::<Result<_, _>>()?, drift::all(c)?))
        })
        .await?;
    Ok(AppleHealthView {
        now,
        service: service(&probe, context.config().apple.proxy.as_ref().map(|proxy| proxy.url.clone())),
        limits: limits_view(&limits, read_at),
        locations,
        drift: drift.into_iter().map(drift_view).collect(),
    })
}

fn service(probe: &Probe, proxy: Option<String>) -> AppleServiceView {
    let certificate = match &probe.error {
        _ if probe.url.starts_with("http://") => "not asked for: this is no TLS".to_owned(),
        Some(AppleError::RetryLater { why: RetryCause::CannotConnect(why), .. }) if why.contains("certificate") => {
            "not trusted; a proxy that opens TLS needs [apple] extra-ca".to_owned()
        }
        Some(AppleError::RetryLater { why: RetryCause::CannotConnect(_) | RetryCause::TimedOut(_), .. }) => {
            "not seen".to_owned()
        }
        _ => "good".to_owned(),
    };
    AppleServiceView {
        url: probe.url.clone(),
        proxy,
        reached: probe.error.is_none(),
        milliseconds: u64::try_from(probe.took.as_millis()).unwrap_or(u64::MAX),
        certificate,
        error: probe.error.as_ref().map(ToString::to_string),
    }
}

fn limits_view(limits: &Limits, read_at: Option<Timestamp>) -> AppleLimitsView {
    AppleLimitsView {
        read_at,
        requests_per_second: limits.max_request_per_second,
        assets: limits.max_assets,
        serial_numbers: limits.max_serial_numbers,
        client_user_ids: limits.max_client_user_ids,
        users: limits.max_users,
        revoke_serial_numbers: limits.max_revoke_serial_numbers,
        revoke_client_user_ids: limits.max_revoke_client_user_ids,
    }
}

fn drift_view(drift: drift::Drift) -> ContractDriftView {
    let drift::Drift { endpoint, place, kind, first_seen, last_seen, replies } = drift;
    ContractDriftView { endpoint, place, kind, first_seen, last_seen, replies }
}
