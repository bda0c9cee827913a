//! Notifications, to a receiver without sockets.

use std::sync::{Arc, Mutex};

use futures_util::future::BoxFuture;
use hyper::StatusCode;

use super::*;
use crate::device::http;

/// Takes notifications; answers with the statuses it was given, then with 200. A status of 0 is no answer at all.
#[derive(Clone, Default)]
struct Receiver(Arc<Mutex<Received>>);

#[derive(Default)]
struct Received {
    requests: Vec<(String, Value)>,
    answers: Vec<u16>,
}

impl http::Network for Receiver {
    fn session(&self, _: &[Vec<u8>], _: Option<&http::Identity>) -> Result<Box<dyn http::Session>, http::SendError> {
        Ok(Box::new(self.clone()))
    }
}

impl http::Session for Receiver {
    fn send(&self, request: http::Request) -> BoxFuture<'_, Result<http::Reply, http::SendError>> {
        let mut received = self.0.lock().unwrap();
        let header = |name: &str| request.headers.iter().find(|(known, _)| *known == name).unwrap().1.clone();
        assert_eq!((header("content-type").as_str(), &request.url), ("application/json", &URL.to_owned()));
        received.requests.push((header("authorization"), serde_json::from_slice(&request.body).unwrap()));
        let status = if received.answers.is_empty() { 200 } else { received.answers.remove(0) };
        Box::pin(async move {
            match StatusCode::from_u16(status) {
                Ok(status) => Ok(http::Reply { status, content_type: None, body: Bytes::new() }),
                Err(_) => std::future::pending().await,
            }
        })
    }
}

const URL: &str = "https://vppd.example/n/1";

impl Receiver {
    fn answer(&self, statuses: &[u16]) {
        self.0.lock().unwrap().answers = statuses.to_vec();
    }

    /// What has come since the last time.
    fn take(&self) -> Vec<(String, Value)> {
        std::mem::take(&mut self.0.lock().unwrap().requests)
    }

    fn types(&self) -> Vec<String> {
        self.take().iter().map(|(_, body)| body["notificationType"].as_str().unwrap().to_owned()).collect()
    }
}

fn config(secret: &str) -> Value {
    json!({"notificationUrl": URL, "notificationAuthToken": secret,
           "notificationTypes": ["ASSET_COUNT", "ASSET_MANAGEMENT", "USER_MANAGEMENT", "USER_ASSOCIATED",
                                 "UNLIMITED_ASSET"]})
}

async fn subscribed() -> (World, Receiver) {
    let (world, receiver) = (World::new(), Receiver::default());
    world.apple.set_notification_network(Arc::new(receiver.clone()));
    world.switch(json!({"chunk-delay-ms": [500, 500]}));
    assert_eq!(world.post("client/config", config("s1")).status, 200);
    receiver.take();
    (world, receiver)
}

#[tokio::test]
async fn test_comes_with_the_new_secret_and_before_the_reply() {
    let (world, receiver) = (World::new(), Receiver::default());
    world.apple.set_notification_network(Arc::new(receiver.clone()));
    let call = world.post_call("client/config", &config("s1"));
    receiver.answer(&[0]);
    let apple = world.apple.clone();
    let waiting = tokio::spawn(async move { apple.call(&call).await });
    world.time.advance(Duration::from_millis(9_999)).await;
    let (secret, body) = receiver.take().remove(0);
    assert_eq!(secret, "Bearer s1");
    assert_eq!((&body["notificationType"], &body["notification"]), (&json!("TEST_NOTIFICATION"), &json!({})));
    assert_eq!(body["uId"], json!(world.u_id));
    assert!(!waiting.is_finished());
    world.breathe().await;
    let Outcome::Reply(reply) = waiting.await.unwrap() else { panic!("no reply") };
    let refused: Value = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!((reply.status, &refused["errorNumber"]), (400, &json!(9728)));
    assert_eq!(world.get("client/config").json.get("notificationUrl"), None);

    receiver.answer(&[500]);
    assert_eq!(world.post("client/config", config("s1")).error(), 9728);
    receiver.answer(&[204]);
    let stored = world.post("client/config", config("s2")).json;
    assert_eq!((&stored["notificationUrl"], &stored["notificationAuthToken"]), (&json!(URL), &json!("s2")));
    assert_eq!(stored["subscribedNotificationTypes"].as_array().unwrap().len(), 5);
    assert_eq!(world.apple.counters().calls.get("client/config"), Some(&4));
    assert_eq!(world.location().notification_url.as_deref(), Some(URL));
}

#[tokio::test]
async fn members_left_out_keep_the_address_or_clear_it() {
    let (world, receiver) = subscribed().await;
    let kept = world.post("client/config", json!({"notificationTypes": []})).json;
    assert_eq!((&kept["notificationUrl"], &kept["subscribedNotificationTypes"]), (&json!(URL), &json!([])));
    world.apple.buy(&world.u_id, &AssetName::standard(APP), 1).unwrap();
    world.breathe().await;
    assert_eq!(receiver.types(), Vec::<String>::new());
    world.switch(json!({"cfg-merge": "clear"}));
    let cleared = world.post("client/config", json!({"notificationTypes": ["ASSET_COUNT"]})).json;
    assert_eq!((cleared.get("notificationUrl"), cleared.get("notificationAuthToken")), (None, None));
}

#[tokio::test]
async fn every_chunk_and_result_is_told() {
    let (world, receiver) = subscribed().await;
    let event = world.post("assets/associate", manage(&[SECOND_APP], &serials(150))).json["eventId"].clone();
    world.breathe().await;
    let told = receiver.take();
    let sizes: Vec<_> =
        told.iter().map(|(_, body)| body["notification"]["assignments"].as_array().unwrap().len()).collect();
    assert_eq!(sizes, [100, 50]);
    let first = &told[0].1;
    assert_eq!(first["notificationType"], json!("ASSET_MANAGEMENT"));
    assert_eq!(first["notification"]["eventId"], event);
    assert_eq!(first["notification"]["type"], json!("ASSOCIATE"));
    assert_eq!(
        first["notification"]["assignments"][0],
        json!({"adamId": SECOND_APP, "pricingParam": "STDQ", "serialNumber": "QX00000000"})
    );
    assert_ne!(told[0].1["notificationId"], told[1].1["notificationId"]);

    world.post("assets/associate", manage(&[APP], &serials(12)));
    world.breathe().await;
    let told: Vec<Value> = receiver.take().into_iter().map(|(_, body)| body["notification"].clone()).collect();
    let results: Vec<_> = told.iter().map(|told| told["result"].as_str().unwrap()).collect();
    assert_eq!(results, ["SUCCESS", "FAILURE"]);
    assert_eq!((told[0].get("error"), &told[1]["error"]["errorNumber"]), (None, &json!(9709)));
    assert_eq!(told[1]["assignments"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn users_purchases_and_invitations_are_told() {
    let (world, receiver) = subscribed().await;
    let body = json!({"users": [{"clientUserId": "anna", "email": "anna@example.org"}]});
    for result in ["SUCCESS", "FAILURE"] {
        world.post("users/create", body.clone());
        world.breathe().await;
        let told = receiver.take().remove(0).1;
        assert_eq!(told["notificationType"], json!("USER_MANAGEMENT"));
        assert_eq!(told["notification"]["result"], json!(result));
        let email = told["notification"]["users"][0].get("email").is_some();
        assert_eq!(email, result == "SUCCESS");
    }
    let code = world.location().users[0].invite_code.clone().unwrap();
    world.apple.accept_invitation(&world.u_id, &code, "anna@home.example").unwrap();
    world.breathe().await;
    let told = receiver.take().remove(0).1;
    assert_eq!(told["notificationType"], json!("USER_ASSOCIATED"));
    assert_eq!(told["notification"]["associatedUsers"][0]["status"], json!("Associated"));
    assert_eq!(told["notification"].get("eventId"), None);

    let other = world.apple.add_location(NewLocation::default());
    world.apple.transfer(&world.u_id, &other, &AssetName::standard(APP), 4).unwrap();
    world.apple.add_asset(&world.u_id, NewAsset { unlimited: true, ..NewAsset::app("1800000011", 0) }).unwrap();
    world.breathe().await;
    let told = receiver.take();
    assert_eq!(told[0].1["notification"], json!({"adamId": APP, "pricingParam": "STDQ", "countDelta": -4}));
    assert_eq!(told[1].1["notificationType"], json!("UNLIMITED_ASSET"));
}

#[tokio::test]
async fn three_attempts_are_made_and_no_more() {
    let (world, receiver) = subscribed().await;
    receiver.answer(&[500, 403, 500]);
    world.apple.buy(&world.u_id, &AssetName::standard(APP), 1).unwrap();
    world.time.advance(Duration::from_secs(59)).await;
    assert_eq!(receiver.take().len(), 1);
    world.time.advance(Duration::from_secs(1)).await;
    assert_eq!(receiver.take().len(), 1);
    world.time.advance(Duration::from_secs(179)).await;
    assert_eq!(receiver.take().len(), 0);
    world.time.advance(Duration::from_secs(600)).await;
    let last = receiver.take();
    assert_eq!(last.len(), 1);
    let log = world.apple.notifications();
    let log: Vec<_> = log.iter().skip(1).map(|record| (record.attempt, record.result.clone())).collect();
    assert_eq!(log, [(1, Delivery::Refused(500)), (2, Delivery::Refused(403)), (3, Delivery::Refused(500))]);
    world.apple.buy(&world.u_id, &AssetName::standard(APP), 1).unwrap();
    world.breathe().await;
    assert_ne!(receiver.take()[0].1["notificationId"], last[0].1["notificationId"]);
}

#[tokio::test]
async fn early_notifications_come_before_the_event_id() {
    let (world, receiver) = subscribed().await;
    world.switch(json!({"notif-early": "on"}));
    let apple = world.apple.clone();
    let call = world.post_call("assets/associate", &manage(&[SECOND_APP], &serials(150)));
    let (outcome, ()) = tokio::join!(apple.call(&call), tokio::task::yield_now());
    assert_eq!(receiver.types(), ["ASSET_MANAGEMENT"]);
    let Outcome::Reply(reply) = outcome else { panic!("no reply") };
    assert_eq!((reply.status, world.assigned(SECOND_APP)), (200, 100));
    world.breathe().await;
    assert_eq!((receiver.types().len(), world.assigned(SECOND_APP)), (1, 150));
}

#[tokio::test]
async fn each_fault_does_its_harm() {
    for (fault, expected) in [
        ("off", vec!["ASSET_COUNT"]),
        ("duplicate", vec!["ASSET_COUNT", "ASSET_COUNT"]),
        ("drop", vec![]),
        ("unknown-type", vec!["WEATHER_FORECAST", "ASSET_COUNT"]),
    ] {
        let (world, receiver) = subscribed().await;
        world.switch(json!({"notif-fault": fault}));
        world.apple.buy(&world.u_id, &AssetName::standard(APP), 1).unwrap();
        world.breathe().await;
        assert_eq!(receiver.types(), expected, "{fault}");
        world.switch(json!({"notif-fault-percent": 0}));
        world.apple.buy(&world.u_id, &AssetName::standard(APP), 1).unwrap();
        world.breathe().await;
        assert_eq!(receiver.types(), ["ASSET_COUNT"], "{fault}");
    }
}

#[tokio::test]
async fn wrong_secret_split_and_reordered_notifications() {
    let (world, receiver) = subscribed().await;
    world.switch(json!({"notif-fault": "wrong-secret"}));
    world.apple.buy(&world.u_id, &AssetName::standard(APP), 1).unwrap();
    world.breathe().await;
    assert_eq!(receiver.take()[0].0, "Bearer not-the-secret");
    world.switch(json!({"notif-fault": "split"}));
    world.post("assets/associate", manage(&[SECOND_APP], &serials(25)));
    world.breathe().await;
    assert_eq!(receiver.types().len(), 3);
    world.switch(json!({"notif-fault": "reorder"}));
    for count in 1..=20 {
        world.apple.buy(&world.u_id, &AssetName::standard(APP), count).unwrap();
    }
    world.time.advance(Duration::from_secs(90)).await;
    let deltas: Vec<i64> =
        receiver.take().iter().map(|(_, body)| body["notification"]["countDelta"].as_i64().unwrap()).collect();
    assert_eq!((deltas.len(), deltas.is_sorted()), (20, false));
}

#[tokio::test]
async fn satisfied_tasks_are_told_or_not() {
    let (world, receiver) = subscribed().await;
    for (satisfied, told) in [("listed", 2), ("omitted", 0)] {
        world.post("assets/associate", manage(&[APP], &serials(2)));
        world.breathe().await;
        receiver.take();
        world.switch(json!({"satisfied": satisfied}));
        world.post("assets/associate", manage(&[APP], &serials(2)));
        world.breathe().await;
        let elements = |(_, body): &(String, Value)| body["notification"]["assignments"].as_array().unwrap().len();
        assert_eq!(receiver.take().iter().map(elements).sum::<usize>(), told, "{satisfied}");
    }
}

#[tokio::test]
async fn seats_are_told_and_what_was_put_off_at_the_end_of_the_period() {
    let (world, receiver) = subscribed().await;
    let types = json!({"notificationTypes": ["SUBSCRIPTION_COUNT", "SUBSCRIPTION_MANAGEMENT"]});
    world.post("client/config", types);
    world.post("subscriptions/enable", json!({}));
    world.apple.add_user_record(&world.u_id, NewUser::associated("anna", "anna@home.example")).unwrap();
    let seats = json!({"adam-id": 64, "parent-adam-id": 16, "period-end": "2027-03-02", "renewing": 2});
    world.apple.add_subscription(&world.u_id, serde_json::from_value(seats).unwrap()).unwrap();
    world.breathe().await;
    let told = receiver.take().remove(0).1;
    assert_eq!(
        told["notification"],
        json!({"parentAdamId": 16, "adamId": 64, "counts": {"available": {"renewing": 2, "expiring": 0},
               "total": {"renewing": 2, "expiring": 0}}})
    );
    let give = json!({"adamIds": [64], "clientUserIds": ["anna"], "renewing": true});
    world.post("subscriptions/associate", give);
    world.breathe().await;
    let told = receiver.take().remove(0).1;
    assert_eq!(told["notificationType"], json!("SUBSCRIPTION_MANAGEMENT"));
    let seat = json!([{"adamId": 64, "clientUserId": "anna", "renewing": true}]);
    assert_eq!(told["notification"]["assignments"], seat);
    let later = json!({"adamIds": [64], "clientUserIds": ["anna"], "deferred": true});
    let event = world.post("subscriptions/disassociate", later).json["eventId"].clone();
    world.breathe().await;
    assert_eq!(receiver.types(), Vec::<String>::new());
    world.time.advance(Duration::from_secs(24 * 3600)).await;
    // Somebody looks, and the time passes.
    world.get("client/config");
    world.breathe().await;
    let told = receiver.take();
    assert_eq!(
        (&told[0].1["notification"]["type"], &told[0].1["notification"]["eventId"]),
        (&json!("DISASSOCIATE"), &event)
    );
    assert_eq!(told[1].1["notificationType"], json!("SUBSCRIPTION_COUNT"));
}
