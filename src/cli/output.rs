//! Standard output: tables for people, the server's JSON for programs. A reader that goes away (`vppd device list |
//! head`) ends the command quietly.

use std::cell::RefCell;
use std::io::{self, Write};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::de::DeserializeOwned;

use super::client::Answer;

/// How to lay things out for whoever reads.
#[derive(Debug, Clone)]
pub(super) struct Page {
    /// Columns of the terminal; `None` when the output is no terminal: then nothing is wrapped.
    pub width: Option<u16>,
    /// In which zone times are shown.
    pub zone: TimeZone,
}

pub(super) struct Output {
    pub json: bool,
    pub page: Page,
    sink: RefCell<Box<dyn Write>>,
}

/// The reader of the output has gone.
#[derive(Debug, thiserror::Error)]
#[error("nobody reads the output any more")]
pub(super) struct StdoutClosed;

impl Output {
    /// Standard output.
    pub fn new(json: bool) -> Output {
        let width = comfy_table::Table::new().width();
        Output::to(Box::new(io::stdout()), json, Page { width, zone: TimeZone::system() })
    }

    pub fn to(sink: Box<dyn Write>, json: bool, page: Page) -> Output {
        Output { json, page, sink: RefCell::new(sink) }
    }

    /// Prints the answer as it is, or what `render` makes of it.
    pub fn show<T: DeserializeOwned>(
        &self,
        answer: &Answer,
        render: impl FnOnce(&T, &Page) -> String,
    ) -> anyhow::Result<()> {
        if self.json { self.json(&answer.json()?) } else { self.text(&render(&answer.view()?, &self.page)) }
    }

    /// As [`Output::show`], for an answer that is a list.
    pub fn show_list<T: DeserializeOwned>(
        &self,
        answer: &Answer,
        render: impl FnOnce(&[T], &Page) -> String,
    ) -> anyhow::Result<()> {
        self.show(answer, |list: &Vec<T>, page| render(list, page))
    }

    /// Prints `value` as people can read it, too.
    pub fn json(&self, value: &serde_json::Value) -> anyhow::Result<()> {
        self.text(&serde_json::to_string_pretty(value)?)
    }

    /// Prints `text` and ends its last line.
    pub fn text(&self, text: &str) -> anyhow::Result<()> {
        let text = text.trim_end_matches('\n');
        self.bytes(format!("{text}\n").as_bytes())
    }

    /// Prints `bytes` as they are.
    pub fn bytes(&self, bytes: &[u8]) -> anyhow::Result<()> {
        let mut sink = self.sink.borrow_mut();
        match sink.write_all(bytes).and_then(|()| sink.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(StdoutClosed.into()),
            Err(error) => Err(anyhow::Error::from(error).context("cannot write to standard output")),
            Ok(()) => Ok(()),
        }
    }
}

impl Page {
    /// The day.
    pub fn day(&self, time: Timestamp) -> String {
        time.to_zoned(self.zone.clone()).strftime("%Y-%m-%d").to_string()
    }

    /// The time to the minute; `-` when there is none.
    pub fn time(&self, time: impl Into<Option<Timestamp>>) -> String {
        match time.into() {
            Some(time) => time.to_zoned(self.zone.clone()).strftime("%Y-%m-%d %H:%M").to_string(),
            None => "-".to_owned(),
        }
    }
}
