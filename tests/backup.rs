//! Runs every command of `docs/backup.md` with the real program: two machines in two folders, stock openssl and tar, and a
//! small stand-in for systemctl.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const HANDBOOK: &str = include_str!("../docs/backup.md");

/// One machine: its folders stand for `/etc/vppd`, `/var/lib/vppd` and so on.
struct Machine {
    root: PathBuf,
    /// Where commands are run: the administrator's own machine, with the recovery key.
    desk: PathBuf,
    backups: PathBuf,
}

impl Machine {
    fn new(folder: &Path, name: &str, port: u16) -> Machine {
        let machine = Machine { root: folder.join(name), desk: folder.join("desk"), backups: folder.join("backups") };
        for place in [machine.root.join("etc"), machine.desk.clone(), machine.backups.clone()] {
            std::fs::create_dir_all(place).unwrap();
        }
        machine.write_settings(&format!(
            "[server]\nstate-directory = {:?}\ncontrol-socket = {:?}\ncontrol-group = \"root\"\n\
             [devices]\nlisten = \"127.0.0.1:{port}\"\nurl = \"https://localhost:{port}\"\n",
            folder.join("state"),
            folder.join("control.sock"),
        ));
        machine
    }

    fn settings(&self) -> PathBuf {
        self.root.join("etc/vppd.toml")
    }

    fn write_settings(&self, text: &str) {
        std::fs::write(self.settings(), text).unwrap();
    }

    /// The text with the paths of this machine.
    fn here(&self, text: &str) -> String {
        let folder = self.root.parent().unwrap();
        text.replace("/etc/vppd/", &format!("{}/", self.root.join("etc").display()))
            .replace("/var/lib/vppd", &folder.join("state").display().to_string())
            .replace("/var/backups", &self.backups.display().to_string())
    }

    fn run(&self, script: &str) -> Output {
        let script = self.here(script);
        let prelude = format!(
            r#"set -e
            vppd() {{ '{vppd}' --config '{settings}' "$@"; }}
            systemctl() {{
                [ "$2" = vppd ]
                case "$1" in
                    stop) if [ -e '{pid}' ]; then kill "$(cat '{pid}')" 2>/dev/null || true
                              while kill -0 "$(cat '{pid}')" 2>/dev/null; do read -rt 0.02 <> <(:) || true; done
                              rm '{pid}'; fi ;;
                    start) '{vppd}' --config '{settings}' run </dev/null >>'{log}' 2>&1 & echo $! >'{pid}'
                           for _ in $(seq 1500); do vppd status >/dev/null 2>&1 && return
                               kill -0 "$(cat '{pid}')" || break; read -rt 0.02 <> <(:) || true; done
                           cat '{log}' >&2; return 1 ;;
                    restart) systemctl stop vppd; systemctl start vppd ;;
                esac
            }}
            "#,
            vppd = env!("CARGO_BIN_EXE_vppd"),
            settings = self.settings().display(),
            pid = self.root.join("pid").display(),
            log = self.root.join("log").display(),
        );
        Command::new("bash").arg("-c").arg(prelude + &script).current_dir(&self.desk).output().unwrap()
    }

    /// Runs a script that must succeed, and returns what it printed.
    fn done(&self, script: &str) -> String {
        let output = self.run(script);
        let log = std::fs::read_to_string(self.root.join("log")).unwrap_or_default();
        assert!(output.status.success(), "{script}\n{}\n{log}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs a script that must fail, and returns what it said.
    fn refused(&self, script: &str) -> String {
        let output = self.run(script);
        assert!(!output.status.success(), "{script}");
        String::from_utf8(output.stderr).unwrap()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.run("systemctl stop vppd");
    }
}

/// The blocks of one language under one heading of the handbook.
fn blocks(heading: &str, language: &str) -> Vec<&'static str> {
    let (_, rest) = HANDBOOK.split_once(&format!("\n## {heading}\n")).unwrap_or_else(|| panic!("no heading {heading}"));
    let section = rest.split("\n## ").next().unwrap();
    let fence = format!("```{language}\n");
    section.split(&fence).skip(1).map(|block| block.split("```").next().unwrap()).collect()
}

#[test]
fn the_handbook_holds_no_command_that_is_not_run() {
    let run = [
        "The recovery key",
        "Making a backup",
        "Looking inside, without vppd",
        "Moving to a new machine",
        "Is the database whole?",
        "Going back after an upgrade",
        "Another master key",
    ];
    let count: usize = run.iter().map(|heading| blocks(heading, "sh").len()).sum();
    assert_eq!(count, HANDBOOK.matches("```sh\n").count());
}

#[test]
fn every_command_of_the_handbook_works() {
    let folder = tempfile::tempdir().unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let old = Machine::new(folder.path(), "old", port);
    let state = folder.path().join("state");
    old.done("systemctl start vppd");
    let [make, put, restart] = blocks("The recovery key", "sh").try_into().unwrap();
    assert!(old.refused("vppd backup /var/backups/early.cms").contains("docs/backup.md"));
    old.done(make);
    old.done(put);
    let [settings] = blocks("The recovery key", "toml").try_into().unwrap();
    let before = std::fs::read_to_string(old.settings()).unwrap();
    // Before vppd may need them: the shipped defaults name no files.
    old.write_settings(&(before + &old.here(settings)));
    old.done(restart);
    old.done("vppd pause --reason 'before the move'");

    let [backup] = blocks("Making a backup", "sh").try_into().unwrap();
    assert!(old.done(backup).contains("Only the recovery key opens it"));
    let file = old.backups.join("vppd-by-hand.cms");
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(old.refused(backup).contains("--force"), "an older backup is not replaced by mistake");
    let master_key = std::fs::read(state.join("master.key")).unwrap();
    let sealed = std::fs::read(&file).unwrap();
    for clear in [master_key.as_slice(), b"SQLite format 3", b"PRIVATE KEY"] {
        assert!(!sealed.windows(clear.len()).any(|part| part == clear), "the backup is not encrypted");
    }
    let by_itself = std::fs::read_dir(old.backups.join("vppd")).unwrap().count();
    assert_eq!(by_itself, 1, "one is made by the clock at the first start");

    let [look] = blocks("Looking inside, without vppd", "sh").try_into().unwrap();
    let inside = old.done(look);
    for name in ["vppd.db", "master.key", "manifest.json", "etc/vppd.toml", "recovery-certificate.pem", "\"digests\""] {
        assert!(inside.contains(name), "{name} in {inside}");
    }

    // A running vppd is never overwritten.
    let [moving, decrypted] = blocks("Moving to a new machine", "sh").try_into().unwrap();
    let restore = "vppd restore /var/backups/vppd-by-hand.cms --recovery-key recovery-key.pem --force";
    assert!(old.refused(restore).contains("systemctl stop vppd"));
    let authority = authority(port);
    old.done("systemctl stop vppd");
    assert!(!state.join("vppd.db-wal").exists(), "an orderly end leaves no log");
    std::fs::remove_dir_all(&state).unwrap();
    let new = Machine::new(folder.path(), "new", port);
    new.done("systemctl start vppd");
    assert_ne!(self::authority(port), authority, "an empty vppd makes keys of its own");
    assert!(new.refused("systemctl stop vppd; vppd restore /var/backups/vppd-by-hand.cms").contains("is encrypted"));
    let without_force = new.refused(&restore.replace(" --force", ""));
    assert!(without_force.contains("holds the state of a vppd already"), "{without_force}");
    let shown = new.done(moving);
    assert!(shown.contains("before the move") && shown.contains("is whole"), "{shown}");
    assert_eq!(self::authority(port), authority, "devices meet the authority that they know");
    assert!(!state.join("master.key.previous").exists() && !state.join("restore.ready").exists());
    assert_ne!(std::fs::read(state.join("master.key")).unwrap(), master_key, "the new machine has a key of its own");
    let kept: Vec<_> = std::fs::read_dir(state.join("copies")).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(
        kept.iter().any(|path| path.to_string_lossy().contains("before-restore-") && path.join("vppd.db").exists())
    );
    assert!(new.settings().with_extension("toml.before-restore").exists());
    assert!(new.done(decrypted).contains("the old machine never runs vppd again"));
    assert!(new.done("vppd status").contains("before the move"));

    let [whole] = blocks("Is the database whole?", "sh").try_into().unwrap();
    assert!(new.done(whole).contains("is whole"));
    // A copy, as one is made before a migration.
    new.done("systemctl stop vppd; cp /var/lib/vppd/vppd.db /var/lib/vppd/copies/schema-1-20261102T060000Z.db; systemctl start vppd");
    let [back] = blocks("Going back after an upgrade", "sh").try_into().unwrap();
    new.done(back);
    let key = std::fs::read(state.join("master.key")).unwrap();
    let [rotate] = blocks("Another master key", "sh").try_into().unwrap();
    new.done(rotate);
    assert!(!state.join("master.key.previous").exists());
    assert_ne!(std::fs::read(state.join("master.key")).unwrap(), key);
    assert_eq!(self::authority(port), authority, "and its secrets are still there");

    // What vppd cannot mend by starting again is told apart by the exit code, so that systemd leaves it at that.
    new.done("systemctl stop vppd");
    std::fs::write(state.join("master.key"), [7; 32]).unwrap();
    let wrong = new.run("vppd run");
    assert_eq!(wrong.status.code(), Some(65), "{}", String::from_utf8_lossy(&wrong.stderr));
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("master key"));
    std::fs::set_permissions(state.join("master.key"), std::fs::Permissions::from_mode(0o644)).unwrap();
    let open = new.run("vppd run");
    assert_eq!(open.status.code(), Some(65));
    assert!(String::from_utf8_lossy(&open.stderr).contains("chmod 600"));
    assert!(new.done("vppd check").contains("chmod 600"));
}

/// Who signed the certificate that the device listener shows.
fn authority(port: u16) -> String {
    let script = format!(
        "openssl s_client -connect 127.0.0.1:{port} -servername localhost -showcerts </dev/null 2>/dev/null \
         | awk '/BEGIN CERT/ {{ n++ }} n == 2' | openssl x509 -noout -fingerprint -sha256"
    );
    let output = Command::new("bash").arg("-c").arg(script).output().unwrap();
    let shown = String::from_utf8(output.stdout).unwrap();
    assert!(shown.contains("Fingerprint="), "{shown} {}", String::from_utf8_lossy(&output.stderr));
    shown
}
