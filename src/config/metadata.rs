//! `[metadata]`: what vppd asks Apple's stores about apps and books.

use std::path::PathBuf;
use std::time::Duration;

use super::duration::days;
use super::reader::Section;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    pub sources: Sources,
    /// How long an answer is kept before the store is asked again.
    pub refresh: Duration,
    /// As in `en` or `en-GB`. Never empty.
    pub language: String,
    pub icons: bool,
    /// For the metadata service for organisations.
    pub developer_key: Option<DeveloperKeyFile>,
}

/// Who is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sources {
    All,
    /// With the location's content token.
    Location,
    Public,
    None,
}

/// A customer's developer key, and how Apple names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeveloperKeyFile {
    pub path: PathBuf,
    pub key_id: String,
    pub team_id: String,
}

const SOURCES: [(&str, Sources); 4] =
    [("all", Sources::All), ("location", Sources::Location), ("public", Sources::Public), ("none", Sources::None)];

impl Default for Metadata {
    fn default() -> Metadata {
        let language = "en".to_owned();
        Metadata { sources: Sources::All, refresh: days(1), language, icons: true, developer_key: None }
    }
}

impl Metadata {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Metadata {
        let default = Metadata::default();
        let path = section.pem("developer-key");
        let [key_id, team_id] = [("key-id", "2X9R4HXF34"), ("team-id", "57246542CJ")].map(|(key, example)| {
            let id = section.text(key, "", example);
            if section.has(key) && (id.len() != 10 || !id.bytes().all(|byte| byte.is_ascii_alphanumeric())) {
                let advice = format!("it has ten letters and digits, for example: {key} = \"{example}\"");
                section.fault(key, format!("`{key}` is no id of Apple's"), advice);
            }
            id
        });
        let otherwise = "without them Apple's lookups alone are asked";
        section.both_or_neither("developer-key", "key-id", otherwise);
        section.both_or_neither("developer-key", "team-id", otherwise);
        let metadata = Metadata {
            sources: section.choice("sources", default.sources, &SOURCES),
            refresh: section.interval("refresh", default.refresh),
            language: section.text("language", &default.language, "en"),
            icons: section.flag("icons", default.icons),
            developer_key: path.map(|path| DeveloperKeyFile { path, key_id, team_id }),
        };
        if metadata.language.is_empty() || !metadata.language.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
            section.fault("language", "`language` is no language", "for example: language = \"en\"");
        }
        metadata
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{Config, Sources};

    fn read(lines: &str) -> Result<Config, String> {
        let text = format!("[devices]\nurl = \"https://mdm.example.org\"\n[metadata]\n{lines}\n");
        Config::from_text("vppd.toml", &text).map_err(|errors| errors.to_string())
    }

    #[test]
    fn a_developer_key_comes_with_its_two_ids() {
        let all = "developer-key = \"/k.p8\"\nkey-id = \"2X9R4HXF34\"\nteam-id = \"57246542CJ\"";
        assert_eq!(read(all).unwrap().metadata.developer_key.unwrap().team_id, "57246542CJ");
        assert!(read("developer-key = \"/k.p8\"\nkey-id = \"2X9R4HXF34\"").unwrap_err().contains("`team-id` is not"));
        assert!(read("key-id = \"2X9R4HXF34\"").unwrap_err().contains("`developer-key` is not"));
        assert!(read(&all.replace("57246542CJ", "57")).unwrap_err().contains("`team-id` is no id"));
    }

    #[test]
    fn sources_and_language_are_checked() {
        assert_eq!(read("sources = \"none\"").unwrap().metadata.sources, Sources::None);
        assert!(read("sources = \"some\"").unwrap_err().contains("no choice"));
        assert!(read("language = \"e n\"").unwrap_err().contains("no language"));
    }
}
