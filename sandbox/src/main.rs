//! `vppd-sandbox`: the sandbox as a program for people.

use std::collections::HashMap;
use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Parser, Subcommand};
use sandbox::clock::Clock;
use sandbox::demo::{self, DemoOptions};
use sandbox::scenario::{MadeLocation, Scenario};
use sandbox::supervisor::Program;
use sandbox::torture::{self, TortureOptions};
use sandbox::{Sandbox, SandboxOptions};

/// Plays Apple (Apps and Books, APNs) for trying out and testing vppd.
#[derive(Debug, Parser)]
#[command(name = "vppd-sandbox", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve until interrupted.
    Run(RunOptions),
    /// Bring a school of two hundred devices up with vppd, and compare what Apple, vppd and the devices know.
    Demo(DemoOptions),
    /// Kill vppd again and again, and look whether anything is lost.
    Torture(TortureOptions),
}

#[derive(Debug, Args)]
struct RunOptions {
    /// Folder for the certificates and the token files; made when it is missing.
    #[arg(long)]
    directory: PathBuf,
    /// Address to listen on.
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    bind: IpAddr,
    /// Port of Apple's Apps and Books service; 0 chooses a free one.
    #[arg(long, default_value_t = 9443)]
    apple_port: u16,
    /// Port of APNs; 0 chooses a free one.
    #[arg(long, default_value_t = 9444)]
    apns_port: u16,
    /// Port of the control side; 0 chooses a free one.
    #[arg(long, default_value_t = 9480)]
    control_port: u16,
    /// What is there at the start, TOML or JSON. Without it: one location with a dozen assets.
    #[arg(long)]
    scenario: Option<PathBuf>,
    /// For ids, delays and faults by rate.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// A program to start, and to kill at a request when the control side asks for it (POST /supervisor).
    #[arg(last = true, value_name = "PROGRAM")]
    program: Vec<OsString>,
}

fn main() -> ExitCode {
    let Cli { command } = Cli::parse();
    match execute(command) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("vppd-sandbox: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// False: it did what it was asked to do, and found something wrong, which it has told.
fn execute(command: Command) -> anyhow::Result<bool> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("could not start tokio")?;
    runtime.block_on(async {
        match command {
            Command::Run(options) => serve(options).await.map(|()| true),
            Command::Demo(options) => demo::run(&options, &Clock::real()).await,
            Command::Torture(options) => torture::run(&options, &Clock::real()).await,
        }
    })
}

async fn serve(options: RunOptions) -> anyhow::Result<()> {
    let scenario = match &options.scenario {
        Some(path) => Scenario::read(path)?,
        None => Scenario::default(),
    };
    let directory = options.directory;
    std::fs::create_dir_all(&directory).with_context(|| format!("could not make {}", directory.display()))?;
    let sandbox = Sandbox::start(SandboxOptions {
        clock: Clock::real(),
        seed: options.seed,
        directory: directory.clone(),
        apple: SocketAddr::new(options.bind, options.apple_port),
        apns: SocketAddr::new(options.bind, options.apns_port),
        control: SocketAddr::new(options.bind, options.control_port),
    })
    .await?;
    let made = scenario.play(&sandbox.apple)?;
    println!("Apps and Books    {}", sandbox.apple_url());
    println!("APNs              {}", sandbox.apns_url());
    println!("control           http://{}/state", sandbox.control_address());
    println!("root certificate  {}", sandbox.ca_path().display());
    println!("push certificate  {}", sandbox.push_certificate_path().display());
    println!("push key          {}", sandbox.push_key_path().display());
    println!("push topic        {}", sandbox.topic());
    for location in &made {
        let path = write_token(&directory, location)?;
        println!("content token     {} ({}, uId {})", path.display(), location.name, location.u_id);
    }
    let mut words = options.program.into_iter();
    if let Some(program) = words.next() {
        let program = Program { program, args: words.collect(), env: HashMap::new(), log: None };
        sandbox.supervisor.start(program).await?;
    }
    sandbox::interrupted().await.context("could not wait for Ctrl-C")?;
    sandbox.supervisor.kill().await?;
    Ok(())
}

fn write_token(directory: &std::path::Path, location: &MadeLocation) -> anyhow::Result<PathBuf> {
    let name: String =
        location.name.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' }).collect();
    let path = directory.join(format!("sToken_for_{name}_{}.vpptoken", location.u_id));
    std::fs::write(&path, &location.token).with_context(|| format!("could not write {}", path.display()))?;
    Ok(path)
}
