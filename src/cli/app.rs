//! `vppd app`: assets, their licences, and where each app stands on each device.

use clap::Subcommand;

use super::Session;
use super::client::segment;
use super::output::Page;
use super::table::{Grid, clean, dash, word};
use crate::operations::view::{AppDetailView, AppView, PairView};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// List the apps and books with their licences
    List,
    /// Show one app under each location, and where it stands on each device
    Show {
        /// The number in the app's App Store address: 361309726 or id361309726
        #[arg(value_name = "ADAMID", value_parser = adam_id)]
        adam_id: String,
    },
}

pub(super) async fn run(command: Command, session: &Session) -> anyhow::Result<()> {
    match command {
        Command::List => session.out.show_list(&session.client.get("/v1/apps").await?, list),
        Command::Show { adam_id } => {
            let answer = session.client.get(&format!("/v1/apps/{}", segment(&adam_id))).await?;
            session.out.show(&answer, show)
        }
    }
}

/// An adamId as people type it; it stays text.
pub(super) fn adam_id(text: &str) -> Result<String, String> {
    let digits = text.strip_prefix("id").unwrap_or(text);
    if (1..=20).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(digits.to_owned());
    }
    Err("an adamId is the number in the app's App Store address, such as 361309726".to_owned())
}

fn list(apps: &[AppView], page: &Page) -> String {
    if apps.is_empty() {
        return "No apps yet. They come with a content token: vppd token list".to_owned();
    }
    apps_table(apps, page)
}

fn apps_table(apps: &[AppView], page: &Page) -> String {
    let mut grid = Grid::new(&[
        "ADAM ID",
        ">OWNED",
        ">ASSIGNED",
        ">FREE",
        ">WANTED",
        ">INSTALLED",
        ">WAITING",
        ">FAILED",
        "?LOCATION",
        "?TYPE",
        "?BUNDLE ID",
    ]);
    for app in apps {
        let licences = |number: u64| if app.unlimited { "unlimited".to_owned() } else { number.to_string() };
        let devices = if app.device_assignable { "" } else { ", not for devices" };
        grid.row([
            app.adam_id.clone(),
            licences(app.owned),
            app.assigned.to_string(),
            licences(app.free),
            app.wanted.to_string(),
            app.installed.to_string(),
            app.waiting.to_string(),
            app.failed.to_string(),
            app.location.clone(),
            format!("{}{devices}", app.product_type),
            dash(app.bundle_id.as_deref().unwrap_or_default()),
        ]);
    }
    grid.show(page)
}

fn show(detail: &AppDetailView, page: &Page) -> String {
    let apps = apps_table(&detail.apps, page);
    if detail.pairs.is_empty() {
        let adam_id = detail.apps.first().map_or("ADAMID", |app| app.adam_id.as_str());
        let deploy = format!("vppd deploy add --app {} --to all-devices --purpose required", clean(adam_id));
        return format!("{apps}\n\nNo device shall have it. Bring it to all devices:\n  {deploy}");
    }
    format!("{apps}\n\n{}", pairs(&detail.pairs, "SERIAL", |pair| pair.serial.clone(), page))
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
        }
    }

    #[test]
    fn an_app_with_as_many_licences_as_wanted_shows_no_number() {
        let free = AppView { unlimited: true, owned: 2_147_483_647, free: 2_147_483_640, ..app() };
        let shown = list(&[free], &page(Some(80)));
        assert!(shown.contains("361309726  unlimited        49  unlimited      51"), "{shown}");
        assert!(!shown.contains("21474836"), "{shown}");
        assert!(shown.lines().take(2).all(|line| line.chars().count() <= 80), "{shown}");
    }

    #[test]
    fn an_app_shows_where_it_stands_on_each_device() {
        let pair = PairView {
            adam_id: "361309726".to_owned(),
            serial: "C02".to_owned(),
            stage: Stage::WaitingForLicence,
            why: "All 50 licences are in use; 1 device waits.".to_owned(),
            licence: LicenceState::None,
            app_status: String::new(),
            position: Some(1),
            next_at: Some(time("06:05")),
        };
        let expected = "\
ADAM ID    OWNED  ASSIGNED  FREE  WANTED  INSTALLED  WAITING  FAILED  LOCATION  TYPE  BUNDLE ID
361309726     50        49     0      51         48        1       0  Leeds     App   -

SERIAL  STAGE                LICENCE  DEVICE SAYS  NEXT              WHY
C02     waiting-for-licence  none     -            2026-11-02 06:05  All 50 licences are in use; 1 device waits.";
        let detail = AppDetailView { apps: vec![app()], pairs: vec![pair] };
        assert_eq!(show(&detail, &page(None)), expected);
    }

    #[test]
    fn an_adam_id_is_a_number_kept_as_text() {
        assert_eq!(adam_id("361309726").as_deref(), Ok("361309726"));
        assert_eq!(adam_id("id361309726").as_deref(), Ok("361309726"));
        assert!(adam_id("Pages").is_err() && adam_id("").is_err());
    }
}
