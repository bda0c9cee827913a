//! The authority of device identities: RSA, so that SCEP's clients can encrypt to it and Apple's accept it.

use aws_lc_rs::rsa::{Pkcs1PrivateDecryptingKey, PrivateDecryptingKey};
use jiff::Timestamp;
use rcgen::{ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, PublicKeyData, RsaKeySize};
use secrecy::SecretString;
use x509_parser::certificate::X509Certificate;

use super::AuthorityError;
use super::root::{LONGEST_NAME, Root, issue, params};
use crate::entropy::Entropy;
use crate::mdm::identity::certificate;
use crate::mdm::identity::cms::wire::{self, Signed};
use crate::mdm::identity::cms::{Digest, Recipient, Signatory, verify_raw};

/// The authority that gives devices their identities, signs profiles and SCEP answers, and opens SCEP requests.
pub struct DeviceAuthority {
    root: Root,
    decryption: Pkcs1PrivateDecryptingKey,
}

/// Whom a device certificate names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentitySubject {
    /// The enrolment's random reference; becomes the common name. 1 to 64 characters.
    pub reference: String,
    /// The customer's name; empty leaves it out.
    pub organisation: String,
}

/// What a certificate of this authority proves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuedIdentity {
    /// The enrolment's reference.
    pub reference: String,
    /// SHA-256 over the DER certificate.
    pub fingerprint: [u8; 32],
    /// As given to [`DeviceAuthority::issue`].
    pub serial: [u8; 16],
    /// End of validity.
    pub not_after: Timestamp,
    /// Ended, but within the grace: good for renewing and nothing else.
    pub expired: bool,
}

impl DeviceAuthority {
    /// Makes a new authority: RSA of 3072 bits, 15 years, backdated by a day. Takes up to seconds.
    pub fn generate(organisation: &str, now: Timestamp, entropy: &Entropy) -> Result<DeviceAuthority, AuthorityError> {
        let key = KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_3072)
            .map_err(|_| AuthorityError::Key("device authority"))?;
        let usages = vec![
            KeyUsagePurpose::KeyCertSign,
            KeyUsagePurpose::CrlSign,
            KeyUsagePurpose::DigitalSignature,
            KeyUsagePurpose::KeyEncipherment,
        ];
        let name = format!("{organisation} device authority");
        DeviceAuthority::new(Root::generate(name.trim(), organisation, usages, entropy.bytes(), key, now)?)
    }

    /// From what [`DeviceAuthority::to_pem`] gave.
    pub fn from_pem(certificate: &str, key: &SecretString) -> Result<DeviceAuthority, AuthorityError> {
        DeviceAuthority::new(Root::from_pem(certificate, key)?)
    }

    fn new(root: Root) -> Result<DeviceAuthority, AuthorityError> {
        const KEY: AuthorityError = AuthorityError::Unusable("key of the device authority");
        let key = root.issuer.key();
        if key.algorithm() != &rcgen::PKCS_RSA_SHA256 {
            return Err(KEY);
        }
        let decryption = PrivateDecryptingKey::from_pkcs8(key.serialized_der()).map_err(|_| KEY)?;
        let decryption = Pkcs1PrivateDecryptingKey::new(decryption).map_err(|_| KEY)?;
        Ok(DeviceAuthority { root, decryption })
    }

    /// Certificate, and private key (PKCS#8).
    pub fn to_pem(&self) -> (String, SecretString) {
        self.root.to_pem()
    }

    /// For GetCACert and the root payload of the enrolment profile.
    pub fn certificate_der(&self) -> &[u8] {
        &self.root.certificate
    }

    /// When it ends, and with it everything that it has issued.
    pub fn not_after(&self) -> Timestamp {
        certificate::not_after(&self.root.certificate).unwrap_or(Timestamp::MIN)
    }

    /// SHA-256 over the certificate (SCEP payload: `CAFingerprint`).
    pub fn fingerprint(&self) -> [u8; 32] {
        certificate::fingerprint(&self.root.certificate)
    }

    /// Issues an identity over a public key (DER SubjectPublicKeyInfo, RSA or EC), returning the certificate in DER.
    ///
    /// For TLS client authentication, digitalSignature and, with RSA, keyEncipherment. Nothing else of the request is taken over.
    pub fn issue(
        &self,
        spki_der: &[u8],
        subject: &IdentitySubject,
        serial: [u8; 16],
        not_before: Timestamp,
        not_after: Timestamp,
    ) -> Result<Vec<u8>, AuthorityError> {
        if !(1..=LONGEST_NAME).contains(&subject.reference.chars().count()) {
            return Err(AuthorityError::Issue(format!("the reference must have 1 to {LONGEST_NAME} characters")));
        }
        let key = rcgen::SubjectPublicKeyInfo::from_der(spki_der).map_err(issue)?;
        let mut params = params(&subject.organisation, &subject.reference, not_before, not_after);
        params.serial_number = Some(serial.to_vec().into());
        // "Explicit" also writes the subject key identifier.
        params.is_ca = IsCa::ExplicitNoCa;
        // EC keys only sign.
        params.key_usages = match key.algorithm() == &rcgen::PKCS_RSA_SHA256 {
            true => vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment],
            false => vec![KeyUsagePurpose::DigitalSignature],
        };
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        Ok(params.signed_by(&key, &self.root.issuer).map_err(issue)?.der().to_vec())
    }

    /// Verifies that this authority issued a certificate to a device, and that it is valid at `now`.
    ///
    /// A certificate that ended at most `grace` ago comes back with `expired` set. Revocation is for the caller.
    pub fn verify_issued(
        &self,
        certificate_der: &[u8],
        now: Timestamp,
        grace: std::time::Duration,
    ) -> Result<IssuedIdentity, AuthorityError> {
        let certificate = self.own(certificate_der)?;
        let second = |time: i64| Timestamp::from_second(time).map_err(|_| AuthorityError::Foreign("its dates"));
        let not_before = second(certificate.validity().not_before.timestamp())?;
        let not_after = second(certificate.validity().not_after.timestamp())?;
        if now < not_before || now > crate::clock::after(not_after, grace) {
            return Err(AuthorityError::OutOfTime { not_after });
        }
        let reference = certificate.subject().iter_common_name().next().and_then(|name| name.as_str().ok());
        Ok(IssuedIdentity {
            reference: reference.ok_or(AuthorityError::Foreign("it names no enrolment"))?.to_owned(),
            fingerprint: certificate::fingerprint(certificate_der),
            serial: serial(certificate.raw_serial()).ok_or(AuthorityError::Foreign("its serial number"))?,
            not_after,
            expired: now > not_after,
        })
    }

    /// Reads a certificate that this authority issued to a device, at whatever time.
    pub(in crate::mdm::identity) fn own<'a>(&self, der: &'a [u8]) -> Result<X509Certificate<'a>, AuthorityError> {
        let certificate = certificate::parse(der).ok_or(AuthorityError::Foreign("it cannot be read"))?;
        self.check_signature(der, &certificate)?;
        check_usage(&certificate)?;
        Ok(certificate)
    }

    fn check_signature(&self, der: &[u8], certificate: &X509Certificate<'_>) -> Result<(), AuthorityError> {
        const FOREIGN: AuthorityError = AuthorityError::Foreign("another authority signed it");
        let root = certificate::parse(&self.root.certificate)
            .ok_or(AuthorityError::Unusable("certificate of the device authority"))?;
        let parts: Signed = wire::decode(der, "certificate").map_err(|_| FOREIGN)?;
        // The outer algorithm is not signed: were it not compared, one identity could have many fingerprints. And what
        // one parser reads must be what the other verifies.
        if certificate.issuer().as_raw() != root.subject().as_raw()
            || certificate.signature_algorithm != certificate.tbs_certificate.signature
            || certificate.tbs_certificate.as_ref() != parts.to_be_signed.as_bytes()
        {
            return Err(FOREIGN);
        }
        verify_raw(
            root.public_key(),
            Some(Digest::Sha256),
            &parts.algorithm,
            parts.to_be_signed.as_bytes(),
            parts.signature().ok_or(FOREIGN)?,
        )
        .map_err(|_| FOREIGN)
    }

    pub(in crate::mdm::identity) fn signatory(&self) -> Signatory<'_> {
        Signatory { certificate: &self.root.certificate, key: self.root.issuer.key() }
    }

    pub(in crate::mdm::identity) fn recipient(&self) -> Recipient<'_> {
        Recipient { certificate: &self.root.certificate, key: &self.decryption }
    }
}

fn check_usage(certificate: &X509Certificate<'_>) -> Result<(), AuthorityError> {
    let usage = certificate.key_usage().ok().flatten();
    let extended = certificate.extended_key_usage().ok().flatten();
    if certificate.is_ca() {
        Err(AuthorityError::Foreign("it is an authority's"))
    } else if !usage.is_some_and(|usage| usage.value.digital_signature()) {
        Err(AuthorityError::Foreign("it is not for signing"))
    } else if !extended.is_some_and(|usage| usage.value.client_auth) {
        Err(AuthorityError::Foreign("it is not for clients"))
    } else {
        Ok(())
    }
}

/// The 16 bytes behind DER's shortest form.
fn serial(raw: &[u8]) -> Option<[u8; 16]> {
    let raw = if raw.len() == 17 { raw.strip_prefix(&[0])? } else { raw };
    let mut serial = [0; 16];
    serial.get_mut(16usize.checked_sub(raw.len())?..)?.copy_from_slice(raw);
    Some(serial)
}
