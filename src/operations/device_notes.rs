//! What administrators say of a device, enrolled or not yet: whose it is, who owns it, tags.

use std::collections::HashMap;

use rusqlite::Connection;

use super::people::find;
use super::view::{DeviceEditRequest, DeviceNoteView};
use super::{OperationError, Shared, notify_after, serials};
use crate::model::{DeviceId, Ownership, PersonId, Source};
use crate::store::device_notes::{self, Note};
use crate::store::membership::Membership;
use crate::store::{StoreError, audit, devices, groups, inventory, persons};

/// Most tags of a device, and their longest, in bytes.
const MOST_TAGS: usize = 50;
const LONGEST_TAG: usize = 100;

/// Changes what is said of a device; what the request leaves out stays. A person who is named here stays whatever a directory
/// says, until the name is taken back.
pub async fn edit(
    context: &Shared,
    serial: String,
    request: DeviceEditRequest,
    who: &str,
) -> Result<DeviceNoteView, OperationError> {
    let serial = serials::read(&serial)?;
    let tags = request.tags.as_deref().map(checked_tags).transpose()?;
    let (now, who, plan_now) = (context.clock.now(), who.to_owned(), context.plan_now.clone());
    context
        .store
        .write(move |w| -> Result<DeviceNoteView, OperationError> {
            let mut note = device_notes::get(w, serial.as_str())?;
            let old = note.clone();
            match request.person.as_deref().map(str::trim) {
                None => {}
                Some("") => (note.person, note.person_source) = (None, None),
                Some(name) => (note.person, note.person_source) = (Some(find(w, name)?.id), Some(Source::Hand)),
            }
            note.ownership = request.ownership.unwrap_or(note.ownership);
            note.tags = tags.unwrap_or(note.tags);
            if note != old {
                device_notes::put(w, &note)?;
                if note.ownership == Ownership::Personal && old.ownership != Ownership::Personal {
                    forget_private_apps(w, serial.as_str())?;
                }
                audit::write(w, now, &who, "device edited", serial.as_str())?;
                notify_after(w, &plan_now);
            }
            Ok(view(w, note)?)
        })
        .await
}

/// A device has become a personal one: only its managed apps are anybody's business, and it is asked for these anew.
fn forget_private_apps(connection: &Connection, serial: &str) -> Result<(), StoreError> {
    let Some(device) = devices::id_by_serial(connection, serial)? else { return Ok(()) };
    inventory::forget_apps(connection, device)?;
    inventory::ask_anew(connection, device)
}

/// What is said of a device.
pub async fn show(context: &Shared, serial: String) -> Result<DeviceNoteView, OperationError> {
    let serial = serials::read(&serial)?;
    context.store.read(move |c| Ok(view(c, device_notes::get(c, serial.as_str())?)?)).await
}

fn checked_tags(tags: &[String]) -> Result<Vec<String>, OperationError> {
    let mut checked: Vec<String> = tags.iter().map(|tag| tag.trim().to_owned()).collect();
    checked.retain(|tag| !tag.is_empty());
    checked.sort();
    checked.dedup();
    let sound =
        |tag: &String| tag.len() <= LONGEST_TAG && !tag.chars().any(|c| c.is_control() || matches!(c, '"' | '*'));
    if checked.len() <= MOST_TAGS && checked.iter().all(sound) {
        return Ok(checked);
    }
    Err(OperationError::invalid(
        "tags",
        format!(
            "a device has at most {MOST_TAGS} tags of {LONGEST_TAG} bytes each, without \" and * and control characters"
        ),
        "Nothing was changed.",
    ))
}

fn view(connection: &Connection, note: Note) -> Result<DeviceNoteView, StoreError> {
    let members = Membership::load(connection)?;
    let device = members.devices.iter().find(|device| device.facts.serial == note.serial);
    let mut names = Vec::new();
    for group in groups::all(connection)? {
        let inside = match device {
            Some(device) => members.has(group.id, device),
            None => {
                let by_person = |person| members.has_person(group.id, person);
                groups::serials(connection, group.id)?.contains(&note.serial) || note.person.is_some_and(by_person)
            }
        };
        if inside {
            names.push(group.name);
        }
    }
    let person = note.person.map(|id| persons::by_id(connection, id)).transpose()?.flatten();
    Ok(DeviceNoteView {
        enrolled: device.is_some_and(|device| device.enrolled),
        person: person.map(|person| person.email).unwrap_or_default(),
        person_source: note.person_source,
        ownership: note.ownership,
        tags: note.tags,
        groups: names,
        serial: note.serial,
    })
}

/// The names of the groups that an enrolled device is in.
pub(super) fn groups_of(connection: &Connection, device: DeviceId) -> Result<Vec<String>, StoreError> {
    let members = Membership::load(connection)?;
    let Some(device) = members.devices.iter().find(|known| known.id == device) else { return Ok(Vec::new()) };
    let all = groups::all(connection)?.into_iter();
    Ok(all.filter(|group| members.has(group.id, device)).map(|group| group.name).collect())
}

/// What is said of all devices, loaded once for many.
pub(super) struct Said {
    notes: HashMap<String, Note>,
    emails: HashMap<PersonId, String>,
}

impl Said {
    pub fn load(connection: &Connection) -> Result<Said, StoreError> {
        let emails = persons::all(connection)?.into_iter().map(|person| (person.id, person.email)).collect();
        let notes = device_notes::all(connection)?.into_iter().map(|note| (note.serial.clone(), note)).collect();
        Ok(Said { notes, emails })
    }

    /// The address of a device's person, and what else is said of the device.
    pub fn of(&self, serial: &str) -> (String, Option<&Note>) {
        let note = self.notes.get(serial);
        let person = note.and_then(|note| self.emails.get(&note.person?)).cloned();
        (person.unwrap_or_default(), note)
    }
}
