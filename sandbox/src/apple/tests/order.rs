//! The order of checks: each test breaks two rules at once and sees the earlier one answered.

use super::*;

fn broken_body(call: Call) -> Call {
    Call { body: "{".into(), ..call }
}

#[test]
fn unknown_path_comes_before_everything() {
    let world = World::new();
    let call = Call { method: Method::DELETE, authorization: None, ..world.get_call("users/destroy") };
    let got = world.outcome(&call);
    assert_eq!((got.status, got.error()), (404, 0));
}

#[test]
fn wrong_method_comes_before_wrong_content_type() {
    let world = World::new();
    let call = Call { content_type: None, ..world.post_call("assets", &json!({})) };
    let got = world.outcome(&call);
    assert_eq!((got.status, got.error()), (405, 9726));
}

#[test]
fn wrong_content_type_comes_before_a_malformed_header() {
    let world = World::new();
    let call = world.post_call("assets/associate", &json!({}));
    let got = world.outcome(&Call { content_type: Some("text/plain".to_owned()), authorization: None, ..call.clone() });
    assert_eq!((got.status, got.error()), (415, 9727));
    let charset = Some("application/json; charset=utf-8".to_owned());
    assert_eq!(world.outcome(&Call { content_type: charset, ..call }).error(), 9718);
}

#[test]
fn malformed_header_is_401_and_unknown_token_is_200_with_an_error_in_the_body() {
    let world = World::new();
    let with = |header: &str| Call { authorization: Some(header.to_owned()), ..world.get_call("client/config") };
    for header in ["", "Bearer", "Bearer ", "bearer e30=", "Basic e30=", "Bearer not base64", "Bearer e30"] {
        let got = world.outcome(&with(header));
        assert_eq!((got.status, got.error()), (401, 9722), "{header:?}");
    }
    let unknown = world.outcome(&with("Bearer e30="));
    assert_eq!((unknown.status, unknown.error()), (200, 9622));
    world.switch(json!({"token-200": "unauthorized-with-body", "bad-token-number": "9601"}));
    let unknown = world.outcome(&with("Bearer e30="));
    assert_eq!((unknown.status, unknown.error()), (401, 9601));
}

#[test]
fn expired_comes_before_revoked_and_both_before_the_body() {
    let world = World::new();
    let call = broken_body(world.post_call("client/config", &json!({})));
    world.apple.revoke_token(&world.token).unwrap();
    assert_eq!(world.outcome(&call).error(), 9625);
    world.apple.expire_token(&world.token).unwrap();
    assert_eq!(world.outcome(&call).error(), 9621);
}

#[test]
fn token_comes_before_the_rate_and_the_rate_before_a_fault() {
    let world = World::new();
    world.apple.set_limits(Limits { max_request_per_second: 1, ..Limits::default() });
    assert_eq!(world.get("client/config").status, 200);
    let fault = FaultRule { endpoint: None, fault: Fault::InternalError, often: Often::Next(1) };
    world.apple.add_fault(fault).unwrap();
    let got = world.get("client/config");
    assert_eq!((got.status, got.error()), (429, 9646));
    world.apple.revoke_token(&world.token).unwrap();
    assert_eq!(world.get("client/config").error(), 9625);
}

#[test]
fn fault_comes_before_the_body() {
    let world = World::new();
    let fault = FaultRule { endpoint: None, fault: Fault::InternalError, often: Often::Next(1) };
    world.apple.add_fault(fault).unwrap();
    let call = broken_body(world.post_call("assets/associate", &json!({})));
    assert_eq!(world.outcome(&call).error(), 9603);
    assert_eq!(world.outcome(&call).error(), 9602);
}

#[test]
fn unreadable_body_comes_before_missing_members() {
    let world = World::new();
    let got = world.post("assets/associate", json!({"serialNumber": ["QX1"]}));
    assert_eq!((got.status, got.error()), (400, 9602));
    for body in [
        json!({"assets": null, "serialNumbers": ["QX1"]}),
        json!({"assets": [{"adamId": 1600000011}], "serialNumbers": ["QX1"]}),
        json!({"assets": [{"adamId": APP, "pricingParam": "GOLD"}], "serialNumbers": ["QX1"]}),
        json!({"assets": [{"adamId": APP}], "serialNumbers": "QX1"}),
    ] {
        assert_eq!(world.post("assets/associate", body).error(), 9602);
    }
    assert_eq!(world.apple.counters().refused, 5);
}

#[test]
fn missing_assets_come_before_missing_targets_and_both_before_limits() {
    let world = World::new();
    assert_eq!(world.post("assets/associate", json!({})).error(), 9718);
    assert_eq!(world.post("assets/associate", json!({"assets": []})).error(), 9718);
    world.apple.set_limits(Limits { max_assets: 0, ..Limits::default() });
    assert_eq!(world.post("assets/associate", json!({"assets": [{"adamId": APP}]})).error(), 9719);
    assert_eq!(world.apple.counters().refused, 0);
}

#[test]
fn limits_come_before_duplicates_and_count_distinct_entries() {
    let world = World::new();
    world.apple.set_limits(Limits { max_assets: 1, max_serial_numbers: 2, ..Limits::default() });
    let twice = vec!["QX1".to_owned(), "QX1".to_owned(), "QX2".to_owned()];
    assert_eq!(world.post("assets/associate", manage(&[APP, SECOND_APP], &twice)).error(), 9700);
    let got = world.post("assets/associate", manage(&[APP], &twice));
    assert_eq!(got.error(), 9705);
    assert_eq!(got.json["errorInfo"], json!({"serialNumbers": ["QX1"]}));
    let three = serials(3);
    assert_eq!(world.post("assets/associate", manage(&[APP], &three)).error(), 9702);
    world.apple.set_limits(Limits { max_client_user_ids: 0, ..Limits::default() });
    let users = json!({"assets": [{"adamId": APP}], "clientUserIds": ["a", "a"]});
    assert_eq!(world.post("assets/associate", users.clone()).error(), 9701);
    world.apple.set_limits(Limits::default());
    assert_eq!(world.post("assets/associate", users).error(), 9704);
}

#[test]
fn duplicates_come_before_flags() {
    let world = World::new();
    let got = world.post("assets/associate", manage(&[BOOK, BOOK], &serials(1)));
    assert_eq!(got.error(), 9703);
    assert_eq!(got.json["errorInfo"]["assets"], json!([{"adamId": BOOK, "pricingParam": "STDQ"}]));
}

#[test]
fn a_book_goes_to_no_device_and_comes_back_from_nobody() {
    let world = World::new();
    let got = world.post("assets/associate", manage(&[APP, BOOK], &serials(1)));
    assert_eq!((got.status, got.error()), (400, 9707));
    assert_eq!(got.json["errorInfo"]["assets"], json!([{"adamId": BOOK, "pricingParam": "STDQ"}]));
    assert_eq!(world.post("assets/disassociate", manage(&[BOOK], &serials(1))).error(), 9706);
    assert!(world.location().events.is_empty());
}

#[test]
fn flags_come_before_unknown_users() {
    let world = World::new();
    let body = json!({"assets": [{"adamId": BOOK}], "clientUserIds": ["nobody"], "serialNumbers": ["QX1"]});
    assert_eq!(world.post("assets/associate", body.clone()).error(), 9707);
    world.switch(json!({"both-targets": "refuse"}));
    assert_eq!(world.post("assets/associate", body).error(), 9602);
    let body = json!({"assets": [{"adamId": BOOK}], "clientUserIds": ["nobody"]});
    assert_eq!(world.post("assets/associate", body).error(), 9609);
}

#[test]
fn unknown_asset_can_be_refused_at_once() {
    let world = World::new();
    world.switch(json!({"unknown-asset": "invalid-now"}));
    assert_eq!(world.post("assets/associate", manage(&["999"], &serials(1))).error(), 9602);
}

#[test]
fn undocumented_parameter_is_refused_and_counted() {
    let world = World::new();
    assert_eq!(world.get("assets?supportedPlatforms=iOS").error(), 9602);
    assert_eq!(world.get("assets?pageIndex=0&pageIndex=1").error(), 9602);
    assert_eq!(world.get("service/config?x=1").error(), 9602);
    assert_eq!(world.apple.counters().refused, 3);
}

#[tokio::test]
async fn fifteen_calls_a_second_and_not_one_more() {
    let world = World::new();
    for _ in 0..15 {
        assert_eq!(world.get("client/config").status, 200);
        world.time.advance(Duration::from_millis(10)).await;
    }
    assert_eq!(world.get("client/config").error(), 9646);
    // 849 ms after the last of them: the first is not yet a second old.
    world.time.advance(Duration::from_millis(849)).await;
    assert_eq!(world.get("client/config").error(), 9646);
    world.time.advance(Duration::from_millis(1)).await;
    assert_eq!(world.get("client/config").status, 200);
    assert_eq!(world.get("client/config").error(), 9646);
    assert_eq!(world.apple.counters().errors.get(&9646), Some(&3));
}

#[test]
fn each_location_has_its_own_rate() {
    let world = World::new();
    world.apple.set_limits(Limits { max_request_per_second: 1, ..Limits::default() });
    let other = world.apple.add_location(NewLocation::default());
    let token = world.apple.add_token(&other, SignedDuration::from_hours(1)).unwrap();
    assert_eq!(world.get("client/config").status, 200);
    let call = Call { authorization: Some(format!("Bearer {token}")), ..world.get_call("client/config") };
    assert_eq!(world.outcome(&call).json["uId"], json!(other));
    assert_eq!(world.get("client/config").error(), 9646);
}
