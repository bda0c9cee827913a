use super::*;
use crate::model::Cause;

fn system(platform: &'static str, version: &str) -> System {
    System::new(platform, version, false)
}

fn able() -> Capabilities {
    let set = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
    Capabilities {
        configurations: set(&[capabilities::MANAGED_APP, capabilities::SUBSCRIPTIONS]),
        status_items: set(&["app.managed.list", "mdm.app", "device.operating-system.version"]),
    }
}

fn app(adam_id: &str) -> ManagedApp {
    ManagedApp {
        adam_id: adam_id.to_owned(),
        install: Install::Required,
        licence: Assignment::Device,
        build: None,
        updates: None,
        attributes: serde_json::Map::new(),
        attempt: 0,
    }
}

fn declared(system: &System, apps: &[ManagedApp]) -> Declarations {
    Declarations::new(system, Some(&able()), apps)
}

fn payload(system: &System, app: ManagedApp) -> Value {
    let identifier = format!("vppd.app.{}", app.adam_id);
    declared(system, &[app]).get(Kind::Configuration, &identifier).unwrap()["Payload"].clone()
}

#[test]
fn section_7_5_each_system_gets_the_words_that_it_knows() {
    let full = ManagedApp {
        attributes: serde_json::from_str(r#"{"Removable": false, "VPNUUID": "v"}"#).unwrap(),
        updates: Some(false),
        ..app("7")
    };
    let licence = json!({ "Assignment": "Device" });
    let attributes = json!({ "VPNUUID": "v" });
    let table = [
        (
            system("iOS", "17.4.1"),
            json!({ "AppStoreID": "7", "Attributes": attributes, "InstallBehavior": {
                "Install": "Required", "License": { "Assignment": "Device", "VPPType": "Device" } } }),
        ),
        (
            system("iOS", "18.0"),
            json!({ "AppStoreID": "7", "Attributes": attributes,
                "InstallBehavior": { "Install": "Required", "License": licence } }),
        ),
        (
            system("iOS", "26.1"),
            json!({ "AppStoreID": "7", "Attributes": attributes,
                "InstallBehavior": { "Install": "Required", "License": licence },
                "UpdateBehavior": { "AutomaticAppUpdates": "AlwaysOff" } }),
        ),
        (
            system("macOS", "26"),
            json!({ "AppStoreID": "7", "InstallBehavior": { "Install": "Required", "License": licence },
                "UpdateBehavior": { "AutomaticAppUpdates": "AlwaysOff" } }),
        ),
    ];
    for (system, expected) in table {
        assert_eq!(payload(&system, full.clone()), expected, "{system:?}");
    }
    let pinned = payload(&system("iOS", "26.0"), ManagedApp { build: Some(870), ..full.clone() });
    assert_eq!(pinned["InstallBehavior"]["Version"], 870);
    assert_eq!(pinned.get("UpdateBehavior"), None, "it would be ignored");
    assert_eq!(
        payload(&system("iOS", "18.5"), ManagedApp { build: Some(870), ..full })["InstallBehavior"].get("Version"),
        None
    );
    let offered = ManagedApp { install: Install::Optional, licence: Assignment::User, ..app("7") };
    let offered = payload(&system("visionOS", "2.4"), offered)["InstallBehavior"].clone();
    assert_eq!(offered, json!({ "Install": "Optional", "License": { "Assignment": "User" } }));
}

#[test]
fn section_7_3_lists_name_every_declaration_and_the_activation_every_configuration() {
    let declared = declared(&system("iOS", "18.5"), &[app("9"), app("10")]);
    let items = declared.items();
    let names = |key: &str| -> Vec<&str> {
        items["Declarations"][key].as_array().unwrap().iter().map(|one| one["Identifier"].as_str().unwrap()).collect()
    };
    assert_eq!(names("Configurations"), ["vppd.app.10", "vppd.app.9", "vppd.status"]);
    assert_eq!((names("Activations"), names("Assets"), names("Management")), (vec!["vppd.activation"], vec![], vec![]));
    assert_eq!(items["DeclarationsToken"], declared.token());
    let activation = declared.get(Kind::Activation, "vppd.activation").unwrap();
    assert_eq!(activation["Payload"]["StandardConfigurations"], json!(["vppd.app.10", "vppd.app.9", "vppd.status"]));
    assert_eq!(activation["ServerToken"], items["Declarations"]["Activations"][0]["ServerToken"]);
    let tokens = declared.tokens("2026-01-31T12:00:00.5Z".parse().unwrap());
    assert_eq!(
        tokens["SyncTokens"],
        json!({ "DeclarationsToken": declared.token(), "Timestamp": "2026-01-31T12:00:00Z" })
    );
    let status = declared.get(Kind::Configuration, "vppd.status").unwrap();
    assert_eq!(status["Payload"]["StatusItems"][0], json!({ "Name": "app.managed.list" }));
    for (kind, identifier) in
        [(Kind::Activation, "vppd.app.9"), (Kind::Configuration, "vppd.app.1"), (Kind::Asset, "x")]
    {
        assert_eq!(declared.get(kind, identifier), None);
    }
}

#[test]
fn section_7_3_tokens_change_with_every_byte_and_with_nothing_else() {
    let ios = system("iOS", "18.5");
    let token = |apps: &[ManagedApp]| declared(&ios, apps).token().to_owned();
    let before = token(&[app("1"), app("2")]);
    assert_eq!(token(&[app("2"), app("1")]), before, "the order of the wishes");
    assert!(before.len() <= 64);
    let others = [
        vec![app("1")],
        vec![app("1"), ManagedApp { attempt: 1, ..app("2") }],
        vec![app("1"), ManagedApp { install: Install::Optional, ..app("2") }],
        vec![app("1"), ManagedApp { licence: Assignment::User, ..app("2") }],
    ];
    for other in others {
        assert_ne!(token(&other), before, "{other:?}");
    }
    let again = declared(&ios, &[ManagedApp { attempt: 1, ..app("1") }]);
    let first = declared(&ios, &[app("1")]);
    let of = |all: &Declarations| all.get(Kind::Configuration, "vppd.app.1").unwrap();
    assert_eq!(of(&again)["Payload"], of(&first)["Payload"], "another try says the same");
    assert_ne!(of(&again)["ServerToken"], of(&first)["ServerToken"]);
}

#[test]
fn section_7_1_a_device_gets_only_what_it_says_that_it_can() {
    let ios = system("iOS", "18.5");
    let nothing = Declarations::new(&ios, None, &[app("1")]);
    assert_eq!(
        nothing.items()["Declarations"],
        json!({ "Activations": [], "Assets": [], "Configurations": [], "Management": [] })
    );
    let without_apps = Capabilities {
        configurations: [capabilities::SUBSCRIPTIONS.to_owned()].into(),
        status_items: ["mdm.app".to_owned()].into(),
    };
    let told = Declarations::new(&ios, Some(&without_apps), &[app("1")]);
    assert_eq!(told.get(Kind::Configuration, "vppd.app.1"), None);
    assert_eq!(
        told.get(Kind::Configuration, "vppd.status").unwrap()["Payload"],
        json!({ "StatusItems": [{ "Name": "mdm.app" }] })
    );
    // Without a word of what becomes of them, nobody would know.
    let silent = Capabilities { status_items: ["mdm.app".to_owned()].into(), ..able() };
    assert!(!silent.manages_apps() && silent.tells_of_apps());
    for (platform, version, user_enrolment, worth) in [
        ("iOS", "16.0", false, true),
        ("iOS", "15.7", false, false),
        ("iOS", "15.0", true, true),
        ("macOS", "12.6", false, false),
        ("macOS", "13", false, true),
        ("tvOS", "16.1", false, true),
        ("visionOS", "1.0", false, false),
        ("visionOS", "1.1", false, true),
        ("watchOS", "10.0", false, true),
        ("", "18.0", false, false),
        ("iOS", "", false, false),
    ] {
        assert_eq!(
            System::new(platform, version, user_enrolment).may_know_declarations(),
            worth,
            "{platform} {version}"
        );
    }
}

#[test]
fn endpoints_are_read() {
    let asked = |kind, identifier: &str| Some(Question::Declaration { kind, identifier: identifier.to_owned() });
    for (endpoint, expected) in [
        ("tokens", Some(Question::Tokens)),
        ("declaration-items", Some(Question::Items)),
        ("status", Some(Question::Status)),
        ("declaration/configuration/vppd.app.7", asked(Kind::Configuration, "vppd.app.7")),
        ("declaration/activation/a", asked(Kind::Activation, "a")),
        ("declaration/asset/a/b", asked(Kind::Asset, "a/b")),
        ("declaration/management/a", asked(Kind::Management, "a")),
        ("declaration/configuration/", None),
        ("declaration/other/a", None),
        ("declaration", None),
        ("Tokens", None),
        ("", None),
    ] {
        assert_eq!(Question::read(endpoint), expected, "{endpoint}");
    }
    assert_eq!((app_of("vppd.app.7"), app_of("vppd.status")), (Some("7"), None));
}

#[test]
fn section_7_6_a_report_of_what_has_changed_is_read() {
    let report = StatusReport::read(
        br#"{"StatusItems": {
            "app": {"managed": {"list": [
                {"identifier": "example.reader", "declaration-identifier": "vppd.app.11", "external-version-id": 870000123,
                 "state": "managed", "update-state": "available"},
                {"identifier": "example.forms", "external-version-id": "12", "state": "failed",
                 "reasons": [{"code": "Error.LicenseNotFound", "description": "d"}, {"code": 5}]},
                {"identifier": "example.new", "state": "levitating"},
                {"state": "managed"}, 7]}},
            "mdm": {"app": [{"identifier": "example.old", "_removed": true},
                {"identifier": "example.gone", "external-version-id": "870", "state": "managed-but-uninstalled"}]},
            "device": {"operating-system": {"version": "18.6"}},
            "management": {"declarations": {"activations": [], "configurations": [
                {"identifier": "vppd.app.11", "active": true, "valid": "valid"},
                {"identifier": "vppd.app.12", "active": false, "valid": "invalid", "reasons": [{"code": "Error.X"}]}]},
              "client-capabilities": {"supported-payloads": {"status-items": ["mdm.app", "moon.phase"],
                "declarations": {"configurations": ["com.apple.configuration.app.managed", 4]}}}}},
          "Errors": [{"StatusItem": "mdm.app", "Reasons": [{"Code": "Error.Y", "Description": "why"}]}]}"#,
    )
    .unwrap();
    assert!(!report.full);
    let apps = report.declared.unwrap();
    let seen: Vec<_> = apps.iter().map(|app| (app.identifier.as_str(), app.state, app.build)).collect();
    assert_eq!(
        seen,
        [
            ("example.reader", Some(AppState::Managed), Some(870_000_123)),
            ("example.forms", Some(AppState::Failed), Some(12)),
            ("example.new", None, None),
        ]
    );
    assert_eq!(apps[0].declaration.as_deref(), Some("vppd.app.11"));
    assert_eq!(cause(&apps[1].reasons), Cause::LicenceNotSeen);
    assert!(reason_words(&apps[1].reasons).contains("does not see the licence"));
    let apps = report.commanded.unwrap();
    assert!(apps[0].removed);
    assert_eq!(apps[1].state, Some(crate::mdm::report::AppStatus::ManagedButUninstalled));
    assert_eq!(apps[1].build, Some(870));
    assert_eq!(report.os_version.as_deref(), Some("18.6"));
    assert_eq!(report.invalid[0].0, "vppd.app.12");
    assert_eq!(report.errors[0].0, "mdm.app");
    let known = report.capabilities.unwrap();
    assert_eq!(known.status_items, ["mdm.app".to_owned()].into());
    assert_eq!(known.configurations, ["com.apple.configuration.app.managed".to_owned()].into());
}

#[test]
fn a_report_without_a_list_says_nothing_of_it_and_an_empty_list_says_that_it_is_empty() {
    let nothing = StatusReport::read(br#"{"StatusItems": {}, "Errors": []}"#).unwrap();
    assert_eq!((nothing.declared, nothing.commanded, nothing.capabilities), (None, None, None));
    let empty =
        StatusReport::read(br#"{"StatusItems": {"app": {"managed": {"list": []}}, "mdm": 3}, "FullReport": true}"#);
    let empty = empty.unwrap();
    assert_eq!((empty.full, empty.declared.map(|list| list.len()), empty.commanded), (true, Some(0), None));
    for broken in ["", "[]", "7", "{", "\u{feff}{}", &"[".repeat(100_000)] {
        assert!(StatusReport::read(broken.as_bytes()).is_err(), "{}", &broken[..broken.len().min(20)]);
    }
}

#[test]
fn reasons_are_told_and_unknown_ones_with_the_devices_own_words() {
    let reasons = |codes: &[&str]| -> Vec<status::Reason> {
        let reason = |code: &&str| status::Reason { code: (*code).to_owned(), description: "of its own".to_owned() };
        codes.iter().map(reason).collect()
    };
    let table = [
        (
            vec!["Error.LicenseNotFound"],
            Cause::LicenceNotSeen,
            "does not see the licence for this device yet (Error.LicenseNotFound)",
        ),
        (vec!["Error.DownloadFailed"], Cause::DownloadFailed, "download"),
        (vec!["Error.InstallFailed"], Cause::DeviceTrouble, "installation"),
        (vec!["Error.UpdateFailed"], Cause::DeviceTrouble, "update"),
        (vec!["Error.UserRejected"], Cause::Declined, "declined"),
        (vec!["Error.UnmanagedAppAlreadyInstalled"], Cause::OwnCopy, "delete it first"),
        (vec!["Error.DuplicateConfiguredApp"], Cause::VppdFault, "another declaration"),
        (vec!["Error.AppStoreDisabled"], Cause::InstallingForbidden, "disabled"),
        (vec!["Error.InvalidAppID"], Cause::NotInStore, "does not know the app"),
        (vec!["Error.NotAnApp"], Cause::WrongKind, "not that of an app"),
        (vec!["Error.NotSupported"], Cause::NotSupported, "does not run"),
        (vec!["Error.InvalidCodeSignature"], Cause::DeviceTrouble, "signed"),
        (vec!["Error.IsSystemApp"], Cause::SystemApp, "part of the system"),
        (vec!["Error.MoonPhase"], Cause::Unknown, "Error.MoonPhase, which vppd does not know: of its own"),
        (vec!["Error.MoonPhase", "Error.NotSupported"], Cause::NotSupported, "MoonPhase"),
        (vec![], Cause::Unknown, "without a reason"),
    ];
    for (codes, named, words) in table {
        let reasons = reasons(&codes);
        assert_eq!(cause(&reasons), named, "{codes:?}");
        let told = reason_words(&reasons);
        assert!(told.contains(words), "{told}");
    }
}
