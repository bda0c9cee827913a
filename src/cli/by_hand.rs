//! `vppd assign`, `vppd revoke` and `vppd release`: licences by hand, for many apps and many devices or people at once.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;

use super::app::{app_name, title};
use super::confirm::confirm;
use super::output::Page;
use super::table::{Grid, clean, count, dash, word};
use super::{Session, WrongArguments};
use crate::operations::view::{
    ByHandItem, ByHandOutcome, ByHandRequest, ByHandView, DecisionView, HeldByHandView, ReleaseRequest,
};

const ASSIGN_EXAMPLES: &str = "\
What is decided by hand beats every deployment until `vppd release`. A file has a line APP,HOLDER for each licence.

Examples:
  vppd assign 361309726 --to serial:DMPXK2ABCDEF
  vppd assign Pages Numbers --to serial:DMPXK2ABCDEF person:p.osei@example.org --token Leeds
  vppd assign --file new-staff.csv --dry-run
  vppd assign --list";

#[derive(Debug, Args)]
#[command(after_help = ASSIGN_EXAMPLES)]
pub struct Assign {
    /// The apps and books: adamIds, bundle ids, or whole names
    #[arg(value_name = "APP", value_parser = app_name, requires = "to")]
    apps: Vec<String>,
    /// serial:SERIAL for a device, person:EMAIL for a person; several with spaces between
    #[arg(long, value_name = "HOLDER", num_args = 1.., value_parser = holder, requires = "apps")]
    to: Vec<String>,
    #[command(flatten)]
    common: Common,
    /// Assign the licence and do not install the app
    #[arg(long)]
    no_install: bool,
    /// Show what was decided by hand and holds
    #[arg(long, exclusive = true)]
    list: bool,
}

const REVOKE_EXAMPLES: &str = "\
The app goes from the device first, then the licence comes back. Books never do.

Examples:
  vppd revoke 361309726 --from serial:DMPXK2ABCDEF
  vppd revoke Pages Numbers --from person:p.osei@example.org --yes";

#[derive(Debug, Args)]
#[command(after_help = REVOKE_EXAMPLES)]
pub struct Revoke {
    /// The apps: adamIds, bundle ids, or whole names
    #[arg(value_name = "APP", value_parser = app_name, requires = "from")]
    apps: Vec<String>,
    /// serial:SERIAL for a device, person:EMAIL for a person; several with spaces between
    #[arg(long, value_name = "HOLDER", num_args = 1.., value_parser = holder, requires = "apps")]
    from: Vec<String>,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, Args)]
struct Common {
    /// A CSV file with the columns app and holder; - is standard input
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Only licences of this location (its name or uId)
    #[arg(long, value_name = "NAME")]
    token: Option<String>,
    /// Do not ask
    #[arg(long, conflicts_with = "dry_run")]
    yes: bool,
    /// Show what would be done, and do nothing
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Args)]
pub struct Release {
    /// The apps and books: adamIds, bundle ids, or whole names
    #[arg(value_name = "APP", value_parser = app_name, required = true)]
    apps: Vec<String>,
    /// serial:SERIAL for a device, person:EMAIL for a person; several with spaces between
    #[arg(long = "for", value_name = "HOLDER", num_args = 1.., value_parser = holder, required = true)]
    holders: Vec<String>,
}

pub(super) async fn assign(arguments: Assign, session: &Session) -> anyhow::Result<()> {
    if arguments.list {
        return session.out.show_list(&session.client.get("/v1/by-hand").await?, list);
    }
    let Assign { apps, to, common, no_install, .. } = arguments;
    decide(DecisionView::Assigned, apps, to, common, no_install, session).await
}

pub(super) async fn revoke(arguments: Revoke, session: &Session) -> anyhow::Result<()> {
    let Revoke { apps, from, common } = arguments;
    decide(DecisionView::Revoked, apps, from, common, false, session).await
}

pub(super) async fn release(arguments: Release, session: &Session) -> anyhow::Result<()> {
    let request = ReleaseRequest { apps: arguments.apps, holders: arguments.holders };
    let answer = session.client.post("/v1/by-hand/release", &request).await?;
    session.out.show_list(&answer, |released: &[HeldByHandView], page| {
        format!("{}\n\nThe deployments decide again about these: vppd plan", list(released, page))
    })
}

async fn decide(
    decision: DecisionView,
    apps: Vec<String>,
    holders: Vec<String>,
    common: Common,
    licence_only: bool,
    session: &Session,
) -> anyhow::Result<()> {
    let items = match &common.file {
        Some(file) => read(file)?,
        None if apps.is_empty() => {
            let way = if decision == DecisionView::Assigned { "--to" } else { "--from" };
            let message = format!("name apps and, with {way}, devices or people; or a file with --file");
            return Err(WrongArguments(message).into());
        }
        None => Vec::new(),
    };
    let mut request = ByHandRequest {
        decision,
        apps,
        holders,
        items,
        token: common.token,
        licence_only,
        dry_run: true,
        expected: None,
    };
    if common.dry_run {
        return session.out.show(&session.client.post("/v1/by-hand", &request).await?, shown);
    }
    if !common.yes {
        let answer = session.client.post("/v1/by-hand", &request).await?;
        let found: ByHandView = answer.view()?;
        if found.possible == 0 {
            session.out.show(&answer, shown)?;
            anyhow::bail!("nothing of it can be done, and nothing was changed");
        }
        let what = format!("{}\n\n{}", shown(&found, &session.out.page), consequences(&found));
        if !confirm(&what, "Do that?")? {
            anyhow::bail!("nothing was changed");
        }
        request.expected = Some(found.possible);
    }
    request.dry_run = false;
    session.out.show(&session.client.post("/v1/by-hand", &request).await?, shown)
}

/// The lines of a file: app and holder. A first line that names the columns is not one of them.
fn read(file: &Path) -> anyhow::Result<Vec<ByHandItem>> {
    let shown = clean(&file.display().to_string());
    let text = if file.as_os_str() == "-" {
        std::io::read_to_string(std::io::stdin()).context("cannot read standard input")?
    } else {
        std::fs::read_to_string(file).with_context(|| format!("cannot read {shown}"))?
    };
    items(&text).map_err(|problem| anyhow::anyhow!("{shown}: {problem}; nothing was changed"))
}

fn items(text: &str) -> Result<Vec<ByHandItem>, String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader =
        csv::ReaderBuilder::new().has_headers(false).flexible(true).trim(csv::Trim::All).from_reader(text.as_bytes());
    let mut items = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|error| error.to_string())?;
        let line = record.position().map_or(0, |position| position.line());
        if items.is_empty() && line == 1 && record.get(0).is_some_and(|first| first.eq_ignore_ascii_case("app")) {
            continue;
        }
        let fields: Vec<&str> = record.iter().collect();
        let [app, named] = fields[..] else {
            return Err(format!("line {line} has not two columns, the app and the holder"));
        };
        let app = app_name(app).map_err(|problem| format!("line {line}: {problem}"))?;
        let holder = holder(named).map_err(|problem| format!("line {line}: {problem}"))?;
        items.push(ByHandItem { app, holder });
    }
    if items.is_empty() { Err("it has no lines".to_owned()) } else { Ok(items) }
}

/// A holder as people name it; whether it is known, vppd tells.
fn holder(text: &str) -> Result<String, String> {
    match text.trim().split_once(':') {
        Some(("serial" | "person", name)) if !name.trim().is_empty() => Ok(text.trim().to_owned()),
        _ => Err("write serial:SERIAL for a device, person:EMAIL for a person".to_owned()),
    }
}

fn consequences(found: &ByHandView) -> String {
    let items = count(found.possible, "item", "items");
    let licences = count(found.licences, "licence", "licences");
    let rest = match found.impossible {
        0 => String::new(),
        number => format!(" {number} cannot be done and {} left out.", if number == 1 { "is" } else { "are" }),
    };
    let for_good = match found.for_good {
        0 => String::new(),
        number => format!(" {} never comes back: books are for good.", count(number, "of them", "of them")),
    };
    match found.decision {
        DecisionView::Assigned => {
            format!("This assigns {items} by hand and takes {licences}.{for_good}{rest} It holds until `vppd release`.")
        }
        DecisionView::Revoked => {
            format!("This revokes {items} by hand; {licences} come back.{rest} It holds until `vppd release`.")
        }
    }
}

fn shown(found: &ByHandView, page: &Page) -> String {
    let number = |free: Option<u64>| free.map_or("unlimited".to_owned(), |free| free.to_string());
    let (moved, mut parts) = match found.decision {
        DecisionView::Assigned => (">TAKEN", Vec::new()),
        DecisionView::Revoked => (">BACK", Vec::new()),
    };
    if !found.apps.is_empty() {
        let mut grid = Grid::new(&["~APP", ">ITEMS", moved, ">FREE", "?>FREE AFTER", ">IMPOSSIBLE"]);
        for app in &found.apps {
            grid.row([
                title(&app.name, &app.adam_id).to_owned(),
                app.items.to_string(),
                app.licences.to_string(),
                number(app.free),
                number(app.free_after),
                app.impossible.to_string(),
            ]);
        }
        parts.push(grid.show(page));
    }
    let mut grid = Grid::new(&["~APP", "HOLDER", "OUTCOME", "?LOCATION", "~WHY"]);
    for item in &found.items {
        let outcome = match (item.outcome, found.dry_run) {
            (ByHandOutcome::Impossible, _) => "impossible".to_owned(),
            (outcome, _) => word(&outcome),
        };
        grid.row([
            title(&item.name, &item.adam_id).to_owned(),
            item.holder.clone(),
            outcome,
            dash(item.location.as_deref().unwrap_or_default()),
            item.why.clone(),
        ]);
    }
    parts.push(grid.show(page));
    if found.dry_run {
        parts.push("Nothing was changed.".to_owned());
    } else {
        let mut tasks: Vec<String> = found.tasks.iter().map(|id| format!("vppd task watch {id}")).collect();
        tasks.push("vppd plan".to_owned());
        parts.push(format!("Decided. What happens now: {}", tasks.join(", ")));
    }
    parts.join("\n\n")
}

fn list(held: &[HeldByHandView], page: &Page) -> String {
    if held.is_empty() {
        return "Nothing was decided by hand.".to_owned();
    }
    let mut grid = Grid::new(&["~APP", "HOLDER", "DECISION", "?LOCATION", "?INSTALL", "?SINCE", "?~BY"]);
    for decided in held {
        let install = match (decided.decision, decided.licence_only) {
            (DecisionView::Revoked, _) => "-",
            (_, true) => "no",
            (_, false) => "yes",
        };
        grid.row([
            title(&decided.name, &decided.adam_id).to_owned(),
            decided.holder.clone(),
            word(&decided.decision),
            dash(decided.location.as_deref().unwrap_or_default()),
            install.to_owned(),
            page.time(Some(decided.decided_at)),
            decided.decided_by.clone(),
        ]);
    }
    grid.show(page)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::tests::page;
    use crate::operations::view::{ByHandAppView, ByHandItemView};

    #[test]
    fn a_file_has_an_app_and_a_holder_on_each_line() {
        let read =
            items("\u{feff}app,holder\n361309726, serial:A1\n\"Pages, the app\",person:a@example.org\n").unwrap();
        let item = |app: &str, holder: &str| ByHandItem { app: app.into(), holder: holder.into() };
        assert_eq!(read, [item("361309726", "serial:A1"), item("Pages, the app", "person:a@example.org")]);
        assert_eq!(items("id1,serial:A1").unwrap(), [item("1", "serial:A1")]);
    }

    #[test]
    fn what_a_file_has_wrong_is_told_with_its_line() {
        for (text, told) in [
            ("", "no lines"),
            ("app,holder\n", "no lines"),
            ("1,serial:A\n2\n", "line 2 has not two columns"),
            ("1,serial:A,x\n", "line 1 has not two columns"),
            ("1,A\n", "line 1: write serial:"),
            (",serial:A\n", "line 1: name an app"),
            ("1,serial:A\n2,person:\n", "line 2: write serial:"),
        ] {
            let problem = items(text).unwrap_err();
            assert!(problem.contains(told), "{text:?}: {problem}");
        }
    }

    fn found() -> ByHandView {
        let item = |holder: &str, outcome, code: &str, why: &str| ByHandItemView {
            adam_id: "361309726".into(),
            name: "Pages".into(),
            holder: holder.into(),
            outcome,
            location: (outcome == ByHandOutcome::Assigns).then(|| "Leeds".into()),
            code: code.into(),
            why: why.into(),
        };
        ByHandView {
            decision: DecisionView::Assigned,
            dry_run: true,
            possible: 1,
            impossible: 1,
            licences: 1,
            for_good: 0,
            apps: vec![ByHandAppView {
                adam_id: "361309726".into(),
                name: "Pages".into(),
                items: 2,
                licences: 1,
                impossible: 1,
                free: Some(3),
                free_after: Some(2),
            }],
            items: vec![
                item("serial:A", ByHandOutcome::Assigns, "", "gets a licence"),
                item("serial:B", ByHandOutcome::Impossible, "unknown-serial", "no such device"),
            ],
            tasks: vec![],
        }
    }

    #[test]
    fn what_would_be_done_is_shown_with_the_numbers() {
        let expected = "\
APP    ITEMS  TAKEN  FREE  FREE AFTER  IMPOSSIBLE
Pages      2      1     3           2           1

APP    HOLDER    OUTCOME     LOCATION  WHY
Pages  serial:A  assigns     Leeds     gets a licence
Pages  serial:B  impossible  -         no such device

Nothing was changed.";
        assert_eq!(shown(&found(), &page(None)), expected);
        let told = consequences(&found());
        assert!(
            told.contains("assigns 1 item by hand and takes 1 licence. 1 cannot be done and is left out."),
            "{told}"
        );
        let done = ByHandView { dry_run: false, tasks: vec![7], ..found() };
        assert!(shown(&done, &page(None)).ends_with("Decided. What happens now: vppd task watch 7, vppd plan"));
    }
}
