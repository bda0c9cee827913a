use super::*;

const SHIPPED: &str = include_str!("../../etc/vppd.toml");

fn defaults() -> Config {
    let devices = Devices { url: "https://mdm.example.org".to_owned(), ..Devices::default() };
    Config {
        server: Server::default(),
        apple: Apple { mdm_name: "mdm.example.org".to_owned(), ..Apple::default() },
        devices,
        notifications: Notifications::default(),
        apns: Apns::default(),
        enrolment: Enrolment::default(),
        identity: Identity::default(),
        sync: Sync::default(),
        metadata: Metadata::default(),
        planner: Planner::default(),
        licences: Licences::default(),
        directory: Directory::default(),
        log: Log::default(),
        backup: Backup::default(),
        file: PathBuf::new(),
        files: Vec::new(),
    }
}

/// How the comment ends above a key that has no default.
const NOT_SET: &str = " Not set; for example:";

/// The shipped file with every key in force; those that have no default only when `examples` is set. The address is always
/// there: nothing works without.
fn uncommented(examples: bool) -> String {
    let mut before = "";
    let line = |line: &'static str| {
        let not_set =
            std::mem::replace(&mut before, line).ends_with(NOT_SET) && !line.starts_with("#url = \"https://mdm");
        match line.strip_prefix('#') {
            Some(setting) if setting.starts_with(|c: char| c.is_ascii_lowercase()) && (examples || !not_set) => setting,
            Some(_) => "",
            None => line,
        }
    };
    SHIPPED.lines().map(line).collect::<Vec<_>>().join("\n")
}

fn report(text: &str) -> String {
    Config::from_text("vppd.toml", text).expect_err("the text is wrong").to_string()
}

#[test]
fn the_shipped_file_lacks_the_address_and_else_gives_the_defaults() {
    let report = report(SHIPPED);
    assert!(report.starts_with("vppd.toml: [devices] url is missing"), "{report}");
    assert!(!report.contains("problems in"), "{report}");
    let filled_in = SHIPPED.replacen("#url = ", "url = ", 1);
    assert_eq!(Config::from_text("vppd.toml", &filled_in), Ok(defaults()));
}

#[test]
fn the_values_that_the_shipped_file_shows_are_the_defaults() {
    assert_eq!(Config::from_text("vppd.toml", &uncommented(false)), Ok(defaults()));
}

#[test]
fn what_the_shipped_file_calls_not_set_are_the_files_that_can_be_named_and_a_few_keys_more() {
    let (_, faults, files) = read(&uncommented(true));
    let more = [
        "#url = ",
        "#directory = ",
        "#file = ",
        "#client-certificate-name = ",
        "#trusted-proxies = ",
        "#proxy = ",
        "#proxy-user = ",
        "#no-proxy = ",
        "#key-id = ",
        "#team-id = ",
        "#silent-after = ",
    ];
    let more: usize = more.iter().map(|key| SHIPPED.matches(key).count()).sum();
    assert_eq!((faults.len(), files.len() + more), (0, SHIPPED.matches(NOT_SET).count()));
}

#[test]
fn the_shipped_file_has_every_key_and_explains_it() {
    let text = uncommented(true);
    let document = DeTable::parse(&text).unwrap();
    let mut reader = Reader::new(document.get_ref());
    reader.section("server", Server::read);
    reader.section("devices", Devices::read);
    reader.section("apple", |section| Apple::read(section, ""));
    reader.section("notifications", Notifications::read);
    reader.section("apns", Apns::read);
    reader.section("enrolment", |section| Enrolment::read(section, true));
    let scep = reader.section("identity.scep", Scep::read);
    let acme = reader.section("identity.acme", Acme::read);
    reader.section("identity", |section| Identity::read(section, scep, acme));
    reader.section("sync", Sync::read);
    reader.section("metadata", Metadata::read);
    reader.section("planner", Planner::read);
    reader.section("licences", Licences::read);
    reader.section("directory", Directory::read);
    reader.section("log", Log::read);
    reader.section("backup", Backup::read);
    let known = reader.known().iter().flat_map(|(section, keys)| keys.iter().map(move |key| (*section, *key)));
    let mut known: Vec<(&str, &str)> = known.collect();
    let mut shown: Vec<(&str, &str)> = Vec::new();
    for (section, keys) in document.get_ref() {
        for (key, value) in keys.get_ref().as_table().unwrap() {
            match value.get_ref().as_table() {
                None => shown.push((section.get_ref(), key.get_ref())),
                Some(inner) => {
                    let name =
                        known.iter().find(|(name, _)| *name == format!("{}.{}", section.get_ref(), key.get_ref()));
                    let name = name.expect("no such section").0;
                    shown.extend(inner.keys().map(|key| (name, key.get_ref().as_ref())));
                }
            }
        }
    }
    known.sort_unstable();
    shown.sort_unstable();
    assert_eq!(shown, known);
    let mut explained = false;
    for line in SHIPPED.lines() {
        let is_key = line.trim_start_matches('#').starts_with(|c: char| c.is_ascii_lowercase());
        assert!(!is_key || explained, "{line} is not explained");
        explained = line.starts_with("# ");
    }
}

#[test]
fn settings_override_the_defaults() {
    let text = r#"
        [devices]
        url = "https://MDM.School.example:8443/"
        listen = "127.0.0.1:8443"
        [apple]
        base-url = "http://localhost:9000/mdm/v2"
        event-poll = ["10ms", "1s"]
        [log]
        level = "debug"
    "#;
    let config = Config::from_text("vppd.toml", text).unwrap();
    assert_eq!(config.devices.url, "https://mdm.school.example:8443");
    assert_eq!(config.devices.host(), "mdm.school.example");
    assert_eq!(config.devices.listen.port(), 8443);
    assert_eq!(config.apple.base_url, "http://localhost:9000/mdm/v2/");
    assert_eq!(config.apple.mdm_name, "mdm.school.example");
    assert_eq!(config.apple.event_poll.len(), 2);
    assert_eq!(config.log.level.word(), "debug");
}

#[test]
fn all_problems_are_told_at_once() {
    let text = "\
[server]
drain-timeout = 20
[devices]
url = \"https://192.0.2.1\"
certificate = \"/etc/vppd/c.pem\"
[sync]
intervall = \"12h\"
full-interval = \"soon\"
[enrollment]
organisation = \"A\"
";
    let expected = "\
vppd.toml:2:17: `drain-timeout` must be a duration in quotes, but this is a whole number
 2 | drain-timeout = 20
   |                 ^^
   = for example: drain-timeout = \"20s\"
vppd.toml:4:7: `url` must name a host, not an IP address: it is written into every enrolment and can never change
 4 | url = \"https://192.0.2.1\"
   |       ^^^^^^^^^^^^^^^^^^^
   = for example: url = \"https://mdm.example.org\"
vppd.toml:5:15: `certificate` is set, but `key` is not
 5 | certificate = \"/etc/vppd/c.pem\"
   |               ^^^^^^^^^^^^^^^^^
   = set both, or neither: without them vppd makes its own certificate
vppd.toml:7:1: unknown key `intervall` in [sync]
 7 | intervall = \"12h\"
   | ^^^^^^^^^
   = did you mean `interval`?
vppd.toml:8:17: `full-interval` is not a duration of at most ten years
 8 | full-interval = \"soon\"
   |                 ^^^^^^
   = write a number and a unit (ms, s, m, h, d), for example: full-interval = \"7d\"
vppd.toml:9:2: unknown section [enrollment]
 9 | [enrollment]
   |  ^^^^^^^^^^
   = did you mean [enrolment]?
6 problems in vppd.toml";
    assert_eq!(report(text), expected);
}

#[test]
fn a_section_within_a_section_is_read() {
    let base = "[devices]\nurl = \"https://mdm.example.org:8443\"\nclient-certificate-name = \"Devices.Example.org\"\n";
    let text = format!("{base}max-connections = 7\n[identity.scep]\nallow-legacy-ciphers = true\n");
    let config = Config::from_text("vppd.toml", &text).unwrap();
    assert!(config.identity.scep.allow_legacy_ciphers);
    assert_eq!(config.devices.client_certificate_url().as_deref(), Some("https://devices.example.org:8443"));
    assert_eq!(config.devices.max_connections_per_address, 4, "half, when it is not set");
}

#[test]
fn a_broken_line_does_not_hide_the_other_problems() {
    let expected = "\
vppd.toml:2:11: not valid TOML: string values must be quoted, expected literal string
 2 | listen = [::]:443
   |           ^^
   = the file is TOML: a line is `key = value`, and text stands in \"quotes\"
vppd.toml:4:9: `level` has no choice \"loud\"
 4 | level = \"loud\"
   |         ^^^^^^
   = the choices are \"info\", \"error\", \"warn\", \"debug\", \"trace\"
2 problems in vppd.toml";
    assert_eq!(report("[devices]\nlisten = [::]:443\n[log]\nlevel = \"loud\"\n"), expected);
}

#[test]
fn each_kind_of_nonsense_is_named_where_it_stands() {
    let base = "[devices]\nurl = \"https://mdm.example.org\"\n";
    for (text, place, message) in [
        ("[apple]\nrequests-per-second = 1001", "4:23", "must lie between 1 and 1000"),
        ("[apple]\nrequests-per-second = -1", "4:23", "must lie between 1 and 1000"),
        ("[apple]\nevent-poll = [\"20s\", \"10s\"]", "4:14", "from the shortest to the longest"),
        ("[apple]\nevent-poll = []", "4:14", "at least one duration"),
        ("[apple]\nevent-poll = [\"1s\", 5]", "4:21", "a duration in quotes"),
        ("[apple]\nbase-url = \"http://vpp.example.org/\"", "4:12", "only for localhost"),
        ("[apple]\ncertificate = \"/a\"", "4:1", "`certificate` belongs in [apns] or [devices]"),
        ("[apple]\nmdm_name = \"a\"", "4:1", "did you mean `mdm-name`?"),
        ("[apns]\nkey = \"key.pem\"", "4:7", "beginning with /"),
        ("[sync]\nfull-interval = \"1h\"", "4:17", "shorter than `interval`"),
        ("[sync]\ninterval = \"0s\"", "4:12", "longer than zero"),
        ("[log]\ntarget = \"journald\"", "4:10", "did you mean \"journal\"?"),
        ("[[planner]]\nsettle = \"1s\"", "3:3", "a section that is opened once"),
        ("[server]\ncontrol-group = \"\"", "4:17", "`control-group` is empty"),
        ("[enrolment]\nsign-profiles = \"yes\"", "4:17", "true or false without quotes"),
        ("[enrolment]\nproof = \"client-certificate\"", "4:9", "needs a name at which client certificates are asked"),
        ("client-certificate-name = \"mdm.example.org\"", "3:27", "another name than that in `url`"),
        ("client-certificate-name = \"devices.example.org:443\"", "3:27", "a full DNS name and nothing else"),
        ("[identity.scep]\nallow-legacy-cipher = true", "4:1", "did you mean `allow-legacy-ciphers`?"),
        ("[identity]\nscep = true", "4:1", "a section that is opened once"),
        ("[identity]\nallow-legacy-ciphers = true", "4:1", "belongs in [identity.scep]"),
        ("[devices]\nlisten = \"[::]:443\"", "3:2", "duplicate key"),
        ("[apple]\nproxy = \"https://proxy.example.org\"", "4:9", "must begin with http://"),
        ("[apple]\nproxy = \"http://proxy.example.org/a\"", "4:9", "without a path"),
        ("[notifications]\nurl = \"http://notify.example.org\"", "4:7", "must begin with https://"),
        ("[notifications]\nlisten = \"[::]:8446\"", "4:10", "only with a certificate"),
        ("[notifications]\nkey = \"/a\"", "4:7", "`certificate` is not"),
        ("[apple]\nproxy-user = \"me\"", "4:14", "`proxy-password-file` is not"),
        ("[apns]\nno-proxy = [\"a.org\"]", "4:12", "only with `proxy`"),
        ("[apns]\nproxy = \"http://a.org\"\nno-proxy = [\"*.org\"]", "5:12", "neither a host name nor"),
        ("[apns]\nproxy = \"http://a.org\"\nno-proxy = \"a.org\"", "5:12", "a list of texts"),
    ] {
        let report = report(&format!("{base}{text}\n"));
        assert!(report.starts_with(&format!("vppd.toml:{place}: ")), "{report}");
        assert!(report.contains(message), "{report}");
    }
}

#[test]
fn the_device_address_must_be_one_that_can_last() {
    for url in
        ["http://mdm.example.org", "https://[::1]", "https://mdm", "https://mdm.example.org/mdm", "mdm.example.org"]
    {
        let report = report(&format!("[devices]\nurl = \"{url}\""));
        assert!(report.starts_with("vppd.toml:2:7: `url` must"), "{report}");
    }
    assert!(Config::from_text("vppd.toml", "[devices]\nurl = \"https://localhost:8443\"").is_ok());
    assert!(report("url = \"https://a.example\"").contains("`url` belongs in [devices]"));
    assert!(report("").starts_with("vppd.toml: [devices] url is missing"));
}

#[test]
fn a_pasted_private_key_is_not_shown() {
    let report = report("[apns]\ncertificate = \"/a\"\nkey = \"-----BEGIN PRIVATE KEY-----\\nc2VjcmV0\"\n");
    assert!(report.contains("holds the content of a file instead of its path"), "{report}");
    assert!(!report.contains("c2VjcmV0"), "{report}");
}

#[test]
fn named_files_must_be_readable_when_the_file_is_loaded() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vppd.toml");
    let absent = folder.path().join("absent.pem");
    let text = format!("[devices]\nurl = \"https://mdm.example.org\"\n[apple]\nextra-ca = \"{}\"\n", absent.display());
    std::fs::write(&path, &text).unwrap();
    let report = Config::load(&path).expect_err("the file is absent").to_string();
    assert!(report.contains(":4:12: [apple] extra-ca cannot be read"), "{report}");
    std::fs::write(&absent, "pem").unwrap();
    assert!(Config::load(&path).is_ok());
}

#[test]
fn an_absent_settings_file_is_explained() {
    let error = Config::load(Path::new("/nonexistent/vppd.toml")).expect_err("absent");
    assert!(error.to_string().contains("--config"), "{error}");
}

#[test]
fn the_control_socket_is_found_in_a_file_with_problems() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vppd.toml");
    std::fs::write(&path, "[server]\ncontrol-socket = \"/run/other.sock\"\nnonsense = 1\n").unwrap();
    assert_eq!(server_section(&path).control_socket, Path::new("/run/other.sock"));
    assert_eq!(server_section(&folder.path().join("none")).control_socket, Path::new("/run/vppd/control.sock"));
}
