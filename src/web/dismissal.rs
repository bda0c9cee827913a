//! The one place where an answer could throw a device out. 401 makes a device remove its enrolment with all managed apps
//! (Apple: Check-in), and so does a 403 that says so: nothing but a decision of an administrator may have that effect,
//! and vppd has no operation that dismisses a device. So every answer of the device listener passes [`never()`], last of
//! all, and no other file of the doors, operations or MDM may name these statuses; a test reads the sources.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

/// Turns an answer that would throw the device out, from wherever it came, into one after which it comes again.
pub async fn never(answer: Response) -> Response {
    match answer.status() {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            log::error!(
                "a fault of vppd: a device would have been answered {}, which removes its enrolment; it was answered 500 \
                 instead and comes again",
                answer.status()
            );
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
        _ => answer,
    }
}

/// The answer to somebody who has no business at the door for notifications, to which no device comes.
pub fn stranger() -> Response {
    StatusCode::FORBIDDEN.into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn no_answer_throws_a_device_out() {
        for (given, sent) in [(401, 500), (403, 500), (400, 400), (200, 200), (410, 410), (503, 503)] {
            let status = StatusCode::from_u16(given).unwrap();
            assert_eq!(never(status.into_response()).await.status(), sent, "{given}");
        }
        let asks = [("www-authenticate", "Bearer")];
        let answer = never((StatusCode::UNAUTHORIZED, asks, "body").into_response()).await;
        assert!(answer.headers().get("www-authenticate").is_none());
    }
}
