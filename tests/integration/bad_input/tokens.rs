//! Content token files, as an administrator hands them to `vppd token add`.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::SignedDuration;
use sandbox::apple::NewLocation;
use vppd::operations::tokens;

use super::table::{Table, fingerprint};
use crate::captured;
use crate::support::*;

/// A file that is refused: what it is called in the table, its bytes, what the answer says.
type Case = (&'static str, Vec<u8>, &'static str);

fn token(json: &str) -> Vec<u8> {
    STANDARD.encode(json).into_bytes()
}

/// The files that are wrong in themselves, made of the good `text`.
fn wrong_files(text: &str) -> Vec<Case> {
    let utf16: Vec<u8> = std::iter::once(0xfeffu16).chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    let deep = format!("{{\"token\":{}1{}}}", "[".repeat(20_000), "]".repeat(20_000));
    let middle = text.len() / 2;
    vec![
        ("empty file", Vec::new(), "the file is empty"),
        ("byte order mark and spaces only", b"\xef\xbb\xbf \r\n".to_vec(), "the file is empty"),
        ("cut off in the middle", text.as_bytes()[..middle - middle % 4].to_vec(), "cut off"),
        ("last three characters missing", text.as_bytes()[..text.len() - 3].to_vec(), "cut off"),
        ("a character replaced by *", format!("*{}", &text[1..]).into_bytes(), "base64 does not use"),
        ("UTF-16", utf16, "not plain text"),
        ("binary", vec![0, 159, 146, 150, 255, 0, 1], "not plain text"),
        ("a web page", b"<!DOCTYPE html><html><title>Sign In</title></html>".to_vec(), "web page"),
        ("the JSON inside, decoded already", STANDARD.decode(text).unwrap(), "decoded already"),
        (
            "a certificate",
            b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n".to_vec(),
            "certificate or key",
        ),
        (
            "a server token (.p7m)",
            b"Content-Type: application/pkcs7-mime; name=smime.p7m\n\nMIIB".to_vec(),
            "server token",
        ),
        ("a server token in bare base64", STANDARD.encode([0x30, 0x80, 6, 9]).into_bytes(), "server token"),
        ("70 kB of letters", vec![b'A'; 70_000], "70000 bytes"),
        ("a film of 300 kB", vec![b'A'; 300 << 10], "too large for a content token"),
        ("inner text that is no JSON", token("hello, this is a text"), "not to a content token"),
        ("inner JSON is a list", token("[1, 2, 3]"), "not to a content token"),
        ("inner token nested 20,000 deep", token(&deep), "not to a content token"),
        ("inner JSON is 5,000 brackets", token(&"[".repeat(5_000)), "not to a content token"),
        ("inner JSON without token", token(r#"{"expDate":"2027-06-30T09:15:00Z"}"#), "without a token"),
        ("inner token is empty", token(r#"{"token":" ","expDate":"2027-06-30T09:15:00Z"}"#), "without a token"),
        ("inner token is a number", token(r#"{"token":7,"expDate":"2027-06-30T09:15:00Z"}"#), "not to a content token"),
        ("inner JSON without expiry", token(r#"{"token":"x"}"#), "does not say when it expires"),
        ("inner expiry is no date", token(r#"{"token":"x","expDate":"next year"}"#), "expiry date cannot be read"),
        (
            "expired by its own date",
            token(r#"{"token":"x","expDate":"2026-10-30T09:15:00Z"}"#),
            "expired on 2026-10-30",
        ),
        ("never issued by Apple", token(r#"{"token":"x","expDate":"2027-06-30T09:15:00Z"}"#), "not accepted by Apple"),
    ]
}

async fn add(app: &App, file: &Path, name: &str) -> (bool, String) {
    let output = cli(app, &["token", "add", file.to_str().unwrap(), "--name", name, "--no-wait"]).await;
    (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn every_wrong_token_file_is_called_what_it_is() {
    captured::listen();
    story(|clock| async move {
        let app = App::start(clock, &[("1600000011", 3)]).await;
        let mut table = Table::new("token");
        table.secret(&app.token);
        table.secret(&app.token[20..60]);
        app.add_token("Leeds", false).await.unwrap();
        app.wait(minutes(2)).await;
        let apple = &app.sandbox.apple;
        let new_token = |uid: &str| apple.add_token(uid, SignedDuration::from_hours(24 * 200)).unwrap();
        let mut cases = wrong_files(&app.token);
        cases.push(("the same token again", app.token.clone().into_bytes(), "already here, as \"Leeds\""));
        let york = apple.add_location(NewLocation { name: "York".into(), ..NewLocation::default() });
        cases.push((
            "token of another location",
            new_token(&york).into_bytes(),
            "belongs to another location (\"York\")",
        ));
        let expired = new_token(&app.uid);
        apple.expire_token(&expired).unwrap();
        cases.push(("expired at Apple", expired.into_bytes(), "has expired"));
        let revoked = new_token(&app.uid);
        apple.revoke_token(&revoked).unwrap();
        cases.push(("revoked at Apple", revoked.into_bytes(), "has been revoked"));
        let before = fingerprint(&app, &["licence_usage"]).await;
        let file = app.path("Leeds.vpptoken");
        for (name, bytes, says) in cases {
            std::fs::write(&file, &bytes).unwrap();
            let (added, answer) = add(&app, &file, "Leeds").await;
            assert!(!added, "{name} was accepted");
            table.row(name, &format!("a file of {} bytes", bytes.len()), &answer, says);
            assert_eq!(fingerprint(&app, &["licence_usage"]).await, before, "{name} changed something");
        }
        for (name, path, says) in
            [("a folder", app.path("state"), "Is a directory"), ("no such file", app.path("gone"), "No such file")]
        {
            let (added, answer) = add(&app, &path, "Leeds").await;
            assert!(!added);
            table.row(name, path.file_name().unwrap().to_str().unwrap(), &answer, says);
        }
        assert_eq!(fingerprint(&app, &["licence_usage"]).await, before);
        assert_eq!(tokens::list(&app.context).await.unwrap().len(), 1);
        table.end(30);
    });
}

#[test]
fn what_programs_and_people_do_to_a_token_file_does_not_matter() {
    captured::listen();
    story(|clock| async move {
        let app = App::start(clock, &[("1600000011", 3)]).await;
        let mut table = Table::new("token");
        let apple = &app.sandbox.apple;
        for (name, before, after, mode) in [
            ("byte order mark", "\u{feff}", "", 0o600),
            ("CRLF at the end", "", "\r\n", 0o600),
            ("spaces around", "  ", " \n\n", 0o600),
            ("quotes around", "\"", "\"", 0o600),
            ("readable by everyone", "", "", 0o644),
        ] {
            let text = apple.add_token(&app.uid, SignedDuration::from_hours(24 * 200)).unwrap();
            table.secret(&text);
            let file = app.path(&format!("Leeds {name} (1).vpptoken"));
            let (front, back) = text.split_at(64);
            std::fs::write(&file, format!("{before}{front}\r\n {back}{after}")).unwrap();
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
            let (added, warned) = add(&app, &file, "Leeds").await;
            assert!(added, "{name}: {warned}");
            let answer = if warned.is_empty() { "added".to_owned() } else { warned };
            table.row(
                name,
                "a good token, broken into lines, \"(1)\"",
                &answer,
                if mode == 0o644 { "chmod 600" } else { "added" },
            );
        }
        table.end(5);
    });
}
