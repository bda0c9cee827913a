//! The doors as tools that are not ours see them: strongSwan's `pki --scep` fetches an identity with the challenge of a real
//! profile, and `openssl cms` signs the messages, in DER and in streamed BER as Apple's code does.

use std::path::Path;
use std::process::{Command, Output};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use plist::Value;
use vppd::clock::Clock;
use vppd::operations::view::*;
use vppd::operations::{enrol, look};
use vppd::web;

use crate::support::*;

/// strongSwan 5.9.8 reads GetCACaps wrongly unless every name is there; vppd's own list is shorter.
const EVERY_CAPABILITY: &str = "AES\nDES3\nSHA-1\nSHA-224\nSHA-256\nSHA-384\nSHA-512\nPOSTPKIOperation\nSCEPStandard\n\
                                GetNextCACert\nRenewal\n";

const UDID: &str = "00008103-000A1B2C3D4E5F60";

/// The device listener's own routes on plain HTTP, for tools that cannot be told whom to trust.
pub async fn plain_door(app: &App) -> String {
    use axum::extract::Request;
    use axum::response::IntoResponse;
    use tower::ServiceExt;
    let doors = web::devices::router(app.context.clone());
    let router = axum::Router::new().fallback(move |request: Request| {
        let doors = doors.clone();
        async move {
            match request.uri().query() {
                Some(query) if query.contains("GetCACaps") => EVERY_CAPABILITY.into_response(),
                _ => doors.oneshot(request).await.into_response(),
            }
        }
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    address.to_string()
}

/// Runs a tool beside the runtime, with `input` on its standard input.
async fn tool(program: &'static str, arguments: String, input: Vec<u8>) -> Output {
    let run = move || -> std::io::Result<Output> {
        use std::io::Write;
        use std::process::Stdio;
        let mut command = Command::new(program);
        command.args(arguments.split('\u{1f}')).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(&input)?;
        }
        child.wait_with_output()
    };
    tokio::task::spawn_blocking(run).await.unwrap().unwrap_or_else(|error| {
        panic!(
            "`{program}` cannot be run ({error}): `make test` installs strongswan-pki, libstrongswan-extra-plugins, openssl, \
             poppler-utils and zbar-tools"
        )
    })
}

pub async fn done(program: &'static str, arguments: String, input: Vec<u8>) -> Vec<u8> {
    let output = tool(program, arguments.replace(' ', "\u{1f}"), input).await;
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// What stands under a key anywhere in a property list.
pub fn find<'a>(value: &'a Value, wanted: &str) -> Option<&'a Value> {
    match value {
        Value::Dictionary(entries) => {
            entries.get(wanted).or_else(|| entries.iter().find_map(|(_, inner)| find(inner, wanted)))
        }
        Value::Array(values) => values.iter().find_map(|inner| find(inner, wanted)),
        _ => None,
    }
}

/// Fetches an identity with strongSwan into `folder`: key.pem and cert.pem. The tool's output when it fails.
async fn fetch_identity(door: &str, folder: &Path, challenge: &str) -> Result<(), String> {
    let key = done("pki", "--gen --type rsa --size 2048 --outform pem".into(), Vec::new()).await;
    std::fs::write(folder.join("key.pem"), key).unwrap();
    let folder_text = folder.display();
    let arguments = format!(
        "--scep --url http://{door}/scep --in {folder_text}/key.pem --cacert-enc {folder_text}/ca.pem --cacert-sig \
         {folder_text}/ca.pem --cipher aes --digest sha256 --password {challenge} --outform pem"
    );
    let arguments = format!("{}\u{1f}--dn\u{1f}CN=the device's own idea", arguments.replace(' ', "\u{1f}"));
    let output = tool("pki", arguments, Vec::new()).await;
    match output.status.success() {
        true => std::fs::write(folder.join("cert.pem"), output.stdout).map_err(|error| error.to_string()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

/// Signs a message with openssl as `flags` say and puts it; status and body of the answer.
pub async fn put(door: &str, path: &str, folder: &Path, flags: &str, message: &str) -> (u16, Vec<u8>) {
    let message = format!("<?xml version=\"1.0\"?><plist version=\"1.0\"><dict>{message}</dict></plist>");
    let folder = folder.display();
    let signature = done(
        "openssl",
        format!("cms -sign -binary -outform DER -signer {folder}/cert.pem -inkey {folder}/key.pem {flags}"),
        message.clone().into_bytes(),
    )
    .await;
    if flags.contains("-stream") {
        assert_eq!(signature[..2], [0x30, 0x80], "indefinite length");
    }
    let stream = tokio::net::TcpStream::connect(door).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let request = hyper::Request::put(path)
        .header("host", door)
        .header("mdm-signature", STANDARD.encode(signature))
        .body(Full::new(Bytes::from(message)))
        .unwrap();
    let answer = sender.send_request(request).await.unwrap();
    (answer.status().as_u16(), answer.into_body().collect().await.unwrap().to_bytes().to_vec())
}

#[tokio::test(flavor = "multi_thread")]
async fn strongswan_and_openssl_enrol_and_work_the_queue() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let app = App::start(Clock::real(), &[("1600000011", 3)]).await;
    let made = enrol::make_profile(&app.context, EnrolRequest::default(), "test").await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    std::fs::write(path.join("ca.pem"), app.context.keys.devices.to_pem().0).unwrap();
    let profile = STANDARD.decode(made.profile).unwrap();
    // The profile is signed by the device authority: openssl verifies that and gives the content.
    let trust = format!("cms -verify -inform DER -CAfile {} -purpose any", path.join("ca.pem").display());
    let profile = Value::from_reader_xml(&*done("openssl", trust, profile).await).unwrap();
    let challenge = find(&profile, "Challenge").and_then(Value::as_string).unwrap();
    assert!(challenge.len() >= 32);
    assert_eq!(find(&profile, "AccessRights").and_then(Value::as_unsigned_integer), Some(6419));
    let topic = find(&profile, "Topic").and_then(Value::as_string).unwrap();

    let door = plain_door(&app).await;
    let said = fetch_identity(&door, path, "a-challenge-that-was-never-given-out").await.unwrap_err();
    assert!(said.to_lowercase().contains("badrequest") || said.contains("not permitted"), "{said}");
    fetch_identity(&door, path, challenge).await.unwrap();
    let strict = format!("verify -x509_strict -purpose sslclient -CAfile {0}/ca.pem {0}/cert.pem", path.display());
    done("openssl", strict, Vec::new()).await;
    let again = tempfile::tempdir().unwrap();
    std::fs::copy(path.join("ca.pem"), again.path().join("ca.pem")).unwrap();
    assert!(fetch_identity(&door, again.path(), challenge).await.is_err(), "the challenge serves one key only");

    let who = format!("<key>UDID</key><string>{UDID}</string>");
    let authenticate = format!(
        "<key>MessageType</key><string>Authenticate</string><key>Topic</key><string>{topic}</string>{who}\
         <key>SerialNumber</key><string>QX7T2M9K2P</string>"
    );
    let token_update = format!(
        "<key>MessageType</key><string>TokenUpdate</string><key>Topic</key><string>{topic}</string>{who}\
         <key>PushMagic</key><string>magic</string><key>Token</key><data>AAEC</data>"
    );
    let idle = format!("<key>Status</key><string>Idle</string>{who}");
    assert_eq!(put(&door, "/mdm", path, "-md sha256", &idle).await.0, 503, "not enrolled yet");
    assert_eq!(put(&door, "/checkin", path, "-md sha1", &authenticate).await, (200, Vec::new()));
    assert_eq!(put(&door, "/checkin", path, "-md sha256 -stream", &token_update).await, (200, Vec::new()));
    let mut names = Vec::new();
    let mut message = idle.clone();
    for flags in ["-md sha1 -stream", "-md sha256", "-md sha512 -stream", "-md sha256 -stream"] {
        let (status, body) = put(&door, "/mdm", path, flags, &message).await;
        assert_eq!(status, 200);
        if body.is_empty() {
            break;
        }
        let command = Value::from_reader_xml(&*body).unwrap();
        names.push(find(&command, "RequestType").and_then(Value::as_string).unwrap().to_owned());
        let uuid = find(&command, "CommandUUID").and_then(Value::as_string).unwrap().to_owned();
        message = format!(
            "<key>Status</key><string>Acknowledged</string>{who}<key>CommandUUID</key><string>{uuid}</string>\
             <key>QueryResponses</key><dict><key>IsSupervised</key><true/></dict><key>ManagedApplicationList</key><dict/>"
        );
    }
    names.sort();
    assert_eq!(names, ["DeviceInformation", "InstalledApplicationList", "ManagedApplicationList"]);
    let device = look::device(&app.context, "QX7T2M9K2P".into()).await.unwrap().device;
    assert_eq!((device.state, device.supervised, device.queue), (DeviceState::Enrolled, Some(true), 0));

    // A certificate that somebody made himself does not pass, nor does a body that was changed.
    let own = format!(
        "req -x509 -newkey rsa:2048 -nodes -subj /CN=me -days 9 -keyout {0}/key.pem -out {0}/cert.pem",
        again.path().display()
    );
    done("openssl", own, Vec::new()).await;
    assert_eq!(put(&door, "/mdm", again.path(), "-md sha256", &idle).await.0, 400);
    assert_eq!(put(&door, "/checkin", again.path(), "-md sha256", &authenticate).await.0, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn curl_is_let_in_with_a_client_certificate_under_the_second_name() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let edit = |text: String| {
        let text = in_devices(text, &format!("client-certificate-name = \"{SECOND_NAME}\""));
        text.replace("[enrolment]\n", "[enrolment]\nproof = \"client-certificate\"\nsign-profiles = false\n")
    };
    let app = App::start_with(Clock::real(), &[], edit).await;
    let made = enrol::make_profile(&app.context, EnrolRequest::default(), "test").await.unwrap();
    let profile = Value::from_reader_xml(&*STANDARD.decode(made.profile).unwrap()).unwrap();
    let text = |key: &str| find(&profile, key).and_then(Value::as_string).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    std::fs::write(path.join("ca.pem"), app.context.keys.devices.to_pem().0).unwrap();
    std::fs::write(path.join("server.pem"), app.context.keys.server.to_pem().0).unwrap();
    fetch_identity(&plain_door(&app).await, path, text("Challenge")).await.unwrap();
    let port = app.address.port();
    let ask = async |url: &str, with_certificate: bool, message: &str| {
        let message = format!("<?xml version=\"1.0\"?><plist version=\"1.0\"><dict>{message}</dict></plist>");
        std::fs::write(path.join("message"), message).unwrap();
        let folder = path.display();
        let identity = format!(" --cert {folder}/cert.pem --key {folder}/key.pem");
        let arguments = format!(
            "-sS -o {folder}/answer -w %{{http_code}} --resolve {SECOND_NAME}:{port}:127.0.0.1 --cacert {folder}/server.pem -X PUT \
             --data-binary @{folder}/message {url}{}",
            if with_certificate { identity.as_str() } else { "" }
        );
        String::from_utf8(done("curl", arguments, Vec::new()).await).unwrap()
    };
    let who = format!("<key>UDID</key><string>{UDID}</string><key>Topic</key><string>{}</string>", text("Topic"));
    let authenticate = format!("<key>MessageType</key><string>Authenticate</string>{who}");
    let update = format!(
        "<key>MessageType</key><string>TokenUpdate</string>{who}<key>PushMagic</key><string>magic</string><key>Token</key>\
         <data>AAEC</data>"
    );
    let idle = format!("<key>Status</key><string>Idle</string><key>UDID</key><string>{UDID}</string>");
    assert_eq!(ask(text("CheckInURL"), true, &authenticate).await, "200");
    assert_eq!(ask(text("CheckInURL"), true, &update).await, "200");
    assert_eq!(ask(text("ServerURL"), true, &idle).await, "200");
    assert!(std::fs::read_to_string(path.join("answer")).unwrap().contains("RequestType"));
    let without = ask(text("ServerURL"), false, &idle).await;
    assert_eq!(without, "421", "without its certificate nobody is let in");
}
