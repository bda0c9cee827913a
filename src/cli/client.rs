//! Talks HTTP to the control socket: one connection for each request, JSON both ways. Knows no view; the subcommands say
//! what they expect. Keeps and logs no body: requests may hold content tokens, answers enrolment challenges.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use crate::clock::Clock;
use crate::operations::view::{ErrorBody, ErrorView};

/// The daemon asks Apple before it answers some requests, and Apple may be slow.
const PATIENCE: Duration = Duration::from_secs(300);

/// Far more than the largest fleet needs.
const LARGEST_ANSWER: usize = 512 << 20;

pub(super) struct Client {
    socket: PathBuf,
    group: String,
    clock: Clock,
}

/// An answer of the daemon, as it came.
pub(super) struct Answer(Bytes);

#[derive(Debug, thiserror::Error)]
pub(super) enum ClientError {
    #[error("vppd is not running, or listens elsewhere: there is no control socket {0}")]
    NoSocket(PathBuf),
    #[error("vppd is not running: nobody answers at the control socket {0}")]
    NobodyListens(PathBuf),
    #[error("you may not use the control socket {socket}")]
    Denied { socket: PathBuf, group: String },
    #[error("cannot reach vppd at {socket}: {error}")]
    Unreachable { socket: PathBuf, error: io::Error },
    #[error("vppd has closed the connection before it had answered: {0}")]
    BrokenOff(String),
    #[error("vppd has not answered within {} seconds", PATIENCE.as_secs())]
    Silent,
    #[error("{}", .0.message)]
    Refused(ErrorView),
    #[error("vppd has answered in a way that this command does not understand ({0})")]
    NotUnderstood(String),
}

impl ClientError {
    /// What the person can do; may be empty.
    pub fn advice(&self) -> String {
        match self {
            ClientError::NoSocket(_) | ClientError::NobodyListens(_) => {
                "See `systemctl status vppd`; start it with `systemctl start vppd`. If it uses another socket, name it \
                 with --socket, or its settings file with --config."
                    .to_owned()
            }
            ClientError::Denied { group, .. } => format!(
                "Run the command as root, or become a member of the group {group} (`adduser NAME {group}`) and sign in again."
            ),
            ClientError::BrokenOff(_) => "See `journalctl -u vppd`, then look with `vppd status`.".to_owned(),
            ClientError::Silent => "The request may still be carried out: look with `vppd status`.".to_owned(),
            ClientError::NotUnderstood(_) => {
                "The running daemon and this command may differ in version: compare `vppd --version` and `vppd status`, \
                 and restart vppd after an upgrade."
                    .to_owned()
            }
            ClientError::Refused(error) => error.advice.clone(),
            ClientError::Unreachable { .. } => String::new(),
        }
    }
}

impl Client {
    /// `group` is whose members may use `socket`, for the advice only.
    pub fn new(socket: PathBuf, group: String, clock: Clock) -> Client {
        Client { socket, group, clock }
    }

    /// `path` begins with `/v1/`; outside text in it goes through [`segment`].
    pub async fn get(&self, path: &str) -> Result<Answer, ClientError> {
        self.call(Method::GET, path, Bytes::new()).await
    }

    pub async fn post(&self, path: &str, body: &impl Serialize) -> Result<Answer, ClientError> {
        let body = serde_json::to_vec(body).map_err(|error| ClientError::NotUnderstood(error.to_string()))?;
        self.call(Method::POST, path, body.into()).await
    }

    pub async fn delete_with(&self, path: &str, body: &impl Serialize) -> Result<Answer, ClientError> {
        let body = serde_json::to_vec(body).map_err(|error| ClientError::NotUnderstood(error.to_string()))?;
        self.call(Method::DELETE, path, body.into()).await
    }

    pub async fn delete(&self, path: &str) -> Result<Answer, ClientError> {
        self.call(Method::DELETE, path, Bytes::new()).await
    }

    async fn call(&self, method: Method, path: &str, body: Bytes) -> Result<Answer, ClientError> {
        self.clock.timeout(PATIENCE, self.exchange(method, path, body)).await.unwrap_or(Err(ClientError::Silent))
    }

    async fn exchange(&self, method: Method, path: &str, body: Bytes) -> Result<Answer, ClientError> {
        let stream = UnixStream::connect(&self.socket).await.map_err(|error| self.not_connected(error))?;
        let broken = |error: hyper::Error| ClientError::BrokenOff(error.to_string());
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
        let mut request = Request::builder().method(method).uri(path).header(HOST, "localhost");
        if !body.is_empty() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let request = request.body(Full::new(body)).map_err(|error| ClientError::NotUnderstood(error.to_string()))?;
        let answer = async {
            let (head, body) = sender.send_request(request).await.map_err(broken)?.into_parts();
            let body = Limited::new(body, LARGEST_ANSWER).collect().await;
            let body = body.map_err(|error| ClientError::BrokenOff(error.to_string()))?.to_bytes();
            Ok((head.status, body))
        };
        // The connection ends by itself once the answer is complete; until then it must be driven.
        let (status, body) = tokio::select! {
            answer = answer => answer?,
            Err(error) = connection => return Err(broken(error)),
        };
        understand(status, body)
    }

    fn not_connected(&self, error: io::Error) -> ClientError {
        let socket = self.socket.clone();
        match error.kind() {
            io::ErrorKind::NotFound => ClientError::NoSocket(socket),
            io::ErrorKind::ConnectionRefused => ClientError::NobodyListens(socket),
            io::ErrorKind::PermissionDenied => ClientError::Denied { socket, group: self.group.clone() },
            _ => ClientError::Unreachable { socket, error },
        }
    }
}

fn understand(status: StatusCode, body: Bytes) -> Result<Answer, ClientError> {
    if status.is_success() {
        return Ok(Answer(body));
    }
    match serde_json::from_slice::<ErrorBody>(&body) {
        Ok(body) => Err(ClientError::Refused(body.error)),
        Err(_) => Err(ClientError::NotUnderstood(format!("status {status} without an explanation"))),
    }
}

impl Answer {
    /// The answer as a view.
    pub fn view<T: DeserializeOwned>(&self) -> Result<T, ClientError> {
        // serde names the field and the place, never the value of a text.
        serde_json::from_slice(&self.0).map_err(|error| ClientError::NotUnderstood(error.to_string()))
    }

    /// The answer as it came.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The answer as JSON; `null` when it is empty.
    pub fn json(&self) -> Result<serde_json::Value, ClientError> {
        if self.0.is_empty() { Ok(serde_json::Value::Null) } else { self.view() }
    }
}

/// Outside text as one segment of a path.
pub(super) fn segment(text: &str) -> String {
    let mut segment = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => segment.push(char::from(byte)),
            _ => segment.push_str(&format!("%{byte:02X}")),
        }
    }
    segment
}
