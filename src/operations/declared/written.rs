//! The file, written: the same world gives the same text, in the order that means something (of tokens and deployments), or by
//! name (of groups). What is ordinary is left out.

use rusqlite::Connection;
use toml::Value;

use crate::config::show_duration;
use crate::model::{Delivery, GroupKind, LicenceKind, Source, Target, UpdatePolicy};
use crate::operations::catalogue::Catalogue;
use crate::operations::{OperationError, deployments as verbs, groups as group_verbs};
use crate::store::deployments::Deployment;
use crate::store::groups::Group;
use crate::store::locations::Location;
use crate::store::{StoreError, deployments, groups, locations, persons};

const HEAD: &str = "\
# Groups, deployments and token settings of vppd. A kind that is here is the whole truth of its kind; `vppd apply FILE --dry-run`
# tells what it would change. Groups that come from the directory are not here, only referred to.
";

/// The whole file.
pub(super) fn write(connection: &Connection) -> Result<String, OperationError> {
    let tokens = locations::all(connection)?;
    let hand: Vec<Group> = groups::all(connection)?.into_iter().filter(|group| group.source == Source::Hand).collect();
    let all = deployments::all(connection)?;
    let mut text = HEAD.to_owned();
    // Before the first table, where TOML has them.
    for (what, empty) in [("token", tokens.is_empty()), ("group", hand.is_empty()), ("deployment", all.is_empty())] {
        if empty {
            text.push_str(&format!("{what} = []\n"));
        }
    }
    for location in &tokens {
        token(connection, &mut text, location)?;
    }
    for one in &hand {
        group(connection, &mut text, one)?;
    }
    let catalogue = Catalogue::load(connection)?;
    for one in &all {
        deployment(connection, &mut text, one, &catalogue)?;
    }
    Ok(text)
}

fn quoted(text: &str) -> String {
    Value::String(text.to_owned()).to_string()
}

/// A key with text, unless that is empty.
fn put(text: &mut String, key: &str, value: &str) {
    if !value.is_empty() {
        text.push_str(&format!("{key} = {}\n", quoted(value)));
    }
}

/// A key with a list, one item in a line, unless that is empty.
fn put_list<T: AsRef<str>>(text: &mut String, key: &str, items: impl IntoIterator<Item = T>) {
    let lines: Vec<String> = items.into_iter().map(|item| format!("    {},\n", quoted(item.as_ref()))).collect();
    if !lines.is_empty() {
        text.push_str(&format!("{key} = [\n{}]\n", lines.concat()));
    }
}

fn token(connection: &Connection, text: &mut String, location: &Location) -> Result<(), StoreError> {
    text.push_str("\n[[token]]\n");
    put(text, "location", &location.uid);
    put(text, "name", &location.name);
    put(text, "description", &location.notes.description);
    put(text, "account-email", &location.notes.account_email);
    put_list(text, "categories", &location.notes.categories);
    put_list(text, "contacts", &location.notes.contacts);
    put_list(text, "groups", group_verbs::names_of_location(connection, location.id)?);
    put(text, "sync-interval", &location.pace.interval.map(show_duration).unwrap_or_default());
    put(text, "full-sync-interval", &location.pace.full_interval.map(show_duration).unwrap_or_default());
    Ok(())
}

fn group(connection: &Connection, text: &mut String, group: &Group) -> Result<(), StoreError> {
    text.push_str("\n[[group]]\n");
    put(text, "name", &group.name);
    put(text, "description", &group.description);
    if group.kind == GroupKind::Rule {
        put(text, "rule", &group.rule);
    } else {
        put_list(text, "devices", groups::serials(connection, group.id)?);
    }
    Ok(())
}

fn deployment(
    connection: &Connection,
    text: &mut String,
    deployment: &Deployment,
    catalogue: &Catalogue,
) -> Result<(), OperationError> {
    let terms = &deployment.terms;
    let name: String = catalogue.name(&deployment.adam_id).chars().filter(|c| !c.is_control()).collect();
    let comment = if name.is_empty() { name } else { format!(" # {name}") };
    text.push_str("\n[[deployment]]\n");
    text.push_str(&format!("app = {}{comment}\n", quoted(&deployment.adam_id)));
    put(text, "to", &target(connection, &deployment.target)?);
    put(text, "purpose", deployment.purpose.word());
    if terms.licence != LicenceKind::default() {
        put(text, "licence", terms.licence.word());
    }
    if terms.updates != UpdatePolicy::default() {
        put(text, "updates", terms.updates.word());
    }
    let numbers = [
        ("priority", Some(terms.priority).filter(|priority| *priority != 0)),
        ("quota", terms.quota.map(i64::from)),
        ("wave", terms.wave.map(i64::from)),
    ];
    for (key, number) in numbers {
        if let Some(number) = number {
            text.push_str(&format!("{key} = {number}\n"));
        }
    }
    if terms.licence_only {
        text.push_str("licence-only = true\n");
    }
    if terms.delivery != Delivery::default() {
        put(text, "delivery", terms.delivery.word());
    }
    if terms.offered {
        text.push_str("offered = true\n");
    }
    if let Some(build) = terms.build {
        text.push_str(&format!("build = {build}\n"));
    }
    let excluded = groups::all(connection)?.into_iter().filter(|group| terms.excluded.contains(&group.id));
    put_list(text, "exclude", excluded.map(|group| group.name));
    let used = locations::all(connection)?.into_iter().filter(|location| terms.locations.contains(&location.id));
    put_list(text, "locations", used.map(|location| location.name));
    put(text, "configuration", terms.configuration.as_deref().unwrap_or_default());
    if !terms.attributes.is_empty() {
        put(text, "attributes", &serde_json::Value::Object(terms.attributes.clone()).to_string());
    }
    Ok(())
}

/// Whom it is for, so that it reads back as the same: a person by address, or by GUID where the address is no good.
fn target(connection: &Connection, target: &Target) -> Result<String, OperationError> {
    let shown = verbs::shown_target(connection, target)?;
    if let Target::Person(id) = target
        && verbs::target(connection, &shown).ok().as_ref() != Some(target)
        && let Some(person) = persons::by_id(connection, *id)?
    {
        return Ok(format!("person:{}", person.client_user_id));
    }
    Ok(shown)
}
