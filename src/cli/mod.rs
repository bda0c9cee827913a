//! The command line: `vppd run` and `vppd check` work on the settings file, `vppd generate` on nothing; everything else
//! asks the running daemon over its control socket, in the JSON of [`crate::operations::view`], and shows the answer as a
//! table or as it is.
//!
//! Knows the settings and the views, nothing of how the daemon does its work. One file per subcommand.

mod alert;
mod apns;
mod app;
mod apply;
mod backup;
mod by_hand;
mod check;
mod client;
mod confirm;
mod deploy;
mod device;
mod device_list;
mod directory;
mod doctor;
mod enrol;
mod export;
mod files;
mod foreign_users;
mod generate;
mod group;
mod identity;
mod output;
mod person;
mod plan;
mod reclaim;
mod report;
mod service;
mod spreadsheet;
mod subscription;
mod sync;
mod table;
mod task;
mod token;
mod user;
mod waste;
mod why;

#[cfg(test)]
mod tests;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::clock::Clock;
use crate::config::{self, ConfigErrors};
use crate::exit::{self, CannotStart};
use crate::operations::{self, OperationError};
use client::{Client, ClientError};
use doctor::Doctor;
use output::{Output, StdoutClosed};

/// The heading of the options that every subcommand takes.
const GLOBAL: &str = "Everywhere";

const AFTER_HELP: &str = "\
Exit status: 0 done, 1 failed, 2 wrong arguments, 65 a state directory that vppd cannot work with, 78 wrong settings.

First steps:
  vppd check
  vppd token add sToken_for_Leeds.vpptoken --name Leeds
  vppd deploy add --app 361309726 --to all-devices --purpose required
  vppd enrol profile --count 30 --output class-3b.mobileconfig
  vppd plan";

/// Apple volume licences: the right app on the right device, no licence wasted.
#[derive(Debug, Parser)]
#[command(name = "vppd", version, arg_required_else_help = true, after_help = AFTER_HELP)]
pub struct Arguments {
    /// The settings file
    #[arg(long, global = true, help_heading = GLOBAL, value_name = "FILE", default_value = config::DEFAULT_PATH)]
    pub config: PathBuf,
    /// The control socket of the running vppd [default: the one in the settings file]
    #[arg(long, global = true, help_heading = GLOBAL, value_name = "PATH")]
    pub socket: Option<PathBuf>,
    /// Print JSON instead of tables
    #[arg(long, global = true, help_heading = GLOBAL)]
    pub json: bool,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the daemon in the foreground, as systemd does
    Run,
    /// Check the settings file and tell everything that is wrong with it
    Check,
    /// Write the manual pages and the completions of shells into a folder
    #[command(hide = true)]
    Generate { folder: PathBuf },
    /// Show how vppd is, and what needs attention
    Status,
    /// Add, renew and show content tokens
    #[command(subcommand)]
    Token(token::Command),
    /// Register people at Apple, for licences by user
    #[command(subcommand)]
    User(user::Command),
    /// Show the people whom the directory or an administrator knows, and make hashes of passwords
    #[command(subcommand)]
    Person(person::Command),
    /// Read the directory with people, and show how that went
    #[command(subcommand)]
    Directory(directory::Command),
    /// Make groups of devices, by list or by rule, and show who is in them
    #[command(subcommand)]
    Group(group::Command),
    /// Read everything anew that Apple knows of one location, or of all
    Sync(sync::Arguments),
    /// Show what an administrator should know
    #[command(subcommand)]
    Alert(alert::Command),
    /// Show what vppd was asked to do, and how far it is
    #[command(subcommand)]
    Task(task::Command),
    /// Show apps and books, their licences, and where they are
    #[command(subcommand)]
    App(app::Command),
    /// Show subscriptions and their seats
    #[command(subcommand)]
    Subscription(subscription::Command),
    /// Show enrolled devices, and say whose they are
    #[command(subcommand)]
    Device(device::Command),
    /// Show, renew and revoke the certificates with which devices prove who they are
    #[command(subcommand)]
    Identity(identity::Command),
    /// Get, renew and show the push certificate
    #[command(subcommand)]
    Apns(apns::Command),
    /// Let devices enrol: profiles, codes, links
    #[command(subcommand)]
    Enrol(enrol::Command),
    /// Say which apps go to which devices
    #[command(subcommand)]
    Deploy(deploy::Command),
    /// Write groups, deployments and token settings as a file
    Export(export::Export),
    /// Make groups, deployments and token settings as a file says
    Apply(apply::Apply),
    /// Give licences by hand to devices or people, whatever the deployments say
    Assign(by_hand::Assign),
    /// Take licences from devices or people by hand, whatever the deployments say
    Revoke(by_hand::Revoke),
    /// Let the deployments decide again what was decided by hand
    Release(by_hand::Release),
    /// Take back licences that vppd has not given
    Reclaim(reclaim::Reclaim),
    /// Show what vppd would do now, and why, without doing it
    Plan(plan::Arguments),
    /// Show why an app is not on a device, and everything that happened until now
    Why(why::Why),
    /// Show what does not agree, and why
    #[command(subcommand)]
    Report(report::Command),
    /// Send nothing to Apple or to devices until `vppd resume`
    Pause(service::PauseArguments),
    /// Go on after `vppd pause`
    Resume,
    /// Write an encrypted backup of everything, while vppd runs
    Backup(backup::BackupArguments),
    /// Put a backup in place, while vppd does not run
    Restore(backup::RestoreArguments),
    /// Look whether something is damaged
    #[command(subcommand)]
    Doctor(doctor::Doctor),
}

/// What a subcommand needs to do its work.
struct Session {
    client: Client,
    out: Output,
    clock: Clock,
}

/// The arguments fit the grammar but not each other.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct WrongArguments(String);

/// Runs the command in the process's arguments. `run` is the daemon, given its settings file: it returns when vppd has
/// stopped.
pub fn main(run: impl FnOnce(&Path) -> anyhow::Result<()>) -> ExitCode {
    let arguments = Arguments::parse();
    let result = execute(arguments, run);
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is::<StdoutClosed>() => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody is left to be told when this fails too.
            let _ = writeln!(std::io::stderr(), "{}", explain(&error));
            ExitCode::from(exit_code(&error))
        }
    }
}

fn execute(arguments: Arguments, run: impl FnOnce(&Path) -> anyhow::Result<()>) -> anyhow::Result<()> {
    match arguments.command {
        Command::Run => run(&arguments.config),
        Command::Check => check::run(&arguments.config, &Output::new(arguments.json)),
        Command::Restore(restore) => backup::restore(&restore, &arguments.config, &Output::new(arguments.json)),
        Command::Doctor(Doctor::Store) => doctor::store(&arguments.config, &Output::new(arguments.json)),
        Command::Generate { folder } => generate::run(&folder),
        Command::Person(person::Command::Password) => person::password(&Output::new(arguments.json)),
        command => {
            let server = config::server_section(&arguments.config);
            let socket = arguments.socket.unwrap_or(server.control_socket);
            let clock = Clock::real();
            let client = Client::new(socket, server.control_group, clock.clone());
            let session = Session { client, out: Output::new(arguments.json), clock };
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(ask(command, &session))
        }
    }
}

/// The commands that ask the running daemon.
async fn ask(command: Command, session: &Session) -> anyhow::Result<()> {
    match command {
        // Done by `execute`, without a daemon.
        Command::Run
        | Command::Check
        | Command::Generate { .. }
        | Command::Restore(_)
        | Command::Doctor(Doctor::Store) => Ok(()),
        Command::Doctor(Doctor::Apple) => doctor::apple(session).await,
        Command::Status => service::status(session).await,
        Command::Token(command) => token::run(command, session).await,
        Command::User(command) => user::run(command, session).await,
        Command::Person(command) => person::run(command, session).await,
        Command::Directory(command) => directory::run(command, session).await,
        Command::Group(command) => group::run(command, session).await,
        Command::Sync(arguments) => sync::run(arguments, session).await,
        Command::Alert(command) => alert::run(command, session).await,
        Command::Task(command) => task::run(command, session).await,
        Command::App(command) => app::run(command, session).await,
        Command::Subscription(command) => subscription::run(command, session).await,
        Command::Device(command) => device::run(command, session).await,
        Command::Enrol(command) => enrol::run(command, session).await,
        Command::Apns(command) => apns::run(command, session).await,
        Command::Identity(command) => identity::run(command, session).await,
        Command::Deploy(command) => deploy::run(command, session).await,
        Command::Export(arguments) => export::run(arguments, session).await,
        Command::Apply(arguments) => apply::run(arguments, session).await,
        Command::Assign(arguments) => by_hand::assign(arguments, session).await,
        Command::Revoke(arguments) => by_hand::revoke(arguments, session).await,
        Command::Release(arguments) => by_hand::release(arguments, session).await,
        Command::Reclaim(arguments) => reclaim::run(arguments, session).await,
        Command::Plan(arguments) => plan::run(arguments, session).await,
        Command::Why(arguments) => why::run(arguments, session).await,
        Command::Report(command) => report::run(command, session).await,
        Command::Pause(arguments) => service::pause(arguments, session).await,
        Command::Resume => service::resume(session).await,
        Command::Backup(arguments) => backup::backup(arguments, session).await,
    }
}

/// The error in words, with its causes and what can be done about it.
fn explain(error: &anyhow::Error) -> String {
    if let Some(errors) = error.downcast_ref::<ConfigErrors>() {
        return errors.to_string();
    }
    let advice = match (error.downcast_ref::<ClientError>(), error.downcast_ref::<OperationError>()) {
        (Some(error), _) => error.advice(),
        (_, Some(error)) => error.advice.clone(),
        _ => String::new(),
    };
    // Only what is wrong with a file has several lines.
    let lines: Vec<String> = format!("{error:#}").lines().map(table::clean).collect();
    let message = lines.join("\n  ");
    if advice.is_empty() { format!("vppd: {message}") } else { format!("vppd: {message}\n  {}", table::clean(&advice)) }
}

fn exit_code(error: &anyhow::Error) -> u8 {
    if error.is::<ConfigErrors>() {
        exit::WRONG_SETTINGS
    } else if operations::doctor::needs_a_person(error) {
        exit::WRONG_STATE
    } else if let Some(cannot) = error.downcast_ref::<CannotStart>() {
        cannot.code()
    } else if error.is::<WrongArguments>() {
        exit::WRONG_ARGUMENTS
    } else {
        exit::FAILED
    }
}
