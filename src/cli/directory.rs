//! `vppd directory`: the file with people.

use clap::Subcommand;

use super::Session;
use super::output::Page;
use super::table::{clean, facts, word};
use crate::operations::view::{DirectorySyncRequest, DirectoryView};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show the directory, and how the last look at it went
    Show,
    /// Read the directory now
    Sync {
        /// Take it over though many people are missing in it
        #[arg(long)]
        confirm: bool,
    },
}

pub(super) async fn run(command: Command, session: &Session) -> anyhow::Result<()> {
    let answer = match command {
        Command::Show => session.client.get("/v1/directory").await?,
        Command::Sync { confirm } => {
            session.client.post("/v1/directory/sync", &DirectorySyncRequest { confirm }).await?
        }
    };
    session.out.show(&answer, show)
}

fn show(directory: &DirectoryView, page: &Page) -> String {
    let place = match directory.place.is_empty() {
        true => "none ([directory] file is not set)".to_owned(),
        false => directory.place.clone(),
    };
    let changes = directory.changes.map(|changes| {
        let list = [
            (changes.added, "new"),
            (changes.changed, "changed"),
            (changes.gone, "gone"),
            (changes.back, "back"),
            (changes.memberships, "memberships"),
            (changes.devices, "devices"),
        ];
        let told: Vec<String> =
            list.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
        if told.is_empty() { "none".to_owned() } else { told.join(", ") }
    });
    let leaving = if directory.leaving == 0 { String::new() } else { directory.leaving.to_string() };
    let mut text = facts(
        [
            ("directory", place),
            ("state", word(&directory.state)),
            ("looked at", page.time(directory.looked_at)),
            ("taken over", page.time(directory.taken_at)),
            ("people in it", directory.people.to_string()),
            ("gone from it", leaving),
            ("changes", changes.unwrap_or_default()),
        ],
        page,
    );
    for problem in &directory.problems {
        text.push_str(&format!("\n- {}", clean(problem)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::tests::{page, time};
    use crate::model::Source;
    use crate::operations::view::{DirectoryChangesView, DirectoryState};

    #[test]
    fn a_directory_is_shown_with_its_problems() {
        let directory = DirectoryView {
            source: Source::File,
            place: "/etc/vppd/people.toml".to_owned(),
            state: DirectoryState::TakenOver,
            looked_at: Some(time("06:00")),
            taken_at: Some(time("06:00")),
            people: 40,
            leaving: 0,
            problems: vec!["line 3: group \"Room 12\" is left out".to_owned()],
            changes: Some(DirectoryChangesView { added: 2, devices: 1, ..DirectoryChangesView::default() }),
        };
        let expected = "\
directory:     /etc/vppd/people.toml
state:         taken-over
looked at:     2026-11-02 06:00
taken over:    2026-11-02 06:00
people in it:  40
changes:       2 new, 1 devices
- line 3: group \"Room 12\" is left out";
        assert_eq!(show(&directory, &page(None)), expected);
    }
}
