//! Puts the simulated Apple behind HTTPS.

use std::convert::Infallible;

use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt, Full, Limited, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, HeaderMap, HeaderName};
use hyper::{Request, Response};

use super::Apple;
use super::endpoint::{Call, Flow, Outcome, Reply};
use crate::clock::Clock;
use crate::listener::{Answer, Body};
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
        cookie: header(&parts.headers, COOKIE),
        content_type: header(&parts.headers, CONTENT_TYPE),
        body: body.to_bytes(),
    };
    let arrival = supervisor.arrival();
    if let Some(kill) = arrival.kill(When::Before) {
        supervisor.carry_out(kill).await;
        return Answer::HangUp;
    }
    let outcome = apple.call(&call).await;
    if let Some(kill) = arrival.kill(When::After) {
        supervisor.carry_out(kill).await;
        return Answer::HangUp;
    }
    match outcome {
        Outcome::Reply(reply) => response(reply, apple.clock()).map_or(Answer::HangUp, Answer::Reply),
        Outcome::Closed => Answer::HangUp,
        Outcome::Reset => Answer::Reset,
        // Until the client has had enough.
        Outcome::Silent => std::future::pending().await,
    }
}

fn header(headers: &HeaderMap, name: HeaderName) -> Option<String> {
    // A header that is not text is as malformed as one that is empty.
    headers.get(name).map(|value| value.to_str().unwrap_or_default().to_owned())
}

fn response(reply: Reply, clock: Clock) -> Option<Response<Body>> {
    let mut builder = Response::builder().status(reply.status).header(CONTENT_TYPE, reply.content_type.as_ref());
    for (name, value) in reply.headers {
        builder = builder.header(name, value);
    }
    let body = match reply.flow {
        Flow::AtOnce => Full::new(reply.body).boxed_unsync(),
        Flow::Endless => {
            let spaces = Bytes::from(vec![b' '; 64 * 1024]);
            let frames = stream::repeat_with(move || Ok::<_, Infallible>(Frame::data(spaces.clone())));
            StreamBody::new(frames).boxed_unsync()
        }
        Flow::Drip(pause) => {
            let bytes = stream::unfold((clock, reply.body), move |(clock, mut rest)| async move {
                if rest.is_empty() {
                    return None;
                }
                clock.sleep(pause).await;
                Some((Ok::<_, Infallible>(Frame::data(rest.split_to(1))), (clock, rest)))
            });
            StreamBody::new(bytes).boxed_unsync()
        }
    };
    builder.body(body).ok()
}
