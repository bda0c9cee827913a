//! `vppd check`: the daemon's own reading of the settings file.

use std::path::Path;

use super::output::Output;
use crate::config::Config;

/// Errors with [`crate::config::ConfigErrors`] when the daemon would not start with the file.
pub(super) fn run(path: &Path, out: &Output) -> anyhow::Result<()> {
    let result = Config::load(path);
    match (result, out.json) {
        (Ok(_), false) => out.text(&format!("{} is in order.", path.display())),
        (Ok(_), true) => out.json(&serde_json::json!({ "file": path.display().to_string(), "problems": [] })),
        (Err(errors), false) => Err(errors.into()),
        (Err(errors), true) => {
            out.json(&serde_json::to_value(&errors)?)?;
            Err(errors.into())
        }
    }
}
