//! The profile that enrols a device, or renews its identity: our root certificates, an identity by SCEP or ACME, and the
//! management itself.
//!
//! Pure: all ids, addresses and secrets are given. Whoever gives the profile away signs it or not. The identifiers are
//! derived from the host name and must stay the same for ever, because a renewed profile replaces the old one by them.

use plist::{Dictionary, Value};
use secrecy::{ExposeSecret, SecretString};
use uuid::Uuid;

use super::wire::{dictionary, texts, xml};

/// What the profile may do on the device: inspect and install profiles (1, 2), device information (16), inspect apps
/// (256), settings (2048, for the organisation's name in prompts), manage apps (4096). Can never be extended without a
/// new enrolment.
pub const ACCESS_RIGHTS: u64 = 1 + 2 + 16 + 256 + 2048 + 4096;

/// Content type of a profile.
pub const CONTENT_TYPE: &str = "application/x-apple-aspen-config";

/// Both signing and encryption.
const KEY_USAGE: u64 = 5;
/// `UsageFlags` of an ACME payload.
const SIGNING: u64 = 1;
const CLIENT_AUTHENTICATION: &str = "1.3.6.1.5.5.7.3.2";

/// A root certificate which the device shall trust.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Anchor {
    pub der: Vec<u8>,
    pub uuid: Uuid,
}

/// Everything that differs between enrolments and appliances. Debug does not show the challenge.
#[derive(Debug, Clone)]
pub struct EnrolmentProfile {
    /// DNS name of the appliance; gives the identifiers of the payloads.
    pub host: String,
    pub organisation: String,
    /// What the device shows as the profile's name.
    pub display_name: String,
    /// What the device shows below it.
    pub description: String,
    /// The subject's UID of the push certificate.
    pub topic: String,
    pub server_url: String,
    pub check_in_url: String,
    /// The device signs each message; otherwise its TLS client certificate must do.
    pub sign_message: bool,
    /// What the device may be told to do. A renewal may take rights away, and give none.
    pub access_rights: u64,
    pub source: IdentitySource,
    pub anchors: Vec<Anchor>,
    /// Common name of the identity: a random reference to this enrolment.
    pub reference: String,
    /// One-time secret that entitles to the identity.
    pub challenge: SecretString,
    pub profile_uuid: Uuid,
    pub identity_uuid: Uuid,
    pub management_uuid: Uuid,
}

/// Where the device gets its identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IdentitySource {
    Scep {
        url: String,
        /// What the device names when it asks for the authority's certificate.
        authority: String,
        /// SHA-256 of that certificate.
        ca_fingerprint: [u8; 32],
    },
    /// The key is made in the device's secure hardware, which attests it.
    Acme { directory_url: String },
}

impl EnrolmentProfile {
    /// The unsigned profile as XML. Contains the challenge: not for logs.
    pub fn encode(&self) -> Vec<u8> {
        let mut profile = self.payload("Configuration", "", self.profile_uuid);
        profile.extend([
            ("PayloadDisplayName".to_owned(), Value::from(self.display_name.as_str())),
            ("PayloadDescription".to_owned(), Value::from(self.description.as_str())),
            ("PayloadOrganization".to_owned(), Value::from(self.organisation.as_str())),
            ("PayloadScope".to_owned(), Value::from("System")),
            ("PayloadContent".to_owned(), Value::Array(self.payloads())),
        ]);
        xml(profile)
    }

    /// Certificates come first: the others need them.
    fn payloads(&self) -> Vec<Value> {
        let anchors = self.anchors.iter().zip(1..).map(|(anchor, number)| self.anchor(anchor, number));
        anchors.chain([self.identity(), self.management()]).map(Value::Dictionary).collect()
    }

    fn anchor(&self, anchor: &Anchor, number: usize) -> Dictionary {
        root(&identifier(&self.host), &self.organisation, anchor, number)
    }

    fn identity(&self) -> Dictionary {
        match &self.source {
            IdentitySource::Scep { url, authority, ca_fingerprint } => self.scep(url, authority, ca_fingerprint),
            IdentitySource::Acme { directory_url } => self.acme(directory_url),
        }
    }

    fn acme(&self, directory_url: &str) -> Dictionary {
        let mut payload = self.payload("com.apple.security.acme", ".identity", self.identity_uuid);
        payload.extend(dictionary([
            ("DirectoryURL", directory_url.into()),
            ("ClientIdentifier", self.challenge.expose_secret().into()),
            ("KeyType", "ECSECPrimeRandom".into()),
            ("KeySize", 384u64.into()),
            ("HardwareBound", true.into()),
            ("Attest", true.into()),
            ("Subject", self.subject()),
            ("ExtendedKeyUsage", texts([CLIENT_AUTHENTICATION])),
            ("UsageFlags", SIGNING.into()),
        ]));
        payload
    }

    fn subject(&self) -> Value {
        Value::Array(vec![rdn("O", &self.organisation), rdn("CN", &self.reference)])
    }

    fn scep(&self, url: &str, authority: &str, ca_fingerprint: &[u8; 32]) -> Dictionary {
        let mut payload = self.payload("com.apple.security.scep", ".identity", self.identity_uuid);
        let content = dictionary([
            ("URL", url.into()),
            ("Name", authority.into()),
            ("Subject", self.subject()),
            ("Challenge", self.challenge.expose_secret().into()),
            ("Keysize", 2048u64.into()),
            ("Key Type", "RSA".into()),
            ("Key Usage", KEY_USAGE.into()),
            ("CAFingerprint", Value::Data(ca_fingerprint.to_vec())),
            ("Retries", 3u64.into()),
            ("RetryDelay", 10u64.into()),
            ("KeyIsExtractable", false.into()),
        ]);
        payload.insert("PayloadContent".into(), Value::Dictionary(content));
        payload
    }

    fn management(&self) -> Dictionary {
        let mut payload = self.payload("com.apple.mdm", ".mdm", self.management_uuid);
        payload.extend(dictionary([
            ("IdentityCertificateUUID", upper(self.identity_uuid)),
            ("Topic", self.topic.as_str().into()),
            ("ServerURL", self.server_url.as_str().into()),
            ("CheckInURL", self.check_in_url.as_str().into()),
            ("AccessRights", self.access_rights.into()),
            ("SignMessage", self.sign_message.into()),
            ("CheckOutWhenRemoved", true.into()),
            ("ServerCapabilities", texts(["com.apple.mdm.per-user-connections"])),
        ]));
        payload
    }

    fn payload(&self, kind: &str, suffix: &str, uuid: Uuid) -> Dictionary {
        payload(kind, format!("{}{suffix}", identifier(&self.host)), uuid)
    }
}

/// The unsigned profile that makes a device trust these roots and does nothing else, for who meets the server before it
/// enrols. Its identifiers are not those of the enrolment, which brings its roots itself and must not replace it.
pub fn trust_profile(host: &str, organisation: &str, anchors: &[Anchor], uuid: Uuid) -> Vec<u8> {
    let identifier = format!("{}.vppd.trust", reversed(host));
    let roots = anchors.iter().zip(1..).map(|(anchor, number)| root(&identifier, organisation, anchor, number));
    let roots = roots.map(Value::Dictionary).collect();
    let mut profile = payload("Configuration", identifier.clone(), uuid);
    let description = "Lets this device recognise the organisation's server. It does not manage the device.";
    profile.extend([
        ("PayloadDisplayName".to_owned(), format!("{organisation} certificate").into()),
        ("PayloadDescription".to_owned(), description.into()),
        ("PayloadOrganization".to_owned(), organisation.into()),
        ("PayloadScope".to_owned(), "System".into()),
        ("PayloadContent".to_owned(), Value::Array(roots)),
    ]);
    xml(profile)
}

fn root(identifier: &str, organisation: &str, anchor: &Anchor, number: usize) -> Dictionary {
    let mut payload = payload("com.apple.security.root", format!("{identifier}.root{number}"), anchor.uuid);
    payload.insert("PayloadDisplayName".into(), format!("{organisation} root certificate").into());
    payload.insert("PayloadContent".into(), Value::Data(anchor.der.clone()));
    payload
}

fn payload(kind: &str, identifier: String, uuid: Uuid) -> Dictionary {
    dictionary([
        ("PayloadType", kind.into()),
        ("PayloadVersion", 1u64.into()),
        ("PayloadIdentifier", identifier.into()),
        ("PayloadUUID", upper(uuid)),
    ])
}

/// `mdm.northwind.example` becomes `example.northwind.mdm.vppd.enrolment`.
pub fn identifier(host: &str) -> String {
    format!("{}.vppd.enrolment", reversed(host))
}

fn reversed(host: &str) -> String {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    host.rsplit('.').collect::<Vec<_>>().join(".")
}

fn upper(uuid: Uuid) -> Value {
    Value::String(uuid.to_string().to_ascii_uppercase())
}

/// One relative distinguished name in the way of Apple's SCEP payload: a list of pairs.
fn rdn(name: &str, value: &str) -> Value {
    Value::Array(vec![texts([name, value])])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile() -> EnrolmentProfile {
        EnrolmentProfile {
            host: "MDM.Fjord.example".into(),
            organisation: "Fjord & Sons".into(),
            display_name: "Fjord device management".into(),
            description: "Installs the apps of Fjord.".into(),
            topic: "com.apple.mgmt.External.11112222-3333-4444-5555-666677778888".into(),
            server_url: "https://mdm.fjord.example/mdm".into(),
            check_in_url: "https://mdm.fjord.example/checkin".into(),
            sign_message: true,
            access_rights: ACCESS_RIGHTS,
            source: IdentitySource::Scep {
                url: "https://mdm.fjord.example/scep".into(),
                authority: "vppd".into(),
                ca_fingerprint: [7; 32],
            },
            anchors: vec![Anchor { der: vec![0x30, 0x82], uuid: Uuid::from_u128(1) }],
            reference: "e-40c1f2".into(),
            challenge: SecretString::from("one-time-challenge"),
            profile_uuid: Uuid::from_u128(0xabc),
            identity_uuid: Uuid::from_u128(2),
            management_uuid: Uuid::from_u128(3),
        }
    }

    #[test]
    fn the_profile_is_as_apple_describes_it() {
        let xml = String::from_utf8(profile().encode()).unwrap();
        let lines: String = xml.lines().map(str::trim).collect();
        let expected: String = include_str!("profile/golden.mobileconfig").lines().map(str::trim).collect();
        assert_eq!(lines, expected);
    }

    #[test]
    fn section_4_5_an_identity_by_acme_is_bound_to_the_hardware_and_attested() {
        let directory_url = "https://mdm.fjord.example/acme/directory".to_owned();
        let profile = EnrolmentProfile { source: IdentitySource::Acme { directory_url }, ..profile() };
        let list = crate::mdm::plist_guard::read_dictionary(&profile.encode(), 1 << 20).unwrap();
        let payloads = list.get("PayloadContent").and_then(Value::as_array).unwrap();
        let payload = payloads[1].as_dictionary().unwrap();
        let text = |key: &str| payload.get(key).and_then(Value::as_string);
        assert_eq!(text("PayloadType"), Some("com.apple.security.acme"));
        assert_eq!(text("DirectoryURL"), Some("https://mdm.fjord.example/acme/directory"));
        assert_eq!(text("ClientIdentifier"), Some("one-time-challenge"));
        assert_eq!(text("KeyType"), Some("ECSECPrimeRandom"));
        for key in ["HardwareBound", "Attest"] {
            assert_eq!(payload.get(key).and_then(Value::as_boolean), Some(true), "{key}");
        }
        assert!(payloads[2].as_dictionary().unwrap()["IdentityCertificateUUID"] == payload["PayloadUUID"]);
    }

    #[test]
    fn the_rights_are_those_that_were_decided() {
        assert_eq!(ACCESS_RIGHTS, 6419);
    }

    #[test]
    fn identifiers_stay_the_same_for_the_same_host() {
        assert_eq!(identifier("mdm.fjord.example."), "example.fjord.mdm.vppd.enrolment");
        assert_eq!(identifier("localhost"), "localhost.vppd.enrolment");
    }

    #[test]
    fn the_profile_for_trust_holds_roots_only_and_does_not_replace_an_enrolment() {
        let anchors = [Anchor { der: vec![0x30, 0x82], uuid: Uuid::from_u128(1) }];
        let bytes = trust_profile("mdm.fjord.example", "Fjord & Sons", &anchors, Uuid::from_u128(2));
        let list = crate::mdm::plist_guard::read_dictionary(&bytes, 1 << 20).unwrap();
        assert_eq!(list.get("PayloadIdentifier").and_then(Value::as_string), Some("example.fjord.mdm.vppd.trust"));
        let payloads = list.get("PayloadContent").and_then(Value::as_array).unwrap();
        assert_eq!(payloads.len(), 1);
        let root = payloads[0].as_dictionary().unwrap();
        assert_eq!(root.get("PayloadType").and_then(Value::as_string), Some("com.apple.security.root"));
        assert_eq!(root.get("PayloadContent").and_then(Value::as_data), Some(&[0x30, 0x82][..]));
    }

    #[test]
    fn the_challenge_is_not_shown_by_debug() {
        assert!(!format!("{:?}", profile()).contains("one-time-challenge"));
    }

    #[test]
    fn every_anchor_gets_its_own_payload_before_the_identity() {
        let mut two = profile();
        two.anchors.push(Anchor { der: vec![0x30], uuid: Uuid::from_u128(9) });
        let list = crate::mdm::plist_guard::read_dictionary(&two.encode(), 1 << 20).unwrap();
        let payloads = list.get("PayloadContent").and_then(Value::as_array).unwrap();
        let text = |payload: &Value, key: &str| payload.as_dictionary()?.get(key)?.as_string().map(str::to_owned);
        let kinds: Vec<_> = payloads.iter().filter_map(|payload| text(payload, "PayloadType")).collect();
        let root = "com.apple.security.root";
        assert_eq!(kinds, [root, root, "com.apple.security.scep", "com.apple.mdm"]);
        let ids: std::collections::HashSet<_> = payloads.iter().map(|p| text(p, "PayloadIdentifier")).collect();
        assert_eq!(ids.len(), 4);
    }
}
