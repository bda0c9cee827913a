use super::*;
use crate::mdm::checkin::DeviceId;

fn read(inner: &str) -> Result<Report, MessageError> {
    let body = format!(
        "<plist version=\"1.0\"><dict><key>UDID</key><string>00008110-0011AA22BB33CC44</string>{inner}</dict></plist>"
    );
    Report::read(body.as_bytes(), 1 << 20)
}

fn result(inner: &str) -> Report {
    read(&format!("<key>CommandUUID</key><string>c-1</string><key>Status</key><string>Acknowledged</string>{inner}"))
        .unwrap()
}

#[test]
fn an_idle_device_names_no_command() {
    let report = read("<key>Status</key><string>Idle</string><key>NotOnConsole</key><false/>").unwrap();
    assert_eq!((&report.status, &report.command_uuid), (&Status::Idle, &None));
    assert_eq!(report.enrollment.device, DeviceId::Udid("00008110-0011AA22BB33CC44".into()));
    assert!(!report.status.is_final());
}

#[test]
fn a_result_without_its_command_is_refused_and_an_unknown_status_is_kept() {
    let missing = read("<key>Status</key><string>NotNow</string>");
    assert!(matches!(missing, Err(MessageError::Key(BadKey::Missing("CommandUUID")))));
    assert!(matches!(read(""), Err(MessageError::Key(BadKey::Missing("Status")))));
    let report = read("<key>Status</key><string>Later</string>").unwrap();
    assert_eq!(report.status, Status::Unknown("Later".into()));
}

#[test]
fn a_failed_installation_brings_reason_state_and_chain() {
    let report = read(
        "<key>CommandUUID</key><string>c-2</string><key>Status</key><string>Error</string>
         <key>State</key><string>Failed</string><key>RejectionReason</key><string>Other</string>
         <key>ErrorChain</key><array>
           <dict><key>ErrorCode</key><integer>12064</integer><key>ErrorDomain</key><string>MDMErrorDomain</string>
             <key>LocalizedDescription</key><string>Licens ikke fundet</string></dict>
           <string>nonsense</string><dict><key>Noise</key><true/></dict>
           <dict><key>ErrorCode</key><integer>2605</integer><key>ErrorDomain</key><string>DMFErrorDomain</string>
             <key>USEnglishDescription</key><string>No licence</string></dict>
         </array>",
    )
    .unwrap();
    assert!(report.status.is_final());
    let codes: Vec<_> = report.error_chain.iter().map(|link| (link.domain.as_str(), link.code)).collect();
    assert_eq!(codes, [("MDMErrorDomain", 12064), ("DMFErrorDomain", 2605)]);
    assert_eq!(report.error_chain[0].localized.as_deref(), Some("Licens ikke fundet"));
    let install = report.install_result();
    assert_eq!(install.state, Some(AppStatus::Failed));
    assert_eq!(install.rejection, Some(RejectionReason::Other));
    assert_eq!(install.identifier, None);
}

#[test]
fn managed_apps_are_read_by_bundle_id() {
    let apps = result(
        "<key>ManagedApplicationList</key><dict>
           <key>example.fjord.maps</key><dict><key>Status</key><string>Managed</string>
             <key>ManagementFlags</key><integer>1</integer><key>HasConfiguration</key><true/>
             <key>ExternalVersionIdentifier</key><integer>870000555</integer></dict>
           <key>example.fjord.forms</key><dict><key>Status</key><string>Melting</string>
             <key>ExternalVersionIdentifier</key><string>870000556</string></dict>
           <key>example.fjord.broken</key><string>not an entry</string>
         </dict>",
    )
    .managed_apps()
    .unwrap();
    assert_eq!(apps.len(), 2);
    let maps = &apps["example.fjord.maps"];
    assert!(maps.status.is_done() && maps.status.is_installed());
    assert_eq!((maps.external_version_identifier, maps.management_flags), (Some(870_000_555), Some(1)));
    let forms = &apps["example.fjord.forms"];
    assert_eq!(forms.status, AppStatus::Other("Melting".into()));
    assert_eq!(forms.external_version_identifier, Some(870_000_556));
    assert_eq!(result("").managed_apps(), Err(BadKey::Missing("ManagedApplicationList")));
}

#[test]
fn installed_apps_are_read_with_their_versions() {
    let apps = result(
        "<key>InstalledApplicationList</key><array>
           <dict><key>Identifier</key><string>example.fjord.maps</string><key>ShortVersion</key><string>4.2</string>
             <key>HasUpdateAvailable</key><true/><key>DeviceBasedVPP</key><true/>
             <key>BundleSize</key><integer>5000000000</integer></dict>
           <dict><key>Name</key><string>Nameless</string><key>Installing</key><true/><key>DownloadPaused</key><true/></dict>
         </array>",
    )
    .installed_apps()
    .unwrap();
    assert_eq!(apps[0].short_version.as_deref(), Some("4.2"));
    assert_eq!((apps[0].has_update_available, apps[0].device_based_vpp), (Some(true), Some(true)));
    assert_eq!(apps[0].bundle_size, Some(5_000_000_000));
    assert!(apps[1].installing && apps[1].download_stuck && apps[1].identifier.is_none());
    let wrong = result("<key>InstalledApplicationList</key><dict/>").installed_apps();
    assert_eq!(wrong, Err(BadKey::WrongType("InstalledApplicationList")));
}

#[test]
fn device_facts_leave_out_what_the_device_does_not_tell() {
    let facts = result(
        "<key>QueryResponses</key><dict><key>SerialNumber</key><string>HT9K3M2XQ7</string>
           <key>IsSupervised</key><true/><key>iTunesStoreAccountIsActive</key><false/>
           <key>AvailableDeviceCapacity</key><real>41.7</real><key>DeviceCapacity</key><integer>64</integer></dict>",
    )
    .device_facts()
    .unwrap();
    assert_eq!(facts.serial_number.as_deref(), Some("HT9K3M2XQ7"));
    assert_eq!((facts.is_supervised, facts.store_account_is_active), (Some(true), Some(false)));
    assert_eq!((facts.available_device_capacity, facts.device_capacity), (Some(41.7), Some(64.0)));
    assert_eq!(facts.store_account_hash, None);
}

#[test]
fn debug_does_not_show_the_body() {
    let report = result("<key>QueryResponses</key><dict><key>DeviceName</key><string>Mette's tablet</string></dict>");
    assert!(!format!("{report:?}").contains("Mette"));
}

#[test]
fn no_status_is_at_once_working_and_waiting_or_refused() {
    let words = "Queued NeedsRedemption Redeeming Prompting PromptingForLogin ValidatingPurchase Installing Managed \
                 ManagedButUninstalled PromptingForManagement PromptingForUpdate PromptingForUpdateLogin \
                 ValidatingUpdate Updating UserInstalledApp UserRejected UpdateRejected ManagementRejected Failed Unknown";
    for word in words.split_whitespace() {
        let status = AppStatus::from(word.to_owned());
        assert!(!matches!(status, AppStatus::Other(_)), "{word}");
        assert_eq!(status.as_str(), word);
        let classes = [
            status.is_done(),
            status.is_working(),
            status.waits_for_person(),
            status.is_final_refusal(),
            status.is_failure(),
            status.is_gone(),
        ];
        assert!(classes.iter().filter(|&&holds| holds).count() <= 1, "{word}: {classes:?}");
    }
    let json = serde_json::to_string(&AppStatus::PromptingForLogin).unwrap();
    assert_eq!(json, "\"PromptingForLogin\"");
    assert_eq!(serde_json::from_str::<AppStatus>("\"Melting\"").unwrap(), AppStatus::Other("Melting".into()));
}
