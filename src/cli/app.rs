//! `vppd app`: assets, their licences, and where each app stands on each device.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use form_urlencoded::Serializer;

use super::Session;
use super::client::segment;
use super::output::Page;
use super::table::{Grid, clean, dash, facts, word};
use crate::model::AppInfo;
use crate::operations::view::{AppDetailView, AppView, PairView};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// List the apps and books with their licences
    #[command(after_help = LIST_EXAMPLES)]
    List(List),
    /// Show one app under each location, and where it stands on each device
    Show {
        /// Its adamId (361309726 or id361309726), its bundle id, or its whole name
        #[arg(value_name = "APP", value_parser = app_name)]
        app: String,
    },
    /// Show licences that are held while the app is not installed, and what can be done
    Waste(super::waste::Waste),
    /// Write the icon of an app into a file
    Icon {
        /// Its adamId, its bundle id, or its whole name
        #[arg(value_name = "ADAMID", value_parser = app_name)]
        app: String,
        /// The file, which must not exist yet; - is standard output
        #[arg(long, value_name = "FILE")]
        output: PathBuf,
    },
}

#[derive(Debug, Args)]
pub struct List {
    /// Only those with this in the name, the developer, the bundle id or the adamId
    #[arg(long, value_name = "TEXT")]
    search: Option<String>,
    /// Only those of this location (its name or uId)
    #[arg(long, value_name = "NAME")]
    location: Option<String>,
    /// Only apps, or only books
    #[arg(long, value_enum)]
    kind: Option<Kind>,
    /// Only those for iOS (with iPadOS), macOS, tvOS, watchOS or visionOS
    #[arg(long, value_name = "PLATFORM")]
    platform: Option<String>,
    /// One line for each content token instead of one for each app
    #[arg(long)]
    by_token: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Kind {
    App,
    Book,
}

const LIST_EXAMPLES: &str = "\
Examples:
  vppd app list --search pages
  vppd app list --location Leeds --kind book
  vppd app list --by-token";

pub(super) async fn run(command: Command, session: &Session) -> anyhow::Result<()> {
    match command {
        Command::List(arguments) => {
            let answer = session.client.get(&arguments.path()).await?;
            session.out.show_list(&answer, |apps, page| list(apps, arguments.narrows(), page))
        }
        Command::Show { app } => {
            let answer = session.client.get(&format!("/v1/apps/{}", segment(&app))).await?;
            session.out.show(&answer, show)
        }
        Command::Waste(arguments) => super::waste::run(arguments, session).await,
        Command::Icon { app, output } => icon(&app, output, session).await,
    }
}

impl List {
    fn path(&self) -> String {
        let kind = self.kind.map(|kind| if matches!(kind, Kind::App) { "app" } else { "book" });
        let texts = [
            ("search", self.search.as_deref()),
            ("location", self.location.as_deref()),
            ("kind", kind),
            ("platform", self.platform.as_deref()),
            ("by-token", self.by_token.then_some("true")),
        ];
        let given = texts.into_iter().filter_map(|(name, value)| Some((name, value?)));
        format!("/v1/apps?{}", Serializer::new(String::new()).extend_pairs(given).finish())
    }

    /// Whether something may be left out.
    fn narrows(&self) -> bool {
        self.search.is_some() || self.location.is_some() || self.kind.is_some() || self.platform.is_some()
    }
}

async fn icon(app: &str, output: PathBuf, session: &Session) -> anyhow::Result<()> {
    let to_stdout = output.as_os_str() == "-";
    if to_stdout && session.out.json {
        let message = "--json and --output - both want standard output: choose one, or name a file with --output";
        return Err(super::WrongArguments(message.to_owned()).into());
    }
    let answer = session.client.get(&format!("/v1/apps/{}/icon", segment(app))).await?;
    if to_stdout {
        return session.out.bytes(answer.bytes());
    }
    let file = output.display().to_string();
    let written =
        std::fs::File::create_new(&output).and_then(|mut file| std::io::Write::write_all(&mut file, answer.bytes()));
    anyhow::Context::with_context(written, || format!("cannot write the icon to {}", clean(&file)))?;
    if session.out.json {
        return session.out.json(&serde_json::json!({ "file": file, "bytes": answer.bytes().len() }));
    }
    session.out.text(&format!("Wrote the icon into {}.", clean(&file)))
}

/// An app as people name it: an adamId loses its `id`; whether a name is known, vppd tells.
pub(super) fn app_name(text: &str) -> Result<String, String> {
    let text = text.trim();
    let digits = text.strip_prefix("id").unwrap_or(text);
    if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(digits.to_owned());
    }
    if text.is_empty() {
        return Err("name an app by its adamId (361309726), its bundle id, or its whole name".to_owned());
    }
    Ok(text.to_owned())
}

/// The name, or the adamId when it is not known.
pub(super) fn title<'a>(name: &'a str, adam_id: &'a str) -> &'a str {
    if name.is_empty() { adam_id } else { name }
}

fn list(apps: &[AppView], narrowed: bool, page: &Page) -> String {
    match (apps.is_empty(), narrowed) {
        (true, true) => "Nothing that is owned fits this.".to_owned(),
        (true, false) => "No apps yet. They come with a content token: vppd token list".to_owned(),
        _ => apps_table(apps, page),
    }
}

fn apps_table(apps: &[AppView], page: &Page) -> String {
    let mut grid = Grid::new(&[
        "~APP",
        ">OWNED",
        ">ASSIGNED",
        ">FREE",
        ">WANTED",
        ">INSTALLED",
        "?>WAITING",
        "?>FAILED",
        "?ADAM ID",
        "?LOCATION",
        "?TYPE",
        "?VERSION",
        "?PRICE",
        "?MIN. OS",
        "?PLATFORMS",
        "?DEVELOPER",
        "?BUNDLE ID",
    ]);
    let nothing = AppInfo::default();
    for app in apps {
        let info = app.info.as_ref().unwrap_or(&nothing);
        let licences = |number: u64| if app.unlimited { "unlimited".to_owned() } else { number.to_string() };
        grid.row([
            title(&info.name, &app.adam_id).to_owned(),
            licences(app.owned),
            app.assigned.to_string(),
            licences(app.free),
            app.wanted.to_string(),
            app.installed.to_string(),
            app.waiting.to_string(),
            app.failed.to_string(),
            app.adam_id.clone(),
            app.location.clone(),
            kind(app),
            dash(&info.version),
            dash(&info.price),
            dash(&info.minimum_os),
            dash(&app.platforms.join(" ")),
            dash(&info.developer),
            dash(app.bundle_id.as_deref().unwrap_or_default()),
        ]);
    }
    grid.show(page)
}

/// What it is, and what that means for its licences.
fn kind(app: &AppView) -> String {
    let quality = if app.pricing_param == "STDQ" { String::new() } else { format!(" {}", app.pricing_param) };
    let custom = if app.info.as_ref().is_some_and(|info| info.custom) { ", custom" } else { "" };
    let limits = match (app.device_assignable, app.revocable) {
        (true, true) => "",
        (true, false) => ", for good",
        (false, true) => ", for people only",
        (false, false) => ", for people only, for good",
    };
    format!("{}{quality}{custom}{limits}", app.product_type)
}

fn show(detail: &AppDetailView, page: &Page) -> String {
    let mut parts: Vec<String> = detail.apps.first().map(|app| about(app, page)).into_iter().collect();
    parts.push(apps_table(&detail.apps, page));
    let adam_id = detail.apps.first().map_or("ADAMID", |app| app.adam_id.as_str());
    if !detail.pairs.is_empty() {
        parts.push(pairs(&detail.pairs, "SERIAL", |pair| pair.serial.clone(), page));
    } else if detail.apps.iter().all(|app| app.product_type == "Book") && !detail.apps.is_empty() {
        parts.push(
            "Books go to people only, never to devices, and a licence that was given never comes back.".to_owned(),
        );
    } else {
        let deploy = format!("vppd deploy add --app {} --to all-devices --purpose required", clean(adam_id));
        parts.push(format!("No device shall have it. Bring it to all devices:\n  {deploy}"));
    }
    parts.join("\n\n")
}

/// What the store tells of an app; nothing of what it does not tell.
fn about(app: &AppView, page: &Page) -> String {
    let info = app.info.clone().unwrap_or_default();
    let bundle_id = app.bundle_id.clone().unwrap_or_default();
    let others = info.bundle_ids.iter().filter(|id| **id != bundle_id).cloned().collect::<Vec<_>>();
    facts(
        [
            ("name", info.name),
            ("adamId", app.adam_id.clone()),
            ("kind", kind(app)),
            ("developer", info.developer),
            ("version", info.version),
            ("minimum OS", info.minimum_os),
            ("price", info.price),
            ("size", info.size.map(size).unwrap_or_default()),
            ("platforms", app.platforms.join(", ")),
            ("bundle id", bundle_id),
            ("other bundle ids", others.join(", ")),
            ("genres", info.genres.join(", ")),
            ("store", info.store_url),
        ],
        page,
    )
}

/// Bytes, in millions as the store counts.
fn size(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

/// Where pairs stand; `name` tells them apart under `header`.
pub(super) fn pairs(pairs: &[PairView], header: &str, name: impl Fn(&PairView) -> String, page: &Page) -> String {
    let mut grid = Grid::new(&[header, "STAGE", "LICENCE", "?DEVICE SAYS", "?NEXT", "~WHY"]);
    for pair in pairs {
        grid.row([
            name(pair),
            pair.stage.word().to_owned(),
            word(&pair.licence),
            dash(&pair.app_status),
            page.time(pair.next_at),
            pair.why.clone(),
        ]);
    }
    grid.show(page)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::tests::{page, time};
    use crate::operations::view::{LicenceState, Stage};

    fn app() -> AppView {
        AppView {
            adam_id: "361309726".to_owned(),
            pricing_param: "STDQ".to_owned(),
            location: "Leeds".to_owned(),
            locations: vec!["Leeds".to_owned()],
            product_type: "App".to_owned(),
            bundle_id: None,
            platforms: vec!["iOS".to_owned()],
            device_assignable: true,
            revocable: true,
            unlimited: false,
            owned: 50,
            assigned: 49,
            reserved: 1,
            free: 0,
            wanted: 51,
            installed: 48,
            waiting: 1,
            failed: 0,
            info: None,
        }
    }

    fn known() -> AppView {
        let info = AppInfo {
            name: "Pages".to_owned(),
            developer: "Apple".to_owned(),
            version: "14.2".to_owned(),
            price: "Free".to_owned(),
            minimum_os: "17.0".to_owned(),
            size: Some(48_234_496),
            bundle_ids: vec!["com.apple.Pages".to_owned(), "com.apple.Pages.watch".to_owned()],
            ..AppInfo::default()
        };
        AppView { info: Some(info), bundle_id: Some("com.apple.Pages".to_owned()), ..app() }
    }

    #[test]
    fn an_app_with_as_many_licences_as_wanted_shows_no_number() {
        let free = AppView { unlimited: true, owned: 2_147_483_647, free: 2_147_483_640, ..app() };
        let shown = list(&[free], false, &page(Some(80)));
        assert!(shown.contains("361309726  unlimited        49  unlimited      51"), "{shown}");
        assert!(!shown.contains("21474836"), "{shown}");
        assert!(shown.lines().take(2).all(|line| line.chars().count() <= 80), "{shown}");
    }

    #[test]
    fn an_app_shows_where_it_stands_on_each_device() {
        let pair = PairView {
            adam_id: "361309726".to_owned(),
            name: String::new(),
            serial: "C02".to_owned(),
            stage: Stage::WaitingForLicence,
            why: "All 50 licences are in use; 1 device waits.".to_owned(),
            licence: LicenceState::None,
            app_status: String::new(),
            declared: false,
            position: Some(1),
            next_at: Some(time("06:05")),
        };
        let expected = "\
adamId:     361309726
kind:       App
platforms:  iOS

APP        OWNED  ASSIGNED  FREE  WANTED  INSTALLED  WAITING  FAILED  ADAM ID    LOCATION  TYPE  VERSION  PRICE  MIN. OS  PLATFORMS  DEVELOPER  BUNDLE ID
361309726     50        49     0      51         48        1       0  361309726  Leeds     App   -        -      -        iOS        -          -

SERIAL  STAGE                LICENCE  DEVICE SAYS  NEXT              WHY
C02     waiting-for-licence  none     -            2026-11-02 06:05  All 50 licences are in use; 1 device waits.";
        let detail = AppDetailView { apps: vec![app()], pairs: vec![pair] };
        assert_eq!(show(&detail, &page(None)), expected);
    }

    #[test]
    fn an_app_is_called_by_its_name_and_described() {
        let shown = list(&[known()], false, &page(Some(80)));
        assert!(shown.starts_with("APP    OWNED") && shown.contains("\nPages     50"), "{shown}");
        assert!(shown.lines().take(2).all(|line| line.chars().count() <= 80), "{shown}");
        let shown = show(&AppDetailView { apps: vec![known()], pairs: vec![] }, &page(None));
        let expected = "\
name:              Pages
adamId:            361309726
kind:              App
developer:         Apple
version:           14.2
minimum OS:        17.0
price:             Free
size:              48.2 MB
platforms:         iOS
bundle id:         com.apple.Pages
other bundle ids:  com.apple.Pages.watch
";
        assert!(shown.starts_with(expected), "{shown}");
        assert!(shown.ends_with("--app 361309726 --to all-devices --purpose required"), "{shown}");
    }

    #[test]
    fn a_book_is_for_people_and_for_good() {
        let book = AppView { product_type: "Book".into(), device_assignable: false, revocable: false, ..known() };
        let book = AppView { pricing_param: "PLUS".into(), ..book };
        assert_eq!(kind(&book), "Book PLUS, for people only, for good");
        let shown = show(&AppDetailView { apps: vec![book], pairs: vec![] }, &page(None));
        assert!(shown.ends_with("never comes back.") && !shown.contains("deploy add"), "{shown}");
        assert_eq!(list(&[], true, &page(None)), "Nothing that is owned fits this.");
    }

    #[test]
    fn the_filters_become_a_query() {
        let list = List {
            search: Some("a&b c".into()),
            location: None,
            kind: Some(Kind::Book),
            platform: Some("iOS".into()),
            by_token: true,
        };
        assert_eq!(list.path(), "/v1/apps?search=a%26b+c&kind=book&platform=iOS&by-token=true");
    }

    #[test]
    fn an_app_is_named_by_number_or_by_anything_that_may_be_a_name() {
        assert_eq!(app_name("361309726").as_deref(), Ok("361309726"));
        assert_eq!(app_name(" id361309726").as_deref(), Ok("361309726"));
        assert_eq!(app_name("Pages").as_deref(), Ok("Pages"));
        assert_eq!(app_name("idea").as_deref(), Ok("idea"));
        assert!(app_name(" ").is_err());
    }
}
