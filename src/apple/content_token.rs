//! The content token of a location: the `.vpptoken` file that an administrator downloads from Apple Business or School
//! Manager. The file's text is the bearer token; decoded from Base64 it is JSON with an expiry date.
//!
//! Knows nothing of HTTP, of storage or of which location a token belongs to: that is in no token, only Apple tells.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use zeroize::Zeroizing;

use super::wire::parse_date;

/// Largest file looked at, in bytes. Real ones have a few hundred.
pub const MAX_FILE: usize = 64 * 1024;

/// A content token that has the right shape. Whether Apple still accepts it, only a call can tell.
#[derive(Clone)]
pub struct ContentToken {
    text: SecretString,
    expires_at: Timestamp,
    organisation: String,
    fingerprint: String,
}

/// Why a file is not a content token, and what to do about it. Never quotes the file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ContentTokenError {
    #[error("The file is empty. Download the content token again and upload the file as it is.")]
    Empty,
    #[error("The file has {0} bytes, far more than any content token. Upload the .vpptoken file itself.")]
    TooLarge(usize),
    #[error(
        "The file is not plain text. A .vpptoken file is one line of letters and digits; upload it as it was \
         downloaded, not opened and saved by another program."
    )]
    NotText,
    #[error(
        "This is a server token for Automated Device Enrolment (.p7m), not a content token. The content token is \
         under Payments and Billing, Apps and Books, Content Tokens, and its name ends in .vpptoken."
    )]
    ServerToken,
    #[error("This is a certificate or key (PEM), not a content token. Upload the file whose name ends in .vpptoken.")]
    Pem,
    #[error(
        "This is a web page, not a content token: the download was probably answered by a sign-in page. Sign in to \
         Apple's portal and download the content token again."
    )]
    WebPage,
    #[error(
        "This content token has been decoded already. Apple wants the text exactly as downloaded: upload the \
         original .vpptoken file."
    )]
    AlreadyDecoded,
    #[error(
        "The file is not a content token: it has characters that Base64 does not use. Upload the .vpptoken file as \
         it was downloaded."
    )]
    NotBase64,
    #[error("The content token is cut off: its end is missing. Download it again, or copy all of it.")]
    Truncated,
    #[error("The file decodes, but not to a content token. Upload the file whose name ends in .vpptoken.")]
    NotJson,
    #[error("The file decodes to JSON without a token in it. Download the content token again.")]
    TokenMissing,
    #[error("The content token does not say when it expires. Download it again.")]
    ExpiryMissing,
    #[error("The content token's expiry date cannot be read. Download it again.")]
    ExpiryUnreadable,
}

#[derive(Deserialize)]
struct Contents {
    token: Option<SecretString>,
    #[serde(rename = "expDate")]
    exp_date: Option<String>,
    #[serde(rename = "orgName")]
    org_name: Option<String>,
}

impl ContentToken {
    /// Reads the bytes of a `.vpptoken` file. Tolerates a byte order mark, white space, line breaks inside and quotes
    /// around the text. Does not look at the clock: an expired token is still a token.
    pub fn from_file(bytes: &[u8]) -> Result<ContentToken, ContentTokenError> {
        if bytes.len() > MAX_FILE {
            return Err(ContentTokenError::TooLarge(bytes.len()));
        }
        let text = trimmed(bytes)?;
        let contents = decode(&text)?;
        let expiry = contents.exp_date.ok_or(ContentTokenError::ExpiryMissing)?;
        if contents.token.is_none_or(|token| token.expose_secret().trim().is_empty()) {
            return Err(ContentTokenError::TokenMissing);
        }
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
        Ok(ContentToken {
            expires_at: parse_date(&expiry).ok_or(ContentTokenError::ExpiryUnreadable)?,
            organisation: contents.org_name.unwrap_or_default(),
            fingerprint: digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect(),
            text: SecretString::from(text.as_str()),
        })
    }

    /// The Base64 text as downloaded, without white space: what goes on the wire and into the encrypted store.
    pub fn text(&self) -> &SecretString {
        &self.text
    }

    /// When the token expires by its own account. It may die earlier: revoked, or with a change of password.
    pub fn expires_at(&self) -> Timestamp {
        self.expires_at
    }

    /// Name of the organisation, for people to read; may be empty.
    pub fn organisation(&self) -> &str {
        &self.organisation
    }

    /// SHA-256 of the trimmed text in lower-case hexadecimal: tells whether two uploads are the same token.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }
}

impl std::fmt::Debug for ContentToken {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("ContentToken")
            .field("expires_at", &self.expires_at)
            .field("organisation", &self.organisation)
            .finish_non_exhaustive()
    }
}

/// The text without byte order mark, quotes and white space, or what else the file seems to be.
fn trimmed(bytes: &[u8]) -> Result<Zeroizing<String>, ContentTokenError> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let text = std::str::from_utf8(bytes).map_err(|_| ContentTokenError::NotText)?;
    let text = text.trim().trim_matches(['"', '\'']).trim();
    if text.is_empty() {
        return Err(ContentTokenError::Empty);
    }
    if let Some(mistake) = mistaken_for(text) {
        return Err(mistake);
    }
    if text.contains(|c: char| c.is_control() && !c.is_ascii_whitespace()) {
        return Err(ContentTokenError::NotText);
    }
    Ok(Zeroizing::new(text.chars().filter(|c| !c.is_ascii_whitespace()).collect()))
}

fn mistaken_for(text: &str) -> Option<ContentTokenError> {
    let head: String = text.chars().take(1000).collect::<String>().to_ascii_lowercase();
    if head.contains("pkcs7") || head.contains("begin message") || head.contains("consumer_key") {
        Some(ContentTokenError::ServerToken)
    } else if head.contains("-----begin") {
        Some(ContentTokenError::Pem)
    } else if head.starts_with('<') {
        Some(ContentTokenError::WebPage)
    } else if head.starts_with('{') {
        Some(ContentTokenError::AlreadyDecoded)
    } else {
        None
    }
}

fn decode(text: &str) -> Result<Contents, ContentTokenError> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '/' | '=');
    if !text.chars().all(allowed) {
        return Err(ContentTokenError::NotBase64);
    }
    if !text.len().is_multiple_of(4) {
        return Err(ContentTokenError::Truncated);
    }
    let decoded = STANDARD.decode(text).map(Zeroizing::new).map_err(|_| ContentTokenError::NotBase64)?;
    // A DER sequence: the bare Base64 of a certificate or of an enrolment server token.
    if decoded.starts_with(&[0x30, 0x82]) || decoded.starts_with(&[0x30, 0x80]) {
        return Err(ContentTokenError::ServerToken);
    }
    serde_json::from_slice(&decoded).map_err(|error| match error.is_eof() {
        true => ContentTokenError::Truncated,
        false => ContentTokenError::NotJson,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "eyJ0b2tlbiI6IlpHOWpMWE5oYlhCc1pTMXViM1F0WVMxc2FYWmxMV052Ym5SbGJuUXRkRzlyWlc0dE1EQXdNUT09IiwiZXhwRGF0ZSI6IjIwMjctMDYtMzBUMDk6MTU6MDArMDAwMCIsIm9yZ05hbWUiOiJOb3J0aHdpbmQgVHJhbnNpdCBCViJ9";

    fn error(bytes: impl AsRef<[u8]>) -> ContentTokenError {
        ContentToken::from_file(bytes.as_ref()).unwrap_err()
    }

    fn encoded(json: &str) -> String {
        STANDARD.encode(json)
    }

    #[test]
    fn a_token_reads_the_same_however_the_file_was_wrapped() {
        let plain = ContentToken::from_file(FILE.as_bytes()).unwrap();
        assert_eq!(plain.expires_at(), "2027-06-30T09:15:00Z".parse().unwrap());
        assert_eq!(plain.organisation(), "Northwind Transit BV");
        assert_eq!(plain.text().expose_secret(), FILE);
        assert_eq!(plain.fingerprint().len(), 64);
        let (front, back) = FILE.split_at(76);
        for file in [
            format!("\u{feff}{FILE}\r\n"),
            format!("  \"{FILE}\" "),
            format!("{front}\r\n{back}\n"),
            format!("'{front} {back}'"),
        ] {
            let token = ContentToken::from_file(file.as_bytes()).unwrap();
            assert_eq!(token.fingerprint(), plain.fingerprint());
            assert_eq!(token.text().expose_secret(), FILE);
        }
    }

    #[test]
    fn unknown_members_and_a_missing_organisation_are_tolerated() {
        let json = r#" { "token": "x", "expDate": "2027-06-30T09:15:00Z", "more": [1, 2] } "#;
        let token = ContentToken::from_file(encoded(json).as_bytes()).unwrap();
        assert_eq!(token.organisation(), "");
    }

    #[test]
    fn each_wrong_file_is_called_what_it_is() {
        use ContentTokenError as E;
        assert_eq!(error(""), E::Empty);
        assert_eq!(error("\u{feff} \r\n\"\""), E::Empty);
        assert_eq!(error(vec![b'A'; MAX_FILE + 1]), E::TooLarge(MAX_FILE + 1));
        assert_eq!(error([0xff, 0xfe, b'e', 0]), E::NotText);
        assert_eq!(error("abc\0def"), E::NotText);
        assert_eq!(error("-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----"), E::Pem);
        assert_eq!(error("-----BEGIN PKCS7-----\nMIIB"), E::ServerToken);
        assert_eq!(error("Content-Type: application/pkcs7-mime; name=smime.p7m\n\nMIIB"), E::ServerToken);
        assert_eq!(error(STANDARD.encode([0x30, 0x80, 0x06])), E::ServerToken);
        assert_eq!(error("<!DOCTYPE html><html>"), E::WebPage);
        assert_eq!(error(r#"{"token":"x"}"#), E::AlreadyDecoded);
        assert_eq!(error("not a token!"), E::NotBase64);
        assert_eq!(error(&FILE[..FILE.len() - 3]), E::Truncated);
        assert_eq!(error(&FILE[..FILE.len() - 8]), E::Truncated);
        assert_eq!(error(STANDARD.encode("hello there")), E::NotJson);
        assert_eq!(error(encoded(r#"{"expDate":"2027-06-30T09:15:00Z"}"#)), E::TokenMissing);
        assert_eq!(error(encoded(r#"{"token":"x"}"#)), E::ExpiryMissing);
        assert_eq!(error(encoded(r#"{"token":"x","expDate":"soon"}"#)), E::ExpiryUnreadable);
    }

    #[test]
    fn debug_shows_no_secret() {
        let shown = format!("{:?}", ContentToken::from_file(FILE.as_bytes()).unwrap());
        assert!(shown.contains("Northwind") && !shown.contains("eyJ0") && !shown.contains("ZG9j"), "{shown}");
    }
}
