//! The keys the appliance makes for itself at the first start: the device authority, which gives each device its identity (and
//! the former ones, [`super::authorities`]),
//! and the server authority, which signs the device listener's certificate when the administrator gives none.

use std::sync::Arc;

use arc_swap::ArcSwap;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Notify;

use super::OperationError;
use super::authorities::DeviceAuthorities;
use crate::clock::Clock;
use crate::entropy::Entropy;
use crate::mdm::identity::authority::{DeviceAuthority, ServerAuthority};
use crate::mdm::identity::site::SiteAuthority;
use crate::secret::Sealer;
use crate::store::{Store, appliance};

/// The authorities.
pub struct Keys {
    pub devices: DeviceAuthorities,
    /// Another device authority has taken over: whoever asks for client certificates must know it.
    pub changed: Notify,
    pub server: Arc<ServerAuthority>,
    /// The site's own, if its certificates may be identities.
    pub site: Option<Arc<SiteAuthority>>,
    /// Certificates (DER) that devices must trust to reach the device listener; empty when a public authority signed it.
    pub anchors: ArcSwap<Vec<Vec<u8>>>,
}

const SERVER_AUTHORITY: &str = "server authority";

impl Keys {
    /// Loads the authorities, or makes them.
    pub async fn load_or_make(
        store: &Store,
        sealer: &Sealer,
        organisation: &str,
        clock: &Clock,
        entropy: &Entropy,
    ) -> Result<Keys, OperationError> {
        let (organisation, now) = (organisation.to_owned(), clock.now());
        let devices = {
            let (organisation, entropy) = (organisation.clone(), entropy.clone());
            let make = || async {
                let made = off_thread(clock, move || DeviceAuthority::generate(&organisation, now, &entropy)).await?;
                Ok(made?)
            };
            DeviceAuthorities::load_or_make(store, sealer, make).await?
        };
        let server = match load(store, sealer, SERVER_AUTHORITY).await? {
            Some((certificate, key)) => ServerAuthority::from_pem(&certificate, &key)?,
            None => {
                let made = ServerAuthority::generate(&organisation, now, entropy)?;
                let (certificate, key) = made.to_pem();
                keep(store, sealer, SERVER_AUTHORITY, certificate, &key).await?;
                made
            }
        };
        Ok(Keys { devices, changed: Notify::new(), server: Arc::new(server), site: None, anchors: ArcSwap::default() })
    }
}

pub(super) async fn load(
    store: &Store,
    sealer: &Sealer,
    name: &'static str,
) -> Result<Option<(String, SecretString)>, OperationError> {
    let kept = store.read(move |c| appliance::kept(c, name)).await?;
    let Some(kept) = kept else { return Ok(None) };
    let key = sealer.open(name, &kept.sealed_key)?;
    let key =
        String::from_utf8(key.to_vec()).map_err(|_| OperationError::internal(format!("the {name} is damaged")))?;
    Ok(Some((kept.certificate_pem, key.into())))
}

pub(super) async fn keep(
    store: &Store,
    sealer: &Sealer,
    name: &'static str,
    certificate_pem: String,
    key: &SecretString,
) -> Result<(), OperationError> {
    let sealed_key = sealer.seal(name, key.expose_secret().as_bytes());
    store.write(move |w| appliance::keep(w, name, &appliance::Kept { certificate_pem, sealed_key })).await?;
    Ok(())
}

/// Runs heavy work beside the runtime.
pub(super) async fn off_thread<T: Send + 'static>(
    clock: &Clock,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, OperationError> {
    let busy = clock.busy();
    let done = tokio::task::spawn_blocking(work).await;
    drop(busy);
    done.map_err(|error| OperationError::internal(format!("work beside the runtime failed: {error}")))
}
