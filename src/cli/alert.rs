//! `vppd alert`: what an administrator should know.

use clap::Subcommand;

use super::Session;
use super::output::Page;
use super::table::Grid;
use crate::operations::view::AlertView;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// List what needs a person, the newest first
    List {
        /// Those that have passed, too
        #[arg(long)]
        all: bool,
    },
}

pub(super) async fn run(command: Command, session: &Session) -> anyhow::Result<()> {
    match command {
        Command::List { all } => {
            let answer = session.client.get(if all { "/v1/alerts?all=true" } else { "/v1/alerts" }).await?;
            session.out.show_list(&answer, list)
        }
    }
}

fn list(alerts: &[AlertView], page: &Page) -> String {
    if alerts.is_empty() {
        return "All is well: there is no alert.".to_owned();
    }
    let mut grid = Grid::new(&["SINCE", "UNTIL", "ALERT", "~WHAT", "~WHAT TO DO"]);
    for alert in alerts {
        grid.row([
            page.time(alert.raised_at),
            page.time(alert.ended_at),
            if alert.grave { format!("{} !", alert.kind) } else { alert.kind.clone() },
            alert.message.clone(),
            alert.advice.clone(),
        ]);
    }
    grid.show(page)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::tests::{page, time};

    #[test]
    fn alerts_say_what_and_what_to_do() {
        assert_eq!(list(&[], &page(None)), "All is well: there is no alert.");
        let alert = AlertView {
            id: 1,
            kind: "token-expiry".to_owned(),
            subject: "Leeds".to_owned(),
            grave: true,
            message: "It expires".to_owned(),
            advice: "Renew it".to_owned(),
            raised_at: time("06:00"),
            ended_at: None,
        };
        let expected = "\
SINCE             UNTIL  ALERT           WHAT        WHAT TO DO
2026-11-02 06:00  -      token-expiry !  It expires  Renew it";
        assert_eq!(list(&[alert], &page(None)), expected);
    }
}
