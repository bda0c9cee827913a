use super::*;

fn around(wanted: Wanted) -> Around {
    Around {
        wanted,
        cover: Cover::Device,
        presence: Presence::Here,
        due: true,
        overdue: false,
        refused_long_ago: false,
        asked_anew: false,
        bundle_id_known: true,
        licence_writable: true,
        licence_revocable: true,
        second: None,
    }
}

fn required() -> Around {
    around(Wanted::Required { install: true })
}

fn gone(wanted: Wanted) -> Around {
    Around { presence: Presence::Gone { kept: false }, ..around(wanted) }
}

fn pair(licence: Licence, app: App) -> Pair {
    Pair { licence, app, ours: licence != Licence::None, ..Pair::unknown(0) }
}

fn apps() -> impl Iterator<Item = App> {
    (0..=11).map(|code| App::from_code(code).unwrap())
}

#[test]
fn an_install_is_sent_only_with_an_assigned_licence() {
    for licence in [Licence::None, Licence::Requested, Licence::Returning] {
        for app in apps() {
            assert_ne!(next_step(&pair(licence, app), &required()), Step::Install, "{licence:?} {app:?}");
            let by_person = Around { cover: Cover::Person(licence), ..required() };
            assert_ne!(next_step(&pair(Licence::None, app), &by_person), Step::Install, "{licence:?} {app:?}");
        }
    }
    assert_eq!(next_step(&pair(Licence::Assigned, App::None), &required()), Step::Install);
    let by_person = Around { cover: Cover::Person(Licence::Assigned), ..required() };
    assert_eq!(next_step(&pair(Licence::None, App::None), &by_person), Step::Install);
}

#[test]
fn an_install_that_was_not_sent_is_withdrawn_when_its_licence_goes_away() {
    let queued = pair(Licence::None, App::InstallQueued);
    assert_eq!(next_step(&queued, &required()), Step::WithdrawInstall);
    assert_eq!(next_step(&Pair { sent: true, ..queued }, &required()), Step::NeedsLicence);
    let nobody = Around { cover: Cover::Nobody, ..required() };
    assert_eq!(next_step(&queued, &nobody), Step::WithdrawInstall);
    assert_eq!(next_step(&pair(Licence::None, App::None), &nobody), Step::Blocked(Blocked::NoPerson));
}

#[test]
fn a_licence_that_apple_refused_is_not_asked_for_again_before_its_time() {
    let early = Around { due: false, ..required() };
    for app in apps().filter(|app| !matches!(app, App::Rejected | App::Failed)) {
        let refused = Pair { sent: true, ..pair(Licence::None, app) };
        assert_eq!(next_step(&refused, &early), Step::AwaitRetry, "{app:?}");
        assert_eq!(next_step(&refused, &required()), Step::NeedsLicence, "{app:?}");
    }
}

#[test]
fn what_was_refused_for_good_does_not_ask_again_by_itself() {
    let anew = Around { asked_anew: true, ..required() };
    let late = Around { refused_long_ago: true, ..required() };
    for (app, stays) in [(App::Rejected, Step::Rejected), (App::Failed, Step::GaveUp)] {
        assert_eq!(next_step(&pair(Licence::Assigned, app), &required()), stays);
        assert_eq!(next_step(&pair(Licence::None, app), &required()), stays);
        assert_eq!(next_step(&pair(Licence::Assigned, app), &late), Step::Disassociate { asset: 0 });
        assert_eq!(next_step(&pair(Licence::None, app), &late), stays, "the licence is back");
        let foreign = Pair { ours: false, ..pair(Licence::Assigned, app) };
        assert_eq!(next_step(&foreign, &late), stays, "somebody else's licence");
        assert_eq!(next_step(&pair(Licence::Assigned, app), &anew), Step::Install);
        assert_eq!(next_step(&pair(Licence::None, app), &anew), Step::NeedsLicence);
    }
}

#[test]
fn a_licence_goes_back_only_when_the_device_cannot_have_the_app() {
    for wanted in [Wanted::Uninstall, Wanted::Nothing] {
        for app in apps() {
            let step = next_step(&pair(Licence::Assigned, app), &around(wanted));
            let gives_back = matches!(step, Step::Disassociate { .. });
            let absent = matches!(app, App::None | App::Rejected | App::InstallRetry | App::Failed | App::Removed);
            assert_eq!(gives_back, absent, "{wanted:?} {app:?} gives {step:?}");
        }
    }
}

#[test]
fn a_removal_that_nobody_confirms_gives_its_licence_back_in_the_end() {
    for wanted in [Wanted::Uninstall, Wanted::Nothing] {
        for app in apps() {
            let overdue = Around { overdue: true, bundle_id_known: false, ..around(wanted) };
            let sent = Pair { sent: true, ..pair(Licence::Assigned, app) };
            assert_eq!(next_step(&sent, &overdue), Step::Disassociate { asset: 0 }, "{app:?}");
            let never_sent = pair(Licence::Assigned, App::InstallQueued);
            assert_eq!(next_step(&never_sent, &overdue), Step::WithdrawInstall);
        }
    }
}

#[test]
fn what_vppd_did_not_assign_is_left_alone_unless_told() {
    let foreign = Pair { ours: false, ..pair(Licence::Assigned, App::Installed) };
    assert_eq!(next_step(&foreign, &around(Wanted::Nothing)), Step::Nothing);
    assert_eq!(next_step(&foreign, &around(Wanted::Uninstall)), Step::Remove);
    assert_eq!(next_step(&foreign, &gone(Wanted::Uninstall)), Step::Nothing);
}

#[test]
fn a_device_that_left_gives_its_licence_back_without_being_asked() {
    let held = pair(Licence::Assigned, App::Installed);
    assert_eq!(next_step(&held, &gone(Wanted::Required { install: true })), Step::Disassociate { asset: 0 });
    let coming = Around { presence: Presence::Coming, ..required() };
    assert_eq!(next_step(&held, &coming), Step::AwaitRetry);
    let kept = Around { presence: Presence::Gone { kept: true }, ..required() };
    assert_eq!(next_step(&pair(Licence::Assigned, App::None), &kept), Step::LicenceHeld);
    assert_eq!(next_step(&pair(Licence::None, App::None), &kept), Step::NeedsLicence);
}

#[test]
fn a_licence_alone_brings_no_install() {
    let alone = around(Wanted::Required { install: false });
    assert_eq!(next_step(&pair(Licence::None, App::None), &alone), Step::NeedsLicence);
    for app in apps() {
        let step = next_step(&pair(Licence::Assigned, app), &alone);
        assert!(!matches!(step, Step::Install | Step::Remove | Step::Disassociate { .. }), "{app:?} gives {step:?}");
    }
}

#[test]
fn what_is_available_begins_nothing_and_keeps_what_is_there() {
    let available = around(Wanted::Available);
    for app in apps() {
        for licence in [Licence::None, Licence::Assigned] {
            let step = next_step(&pair(licence, app), &available);
            assert!(
                !matches!(step, Step::Install | Step::Remove | Step::NeedsLicence),
                "{licence:?} {app:?} gives {step:?}"
            );
        }
    }
    assert_eq!(next_step(&pair(Licence::Assigned, App::Installed), &available), Step::Satisfied);
    assert_eq!(next_step(&pair(Licence::Assigned, App::InstallRetry), &available), Step::Disassociate { asset: 0 });
}

#[test]
fn an_app_without_known_bundle_id_is_not_removed_blindly() {
    let nameless = Around { bundle_id_known: false, ..around(Wanted::Uninstall) };
    let step = next_step(&pair(Licence::Assigned, App::Installed), &nameless);
    assert_eq!(step, Step::Blocked(Blocked::NoBundleId));
}

#[test]
fn time_moves_waiting_on() {
    let early = Around { due: false, ..required() };
    let cases = [
        (App::Working, Step::AwaitInstall, Step::Verify),
        (App::WaitingForPerson, Step::AwaitPerson, Step::Verify),
        (App::InstallRetry, Step::AwaitRetry, Step::Install),
        (App::RemoveUnconfirmed, Step::AwaitRemoval, Step::Verify),
    ];
    for (app, before, after) in cases {
        assert_eq!(next_step(&pair(Licence::Assigned, app), &early), before);
        assert_eq!(next_step(&pair(Licence::Assigned, app), &required()), after);
    }
}

#[test]
fn a_seat_goes_back_only_when_nobody_needs_it() {
    use SeatWanted::*;
    let around = |wanted| AroundSeat { wanted, due: true, writable: true, revocable: true, second: None };
    let held = Seat { licence: Licence::Assigned, ours: true, ..Seat::unknown(0) };
    let foreign = Seat { ours: false, ..held };
    let back = Step::Disassociate { asset: 0 };
    let table = [
        (Seat::unknown(0), Wanted, Step::NeedsLicence),
        (Seat::unknown(0), InUse, Step::Nothing),
        (held, Wanted, Step::LicenceHeld),
        (held, InUse, Step::LicenceHeld),
        (held, Nothing, back),
        (held, TakenBack, back),
        (foreign, Nothing, Step::Nothing),
        (foreign, TakenBack, back),
    ];
    for (seat, wanted, step) in table {
        assert_eq!(next_for_seat(&seat, &around(wanted)), step, "{seat:?} {wanted:?}");
    }
    let book = AroundSeat { revocable: false, ..around(TakenBack) };
    assert_eq!(next_for_seat(&held, &book), Step::Blocked(Blocked::Irrevocable));
}
