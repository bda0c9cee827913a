//! Delivers notifications: up to three attempts each, to the address that the location has named by then.
//!
//! The HTTP client is the one the sandbox's devices use: it trusts what it is told to trust, and knows the hosts it is told.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;

use hyper::Method;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::admin::AdminError;
use super::notices::{Delivery, NotificationRecord, NotificationTarget, Outgoing};
use super::{Apple, Inner};
use crate::clock::Clock;
use crate::device::http::{Internet, Network, Request};

/// Apple: Subscribing to notifications.
const ATTEMPTS: usize = 3;
/// How long a receiver may take.
const TIME_LIMIT: Duration = Duration::from_secs(10);

/// How notifications reach their receiver, who has no certificate of a public authority here.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct NotificationRoute {
    /// Certificates (PEM) that the receiver's may chain to.
    pub anchors: String,
    /// Names that are not asked of the DNS.
    pub hosts: HashMap<String, IpAddr>,
}

impl Apple {
    /// From now on notifications take this route. Before the first, no receiver can be reached.
    pub fn route_notifications(&self, route: &NotificationRoute) -> Result<(), AdminError> {
        let anchors: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(route.anchors.as_bytes()).collect();
        let anchors = anchors.map_err(|error| AdminError::Invalid(format!("the anchors are no PEM: {error}")))?;
        let anchors = anchors.into_iter().map(|anchor| anchor.to_vec()).collect();
        self.set_notification_network(Arc::new(Internet::new(self.0.clock.clone(), route.hosts.clone(), anchors)));
        Ok(())
    }

    /// From now on notifications go through this network.
    pub fn set_notification_network(&self, network: Arc<dyn Network>) {
        self.lock().network = Some(network);
    }

    /// The attempts to deliver notifications, oldest first; the last 100,000 are kept.
    pub fn notifications(&self) -> Vec<NotificationRecord> {
        self.lock().deliveries.iter().cloned().collect()
    }
}

/// Starts to deliver what is queued. Each receiver hears of the end of one first attempt.
pub(super) fn flush(apple: &Arc<Inner>) -> Vec<oneshot::Receiver<()>> {
    // Without a runtime nothing can be sent; it stays queued until somebody comes by who has one.
    let Ok(runtime) = Handle::try_current() else { return Vec::new() };
    let letters = std::mem::take(&mut apple.lock().outbox);
    let start = |letter| {
        let (tell, told) = oneshot::channel();
        runtime.spawn(deliver(Arc::downgrade(apple), apple.clock.clone(), letter, tell));
        told
    };
    letters.into_iter().map(start).collect()
}

async fn deliver(apple: Weak<Inner>, clock: Clock, letter: Outgoing, tell: oneshot::Sender<()>) {
    let mut tell = Some(tell);
    if !letter.wait.is_zero() {
        clock.sleep(letter.wait).await;
    }
    for attempt in 1..=ATTEMPTS {
        if attempt > 1 {
            let Some(gaps) = apple.upgrade().map(|apple| apple.lock().switches.notif_retry_seconds) else { return };
            clock.sleep(Duration::from_secs(gaps[usize::from(attempt > 2)])).await;
        }
        let Some(inner) = apple.upgrade() else { return };
        let target = inner.lock().locations.get(&letter.u_id).and_then(|one| one.notification_target.clone());
        let Some(target) = target else { return };
        let result = post(&inner, &letter, &target).await;
        inner.lock().note_delivery(&letter, attempt, result.clone(), clock.now());
        if let Some(tell) = tell.take() {
            let _ = tell.send(());
        }
        if matches!(result, Delivery::Accepted(_)) {
            return;
        }
    }
}

/// The test during `POST client/config`. True when the receiver has accepted it.
pub(super) async fn test(apple: &Inner, letter: &Outgoing, target: &NotificationTarget) -> bool {
    let result = post(apple, letter, target).await;
    let accepted = matches!(result, Delivery::Accepted(_));
    apple.lock().note_delivery(letter, 1, result, apple.clock.now());
    accepted
}

async fn post(apple: &Inner, letter: &Outgoing, target: &NotificationTarget) -> Delivery {
    let network = apple.lock().network.clone();
    let Some(network) = network else { return Delivery::Failed("no route was set for notifications".to_owned()) };
    let session = match network.session(&[], None) {
        Ok(session) => session,
        Err(error) => return Delivery::Failed(error.to_string()),
    };
    let secret = if letter.wrong_secret { "not-the-secret" } else { &target.secret };
    let request = Request {
        method: Method::POST,
        url: target.url.clone(),
        headers: vec![("content-type", "application/json".to_owned()), ("authorization", format!("Bearer {secret}"))],
        body: letter.body.to_vec(),
    };
    tokio::select! {
        biased;
        reply = session.send(request) => match reply {
            Ok(reply) if reply.status.is_success() => Delivery::Accepted(reply.status.as_u16()),
            Ok(reply) => Delivery::Refused(reply.status.as_u16()),
            Err(error) => Delivery::Failed(error.to_string()),
        },
        () = apple.clock.sleep(TIME_LIMIT) => Delivery::Failed(format!("no answer within {TIME_LIMIT:?}")),
    }
}
