//! Replies as Apple may write them.

use super::*;

#[test]
fn adam_id_is_read_from_a_string_and_from_a_number() {
    let asset = |json| serde_json::from_str::<AssetRef>(json).unwrap();
    assert_eq!(asset(r#"{"adamId":"1600000011","pricingParam":"STDQ"}"#), asset(r#"{"adamId":1600000011}"#));
    let key = AssetRef { adam_id: "7".into(), pricing_param: PricingParam::Plus };
    assert_eq!(serde_json::to_string(&key).unwrap(), r#"{"adamId":"7","pricingParam":"PLUS"}"#);
}

#[test]
fn unknown_words_and_members_do_not_spoil_a_reply() {
    let asset: Asset = serde_json::from_str(
        r#"{"adamId":"1","pricingParam":"GOLD","productType":"Film","revocable":null,"totalCount":9,"new":[{}]}"#,
    )
    .unwrap();
    assert_eq!(asset.pricing_param, PricingParam::Other("GOLD".into()));
    assert_eq!(asset.product_type, ProductType::Other("Film".into()));
    assert_eq!((asset.total_count, asset.revocable), (9, false));
    let status: EventStatus = serde_json::from_str(r#"{"eventStatus":"RESTING"}"#).unwrap();
    assert_eq!(status.event_status, EventState::Other("RESTING".into()));
    assert!(!status.is_final());
}

#[test]
fn users_are_read_whatever_is_missing_and_written_without_what_is_not_said() {
    let list: Vec<User> = serde_json::from_str::<UsersList>(
        r#"{"users":[{"clientUserId":"a","email":"a@x.example","inviteCode":"c0de","status":"Registered","new":[1]},
            {"clientUserId":7,"email":null,"idHash":null,"inviteCode":null,"status":null},
            {"clientUserId":"c","idHash":"h=","status":"Resting"}]}"#,
    )
    .unwrap()
    .into();
    assert_eq!((&list[0].status, list[0].invite_code.as_ref().unwrap().reveal()), (&UserStatus::Registered, "c0de"));
    assert_eq!((list[1].client_user_id.as_str(), &list[1].status), ("7", &UserStatus::Other(String::new())));
    assert_eq!(list[2].status, UserStatus::Other("Resting".into()));
    assert!(!format!("{list:?}").contains("c0de"), "an invitation is not printed");
    let request = UserRequest { client_user_id: "a".into(), email: None, managed_apple_id: None };
    let body = serde_json::to_string(&ManageUsersRequest { users: &[request] }).unwrap();
    assert_eq!(body, r#"{"users":[{"clientUserId":"a"}]}"#);
}

#[test]
fn nulls_numbers_as_text_and_text_as_numbers_do_not_spoil_a_reply() {
    let assets = |json| -> Vec<Asset> { serde_json::from_str::<AssetsLists>(json).unwrap().into() };
    let odd = assets(
        r#"{"assets":[{"adamId":null},{"totalCount":1},{"adamId":7,"pricingParam":null,"productType":null,
            "deviceAssignable":"true","revocable":1,"assignedCount":"3","availableCount":null,"totalCount":4.0,
            "supportedPlatforms":["iOS",null,5]}],"unlimitedAssets":null}"#,
    );
    let [asset] = odd.try_into().unwrap();
    assert_eq!((asset.adam_id.0.as_str(), asset.pricing_param), ("7", PricingParam::Stdq));
    assert_eq!((asset.device_assignable, asset.revocable, asset.assigned_count), (true, true, 3));
    assert_eq!((asset.available_count, asset.total_count), (0, 4));
    assert_eq!(asset.supported_platforms, ["iOS", "5"]);
    let held: Vec<Assignment> = serde_json::from_str::<AssignmentsList>(
        r#"{"assignments":[{"adamId":1,"serialNumber":12345,"clientUserId":null},{"serialNumber":"QX7T2M9K1P"}]}"#,
    )
    .unwrap()
    .into();
    assert_eq!(held.iter().filter_map(Assignment::holder).collect::<Vec<_>>(), [Holder::Serial("12345".into())]);
    let paging = r#"{"currentPageIndex":"0","nextPageIndex":"1","totalPages":null,"versionId":7}"#;
    let paging: Envelope = serde_json::from_str(paging).unwrap();
    assert_eq!((paging.next_page_index, paging.total_pages, paging.version_id.as_deref()), (Some(1), 0, Some("7")));
    let status =
        r#"{"eventStatus":null,"eventType":1,"numRequested":"2","failures":[{"errorInfo":[],"errorNumber":null}]}"#;
    let status: EventStatus = serde_json::from_str(status).unwrap();
    assert!(!status.is_final() && status.num_requested == 2 && status.failures.len() == 1);
    let config = r#"{"uId":7,"locationName":5,"subscribedNotificationTypes":[null,"ASSET_COUNT"],"websiteURL":null}"#;
    let config: ClientConfig = serde_json::from_str(config).unwrap();
    assert_eq!((config.location_name.as_deref(), config.subscribed_notification_types.len()), (Some("5"), 1));
    assert_eq!(serde_json::from_str::<EventResponse>(r#"{"eventId":7}"#).unwrap().event_id, "7");
}

#[test]
fn mdm_info_null_is_the_same_as_absent() {
    let read = |json| serde_json::from_str::<Envelope>(json).unwrap();
    assert_eq!(read(r#"{"mdmInfo":null,"uId":"7"}"#), read(r#"{"uId":7}"#));
    assert_eq!(read(r#"{"mdmInfo":{"id":"a"}}"#).mdm_info.unwrap().name, "");
}

#[test]
fn an_error_number_is_found_whatever_its_details_look_like() {
    let read = |json| serde_json::from_str::<Envelope>(json).unwrap().error_number;
    assert_eq!(read(r#"{"errorNumber":9622,"errorInfo":"odd"}"#), Some(9622));
    assert_eq!(read(r#"{"errorNumber":"9625","errorInfo":null}"#), Some(9625));
    assert_eq!(read(r#"{"errorNumber":null}"#), None);
    assert_eq!(read(r#"{"errorNumber":0}"#), None);
}

#[test]
fn unlimited_assets_of_either_listing_are_the_same() {
    let read = |json| -> Vec<Asset> { serde_json::from_str::<AssetsLists>(json).unwrap().into() };
    let apart = read(r#"{"assets":[],"unlimitedAssets":[{"adamId":"2","assignedCount":12}]}"#);
    let among = read(r#"{"assets":[{"adamId":"2","assignedCount":12,"totalCount":2147483647}]}"#);
    assert_eq!(apart, among);
    assert!(apart[0].is_unlimited());
}

#[test]
fn complete_is_success_only_when_every_task_is_done_and_nothing_failed() {
    let read = |json| serde_json::from_str::<EventStatus>(json).unwrap();
    assert!(read(r#"{"eventStatus":"COMPLETE","numCompleted":2,"numRequested":2}"#).is_full_success());
    assert!(!read(r#"{"eventStatus":"COMPLETE","numCompleted":1,"numRequested":2}"#).is_full_success());
    let failed = read(
        r#"{"eventStatus":"FAILED","numCompleted":1,"numRequested":2,"failures":[{"errorNumber":9709,
            "errorInfo":{"assets":[{"adamId":1}],"serialNumbers":["QX7T2M9K2P"],"clientUserIds":null}}]}"#,
    );
    assert!(failed.is_final() && !failed.is_full_success());
    assert_eq!(failed.failures[0].info.as_ref().unwrap().serial_numbers, ["QX7T2M9K2P"]);
}

#[test]
fn dates_are_read_with_and_without_a_colon_and_with_z() {
    let expected: Timestamp = "2027-06-30T09:15:00Z".parse().unwrap();
    for text in [
        "2027-06-30T09:15:00+0000",
        "2027-06-30T09:15:00+00:00",
        "2027-06-30T09:15:00Z",
        "2027-06-30T02:15:00-0700",
        " 2027-06-30T09:15:00+0000\n",
    ] {
        assert_eq!(parse_date(text), Some(expected), "{text}");
    }
    for text in ["", "2027-06-30", "tomorrow", "2027-13-30T09:15:00Z"] {
        assert_eq!(parse_date(text), None, "{text}");
    }
}
