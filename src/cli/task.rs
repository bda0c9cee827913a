//! `vppd task`: what vppd has been asked to do.

use clap::Subcommand;

use super::output::Page;
use super::table::{Grid, facts, word};
use super::{Session, sync};
use crate::operations::view::TaskView;

#[derive(Debug, Subcommand)]
pub enum Command {
    /// List the tasks, the newest first
    List,
    /// Show one task
    Show {
        /// Its number in `vppd task list`
        id: i64,
    },
    /// Watch a task until it has ended
    Watch {
        /// Its number in `vppd task list`
        id: i64,
    },
    /// Call off a task that waits or runs
    Cancel {
        /// Its number in `vppd task list`
        id: i64,
    },
}

pub(super) async fn run(command: Command, session: &Session) -> anyhow::Result<()> {
    match command {
        Command::List => session.out.show_list(&session.client.get("/v1/tasks").await?, list),
        Command::Show { id } => session.out.show(&session.client.get(&path(id)).await?, show),
        Command::Watch { id } => sync::watch_one(&session.client.get(&path(id)).await?, session).await,
        Command::Cancel { id } => session.out.show(&session.client.delete(&path(id)).await?, show),
    }
}

/// Where one task is read.
pub(super) fn path(id: i64) -> String {
    format!("/v1/tasks/{id}")
}

fn list(tasks: &[TaskView], page: &Page) -> String {
    if tasks.is_empty() {
        return "No tasks yet.".to_owned();
    }
    let mut grid = Grid::new(&[">ID", "TASK", "SUBJECT", "STATE", "?>PROGRESS", "CREATED", "~DETAIL"]);
    for task in tasks {
        grid.row([
            task.id.to_string(),
            task.kind.clone(),
            task.subject.clone(),
            word(&task.state),
            progress(task),
            page.time(task.created_at),
            task.error.as_ref().map_or_else(|| task.detail.clone(), |error| error.message.clone()),
        ]);
    }
    grid.show(page)
}

fn show(task: &TaskView, page: &Page) -> String {
    let error = task.error.as_ref();
    facts(
        [
            ("task", task.id.to_string()),
            ("kind", task.kind.clone()),
            ("subject", task.subject.clone()),
            ("state", word(&task.state)),
            ("progress", progress(task)),
            ("detail", task.detail.clone()),
            ("error", error.map(|error| error.message.clone()).unwrap_or_default()),
            ("advice", error.map(|error| error.advice.clone()).unwrap_or_default()),
            ("created", page.time(task.created_at)),
            ("started", page.time(task.started_at)),
            ("finished", page.time(task.finished_at)),
        ],
        page,
    )
}

fn progress(task: &TaskView) -> String {
    if task.total == 0 { "-".to_owned() } else { format!("{}/{}", task.done, task.total) }
}
