//! People: those whom the directory knows and those whom administrators have registered, in one list. Only the latter, or
//! who needs a licence by user, is registered at Apple: see [`super::users`].

use std::collections::HashMap;

use jiff::Timestamp;
use rusqlite::Connection;

use super::view::{PersonState, PersonView};
use super::{OperationError, Shared};
use crate::clock::after;
use crate::licensing::registration::Wanted;
use crate::model::{GroupId, LocationId};
use crate::store::membership::Membership;
use crate::store::persons::{self, Person};
use crate::store::{StoreError, groups, locations, users};

/// All people, by their addresses.
pub async fn list(context: &Shared) -> Result<Vec<PersonView>, OperationError> {
    let (now, grace) = (context.clock.now(), context.config().directory.grace);
    let read = context.store.read(move |c| -> Result<Vec<PersonView>, OperationError> {
        let known = Known::load(c, now, grace)?;
        persons::all(c)?.into_iter().map(|person| Ok(known.view(c, person)?)).collect()
    });
    read.await
}

/// One person, by number, address or GUID.
pub async fn show(context: &Shared, name: String) -> Result<PersonView, OperationError> {
    let (now, grace) = (context.clock.now(), context.config().directory.grace);
    let read = context.store.read(move |c| -> Result<PersonView, OperationError> {
        let person = find(c, &name)?;
        Ok(Known::load(c, now, grace)?.view(c, person)?)
    });
    read.await
}

/// The person with this number, address or GUID.
pub(super) fn find(connection: &Connection, name: &str) -> Result<Person, OperationError> {
    persons::by_name(connection, name.trim())?.ok_or_else(|| {
        let shown: String = name.chars().take(80).collect();
        OperationError::not_found(format!("there is no person \"{shown}\""), "`vppd person list` shows them all.")
    })
}

/// What is known of groups, devices and locations, loaded once for many people.
struct Known {
    now: Timestamp,
    grace: std::time::Duration,
    members: Membership,
    groups: HashMap<GroupId, String>,
    locations: HashMap<LocationId, String>,
}

impl Known {
    fn load(c: &Connection, now: Timestamp, grace: std::time::Duration) -> Result<Known, StoreError> {
        Ok(Known {
            now,
            grace,
            members: Membership::load(c)?,
            groups: groups::all(c)?.into_iter().map(|group| (group.id, group.name)).collect(),
            locations: locations::all(c)?.into_iter().map(|location| (location.id, location.name)).collect(),
        })
    }

    fn view(&self, c: &Connection, person: Person) -> Result<PersonView, StoreError> {
        let leaves_at = person.gone_at.map(|gone| after(gone, self.grace));
        let state = match leaves_at {
            _ if person.retired_at.is_some() => PersonState::Retired,
            None => PersonState::Present,
            Some(leaves) if leaves > self.now => PersonState::Leaving,
            Some(_) => PersonState::Gone,
        };
        let mut groups: Vec<String> =
            self.members.groups_of_person(person.id).iter().filter_map(|id| self.groups.get(id).cloned()).collect();
        groups.sort();
        let mut devices: Vec<String> = self
            .members
            .person_of
            .iter()
            .filter(|(_, owner)| **owner == person.id)
            .map(|(serial, _)| serial.clone())
            .collect();
        devices.sort();
        let registered = users::of_person(c, person.id)?
            .into_iter()
            .filter(|user| user.wanted == Wanted::Registered)
            .filter_map(|user| self.locations.get(&user.location).cloned())
            .collect();
        Ok(PersonView {
            id: person.id.0,
            name: person.name,
            email: person.email,
            managed_account: person.managed_account,
            client_user_id: person.client_user_id,
            source: person.source,
            external_id: person.external_id,
            state,
            gone_at: person.gone_at,
            leaves_at,
            groups,
            devices,
            registered,
            created_at: person.created_at,
            created_by: person.created_by,
        })
    }
}
