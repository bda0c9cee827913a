//! The MDM push certificate that vppd keeps itself: a request for it, whose key never leaves the appliance, and the
//! certificate that comes back from Apple's portal. One that the settings name goes first.
//!
//! A certificate with another topic would wake none of the devices that are enrolled: it is refused.

use jiff::Timestamp;
use rusqlite::Connection;
use secrecy::SecretString;

use super::view::{PushCertificateRequest, PushCertificateView, PushRequestView};
use super::{Kind, OperationError, Shared, keys};
use crate::config::Config;
use crate::mdm::push::PushClient;
use crate::mdm::push::request;
pub use crate::mdm::push::request::{RequestError, sign};
use crate::secret::Sealer;
use crate::store::{Store, StoreError, appliance, audit, devices};

const KEPT: &str = "push certificate";
const REQUESTED: &str = "push certificate request";

/// A push certificate (PEM, with its chain) and its key (PEM).
pub struct PushCertificate {
    pub chain_pem: String,
    pub key_pem: SecretString,
}

/// Makes the connection to APNs with the certificate that the settings name, or else with the one that vppd keeps.
pub type PushMaker = Box<dyn Fn(&Config, Option<&PushCertificate>) -> anyhow::Result<Option<PushClient>> + Send + Sync>;

/// The certificate that vppd keeps.
pub async fn load(store: &Store, sealer: &Sealer) -> Result<Option<PushCertificate>, OperationError> {
    let kept = keys::load(store, sealer, KEPT).await?;
    Ok(kept.map(|(chain_pem, key_pem)| PushCertificate { chain_pem, key_pem }))
}

/// The request for a certificate: the one that waits for its answer, or a new one.
pub async fn request(
    context: &Shared,
    wanted: PushCertificateRequest,
    who: &str,
) -> Result<PushRequestView, OperationError> {
    let waiting = keys::load(&context.store, &context.sealer, REQUESTED).await?;
    if let Some((csr_pem, _)) = waiting.filter(|_| !wanted.anew) {
        return Ok(PushRequestView { csr_pem, made_now: false });
    }
    let config = context.config();
    let (organisation, host) = (super::enrol::organisation(context), config.devices.host().to_owned());
    let made = keys::off_thread(&context.clock, move || request::make(&organisation, &host)).await?;
    let made = made.map_err(|error| OperationError::internal(error.to_string()))?;
    keys::keep(&context.store, &context.sealer, REQUESTED, made.csr_pem.clone(), &made.key_pem).await?;
    let (now, by) = (context.clock.now(), who.to_owned());
    context.store.write(move |w| audit::write(w, now, &by, "push certificate requested", "")).await?;
    Ok(PushRequestView { csr_pem: made.csr_pem, made_now: true })
}

/// Takes the certificate that Apple's portal gave, and uses it from now on.
pub async fn install(context: &Shared, chain_pem: String, who: &str) -> Result<PushCertificateView, OperationError> {
    let refused = |code, message: String, advice: &str| OperationError::new(Kind::Conflict, code, message, advice);
    let config = context.config();
    if config.apns.certificate.is_some() {
        return Err(refused(
            "in-settings",
            "the settings name a push certificate ([apns] certificate), which goes first".into(),
            "Replace the files that the settings name; or remove [apns] certificate and key, then: systemctl reload vppd",
        ));
    }
    let facts = request::read(&chain_pem).map_err(|error| {
        let advice = "Download it again at identity.apple.com/pushcert. Nothing was changed.";
        OperationError::invalid("push-certificate", error.to_string(), advice)
    })?;
    let now = context.clock.now();
    if facts.expires <= now {
        return Err(refused(
            "expired",
            format!("this push certificate expired on {}", facts.expires),
            "Renew it at identity.apple.com/pushcert (the Renew button) with: vppd apns csr",
        ));
    }
    let waiting = keys::load(&context.store, &context.sealer, REQUESTED).await?;
    let kept = keys::load(&context.store, &context.sealer, KEPT).await?;
    let known = waiting.into_iter().chain(kept).map(|(_, key)| key);
    let Some(key_pem) = known.into_iter().find(|key| request::is_over(&facts, key)) else {
        return Err(refused(
            "another-key",
            "this push certificate is not over a key of this vppd: it was made with another request".into(),
            "Upload the request of `vppd apns csr`, signed, and bring that certificate. One with a key of its own belongs into the \
             settings: [apns] certificate and key",
        ));
    };
    let topic = facts.topic.clone();
    context.store.read(move |c| check_topic(c, &topic)).await?;
    let certificate = PushCertificate { chain_pem, key_pem };
    let client = (context.make_push)(&config, Some(&certificate))
        .map_err(|error| OperationError::invalid("push-certificate", format!("{error:#}"), "Nothing was changed."))?;
    keys::keep(&context.store, &context.sealer, KEPT, certificate.chain_pem, &certificate.key_pem).await?;
    let (by, told) = (who.to_owned(), format!("{}, until {}", facts.topic, facts.expires));
    context
        .store
        .write(move |w| -> Result<(), StoreError> {
            appliance::forget(w, REQUESTED)?;
            audit::write(w, now, &by, "push certificate installed", &told)
        })
        .await?;
    log::info!("the push certificate was installed; it is valid until {}", facts.expires);
    context.push_client.store(client.map(std::sync::Arc::new));
    context.wake_now.notify_one();
    show(context).await
}

/// Which push certificate is in use, and whether a request waits for its answer.
pub async fn show(context: &Shared) -> Result<PushCertificateView, OperationError> {
    let waiting = context.store.read(|c| appliance::kept(c, REQUESTED)).await?.is_some();
    let push = context.push();
    let (topic, expires_at): (String, Option<Timestamp>) = match &push {
        Some(push) => (push.topic().to_owned(), Some(push.expires())),
        None => (String::new(), None),
    };
    let asked = topic.clone();
    let others = context.store.read(move |c| devices::with_other_topic(c, &asked)).await?;
    Ok(PushCertificateView {
        topic,
        expires_at,
        in_settings: context.config().apns.certificate.is_some(),
        request_waits: waiting,
        devices_out_of_reach: if push.is_some() { others } else { 0 },
    })
}

/// Refuses a topic with which devices that are enrolled could not be woken.
pub fn check_topic(connection: &Connection, topic: &str) -> Result<(), OperationError> {
    match devices::with_other_topic(connection, topic)? {
        0 => Ok(()),
        count => Err(OperationError::new(
            Kind::Conflict,
            "another-topic",
            format!(
                "this push certificate has the topic {topic}, and {count} enrolled {} another one: none of them could be woken with \
                 it",
                if count == 1 { "device has" } else { "devices have" }
            ),
            "At identity.apple.com/pushcert, with the Apple Account that made the certificate in use, choose Renew and not Create: \
             the topic then stays. With another topic every device has to enrol again.",
        )),
    }
}
