//! ACME, the other way to an identity: the device's secure hardware makes the key and attests it. An order is entitled by the
//! secret of a profile, as a SCEP request is, and each step is on disk before it is answered.

use jiff::Timestamp;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::{OperationError, Shared, enrol};
use crate::config::AcmeUse;
use crate::mdm::identity::acme::attestation::{self, Attested};
use crate::mdm::identity::acme::jws::Jwk;
use crate::mdm::identity::acme::{IDENTIFIER, ability};
use crate::mdm::identity::authority::certificate_pem;
use crate::mdm::identity::scep::CertificateRequest;
use crate::store::acme::{self, Order, OrderState};
use crate::store::devices::Device;
use crate::store::identities::{self, IdentityKind};
use crate::store::{StoreError, devices, enrolments};

/// Orders for one profile beyond the certificates that it entitles to.
const MORE_ORDERS: u32 = 20;

/// Why somebody does not get what he asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The error type of RFC 8555, without its prefix.
    pub kind: &'static str,
    pub detail: String,
}

impl Problem {
    fn new(kind: &'static str, detail: impl Into<String>) -> Problem {
        Problem { kind, detail: detail.into() }
    }
}

type Answer<T> = Result<Result<T, Problem>, OperationError>;

/// Whether anybody may ask at all.
pub fn is_on(context: &Shared) -> bool {
    context.config().identity.acme.usage != AcmeUse::Never
}

/// Whether the profile of a device lets it ask by ACME: the settings want it, and its model and system can.
pub(super) fn is_for(context: &Shared, device: &Device) -> bool {
    let settings = &context.config().identity.acme;
    match settings.usage {
        AcmeUse::Never => false,
        AcmeUse::Always => true,
        AcmeUse::Able => {
            !device.user_enrolment && is_able(context, &device.facts.product_name, &device.facts.os_version)
        }
    }
}

/// Whether a device of this model and system changes over by itself.
pub(super) fn is_able(context: &Shared, product_name: &str, os_version: &str) -> bool {
    let settings = &context.config().identity.acme;
    settings.usage == AcmeUse::Able && ability::is_able(&settings.models, product_name, os_version)
}

/// The account of a key; true when it is new.
pub async fn account(context: &Shared, key: &Jwk) -> Result<(String, bool), OperationError> {
    let (id, json, now) = (key.thumbprint(), key.json(), context.clock.now());
    let named = id.clone();
    let new = context.store.write(move |w| acme::add_account(w, &named, &json, now)).await?;
    Ok((id, new))
}

/// The account of a key, if it has one.
pub async fn known_account(context: &Shared, key: &Jwk) -> Result<Option<String>, OperationError> {
    let id = key.thumbprint();
    let named = id.clone();
    Ok(context.store.read(move |c| acme::account(c, &named)).await?.map(|_| id))
}

/// The key of an account.
pub async fn key(context: &Shared, account: String) -> Result<Option<Jwk>, OperationError> {
    let json = context.store.read(move |c| acme::account(c, &account)).await?;
    Ok(json.as_deref().and_then(Jwk::from_json))
}

/// A new order for the identifiers (type and value) that are named.
pub async fn order(context: &Shared, account: String, identifiers: &[(String, String)]) -> Answer<Order> {
    let refused = |why: &str| Ok(Err(Problem::new("rejectedIdentifier", why)));
    let [(kind, value)] = identifiers else { return refused("an order is for exactly one identifier") };
    if kind != IDENTIFIER {
        return refused("the identifier must be of the type permanent-identifier");
    }
    let (now, identifier) = (context.clock.now(), enrol::hash(value.as_bytes()));
    let (id, token) = (context.entropy.uuid().simple().to_string(), context.entropy.secret_text());
    context
        .store
        .write(move |w| -> Answer<Order> {
            let Some(profile) = enrolments::profile_by_challenge(w, &identifier)? else {
                return refused("this identifier was never given out");
            };
            if let Some(why) = enrol::closed(w, &profile, now)? {
                return refused(why);
            }
            if acme::count(w, profile.id)? >= profile.uses.saturating_add(MORE_ORDERS) {
                return refused("there are too many orders for this profile");
            }
            let order = Order {
                id,
                account,
                profile: profile.id,
                identifier,
                token,
                state: OrderState::Pending,
                attested_key: None,
                certificate: None,
                problem: String::new(),
                made_at: now,
            };
            acme::add_order(w, &order)?;
            Ok(Ok(order))
        })
        .await
}

/// The order of an account with this id.
pub async fn look(context: &Shared, account: String, id: String) -> Answer<Order> {
    let found = context.store.read(move |c| acme::order(c, &account, &id)).await?;
    Ok(found.ok_or_else(|| Problem::new("malformed", "there is no such order of this account")))
}

/// The device brings what its hardware says.
pub async fn attest(context: &Shared, account: String, id: String, object: &[u8]) -> Answer<Order> {
    let order = match look(context, account.clone(), id.clone()).await? {
        Ok(order) => order,
        Err(problem) => return Ok(Err(problem)),
    };
    if order.state != OrderState::Pending {
        return Ok(Ok(order));
    }
    let roots = roots(context)?;
    let now = context.clock.now();
    let attested = attestation::verify(object, &order.token, &roots, now).map_err(|error| error.to_string());
    let kept = id.clone();
    context
        .store
        .write(move |w| -> Result<(), StoreError> {
            let verdict = match attested {
                Ok(attested) => agrees(w, &order, &attested)?.map_or(Ok(attested), Err),
                Err(why) => Err(why),
            };
            match verdict {
                Ok(attested) => {
                    if let Some(serial) = &attested.serial {
                        acme::bind(w, order.profile, serial)?;
                    }
                    acme::attested(w, &kept, &enrol::hash(&attested.spki_der))
                }
                Err(why) => {
                    log::warn!("an attestation is not accepted: {why}");
                    acme::fail(w, &kept, &why)
                }
            }
        })
        .await?;
    look(context, account, id).await
}

/// Why an attestation is of another device than the one that the order is for.
fn agrees(connection: &rusqlite::Connection, order: &Order, attested: &Attested) -> Result<Option<String>, StoreError> {
    let serial = enrolments::profile(connection, order.profile)?.and_then(|profile| profile.serial);
    let renewed = match identities::renews(connection, order.profile)? {
        Some(device) => devices::by_id(connection, device)?,
        None => None,
    };
    if let Some(serial) = serial
        && attested.serial.as_ref() != Some(&serial)
    {
        return Ok(Some(format!(
            "the profile is for serial number {serial}, and the attestation names another one or none"
        )));
    }
    if let Some(device) = renewed
        && attested.udid.as_ref().is_some_and(|udid| *udid != device.udid)
    {
        return Ok(Some(format!("the profile is for device {}, and the attestation names another one", device.udid)));
    }
    Ok(None)
}

/// The certificates (DER) at which an attestation may end.
fn roots(context: &Shared) -> Result<Vec<Vec<u8>>, OperationError> {
    let config = context.config();
    let Some(path) = &config.identity.acme.attestation_root else { return Ok(Vec::new()) };
    let unreadable = || {
        OperationError::internal(format!("[identity.acme] attestation-root, {}, holds no certificates", path.display()))
    };
    let pem = std::fs::read(path).map_err(|_| unreadable())?;
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    Ok(all.map_err(|_| unreadable())?.into_iter().map(|der| der.to_vec()).collect())
}

/// The device asks for its certificate, with a request over the attested key.
pub async fn finalize(context: &Shared, account: String, id: String, csr: &[u8]) -> Answer<Order> {
    let order = match look(context, account.clone(), id.clone()).await? {
        Ok(order) => order,
        Err(problem) => return Ok(Err(problem)),
    };
    let attested = match (order.state, order.attested_key) {
        (OrderState::Valid, _) => return Ok(Ok(order)),
        (OrderState::Ready, Some(attested)) => attested,
        _ => return Ok(Err(Problem::new("orderNotReady", "the attestation has not been accepted"))),
    };
    let request = match CertificateRequest::parse_of_hardware(csr) {
        Ok(request) => request,
        Err(error) => return Ok(Err(Problem::new("badCSR", error.to_string()))),
    };
    if enrol::hash(&request.spki_der) != attested {
        return Ok(Err(Problem::new("badCSR", "the request is for another key than the one that was attested")));
    }
    let authority = context.keys.devices.present();
    let issued = enrol::issue(context, &authority, order.identifier, &request.spki_der, IdentityKind::Acme).await?;
    let kept = id.clone();
    context
        .store
        .write(move |w| match issued {
            Ok(certificate) => acme::issued(w, &kept, &certificate),
            Err(why) => {
                log::warn!("a certificate request was refused: {why}");
                acme::fail(w, &kept, why)
            }
        })
        .await?;
    look(context, account, id).await
}

/// A certificate as PEM, with that of the authority.
pub fn chain(context: &Shared, certificate: &[u8]) -> String {
    // The one that issued it: another may have taken over since.
    let all = context.keys.devices.all();
    let (now, whole) = (context.clock.now(), std::time::Duration::MAX);
    let issuer = all.iter().find(|authority| authority.verify_issued(certificate, now, whole).is_ok());
    let issuer = issuer.map(|authority| certificate_pem(authority.certificate_der()));
    certificate_pem(certificate) + &issuer.unwrap_or_default()
}

/// When an order is worth nothing any more.
pub fn expires(order: &Order) -> Timestamp {
    crate::clock::after(order.made_at, std::time::Duration::from_secs(24 * 3600))
}
