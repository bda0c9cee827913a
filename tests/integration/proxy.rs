//! vppd behind an HTTP proxy that is the only way out, in every mood that such a proxy has.

use std::sync::{Arc, Mutex};

use sandbox::{Sandbox, SandboxOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use vppd::apple::{AppleClient, ClientOptions, ContentToken, Location, Timeouts};
use vppd::clock::Clock;
use vppd::config;
use vppd::entropy::Entropy;
use vppd::operations::view::*;
use vppd::proxy::Proxy;
use vppd::web::tls::trusted_roots;

use crate::support::*;

const READER: &str = "1600000011";

/// `vppd:open sesame`
const RIGHT: &str = "Basic dnBwZDpvcGVuIHNlc2FtZQ==";

#[derive(Clone, Copy)]
enum Mood {
    /// Opens the way for whoever brings the right name and password.
    Asks,
    /// Answers with these bytes.
    Says(&'static str),
    /// Closes without a word.
    Hangs,
    /// Never answers.
    Silent,
}

/// The targets to which somebody wanted to go.
type Asked = Arc<Mutex<Vec<String>>>;

async fn proxy(mood: Mood) -> (String, Asked) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (url, asked) = (format!("http://{}", listener.local_addr().unwrap()), Asked::default());
    let kept = asked.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, mood, kept.clone()));
        }
    });
    (url, asked)
}

async fn serve(mut stream: TcpStream, mood: Mood, asked: Asked) {
    // Simulated time does not wait for delayed acknowledgements.
    stream.set_nodelay(true).unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let Ok(byte) = stream.read_u8().await else { return };
        head.push(byte);
    }
    let head = String::from_utf8(head).unwrap();
    let target = head.strip_prefix("CONNECT ").unwrap().split(' ').next().unwrap().to_owned();
    asked.lock().unwrap().push(target.clone());
    let name = head.lines().find_map(|line| line.strip_prefix("Proxy-Authorization: "));
    match mood {
        Mood::Asks if name == Some(RIGHT) => {
            let mut there = TcpStream::connect(target).await.unwrap();
            there.set_nodelay(true).unwrap();
            stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.unwrap();
            let _ = tokio::io::copy_bidirectional(&mut stream, &mut there).await;
        }
        Mood::Asks => {
            let answer = "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"x\"\r\n\r\n";
            let _ = stream.write_all(answer.as_bytes()).await;
        }
        Mood::Says(bytes) => {
            let _ = stream.write_all(bytes.as_bytes()).await;
        }
        Mood::Hangs => {}
        Mood::Silent => std::future::pending().await,
    }
}

fn keys(url: &str, password: &std::path::Path, more: &str) -> String {
    std::fs::write(password, "open sesame\n").unwrap();
    format!(
        "proxy = {url:?}\nproxy-user = \"vppd\"\nproxy-password-file = {:?}\n{more}",
        password.display().to_string()
    )
}

#[test]
fn everything_goes_through_a_proxy_that_asks_for_a_name() {
    story(|clock| async move {
        let (url, asked) = proxy(Mood::Asks).await;
        let folder = tempfile::tempdir().unwrap();
        let password = folder.path().join("password");
        let app = App::start_with(clock, &[(READER, 5)], |text| {
            let keys = keys(&url, &password, "");
            text.replace("[apple]\n", &format!("[apple]\n{keys}")).replace("[apns]\n", &format!("[apns]\n{keys}"))
        });
        let app = app.await;
        app.add_token("Leeds", false).await.unwrap();
        app.enrol(devices(0, 3)).await;
        app.deploy(READER, "all-devices", PurposeView::Required).await;
        app.wait(minutes(30)).await;
        assert_eq!(app.installed(READER).len(), 3);
        let asked = asked.lock().unwrap().clone();
        for service in [app.sandbox.apple_url(), app.sandbox.apns_url()] {
            let target = service.trim_start_matches("https://").split('/').next().unwrap().to_owned();
            assert!(asked.contains(&target), "{target} was called directly: {asked:?}");
        }
        app.assert_clean();
    });
}

#[test]
fn what_no_proxy_names_is_called_directly() {
    story(|clock| async move {
        let (url, asked) = proxy(Mood::Silent).await;
        let folder = tempfile::tempdir().unwrap();
        let password = folder.path().join("password");
        let app = App::start_with(clock, &[(READER, 5)], |text| {
            let keys = keys(&url, &password, "no-proxy = [\"127.0.0.1\", \"localhost\"]\n");
            text.replace("[apple]\n", &format!("[apple]\n{keys}"))
        });
        let app = app.await;
        app.add_token("Leeds", false).await.unwrap();
        assert_eq!(*asked.lock().unwrap(), Vec::<String>::new());
    });
}

/// What a call to Apple through this proxy fails with.
async fn failure(clock: &Clock, sandbox: &Sandbox, url: &str, password: Option<&str>) -> String {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    std::fs::write(&file, password.unwrap_or_default()).unwrap();
    let proxy = Proxy::load(&config::Proxy {
        url: url.to_owned(),
        user: "vppd".to_owned(),
        password_file: password.map(|_| file),
        exceptions: vec![],
    });
    let client = AppleClient::new(ClientOptions {
        base_url: sandbox.apple_url(),
        roots: trusted_roots(Some(&sandbox.ca_path())).unwrap(),
        proxy: Some(proxy.unwrap()),
        clock: clock.clone(),
        entropy: Entropy::seeded(3),
        user_agent: "vppd/test".into(),
        timeouts: Timeouts::default(),
        requests_per_second: 10,
    });
    let uid = sandbox.apple.add_location(sandbox::apple::NewLocation::default());
    let text = sandbox.apple.add_token(&uid, jiff::SignedDuration::from_hours(24)).unwrap();
    let token = Arc::new(ContentToken::from_file(text.as_bytes()).unwrap());
    let before = clock.now();
    let error = client.unwrap().client_config(&Location::new("x", token)).await.unwrap_err().to_string();
    let took = clock.now().duration_since(before);
    assert!(took < jiff::SignedDuration::from_mins(10), "{error} after {took}");
    assert!(!error.contains("sesame") && !error.contains("dnBw"), "{error}");
    error
}

#[test]
fn each_way_in_which_a_proxy_fails_is_told_apart_and_nothing_is_sent() {
    story(|clock| async move {
        let folder = tempfile::tempdir().unwrap();
        let sandbox = Sandbox::start(SandboxOptions::local(shared(&clock), folder.path())).await.unwrap();
        let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let right = Some("open sesame");
        let forbidden = Mood::Says("HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n");
        for (mood, password, says) in [
            (Mood::Asks, None, "wants a user name and a password: set proxy-user"),
            (Mood::Asks, Some("wrong"), "does not accept the user name and password"),
            (forbidden, right, "opens no way to 127.0.0.1:"),
            (Mood::Says("SSH-2.0-OpenSSH_9.9\r\n"), right, "or it is no HTTP proxy"),
            (Mood::Hangs, right, "broke off before it had opened a way"),
            (Mood::Silent, right, "cannot be reached"),
        ] {
            let (url, _) = proxy(mood).await;
            let error = failure(&clock, &sandbox, &url, password).await;
            assert!(error.contains(says), "{error}");
        }
        let error = failure(&clock, &sandbox, &format!("http://{nobody}"), right).await;
        assert!(error.contains(&format!("the proxy {nobody} cannot be reached: Connection refused")), "{error}");
        assert!(sandbox.apple.calls().is_empty(), "nothing reached Apple");
    });
}
