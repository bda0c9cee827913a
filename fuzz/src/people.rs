//! What people write: the settings file, and requests that come through the control socket.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{from_slice, to_value};
use vppd::config::Config;
use vppd::licensing::membership::{DeviceFacts, Rule};
use vppd::model::Target;
use vppd::operations::deployments::configuration;
use vppd::operations::directory::file::{Format, decode};
use vppd::operations::enrol::tickets::Ticket;
use vppd::operations::view::{
    DeployEditRequest, DeployRequest, DeviceEditRequest, EnrolCodesRequest, EnrolRequest, GroupAddRequest,
    GroupDevicesRequest, PauseRequest, SyncRequest, TokenAddRequest,
};
use vppd::operations::{password, serials};
use vppd::web::enrolment::asked::Asked;

/// The body of every request of the control socket.
pub fn control(bytes: &[u8]) {
    same_again::<PauseRequest>(bytes);
    same_again::<SyncRequest>(bytes);
    same_again::<EnrolRequest>(bytes);
    same_again::<EnrolCodesRequest>(bytes);
    same_again::<TokenAddRequest>(bytes);
    same_again::<DeployEditRequest>(bytes);
    same_again::<DeviceEditRequest>(bytes);
    same_again::<GroupAddRequest>(bytes);
    same_again::<GroupDevicesRequest>(bytes);
    if let Some(request) = same_again::<DeployRequest>(bytes)
        && let Ok(target) = request.to.parse::<Target>()
    {
        assert_eq!(target.to_string().parse::<Target>().ok(), Some(target), "a target does not read what it writes");
    }
}

/// What was read is written and read again: it has to be the same.
fn same_again<T: DeserializeOwned + Serialize>(bytes: &[u8]) -> Option<T> {
    let request: T = from_slice(bytes).ok()?;
    let written = to_value(&request).ok();
    let again = written.clone().and_then(|value| serde_json::from_value::<T>(value).ok());
    assert_eq!(again.and_then(|again| to_value(again).ok()), written, "a request is not what it was");
    Some(request)
}

/// What a browser sends to the enrolment page: the languages that it accepts in a first line, then an address's query or a form.
pub fn enrolment(bytes: &[u8]) {
    let mut parts = bytes.splitn(2, |byte| *byte == b'\n');
    let accepted = String::from_utf8_lossy(parts.next().unwrap_or_default()).into_owned();
    let asked = Asked::read(parts.next().unwrap_or_default());
    assert!(!asked.words(&accepted).title.is_empty());
    let ticket = Ticket::read(asked.code.as_deref().unwrap_or_default());
    assert_eq!(Ticket::read(ticket.expose()).expose(), ticket.expose(), "a ticket does not read as it is written");
    // A hash that may be used is cheap enough to be tried; it is not tried here.
    let _ = password::problem(&asked.name);
}

/// The rule of a device group: what is read prints as something that reads the same.
pub fn rule(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match Rule::parse(text) {
        Ok(rule) => {
            rule.matches(&DeviceFacts::default());
            assert_eq!(Rule::parse(&rule.to_string()), Ok(rule), "a rule does not read as it prints");
        }
        Err(error) => assert!(error.column >= 1 && error.column <= text.chars().count() + 1),
    }
}

/// A file with people, both as TOML and as CSV; a list of serial numbers; managed app configuration.
pub fn people(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    for format in [Format::Toml, Format::Csv] {
        match decode(format, text) {
            Ok(listing) => {
                let known = |group: &String| listing.groups.contains_key(group);
                assert!(listing.people.iter().all(|person| person.groups.iter().all(known)));
            }
            Err(problems) => assert!(!problems.is_empty()),
        }
    }
    let _ = serials::from_csv(text);
    if let Ok(Some(list)) = configuration(text) {
        assert_eq!(configuration(&list).ok().flatten().as_ref(), Some(&list), "a configuration is not what it was");
    }
}

/// The settings file: either settings, or problems that can be shown.
pub fn config(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match Config::from_text("vppd.toml", text) {
        Ok(config) => assert!(!config.devices.url.is_empty()),
        Err(errors) => assert!(!errors.to_string().is_empty()),
    }
}
