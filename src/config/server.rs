//! `[server]`: where vppd keeps its things on this machine.

use std::path::PathBuf;
use std::time::Duration;

use super::duration::seconds;
use super::reader::Section;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Holds the database, the keys and the copies made before migrations. Absolute.
    pub state_directory: PathBuf,
    /// Absolute.
    pub control_socket: PathBuf,
    /// The group whose members may use the control socket. Never empty.
    pub control_group: String,
    /// How long a stop waits for requests under way.
    pub drain_timeout: Duration,
}

impl Default for Server {
    fn default() -> Server {
        Server {
            state_directory: "/var/lib/vppd".into(),
            control_socket: "/run/vppd/control.sock".into(),
            control_group: "vppd-admin".to_owned(),
            drain_timeout: seconds(20),
        }
    }
}

/// `sun_path` of a Unix socket address has 108 bytes, one of them for the end.
const LONGEST_SOCKET_PATH: usize = 107;

impl Server {
    pub(super) fn read(section: &mut Section<'_, '_>) -> Server {
        let default = Server::default();
        let mut server = Server {
            state_directory: section.place("state-directory", &default.state_directory),
            control_socket: section.place("control-socket", &default.control_socket),
            control_group: section.text("control-group", &default.control_group, &default.control_group),
            drain_timeout: section.duration("drain-timeout", default.drain_timeout),
        };
        if server.control_socket.as_os_str().len() > LONGEST_SOCKET_PATH {
            let message = format!("`control-socket` is longer than the {LONGEST_SOCKET_PATH} bytes that Linux allows");
            section.fault("control-socket", message, "choose a shorter path");
            server.control_socket = default.control_socket;
        }
        if server.control_group.is_empty() {
            let advice = "name a group of this machine, for example: control-group = \"vppd-admin\"";
            section.fault("control-group", "`control-group` is empty", advice);
        }
        server
    }
}
