//! The one writer: a thread that owns the write connection and runs closures sent to it.
//!
//! Whatever waits is run in one transaction, a savepoint each, and answered after one commit. Some errors (full disk,
//! I/O, out of memory) make SQLite roll back the whole transaction: after each closure the writer looks whether it is
//! still inside one, and if not everybody in the batch fails. A panic in a closure fails its batch and reopens the
//! connection. Two lanes: what a device or a person waits for goes before bulk work.

use std::collections::VecDeque;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::StoreError;
use super::marks::{self, Marks};
use crate::clock::{Busy, Clock};
use crate::fault;

/// Which work goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    Urgent,
    Bulk,
}

/// Closures in one transaction at most: bounds how long the first of them waits for the last.
const BATCH: usize = 512;

/// Batches between two checkpoints.
const CHECKPOINT_EVERY: u32 = 256;

/// A connection inside the writer's transaction, for one closure.
pub struct Write<'a> {
    connection: &'a Connection,
    after_commit: Mutex<Vec<Box<dyn FnOnce() + Send>>>,
}

impl Write<'_> {
    /// Runs `effect` on the writer's thread once everything is on disk, in the order of the commits. For what is kept in
    /// memory beside the database.
    pub fn after_commit(&self, effect: impl FnOnce() + Send + 'static) {
        self.after_commit.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(effect));
    }
}

impl Deref for Write<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.connection
    }
}

/// One closure with its way back.
trait Job: Send {
    /// Runs the closure; false when it refused, so that what it wrote is undone.
    fn run(&mut self, write: &Write<'_>) -> bool;
    /// Gives the result back; `failed` when the transaction as a whole was lost.
    fn answer(self: Box<Self>, failed: Option<StoreError>);
}

struct Call<T, E, F> {
    work: Option<F>,
    result: Option<Result<T, E>>,
    reply: oneshot::Sender<Result<T, E>>,
    _busy: Busy,
}

impl<T, E, F> Job for Call<T, E, F>
where
    F: FnOnce(&Write<'_>) -> Result<T, E> + Send,
    T: Send,
    E: From<StoreError> + Send,
{
    fn run(&mut self, write: &Write<'_>) -> bool {
        self.result = self.work.take().map(|work| work(write));
        matches!(self.result, Some(Ok(_)))
    }

    fn answer(self: Box<Self>, failed: Option<StoreError>) {
        let result = match (failed, self.result) {
            // A refusal stays a refusal, whatever became of the others.
            (_, Some(Err(refused))) => Err(refused),
            (Some(failed), _) => Err(failed.into()),
            (None, Some(done)) => done,
            (None, None) => Err(StoreError::Closed.into()),
        };
        let _ = self.reply.send(result);
    }
}

#[derive(Default)]
struct Queue {
    urgent: VecDeque<Box<dyn Job>>,
    bulk: VecDeque<Box<dyn Job>>,
    closed: bool,
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    filled: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for work; `None` once closed and empty.
    fn next_batch(&self) -> Option<Vec<Box<dyn Job>>> {
        let mut queue = self.lock();
        loop {
            if !queue.urgent.is_empty() {
                let count = queue.urgent.len().min(BATCH);
                let mut batch: Vec<Box<dyn Job>> = queue.urgent.drain(..count).collect();
                // Last in the batch, so that bulk work goes on under constant load too.
                batch.extend(queue.bulk.pop_front());
                return Some(batch);
            }
            if let Some(job) = queue.bulk.pop_front() {
                return Some(vec![job]);
            }
            if queue.closed {
                return None;
            }
            queue = self.filled.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// The handle of the writer's thread. Dropping it finishes what waits, then closes the database.
pub struct Writer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Starts the thread; what it changes is told to `marks`.
    pub(super) fn start(path: &Path, connection: Connection, marks: Marks) -> Result<Writer, StoreError> {
        let shared = Arc::new(Shared::default());
        let connection = Watched::new(connection, &marks)?;
        let thread = {
            let (shared, path) = (shared.clone(), path.to_path_buf());
            std::thread::Builder::new()
                .name("store-writer".into())
                .spawn(move || serve(&shared, &path, connection, &marks))
                .map_err(|error| StoreError::Open(PathBuf::from("the writer's thread"), error.to_string()))?
        };
        Ok(Writer { shared, thread: Some(thread) })
    }

    pub(super) async fn run<T, E, F>(&self, lane: Lane, clock: &Clock, work: F) -> Result<T, E>
    where
        F: FnOnce(&Write<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let call = Call { work: Some(work), result: None, reply, _busy: clock.busy() };
        {
            let mut queue = self.shared.lock();
            if queue.closed {
                return Err(StoreError::Closed.into());
            }
            match lane {
                Lane::Urgent => queue.urgent.push_back(Box::new(call)),
                Lane::Bulk => queue.bulk.push_back(Box::new(call)),
            }
        }
        self.shared.filled.notify_one();
        answer.await.unwrap_or_else(|_| Err(StoreError::Closed.into()))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.filled.notify_one();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Opens a connection for writing.
pub(super) fn open(path: &Path) -> Result<Connection, StoreError> {
    let fail = |error: rusqlite::Error| StoreError::opening(path, error);
    let connection = Connection::open(path).map_err(fail)?;
    connection.set_prepared_statement_cache_capacity(256);
    connection
        .execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = 1;
             PRAGMA cache_size = -8000; PRAGMA temp_store = MEMORY; PRAGMA wal_autocheckpoint = 20000; PRAGMA busy_timeout = 5000;",
        )
        .map_err(fail)?;
    Ok(connection)
}

/// The writer's connection, which tells what it changes.
struct Watched {
    connection: Connection,
    changes: marks::Open,
}

impl Watched {
    fn new(connection: Connection, marks: &Marks) -> Result<Watched, StoreError> {
        let changes = marks::watch(&connection)?;
        // What was changed before, nobody has told.
        marks.everything();
        Ok(Watched { connection, changes })
    }
}

fn serve(shared: &Shared, path: &Path, connection: Watched, marks: &Marks) {
    let mut connection = Some(connection);
    let mut batches = 0;
    while let Some(jobs) = shared.next_batch() {
        let open = match connection.take() {
            Some(open) => Ok(open),
            None => self::open(path).and_then(|open| Watched::new(open, marks)),
        };
        match open {
            Err(error) => answer_all(jobs, Some(&error)),
            Ok(open) => {
                if run_batch(&open, marks, jobs) {
                    connection = Some(open);
                }
            }
        }
        batches += 1;
        if batches % CHECKPOINT_EVERY == 0 {
            checkpoint_beside(path);
        }
    }
}

/// Copies the write-ahead log into the database on another thread, while the writer goes on.
fn checkpoint_beside(path: &Path) {
    let path = path.to_path_buf();
    let _ = std::thread::Builder::new().name("store-checkpoint".into()).spawn(move || {
        if let Ok(connection) = self::open(&path) {
            let _ = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
        }
    });
}

/// Runs the jobs in one transaction. False when the connection must not be used again.
fn run_batch(watched: &Watched, marks: &Marks, mut jobs: Vec<Box<dyn Job>>) -> bool {
    let Watched { connection, changes } = watched;
    changes.end();
    if let Err(error) = connection.execute_batch("BEGIN IMMEDIATE") {
        answer_all(jobs, Some(&error.into()));
        return true;
    }
    let mut effects: Vec<Box<dyn FnOnce() + Send>> = Vec::new();
    for index in 0..jobs.len() {
        let ran = catch_unwind(AssertUnwindSafe(|| run_one(connection, &mut *jobs[index])));
        match ran {
            Ok(Ok(mut more)) => effects.append(&mut more),
            Ok(Err(error)) => {
                let _ = connection.execute_batch("ROLLBACK");
                answer_all(jobs, Some(&error.into()));
                return true;
            }
            Err(_) => {
                log::error!("a change to the database panicked; everything saved together with it was undone");
                answer_all(jobs, Some(&StoreError::RolledBack("a fault in vppd".into())));
                return false;
            }
        }
    }
    changes.publish(marks);
    fault::point("before a commit");
    match connection.execute_batch("COMMIT") {
        Ok(()) => {
            fault::point("after a commit");
            changes.publish(marks);
            effects.into_iter().for_each(|effect| effect());
            answer_all(jobs, None);
        }
        Err(error) => {
            let _ = connection.execute_batch("ROLLBACK");
            answer_all(jobs, Some(&error.into()));
        }
    }
    true
}

type Effects = Vec<Box<dyn FnOnce() + Send>>;

/// Runs one job in a savepoint. An error means that the whole transaction is lost.
fn run_one(connection: &Connection, job: &mut dyn Job) -> Result<Effects, rusqlite::Error> {
    connection.execute_batch("SAVEPOINT one")?;
    let write = Write { connection, after_commit: Mutex::new(Vec::new()) };
    let keep = job.run(&write);
    if connection.is_autocommit() {
        return Err(rusqlite::Error::SqliteFailure(
            rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_FULL),
            Some("the transaction was rolled back by SQLite (disk full or failing?)".into()),
        ));
    }
    connection.execute_batch(if keep { "RELEASE one" } else { "ROLLBACK TO one; RELEASE one" })?;
    let effects = write.after_commit.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok(if keep { effects } else { Vec::new() })
}

fn answer_all(jobs: Vec<Box<dyn Job>>, failed: Option<&StoreError>) {
    for job in jobs {
        job.answer(failed.cloned());
    }
}
