//! Tickets: a code, the secret of a link, or what somebody gets who has signed in. Whoever shows one gets a profile.
//!
//! Nothing of a ticket is kept but what is kept of every profile: the hash of its challenge. The challenge is made from the
//! ticket, so that the same ticket gives the same challenge again, as often as somebody fetches the profile before a device
//! has used it.

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret, SecretString};

use super::{calls, closed, encode, hash, organisation, ready};
use crate::clock::after;
use crate::config::AcmeUse;
use crate::entropy::Entropy;
use crate::mdm::identity::profile_signature::sign_profile;
use crate::mdm::profile::{Anchor, trust_profile};
use crate::operations::{OperationError, Shared};
use crate::store::enrolments::{self, Profile, ProfileKind};
use crate::store::persons::{self, Person};
use crate::store::{StoreError, appliance, audit, identities};

/// Letters and digits of codes: none that looks like another.
const LETTERS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
/// 60 bits.
const CODE_LENGTH: usize = 12;

/// Something that entitles to a profile. Debug does not show it.
#[derive(Debug, Clone)]
pub struct Ticket(SecretString);

impl Ticket {
    /// As somebody typed it or as an address has it. Codes are read with or without hyphens, in any case of letters.
    pub fn read(text: &str) -> Ticket {
        let text = text.trim();
        let typed: String = text.chars().filter(|c| !matches!(c, '-' | ' ')).collect();
        let typed = typed.to_ascii_uppercase().replace('O', "0").replace(['I', 'L'], "1");
        let is_code = typed.len() == CODE_LENGTH && typed.bytes().all(|letter| LETTERS.contains(&letter));
        Ticket(if is_code { typed } else { text.to_owned() }.into())
    }

    /// A new code.
    pub(super) fn new_code(entropy: &Entropy) -> Ticket {
        let letter = |byte: u8| char::from(LETTERS[usize::from(byte) % LETTERS.len()]);
        Ticket(entropy.bytes::<CODE_LENGTH>().map(letter).iter().collect::<String>().into())
    }

    /// A new one that nobody has to type.
    pub(super) fn new_long(entropy: &Entropy) -> Ticket {
        Ticket(entropy.secret_text().into())
    }

    /// As it stands in an address. Whoever has it can enrol.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// A code as people read it: in groups of four.
    pub fn grouped(&self) -> String {
        let letters: Vec<char> = self.expose().chars().collect();
        letters.chunks(4).map(|group| group.iter().collect::<String>()).collect::<Vec<_>>().join("-")
    }

    fn challenge(&self) -> SecretString {
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"vppd: challenge of an enrolment ticket");
        URL_SAFE_NO_PAD.encode(hmac::sign(&key, self.expose().as_bytes())).into()
    }

    pub(super) fn challenge_hash(&self) -> [u8; 32] {
        hash(self.challenge().expose_secret().as_bytes())
    }
}

/// What a ticket is worth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It gives a profile; what the person is called who signed in for it, if somebody did.
    Good { person: Option<String> },
    /// It was given out, and is used up, over or withdrawn.
    Spent,
    /// Never given out.
    Unknown,
}

/// Looks at a ticket without using it.
pub async fn look(context: &Shared, ticket: &Ticket) -> Result<Standing, OperationError> {
    let (hash, now) = (ticket.challenge_hash(), context.clock.now());
    let read = context.store.read(move |c| -> Result<Standing, OperationError> {
        let Some(profile) = enrolments::profile_by_challenge(c, &hash)? else { return Ok(Standing::Unknown) };
        if closed(c, &profile, now)?.is_some() {
            return Ok(Standing::Spent);
        }
        let person = profile.person.map(|id| persons::by_id(c, id)).transpose()?.flatten();
        let called = person.map(|person| if person.name.is_empty() { person.email } else { person.name });
        Ok(Standing::Good { person: called })
    });
    read.await
}

/// The profile for a ticket that still gives one. The ticket is used up when a device fetches its identity, not before.
pub async fn profile(context: &Shared, ticket: &Ticket) -> Result<Option<Vec<u8>>, OperationError> {
    let (hash, now) = (ticket.challenge_hash(), context.clock.now());
    let read = context.store.read(move |c| -> Result<Option<Profile>, OperationError> {
        let Some(profile) = enrolments::profile_by_challenge(c, &hash)? else { return Ok(None) };
        Ok(closed(c, &profile, now)?.is_none().then_some(profile))
    });
    let Some(profile) = read.await? else { return Ok(None) };
    let push = ready(context)?;
    let calls = calls(context, &profile.reference);
    let always = context.config().identity.acme.usage == AcmeUse::Always;
    let (bytes, _) = encode(context, &profile.reference, ticket.challenge(), push.topic(), &calls, always)?;
    let url = context.config().devices.url.clone();
    let kept = context.store.write(move |w| -> Result<(), StoreError> {
        identities::keep_calls(w, profile.id, &calls)?;
        appliance::fix_device_url(w, &url)
    });
    kept.await?;
    Ok(Some(bytes))
}

/// A ticket for one device of a person who has signed in.
pub async fn for_person(context: &Shared, person: &Person) -> Result<Ticket, OperationError> {
    ready(context)?;
    let (ticket, now) = (Ticket::new_long(&context.entropy), context.clock.now());
    let profile = Profile {
        id: 0,
        reference: format!("p-{}", context.entropy.uuid().simple()),
        serial: None,
        uses: 1,
        uses_left: 1,
        expires_at: after(now, context.config().enrolment.profile_lifetime),
        kind: ProfileKind::Person,
        batch: String::new(),
        label: person.email.clone(),
        person: Some(person.id),
        revoked_at: None,
    };
    let (hash, who) = (ticket.challenge_hash(), person.email.clone());
    context
        .store
        .write(move |w| -> Result<(), StoreError> {
            enrolments::add_profile(w, &profile, &hash, now, &who)?;
            audit::write(w, now, &who, "signed in to enrol", &profile.reference)
        })
        .await?;
    log::info!("{} has signed in to enrol a device", person.email);
    Ok(ticket)
}

/// The certificates that devices must trust to reach the device listener, as a profile of their own; `None` when a public
/// authority signed its certificate, so that nobody has to trust anything.
pub fn trust(context: &Shared) -> Result<Option<Vec<u8>>, OperationError> {
    let anchors = context.keys.anchors.load();
    if anchors.is_empty() {
        return Ok(None);
    }
    let anchors: Vec<Anchor> =
        anchors.iter().map(|der| Anchor { der: der.clone(), uuid: context.entropy.uuid() }).collect();
    let config = context.config();
    let plain = trust_profile(config.devices.host(), &organisation(context), &anchors, context.entropy.uuid());
    Ok(Some(match config.enrolment.sign_profiles {
        true => sign_profile(&plain, &context.keys.devices.signer(context.clock.now()))?,
        false => plain,
    }))
}

/// SHA-256 of these certificates as devices show it, to be compared with paper.
pub fn trust_fingerprints(context: &Shared) -> Vec<String> {
    let shown = |der: &Vec<u8>| hash(der).map(|byte| format!("{byte:02X}")).join(" ");
    context.keys.anchors.load().iter().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_the_same_however_it_is_typed_and_other_tickets_are_left_alone() {
        let code = Ticket::new_code(&Entropy::seeded(3));
        assert_eq!(code.expose().len(), CODE_LENGTH);
        let shown = code.grouped();
        assert_eq!(shown.len(), 14);
        for typed in [shown.clone(), shown.to_lowercase(), format!(" {} ", shown.replace('-', " "))] {
            assert_eq!(Ticket::read(&typed).expose(), code.expose());
        }
        assert_eq!(Ticket::read("oIl0-oIl0-oIl0").expose(), "011001100110");
        let long = Ticket::new_long(&Entropy::seeded(3));
        assert_eq!(Ticket::read(long.expose()).expose(), long.expose());
        assert!(!format!("{code:?}").contains(code.expose()));
    }

    #[test]
    fn the_challenge_comes_from_the_ticket_and_does_not_show_it() {
        let (one, other) = (Ticket::read("ABCDEFGHJKMN"), Ticket::read("ABCDEFGHJKMP"));
        assert_eq!(one.challenge_hash(), Ticket::read("abcd-efgh-jkmn").challenge_hash());
        assert_ne!(one.challenge_hash(), other.challenge_hash());
        assert!(!one.challenge().expose_secret().contains("ABCD"));
        assert_eq!(one.challenge().expose_secret().len(), 43);
    }
}
