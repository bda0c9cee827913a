//! Backups: everything that a new machine needs to go on as this one, encrypted to the recovery certificate. Made while
//! vppd runs, when a person asks or by the clock. In memory: a backup takes a few times the size of the database.

use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use zeroize::Zeroizing;

use super::archive::Archive;
use super::keys::off_thread;
use super::{Kind, OperationError, Shared, files};
use crate::clock::after;
use crate::config::Backup;
use crate::mdm::identity::recovery::RecoveryCertificate;
use crate::store::audit;

/// Makes a backup for `who`.
pub async fn make(context: &Shared, who: &str) -> Result<Vec<u8>, OperationError> {
    let certificate = recovery_certificate(&context.config().backup)?;
    let now = context.clock.now();
    let (by, place) = (who.to_owned(), context.config().server.state_directory.join("copies"));
    // Before the copy, so that the backup knows of itself.
    context.store.write(move |w| audit::write(w, now, &by, "backed up", "")).await?;
    let copy = place.join(format!("backup-{}.db", context.entropy.uuid()));
    context.store.copy_to(&copy).await?;
    let settings = context.config().file.clone();
    let mut named = vec![settings.clone()];
    named.extend(context.config().files.iter().map(|file| file.path.clone()));
    let master_key = Zeroizing::new(context.sealer.material().to_vec());
    let made = off_thread(&context.clock, move || {
        let database = read(&copy);
        let _ = std::fs::remove_file(&copy);
        let elsewhere = named.into_iter().map(|path| Ok((path.clone(), read(&path)?)));
        let elsewhere = elsewhere.collect::<Result<Vec<_>, OperationError>>()?;
        let archive = Archive::new(now, database?, master_key, &settings, elsewhere);
        let packed = archive.pack().map_err(|error| OperationError::internal(error.to_string()))?;
        Ok::<_, OperationError>(certificate.seal(packed)?)
    });
    let made = made.await??;
    log::info!("a backup of {} bytes was made for {who}", made.len());
    Ok(made)
}

/// The certificate that the settings name.
fn recovery_certificate(settings: &Backup) -> Result<RecoveryCertificate, OperationError> {
    let advice = "docs/backup.md tells how to make a recovery key and certificate; then name the certificate as \
                  recovery-certificate in [backup] and restart vppd.";
    let refused = |why: String| OperationError::new(Kind::Conflict, "no-recovery-certificate", why, advice);
    let Some(path) = &settings.recovery_certificate else {
        return Err(refused("backups are encrypted to a recovery certificate, and the settings name none".into()));
    };
    let pem = read(path)?;
    RecoveryCertificate::from_pem(&pem)
        .map_err(|error| refused(format!("the recovery certificate {} cannot be used: {error}", path.display())))
}

fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, OperationError> {
    std::fs::read(path).map(Zeroizing::new).map_err(|error| {
        OperationError::internal(format!("{}, which belongs in the backup, cannot be read: {error}", path.display()))
    })
}

// By the clock.

/// How long after a failure the next backup is tried.
const TRY_AGAIN: Duration = Duration::from_secs(3600);

/// Makes backups for ever, if the settings want that.
pub async fn run(context: Shared) {
    let settings = context.config().backup.clone();
    let Some(folder) = &settings.directory else { return std::future::pending().await };
    loop {
        let now = context.clock.now();
        let last = newest(&names_in(folder), now);
        match last.map(|last| after(last, settings.interval)).filter(|due| *due > now) {
            Some(due) => context.clock.sleep_until(due).await,
            None => {
                if let Err(error) = make_in(&context, folder, settings.keep as usize).await {
                    log::error!(
                        "no backup was made in {}: {error} {}. The next try is in an hour.",
                        folder.display(),
                        error.advice
                    );
                    context.clock.sleep(TRY_AGAIN).await;
                }
            }
        }
    }
}

async fn make_in(context: &Shared, folder: &Path, keep: usize) -> Result<(), OperationError> {
    let made = make(context, "schedule").await?;
    let path = folder.join(context.clock.now().strftime(NAME).to_string());
    let written = std::fs::create_dir_all(folder).and_then(|()| files::write(&path, &made, 0o600));
    written.map_err(|error| OperationError::internal(format!("{} cannot be written: {error}", path.display())))?;
    for old in surplus(names_in(folder), &path, keep) {
        if let Err(error) = std::fs::remove_file(&old) {
            log::warn!("the old backup {} cannot be removed: {error}", old.display());
        }
    }
    Ok(())
}

/// The name of a backup made by the clock.
const NAME: &str = "vppd-%Y%m%dT%H%M%SZ.cms";

/// The backups made by the clock in a folder, with their times.
fn names_in(folder: &Path) -> Vec<(Timestamp, PathBuf)> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    let made_at = |path: &Path| {
        let time = DateTime::strptime(NAME, path.file_name()?.to_str()?).ok()?;
        Some(time.to_zoned(TimeZone::UTC).ok()?.timestamp())
    };
    entries.filter_map(|entry| Some((made_at(&entry.path())?, entry.path()))).collect()
}

/// When the last one was made. Those of a clock that ran ahead do not count.
fn newest(names: &[(Timestamp, PathBuf)], now: Timestamp) -> Option<Timestamp> {
    names.iter().map(|(time, _)| *time).filter(|time| *time <= now).max()
}

/// What is to be removed so that `keep` are left; never the one just made, whatever the clock says.
fn surplus(mut names: Vec<(Timestamp, PathBuf)>, made: &Path, keep: usize) -> Vec<PathBuf> {
    names.retain(|(_, path)| path != made);
    names.sort();
    let count = (names.len() + 1).saturating_sub(keep);
    names.into_iter().take(count).map(|(_, path)| path).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_backups_go_and_strangers_stay() {
        let folder = tempfile::tempdir().unwrap();
        let put = |name: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, "").unwrap();
            path
        };
        let oldest = put("vppd-20261101T030000Z.cms");
        put("vppd-20261102T030000Z.cms");
        let future = put("vppd-20361102T030000Z.cms");
        put("letter.txt");
        put("vppd-20261103T030000Z.cms.partial");
        let made = put("vppd-20261103T030000Z.cms");
        let names = names_in(folder.path());
        assert_eq!(names.len(), 4);
        let now = "2026-11-03T05:00:00Z".parse().unwrap();
        assert_eq!(newest(&names, now), Some("2026-11-03T03:00:00Z".parse().unwrap()), "not the one of a wrong clock");
        assert_eq!(surplus(names.clone(), &made, 3), [oldest]);
        assert_eq!(surplus(names.clone(), &made, 9), Vec::<PathBuf>::new());
        let all = surplus(names, &made, 1);
        assert!(all.len() == 3 && all.contains(&future) && !all.contains(&made));
    }
}
