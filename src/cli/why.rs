//! `vppd why`: why an app is not on a device, and everything that happened until now.

use clap::Args;

use super::Session;
use super::app::title;
use super::client::segment;
use super::output::Page;
use super::table::{Grid, clean, facts, word};
use crate::operations::view::WhyView;

#[derive(Debug, Args)]
pub struct Why {
    /// The serial number of the device
    #[arg(value_name = "SERIAL")]
    serial: String,
    /// The app: its Adam ID, name or bundle id
    #[arg(value_name = "APP")]
    app: String,
}

pub(super) async fn run(arguments: Why, session: &Session) -> anyhow::Result<()> {
    let Why { serial, app } = arguments;
    let answer = session.client.get(&format!("/v1/why?serial={}&app={}", segment(&serial), segment(&app))).await?;
    session.out.show(&answer, show)
}

fn show(told: &WhyView, page: &Page) -> String {
    let cause = match told.cause.as_str() {
        "" => String::new(),
        cause => format!("{cause} ({})", told.means),
    };
    let time = |at: Option<_>| at.map_or(String::new(), |at| page.time(Some(at)));
    let head = facts(
        [
            ("device", format!("{}, {}", told.serial, told.device)),
            ("app", format!("{} ({})", title(&told.name, &told.adam_id), told.adam_id)),
            ("stage", told.stage.word().to_owned()),
            ("why", told.why.clone()),
            ("cause", cause),
            ("next step", told.next.clone()),
            ("decided by", told.decides.clone()),
            ("licence", told.licence_of.clone()),
            ("next look", time(told.next_at)),
            ("goes back", time(told.goes_back_at)),
            ("last heard of", page.time(told.last_seen)),
            ("device says", told.device_says.clone()),
        ],
        page,
    );
    if told.moments.is_empty() {
        return format!("{head}\n\nNothing has happened to it in the last thirty days.");
    }
    let mut grid = Grid::new(&["TIME", "FROM", "~WHAT"]);
    for moment in &told.moments {
        grid.row([page.time(moment.at), word(&moment.kind), clean(&moment.what)]);
    }
    format!("{head}\n\n{}", grid.show(page))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::tests::{page, time};
    use crate::operations::view::{MomentKind, MomentView, Stage};

    #[test]
    fn a_person_reads_the_cause_the_next_step_and_the_time_line() {
        let moment = |at, kind, what: &str| MomentView { at: time(at), kind, what: what.to_owned() };
        let told = WhyView {
            serial: "DMPX0001".to_owned(),
            device: "enrolled; no person is noted".to_owned(),
            adam_id: "361309726".to_owned(),
            name: "Pages".to_owned(),
            stage: Stage::Failed,
            why: "given up: the device says\u{7} no".to_owned(),
            cause: "not-supported".to_owned(),
            means: "the app does not run on this model".to_owned(),
            next: "Update the device.".to_owned(),
            decides: "deployment 3: the app shall be there".to_owned(),
            licence_of: "the device's own".to_owned(),
            next_at: None,
            goes_back_at: None,
            last_seen: Some(time("06:05")),
            device_says: "MDMErrorDomain 1".to_owned(),
            moments: vec![
                moment("06:00", MomentKind::Command, "InstallApplication is queued"),
                moment("06:05", MomentKind::CheckIn, "the device came"),
            ],
        };
        let expected = "\
device:         DMPX0001, enrolled; no person is noted
app:            Pages (361309726)
stage:          failed
why:            given up: the device says no
cause:          not-supported (the app does not run on this model)
next step:      Update the device.
decided by:     deployment 3: the app shall be there
licence:        the device's own
last heard of:  2026-11-02 06:05
device says:    MDMErrorDomain 1

TIME              FROM      WHAT
2026-11-02 06:00  command   InstallApplication is queued
2026-11-02 06:05  check-in  the device came";
        assert_eq!(show(&told, &page(None)), expected);
    }
}
