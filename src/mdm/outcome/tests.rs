use super::*;

fn link(domain: &str, code: i64) -> ErrorLink {
    ErrorLink { domain: domain.into(), code, localized: None, us_english: None }
}

fn mdm(code: i64) -> Vec<ErrorLink> {
    vec![link("MCMDMErrorDomain", code)]
}

fn refused(chain: &[ErrorLink], rejection: Option<RejectionReason>) -> Outcome {
    judge(Asked::Install, &Status::Error, chain, rejection.as_ref(), Some(&AppStatus::Failed))
}

#[test]
fn an_inner_link_that_says_more_counts_before_an_outer_one_that_says_little() {
    let chain = [link("MDMErrorDomain", 12010), link("MDMErrorDomain", 12064), link("DMFErrorDomain", 2605)];
    assert_eq!(refused(&chain, None), Outcome::Refused(Cause::LicenceNotSeen));
    assert_eq!(refused(&chain[..1], None), Outcome::Refused(Cause::DeviceTrouble));
    assert!(explain(&chain).ends_with("(MDMErrorDomain 12064)"), "{}", explain(&chain));
}

#[test]
fn a_number_of_another_domain_means_nothing() {
    assert_eq!(refused(&[link("SomebodysErrorDomain", 12064)], None), Outcome::Refused(Cause::Unknown));
}

#[test]
fn accepted_is_not_installed() {
    let accepted = |state: Option<AppStatus>| judge(Asked::Install, &Status::Acknowledged, &[], None, state.as_ref());
    assert_eq!(accepted(None), Outcome::Accepted);
    assert_eq!(accepted(Some(AppStatus::Queued)), Outcome::Accepted);
    assert_eq!(accepted(Some(AppStatus::PromptingForManagement)), Outcome::Accepted);
    assert_eq!(accepted(Some(AppStatus::PromptingForLogin)), Outcome::Accepted);
    assert_eq!(accepted(Some(AppStatus::Managed)), Outcome::Done);
    let removed = judge(Asked::Remove, &Status::Acknowledged, &[], None, None);
    assert_eq!(removed, Outcome::Done);
}

#[test]
fn a_known_error_is_explained_and_numbered() {
    let chain = [link("SomebodysErrorDomain", 1), link("MCMDMErrorDomain", 12031)];
    assert_eq!(explain(&chain), "A restriction on the device forbids installing apps. (MCMDMErrorDomain 12031)");
    assert_eq!(refused(&mdm(12031), None), Outcome::Refused(Cause::InstallingForbidden));
}

#[test]
fn an_unknown_error_is_shown_as_it_came_without_control_characters() {
    let mut inner = link("FooDomain", 7);
    inner.localized = Some("Noget\ngik\u{7} galt".into());
    let mut outer = link("BarDomain", 1);
    outer.us_english = Some("outer".into());
    let told = explain(&[outer.clone(), inner]);
    assert_eq!(told, "Unknown to vppd; the device says: BarDomain 1 “outer”; FooDomain 7 “Noget gik  galt”");
    outer.us_english = Some("x".repeat(5000));
    assert!(explain(&[outer]).len() < 300);
    assert_eq!(explain(&[link("FooDomain", 7)]), "Unknown to vppd; the device says: FooDomain 7");
    assert_eq!(explain(&[]), "Unknown to vppd: the device gives no reason");
}
