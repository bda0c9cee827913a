use super::*;

const HEAD: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
"#;

/// Without indentation, so that the expected texts stay readable here.
fn encoded(command: &Command) -> String {
    let xml = String::from_utf8(command.encode("c-77")).unwrap();
    let body = xml.strip_prefix(HEAD).unwrap().strip_suffix("</plist>\n").unwrap();
    body.lines().map(str::trim).collect()
}

fn wrapped(inner: &str) -> String {
    let inner: String = inner.lines().map(str::trim).collect();
    format!("<dict><key>CommandUUID</key><string>c-77</string><key>Command</key><dict>{inner}</dict></dict>")
}

#[test]
fn an_installation_pays_with_a_licence_and_goes_with_the_profile() {
    let command = Command::InstallApplication(InstallApplication::of(1_700_000_042));
    let expected = "<key>RequestType</key><string>InstallApplication</string>
        <key>iTunesStoreID</key><integer>1700000042</integer>
        <key>Options</key><dict><key>PurchaseMethod</key><integer>1</integer></dict>
        <key>ManagementFlags</key><integer>1</integer>";
    assert_eq!(encoded(&command), wrapped(expected));
}

#[test]
fn a_take_over_on_a_mac_says_both() {
    let command = Command::InstallApplication(InstallApplication {
        adam_id: 7,
        take_over: true,
        install_as_managed: true,
        ..InstallApplication::of(7)
    });
    let expected = "<key>RequestType</key><string>InstallApplication</string>
        <key>iTunesStoreID</key><integer>7</integer>
        <key>Options</key><dict><key>PurchaseMethod</key><integer>1</integer></dict>
        <key>ManagementFlags</key><integer>1</integer>
        <key>ChangeManagementState</key><string>Managed</string>
        <key>InstallAsManaged</key><true/>";
    assert_eq!(encoded(&command), wrapped(expected));
}

#[test]
fn configuration_and_attributes_go_as_they_were_said() {
    let mut install = InstallApplication::of(7);
    install.configuration = Some("<plist><dict><key>server</key><string>a</string></dict></plist>".into());
    install.attributes.insert("Removable".into(), false.into());
    let expected = "<key>RequestType</key><string>InstallApplication</string>
        <key>iTunesStoreID</key><integer>7</integer>
        <key>Options</key><dict><key>PurchaseMethod</key><integer>1</integer></dict>
        <key>ManagementFlags</key><integer>1</integer>
        <key>Configuration</key><dict><key>server</key><string>a</string></dict>
        <key>Attributes</key><dict><key>Removable</key><false/></dict>";
    assert_eq!(encoded(&Command::InstallApplication(install)), wrapped(expected));
}

#[test]
fn a_mac_in_user_enrolment_gets_no_flags() {
    let command = InstallApplication { without_flags: true, ..InstallApplication::of(7) };
    let expected = "<key>RequestType</key><string>InstallApplication</string>
        <key>iTunesStoreID</key><integer>7</integer>
        <key>Options</key><dict><key>PurchaseMethod</key><integer>1</integer></dict>";
    assert_eq!(encoded(&Command::InstallApplication(command)), wrapped(expected));
}

#[test]
fn the_other_commands_are_as_apple_describes_them() {
    let remove = Command::RemoveApplication(RemoveApplication { identifier: "example.fjord.a&b".into() });
    let expected = "<key>RequestType</key><string>RemoveApplication</string>
        <key>Identifier</key><string>example.fjord.a&amp;b</string>";
    assert_eq!(encoded(&remove), wrapped(expected));

    let managed = ManagedApplicationList { identifiers: vec!["example.fjord.maps".into()] };
    let expected = "<key>RequestType</key><string>ManagedApplicationList</string>
        <key>Identifiers</key><array><string>example.fjord.maps</string></array>";
    assert_eq!(encoded(&Command::ManagedApplicationList(managed)), wrapped(expected));
    let all = Command::ManagedApplicationList(ManagedApplicationList::default());
    assert_eq!(encoded(&all), wrapped("<key>RequestType</key><string>ManagedApplicationList</string>"));

    let installed = InstalledApplicationList { identifiers: Vec::new(), managed_apps_only: true };
    let xml = encoded(&Command::InstalledApplicationList(installed));
    assert!(
        xml.contains("<key>ManagedAppsOnly</key><true/><key>Items</key><array><string>Identifier</string>"),
        "{xml}"
    );

    let device = Command::DeviceInformation(DeviceInformation::for_licensing());
    let xml = encoded(&device);
    assert!(xml.contains("<key>Queries</key><array><string>UDID</string><string>SerialNumber</string>"), "{xml}");
}

#[test]
fn a_profile_is_written_into_its_command_and_never_stored_with_it() {
    let command = Command::InstallProfile(InstallProfile { reference: "p-1".into(), payload: b"secret".to_vec() });
    let expected = "<key>RequestType</key><string>InstallProfile</string><key>Payload</key><data>c2VjcmV0</data>";
    assert_eq!(encoded(&command), wrapped(expected));
    assert_eq!(serde_json::to_string(&command).unwrap(), r#"{"RequestType":"InstallProfile","reference":"p-1"}"#);
}

#[test]
fn questions_go_before_removals_and_removals_before_installations() {
    let question = Command::DeviceInformation(DeviceInformation::for_licensing());
    let removal = Command::RemoveApplication(RemoveApplication { identifier: "a".into() });
    let install = Command::InstallApplication(InstallApplication::of(1));
    assert!(question.priority() < removal.priority());
    assert!(removal.priority() < install.priority());
}

#[test]
fn a_command_survives_its_storage_as_json() {
    let commands = [
        Command::InstallApplication(InstallApplication {
            take_over: true,
            configuration: Some("<plist/>".into()),
            ..InstallApplication::of(u64::MAX)
        }),
        Command::RemoveApplication(RemoveApplication { identifier: "example.fjord.maps".into() }),
        Command::ManagedApplicationList(ManagedApplicationList::default()),
        Command::InstalledApplicationList(InstalledApplicationList::default()),
        Command::DeviceInformation(DeviceInformation::for_licensing()),
        Command::InstallProfile(InstallProfile { reference: "p-1".into(), payload: Vec::new() }),
    ];
    for command in commands {
        let json = serde_json::to_string(&command).unwrap();
        assert!(json.contains(&format!("\"RequestType\":\"{}\"", command.request_type())), "{json}");
        assert_eq!(serde_json::from_str::<Command>(&json).unwrap(), command);
    }
}
