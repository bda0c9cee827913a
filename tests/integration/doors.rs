//! The doors under load and malice: slow clients, large and many things, on real sockets; time is simulated, so that nobody
//! waits.

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use vppd::clock::Clock;

use crate::support::*;

/// Certificates are judged by the simulated clock.
struct At(Clock);

impl std::fmt::Debug for At {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("At")
    }
}

impl rustls::time_provider::TimeProvider for At {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_secs(self.0.now().as_second() as u64)))
    }
}

/// A TLS connection to the device listener.
async fn tls(app: &App, protocol: &[u8]) -> TlsStream<TcpStream> {
    let mut roots = rustls::RootCertStore::empty();
    for anchor in app.context.keys.anchors.load().iter() {
        roots.add(CertificateDer::from(anchor.clone())).unwrap();
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ClientConfig::builder_with_details(provider, Arc::new(At(app.clock.clone())))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![protocol.to_vec()];
    let stream = TcpStream::connect(app.address).await.unwrap();
    TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("localhost").unwrap(), stream).await.unwrap()
}

/// Sends `piece` every second until the other side closes; what it said, and how many seconds it took.
async fn dribble(app: &App, mut stream: impl AsyncRead + AsyncWrite + Unpin, piece: &[u8]) -> (String, i64) {
    let (start, mut said) = (app.clock.now(), Vec::new());
    for _ in 0..1000 {
        let mut more = [0; 4096];
        tokio::select! {
            biased;
            read = stream.read(&mut more) => match read {
                Ok(0) | Err(_) => break,
                Ok(length) => said.extend_from_slice(&more[..length]),
            },
            () = app.wait(Duration::from_secs(1)) => if !piece.is_empty() { let _ = stream.write_all(piece).await; },
        }
    }
    let seconds = app.clock.now().duration_since(start).as_secs();
    (String::from_utf8_lossy(&said).into_owned(), seconds)
}

#[test]
fn slow_clients_do_not_hold_their_places() {
    story(|clock| async move {
        let app = App::start(clock, &[]).await;
        let (_, seconds) = dribble(&app, TcpStream::connect(app.address).await.unwrap(), b"").await;
        assert!((10..=11).contains(&seconds), "silent before the handshake: {seconds}");
        // One byte of a record that announces 512.
        let mut half = TcpStream::connect(app.address).await.unwrap();
        half.write_all(&[22, 3, 1, 2, 0]).await.unwrap();
        let (_, seconds) = dribble(&app, half, &[1]).await;
        assert!((10..=11).contains(&seconds), "dribbling its handshake: {seconds}");

        for protocol in [&b"http/1.1"[..], b"h2"] {
            let (_, seconds) = dribble(&app, tls(&app, protocol).await, b"").await;
            assert!((10..=21).contains(&seconds), "silent after the handshake: {seconds}");
        }
        let mut headers = tls(&app, b"http/1.1").await;
        headers.write_all(b"PUT /mdm HTTP/1.1\r\nhost: localhost\r\n").await.unwrap();
        let (_, seconds) = dribble(&app, headers, b"x-more: 1\r\n").await;
        assert!((10..=21).contains(&seconds), "dribbling its headers: {seconds}");

        let mut body = tls(&app, b"http/1.1").await;
        let head = "PUT /mdm HTTP/1.1\r\nhost: localhost\r\nmdm-signature: AAAA\r\ncontent-length: 100000\r\n\r\n";
        body.write_all(head.as_bytes()).await.unwrap();
        let (said, seconds) = dribble(&app, body, b"<").await;
        assert!(said.starts_with("HTTP/1.1 503"), "{said}");
        assert!((30..=41).contains(&seconds), "dribbling its body: {seconds}");

        let mut idle = tls(&app, b"http/1.1").await;
        idle.write_all(b"GET /scep?operation=GetCACaps HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
        let (said, seconds) = dribble(&app, idle, b"").await;
        assert!(said.starts_with("HTTP/1.1 200") && said.contains("SHA-256"), "{said}");
        assert!((60..=131).contains(&seconds), "idle: {seconds}");
    });
}

/// The first line of the answer to a request of HTTP/1.1.
async fn ask(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), request: &[u8]) -> String {
    // The server may answer and close before it has read everything.
    let _ = stream.write_all(request).await;
    let mut said = Vec::new();
    while !said.ends_with(b"\r\n\r\n") && stream.read_buf(&mut said).await.is_ok_and(|length| length > 0) {}
    String::from_utf8_lossy(&said).lines().next().unwrap_or_default().to_owned()
}

#[test]
fn large_things_are_refused_by_their_size() {
    story(|clock| async move {
        let app = App::start(clock, &[]).await;
        let sized = |method: &str, path: &str, size: usize| {
            let head =
                format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\nmdm-signature: AAAA\r\ncontent-length: ");
            let mut request = format!("{head}{size}\r\nconnection: close\r\n\r\n").into_bytes();
            request.resize(request.len() + size, b'a');
            request
        };
        for (method, path, size, status) in [
            ("PUT", "/checkin", 4 * 1024 * 1024, 400),
            ("PUT", "/checkin", 4 * 1024 * 1024 + 1, 413),
            ("PUT", "/mdm", 4 * 1024 * 1024, 400),
            ("PUT", "/mdm", 4 * 1024 * 1024 + 1, 413),
            ("POST", "/scep?operation=PKIOperation", 64 * 1024, 400),
            ("POST", "/scep?operation=PKIOperation", 64 * 1024 + 1, 413),
        ] {
            let answer = ask(&mut tls(&app, b"http/1.1").await, &sized(method, path, size)).await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{path} with {size}: {answer}");
        }
        let get =
            |more: String| format!("GET /scep?operation=GetCACaps HTTP/1.1\r\nhost: a\r\n{more}\r\n").into_bytes();
        for (more, status) in [
            ("x: 1\r\n".repeat(60), 200),
            ("x: 1\r\n".repeat(70), 431),
            (format!("x: {}\r\n", "a".repeat(60_000)), 200),
            (format!("x: {}\r\n", "a".repeat(70_000)), 431),
        ] {
            let length = more.len();
            let answer = ask(&mut tls(&app, b"http/1.1").await, &get(more)).await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{length} bytes of headers: {answer}");
        }
    });
}

#[test]
fn one_address_cannot_take_all_places() {
    story(|clock| async move {
        let edit = |text| in_devices(text, "max-connections-per-address = 3");
        let app = App::start_with(clock, &[], edit).await;
        let mut held = Vec::new();
        for _ in 0..3 {
            held.push(tls(&app, b"http/1.1").await);
        }
        let before = app.clock.now();
        let mut fourth = TcpStream::connect(app.address).await.unwrap();
        assert!(matches!(fourth.read(&mut [0]).await, Ok(0) | Err(_)));
        assert_eq!(app.clock.now(), before, "closed at once");
        drop(held.pop());
        app.wait(Duration::from_secs(1)).await;
        let answer = ask(&mut tls(&app, b"http/1.1").await, b"GET /none HTTP/1.1\r\nhost: a\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 404"), "{answer}");
    });
}

#[test]
fn who_sends_wrong_certificate_requests_has_to_rest() {
    story(|clock| async move {
        let app = App::start(clock, &[]).await;
        let mut stream = tls(&app, b"http/1.1").await;
        let wrong = b"POST /scep?operation=PKIOperation HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\n\r\n0000";
        for number in 0..101 {
            assert!(ask(&mut stream, wrong).await.starts_with("HTTP/1.1 400"), "number {number}");
        }
        assert!(ask(&mut stream, wrong).await.starts_with("HTTP/1.1 429"));
        app.wait(Duration::from_secs(3)).await;
        assert!(ask(&mut stream, wrong).await.starts_with("HTTP/1.1 400"));
        let caps = b"GET /scep?operation=GetCACaps HTTP/1.1\r\nhost: a\r\n\r\n";
        assert!(ask(&mut stream, caps).await.starts_with("HTTP/1.1 200"), "the rest of the door stays open");
    });
}

/// A frame of HTTP/2.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

#[test]
fn http2_has_limits_and_reset_floods_end_the_connection() {
    story(|clock| async move {
        let app = App::start(clock, &[]).await;
        let mut stream = tls(&app, b"h2").await;
        stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
        stream.write_all(&frame(4, 0, 0, &[])).await.unwrap();
        let mut head = [0; 9];
        stream.read_exact(&mut head).await.unwrap();
        assert_eq!(head[3], 4, "settings come first");
        let mut settings = vec![0; usize::from(head[2])];
        stream.read_exact(&mut settings).await.unwrap();
        let setting = |id: u8| {
            let found = settings.chunks(6).find(|setting| setting[1] == id).unwrap();
            u32::from_be_bytes(found[2..].try_into().unwrap())
        };
        assert_eq!((setting(3), setting(6)), (16, 64 * 1024), "streams, header list");
        let request = [0x82, 0x84, 0x87, 0x41, 1, b'a'];
        let flood: Vec<u8> = (0..2000)
            .flat_map(|number| {
                let id = number * 2 + 1;
                [frame(1, 5, id, &request), frame(3, 0, id, &8u32.to_be_bytes())].concat()
            })
            .collect();
        let _ = stream.write_all(&flood).await;
        let mut said = Vec::new();
        let _ = stream.read_to_end(&mut said).await;
        let goaway = |bytes: &[u8]| bytes.get(3) == Some(&7);
        let mut rest = &said[..];
        while !goaway(rest) {
            let length = u32::from_be_bytes([0, rest[0], rest[1], rest[2]]) as usize;
            rest = rest.get(9 + length..).expect("no GOAWAY");
        }
        assert_eq!(rest[16], 11, "ENHANCE_YOUR_CALM");
    });
}

/// What `openssl s_client` says to a connection with these options; `None` when there is no handshake.
async fn s_client(app: &App, options: &str) -> Option<String> {
    let command = format!("s_client -connect {} -servername {options}", app.address);
    let run = move || Command::new("openssl").args(command.split(' ')).stdin(std::process::Stdio::null()).output();
    let output = tokio::task::spawn_blocking(run).await.unwrap().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.starts_with("CONNECTED"), "{options}: {}", String::from_utf8_lossy(&output.stderr));
    (!said.contains("Cipher is (NONE)")).then_some(said)
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_is_what_a_current_guide_asks_for() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let edit = |text| in_devices(text, &format!("client-certificate-name = \"{SECOND_NAME}\""));
    let app = App::start_with(Clock::real(), &[], edit).await;
    for old in ["-tls1", "-tls1_1"] {
        assert_eq!(s_client(&app, &format!("localhost {old} -cipher ALL:@SECLEVEL=0")).await, None, "{old}");
    }
    for weak in ["ECDHE-ECDSA-AES128-SHA256", "ECDHE-ECDSA-AES128-SHA", "kRSA", "DHE", "aNULL", "eNULL"] {
        assert_eq!(s_client(&app, &format!("localhost -tls1_2 -cipher {weak}:@SECLEVEL=0")).await, None, "{weak}");
    }
    for strong in ["ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305"] {
        let said = s_client(&app, &format!("localhost -tls1_2 -cipher {strong}")).await.unwrap();
        assert!(said.contains("TLSv1.2") && said.contains(strong), "{said}");
        assert!(said.contains("Secure Renegotiation IS supported") && said.contains("Compression: NONE"), "{said}");
    }
    let said = s_client(&app, "localhost -tls1_3").await.unwrap();
    assert!(said.contains("TLSv1.3") && said.contains("No client certificate CA names sent"), "{said}");
    for version in ["-tls1_2", "-tls1_3"] {
        let said = s_client(&app, &format!("{SECOND_NAME} {version}")).await.unwrap();
        assert!(said.contains("Acceptable client certificate CA names"), "{said}");
        assert!(said.contains("device authority"), "{said}");
    }
}

/// What the control socket says to these bytes, and after how many seconds it closes.
async fn tell(app: &App, bytes: &[u8]) -> (String, i64) {
    let mut stream = UnixStream::connect(&app.context.config().server.control_socket).await.unwrap();
    let _ = stream.write_all(bytes).await;
    dribble(app, stream, b"").await
}

#[test]
fn the_control_socket_answers_nonsense_in_json_and_lets_nobody_dawdle() {
    use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
    story(|clock| async move {
        let app = App::start(clock, &[]).await;
        let meta = std::fs::metadata(&app.context.config().server.control_socket).unwrap();
        assert!(meta.file_type().is_socket());
        assert_eq!((meta.permissions().mode() & 0o777, meta.gid()), (0o660, 0), "the group in the settings is root");
        let request = |line: &str, body: &str| {
            format!("{line} HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len())
        };
        let deep = "[".repeat(100_000);
        let large = format!("{{\"name\":\"{}\"}}", "a".repeat(300_000));
        for (bytes, code) in [
            ("hello\n".to_owned(), "not-http"),
            ("{\"status\": true}\n".to_owned(), "not-http"),
            ("\u{0}\u{1}\u{2}\n".to_owned(), "not-http"),
            ("a".repeat(70_000), "not-http"),
            (request("GET /v1/nothing", ""), "not-found"),
            (request("DELETE /v1/status", ""), "method"),
            (request("POST /v1/tokens", "no json"), "request"),
            (request("POST /v1/tokens", "[1, 2]"), "request"),
            (request("POST /v1/tokens", &deep), "request"),
            (request("POST /v1/tokens", &large), "too-large"),
            (request("GET /v1/devices/%ff", ""), "request"),
        ] {
            let (said, _) = tell(&app, bytes.as_bytes()).await;
            let shown: String = bytes.chars().take(40).collect();
            let body = said.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{shown}: {said}")).1;
            let json: serde_json::Value =
                serde_json::from_str(body.trim()).unwrap_or_else(|_| panic!("{shown}: {said}"));
            assert_eq!(json["error"]["code"], code, "{shown}: {said}");
            assert!(json["error"]["message"].as_str().is_some_and(|message| message.len() > 10), "{shown}: {said}");
        }
        let (said, seconds) = tell(&app, b"").await;
        assert_eq!((said.as_str(), seconds), ("", 10), "a silent peer");
        let (_, seconds) = tell(&app, b"GET /v1/status HTTP/1.1\r\nx-never: ").await;
        assert!((10..=21).contains(&seconds), "endless headers: {seconds}");
        let (said, seconds) = tell(&app, b"POST /v1/tokens HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\n{").await;
        assert!(said.starts_with("HTTP/1.1 503") && said.contains("too-slow"), "{said}");
        assert!((300..=321).contains(&seconds), "endless body: {seconds}");
        let (said, _) = tell(&app, request("GET /v1/status", "").as_bytes()).await;
        assert!(said.starts_with("HTTP/1.1 200"), "service goes on: {said}");
    });
}
