//! vppd as a person sees it: a settings file, a daemon that says when it is ready, and a command line with `--json`. For
//! the demo and the crash test, which drive the real program and nothing else.
//!
//! Knows the settings' keys and the words of the JSON as they are documented, and nothing of how vppd works.

mod cli;
mod look;
mod notices;
mod settings;

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};

use anyhow::Context;
use tokio::process::{Child, Command};

pub use cli::{
    AppDetail, AppRow, Cli, CliError, Deployment, DeviceRow, Licence, PairRow, PlanRow, Stage, TaskRow, TokenRow,
};
pub use look::{Look, PairKey};
pub use notices::Notices;
pub use settings::Pace;

use crate::Sandbox;

/// One vppd with its files in a folder of its own.
pub struct Appliance {
    program: PathBuf,
    directory: PathBuf,
}

/// Variables of a service manager that are not meant for vppd.
const NOT_FOR_VPPD: [&str; 6] =
    ["LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "WATCHDOG_USEC", "WATCHDOG_PID", "JOURNAL_STREAM"];

impl Appliance {
    /// Writes the settings file into `directory`, which has to exist. `sandbox` is its Apple.
    pub async fn prepare(
        program: &Path,
        directory: &Path,
        sandbox: &Sandbox,
        pace: &Pace,
    ) -> anyhow::Result<Appliance> {
        let program = std::fs::canonicalize(program)
            .with_context(|| format!("there is no program {}: build vppd first", program.display()))?;
        let appliance = Appliance { program, directory: directory.to_owned() };
        std::fs::create_dir_all(appliance.state()).context("could not make a folder for vppd's state")?;
        let port = settings::free_port().context("could not find a free port for vppd")?;
        let text = settings::text(&appliance, sandbox, pace, port, &settings::own_group().await?)?;
        std::fs::write(appliance.config(), text)
            .with_context(|| format!("could not write {}", appliance.config().display()))?;
        Ok(appliance)
    }

    /// The program itself.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// The settings file.
    pub fn config(&self) -> PathBuf {
        self.directory.join("vppd.toml")
    }

    /// The control socket.
    pub fn socket(&self) -> PathBuf {
        self.directory.join("control.sock")
    }

    /// Where the daemon's standard error goes.
    pub fn log(&self) -> PathBuf {
        self.directory.join("vppd.log")
    }

    fn state(&self) -> PathBuf {
        self.directory.join("state")
    }

    /// The arguments of the daemon.
    pub fn arguments(&self) -> [std::ffi::OsString; 3] {
        ["--config".into(), self.config().into(), "run".into()]
    }

    /// The command line.
    pub fn cli(&self) -> Cli {
        Cli::new(self.program.clone(), self.socket())
    }

    /// Starts the daemon in a process group of its own, so that Ctrl-C reaches only whoever started it.
    pub fn start(&self, notices: &Notices) -> anyhow::Result<Daemon> {
        let log = OpenOptions::new().create(true).append(true).open(self.log());
        let log = log.with_context(|| format!("could not open {}", self.log().display()))?;
        let mut command = Command::new(&self.program);
        command.args(self.arguments()).env("NOTIFY_SOCKET", notices.path());
        for name in NOT_FOR_VPPD {
            command.env_remove(name);
        }
        command.stdin(Stdio::null()).stdout(log.try_clone().context("could not use the log file twice")?).stderr(log);
        command.process_group(0).kill_on_drop(true);
        let child = command.spawn().with_context(|| format!("could not start {}", self.program.display()))?;
        Ok(Daemon(child))
    }

    /// The last lines of the daemon's log, for an error message.
    pub fn last_words(&self, lines: usize) -> String {
        let text = std::fs::read(self.log()).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let all: Vec<&str> = text.lines().collect();
        all.get(all.len().saturating_sub(lines)..).unwrap_or_default().join("\n")
    }
}

/// The running daemon. It is killed when this is dropped.
pub struct Daemon(Child);

impl Daemon {
    /// Its process id; `None` once it has ended.
    pub fn id(&self) -> Option<u32> {
        self.0.id()
    }

    /// Asks it to end (SIGTERM) and waits until it has.
    pub async fn stop(&mut self) -> anyhow::Result<ExitStatus> {
        if let Some(id) = self.0.id().and_then(|id| i32::try_from(id).ok())
            && let Some(process) = rustix::process::Pid::from_raw(id)
        {
            rustix::process::kill_process(process, rustix::process::Signal::TERM)
                .context("could not send SIGTERM to vppd")?;
        }
        self.0.wait().await.context("could not wait for the end of vppd")
    }

    /// How it has ended; waits for that.
    pub async fn ended(&mut self) -> anyhow::Result<ExitStatus> {
        self.0.wait().await.context("could not wait for vppd")
    }
}

/// Serial numbers that will never answer: their commands wait, their owners say nothing.
#[derive(Debug, Clone, Default)]
pub struct Silent {
    /// Devices that stay away.
    pub away: BTreeSet<String>,
    /// Devices whose owners ignore questions.
    pub ignoring: BTreeSet<String>,
}

#[cfg(test)]
pub(crate) use look::tests;
