//! What a browser sends: the query of an address, or a form. Whatever it is, it can be read.

use secrecy::SecretString;

use super::words::{self, Words};

/// What is asked for in an address or a form; whatever else is in it does not matter.
#[derive(Debug, Default)]
pub struct Asked {
    pub lang: Option<String>,
    pub code: Option<String>,
    pub name: String,
    pub password: SecretString,
}

impl Asked {
    pub fn read(encoded: &[u8]) -> Asked {
        let mut asked = Asked::default();
        for (key, value) in form_urlencoded::parse(encoded) {
            match key.as_ref() {
                "lang" => asked.lang = Some(value.into_owned()),
                "code" => asked.code = Some(value.trim().to_owned()).filter(|code| !code.is_empty()),
                "name" => asked.name = value.trim().to_owned(),
                "password" => asked.password = SecretString::from(value.into_owned()),
                _ => {}
            }
        }
        asked
    }

    /// The language that was chosen, or the one that the browser accepts best.
    pub fn words(&self, accepted: &str) -> &'static Words {
        self.lang.as_deref().and_then(words::by_tag).unwrap_or_else(|| words::wanted(accepted))
    }
}
