//! `vppd token foreign-users`: users of a location that other MDM servers have made.

use clap::Args;

use super::Session;
use super::client::segment;
use super::confirm::confirm;
use super::output::Page;
use super::table::{Grid, clean, count, dash};
use crate::operations::view::{ForeignRetireRequest, ForeignUsersView};

#[derive(Debug, Args)]
pub struct ForeignUsers {
    /// Your name for the location, or its uId
    location: String,
    /// Retire all of them at Apple
    #[arg(long)]
    retire: bool,
    /// Do not ask
    #[arg(long, requires = "retire")]
    yes: bool,
}

pub(super) async fn run(arguments: ForeignUsers, session: &Session) -> anyhow::Result<()> {
    let path = format!("/v1/tokens/{}/foreign-users", segment(&arguments.location));
    let answer = session.client.get(&path).await?;
    if !arguments.retire {
        return session.out.show(&answer, list);
    }
    let found: ForeignUsersView = answer.view()?;
    if !found.why_not.is_empty() {
        anyhow::bail!("users of {} cannot be retired now: {}", clean(&found.location), clean(&found.why_not));
    }
    let number = found.users.iter().filter(|user| !user.retiring).count() as u64;
    if number == 0 {
        return session.out.show(&answer, list);
    }
    if !arguments.yes && !confirm(&consequences(&found, number), &format!("Retire {number}?"))? {
        anyhow::bail!("nobody was retired");
    }
    let answer = session.client.post(&format!("{path}/retire"), &ForeignRetireRequest { count: number }).await?;
    session.out.show(&answer, list)
}

fn consequences(found: &ForeignUsersView, number: u64) -> String {
    let open = || found.users.iter().filter(|user| !user.retiring);
    let (back, stays) = (open().map(|user| user.comes_back).sum(), open().map(|user| user.stays).sum());
    format!(
        "This retires {} of {} that another MDM server has made. Comes back: {}; stays spent: {} (books). That server can no \
         longer assign licences to them.",
        count(number, "user", "users"),
        clean(&found.location),
        count(back, "licence", "licences"),
        count(stays, "licence", "licences"),
    )
}

fn list(found: &ForeignUsersView, page: &Page) -> String {
    if found.users.is_empty() {
        return format!("No other MDM server has users in {}.", clean(&found.location));
    }
    let mut grid = Grid::new(&["EMAIL", "STATUS", ">LICENCES", ">BOOKS", "?CLIENTUSERID", "~NOTE"]);
    for user in &found.users {
        let note = if user.retiring { format!("being retired {}", user.problem) } else { user.problem.clone() };
        grid.row([
            dash(&user.email),
            user.status.clone(),
            user.comes_back.to_string(),
            user.stays.to_string(),
            user.client_user_id.clone(),
            note.trim().to_owned(),
        ]);
    }
    grid.show(page)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::tests::page;
    use crate::operations::view::ForeignUserView;

    fn found() -> ForeignUsersView {
        let user = |email: &str, retiring| ForeignUserView {
            client_user_id: "old-1".to_owned(),
            email: email.to_owned(),
            status: "Associated".to_owned(),
            retiring,
            problem: String::new(),
            comes_back: 2,
            stays: 1,
        };
        let users = vec![user("a@x.example", false), user("", true)];
        ForeignUsersView { location: "Leeds".to_owned(), users, why_not: String::new() }
    }

    #[test]
    fn those_of_others_are_listed_with_what_they_hold() {
        let expected = "\
EMAIL        STATUS      LICENCES  BOOKS  CLIENTUSERID  NOTE
a@x.example  Associated         2      1  old-1
-            Associated         2      1  old-1         being retired";
        assert_eq!(list(&found(), &page(None)), expected);
    }

    #[test]
    fn the_question_names_the_number() {
        let text = consequences(&found(), 1);
        assert!(
            text.contains("retires 1 user of Leeds")
                && text.contains("Comes back: 2 licences; stays spent: 1 licence (books)"),
            "{text}"
        );
    }
}
