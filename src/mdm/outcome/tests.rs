use super::*;

fn link(domain: &str, code: i64) -> ErrorLink {
    ErrorLink { domain: domain.into(), code, localized: None, us_english: None }
}

fn install_error(chain: &[ErrorLink], rejection: Option<RejectionReason>, before: Before) -> Verdict {
    judge(Asked::Install, &Status::Error, chain, rejection.as_ref(), Some(&AppStatus::Failed), before)
}

fn mdm(code: i64) -> Vec<ErrorLink> {
    vec![link("MCMDMErrorDomain", code)]
}

#[test]
fn a_licence_that_apple_does_not_see_yet_is_tried_three_times() {
    let chain = [link("ASDServerErrorDomain", 9610)];
    let waits: Vec<_> = (0..4)
        .map(|licence_retries| {
            let before = Before { licence_retries, ..Before::default() };
            install_error(&chain, Some(RejectionReason::Other), before)
        })
        .collect();
    let retry = |minutes: u64| Verdict::RetryLicence { after: Duration::from_secs(minutes * 60) };
    assert_eq!(waits, [retry(1), retry(5), retry(30), Verdict::NeedsPerson(Need::LicenceNotSeen)]);
    for code in [12026, 12047, 12064] {
        assert_eq!(install_error(&mdm(code), None, Before::default()), retry(1));
    }
    assert_eq!(install_error(&[], Some(RejectionReason::PurchaseNotFound), Before::default()), retry(1));
}

#[test]
fn the_old_and_the_new_name_of_the_domain_mean_the_same() {
    let chain = [link("MDMErrorDomain", 12010), link("MDMErrorDomain", 12064), link("DMFErrorDomain", 2605)];
    assert!(matches!(install_error(&chain, None, Before::default()), Verdict::RetryLicence { .. }));
}

#[test]
fn a_number_of_another_domain_means_nothing() {
    let verdict = install_error(&[link("SomebodysErrorDomain", 12064)], None, Before::default());
    assert!(matches!(verdict, Verdict::RetryLater { .. }));
}

#[test]
fn a_persons_own_copy_is_taken_over_once_where_that_is_allowed() {
    let may = Before { may_take_over: true, ..Before::default() };
    assert_eq!(install_error(&mdm(12025), None, may), Verdict::RetryOnceWithTakeOver);
    assert_eq!(
        install_error(&[], Some(RejectionReason::AppAlreadyInstalled), Before::default()),
        Verdict::NeedsPerson(Need::DeleteOwnCopy)
    );
    assert_eq!(judge_app_status(&AppStatus::UserInstalledApp, may), Verdict::RetryOnceWithTakeOver);
}

#[test]
fn a_person_who_declines_is_not_asked_again() {
    let before = Before::default();
    assert_eq!(install_error(&mdm(12063), None, before), Verdict::Stopped(Stop::InstallDeclined));
    assert_eq!(judge_app_status(&AppStatus::UserRejected, before), Verdict::Stopped(Stop::InstallDeclined));
    assert_eq!(judge_app_status(&AppStatus::ManagementRejected, before), Verdict::Stopped(Stop::TakeOverDeclined));
    assert_eq!(judge_app_status(&AppStatus::UpdateRejected, before), Verdict::Stopped(Stop::UpdateDeclined));
    let only_state =
        judge(Asked::Install, &Status::Error, &[], None, Some(&AppStatus::UserRejected), Before::default());
    assert_eq!(only_state, Verdict::Stopped(Stop::InstallDeclined));
}

#[test]
fn accepted_is_not_installed() {
    let accepted = |state: Option<AppStatus>| {
        judge(Asked::Install, &Status::Acknowledged, &[], None, state.as_ref(), Before::default())
    };
    assert_eq!(accepted(None), Verdict::InProgress);
    assert_eq!(accepted(Some(AppStatus::Queued)), Verdict::InProgress);
    assert_eq!(accepted(Some(AppStatus::PromptingForManagement)), Verdict::NeedsPerson(Need::AllowTakeOver));
    assert_eq!(accepted(Some(AppStatus::PromptingForLogin)), Verdict::NeedsPerson(Need::SignIn));
    assert_eq!(accepted(Some(AppStatus::Managed)), Verdict::Done);
}

#[test]
fn removing_what_is_not_there_counts_as_removed() {
    for code in [12029, 12038] {
        let verdict = judge(Asked::Remove, &Status::Error, &mdm(code), None, None, Before::default());
        assert_eq!(verdict, Verdict::AlreadyGone);
        assert!(matches!(install_error(&mdm(code), None, Before::default()), Verdict::RetryLater { .. }));
    }
    let removed = judge(Asked::Remove, &Status::Acknowledged, &[], None, None, Before::default());
    assert_eq!(removed, Verdict::Done);
}

#[test]
fn an_installation_that_runs_already_is_in_progress() {
    let verdict = install_error(&[link("ASDErrorDomain", 506)], Some(RejectionReason::Other), Before::default());
    assert_eq!(verdict, Verdict::InProgress);
    assert_eq!(install_error(&[], Some(RejectionReason::AppAlreadyQueued), Before::default()), Verdict::InProgress);
}

#[test]
fn what_can_never_work_is_not_repeated() {
    let before = Before::default();
    assert_eq!(install_error(&mdm(12031), None, before), Verdict::FinalForDevice(Final::InstallingDisabled));
    assert_eq!(install_error(&mdm(12065), None, before), Verdict::FinalForDevice(Final::SystemApp));
    let unsupported = install_error(&mdm(12010), Some(RejectionReason::NotSupported), before);
    assert_eq!(unsupported, Verdict::FinalForDevice(Final::NotSupported));
    assert_eq!(install_error(&mdm(12007), None, before), Verdict::OurBug);
    let format = judge(Asked::Inventory, &Status::CommandFormatError, &[], None, None, before);
    assert_eq!(format, Verdict::OurBug);
    assert_eq!(judge_app_status(&AppStatus::NeedsRedemption, before), Verdict::OurBug);
}

#[test]
fn everything_else_is_tried_five_times_and_then_shown() {
    let verdict = |other_retries| install_error(&mdm(12010), None, Before { other_retries, ..Before::default() });
    for retries in 0..OTHER_RETRIES {
        assert!(matches!(verdict(retries), Verdict::RetryLater { .. }), "{retries}");
    }
    assert_eq!(verdict(OTHER_RETRIES), Verdict::NeedsPerson(Need::Unexplained));
    assert_eq!(verdict(u32::MAX), Verdict::NeedsPerson(Need::Unexplained));
    assert!(OTHER_WAITS.iter().sum::<u64>() < 24 * 3600);
}

#[test]
fn a_known_error_is_explained_and_numbered() {
    let chain = [link("SomebodysErrorDomain", 1), link("MCMDMErrorDomain", 12031)];
    assert_eq!(explain(&chain), "A restriction on the device forbids installing apps. (MCMDMErrorDomain 12031)");
}

#[test]
fn an_unknown_error_is_quoted_from_the_inside_without_control_characters() {
    let mut inner = link("FooDomain", 7);
    inner.localized = Some("Noget\ngik\u{7} galt".into());
    let mut outer = link("BarDomain", 1);
    outer.us_english = Some("outer".into());
    assert_eq!(explain(&[outer.clone(), inner]), "The device says: “Noget gik  galt” (FooDomain 7)");
    outer.us_english = Some("x".repeat(5000));
    assert!(explain(&[outer]).len() < 300);
    assert_eq!(explain(&[link("FooDomain", 7)]), "The device gives only an error number (FooDomain 7)");
    assert_eq!(explain(&[]), "The device gives no reason");
}

#[test]
fn what_is_stored_of_a_verdict_can_be_read_back_and_said() {
    let json = serde_json::to_string(&Need::LicenceNotSeen).unwrap();
    assert_eq!(json, "\"licence-not-seen\"");
    assert_eq!(serde_json::from_str::<Need>(&json).unwrap(), Need::LicenceNotSeen);
    assert!(Need::LicenceNotSeen.to_string().contains("Check the assignment, then"));
}
