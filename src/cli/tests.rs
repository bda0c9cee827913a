//! The arguments, and the client against a small server on a socket of its own.

use std::path::{Path, PathBuf};

use axum::Json;
use axum::Router;
use axum::extract::Path as Segments;
use axum::http::StatusCode;
use axum::routing::{get, post};
use clap::CommandFactory;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::output::Page;
use super::*;
use crate::operations::view::DeploymentView;

/// The page on which tests lay things out.
pub(super) fn page(width: Option<u16>) -> Page {
    Page { width, zone: TimeZone::UTC }
}

/// A time on the day of the tests.
pub(super) fn time(clock: &str) -> Timestamp {
    format!("2026-11-02T{clock}:00Z").parse().unwrap()
}

fn client(socket: &Path) -> Client {
    Client::new(socket.to_owned(), "vppd-admin".to_owned(), Clock::real())
}

/// Serves `routes` on a socket in `folder`.
fn serve(folder: &Path, routes: Router) -> PathBuf {
    let socket = folder.join("control.sock");
    let listener = tokio::net::UnixListener::bind(&socket).unwrap();
    tokio::spawn(async move { axum::serve(listener, routes).await });
    socket
}

fn deployment(id: i64) -> Value {
    json!({
        "id": id, "adam_id": "361309726", "to": "all-devices", "purpose": "required",
        "created_at": "2026-11-02T06:00:00Z", "created_by": "root", "devices": 3, "news": "ignored"
    })
}

#[test]
fn the_arguments_are_sound() {
    Arguments::command().debug_assert();
}

#[test]
fn global_options_may_stand_after_the_subcommand() {
    let arguments = Arguments::try_parse_from(["vppd", "device", "show", "C02", "--json", "--socket", "/s"]).unwrap();
    assert!(arguments.json);
    assert_eq!(arguments.socket, Some("/s".into()));
}

#[test]
fn a_profile_is_for_one_serial_or_for_a_number_of_devices() {
    let arguments = ["vppd", "enrol", "profile", "--serial", "C02", "--count", "3"];
    assert!(Arguments::try_parse_from(arguments).is_err());
}

#[tokio::test]
async fn a_list_is_read_from_the_socket() {
    let folder = tempfile::tempdir().unwrap();
    let routes = Router::new().route("/v1/deployments", get(async || Json(json!([deployment(1), deployment(2)]))));
    let answer = client(&serve(folder.path(), routes)).get("/v1/deployments").await.unwrap();
    let deployments: Vec<DeploymentView> = answer.view().unwrap();
    assert_eq!(deployments.iter().map(|deployment| deployment.id).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(answer.json().unwrap(), json!([deployment(1), deployment(2)]));
}

#[tokio::test]
async fn outside_text_stays_one_segment_of_the_path() {
    let folder = tempfile::tempdir().unwrap();
    let routes = Router::new()
        .route("/v1/tokens/{name}", get(async |Segments(name): Segments<String>| Json(json!({ "name": name }))));
    let name = "Leeds/Süd ?#%2F";
    let path = format!("/v1/tokens/{}", client::segment(name));
    let answer = client(&serve(folder.path(), routes)).get(&path).await.unwrap();
    assert_eq!(answer.json().unwrap(), json!({ "name": name }));
}

#[tokio::test]
async fn the_error_of_the_server_and_its_advice_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let error = json!({ "error": {
        "code": "unknown-app", "message": "no location owns the app 1", "advice": "Buy it, then run vppd sync."
    }});
    let routes = Router::new().route("/v1/deployments", post(async || (StatusCode::NOT_FOUND, Json(error))));
    let result = client(&serve(folder.path(), routes)).post("/v1/deployments", &json!({ "adam_id": "1" })).await;
    let error = anyhow::Error::from(result.err().unwrap());
    assert_eq!(explain(&error), "vppd: no location owns the app 1\n  Buy it, then run vppd sync.");
    assert_eq!(exit_code(&error), 1);
}

#[tokio::test]
async fn an_answer_of_another_shape_is_not_taken_for_ours() {
    let folder = tempfile::tempdir().unwrap();
    let routes = Router::new().route("/v1/status", get(async || Json(json!({ "secret": "s3cret" }))));
    let client = client(&serve(folder.path(), routes));
    let wrong = client.get("/v1/status").await.unwrap().view::<DeploymentView>().unwrap_err();
    assert!(matches!(wrong, ClientError::NotUnderstood(_)));
    assert!(!explain(&wrong.into()).contains("s3cret"));
    let absent = client.get("/v1/nothing").await.err().unwrap();
    assert!(absent.to_string().contains("404"), "{absent}");
}

#[tokio::test]
async fn a_socket_without_a_daemon_says_how_to_start_it() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("control.sock");
    let absent = client(&socket).get("/v1/status").await.err().unwrap();
    assert!(matches!(absent, ClientError::NoSocket(_)));
    drop(tokio::net::UnixListener::bind(&socket).unwrap());
    let dead = client(&socket).get("/v1/status").await.err().unwrap();
    assert!(matches!(dead, ClientError::NobodyListens(_)));
    let told = explain(&dead.into());
    assert!(told.starts_with("vppd: vppd is not running") && told.contains("systemctl status vppd"), "{told}");
}

#[tokio::test]
async fn a_daemon_that_dies_while_asked_is_not_mistaken_for_an_answer() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("control.sock");
    let listener = tokio::net::UnixListener::bind(&socket).unwrap();
    let asked = client(&socket);
    let (answer, _) = tokio::join!(asked.get("/v1/status"), async { listener.accept().await.map(drop) });
    assert!(matches!(answer.err().unwrap(), ClientError::BrokenOff(_)));
}

#[tokio::test]
async fn a_sync_waits_until_its_tasks_are_done_and_fails_with_them() {
    let folder = tempfile::tempdir().unwrap();
    let task = |state: &str, error: Value| {
        json!({
            "id": 5, "kind": "sync", "subject": "Leeds", "state": state, "done": 1, "total": 2, "detail": "",
            "error": error, "created_at": "2026-11-02T06:00:00Z", "started_at": null, "finished_at": null
        })
    };
    let running = json!([task("running", Value::Null)]);
    let failed = task("failed", json!({ "code": "c", "message": "m" }));
    let routes =
        Router::new().route("/v1/sync", post(async || Json(running))).route("/v1/tasks/5", get(async || Json(failed)));
    let clock = Clock::real();
    let out = Output { json: true, page: page(None) };
    let session = Session { client: client(&serve(folder.path(), routes)), out, clock };
    let arguments = Arguments::try_parse_from(["vppd", "sync"]).unwrap();
    let error = ask(arguments.command, &session).await.unwrap_err();
    assert_eq!(error.to_string(), "1 of 1 tasks have failed");
}
