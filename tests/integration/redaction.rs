//! Secrets are planted along a whole journey, with its mishaps, and then searched for in everything that was said: the log
//! down to trace (vppd's and that of the libraries below it), every output of the command line, every answer of the API.
//! What is allowed to hold a secret is searched too, so that a search that finds nothing means something.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use sandbox::apns::{AnswerRule, PushAnswer};
use sandbox::apple::{Fault, FaultRule, Often};
use sandbox::device::profile::Profile;
use secrecy::ExposeSecret;

use crate::bad_input::control::ask;
use crate::bad_input::visitor::{MAGIC, PUSH_TOKEN, UNLOCK_TOKEN, Visitor, list};
use crate::captured;
use crate::support::*;

const READER: &str = "1600000011";

/// What must be found nowhere: a name for the message, and the text.
#[derive(Default)]
struct Planted(Vec<(String, String)>);

impl Planted {
    fn text(&mut self, name: &str, text: &str) {
        assert!(text.len() >= 16, "{name} is too short to be told from chance");
        self.0.push((name.to_owned(), text.to_owned()));
    }

    /// Bytes in every form in which they could be printed.
    fn bytes(&mut self, name: &str, bytes: &[u8]) {
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let debug: Vec<String> = bytes.iter().take(12).map(u8::to_string).collect();
        self.text(&format!("{name} in hex"), &hex.to_uppercase()[..32]);
        self.text(&format!("{name} in hex"), &hex[..32]);
        self.text(&format!("{name} as a list"), &debug.join(", "));
        let base64 = STANDARD.encode(bytes);
        self.text(&format!("{name} in base64"), &base64.trim_end_matches('=')[..20]);
        if let Ok(text) = std::str::from_utf8(bytes) {
            self.text(name, text);
        }
    }

    /// A private key: each line of its PEM, and what is in it.
    fn key(&mut self, name: &str, pem: &str) {
        for line in pem.lines().filter(|line| line.len() >= 32 && !line.starts_with('-')) {
            self.text(&format!("{name}, a line of PEM"), line);
        }
        let der = PrivateKeyDer::from_pem_slice(pem.as_bytes()).unwrap();
        let der = der.secret_der();
        self.bytes(name, &der[der.len() / 2..]);
    }

    /// Which secrets are in this text.
    fn found_in(&self, text: &str) -> Vec<&str> {
        self.0.iter().filter(|(_, secret)| text.contains(secret)).map(|(name, _)| name.as_str()).collect()
    }
}

/// Runs a command with tables and with JSON; both outputs.
async fn both(app: &App, said: &mut Vec<String>, arguments: &[&str]) {
    for json in [&[][..], &["--json"]] {
        let output = cli(app, &[arguments, json].concat()).await;
        said.push(String::from_utf8_lossy(&output.stdout).into_owned());
        said.push(String::from_utf8_lossy(&output.stderr).into_owned());
    }
}

#[test]
fn no_secret_is_told_anywhere_along_a_journey() {
    let mark = captured::listen();
    story(|clock| async move {
        let mut app = App::start(clock.clone(), &[(READER, 10)]).await;
        let mut planted = Planted::default();
        let mut said: Vec<String> = Vec::new();
        plant_keys(&app, &mut planted);

        let file = app.path("Leeds.vpptoken");
        let file = file.to_str().unwrap().to_owned();
        for damaged in [&app.token[..40], &app.token[..app.token.len() - 1], &format!("{}*", app.token)] {
            std::fs::write(&file, damaged).unwrap();
            both(&app, &mut said, &["token", "add", &file, "--name", "Leeds", "--no-wait"]).await;
        }
        std::fs::write(&file, &app.token).unwrap();
        both(&app, &mut said, &["token", "add", &file, "--name", "Leeds", "--no-wait"]).await;
        both(
            &app,
            &mut said,
            &["enrol", "profile", "--force", "--output", app.path("p.mobileconfig").to_str().unwrap()],
        )
        .await;
        let profile = std::fs::read(app.path("p.mobileconfig")).unwrap();
        planted.text("the challenge", &Profile::read(&profile).unwrap().enrolment.unwrap().scep.challenge.unwrap());
        assert!(app.fleet.enrol(&profile, devices(0, 1), 1, |_| ()).await.is_empty());
        let visitor = Visitor::enrolled(&app, 1, device_keys(&clock).await.take().unwrap()).await;
        planted.text("the visitor's challenge", visitor.enrolment.scep.challenge.as_ref().unwrap());
        planted.text("the push magic", MAGIC);
        planted.bytes("the push token", &PUSH_TOKEN);
        planted.bytes("the unlock token", UNLOCK_TOKEN);

        both(&app, &mut said, &["deploy", "add", "--app", READER, "--to", "all-devices", "--purpose", "required"])
            .await;
        both(&app, &mut said, &["user", "add", "--location", "Leeds", "--email", "p.osei@example.org"]).await;
        mishaps(&app, &visitor, &mut said).await;
        app.wait(minutes(60)).await;
        let user = app.sandbox.apple.location(&app.uid).unwrap().users.remove(0);
        planted.text("the code of an invitation", user.invite_code.as_ref().unwrap());
        assert_eq!(app.installed(READER).len(), 1, "the journey went well");
        let serial = app.fleet.view()[0].serial.clone();
        for arguments in [
            &["status"][..],
            &["token", "list"],
            &["token", "show", "Leeds"],
            &["task", "list"],
            &["task", "show", "1"],
            &["app", "list"],
            &["app", "show", READER],
            &["device", "list"],
            &["device", "show", &serial],
            &["device", "show", &visitor.serial],
            &["deploy", "list"],
            &["user", "list"],
            &["user", "show", "1"],
            &["plan"],
            &["sync", "--no-wait"],
            &["pause", "--reason", "a test"],
            &["resume"],
            &["check"],
            &["doctor", "apple"],
        ] {
            both(&app, &mut said, arguments).await;
        }
        app.restart().await;
        app.wait(minutes(5)).await;

        let log = captured::everything(mark);
        assert!(log.len() > 200, "the log was not captured");
        let everything = [log.join("\n"), said.join("\n")];
        for part in &everything {
            assert!(part.contains("Leeds") && part.contains(&visitor.udid), "the search would find nothing anyway");
            assert_eq!(planted.found_in(part), Vec::<&str>::new());
        }
        at_rest(&app, &visitor);
        let open = String::from_utf8_lossy(&profile).into_owned();
        assert_eq!(planted.found_in(&open), ["the challenge"], "only the profile itself carries its challenge");
    });
}

fn plant_keys(app: &App, planted: &mut Planted) {
    planted.text("the content token", &app.token);
    planted.text("a part of the content token", &app.token[40..100]);
    let inner: serde_json::Value = serde_json::from_slice(&STANDARD.decode(&app.token).unwrap()).unwrap();
    planted.text("the token inside", inner["token"].as_str().unwrap());
    planted.key("the push key", &std::fs::read_to_string(app.sandbox.push_key_path()).unwrap());
    planted.key("the key of the device authority", app.context.keys.devices.to_pem().1.expose_secret());
    planted.key("the key of the server authority", app.context.keys.server.to_pem().1.expose_secret());
    planted.bytes("the master key", &std::fs::read(app.path("state/master.key")).unwrap());
}

/// What goes wrong on the way, each with a secret in it.
async fn mishaps(app: &App, visitor: &Visitor, said: &mut Vec<String>) {
    for fault in [Fault::InternalError, Fault::TruncatedJson, Fault::BadGateway, Fault::ClosedAfterEffect] {
        for endpoint in ["assets", "assets/associate", "users", "users/create", "status"] {
            let (endpoint, fault) = (Some(endpoint.to_owned()), fault.clone());
            app.sandbox.apple.add_fault(FaultRule { endpoint, fault, often: Often::Next(7) }).unwrap();
        }
    }
    both(app, said, &["sync", "--no-wait"]).await;
    for answer in [
        PushAnswer::ServiceUnavailable,
        PushAnswer::LostBeforeDelivery,
        PushAnswer::Canned { status: 400, body: "{\"reason\":\"Odd\"}".into() },
        PushAnswer::Unregistered,
    ] {
        let token_prefix = Some("706c616e".to_owned());
        app.sandbox.apns.add_answer(AnswerRule { answer, token_prefix, next: Some(1) });
    }
    app.wait(minutes(90)).await;
    app.sandbox.apple.clear_faults();
    let update = visitor.token_update();
    for broken in [
        update.replace("<key>Topic</key>", "<key>Topik</key>"),
        update.replace("TokenUpdate", "TokenUpdates"),
        update.replace(&visitor.udid, "somebody else"),
        update.replace("<data>", "<string>").replace("</data>", "</string>"),
        format!("{update}</dict>"),
    ] {
        let status = visitor.check_in(&broken).await;
        assert!(status >= 400 && status != 401);
    }
    assert_eq!(visitor.put_signed("/checkin", list(&update), None).await.status.as_u16(), 400);
    for body in [
        format!("{{\"name\":\"Leeds\",\"content\":[\"{}\"]}}", app.token),
        format!("{{\"name\":\"Leeds\",\"content\":\"{}\"", app.token),
        format!("{{\"name\":\"Leeds\",\"content\":\"{}=\"}}", app.token),
        format!("{{\"name\":\"Leeds\",\"content\":\"{}\"}}", app.token),
        format!("{{\"name\":\"York\",\"content\":\"{}\",\"take_over\":true}}", app.token),
    ] {
        let (status, answer) = ask(app, "POST", "/v1/tokens", body.into_bytes()).await;
        assert!(status >= 400);
        said.push(String::from_utf8_lossy(&answer).into_owned());
    }
    for path in ["status", "tokens", "tokens/Leeds", "tasks", "apps", "devices", "deployments", "users", "plan"] {
        let (_, answer) = ask(app, "GET", &format!("/v1/{path}"), Vec::new()).await;
        said.push(String::from_utf8_lossy(&answer).into_owned());
    }
}

/// Content token, challenges and private keys stand nowhere in the state directory as they are.
fn at_rest(app: &App, visitor: &Visitor) {
    let key = |pem: &str| {
        let der = PrivateKeyDer::from_pem_slice(pem.as_bytes()).unwrap().secret_der().to_vec();
        der[der.len() / 2..].to_vec()
    };
    let secrets = [
        app.token.as_bytes().to_vec(),
        visitor.enrolment.scep.challenge.clone().unwrap().into_bytes(),
        key(app.context.keys.devices.to_pem().1.expose_secret()),
        key(app.context.keys.server.to_pem().1.expose_secret()),
    ];
    let files = std::fs::read_dir(app.path("state")).unwrap().map(|entry| entry.unwrap().path());
    for file in files.filter(|path| path.is_file()) {
        let bytes = std::fs::read(&file).unwrap();
        for secret in &secrets {
            let found = bytes.windows(secret.len()).any(|window| window == secret.as_slice());
            assert!(!found, "{} holds a secret in the clear", file.display());
        }
    }
}
