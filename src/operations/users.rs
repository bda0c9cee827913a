//! Registered users: persons whom an administrator has registered at Apple, under one location or several, each with one
//! GUID of ours. The doors write down what is wanted; the location's task carries it out.
//!
//! - `needs`: what is needed now, packed into requests;
//! - `requests`: records what Apple is to be asked, asks, and follows it to its end;
//! - `listing`: what Apple lists, taken over;
//! - `outcome`: what Apple's answers mean for one user;
//! - [`foreign`]: users that other MDMs have made: shown, and retired on purpose;
//! - [`shown`]: how a person and its registrations are shown.

pub mod foreign;
pub(super) mod listing;
mod needs;
mod outcome;
pub(super) mod requests;
pub mod shown;

use jiff::Timestamp;

use super::tokens::manage::find;
use super::view::{UserAddRequest, UserEditRequest, UserRetireRequest, UserView};
use super::{Kind, OperationError, Shared, notify_after};
use crate::licensing::registration::Wanted;
use crate::model::{LocationId, PersonId, Source};
use crate::store::alerts::{self, NewAlert};
use crate::store::persons::{self, Person};
use crate::store::users::{self, User};
use crate::store::{StoreError, Write, audit};
pub use shown::{list, retirement, show};

/// Alerts about users whom Apple refuses.
pub const USER_REFUSED: &str = "user-refused";

/// Registers a person under a location. A person whom we know by the e-mail address is registered there too, under the same
/// GUID; the same again tries again what Apple had refused.
pub async fn add(context: &Shared, request: UserAddRequest, who: &str) -> Result<UserView, OperationError> {
    let location = find(context, &request.location).await?;
    if location.leaving {
        return Err(OperationError::new(
            Kind::Conflict,
            "leaving",
            format!("location \"{}\" is being removed", location.name),
            "Nothing was changed.",
        ));
    }
    let email = checked_email(&request.email)?;
    let name = checked_text("name", request.name.as_deref().unwrap_or_default())?;
    let account = request.managed_account.as_deref().map(checked_account).transpose()?.flatten();
    let (now, guid, id) = (context.clock.now(), context.entropy.uuid().to_string(), location.id);
    let (by, workers) = (who.to_owned(), context.workers.clone());
    let person = context
        .store
        .write(move |w| -> Result<PersonId, OperationError> {
            let person = match persons::by_name(w, &email)? {
                Some(known) => same_person(known, &name, account.as_deref())?,
                None => {
                    check_account_is_free(w, account.as_deref(), None)?;
                    let (created_at, created_by) = (now, by.clone());
                    let id = PersonId(0);
                    let mut new = Person {
                        id,
                        client_user_id: guid,
                        name,
                        email,
                        managed_account: account,
                        created_at,
                        created_by,
                        source: Source::Hand,
                        external_id: None,
                        gone_at: None,
                        retired_at: None,
                    };
                    new.id = persons::add(w, &new)?;
                    new
                }
            };
            persons::retire(w, person.id, None)?;
            if register_under(w, &person, id, now)? {
                audit::write(w, now, &by, "user registered", &format!("{} under {}", person.email, location.name))?;
            }
            w.after_commit(move || workers.nudge(id));
            Ok(person.id)
        })
        .await?;
    shown::person(context, person).await
}

/// Wants a person to be registered under a location; false when that is so and nothing stands in the way.
pub(super) fn register_under(
    w: &Write<'_>,
    person: &Person,
    location: LocationId,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let known = users::get(w, location, &person.client_user_id)?;
    let settled = known.as_ref().is_some_and(|user| user.wanted == Wanted::Registered && user.trouble.words.is_empty());
    if !settled {
        let new = || User::new(location, &person.client_user_id, Some(person.id), Wanted::Registered, now);
        let mut user = known.unwrap_or_else(new);
        user.want(Wanted::Registered, now);
        put(w, &user, now)?;
    }
    Ok(!settled)
}

/// A person is added again: what is said must fit what is known.
fn same_person(known: Person, name: &str, account: Option<&str>) -> Result<Person, OperationError> {
    let fits = |said: &str, kept: &str| said.is_empty() || said.eq_ignore_ascii_case(kept);
    let kept_account = known.managed_account.as_deref().unwrap_or_default();
    if fits(name, &known.name) && fits(account.unwrap_or_default(), kept_account) {
        return Ok(known);
    }
    Err(OperationError::new(
        Kind::Conflict,
        "person-known",
        format!("{} is known already, with another name or another Managed Apple Account", known.email),
        format!(
            "Nothing was changed. To change the person: `vppd user edit {0}`. If the address belongs to somebody else now, \
             give the earlier person another one first: vppd user edit {0} --email ADDRESS",
            known.id
        ),
    ))
}

/// Changes a person; Apple is told under every location. What the request leaves out stays; what Apple had refused is tried
/// again.
pub async fn edit(
    context: &Shared,
    name: String,
    request: UserEditRequest,
    who: &str,
) -> Result<UserView, OperationError> {
    let email = request.email.as_deref().map(checked_email).transpose()?;
    let new_name = request.name.as_deref().map(|name| checked_text("name", name)).transpose()?;
    let account = request.managed_account.as_deref().map(checked_account).transpose()?;
    let (now, by, workers) = (context.clock.now(), who.to_owned(), context.workers.clone());
    let person = context
        .store
        .write(move |w| -> Result<PersonId, OperationError> {
            let old = find_person(w, &name)?;
            let mut person = old.clone();
            person.email = email.unwrap_or(person.email);
            person.name = new_name.unwrap_or(person.name);
            person.managed_account = account.unwrap_or(person.managed_account);
            if let Some(other) = persons::by_name(w, &person.email)?.filter(|other| other.id != person.id) {
                return Err(OperationError::new(
                    Kind::Conflict,
                    "email-taken",
                    format!("{} belongs to another person ({})", other.email, other.id),
                    "Nothing was changed.",
                ));
            }
            check_account_is_free(w, person.managed_account.as_deref(), Some(person.id))?;
            persons::edit(w, &person)?;
            let told_anew = (&old.email, &old.managed_account) != (&person.email, &person.managed_account);
            let touched = tell_apple(w, person.id, told_anew, now)?;
            audit::write(w, now, &by, "user edited", &person.email)?;
            w.after_commit(move || touched.into_iter().for_each(|location| workers.nudge(location)));
            Ok(person.id)
        })
        .await?;
    shown::person(context, person).await
}

/// What was said of a person changed: Apple is told under every location where it is registered. `anew`: it is something
/// that Apple knows; else only what Apple had refused is tried again. Gives the locations whose task has to be told.
pub(super) fn tell_apple(
    w: &Write<'_>,
    person: PersonId,
    anew: bool,
    now: Timestamp,
) -> Result<Vec<LocationId>, StoreError> {
    let mut touched = Vec::new();
    for mut user in users::of_person(w, person)? {
        if user.wanted == Wanted::Registered && (anew || user.trouble.refused) {
            user.want(Wanted::Registered, now);
            put(w, &user, now)?;
            touched.push(user.location);
        }
    }
    Ok(touched)
}

/// Retires a person under one location, or under all. Licences that can be taken back come back; books stay spent.
pub async fn retire(
    context: &Shared,
    name: String,
    request: UserRetireRequest,
    who: &str,
) -> Result<UserView, OperationError> {
    let only = match &request.location {
        Some(location) => Some(find(context, location).await?),
        None => None,
    };
    let (now, by) = (context.clock.now(), who.to_owned());
    let (workers, plan_now) = (context.workers.clone(), context.plan_now.clone());
    let person = context
        .store
        .write(move |w| -> Result<PersonId, OperationError> {
            let person = find_person(w, &name)?;
            let meant = |user: &User| only.as_ref().is_none_or(|only| only.id == user.location);
            let registrations: Vec<User> = users::of_person(w, person.id)?.into_iter().filter(meant).collect();
            if registrations.is_empty() {
                let place = only.map_or("any location".to_owned(), |only| format!("\"{}\"", only.name));
                return Err(OperationError::not_found(
                    format!("{} is not registered under {place}", person.email),
                    format!("`vppd user show {}` tells where.", person.id),
                ));
            }
            for mut user in registrations {
                if user.wanted != Wanted::Retired {
                    user.want(Wanted::Retired, now);
                    put(w, &user, now)?;
                }
                let (workers, location) = (workers.clone(), user.location);
                w.after_commit(move || workers.nudge(location));
            }
            // Under every location: no deployment reaches anything through the person any more.
            if only.is_none() {
                persons::retire(w, person.id, Some(now))?;
                notify_after(w, &plan_now);
            }
            audit::write(w, now, &by, "user retired", &person.email)?;
            Ok(person.id)
        })
        .await?;
    shown::person(context, person).await
}

/// The person with this number, GUID or e-mail address.
fn find_person(connection: &rusqlite::Connection, name: &str) -> Result<Person, OperationError> {
    persons::by_name(connection, name.trim())?.ok_or_else(|| {
        let shown: String = name.chars().take(80).collect();
        OperationError::not_found(format!("there is no user \"{shown}\""), "`vppd user list` shows them all.")
    })
}

/// Keeps a user with another wish, which ends what was told of the old one.
fn put(w: &Write<'_>, user: &User, now: Timestamp) -> Result<(), StoreError> {
    users::put(w, user)?;
    alerts::end_one(w, USER_REFUSED, user.location, &user.client_user_id, now)
}

/// Raises an alert for a user whom Apple refuses, once; ends it when that has passed.
fn tell_trouble(w: &Write<'_>, user: &User, location: &str, now: Timestamp) -> Result<Option<NewAlert>, StoreError> {
    let person = match user.person {
        Some(id) if user.trouble.refused => persons::by_id(w, id)?,
        _ => None,
    };
    let Some(person) = person else {
        alerts::end_one(w, USER_REFUSED, user.location, &user.client_user_id, now)?;
        return Ok(None);
    };
    let alert = NewAlert {
        kind: USER_REFUSED,
        location: Some(user.location),
        subject: location.to_owned(),
        occasion: user.client_user_id.clone(),
        grave: false,
        message: format!(
            "Location \"{location}\": user {} is not registered as wanted. {}",
            person.id, user.trouble.words
        ),
        advice: outcome::advice(user.trouble.number, &person, location),
    };
    Ok(alerts::raise(w, &alert, now)?.then_some(alert))
}

fn check_account_is_free(w: &Write<'_>, account: Option<&str>, except: Option<PersonId>) -> Result<(), OperationError> {
    let Some(account) = account else { return Ok(()) };
    match persons::by_account(w, account)?.filter(|other| Some(other.id) != except) {
        None => Ok(()),
        Some(other) => Err(OperationError::new(
            Kind::Conflict,
            "account-taken",
            format!("the Managed Apple Account {account} belongs to {}", other.email),
            format!(
                "Nothing was changed. One account goes with one person. To take it from that one: \
                 vppd user edit {} --managed-apple-account \"\"",
                other.id
            ),
        )),
    }
}

/// Longest address, name or account.
const LONGEST: usize = 254;

/// What may be an address; Apple judges more strictly.
pub(super) fn checked_email(text: &str) -> Result<String, OperationError> {
    let text = text.trim();
    let parts = text.split_once('@');
    let whole = parts.is_some_and(|(name, host)| !name.is_empty() && !host.is_empty() && !host.contains('@'));
    if whole && text.len() <= LONGEST && !text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Ok(text.to_owned());
    }
    let shown: String = text.chars().take(80).collect();
    Err(OperationError::invalid("email", format!("\"{shown}\" is no e-mail address"), "Nothing was changed."))
}

/// A Managed Apple Account, which looks like an address; empty for none.
pub(super) fn checked_account(text: &str) -> Result<Option<String>, OperationError> {
    if text.trim().is_empty() {
        return Ok(None);
    }
    let error = |_| {
        let shown: String = text.chars().take(80).collect();
        OperationError::invalid(
            "managed-account",
            format!("\"{shown}\" is no Managed Apple Account: it looks like an e-mail address"),
            "Nothing was changed.",
        )
    };
    checked_email(text).map(Some).map_err(error)
}

pub(super) fn checked_text(what: &str, text: &str) -> Result<String, OperationError> {
    let text = text.trim();
    if text.len() <= LONGEST && !text.chars().any(char::is_control) {
        return Ok(text.to_owned());
    }
    Err(OperationError::invalid(
        "text",
        format!("the {what} is longer than {LONGEST} bytes, or has control characters"),
        "Nothing was changed.",
    ))
}
