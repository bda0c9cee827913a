use axum::body::Body as HttpBody;
use http_body_util::BodyExt;
use hyper::Request;
use tower::ServiceExt;

use super::*;
use crate::stepped::Stepped;
use crate::world::PushInboxes;

struct World {
    handles: Handles,
}

impl World {
    fn new() -> World {
        let clock = Stepped::at("2027-03-01T08:00:00Z").clock();
        World {
            handles: Handles {
                apple: Apple::new(clock.clone(), 1),
                apns: Apns::new(clock, 1, PushInboxes::default()),
                supervisor: Supervisor::default(),
            },
        }
    }

    async fn send(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        let request = Request::builder().method(method).uri(path).header("content-type", "application/json");
        let body = if body.is_null() { HttpBody::empty() } else { HttpBody::from(body.to_string()) };
        let reply = router(self.handles.clone()).oneshot(request.body(body).unwrap()).await.unwrap();
        let status = reply.status().as_u16();
        let body = reply.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&body).unwrap())
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        let (status, reply) = self.send("POST", path, body).await;
        assert_eq!(status, 200, "{path}: {reply}");
        reply
    }
}

#[tokio::test]
async fn everything_at_apple_can_be_done_over_http() {
    let world = World::new();
    let made = world.post("/locations", json!({"name": "Depot South", "country": "DE"})).await;
    let at = |path: &str| format!("/locations/{}/{path}", made["u-id"].as_str().unwrap());
    world.post(&at("assets"), json!({"adam-id": "1600000011", "total": 5, "name": "Atlas"})).await;
    let asset = json!({"adam-id": "1600000011"});
    world.post(&at("buy"), json!({"asset": asset, "count": 3})).await;
    world.post(&at("refund"), json!({"asset": asset, "count": 2})).await;
    let pair = json!({"asset": asset, "serial-number": "QX1"});
    assert_eq!(world.post(&at("assign"), pair.clone()).await, json!({"changed": true}));
    world.post(&at("users"), json!({"client-user-id": "anna"})).await;
    world.post(&at("take-over"), json!({"id": "x", "name": "other server", "metadata": ""})).await;
    let second = world.post(&at("tokens"), json!({"valid-days": 10})).await;
    world.post("/tokens/revoke", json!({"token": second["token"]})).await;
    world.post("/tokens/expire", json!({"token": made["token"]})).await;
    world.post("/switches", json!({"page-size": 10})).await;
    world.post("/limits", json!({"maxAssets": 2})).await;

    let (_, state) = world.send("GET", "/state", Value::Null).await;
    let location = &state["locations"][0];
    assert_eq!((&location["name"], &location["country"]), (&json!("Depot South"), &json!("DE")));
    assert_eq!(location["assets"][0]["total"], json!(6));
    assert_eq!(
        (&location["assets"][0]["assigned"], &location["users"][0]["client-user-id"]),
        (&json!(1), &json!("anna"))
    );
    assert_eq!(location["mdm-info"]["name"], json!("other server"));
    assert_eq!(location["assignments"][0]["serial-number"], json!("QX1"));
    let revoked: Vec<_> = location["tokens"].as_array().unwrap().iter().map(|token| &token["revoked"]).collect();
    assert_eq!(revoked, [&json!(false), &json!(true)]);
    assert_eq!((&state["switches"]["page-size"], &state["limits"]["maxAssets"]), (&json!(10), &json!(2)));
    assert_eq!(world.post(&at("unassign"), pair).await, json!({"changed": true}));
}

#[tokio::test]
async fn faults_answers_and_kills_are_planned() {
    let world = World::new();
    for fault in [
        json!({"fault": "internal-error", "often": {"next": 2}}),
        json!({"endpoint": "assets", "fault": {"unavailable": {"seconds": 90}}, "often": {"rate": 0.1}}),
        json!({"fault": {"unavailable": {"date-in-seconds": 90}}, "often": {"next": 1}}),
        json!({"fault": "closed-after-effect", "often": {"next": 1}}),
    ] {
        world.post("/faults", fault).await;
    }
    world.post("/apns/answers", json!({"answer": "unregistered", "token-prefix": "0a", "next": 3})).await;
    world.post("/supervisor", json!({"kill_at_request": 3, "when": "before", "restart": true})).await;
    let (_, view) = world.send("GET", "/supervisor", Value::Null).await;
    assert_eq!(view["plan"], json!({"kill_at_request": 3, "when": "before", "restart": true}));
    for path in ["/faults", "/apns/answers"] {
        assert_eq!(world.send("DELETE", path, Value::Null).await.0, 200);
    }
    assert_eq!(world.send("GET", "/calls", Value::Null).await, (200, json!([])));
}

#[tokio::test]
async fn mistakes_are_told_and_change_nothing() {
    let world = World::new();
    for (path, body, status) in [
        ("/locations", json!({"nam": "x"}), 400),
        ("/locations/1/buy", json!({"asset": {"adam-id": "1"}, "count": 1}), 404),
        ("/tokens/expire", json!({"token": "unknown"}), 404),
        ("/switches", json!({"page-size": "many"}), 400),
        ("/limits", json!({"maxDevices": 1}), 400),
        ("/faults", json!({"fault": "internal-error", "often": {"rate": 2}}), 400),
        ("/supervisor", json!({"kill_at_request": 0, "when": "before", "restart": true}), 400),
    ] {
        let (got, reply) = world.send("POST", path, body).await;
        assert_eq!(got, status, "{path}");
        assert!(!reply["error"].as_str().unwrap().is_empty());
    }
    assert!(world.handles.apple.state().locations.is_empty());
}

#[tokio::test]
async fn users_stores_notifications_and_subscriptions_have_routes() {
    let world = World::new();
    let made = world.post("/locations", json!({"name": "North"})).await;
    let other = world.post("/locations", json!({"name": "South"})).await;
    let at = |path: &str| format!("/locations/{}/{path}", made["u-id"].as_str().unwrap());
    world.post(&at("assets"), json!({"adam-id": "1600000011", "total": 5})).await;
    let asset = json!({"adam-id": "1600000011"});
    world.post(&at("transfer"), json!({"to": other["u-id"], "asset": asset, "count": 2})).await;
    world.post(&at("tokens"), json!({"kind": "read-only"})).await;
    world.post(&at("country"), json!({"country": "BE"})).await;
    world.post(&at("name"), json!({"name": "Upper North"})).await;
    world.post("/managed-domain", json!({"domain": "school.example"})).await;
    world.post(&at("users"), json!({"client-user-id": "anna", "email": "anna@school.example"})).await;
    let (_, state) = world.send("GET", "/state", Value::Null).await;
    let north = |state: &Value| {
        let locations = state["locations"].as_array().unwrap();
        locations.iter().find(|one| one["u-id"] == made["u-id"]).unwrap().clone()
    };
    let code = north(&state)["users"][0]["invite-code"].clone();
    world.post(&at("users/accept"), json!({"invite-code": code, "account": "anna@home.example"})).await;
    world.post(&at("users/retire"), json!({"client-user-id": "anna"})).await;
    assert_eq!(world.post(&at("other-mdm"), json!({"act": "claim"})).await, json!({"done": true}));
    world.post(&at("release"), json!({})).await;
    world.post("/store/1600000011/listing", json!({"custom": true, "storefronts": ["BE"]})).await;
    let version = json!({"version": "2.0", "external-version-id": 5});
    world.post("/store/1600000011/version", version.clone()).await;
    assert_eq!(world.send("POST", "/store/9/version", version).await.0, 404);
    let anchors = crate::tls::Authority::new("a root").unwrap().pem();
    world.post("/notifications/route", json!({"anchors": anchors, "hosts": {"vppd.example": "127.0.0.1"}})).await;
    assert_eq!(world.send("POST", "/notifications/route", json!({"roots": anchors})).await.0, 400);
    assert_eq!(world.send("GET", "/notifications", Value::Null).await, (200, json!([])));
    let subscription = json!({"adam-id": 64, "period-end": "2027-05-01", "renewing": 3});
    let refused = world.send("POST", &at("subscriptions"), subscription).await;
    assert!(refused.1["error"].as_str().unwrap().contains("not enabled"));
    let seats = json!({"adam-id": 64, "kind": "renewing", "count": 1});
    assert_eq!(world.send("POST", &at("subscriptions/buy"), seats).await.0, 404);
    let group = json!({"adam-id": 64, "client-user-id": "anna"});
    assert_eq!(world.send("POST", &at("subscriptions/group-seats"), group).await.0, 404);

    let (_, state) = world.send("GET", "/state", Value::Null).await;
    let north = north(&state);
    assert_eq!((&north["country"], &north["name"]), (&json!("BE"), &json!("Upper North")));
    assert_eq!((&north["assets"][0]["total"], &north["mdm-info"]), (&json!(3), &Value::Null));
    assert_eq!((&north["users"][0]["status"], &north["tokens"][1]["kind"]), (&json!("Retired"), &json!("read-only")));
}
