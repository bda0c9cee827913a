use super::*;

fn fault(world: &World, fault: Fault, often: Often) {
    let endpoint = Some("assets/associate".to_owned());
    world.apple.add_fault(FaultRule { endpoint, fault, often }).unwrap();
}

#[tokio::test]
async fn each_fault_looks_as_documented() {
    let world = World::new();
    let body = manage(&[APP], &serials(1));
    fault(&world, Fault::Unavailable(RetryAfter::Seconds(90)), Often::Next(1));
    fault(&world, Fault::Unavailable(RetryAfter::DateInSeconds(90)), Often::Next(1));
    fault(&world, Fault::TooManyRequests, Often::Next(1));
    fault(&world, Fault::BadGateway, Often::Next(1));
    assert_eq!(world.get("client/config").status, 200);
    let seconds = world.post("assets/associate", body.clone());
    assert_eq!((seconds.status, seconds.error(), seconds.retry_after.as_deref()), (503, 9729, Some("90")));
    let date = world.post("assets/associate", body.clone());
    assert_eq!(date.retry_after.as_deref(), Some("Mon, 01 Mar 2027 08:01:30 GMT"));
    assert_eq!(world.post("assets/associate", body.clone()).error(), 9646);
    let gateway = world.post("assets/associate", body.clone());
    assert_eq!((gateway.status, &gateway.json), (502, &Value::Null));
    assert_eq!(world.post("assets/associate", body).status, 200);
}

#[tokio::test]
async fn lost_reply_leaves_its_effect_and_lost_request_leaves_none() {
    let world = World::new();
    let call = world.post_call("assets/associate", &manage(&[APP], &serials(1)));
    fault(&world, Fault::ClosedBeforeEffect, Often::Next(1));
    fault(&world, Fault::ClosedAfterEffect, Often::Next(1));
    assert_eq!(world.apple.call(&call).await, Outcome::Closed);
    assert!(world.location().events.is_empty());
    assert_eq!(world.apple.call(&call).await, Outcome::Closed);
    world.breathe().await;
    assert_eq!(world.assigned(APP), 1);
    assert!(world.apple.calls().iter().all(|record| record.status.is_none()));
}

#[tokio::test]
async fn truncated_json_has_its_effect_and_cannot_be_read() {
    let world = World::new();
    fault(&world, Fault::TruncatedJson, Often::Rate(1.0));
    let got = world.post("assets/associate", manage(&[APP], &serials(1)));
    assert_eq!((got.status, &got.json), (200, &Value::Null));
    assert_eq!(world.location().events.len(), 1);
    world.apple.clear_faults();
    assert_ne!(world.post("assets/associate", manage(&[APP], &serials(1))).json, Value::Null);
}

#[test]
fn log_and_counters_tell_what_was_asked() {
    let world = World::new();
    world.get("assets?pageIndex=0");
    world.get("assets?pageIndex=9");
    let records = world.apple.calls();
    let summary: Vec<_> = records
        .iter()
        .map(|call| (call.endpoint.as_str(), call.query.as_str(), call.status, call.error_number))
        .collect();
    assert_eq!(summary, [("assets", "pageIndex=0", Some(200), None), ("assets", "pageIndex=9", Some(400), Some(9650))]);
    assert_eq!(records[0].u_id.as_ref(), Some(&world.u_id));
    assert_eq!(world.apple.counters().calls.get("assets"), Some(&2));
    let rate = FaultRule { endpoint: None, fault: Fault::InternalError, often: Often::Rate(1.5) };
    assert!(matches!(world.apple.add_fault(rate), Err(AdminError::Invalid(_))));
}

#[tokio::test]
async fn silence_slowness_and_withdrawal() {
    let world = World::new();
    let call = world.post_call("assets/associate", &manage(&[APP], &serials(1)));
    fault(&world, Fault::SilentBeforeEffect, Often::Next(1));
    fault(&world, Fault::SilentAfterEffect, Often::Next(1));
    fault(&world, Fault::Withdrawn, Often::Next(1));
    assert_eq!(world.apple.call(&call).await, Outcome::Silent);
    assert!(world.location().events.is_empty());
    assert_eq!(world.apple.call(&call).await, Outcome::Silent);
    assert_eq!(world.location().events.len(), 1);
    let gone = world.outcome(&call);
    assert_eq!((gone.status, gone.error()), (410, 9634));
    fault(&world, Fault::SlowReply(5), Often::Next(1));
    let apple = world.apple.clone();
    let waiting = tokio::spawn(async move { apple.call(&call).await });
    world.time.advance(Duration::from_secs(4)).await;
    assert_eq!((waiting.is_finished(), world.location().events.len()), (false, 2));
    world.breathe().await;
    assert!(matches!(waiting.await.unwrap(), Outcome::Reply(_)));
}

#[tokio::test]
async fn tasks_can_fail_at_apples_side() {
    let world = World::new();
    fault(&world, Fault::TasksFail(TaskError::Maintenance), Often::Next(1));
    let event = world.post("assets/associate", manage(&[APP], &serials(2))).json["eventId"].clone();
    world.breathe().await;
    let report = world.get(&format!("status?eventId={}", event.as_str().unwrap())).json;
    assert_eq!((&report["eventStatus"], &report["failures"][0]["errorNumber"]), (&json!("FAILED"), &json!(9644)));
    assert_eq!(world.assigned(APP), 0);
}

#[tokio::test]
async fn a_share_of_the_tasks_can_fail() {
    let world = World::new();
    fault(&world, Fault::SomeTasksFail(20), Often::Next(1));
    let event = world.post("assets/associate", manage(&[SECOND_APP], &serials(500))).json["eventId"].clone();
    world.time.advance(Duration::from_secs(60)).await;
    let report = world.get(&format!("status?eventId={}", event.as_str().unwrap())).json;
    assert_eq!((&report["eventStatus"], &report["failures"][0]["errorNumber"]), (&json!("FAILED"), &json!(9603)));
    let assigned = world.assigned(SECOND_APP);
    assert!((350..450).contains(&assigned), "{assigned}");
    let failed = report["failures"][0]["errorInfo"]["serialNumbers"].as_array().unwrap().len();
    assert_eq!(assigned + failed as i64, 500);
}
