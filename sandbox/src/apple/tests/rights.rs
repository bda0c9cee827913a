//! Tokens of several kinds, and the switches about other times and other clients.

use super::*;

impl World {
    fn with_token_of(mut self, kind: TokenKind) -> World {
        self.token = self.apple.add_token_of(&self.u_id, SignedDuration::from_hours(24 * 365), kind).unwrap();
        self
    }
}

#[test]
fn read_only_token_may_look_but_not_change() {
    let world = World::new().with_token_of(TokenKind::ReadOnly);
    for path in ["assets", "assignments", "users", "client/config"] {
        assert_eq!(world.get(path).status, 200, "{path}");
    }
    let change = |world: &World| {
        let got = world.post("assets/associate", manage(&[APP], &serials(1)));
        (got.status, got.error())
    };
    assert_eq!(change(&world), (403, 9601));
    world.switch(json!({"read-only-token": "unauthorized"}));
    assert_eq!(change(&world), (401, 9601));
    assert_eq!(world.post("client/config", json!({})).error(), 9601);
    assert!(world.location().events.is_empty());
}

#[tokio::test]
async fn legacy_token_may_do_everything_or_nothing_newer() {
    let world = World::new().with_token_of(TokenKind::Legacy);
    let revoke = json!({"serialNumbers": ["QX1"]});
    assert_eq!(world.post("assets/revoke", revoke.clone()).status, 200);
    world.switch(json!({"legacy-calls": "refused"}));
    let got = world.post("assets/revoke", revoke);
    assert_eq!((got.status, got.error()), (403, 9647));
    assert_eq!(world.post("assets/associate", manage(&[APP], &serials(1))).status, 200);
}

#[test]
fn facilitator_has_no_business_here() {
    let world = World::new().with_token_of(TokenKind::Facilitator);
    let got = world.get("client/config");
    assert_eq!((got.status, got.error()), (403, 9637));
}

#[tokio::test]
async fn other_client_acts_at_seeded_times_and_only_when_switched_on() {
    let world = World::new();
    let history = |world: &World| {
        let location = world.location();
        (location.mdm_info.map(|info| info.id), location.assignments, location.users)
    };
    let quiet = history(&world);
    world.time.advance(Duration::from_secs(24 * 3600)).await;
    assert_eq!(history(&world), quiet);
    for serial in serials(5) {
        world.apple.assign(&world.u_id, &AssetName::standard(APP), &serial).unwrap();
    }
    world.apple.add_user(&world.u_id, "anna").unwrap();
    world.switch(json!({"other-mdm": "on", "other-mdm-seconds": [60, 60]}));
    let before = history(&world);
    world.time.advance(Duration::from_secs(59)).await;
    assert_eq!(history(&world), before);
    world.time.advance(Duration::from_secs(3600)).await;
    let (holder, assignments, users) = history(&world);
    assert_eq!(holder.as_deref(), Some("other-mdm"));
    assert!(assignments.iter().any(|one| one.serial_number.as_ref().is_some_and(|serial| serial.starts_with("OTHER"))));
    let ours =
        assignments.iter().filter(|one| one.serial_number.as_ref().is_some_and(|serial| serial.starts_with("QX")));
    assert!(ours.count() < 5);
    assert_eq!(users[0].status, UserStatus::Retired);
    world.switch(json!({"other-mdm": "off"}));
    let left = history(&world);
    world.time.advance(Duration::from_secs(24 * 3600)).await;
    assert_eq!(history(&world), left);
    let range = json!({"other-mdm-seconds": [0, 1]});
    assert!(world.apple.patch_switches(range.as_object().unwrap().clone()).is_err());
}

#[test]
fn other_client_acts_on_demand() {
    let world = World::new();
    let act = |act| world.apple.other_mdm_acts(&world.u_id, act).unwrap();
    assert!(!act(OtherAct::Revoke));
    assert!(!act(OtherAct::Retire));
    assert!(act(OtherAct::Assign));
    assert!(act(OtherAct::Revoke));
    assert!(act(OtherAct::Claim));
    assert_eq!(world.get("assets").json["mdmInfo"]["id"], json!("other-mdm"));
    assert!(matches!(world.apple.other_mdm_acts("1", OtherAct::Claim), Err(AdminError::NoLocation(_))));
}

#[tokio::test]
async fn listings_lag_behind_what_was_written() {
    let world = World::new();
    world.switch(json!({"lag-seconds": 30}));
    let version = world.get("assignments").json["versionId"].clone();
    let seen = || {
        let sizes = ["assignments", "users"].map(|path| world.get(path).json["size"].as_u64().unwrap());
        let assigned = world.get(&format!("assets?adamId={APP}")).json["assets"][0]["assignedCount"].as_u64().unwrap();
        (sizes, assigned)
    };
    world.apple.assign(&world.u_id, &AssetName::standard(APP), "QX1").unwrap();
    world.apple.add_user(&world.u_id, "anna").unwrap();
    world.time.advance(Duration::from_secs(29)).await;
    assert_eq!(seen(), ([0, 0], 0));
    assert_eq!(world.get("assignments").json["versionId"], version);
    world.apple.assign(&world.u_id, &AssetName::standard(APP), "QX2").unwrap();
    world.breathe().await;
    assert_eq!(seen(), ([1, 1], 1));
    let since = format!("assignments?sinceVersionId={}", version.as_str().unwrap());
    assert_eq!(world.get(&since).json["size"], json!(1));
    world.time.advance(Duration::from_secs(29)).await;
    assert_eq!(seen(), ([2, 1], 2));
    world.apple.assign(&world.u_id, &AssetName::standard(APP), "QX3").unwrap();
    world.switch(json!({"lag-seconds": 0}));
    assert_eq!(seen(), ([3, 1], 3));
}

#[test]
fn before_june_2026_there_is_less() {
    let world = World::new();
    world.switch(json!({"profile-2026": "off"}));
    let limits = world.get("service/config").json["limits"].clone();
    assert_eq!((limits.get("maxRequestPerSecond"), &limits["maxAssets"]), (None, &json!(25)));
    assert_eq!((limits.get("maxSubscriptions"), limits.get("maxSubscriptionClientUserIds")), (None, None));
    assert_eq!(world.get("assets?unlimited=true").error(), 9602);
    assert_eq!(world.post("client/config", json!({"notificationTypes": ["UNLIMITED_ASSET"]})).error(), 9602);
    assert_eq!(world.get("subscriptions").status, 404);
    world.switch(json!({"profile-2026": "on"}));
    assert_eq!(world.post("client/config", json!({"notificationTypes": ["UNLIMITED_ASSET"]})).status, 200);
}

#[tokio::test]
async fn limits_lowered_at_run_time_are_published_and_held() {
    let world = World::new();
    let body = manage(&[APP, SECOND_APP], &serials(3));
    assert_eq!(world.post("assets/associate", body.clone()).status, 200);
    let lower = json!({"maxAssets": 1, "maxSerialNumbers": 2, "maxRevokeSerialNumbers": 1});
    world.apple.patch_limits(lower.as_object().unwrap().clone()).unwrap();
    assert_eq!(world.post("assets/associate", body).error(), 9700);
    assert_eq!(world.post("assets/associate", manage(&[APP], &serials(3))).error(), 9702);
    assert_eq!(world.post("assets/revoke", json!({"serialNumbers": serials(2)})).error(), 9702);
    assert_eq!(world.get("service/config").json["limits"]["maxSerialNumbers"], json!(2));
}

#[test]
fn licences_move_between_locations_and_countries_change() {
    let world = World::new();
    let other = world.apple.add_location(NewLocation::default());
    let asset = AssetName::standard(APP);
    world.apple.assign(&world.u_id, &asset, "QX1").unwrap();
    assert!(matches!(world.apple.transfer(&world.u_id, &other, &asset, 10), Err(AdminError::Invalid(_))));
    assert!(matches!(world.apple.transfer(&world.u_id, &other, &asset, 25_000), Err(AdminError::Invalid(_))));
    assert!(matches!(world.apple.transfer(&world.u_id, "1", &asset, 1), Err(AdminError::NoLocation(_))));
    world.apple.transfer(&world.u_id, &other, &asset, 9).unwrap();
    let there = world.apple.location(&other).unwrap().assets.remove(0);
    assert_eq!((there.total, there.assigned, there.available), (9, 0, 9));
    let here = world.location().assets.into_iter().find(|one| one.adam_id == APP).unwrap();
    assert_eq!((here.total, here.assigned, here.available), (1, 1, 0));
    world.apple.change_country(&world.u_id, "DE").unwrap();
    world.apple.rename_location(&world.u_id, "Werk Nord").unwrap();
    let config = world.get("client/config").json;
    assert_eq!((&config["countryISO2ACode"], &config["locationName"]), (&json!("DE"), &json!("Werk Nord")));
    assert!(matches!(world.apple.change_country(&world.u_id, "de"), Err(AdminError::Invalid(_))));
}
