//! `vppd status`, `vppd pause` and `vppd resume`.

use clap::Args;

use super::Session;
use super::output::Page;
use super::table::{clean, count, facts};
use crate::operations::view::{PauseRequest, PauseView, StatusView};

#[derive(Debug, Args)]
pub struct PauseArguments {
    /// Why, for whoever looks at the status
    #[arg(long, default_value = "", hide_default_value = true)]
    reason: String,
}

pub(super) async fn status(session: &Session) -> anyhow::Result<()> {
    let answer = session.client.get("/v1/status").await?;
    session.out.show(&answer, render)
}

pub(super) async fn pause(arguments: PauseArguments, session: &Session) -> anyhow::Result<()> {
    let answer = session.client.post("/v1/pause", &PauseRequest { reason: arguments.reason }).await?;
    if session.out.json {
        return session.out.json(&answer.json()?);
    }
    session.out.text("Paused: nothing is sent to Apple or to devices. Go on with: vppd resume")
}

pub(super) async fn resume(session: &Session) -> anyhow::Result<()> {
    let answer = session.client.post("/v1/resume", &serde_json::json!({})).await?;
    if session.out.json {
        return session.out.json(&answer.json()?);
    }
    session.out.text("vppd goes on. What it does next: vppd plan")
}

fn render(status: &StatusView, page: &Page) -> String {
    let mut text = facts(
        [
            ("vppd", status.version.clone()),
            ("running since", page.time(status.started_at)),
            ("state", status.paused.as_ref().map_or_else(|| "working".to_owned(), |pause| paused(pause, page))),
            ("locations", status.locations.to_string()),
            ("devices", devices(status)),
            ("deployments", status.deployments.to_string()),
            ("notifications", notifications(status)),
        ],
        page,
    );
    if !status.problems.is_empty() {
        text.push_str(&format!("\n\n{}:\n", count(status.problems.len() as u64, "problem", "problems")));
        let problems: Vec<String> = status.problems.iter().map(|problem| format!("- {}", clean(problem))).collect();
        text.push_str(&problems.join("\n"));
    }
    text
}

fn devices(status: &StatusView) -> String {
    match status.silent {
        0 => status.devices.to_string(),
        silent => format!("{}, of which {silent} do not answer (vppd device list --silent 1d)", status.devices),
    }
}

fn notifications(status: &StatusView) -> String {
    match (status.notified, status.locations) {
        (0, _) => "off".to_owned(),
        (some, all) => format!("on for {some} of {}", count(all as u64, "location", "locations")),
    }
}

fn paused(pause: &PauseView, page: &Page) -> String {
    let reason = if pause.reason.is_empty() { String::new() } else { format!(": {}", pause.reason) };
    format!("paused since {} by {}{reason}", page.time(pause.since), pause.by)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::tests::{page, time};

    #[test]
    fn a_status_tells_the_pause_and_the_problems() {
        let pause = PauseView { since: time("06:30"), by: "root".to_owned(), reason: "exams".to_owned() };
        let status = StatusView {
            version: "0.1.0".to_owned(),
            started_at: time("06:00"),
            now: time("07:00"),
            paused: Some(pause),
            locations: 2,
            devices: 310,
            silent: 3,
            deployments: 4,
            notified: 1,
            problems: vec!["the content token of Leeds expires in 5 days".to_owned()],
        };
        let expected = "\
vppd:           0.1.0
running since:  2026-11-02 06:00
state:          paused since 2026-11-02 06:30 by root: exams
locations:      2
devices:        310, of which 3 do not answer (vppd device list --silent 1d)
deployments:    4
notifications:  on for 1 of 2 locations

1 problem:
- the content token of Leeds expires in 5 days";
        assert_eq!(render(&status, &page(None)), expected);
    }
}
