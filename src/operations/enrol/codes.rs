//! Codes for devices that nobody signs in on, and links for Apple Configurator: made, listed, withdrawn.

use std::time::Duration;

use super::tickets::{self, Ticket};
use super::{MOST_USES, checked_end, checked_uses, ready};
use crate::operations::users::checked_text;
use crate::operations::view::{
    EnrolCodeView, EnrolCodesRequest, EnrolCodesView, EnrolLinkView, EnrolRevokedView, EnrolmentState, EnrolmentView,
};
use crate::operations::{OperationError, Shared};
use crate::store::enrolments::{self, Profile, ProfileKind};
use crate::store::{StoreError, appliance, audit};

/// Codes that are made at once, at most: more sheets than anybody cuts.
const MOST_CODES: u32 = 2_000;

/// How long codes and links hold unless said otherwise.
const LIFETIME: Duration = Duration::from_secs(30 * 24 * 3600);

/// Makes codes, each for one device. This is the only time that they are told.
pub async fn make(context: &Shared, request: EnrolCodesRequest, who: &str) -> Result<EnrolCodesView, OperationError> {
    ready(context)?;
    let now = context.clock.now();
    let count = checked_uses(request.count.unwrap_or(1), MOST_CODES)?;
    let expires_at = checked_end(request.expires_at, LIFETIME, now)?;
    let label = checked_text("label", request.label.as_deref().unwrap_or_default())?;
    let random: String = context.entropy.uuid().simple().to_string().chars().take(8).collect();
    let batch = format!("c-{random}");
    let url = context.config().devices.url.clone();
    let mut codes = Vec::new();
    let mut kept = Vec::new();
    for number in 1..=count {
        let ticket = Ticket::new_code(&context.entropy);
        let reference = format!("{batch}-{number:02}");
        let profile = new(reference.clone(), ProfileKind::Code, &batch, &label, 1, expires_at);
        kept.push((profile, ticket.challenge_hash()));
        let address = format!("{url}/enrol?code={}", ticket.grouped());
        codes.push(EnrolCodeView { reference, code: ticket.grouped(), url: address });
    }
    keep(context, kept, who, "enrolment codes made", format!("{count} codes {batch}")).await?;
    let organisation = super::organisation(context);
    let fingerprints = tickets::trust_fingerprints(context);
    Ok(EnrolCodesView { batch, label, organisation, page: format!("{url}/enrol"), fingerprints, expires_at, codes })
}

/// Makes a link that gives the profile to whoever fetches it, for so many devices.
pub async fn link(context: &Shared, request: EnrolCodesRequest, who: &str) -> Result<EnrolLinkView, OperationError> {
    ready(context)?;
    let count = checked_uses(request.count.unwrap_or(1), MOST_USES)?;
    let expires_at = checked_end(request.expires_at, LIFETIME, context.clock.now())?;
    let label = checked_text("label", request.label.as_deref().unwrap_or_default())?;
    let ticket = Ticket::new_long(&context.entropy);
    let reference = format!("l-{}", context.entropy.uuid().simple());
    let profile = new(reference.clone(), ProfileKind::Link, "", &label, count, expires_at);
    let what = format!("{reference} for {count}");
    keep(context, vec![(profile, ticket.challenge_hash())], who, "enrolment link made", what).await?;
    let url = format!("{}/enrol/{}/profile.mobileconfig", context.config().devices.url, ticket.expose());
    Ok(EnrolLinkView { reference, label, url, count, expires_at })
}

fn new(
    reference: String,
    kind: ProfileKind,
    batch: &str,
    label: &str,
    uses: u32,
    expires_at: jiff::Timestamp,
) -> Profile {
    Profile {
        id: 0,
        reference,
        serial: None,
        uses,
        uses_left: uses,
        expires_at,
        kind,
        batch: batch.to_owned(),
        label: label.to_owned(),
        person: None,
        revoked_at: None,
    }
}

async fn keep(
    context: &Shared,
    profiles: Vec<(Profile, [u8; 32])>,
    who: &str,
    action: &'static str,
    what: String,
) -> Result<(), OperationError> {
    let (now, who, url) = (context.clock.now(), who.to_owned(), context.config().devices.url.clone());
    let write = context.store.write(move |w| -> Result<(), StoreError> {
        for (profile, hash) in &profiles {
            enrolments::add_profile(w, profile, hash, now, &who)?;
        }
        appliance::fix_device_url(w, &url)?;
        audit::write(w, now, &who, action, &what)
    });
    Ok(write.await?)
}

/// Everything with which devices can enrol or could a while ago, the newest first. No secret is among it.
pub async fn list(context: &Shared) -> Result<Vec<EnrolmentView>, OperationError> {
    let now = context.clock.now();
    let all = context.store.read(enrolments::all).await?;
    Ok(all.into_iter().map(|made| view(made, now)).collect())
}

fn view(made: enrolments::Made, now: jiff::Timestamp) -> EnrolmentView {
    let profile = made.profile;
    let state = match &profile {
        profile if profile.revoked_at.is_some() => EnrolmentState::Revoked,
        profile if profile.uses_left == 0 => EnrolmentState::Used,
        profile if profile.expires_at <= now => EnrolmentState::Expired,
        _ => EnrolmentState::Open,
    };
    let kind = match profile.kind {
        ProfileKind::File => "profile",
        ProfileKind::Code => "code",
        ProfileKind::Link => "link",
        ProfileKind::Person => "person",
    };
    EnrolmentView {
        reference: profile.reference,
        kind: kind.to_owned(),
        batch: profile.batch,
        label: profile.label,
        serial: profile.serial,
        state,
        uses: profile.uses,
        used: profile.uses.saturating_sub(profile.uses_left),
        expires_at: profile.expires_at,
        created_at: made.created_at,
        created_by: made.created_by,
    }
}

/// Withdraws a profile, a link, a code or all codes of a batch: no further device enrols with it. Those that have, stay.
pub async fn revoke(context: &Shared, name: String, who: &str) -> Result<EnrolRevokedView, OperationError> {
    let (now, who) = (context.clock.now(), who.to_owned());
    let write = context.store.write(move |w| -> Result<EnrolRevokedView, OperationError> {
        let (known, revoked) = enrolments::revoke(w, &name, now)?;
        if known == 0 {
            let shown: String = name.chars().take(80).collect();
            return Err(OperationError::not_found(
                format!("there is no enrolment \"{shown}\""),
                "`vppd enrol list` shows them all.",
            ));
        }
        if revoked > 0 {
            audit::write(w, now, &who, "enrolment withdrawn", &format!("{name}: {revoked} of {known}"))?;
        }
        Ok(EnrolRevokedView { name, revoked })
    });
    write.await
}
