use super::*;

fn with_assignments(count: usize) -> World {
    let world = World::new();
    for serial in serials(count) {
        world.apple.assign(&world.u_id, &AssetName::standard(SECOND_APP), &serial).unwrap();
    }
    world
}

fn listed(got: &Got) -> Vec<String> {
    let assignments = got.json["assignments"].as_array().unwrap();
    assignments.iter().map(|record| record["serialNumber"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn pages_cover_everything_once_and_carry_one_version() {
    let world = with_assignments(7);
    world.switch(json!({"page-size": 3}));
    let pages: Vec<Got> = (0..3).map(|index| world.get(&format!("assignments?pageIndex={index}"))).collect();
    let all: Vec<String> = pages.iter().flat_map(listed).collect();
    assert_eq!(all, serials(7));
    assert!(pages.iter().all(|page| page.json["versionId"] == pages[0].json["versionId"]));
    let frame =
        |page: &Got| ["currentPageIndex", "nextPageIndex", "size", "totalPages"].map(|key| page.json[key].as_u64());
    assert_eq!(frame(&pages[0]), [Some(0), Some(1), Some(3), Some(3)]);
    assert_eq!(frame(&pages[2]), [Some(2), None, Some(1), Some(3)]);
    for index in ["3", "-1", "many"] {
        assert_eq!(world.get(&format!("assignments?pageIndex={index}")).error(), 9650, "{index}");
    }
}

#[test]
fn version_looks_like_a_time_based_uuid_and_changes_with_every_write() {
    let world = with_assignments(1);
    let version = || world.get("assignments").json["versionId"].as_str().unwrap().to_owned();
    let before = version();
    assert_eq!(uuid::Uuid::parse_str(&before).unwrap().get_version_num(), 1);
    assert_eq!(before, version());
    world.apple.unassign(&world.u_id, &AssetName::standard(SECOND_APP), &serials(1)[0]).unwrap();
    assert_ne!(before, version());
    assert_ne!(before, world.get("assets").json["versionId"].as_str().unwrap());
}

#[test]
fn since_version_shows_additions_and_hides_removals() {
    let world = with_assignments(2);
    let version = world.get("assignments").json["versionId"].as_str().unwrap().to_owned();
    let since = || world.get(&format!("assignments?sinceVersionId={version}"));
    assert_eq!(listed(&since()), Vec::<String>::new());
    let asset = AssetName::standard(SECOND_APP);
    world.apple.assign(&world.u_id, &asset, "QXNEW").unwrap();
    world.apple.unassign(&world.u_id, &asset, &serials(1)[0]).unwrap();
    let got = since();
    assert_eq!(listed(&got), ["QXNEW"]);
    assert_ne!(got.json["versionId"], json!(version));
    world.switch(json!({"delta-removed": "listed"}));
    assert_eq!(listed(&since()), ["QXNEW", "QX00000000"]);
    assert_eq!(listed(&world.get("assignments")), ["QX00000001", "QXNEW"]);
    assert_eq!(world.get("assignments?sinceVersionId=nonsense").error(), 9721);
}

#[test]
fn churn_changes_version_and_pages_in_the_middle_of_a_walk() {
    let world = with_assignments(4);
    world.switch(json!({"page-size": 2, "version-churn": "version-and-pages"}));
    let first = world.get("assignments");
    let second = world.get("assignments?pageIndex=1");
    assert_ne!(first.json["versionId"], second.json["versionId"]);
    assert_eq!((first.json["totalPages"].as_u64(), second.json["totalPages"].as_u64()), (Some(2), Some(3)));
    let last = world.get("assignments?pageIndex=2");
    assert_eq!((last.status, listed(&last).len(), last.json.get("nextPageIndex")), (200, 0, None));
}

#[test]
fn empty_list_has_one_page_or_none() {
    let world = World::new();
    let got = world.get("assignments");
    assert_eq!((got.json["size"].as_u64(), got.json["totalPages"].as_u64()), (Some(0), Some(1)));
    world.switch(json!({"empty-pages": "zero"}));
    assert_eq!(world.get("assignments").json["totalPages"], json!(0));
}

#[test]
fn assets_carry_counts_and_filters_combine() {
    let world = with_assignments(3);
    let got = world.get(&format!("assets?adamId={SECOND_APP}&pricingParam=STDQ&minAssignedCount=3"));
    assert_eq!(
        got.json["assets"],
        json!([{"adamId": SECOND_APP, "pricingParam": "STDQ", "productType": "App", "deviceAssignable": true,
                "revocable": true, "assignedCount": 3, "availableCount": 997, "retiredCount": 0, "totalCount": 1000,
                "supportedPlatforms": ["iOS"]}])
    );
    let ids = |query: &str| -> Vec<String> {
        let got = world.get(&format!("assets?{query}"));
        let assets = got.json["assets"].as_array().unwrap();
        assets.iter().map(|asset| asset["adamId"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(ids("productType=Book"), [BOOK]);
    assert_eq!(ids("deviceAssignable=false&revocable=false"), [BOOK]);
    assert_eq!(ids("maxAvailableCount=10&productType=App"), [APP]);
    assert_eq!(ids("minAvailableCount=998"), Vec::<String>::new());
    assert_eq!(ids("maxAssignedCount=0"), [APP, BOOK]);
}

#[test]
fn unlimited_assets_are_listed_apart_or_with_a_huge_total() {
    let world = World::new();
    let free = NewAsset { unlimited: true, ..NewAsset::app("1800000011", 0) };
    world.apple.add_asset(&world.u_id, free).unwrap();
    let apart = world.get("assets?unlimited=true");
    assert_eq!(apart.json["assets"], json!([]));
    let record = &apart.json["unlimitedAssets"][0];
    assert_eq!(record["adamId"], json!("1800000011"));
    assert_eq!(
        (record.get("totalCount"), record.get("availableCount"), record.get("retiredCount")),
        (None, None, None)
    );
    let counted = world.get("assets?unlimited=false");
    assert_eq!((counted.json["size"].as_u64(), counted.json.get("unlimitedAssets")), (Some(3), None));
    let both = world.get("assets?adamId=1800000011");
    assert_eq!(both.json["assets"][0]["totalCount"], json!(UNLIMITED));
    assert_eq!(both.json.get("unlimitedAssets"), None);
}

#[test]
fn bad_filter_value_is_refused_ignored_or_matches_nothing() {
    let world = World::new();
    assert_eq!(world.get("assets?productType=Song").error(), 9602);
    world.switch(json!({"filter-bad": "ignore"}));
    assert_eq!(world.get("assets?productType=Song").json["size"], json!(3));
    world.switch(json!({"filter-bad": "empty"}));
    assert_eq!(world.get("assets?deviceAssignable=1").json["size"], json!(0));
}

#[tokio::test]
async fn user_state_is_added_to_user_assignments_on_request() {
    let world = World::new();
    world.apple.add_user(&world.u_id, "anna").unwrap();
    let body = json!({"assets": [{"adamId": BOOK}], "clientUserIds": ["anna"]});
    assert_eq!(world.post("assets/associate", body).status, 200);
    world.time.advance(Duration::from_secs(1)).await;
    let with = world.get("assignments?includeUserState=true&clientUserId=anna");
    assert_eq!(
        with.json["assignments"],
        json!([{"adamId": BOOK, "pricingParam": "STDQ", "clientUserId": "anna", "userStatus": "Registered"}])
    );
    let without = world.get("assignments?excludeInactiveUsers=true&serialNumber=QX1");
    assert_eq!(without.json["assignments"], json!([]));
}
