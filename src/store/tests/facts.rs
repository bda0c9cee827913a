//! The facts for a plan, read back from the tables.

use super::*;
use crate::licensing::{Holder, Licence, Standing, Whom};
use crate::model::{App, DeviceId, LicenceKind};

/// Leeds owns app 100. One device, D1, enrolled; its person is registered in Leeds and in the group Staff, D1 in Lab.
pub(super) const WORLD: &str = "
    INSERT INTO device (id, udid, user_enrolment, serial, state, fingerprint, topic, product_name, os_version,
            authenticated_at, enrolled_at)
        VALUES (7, 'U1', 0, 'D1', 'enrolled', X'01', 't', 'iPad14,1', '8.4', 5000000, 6000000);
    INSERT INTO person (id, client_user_id, name, email, created_at, created_by, gone_at)
        VALUES (3, 'cu-3', 'Priya', 'p@example.org', 1000000, 'test', 2000000);
    INSERT INTO user (location_id, client_user_id, person_id, wanted, wanted_at, status)
        VALUES (1, 'cu-3', 3, 'registered', 0, 'Registered');
    INSERT INTO member_group (id, name, kind, created_at, created_by)
        VALUES (4, 'Lab', 'devices', 0, 'test'), (9, 'Staff', 'people', 0, 'test');
    INSERT INTO group_serial VALUES (4, 'D1');
    INSERT INTO group_person VALUES (9, 3);
    INSERT INTO device_note (serial, person_id) VALUES ('D1', 3);
    INSERT INTO location_group VALUES (1, 9);
    INSERT INTO deployment (id, adam_id, target, purpose, licence, priority, quota, wave, licence_only, created_at, created_by)
        VALUES (1, '100', 'group:9', 'required', 'user', 5, 30, 10, 1, 8000000, 'test'),
            (2, '100', 'serial:LATER', 'uninstall', 'device', 0, NULL, NULL, 0, 9000000, 'test'),
            (3, '100', 'group:77', 'required', 'device', 0, NULL, NULL, 0, 9000000, 'test');
    INSERT INTO deployment_excluded VALUES (1, 4);
    INSERT INTO deployment_location VALUES (1, 1);
    INSERT INTO by_hand (adam_id, holder_kind, holder, decision, install, decided_at, decided_by)
        VALUES ('100', 'serial', 'NEVER', 'assigned', 0, 7000000, 'test'),
            ('100', 'user', 'cu-3', 'revoked', 1, 7000000, 'test');
    INSERT INTO assignment VALUES (1, 0, '100', 'STDQ', 'user', 'cu-3'), (1, 0, '100', 'STDQ', 'serial', 'GONE');
    INSERT INTO own_licence (location_id, adam_id, pricing_param, holder, holder_kind)
        VALUES (1, '100', 'STDQ', 'cu-3', 'user'), (1, '100', 'STDQ', 'GONE', 'serial');
    INSERT INTO seat_refusal VALUES ('cu-3', '100', 1, 20500000, 'no');
";

#[tokio::test]
async fn a_second_licence_of_ours_is_kept_apart_and_one_of_others_is_not() {
    let (_folder, store) = open();
    let sql = "
        INSERT INTO assignment VALUES (1, 0, '100', 'STDQ', 'serial', 'A'), (2, 0, '100', 'STDQ', 'serial', 'A'),
            (1, 0, '100', 'STDQ', 'serial', 'B'), (2, 0, '100', 'STDQ', 'serial', 'B');
        INSERT INTO own_licence (location_id, adam_id, pricing_param, holder, holder_kind)
            VALUES (1, '100', 'STDQ', 'A', 'serial'), (2, '100', 'STDQ', 'A', 'serial'), (2, '100', 'STDQ', 'B', 'serial');";
    store
        .write(move |w| -> Result<(), StoreError> {
            for name in ["Leeds", "York"] {
                let id = locations::add(w, &location(name))?;
                assets::replace(w, id, &[asset("100", 10, 2)], true, now())?;
            }
            Ok(w.execute_batch(sql)?)
        })
        .await
        .unwrap();
    let load = |c: &rusqlite::Connection| snapshot::load(c, &settings(), now());
    let snapshot = store.read(load).await.unwrap().snapshot;
    let pair = |device| snapshot.pair(0, device).map(|pair| (pair.licence, pair.asset, pair.ours));
    assert_eq!(snapshot.devices.iter().map(|device| device.serial.as_str()).collect::<Vec<_>>(), ["A", "B"]);
    assert_eq!(pair(0), Some((Licence::Assigned, 0, true)));
    assert_eq!(pair(1), Some((Licence::Assigned, 1, true)), "ours before another's");
    assert_eq!(snapshot.extras, [(1, Holder::Device(0))]);
    // While one is under way, that one counts.
    store
        .write(|w| {
            let stdq = [("100".to_string(), "STDQ".to_string())];
            let a = Holders::Serials(vec!["A".into()]);
            events::intend(w, "e1", LocationId(2), crate::licensing::Verb::Disassociate, &stdq, &a, now())
        })
        .await
        .unwrap();
    let snapshot = store.read(load).await.unwrap().snapshot;
    assert_eq!(snapshot.pair(0, 0).map(|pair| (pair.licence, pair.asset)), Some((Licence::Returning, 1)));
    assert_eq!(snapshot.extras, [(0, Holder::Device(0))]);
}

#[tokio::test]
async fn groups_people_seats_and_decisions_come_out_of_the_tables() {
    let (_folder, store) = open();
    store
        .write(|w| -> Result<(), StoreError> {
            let id = locations::add(w, &location("Leeds"))?;
            assets::replace(w, id, &[asset("100", 10, 2)], true, now())?;
            Ok(w.execute_batch(WORLD)?)
        })
        .await
        .unwrap();
    let loaded = store.read(|c| snapshot::load(c, &settings(), now())).await.unwrap();
    let (snapshot, behind) = (&loaded.snapshot, &loaded.behind);
    let serials: Vec<&str> = snapshot.devices.iter().map(|device| device.serial.as_str()).collect();
    assert_eq!(serials, ["D1", "GONE", "NEVER", "LATER"], "named by a licence of ours, a decision, a deployment");
    assert_eq!(behind.devices, [Some(DeviceId(7)), None, None, None]);
    assert_eq!(behind.groups, ["Lab", "Staff"]);
    let device = &snapshot.devices[0];
    assert_eq!((device.standing, device.person, &device.groups[..]), (Standing::Enrolled, Some(0), &[0][..]));
    assert!(!device.takes_licences, "iOS 8");
    let person = &snapshot.persons[0];
    assert_eq!((&person.groups[..], &person.registered[..]), (&[1][..], &[0][..]));
    assert_eq!(person.leaves_at.unwrap().as_second(), 2 + 7 * 24 * 3600, "the grace");
    assert_eq!(snapshot.locations[0].groups[..], [1]);
    let rules = &snapshot.rules;
    assert_eq!(
        rules.iter().map(|rule| (rule.id, rule.whom)).collect::<Vec<_>>(),
        [(1, Whom::Group(1)), (2, Whom::Device(3))]
    );
    assert_eq!(
        (rules[0].priority, rules[0].quota, rules[0].wave, rules[0].licence_only),
        (5, Some(30), Some(10), true)
    );
    assert_eq!(
        (rules[0].kind, &rules[0].excluded[..], &rules[0].locations[..]),
        (LicenceKind::User, &[0][..], &[0][..])
    );
    let hands: Vec<_> = snapshot.by_hand.iter().map(|hand| (hand.holder, hand.assigned, hand.install)).collect();
    assert_eq!(hands, [(Holder::Device(2), true, false), (Holder::Person(0), false, true)]);
    let seat = snapshot.seat(0, 0).unwrap();
    assert_eq!((seat.licence, seat.ours, seat.due), (Licence::Assigned, true, 21));
    let gone = snapshot.pair(0, 1).unwrap();
    assert_eq!((gone.licence, gone.ours), (Licence::Assigned, true));
    assert_eq!((loaded.counts[0].held, snapshot.assets[0].free), (2, 8));
}

#[tokio::test]
async fn since_when_an_app_is_refused_or_on_its_way_out_is_kept() {
    let (_folder, store) = open();
    let since = |app: App, at: i64, leaving: Option<Option<i64>>| {
        let store = store.clone();
        async move {
            let time = |second: i64| Timestamp::from_second(second).unwrap();
            store
                .write(move |w| -> Result<Option<i64>, StoreError> {
                    w.execute_batch(
                        "INSERT INTO device (id, udid, user_enrolment, serial, state, fingerprint, topic, authenticated_at)
                         VALUES (7, 'U1', 0, 'D1', 'enrolled', X'01', 't', 0) ON CONFLICT DO NOTHING",
                    )?;
                    let mut pair = pairs::get_or_new(w, DeviceId(7), "100")?;
                    pair.progress.app = app;
                    pairs::put(w, &pair, time(at))?;
                    if let Some(since) = leaving {
                        pairs::note_leaving(w, DeviceId(7), "100", since.map(time))?;
                    }
                    Ok(w.query_row("SELECT since / 1000000 FROM pair", [], |row| row.get(0))?)
                })
                .await
                .unwrap()
        }
    };
    assert_eq!(since(App::Installed, 10, None).await, None);
    assert_eq!(since(App::Installed, 20, Some(Some(20))).await, Some(20), "unwanted");
    assert_eq!(since(App::RemoveQueued, 30, Some(Some(30))).await, Some(20), "it counts from the first time");
    assert_eq!(since(App::RemoveUnconfirmed, 40, Some(None)).await, None, "wanted again");
    assert_eq!(since(App::Rejected, 50, None).await, Some(50));
    assert_eq!(since(App::Rejected, 60, Some(None)).await, Some(50), "declined since then, whatever is wanted");
    assert_eq!(since(App::InstallQueued, 70, None).await, None);
}
