//! `[apns]`: how vppd wakes devices.

use std::path::PathBuf;
use std::time::Duration;

use super::duration::{days, hours, minutes};
use super::proxy::Proxy;
use super::reader::Section;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Apns {
    /// Without a final slash.
    pub base_url: String,
    /// The MDM push certificate (PEM). `None`: no device can be woken, and none can enrol usefully.
    pub certificate: Option<PathBuf>,
    /// PEM key to `certificate`; both are set or neither.
    pub key: Option<PathBuf>,
    /// PEM authorities trusted besides the system's.
    pub extra_ca: Option<PathBuf>,
    /// `None`: called directly.
    pub proxy: Option<Proxy>,
    pub pushes_per_second: u32,
    /// How long to wait before a device that does not come is woken again; the last is repeated. Never empty, ascending.
    pub repeat_after: Vec<Duration>,
}

impl Default for Apns {
    fn default() -> Apns {
        Apns {
            base_url: "https://api.push.apple.com".to_owned(),
            certificate: None,
            key: None,
            extra_ca: None,
            proxy: None,
            pushes_per_second: 50,
            repeat_after: vec![minutes(15), hours(1), hours(4), days(1)],
        }
    }
}

impl Apns {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Apns {
        let default = Apns::default();
        let apns = Apns {
            base_url: section.base_url("base-url", &default.base_url),
            certificate: section.pem("certificate"),
            key: section.pem("key"),
            extra_ca: section.pem("extra-ca"),
            proxy: Proxy::read(section),
            pushes_per_second: section.number("pushes-per-second", default.pushes_per_second, 1..=1000),
            repeat_after: section.intervals("repeat-after", &default.repeat_after),
        };
        section.both_or_neither("certificate", "key", "without them vppd cannot wake devices");
        apns
    }
}
