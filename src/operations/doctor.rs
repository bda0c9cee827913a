//! Looks after what administrators forget: secrets that others may read, files of the wrong owner, a damaged database.
//! Each finding comes with the command that mends it. [`apple`] looks at the way to Apple.

pub mod apple;

use std::collections::BTreeSet;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::archive::DATABASE;
use super::{OperationError, error::SECRET};
use crate::config::Config;
use crate::secret::{KEY_FILE, PREVIOUS_KEY_FILE, SecretError};
use crate::store::{StoreError, check};

/// Something to mend.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub message: String,
    /// What mends it.
    pub command: String,
}

/// The user that vppd runs as: who owns the state directory, or this process while there is none.
struct Owner {
    uid: u32,
    gid: u32,
    name: String,
}

impl Owner {
    fn of(config: &Config) -> Owner {
        let state = std::fs::metadata(&config.server.state_directory).or_else(|_| std::fs::metadata("/proc/self"));
        let (uid, gid) = state.map(|state| (state.uid(), state.gid())).unwrap_or_default();
        Owner { uid, gid, name: user_name(uid) }
    }
}

fn user_name(uid: u32) -> String {
    let number = uid.to_string();
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let mut users = users.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let user = users.find(|fields| fields.get(2) == Some(&number.as_str()));
    user.and_then(|fields| fields.first().map(|name| (*name).to_owned())).unwrap_or(number)
}

/// The files with secrets that others may read or change, or that vppd itself may not read.
pub fn secret_files(config: &Config) -> Vec<Finding> {
    let (owner, state) = (Owner::of(config), &config.server.state_directory);
    let own = [KEY_FILE, PREVIOUS_KEY_FILE, DATABASE].map(|name| state.join(name));
    let named = config.files.iter().filter(|file| file.is_secret()).map(|file| file.path.clone());
    // A file may be named twice, and systemd itself guards credentials.
    let all: BTreeSet<PathBuf> =
        own.into_iter().chain(named).filter(|path| !path.starts_with("/run/credentials")).collect();
    all.iter().flat_map(|path| Some(judge(path, &std::fs::metadata(path).ok()?, &owner))).flatten().collect()
}

fn judge(path: &Path, file: &Metadata, owner: &Owner) -> Vec<Finding> {
    let shown = path.display();
    let mut found = Vec::new();
    let mut add = |message: String, command: String| found.push(Finding { message, command });
    let its_group = file.gid() == owner.gid || file.gid() == 0;
    if file.mode() & 0o007 != 0 {
        add(format!("everybody on this machine may read {shown}, which holds secrets"), format!("chmod 600 {shown}"));
    } else if file.mode() & 0o070 != 0 && !its_group {
        let message = format!("the group {} may read {shown}, which holds secrets", file.gid());
        add(message, format!("chmod 600 {shown}"));
    }
    if file.uid() != owner.uid && file.uid() != 0 {
        let message = format!("{shown} belongs to the user {}, who may read and change it", user_name(file.uid()));
        add(message, format!("chown {}: {shown}", owner.name));
    } else if file.uid() != owner.uid && (file.gid() != owner.gid || file.mode() & 0o040 == 0) {
        let message =
            format!("{shown} belongs to root, and the user {}, as whom vppd runs, may not read it", owner.name);
        add(message, format!("chown {}: {shown}", owner.name));
    }
    found
}

/// A file with a secret that somebody hands over: whether others may read it too.
pub fn handed_over(path: &Path) -> Option<Finding> {
    let file = std::fs::metadata(path).ok().filter(|file| file.is_file() && file.mode() & 0o007 != 0)?;
    let shown = path.display();
    let message =
        format!("everybody on this machine may read {shown} (mode {:o}), which holds a secret", file.mode() & 0o777);
    Some(Finding { message, command: format!("chmod 600 {shown}") })
}

/// Checks the whole database, while vppd runs or not. Returns its path and schema.
pub fn store(config: &Config) -> Result<(PathBuf, i64), OperationError> {
    let path = config.server.state_directory.join(DATABASE);
    let schema = check::everything(&path)?;
    Ok((path, schema))
}

/// Whether starting vppd again would not help: a person has to act first.
pub fn needs_a_person(error: &anyhow::Error) -> bool {
    error.downcast_ref::<StoreError>().is_some_and(StoreError::needs_a_person)
        || error.downcast_ref::<OperationError>().is_some_and(|error| error.code == SECRET)
        || matches!(
            error.downcast_ref::<SecretError>(),
            Some(SecretError::Short(..) | SecretError::Open(..) | SecretError::Sealed(_))
        )
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn found(mode: u32, owner: &Owner) -> Vec<(String, String)> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key.pem");
        std::fs::write(&path, "key").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        let place = folder.path().display().to_string();
        judge(&path, &std::fs::metadata(&path).unwrap(), owner)
            .into_iter()
            .map(|finding| (finding.message.replace(&place, "/etc/vppd"), finding.command.replace(&place, "/etc/vppd")))
            .collect()
    }

    /// The user of this process, or one that it is not.
    fn owner(other: u32) -> Owner {
        let me = std::fs::metadata("/proc/self").unwrap();
        Owner { uid: me.uid() + other, gid: me.gid() + other, name: "vppd".into() }
    }

    #[test]
    fn a_secret_that_others_may_read_is_told_with_what_mends_it() {
        assert_eq!(found(0o600, &owner(0)), []);
        assert_eq!(found(0o640, &owner(0)), []);
        for mode in [0o644, 0o604, 0o602] {
            let [(message, command)] = found(mode, &owner(0)).try_into().unwrap();
            assert!(message.contains("everybody on this machine may read /etc/vppd/key.pem"), "{message}");
            assert_eq!(command, "chmod 600 /etc/vppd/key.pem");
        }
    }

    #[test]
    fn a_secret_of_another_user_is_told_with_what_mends_it() {
        let [(message, command)] = found(0o600, &owner(1)).try_into().unwrap();
        assert!(message.contains("belongs to"), "{message}");
        assert_eq!(command, "chown vppd: /etc/vppd/key.pem");
    }

    #[test]
    fn a_token_file_that_everybody_may_read_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("leeds.vpptoken");
        std::fs::write(&path, "token").unwrap();
        let mode = |mode| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        mode(0o644);
        assert!(handed_over(&path).unwrap().message.contains("mode 644"));
        mode(0o600);
        assert_eq!(handed_over(&path), None);
        assert_eq!(handed_over(Path::new("-")), None);
    }
}
