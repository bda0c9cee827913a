//! `vppd identity`: the certificates with which devices prove who they are.

use clap::Subcommand;

use super::Session;
use super::client::segment;
use super::confirm::confirm;
use super::output::Page;
use super::table::{Grid, clean, count, word};
use crate::operations::view::{AuthorityView, IdentityView};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// List the identities of enrolled devices, those that end first on top
    List,
    /// Ask a device to renew its identity now, instead of when two thirds of its life are over
    Renew {
        /// Its serial number, or its UDID
        #[arg(value_name = "SERIAL")]
        serial: String,
    },
    /// Show the authorities that give identities, or let a new one take over
    Authority {
        /// Let a new one take over now, instead of four years before the end of the present one; no device is lost by it
        #[arg(long)]
        renew: bool,
    },
    /// Accept the identity of a device no more: it has to enrol anew, within an hour if it is to keep its licences
    Revoke {
        /// Its serial number, or its UDID
        #[arg(value_name = "SERIAL")]
        serial: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

pub(super) async fn run(command: Command, session: &Session) -> anyhow::Result<()> {
    let path = |serial: &str| format!("/v1/devices/{}/identity", segment(serial));
    match command {
        Command::List => session.out.show_list(&session.client.get("/v1/identities").await?, list),
        Command::Renew { serial } => {
            let answer = session.client.post(&format!("{}/renewal", path(&serial)), &serde_json::json!({})).await?;
            session.out.show(&answer, |it: &IdentityView, page| {
                format!(
                    "Device {} is asked to renew its identity, which ends on {}.",
                    shown(it),
                    page.time(it.expires_at)
                )
            })
        }
        Command::Authority { renew } => {
            let answer = match renew {
                true => session.client.post("/v1/authorities", &serde_json::json!({})).await?,
                false => session.client.get("/v1/authorities").await?,
            };
            session.out.show_list(&answer, authorities)
        }
        Command::Revoke { serial, yes } => {
            let what = format!(
                "Device {} will not be managed any more until it enrols anew. After an hour its licences go back.",
                clean(&serial)
            );
            if !yes && !confirm(&what, "Revoke its identity?")? {
                anyhow::bail!("nothing was changed");
            }
            session.out.show(&session.client.delete(&path(&serial)).await?, |it: &IdentityView, _| {
                format!("The identity of device {} was revoked. To enrol it anew: vppd enrol profile", shown(it))
            })
        }
    }
}

fn shown(it: &IdentityView) -> String {
    clean(if it.serial.is_empty() { &it.udid } else { &it.serial })
}

fn list(all: &[IdentityView], page: &Page) -> String {
    let mut grid = Grid::new(&["DEVICE", "?KIND", "STATE", "?ISSUED", "EXPIRES", "?ASKED"]);
    for it in all {
        grid.row([
            shown(it),
            it.kind.clone(),
            word(&it.state),
            page.time(it.issued_at),
            page.time(it.expires_at),
            page.time(it.asked_at),
        ]);
    }
    format!("{}\n{}.", grid.show(page), count(all.len() as u64, "identity", "identities"))
}

fn authorities(all: &[AuthorityView], page: &Page) -> String {
    let mut grid = Grid::new(&["AUTHORITY", "GIVES IDENTITIES", "SIGNS PROFILES", "EXPIRES"]);
    let word = |yes| if yes { "yes" } else { "no" }.to_owned();
    for it in all {
        grid.row([it.name.clone(), word(it.present), word(it.signs_profiles), page.time(it.expires_at)]);
    }
    grid.show(page)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::tests::{page, time};
    use crate::operations::view::IdentityState;

    #[test]
    fn identities_are_listed_with_their_ends() {
        let it = IdentityView {
            serial: "DMPX0001".into(),
            udid: "00008103".into(),
            kind: "scep".into(),
            state: IdentityState::Renewing,
            issued_at: time("06:00"),
            expires_at: time("07:00"),
            asked_at: Some(time("06:40")),
        };
        let expected = "\
DEVICE    KIND  STATE     ISSUED            EXPIRES           ASKED
DMPX0001  scep  renewing  2026-11-02 06:00  2026-11-02 07:00  2026-11-02 06:40
1 identity.";
        assert_eq!(list(&[it], &page(None)), expected);
    }
}
