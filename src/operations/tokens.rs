//! Content tokens: adding one (nothing is saved before Apple has confirmed it) and showing them; [`manage`] renews,
//! edits, orders and takes over, [`removal`] lets go.

pub mod manage;
pub mod removal;

use std::sync::Arc;

use super::alerts::{NOT_OURS, TOKEN_REFUSED};
use super::locations::mdm_info;
use super::view::{TaskView, TokenAddRequest, TokenAddedView, TokenView};
use super::{Kind, OperationError, Shared, look, sealed_place, sync};
use crate::apple::error::{AppleError, TokenProblemKind};
use crate::apple::wire::{ClientConfig, MdmInfo};
use crate::apple::{self, ContentToken};
use crate::fault;
use crate::model::LocationId;
use crate::store::locations::{self, Location, Notes, Owner, TokenState};
use crate::store::{StoreError, alerts, audit, channels};

/// Adds the token of a file: decodes it, asks Apple, claims the location and puts the first full sync in line. A new token
/// of a location that is here already replaces the old one.
pub async fn add(context: &Shared, request: TokenAddRequest, who: &str) -> Result<TokenAddedView, OperationError> {
    let name = checked_name(&request.name)?;
    let token = Arc::new(ContentToken::from_file(request.content.as_bytes())?);
    check_unexpired(&token, context.clock.now())?;
    check_unknown(context, &token).await?;
    // The key of the budget is not known yet: Apple tells the location's id with the first reply.
    let bearer = apple::Location::new("being added", token.clone()).urgent();
    let reply = context.apple.client_config(&bearer).await.map_err(refused)?;
    let (config, owner) = (reply.body, reply.mdm_info);
    let uid = config.u_id.clone();
    let known = context.store.read(move |c| locations::by_name_or_uid(c, &uid)).await?;
    let same_name = {
        let name = name.clone();
        context.store.read(move |c| locations::by_name_or_uid(c, &name)).await?
    };
    if let Some(other) = same_name
        && known.as_ref().is_none_or(|known| known.id != other.id)
    {
        let label = config.location_name.as_deref().unwrap_or("another location");
        return Err(OperationError::new(
            Kind::Conflict,
            "name-taken",
            format!("the name \"{}\" is taken, and this token belongs to another location (\"{label}\")", other.name),
            "Nothing was changed. Choose another name; a renewal needs a token of the same location.",
        ));
    }
    let foreign = owner.as_ref().filter(|owner| owner.id != context.mdm_id);
    if let Some(other) = foreign
        && !request.take_over
    {
        return Err(held_by_another(&config, other));
    }
    let kept = keep(context, &name, &token, &config, owner.as_ref(), known, who).await?;
    let bearer = apple::Location::new(kept.uid.as_str(), token).urgent();
    if owner.as_ref().is_none_or(|owner| owner.id != context.mdm_id) {
        claim(context, kept.id, &bearer).await?;
    }
    let task = first_sync(context, &kept).await?;
    context.nudge(kept.id);
    log::info!(
        vppd_location = kept.name.as_str(), vppd_task = task.id;
        "content token for location \"{}\" was added by {who}", kept.name
    );
    Ok(TokenAddedView { token: show(context, kept.uid).await?, task })
}

fn check_unexpired(token: &ContentToken, now: jiff::Timestamp) -> Result<(), OperationError> {
    if token.expires_at() > now {
        return Ok(());
    }
    Err(OperationError::invalid(
        "token-expired",
        format!("this content token expired on {}", token.expires_at()),
        "Nothing was saved. Download a new one in Apple's portal: Preferences, Payments and Billing, Content Tokens.",
    ))
}

/// Refuses a token that is here already, byte for byte.
async fn check_unknown(context: &Shared, token: &ContentToken) -> Result<(), OperationError> {
    let fingerprint = token.fingerprint().to_owned();
    match context.store.read(move |c| locations::by_token(c, &fingerprint)).await? {
        None => Ok(()),
        Some(known) => Err(OperationError::new(
            Kind::Conflict,
            "token-known",
            format!("this very token is already here, as \"{}\"", known.name),
            "Nothing was changed. To renew a location, download a new token for it in Apple's portal; to take a location \
             back from another MDM: vppd token take-over NAME",
        )),
    }
}

/// Writes our name on the location, whoever had it.
async fn claim(context: &Shared, id: LocationId, bearer: &apple::Location) -> Result<(), OperationError> {
    fault::point("before claiming a location");
    let reply = context.apple.claim(bearer, &mdm_info(context)).await.map_err(refused)?;
    fault::point("after claiming a location");
    keep_owner(context, id, reply.mdm_info.as_ref()).await
}

fn checked_name(name: &str) -> Result<String, OperationError> {
    let name = name.trim();
    let fits = (1..=80).contains(&name.chars().count()) && !name.chars().any(char::is_control);
    if fits {
        return Ok(name.to_owned());
    }
    Err(OperationError::invalid(
        "name",
        "a location's name has 1 to 80 characters",
        "Say --name \"Leeds\", for example.",
    ))
}

/// A reply of Apple's that ends the adding, in words about the file.
fn refused(error: AppleError) -> OperationError {
    let (code, advice) = match &error {
        AppleError::TokenProblem { kind: TokenProblemKind::Expired, .. } => {
            ("token-expired", "Nothing was saved. Download a new token in Apple's portal.")
        }
        AppleError::TokenProblem { kind: TokenProblemKind::Revoked, .. } => (
            "token-revoked",
            "Nothing was saved. Download a new token in Apple's portal; it dies when its maker's password changes.",
        ),
        AppleError::TokenProblem { .. } => (
            "token-rejected",
            "Nothing was saved. Check that the file is the whole content token of Apps and Books, not another kind of token.",
        ),
        AppleError::RetryLater { why, .. } | AppleError::UnknownOutcome { why } => {
            return OperationError::new(
                Kind::Unavailable,
                "apple-unavailable",
                format!("Apple cannot be asked about this token now: {why}"),
                "Nothing was saved. Try again in some minutes; `vppd check` and the journal may tell more.",
            );
        }
        _ => ("apple", "Nothing was saved."),
    };
    OperationError::new(Kind::Unavailable, code, error.to_string(), advice)
}

fn held_by_another(config: &ClientConfig, other: &MdmInfo) -> OperationError {
    let location = config.location_name.as_deref().unwrap_or("this location");
    let holder = if other.name.is_empty() { other.id.as_str() } else { other.name.as_str() };
    OperationError::new(
        Kind::Conflict,
        "held-by-another",
        format!("\"{location}\" is held by another MDM: \"{holder}\""),
        "Nothing was saved, nothing was changed at Apple. A token belongs in one MDM only: take it out there first, or \
         take the location over on purpose with --take-over.",
    )
}

async fn keep(
    context: &Shared,
    name: &str,
    token: &ContentToken,
    config: &ClientConfig,
    owner: Option<&MdmInfo>,
    known: Option<Location>,
    who: &str,
) -> Result<Location, OperationError> {
    use secrecy::ExposeSecret;
    let now = context.clock.now();
    let sealed_token = context.sealer.seal(&sealed_place(&config.u_id), token.text().expose_secret().as_bytes());
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let location = Location {
        id: known.as_ref().map_or(LocationId(0), |known| known.id),
        uid: config.u_id.clone(),
        name: name.to_owned(),
        location_name: text(&config.location_name),
        organisation: token.organisation().to_owned(),
        country: text(&config.country),
        platform: text(&config.default_platform),
        website: text(&config.website_url),
        sealed_token,
        token_fingerprint: token.fingerprint().to_owned(),
        expires_at: token.expires_at(),
        token_state: TokenState::Valid,
        claim_wanted: owner.is_none_or(|owner| owner.id != context.mdm_id),
        owner: owner.map(|info| Owner { id: info.id.clone(), name: info.name.clone() }),
        added_at: now,
        generation: 0,
        assignments_version: None,
        last_synced: None,
        last_full_sync: None,
        pace: locations::Pace::default(),
        notes: Notes::default(),
        leaving: false,
        full_sync_first: false,
    };
    let who = who.to_owned();
    let kept = context
        .store
        .write(move |w| -> Result<Location, StoreError> {
            let id = match known {
                None => locations::add(w, &location)?,
                Some(known) => {
                    let fingerprint = &location.token_fingerprint;
                    locations::replace_token(w, known.id, &location.sealed_token, fingerprint, location.expires_at)?;
                    alerts::end(w, TOKEN_REFUSED, Some(known.id), None, now)?;
                    locations::set_claim_wanted(w, known.id, location.claim_wanted)?;
                    channels::make_stale(w, known.id)?;
                    let (name, country) = (&location.location_name, &location.country);
                    locations::describe(w, known.id, name, country, &location.platform, &location.website)?;
                    known.id
                }
            };
            audit::write(w, now, &who, "content token added", &format!("{} ({})", location.name, location.uid))?;
            locations::by_id(w, id)?.ok_or_else(|| StoreError::Damaged("a location vanished".into()))
        })
        .await?;
    Ok(kept)
}

async fn keep_owner(context: &Shared, id: LocationId, owner: Option<&MdmInfo>) -> Result<(), OperationError> {
    let owner = owner.map(|info| Owner { id: info.id.clone(), name: info.name.clone() });
    let ours = owner.as_ref().is_some_and(|owner| owner.id == context.mdm_id);
    let now = context.clock.now();
    context
        .store
        .write(move |w| -> Result<(), OperationError> {
            locations::set_owner(w, id, owner.as_ref())?;
            if ours {
                locations::set_claim_wanted(w, id, false)?;
                alerts::end(w, NOT_OURS, Some(id), None, now)?;
            }
            Ok(())
        })
        .await
}

async fn first_sync(context: &Shared, location: &Location) -> Result<TaskView, OperationError> {
    let (id, name, now) = (location.id, location.name.clone(), context.clock.now());
    let task = context.store.write(move |w| sync::by_hand(w, id, &name, now)).await?;
    look::task_view(&task)
}

/// One token, by name or Apple's id of the location.
pub async fn show(context: &Shared, name: String) -> Result<TokenView, OperationError> {
    let (us, settings, now) = (context.mdm_id.clone(), context.config().sync.clone(), context.clock.now());
    context
        .store
        .read(move |c| {
            let location = locations::by_name_or_uid(c, &name)?.ok_or_else(|| look::no_such_location(&name))?;
            look::token_view(c, &location, &us, &settings, now)
        })
        .await
}

/// All tokens, in the order in which their licences are used.
pub async fn list(context: &Shared) -> Result<Vec<TokenView>, OperationError> {
    let (us, settings, now) = (context.mdm_id.clone(), context.config().sync.clone(), context.clock.now());
    context
        .store
        .read(move |c| {
            let all = locations::all(c)?;
            all.iter().map(|location| look::token_view(c, location, &us, &settings, now)).collect()
        })
        .await
}
