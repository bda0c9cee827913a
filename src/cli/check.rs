//! `vppd check`: the daemon's own reading of the settings file, and whether secrets lie open.

use std::path::Path;

use super::output::Output;
use crate::config::Config;
use crate::operations::doctor;

/// Errors with [`crate::config::ConfigErrors`] when the daemon would not start with the file.
pub(super) fn run(path: &Path, out: &Output) -> anyhow::Result<()> {
    let result = Config::load(path);
    match (result, out.json) {
        (Ok(config), false) => {
            let mut text = format!("{} is in order.\n", path.display());
            for finding in doctor::secret_files(&config) {
                text.push_str(&format!("Warning: {}. Run: {}\n", finding.message, finding.command));
            }
            out.text(&text)
        }
        (Ok(config), true) => out.json(&serde_json::json!({
            "file": path.display().to_string(), "problems": [], "warnings": doctor::secret_files(&config),
        })),
        (Err(errors), false) => Err(errors.into()),
        (Err(errors), true) => {
            out.json(&serde_json::to_value(&errors)?)?;
            Err(errors.into())
        }
    }
}
