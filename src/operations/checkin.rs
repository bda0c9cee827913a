//! What a device says about itself: it enrols, can be woken, leaves (Apple: Check-in).
//!
//! Authenticate pins the certificate to the device; every later message must carry the same one. Until its first
//! TokenUpdate a device is not enrolled. No answer here makes a device drop its enrolment.

use std::time::Duration;

use super::declarations::answer;
use super::device_index::Pinned;
use super::{OperationError, Shared, enrol, inventory, notify_after, renewal};
use crate::mdm::checkin::{Authenticate, Checkin, DeviceId as WireId, Enrollment, TokenUpdate};
use crate::mdm::command::Command;
use crate::mdm::identity::certificate;
use crate::mdm::identity::signature::SignerCertificate;
use crate::mdm::identity::site::SiteIdentity;
use crate::model::{DeviceId, SerialNumber};
use crate::store::{self, StoreError, Write, commands, devices, enrolments, identities, pairs};

/// What the door answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// 200, empty.
    Done,
    /// 200 with JSON.
    Json(String),
    /// 404: there is no such declaration, and the device drops it.
    Gone,
    /// 410: this user is not managed in this login session.
    NotThisUser,
    /// 400: the message is refused; why goes to the journal.
    Refused(String),
    /// 503: validly certified, but not known here (a restored backup?). The device keeps its enrolment and comes again.
    Unknown(String),
}

/// Handles one check-in message from the proved holder of `signer`; `reference` is the enrolment that its address names.
pub async fn handle(
    context: &Shared,
    message: Checkin,
    signer: &SignerCertificate,
    reference: Option<&str>,
) -> Result<Answer, OperationError> {
    if let Some(enrollment) = message.enrollment() {
        renewal::meet(context, enrollment.device.as_str(), signer).await?;
    }
    match message {
        Checkin::Authenticate(message) => authenticate(context, message, signer, reference).await,
        Checkin::TokenUpdate(message) => {
            let known = match known(context, &message.enrollment, signer) {
                Err(Answer::Unknown(why)) => {
                    returned(context, &message.enrollment, signer).await?.ok_or(Answer::Unknown(why))
                }
                known => known,
            };
            match known {
                Ok(id) if message.enrollment.is_device_channel() => token_update(context, id, message).await,
                // User channels of Macs are accepted and not used.
                Ok(_) => Ok(Answer::Done),
                Err(answer) => Ok(answer),
            }
        }
        Checkin::CheckOut { enrollment } => match known(context, &enrollment, signer) {
            Ok(id) if enrollment.is_device_channel() => check_out(context, id).await,
            Ok(_) => Ok(Answer::Done),
            Err(answer) => Ok(answer),
        },
        Checkin::UserAuthenticate { enrollment } => {
            Ok(known(context, &enrollment, signer).map_or_else(|answer| answer, |_| Answer::NotThisUser))
        }
        // Not asked for in the profile; answered all the same: accepted and not kept, or nothing to give.
        Checkin::SetBootstrapToken { enrollment } | Checkin::GetBootstrapToken { enrollment } => {
            Ok(known(context, &enrollment, signer).map_or_else(|answer| answer, |_| Answer::Done))
        }
        Checkin::GetToken { service, .. } => {
            Ok(Answer::Refused(format!("it asks for a token of {}, which vppd does not give", shown(&service))))
        }
        Checkin::DeclarativeManagement { enrollment, endpoint, data } => match known(context, &enrollment, signer) {
            Ok(id) if enrollment.is_device_channel() => answer::answer(context, id, &endpoint, data).await,
            Ok(_) => Ok(Answer::Refused("declarations were not switched on for the users of the device".into())),
            Err(answer) => Ok(answer),
        },
        Checkin::Unknown { message_type } => Ok(Answer::Refused(format!(
            "\"{}\" is no message that this vppd knows; the system of the device may be newer than vppd",
            shown(&message_type)
        ))),
    }
}

/// Who signed a message, in words for the journal.
pub async fn sender(context: &Shared, signer: &SignerCertificate) -> String {
    let fingerprint = signer.fingerprint;
    match context.store.read(move |c| devices::by_fingerprint(c, &fingerprint)).await {
        Ok(Some(device)) => format!("device {}", device.udid),
        Ok(None) => "somebody who is not enrolled".to_owned(),
        Err(error) => format!("somebody who cannot be looked up ({error})"),
    }
}

/// A device's own word as it may stand in a line of the journal.
pub(super) fn shown(word: &str) -> String {
    word.chars().take(80).flat_map(char::escape_debug).collect()
}

/// The device behind an enrolment, if the message is signed with its pinned certificate.
pub(super) fn known(context: &Shared, enrollment: &Enrollment, signer: &SignerCertificate) -> Result<DeviceId, Answer> {
    let udid = enrollment.device.as_str();
    if let Some(why) = renewal::ended(context, udid, signer) {
        return Err(Answer::Refused(why));
    }
    match context.index.pinned(udid, &signer.fingerprint) {
        Pinned::Yes { id, .. } => {
            context.index.saw(id, context.clock.now());
            Ok(id)
        }
        Pinned::OtherCertificate => Err(Answer::Refused(format!("device {udid} is known with another certificate"))),
        Pinned::Unknown => match issuer(context, signer) {
            Ok(Issuer::Own) => {
                Err(Answer::Unknown(format!("device {udid} has a certificate of ours, but is not enrolled here")))
            }
            // Printers and people have such certificates too.
            Ok(Issuer::Site(_)) => {
                Err(Answer::Refused(format!("device {udid} has a certificate of the site, but is not enrolled here")))
            }
            Err(why) => Err(Answer::Refused(why)),
        },
    }
}

/// The device that had said good-bye, or was said to be gone, and is there again with the certificate that it had: one that
/// was restored from its own backup sends no Authenticate, only a TokenUpdate.
async fn returned(
    context: &Shared,
    enrollment: &Enrollment,
    signer: &SignerCertificate,
) -> Result<Option<DeviceId>, OperationError> {
    let (udid, fingerprint, index) = (enrollment.device.as_str().to_owned(), signer.fingerprint, context.index.clone());
    if !enrollment.is_device_channel() || index.is_revoked(&fingerprint) {
        return Ok(None);
    }
    let write = context.store.write(move |w| -> Result<Option<devices::Device>, StoreError> {
        let Some(device) = devices::by_fingerprint(w, &fingerprint)?.filter(|device| device.udid == udid) else {
            return Ok(None);
        };
        let not_after = enrolments::identity(w, &fingerprint)?.map(|identity| identity.not_after);
        let pin = devices::Pin { id: device.id, udid, fingerprint, former: None, not_after, waits: false };
        w.after_commit(move || index.put(pin));
        Ok(Some(device))
    });
    let Some(device) = write.await? else { return Ok(None) };
    log::info!(
        vppd_device = device.udid.as_str(), vppd_serial = device.serial.as_str();
        "device {} had left, and is back with its former identity (restored from a backup?)", device.shown()
    );
    Ok(Some(device.id))
}

/// Who gave a device its certificate.
enum Issuer {
    Own,
    /// The site's own authority: worth something only together with an enrolment reference.
    Site(SiteIdentity),
}

fn issuer(context: &Shared, signer: &SignerCertificate) -> Result<Issuer, String> {
    let now = context.clock.now();
    match (context.keys.devices.verify_issued(&signer.der, now, Duration::ZERO), &context.keys.site) {
        (Ok(_), _) => Ok(Issuer::Own),
        (Err(error), None) => Err(error.to_string()),
        (Err(error), Some(site)) => {
            site.verify(&signer.der, now).map(Issuer::Site).map_err(|other| format!("{error}; {other}"))
        }
    }
}

async fn authenticate(
    context: &Shared,
    message: Authenticate,
    signer: &SignerCertificate,
    reference: Option<&str>,
) -> Result<Answer, OperationError> {
    let now = context.clock.now();
    let issuer = match issuer(context, signer) {
        Ok(issuer) => issuer,
        Err(why) => return Ok(Answer::Refused(why)),
    };
    if context.index.is_revoked(&signer.fingerprint) {
        return Ok(Answer::Refused("its identity was revoked; it must enrol anew".into()));
    }
    if !message.enrollment.is_device_channel() {
        return Ok(Answer::Refused("Authenticate on a user channel".into()));
    }
    let user_enrolment = matches!(message.enrollment.device, WireId::EnrollmentId(_));
    // A licence for its serial number would be of no use to a device in User Enrollment.
    let serial = message.serial_number.as_deref().filter(|_| !user_enrolment).and_then(SerialNumber::read);
    let authenticated = devices::Authenticated {
        udid: message.enrollment.device.as_str().to_owned(),
        user_enrolment,
        serial: serial.map(|s| s.as_str().to_owned()).unwrap_or_default(),
        fingerprint: signer.fingerprint,
        topic: message.topic,
        facts: devices::Facts {
            name: message.device_name.unwrap_or_default(),
            model: message.model_name.or(message.model).unwrap_or_default(),
            product_name: message.product_name.unwrap_or_default(),
            os_version: message.os_version.unwrap_or_default(),
            build_version: message.build_version.unwrap_or_default(),
            supervised: None,
        },
    };
    let (index, shown, plan_now) = (context.index.clone(), authenticated.udid.clone(), context.plan_now.clone());
    let (reference, serial) = (reference.map(str::to_owned), authenticated.serial.clone());
    let enrolled = context
        .store
        .write(move |w| -> Result<Result<Option<DeviceId>, String>, StoreError> {
            let kept = enrolments::identity(w, &authenticated.fingerprint)?;
            let identity = match (&kept, &issuer) {
                (Some(identity), _) => identity.clone(),
                (None, Issuer::Site(site)) => match admit(w, site, reference.as_deref(), now)? {
                    Ok(identity) => identity,
                    Err(why) => return Ok(Err(why.into())),
                },
                (None, Issuer::Own) => {
                    let why = "its certificate is ours, but was not issued by this database (a restored backup?)";
                    return Ok(Err(why.into()));
                }
            };
            let known = match whose(w, &identity, &authenticated)? {
                Ok(known) => known,
                Err(why) => return Ok(Err(why)),
            };
            if kept.is_none() {
                enrolments::take_use(w, identity.profile)?;
                enrolments::add_identity(w, &identity)?;
            }
            if let Some(renewed) = identities::renews(w, identity.profile)?
                && let Some(why) = renewal::take(w, renewed, known, &authenticated, &index)?
            {
                return Ok(why.map_or(Ok(None), Err));
            }
            let former = known.map(|id| devices::by_id(w, id)).transpose()?.flatten().map(|device| device.fingerprint);
            let id = devices::authenticate(w, known, &authenticated, now)?;
            enrol::holder::hand_over(w, &authenticated.serial, &identity, former.as_ref(), now)?;
            enrolments::bind(w, &authenticated.fingerprint, id)?;
            commands::withdraw_all(w, id, now)?;
            pairs::forget_apps(w, id, now)?;
            store::inventory::forget_apps(w, id)?;
            let pin = devices::Pin {
                id,
                udid: authenticated.udid.clone(),
                fingerprint: authenticated.fingerprint,
                former: None,
                not_after: Some(identity.not_after),
                waits: false,
            };
            w.after_commit(move || index.put(pin));
            notify_after(w, &plan_now);
            Ok(Ok(Some(id)))
        })
        .await?;
    match enrolled {
        // It has renewed its identity, and everything else stays.
        Ok(None) => {
            log::info!(vppd_device = shown.as_str(), vppd_serial = serial.as_str(); "device {shown} has a new identity");
            Ok(Answer::Done)
        }
        Ok(Some(_)) => {
            log::info!(vppd_device = shown.as_str(), vppd_serial = serial.as_str(); "device {shown} is enrolling");
            Ok(Answer::Done)
        }
        Err(why) => Ok(Answer::Refused(why)),
    }
}

/// What is to be kept of an identity of the site's own, which a profile that may still be used lets in; or why it is
/// refused.
fn admit(
    w: &Write<'_>,
    site: &SiteIdentity,
    reference: Option<&str>,
    now: jiff::Timestamp,
) -> Result<Result<enrolments::Identity, &'static str>, StoreError> {
    let Some(reference) = reference else {
        return Ok(Err("its certificate is the site's, and the address that it calls names no enrolment"));
    };
    let Some(profile) = enrolments::profile_by_reference(w, reference)? else {
        return Ok(Err("its certificate is the site's, and the address that it calls names an unknown enrolment"));
    };
    if let Some(why) = enrol::closed(w, &profile, now)? {
        return Ok(Err(why));
    }
    let name: String = site.fingerprint.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Ok(enrolments::Identity {
        fingerprint: site.fingerprint,
        reference: format!("x-{name}"),
        profile: profile.id,
        key_hash: certificate::fingerprint(&site.spki_der),
        certificate: site.der.clone(),
        issued_at: now,
        not_after: site.not_after,
        device: None,
    }))
}

/// The row of the device that authenticates, `None` for a new one; or why it is refused.
fn whose(
    w: &Write<'_>,
    identity: &enrolments::Identity,
    device: &devices::Authenticated,
) -> Result<Result<Option<DeviceId>, String>, StoreError> {
    let by_serial = devices::by_serial(w, &device.serial)?.map(|known| known.id);
    let by_udid = devices::by_udid(w, &device.udid)?.map(|known| known.id);
    let known = match (by_serial, by_udid) {
        (Some(one), Some(other)) if one != other => {
            return Ok(Err(format!("its serial number belongs to device {one} and its UDID to device {other}")));
        }
        (one, other) => one.or(other),
    };
    if identity.device.is_some() && identity.device != known {
        return Ok(Err("its certificate is pinned to another device".into()));
    }
    if let Some(profile) = enrolments::profile(w, identity.profile)?
        && let Some(serial) = profile.serial
        && serial != device.serial
    {
        return Ok(Err(format!("its profile was made for serial number {serial}")));
    }
    Ok(Ok(known))
}

async fn token_update(context: &Shared, id: DeviceId, message: TokenUpdate) -> Result<Answer, OperationError> {
    let now = context.clock.now();
    let uuids = [context.entropy.uuid().to_string(), context.entropy.uuid().to_string()];
    let (index, plan_now, wake_now) = (context.index.clone(), context.plan_now.clone(), context.wake_now.clone());
    let first = context
        .store
        .write(move |w| -> Result<Option<devices::Device>, OperationError> {
            let first = devices::token_update(w, id, &message.token, &message.push_magic, now)?;
            if first {
                inventory::queue(w, id, &uuids, now)?;
                notify_after(w, &plan_now);
            }
            notify_after(w, &wake_now);
            let waits = commands::any_open(w, id)?;
            w.after_commit(move || index.set_waits(id, waits));
            Ok(if first { devices::by_id(w, id)? } else { None })
        })
        .await?;
    if let Some(device) = first {
        log::info!(
            vppd_device = device.udid.as_str(), vppd_serial = device.serial.as_str();
            "device {} has enrolled", device.shown()
        );
    }
    Ok(Answer::Done)
}

async fn check_out(context: &Shared, id: DeviceId) -> Result<Answer, OperationError> {
    let (now, index, plan_now) = (context.clock.now(), context.index.clone(), context.plan_now.clone());
    let left = context
        .store
        .write(move |w| -> Result<Option<devices::Device>, StoreError> {
            devices::check_out(w, id, now)?;
            commands::withdraw_all(w, id, now)?;
            pairs::forget_apps(w, id, now)?;
            store::inventory::forget_apps(w, id)?;
            w.after_commit(move || index.remove(id));
            notify_after(w, &plan_now);
            devices::by_id(w, id)
        })
        .await?;
    if let Some(device) = left {
        log::info!(
            vppd_device = device.udid.as_str(), vppd_serial = device.serial.as_str();
            "device {} has left; licences that vppd assigned to it go back", device.shown()
        );
    }
    Ok(Answer::Done)
}

/// Puts a command into a device's queue.
pub(super) fn queue(
    w: &Write<'_>,
    device: DeviceId,
    uuid: &str,
    command: &Command,
    adam_id: Option<&str>,
    now: jiff::Timestamp,
) -> Result<(), OperationError> {
    let body = serde_json::to_string(command)
        .map_err(|error| OperationError::internal(format!("a command cannot be written: {error}")))?;
    let new = commands::NewCommand {
        uuid: uuid.to_owned(),
        request_type: command.request_type().to_owned(),
        adam_id: adam_id.map(str::to_owned),
        body,
        priority: command.priority() as i64,
    };
    Ok(commands::queue(w, device, &new, now)?)
}
