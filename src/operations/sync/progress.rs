//! How far a sync is, told to the store without making the sync wait.

use std::sync::{Arc, Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};

use crate::operations::Shared;
use crate::store::tasks;

/// A person sees five changes a second at most; a listing may have hundreds of pages.
const NOT_SOONER: SignedDuration = SignedDuration::from_millis(200);

pub(super) struct Progress {
    context: Shared,
    /// `None`: nobody watches.
    task: Option<i64>,
    last: Arc<Mutex<Option<Timestamp>>>,
}

impl Progress {
    pub fn of(context: &Shared, task: Option<i64>) -> Progress {
        Progress { context: context.clone(), task, last: Arc::default() }
    }

    /// Tells of one part of the sync, page by page.
    pub fn part(&self, what: impl Into<String>) -> impl Fn(u32, u32) + Send + Sync {
        let what = what.into();
        move |done, total| self.tell(&what, done, total)
    }

    fn tell(&self, what: &str, done: u32, total: u32) {
        let Some(task) = self.task else { return };
        let now = self.context.clock.steady();
        {
            let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
            let soon = last.is_some_and(|last| now.duration_since(last) < NOT_SOONER);
            if soon && done < total {
                return;
            }
            *last = Some(now);
        }
        let (context, detail) = (self.context.clone(), format!("{what}: page {done} of {total}"));
        tokio::spawn(async move {
            let kept = context.store.write_bulk(move |w| tasks::progress(w, task, done.into(), total.into(), &detail));
            if let Err(error) = kept.await {
                log::warn!(vppd_task = task; "the progress of task {task} cannot be kept: {error}");
            }
        });
    }
}
