//! Takes the parsed document apart: a section asks for each of its keys by name and gets the value, or its default and
//! a noted fault. The keys that were asked for are the known ones, so that the list cannot drift from the code.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::ops::{Range, RangeInclusive};
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::duration;
use super::problem::Fault;

/// Reads one document and gathers what is wrong with it.
pub(crate) struct Reader<'d> {
    document: &'d DeTable<'d>,
    known: BTreeMap<&'static str, Vec<&'static str>>,
    /// Those of `known` that are lists of tables.
    lists: Vec<&'static str>,
    faults: Vec<Fault>,
    files: Vec<NamedFile>,
}

/// A file that the settings name.
pub(crate) struct NamedFile {
    pub key: String,
    pub path: PathBuf,
    span: Range<usize>,
}

/// Where an entry of a list and its keys stand.
#[derive(Debug, Clone, Default)]
pub(crate) struct Places {
    header: Range<usize>,
    keys: BTreeMap<&'static str, Range<usize>>,
}

impl Places {
    /// The value of `key`, or the entry when it has no such key.
    pub fn of(&self, key: &str) -> Range<usize> {
        self.keys.get(key).unwrap_or(&self.header).clone()
    }
}

/// One section while it is read. A section that is absent reads as an empty one.
pub(crate) struct Section<'r, 'd> {
    pub name: &'static str,
    table: Option<&'d DeTable<'d>>,
    header: Range<usize>,
    keys: Vec<&'static str>,
    faults: &'r mut Vec<Fault>,
    files: &'r mut Vec<NamedFile>,
}

impl<'d> Reader<'d> {
    pub fn new(document: &'d DeTable<'d>) -> Reader<'d> {
        Reader { document, known: BTreeMap::new(), lists: Vec::new(), faults: Vec::new(), files: Vec::new() }
    }

    /// Reads the section `name` with `read`; a name with a dot is a section within a section.
    pub fn section<T>(&mut self, name: &'static str, read: impl FnOnce(&mut Section<'_, 'd>) -> T) -> T {
        let (parent, key) = match name.split_once('.') {
            Some((parent, key)) => (self.document.get(parent).and_then(|value| value.get_ref().as_table()), key),
            None => (Some(self.document), name),
        };
        let found = parent.and_then(|table| table.get_key_value(key));
        let header = found.map(|(key, _)| key.span()).unwrap_or_default();
        let table = found.and_then(|(_, value)| value.get_ref().as_table());
        if found.is_some() && table.is_none() {
            let advice = format!("write [{name}] on a line of its own, and the keys below it");
            self.faults.push(fault(header.clone(), format!("`{name}` is a section that is opened once"), advice));
        }
        let (faults, files) = (&mut self.faults, &mut self.files);
        let mut section = Section { name, table, header, keys: Vec::new(), faults, files };
        let value = read(&mut section);
        let keys = section.keys;
        self.known.insert(name, keys);
        value
    }

    /// Reads each table of the list `[[name]]` with `read`; `None` when the document does not have it. `name = []` is an
    /// empty one.
    pub fn tables<T>(&mut self, name: &'static str, mut read: impl FnMut(&mut Section<'_, 'd>) -> T) -> Option<Vec<T>> {
        self.lists.push(name);
        let mut keys = Vec::new();
        let found = self.document.get_key_value(name);
        let all = found.map(|(key, value)| {
            let entry = |item: &'d Spanned<DeValue<'d>>| Some((item.span(), item.get_ref().as_table()?));
            let entries =
                value.get_ref().as_array().and_then(|list| list.iter().map(entry).collect::<Option<Vec<_>>>());
            let entries = entries.unwrap_or_else(|| {
                let advice =
                    format!("write [[{name}]] on a line of its own, and the keys below it; `{name} = []` for none");
                self.faults.push(fault(key.span(), format!("`{name}` is a list"), advice));
                Vec::new()
            });
            let mut all = Vec::new();
            for (header, table) in entries {
                let (faults, files) = (&mut self.faults, &mut self.files);
                let mut section = Section { name, table: Some(table), header, keys: Vec::new(), faults, files };
                all.push(read(&mut section));
                keys = section.keys;
            }
            all
        });
        self.known.insert(name, keys);
        all
    }

    /// The sections read so far, and their keys.
    #[cfg(test)]
    pub fn known(&self) -> &BTreeMap<&'static str, Vec<&'static str>> {
        &self.known
    }

    /// Reports the keys and sections that nobody has asked for, and hands over what was gathered.
    pub fn finish(mut self) -> (Vec<Fault>, Vec<NamedFile>) {
        let mut unknown = Vec::new();
        for (key, value) in self.document {
            match (self.known.get_key_value(key.get_ref().as_ref()), value.get_ref().as_table()) {
                (Some((section, _)), Some(table)) => self.strangers(section, table, &mut unknown),
                // What is no list either was told when the section was read.
                (Some((section, _)), None) => {
                    for table in tables_in(value.get_ref()) {
                        self.strangers(section, table, &mut unknown);
                    }
                }
                (None, None) if tables_in(value.get_ref()).next().is_some() => {
                    unknown.push(self.unknown_section(key.get_ref(), key.span()));
                }
                (None, Some(_)) => unknown.push(self.unknown_section(key.get_ref(), key.span())),
                (None, None) => unknown.push(self.stray_key(key.get_ref(), key.span())),
            }
        }
        self.faults.extend(unknown);
        (self.faults, self.files)
    }

    /// The keys in a section, and in the sections within it, that nobody has asked for.
    fn strangers(&self, section: &str, table: &DeTable<'_>, unknown: &mut Vec<Fault>) {
        for (key, value) in table {
            let within = format!("{section}.{}", key.get_ref());
            match (self.known.contains_key(within.as_str()), value.get_ref().as_table()) {
                (true, Some(table)) => self.strangers(&within, table, unknown),
                // Told when the section was read.
                (true, None) => {}
                (false, _) if self.knows(section, key.get_ref()) => {}
                (false, _) => unknown.push(self.unknown_key(section, key.get_ref(), key.span())),
            }
        }
    }

    fn knows(&self, section: &str, key: &str) -> bool {
        self.known.get(section).is_some_and(|keys| keys.contains(&key))
    }

    /// The sections that have this key, as `[a] or [b]`.
    fn homes(&self, key: &str) -> Option<String> {
        let homes = self.known.iter().filter(|(_, keys)| keys.contains(&key));
        let homes: Vec<String> = homes.map(|(section, _)| self.title(section)).collect();
        (!homes.is_empty()).then(|| homes.join(" or "))
    }

    /// A section as it is written.
    fn title(&self, section: &str) -> String {
        if self.lists.contains(&section) { format!("[[{section}]]") } else { format!("[{section}]") }
    }

    fn unknown_key(&self, section: &str, key: &str, span: Range<usize>) -> Fault {
        let keys = self.known.get(section).map(Vec::as_slice).unwrap_or_default();
        let advice = match (nearest(key, keys), self.homes(key)) {
            (_, Some(homes)) => format!("`{key}` belongs in {homes}"),
            (Some(near), None) => format!("did you mean `{near}`?"),
            (None, None) => format!("{} has: {}", self.title(section), keys.join(", ")),
        };
        fault(span, format!("unknown key `{}` in {}", key.escape_debug(), self.title(section)), advice)
    }

    fn unknown_section(&self, name: &str, span: Range<usize>) -> Fault {
        let sections: Vec<&str> = self.known.keys().copied().collect();
        let advice = match nearest(name, &sections) {
            Some(near) => format!("did you mean {}?", self.title(near)),
            None => format!("the sections are: {}", sections.join(", ")),
        };
        fault(span, format!("unknown section [{}]", name.escape_debug()), advice)
    }

    fn stray_key(&self, key: &str, span: Range<usize>) -> Fault {
        let advice = match self.homes(key) {
            Some(homes) => format!("`{key}` belongs in {homes}"),
            None => "every key stands below the [section] that it belongs to".to_owned(),
        };
        fault(span, format!("the key `{}` stands outside of every section", key.escape_debug()), advice)
    }
}

impl<'d> Section<'_, 'd> {
    /// The value of `key`, which is a known key from now on.
    fn value(&mut self, key: &'static str) -> Option<&'d Spanned<DeValue<'d>>> {
        self.keys.push(key);
        self.table?.get(key)
    }

    /// Whether the file sets `key`.
    pub fn has(&self, key: &str) -> bool {
        self.table.is_some_and(|table| table.contains_key(key))
    }

    /// Where the section and the keys that it has been asked for stand.
    pub fn places(&self) -> Places {
        let found = |key: &&'static str| Some((*key, self.table?.get(*key)?.span()));
        Places { header: self.header.clone(), keys: self.keys.iter().filter_map(found).collect() }
    }

    /// Notes a fault at the value of `key`, or at the section's header when the key is absent.
    pub fn fault(&mut self, key: &str, message: impl Into<String>, advice: impl Into<String>) {
        let span = self.table.and_then(|table| table.get(key)).map(Spanned::span);
        self.faults.push(fault(span.unwrap_or_else(|| self.header.clone()), message, advice));
    }

    /// Notes that a required key is absent.
    pub fn missing(&mut self, key: &str, message: &str, advice: &str) {
        let message = format!("[{}] {key} is missing: {message}", self.name);
        let missing = Fault { span: self.header.clone(), message, advice: advice.to_owned(), missing: true };
        self.faults.push(missing);
    }

    fn wrong(&mut self, key: &str, value: &Spanned<DeValue<'_>>, expected: &str, example: &str) {
        let found = match value.get_ref() {
            DeValue::String(_) => "text",
            DeValue::Integer(_) => "a whole number",
            DeValue::Float(_) => "a number with a fraction",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        let message = format!("`{key}` must be {expected}, but this is {found}");
        self.faults.push(fault(value.span(), message, format!("for example: {key} = {example}")));
    }

    /// Text as it is; may be empty.
    pub fn text(&mut self, key: &'static str, default: &str, example: &str) -> String {
        let Some(value) = self.value(key) else { return default.to_owned() };
        match value.get_ref().as_str() {
            Some(text) => text.to_owned(),
            None => {
                self.wrong(key, value, "text in quotes", &format!("\"{example}\""));
                default.to_owned()
            }
        }
    }

    /// An IP address with a port.
    pub fn address(&mut self, key: &'static str, default: SocketAddr) -> SocketAddr {
        let text = self.text(key, &default.to_string(), &default.to_string());
        text.parse().unwrap_or_else(|_| {
            let advice = format!("for example: {key} = \"{default}\" (all addresses: \"[::]:{}\")", default.port());
            self.fault(key, format!("`{key}` must be an IP address and a port"), advice);
            default
        })
    }

    /// `true` or `false`.
    pub fn flag(&mut self, key: &'static str, default: bool) -> bool {
        let Some(value) = self.value(key) else { return default };
        value.get_ref().as_bool().unwrap_or_else(|| {
            self.wrong(key, value, "true or false without quotes", if default { "true" } else { "false" });
            default
        })
    }

    /// A whole number within `range`.
    pub fn number(&mut self, key: &'static str, default: u32, range: RangeInclusive<u32>) -> u32 {
        let Some(value) = self.value(key) else { return default };
        let Some(integer) = value.get_ref().as_integer() else {
            self.wrong(key, value, "a whole number without quotes", &default.to_string());
            return default;
        };
        match u32::from_str_radix(integer.as_str(), integer.radix()) {
            Ok(number) if range.contains(&number) => number,
            _ => {
                let message = format!("`{key}` must lie between {} and {}", range.start(), range.end());
                self.fault(key, message, format!("for example: {key} = {default}"));
                default
            }
        }
    }

    /// A whole number within `range`, which may be below zero.
    pub fn integer(&mut self, key: &'static str, default: i64, range: RangeInclusive<i64>) -> i64 {
        let Some(value) = self.value(key) else { return default };
        let Some(integer) = value.get_ref().as_integer() else {
            self.wrong(key, value, "a whole number without quotes", &default.to_string());
            return default;
        };
        match i64::from_str_radix(integer.as_str(), integer.radix()) {
            Ok(number) if range.contains(&number) => number,
            _ => {
                let message = format!("`{key}` must lie between {} and {}", range.start(), range.end());
                self.fault(key, message, format!("for example: {key} = {default}"));
                default
            }
        }
    }

    /// One of `choices`.
    pub fn choice<T: Copy>(&mut self, key: &'static str, default: T, choices: &[(&str, T)]) -> T {
        let Some(value) = self.value(key) else { return default };
        let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        let list = words.join("\", \"");
        let Some(text) = value.get_ref().as_str() else {
            self.wrong(key, value, "text in quotes", &format!("\"{}\"", words.first().copied().unwrap_or_default()));
            return default;
        };
        if let Some((_, choice)) = choices.iter().find(|(word, _)| *word == text) {
            return *choice;
        }
        let near = nearest(text, &words).map(|near| format!("did you mean \"{near}\"? ")).unwrap_or_default();
        self.fault(
            key,
            format!("`{key}` has no choice \"{}\"", text.escape_debug()),
            format!("{near}the choices are \"{list}\""),
        );
        default
    }

    /// The path of a file or folder that vppd itself makes.
    pub fn place(&mut self, key: &'static str, default: &Path) -> PathBuf {
        self.path(key, &default.display().to_string()).map_or_else(|| default.to_owned(), |(path, _)| path)
    }

    /// The path of a folder that vppd writes to; `None` when the key is absent.
    pub fn optional_place(&mut self, key: &'static str, example: &str) -> Option<PathBuf> {
        self.path(key, example).map(|(path, _)| path)
    }

    /// The path of a PEM file that must be there when vppd starts; `None` when the key is absent.
    pub fn pem(&mut self, key: &'static str) -> Option<PathBuf> {
        self.file(key, &format!("/etc/vppd/{}-{key}.pem", self.name))
    }

    /// The path of another file that must be there when vppd starts; `None` when the key is absent.
    pub fn file(&mut self, key: &'static str, example: &str) -> Option<PathBuf> {
        let (path, span) = self.path(key, example)?;
        self.files.push(NamedFile { key: format!("[{}] {key}", self.name), path: path.clone(), span });
        Some(path)
    }

    /// A list of texts; empty when the key is absent. `advice` shows one.
    pub fn texts(&mut self, key: &'static str, advice: &str) -> Vec<String> {
        let Some(value) = self.value(key) else { return Vec::new() };
        let texts = value.get_ref().as_array().and_then(|array| {
            array.iter().map(|item| item.get_ref().as_str().map(str::to_owned)).collect::<Option<Vec<_>>>()
        });
        texts.unwrap_or_else(|| {
            self.fault(key, format!("`{key}` must be a list of texts in quotes"), advice);
            Vec::new()
        })
    }

    fn path(&mut self, key: &'static str, example: &str) -> Option<(PathBuf, Range<usize>)> {
        let value = self.value(key)?;
        let Some(text) = value.get_ref().as_str() else {
            self.wrong(key, value, "a path in quotes", &format!("\"{example}\""));
            return None;
        };
        if text.contains("-----BEGIN") {
            let message = format!("`{key}` holds the content of a file instead of its path");
            self.fault(key, message, format!("save the content in a file, then for example: {key} = \"{example}\""));
            return None;
        }
        let path = PathBuf::from(text);
        if !path.is_absolute() {
            let message = format!("`{key}` must be a path from the root, beginning with /");
            self.fault(key, message, format!("for example: {key} = \"{example}\""));
            return None;
        }
        Some((path, value.span()))
    }

    /// A duration; zero is allowed.
    pub fn duration(&mut self, key: &'static str, default: Duration) -> Duration {
        let Some(value) = self.value(key) else { return default };
        self.one_duration(key, value, &format!("\"{}\"", duration::show(default))).unwrap_or(default)
    }

    /// A duration longer than zero.
    pub fn interval(&mut self, key: &'static str, default: Duration) -> Duration {
        let interval = self.duration(key, default);
        if interval > Duration::ZERO {
            return interval;
        }
        let example = duration::show(default);
        self.fault(key, format!("`{key}` must be longer than zero"), format!("for example: {key} = \"{example}\""));
        default
    }

    /// A list of durations, not empty, each longer than zero and none shorter than the one before.
    pub fn intervals(&mut self, key: &'static str, default: &[Duration]) -> Vec<Duration> {
        let Some(value) = self.value(key) else { return default.to_vec() };
        let example = duration::show_list(default);
        let Some(array) = value.get_ref().as_array() else {
            self.wrong(key, value, "a list of durations", &example);
            return default.to_vec();
        };
        let found: Vec<Option<Duration>> = array.iter().map(|item| self.one_duration(key, item, &example)).collect();
        let Some(intervals) = found.into_iter().collect::<Option<Vec<_>>>() else { return default.to_vec() };
        let message = if intervals.is_empty() {
            "must name at least one duration"
        } else if intervals.contains(&Duration::ZERO) {
            "must hold durations longer than zero"
        } else if !intervals.is_sorted() {
            "must go from the shortest to the longest"
        } else {
            return intervals;
        };
        self.fault(key, format!("`{key}` {message}"), format!("for example: {key} = {example}"));
        default.to_vec()
    }

    fn one_duration(&mut self, key: &str, value: &Spanned<DeValue<'_>>, example: &str) -> Option<Duration> {
        let Some(text) = value.get_ref().as_str() else {
            self.wrong(key, value, "a duration in quotes", example);
            return None;
        };
        let duration = duration::parse(text);
        if duration.is_none() {
            let message = format!("`{key}` is not a duration of at most ten years");
            let advice = format!("write a number and a unit (ms, s, m, h, d), for example: {key} = {example}");
            self.faults.push(fault(value.span(), message, advice));
        }
        duration
    }

    /// Notes a fault when only one of two keys that belong together is set.
    pub fn both_or_neither(&mut self, one: &str, other: &str, otherwise: &str) {
        let (set, absent) = match (self.has(one), self.has(other)) {
            (true, false) => (one, other),
            (false, true) => (other, one),
            _ => return,
        };
        self.fault(set, format!("`{set}` is set, but `{absent}` is not"), format!("set both, or neither: {otherwise}"));
    }
}

impl NamedFile {
    /// What stands in the way of reading the file.
    pub fn fault(&self) -> Option<Fault> {
        let path = self.path.display();
        let (problem, advice) = match File::open(&self.path).and_then(|file| file.metadata()) {
            Ok(metadata) if metadata.is_file() => return None,
            Ok(_) => ("it is not a file".to_owned(), format!("name a file instead of {path}")),
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                (error.to_string(), format!("let vppd read it: chgrp vppd {path} && chmod 640 {path}"))
            }
            Err(error) => (error.to_string(), format!("check that {path} exists and that the user vppd may read it")),
        };
        let message = format!("{} cannot be read: {problem}", self.key);
        Some(fault(self.span.clone(), message, advice))
    }
}

/// The tables of a list of tables; none of anything else.
fn tables_in<'v, 'd>(value: &'v DeValue<'d>) -> impl Iterator<Item = &'v DeTable<'d>> {
    value.as_array().into_iter().flat_map(|list| list.iter().filter_map(|item| item.get_ref().as_table()))
}

fn fault(span: Range<usize>, message: impl Into<String>, advice: impl Into<String>) -> Fault {
    Fault { span, message: message.into(), advice: advice.into(), missing: false }
}

/// The name that was probably meant.
fn nearest<'n>(word: &str, names: &[&'n str]) -> Option<&'n str> {
    let word = word.to_lowercase().replace('_', "-");
    let scored = names.iter().map(|name| (strsim::normalized_damerau_levenshtein(&word, name), *name));
    scored.filter(|(score, _)| *score >= 0.5).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, name)| name)
}
