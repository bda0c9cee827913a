//! `vppd token`: content tokens and their locations.

use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Subcommand;

use super::client::segment;
use super::output::Page;
use super::table::{Grid, dash, facts, word};
use super::{Session, sync};
use crate::operations::view::{OwnerView, TokenAddRequest, TokenAddedView, TokenView};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Add a content token, or renew one, and read its location for the first time
    Add {
        /// The .vpptoken file from Apple School Manager or Apple Business Manager; - reads standard input
        file: PathBuf,
        /// What you call the location
        #[arg(long)]
        name: String,
        /// Take the location over from another MDM server: that one must no longer use it
        #[arg(long)]
        take_over: bool,
    },
    /// List the content tokens
    List,
    /// Show one content token
    Show {
        /// Your name for the location, or its uId
        location: String,
    },
}

/// A content token has a few kilobytes; anything larger is another file.
const LARGEST_FILE: u64 = 256 << 10;

pub(super) async fn run(command: Command, session: &Session) -> anyhow::Result<()> {
    match command {
        Command::Add { file, name, take_over } => {
            let request = TokenAddRequest { name, content: read(&file)?, take_over };
            let answer = session.client.post("/v1/tokens", &request).await?;
            session.out.show(&answer, added)
        }
        Command::List => session.out.show_list(&session.client.get("/v1/tokens").await?, list),
        Command::Show { location } => {
            let answer = session.client.get(&format!("/v1/tokens/{}", segment(&location))).await?;
            session.out.show(&answer, show)
        }
    }
}

/// The file's text; what is in it, vppd judges.
fn read(file: &Path) -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    if file == Path::new("-") {
        std::io::stdin().lock().take(LARGEST_FILE + 1).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(file).and_then(|open| open.take(LARGEST_FILE + 1).read_to_end(&mut bytes))
    }
    .with_context(|| format!("cannot read the content token {}", file.display()))?;
    if bytes.len() as u64 > LARGEST_FILE {
        anyhow::bail!("{} is too large for a content token: choose the .vpptoken file", file.display());
    }
    // A token is ASCII; what is not will not survive, and vppd says so.
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn added(added: &TokenAddedView, page: &Page) -> String {
    format!("Added.\n\n{}\n\n{}", show(&added.token, page), sync::started(&added.task))
}

fn list(tokens: &[TokenView], page: &Page) -> String {
    if tokens.is_empty() {
        return "No content tokens yet. Add one: vppd token add FILE --name NAME".to_owned();
    }
    let mut grid = Grid::new(&["NAME", "STATE", "EXPIRES", ">APPS", ">ASSIGNED", ">OWNED", "SYNCED", "~LOCATION"]);
    for token in tokens {
        grid.row([
            token.name.clone(),
            word(&token.state),
            page.time(token.expires_at),
            token.assets.to_string(),
            token.licences_assigned.to_string(),
            token.licences_owned.to_string(),
            page.time(token.last_synced),
            format!("{}, {}", token.organisation, token.location_name),
        ]);
    }
    grid.show(page)
}

fn show(token: &TokenView, page: &Page) -> String {
    facts(
        [
            ("name", token.name.clone()),
            ("location", token.location_name.clone()),
            ("uId", token.uid.clone()),
            ("organisation", token.organisation.clone()),
            ("country", token.country.clone()),
            ("platform", token.platform.clone()),
            ("website", token.website.clone()),
            ("state", word(&token.state)),
            ("advice", token.advice.clone()),
            ("held by", owner(&token.owner)),
            ("expires", page.time(token.expires_at)),
            ("apps and books", token.assets.to_string()),
            ("licences", format!("{} assigned of {}", token.licences_assigned, token.licences_owned)),
            ("added", page.time(token.added_at)),
            ("last synced", page.time(token.last_synced)),
        ],
        page,
    )
}

fn owner(owner: &OwnerView) -> String {
    match owner {
        OwnerView::Us => "this vppd".to_owned(),
        OwnerView::Nobody => "nobody yet".to_owned(),
        OwnerView::Other { id, name } => format!("another MDM server: {} ({})", dash(name), id),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::tests::{page, time};
    use crate::operations::view::TokenState;

    fn token() -> TokenView {
        TokenView {
            name: "Leeds".to_owned(),
            uid: "2049025000431439".to_owned(),
            location_name: "Leeds Campus".to_owned(),
            organisation: "Example\u{1b}[31m School".to_owned(),
            country: "GB".to_owned(),
            platform: "volumestore".to_owned(),
            website: String::new(),
            expires_at: time("06:00"),
            state: TokenState::Contested,
            advice: "Another MDM server claims the location.".to_owned(),
            owner: OwnerView::Other { id: "abc".to_owned(), name: String::new() },
            assets: 12,
            licences_owned: 900,
            licences_assigned: 310,
            added_at: time("06:00"),
            last_synced: None,
        }
    }

    #[test]
    fn tokens_are_listed_without_what_would_steer_the_terminal() {
        let expected = "\
NAME   STATE      EXPIRES           APPS  ASSIGNED  OWNED  SYNCED  LOCATION
Leeds  contested  2026-11-02 06:00    12       310    900  -       Example[31m School, Leeds Campus";
        assert_eq!(list(&[token()], &page(None)), expected);
    }

    #[test]
    fn a_token_tells_who_holds_its_location() {
        let shown = show(&token(), &page(None));
        assert!(shown.contains("held by:         another MDM server: - (abc)"), "{shown}");
        assert!(!shown.contains("website"), "{shown}");
    }

    #[test]
    fn a_file_too_large_for_a_token_is_not_sent() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("film.mov");
        std::fs::write(&file, vec![b'A'; 300 << 10]).unwrap();
        assert!(read(&file).unwrap_err().to_string().contains("too large for a content token"));
        assert!(format!("{:#}", read(&folder.path().join("none")).unwrap_err()).contains("No such file"));
    }
}
