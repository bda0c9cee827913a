//! The schema, by numbered steps that only go forward. Before a step the database is copied beside itself
//! (`vppd.db.before-schema-N`); a database newer than this program is refused. Going back is restoring that copy.

use std::path::Path;

use rusqlite::Connection;
use rusqlite_migration::{M, Migrations};

use super::StoreError;

fn migrations() -> Migrations<'static> {
    Migrations::new(vec![M::up(include_str!("migrations/001_first.sql"))])
}

/// Schemas this program knows.
const KNOWN: i64 = 1;

pub(super) fn migrate(path: &Path, mut connection: Connection) -> Result<Connection, StoreError> {
    let have: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    if have > KNOWN {
        return Err(StoreError::Newer(path.into(), have, KNOWN));
    }
    if have > 0 && have < KNOWN {
        let mut copy = path.as_os_str().to_owned();
        copy.push(format!(".before-schema-{KNOWN}"));
        let _ = std::fs::remove_file(&copy);
        connection.execute("VACUUM INTO ?1", [copy.to_string_lossy().as_ref()])?;
    }
    migrations().to_latest(&mut connection).map_err(|error| {
        StoreError::Open(path.into(), format!("the schema could not be brought up to date: {error}"))
    })?;
    Ok(connection)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_steps_apply_to_an_empty_database() {
        super::migrations().validate().unwrap();
    }
}
