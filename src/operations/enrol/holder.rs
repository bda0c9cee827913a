//! Whose a device is from its enrolment on. Somebody who signs in on a device has it in hand, which says more than what
//! anybody wrote down before; a device that is enrolled with a code or a link is nobody's, if it was somebody's only
//! because they had signed in on it.

use jiff::Timestamp;

use crate::model::{PersonId, Source};
use crate::store::device_notes::{self, Note};
use crate::store::enrolments::{self, Identity, ProfileKind};
use crate::store::{StoreError, Write, audit, persons};

/// Writes down whose the device with this serial number is, as it enrols with `identity`; `former` is the certificate that
/// it had until now.
pub(in crate::operations) fn hand_over(
    w: &Write<'_>,
    serial: &str,
    identity: &Identity,
    former: Option<&[u8; 32]>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let former = former.map(|former| enrolments::identity(w, former)).transpose()?.flatten();
    // With the profile that it has already a device renews its identity: nobody has taken it in hand.
    let renewed = former.as_ref().is_some_and(|former| former.profile == identity.profile);
    if renewed || serial.is_empty() {
        return Ok(());
    }
    let Some(profile) = enrolments::profile(w, identity.profile)? else { return Ok(()) };
    let note = device_notes::get(w, serial)?;
    let new = match (profile.kind, profile.person) {
        (ProfileKind::Person, Some(person)) => {
            Note { person: Some(person), person_source: Some(Source::Hand), ..note.clone() }
        }
        (ProfileKind::Code | ProfileKind::Link, _)
            if note.person.is_some() && signed_in(w, former.as_ref())? == note.person =>
        {
            Note { person: None, person_source: None, ..note.clone() }
        }
        _ => return Ok(()),
    };
    if new == note {
        return Ok(());
    }
    let name = |person| -> Result<String, StoreError> {
        let person = persons::by_id(w, person)?;
        Ok(person.map(|person| person.email).unwrap_or_default())
    };
    let before = note.person.map(name).transpose()?.unwrap_or_else(|| "nobody".to_owned());
    let after = new.person.map(name).transpose()?.unwrap_or_else(|| "nobody".to_owned());
    device_notes::put(w, &new)?;
    audit::write(w, now, &after, "device handed over", &format!("{serial}: from {before} to {after}"))?;
    if note.person.is_some() && note.person != new.person {
        let (serial, before, after) = (serial.to_owned(), before, after);
        w.after_commit(move || {
            log::info!(vppd_serial = serial.as_str(); "device {serial} was {before}'s, and is {after}'s now");
        });
    }
    Ok(())
}

/// Who had signed in for an identity.
fn signed_in(w: &Write<'_>, identity: Option<&Identity>) -> Result<Option<PersonId>, StoreError> {
    let Some(identity) = identity else { return Ok(None) };
    let profile = enrolments::profile(w, identity.profile)?;
    Ok(profile.filter(|profile| profile.kind == ProfileKind::Person).and_then(|profile| profile.person))
}
