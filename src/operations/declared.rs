//! Groups, deployments and token settings as a file: written down by [`export`], made so by [`apply`]. What a file has is the
//! whole truth of its kind; a kind that it does not have is left alone. Applying what was just exported changes nothing.
//!
//! - `file`: the file, taken apart;
//! - `written`: the file, written;
//! - `changes`: what is made so, with the checks of [`super::groups`], [`super::deployments`] and [`super::tokens`];
//! - `moves`: what that does to licences.

mod changes;
mod file;
mod moves;
mod written;

use super::view::{AppliedView, ApplyRequest, ExportView};
use super::{Kind, OperationError, Shared, notify_after, reconcile, safety};
use crate::config::ConfigErrors;
use crate::store::StoreError;
use changes::{Act, Changes};
use moves::Standing;

/// Everything as a file.
pub async fn export(context: &Shared) -> Result<ExportView, OperationError> {
    let content = context.store.read(written::write).await?;
    Ok(ExportView { content })
}

/// Tells what is wrong with a file as far as that can be told without vppd's database.
pub fn check(name: &str, text: &str) -> Result<(), ConfigErrors> {
    let (_, faults) = file::read(text);
    if faults.is_empty() { Ok(()) } else { Err(ConfigErrors::new(name, text, faults)) }
}

/// How a transaction ends in which nothing is kept.
enum Undone {
    Refused(OperationError),
    /// It was only tried.
    Tried(AppliedView),
}

impl From<StoreError> for Undone {
    fn from(error: StoreError) -> Undone {
        Undone::Refused(error.into())
    }
}

impl From<OperationError> for Undone {
    fn from(error: OperationError) -> Undone {
        Undone::Refused(error)
    }
}

/// Makes it so, all or nothing, and tells what that changes.
pub async fn apply(context: &Shared, request: ApplyRequest, who: &str) -> Result<AppliedView, OperationError> {
    let (declared, faults) = file::read(&request.content);
    if !faults.is_empty() {
        return Err(refused(ConfigErrors::new(&request.file, &request.content, faults)));
    }
    let act = Act {
        now: context.clock.now(),
        who: who.to_owned(),
        us: context.mdm_id.clone(),
        sync: context.config().sync.clone(),
        confirmed: request.confirm_irrevocable || request.dry_run,
    };
    let (settings, index, plan_now) = (reconcile::settings(context), context.index.clone(), context.plan_now.clone());
    let workers = context.workers.clone();
    let done = context
        .store
        .write(move |w| -> Result<AppliedView, Undone> {
            let before = Standing::of(w, &settings, act.now, &index)?;
            let mut changes = Changes::new(w, &act);
            changes.make(&declared)?;
            let Changes { told, faults, apps, .. } = changes;
            if !faults.is_empty() {
                return Err(refused(ConfigErrors::new(&request.file, &request.content, faults)).into());
            }
            if request.expected.as_ref().is_some_and(|expected| *expected != told) {
                return Err(changed_meanwhile().into());
            }
            let mut applied = AppliedView { dry_run: request.dry_run, changes: told, moves: Vec::new() };
            if applied.changes.is_empty() {
                return Ok(applied);
            }
            let after = Standing::of(w, &settings, act.now, &index)?;
            applied.moves = moves::between(w, &before, &after)?;
            if request.dry_run {
                return Err(Undone::Tried(applied));
            }
            // Who has seen what goes lets it go.
            let taken = applied.moves.iter().filter(|one| one.takes > 0).map(|one| one.adam_id.clone());
            for adam_id in apps.into_iter().chain(taken).collect::<std::collections::BTreeSet<_>>() {
                safety::knowingly(w, &adam_id, act.now, &act.who)?;
            }
            w.after_commit(move || workers.nudge_all());
            notify_after(w, &plan_now);
            Ok(applied)
        })
        .await;
    match done {
        Ok(applied) | Err(Undone::Tried(applied)) => Ok(applied),
        Err(Undone::Refused(error)) => Err(error),
    }
}

fn changed_meanwhile() -> OperationError {
    OperationError::new(
        Kind::Conflict,
        "changed-meanwhile",
        "somebody has changed groups, deployments or tokens meanwhile: this file would change something else now",
        "Nothing was changed. Look again: vppd apply FILE --dry-run",
    )
}

/// What the advice of errors begins with.
const NOTHING: &str = "Nothing was changed.";

/// All that is wrong with a file, each with its place.
fn refused(errors: ConfigErrors) -> OperationError {
    let told = errors.problems.iter().map(|problem| {
        let place = problem.position.as_ref().map(|place| format!(":{}:{}", place.line, place.column));
        let advice = problem.advice.strip_prefix(NOTHING).unwrap_or(&problem.advice).trim();
        let advice = if advice.is_empty() { String::new() } else { format!(". {advice}") };
        format!("{}{}: {}{advice}", errors.file, place.unwrap_or_default(), problem.message)
    });
    OperationError::invalid("declared", told.collect::<Vec<_>>().join("\n"), NOTHING)
}
