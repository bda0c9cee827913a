//! Alerts: what an administrator should know, raised once for each occasion, kept until it has passed, and told in the
//! journal when it is raised. Whoever raises one does so in the transaction of the thing it is about.

use jiff::Timestamp;

use super::view::AlertView;
use super::{OperationError, Shared};
use crate::model::Cause;
use crate::schedule::expiry_threshold;
use crate::store::alerts::{self, Alert, NewAlert};
use crate::store::{StoreError, Write, locations, pairs};

/// A content token comes to its end.
pub const TOKEN_EXPIRY: &str = "token-expiry";
/// Apple turns a content token down, or does not let it change anything.
pub const TOKEN_REFUSED: &str = "token-refused";
/// A location is not ours any more.
pub const NOT_OURS: &str = "not-ours";
/// The push certificate comes to its end.
pub const PUSH_EXPIRY: &str = "push-certificate-expiry";
/// Identities of devices come to their end without having been renewed.
pub const IDENTITY_EXPIRY: &str = "identity-expiry";

/// A device refuses a command for a reason that is ours, or the enrolment's.
pub const COMMAND_REFUSED: &str = "command-refused";

/// How many alerts a list shows.
const SHOWN: u32 = 500;

/// The open alerts, or the ended ones too; newest first.
pub async fn list(context: &Shared, ended_too: bool) -> Result<Vec<AlertView>, OperationError> {
    let all = context.store.read(move |c| alerts::newest(c, ended_too, SHOWN)).await?;
    Ok(all.into_iter().map(view).collect())
}

fn view(alert: Alert) -> AlertView {
    AlertView {
        id: alert.id,
        kind: alert.kind,
        subject: alert.subject,
        grave: alert.grave,
        message: alert.message,
        advice: alert.advice,
        raised_at: alert.raised_at,
        ended_at: alert.ended_at,
    }
}

/// Tells the journal of an alert that was raised just now.
pub(super) fn announce(alert: &NewAlert) {
    let NewAlert { kind, subject, message, advice, .. } = alert;
    match alert.grave {
        true => log::error!(vppd_alert = *kind, vppd_location = subject.as_str(); "{message}. {advice}"),
        false => log::warn!(vppd_alert = *kind, vppd_location = subject.as_str(); "{message}. {advice}"),
    }
}

/// Takes the warning of refused commands back once no app is given up for their reasons any more.
pub async fn watch_refusals(context: &Shared) -> Result<(), OperationError> {
    let now = context.clock.now();
    context
        .store
        .write_bulk(move |w| -> Result<(), OperationError> {
            if !pairs::any_given_up(w, &[Cause::RightMissing, Cause::VppdFault])? {
                alerts::end(w, COMMAND_REFUSED, None, None, now)?;
            }
            Ok(())
        })
        .await
}

/// Warns of content tokens and of the push certificate that come to their end, once at each threshold, and takes the
/// warnings back that do not hold any more.
pub async fn watch_expiry(context: &Shared) -> Result<(), OperationError> {
    let now = context.clock.now();
    let push = context.push().as_ref().map(|push| push.expires());
    let raised = context
        .store
        .write(move |w| -> Result<Vec<NewAlert>, StoreError> {
            let mut raised = Vec::new();
            for location in locations::all(w)? {
                let alert = token_expiry(&location, now);
                settle(w, TOKEN_EXPIRY, Some(location.id), alert, now, &mut raised)?;
            }
            let alert = push.and_then(|ends| push_expiry(ends, now));
            settle(w, PUSH_EXPIRY, None, alert, now, &mut raised)?;
            Ok(raised)
        })
        .await?;
    raised.iter().for_each(announce);
    Ok(())
}

/// Makes `alert` the only open one of its kind for this location.
pub(super) fn settle(
    w: &Write<'_>,
    kind: &str,
    location: Option<crate::model::LocationId>,
    alert: Option<NewAlert>,
    now: Timestamp,
    raised: &mut Vec<NewAlert>,
) -> Result<(), StoreError> {
    alerts::end(w, kind, location, alert.as_ref().map(|alert| alert.occasion.as_str()), now)?;
    if let Some(alert) = alert
        && alerts::raise(w, &alert, now)?
    {
        raised.push(alert);
    }
    Ok(())
}

fn token_expiry(location: &locations::Location, now: Timestamp) -> Option<NewAlert> {
    let days = expiry_threshold(location.expires_at, now)?;
    let (name, ends) = (&location.name, location.expires_at);
    Some(NewAlert {
        kind: TOKEN_EXPIRY,
        location: Some(location.id),
        subject: name.clone(),
        // A renewed token has another end, and so other occasions.
        occasion: format!("{days} days before {ends}"),
        grave: days <= 7,
        message: match days {
            0 => {
                format!("The content token of location \"{name}\" expired on {ends}: nothing is asked of Apple for it")
            }
            1 => format!("The content token of location \"{name}\" expires within a day, on {ends}"),
            _ => format!("The content token of location \"{name}\" expires within {days} days, on {ends}"),
        },
        advice: format!("Download a new one in Apple's portal, then: vppd token renew \"{name}\" FILE"),
    })
}

fn push_expiry(ends: Timestamp, now: Timestamp) -> Option<NewAlert> {
    let days = expiry_threshold(ends, now)?;
    Some(NewAlert {
        kind: PUSH_EXPIRY,
        location: None,
        subject: "push certificate".into(),
        occasion: format!("{days} days before {ends}"),
        grave: days <= 14,
        message: match days {
            0 => format!("The push certificate expired on {ends}: no device can be woken or enrolled"),
            _ => format!("The push certificate expires within {days} days, on {ends}"),
        },
        advice: "Renew it (do not make a new one) at identity.apple.com/pushcert with the Apple Account that made it, \
                 and put it in place of the old one"
            .into(),
    })
}
