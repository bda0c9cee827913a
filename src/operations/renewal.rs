//! Renewing identities through the device itself (Apple: the enrolment profile is installed once more): at two thirds of an
//! identity's life the device is asked to, fetches a new certificate and introduces itself with it.
//!
//! While that goes on both identities are good, because a device goes back to the old profile when something fails, and
//! nobody has written down in which order it answers. What is known of the device, its queue too, stays.

use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};

use super::device_index::DeviceIndex;
use super::view::{IdentityState, IdentityView};
use super::{OperationError, Shared, acme, alerts, checkin, enrol};
use crate::clock::after;
use crate::entropy::Entropy;
use crate::mdm::command::{Command, InstallProfile};
use crate::mdm::identity::certificate;
use crate::mdm::identity::signature::SignerCertificate;
use crate::mdm::report::{Report, Status};
use crate::model::DeviceId;
use crate::schedule::{expiry_threshold, renewal_due};
use crate::store::alerts::NewAlert;
use crate::store::enrolments::ProfileKind;
use crate::store::identities::{self, IdentityKind, InUse};
use crate::store::{StoreError, Write, commands, devices, enrolments};

/// Apple's name of the command that renews.
pub const COMMAND: &str = "InstallProfile";

/// Devices asked in one transaction at most.
const CHUNK: usize = 100;

/// A device that could not renew is asked again after so long.
const PAUSE: std::time::Duration = std::time::Duration::from_secs(24 * 3600);

/// How long the secret in a profile that was handed out may be used: the device asks at once.
const OFFERED_FOR: std::time::Duration = std::time::Duration::from_secs(24 * 3600);

/// Asks every device to renew whose identity has lived for two thirds of its time, and warns of those that come to their end.
pub async fn ask(context: &Shared) -> Result<(), OperationError> {
    let now = context.clock.now();
    let in_use = context.store.read(|c| identities::in_use(c, None)).await?;
    let due: Vec<&InUse> = in_use
        .iter()
        .filter(|it| can_renew(it) && !it.asked)
        .filter(|it| renewal_due(it.issued_at, it.not_after, now) || changes_over(context, it))
        .filter(|it| it.renewal_at.is_none_or(|asked| after(asked, PAUSE) <= now))
        .collect();
    for chunk in due.chunks(CHUNK) {
        let chunk: Vec<InUse> = chunk.iter().map(|it| (*it).clone()).collect();
        let (shared, wake_now) = (context.clone(), context.wake_now.clone());
        context
            .store
            .write_bulk(move |w| -> Result<(), OperationError> {
                for it in &chunk {
                    let in_time = !renewal_due(it.issued_at, it.not_after, now);
                    if in_time && identities::last_renewal_failed(w, it.device)? {
                        continue;
                    }
                    queue(&shared, w, it, "vppd")?;
                }
                super::notify_after(w, &wake_now);
                Ok(())
            })
            .await?;
    }
    warn(context, &in_use).await
}

/// Whether a device that has its identity by SCEP can have one whose key its hardware attests.
fn changes_over(context: &Shared, it: &InUse) -> bool {
    it.kind == IdentityKind::Scep && acme::is_able(context, &it.product_name, &it.os_version)
}

/// Whether vppd can renew it: not what the site's own authority has given, nor the profile of a person's own device.
pub(super) fn can_renew(it: &InUse) -> bool {
    it.kind != IdentityKind::Site && !it.user_enrolment
}

/// Puts the command into the device's queue, with a profile that entitles to one certificate.
pub(super) fn queue(context: &Shared, w: &Write<'_>, it: &InUse, who: &str) -> Result<(), OperationError> {
    let now = context.clock.now();
    let reference = format!("p-{}", context.entropy.uuid().simple());
    let profile = enrolments::Profile {
        id: 0,
        reference: reference.clone(),
        serial: Some(it.serial.clone()).filter(|serial| !serial.is_empty()),
        uses: 1,
        uses_left: 1,
        expires_at: now,
        kind: ProfileKind::File,
        batch: String::new(),
        label: String::new(),
        person: None,
        revoked_at: None,
    };
    // Nobody knows a secret for it before it is handed out.
    let row = enrolments::add_profile(w, &profile, &context.entropy.bytes(), now, who)?;
    identities::begin_renewal(w, it.device, row, now)?;
    let command = Command::InstallProfile(InstallProfile { reference, payload: Vec::new() });
    checkin::queue(w, it.device, &context.entropy.uuid().to_string(), &command, None, now)?;
    let (index, id) = (context.index.clone(), it.device);
    w.after_commit(move || index.set_waits(id, true));
    Ok(())
}

/// The profile as it goes to the device, with a secret of its own each time.
pub(super) fn offer(
    context: &Shared,
    w: &Write<'_>,
    id: DeviceId,
    reference: &str,
    now: Timestamp,
) -> Result<Vec<u8>, OperationError> {
    let Some(device) = devices::by_id(w, id)? else { return Err(OperationError::internal("the device is gone")) };
    // A device that could not do it once gets its identity in the way that always works.
    let by_acme = acme::is_for(context, &device) && !identities::last_renewal_failed(w, id)?;
    let challenge = SecretString::from(context.entropy.secret_text());
    identities::offer(w, reference, &enrol::hash(challenge.expose_secret().as_bytes()), after(now, OFFERED_FOR))?;
    let calls = identities::calls(w, reference)?.unwrap_or_else(|| enrol::calls(context, reference));
    Ok(enrol::encode(context, reference, challenge, &device.topic, &calls, by_acme)?.0)
}

/// Whether the device may do nothing but renew.
pub(super) fn must_come_first(w: &Write<'_>, id: DeviceId, now: Timestamp) -> Result<bool, StoreError> {
    Ok(devices::pin(w, id)?.and_then(|pin| pin.not_after).is_some_and(|end| end <= now))
}

/// Why an identity is good for nothing any more: it was revoked, or it ended too long ago.
pub(super) fn ended(context: &Shared, udid: &str, signer: &SignerCertificate) -> Option<String> {
    if context.index.is_revoked(&signer.fingerprint) {
        return Some(format!("the identity of device {udid} was revoked; it must enrol anew"));
    }
    let pin = context.index.pin(udid).filter(|pin| pin.fingerprint == signer.fingerprint)?;
    let last = after(pin.not_after?, context.config().identity.renew_expired_within);
    (last <= context.clock.now()).then(|| {
        format!(
            "the identity of device {udid} ended longer ago than [identity] renew-expired-within allows; it must enrol anew"
        )
    })
}

/// Moves the pin where a device speaks for the first time with an identity that a renewal gave it, and forgets the old one
/// when the renewal is over. Costs nothing when neither is so.
pub(super) async fn meet(context: &Shared, udid: &str, signer: &SignerCertificate) -> Result<(), OperationError> {
    let Some(pin) = context.index.pin(udid) else { return Ok(()) };
    let id = pin.id;
    if pin.fingerprint == signer.fingerprint {
        if pin.former.is_some() {
            let index = context.index.clone();
            context
                .store
                .write(move |w| -> Result<(), StoreError> {
                    if !commands::waits(w, id, COMMAND)? {
                        identities::settle(w, id)?;
                        changed(w, id, &index)?;
                    }
                    Ok(())
                })
                .await?;
        }
        return Ok(());
    }
    if pin.former == Some(signer.fingerprint) || context.index.is_revoked(&signer.fingerprint) {
        return Ok(());
    }
    let now = context.clock.now();
    let ours = context.keys.devices.verify_issued(&signer.der, now, std::time::Duration::ZERO).ok();
    let (index, fingerprint, der) = (context.index.clone(), signer.fingerprint, signer.der.clone());
    let moved = context
        .store
        .write(move |w| -> Result<bool, StoreError> {
            let known = match enrolments::identity(w, &fingerprint)? {
                Some(identity) => identity.device.is_none() && identities::renews(w, identity.profile)? == Some(id),
                // After a backup was restored: a later certificate of the same enrolment.
                None => match (&ours, enrolments::identity(w, &pin.fingerprint)?) {
                    (Some(ours), Some(old)) if enrolment_of(&ours.reference) == enrolment_of(&old.reference) => {
                        let later = ours.not_after > old.not_after;
                        if later {
                            let identity = enrolments::Identity {
                                fingerprint,
                                reference: ours.reference.clone(),
                                profile: old.profile,
                                key_hash: enrol::hash(&certificate::public_key(&der).unwrap_or_default()),
                                certificate: der,
                                issued_at: now,
                                not_after: ours.not_after,
                                device: Some(id),
                            };
                            enrolments::add_identity(w, &identity)?;
                        }
                        later
                    }
                    _ => false,
                },
            };
            if known {
                identities::move_pin(w, id, &fingerprint)?;
                changed(w, id, &index)?;
            }
            Ok(known)
        })
        .await?;
    if moved {
        log::info!(vppd_device = udid; "device {udid} speaks with its new identity");
    }
    Ok(())
}

/// An Authenticate with an identity that a renewal gave to `renewed`: `Some(None)` when it is that and was taken, `Some` of
/// why it is refused, `None` when the device enrols anew with it.
pub(super) fn take(
    w: &Write<'_>,
    renewed: DeviceId,
    known: Option<DeviceId>,
    device: &devices::Authenticated,
    index: &DeviceIndex,
) -> Result<Option<Option<String>>, StoreError> {
    if known != Some(renewed) {
        return Ok(Some(Some("its profile renews the identity of another device".into())));
    }
    let Some(before) = devices::by_id(w, renewed)? else { return Ok(None) };
    if before.state != devices::DeviceState::Enrolled {
        return Ok(None);
    }
    if before.udid != device.udid || before.topic != device.topic {
        return Ok(Some(Some("a renewal changes neither UDID nor topic".into())));
    }
    identities::move_pin(w, renewed, &device.fingerprint)?;
    devices::learn(w, renewed, &device.facts)?;
    changed(w, renewed, index)?;
    Ok(Some(None))
}

/// The device has answered the command.
pub(super) fn answered(
    context: &Shared,
    w: &Write<'_>,
    id: DeviceId,
    report: &Report,
    error: &str,
) -> Result<(), OperationError> {
    if report.status == Status::Acknowledged {
        return Ok(());
    }
    let udid = report.enrollment.device.as_str();
    log::warn!(
        vppd_device = udid;
        "device {udid} could not renew its identity: {error}. It goes on with the one it has and is asked again in a day"
    );
    identities::go_back(w, id)?;
    changed(w, id, &context.index)?;
    Ok(())
}

/// Brings what is kept in memory of a device in line, once this is on disk.
fn changed(w: &Write<'_>, id: DeviceId, index: &DeviceIndex) -> Result<(), StoreError> {
    if let Some(pin) = devices::pin(w, id)? {
        let index = index.clone();
        w.after_commit(move || index.change_pin(pin));
    }
    Ok(())
}

/// The enrolment that a new identity under this profile continues; `None` if it begins one.
pub(super) fn reference(connection: &rusqlite::Connection, profile: i64) -> Result<Option<String>, StoreError> {
    let Some(device) = identities::renews(connection, profile)? else { return Ok(None) };
    let Some(device) = devices::by_id(connection, device)? else { return Ok(None) };
    let identity = enrolments::identity(connection, &device.fingerprint)?;
    Ok(identity.map(|identity| enrolment_of(&identity.reference).to_owned()))
}

/// `e-…` of `e-…-1f2e3d4c`: all identities of one enrolment begin alike.
fn enrolment_of(reference: &str) -> &str {
    match reference.rsplit_once('-') {
        Some((enrolment, _)) if enrolment.contains('-') => enrolment,
        _ => reference,
    }
}

/// What tells one identity of an enrolment from the others.
pub(super) fn suffix(entropy: &Entropy) -> String {
    entropy.bytes::<4>().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// One alert for all identities that come to their end, at each threshold.
async fn warn(context: &Shared, in_use: &[InUse]) -> Result<(), OperationError> {
    let now = context.clock.now();
    // Identities of a short life are renewed within their last weeks.
    let late = |it: &&InUse| {
        renewal_due(it.issued_at, it.not_after, now)
            && expiry_threshold(it.not_after, now).is_some_and(|days| days <= 30)
    };
    let ending: Vec<&InUse> = in_use
        .iter()
        .filter(late)
        .filter(|it| {
            // Whoever was asked a moment ago is given the time to answer.
            it.renewal_at.is_some_and(|asked| after(asked, PAUSE) <= now) || !can_renew(it)
        })
        .collect();
    let alert = ending.first().and_then(|first| {
        let days = expiry_threshold(first.not_after, now)?;
        let count = ending.len();
        Some(NewAlert {
            kind: alerts::IDENTITY_EXPIRY,
            location: None,
            subject: "identities".into(),
            occasion: format!("{days} days"),
            grave: days <= 7,
            message: format!(
                "{count} {} not renewed the identity that ends within 30 days, the first on {}",
                if count == 1 { "device has" } else { "devices have" },
                first.not_after
            ),
            advice: "vppd goes on asking them. Bring those that are away back to a network, or enrol them again; which they are: \
                     vppd identity list"
                .into(),
        })
    });
    let raised = context
        .store
        .write(move |w| -> Result<Vec<NewAlert>, StoreError> {
            let mut raised = Vec::new();
            alerts::settle(w, alerts::IDENTITY_EXPIRY, None, alert, now, &mut raised)?;
            Ok(raised)
        })
        .await?;
    raised.iter().for_each(alerts::announce);
    Ok(())
}

/// As the doors show it.
pub(super) fn view(it: InUse, now: Timestamp) -> IdentityView {
    IdentityView {
        state: match () {
            () if it.not_after <= now => IdentityState::Ended,
            () if it.asked => IdentityState::Renewing,
            () if renewal_due(it.issued_at, it.not_after, now) => IdentityState::Due,
            () => IdentityState::Good,
        },
        serial: it.serial,
        udid: it.udid,
        kind: it.kind.word().into(),
        issued_at: it.issued_at,
        expires_at: it.not_after,
        asked_at: it.renewal_at,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn section_3_4_all_identities_of_one_enrolment_carry_its_reference() {
        assert_eq!(enrolment_of("e-7f3a9c"), "e-7f3a9c");
        assert_eq!(enrolment_of("e-7f3a9c-01020304"), "e-7f3a9c");
        assert_eq!(enrolment_of(&format!("e-7f3a9c-{}", suffix(&Entropy::seeded(1)))), "e-7f3a9c");
        assert_eq!(enrolment_of("x-ab"), "x-ab");
    }
}
