//! What a deployment comes to as things are now, by itself: whether it can be, who would get it, how many licences that takes
//! and how many are free.

use std::collections::BTreeMap;

use rusqlite::Connection;

use crate::licensing::fit::{Needs, cannot_run};
use crate::licensing::membership::Version;
use crate::licensing::prompts::{NotOffered, Situation, prompts};
use crate::model::{Delivery, LicenceKind, Ownership, PersonId, Purpose, Target, UserStatus};
use crate::operations::catalogue::Catalogue;
use crate::operations::view::{PreviewView, PromptView};
use crate::operations::{Kind, OperationError};
use crate::store::deployments::Deployment;
use crate::store::locations::{self, TokenState};
use crate::store::membership::{Member, Membership};
use crate::store::supply::{self, Supply};
use crate::store::{StoreError, declarations, groups, persons, users};

/// How many of those who would get it are named.
const NAMED: usize = 10;

/// Whom a deployment means.
pub(super) struct Scope<'m> {
    /// Enrolled devices.
    pub devices: Vec<&'m Member>,
    pub people: Vec<PersonId>,
}

/// Whom a deployment means now, without those whom it excludes. People without an enrolled device get a licence only where
/// nothing is to be installed.
pub(super) fn scope<'m>(members: &'m Membership, deployment: &Deployment) -> Scope<'m> {
    let excluded = &deployment.terms.excluded;
    let meant = |device: &&Member| match &deployment.target {
        Target::AllDevices => true,
        Target::Serial(serial) => device.facts.serial == serial.as_str(),
        Target::Group(group) => members.has(*group, device),
        Target::Person(person) => device.person == Some(*person),
    };
    let spoken_of = |device: &&Member| !excluded.iter().any(|group| members.has(*group, device));
    let devices: Vec<&Member> =
        members.devices.iter().filter(|device| device.enrolled).filter(meant).filter(spoken_of).collect();
    let mut people: Vec<PersonId> = match &deployment.target {
        Target::Person(person) => vec![*person],
        Target::Group(group) => members.people_in(*group),
        Target::AllDevices | Target::Serial(_) => Vec::new(),
    };
    people.extend(devices.iter().filter_map(|device| device.person));
    people.retain(|person| !excluded.iter().any(|group| members.has_person(*group, *person)));
    people.sort_unstable();
    people.dedup();
    Scope { devices, people }
}

/// What is told, and what decides whether it can be.
pub(super) struct Preview {
    pub view: PreviewView,
    supply: Vec<Supply>,
    is_book: bool,
    name: String,
    /// Devices that are meant, and how many of them cannot run it.
    devices: usize,
    unable: usize,
    why_unable: String,
    /// Devices for which a licence by user is not offered.
    kiosks: usize,
}

impl Preview {
    pub fn of(c: &Connection, deployment: &Deployment, us: &str) -> Result<Preview, StoreError> {
        let members = Membership::load(c)?;
        let scope = scope(&members, deployment);
        let catalogue = Catalogue::of(c, Some(&deployment.adam_id))?;
        let supply = supply::of(c, &deployment.adam_id)?;
        let mut preview = Preview {
            view: PreviewView::default(),
            is_book: supply.iter().any(|supply| supply.product_type == "Book"),
            name: catalogue.name(&deployment.adam_id),
            supply,
            devices: scope.devices.len(),
            unable: 0,
            why_unable: String::new(),
            kiosks: 0,
        };
        let needs = needs(&preview.supply, &catalogue, &deployment.adam_id);
        let cannot = |device: &Member| cannot_run(&needs, device.facts.platform, &device.facts.os);
        let able = |device: &&&Member| cannot(device).is_none();
        let devices: Vec<&Member> = scope.devices.iter().filter(able).copied().collect();
        preview.unable = preview.devices - devices.len();
        preview.why_unable = scope.devices.iter().find_map(|device| cannot(device)).unwrap_or_default();
        preview.count(c, deployment, &scope, &devices)?;
        preview.free(c, deployment, &members, &scope, us)?;
        preview.sum(deployment);
        Ok(preview)
    }

    /// Who would get a licence, and who has one.
    fn count(
        &mut self,
        c: &Connection,
        deployment: &Deployment,
        scope: &Scope<'_>,
        devices: &[&Member],
    ) -> Result<(), StoreError> {
        let (serials, users) = supply::holders(c, &deployment.adam_id)?;
        let licence = deployment.terms.licence;
        let assignable = self.supply.is_empty() || self.supply.iter().any(|supply| supply.device_assignable);
        let by_serial = |device: &Member| {
            !device.facts.serial.is_empty()
                && takes_device_licences(device)
                && match licence {
                    LicenceKind::Device => true,
                    LicenceKind::User => false,
                    LicenceKind::DeviceIfPossible => assignable,
                }
        };
        let (to_devices, mut others): (Vec<&Member>, Vec<&Member>) =
            devices.iter().partition(|device| by_serial(device));
        let without_serial = others.len();
        self.prompts(c, deployment, &to_devices, &mut others)?;
        let mut people: Vec<PersonId> = Vec::new();
        if licence == LicenceKind::Device {
            self.note(
                without_serial,
                "enrolled without a serial number, or with a system too old for licences by device",
            );
        } else {
            people.extend(others.iter().filter_map(|device| device.person));
            if self.is_book || deployment.terms.licence_only {
                people.extend(&scope.people);
            }
            people.retain(|person| scope.people.contains(person));
            people.sort_unstable();
            people.dedup();
            let nobodys = others.iter().filter(|device| device.person.is_none()).count();
            self.note(nobodys, "nobody's, so a licence by user has no holder: vppd device edit SERIAL --person EMAIL");
            let waiting = scope.people.iter().filter(|person| !people.contains(person)).count();
            if waiting > 0 && to_devices.is_empty() {
                self.view
                    .notes
                    .push(format!("{waiting} people have no enrolled device yet, and get it with the first"));
            }
        }
        let mut first = Vec::new();
        for device in &to_devices {
            match serials.contains(&device.facts.serial) {
                true => self.view.held += 1,
                false => first.push(device.facts.serial.clone()),
            }
        }
        for person in &people {
            let Some(person) = persons::by_id(c, *person)? else { continue };
            match users.contains(&person.client_user_id) {
                true => self.view.held += 1,
                false => first.push(person.email),
            }
        }
        let declared = declarations::count_of(c, &deployment.adam_id)?;
        if declared > 0 && deployment.terms.delivery == Delivery::Command && deployment.purpose == Purpose::Required {
            self.view.notes.push(format!(
                "devices that have it by declaration stay so ({declared}): taking a declaration back would remove the app"
            ));
        }
        self.view.wanted = (to_devices.len() + people.len()) as u64;
        self.view.takes = first.len() as u64;
        first.truncate(NAMED);
        self.view.first = first;
        if let Target::Serial(serial) = &deployment.target
            && scope.devices.is_empty()
        {
            self.view
                .notes
                .push(format!("{serial} is not enrolled now, or is excluded; it gets this when that changes"));
        }
        Ok(())
    }

    /// What the devices will ask their people. Devices that are not offered such a licence are taken out of `by_user`.
    fn prompts(
        &mut self,
        c: &Connection,
        deployment: &Deployment,
        to_devices: &[&Member],
        by_user: &mut Vec<&Member>,
    ) -> Result<(), StoreError> {
        if self.is_book || deployment.terms.licence == LicenceKind::Device {
            by_user.clear();
        }
        let mut kinds = BTreeMap::<Situation, u64>::new();
        let asked = to_devices.iter().map(|device| (device, false)).chain(by_user.iter().map(|device| (device, true)));
        for (device, by_user) in asked {
            let invited = match device.person.filter(|_| by_user) {
                Some(person) => {
                    !users::of_person(c, person)?.iter().any(|user| user.record.status == UserStatus::Associated)
                }
                None => false,
            };
            *kinds.entry(situation(device, by_user, invited)).or_default() += 1;
        }
        let mut refused = BTreeMap::<NotOffered, usize>::new();
        for (kind, devices) in kinds {
            match prompts(&kind) {
                Err(why) => *refused.entry(why).or_default() += devices as usize,
                Ok(_) if deployment.terms.licence_only || deployment.purpose == Purpose::Uninstall => {}
                Ok(asked) => self.view.prompts.push(PromptView {
                    devices,
                    ownership: kind.ownership,
                    platform: kind.platform.to_owned(),
                    supervised: kind.supervised,
                    by_user: kind.by_user,
                    invitation: asked.invitation,
                    install: asked.install,
                    account: asked.account,
                    words: asked.words(),
                }),
            }
        }
        for (why, devices) in refused {
            self.note(devices, why.words());
        }
        let before = by_user.len();
        by_user.retain(|device| prompts(&situation(device, true, false)).is_ok());
        self.kiosks = before - by_user.len();
        Ok(())
    }

    fn note(&mut self, number: usize, what: &str) {
        match number {
            0 => {}
            1 => self.view.notes.push(format!("1 device is left out: it is {what}")),
            _ => self.view.notes.push(format!("{number} devices are left out: they are {what}")),
        }
    }

    /// What is free where the deployment may look.
    fn free(
        &mut self,
        c: &Connection,
        deployment: &Deployment,
        members: &Membership,
        scope: &Scope<'_>,
        us: &str,
    ) -> Result<(), StoreError> {
        let terms = &deployment.terms;
        let (mut free, mut unlimited) = (0, false);
        let mut looked = 0;
        for location in locations::all(c)? {
            let here: Vec<&Supply> = self.supply.iter().filter(|supply| supply.location == location.id).collect();
            if here.is_empty() || !(terms.locations.is_empty() || terms.locations.contains(&location.id)) {
                continue;
            }
            let ours = location.owner.as_ref().is_some_and(|owner| owner.id == us);
            let accepted = matches!(location.token_state, TokenState::Valid | TokenState::Unreachable);
            if !ours || !accepted || location.leaving {
                self.view.notes.push(format!("location \"{}\" cannot give licences now", location.name));
                continue;
            }
            let allowed = groups::of_location(c, location.id)?;
            let reaches = |group| {
                scope.devices.iter().any(|device| members.has(group, device))
                    || scope.people.iter().any(|person| members.has_person(group, *person))
            };
            if !allowed.is_empty() {
                if !allowed.iter().any(|group| reaches(*group)) {
                    self.view.notes.push(format!("location \"{}\" is for other groups only", location.name));
                    continue;
                }
                self.view.notes.push(format!("location \"{}\" is for some groups only", location.name));
            }
            looked += 1;
            let fitting = here.iter().filter(|supply| terms.licence != LicenceKind::Device || supply.device_assignable);
            for supply in fitting {
                unlimited |= supply.unlimited;
                free += if supply.unlimited { 0 } else { supply.free };
            }
        }
        if looked == 0 {
            self.view.notes.push("no location that it may use owns it: everybody waits until one does".to_owned());
        }
        self.view.free = (!unlimited).then_some(free);
        Ok(())
    }

    fn sum(&mut self, deployment: &Deployment) {
        let view = &mut self.view;
        if self.unable > 0 {
            let (unable, devices, why) = (self.unable, self.devices, &self.why_unable);
            view.notes.push(format!("{unable} of {devices} devices cannot run it: {why}"));
        }
        match deployment.purpose {
            Purpose::Uninstall => {
                (view.wanted, view.takes) = (0, 0);
                view.first.clear();
            }
            Purpose::Available => {
                let takes = std::mem::take(&mut view.takes);
                view.notes.push(format!("nobody gets it before asking for it; if all do, it takes {takes}"));
            }
            Purpose::Required => {}
        }
        if let Some(quota) = deployment.terms.quota {
            let left = u64::from(quota).saturating_sub(view.held);
            if view.takes > left {
                view.notes.push(format!("the quota of {quota} lets {} wait", view.takes - left));
                view.takes = left;
            }
        }
        view.short = view.free.map_or(0, |free| view.takes.saturating_sub(free));
    }

    /// Refuses what cannot be. `confirmed`: licences that never come back are wanted nevertheless.
    pub fn check(&self, deployment: &Deployment, confirmed: bool) -> Result<(), OperationError> {
        let conflict =
            |code, message: String, advice: String| Err(OperationError::new(Kind::Conflict, code, message, advice));
        let (adam_id, licence) = (&deployment.adam_id, deployment.terms.licence);
        let app = if self.name.is_empty() { adam_id.clone() } else { format!("{adam_id} (\"{}\")", self.name) };
        if self.is_book && (licence != LicenceKind::User || deployment.purpose == Purpose::Uninstall) {
            return conflict(
                "book",
                format!(
                    "{app} is a book: Apple gives books to people only, never to devices, and a licence that was given never \
                     comes back"
                ),
                "Nothing was changed. To give it to people: --licence user --to group:NAME (or person:EMAIL), and \
                 --confirm-irrevocable."
                    .to_owned(),
            );
        }
        if deployment.purpose == Purpose::Uninstall {
            return Ok(());
        }
        let assignable = self.supply.iter().any(|supply| supply.device_assignable);
        if licence == LicenceKind::Device && !self.supply.is_empty() && !assignable {
            return conflict(
                "not-device-assignable",
                format!("{app} cannot be given to devices: Apple gives its licences to people only"),
                "Nothing was changed. Say --licence user, or --licence device-if-possible.".to_owned(),
            );
        }
        if self.devices > 0 && self.unable == self.devices && !deployment.terms.licence_only {
            return conflict(
                "cannot-run",
                format!("none of the {} devices that are meant can run {app}: {}", self.devices, self.why_unable),
                "Nothing was changed. `vppd app show` tells what it needs.".to_owned(),
            );
        }
        if self.devices > 0 && self.kiosks == self.devices && !deployment.terms.licence_only {
            return conflict(
                "kiosk",
                format!(
                    "all of the {} devices that are meant are kiosks, and a licence by user has no person there",
                    self.devices
                ),
                "Nothing was changed. Say --licence device.".to_owned(),
            );
        }
        let lost = self.supply.iter().any(|supply| !supply.revocable);
        if lost && !confirmed {
            return conflict(
                "irrevocable",
                format!("licences of {app} never come back once they are given; this gives {} now", self.view.takes),
                "Nothing was changed. If that is what you want, say --confirm-irrevocable.".to_owned(),
            );
        }
        Ok(())
    }
}

fn situation(device: &Member, by_user: bool, invited: bool) -> Situation {
    Situation {
        ownership: Ownership::from_word(&device.facts.ownership).unwrap_or(Ownership::Organisation),
        platform: device.facts.platform,
        supervised: device.facts.supervised.unwrap_or(false),
        user_enrolment: device.facts.serial.is_empty(),
        by_user,
        invited,
    }
}

/// What is told of an app's needs. Books run everywhere.
pub(in crate::operations) fn needs(supply: &[Supply], catalogue: &Catalogue, adam_id: &str) -> Needs {
    if supply.iter().any(|supply| supply.product_type == "Book") {
        return Needs::default();
    }
    let info = catalogue.any(adam_id);
    Needs {
        platforms: supply.iter().flat_map(|supply| &supply.platforms).cloned().collect(),
        families: info.map(|info| info.families.clone()).unwrap_or_default(),
        minimum: info.map(|info| info.minimum_os.clone()).unwrap_or_default(),
    }
}

/// Whether a device can hold licences at all: iOS 9 and macOS 10.11 were the first.
fn takes_device_licences(device: &Member) -> bool {
    let first = match device.facts.platform {
        "iOS" => "9",
        "macOS" => "10.11",
        _ => return true,
    };
    let (Some(first), Some(os)) = (Version::read(first), Version::read(&device.facts.os)) else { return true };
    os.compare(&first).is_ge()
}
