//! `[directory]`: where people and their groups come from.

use std::path::PathBuf;
use std::time::Duration;

use super::duration::days;
use super::reader::Section;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directory {
    /// A TOML or CSV file with people, which may come and go while vppd runs. `None`: there is no directory.
    pub file: Option<PathBuf>,
    /// How long people who are gone from the directory keep everything.
    pub grace: Duration,
    /// A listing in which more than so many percent of the people are missing is held.
    pub hold_above: u32,
}

impl Default for Directory {
    fn default() -> Directory {
        Directory { file: None, grace: days(7), hold_above: 20 }
    }
}

impl Directory {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Directory {
        const EXAMPLE: &str = "/etc/vppd/people.toml";
        let default = Directory::default();
        let directory = Directory {
            file: section.optional_place("file", EXAMPLE),
            grace: section.duration("grace", default.grace),
            hold_above: section.number("hold-above", default.hold_above, 0..=100),
        };
        let known = |file: &PathBuf| file.extension().is_some_and(|ending| ending == "toml" || ending == "csv");
        if directory.file.as_ref().is_some_and(|file| !known(file)) {
            let advice = format!("the ending says what it is: .toml or .csv, for example: file = \"{EXAMPLE}\"");
            section.fault("file", "`file` ends neither with .toml nor with .csv", advice);
        }
        directory
    }
}
