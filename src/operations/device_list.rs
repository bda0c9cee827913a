//! Devices by what they are, whose they are, how long they have been silent and where an app stands on them; and what they
//! have told of themselves, as it is shown.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use jiff::Timestamp;
use rusqlite::Connection;

use super::view::{AboutView, ContactView, DeviceQuery, DeviceState, DeviceView, InstalledAppView, Stage};
use super::{OperationError, Shared, catalogue, groups, look};
use crate::clock::after;
use crate::config::{Config, parse_duration};
use crate::licensing::membership::{Rule, platform};
use crate::mdm::push::schedule::is_silent;
use crate::model::{DeviceId, model_name};
use crate::store::devices::{self, Device};
use crate::store::inventory::{self, Inventory};
use crate::store::membership::Membership;
use crate::store::{StoreError, device_notes};

/// The devices that fit all of the query; without one, every device that has ever enrolled.
pub async fn list(context: &Shared, query: DeviceQuery) -> Result<Vec<DeviceView>, OperationError> {
    let rule = query.rule.as_deref().map(groups::checked_rule).transpose()?;
    let silent = query.silent.as_deref().map(duration).transpose()?;
    let stage = query.stage.as_deref().map(stage).transpose()?;
    let seen = look::see(context).await?;
    let mut found = look::device_views(context, &seen, None).await?;
    if rule.is_some() || query.group.is_some() {
        let fits = context.store.read(move |c| members(c, rule.as_deref(), query.group.as_deref())).await?;
        found.retain(|device| fits.contains(&device.udid));
    }
    if query.app.is_some() || stage.is_some() {
        let app = match query.app {
            None => None,
            Some(app) => Some(context.store.read(move |c| catalogue::resolve(c, &app)).await?),
        };
        let ids: HashSet<DeviceId> = seen.with_app(app.as_deref(), stage);
        let udids = context.store.read(move |c| -> Result<HashSet<String>, StoreError> {
            let all = devices::all(c)?.into_iter();
            Ok(all.filter(|device| ids.contains(&device.id)).map(|device| device.udid).collect())
        });
        let udids = udids.await?;
        found.retain(|device| udids.contains(&device.udid));
    }
    let now = context.clock.now();
    if let Some(silent) = silent {
        let quiet = |device: &DeviceView| device.last_seen.is_none_or(|seen| after(seen, silent) <= now);
        found.retain(|device| device.state == DeviceState::Enrolled && quiet(device));
    }
    if let Some(contact) = query.contact {
        found.retain(|device| device.about.contact == contact);
    }
    Ok(found)
}

fn duration(text: &str) -> Result<Duration, OperationError> {
    parse_duration(text).ok_or_else(|| {
        OperationError::invalid("duration", "how long devices have been silent is no duration", "For example: 7d")
    })
}

fn stage(word: &str) -> Result<Stage, OperationError> {
    serde_json::from_value(word.into()).map_err(|_| {
        OperationError::invalid(
            "stage",
            "an app on a device has no such state",
            "For example: installed, installing, waiting-for-person, waiting-for-licence, rejected, failed",
        )
    })
}

/// The UDIDs of the devices that fit a rule and are in a group.
fn members(
    connection: &Connection,
    rule: Option<&str>,
    group: Option<&str>,
) -> Result<HashSet<String>, OperationError> {
    let rule = rule.map(Rule::parse).transpose().map_err(|error| OperationError::internal(error.to_string()))?;
    let group = group.map(|name| groups::find(connection, name)).transpose()?;
    let members = Membership::load(connection)?;
    let fits = members.devices.iter().filter(|device| {
        rule.as_ref().is_none_or(|rule| rule.matches(&device.facts))
            && group.as_ref().is_none_or(|group| members.has(group.id, device))
    });
    Ok(fits.map(|device| device.udid.clone()).collect())
}

/// What is known of each device beside its enrolment, loaded once for many.
pub(super) struct About {
    inventories: HashMap<DeviceId, Inventory>,
    pauses: Vec<Duration>,
    missing_after: Duration,
    now: Timestamp,
}

impl About {
    pub fn load(connection: &Connection, config: &Config, now: Timestamp) -> Result<About, StoreError> {
        Ok(About {
            inventories: inventory::all(connection)?,
            pauses: config.apns.repeat_after.clone(),
            missing_after: config.devices.missing_after,
            now,
        })
    }

    /// What is shown of a device that was last heard of at `seen`.
    pub fn of(&self, device: &Device, seen: Option<Timestamp>) -> AboutView {
        let none = Inventory::default();
        let inventory = self.inventories.get(&device.id).unwrap_or(&none);
        let facts = &device.facts;
        let systems = [&facts.product_name, &facts.model].map(|model| platform(model));
        AboutView {
            name: facts.name.clone(),
            model_name: model_name(&facts.product_name).unwrap_or_default().to_owned(),
            platform: systems.into_iter().find(|system| !system.is_empty()).unwrap_or_default().to_owned(),
            build_version: facts.build_version.clone(),
            user_enrolment: device.user_enrolment,
            contact: self.contact(device, seen),
            capacity: inventory.facts.capacity,
            available: inventory.facts.available,
            store_account: inventory.facts.store_account,
            multi_user: inventory.facts.multi_user,
            awaiting_configuration: inventory.facts.awaiting_configuration,
            inventory_at: inventory.told_at,
        }
    }

    fn contact(&self, device: &Device, seen: Option<Timestamp>) -> ContactView {
        let push = &device.push;
        let unanswered = if seen >= push.pushed_at { 0 } else { push.pushes };
        let quiet = seen.is_none_or(|seen| after(seen, self.missing_after) <= self.now);
        if device.state != devices::DeviceState::Enrolled {
            ContactView::None
        } else if quiet || push.dead_since > seen {
            ContactView::Missing
        } else if is_silent(unanswered, &self.pauses) {
            ContactView::Silent
        } else {
            ContactView::Ok
        }
    }
}

/// The apps on a device, with those marked that vppd has put there.
pub(super) fn installed(connection: &Connection, device: &Device) -> Result<Vec<InstalledAppView>, StoreError> {
    let managed: BTreeMap<String, String> = inventory::managed(connection, device.id)?;
    let all_managed = inventory::get(connection, device.id)?.managed_only;
    let personal = device_notes::get(connection, &device.serial)?.ownership == crate::model::Ownership::Personal;
    let apps = inventory::apps(connection, device.id)?.into_iter().map(|app| InstalledAppView {
        managed: all_managed || managed.contains_key(&app.bundle_id),
        adam_id: managed.get(&app.bundle_id).cloned().unwrap_or_default(),
        bundle_id: app.bundle_id,
        name: app.name,
        version: app.version,
        size: app.size,
        update_available: app.update_available,
    });
    Ok(apps.filter(|app| app.managed || !personal).collect())
}
