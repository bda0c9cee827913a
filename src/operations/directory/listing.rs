//! What a directory says, whichever it is: people with their groups and devices. It is checked here that it does not
//! contradict itself.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

use crate::model::{SerialNumber, Source};

/// The most problems that are told of one listing.
const TOLD: usize = 20;

/// All people of a directory at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    pub source: Source,
    pub people: Vec<Listed>,
    /// The names of all groups, by the directory's ids.
    pub groups: BTreeMap<String, String>,
}

/// A person in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Of the directory's own; never changes and belongs to nobody else, ever.
    pub uid: String,
    /// May be empty.
    pub name: String,
    pub email: String,
    pub managed_account: Option<String>,
    /// Ids of groups, each once.
    pub groups: Vec<String>,
    pub devices: Vec<SerialNumber>,
    /// The hash of the password, if the person can sign in by it.
    pub password: Option<String>,
    /// Where it stands in the directory, in words: `line 12`.
    pub place: String,
}

impl Listing {
    /// A listing that says everything once; else all that stands against it.
    pub fn new(source: Source, people: Vec<Listed>, groups: BTreeMap<String, String>) -> Result<Listing, Vec<String>> {
        let mut problems = Vec::new();
        let uids = people.iter().map(|person| (person.uid.clone(), person));
        twice(uids, "uid", &mut problems);
        twice(people.iter().map(|person| (person.email.to_lowercase(), person)), "email", &mut problems);
        let accounts =
            people.iter().filter_map(|person| Some((person.managed_account.as_ref()?.to_lowercase(), person)));
        twice(accounts, "managed account", &mut problems);
        let devices =
            people.iter().flat_map(|person| person.devices.iter().map(move |serial| (serial.clone(), person)));
        twice(devices, "device", &mut problems);
        let mut names: HashMap<String, &str> = HashMap::new();
        for (id, name) in &groups {
            if let Some(other) = names.insert(name.to_lowercase(), id) {
                problems.push(format!("two groups are called \"{name}\": {other} and {id}"));
            }
        }
        if problems.is_empty() { Ok(Listing { source, people, groups }) } else { Err(told(problems)) }
    }
}

/// Notes what two people have in common.
fn twice<'l, K: Eq + Hash + std::fmt::Display>(
    all: impl Iterator<Item = (K, &'l Listed)>,
    what: &str,
    problems: &mut Vec<String>,
) {
    let mut seen: HashMap<K, &Listed> = HashMap::new();
    for (key, person) in all {
        match seen.get(&key) {
            Some(first) => {
                problems.push(format!("{}: the {what} {key} stands in {} already", person.place, first.place))
            }
            None => {
                seen.insert(key, person);
            }
        }
    }
}

/// The first problems, and how many more there are.
pub(super) fn told(mut problems: Vec<String>) -> Vec<String> {
    let more = problems.len().saturating_sub(TOLD);
    problems.truncate(TOLD);
    if more > 0 {
        problems.push(format!("and {more} more"));
    }
    problems
}
