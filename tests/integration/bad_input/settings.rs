//! The settings file, wrong in every way, as `vppd check` and `vppd run` see it.

use std::path::Path;
use std::process::{Command, Output};

use super::table::Table;

const BASE: &str = "[devices]\nurl = \"https://mdm.example.org\"\n";

/// What is added to a good file, and what the answer says.
const CASES: [(&str, &str, &str); 31] = [
    ("text without quotes", "[server]\ncontrol-group = root", "4:17: not valid TOML"),
    ("line without a value", "[server]\ndrain-timeout =", "not valid TOML"),
    ("quote that is never closed", "[server]\ncontrol-group = \"root", "4:"),
    ("section that is never closed", "[server", "not valid TOML"),
    ("duplicate key", "[server]\ncontrol-group = \"a\"\ncontrol-group = \"b\"", "5:1: not valid TOML: duplicate key"),
    ("duplicate section", "[devices]\nlisten = \"[::]:443\"", "duplicate key"),
    ("section written twice as a list", "[[planner]]\nsettle = \"1s\"", "a section that is opened once"),
    ("unknown section, nearly right", "[aple]\n", "did you mean [apple]?"),
    ("unknown section, nothing like it", "[zzz]\n", "the sections are:"),
    ("unknown key, nearly right", "[sync]\nintervall = \"12h\"", "did you mean `interval`?"),
    ("unknown key, nothing like it", "[sync]\nzzzzzzzz = 1", "[sync] has:"),
    ("key with an underscore", "[apple]\nmdm_name = \"a\"", "did you mean `mdm-name`?"),
    ("key of another section", "[apple]\ncertificate = \"/a\"", "belongs in [apns] or [devices]"),
    ("number where text belongs", "[server]\ncontrol-group = 5", "must be text in quotes"),
    ("text where a number belongs", "[apple]\nrequests-per-second = \"5\"", "a whole number without quotes"),
    ("text where a flag belongs", "[enrolment]\nsign-profiles = \"yes\"", "true or false without quotes"),
    ("number where a duration belongs", "[server]\ndrain-timeout = 20", "for example: drain-timeout = \"20s\""),
    ("duration in words", "[sync]\ninterval = \"twelve hours\"", "write a number and a unit"),
    ("duration beyond reason", "[sync]\ninterval = \"9999999999d\"", "at most ten years"),
    ("duration of zero", "[sync]\ninterval = \"0s\"", "longer than zero"),
    ("number too large", "[apple]\nrequests-per-second = 1001", "between 1 and 1000"),
    ("negative number", "[apple]\nrequests-per-second = -1", "between 1 and 1000"),
    ("number beyond 64 bits", "[apple]\nrequests-per-second = 99999999999999999999", "between 1 and 1000"),
    ("unknown choice", "[log]\nlevel = \"verbose\"", "the choices are"),
    ("list that goes down", "[apple]\nevent-poll = [\"20s\", \"10s\"]", "from the shortest to the longest"),
    ("empty list", "[apple]\nevent-poll = []", "at least one duration"),
    ("relative path", "[apns]\nkey = \"key.pem\"\ncertificate = \"/c.pem\"", "beginning with /"),
    ("key without its certificate", "[apns]\nkey = \"/etc/hostname\"", "`key` is set, but `certificate` is not"),
    ("authority without a certificate", "ca = \"/etc/hostname\"", "`ca` is of use only with `certificate`"),
    ("table where a path belongs", "[devices.ca]\nx = 1", "but this is a table"),
    ("full sync more often than the small one", "[sync]\nfull-interval = \"1h\"", "shorter than `interval`"),
];

fn vppd(config: &Path, command: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_vppd")).arg("--config").arg(config).arg(command).output().unwrap()
}

/// What the program says of a file, which it must refuse with the exit code that systemd does not retry.
fn refused(config: &Path, command: &str) -> String {
    let output = vppd(config, command);
    assert_eq!(output.status.code(), Some(78), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn every_wrong_settings_file_is_told_where_and_what_to_write_instead() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("vppd.toml");
    let mut table = Table::new("settings");
    for (name, text, says) in CASES {
        std::fs::write(&config, format!("{BASE}{text}\n")).unwrap();
        table.row(name, &text.replace('\n', " / "), &refused(&config, "check"), says);
    }
    let secret = "MIIEvQIBADANBgkq";
    table.secret(secret);
    let absent = folder.path().join("absent.pem");
    let texts = [
        ("no device address", "[log]\nlevel = \"info\"\n".to_owned(), "[devices] url is missing"),
        (
            "device address with http",
            "[devices]\nurl = \"http://mdm.example.org\"\n".to_owned(),
            "must begin with https://",
        ),
        ("device address that is an IP", "[devices]\nurl = \"https://192.0.2.1\"\n".to_owned(), "not an IP address"),
        ("Apple without TLS", format!("{BASE}[apple]\nbase-url = \"http://vpp.example.org/\"\n"), "only for localhost"),
        ("named file that is not there", format!("{BASE}[apple]\nextra-ca = {absent:?}\n"), "extra-ca cannot be read"),
        ("named file that is a folder", format!("{BASE}[apple]\nextra-ca = {:?}\n", folder.path()), "it is not a file"),
        (
            "private key pasted into the file",
            format!("{BASE}[apns]\ncertificate = \"/a\"\nkey = \"-----BEGIN PRIVATE KEY-----\\n{secret}\"\n"),
            "the content of a file instead of its path",
        ),
        (
            "private key pasted below a key",
            format!("{BASE}[apns]\nkey =\n-----BEGIN PRIVATE KEY-----\n{secret}\n-----END PRIVATE KEY-----\n"),
            "not valid TOML",
        ),
    ];
    for (name, text, says) in texts {
        std::fs::write(&config, &text).unwrap();
        table.row(name, &text.replace('\n', " / "), &refused(&config, "check"), says);
    }
    for (name, bytes, says) in [
        ("not UTF-8", b"[devices]\nurl = \"\xff\xfe\"\n".to_vec(), "UTF-8"),
        ("UTF-16", BASE.encode_utf16().flat_map(u16::to_le_bytes).collect(), "not valid TOML"),
        ("empty file", Vec::new(), "[devices] url is missing"),
        (
            "brackets 100,000 deep",
            format!("{BASE}[apple]\nevent-poll = {}", "[".repeat(100_000)).into_bytes(),
            "not valid TOML",
        ),
    ] {
        std::fs::write(&config, &bytes).unwrap();
        table.row(name, &format!("{} bytes", bytes.len()), &refused(&config, "check"), says);
    }
    table.row("no such file", "gone.toml", &refused(&folder.path().join("gone.toml"), "check"), "--config");
    table.row("a folder", "the folder", &refused(folder.path(), "check"), "name the file itself");
    std::fs::write(&config, format!("{BASE}[zzz]\n")).unwrap();
    table.row("starting with a wrong file", "vppd run", &refused(&config, "run"), "unknown section");
    std::fs::write(&config, BASE).unwrap();
    assert!(vppd(&config, "check").status.success(), "the good file is taken afterwards");
    table.end(44);
}
