//! What is known of the apps and the holders that somebody names, read for [`super::judge`].

use std::collections::HashMap;

use jiff::Timestamp;
use rusqlite::Connection;

use super::judge::{App, Held, Offer, Subject};
use crate::licensing::registration::Wanted;
use crate::model::{Holder, HolderKind, LocationId, SerialNumber};
use crate::operations::catalogue::{Catalogue, resolve};
use crate::operations::tokens::removal::why_not_revoke;
use crate::operations::{OperationError, Shared, reconcile};
use crate::store::devices::DeviceState;
use crate::store::persons::Person;
use crate::store::{StoreError, assets, assignments, devices, events, locations, persons, snapshot, users};

/// A holder as somebody has named it.
#[derive(Debug, Clone)]
pub(super) struct Named {
    pub holder: Holder,
    /// As it is shown: `serial:C02...` or `person:EMAIL`.
    pub shown: String,
    /// None for devices.
    pub person: Option<Person>,
    pub subject: Subject,
    /// A device of it is enrolled: what it holds comes back after the app is gone from there.
    pub has_device: bool,
}

/// A holder that is meant by `serial:` or `person:`; or why nobody is.
pub(super) fn holder(c: &Connection, text: &str) -> Result<Result<Named, (&'static str, String)>, OperationError> {
    let unclear = || ("holder", "write serial: and a serial number, or person: and an e-mail address".to_owned());
    match text.trim().split_once(':') {
        Some(("serial", serial)) => match SerialNumber::read(serial) {
            Some(serial) => Ok(Ok(device(c, serial.as_str())?)),
            None => Ok(Err(("holder", "a serial number has letters and digits only".into()))),
        },
        Some(("person", name)) => match persons::by_name(c, name.trim())? {
            Some(found) => Ok(Ok(person(c, found)?)),
            None => Ok(Err(("unknown-person", "vppd knows no such person: vppd user list".into()))),
        },
        _ => Ok(Err(unclear())),
    }
}

fn device(c: &Connection, serial: &str) -> Result<Named, StoreError> {
    let known = devices::by_serial(c, serial)?;
    let problem = match &known {
        None => Some(("unknown-serial", "no device with this serial number has enrolled here".to_owned())),
        Some(device) if device.removed_at.is_some() => Some(("not-enrolled", "the device was removed".to_owned())),
        Some(device) if device.state == DeviceState::CheckedOut => {
            Some(("not-enrolled", "the device has left and is not enrolled any more".to_owned()))
        }
        Some(_) => None,
    };
    Ok(Named {
        holder: Holder::Serial(serial.to_owned()),
        shown: format!("serial:{serial}"),
        person: None,
        has_device: problem.is_none(),
        subject: Subject { kind: HolderKind::Serial, problem, registered: Default::default() },
    })
}

fn person(c: &Connection, person: Person) -> Result<Named, StoreError> {
    let registered = users::of_person(c, person.id)?.into_iter().filter_map(|user| {
        let standing = match (user.wanted, user.trouble.refused, user.is_active()) {
            (Wanted::Retired, ..) => Err("the person is retired there".to_owned()),
            (_, true, _) => Err(user.trouble.words),
            (_, false, true) => Ok(()),
            // Being registered: it is still to be waited for.
            (_, false, false) => return None,
        };
        Some((user.location, standing))
    });
    let subject = Subject { kind: HolderKind::User, problem: None, registered: registered.collect() };
    Ok(Named {
        holder: Holder::User(person.client_user_id.clone()),
        shown: format!("person:{}", person.email),
        has_device: persons::has_enrolled_device(c, person.id)?,
        person: Some(person),
        subject,
    })
}

/// The apps that somebody names, each looked up once.
pub(super) struct Apps {
    pub catalogue: Catalogue,
    all: Vec<App>,
    /// By what was said.
    places: HashMap<String, Result<usize, String>>,
    offers: HashMap<String, Vec<Offer>>,
}

impl Apps {
    pub fn load(c: &Connection, context: &Shared, now: Timestamp) -> Result<Apps, StoreError> {
        let loaded = snapshot::load(c, &reconcile::settings(context), now)?;
        let why_not: HashMap<LocationId, String> = locations::all(c)?
            .iter()
            .map(|location| {
                let leaving = location.leaving.then(|| "the location is being removed".to_owned());
                let unread = location.full_sync_first.then(|| "it has to be read anew first".to_owned());
                (location.id, why_not_revoke(context, location).or(leaving).or(unread).unwrap_or_default())
            })
            .collect();
        let mut offers: HashMap<String, Vec<Offer>> = HashMap::new();
        for asset in &loaded.snapshot.assets {
            let location = loaded.behind.locations[asset.location as usize];
            let adam_id = loaded.snapshot.products[asset.product as usize].adam_id.clone();
            offers.entry(adam_id).or_default().push(Offer {
                location,
                location_name: loaded.snapshot.locations[asset.location as usize].name.clone(),
                why_not: why_not.get(&location).cloned().unwrap_or_default(),
                pricing_param: asset.pricing_param.clone(),
                device_assignable: asset.device_assignable,
                revocable: asset.revocable,
                unlimited: asset.unlimited,
                free: asset.free,
            });
        }
        Ok(Apps { catalogue: Catalogue::load(c)?, all: Vec::new(), places: HashMap::new(), offers })
    }

    /// The place of an app by number, bundle id or name; or why none is meant.
    pub fn place(&mut self, c: &Connection, text: &str) -> Result<Result<usize, String>, StoreError> {
        if let Some(known) = self.places.get(text) {
            return Ok(known.clone());
        }
        let found = match resolve(c, text) {
            Ok(adam_id) => Ok(self.add(c, adam_id)?),
            Err(error) => Err(error.to_string()),
        };
        self.places.insert(text.to_owned(), found.clone());
        Ok(found)
    }

    fn add(&mut self, c: &Connection, adam_id: String) -> Result<usize, StoreError> {
        if let Some(place) = self.all.iter().position(|app| app.adam_id == adam_id) {
            return Ok(place);
        }
        self.all.push(App {
            name: self.catalogue.name(&adam_id),
            book: assets::is_book(c, &adam_id)?,
            offers: self.offers.remove(&adam_id).unwrap_or_default(),
            adam_id,
        });
        Ok(self.all.len() - 1)
    }

    pub fn get(&mut self, place: usize) -> &mut App {
        &mut self.all[place]
    }

    pub fn all(&self) -> &[App] {
        &self.all
    }
}

/// What a holder has of an app already.
pub(super) fn held(c: &Connection, app: &App, holder: &Holder) -> Result<Vec<Held>, StoreError> {
    let mut found = Vec::new();
    for (place, offer) in app.offers.iter().enumerate() {
        let (adam_id, pricing) = (app.adam_id.as_str(), offer.pricing_param.as_str());
        let holds = assignments::holds(c, offer.location, adam_id, pricing, holder)?;
        let under_way = events::is_reserved(c, offer.location, adam_id, pricing, holder)?;
        // A request about what is held takes it back; one about what is not brings it.
        if holds || under_way {
            found.push(Held { offer: place, returning: holds && under_way });
        }
    }
    Ok(found)
}
