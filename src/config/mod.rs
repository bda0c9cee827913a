//! The settings file, `/etc/vppd/vppd.toml`: one struct per section, read in one go. Every problem is found and told
//! at once, with line, column and a remedy: the document is parsed to values that know where they stand, each section
//! asks for its keys, and what nobody has asked for is unknown. Defaults live in the `Default` of each section.
//!
//! Holds paths to secrets, never secrets. Knows nothing of the rest of vppd, and opens no file but the settings file;
//! [`Config::load`] only looks whether the named files can be read.

mod apns;
mod apple;
mod backup;
mod devices;
mod directory;
mod duration;
mod enrolment;
mod identity;
mod licences;
mod log;
mod metadata;
mod notifications;
mod planner;
mod problem;
mod proxy;
mod reader;
mod reload;
mod server;
mod sync;
mod url;

use std::path::{Path, PathBuf};

use toml::de::DeTable;

pub use apns::Apns;
pub use apple::Apple;
pub use backup::Backup;
pub use devices::Devices;
pub use directory::Directory;
pub use duration::{parse as parse_duration, show as show_duration};
pub use enrolment::{Enrolment, Proof};
pub use identity::{Acme, AcmeUse, Identity, Scep};
pub use licences::Licences;
pub use log::{Level, Log, Target};
pub use metadata::{DeveloperKeyFile, Metadata, Sources};
pub use notifications::Notifications;
pub use planner::Planner;
pub use problem::{ConfigErrors, Position, Problem};
pub use proxy::Proxy;
pub use server::Server;
pub use sync::Sync;

pub(crate) use problem::Fault;
use reader::NamedFile;
pub(crate) use reader::{Places, Reader, Section};

/// Where the package puts the file.
pub const DEFAULT_PATH: &str = "/etc/vppd/vppd.toml";

/// All settings, checked: whoever holds one may rely on what the sections promise.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    pub server: Server,
    pub devices: Devices,
    pub apple: Apple,
    pub notifications: Notifications,
    pub apns: Apns,
    pub enrolment: Enrolment,
    pub identity: Identity,
    pub sync: Sync,
    pub metadata: Metadata,
    pub planner: Planner,
    pub licences: Licences,
    pub directory: Directory,
    pub log: Log,
    pub backup: Backup,
    /// Where the settings were read from.
    pub file: PathBuf,
    /// The certificates, keys and passwords that the file names.
    pub files: Vec<SettingsFile>,
}

/// A certificate, key or password file that the settings name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingsFile {
    /// As people know it, `[apns] key`.
    pub key: String,
    pub path: PathBuf,
}

impl SettingsFile {
    /// Whether it holds a private key or a password.
    pub fn is_secret(&self) -> bool {
        self.key.ends_with("key") || self.key.ends_with("password-file")
    }
}

impl Config {
    /// Reads and checks the file, and looks whether the files that it names can be read.
    ///
    /// Errors with everything that is wrong, not only the first thing.
    pub fn load(path: &Path) -> Result<Config, ConfigErrors> {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|error| ConfigErrors::unreadable(&name, &error))?;
        let (config, mut faults, files) = read(&text);
        faults.extend(files.iter().filter_map(NamedFile::fault));
        finish(&name, &text, Config { file: path.into(), ..config }, faults)
    }

    /// Checks `text` as [`Config::load`] does, but touches no file. `name` stands in the messages.
    pub fn from_text(name: &str, text: &str) -> Result<Config, ConfigErrors> {
        let (config, faults, _) = read(text);
        finish(name, text, config, faults)
    }
}

/// The `[server]` section as far as it can be read, defaults for the rest: the CLI must find the daemon even when the
/// file cannot be read, or has been edited into something that vppd would not start with.
pub fn server_section(path: &Path) -> Server {
    match std::fs::read_to_string(path) {
        Ok(text) => read(&text).0.server,
        Err(_) => Server::default(),
    }
}

/// Reads as much as can be read. Where something is wrong, the default stands and a fault is noted.
fn read(text: &str) -> (Config, Vec<Fault>, Vec<NamedFile>) {
    let (document, syntax) = DeTable::parse_recoverable(text);
    let mut reader = Reader::new(document.get_ref());
    let devices = reader.section("devices", Devices::read);
    let second_name = devices.client_certificate_name.is_some() || !devices.trusted_proxies.is_empty();
    let scep = reader.section("identity.scep", Scep::read);
    let acme = reader.section("identity.acme", Acme::read);
    let config = Config {
        server: reader.section("server", Server::read),
        apple: reader.section("apple", |section| Apple::read(section, devices.host())),
        notifications: reader.section("notifications", Notifications::read),
        apns: reader.section("apns", Apns::read),
        enrolment: reader.section("enrolment", |section| Enrolment::read(section, second_name)),
        identity: reader.section("identity", |section| Identity::read(section, scep, acme)),
        sync: reader.section("sync", Sync::read),
        metadata: reader.section("metadata", Metadata::read),
        planner: reader.section("planner", Planner::read),
        licences: reader.section("licences", Licences::read),
        directory: reader.section("directory", Directory::read),
        log: reader.section("log", Log::read),
        backup: reader.section("backup", Backup::read),
        file: PathBuf::new(),
        files: Vec::new(),
        devices,
    };
    let (faults, files) = reader.finish();
    let named = |file: &NamedFile| SettingsFile { key: file.key.clone(), path: file.path.clone() };
    let config = Config { files: files.iter().map(named).collect(), ..config };
    (config, problem::merge(text, syntax, faults), files)
}

/// Takes another TOML document apart as the settings are taken apart, and notes what is wrong with it in the same way.
pub(crate) fn read_document<T>(text: &str, read: impl FnOnce(&mut Reader<'_>) -> T) -> (T, Vec<Fault>) {
    let (document, syntax) = DeTable::parse_recoverable(text);
    let mut reader = Reader::new(document.get_ref());
    let value = read(&mut reader);
    let (faults, _) = reader.finish();
    (value, problem::merge(text, syntax, faults))
}

fn finish(name: &str, text: &str, config: Config, faults: Vec<Fault>) -> Result<Config, ConfigErrors> {
    if faults.is_empty() { Ok(config) } else { Err(ConfigErrors::new(name, text, faults)) }
}

#[cfg(test)]
mod tests;
