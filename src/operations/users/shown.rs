//! Persons as the doors show them: their registrations under each location, how Apple has them, what they hold.

use std::collections::HashMap;

use rusqlite::Connection;

use super::{find_person, outcome};
use crate::licensing::registration::Wanted;
use crate::model::{LocationId, PersonId, UserStatus};
use crate::operations::tokens::manage::find;
use crate::operations::view::{
    HoldingView, RegistrationState, RegistrationView, RetirementPlaceView, RetirementView, UserView,
};
use crate::operations::{OperationError, Shared};
use crate::store::assets::{self, Asset};
use crate::store::persons::{self, Person};
use crate::store::users::{self, User};
use crate::store::{StoreError, assignments, audit, locations};

/// All persons.
pub async fn list(context: &Shared) -> Result<Vec<UserView>, OperationError> {
    let read = context.store.read(|c| -> Result<Vec<UserView>, OperationError> {
        let places = Places::load(c)?;
        persons::all(c)?.iter().map(|person| Ok(view(c, &places, person)?)).collect()
    });
    read.await
}

/// One person, by number, GUID or e-mail address. With `invitation`, its invitations' links, which is written down.
pub async fn show(context: &Shared, name: String, invitation: bool, who: &str) -> Result<UserView, OperationError> {
    let found = context.store.read(move |c| find_person(c, &name)).await?;
    let mut shown = person(context, found.id).await?;
    if !invitation {
        return Ok(shown);
    }
    let id = found.id;
    let users = context.store.read(move |c| users::of_person(c, id)).await?;
    let service = context.apple.service_config().await;
    for (registration, user) in shown.registrations.iter_mut().zip(users) {
        let open = user.record.status == UserStatus::Registered;
        registration.invitation =
            user.record.invite_code.as_ref().filter(|_| open).map(|code| service.invitation(code));
    }
    let (now, who) = (context.clock.now(), who.to_owned());
    context.store.write(move |w| audit::write(w, now, &who, "invitation shown", &found.email)).await?;
    Ok(shown)
}

/// One person, by number.
pub(super) async fn person(context: &Shared, id: PersonId) -> Result<UserView, OperationError> {
    let read = context.store.read(move |c| -> Result<UserView, OperationError> {
        let person = find_person(c, &id.to_string())?;
        Ok(view(c, &Places::load(c)?, &person)?)
    });
    read.await
}

/// What retiring a person gives back, and what not.
pub async fn retirement(
    context: &Shared,
    name: String,
    location: Option<String>,
) -> Result<RetirementView, OperationError> {
    let only = match &location {
        Some(location) => Some(find(context, location).await?.name),
        None => None,
    };
    let found = context.store.read(move |c| find_person(c, &name)).await?;
    let UserView { email, name, registrations, .. } = person(context, found.id).await?;
    let meant = |place: &RegistrationView| only.as_ref().is_none_or(|only| *only == place.location);
    let places = registrations.into_iter().filter(meant).map(|place| {
        let comes_back = place.holds.iter().filter(|holding| holding.revocable).count() as u64;
        let stays = place.holds.len() as u64 - comes_back;
        RetirementPlaceView { location: place.location, comes_back, stays }
    });
    Ok(RetirementView { email, name, places: places.collect() })
}

/// What is known of the locations, loaded once for many persons.
pub(super) struct Places {
    names: HashMap<LocationId, String>,
    assets: HashMap<(LocationId, String, String), Asset>,
}

impl Places {
    pub(super) fn load(c: &Connection) -> Result<Places, StoreError> {
        let (mut names, mut owned) = (HashMap::new(), HashMap::new());
        for location in locations::all(c)? {
            for asset in assets::of_location(c, location.id)? {
                owned.insert((location.id, asset.adam_id.clone(), asset.pricing_param.clone()), asset);
            }
            names.insert(location.id, location.name);
        }
        Ok(Places { names, assets: owned })
    }

    /// What a user holds. An asset that is not listed any more cannot be taken back by name.
    pub(super) fn holdings(&self, c: &Connection, user: &User) -> Result<Vec<HoldingView>, StoreError> {
        let held = assignments::of_user(c, user.location, &user.client_user_id)?;
        let holding = |(adam_id, pricing_param): (String, String)| {
            let asset = self.assets.get(&(user.location, adam_id.clone(), pricing_param.clone()));
            HoldingView {
                product_type: asset.map(|asset| asset.product_type.clone()).unwrap_or_default(),
                revocable: asset.is_some_and(|asset| asset.revocable),
                adam_id,
                pricing_param,
            }
        };
        Ok(held.into_iter().map(holding).collect())
    }
}

fn view(c: &Connection, places: &Places, person: &Person) -> Result<UserView, StoreError> {
    let registrations = users::of_person(c, person.id)?;
    Ok(UserView {
        id: person.id.0,
        client_user_id: person.client_user_id.clone(),
        name: person.name.clone(),
        email: person.email.clone(),
        managed_account: person.managed_account.clone(),
        created_at: person.created_at,
        created_by: person.created_by.clone(),
        registrations: registrations
            .iter()
            .map(|user| Ok(registration(places, person, user, places.holdings(c, user)?)))
            .collect::<Result<_, StoreError>>()?,
    })
}

fn registration(places: &Places, person: &Person, user: &User, holds: Vec<HoldingView>) -> RegistrationView {
    let location = places.names.get(&user.location).cloned().unwrap_or_default();
    let trouble = &user.trouble;
    let advice =
        if trouble.words.is_empty() { String::new() } else { outcome::advice(trouble.number, person, &location) };
    RegistrationView {
        state: state(user),
        status: user.record.status.word().to_owned(),
        apple_email: user.record.email.clone(),
        id_hash: user.record.id_hash.clone(),
        wanted_at: user.wanted_at,
        registered_at: user.registered_at,
        associated_at: user.associated_at,
        retired_at: user.retired_at,
        problem: trouble.words.clone(),
        advice,
        next_try_at: trouble.not_before,
        holds,
        invitation: None,
        location,
    }
}

fn state(user: &User) -> RegistrationState {
    match (user.wanted, &user.record.status) {
        _ if user.trouble.refused => RegistrationState::Refused,
        (Wanted::Retired, _) if user.is_active() => RegistrationState::Retiring,
        (Wanted::Retired, _) => RegistrationState::Retired,
        (_, UserStatus::Associated) => RegistrationState::Associated,
        (_, status) if status.is_active() => RegistrationState::Registered,
        _ if user.registered_at.is_some() => RegistrationState::Missing,
        _ => RegistrationState::New,
    }
}
