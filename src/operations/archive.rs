//! What is inside a backup: a tar archive with the database, the master key, the settings file and the files that it names,
//! and first a list of all with their digests. Stock `tar` reads it.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Component, Path, PathBuf};

use aws_lc_rs::digest::{SHA256, digest};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::OperationError;

pub const DATABASE: &str = "vppd.db";
pub const MASTER_KEY: &str = "master.key";
const LIST: &str = "manifest.json";
/// Files from elsewhere lie in here under their path.
const ELSEWHERE: &str = "files";
/// Of the layout described here.
const FORMAT: u32 = 1;

/// What a backup says about itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    pub format: u32,
    /// The version of vppd that made it.
    pub version: String,
    pub created_at: Timestamp,
    /// Where the settings file was.
    pub settings: PathBuf,
    /// SHA-256 of each file, in hexadecimal.
    pub digests: BTreeMap<String, String>,
}

/// The content of a backup.
pub struct Archive {
    pub manifest: Manifest,
    files: BTreeMap<String, Zeroizing<Vec<u8>>>,
}

impl Archive {
    /// Gathers a backup's content; `settings` is the path of the settings file, which must be among `elsewhere`.
    pub fn new(
        now: Timestamp,
        database: Zeroizing<Vec<u8>>,
        master_key: Zeroizing<Vec<u8>>,
        settings: &Path,
        elsewhere: Vec<(PathBuf, Zeroizing<Vec<u8>>)>,
    ) -> Archive {
        let mut files: BTreeMap<String, Zeroizing<Vec<u8>>> =
            elsewhere.into_iter().map(|(path, bytes)| (name_of(&path), bytes)).collect();
        files.insert(DATABASE.into(), database);
        files.insert(MASTER_KEY.into(), master_key);
        let manifest = Manifest {
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION").into(),
            created_at: now,
            settings: settings.into(),
            digests: files.iter().map(|(name, bytes)| (name.clone(), hex(bytes))).collect(),
        };
        Archive { manifest, files }
    }

    /// As tar.
    pub fn pack(&self) -> std::io::Result<Vec<u8>> {
        let size: usize = self.files.values().map(|bytes| bytes.len() + 2048).sum();
        let mut tar = tar::Builder::new(Vec::with_capacity(size + 64 * 1024));
        let list = serde_json::to_vec_pretty(&self.manifest)?;
        let listed = [(LIST, list.as_slice())].into_iter();
        for (name, bytes) in listed.chain(self.files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice()))) {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o600);
            header.set_mtime(u64::try_from(self.manifest.created_at.as_second()).unwrap_or(0));
            tar.append_data(&mut header, name, bytes)?;
        }
        tar.into_inner()
    }

    /// Reads what [`Archive::pack`] gave, and refuses what is not as it was.
    pub fn unpack(bytes: &[u8]) -> Result<Archive, OperationError> {
        let mut files = BTreeMap::new();
        let damaged = |why: String| {
            OperationError::invalid("backup-damaged", format!("this is no whole backup: {why}"), "Use another one.")
        };
        for entry in tar::Archive::new(bytes).entries().map_err(|error| damaged(error.to_string()))? {
            let mut entry = entry.map_err(|error| damaged(error.to_string()))?;
            let name = entry.path().map_err(|error| damaged(error.to_string()))?.to_string_lossy().into_owned();
            let mut content = Zeroizing::new(Vec::new());
            entry.read_to_end(&mut content).map_err(|error| damaged(error.to_string()))?;
            files.insert(name, content);
        }
        let list = files.remove(LIST).ok_or_else(|| damaged(format!("it has no {LIST}")))?;
        let manifest: Manifest = serde_json::from_slice(&list).map_err(|error| damaged(error.to_string()))?;
        if manifest.format > FORMAT {
            let message = format!("the backup was made by a newer vppd ({})", manifest.version);
            return Err(OperationError::invalid("backup-newer", message, "Install that version, then restore it."));
        }
        let found: BTreeMap<String, String> = files.iter().map(|(name, bytes)| (name.clone(), hex(bytes))).collect();
        if found != manifest.digests {
            return Err(damaged("a file is missing or is not as it was".into()));
        }
        for needed in [DATABASE, MASTER_KEY, &name_of(&manifest.settings)] {
            if !files.contains_key(needed) {
                return Err(damaged(format!("it has no {needed}")));
            }
        }
        Ok(Archive { manifest, files })
    }

    /// The file of this name; every backup has [`DATABASE`] and [`MASTER_KEY`].
    pub fn file(&self, name: &str) -> &[u8] {
        self.files.get(name).map(|bytes| bytes.as_slice()).unwrap_or_default()
    }

    /// The text of the settings file.
    pub fn settings(&self) -> &[u8] {
        self.file(&name_of(&self.manifest.settings))
    }

    /// The certificates and keys that the settings name, by where they were.
    pub fn named_files(&self) -> impl Iterator<Item = (PathBuf, &[u8])> {
        let settings = name_of(&self.manifest.settings);
        self.files.iter().filter(move |(name, _)| **name != settings).filter_map(|(name, bytes)| {
            let path = Path::new("/").join(Path::new(name).strip_prefix(ELSEWHERE).ok()?);
            let plain = path.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
            plain.then_some((path, bytes.as_slice()))
        })
    }
}

fn name_of(path: &Path) -> String {
    format!("{ELSEWHERE}/{}", path.to_string_lossy().trim_start_matches('/'))
}

fn hex(bytes: &[u8]) -> String {
    digest(&SHA256, bytes).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive() -> Archive {
        let file = |text: &str| Zeroizing::new(text.as_bytes().to_vec());
        let long = format!("/etc/vppd/{}/key.pem", "long".repeat(50));
        let elsewhere = vec![("/etc/vppd/vppd.toml".into(), file("[devices]")), (long.into(), file("key"))];
        let now = "2026-11-02T06:00:00Z".parse().unwrap();
        Archive::new(now, file("database"), file("master"), Path::new("/etc/vppd/vppd.toml"), elsewhere)
    }

    #[test]
    fn what_was_packed_is_unpacked() {
        let again = Archive::unpack(&archive().pack().unwrap()).unwrap();
        assert_eq!(again.manifest, archive().manifest);
        assert_eq!(
            (again.file(DATABASE), again.file(MASTER_KEY), again.settings()),
            (&b"database"[..], &b"master"[..], &b"[devices]"[..])
        );
        let [(path, bytes)] = again.named_files().collect::<Vec<_>>().try_into().unwrap();
        assert!(path.starts_with("/etc/vppd") && path.ends_with("key.pem") && bytes == b"key", "{path:?}");
    }

    #[test]
    fn what_was_changed_or_cut_is_refused() {
        let packed = archive().pack().unwrap();
        let at = packed.windows(8).position(|part| part == b"database").unwrap();
        let mut changed = packed.clone();
        changed[at] ^= 1;
        for bad in [changed, packed[..at].to_vec(), Vec::new(), b"no tar at all".repeat(100)] {
            let error = Archive::unpack(&bad).err().unwrap();
            assert_eq!(error.code, "backup-damaged", "{error}");
        }
    }

    #[test]
    fn a_backup_never_writes_outside_of_its_paths() {
        let mut archive = archive();
        archive.files.insert("files/../../etc/shadow".into(), Zeroizing::new(Vec::new()));
        assert_eq!(archive.named_files().count(), 1);
    }
}
