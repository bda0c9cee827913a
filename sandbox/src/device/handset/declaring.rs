//! A device that speaks declarations: it fetches what has changed when it is called, makes it so, and tells by itself what
//! becomes of its apps.

use std::collections::BTreeMap;

use hyper::StatusCode;
use serde_json::{Value, json};

use super::Handset;
use crate::device::declarations::{self, Place};

/// What a device remembers of declarations.
#[derive(Default)]
pub(super) struct Declaring {
    on: bool,
    /// It was called, and has not fetched yet.
    called: bool,
    token: String,
    /// With the token of each.
    declarations: BTreeMap<Place, (String, Value)>,
    /// What it has told of each app, by list and bundle id.
    told: BTreeMap<(&'static str, String), Value>,
    /// It has told what it can.
    introduced: bool,
}

impl Declaring {
    fn subscribed(&self, name: &str) -> bool {
        self.declarations.values().any(|(_, declaration)| {
            let items = declaration["Payload"]["StatusItems"].as_array().map(Vec::as_slice).unwrap_or_default();
            items.iter().any(|item| item["Name"] == name)
        })
    }

    /// Configurations that an activation names.
    fn active(&self) -> Vec<Place> {
        let names =
            self.declarations.values().filter_map(|(_, one)| one["Payload"]["StandardConfigurations"].as_array());
        let names = names.flatten().filter_map(Value::as_str).map(|name| format!("configuration/{name}"));
        names.filter(|place| self.declarations.contains_key(place)).collect()
    }
}

impl Handset {
    pub(super) fn switch_declarations_on(&self) {
        let mut state = self.lock();
        state.declaring.on = true;
        state.declaring.called = true;
    }

    /// Whether it tells of its apps by itself.
    pub(super) fn tells(&self) -> bool {
        let state = self.lock();
        state.declaring.on && state.enrolled.is_some() && !state.is_off
    }

    /// Fetches what has changed, if it was called to, and makes it so. What fails is tried again with the next call.
    pub(super) async fn sync(&self) {
        if !std::mem::take(&mut self.lock().declaring.called) {
            return;
        }
        if let Err(problem) = self.fetch().await {
            self.count_refusal(&problem);
        }
        self.report().await;
    }

    /// Asks something by itself; the status of the answer, `None` without one.
    pub async fn asks(&self, endpoint: &str) -> Option<u16> {
        self.ask(endpoint, None).await.map(|reply| reply.status.as_u16())
    }

    /// Asks, and counts it. `None` for trouble of the server's, which passes.
    async fn asked(&self, endpoint: &str, data: Option<Vec<u8>>) -> Option<(StatusCode, Vec<u8>)> {
        let word = endpoint.split('/').next().unwrap_or_default().to_owned();
        *self.lock().counters.asked.entry(word).or_default() += 1;
        let reply = self.ask(endpoint, data).await;
        if reply.as_ref().is_none_or(|reply| !reply.status.is_success() && reply.status != StatusCode::NOT_FOUND) {
            self.lock().counters.failures += 1;
            return None;
        }
        reply.map(|reply| (reply.status, reply.body.to_vec()))
    }

    async fn fetch(&self) -> Result<(), String> {
        let Some((_, body)) = self.asked("tokens", None).await else { return Ok(()) };
        if declarations::token(&body)? == self.lock().declaring.token {
            return Ok(());
        }
        let Some((_, body)) = self.asked("declaration-items", None).await else { return Ok(()) };
        let (token, listed) = declarations::items(&body)?;
        let mut kept = std::mem::take(&mut self.lock().declaring.declarations);
        kept.retain(|place, _| listed.contains_key(place));
        for (place, token) in &listed {
            if kept.get(place).is_some_and(|(known, _)| known == token) {
                continue;
            }
            let Some((status, body)) = self.asked(&format!("declaration/{place}"), None).await else { continue };
            if status == StatusCode::NOT_FOUND {
                self.lock().counters.not_found += 1;
                kept.remove(place);
                continue;
            }
            let found = declarations::declaration(&body, &self.spec)?;
            kept.insert(place.clone(), (found["ServerToken"].as_str().unwrap_or_default().to_owned(), found));
        }
        {
            let mut state = self.lock();
            state.declaring.declarations = kept;
            state.declaring.token = token;
        }
        self.apply()
    }

    /// Makes the apps as the active declarations say.
    fn apply(&self) -> Result<(), String> {
        let wanted: Vec<_> = {
            let state = self.lock();
            let active = state.declaring.active();
            active.iter().filter_map(|place| declarations::app(&state.declaring.declarations.get(place)?.1)).collect()
        };
        for app in self.apps.all() {
            let Some((identifier, _)) = app.declared else { continue };
            if !wanted.iter().any(|one| one.identifier == identifier) {
                self.apps.undeclare(&identifier);
            }
        }
        for one in wanted {
            let known = self.apps.all().into_iter().filter_map(|app| app.declared);
            let same = known.into_iter().any(|by| by == (one.identifier.clone(), one.token.clone()));
            if !same && !self.apps.declare(&one) {
                return Err(format!("the store does not know {}", one.adam_id));
            }
        }
        Ok(())
    }

    /// Tells what has changed since it last told; everything if it is that kind of device.
    pub(super) async fn report(&self) {
        let declares = self.spec.declares;
        self.report_as(declares.always_full).await;
    }

    /// Tells everything, as a device does about once a day.
    pub async fn report_fully(&self) {
        self.report_as(true).await;
    }

    async fn report_as(&self, full: bool) {
        let (report, told) = {
            let state = self.lock();
            let Some(report) = self.written(&state.declaring, full) else { return };
            report
        };
        let bytes = report.to_string().into_bytes();
        if self.asked("status", Some(bytes)).await.is_some() {
            let mut state = self.lock();
            state.declaring.told = told;
            state.declaring.introduced = true;
        }
    }

    /// The report, and what it has told then; `None` when there is nothing to tell.
    #[expect(clippy::type_complexity, reason = "the report and the memory of it belong together")]
    fn written(&self, declaring: &Declaring, full: bool) -> Option<(Value, BTreeMap<(&'static str, String), Value>)> {
        let declares = &self.spec.declares;
        let mut items = if declaring.introduced && !full { json!({}) } else { declarations::first(&self.spec) };
        let mut now = BTreeMap::new();
        for (list, in_declared) in [("app.managed.list", true), ("mdm.app", false)] {
            if !declaring.subscribed(list) {
                continue;
            }
            for app in self.apps.all() {
                if let Some(item) = declarations::app_item(&app, in_declared, declares) {
                    now.insert((list, app.product.bundle_id.clone()), item);
                }
            }
            let of_list = |(known, _): &&(&'static str, String)| *known == list;
            let mut changed: Vec<Value> = now
                .iter()
                .filter(|(key, item)| of_list(key) && (full || declaring.told.get(*key) != Some(*item)))
                .map(|(_, item)| item.clone())
                .collect();
            if !full {
                let gone = declaring.told.keys().filter(of_list).filter(|key| !now.contains_key(*key));
                changed.extend(gone.map(|(_, bundle)| json!({ "identifier": bundle, "_removed": true })));
            }
            if changed.is_empty() && !full {
                continue;
            }
            changed.extend((0..declares.ballast).map(|number| {
                json!({ "identifier": format!("example.ballast.{number}"), "name": "An app of no interest", "state": "managed" })
            }));
            match list {
                "mdm.app" => items["mdm"] = json!({ "app": changed }),
                _ => items["app"] = json!({ "managed": { "list": changed } }),
            }
        }
        if items.as_object().is_none_or(serde_json::Map::is_empty) {
            return None;
        }
        let entry = |(place, (token, _)): (&Place, &(String, Value))| {
            let (kind, identifier) = place.split_once('/')?;
            let active = kind != "configuration" || declaring.active().contains(place);
            let entry = json!({ "identifier": identifier, "server-token": token, "active": active, "valid": "valid" });
            Some((kind.to_owned(), entry))
        };
        let entries: Vec<(String, Value)> = declaring.declarations.iter().filter_map(entry).collect();
        let of = |kind: &str| entries.iter().filter(|(known, _)| known == kind).map(|(_, one)| one).collect::<Vec<_>>();
        items["management"]["declarations"] = json!({
            "activations": of("activation"), "assets": [], "configurations": of("configuration"), "management": [],
        });
        let mut report = json!({ "StatusItems": items, "Errors": [] });
        if full {
            report["FullReport"] = true.into();
        }
        Some((report, now))
    }
}
