//! The program `vppd`: arguments to the CLI, its result to an exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    // The one crypto provider. It can only be installed already, never be refused.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    vppd::cli::main(vppd::daemon::run)
}
