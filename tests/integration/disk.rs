//! Disks that are full or may not be written, for real: a small file system in memory, which only root may mount.

use std::path::{Path, PathBuf};
use std::process::Command;

use vppd::clock::Clock;
use vppd::store::{Store, StoreError, appliance, audit};

/// A file system of a few megabytes; gone when dropped.
struct SmallDisk(PathBuf, #[expect(dead_code, reason = "its folder is removed when it is dropped")] tempfile::TempDir);

impl SmallDisk {
    /// `None`, with words, where it cannot be mounted.
    fn mount() -> Option<SmallDisk> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("disk");
        std::fs::create_dir(&path).unwrap();
        let done = Command::new("mount").args(["-t", "tmpfs", "-o", "size=3m", "tmpfs"]).arg(&path).output();
        if done.is_ok_and(|output| output.status.success()) {
            return Some(SmallDisk(path, folder));
        }
        eprintln!("skipped: only root may mount a file system");
        None
    }

    fn remount(&self, options: &str) {
        let done = Command::new("mount").args(["-o", &format!("remount,{options}")]).arg(&self.0).status().unwrap();
        assert!(done.success());
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

fn open(folder: &Path) -> Result<Store, StoreError> {
    Store::open(&folder.join("vppd.db"), &Clock::real())
}

async fn note(store: &Store, number: u32) -> Result<(), StoreError> {
    let now = "2026-11-02T06:00:00Z".parse().unwrap();
    store.write(move |w| audit::write(w, now, "test", &"x".repeat(20_000), &number.to_string())).await
}

/// How many notes there are, and whether they are the first ones, each whole.
async fn notes(store: &Store) -> u32 {
    let sql =
        "SELECT count(*), coalesce(max(CAST(subject AS INTEGER)), -1), coalesce(min(length(what)), 20000) FROM audit";
    let read = store.read(move |c| -> Result<(u32, i64, u32), StoreError> {
        Ok(c.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?)
    });
    let (count, highest, length) = read.await.unwrap();
    assert_eq!((i64::from(count) - 1, 20_000), (highest, length));
    count
}

#[tokio::test]
async fn a_full_disk_loses_nothing_that_was_acknowledged_and_is_told() {
    let Some(disk) = SmallDisk::mount() else { return };
    let store = open(&disk.0).unwrap();
    let ballast = disk.0.join("ballast");
    std::fs::write(&ballast, vec![0; 1 << 20]).unwrap();
    let mut acknowledged = 0;
    let error = loop {
        match note(&store, acknowledged).await {
            Ok(()) => acknowledged += 1,
            Err(error) => break error,
        }
        assert!(acknowledged < 1000, "the disk is never full");
    };
    assert!(matches!(error, StoreError::Full | StoreError::Failing(_)), "{error}");
    assert!(error.to_string().contains("full") && error.to_string().contains("nothing was saved"), "{error}");
    assert_eq!(notes(&store).await, acknowledged, "reading goes on");
    std::fs::remove_file(ballast).unwrap();
    note(&store, acknowledged).await.expect("with room it goes on by itself");
    drop(store);
    assert_eq!(notes(&open(&disk.0).unwrap()).await, acknowledged + 1);
}

#[tokio::test]
async fn a_disk_that_becomes_read_only_loses_nothing_and_is_told() {
    let Some(disk) = SmallDisk::mount() else { return };
    let store = open(&disk.0).unwrap();
    note(&store, 0).await.unwrap();
    drop(store);
    disk.remount("ro");
    let refused = open(&disk.0).err().unwrap().to_string();
    assert!(refused.contains("vppd.db") && refused.contains("ead-only"), "{refused}");
    disk.remount("rw");
    let store = open(&disk.0).unwrap();
    assert_eq!(notes(&store).await, 1);
    note(&store, 1).await.unwrap();
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_is_told_with_its_cause() {
    let folder = tempfile::tempdir().unwrap();
    let missing = open(&folder.path().join("none")).err().unwrap().to_string();
    assert!(missing.contains("none/vppd.db cannot be opened: No such file"), "{missing}");
}

#[tokio::test]
async fn a_database_that_has_no_more_pages_goes_on_when_it_gets_some() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).unwrap();
    let limit = |pages: u32| {
        let store = store.clone();
        async move {
            let sql = format!("PRAGMA max_page_count = {pages}");
            store.write(move |w| -> Result<(), StoreError> { Ok(w.query_row(&sql, [], |_| Ok(()))?) }).await.unwrap();
        }
    };
    note(&store, 0).await.unwrap();
    limit(1).await;
    let error = note(&store, 1).await.unwrap_err();
    assert_eq!(error, StoreError::Full);
    let paused = store.write(|w| -> Result<(), StoreError> { appliance::fix_device_url(w, "https://a.example") }).await;
    paused.expect("what needs no room is still saved");
    limit(1_000_000).await;
    note(&store, 1).await.unwrap();
    assert_eq!(notes(&store).await, 2);
}
