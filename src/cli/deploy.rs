//! `vppd deploy`: which apps go to which devices.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::Session;
use super::app::{app_name, title};
use super::files::read_text;
use super::output::Page;
use super::table::{Grid, clean, count, facts, word};
use crate::model::{Delivery, LicenceKind, UpdatePolicy};
use crate::operations::view::{
    DeployEditRequest, DeployRequest, DeploymentDetailView, DeploymentView, PreviewView, PurposeView, TermsRequest,
};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Bring an app to devices or people, or take it away
    #[command(after_help = ADD_EXAMPLES)]
    Add(Add),
    /// Change the purpose and the terms of a deployment; what is not said stays
    Edit(Edit),
    /// List the deployments
    List,
    /// Show one deployment: its terms, who gets it now, how many licences that takes
    Show {
        /// Its number in `vppd deploy list`
        id: i64,
    },
    /// Remove a deployment: what it has brought and nothing else wants is taken away
    Remove {
        /// Its number in `vppd deploy list`
        id: i64,
    },
}

#[derive(Debug, Args)]
pub struct Add {
    /// Its adamId (the number in its App Store address), its bundle id, or its whole name
    #[arg(long, value_name = "APP", value_parser = app_name)]
    app: String,
    /// all-devices, serial:SERIAL, group:NAME, or person:EMAIL
    #[arg(long, value_name = "TARGET", value_parser = scope)]
    to: String,
    /// required: they shall have it; available: they may ask for it; uninstall: they shall not have it
    #[arg(long, value_enum, hide_possible_values = true)]
    purpose: Purpose,
    #[command(flatten)]
    terms: Terms,
}

#[derive(Debug, Args)]
pub struct Edit {
    /// Its number in `vppd deploy list`
    id: i64,
    /// required, available, or uninstall
    #[arg(long, value_enum, hide_possible_values = true)]
    purpose: Option<Purpose>,
    #[command(flatten)]
    terms: Terms,
}

#[derive(Debug, Args)]
pub struct Terms {
    /// To what its licences are given: device, user, or device-if-possible
    #[arg(long, value_name = "KIND", value_parser = licence)]
    licence: Option<LicenceKind>,
    /// When it is updated: inherit, immediately, scheduled, or never
    #[arg(long, value_name = "POLICY", value_parser = updates)]
    updates: Option<UpdatePolicy>,
    /// Higher goes first when licences are scarce or deployments disagree; 0 is ordinary
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    priority: Option<i64>,
    /// Licences at most through this deployment, or none for no limit
    #[arg(long, value_name = "NUMBER")]
    quota: Option<String>,
    /// First installs at once at most, or none for no limit
    #[arg(long, value_name = "NUMBER")]
    wave: Option<String>,
    /// Assign licences and install nothing
    #[arg(long, value_name = "true|false", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    licence_only: Option<bool>,
    /// How it comes to devices: auto, command, or declarative
    #[arg(long, value_name = "WAY", value_parser = delivery)]
    delivery: Option<Delivery>,
    /// Devices to which it is declared offer it, instead of installing it
    #[arg(long, value_name = "true|false", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    offered: Option<bool>,
    /// The App Store's number of the build that is wanted (declared only), or none for the newest
    #[arg(long, value_name = "NUMBER")]
    build: Option<String>,
    /// A group that is not meant; repeat for several, give an empty one for none
    #[arg(long, value_name = "GROUP")]
    exclude: Option<Vec<String>>,
    /// A location whose licences may be used; repeat for several, give an empty one for all
    #[arg(long, value_name = "NAME")]
    location: Option<Vec<String>>,
    /// Managed app configuration: a property list or JSON; an empty name for none
    #[arg(long, value_name = "FILE")]
    configuration: Option<PathBuf>,
    /// Attributes of the managed app: a JSON object; an empty name for none
    #[arg(long, value_name = "FILE")]
    attributes: Option<PathBuf>,
    /// Licences that never come back, as those of books, are wanted nevertheless
    #[arg(long)]
    confirm_irrevocable: bool,
    /// Check it and show what it comes to; keep nothing
    #[arg(long)]
    dry_run: bool,
}

const ADD_EXAMPLES: &str = "\
It is checked before it is kept. To see what follows: vppd plan

Examples:
  vppd deploy add --app 361309726 --to all-devices --purpose required
  vppd deploy add --app com.apple.Pages --to group:Teachers --purpose required --licence device-if-possible
  vppd deploy add --app 361309726 --to serial:DMPXK2ABCDEF --purpose uninstall
  vppd deploy add --app 361309726 --to group:\"Year 5\" --purpose required --quota 60 --dry-run";

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Purpose {
    /// They shall have it
    Required,
    /// They may ask for it
    Available,
    /// They shall not have it
    Uninstall,
}

impl Purpose {
    fn view(self) -> PurposeView {
        match self {
            Purpose::Required => PurposeView::Required,
            Purpose::Available => PurposeView::Available,
            Purpose::Uninstall => PurposeView::Uninstall,
        }
    }
}

impl Terms {
    fn request(self) -> anyhow::Result<TermsRequest> {
        let names = |list: Vec<String>| list.into_iter().filter(|name| !name.trim().is_empty()).collect();
        let text = |file: PathBuf, what| match file.as_os_str().is_empty() {
            true => Ok(String::new()),
            false => read_text(&file, what),
        };
        Ok(TermsRequest {
            licence: self.licence,
            updates: self.updates,
            priority: self.priority,
            quota: self.quota,
            wave: self.wave,
            licence_only: self.licence_only,
            delivery: self.delivery,
            offered: self.offered,
            build: self.build,
            excluded: self.exclude.map(names),
            locations: self.location.map(names),
            configuration: self.configuration.map(|file| text(file, "the managed app configuration")).transpose()?,
            attributes: self.attributes.map(|file| text(file, "the attributes")).transpose()?,
        })
    }
}

fn licence(word: &str) -> Result<LicenceKind, String> {
    LicenceKind::from_word(word).ok_or_else(|| "write device, user or device-if-possible".to_owned())
}

fn updates(word: &str) -> Result<UpdatePolicy, String> {
    UpdatePolicy::from_word(word).ok_or_else(|| "write inherit, immediately, scheduled or never".to_owned())
}

fn delivery(word: &str) -> Result<Delivery, String> {
    Delivery::from_word(word).ok_or_else(|| "write auto, command or declarative".to_owned())
}

pub(super) async fn run(command: Command, session: &Session) -> anyhow::Result<()> {
    let (client, out) = (&session.client, &session.out);
    match command {
        Command::Add(Add { app, to, purpose, terms }) => {
            let (confirm_irrevocable, dry_run) = (terms.confirm_irrevocable, terms.dry_run);
            let (purpose, terms) = (purpose.view(), terms.request()?);
            let request = DeployRequest { adam_id: app, to, purpose, terms, confirm_irrevocable, dry_run };
            let answer = client.post("/v1/deployments", &request).await?;
            out.show(&answer, |detail, page| told(if dry_run { "Would add" } else { "Added" }, detail, page))
        }
        Command::Edit(Edit { id, purpose, terms }) => {
            let (confirm_irrevocable, dry_run) = (terms.confirm_irrevocable, terms.dry_run);
            let (purpose, terms) = (purpose.map(Purpose::view), terms.request()?);
            let request = DeployEditRequest { purpose, terms, confirm_irrevocable, dry_run };
            let answer = client.post(&format!("/v1/deployments/{id}"), &request).await?;
            out.show(&answer, |detail, page| told(if dry_run { "Would change" } else { "Changed" }, detail, page))
        }
        Command::List => out.show_list(&client.get("/v1/deployments").await?, list),
        Command::Show { id } => out.show(&client.get(&format!("/v1/deployments/{id}")).await?, show),
        Command::Remove { id } => {
            let answer = client.delete(&format!("/v1/deployments/{id}")).await?;
            out.show(&answer, |deployment, _| sentence("Removed", deployment))
        }
    }
}

fn told(verb: &str, detail: &DeploymentDetailView, page: &Page) -> String {
    format!("{}\n\n{}", sentence(verb, &detail.deployment), preview(&detail.preview, page))
}

fn preview(preview: &PreviewView, page: &Page) -> String {
    let more = preview.takes.saturating_sub(preview.first.len() as u64);
    let more = if more > 0 { format!(", and {more} more") } else { String::new() };
    let first = if preview.first.is_empty() { String::new() } else { format!("{}{more}", preview.first.join(", ")) };
    let mut text = facts(
        [
            ("meant", count(preview.wanted, "holder", "holders")),
            ("hold one", preview.held.to_string()),
            ("takes", count(preview.takes, "licence", "licences")),
            ("free", preview.free.map_or("as many as wanted".to_owned(), |free| free.to_string())),
            ("missing", if preview.short == 0 { String::new() } else { preview.short.to_string() }),
            ("for", first),
        ],
        page,
    );
    for one in &preview.prompts {
        let supervised = if one.supervised { "supervised" } else { "not supervised" };
        let licence = if one.by_user { "user" } else { "device" };
        let kind = [word(&one.ownership), one.platform.clone(), supervised.to_owned()];
        let kind: Vec<String> = kind.into_iter().filter(|word| !word.is_empty()).collect();
        let devices = count(one.devices, "device", "devices");
        text.push_str(&format!("\n- {devices} ({}; licence by {licence}): {}", kind.join(", "), clean(&one.words)));
    }
    preview.notes.iter().for_each(|note| text.push_str(&format!("\n- {}", clean(note))));
    text
}

fn show(detail: &DeploymentDetailView, page: &Page) -> String {
    let deployment = &detail.deployment;
    let limit = |limit: Option<u32>| limit.map(|limit| limit.to_string()).unwrap_or_default();
    let attributes: Vec<String> =
        deployment.attributes.iter().map(|(name, value)| format!("{name} = {value}")).collect();
    let terms = facts(
        [
            ("id", deployment.id.to_string()),
            ("app", title(&deployment.name, &deployment.adam_id).to_owned()),
            ("adamId", deployment.adam_id.clone()),
            ("to", deployment.to.clone()),
            ("except", deployment.excluded.join(", ")),
            ("purpose", word(&deployment.purpose)),
            ("licence", word(&deployment.licence)),
            ("installs", if deployment.licence_only { "nothing, licences only" } else { "" }.to_owned()),
            ("updates", word(&deployment.updates)),
            ("delivery", word(&deployment.delivery)),
            ("offered", if deployment.offered { "where it is declared" } else { "" }.to_owned()),
            ("build", deployment.build.map(|build| build.to_string()).unwrap_or_default()),
            ("priority", deployment.priority.to_string()),
            ("quota", limit(deployment.quota)),
            ("wave", limit(deployment.wave)),
            ("licences from", deployment.locations.join(", ")),
            ("attributes", attributes.join(", ")),
            ("configuration", deployment.configuration.as_ref().map(|_| "see --json".to_owned()).unwrap_or_default()),
            ("devices", deployment.devices.to_string()),
            ("people", deployment.people.to_string()),
            ("created", format!("{} by {}", page.time(deployment.created_at), deployment.created_by)),
        ],
        page,
    );
    format!("{terms}\n\n{}", preview(&detail.preview, page))
}

/// The scopes that exist. A serial number need not have enrolled yet.
fn scope(text: &str) -> Result<String, String> {
    match text.split_once(':') {
        Some(("serial" | "group" | "person", name)) if !name.trim().is_empty() => Ok(text.to_owned()),
        _ if text == "all-devices" => Ok(text.to_owned()),
        _ => Err("write all-devices, serial:SERIAL, group:NAME or person:EMAIL".to_owned()),
    }
}

fn sentence(verb: &str, deployment: &DeploymentView) -> String {
    let (name, adam_id) = (clean(&deployment.name), clean(&deployment.adam_id));
    let app = if name.is_empty() { adam_id } else { format!("{name} ({adam_id})") };
    let number = if deployment.id == 0 { String::new() } else { format!(" {}", deployment.id) };
    format!(
        "{verb} deployment{number}: app {app} {} for {} ({}). What happens now: vppd plan",
        word(&deployment.purpose),
        clean(&deployment.to),
        count(deployment.devices, "device", "devices")
    )
}

fn list(deployments: &[DeploymentView], page: &Page) -> String {
    if deployments.is_empty() {
        return "No deployments yet. Add one: vppd deploy add --app ADAMID --to all-devices --purpose required"
            .to_owned();
    }
    let mut grid = Grid::new(&[">ID", "~APP", "PURPOSE", "TO", ">DEVICES", "?LICENCE", "?CREATED", "?ADAM ID", "~BY"]);
    for deployment in deployments {
        grid.row([
            deployment.id.to_string(),
            title(&deployment.name, &deployment.adam_id).to_owned(),
            word(&deployment.purpose),
            deployment.to.clone(),
            deployment.devices.to_string(),
            word(&deployment.licence),
            page.time(deployment.created_at),
            deployment.adam_id.clone(),
            deployment.created_by.clone(),
        ]);
    }
    grid.show(page)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::tests::{page, time};
    use crate::model::Ownership;
    use crate::operations::view::PromptView;

    #[test]
    fn deployments_are_listed() {
        let deployment = DeploymentView {
            id: 7,
            adam_id: "361309726".to_owned(),
            name: String::new(),
            to: "all-devices".to_owned(),
            purpose: PurposeView::Required,
            created_at: time("06:00"),
            created_by: "root".to_owned(),
            licence: LicenceKind::Device,
            updates: UpdatePolicy::Inherit,
            priority: 0,
            quota: None,
            wave: None,
            licence_only: false,
            delivery: Delivery::Auto,
            offered: false,
            build: None,
            excluded: Vec::new(),
            locations: Vec::new(),
            configuration: None,
            attributes: serde_json::Map::new(),
            devices: 1,
            people: 0,
        };
        let expected = "\
ID  APP        PURPOSE   TO           DEVICES  LICENCE  CREATED           ADAM ID    BY
 7  361309726  required  all-devices        1  device   2026-11-02 06:00  361309726  root";
        assert_eq!(list(std::slice::from_ref(&deployment), &page(None)), expected);
        let added =
            "Added deployment 7: app 361309726 required for all-devices (1 device). What happens now: vppd plan";
        assert_eq!(sentence("Added", &deployment), added);
        let named = DeploymentView { name: "Pages".to_owned(), ..deployment };
        assert!(sentence("Added", &named).starts_with("Added deployment 7: app Pages (361309726) required"));
        let narrow = list(&[named], &page(Some(80)));
        assert!(narrow.contains("Pages") && narrow.lines().take(2).all(|line| line.chars().count() <= 80), "{narrow}");
    }

    #[test]
    fn what_a_deployment_comes_to_is_told() {
        let view = PreviewView {
            wanted: 30,
            held: 4,
            takes: 26,
            free: Some(20),
            short: 6,
            first: vec!["DMPX0001".to_owned(), "DMPX0002".to_owned()],
            prompts: vec![PromptView {
                devices: 30,
                ownership: Ownership::Personal,
                platform: "iOS".to_owned(),
                supervised: false,
                by_user: false,
                invitation: false,
                install: true,
                account: false,
                words: "the person is asked to agree to the install".to_owned(),
            }],
            notes: vec!["1 of 31 devices cannot run it: it is for macOS".to_owned()],
        };
        let expected = "\
meant:     30 holders
hold one:  4
takes:     26 licences
free:      20
missing:   6
for:       DMPX0001, DMPX0002, and 24 more
- 30 devices (personal, iOS, not supervised; licence by device): the person is asked to agree to the install
- 1 of 31 devices cannot run it: it is for macOS";
        assert_eq!(preview(&view, &page(None)), expected);
    }

    #[test]
    fn a_scope_that_does_not_exist_is_refused_at_once() {
        assert!(scope("serial:C02").is_ok() && scope("all-devices").is_ok());
        assert!(scope("group:Year 5").is_ok() && scope("person:p@x.example").is_ok());
        assert!(scope("everybody").is_err() && scope("serial:").is_err() && scope("group: ").is_err());
    }
}
