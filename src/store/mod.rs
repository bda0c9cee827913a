//! The database: SQLite in one file, and the only place with SQL.
//!
//! - `writer`: one thread owns the only connection that writes. Whatever waits is run in one transaction, a savepoint
//!   each, and answered after one commit: a thousand devices share one disk flush.
//! - [`Store::read`]: a small pool of read-only connections; each call sees one consistent state.
//! - `marks`: what was changed since the last plan, told by triggers of that connection.
//! - one file per noun, with plain functions that take a connection: the caller decides what belongs to one transaction.
//!
//! WAL, `synchronous=FULL`: nothing is acknowledged to a device, to Apple or to a person before it is on disk. Knows the
//! model and the values of `licensing` that it keeps; nothing of Apple's or MDM's wire, nothing of the doors.
//!
//! 2026-11, why SQLite: one small server is meant to carry 100,000 devices, and a file is what an administrator can copy.
//! SQL is kept here in plain statements so that PostgreSQL could take this place; two appliances that must share one
//! database would change our mind.

pub mod acme;
pub mod alerts;
pub mod appliance;
pub mod assets;
pub mod assignments;
pub mod audit;
pub mod by_hand;
pub mod channels;
pub mod check;
pub mod commands;
pub mod declarations;
pub mod deployments;
pub mod device_notes;
pub mod devices;
pub mod directory;
pub mod drift;
pub mod enrolments;
mod error;
pub mod events;
pub mod groups;
pub mod history;
pub mod identities;
pub mod inventory;
pub mod locations;
mod marks;
pub mod membership;
pub mod metadata;
pub mod notifications;
pub mod pairs;
pub mod passwords;
pub mod persons;
pub mod recent;
pub mod reclaims;
pub mod restored;
pub mod safety;
mod schema;
pub mod sealed;
pub mod seats;
pub mod snapshot;
pub mod subscriptions;
pub mod supply;
pub mod tasks;
pub mod timeline;
pub mod times;
pub mod unused;
pub mod usage;
pub mod user_events;
pub mod users;
mod writer;

use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use rusqlite::{Connection, OpenFlags};
use tokio::sync::Semaphore;

use crate::clock::Clock;
use crate::model::Source;
pub use error::StoreError;
pub use marks::{Changes, Marks};
pub use writer::{Lane, Write};

/// The database. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    // First, so that the writer's connection is the last to be closed: that one tidies up.
    readers: Arc<Readers>,
    writer: Arc<writer::Writer>,
    clock: Clock,
    marks: Marks,
}

struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
    places: Semaphore,
}

/// Readers at the same time.
const READERS: usize = 4;

impl Store {
    /// Opens or makes the database at `path`, and brings it to this program's schema (after a copy into the folder
    /// `copies` beside it). A database that was not closed well the last time is checked first.
    pub fn open(path: &Path, clock: &Clock) -> Result<Store, StoreError> {
        let unclean = check::was_left_open(path);
        // Private from its first moment; SQLite gives its other files the same mode.
        let _ = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        let mut connection = writer::open(path)?;
        if unclean {
            log::info!("the last vppd ended without closing its database: it is checked");
            check::quick(&connection)?;
        }
        schema::migrate(path, &mut connection, clock.now())?;
        let readers = Readers { path: path.into(), idle: Mutex::new(Vec::new()), places: Semaphore::new(READERS) };
        let marks = Marks::default();
        let writer = writer::Writer::start(path, connection, marks.clone())?;
        Ok(Store { writer: Arc::new(writer), readers: Arc::new(readers), clock: clock.clone(), marks })
    }

    /// Runs `work` in a transaction of its own and answers once it is on disk. An error undoes all that `work` did.
    /// For what a device or a person waits for.
    pub async fn write<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: FnOnce(&Write<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        self.writer.run(Lane::Urgent, &self.clock, work).await
    }

    /// What has changed since it was last asked: for the one who plans.
    pub fn marks(&self) -> Marks {
        self.marks.clone()
    }

    /// Copies the database as it is at this moment into a new file at `to`, while everything goes on.
    pub async fn copy_to(&self, to: &Path) -> Result<(), StoreError> {
        let (from, to, busy) = (self.readers.path.clone(), to.to_path_buf(), self.clock.busy());
        let done = tokio::task::spawn_blocking(move || schema::copy(&open_read_only(&from)?, &to)).await;
        drop(busy);
        done.unwrap_or_else(|panic| Err(StoreError::RolledBack(format!("a copy failed: {panic}"))))
    }

    /// Like [`Store::write`], after all urgent work. For bulk work, in batches of moderate size.
    pub async fn write_bulk<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: FnOnce(&Write<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        self.writer.run(Lane::Bulk, &self.clock, work).await
    }

    /// Runs `work` on a read-only connection; everything it reads belongs to one moment.
    pub async fn read<T, E, F>(&self, work: F) -> Result<T, E>
    where
        F: FnOnce(&Connection) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let _place = self.readers.places.acquire().await.map_err(|_| StoreError::Closed)?;
        let busy = self.clock.busy();
        let readers = self.readers.clone();
        let done = tokio::task::spawn_blocking(move || {
            let connection = readers.take()?;
            let result = {
                let transaction = connection.unchecked_transaction().map_err(StoreError::from)?;
                work(&transaction)
            };
            readers.idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
            result
        })
        .await;
        drop(busy);
        done.unwrap_or_else(|panic| Err(StoreError::RolledBack(format!("a read failed: {panic}")).into()))
    }
}

impl Readers {
    fn take(&self) -> Result<Connection, StoreError> {
        if let Some(connection) = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop() {
            return Ok(connection);
        }
        let connection = open_read_only(&self.path)?;
        connection.set_prepared_statement_cache_capacity(128);
        connection.execute_batch("PRAGMA query_only = 1; PRAGMA cache_size = -4000; PRAGMA foreign_keys = 1;")?;
        Ok(connection)
    }
}

fn open_read_only(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Ok(Connection::open_with_flags(path, flags)?)
}

/// A time as the database keeps it.
fn micros(time: Timestamp) -> i64 {
    time.as_microsecond()
}

/// A time from the database.
fn time(micros: i64) -> Result<Timestamp, StoreError> {
    Timestamp::from_microsecond(micros).map_err(|_| StoreError::Damaged(format!("time {micros}")))
}

/// A time from the database that may be absent.
fn maybe_time(micros: Option<i64>) -> Result<Option<Timestamp>, StoreError> {
    micros.map(time).transpose()
}

/// Who said something, from the database.
fn source(word: &str) -> Result<Source, StoreError> {
    Source::from_word(word).ok_or_else(|| StoreError::Damaged(format!("source {word}")))
}

/// A text list from the database.
fn list(json: &str) -> Result<Vec<String>, StoreError> {
    serde_json::from_str(json).map_err(|_| StoreError::Damaged("a list that is not JSON".into()))
}

fn json_list(values: &[String]) -> String {
    serde_json::Value::from(values.to_vec()).to_string()
}

/// All rows of a query, each read by `read`.
fn rows<T>(
    connection: &Connection,
    sql: &str,
    parameters: impl rusqlite::Params,
    mut read: impl FnMut(&rusqlite::Row<'_>) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut found = statement.query(parameters)?;
    let mut all = Vec::new();
    while let Some(row) = found.next()? {
        all.push(read(row)?);
    }
    Ok(all)
}

/// The first row of a query, if there is one.
fn row<T>(
    connection: &Connection,
    sql: &str,
    parameters: impl rusqlite::Params,
    read: impl FnOnce(&rusqlite::Row<'_>) -> Result<T, StoreError>,
) -> Result<Option<T>, StoreError> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut found = statement.query(parameters)?;
    found.next()?.map(read).transpose()
}

/// Runs a statement and tells how many rows it changed.
fn execute(connection: &Connection, sql: &str, parameters: impl rusqlite::Params) -> Result<usize, StoreError> {
    Ok(connection.prepare_cached(sql)?.execute(parameters)?)
}

#[cfg(test)]
mod tests;
