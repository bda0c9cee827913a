//! Makes a file so, in one transaction, and notes what that changes. What is wrong with an entry is noted with its place, so
//! that all is told at once; whoever called then undoes everything.
//!
//! In this order: groups that are added and changed, tokens, deployments, and groups that go, of which nobody speaks then.

use std::collections::{BTreeSet, HashSet};
use std::fmt::Display;
use std::ops::Range;

use jiff::Timestamp;

use super::file::{self, Declared};
use crate::config::{Fault, Sync};
use crate::model::{DeploymentId, GroupKind, SerialNumber, Source, Target};
use crate::operations::catalogue::{Catalogue, resolve};
use crate::operations::tokens::manage::{self, Edited};
use crate::operations::view::{ChangeKind, ChangeView, TermsRequest};
use crate::operations::{Kind, OperationError, deployments, groups, look};
use crate::store::deployments::{Deployment, Terms};
use crate::store::groups::Group;
use crate::store::{self, StoreError, Write, audit, locations};

/// Who makes the changes, when, and by which settings.
pub(super) struct Act {
    pub now: Timestamp,
    pub who: String,
    /// Our `mdmInfo.id`.
    pub us: String,
    pub sync: Sync,
    /// Licences that never come back are wanted nevertheless.
    pub confirmed: bool,
}

pub(super) struct Changes<'w> {
    w: &'w Write<'w>,
    act: &'w Act,
    pub told: Vec<ChangeView>,
    pub faults: Vec<Fault>,
    /// Apps of which a deployment was changed or removed.
    pub apps: BTreeSet<String>,
}

/// An error and where it is.
type Placed = (Range<usize>, OperationError);

impl<'w> Changes<'w> {
    pub fn new(w: &'w Write<'w>, act: &'w Act) -> Changes<'w> {
        Changes { w, act, told: Vec::new(), faults: Vec::new(), apps: BTreeSet::new() }
    }

    /// Makes all of it so, as far as it can be; see `faults`.
    pub fn make(&mut self, declared: &Declared) -> Result<(), OperationError> {
        let gone = declared.groups.as_deref().map(|entries| self.groups(entries)).transpose()?.unwrap_or_default();
        if let Some(entries) = &declared.tokens {
            self.tokens(entries)?;
        }
        if let Some(entries) = &declared.deployments {
            self.deployments(entries)?;
        }
        // What follows from a fault is not told.
        if self.faults.is_empty() {
            for group in gone {
                match groups::take_out(self.w, &group, self.act.now, &self.act.who) {
                    Ok(()) => self.tell(ChangeKind::Removed, "group", &group.name, Vec::new()),
                    Err(error) => self.fault(None, error)?,
                }
            }
        }
        Ok(())
    }

    /// Notes a fault at a place, or of the whole file; faults of vppd itself end everything.
    fn fault(&mut self, span: Option<Range<usize>>, error: OperationError) -> Result<(), OperationError> {
        if error.kind == Kind::Internal {
            return Err(error);
        }
        let missing = span.is_none();
        self.faults.push(Fault {
            span: span.unwrap_or_default(),
            message: error.message,
            advice: error.advice,
            missing,
        });
        Ok(())
    }

    fn tell(&mut self, how: ChangeKind, what: &str, name: &str, details: Vec<String>) {
        self.told.push(ChangeView { how, what: what.to_owned(), name: name.to_owned(), details });
    }

    /// Adds and changes groups; gives those that are to go.
    fn groups(&mut self, entries: &[file::Group]) -> Result<Vec<Group>, OperationError> {
        let mut seen = HashSet::new();
        for entry in entries {
            if !seen.insert(entry.request.name.trim().to_lowercase()) {
                self.fault(Some(entry.places.of("name")), twice("group", &entry.request.name))?;
            } else if let Err((span, error)) = self.group(entry) {
                self.fault(Some(span), error)?;
            }
        }
        let ours = store::groups::all(self.w)?.into_iter().filter(|group| group.source == Source::Hand);
        Ok(ours.filter(|group| !seen.contains(&group.name.to_lowercase())).collect())
    }

    fn group(&mut self, entry: &file::Group) -> Result<(), Placed> {
        let (w, now, who) = (self.w, self.act.now, self.act.who.as_str());
        let wanted = groups::Wanted::read(&entry.request).map_err(|error| {
            let key = match error.code {
                "rule" => "rule",
                "serial" => "devices",
                "too-long" => "description",
                _ => "name",
            };
            (entry.places.of(key), error)
        })?;
        let whole = |error: OperationError| (entry.places.of("name"), error);
        let name = wanted.name.clone();
        let Some(old) = store::groups::by_name(w, &name).map_err(|error| whole(error.into()))? else {
            groups::keep_new(w, wanted, now, who).map_err(whole)?;
            self.tell(ChangeKind::Added, "group", &name, Vec::new());
            return Ok(());
        };
        groups::check_is_ours(&old).map_err(whole)?;
        if wanted.kind() != old.kind {
            let has = if old.kind == GroupKind::Rule { "has a rule" } else { "has a list of devices" };
            return Err(whole(groups::wrong_kind(&old, &format!("{has} here: give the new one another name"))));
        }
        let details = change_group(w, &old, wanted, now, who).map_err(|error| whole(error.into()))?;
        if !details.is_empty() {
            self.tell(ChangeKind::Changed, "group", &name, details);
        }
        Ok(())
    }

    fn tokens(&mut self, entries: &[file::Token]) -> Result<(), OperationError> {
        let mut order = Vec::new();
        for entry in entries {
            let Some(location) = locations::by_name_or_uid(self.w, entry.location.trim())? else {
                self.fault(Some(entry.places.of("location")), look::no_such_location(&entry.location))?;
                continue;
            };
            if order.contains(&location.id) {
                self.fault(Some(entry.places.of("location")), twice("location", &location.name))?;
                continue;
            }
            order.push(location.id);
            if let Err(error) = self.token(&location, entry) {
                self.fault(Some(entry.places.of("location")), error)?;
            }
        }
        let known = locations::all(self.w)?;
        for other in known.iter().filter(|known| !order.contains(&known.id)) {
            let advice = "Nothing was changed. Add it to the file. To remove the location itself: vppd token remove";
            let message =
                format!("location \"{}\" is here, and the file has other tokens, but not this one", other.name);
            self.fault(None, OperationError::invalid("declared", message, advice))?;
        }
        let now: Vec<_> = known.iter().map(|location| location.id).collect();
        if self.faults.is_empty() && now != order {
            locations::set_order(self.w, &order)?;
            let names: Vec<String> = locations::all(self.w)?.into_iter().map(|location| location.name).collect();
            audit::write(self.w, self.act.now, &self.act.who, "order of locations", &names.join(", "))?;
            self.tell(ChangeKind::Changed, "token", "order", vec![names.join(", ")]);
        }
        Ok(())
    }

    fn token(&mut self, old: &locations::Location, entry: &file::Token) -> Result<(), OperationError> {
        let edited = Edited::read(entry.request.clone())?;
        let (name, notes, pace) = edited.of(old);
        let mut wanted = manage::groups_named(self.w, edited.groups.as_deref().unwrap_or_default())?;
        wanted.sort_unstable();
        wanted.dedup();
        let mut details = Vec::new();
        differ(&mut details, "name", &old.name, &name);
        differ(&mut details, "description", &old.notes.description, &notes.description);
        differ(&mut details, "account e-mail", &old.notes.account_email, &notes.account_email);
        differ(&mut details, "categories", &old.notes.categories.join(", "), &notes.categories.join(", "));
        differ(&mut details, "contacts", &old.notes.contacts.join(", "), &notes.contacts.join(", "));
        if pace != old.pace {
            details.push("how often it is synced".to_owned());
        }
        if wanted != store::groups::of_location(self.w, old.id)? {
            let names = groups::names_of_location(self.w, old.id)?;
            let new = edited.groups.clone().unwrap_or_default();
            differ(&mut details, "only for", &names.join(", "), &new.join(", "));
        }
        if !details.is_empty() {
            manage::keep_edited(self.w, old, edited, &self.act.sync, (self.act.now, &self.act.who))?;
            self.tell(ChangeKind::Changed, "token", &name, details);
        }
        Ok(())
    }

    fn deployments(&mut self, entries: &[file::Deployment]) -> Result<(), OperationError> {
        let known = store::deployments::all(self.w)?;
        let catalogue = Catalogue::load(self.w)?;
        let (mut seen, mut meant) = (HashSet::new(), BTreeSet::new());
        for entry in entries {
            if let Err((span, error)) = self.deployment(entry, &known, &catalogue, &mut seen, &mut meant) {
                self.fault(Some(span), error)?;
            }
        }
        if self.faults.is_empty() {
            for old in known.iter().filter(|known| !meant.contains(&known.id)) {
                let name = self.called(old, &catalogue)?;
                deployments::take_out(self.w, old, self.act.now, &self.act.who)?;
                self.apps.insert(old.adam_id.clone());
                self.tell(ChangeKind::Removed, "deployment", &name, Vec::new());
            }
        }
        Ok(())
    }

    fn deployment(
        &mut self,
        entry: &file::Deployment,
        known: &[Deployment],
        catalogue: &Catalogue,
        seen: &mut HashSet<(String, Target)>,
        meant: &mut BTreeSet<DeploymentId>,
    ) -> Result<(), Placed> {
        let (w, now, who) = (self.w, self.act.now, self.act.who.as_str());
        let at = |key: &'static str| move |error: OperationError| (entry.places.of(key), error);
        let adam_id = resolve(w, &entry.app).map_err(at("app"))?;
        let target = deployments::target(w, &entry.to).map_err(at("to"))?;
        let terms = self.terms(entry)?;
        if !seen.insert((adam_id.clone(), target.clone())) {
            let name = format!("{} to {}", entry.app, entry.to);
            return Err(at("to")(twice("deployment", &name)));
        }
        let purpose = deployments::purpose(entry.purpose);
        let mut same = known.iter().filter(|known| known.adam_id == adam_id && known.target == target);
        let exact = same.clone().find(|known| known.purpose == purpose);
        let old = exact.or_else(|| same.next());
        let mut new = Deployment {
            id: old.map_or(DeploymentId(0), |old| old.id),
            adam_id,
            target,
            purpose,
            terms,
            created_at: old.map_or(now, |old| old.created_at),
            created_by: old.map_or_else(|| who.to_owned(), |old| old.created_by.clone()),
        };
        meant.extend(old.map(|old| old.id));
        if old == Some(&new) {
            return Ok(());
        }
        deployments::check(w, &new, &self.act.us, self.act.confirmed).map_err(at("app"))?;
        let internal = |error: StoreError| at("app")(error.into());
        let name = self.called(&new, catalogue).map_err(internal)?;
        match old {
            None => {
                deployments::keep_new(w, &mut new, now, who).map_err(internal)?;
                self.tell(ChangeKind::Added, "deployment", &name, vec![new.purpose.word().to_owned()]);
            }
            Some(old) => {
                deployments::keep_changed(w, &new, now, who).map_err(internal)?;
                self.tell(ChangeKind::Changed, "deployment", &name, deployment_details(old, &new));
            }
        }
        self.apps.insert(new.adam_id);
        Ok(())
    }

    /// The terms, each checked where it stands.
    fn terms(&self, entry: &file::Deployment) -> Result<Terms, Placed> {
        let TermsRequest { excluded, locations, configuration, attributes, .. } = entry.terms.clone();
        let rest = TermsRequest {
            excluded: None,
            locations: None,
            configuration: None,
            attributes: None,
            ..entry.terms.clone()
        };
        let ordinary = TermsRequest::default;
        let parts = [
            ("app", rest),
            ("exclude", TermsRequest { excluded, ..ordinary() }),
            ("locations", TermsRequest { locations, ..ordinary() }),
            ("configuration", TermsRequest { configuration, ..ordinary() }),
            ("attributes", TermsRequest { attributes, ..ordinary() }),
        ];
        parts.into_iter().try_fold(Terms::default(), |terms, (key, part)| {
            deployments::terms::read(self.w, part, terms).map_err(|error| (entry.places.of(key), error))
        })
    }

    /// What a person calls a deployment.
    fn called(&self, deployment: &Deployment, catalogue: &Catalogue) -> Result<String, StoreError> {
        let name = catalogue.name(&deployment.adam_id);
        let app = if name.is_empty() { &deployment.adam_id } else { &name };
        Ok(format!("{app} to {}", deployments::shown_target(self.w, &deployment.target)?))
    }
}

fn twice(what: &str, name: &str) -> OperationError {
    let shown: String = name.chars().take(80).collect();
    OperationError::invalid("named-twice", format!("{what} \"{shown}\" is there twice"), "Keep one of the two.")
}

/// Notes that something becomes something else.
fn differ<T: PartialEq + Display>(details: &mut Vec<String>, what: &str, old: &T, new: &T) {
    if old != new {
        let shown = |value: &T| match value.to_string() {
            text if text.is_empty() => "-".to_owned(),
            text => text,
        };
        details.push(format!("{what}: {} becomes {}", shown(old), shown(new)));
    }
}

/// Makes a group what is wanted; tells in which ways it was not.
fn change_group(
    w: &Write<'_>,
    old: &Group,
    wanted: groups::Wanted,
    now: Timestamp,
    who: &str,
) -> Result<Vec<String>, StoreError> {
    let mut details = Vec::new();
    let rule = wanted.rule.unwrap_or_default();
    differ(&mut details, "name", &old.name, &wanted.name);
    differ(&mut details, "rule", &old.rule, &rule);
    differ(&mut details, "description", &old.description, &wanted.description);
    if !details.is_empty() {
        let new = Group { name: wanted.name, rule, description: wanted.description, ..old.clone() };
        groups::keep_changed(w, &new, now, who)?;
    }
    let listed = store::groups::serials(w, old.id)?;
    let add: Vec<SerialNumber> = wanted.serials.iter().filter(|one| !listed.contains(one.as_str())).cloned().collect();
    let stays = |serial: &SerialNumber| wanted.serials.contains(serial);
    let remove: Vec<SerialNumber> =
        listed.iter().filter_map(|serial| SerialNumber::read(serial)).filter(|serial| !stays(serial)).collect();
    if !add.is_empty() || !remove.is_empty() {
        let (added, removed, _) = groups::put(w, old, &add, &remove)?;
        groups::note_devices(w, old, (added, removed), now, who)?;
        details.push(format!("devices: {added} added, {removed} removed"));
    }
    Ok(details)
}

fn deployment_details(old: &Deployment, new: &Deployment) -> Vec<String> {
    let mut details = Vec::new();
    let limit = |limit: Option<u32>| limit.map_or_else(|| "none".to_owned(), |limit| limit.to_string());
    let (before, after) = (&old.terms, &new.terms);
    differ(&mut details, "purpose", &old.purpose.word(), &new.purpose.word());
    differ(&mut details, "licence", &before.licence.word(), &after.licence.word());
    differ(&mut details, "updates", &before.updates.word(), &after.updates.word());
    differ(&mut details, "priority", &before.priority, &after.priority);
    differ(&mut details, "quota", &limit(before.quota), &limit(after.quota));
    differ(&mut details, "wave", &limit(before.wave), &limit(after.wave));
    differ(&mut details, "licence-only", &before.licence_only, &after.licence_only);
    differ(&mut details, "delivery", &before.delivery.word(), &after.delivery.word());
    differ(&mut details, "offered", &before.offered, &after.offered);
    let build = |build: Option<u64>| build.map_or_else(|| "none".to_owned(), |build| build.to_string());
    differ(&mut details, "build", &build(before.build), &build(after.build));
    let others = [
        ("exclude", before.excluded != after.excluded),
        ("locations", before.locations != after.locations),
        ("configuration", before.configuration != after.configuration),
        ("attributes", before.attributes != after.attributes),
    ];
    details.extend(others.into_iter().filter(|(_, differs)| *differs).map(|(what, _)| what.to_owned()));
    details
}
