//! The law of the plan that is kept up to date: what it wants done is what a plan from scratch wants done. Looked at by debug
//! builds at every plan, so that every test is a test of the marks, too.

use jiff::Timestamp;
use rusqlite::Connection;

use super::{Current, plan_of};
use crate::licensing::plan::Actions;
use crate::operations::DeviceIndex;
use crate::store::StoreError;
use crate::store::snapshot;

/// Ends the process when the two plans differ.
pub(super) fn check(
    connection: &Connection,
    settings: &snapshot::Settings,
    now: Timestamp,
    index: &DeviceIndex,
    current: &Current,
    actions: &Actions,
) -> Result<(), StoreError> {
    let (loaded, plan) = plan_of(connection, settings, now, index)?;
    let (kept, whole) = (actions.told(current.planner.snapshot()), plan.actions.told(&loaded.snapshot));
    if kept != whole {
        let (kept, whole): (Vec<_>, Vec<_>) = (kept.difference(&whole).collect(), whole.difference(&kept).collect());
        log::error!("the plan that is kept up to date wants {kept:#?}; a whole one wants {whole:#?}");
        eprintln!("the plan that is kept up to date wants {kept:#?}; a whole one wants {whole:#?}");
        std::process::abort();
    }
    Ok(())
}
