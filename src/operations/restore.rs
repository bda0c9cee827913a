//! Restoring a backup, without a daemon: everything is laid out and checked beside what is there, then put in place by one
//! rename and a few that the next start finishes if they were interrupted. What was there before is kept in `copies`.
//!
//! Afterwards nothing is written to Apple for a location before everything was read anew, and every device is asked what
//! it has: [`after_start`].

use std::fs;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, chown};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use zeroize::Zeroizing;

use super::archive::{Archive, DATABASE, MASTER_KEY};
use super::{OperationError, Shared, checkin, files, master_key};
use crate::config::Config;
use crate::mdm::command::{Command, ManagedApplicationList};
use crate::mdm::identity::recovery::RecoveryKey;
use crate::secret::{KEY_FILE, PREVIOUS_KEY_FILE, Sealer};
use crate::store::{commands, devices, restored};

/// What is to be restored, and where to.
pub struct Request<'a> {
    pub backup: &'a Path,
    /// PEM; not needed when the backup was decrypted already.
    pub recovery_key: Option<&'a Path>,
    /// Where the settings file goes.
    pub settings: &'a Path,
    /// Replace a state that is there.
    pub force: bool,
}

/// What was restored.
pub struct Restored {
    /// When the backup was made.
    pub made_at: Timestamp,
    pub state: PathBuf,
    /// Files outside of the state directory that were written.
    pub written: Vec<PathBuf>,
    /// Files that were in the way and lie beside themselves now.
    pub set_aside: Vec<PathBuf>,
}

/// Laid out, not yet complete.
const STAGED: &str = "restore.staged";
/// Complete: from now on the backup counts.
const READY: &str = "restore.ready";
const ASIDE: &str = "before";

/// Restores a backup.
pub fn restore(request: &Request<'_>, now: Timestamp) -> Result<Restored, OperationError> {
    let archive = read(request)?;
    let text = String::from_utf8_lossy(archive.settings()).into_owned();
    let config = Config::from_text("the settings in the backup", &text).map_err(|errors| {
        OperationError::invalid(
            "backup-settings",
            errors.to_string(),
            "Restore it with the version of vppd that made it.",
        )
    })?;
    let server = &config.server;
    if UnixStream::connect(&server.control_socket).is_ok() {
        return Err(OperationError::new(
            super::Kind::Conflict,
            "running",
            format!("vppd is running (it answers at {}): nothing was restored", server.control_socket.display()),
            "Stop it first: systemctl stop vppd",
        ));
    }
    let state = &server.state_directory;
    refuse_to_replace(state, request.force)?;
    let staged = stage(&archive, state, now)?;
    let (written, set_aside) = place_elsewhere(&archive, request.settings, state)?;
    let fail = |error: std::io::Error| cannot(&staged, &error);
    fs::rename(&staged, state.join(READY)).and_then(|()| files::flush(state)).map_err(fail)?;
    finish(state, now)?;
    Ok(Restored { made_at: archive.manifest.created_at, state: state.clone(), written, set_aside })
}

fn cannot(path: &Path, error: &std::io::Error) -> OperationError {
    let advice = match error.kind() {
        std::io::ErrorKind::PermissionDenied => "Run the command as root.",
        std::io::ErrorKind::StorageFull => "Make room, then run the command again.",
        _ => "Then run the command again.",
    };
    let message = format!("{} cannot be written: {error}; what was there still counts", path.display());
    OperationError::new(super::Kind::Internal, "restore", message, advice)
}

fn read(request: &Request<'_>) -> Result<Archive, OperationError> {
    let invalid = |message: String, advice: &str| OperationError::invalid("backup", message, advice);
    let read = |path: &Path| {
        let bytes = fs::read(path).map(Zeroizing::new);
        bytes.map_err(|error| invalid(format!("{} cannot be read: {error}", path.display()), ""))
    };
    let bytes = read(request.backup)?;
    // DER of CMS begins with a SEQUENCE; tar with a name.
    if bytes.first() != Some(&0x30) {
        return Archive::unpack(&bytes);
    }
    let Some(path) = request.recovery_key else {
        let advice =
            "Name the recovery key with --recovery-key, or decrypt the backup first with openssl cms -decrypt.";
        return Err(invalid(format!("{} is encrypted", request.backup.display()), advice));
    };
    let key = RecoveryKey::from_pem(&read(path)?).map_err(|error| {
        let advice = "A key with a passphrase, or on a card: decrypt the backup first with openssl cms -decrypt.";
        invalid(format!("the recovery key {} cannot be used: {error}", path.display()), advice)
    })?;
    let opened = key.open(&bytes).map_err(|_| {
        let message = format!("{} cannot be decrypted with {}", request.backup.display(), path.display());
        invalid(message, "It was encrypted to another recovery certificate, or is damaged.")
    })?;
    Archive::unpack(&opened)
}

fn refuse_to_replace(state: &Path, force: bool) -> Result<(), OperationError> {
    let there = [DATABASE, KEY_FILE].iter().any(|name| state.join(name).exists());
    if !there || force {
        return Ok(());
    }
    Err(OperationError::new(
        super::Kind::Conflict,
        "state-exists",
        format!("{} holds the state of a vppd already: nothing was restored", state.display()),
        "To put the backup in its place, add --force: what is there is then kept in the folder copies.",
    ))
}

/// Lays everything for the state directory out beside what is there, checks it, and flushes it to disk.
fn stage(archive: &Archive, state: &Path, now: Timestamp) -> Result<PathBuf, OperationError> {
    let staged = state.join(STAGED);
    let fail = |error: std::io::Error| cannot(&staged, &error);
    fs::DirBuilder::new().recursive(true).mode(0o700).create(state).map_err(fail)?;
    if staged.exists() {
        fs::remove_dir_all(&staged).map_err(fail)?;
    }
    fs::DirBuilder::new().recursive(true).mode(0o700).create(staged.join(ASIDE)).map_err(fail)?;
    let database = staged.join(DATABASE);
    files::write(&database, archive.file(DATABASE), 0o600).map_err(fail)?;
    restored::prepare(&database, now)?;
    let key = Sealer::from_bytes(archive.file(MASTER_KEY));
    for secret in restored::secrets(&database)? {
        key.open(&master_key::place(&secret.row), &secret.sealed)?;
    }
    files::write(&staged.join(PREVIOUS_KEY_FILE), archive.file(MASTER_KEY), 0o600).map_err(fail)?;
    fs::File::open(&database).and_then(|file| file.sync_all()).map_err(fail)?;
    for name in ["", ASIDE, DATABASE, PREVIOUS_KEY_FILE] {
        give_to_owner_of(state, &staged.join(name)).map_err(fail)?;
    }
    files::flush(&staged).map_err(fail)?;
    Ok(staged)
}

/// Puts the settings and the files that they name where they were. One that is there and differs is set aside.
fn place_elsewhere(
    archive: &Archive,
    settings: &Path,
    state: &Path,
) -> Result<(Vec<PathBuf>, Vec<PathBuf>), OperationError> {
    let (mut written, mut set_aside) = (Vec::new(), Vec::new());
    let all = archive.named_files().chain([(settings.to_path_buf(), archive.settings())]);
    for (path, bytes) in all.filter(|(path, _)| !path.starts_with("/run")) {
        let fail = |error: std::io::Error| cannot(&path, &error);
        let there = fs::read(&path).ok();
        if there.as_deref() == Some(bytes) {
            continue;
        }
        if there.is_some() {
            let mut aside = path.as_os_str().to_owned();
            aside.push(".before-restore");
            fs::rename(&path, &aside).map_err(fail)?;
            set_aside.push(aside.into());
        }
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(fail)?;
        }
        let secret = bytes.windows(11).any(|part| part == b"PRIVATE KEY");
        files::write(&path, bytes, if secret { 0o600 } else { 0o644 }).map_err(fail)?;
        if secret {
            give_to_owner_of(state, &path).map_err(fail)?;
        }
        written.push(path);
    }
    Ok((written, set_aside))
}

/// Root restores; the daemon's user, who owns the state directory, must be able to use it.
fn give_to_owner_of(state: &Path, path: &Path) -> std::io::Result<()> {
    let (owner, now) = (fs::metadata(state)?, fs::metadata(path)?);
    if (owner.uid(), owner.gid()) == (now.uid(), now.gid()) {
        return Ok(());
    }
    chown(path, Some(owner.uid()), Some(owner.gid()))
}

/// Puts a backup that was laid out completely in place; goes on where an earlier call was interrupted. Returns whether
/// there was one.
pub fn finish(state: &Path, now: Timestamp) -> Result<bool, OperationError> {
    let ready = state.join(READY);
    if !ready.exists() {
        return Ok(false);
    }
    let aside = ready.join(ASIDE);
    let log = |ending: &str| format!("{DATABASE}{ending}");
    // Each with the file of the backup whose move says that this one is no longer the old one.
    let old = [(log("-wal"), DATABASE), (log("-shm"), DATABASE), (KEY_FILE.into(), DATABASE)];
    let old = old.into_iter().chain([(PREVIOUS_KEY_FILE.into(), PREVIOUS_KEY_FILE), (DATABASE.into(), DATABASE)]);
    let move_all = || -> std::io::Result<()> {
        for (name, until) in old {
            if ready.join(until).exists() && state.join(&name).exists() {
                fs::rename(state.join(&name), aside.join(&name))?;
            }
        }
        for name in [PREVIOUS_KEY_FILE, DATABASE] {
            if ready.join(name).exists() {
                fs::rename(ready.join(name), state.join(name))?;
            }
        }
        files::flush(state)?;
        if fs::read_dir(&aside).is_ok_and(|mut entries| entries.next().is_some()) {
            let copies = state.join("copies");
            fs::DirBuilder::new().recursive(true).mode(0o700).create(&copies)?;
            give_to_owner_of(state, &copies)?;
            fs::rename(&aside, unused(&copies.join(now.strftime("before-restore-%Y%m%dT%H%M%SZ").to_string())))?;
        }
        fs::remove_dir_all(&ready)
    };
    move_all().map_err(|error| cannot(&ready, &error))?;
    Ok(true)
}

/// The path, or with a number if it is taken.
fn unused(path: &Path) -> PathBuf {
    let numbered = (2..).map(|number| path.with_extension(number.to_string()));
    std::iter::once(path.to_path_buf()).chain(numbered).find(|path| !path.exists()).unwrap_or_else(|| path.into())
}

/// After a start: if the database came out of a backup, every device is asked what it has before it is told anything.
pub async fn after_start(context: &Shared) -> Result<(), OperationError> {
    let Some(since) = context.store.read(restored::since).await? else { return Ok(()) };
    log::warn!(
        "a backup was restored on {since}: each location is read anew before anything is written to Apple, and each device \
         is asked what it has"
    );
    let (index, entropy, now) = (context.index.clone(), context.entropy.clone(), context.clock.now());
    let asked = context.store.write(move |w| -> Result<usize, OperationError> {
        let enrolled: Vec<_> =
            devices::all(w)?.into_iter().filter(|device| device.state == devices::DeviceState::Enrolled).collect();
        let list = Command::ManagedApplicationList(ManagedApplicationList { identifiers: Vec::new() });
        for device in &enrolled {
            if !commands::waits(w, device.id, list.request_type())? {
                checkin::queue(w, device.id, &entropy.uuid().to_string(), &list, None, now)?;
            }
            let (index, id) = (index.clone(), device.id);
            w.after_commit(move || index.set_waits(id, true));
        }
        restored::devices_asked(w)?;
        Ok(enrolled.len())
    });
    let asked = asked.await?;
    log::info!("{asked} devices are asked which apps they have");
    Ok(())
}
