//! Puts the simulated Apple behind HTTPS.

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, RETRY_AFTER};
use hyper::{Request, Response};

use super::Apple;
use super::endpoint::{Call, Outcome, Reply};
use crate::listener::Answer;
use crate::supervisor::{Supervisor, When};

/// The largest body that is read.
const BODY_LIMIT: usize = 8 * 1024 * 1024;

/// Answers one request; the supervisor may kill the client before or after.
pub(crate) async fn handle(apple: Apple, supervisor: Supervisor, request: Request<Incoming>) -> Answer {
    let (parts, body) = request.into_parts();
    let Ok(body) = Limited::new(body, BODY_LIMIT).collect().await else { return Answer::HangUp };
    let call = Call {
        method: parts.method,
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        authorization: header(&parts.headers, AUTHORIZATION),
        content_type: header(&parts.headers, CONTENT_TYPE),
        body: body.to_bytes(),
    };
    let arrival = supervisor.arrival();
    if let Some(kill) = arrival.kill(When::Before) {
        supervisor.carry_out(kill).await;
        return Answer::HangUp;
    }
    let outcome = apple.call(&call);
    if let Some(kill) = arrival.kill(When::After) {
        supervisor.carry_out(kill).await;
        return Answer::HangUp;
    }
    match outcome {
        Outcome::Reply(reply) => response(reply).map_or(Answer::HangUp, Answer::Reply),
        Outcome::Closed => Answer::HangUp,
    }
}

fn header(headers: &HeaderMap, name: HeaderName) -> Option<String> {
    // A header that is not text is as malformed as one that is empty.
    headers.get(name).map(|value| value.to_str().unwrap_or_default().to_owned())
}

fn response(reply: Reply) -> Option<Response<Full<Bytes>>> {
    let mut builder = Response::builder().status(reply.status).header(CONTENT_TYPE, reply.content_type);
    if let Some(wait) = reply.retry_after {
        builder = builder.header(RETRY_AFTER, wait);
    }
    builder.body(Full::new(reply.body)).ok()
}
