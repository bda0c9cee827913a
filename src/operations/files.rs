//! Files that are there whole or not at all.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Writes a file beside `path`, to disk, and then puts it in its place.
pub fn write(path: &Path, bytes: &[u8], mode: u32) -> std::io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".partial");
    let beside = Path::new(&beside);
    let written = (|| {
        // Anew, so that the mode holds.
        let _ = fs::remove_file(beside);
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(beside, path)?;
        path.parent().map_or(Ok(()), flush)
    })();
    if written.is_err() {
        let _ = fs::remove_file(beside);
    }
    written
}

/// What was renamed or removed in the folder is so on disk.
pub fn flush(folder: &Path) -> std::io::Result<()> {
    fs::File::open(folder)?.sync_all()
}
