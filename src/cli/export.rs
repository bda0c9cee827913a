//! `vppd export`: groups, deployments and token settings as a file.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;

use super::Session;
use crate::operations::files;
use crate::operations::view::ExportView;

const HELP: &str = "\
It holds no secrets, but serial numbers and e-mail addresses. `vppd apply FILE` makes it so again, here or elsewhere.

Examples:
  vppd export --output school.toml
  vppd export | diff school.toml -";

#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub struct Export {
    /// Where to write it; without it, to standard output
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Replace the file if it exists
    #[arg(long, requires = "output")]
    force: bool,
}

pub(super) async fn run(arguments: Export, session: &Session) -> anyhow::Result<()> {
    let Export { output, force } = arguments;
    if let Some(file) = &output {
        anyhow::ensure!(force || !file.exists(), "{} exists; replace it with --force", file.display());
    }
    let answer = session.client.get("/v1/declared").await?;
    let Some(file) = output else {
        return match session.out.json {
            true => session.out.json(&answer.json()?),
            // As it is, so that it can be compared and applied.
            false => session.out.bytes(answer.view::<ExportView>()?.content.as_bytes()),
        };
    };
    let content = answer.view::<ExportView>()?.content;
    files::write(&file, content.as_bytes(), 0o640).with_context(|| format!("{} cannot be written", file.display()))?;
    match session.out.json {
        true => session.out.json(&serde_json::json!({ "file": file.display().to_string() })),
        false => session.out.text(&format!("Written: {}", file.display())),
    }
}
