//! What is told of a change, and that a plan brought up to date by it is the plan made from everything.

use super::facts::WORLD;
use super::*;
use crate::licensing::{Planner, plan};
use crate::store::marks::Mark;

async fn world() -> (tempfile::TempDir, Store) {
    let (folder, store) = open();
    store
        .write(|w| -> Result<(), StoreError> {
            let id = locations::add(w, &location("Leeds"))?;
            assets::replace(w, id, &[asset("100", 10, 2), asset("200", 10, 0)], true, now())?;
            w.execute_batch("UPDATE location SET owner_id = 'us', expires_at = 4000000000000000")?;
            w.execute_batch(WORLD)?;
            w.execute_batch(
                "UPDATE device SET os_version = '17.1', last_seen = 6000000; UPDATE person SET gone_at = NULL;
                 INSERT INTO deployment (id, adam_id, target, purpose, created_at, created_by)
                     VALUES (8, '200', 'all-devices', 'required', 0, 'test');",
            )?;
            Ok(())
        })
        .await
        .unwrap();
    (folder, store)
}

async fn change(store: &Store, sql: &'static str) {
    store.write(move |w| -> Result<(), StoreError> { Ok(w.execute_batch(sql)?) }).await.unwrap();
}

/// Changes of one row each, and whether they can be told in parts.
const CHANGES: [(&str, bool); 32] = [
    ("INSERT INTO pair (device_id, adam_id, app, changed_at) VALUES (7, '200', 4, 0)", true),
    ("UPDATE pair SET due = 9000000000000000", true),
    ("INSERT INTO command (uuid, device_id, request_type, adam_id, body, priority, state, queued_at)
      VALUES ('c', 7, 'InstallApplication', '200', '', 0, 'queued', 0); UPDATE pair SET command = 'c', app = 1", true),
    ("UPDATE command SET state = 'sent'", true),
    ("INSERT INTO licence_event (id, location_id, verb, state, adam_ids, pricing_params, pairs, intended_at)
      VALUES ('e', 1, 'associate', 'intended', '', '', 1, 0);
      INSERT INTO reservation (location_id, adam_id, pricing_param, holder, event) VALUES (1, '200', 'STDQ', 'D1', 'e')", true),
    ("DELETE FROM reservation; INSERT INTO assignment VALUES (1, 0, '200', 'STDQ', 'serial', 'D1')", true),
    ("INSERT INTO own_licence (location_id, adam_id, pricing_param, holder) VALUES (1, '200', 'STDQ', 'D1')", true),
    ("DELETE FROM assignment WHERE holder = 'D1'; DELETE FROM own_licence WHERE holder = 'D1'", true),
    ("INSERT INTO returning_licence (location_id, adam_id, pricing_param, holder, usable_at)
      VALUES (1, '200', 'STDQ', 'D1', 0)", true),
    ("UPDATE asset SET total_count = 1", true),
    ("UPDATE asset SET total_count = 0, elsewhere_count = 1", true),
    ("DELETE FROM returning_licence", true),
    ("UPDATE seat_refusal SET due = 1", true),
    ("DELETE FROM seat_refusal", true),
    ("UPDATE user SET status = 'Retired'", true),
    ("UPDATE user SET status = 'Associated'", true),
    ("INSERT INTO product (adam_id, bundle_id) VALUES ('200', 'com.example.app')", true),
    ("UPDATE device_note SET tags = '[\"a\"]'", true),
    ("UPDATE device_note SET person_id = NULL", true),
    ("INSERT INTO device (id, udid, user_enrolment, serial, state, fingerprint, topic, authenticated_at, enrolled_at)
      VALUES (8, 'U2', 0, 'D2', 'enrolled', X'02', 't', 5000000, 6000000)", true),
    ("INSERT INTO device (id, udid, user_enrolment, serial, state, fingerprint, topic, authenticated_at, enrolled_at)
      VALUES (9, 'U3', 0, 'GONE', 'enrolled', X'03', 't', 5000000, 6000000)", true),
    ("UPDATE device SET state = 'checked-out', checked_out_at = 7000000 WHERE id = 8", true),
    ("UPDATE device SET os_version = '8.4' WHERE id = 9", true),
    ("UPDATE device SET serial = 'D9' WHERE id = 9", false),
    ("INSERT INTO group_serial VALUES (4, 'D2')", false),
    ("UPDATE member_group SET kind = 'rule', rule = 'os >= 1' WHERE id = 4", false),
    ("UPDATE device SET model = 'iPad' WHERE id = 7", true),
    ("UPDATE deployment SET priority = 9", false),
    ("DELETE FROM by_hand", false),
    ("INSERT INTO doubted_listing VALUES (1, 0, 9, 1)", false),
    ("UPDATE location SET generation = 5", false),
    ("DELETE FROM device WHERE id = 9", false),
];

#[tokio::test]
async fn what_is_brought_up_to_date_is_what_everything_says() {
    let (_folder, store) = world().await;
    let marks = store.marks();
    let load = |c: &Connection| snapshot::load(c, &settings(), now());
    let mut kept = store.read(load).await.unwrap();
    let mut planner = Planner::new(kept.snapshot);
    marks.take();
    for (sql, in_parts) in CHANGES {
        change(&store, sql).await;
        let changes = marks.take();
        assert!(changes.everything || !changes.marks.is_empty(), "nothing is told of: {sql}");
        let (renewed, kept_planner, behind) = store
            .read(move |c| -> Result<_, StoreError> {
                let (mut planner, mut behind) = (planner, kept.behind);
                Ok((snapshot::renew(c, changes, &mut planner, &mut behind)?, planner, behind))
            })
            .await
            .unwrap();
        (planner, kept.behind) = (kept_planner, behind);
        assert_eq!(renewed, in_parts, "{sql}");
        let whole = store.read(load).await.unwrap();
        if renewed {
            let wanted = plan(&whole.snapshot).actions.told(&whole.snapshot);
            assert_eq!(planner.actions(now()).told(planner.snapshot()), wanted, "{sql}");
        } else {
            planner = Planner::new(whole.snapshot);
            kept.behind = whole.behind;
        }
        kept.snapshot = planner.snapshot().clone();
    }
}

#[tokio::test]
async fn what_does_not_count_yet_and_what_no_plan_knows_is_not_told() {
    let (_folder, store) = world().await;
    store.marks().take();
    change(&store, "INSERT INTO assignment VALUES (1, 1, '100', 'STDQ', 'serial', 'D1')").await;
    change(&store, "UPDATE device SET last_seen = 8000000, push_magic = 'm', state = 'enrolled'").await;
    change(&store, "UPDATE location SET last_synced = 8000000, assignments_version = 'v'").await;
    change(&store, "UPDATE asset SET read_at = 8000000, assigned_count = 3").await;
    let changes = store.marks().take();
    assert!(!changes.everything && changes.marks.is_empty(), "{changes:?}");
}

#[tokio::test]
async fn a_mark_comes_before_its_commit_is_seen_and_once_more_after_it() {
    let (_folder, store) = world().await;
    let marks = store.marks();
    marks.take();
    let (seen, inside) = (marks.clone(), Arc::new(AtomicU32::new(0)));
    let count = inside.clone();
    store
        .write(move |w| -> Result<(), StoreError> {
            w.execute_batch("UPDATE seat_refusal SET due = 5")?;
            w.after_commit(move || count.store(seen.take().marks.len() as u32, Ordering::SeqCst));
            Ok(())
        })
        .await
        .unwrap();
    assert_eq!(inside.load(Ordering::SeqCst), 1);
    assert!(marks.take().marks.is_empty(), "both were published before anybody was answered");
    let refused: Result<(), StoreError> = store
        .write(|w| {
            w.execute_batch("UPDATE seat_refusal SET due = 6")?;
            Err(StoreError::Closed)
        })
        .await;
    assert!(refused.is_err());
    let left = marks.take().marks;
    assert!(left.iter().all(|mark| *mark == Mark::Refusals("cu-3".into())), "one too many at the most: {left:?}");
}

#[tokio::test]
async fn after_a_fault_of_the_writer_everything_is_read_anew() {
    let (_folder, store) = world().await;
    store.marks().take();
    let failed: Result<(), StoreError> = store.write(|_| panic!("on purpose")).await;
    assert!(failed.is_err());
    change(&store, "UPDATE seat_refusal SET due = 5").await;
    assert!(store.marks().take().everything);
}
