//! `vppd apply`: makes groups, deployments and token settings as a file says.

use std::path::PathBuf;

use clap::Args;

use super::Session;
use super::app::title;
use super::confirm::confirm;
use super::files::read_text;
use super::output::Page;
use super::table::{Grid, clean, count, dash, word};
use crate::operations::declared;
use crate::operations::view::{AppliedView, ApplyRequest};

const HELP: &str = "\
The file has the form of `vppd export`. Of [[token]], [[group]] and [[deployment]], a kind that the file has is the whole truth:
what is not there is removed. A kind that it does not have is left alone. All is done, or nothing.

Examples:
  vppd apply school.toml --dry-run
  vppd apply school.toml --yes";

#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub struct Apply {
    /// A TOML file; - reads standard input
    file: PathBuf,
    /// Show what would change, and which licences would move; change nothing
    #[arg(long)]
    dry_run: bool,
    /// Do not ask
    #[arg(long, conflicts_with = "dry_run")]
    yes: bool,
    /// Licences that never come back, as those of books, are wanted nevertheless
    #[arg(long)]
    confirm_irrevocable: bool,
}

pub(super) async fn run(arguments: Apply, session: &Session) -> anyhow::Result<()> {
    let Apply { file, dry_run, yes, confirm_irrevocable } = arguments;
    let content = read_text(&file, "groups, deployments and tokens")?;
    let name = file.display().to_string();
    declared::check(&name, &content)?;
    let mut request = ApplyRequest { file: name, content, dry_run: true, confirm_irrevocable, expected: None };
    let answer = session.client.post("/v1/declared", &request).await?;
    let found: AppliedView = answer.view()?;
    if dry_run || found.changes.is_empty() {
        return session.out.show(&answer, shown);
    }
    if !yes && !confirm(&shown(&found, &session.out.page), "Make it so?")? {
        anyhow::bail!("nothing was changed");
    }
    (request.dry_run, request.expected) = (false, Some(found.changes));
    session.out.show(&session.client.post("/v1/declared", &request).await?, shown)
}

fn shown(applied: &AppliedView, page: &Page) -> String {
    if applied.changes.is_empty() {
        return "All is as the file says: nothing to change.".to_owned();
    }
    let line = |change: &crate::operations::view::ChangeView| {
        let details = change.details.join("; ");
        let details = if details.is_empty() { details } else { format!(" ({details})") };
        clean(&format!("{} {}: {}{details}", word(&change.how), change.what, change.name))
    };
    let mut parts = vec![applied.changes.iter().map(line).collect::<Vec<_>>().join("\n")];
    if applied.moves.is_empty() {
        parts.push("No licence moves by this now.".to_owned());
    } else {
        let mut grid = Grid::new(&["~APP", "LOCATION", ">GIVEN", ">TAKEN BACK", ">WAIT"]);
        for one in &applied.moves {
            grid.row([
                title(&one.name, &one.adam_id).to_owned(),
                dash(&one.location),
                one.gives.to_string(),
                one.takes.to_string(),
                one.waits.to_string(),
            ]);
        }
        parts.push(grid.show(page));
    }
    let changes = count(applied.changes.len() as u64, "change", "changes");
    parts.push(match applied.dry_run {
        true => format!("{changes}. Nothing was changed yet."),
        false => format!("{changes} made. To see what follows: vppd plan"),
    });
    parts.join("\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::tests::page;
    use crate::operations::view::{ChangeKind, ChangeView, MoveView};

    #[test]
    fn changes_and_moves_are_told() {
        let change = ChangeView {
            how: ChangeKind::Changed,
            what: "group".into(),
            name: "Room 12".into(),
            details: vec!["devices: 1 added, 0 removed".into()],
        };
        let moved = MoveView {
            adam_id: "1".into(),
            name: "Pages".into(),
            location: "Leeds".into(),
            gives: 1,
            takes: 0,
            waits: 0,
        };
        let applied = AppliedView { dry_run: true, changes: vec![change], moves: vec![moved] };
        let expected = "\
changed group: Room 12 (devices: 1 added, 0 removed)

APP    LOCATION  GIVEN  TAKEN BACK  WAIT
Pages  Leeds         1           0     0

1 change. Nothing was changed yet.";
        assert_eq!(shown(&applied, &page(None)), expected);
        let none = AppliedView { moves: Vec::new(), dry_run: false, ..applied };
        assert!(shown(&none, &page(None)).contains("No licence moves by this now.\n\n1 change made."));
        let nothing = AppliedView { changes: Vec::new(), ..none };
        assert_eq!(shown(&nothing, &page(None)), "All is as the file says: nothing to change.");
    }
}
