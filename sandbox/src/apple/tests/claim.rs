use super::*;

fn ours() -> Value {
    json!({"id": "6f0f2b1e", "name": "vppd appliance", "metadata": "vppd/0.1"})
}

#[test]
fn location_is_unclaimed_until_somebody_posts() {
    let world = World::new();
    let got = world.get("client/config");
    assert_eq!(
        got.json,
        json!({"countryISO2ACode": "NL", "defaultPlatform": "enterprisestore", "locationName": "Headquarters",
               "subscribedNotificationTypes": [], "websiteURL": "https://business.apple.com", "uId": world.u_id,
               "tokenExpirationDate": "2028-02-29T08:00:00+0000"})
    );
    world.switch(json!({"mdm-info": "null"}));
    assert_eq!(world.get("client/config").json.get("mdmInfo"), Some(&Value::Null));
    assert_eq!(world.post("client/config", json!({"mdmInfo": ours()})).json["mdmInfo"], ours());
    assert_eq!(world.get("assets").json["mdmInfo"], ours());
    let other = MdmInfo { id: "x".to_owned(), name: "other".to_owned(), metadata: String::new() };
    world.apple.take_over(&world.u_id, other).unwrap();
    assert_eq!(world.get("assets").json["mdmInfo"]["name"], json!("other"));
}

#[test]
fn members_left_out_stay_or_are_cleared() {
    let world = World::new();
    world.post("client/config", json!({"mdmInfo": ours(), "notificationTypes": ["ASSET_COUNT"]}));
    let kept = world.post("client/config", json!({"notificationTypes": []}));
    assert_eq!((&kept.json["mdmInfo"], &kept.json["subscribedNotificationTypes"]), (&ours(), &json!([])));
    world.switch(json!({"cfg-merge": "clear"}));
    assert_eq!(world.post("client/config", json!({"notificationTypes": []})).json.get("mdmInfo"), None);
}

#[test]
fn claim_is_checked_before_it_is_stored() {
    let world = World::new();
    let url = "https://vppd.example/n";
    let long = |length| "x".repeat(length);
    for (number, body) in [
        (9602, json!({"mdmInfo": ours(), "locationName": "mine"})),
        (9602, json!({"mdmInfo": null})),
        (9602, json!({"notificationTypes": ["SOMETHING_NEW"]})),
        (9723, json!({"mdmInfo": {"id": "a", "name": "b"}, "notificationUrl": url})),
        (9710, json!({"notificationUrl": long(513)})),
        (9711, json!({"notificationUrl": "http://x", "notificationAuthToken": long(513)})),
        (9713, json!({"mdmInfo": {"id": "a", "name": "b", "metadata": long(256)}})),
        (9724, json!({"mdmInfo": {"id": long(101), "name": "b", "metadata": ""}})),
        (9725, json!({"mdmInfo": {"id": "a", "name": long(101), "metadata": ""}})),
        (9712, json!({"mdmInfo": ours(), "notificationUrl": "http://x", "notificationAuthToken": "s"})),
        (9728, json!({"mdmInfo": ours(), "notificationUrl": url, "notificationAuthToken": "s"})),
    ] {
        assert_eq!(world.post("client/config", body).error(), number);
    }
    assert_eq!(world.location().mdm_info, None);
}

#[test]
fn expiry_can_be_sent_in_the_last_fifteen_days_only() {
    let world = World::new();
    world.switch(json!({"exp-date": "last-fifteen-days"}));
    assert_eq!(world.get("client/config").json.get("tokenExpirationDate"), None);
    let token = world.apple.add_token(&world.u_id, SignedDuration::from_hours(14 * 24)).unwrap();
    let call = Call { authorization: Some(format!("Bearer {token}")), ..world.get_call("client/config") };
    assert_eq!(world.outcome(&call).json["tokenExpirationDate"], json!("2027-03-15T08:00:00+0000"));
}

#[test]
fn token_file_is_base64_of_the_three_documented_members() {
    use base64::Engine as _;
    let world = World::new();
    let decoded = base64::prelude::BASE64_STANDARD.decode(&world.token).unwrap();
    let content: Value = serde_json::from_slice(&decoded).unwrap();
    assert_eq!(content["expDate"], json!("2028-02-29T08:00:00+0000"));
    assert_eq!(content["orgName"], json!("Sandbox Organisation"));
    assert_eq!(content.as_object().unwrap().len(), 3);
}

#[test]
fn service_config_needs_no_token_and_follows_the_limits() {
    let world = World::new();
    world.apple.set_base_url("https://127.0.0.1:1/mdm/v2/");
    world.apple.patch_limits(json!({"maxAssets": 3}).as_object().unwrap().clone()).unwrap();
    let got = world.outcome(&Call { authorization: None, ..world.get_call("service/config") });
    assert_eq!(got.json["limits"]["maxAssets"], json!(3));
    assert_eq!(got.json["limits"]["maxRequestPerSecond"], json!(15));
    assert_eq!(got.json["urls"]["associateAssets"], json!("https://127.0.0.1:1/mdm/v2/assets/associate"));
    assert_eq!(got.json["urls"]["createUsers"], json!("https://127.0.0.1:1/mdm/v2/users/create"));
}

#[test]
fn settings_are_read_strictly() {
    let world = World::new();
    let patch = |value: Value| world.apple.patch_switches(value.as_object().unwrap().clone());
    assert!(matches!(patch(json!({"page-sizes": 3})), Err(AdminError::Invalid(_))));
    assert!(matches!(patch(json!({"page-size": 0})), Err(AdminError::Invalid(_))));
    assert_eq!(world.apple.switches(), Switches::default());
}
