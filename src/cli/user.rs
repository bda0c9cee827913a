//! `vppd user`: people who are registered at Apple, so that licences can be assigned to them.

use clap::{Args, Subcommand};

use super::Session;
use super::client::segment;
use super::confirm::confirm;
use super::output::Page;
use super::table::{Grid, clean, count, dash, facts, word};
use crate::operations::view::{
    HoldingView, RegistrationView, RetirementView, UserAddRequest, UserEditRequest, UserRetireRequest, UserView,
};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Register a person at Apple, under one location; again for another location
    #[command(after_help = ADD_EXAMPLES)]
    Add(Add),
    /// List the registered people, a line for each location
    List(Filter),
    /// Show one person: where registered, since when, and which licences are held
    Show {
        /// Its number or e-mail address
        #[arg(value_name = "ID|EMAIL")]
        user: String,
        /// With the links of open invitations: whoever has one can use it
        #[arg(long)]
        invitation: bool,
    },
    /// Change a person's name, e-mail address or Managed Apple Account; Apple is told
    Edit(Edit),
    /// Retire a person at Apple: apps come back, books do not
    Retire(Retire),
}

#[derive(Debug, Args)]
pub struct Add {
    /// Your name for the location, or its uId
    #[arg(long)]
    location: String,
    #[arg(long, value_name = "ADDRESS")]
    email: String,
    #[arg(long)]
    name: Option<String>,
    /// A Managed Apple Account of your organisation: linked at once, without an invitation
    #[arg(long, value_name = "ACCOUNT")]
    managed_apple_account: Option<String>,
}

#[derive(Debug, Args)]
pub struct Filter {
    /// Only people registered under this location
    #[arg(long)]
    location: Option<String>,
    /// Only where they stand so
    #[arg(long, value_name = "STATE", value_parser = STATES)]
    status: Option<String>,
    /// Only people with this text in their name, address, account or number
    #[arg(long, value_name = "TEXT")]
    search: Option<String>,
}

/// The words of `RegistrationState`.
const STATES: [&str; 7] = ["new", "registered", "associated", "missing", "retiring", "retired", "refused"];

#[derive(Debug, Args)]
pub struct Edit {
    /// Its number or e-mail address
    #[arg(value_name = "ID|EMAIL")]
    user: String,
    #[arg(long, value_name = "ADDRESS")]
    email: Option<String>,
    #[arg(long)]
    name: Option<String>,
    /// Empty for none; what Apple has linked already stays linked until the person is retired
    #[arg(long, value_name = "ACCOUNT")]
    managed_apple_account: Option<String>,
}

#[derive(Debug, Args)]
pub struct Retire {
    /// Its number or e-mail address
    #[arg(value_name = "ID|EMAIL")]
    user: String,
    /// Under this location only
    #[arg(long)]
    location: Option<String>,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

const ADD_EXAMPLES: &str = "\
Only licences by user need this; licences by serial number do not.

Examples:
  vppd user add --location Leeds --email p.osei@example.org --name \"Priya Osei\"
  vppd user add --location Leeds --email l.haas@example.org --managed-apple-account l.haas@mdm.example.org";

pub(super) async fn run(command: Command, session: &Session) -> anyhow::Result<()> {
    match command {
        Command::Add(Add { location, email, name, managed_apple_account }) => {
            let request = UserAddRequest { location, email, name, managed_account: managed_apple_account };
            session.out.show(&session.client.post("/v1/users", &request).await?, show)
        }
        Command::List(filter) => list_some(&filter, session).await,
        Command::Show { user, invitation } => {
            let query = if invitation { "?invitation=true" } else { "" };
            session.out.show(&session.client.get(&format!("{}{query}", path(&user))).await?, show)
        }
        Command::Edit(Edit { user, email, name, managed_apple_account }) => {
            let request = UserEditRequest { email, name, managed_account: managed_apple_account };
            session.out.show(&session.client.post(&path(&user), &request).await?, show)
        }
        Command::Retire(arguments) => retire(arguments, session).await,
    }
}

fn path(user: &str) -> String {
    format!("/v1/users/{}", segment(user))
}

/// Says what comes back and what does not, asks, and retires.
async fn retire(arguments: Retire, session: &Session) -> anyhow::Result<()> {
    let Retire { user, location, yes } = arguments;
    let query = location.as_deref().map(|name| format!("?location={}", segment(name))).unwrap_or_default();
    let retirement: RetirementView = session.client.get(&format!("{}/retirement{query}", path(&user))).await?.view()?;
    let what = consequences(&retirement);
    if !yes && !retirement.places.is_empty() && !confirm(&what, "Retire?")? {
        anyhow::bail!("nobody was retired");
    }
    let answer = session.client.post(&format!("{}/retire", path(&user)), &UserRetireRequest { location }).await?;
    session.out.show(&answer, |user: &UserView, page| format!("{what}\n\n{}", show(user, page)))
}

fn consequences(retirement: &RetirementView) -> String {
    let who = match retirement.name.is_empty() {
        true => clean(&retirement.email),
        false => format!("{} ({})", clean(&retirement.name), clean(&retirement.email)),
    };
    let place = |place: &crate::operations::view::RetirementPlaceView| {
        let books = match place.stays {
            0 => String::new(),
            stays => format!("; stays spent: {} (books stay with their readers)", count(stays, "licence", "licences")),
        };
        format!("- {}: comes back: {}{books}", clean(&place.location), count(place.comes_back, "licence", "licences"))
    };
    let places: Vec<String> = retirement.places.iter().map(place).collect();
    format!(
        "This retires {who} at Apple. Apps go on working for up to 30 days.\n{}\nThe person can be registered again later.",
        places.join("\n")
    )
}

async fn list_some(filter: &Filter, session: &Session) -> anyhow::Result<()> {
    let answer = session.client.get("/v1/users").await?;
    if session.out.json {
        let all: Vec<serde_json::Value> = answer.view()?;
        let users: Vec<UserView> = answer.view()?;
        let chosen = all.into_iter().zip(&users).filter(|(_, user)| filter.lets(user)).map(|(json, _)| json);
        return session.out.json(&serde_json::Value::Array(chosen.collect()));
    }
    session.out.show_list(&answer, |users: &[UserView], page| match users.is_empty() {
        true => "Nobody is registered. Register somebody: vppd user add --location NAME --email ADDRESS".to_owned(),
        false => list(users, filter, page),
    })
}

impl Filter {
    fn lets(&self, user: &UserView) -> bool {
        let has = |text: &str, part: &str| text.to_lowercase().contains(&part.to_lowercase());
        let account = user.managed_account.clone().unwrap_or_default();
        let texts = || [&user.email, &user.name, &user.client_user_id, &account];
        let anywhere = self.location.is_none() && self.status.is_none();
        self.search.as_ref().is_none_or(|part| texts().into_iter().any(|text| has(text, part)))
            && (anywhere || user.registrations.iter().any(|place| self.lets_place(place)))
    }

    fn lets_place(&self, place: &RegistrationView) -> bool {
        self.location.as_ref().is_none_or(|wanted| wanted.eq_ignore_ascii_case(&place.location))
            && self.status.as_ref().is_none_or(|wanted| word(&place.state) == *wanted)
    }
}

fn list(users: &[UserView], filter: &Filter, page: &Page) -> String {
    let mut grid = Grid::new(&[">ID", "EMAIL", "?NAME", "LOCATION", "STATE", "?SINCE", ">LICENCES", "~PROBLEM"]);
    let mut rows = 0;
    for user in users.iter().filter(|user| filter.lets(user)) {
        let (id, email, name) = (user.id.to_string(), user.email.clone(), dash(&user.name));
        let places: Vec<&RegistrationView> =
            user.registrations.iter().filter(|place| filter.lets_place(place)).collect();
        if places.is_empty() {
            let none = || "-".to_owned();
            grid.row([id, email, name, none(), none(), none(), "0".to_owned(), String::new()]);
            rows += 1;
            continue;
        }
        for place in places {
            let since = place.retired_at.or(place.associated_at).or(place.registered_at).unwrap_or(place.wanted_at);
            grid.row([
                id.clone(),
                email.clone(),
                name.clone(),
                place.location.clone(),
                word(&place.state),
                page.time(since),
                place.holds.len().to_string(),
                place.problem.clone(),
            ]);
            rows += 1;
        }
    }
    if rows == 0 { "None of the registered people fits.".to_owned() } else { grid.show(page) }
}

fn show(user: &UserView, page: &Page) -> String {
    let mut parts = vec![facts(
        [
            ("id", user.id.to_string()),
            ("e-mail", user.email.clone()),
            ("name", user.name.clone()),
            ("managed account", user.managed_account.clone().unwrap_or_default()),
            ("clientUserId", user.client_user_id.clone()),
            ("added", format!("{} by {}", page.time(user.created_at), user.created_by)),
        ],
        page,
    )];
    for place in &user.registrations {
        parts.push(show_place(place, page));
        if !place.holds.is_empty() {
            parts.push(holdings(&place.holds, page));
        }
    }
    if user.registrations.is_empty() {
        parts.push("Registered under no location.".to_owned());
    }
    parts.join("\n\n")
}

fn show_place(place: &RegistrationView, page: &Page) -> String {
    let time = |time: Option<jiff::Timestamp>| time.map(|time| page.time(time)).unwrap_or_default();
    facts(
        [
            ("location", place.location.clone()),
            ("state", word(&place.state)),
            ("Apple says", place.status.clone()),
            ("Apple's e-mail", place.apple_email.clone()),
            ("account's hash", place.id_hash.clone().unwrap_or_default()),
            ("wanted since", page.time(place.wanted_at)),
            ("registered", time(place.registered_at)),
            ("associated", time(place.associated_at)),
            ("retired", time(place.retired_at)),
            ("problem", place.problem.clone()),
            ("advice", place.advice.clone()),
            ("next try", time(place.next_try_at)),
            ("invitation", place.invitation.clone().unwrap_or_default()),
        ],
        page,
    )
}

fn holdings(holds: &[HoldingView], page: &Page) -> String {
    let mut grid = Grid::new(&["ADAM ID", "QUALITY", "KIND", "WHEN RETIRED"]);
    for holding in holds {
        let back = if holding.revocable { "comes back" } else { "stays spent" };
        grid.row([
            holding.adam_id.clone(),
            holding.pricing_param.clone(),
            dash(&holding.product_type),
            back.to_owned(),
        ]);
    }
    grid.show(page)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::tests::{page, time};
    use crate::operations::view::{RegistrationState, RetirementPlaceView};

    fn place(location: &str, state: RegistrationState, problem: &str) -> RegistrationView {
        RegistrationView {
            location: location.to_owned(),
            state,
            status: "Registered".to_owned(),
            apple_email: "p.osei@example.org".to_owned(),
            id_hash: None,
            wanted_at: time("06:00"),
            registered_at: Some(time("06:01")),
            associated_at: None,
            retired_at: None,
            problem: problem.to_owned(),
            advice: String::new(),
            next_try_at: None,
            holds: Vec::new(),
            invitation: None,
        }
    }

    fn user() -> UserView {
        UserView {
            id: 7,
            client_user_id: "9c44b3aa".to_owned(),
            name: "Priya\u{7} Osei".to_owned(),
            email: "p.osei@example.org".to_owned(),
            managed_account: None,
            created_at: time("06:00"),
            created_by: "root".to_owned(),
            registrations: vec![
                place("Leeds", RegistrationState::Registered, ""),
                place("York", RegistrationState::Refused, "Apple: an e-mail address is not valid (9717)"),
            ],
        }
    }

    fn filter(location: Option<&str>, status: Option<&str>, search: Option<&str>) -> Filter {
        let text = |text: Option<&str>| text.map(str::to_owned);
        Filter { location: text(location), status: text(status), search: text(search) }
    }

    #[test]
    fn each_location_has_a_line_and_filters_choose_lines() {
        let expected = "\
ID  EMAIL               NAME        LOCATION  STATE       SINCE             LICENCES  PROBLEM
 7  p.osei@example.org  Priya Osei  Leeds     registered  2026-11-02 06:01         0
 7  p.osei@example.org  Priya Osei  York      refused     2026-11-02 06:01         0  Apple: an e-mail address is not valid (9717)";
        assert_eq!(list(&[user()], &filter(None, None, None), &page(None)), expected);
        let york = list(&[user()], &filter(Some("york"), None, None), &page(None));
        assert!(york.contains("York") && !york.contains("Leeds"), "{york}");
        for (chosen, fits) in [
            (filter(None, Some("refused"), None), true),
            (filter(Some("Leeds"), Some("refused"), None), false),
            (filter(None, None, Some("OSEI")), true),
            (filter(None, None, Some("nobody")), false),
        ] {
            assert_eq!(chosen.lets(&user()), fits, "{chosen:?}");
        }
        assert_eq!(
            list(&[user()], &filter(Some("Hull"), None, None), &page(None)),
            "None of the registered people fits."
        );
    }

    #[test]
    fn an_invitation_is_shown_where_it_was_asked_for() {
        let mut user = user();
        assert!(!show(&user, &page(None)).contains("invitation"));
        user.registrations[0].invitation = Some("https://buy.itunes.apple.com/x?inviteCode=0d4f".to_owned());
        assert!(show(&user, &page(None)).contains("inviteCode=0d4f"));
    }

    #[test]
    fn retiring_says_what_comes_back_and_what_does_not() {
        let places = vec![
            RetirementPlaceView { location: "Leeds".to_owned(), comes_back: 3, stays: 1 },
            RetirementPlaceView { location: "York".to_owned(), comes_back: 1, stays: 0 },
        ];
        let text = consequences(&RetirementView { email: "p@x.example".to_owned(), name: String::new(), places });
        assert!(text.contains("Leeds: comes back: 3 licences; stays spent: 1 licence (books"), "{text}");
        assert!(text.contains("York: comes back: 1 licence\n"), "{text}");
    }

    #[test]
    fn the_words_of_the_filter_are_those_of_the_states() {
        use RegistrationState::*;
        let words = [New, Registered, Associated, Missing, Retiring, Retired, Refused].map(|state| word(&state));
        assert_eq!(words, STATES);
    }
}
