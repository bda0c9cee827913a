//! People in the scene of licences: two are registered, one of them is retired, whatever is killed meanwhile.

use serde::Deserialize;

use super::run::Run;
use crate::apple::{LocationView, UserStatus};

/// Stays registered.
const STAYS: &str = "stays@example.org";
/// Is retired in the end.
const LEAVES: &str = "leaves@example.org";

/// A person as vppd lists it.
#[derive(Deserialize)]
struct Row {
    email: String,
    registrations: Vec<Registration>,
}

#[derive(Deserialize)]
struct Registration {
    state: String,
}

/// Registers both, then retires one.
pub async fn register(run: &Run<'_>, location: &str) -> anyhow::Result<()> {
    for email in [STAYS, LEAVES] {
        until(run, email, "", &["user", "add", "--location", location, "--email", email]).await?;
    }
    for email in [STAYS, LEAVES] {
        until(run, email, "registered", &[]).await?;
    }
    until(run, LEAVES, "retired", &["user", "retire", LEAVES, "--yes"]).await
}

/// Asks again and again until the person stands so; an empty word is any.
async fn until(run: &Run<'_>, email: &str, state: &str, command: &[&str]) -> anyhow::Result<()> {
    loop {
        let rows: Option<Vec<Row>> = run.ask(&["user", "list"]).await;
        let stands_so =
            |row: &Row| row.email == email && row.registrations.iter().any(|at| state.is_empty() || at.state == state);
        match rows {
            Some(rows) if rows.iter().any(stands_so) => return Ok(()),
            // Refused or lost: the next look tells.
            Some(_) if !command.is_empty() => drop(run.ask::<serde_json::Value>(command).await),
            _ => {}
        }
        run.pause("register or retire a person").await?;
    }
}

/// What is wrong with the users at Apple in the end.
pub fn problems(location: &LocationView) -> Vec<String> {
    let expected = [(STAYS, UserStatus::Registered), (LEAVES, UserStatus::Retired)];
    let wrong = expected.into_iter().filter_map(|(email, status)| {
        let records = location.users.iter().filter(|user| user.email.as_deref() == Some(email));
        let found: Vec<UserStatus> = records.map(|user| user.status).collect();
        (found != [status])
            .then(|| format!("users at Apple with the address {email}: {found:?} instead of one {status:?}"))
    });
    wrong.collect()
}
