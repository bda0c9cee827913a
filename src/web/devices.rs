//! The device listener: `PUT /checkin`, `PUT /mdm` (Apple: Check-in, Commands) and `/scep`.
//!
//! A message proves who sent it by its `Mdm-Signature`. No answer here is 401, or any other that makes a device drop its
//! enrolment: what cannot be accepted is 400, trouble of ours is 500 or 503.

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{DefaultBodyLimit, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use serde::Deserialize;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::timeout::TimeoutLayer;

use crate::mdm::checkin::Checkin;
use crate::mdm::identity::scep;
use crate::mdm::identity::signature::{SignerCertificate, verify_message};
use crate::mdm::report::Report;
use crate::operations::checkin::Answer;
use crate::operations::report::Next;
use crate::operations::{OperationError, Shared, checkin, enrol, report};

/// Status reports can be large; nothing a device sends is larger than this.
const LARGEST_MESSAGE: usize = 4 * 1024 * 1024;

/// A signature with a chain of certificates.
const LARGEST_SIGNATURE: usize = 32 * 1024;

/// The routes of the device listener.
pub fn router(context: Shared) -> Router {
    let timeout = context.config.devices.request_timeout;
    Router::new()
        .route("/checkin", put(check_in))
        .route("/mdm", put(command))
        .route("/scep", get(scep_get).post(scep_post))
        .layer(DefaultBodyLimit::max(LARGEST_MESSAGE))
        .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, timeout))
        .layer(CatchPanicLayer::new())
        .with_state(context)
}

/// A body, or why it did not come in.
type Body = Result<Bytes, BytesRejection>;

/// Who signed this body.
fn signer(headers: &HeaderMap, body: &[u8]) -> Result<SignerCertificate, String> {
    let header = headers.get("mdm-signature").ok_or("it carries no Mdm-Signature")?;
    let header = header.to_str().map_err(|_| "its Mdm-Signature is no text")?;
    verify_message(header, body, LARGEST_SIGNATURE).map_err(|error| error.to_string())
}

fn refuse(door: &str, why: &str) -> Response {
    log::warn!("a message to {door} was refused: {why}");
    StatusCode::BAD_REQUEST.into_response()
}

/// The body did not come in: too large (413), or the device broke off.
fn unread(door: &str, rejection: &BytesRejection) -> Response {
    log::warn!("a message to {door} was refused: its body is larger than {LARGEST_MESSAGE} bytes or broke off");
    rejection.status().into_response()
}

fn trouble(door: &str, error: &OperationError) -> Response {
    log::error!("a message to {door} could not be handled: {error}; the device comes again");
    StatusCode::INTERNAL_SERVER_ERROR.into_response()
}

/// Refuses a message that was signed well, and tells who sent it.
async fn refuse_from(context: &Shared, door: &str, signer: &SignerCertificate, why: &str) -> Response {
    let sender = checkin::sender(context, signer).await;
    refuse(&format!("{door} from {sender}"), why)
}

async fn answer(context: &Shared, door: &str, signer: &SignerCertificate, answer: Answer) -> Response {
    match answer {
        Answer::Done => StatusCode::OK.into_response(),
        Answer::NotThisUser => StatusCode::GONE.into_response(),
        Answer::Refused(why) => refuse_from(context, door, signer, &why).await,
        Answer::Unknown(why) => {
            log::error!("a message to {door} cannot be answered: {why}. Was an older backup restored?");
            StatusCode::SERVICE_UNAVAILABLE.into_response()
        }
    }
}

async fn check_in(State(context): State<Shared>, headers: HeaderMap, body: Body) -> Response {
    let body = match body {
        Ok(body) => body,
        Err(rejection) => return unread("check-in", &rejection),
    };
    let signer = match signer(&headers, &body) {
        Ok(signer) => signer,
        Err(why) => return refuse("check-in", &why),
    };
    let message = match Checkin::read(&body, LARGEST_MESSAGE) {
        Ok(message) => message,
        Err(error) => return refuse_from(&context, "check-in", &signer, &error.to_string()).await,
    };
    match checkin::handle(&context, message, &signer).await {
        Ok(given) => answer(&context, "check-in", &signer, given).await,
        Err(error) => trouble("check-in", &error),
    }
}

async fn command(State(context): State<Shared>, headers: HeaderMap, body: Body) -> Response {
    let body = match body {
        Ok(body) => body,
        Err(rejection) => return unread("the command channel", &rejection),
    };
    let signer = match signer(&headers, &body) {
        Ok(signer) => signer,
        Err(why) => return refuse("the command channel", &why),
    };
    let message = match Report::read(&body, LARGEST_MESSAGE) {
        Ok(message) => message,
        Err(error) => return refuse_from(&context, "the command channel", &signer, &error.to_string()).await,
    };
    match report::handle(&context, message, &signer).await {
        Ok(Next::Command(bytes)) => ([(header::CONTENT_TYPE, "application/xml; charset=UTF-8")], bytes).into_response(),
        Ok(Next::Nothing) => StatusCode::OK.into_response(),
        Ok(Next::Other(given)) => answer(&context, "the command channel", &signer, given).await,
        Err(error) => trouble("the command channel", &error),
    }
}

#[derive(Deserialize)]
struct ScepQuery {
    operation: Option<String>,
    message: Option<String>,
}

/// What is asked for, or that it cannot be read.
type Asked = Result<Query<ScepQuery>, QueryRejection>;

async fn scep_get(State(context): State<Shared>, query: Asked) -> Response {
    let Ok(Query(query)) = query else { return refuse("SCEP", "its address cannot be read") };
    match query.operation.as_deref() {
        Some("GetCACaps") => typed(scep::CAPABILITIES_TYPE, scep::capabilities().as_bytes().to_vec()),
        Some("GetCACert") => typed(scep::CERTIFICATE_TYPE, context.keys.devices.certificate_der().to_vec()),
        Some("PKIOperation") => match query.message.as_deref().and_then(scep::decode_get_message) {
            Some(message) => pki_operation(&context, message).await,
            None => refuse("SCEP", "its message is no base64"),
        },
        _ => refuse("SCEP", "unknown operation"),
    }
}

async fn scep_post(State(context): State<Shared>, query: Asked, body: Body) -> Response {
    let Ok(Query(query)) = query else { return refuse("SCEP", "its address cannot be read") };
    match (query.operation.as_deref(), body) {
        (Some("PKIOperation"), Ok(body)) => pki_operation(&context, body.to_vec()).await,
        (Some("PKIOperation"), Err(rejection)) => unread("SCEP", &rejection),
        _ => refuse("SCEP", "unknown operation"),
    }
}

async fn pki_operation(context: &Shared, message: Vec<u8>) -> Response {
    if message.len() > scep::REQUEST_LIMIT {
        return refuse("SCEP", "the request is too large");
    }
    match enrol::answer_scep(context, message).await {
        Ok(Some(reply)) => typed(scep::MESSAGE_TYPE, reply),
        Ok(None) => StatusCode::BAD_REQUEST.into_response(),
        Err(error) => trouble("SCEP", &error),
    }
}

/// An answer with exactly this content type: some clients compare the whole header.
fn typed(content_type: &'static str, body: Vec<u8>) -> Response {
    ([(header::CONTENT_TYPE, content_type)], body).into_response()
}
