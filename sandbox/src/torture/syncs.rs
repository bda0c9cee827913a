//! The scene of syncs and renewals: two locations change at Apple round after round, each round is read, and every other
//! round a content token is taken back there and renewed. In the end vppd has to know exactly what Apple knows, and to have
//! told of each refused token once.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::run::{Outcome, Run, Verdicts};
use crate::apple::{AdminError, AssetName, NewAsset, NewLocation};
use crate::appliance::TaskRow;
use crate::chance::Chance;
use crate::scenario::{Scenario, ScenarioLocation};

/// In each location, on pages of ten.
const ASSETS: u64 = 45;
const PAGE: usize = 10;
/// Of each asset at first.
const LICENCES: i64 = 12;
const ROUNDS: u64 = 6;
/// Of Apple's doing in each round, for each location.
const CHANGES: u64 = 12;

/// `app list`: one asset of one location.
#[derive(Debug, Clone, Deserialize)]
struct AssetRow {
    adam_id: String,
    location: String,
    owned: i64,
    assigned: u64,
}

/// `alert list --all`.
#[derive(Debug, Clone, Deserialize)]
struct AlertRow {
    kind: String,
    subject: String,
}

/// Two locations that own the same assets.
pub fn scenario() -> Scenario {
    let assets: Vec<NewAsset> = (0..ASSETS).map(|number| NewAsset::app(&adam_id(number), LICENCES)).collect();
    let location = |name: &str| ScenarioLocation {
        location: NewLocation { name: name.to_owned(), ..NewLocation::default() },
        token_valid_days: 365,
        assets: assets.clone(),
    };
    let mut scenario = Scenario { locations: vec![location("leeds"), location("york")], ..Scenario::default() };
    scenario.switches.page_size = PAGE;
    scenario
}

fn adam_id(number: u64) -> String {
    format!("17{number:08}")
}

/// Plays the scene.
pub async fn act(run: &Run<'_>) -> anyhow::Result<Outcome> {
    for location in &run.locations {
        run.add_token(location, ASSETS).await?;
    }
    let mut chance = Chance::seeded(run.setup.seed);
    let mut refusals = BTreeMap::new();
    for round in 0..ROUNDS {
        change(run, &mut chance)?;
        if round % 2 == 1 {
            let at = (round as usize / 2) % run.locations.len();
            renew(run, at, round).await?;
            *refusals.entry(run.locations[at].name.clone()).or_insert(0) += 1;
        }
        sync(run).await?;
    }
    judge(run, &refusals).await
}

/// What happens at Apple between two syncs. All from the seed: what cannot be done just now is left out in every run.
fn change(run: &Run<'_>, chance: &mut Chance) -> anyhow::Result<()> {
    let apple = &run.sandbox.apple;
    for at in 0..run.locations.len() {
        let (here, there) = (&run.locations[at].u_id, &run.locations[(at + 1) % run.locations.len()].u_id);
        for _ in 0..CHANGES {
            let asset = AssetName::standard(&adam_id(chance.below(ASSETS)));
            let serial = format!("ELSEWHERE{:03}", chance.below(40));
            let count = 1 + chance.below(3) as u32;
            let done = match chance.below(6) {
                0 => apple.buy(here, &asset, count),
                1 => apple.refund(here, &asset, count),
                2 => apple.transfer(here, there, &asset, count),
                3 => apple.unassign(here, &asset, &serial).map(drop),
                _ => apple.assign(here, &asset, &serial).map(drop),
            };
            match done {
                Ok(()) | Err(AdminError::Invalid(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(())
}

/// Apple takes a token back, vppd meets that, and the administrator puts a new one in its place.
async fn renew(run: &Run<'_>, at: usize, round: u64) -> anyhow::Result<()> {
    let location = &run.locations[at];
    let apple = &run.sandbox.apple;
    let tokens = apple.location(&location.u_id).map(|view| view.tokens).unwrap_or_default();
    for token in tokens.iter().filter(|token| !token.revoked) {
        apple.revoke_token(&token.text)?;
    }
    loop {
        match run.token(&location.name).await {
            Some(Some(row)) if row.state == "revoked" => break,
            Some(_) => drop(run.ask::<Vec<TaskRow>>(&["sync", &location.name, "--no-wait"]).await),
            None => {}
        }
        run.pause("see that a token was taken back").await?;
    }
    let content = apple.add_token(&location.u_id, jiff::SignedDuration::from_hours(24 * (300 + round as i64)))?;
    let file = run.keep_token(&location.name, &content)?;
    let file = file.display().to_string();
    loop {
        match run.token(&location.name).await {
            Some(Some(row)) if row.state == "valid" => return Ok(()),
            // Refused or lost: the next look tells.
            Some(_) => drop(run.ask::<serde_json::Value>(&["token", "renew", &location.name, &file]).await),
            None => {}
        }
        run.pause("renew a token").await?;
    }
}

/// Reads both locations anew: a sync that was asked for after now has to be done for each.
async fn sync(run: &Run<'_>) -> anyhow::Result<()> {
    let highest = loop {
        if let Some(tasks) = run.ask::<Vec<TaskRow>>(&["task", "list"]).await {
            break tasks.iter().map(|task| task.id).max().unwrap_or(0);
        }
        run.pause("list its tasks").await?;
    };
    for location in &run.locations {
        loop {
            let tasks: Option<Vec<TaskRow>> = run.ask(&["task", "list"]).await;
            if let Some(tasks) = tasks {
                let mut ours = tasks.iter().filter(|task| task.id > highest && task.subject == location.name);
                if ours.clone().any(|task| task.state == "done") {
                    break;
                }
                if !ours.any(|task| matches!(task.state.as_str(), "waiting" | "running")) {
                    drop(run.ask::<Vec<TaskRow>>(&["sync", &location.name, "--no-wait"]).await);
                }
            }
            run.pause("read a location").await?;
        }
    }
    Ok(())
}

async fn judge(run: &Run<'_>, refusals: &BTreeMap<String, u64>) -> anyhow::Result<Outcome> {
    let (rows, alerts) = loop {
        let rows: Option<Vec<AssetRow>> = run.ask(&["app", "list", "--by-token"]).await;
        let alerts: Option<Vec<AlertRow>> = run.ask(&["alert", "list", "--all"]).await;
        if let (Some(rows), Some(alerts)) = (rows, alerts) {
            break (rows, alerts);
        }
        run.pause("tell what it knows").await?;
    };
    let known: Verdicts = rows
        .iter()
        .map(|row| (format!("{} in {}", row.adam_id, row.location), in_words(row.owned, row.assigned)))
        .collect();
    let mut problems = Vec::new();
    for location in &run.locations {
        let Some(truth) = run.sandbox.apple.location(&location.u_id) else { continue };
        for asset in &truth.assets {
            let held = truth.assignments.iter().filter(|one| one.adam_id == asset.adam_id).count() as u64;
            let name = format!("{} in {}", asset.adam_id, location.name);
            let (true_words, words) = (in_words(asset.total, held), known.get(&name));
            if words != Some(&true_words) {
                problems.push(format!("{name}: Apple says {true_words}, vppd {words:?}"));
            }
        }
        let told = alerts.iter().filter(|alert| alert.kind == "token-refused" && alert.subject == location.name);
        let (told, expected) = (told.count() as u64, refusals.get(&location.name).copied().unwrap_or(0));
        if told != expected {
            problems.push(format!("{expected} tokens of {} were taken back, {told} alerts tell of it", location.name));
        }
    }
    let others = alerts.iter().filter(|alert| alert.kind != "token-refused");
    problems.extend(others.map(|alert| format!("nobody expected an alert {} for {}", alert.kind, alert.subject)));
    Ok(run.outcome(known, problems))
}

fn in_words(owned: i64, assigned: u64) -> String {
    format!("{owned} owned, {assigned} assigned")
}
