//! Files that go to vppd as text.

use std::io::Read;
use std::path::Path;

use anyhow::Context;

/// What vppd takes in one request, less what is around it.
const LARGEST: u64 = 6 << 20;

/// The text of a file; `-` reads standard input. `what` stands in the errors.
pub(super) fn read_text(file: &Path, what: &str) -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    if file == Path::new("-") {
        std::io::stdin().lock().take(LARGEST + 1).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(file).and_then(|open| open.take(LARGEST + 1).read_to_end(&mut bytes))
    }
    .with_context(|| format!("cannot read {what} in {}", file.display()))?;
    anyhow::ensure!(bytes.len() as u64 <= LARGEST, "{} is too large for {what}", file.display());
    String::from_utf8(bytes).map_err(|_| anyhow::anyhow!("{} is not UTF-8 text: save it as UTF-8", file.display()))
}
