//! `vppd doctor`: looks after what is damaged, on this machine or on the way to Apple.

use std::path::Path;

use clap::Subcommand;

use super::Session;
use super::output::{Output, Page};
use super::table::{Grid, clean, facts, word};
use crate::config::Config;
use crate::operations::doctor;
use crate::operations::view::AppleHealthView;

#[derive(Debug, Subcommand)]
pub enum Doctor {
    /// Check the whole database, while vppd runs or not
    Store,
    /// Ask Apple for a sign of life; show limits, locations, and where Apple's replies differ from what Apple describes
    Apple,
}

pub(super) fn store(settings: &Path, out: &Output) -> anyhow::Result<()> {
    let config = Config::load(settings)?;
    let (path, schema) = doctor::store(&config)?;
    match out.json {
        true => out.json(&serde_json::json!({ "database": path, "schema": schema, "problems": [] })),
        false => out.text(&format!("{} is whole (schema {schema}).", path.display())),
    }
}

pub(super) async fn apple(session: &Session) -> anyhow::Result<()> {
    let answer = session.client.get("/v1/doctor/apple").await?;
    session.out.show(&answer, render)
}

fn render(health: &AppleHealthView, page: &Page) -> String {
    let (service, limits) = (&health.service, &health.limits);
    let answer = match &service.error {
        None => format!("in {} ms", service.milliseconds),
        Some(error) => format!("none: {error}"),
    };
    let mut text = facts(
        [
            ("service", service.url.clone()),
            ("through", service.proxy.clone().unwrap_or_default()),
            ("answer", answer),
            ("certificate", service.certificate.clone()),
            (
                "limits read",
                limits.read_at.map_or_else(|| "never: the published ones hold".to_owned(), |at| page.time(at)),
            ),
            ("requests a second", limits.requests_per_second.to_string()),
            (
                "in one request",
                format!(
                    "{} assets, {} serial numbers, {} users",
                    limits.assets, limits.serial_numbers, limits.client_user_ids
                ),
            ),
        ],
        page,
    );
    for location in &health.locations {
        let token = &location.token;
        text.push_str("\n\n");
        let trouble = location.last_error.as_ref().map(|error| format!("{}: {error}", page.time(location.failed_at)));
        text.push_str(&facts(
            [
                ("location", token.name.clone()),
                ("state", word(&token.state)),
                ("advice", token.advice.clone()),
                ("held by", super::token::owner(&token.owner)),
                ("expires", page.time(token.expires_at)),
                ("last synced", page.time(token.last_synced)),
                ("last error", trouble.unwrap_or_default()),
                ("notifications", super::token::notifications(&token.notifications, page)),
            ],
            page,
        ));
    }
    if health.drift.is_empty() {
        return format!("{text}\n\nApple's replies look as Apple describes them.");
    }
    let mut grid = Grid::new(&["CALL", "~WHERE", "~WHAT", ">REPLIES", "FIRST", "LAST"]);
    for drift in &health.drift {
        let (first, last) = (page.time(drift.first_seen), page.time(drift.last_seen));
        grid.row([
            clean(&drift.endpoint),
            drift.place.clone(),
            drift.kind.clone(),
            drift.replies.to_string(),
            first,
            last,
        ]);
    }
    format!("{text}\n\nWhere Apple's replies differ from what Apple describes:\n{}", grid.show(page))
}
