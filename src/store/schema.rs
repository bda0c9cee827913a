//! The schema, by numbered steps that only go forward. Before a step the database is copied into the folder `copies`
//! beside it; all steps are one transaction, so that an end in the middle leaves the old schema; a database newer than
//! this program is refused. Going back is restoring the copy with the older program.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rusqlite::Connection;
use rusqlite_migration::{M, Migrations};

use super::StoreError;
use crate::fault;

const STEPS: [&str; 19] = [
    include_str!("migrations/001_first.sql"),
    include_str!("migrations/002_safety.sql"),
    include_str!("migrations/003_users.sql"),
    include_str!("migrations/004_sync.sql"),
    include_str!("migrations/005_notifications.sql"),
    include_str!("migrations/006_metadata.sql"),
    include_str!("migrations/007_own_licences.sql"),
    include_str!("migrations/008_requests_as_tasks.sql"),
    include_str!("migrations/009_groups.sql"),
    include_str!("migrations/010_exits.sql"),
    include_str!("migrations/011_directory.sql"),
    include_str!("migrations/012_hands.sql"),
    include_str!("migrations/013_safety.sql"),
    include_str!("migrations/014_listing_lag.sql"),
    include_str!("migrations/015_enrolment_codes.sql"),
    include_str!("migrations/016_identities.sql"),
    include_str!("migrations/017_pair_history.sql"),
    include_str!("migrations/018_declarations.sql"),
    include_str!("migrations/019_inventory.sql"),
];

/// Copies that are kept, the newest.
const COPIES: usize = 3;

/// Brings the database at `path` to this program's schema.
pub(super) fn migrate(path: &Path, connection: &mut Connection, now: Timestamp) -> Result<(), StoreError> {
    migrate_by(&STEPS.map(M::up), path, connection, now)
}

/// Refuses a database that is newer than this program; returns its schema.
pub(super) fn known(path: &Path, connection: &Connection, newest: usize) -> Result<i64, StoreError> {
    let have: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let newest = newest as i64;
    if have > newest { Err(StoreError::Newer(path.into(), have, newest)) } else { Ok(have) }
}

fn migrate_by(steps: &[M<'_>], path: &Path, connection: &mut Connection, now: Timestamp) -> Result<(), StoreError> {
    let have = known(path, connection, steps.len())?;
    if have == steps.len() as i64 {
        return Ok(());
    }
    if have > 0 {
        let to = path.with_file_name("copies").join(format!("schema-{have}-{}.db", now.strftime("%Y%m%dT%H%M%SZ")));
        copy(connection, &to).map_err(|error| {
            StoreError::Migration(format!("the copy {} that is made first failed: {error}", to.display()))
        })?;
        prune(&to);
        log::info!(
            "before the database is brought from schema {have} to {}, it was copied to {}",
            steps.len(),
            to.display()
        );
    }
    fault::point("before a migration");
    Migrations::from_slice(steps).to_latest(connection).map_err(|error| match error {
        rusqlite_migration::Error::RusqliteError { query: _, err } => {
            StoreError::Migration(StoreError::from(err).to_string())
        }
        other => StoreError::Migration(other.to_string()),
    })?;
    fault::point("after a migration");
    Ok(())
}

/// Copies what the connection sees into a new file, whole or not at all. Only its owner may read it.
pub(super) fn copy(connection: &Connection, to: &Path) -> Result<(), StoreError> {
    let fail = |error: std::io::Error| StoreError::Open(to.into(), error.to_string());
    if let Some(folder) = to.parent() {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(fail)?;
    }
    let partial = to.with_extension("partial");
    remove(&partial).map_err(fail)?;
    connection.execute("VACUUM INTO ?1", [partial.to_string_lossy().as_ref()]).inspect_err(|_| {
        let _ = remove(&partial);
    })?;
    fault::point("a copy is written");
    fs::set_permissions(&partial, fs::Permissions::from_mode(0o600)).map_err(fail)?;
    fs::File::open(&partial).and_then(|file| file.sync_all()).map_err(fail)?;
    fs::rename(&partial, to).map_err(fail)
}

fn remove(path: &Path) -> std::io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Removes all copies made before a migration but the newest; never `kept`. Failing to is no reason not to start.
fn prune(kept: &Path) {
    let Some(entries) = kept.parent().and_then(|folder| fs::read_dir(folder).ok()) else { return };
    let mut old: Vec<(std::time::SystemTime, PathBuf)> = entries
        .filter_map(Result::ok)
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("schema-") && entry.path() != kept)
        .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
        .collect();
    old.sort();
    let surplus = (old.len() + 1).saturating_sub(COPIES);
    for (_, path) in old.into_iter().take(surplus) {
        if let Err(error) = fs::remove_file(&path) {
            log::warn!("the old copy {} cannot be removed: {error}", path.display());
        }
    }
}

/// How many steps there are.
pub(super) const NEWEST: usize = STEPS.len();

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{check, writer};

    fn now() -> Timestamp {
        "2026-11-02T06:00:00Z".parse().unwrap()
    }

    /// A database of schema 1 with a row.
    fn old(folder: &Path) -> PathBuf {
        let path = folder.join("vppd.db");
        let mut connection = writer::open(&path).unwrap();
        migrate_by(&[M::up(STEPS[0])], &path, &mut connection, now()).unwrap();
        connection.execute("INSERT INTO appliance (id, mdm_id, created_at) VALUES (1, 'us', 0)", []).unwrap();
        path
    }

    fn facts(path: &Path) -> (i64, String) {
        let connection = Connection::open(path).unwrap();
        let version = connection.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
        (version, connection.query_row("SELECT mdm_id FROM appliance", [], |row| row.get(0)).unwrap())
    }

    fn copies(folder: &Path) -> Vec<PathBuf> {
        let entries = fs::read_dir(folder.join("copies")).map(|all| all.map(|entry| entry.unwrap().path()).collect());
        entries.unwrap_or_default()
    }

    #[test]
    fn the_steps_apply_to_an_empty_database() {
        Migrations::from_slice(&STEPS.map(M::up)).validate().unwrap();
    }

    #[test]
    fn an_older_database_is_copied_and_then_migrated() {
        let folder = tempfile::tempdir().unwrap();
        let path = old(folder.path());
        assert!(copies(folder.path()).is_empty(), "nothing to copy when the database is new");
        let mut connection = writer::open(&path).unwrap();
        migrate(&path, &mut connection, now()).unwrap();
        migrate(&path, &mut connection, now()).unwrap();
        drop(connection);
        assert_eq!(facts(&path), (NEWEST as i64, "us".into()));
        let [copy] = copies(folder.path()).try_into().unwrap();
        assert_eq!(facts(&copy), (1, "us".into()), "{}", copy.display());
        assert_eq!(fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_few_copies_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        for hour in 0..6 {
            let path = old(folder.path());
            let now = now().checked_add(jiff::SignedDuration::from_hours(hour)).unwrap();
            migrate(&path, &mut writer::open(&path).unwrap(), now).unwrap();
            fs::remove_file(&path).unwrap();
        }
        let mut left = copies(folder.path());
        left.sort();
        assert_eq!(left.len(), COPIES);
        assert!(left[2].ends_with("schema-1-20261102T110000Z.db"), "{left:?}");
    }

    #[test]
    fn a_newer_database_is_refused_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = old(folder.path());
        let mut connection = writer::open(&path).unwrap();
        connection.execute_batch("PRAGMA user_version = 99").unwrap();
        let refused = migrate(&path, &mut connection, now()).unwrap_err();
        assert_eq!(refused, StoreError::Newer(path.clone(), 99, NEWEST as i64));
        assert!(refused.needs_a_person() && refused.to_string().contains("install that version"));
        assert_eq!(facts(&path).0, 99);
        assert!(copies(folder.path()).is_empty());
    }

    #[test]
    fn without_room_for_the_copy_nothing_is_migrated() {
        let folder = tempfile::tempdir().unwrap();
        let path = old(folder.path());
        fs::write(folder.path().join("copies"), "a file is in the way").unwrap();
        let error = migrate(&path, &mut writer::open(&path).unwrap(), now()).unwrap_err().to_string();
        assert!(error.contains("Nothing was changed") && error.contains("copies"), "{error}");
        assert_eq!(facts(&path).0, 1);
    }

    const FOLDER: &str = "VPPD_TEST_ENDS_IN_A_MIGRATION";

    /// Ends its process, as by a kill, inside the second of three steps. Does nothing unless the next test asks for it.
    #[test]
    fn ends_in_a_migration() {
        let Some(folder) = std::env::var_os(FOLDER) else { return };
        let path = old(Path::new(&folder));
        let step = M::up_with_hook("CREATE TABLE half (x)", |_: &rusqlite::Transaction<'_>| std::process::abort());
        let steps = [M::up(STEPS[0]), M::up("UPDATE appliance SET mdm_id = 'changed'"), step];
        let _ = migrate_by(&steps, &path, &mut writer::open(&path).unwrap(), now());
    }

    #[test]
    fn a_kill_in_a_migration_leaves_the_old_schema_and_the_next_start_migrates() {
        let folder = tempfile::tempdir().unwrap();
        let killed = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["store::schema::tests::ends_in_a_migration", "--exact", "--test-threads=1"])
            .env(FOLDER, folder.path())
            .output()
            .unwrap();
        use std::os::unix::process::ExitStatusExt;
        assert!(killed.status.signal().is_some(), "{killed:?}");
        let path = folder.path().join("vppd.db");
        let mut connection = writer::open(&path).unwrap();
        check::quick(&connection).unwrap();
        migrate(&path, &mut connection, now()).unwrap();
        drop(connection);
        assert_eq!(facts(&path), (NEWEST as i64, "us".into()));
        assert!(!copies(folder.path()).is_empty());
    }
}
