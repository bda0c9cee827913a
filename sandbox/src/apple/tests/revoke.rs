use super::*;

async fn with_licences() -> World {
    let world = World::new();
    world.apple.add_user(&world.u_id, "anna").unwrap();
    let body = json!({"assets": [{"adamId": BOOK}, {"adamId": APP}], "clientUserIds": ["anna"]});
    assert_eq!(world.post("assets/associate", body).status, 200);
    assert_eq!(world.post("assets/associate", manage(&[APP, SECOND_APP], &serials(2))).status, 200);
    world.breathe().await;
    assert_eq!((world.assigned(APP), world.assigned(SECOND_APP), world.assigned(BOOK)), (3, 2, 1));
    world
}

#[tokio::test]
async fn revoke_takes_everything_back_that_can_be() {
    let world = with_licences().await;
    let got =
        world.post("assets/revoke", json!({"clientUserIds": ["anna"], "serialNumbers": [serials(1)[0], "QXNONE"]}));
    world.breathe().await;
    let report = world.get(&format!("status?eventId={}", got.json["eventId"].as_str().unwrap())).json;
    assert_eq!((&report["eventType"], &report["eventStatus"]), (&json!("REVOKE"), &json!("COMPLETE")));
    assert_eq!((&report["numRequested"], &report["numCompleted"]), (&json!(3), &json!(3)));
    assert_eq!((world.assigned(APP), world.assigned(SECOND_APP), world.assigned(BOOK)), (1, 1, 1));
}

#[tokio::test]
async fn revoke_of_nothing_is_complete_at_once() {
    let world = World::new();
    let got = world.post("assets/revoke", json!({"serialNumbers": ["QXNONE"]}));
    let report = world.get(&format!("status?eventId={}", got.json["eventId"].as_str().unwrap())).json;
    assert_eq!((&report["eventStatus"], &report["numRequested"]), (&json!("COMPLETE"), &json!(0)));
}

#[tokio::test]
async fn revoke_has_limits_and_refusals_of_its_own() {
    let world = with_licences().await;
    for (number, body) in [
        (9602, json!({"assets": [{"adamId": APP}], "serialNumbers": ["QX1"]})),
        (9602, json!({"serialNumbers": [""]})),
        (9719, json!({})),
        (9702, json!({"serialNumbers": serials(101)})),
        (9701, json!({"clientUserIds": serials(101)})),
        (9705, json!({"serialNumbers": ["QX1", "QX1"]})),
        (9704, json!({"clientUserIds": ["anna", "anna"]})),
        (9609, json!({"clientUserIds": ["anna", "nobody"]})),
    ] {
        assert_eq!(world.post("assets/revoke", body.clone()).error(), number, "{body}");
    }
    assert_eq!(world.post("assets/revoke", json!({"serialNumbers": serials(100)})).status, 200);
    world.switch(json!({"both-targets": "refuse"}));
    let both = json!({"clientUserIds": ["anna"], "serialNumbers": ["QX1"]});
    assert_eq!(world.post("assets/revoke", both).error(), 9602);
    assert_eq!(world.get("assets/revoke").error(), 9726);
}

#[tokio::test]
async fn licence_that_is_gone_before_its_turn_follows_the_switch() {
    let world = with_licences().await;
    let revoke = || {
        let got = world.post("assets/revoke", json!({"serialNumbers": [serials(1)[0]]}));
        got.json["eventId"].as_str().unwrap().to_owned()
    };
    let event = revoke();
    world.apple.unassign(&world.u_id, &AssetName::standard(APP), &serials(1)[0]).unwrap();
    world.switch(json!({"redisassoc": "failure"}));
    world.breathe().await;
    let report = world.get(&format!("status?eventId={event}")).json;
    assert_eq!((&report["eventStatus"], &report["numCompleted"]), (&json!("FAILED"), &json!(1)));
}
