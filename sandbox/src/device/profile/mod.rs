//! An enrolment profile, read as a device reads it: the payloads a device installs, checked against Apple's schema
//! (device-management, profiles), unknown keys refused. A signed profile is unwrapped; who signed it is not asked.
//!
//! Does not enrol. Secrets of the profile (the challenge) never appear in errors or `Debug`.

use std::io::Cursor;

use plist::{Dictionary, Value};

use crate::device::ber;
use crate::device::cms::{CmsError, Signed};
use crate::device::strict::{self, Kind, Mismatch, Rule, optional, required};

/// Why a device refuses a profile.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    #[error("the profile is neither a property list nor a signed one: {0}")]
    Unreadable(plist::Error),
    #[error("the signed profile {0}")]
    Signature(#[from] CmsError),
    #[error("the profile is signed, but detached: it contains no profile")]
    Detached,
    #[error("in the payload {payload}: {problem}")]
    Schema { payload: String, problem: Mismatch },
    #[error("in the payload {payload}: {key} {problem}")]
    Value { payload: String, key: &'static str, problem: &'static str },
    #[error("the profile has {found} payloads of type {kind}; exactly one is needed")]
    Count { kind: &'static str, found: usize },
    #[error("IdentityCertificateUUID does not name an identity payload of this profile")]
    Identity,
    #[error("two payloads have the same PayloadUUID")]
    DuplicateUuid,
}

/// What a device needs of an enrolment profile.
#[derive(Debug, Clone, PartialEq)]
pub struct Profile {
    pub identifier: String,
    pub uuid: String,
    pub display_name: Option<String>,
    /// The certificate (DER) of whoever signed it; `None` for a plain one.
    pub signer: Option<Vec<u8>>,
    /// Types of all payloads in the order of the profile.
    pub payload_types: Vec<String>,
    /// Certificates (DER) of root and pkcs1 payloads.
    pub anchors: Vec<Vec<u8>>,
    /// `None` in a profile that does not enrol.
    pub enrolment: Option<Enrolment>,
}

/// The MDM payload together with the identity it refers to.
#[derive(Debug, Clone, PartialEq)]
pub struct Enrolment {
    pub mdm: Mdm,
    pub scep: Scep,
}

/// `com.apple.mdm`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mdm {
    pub topic: String,
    pub server_url: String,
    /// `ServerURL` if the profile names none.
    pub check_in_url: String,
    pub access_rights: u16,
    pub sign_message: bool,
    pub check_out_when_removed: bool,
}

/// `com.apple.security.scep`.
#[derive(Clone, PartialEq, Eq)]
pub struct Scep {
    pub url: String,
    pub name: Option<String>,
    /// Pairs of OID content and text.
    pub subject: Vec<(Vec<u8>, String)>,
    pub challenge: Option<String>,
    pub key_usage: u8,
    pub ca_fingerprint: Option<Vec<u8>>,
    /// DNS name asked for in subjectAltName.
    pub dns_name: Option<String>,
}

impl std::fmt::Debug for Scep {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scep").field("url", &self.url).field("name", &self.name).finish_non_exhaustive()
    }
}

const COMMON: &[Rule] = &[
    required("PayloadType", Kind::String),
    required("PayloadVersion", Kind::Integer),
    required("PayloadIdentifier", Kind::String),
    required("PayloadUUID", Kind::String),
    optional("PayloadDisplayName", Kind::String),
    optional("PayloadDescription", Kind::String),
    optional("PayloadOrganization", Kind::String),
];
const TOP: &[Rule] = &[
    required("PayloadContent", Kind::Array),
    optional("ConsentText", Kind::Dictionary),
    optional("PayloadRemovalDisallowed", Kind::Boolean),
    optional("PayloadScope", Kind::String),
    optional("PayloadExpirationDate", Kind::Date),
    optional("RemovalDate", Kind::Date),
    optional("DurationUntilRemoval", Kind::Integer),
    optional("TargetDeviceType", Kind::Integer),
];
const CERTIFICATE: &[Rule] =
    &[required("PayloadContent", Kind::Data), optional("PayloadCertificateFileName", Kind::String)];
const SCEP: &[Rule] = &[required("PayloadContent", Kind::Dictionary)];
const SCEP_INNER: &[Rule] = &[
    required("URL", Kind::String),
    optional("Name", Kind::String),
    optional("Subject", Kind::Array),
    optional("Challenge", Kind::String),
    optional("Keysize", Kind::Integer),
    optional("Key Type", Kind::String),
    optional("Key Usage", Kind::Integer),
    optional("CAFingerprint", Kind::Data),
    optional("Retries", Kind::Integer),
    optional("RetryDelay", Kind::Integer),
    optional("SubjectAltName", Kind::Dictionary),
    optional("KeyIsExtractable", Kind::Boolean),
    optional("AllowAllAppsAccess", Kind::Boolean),
];
const ALTERNATIVE_NAME: &[Rule] = &[
    optional("rfc822Name", Kind::String),
    optional("dNSName", Kind::String),
    optional("uniformResourceIdentifier", Kind::String),
    optional("ntPrincipalName", Kind::String),
];
const MDM: &[Rule] = &[
    required("IdentityCertificateUUID", Kind::String),
    required("Topic", Kind::String),
    required("ServerURL", Kind::String),
    optional("CheckInURL", Kind::String),
    optional("SignMessage", Kind::Boolean),
    required("AccessRights", Kind::Integer),
    optional("CheckOutWhenRemoved", Kind::Boolean),
    optional("ServerCapabilities", Kind::StringArray),
    optional("UseDevelopmentAPNS", Kind::Boolean),
    optional("ServerURLPinningCertificateUUIDs", Kind::StringArray),
    optional("CheckInURLPinningCertificateUUIDs", Kind::StringArray),
    optional("PinningRevocationCheckRequired", Kind::Boolean),
    optional("RequiredAppIDForMDM", Kind::Integer),
    optional("PromptUserToAllowBootstrapTokenForAuthentication", Kind::Boolean),
];

const SCEP_TYPE: &str = "com.apple.security.scep";
const MDM_TYPE: &str = "com.apple.mdm";

impl Profile {
    /// Reads a profile, plain or signed.
    pub fn read(bytes: &[u8]) -> Result<Profile, ProfileError> {
        if bytes.first() != Some(&ber::SEQUENCE) {
            return read_plain(bytes, None);
        }
        let message = Signed::read(bytes)?;
        let content = message.content.ok_or(ProfileError::Detached)?;
        read_plain(&content, message.certificates.into_iter().next())
    }
}

fn read_plain(bytes: &[u8], signer: Option<Vec<u8>>) -> Result<Profile, ProfileError> {
    let value = Value::from_reader(Cursor::new(bytes)).map_err(ProfileError::Unreadable)?;
    let top = Payload::new(value.as_dictionary().cloned().unwrap_or_default());
    top.check(&[COMMON, TOP])?;
    if top.text("PayloadType") != "Configuration" {
        return Err(top.wrong("PayloadType", "is not Configuration"));
    }
    let payloads: Vec<Payload> = match top.0.get("PayloadContent").and_then(Value::as_array) {
        Some(all) => all.iter().map(|one| Payload::new(one.as_dictionary().cloned().unwrap_or_default())).collect(),
        None => Vec::new(),
    };
    check_uuids(&payloads)?;
    Ok(Profile {
        identifier: top.text("PayloadIdentifier"),
        uuid: top.text("PayloadUUID"),
        display_name: top.maybe_text("PayloadDisplayName"),
        signer,
        payload_types: payloads.iter().map(|payload| payload.text("PayloadType")).collect(),
        anchors: anchors(&payloads)?,
        enrolment: enrolment(&payloads)?,
    })
}

fn check_uuids(payloads: &[Payload]) -> Result<(), ProfileError> {
    let mut seen = std::collections::HashSet::new();
    match payloads.iter().all(|payload| seen.insert(payload.text("PayloadUUID"))) {
        true => Ok(()),
        false => Err(ProfileError::DuplicateUuid),
    }
}

fn anchors(payloads: &[Payload]) -> Result<Vec<Vec<u8>>, ProfileError> {
    let kinds = ["com.apple.security.root", "com.apple.security.pkcs1"];
    let certificates = payloads.iter().filter(|payload| kinds.contains(&payload.text("PayloadType").as_str()));
    certificates
        .map(|payload| {
            payload.check(&[COMMON, CERTIFICATE])?;
            let der = payload.data("PayloadContent").unwrap_or_default();
            match crate::device::certificate::Facts::of(&der) {
                Some(_) => Ok(der),
                None => Err(payload.wrong("PayloadContent", "is not one certificate in DER")),
            }
        })
        .collect()
}

fn enrolment(payloads: &[Payload]) -> Result<Option<Enrolment>, ProfileError> {
    let of_type =
        |kind: &str| payloads.iter().filter(|payload| payload.text("PayloadType") == kind).collect::<Vec<_>>();
    let (mdm, identities) = (of_type(MDM_TYPE), of_type(SCEP_TYPE));
    let payload = match mdm.as_slice() {
        [] => return Ok(None),
        [payload] => payload,
        more => return Err(ProfileError::Count { kind: MDM_TYPE, found: more.len() }),
    };
    let mdm = read_mdm(payload)?;
    let wanted = payload.text("IdentityCertificateUUID");
    let identity = identities.iter().find(|identity| identity.text("PayloadUUID") == wanted);
    let scep = read_scep(identity.ok_or(ProfileError::Identity)?)?;
    Ok(Some(Enrolment { mdm, scep }))
}

fn read_mdm(payload: &Payload) -> Result<Mdm, ProfileError> {
    payload.check(&[COMMON, MDM])?;
    let server_url = payload.text("ServerURL");
    let check_in_url = payload.maybe_text("CheckInURL").unwrap_or_else(|| server_url.clone());
    for (key, url) in [("ServerURL", &server_url), ("CheckInURL", &check_in_url)] {
        if !url.starts_with("https://") || url.parse::<hyper::Uri>().is_err() {
            return Err(payload.wrong(key, "is not an https URL"));
        }
    }
    if !payload.text("Topic").starts_with("com.apple.mgmt.") {
        return Err(payload.wrong("Topic", "does not begin with com.apple.mgmt."));
    }
    let access_rights = match payload.integer("AccessRights").map(u16::try_from) {
        Some(Ok(rights @ 1..=8191)) => rights,
        _ => return Err(payload.wrong("AccessRights", "is not between 1 and 8191")),
    };
    if (access_rights & 2 != 0 && access_rights & 1 == 0) || (access_rights & 128 != 0 && access_rights & 64 == 0) {
        return Err(payload.wrong("AccessRights", "allows to change what it does not allow to inspect"));
    }
    Ok(Mdm {
        topic: payload.text("Topic"),
        server_url,
        check_in_url,
        access_rights,
        sign_message: payload.flag("SignMessage"),
        check_out_when_removed: payload.flag("CheckOutWhenRemoved"),
    })
}

fn read_scep(payload: &Payload) -> Result<Scep, ProfileError> {
    payload.check(&[COMMON, SCEP])?;
    let inner = payload.0.get("PayloadContent").and_then(Value::as_dictionary).cloned().unwrap_or_default();
    let inner = Payload(inner, payload.1.clone());
    inner.check(&[SCEP_INNER])?;
    let url = inner.text("URL");
    if !(url.starts_with("https://") || url.starts_with("http://")) || url.parse::<hyper::Uri>().is_err() {
        return Err(inner.wrong("URL", "is not an http or https URL"));
    }
    if inner.maybe_text("Key Type").is_some_and(|kind| kind != "RSA") {
        return Err(inner.wrong("Key Type", "is not RSA"));
    }
    // The default of 1024 bits is refused by every server of today, so it is a mistake in the profile.
    if inner.integer("Keysize") != Some(2048) {
        return Err(inner.wrong("Keysize", "is not 2048, the only size this sandbox makes"));
    }
    let key_usage = match inner.integer("Key Usage").unwrap_or(0) {
        usage @ (0 | 1 | 4 | 5) => usage as u8,
        _ => return Err(inner.wrong("Key Usage", "is not 0, 1, 4 or 5")),
    };
    let ca_fingerprint = inner.data("CAFingerprint");
    if ca_fingerprint.as_ref().is_some_and(|print| ![16, 20, 28, 32, 48, 64].contains(&print.len())) {
        return Err(inner.wrong("CAFingerprint", "has the length of no digest"));
    }
    let names = inner.0.get("SubjectAltName").and_then(Value::as_dictionary).cloned().unwrap_or_default();
    let names = Payload(names, inner.1.clone());
    names.check(&[ALTERNATIVE_NAME])?;
    Ok(Scep {
        url,
        name: inner.maybe_text("Name"),
        subject: subject(&inner)?,
        challenge: inner.maybe_text("Challenge"),
        key_usage,
        ca_fingerprint,
        dns_name: names.maybe_text("dNSName"),
    })
}

/// `Subject`: an array of relative names, each an array of pairs of OID (or its short name) and text.
fn subject(inner: &Payload) -> Result<Vec<(Vec<u8>, String)>, ProfileError> {
    let wrong = || inner.wrong("Subject", "is not an array of arrays of [OID or short name, text]");
    let mut out = Vec::new();
    let all = inner.0.get("Subject").and_then(Value::as_array).cloned().unwrap_or_default();
    for pair in all.iter().map(Value::as_array).flat_map(|relative| relative.cloned().unwrap_or(vec![Value::from("")]))
    {
        let [kind, value] = pair.as_array().map(Vec::as_slice).unwrap_or_default() else { return Err(wrong()) };
        let kind = kind.as_string().and_then(attribute_oid).ok_or_else(wrong)?;
        out.push((kind, value.as_string().ok_or_else(wrong)?.to_owned()));
    }
    Ok(out)
}

fn attribute_oid(name: &str) -> Option<Vec<u8>> {
    let last = match name {
        "CN" => 3,
        "C" => 6,
        "L" => 7,
        "ST" => 8,
        "O" => 10,
        "OU" => 11,
        dotted => return ber::oid(dotted),
    };
    Some(vec![0x55, 4, last])
}

/// A payload and the name that errors call it by.
struct Payload(Dictionary, String);

impl Payload {
    fn new(dictionary: Dictionary) -> Payload {
        let name = dictionary.get("PayloadType").and_then(Value::as_string).unwrap_or("(without PayloadType)");
        let name = name.to_owned();
        Payload(dictionary, name)
    }

    fn check(&self, schemas: &[&[Rule]]) -> Result<(), ProfileError> {
        strict::check(&self.0, schemas).map_err(|problem| ProfileError::Schema { payload: self.1.clone(), problem })
    }

    fn wrong(&self, key: &'static str, problem: &'static str) -> ProfileError {
        ProfileError::Value { payload: self.1.clone(), key, problem }
    }

    fn maybe_text(&self, key: &str) -> Option<String> {
        self.0.get(key).and_then(Value::as_string).map(str::to_owned)
    }

    fn text(&self, key: &str) -> String {
        self.maybe_text(key).unwrap_or_default()
    }

    fn integer(&self, key: &str) -> Option<i64> {
        self.0.get(key).and_then(Value::as_signed_integer)
    }

    fn flag(&self, key: &str) -> bool {
        self.0.get(key).and_then(Value::as_boolean).unwrap_or(false)
    }

    fn data(&self, key: &str) -> Option<Vec<u8>> {
        self.0.get(key).and_then(Value::as_data).map(<[u8]>::to_vec)
    }
}

#[cfg(test)]
mod tests;
