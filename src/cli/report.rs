//! `vppd report`: what vppd has found out, for people to act on.

use clap::{Args, Subcommand};

use super::Session;
use super::app::title;
use super::client::segment;
use super::output::Page;
use super::table::{Grid, dash, word};
use crate::operations::view::{DifferenceView, LicenceReportView};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show what differs between Apple, vppd and the devices, and why
    Differences(Differences),
    /// Show for each app what is bought, used, free and waited for, and how long it lasts
    Licences,
}

#[derive(Debug, Args)]
pub struct Differences {
    /// Only what is about this location: your name for it, or its uId
    #[arg(long)]
    location: Option<String>,
}

pub(super) async fn run(command: Command, session: &Session) -> anyhow::Result<()> {
    match command {
        Command::Differences(Differences { location }) => {
            let query = location.map_or(String::new(), |location| format!("?location={}", segment(&location)));
            let answer = session.client.get(&format!("/v1/report/differences{query}")).await?;
            session.out.show_list(&answer, differences)
        }
        Command::Licences => session.out.show_list(&session.client.get("/v1/report/licences").await?, licences),
    }
}

fn licences(rows: &[LicenceReportView], page: &Page) -> String {
    if rows.is_empty() {
        return "No licences: no location owns anything yet, as far as vppd has read.".to_owned();
    }
    let mut grid = Grid::new(&["~APP", ">BOUGHT", ">USED", ">FREE", ">WAITING", ">NEEDED", "?ADAM ID", "~FORECAST"]);
    for row in rows {
        let finite = |count: u64| if row.unlimited { "-".to_owned() } else { count.to_string() };
        grid.row([
            title(&row.name, &row.adam_id).to_owned(),
            if row.unlimited { "unlimited".to_owned() } else { row.bought.to_string() },
            row.used.to_string(),
            finite(row.free),
            row.waiting.to_string(),
            row.needed.to_string(),
            row.adam_id.clone(),
            dash(&row.forecast),
        ]);
    }
    grid.show(page)
}

fn differences(rows: &[DifferenceView], page: &Page) -> String {
    if rows.is_empty() {
        return "No differences: Apple, vppd and the devices agree, as far as vppd has read them.".to_owned();
    }
    let mut grid = Grid::new(&["CAUSE", "ADAM ID", "LOCATION", "HOLDER", "?SEEN", "?~WHY"]);
    for row in rows {
        let holder = row.serial.as_deref().or(row.client_user_id.as_deref()).unwrap_or_default();
        grid.row([
            word(&row.cause),
            row.adam_id.clone(),
            dash(row.location.as_deref().unwrap_or_default()),
            dash(holder),
            page.time(row.seen_at),
            row.why.clone(),
        ]);
    }
    grid.show(page)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::tests::{page, time};
    use crate::operations::view::CauseView;

    #[test]
    fn licences_are_told_with_what_is_to_come() {
        let row = LicenceReportView {
            adam_id: "361309726".to_owned(),
            name: "Pages".to_owned(),
            unlimited: false,
            bought: 100,
            used: 75,
            reserved: 0,
            free: 25,
            waiting: 0,
            needed: 0,
            per_day: 2.5,
            used_up_on: Some("2026-12-07".to_owned()),
            forecast: "at this rate (2.5 a day) used up on Monday, 2026-12-07".to_owned(),
        };
        let free = LicenceReportView { unlimited: true, forecast: String::new(), ..row.clone() };
        let expected = "\
APP       BOUGHT  USED  FREE  WAITING  NEEDED  ADAM ID    FORECAST
Pages        100    75    25        0       0  361309726  at this rate (2.5 a day) used up on Monday, 2026-12-07
Pages  unlimited    75     -        0       0  361309726  -";
        assert_eq!(licences(&[row, free], &page(None)), expected);
    }

    #[test]
    fn differences_say_what_and_why() {
        let row = DifferenceView {
            cause: CauseView::Transferred,
            location: Some("Leeds".to_owned()),
            to: Some("York".to_owned()),
            adam_id: "361309726".to_owned(),
            pricing_param: Some("STDQ".to_owned()),
            serial: None,
            client_user_id: None,
            licences: 5,
            seen_at: Some(time("06:00")),
            why: "5 licences moved to York".to_owned(),
        };
        let shown = differences(&[row], &page(None));
        assert!(shown.starts_with("CAUSE        ADAM ID    LOCATION  HOLDER  SEEN"), "{shown}");
        assert!(shown.contains("transferred  361309726  Leeds     -") && shown.contains("moved to York"), "{shown}");
        assert!(differences(&[], &page(None)).starts_with("No differences"));
    }
}
