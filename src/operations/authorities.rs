//! The device authorities: the one that gives identities today, and former ones, whose identities stay good until they have
//! been renewed. A device never notices that another authority has taken over.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};

use super::view::AuthorityView;
use super::{OperationError, Shared, enrol, keys};
use crate::mdm::identity::authority::{AuthorityError, DeviceAuthority, IssuedIdentity};
use crate::secret::Sealer;
use crate::store::{Store, StoreError, appliance, audit};

/// The name under which the present one is kept; former ones have their own name behind it.
const KEPT: &str = "device authority";

/// A new one never takes over earlier than this before the end of the present one.
const LONGEST_REACH: Duration = Duration::from_secs(5 * 365 * 24 * 3600);

/// The authorities in memory, the present one first, the oldest last. Never empty.
pub struct DeviceAuthorities(ArcSwap<Vec<Arc<DeviceAuthority>>>);

impl DeviceAuthorities {
    /// Those that are kept, or a first one that `make` makes.
    pub(super) async fn load_or_make<F>(
        store: &Store,
        sealer: &Sealer,
        make: impl FnOnce() -> F,
    ) -> Result<DeviceAuthorities, OperationError>
    where
        F: Future<Output = Result<DeviceAuthority, OperationError>>,
    {
        let present = match keys::load(store, sealer, KEPT).await? {
            Some((certificate, key)) => DeviceAuthority::from_pem(&certificate, &key)?,
            None => {
                let made = make().await?;
                let (certificate, key) = made.to_pem();
                keys::keep(store, sealer, KEPT, certificate, &key).await?;
                made
            }
        };
        let mut all = vec![Arc::new(present)];
        let former = store.read(|c| appliance::kept_below(c, KEPT)).await?;
        for (name, kept) in former {
            let key = sealer.open(&name, &kept.sealed_key)?;
            let key = String::from_utf8(key.to_vec())
                .map_err(|_| OperationError::internal(format!("the {name} is damaged")))?;
            all.push(Arc::new(DeviceAuthority::from_pem(&kept.certificate_pem, &key.into())?));
        }
        // The present one is the youngest.
        all.sort_by_key(|authority| std::cmp::Reverse(authority.not_after()));
        Ok(DeviceAuthorities(ArcSwap::from_pointee(all)))
    }

    /// All of them, the present one first.
    pub fn all(&self) -> Arc<Vec<Arc<DeviceAuthority>>> {
        self.0.load_full()
    }

    /// The one that gives identities today.
    #[expect(clippy::expect_used, reason = "never empty: made with one, and only added to")]
    pub fn present(&self) -> Arc<DeviceAuthority> {
        self.0.load().first().expect("there is always one").clone()
    }

    /// The one that a profile has named, for a device that began before another one took over; else the present one.
    pub fn named(&self, name: &str) -> Arc<DeviceAuthority> {
        let all = self.all();
        all.iter().find(|authority| short_name(authority) == name).cloned().unwrap_or_else(|| self.present())
    }

    /// The one that signs profiles: always the oldest that is valid, because a device takes a renewed profile only from whoever
    /// has signed the one that it has.
    pub fn signer(&self, now: Timestamp) -> Arc<DeviceAuthority> {
        let all = self.all();
        all.iter().rev().find(|authority| authority.not_after() > now).cloned().unwrap_or_else(|| self.present())
    }

    /// As [`DeviceAuthority::verify_issued`], by whichever of them issued it.
    pub fn verify_issued(
        &self,
        certificate_der: &[u8],
        now: Timestamp,
        grace: Duration,
    ) -> Result<IssuedIdentity, AuthorityError> {
        let all = self.all();
        let mut verdicts = all.iter().map(|authority| authority.verify_issued(certificate_der, now, grace));
        let first = verdicts.next().unwrap_or(Err(AuthorityError::Unusable("device authority")));
        match first {
            Err(AuthorityError::Foreign(why)) => {
                let foreign = |verdict: &Result<_, AuthorityError>| matches!(verdict, Err(AuthorityError::Foreign(_)));
                verdicts.find(|verdict| !foreign(verdict)).unwrap_or(Err(AuthorityError::Foreign(why)))
            }
            verdict => verdict,
        }
    }

    /// The present one as PEM.
    pub fn to_pem(&self) -> (String, SecretString) {
        self.present().to_pem()
    }

    /// The present one's certificate (DER).
    pub fn certificate_der(&self) -> Vec<u8> {
        self.present().certificate_der().to_vec()
    }
}

/// What a profile calls an authority: the beginning of its fingerprint.
pub fn short_name(authority: &DeviceAuthority) -> String {
    authority.fingerprint().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// The authorities, the present one first.
pub fn list(context: &Shared) -> Vec<AuthorityView> {
    let all = context.keys.devices.all();
    let signer = context.keys.devices.signer(context.clock.now());
    let view = |(place, authority): (usize, &Arc<DeviceAuthority>)| AuthorityView {
        name: short_name(authority),
        present: place == 0,
        signs_profiles: Arc::ptr_eq(authority, &signer),
        expires_at: authority.not_after(),
    };
    all.iter().enumerate().map(view).collect()
}

/// Lets a new authority take over as soon as identities of full length would outlive the present one.
pub async fn watch(context: &Shared) -> Result<(), OperationError> {
    let reach = context.config().enrolment.identity_lifetime.saturating_mul(2).min(LONGEST_REACH);
    if crate::clock::after(context.clock.now(), reach) >= context.keys.devices.present().not_after() {
        renew(context, "vppd").await?;
    }
    Ok(())
}

/// A new authority gives identities from now on. Those of the former stay good, and are renewed in their time.
pub async fn renew(context: &Shared, who: &str) -> Result<Vec<AuthorityView>, OperationError> {
    let (now, organisation, entropy) = (context.clock.now(), enrol::organisation(context), context.entropy.clone());
    let made = keys::off_thread(&context.clock, move || DeviceAuthority::generate(&organisation, now, &entropy));
    let made = Arc::new(made.await??);
    let former = context.keys.devices.present();
    let place = format!("{KEPT} {}", short_name(&former));
    let seal = |place: &str, authority: &DeviceAuthority| {
        let (certificate_pem, key) = authority.to_pem();
        let sealed_key = context.sealer.seal(place, key.expose_secret().as_bytes());
        appliance::Kept { certificate_pem, sealed_key }
    };
    let (old, new) = (seal(&place, &former), seal(KEPT, &made));
    let (by, name) = (who.to_owned(), short_name(&made));
    context
        .store
        .write(move |w| -> Result<(), StoreError> {
            appliance::keep(w, &place, &old)?;
            appliance::keep(w, KEPT, &new)?;
            audit::write(w, now, &by, "device authority renewed", &name)
        })
        .await?;
    let all: Vec<_> = std::iter::once(made).chain(context.keys.devices.all().iter().cloned()).collect();
    context.keys.devices.0.store(Arc::new(all));
    context.keys.changed.notify_one();
    log::info!(
        "a new device authority gives identities from now on; those of the former stay good until they are renewed"
    );
    Ok(list(context))
}

/// The end of an identity: never after that of its authority.
pub fn end_of_identity(authority: &DeviceAuthority, wanted: Timestamp) -> Timestamp {
    wanted.min(authority.not_after())
}
