//! Everything that is logged, down to trace: by vppd on every thread, and by what it is built on where a test listens.

use std::cell::Cell;
use std::sync::{Mutex, Once, PoisonError};
use std::thread::ThreadId;

use log::kv::{Key, Value, VisitSource};
use log::{Level, Log, Metadata, Record};

struct Line {
    thread: ThreadId,
    level: Level,
    text: String,
}

struct Capture;

static LINES: Mutex<Vec<Line>> = Mutex::new(Vec::new());
static ONCE: Once = Once::new();

thread_local! {
    static LISTENS: Cell<bool> = const { Cell::new(false) };
}

impl Log for Capture {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("vppd") || LISTENS.get()
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let mut fields = Fields(String::new());
        let _ = record.key_values().visit(&mut fields);
        let text = format!("{}{}", record.args(), fields.0);
        let line = Line { thread: std::thread::current().id(), level: record.level(), text };
        LINES.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }

    fn flush(&self) {}
}

struct Fields(String);

impl<'kvs> VisitSource<'kvs> for Fields {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), log::kv::Error> {
        self.0.push_str(&format!(" {key}={value}"));
        Ok(())
    }
}

/// A place in the log.
#[derive(Debug, Clone, Copy)]
pub struct Mark(usize);

/// Listens from now on, on this thread.
pub fn listen() -> Mark {
    ONCE.call_once(|| {
        log::set_logger(&Capture).unwrap();
        log::set_max_level(log::LevelFilter::Trace);
    });
    LISTENS.set(true);
    mark()
}

/// The present place.
pub fn mark() -> Mark {
    Mark(LINES.lock().unwrap_or_else(PoisonError::into_inner).len())
}

/// What an administrator would read in the journal since: warnings and errors of this thread, and of other threads (the
/// store's writer, or another test at the same time) those that say `says`, joined.
pub fn complaints(since: Mark, says: &str) -> String {
    let lines = LINES.lock().unwrap_or_else(PoisonError::into_inner);
    let here = std::thread::current().id();
    let meant = |line: &&Line| line.thread == here || (!says.is_empty() && line.text.contains(says));
    let complaints = lines.iter().skip(since.0).filter(|line| line.level <= Level::Warn).filter(meant);
    complaints.map(|line| line.text.as_str()).collect::<Vec<_>>().join(" | ")
}

/// Every line since, of every level and thread.
pub fn everything(since: Mark) -> Vec<String> {
    let lines = LINES.lock().unwrap_or_else(PoisonError::into_inner);
    lines.iter().skip(since.0).map(|line| line.text.clone()).collect()
}
