//! `vppd deploy`: which apps go to which devices.

use clap::{Subcommand, ValueEnum};

use super::Session;
use super::app::{app_name, title};
use super::output::Page;
use super::table::{Grid, clean, count, word};
use crate::operations::view::{DeployRequest, DeploymentView, PurposeView};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Bring an app to devices, or take it away
    #[command(after_help = ADD_EXAMPLES)]
    Add {
        /// Its adamId (the number in its App Store address), its bundle id, or its whole name
        #[arg(long, value_name = "APP", value_parser = app_name)]
        app: String,
        /// all-devices, or serial:SERIAL for one device
        #[arg(long, value_name = "DEVICES", value_parser = scope)]
        to: String,
        /// required: they shall have the app; uninstall: they shall not have it
        #[arg(long, value_enum, hide_possible_values = true)]
        purpose: Purpose,
    },
    /// List the deployments
    List,
    /// Remove a deployment: what it has brought and nothing else wants is taken away
    Remove {
        /// Its number in `vppd deploy list`
        id: i64,
    },
}

const ADD_EXAMPLES: &str = "\
A deployment to one device outranks one to all devices. To see what follows: vppd plan

Examples:
  vppd deploy add --app 361309726 --to all-devices --purpose required
  vppd deploy add --app com.apple.Pages --to all-devices --purpose required
  vppd deploy add --app 361309726 --to serial:DMPXK2ABCDEF --purpose uninstall";

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Purpose {
    /// The devices shall have the app
    Required,
    /// The devices shall not have the app
    Uninstall,
}

pub(super) async fn run(command: Command, session: &Session) -> anyhow::Result<()> {
    match command {
        Command::Add { app, to, purpose } => {
            let purpose = match purpose {
                Purpose::Required => PurposeView::Required,
                Purpose::Uninstall => PurposeView::Uninstall,
            };
            let request = DeployRequest { adam_id: app, to, purpose };
            let answer = session.client.post("/v1/deployments", &request).await?;
            session.out.show(&answer, |deployment, _| sentence("Added", deployment))
        }
        Command::List => session.out.show_list(&session.client.get("/v1/deployments").await?, list),
        Command::Remove { id } => {
            let answer = session.client.delete(&format!("/v1/deployments/{id}")).await?;
            session.out.show(&answer, |deployment, _| sentence("Removed", deployment))
        }
    }
}

/// The scopes that exist. A serial number need not have enrolled yet.
fn scope(text: &str) -> Result<String, String> {
    match text.strip_prefix("serial:") {
        Some(serial) if !serial.is_empty() => Ok(text.to_owned()),
        _ if text == "all-devices" => Ok(text.to_owned()),
        _ => Err("write all-devices, or serial:SERIAL for one device".to_owned()),
    }
}

fn sentence(verb: &str, deployment: &DeploymentView) -> String {
    let (name, adam_id) = (clean(&deployment.name), clean(&deployment.adam_id));
    let app = if name.is_empty() { adam_id } else { format!("{name} ({adam_id})") };
    format!(
        "{verb} deployment {}: app {app} {} for {} ({}). What happens now: vppd plan",
        deployment.id,
        word(&deployment.purpose),
        clean(&deployment.to),
        count(deployment.devices, "device", "devices")
    )
}

fn list(deployments: &[DeploymentView], page: &Page) -> String {
    if deployments.is_empty() {
        return "No deployments yet. Add one: vppd deploy add --app ADAMID --to all-devices --purpose required"
            .to_owned();
    }
    let mut grid = Grid::new(&[">ID", "~APP", "PURPOSE", "TO", ">DEVICES", "?CREATED", "?ADAM ID", "~BY"]);
    for deployment in deployments {
        grid.row([
            deployment.id.to_string(),
            title(&deployment.name, &deployment.adam_id).to_owned(),
            word(&deployment.purpose),
            deployment.to.clone(),
            deployment.devices.to_string(),
            page.time(deployment.created_at),
            deployment.adam_id.clone(),
            deployment.created_by.clone(),
        ]);
    }
    grid.show(page)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::tests::{page, time};

    #[test]
    fn deployments_are_listed() {
        let deployment = DeploymentView {
            id: 7,
            adam_id: "361309726".to_owned(),
            name: String::new(),
            to: "all-devices".to_owned(),
            purpose: PurposeView::Required,
            created_at: time("06:00"),
            created_by: "root".to_owned(),
            devices: 1,
        };
        let expected = "\
ID  APP        PURPOSE   TO           DEVICES  CREATED           ADAM ID    BY
 7  361309726  required  all-devices        1  2026-11-02 06:00  361309726  root";
        assert_eq!(list(std::slice::from_ref(&deployment), &page(None)), expected);
        let added =
            "Added deployment 7: app 361309726 required for all-devices (1 device). What happens now: vppd plan";
        assert_eq!(sentence("Added", &deployment), added);
        let named = DeploymentView { name: "Pages".to_owned(), ..deployment };
        assert!(sentence("Added", &named).starts_with("Added deployment 7: app Pages (361309726) required"));
        let narrow = list(&[named], &page(Some(80)));
        assert!(narrow.contains("Pages") && narrow.lines().take(2).all(|line| line.chars().count() <= 80), "{narrow}");
    }

    #[test]
    fn a_scope_that_does_not_exist_is_refused_at_once() {
        assert!(scope("serial:C02").is_ok() && scope("all-devices").is_ok());
        assert!(scope("everybody").is_err() && scope("serial:").is_err());
    }
}
