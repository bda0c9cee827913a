//! The device listener: `PUT /checkin`, `PUT /mdm` (Apple: Check-in, Commands), `/scep` and `/acme`; and, for people, the pages
//! of [`enrolment`].
//!
//! A message proves who sent it by its `Mdm-Signature`, or by the TLS client certificate of the connection on which it
//! came (of that to a proxy that the settings trust: `proxied`); if it brings both, both must be the same. No answer makes a device drop its enrolment ([`dismissal`]): what
//! cannot be accepted is 400, trouble of ours is 500 or 503.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, Request, State};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use axum::{Extension, Router};
use serde::Deserialize;
use tower_http::catch_panic::CatchPanicLayer;

use super::caller::Caller;
use super::enrolment;
use super::refusals::Refusals;
use super::request::{Received, Room, in_time};
use super::{dismissal, proxied};
use crate::mdm::checkin::Checkin;
use crate::mdm::identity::scep;
use crate::mdm::identity::signature::{SignerCertificate, verify_message};
use crate::mdm::report::Report;
use crate::operations::checkin::Answer;
use crate::operations::enrol::{ScepAnswer, accepted_in_scep};
use crate::operations::report::Next;
use crate::operations::{OperationError, Shared, checkin, enrol, report};

/// The greatest check-in message: usual ones have some kilobytes, status reports of many apps a hundred and more.
const LARGEST_CHECK_IN: usize = 4 * 1024 * 1024;

/// The greatest message of the command channel: inventories of many apps.
const LARGEST_REPORT: usize = 4 * 1024 * 1024;

/// A signature with a chain of certificates.
const LARGEST_SIGNATURE: usize = 32 * 1024;

const CHECK_IN: &str = "check-in";
const COMMANDS: &str = "the command channel";
const SCEP: &str = "SCEP";

/// What the routes share.
#[derive(Clone)]
struct Door {
    context: Shared,
    room: Room,
    refusals: Arc<Refusals>,
}

/// The routes of the device listener.
pub fn router(context: Shared) -> Router {
    let limit = (context.clock.clone(), context.config().devices.request_timeout);
    let door = Door { room: Room::default(), refusals: Arc::new(Refusals::new(context.clock.clone())), context };
    let acme = super::acme::router(door.context.clone(), door.room.clone(), door.refusals.clone());
    Router::new()
        .merge(acme)
        .route("/checkin", put(check_in))
        .route("/mdm", put(command))
        .route("/scep", get(scep_get).post(scep_post))
        .merge(enrolment::routes(door.context.clone(), door.room.clone()))
        .layer(CatchPanicLayer::new())
        .layer(axum::middleware::from_fn_with_state(limit, in_time))
        .layer(axum::middleware::map_response(dismissal::never))
        .with_state(door)
}

/// A message and who proved to have sent it.
struct Message {
    body: Received,
    signer: SignerCertificate,
}

/// Reads a message of at most `limit` bytes and the proof of its sender. Who brings no proof is refused before a byte of
/// the body is read.
async fn message(door: &Door, name: &str, request: Request, limit: usize) -> Result<Message, Response> {
    let caller: Option<Caller> = request.extensions().get().cloned();
    let devices = &door.context.config().devices;
    let told =
        caller.as_ref().filter(|caller| caller.address.is_some_and(|from| devices.trusted_proxies.contains(&from)));
    // What anybody else says in this header is nobody's word.
    let told = told.and(request.headers().get(devices.client_certificate_header.as_str()));
    let told = told.and_then(|value| value.to_str().ok()).and_then(proxied::certificate);
    let certificate = told.map(Arc::new).or_else(|| caller.and_then(|caller| caller.certificate));
    let (parts, body) = request.into_parts();
    let signature = parts.headers.get("mdm-signature").cloned();
    if signature.is_none() && certificate.is_none() {
        return Err(unproved(door, name, &parts));
    }
    let body = read(door, name, body, limit).await?;
    let signed = signature.map(|signature| {
        let text = signature.to_str().map_err(|_| "its Mdm-Signature is no text".to_owned())?;
        verify_message(text, &body.bytes, LARGEST_SIGNATURE).map_err(|error| error.to_string())
    });
    let signer = match (signed.transpose(), certificate) {
        (Err(why), _) => return Err(refuse(name, &why)),
        (Ok(Some(signer)), Some(certificate)) if signer != *certificate => {
            return Err(refuse(name, "it is signed with another certificate than its connection shows"));
        }
        (Ok(Some(signer)), _) => signer,
        (Ok(None), Some(certificate)) => certificate.as_ref().clone(),
        (Ok(None), None) => return Err(unproved(door, name, &parts)),
    };
    Ok(Message { body, signer })
}

/// The answer to a message without proof. On a connection that was opened for another name no certificate was asked for;
/// 421 makes the client open a new one.
fn unproved(door: &Door, name: &str, parts: &Parts) -> Response {
    // HTTP/2 names the host in the address of the request.
    let named = parts.headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let host = parts.uri.host().or(named).unwrap_or_default();
    let host = host.split(':').next().unwrap_or_default().to_ascii_lowercase();
    if door.context.config().devices.client_certificate_name.as_ref() == Some(&host) {
        log::warn!("a message to {name} was refused: it is not signed, and its connection shows no client certificate");
        return StatusCode::MISDIRECTED_REQUEST.into_response();
    }
    refuse(name, "it carries no Mdm-Signature")
}

async fn read(door: &Door, name: &str, body: Body, limit: usize) -> Result<Received, Response> {
    door.room.read(body, limit).await.map_err(|error| {
        log::warn!("a message to {name} was refused: {error}");
        error.status().into_response()
    })
}

fn refuse(name: &str, why: &str) -> Response {
    log::warn!("a message to {name} was refused: {why}");
    StatusCode::BAD_REQUEST.into_response()
}

fn trouble(name: &str, error: &OperationError) -> Response {
    log::error!("a message to {name} could not be handled: {error}; the device comes again");
    StatusCode::INTERNAL_SERVER_ERROR.into_response()
}

/// Refuses a message whose sender is proved, and tells who it is.
async fn refuse_from(context: &Shared, name: &str, signer: &SignerCertificate, why: &str) -> Response {
    let sender = checkin::sender(context, signer).await;
    refuse(&format!("{name} from {sender}"), why)
}

async fn answer(context: &Shared, name: &str, signer: &SignerCertificate, answer: Answer) -> Response {
    match answer {
        Answer::Done => StatusCode::OK.into_response(),
        Answer::Json(body) => ([(header::CONTENT_TYPE, "application/json")], body).into_response(),
        Answer::Gone => StatusCode::NOT_FOUND.into_response(),
        Answer::NotThisUser => StatusCode::GONE.into_response(),
        Answer::Refused(why) => refuse_from(context, name, signer, &why).await,
        Answer::Unknown(why) => {
            log::error!("a message to {name} cannot be answered: {why}. Was an older backup restored?");
            StatusCode::SERVICE_UNAVAILABLE.into_response()
        }
    }
}

#[derive(Deserialize)]
struct CheckInQuery {
    /// The enrolment that the profile wrote into the address.
    enrolment: Option<String>,
}

async fn check_in(State(door): State<Door>, query: Asked<CheckInQuery>, request: Request) -> Response {
    let Ok(Query(query)) = query else { return refuse(CHECK_IN, UNREADABLE) };
    let Message { body, signer } = match message(&door, CHECK_IN, request, LARGEST_CHECK_IN).await {
        Ok(message) => message,
        Err(response) => return response,
    };
    let message = match Checkin::read(&body.bytes, LARGEST_CHECK_IN) {
        Ok(message) => message,
        Err(error) => return refuse_from(&door.context, CHECK_IN, &signer, &error.to_string()).await,
    };
    match checkin::handle(&door.context, message, &signer, query.enrolment.as_deref()).await {
        Ok(given) => answer(&door.context, CHECK_IN, &signer, given).await,
        Err(error) => trouble(CHECK_IN, &error),
    }
}

async fn command(State(door): State<Door>, request: Request) -> Response {
    let Message { body, signer } = match message(&door, COMMANDS, request, LARGEST_REPORT).await {
        Ok(message) => message,
        Err(response) => return response,
    };
    let message = match Report::read(&body.bytes, LARGEST_REPORT) {
        Ok(message) => message,
        Err(error) => return refuse_from(&door.context, COMMANDS, &signer, &error.to_string()).await,
    };
    match report::handle(&door.context, message, &signer).await {
        Ok(Next::Command(bytes)) => ([(header::CONTENT_TYPE, "application/xml; charset=UTF-8")], bytes).into_response(),
        Ok(Next::Nothing) => StatusCode::OK.into_response(),
        Ok(Next::Other(given)) => answer(&door.context, COMMANDS, &signer, given).await,
        Err(error) => trouble(COMMANDS, &error),
    }
}

#[derive(Deserialize)]
struct ScepQuery {
    operation: Option<String>,
    /// Some clients send it with a POST too, where the body counts.
    message: Option<String>,
}

type From = Option<Extension<Caller>>;

/// What is asked for, or that it cannot be read.
type Asked<Q> = Result<Query<Q>, QueryRejection>;

const UNREADABLE: &str = "its address cannot be read";

async fn scep_get(State(door): State<Door>, from: From, query: Asked<ScepQuery>) -> Response {
    let Ok(Query(query)) = query else { return refuse(SCEP, UNREADABLE) };
    let context = &door.context;
    match query.operation.as_deref() {
        Some("GetCACaps") => {
            typed(scep::CAPABILITIES_TYPE, scep::capabilities(accepted_in_scep(context)).as_bytes().to_vec())
        }
        Some("GetCACert") => {
            let name = query.message.as_deref().unwrap_or_default();
            typed(scep::CERTIFICATE_TYPE, context.keys.devices.named(name).certificate_der().to_vec())
        }
        Some("PKIOperation") => match query.message.as_deref().and_then(scep::decode_get_message) {
            Some(message) => pki_operation(&door, from, message).await,
            None => refuse(SCEP, "its message is no base64"),
        },
        _ => refuse(SCEP, "unknown operation"),
    }
}

async fn scep_post(State(door): State<Door>, from: From, query: Asked<ScepQuery>, body: Body) -> Response {
    let Ok(Query(query)) = query else { return refuse(SCEP, UNREADABLE) };
    if query.operation.as_deref() != Some("PKIOperation") {
        return refuse(SCEP, "unknown operation");
    }
    match read(&door, SCEP, body, scep::REQUEST_LIMIT).await {
        Ok(body) => pki_operation(&door, from, body.bytes.to_vec()).await,
        Err(response) => response,
    }
}

async fn pki_operation(door: &Door, from: From, message: Vec<u8>) -> Response {
    if message.len() > scep::REQUEST_LIMIT {
        return refuse(SCEP, "the request is too large");
    }
    let neighbour = from.map(|Extension(caller)| caller.neighbour);
    if let Some(seconds) = neighbour.and_then(|neighbour| door.refusals.rest(&neighbour)) {
        return (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, seconds.to_string())]).into_response();
    }
    let reply = match enrol::answer_scep(&door.context, message).await {
        Ok(ScepAnswer::Issued(reply)) => return typed(scep::MESSAGE_TYPE, reply),
        Ok(ScepAnswer::Refused(reply)) => reply,
        Err(error) => return trouble(SCEP, &error),
    };
    if let Some(neighbour) = neighbour {
        door.refusals.note(neighbour);
    }
    reply.map_or_else(|| StatusCode::BAD_REQUEST.into_response(), |reply| typed(scep::MESSAGE_TYPE, reply))
}

/// An answer with exactly this content type: some clients compare the whole header.
fn typed(content_type: &'static str, body: Vec<u8>) -> Response {
    ([(header::CONTENT_TYPE, content_type)], body).into_response()
}
