//! The load generator: connections that stay open, and requests that were made before the clock starts.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::HeaderValue;
use hyper_util::rt::TokioIo;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

/// Connections at once: enough that a server always has something to do, and that many devices share one disk flush.
pub const CONNECTIONS: usize = 64;

/// How long each measurement of requests takes.
const DURATION: Duration = Duration::from_secs(3);

/// A server on this machine.
#[derive(Clone)]
pub struct Target {
    pub port: u16,
    tls: TlsConnector,
}

impl Target {
    /// `anchors` (DER) are trusted.
    pub fn new(port: u16, anchors: &[Vec<u8>]) -> anyhow::Result<Target> {
        let mut roots = rustls::RootCertStore::empty();
        for anchor in anchors {
            roots.add(CertificateDer::from(anchor.clone()))?;
        }
        let mut config = rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Target { port, tls: Arc::new(config).into() })
    }

    /// Opens a connection.
    pub async fn connect(&self) -> anyhow::Result<Connection> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).await?;
        stream.set_nodelay(true)?;
        let stream = self.tls.connect(ServerName::try_from("localhost")?, stream).await?;
        let (sender, driver) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(driver);
        Ok(Connection(sender))
    }

    async fn connect_all(&self) -> anyhow::Result<Vec<Connection>> {
        let mut all = Vec::with_capacity(CONNECTIONS);
        for _ in 0..CONNECTIONS {
            all.push(self.connect().await?);
        }
        Ok(all)
    }
}

/// A signed message of a device, ready to be sent any number of times.
#[derive(Clone)]
pub struct Message {
    pub path: &'static str,
    pub signature: HeaderValue,
    pub body: Bytes,
}

/// One open connection.
pub struct Connection(SendRequest<Full<Bytes>>);

impl Connection {
    /// Sends a message; the body of the answer, which has to be a 200.
    pub async fn send(&mut self, message: &Message) -> anyhow::Result<Bytes> {
        let mut request = hyper::Request::put(message.path).body(Full::new(message.body.clone()))?;
        let headers = request.headers_mut();
        headers.insert("host", HeaderValue::from_static("localhost"));
        headers.insert("content-type", HeaderValue::from_static("application/x-apple-aspen-mdm; charset=UTF-8"));
        headers.insert("mdm-signature", message.signature.clone());
        self.0.ready().await?;
        let (head, body) = self.0.send_request(request).await?.into_parts();
        ensure!(head.status == hyper::StatusCode::OK, "{} was answered with {}", message.path, head.status);
        Ok(body.collect().await?.to_bytes())
    }
}

/// How many requests came through in which time.
#[derive(Debug, Clone, Copy)]
pub struct Throughput {
    pub requests: u64,
    pub took: Duration,
}

/// Sends these messages again and again for [`DURATION`]; each has to be answered with an empty 200.
pub async fn repeat(target: &Target, messages: &Arc<[Message]>) -> anyhow::Result<Throughput> {
    let connections = target.connect_all().await?;
    let start = Instant::now();
    let mut running = JoinSet::new();
    for (place, mut connection) in connections.into_iter().enumerate() {
        let messages = messages.clone();
        running.spawn(async move {
            let mut sent = 0;
            for message in messages.iter().cycle().skip(place * messages.len() / CONNECTIONS) {
                if start.elapsed() >= DURATION {
                    break;
                }
                let answer = connection.send(message).await?;
                ensure!(answer.is_empty(), "an empty answer was expected: {}", String::from_utf8_lossy(&answer));
                sent += 1;
            }
            anyhow::Ok(sent)
        });
    }
    finish(running, start).await
}

/// What a device says when it is woken, and its answers to the commands that wait for it, by their uuid.
pub struct Talk {
    pub idle: Message,
    pub answers: HashMap<String, Message>,
}

/// Lets devices fetch and answer all their commands; counts the answers. Each answer fetches the next command.
pub async fn answer_all(target: &Target, talks: Vec<Talk>) -> anyhow::Result<Throughput> {
    let connections = target.connect_all().await?;
    let talks = Arc::new(talks);
    let start = Instant::now();
    let mut running = JoinSet::new();
    for (place, mut connection) in connections.into_iter().enumerate() {
        let talks = talks.clone();
        running.spawn(async move {
            let mut answered = 0;
            for talk in talks.iter().skip(place).step_by(CONNECTIONS) {
                let mut command = connection.send(&talk.idle).await?;
                let before = answered;
                while !command.is_empty() {
                    let answer = command_uuid(&command).and_then(|uuid| talk.answers.get(uuid));
                    command = connection.send(answer.context("an unexpected command came")?).await?;
                    answered += 1;
                }
                let expected = talk.answers.len() as u64;
                ensure!(answered - before == expected, "{} commands came instead of {expected}", answered - before);
            }
            anyhow::Ok(answered)
        });
    }
    finish(running, start).await
}

async fn finish(mut running: JoinSet<anyhow::Result<u64>>, start: Instant) -> anyhow::Result<Throughput> {
    let mut requests = 0;
    while let Some(done) = running.join_next().await {
        requests += done??;
    }
    Ok(Throughput { requests, took: start.elapsed() })
}

/// The uuid in a command, as vppd writes it.
pub fn command_uuid(command: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(command).ok()?;
    let (_, rest) = text.split_once("<key>CommandUUID</key>")?;
    Some(rest.split_once("<string>")?.1.split_once("</string>")?.0)
}
