//! `vppd enrol`: profiles with which devices enrol. A profile holds a challenge, and whoever has it can enrol: the file
//! is for its owner's eyes only and replaces no other, and nothing of it is printed unless asked for with `--output -`.
//! Codes and links: `codes`; codes on paper: `sheet`.

mod codes;
mod sheet;

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::Subcommand;
use jiff::Timestamp;

use super::client::ClientError;
use super::output::Page;
use super::table::{clean, count};
use super::{Session, WrongArguments};
use crate::clock::{self, Clock};
use crate::config::parse_duration;
use crate::operations::view::{EnrolRequest, EnrolView};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make an enrolment profile, for Apple Configurator or to be opened on the device
    #[command(after_help = PROFILE_EXAMPLES)]
    Profile(ProfileArguments),
    /// Make codes with which people enrol devices that nobody signs in on, on paper with QR codes if wanted
    #[command(after_help = CODES_EXAMPLES)]
    Codes(codes::Codes),
    /// Make an address that gives the profile to whoever fetches it, for Apple Configurator
    Link(codes::Link),
    /// Show with what devices can enrol now: codes, links, profiles and people who have signed in
    List(codes::List),
    /// Withdraw codes, links and profiles: no further device enrols with them
    Revoke(codes::Revoke),
    /// Write the small profile with which a device trusts this server, where its certificate is private
    Trust(codes::Trust),
}

const CODES_EXAMPLES: &str = "\
Examples:
  vppd enrol codes --count 30 --label \"Class 3b\" --pdf class-3b.pdf
  vppd enrol list
  vppd enrol revoke c-0a1b2c3d";

const PROFILE_EXAMPLES: &str = "\
Examples:
  vppd enrol profile --serial DMPXK2ABCDEF
  vppd enrol profile --count 30 --expires 8h --output class-3b.mobileconfig";

#[derive(Debug, clap::Args)]
pub struct ProfileArguments {
    /// Only the device with this serial number may use it
    #[arg(long, conflicts_with = "count")]
    serial: Option<String>,
    /// How many devices may use it [default: 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    count: Option<u32>,
    /// Until when: a duration such as 24h, or a time such as 2026-12-01T12:00:00Z [default:
    /// `profile-lifetime` in the settings file]
    #[arg(long, value_name = "WHEN", value_parser = expiry)]
    expires: Option<Expiry>,
    /// Where to write it [default: a file in this folder with the name that vppd suggests]; - is standard output
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Replace the file if it exists
    #[arg(long)]
    force: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expiry {
    At(Timestamp),
    After(std::time::Duration),
}

pub(super) async fn run(command: Command, session: &Session) -> anyhow::Result<()> {
    match command {
        Command::Profile(arguments) => profile(arguments, session).await,
        Command::Codes(arguments) => codes::codes(arguments, session).await,
        Command::Link(arguments) => codes::link(arguments, session).await,
        Command::List(arguments) => codes::list(arguments, session).await,
        Command::Revoke(arguments) => codes::revoke(arguments, session).await,
        Command::Trust(arguments) => codes::trust(arguments, session).await,
    }
}

async fn profile(arguments: ProfileArguments, session: &Session) -> anyhow::Result<()> {
    let to_stdout = arguments.output.as_deref() == Some(Path::new("-"));
    if to_stdout && session.out.json {
        let message = "--json and --output - both want standard output: choose one, or name a file with --output";
        return Err(WrongArguments(message.to_owned()).into());
    }
    if let Some(file) = arguments.output.as_deref().filter(|_| !to_stdout && !arguments.force) {
        // Before a profile is made for nothing; `write` makes sure.
        anyhow::ensure!(!file.exists(), already_there(file));
    }
    let expires_at = arguments.expires.map(|expiry| expiry.time(&session.clock));
    let request = EnrolRequest { serial: arguments.serial, count: arguments.count, expires_at };
    let answer = session.client.post("/v1/enrolment-profiles", &request).await?;
    let made: EnrolView = answer.view()?;
    let profile = STANDARD
        .decode(&made.profile)
        .map_err(|_| ClientError::NotUnderstood("the profile is not base64".to_owned()))?;
    if to_stdout {
        return session.out.bytes(&profile);
    }
    let file = match arguments.output {
        Some(file) => file,
        None => suggested(&made.file_name)?,
    };
    write(&file, &profile, arguments.force)?;
    if session.out.json {
        return session.out.json(&without_profile(answer.json()?, &file));
    }
    session.out.text(&render(&made, &file, &session.out.page))
}

fn expiry(text: &str) -> Result<Expiry, String> {
    match (text.parse(), parse_duration(text)) {
        (Ok(time), _) => Ok(Expiry::At(time)),
        (_, Some(duration)) if !duration.is_zero() => Ok(Expiry::After(duration)),
        _ => Err("write a duration such as 24h, or a time such as 2026-12-01T12:00:00Z".to_owned()),
    }
}

impl Expiry {
    fn time(self, clock: &Clock) -> Timestamp {
        match self {
            Expiry::At(time) => time,
            Expiry::After(duration) => clock::after(clock.now(), duration),
        }
    }
}

/// The file name that the server suggests, which must not lead out of this folder.
fn suggested(name: &str) -> Result<PathBuf, ClientError> {
    let plain = Path::new(name).file_name().filter(|plain| *plain == name && clean(name) == name);
    let plain = plain.ok_or_else(|| ClientError::NotUnderstood("the suggested file name is none".to_owned()))?;
    Ok(PathBuf::from(plain))
}

fn already_there(file: &Path) -> String {
    format!("{} exists already: name another file with --output, or replace it with --force", file.display())
}

/// Writes a new file that only its owner may read.
pub(super) fn write(file: &Path, profile: &[u8], force: bool) -> anyhow::Result<()> {
    let failed = || format!("cannot write {}", file.display());
    if force {
        match std::fs::remove_file(file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error).with_context(failed),
            _ => {}
        }
    }
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(file) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => anyhow::bail!(already_there(file)),
        opened => opened.and_then(|mut open| open.write_all(profile)).with_context(failed),
    }
}

/// The server's JSON with the file's name in the place of its content.
fn without_profile(mut answer: serde_json::Value, file: &Path) -> serde_json::Value {
    if let Some(answer) = answer.as_object_mut() {
        answer.remove("profile");
        answer.insert("file".to_owned(), file.display().to_string().into());
    }
    answer
}

fn render(made: &EnrolView, file: &Path, page: &Page) -> String {
    let signed = if made.signed { "signed" } else { "unsigned" };
    let who = match &made.serial {
        Some(serial) => format!("the device {}", clean(serial)),
        None => count(made.count.into(), "device", "devices"),
    };
    format!(
        "Wrote the {signed} enrolment profile {} for {who}, to be used until {}.\n\
         Whoever has the file can enrol: hand it on safely, and delete it afterwards.",
        clean(&file.display().to_string()),
        page.time(made.expires_at)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_profile_is_for_its_owner_only_and_replaces_nothing_unasked() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.mobileconfig");
        write(&file, b"one", false).unwrap();
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(write(&file, b"two", false).unwrap_err().to_string().contains("--force"));
        assert_eq!(std::fs::read(&file).unwrap(), b"one");
        write(&file, b"two", true).unwrap();
        assert_eq!(std::fs::read(&file).unwrap(), b"two");
    }

    #[test]
    fn a_suggested_name_cannot_lead_out_of_the_folder() {
        assert_eq!(suggested("vppd-1.mobileconfig").unwrap(), Path::new("vppd-1.mobileconfig"));
        for name in ["../x", "/etc/passwd", "a/b", "..", "", "a\u{1b}b"] {
            assert!(suggested(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn an_expiry_is_a_duration_or_a_time() {
        assert_eq!(expiry("24h"), Ok(Expiry::After(std::time::Duration::from_secs(86_400))));
        assert_eq!(expiry("2026-12-01T12:00:00Z"), Ok(Expiry::At("2026-12-01T12:00:00Z".parse().unwrap())));
        assert!(expiry("tomorrow").is_err() && expiry("0s").is_err());
    }
}
