//! Puts the simulated APNs behind HTTP/2 with client certificates.

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::{Request, Response};

use super::{Apns, Push, PushOutcome, PushReply};
use crate::listener::{Answer, Body, Peer};
use crate::supervisor::{Supervisor, When};
use crate::tls::topic_of;

/// More than a payload may have, so that one too large is answered as such.
const READ_LIMIT: usize = 64 * 1024;

/// Answers one request; the supervisor may kill the client before or after.
pub(crate) async fn handle(apns: Apns, supervisor: Supervisor, request: Request<Incoming>, peer: Peer) -> Answer {
    let (parts, body) = request.into_parts();
    let Ok(body) = Limited::new(body, READ_LIMIT).collect().await else { return Answer::HangUp };
    // A header that is not text is as bad as one that is empty.
    let headers = parts
        .headers
        .iter()
        .map(|(name, value)| (name.as_str().to_owned(), value.to_str().unwrap_or_default().to_owned()));
    let push = Push {
        method: parts.method,
        path: parts.uri.path().to_owned(),
        headers: headers.collect(),
        body: body.to_bytes(),
        certificate_topic: peer.certificate.as_ref().and_then(topic_of),
    };
    let arrival = supervisor.arrival();
    if let Some(kill) = arrival.kill(When::Before) {
        supervisor.carry_out(kill).await;
        return Answer::HangUp;
    }
    let outcome = apns.push(&push);
    if let Some(kill) = arrival.kill(When::After) {
        supervisor.carry_out(kill).await;
        return Answer::HangUp;
    }
    match outcome {
        PushOutcome::Reply(reply) => response(reply).map_or(Answer::HangUp, Answer::Reply),
        PushOutcome::Closed => Answer::HangUp,
    }
}

fn response(reply: PushReply) -> Option<Response<Body>> {
    let builder = Response::builder().status(reply.status).header("apns-id", reply.apns_id);
    builder.body(Full::new(reply.body.into()).boxed_unsync()).ok()
}
