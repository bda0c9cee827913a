//! `vppd backup` and `vppd restore`.

use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;

use super::Session;
use super::output::Output;
use crate::clock::Clock;
use crate::operations::{files, restore};

#[derive(Debug, Args)]
pub struct BackupArguments {
    /// Where to write it
    file: PathBuf,
    /// Replace the file if it exists
    #[arg(long)]
    force: bool,
}

#[derive(Debug, Args)]
pub struct RestoreArguments {
    /// The backup, as vppd made it or as `openssl cms -decrypt` gave it
    file: PathBuf,
    /// The recovery key (PEM, without a passphrase); not needed when the backup was decrypted with openssl
    #[arg(long, value_name = "FILE")]
    recovery_key: Option<PathBuf>,
    /// Replace the state that is there; it is kept in the folder copies
    #[arg(long)]
    force: bool,
}

pub(super) async fn backup(arguments: BackupArguments, session: &Session) -> anyhow::Result<()> {
    let file = &arguments.file;
    // Before vppd is put to work.
    anyhow::ensure!(arguments.force || !file.exists(), "{} exists; replace it with --force", file.display());
    let answer = session.client.post("/v1/backup", &serde_json::json!({})).await?;
    files::write(file, answer.bytes(), 0o600).with_context(|| format!("{} cannot be written", file.display()))?;
    let bytes = answer.bytes().len();
    if session.out.json {
        return session.out.json(&serde_json::json!({ "file": file.display().to_string(), "bytes": bytes }));
    }
    session.out.text(&format!(
        "The backup is {} ({bytes} bytes). Only the recovery key opens it; keep both away from this machine.",
        file.display()
    ))
}

pub(super) fn restore(arguments: &RestoreArguments, settings: &Path, out: &Output) -> anyhow::Result<()> {
    let request = restore::Request {
        backup: &arguments.file,
        recovery_key: arguments.recovery_key.as_deref(),
        settings,
        force: arguments.force,
    };
    let done = restore::restore(&request, Clock::real().now())?;
    if out.json {
        return out.json(&serde_json::json!({
            "madeAt": done.made_at, "stateDirectory": done.state, "written": done.written, "setAside": done.set_aside,
        }));
    }
    let mut text = format!("The backup of {} is in {}.\n", out.page.time(done.made_at), done.state.display());
    for path in &done.written {
        text.push_str(&format!("Written: {}\n", path.display()));
    }
    for path in &done.set_aside {
        text.push_str(&format!("What was there before: {}\n", path.display()));
    }
    text.push_str(
        "Make sure that the old machine never runs vppd again, then start it here: systemctl start vppd\n\
         It reads everything from Apple anew before it writes anything, and asks every device what it has.",
    );
    out.text(&text)
}
