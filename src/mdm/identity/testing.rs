//! What the tests of this part share: openssl as the other side, and an authority made once.

use std::path::Path;
use std::process::Command;
use std::sync::LazyLock;

use jiff::Timestamp;

use super::authority::DeviceAuthority;
use crate::entropy::Entropy;

pub static AUTHORITY: LazyLock<DeviceAuthority> =
    LazyLock::new(|| DeviceAuthority::generate("Example", now(), &Entropy::seeded(1)).unwrap());

/// A day long gone: openssl, which only has the machine's clock, is told not to look at it.
pub fn now() -> Timestamp {
    "2026-06-01T08:00:00Z".parse().unwrap()
}

/// Runs openssl in `folder`; the arguments are separated by spaces.
pub fn openssl(folder: &Path, arguments: &str) -> Vec<u8> {
    let output = Command::new("openssl")
        .args(arguments.split(' '))
        .current_dir(folder)
        .output()
        .expect("openssl is installed: run `make test`, which installs what the tests need");
    assert!(output.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// A folder with a self-signed certificate `cert.pem` and its `key.pem`; `key` says how openssl makes the key.
pub fn signer(key: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    openssl(
        folder.path(),
        &format!(
            "req -x509 -newkey {key} -nodes -keyout key.pem -out cert.pem -days 30 -subj /O=Example/CN=device \
             -addext subjectKeyIdentifier=hash"
        )
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" "),
    );
    folder
}

/// A file's bytes.
pub fn read(folder: &Path, name: &str) -> Vec<u8> {
    std::fs::read(folder.join(name)).unwrap()
}

/// Writes a file.
pub fn write(folder: &Path, name: &str, bytes: &[u8]) {
    std::fs::write(folder.join(name), bytes).unwrap();
}

/// The certificate of [`signer`] in DER.
pub fn certificate(folder: &Path) -> Vec<u8> {
    openssl(folder, "x509 -in cert.pem -outform DER")
}

/// Every truncation, and one flipped bit at about 700 positions.
pub fn damaged(message: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    let step = (message.len() / 700).max(1);
    let cut = (0..message.len()).map(|length| message[..length].to_vec());
    let flipped = (0..message.len()).step_by(step).map(|position| {
        let mut copy = message.to_vec();
        copy[position] ^= 1 << (position % 8);
        copy
    });
    cut.chain(flipped)
}
