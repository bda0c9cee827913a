//! `/acme/…` on the device listener: ACME (RFC 8555) for devices whose hardware attests their key. What is asked for, and by
//! whom it is signed, is looked at here; what is granted, in the operations.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Value, json};

use super::caller::Caller;
use super::refusals::Refusals;
use super::request::Room;
use crate::mdm::identity::acme::jws::{Jwk, Message};
use crate::mdm::identity::acme::{CHALLENGE, IDENTIFIER, MESSAGE_LIMIT};
use crate::operations::acme::{self, Problem};
use crate::operations::{OperationError, Shared};
use crate::store::acme::{Order, OrderState};

/// Nonces, and identifiers of orders, that are remembered at most.
const REMEMBERED: usize = 10_000;

const NONCE: &str = "replay-nonce";

#[derive(Clone)]
struct Door {
    context: Shared,
    room: Room,
    refusals: Arc<Refusals>,
    memory: Arc<Mutex<Memory>>,
}

/// What is given out and may come back. Lost with a restart: then a client is told to take a new nonce.
#[derive(Default)]
struct Memory {
    nonces: HashSet<String>,
    in_order: VecDeque<String>,
    /// What the order with this id named: a secret, which is kept nowhere else.
    identifiers: HashMap<String, String>,
}

impl Memory {
    fn give(&mut self, nonce: String) -> String {
        if self.in_order.len() >= REMEMBERED
            && let Some(oldest) = self.in_order.pop_front()
        {
            self.nonces.remove(&oldest);
        }
        self.nonces.insert(nonce.clone());
        self.in_order.push_back(nonce.clone());
        nonce
    }

    fn name(&mut self, order: String, identifier: String) {
        if self.identifiers.len() >= REMEMBERED {
            self.identifiers.clear();
        }
        self.identifiers.insert(order, identifier);
    }
}

/// The routes.
pub fn router<S>(context: Shared, room: Room, refusals: Arc<Refusals>) -> Router<S> {
    let door = Door { context, room, refusals, memory: Arc::default() };
    Router::new()
        .route("/acme/directory", get(directory))
        .route("/acme/new-nonce", get(new_nonce).head(new_nonce))
        .route("/acme/new-account", post(new_account))
        .route("/acme/new-order", post(new_order))
        .route("/acme/account/{id}", post(account))
        .route("/acme/order/{id}", post(order))
        .route("/acme/authorisation/{id}", post(authorisation))
        .route("/acme/challenge/{id}", post(challenge))
        .route("/acme/finalize/{id}", post(finalize))
        .route("/acme/certificate/{id}", post(certificate))
        .with_state(door)
}

impl Door {
    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn nonce(&self) -> HeaderValue {
        let nonce = self.memory().give(self.context.entropy.secret_text());
        HeaderValue::from_str(&nonce).unwrap_or(HeaderValue::from_static(""))
    }

    fn url(&self, path: &str) -> String {
        format!("{}/acme/{path}", self.context.config().devices.url)
    }

    /// Every answer carries a nonce for the next message, and is kept by nobody on the way.
    fn answer(&self, answer: impl IntoResponse) -> Response {
        let mut response = answer.into_response();
        response.headers_mut().insert(NONCE, self.nonce());
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }

    /// Never 401 or 403: a device comes here, too.
    fn problem(&self, problem: &Problem) -> Response {
        log::warn!("a message to ACME was refused: {} ({})", problem.detail, problem.kind);
        let status = match problem.kind {
            "serverInternal" => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::BAD_REQUEST,
        };
        let body = json!({
            "type": format!("urn:ietf:params:acme:error:{}", problem.kind),
            "detail": problem.detail,
            "status": status.as_u16(),
        });
        self.answer((status, [(header::CONTENT_TYPE, "application/problem+json")], body.to_string()))
    }

    fn trouble(&self, error: &OperationError) -> Response {
        log::error!("a message to ACME could not be handled: {error}");
        self.problem(&Problem { kind: "serverInternal", detail: "a fault of the server; try again".into() })
    }

    fn order_view(&self, order: &Order) -> Value {
        let value = self.memory().identifiers.get(&order.id).cloned().unwrap_or_default();
        let mut view = json!({
            "status": order.state.word(),
            "expires": acme::expires(order).to_string(),
            "identifiers": [{ "type": IDENTIFIER, "value": value }],
            "authorizations": [self.url(&format!("authorisation/{}", order.id))],
            "finalize": self.url(&format!("finalize/{}", order.id)),
        });
        if order.certificate.is_some() {
            view["certificate"] = self.url(&format!("certificate/{}", order.id)).into();
        }
        if order.state == OrderState::Invalid {
            view["error"] = attestation_problem(order);
        }
        view
    }

    fn challenge_view(&self, order: &Order) -> Value {
        let status = match order.state {
            OrderState::Pending => "pending",
            OrderState::Ready | OrderState::Valid => "valid",
            OrderState::Invalid => "invalid",
        };
        let url = self.url(&format!("challenge/{}", order.id));
        let mut view = json!({ "type": CHALLENGE, "url": url, "status": status, "token": order.token });
        if order.state == OrderState::Invalid {
            view["error"] = attestation_problem(order);
        }
        view
    }
}

fn attestation_problem(order: &Order) -> Value {
    json!({
        "type": "urn:ietf:params:acme:error:badAttestationStatement",
        "detail": order.problem,
        "status": StatusCode::BAD_REQUEST.as_u16(),
    })
}

async fn directory(State(door): State<Door>) -> Response {
    if !acme::is_on(&door.context) {
        return StatusCode::NOT_FOUND.into_response();
    }
    Json(json!({
        "newNonce": door.url("new-nonce"),
        "newAccount": door.url("new-account"),
        "newOrder": door.url("new-order"),
    }))
    .into_response()
}

async fn new_nonce(State(door): State<Door>, request: Request) -> Response {
    let status = if request.method() == axum::http::Method::HEAD { StatusCode::OK } else { StatusCode::NO_CONTENT };
    door.answer(status)
}

type From = Option<Extension<Caller>>;

/// A message whose sender is proved.
struct Opened {
    payload: Vec<u8>,
    key: Jwk,
    /// Empty while the sender has none.
    account: String,
}

/// Reads a message, and proves who sent it and that it is for this address and new.
async fn open(door: &Door, from: &From, path: &str, body: Body, new: bool) -> Result<Opened, Response> {
    if !acme::is_on(&door.context) {
        return Err(StatusCode::NOT_FOUND.into_response());
    }
    let neighbour = from.as_ref().map(|Extension(caller)| caller.neighbour);
    if let Some(seconds) = neighbour.and_then(|neighbour| door.refusals.rest(&neighbour)) {
        return Err((StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, seconds.to_string())]).into_response());
    }
    let opened = read(door, path, body, new).await;
    if opened.is_err()
        && let Some(neighbour) = neighbour
    {
        door.refusals.note(neighbour);
    }
    opened
}

async fn read(door: &Door, path: &str, body: Body, new: bool) -> Result<Opened, Response> {
    let refuse = |kind, detail: String| door.problem(&Problem { kind, detail });
    let body = door.room.read(body, MESSAGE_LIMIT).await.map_err(|error| error.status().into_response())?;
    let message = Message::read(&body.bytes).map_err(|error| refuse("malformed", error.to_string()))?;
    if message.header.url != door.url(path) {
        return Err(refuse("malformed", "the message is for another address".into()));
    }
    let (key, account) = match (&message.header.jwk, &message.header.kid) {
        (Some(key), None) if new => (key.clone(), String::new()),
        (None, Some(kid)) if !new => {
            let id = kid.strip_prefix(&door.url("account/")).unwrap_or_default().to_owned();
            let key = acme::key(&door.context, id.clone()).await.map_err(|error| door.trouble(&error))?;
            (key.ok_or_else(|| refuse("accountDoesNotExist", "there is no such account".into()))?, id)
        }
        _ => {
            return Err(refuse(
                "malformed",
                "an account is named by its key when it is new, and then by its address".into(),
            ));
        }
    };
    message.verify(&key).map_err(|error| refuse("malformed", error.to_string()))?;
    if !door.memory().nonces.remove(&message.header.nonce) {
        return Err(refuse("badNonce", "the nonce was used, or was never given".into()));
    }
    Ok(Opened { payload: message.payload, key, account })
}

fn payload<T: for<'de> Deserialize<'de>>(opened: &Opened) -> Result<T, Problem> {
    serde_json::from_slice(&opened.payload)
        .map_err(|_| Problem { kind: "malformed", detail: "the payload is not what this address takes".into() })
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct NewAccount {
    #[serde(default)]
    only_return_existing: bool,
}

async fn new_account(State(door): State<Door>, from: From, body: Body) -> Response {
    let opened = match open(&door, &from, "new-account", body, true).await {
        Ok(opened) => opened,
        Err(response) => return response,
    };
    let asked: NewAccount = match payload(&opened) {
        Ok(asked) => asked,
        Err(problem) => return door.problem(&problem),
    };
    let found = match asked.only_return_existing {
        true => acme::known_account(&door.context, &opened.key).await.map(|id| id.map(|id| (id, false))),
        false => acme::account(&door.context, &opened.key).await.map(Some),
    };
    match found {
        Ok(Some((id, new))) => {
            let status = if new { StatusCode::CREATED } else { StatusCode::OK };
            let location = door.url(&format!("account/{id}"));
            door.answer((status, [(header::LOCATION, location)], Json(json!({ "status": "valid" }))))
        }
        Ok(None) => door.problem(&Problem { kind: "accountDoesNotExist", detail: "this key has no account".into() }),
        Err(error) => door.trouble(&error),
    }
}

async fn account(State(door): State<Door>, from: From, Path(id): Path<String>, body: Body) -> Response {
    match open(&door, &from, &format!("account/{id}"), body, false).await {
        Ok(opened) if opened.account == id => door.answer(Json(json!({ "status": "valid" }))),
        Ok(_) => door.problem(&Problem { kind: "malformed", detail: "the account is another one's".into() }),
        Err(response) => response,
    }
}

#[derive(Deserialize)]
struct NewOrder {
    identifiers: Vec<Identifier>,
}

#[derive(Deserialize)]
struct Identifier {
    #[serde(rename = "type")]
    kind: String,
    value: String,
}

async fn new_order(State(door): State<Door>, from: From, body: Body) -> Response {
    let opened = match open(&door, &from, "new-order", body, false).await {
        Ok(opened) => opened,
        Err(response) => return response,
    };
    let asked: NewOrder = match payload(&opened) {
        Ok(asked) => asked,
        Err(problem) => return door.problem(&problem),
    };
    let named: Vec<(String, String)> = asked.identifiers.into_iter().map(|it| (it.kind, it.value)).collect();
    match acme::order(&door.context, opened.account, &named).await {
        Ok(Ok(order)) => {
            if let Some((_, value)) = named.into_iter().next() {
                door.memory().name(order.id.clone(), value);
            }
            let location = door.url(&format!("order/{}", order.id));
            door.answer((StatusCode::CREATED, [(header::LOCATION, location)], Json(door.order_view(&order))))
        }
        Ok(Err(problem)) => {
            if let Some(Extension(caller)) = &from {
                door.refusals.note(caller.neighbour);
            }
            door.problem(&problem)
        }
        Err(error) => door.trouble(&error),
    }
}

/// Answers about an order that is there.
fn about(
    door: &Door,
    found: Result<Result<Order, Problem>, OperationError>,
    view: impl FnOnce(&Door, &Order) -> Response,
) -> Response {
    match found {
        Ok(Ok(order)) => view(door, &order),
        Ok(Err(problem)) => door.problem(&problem),
        Err(error) => door.trouble(&error),
    }
}

fn shown(door: &Door, order: &Order) -> Response {
    let location = door.url(&format!("order/{}", order.id));
    door.answer(([(header::LOCATION, location)], Json(door.order_view(order))))
}

async fn order(State(door): State<Door>, from: From, Path(id): Path<String>, body: Body) -> Response {
    match open(&door, &from, &format!("order/{id}"), body, false).await {
        Ok(opened) => about(&door, acme::look(&door.context, opened.account, id).await, shown),
        Err(response) => response,
    }
}

async fn authorisation(State(door): State<Door>, from: From, Path(id): Path<String>, body: Body) -> Response {
    let opened = match open(&door, &from, &format!("authorisation/{id}"), body, false).await {
        Ok(opened) => opened,
        Err(response) => return response,
    };
    about(&door, acme::look(&door.context, opened.account, id).await, |door, order| {
        let challenge = door.challenge_view(order);
        let value = door.memory().identifiers.get(&order.id).cloned().unwrap_or_default();
        door.answer(Json(json!({
            "status": challenge["status"],
            "expires": acme::expires(order).to_string(),
            "identifier": { "type": IDENTIFIER, "value": value },
            "challenges": [challenge],
        })))
    })
}

#[derive(Deserialize)]
struct Brought {
    #[serde(rename = "attObj")]
    object: Option<String>,
}

async fn challenge(State(door): State<Door>, from: From, Path(id): Path<String>, body: Body) -> Response {
    let opened = match open(&door, &from, &format!("challenge/{id}"), body, false).await {
        Ok(opened) => opened,
        Err(response) => return response,
    };
    let found = match opened.payload.is_empty() {
        // Only asked how it stands.
        true => acme::look(&door.context, opened.account, id).await,
        false => {
            let brought: Brought = match payload(&opened) {
                Ok(brought) => brought,
                Err(problem) => return door.problem(&problem),
            };
            let object = brought.object.and_then(|text| URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok());
            acme::attest(&door.context, opened.account, id, &object.unwrap_or_default()).await
        }
    };
    about(&door, found, |door, order| {
        let up = format!("<{}>;rel=\"up\"", door.url(&format!("authorisation/{}", order.id)));
        let mut headers = HeaderMap::new();
        if let Ok(up) = HeaderValue::from_str(&up) {
            headers.insert(header::LINK, up);
        }
        door.answer((headers, Json(door.challenge_view(order))))
    })
}

#[derive(Deserialize)]
struct Finalize {
    csr: String,
}

async fn finalize(State(door): State<Door>, from: From, Path(id): Path<String>, body: Body) -> Response {
    let opened = match open(&door, &from, &format!("finalize/{id}"), body, false).await {
        Ok(opened) => opened,
        Err(response) => return response,
    };
    let asked: Finalize = match payload(&opened) {
        Ok(asked) => asked,
        Err(problem) => return door.problem(&problem),
    };
    let csr = URL_SAFE_NO_PAD.decode(asked.csr.trim_end_matches('=')).unwrap_or_default();
    about(&door, acme::finalize(&door.context, opened.account, id, &csr).await, shown)
}

async fn certificate(State(door): State<Door>, from: From, Path(id): Path<String>, body: Body) -> Response {
    let opened = match open(&door, &from, &format!("certificate/{id}"), body, false).await {
        Ok(opened) => opened,
        Err(response) => return response,
    };
    about(&door, acme::look(&door.context, opened.account, id).await, |door, order| match &order.certificate {
        Some(der) => {
            let chain = acme::chain(&door.context, der);
            door.answer(([(header::CONTENT_TYPE, "application/pem-certificate-chain")], chain))
        }
        None => door.problem(&Problem { kind: "orderNotReady", detail: "there is no certificate yet".into() }),
    })
}
