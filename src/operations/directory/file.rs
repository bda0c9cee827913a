//! A directory that is a file: TOML or CSV, decoded to a [`Listing`]. Everything that is wrong is told with its line and
//! column, and then nothing of the file counts.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::Deserialize;
use toml::Spanned;

use super::listing::{Listed, Listing, told};
use crate::model::{SerialNumber, Source};
use crate::operations::groups::checked_name;
use crate::operations::serials;
use crate::operations::users::{checked_account, checked_email, checked_text};

/// The two forms, by the ending of the file's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Toml,
    Csv,
}

/// The longest id of a person, in bytes.
const LONGEST_UID: usize = 200;

/// Decodes a whole file; else tells what is wrong with it.
pub fn decode(format: Format, text: &str) -> Result<Listing, Vec<String>> {
    let text = text.trim_start_matches('\u{feff}');
    let mut reading = Reading::default();
    let people = match format {
        Format::Toml => toml_people(text, &mut reading),
        Format::Csv => csv_people(text, &mut reading),
    };
    if !reading.problems.is_empty() {
        return Err(told(reading.problems));
    }
    Listing::new(Source::File, people, reading.names)
}

/// What is gathered while a file is read.
#[derive(Default)]
struct Reading {
    problems: Vec<String>,
    /// Groups as they are written first, by their names in small letters: these are their ids.
    names: BTreeMap<String, String>,
}

/// A text with the place where it stands.
struct Placed<'t> {
    text: &'t str,
    place: String,
}

/// A person as written.
struct Written<'t> {
    uid: Placed<'t>,
    email: Placed<'t>,
    name: Option<Placed<'t>>,
    managed_account: Option<Placed<'t>>,
    groups: Vec<Placed<'t>>,
    devices: Vec<Placed<'t>>,
    password: Option<Placed<'t>>,
    place: String,
}

impl Reading {
    /// Checks a person; `None`, and the problems noted, when something is wrong.
    fn person(&mut self, written: Written<'_>) -> Option<Listed> {
        let before = self.problems.len();
        let uid = written.uid.text.trim();
        if uid.is_empty() || uid.len() > LONGEST_UID || uid.chars().any(char::is_control) {
            let why = format!("uid has 1 to {LONGEST_UID} bytes, without control characters");
            self.problems.push(format!("{}: {why}", written.uid.place));
        }
        let email = self.check(&written.email, checked_email);
        let name = written.name.map(|name| self.check(&name, |text| checked_text("name", text)));
        let account = written.managed_account.map(|account| self.check(&account, checked_account));
        let mut groups = Vec::new();
        for group in written.groups {
            if let Some(name) = self.check(&group, checked_name) {
                let id = name.to_lowercase();
                self.names.entry(id.clone()).or_insert(name);
                if !groups.contains(&id) {
                    groups.push(id);
                }
            }
        }
        let mut devices: Vec<SerialNumber> = Vec::new();
        for device in written.devices {
            if let Some(serial) = self.check(&device, serials::read)
                && !devices.contains(&serial)
            {
                devices.push(serial);
            }
        }
        let password = written.password.filter(|password| !password.text.trim().is_empty());
        if let Some(placed) = &password
            && let Some(why) = crate::operations::password::problem(placed.text.trim())
        {
            self.problems.push(format!("{}: {why}", placed.place));
        }
        if self.problems.len() > before {
            return None;
        }
        Some(Listed {
            uid: uid.to_owned(),
            name: name.flatten().unwrap_or_default(),
            email: email?,
            managed_account: account.flatten().flatten(),
            groups,
            devices,
            password: password.map(|password| password.text.trim().to_owned()),
            place: written.place,
        })
    }

    fn check<T>(
        &mut self,
        placed: &Placed<'_>,
        check: impl FnOnce(&str) -> Result<T, crate::operations::OperationError>,
    ) -> Option<T> {
        match check(placed.text) {
            Ok(value) => Some(value),
            Err(error) => {
                self.problems.push(format!("{}: {error}", placed.place));
                None
            }
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(default)]
    person: Vec<Spanned<Entry>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Entry {
    uid: Spanned<String>,
    email: Spanned<String>,
    name: Option<Spanned<String>>,
    managed_account: Option<Spanned<String>>,
    #[serde(default)]
    groups: Vec<Spanned<String>>,
    #[serde(default)]
    devices: Vec<Spanned<String>>,
    password: Option<Spanned<String>>,
}

fn toml_people(text: &str, reading: &mut Reading) -> Vec<Listed> {
    let lines = Lines::of(text);
    let document: Document = match toml::from_str(text) {
        Ok(document) => document,
        Err(error) => {
            let place = error.span().map(|span| format!("{}: ", lines.place(&span))).unwrap_or_default();
            reading.problems.push(format!("{place}{}", error.message().replace('\n', ", ")));
            return Vec::new();
        }
    };
    fn placed<'t>(lines: &Lines<'_>, value: &'t Spanned<String>) -> Placed<'t> {
        Placed { text: value.get_ref(), place: lines.place(&value.span()) }
    }
    let person = |entry: &Spanned<Entry>| {
        let span = entry.span();
        let entry = entry.get_ref();
        reading.person(Written {
            uid: placed(&lines, &entry.uid),
            email: placed(&lines, &entry.email),
            name: entry.name.as_ref().map(|value| placed(&lines, value)),
            managed_account: entry.managed_account.as_ref().map(|value| placed(&lines, value)),
            groups: entry.groups.iter().map(|value| placed(&lines, value)).collect(),
            devices: entry.devices.iter().map(|value| placed(&lines, value)).collect(),
            password: entry.password.as_ref().map(|value| placed(&lines, value)),
            place: lines.place(&span),
        })
    };
    document.person.iter().filter_map(person).collect()
}

/// Where the lines of a text begin.
struct Lines<'t> {
    text: &'t str,
    starts: Vec<usize>,
}

impl Lines<'_> {
    fn of(text: &str) -> Lines<'_> {
        let breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        Lines { text, starts: std::iter::once(0).chain(breaks).collect() }
    }

    fn place(&self, span: &Range<usize>) -> String {
        let line = self.starts.partition_point(|start| *start <= span.start);
        let start = self.starts.get(line.saturating_sub(1)).copied().unwrap_or(0);
        let column = self.text.get(start..span.start).map_or(0, |before| before.chars().count()) + 1;
        format!("line {line}, column {column}")
    }
}

/// The columns of a CSV file, by the names in its first line.
const COLUMNS: [&str; 7] = ["uid", "email", "name", "managed-account", "groups", "devices", "password"];

fn csv_people(text: &str, reading: &mut Reading) -> Vec<Listed> {
    let mut columns: [Option<usize>; COLUMNS.len()] = [None; COLUMNS.len()];
    let mut people = Vec::new();
    let mut lines = serials::reader(text);
    for (number, record) in lines.records().enumerate() {
        let record = match record {
            Ok(record) => record,
            Err(error) => {
                reading.problems.push(error.to_string());
                break;
            }
        };
        let line = record.position().map_or(1, csv::Position::line);
        if number == 0 {
            header(&record, &mut columns, reading);
            if !reading.problems.is_empty() {
                break;
            }
            continue;
        }
        if record.iter().all(|field| field.trim().is_empty()) {
            continue;
        }
        let placed = |which: usize| {
            let column = columns[which]?;
            let place = format!("line {line}, column {} ({})", column + 1, COLUMNS[which]);
            Some(Placed { text: record.get(column).unwrap_or_default(), place })
        };
        let list = |which: usize| {
            let parts = placed(which).into_iter().flat_map(|placed| {
                let parts = placed.text.split([';', '|']).map(str::trim).filter(|part| !part.is_empty());
                parts.map(move |text| Placed { text, place: placed.place.clone() })
            });
            parts.collect::<Vec<_>>()
        };
        let (Some(uid), Some(email)) = (placed(0), placed(1)) else { break };
        let (name, managed_account) = (placed(2), placed(3));
        let (groups, devices, password) = (list(4), list(5), placed(6));
        let place = format!("line {line}");
        let written = Written { uid, email, name, managed_account, groups, devices, password, place };
        people.extend(reading.person(written));
    }
    // A file without its first line was cut off or never written, which is something else than a directory without people.
    if columns[0].is_none() && reading.problems.is_empty() {
        reading.problems.push(format!("line 1: the first line names the columns: {}", COLUMNS.join(",")));
    }
    people
}

/// Finds the columns by the first line.
fn header(record: &csv::StringRecord, columns: &mut [Option<usize>; COLUMNS.len()], reading: &mut Reading) {
    for (place, field) in record.iter().enumerate() {
        let name = field.trim().to_lowercase().replace(['_', ' '], "-");
        let problem = match COLUMNS.iter().position(|known| *known == name) {
            Some(which) if columns[which].is_none() => {
                columns[which] = Some(place);
                continue;
            }
            Some(_) => format!("the column {name} is there twice"),
            None => {
                let shown: String = name.chars().take(40).collect();
                format!("\"{shown}\" is no column of people; the columns are {}", COLUMNS.join(", "))
            }
        };
        reading.problems.push(format!("line 1, column {}: {problem}", place + 1));
    }
    for (which, name) in COLUMNS.iter().enumerate().take(2) {
        if columns[which].is_none() {
            reading.problems.push(format!("line 1: the column {name} is missing"));
        }
    }
}

#[cfg(test)]
mod tests;
