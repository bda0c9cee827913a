use super::*;
use crate::world::StoreFront;

fn accepted(got: &Got) -> String {
    assert_eq!(got.status, 200, "{got:?}");
    got.json["eventId"].as_str().unwrap().to_owned()
}

fn status(world: &World, event: &str) -> Value {
    world.get(&format!("status?eventId={event}")).json
}

#[tokio::test]
async fn event_is_worked_off_in_chunks_of_a_hundred() {
    let world = World::new();
    world.switch(json!({"chunk-delay-ms": [500, 500]}));
    let event = accepted(&world.post("assets/associate", manage(&[SECOND_APP], &serials(250))));
    let progress = || {
        let report = status(&world, &event);
        (report["eventStatus"].as_str().unwrap().to_owned(), report["numCompleted"].as_u64().unwrap())
    };
    assert_eq!(progress(), ("PENDING".to_owned(), 0));
    assert_eq!(world.assigned(SECOND_APP), 0);
    world.time.advance(Duration::from_millis(500)).await;
    assert_eq!(progress(), ("PENDING".to_owned(), 100));
    assert_eq!(world.assigned(SECOND_APP), 100);
    world.time.advance(Duration::from_secs(1)).await;
    assert_eq!(progress(), ("COMPLETE".to_owned(), 250));
    let report = status(&world, &event);
    assert_eq!((report["eventType"].as_str(), report["numRequested"].as_u64()), (Some("ASSOCIATE"), Some(250)));
    assert_eq!(report.get("failures"), None);
}

#[tokio::test]
async fn shortage_fills_until_empty_and_names_the_rest() {
    let world = World::new();
    let event = accepted(&world.post("assets/associate", manage(&[APP, SECOND_APP], &serials(12))));
    world.breathe().await;
    let report = status(&world, &event);
    assert_eq!(report["eventStatus"], json!("FAILED"));
    assert_eq!((report["numRequested"].as_u64(), report["numCompleted"].as_u64()), (Some(24), Some(22)));
    let failures = report["failures"].as_array().unwrap();
    assert_eq!(failures.len(), 1);
    assert_eq!(failures[0]["errorNumber"], json!(9709));
    assert_eq!(
        failures[0]["errorInfo"],
        json!({"assets": [{"adamId": APP, "pricingParam": "STDQ"}], "serialNumbers": ["QX00000010", "QX00000011"]})
    );
    assert_eq!((world.assigned(APP), world.assigned(SECOND_APP)), (10, 12));
    assert_eq!(world.location().assets.iter().map(|asset| asset.available).min(), Some(0));
}

#[tokio::test]
async fn shortage_can_fail_all_tasks_of_the_asset() {
    let world = World::new();
    world.switch(json!({"shortage": "fail-all"}));
    let event = accepted(&world.post("assets/associate", manage(&[APP, SECOND_APP], &serials(12))));
    world.breathe().await;
    assert_eq!(status(&world, &event)["numCompleted"], json!(12));
    assert_eq!((world.assigned(APP), world.assigned(SECOND_APP)), (0, 12));
}

#[tokio::test]
async fn asset_that_is_not_owned_fails_later() {
    let world = World::new();
    let event = accepted(&world.post("assets/associate", manage(&["999"], &serials(1))));
    world.breathe().await;
    assert_eq!(status(&world, &event)["failures"][0]["errorNumber"], json!(9709));
}

#[tokio::test]
async fn repeating_uses_no_second_licence_and_can_be_made_a_failure() {
    let world = World::new();
    let body = manage(&[APP], &serials(2));
    for _ in 0..2 {
        let event = accepted(&world.post("assets/associate", body.clone()));
        world.breathe().await;
        assert_eq!(status(&world, &event)["eventStatus"], json!("COMPLETE"));
        assert_eq!(world.assigned(APP), 2);
    }
    world.switch(json!({"reassoc": "failure", "redisassoc": "failure"}));
    let event = accepted(&world.post("assets/associate", body.clone()));
    world.breathe().await;
    assert_eq!(status(&world, &event)["failures"][0]["errorNumber"], json!(9602));
    for outcome in ["COMPLETE", "FAILED"] {
        let event = accepted(&world.post("assets/disassociate", body.clone()));
        world.breathe().await;
        let report = status(&world, &event);
        assert_eq!((&report["eventStatus"], &report["eventType"]), (&json!(outcome), &json!("DISASSOCIATE")));
        assert_eq!(world.assigned(APP), 0);
    }
}

#[tokio::test]
async fn event_is_forgotten_and_unknown_elsewhere() {
    let world = World::new();
    let event = accepted(&world.post("assets/associate", manage(&[APP], &serials(1))));
    let other = world.apple.add_location(NewLocation::default());
    let token = world.apple.add_token(&other, SignedDuration::from_hours(100)).unwrap();
    let call =
        Call { authorization: Some(format!("Bearer {token}")), ..world.get_call(&format!("status?eventId={event}")) };
    assert_eq!(world.outcome(&call).error(), 9708);
    world.time.advance(Duration::from_secs(24 * 3600 - 1)).await;
    assert_eq!(status(&world, &event)["eventStatus"], json!("COMPLETE"));
    world.breathe().await;
    assert_eq!(status(&world, &event)["errorNumber"], json!(9708));
    assert_eq!(world.get("status").error(), 9602);
}

#[tokio::test]
async fn device_sees_its_licence_after_the_lag() {
    let world = World::new();
    let serial = serials(1).remove(0);
    accepted(&world.post("assets/associate", manage(&[APP], &serials(1))));
    assert!(!world.apple.holds_licence(&serial, APP));
    world.breathe().await;
    assert!(world.apple.holds_licence(&serial, APP));
    world.switch(json!({"device-lag-seconds": 30}));
    assert!(!world.apple.holds_licence(&serial, APP));
    world.time.advance(Duration::from_secs(30)).await;
    assert!(world.apple.holds_licence(&serial, APP));
    assert!(!world.apple.holds_licence(&serial, SECOND_APP));
    world.apple.report_install_without_licence(&serial, SECOND_APP);
    assert_eq!(world.apple.counters().installs_before_licence, 1);
}

#[test]
fn what_is_assigned_cannot_be_refunded() {
    let world = World::new();
    let asset = AssetName::standard(APP);
    world.apple.assign(&world.u_id, &asset, "QX1").unwrap();
    assert!(matches!(world.apple.refund(&world.u_id, &asset, 10), Err(AdminError::Invalid(_))));
    world.apple.refund(&world.u_id, &asset, 9).unwrap();
    world.apple.buy(&world.u_id, &asset, 4).unwrap();
    let view = world.location().assets.into_iter().find(|asset| asset.adam_id == APP).unwrap();
    assert_eq!((view.total, view.assigned, view.available), (5, 1, 4));
}

#[tokio::test]
async fn an_install_in_the_middle_of_an_event_is_counted() {
    let world = World::new();
    world.switch(json!({"chunk-delay-ms": [500, 500]}));
    let serial = serials(1).remove(0);
    accepted(&world.post("assets/associate", manage(&[SECOND_APP], &serials(150))));
    world.time.advance(Duration::from_millis(500)).await;
    assert!(world.apple.holds_licence(&serial, SECOND_APP));
    assert_eq!(world.apple.counters().installs_before_complete, 1);
    world.breathe().await;
    assert!(world.apple.holds_licence(&serial, SECOND_APP));
    assert_eq!(world.apple.counters().installs_before_complete, 1);
}

#[tokio::test]
async fn a_pair_in_two_pending_events_is_counted_and_so_is_a_second_licence() {
    let world = World::new();
    let body = manage(&[APP], &serials(2));
    accepted(&world.post("assets/associate", body.clone()));
    accepted(&world.post("assets/disassociate", manage(&[APP, SECOND_APP], &serials(1))));
    assert_eq!(world.apple.counters().pairs_in_two_events, 1);
    world.breathe().await;
    accepted(&world.post("assets/associate", body));
    world.breathe().await;
    let counters = world.apple.counters();
    assert_eq!((counters.pairs_in_two_events, counters.second_licences), (1, 0));
    let other = world.apple.add_location(NewLocation::default());
    let token = world.apple.add_token(&other, SignedDuration::from_hours(100)).unwrap();
    world.apple.add_asset(&other, NewAsset::app(APP, 10)).unwrap();
    let call = world.post_call("assets/associate", &manage(&[APP], &serials(3)));
    accepted(&world.outcome(&Call { authorization: Some(format!("Bearer {token}")), ..call }));
    world.breathe().await;
    assert_eq!(world.apple.counters().second_licences, 2);
}
