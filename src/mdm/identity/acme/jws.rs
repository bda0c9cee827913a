//! The signed messages of ACME (flattened JSON of RFC 7515) and the keys that sign them (RFC 7517), with ES256, ES384 and
//! RS256.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents,
    UnparsedPublicKey,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::AcmeError;

/// A message whose signature has not been looked at.
pub struct Message {
    /// What the signature is over.
    input: String,
    signature: Vec<u8>,
    pub header: Header,
    pub payload: Vec<u8>,
}

/// The protected header.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Header {
    pub alg: String,
    pub nonce: String,
    /// The address that the message is for.
    pub url: String,
    /// The account, by its address; or else `jwk`.
    pub kid: Option<String>,
    pub jwk: Option<Jwk>,
}

#[derive(Deserialize)]
struct Flattened {
    protected: String,
    payload: String,
    signature: String,
}

/// A public key. Members in the order of their names, as RFC 7638 wants them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Jwk {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    crv: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    e: Option<String>,
    kty: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    n: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    x: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    y: Option<String>,
}

impl Message {
    /// Takes a message apart.
    pub fn read(bytes: &[u8]) -> Result<Message, AcmeError> {
        let flattened: Flattened =
            serde_json::from_slice(bytes).map_err(|_| AcmeError::Message("it is not flattened JSON"))?;
        let decode =
            |text: &str| URL_SAFE_NO_PAD.decode(text).map_err(|_| AcmeError::Message("a part is no base64url"));
        let header = decode(&flattened.protected)?;
        let header: Header = serde_json::from_slice(&header)
            .map_err(|_| AcmeError::Message("its header lacks alg, nonce or url, or holds no key that is known"))?;
        if header.kid.is_some() == header.jwk.is_some() {
            return Err(AcmeError::Message("its header must have either kid or jwk"));
        }
        Ok(Message {
            signature: decode(&flattened.signature)?,
            payload: decode(&flattened.payload)?,
            input: format!("{}.{}", flattened.protected, flattened.payload),
            header,
        })
    }

    /// Verifies that `key` signed the message.
    pub fn verify(&self, key: &Jwk) -> Result<(), AcmeError> {
        key.verify(&self.header.alg, self.input.as_bytes(), &self.signature)
    }
}

impl Jwk {
    /// Reads what [`Jwk::json`] wrote.
    pub fn from_json(json: &str) -> Option<Jwk> {
        serde_json::from_str(json).ok()
    }

    /// The key with its required members only.
    pub fn json(&self) -> String {
        // A struct of texts can always be written.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Names the key (RFC 7638).
    pub fn thumbprint(&self) -> String {
        URL_SAFE_NO_PAD.encode(digest(&SHA256, self.json().as_bytes()))
    }

    fn verify(&self, algorithm: &str, message: &[u8], signature: &[u8]) -> Result<(), AcmeError> {
        let wrong = || AcmeError::Message("its key is none that fits its algorithm (ES256, ES384 or RS256)");
        let part = |text: &Option<String>| {
            text.as_ref().and_then(|text| URL_SAFE_NO_PAD.decode(text).ok()).filter(|part| !part.is_empty())
        };
        let verified = match (algorithm, self.kty.as_str(), self.crv.as_deref()) {
            ("ES256" | "ES384", "EC", Some(curve @ ("P-256" | "P-384"))) => {
                let size = if curve == "P-256" { 32 } else { 48 };
                if (algorithm == "ES256") != (curve == "P-256") {
                    return Err(wrong());
                }
                let (x, y) = part(&self.x).zip(part(&self.y)).ok_or_else(wrong)?;
                if x.len() != size || y.len() != size {
                    return Err(wrong());
                }
                let point = [&[4][..], &x, &y].concat();
                match algorithm {
                    "ES256" => UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(message, signature),
                    _ => UnparsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, point).verify(message, signature),
                }
            }
            ("RS256", "RSA", _) => {
                let (n, e) = part(&self.n).zip(part(&self.e)).ok_or_else(wrong)?;
                RsaPublicKeyComponents { n, e }.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature)
            }
            _ => return Err(wrong()),
        };
        verified.map_err(|_| AcmeError::Signature)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};

    fn key() -> (EcdsaKeyPair, Jwk) {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        let point = pair.public_key().as_ref().to_vec();
        let part = |range: std::ops::Range<usize>| Some(URL_SAFE_NO_PAD.encode(&point[range]));
        let jwk =
            Jwk { crv: Some("P-256".into()), e: None, kty: "EC".into(), n: None, x: part(1..33), y: part(33..65) };
        (pair, jwk)
    }

    fn signed(pair: &EcdsaKeyPair, header: &serde_json::Value, payload: &str) -> Vec<u8> {
        let protected = URL_SAFE_NO_PAD.encode(header.to_string());
        let payload = URL_SAFE_NO_PAD.encode(payload);
        let signature = pair.sign(&SystemRandom::new(), format!("{protected}.{payload}").as_bytes()).unwrap();
        let signature = URL_SAFE_NO_PAD.encode(signature);
        serde_json::json!({ "protected": protected, "payload": payload, "signature": signature }).to_string().into()
    }

    #[test]
    fn a_message_is_proved_by_the_key_in_it_and_by_no_other() {
        let ((pair, jwk), (_, other)) = (key(), key());
        let header = serde_json::json!({ "alg": "ES256", "nonce": "n", "url": "https://a/b", "jwk": jwk });
        let message = Message::read(&signed(&pair, &header, "{}")).unwrap();
        assert_eq!((message.payload.as_slice(), message.header.url.as_str()), (&b"{}"[..], "https://a/b"));
        message.verify(message.header.jwk.as_ref().unwrap()).unwrap();
        assert_eq!(message.verify(&other), Err(AcmeError::Signature));
        let wrong = serde_json::json!({ "alg": "none", "nonce": "n", "url": "u", "jwk": jwk });
        assert!(matches!(Message::read(&signed(&pair, &wrong, "")).unwrap().verify(&jwk), Err(AcmeError::Message(_))));
        let both = serde_json::json!({ "alg": "ES256", "nonce": "n", "url": "u", "jwk": jwk, "kid": "k" });
        let neither = serde_json::json!({ "alg": "ES256", "nonce": "n", "url": "u" });
        for header in [both, neither] {
            assert!(Message::read(&signed(&pair, &header, "")).is_err());
        }
        assert_eq!(Jwk::from_json(&jwk.json()), Some(jwk));
    }

    #[test]
    fn the_thumbprint_is_that_of_rfc_7638() {
        let jwk = Jwk::from_json(
            r#"{"kty":"RSA","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw","e":"AQAB","alg":"RS256","kid":"2011-04-29"}"#,
        );
        assert_eq!(jwk.unwrap().thumbprint(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    }
}
