//! Whether the database is whole.

use std::path::Path;

use rusqlite::Connection;

use super::{StoreError, open_read_only, rows, schema};

/// Whether the last process that used the database at `path` ended without closing it: then its write-ahead log is left.
pub fn was_left_open(path: &Path) -> bool {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    std::fs::metadata(log).is_ok_and(|log| log.len() > 0)
}

/// Looks at the structure, in a time that grows with the size but not with the indexes.
pub(super) fn quick(connection: &Connection) -> Result<(), StoreError> {
    judge(&problems(connection, "PRAGMA quick_check(5)")?)
}

/// Looks at everything in the database at `path`, which may be in use: structure, indexes, references. Returns its schema.
pub fn everything(path: &Path) -> Result<i64, StoreError> {
    let connection = open_read_only(path).map_err(|error| match std::fs::File::open(path) {
        Err(cause) => StoreError::Open(path.into(), cause.to_string()),
        Ok(_) => error,
    })?;
    let have = schema::known(path, &connection, schema::NEWEST)?;
    judge(&problems(&connection, "PRAGMA integrity_check(5)")?)?;
    let lost = rows(&connection, "PRAGMA foreign_key_check", [], |row| {
        Ok(format!("a row of {} names one of {} that is not there", row.get::<_, String>(0)?, row.get::<_, String>(2)?))
    })?;
    judge(&lost)?;
    Ok(have)
}

fn problems(connection: &Connection, question: &str) -> Result<Vec<String>, StoreError> {
    let mut found = rows(connection, question, [], |row| Ok(row.get::<_, String>(0)?))?;
    found.retain(|line| line != "ok");
    Ok(found)
}

fn judge(problems: &[String]) -> Result<(), StoreError> {
    if problems.is_empty() { Ok(()) } else { Err(StoreError::Corrupt(problems.join("; "))) }
}

#[cfg(test)]
mod tests {
    use std::io::{Seek, SeekFrom, Write};

    use super::*;
    use crate::clock::Clock;
    use crate::store::{Store, audit};

    #[tokio::test]
    async fn a_clean_end_leaves_no_log_and_damage_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vppd.db");
        let store = Store::open(&path, &Clock::real()).unwrap();
        for number in 0..2000 {
            let write = store.write_bulk(move |w| {
                audit::write(w, jiff::Timestamp::UNIX_EPOCH, "test", &"x".repeat(200), &number.to_string())
            });
            write.await.unwrap();
        }
        store.read(everything_readable).await.unwrap();
        assert!(was_left_open(&path), "in use");
        assert_eq!(everything(&path), Ok(schema::NEWEST as i64), "while it is in use");
        drop(store);
        assert!(!was_left_open(&path), "closed");
        let length = std::fs::metadata(&path).unwrap().len();
        let mut file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
        file.seek(SeekFrom::Start(length / 2 / 4096 * 4096)).unwrap();
        file.write_all(&[0x5a; 8192]).unwrap();
        drop(file);
        let found = everything(&path).unwrap_err();
        assert!(matches!(found, StoreError::Corrupt(_)) && found.needs_a_person(), "{found}");
        assert!(found.to_string().contains("vppd restore"), "{found}");
        std::fs::write(folder.path().join("vppd.db-wal"), "not a log, but something is left").unwrap();
        let refused = Store::open(&path, &Clock::real()).err().unwrap();
        assert!(matches!(refused, StoreError::Corrupt(_)), "{refused}");
    }

    fn everything_readable(connection: &Connection) -> Result<(), StoreError> {
        Ok(connection.query_row("SELECT count(*) FROM audit", [], |_| Ok(()))?)
    }

    #[test]
    fn a_file_that_is_no_database_is_told_apart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("vppd.db");
        std::fs::write(
            &path,
            "this is a letter, not a database, and longer than a header of one hundred bytes is, I hope, really",
        )
        .unwrap();
        assert!(matches!(Store::open(&path, &Clock::real()).err(), Some(StoreError::Corrupt(_))));
        let none = everything(&folder.path().join("none.db")).unwrap_err().to_string();
        assert!(none.contains("No such file"), "{none}");
    }
}
