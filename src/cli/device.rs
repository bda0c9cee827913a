//! `vppd device`: enrolled devices.

use clap::{Args, Subcommand};

use super::app;
use super::client::segment;
use super::confirm::confirm;
use super::output::Page;
use super::table::{Grid, clean, count, dash, facts, word};
use super::{Session, device_list};
use crate::model::{Ownership, Source};
use crate::operations::view::{
    CommandView, ContactView, DeclaringView, DeviceDetailView, DeviceEditRequest, DeviceNoteView, DeviceRemovalView,
    DeviceView, RetryRequest, RetryView,
};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// List the devices, all or those of a model, a group, a person, ...
    #[command(after_help = device_list::EXAMPLES)]
    List(device_list::List),
    /// List the apps on a device, as it has told them; of a personal one the managed apps
    Apps(device_list::Apps),
    /// Show one device, its apps and its latest commands
    Show {
        /// Its serial number, or its UDID
        #[arg(value_name = "SERIAL")]
        serial: String,
    },
    /// Say whose a device is, enrolled or not yet, and note what rules of groups can ask for
    #[command(after_help = EDIT_EXAMPLES)]
    Edit(Edit),
    /// Try again now what failed on a device or was declined there, and wake it
    Retry {
        /// Its serial number, or its UDID
        #[arg(value_name = "SERIAL")]
        serial: String,
        /// This app alone: its Adam ID, name or bundle id
        #[arg(value_name = "APP")]
        app: Option<String>,
    },
    /// Say that a device is gone: its licences go back, and it has to enrol anew if it comes back
    Remove {
        /// Its serial number, or its UDID
        #[arg(value_name = "SERIAL")]
        serial: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Debug, Args)]
pub struct Edit {
    /// Its serial number
    serial: String,
    /// The person's number or e-mail address; stays whatever the directory says, until it is taken back with an empty one
    #[arg(long, value_name = "ID|EMAIL")]
    person: Option<String>,
    /// A word that rules can ask for; repeat for several, give an empty one for none
    #[arg(long)]
    tag: Option<Vec<String>>,
    #[arg(long, value_parser = ownership, value_name = "organisation|personal|kiosk")]
    ownership: Option<Ownership>,
}

const EDIT_EXAMPLES: &str = "\
Examples:
  vppd device edit DMPX0001 --person p.osei@example.org
  vppd device edit DMPX0001 --tag lab --tag \"Room 12\" --ownership kiosk";

fn ownership(word: &str) -> Result<Ownership, String> {
    Ownership::from_word(word).ok_or_else(|| "write organisation, personal or kiosk".to_owned())
}

pub(super) async fn run(command: Command, session: &Session) -> anyhow::Result<()> {
    match command {
        Command::List(arguments) => device_list::list(arguments, session).await,
        Command::Apps(arguments) => device_list::apps(arguments, session).await,
        Command::Show { serial } => {
            let answer = session.client.get(&format!("/v1/devices/{}", segment(&serial))).await?;
            session.out.show(&answer, show)
        }
        Command::Edit(Edit { serial, person, tag, ownership }) => {
            let request = DeviceEditRequest { person, ownership, tags: tag };
            let answer = session.client.post(&format!("/v1/device-notes/{}", segment(&serial)), &request).await?;
            session.out.show(&answer, note)
        }
        Command::Retry { serial, app } => {
            let path = format!("/v1/devices/{}/retry", segment(&serial));
            let answer = session.client.post(&path, &RetryRequest { app }).await?;
            session.out.show(&answer, |told, _| retried(told))
        }
        Command::Remove { serial, yes } => remove(&serial, yes, session).await,
    }
}

fn note(note: &DeviceNoteView, page: &Page) -> String {
    let by = match note.person_source {
        Some(Source::File | Source::Ldap) => " (by the directory)",
        _ => "",
    };
    facts(
        [
            ("serial", note.serial.clone()),
            ("enrolled", if note.enrolled { "yes" } else { "no" }.to_owned()),
            ("person", format!("{}{by}", dash(&note.person))),
            ("ownership", word(&note.ownership)),
            ("tags", note.tags.join(", ")),
            ("groups", note.groups.join(", ")),
        ],
        page,
    )
}

async fn remove(serial: &str, yes: bool, session: &Session) -> anyhow::Result<()> {
    let path = format!("/v1/devices/{}", segment(serial));
    let found: DeviceRemovalView = session.client.get(&format!("{path}/removal")).await?.view()?;
    if !yes && !confirm(&consequences(&found), "Remove it?")? {
        anyhow::bail!("nothing was changed");
    }
    session.out.show(&session.client.delete(&path).await?, |removed, _| {
        format!("{} What happens now: vppd plan", consequences(removed).replacen("This removes", "Removed", 1))
    })
}

fn retried(told: &RetryView) -> String {
    let serial = clean(&told.serial);
    match told.apps.as_slice() {
        [] => format!("Nothing has failed on {serial}. It is woken, if anything waits for it."),
        apps => format!("Tried again on {serial}: {}. How far it is: vppd why {serial} APP", clean(&apps.join(", "))),
    }
}

fn consequences(found: &DeviceRemovalView) -> String {
    let name = clean(if found.serial.is_empty() { &found.udid } else { &found.serial });
    let mut text = format!("This removes device {name}.");
    match found.comes_back {
        0 => text.push_str(" vppd has given it no licences."),
        number => text.push_str(&format!(" Comes back: {}.", count(number, "licence", "licences"))),
    }
    if found.foreign > 0 {
        let licences = count(found.foreign, "licence", "licences");
        text.push_str(&format!(" Stays: {licences} that somebody else has given (vppd reclaim)."));
    }
    if found.by_hand > 0 {
        text.push_str(&format!(" Released: {} by hand.", count(found.by_hand, "decision", "decisions")));
    }
    text.push_str(" If it comes back, it has to enrol anew.");
    text
}

fn show(detail: &DeviceDetailView, page: &Page) -> String {
    let device = &detail.device;
    let supervised = match device.supervised {
        Some(true) => "yes",
        Some(false) => "no",
        None => "not known yet",
    };
    let mut parts = vec![facts(
        [
            ("serial", dash(&device.serial)),
            ("UDID", device.udid.clone()),
            ("state", word(&device.state)),
            ("name", device.about.name.clone()),
            ("model", model(device)),
            ("OS", system(device)),
            ("supervised", supervised.to_owned()),
            ("person", device.person.clone()),
            ("ownership", device.ownership.map(|ownership| word(&ownership)).unwrap_or_default()),
            ("tags", device.tags.join(", ")),
            ("groups", detail.groups.join(", ")),
            ("enrolled", page.time(device.enrolled_at)),
            ("last seen", page.time(device.last_seen)),
            ("does not answer", silence(device)),
            ("free space", space(device)),
            ("App Store", account(device)),
            ("told this", device.about.inventory_at.map(|at| page.time(at)).unwrap_or_default()),
            ("push problem", device.push_problem.clone()),
            ("identity until", page.time(device.identity_expires_at)),
            ("apps", format!("{} installed of {} wanted", device.apps_installed, device.apps_wanted)),
            ("queue", device.queue.to_string()),
            ("declarations", detail.declarations.as_ref().map(declarations).unwrap_or_default()),
        ],
        page,
    )];
    if !detail.pairs.is_empty() {
        parts.push(app::pairs(&detail.pairs, "~APP", |pair| app::title(&pair.name, &pair.adam_id).to_owned(), page));
    }
    if !detail.commands.is_empty() {
        parts.push(commands(&detail.commands, page));
    }
    parts.join("\n\n")
}

fn declarations(declaring: &DeclaringView) -> String {
    match (declaring.state.as_str(), declaring.apps, declaring.tells_of_apps) {
        ("refused", ..) => "not known to it".to_owned(),
        ("asked", ..) => "asked".to_owned(),
        (_, true, _) if declaring.in_step => "apps can be declared; all are fetched".to_owned(),
        (_, true, _) => "apps can be declared; the latest are not fetched yet".to_owned(),
        (_, false, true) => "it tells of its apps; none can be declared".to_owned(),
        (_, false, false) => "no apps can be declared".to_owned(),
    }
}

fn model(device: &DeviceView) -> String {
    match device.about.model_name.as_str() {
        "" => dash(&device.model),
        name => format!("{name} ({})", device.model),
    }
}

fn system(device: &DeviceView) -> String {
    format!("{} {}", device.about.platform, dash(&device.os_version)).trim().to_owned()
}

fn silence(device: &DeviceView) -> String {
    match device.about.contact {
        ContactView::None | ContactView::Ok => "",
        ContactView::Silent => "silent: it is pushed again and again, and does not come",
        ContactView::Missing => "missing: not heard of for long, or its push token is dead",
    }
    .to_owned()
}

fn space(device: &DeviceView) -> String {
    let gigabytes = |bytes: u64| format!("{:.1} GB", bytes as f64 / 1e9);
    match (device.about.available, device.about.capacity) {
        (Some(available), Some(capacity)) => format!("{} of {}", gigabytes(available), gigabytes(capacity)),
        (Some(available), None) => gigabytes(available),
        _ => String::new(),
    }
}

fn account(device: &DeviceView) -> String {
    let account = device.about.store_account;
    account.map_or("", |signed_in| if signed_in { "somebody is signed in" } else { "nobody is signed in" }).to_owned()
}

fn commands(commands: &[CommandView], page: &Page) -> String {
    let mut grid = Grid::new(&["COMMAND", "ABOUT", "STATE", "?QUEUED", "?ANSWERED", "~ERROR"]);
    for command in commands {
        grid.row([
            command.request_type.clone(),
            dash(&command.subject),
            command.state.clone(),
            page.time(command.queued_at),
            page.time(command.answered_at),
            command.error.clone(),
        ]);
    }
    grid.show(page)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::cli::tests::{page, time};
    use crate::operations::view::{AboutView, DeviceState};

    pub fn device(serial: &str, push_problem: &str) -> DeviceView {
        DeviceView {
            serial: serial.to_owned(),
            udid: "00008020-000A".to_owned(),
            state: DeviceState::Enrolled,
            model: "iPad13,18\u{7}".to_owned(),
            os_version: "18.1".to_owned(),
            supervised: None,
            enrolled_at: Some(time("06:00")),
            last_seen: None,
            push_problem: push_problem.to_owned(),
            identity_expires_at: None,
            person: "p.osei@example.org".to_owned(),
            ownership: None,
            tags: Vec::new(),
            queue: 2,
            apps_wanted: 3,
            apps_installed: 1,
            about: AboutView {
                name: "Lab 7".to_owned(),
                model_name: "iPad (10th generation)".to_owned(),
                platform: "iOS".to_owned(),
                contact: ContactView::Ok,
                capacity: Some(64_000_000_000),
                available: Some(20_500_000_000),
                store_account: Some(false),
                ..AboutView::default()
            },
        }
    }

    #[test]
    fn a_device_shows_its_commands() {
        let command = CommandView {
            uuid: "u".to_owned(),
            request_type: "InstallApplication".to_owned(),
            subject: "361309726".to_owned(),
            state: "error".to_owned(),
            queued_at: time("06:00"),
            answered_at: Some(time("06:01")),
            error: "MCMDMErrorDomain 12026: no licence".to_owned(),
        };
        let detail = DeviceDetailView {
            device: device("C02", ""),
            groups: vec![],
            pairs: vec![],
            declarations: None,
            installed: vec![],
            installed_at: None,
            commands: vec![command],
        };
        let shown = show(&detail, &page(None));
        let expected = "\
COMMAND             ABOUT      STATE  QUEUED            ANSWERED          ERROR
InstallApplication  361309726  error  2026-11-02 06:00  2026-11-02 06:01  MCMDMErrorDomain 12026: no licence";
        assert!(shown.ends_with(expected), "{shown}");
        assert!(shown.contains("supervised:      not known yet\n"), "{shown}");
        assert!(shown.contains("free space:      20.5 GB of 64.0 GB\n"), "{shown}");
        assert!(shown.contains("(iPad13,18") && shown.contains("OS:              iOS 18.1\n"), "{shown}");
    }
}
