//! What a device does with a command it has understood.

use plist::{Dictionary, Value};

use super::{AfterAnswer, EnrolError, Handset};
use crate::device::answer::{Answer, installed_list, keys, managed_list, right};
use crate::device::apps::Install;
use crate::device::command::{Command, Received, Refusal};
use crate::device::options::Renewal;
use crate::device::profile::Profile;

impl Handset {
    pub(super) async fn execute(&self, received: &Received) -> Answer {
        if !self.has_right(right_for(&received.request_type)) {
            return Answer::mdm_error(12007, "The profile does not grant the right for this command");
        }
        let command = match &received.command {
            Ok(command) => command,
            Err(refusal) => {
                self.count_refusal(refusal);
                return match refusal {
                    Refusal::UnknownType(_) => Answer::mdm_error(12021, "The request type is unknown"),
                    Refusal::Schema { .. } | Refusal::Value(_) => Answer::format_error(),
                };
            }
        };
        match command {
            Command::InstallApplication(install) => self.install_application(install),
            Command::RemoveApplication { identifier } => match self.apps.remove(identifier) {
                true => Answer::acknowledged(Dictionary::new()),
                false => Answer::mdm_error(12029, "The app is not managed"),
            },
            Command::InstalledApplicationList { identifiers, managed_only, items } => {
                let list = installed_list(&self.apps, identifiers.as_deref(), *managed_only, items.as_deref());
                Answer::acknowledged(keys([("InstalledApplicationList", list)]))
            }
            Command::ManagedApplicationList { identifiers } => {
                let list = managed_list(&self.apps.report_managed(identifiers.as_deref()));
                Answer::acknowledged(keys([("ManagedApplicationList", list.into())]))
            }
            Command::DeviceInformation { queries } => self.device_information(queries),
            Command::DeclarativeManagement if self.spec.declares.knows => {
                self.switch_declarations_on();
                Answer::acknowledged(Dictionary::new())
            }
            Command::DeclarativeManagement => Answer::mdm_error(12021, "The request type is unknown"),
            Command::InstallProfile { payload } => self.install_profile(payload).await,
            Command::ProfileList => self.profile_list(),
            Command::Settings { items } => {
                let done = |item: &String| keys([("Item", item.as_str().into()), ("Status", "Acknowledged".into())]);
                let items = items.iter().map(|item| Value::from(done(item))).collect();
                Answer::acknowledged(keys([("Settings", Value::Array(items))]))
            }
        }
    }

    fn has_right(&self, bits: u16) -> bool {
        self.lock().enrolled.as_ref().is_some_and(|enrolled| enrolled.mdm.access_rights & bits == bits)
    }

    fn install_application(&self, install: &Install) -> Answer {
        let behaviour = &self.spec.behaviour;
        if behaviour.refuse_take_over && install.take_over {
            return Answer::mdm_error(12008, "The MDM request is invalid");
        }
        let place = self.lock().installs_refused;
        if let Some(refused) = behaviour.refuse_installs.get(place) {
            self.lock().installs_refused += 1;
            return Answer::refused(refused);
        }
        match self.apps.install(install) {
            Ok((bundle, state)) => {
                Answer::acknowledged(keys([("Identifier", bundle.into()), ("State", format!("{state:?}").into())]))
            }
            Err(rejection) => Answer::rejected(rejection),
        }
    }

    /// Queries that are unknown, or that the rights do not cover, are left out.
    fn device_information(&self, queries: &[String]) -> Answer {
        let about_device = self.has_right(right::DEVICE_INFORMATION);
        let about_account = self.has_right(right::MANAGE_APPS);
        let spec = &self.spec;
        let account = spec.store_account.as_deref();
        let mut found = Dictionary::new();
        for query in queries {
            let value: Option<Value> = match query.as_str() {
                "UDID" => Some(spec.udid.as_str().into()),
                "IsSupervised" => Some(spec.supervised.into()),
                "IsMultiUser" | "AwaitingConfiguration" => Some(false.into()),
                "TimeZone" => Some("Europe/London".into()),
                "BatteryLevel" => Some(0.8.into()),
                "SerialNumber" if about_device => Some(spec.serial.as_str().into()),
                "OSVersion" if about_device => Some(spec.os_version.as_str().into()),
                "BuildVersion" if about_device => Some(spec.build_version.as_str().into()),
                "ProductName" if about_device => Some(spec.product.as_str().into()),
                "DeviceName" if about_device => Some(spec.device_name.as_str().into()),
                "Model" | "ModelName" if about_device => {
                    Some(if spec.product.starts_with("iPad") { "iPad" } else { "iPhone" }.into())
                }
                "DeviceCapacity" if about_device => Some(119.2.into()),
                "AvailableDeviceCapacity" if about_device => Some(41.7.into()),
                "iTunesStoreAccountIsActive" if about_account => Some(account.is_some().into()),
                "iTunesStoreAccountHash" if about_account => account.map(Value::from),
                _ => None,
            };
            if let Some(value) = value {
                found.insert(query.clone(), value);
            }
        }
        Answer::acknowledged(keys([("QueryResponses", found.into())]))
    }

    fn profile_list(&self) -> Answer {
        let entry = |profile: &Profile| {
            let mut entry = keys([
                ("PayloadIdentifier", profile.identifier.as_str().into()),
                ("PayloadUUID", profile.uuid.as_str().into()),
                ("PayloadVersion", 1.into()),
                ("IsManaged", true.into()),
                ("IsEncrypted", false.into()),
            ]);
            if let Some(name) = &profile.display_name {
                entry.insert("PayloadDisplayName".to_owned(), name.as_str().into());
            }
            Value::from(entry)
        };
        let list = self.lock().profiles.iter().map(entry).collect();
        Answer::acknowledged(keys([("ProfileList", Value::Array(list))]))
    }

    async fn install_profile(&self, payload: &[u8]) -> Answer {
        let profile = match Profile::read(payload) {
            Ok(profile) => profile,
            Err(problem) => {
                self.count_refusal(&problem);
                return Answer::error("MCProfileErrorDomain", 1000, "The profile is malformed");
            }
        };
        if profile.enrolment.is_some() {
            return self.renew(profile).await;
        }
        let mut state = self.lock();
        state.profiles.retain(|old| old.identifier != profile.identifier);
        state.profiles.push(profile);
        Answer::acknowledged(Dictionary::new())
    }

    /// A new enrolment profile in place of the old one. The answer is signed with the new identity.
    async fn renew(&self, profile: Profile) -> Answer {
        let old = self.lock().enrolled.clone();
        let (Some(old), Some(new)) = (old, profile.enrolment.as_ref()) else {
            return Answer::mdm_error(12011, "There is nothing to renew");
        };
        let same = profile.identifier == old.profile.identifier
            && profile.signer == old.profile.signer
            && new.mdm.topic == old.mdm.topic
            && new.mdm.server_url == old.mdm.server_url
            && new.mdm.check_in_url == old.mdm.check_in_url
            && new.mdm.access_rights & !old.mdm.access_rights == 0;
        if !same {
            return Answer::mdm_error(12012, "The replacement does not match the installed profile");
        }
        let style = self.spec.behaviour.renewal;
        let fails = style == Renewal::FailsHalfWay && self.lock().identities == 0;
        match self.check_in(profile, old.token, old.magic, fails, style == Renewal::AnswersFirst).await {
            Ok(enrolled) => {
                let mut state = self.lock();
                state.identities += 1;
                if style == Renewal::AnswersAsBefore {
                    state.after_answer = Some(AfterAnswer::Become(enrolled));
                    return Answer::acknowledged(Dictionary::new());
                }
                if style == Renewal::AnswersFirst {
                    state.after_answer = Some(AfterAnswer::CheckIn(enrolled.clone()));
                }
                state.profiles.retain(|old| old.identifier != enrolled.profile.identifier);
                state.profiles.push(enrolled.profile.as_ref().clone());
                state.enrolled = Some(enrolled);
                Answer::acknowledged(Dictionary::new())
            }
            Err(EnrolError::PutBack) => {
                self.lock().identities += 1;
                Answer::mdm_error(12009, "The replacement profile could not be installed")
            }
            Err(problem) => {
                self.count_refusal(&problem);
                Answer::mdm_error(12009, "The replacement profile could not be installed")
            }
        }
    }
}

fn right_for(request_type: &str) -> u16 {
    match request_type {
        "InstallApplication" | "RemoveApplication" | "ManagedApplicationList" => right::MANAGE_APPS,
        "InstalledApplicationList" => right::INSPECT_APPS,
        "InstallProfile" => right::CHANGE_PROFILES,
        "ProfileList" => right::INSPECT_PROFILES,
        "Settings" => right::SETTINGS,
        _ => 0,
    }
}
