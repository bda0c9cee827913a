//! `vppd sync`: reads Apple's records anew, and watches the tasks until they are done.

use std::collections::HashMap;
use std::time::Duration;

use clap::Args;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use serde_json::Value;

use super::client::{Answer, ClientError};
use super::table::clean;
use super::{Session, task};
use crate::operations::view::{SyncRequest, TaskState, TaskView};

#[derive(Debug, Args)]
pub struct Arguments {
    /// Your name for the location, or its uId [default: all locations]
    location: Option<String>,
    /// Return as soon as vppd has accepted the tasks
    #[arg(long)]
    no_wait: bool,
}

/// Between looks at the tasks.
const LOOK: Duration = Duration::from_millis(250);

/// Errors when a task has failed, unless nobody waits for it.
pub(super) async fn run(arguments: Arguments, session: &Session) -> anyhow::Result<()> {
    let answer = session.client.post("/v1/sync", &SyncRequest { location: arguments.location }).await?;
    if arguments.no_wait {
        return session.out.show_list(&answer, |tasks: &[TaskView], _| {
            let lines: Vec<String> = tasks.iter().map(started).collect();
            if lines.is_empty() { NOTHING.to_owned() } else { lines.join("\n") }
        });
    }
    watch(answer.view()?, answer.view()?, session).await
}

/// Watches one task until it has ended and tells how. Errors when it was not done.
pub(super) async fn watch_one(answer: &Answer, session: &Session) -> anyhow::Result<()> {
    watch(vec![answer.view()?], vec![answer.json()?], session).await
}

async fn watch(tasks: Vec<TaskView>, values: Vec<Value>, session: &Session) -> anyhow::Result<()> {
    let (tasks, values) = follow(tasks, values, session).await?;
    if session.out.json {
        session.out.json(&Value::Array(values))?;
    } else if tasks.is_empty() {
        session.out.text(NOTHING)?;
    } else {
        session.out.text(&tasks.iter().map(outcome).collect::<Vec<_>>().join("\n"))?;
    }
    match tasks.iter().filter(|task| task.state != TaskState::Done).count() {
        0 => Ok(()),
        failed => anyhow::bail!("{failed} of {} tasks have failed", tasks.len()),
    }
}

/// Watches the tasks, whose JSON is `values`, until all have ended; returns how they ended.
async fn follow(
    tasks: Vec<TaskView>,
    values: Vec<Value>,
    session: &Session,
) -> Result<(Vec<TaskView>, Vec<Value>), ClientError> {
    let mut followed = Followed::new(tasks, values, !session.out.json);
    while !followed.finished() {
        session.clock.sleep(LOOK).await;
        followed.look(session).await?;
    }
    Ok(followed.end())
}

/// Watches one task until it has ended; returns how it ended.
pub(super) async fn follow_one(
    task: TaskView,
    value: Value,
    session: &Session,
) -> Result<(TaskView, Value), ClientError> {
    let (tasks, values) = follow(vec![task], vec![value], session).await?;
    let ended = tasks.into_iter().zip(values).next();
    ended.ok_or_else(|| ClientError::NotUnderstood("a task was lost".to_owned()))
}

const NOTHING: &str =
    "There is nothing to sync: no content token has been added. Add one: vppd token add FILE --name NAME";

/// Where to look for a task that goes on.
pub(super) fn started(task: &TaskView) -> String {
    let (kind, subject, id) = (clean(&task.kind), clean(&task.subject), task.id);
    format!("Task {id} ({kind} of {subject}) has been accepted. See how far it is: vppd task show {id}")
}

/// How a task has ended, in one or two lines.
pub(super) fn outcome(task: &TaskView) -> String {
    match &task.error {
        Some(error) if error.advice.is_empty() => {
            format!("{}: failed: {}", clean(&task.subject), clean(&error.message))
        }
        Some(error) => {
            format!("{}: failed: {}\n  {}", clean(&task.subject), clean(&error.message), clean(&error.advice))
        }
        None if task.state == TaskState::Cancelled => format!("{}: cancelled", clean(&task.subject)),
        None => format!("{}: {}", clean(&task.subject), clean(&task.detail)),
    }
}

/// The tasks that are watched, their JSON as it came last, and a bar for each.
struct Followed {
    tasks: Vec<TaskView>,
    values: Vec<Value>,
    bars: HashMap<i64, ProgressBar>,
    screen: MultiProgress,
}

impl Followed {
    /// `visible`: with bars, if standard error is a terminal.
    fn new(tasks: Vec<TaskView>, values: Vec<Value>, visible: bool) -> Followed {
        let screen = MultiProgress::new();
        let mut bars = HashMap::new();
        if visible {
            bars.extend(tasks.iter().map(|task| (task.id, screen.add(bar(task)))));
        }
        Followed { tasks, values, bars, screen }
    }

    fn finished(&self) -> bool {
        self.tasks.iter().all(finished)
    }

    async fn look(&mut self, session: &Session) -> Result<(), ClientError> {
        for (task, value) in self.tasks.iter_mut().zip(&mut self.values) {
            if finished(task) {
                continue;
            }
            let answer = session.client.get(&task::path(task.id)).await?;
            *task = answer.view()?;
            *value = answer.json()?;
            if let Some(bar) = self.bars.get(&task.id) {
                advance(bar, task);
            }
        }
        Ok(())
    }

    /// Clears the screen and hands over how the tasks have ended.
    fn end(self) -> (Vec<TaskView>, Vec<Value>) {
        // What cannot be cleared stays on the screen; the outcome is printed below it.
        let _ = self.screen.clear();
        (self.tasks, self.values)
    }
}

fn finished(task: &TaskView) -> bool {
    !matches!(task.state, TaskState::Waiting | TaskState::Running)
}

fn bar(task: &TaskView) -> ProgressBar {
    let bar = ProgressBar::new(task.total).with_prefix(clean(&task.subject));
    if let Ok(style) = ProgressStyle::with_template("{prefix:20!} [{bar:30}] {pos}/{len} {wide_msg}") {
        bar.set_style(style.progress_chars("=> "));
    }
    advance(&bar, task);
    bar
}

fn advance(bar: &ProgressBar, task: &TaskView) {
    bar.set_length(task.total);
    bar.set_position(task.done);
    bar.set_message(clean(&task.detail));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::tests::time;
    use crate::operations::view::ErrorView;

    #[test]
    fn the_outcome_of_a_task_names_the_cause_and_the_remedy() {
        let mut task = TaskView {
            id: 3,
            kind: "sync".to_owned(),
            subject: "Leeds".to_owned(),
            state: TaskState::Done,
            done: 4,
            total: 4,
            detail: "12 apps, 310 assignments".to_owned(),
            error: None,
            sync: None,
            created_at: time("06:00"),
            started_at: None,
            finished_at: None,
        };
        assert_eq!(outcome(&task), "Leeds: 12 apps, 310 assignments");
        let (message, advice) = ("the token was revoked".to_owned(), "Add a new one.".to_owned());
        task.error = Some(ErrorView { code: "revoked".to_owned(), message, advice });
        assert_eq!(outcome(&task), "Leeds: failed: the token was revoked\n  Add a new one.");
    }
}
