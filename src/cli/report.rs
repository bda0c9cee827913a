//! `vppd report`: what vppd has found out, for people to act on.

use clap::{Args, Subcommand};

use super::Session;
use super::client::segment;
use super::output::Page;
use super::table::{Grid, dash, word};
use crate::operations::view::DifferenceView;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show what differs between Apple, vppd and the devices, and why
    Differences(Differences),
}

#[derive(Debug, Args)]
pub struct Differences {
    /// Only what is about this location: your name for it, or its uId
    #[arg(long)]
    location: Option<String>,
}

pub(super) async fn run(command: Command, session: &Session) -> anyhow::Result<()> {
    let Command::Differences(Differences { location }) = command;
    let query = location.map_or(String::new(), |location| format!("?location={}", segment(&location)));
    let answer = session.client.get(&format!("/v1/report/differences{query}")).await?;
    session.out.show_list(&answer, differences)
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
