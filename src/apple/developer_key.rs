//! A customer's own developer key, with which the metadata service for organisations may be asked. Apple: Generating
//! Developer Tokens. The key signs short-lived tokens (JWT, ES256); it never leaves this machine.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;
use secrecy::SecretString;
use serde_json::json;

use crate::clock::after;

/// How long a token is valid. Apple allows half a year; a stolen one should not last.
const VALID: Duration = Duration::from_secs(12 * 3600);
/// A token that ends within this time is not used any more.
const SPARE: Duration = Duration::from_secs(3600);

/// The key, with the names under which Apple knows it.
pub struct DeveloperKey {
    key: EcdsaKeyPair,
    key_id: String,
    team_id: String,
    token: Mutex<Option<(SecretString, Timestamp)>>,
}

/// Why a key cannot be used. Never quotes it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeveloperKeyError {
    #[error("it is not a private key in PEM (PKCS #8): use the file AuthKey_….p8 as it was downloaded from Apple")]
    NotPem,
    #[error("it is not a key on the curve P-256, as all developer keys are")]
    NotP256,
}

impl DeveloperKey {
    /// Reads the text of a `.p8` file.
    pub fn from_pem(pem: &[u8], key_id: &str, team_id: &str) -> Result<DeveloperKey, DeveloperKeyError> {
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem).map_err(|_| DeveloperKeyError::NotPem)?;
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der.secret_pkcs8_der());
        let key = key.map_err(|_| DeveloperKeyError::NotP256)?;
        Ok(DeveloperKey { key, key_id: key_id.into(), team_id: team_id.into(), token: Mutex::default() })
    }

    /// A token that is valid at `now`; `None` if the crypto library fails.
    pub fn token(&self, now: Timestamp) -> Option<SecretString> {
        let mut kept = self.token.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((token, made)) = &*kept
            && *made <= now
            && now < after(*made, VALID - SPARE)
        {
            return Some(token.clone());
        }
        let token = SecretString::from(self.sign(now)?);
        *kept = Some((token.clone(), now));
        Some(token)
    }

    /// Apple did not take the token: the next one is new.
    pub fn forget_token(&self) {
        *self.token.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn sign(&self, now: Timestamp) -> Option<String> {
        let part = |json: serde_json::Value| URL_SAFE_NO_PAD.encode(json.to_string());
        let header = part(json!({"alg": "ES256", "kid": self.key_id, "typ": "JWT"}));
        let (issued, expires) = (now.as_second(), after(now, VALID).as_second());
        let claims = part(json!({"iss": self.team_id, "iat": issued, "exp": expires}));
        let signed = format!("{header}.{claims}");
        let signature = self.key.sign(&SystemRandom::new(), signed.as_bytes()).ok()?;
        Some(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, KeyPair, UnparsedPublicKey};
    use secrecy::ExposeSecret;

    fn key() -> DeveloperKey {
        let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        DeveloperKey::from_pem(pair.serialize_pem().as_bytes(), "2X9R4HXF34", "57246542CJ").unwrap()
    }

    fn json(part: &str) -> serde_json::Value {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
    }

    #[test]
    fn a_token_names_key_and_team_and_is_signed() {
        let (key, now) = (key(), "2026-11-02T06:00:00Z".parse().unwrap());
        let token = key.token(now).unwrap();
        let parts: Vec<&str> = token.expose_secret().split('.').collect();
        assert_eq!((&json(parts[0])["alg"], &json(parts[0])["kid"]), (&"ES256".into(), &"2X9R4HXF34".into()));
        let claims = json(parts[1]);
        assert_eq!((&claims["iss"], &claims["iat"]), (&"57246542CJ".into(), &now.as_second().into()));
        assert_eq!(claims["exp"].as_i64().unwrap() - now.as_second(), 12 * 3600);
        let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key.key.public_key().as_ref());
        let signature = URL_SAFE_NO_PAD.decode(parts[2]).unwrap();
        public.verify(format!("{}.{}", parts[0], parts[1]).as_bytes(), &signature).unwrap();
    }

    #[test]
    fn a_token_is_used_until_shortly_before_its_end_or_until_it_is_turned_down() {
        let (key, now): (_, Timestamp) = (key(), "2026-11-02T06:00:00Z".parse().unwrap());
        let text = |now| key.token(now).unwrap().expose_secret().to_owned();
        let first = text(now);
        assert_eq!(text(after(now, Duration::from_secs(10 * 3600))), first);
        let second = text(after(now, Duration::from_secs(11 * 3600)));
        assert_ne!(second, first);
        assert_ne!(text(now), second, "the clock was put back before the token was made");
        let third = text(now);
        key.forget_token();
        assert_ne!(text(now), third);
    }

    #[test]
    fn what_is_no_such_key_is_told_apart() {
        let read = |pem: &str| DeveloperKey::from_pem(pem.as_bytes(), "a", "b").err();
        assert_eq!(read("not a key"), Some(DeveloperKeyError::NotPem));
        let other = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
        assert_eq!(read(&other.serialize_pem()), Some(DeveloperKeyError::NotP256));
    }
}
