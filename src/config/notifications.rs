//! `[notifications]`: the door to which Apple sends notifications. Off as long as no address is set.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use super::reader::Section;
use super::url;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notifications {
    /// What Apple is told to call, without a final slash; a key for each location follows it. `None`: Apple is not asked
    /// to notify anybody.
    pub url: Option<String>,
    /// A loopback address when there is no certificate.
    pub listen: SocketAddr,
    /// PEM chain for the listener. `None`: plain HTTP, behind something that speaks TLS.
    pub certificate: Option<PathBuf>,
    /// PEM key to `certificate`; both are set or neither.
    pub key: Option<PathBuf>,
}

impl Default for Notifications {
    fn default() -> Notifications {
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 8446));
        Notifications { url: None, listen, certificate: None, key: None }
    }
}

/// Apple takes 512 characters, of which the key of a location needs some.
const LONGEST_URL: usize = 400;

impl Notifications {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Notifications {
        let default = Notifications::default();
        let notifications = Notifications {
            url: own_url(section),
            listen: section.address("listen", default.listen),
            certificate: section.pem("certificate"),
            key: section.pem("key"),
        };
        section.both_or_neither("certificate", "key", "without them the door speaks plain HTTP, on a loopback address");
        if notifications.certificate.is_none() && !notifications.listen.ip().is_loopback() {
            let advice =
                "set certificate and key, or listen = \"127.0.0.1:8446\" behind a reverse proxy that speaks TLS";
            section.fault("listen", "`listen` may be an address of the network only with a certificate", advice);
        }
        notifications
    }
}

fn own_url(section: &mut Section<'_, '_>) -> Option<String> {
    const EXAMPLE: &str = "https://notify.example.org/apple";
    let text = section.text("url", "", EXAMPLE);
    if !section.has("url") {
        return None;
    }
    let bare = text.trim_end_matches('/');
    let problem = match url::split(bare) {
        Err(problem) => problem,
        Ok(parts) if !parts.secure => "must begin with https://: Apple calls nothing else",
        Ok(_) if bare.len() > LONGEST_URL => "is longer than Apple takes",
        Ok(_) => return Some(bare.to_owned()),
    };
    section.fault("url", format!("`url` {problem}"), format!("for example: url = \"{EXAMPLE}\""));
    None
}
