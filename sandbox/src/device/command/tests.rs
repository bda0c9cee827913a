use super::*;
use crate::device::testing::{dictionary, to_xml};

fn read(command: Dictionary) -> Result<Command, Refusal> {
    let envelope = dictionary([("CommandUUID", "u1".into()), ("Command", command.into())]);
    let received = Received::read(&to_xml(&envelope)).unwrap();
    assert_eq!(received.uuid, "u1");
    received.command
}

fn command<const N: usize>(kind: &str, keys: [(&str, Value); N]) -> Dictionary {
    let mut command = dictionary(keys);
    command.insert("RequestType".to_owned(), kind.into());
    command
}

fn dict<const N: usize>(keys: [(&str, Value); N]) -> Value {
    dictionary(keys).into()
}

fn list(texts: &[&str]) -> Value {
    Value::Array(texts.iter().map(|text| Value::from(*text)).collect())
}

#[test]
fn a_full_installation_command_is_understood() {
    let keys = [
        ("iTunesStoreID", 1_600_000_011.into()),
        ("Options", dict([("PurchaseMethod", 1.into())])),
        ("ManagementFlags", 1.into()),
        ("ChangeManagementState", "Managed".into()),
        ("Configuration", dict([("anything", true.into())])),
        ("Attributes", dict([("Removable", false.into())])),
        ("InstallAsManaged", true.into()),
    ];
    let app = AppName::Adam(1_600_000_011);
    let Ok(Command::InstallApplication(mut install)) = read(command("InstallApplication", keys)) else { panic!() };
    assert!(install.configuration.take().unwrap().contains("<key>anything</key>"));
    assert!(install.attributes.take().unwrap().contains("<key>Removable</key>"));
    let (configuration, attributes) = (None, None);
    assert_eq!(install, Install { app, by_licence: true, take_over: true, flags: 1, configuration, attributes });
}

#[test]
fn commands_are_refused_for_every_unknown_or_ill_typed_key() {
    let id = || ("iTunesStoreID", Value::from(1));
    let install = "InstallApplication";
    let cases = [
        ("id as text", command(install, [("iTunesStoreID", "1".into())])),
        ("no id", command(install, [])),
        ("two ids", command(install, [id(), ("Identifier", "a".into())])),
        ("manifest", command(install, [("ManifestURL", "https://x/".into())])),
        ("unknown key", command(install, [id(), ("ManagementFlag", 1.into())])),
        ("odd flags", command(install, [id(), ("ManagementFlags", 2.into())])),
        ("flags as bool", command(install, [id(), ("ManagementFlags", true.into())])),
        ("unknown option", command(install, [id(), ("Options", dict([("purchaseMethod", 1.into())]))])),
        ("odd method", command(install, [id(), ("Options", dict([("PurchaseMethod", 2.into())]))])),
        ("unknown attribute", command(install, [id(), ("Attributes", dict([("removable", true.into())]))])),
        ("odd management", command(install, [id(), ("ChangeManagementState", "managed".into())])),
        ("removal without app", command("RemoveApplication", [])),
        ("removal by number", command("RemoveApplication", [id()])),
        ("items as text", command("InstalledApplicationList", [("Items", "Name".into())])),
        ("identifiers of numbers", command("ManagedApplicationList", [("Identifiers", Value::Array(vec![1.into()]))])),
        ("items in the managed list", command("ManagedApplicationList", [("Items", list(&["Name"]))])),
        ("no queries", command("DeviceInformation", [])),
        ("profile as text", command("InstallProfile", [("Payload", "x".into())])),
        ("unknown key in the profile list", command("ProfileList", [("Managed", true.into())])),
        ("settings without item", command("Settings", [("Settings", Value::Array(vec![dict([])]))])),
        ("no type", Dictionary::new()),
    ];
    for (name, command) in cases {
        let refusal = read(command).expect_err(name);
        assert!(!matches!(refusal, Refusal::UnknownType(_)), "{name}");
    }
    assert_eq!(read(command("EraseDevice", [])), Err(Refusal::UnknownType("EraseDevice".into())));
}

#[test]
fn the_other_commands_are_understood() {
    let items = command("InstalledApplicationList", [("ManagedAppsOnly", true.into()), ("Items", list(&["Name"]))]);
    let expected = Command::InstalledApplicationList {
        identifiers: None,
        managed_only: true,
        items: Some(vec!["Name".to_owned()]),
    };
    assert_eq!(read(items), Ok(expected));
    let settings = command("Settings", [("Settings", Value::Array(vec![dict([("Item", "OrganizationInfo".into())])]))]);
    assert_eq!(read(settings), Ok(Command::Settings { items: vec!["OrganizationInfo".to_owned()] }));
    assert_eq!(read(command("ProfileList", [])), Ok(Command::ProfileList));
}

#[test]
fn an_envelope_with_unknown_keys_is_refused_and_one_without_uuid_cannot_be_answered() {
    let envelope = [("CommandUUID", "u".into()), ("Command", command("ProfileList", []).into()), ("Extra", 1.into())];
    let received = Received::read(&to_xml(&dictionary(envelope))).unwrap();
    assert!(matches!(received.command, Err(Refusal::Schema { place: "the reply", .. })));
    assert_eq!(Received::read(b"<plist/>"), Err(Unreadable));
    assert_eq!(Received::read(&to_xml(&dictionary([("Command", dict([]))]))), Err(Unreadable));
}
