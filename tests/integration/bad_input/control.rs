//! What comes to the control socket that no `vppd` command sends.

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use vppd::operations::view::ErrorBody;

use super::table::{Table, fingerprint};
use crate::captured;
use crate::support::*;

/// One request; status and body of the answer.
pub async fn ask(app: &App, method: &str, path: &str, body: Vec<u8>) -> (u16, Bytes) {
    let stream = UnixStream::connect(app.path("control.sock")).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let request = hyper::Request::builder().method(method).uri(path).header("host", "localhost");
    let answer = sender.send_request(request.body(Full::new(Bytes::from(body))).unwrap()).await.unwrap();
    let status = answer.status().as_u16();
    (status, answer.into_body().collect().await.unwrap().to_bytes())
}

/// Writes bytes, and reads what comes until the door is closed.
async fn write(app: &App, bytes: &[u8]) -> String {
    let mut stream = UnixStream::connect(app.path("control.sock")).await.unwrap();
    // The door may close before all of it is written.
    let _ = stream.write_all(bytes).await;
    let _ = stream.shutdown().await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).lines().next().unwrap_or("the door was closed").to_owned()
}

#[test]
fn garbage_at_the_control_socket_is_answered_in_words() {
    captured::listen();
    story(|clock| async move {
        let app = App::start(clock, &[("1600000011", 3)]).await;
        app.add_token("Leeds", false).await.unwrap();
        app.wait(minutes(2)).await;
        let mut table = Table::new("control");
        let secret = "PLANTED-IN-A-REQUEST";
        table.secret(secret);
        let before = fingerprint(&app, &[]).await;
        let deep = format!("{{\"name\":{}", "[".repeat(100_000));
        let many = serde_json::to_string(&vec!["1"; 400]).unwrap();
        let too_much = format!("{{\"decision\": \"assigned\", \"apps\": {many}, \"holders\": {many}}}");
        let with_secret = format!("{{\"name\":\"Leeds\",\"content\":7,\"x\":\"{secret}\"}}");
        for (name, method, path, body, status, says) in [
            ("unknown path", "GET", "/v1/nonsense", "", 404, "no such thing in the API"),
            ("path outside the API", "GET", "/etc/passwd", "", 404, "no such thing in the API"),
            ("wrong method", "DELETE", "/v1/status", "", 405, "does not take this method"),
            ("method that nobody knows", "BREW", "/v1/apps", "", 405, "does not take this method"),
            ("location that is no UTF-8", "GET", "/v1/tokens/%FF%FE", "", 400, "cannot be read as text"),
            ("location that is not there", "GET", "/v1/tokens/York", "", 404, "no location \"York\""),
            ("device that is not there", "GET", "/v1/devices/NOBODY", "", 404, "NOBODY"),
            ("app that is not there", "GET", "/v1/apps/77", "", 404, "77"),
            ("removal of a device that is not there", "GET", "/v1/devices/NOBODY/removal", "", 404, "NOBODY"),
            ("device to remove that is not there", "DELETE", "/v1/devices/NOBODY", "", 404, "NOBODY"),
            ("days that are no number", "GET", "/v1/waste?days=-1", "", 400, "cannot be read"),
            ("decision that is none", "POST", "/v1/by-hand", "{\"decision\": \"lent\"}", 400, "wrong type"),
            ("decision about nothing", "POST", "/v1/by-hand", "{\"decision\": \"assigned\"}", 400, "no app and holder"),
            ("decision about too much", "POST", "/v1/by-hand", &too_much, 400, "more than the 100000"),
            ("release of nothing", "POST", "/v1/by-hand/release", "{}", 400, "the member apps is missing"),
            ("reclaim under no location", "POST", "/v1/reclaim", "{\"token\": \"York\"}", 404, "York"),
            ("icon that is not there", "GET", "/v1/apps/77/icon", "", 404, "no icon"),
            ("filter that is none", "GET", "/v1/apps?by-token=maybe", "", 400, "cannot be read"),
            ("location without subscriptions", "GET", "/v1/subscriptions?location=York", "", 404, "\"York\""),
            ("task number that is none", "GET", "/v1/tasks/seven", "", 404, "\"seven\" is no number"),
            ("task number beyond 64 bits", "GET", "/v1/tasks/99999999999999999999", "", 404, "is no number"),
            ("body that is no JSON", "POST", "/v1/tokens", "hello", 400, "it is not JSON"),
            ("JSON cut off", "POST", "/v1/tokens", "{\"name\": \"Lee", 400, "cut off"),
            ("JSON nested 100,000 deep", "POST", "/v1/tokens", &deep, 400, "wrong type"),
            ("the same in an unknown member", "POST", "/v1/tokens", &deep.replace("name", "nest"), 400, "cut off"),
            ("a list instead of an object", "POST", "/v1/deployments", "[1, 2]", 400, "wrong type"),
            ("no body", "POST", "/v1/tokens", "", 400, "the member name is missing"),
            ("member missing", "POST", "/v1/tokens", "{\"name\": \"Leeds\"}", 400, "the member content is missing"),
            ("member of a wrong type", "POST", "/v1/tokens", &with_secret, 400, "a member has a wrong type"),
            (
                "location name of 81 letters",
                "POST",
                "/v1/tokens",
                &format!("{{\"name\":\"{}\",\"content\":\"x\"}}", "A".repeat(81)),
                400,
                "1 to 80 characters",
            ),
            (
                "location name with a line break",
                "POST",
                "/v1/tokens",
                "{\"name\":\"A\\nB\",\"content\":\"x\"}",
                400,
                "1 to 80 characters",
            ),
            ("body of 300 kB", "POST", "/v1/tokens", &"A".repeat(300_000), 413, "larger than 256 KiB"),
            ("profile for no device", "POST", "/v1/enrolment-profiles", "{\"count\": 0}", 400, "for 0 devices"),
            (
                "profile for four billion devices",
                "POST",
                "/v1/enrolment-profiles",
                "{\"count\": 4294967295}",
                400,
                "cannot be made",
            ),
            ("profile for -1 devices", "POST", "/v1/enrolment-profiles", "{\"count\": -1}", 400, "wrong type"),
            (
                "profile for a serial that is none",
                "POST",
                "/v1/enrolment-profiles",
                "{\"serial\": \"DROP TABLE;\"}",
                400,
                "is no serial number",
            ),
            (
                "profile that has expired",
                "POST",
                "/v1/enrolment-profiles",
                "{\"expires_at\": \"2020-01-01T00:00:00Z\"}",
                400,
                "expired already",
            ),
            (
                "deployment of an app that nobody knows",
                "POST",
                "/v1/deployments",
                "{\"adam_id\":\"Reader\",\"to\":\"all-devices\",\"purpose\":\"required\"}",
                404,
                "Reader",
            ),
            (
                "deployment to nobody",
                "POST",
                "/v1/deployments",
                "{\"adam_id\":\"1600000011\",\"to\":\"the moon\",\"purpose\":\"required\"}",
                400,
                "moon",
            ),
            (
                "deployment for no known purpose",
                "POST",
                "/v1/deployments",
                "{\"adam_id\":\"1600000011\",\"to\":\"all-devices\",\"purpose\":\"fun\"}",
                400,
                "wrong type",
            ),
            ("deployment removed that is not there", "DELETE", "/v1/deployments/77", "", 404, "77"),
            ("sync of an unknown location", "POST", "/v1/sync", "{\"location\":\"York\"}", 404, "no location \"York\""),
        ] {
            let sent: String = format!("{method} {path} {body}").chars().take(44).collect();
            let (got, answer) = ask(&app, method, path, body.as_bytes().to_vec()).await;
            let told: ErrorBody = serde_json::from_slice(&answer)
                .unwrap_or_else(|_| panic!("{name}: {got} without words: {}", String::from_utf8_lossy(&answer)));
            assert_eq!(got, status, "{name}: {}", told.error.message);
            table.row(
                name,
                &sent.replace('\n', " "),
                &format!("{got} {} {}", told.error.message, told.error.advice),
                says,
            );
            assert_eq!(fingerprint(&app, &[]).await, before, "{name} changed something");
            assert_eq!(ask(&app, "GET", "/v1/status", Vec::new()).await.0, 200, "after {name}");
        }
        let headers =
            format!("GET /v1/status HTTP/1.1\r\n{}\r\n", "x-filler: aaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n".repeat(5_000));
        for (name, bytes) in [
            ("not HTTP", b"hello, is anybody there?\r\n\r\n".to_vec()),
            ("TLS", vec![0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]),
            ("zeros", vec![0; 100_000]),
            ("200 kB of headers", headers.into_bytes()),
            ("request cut off", b"POST /v1/tokens HTTP/1.1\r\nhost: x\r\ncontent-length: 50\r\n\r\n{".to_vec()),
            ("nothing", Vec::new()),
        ] {
            let answer = write(&app, &bytes).await;
            table.row(
                name,
                &format!("{} bytes", bytes.len()),
                &answer,
                if answer.contains("HTTP") { "HTTP/1.1 4" } else { "closed" },
            );
            assert_eq!(fingerprint(&app, &[]).await, before, "{name} changed something");
            assert_eq!(ask(&app, "GET", "/v1/status", Vec::new()).await.0, 200, "after {name}");
        }
        table.end(36);
    });
}
