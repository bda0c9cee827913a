//! `vppd person`: people whom the directory or an administrator knows.

use std::io::{self, BufRead, IsTerminal, Read};

use anyhow::Context;
use clap::{Args, Subcommand};
use secrecy::{ExposeSecret, SecretString};

use super::Session;
use super::client::segment;
use super::output::{Output, Page};
use super::table::{Grid, dash, facts, word};
use crate::operations::password;
use crate::operations::view::{PersonState, PersonView};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// List the people
    List(Filter),
    /// Show one person: groups, devices, where registered
    Show {
        /// Number, e-mail address or clientUserId
        #[arg(value_name = "ID|EMAIL")]
        person: String,
    },
    /// Make the hash of a password for the directory's file; asks for the password, or reads one line of standard input
    Password,
}

/// Asks for a password and prints its hash. Needs no daemon, and the password stays here.
pub(super) fn password(out: &Output) -> anyhow::Result<()> {
    let terminal = io::stdin().is_terminal();
    let typed = if terminal {
        rpassword::prompt_password("Password: ")
    } else {
        let mut line = String::new();
        io::stdin().lock().take(password::LONGEST as u64 + 2).read_line(&mut line).map(|_| line)
    };
    let typed = SecretString::from(typed.context("cannot read the password")?.trim_end_matches(['\r', '\n']));
    let length = typed.expose_secret().len();
    anyhow::ensure!(length > 0, "the password is empty");
    anyhow::ensure!(length <= password::LONGEST, "the password is longer than {} bytes", password::LONGEST);
    if terminal {
        let again =
            SecretString::from(rpassword::prompt_password("The same again: ").context("cannot read the password")?);
        anyhow::ensure!(again.expose_secret() == typed.expose_secret(), "these were two different passwords");
    }
    let hash = password::hash(&typed).map_err(|error| anyhow::anyhow!("the password cannot be hashed: {error}"))?;
    if out.json { out.json(&serde_json::json!({ "password": hash })) } else { out.text(&hash) }
}

#[derive(Debug, Args)]
pub struct Filter {
    /// Only people in this group
    #[arg(long)]
    group: Option<String>,
    /// Only people with this text in their name, address, account or id
    #[arg(long, value_name = "TEXT")]
    search: Option<String>,
}

pub(super) async fn run(command: Command, session: &Session) -> anyhow::Result<()> {
    match command {
        Command::List(filter) => {
            let answer = session.client.get("/v1/people").await?;
            if session.out.json {
                let all: Vec<serde_json::Value> = answer.view()?;
                let people: Vec<PersonView> = answer.view()?;
                let chosen =
                    all.into_iter().zip(&people).filter(|(_, person)| filter.lets(person)).map(|(json, _)| json);
                return session.out.json(&serde_json::Value::Array(chosen.collect()));
            }
            session.out.show_list(&answer, |people: &[PersonView], page| list(people, &filter, page))
        }
        // Done by `execute`, without a daemon.
        Command::Password => Ok(()),
        Command::Show { person } => {
            session.out.show(&session.client.get(&format!("/v1/people/{}", segment(&person))).await?, show)
        }
    }
}

impl Filter {
    fn lets(&self, person: &PersonView) -> bool {
        let has = |text: &String, part: &str| text.to_lowercase().contains(&part.to_lowercase());
        let texts =
            [Some(&person.email), Some(&person.name), person.managed_account.as_ref(), person.external_id.as_ref()];
        self.search.as_ref().is_none_or(|part| texts.into_iter().flatten().any(|text| has(text, part)))
            && self
                .group
                .as_ref()
                .is_none_or(|wanted| person.groups.iter().any(|group| group.to_lowercase() == wanted.to_lowercase()))
    }
}

fn list(people: &[PersonView], filter: &Filter, page: &Page) -> String {
    if people.is_empty() {
        return "Nobody is known yet. People come from `[directory] file` or with: vppd user add".to_owned();
    }
    let mut grid = Grid::new(&[">ID", "EMAIL", "?NAME", "STATE", "?SOURCE", ">DEVICES", "REGISTERED", "~GROUPS"]);
    let mut rows = 0;
    for person in people.iter().filter(|person| filter.lets(person)) {
        rows += 1;
        grid.row([
            person.id.to_string(),
            person.email.clone(),
            dash(&person.name),
            word(&person.state),
            word(&person.source),
            person.devices.len().to_string(),
            if person.registered.is_empty() { "no" } else { "yes" }.to_owned(),
            person.groups.join(", "),
        ]);
    }
    if rows == 0 { "None of the people fits.".to_owned() } else { grid.show(page) }
}

fn show(person: &PersonView, page: &Page) -> String {
    let time = |time: Option<jiff::Timestamp>| time.map(|time| page.time(time)).unwrap_or_default();
    let leaves = if person.state == PersonState::Leaving { time(person.leaves_at) } else { String::new() };
    let registered = match person.registered.as_slice() {
        [] => "nowhere (only licences by user need that: vppd user add)".to_owned(),
        places => places.join(", "),
    };
    facts(
        [
            ("id", person.id.to_string()),
            ("e-mail", person.email.clone()),
            ("name", person.name.clone()),
            ("managed account", person.managed_account.clone().unwrap_or_default()),
            ("source", word(&person.source)),
            ("directory's id", person.external_id.clone().unwrap_or_default()),
            ("state", word(&person.state)),
            ("gone since", time(person.gone_at)),
            ("leaves all groups", leaves),
            ("groups", person.groups.join(", ")),
            ("devices", person.devices.join(", ")),
            ("registered", registered),
            ("clientUserId", person.client_user_id.clone()),
            ("added", format!("{} by {}", page.time(person.created_at), person.created_by)),
        ],
        page,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::tests::{page, time};
    use crate::model::Source;

    fn person() -> PersonView {
        PersonView {
            id: 7,
            name: "Priya Osei".to_owned(),
            email: "p.osei@example.org".to_owned(),
            managed_account: None,
            client_user_id: "9c44b3aa".to_owned(),
            source: Source::File,
            external_id: Some("4711".to_owned()),
            state: PersonState::Leaving,
            gone_at: Some(time("06:00")),
            leaves_at: Some(time("18:00")),
            groups: vec!["Teachers".to_owned()],
            devices: vec!["DMPX0001".to_owned()],
            registered: Vec::new(),
            created_at: time("05:00"),
            created_by: "directory".to_owned(),
        }
    }

    #[test]
    fn people_are_listed_and_filtered() {
        let all = Filter { group: None, search: None };
        let expected = "\
ID  EMAIL               NAME        STATE    SOURCE  DEVICES  REGISTERED  GROUPS
 7  p.osei@example.org  Priya Osei  leaving  file          1  no          Teachers";
        assert_eq!(list(&[person()], &all, &page(None)), expected);
        for (group, search, fits) in [
            (Some("teachers"), None, true),
            (Some("Guests"), None, false),
            (None, Some("4711"), true),
            (None, Some("zz"), false),
        ] {
            let filter = Filter { group: group.map(str::to_owned), search: search.map(str::to_owned) };
            assert_eq!(filter.lets(&person()), fits, "{filter:?}");
        }
    }

    #[test]
    fn who_leaves_is_told_when() {
        assert!(show(&person(), &page(None)).contains("leaves all groups:  2026-11-02 18:00"));
        let present = PersonView { state: PersonState::Present, gone_at: None, leaves_at: None, ..person() };
        assert!(!show(&present, &page(None)).contains("leaves"));
    }
}
