//! What an administrator does with a content token that is here: renews it, edits notes, sets the order in which licences are
//! used, takes a location back.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::{checked_name, claim, first_sync, keep, refused, show};
use crate::apple::{self, ContentToken};
use crate::config::{Sync, parse_duration, show_duration};
use crate::model::{GroupId, LocationId};
use crate::operations::locations::bearer;
use crate::operations::view::{TokenAddedView, TokenEditRequest, TokenOrderRequest, TokenRenewRequest, TokenView};
use crate::operations::{Kind, OperationError, Shared, alerts, groups, look, notify_after, tokens};
use crate::store::locations::{self, Location, Notes, Pace};
use crate::store::{self, StoreError, Write, audit, channels};

/// Puts a newer token of the same location in place of the old one. Everything that belongs to the location stays; calls
/// that are under way with the old token are repeated with the new one.
pub async fn renew(
    context: &Shared,
    name: String,
    request: TokenRenewRequest,
    who: &str,
) -> Result<TokenAddedView, OperationError> {
    let known = find(context, &name).await?;
    let token = Arc::new(ContentToken::from_file(request.content.as_bytes())?);
    super::check_unexpired(&token, context.clock.now())?;
    super::check_unknown(context, &token).await?;
    let bearer = apple::Location::new(known.uid.as_str(), token.clone()).urgent();
    let reply = context.apple.client_config(&bearer).await.map_err(refused)?;
    let (config, owner) = (reply.body, reply.mdm_info);
    if config.u_id != known.uid {
        let other = config.location_name.as_deref().unwrap_or("a location without a name");
        return Err(OperationError::new(
            Kind::Conflict,
            "wrong-location",
            format!(
                "this content token belongs to \"{other}\" ({}), not to \"{}\": it cannot renew that",
                token.organisation(),
                known.name
            ),
            "Nothing was changed. Download the token of the right location, or add this one as a location of its own: \
             vppd token add FILE --name NAME",
        ));
    }
    let label = known.name.clone();
    let kept = keep(context, &label, &token, &config, owner.as_ref(), Some(known), who).await?;
    // Renewing is no take-over: whoever holds the location keeps it.
    if owner.is_none() {
        claim(context, kept.id, &bearer).await?;
    }
    alerts::watch_expiry(context).await?;
    let task = first_sync(context, &kept).await?;
    context.nudge(kept.id);
    context.plan_now.notify_one();
    log::info!(vppd_location = kept.name.as_str(); "the content token of location \"{}\" was renewed by {who}", kept.name);
    Ok(TokenAddedView { token: show(context, kept.uid).await?, task })
}

/// The location with this name or Apple's id.
pub(in crate::operations) async fn find(context: &Shared, name: &str) -> Result<Location, OperationError> {
    let name = name.to_owned();
    let read = context.store.read(move |c| -> Result<Location, OperationError> {
        locations::by_name_or_uid(c, &name)?.ok_or_else(|| look::no_such_location(&name))
    });
    read.await
}

/// Takes a location over on purpose from whoever holds it now.
pub async fn take_over(context: &Shared, name: String, who: &str) -> Result<TokenView, OperationError> {
    let location = find(context, &name).await?;
    claim(context, location.id, &bearer(context, &location)?.urgent()).await?;
    let (now, who, subject) = (context.clock.now(), who.to_owned(), location.name.clone());
    log::info!(vppd_location = subject.as_str(); "location \"{subject}\" was taken over by {who}");
    context
        .store
        .write(move |w| -> Result<(), StoreError> {
            channels::make_stale(w, location.id)?;
            audit::write(w, now, &who, "location taken over", &subject)
        })
        .await?;
    context.nudge(location.id);
    context.plan_now.notify_one();
    show(context, location.uid).await
}

/// Longest note of each kind, in characters.
const LONGEST: usize = 2_000;
/// Least time between two syncs of a location.
const SHORTEST: Duration = Duration::from_secs(60);
/// Most categories or contacts.
const MOST: usize = 50;

/// Changes the name, the notes and how often the location is synced; what the request leaves out stays.
pub async fn edit(
    context: &Shared,
    name: String,
    request: TokenEditRequest,
    who: &str,
) -> Result<TokenView, OperationError> {
    let edited = Edited::read(request)?;
    let (now, who, settings, workers) =
        (context.clock.now(), who.to_owned(), context.config().sync.clone(), context.workers.clone());
    let plan_now = context.plan_now.clone();
    let uid = context
        .store
        .write(move |w| -> Result<String, OperationError> {
            let location = locations::by_name_or_uid(w, &name)?.ok_or_else(|| look::no_such_location(&name))?;
            if edited.groups.is_some() {
                notify_after(w, &plan_now);
            }
            keep_edited(w, &location, edited, &settings, (now, &who))?;
            // It looks anew when its next sync is due.
            w.after_commit(move || workers.nudge(location.id));
            Ok(location.uid)
        })
        .await?;
    show(context, uid).await
}

/// What is to be changed of a location, checked as far as that needs no database; `None` stays.
pub(in crate::operations) struct Edited {
    pub name: Option<String>,
    request: TokenEditRequest,
    pub groups: Option<Vec<String>>,
    interval: Option<Option<Duration>>,
    full_interval: Option<Option<Duration>>,
}

impl Edited {
    pub fn read(mut request: TokenEditRequest) -> Result<Edited, OperationError> {
        check_lengths(&request)?;
        Ok(Edited {
            name: request.name.as_deref().map(checked_name).transpose()?,
            groups: request.groups.take(),
            interval: own_interval(request.sync_interval.as_deref())?,
            full_interval: own_interval(request.full_sync_interval.as_deref())?,
            request,
        })
    }

    /// Name, notes and pace of the location as they are to be.
    pub fn of(&self, old: &Location) -> (String, Notes, Pace) {
        let (request, notes) = (self.request.clone(), old.notes.clone());
        let name = self.name.clone().unwrap_or_else(|| old.name.clone());
        let notes = Notes {
            description: request.description.unwrap_or(notes.description),
            account_email: request.account_email.unwrap_or(notes.account_email),
            categories: request.categories.unwrap_or(notes.categories),
            contacts: request.contacts.unwrap_or(notes.contacts),
        };
        let pace = Pace {
            interval: self.interval.unwrap_or(old.pace.interval),
            full_interval: self.full_interval.unwrap_or(old.pace.full_interval),
        };
        (name, notes, pace)
    }
}

/// Keeps what is changed of a location.
pub(in crate::operations) fn keep_edited(
    w: &Write<'_>,
    location: &Location,
    edited: Edited,
    settings: &Sync,
    (now, who): (Timestamp, &str),
) -> Result<(), OperationError> {
    let (name, notes, pace) = edited.of(location);
    if let Some(other) = locations::by_name_or_uid(w, &name)?
        && other.id != location.id
    {
        return Err(OperationError::new(
            Kind::Conflict,
            "name-taken",
            format!("another location is called \"{}\"", other.name),
            "Nothing was changed. Choose another name.",
        ));
    }
    locations::annotate(w, location.id, &name, &notes)?;
    if let Some(names) = &edited.groups {
        store::groups::set_of_location(w, location.id, &groups_named(w, names)?)?;
    }
    check_pace(settings, pace)?;
    locations::set_pace(w, location.id, pace)?;
    Ok(audit::write(w, now, who, "location edited", &name)?)
}

/// The groups with these names.
pub(in crate::operations) fn groups_named(w: &Write<'_>, names: &[String]) -> Result<Vec<GroupId>, OperationError> {
    names.iter().map(|name| Ok(groups::find(w, name)?.id)).collect()
}

fn check_lengths(request: &TokenEditRequest) -> Result<(), OperationError> {
    let single = [("description", &request.description), ("account e-mail", &request.account_email)];
    let lists = [("categories", &request.categories), ("contacts", &request.contacts)];
    let longest = |text: &String| text.chars().count() > LONGEST;
    let too_long = single.iter().find(|(_, text)| text.as_ref().is_some_and(longest)).map(|(what, _)| what);
    let too_many = |list: &Vec<String>| list.len() > MOST || list.iter().any(longest);
    let too_many = lists.iter().find(|(_, list)| list.as_ref().is_some_and(too_many)).map(|(what, _)| what);
    if let Some(what) = too_long.or(too_many) {
        return Err(OperationError::invalid(
            "too-long",
            format!("the {what} are too long: at most {LONGEST} characters each, and {MOST} of a kind"),
            "Nothing was changed.",
        ));
    }
    Ok(())
}

/// How often, as a person says it: `default` is as the settings say.
fn own_interval(text: Option<&str>) -> Result<Option<Option<Duration>>, OperationError> {
    match text.map(str::trim) {
        None => Ok(None),
        Some("default") => Ok(Some(None)),
        Some(text) => match parse_duration(text).filter(|every| *every >= SHORTEST) {
            Some(every) => Ok(Some(Some(every))),
            None => Err(OperationError::invalid(
                "interval",
                format!("\"{}\" is no time between two syncs", text.chars().take(40).collect::<String>()),
                "Nothing was changed. Say one such as 90m, 6h or 3d, a minute at least, or `default` for what the \
                 settings say.",
            )),
        },
    }
}

fn check_pace(settings: &Sync, pace: Pace) -> Result<(), OperationError> {
    let interval = pace.interval.unwrap_or(settings.interval);
    let full = pace.full_interval.unwrap_or(settings.full_interval);
    if (pace.interval.is_none() && pace.full_interval.is_none()) || full >= interval {
        return Ok(());
    }
    let (interval, full) = (show_duration(interval), show_duration(full));
    Err(OperationError::invalid(
        "interval",
        format!("everything would be read every {full}, more often than changes, every {interval}"),
        "Nothing was changed. The full sync is the rarer one: give both, --sync-interval and --full-sync-interval.",
    ))
}

/// Sets the order in which the locations' licences are used: those named first, the others behind them as they were.
pub async fn order(context: &Shared, request: TokenOrderRequest, who: &str) -> Result<Vec<TokenView>, OperationError> {
    let (now, who) = (context.clock.now(), who.to_owned());
    context
        .store
        .write(move |w| -> Result<(), OperationError> {
            let mut order: Vec<LocationId> = Vec::new();
            for name in &request.order {
                let location = locations::by_name_or_uid(w, name)?.ok_or_else(|| look::no_such_location(name))?;
                if order.contains(&location.id) {
                    return Err(OperationError::invalid(
                        "named-twice",
                        format!("\"{}\" is named twice", location.name),
                        "Nothing was changed.",
                    ));
                }
                order.push(location.id);
            }
            for other in locations::all(w)? {
                if !order.contains(&other.id) {
                    order.push(other.id);
                }
            }
            locations::set_order(w, &order)?;
            audit::write(w, now, &who, "order of locations", &request.order.join(", "))?;
            Ok(())
        })
        .await?;
    context.plan_now.notify_one();
    tokens::list(context).await
}
