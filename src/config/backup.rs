//! `[backup]`: to whom backups are encrypted, and whether vppd makes them by itself.

use std::path::PathBuf;
use std::time::Duration;

use super::duration::days;
use super::reader::Section;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backup {
    /// The certificate (PEM, RSA) that backups are encrypted to. `None`: no backup can be made.
    pub recovery_certificate: Option<PathBuf>,
    /// Where backups are put by the clock. `None`: none are made by themselves.
    pub directory: Option<PathBuf>,
    pub interval: Duration,
    /// How many backups stay in `directory`.
    pub keep: u32,
}

impl Default for Backup {
    fn default() -> Backup {
        Backup { recovery_certificate: None, directory: None, interval: days(1), keep: 14 }
    }
}

impl Backup {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Backup {
        let default = Backup::default();
        let backup = Backup {
            recovery_certificate: section.pem("recovery-certificate"),
            directory: section.optional_place("directory", "/var/backups/vppd"),
            interval: section.interval("interval", default.interval),
            keep: section.number("keep", default.keep, 1..=10_000),
        };
        if backup.directory.is_some() && !section.has("recovery-certificate") {
            let advice = "make a recovery key and certificate as docs/backup.md tells, and name the certificate";
            section.fault("directory", "`directory` is set, but `recovery-certificate` is not", advice);
        }
        backup
    }
}
