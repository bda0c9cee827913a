use super::*;

const LIMIT: usize = 1 << 20;

fn read(inner: &str) -> Result<Checkin, MessageError> {
    let body = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?><plist version=\"1.0\"><dict>{inner}</dict></plist>");
    Checkin::read(body.as_bytes(), LIMIT)
}

fn bad_key(inner: &str) -> BadKey {
    match read(inner) {
        Err(MessageError::Key(key)) => key,
        other => panic!("expected an error about a key, got {other:?}"),
    }
}

const TABLET: &str = "<key>UDID</key><string>00008110-0011AA22BB33CC44</string>";
const TOPIC: &str = "<key>Topic</key><string>com.apple.mgmt.External.11112222-3333-4444-5555-666677778888</string>";

#[test]
fn a_tablet_tells_what_it_is_when_it_enrols() {
    let message = read(&format!(
        "<key>MessageType</key><string>Authenticate</string>{TOPIC}{TABLET}
         <key>OSVersion</key><string>18.4</string><key>BuildVersion</key><string>22E240</string>
         <key>ProductName</key><string>iPad14,1</string><key>SerialNumber</key><string>HT9K3M2XQ7</string>
         <key>SomethingNew</key><dict><key>A</key><true/></dict>"
    ))
    .unwrap();
    let Checkin::Authenticate(device) = message else { panic!("{message:?}") };
    assert_eq!(device.enrollment.key(), "00008110-0011AA22BB33CC44");
    assert!(device.enrollment.is_device_channel());
    assert_eq!(device.serial_number.as_deref(), Some("HT9K3M2XQ7"));
    assert_eq!(device.os_version.as_deref(), Some("18.4"));
    assert_eq!(device.product_name.as_deref(), Some("iPad14,1"));
    assert_eq!(device.imei, None);
}

#[test]
fn a_personal_phone_enrols_without_udid_and_serial_number() {
    let message = read(&format!(
        "<key>MessageType</key><string>Authenticate</string>{TOPIC}
         <key>EnrollmentID</key><string>0AB1C2D3-0000-4111-8222-333344445555</string>"
    ))
    .unwrap();
    let Checkin::Authenticate(device) = message else { panic!("{message:?}") };
    assert_eq!(device.enrollment.device, DeviceId::EnrollmentId("0AB1C2D3-0000-4111-8222-333344445555".into()));
    assert_eq!(device.serial_number, None);
}

#[test]
fn a_token_update_drops_the_unlock_token_and_shows_no_secret() {
    let message = read(&format!(
        "<key>MessageType</key><string>TokenUpdate</string>{TOPIC}{TABLET}
         <key>PushMagic</key><string>MAGIC-WORD</string><key>Token</key><data>dG9rZW4tYnl0ZXM=</data>
         <key>UnlockToken</key><data>dW5sb2NrLW1l</data><key>AwaitingConfiguration</key><false/>"
    ))
    .unwrap();
    let shown = format!("{message:?}");
    for secret in ["MAGIC-WORD", "token-bytes", "unlock-me", "116, 111"] {
        assert!(!shown.contains(secret), "{shown}");
    }
    let Checkin::TokenUpdate(update) = message else { panic!("{shown}") };
    assert_eq!((update.token.as_slice(), update.push_magic.as_str()), (b"token-bytes".as_slice(), "MAGIC-WORD"));
    assert_eq!((update.awaiting_configuration, update.not_on_console), (Some(false), None));
}

#[test]
fn each_kind_of_user_channel_is_told_apart_by_its_own_key() {
    let mac = read(&format!(
        "<key>MessageType</key><string>CheckOut</string>{TABLET}
         <key>UserID</key><string>AAAA1111-2222-4333-8444-555566667777</string>
         <key>UserShortName</key><string>mlund</string><key>UserLongName</key><string>Mette Lund</string>"
    ))
    .unwrap();
    let user = mac.enrollment().unwrap().user.clone().unwrap();
    assert_eq!(user.id, "AAAA1111-2222-4333-8444-555566667777");
    assert_eq!(user.long_name.as_deref(), Some("Mette Lund"));

    let shared = read(&format!(
        "<key>MessageType</key><string>CheckOut</string>{TABLET}
         <key>UserID</key><string>FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF</string>
         <key>UserShortName</key><string>mlund@school.example</string>"
    ))
    .unwrap();
    assert_eq!(shared.enrollment().unwrap().key(), "00008110-0011AA22BB33CC44:mlund@school.example");

    let personal = read(
        "<key>MessageType</key><string>CheckOut</string><key>EnrollmentID</key><string>E-1</string>
         <key>EnrollmentUserID</key><string>U-1</string>",
    )
    .unwrap();
    assert_eq!(personal.enrollment().unwrap().key(), "E-1:U-1");
}

#[test]
fn a_user_id_of_the_wrong_type_does_not_make_the_user_the_device() {
    let inner = format!("<key>MessageType</key><string>CheckOut</string>{TABLET}<key>UserID</key><integer>7</integer>");
    assert_eq!(bad_key(&inner), BadKey::WrongType("UserID"));
    let shared = format!(
        "<key>MessageType</key><string>CheckOut</string>{TABLET}
         <key>UserID</key><string>FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF</string>"
    );
    assert_eq!(bad_key(&shared), BadKey::Missing("UserShortName"));
}

#[test]
fn a_required_key_that_is_missing_or_wrong_is_named() {
    assert_eq!(bad_key(TABLET), BadKey::Missing("MessageType"));
    let authenticate = "<key>MessageType</key><string>Authenticate</string>";
    assert_eq!(bad_key(authenticate), BadKey::Missing("UDID"));
    assert_eq!(bad_key(&format!("{authenticate}{TABLET}")), BadKey::Missing("Topic"));
    let update = format!("<key>MessageType</key><string>TokenUpdate</string>{TOPIC}{TABLET}");
    assert_eq!(bad_key(&format!("{update}<key>Token</key><string>x</string>")), BadKey::WrongType("Token"));
    assert_eq!(bad_key(&format!("{authenticate}{TOPIC}<key>UDID</key><string/>")), BadKey::WrongType("UDID"));
    let long = "9".repeat(300);
    let inner = format!("{authenticate}{TOPIC}<key>UDID</key><string>{long}</string>");
    assert_eq!(bad_key(&inner), BadKey::WrongType("UDID"));
}

#[test]
fn an_optional_key_of_the_wrong_type_counts_as_absent() {
    let message = read(&format!(
        "<key>MessageType</key><string>Authenticate</string>{TOPIC}{TABLET}<key>OSVersion</key><real>18.4</real>"
    ))
    .unwrap();
    let Checkin::Authenticate(device) = message else { panic!("{message:?}") };
    assert_eq!(device.os_version, None);
}

#[test]
fn the_remaining_messages_are_known_and_new_ones_are_named() {
    let kind =
        |name: &str, more: &str| read(&format!("<key>MessageType</key><string>{name}</string>{TABLET}{more}")).unwrap();
    assert!(matches!(kind("UserAuthenticate", ""), Checkin::UserAuthenticate { .. }));
    let token = "<key>BootstrapToken</key><data>c2VjcmV0</data>";
    assert!(matches!(kind("SetBootstrapToken", token), Checkin::SetBootstrapToken { .. }));
    assert!(matches!(kind("GetBootstrapToken", ""), Checkin::GetBootstrapToken { .. }));
    let service = "<key>TokenServiceType</key><string>com.apple.maid</string>";
    assert!(matches!(kind("GetToken", service), Checkin::GetToken { service, .. } if service == "com.apple.maid"));
    let declarative = kind("DeclarativeManagement", "<key>Endpoint</key><string>tokens</string>");
    assert!(matches!(declarative, Checkin::DeclarativeManagement { data: None, .. }));
    let new = kind("ReturnToService", "");
    assert_eq!(new, Checkin::Unknown { message_type: "ReturnToService".into() });
    assert_eq!(new.enrollment(), None);
}
