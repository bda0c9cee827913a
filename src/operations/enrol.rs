//! Enrolment: profiles that are handed out, and the identities that devices fetch with them by SCEP.
//!
//! - [`codes`]: codes and links, made, listed and withdrawn;
//! - [`tickets`]: what somebody gets who shows one of them, or has signed in;
//! - `holder`: whose a device is afterwards.

pub mod codes;
pub(super) mod holder;
pub mod tickets;

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret, SecretString};

use super::authorities::{end_of_identity, short_name};
use super::view::{EnrolRequest, EnrolView};
use super::{Kind, OperationError, Shared, renewal};
use crate::clock::after;
use crate::config::{AcmeUse, Proof};
use crate::mdm::identity::authority::{DeviceAuthority, IdentitySubject};
use crate::mdm::identity::certificate;
use crate::mdm::identity::profile_signature::sign_profile;
use crate::mdm::identity::scep::{self, Accepted, FailInfo};
use crate::mdm::profile::{ACCESS_RIGHTS, Anchor, EnrolmentProfile, IdentitySource};
use crate::mdm::push::PushClient;
use crate::model::SerialNumber;
use crate::store::enrolments::ProfileKind;
use crate::store::identities::{Calls, IdentityKind};
use crate::store::{StoreError, appliance, audit, enrolments, identities, persons};

/// A profile that may be used more often than this is a mistake.
const MOST_USES: u32 = 100_000;

/// How long a repeated SCEP request with the same key gets the same certificate: a device whose answer was lost.
const REPEAT_WITHIN: std::time::Duration = std::time::Duration::from_secs(3600);

/// How far a new identity's validity begins in the past, because devices have slow clocks.
const BACKDATED: jiff::SignedDuration = jiff::SignedDuration::from_hours(24);

/// Makes an enrolment profile with a challenge of its own.
pub async fn make_profile(context: &Shared, request: EnrolRequest, who: &str) -> Result<EnrolView, OperationError> {
    let now = context.clock.now();
    let push = ready(context)?;
    let serial = match request.serial.as_deref() {
        None => None,
        Some(text) => Some(SerialNumber::read(text).ok_or_else(|| {
            let shown: String = text.chars().take(80).collect();
            OperationError::invalid("serial", format!("\"{shown}\" is no serial number: letters and digits only"), "")
        })?),
    };
    let uses = checked_uses(request.count.unwrap_or(1), if serial.is_some() { 1 } else { MOST_USES })?;
    let expires_at = checked_end(request.expires_at, context.config().enrolment.profile_lifetime, now)?;
    let challenge = SecretString::from(context.entropy.secret_text());
    let reference = format!("p-{}", context.entropy.uuid().simple());
    let profile = enrolments::Profile {
        id: 0,
        reference: reference.clone(),
        serial: serial.as_ref().map(|s| s.as_str().to_owned()),
        uses,
        uses_left: uses,
        expires_at,
        kind: ProfileKind::File,
        batch: String::new(),
        label: String::new(),
        person: None,
        revoked_at: None,
    };
    let calls = calls(context, &reference);
    let always = context.config().identity.acme.usage == AcmeUse::Always;
    let (bytes, signed) = encode(context, &reference, challenge.clone(), push.topic(), &calls, always)?;
    let hash = hash(challenge.expose_secret().as_bytes());
    let (by, url) = (who.to_owned(), context.config().devices.url.clone());
    context
        .store
        .write(move |w| -> Result<(), StoreError> {
            let row = enrolments::add_profile(w, &profile, &hash, now, &by)?;
            identities::keep_calls(w, row, &calls)?;
            appliance::fix_device_url(w, &url)?;
            audit::write(w, now, &by, "enrolment profile made", &format!("{} for {uses}", profile.reference))
        })
        .await?;
    let name = serial.as_ref().map_or_else(|| format!("enrol-{uses}-devices"), |serial| format!("enrol-{serial}"));
    Ok(EnrolView {
        file_name: format!("{name}.mobileconfig"),
        profile: STANDARD.encode(&bytes),
        signed,
        reference,
        serial: serial.map(|s| s.as_str().to_owned()),
        count: uses,
        expires_at,
    })
}

/// The connection to APNs whose topic goes into profiles; an error while no device can enrol.
fn ready(context: &Shared) -> Result<Arc<PushClient>, OperationError> {
    let Some(push) = context.push() else {
        return Err(OperationError::new(
            Kind::Unavailable,
            "no-push-certificate",
            "no device can enrol: there is no push certificate, and its topic belongs into every profile",
            "Get one: vppd apns csr; or name one in the settings ([apns] certificate and key), then: systemctl reload vppd",
        ));
    };
    if push.expires() <= context.clock.now() {
        return Err(OperationError::new(
            Kind::Unavailable,
            "push-certificate-expired",
            format!("no device can enrol: the push certificate expired on {}", push.expires()),
            "Renew it at Apple with the same account (the Renew button, not a new one), then: systemctl reload vppd",
        ));
    }
    Ok(push)
}

fn checked_uses(uses: u32, most: u32) -> Result<u32, OperationError> {
    if (1..=most).contains(&uses) {
        return Ok(uses);
    }
    Err(OperationError::invalid(
        "count",
        format!("enrolment for {uses} devices cannot be made"),
        format!("Say 1 to {most}; with a serial number it is always 1."),
    ))
}

fn checked_end(
    asked: Option<jiff::Timestamp>,
    lifetime: std::time::Duration,
    now: jiff::Timestamp,
) -> Result<jiff::Timestamp, OperationError> {
    let end = asked.unwrap_or_else(|| after(now, lifetime));
    if end > now {
        return Ok(end);
    }
    Err(OperationError::invalid("expires", format!("the profile would have expired already on {end}"), ""))
}

/// Why a profile lets no further device in; `None` when it does.
pub(super) fn closed(
    connection: &rusqlite::Connection,
    profile: &enrolments::Profile,
    now: jiff::Timestamp,
) -> Result<Option<&'static str>, StoreError> {
    if profile.revoked_at.is_some() {
        return Ok(Some("its profile was withdrawn"));
    }
    if profile.expires_at <= now {
        return Ok(Some("its profile has expired"));
    }
    if profile.uses_left == 0 {
        return Ok(Some("its profile has been used as often as it may"));
    }
    if profile.kind == ProfileKind::Person {
        let person = profile.person.map(|id| persons::by_id(connection, id)).transpose()?.flatten();
        if !person.is_some_and(|person| person.gone_at.is_none() && person.retired_at.is_none()) {
            return Ok(Some("the person who signed in for its profile is here no more"));
        }
    }
    Ok(None)
}

/// What devices that enrol with a new profile are to call.
pub(super) fn calls(context: &Shared, reference: &str) -> Calls {
    let config = context.config();
    let devices = &config.devices;
    let url = &devices.url;
    let (messages_url, sign_message) = match (config.enrolment.proof, devices.client_certificate_url()) {
        (Proof::ClientCertificate, Some(url)) => (url, false),
        // A proxy asks for the certificate.
        (Proof::ClientCertificate, None) => (url.clone(), false),
        _ => (url.clone(), true),
    };
    let query = context.keys.site.as_ref().map(|_| format!("?enrolment={reference}")).unwrap_or_default();
    Calls {
        server_url: format!("{messages_url}/mdm{query}"),
        check_in_url: format!("{messages_url}/checkin{query}"),
        sign_message,
        access_rights: ACCESS_RIGHTS,
    }
}

/// Writes a profile, and signs it if the settings say so.
pub(super) fn encode(
    context: &Shared,
    reference: &str,
    challenge: SecretString,
    topic: &str,
    calls: &Calls,
    by_acme: bool,
) -> Result<(Vec<u8>, bool), OperationError> {
    let config = context.config();
    let devices = &config.devices;
    let organisation = organisation(context);
    let profile = EnrolmentProfile {
        host: devices.host().to_owned(),
        organisation: organisation.clone(),
        display_name: format!("{organisation} device management"),
        description:
            "Lets the organisation install, update and remove its apps on this device. It cannot lock or erase \
                      the device, and it sees no personal content."
                .into(),
        topic: topic.into(),
        server_url: calls.server_url.clone(),
        check_in_url: calls.check_in_url.clone(),
        sign_message: calls.sign_message,
        // No more than was granted, and no more than is asked for today.
        access_rights: calls.access_rights & ACCESS_RIGHTS,
        source: match by_acme {
            true => IdentitySource::Acme { directory_url: format!("{}/acme/directory", devices.url) },
            false => IdentitySource::Scep {
                url: format!("{}/scep", devices.url),
                authority: short_name(&context.keys.devices.present()),
                ca_fingerprint: context.keys.devices.present().fingerprint(),
            },
        },
        anchors: context
            .keys
            .anchors
            .load()
            .iter()
            .map(|der| Anchor { der: der.clone(), uuid: context.entropy.uuid() })
            .collect(),
        reference: reference.into(),
        challenge,
        profile_uuid: context.entropy.uuid(),
        identity_uuid: context.entropy.uuid(),
        management_uuid: context.entropy.uuid(),
    };
    let plain = profile.encode();
    if config.enrolment.sign_profiles {
        Ok((sign_profile(&plain, &context.keys.devices.signer(context.clock.now()))?, true))
    } else {
        Ok((plain, false))
    }
}

/// The organisation's name as devices and people see it.
pub fn organisation(context: &Shared) -> String {
    let config = context.config();
    match config.enrolment.organisation.as_str() {
        "" => config.devices.host().to_owned(),
        name => name.to_owned(),
    }
}

/// What the door answers to a SCEP request.
pub enum ScepAnswer {
    /// A CertRep message with a certificate.
    Issued(Vec<u8>),
    /// A CertRep message that says no; without one the request cannot even be attributed to a transaction: 400.
    Refused(Option<Vec<u8>>),
}

/// Which algorithms SCEP clients may use.
pub fn accepted_in_scep(context: &Shared) -> Accepted {
    match context.config().identity.scep.allow_legacy_ciphers {
        true => Accepted::Legacy,
        false => Accepted::Modern,
    }
}

/// Answers a SCEP request (the bytes of a PKIOperation).
pub async fn answer_scep(context: &Shared, message: Vec<u8>) -> Result<ScepAnswer, OperationError> {
    // The one that the request is encrypted to answers it.
    let all = context.keys.devices.all();
    let parsed = |authority: &Arc<DeviceAuthority>| {
        (authority.clone(), scep::parse_request(&message, authority, accepted_in_scep(context)))
    };
    let mut tried = all.iter().map(parsed);
    let first = tried.next().ok_or_else(|| OperationError::internal("there is no device authority"))?;
    let (authority, parsed) = match first.1.is_ok() {
        true => first,
        false => tried.find(|(_, parsed)| parsed.is_ok()).unwrap_or(first),
    };
    let authority = authority.as_ref();
    let request = match parsed {
        Ok(request) => request,
        Err(refusal) => {
            let key = match refusal.fail_info {
                FailInfo::BadAlg => {
                    ". For clients that know nothing better: [identity.scep] allow-legacy-ciphers = true"
                }
                _ => "",
            };
            log::warn!("a certificate request was refused: {}{key}", refusal.reason);
            let failure = |transaction| scep::failure(transaction, refusal.fail_info, authority, &context.entropy);
            return Ok(ScepAnswer::Refused(refusal.transaction.as_ref().map(failure).transpose()?));
        }
    };
    let issued = match &request.challenge {
        None => Err("it carries no challenge"),
        Some(challenge) => {
            let challenge_hash = hash(challenge.expose_secret().as_bytes());
            issue(context, authority, challenge_hash, &request.spki_der, IdentityKind::Scep).await?
        }
    };
    match issued {
        Ok(certificate) => Ok(ScepAnswer::Issued(scep::success(&request, authority, &certificate, &context.entropy)?)),
        Err(why) => {
            log::warn!(
                "a certificate request was refused: {why}. A device that shall enrol needs a new profile: vppd enrol profile"
            );
            let reply = scep::failure(&request.transaction, FailInfo::BadRequest, authority, &context.entropy)?;
            Ok(ScepAnswer::Refused(Some(reply)))
        }
    }
}

/// The certificate over a key (DER SubjectPublicKeyInfo) for whoever knows the secret of a profile, or why there is none.
pub(super) async fn issue(
    context: &Shared,
    authority: &DeviceAuthority,
    challenge_hash: [u8; 32],
    spki_der: &[u8],
    kind: IdentityKind,
) -> Result<Result<Vec<u8>, &'static str>, OperationError> {
    let now = context.clock.now();
    let key_hash = hash(spki_der);
    let renewed = match context.store.read(move |c| allowed(c, &challenge_hash, &key_hash, now)).await? {
        Allowed::Again(certificate) => return Ok(Ok(certificate)),
        Allowed::No(why) => return Ok(Err(why)),
        Allowed::New(profile) => context.store.read(move |c| renewal::reference(c, profile)).await?,
    };
    let reference = match renewed {
        Some(enrolment) => format!("{enrolment}-{}", renewal::suffix(&context.entropy)),
        None => format!("e-{}", context.entropy.uuid().simple()),
    };
    let not_after = end_of_identity(authority, after(now, context.config().enrolment.identity_lifetime));
    let subject = IdentitySubject { reference: reference.clone(), organisation: organisation(context) };
    let not_before = now.checked_sub(BACKDATED).unwrap_or(now);
    let certificate = authority.issue(spki_der, &subject, context.entropy.bytes(), not_before, not_after)?;
    let identity = enrolments::Identity {
        fingerprint: certificate::fingerprint(&certificate),
        reference,
        profile: 0,
        key_hash,
        certificate,
        issued_at: now,
        not_after,
        device: None,
    };
    let issued = context
        .store
        .write(move |w| -> Result<_, StoreError> {
            // Asked again: another request may have come first.
            match allowed(w, &challenge_hash, &key_hash, now)? {
                Allowed::Again(certificate) => Ok(Ok(certificate)),
                Allowed::No(why) => Ok(Err(why)),
                Allowed::New(profile) => {
                    if !enrolments::take_use(w, profile)? {
                        return Ok(Err("its profile has been used as often as it may"));
                    }
                    enrolments::add_identity(w, &enrolments::Identity { profile, ..identity.clone() })?;
                    identities::set_kind(w, &identity.fingerprint, kind)?;
                    Ok(Ok(identity.certificate))
                }
            }
        })
        .await?;
    Ok(issued)
}

/// Whether a certificate may be issued.
enum Allowed {
    /// A new one, under this profile.
    New(i64),
    /// The one that was issued a moment ago for the same key: its answer was lost.
    Again(Vec<u8>),
    No(&'static str),
}

fn allowed(
    connection: &rusqlite::Connection,
    challenge_hash: &[u8; 32],
    key_hash: &[u8; 32],
    now: jiff::Timestamp,
) -> Result<Allowed, StoreError> {
    let Some(profile) = enrolments::profile_by_challenge(connection, challenge_hash)? else {
        return Ok(Allowed::No("its challenge was never given out"));
    };
    if let Some(identity) = enrolments::identity_by_key(connection, profile.id, key_hash)?
        && after(identity.issued_at, REPEAT_WITHIN) > now
    {
        return Ok(Allowed::Again(identity.certificate));
    }
    Ok(match closed(connection, &profile, now)? {
        Some(why) => Allowed::No(why),
        None => Allowed::New(profile.id),
    })
}

pub(super) fn hash(bytes: &[u8]) -> [u8; 32] {
    certificate::fingerprint(bytes)
}
