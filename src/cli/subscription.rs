//! `vppd subscription`: subscriptions of the locations, as Apple counts their seats.

use clap::Subcommand;
use form_urlencoded::Serializer;

use super::Session;
use super::app::title;
use super::output::Page;
use super::table::{Grid, dash};
use crate::operations::view::{SeatsView, SubscriptionView};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// List the subscriptions with their seats, as of the last sync
    List {
        /// Only those of this location (its name or uId)
        #[arg(long, value_name = "NAME")]
        location: Option<String>,
    },
}

pub(super) async fn run(command: Command, session: &Session) -> anyhow::Result<()> {
    let Command::List { location } = command;
    let query = Serializer::new(String::new()).extend_pairs(location.iter().map(|name| ("location", name))).finish();
    session.out.show_list(&session.client.get(&format!("/v1/subscriptions?{query}")).await?, list)
}

fn list(subscriptions: &[SubscriptionView], page: &Page) -> String {
    if subscriptions.is_empty() {
        return "No subscriptions. They come with a content token, if any were bought into its location.".to_owned();
    }
    let headers =
        ["~APP", "SUBSCRIPTION", "STATUS", "PERIOD ENDS", ">ASSIGNED", ">AVAILABLE", ">TOTAL", "?LOCATION", "?APP ID"];
    let mut grid = Grid::new(&headers);
    for one in subscriptions {
        let parent = one.parent_adam_id.as_deref().unwrap_or_default();
        grid.row([
            dash(title(&one.parent_name, parent)),
            title(&one.name, &one.adam_id).to_owned(),
            dash(&one.status.to_lowercase()),
            dash(&one.period_end),
            seats(one.assigned),
            seats(one.available),
            seats(one.total),
            one.location.clone(),
            dash(parent),
        ]);
    }
    format!("{}\n\nSeats: those that renew at the end of the period, + those that expire then.", grid.show(page))
}

fn seats(seats: SeatsView) -> String {
    format!("{}+{}", seats.renewing, seats.expiring)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::tests::page;

    #[test]
    fn subscriptions_are_listed_with_both_kinds_of_seats() {
        let seats = |renewing, expiring| SeatsView { renewing, expiring };
        let one = SubscriptionView {
            location: "Leeds".to_owned(),
            adam_id: "6400000901".to_owned(),
            name: String::new(),
            parent_adam_id: Some("1600000011".to_owned()),
            parent_name: "Tram Rosters".to_owned(),
            status: "ACTIVE".to_owned(),
            period_end: "2027-02-01".to_owned(),
            assigned: seats(30, 5),
            available: seats(10, 0),
            total: seats(45, 0),
        };
        let orphan = SubscriptionView { parent_adam_id: None, parent_name: String::new(), ..one.clone() };
        let expected = "\
APP           SUBSCRIPTION  STATUS  PERIOD ENDS  ASSIGNED  AVAILABLE  TOTAL  LOCATION  APP ID
Tram Rosters  6400000901    active  2027-02-01       30+5       10+0   45+0  Leeds     1600000011
-             6400000901    active  2027-02-01       30+5       10+0   45+0  Leeds     -

Seats: those that renew at the end of the period, + those that expire then.";
        assert_eq!(list(&[one.clone(), orphan], &page(None)), expected);
        assert!(list(&[one], &page(Some(80))).lines().all(|line| line.chars().count() <= 80));
    }
}
