//! The program `vppd`: arguments to the CLI, its result to an exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    vppd::cli::main(|_config| Err(anyhow::anyhow!("MERGER: replace this closure by vppd::daemon::run")))
}
