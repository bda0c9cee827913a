//! Who is in which group now: the facts about every device, and the rules, lists and people that they are held against.

use std::collections::{BTreeSet, HashMap, HashSet};

use rusqlite::Connection;

use super::{StoreError, device_notes, groups, persons, row, rows};
use crate::licensing::membership::{DeviceFacts, Rule, platform};
use crate::model::{self, DeviceId, GroupId, GroupKind, Ownership, PersonId};

/// A device that has enrolled at some time.
#[derive(Debug, Clone)]
pub struct Member {
    pub id: DeviceId,
    pub udid: String,
    /// It is enrolled now.
    pub enrolled: bool,
    pub person: Option<PersonId>,
    pub facts: DeviceFacts,
}

/// All devices and groups at one moment.
pub struct Membership {
    pub devices: Vec<Member>,
    /// Whose each serial number is, enrolled or not.
    pub person_of: HashMap<String, PersonId>,
    groups: HashMap<GroupId, Kept>,
    people: HashMap<PersonId, Vec<GroupId>>,
}

enum Kept {
    Serials(HashSet<String>),
    Rule(Rule),
    People,
}

/// All devices, or one.
macro_rules! devices {
    ($where:literal) => {
        concat!(
            "SELECT id, udid, serial, state = 'enrolled', product_name, model, os_version, supervised FROM device ",
            $where
        )
    };
}

/// What devices are held against.
struct Known {
    groups: HashMap<GroupId, Kept>,
    names: HashMap<GroupId, String>,
    people: HashMap<PersonId, Vec<GroupId>>,
    emails: HashMap<PersonId, String>,
    notes: HashMap<String, device_notes::Note>,
}

impl Known {
    fn read_device(&self, row: &rusqlite::Row<'_>) -> Result<Member, StoreError> {
        let (serial, product, model): (String, String, String) = (row.get(2)?, row.get(4)?, row.get(5)?);
        let note = self.notes.get(&serial);
        // A kiosk is nobody's, whoever is noted.
        let person = note.filter(|note| note.ownership != Ownership::Kiosk).and_then(|note| note.person);
        let groups = person.and_then(|person| self.people.get(&person)).map(Vec::as_slice).unwrap_or_default();
        let by_model = [product.as_str(), model.as_str()].map(platform);
        let system = by_model.into_iter().find(|platform| !platform.is_empty()).unwrap_or_default();
        Ok(Member {
            id: DeviceId(row.get(0)?),
            udid: row.get(1)?,
            enrolled: row.get(3)?,
            person,
            facts: DeviceFacts {
                platform: system,
                serial,
                models: [model::model_name(&product).unwrap_or_default().to_owned(), product, model]
                    .into_iter()
                    .filter(|text| !text.is_empty())
                    .collect(),
                os: row.get(6)?,
                supervised: row.get(7)?,
                ownership: note.map_or(Ownership::Organisation, |note| note.ownership).word().to_owned(),
                tags: note.map(|note| note.tags.clone()).unwrap_or_default(),
                person: person.and_then(|person| self.emails.get(&person).cloned()).unwrap_or_default(),
                groups: groups.iter().filter_map(|group| self.names.get(group).cloned()).collect(),
            },
        })
    }

    fn with(self, devices: Vec<Member>) -> Membership {
        let person_of = self.notes.into_iter().filter_map(|(serial, note)| Some((serial, note.person?))).collect();
        Membership { devices, person_of, groups: self.groups, people: self.people }
    }
}

impl Membership {
    /// Reads what is known now.
    pub fn load(connection: &Connection) -> Result<Membership, StoreError> {
        let known = Membership::without_devices(connection)?;
        let devices = rows(connection, devices!("ORDER BY id"), [], |row| known.read_device(row))?;
        Ok(known.with(devices))
    }

    /// The same, with these devices only.
    pub fn load_for(connection: &Connection, devices: &BTreeSet<i64>) -> Result<Membership, StoreError> {
        let known = Membership::without_devices(connection)?;
        let mut found = Vec::new();
        for id in devices {
            found.extend(row(connection, devices!("WHERE id = ?1"), [id], |row| known.read_device(row))?);
        }
        Ok(known.with(found))
    }

    fn without_devices(connection: &Connection) -> Result<Known, StoreError> {
        let (mut kept, mut names) = (HashMap::new(), HashMap::new());
        for group in groups::all(connection)? {
            let content =
                match group.kind {
                    GroupKind::Devices => Kept::Serials(groups::serials(connection, group.id)?.into_iter().collect()),
                    GroupKind::Rule => Kept::Rule(Rule::parse(&group.rule).map_err(|error| {
                        StoreError::Damaged(format!("the rule of group \"{}\": {error}", group.name))
                    })?),
                    GroupKind::People => Kept::People,
                };
            kept.insert(group.id, content);
            names.insert(group.id, group.name);
        }
        let mut people: HashMap<PersonId, Vec<GroupId>> = HashMap::new();
        for (person, group) in groups::people(connection)? {
            people.entry(person).or_default().push(group);
        }
        let emails: HashMap<PersonId, String> =
            persons::all(connection)?.into_iter().map(|person| (person.id, person.email)).collect();
        let notes: HashMap<String, device_notes::Note> =
            device_notes::all(connection)?.into_iter().map(|note| (note.serial.clone(), note)).collect();
        Ok(Known { groups: kept, names, people, emails, notes })
    }

    /// Whether a device is in a group, by itself or by its person.
    pub fn has(&self, group: GroupId, device: &Member) -> bool {
        match self.groups.get(&group) {
            None => false,
            Some(Kept::Serials(serials)) => serials.contains(&device.facts.serial),
            Some(Kept::Rule(rule)) => rule.matches(&device.facts),
            Some(Kept::People) => device.person.is_some_and(|person| self.has_person(group, person)),
        }
    }

    /// Whether a person is in a people's group.
    pub fn has_person(&self, group: GroupId, person: PersonId) -> bool {
        self.people.get(&person).is_some_and(|groups| groups.contains(&group))
    }

    /// The devices in a group that are enrolled now.
    pub fn enrolled_in(&self, group: GroupId) -> impl Iterator<Item = &Member> {
        self.devices.iter().filter(move |device| device.enrolled && self.has(group, device))
    }

    /// The groups that a person is in.
    pub fn groups_of_person(&self, person: PersonId) -> &[GroupId] {
        self.people.get(&person).map(Vec::as_slice).unwrap_or_default()
    }

    /// The people in a people's group, in the order of their numbers.
    pub fn people_in(&self, group: GroupId) -> Vec<PersonId> {
        let mut all: Vec<PersonId> =
            self.people.iter().filter(|(_, groups)| groups.contains(&group)).map(|(person, _)| *person).collect();
        all.sort_unstable();
        all
    }
}
