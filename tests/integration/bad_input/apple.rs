//! Apple, or something that stands between, answering as it should not: during a sync, when licences are asked for, and
//! when vppd asks what became of a request.

use std::sync::Arc;

use sandbox::apple::{Canned, Fault, FaultRule, NewAsset, Often, RetryAfter, Rewriting};
use sandbox::{Sandbox, SandboxOptions};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use vppd::apple::{AppleClient, ClientOptions, ContentToken, Location, Timeouts};
use vppd::clock::Clock;
use vppd::entropy::Entropy;
use vppd::operations::view::*;
use vppd::operations::{look, sync};
use vppd::web::tls::trusted_roots;

use super::table::{Table, fingerprint, settled};
use crate::captured;
use crate::support::*;

/// Tables that tell of what was asked, and not of what is known.
const BESIDE: &[&str] = &["task", "appliance", "alert", "contract_drift", "app_info", "app_icon", "licence_usage"];

fn canned(status: u16, content_type: &str, headers: &[(&str, &str)], body: &str) -> Fault {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Fault::Canned(Canned { status, content_type: content_type.into(), headers, body: body.into() })
}

fn members(members: Value) -> Fault {
    Fault::Rewritten(Rewriting::Members(members.as_object().unwrap().clone()))
}

/// Answers that are wrong for every call: name, fault, what a person reads.
fn everywhere(elsewhere: &str) -> Vec<(&'static str, Fault, &'static str)> {
    let page = "<!DOCTYPE html><html><body>Please sign in to the guest network</body></html>";
    let json = "application/json";
    vec![
        ("an HTML page with 200", canned(200, "text/html", &[], page), "not json"),
        ("an HTML page with 502", Fault::BadGateway, "failed internally"),
        ("an HTML page with 403", canned(403, "text/html", &[], page), "does not allow this"),
        ("an empty body with 200", canned(200, json, &[], ""), "cut off"),
        ("the word null", canned(200, json, &[], "null"), "unknown form"),
        ("a list instead of an object", canned(200, json, &[], "[]"), "is missing"),
        ("JSON nested 200,000 deep", canned(200, json, &[], &"[".repeat(200_000)), "answer"),
        (
            "garbage said to be gzip",
            canned(200, json, &[("content-encoding", "gzip")], "\u{1f}\u{8b}\u{8}garbage"),
            "not json",
        ),
        (
            "a redirect to another host",
            canned(302, "text/html", &[("location", elsewhere)], ""),
            "content token must not go",
        ),
        ("a permanent redirect", canned(308, json, &[("location", elsewhere)], "{}"), "content token must not go"),
        ("500", Fault::InternalError, "failed internally"),
        ("429 without a wait", Fault::TooManyRequests, "too many requests"),
        ("503 with a wait in seconds", Fault::Unavailable(RetryAfter::Seconds(700)), "after 700 s, as Apple asks"),
        ("503 with a wait as a date", Fault::Unavailable(RetryAfter::DateInSeconds(700)), "as Apple asks"),
        (
            "503 with a wait that is none",
            canned(503, json, &[("retry-after", "soon")], "{}"),
            "temporarily unavailable",
        ),
        (
            "200 with an unknown error inside",
            canned(200, json, &[], r#"{"errorNumber":4711,"errorMessage":"?"}"#),
            "error 4711",
        ),
        ("200 with maintenance inside", canned(200, json, &[], r#"{"errorNumber":"9644"}"#), "maintenance"),
        ("status 418", canned(418, json, &[], "{}"), "HTTP 418"),
        ("the connection is closed", Fault::ClosedBeforeEffect, "connection broke"),
        ("the connection is reset", Fault::Reset, "connection broke"),
    ]
}

async fn add_fault(app: &App, endpoint: &str, fault: Fault, often: u32) {
    let rule = FaultRule { endpoint: Some(endpoint.into()), fault, often: Often::Next(often) };
    app.sandbox.apple.add_fault(rule).unwrap();
}

/// A full sync now, and how it ended in words.
async fn sync_now(app: &App, patience: u64) -> Result<String, String> {
    let task = sync::request(&app.context, SyncRequest::default(), "test").await.unwrap().remove(0);
    app.wait(minutes(patience)).await;
    let task = look::task(&app.context, task.id).await.unwrap();
    match task.error {
        None => Ok(task.detail),
        Some(error) => Err(format!("task failed: {} {}", error.message, error.advice)),
    }
}

/// Somewhere that nobody may come to with our token.
fn trap() -> (std::net::TcpListener, String) {
    let trap = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    trap.set_nonblocking(true).unwrap();
    let url = format!("http://{}/mdm/v2/assets", trap.local_addr().unwrap());
    (trap, url)
}

#[test]
fn a_sync_that_apple_spoils_changes_nothing_and_says_why() {
    captured::listen();
    story(|clock| async move {
        // Days pass, and no device tells anything meanwhile.
        let assets = [("1600000011", 5), ("1600000022", 7)];
        let seldom = |text: String| text.replace("[devices]\n", "[devices]\ninventory-interval = \"1000d\"\n");
        let app = App::start_with(clock, &assets, seldom).await;
        let mut table = Table::new("sync");
        table.secret(&app.token);
        app.add_token("Leeds", false).await.unwrap();
        app.sandbox.apple.add_user(&app.uid, "7300112233").unwrap();
        app.enrol(devices(0, 2)).await;
        app.deploy("1600000011", "all-devices", PurposeView::Required).await;
        app.wait(minutes(20)).await;
        assert_eq!(app.stages("1600000011").await, counts([(Stage::Installed, 2)]));
        sync_now(&app, 12).await.unwrap();
        let (trap, elsewhere) = trap();
        let mut cases = everywhere(&elsewhere);
        let endless = "larger than 32 MiB";
        cases.extend([
            ("JSON cut off", Fault::TruncatedJson, "cut off"),
            ("the reply is lost", Fault::ClosedAfterEffect, "connection broke"),
            ("a body that never ends", Fault::Endless, endless),
            ("a byte every ten seconds", Fault::Drip(10), "did not answer within 30s"),
            ("token expired, with 200", canned(200, "application/json", &[], r#"{"errorNumber":9621}"#), "has expired"),
            (
                "token revoked, with 200",
                canned(200, "application/json", &[], r#"{"errorNumber":9625}"#),
                "has been revoked",
            ),
            ("no versionId", members(json!({"versionId": null})), "unknown form"),
            (
                "a list that is text",
                members(json!({"assets": "none", "assignments": "none", "users": "none"})),
                "unknown form",
            ),
            (
                "a record that is a number",
                members(json!({"assets": [7], "assignments": [7], "users": [7]})),
                "unknown form",
            ),
            (
                "a count that is a word",
                members(json!({"assets": [{"adamId": "1600000011", "totalCount": "many"}]})),
                "unknown form",
            ),
            (
                "pages without end",
                members(json!({"nextPageIndex": 4_000_000_000u32, "totalPages": 4_000_000_000u32})),
                "is followed by",
            ),
            ("a next page that is this one", members(json!({"nextPageIndex": 0})), "is followed by"),
            ("a negative page", members(json!({"nextPageIndex": -1})), "unknown form"),
        ]);
        let before = fingerprint(&app, BESIDE).await;
        for (name, fault, says) in cases {
            let kind = format!("{fault:?}").chars().take(44).collect::<String>().replace('\n', " ");
            for endpoint in ["assets", "assignments", "users"] {
                if endpoint != "assets" && (name == "a count that is a word" || fault == Fault::Endless) {
                    continue;
                }
                let often = if fault == Fault::Endless { 6 } else { 40 };
                add_fault(&app, endpoint, fault.clone(), often).await;
                let failed = sync_now(&app, 12).await.expect_err(name);
                app.sandbox.apple.clear_faults();
                table.row(&format!("{name} ({endpoint})"), &kind, &failed, says);
                // What Apple asked us to wait has passed, and the good answer sets everything right.
                app.wait(minutes(20)).await;
                sync_now(&app, 12).await.expect(name);
                assert_eq!(fingerprint(&app, BESIDE).await, before, "{name} changed something");
            }
        }
        assert!(trap.accept().is_err(), "somebody followed the redirect");
        // What is written otherwise, but says the same, is read.
        for (name, rewriting) in [
            ("numbers as strings", Rewriting::NumbersAsText),
            ("identifiers as numbers", Rewriting::DigitsAsNumbers),
            ("unknown members everywhere", Rewriting::UnknownMembers),
            ("JSON called text/html", Rewriting::ContentType("text/html".into())),
        ] {
            for endpoint in ["assets", "assignments", "users"] {
                add_fault(&app, endpoint, Fault::Rewritten(rewriting.clone()), 1).await;
            }
            let done = sync_now(&app, 12).await.unwrap_or_else(|error| panic!("{name}: {error}"));
            table.row(name, &format!("{rewriting:?}"), &done, "everything was read, 2 assets; nothing has changed");
            assert_eq!(fingerprint(&app, BESIDE).await, before, "{name} changed something");
        }
        assert_eq!(app.installed("1600000011").len(), 2);
        table.end(90);
    });
}

/// The whole way of one app with a fault at `endpoint`: what the journal said, and that in the end the app is there once.
async fn asked(clock: Clock, endpoint: &str, kind: &'static str, cases: Vec<(&'static str, Fault, &'static str)>) {
    let names: Vec<String> = (0..cases.len()).map(|number| format!("17000000{number:02}")).collect();
    let app = App::start(clock, &[]).await;
    for name in &names {
        app.sandbox.apple.add_asset(&app.uid, NewAsset::app(name, 1)).unwrap();
    }
    let mut table = Table::new(kind);
    table.secret(&app.token);
    app.add_token("Leeds", false).await.unwrap();
    app.enrol(devices(0, 1)).await;
    app.wait(minutes(5)).await;
    for ((name, fault, says), adam_id) in cases.into_iter().zip(&names) {
        let sent = format!("{fault:?}").chars().take(44).collect::<String>().replace('\n', " ");
        let often = if matches!(fault, Fault::Endless | Fault::Drip(_)) { 1 } else { 6 };
        add_fault(&app, endpoint, fault, often).await;
        let mark = captured::mark();
        app.deploy(adam_id, "all-devices", PurposeView::Required).await;
        app.wait(minutes(3)).await;
        let told = match captured::complaints(mark, says) {
            told if told.is_empty() => "done at the next try: nothing to tell".to_owned(),
            told => told,
        };
        app.sandbox.apple.clear_faults();
        table.row(name, &sent, &told.chars().take(700).collect::<String>(), says);
        settled(&app, adam_id).await;
        assert_eq!(app.stages(adam_id).await, counts([(Stage::Installed, 1)]), "{name}");
        assert_eq!(app.holders(adam_id).len(), 1, "{name}");
    }
    let counters = app.sandbox.apple.counters();
    assert_eq!((counters.installs_before_licence, counters.refused), (0, 0));
    assert_eq!(app.fleet.view()[0].counters.got_401, 0);
    table.end(20);
}

#[test]
fn a_request_for_licences_that_apple_spoils_is_settled_once() {
    captured::listen();
    story(|clock| async move {
        let (trap, elsewhere) = trap();
        let garbled = "not known whether apple carried out";
        // Whoever cannot be understood may have done it.
        let mut cases: Vec<_> = everywhere(&elsewhere)
            .into_iter()
            .map(|(name, fault, says)| match says {
                "not json" | "cut off" | "unknown form" | "is missing" | "answer" | "failed internally"
                | "connection broke" => (name, fault, garbled),
                _ => (name, fault, says),
            })
            .collect();
        cases.extend([
            ("JSON cut off", Fault::TruncatedJson, garbled),
            ("done, but the reply is lost", Fault::ClosedAfterEffect, garbled),
            ("done, but no eventId", members(json!({"eventId": null})), garbled),
            ("done, but the body never ends", Fault::Endless, garbled),
            ("done, a byte every ten seconds", Fault::Drip(10), "did not answer within 30s"),
        ]);
        asked(clock, "assets/associate", "associate", cases).await;
        assert!(trap.accept().is_err(), "somebody followed the redirect");
    });
}

#[test]
fn a_question_about_a_request_that_apple_spoils_is_asked_again() {
    captured::listen();
    story(|clock| async move {
        let (_trap, elsewhere) = trap();
        let mut cases = everywhere(&elsewhere);
        cases.extend([
            ("JSON cut off", Fault::TruncatedJson, "cut off"),
            ("a state that is a number", members(json!({"eventStatus": 5})), "unknown form"),
            ("failures that are text", members(json!({"failures": "some"})), "unknown form"),
            ("a body that never ends", Fault::Endless, ""),
            ("a byte every ten seconds", Fault::Drip(10), ""),
        ]);
        asked(clock, "status", "status", cases).await;
    });
}

#[test]
fn an_apple_with_a_wrong_certificate_gets_no_token() {
    story(|clock| async move {
        let folder = tempfile::tempdir().unwrap();
        let mut options = SandboxOptions::local(shared(&clock), folder.path());
        options.apple = "127.0.0.2:0".parse().unwrap();
        let sandbox = Sandbox::start(options).await.unwrap();
        let uid = sandbox.apple.add_location(sandbox::apple::NewLocation::default());
        let text = sandbox.apple.add_token(&uid, jiff::SignedDuration::from_hours(24)).unwrap();
        let token = Arc::new(ContentToken::from_file(text.as_bytes()).unwrap());
        let mut table = Table::new("tls");
        table.secret(token.text().expose_secret());
        let known = trusted_roots(Some(&sandbox.ca_path())).unwrap();
        let unknown = trusted_roots(None).unwrap();
        for (name, roots, says) in [
            ("certificate of another name", known, "not valid for"),
            ("certificate of an unknown CA", unknown, "UnknownIssuer"),
        ] {
            let client = AppleClient::new(ClientOptions {
                base_url: sandbox.apple_url(),
                roots,
                proxy: None,
                clock: clock.clone(),
                entropy: Entropy::seeded(3),
                user_agent: "vppd/test".into(),
                timeouts: Timeouts::default(),
                requests_per_second: 10,
            });
            let error = client.unwrap().client_config(&Location::new("x", token.clone())).await.unwrap_err();
            table.row(name, &sandbox.apple_url(), &error.to_string(), says);
        }
        assert!(sandbox.apple.calls().is_empty(), "nothing was sent");
        table.end(2);
    });
}
