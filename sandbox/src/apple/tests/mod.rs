mod catalogue;
mod claim;
mod engine;
mod faults;
mod https;
mod listing;
mod notices;
mod order;
mod revoke;
mod rights;
mod subscriptions;
mod users;

use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use hyper::Method;
use jiff::SignedDuration;
use serde_json::{Value, json};

use super::*;
use crate::stepped::Stepped;

/// An Apple with one location, and the time in the test's hands.
struct World {
    apple: Apple,
    time: Stepped,
    u_id: String,
    token: String,
}

/// Status and JSON of a reply.
#[derive(Debug)]
struct Got {
    status: u16,
    retry_after: Option<String>,
    json: Value,
}

impl Got {
    fn error(&self) -> u64 {
        self.json["errorNumber"].as_u64().unwrap_or(0)
    }
}

const APP: &str = "1600000011";
const SECOND_APP: &str = "1600000022";
const BOOK: &str = "1700000011";

impl World {
    fn new() -> World {
        let time = Stepped::at("2027-03-01T08:00:00Z");
        let apple = Apple::new(time.clock(), 7);
        let u_id = apple.add_location(NewLocation::default());
        let token = apple.add_token(&u_id, SignedDuration::from_hours(24 * 365)).unwrap();
        apple.add_asset(&u_id, NewAsset::app(APP, 10)).unwrap();
        apple.add_asset(&u_id, NewAsset::app(SECOND_APP, 1000)).unwrap();
        apple.add_asset(&u_id, NewAsset::book(BOOK, 10)).unwrap();
        World { apple, time, u_id, token }
    }

    fn get_call(&self, path_and_query: &str) -> Call {
        let (path, query) = path_and_query.split_once('?').unwrap_or((path_and_query, ""));
        Call {
            method: Method::GET,
            path: format!("{BASE_PATH}{path}"),
            query: query.to_owned(),
            authorization: Some(format!("Bearer {}", self.token)),
            cookie: None,
            content_type: None,
            body: Bytes::new(),
        }
    }

    fn post_call(&self, path: &str, body: &Value) -> Call {
        Call {
            method: Method::POST,
            content_type: Some("application/json".to_owned()),
            body: body.to_string().into(),
            ..self.get_call(path)
        }
    }

    fn outcome(&self, call: &Call) -> Got {
        match self.apple.call(call).now_or_never().expect("the call waits") {
            Outcome::Reply(reply) => Got {
                status: reply.status,
                retry_after: reply.headers.into_iter().find(|(name, _)| name == "retry-after").map(|(_, wait)| wait),
                json: serde_json::from_slice(&reply.body).unwrap_or(Value::Null),
            },
            other => panic!("no reply: {other:?}"),
        }
    }

    fn get(&self, path_and_query: &str) -> Got {
        self.outcome(&self.get_call(path_and_query))
    }

    fn post(&self, path: &str, body: Value) -> Got {
        self.outcome(&self.post_call(path, &body))
    }

    fn switch(&self, patch: Value) {
        self.apple.patch_switches(patch.as_object().unwrap().clone()).unwrap();
    }

    /// Lets a second pass, so that the rate is no concern.
    async fn breathe(&self) {
        self.time.advance(Duration::from_secs(1)).await;
    }

    fn location(&self) -> LocationView {
        self.apple.location(&self.u_id).unwrap()
    }

    fn assigned(&self, adam_id: &str) -> i64 {
        self.location().assets.iter().find(|asset| asset.adam_id == adam_id).unwrap().assigned
    }
}

fn serials(count: usize) -> Vec<String> {
    (0..count).map(|index| format!("QX{index:08}")).collect()
}

fn manage(adam_ids: &[&str], serial_numbers: &[String]) -> Value {
    let assets: Vec<Value> = adam_ids.iter().map(|id| json!({"adamId": id, "pricingParam": "STDQ"})).collect();
    json!({"assets": assets, "serialNumbers": serial_numbers})
}
