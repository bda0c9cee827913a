//! `vppd app waste`: licences that are held while the app is not installed.

use clap::Args;

use super::Session;
use super::app::title;
use super::output::Page;
use super::spreadsheet::csv;
use super::table::{Grid, count, word};
use crate::operations::view::WasteView;

#[derive(Debug, Args)]
pub struct Waste {
    /// For so many days or longer [default: as the settings say]
    #[arg(long, value_name = "N")]
    days: Option<u32>,
    /// Print CSV, a line for each licence
    #[arg(long)]
    csv: bool,
}

pub(super) async fn run(arguments: Waste, session: &Session) -> anyhow::Result<()> {
    let query = arguments.days.map_or(String::new(), |days| format!("?days={days}"));
    let answer = session.client.get(&format!("/v1/waste{query}")).await?;
    if arguments.csv {
        if session.out.json {
            let message = "--json and --csv are two forms of one output: choose one";
            return Err(super::WrongArguments(message.to_owned()).into());
        }
        return session.out.bytes(&written(&answer.view::<Vec<WasteView>>()?)?);
    }
    session.out.show_list(&answer, list)
}

fn list(apps: &[WasteView], page: &Page) -> String {
    if apps.is_empty() {
        return "No licence has been held for so long without its app being installed.".to_owned();
    }
    let mut sums = Grid::new(&["~APP", ">LICENCES", ">OURS", ">ADOPTED", ">FOREIGN", "?SINCE"]);
    let mut each = Grid::new(&["~APP", "HOLDER", "WHOSE", "?LOCATION", "?SINCE", "~WHY", "?~WHAT TO DO"]);
    for app in apps {
        let name = title(&app.name, &app.adam_id);
        sums.row([
            name.to_owned(),
            app.licences.to_string(),
            app.ours.to_string(),
            app.adopted.to_string(),
            app.foreign.to_string(),
            page.time(Some(app.since)),
        ]);
        for holder in &app.holders {
            each.row([
                name.to_owned(),
                holder.holder.clone(),
                word(&holder.whose),
                holder.location.clone(),
                page.time(Some(holder.since)),
                holder.why.clone(),
                holder.advice.clone(),
            ]);
        }
    }
    let all = apps.iter().map(|app| app.licences).sum();
    let licences = count(all, "licence is", "licences are");
    format!("{}\n\n{}\n\n{licences} held and not used.", sums.show(page), each.show(page))
}

fn written(apps: &[WasteView]) -> anyhow::Result<Vec<u8>> {
    let rows = apps.iter().flat_map(|app| {
        app.holders.iter().map(|holder| {
            [
                app.adam_id.clone(),
                app.name.clone(),
                holder.holder.clone(),
                word(&holder.whose),
                holder.location.clone(),
                holder.since.to_string(),
                holder.why.clone(),
                holder.advice.clone(),
            ]
        })
    });
    csv(["adamId", "name", "holder", "whose", "location", "since", "why", "advice"], rows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::tests::{page, time};
    use crate::operations::view::{WasteHolderView, WhoseView};

    fn waste() -> WasteView {
        let holder = WasteHolderView {
            holder: "serial:A".into(),
            location: "Leeds".into(),
            whose: WhoseView::Foreign,
            since: time("06:00"),
            why: "the person declined the app".into(),
            advice: "vppd reclaim --foreign 1".into(),
        };
        WasteView {
            adam_id: "1".into(),
            name: "=SUM(A1), really".into(),
            licences: 1,
            ours: 0,
            adopted: 0,
            foreign: 1,
            since: time("06:00"),
            holders: vec![holder],
        }
    }

    #[test]
    fn waste_is_summed_and_told_one_by_one() {
        let shown = list(&[waste()], &page(None));
        assert!(shown.starts_with("APP               LICENCES  OURS  ADOPTED  FOREIGN  SINCE\n"), "{shown}");
        assert!(
            shown.contains("serial:A  foreign  Leeds") && shown.ends_with("1 licence is held and not used."),
            "{shown}"
        );
        assert!(list(&[], &page(None)).starts_with("No licence"));
    }

    #[test]
    fn csv_has_no_formulas_and_keeps_commas() {
        let text = String::from_utf8(written(&[waste()]).unwrap()).unwrap();
        let line = text.lines().nth(1).unwrap();
        assert!(line.starts_with("1,\"'=SUM(A1), really\",serial:A,foreign,Leeds,2026-11-02T"), "{text}");
    }
}
