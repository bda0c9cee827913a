//! The arguments, and the client against a small server on a socket of its own.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::rc::Rc;

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
use crate::config::Config;
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

/// Runs a command against the socket; gives what it has printed.
async fn ask_at(socket: &Path, words: &[&str]) -> (anyhow::Result<()>, String) {
    let arguments = Arguments::try_parse_from(["vppd"].iter().chain(words)).unwrap();
    let printed = Printed::default();
    let out = Output::to(Box::new(printed.clone()), arguments.json, page(None));
    let session = Session { client: client(socket), out, clock: Clock::real() };
    let result = ask(arguments.command, &session).await;
    let bytes = printed.0.borrow().clone();
    (result, String::from_utf8(bytes).unwrap())
}

#[derive(Clone, Default)]
struct Printed(Rc<RefCell<Vec<u8>>>);

impl Write for Printed {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.borrow_mut().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
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
    let answer = failed.clone();
    let routes =
        Router::new().route("/v1/sync", post(async || Json(running))).route("/v1/tasks/5", get(async || Json(answer)));
    let (result, printed) = ask_at(&serve(folder.path(), routes), &["sync", "--json"]).await;
    assert_eq!(result.unwrap_err().to_string(), "1 of 1 tasks have failed");
    assert_eq!(serde_json::from_str::<Value>(&printed).unwrap(), json!([failed]));
}

#[tokio::test]
async fn adding_a_token_follows_the_first_sync_to_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.vpptoken");
    std::fs::write(&file, "dG9rZW4=").unwrap();
    let token = |assets: u64| {
        json!({
            "name": "Leeds", "uid": "1", "location_name": "Leeds", "organisation": "", "country": "GB", "platform": "",
            "website": "", "description": "", "account_email": "", "categories": [], "contacts": [],
            "expires_at": "2027-11-02T06:00:00Z", "state": "valid", "advice": "", "owner": {"holder": "us"},
            "assets": assets, "licences_owned": 0, "licences_assigned": 0, "added_at": "2026-11-02T06:00:00Z",
            "last_synced": null, "last_full_sync": null, "next_sync": null,
            "sync_interval": {"every": "12h", "own": false}, "full_sync_interval": {"every": "7d", "own": false},
            "notifications": { "state": "off", "failure": "", "last_heard": null }
        })
    };
    let task = |state: &str, error: Value| {
        json!({
            "id": 5, "kind": "sync", "subject": "Leeds", "state": state, "done": 0, "total": 0, "detail": "", "error": error,
            "created_at": "2026-11-02T06:00:00Z", "started_at": null, "finished_at": null
        })
    };
    let error = json!({ "code": "c", "message": "Apple is away" });
    for (end, error) in [("done", Value::Null), ("failed", error)] {
        let (added, read) = (json!({ "token": token(0), "task": task("waiting", Value::Null) }), token(12));
        let ended = task(end, error);
        let answer = ended.clone();
        let routes = Router::new()
            .route("/v1/tokens", post(async || Json(added)))
            .route("/v1/tokens/1", get(async || Json(read)))
            .route("/v1/tasks/5", get(async || Json(answer)));
        let place = folder.path().join(end);
        std::fs::create_dir(&place).unwrap();
        let socket = serve(&place, routes);
        let words = ["token", "add", file.to_str().unwrap(), "--name", "Leeds"];
        let (result, printed) = ask_at(&socket, &[&words[..], &["--json"]].concat()).await;
        assert_eq!(result.is_ok(), end == "done");
        assert_eq!(serde_json::from_str::<Value>(&printed).unwrap(), json!({ "token": token(12), "task": ended }));
        let (_, printed) = ask_at(&socket, &words).await;
        assert!(printed.contains("apps and books:  12"), "{printed}");
        let (result, printed) = ask_at(&socket, &[&words[..], &["--no-wait"]].concat()).await;
        assert!(result.is_ok() && printed.contains("apps and books:  0"), "{printed}");
    }
}

#[tokio::test]
async fn json_is_printed_as_the_server_has_sent_it() {
    let folder = tempfile::tempdir().unwrap();
    let routes = Router::new().route("/v1/deployments", get(async || Json(json!([deployment(1)]))));
    let socket = serve(folder.path(), routes);
    let (result, printed) = ask_at(&socket, &["deploy", "list", "--json"]).await;
    result.unwrap();
    assert_eq!(serde_json::from_str::<Value>(&printed).unwrap(), json!([deployment(1)]));
    let (result, printed) = ask_at(&socket, &["deploy", "list"]).await;
    result.unwrap();
    assert!(
        printed
            .ends_with(" 1  361309726  required  all-devices        3  device   2026-11-02 06:00  361309726  root\n"),
        "{printed}"
    );
}

#[tokio::test]
async fn an_enrolment_profile_goes_into_a_file_and_never_into_the_json() {
    let folder = tempfile::tempdir().unwrap();
    let made = json!({
        "file_name": "enrol.mobileconfig", "profile": "cHJvZmlsZQ==", "signed": true, "reference": "r",
        "serial": null, "count": 1, "expires_at": "2026-11-02T07:00:00Z"
    });
    let routes = Router::new().route("/v1/enrolment-profiles", post(async || Json(made)));
    let socket = serve(folder.path(), routes);
    let file = folder.path().join("out.mobileconfig");
    let name = file.to_str().unwrap();
    let (result, printed) = ask_at(&socket, &["enrol", "profile", "--json", "--output", name]).await;
    result.unwrap();
    assert_eq!(std::fs::read(&file).unwrap(), b"profile");
    assert!(printed.contains(name) && !printed.contains("cHJvZmlsZQ"), "{printed}");
    let (again, _) = ask_at(&socket, &["enrol", "profile", "--output", name]).await;
    assert!(again.unwrap_err().to_string().contains("exists already"));
    let (result, printed) = ask_at(&socket, &["enrol", "profile", "--output", "-"]).await;
    result.unwrap();
    assert_eq!(printed, "profile");
    let (both, _) = ask_at(&socket, &["enrol", "profile", "--json", "--output", "-"]).await;
    assert_eq!(exit_code(&both.unwrap_err()), 2);
}

#[test]
fn a_reader_that_goes_away_ends_the_command_quietly() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let out = Output::to(Box::new(writer), false, page(None));
    assert!(out.text("a line").unwrap_err().is::<StdoutClosed>());
}

#[test]
fn wrong_settings_have_an_exit_code_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("vppd.toml");
    std::fs::write(&file, "[devices]\nurl = 5\n").unwrap();
    let name = file.to_str().unwrap();
    for command in ["run", "check"] {
        let arguments = Arguments::try_parse_from(["vppd", "--config", name, command]).unwrap();
        let error = execute(arguments, |path| Ok(Config::load(path).map(drop)?)).unwrap_err();
        assert_eq!(exit_code(&error), 78);
        assert!(explain(&error).starts_with(&format!("{name}:2:7: `url` must be text in quotes")));
    }
}
