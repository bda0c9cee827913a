//! Taking a listing over: in one transaction, and only what differs. Who is not in it any more keeps everything until the
//! grace is over; a listing in which too many are missing is held until a person confirms it.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use jiff::Timestamp;

use super::listing::{Listed, Listing};
use crate::model::{GroupId, GroupKind, LocationId, PersonId, Source};
use crate::operations::view::DirectoryChangesView;
use crate::operations::{groups::new_of_people, users};
use crate::store::device_notes::{self, Note};
use crate::store::persons::{self, Person};
use crate::store::{StoreError, Write, audit, groups, passwords};

/// Fewer missing people than this hold no listing, unless it is empty.
const FEWEST_HELD: usize = 5;

/// What became of a listing.
pub(super) enum Outcome {
    Taken {
        changes: DirectoryChangesView,
        /// What could not be taken over, in words; the rest was.
        conflicts: Vec<String>,
        /// Locations whose task has something to tell Apple.
        touched: Vec<LocationId>,
    },
    /// So many of so many people are missing.
    Held { missing: usize, known: usize },
}

/// Takes a listing over. `hold_above`: percent. `ids` are new GUIDs, as many as there are people in it.
pub(super) fn take_over(
    w: &Write<'_>,
    listing: &Listing,
    hold_above: Option<u32>,
    ids: &mut dyn Iterator<Item = String>,
    now: Timestamp,
) -> Result<Outcome, StoreError> {
    let all = persons::all(w)?;
    let listed: HashSet<&str> = listing.people.iter().map(|person| person.uid.as_str()).collect();
    let ours = |person: &&Person| person.source == listing.source && person.external_id.is_some();
    let present: Vec<&Person> = all.iter().filter(ours).filter(|person| person.gone_at.is_none()).collect();
    let in_listing = |person: &&&Person| person.external_id.as_deref().is_some_and(|uid| listed.contains(uid));
    let missing = present.len() - present.iter().filter(in_listing).count();
    if let Some(percent) = hold_above {
        let many = missing >= FEWEST_HELD && missing as u64 * 100 > present.len() as u64 * u64::from(percent);
        if many || (missing > 0 && listing.people.is_empty()) {
            return Ok(Outcome::Held { missing, known: present.len() });
        }
    }
    let mut work = Work {
        w,
        source: listing.source,
        now,
        changes: DirectoryChangesView::default(),
        conflicts: Vec::new(),
        touched: Vec::new(),
    };
    for person in present.into_iter().filter(|person| !in_listing(&person)) {
        work.changes.gone += 1;
        persons::follow(w, &Person { gone_at: Some(now), ..person.clone() })?;
        audit::write(w, now, "directory", "person gone", &person.email)?;
    }
    let placed = work.people(listing, &all, ids)?;
    work.passwords(&placed)?;
    work.groups(listing, &placed)?;
    work.devices(&placed)?;
    let Work { changes, conflicts, touched, .. } = work;
    Ok(Outcome::Taken { changes, conflicts, touched })
}

struct Work<'w> {
    w: &'w Write<'w>,
    source: Source,
    now: Timestamp,
    changes: DirectoryChangesView,
    conflicts: Vec<String>,
    touched: Vec<LocationId>,
}

/// A listed person and the person of ours that it is.
type Placed<'l> = Vec<(&'l Listed, PersonId)>;

impl Work<'_> {
    /// Adds people and brings them to what the listing says.
    fn people<'l>(
        &mut self,
        listing: &'l Listing,
        all: &[Person],
        ids: &mut dyn Iterator<Item = String>,
    ) -> Result<Placed<'l>, StoreError> {
        let by_uid: HashMap<&str, &Person> = all
            .iter()
            .filter(|person| person.source == self.source)
            .filter_map(|person| Some((person.external_id.as_deref()?, person)))
            .collect();
        let by_email: HashMap<String, &Person> =
            all.iter().map(|person| (person.email.to_lowercase(), person)).collect();
        // Somebody whom an administrator has registered is the same person by the address.
        let same = |listed: &Listed| {
            let by_hand = || by_email.get(&listed.email.to_lowercase()).filter(|person| person.source == Source::Hand);
            by_uid.get(listed.uid.as_str()).or_else(by_hand).copied()
        };
        let known: Vec<(&Listed, &Person)> =
            listing.people.iter().filter_map(|listed| Some((listed, same(listed)?))).collect();
        let kept = self.addresses(&known, all)?;
        let mut accounts: HashMap<String, PersonId> = all
            .iter()
            .filter_map(|person| Some((person.managed_account.as_ref()?.to_lowercase(), person.id)))
            .collect();
        for (_, person) in &known {
            accounts.retain(|_, owner| *owner != person.id);
        }
        let mut taken: HashSet<String> = kept.values().cloned().collect();
        let moved: HashSet<PersonId> = known.iter().map(|(_, person)| person.id).collect();
        taken.extend(all.iter().filter(|person| !moved.contains(&person.id)).map(|person| person.email.to_lowercase()));
        let known: HashMap<&str, &Person> =
            known.into_iter().map(|(listed, person)| (listed.uid.as_str(), person)).collect();
        let mut placed = Vec::with_capacity(listing.people.len());
        for listed in &listing.people {
            let account =
                match listed.managed_account.as_ref().and_then(|account| accounts.get(&account.to_lowercase())) {
                    Some(owner) => {
                        let account = listed.managed_account.as_deref().unwrap_or_default();
                        self.conflicts.push(format!(
                            "{}: the Managed Apple Account {account} belongs to person {owner}, so {} goes without",
                            listed.place, listed.email
                        ));
                        None
                    }
                    None => listed.managed_account.clone(),
                };
            if let Some(person) = known.get(listed.uid.as_str()) {
                let email = kept.get(&person.id).filter(|email| **email != listed.email.to_lowercase());
                let email = if email.is_some() { person.email.clone() } else { listed.email.clone() };
                self.change(person, listed, email, account)?;
                placed.push((listed, person.id));
                continue;
            }
            if taken.contains(&listed.email.to_lowercase()) {
                let owner = by_email.get(&listed.email.to_lowercase()).map(|person| person.id.0).unwrap_or_default();
                self.conflicts.push(format!(
                    "{}: {} is left out, because the address belongs to person {owner}, who has another uid. If that is \
                     the same person, give it the uid from before; if not, give the earlier one another address: \
                     vppd user edit {owner} --email ADDRESS",
                    listed.place, listed.email
                ));
                continue;
            }
            let person = Person {
                id: PersonId(0),
                client_user_id: ids.next().unwrap_or_default(),
                name: listed.name.clone(),
                email: listed.email.clone(),
                managed_account: account,
                created_at: self.now,
                created_by: "directory".to_owned(),
                source: self.source,
                external_id: Some(listed.uid.clone()),
                gone_at: None,
                retired_at: None,
            };
            placed.push((listed, persons::add(self.w, &person)?));
            self.changes.added += 1;
        }
        Ok(placed)
    }

    /// The addresses that known people have in the end, in small letters. Who gets another one gives the old one up first,
    /// so that two people can change over; who cannot get it, because somebody else keeps it, stays with the old one.
    fn addresses(
        &mut self,
        known: &[(&Listed, &Person)],
        all: &[Person],
    ) -> Result<BTreeMap<PersonId, String>, StoreError> {
        let changes = |(listed, person): &&(&Listed, &Person)| !listed.email.eq_ignore_ascii_case(&person.email);
        let mut moving: Vec<(&Listed, &Person)> = known.iter().filter(changes).copied().collect();
        let leaving: HashSet<PersonId> = moving.iter().map(|(_, person)| person.id).collect();
        let mut owners: HashMap<String, PersonId> = all
            .iter()
            .filter(|person| !leaving.contains(&person.id))
            .map(|person| (person.email.to_lowercase(), person.id))
            .collect();
        while let Some(at) = moving.iter().position(|(listed, _)| owners.contains_key(&listed.email.to_lowercase())) {
            let (listed, person) = moving.swap_remove(at);
            let owner = owners.get(&listed.email.to_lowercase()).map(|id| id.0).unwrap_or_default();
            self.conflicts.push(format!(
                "{}: person {} stays {}, because {} belongs to person {owner}. If that one has gone, give it another \
                 address: vppd user edit {owner} --email ADDRESS",
                listed.place, person.id, person.email, listed.email
            ));
            owners.insert(person.email.to_lowercase(), person.id);
        }
        for (_, person) in &moving {
            persons::vacate(self.w, person.id)?;
        }
        let moved: BTreeMap<PersonId, String> =
            moving.iter().map(|(listed, person)| (person.id, listed.email.to_lowercase())).collect();
        let address = |person: &Person| moved.get(&person.id).cloned().unwrap_or_else(|| person.email.to_lowercase());
        Ok(known.iter().map(|(_, person)| (person.id, address(person))).collect())
    }

    fn change(
        &mut self,
        person: &Person,
        listed: &Listed,
        email: String,
        account: Option<String>,
    ) -> Result<(), StoreError> {
        let new = Person {
            name: listed.name.clone(),
            email,
            managed_account: account,
            source: self.source,
            external_id: Some(listed.uid.clone()),
            gone_at: None,
            ..person.clone()
        };
        let told_anew = (&person.email, &person.managed_account) != (&new.email, &new.managed_account);
        if told_anew || person.name != new.name {
            persons::edit(self.w, &new)?;
            self.changes.changed += 1;
        }
        if told_anew {
            self.touched.extend(users::tell_apple(self.w, person.id, true, self.now)?);
        }
        if person.gone_at.is_some() {
            self.changes.back += 1;
            audit::write(self.w, self.now, "directory", "person back", &new.email)?;
        }
        if (person.source, &person.external_id, person.gone_at) != (new.source, &new.external_id, None) {
            persons::follow(self.w, &new)?;
        }
        Ok(())
    }

    /// Makes groups, puts people into them and takes them out. Who is missing in the listing stays where it is.
    fn groups(&mut self, listing: &Listing, placed: &Placed<'_>) -> Result<(), StoreError> {
        let known = groups::all(self.w)?;
        let mut id_of: HashMap<&str, GroupId> = HashMap::new();
        for (external, name) in &listing.groups {
            let same = |group: &&groups::Group| {
                group.source == self.source && group.external_id.as_deref() == Some(external.as_str())
            };
            let named = known.iter().find(|group| group.name.to_lowercase() == name.to_lowercase());
            let id = match (known.iter().find(same), named) {
                (Some(group), named) => {
                    if group.name != *name && named.is_none_or(|other| other.id == group.id) {
                        groups::edit(self.w, &groups::Group { name: name.clone(), ..group.clone() })?;
                    }
                    group.id
                }
                (None, Some(other)) => {
                    self.conflicts.push(format!(
                        "group \"{name}\" is left out: there is a group of {} with this name already. Give that one another: \
                         vppd group edit \"{}\" --name NAME",
                        if other.kind == GroupKind::People { "people" } else { "devices" },
                        other.name
                    ));
                    continue;
                }
                (None, None) => groups::add(self.w, &new_of_people(name, external, self.source, self.now))?,
            };
            id_of.insert(external, id);
        }
        let ours: HashSet<GroupId> = known
            .iter()
            .filter(|group| group.source == self.source)
            .map(|group| group.id)
            .chain(id_of.values().copied())
            .collect();
        let here: HashSet<PersonId> = placed.iter().map(|(_, person)| *person).collect();
        let wanted: BTreeSet<(PersonId, GroupId)> = placed
            .iter()
            .flat_map(|(listed, person)| listed.groups.iter().map(move |group| (*person, group)))
            .filter_map(|(person, group)| Some((person, *id_of.get(group.as_str())?)))
            .collect();
        let have = groups::people(self.w)?;
        for (person, group) in wanted.difference(&have) {
            groups::add_person(self.w, *group, *person)?;
            self.changes.memberships += 1;
        }
        let mut occupied: HashSet<GroupId> = wanted.iter().map(|(_, group)| *group).collect();
        for (person, group) in have.difference(&wanted) {
            if ours.contains(group) && here.contains(person) {
                groups::remove_person(self.w, *group, *person)?;
                self.changes.memberships += 1;
            } else {
                occupied.insert(*group);
            }
        }
        for group in known.iter().filter(|group| ours.contains(&group.id) && !occupied.contains(&group.id)) {
            let (deployments, locations) = groups::used_by(self.w, group.id)?;
            if deployments.is_empty() && locations.is_empty() {
                groups::remove(self.w, group.id)?;
            }
        }
        Ok(())
    }

    /// Keeps with what people sign in. A person who has left the directory cannot, whatever is kept.
    fn passwords(&mut self, placed: &Placed<'_>) -> Result<(), StoreError> {
        for (listed, person) in placed {
            if passwords::put(self.w, *person, listed.password.as_deref())? {
                audit::write(self.w, self.now, "directory", "password changed", &listed.email)?;
            }
        }
        Ok(())
    }

    /// Says whose the devices are, unless an administrator has said so.
    fn devices(&mut self, placed: &Placed<'_>) -> Result<(), StoreError> {
        let mut notes: HashMap<String, Note> =
            device_notes::all(self.w)?.into_iter().map(|note| (note.serial.clone(), note)).collect();
        let here: HashSet<PersonId> = placed.iter().map(|(_, person)| *person).collect();
        for (listed, person) in placed {
            for serial in &listed.devices {
                let note = notes.remove(serial.as_str()).unwrap_or_else(|| Note::empty(serial.as_str()));
                if note.person_source == Some(Source::Hand) || note.person == Some(*person) {
                    continue;
                }
                device_notes::put(self.w, &Note { person: Some(*person), person_source: Some(self.source), ..note })?;
                self.changes.devices += 1;
            }
        }
        for note in notes.into_values() {
            if note.person_source == Some(self.source) && note.person.is_some_and(|person| here.contains(&person)) {
                device_notes::put(self.w, &Note { person: None, person_source: None, ..note })?;
                self.changes.devices += 1;
            }
        }
        Ok(())
    }
}
