//! `vppd device list` and `vppd device apps`: what devices are, and what is on them.

use clap::Args;

use super::client::segment;
use super::output::Page;
use super::spreadsheet::csv;
use super::table::{Grid, dash, word};
use super::{Session, WrongArguments};
use crate::operations::view::{ContactView, DeviceDetailView, DeviceView, InstalledAppView};

pub(super) const EXAMPLES: &str = "\
Examples:
  vppd device list --model \"iPad*\" --os 17
  vppd device list --group Lab --app Pages --app-state failed
  vppd device list --silent 7d --csv > silent.csv
  vppd device list --where 'platform = macOS and not supervised'";

#[derive(Debug, Default, Args)]
pub struct List {
    /// Of this model: its name or its code; * stands for any text
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// With this system: 17 is every 17, 17.5 every 17.5
    #[arg(long, value_name = "VERSION")]
    os: Option<String>,
    /// iOS, macOS, tvOS, visionOS or watchOS
    #[arg(long)]
    platform: Option<String>,
    /// With this tag
    #[arg(long)]
    tag: Option<String>,
    /// Of the person with this e-mail address
    #[arg(long, value_name = "EMAIL")]
    person: Option<String>,
    /// In this group
    #[arg(long)]
    group: Option<String>,
    /// Which a rule fits, as rules of groups are written
    #[arg(long = "where", value_name = "RULE")]
    rule: Option<String>,
    /// Enrolled, and not heard of for so long: 12h, 7d
    #[arg(long, value_name = "TIME")]
    silent: Option<String>,
    /// On which this app is wanted, or being removed
    #[arg(long, value_name = "APP")]
    app: Option<String>,
    /// On which that app, or any, stands so: installed, failed, waiting-for-licence, ...
    #[arg(long, value_name = "STATE")]
    app_state: Option<String>,
    /// Print CSV, a line for each device, with everything that is known
    #[arg(long)]
    csv: bool,
}

#[derive(Debug, Args)]
pub struct Apps {
    /// Its serial number, or its UDID
    #[arg(value_name = "SERIAL")]
    serial: String,
    /// Print CSV, a line for each app
    #[arg(long)]
    csv: bool,
}

pub(super) async fn list(arguments: List, session: &Session) -> anyhow::Result<()> {
    let answer = session.client.get(&format!("/v1/devices{}", query(&arguments)?)).await?;
    if arguments.csv {
        check_form(session)?;
        return session.out.bytes(&devices_csv(&answer.view::<Vec<DeviceView>>()?)?);
    }
    let all = query(&arguments)?.is_empty();
    session.out.show_list(&answer, |devices, page| table(devices, all, page))
}

pub(super) async fn apps(arguments: Apps, session: &Session) -> anyhow::Result<()> {
    let answer = session.client.get(&format!("/v1/devices/{}", segment(&arguments.serial))).await?;
    if arguments.csv {
        check_form(session)?;
        return session.out.bytes(&apps_csv(&answer.view::<DeviceDetailView>()?.installed)?);
    }
    if session.out.json {
        return session.out.json(&serde_json::to_value(answer.view::<DeviceDetailView>()?.installed)?);
    }
    session.out.show(&answer, installed)
}

fn check_form(session: &Session) -> anyhow::Result<()> {
    let message = "--json and --csv are two forms of one output: choose one";
    if session.out.json { Err(WrongArguments(message.to_owned()).into()) } else { Ok(()) }
}

/// The part of the address that says which devices; empty for all.
fn query(arguments: &List) -> anyhow::Result<String> {
    let is = |field: &str, value: &Option<String>| value.as_ref().map(|value| format!("{field} = \"{value}\""));
    let system = arguments.os.as_deref().map(system).transpose()?;
    let conditions = [
        is("model", &arguments.model),
        system,
        is("platform", &arguments.platform),
        is("tag", &arguments.tag),
        is("person", &arguments.person),
        arguments.rule.as_ref().map(|rule| format!("({rule})")),
    ];
    let rule = conditions.into_iter().flatten().collect::<Vec<_>>().join(" and ");
    let rule = (!rule.is_empty()).then_some(rule);
    let named = [
        ("rule", &rule),
        ("group", &arguments.group),
        ("silent", &arguments.silent),
        ("app", &arguments.app),
        ("stage", &arguments.app_state),
    ];
    let pairs = named.iter().filter_map(|(name, value)| Some(format!("{name}={}", segment(value.as_deref()?))));
    let text = pairs.collect::<Vec<_>>().join("&");
    Ok(if text.is_empty() { text } else { format!("?{text}") })
}

/// Every version that begins with these numbers.
fn system(version: &str) -> anyhow::Result<String> {
    let numbers = version.split('.').map(|number| number.parse::<u32>().ok()).collect::<Option<Vec<_>>>();
    let next = numbers.and_then(|mut numbers| {
        let last = numbers.last_mut()?;
        *last = last.checked_add(1)?;
        Some(numbers.iter().map(u32::to_string).collect::<Vec<_>>().join("."))
    });
    let wrong = || WrongArguments(format!("\"{version}\" is no version of a system: write 17 or 17.5"));
    Ok(format!("os >= {version} and os < {}", next.ok_or_else(wrong)?))
}

fn name(device: &DeviceView) -> &str {
    if device.serial.is_empty() { &device.udid } else { &device.serial }
}

fn model(device: &DeviceView) -> &str {
    if device.about.model_name.is_empty() { &device.model } else { &device.about.model_name }
}

/// The state, and for an enrolled device that does not answer how it is with it.
fn state(device: &DeviceView) -> String {
    match device.about.contact {
        ContactView::Silent | ContactView::Missing => word(&device.about.contact),
        ContactView::None | ContactView::Ok => word(&device.state),
    }
}

fn table(devices: &[DeviceView], all: bool, page: &Page) -> String {
    if devices.is_empty() {
        let none = if all { "No devices yet. Enrol one: vppd enrol profile" } else { "No device is so." };
        return none.to_owned();
    }
    let mut grid =
        Grid::new(&["SERIAL", "STATE", "?MODEL", "?OS", ">APPS", ">QUEUE", "LAST SEEN", "?PERSON", "~PROBLEM"]);
    for device in devices {
        grid.row([
            name(device).to_owned(),
            state(device),
            dash(model(device)),
            dash(&device.os_version),
            format!("{}/{}", device.apps_installed, device.apps_wanted),
            device.queue.to_string(),
            page.time(device.last_seen),
            dash(&device.person),
            device.push_problem.clone(),
        ]);
    }
    grid.show(page)
}

fn yes(value: Option<bool>) -> String {
    value.map_or("", |value| if value { "yes" } else { "no" }).to_owned()
}

fn text(value: Option<impl ToString>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

fn devices_csv(devices: &[DeviceView]) -> anyhow::Result<Vec<u8>> {
    let names = [
        "serial",
        "udid",
        "name",
        "state",
        "contact",
        "model",
        "modelName",
        "platform",
        "os",
        "build",
        "supervised",
        "ownership",
        "person",
        "tags",
        "enrolled",
        "lastSeen",
        "inventory",
        "capacityBytes",
        "availableBytes",
        "storeAccount",
        "appsWanted",
        "appsInstalled",
        "queue",
        "identityUntil",
        "pushProblem",
    ];
    let row = |device: &DeviceView| {
        let about = &device.about;
        [
            device.serial.clone(),
            device.udid.clone(),
            about.name.clone(),
            word(&device.state),
            word(&about.contact),
            device.model.clone(),
            about.model_name.clone(),
            about.platform.clone(),
            device.os_version.clone(),
            about.build_version.clone(),
            yes(device.supervised),
            device.ownership.map(|ownership| word(&ownership)).unwrap_or_default(),
            device.person.clone(),
            device.tags.join(", "),
            text(device.enrolled_at),
            text(device.last_seen),
            text(about.inventory_at),
            text(about.capacity),
            text(about.available),
            yes(about.store_account),
            device.apps_wanted.to_string(),
            device.apps_installed.to_string(),
            device.queue.to_string(),
            text(device.identity_expires_at),
            device.push_problem.clone(),
        ]
    };
    csv(names, devices.iter().map(row))
}

fn installed(detail: &DeviceDetailView, page: &Page) -> String {
    let Some(at) = detail.installed_at else {
        return "The device has not told its apps yet.".to_owned();
    };
    let mut grid = Grid::new(&["~NAME", "BUNDLE ID", "VERSION", "MANAGED", ">MB", "?UPDATE"]);
    for app in &detail.installed {
        grid.row([
            dash(&app.name),
            app.bundle_id.clone(),
            dash(&app.version),
            yes(Some(app.managed)),
            text(app.size.map(|size| size / 1_000_000)),
            yes(app.update_available),
        ]);
    }
    format!("{}\n\nAs the device told on {}.", grid.show(page), page.time(at))
}

fn apps_csv(apps: &[InstalledAppView]) -> anyhow::Result<Vec<u8>> {
    let row = |app: &InstalledAppView| {
        [
            app.bundle_id.clone(),
            app.name.clone(),
            app.version.clone(),
            yes(Some(app.managed)),
            app.adam_id.clone(),
            text(app.size),
            yes(app.update_available),
        ]
    };
    csv(["bundleId", "name", "version", "managed", "adamId", "bytes", "updateAvailable"], apps.iter().map(row))
}

#[cfg(test)]
mod tests {
    use super::super::device::tests::device;
    use super::*;
    use crate::cli::tests::page;

    #[test]
    fn devices_are_listed_and_one_without_a_serial_by_its_udid() {
        let expected = "\
SERIAL         STATE     MODEL                   OS    APPS  QUEUE  LAST SEEN  PERSON              PROBLEM
C02            enrolled  iPad (10th generation)  18.1   1/3      2  -          p.osei@example.org
00008020-000A  silent    iPad13,18               18.1   1/3      2  -          p.osei@example.org  the push token is old";
        let mut other = device("", "the push token is old");
        (other.about.contact, other.about.model_name) = (ContactView::Silent, String::new());
        assert_eq!(table(&[device("C02", ""), other], true, &page(None)), expected);
        assert!(table(&[], true, &page(None)).contains("vppd enrol profile"));
        assert_eq!(table(&[], false, &page(None)), "No device is so.");
    }

    #[test]
    fn in_a_narrow_terminal_only_sentences_wrap() {
        let problem = "Apple says that the push token belongs to another topic, so the device must enrol again";
        let listed = table(&[device("C02", problem)], true, &page(Some(90)));
        assert!(listed.lines().count() > 2, "{listed}");
        assert!(listed.lines().all(|line| line.chars().count() <= 90), "{listed}");
        assert!(listed.contains("C02     enrolled"), "{listed}");
    }

    #[test]
    fn what_is_asked_for_becomes_one_rule() {
        let some = |text: &str| Some(text.to_owned());
        let asked = |list: List| query(&list).unwrap();
        assert_eq!(asked(List::default()), "");
        let list = List { model: some("iPad*"), os: some("17.5"), rule: some("a or b"), ..List::default() };
        let rule = "model = \"iPad*\" and os >= 17.5 and os < 17.6 and (a or b)";
        assert_eq!(asked(list), format!("?rule={}", segment(rule)));
        let list = List { group: some("Room 1"), app_state: some("failed"), ..List::default() };
        assert_eq!(asked(list), "?group=Room%201&stage=failed");
        assert!(query(&List { os: some("seventeen"), ..List::default() }).is_err());
    }

    #[test]
    fn csv_tells_everything_and_holds_no_formulas() {
        let mut hostile = device("C02", "");
        hostile.about.name = "=HYPERLINK(1)".to_owned();
        let csv = String::from_utf8(devices_csv(&[hostile]).unwrap()).unwrap();
        let line = csv.lines().nth(1).unwrap();
        assert!(line.starts_with("C02,00008020-000A,'=HYPERLINK(1),enrolled,ok,"), "{csv}");
        assert!(line.contains(",\"iPad13,18\",iPad (10th generation),iOS,18.1,,,,p.osei@example.org,"), "{csv}");
    }

    #[test]
    fn apps_are_shown_with_their_size_and_whose_they_are() {
        let app = InstalledAppView {
            bundle_id: "example.reader".to_owned(),
            name: "Reader".to_owned(),
            version: "4.2".to_owned(),
            managed: true,
            adam_id: "1600000011".to_owned(),
            size: Some(52_000_000),
            update_available: Some(false),
        };
        let csv = String::from_utf8(apps_csv(std::slice::from_ref(&app)).unwrap()).unwrap();
        assert!(csv.ends_with("example.reader,Reader,4.2,yes,1600000011,52000000,no\n"), "{csv}");
        let mut detail = DeviceDetailView {
            device: device("C02", ""),
            groups: vec![],
            pairs: vec![],
            declarations: None,
            installed: vec![app],
            installed_at: None,
            commands: vec![],
        };
        assert!(installed(&detail, &page(None)).contains("not told"));
        detail.installed_at = Some(crate::cli::tests::time("06:00"));
        let shown = installed(&detail, &page(None));
        assert!(shown.contains("Reader  example.reader  4.2      yes      52  no"), "{shown}");
        assert!(shown.ends_with("As the device told on 2026-11-02 06:00."), "{shown}");
    }
}
