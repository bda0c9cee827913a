use super::*;
use crate::licensing::worlds::{device, owned, small};
use crate::licensing::{Pair, Snapshot};

fn at(hour: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + 3600 * hour).unwrap()
}

fn asset(location: u32) -> AssetOf {
    AssetOf { location, adam_id: "7".into(), pricing_param: "STDQ".into() }
}

/// Two locations that own app 7, an enrolled device D0 and one that left, D1, of which one has this pair.
fn snapshot(of: usize, pair: Option<Pair>) -> Snapshot {
    let mut snapshot = small(3, vec![device("D0", 0), device("D1", 0)]);
    snapshot.devices[1].standing = Standing::Left { at: at(1) };
    snapshot.products[0].adam_id = "7".into();
    snapshot.locations.push(snapshot.locations[0].clone());
    snapshot.assets.push(owned(0, 1, 3));
    snapshot.rules.clear();
    snapshot.rows[of] = pair.into_iter().collect();
    snapshot
}

/// A row in short: cause, location, where to, holder, licences.
type Short = (Cause, Option<u32>, Option<u32>, String, i64);

fn short(rows: Vec<Difference>) -> Vec<Short> {
    let holder = |holder: Option<Holder>| match holder {
        None => String::new(),
        Some(Holder::Serial(text) | Holder::User(text)) => text,
    };
    rows.into_iter().map(|row| (row.cause, row.location, row.to, holder(row.holder), row.licences)).collect()
}

#[test]
fn changed_counts_are_bought_refunded_or_transferred() {
    use Cause::*;
    // (location, licences, hour) and what they mean: (cause, location, to, licences).
    type Seen<'a> = &'a [(u32, i64, i64)];
    type Meaning<'a> = &'a [(Cause, u32, Option<u32>, i64)];
    let table: [(&str, Seen<'_>, Meaning<'_>); 10] = [
        ("nothing", &[], &[]),
        ("bought", &[(0, 5, 1)], &[(Bought, 0, None, 5)]),
        ("refunded", &[(0, -5, 1)], &[(Refunded, 0, None, 5)]),
        ("transferred", &[(0, -5, 1), (1, 5, 2)], &[(Transferred, 0, Some(1), 5)]),
        ("seen the other way round", &[(1, 5, 1), (0, -5, 3)], &[(Transferred, 0, Some(1), 5)]),
        ("too far apart", &[(0, -5, 1), (1, 5, 30)], &[(Refunded, 0, None, 5), (Bought, 1, None, 5)]),
        ("in one location", &[(0, -5, 1), (0, 5, 2)], &[(Bought, 0, None, 5), (Refunded, 0, None, 5)]),
        ("moved, and more bought", &[(0, -5, 1), (1, 8, 1)], &[(Transferred, 0, Some(1), 5), (Bought, 1, None, 3)]),
        (
            "the same number counts for more than the same hour",
            &[(0, -5, 3), (1, 9, 3), (2, 5, 5)],
            &[(Transferred, 0, Some(2), 5), (Bought, 1, None, 9)],
        ),
        (
            "to two locations",
            &[(0, -5, 1), (1, 2, 1), (2, 3, 2)],
            &[(Transferred, 0, Some(1), 2), (Transferred, 0, Some(2), 3)],
        ),
    ];
    for (what, seen, expected) in table {
        let counted: Vec<_> = seen.iter().map(|(place, delta, hour)| (asset(*place), *delta, at(*hour))).collect();
        let mut backwards = counted.clone();
        backwards.reverse();
        let expected: Vec<Short> = expected
            .iter()
            .map(|(cause, from, to, licences)| (*cause, Some(*from), *to, String::new(), *licences))
            .collect();
        for counted in [counted, backwards] {
            let beside = Beside { counted, same_time: Duration::from_secs(12 * 3600), ..Beside::default() };
            assert_eq!(short(differences(&snapshot(0, None), &beside)), expected, "{what}");
        }
    }
}

#[test]
fn changes_of_different_assets_are_no_transfer() {
    let plus = AssetOf { pricing_param: "PLUS".into(), ..asset(1) };
    let beside = Beside {
        counted: vec![(asset(0), -5, at(1)), (plus, 5, at(1))],
        same_time: Duration::from_secs(3600),
        ..Beside::default()
    };
    let causes: Vec<Cause> = differences(&snapshot(0, None), &beside).into_iter().map(|row| row.cause).collect();
    assert_eq!(causes, [Cause::Refunded, Cause::Bought]);
}

#[test]
fn what_devices_have_and_hold_is_compared() {
    use Cause::*;
    let table = [
        (0, Licence::Assigned, true, App::Installed, None),
        (0, Licence::Assigned, true, App::Working, None),
        (0, Licence::Assigned, false, App::Installed, Some((AssignedOutside, Some(1)))),
        (0, Licence::Assigned, false, App::None, Some((AssignedOutside, Some(1)))),
        (1, Licence::Assigned, false, App::None, Some((AssignedOutside, Some(1)))),
        (1, Licence::Assigned, true, App::None, None),
        (0, Licence::Assigned, true, App::None, Some((DeviceWithoutApp, Some(1)))),
        (0, Licence::Assigned, true, App::Rejected, Some((DeviceWithoutApp, Some(1)))),
        (0, Licence::Requested, true, App::None, None),
        (0, Licence::Returning, true, App::Removed, None),
        (0, Licence::None, true, App::Installed, Some((AppWithoutLicence, None))),
        (0, Licence::None, false, App::None, None),
        (1, Licence::None, true, App::Installed, None),
    ];
    for (device, licence, ours, app, expected) in table {
        let pair = Pair { licence, app, ours, asset: 1, ..Pair::unknown(0) };
        let rows = short(differences(&snapshot(device, Some(pair)), &Beside::default()));
        let expected: Vec<Short> =
            expected.into_iter().map(|(cause, location)| (cause, location, None, format!("D{device}"), 1)).collect();
        assert_eq!(rows, expected, "D{device}: {licence:?}, {app:?}, ours: {ours}");
    }
}

#[test]
fn strangers_and_what_was_taken_back_have_a_row_each() {
    let (stranger, user) = (Holder::Serial("X9".into()), Holder::User("someone".into()));
    let lost = Pair { app: App::Installed, ours: true, ..Pair::unknown(0) };
    let beside = Beside {
        strangers: vec![(asset(1), user, false), (asset(0), stranger, false)],
        taken_back: vec![(asset(0), Holder::Serial("D0".into()), at(4))],
        unlisted: vec![(asset(1), 2)],
        ..Beside::default()
    };
    let rows = differences(&snapshot(0, Some(lost)), &beside);
    assert_eq!(rows[1].seen_at, Some(at(4)));
    let expected: Vec<Short> = vec![
        (Cause::AssignedOutside, Some(0), None, "X9".into(), 1),
        (Cause::TakenBackOutside, Some(0), None, "D0".into(), 1),
        (Cause::ForeignUser, Some(1), None, "someone".into(), 1),
        (Cause::NotYetKnown, Some(1), None, String::new(), 2),
    ];
    assert_eq!(short(rows), expected, "and the app without a licence is told by who took it");
}
