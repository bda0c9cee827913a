//! `vppd plan`: what vppd would do now, and why.

use clap::{Args, Subcommand};

use super::Session;
use super::app::title;
use super::client::segment;
use super::output::Page;
use super::table::{Grid, clean, count};
use crate::operations::view::{ConfirmedView, ExplanationView, PairView, PlanView, WaitingPersonView};

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// Show at most this many lines of each part; 0 shows all
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: usize,

    /// Explain each pair of the device with this serial number: which deployments speak of it, and which one decides
    #[arg(long, value_name = "SERIAL")]
    explain: Option<String>,

    /// Explain this app alone: its Adam ID, name or bundle id
    #[arg(long, value_name = "APP", requires = "explain")]
    app: Option<String>,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Let go what is held: you have seen what would be taken back, and it is right
    Confirm,
}

pub(super) async fn run(arguments: Arguments, session: &Session) -> anyhow::Result<()> {
    if let Some(Command::Confirm) = arguments.command {
        let answer = session.client.post("/v1/plan/confirm", &serde_json::json!({})).await?;
        return session.out.show(&answer, |confirmed, _| confirmed_words(confirmed));
    }
    let limit = if arguments.limit == 0 { usize::MAX } else { arguments.limit };
    if let Some(serial) = &arguments.explain {
        let app = arguments.app.as_ref().map_or(String::new(), |app| format!("&app={}", segment(app)));
        let answer = session.client.get(&format!("/v1/plan/explain?serial={}{app}", segment(serial))).await?;
        return session.out.show(&answer, explanation);
    }
    let answer = session.client.get("/v1/plan").await?;
    session.out.show(&answer, |plan, page| render(plan, limit, page))
}

/// `limit`: the most lines of each part.
fn render(plan: &PlanView, limit: usize, page: &Page) -> String {
    let mut parts = Vec::new();
    if plan.paused {
        parts.push("vppd is paused: nothing of this is done until `vppd resume`.".to_owned());
    }
    parts.extend(
        plan.held.iter().map(|held| format!("HELD since {}: {}", page.time(Some(held.since)), clean(&held.why))),
    );
    if !plan.held.is_empty() {
        parts.push("If that is right: vppd plan confirm. What is given goes on meanwhile.".to_owned());
    }
    parts.extend(licences(plan, limit, page));
    parts.extend(commands(plan, limit, page));
    parts.extend(pairs("Waiting for a licence", &plan.waiting, limit, page));
    parts.extend(people(&plan.waiting_people, limit, page));
    parts.extend(pairs("Cannot be done", &plan.blocked, limit, page));
    let rest = format!("As wanted: {}. Under way: {}.", plan.satisfied, plan.in_flight);
    let idle = plan.licences.is_empty() && plan.commands.is_empty();
    parts.push(if idle { format!("Nothing to do now. {rest}") } else { rest });
    parts.join("\n\n")
}

fn explanation(told: &ExplanationView, page: &Page) -> String {
    let mut parts = vec![format!("{}: {}", told.serial, told.device)];
    for one in &told.pairs {
        let pair = &one.pair;
        let mut lines = vec![
            format!("{} ({}): {}", title(&pair.name, &pair.adam_id), pair.adam_id, pair.stage.word()),
            format!("  Now: {}", pair.why),
            format!("  Decided by: {}", one.decides),
        ];
        if !one.licence_of.is_empty() {
            lines.push(format!("  Licence: {}", one.licence_of));
        }
        if let Some(at) = one.goes_back_at {
            lines.push(format!("  The licence goes back at the latest: {}", page.time(Some(at))));
        }
        let deployments = one.deployments.iter();
        lines.extend(deployments.map(|it| format!("  Deployment {}, {}: {}", it.id, it.what, it.why)));
        parts.push(lines.join("\n"));
    }
    if told.pairs.is_empty() {
        parts.push("Nothing is wanted of this device, and nothing of ours is on it.".to_owned());
    }
    parts.join("\n\n")
}

fn licences(plan: &PlanView, limit: usize, page: &Page) -> Option<String> {
    let mut grid = Grid::new(&["LOCATION", "REQUEST", "~APPS", "~FOR", "~WHY"]);
    for action in plan.licences.iter().take(limit) {
        let name = |(place, adam_id): (usize, &String)| {
            title(action.names.get(place).map_or("", String::as_str), adam_id).to_owned()
        };
        let apps: Vec<String> = action.adam_ids.iter().enumerate().map(name).collect();
        let holders = if action.serials.is_empty() { &action.people } else { &action.serials };
        grid.row([action.location.clone(), action.verb.clone(), some(&apps), some(holders), action.why.clone()]);
    }
    part("Requests to Apple", plan.licences.len(), limit, grid, page)
}

fn commands(plan: &PlanView, limit: usize, page: &Page) -> Option<String> {
    let mut grid = Grid::new(&["SERIAL", "COMMAND", "~APP", "~WHY"]);
    for action in plan.commands.iter().take(limit) {
        let (serial, command) = (action.serial.clone(), action.request_type.clone());
        grid.row([serial, command, title(&action.name, &action.adam_id).to_owned(), action.why.clone()]);
    }
    part("Commands to devices", plan.commands.len(), limit, grid, page)
}

fn pairs(heading: &str, pairs: &[PairView], limit: usize, page: &Page) -> Option<String> {
    let mut grid = Grid::new(&[">PLACE", "SERIAL", "~APP", "~WHY"]);
    for pair in pairs.iter().take(limit) {
        let place = pair.position.map_or_else(|| "-".to_owned(), |position| position.to_string());
        grid.row([place, pair.serial.clone(), title(&pair.name, &pair.adam_id).to_owned(), pair.why.clone()]);
    }
    part(heading, pairs.len(), limit, grid, page)
}

fn people(waiting: &[WaitingPersonView], limit: usize, page: &Page) -> Option<String> {
    let mut grid = Grid::new(&[">PLACE", "~PERSON", "~APP", "~WHY"]);
    for one in waiting.iter().take(limit) {
        let person = if one.person.is_empty() { &one.email } else { &one.person };
        let app = title(&one.name, &one.adam_id).to_owned();
        grid.row([one.position.to_string(), clean(person), app, one.why.clone()]);
    }
    part("People who wait for a licence", waiting.len(), limit, grid, page)
}

fn confirmed_words(confirmed: &ConfirmedView) -> String {
    let listings = match confirmed.locations.is_empty() {
        true => String::new(),
        false => format!(" Apple's listings are believed again: {}.", clean(&confirmed.locations.join(", "))),
    };
    format!("Confirmed: {} may go.{listings}", count(confirmed.licences, "licence", "licences"))
}

/// A titled table; `None` when there is nothing in it.
fn part(title: &str, length: usize, limit: usize, grid: Grid, page: &Page) -> Option<String> {
    if length == 0 {
        return None;
    }
    let more = match length.saturating_sub(limit) {
        0 => String::new(),
        more => format!("\n... and {more} more (--limit 0 shows all)"),
    };
    Some(format!("{title} ({length})\n{}{more}", grid.show(page)))
}

/// The first names of a list that may hold hundreds.
fn some(names: &[String]) -> String {
    const SHOWN: usize = 3;
    let first: Vec<&str> = names.iter().take(SHOWN).map(String::as_str).collect();
    match names.len().saturating_sub(SHOWN) {
        0 => first.join(", "),
        more => format!("{} and {more} more", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::tests::page;
    use crate::operations::view::{CommandActionView, LicenceActionView, LicenceState, Stage};

    fn command(serial: &str) -> CommandActionView {
        CommandActionView {
            serial: serial.to_owned(),
            request_type: "InstallApplication".to_owned(),
            adam_id: "1".to_owned(),
            name: "Pages".to_owned(),
            why: "its licence is assigned".to_owned(),
        }
    }

    #[test]
    fn a_plan_shows_every_part_up_to_the_limit() {
        let licence = LicenceActionView {
            location: "Leeds".to_owned(),
            verb: "associate".to_owned(),
            adam_ids: vec!["1".to_owned(), "2".to_owned()],
            names: vec!["Pages".to_owned(), String::new()],
            serials: ["A", "B", "C", "D", "E"].map(str::to_owned).to_vec(),
            people: vec![],
            why: "required on all devices".to_owned(),
        };
        let waiting = PairView {
            adam_id: "2".to_owned(),
            name: String::new(),
            serial: "F".to_owned(),
            stage: Stage::WaitingForLicence,
            why: "no licence is free".to_owned(),
            licence: LicenceState::None,
            app_status: String::new(),
            declared: false,
            position: Some(1),
            next_at: None,
        };
        let plan = PlanView {
            paused: true,
            held: vec![],
            licences: vec![licence],
            commands: vec![command("G"), command("H"), command("I")],
            waiting: vec![waiting],
            waiting_people: vec![WaitingPersonView {
                adam_id: "2".to_owned(),
                name: String::new(),
                email: "p@example.org".to_owned(),
                person: "Priya Osei".to_owned(),
                position: 2,
                why: "no licence is free".to_owned(),
            }],
            blocked: vec![],
            satisfied: 40,
            in_flight: 2,
        };
        let expected = "\
vppd is paused: nothing of this is done until `vppd resume`.

Requests to Apple (1)
LOCATION  REQUEST    APPS      FOR                 WHY
Leeds     associate  Pages, 2  A, B, C and 2 more  required on all devices

Commands to devices (3)
SERIAL  COMMAND             APP    WHY
G       InstallApplication  Pages  its licence is assigned
H       InstallApplication  Pages  its licence is assigned
... and 1 more (--limit 0 shows all)

Waiting for a licence (1)
PLACE  SERIAL  APP  WHY
    1  F       2    no licence is free

People who wait for a licence (1)
PLACE  PERSON      APP  WHY
    2  Priya Osei  2    no licence is free

As wanted: 40. Under way: 2.";
        assert_eq!(render(&plan, 2, &page(None)), expected);
    }

    #[test]
    fn an_empty_plan_says_that_there_is_nothing_to_do() {
        let text = render(&PlanView::default(), 20, &page(None));
        assert_eq!(text, "Nothing to do now. As wanted: 0. Under way: 0.");
    }
}
