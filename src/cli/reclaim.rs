//! `vppd reclaim`: takes back licences that vppd has neither given nor adopted.

use clap::Args;

use super::Session;
use super::app::{app_name, title};
use super::confirm::confirm;
use super::output::Page;
use super::table::{Grid, count, dash};
use crate::operations::view::{ReclaimRequest, ReclaimView};

const EXAMPLES: &str = "\
Books never come back, and licences that vppd gave are not touched: for those, vppd revoke.

Examples:
  vppd reclaim --foreign --dry-run
  vppd reclaim --foreign Pages --token Leeds";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Reclaim {
    /// Those that others have given; there is no other kind yet, but it has to be said
    #[arg(long, required = true)]
    foreign: bool,
    /// This app only: its adamId, its bundle id, or its whole name
    #[arg(value_name = "APP", value_parser = app_name)]
    app: Option<String>,
    /// Under this location only (its name or uId)
    #[arg(long, value_name = "NAME")]
    token: Option<String>,
    /// Do not ask
    #[arg(long, conflicts_with = "dry_run")]
    yes: bool,
    /// Show what would come back, and do nothing
    #[arg(long)]
    dry_run: bool,
}

pub(super) async fn run(arguments: Reclaim, session: &Session) -> anyhow::Result<()> {
    let Reclaim { app, token, yes, dry_run, .. } = arguments;
    let mut request = ReclaimRequest { app, token, dry_run: true, expected: None };
    let answer = session.client.post("/v1/reclaim", &request).await?;
    let found: ReclaimView = answer.view()?;
    if dry_run || found.licences == 0 {
        return session.out.show(&answer, shown);
    }
    let licences = count(found.licences, "licence", "licences");
    let what = format!(
        "{}\n\nThis takes back {licences} that vppd has not given. Whoever gave them may still count on them.",
        shown(&found, &session.out.page)
    );
    if !yes && !confirm(&what, &format!("Take {} back?", found.licences))? {
        anyhow::bail!("nothing was changed");
    }
    (request.dry_run, request.expected) = (false, Some(found.licences));
    session.out.show(&session.client.post("/v1/reclaim", &request).await?, shown)
}

fn shown(found: &ReclaimView, page: &Page) -> String {
    if found.apps.is_empty() {
        return "Nobody holds a licence that vppd has not given.".to_owned();
    }
    let mut grid = Grid::new(&["~APP", "LOCATION", ">DEVICES", ">USERS", "~WHY IT STAYS"]);
    for app in &found.apps {
        grid.row([
            title(&app.name, &app.adam_id).to_owned(),
            app.location.clone(),
            app.devices.to_string(),
            app.users.to_string(),
            dash(&app.why_not),
        ]);
    }
    let end = match (found.dry_run, found.tasks.is_empty()) {
        (false, false) => {
            let tasks: Vec<String> = found.tasks.iter().map(|id| format!("vppd task watch {id}")).collect();
            format!("Apple is being asked. To follow it: {}", tasks.join(", "))
        }
        _ => format!("{} can be taken back. Nothing was changed.", count(found.licences, "licence", "licences")),
    };
    format!("{}\n\n{end}", grid.show(page))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::tests::page;
    use crate::operations::view::ReclaimAppView;

    #[test]
    fn what_comes_back_and_what_stays_is_told() {
        let app = |name: &str, why_not: &str| ReclaimAppView {
            adam_id: "1".into(),
            name: name.into(),
            location: "Leeds".into(),
            devices: 2,
            users: 1,
            why_not: why_not.into(),
        };
        let apps = vec![app("Pages", ""), app("Field Guide", "books never come back")];
        let found = ReclaimView { dry_run: true, licences: 3, apps, tasks: vec![] };
        let expected = "\
APP          LOCATION  DEVICES  USERS  WHY IT STAYS
Pages        Leeds           2      1  -
Field Guide  Leeds           2      1  books never come back

3 licences can be taken back. Nothing was changed.";
        assert_eq!(shown(&found, &page(None)), expected);
        let begun = ReclaimView { dry_run: false, tasks: vec![4], ..found };
        assert!(shown(&begun, &page(None)).ends_with("To follow it: vppd task watch 4"));
    }
}
