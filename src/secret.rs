//! Secrets at rest: AES-256-GCM under the appliance's master key, bound to the place they are kept in.
//!
//! The master key comes from the systemd credential `vppd.master-key`, or from the file `master.key` in the state directory
//! that is made at the first start and readable by vppd only. Losing it means losing content tokens and keys. Beside it
//! may lie `master.key.previous`: at the start everything that it sealed is sealed anew, and the file is removed.

use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::digest::{SHA256, digest};
use zeroize::Zeroizing;

use crate::entropy::Entropy;

/// Why a secret cannot be kept or read.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    #[error("the master key {0} cannot be read or made: {1}")]
    File(PathBuf, std::io::Error),
    #[error("the master key {0} holds {1} bytes; it must hold at least 32 random ones (make it with: openssl rand 32)")]
    Short(PathBuf, usize),
    #[error("the master key {0} may be read by others (mode {1:o}): run chmod 600 {0}")]
    Open(PathBuf, u32),
    #[error("{0} cannot be decrypted: the master key is not the one it was encrypted with, or it was changed")]
    Sealed(String),
}

/// The name of the master key's credential.
const CREDENTIAL: &str = "vppd.master-key";
/// The master key's file in the state directory.
pub const KEY_FILE: &str = "master.key";
/// The file of the key that was the master key before.
pub const PREVIOUS_KEY_FILE: &str = "master.key.previous";

/// Encrypts and decrypts what is kept.
pub struct Sealer {
    key: RandomizedNonceKey,
    /// What the key was made from.
    material: Zeroizing<Vec<u8>>,
}

impl Sealer {
    /// The master key: the credential if systemd gives one, else the file in `state`, made if absent.
    pub fn load(credentials: Option<&Path>, state: &Path, entropy: &Entropy) -> Result<Sealer, SecretError> {
        let credential = credentials.map(|folder| folder.join(CREDENTIAL)).filter(|path| path.exists());
        if let Some(path) = credential {
            // systemd lets nobody else see it, whatever its mode says.
            return Ok(Sealer::from_bytes(&read(&path)?));
        }
        let file = state.join(KEY_FILE);
        if !file.exists() {
            make(&file, entropy).map_err(|error| SecretError::File(file.clone(), error))?;
        }
        Ok(Sealer::from_bytes(&read_private(&file)?))
    }

    /// The master key that was in force before, if the administrator or a restored backup left one in `state`.
    pub fn load_previous(state: &Path) -> Result<Option<Sealer>, SecretError> {
        let file = state.join(PREVIOUS_KEY_FILE);
        if file.exists() { Ok(Some(Sealer::from_bytes(&read_private(&file)?))) } else { Ok(None) }
    }

    /// A sealer from key material of any length; use 32 random bytes or more.
    pub fn from_bytes(bytes: &[u8]) -> Sealer {
        let key = digest(&SHA256, bytes);
        #[expect(clippy::expect_used, reason = "SHA-256 gives the 32 bytes that AES-256 takes")]
        let key = RandomizedNonceKey::new(&AES_256_GCM, key.as_ref()).expect("32 bytes");
        Sealer { key, material: Zeroizing::new(bytes.to_vec()) }
    }

    /// What the key is made from, for a backup.
    pub fn material(&self) -> &[u8] {
        &self.material
    }

    /// Encrypts `secret`; it can be opened only with the same `place` (table and row, say).
    #[expect(clippy::expect_used, reason = "sealing fails only for gigabytes")]
    pub fn seal(&self, place: &str, secret: &[u8]) -> Vec<u8> {
        let mut body = secret.to_vec();
        let nonce =
            self.key.seal_in_place_append_tag(Aad::from(place), &mut body).expect("small secrets can be sealed");
        let mut sealed = nonce.as_ref().to_vec();
        sealed.append(&mut body);
        sealed
    }

    /// Decrypts what [`Sealer::seal`] gave.
    pub fn open(&self, place: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SecretError> {
        let fail = || SecretError::Sealed(place.into());
        let (nonce, body) = sealed.split_at_checked(NONCE_LEN).ok_or_else(fail)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| fail())?;
        let mut body = Zeroizing::new(body.to_vec());
        let length = self.key.open_in_place(nonce, Aad::from(place), &mut body).map_err(|_| fail())?.len();
        body.truncate(length);
        Ok(body)
    }
}

fn read_private(path: &Path) -> Result<Zeroizing<Vec<u8>>, SecretError> {
    let mode = std::fs::metadata(path).map_err(|error| SecretError::File(path.into(), error))?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(SecretError::Open(path.into(), mode & 0o777));
    }
    read(path)
}

fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, SecretError> {
    let bytes = Zeroizing::new(std::fs::read(path).map_err(|error| SecretError::File(path.into(), error))?);
    if bytes.len() < 32 { Err(SecretError::Short(path.into(), bytes.len())) } else { Ok(bytes) }
}

fn make(path: &Path, entropy: &Entropy) -> std::io::Result<()> {
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(&*Zeroizing::new(entropy.bytes::<32>()))?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_opens_only_in_its_place_and_with_its_key() {
        let sealer = Sealer::from_bytes(&[7; 32]);
        let sealed = sealer.seal("location 1", b"sToken");
        assert_eq!(sealer.open("location 1", &sealed).unwrap().as_slice(), b"sToken");
        assert!(sealer.open("location 2", &sealed).is_err());
        assert!(Sealer::from_bytes(&[8; 32]).open("location 1", &sealed).is_err());
        for length in 0..sealed.len() {
            assert!(sealer.open("location 1", &sealed[..length]).is_err());
        }
        assert!(!sealed.windows(6).any(|part| part == b"sToken"));
    }

    #[test]
    fn a_credential_comes_before_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let (state, credentials) = (folder.path().join("state"), folder.path().join("credentials"));
        std::fs::create_dir_all(&state).unwrap();
        std::fs::create_dir_all(&credentials).unwrap();
        std::fs::write(credentials.join(CREDENTIAL), [9; 32]).unwrap();
        let sealer = Sealer::load(Some(&credentials), &state, &Entropy::seeded(1)).unwrap();
        assert_eq!(sealer.material(), [9; 32]);
        assert!(!state.join(KEY_FILE).exists(), "no second key is made");
        std::fs::write(credentials.join(CREDENTIAL), "too short").unwrap();
        let short = Sealer::load(Some(&credentials), &state, &Entropy::seeded(1)).err().unwrap();
        assert!(short.to_string().contains("openssl rand 32"), "{short}");
    }

    #[test]
    fn the_master_key_is_made_once_and_must_be_private() {
        let folder = tempfile::tempdir().unwrap();
        let entropy = Entropy::seeded(1);
        let sealed = Sealer::load(None, folder.path(), &entropy).unwrap().seal("x", b"secret");
        let again = Sealer::load(None, folder.path(), &entropy).unwrap();
        assert_eq!(again.open("x", &sealed).unwrap().as_slice(), b"secret");
        let path = folder.path().join("master.key");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(Sealer::load(None, folder.path(), &entropy), Err(SecretError::Open(_, 0o644))));
    }
}
