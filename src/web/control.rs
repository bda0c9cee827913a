//! The control socket: the JSON API for the CLI on the same machine. Whoever may open the socket may do everything; the
//! peer's user name goes to the audit. Whatever is wrong with a request, the answer is JSON and says so.

mod declared;
mod enrolment;
mod hands;
mod identities;
mod people;
mod push;
mod users;

use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path as Segment, Query, State};
use axum::http::{StatusCode, header};
use axum::middleware::{from_fn_with_state, map_response};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::error::Category;
use tokio::net::{UnixListener, UnixStream};
use tower_http::catch_panic::CatchPanicLayer;

use super::request::in_time;
use crate::operations::tokens::{manage, removal};
use crate::operations::view::{AppQuery, DeviceQuery, ErrorBody};
use crate::operations::{
    Kind, OperationError, Shared, alerts, backup, catalogue, deployments, device_list, differences, doctor, enrol,
    explain, look, pause, safety, shortage, subscriptions, sync, tasks, tokens, why,
};

/// `?all=true` on a list of alerts: those that have passed, too.
#[derive(serde::Deserialize)]
struct Alerts {
    #[serde(default)]
    all: bool,
}

/// `?location=NAME`: one location, by name or uId.
#[derive(serde::Deserialize)]
struct Chosen {
    #[serde(default)]
    location: Option<String>,
}

/// `?serial=SERIAL&app=APP`: the pairs of a device, or one of them.
#[derive(serde::Deserialize)]
struct Explained {
    serial: String,
    #[serde(default)]
    app: Option<String>,
}

/// `?serial=SERIAL&app=APP`: one pair.
#[derive(serde::Deserialize)]
struct Asked {
    serial: String,
    app: String,
}

/// Requests are small.
const LARGEST_REQUEST: usize = 256 * 1024;

/// A call may ask Apple, but a peer that stops in the middle of its request must not stay for ever.
const LONGEST_CALL: Duration = Duration::from_secs(300);

/// What somebody hears who does not speak HTTP.
pub const NOT_HTTP: &str = concat!(
    "HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n",
    r#"{"error":{"code":"not-http","message":"this is the control socket of vppd, which speaks HTTP/1.1 with JSON","#,
    r#""advice":"Use the command vppd, or: curl --unix-socket SOCKET http://vppd/v1/status"}}"#,
    "\n"
);

/// Who is at the other end of the socket.
#[derive(Debug, Clone)]
pub struct Peer(pub String);

/// The routes of the control socket.
pub fn router(context: Shared) -> Router {
    let api = Router::new()
        .route("/status", get(|State(c): State<Shared>| async move { reply(look::status(&c).await) }))
        .route("/tokens", get(|State(c): State<Shared>| async move { reply(tokens::list(&c).await) }).post(add_token))
        .route(
            "/tokens/{name}",
            get(|State(c): State<Shared>, Segment(name): Segment<String>| async move {
                reply(tokens::show(&c, name).await)
            })
            .post(edit_token)
            .delete(remove_token),
        )
        .route("/tokens/{name}/renew", post(renew_token))
        .route("/tokens/{name}/take-over", post(take_over))
        .route(
            "/tokens/{name}/removal",
            get(|State(c): State<Shared>, Segment(name): Segment<String>| async move {
                reply(removal::preview(&c, name).await)
            }),
        )
        .route("/token-order", post(order_tokens))
        .route(
            "/alerts",
            get(
                |State(c): State<Shared>, query: Query<Alerts>| async move { reply(alerts::list(&c, query.all).await) },
            ),
        )
        .route("/sync", post(start_sync))
        .route("/tasks", get(|State(c): State<Shared>| async move { reply(look::tasks(&c).await) }))
        .route(
            "/tasks/{id}",
            get(|State(c): State<Shared>, Segment(id): Segment<String>| async move {
                reply(match number(&id) {
                    Ok(id) => look::task(&c, id).await,
                    Err(error) => Err(error),
                })
            })
            .delete(cancel_task),
        )
        .route(
            "/apps",
            get(|State(c): State<Shared>, query: Query<AppQuery>| async move {
                reply(catalogue::list(&c, query.0).await)
            }),
        )
        .route(
            "/apps/{app}",
            get(|State(c): State<Shared>, Segment(app): Segment<String>| async move {
                reply(catalogue::show(&c, app).await)
            }),
        )
        .route("/apps/{app}/icon", get(icon))
        .route(
            "/subscriptions",
            get(|State(c): State<Shared>, query: Query<Chosen>| async move {
                reply(subscriptions::list(&c, query.0.location).await)
            }),
        )
        .route(
            "/devices",
            get(|State(c): State<Shared>, query: Query<DeviceQuery>| async move {
                reply(device_list::list(&c, query.0).await)
            }),
        )
        .route(
            "/devices/{name}",
            get(|State(c): State<Shared>, Segment(name): Segment<String>| async move {
                reply(look::device(&c, name).await)
            })
            .delete(hands::remove_device),
        )
        .route(
            "/deployments",
            get(|State(c): State<Shared>| async move { reply(deployments::list(&c).await) }).post(add_deployment),
        )
        .route("/deployments/{id}", get(show_deployment).post(edit_deployment).delete(remove_deployment))
        .route("/enrolment-profiles", post(make_profile))
        .route(
            "/plan/explain",
            get(|State(c): State<Shared>, query: Query<Explained>| async move {
                reply(explain::explain(&c, query.0.serial, query.0.app).await)
            }),
        )
        .route(
            "/why",
            get(|State(c): State<Shared>, query: Query<Asked>| async move {
                reply(why::why(&c, query.0.serial, query.0.app).await)
            }),
        )
        .route("/plan", get(|State(c): State<Shared>| async move { reply(look::plan(&c).await) }))
        .route("/plan/confirm", post(confirm_plan))
        .route(
            "/report/licences",
            get(|State(c): State<Shared>| async move { reply(shortage::report(&c).await) }),
        )
        .route(
            "/report/differences",
            get(|State(c): State<Shared>, query: Query<Chosen>| async move {
                reply(differences::report(&c, query.0.location).await)
            }),
        )
        .route("/doctor/apple", get(|State(c): State<Shared>| async move { reply(doctor::apple::health(&c).await) }))
        .route("/backup", post(make_backup))
        .route("/pause", post(set_pause))
        .route("/resume", post(resume))
        .merge(declared::routes())
        .merge(enrolment::routes())
        .merge(people::routes())
        .merge(push::routes())
        .merge(hands::routes())
        .merge(identities::routes())
        .merge(users::routes());
    Router::new()
        .nest("/v1", api)
        .fallback(|| async { failed(&OperationError::not_found("there is no such thing in the API", "")) })
        .method_not_allowed_fallback(|| async { StatusCode::METHOD_NOT_ALLOWED })
        .layer(DefaultBodyLimit::max(LARGEST_REQUEST))
        .layer(CatchPanicLayer::new())
        .layer(from_fn_with_state((context.clock.clone(), LONGEST_CALL), in_time))
        .layer(map_response(explained))
        .with_state(context)
}

/// Gives an error that the HTTP layer found (a wrong method, a body too large, a path that is no UTF-8) the form of every
/// other: nobody should have to guess from a number.
async fn explained(response: Response) -> Response {
    let status = response.status();
    let is_json = response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == "application/json");
    if is_json || status.is_success() {
        return response;
    }
    let (code, message) = match status {
        StatusCode::METHOD_NOT_ALLOWED => ("method", "this thing of the API does not take this method".to_owned()),
        StatusCode::PAYLOAD_TOO_LARGE => {
            ("too-large", format!("the request is larger than {} KiB", LARGEST_REQUEST / 1024))
        }
        StatusCode::BAD_REQUEST => {
            ("request", "the address or the body of the request cannot be read as text".to_owned())
        }
        StatusCode::SERVICE_UNAVAILABLE => ("too-slow", format!("the call took longer than {LONGEST_CALL:?}")),
        StatusCode::INTERNAL_SERVER_ERROR => ("internal", "a fault of vppd; the journal says more".to_owned()),
        status => ("request", format!("the request failed (HTTP {})", status.as_u16())),
    };
    let error = OperationError::invalid(code, message, "");
    let mut answer = (status, Json(ErrorBody { error: error.view() })).into_response();
    answer.headers_mut().extend(response.headers().get(header::ALLOW).map(|allow| (header::ALLOW, allow.clone())));
    answer
}

fn reply<T: Serialize>(result: Result<T, OperationError>) -> Response {
    match result {
        Ok(view) => Json(view).into_response(),
        Err(error) => failed(&error),
    }
}

fn failed(error: &OperationError) -> Response {
    let status = match error.kind {
        Kind::Invalid => StatusCode::BAD_REQUEST,
        Kind::NotFound => StatusCode::NOT_FOUND,
        Kind::Conflict => StatusCode::CONFLICT,
        Kind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Kind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    };
    if error.kind == Kind::Internal {
        log::error!("a request on the control socket failed: {error}");
    }
    (status, Json(ErrorBody { error: error.view() })).into_response()
}

/// The body of a request; an empty one is an empty object. What is said of a wrong one never repeats its content.
fn body<T: DeserializeOwned>(bytes: &Bytes) -> Result<T, OperationError> {
    let text: &[u8] = if bytes.is_empty() { b"{}" } else { bytes };
    serde_json::from_slice(text).map_err(|error| {
        let (line, column, words) = (error.line(), error.column(), error.to_string());
        // Of serde's own words only those that name a member of ours: others quote the body.
        let what = match error.classify() {
            Category::Data if words.starts_with("missing field `") => {
                format!("the member {} is missing", words.split('`').nth(1).unwrap_or_default())
            }
            Category::Data => format!("a member has a wrong type (line {line}, column {column})"),
            Category::Eof => "its JSON is cut off".to_owned(),
            _ => format!("it is not JSON, or nests too deep (line {line}, column {column})"),
        };
        OperationError::invalid(
            "request",
            format!("the request is not what this call takes: {what}"),
            "Nothing was changed.",
        )
    })
}

fn number(text: &str) -> Result<i64, OperationError> {
    text.parse().map_err(|_| {
        OperationError::not_found(format!("\"{}\" is no number", text.chars().take(40).collect::<String>()), "")
    })
}

async fn add_token(State(context): State<Shared>, Extension(peer): Extension<Peer>, bytes: Bytes) -> Response {
    let request = match body(&bytes) {
        Ok(request) => request,
        Err(error) => return failed(&error),
    };
    // Carried through even if the person breaks off: a location must not stay half added.
    let added = tokio::spawn(async move { tokens::add(&context, request, &peer.0).await }).await;
    reply(added.unwrap_or_else(|error| Err(OperationError::internal(format!("adding a token failed: {error}")))))
}

type Named = Segment<String>;

async fn renew_token(
    State(context): State<Shared>,
    Extension(peer): Extension<Peer>,
    Segment(name): Named,
    bytes: Bytes,
) -> Response {
    reply(match body(&bytes) {
        Ok(request) => manage::renew(&context, name, request, &peer.0).await,
        Err(error) => Err(error),
    })
}

async fn edit_token(
    State(context): State<Shared>,
    Extension(peer): Extension<Peer>,
    Segment(name): Named,
    bytes: Bytes,
) -> Response {
    reply(match body(&bytes) {
        Ok(request) => manage::edit(&context, name, request, &peer.0).await,
        Err(error) => Err(error),
    })
}

async fn remove_token(
    State(context): State<Shared>,
    Extension(peer): Extension<Peer>,
    Segment(name): Named,
    bytes: Bytes,
) -> Response {
    reply(match body(&bytes) {
        Ok(request) => removal::request(&context, name, request, &peer.0).await,
        Err(error) => Err(error),
    })
}

async fn take_over(State(context): State<Shared>, Extension(peer): Extension<Peer>, Segment(name): Named) -> Response {
    reply(manage::take_over(&context, name, &peer.0).await)
}

async fn order_tokens(State(context): State<Shared>, Extension(peer): Extension<Peer>, bytes: Bytes) -> Response {
    reply(match body(&bytes) {
        Ok(request) => manage::order(&context, request, &peer.0).await,
        Err(error) => Err(error),
    })
}

async fn cancel_task(
    State(context): State<Shared>,
    Extension(peer): Extension<Peer>,
    Segment(id): Segment<String>,
) -> Response {
    reply(match number(&id) {
        Ok(id) => tasks::cancel(&context, id, &peer.0).await,
        Err(error) => Err(error),
    })
}

async fn start_sync(State(context): State<Shared>, Extension(peer): Extension<Peer>, bytes: Bytes) -> Response {
    reply(match body(&bytes) {
        Ok(request) => sync::request(&context, request, &peer.0).await,
        Err(error) => Err(error),
    })
}

async fn add_deployment(State(context): State<Shared>, Extension(peer): Extension<Peer>, bytes: Bytes) -> Response {
    reply(match body(&bytes) {
        Ok(request) => deployments::add(&context, request, &peer.0).await,
        Err(error) => Err(error),
    })
}

async fn show_deployment(State(context): State<Shared>, Segment(id): Segment<String>) -> Response {
    reply(match number(&id) {
        Ok(id) => deployments::show(&context, id).await,
        Err(error) => Err(error),
    })
}

async fn edit_deployment(
    State(context): State<Shared>,
    Extension(peer): Extension<Peer>,
    Segment(id): Segment<String>,
    bytes: Bytes,
) -> Response {
    reply(match number(&id).and_then(|id| Ok((id, body(&bytes)?))) {
        Ok((id, request)) => deployments::edit(&context, id, request, &peer.0).await,
        Err(error) => Err(error),
    })
}

async fn remove_deployment(
    State(context): State<Shared>,
    Extension(peer): Extension<Peer>,
    Segment(id): Segment<String>,
) -> Response {
    reply(match number(&id) {
        Ok(id) => deployments::remove(&context, id, &peer.0).await,
        Err(error) => Err(error),
    })
}

async fn make_profile(State(context): State<Shared>, Extension(peer): Extension<Peer>, bytes: Bytes) -> Response {
    reply(match body(&bytes) {
        Ok(request) => enrol::make_profile(&context, request, &peer.0).await,
        Err(error) => Err(error),
    })
}

async fn make_backup(State(context): State<Shared>, Extension(peer): Extension<Peer>) -> Response {
    match backup::make(&context, &peer.0).await {
        Ok(bytes) => ([(header::CONTENT_TYPE, "application/cms")], bytes).into_response(),
        Err(error) => failed(&error),
    }
}

async fn icon(State(context): State<Shared>, Segment(app): Named) -> Response {
    match catalogue::icon(&context, app).await {
        Ok(icon) => ([(header::CONTENT_TYPE, icon.media_type)], icon.picture).into_response(),
        Err(error) => failed(&error),
    }
}

async fn set_pause(State(context): State<Shared>, Extension(peer): Extension<Peer>, bytes: Bytes) -> Response {
    reply(match body(&bytes) {
        Ok(request) => pause::pause(&context, request, &peer.0).await,
        Err(error) => Err(error),
    })
}

async fn resume(State(context): State<Shared>, Extension(peer): Extension<Peer>) -> Response {
    reply(pause::resume(&context, &peer.0).await.map(|()| serde_json::json!({})))
}

async fn confirm_plan(State(context): State<Shared>, Extension(peer): Extension<Peer>) -> Response {
    reply(safety::confirm(&context, &peer.0).await)
}

/// Makes the socket: mode 0660, owned by `group` if this process may give it away. A socket that a dead vppd left is
/// replaced; a living one is an error.
pub fn bind(path: &Path, group: &str) -> std::io::Result<UnixListener> {
    let kind = std::fs::symlink_metadata(path).map(|meta| meta.file_type());
    if kind.is_ok_and(|kind| kind.is_socket()) {
        if std::os::unix::net::UnixStream::connect(path).is_ok() {
            return Err(std::io::Error::new(
                std::io::ErrorKind::AddrInUse,
                "another vppd is running and answers on it",
            ));
        }
        std::fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    if let Some(id) = id_in("/etc/group", |fields| fields.first() == Some(&group), 2) {
        if let Err(error) = std::os::unix::fs::chown(path, None, Some(id)) {
            log::warn!(
                "the control socket cannot be given to group {group}: {error}; only this user and root can use it"
            );
        }
    } else {
        log::warn!("there is no group {group}: only this user and root can use the control socket");
    }
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))?;
    Ok(listener)
}

/// The user at the other end of a connection, by name or number.
pub fn peer(stream: &UnixStream) -> Peer {
    let Ok(credentials) = stream.peer_cred() else { return Peer("unknown".into()) };
    let uid = credentials.uid();
    let number = uid.to_string();
    let text = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name =
        text.lines().map(|line| line.split(':').collect::<Vec<_>>()).find(|f| f.get(2) == Some(&number.as_str()));
    Peer(name.and_then(|fields| fields.first().map(|name| (*name).to_owned())).unwrap_or(format!("uid {uid}")))
}

/// A number from a file of `:`-separated fields.
fn id_in(file: &str, wanted: impl Fn(&[&str]) -> bool, field: usize) -> Option<u32> {
    let text = std::fs::read_to_string(file).ok()?;
    let fields = text.lines().map(|line| line.split(':').collect::<Vec<_>>()).find(|fields| wanted(fields))?;
    fields.get(field)?.parse().ok()
}
