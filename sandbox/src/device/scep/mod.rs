//! The SCEP client of a device: capabilities, CA certificate, request, certificate. As Apple's published client does it,
//! and strict about what the server answers.
//!
//! Knows nothing of MDM. The challenge appears in no error.

mod message;

pub use message::{PkiRequest, RequestStyle, certificate_request, read_certificate_reply};

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::{Method, StatusCode};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::certificate::Facts;
use super::cms::{CmsError, ContentCipher, Digest, Signed, Style};
use super::http::{Identity, Reply, Request, SendError, Session};
use super::keys::{Key, KeyError};
use super::profile::Scep;
use crate::chance::Chance;
use crate::clock::Clock;

/// Why a device got no certificate.
#[derive(Debug, thiserror::Error)]
pub enum ScepError {
    #[error("{step}: {source}")]
    Send { step: &'static str, source: SendError },
    #[error("{step}: the server answered with status {status}")]
    Status { step: &'static str, status: StatusCode },
    #[error("{step}: the content type is {found:?}; a device wants it to be exactly {wanted}")]
    ContentType { step: &'static str, wanted: &'static str, found: Option<String> },
    #[error("GetCACaps offers no AES, and this client has no 3DES")]
    NoAes,
    #[error("GetCACert: the answer is not a certificate of an RSA key that a device can use: {0}")]
    Authority(&'static str),
    #[error("GetCACert: the certificate does not have the CAFingerprint of the profile")]
    Fingerprint,
    #[error("the answer to PKIOperation {0}")]
    Message(#[from] CmsError),
    #[error("the answer to PKIOperation has a missing or wrong {0}")]
    Attribute(&'static str),
    #[error("the server refused the request: failInfo {0:?}")]
    Refused(FailInfo),
    #[error("the server wants to be asked again later (PENDING), which this client does not do")]
    Pending,
    #[error("no certificate in the answer is for the device's key")]
    OtherKey,
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// failInfo of RFC 8894.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailInfo {
    BadAlg,
    BadMessageCheck,
    BadRequest,
    BadTime,
    BadCertId,
    /// Missing or another number.
    Other,
}

/// What GetCACaps offers, as Apple's client reads it: lines that end with a line feed and nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capabilities {
    pub post: bool,
    pub digest: Digest,
    pub aes: bool,
}

impl Capabilities {
    /// Reads the reply's body.
    pub fn read(body: &[u8]) -> Capabilities {
        let has = |word: &str| body.split(|byte| *byte == b'\n').any(|line| line == word.as_bytes());
        let digest = match (has("SHA-512"), has("SHA-256")) {
            (true, _) => Digest::Sha512,
            (false, true) => Digest::Sha256,
            (false, false) => Digest::Sha1,
        };
        Capabilities { post: has("POSTPKIOperation"), digest, aes: has("AES") }
    }
}

/// The certificates of the server: whom to encrypt to, and who must sign. One and the same without an RA.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authority {
    pub recipient: Vec<u8>,
    pub signer: Vec<u8>,
}

impl Authority {
    /// Reads the reply of GetCACert and checks the fingerprint of the profile.
    pub fn read(reply: &Reply, fingerprint: Option<&[u8]>) -> Result<Authority, ScepError> {
        let certificates = match reply.content_type.as_deref() {
            Some("application/x-x509-ca-cert") => vec![reply.body.to_vec()],
            Some("application/x-x509-ca-ra-cert") => {
                Signed::read(&reply.body).map_err(|_| ScepError::Authority("not a certs-only message"))?.certificates
            }
            found => {
                let wanted = "application/x-x509-ca-cert (or -ca-ra-cert)";
                let found = found.map(str::to_owned);
                return Err(ScepError::ContentType { step: "GetCACert", wanted, found });
            }
        };
        if certificates.is_empty() || certificates.iter().any(|der| Facts::of(der).is_none()) {
            return Err(ScepError::Authority("not DER of one certificate"));
        }
        if fingerprint.is_some_and(|print| !certificates.iter().any(|der| matches_fingerprint(der, print))) {
            return Err(ScepError::Fingerprint);
        }
        if let [only] = certificates.as_slice() {
            return Ok(Authority { recipient: only.clone(), signer: only.clone() });
        }
        // An RA: its certificates are those that are no CA's.
        let wanted = |usage: fn(&Usage) -> bool| certificates.iter().find(|der| usage(&Usage::of(der))).cloned();
        let recipient = wanted(|usage| !usage.ca && usage.encipher);
        let signer = wanted(|usage| !usage.ca && usage.sign);
        match (recipient, signer) {
            (Some(recipient), Some(signer)) => Ok(Authority { recipient, signer }),
            _ => Err(ScepError::Authority("no RA certificates with digitalSignature and keyEncipherment")),
        }
    }
}

struct Usage {
    ca: bool,
    encipher: bool,
    sign: bool,
}

impl Usage {
    fn of(der: &[u8]) -> Usage {
        let none = Usage { ca: false, encipher: false, sign: false };
        let Ok((_, certificate)) = X509Certificate::from_der(der) else { return none };
        let usage = certificate.key_usage().ok().flatten().map(|extension| extension.value);
        Usage {
            ca: certificate.is_ca(),
            encipher: usage.is_none_or(|usage| usage.key_encipherment()),
            sign: usage.is_none_or(|usage| usage.digital_signature()),
        }
    }
}

/// The length of the fingerprint tells the digest.
fn matches_fingerprint(certificate: &[u8], print: &[u8]) -> bool {
    use aws_lc_rs::digest;
    let algorithm = match print.len() {
        20 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
        28 => &digest::SHA224,
        32 => &digest::SHA256,
        48 => &digest::SHA384,
        64 => &digest::SHA512,
        _ => return false,
    };
    digest::digest(algorithm, certificate).as_ref() == print
}

/// Switches of the client beside what the profile and the server say.
#[derive(Debug, Clone, Copy, Default)]
pub struct ScepBehaviour {
    /// DER instead of Apple's streamed BER.
    pub der: bool,
    /// challengePassword as UTF8String.
    pub challenge_as_utf8: bool,
    /// CSR attributes in DER order instead of Apple's.
    pub sorted_attributes: bool,
    /// Throws the first answer to PKIOperation away and sends the same request again.
    pub lose_reply: bool,
    /// An independent client of long ago: whatever the server offers, DER with single DES and SHA-1, and a POST that
    /// carries the message in its query string too.
    pub old_client: bool,
}

const ATTEMPTS: u32 = 4;
const RETRY_DELAY: Duration = Duration::from_secs(10);

/// Everything the client needs from its device.
pub struct Client<'a> {
    pub session: &'a dyn Session,
    pub clock: &'a Clock,
    pub behaviour: ScepBehaviour,
}

impl Client<'_> {
    /// Obtains a certificate for `key` as the profile says.
    pub async fn obtain(&self, scep: &Scep, key: Arc<Key>, chance: &mut Chance) -> Result<Identity, ScepError> {
        let caps = self.get(scep, "GetCACaps").await?;
        let caps = Capabilities::read(&caps.body);
        if !caps.aes {
            return Err(ScepError::NoAes);
        }
        let reply = self.get(scep, "GetCACert").await?;
        let authority = Authority::read(&reply, scep.ca_fingerprint.as_deref())?;
        let style = RequestStyle {
            cms: match self.behaviour.old_client {
                true => Style { streamed: false, digest: Digest::Sha1 },
                false => Style { streamed: !self.behaviour.der, digest: caps.digest },
            },
            cipher: if self.behaviour.old_client { ContentCipher::Des } else { ContentCipher::Aes128 },
            challenge_as_utf8: self.behaviour.challenge_as_utf8,
            sorted_attributes: self.behaviour.sorted_attributes,
        };
        let request = PkiRequest::new(scep, &key, &authority, chance, self.clock.now(), style)?;
        let reply = self.exchange(scep, &request, caps.post).await?;
        let certificate = read_certificate_reply(&reply, &request, &authority, &key)?;
        Ok(Identity { key, certificate })
    }

    async fn get(&self, scep: &Scep, step: &'static str) -> Result<Reply, ScepError> {
        let message = scep.name.as_deref().map(|name| format!("&message={}", percent(name))).unwrap_or_default();
        let url = format!("{}operation={step}{message}", with_query(&scep.url));
        self.send(step, Request { method: Method::GET, url, headers: Vec::new(), body: Vec::new() }).await
    }

    async fn exchange(&self, scep: &Scep, request: &PkiRequest, post: bool) -> Result<Vec<u8>, ScepError> {
        let step = "PKIOperation";
        let mut url = format!("{}operation={step}", with_query(&scep.url));
        let outgoing = if post && self.behaviour.old_client {
            url += "&message=";
            url.extend(request.message.iter().map(|byte| format!("%{byte:02X}")));
            let headers = vec![("content-type", "application/octet-stream".to_owned())];
            Request { method: Method::POST, url, headers, body: request.message.clone() }
        } else if post {
            let headers = vec![("content-type", "application/x-pki-message".to_owned())];
            Request { method: Method::POST, url, headers, body: request.message.clone() }
        } else {
            url += &format!("&message={}", percent(&STANDARD.encode(&request.message)));
            Request { method: Method::GET, url, headers: Vec::new(), body: Vec::new() }
        };
        let mut reply = self.send(step, outgoing.clone()).await?;
        if self.behaviour.lose_reply {
            reply = self.send(step, outgoing).await?;
        }
        match reply.content_type.as_deref() {
            Some("application/x-pki-message") => Ok(reply.body.to_vec()),
            found => {
                let found = found.map(str::to_owned);
                Err(ScepError::ContentType { step, wanted: "application/x-pki-message", found })
            }
        }
    }

    /// Sends, and sends the same again when there is no answer or the server is in trouble.
    async fn send(&self, step: &'static str, request: Request) -> Result<Reply, ScepError> {
        let mut attempt = 1;
        loop {
            let error = match self.session.send(request.clone()).await {
                Ok(reply) if reply.status == StatusCode::OK => return Ok(reply),
                Ok(reply) => ScepError::Status { step, status: reply.status },
                Err(source) => ScepError::Send { step, source },
            };
            let hopeless = matches!(&error, ScepError::Status { status, .. }
                if status.is_client_error() && *status != StatusCode::TOO_MANY_REQUESTS);
            if hopeless || attempt == ATTEMPTS {
                return Err(error);
            }
            attempt += 1;
            self.clock.sleep(RETRY_DELAY).await;
        }
    }
}

fn with_query(url: &str) -> String {
    format!("{url}{}", if url.contains('?') { '&' } else { '?' })
}

fn percent(text: &str) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~".contains(byte);
    text.bytes().map(|byte| if plain(&byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

#[cfg(test)]
mod tests;
