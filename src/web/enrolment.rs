//! The pages on which people enrol a device, on the device listener: who signs in or has a code sees what the organisation
//! will be able to do, and gets the profile.
//!
//! No JavaScript, no cookies, nothing from elsewhere. A form counts only if it comes from a page of this server. Whoever
//! guesses, names or codes, rests for a while, by address and by name; a wrong name is answered as a wrong password is, and
//! after the same time.

pub mod asked;
mod page;
mod safety;
pub mod words;

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, RawQuery, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::map_response;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use secrecy::SecretString;
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use super::caller::{Caller, Neighbour};
use super::refusals::Refusals;
use super::request::Room;
use crate::mdm::profile::CONTENT_TYPE;
use crate::operations::enrol::tickets::{self, Standing, Ticket};
use crate::operations::{Kind, OperationError, Shared, enrol, sign_in};
use asked::Asked;
use page::{Offer, Page};
use words::{Problems, Words};

/// A form with a name and a password.
const LARGEST_FORM: usize = 8 * 1024;
/// The longest name that is looked for, in bytes.
const LONGEST_NAME: usize = 320;

/// Wrong attempts from one address: a class that types. Then so many a minute.
const FROM_ADDRESS: (NonZeroU32, NonZeroU32) = (NonZeroU32::new(60).unwrap(), NonZeroU32::new(10).unwrap());
/// Wrong passwords for one name, and then so many a minute.
const FOR_NAME: (NonZeroU32, NonZeroU32) = (NonZeroU32::new(5).unwrap(), NonZeroU32::new(1).unwrap());
/// Passwords that are checked at the same time: each takes memory and time on purpose.
const CHECKS: usize = 2;
/// Nobody is refused sooner than this, so that the time tells nothing about what was wrong.
const REFUSED_AFTER: Duration = Duration::from_secs(1);

/// A name that somebody signs in by. Not shown: people type their passwords into the wrong field.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Account(String);

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("somebody who signs in to enrol under one name")
    }
}

#[derive(Clone)]
struct Door {
    context: Shared,
    room: Room,
    addresses: Arc<Refusals<Neighbour>>,
    names: Arc<Refusals<Account>>,
    checks: Arc<Semaphore>,
}

/// The routes, for the device listener.
pub fn routes<S: Clone + Send + Sync + 'static>(context: Shared, room: Room) -> Router<S> {
    let clock = &context.clock;
    let door = Door {
        addresses: Arc::new(Refusals::limited(clock.clone(), FROM_ADDRESS.0, FROM_ADDRESS.1)),
        names: Arc::new(Refusals::limited(clock.clone(), FOR_NAME.0, FOR_NAME.1)),
        checks: Arc::new(Semaphore::new(CHECKS)),
        context,
        room,
    };
    Router::new()
        .route("/enrol", get(show).post(submit))
        .route("/enrol/{ticket}/profile.mobileconfig", get(profile))
        .route("/enrol/trust.mobileconfig", get(trust))
        .layer(map_response(safety::headers))
        .with_state(door)
}

impl Door {
    fn page(&self, words: &'static Words) -> Page {
        let fingerprints = tickets::trust_fingerprints(&self.context);
        Page { words, organisation: enrol::organisation(&self.context), fingerprints }
    }

    /// The first page, with what was wrong before if anything was.
    async fn first(&self, words: &'static Words, problem: Option<&str>) -> Response {
        match sign_in::is_possible(&self.context).await {
            Ok(people) => self.page(words).first(people, problem).into_response(),
            Err(error) => self.failed(words, &error),
        }
    }

    /// What stands in the way, by itself.
    fn problem(&self, words: &'static Words, status: StatusCode, problem: fn(&Problems) -> &'static str) -> Response {
        (status, self.page(words).problem(problem(&words.problems))).into_response()
    }

    fn failed(&self, words: &'static Words, error: &OperationError) -> Response {
        log::error!("the enrolment page cannot be shown: {error}. {}", error.advice);
        let problem: fn(&Problems) -> &'static str = match error.kind {
            Kind::Unavailable => |problems| problems.closed,
            _ => |problems| problems.trouble,
        };
        self.problem(words, StatusCode::SERVICE_UNAVAILABLE, problem)
    }

    /// The answer to somebody who has to rest for so many seconds.
    fn resting(&self, words: &'static Words, seconds: u64) -> Response {
        let minutes = seconds.div_ceil(60).max(1).to_string();
        let body = self.page(words).problem(&words.problems.too_many.replace("{minutes}", &minutes));
        (StatusCode::TOO_MANY_REQUESTS, [(header::RETRY_AFTER, seconds.to_string())], body).into_response()
    }

    /// What a ticket is worth; the answer when it is worth nothing. Guesses count.
    async fn worth(
        &self,
        words: &'static Words,
        ticket: &Ticket,
        neighbour: Option<Neighbour>,
    ) -> Result<Offer, Response> {
        if let Some(seconds) = neighbour.and_then(|neighbour| self.addresses.rest(&neighbour)) {
            return Err(self.resting(words, seconds));
        }
        match tickets::look(&self.context, ticket).await {
            Ok(Standing::Good { person }) => Ok(Offer { ticket: ticket.expose().to_owned(), person }),
            Ok(Standing::Spent) => Err(self.problem(words, StatusCode::GONE, |problems| problems.spent)),
            Ok(Standing::Unknown) => {
                if let Some(neighbour) = neighbour {
                    self.addresses.note(neighbour);
                }
                Err(self.problem(words, StatusCode::NOT_FOUND, |problems| problems.unknown))
            }
            Err(error) => Err(self.failed(words, &error)),
        }
    }
}

type From = Option<Extension<Caller>>;

/// The languages that a browser would rather have.
fn accepted(headers: &HeaderMap) -> &str {
    headers.get(header::ACCEPT_LANGUAGE).and_then(|accept| accept.to_str().ok()).unwrap_or_default()
}

fn neighbour(from: From) -> Option<Neighbour> {
    from.map(|Extension(caller)| caller.neighbour)
}

async fn show(State(door): State<Door>, from: From, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    let asked = Asked::read(query.unwrap_or_default().as_bytes());
    let words = asked.words(accepted(&headers));
    let Some(code) = &asked.code else { return door.first(words, None).await };
    match door.worth(words, &Ticket::read(code), neighbour(from)).await {
        Ok(offer) => door.page(words).offer(&offer).into_response(),
        Err(problem) => problem,
    }
}

async fn profile(
    State(door): State<Door>,
    from: From,
    Path(ticket): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let words = Asked::read(query.unwrap_or_default().as_bytes()).words(accepted(&headers));
    let ticket = Ticket::read(&ticket);
    if let Err(problem) = door.worth(words, &ticket, neighbour(from)).await {
        return problem;
    }
    match tickets::profile(&door.context, &ticket).await {
        Ok(Some(bytes)) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], bytes).into_response(),
        Ok(None) => door.problem(words, StatusCode::GONE, |problems| problems.spent),
        Err(error) => door.failed(words, &error),
    }
}

async fn trust(State(door): State<Door>, headers: HeaderMap) -> Response {
    let words = Asked::default().words(accepted(&headers));
    match tickets::trust(&door.context) {
        Ok(Some(bytes)) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], bytes).into_response(),
        Ok(None) => StatusCode::NOT_FOUND.into_response(),
        Err(error) => door.failed(words, &error),
    }
}

async fn submit(State(door): State<Door>, from: From, request: Request<Body>) -> Response {
    let (parts, body) = request.into_parts();
    let from_here = safety::same_origin(&parts);
    let form = match door.room.read(body, LARGEST_FORM).await {
        // A copy that is wiped: the password is in it.
        Ok(received) => Zeroizing::new(received.bytes.to_vec()),
        Err(error) => return error.status().into_response(),
    };
    let asked = Asked::read(&form);
    let words = asked.words(accepted(&parts.headers));
    if !from_here {
        let body = door.page(words).problem(words.problems.foreign);
        return (StatusCode::BAD_REQUEST, body).into_response();
    }
    let start = door.context.clock.now();
    match attempt(&door, neighbour(from), &asked.name, asked.password.clone()).await {
        Ok(Attempt::In(ticket)) => {
            let to = format!("/enrol?lang={}&code={}", words.tag, ticket.expose());
            (StatusCode::SEE_OTHER, [(header::LOCATION, to)]).into_response()
        }
        Ok(Attempt::Refused) => {
            let spent = Duration::try_from(door.context.clock.now().duration_since(start)).unwrap_or_default();
            door.context.clock.sleep(REFUSED_AFTER.saturating_sub(spent)).await;
            let page = door.first(words, Some(words.problems.refused)).await;
            (StatusCode::UNPROCESSABLE_ENTITY, page).into_response()
        }
        Ok(Attempt::Rests(seconds)) => door.resting(words, seconds),
        Err(error) => door.failed(words, &error),
    }
}

enum Attempt {
    In(Ticket),
    Refused,
    /// For so many seconds.
    Rests(u64),
}

async fn attempt(
    door: &Door,
    neighbour: Option<Neighbour>,
    name: &str,
    password: SecretString,
) -> Result<Attempt, OperationError> {
    let account = Account(name.chars().take(LONGEST_NAME).collect::<String>().to_lowercase());
    // Few at a time, and looked at in their turn: guesses side by side count as guesses one after the other do.
    let _turn = door.checks.acquire().await;
    let rests = [neighbour.and_then(|neighbour| door.addresses.rest(&neighbour)), door.names.rest(&account)];
    if let Some(seconds) = rests.into_iter().flatten().max() {
        return Ok(Attempt::Rests(seconds));
    }
    let name = if name.len() <= LONGEST_NAME { name } else { "" };
    if let Some(person) = sign_in::sign_in(&door.context, name, password).await? {
        return Ok(Attempt::In(tickets::for_person(&door.context, &person).await?));
    }
    if let Some(neighbour) = neighbour {
        door.addresses.note(neighbour);
    }
    door.names.note(account);
    Ok(Attempt::Refused)
}
