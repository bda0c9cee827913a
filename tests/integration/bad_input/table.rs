//! The table itself, and the fingerprint of what must not change.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use vppd::store::StoreError;

use crate::support::{App, minutes};

/// Rows of one kind.
pub struct Table {
    kind: &'static str,
    names: BTreeSet<String>,
    secrets: Vec<String>,
}

impl Table {
    pub fn new(kind: &'static str) -> Table {
        Table { kind, names: BTreeSet::new(), secrets: Vec::new() }
    }

    /// No answer may tell this.
    pub fn secret(&mut self, text: &str) {
        self.secrets.push(text.to_owned());
    }

    /// Prints a row, and holds the answer against what it must say.
    pub fn row(&mut self, name: &str, sent: &str, answer: &str, says: &str) {
        let answer = answer.trim().replace('\n', " / ");
        println!("{:<9}| {name:<52}| {sent:<44}| {answer}", self.kind);
        assert!(self.names.insert(name.to_owned()), "two cases are called {name}");
        assert!(answer.to_lowercase().contains(&says.to_lowercase()), "{name}: \"{says}\" is not in: {answer}");
        assert!(
            answer.len() < 1500 && !answer.chars().any(char::is_control),
            "{name}: not one readable line: {answer}"
        );
        assert!(!answer.is_empty() && !answer.contains("panicked"), "{name}: {answer}");
        for secret in &self.secrets {
            assert!(!answer.contains(secret), "{name}: the answer tells a secret: {answer}");
        }
    }

    /// Ends the table, which must have at least so many rows.
    pub fn end(self, at_least: usize) {
        assert!(self.names.len() >= at_least, "{} cases of {}", self.names.len(), self.kind);
    }
}

/// Waits until an app is on its device: most troubles pass within minutes, what was refused rests for a day.
pub async fn settled(app: &App, adam_id: &str) {
    app.wait(minutes(40)).await;
    if app.installed(adam_id).is_empty() {
        app.wait(minutes(26 * 60)).await;
    }
}

/// Columns that tell when something was looked at, not what is.
const TIMES: [(&str, &[&str]); 5] = [
    ("location", &["last_synced", "last_full_sync", "generation", "assignments_version"]),
    ("asset", &["read_at"]),
    ("assignment", &["generation"]),
    ("users_read", &["read_at", "version"]),
    ("device", &["last_seen", "pushed_at", "pushes", "push_after", "push_throttled", "push_problem"]),
];

/// What the store holds, table by table, without the tables of `except`.
pub async fn fingerprint(app: &App, except: &'static [&'static str]) -> BTreeMap<String, u64> {
    let read = move |c: &rusqlite::Connection| -> Result<BTreeMap<String, u64>, StoreError> {
        let mut names = c.prepare("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'")?;
        let names: Vec<String> = names.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
        let kept = names.into_iter().filter(|name| !except.contains(&name.as_str()));
        kept.map(|name| Ok((name.clone(), rows(c, &name)?))).collect()
    };
    app.context.store.read(read).await.unwrap()
}

fn rows(c: &rusqlite::Connection, table: &str) -> Result<u64, StoreError> {
    let times = TIMES.iter().find(|(name, _)| *name == table).map_or(&[][..], |(_, columns)| columns);
    let mut statement = c.prepare(&format!("SELECT * FROM {table}"))?;
    let columns: Vec<String> = statement.column_names().into_iter().map(str::to_owned).collect();
    let mut found = statement.query([])?;
    let mut all = BTreeSet::new();
    while let Some(row) = found.next()? {
        let mut text = String::new();
        for (index, column) in columns.iter().enumerate().filter(|(_, column)| !times.contains(&column.as_str())) {
            text.push_str(&format!("{column}={:?};", row.get_ref(index)?));
        }
        all.insert(text);
    }
    let mut hasher = DefaultHasher::new();
    all.hash(&mut hasher);
    Ok(hasher.finish())
}
