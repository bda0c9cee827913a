//! `vppd token`: content tokens and their locations.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, Subcommand};

use super::client::{Answer, segment};
use super::confirm::confirm;
use super::foreign_users::{self, ForeignUsers};
use super::output::Page;
use super::table::{Grid, clean, dash, facts, word};
use super::{Session, sync};
use crate::operations::doctor;
use crate::operations::view::{
    IntervalView, NotificationState, NotificationsView, OwnerView, TaskState, TokenAddRequest, TokenAddedView,
    TokenEditRequest, TokenOrderRequest, TokenRemovalView, TokenRemoveRequest, TokenRenewRequest, TokenView,
};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Add a content token, or renew one, and read its location
    #[command(after_help = ADD_EXAMPLES)]
    Add {
        /// The .vpptoken file from Apple's portal; - reads standard input
        file: PathBuf,
        /// What you call the location
        #[arg(long)]
        name: String,
        /// Take the location over from another MDM server: that one must no longer use it
        #[arg(long)]
        take_over: bool,
        /// Return as soon as vppd has the token, before the location has been read
        #[arg(long)]
        no_wait: bool,
    },
    /// List the content tokens, in the order in which their licences are used
    List(Filter),
    /// Show one content token
    Show {
        /// Your name for the location, or its uId
        location: String,
    },
    /// Put a newer content token of the same location in place of the old one; everything else stays
    Renew {
        /// Your name for the location, or its uId
        location: String,
        /// The new .vpptoken file; - reads standard input
        file: PathBuf,
    },
    /// Change the name and the notes of a location, and how often it is synced
    Edit(Edit),
    /// Set whose licences are used first: the locations named come first, in this order
    Order {
        #[arg(required = true)]
        locations: Vec<String>,
    },
    /// Take a location over from another MDM server, or take it again after it was released
    TakeOver {
        /// Your name for the location, or its uId
        location: String,
    },
    /// List the users of a location that other MDM servers have made, or retire them
    ForeignUsers(ForeignUsers),
    /// Remove a content token and all that is known of its location
    Remove(Remove),
}

#[derive(Debug, Args)]
pub struct Filter {
    /// Only tokens with this text in their name, location, organisation, notes, categories or contacts
    #[arg(long, value_name = "TEXT")]
    search: Option<String>,
    /// Only tokens of this category
    #[arg(long)]
    category: Option<String>,
    /// Only tokens in this state, for example expired
    #[arg(long)]
    state: Option<String>,
}

#[derive(Debug, Args)]
pub struct Edit {
    /// Your name for the location, or its uId
    location: String,
    /// What you call the location from now on
    #[arg(long)]
    name: Option<String>,
    #[arg(long)]
    description: Option<String>,
    /// The e-mail address of the account that made the token
    #[arg(long, value_name = "ADDRESS")]
    account_email: Option<String>,
    /// A word to search and filter by; repeat for several, give an empty one for none
    #[arg(long)]
    category: Option<Vec<String>>,
    /// Who knows the account; repeat for several, give an empty one for none
    #[arg(long)]
    contact: Option<Vec<String>>,
    /// A group that may draw its licences; repeat for several, give an empty one for everybody
    #[arg(long)]
    group: Option<Vec<String>>,
    /// How often changes are read, for example 6h; default: as the settings say
    #[arg(long, value_name = "TIME")]
    sync_interval: Option<String>,
    /// How often everything is read, for example 3d; default: as the settings say
    #[arg(long, value_name = "TIME")]
    full_sync_interval: Option<String>,
}

#[derive(Debug, Args)]
pub struct Remove {
    /// Your name for the location, or its uId
    location: String,
    /// Take all licences back at Apple before: without the token nobody can
    #[arg(long)]
    revoke_first: bool,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

const ADD_EXAMPLES: &str = "\
A location has one token, valid for a year. To renew it: vppd token renew.

Example:
  vppd token add sToken_for_Leeds.vpptoken --name Leeds";

/// A content token has a few kilobytes; anything larger is another file.
const LARGEST_FILE: u64 = 256 << 10;

pub(super) async fn run(command: Command, session: &Session) -> anyhow::Result<()> {
    match command {
        Command::Add { file, name, take_over, no_wait } => {
            if let Some(finding) = doctor::handed_over(&file) {
                let advice = format!("Run: {}, or delete it: vppd keeps it encrypted", finding.command);
                writeln!(std::io::stderr(), "Warning: {}. {advice}", finding.message)?;
            }
            let request = TokenAddRequest { name, content: read(&file)?, take_over };
            let answer = session.client.post("/v1/tokens", &request).await?;
            if no_wait { session.out.show(&answer, added) } else { read_through("Added.", &answer, session).await }
        }
        Command::List(filter) => list_some(&filter, session).await,
        Command::Renew { location, file } => {
            let request = TokenRenewRequest { content: read(&file)? };
            let answer = session.client.post(&format!("{}/renew", path(&location)), &request).await?;
            read_through("Renewed.", &answer, session).await
        }
        Command::Edit(edit) => {
            let location = path(&edit.location);
            session.out.show(&session.client.post(&location, &edit.request()).await?, show)
        }
        Command::Order { locations } => {
            let answer = session.client.post("/v1/token-order", &TokenOrderRequest { order: locations }).await?;
            session.out.show_list(&answer, list)
        }
        Command::TakeOver { location } => {
            let answer = session.client.post(&format!("{}/take-over", path(&location)), &serde_json::json!({})).await?;
            session.out.show(&answer, show)
        }
        Command::ForeignUsers(arguments) => foreign_users::run(arguments, session).await,
        Command::Remove(arguments) => remove(arguments, session).await,
        Command::Show { location } => session.out.show(&session.client.get(&path(&location)).await?, show),
    }
}

fn path(location: &str) -> String {
    format!("/v1/tokens/{}", segment(location))
}

impl Edit {
    fn request(self) -> TokenEditRequest {
        let words = |list: Vec<String>| list.into_iter().filter(|word| !word.trim().is_empty()).collect();
        TokenEditRequest {
            name: self.name,
            description: self.description,
            account_email: self.account_email,
            categories: self.category.map(words),
            contacts: self.contact.map(words),
            groups: self.group.map(words),
            sync_interval: self.sync_interval,
            full_sync_interval: self.full_sync_interval,
        }
    }
}

async fn list_some(filter: &Filter, session: &Session) -> anyhow::Result<()> {
    let answer = session.client.get("/v1/tokens").await?;
    if session.out.json {
        let all: Vec<serde_json::Value> = answer.view()?;
        let tokens: Vec<TokenView> = answer.view()?;
        let chosen = all.into_iter().zip(&tokens).filter(|(_, token)| filter.lets(token)).map(|(json, _)| json);
        return session.out.json(&serde_json::Value::Array(chosen.collect()));
    }
    session.out.show_list(&answer, |tokens: &[TokenView], page| {
        let chosen: Vec<TokenView> = tokens.iter().filter(|token| filter.lets(token)).cloned().collect();
        match chosen.is_empty() && !tokens.is_empty() {
            true => "None of the content tokens fits.".to_owned(),
            false => list(&chosen, page),
        }
    })
}

impl Filter {
    fn lets(&self, token: &TokenView) -> bool {
        let has = |text: &str, part: &str| text.to_lowercase().contains(&part.to_lowercase());
        let texts = [&token.name, &token.location_name, &token.organisation, &token.description, &token.account_email];
        let texts = || texts.into_iter().chain(&token.categories).chain(&token.contacts);
        self.search.as_ref().is_none_or(|part| texts().any(|text| has(text, part)))
            && self
                .category
                .as_ref()
                .is_none_or(|wanted| token.categories.iter().any(|c| c.eq_ignore_ascii_case(wanted)))
            && self.state.as_ref().is_none_or(|wanted| word(&token.state) == *wanted)
    }
}

/// Says what hangs on the token, asks, and follows the removal to its end.
async fn remove(arguments: Remove, session: &Session) -> anyhow::Result<()> {
    let location = path(&arguments.location);
    let removal: TokenRemovalView = session.client.get(&format!("{location}/removal")).await?.view()?;
    if arguments.revoke_first && !removal.can_revoke {
        anyhow::bail!("the licences of {} cannot be taken back: {}", clean(&removal.name), clean(&removal.why_not));
    }
    if !arguments.yes && !confirm(&consequences(&removal, arguments.revoke_first), "Remove it?")? {
        anyhow::bail!("nothing was removed");
    }
    let request = TokenRemoveRequest { revoke_first: arguments.revoke_first };
    let task = session.client.delete_with(&location, &request).await?;
    sync::watch_one(&task, session).await
}

fn consequences(removal: &TokenRemovalView, revoke_first: bool) -> String {
    let TokenRemovalView { assets, licences_assigned, devices, deployments, .. } = removal;
    let name = clean(&removal.name);
    let licences = match (revoke_first, removal.can_revoke) {
        (true, _) => "They are taken back at Apple first; books stay with their readers.".to_owned(),
        (false, true) => {
            "They stay assigned at Apple, and without the token nobody can take them back: --revoke-first does it first.".to_owned()
        }
        (false, false) => format!("They stay assigned at Apple; they cannot be taken back now: {}.", clean(&removal.why_not)),
    };
    format!(
        "This removes the content token of {name} and all that vppd knows of the location: {assets} apps and books, \
         {licences_assigned} assigned licences ({devices} devices). {licences}\n\
         {deployments} deployments are for apps that no other location has: they will wait for a location that has them."
    )
}

/// The file's text; what is in it, vppd judges.
fn read(file: &Path) -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    if file == Path::new("-") {
        std::io::stdin().lock().take(LARGEST_FILE + 1).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(file).and_then(|open| open.take(LARGEST_FILE + 1).read_to_end(&mut bytes))
    }
    .with_context(|| {
        format!("cannot read the content token {}: name the .vpptoken file that Apple's portal gave", file.display())
    })?;
    if bytes.len() as u64 > LARGEST_FILE {
        anyhow::bail!("{} is too large for a content token: choose the .vpptoken file", file.display());
    }
    // A token is ASCII; what is not will not survive, and vppd says so.
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Follows the first reading of the location to its end. Errors when it fails, though the token is kept.
async fn read_through(done: &str, answer: &Answer, session: &Session) -> anyhow::Result<()> {
    let added: TokenAddedView = answer.view()?;
    let mut json = answer.json()?;
    let value = json.get("task").cloned().unwrap_or_default();
    let (task, value) = sync::follow_one(added.task, value, session).await?;
    let token = session.client.get(&format!("/v1/tokens/{}", segment(&added.token.uid))).await?;
    if session.out.json {
        if let Some(fields) = json.as_object_mut() {
            fields.insert("task".to_owned(), value);
            fields.insert("token".to_owned(), token.json()?);
        }
        session.out.json(&json)?;
    } else {
        let shown = show(&token.view()?, &session.out.page);
        session.out.text(&format!("{done}\n\n{shown}\n\n{}", sync::outcome(&task)))?;
    }
    anyhow::ensure!(
        task.state == TaskState::Done,
        "the content token is kept, but its location could not be read; vppd tries again by itself, or now: vppd sync"
    );
    Ok(())
}

fn added(added: &TokenAddedView, page: &Page) -> String {
    format!("Added.\n\n{}\n\n{}", show(&added.token, page), sync::started(&added.task))
}

fn list(tokens: &[TokenView], page: &Page) -> String {
    if tokens.is_empty() {
        return "No content tokens yet. Add one: vppd token add FILE --name NAME".to_owned();
    }
    let mut grid = Grid::new(&["NAME", "STATE", "EXPIRES", ">APPS", ">OWNED", ">ASSIGNED", "SYNCED", "?~LOCATION"]);
    for token in tokens {
        grid.row([
            token.name.clone(),
            word(&token.state),
            page.day(token.expires_at),
            token.assets.to_string(),
            token.licences_owned.to_string(),
            token.licences_assigned.to_string(),
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
            ("description", token.description.clone()),
            ("account e-mail", token.account_email.clone()),
            ("categories", token.categories.join(", ")),
            ("contacts", token.contacts.join(", ")),
            ("only for", token.groups.join(", ")),
            ("state", word(&token.state)),
            ("advice", token.advice.clone()),
            ("held by", owner(&token.owner)),
            ("expires", page.time(token.expires_at)),
            ("apps and books", token.assets.to_string()),
            ("licences", format!("{} assigned of {}", token.licences_assigned, token.licences_owned)),
            ("added", page.time(token.added_at)),
            ("last synced", page.time(token.last_synced)),
            ("last full sync", page.time(token.last_full_sync)),
            ("next sync", page.time(token.next_sync)),
            ("synced every", interval(&token.sync_interval)),
            ("in full every", interval(&token.full_sync_interval)),
            ("notifications", notifications(&token.notifications, page)),
        ],
        page,
    )
}

fn interval(interval: &IntervalView) -> String {
    format!("{}{}", interval.every, if interval.own { ", set for this location" } else { "" })
}

/// Whether Apple notifies vppd, in words.
pub(super) fn notifications(view: &NotificationsView, page: &Page) -> String {
    match (view.state, view.last_heard) {
        (NotificationState::Failing, _) => format!("failing: {}", view.failure),
        (NotificationState::On, Some(heard)) => format!("on, the last one {}", page.time(heard)),
        (state, _) => word(&state),
    }
}

pub(super) fn owner(owner: &OwnerView) -> String {
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
            description: "The north".to_owned(),
            account_email: String::new(),
            categories: vec!["schools".to_owned()],
            contacts: Vec::new(),
            groups: Vec::new(),
            expires_at: time("06:00"),
            state: TokenState::Contested,
            advice: "Another MDM server claims the location.".to_owned(),
            owner: OwnerView::Other { id: "abc".to_owned(), name: String::new() },
            assets: 12,
            licences_owned: 900,
            licences_assigned: 310,
            added_at: time("06:00"),
            last_synced: None,
            last_full_sync: None,
            next_sync: None,
            sync_interval: IntervalView { every: "6h".to_owned(), own: true },
            full_sync_interval: IntervalView { every: "7d".to_owned(), own: false },
            notifications: NotificationsView {
                state: NotificationState::Off,
                failure: String::new(),
                last_heard: None,
            },
        }
    }

    #[test]
    fn tokens_are_listed_without_what_would_steer_the_terminal() {
        let expected = "\
NAME   STATE      EXPIRES     APPS  OWNED  ASSIGNED  SYNCED  LOCATION
Leeds  contested  2026-11-02    12    900       310  -       Example[31m School, Leeds Campus";
        assert_eq!(list(&[token()], &page(None)), expected);
    }

    #[test]
    fn a_token_tells_who_holds_its_location() {
        let shown = show(&token(), &page(None));
        assert!(shown.contains("held by:         another MDM server: - (abc)"), "{shown}");
        assert!(!shown.contains("website"), "{shown}");
        assert!(shown.contains("synced every:    6h, set for this location\nin full every:   7d"), "{shown}");
    }

    #[test]
    fn tokens_are_found_by_what_was_noted_of_them() {
        let filter = |search: Option<&str>, category: Option<&str>, state: Option<&str>| {
            let text = |text: Option<&str>| text.map(str::to_owned);
            Filter { search: text(search), category: text(category), state: text(state) }.lets(&token())
        };
        assert!(filter(None, None, None));
        assert!(filter(Some("NORTH"), Some("Schools"), Some("contested")));
        assert!(!filter(Some("south"), None, None));
        assert!(!filter(None, Some("school"), None));
        assert!(!filter(None, None, Some("valid")));
    }

    #[test]
    fn removing_says_what_hangs_on_it() {
        let mut removal = TokenRemovalView {
            name: "Leeds".to_owned(),
            assets: 12,
            licences_assigned: 310,
            devices: 120,
            deployments: 3,
            can_revoke: true,
            why_not: String::new(),
        };
        let text = consequences(&removal, false);
        assert!(text.contains("310 assigned licences (120 devices)") && text.contains("--revoke-first"), "{text}");
        removal.can_revoke = false;
        removal.why_not = "the content token has expired".to_owned();
        assert!(consequences(&removal, false).contains("now: the content token has expired"));
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
