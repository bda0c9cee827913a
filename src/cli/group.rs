//! `vppd group`: groups of devices and of people.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::Session;
use super::client::segment;
use super::files::read_text;
use super::output::Page;
use super::table::{Grid, clean, count, dash, facts, word};
use crate::model::GroupKind;
use crate::operations::view::{
    GroupAddRequest, GroupDetailView, GroupDevicesRequest, GroupDevicesView, GroupEditRequest, GroupImportRequest,
    GroupView,
};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// List the groups
    List,
    /// Show one group, and who is in it now
    Show {
        #[arg(value_name = "GROUP")]
        name: String,
    },
    /// Make a group of devices: a list, or a rule
    #[command(after_help = ADD_EXAMPLES)]
    Add(Add),
    /// Change a group's name, rule or description
    Edit(Edit),
    /// Remove a group that no deployment and no location names
    Remove {
        #[arg(value_name = "GROUP")]
        name: String,
    },
    /// Put devices into a group, enrolled or not yet
    AddDevice {
        #[arg(value_name = "GROUP")]
        name: String,
        #[arg(required = true, value_name = "SERIAL")]
        serials: Vec<String>,
    },
    /// Take devices out of a group
    RemoveDevice {
        #[arg(value_name = "GROUP")]
        name: String,
        #[arg(required = true, value_name = "SERIAL")]
        serials: Vec<String>,
    },
    /// Put the devices of a CSV file into a group
    #[command(after_help = IMPORT_HELP)]
    Import {
        #[arg(value_name = "GROUP")]
        name: String,
        /// A CSV file with serial numbers; - reads standard input
        file: PathBuf,
        /// Take out of the group what the file does not have
        #[arg(long)]
        replace: bool,
    },
}

#[derive(Debug, Args)]
pub struct Add {
    #[arg(value_name = "GROUP")]
    name: String,
    /// Which devices are in it, now and later; without it, those that are put into it
    #[arg(long, conflicts_with = "device")]
    rule: Option<String>,
    #[arg(long, default_value = "", hide_default_value = true)]
    description: String,
    /// A serial number to begin with; repeat for several
    #[arg(long, value_name = "SERIAL")]
    device: Vec<String>,
}

#[derive(Debug, Args)]
pub struct Edit {
    #[arg(value_name = "GROUP")]
    group: String,
    #[arg(long)]
    name: Option<String>,
    #[arg(long)]
    rule: Option<String>,
    #[arg(long)]
    description: Option<String>,
}

const ADD_EXAMPLES: &str = "\
A rule asks for model, os, platform, supervised, ownership, tag, group (of the device's person), person or serial,
with = != < <= > >=, * for any text, and, or, not and parentheses. Groups of people come from the directory.

Examples:
  vppd group add \"Room 12\" --device DMPX0001 --device DMPX0002
  vppd group add Tablets --rule 'model = \"iPad*\" and os >= 17.0 and supervised'
  vppd group add Lent --rule 'group = \"Year 5\" and not ownership = personal'";

const IMPORT_HELP: &str = "\
The file has a serial number in each line, or a first line with the names of its columns, one of which is serial.";

pub(super) async fn run(command: Command, session: &Session) -> anyhow::Result<()> {
    let (client, out) = (&session.client, &session.out);
    match command {
        Command::List => out.show_list(&client.get("/v1/groups").await?, list),
        Command::Show { name } => out.show(&client.get(&path(&name)).await?, show),
        Command::Add(Add { name, rule, description, device }) => {
            let request = GroupAddRequest { name, rule, description, devices: device };
            out.show(&client.post("/v1/groups", &request).await?, |group, page| told("Added.", group, page))
        }
        Command::Edit(Edit { group, name, rule, description }) => {
            let request = GroupEditRequest { name, rule, description };
            out.show(&client.post(&path(&group), &request).await?, |group, page| told("Changed.", group, page))
        }
        Command::Remove { name } => {
            let answer = client.delete(&path(&name)).await?;
            out.show(&answer, |group: &GroupView, _| format!("Removed group \"{}\".", clean(&group.name)))
        }
        Command::AddDevice { name, serials } => {
            change(&name, GroupDevicesRequest { add: serials, remove: Vec::new() }, session).await
        }
        Command::RemoveDevice { name, serials } => {
            change(&name, GroupDevicesRequest { add: Vec::new(), remove: serials }, session).await
        }
        Command::Import { name, file, replace } => import(&name, &file, replace, session).await,
    }
}

fn path(name: &str) -> String {
    format!("/v1/groups/{}", segment(name))
}

async fn change(name: &str, request: GroupDevicesRequest, session: &Session) -> anyhow::Result<()> {
    session.out.show(&session.client.post(&format!("{}/devices", path(name)), &request).await?, changed)
}

async fn import(name: &str, file: &Path, replace: bool, session: &Session) -> anyhow::Result<()> {
    let request = GroupImportRequest { content: read_text(file, "the list of serial numbers")?, replace };
    session.out.show(&session.client.post(&format!("{}/import", path(name)), &request).await?, changed)
}

fn changed(changes: &GroupDevicesView, _: &Page) -> String {
    let GroupDevicesView { group, added, removed, unchanged } = changes;
    let already = if *unchanged > 0 { format!(", {unchanged} as they were") } else { String::new() };
    format!(
        "Group \"{}\": {} added, {removed} taken out{already}. It lists {}, of which {} enrolled.",
        clean(&group.name),
        count(*added, "device", "devices"),
        count(group.listed, "device", "devices"),
        group.devices,
    )
}

fn told(done: &str, group: &GroupView, page: &Page) -> String {
    format!("{done}\n\n{}", overview(group, page))
}

fn list(groups: &[GroupView], page: &Page) -> String {
    if groups.is_empty() {
        return "No groups yet. Make one: vppd group add NAME --rule RULE, or with --device SERIAL".to_owned();
    }
    let mut grid = Grid::new(&["NAME", "KIND", ">DEVICES", ">PEOPLE", "?SOURCE", ">DEPLOYMENTS", "?~RULE"]);
    for group in groups {
        grid.row([
            group.name.clone(),
            word(&group.kind),
            group.devices.to_string(),
            group.people.to_string(),
            word(&group.source),
            group.deployments.len().to_string(),
            group.rule.clone(),
        ]);
    }
    grid.show(page)
}

fn overview(group: &GroupView, page: &Page) -> String {
    let listed = match group.kind {
        GroupKind::Devices => format!(" of {} listed", group.listed),
        _ => String::new(),
    };
    let people = match group.kind {
        GroupKind::People => group.people.to_string(),
        _ => String::new(),
    };
    let deployments: Vec<String> = group.deployments.iter().map(i64::to_string).collect();
    facts(
        [
            ("name", group.name.clone()),
            ("kind", word(&group.kind)),
            ("source", word(&group.source)),
            ("rule", group.rule.clone()),
            ("description", group.description.clone()),
            ("enrolled devices", format!("{}{listed}", group.devices)),
            ("people", people),
            ("deployments", deployments.join(", ")),
            ("draws from", group.locations.join(", ")),
            ("note", group.notes.join("; ")),
            ("made", format!("{} by {}", page.time(group.created_at), group.created_by)),
        ],
        page,
    )
}

fn show(detail: &GroupDetailView, page: &Page) -> String {
    let mut parts = vec![overview(&detail.group, page)];
    if !detail.people.is_empty() {
        let mut grid = Grid::new(&["PERSON", "NAME"]);
        detail.people.iter().for_each(|person| grid.row([person.email.clone(), dash(&person.name)]));
        parts.push(grid.show(page));
    }
    if !detail.devices.is_empty() {
        let mut grid = Grid::new(&["SERIAL", "ENROLLED", "?MODEL", "?OS", "PERSON"]);
        for device in &detail.devices {
            let name = if device.serial.is_empty() { &device.udid } else { &device.serial };
            grid.row([
                name.clone(),
                if device.enrolled { "yes" } else { "no" }.to_owned(),
                dash(&device.model),
                dash(&device.os_version),
                dash(&device.person),
            ]);
        }
        parts.push(grid.show(page));
    }
    if detail.people.is_empty() && detail.devices.is_empty() {
        parts.push("Nobody is in it now.".to_owned());
    }
    parts.join("\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::tests::{page, time};
    use crate::model::Source;
    use crate::operations::view::GroupMemberView;

    fn group() -> GroupView {
        GroupView {
            id: 3,
            name: "Tablets".to_owned(),
            kind: GroupKind::Rule,
            source: Source::Hand,
            rule: "model = iPad* and supervised".to_owned(),
            description: String::new(),
            created_at: time("06:00"),
            created_by: "root".to_owned(),
            devices: 12,
            listed: 0,
            people: 0,
            deployments: vec![7],
            locations: Vec::new(),
            notes: Vec::new(),
        }
    }

    #[test]
    fn groups_are_listed() {
        let expected = "\
NAME     KIND  DEVICES  PEOPLE  SOURCE  DEPLOYMENTS  RULE
Tablets  rule       12       0  hand              1  model = iPad* and supervised";
        assert_eq!(list(&[group()], &page(None)), expected);
        let narrow = list(&[group()], &page(Some(60)));
        assert!(narrow.lines().take(2).all(|line| line.chars().count() <= 60), "{narrow}");
    }

    #[test]
    fn a_group_shows_who_is_in_it() {
        let device = GroupMemberView {
            serial: "DMPX0001".to_owned(),
            udid: String::new(),
            enrolled: false,
            model: String::new(),
            os_version: String::new(),
            person: "p.osei@example.org".to_owned(),
        };
        let detail = GroupDetailView { group: group(), devices: vec![device], people: Vec::new() };
        let shown = show(&detail, &page(None));
        assert!(shown.ends_with("DMPX0001  no        -      -   p.osei@example.org"), "{shown}");
        assert!(shown.contains("deployments:       7\n") && !shown.contains("note:"), "{shown}");
        let nobody = GroupDetailView { devices: Vec::new(), ..detail };
        assert!(show(&nobody, &page(None)).ends_with("Nobody is in it now."));
    }

    #[test]
    fn changes_are_told_in_a_sentence() {
        let group = GroupView { kind: GroupKind::Devices, listed: 5, devices: 3, ..group() };
        let text = changed(&GroupDevicesView { group, added: 1, removed: 0, unchanged: 2 }, &page(None));
        assert_eq!(
            text,
            "Group \"Tablets\": 1 device added, 0 taken out, 2 as they were. It lists 5 devices, of which 3 enrolled."
        );
    }
}
