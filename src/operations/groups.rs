//! Groups of devices: by list, by a CSV file, by rule. Groups of people come from the [`super::directory`].

use jiff::Timestamp;
use rusqlite::Connection;

use super::view::{
    GroupAddRequest, GroupDetailView, GroupDevicesRequest, GroupDevicesView, GroupEditRequest, GroupImportRequest,
    GroupMemberView, GroupView, PersonBriefView,
};
use super::{Kind, OperationError, Shared, notify_after, serials};
use crate::licensing::membership::Rule;
use crate::model::{GroupId, GroupKind, LocationId, SerialNumber, Source};
use crate::store::groups::{self, Group};
use crate::store::membership::{Member, Membership};
use crate::store::{StoreError, Write, audit, persons};

/// In bytes.
const LONGEST_NAME: usize = 200;
/// In characters.
const LONGEST_DESCRIPTION: usize = 2_000;

/// All groups, by their names.
pub async fn list(context: &Shared) -> Result<Vec<GroupView>, OperationError> {
    let read = context.store.read(|c| -> Result<Vec<GroupView>, OperationError> {
        let members = Membership::load(c)?;
        groups::all(c)?.into_iter().map(|group| Ok(view(c, group, &members)?)).collect()
    });
    read.await
}

/// One group, and who is in it now.
pub async fn show(context: &Shared, name: String) -> Result<GroupDetailView, OperationError> {
    let read = context.store.read(move |c| -> Result<GroupDetailView, OperationError> {
        let group = find(c, &name)?;
        let members = Membership::load(c)?;
        let mut devices: Vec<GroupMemberView> =
            members.devices.iter().filter(|device| members.has(group.id, device)).map(member).collect();
        for serial in groups::serials(c, group.id)? {
            if !devices.iter().any(|device| device.serial == serial) {
                let person = members.person_of.get(&serial);
                let person = person.map(|id| persons::by_id(c, *id)).transpose()?.flatten();
                devices.push(GroupMemberView {
                    serial,
                    udid: String::new(),
                    enrolled: false,
                    model: String::new(),
                    os_version: String::new(),
                    person: person.map(|person| person.email).unwrap_or_default(),
                });
            }
        }
        devices.sort_by(|a, b| (&a.serial, &a.udid).cmp(&(&b.serial, &b.udid)));
        let mut people = Vec::new();
        for id in members.people_in(group.id) {
            people.extend(persons::by_id(c, id)?.map(|person| PersonBriefView {
                id: person.id.0,
                name: person.name,
                email: person.email,
            }));
        }
        people.sort_by(|a, b| a.email.cmp(&b.email));
        Ok(GroupDetailView { group: view(c, group, &members)?, devices, people })
    });
    read.await
}

fn member(device: &Member) -> GroupMemberView {
    GroupMemberView {
        serial: device.facts.serial.clone(),
        udid: device.udid.clone(),
        enrolled: device.enrolled,
        model: device.facts.models.first().cloned().unwrap_or_default(),
        os_version: device.facts.os.clone(),
        person: device.facts.person.clone(),
    }
}

/// A group of devices as a person wants it, checked.
pub(super) struct Wanted {
    pub name: String,
    pub description: String,
    /// As it is kept; `None`: a list of devices.
    pub rule: Option<String>,
    pub serials: Vec<SerialNumber>,
}

impl Wanted {
    /// Checks what does not need the database.
    pub fn read(request: &GroupAddRequest) -> Result<Wanted, OperationError> {
        let name = checked_name(&request.name)?;
        let description = checked_description(&request.description)?;
        let rule = request.rule.as_deref().map(checked_rule).transpose()?;
        let serials = serials::read_all(&request.devices)?;
        if rule.is_some() && !serials.is_empty() {
            return Err(OperationError::invalid(
                "group-kind",
                "a group has either a rule or a list of devices, not both",
                "Nothing was changed. To join the two, make two groups, and a deployment for each.",
            ));
        }
        Ok(Wanted { name, description, rule, serials })
    }

    /// What makes somebody a member of it.
    pub fn kind(&self) -> GroupKind {
        if self.rule.is_some() { GroupKind::Rule } else { GroupKind::Devices }
    }
}

/// Makes a group of devices.
pub async fn add(context: &Shared, request: GroupAddRequest, who: &str) -> Result<GroupView, OperationError> {
    let wanted = Wanted::read(&request)?;
    let (now, who, plan_now) = (context.clock.now(), who.to_owned(), context.plan_now.clone());
    context
        .store
        .write(move |w| -> Result<GroupView, OperationError> {
            let group = keep_new(w, wanted, now, &who)?;
            notify_after(w, &plan_now);
            Ok(view(w, group, &Membership::load(w)?)?)
        })
        .await
}

/// Keeps a group that is not there yet.
pub(super) fn keep_new(w: &Write<'_>, wanted: Wanted, now: Timestamp, who: &str) -> Result<Group, OperationError> {
    check_name_is_free(w, &wanted.name, None)?;
    let mut group = Group {
        id: GroupId(0),
        kind: wanted.kind(),
        name: wanted.name,
        rule: wanted.rule.unwrap_or_default(),
        source: Source::Hand,
        external_id: None,
        description: wanted.description,
        created_at: now,
        created_by: who.to_owned(),
    };
    group.id = groups::add(w, &group)?;
    for serial in &wanted.serials {
        groups::add_serial(w, group.id, serial)?;
    }
    audit::write(w, now, who, "group added", &group.name)?;
    Ok(group)
}

/// Keeps another name, rule or description of a group.
pub(super) fn keep_changed(w: &Write<'_>, group: &Group, now: Timestamp, who: &str) -> Result<(), StoreError> {
    groups::edit(w, group)?;
    audit::write(w, now, who, "group edited", &group.name)
}

/// Changes a group's name, rule or description. Of one that the directory brings only the description.
pub async fn edit(
    context: &Shared,
    name: String,
    request: GroupEditRequest,
    who: &str,
) -> Result<GroupView, OperationError> {
    let new_name = request.name.as_deref().map(checked_name).transpose()?;
    let rule = request.rule.as_deref().map(checked_rule).transpose()?;
    let description = request.description.as_deref().map(checked_description).transpose()?;
    let (now, who, plan_now) = (context.clock.now(), who.to_owned(), context.plan_now.clone());
    context
        .store
        .write(move |w| -> Result<GroupView, OperationError> {
            let mut group = find(w, &name)?;
            if new_name.is_some() || rule.is_some() {
                check_is_ours(&group)?;
            }
            if let Some(new_name) = new_name {
                check_name_is_free(w, &new_name, Some(group.id))?;
                group.name = new_name;
            }
            if let Some(rule) = rule {
                if group.kind != GroupKind::Rule {
                    return Err(wrong_kind(&group, "has a list of devices, not a rule"));
                }
                group.rule = rule;
            }
            group.description = description.unwrap_or(group.description);
            keep_changed(w, &group, now, &who)?;
            notify_after(w, &plan_now);
            Ok(view(w, group, &Membership::load(w)?)?)
        })
        .await
}

/// Removes a group that nobody speaks of.
pub async fn remove(context: &Shared, name: String, who: &str) -> Result<GroupView, OperationError> {
    let (now, who, plan_now) = (context.clock.now(), who.to_owned(), context.plan_now.clone());
    context
        .store
        .write(move |w| -> Result<GroupView, OperationError> {
            let group = find(w, &name)?;
            let shown = view(w, group.clone(), &Membership::load(w)?)?;
            take_out(w, &group, now, &who)?;
            notify_after(w, &plan_now);
            Ok(shown)
        })
        .await
}

/// Removes a group that is ours and that nobody speaks of.
pub(super) fn take_out(w: &Write<'_>, group: &Group, now: Timestamp, who: &str) -> Result<(), OperationError> {
    check_is_ours(group)?;
    check_is_unused(w, group)?;
    groups::remove(w, group.id)?;
    Ok(audit::write(w, now, who, "group removed", &group.name)?)
}

fn check_is_unused(connection: &Connection, group: &Group) -> Result<(), OperationError> {
    let (deployments, locations) = groups::used_by(connection, group.id)?;
    if deployments.is_empty() && locations.is_empty() {
        return Ok(());
    }
    let deployments: Vec<String> = deployments.iter().map(|id| format!("deployment {id}")).collect();
    let locations = locations.iter().map(|name| format!("location \"{name}\""));
    let users: Vec<String> = deployments.into_iter().chain(locations).collect();
    Err(OperationError::new(
        Kind::Conflict,
        "group-in-use",
        format!("group \"{}\" is used by {}", group.name, users.join(", ")),
        "Nothing was changed. Remove or edit the deployments first (`vppd deploy list`), and name the location's groups \
         anew (`vppd token edit --group`).",
    ))
}

/// Puts devices into a group, enrolled or not yet, and takes others out.
pub async fn change_devices(
    context: &Shared,
    name: String,
    request: GroupDevicesRequest,
    who: &str,
) -> Result<GroupDevicesView, OperationError> {
    let (added, removed) = (serials::read_all(&request.add)?, serials::read_all(&request.remove)?);
    let write = move |w: &Write<'_>, group: &Group| put(w, group, &added, &removed);
    change(context, name, who, write).await
}

/// Puts the devices of a CSV file into a group; with `replace`, nobody else stays in it.
pub async fn import(
    context: &Shared,
    name: String,
    request: GroupImportRequest,
    who: &str,
) -> Result<GroupDevicesView, OperationError> {
    let listed = serials::from_csv(&request.content)?;
    let write = move |w: &Write<'_>, group: &Group| {
        let mut removed = Vec::new();
        if request.replace {
            let gone = groups::serials(w, group.id)?.into_iter().filter_map(|serial| SerialNumber::read(&serial));
            removed.extend(gone.filter(|serial| !listed.contains(serial)));
        }
        put(w, group, &listed, &removed)
    };
    change(context, name, who, write).await
}

/// How many were added, removed, and so already.
pub(super) type Counts = (u64, u64, u64);

async fn change(
    context: &Shared,
    name: String,
    who: &str,
    work: impl FnOnce(&Write<'_>, &Group) -> Result<Counts, StoreError> + Send + 'static,
) -> Result<GroupDevicesView, OperationError> {
    let (now, who, plan_now) = (context.clock.now(), who.to_owned(), context.plan_now.clone());
    context
        .store
        .write(move |w| -> Result<GroupDevicesView, OperationError> {
            let group = find(w, &name)?;
            if group.kind != GroupKind::Devices {
                let how = match group.kind {
                    GroupKind::Rule => "has a rule, which says who is in it",
                    _ => "is one of people, and comes from the directory",
                };
                return Err(wrong_kind(&group, how));
            }
            let (added, removed, unchanged) = work(w, &group)?;
            note_devices(w, &group, (added, removed), now, &who)?;
            notify_after(w, &plan_now);
            Ok(GroupDevicesView { group: view(w, group, &Membership::load(w)?)?, added, removed, unchanged })
        })
        .await
}

/// Leaves a line about devices that were added and removed.
pub(super) fn note_devices(
    w: &Write<'_>,
    group: &Group,
    (added, removed): (u64, u64),
    now: Timestamp,
    who: &str,
) -> Result<(), StoreError> {
    let what = format!("{}: {added} added, {removed} removed", group.name);
    audit::write(w, now, who, "devices of a group changed", &what)
}

pub(super) fn put(
    w: &Write<'_>,
    group: &Group,
    add: &[SerialNumber],
    remove: &[SerialNumber],
) -> Result<Counts, StoreError> {
    let (mut added, mut removed) = (0, 0);
    for serial in add {
        added += u64::from(groups::add_serial(w, group.id, serial)?);
    }
    for serial in remove {
        removed += u64::from(groups::remove_serial(w, group.id, serial.as_str())?);
    }
    Ok((added, removed, (add.len() + remove.len()) as u64 - added - removed))
}

/// The group with this name.
pub(super) fn find(connection: &Connection, name: &str) -> Result<Group, OperationError> {
    if let Some(group) = groups::by_name(connection, name.trim())? {
        return Ok(group);
    }
    let sought = name.trim().to_lowercase();
    let all = groups::all(connection)?;
    let near = all
        .iter()
        .map(|group| (strsim::normalized_damerau_levenshtein(&group.name.to_lowercase(), &sought), &group.name))
        .filter(|(closeness, _)| *closeness >= 0.6)
        .max_by(|a, b| a.0.total_cmp(&b.0));
    let advice = match near {
        Some((_, near)) => format!("Did you mean \"{near}\"? `vppd group list` shows them all."),
        None => "`vppd group list` shows them all.".to_owned(),
    };
    let shown: String = name.chars().take(80).collect();
    Err(OperationError::not_found(format!("there is no group \"{shown}\""), advice))
}

fn view(connection: &Connection, group: Group, members: &Membership) -> Result<GroupView, StoreError> {
    let (deployments, locations) = groups::used_by(connection, group.id)?;
    let mut notes = Vec::new();
    if let Ok(rule) = Rule::parse(&group.rule) {
        for name in rule.groups() {
            if groups::by_name(connection, name)?.is_none_or(|other| other.kind != GroupKind::People) {
                notes.push(format!("no group of people is called \"{name}\" yet, so nobody is in it"));
            }
        }
    }
    Ok(GroupView {
        id: group.id.0,
        devices: members.enrolled_in(group.id).count() as u64,
        listed: groups::serials(connection, group.id)?.len() as u64,
        people: members.people_in(group.id).len() as u64,
        deployments: deployments.into_iter().map(|id| id.0).collect(),
        locations,
        notes,
        name: group.name,
        kind: group.kind,
        source: group.source,
        rule: group.rule,
        description: group.description,
        created_at: group.created_at,
        created_by: group.created_by,
    })
}

/// A name that can stand in a rule, on a command line and in a file.
pub(super) fn checked_name(name: &str) -> Result<String, OperationError> {
    let name = name.trim();
    let sound = !name.is_empty()
        && name.len() <= LONGEST_NAME
        && !name.chars().any(|c| c.is_control() || matches!(c, '"' | '*'));
    if sound {
        return Ok(name.to_owned());
    }
    let shown: String = name.chars().take(80).collect();
    Err(OperationError::invalid(
        "group-name",
        format!("\"{shown}\" cannot be the name of a group"),
        format!("Nothing was changed. A name has 1 to {LONGEST_NAME} bytes, without \" and * and control characters."),
    ))
}

fn checked_description(text: &str) -> Result<String, OperationError> {
    let text = text.trim();
    if text.chars().count() <= LONGEST_DESCRIPTION {
        return Ok(text.to_owned());
    }
    let message = format!("the description is longer than {LONGEST_DESCRIPTION} characters");
    Err(OperationError::invalid("too-long", message, "Nothing was changed."))
}

/// The rule as it is kept: as it prints.
pub(super) fn checked_rule(text: &str) -> Result<String, OperationError> {
    Rule::parse(text).map(|rule| rule.to_string()).map_err(|error| {
        let rest: String = text.chars().skip(error.column - 1).take(20).collect();
        let place = if rest.trim().is_empty() { "at its end".to_owned() } else { format!("at \"{rest}\"") };
        OperationError::invalid(
            "rule",
            format!("the rule cannot be read: {error} ({place})"),
            "Nothing was changed. An example: model = \"iPad*\" and os >= 17.0 and not group = \"Guests\"",
        )
    })
}

fn check_name_is_free(connection: &Connection, name: &str, except: Option<GroupId>) -> Result<(), OperationError> {
    match groups::by_name(connection, name)?.filter(|other| Some(other.id) != except) {
        None => Ok(()),
        Some(other) => Err(OperationError::new(
            Kind::Conflict,
            "name-taken",
            format!("there is a group called \"{}\" already", other.name),
            "Nothing was changed. Choose another name, or change that group: `vppd group edit`.",
        )),
    }
}

pub(super) fn check_is_ours(group: &Group) -> Result<(), OperationError> {
    if group.source == Source::Hand {
        return Ok(());
    }
    Err(OperationError::new(
        Kind::Conflict,
        "from-directory",
        format!("group \"{}\" comes from the directory", group.name),
        "Nothing was changed. Change it there, then: vppd directory sync",
    ))
}

pub(super) fn wrong_kind(group: &Group, how: &str) -> OperationError {
    OperationError::new(
        Kind::Conflict,
        "group-kind",
        format!("group \"{}\" {how}", group.name),
        "Nothing was changed. `vppd group show` tells who is in it and why.",
    )
}

/// The names of the groups that may draw licences from a location.
pub(super) fn names_of_location(connection: &Connection, location: LocationId) -> Result<Vec<String>, StoreError> {
    let ids = groups::of_location(connection, location)?;
    Ok(groups::all(connection)?.into_iter().filter(|group| ids.contains(&group.id)).map(|group| group.name).collect())
}

/// A group of people that a directory has brought.
pub(super) fn new_of_people(name: &str, external_id: &str, source: Source, now: Timestamp) -> Group {
    Group {
        id: GroupId(0),
        name: name.to_owned(),
        kind: GroupKind::People,
        rule: String::new(),
        source,
        external_id: Some(external_id.to_owned()),
        description: String::new(),
        created_at: now,
        created_by: "directory".to_owned(),
    }
}
