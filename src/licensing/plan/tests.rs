use super::*;
use crate::licensing::step::Blocked;
use crate::licensing::worlds::{at, device, location, owned, person, product, rule, small, with_person};
use crate::licensing::{Device, Licence, Pair, Rule, Seat, Standing, Whom};
use crate::model::{App, LicenceKind, Purpose};

fn step_of(plan: &Plan, product: u32, device: u32) -> Step {
    plan.steps.iter().find(|s| (s.product, s.device) == (product, device)).map_or(Step::Nothing, |s| s.step)
}

fn seat_of(plan: &Plan, product: u32, person: u32) -> Step {
    plan.seats.iter().find(|s| (s.product, s.person) == (product, person)).map_or(Step::Nothing, |s| s.step)
}

fn held(app: App) -> Pair {
    Pair { licence: Licence::Assigned, app, ours: true, ..Pair::unknown(0) }
}

fn commands(plan: &Plan) -> Vec<(u32, CommandKind)> {
    plan.actions.commands.iter().map(|action| (action.device, action.kind)).collect()
}

const GIVE: Step = Step::Associate { asset: 0 };

fn wait(position: u32) -> Step {
    Step::WaitForLicence { position }
}

/// Three devices, A, B and C, that enrolled in this order.
fn abc() -> Vec<Device> {
    vec![device("A", 1), device("B", 2), device("C", 3)]
}

#[test]
fn short_of_licences_first_come_is_first_served_and_the_rest_wait_in_line() {
    let snapshot = small(2, vec![device("C", 30), device("A", 20), device("B", 20), device("D", 10)]);
    let plan = plan(&snapshot);
    assert_eq!([3, 1, 2, 0].map(|device| step_of(&plan, 0, device)), [GIVE, GIVE, wait(1), wait(2)]);
    let given =
        LicenceAction { location: 0, holders: Holders::Devices, verb: Verb::Associate, pairs: vec![(0, 1), (0, 3)] };
    assert_eq!(plan.actions.licences, [given]);
    assert_eq!(plan.actions.commands, []);
    assert_eq!(plan.actions.short, [0]);
}

#[test]
fn priority_goes_before_time_and_by_hand_before_priority() {
    let mut snapshot = small(1, abc());
    let urgent = Rule { priority: 5, ..rule(9, 0, Whom::Device(2), Purpose::Required) };
    snapshot.rules.push(urgent);
    let steps = |snapshot: &Snapshot| [0, 1, 2].map(|device| step_of(&plan(snapshot), 0, device));
    assert_eq!(steps(&snapshot), [wait(1), wait(2), GIVE]);
    snapshot.by_hand.push(crate::licensing::ByHand {
        product: 0,
        holder: Holder::Device(1),
        assigned: true,
        location: None,
        install: true,
        decided_at: at(900),
    });
    assert_eq!(steps(&snapshot), [wait(2), GIVE, wait(1)]);
}

#[test]
fn the_next_location_serves_when_the_first_has_run_out() {
    let mut snapshot = small(1, abc());
    snapshot.locations.push(location("York"));
    snapshot.assets.push(owned(0, 1, 1));
    let steps = |snapshot: &Snapshot| [0, 1, 2].map(|device| step_of(&plan(snapshot), 0, device));
    assert_eq!(steps(&snapshot), [GIVE, Step::Associate { asset: 1 }, wait(1)]);
    // Leeds is for group 7 alone, and only C is in it: the others do not keep its licence from it.
    snapshot.locations[0].groups = Box::from([7]);
    snapshot.devices[2].groups = Box::from([7]);
    assert_eq!(steps(&snapshot), [Step::Associate { asset: 1 }, wait(1), GIVE]);
    // The deployment may use Leeds alone.
    snapshot.rules[0].locations = Box::from([0]);
    let nowhere = Step::Blocked(Blocked::NoAllowedLocation);
    assert_eq!(steps(&snapshot), [nowhere, nowhere, GIVE]);
}

#[test]
fn what_cannot_be_done_says_why() {
    let mut snapshot = small(5, vec![device("A", 1), device("", 2)]);
    assert_eq!(step_of(&plan(&snapshot), 0, 1), Step::Blocked(Blocked::NoSerial));
    snapshot.locations[0].writable = false;
    assert_eq!(step_of(&plan(&snapshot), 0, 0), Step::Blocked(Blocked::NoWritableLocation));
    snapshot.assets[0].device_assignable = false;
    assert_eq!(step_of(&plan(&snapshot), 0, 0), Step::Blocked(Blocked::NotDeviceAssignable));
    snapshot.assets.clear();
    assert_eq!(step_of(&plan(&snapshot), 0, 0), Step::Blocked(Blocked::NotOwned));
}

#[test]
fn a_quota_is_never_exceeded_whatever_is_free() {
    let mut snapshot = small(10, abc());
    snapshot.rules[0].quota = Some(2);
    let steps = |snapshot: &Snapshot| [0, 1, 2].map(|device| step_of(&plan(snapshot), 0, device));
    assert_eq!(steps(&snapshot), [GIVE, GIVE, Step::WaitForQuota { position: 1 }]);
    assert_eq!(plan(&snapshot).actions.short, [0u32; 0], "more licences would not help");
    snapshot.rows[2] = [held(App::Installed)].into();
    assert_eq!(steps(&snapshot), [GIVE, Step::WaitForQuota { position: 1 }, Step::Satisfied], "what is held counts");
}

#[test]
fn a_wave_lets_so_many_first_installs_go_at_once() {
    let mut snapshot = small(0, vec![device("A", 3), device("B", 2), device("C", 1), device("D", 0)]);
    snapshot.rules[0].wave = Some(2);
    for place in 0..4 {
        snapshot.rows[place] = [held(App::None)].into();
    }
    assert_eq!(commands(&plan(&snapshot)), [(2, CommandKind::Install), (3, CommandKind::Install)]);
    assert_eq!(step_of(&plan(&snapshot), 0, 0), Step::AwaitWave);
    snapshot.rows[3] = [Pair { due: 2000, ..held(App::Working) }].into();
    assert_eq!(commands(&plan(&snapshot)), [(2, CommandKind::Install)], "one is under way");
    snapshot.rows[2] = [held(App::InstallRetry)].into();
    let all = commands(&plan(&snapshot));
    assert_eq!(all, [(1, CommandKind::Install), (2, CommandKind::Install)], "a second try is no first install");
}

#[test]
fn an_assignment_made_elsewhere_is_adopted_and_not_given_again() {
    let mut snapshot = small(0, vec![device("A", 1)]);
    snapshot.rows[0] = [Pair { licence: Licence::Assigned, ..Pair::unknown(0) }].into();
    let plan = plan(&snapshot);
    assert_eq!(plan.actions.adopt, [(0, Holder::Device(0))]);
    assert_eq!(plan.actions.licences, []);
    assert_eq!(step_of(&plan, 0, 0), Step::Install);
}

/// A device that holds licences of ours of one app under three locations, and is to have it.
fn thrice() -> Snapshot {
    let mut snapshot = small(5, vec![device("A", 1)]);
    snapshot.locations.extend([location("York"), location("Hull")]);
    snapshot.assets.extend([owned(0, 1, 5), owned(0, 2, 5)]);
    snapshot.rows[0] = [held(App::Installed)].into();
    snapshot.extras = vec![(1, Holder::Device(0)), (2, Holder::Device(0))];
    snapshot
}

#[test]
fn of_several_licences_of_ours_the_one_of_the_last_location_goes_back_first() {
    let mut snapshot = thrice();
    let step = |snapshot: &Snapshot| step_of(&plan(snapshot), 0, 0);
    assert_eq!(step(&snapshot), Step::DisassociateSecond { asset: 2 });
    let back = LicenceAction { location: 2, holders: Holders::Devices, verb: Verb::Disassociate, pairs: vec![(2, 0)] };
    assert_eq!(plan(&snapshot).actions.licences, [back], "one at a time");
    snapshot.locations[2].writable = false;
    assert_eq!(step(&snapshot), Step::DisassociateSecond { asset: 1 }, "that one cannot go now");
    snapshot.assets[1].revocable = false;
    assert_eq!(step(&snapshot), Step::Satisfied, "the first stays");
    let mut waits = thrice();
    for licence in [Licence::Requested, Licence::Returning] {
        waits.rows[0] = [Pair { licence, ..held(App::Installed) }].into();
        assert_eq!(plan(&waits).actions.licences, [], "one request for it at a time");
    }
    let mut foreign = thrice();
    foreign.rows[0] = [Pair { ours: false, ..held(App::Installed) }].into();
    assert_eq!(plan(&foreign).actions.licences, [], "somebody else's counts there");
}

#[test]
fn of_several_licences_of_ours_the_one_stays_that_the_deciding_deployment_may_use() {
    let mut snapshot = thrice();
    snapshot.extras.pop();
    snapshot.rules[0].locations = Box::from([1]);
    assert_eq!(step_of(&plan(&snapshot), 0, 0), Step::DisassociateSecond { asset: 0 });
    snapshot.rules.clear();
    assert_eq!(step_of(&plan(&snapshot), 0, 0), Step::DisassociateSecond { asset: 1 }, "nothing decides");
    // A person's licences are judged alike.
    let mut snapshot = people(5);
    snapshot.locations.push(location("York"));
    snapshot.assets.push(owned(0, 1, 5));
    snapshot.seats[0] = [Seat { licence: Licence::Assigned, ours: true, ..Seat::unknown(0) }].into();
    snapshot.extras = vec![(1, Holder::Person(0))];
    assert_eq!(seat_of(&plan(&snapshot), 0, 0), Step::DisassociateSecond { asset: 1 });
}

#[test]
fn a_pair_that_waits_for_a_time_names_it() {
    let mut snapshot = small(0, vec![device("A", 1)]);
    snapshot.rows[0] = [Pair { due: 1030, ..held(App::Working) }].into();
    assert_eq!(plan(&snapshot).actions.next_due, Some(at(1030)));
    snapshot.now = at(1030);
    let later = plan(&snapshot);
    assert_eq!(later.actions.next_due, None);
    assert_eq!(commands(&later), [(0, CommandKind::Verify)]);
}

#[test]
fn a_device_that_left_gives_back_only_what_was_ours() {
    let mut snapshot = small(0, vec![device("A", 1), device("B", 1)]);
    snapshot.devices.iter_mut().for_each(|device| device.standing = Standing::Left { at: at(5) });
    snapshot.rows[0] = [held(App::Installed)].into();
    snapshot.rows[1] = [Pair { ours: false, ..held(App::Installed) }].into();
    let plan = plan(&snapshot);
    assert_eq!(
        plan.actions.licences.iter().map(|a| (a.verb, &a.pairs[..])).collect::<Vec<_>>(),
        [(Verb::Disassociate, &[(0, 0)][..])]
    );
}

#[test]
fn a_silent_device_is_treated_as_gone_until_it_is_heard_of() {
    let mut snapshot = small(0, vec![device("A", 1)]);
    snapshot.deadlines.silent = Some(std::time::Duration::from_secs(600));
    snapshot.devices[0].last_seen = Some(at(500));
    snapshot.rows[0] = [held(App::Installed)].into();
    assert_eq!(plan(&snapshot).actions.next_due, Some(at(1100)));
    snapshot.now = at(1100);
    assert_eq!(step_of(&plan(&snapshot), 0, 0), Step::Disassociate { asset: 0 });
    snapshot.devices[0].last_seen = Some(at(1100));
    assert_eq!(step_of(&plan(&snapshot), 0, 0), Step::Satisfied);
}

#[test]
fn the_offline_limit_counts_from_when_the_pair_was_first_unwanted() {
    let mut snapshot = small(0, vec![device("A", 1)]);
    snapshot.rules.clear();
    let waiting = Pair { sent: true, ..held(App::RemoveQueued) };
    snapshot.rows[0] = [waiting].into();
    let first = plan(&snapshot);
    assert_eq!(first.actions.leaving, [(0, 0, true)]);
    assert_eq!(step_of(&first, 0, 0), Step::AwaitRemoval);
    snapshot.rows[0] = [Pair { since: 1000, ..waiting }].into();
    let noted = plan(&snapshot);
    assert_eq!((noted.actions.leaving, noted.actions.next_due), (vec![], Some(at(1500))));
    snapshot.now = at(1500);
    assert_eq!(step_of(&plan(&snapshot), 0, 0), Step::Disassociate { asset: 0 });
    snapshot.rules = vec![rule(1, 0, Whom::AllDevices, Purpose::Required)];
    assert_eq!(plan(&snapshot).actions.leaving, [(0, 0, false)], "wanted again: the limit is off");
}

#[test]
fn a_refused_install_gives_its_licence_back_and_asks_again_only_when_told_anew() {
    let mut snapshot = small(0, vec![device("A", 1)]);
    snapshot.rows[0] = [Pair { since: 900, ..held(App::Rejected) }].into();
    let early = plan(&snapshot);
    assert_eq!((step_of(&early, 0, 0), early.actions.next_due), (Step::Rejected, Some(at(1200))));
    snapshot.now = at(1200);
    assert_eq!(step_of(&plan(&snapshot), 0, 0), Step::Disassociate { asset: 0 });
    snapshot.rows[0] = [Pair { since: 900, app: App::Rejected, ..Pair::unknown(0) }].into();
    assert_eq!(step_of(&plan(&snapshot), 0, 0), Step::Rejected, "no licence is asked for again");
    snapshot.rules.push(Rule { created_at: at(1100), ..rule(2, 0, Whom::Device(0), Purpose::Required) });
    assert_eq!(step_of(&plan(&snapshot), 0, 0), wait(1), "a newer deployment asks once more");
}

/// A and B belong to one person, C to nobody; user licences for all of them.
fn people(licences: u32) -> Snapshot {
    let mut snapshot = small(licences, abc());
    with_person(&mut snapshot, person("u1", &[0]), &[0, 1]);
    snapshot.rules[0].kind = LicenceKind::User;
    snapshot
}

#[test]
fn one_user_licence_serves_all_devices_of_a_person() {
    let mut snapshot = people(5);
    let first = plan(&snapshot);
    assert_eq!(seat_of(&first, 0, 0), GIVE);
    assert_eq!(
        [0, 1, 2].map(|device| step_of(&first, 0, device)),
        [Step::AwaitSeat, Step::AwaitSeat, Step::Blocked(Blocked::NoPerson)]
    );
    let [given] = &first.actions.licences[..] else { panic!("{:?}", first.actions.licences) };
    assert_eq!((given.holders, &given.pairs[..]), (Holders::Persons, &[(0, 0)][..]));
    snapshot.seats[0] = [Seat { licence: Licence::Assigned, ours: true, ..Seat::unknown(0) }].into();
    assert_eq!(commands(&plan(&snapshot)), [(0, CommandKind::Install), (1, CommandKind::Install)]);
    snapshot.seats[0] = Box::default();
    snapshot.persons[0].registered = Box::default();
    assert_eq!(seat_of(&plan(&snapshot), 0, 0), Step::Blocked(Blocked::NotRegistered));
}

#[test]
fn a_user_licence_goes_back_when_no_device_of_the_person_wants_or_has_the_app() {
    let mut snapshot = people(5);
    snapshot.seats[0] = [Seat { licence: Licence::Assigned, ours: true, ..Seat::unknown(0) }].into();
    let installed = Pair { app: App::Installed, ours: true, ..Pair::unknown(0) };
    snapshot.rows[0] = [installed].into();
    snapshot.rules[0].whom = Whom::Device(1);
    let plan_a = plan(&snapshot);
    assert_eq!((step_of(&plan_a, 0, 0), seat_of(&plan_a, 0, 0)), (Step::Remove, Step::LicenceHeld));
    snapshot.rules.clear();
    snapshot.rows[0] = [Pair { app: App::RemoveUnconfirmed, since: 1, due: 2000, ..installed }].into();
    snapshot.now = at(500);
    assert_eq!(seat_of(&plan(&snapshot), 0, 0), Step::LicenceHeld, "the device has not confirmed");
    assert_eq!(plan(&snapshot).actions.next_due, Some(at(501)));
    snapshot.now = at(501);
    assert_eq!(seat_of(&plan(&snapshot), 0, 0), Step::Disassociate { asset: 0 }, "the offline limit");
    snapshot.now = at(500);
    snapshot.rows[0] = [Pair { app: App::Removed, ..installed }].into();
    assert_eq!(seat_of(&plan(&snapshot), 0, 0), Step::Disassociate { asset: 0 }, "confirmed");
    // A person who left: the app goes first, then the licence.
    let mut left = people(5);
    left.seats[0] = snapshot.seats[0].clone();
    left.rows[0] = [installed].into();
    left.persons[0].leaves_at = Some(at(1000));
    let after = plan(&left);
    assert_eq!((step_of(&after, 0, 0), seat_of(&after, 0, 0)), (Step::Remove, Step::LicenceHeld));
}

#[test]
fn device_if_possible_takes_the_device_where_it_can() {
    let mut snapshot = people(5);
    snapshot.rules[0].kind = LicenceKind::DeviceIfPossible;
    snapshot.devices[1].takes_licences = false;
    let plan_a = plan(&snapshot);
    assert_eq!([0, 1, 2].map(|device| step_of(&plan_a, 0, device)), [GIVE, Step::AwaitSeat, GIVE]);
    snapshot.assets[0].device_assignable = false;
    assert_eq!(step_of(&plan(&snapshot), 0, 0), Step::AwaitSeat);
    // What the device holds stays its own, also when user licences are wanted.
    snapshot.rules[0].kind = LicenceKind::User;
    snapshot.rows[0] = [held(App::Installed)].into();
    assert_eq!(step_of(&plan(&snapshot), 0, 0), Step::Satisfied);
}

#[test]
fn a_book_goes_to_people_without_a_device_and_stays_for_good() {
    let mut snapshot = small(1, abc());
    let reader = with_person(&mut snapshot, person("u1", &[0]), &[0]);
    snapshot.products[0].book = true;
    snapshot.assets[0].revocable = false;
    snapshot.persons[0].groups = Box::from([4]);
    snapshot.rules = vec![rule(1, 0, Whom::Group(4), Purpose::Required)];
    assert_eq!(seat_of(&plan(&snapshot), 0, reader), GIVE);
    assert_eq!(step_of(&plan(&snapshot), 0, 0), Step::Nothing, "no device is told of it");
    snapshot.seats[0] = [Seat { licence: Licence::Assigned, ours: true, ..Seat::unknown(0) }].into();
    snapshot.rules.clear();
    assert_eq!(seat_of(&plan(&snapshot), 0, reader), Step::Blocked(Blocked::Irrevocable));
}

#[test]
fn the_written_rules_decide_in_their_order() {
    let mut snapshot = small(9, abc());
    snapshot.products.push(product("2"));
    let group = |id, purpose| rule(id, 0, Whom::Group(1), purpose);
    snapshot.devices[0].groups = Box::from([1, 2]);
    snapshot.rows[0] = [held(App::Installed)].into();
    let table = [
        ("a group beats all devices", vec![group(2, Purpose::Uninstall)], Step::Remove),
        (
            "one device beats its group",
            vec![group(2, Purpose::Uninstall), rule(3, 0, Whom::Device(0), Purpose::Required)],
            Step::Satisfied,
        ),
        (
            "priority beats both",
            vec![
                Rule { priority: 1, ..rule(2, 0, Whom::AllDevices, Purpose::Uninstall) },
                rule(3, 0, Whom::Device(0), Purpose::Required),
            ],
            Step::Remove,
        ),
        (
            "uninstall beats required, required beats available",
            vec![group(2, Purpose::Required), group(3, Purpose::Uninstall), group(4, Purpose::Available)],
            Step::Remove,
        ),
        (
            "an excluded group is not spoken of",
            vec![Rule { excluded: Box::from([2]), ..group(2, Purpose::Uninstall) }],
            Step::Satisfied,
        ),
    ];
    let all = snapshot.rules.clone();
    for (what, more, expected) in table {
        snapshot.rules = all.iter().cloned().chain(more).collect();
        assert_eq!(step_of(&plan(&snapshot), 0, 0), expected, "{what}");
    }
}

#[test]
fn a_licence_given_by_hand_needs_no_device_and_one_taken_by_hand_stays_away() {
    let mut snapshot = small(1, abc());
    snapshot.rules.clear();
    snapshot.devices[0].standing = Standing::Named;
    let hand = |assigned, holder| crate::licensing::ByHand {
        product: 0,
        holder,
        assigned,
        location: None,
        install: true,
        decided_at: at(900),
    };
    snapshot.by_hand = vec![hand(true, Holder::Device(0))];
    assert_eq!(step_of(&plan(&snapshot), 0, 0), GIVE);
    snapshot.rows[0] = [held(App::None)].into();
    assert_eq!(step_of(&plan(&snapshot), 0, 0), Step::LicenceHeld);
    snapshot.rules = vec![rule(1, 0, Whom::Device(1), Purpose::Required)];
    snapshot.by_hand = vec![hand(false, Holder::Device(1))];
    snapshot.rows[1] = [held(App::Installed)].into();
    assert_eq!(step_of(&plan(&snapshot), 0, 1), Step::Remove);
    assert_eq!(
        step_of(&plan(&snapshot), 0, 0),
        Step::Disassociate { asset: 0 },
        "not enrolled, and nothing speaks of it"
    );
}
