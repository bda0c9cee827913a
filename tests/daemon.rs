//! The real program as systemd runs it: what it tells systemd, how it reloads, refuses and ends.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

/// Far longer than anything here takes, on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// A folder with settings, and a stand-in for systemd.
struct Stage {
    folder: tempfile::TempDir,
    port: u16,
    notices: UnixDatagram,
}

/// The daemon; killed when dropped.
struct Vppd(Child);

impl Drop for Vppd {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Vppd {
    fn signal(&self, name: &str) {
        assert!(Command::new("kill").arg(name).arg(self.0.id().to_string()).status().unwrap().success());
    }

    fn ended(mut self) -> ExitStatus {
        self.0.wait().unwrap()
    }
}

impl Stage {
    fn new() -> Stage {
        let folder = tempfile::tempdir().unwrap();
        let notices = UnixDatagram::bind(folder.path().join("notify")).unwrap();
        notices.set_read_timeout(Some(PATIENCE)).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let stage = Stage { folder, port, notices };
        stage.settings("");
        stage
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes the settings; `more` comes last, beginning in `[devices]`.
    fn settings(&self, more: &str) {
        let group = Command::new("id").arg("-gn").output().unwrap().stdout;
        let text = format!(
            "[server]\nstate-directory = {:?}\ncontrol-socket = {:?}\ncontrol-group = {:?}\n\
             [devices]\nlisten = \"127.0.0.1:{port}\"\nurl = \"https://localhost:{port}\"\n{more}",
            self.path("state"),
            self.path("control.sock"),
            String::from_utf8(group).unwrap().trim(),
            port = self.port,
        );
        fs::write(self.path("vppd.toml"), text).unwrap();
    }

    fn start(&self) -> Vppd {
        let log = fs::OpenOptions::new().create(true).append(true).open(self.path("log")).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_vppd"));
        command.arg("--config").arg(self.path("vppd.toml")).arg("run");
        command.env("NOTIFY_SOCKET", self.path("notify")).env("WATCHDOG_USEC", "200000");
        for name in ["WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID", "JOURNAL_STREAM", "CREDENTIALS_DIRECTORY"] {
            command.env_remove(name);
        }
        Vppd(command.stdin(Stdio::null()).stderr(log).spawn().unwrap())
    }

    fn start_ready(&self) -> Vppd {
        let vppd = self.start();
        self.told("READY=1");
        vppd
    }

    /// The next notice that has this line.
    fn told(&self, line: &str) -> String {
        let mut buffer = [0; 4096];
        loop {
            let length = self.notices.recv(&mut buffer).unwrap_or_else(|_| panic!("no {line}; log:\n{}", self.log()));
            let notice = String::from_utf8_lossy(&buffer[..length]).into_owned();
            if notice.lines().any(|told| told == line) {
                return notice;
            }
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap()
    }

    /// Starts vppd, which must not come up; returns its exit code and its words.
    fn refused(&self) -> (i32, String) {
        fs::write(self.path("log"), "").unwrap();
        let code = self.start().ended().code().unwrap();
        (code, self.log())
    }

    /// Makes a certificate for the device listener.
    fn certificate(&self) -> CertificateDer<'static> {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".into()]).unwrap();
        fs::write(self.path("certificate.pem"), made.cert.pem()).unwrap();
        fs::write(self.path("key.pem"), made.signing_key.serialize_pem()).unwrap();
        made.cert.der().clone()
    }

    /// Settings that name the certificate.
    fn with_certificate(&self) -> String {
        format!("certificate = {:?}\nkey = {:?}\n", self.path("certificate.pem"), self.path("key.pem"))
    }

    fn connect(&self, trusted: &[&CertificateDer<'static>]) -> Connection {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let mut roots = RootCertStore::empty();
        trusted.iter().for_each(|certificate| roots.add((*certificate).clone()).unwrap());
        let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        let stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let tls = ClientConnection::new(Arc::new(config), ServerName::try_from("localhost").unwrap()).unwrap();
        let mut connection = StreamOwned::new(tls, stream);
        ask(&mut connection);
        connection
    }
}

type Connection = StreamOwned<ClientConnection, TcpStream>;

/// One request on a connection that stays open.
fn ask(connection: &mut Connection) {
    connection.write_all(b"GET /scep?operation=GetCACaps HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\n") || !String::from_utf8_lossy(&answer).contains("POSTPKIOperation") {
        let mut part = [0; 1024];
        let length = connection.read(&mut part).unwrap();
        assert!(length > 0, "the connection was dropped after {:?}", String::from_utf8_lossy(&answer));
        answer.extend_from_slice(&part[..length]);
    }
    assert!(answer.starts_with(b"HTTP/1.1 200 "), "{:?}", String::from_utf8_lossy(&answer));
}

fn served(connection: &Connection) -> &CertificateDer<'static> {
    &connection.conn.peer_certificates().unwrap()[0]
}

#[test]
fn systemd_is_told_of_the_whole_life() {
    let stage = Stage::new();
    let vppd = stage.start();
    assert!(stage.told("READY=1").contains("STATUS=ready"));
    stage.told("WATCHDOG=1");
    stage.told("WATCHDOG=1");
    vppd.signal("-TERM");
    let stopping = stage.told("STOPPING=1");
    assert!(stopping.contains("EXTEND_TIMEOUT_USEC=30000000"), "{stopping}");
    assert_eq!(vppd.ended().code(), Some(0), "{}", stage.log());
    assert!(!stage.path("control.sock").exists());
}

#[test]
fn a_second_vppd_is_refused_with_words() {
    let stage = Stage::new();
    let _first = stage.start_ready();
    let (code, words) = stage.refused();
    assert_eq!(code, 1);
    assert!(words.contains("another vppd is running"), "{words}");
    let status = Command::new(env!("CARGO_BIN_EXE_vppd"))
        .args(["--socket", stage.path("control.sock").to_str().unwrap(), "status"])
        .output();
    assert!(status.unwrap().status.success(), "the first goes on");
}

#[test]
fn settings_that_are_wrong_have_a_code_that_systemd_does_not_retry() {
    let stage = Stage::new();
    stage.settings("listen = 443\n");
    let (code, words) = stage.refused();
    assert_eq!(code, 78, "{words}");
    assert!(words.contains("vppd.toml:8:1: "), "{words}");
    stage.certificate();
    fs::write(stage.path("key.pem"), "nothing").unwrap();
    stage.settings(&stage.with_certificate());
    let (code, words) = stage.refused();
    assert_eq!(code, 78, "{words}");
    assert!(words.contains("key.pem holds no private key in PEM"), "{words}");
    fs::remove_file(stage.path("vppd.toml")).unwrap();
    assert_eq!(stage.refused().0, 78);
}

#[test]
fn a_port_in_use_is_named_and_may_be_free_later() {
    let stage = Stage::new();
    let taken = TcpListener::bind(("127.0.0.1", stage.port)).unwrap();
    let (code, words) = stage.refused();
    assert_eq!(code, 1, "{words}");
    assert!(words.contains(&format!("cannot listen on 127.0.0.1:{}", stage.port)), "{words}");
    assert!(words.contains("another program does so"), "{words}");
    drop(taken);
    stage.start_ready();
}

#[test]
fn after_a_kill_it_starts_again() {
    let stage = Stage::new();
    let vppd = stage.start_ready();
    vppd.signal("-KILL");
    assert_eq!(vppd.ended().code(), None);
    assert!(stage.path("control.sock").exists(), "a dead socket is left behind");
    stage.start_ready();
}

#[test]
fn a_database_of_a_newer_vppd_is_refused_for_good() {
    let stage = Stage::new();
    let vppd = stage.start_ready();
    vppd.signal("-TERM");
    assert_eq!(vppd.ended().code(), Some(0));
    let database = rusqlite::Connection::open(stage.path("state/vppd.db")).unwrap();
    database.pragma_update(None, "user_version", 9999).unwrap();
    drop(database);
    let (code, words) = stage.refused();
    assert_eq!(code, 65, "{words}");
    assert!(words.contains("newer vppd") && words.contains("9999"), "{words}");
}

#[test]
fn a_reload_changes_the_certificate_and_drops_nobody() {
    let stage = Stage::new();
    let first = stage.certificate();
    stage.settings(&stage.with_certificate());
    let vppd = stage.start_ready();
    let mut open = stage.connect(&[&first]);
    let second = stage.certificate();
    stage.settings(&format!("{}max-connections = 7\n[log]\nlevel = \"warn\"\n", stage.with_certificate()));
    vppd.signal("-HUP");
    let reloading = stage.told("RELOADING=1");
    assert!(reloading.contains("MONOTONIC_USEC="), "{reloading}");
    let ready = stage.told("READY=1");
    assert!(ready.contains("STATUS=ready; a restart is needed for [devices] max-connections"), "{ready}");
    ask(&mut open);
    assert_eq!(served(&open), &first);
    let new = stage.connect(&[&first, &second]);
    assert_eq!(served(&new), &second);
    vppd.signal("-TERM");
    assert_eq!(vppd.ended().code(), Some(0));
    assert!(!stage.log().contains("vppd has ended"), "the log level holds at once: {}", stage.log());
}

#[test]
fn a_reload_with_wrong_settings_changes_nothing() {
    let stage = Stage::new();
    let first = stage.certificate();
    stage.settings(&stage.with_certificate());
    let vppd = stage.start_ready();
    stage.certificate();
    stage.settings(&format!("{}[planner]\nsettel = \"1s\"\n", stage.with_certificate()));
    vppd.signal("-HUP");
    stage.told("RELOADING=1");
    let ready = stage.told("READY=1");
    assert!(ready.contains("STATUS=ready; the last reload was refused: "), "{ready}");
    assert!(ready.contains("unknown key `settel`"), "{ready}");
    assert_eq!(stage.log().matches("unknown key `settel`").count(), 1, "told once: {}", stage.log());
    assert_eq!(served(&stage.connect(&[&first])), &first, "the old certificate holds");
    // Right settings, but a key that does not belong to its certificate.
    let key = fs::read(stage.path("key.pem")).unwrap();
    stage.certificate();
    fs::write(stage.path("key.pem"), key).unwrap();
    stage.settings(&stage.with_certificate());
    vppd.signal("-HUP");
    stage.told("RELOADING=1");
    assert!(stage.told("READY=1").contains("refused: the device listener's certificate"));
    assert_eq!(served(&stage.connect(&[&first])), &first);
    stage.certificate();
    vppd.signal("-HUP");
    stage.told("RELOADING=1");
    assert_eq!(stage.told("READY=1"), "READY=1\nSTATUS=ready\n");
}

#[test]
fn another_master_key_is_refused_for_good() {
    let stage = Stage::new();
    let vppd = stage.start_ready();
    vppd.signal("-TERM");
    assert_eq!(vppd.ended().code(), Some(0));
    fs::write(stage.path("state/master.key"), [7; 32]).unwrap();
    let (code, words) = stage.refused();
    assert_eq!(code, 65, "{words}");
    assert!(words.contains("the master key is not the one"), "{words}");
}
